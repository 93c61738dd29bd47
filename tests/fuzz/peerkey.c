/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any octets as a handshake message to peerkey.c (S09).  The first
 * octet says which: 0 Certificate, 1 that of TLS 1.3, else ServerKeyExchange.
 * What is let through must have the bounds in GnuTLS's eyes as well: the key of
 * the first certificate is what it would reckon with.
 */
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "peerkey.h"

static void
must_be_small(gnutls_pubkey_t key)
{
	gnutls_datum_t e = { NULL, 0 };
	unsigned bits = 0;
	int pk = gnutls_pubkey_get_pk_algorithm(key, &bits);

	must(pk != GNUTLS_PK_DSA && pk != GNUTLS_PK_DH, "a key of DSA");
	if (pk != GNUTLS_PK_RSA && pk != GNUTLS_PK_RSA_PSS)
		return;
	must(bits <= 8192, "a large modulus");
	if (gnutls_pubkey_export_rsa_raw2(
		key, NULL, &e, GNUTLS_EXPORT_FLAG_NO_LZ) >= 0)
		must(e.size <= 8, "a large exponent");
	gnutls_free(e.data);
}

/* at: where the list's first certificate has its length. */
static void
first(const uint8_t *p, size_t len, size_t at)
{
	gnutls_datum_t d;
	gnutls_pcert_st cert;

	if (len < at + 3)
		return;
	d.size = (unsigned)p[at] << 16 | (unsigned)p[at + 1] << 8 | p[at + 2];
	must(d.size <= len - at - 3, "a certificate that is not there");
	d.data = (unsigned char *)(uintptr_t)p + at + 3;
	if (gnutls_pcert_import_x509_raw(&cert, &d, GNUTLS_X509_FMT_DER, 0) < 0)
		return;
	must_be_small(cert.pubkey);
	gnutls_pcert_deinit(&cert);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char why[120] = "";
	uint8_t *copy;
	bool ok;

	if (len == 0)
		return 0;
	/* to its exact size, so that ASan sees one octet too many */
	if ((copy = malloc(len > 1 ? len - 1 : 1)) == NULL)
		return 0;
	memcpy(copy, data + 1, len - 1);
	if (data[0] > 1)
		ok = peer_group(copy, len - 1, why, sizeof why);
	else
		ok = peer_certificates(
		    copy, len - 1, data[0] == 1, why, sizeof why);
	must(
	    ok == (*why == '\0'), "a refusal without a reason, or the reverse");
	if (ok && data[0] <= 1)
		first(copy, len - 1, data[0] == 1 ? 4 : 3);
	free(copy);
	fuzz_accepted += ok;
	return 0;
}

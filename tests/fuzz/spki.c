/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: any octets to spki.c, and what it takes compared with GnuTLS
 * (U17).  Where both read a certificate, they must agree on
 *
 *	where the key begins: right behind the subject, whose octets GnuTLS
 *		gives as received;
 *	the key: GnuTLS re-encodes what it exports, so the export may differ,
 *		but then only in form: each number of the key must be among
 *		the octets that we found, and ours must make the same key;
 *	how large an RSA key is, and its exponent (S09);
 *	subject and issuer, octet by octet;
 *	where the signature begins: right behind what follows the signed part.
 *
 * What GnuTLS takes and we refuse is no finding: we are the stricter.
 */
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "module.h"

/* A number, whatever zeros are in front of it, is in these octets. */
static void
must_hold(const uint8_t *p, size_t len, gnutls_datum_t *number)
{
	size_t skip = 0;

	while (skip < number->size && number->data[skip] == 0)
		skip++;
	must(skip == number->size ||
		memmem(p, len, number->data + skip, number->size - skip) !=
		    NULL,
	    "a number of the key is not in the octets found");
	gnutls_free(number->data);
}

static void
same_size(gnutls_pubkey_t key, const uint8_t *spki, size_t len)
{
	struct spki_key k = spki_key(spki, len);
	gnutls_datum_t e = { NULL, 0 };
	unsigned bits = 0;

	switch (gnutls_pubkey_get_pk_algorithm(key, &bits)) {
	case GNUTLS_PK_RSA:
	case GNUTLS_PK_RSA_PSS:
		must(k.kind == SPKI_RSA && k.bits == bits, "another RSA key");
		if (gnutls_pubkey_export_rsa_raw2(
			key, NULL, &e, GNUTLS_EXPORT_FLAG_NO_LZ) >= 0)
			must(k.exponent == 0 || (k.exponent + 7) / 8 == e.size,
			    "another exponent");
		gnutls_free(e.data);
		break;
	case GNUTLS_PK_DSA:
		must(k.kind == SPKI_DSA, "a DSA key");
		break;
	}
}

/* The key as GnuTLS read it, out of the certificate, against our octets. */
static void
same_key(gnutls_pubkey_t key, const uint8_t *spki, size_t len)
{
	gnutls_datum_t out, again, a = { NULL, 0 }, b = { NULL, 0 };
	gnutls_datum_t in = { (unsigned char *)(uintptr_t)spki, (unsigned)len };
	gnutls_pubkey_t ours;

	if (gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &out) < 0)
		return;
	must(gnutls_pubkey_init(&ours) >= 0, "out of memory");
	/* a certificate may hold a key that stands badly alone */
	if (gnutls_pubkey_import(ours, &in, GNUTLS_X509_FMT_DER) >= 0 &&
	    gnutls_pubkey_export2(ours, GNUTLS_X509_FMT_DER, &again) >= 0) {
		must(again.size == out.size &&
			memcmp(again.data, out.data, out.size) == 0,
		    "ours is another key");
		gnutls_free(again.data);
	} else
		must(out.size != len || memcmp(out.data, spki, len) != 0,
		    "ours is the export and yet no key");
	gnutls_pubkey_deinit(ours);
	gnutls_free(out.data);
	if (gnutls_pubkey_export_rsa_raw(key, &a, &b) >= 0 ||
	    gnutls_pubkey_export_ecc_raw(key, NULL, &a, &b) >= 0) {
		must_hold(spki, len, &a);
		must_hold(spki, len, &b);
	}
}

static void
same_place(gnutls_x509_crt_t crt, const uint8_t *der, const uint8_t *spki,
    const uint8_t *tbs, size_t tbs_len, size_t len)
{
	gnutls_datum_t dn;
	unsigned char sig[8192];
	size_t n = sizeof sig;

	if (gnutls_x509_crt_get_raw_dn(crt, &dn) >= 0) {
		must(dn.size <= (size_t)(spki - tbs) &&
			memcmp(spki - dn.size, dn.data, dn.size) == 0,
		    "the subject is not in front of the key");
		gnutls_free(dn.data);
	}
	if (gnutls_x509_crt_get_raw_issuer_dn(crt, &dn) >= 0) {
		must(
		    memmem(tbs, (size_t)(spki - tbs), dn.data, dn.size) != NULL,
		    "the issuer is not in front of the key");
		gnutls_free(dn.data);
	}
	if (gnutls_x509_crt_get_signature(crt, (char *)sig, &n) >= 0)
		must(n <= len - (size_t)(tbs + tbs_len - der) &&
			memcmp(der + len - n, sig, n) == 0,
		    "the signature is not at the end");
}

static void
same_names(gnutls_x509_crt_t crt, const uint8_t *der, size_t len)
{
	struct cert_parts c;
	gnutls_datum_t dn;

	must(cert_parts(der, len, &c) == 0, "no parts");
	must(cert_weight(&c) < (int)(2 * len), "more elements than octets");
	must(cert_extension(&c, 17) < len, "an extension too long");
	if (gnutls_x509_crt_get_raw_dn(crt, &dn) >= 0) {
		must(dn.size == c.subject_len &&
			memcmp(dn.data, c.subject, dn.size) == 0,
		    "another subject");
		gnutls_free(dn.data);
	}
	if (gnutls_x509_crt_get_raw_issuer_dn(crt, &dn) >= 0) {
		must(dn.size == c.issuer_len &&
			memcmp(dn.data, c.issuer, dn.size) == 0,
		    "another issuer");
		gnutls_free(dn.data);
	}
}

static void
compare(const uint8_t *der, size_t len)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)der, (unsigned)len };
	const uint8_t *spki, *tbs;
	size_t spki_len, tbs_len;
	struct cert_parts parts;
	gnutls_x509_crt_t crt;
	gnutls_pubkey_t key;

	if (spki_find(der, len, &spki, &spki_len) != 0)
		return;
	must(cert_parts(der, len, &parts) == 0, "no signed part");
	tbs = parts.tbs;
	tbs_len = parts.tbs_len;
	must(tbs > der && tbs_len < len && (size_t)(tbs - der) < len - tbs_len,
	    "the signed part is not in the certificate");
	must(spki > tbs && spki_len < tbs_len &&
		(size_t)(spki - tbs) <= tbs_len - spki_len,
	    "the key is not in the signed part");
	must(spki_check(spki, spki_len) == 0, "the key is none");
	fuzz_accepted++;
	must(gnutls_x509_crt_init(&crt) >= 0, "out of memory");
	if (gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_DER) >= 0) {
		same_place(crt, der, spki, tbs, tbs_len, len);
		same_names(crt, der, len);
		must(gnutls_pubkey_init(&key) >= 0, "out of memory");
		if (gnutls_pubkey_import_x509(key, crt, 0) >= 0) {
			same_key(key, spki, spki_len);
			same_size(key, spki, spki_len);
		}
		gnutls_pubkey_deinit(key);
	}
	gnutls_x509_crt_deinit(crt);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct cert_parts parts;
	const uint8_t *p;
	uint8_t *copy;
	size_t n;

	/* to its exact size, so that ASan sees one octet too many */
	if ((copy = malloc(len > 0 ? len : 1)) == NULL)
		return 0;
	if (len > 0)
		memcpy(copy, data, len);
	if (spki_check(copy, len) == 0)
		must(spki_find(copy, len, &p, &n) != 0 &&
			cert_parts(copy, len, &parts) != 0,
		    "a key and a certificate");
	compare(copy, len);
	free(copy);
	return 0;
}

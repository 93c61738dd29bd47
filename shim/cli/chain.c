/* SPDX-License-Identifier: ISC */
/* The chain that an address sent, as far as a person wants to see it. */
#include <stdio.h>
#include <stdlib.h>

#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "check.h"
#include "spki.h"

static void
chain_dn(gnutls_x509_crt_t crt,
    int (*get)(gnutls_x509_crt_t, gnutls_datum_t *, unsigned), char to[160])
{
	gnutls_datum_t dn = { NULL, 0 };

	if (get(crt, &dn, 0) == 0 && dn.data != NULL)
		snprintf(to, 160, "%s", (const char *)dn.data);
	gnutls_free(dn.data);
}

void
lint_certs(struct report *r, struct address_report *ar,
    const struct danevirke_chain *chain)
{
	size_t i, n = chain->n_certs < CERTS_MAX ? chain->n_certs : CERTS_MAX;
	const struct danevirke_cert *c = chain->certs;
	struct cert_fact *f;
	gnutls_x509_crt_t crt;
	gnutls_datum_t d;
	const uint8_t *spki;
	size_t len;

	if (n == 0)
		return;
	free(ar->cert);
	if ((ar->cert = f = calloc(n, sizeof *f)) == NULL) {
		r->no_memory = true;
		ar->n_cert = 0;
		return;
	}
	ar->n_cert = n;
	for (i = 0; i < n; i++, f++, c++) {
		d = (gnutls_datum_t){ (unsigned char *)(uintptr_t)c->der,
			(unsigned)c->len };
		gnutls_hash_fast(GNUTLS_DIG_SHA256, c->der, c->len, f->cert);
		if (spki_find(c->der, c->len, &spki, &len) == 0)
			gnutls_hash_fast(GNUTLS_DIG_SHA256, spki, len, f->key);
		if (gnutls_x509_crt_init(&crt) < 0)
			continue;
		if (gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_DER) == 0) {
			chain_dn(crt, gnutls_x509_crt_get_dn3, f->subject);
			chain_dn(
			    crt, gnutls_x509_crt_get_issuer_dn3, f->issuer);
			f->until = gnutls_x509_crt_get_expiration_time(crt);
		}
		gnutls_x509_crt_deinit(crt);
	}
}

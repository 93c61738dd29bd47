/* SPDX-License-Identifier: ISC */
/* A file of certificates that verify() may trust for usages 0 and 1 (U01). */
#include <gnutls/x509.h>
#include <stdlib.h>

#include "module.h"

static int
cas_import(const char *path, gnutls_x509_crt_t **ca, unsigned *n)
{
	gnutls_datum_t pem = { NULL, 0 };
	int rc;

	if (gnutls_load_file(path, &pem) < 0)
		return -1;
	rc = gnutls_x509_crt_list_import2(ca, n, &pem, GNUTLS_X509_FMT_PEM, 0);
	gnutls_free(pem.data);
	return rc < 0 ? -1 : 0;
}

int
cas_read(struct verify_world *w)
{
	gnutls_x509_crt_t *ca = NULL;
	gnutls_datum_t der;
	struct danevirke_cert *certs;
	unsigned n = 0, i;

	w->ca_code = DANEVIRKE_EINVAL;
	if (cas_import(w->ca_file, &ca, &n) != 0)
		return w->ca_code;
	w->ca_code = DANEVIRKE_ENOMEM;
	if ((certs = calloc(n + 1, sizeof *certs)) != NULL)
		w->ca_code = DANEVIRKE_OK;
	w->cas.certs = certs;
	for (i = 0; i < n; i++) {
		if (certs != NULL &&
		    gnutls_x509_crt_export2(ca[i], GNUTLS_X509_FMT_DER, &der) >=
			0)
			certs[w->cas.n_certs++] = (struct danevirke_cert){
				der.data, der.size
			};
		gnutls_x509_crt_deinit(ca[i]);
	}
	gnutls_free(ca);
	return w->ca_code;
}

void
cas_free(struct verify_world *w)
{
	size_t i;

	for (i = 0; i < w->cas.n_certs; i++)
		gnutls_free((void *)(uintptr_t)w->cas.certs[i].der);
	free((void *)(uintptr_t)w->cas.certs);
	w->cas = (struct danevirke_chain){ NULL, 0 };
}

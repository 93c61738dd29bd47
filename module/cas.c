/* SPDX-License-Identifier: ISC */
/*
 * What a verdict needs beside host and chain: the clock, and files of CAs, for
 * MTA-STS (H04) and for usages 0 and 1 (U01).
 *
 * A library that imports a system's list of CAs decodes each of them, for more
 * than ten milliseconds; here only the base64 is undone, and of a hundred and
 * more the search is given those that the chain names as issuers.
 */
#include <sys/stat.h>

#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "value.h"
#include "pool.h"

#define CAS_SIZE (8u << 20) /* octets of a file */
#define CAS_MAX 4096        /* certificates in it */

void
cas_free(struct cas *c)
{
	arena_free(&c->arena);
	memset(c, 0, sizeof *c);
}

/* One certificate; what is none is passed over.  False: out of memory. */
static bool
cas_add(struct cas *c, const char *pem, size_t len)
{
	gnutls_datum_t text = { (unsigned char *)(uintptr_t)pem,
		(unsigned)len },
		       der = { NULL, 0 };
	uint8_t *copy;

	if (gnutls_pem_base64_decode2("CERTIFICATE", &text, &der) < 0)
		return true;
	if ((copy = arena_alloc(&c->arena, der.size)) != NULL) {
		memcpy(copy, der.data, der.size);
		if (cert_parts(copy, der.size, &c->parts[c->n]) == 0)
			c->certs[c->n++] = (struct danevirke_cert){ copy,
				der.size };
	}
	gnutls_free(der.data);
	return copy != NULL;
}

static int
cas_parse(struct cas *c, const char *text)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----",
			  end[] = "-----END CERTIFICATE-----";
	const char *p, *to;
	size_t n = 0;

	for (p = text; (p = strstr(p, begin)) != NULL && n < CAS_MAX; p++)
		n++;
	c->certs = arena_array(&c->arena, n + 1, sizeof *c->certs);
	c->parts = arena_array(&c->arena, n + 1, sizeof *c->parts);
	if (c->certs == NULL || c->parts == NULL)
		return DANEVIRKE_ENOMEM;
	for (p = text; n > 0 && (p = strstr(p, begin)) != NULL &&
	     (to = strstr(p, end)) != NULL;
	     p = to, n--)
		if (!cas_add(c, p, (size_t)(to - p) + sizeof end - 1))
			return DANEVIRKE_ENOMEM;
	return c->n > 0 ? DANEVIRKE_OK : DANEVIRKE_EINVAL;
}

static bool
cas_stamp(const char *path, struct cas_stamp *to)
{
	struct stat st;

	memset(to, 0, sizeof *to);
	if (stat(path, &st) == -1)
		return false;
	to->dev = st.st_dev;
	to->ino = st.st_ino;
	to->size = (uint64_t)st.st_size;
	to->changed = st.st_ctim;
	return true;
}

/* The file that a caller has chosen for this one call. */
static int
cas_read(struct cas *c, const char *path)
{
	gnutls_datum_t text = { NULL, 0 };
	int code;

	if (gnutls_load_file(path, &text) < 0)
		return DANEVIRKE_EINVAL;
	code = cas_parse(c, (const char *)text.data); /* ends with NUL */
	gnutls_free(text.data);
	return code;
}

/* The system's, which nobody else may write; again only if it has changed. */
static int
cas_refresh(struct cas *c, const char *path)
{
	struct danevirke_error err;
	struct cas_stamp now;
	size_t len;
	char *text;
	int code;

	if (cas_stamp(path, &now) && c->path != NULL &&
	    strcmp(c->path, path) == 0 &&
	    memcmp(&c->stamp, &now, sizeof now) == 0)
		return DANEVIRKE_OK;
	cas_free(c);
	code = value_file(path, CAS_SIZE, DANEVIRKE_EINVAL, &text, &len, &err);
	if (code != DANEVIRKE_OK)
		return code;
	code = cas_parse(c, text);
	free(text);
	if (code == DANEVIRKE_OK &&
	    (c->path = arena_str(&c->arena, path)) == NULL)
		code = DANEVIRKE_ENOMEM;
	c->stamp = now;
	if (code != DANEVIRKE_OK)
		cas_free(c);
	return code;
}

/* Has one of the chain, as far as it is looked at, this issuer? */
static bool
cas_named(const struct cert_parts *ca, const struct cert_parts *chain, size_t n)
{
	while (n-- > 0)
		if (chain[n].issuer_len == ca->subject_len &&
		    memcmp(chain[n].issuer, ca->subject, ca->subject_len) == 0)
			return true;
	return false;
}

/* Those that a path from this chain could end in, for free(). */
static int
cas_pick(const struct cas *c, const struct danevirke_chain *chain,
    struct danevirke_cert **picked, size_t *n)
{
	struct cert_parts parts[POOL_CERTS];
	size_t i, n_parts = 0;

	for (i = 0; i < chain->n_certs && n_parts < POOL_CERTS; i++)
		n_parts += cert_parts(chain->certs[i].der, chain->certs[i].len,
			       &parts[n_parts]) == 0;
	if ((*picked = calloc(c->n + 1, sizeof **picked)) == NULL)
		return DANEVIRKE_ENOMEM;
	for (i = *n = 0; i < c->n; i++)
		if (cas_named(&c->parts[i], parts, n_parts))
			(*picked)[(*n)++] = c->certs[i];
	return DANEVIRKE_OK;
}

int
cas_verify(const struct danevirke_host *host,
    const struct danevirke_chain *chain,
    const struct danevirke_verify_options *o, struct cas *kept,
    struct danevirke_verdict *v)
{
	struct verify_world w = {
		.now = o->now, .flags = o->flags, .ca_file = o->ca_file
	};
	struct danevirke_cert *picked = NULL;
	struct cas own = { 0 };
	int code;

	if ((code = verify_check(host, chain, v)) != DANEVIRKE_OK)
		return code;
	if (w.now == 0)
		w.now = time(NULL);
	if (verify_by_mta_sts(host)) {
		w.ca_code = cas_refresh(kept, host->ca_file);
		if (w.ca_code == DANEVIRKE_OK)
			w.ca_code = cas_pick(
			    kept, chain, &picked, &w.cas.n_certs);
		w.cas.certs = picked;
	} else if (w.ca_file != NULL && verify_by_pkix(host, w.flags)) {
		w.ca_code = cas_read(&own, w.ca_file);
		w.cas = (struct danevirke_chain){ own.certs, own.n };
	}
	code = verify_chain(host, chain, &w, v);
	free(picked);
	cas_free(&own);
	return code;
}

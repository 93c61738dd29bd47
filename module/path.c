/* SPDX-License-Identifier: ISC */
/*
 * The search of usage 2, and of 0 and 1: from the leaf by issuer and key,
 * through what the server sent in any order (U18), to a certificate or key
 * that a record names.  Where a path could end, proof.c judges it whole.
 * A certificate is decoded when the search first needs it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"

#define CERT_LEN 65535 /* octets, at most */
#define PART_LEN 2048  /* of the parts that are read over and over */

bool
path_fail(struct path *p, enum progress how_far, enum danevirke_result result,
    const char *fmt, ...)
{
	va_list ap;

	if (how_far <= p->progress)
		return false;
	p->progress = how_far;
	p->v->result = result;
	va_start(ap, fmt);
	vsnprintf(p->v->text, sizeof p->v->text, fmt, ap);
	va_end(ap);
	return false;
}

/* ----------------------------------------------------------------- pool */

int
path_add(struct path *p, const uint8_t *der, size_t len)
{
	size_t i;

	if (der == NULL || len == 0 || len > CERT_LEN)
		return -1;
	for (i = 0; i < p->n; i++)
		if (p->pool[i].len == len &&
		    memcmp(p->pool[i].der, der, len) == 0)
			return (int)i;
	p->pool[p->n].der = der;
	p->pool[p->n].len = len;
	p->pool[p->n].record = -1;
	return (int)p->n++;
}

bool
path_init(struct path *p, const struct danevirke_chain *chain, size_t extra)
{
	size_t i;

	p->n = p->n_chain = 0;
	p->steps = p->signatures = 0;
	p->pool = calloc(PATH_CERTS + extra, sizeof *p->pool);
	if (p->pool == NULL)
		return false;
	for (i = 0; i < chain->n_certs && p->n < PATH_CERTS; i++)
		path_add(p, chain->certs[i].der, chain->certs[i].len);
	p->n_chain = p->n;
	if (i < chain->n_certs)
		path_fail(p, NO_MATCH, DANEVIRKE_VALIDATION_FAILURE,
		    "no TLSA record matches the certificates sent (only the "
		    "first %d certificates were looked at)",
		    PATH_CERTS);
	return true;
}

void
path_free(struct path *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		gnutls_x509_crt_deinit(p->pool[i].crt);
	free(p->pool);
	p->pool = NULL;
	p->n = 0;
}

/* GnuTLS looks for these parts from the start whenever they are asked for, and
 * the search asks often: a crowd of them would take seconds (M11). */
static bool
modest(gnutls_x509_crt_t crt)
{
	gnutls_datum_t dn = { NULL, 0 };
	unsigned i, critical;
	size_t oid_len, len;
	char oid[128];
	int rc;

	rc = gnutls_x509_crt_get_raw_dn(crt, &dn);
	gnutls_free(dn.data);
	if (rc < 0 || dn.size > PART_LEN)
		return false;
	for (i = 0; i <= PATH_EXTENSIONS; i++) {
		oid_len = sizeof oid;
		rc = gnutls_x509_crt_get_extension_info(
		    crt, i, oid, &oid_len, &critical);
		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return true;
		if (rc < 0)
			return false;
		len = 0;
		if ((strcmp(oid, "2.5.29.35") == 0 ||     /* issuer's key */
			strcmp(oid, "2.5.29.37") == 0) && /* extKeyUsage */
		    (gnutls_x509_crt_get_extension_data(crt, i, NULL, &len) <
			    0 ||
			len > PART_LEN))
			return false;
	}
	return false;
}

gnutls_x509_crt_t
path_crt(struct path *p, size_t place)
{
	struct path_cert *c = &p->pool[place];
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)c->der,
		(unsigned)c->len };

	if (c->crt != NULL || c->bad)
		return c->crt;
	if (gnutls_x509_crt_init(&c->crt) >= 0 &&
	    gnutls_x509_crt_import(c->crt, &d, GNUTLS_X509_FMT_DER) >= 0 &&
	    (c->len <= PART_LEN || modest(c->crt)))
		return c->crt;
	gnutls_x509_crt_deinit(c->crt);
	c->crt = NULL;
	c->bad = true;
	return NULL;
}

/* ------------------------------------------------------------ where to end */

/* U13 is for a key that no certificate of the chain carries: one that does is
 * judged with its dates and constraints, and the leaf never is its own anchor
 * (U09). */
static bool
carried(const struct path *p, const struct danevirke_tlsa *t)
{
	size_t i;

	for (i = 0; i < p->n_chain; i++)
		if (verify_match(t, p->pool[i].der, p->pool[i].len))
			return true;
	return false;
}

static bool
is_bare_key(const struct path *p, const struct danevirke_tlsa *t)
{
	return verify_in_use(t, DANEVIRKE_DANE_TA) &&
	    t->selector == DANEVIRKE_SPKI && t->matching == DANEVIRKE_FULL &&
	    !carried(p, t);
}

/* Usages 0 and 1: a path to the CA file holds, does a record agree? */
static bool
pkix_match(struct path *p, size_t depth)
{
	const struct danevirke_host *h = p->host;
	size_t i, j, last;

	for (i = 0; i < h->n_tlsa; i++) {
		if (verify_in_use(&h->tlsa[i], DANEVIRKE_PKIX_EE))
			j = last = 0;
		else if (verify_in_use(&h->tlsa[i], DANEVIRKE_PKIX_TA)) {
			j = 1;
			last = depth;
		} else
			continue;
		for (; j <= last; j++) {
			const struct path_cert *c = &p->pool[p->at[j]];

			if (verify_match(&h->tlsa[i], c->der, c->len))
				return verify_accept(p->v, h, i, j);
		}
	}
	return path_fail(p, NOT_NAMED, DANEVIRKE_VALIDATION_FAILURE,
	    "no certificate of the path to the CA file matches a record");
}

/* Does the path end here? */
static bool
ends(struct path *p, size_t depth)
{
	const struct danevirke_host *h = p->host;
	const struct path_cert *c = &p->pool[p->at[depth]];
	size_t i;

	if (p->pkix)
		return depth > 0 && c->ca && proof_holds(p, depth, true) &&
		    pkix_match(p, depth);
	if (depth > 0 && c->record >= 0 && /* U08, U09 */
	    proof_holds(p, depth, true))
		return verify_accept(p->v, h, (size_t)c->record, depth);
	for (i = 0; i < h->n_tlsa; i++)
		if (is_bare_key(p, &h->tlsa[i]) &&
		    proof_signed(p, p->at[depth], &h->tlsa[i]) &&
		    proof_holds(p, depth, false))
			return verify_accept(p->v, h, i, depth + 1);
	return false;
}

/* ----------------------------------------------------------- the search */

static bool
is_anchor(const struct path_cert *c)
{
	return c->record >= 0 || c->ca;
}

static bool
same_subject(gnutls_x509_crt_t a, gnutls_x509_crt_t b)
{
	gnutls_datum_t da = { NULL, 0 }, db = { NULL, 0 };
	bool same;

	same = gnutls_x509_crt_get_raw_dn(a, &da) >= 0 &&
	    gnutls_x509_crt_get_raw_dn(b, &db) >= 0 && da.size == db.size &&
	    memcmp(da.data, db.data, da.size) == 0;
	gnutls_free(da.data);
	gnutls_free(db.data);
	return same;
}

/* Another certificate of this subject and key in the path already?  Then what
 * this one leads to can be had without the detour, and circles of cross-signed
 * authorities end. */
static bool
visited(struct path *p, size_t depth, size_t place)
{
	const struct path_cert *c = &p->pool[place], *d;
	const uint8_t *a, *b;
	size_t i, a_len, b_len;

	for (i = 0; i <= depth; i++) {
		d = &p->pool[p->at[i]];
		if (c == d)
			return true;
		if (i > 0 && spki_find(c->der, c->len, &a, &a_len) == 0 &&
		    spki_find(d->der, d->len, &b, &b_len) == 0 &&
		    a_len == b_len && memcmp(a, b, a_len) == 0 &&
		    same_subject(c->crt, d->crt))
			return true;
	}
	return false;
}

static bool
self_issued(struct path *p, size_t depth)
{
	gnutls_x509_crt_t crt = path_crt(p, p->at[depth]);

	return gnutls_x509_crt_check_issuer(crt, crt) != 0;
}

static bool extend(struct path *, size_t depth);

/* By issuer and key identifier; signatures are proven when the path ends. */
static bool
extend_by(struct path *p, size_t depth, size_t place)
{
	gnutls_x509_crt_t issuer = path_crt(p, place);

	if (issuer == NULL ||
	    !gnutls_x509_crt_check_issuer(path_crt(p, p->at[depth]), issuer) ||
	    visited(p, depth, place))
		return false;
	p->at[depth + 1] = place;
	return extend(p, depth + 1);
}

static bool
extend(struct path *p, size_t depth)
{
	size_t i, pass;

	if (++p->steps > PATH_STEPS)
		return false;
	if (ends(p, depth))
		return true;
	/* what has issued itself leads nowhere else, and GnuTLS would leave it
	 * out of the path (links_hold) */
	if (depth + 1 >= PATH_DEPTH || (depth > 0 && self_issued(p, depth)))
		return false;
	for (pass = 0; pass < 2; pass++) /* anchors first: shorter paths */
		for (i = 1; i < p->n; i++)
			if (is_anchor(&p->pool[i]) == (pass == 0) &&
			    extend_by(p, depth, i))
				return true;
	return false;
}

bool
path_search(struct path *p)
{
	const struct danevirke_host *h = p->host;
	bool worth = false;
	size_t i;

	for (i = 1; i < p->n; i++)
		worth |= is_anchor(&p->pool[i]);
	for (i = 0; i < h->n_tlsa && !worth && !p->pkix; i++)
		worth = is_bare_key(p, &h->tlsa[i]);
	if (!worth)
		return false;
	if (path_crt(p, 0) == NULL)
		return path_fail(p, NOT_TRUSTED,
		    DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		    "the server's certificate cannot be read, or is "
		    "overladen");
	return extend(p, 0);
}

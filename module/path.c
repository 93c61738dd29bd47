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

/* GnuTLS takes time by the square of what is in them (M11, S09). */
#define CERT_LEN 16384 /* octets, at most */
#define DN_LEN 2048    /* of subject and issuer */
#define LIST_LEN 512   /* of extKeyUsage and authorityKeyIdentifier */
#define DECODE_WORK 30 /* of a certificate, and of each element in it */
#define ELEMENT_WORK 3
#define LOOK_WORK 2 /* is that an issuer's name and key? */

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

	p->n = p->n_chain = p->n_bare = 0;
	p->steps = 0;
	p->named = false;
	p->room = PATH_CERTS + extra;
	p->pool = calloc(p->room, sizeof *p->pool);
	p->pairs = calloc(p->room, PATH_CERTS);
	p->bare = calloc(p->host->n_tlsa + 1, sizeof *p->bare);
	if (p->pool == NULL || p->pairs == NULL || p->bare == NULL) {
		path_free(p);
		return false;
	}
	/* The leaf has its place, whatever it is: it is the session's. */
	if (path_add(p, chain->certs[0].der, chain->certs[0].len) < 0) {
		p->pool[0].bad = true;
		p->pool[0].record = -1;
		p->n = 1;
	}
	for (i = 1; i < chain->n_certs && p->n < PATH_CERTS; i++)
		path_add(p, chain->certs[i].der, chain->certs[i].len);
	p->n_chain = p->n;
	if (i < chain->n_certs)
		p->limits |= LIMIT_CERTS;
	return true;
}

void
path_free(struct path *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		gnutls_x509_crt_deinit(p->pool[i].crt);
	free(p->pool);
	free(p->pairs);
	free(p->bare);
	p->pool = NULL;
	p->pairs = NULL;
	p->bare = NULL;
	p->n = 0;
}

bool
path_work(struct path *p, size_t units)
{
	if (units < PATH_WORK && p->work + units <= PATH_WORK) {
		p->work += (unsigned)units;
		return true;
	}
	p->work = PATH_WORK;
	p->limits |= LIMIT_WORK;
	return false;
}

bool
path_walk(struct path_cert *c)
{
	if (!c->walked) {
		c->walked = true;
		c->is_cert = cert_parts(c->der, c->len, &c->parts) == 0;
	}
	return c->is_cert;
}

/* Before it is decoded: GnuTLS looks for these parts from the start whenever
 * they are asked for, and the search asks often. */
static bool
modest(struct path *p, struct path_cert *c)
{
	int weight;

	return c->len <= CERT_LEN && path_walk(c) &&
	    c->parts.issuer_len <= DN_LEN && c->parts.subject_len <= DN_LEN &&
	    cert_extension(&c->parts, 35) <= LIST_LEN &&
	    cert_extension(&c->parts, 37) <= LIST_LEN &&
	    (weight = cert_weight(&c->parts)) >= 0 &&
	    path_work(p, DECODE_WORK + ELEMENT_WORK * (size_t)weight);
}

gnutls_x509_crt_t
path_crt(struct path *p, size_t place)
{
	struct path_cert *c = &p->pool[place];
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)c->der,
		(unsigned)c->len };

	if (c->crt != NULL || c->bad)
		return c->crt;
	if (modest(p, c) && gnutls_x509_crt_init(&c->crt) >= 0 &&
	    gnutls_x509_crt_import(c->crt, &d, GNUTLS_X509_FMT_DER) >= 0)
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
carried(struct path *p, const struct danevirke_tlsa *t)
{
	size_t i;

	for (i = 0; i < p->n_chain; i++)
		if (verify_match(t, &p->pool[i]))
			return true;
	return false;
}

static void
find_bare_keys(struct path *p)
{
	const struct danevirke_tlsa *t = p->host->tlsa;
	size_t i;

	for (i = 0; i < p->host->n_tlsa && !p->pkix; i++)
		if (verify_in_use(&t[i], DANEVIRKE_DANE_TA) &&
		    t[i].selector == DANEVIRKE_SPKI &&
		    t[i].matching == DANEVIRKE_FULL && !carried(p, &t[i]))
			p->bare[p->n_bare++] = i;
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
			if (verify_match(&h->tlsa[i], &p->pool[p->at[j]]))
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
	for (i = 0; i < p->n_bare && !(p->limits & LIMIT_WORK); i++)
		if (sign_by_key(p, depth, &h->tlsa[p->bare[i]]) &&
		    proof_holds(p, depth, false))
			return verify_accept(p->v, h, p->bare[i], depth + 1);
	return false;
}

/* ----------------------------------------------------------- the search */

static bool
is_anchor(const struct path_cert *c)
{
	return c->record >= 0 || c->ca;
}

static bool
same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* Another certificate of this subject and key in the path already?  Then what
 * this one leads to can be had without the detour, and circles of cross-signed
 * authorities end. */
static bool
visited(struct path *p, size_t depth, size_t place)
{
	const struct path_cert *c = &p->pool[place], *d;
	size_t i;

	for (i = 0; i <= depth; i++) {
		d = &p->pool[p->at[i]];
		if (c == d)
			return true;
		if (i > 0 &&
		    same(c->parts.spki, c->parts.spki_len, d->parts.spki,
			d->parts.spki_len) &&
		    same(c->parts.subject, c->parts.subject_len,
			d->parts.subject, d->parts.subject_len))
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
	struct path_cert *child = &p->pool[p->at[depth]], *c = &p->pool[place];

	if (!path_walk(c) ||
	    !same(child->parts.issuer, child->parts.issuer_len,
		c->parts.subject, c->parts.subject_len) ||
	    visited(p, depth, place) || path_crt(p, place) == NULL ||
	    !path_work(p, LOOK_WORK) ||
	    !gnutls_x509_crt_check_issuer(child->crt, c->crt))
		return false;
	p->at[depth + 1] = place;
	return extend(p, depth + 1);
}

static bool
extend(struct path *p, size_t depth)
{
	size_t i, pass;

	if (++p->steps > PATH_STEPS) {
		p->limits |= LIMIT_STEPS;
		return false;
	}
	if (ends(p, depth))
		return true;
	/* what has issued itself leads nowhere else */
	if (depth > 0 && self_issued(p, depth))
		return false;
	if (depth + 1 >= PATH_DEPTH) {
		p->limits |= LIMIT_DEPTH;
		return false;
	}
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
	bool worth;
	size_t i;

	find_bare_keys(p);
	worth = p->n_bare > 0;
	for (i = 1; i < p->n; i++)
		worth |= is_anchor(&p->pool[i]);
	if (!worth)
		return false;
	if (path_crt(p, 0) == NULL)
		return path_fail(p, NOT_TRUSTED,
		    DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		    "the server's certificate cannot be read, or is "
		    "overladen");
	return extend(p, 0);
}

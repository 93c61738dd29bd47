/* SPDX-License-Identifier: ISC */
/*
 * The certificates of one verify(), what the server sent first, and what it may
 * take to look at them (S09).  Each is decoded when it is first needed.  Here
 * also stays what came of the attempt that got furthest.  Pure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

/* GnuTLS takes time by the square of what is in them (M11, S09). */
#define CERT_LEN 16384 /* octets, at most */
#define DN_LEN 2048    /* of subject and issuer */
#define LIST_LEN 512   /* of extKeyUsage and authorityKeyIdentifier */
#define DECODE_WORK 30 /* of a certificate, and of each element in it */
#define ELEMENT_WORK 3

bool
pool_fail(struct pool *p, enum progress how_far, enum danevirke_result result,
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

bool
pool_broken(struct pool *p, size_t depth, const char *fmt, ...)
{
	char what[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return pool_fail(p, NOT_TRUSTED, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
	    "certificate at depth %zu %s", depth, what);
}

int
pool_add(struct pool *p, const uint8_t *der, size_t len)
{
	size_t i;

	if (der == NULL || len == 0 || len > CERT_LEN)
		return -1;
	for (i = 0; i < p->n; i++)
		if (p->cert[i].raw.len == len &&
		    memcmp(p->cert[i].raw.der, der, len) == 0)
			return (int)i;
	p->cert[p->n].raw.der = der;
	p->cert[p->n].raw.len = len;
	p->cert[p->n].record = -1;
	return (int)p->n++;
}

bool
pool_init(struct pool *p, const struct danevirke_chain *chain, size_t extra)
{
	size_t i;

	p->n = p->n_chain = 0;
	p->room = POOL_CERTS + extra;
	if ((p->cert = calloc(p->room, sizeof *p->cert)) == NULL)
		return false;
	/* The leaf has its place, whatever it is: it is the session's. */
	if (pool_add(p, chain->certs[0].der, chain->certs[0].len) < 0) {
		p->cert[0].bad = true;
		p->cert[0].record = -1;
		p->n = 1;
	}
	for (i = 1; i < chain->n_certs && p->n < POOL_CERTS; i++)
		pool_add(p, chain->certs[i].der, chain->certs[i].len);
	p->n_chain = p->n;
	if (i < chain->n_certs)
		p->limits |= LIMIT_CERTS;
	return true;
}

void
pool_free(struct pool *p)
{
	size_t i;

	for (i = 0; i < p->n; i++)
		gnutls_x509_crt_deinit(p->cert[i].crt);
	free(p->cert);
	p->cert = NULL;
	p->n = 0;
}

bool
pool_work(struct pool *p, size_t units)
{
	if (units < POOL_WORK && p->work + units <= POOL_WORK) {
		p->work += (unsigned)units;
		return true;
	}
	p->work = POOL_WORK;
	p->limits |= LIMIT_WORK;
	return false;
}

/* Before it is decoded: GnuTLS looks for these parts from the start whenever
 * they are asked for, and the search asks often. */
static bool
pool_modest(struct pool *p, struct pool_cert *c)
{
	int weight;

	return c->raw.len <= CERT_LEN && match_walk(&c->raw) &&
	    c->raw.parts.issuer_len <= DN_LEN &&
	    c->raw.parts.subject_len <= DN_LEN &&
	    cert_extension(&c->raw.parts, 35) <= LIST_LEN &&
	    cert_extension(&c->raw.parts, 37) <= LIST_LEN &&
	    (weight = cert_weight(&c->raw.parts)) >= 0 &&
	    pool_work(p, DECODE_WORK + ELEMENT_WORK * (size_t)weight);
}

gnutls_x509_crt_t
pool_crt(struct pool *p, size_t place)
{
	struct pool_cert *c = &p->cert[place];
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)c->raw.der,
		(unsigned)c->raw.len };

	if (c->crt != NULL || c->bad)
		return c->crt;
	if (pool_modest(p, c) && gnutls_x509_crt_init(&c->crt) >= 0 &&
	    gnutls_x509_crt_import(c->crt, &d, GNUTLS_X509_FMT_DER) >= 0)
		return c->crt;
	gnutls_x509_crt_deinit(c->crt);
	c->crt = NULL;
	c->bad = true;
	return NULL;
}

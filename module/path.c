/* SPDX-License-Identifier: ISC */
/*
 * The search of usage 2, of 0 and 1, and of MTA-STS: from the leaf by issuer
 * and key, through what the server sent in any order (U18), to a certificate
 * or key that a record names, or a CA.  Where a path could end, proof.c judges it whole.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"

#define LOOK_WORK 2 /* is that an issuer's name and key? */

bool
path_init(struct path *p, const struct danevirke_chain *chain, size_t extra)
{
	p->n_bare = 0;
	p->steps = 0;
	p->named = false;
	if (!pool_init(&p->pool, chain, extra))
		return false;
	p->pairs = calloc(p->pool.room, POOL_CERTS);
	p->bare = calloc(p->host->n_tlsa + 1, sizeof *p->bare);
	if (p->pairs != NULL && p->bare != NULL)
		return true;
	path_free(p);
	return false;
}

void
path_free(struct path *p)
{
	pool_free(&p->pool);
	free(p->pairs);
	free(p->bare);
	p->pairs = NULL;
	p->bare = NULL;
}

/* ------------------------------------------------------------ where to end */

/* U13 is for a key that no certificate of the chain carries: one that does is
 * judged with its dates and constraints, and the leaf never is its own anchor
 * (U09). */
static bool
path_carried(struct path *p, const struct danevirke_tlsa *t)
{
	size_t i;

	for (i = 0; i < p->pool.n_chain; i++)
		if (match_record(t, &p->pool.cert[i].raw))
			return true;
	return false;
}

static void
path_find_bare(struct path *p)
{
	const struct danevirke_tlsa *t = p->host->tlsa;
	size_t i;

	for (i = 0; i < p->host->n_tlsa && !p->pkix; i++)
		if (match_in_use(&t[i], DANEVIRKE_DANE_TA) &&
		    t[i].selector == DANEVIRKE_SPKI &&
		    t[i].matching == DANEVIRKE_FULL && !path_carried(p, &t[i]))
			p->bare[p->n_bare++] = i;
}

/* Usages 0 and 1: a path to the CA file holds, does a record agree? */
static bool
path_pkix(struct path *p, size_t depth)
{
	const struct danevirke_host *h = p->host;
	size_t i, j, last;

	for (i = 0; i < h->n_tlsa; i++) {
		if (match_in_use(&h->tlsa[i], DANEVIRKE_PKIX_EE))
			j = last = 0;
		else if (match_in_use(&h->tlsa[i], DANEVIRKE_PKIX_TA)) {
			j = 1;
			last = depth;
		} else
			continue;
		for (; j <= last; j++) {
			if (match_record(
				&h->tlsa[i], &p->pool.cert[p->at[j]].raw))
				return match_accept(p->pool.v, h, i, j);
		}
	}
	return pool_fail(&p->pool, NOT_NAMED, DANEVIRKE_VALIDATION_FAILURE,
	    "no certificate of the path to the CA file matches a record");
}

/* H04 */
static bool
path_mta_sts(struct path *p, size_t depth)
{
	struct danevirke_verdict *v = p->pool.v;

	v->verified = 1;
	v->depth = (int)depth;
	v->result = DANEVIRKE_RESULT_NONE;
	snprintf(v->text, sizeof v->text,
	    "certificate of the host, from a CA of %s at depth %zu",
	    p->host->ca_file, depth);
	return true;
}

/* Does the path end here? */
static bool
path_ends(struct path *p, size_t depth)
{
	const struct danevirke_host *h = p->host;
	const struct pool_cert *c = &p->pool.cert[p->at[depth]];
	size_t i;

	if (p->pkix || p->mta_sts)
		return depth > 0 && c->ca && proof_holds(p, depth, true) &&
		    (p->pkix ? path_pkix : path_mta_sts)(p, depth);
	if (depth > 0 && c->record >= 0 && /* U08, U09 */
	    proof_holds(p, depth, true))
		return match_accept(p->pool.v, h, (size_t)c->record, depth);
	for (i = 0; i < p->n_bare && !(p->pool.limits & LIMIT_WORK); i++)
		if (sign_by_key(
			&p->pool, p->at[depth], depth, &h->tlsa[p->bare[i]]) &&
		    proof_holds(p, depth, false))
			return match_accept(
			    p->pool.v, h, p->bare[i], depth + 1);
	return false;
}

/* ----------------------------------------------------------- the search */

static bool
path_anchor(const struct pool_cert *c)
{
	return c->record >= 0 || c->ca;
}

static bool
path_same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* Another certificate of this subject and key in the path already?  Then what
 * this one leads to can be had without the detour, and circles of cross-signed
 * authorities end. */
static bool
path_visited(struct path *p, size_t depth, size_t place)
{
	const struct pool_cert *c = &p->pool.cert[place], *d;
	size_t i;

	for (i = 0; i <= depth; i++) {
		d = &p->pool.cert[p->at[i]];
		if (c == d)
			return true;
		if (i > 0 &&
		    path_same(c->raw.parts.spki, c->raw.parts.spki_len,
			d->raw.parts.spki, d->raw.parts.spki_len) &&
		    path_same(c->raw.parts.subject, c->raw.parts.subject_len,
			d->raw.parts.subject, d->raw.parts.subject_len))
			return true;
	}
	return false;
}

static bool
path_self_issued(struct path *p, size_t depth)
{
	gnutls_x509_crt_t crt = pool_crt(&p->pool, p->at[depth]);

	return gnutls_x509_crt_check_issuer(crt, crt) != 0;
}

static bool path_extend(struct path *, size_t depth);

/* By issuer and key identifier; signatures are proven when the path ends. */
static bool
path_extend_by(struct path *p, size_t depth, size_t place)
{
	struct pool_cert *child = &p->pool.cert[p->at[depth]],
			 *c = &p->pool.cert[place];

	if (!match_walk(&c->raw) ||
	    !path_same(child->raw.parts.issuer, child->raw.parts.issuer_len,
		c->raw.parts.subject, c->raw.parts.subject_len) ||
	    path_visited(p, depth, place) ||
	    pool_crt(&p->pool, place) == NULL ||
	    !pool_work(&p->pool, LOOK_WORK) ||
	    !gnutls_x509_crt_check_issuer(child->crt, c->crt))
		return false;
	p->at[depth + 1] = place;
	return path_extend(p, depth + 1);
}

static bool
path_extend(struct path *p, size_t depth)
{
	size_t i, pass;

	if (++p->steps > PATH_STEPS) {
		p->pool.limits |= LIMIT_STEPS;
		return false;
	}
	if (path_ends(p, depth))
		return true;
	/* what has issued itself leads nowhere else */
	if (depth > 0 && path_self_issued(p, depth))
		return false;
	if (depth + 1 >= PATH_DEPTH) {
		p->pool.limits |= LIMIT_DEPTH;
		return false;
	}
	for (pass = 0; pass < 2; pass++) /* anchors first: shorter paths */
		for (i = 1; i < p->pool.n; i++)
			if (path_anchor(&p->pool.cert[i]) == (pass == 0) &&
			    path_extend_by(p, depth, i))
				return true;
	return false;
}

bool
path_search(struct path *p)
{
	bool worth;
	size_t i;

	path_find_bare(p);
	worth = p->n_bare > 0;
	for (i = 1; i < p->pool.n; i++)
		worth |= path_anchor(&p->pool.cert[i]);
	if (!worth)
		return false;
	if (pool_crt(&p->pool, 0) == NULL)
		return pool_fail(&p->pool, NOT_TRUSTED,
		    DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		    "the server's certificate cannot be read, or is overladen");
	return path_extend(p, 0);
}

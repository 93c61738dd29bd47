/* SPDX-License-Identifier: ISC */
/*
 * Does a TLSA record name this certificate (RFC 6698 2.1)?  A comparison of
 * octets, as received (U17).  Pure.
 */
#include <gnutls/crypto.h>
#include <stdio.h>
#include <string.h>

#include "match.h"

bool
match_in_use(const struct danevirke_tlsa *t, int usage)
{
	return t->use == 1 && t->usage == usage && t->data != NULL;
}

bool
match_walk(struct match_cert *c)
{
	if (!c->walked) {
		c->walked = true;
		c->is_cert = cert_parts(c->der, c->len, &c->parts) == 0;
	}
	return c->is_cert;
}

/* Of the octets as received (U17), made once.  NULL: cannot be made. */
static const uint8_t *
match_digest(struct match_cert *c, int selector, int matching, const uint8_t *p,
    size_t len)
{
	int s = selector == DANEVIRKE_SPKI, m = matching == DANEVIRKE_SHA2_512;

	if (!c->digested[s][m] &&
	    gnutls_hash_fast(m ? GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHA256, p, len,
		c->digest[s][m]) == 0)
		c->digested[s][m] = true;
	return c->digested[s][m] ? c->digest[s][m] : NULL;
}

bool
match_record(const struct danevirke_tlsa *t, struct match_cert *c)
{
	const uint8_t *p = c->der;
	size_t len = c->len;

	if (t->selector == DANEVIRKE_SPKI) {
		if (!match_walk(c))
			return false;
		p = c->parts.spki;
		len = c->parts.spki_len;
	} else if (t->selector != DANEVIRKE_CERT || p == NULL)
		return false;
	switch (t->matching) {
	case DANEVIRKE_FULL:
		return t->len == len && memcmp(t->data, p, len) == 0;
	case DANEVIRKE_SHA2_256:
	case DANEVIRKE_SHA2_512:
		if (t->len != (t->matching == DANEVIRKE_SHA2_256 ? 32 : 64))
			return false;
		p = match_digest(c, t->selector, t->matching, p, len);
		return p != NULL && memcmp(t->data, p, t->len) == 0;
	}
	return false;
}

bool
match_accept(struct danevirke_verdict *v, const struct danevirke_host *host,
    size_t record, size_t depth)
{
	char type[80];

	tlsa_text(&host->tlsa[record], type, sizeof type);
	v->verified = 1;
	v->index = (int)record;
	v->depth = (int)depth;
	v->usage = host->tlsa[record].usage;
	v->result = DANEVIRKE_RESULT_NONE;
	snprintf(
	    v->text, sizeof v->text, "matched %s at depth %zu", type, depth);
	return true;
}

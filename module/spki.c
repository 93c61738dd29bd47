/* SPDX-License-Identifier: ISC */
/*
 * A strict walk through the DER of a certificate to its public key, as the
 * octets that were received (U17), and on into that key: how large is it, and
 * how much else is there?  No memory, no copy, no X.509: for DANE-EE nothing
 * else of the certificate counts (U07).  Pure.
 */
#include <stdio.h>
#include <string.h>

#include "spki.h"

#define BOOLEAN 0x01
#define INTEGER 0x02
#define BIT_STRING 0x03
#define OCTET_STRING 0x04
#define OBJECT_ID 0x06
#define SEQUENCE 0x30
#define CONTEXT_0 0xa0
#define CONTEXT_1 0x81
#define CONTEXT_2 0x82
#define CONTEXT_3 0xa3

#define ED_OID 3      /* octets of the name of an EdDSA key */
#define EXTENSIONS 64 /* in a certificate, at most */

struct der {
	const uint8_t *p;
	size_t len;
};

/* Takes one element with this tag off the front of in; body is its content.
 * Definite, minimal lengths of at most three octets (16 MiB). */
static bool
spki_take(struct der *in, uint8_t tag, struct der *body)
{
	size_t head = 2, len, n, i;

	if (in->len < 2 || in->p[0] != tag)
		return false;
	len = in->p[1];
	if (len >= 0x80) {
		n = len & 0x7f;
		if (n == 0 || n > 3 || in->len < 2 + n || in->p[2] == 0)
			return false; /* indefinite, huge, padded */
		for (len = 0, i = 0; i < n; i++)
			len = len << 8 | in->p[2 + i];
		if (len < 0x80)
			return false; /* the short form would do */
		head += n;
	}
	if (len > in->len - head)
		return false;
	body->p = in->p + head;
	body->len = len;
	in->p += head + len;
	in->len -= head + len;
	return true;
}

static bool
spki_skip(struct der *in, uint8_t tag)
{
	struct der body;

	return spki_take(in, tag, &body);
}

static bool
skip_optional(struct der *in, uint8_t tag)
{
	return in->len == 0 || in->p[0] != tag || spki_skip(in, tag);
}

/* SubjectPublicKeyInfo ::= SEQUENCE { AlgorithmIdentifier, BIT STRING } */
static bool
is_spki(struct der body)
{
	struct der algorithm, key;

	return spki_take(&body, SEQUENCE, &algorithm) &&
	    spki_take(&algorithm, OBJECT_ID, &key) && key.len > 0 &&
	    (algorithm.len == 0 || spki_skip(&algorithm, algorithm.p[0])) &&
	    algorithm.len == 0 && spki_take(&body, BIT_STRING, &key) &&
	    key.len >= 2 && key.p[0] == 0 && body.len == 0;
}

int
spki_check(const uint8_t *der, size_t len)
{
	struct der in = { der, len }, body;

	return der != NULL && spki_take(&in, SEQUENCE, &body) && in.len == 0 &&
		is_spki(body) ?
	    0 :
	    -1;
}

/* Certificate ::= SEQUENCE { TBSCertificate, AlgorithmIdentifier, BIT STRING }
 * and nothing behind it (RFC 5280 4.1).  start is the header of tbs. */
static bool
is_cert(struct der in, const uint8_t **start, struct der *tbs)
{
	struct der cert, signature;

	if (in.p == NULL || !spki_take(&in, SEQUENCE, &cert) || in.len != 0)
		return false;
	*start = cert.p;
	return spki_take(&cert, SEQUENCE, tbs) &&
	    spki_skip(&cert, SEQUENCE) && /* signatureAlgorithm */
	    spki_take(&cert, BIT_STRING, &signature) && signature.len > 0 &&
	    cert.len == 0;
}

/* One element that must be there; where it is, header and all. */
static bool
spki_whole(struct der *in, uint8_t tag, const uint8_t **p, size_t *len)
{
	*p = in->p;
	if (!spki_skip(in, tag))
		return false;
	*len = (size_t)(in->p - *p);
	return true;
}

int
cert_parts(const uint8_t *der, size_t len, struct cert_parts *c)
{
	struct der tbs, body, list;

	memset(c, 0, sizeof *c);
	if (!is_cert((struct der){ der, len }, &c->tbs, &tbs))
		return -1;
	c->tbs_len = (size_t)(tbs.p + tbs.len - c->tbs);
	if (!skip_optional(&tbs, CONTEXT_0) || /* version */
	    !spki_take(&tbs, INTEGER, &body) ||
	    body.len == 0 ||              /* serialNumber */
	    !spki_skip(&tbs, SEQUENCE) || /* signature */
	    !spki_whole(&tbs, SEQUENCE, &c->issuer, &c->issuer_len) ||
	    !spki_skip(&tbs, SEQUENCE) || /* validity */
	    !spki_whole(&tbs, SEQUENCE, &c->subject, &c->subject_len) ||
	    !spki_whole(&tbs, SEQUENCE, &c->spki, &c->spki_len) ||
	    spki_check(c->spki, c->spki_len) != 0 ||
	    !skip_optional(&tbs, CONTEXT_1) || /* issuerUniqueID */
	    !skip_optional(&tbs, CONTEXT_2))   /* subjectUniqueID */
		return -1;
	body = tbs;
	if (!skip_optional(&tbs, CONTEXT_3) || tbs.len != 0)
		return -1;
	if (body.len > 0 && spki_take(&body, CONTEXT_3, &list)) {
		c->extensions = list.p;
		c->extensions_len = list.len;
	}
	return 0;
}

int
spki_find(
    const uint8_t *der, size_t len, const uint8_t **spki, size_t *spki_len)
{
	struct cert_parts c;

	if (cert_parts(der, len, &c) != 0)
		return -1;
	*spki = c.spki;
	*spki_len = c.spki_len;
	return 0;
}

int
request_spki(
    const uint8_t *der, size_t len, const uint8_t **spki, size_t *spki_len)
{
	struct der in = { der, len }, request, info;

	return spki_take(&in, SEQUENCE, &request) && in.len == 0 &&
		spki_take(&request, SEQUENCE, &info) &&
		spki_skip(&info, INTEGER) &&  /* version */
		spki_skip(&info, SEQUENCE) && /* subject */
		spki_whole(&info, SEQUENCE, spki, spki_len) ?
	    0 :
	    -1;
}

bool
der_sequence(const uint8_t *der, size_t len)
{
	struct der in = { der, len };

	return spki_skip(&in, SEQUENCE) && in.len == 0;
}

/* --------------------------------------------------------------- how much */

/* Elements, and what is inside them, as far as that is DER. */
static int
cert_elements(const uint8_t *p, size_t len)
{
	struct der in = { p, len }, body;
	bool inside;
	int n = 0;

	while (in.len > 0) {
		p = in.p;
		inside = *p & 0x20; /* constructed */
		len = in.len;
		if (!spki_take(&in, *p, &body))
			break;
		n++;
		if (inside) { /* go on behind its header */
			len -= (size_t)(body.p - p);
			in = (struct der){ body.p, len };
		}
	}
	return n;
}

/* What the extensions are in; false: a list that is none. */
static bool
cert_list(const struct cert_parts *c, struct der *list)
{
	struct der in = { c->extensions, c->extensions_len };

	return in.p != NULL && spki_take(&in, SEQUENCE, list) && in.len == 0;
}

/* Takes one off the front. */
static bool
cert_next(struct der *list, struct der *oid, struct der *value)
{
	struct der one;

	return spki_take(list, SEQUENCE, &one) &&
	    spki_take(&one, OBJECT_ID, oid) && skip_optional(&one, BOOLEAN) &&
	    spki_take(&one, OCTET_STRING, value) && one.len == 0;
}

int
cert_weight(const struct cert_parts *c)
{
	int n = cert_elements(c->tbs, c->tbs_len), i;
	struct der list, oid, value;

	if (c->extensions == NULL)
		return n;
	if (!cert_list(c, &list))
		return -1;
	for (i = 0; list.len > 0; i++) {
		if (i == EXTENSIONS || !cert_next(&list, &oid, &value))
			return -1;
		n += cert_elements(value.p, value.len);
	}
	return n;
}

size_t
cert_extension(const struct cert_parts *c, uint8_t n)
{
	const uint8_t id[] = { 0x55, 0x1d, n };
	struct der list, oid, value;
	size_t len = 0;

	if (cert_list(c, &list))
		while (cert_next(&list, &oid, &value))
			if (oid.len == sizeof id &&
			    memcmp(oid.p, id, sizeof id) == 0 &&
			    value.len > len)
				len = value.len;
	return len;
}

/* ---------------------------------------------------------------- the key */

static bool
spki_begins(const struct der *in, const char *octets, size_t len)
{
	return in->len >= len && memcmp(in->p, octets, len) == 0;
}
#define BEGINS(in, octets) spki_begins(in, octets, sizeof(octets) - 1)

/* RFC 8017 A.1.1 (some write RSAES-OAEP or a signature where rsaEncryption
 * belongs), RFC 5480 2.1.1, RFC 8410 3, RFC 3279 2.3.2; and X.509's own RSA */
static enum spki_kind
spki_kind_of(const struct der *oid)
{
	if (BEGINS(oid, "\x2a\x86\x48\x86\xf7\x0d\x01\x01") ||
	    BEGINS(oid, "\x55\x08\x01\x01"))
		return SPKI_RSA;
	if (BEGINS(oid, "\x2a\x86\x48\xce\x3d\x02\x01") ||
	    BEGINS(oid, "\x2b\x65\x70") || BEGINS(oid, "\x2b\x65\x71"))
		return SPKI_CURVE;
	return BEGINS(oid, "\x2a\x86\x48\xce\x38\x04\x01") ? SPKI_DSA :
							     SPKI_UNKNOWN;
}

static size_t
spki_bits(struct der number)
{
	size_t n;
	uint8_t first;

	while (number.len > 0 && *number.p == 0) {
		number.p++;
		number.len--;
	}
	if (number.len == 0)
		return 0;
	n = 8 * (number.len - 1);
	for (first = *number.p; first != 0; first >>= 1)
		n++;
	return n;
}

/* RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER } */
static bool
spki_rsa(struct der in, struct spki_key *k)
{
	struct der body, n, e;

	if (!spki_take(&in, SEQUENCE, &body) || in.len != 0 ||
	    !spki_take(&body, INTEGER, &n) || !spki_take(&body, INTEGER, &e) ||
	    body.len != 0)
		return false;
	k->bits = spki_bits(n);
	k->exponent = spki_bits(e);
	return true;
}

struct spki_key
spki_key(const uint8_t *spki, size_t len)
{
	struct spki_key k = { SPKI_UNKNOWN, 0, 0 };
	struct der in = { spki, len }, body, algorithm, oid, key;

	if (spki_check(spki, len) != 0 || !spki_take(&in, SEQUENCE, &body) ||
	    !spki_take(&body, SEQUENCE, &algorithm) ||
	    !spki_take(&algorithm, OBJECT_ID, &oid) ||
	    !spki_take(&body, BIT_STRING, &key))
		return k;
	key.p++; /* how many bits are unused */
	key.len--;
	k.kind = spki_kind_of(&oid);
	if (k.kind == SPKI_RSA && !spki_rsa(key, &k))
		k.kind = SPKI_UNKNOWN;
	else if (k.kind == SPKI_CURVE && oid.len == ED_OID)
		k.bits = 8 * key.len;
	else if (k.kind == SPKI_CURVE) /* SEC 1 2.3.3: two numbers, or one */
		k.bits = (*key.p == 4 ? 4 : 8) * (key.len - 1);
	return k;
}

bool
spki_bounded(const struct spki_key *k, char *why, size_t size)
{
	if (k->kind == SPKI_CURVE) /* as large as its curve */
		return true;
	if (k->kind == SPKI_DSA)
		snprintf(why, size, "DSA");
	else if (k->kind != SPKI_RSA)
		snprintf(why, size, "of a kind that is not known");
	else if (k->bits > SPKI_RSA_BITS)
		snprintf(why, size, "RSA with %zu bits: more than %d", k->bits,
		    SPKI_RSA_BITS);
	else if (k->exponent > SPKI_EXPONENT)
		snprintf(why, size,
		    "RSA with an exponent of %zu bits: more than %d",
		    k->exponent, SPKI_EXPONENT);
	else
		return true;
	return false;
}

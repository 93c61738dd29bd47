/* SPDX-License-Identifier: ISC */
/*
 * A strict walk through the DER of a certificate to its public key, as the
 * octets that were received (U17).  No memory, no copy, no X.509: for
 * DANE-EE nothing else of the certificate counts (U07).  Pure.
 */
#include "module.h"

#define INTEGER 0x02
#define BIT_STRING 0x03
#define OBJECT_ID 0x06
#define SEQUENCE 0x30
#define CONTEXT_0 0xa0
#define CONTEXT_1 0x81
#define CONTEXT_2 0x82
#define CONTEXT_3 0xa3

struct der {
	const uint8_t *p;
	size_t len;
};

/* Takes one element with this tag off the front of in; body is its content.
 * Definite, minimal lengths of at most three octets (16 MiB). */
static bool
take(struct der *in, uint8_t tag, struct der *body)
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
skip(struct der *in, uint8_t tag)
{
	struct der body;

	return take(in, tag, &body);
}

static bool
skip_optional(struct der *in, uint8_t tag)
{
	return in->len == 0 || in->p[0] != tag || skip(in, tag);
}

/* SubjectPublicKeyInfo ::= SEQUENCE { AlgorithmIdentifier, BIT STRING } */
static bool
is_spki(struct der body)
{
	struct der algorithm, key;

	return take(&body, SEQUENCE, &algorithm) &&
	    take(&algorithm, OBJECT_ID, &key) && key.len > 0 &&
	    (algorithm.len == 0 || skip(&algorithm, algorithm.p[0])) &&
	    algorithm.len == 0 && take(&body, BIT_STRING, &key) &&
	    key.len >= 2 && key.p[0] == 0 && body.len == 0;
}

int
spki_check(const uint8_t *der, size_t len)
{
	struct der in = { der, len }, body;

	return der != NULL && take(&in, SEQUENCE, &body) && in.len == 0 &&
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

	if (in.p == NULL || !take(&in, SEQUENCE, &cert) || in.len != 0)
		return false;
	*start = cert.p;
	return take(&cert, SEQUENCE, tbs) &&
	    skip(&cert, SEQUENCE) && /* signatureAlgorithm */
	    take(&cert, BIT_STRING, &signature) && signature.len > 0 &&
	    cert.len == 0;
}

/* What the issuer has signed: the first element in the outer SEQUENCE. */
int
cert_tbs(const uint8_t *der, size_t len, const uint8_t **tbs, size_t *tbs_len)
{
	const uint8_t *start;
	struct der body;

	if (!is_cert((struct der){ der, len }, &start, &body))
		return -1;
	*tbs = start;
	*tbs_len = (size_t)(body.p + body.len - start);
	return 0;
}

int
spki_find(
    const uint8_t *der, size_t len, const uint8_t **spki, size_t *spki_len)
{
	struct der tbs, body, key;
	const uint8_t *start;

	if (!is_cert((struct der){ der, len }, &start, &tbs))
		return -1;
	if (!skip_optional(&tbs, CONTEXT_0) ||              /* version */
	    !take(&tbs, INTEGER, &body) || body.len == 0 || /* serialNumber */
	    !skip(&tbs, SEQUENCE) ||                        /* signature */
	    !skip(&tbs, SEQUENCE) ||                        /* issuer */
	    !skip(&tbs, SEQUENCE) ||                        /* validity */
	    !skip(&tbs, SEQUENCE))                          /* subject */
		return -1;
	start = tbs.p;
	if (!take(&tbs, SEQUENCE, &key) || !is_spki(key))
		return -1;
	body = tbs;
	if (!skip_optional(&tbs, CONTEXT_1) || /* issuerUniqueID */
	    !skip_optional(&tbs, CONTEXT_2) || /* subjectUniqueID */
	    !skip_optional(&tbs, CONTEXT_3) || /* extensions */
	    tbs.len != 0)
		return -1;
	*spki = start;
	*spki_len = (size_t)(body.p - start);
	return 0;
}

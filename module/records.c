/* SPDX-License-Identifier: ISC */
/*
 * The records of a DNS message, where they lie (RFC 1035 4.1).  Much of it is
 * what some stranger's server sent, so every octet is read behind a bound, and
 * whatever does not fit exactly makes the lookup an ERROR (M11).  Pure.
 */
#include <stdio.h>
#include <string.h>

#include "records.h"

#define HEADER_LEN 12
#define CLASS_IN 1
#define RCODE_NXDOMAIN 3
#define RECORDS_MAX 1024 /* in an answer section (M11, U20) */
#define WHY_MAX 800      /* octets of a reason */

#define FLAG_QR 0x80
#define FLAG_TC 0x02

uint16_t
records_16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t
records_32(const uint8_t *p)
{
	return (uint32_t)records_16(p) << 16 | records_16(p + 2);
}

size_t
records_name(const struct packet *p, size_t off, struct wire *w)
{
	return wire_read(p->data, p->len, off, w);
}

bool
records_owner_is(
    const struct packet *p, const struct record *r, const struct wire *w)
{
	struct wire owner;

	return records_name(p, r->owner, &owner) != 0 && wire_equal(&owner, w);
}

/* A name that fills RDATA from skip to its end. */
bool
records_rdata_name(
    const struct packet *p, const struct record *r, size_t skip, struct wire *w)
{
	return r->len > skip &&
	    records_name(p, r->rdata + skip, w) == r->rdata + r->len;
}

/*
 * Text from a server's zone or the library: one printable line.  Ours is the
 * format; what is in it may be anything.
 */
const char *
records_line(struct arena *a, const char *s)
{
	size_t len = strnlen(s, WHY_MAX), i;
	char *t;

	if ((t = arena_alloc(a, len + 1)) == NULL)
		return "out of memory";
	for (i = 0; i < len; i++)
		t[i] = text_char(s[i]);
	while (len > 0 && t[len - 1] == ' ')
		t[--len] = '\0';
	return t;
}

/* The result becomes an ERROR without content, with this reason; a bogus one
 * keeps its first reason in front. */
bool
records_refuse(struct packet *p, const char *fmt, ...)
{
	struct dns_result *out = p->out;
	char buf[WHY_MAX];
	va_list ap;
	int n = 0;

	if (p->bogus != NULL)
		n = snprintf(buf, sizeof buf, "%.400s; ", p->bogus);
	va_start(ap, fmt);
	vsnprintf(buf + n, sizeof buf - (size_t)n, fmt, ap);
	va_end(ap);
	out->state = DANEVIRKE_ERROR;
	out->content = out->nxdomain = false;
	out->n_alias = 0;
	out->dname = NULL;
	out->rr = NULL;
	out->n_rr = 0;
	out->signed_until = 0;
	out->ttl = TTL_FAILED;
	out->why = records_line(p->arena, buf);
	return false;
}

static const char *
records_rcode(int rcode, char buf[16])
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL",
		"NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET",
		"NXRRSET", "NOTAUTH", "NOTZONE" };

	if (rcode >= 0 && rcode < (int)(sizeof names / sizeof *names))
		return names[rcode];
	snprintf(buf, 16, "rcode %d", rcode);
	return buf;
}

/* D03: anything but an answer is an ERROR, and says which. */
bool
records_refuse_rcode(struct packet *p, int rcode, const char *why)
{
	char buf[16];

	if (p->bogus == NULL && why != NULL && *why != '\0')
		return records_refuse(
		    p, "%s: %s", records_rcode(rcode, buf), why);
	if (rcode == 2)
		return records_refuse(
		    p, "SERVFAIL: no server gave a usable answer");
	return records_refuse(
	    p, "%s: the servers refuse to answer", records_rcode(rcode, buf));
}

/* Header and question (RFC 1035 4.1.1, 4.1.2). */
bool
records_head(struct packet *p, const struct wire *qname, int type)
{
	struct wire name;
	const uint8_t *d = p->data;
	int rcode;

	if (p->len < HEADER_LEN)
		return records_refuse(
		    p, "malformed answer: %zu octets", p->len);
	if ((d[2] & FLAG_QR) == 0 || (d[2] & 0x78) != 0)
		return records_refuse(p, "malformed answer: not a response");
	rcode = d[3] & 0x0f;
	/* D04: both are answers */
	if (rcode != 0 && rcode != RCODE_NXDOMAIN)
		return records_refuse_rcode(p, rcode, NULL);
	if ((d[2] & FLAG_TC) != 0)
		return records_refuse(p, "truncated answer"); /* M11 */
	if (records_16(d + 4) != 1 ||
	    (p->at = records_name(p, HEADER_LEN, &name)) == 0 ||
	    p->len - p->at < 4)
		return records_refuse(p, "malformed answer: question section");
	if (!wire_equal(&name, qname) || records_16(d + p->at) != type ||
	    records_16(d + p->at + 2) != CLASS_IN)
		return records_refuse(
		    p, "malformed answer: it is to another question");
	p->at += 4;
	p->n_answer = records_16(d + 6);
	p->n_auth = records_16(d + 8);
	if (p->n_answer > RECORDS_MAX || p->n_auth > RECORDS_MAX)
		return records_refuse(p,
		    "answer of %zu records: more than %d are not taken",
		    p->n_answer > p->n_auth ? p->n_answer : p->n_auth,
		    RECORDS_MAX); /* M11 */
	p->out->nxdomain = rcode == RCODE_NXDOMAIN;
	return true;
}

/* RFC 2181 8: a TTL with the top bit set is zero. */
uint32_t
records_ttl_original(uint32_t ttl)
{
	return ttl > INT32_MAX ? 0 : ttl;
}

uint32_t
records_ttl(uint32_t ttl)
{
	ttl = records_ttl_original(ttl);
	return ttl > TTL_MAX ? TTL_MAX : ttl;
}

/* The record at p->at, and p->at behind it. */
bool
records_next(struct packet *p, struct record *r)
{
	struct wire name;
	const uint8_t *d;

	r->owner = p->at;
	if ((p->at = records_name(p, p->at, &name)) == 0 || p->len - p->at < 10)
		return records_refuse(p, "malformed answer: cut off record");
	d = p->data + p->at;
	p->at += 10;
	r->type = records_16(d);
	r->ttl = records_ttl(records_32(d + 4));
	r->len = records_16(d + 8);
	r->rdata = p->at;
	if (p->len - p->at < r->len)
		return records_refuse(p, "malformed answer: cut off record");
	if (records_16(d + 2) != CLASS_IN)
		return records_refuse(p, "malformed answer: record of class %u",
		    records_16(d + 2));
	p->at += r->len;
	return true;
}

bool
records_answers(struct packet *p)
{
	size_t i;

	p->answer = arena_array(p->arena, p->n_answer, sizeof *p->answer);
	if (p->answer == NULL)
		return records_refuse(p, "out of memory");
	for (i = 0; i < p->n_answer; i++)
		if (!records_next(p, &p->answer[i]))
			return false;
	return true;
}

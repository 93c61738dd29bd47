/* SPDX-License-Identifier: ISC */
/*
 * packet.c - a DNS message to a struct dns_result
 *
 * Pure: no network, clock or engine.  The message has come through the
 * resolver library, but much of it is still what some stranger's server sent,
 * so every octet is read behind a bound, and whatever does not fit exactly
 * makes the lookup an ERROR, never "no such record" (D03, M11).
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "module.h"
#include "packet.h"

#define HEADER_LEN 12
#define CLASS_IN 1
#define RCODE_NXDOMAIN 3
#define TTL_MAX 86400 /* D15, DESIGN: a day at most */
#define TTL_FAILED \
	5                /* D15: failures, and denials without
					 * a SOA that says how long */
#define RECORDS_MAX 1024 /* in an answer section (M11, U20) */
#define SIGS_MAX 64      /* RRSIGs whose end is looked at */
#define WHY_MAX 800      /* octets of a reason */

#define FLAG_QR 0x80
#define FLAG_TC 0x02

/* One record of the message, where it lies. */
struct record {
	size_t owner, rdata; /* offsets */
	size_t len;          /* of rdata */
	uint32_t ttl;
	uint16_t type;
};

struct packet {
	struct arena *arena;
	const uint8_t *data;
	size_t len, at;
	struct record *answer;
	size_t n_answer;
	size_t n_auth;
	struct dns_result *out;
	const char *bogus; /* sec 1: why; else NULL */
};

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static size_t
name_read(const struct packet *p, size_t off, struct wire *w)
{
	return wire_read(p->data, p->len, off, w);
}

static bool
owner_is(const struct packet *p, const struct record *r, const struct wire *w)
{
	struct wire owner;

	return name_read(p, r->owner, &owner) != 0 && wire_equal(&owner, w);
}

/* A name that fills RDATA from skip to its end. */
static bool
rdata_name(
    const struct packet *p, const struct record *r, size_t skip, struct wire *w)
{
	return r->len > skip &&
	    name_read(p, r->rdata + skip, w) == r->rdata + r->len;
}

/*
 * Text from a server's zone or the library: one printable line.  Ours is the
 * format; what is in it may be anything.
 */
static const char *
line(struct arena *a, const char *s)
{
	size_t len = strnlen(s, WHY_MAX), i;
	char *t;

	if ((t = arena_alloc(a, len + 1)) == NULL)
		return "out of memory";
	for (i = 0; i < len; i++)
		t[i] = isprint((unsigned char)s[i]) ? s[i] : '?';
	while (len > 0 && t[len - 1] == ' ')
		t[--len] = '\0';
	return t;
}

/* The result becomes an ERROR without content, with this reason; a bogus one
 * keeps its first reason in front. */
static bool __attribute__((format(printf, 2, 3)))
refuse(struct packet *p, const char *fmt, ...)
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
	out->why = line(p->arena, buf);
	return false;
}

static const char *
rcode_name(int rcode, char buf[16])
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
static bool
refuse_rcode(struct packet *p, int rcode, const char *why)
{
	char buf[16];

	if (p->bogus == NULL && why != NULL && *why != '\0')
		return refuse(p, "%s: %s", rcode_name(rcode, buf), why);
	if (rcode == 2)
		return refuse(p, "SERVFAIL: no server gave a usable answer");
	return refuse(
	    p, "%s: the servers refuse to answer", rcode_name(rcode, buf));
}

/* Header and question (RFC 1035 4.1.1, 4.1.2). */
static bool
read_head(struct packet *p, const struct wire *qname, int type)
{
	struct wire name;
	const uint8_t *d = p->data;
	int rcode;

	if (p->len < HEADER_LEN)
		return refuse(p, "malformed answer: %zu octets", p->len);
	if ((d[2] & FLAG_QR) == 0 || (d[2] & 0x78) != 0)
		return refuse(p, "malformed answer: not a response");
	rcode = d[3] & 0x0f;
	/* D04: both are answers */
	if (rcode != 0 && rcode != RCODE_NXDOMAIN)
		return refuse_rcode(p, rcode, NULL);
	if ((d[2] & FLAG_TC) != 0)
		return refuse(p, "truncated answer"); /* M11 */
	if (get16(d + 4) != 1 ||
	    (p->at = name_read(p, HEADER_LEN, &name)) == 0 ||
	    p->len - p->at < 4)
		return refuse(p, "malformed answer: question section");
	if (!wire_equal(&name, qname) || get16(d + p->at) != type ||
	    get16(d + p->at + 2) != CLASS_IN)
		return refuse(p,
		    "malformed answer: it is to another "
		    "question");
	p->at += 4;
	p->n_answer = get16(d + 6);
	p->n_auth = get16(d + 8);
	if (p->n_answer > RECORDS_MAX || p->n_auth > RECORDS_MAX)
		return refuse(p,
		    "answer of %zu records: more than %d are not "
		    "taken",
		    p->n_answer > p->n_auth ? p->n_answer : p->n_auth,
		    RECORDS_MAX); /* M11 */
	p->out->nxdomain = rcode == RCODE_NXDOMAIN;
	return true;
}

/* RFC 2181 8: a TTL with the top bit set is zero. */
static uint32_t
ttl_original(uint32_t ttl)
{
	return ttl > INT32_MAX ? 0 : ttl;
}

static uint32_t
ttl_sane(uint32_t ttl)
{
	ttl = ttl_original(ttl);
	return ttl > TTL_MAX ? TTL_MAX : ttl;
}

/* The record at p->at, and p->at behind it. */
static bool
read_record(struct packet *p, struct record *r)
{
	struct wire name;
	const uint8_t *d;

	r->owner = p->at;
	if ((p->at = name_read(p, p->at, &name)) == 0 || p->len - p->at < 10)
		return refuse(p, "malformed answer: cut off record");
	d = p->data + p->at;
	p->at += 10;
	r->type = get16(d);
	r->ttl = ttl_sane(get32(d + 4));
	r->len = get16(d + 8);
	r->rdata = p->at;
	if (p->len - p->at < r->len)
		return refuse(p, "malformed answer: cut off record");
	if (get16(d + 2) != CLASS_IN)
		return refuse(
		    p, "malformed answer: record of class %u", get16(d + 2));
	p->at += r->len;
	return true;
}

/* RFC 4034 3.1.5: times are compared in serial number arithmetic. */
static bool
before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* When the record's signature ends, 0 if it is no RRSIG. */
static uint32_t
sig_end(const struct packet *p, const struct record *r)
{
	return r->type != TYPE_RRSIG || r->len < 18 ?
	    0 :
	    get32(p->data + r->rdata + 8);
}

static void
lower_end(struct dns_result *out, uint32_t end)
{
	if (end != 0 &&
	    (out->signed_until == 0 || before(end, out->signed_until)))
		out->signed_until = end;
}

/*
 * The first signature to end without which the answer would not hold: of the
 * several that an RRset may have, the last.  For people and monitors; the
 * resolver has already cut the TTL to it (D15).
 */
static void
read_signatures(struct packet *p, int type)
{
	const struct record *sig[SIGS_MAX], *r;
	struct wire owner;
	size_t n = 0, i, j;
	uint32_t end, ttl;
	int covered;

	for (i = 0; i < p->n_answer && n < SIGS_MAX; i++)
		if (sig_end(p, &p->answer[i]) != 0)
			sig[n++] = &p->answer[i];
	for (i = 0; i < n; i++) {
		if (name_read(p, sig[i]->owner, &owner) == 0)
			continue;
		end = sig_end(p, sig[i]);
		for (j = 0; j < n; j++) {
			r = sig[j];
			if (get16(p->data + r->rdata) ==
				get16(p->data + sig[i]->rdata) &&
			    before(end, sig_end(p, r)) &&
			    owner_is(p, r, &owner))
				end = sig_end(p, r);
		}
		lower_end(p->out, end);
		/* how long caches may hold it; a foreign signature in the
		 * answer cannot make that less */
		covered = get16(p->data + sig[i]->rdata);
		ttl = ttl_original(get32(p->data + sig[i]->rdata + 4));
		if ((covered == type || covered == TYPE_CNAME ||
			covered == TYPE_DNAME) &&
		    ttl > p->out->original_ttl)
			p->out->original_ttl = ttl;
	}
}

static bool
read_answers(struct packet *p)
{
	size_t i;

	p->answer = arena_array(p->arena, p->n_answer, sizeof *p->answer);
	if (p->answer == NULL)
		return refuse(p, "out of memory");
	for (i = 0; i < p->n_answer; i++)
		if (!read_record(p, &p->answer[i]))
			return false;
	return true;
}

static void
lower_ttl(struct dns_result *out, uint32_t ttl)
{
	if (ttl < out->ttl)
		out->ttl = ttl;
}

/* RFC 2308 5: a denial lives as long as the SOA record beside it, or as its
 * MINIMUM field says, if that is shorter; and no longer than its proof, whose
 * signatures may end first (D15). */
static bool
read_denial(struct packet *p, const struct wire *name)
{
	struct record r;
	struct wire w;
	size_t i, at;
	bool found = false;

	for (i = 0; i < p->n_auth; i++) {
		if (!read_record(p, &r))
			return false;
		lower_end(p->out, sig_end(p, &r));
		lower_ttl(p->out, r.ttl);
		if (r.type != TYPE_SOA)
			continue;
		if (name_read(p, r.owner, &w) == 0 || !wire_below(name, &w))
			continue;
		if ((at = name_read(p, r.rdata, &w)) == 0 ||
		    (at = name_read(p, at, &w)) == 0 ||
		    at + 20 != r.rdata + r.len)
			return refuse(p, "malformed answer: SOA record");
		lower_ttl(p->out, ttl_sane(get32(p->data + at + 16)));
		found = true;
	}
	if (!found)
		lower_ttl(p->out, TTL_FAILED);
	return true;
}

/* RFC 6672 2.2: does this record redirect from to to? */
static bool
redirects(const struct packet *p, const struct record *r,
    const struct wire *from, const struct wire *to)
{
	struct wire owner, made;
	size_t kept;

	if (r->type != TYPE_DNAME || name_read(p, r->owner, &owner) == 0 ||
	    owner.len >= from->len || !wire_below(from, &owner) ||
	    !rdata_name(p, r, 0, &made))
		return false;
	kept = from->len - owner.len;
	if (kept + made.len > WIRE_LEN)
		return false;
	memmove(made.data + kept, made.data, made.len);
	memcpy(made.data, from->data, kept);
	made.len += kept;
	return wire_equal(&made, to);
}

/* The owner of the DNAME that made the first alias, NULL: none did. */
static const char *
find_dname(struct packet *p, const struct wire *from, const struct wire *to)
{
	struct wire owner;
	char text[NAME_LEN];
	size_t i;

	for (i = 0; i < p->n_answer; i++)
		if (redirects(p, &p->answer[i], from, to) &&
		    name_read(p, p->answer[i].owner, &owner) != 0 &&
		    dns_name_text(owner.data, owner.len, text))
			return arena_str(p->arena, text);
	return NULL;
}

/*
 * From the name asked along its CNAMEs to the last name, by name and not by
 * the order of records.  A DNAME needs nothing to be followed: the CNAME that
 * was made from it stands beside it (D13, RFC 6672 3.1).
 */
static bool
follow(struct packet *p, struct wire *at, int type, unsigned max_alias)
{
	struct dns_result *out = p->out;
	const struct record *r, *alias;
	struct wire next;
	char text[NAME_LEN];
	bool found;
	size_t i, n = 0, n_cname = 0;

	for (i = 0; i < p->n_answer; i++)
		n_cname += p->answer[i].type == TYPE_CNAME;
	/* not more names than CNAMEs, and not more than the limit */
	if (n_cname > max_alias)
		n_cname = max_alias;
	if (n_cname > 0 && type != TYPE_CNAME) {
		const char **names = arena_array(
		    p->arena, n_cname + 1, sizeof *names);

		if (names == NULL)
			return refuse(p, "out of memory");
		names[0] = out->name[0];
		out->name = names;
	}
	for (;;) {
		alias = NULL;
		found = false;
		for (i = 0; i < p->n_answer; i++) {
			r = &p->answer[i];
			if ((r->type != type && r->type != TYPE_CNAME) ||
			    !owner_is(p, r, at))
				continue;
			if (r->type == type) {
				found = true;
				continue;
			}
			if (alias != NULL)
				return refuse(p,
				    "malformed answer: %s has "
				    "two CNAMEs",
				    out->name[n]);
			alias = r;
		}
		if (alias == NULL)
			break;
		if (found)
			return refuse(p,
			    "malformed answer: %s has a CNAME "
			    "and other data",
			    out->name[n]);
		if (n >= max_alias) /* D10 */
			return refuse(p,
			    "more than %u aliases, at %s "
			    "(limits.aliases)",
			    max_alias, out->name[n]);
		if (!rdata_name(p, alias, 0, &next) ||
		    !dns_name_text(next.data, next.len, text))
			return refuse(
			    p, "malformed answer: CNAME of %s", out->name[n]);
		for (i = 0; i <= n; i++)
			if (strcmp(out->name[i], text) == 0) /* D10 */
				return refuse(p, "alias loop at %s", text);
		if ((out->name[++n] = arena_str(p->arena, text)) == NULL)
			return refuse(p, "out of memory");
		if (n == 1)
			out->dname = find_dname(p, at, &next);
		lower_ttl(out, alias->ttl);
		*at = next;
	}
	out->n_alias = n;
	return true;
}

/* RDATA into the arena; names in it uncompressed. */
static bool
copy_rdata(struct packet *p, const struct record *r, struct dns_rr *rr)
{
	const uint8_t *src = p->data + r->rdata;
	size_t skip = r->type == TYPE_MX ? 2 : 0;
	struct wire w;
	uint8_t *d;

	switch (r->type) {
	case TYPE_A:
		if (r->len != 4)
			return refuse(p,
			    "malformed answer: A record of %zu "
			    "octets",
			    r->len);
		break;
	case TYPE_AAAA:
		if (r->len != 16)
			return refuse(p,
			    "malformed answer: AAAA record of "
			    "%zu octets",
			    r->len);
		break;
	case TYPE_MX:
	case TYPE_CNAME:
	case TYPE_DNAME:
		if (r->len < skip || !rdata_name(p, r, skip, &w))
			return refuse(p, "malformed answer: %s record",
			    r->type == TYPE_MX ? "MX" : "alias");
		if ((d = arena_alloc(p->arena, skip + w.len)) == NULL)
			return refuse(p, "out of memory");
		memcpy(d, src, skip);
		memcpy(d + skip, w.data, w.len);
		rr->data = d;
		rr->len = skip + w.len;
		return true;
	default: /* Q06: a short TLSA is one bad record */
		break;
	}
	if ((d = arena_alloc(p->arena, r->len + 1)) == NULL)
		return refuse(p, "out of memory");
	memcpy(d, src, r->len);
	rr->data = d;
	rr->len = r->len;
	return true;
}

static bool
collect(struct packet *p, const struct wire *at, int type)
{
	struct dns_result *out = p->out;
	struct dns_rr *rr;
	size_t i, n = 0;

	for (i = 0; i < p->n_answer; i++)
		n += p->answer[i].type == type &&
		    owner_is(p, &p->answer[i], at);
	if (n == 0)
		return read_denial(p, at);
	if (out->nxdomain)
		return refuse(p, "malformed answer: NXDOMAIN with records");
	if (type == TYPE_CNAME && n > 1)
		return refuse(
		    p, "malformed answer: %s has two CNAMEs", out->name[0]);
	if ((rr = arena_array(p->arena, n, sizeof *rr)) == NULL)
		return refuse(p, "out of memory");
	for (i = 0, n = 0; i < p->n_answer; i++) {
		if (p->answer[i].type != type ||
		    !owner_is(p, &p->answer[i], at))
			continue;
		if (!copy_rdata(p, &p->answer[i], &rr[n++]))
			return false;
		lower_ttl(out, p->answer[i].ttl);
	}
	out->rr = rr;
	out->n_rr = n;
	return true;
}

/* What an ERROR needs at least: the name asked, and a reason. */
static bool
begin(struct arena *arena, const char *qname, struct dns_result *out)
{
	const char **names;

	memset(out, 0, sizeof *out);
	out->ttl = TTL_FAILED;
	out->why = "out of memory";
	if ((names = arena_alloc(arena, sizeof *names)) == NULL ||
	    (names[0] = arena_str(arena, qname)) == NULL)
		return false;
	out->name = names;
	return true;
}

void
dns_fail(struct arena *arena, const char *qname, const char *why,
    struct dns_result *out)
{
	if (begin(arena, qname, out))
		out->why = line(arena, why);
}

/* P02, D15: as if the library itself had called it bogus */
void
dns_doubt(struct arena *arena, const char *why, struct dns_result *out)
{
	out->state = DANEVIRKE_ERROR;
	out->content = true;
	out->signed_until = 0;
	out->why = line(arena, why);
	lower_ttl(out, TTL_FAILED);
}

void
dns_parse(struct arena *arena, const char *qname, int type, int rcode,
    const uint8_t *pkt, size_t len, int sec, const char *why,
    unsigned max_alias, struct dns_result *out)
{
	struct packet p = {
		.arena = arena, .data = pkt, .len = len, .out = out
	};
	struct wire at;
	char text[NAME_LEN];

	if (!begin(arena, qname, out))
		return;
	/* D03: bogus comes with rcode 0 and a packet, so it is tested first */
	if (sec == 1)
		p.bogus = why != NULL && *why != '\0' ? why :
							"validation failure";
	if (!wire_parse(qname, &at) || !dns_name_text(at.data, at.len, text)) {
		refuse(&p, "\"%s\" is not a domain name", qname);
		return;
	}
	if ((out->name[0] = arena_str(arena, text)) == NULL) {
		out->name = NULL;
		return;
	}
	/* An rcode here means that there is no packet to read, and no state:
	 * even NXDOMAIN would be a claim that nobody has validated. */
	if (rcode != 0) {
		refuse_rcode(&p, rcode, why);
		return;
	}
	if (sec < 0 || sec > 2) { /* D02 */
		refuse(&p, "the resolver gave no DNSSEC state");
		return;
	}
	if (pkt == NULL) {
		refuse(&p, "the resolver gave no answer");
		return;
	}
	out->ttl = TTL_MAX;
	if (!read_head(&p, &at, type) || !read_answers(&p) ||
	    !follow(&p, &at, type, max_alias) || !collect(&p, &at, type))
		return;
	if (p.bogus != NULL) {
		out->signed_until = 0;
		out->content = true;        /* P02 */
		lower_ttl(out, TTL_FAILED); /* D15 */
		out->why = line(arena, p.bogus);
		return;
	}
	out->why = "";
	out->state = sec == 2 ? DANEVIRKE_SECURE : DANEVIRKE_INSECURE;
	if (out->state == DANEVIRKE_SECURE)
		read_signatures(&p, type);
	else
		out->signed_until = 0;
}

/* SPDX-License-Identifier: ISC */
/* DNS questions and replies as bytes; see message.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"

#define HEADER_LEN 12
#define CLASS_IN 1
#define TYPE_OPT 41
#define UDP_SIZE 1232
#define FLAG_QR 0x80
#define FLAG_AA 0x04
#define FLAG_TC 0x02
#define RECORDS_MAX 256 /* of a reply; more are a reply that is BAD */

enum section { ANSWER, AUTHORITY, ADDITIONAL };

/* One record, where it lies. */
struct message_record {
	struct wire owner;
	size_t rdata, len;
	enum section section;
	int type;
};

struct message_reader {
	struct arena *arena;
	const uint8_t *pkt;
	size_t len, at;
	struct message_record *rec;
	size_t n;
};

static uint8_t *
message_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

unsigned
wire_labels(const struct wire *w)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < w->len && w->data[i] != 0; i += 1u + w->data[i])
		n++;
	return n;
}

struct wire
wire_up(const struct wire *w)
{
	struct wire up = { .len = w->len - 1 - w->data[0] };

	memcpy(up.data, w->data + w->len - up.len, up.len);
	return up;
}

const char *
type_name(int type, char buf[16])
{
	static const struct {
		int type;
		const char *name;
	} names[] = { { TYPE_A, "A" }, { TYPE_NS, "NS" },
		{ TYPE_CNAME, "CNAME" }, { TYPE_SOA, "SOA" }, { TYPE_MX, "MX" },
		{ TYPE_AAAA, "AAAA" }, { TYPE_DS, "DS" },
		{ TYPE_DNSKEY, "DNSKEY" }, { TYPE_TLSA, "TLSA" } };
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].type == type)
			return names[i].name;
	snprintf(buf, 16, "TYPE%d", type);
	return buf;
}

size_t
message_query(
    const struct wire *name, int type, uint16_t id, uint8_t buf[QUERY_MAX])
{
	uint8_t *p = buf;

	memset(buf, 0, QUERY_MAX);
	message_put16(p, id);
	message_put16(p + 4, 1);
	message_put16(p + 10, 1);
	p += HEADER_LEN;
	memcpy(p, name->data, name->len);
	p += name->len;
	p = message_put16(p, (unsigned)type);
	p = message_put16(p, CLASS_IN);
	*p++ = 0; /* RFC 6891 6.1.2 */
	p = message_put16(p, TYPE_OPT);
	p = message_put16(p, UDP_SIZE);
	p = message_put16(p, 0);
	p = message_put16(p, 0x8000); /* DO, RFC 3225 3 */
	p = message_put16(p, 0);
	return (size_t)(p - buf);
}

/* --------------------------------------------------------------- reading */

/* A name inside RDATA at off, in lower case; the offset behind it or 0. */
static size_t
name_copy(const struct message_reader *r, size_t off, uint8_t **to)
{
	struct wire w;

	if ((off = wire_read(r->pkt, r->len, off, &w)) == 0)
		return 0;
	wire_lower(w.data, w.len);
	memcpy(*to, w.data, w.len);
	*to += w.len;
	return off;
}

/* How many octets stand before the names of its RDATA, and how many names. */
static void
names_inside(int type, size_t *skip, size_t *names)
{
	*skip = type == TYPE_MX ? 2 : type == TYPE_RRSIG ? 18 : 0;
	*names = type == TYPE_SOA ? 2 :
	    type == TYPE_MX || type == TYPE_RRSIG || type == TYPE_NS ||
		type == TYPE_CNAME || type == TYPE_DNAME ?
				    1 :
				    0;
}

/* RFC 4034 6.2; false: malformed or no memory. */
static bool
rdata_read(const struct message_reader *r, const struct message_record *rec,
    struct rdata *out)
{
	size_t skip, names, off = rec->rdata, end = off + rec->len;
	uint8_t *p;

	names_inside(rec->type, &skip, &names);
	p = arena_alloc(r->arena, rec->len + names * WIRE_LEN + 1);
	if (p == NULL || rec->len < skip)
		return false;
	out->data = p;
	memcpy(p, r->pkt + off, skip);
	p += skip;
	off += skip;
	for (; names > 0; names--)
		if ((off = name_copy(r, off, &p)) == 0 || off > end)
			return false;
	memcpy(p, r->pkt + off, end - off);
	out->len = (size_t)(p - out->data) + (end - off);
	return true;
}

static int
rdata_cmp(const void *va, const void *vb)
{
	const struct rdata *a = va, *b = vb;
	size_t len = a->len < b->len ? a->len : b->len;
	int c = memcmp(a->data, b->data, len);

	return c != 0 ? c : a->len < b->len ? -1 : a->len > b->len;
}

static void
rdata_sort(struct rdata *rr, size_t *n)
{
	size_t i, kept = 0;

	qsort(rr, *n, sizeof *rr, rdata_cmp);
	for (i = 0; i < *n; i++)
		if (kept == 0 || rdata_cmp(&rr[kept - 1], &rr[i]) != 0)
			rr[kept++] = rr[i];
	*n = kept;
}

static bool
message_covers(
    const struct message_reader *r, const struct message_record *rec, int type)
{
	return rec->type == TYPE_RRSIG && rec->len >= 18 &&
	    (int)get16(r->pkt + rec->rdata) == type;
}

/* All records of this owner and type in a section, and their signatures. */
static bool
message_collect(const struct message_reader *r, enum section section,
    const struct wire *owner, int type, struct rrset *out)
{
	const struct message_record *rec;
	size_t n = 0, n_sig = 0;

	for (rec = r->rec; rec < r->rec + r->n; rec++) {
		if (rec->section != section || !wire_equal(&rec->owner, owner))
			continue;
		n += rec->type == type;
		n_sig += message_covers(r, rec, type);
	}
	if (n == 0)
		return true;
	out->rr = arena_array(r->arena, n, sizeof *out->rr);
	out->sig = arena_array(r->arena, n_sig + 1, sizeof *out->sig);
	if (out->rr == NULL || out->sig == NULL)
		return false;
	n = n_sig = 0;
	for (rec = r->rec; rec < r->rec + r->n; rec++) {
		if (rec->section != section || !wire_equal(&rec->owner, owner))
			continue;
		if ((rec->type == type && !rdata_read(r, rec, &out->rr[n++])) ||
		    (message_covers(r, rec, type) &&
			!rdata_read(r, rec, &out->sig[n_sig++])))
			return false;
	}
	out->owner = *owner;
	wire_lower(out->owner.data, out->owner.len);
	out->type = type;
	rdata_sort(out->rr, &n);
	rdata_sort(out->sig, &n_sig);
	out->n = n;
	out->n_sig = n_sig;
	return true;
}

/* The record at r->at, and r->at behind it. */
static bool
record_read(
    struct message_reader *r, enum section section, struct message_record *rec)
{
	const uint8_t *p;

	r->at = wire_read(r->pkt, r->len, r->at, &rec->owner);
	if (r->at == 0 || r->len - r->at < 10)
		return false;
	p = r->pkt + r->at;
	rec->section = section;
	rec->type = (int)get16(p);
	rec->len = get16(p + 8);
	rec->rdata = r->at += 10;
	if (r->len - r->at < rec->len ||
	    (get16(p + 2) != CLASS_IN && rec->type != TYPE_OPT))
		return false;
	r->at += rec->len;
	return true;
}

static bool
records_read(struct message_reader *r)
{
	const uint8_t *head = r->pkt;
	enum section s;
	size_t i, n;

	n = (size_t)get16(head + 6) + get16(head + 8) + get16(head + 10);
	if (n > RECORDS_MAX || (r->rec = calloc(n + 1, sizeof *r->rec)) == NULL)
		return false;
	for (s = ANSWER; s <= ADDITIONAL; s++)
		for (i = get16(head + 6 + 2 * s); i > 0; i--)
			if (!record_read(r, s, &r->rec[r->n++]))
				return false;
	return true;
}

/* What stands beside the answer: a delegation, a denial. */
static bool
authority_read(const struct message_reader *r, struct reply *out)
{
	const struct message_record *rec;
	bool denial = false, signature = false;
	unsigned i;

	for (rec = r->rec; rec < r->rec + r->n; rec++) {
		out->dname |= rec->section == ANSWER && rec->type == TYPE_DNAME;
		if (rec->section != AUTHORITY)
			continue;
		denial |= rec->type == TYPE_NSEC || rec->type == TYPE_NSEC3;
		signature |= message_covers(r, rec, TYPE_NSEC) ||
		    message_covers(r, rec, TYPE_NSEC3);
		if (rec->type == TYPE_NSEC3 && rec->len >= 4 &&
		    (i = get16(r->pkt + rec->rdata + 2)) > out->iterations)
			out->iterations = i;
		if (rec->type == TYPE_SOA) {
			out->zone = rec->owner;
			wire_lower(out->zone.data, out->zone.len);
			out->has_zone = true;
		}
		if (rec->type == TYPE_NS && out->answer.n == 0 &&
		    out->below.n == 0 &&
		    !message_collect(
			r, AUTHORITY, &rec->owner, TYPE_NS, &out->below))
			return false;
	}
	out->proven = denial && signature;
	return true;
}

/* Header and question (RFC 1035 4.1.1, 4.1.2). */
static enum message
head_read(struct message_reader *r, const struct wire *name, int type,
    uint16_t id, struct reply *out)
{
	const uint8_t *p = r->pkt;
	struct wire w;

	if (r->len < HEADER_LEN || get16(p) != id || (p[2] & FLAG_QR) == 0)
		return MESSAGE_OTHER;
	out->rcode = p[3] & 0x0f;
	out->aa = (p[2] & FLAG_AA) != 0;
	out->tc = (p[2] & FLAG_TC) != 0;
	/* some send nothing but a header with FORMERR or NOTIMP */
	if (get16(p + 4) == 0 && out->rcode != RCODE_NOERROR &&
	    out->rcode != RCODE_NXDOMAIN)
		return MESSAGE_READ;
	if (get16(p + 4) != 1)
		return MESSAGE_BAD;
	r->at = wire_read(p, r->len, HEADER_LEN, &w);
	if (r->at == 0 || r->len - r->at < 4)
		return MESSAGE_BAD;
	if (!wire_equal(&w, name) || (int)get16(p + r->at) != type ||
	    get16(p + r->at + 2) != CLASS_IN)
		return MESSAGE_OTHER;
	r->at += 4;
	return MESSAGE_READ;
}

enum message
message_read(struct arena *a, const uint8_t *pkt, size_t len,
    const struct wire *name, int type, uint16_t id, struct reply *out)
{
	struct message_reader r = { .arena = a, .pkt = pkt, .len = len };
	enum message m;

	memset(out, 0, sizeof *out);
	if ((m = head_read(&r, name, type, id, out)) != MESSAGE_READ)
		return m;
	/* what else is in these is of no use */
	if (r.at == 0 || out->tc ||
	    (out->rcode != RCODE_NOERROR && out->rcode != RCODE_NXDOMAIN))
		return MESSAGE_READ;
	if (!records_read(&r) ||
	    !message_collect(&r, ANSWER, name, type, &out->answer) ||
	    (out->answer.n == 0 && type != TYPE_CNAME &&
		!message_collect(&r, ANSWER, name, TYPE_CNAME, &out->answer)) ||
	    !authority_read(&r, out))
		m = MESSAGE_BAD;
	free(r.rec);
	return m;
}

static bool
list_equal(const struct rdata *a, size_t n, const struct rdata *b, size_t m)
{
	size_t i;

	for (i = 0; n == m && i < n; i++)
		if (rdata_cmp(&a[i], &b[i]) != 0)
			return false;
	return n == m;
}

bool
rrset_equal(const struct rrset *a, const struct rrset *b)
{
	return (a->n == 0 || a->type == b->type) &&
	    list_equal(a->rr, a->n, b->rr, b->n);
}

bool
rrset_same(const struct rrset *a, const struct rrset *b)
{
	return rrset_equal(a, b) &&
	    list_equal(a->sig, a->n_sig, b->sig, b->n_sig);
}

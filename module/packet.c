/* SPDX-License-Identifier: ISC */
/*
 * packet.c - a DNS message to a struct dns_result
 *
 * Pure: no network, clock or engine.  The message has come through the
 * resolver library, but records.c trusts no octet of it, and whatever does not
 * fit exactly makes the lookup an ERROR, never "no such record" (D03).
 */
#include <string.h>

#include "records.h"

#define SIGS_MAX 64 /* RRSIGs whose end is looked at */

/* RFC 4034 3.1.5: times are compared in serial number arithmetic. */
static bool
sig_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* When the record's signature ends, 0 if it is no RRSIG. */
static uint32_t
sig_end(const struct packet *p, const struct record *r)
{
	return r->type != TYPE_RRSIG || r->len < 18 ?
	    0 :
	    records_32(p->data + r->rdata + 8);
}

static void
sig_lower(struct dns_result *out, uint32_t end)
{
	if (end != 0 &&
	    (out->signed_until == 0 || sig_before(end, out->signed_until)))
		out->signed_until = end;
}

/* The zone that signed the records asked for. */
static void
sig_zone(struct packet *p, const struct record *sig, const struct wire *owner)
{
	struct wire zone;
	char text[NAME_LEN];

	if (records_name(p, sig->rdata + 18, &zone) != 0 &&
	    wire_below(owner, &zone) &&
	    dns_name_text(zone.data, zone.len, text))
		p->out->zone = arena_str(p->arena, text);
}

/*
 * The first signature to end without which the answer would not hold: of the
 * several that an RRset may have, the last.  For people and monitors; the
 * resolver has already cut the TTL to it (D15).
 */
static void
sig_read(struct packet *p, int type)
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
		if (records_name(p, sig[i]->owner, &owner) == 0)
			continue;
		end = sig_end(p, sig[i]);
		for (j = 0; j < n; j++) {
			r = sig[j];
			if (records_16(p->data + r->rdata) ==
				records_16(p->data + sig[i]->rdata) &&
			    sig_before(end, sig_end(p, r)) &&
			    records_owner_is(p, r, &owner))
				end = sig_end(p, r);
		}
		sig_lower(p->out, end);
		/* how long caches may hold it; a foreign signature in the
		 * answer cannot make that less */
		covered = records_16(p->data + sig[i]->rdata);
		ttl = records_ttl_original(
		    records_32(p->data + sig[i]->rdata + 4));
		if (covered == type && p->out->zone == NULL)
			sig_zone(p, sig[i], &owner);
		if ((covered == type || covered == TYPE_CNAME ||
			covered == TYPE_DNAME) &&
		    ttl > p->out->original_ttl)
			p->out->original_ttl = ttl;
	}
}

static void
ttl_lower(struct dns_result *out, uint32_t ttl)
{
	if (ttl < out->ttl)
		out->ttl = ttl;
}

/* RFC 2308 5: a denial lives as long as the SOA record beside it, or as its
 * MINIMUM field says, if that is shorter; and no longer than its proof, whose
 * signatures may end first (D15). */
static bool
denial_read(struct packet *p, const struct wire *name)
{
	struct record r;
	struct wire w;
	size_t i, at;
	bool found = false;

	for (i = 0; i < p->n_auth; i++) {
		if (!records_next(p, &r))
			return false;
		sig_lower(p->out, sig_end(p, &r));
		ttl_lower(p->out, r.ttl);
		if (r.type != TYPE_SOA)
			continue;
		if (records_name(p, r.owner, &w) == 0 || !wire_below(name, &w))
			continue;
		if ((at = records_name(p, r.rdata, &w)) == 0 ||
		    (at = records_name(p, at, &w)) == 0 ||
		    at + 20 != r.rdata + r.len)
			return records_refuse(
			    p, "malformed answer: SOA record");
		ttl_lower(p->out, records_ttl(records_32(p->data + at + 16)));
		found = true;
	}
	if (!found)
		ttl_lower(p->out, TTL_FAILED);
	return true;
}

/* RFC 6672 2.2: does this record redirect from to to? */
static bool
alias_redirects(const struct packet *p, const struct record *r,
    const struct wire *from, const struct wire *to)
{
	struct wire owner, made;
	size_t kept;

	if (r->type != TYPE_DNAME || records_name(p, r->owner, &owner) == 0 ||
	    owner.len >= from->len || !wire_below(from, &owner) ||
	    !records_rdata_name(p, r, 0, &made))
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
alias_dname(struct packet *p, const struct wire *from, const struct wire *to)
{
	struct wire owner;
	char text[NAME_LEN];
	size_t i;

	for (i = 0; i < p->n_answer; i++)
		if (alias_redirects(p, &p->answer[i], from, to) &&
		    records_name(p, p->answer[i].owner, &owner) != 0 &&
		    dns_name_text(owner.data, owner.len, text))
			return arena_str(p->arena, text);
	return NULL;
}

/* Room for the names of a chain: not more than there are CNAMEs, and not more
 * than the limit. */
static bool
alias_room(struct packet *p, size_t max_alias)
{
	struct dns_result *out = p->out;
	const char **names;
	size_t i, n = 0;

	for (i = 0; i < p->n_answer; i++)
		n += p->answer[i].type == TYPE_CNAME;
	if (n > max_alias)
		n = max_alias;
	if (n == 0)
		return true;
	if ((names = arena_array(p->arena, n + 1, sizeof *names)) == NULL)
		return records_refuse(p, "out of memory");
	names[0] = out->name[0];
	out->name = names;
	return true;
}

/* The CNAME of this name, NULL: it has none.  False: that cannot be. */
static bool
alias_at(struct packet *p, const struct wire *at, int type,
    const struct record **alias)
{
	const char *name = p->out->name[p->out->n_alias];
	const struct record *r;
	bool found = false;

	*alias = NULL;
	for (r = p->answer; r < p->answer + p->n_answer; r++) {
		if ((r->type != type && r->type != TYPE_CNAME) ||
		    !records_owner_is(p, r, at))
			continue;
		if (r->type == type)
			found = true;
		else if (*alias != NULL)
			return records_refuse(
			    p, "malformed answer: %s has two CNAMEs", name);
		else
			*alias = r;
	}
	if (*alias != NULL && found)
		return records_refuse(
		    p, "malformed answer: %s has a CNAME and other data", name);
	return true;
}

/* One step along the alias; *at is the name it leads to. */
static bool
alias_step(struct packet *p, struct wire *at, const struct record *alias)
{
	struct dns_result *out = p->out;
	struct wire next;
	char text[NAME_LEN];
	size_t i;

	if (!records_rdata_name(p, alias, 0, &next) ||
	    !dns_name_text(next.data, next.len, text))
		return records_refuse(p, "malformed answer: CNAME of %s",
		    out->name[out->n_alias]);
	for (i = 0; i <= out->n_alias; i++)
		if (strcmp(out->name[i], text) == 0) /* D10 */
			return records_refuse(p, "alias loop at %s", text);
	if ((out->name[i] = arena_str(p->arena, text)) == NULL)
		return records_refuse(p, "out of memory");
	if (out->n_alias++ == 0)
		out->dname = alias_dname(p, at, &next);
	ttl_lower(out, alias->ttl);
	*at = next;
	return true;
}

/*
 * From the name asked along its CNAMEs to the last name, by name and not by
 * the order of records.  A DNAME needs nothing to be followed: the CNAME that
 * was made from it stands beside it (D13, RFC 6672 3.1).
 */
static bool
alias_follow(struct packet *p, struct wire *at, int type, unsigned max_alias)
{
	struct dns_result *out = p->out;
	const struct record *alias;

	if (type != TYPE_CNAME && !alias_room(p, max_alias))
		return false;
	while (alias_at(p, at, type, &alias)) {
		if (alias == NULL)
			return true;
		if (out->n_alias >= max_alias) /* D10 */
			return records_refuse(p,
			    "more than %u aliases, at %s (limits.aliases)",
			    max_alias, out->name[out->n_alias]);
		if (!alias_step(p, at, alias))
			return false;
	}
	return false;
}

/* RDATA into the arena; names in it uncompressed. */
static bool
rdata_copy(struct packet *p, const struct record *r, struct dns_rr *rr)
{
	const uint8_t *src = p->data + r->rdata;
	size_t skip = r->type == TYPE_MX ? 2 : 0;
	struct wire w;
	uint8_t *d;

	switch (r->type) {
	case TYPE_A:
		if (r->len != 4)
			return records_refuse(p,
			    "malformed answer: A record of %zu octets", r->len);
		break;
	case TYPE_AAAA:
		if (r->len != 16)
			return records_refuse(p,
			    "malformed answer: AAAA record of %zu octets",
			    r->len);
		break;
	case TYPE_MX:
	case TYPE_NS:
	case TYPE_CNAME:
	case TYPE_DNAME:
		if (r->len < skip || !records_rdata_name(p, r, skip, &w))
			return records_refuse(p, "malformed answer: %s record",
			    r->type == TYPE_MX     ? "MX" :
				r->type == TYPE_NS ? "NS" :
						     "alias");
		if ((d = arena_alloc(p->arena, skip + w.len)) == NULL)
			return records_refuse(p, "out of memory");
		memcpy(d, src, skip);
		memcpy(d + skip, w.data, w.len);
		rr->data = d;
		rr->len = skip + w.len;
		return true;
	default: /* Q06: a short TLSA is one bad record */
		break;
	}
	if ((d = arena_alloc(p->arena, r->len + 1)) == NULL)
		return records_refuse(p, "out of memory");
	memcpy(d, src, r->len);
	rr->data = d;
	rr->len = r->len;
	return true;
}

static bool
rdata_collect(struct packet *p, const struct wire *at, int type)
{
	struct dns_result *out = p->out;
	struct dns_rr *rr;
	size_t i, n = 0;

	for (i = 0; i < p->n_answer; i++)
		n += p->answer[i].type == type &&
		    records_owner_is(p, &p->answer[i], at);
	if (n == 0)
		return denial_read(p, at);
	if (out->nxdomain)
		return records_refuse(
		    p, "malformed answer: NXDOMAIN with records");
	if (type == TYPE_CNAME && n > 1)
		return records_refuse(
		    p, "malformed answer: %s has two CNAMEs", out->name[0]);
	if ((rr = arena_array(p->arena, n, sizeof *rr)) == NULL)
		return records_refuse(p, "out of memory");
	for (i = 0, n = 0; i < p->n_answer; i++) {
		if (p->answer[i].type != type ||
		    !records_owner_is(p, &p->answer[i], at))
			continue;
		if (!rdata_copy(p, &p->answer[i], &rr[n++]))
			return false;
		ttl_lower(out, p->answer[i].ttl);
	}
	out->rr = rr;
	out->n_rr = n;
	return true;
}

/* What an ERROR needs at least: the name asked, and a reason. */
static bool
result_begin(struct arena *arena, const char *qname, struct dns_result *out)
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
	if (result_begin(arena, qname, out))
		out->why = records_line(arena, why);
}

/* P02, D15: as if the library itself had called it bogus */
void
dns_doubt(struct arena *arena, const char *why, struct dns_result *out)
{
	out->state = DANEVIRKE_ERROR;
	out->content = true;
	out->signed_until = 0;
	out->why = records_line(arena, why);
	ttl_lower(out, TTL_FAILED);
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

	if (!result_begin(arena, qname, out))
		return;
	/* D03: bogus comes with rcode 0 and a packet, so it is tested first */
	if (sec == 1)
		p.bogus = why != NULL && *why != '\0' ? why :
							"validation failure";
	if (!wire_parse(qname, &at) || !dns_name_text(at.data, at.len, text)) {
		records_refuse(&p, "\"%s\" is not a domain name", qname);
		return;
	}
	if ((out->name[0] = arena_str(arena, text)) == NULL) {
		out->name = NULL;
		return;
	}
	/* An rcode here means that there is no packet to read, and no state:
	 * even NXDOMAIN would be a claim that nobody has validated. */
	if (rcode != 0) {
		records_refuse_rcode(&p, rcode, why);
		return;
	}
	if (sec < 0 || sec > 2) { /* D02 */
		records_refuse(&p, "the resolver gave no DNSSEC state");
		return;
	}
	if (pkt == NULL) {
		records_refuse(&p, "the resolver gave no answer");
		return;
	}
	out->ttl = TTL_MAX;
	if (!records_head(&p, &at, type) || !records_answers(&p) ||
	    !alias_follow(&p, &at, type, max_alias) ||
	    !rdata_collect(&p, &at, type))
		return;
	if (p.bogus != NULL) {
		out->signed_until = 0;
		out->content = true;        /* P02 */
		ttl_lower(out, TTL_FAILED); /* D15 */
		out->why = records_line(arena, p.bogus);
		return;
	}
	out->why = "";
	out->state = sec == 2 ? DANEVIRKE_SECURE : DANEVIRKE_INSECURE;
	if (out->state == DANEVIRKE_SECURE)
		sig_read(&p, type);
	else
		out->signed_until = 0;
}

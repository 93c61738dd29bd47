/* SPDX-License-Identifier: ISC */
/*
 * DNS results in, decisions out (RFC 7672 2).  Pure: no DNS, clock, file or
 * engine.  Under every level "would" keeps what level dane says, and "action"
 * what is enforced (P02, T06).
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h"
#include "packet.h"

#define TTL_CAP 86400
#define TTL_LITERAL 3600

/* Levels that block nothing use what a bogus answer said (P02). */
static bool
lenient(const struct facts *f)
{
	return f->level == DANEVIRKE_LEVEL_AUDIT ||
	    f->level == DANEVIRKE_LEVEL_OFF;
}

/* Are there records to work with, whoever vouches for them? */
static bool
has_records(const struct facts *f, const struct dns_result *r)
{
	return r != NULL && r->n_rr > 0 &&
	    (r->state == DANEVIRKE_SECURE || r->state == DANEVIRKE_INSECURE ||
		(lenient(f) && r->content));
}

static bool
is_error(const struct dns_result *r)
{
	return r == NULL ||
	    (r->state != DANEVIRKE_SECURE && r->state != DANEVIRKE_INSECURE);
}

static const char *
why(const struct dns_result *r)
{
	return r == NULL || r->why == NULL || *r->why == '\0' ? "no answer" :
								r->why;
}

static bool
mx_insecure(const struct facts *f)
{
	return f->kind == DANEVIRKE_DOMAIN && !f->literal &&
	    (f->mx == NULL || f->mx->state != DANEVIRKE_SECURE);
}

/* ------------------------------------------------------------------ hosts */

static int
host_cmp(const void *va, const void *vb)
{
	const struct host_facts *a = va, *b = vb;

	if (a->preference != b->preference) /* M02, RFC 5321 5.1 */
		return a->preference < b->preference ? -1 : 1;
	return a->tie < b->tie ? -1 : a->tie > b->tie;
}

static bool
is_literal(const char *s)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, s, ip) == 1 ||
	    inet_pton(AF_INET6, s, ip) == 1;
}

static bool
one_host(struct arena *a, struct facts *f)
{
	if ((f->hosts = arena_alloc(a, sizeof *f->hosts)) == NULL)
		return false;
	f->hosts[0].name = f->domain;
	f->hosts[0].literal = f->literal;
	f->n_hosts = 1;
	return true;
}

/* The root: no host is meant (RFC 7505). */
static bool
is_dot(const struct dns_rr *rr)
{
	return rr->len == 3 && rr->data[2] == 0;
}

bool
policy_hosts(
    struct arena *a, struct facts *f, uint32_t (*tie)(void *), void *arg)
{
	const struct dns_result *mx = f->mx;
	char name[NAME_LEN];
	size_t i, j;

	f->n_hosts = 0;
	if (f->kind == DANEVIRKE_RELAY || f->literal)
		return one_host(a, f);
	if (is_error(mx) && !(mx != NULL && lenient(f) && mx->content))
		return true; /* D06: no host is tried */
	if (mx->nxdomain)
		return true;
	if (mx->n_rr == 0) /* B02, RFC 5321 5.1 */
		return one_host(a, f);
	if (mx->n_rr > f->conf->limits.hosts) /* M11 */
		return true;
	f->hosts = arena_array(a, mx->n_rr, sizeof *f->hosts);
	if (f->hosts == NULL)
		return false;
	for (i = 0; i < mx->n_rr; i++) {
		const struct dns_rr *rr = &mx->rr[i];
		struct host_facts *h = &f->hosts[f->n_hosts];

		if (is_dot(rr))
			continue; /* Z03 */
		if (rr->len < 3 ||
		    !dns_name_text(rr->data + 2, rr->len - 2, name))
			continue; /* too long when its octets are written out */
		h->preference = (uint16_t)(rr->data[0] << 8 | rr->data[1]);
		for (j = 0; j < f->n_hosts; j++)
			if (strcmp(f->hosts[j].name, name) == 0)
				break;
		if (j < f->n_hosts) { /* listed twice: the better */
			if (h->preference < f->hosts[j].preference)
				f->hosts[j].preference = h->preference;
			memset(h, 0, sizeof *h);
			continue;
		}
		if ((h->name = arena_str(a, name)) == NULL)
			return false;
		h->literal = is_literal(name); /* T08 */
		h->tie = tie(arg);             /* M02 */
		f->n_hosts++;
	}
	qsort(f->hosts, f->n_hosts, sizeof *f->hosts, host_cmp);
	return true;
}

/* -------------------------------------------------------- what to ask next */

/* What the two address lookups amount to. */
struct reach {
	enum danevirke_dnssec state;   /* of the addresses that are used */
	bool a, aaaa;                  /* these families are used */
	bool bogus;                    /* used only because of audit or off */
	const struct dns_result *lead; /* gives the alias chain, or NULL */
};

static struct reach
reach(const struct facts *f, const struct host_facts *h)
{
	struct reach r = { DANEVIRKE_ERROR, false, false, false, NULL };
	enum danevirke_dnssec s;

	/* B06: one secure family is enough, and then the only one used, the
	 * denial of the other may be broken; else the insecure ones */
	for (s = DANEVIRKE_SECURE; s > DANEVIRKE_ERROR; s--) {
		r.a = has_records(f, h->a) && h->a->state == s;
		r.aaaa = has_records(f, h->aaaa) && h->aaaa->state == s;
		if (r.a || r.aaaa) {
			r.state = s;
			break;
		}
	}
	if (r.state == DANEVIRKE_ERROR) { /* D07; P02 */
		r.a = has_records(f, h->a);
		r.aaaa = has_records(f, h->aaaa);
		r.bogus = r.a || r.aaaa;
	}
	r.lead = r.a ? h->a : r.aaaa ? h->aaaa : NULL;
	return r;
}

/* The names that may be base domains (RFC 7672 2.2.2, 2.2.3).  0: DANE does
 * not apply, or a CNAME lookup is still needed. */
static size_t
bases(const struct facts *f, const struct host_facts *h, const struct reach *r,
    const char *base[2])
{
	if (h->literal) /* T07, T08 */
		return 0;
	if (mx_insecure(f) &&
	    f->profile->insecure_mx == DANEVIRKE_OPPORTUNISTIC) /* M04 may */
		return 0;
	if (r->state == DANEVIRKE_SECURE && r->lead->n_alias == 0) {
		base[0] = h->name; /* B07 */
		return 1;
	}
	if (r->state == DANEVIRKE_SECURE) { /* B09, never B11 */
		base[0] = r->lead->name[r->lead->n_alias];
		base[1] = h->name;
		return 2;
	}
	if (r->state == DANEVIRKE_INSECURE && r->lead->n_alias > 0 &&
	    h->cname != NULL && h->cname->state == DANEVIRKE_SECURE) {
		base[0] = h->name; /* B08 */
		return 1;
	}
	return 0; /* B05, B10 */
}

/* Those of them whose TLSA records can be asked for: where _PORT._tcp.NAME is
 * longer than a domain name can be, there are none (T04).  *beyond: there is
 * such a one. */
static size_t
candidates(const struct facts *f, const struct host_facts *h,
    const struct reach *r, const char *base[2], bool *beyond)
{
	char owner[NAME_LEN + sizeof "_65535._tcp."];
	size_t i, n = bases(f, h, r, base), kept = 0;
	struct wire w;

	*beyond = false;
	for (i = 0; i < n; i++) {
		snprintf(owner, sizeof owner, "_%u._tcp.%s", f->port, base[i]);
		if (wire_parse(owner, &w))
			base[kept++] = base[i];
		else
			*beyond = true;
	}
	return kept;
}

/* The candidate that decides, -1: none does (yet); *more: go on asking. */
static int
decider(const struct host_facts *h, size_t n, bool *more)
{
	size_t i;

	*more = false;
	for (i = 0; i < n; i++) {
		if (h->tlsa[i] == NULL) {
			*more = true;
			return -1;
		}
		if (is_error(h->tlsa[i]))
			return (int)i; /* B12, D08 */
		if (h->tlsa[i]->state == DANEVIRKE_SECURE &&
		    h->tlsa[i]->n_rr > 0)
			return (int)i; /* B13 */
		/* Q04: insecure or absent, the next one */
	}
	return -1;
}

size_t
policy_next(struct arena *a, const struct facts *f, struct host_facts *h,
    struct want want[2])
{
	const char *base[2];
	struct reach r;
	size_t i, n = 0;
	bool more, beyond;

	if (h->literal)
		return 0;
	if (h->a == NULL) /* B03 */
		want[n++] = (struct want){ h->name, TYPE_A, &h->a };
	if (h->aaaa == NULL)
		want[n++] = (struct want){ h->name, TYPE_AAAA, &h->aaaa };
	if (n > 0)
		return n;
	if (f->level == DANEVIRKE_LEVEL_OFF)
		return 0;
	r = reach(f, h);
	if (r.lead == NULL || r.bogus) /* B04, D07 */
		return 0;
	if (r.state == DANEVIRKE_INSECURE) {
		if (r.lead->n_alias == 0) /* B05 */
			return 0;
		if (h->cname == NULL && !h->literal &&
		    !(mx_insecure(f) &&
			f->profile->insecure_mx == DANEVIRKE_OPPORTUNISTIC)) {
			/* D12; of what was made from a DNAME the library can
			 * tell only together with its target (D13) */
			want[0] = r.lead->dname != NULL ?
			    (struct want){ r.lead->dname, TYPE_DNAME,
				    &h->cname } :
			    (struct want){ h->name, TYPE_CNAME, &h->cname };
			return 1;
		}
	}
	n = candidates(f, h, &r, base, &beyond);
	decider(h, n, &more);
	if (!more)
		return 0;
	for (i = 0; h->tlsa[i] != NULL; i++)
		;
	want[0].name = arena_printf(a, "_%u._tcp.%s", f->port, base[i]);
	want[0].type = TYPE_TLSA; /* Q01 */
	want[0].slot = &h->tlsa[i];
	return 1;
}

/* -------------------------------------------------------------- addresses */

/* An IPv4 address inside IPv6 is judged as what it is. */
static const uint8_t *
addr_inside(int *family, const uint8_t *ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (*family != 6 || memcmp(ip, mapped, sizeof mapped) != 0)
		return ip;
	*family = 4;
	return ip + sizeof mapped;
}

bool /* M12 */
policy_forbidden(const struct conf *c, int family, const uint8_t *ip)
{
	static const struct conf_prefix bad[] = {
		{ 4, { 0 }, 8 },
		{ 4, { 127 }, 8 },
		{ 4, { 169, 254 }, 16 },
		{ 4, { 224 }, 3 },
		{ 6, { 0 }, 127 }, /* :: and ::1 */
		{ 6, { 0xfe, 0x80 }, 10 },
		{ 6, { 0xff }, 8 },
	};
	uint32_t v4;

	if (prefix_match(c->allow, c->n_allow, family, ip))
		return false;
	ip = addr_inside(&family, ip);
	if (prefix_match(c->allow, c->n_allow, family, ip))
		return false;
	if (family == 4) {
		v4 = (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 |
		    (uint32_t)ip[2] << 8 | ip[3];
		if (v4 >= c->settings.relay_first &&
		    v4 <= c->settings.relay_last && c->settings.relay_last)
			return true;
	}
	return prefix_match(bad, sizeof bad / sizeof *bad, family, ip);
}

struct addr_list {
	struct danevirke_addr *addr;
	size_t n;
	size_t dropped; /* by M12 */
	bool over;      /* the limit: M11 */
};

static bool
addr_add(struct arena *a, const struct facts *f, struct addr_list *l,
    int family, const uint8_t *ip)
{
	struct danevirke_addr *p = &l->addr[l->n];
	char text[INET6_ADDRSTRLEN];

	if (policy_forbidden(f->conf, family, ip)) {
		l->dropped++;
		return true;
	}
	p->family = family;
	memcpy(p->ip, ip, family == 4 ? 4 : 16);
	inet_ntop(family == 4 ? AF_INET : AF_INET6, ip, text, sizeof text);
	if ((p->text = arena_str(a, text)) == NULL)
		return false;
	l->n++;
	return true;
}

/* IPv6 and IPv4 by turns, so that one broken family costs one try each. */
static bool
addrs(struct arena *a, const struct facts *f, const struct host_facts *h,
    const struct reach *r, struct addr_list *l)
{
	size_t i, n4, n6, n;
	uint8_t ip[16];

	memset(l, 0, sizeof *l);
	n4 = r->a ? h->a->n_rr : 0;
	n6 = r->aaaa ? h->aaaa->n_rr : 0;
	n = h->literal ? 1 : n4 > n6 ? n4 : n6;
	if (n4 + n6 > f->conf->limits.addresses) {
		l->over = true;
		return true;
	}
	if ((l->addr = arena_array(a, 2 * n + 1, sizeof *l->addr)) == NULL)
		return false;
	if (h->literal)
		return addr_add(a, f, l,
		    inet_pton(AF_INET, h->name, ip) == 1      ? 4 :
			inet_pton(AF_INET6, h->name, ip) == 1 ? 6 :
								6,
		    ip);
	for (i = 0; i < n; i++) {
		if (i < n6 && h->aaaa->rr[i].len == 16 &&
		    !addr_add(a, f, l, 6, h->aaaa->rr[i].data))
			return false;
		if (i < n4 && h->a->rr[i].len == 4 &&
		    !addr_add(a, f, l, 4, h->a->rr[i].data))
			return false;
	}
	return true;
}

/* M10: the host is ourselves, by name or by address. */
static bool
is_self(const struct facts *f, const struct danevirke_host *h)
{
	const struct conf *c = f->conf;
	const struct conf_prefix *self = c->self_set ? c->self_addr : f->local;
	size_t i, n = c->self_set ? c->n_self_addr : f->n_local;
	const uint8_t *ip;
	int family;

	for (i = 0; i < c->n_self_name; i++)
		if (strcmp(c->self_name[i], h->name) == 0)
			return true;
	for (i = 0; i < h->n_addrs; i++) {
		family = h->addrs[i].family;
		ip = addr_inside(&family, h->addrs[i].ip);
		if (prefix_match(self, n, family, ip) ||
		    prefix_match(self, n, h->addrs[i].family, h->addrs[i].ip))
			return true;
	}
	return false;
}

/* --------------------------------------------------------------- one host */

/* Names a usage 2 certificate may bear (RFC 7672 3.2.2). */
static bool
host_names(struct arena *a, const struct facts *f, struct danevirke_host *out,
    const char *final)
{
	const char **name = arena_array(a, 3, sizeof *name);
	size_t n = 0;

	if (name == NULL)
		return false;
	name[n++] = out->base; /* N02 */
	if (!mx_insecure(f)) { /* N03, N05; else N04 */
		if (strcmp(f->domain, name[0]) != 0)
			name[n++] = f->domain;
		if (strcmp(final, f->domain) != 0 &&
		    strcmp(final, name[0]) != 0)
			name[n++] = final;
	}
	out->names = name;
	out->n_names = n;
	return true;
}

/* "0 1 1: usage PKIX-TA does not apply", for every record not in use. */
static char *
ignored_text(struct arena *a, const struct danevirke_host *h)
{
	char *text = arena_str(a, ""), type[80];
	size_t i, said = 0;

	for (i = 0; i < h->n_tlsa && text != NULL; i++) {
		if (h->tlsa[i].use)
			continue;
		if (++said > 4)
			return arena_printf(a, "%s; ...", text);
		if (h->tlsa_octets != NULL && h->tlsa_octets[i] < 3)
			snprintf(
			    type, sizeof type, "%u octets", h->tlsa_octets[i]);
		else
			tlsa_text(&h->tlsa[i], type, sizeof type);
		text = arena_printf(
		    a, "%s; ignored %s: %s", text, type, h->tlsa[i].why);
	}
	return text;
}

/* The records of an answer, shown as n_tlsa whatever becomes of them. */
static struct danevirke_tlsa *
records(struct arena *a, const struct dns_result *r, struct danevirke_host *out)
{
	struct danevirke_tlsa *t = arena_array(a, r->n_rr + 1, sizeof *t);
	uint8_t *octets = arena_alloc(a, r->n_rr + 1);
	bool all = true;
	size_t i;

	if (t == NULL || octets == NULL)
		return NULL;
	for (i = 0; i < r->n_rr; i++) {
		tlsa_parse(r->rr[i].data, r->rr[i].len, &t[i]);
		octets[i] = r->rr[i].len < 3 ? (uint8_t)r->rr[i].len : 3;
		all = all && octets[i] == 3;
	}
	out->tlsa = t;
	out->n_tlsa = r->n_rr;
	out->tlsa_octets = all ? NULL : octets;
	return t;
}

/* T04, M09: no candidate has records that count.  Shown is the one that has
 * insecure ones (Q05: people want to see them), else the one less secure. */
static bool
no_records(struct arena *a, const struct facts *f, struct danevirke_host *out,
    const struct host_facts *h, const char *const base[2], size_t n)
{
	const struct dns_result *r;
	struct danevirke_tlsa *t;
	size_t i, at = 0;

	if (n == 2 && h->tlsa[0]->n_rr == 0 &&
	    (h->tlsa[1]->n_rr > 0 || h->tlsa[1]->state < h->tlsa[0]->state))
		at = 1;
	r = h->tlsa[at];
	out->tlsa_state = r->state;
	out->reason = arena_printf(a, "no TLSA (_%u._tcp.%s%s)", f->port,
	    base[at], r->state == DANEVIRKE_INSECURE ? ", insecure" : "");
	t = records(a, r, out);
	if (out->reason == NULL || t == NULL)
		return false;
	for (i = 0; i < r->n_rr; i++)
		t[i].why = "insecure: DNSSEC does not protect it";
	return true;
}

static bool
host_records(struct arena *a, const struct facts *f, struct danevirke_host *out,
    const struct dns_result *r, const char *base, const char *final)
{
	const struct conf_profile *p = f->profile;
	struct danevirke_tlsa *t;
	size_t used;
	char *ignored;

	out->tlsa_ttl = r->original_ttl;
	out->base = base; /* S01, S02, Q03 */
	if (!host_names(a, f, out, final) || (t = records(a, r, out)) == NULL)
		return false;
	used = tlsa_classify(t, r->n_rr, 0, p->digests, p->n_digests);
	if ((ignored = ignored_text(a, out)) == NULL)
		return false;
	if (used == 0) { /* T03, T05 */
		out->would = DANEVIRKE_ENCRYPT;
		out->reason = arena_printf(a,
		    "none usable of %zu TLSA "
		    "(_%u._tcp.%s)%s",
		    r->n_rr, f->port, base, ignored);
	} else { /* T01; M04 encrypt */
		out->would = mx_insecure(f) ? p->insecure_mx :
					      DANEVIRKE_AUTHENTICATE;
		out->reason = arena_printf(a,
		    "%zu usable of %zu TLSA "
		    "(_%u._tcp.%s)%s%s",
		    used, r->n_rr, f->port, base,
		    mx_insecure(f) ? ", insecure MX" : "", ignored);
	}
	return out->reason != NULL;
}

static bool
refuse(struct danevirke_host *out, enum danevirke_result result,
    const char *reason)
{
	out->would = DANEVIRKE_HOST_DEFER;
	out->result = result;
	out->reason = reason;
	return reason != NULL;
}

/* D07: what failed of the two lookups, "" if nothing did. */
static const char *
lookup_failures(struct arena *a, const struct host_facts *h)
{
	bool e4 = is_error(h->a), e6 = is_error(h->aaaa);

	if (!e4 && !e6)
		return "";
	return arena_printf(a, "address lookup failed: %s%s%s",
	    e4 ? why(h->a) : "", e4 && e6 ? "; AAAA: " : "",
	    e6 ? why(h->aaaa) : "");
}

static bool
unreachable(struct arena *a, const struct facts *f, const struct host_facts *h,
    const struct addr_list *l, struct danevirke_host *out)
{
	const char *failed = h->literal ? "" : lookup_failures(a, h);

	if (failed == NULL)
		return false;
	if (l->over) /* M11 */
		return refuse(out, DANEVIRKE_RESULT_NONE,
		    arena_printf(a,
			"more addresses than resolver.limits.addresses = %u",
			f->conf->limits.addresses));
	if (*failed != '\0')
		refuse(out, DANEVIRKE_DNSSEC_INVALID, failed); /* D07 */
	else
		refuse(out, DANEVIRKE_RESULT_NONE, "no address"); /* B04 */
	if (l->dropped > 0)                                       /* M12 */
		out->reason = arena_printf(a,
		    "%zu address%s of a kind no mail is sent to (loopback, "
		    "link-local, ...; see resolver.allow_addresses)%s%s",
		    l->dropped, l->dropped == 1 ? "" : "es",
		    *failed != '\0' ? "; " : "", failed);
	return out->reason != NULL;
}

/* The reason of a host for which there is nothing to look for. */
static bool
not_asked(struct arena *a, const struct facts *f, const struct reach *r,
    struct danevirke_host *out, bool beyond)
{
	if (beyond)
		out->reason = arena_printf(a,
		    "no TLSA: with _%u._tcp before it, it is longer than a "
		    "domain name can be",
		    f->port);
	else
		out->reason = arena_printf(a, "no DANE: %s insecure",
		    r->state == DANEVIRKE_SECURE ? "MX" : "address");
	return out->reason != NULL;
}

/* would and reason of a host whose TLSA records were asked for. */
static bool
host_decided(struct arena *a, const struct facts *f, const struct host_facts *h,
    struct danevirke_host *out, const char *final, const char *const base[2],
    size_t n)
{
	const struct dns_result *r;
	bool more;
	int d = decider(h, n, &more);

	if (more) /* never: facts are complete */
		return refuse(out, DANEVIRKE_DNSSEC_INVALID,
		    arena_str(a, "TLSA lookup not done"));
	out->tlsa_asked = 1;
	if (d < 0)
		return no_records(a, f, out, h, base, n);
	r = h->tlsa[d];
	out->tlsa_state = is_error(r) ? DANEVIRKE_ERROR : r->state;
	if (is_error(r)) /* D08, B12 */
		return refuse(out, DANEVIRKE_DNSSEC_INVALID,
		    arena_printf(a, "TLSA lookup failed: _%u._tcp.%s: %s",
			f->port, base[d], why(r)));
	if (r->n_rr > f->conf->limits.records) /* M11 */
		return refuse(out, DANEVIRKE_TLSA_INVALID,
		    arena_printf(a,
			"_%u._tcp.%s: %zu TLSA records, more than "
			"resolver.limits.records = %u",
			f->port, base[d], r->n_rr, f->conf->limits.records));
	return host_records(a, f, out, r, base[d], final);
}

/* would and reason of a host that has addresses. */
static bool
host_tls(struct arena *a, const struct facts *f, const struct host_facts *h,
    const struct reach *r, struct danevirke_host *out, const char *final)
{
	const char *base[2] = { NULL, NULL };
	bool beyond;
	size_t n;

	out->would = DANEVIRKE_OPPORTUNISTIC;
	if (h->literal)
		return (out->reason = arena_str(a,
			    "address literal, DANE "
			    "does not apply")) != NULL;
	if (f->level == DANEVIRKE_LEVEL_OFF)
		return (out->reason = arena_str(a, "level off")) != NULL;
	if (r->bogus) /* only here under P02 */
		return refuse(out, DANEVIRKE_DNSSEC_INVALID,
		    arena_printf(a, "address lookup failed: %s", why(r->lead)));
	n = candidates(f, h, r, base, &beyond);
	if (n > 0)
		return host_decided(a, f, h, out, final, base, n);
	if (!beyond && r->state == DANEVIRKE_INSECURE && r->lead->n_alias > 0 &&
	    h->cname != NULL && is_error(h->cname)) /* D08, D12 */
		return refuse(out, DANEVIRKE_DNSSEC_INVALID,
		    arena_printf(a, "%s lookup failed: %s",
			r->lead->dname != NULL ? "DNAME" : "CNAME",
			why(h->cname)));
	return not_asked(a, f, r, out, beyond); /* T04 */
}

/* For people and monitors: the first signature to end. */
static uint32_t
signed_until(const struct host_facts *h)
{
	const struct dns_result *r[] = { h->a, h->aaaa, h->cname, h->tlsa[0],
		h->tlsa[1] };
	uint32_t end = 0;
	size_t i;

	for (i = 0; i < sizeof r / sizeof *r; i++)
		if (r[i] != NULL && r[i]->signed_until != 0 &&
		    (end == 0 || (int32_t)(r[i]->signed_until - end) < 0))
			end = r[i]->signed_until;
	return end;
}

/* The state of "no address": both lookups must have said so. */
static enum danevirke_dnssec
denial(const struct host_facts *h)
{
	if (is_error(h->a) || is_error(h->aaaa))
		return DANEVIRKE_ERROR;
	return h->a->state < h->aaaa->state ? h->a->state : h->aaaa->state;
}

/* RFC 2181 10.3: a host of an MX record is to have addresses itself. */
static void
host_alias(const struct host_facts *h, const struct reach *r,
    struct danevirke_host *out)
{
	if (r->lead == NULL)
		return;
	out->target = r->lead->name[r->lead->n_alias];
	if (r->lead->n_alias > 0)
		out->alias_state = r->state != DANEVIRKE_INSECURE ? r->state :
		    h->cname != NULL ? h->cname->state :
				       DANEVIRKE_ERROR;
}

static bool
host_decide(struct arena *a, const struct facts *f, const struct host_facts *h,
    struct danevirke_host *out, const char *final)
{
	struct reach r = reach(f, h);
	struct addr_list l;

	out->size = sizeof *out;
	out->name = h->name;
	out->preference = h->preference;
	out->port = f->port;
	out->signed_until = signed_until(h);
	out->state = h->literal ? DANEVIRKE_INSECURE :
	    r.lead == NULL      ? denial(h) :
				  r.state;
	if (!addrs(a, f, h, &r, &l))
		return false;
	out->addrs = l.addr;
	out->n_addrs = l.n;
	host_alias(h, &r, out);
	if (l.n == 0)
		return unreachable(a, f, h, &l, out);
	if (!host_tls(a, f, h, &r, out, final))
		return false;
	out->action = out->would;
	if (lenient(f)) /* P02 */
		out->action = DANEVIRKE_OPPORTUNISTIC;
	if (f->level == DANEVIRKE_LEVEL_DANE_ONLY &&
	    out->would != DANEVIRKE_HOST_DEFER &&
	    (out->would != DANEVIRKE_AUTHENTICATE || mx_insecure(f))) {
		out->action = DANEVIRKE_HOST_DEFER; /* T06, M07 */
		out->result = DANEVIRKE_DANE_REQUIRED;
		out->reason = arena_printf(
		    a, "level dane-only: %s", out->reason);
	}
	return out->reason != NULL;
}

/* ------------------------------------------------------------- the answer */

static void
ttl_min(uint32_t *ttl, const struct dns_result *r)
{
	if (r != NULL && r->ttl < *ttl)
		*ttl = r->ttl;
}

static uint32_t
answer_ttl(const struct facts *f)
{
	uint32_t ttl = f->literal ? TTL_LITERAL : TTL_CAP;
	size_t i;

	ttl_min(&ttl, f->mx);
	for (i = 0; i < f->n_hosts; i++) {
		ttl_min(&ttl, f->hosts[i].a);
		ttl_min(&ttl, f->hosts[i].aaaa);
		ttl_min(&ttl, f->hosts[i].cname);
		ttl_min(&ttl, f->hosts[i].tlsa[0]);
		ttl_min(&ttl, f->hosts[i].tlsa[1]);
	}
	return ttl;
}

static bool
finish(struct danevirke_answer *out, enum danevirke_outcome outcome,
    const char *reason)
{
	out->outcome = out->would = outcome;
	out->reason = reason;
	return reason != NULL;
}

/* Outcomes that need no host.  True: decided (reason NULL: no memory). */
static bool
decide_early(
    struct arena *a, const struct facts *f, struct danevirke_answer *out)
{
	const struct dns_result *mx = f->mx;
	size_t dots = 0;

	if (f->kind != DANEVIRKE_DOMAIN || f->literal)
		return false;
	if (is_error(mx) && (f->n_hosts == 0 || mx == NULL)) { /* D06, D09 */
		out->result = DANEVIRKE_DNSSEC_INVALID;
		finish(out, DANEVIRKE_DEFER,
		    arena_printf(a, "MX lookup failed: %s", why(mx)));
		return true;
	}
	if (mx->nxdomain && !is_error(mx)) { /* D04 */
		finish(out, DANEVIRKE_NO_DOMAIN,
		    arena_printf(a, "no such domain (%s denial)",
			dnssec_name(mx->state)));
		return true;
	}
	if (mx->n_rr > f->conf->limits.hosts) { /* M11 */
		finish(out, DANEVIRKE_DEFER,
		    arena_printf(a,
			"%zu MX records, "
			"more than resolver.limits.hosts = %u",
			mx->n_rr, f->conf->limits.hosts));
		return true;
	}
	while (dots < mx->n_rr && is_dot(&mx->rr[dots]))
		dots++;
	if (dots > 0 && dots == mx->n_rr) { /* Z01, Z02 */
		finish(out, DANEVIRKE_NULL_MX,
		    arena_printf(a, "the domain takes no mail (null MX%s)",
			mx->n_rr == 1 && mx->rr[0].data[0] == 0 &&
				mx->rr[0].data[1] == 0 ?
			    "" :
			    ", though its preference is not 0 or it is repeated"));
		return true;
	}
	return false;
}

/* M10: cut ourselves and everything worse; true if that left nothing. */
static bool
cut_self(const struct facts *f, struct danevirke_answer *out,
    const struct danevirke_host *h)
{
	size_t i;

	if (f->kind != DANEVIRKE_DOMAIN || f->keep_self)
		return false;
	for (i = 0; i < out->n_hosts; i++) {
		if (!is_self(f, &h[i]))
			continue;
		while (i > 0 && h[i - 1].preference == h[i].preference)
			i--;
		out->n_hosts = i;
		return i == 0;
	}
	return false;
}

/* "mx1.example.org: reason; mx2.example.org: reason" */
static char *
all_reasons(struct arena *a, const struct danevirke_answer *out)
{
	char *s = NULL;
	size_t i;

	for (i = 0; i < out->n_hosts && i < 4; i++)
		if ((s = arena_printf(a, "%s%s%s: %s", i ? s : "",
			 i ? "; " : "", out->hosts[i].name,
			 out->hosts[i].reason)) == NULL)
			return NULL;
	if (s != NULL && out->n_hosts > i)
		s = arena_printf(
		    a, "%s; and %zu more hosts", s, out->n_hosts - i);
	return s;
}

static bool
decide_hosts(
    struct arena *a, const struct facts *f, struct danevirke_answer *out)
{
	size_t i, usable = 0, would = 0;
	const struct host_facts *h = f->hosts;

	for (i = 0; i < out->n_hosts; i++) {
		usable += out->hosts[i].action != DANEVIRKE_HOST_DEFER;
		would += out->hosts[i].would != DANEVIRKE_HOST_DEFER;
		if (out->result == DANEVIRKE_RESULT_NONE)
			out->result = out->hosts[i].result;
	}
	/* no MX and, as definitely, no address: nowhere to go, ever */
	if (out->implicit_mx && !is_error(f->mx) && !is_error(h->a) &&
	    !is_error(h->aaaa) && h->a->n_rr == 0 && h->aaaa->n_rr == 0)
		return finish(out, DANEVIRKE_NO_DOMAIN,
		    arena_str(a, "the domain has no MX and no address"));
	if (usable == 0) { /* D09 */
		finish(out, DANEVIRKE_DEFER, all_reasons(a, out));
		if (would > 0) /* T06 */
			out->would = DANEVIRKE_ROUTE;
		return out->reason != NULL;
	}
	finish(out, DANEVIRKE_ROUTE,
	    arena_printf(a,
		"%zu of %zu host%s "
		"usable%s%s",
		usable, out->n_hosts, out->n_hosts == 1 ? "" : "s",
		is_error(f->mx) && f->kind == DANEVIRKE_DOMAIN && !f->literal ?
		    "; MX lookup failed: " :
		    "",
		is_error(f->mx) && f->kind == DANEVIRKE_DOMAIN && !f->literal ?
		    why(f->mx) :
		    ""));
	out->result = DANEVIRKE_RESULT_NONE;
	if (would == 0 ||
	    (f->kind == DANEVIRKE_DOMAIN && !f->literal && is_error(f->mx)))
		out->would = DANEVIRKE_DEFER; /* P02 */
	return out->reason != NULL;
}

struct danevirke_answer *
policy_decide(struct arena *a, const struct facts *f)
{
	struct danevirke_answer *out;
	struct danevirke_host *hosts;
	size_t i;

	if ((out = arena_alloc(a, sizeof *out)) == NULL)
		return NULL;
	out->size = sizeof *out;
	out->level = f->level;
	out->domain = out->final = f->domain;
	out->profile = f->profile->pub.name;
	out->tls_priority = f->profile->pub.tls_priority;
	if (f->exception != NULL) /* P01 */
		out->exception = f->exception->reason != NULL ?
		    f->exception->reason :
		    "no reason given";
	if (f->failed != NULL)
		return finish(out, DANEVIRKE_DEFER, f->failed) ? out : NULL;
	out->state = f->literal ? DANEVIRKE_INSECURE : DANEVIRKE_SECURE;
	if (f->kind == DANEVIRKE_DOMAIN && !f->literal) {
		out->state = f->mx == NULL ? DANEVIRKE_ERROR : f->mx->state;
		out->signed_until = f->mx == NULL ? 0 : f->mx->signed_until;
		out->insecure_mx = out->state != DANEVIRKE_SECURE; /* M06 */
		out->implicit_mx = f->n_hosts == 1 && f->mx->n_rr == 0;
		if (f->mx != NULL && f->mx->n_alias > 0) /* M03 */
			out->final = f->mx->name[f->mx->n_alias];
	}
	out->ttl = answer_ttl(f);
	if (decide_early(a, f, out))
		return out->reason == NULL ? NULL : out;
	if (f->n_hosts == 0) /* D09: none whose name fits */
		return finish(out, DANEVIRKE_DEFER,
			   "no MX record names a host that can be looked "
			   "up") ?
		    out :
		    NULL;
	if ((hosts = arena_array(a, f->n_hosts, sizeof *hosts)) == NULL)
		return NULL;
	for (i = 0; i < f->n_hosts; i++)
		if (!host_decide(a, f, &f->hosts[i], &hosts[i], out->final))
			return NULL;
	out->hosts = hosts;
	out->n_hosts = f->n_hosts;
	if (cut_self(f, out, hosts)) /* M10, RFC 5321 5.1 */
		return finish(out, DANEVIRKE_LOOP,
			   arena_printf(a, "mail loop: %s is this host",
			       hosts[0].name)) ?
		    out :
		    NULL;
	return decide_hosts(a, f, out) ? out : NULL;
}

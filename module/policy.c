/* SPDX-License-Identifier: ISC */
/*
 * What to ask (RFC 7672 2): the hosts of a question, and for each the lookups
 * that it still needs.  Where a host can be reached follows from the same
 * facts; decide.c makes the decision of them.  Pure: no DNS, clock, file or
 * engine.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "policy.h"

#define GUESSES 4 /* hosts, by preference */

/* Levels that block nothing use what a bogus answer said (P02). */
bool
facts_lenient(const struct facts *f)
{
	return f->level == DANEVIRKE_LEVEL_AUDIT ||
	    f->level == DANEVIRKE_LEVEL_OFF;
}

/* Are there records to work with, whoever vouches for them? */
static bool
lookup_used(const struct facts *f, const struct dns_result *r)
{
	return r != NULL && r->n_rr > 0 &&
	    (r->state == DANEVIRKE_SECURE || r->state == DANEVIRKE_INSECURE ||
		(facts_lenient(f) && r->content));
}

bool
lookup_failed(const struct dns_result *r)
{
	return r == NULL ||
	    (r->state != DANEVIRKE_SECURE && r->state != DANEVIRKE_INSECURE);
}

const char *
lookup_why(const struct dns_result *r)
{
	return r == NULL || r->why == NULL || *r->why == '\0' ? "no answer" :
								r->why;
}

bool
facts_has_mx(const struct facts *f)
{
	return f->kind == DANEVIRKE_DOMAIN && !f->literal;
}

bool
facts_mx_failed(const struct facts *f)
{
	return facts_has_mx(f) && lookup_failed(f->mx);
}

bool
facts_mx_insecure(const struct facts *f)
{
	return facts_has_mx(f) &&
	    (f->mx == NULL || f->mx->state != DANEVIRKE_SECURE);
}

/* M04 may: below an insecure MX record nobody looks for DANE. */
static bool
facts_dane_off(const struct facts *f)
{
	return facts_mx_insecure(f) &&
	    f->profile->insecure_mx == DANEVIRKE_OPPORTUNISTIC;
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
host_is_literal(const char *s)
{
	uint8_t ip[16];

	return inet_pton(AF_INET, s, ip) == 1 ||
	    inet_pton(AF_INET6, s, ip) == 1;
}

static bool
host_itself(struct arena *a, struct facts *f)
{
	if ((f->hosts = arena_alloc(a, sizeof *f->hosts)) == NULL)
		return false;
	f->hosts[0].name = f->domain;
	f->hosts[0].literal = f->literal;
	f->n_hosts = 1;
	return true;
}

/* The root: no host is meant (RFC 7505). */
bool
policy_no_host(const struct dns_rr *rr)
{
	return rr->len == 3 && rr->data[2] == 0;
}

/* One MX record more.  False: out of memory. */
static bool
host_add(struct arena *a, struct facts *f, const struct dns_rr *rr,
    uint32_t (*tie)(void *), void *arg)
{
	struct host_facts *h = &f->hosts[f->n_hosts], *before = f->hosts;
	char name[NAME_LEN];
	uint16_t preference;

	if (policy_no_host(rr)) /* Z03 */
		return true;
	if (rr->len < 3 || !dns_name_text(rr->data + 2, rr->len - 2, name))
		return true; /* too long when its octets are written out */
	preference = (uint16_t)(rr->data[0] << 8 | rr->data[1]);
	while (before < h && strcmp(before->name, name) != 0)
		before++;
	if (before < h) { /* listed twice: the better */
		if (preference < before->preference)
			before->preference = preference;
		return true;
	}
	if ((h->name = arena_str(a, name)) == NULL)
		return false;
	h->preference = preference;
	h->literal = host_is_literal(name); /* T08 */
	h->tie = tie(arg);                  /* M02 */
	f->n_hosts++;
	return true;
}

bool
policy_hosts(
    struct arena *a, struct facts *f, uint32_t (*tie)(void *), void *arg)
{
	const struct dns_result *mx = f->mx;
	size_t i;

	f->n_hosts = 0;
	if (!facts_has_mx(f))
		return host_itself(a, f);
	if (facts_mx_failed(f) &&
	    !(mx != NULL && facts_lenient(f) && mx->content))
		return true; /* D06: no host is tried */
	if (mx->nxdomain)
		return true;
	if (mx->n_rr == 0) /* B02, RFC 5321 5.1 */
		return host_itself(a, f);
	if (mx->n_rr > f->conf->limits.hosts) /* M11 */
		return true;
	f->hosts = arena_array(a, mx->n_rr, sizeof *f->hosts);
	if (f->hosts == NULL)
		return false;
	for (i = 0; i < mx->n_rr; i++)
		if (!host_add(a, f, &mx->rr[i], tie, arg))
			return false;
	qsort(f->hosts, f->n_hosts, sizeof *f->hosts, host_cmp);
	return true;
}

/* -------------------------------------------------------- what to ask next */

struct reach
policy_reach(const struct facts *f, const struct host_facts *h)
{
	struct reach r = { DANEVIRKE_ERROR, false, false, false, NULL };
	enum danevirke_dnssec s;

	/* B06: one secure family is enough, and then the only one used, the
	 * denial of the other may be broken; else the insecure ones */
	for (s = DANEVIRKE_SECURE; s > DANEVIRKE_ERROR; s--) {
		r.a = lookup_used(f, h->a) && h->a->state == s;
		r.aaaa = lookup_used(f, h->aaaa) && h->aaaa->state == s;
		if (r.a || r.aaaa) {
			r.state = s;
			break;
		}
	}
	if (r.state == DANEVIRKE_ERROR) { /* D07; P02 */
		r.a = lookup_used(f, h->a);
		r.aaaa = lookup_used(f, h->aaaa);
		r.bogus = r.a || r.aaaa;
	}
	r.lead = r.a ? h->a : r.aaaa ? h->aaaa : NULL;
	return r;
}

/* The names that may be base domains (RFC 7672 2.2.2, 2.2.3).  0: DANE does
 * not apply, or a CNAME lookup is still needed. */
static size_t
policy_safe_names(const struct facts *f, const struct host_facts *h,
    const struct reach *r, const char *base[2])
{
	if (h->literal || facts_dane_off(f)) /* T07, T08; M04 */
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
size_t
policy_bases(const struct facts *f, const struct host_facts *h,
    const struct reach *r, const char *base[2], bool *beyond)
{
	char owner[NAME_LEN + sizeof "_65535._tcp."];
	size_t i, n = policy_safe_names(f, h, r, base), kept = 0;
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
int
policy_decider(const struct host_facts *h, size_t n, bool *more)
{
	size_t i;

	*more = false;
	for (i = 0; i < n; i++) {
		if (h->tlsa[i] == NULL) {
			*more = true;
			return -1;
		}
		if (lookup_failed(h->tlsa[i]))
			return (int)i; /* B12, D08 */
		if (h->tlsa[i]->state == DANEVIRKE_SECURE &&
		    h->tlsa[i]->n_rr > 0)
			return (int)i; /* B13 */
		/* Q04: insecure or absent, the next one */
	}
	return -1;
}

/* D12, B08: who vouches for the alias of a host with insecure addresses?  Of
 * what was made from a DNAME the library can tell only together with its
 * target (D13). */
static bool
policy_next_alias(const struct facts *f, struct host_facts *h,
    const struct reach *r, struct want *want)
{
	if (r->state != DANEVIRKE_INSECURE || r->lead->n_alias == 0 ||
	    h->cname != NULL || facts_dane_off(f))
		return false;
	*want = r->lead->dname != NULL ?
	    (struct want){ r->lead->dname, TYPE_DNAME, &h->cname } :
	    (struct want){ h->name, TYPE_CNAME, &h->cname };
	return true;
}

static char *
tlsa_owner(struct arena *a, const struct facts *f, const char *base)
{
	return arena_printf(a, "_%u._tcp.%s", f->port, base); /* Q01 */
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
	if (n > 0 || f->level == DANEVIRKE_LEVEL_OFF)
		return n;
	r = policy_reach(f, h);
	if (r.lead == NULL || r.bogus) /* B04, D07 */
		return 0;
	if (policy_next_alias(f, h, &r, &want[0]))
		return 1;
	n = policy_bases(f, h, &r, base, &beyond); /* none: B05 */
	policy_decider(h, n, &more);
	if (!more)
		return 0;
	for (i = 0; h->tlsa[i] != NULL; i++)
		;
	want[0].name = tlsa_owner(a, f, base[i]);
	want[0].type = TYPE_TLSA;
	want[0].slot = &h->tlsa[i];
	return 1;
}

/*
 * Beside the addresses, not behind them.  What lies in the zone that signed the
 * MX records, as far as names tell, will have secure addresses, and if it is no
 * alias its base domain is its name (B07).  Of other hosts nobody knows, and
 * those whose zone is not signed are not to be asked (B05).  It is a guess,
 * which decides nothing: what comes of it is believed when policy_next() wants
 * it.
 */
const char *
policy_guess(struct arena *a, const struct facts *f, const struct host_facts *h)
{
	const struct dns_result *mx = f->mx;
	struct wire zone, name;

	if (mx == NULL || mx->state != DANEVIRKE_SECURE || mx->zone == NULL ||
	    f->level == DANEVIRKE_LEVEL_OFF || h->literal ||
	    h >= f->hosts + GUESSES || !wire_parse(h->name, &name) ||
	    !wire_parse(mx->zone, &zone) || !wire_below(&name, &zone))
		return NULL;
	return tlsa_owner(a, f, h->name);
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

static bool
addr_literal(struct arena *a, const struct facts *f, struct addr_list *l,
    const char *text)
{
	uint8_t ip[16] = { 0 };

	if (inet_pton(AF_INET, text, ip) == 1)
		return addr_add(a, f, l, 4, ip);
	return inet_pton(AF_INET6, text, ip) != 1 || addr_add(a, f, l, 6, ip);
}

/* The i-th record of a lookup, if there is one. */
static bool
addr_record(struct arena *a, const struct facts *f, struct addr_list *l,
    int family, const struct dns_result *r, size_t i)
{
	if (r == NULL || i >= r->n_rr || r->rr[i].len != (family == 4 ? 4 : 16))
		return true;
	return addr_add(a, f, l, family, r->rr[i].data);
}

/* IPv6 and IPv4 by turns, so that one broken family costs one try each. */
bool
policy_addrs(struct arena *a, const struct facts *f, const struct host_facts *h,
    const struct reach *r, struct addr_list *l)
{
	const struct dns_result *v4 = r->a ? h->a : NULL;
	const struct dns_result *v6 = r->aaaa ? h->aaaa : NULL;
	size_t i, n = (v4 ? v4->n_rr : 0) + (v6 ? v6->n_rr : 0);

	memset(l, 0, sizeof *l);
	if (n > f->conf->limits.addresses) {
		l->over = true;
		return true;
	}
	if ((l->addr = arena_array(a, n + 1, sizeof *l->addr)) == NULL)
		return false;
	if (h->literal)
		return addr_literal(a, f, l, h->name);
	for (i = 0; i < n; i++)
		if (!addr_record(a, f, l, 6, v6, i) ||
		    !addr_record(a, f, l, 4, v4, i))
			return false;
	return true;
}

/* M10: the host is ourselves, by name or by address. */
bool
policy_self(const struct facts *f, const struct danevirke_host *h)
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

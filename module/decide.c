/* SPDX-License-Identifier: ISC */
/*
 * What the facts mean (RFC 7672 2): an outcome, and for each host an action.
 * Pure: no DNS, clock, file or engine.  Under every level "would" keeps what
 * level dane says, and "action" what is enforced (P02, T06).
 */
#include <stdio.h>
#include <string.h>

#include "policy.h"

#define TTL_CAP 86400
#define TTL_LITERAL 3600

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
	name[n++] = out->base;       /* N02 */
	if (!facts_mx_insecure(f)) { /* N03, N05; else N04 */
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
host_tlsa(
    struct arena *a, const struct dns_result *r, struct danevirke_host *out)
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
host_no_records(struct arena *a, const struct facts *f,
    struct danevirke_host *out, const struct host_facts *h,
    const char *const base[2], size_t n)
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
	t = host_tlsa(a, r, out);
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
	if (!host_names(a, f, out, final) || (t = host_tlsa(a, r, out)) == NULL)
		return false;
	used = tlsa_classify(t, r->n_rr, 0, p->digests, p->n_digests);
	if ((ignored = ignored_text(a, out)) == NULL)
		return false;
	if (used == 0) { /* T03, T05 */
		out->would = DANEVIRKE_ENCRYPT;
		out->reason = arena_printf(a,
		    "none usable of %zu TLSA (_%u._tcp.%s)%s", r->n_rr, f->port,
		    base, ignored);
	} else { /* T01; M04 encrypt */
		out->would = facts_mx_insecure(f) ? p->insecure_mx :
						    DANEVIRKE_AUTHENTICATE;
		out->reason = arena_printf(a,
		    "%zu usable of %zu TLSA (_%u._tcp.%s)%s%s", used, r->n_rr,
		    f->port, base, facts_mx_insecure(f) ? ", insecure MX" : "",
		    ignored);
	}
	return out->reason != NULL;
}

static bool
host_defer(struct danevirke_host *out, enum danevirke_result result,
    const char *reason)
{
	out->would = DANEVIRKE_HOST_DEFER;
	out->result = result;
	out->reason = reason;
	return reason != NULL;
}

/* D07: what failed of the two lookups, "" if nothing did. */
static const char *
host_failures(struct arena *a, const struct host_facts *h)
{
	bool e4 = lookup_failed(h->a), e6 = lookup_failed(h->aaaa);

	if (!e4 && !e6)
		return "";
	return arena_printf(a, "address lookup failed: %s%s%s",
	    e4 ? lookup_why(h->a) : "", e4 && e6 ? "; AAAA: " : "",
	    e6 ? lookup_why(h->aaaa) : "");
}

static bool
host_unreachable(struct arena *a, const struct facts *f,
    const struct host_facts *h, const struct addr_list *l,
    struct danevirke_host *out)
{
	const char *failed = h->literal ? "" : host_failures(a, h);

	if (failed == NULL)
		return false;
	if (l->over) /* M11 */
		return host_defer(out, DANEVIRKE_RESULT_NONE,
		    arena_printf(a,
			"more addresses than resolver.limits.addresses = %u",
			f->conf->limits.addresses));
	if (*failed != '\0')
		host_defer(out, DANEVIRKE_DNSSEC_INVALID, failed); /* D07 */
	else
		host_defer(out, DANEVIRKE_RESULT_NONE, "no address"); /* B04 */
	if (l->dropped > 0)                                           /* M12 */
		out->reason = arena_printf(a,
		    "%zu address%s of a kind no mail is sent to (loopback, "
		    "link-local, ...; see resolver.allow_addresses)%s%s",
		    l->dropped, l->dropped == 1 ? "" : "es",
		    *failed != '\0' ? "; " : "", failed);
	return out->reason != NULL;
}

/* The reason of a host for which there is nothing to look for. */
static bool
host_not_asked(struct arena *a, const struct facts *f, const struct reach *r,
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
	int d = policy_decider(h, n, &more);

	if (more) /* never: facts are complete */
		return host_defer(out, DANEVIRKE_DNSSEC_INVALID,
		    arena_str(a, "TLSA lookup not done"));
	out->tlsa_asked = 1;
	if (d < 0)
		return host_no_records(a, f, out, h, base, n);
	r = h->tlsa[d];
	out->tlsa_state = lookup_failed(r) ? DANEVIRKE_ERROR : r->state;
	if (lookup_failed(r)) /* D08, B12 */
		return host_defer(out, DANEVIRKE_DNSSEC_INVALID,
		    arena_printf(a, "TLSA lookup failed: _%u._tcp.%s: %s",
			f->port, base[d], lookup_why(r)));
	if (r->n_rr > f->conf->limits.records) /* M11 */
		return host_defer(out, DANEVIRKE_TLSA_INVALID,
		    arena_printf(a,
			"_%u._tcp.%s: %zu TLSA records, more than "
			"resolver.limits.records = %u",
			f->port, base[d], r->n_rr, f->conf->limits.records));
	return host_records(a, f, out, r, base[d], final);
}

/* Nobody can tell whether the alias of these addresses is secure. */
static bool
host_alias_failed(const struct host_facts *h, const struct reach *r)
{
	return r->state == DANEVIRKE_INSECURE && r->lead->n_alias > 0 &&
	    h->cname != NULL && lookup_failed(h->cname);
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
	if (h->literal || f->level == DANEVIRKE_LEVEL_OFF) {
		out->reason = h->literal ?
		    "address literal, DANE does not apply" :
		    "level off";
		return true;
	}
	if (r->bogus) /* only here under P02 */
		return host_defer(out, DANEVIRKE_DNSSEC_INVALID,
		    arena_printf(
			a, "address lookup failed: %s", lookup_why(r->lead)));
	n = policy_bases(f, h, r, base, &beyond);
	if (n > 0)
		return host_decided(a, f, h, out, final, base, n);
	if (!beyond && host_alias_failed(h, r)) /* D08, D12 */
		return host_defer(out, DANEVIRKE_DNSSEC_INVALID,
		    arena_printf(a, "%s lookup failed: %s",
			r->lead->dname != NULL ? "DNAME" : "CNAME",
			lookup_why(h->cname)));
	return host_not_asked(a, f, r, out, beyond); /* T04 */
}

/* For people and monitors: the first signature to end. */
static uint32_t
host_signed_until(const struct host_facts *h)
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
host_denial(const struct host_facts *h)
{
	if (lookup_failed(h->a) || lookup_failed(h->aaaa))
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

/* T06, M07: level dane-only takes nothing that is not authenticated. */
static bool
host_dane_only(
    struct arena *a, const struct facts *f, struct danevirke_host *out)
{
	if (f->level != DANEVIRKE_LEVEL_DANE_ONLY ||
	    out->would == DANEVIRKE_HOST_DEFER ||
	    (out->would == DANEVIRKE_AUTHENTICATE && !facts_mx_insecure(f)))
		return true;
	out->action = DANEVIRKE_HOST_DEFER;
	out->result = DANEVIRKE_DANE_REQUIRED;
	out->reason = arena_printf(a, "level dane-only: %s", out->reason);
	return out->reason != NULL;
}

static bool
host_decide(struct arena *a, const struct facts *f, const struct host_facts *h,
    struct danevirke_host *out, const char *final)
{
	struct reach r = policy_reach(f, h);
	struct addr_list l;

	out->size = sizeof *out;
	out->name = h->name;
	out->preference = h->preference;
	out->port = f->port;
	out->signed_until = host_signed_until(h);
	out->state = h->literal ? DANEVIRKE_INSECURE :
	    r.lead == NULL      ? host_denial(h) :
				  r.state;
	if (!policy_addrs(a, f, h, &r, &l))
		return false;
	out->addrs = l.addr;
	out->n_addrs = l.n;
	host_alias(h, &r, out);
	if (l.n == 0)
		return host_unreachable(a, f, h, &l, out);
	if (!host_tls(a, f, h, &r, out, final) || !listed_decide(a, f, out))
		return false;
	out->action = out->would;
	if (facts_lenient(f)) /* P02 */
		out->action = DANEVIRKE_OPPORTUNISTIC;
	return host_dane_only(a, f, out);
}

/* ------------------------------------------------------------- the answer */

static void
answer_ttl_min(uint32_t *ttl, const struct dns_result *r)
{
	if (r != NULL && r->ttl < *ttl)
		*ttl = r->ttl;
}

static uint32_t
answer_ttl(const struct facts *f)
{
	uint32_t ttl = f->literal ? TTL_LITERAL : TTL_CAP;
	size_t i;

	answer_ttl_min(&ttl, f->mx);
	for (i = 0; i < f->n_hosts; i++) {
		answer_ttl_min(&ttl, f->hosts[i].a);
		answer_ttl_min(&ttl, f->hosts[i].aaaa);
		answer_ttl_min(&ttl, f->hosts[i].cname);
		answer_ttl_min(&ttl, f->hosts[i].tlsa[0]);
		answer_ttl_min(&ttl, f->hosts[i].tlsa[1]);
	}
	return listed_ttl(f, ttl);
}

static bool
decide_as(struct danevirke_answer *out, enum danevirke_outcome outcome,
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
	bool odd;

	if (!facts_has_mx(f))
		return false;
	if (facts_mx_failed(f) &&
	    (f->n_hosts == 0 || mx == NULL)) { /* D06, D09 */
		out->result = DANEVIRKE_DNSSEC_INVALID;
		decide_as(out, DANEVIRKE_DEFER,
		    arena_printf(a, "MX lookup failed: %s", lookup_why(mx)));
		return true;
	}
	if (mx->nxdomain && !facts_mx_failed(f)) { /* D04 */
		decide_as(out, DANEVIRKE_NO_DOMAIN,
		    arena_printf(a, "no such domain (%s denial)",
			dnssec_name(mx->state)));
		return true;
	}
	if (mx->n_rr > f->conf->limits.hosts) { /* M11 */
		decide_as(out, DANEVIRKE_DEFER,
		    arena_printf(a,
			"%zu MX records, more than resolver.limits.hosts = %u",
			mx->n_rr, f->conf->limits.hosts));
		return true;
	}
	while (dots < mx->n_rr && policy_no_host(&mx->rr[dots]))
		dots++;
	if (dots == 0 || dots < mx->n_rr)
		return false;
	odd = dots > 1 || mx->rr[0].data[0] != 0 || mx->rr[0].data[1] != 0;
	decide_as(out, DANEVIRKE_NULL_MX, /* Z01, Z02 */
	    arena_printf(a, "the domain takes no mail (null MX%s)",
		odd ? ", though its preference is not 0 or it is repeated" :
		      ""));
	return true;
}

/* M10: cut ourselves and everything worse; true if that left nothing. */
static bool
decide_self(const struct facts *f, struct danevirke_answer *out)
{
	const struct danevirke_host *const *h = out->hosts;
	size_t i;

	if (f->kind != DANEVIRKE_DOMAIN || f->test)
		return false;
	for (i = 0; i < out->n_hosts; i++) {
		if (!policy_self(f, h[i]))
			continue;
		while (i > 0 && h[i - 1]->preference == h[i]->preference)
			i--;
		out->n_hosts = i;
		return i == 0;
	}
	return false;
}

/* "mx1.example.org: reason; mx2.example.org: reason" */
static char *
decide_reasons(struct arena *a, const struct danevirke_answer *out)
{
	char *s = NULL;
	size_t i;

	for (i = 0; i < out->n_hosts && i < 4; i++)
		if ((s = arena_printf(a, "%s%s%s: %s", i ? s : "",
			 i ? "; " : "", out->hosts[i]->name,
			 out->hosts[i]->reason)) == NULL)
			return NULL;
	if (s != NULL && out->n_hosts > i)
		s = arena_printf(
		    a, "%s; and %zu more hosts", s, out->n_hosts - i);
	return s;
}

/* No MX and, as definitely, no address: nowhere to go, ever. */
static bool
decide_nowhere(const struct facts *f, const struct danevirke_answer *out)
{
	const struct host_facts *h = f->hosts;

	return out->implicit_mx && !facts_mx_failed(f) &&
	    !lookup_failed(h->a) && !lookup_failed(h->aaaa) &&
	    h->a->n_rr == 0 && h->aaaa->n_rr == 0;
}

static bool
decide_hosts(
    struct arena *a, const struct facts *f, struct danevirke_answer *out)
{
	size_t i, usable = 0, would = 0;

	for (i = 0; i < out->n_hosts; i++) {
		usable += out->hosts[i]->action != DANEVIRKE_HOST_DEFER;
		would += out->hosts[i]->would != DANEVIRKE_HOST_DEFER;
		if (out->result == DANEVIRKE_RESULT_NONE)
			out->result = out->hosts[i]->result;
	}
	if (decide_nowhere(f, out))
		return decide_as(out, DANEVIRKE_NO_DOMAIN,
		    "the domain has no MX and no address");
	if (usable == 0) { /* D09 */
		decide_as(out, DANEVIRKE_DEFER, decide_reasons(a, out));
		if (would > 0) /* T06 */
			out->would = DANEVIRKE_ROUTE;
		return out->reason != NULL;
	}
	decide_as(out, DANEVIRKE_ROUTE,
	    arena_printf(a, "%zu of %zu host%s usable%s%s", usable,
		out->n_hosts, out->n_hosts == 1 ? "" : "s",
		facts_mx_failed(f) ? "; MX lookup failed: " : "",
		facts_mx_failed(f) ? lookup_why(f->mx) : ""));
	out->result = DANEVIRKE_RESULT_NONE;
	if (would == 0 || facts_mx_failed(f))
		out->would = DANEVIRKE_DEFER; /* P02 */
	return out->reason != NULL;
}

/* What the answer says whatever becomes of the hosts. */
static void
decide_head(const struct facts *f, struct danevirke_answer *out)
{
	const struct dns_result *mx = f->mx;

	out->state = f->literal ? DANEVIRKE_INSECURE : DANEVIRKE_SECURE;
	out->ttl = answer_ttl(f);
	if (!facts_has_mx(f))
		return;
	out->state = DANEVIRKE_ERROR;
	out->insecure_mx = facts_mx_insecure(f); /* M06 */
	if (mx == NULL)
		return;
	out->state = mx->state;
	out->signed_until = mx->signed_until;
	out->implicit_mx = f->n_hosts == 1 && mx->n_rr == 0;
	if (mx->n_alias > 0) /* M03 */
		out->final = mx->name[mx->n_alias];
}

/* The outcome, and the hosts if it comes to them.  False: out of memory. */
static bool
decide_all(struct arena *a, const struct facts *f, struct danevirke_answer *out)
{
	const struct danevirke_host **hosts;
	struct danevirke_host *host;
	size_t i;

	if (f->failed != NULL)
		return decide_as(out, DANEVIRKE_DEFER, f->failed);
	decide_head(f, out);
	if (decide_early(a, f, out))
		return out->reason != NULL;
	if (f->n_hosts == 0) /* D09: none whose name fits */
		return decide_as(out, DANEVIRKE_DEFER,
		    "no MX record names a host that can be looked up");
	hosts = arena_array(a, f->n_hosts, sizeof *hosts);
	host = arena_array(a, f->n_hosts, sizeof *host);
	if (hosts == NULL || host == NULL)
		return false;
	for (i = 0; i < f->n_hosts; i++) {
		if (!host_decide(a, f, &f->hosts[i], &host[i], out->final))
			return false;
		hosts[i] = &host[i];
	}
	out->hosts = hosts;
	out->n_hosts = f->n_hosts;
	if (decide_self(f, out)) /* M10, RFC 5321 5.1 */
		return decide_as(out, DANEVIRKE_LOOP,
		    arena_printf(
			a, "mail loop: %s is this host", hosts[0]->name));
	return decide_hosts(a, f, out);
}

struct danevirke_answer *
policy_decide(struct arena *a, const struct facts *f)
{
	struct danevirke_answer *out = arena_alloc(a, sizeof *out);

	if (out == NULL)
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
	out->tlsrpt_record = tlsrpt_record(a, f->tlsrpt);
	if (out->tlsrpt_record != NULL)
		out->tlsrpt_socket = f->profile->pub.tlsrpt;
	return listed_head(a, f, out) && decide_all(a, f, out) ? out : NULL;
}

/* SPDX-License-Identifier: ISC */
/* policy.h - what policy.c (what to ask) and decide.c (what it means) share */
#ifndef POLICY_H
#define POLICY_H

#include "module.h"

/* No answer, or one that is neither secure nor insecure. */
bool lookup_failed(const struct dns_result *);
const char *lookup_why(const struct dns_result *);

/* Levels that block nothing use what a bogus answer said (P02). */
bool facts_lenient(const struct facts *);
/* MX records are asked for: not of a relay, and not of an address. */
bool facts_has_mx(const struct facts *);
bool facts_mx_failed(const struct facts *);
bool facts_mx_insecure(const struct facts *);

/* This MX record names the root: no host is meant (RFC 7505). */
bool policy_no_host(const struct dns_rr *);

/* What the two address lookups amount to. */
struct reach {
	enum danevirke_dnssec state;   /* of the addresses that are used */
	bool a, aaaa;                  /* these families are used */
	bool bogus;                    /* used only because of audit or off */
	const struct dns_result *lead; /* gives the alias chain, or NULL */
};
struct reach policy_reach(const struct facts *, const struct host_facts *);

/* The names whose TLSA records can be asked for, best first; 0: DANE does not
 * apply, or a CNAME lookup is still needed.  *beyond: there would be one, but
 * it is too long. */
size_t policy_bases(const struct facts *, const struct host_facts *,
    const struct reach *, const char *base[2], bool *beyond);
/* The one of those n that decides, -1: none does (yet); *more: go on asking. */
int policy_decider(const struct host_facts *, size_t n, bool *more);

struct addr_list {
	struct danevirke_addr *addr;
	size_t n;
	size_t dropped; /* by M12 */
	bool over;      /* the limit: M11 */
};
/* False: out of memory. */
bool policy_addrs(struct arena *, const struct facts *,
    const struct host_facts *, const struct reach *, struct addr_list *);
/* M10: the host is ourselves, by name or by address. */
bool policy_self(const struct facts *, const struct danevirke_host *);

/* listed.c: what the policy makes of a host that DANE has decided.  False: out
 * of memory. */
bool
listed_decide(struct arena *, const struct facts *, struct danevirke_host *);
/* What it says of the domain. */
bool
listed_head(struct arena *, const struct facts *, struct danevirke_answer *);
/* For how long, at most. */
uint32_t listed_ttl(const struct facts *, uint32_t ttl);

#endif

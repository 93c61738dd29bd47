/* SPDX-License-Identifier: ISC */
/*
 * What was found, held against the publisher's rules (RFC 7671 8, 10; RFC 7672
 * 4, 9.2).  No network: an answer and chains in, findings out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "check.h"

#define DAY 86400
#define UDP_SIZE 1232 /* what fits everywhere without fragments */
#define MANY_RECORDS 12
#define KIND_LEN 96

static void
lint_kind_name(const struct danevirke_tlsa *t, char *buf, size_t len)
{
	char name[64];

	record_name((uint8_t[3]){ t->usage, t->selector, t->matching }, name,
	    sizeof name);
	snprintf(buf, len, "%u %u %u (%s)", t->usage, t->selector, t->matching,
	    name);
}

/* --------------------------------------------------------------- records */

static void
lint_one_record(struct report *r, const struct danevirke_host *h,
    const struct danevirke_tlsa *t)
{
	char name[KIND_LEN];

	lint_kind_name(t, name, sizeof name);
	if (t->usage <= DANEVIRKE_PKIX_EE) /* U01 */
		lint_add(r, SEV_WARNING, "L09", h->name, NULL,
		    "publish 3 1 1 in its place",
		    "%s: senders ignore usages 0 and 1 for mail", name);
	else if (!t->usable) /* U02 */
		lint_add(r, SEV_PROBLEM, "U02", h->name, NULL,
		    "remove this record or write it anew with danevirke tlsa",
		    "%s: senders ignore this record: %s", name, t->why);
	else if (t->matching == DANEVIRKE_FULL)
		lint_add(r, SEV_WARNING, "L08", h->name, NULL,
		    "a digest (matching type 1) does the same in 35 octets",
		    "%s: the whole data, %zu octets, stands in DNS", name,
		    t->len);
}

static size_t
lint_count(
    const struct danevirke_host *h, int usage, int selector, int matching)
{
	size_t i, n = 0;

	for (i = 0; i < h->n_tlsa; i++)
		n += h->tlsa[i].usable && h->tlsa[i].usage == usage &&
		    h->tlsa[i].selector == selector &&
		    h->tlsa[i].matching == matching;
	return n;
}

/* L03, L06: what a set of good records may still lack. */
static void
lint_record_kinds(struct report *r, const struct danevirke_host *h)
{
	size_t i, sha256 = 0, sha512 = 0, n256, n512, ee = 0, usable = 0;
	int usage, selector;

	for (i = 0; i < h->n_tlsa; i++) {
		usable += h->tlsa[i].usable;
		sha256 += h->tlsa[i].usable &&
		    h->tlsa[i].matching == DANEVIRKE_SHA2_256;
		sha512 += h->tlsa[i].usable &&
		    h->tlsa[i].matching == DANEVIRKE_SHA2_512;
	}
	if (usable == 0)
		return;
	ee = lint_count(h, 3, 1, 1);
	if (sha256 == 0 && sha512 > 0)
		lint_add(r, SEV_WARNING, "L06", h->name, NULL,
		    "add the same with matching type 1: every sender knows it",
		    "no record has matching type 1 (SHA2-256)");
	else if (ee == 0)
		lint_add(r, SEV_NOTE, "L06", h->name, NULL,
		    "3 1 1 is the simplest to keep right: it depends on no CA, "
		    "name or date",
		    "there is no 3 1 1 record");
	for (usage = 2; usage <= 3; usage++)
		for (selector = 0; selector <= 1; selector++) {
			n256 = lint_count(h, usage, selector, 1);
			n512 = lint_count(h, usage, selector, 2);
			if (n256 > 0 && n512 > 0 && n256 != n512)
				lint_add(r, SEV_WARNING, "L03", h->name, NULL,
				    "publish every key with every digest "
				    "type: senders look at the strongest "
				    "type only",
				    "%d %d 1 has %zu records, %d %d 2 has %zu: "
				    "a key is missing from one of them",
				    usage, selector, n256, usage, selector,
				    n512);
		}
}

/* L08: name (compressed), header and RDATA of each, and one signature. */
static void
lint_size(struct report *r, const struct danevirke_host *h)
{
	size_t size = 12 + 80 + 300, i;

	for (i = 0; i < h->n_tlsa; i++)
		size += 12 + 3 + h->tlsa[i].len;
	if (h->n_tlsa > MANY_RECORDS)
		lint_add(r, SEV_WARNING, "L08", h->name, NULL,
		    "two records for each key are enough", "%zu TLSA records",
		    h->n_tlsa);
	if (size > UDP_SIZE)
		lint_add(r, SEV_WARNING, "L08", h->name, NULL,
		    "every sender has to ask again over TCP",
		    "the TLSA answer has about %zu octets, more than the %d "
		    "that fit in UDP everywhere",
		    size, UDP_SIZE);
}

/* L02: how long a change takes to be everywhere. */
static void
lint_ttl(struct report *r, const struct danevirke_host *h)
{
	if (h->tlsa_ttl > TTL_WEEK)
		lint_add(r, SEV_WARNING, "L02", h->name, NULL,
		    "an hour is usual: before a key is changed, two TTLs have "
		    "to go by",
		    "the TLSA records have a TTL of %u seconds: resolvers "
		    "keep them as long as they like, a week or more",
		    h->tlsa_ttl);
	else if (h->tlsa_ttl == 0)
		lint_add(r, SEV_WARNING, "L02", h->name, NULL,
		    "an hour is usual: every message has to wait for this "
		    "answer, and is delayed when it fails",
		    "the TLSA records have a TTL of 0: no resolver keeps them");
}

/* L12: until: as in struct danevirke_host, 0: there is none. */
static void
lint_signature(struct report *r, const char *host, uint32_t until,
    const struct lint_limits *l)
{
	int32_t left = (int32_t)(until - (uint32_t)l->now);
	char text[32];

	if (until == 0 || left >= (int32_t)(l->signature_days * DAY))
		return;
	time_text(l->now + left, text);
	lint_add(r, SEV_WARNING, "L12", host, NULL,
	    "sign the zone anew now, and see why it was not done by itself",
	    "a DNSSEC signature ends on %s", text);
}

static void
lint_host(struct report *r, const struct danevirke_host *h,
    const struct lint_limits *l)
{
	size_t i;

	lint_signature(r, h->name, h->signed_until, l);
	if (h->would == DANEVIRKE_HOST_DEFER) {
		lint_add(r, SEV_PROBLEM, h->n_addrs == 0 ? "D07" : "D08",
		    h->name, NULL,
		    "senders with DNSSEC do not use this host until its zone "
		    "is right",
		    "%s", h->reason);
		return;
	}
	if (h->tlsa_state != DANEVIRKE_SECURE || h->n_tlsa == 0)
		return;
	for (i = 0; i < h->n_tlsa; i++)
		lint_one_record(r, h, &h->tlsa[i]);
	lint_ttl(r, h);
	if (h->would == DANEVIRKE_ENCRYPT && r->answer->insecure_mx == 0)
		lint_add(r, SEV_PROBLEM, "T03", h->name, NULL,
		    "publish 3 1 1 of the certificate in use",
		    "no TLSA record can be used: senders insist on TLS, but "
		    "authenticate nobody");
	lint_record_kinds(r, h);
	lint_size(r, h);
}

/* L13: an attacker picks the weakest host. */
static void
lint_gaps(struct report *r)
{
	const struct danevirke_answer *a = r->answer;
	const struct danevirke_host *h;
	size_t i, with = 0, without = 0;

	for (i = 0; i < a->n_hosts; i++) {
		with += a->hosts[i]->would == DANEVIRKE_AUTHENTICATE;
		without += a->hosts[i]->would == DANEVIRKE_OPPORTUNISTIC;
	}
	if (with == 0 && without > 0) {
		lint_add(r, SEV_PROBLEM, "L13", NULL, NULL,
		    "danevirke tlsa prints the records to publish",
		    "no MX host has TLSA records that count");
		return;
	}
	for (i = 0; i < a->n_hosts; i++) {
		h = a->hosts[i];
		if (h->would == DANEVIRKE_OPPORTUNISTIC)
			lint_add(r, SEV_WARNING, "L13", h->name, NULL,
			    "publish TLSA records for this host too, or "
			    "remove it: an attacker picks the weakest",
			    "%s, while other hosts have TLSA", h->reason);
	}
}

void
lint_answer(struct report *r, const struct lint_limits *limits)
{
	const struct danevirke_answer *a = r->answer;
	struct lint_limits l = *limits;
	size_t i;

	if (l.now == 0)
		l.now = r->when;
	lint_signature(r, NULL, a->signed_until, &l);
	switch (a->outcome) {
	case DANEVIRKE_NULL_MX:
		lint_add(r, SEV_NOTE, "Z01", NULL, NULL, NULL, "%s", a->reason);
		return;
	case DANEVIRKE_NO_DOMAIN:
		lint_add(r, SEV_PROBLEM, "D04", NULL, NULL,
		    "senders return mail to this domain", "%s", a->reason);
		return;
	case DANEVIRKE_LOOP: /* not with DANEVIRKE_TEST */
	case DANEVIRKE_ROUTE:
	case DANEVIRKE_DEFER:
		break;
	}
	if (a->n_hosts == 0 && r->own_dns) {
		lint_add(r, SEV_WARNING, "D05", NULL, NULL,
		    "danevirke conf --probe names what is wrong here: network, "
		    "forwarders, trust anchor or clock",
		    "no other name can be looked up either: %s", a->reason);
		return;
	}
	if (a->n_hosts == 0) {
		lint_add(r, SEV_PROBLEM, "D06", NULL, NULL,
		    "senders with DNSSEC delay all mail until the zone is "
		    "right: do its name servers answer, over UDP and TCP, from "
		    "the address that was asked (NSD with several: "
		    "ip-address), are its signatures fresh, does the DS record "
		    "fit?",
		    "%s", a->reason);
		return;
	}
	for (i = 0; i < a->n_hosts; i++)
		lint_host(r, a->hosts[i], &l);
	lint_gaps(r);
	lint_mta_sts(r);
}

/* ---------------------------------------------------------------- chains */

static time_t
lint_not_after(const struct danevirke_cert *c, bool *self_issued)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)c->der,
		(unsigned)c->len };
	gnutls_x509_crt_t crt;
	time_t t = 0;

	*self_issued = false;
	if (gnutls_x509_crt_init(&crt) < 0)
		return 0;
	if (gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_DER) == 0) {
		t = gnutls_x509_crt_get_expiration_time(crt);
		*self_issued = gnutls_x509_crt_check_issuer(crt, crt) != 0;
	}
	gnutls_x509_crt_deinit(crt);
	return t == (time_t)-1 ? 0 : t;
}

/* L07, U11: what a match of usage 2 hangs from. */
static void
lint_anchor(struct report *r, const struct address_report *ar,
    const struct danevirke_chain *chain, const struct danevirke_verdict *v,
    const struct danevirke_tlsa *t, const struct lint_limits *l)
{
	char name[KIND_LEN], date[32];
	bool self_issued;
	time_t end, first = 0;
	int i;

	lint_kind_name(t, name, sizeof name);
	for (i = 0; i <= v->depth && i < (int)chain->n_certs; i++) {
		end = lint_not_after(&chain->certs[i], &self_issued);
		if (end != 0 && (first == 0 || end < first))
			first = end;
	}
	if (t->selector == DANEVIRKE_CERT && v->depth > 0 &&
	    v->depth < (int)chain->n_certs && !self_issued)
		lint_add(r, SEV_WARNING, "L07", ar->host->name, NULL,
		    "a CA may change it without notice: 3 1 1 does not depend "
		    "on it",
		    "%s is one certificate of an intermediate CA", name);
	if (first != 0 && first < l->now + (time_t)l->certificate_days * DAY) {
		time_text(first, date);
		lint_add(r, SEV_WARNING, "U11", ar->host->name, ar->addr->text,
		    "renew it: usage 2 depends on its date",
		    "a certificate of the chain that %s vouches for ends on %s",
		    name, date);
	}
}

/* Why a group failed, and what helps. */
static void
lint_blame(struct report *r, const struct address_report *ar,
    const struct danevirke_tlsa *t, const struct danevirke_verdict *v,
    const char *what)
{
	bool ta = t->usage == DANEVIRKE_DANE_TA;
	const char *host = ar->host->name, *addr = ar->addr->text;
	char name[KIND_LEN], which[48] = "";
	bool plain = v->result == DANEVIRKE_VALIDATION_FAILURE;

	lint_kind_name(t, name, sizeof name);
	if (what != NULL)
		snprintf(which, sizeof which, " for the %s certificate", what);
	switch (v->result) {
	case DANEVIRKE_CERTIFICATE_EXPIRED:
		lint_add(r, SEV_PROBLEM, "U11", host, addr,
		    "renew it: usage 2 depends on its dates", "%s fails%s: %s",
		    name, which, v->text);
		break;
	case DANEVIRKE_CERTIFICATE_HOST_MISMATCH:
		lint_add(r, SEV_PROBLEM, "N02", host, addr,
		    "usage 2 needs a certificate with the name of the MX host",
		    "%s fails%s: %s", name, which, v->text);
		break;
	default:
		/* L04: the anchor of a digest has to be sent */
		lint_add(r, SEV_PROBLEM,
		    ta && t->matching != DANEVIRKE_FULL ? "L04" : "L01", host,
		    addr,
		    ta ? "send the CA certificate of the record in the chain, "
			 "or publish the record of the CA that is sent" :
			 "publish the record of this certificate (danevirke "
			 "tlsa), or install the one that is published",
		    "no record %s matches the %s%s%s that is sent%s%s", name,
		    what != NULL ? what : "", what != NULL ? " " : "",
		    ta ? "chain" : "certificate", plain ? "" : ": ",
		    plain ? "" : v->text);
	}
}

/* N04: what satisfied h may hang on the name of the mail domain, which not all
 * senders accept: those with another way to the host know its name only. */
static void
lint_base(struct report *r, const struct address_report *ar,
    const struct danevirke_host *h, const struct danevirke_chain *chain,
    const struct danevirke_tlsa *t, const struct danevirke_verify_options *o)
{
	struct danevirke_host alone = *h;
	struct danevirke_verdict v = { .size = sizeof v };
	char name[KIND_LEN];

	alone.names = &alone.base;
	alone.n_names = 1;
	if (h->base == NULL || r->dv->verify(&alone, chain, o, &v) == 0)
		return;
	lint_kind_name(t, name, sizeof name);
	lint_add(r, SEV_WARNING, "N02", ar->host->name, ar->addr->text,
	    "usage 2 needs a certificate with the name of the MX host, which "
	    "is the one that all senders accept",
	    "%s fails without the name of the mail domain: %s", name, v.text);
}

static bool
lint_same_kind(const struct danevirke_tlsa *a, const struct danevirke_tlsa *b)
{
	return a->usable && b->usable && a->usage == b->usage &&
	    a->selector == b->selector && a->matching == b->matching;
}

/* One (usage, selector, matching type) by itself (L01). */
static bool
lint_group(struct report *r, const struct address_report *ar,
    struct danevirke_tlsa *all, size_t n, size_t first,
    const struct danevirke_chain *chain, const char *what,
    const struct lint_limits *l, struct danevirke_verdict *v)
{
	struct danevirke_host h = *ar->host;
	struct danevirke_verify_options o = { .size = sizeof o, .now = l->now };
	size_t i;

	for (i = 0; i < n; i++)
		all[i].use = lint_same_kind(&all[i], &all[first]);
	h.tlsa = all;
	h.would = DANEVIRKE_AUTHENTICATE;
	if (r->dv->verify(&h, chain, &o, v) == 0 && v->verified) {
		if (v->usage == DANEVIRKE_DANE_TA) {
			lint_anchor(r, ar, chain, v, &all[v->index], l);
			lint_base(r, ar, &h, chain, &all[v->index], &o);
		}
		return true;
	}
	lint_blame(r, ar, &all[first], v, what);
	return false;
}

/* Each group by itself; all: a copy of the records, whose use may change. */
static void
lint_groups(struct report *r, struct address_report *ar,
    struct danevirke_tlsa *all, size_t n, const struct danevirke_chain *chain,
    const char *what, const struct lint_limits *l)
{
	struct danevirke_verdict v;
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < i && !lint_same_kind(&all[j], &all[i]); j++)
			continue;
		if (!all[i].usable || j < i)
			continue;
		v = (struct danevirke_verdict){ .size = sizeof v };
		if (!lint_group(r, ar, all, n, i, chain, what, l, &v) ||
		    what != NULL)
			continue;
		if (ar->n_match < KINDS_MAX) {
			ar->match[ar->n_match].index = v.index;
			ar->match[ar->n_match++].depth = v.depth;
		}
		if (ar->usage == -1) {
			ar->usage = all[i].usage;
			ar->kind[0] = all[i].usage;
			ar->kind[1] = all[i].selector;
			ar->kind[2] = all[i].matching;
		}
	}
}

/* What a sender would say, with agility and all records. */
static void
lint_sender(struct report *r, struct address_report *ar,
    const struct danevirke_chain *chain, const struct lint_limits *l)
{
	struct danevirke_verify_options o = { .size = sizeof o, .now = l->now };
	struct danevirke_verdict v = { .size = sizeof v };

	ar->verified = r->dv->verify(ar->host, chain, &o, &v) == 0 &&
	    v.verified;
	snprintf(ar->text, sizeof ar->text, "%s", v.text);
	if (ar->verified && v.usage == DANEVIRKE_DANE_EE &&
	    ar->not_after != 0 && ar->not_after < l->now) /* U06 */
		lint_add(r, SEV_NOTE, "U06", ar->host->name, ar->addr->text,
		    "renew it for those that look at dates",
		    "the certificate has ended: usage 3 does not mind, others "
		    "may");
}

/* Its leaf; false: it was judged already, as that of another session. */
static bool
lint_leaf(struct report *r, struct address_report *ar,
    const struct danevirke_chain *chain, const char *what)
{
	uint8_t leaf[32] = { 0 };
	bool self_issued;

	if (chain->n_certs > 0)
		gnutls_hash_fast(GNUTLS_DIG_SHA256, chain->certs[0].der,
		    chain->certs[0].len, leaf);
	if (what != NULL)
		return memcmp(ar->leaf, leaf, sizeof leaf) != 0;
	memcpy(ar->leaf, leaf, sizeof leaf);
	lint_certs(r, ar, chain);
	if (chain->n_certs > 0)
		ar->not_after = lint_not_after(&chain->certs[0], &self_issued);
	return true;
}

void
lint_chain(struct report *r, struct address_report *ar,
    const struct danevirke_chain *chain, const char *what,
    const struct lint_limits *limits)
{
	const struct danevirke_host *h = ar->host;
	struct lint_limits l = *limits;
	struct danevirke_tlsa *all;

	if (l.now == 0)
		l.now = r->when;
	if (!lint_leaf(r, ar, chain, what))
		return;
	if (h->tlsa_state != DANEVIRKE_SECURE || h->n_tlsa == 0) {
		snprintf(ar->text, sizeof ar->text, "not authenticated: %s",
		    h->reason);
		return;
	}
	if ((all = calloc(h->n_tlsa, sizeof *all)) == NULL) {
		r->no_memory = true;
		return;
	}
	memcpy(all, h->tlsa, h->n_tlsa * sizeof *all);
	lint_groups(r, ar, all, h->n_tlsa, chain, what, &l);
	free(all);
	if (what == NULL && h->would == DANEVIRKE_AUTHENTICATE)
		lint_sender(r, ar, chain, &l);
}

/* --------------------------------------------------------------- verdict */

/* Was anything worse than a note said of this host? */
static bool
lint_complained(const struct report *r, const char *host)
{
	size_t i;

	for (i = 0; i < r->n_finding; i++)
		if (r->finding[i].severity > SEV_NOTE &&
		    r->finding[i].host != NULL &&
		    strcmp(r->finding[i].host, host) == 0)
			return true;
	return false;
}

/* Good is what was seen to be good: a host of which nothing was seen (all of
 * it is IPv6, and this machine has none) is not. */
static void
lint_unseen(struct report *r)
{
	const struct danevirke_host *h;
	size_t i, j;
	bool seen;

	for (i = 0; r->answer != NULL && i < r->answer->n_hosts; i++) {
		h = r->answer->hosts[i];
		seen = h->would == DANEVIRKE_HOST_DEFER || r->dns_only;
		for (j = 0; j < r->n_addr; j++)
			seen |= r->addr[j].host == h && r->addr[j].tested;
		if (!seen && !lint_complained(r, h->name))
			lint_add(r, SEV_WARNING, "L12", h->name, NULL,
			    "test it from a network that reaches it",
			    "no address of this host could be tested");
	}
}

void
lint_verdict(struct report *r)
{
	const struct danevirke_answer *a = r->answer;
	enum severity worst = SEV_NOTE;
	size_t i, hosts = 0, with = 0, reached = 0, wanted = 0;

	lint_insecure(r);
	lint_unseen(r);
	for (i = 0; i < r->n_finding; i++)
		if (r->finding[i].severity > worst)
			worst = r->finding[i].severity;
	for (i = 0; a != NULL && i < a->n_hosts; i++) {
		hosts++;
		with += a->hosts[i]->would == DANEVIRKE_AUTHENTICATE &&
		    a->insecure_mx == 0;
	}
	for (i = 0; i < r->n_addr; i++) {
		wanted += r->addr[i].host->would != DANEVIRKE_HOST_DEFER;
		reached += r->addr[i].tested || r->dns_only;
	}
	r->dane = hosts == 0 || with == 0 ? "none" :
	    with == hosts                 ? "full" :
					    "partial";
	r->verdict = worst == SEV_PROBLEM ? CHECK_PROBLEM :
	    worst == SEV_WARNING          ? CHECK_WARNING :
					    CHECK_GOOD;
	if (a == NULL || r->no_memory || r->own_dns)
		r->verdict = CHECK_UNTESTED;
	else if (wanted > 0 && reached == 0 && worst != SEV_PROBLEM)
		r->verdict = CHECK_UNTESTED;
}

/* SPDX-License-Identifier: ISC */
/*
 * Insecure is not unsigned (L15): why DNSSEC does not protect a name, as far
 * as it was seen, and what to do about it.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"

/* RFC 9276 3.2: from 50 to 150 on, by the resolver, a zone's denials count as
 * unsigned. */
#define ITERATIONS_MAX 50

static const char
    advice_sign[] = "sign the zone and have its DS record published; if it is "
		    "signed, danevirke check tells why that does not count",
    advice_unsigned[] = "sign this zone and have its DS record published",
    advice_ds[] = "have the zone's DS record published in the zone above",
    advice_algorithm[] = "sign the zone with algorithm 13 or 8, and have a DS "
			 "record with digest type 2 published",
    advice_iterations[] = "sign the zone with 0 iterations, or with NSEC",
    advice_alias[] = "name the target in the MX record, in place of the alias";

/* Is name in this zone? */
static bool
insecure_inside(const char *name, const char *zone)
{
	size_t n = strlen(name), m = strlen(zone);

	return n >= m && strcmp(name + n - m, zone) == 0 &&
	    (n == m || name[n - m - 1] == '.');
}

const char *
lint_weakness(const struct zone_fact *f, char why[WEAKNESS_LEN])
{
	if (!f->asked)
		return NULL;
	if (f->ds == 0) {
		snprintf(why, WEAKNESS_LEN,
		    f->keys ? "the zone %.255s is signed, but the zone above "
			      "has no DS record of it" :
			      "the zone %.255s is not signed",
		    f->name);
		return f->keys ? advice_ds : advice_unsigned;
	}
	if (!f->known) {
		snprintf(why, WEAKNESS_LEN,
		    "the zone %.255s is signed, but in a way that resolvers "
		    "treat as unsigned: its DS record has algorithm %d and "
		    "digest type %d, which not all know (RFC 4035 5.2)",
		    f->name, f->algorithm, f->digest);
		return advice_algorithm;
	}
	if (f->iterations > ITERATIONS_MAX) {
		snprintf(why, WEAKNESS_LEN,
		    "the zone %.255s is signed, but in a way that resolvers "
		    "treat as unsigned: its denials are NSEC3 with %u "
		    "iterations (RFC 9276 3.2)",
		    f->name, f->iterations);
		return advice_iterations;
	}
	return NULL;
}

/* The first zone, from the top, that is to blame for name. */
static const char *
insecure_blame(const struct report *r, const char *name, char why[WEAKNESS_LEN])
{
	const struct zone_fact *f, *best = NULL;
	char text[WEAKNESS_LEN];
	const char *advice = NULL;

	for (f = r->zone; f < r->zone + r->n_zone; f++)
		if (insecure_inside(name, f->name) &&
		    lint_weakness(f, text) != NULL &&
		    (best == NULL || strlen(f->name) < strlen(best->name)))
			best = f;
	why[0] = '\0';
	if (best != NULL)
		advice = lint_weakness(best, why);
	return advice != NULL ? advice : advice_sign;
}

static void
insecure_say(struct report *r, enum severity severity, const char *row,
    const char *host, const char *name, const char *what)
{
	char why[WEAKNESS_LEN];
	const char *advice = insecure_blame(r, name, why);

	lint_add(r, severity, row, host, NULL, advice, "%s%s%s", what,
	    why[0] != '\0' ? ": " : "", why);
}

/* RFC 5321 5.1, RFC 2181 10.3 */
static void
insecure_alias(struct report *r, const struct danevirke_host *h)
{
	const char *then = "senders do not ask for TLSA records, for DNSSEC "
			   "does not protect the alias";

	if (h->target == NULL || strcmp(h->target, h->name) == 0 ||
	    r->answer->implicit_mx)
		return;
	if (h->state == DANEVIRKE_SECURE)
		then = "senders look for TLSA records at its target first, "
		       "then at the alias";
	else if (h->alias_state == DANEVIRKE_SECURE) /* B08 */
		then = "DNSSEC does not protect its target, so senders look "
		       "for TLSA records at the alias only";
	lint_add(r, SEV_WARNING, "L15", h->name, NULL, advice_alias,
	    "this MX host is an alias of %s, which no MX host may be "
	    "(RFC 2181 10.3): %s",
	    h->target, then);
}

static void
insecure_host(struct report *r, const struct danevirke_host *h)
{
	char owner[300], what[128];
	bool alias = h->target != NULL && strcmp(h->target, h->name) != 0;

	insecure_alias(r, h);
	if (h->would == DANEVIRKE_OPPORTUNISTIC &&
	    h->state == DANEVIRKE_INSECURE && h->base == NULL && !alias)
		insecure_say(r, SEV_WARNING, "Q05", h->name, h->name,
		    "DNSSEC does not protect its addresses, so senders do not "
		    "even ask for TLSA records");
	if (h->would == DANEVIRKE_HOST_DEFER ||
	    h->tlsa_state != DANEVIRKE_INSECURE || h->n_tlsa == 0)
		return;
	snprintf(owner, sizeof owner, "_%u._tcp.%s", h->port, h->name);
	snprintf(what, sizeof what,
	    "%zu TLSA records without DNSSEC: senders ignore them", h->n_tlsa);
	insecure_say(r, SEV_PROBLEM, "Q05", h->name, owner, what);
}

void
lint_insecure(struct report *r)
{
	const struct danevirke_answer *a = r->answer;
	const struct zone_fact *f;
	size_t i;

	if (a == NULL || a->n_hosts == 0 || r->own_dns)
		return;
	if (a->insecure_mx)
		insecure_say(r, SEV_PROBLEM, "M06", NULL, a->domain,
		    "the MX records are not protected by DNSSEC, an attacker "
		    "can name other hosts");
	for (i = 0; i < a->n_hosts; i++)
		insecure_host(r, a->hosts[i]);
	for (f = r->zone; f < r->zone + r->n_zone; f++)
		if (f->ds > 0 && f->iterations > ITERATIONS_MAX)
			lint_add(r, SEV_WARNING, "L15", NULL, NULL,
			    advice_iterations,
			    "%s: NSEC3 with %u iterations: that a record does "
			    "not exist counts as unsigned (RFC 9276 3.2)",
			    f->name, f->iterations);
}

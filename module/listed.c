/* SPDX-License-Identifier: ISC */
/*
 * What an MTA-STS policy (RFC 8461) makes of a host that DANE leaves to chance
 * (H01-H06).  It never touches another: where DANE demands something, or could
 * not be found out, that stands (RFC 8461 2, P05).  Pure.
 */
#include <string.h>
#include <strings.h>

#include "policy.h"

/* Seconds: nobody tells how long a policy holds, and who asks again hears it
 * from the server's cache. */
#define TTL_POLICY 60
#define TTL_UNKNOWN 1
#define SHOWN 4 /* patterns in a log line */

/* H03, RFC 8461 4.1: the name itself, or one label in place of the asterisk */
static bool
listed_by(const char *pattern, const char *name)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, name) == 0;
	dot = strchr(name, '.');
	return dot != NULL && dot != name && strcasecmp(pattern + 1, dot) == 0;
}

static bool
listed_in_force(const struct facts *f)
{
	return f->sts_on && f->sts != NULL &&
	    f->sts->state == DANEVIRKE_MTA_STS_POLICY;
}

static bool
listed_has(const struct facts *f, const char *name)
{
	size_t i;

	for (i = 0; listed_in_force(f) && i < f->sts->n_mx; i++)
		if (listed_by(f->sts->mx[i], name))
			return true;
	return false;
}

static char *
listed_patterns(struct arena *a, const struct sts_result *r)
{
	char *s = arena_str(a, "");
	size_t i;

	for (i = 0; s != NULL && i < r->n_mx && i < SHOWN; i++)
		s = arena_printf(
		    a, "%s%s%.253s", s, i > 0 ? ", " : "", r->mx[i]);
	if (s != NULL && i < r->n_mx)
		s = arena_printf(a, "%s, ...", s);
	return s;
}

/* One line about the policy, NULL: out of memory. */
static const char *
listed_reason(struct arena *a, const struct facts *f)
{
	const struct sts_result *r = f->sts;
	char *patterns;

	if (listed_in_force(f))
		return (patterns = listed_patterns(a, r)) == NULL ?
		    NULL :
		    arena_printf(a, "MTA-STS policy for %s", patterns);
	if (r != NULL && r->state == DANEVIRKE_MTA_STS_NONE)
		return "no MTA-STS policy";
	return arena_printf(a, "MTA-STS policy unknown: %s",
	    r == NULL || r->why == NULL ? "no answer" : r->why);
}

static bool
listed_defer(struct arena *a, struct danevirke_host *out,
    enum danevirke_result result, const char *reason)
{
	out->would = DANEVIRKE_HOST_DEFER;
	out->result = result;
	out->reason = reason == NULL ?
	    NULL :
	    arena_printf(a, "%s; %s", reason, out->reason);
	return out->reason != NULL;
}

bool
listed_decide(
    struct arena *a, const struct facts *f, struct danevirke_host *out)
{
	const char *reason, **name;

	out->mta_sts_listed = listed_has(f, out->name);
	if (!f->sts_on || f->test ||
	    out->would != DANEVIRKE_OPPORTUNISTIC) /* H01 */
		return true;
	if (f->sts != NULL && f->sts->state == DANEVIRKE_MTA_STS_NONE)
		return true; /* H05 */
	reason = listed_reason(a, f);
	if (!listed_in_force(f)) /* H05, P05 */
		return listed_defer(
		    a, out, DANEVIRKE_STS_POLICY_FETCH_ERROR, reason);
	if (!out->mta_sts_listed) /* H03 */
		return listed_defer(a, out, DANEVIRKE_VALIDATION_FAILURE,
		    reason == NULL ? NULL :
				     arena_printf(a, "not in the %s", reason));
	if ((name = arena_alloc(a, sizeof *name)) == NULL || reason == NULL)
		return false;
	out->would = DANEVIRKE_AUTHENTICATE; /* H04 */
	out->base = *name = out->name;
	out->names = name;
	out->n_names = 1;
	out->ca_file = f->conf->sts.ca_file;
	out->reason = arena_printf(a, "%s; %s", reason, out->reason);
	return out->reason != NULL && out->ca_file != NULL;
}

bool
listed_head(
    struct arena *a, const struct facts *f, struct danevirke_answer *out)
{
	if (!f->sts_on || f->sts == NULL)
		return true;
	out->mta_sts = f->sts->state;
	out->mta_sts_mx = f->sts->mx;
	out->n_mta_sts_mx = f->sts->n_mx;
	out->mta_sts_reason = listed_reason(a, f);
	return out->mta_sts_reason != NULL;
}

uint32_t
listed_ttl(const struct facts *f, uint32_t ttl)
{
	uint32_t most = f->sts != NULL &&
		(f->sts->state == DANEVIRKE_MTA_STS_NONE ||
		    f->sts->state == DANEVIRKE_MTA_STS_POLICY) ?
	    TTL_POLICY :
	    TTL_UNKNOWN;

	return f->sts_on && ttl > most ? most : ttl;
}

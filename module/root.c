/* SPDX-License-Identifier: ISC */
/*
 * root.c - what hangs on the root's keys and our anchor for them
 *
 * Pure: words about a failure of the root (D05), and whether an answer owes
 * its INSECURE to the root at all (D05a).
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "module.h"
#include "packet.h"

/* D05: trouble with the root's own keys is trouble with our anchor, or with
 * our clock; the library says neither. */
static bool
root_meant(const char *why)
{
	return strstr(why, "for trust anchor .") != NULL ||
	    strstr(why, "key for validation . ") != NULL;
}

static bool
root_dates(const char *why)
{
	return strstr(why, "signature expired") != NULL ||
	    strstr(why, "signature before inception") != NULL;
}

/* No keys, or keys without signatures: somebody on the way takes them out. */
static bool
root_stripping(const char *why)
{
	return strstr(why, "no DNSKEY rrset") != NULL ||
	    strstr(why, "no signatures") != NULL ||
	    strstr(why, "signature missing") != NULL;
}

const char *
root_explain(const struct conf *conf, const char *why, char buf[WHY_LEN])
{
	char now[32] = "?";
	time_t t = time(NULL);
	struct tm tm;

	if (why == NULL || !root_meant(why))
		return why;
	if (root_dates(why)) {
		if (gmtime_r(&t, &tm) != NULL)
			strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm);
		snprintf(buf, WHY_LEN, "%.300s; is the clock right? now = %s",
		    why, now);
	} else if (root_stripping(why))
		snprintf(buf, WHY_LEN,
		    "%.300s; no signed root key came to "
		    "be compared with %.250s",
		    why, conf->trust_anchor);
	else
		snprintf(buf, WHY_LEN,
		    "%.300s; the root's keys do not match %.250s", why,
		    conf->trust_anchor);
	return buf;
}

/* D01: in resolver.zones as insecure */
static bool
root_exempt(const struct conf *conf, const char *name)
{
	struct wire w, zone;
	size_t i;

	if (!wire_parse(name, &w))
		return false;
	for (i = 0; i < conf->n_zones; i++)
		if (conf->zones[i].insecure &&
		    wire_parse(conf->zones[i].name, &zone) &&
		    wire_below(&w, &zone))
			return true;
	return false;
}

/*
 * An alias may lead from a zone that is called insecure by the configuration
 * to names that are not: whose INSECURE must be proven like any other.  Only
 * where no name is outside such zones has the anchor no say, and a network
 * without the Internet's root can have its mail.
 */
bool
root_owed(const struct conf *conf, const struct dns_result *r)
{
	size_t i;

	if (r->state != DANEVIRKE_INSECURE)
		return false;
	for (i = 0; i <= r->n_alias; i++)
		if (!root_exempt(conf, r->name[i]))
			return true;
	return false;
}

const char *
root_doubt(
    const struct conf *conf, const struct dns_result *root, char buf[WHY_LEN])
{
	int n = snprintf(buf, WHY_LEN,
	    "insecure, but the root's keys are not proven with %.200s: ",
	    conf->trust_anchor);

	if (root == NULL)
		snprintf(buf + n, WHY_LEN - (size_t)n,
		    "no answer about them within %u s", conf->query_timeout);
	else
		snprintf(buf + n, WHY_LEN - (size_t)n, "%.300s",
		    root->state == DANEVIRKE_INSECURE ?
			"they count as insecure, too" :
			root->why);
	return buf;
}

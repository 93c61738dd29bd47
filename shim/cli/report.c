/* SPDX-License-Identifier: ISC */
/* A finished test as text or JSON; metrics.c has the other forms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "module.h"

#define DAY 86400

static const char *const verdicts[] = { "good", "warning", "problem",
	"untested" };
static const char *const severities[] = { "note", "warning", "problem" };

static const char *
verdict_word(enum check_verdict v)
{
	return verdicts[v];
}

static const char *
severity_word(enum severity s)
{
	return severities[s];
}

static enum out_colour
verdict_colour(enum check_verdict v)
{
	return v == CHECK_GOOD ? OUT_GOOD :
	    v == CHECK_PROBLEM ? OUT_BAD :
				 OUT_WARN;
}

/* Days from the test to t, rounded down. */
long
report_days(const struct report *r, time_t t)
{
	time_t left = t - r->when;

	return (long)(left >= 0 ? left / DAY : -((DAY - 1 - left) / DAY));
}

/* Of the first signature of the host to end, or of the MX; false: none. */
bool
report_signature(const struct report *r, const struct danevirke_host *h,
    time_t *end, long *days)
{
	uint32_t until = h != NULL ? h->signed_until :
	    r->answer != NULL      ? r->answer->signed_until :
				     0;
	time_t t = r->when + (int32_t)(until - (uint32_t)r->when);

	if (until == 0)
		return false;
	if (end != NULL)
		*end = t;
	*days = report_days(r, t);
	return true;
}

/* ------------------------------------------------------------------ text */

static void
text_address(
    struct cli *c, const struct report *r, const struct address_report *ar)
{
	char date[32];

	out_print("    %s: ", ar->addr->text);
	if (r->dns_only) {
		out_print("not connected to\n");
		return;
	}
	if (ar->verified)
		out_colour(c, OUT_GOOD, "authenticated");
	else if (ar->tls)
		out_colour(c,
		    ar->host->would == DANEVIRKE_OPPORTUNISTIC ? OUT_WARN :
								 OUT_BAD,
		    ar->host->would == DANEVIRKE_ENCRYPT ?
			"encrypted, not authenticated" :
			"not authenticated");
	else
		out_colour(
		    c, OUT_BAD, ar->tested ? "no TLS" : "no SMTP session");
	if (ar->usage != -1)
		out_print("%s %u %u %u", ar->verified ? " by" : ", matches",
		    ar->kind[0], ar->kind[1], ar->kind[2]);
	if (ar->mta_sts != MTA_STS_UNKNOWN)
		out_print(
		    ", %smta-sts", ar->mta_sts == MTA_STS_GOOD ? "" : "not ");
	if (ar->tls)
		out_print(", %s %s", ar->version, ar->cipher);
	if (ar->not_after != 0) {
		time_text(ar->not_after, date);
		out_print(", certificate until %.10s", date);
	}
	out_print("\n");
}

static void
text_host(struct cli *c, const struct report *r, const struct danevirke_host *h)
{
	size_t i;
	long left;

	out_print("  MX %u ", h->preference);
	out_colour(c, OUT_BOLD, h->name);
	out_print(": %s", h->reason);
	if (h->tlsa_ttl != 0 ||
	    (h->tlsa_state == DANEVIRKE_SECURE && h->n_tlsa > 0))
		out_print(", TTL %u", h->tlsa_ttl);
	if (report_signature(r, h, NULL, &left))
		out_print(", signatures end in %ld days", left);
	out_print("\n");
	for (i = 0; i < r->n_addr; i++)
		if (r->addr[i].host == h)
			text_address(c, r, &r->addr[i]);
}

static void
text_finding(struct cli *c, const struct finding *f)
{
	out_print("  ");
	out_colour(c,
	    f->severity == SEV_PROBLEM     ? OUT_BAD :
		f->severity == SEV_WARNING ? OUT_WARN :
					     OUT_BOLD,
	    severity_word(f->severity));
	out_print(" %s%s%s%s%s%s: %s\n", f->row,
	    f->host != NULL       ? " " :
		f->server != NULL ? " name server " :
				    "",
	    f->host != NULL       ? f->host :
		f->server != NULL ? f->server :
				    "",
	    f->addr != NULL ? " [" : "", f->addr != NULL ? f->addr : "",
	    f->addr != NULL ? "]" : "", f->text);
	if (f->advice != NULL)
		out_print("    -> %s\n", f->advice);
}

static bool
host_broken(const struct danevirke_answer *a)
{
	size_t i;

	for (i = 0; i < a->n_hosts; i++)
		if (a->hosts[i]->would == DANEVIRKE_HOST_DEFER)
			return true;
	return false;
}

/* What a sender that checks DANE meets at the hosts that have it. */
static const char *
summary_problem(const struct report *r)
{
	size_t i, good = 0, bad = 0;
	bool works;

	if (strcmp(r->dane, "none") == 0)
		return lint_mta_sts_protects(r) ?
		    "DANE does not protect mail to this domain, MTA-STS does" :
		    "DANE does not protect mail to this domain";
	for (i = 0; i < r->n_addr; i++) {
		if (r->addr[i].host->would != DANEVIRKE_AUTHENTICATE)
			continue;
		works = r->addr[i].verified && r->addr[i].ready;
		good += works;
		bad += r->addr[i].tested && !works;
	}
	if (bad == 0)
		return good > 0 ?
		    "DANE works, but the fault below may stop it for "
		    "some senders" :
		    "there is a fault in the records";
	return good == 0 ?
	    "DANE is broken: senders that check it cannot deliver" :
	    "DANE is broken at some addresses: senders that check it cannot "
	    "deliver there";
}

static const char *
summary_good(const struct report *r)
{
	size_t i;

	if (strcmp(r->dane, "full") != 0)
		return "DANE protects mail to some hosts only";
	if (r->dns_only)
		return "every host has TLSA records; none was connected to";
	for (i = 0; i < r->n_addr; i++)
		if (!r->addr[i].verified)
			return "DANE protects mail to every host that could be "
			       "tested";
	return "DANE protects mail to every host";
}

const char *
report_summary(const struct report *r)
{
	if (r->answer == NULL)
		return r->error != NULL ? r->error : "out of memory";
	if (r->answer->outcome == DANEVIRKE_NULL_MX)
		return "takes no mail";
	if (r->answer->outcome == DANEVIRKE_NO_DOMAIN)
		return "no such mail domain";
	if (r->verdict == CHECK_UNTESTED)
		return r->no_memory ? "out of memory or open files" :
		    r->own_dns      ? "DNS does not work from here" :
				      "no SMTP server could be reached";
	if (r->answer->outcome == DANEVIRKE_DEFER)
		return "DNS is broken: senders with DNSSEC delay all mail";
	if (host_broken(r->answer))
		return "DNS is broken: senders with DNSSEC cannot use every "
		       "host";
	return r->verdict == CHECK_PROBLEM ? summary_problem(r) :
					     summary_good(r);
}

void
report_text(struct cli *c, const struct report *r, bool brief)
{
	int level;
	size_t i;

	out_colour(
	    c, OUT_BOLD, r->answer != NULL ? r->answer->domain : r->name);
	out_print(": ");
	out_colour(c, verdict_colour(r->verdict), verdict_word(r->verdict));
	out_print(": %s\n", report_summary(r));
	if (!brief && r->answer != NULL && r->answer->mta_sts_reason != NULL)
		out_print("  %s\n", r->answer->mta_sts_reason);
	if (!brief && r->answer != NULL && r->answer->tlsrpt_record != NULL)
		out_print("  TLSRPT %s\n", r->answer->tlsrpt_record);
	for (i = 0; !brief && r->answer != NULL && i < r->answer->n_hosts; i++)
		text_host(c, r, r->answer->hosts[i]);
	for (level = SEV_PROBLEM; level >= (brief ? SEV_WARNING : SEV_NOTE);
	     level--)
		for (i = 0; i < r->n_finding; i++)
			if ((int)r->finding[i].severity == level)
				text_finding(c, &r->finding[i]);
}

/* ------------------------------------------------------------------ JSON */

static void
json_until(struct json *j, const char *key, time_t t)
{
	if (t > 0)
		json_time(j, key, t);
	else
		json_string(j, key, NULL);
}

static void
json_chain(struct json *j, const struct address_report *ar)
{
	const struct cert_fact *f;
	size_t i;

	json_array(j, "matches");
	for (i = 0; i < ar->n_match; i++) {
		json_object(j, NULL);
		json_int(j, "tlsa", ar->match[i].index);
		json_int(j, "depth", ar->match[i].depth);
		json_end_object(j);
	}
	json_end_array(j);
	json_array(j, "chain");
	for (f = ar->cert; f < ar->cert + ar->n_cert; f++) {
		json_object(j, NULL);
		json_string(j, "subject", f->subject);
		json_string(j, "issuer", f->issuer);
		json_until(j, "until", f->until);
		json_hex(j, "sha256", f->cert, sizeof f->cert);
		json_hex(j, "spki_sha256", f->key, sizeof f->key);
		json_end_object(j);
	}
	json_end_array(j);
}

static void
json_address(
    struct json *j, const struct report *r, const struct address_report *ar)
{
	bool match = ar->usage != -1;
	char name[64];

	json_object(j, NULL);
	json_string(j, "address", ar->addr->text);
	json_bool(j, "tested", ar->tested);
	json_bool(j, "tls", ar->tls);
	json_string(j, "version", ar->tls ? ar->version : NULL);
	json_string(j, "cipher", ar->tls ? ar->cipher : NULL);
	json_bool(j, "verified", ar->verified);
	if (ar->mta_sts != MTA_STS_UNKNOWN)
		json_bool(j, "mta_sts", ar->mta_sts == MTA_STS_GOOD);
	else
		json_string(j, "mta_sts", NULL);
	if (match)
		record_name(ar->kind, name, sizeof name);
	json_string(j, "record", match ? name : NULL);
	json_until(j, "certificate_until", ar->not_after);
	if (ar->not_after != 0)
		json_int(j, "certificate_days", report_days(r, ar->not_after));
	else
		json_string(j, "certificate_days", NULL);
	json_chain(j, ar);
	json_string(j, "reason", ar->text);
	json_end_object(j);
}

static void
json_signature(
    struct json *j, const struct report *r, const struct danevirke_host *h)
{
	time_t until = 0;
	long left;

	if (report_signature(r, h, &until, &left))
		json_int(j, "signature_days", left);
	else
		json_string(j, "signature_days", NULL);
	json_until(j, "signature_until", until);
}

/* Null: no name server was asked. */
static void
json_zones(struct json *j, const struct report *r)
{
	const struct zone_fact *f;
	char why[WEAKNESS_LEN];
	bool weak;

	if (r->servers == -1) {
		json_string(j, "zones", NULL);
		return;
	}
	json_array(j, "zones");
	for (f = r->zone; f < r->zone + r->n_zone; f++) {
		weak = lint_weakness(f, why) != NULL;
		json_object(j, NULL);
		json_string(j, "name", f->name);
		if (f->asked)
			json_bool(j, "signed", !weak);
		else
			json_string(j, "signed", NULL);
		json_string(j, "why", weak ? why : NULL);
		json_end_object(j);
	}
	json_end_array(j);
}

static void
json_host(
    struct json *j, const struct report *r, const struct danevirke_host *h)
{
	size_t i;

	json_object(j, NULL);
	json_string(j, "name", h->name);
	json_int(j, "preference", h->preference);
	json_bool(j, "dane", h->would == DANEVIRKE_AUTHENTICATE);
	json_string(j, "base", h->base);
	json_int(j, "records", (long long)h->n_tlsa);
	json_int(j, "tlsa_ttl", h->tlsa_ttl);
	json_signature(j, r, h);
	json_string(j, "reason", h->reason);
	json_string(j, "target", h->target);
	json_string(j, "addresses_state", dnssec_name(h->state));
	records_json(j, h);
	json_array(j, "addresses");
	for (i = 0; i < r->n_addr; i++)
		if (r->addr[i].host == h)
			json_address(j, r, &r->addr[i]);
	json_end_array(j);
	json_end_object(j);
}

void
report_json(struct json *j, const struct report *r)
{
	const struct danevirke_answer *a = r->answer;
	const struct finding *f;
	size_t i;

	json_object(j, NULL);
	json_string(j, "domain", a != NULL ? a->domain : r->name);
	if (r->n != 0)
		json_int(j, "n", (long long)r->n);
	json_string(j, "verdict", verdict_word(r->verdict));
	json_string(j, "dane", r->dane);
	json_string(j, "mta_sts", a != NULL ? mta_sts_name(a->mta_sts) : NULL);
	json_string(j, "tlsrpt", a != NULL ? a->tlsrpt_record : NULL);
	json_string(j, "summary", report_summary(r));
	json_time(j, "time", r->when);
	json_int(j, "milliseconds", (long long)(r->seconds * 1000));
	json_string(j, "error", a == NULL ? report_summary(r) : NULL);
	json_bool(j, "mx_secure", a != NULL && a->state == DANEVIRKE_SECURE);
	json_bool(j, "implicit_mx", a != NULL && a->implicit_mx == 1);
	json_signature(j, r, NULL);
	json_zones(j, r);
	json_array(j, "hosts");
	for (i = 0; a != NULL && i < a->n_hosts; i++)
		json_host(j, r, a->hosts[i]);
	json_end_array(j);
	json_index(j, "name_servers", r->servers);
	json_index(j, "name_servers_faulty", r->servers_faulty);
	json_array(j, "findings");
	for (i = 0; i < r->n_finding; i++) {
		f = &r->finding[i];
		json_object(j, NULL);
		json_string(j, "severity", severity_word(f->severity));
		json_string(j, "row", f->row);
		json_string(j, "host", f->host);
		json_string(j, "server", f->server);
		json_string(j, "address", f->addr);
		json_string(j, "text", f->text);
		json_string(j, "advice", f->advice);
		json_end_object(j);
	}
	json_end_array(j);
	json_end_object(j);
}

void
report_free(struct report *r)
{
	size_t i;

	if (r == NULL)
		return;
	lint_forget(r);
	for (i = 0; i < r->n_addr; i++)
		free(r->addr[i].cert);
	free(r->zone);
	r->dv->release(r->answer);
	free(r->addr);
	free(r->name);
	free(r->error);
	free(r);
}

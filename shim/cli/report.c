/* SPDX-License-Identifier: ISC */
/* A finished test as text, JSON, a Nagios line or Prometheus metrics. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

#define DAY 86400

static const char *const verdicts[] = { "good", "warning", "problem",
	"untested" };
static const char *const severities[] = { "note", "warning", "problem" };

const char *
verdict_word(enum check_verdict v)
{
	return verdicts[v];
}

const char *
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
static long
days(const struct report *r, time_t t)
{
	time_t left = t - r->when;

	return (long)(left >= 0 ? left / DAY : -((DAY - 1 - left) / DAY));
}

/* Of the first signature to end among domain and hosts; false: none. */
static bool
signature_days(
    const struct report *r, const struct danevirke_host *h, long *out)
{
	uint32_t until = h != NULL ? h->signed_until : r->answer->signed_until;

	if (until == 0)
		return false;
	*out = days(r, r->when + (int32_t)(until - (uint32_t)r->when));
	return true;
}

/* ------------------------------------------------------------------ text */

static void
text_address(
    struct cli *c, const struct report *r, const struct address_report *ar)
{
	char name[64], date[32];

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
	if (ar->tls)
		out_print(", %s %s", ar->version, ar->cipher);
	if (ar->usage != -1) {
		record_name(ar->kind, name, sizeof name);
		out_print(", %s", name);
	}
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

	out_print("  %u ", h->preference);
	out_colour(c, OUT_BOLD, h->name);
	out_print(": %s", h->reason);
	if (h->tlsa_ttl != 0)
		out_print(", TTL %u", h->tlsa_ttl);
	if (signature_days(r, h, &left))
		out_print(", signed for %ld days", left);
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
	out_print(" %s%s%s%s%s%s: %s\n", f->row, f->host != NULL ? " " : "",
	    f->host != NULL ? f->host : "", f->addr != NULL ? " [" : "",
	    f->addr != NULL ? f->addr : "", f->addr != NULL ? "]" : "",
	    f->text);
	if (f->advice != NULL)
		out_print("    -> %s\n", f->advice);
}

/* Is the host list itself, or a host of it, out of reach of DNSSEC? */
static bool
dns_broken(const struct danevirke_answer *a)
{
	size_t i;

	if (a->outcome == DANEVIRKE_DEFER)
		return true;
	for (i = 0; i < a->n_hosts; i++)
		if (a->hosts[i].would == DANEVIRKE_HOST_DEFER)
			return true;
	return false;
}

static const char *
summary(const struct report *r)
{
	if (r->answer == NULL)
		return r->error != NULL ? r->error : "out of memory";
	if (r->answer->outcome == DANEVIRKE_NULL_MX)
		return "takes no mail";
	if (r->answer->outcome == DANEVIRKE_NO_DOMAIN)
		return "no such mail domain";
	if (r->verdict == CHECK_UNTESTED)
		return r->no_memory ? "out of memory" :
				      "no SMTP server could be reached";
	if (dns_broken(r->answer))
		return "DNS is broken: mail is delayed";
	if (r->verdict == CHECK_PROBLEM)
		return strcmp(r->dane, "none") == 0 ? "not protected by DANE" :
						      "DANE is broken";
	return strcmp(r->dane, "full") == 0 ?
	    "DANE protects mail to every host" :
	    "DANE protects mail to some hosts";
}

void
report_text(struct cli *c, const struct report *r)
{
	int level;
	size_t i;

	out_colour(
	    c, OUT_BOLD, r->answer != NULL ? r->answer->domain : r->name);
	out_print(": ");
	out_colour(c, verdict_colour(r->verdict), verdict_word(r->verdict));
	out_print(": %s\n", summary(r));
	for (i = 0; r->answer != NULL && i < r->answer->n_hosts; i++)
		text_host(c, r, &r->answer->hosts[i]);
	for (level = SEV_PROBLEM; level >= SEV_NOTE; level--)
		for (i = 0; i < r->n_finding; i++)
			if ((int)r->finding[i].severity == level)
				text_finding(c, &r->finding[i]);
}

/* ------------------------------------------------------------------ JSON */

static void
json_address(
    struct json *j, const struct report *r, const struct address_report *ar)
{
	char name[64];

	json_object(j, NULL);
	json_string(j, "address", ar->addr->text);
	json_bool(j, "tested", ar->tested);
	json_bool(j, "tls", ar->tls);
	json_string(j, "version", ar->tls ? ar->version : NULL);
	json_string(j, "cipher", ar->tls ? ar->cipher : NULL);
	json_bool(j, "verified", ar->verified);
	if (ar->usage != -1)
		record_name(ar->kind, name, sizeof name);
	json_string(j, "record", ar->usage != -1 ? name : NULL);
	if (ar->not_after != 0) {
		json_time(j, "certificate_until", ar->not_after);
		json_int(j, "certificate_days", days(r, ar->not_after));
	} else {
		json_string(j, "certificate_until", NULL);
		json_string(j, "certificate_days", NULL);
	}
	json_string(j, "reason", ar->text);
	json_end_object(j);
}

static void
json_days(
    struct json *j, const struct report *r, const struct danevirke_host *h)
{
	long left;

	if (signature_days(r, h, &left))
		json_int(j, "signature_days", left);
	else
		json_string(j, "signature_days", NULL);
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
	json_days(j, r, h);
	json_string(j, "reason", h->reason);
	json_array(j, "addresses");
	for (i = 0; i < r->n_addr; i++)
		if (r->addr[i].host == h)
			json_address(j, r, &r->addr[i]);
	json_end_array(j);
	json_end_object(j);
}

void
report_json(struct cli *c, struct json *j, const struct report *r)
{
	const struct danevirke_answer *a = r->answer;
	const struct finding *f;
	size_t i;

	(void)c;
	json_object(j, NULL);
	json_string(j, "domain", a != NULL ? a->domain : r->name);
	if (r->n != 0)
		json_int(j, "n", (long long)r->n);
	json_string(j, "verdict", verdict_word(r->verdict));
	json_string(j, "dane", r->dane);
	json_string(j, "summary", summary(r));
	json_time(j, "time", r->when);
	json_int(j, "milliseconds", (long long)(r->seconds * 1000));
	json_string(j, "error", a == NULL ? summary(r) : NULL);
	if (a != NULL) {
		json_bool(j, "mx_secure", a->state == DANEVIRKE_SECURE);
		json_bool(j, "implicit_mx", a->implicit_mx == 1);
		json_days(j, r, NULL);
	}
	json_array(j, "hosts");
	for (i = 0; a != NULL && i < a->n_hosts; i++)
		json_host(j, r, &a->hosts[i]);
	json_end_array(j);
	json_array(j, "findings");
	for (i = 0; i < r->n_finding; i++) {
		f = &r->finding[i];
		json_object(j, NULL);
		json_string(j, "severity", severity_word(f->severity));
		json_string(j, "row", f->row);
		json_string(j, "host", f->host);
		json_string(j, "address", f->addr);
		json_string(j, "text", f->text);
		json_string(j, "advice", f->advice);
		json_end_object(j);
	}
	json_end_array(j);
	json_end_object(j);
}

/* ---------------------------------------------------------------- Nagios */

/* '|' begins the performance data and ends the text. */
static void
nagios_text(const char *text)
{
	char buf[512], *p;

	snprintf(buf, sizeof buf, "%s", text);
	for (p = buf; *p != '\0'; p++)
		if (*p == '|' || *p == '\n')
			*p = '/';
	out_print("%s", buf);
}

static const struct finding *
worst(const struct report *r)
{
	const struct finding *f = NULL;
	size_t i;

	for (i = 0; i < r->n_finding; i++)
		if (f == NULL || r->finding[i].severity > f->severity)
			f = &r->finding[i];
	return f;
}

/* The fewest days left of any certificate and of any signature. */
static void
least(struct report *const *rs, size_t n, long *cert, long *sig)
{
	const struct report *r;
	size_t i, j;
	long d;

	*cert = *sig = -1;
	for (i = 0; i < n; i++) {
		r = rs[i];
		for (j = 0; j < r->n_addr; j++) {
			d = days(r, r->addr[j].not_after);
			if (r->addr[j].not_after != 0 &&
			    (*cert == -1 || d < *cert))
				*cert = d < 0 ? 0 : d;
		}
		for (j = 0; r->answer != NULL && j <= r->answer->n_hosts; j++)
			if (signature_days(r,
				j == 0 ? NULL : &r->answer->hosts[j - 1], &d) &&
			    (*sig == -1 || d < *sig))
				*sig = d < 0 ? 0 : d;
	}
}

int
report_nagios(struct report *const *rs, size_t n)
{
	static const char *const words[] = { "OK", "WARNING", "CRITICAL",
		"UNKNOWN" };
	/* a problem weighs more than what could not be seen */
	static const int weight[] = { 0, 1, 3, 2 };
	enum check_verdict v = CHECK_GOOD;
	size_t i, count[4] = { 0 }, said = 0;
	const struct finding *f;
	long cert, sig;

	for (i = 0; i < n; i++) {
		count[rs[i]->verdict]++;
		if (weight[rs[i]->verdict] > weight[v])
			v = rs[i]->verdict;
	}
	out_print("DANE %s - ", words[v]);
	if (n == 1 || v == CHECK_GOOD)
		out_print("%zu domain%s", n, n == 1 ? "" : "s");
	else
		out_print("%zu of %zu domains", n - count[CHECK_GOOD], n);
	for (i = 0; i < n && said < 3; i++) {
		if (rs[i]->verdict != v || (v == CHECK_GOOD && n > 1))
			continue;
		f = worst(rs[i]);
		said++;
		nagios_text("; ");
		nagios_text(rs[i]->name);
		nagios_text(": ");
		nagios_text(
		    f == NULL || v == CHECK_GOOD || v == CHECK_UNTESTED ?
			summary(rs[i]) :
			f->text);
	}
	least(rs, n, &cert, &sig);
	out_print(" | problems=%zu;;1 warnings=%zu;1 untested=%zu",
	    count[CHECK_PROBLEM], count[CHECK_WARNING], count[CHECK_UNTESTED]);
	if (cert != -1)
		out_print(" certificate_days=%ld", cert);
	if (sig != -1)
		out_print(" signature_days=%ld", sig);
	out_print("\n");
	return (int)v;
}

/* ------------------------------------------------------------ Prometheus */

/* A label's value: backslash, quote and newline are escaped. */
static void
label(const char *key, const char *value, const char *before)
{
	const char *p;

	printf("%s%s=\"", before, key);
	for (p = value; *p != '\0'; p++) {
		if (*p == '\\' || *p == '"')
			putchar('\\');
		if (*p == '\n')
			fputs("\\n", stdout);
		else if ((unsigned char)*p < ' ' || (unsigned char)*p >= 127)
			putchar('?');
		else
			putchar(*p);
	}
	putchar('"');
}

static void
family(const char *name, const char *help)
{
	printf("# HELP danevirke_%s %s\n# TYPE danevirke_%s gauge\n", name,
	    help, name);
}

static void
sample(const char *name, const struct report *r, const char *host,
    const char *addr, double value)
{
	printf("danevirke_%s", name);
	label("domain", r->answer != NULL ? r->answer->domain : r->name, "{");
	if (host != NULL)
		label("host", host, ",");
	if (addr != NULL)
		label("address", addr, ",");
	printf("} %.15g\n", value);
}

static double
value_of(const struct report *r, int what)
{
	size_t i, n = 0;

	switch (what) {
	case 0:
		return r->verdict == CHECK_GOOD || r->verdict == CHECK_WARNING;
	case 1:
		return r->verdict != CHECK_UNTESTED;
	case 2:
	case 3:
		for (i = 0; i < r->n_finding; i++)
			n += r->finding[i].severity ==
			    (what == 2 ? SEV_PROBLEM : SEV_WARNING);
		return (double)n;
	case 4:
		return r->seconds;
	default:
		return (double)r->when;
	}
}

static void
prometheus_domains(struct report *const *rs, size_t n)
{
	static const char *const names[][2] = {
		{ "check_good", "1: no problem was found." },
		{ "check_tested", "1: the test could be made." },
		{ "check_problems", "Problems found." },
		{ "check_warnings", "Warnings." },
		{ "check_duration_seconds", "Time the test took." },
		{ "check_timestamp_seconds", "When the test was made." },
	};
	size_t i, k;

	for (k = 0; k < sizeof names / sizeof *names; k++) {
		family(names[k][0], names[k][1]);
		for (i = 0; i < n; i++)
			sample(names[k][0], rs[i], NULL, NULL,
			    value_of(rs[i], (int)k));
	}
}

static void
prometheus_hosts(struct report *const *rs, size_t n)
{
	static const char *const names[][2] = {
		{ "tlsa_records", "TLSA records of the host." },
		{ "tlsa_ttl_seconds", "TTL of its TLSA records." },
		{ "signature_days",
		    "Days until the first DNSSEC signature ends." },
	};
	const struct danevirke_host *h;
	size_t i, j, k;
	long left;

	for (k = 0; k < sizeof names / sizeof *names; k++) {
		family(names[k][0], names[k][1]);
		for (i = 0; i < n; i++)
			for (j = 0; rs[i]->answer != NULL &&
			     j < rs[i]->answer->n_hosts;
			     j++) {
				h = &rs[i]->answer->hosts[j];
				if (k == 2 && !signature_days(rs[i], h, &left))
					continue;
				sample(names[k][0], rs[i], h->name, NULL,
				    k == 0     ? (double)h->n_tlsa :
					k == 1 ? (double)h->tlsa_ttl :
						 (double)left);
			}
	}
}

static void
prometheus_addresses(struct report *const *rs, size_t n)
{
	static const char *const names[][2] = {
		{ "address_authenticated",
		    "1: the certificate satisfies the TLSA records." },
		{ "address_tls", "1: STARTTLS works." },
		{ "certificate_days", "Days until the certificate ends." },
	};
	const struct address_report *ar;
	size_t i, j, k;

	for (k = 0; k < sizeof names / sizeof *names; k++) {
		family(names[k][0], names[k][1]);
		for (i = 0; i < n; i++)
			for (j = 0; j < rs[i]->n_addr; j++) {
				ar = &rs[i]->addr[j];
				if (k == 2 && ar->not_after == 0)
					continue;
				sample(names[k][0], rs[i], ar->host->name,
				    ar->addr->text,
				    k == 0     ? ar->verified :
					k == 1 ? ar->tls :
						 (double)days(
						     rs[i], ar->not_after));
			}
	}
}

void
report_prometheus(struct report *const *rs, size_t n)
{
	prometheus_domains(rs, n);
	prometheus_hosts(rs, n);
	prometheus_addresses(rs, n);
}

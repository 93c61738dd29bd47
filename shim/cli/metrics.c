/* SPDX-License-Identifier: ISC */
/* Finished tests for machines that watch: Nagios and Prometheus. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

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
metrics_worst(const struct report *r)
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
metrics_least(struct report *const *rs, size_t n, long *cert, long *sig)
{
	const struct report *r;
	size_t i, j;
	long d;

	*cert = *sig = -1;
	for (i = 0; i < n; i++) {
		r = rs[i];
		for (j = 0; j < r->n_addr; j++) {
			d = report_days(r, r->addr[j].not_after);
			if (r->addr[j].not_after != 0 &&
			    (*cert == -1 || d < *cert))
				*cert = d < 0 ? 0 : d;
		}
		for (j = 0; r->answer != NULL && j <= r->answer->n_hosts; j++)
			if (report_signature(r,
				j == 0 ? NULL : r->answer->hosts[j - 1], NULL,
				&d) &&
			    (*sig == -1 || d < *sig))
				*sig = d < 0 ? 0 : d;
	}
}

int
report_nagios(struct report *const *rs, size_t n, unsigned long signature_days)
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
		f = metrics_worst(rs[i]);
		said++;
		nagios_text("; ");
		nagios_text(rs[i]->name);
		nagios_text(": ");
		if (f != NULL && f->server != NULL && v != CHECK_UNTESTED) {
			nagios_text(f->server);
			nagios_text(f->addr != NULL ? " [" : " ");
			nagios_text(f->addr != NULL ? f->addr : "");
			nagios_text(f->addr != NULL ? "] " : "");
		}
		nagios_text(
		    f == NULL || v == CHECK_GOOD || v == CHECK_UNTESTED ?
			report_summary(rs[i]) :
			f->text);
	}
	metrics_least(rs, n, &cert, &sig);
	out_print(" | problems=%zu;;0 warnings=%zu;0 untested=%zu",
	    count[CHECK_PROBLEM], count[CHECK_WARNING], count[CHECK_UNTESTED]);
	/* no range for this one: with usage 3 an end means nothing (U07) */
	if (cert != -1)
		out_print(" certificate_days=%ld", cert);
	if (sig != -1)
		out_print(" signature_days=%ld;%lu:", sig, signature_days);
	out_print("\n");
	return (int)v;
}

void
report_nagios_error(const char *text)
{
	out_print("DANE UNKNOWN - ");
	nagios_text(text);
	out_print("\n");
}

/* ------------------------------------------------------------ Prometheus */

/* A label's value: backslash, quote and newline are escaped; what is no text
 * stays told apart, or two bad names would be one series. */
static void
metrics_label(const char *key, const char *value, const char *before)
{
	const char *p;

	printf("%s%s=\"", before, key);
	for (p = value; *p != '\0'; p++) {
		if (*p == '\\' || *p == '"')
			putchar('\\');
		if (*p == '\n')
			fputs("\\n", stdout);
		else if ((unsigned char)*p < ' ' || (unsigned char)*p >= 127)
			printf("\\\\%03o", (unsigned)(unsigned char)*p);
		else
			putchar(*p);
	}
	putchar('"');
}

static void
metrics_family(const char *name, const char *help)
{
	printf("# HELP danevirke_%s %s\n# TYPE danevirke_%s gauge\n", name,
	    help, name);
}

static const char *
label_name(const struct report *r)
{
	return r->answer != NULL ? r->answer->domain : r->name;
}

static void
metrics_sample(const char *name, const struct report *r, const char *host,
    const char *addr, double value)
{
	printf("danevirke_%s", name);
	metrics_label("domain", label_name(r), "{");
	if (host != NULL)
		metrics_label("host", host, ",");
	if (addr != NULL)
		metrics_label("address", addr, ",");
	printf("} %.15g\n", value);
}

/* Is this domain among the reports before?  The same series twice would make a
 * collector refuse all of them. */
static bool
metrics_again(struct report *const *rs, size_t at)
{
	const char *name = label_name(rs[at]);
	size_t i;

	for (i = 0; i < at; i++)
		if (strcmp(label_name(rs[i]), name) == 0)
			return true;
	return false;
}

#define N_VALUES 8 /* of each report; the last two only of some */

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
	case 5:
		return (double)r->when;
	case 6:
		return (double)r->servers;
	default:
		return (double)r->servers_faulty;
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
		{ "name_servers", "Addresses of name servers asked." },
		{ "name_servers_faulty",
		    "Addresses of name servers that are not right." },
		{ "mx_signature_left_seconds",
		    "Until the signatures of the MX records end." },
	};
	time_t end = 0;
	size_t i, k;
	long days;

	for (k = 0; k < sizeof names / sizeof *names; k++) {
		metrics_family(names[k][0], names[k][1]);
		for (i = 0; i < n; i++) {
			if (k < N_VALUES && (k < 6 || rs[i]->servers != -1))
				metrics_sample(names[k][0], rs[i], NULL, NULL,
				    value_of(rs[i], (int)k));
			else if (k >= N_VALUES &&
			    report_signature(rs[i], NULL, &end, &days))
				metrics_sample(names[k][0], rs[i], NULL, NULL,
				    (double)(end - rs[i]->when));
		}
	}
}

static void
prometheus_hosts(struct report *const *rs, size_t n)
{
	static const char *const names[][2] = {
		{ "tlsa_records", "TLSA records of the host." },
		{ "tlsa_ttl_seconds", "TTL of its TLSA records." },
		{ "signature_left_seconds",
		    "Until the first DNSSEC signature ends." },
	};
	const struct danevirke_host *h;
	time_t end = 0;
	size_t i, j, k;
	long days;

	for (k = 0; k < sizeof names / sizeof *names; k++) {
		metrics_family(names[k][0], names[k][1]);
		for (i = 0; i < n; i++)
			for (j = 0; rs[i]->answer != NULL &&
			     j < rs[i]->answer->n_hosts;
			     j++) {
				h = rs[i]->answer->hosts[j];
				if (k == 2 &&
				    !report_signature(rs[i], h, &end, &days))
					continue;
				metrics_sample(names[k][0], rs[i], h->name,
				    NULL,
				    k == 0     ? (double)h->n_tlsa :
					k == 1 ? (double)h->tlsa_ttl :
						 (double)(end - rs[i]->when));
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
		{ "certificate_left_seconds", "Until the certificate ends." },
		{ "address_mta_sts",
		    "1: the certificate satisfies the MTA-STS policy." },
	};
	const struct address_report *ar;
	size_t i, j, k;

	for (k = 0; k < sizeof names / sizeof *names; k++) {
		metrics_family(names[k][0], names[k][1]);
		for (i = 0; i < n; i++)
			for (j = 0; j < rs[i]->n_addr; j++) {
				ar = &rs[i]->addr[j];
				if ((k == 2 && ar->not_after == 0) ||
				    (k == 3 && ar->mta_sts == MTA_STS_UNKNOWN))
					continue;
				metrics_sample(names[k][0], rs[i],
				    ar->host->name, ar->addr->text,
				    k == 0     ? ar->verified :
					k == 1 ? ar->tls :
					k == 3 ? ar->mta_sts == MTA_STS_GOOD :
						 (double)(ar->not_after -
						     rs[i]->when));
			}
	}
}

void
report_prometheus(struct report *const *rs, size_t n)
{
	struct report **once = calloc(n + 1, sizeof *once);
	size_t i, m = 0;

	if (once == NULL)
		return; /* nothing is no metrics: the collector notices */
	for (i = 0; i < n; i++)
		if (!metrics_again(rs, i))
			once[m++] = rs[i];
	prometheus_domains(once, m);
	prometheus_hosts(once, m);
	prometheus_addresses(once, m);
	free(once);
}

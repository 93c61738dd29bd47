/* SPDX-License-Identifier: ISC */
/*
 * danevirke report: what those who send mail to a domain report about TLS
 * (RFC 8460), in at most ten lines each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "text.h"
#include "tlsrpt.h"

const char usage_report[] =
    "usage: danevirke report [--json] [FILE]...\n"
    "\n"
    "Prints in ten lines or less what a TLS report (RFC 8460) says: who reports, how\n"
    "many sessions were good and how many failed, and why, the most frequent first.\n"
    "A FILE is a report as JSON or gzip, or a mail with one; without any, and for -,\n"
    "it is read from standard input.\n"
    "\n"
    "  --json              one JSON object, with every detail\n"
    "\n"
    "Exit status: 0 nothing failed, 1 failures are reported, 2 something could not be\n"
    "read.\n";

static const struct opt opts[] = { { 0, NULL, OPT_NONE } };

#define ROWS 8  /* of text, below two of the report's own */
#define CUT 100 /* octets of what a stranger wrote */

struct report_job {
	struct cli *cli;
	struct json json;
	const char *file;
	int status;
	const char **path; /* room for every argument */
	size_t n;
};

/* One line of text: what failed at one host for one reason. */
struct failures {
	const struct tlsrpt_failure *most;
	long long sessions;
	bool alike; /* all at one address */
};

/* ------------------------------------------------------------------ text */

/* At most CUT octets of it, in one line. */
static const char *
report_cut(const char *s, char buf[CUT + 4])
{
	size_t n, at = 0;

	for (s = s == NULL ? "" : s; *s != '\0' && at < CUT; s += n, at += n) {
		if ((n = utf8_len(s)) == 0 || at + n > CUT)
			break;
		memcpy(buf + at, s, n);
	}
	strcpy(buf + at, *s == '\0' ? "" : "...");
	text_line(buf);
	return buf;
}

/* In front, s unless it is not there or empty, behind. */
static void
report_word(const char *front, const char *s, const char *behind)
{
	char buf[CUT + 4];

	if (s != NULL && *s != '\0')
		out_print("%s%s%s", front, report_cut(s, buf), behind);
}

static int
text_compare(const char *a, const char *b)
{
	return strcmp(a == NULL ? "" : a, b == NULL ? "" : b);
}

/* By result and host, most sessions first. */
static int
by_kind(const void *va, const void *vb)
{
	const struct tlsrpt_failure *a = va, *b = vb;
	int d = text_compare(a->result, b->result);

	if (d == 0)
		d = text_compare(a->mx, b->mx);
	if (d == 0)
		d = (a->sessions < b->sessions) - (a->sessions > b->sessions);
	return d != 0 ? d : text_compare(a->ip, b->ip);
}

static int
by_sessions(const void *va, const void *vb)
{
	const struct failures *a = va, *b = vb;

	if (a->sessions != b->sessions)
		return a->sessions < b->sessions ? 1 : -1;
	return by_kind(a->most, b->most);
}

static int
by_failed(const void *va, const void *vb)
{
	const struct tlsrpt_policy *a = va, *b = vb;

	if (a->bad != b->bad)
		return a->bad < b->bad ? 1 : -1;
	return text_compare(a->domain, b->domain);
}

/* The failures of a policy by lines, into room for each of them; how many. */
static size_t
failures_join(const struct tlsrpt_policy *p, struct failures *out)
{
	size_t i, n = 0;

	if (p->n == 0)
		return 0; /* qsort(3) takes no null pointer */
	qsort(p->failure, p->n, sizeof *p->failure, by_kind);
	for (i = 0; i < p->n; i++) {
		const struct tlsrpt_failure *f = &p->failure[i];

		if (n == 0 ||
		    text_compare(out[n - 1].most->result, f->result) != 0 ||
		    text_compare(out[n - 1].most->mx, f->mx) != 0)
			out[n++] = (struct failures){ f, 0, true };
		out[n - 1].sessions += f->sessions;
		if (text_compare(out[n - 1].most->ip, f->ip) != 0)
			out[n - 1].alike = false;
	}
	qsort(out, n, sizeof *out, by_sessions);
	return n;
}

static void
failures_print(const struct failures *f)
{
	const struct tlsrpt_failure *m = f->most;

	out_print("    %lld", f->sessions);
	report_word(" ", m->result, "");
	report_word(" at ", m->mx, "");
	report_word(" (", m->ip, f->alike ? ")" : " and others)");
	report_word(": ", m->reason, "");
	report_word(": ", m->info, "");
	out_print("\n");
}

static void
policy_print(const struct tlsrpt_policy *p)
{
	out_print("  policy");
	report_word(" ", p->type, "");
	report_word(" of ", p->domain, "");
	out_print(": %lld sessions good, %lld failed\n", p->good, p->bad);
}

/* A line for each policy and kind of failure, as far as there is room for
 * them: of what is left out only how many.  -1: out of memory. */
static int
rows_print(const struct tlsrpt *r)
{
	size_t i, k, n, rows = r->n, most = 1, left;
	struct failures *f;

	for (i = 0; i < r->n; i++)
		most = r->policy[i].n > most ? r->policy[i].n : most;
	if ((f = calloc(most, sizeof *f)) == NULL)
		return -1;
	if (r->n > 0)
		qsort(r->policy, r->n, sizeof *r->policy, by_failed);
	for (i = 0; i < r->n; i++)
		rows += failures_join(&r->policy[i], f);
	left = rows <= ROWS ? rows : ROWS - 1;
	rows -= left;
	for (i = 0; i < r->n && left > 0; i++) {
		policy_print(&r->policy[i]);
		n = failures_join(&r->policy[i], f);
		for (k = 0, left--; k < n && left > 0; k++, left--)
			failures_print(&f[k]);
	}
	if (rows > 0)
		out_print("  and %zu lines more: --json has all\n", rows);
	free(f);
	return 0;
}

static int
report_print(
    struct cli *c, const struct tlsrpt *r, long long good, long long bad)
{
	char name[CUT + 4];

	out_colour(c, OUT_BOLD,
	    report_cut(r->organization == NULL ? "somebody without a name" :
						 r->organization,
		name));
	report_word(", ", r->start, "");
	report_word(" to ", r->end, "");
	out_print(": %lld sessions good, ", good);
	snprintf(name, sizeof name, "%lld failed", bad);
	out_colour(c, bad == 0 ? OUT_GOOD : OUT_BAD, name);
	out_print("\n");
	if (r->contact != NULL || r->id != NULL) {
		out_print(" ");
		report_word(" contact ", r->contact, "");
		report_word(" report ", r->id, "");
		out_print("\n");
	}
	return rows_print(r);
}

/* ------------------------------------------------------------------ JSON */

static void
failure_json(struct json *j, const struct tlsrpt_failure *f)
{
	json_object(j, NULL);
	json_string(j, "result", f->result);
	json_int(j, "sessions", f->sessions);
	json_string(j, "host", f->mx);
	json_string(j, "address", f->ip);
	json_string(j, "helo", f->helo);
	json_string(j, "from", f->from);
	json_string(j, "reason", f->reason);
	json_string(j, "information", f->info);
	json_end_object(j);
}

static void
report_json(struct report_job *job, const struct tlsrpt *r, long long good,
    long long bad)
{
	struct json *j = &job->json;
	size_t i, k;

	json_object(j, NULL);
	json_string(j, "file", job->file);
	json_string(j, "organization", r->organization);
	json_string(j, "contact", r->contact);
	json_string(j, "id", r->id);
	json_string(j, "start", r->start);
	json_string(j, "end", r->end);
	json_int(j, "good", good);
	json_int(j, "failed", bad);
	json_array(j, "policies");
	for (i = 0; i < r->n; i++) {
		const struct tlsrpt_policy *p = &r->policy[i];

		json_object(j, NULL);
		json_string(j, "type", p->type);
		json_string(j, "domain", p->domain);
		json_int(j, "good", p->good);
		json_int(j, "failed", p->bad);
		json_array(j, "failures");
		for (k = 0; k < p->n; k++)
			failure_json(j, &p->failure[k]);
		json_end_array(j);
		json_end_object(j);
	}
	json_end_array(j);
	json_end_object(j);
}

/* ------------------------------------------------------------------- run */

/* The others may be good: so said, counted, and on. */
static void
report_bad(struct report_job *job, const char *why)
{
	struct json *j = &job->json;

	job->status = EXIT_UNTESTED;
	cli_warn(job->cli, "%s: %s", job->file, why);
	if (!job->cli->json)
		return;
	json_object(j, NULL);
	json_string(j, "file", job->file);
	json_string(j, "error", why);
	json_end_object(j);
}

static void
report_take(void *arg, const char *data, size_t len)
{
	struct report_job *job = arg;
	long long good = 0, bad = 0;
	struct tlsrpt r;
	char why[256];
	size_t i;

	if (tlsrpt_read(data, len, &r, why, sizeof why) != 0) {
		report_bad(job, why);
		return;
	}
	for (i = 0; i < r.n; i++) {
		good += r.policy[i].good;
		bad += r.policy[i].bad;
	}
	if (bad > 0 && job->status == EXIT_GOOD)
		job->status = EXIT_PROBLEM;
	if (job->cli->json)
		report_json(job, &r, good, bad);
	else if (report_print(job->cli, &r, good, bad) != 0)
		report_bad(job, "out of memory");
	tlsrpt_free(&r);
}

static void
report_file(struct report_job *job, const char *path)
{
	struct blob b;
	char text[256];
	const char *why;

	job->file = strcmp(path, "-") == 0 ? "standard input" : path;
	if ((why = blob_load(path, &b)) != NULL) {
		report_bad(job, why);
		return;
	}
	if (tlsrpt_open(b.data, b.len, report_take, job, text, sizeof text) < 0)
		report_bad(job, text);
	blob_free(&b);
}

static int
report_option(struct cli *c, void *arg, int id, const char *value)
{
	struct report_job *job = arg;

	(void)c;
	(void)id;
	job->path[job->n++] = value;
	return 0;
}

static int
report_run(struct cli *c, void *arg)
{
	struct report_job *job = arg;
	size_t i;

	if (job->n == 0)
		job->path[job->n++] = "-";
	if (c->json) {
		json_object(&job->json, NULL);
		json_array(&job->json, "reports");
	}
	for (i = 0; i < job->n; i++)
		report_file(job, job->path[i]);
	if (c->json) {
		json_end_array(&job->json);
		json_end_object(&job->json);
	}
	return job->status;
}

int
cmd_report(struct cli *c)
{
	struct report_job job = { .cli = c };
	int status;

	job.path = calloc((size_t)c->argc, sizeof *job.path);
	if (job.path == NULL)
		return cli_error(c, "out of memory");
	status = opt_run(c, opts, report_option, report_run, &job);
	free(job.path);
	return status;
}

/* SPDX-License-Identifier: ISC */
/*
 * danevirke count: what mail servers' logs say that Danevirke decided, as text,
 * JSON or metrics.  A log of any size is read in a constant space, as it is or
 * as gzip.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "cli.h"
#include "tally.h"

const char usage_count[] =
    "usage: danevirke count [--metrics] [--json] [FILE]...\n"
    "\n"
    "Counts what Danevirke decided, by its lines in mail servers' logs: Exim's main\n"
    "log, or syslog's with lines of Exim, table-danevirke or danevirked.  A FILE may\n"
    "be compressed by gzip; without any, and for -, standard input is read.\n"
    "\n"
    "  --metrics           for a file of Prometheus' textfile collector\n"
    "  --json              one JSON object\n"
    "\n"
    "Exit status: 0 all was read, 2 something could not be read.\n";

enum { OPT_METRICS = 1 };
static const struct opt opts[] = { { OPT_METRICS, "metrics", OPT_NONE },
	{ 0, NULL, OPT_NONE } };

#define PIECE 65536

struct count_job {
	bool metrics;
	int status;
	const char **path; /* room for every argument */
	size_t n;
	struct tally tally;
};

/* --------------------------------------------------------------- reading */

static void
count_bad(
    struct cli *c, struct count_job *job, const char *file, const char *why)
{
	job->status = cli_error(c, "%s: %s", file, why);
}

static void
count_file(struct cli *c, struct count_job *job, const char *path)
{
	static char piece[PIECE];
	bool in = strcmp(path, "-") == 0;
	int fd = in ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	gzFile f = fd == -1 ? NULL : gzdopen(fd, "rb");
	int n, code = Z_OK;
	const char *why;

	if (in)
		path = "standard input";
	if (f == NULL) {
		count_bad(
		    c, job, path, fd == -1 ? strerror(errno) : "out of memory");
		if (fd != -1)
			close(fd);
		return;
	}
	while ((n = gzread(f, piece, sizeof piece)) > 0)
		tally_feed(&job->tally, piece, (size_t)n);
	tally_end(&job->tally);
	why = gzerror(f, &code);
	if (code == Z_ERRNO)
		why = strerror(errno);
	else if (code == Z_BUF_ERROR || code == Z_DATA_ERROR)
		why = "gzip that is damaged or cut short";
	if (n < 0 || (code != Z_OK && code != Z_STREAM_END))
		count_bad(c, job, path, why);
	gzclose(f);
}

/* ---------------------------------------------------------------- writing */

static void
text_server(struct cli *c, const char *name, const struct tally_server *s)
{
	size_t i, k;

	out_colour(c, OUT_BOLD, name);
	out_print(": %" PRIu64 " decision%s\n", s->decisions,
	    s->decisions == 1 ? "" : "s");
	for (i = 0; i < TALLY_VERDICTS; i++) {
		if (s->verdict[i] == 0)
			continue;
		out_print(
		    "  %10" PRIu64 "  %s\n", s->verdict[i], tally_verdicts[i]);
		for (k = 0; i == TALLY_DEFERRED && k < TALLY_REASONS; k++)
			if (s->reason[k] > 0)
				out_print("  %14" PRIu64 "  %s\n", s->reason[k],
				    tally_reasons[k]);
	}
	if (s->audit > 0)
		out_print("  %" PRIu64 " by level audit, of which %" PRIu64
			  " would be deferred\n",
		    s->audit, s->would);
	if (s->exception > 0)
		out_print("  %" PRIu64 " by an exception\n", s->exception);
}

static void
count_text(struct cli *c, const struct tally *t)
{
	bool any = false;
	size_t i;

	for (i = 0; i < TALLY_SERVERS; i++) {
		if (t->server[i].decisions == 0)
			continue;
		any = true;
		text_server(c, tally_servers[i], &t->server[i]);
	}
	out_print("%s%" PRIu64 " lines read\n",
	    any ? "" : "no decision of Danevirke's: ", t->lines);
}

static void
count_json(const struct tally *t)
{
	const struct tally_server *s;
	struct json j = { 0 };
	size_t i, k;

	json_object(&j, NULL);
	json_int(&j, "lines", (long long)t->lines);
	json_object(&j, "servers");
	for (i = 0; i < TALLY_SERVERS; i++) {
		s = &t->server[i];
		json_object(&j, tally_servers[i]);
		json_int(&j, "decisions", (long long)s->decisions);
		json_object(&j, "verdicts");
		for (k = 0; k < TALLY_VERDICTS; k++)
			json_int(
			    &j, tally_verdicts[k], (long long)s->verdict[k]);
		json_end_object(&j);
		json_object(&j, "deferred");
		for (k = 0; k < TALLY_REASONS; k++)
			json_int(&j, tally_reasons[k], (long long)s->reason[k]);
		json_end_object(&j);
		json_int(&j, "audit", (long long)s->audit);
		json_int(&j, "would_be_deferred", (long long)s->would);
		json_int(&j, "exception", (long long)s->exception);
		json_end_object(&j);
	}
	json_end_object(&j);
	json_end_object(&j);
}

static void
metric_family(const char *name, const char *type, const char *help)
{
	out_print("# HELP danevirke_log_%s %s\n# TYPE danevirke_log_%s %s\n",
	    name, help, name, type);
}

static void
metric_one(const char *name, size_t server, const char *label,
    const char *value, uint64_t n)
{
	out_print(
	    "danevirke_log_%s{server=\"%s\"", name, tally_servers[server]);
	if (label != NULL)
		out_print(",%s=\"%s\"", label, value);
	out_print("} %" PRIu64 "\n", n);
}

/* All labels always, as an increase from nothing is no increase. */
static void
count_metrics(const struct tally *t)
{
	const struct tally_server *s = t->server;
	size_t i, k;

	metric_family("decisions_total", "counter", "Decisions by verdict.");
	for (i = 0; i < TALLY_SERVERS; i++)
		for (k = 0; k < TALLY_VERDICTS; k++)
			metric_one("decisions_total", i, "verdict",
			    tally_verdicts[k], s[i].verdict[k]);
	metric_family("deferred_total", "counter", "Deferrals by reason.");
	for (i = 0; i < TALLY_SERVERS; i++)
		for (k = 0; k < TALLY_REASONS; k++)
			metric_one("deferred_total", i, "reason",
			    tally_reasons[k], s[i].reason[k]);
	metric_family("audit_total", "counter",
	    "Decisions of level audit, by what level dane would have done.");
	for (i = 0; i < TALLY_SERVERS; i++) {
		metric_one("audit_total", i, "would", "deferred", s[i].would);
		metric_one(
		    "audit_total", i, "would", "same", s[i].audit - s[i].would);
	}
	metric_family("exception_total", "counter", "Decisions by exceptions.");
	for (i = 0; i < TALLY_SERVERS; i++)
		metric_one("exception_total", i, NULL, NULL, s[i].exception);
	metric_family("lines_total", "counter", "Lines read.");
	out_print("danevirke_log_lines_total %" PRIu64 "\n", t->lines);
	metric_family(
	    "counted_timestamp_seconds", "gauge", "When the log was counted.");
	out_print("danevirke_log_counted_timestamp_seconds %lld\n",
	    (long long)time(NULL));
}

/* -------------------------------------------------------------------- run */

static int
count_option(struct cli *c, void *arg, int id, const char *value)
{
	struct count_job *job = arg;

	(void)c;
	if (id == OPT_METRICS)
		job->metrics = true;
	else
		job->path[job->n++] = value;
	return 0;
}

static int
count_run(struct cli *c, void *arg)
{
	struct count_job *job = arg;
	size_t i;

	if (job->metrics && c->json)
		return cli_error(c, "--metrics and --json: want one of them");
	if (job->n == 0)
		job->path[job->n++] = "-";
	for (i = 0; i < job->n; i++)
		count_file(c, job, job->path[i]);
	/* numbers without a file would be taken for all */
	if (job->status != EXIT_GOOD)
		return job->status;
	if (c->json)
		count_json(&job->tally);
	else if (job->metrics)
		count_metrics(&job->tally);
	else
		count_text(c, &job->tally);
	return job->status;
}

int
cmd_count(struct cli *c)
{
	struct count_job job = { 0 };
	int status;

	job.path = calloc((size_t)c->argc + 1, sizeof *job.path);
	if (job.path == NULL)
		return cli_error(c, "out of memory");
	status = opt_run(c, opts, count_option, count_run, &job);
	free(job.path);
	return status;
}

/* SPDX-License-Identifier: ISC */
/* danevirke check: the receiver's test, for every host and every address. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "check.h"

const char usage_check[] =
    "usage: danevirke check [OPTION]... DOMAIN...\n"
    "\n"
    "Tests a receiver as senders see it: DNSSEC of MX, addresses and TLSA; then\n"
    "every address of every MX host: STARTTLS, the certificate against each kind of\n"
    "record, RSA and ECDSA apart, with and without SNI.  No mail is sent.  Every\n"
    "name server of the zones on the way is asked too.\n"
    "\n"
    "  --dns-only              connect to nothing\n"
    "  --public                connect to no private address, nor ask one\n"
    "  --nagios                one line and exit status for a Nagios plug-in\n"
    "  --prometheus            metrics for the node exporter's textfile collector\n"
    "  --json                  one JSON object\n"
    "  --html                  a page to look at, in one file\n"
    "  --helo NAME             name for EHLO (this machine's, if not given)\n"
    "  --port N                TCP port, 25 if not given\n"
    "  --timeout SECONDS       for each step of a connection, 10 if not given\n"
    "  --limit SECONDS         for a domain, 120 if not given\n"
    "  --parallel N            domains at once, 10 if not given\n"
    "  --connections N         connections at once, 20 if not given\n"
    "  --certificate-days N    warn when fewer are left (usage 2), 14 if not given\n"
    "  --signature-days N      warn when fewer are left, 1 if not given\n"
    "  --profile NAME          profile of danevirke.conf, \"default\" if not given\n"
    "  --config FILE           danevirke.conf to use\n"
    "  --module FILE           danevirke.so to use\n"
    "\n"
    "Exit status: 0 good (warnings included), 1 a problem was found, 2 could not be\n"
    "tested.  With --nagios: 0 OK, 1 warning, 2 critical, 3 unknown.\n";

enum { O_NAGIOS = X_OWN, O_PROMETHEUS, O_HTML };
enum { NAGIOS_UNKNOWN = 3 };
static const struct opt opts[] = { EXAM_OPTS, { O_NAGIOS, "nagios", OPT_NONE },
	{ O_PROMETHEUS, "prometheus", OPT_NONE }, { O_HTML, "html", OPT_NONE },
	{ 0, NULL, OPT_NONE } };

struct check_job {
	struct cli *cli;
	struct exam *exam;
	struct exam_options o;
	bool nagios, prometheus, html, progress;
	const char **name;
	size_t n_name;
	struct report **report; /* by place of the name */
	size_t next, busy, over, shown;
	struct json json;
	int status;
};

static void
check_progress(const struct check_job *job)
{
	if (!job->progress)
		return;
	fprintf(stderr, "\r\033[K%s%zu of %zu domains, %zu connections",
	    job->over == job->n_name ? "\r" : "", job->over, job->n_name,
	    exam_connections(job->exam));
	if (job->over == job->n_name)
		fputs("\r\033[K", stderr);
	fflush(stderr);
}

static void
check_feed(struct check_job *job)
{
	while (job->next < job->n_name && job->busy < job->o.parallel) {
		if (!exam_add(job->exam, job->name[job->next], job->next + 1)) {
			if (job->busy > 0)
				return; /* when one ends */
			cli_error(job->cli, "out of memory");
			job->status = EXIT_UNTESTED;
			job->next = job->n_name;
			return;
		}
		job->next++;
		job->busy++;
	}
}

/* In the order of the names, each as soon as those before it are done. */
static void
check_show(struct check_job *job)
{
	struct report *r;

	while (
	    job->shown < job->n_name && (r = job->report[job->shown]) != NULL) {
		if (job->nagios || job->prometheus) {
			job->shown++;
			continue;
		}
		r->n = 0;
		if (job->cli->json)
			report_json(&job->json, r);
		else if (job->html)
			page_report(job->cli, r, false);
		else
			report_text(job->cli, r, false);
		job->shown++;
		out_flush();
	}
}

static void
on_report(void *arg, struct report *r)
{
	struct check_job *job = arg;

	job->report[r->n - 1] = r;
	job->busy--;
	job->over++;
	/* what could not be tested weighs less than a problem */
	if (r->verdict == CHECK_PROBLEM)
		job->status = EXIT_PROBLEM;
	else if (r->verdict == CHECK_UNTESTED && job->status == EXIT_GOOD)
		job->status = EXIT_UNTESTED;
	check_progress(job);
	check_show(job);
	check_feed(job);
}

static int
check_work(struct check_job *job)
{
	struct json *j = &job->json;
	size_t i;

	if ((job->exam = exam_new(&job->o, on_report, job)) == NULL ||
	    (job->report = calloc(job->n_name, sizeof *job->report)) == NULL)
		return cli_error(job->cli, "out of memory");
	if (job->html && !page_begin(NULL))
		return cli_error(job->cli, "out of memory");
	if (job->cli->json) {
		json_object(j, NULL);
		json_array(j, "checks");
	}
	check_feed(job);
	while (job->busy > 0 && out_flush() &&
	    event_base_loop(job->o.base, EVLOOP_ONCE) == 0)
		;
	if (job->cli->json) {
		json_end_array(j);
		json_end_object(j);
	}
	if (job->html)
		page_end();
	if (job->shown == job->n_name) {
		if (job->nagios)
			job->status = report_nagios(job->report, job->n_name,
			    job->o.lint.signature_days);
		if (job->prometheus)
			report_prometheus(job->report, job->n_name);
	} else if (job->status == EXIT_GOOD)
		job->status = EXIT_UNTESTED;
	for (i = 0; i < job->n_name; i++)
		report_free(job->report[i]);
	return job->status;
}

static int
check_run(struct cli *c, void *arg)
{
	struct check_job *job = arg;
	int status;

	if (job->n_name == 0)
		return cli_error(c, "no name: want a mail domain");
	if (job->nagios + job->prometheus + job->html + c->json > 1)
		return cli_error(c,
		    "--nagios, --prometheus, --html, --json: want one of them");
	job->progress = isatty(STDERR_FILENO) && !job->nagios;
	if (job->o.parallel > job->n_name)
		job->o.parallel = job->n_name;
	status = exam_open(&job->o);
	if (status == EXIT_GOOD)
		status = check_work(job);
	exam_free(job->exam);
	exam_close(&job->o);
	return status;
}

/* Also if an option before it is wrong. */
static bool
nagios_wished(const struct cli *c)
{
	int i;

	for (i = 1; i < c->argc && strcmp(c->argv[i], "--") != 0; i++)
		if (strcmp(c->argv[i], "--nagios") == 0)
			return true;
	return false;
}

static int
check_option(struct cli *c, void *arg, int id, const char *value)
{
	struct check_job *job = arg;

	(void)c;
	if (id == OPT_OPERAND)
		job->name[job->n_name++] = value;
	else if (id == O_NAGIOS)
		job->nagios = true;
	else if (id == O_PROMETHEUS)
		job->prometheus = true;
	else if (id == O_HTML)
		job->html = true;
	else
		return exam_option(&job->o, id, value);
	return 0;
}

int
cmd_check(struct cli *c)
{
	struct check_job job = { .cli = c,
		.o = { .cli = c,
		    .parallel = 10,
		    .servers = true,
		    EXAM_DEFAULTS } };
	int status;

	/* never more names than arguments */
	job.name = calloc((size_t)c->argc + 1, sizeof *job.name);
	if (job.name == NULL)
		return cli_error(c, "out of memory");
	status = opt_run(c, opts, check_option, check_run, &job);
	/* a monitor must not take a mistake for a critical state */
	if (nagios_wished(c)) {
		c->unheard = NAGIOS_UNKNOWN;
		if (c->failed) {
			report_nagios_error(c->error);
			status = NAGIOS_UNKNOWN;
		}
	}
	free(job.report);
	free(job.name);
	return status;
}

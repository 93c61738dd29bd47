/* SPDX-License-Identifier: ISC */
/*
 * danevirke survey: the receiver's test for a list of any length.  One process
 * or several, a warm resolver for each, and memory for the domains under way
 * only.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "survey.h"

const char usage_survey[] =
    "usage: danevirke survey [OPTION]... <NAMES >>RESULTS\n"
    "\n"
    "Reads mail domains, one a line, from standard input; writes for each one JSON\n"
    "object a line, as danevirke check --json, in the order in which they are done.\n"
    "\"n\" in it is the line of the name.  Lines that are empty or begin with # are\n"
    "passed over, and so is what follows a blank.\n"
    "\n"
    "  --html                  a page to look at, in one file, in place of lines\n"
    "  --resume RESULTS        pass over the lines that are in RESULTS already\n"
    "  --jobs N                processes that share the work, 1 if not given\n"
    "  --progress              say how far it is, also where no terminal is\n"
    "  --dns-only              connect to nothing\n"
    "  --public                connect to no private address, nor ask one\n"
    "  --parallel N            domains at once, 100 if not given\n"
    "  --connections N         connections at once, 100 if not given\n"
    "  --helo NAME, --port N, --timeout SECONDS, --limit SECONDS,\n"
    "  --certificate-days N, --signature-days N, --profile NAME, --config FILE,\n"
    "  --module FILE           as for check\n"
    "\n"
    "Exit status: 0 all lines were done, 2 some were not (interrupted, output not\n"
    "taken).\n";

enum { O_RESUME = X_OWN, O_HTML, O_JOBS, O_PROGRESS };
static const struct opt opts[] = { EXAM_OPTS, { O_RESUME, "resume", OPT_ONE },
	{ O_HTML, "html", OPT_NONE }, { O_JOBS, "jobs", OPT_ONE },
	{ O_PROGRESS, "progress", OPT_NONE }, { 0, NULL, OPT_NONE } };

#define JOBS_MAX 256

struct survey {
	struct cli *cli;
	struct exam_options o;
	struct exam *exam;
	const char *resume;
	bool html, progress;
	unsigned long n_jobs;
	struct resume *done;
	struct progress shown;
	struct names *names; /* of one process, */
	struct jobs *jobs;   /* or several */
	struct event *sig[3];
	bool stop;      /* a signal, or nobody reads */
	bool no_memory; /* a name was lost */
	size_t busy;
	unsigned long written;
};

/* ----------------------------------------------------------- one process */

static bool
on_room(void *arg)
{
	struct survey *s = arg;

	return !s->stop && s->busy < s->o.parallel;
}

static void
on_name(void *arg, const char *name, unsigned long n)
{
	struct survey *s = arg;

	if (exam_add(s->exam, name, n))
		s->busy++;
	else {
		cli_warn(s->cli, "line %lu: %s: out of memory", n, name);
		s->no_memory = true;
	}
}

static void
on_report(void *arg, struct report *r)
{
	struct survey *s = arg;
	struct json j = { 0 };

	s->busy--;
	if (s->html)
		page_report(s->cli, r, true);
	else
		report_json(&j, r);
	if (out_flush()) { /* else survey_loop() does not go on either */
		s->written++;
		progress_count(
		    &s->shown, r->verdict, names_lines(s->names) - s->busy);
	}
	report_free(r);
	if (out_flush())
		names_more(s->names);
}

static bool
survey_alone(struct survey *s, bool numbered)
{
	struct names_options names = { .cli = s->cli,
		.base = s->o.base,
		.done = s->done,
		.numbered = numbered,
		.room = on_room,
		.take = on_name,
		.arg = s };

	s->exam = exam_new(&s->o, on_report, s);
	s->names = names_new(&names);
	if (s->exam == NULL || s->names == NULL)
		return false;
	names_more(s->names);
	return true;
}

/* One of several processes: what jobs.c wants of it.  It ends when a name is
 * lost, and what it had is given to another one. */
static int
survey_part(void *arg)
{
	const struct survey *whole = arg;
	struct survey s = { .cli = whole->cli, .o = whole->o };
	bool good;

	s.o.base = NULL;
	s.o.reader = NULL;
	if (exam_open(&s.o) != EXIT_GOOD)
		return EXIT_UNTESTED;
	out_print("\n");
	good = out_flush() && survey_alone(&s, true);
	while (good && !s.no_memory && out_flush() &&
	    (s.busy > 0 || !names_over(s.names)))
		good = event_base_loop(s.o.base, EVLOOP_ONCE) >= 0;
	if (!good || s.no_memory)
		return EXIT_UNTESTED;
	exam_free(s.exam);
	exam_close(&s.o);
	return EXIT_GOOD;
}

/* ---------------------------------------------------------------- the list */

static void
on_signal(int fd, short what, void *arg)
{
	struct survey *s = arg;

	(void)fd;
	(void)what;
	s->stop = true;
	event_base_loopbreak(s->o.base);
}

static bool
survey_signals(struct survey *s)
{
	static const int signals[3] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction old;
	size_t i;

	for (i = 0; i < 3; i++) {
		/* nohup(1), or in the background of a script */
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		s->sig[i] = evsignal_new(s->o.base, signals[i], on_signal, s);
		if (s->sig[i] == NULL || event_add(s->sig[i], NULL) != 0)
			return false;
	}
	return true;
}

static bool
survey_begin(struct survey *s)
{
	struct jobs_options o = { .cli = s->cli,
		.o = &s->o,
		.n = s->n_jobs,
		.share = s->o.parallel,
		.done = s->done,
		.progress = &s->shown,
		.work = survey_part,
		.arg = s };

	if (s->n_jobs == 1)
		return survey_alone(s, false);
	s->jobs = jobs_new(&o);
	return s->jobs != NULL;
}

static bool
survey_over(const struct survey *s)
{
	return s->jobs != NULL ? jobs_over(s->jobs) :
				 s->busy == 0 && names_over(s->names);
}

/* What is to be said at the end. */
static int
survey_end(struct survey *s)
{
	size_t busy = s->jobs != NULL ? jobs_busy(s->jobs) : s->busy;
	int status = EXIT_GOOD;

	if (s->no_memory ||
	    (s->jobs != NULL ? jobs_failed(s->jobs) : names_failed(s->names)))
		status = EXIT_UNTESTED;
	progress_end(&s->shown);
	if (s->stop || !out_flush() || !survey_over(s)) {
		cli_warn(s->cli,
		    "stopped: %lu lines written, %zu names cut off%s",
		    s->jobs != NULL ? jobs_written(s->jobs) : s->written, busy,
		    s->html ? "" : "; go on with --resume");
		status = EXIT_UNTESTED;
	}
	return status;
}

static int
survey_work(struct survey *s)
{
	int status;

	if (s->html && !page_begin(NULL))
		return cli_error(s->cli, "out of memory");
	progress_begin(&s->shown, s->progress);
	if (!survey_signals(s) || !survey_begin(s))
		return cli_error(s->cli, "out of memory");
	while (!s->stop && out_flush() && !survey_over(s) &&
	    event_base_loop(s->o.base, EVLOOP_ONCE) >= 0)
		;
	status = survey_end(s);
	if (s->html)
		page_end();
	return status;
}

/* Each of several processes has its part of what may be at once. */
static void
survey_share(struct survey *s)
{
	if (s->n_jobs > s->o.parallel)
		s->n_jobs = s->o.parallel;
	s->o.parallel = (s->o.parallel + s->n_jobs - 1) / s->n_jobs;
	s->o.connections = (s->o.connections + s->n_jobs - 1) / s->n_jobs;
}

static int
survey_run(struct cli *c, void *arg)
{
	struct survey *s = arg;

	if (s->html && (c->json || s->resume != NULL || s->n_jobs > 1))
		return cli_error(
		    c, "--html, --json, --resume, --jobs: want one of them");
	survey_share(s);
	if (s->resume != NULL && (s->done = resume_read(c, s->resume)) == NULL)
		return EXIT_UNTESTED;
	if ((s->n_jobs > 1 ? exam_loop(&s->o) : exam_open(&s->o)) != EXIT_GOOD)
		return EXIT_UNTESTED;
	return survey_work(s);
}

static int
survey_option(struct cli *c, void *arg, int id, const char *value)
{
	struct survey *s = arg;

	if (id == OPT_OPERAND)
		return cli_error(
		    c, "%s: names are read from standard input", value);
	if (id == O_JOBS)
		return opt_number(c, "jobs", value, 1, JOBS_MAX, &s->n_jobs);
	if (id == O_RESUME)
		s->resume = value;
	else if (id == O_HTML)
		s->html = true;
	else if (id == O_PROGRESS)
		s->progress = true;
	else
		return exam_option(&s->o, id, value);
	return 0;
}

int
cmd_survey(struct cli *c)
{
	static char buffer[LINE_BUFFER];
	struct survey *s = calloc(1, sizeof *s);
	int status;
	size_t i;

	if (s == NULL)
		return cli_error(c, "out of memory");
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	s->cli = c;
	s->n_jobs = 1;
	s->o = (struct exam_options){ .cli = c, EXAM_DEFAULTS };
	s->o.parallel = s->o.connections = 100;
	status = opt_run(c, opts, survey_option, survey_run, s);
	jobs_free(s->jobs);
	exam_free(s->exam);
	names_free(s->names);
	for (i = 0; i < 3; i++)
		if (s->sig[i] != NULL)
			event_free(s->sig[i]);
	exam_close(&s->o);
	resume_free(s->done);
	free(s);
	return status;
}

/* SPDX-License-Identifier: ISC */
/*
 * danevirke survey: the receiver's test for a list of any length.  One process,
 * one warm resolver, and memory for the domains under way only.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "check.h"

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
    "  --dns-only              connect to nothing\n"
    "  --parallel N            domains at once, 100 if not given\n"
    "  --connections N         connections at once, 100 if not given\n"
    "  --helo NAME, --port N, --timeout SECONDS, --limit SECONDS,\n"
    "  --certificate-days N, --signature-days N, --profile NAME, --config FILE,\n"
    "  --module FILE           as for check\n"
    "\n"
    "Exit status: 0 all lines were done, 2 some were not (interrupted, output not\n"
    "taken).\n";

enum { O_RESUME = X_OWN, O_HTML };
static const struct opt opts[] = { EXAM_OPTS, { O_RESUME, "resume", OPT_ONE },
	{ O_HTML, "html", OPT_NONE }, { 0, NULL, OPT_NONE } };

#define NAME_MAX_LEN 1024
#define LINE_BUFFER (1 << 20) /* a line goes out in one write() */

struct survey {
	struct cli *cli;
	struct exam_options o;
	struct exam *exam;
	const char *resume;
	bool html;
	unsigned long *done; /* lines of RESULTS, sorted, 0-terminated */
	size_t n_done, at_done;
	struct event *input, *sig[3];
	char line[NAME_MAX_LEN];
	size_t len;
	bool skip;  /* the rest of a line that is too long */
	bool ended; /* of input */
	bool stop;  /* a signal, or nobody reads */
	char buf[65536];
	size_t n_buf, at_buf;
	unsigned long n; /* lines read */
	size_t busy;
	unsigned long written;
	int status;
};

/* ---------------------------------------------------------------- resume */

static int
number_cmp(const void *a, const void *b)
{
	unsigned long x = *(const unsigned long *)a,
		      y = *(const unsigned long *)b;

	return x < y ? -1 : x > y;
}

/* {"domain":"...","n":17, ...}: the number, 0: not such a line.  Names in
 * quotes cannot hold quotes unescaped. */
static unsigned long
line_number(const char *line, size_t len)
{
	static const char head[] = "{\"domain\":\"";
	const char *p;
	unsigned long n = 0, digit;

	if (len < sizeof head || strncmp(line, head, sizeof head - 1) != 0 ||
	    line[len - 1] != '\n' || line[len - 2] != '}')
		return 0;
	for (p = line + sizeof head - 1; *p != '"'; p++)
		if (*p == '\0' || (*p == '\\' && *++p == '\0'))
			return 0;
	if (strncmp(p, "\",\"n\":", 6) != 0)
		return 0;
	for (p += 6; *p >= '0' && *p <= '9'; p++) {
		digit = (unsigned long)(*p - '0');
		if (n > (ULONG_MAX - digit) / 10)
			return 0;
		n = n * 10 + digit;
	}
	return *p == ',' ? n : 0;
}

/* Eight octets for each line of RESULTS: a million in 8 MB. */
static int
survey_read(struct survey *s)
{
	unsigned long n, *p;
	size_t cap = 0, len = 0, line = 0;
	char *text = NULL;
	ssize_t got;
	FILE *f = fopen(s->resume, "re");

	if (f == NULL)
		return cli_error(
		    s->cli, "--resume %s: %s", s->resume, strerror(errno));
	while ((got = getline(&text, &len, f)) > 0) {
		line++;
		if (text[got - 1] != '\n')
			break; /* cut off */
		if ((n = line_number(text, (size_t)got)) == 0) {
			cli_error(s->cli,
			    "--resume %s:%zu: want a line that survey has "
			    "written",
			    s->resume, line);
			break;
		}
		if (s->n_done == cap) {
			cap = cap == 0 ? 1024 : cap * 2;
			p = reallocarray(s->done, cap, sizeof *p);
			if (p == NULL) {
				cli_error(s->cli, "out of memory");
				break;
			}
			s->done = p;
		}
		s->done[s->n_done++] = n;
	}
	if (ferror(f))
		cli_error(
		    s->cli, "--resume %s: %s", s->resume, strerror(errno));
	else if (got > 0 && text[got - 1] != '\n')
		cli_error(s->cli,
		    "--resume %s:%zu: the last line is cut off: remove it "
		    "(sed -i '$d' %s), and its name is tested anew",
		    s->resume, line, s->resume);
	fclose(f);
	free(text);
	if (s->cli->failed)
		return EXIT_UNTESTED;
	if (s->n_done > 1)
		qsort(s->done, s->n_done, sizeof *s->done, number_cmp);
	return EXIT_GOOD;
}

static bool
survey_is_done(struct survey *s, unsigned long n)
{
	while (s->at_done < s->n_done && s->done[s->at_done] < n)
		s->at_done++;
	return s->at_done < s->n_done && s->done[s->at_done] == n;
}

/* ----------------------------------------------------------------- input */

static void
survey_begin(struct survey *s)
{
	char *name = s->line;

	s->n++;
	s->line[s->len] = '\0';
	if (s->len > 0 && s->line[s->len - 1] == '\r')
		s->line[s->len - 1] = '\0';
	s->len = 0;
	name += strspn(name, " \t");
	name[strcspn(name, " \t")] = '\0';
	if (*name == '\0' || *name == '#' || survey_is_done(s, s->n))
		return;
	if (exam_add(s->exam, name, s->n))
		s->busy++;
	else {
		cli_warn(s->cli, "line %lu: %s: out of memory", s->n, name);
		s->status = EXIT_UNTESTED;
	}
}

/* Takes names from the buffer while there is room. */
static void
survey_take(struct survey *s)
{
	char ch;

	while (s->at_buf < s->n_buf && s->busy < s->o.parallel) {
		ch = s->buf[s->at_buf++];
		if (ch == '\n') {
			s->skip = false;
			survey_begin(s);
		} else if (s->len == sizeof s->line - 1)
			s->skip = true; /* too long for a name as it is */
		else if (!s->skip)
			/* no name has this: it is refused, and not cut off */
			s->line[s->len++] = ch == '\0' ? '\001' : ch;
	}
	if (s->ended && s->at_buf == s->n_buf && s->len > 0 &&
	    s->busy < s->o.parallel)
		survey_begin(s); /* a last line without its end */
}

static void on_input(int, short, void *);

/* Asks for input when there is room for it.  A file is always ready, and
 * epoll(7) takes none: then it is read at once. */
static void
survey_more(struct survey *s)
{
	survey_take(s);
	while (!s->stop && !s->ended && s->at_buf == s->n_buf &&
	    s->busy < s->o.parallel) {
		struct pollfd p = { STDIN_FILENO, POLLIN, 0 };

		if (poll(&p, 1, 0) == 0) {
			event_add(s->input, NULL);
			return;
		}
		on_input(STDIN_FILENO, EV_TIMEOUT, s);
	}
}

static void
on_input(int fd, short what, void *arg)
{
	struct survey *s = arg;
	ssize_t n = read(fd, s->buf, sizeof s->buf);

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		n = s->at_buf = s->n_buf = 0;
	else if (n <= 0) {
		if (n == -1) {
			cli_warn(s->cli, "standard input: %s", strerror(errno));
			s->status = EXIT_UNTESTED;
		}
		s->ended = true;
		survey_take(s);
		return;
	}
	s->at_buf = 0;
	s->n_buf = (size_t)n;
	survey_take(s);
	if (what != EV_TIMEOUT)
		survey_more(s);
}

static void
on_signal(int fd, short what, void *arg)
{
	struct survey *s = arg;

	(void)fd;
	(void)what;
	s->stop = true;
	event_base_loopbreak(s->o.base);
}

/* ---------------------------------------------------------------- output */

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
	report_free(r);
	if (!out_flush())
		return; /* nor does survey_work() go on */
	s->written++;
	survey_more(s);
}

static int
survey_work(struct survey *s)
{
	static const int signals[3] = { SIGINT, SIGTERM, SIGHUP };
	static char buffer[LINE_BUFFER];
	struct sigaction old;
	size_t i;

	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	s->exam = exam_new(&s->o, on_report, s);
	s->input = event_new(s->o.base, STDIN_FILENO, EV_READ, on_input, s);
	if (s->exam == NULL || s->input == NULL)
		return cli_error(s->cli, "out of memory");
	if (s->html && !page_begin())
		return cli_error(s->cli, "out of memory");
	for (i = 0; i < 3; i++) {
		/* nohup(1), or in the background of a script */
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler == SIG_IGN)
			continue;
		s->sig[i] = evsignal_new(s->o.base, signals[i], on_signal, s);
		if (s->sig[i] == NULL || event_add(s->sig[i], NULL) != 0)
			return cli_error(s->cli, "out of memory");
	}
	survey_more(s);
	while (!s->stop && out_flush() &&
	    (s->busy > 0 || !s->ended || s->at_buf < s->n_buf) &&
	    event_base_loop(s->o.base, EVLOOP_ONCE) >= 0)
		;
	if (s->stop || !out_flush()) {
		cli_warn(s->cli,
		    "stopped: %lu lines written, %zu names cut off%s",
		    s->written, s->busy,
		    s->html ? "" : "; go on with --resume");
		s->status = EXIT_UNTESTED;
	}
	if (s->html)
		page_end();
	return s->status;
}

static int
survey_run(struct cli *c, void *arg)
{
	struct survey *s = arg;

	if (s->html && (c->json || s->resume != NULL))
		return cli_error(
		    c, "--html, --json, --resume: want one of them");
	if ((s->resume != NULL && survey_read(s) != EXIT_GOOD) ||
	    exam_open(&s->o) != EXIT_GOOD)
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
	if (id == O_RESUME)
		s->resume = value;
	else if (id == O_HTML)
		s->html = true;
	else
		return exam_option(&s->o, id, value);
	return 0;
}

int
cmd_survey(struct cli *c)
{
	struct survey *s = calloc(1, sizeof *s);
	int status;
	size_t i;

	if (s == NULL)
		return cli_error(c, "out of memory");
	s->cli = c;
	s->o = (struct exam_options){ .cli = c, EXAM_DEFAULTS };
	s->o.parallel = s->o.connections = 100;
	status = opt_run(c, opts, survey_option, survey_run, s);
	exam_free(s->exam);
	for (i = 0; i < 3; i++)
		if (s->sig[i] != NULL)
			event_free(s->sig[i]);
	if (s->input != NULL)
		event_free(s->input);
	exam_close(&s->o);
	free(s->done);
	free(s);
	return status;
}

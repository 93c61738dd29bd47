/* SPDX-License-Identifier: ISC */
/* What check and survey take from the command line, and what they need. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "check.h"
#include "stage.h"

int
exam_option(struct exam_options *o, int id, const char *value)
{
	static const struct {
		const char *name;
		unsigned long min, max;
	} number[X_OWN] = { [X_PORT] = { "port", 1, 65535 },
		[X_TIMEOUT] = { "timeout", 1, 300 },
		[X_LIMIT] = { "limit", 1, 3600 },
		[X_PARALLEL] = { "parallel", 1, 10000 },
		[X_CONNECTIONS] = { "connections", 1, 10000 },
		[X_CERT_DAYS] = { "certificate-days", 0, 3650 },
		[X_SIG_DAYS] = { "signature-days", 0, 3650 } };
	unsigned long *to[X_OWN] = { [X_PORT] = &o->port,
		[X_TIMEOUT] = &o->timeout,
		[X_LIMIT] = &o->limit,
		[X_PARALLEL] = &o->parallel,
		[X_CONNECTIONS] = &o->connections,
		[X_CERT_DAYS] = &o->lint.certificate_days,
		[X_SIG_DAYS] = &o->lint.signature_days };

	if (id == X_DNS_ONLY)
		o->dns_only = true;
	else if (id == X_PUBLIC)
		o->cli->flags |= DANEVIRKE_PUBLIC;
	else if (id == X_HELO)
		o->helo = value;
	else if (id == X_PROFILE)
		o->profile = value;
	else
		return opt_number(o->cli, number[id].name, value,
		    number[id].min, number[id].max, to[id]);
	return 0;
}

/* Nobody reads on: known at once, not when the next line is written. */
static void
on_reader(int fd, short what, void *arg)
{
	struct exam_options *o = arg;
	struct pollfd p = { fd, 0, 0 };

	(void)what;
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLERR)) {
		out_closed();
		event_base_loopbreak(o->base);
	}
}

/* Where descriptors run out, DNS and hosts look broken that are not.  A domain
 * asks several questions at once. */
static int
files_enough(const struct exam_options *o)
{
	rlim_t want = 64 + o->connections + 8 * o->parallel +
	    (o->servers ? SERVERS_FILES : 0);
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0)
		return EXIT_GOOD;
	l.rlim_cur = l.rlim_max;
	if (l.rlim_max >= want) {
		setrlimit(RLIMIT_NOFILE, &l);
		return EXIT_GOOD;
	}
	return cli_error(o->cli,
	    "--parallel %lu and --connections %lu: %lu open files are allowed "
	    "(ulimit -Hn), want %lu: allow more, or take fewer at once",
	    o->parallel, o->connections, (unsigned long)l.rlim_max,
	    (unsigned long)want);
}

int
exam_loop(struct exam_options *o)
{
	struct cli *c = o->cli;
	struct stat st;

	if ((o->base = event_base_new()) == NULL)
		return cli_error(c, "no event loop: out of memory");
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode) &&
	    ((o->reader = event_new(
		  o->base, STDOUT_FILENO, EV_READ, on_reader, o)) == NULL ||
		event_add(o->reader, NULL) != 0))
		return cli_error(c, "no event loop: out of memory");
	return EXIT_GOOD;
}

int
exam_open(struct exam_options *o)
{
	struct cli *c = o->cli;

	if (files_enough(o) != EXIT_GOOD || exam_loop(o) != EXIT_GOOD)
		return EXIT_UNTESTED;
	if ((o->engine = cli_open(c, NULL)) == NULL ||
	    (o->resolver = cli_resolver(c, o->engine, o->base)) == NULL)
		return EXIT_UNTESTED;
	if (c->dv->profile(o->engine, o->profile) == NULL)
		return cli_error(c, "--profile %s: no such profile in %s",
		    o->profile, c->dv->settings(o->engine)->config);
	if (o->helo == NULL) {
		if (gethostname(o->own, sizeof o->own - 1) != 0 ||
		    o->own[0] == '\0')
			snprintf(o->own, sizeof o->own, "localhost");
		o->helo = o->own;
	}
	if (o->helo[0] == '\0' || strlen(o->helo) > 255 ||
	    o->helo[strcspn(o->helo, " \t\r\n")] != '\0')
		return cli_error(
		    c, "--helo: \"%s\": want a host name", o->helo);
	return EXIT_GOOD;
}

void
exam_close(struct exam_options *o)
{
	resolver_free(o->resolver);
	if (o->engine != NULL)
		o->cli->dv->close(o->engine);
	if (o->reader != NULL)
		event_free(o->reader);
	if (o->base != NULL) {
		/* the last QUITs are on their way, for QUIT_TIME at most;
		 * nothing else is left on this loop */
		event_base_dispatch(o->base);
		event_base_free(o->base);
	}
	starttls_cleanup();
}

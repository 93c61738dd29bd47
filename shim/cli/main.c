/* SPDX-License-Identifier: ISC */
/*
 * danevirke(1): the questions a mail server asks the module, asked by a
 * person.  A third shim: it translates and never decides.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <event2/event.h>

#include "cli.h"

static const struct command commands[] = {
	{ "check", "test a receiver's records and servers", cmd_check,
	    usage_check, NULL, false },
	{ "conf", "check a configuration", cmd_conf, usage_conf, "valid",
	    false },
	{ "explain", "the rules that ids such as M04 stand for", cmd_explain,
	    usage_explain, NULL, false },
	{ "rollover", "may a new certificate be installed now?", cmd_rollover,
	    usage_rollover, "install", false },
	{ "route", "how mail to a domain is routed and protected", cmd_route,
	    usage_route, NULL, false },
	{ "store", "what a mail server's processes remember", cmd_store,
	    usage_store, NULL, false },
	{ "survey", "check a list of domains of any length", cmd_survey,
	    usage_survey, NULL, true },
	{ "tlsa", "TLSA records for a certificate or key", cmd_tlsa, usage_tlsa,
	    NULL, false },
	{ "verify", "does a certificate chain satisfy TLSA records?",
	    cmd_verify, usage_verify, "verified", false },
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

int
cli_load(struct cli *c)
{
	struct danevirke_error err = { 0, "" };

	if (c->dv != NULL)
		return 0;
	/* dlopen() would search for a name without a slash */
	if (c->module != NULL &&
	    (c->module_abs = realpath(c->module, NULL)) == NULL) {
		cli_error(c, "--module %s: %s", c->module, strerror(errno));
		return -1;
	}
	if (shim_load(&c->shim, c->module_abs, &err) != 0) {
		cli_error(c, "%s; --module FILE names another danevirke.so",
		    err.text);
		return -1;
	}
	c->dv = c->shim.dv;
	return 0;
}

static void
on_log(void *arg, int level, const char *text)
{
	struct cli *c = arg;

	/* an error while opening comes back from open() */
	if (level <= 4 && (level == 4 || c->opened)) /* LOG_WARNING */
		cli_warn(c, "%s", text);
}

int
cli_config(struct cli *c)
{
	/* the module wants an absolute path, a person may be in a hurry */
	if (c->config == NULL || c->config_abs != NULL ||
	    (c->config_abs = realpath(c->config, NULL)) != NULL)
		return 0;
	cli_error(c, "%s: %s", c->config, strerror(errno));
	return -1;
}

struct danevirke *
cli_open(struct cli *c, struct event_base *base)
{
	struct danevirke_options o = { .size = sizeof o };
	struct danevirke_error err = { 0, "" };
	struct danevirke *e;

	if (cli_load(c) != 0 || cli_config(c) != 0)
		return NULL;
	o.config = c->config_abs;
	o.base = base;
	o.log = on_log;
	o.log_arg = c;
	if ((e = c->dv->open(&o, &err)) == NULL)
		cli_error(c, "%s; danevirke conf lists every error", err.text);
	c->opened = e != NULL;
	return e;
}

struct resolver *
cli_resolver(struct cli *c, const struct danevirke *e, struct event_base *base)
{
	struct resolver_options o = { .dv = c->dv,
		.config = c->dv->settings(e)->config,
		.log = on_log,
		.arg = c };
	struct danevirke_error err = { 0, "" };
	struct resolver *r = resolver_new(base, &o, &err);

	if (r == NULL)
		cli_error(c, "%s", err.text);
	return r;
}

struct asking {
	bool done, late;
	const struct danevirke_answer *answer;
	struct danevirke_error *err;
};

static void
on_done(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct asking *ask = arg;

	ask->done = true;
	ask->answer = a;
	if (a == NULL)
		*ask->err = *err;
}

static void
on_limit(int fd, short what, void *arg)
{
	struct asking *ask = arg;

	(void)fd;
	(void)what;
	ask->late = true;
}

const struct danevirke_answer *
cli_ask(struct cli *c, const struct danevirke *e,
    const struct danevirke_question *q, unsigned long limit,
    struct danevirke_error *err)
{
	struct timeval tv = { .tv_sec = (time_t)limit };
	struct asking ask = { .err = err };
	struct resolver_query *query;
	struct event *timer = NULL;

	snprintf(err->text, sizeof err->text, "out of memory");
	err->code = DANEVIRKE_ENOMEM;
	if ((c->base == NULL && (c->base = event_base_new()) == NULL) ||
	    (c->resolver == NULL &&
		(c->resolver = cli_resolver(c, e, c->base)) == NULL) ||
	    (timer = evtimer_new(c->base, on_limit, &ask)) == NULL ||
	    event_add(timer, &tv) != 0 ||
	    resolver_start(c->resolver, q, on_done, &ask, &query, err) != 0) {
		if (timer != NULL)
			event_free(timer);
		return NULL;
	}
	while (!ask.done && !ask.late &&
	    event_base_loop(c->base, EVLOOP_ONCE) == 0)
		continue;
	if (!ask.done) {
		resolver_cancel(query);
		snprintf(err->text, sizeof err->text, "no answer within %lu s",
		    limit);
	}
	event_free(timer);
	return ask.answer;
}

int
cli_host(struct cli *c, const char *value, char name[256])
{
	struct danevirke_error err = { 0, "" };
	const char *rest;

	/* the owner of the records, taken for the host */
	if (value[0] == '_') {
		rest = strchr(value, '.');
		if (rest != NULL && strncasecmp(rest, "._tcp.", 6) == 0)
			return cli_error(c,
			    "--host \"%s\": want the mail host alone: %s "
			    "(--port N is for the port)",
			    value, rest + 6);
		return cli_error(c,
		    "--host \"%s\": want a host name, which begins with no _",
		    value);
	}
	if (c->dv->to_ascii(value, name, 256, &err) != 0)
		return cli_error(c, "--host \"%s\": %s", value, err.text);
	return 0;
}

static void
main_usage(void)
{
	size_t i;

	out_print("usage: danevirke SUBCOMMAND [OPTION]... [ARGUMENT]...\n\n");
	for (i = 0; i < N_COMMANDS; i++)
		out_print("  %-10s%s\n", commands[i].name, commands[i].summary);
	out_print("\nEvery subcommand takes --help, --json, --config FILE and "
		  "--module FILE.\ndanevirke --version prints the "
		  "version.  See danevirke(1).\n");
}

/* Descriptors 0 to 2 must be open, or a socket would become one of them. */
static void
main_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_NOCTTY);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

static void
main_environment(struct cli *c)
{
	const char *term = getenv("TERM"), *no = getenv("NO_COLOR");

	c->colour = isatty(STDOUT_FILENO) && term != NULL && *term != '\0' &&
	    strcmp(term, "dumb") != 0 && (no == NULL || *no == '\0');
	/* nothing else is honoured, not even by the libraries */
	clearenv();
}

static int
main_run(struct cli *c, int argc, char **argv)
{
	size_t i;
	int at;

	if (argc < 2)
		return cli_error(
		    c, "which subcommand?  danevirke --help lists them");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		main_usage();
		return EXIT_GOOD;
	}
	if (strcmp(argv[1], "--version") == 0) {
		out_print("danevirke %s\n", PACKAGE_VERSION);
		return EXIT_GOOD;
	}
	/* An error in the options before --json is to be JSON too. */
	for (at = 2; at < argc && strcmp(argv[at], "--") != 0; at++)
		if (strcmp(argv[at], "--json") == 0)
			c->json = true;
	for (i = 0; i < N_COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			break;
	if (i == N_COMMANDS)
		return cli_error(c,
		    "%s: no such subcommand; danevirke --help lists them",
		    argv[1]);
	c->cmd = &commands[i];
	c->argc = argc - 1;
	c->argv = argv + 1;
	return c->cmd->run(c);
}

int
main(int argc, char **argv)
{
	struct cli c = { 0 };
	int status;

	main_streams();
	signal(SIGPIPE, SIG_IGN); /* out_end() sees to it */
	main_environment(&c);
	status = out_end(&c, main_run(&c, argc, argv));
	resolver_free(c.resolver);
	if (c.base != NULL)
		event_base_free(c.base);
	if (c.dv != NULL)
		shim_unload(&c.shim);
	free(c.config_abs);
	free(c.module_abs);
	return status;
}

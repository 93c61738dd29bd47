/* SPDX-License-Identifier: ISC */
/*
 * danevirke(1): the questions a mail server asks the module, asked by a
 * person.  A third shim: it translates and never decides.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "cli.h"

/* First those that are wanted first. */
static const struct command commands[] = {
	{ "route", "how mail to a domain is routed and protected", cmd_route,
	    usage_route, NULL, false },
	{ "check", "test a receiver's records and servers", cmd_check,
	    usage_check, NULL, false },
	{ "doctor", "is the mail server set up to use Danevirke?", cmd_doctor,
	    usage_doctor, NULL, false },
	{ "conf", "check a configuration", cmd_conf, usage_conf, "valid",
	    false },
	{ "count", "what mail servers' logs say that was decided", cmd_count,
	    usage_count, NULL, false },
	{ "explain", "the rules that ids such as M04 stand for", cmd_explain,
	    usage_explain, NULL, false },
	{ "report", "what reports about TLS to your domain say", cmd_report,
	    usage_report, NULL, false },
	{ "rollover", "may a new certificate be installed now?", cmd_rollover,
	    usage_rollover, "install", false },
	{ "setup", "make the mail server use Danevirke, or not", cmd_setup,
	    usage_setup, NULL, false },
	{ "store", "what a mail server's processes remember", cmd_store,
	    usage_store, NULL, false },
	{ "survey", "check a list of domains of any length", cmd_survey,
	    usage_survey, NULL, true },
	{ "tlsa", "TLSA records for a certificate or key", cmd_tlsa, usage_tlsa,
	    NULL, false },
	{ "verify", "does a certificate chain satisfy TLSA records?",
	    cmd_verify, usage_verify, "verified", false },
	{ "web", "a web site that tests mail domains", cmd_web, usage_web, NULL,
	    false },
};
#define N_COMMANDS (sizeof commands / sizeof *commands)
#define N_FIRST 3

static void
main_usage(void)
{
	size_t i;

	out_print("usage: danevirke SUBCOMMAND [OPTION]... [ARGUMENT]...\n\n");
	for (i = 0; i < N_COMMANDS; i++)
		out_print("%s  %-10s%s\n", i == N_FIRST ? "\n" : "",
		    commands[i].name, commands[i].summary);
	out_print("\nEvery subcommand takes --help, --json, --config FILE and "
		  "--module FILE.\ndanevirke --version prints the "
		  "version.  See danevirke(1).\n");
}

/* What a newcomer wants, then the rest. */
static int
main_which(struct cli *c)
{
	char rest[256] = "";
	size_t i, n = 0;

	for (i = N_FIRST; i < N_COMMANDS && n < sizeof rest; i++)
		n += (size_t)snprintf(rest + n, sizeof rest - n, "%s%s",
		    i == N_FIRST ? "" : ", ", commands[i].name);
	return cli_error(c,
	    "which subcommand?  First, most likely:\n"
	    "  danevirke route DOMAIN  %s\n"
	    "  danevirke check DOMAIN  %s\n"
	    "  danevirke doctor        %s\n"
	    "then %s.\n"
	    "danevirke --help says what they do.",
	    commands[0].summary, commands[1].summary, commands[2].summary,
	    rest);
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
		return main_which(c);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		main_usage();
		return EXIT_GOOD;
	}
	if (strcmp(argv[1], "--complete") == 0) {
		for (i = 0; i < N_COMMANDS; i++)
			out_print("%s\t-\t%s\n", commands[i].name,
			    commands[i].summary);
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

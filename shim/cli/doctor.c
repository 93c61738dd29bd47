/* SPDX-License-Identifier: ISC */
/*
 * danevirke doctor: is this machine's mail server set up so that its mail goes
 * by Danevirke?  It asks, and changes nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

const char usage_doctor[] =
    "usage: danevirke doctor [--domain NAME]... [--offline] [--json]\n"
    "           [exim | opensmtpd | danevirked]\n"
    "\n"
    "Asks the mail server on this machine, or the one named, how it is set up, and\n"
    "says what is so, what is missing, and which line to write where.  Changes\n"
    "nothing.  Run it as root: others do not see all.\n"
    "\n"
    "  --domain NAME       whose mail's way is asked for, example.org if not given\n"
    "  --offline           do not ask DNS\n"
    "  --exim FILE         Exim's program, if not at a usual place\n"
    "  --smtpd FILE        OpenSMTPD's\n"
    "  --smtpd-conf FILE   its configuration, /etc/smtpd.conf if not given\n"
    "  --danevirked FILE   the program of Danevirke's relay\n"
    "  --json              one JSON object\n"
    "  --config FILE       danevirke.conf to use\n"
    "  --module FILE       danevirke.so to use\n"
    "\n"
    "Exit status: 0 good (warnings included), 1 a problem was found, 2 could not be\n"
    "tested.\n";

enum { O_DOMAIN = 1, O_OFFLINE, O_EXIM, O_SMTPD, O_SMTPD_CONF, O_DAEMON };
static const struct opt opts[] = { { O_DOMAIN, "domain", OPT_MANY },
	{ O_OFFLINE, "offline", OPT_NONE }, { O_EXIM, "exim", OPT_ONE },
	{ O_SMTPD, "smtpd", OPT_ONE }, { O_SMTPD_CONF, "smtpd-conf", OPT_ONE },
	{ O_DAEMON, "danevirked", OPT_ONE }, { 0, NULL, OPT_NONE } };

/* The servers that it knows. */
static const struct doctor_server {
	const char *name;
	int option; /* that names its program */
	void (*run)(struct doctor *);
	const char *const paths[5];
} servers[] = {
	{ "exim", O_EXIM, doctor_exim,
	    { "/usr/sbin/exim4", "/usr/sbin/exim", "/usr/local/sbin/exim",
		"/usr/exim/bin/exim", NULL } },
	{ "opensmtpd", O_SMTPD, doctor_smtpd,
	    { "/usr/sbin/smtpd", "/usr/local/sbin/smtpd", NULL } },
	{ "danevirked", O_DAEMON, doctor_daemon,
	    { "/usr/sbin/danevirked", "/usr/local/sbin/danevirked",
		SBINDIR "/danevirked", NULL } },
};
#define N_SERVERS (sizeof servers / sizeof *servers)

struct doctor_job {
	const char *server;
	const char *program[N_SERVERS];
	const char *smtpd_conf;
	const char **domain;
	size_t n_domain;
	bool offline;
};

/* ----------------------------------------------------------------- running */

static int
doctor_one(struct cli *c, const struct doctor_job *job,
    const struct doctor_server *server, struct json *j)
{
	static const char *example[] = { "example.org" };
	struct doctor d = { .c = c,
		.server = server->name,
		.file = job->smtpd_conf,
		.program = job->program[server - servers],
		.domain = job->n_domain > 0 ? job->domain : example,
		.n_domain = job->n_domain > 0 ? job->n_domain : 1,
		.offline = job->offline };
	enum check_verdict v;

	if (d.program == NULL)
		d.program = program_find(server->paths);
	if (d.program == NULL) {
		doctor_say(&d, SEV_PROBLEM, "%s is not at %s", server->name,
		    server->paths[0]);
		doctor_write(&d,
		    "an option names its program (danevirke doctor --help)",
		    NULL);
	} else {
		out_flush(); /* nothing of it is a child's */
		server->run(&d);
	}
	if (c->json)
		doctor_json(&d, j);
	else
		doctor_text(&d);
	v = doctor_verdict(&d);
	doctor_free(&d);
	return v == CHECK_UNTESTED ? EXIT_UNTESTED :
	    v == CHECK_PROBLEM     ? EXIT_PROBLEM :
				     EXIT_GOOD;
}

static bool
doctor_wanted(const struct doctor_job *job, const struct doctor_server *s)
{
	if (job->server != NULL)
		return strcmp(job->server, s->name) == 0;
	return job->program[s - servers] != NULL ||
	    program_find(s->paths) != NULL;
}

static int
doctor_run(struct cli *c, void *arg)
{
	const struct doctor_job *job = arg;
	struct json j = { 0 };
	int status = EXIT_GOOD, one;
	size_t i, n = 0;

	for (i = 0; i < N_SERVERS; i++)
		n += doctor_wanted(job, &servers[i]);
	if (n == 0 && job->server != NULL)
		return cli_error(
		    c, "%s: want exim, opensmtpd or danevirked", job->server);
	if (n == 0)
		return cli_error(c, "no mail server that it knows is here");
	if (cli_load(c) != 0 || cli_config(c) != 0)
		return EXIT_UNTESTED;
	if (c->json) {
		json_object(&j, NULL);
		json_array(&j, "servers");
	}
	for (i = 0; i < N_SERVERS; i++) {
		if (!doctor_wanted(job, &servers[i]))
			continue;
		one = doctor_one(c, job, &servers[i], &j);
		/* a problem outweighs what could not be tested */
		if (status != EXIT_PROBLEM && one != EXIT_GOOD)
			status = one;
	}
	if (c->json) {
		json_end_array(&j);
		json_end_object(&j);
	}
	return status;
}

static int
doctor_option(struct cli *c, void *arg, int id, const char *value)
{
	struct doctor_job *job = arg;
	const char **list;
	size_t i;

	for (i = 0; i < N_SERVERS; i++)
		if (servers[i].option == id) {
			job->program[i] = value;
			return value[0] == '/' ?
			    0 :
			    cli_error(c, "%s: want an absolute path", value);
		}
	switch (id) {
	case O_OFFLINE:
		job->offline = true;
		return 0;
	case O_SMTPD_CONF:
		job->smtpd_conf = value;
		return 0;
	case O_DOMAIN:
		/* it becomes an argument of another program */
		if (value[0] == '\0' || value[0] == '-' ||
		    value[strcspn(value, " \t\n\"'@,<>()")] != '\0')
			return cli_error(
			    c, "--domain \"%s\": want a mail domain", value);
		list = reallocarray(
		    job->domain, job->n_domain + 1, sizeof *list);
		if (list == NULL)
			return cli_error(c, "out of memory");
		job->domain = list;
		list[job->n_domain++] = value;
		return 0;
	}
	if (job->server != NULL)
		return cli_error(c, "%s: a second server; want one", value);
	job->server = value;
	return 0;
}

int
cmd_doctor(struct cli *c)
{
	struct doctor_job job = { .smtpd_conf = "/etc/smtpd.conf" };
	int status = opt_run(c, opts, doctor_option, doctor_run, &job);

	free(job.domain);
	return status;
}

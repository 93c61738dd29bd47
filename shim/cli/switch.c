/* SPDX-License-Identifier: ISC */
/* danevirke setup: the changes that make a mail server send by Danevirke. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "program.h"
#include "switch.h"

const char usage_setup[] =
    "usage: danevirke setup [--apply | --undo] exim | opensmtpd\n"
    "\n"
    "Prints, as a diff, what makes this machine's mail server send by Danevirke.\n"
    "What it does not recognise it refuses; danevirke doctor has the lines to write\n"
    "by hand.\n"
    "\n"
    "  --apply             do it, and keep a copy of each file\n"
    "  --undo              take it back\n"
    "  --exim FILE         Exim's program, if not at a usual place\n"
    "  --smtpd FILE        OpenSMTPD's\n"
    "  --smtpd-conf FILE   its configuration, /etc/smtpd.conf if not given\n"
    "\n"
    "Exit status: 0 done, or shown; 2 refused, and nothing was changed.\n";

enum { O_APPLY = 1, O_UNDO, O_EXIM, O_SMTPD, O_SMTPD_CONF };
static const struct opt opts[] = { { O_APPLY, "apply", OPT_NONE },
	{ O_UNDO, "undo", OPT_NONE }, { O_EXIM, "exim", OPT_ONE },
	{ O_SMTPD, "smtpd", OPT_ONE }, { O_SMTPD_CONF, "smtpd-conf", OPT_ONE },
	{ 0, NULL, OPT_NONE } };

static const struct switch_server {
	const char *name;
	int option;
	int (*find)(struct switching *);
	int (*try)(struct switching *);
	const char *service;
	const char *const paths[4];
} servers[] = {
	{ "exim", O_EXIM, switch_exim, switch_exim_try, "exim4",
	    { "/usr/sbin/exim4", "/usr/sbin/exim", NULL } },
	{ "opensmtpd", O_SMTPD, switch_smtpd, switch_smtpd_try, "opensmtpd",
	    { "/usr/sbin/smtpd", "/usr/local/sbin/smtpd", NULL } },
};
#define N_SERVERS (sizeof servers / sizeof *servers)

struct switch_job {
	const struct switch_server *server;
	const char *program[N_SERVERS];
	const char *smtpd_conf;
	bool apply, undo;
};

/* A server that does not take it gets back what it had. */
static int
switch_apply(struct switching *s, const struct switch_server *server)
{
	struct cli *c = s->c;
	char run[SERVICE_LEN];

	if (change_made(server->name))
		return cli_error(c,
		    "it was applied before: --undo first, or see to it by "
		    "hand");
	if (change_apply(c, &s->changes) != 0)
		return EXIT_UNTESTED;
	if (server->try(s) == 0) {
		out_print("done; now run: %s\n",
		    program_service(server->service, SERVICE_RESTART, run));
		return EXIT_GOOD;
	}
	if (change_undo(c, server->name) == 0 && server->try(s) == 0)
		cli_warn(c, "all is as it was before");
	return EXIT_UNTESTED;
}

static int
switch_undo(struct switching *s, const struct switch_server *server)
{
	char run[SERVICE_LEN];

	if (change_undo(s->c, server->name) != 0 || server->try(s) != 0)
		return EXIT_UNTESTED;
	out_print("taken back; now run: %s\n",
	    program_service(server->service, SERVICE_RESTART, run));
	return EXIT_GOOD;
}

static int
switch_run(struct cli *c, void *arg)
{
	const struct switch_job *job = arg;
	const struct switch_server *server = job->server;
	struct switching s = { .c = c, .file = job->smtpd_conf };
	int status;

	if (server == NULL)
		return cli_error(c, "which server?  want exim or opensmtpd");
	if (job->apply && job->undo)
		return cli_error(c, "--apply and --undo: want one of them");
	if (c->json)
		return cli_error(c, "--json: a diff is no JSON");
	if ((job->apply || job->undo) && geteuid() != 0)
		return cli_error(c, "want root");
	s.changes.server = server->name;
	s.program = job->program[server - servers];
	if (s.program == NULL)
		s.program = program_find(server->paths);
	if (s.program == NULL)
		return cli_error(c, "%s is not here", server->name);
	if (job->undo)
		return switch_undo(&s, server);
	if (access(SYSCONFDIR "/danevirke.conf", F_OK) != 0)
		return cli_error(c,
		    SYSCONFDIR "/danevirke.conf is not there, and mail would "
			       "wait: write it first; an empty file is valid");
	status = server->find(&s);
	if (status == 0)
		status = change_show(c, &s.changes);
	if (status == 0 && job->apply)
		status = switch_apply(&s, server);
	else if (status == 0)
		out_print("nothing is changed yet; --apply does it\n");
	change_free(&s.changes);
	return status;
}

static int
switch_option(struct cli *c, void *arg, int id, const char *value)
{
	struct switch_job *job = arg;
	size_t i;

	for (i = 0; i < N_SERVERS; i++)
		if (servers[i].option == id) {
			job->program[i] = value;
			return value[0] == '/' ?
			    0 :
			    cli_error(c, "%s: want an absolute path", value);
		}
	if (id == O_APPLY)
		job->apply = true;
	else if (id == O_UNDO)
		job->undo = true;
	else if (id == O_SMTPD_CONF) {
		job->smtpd_conf = value;
		return value[0] == '/' ?
		    0 :
		    cli_error(c, "%s: want an absolute path", value);
	} else {
		if (job->server != NULL)
			return cli_error(
			    c, "%s: a second server; want one", value);
		for (i = 0; i < N_SERVERS; i++)
			if (strcmp(servers[i].name, value) == 0)
				job->server = &servers[i];
		if (job->server == NULL)
			return cli_error(
			    c, "%s: want exim or opensmtpd", value);
	}
	return 0;
}

int
cmd_setup(struct cli *c)
{
	struct switch_job job = { .smtpd_conf = "/etc/smtpd.conf" };

	return opt_run(c, opts, switch_option, switch_run, &job);
}

/* SPDX-License-Identifier: ISC */
/* smtpd.conf: the table, and the action that relays. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"
#include "smtpdconf.h"
#include "switch.h"

#define SECONDS 20
#define BY_HAND "danevirke doctor opensmtpd has the lines to write by hand"

/* The one action that relays to the hosts of each domain; NULL: reported. */
static const struct smtpdconf_line *
switch_action(struct switching *s, const struct smtpdconf *conf)
{
	const struct smtpdconf_line *l, *found = NULL;

	for (l = conf->line; l < conf->line + conf->n; l++) {
		if (l->n == 3 && strcmp(l->word[0], "table") == 0 &&
		    (strncmp(l->word[2], "danevirke:", 10) == 0 ||
			strcmp(l->word[1], "dane") == 0)) {
			cli_error(s->c,
			    "%s, line %d has %s already; danevirke doctor "
			    "opensmtpd says how it is",
			    s->file, l->number,
			    l->word[2][0] == 'd' ? "Danevirke" :
						   "a table \"dane\"");
			return NULL;
		}
		if (l->n < 3 || strcmp(l->word[0], "action") != 0 ||
		    strcmp(l->word[2], "relay") != 0)
			continue;
		if (found != NULL || smtpdconf_has(l, "host") ||
		    smtpdconf_has(l, "domain") || smtpdconf_has(l, "auth") ||
		    smtpdconf_has(l, "backup")) {
			cli_error(s->c,
			    "%s, line %d: want one action that relays to the "
			    "hosts of each domain: refused; " BY_HAND,
			    s->file, l->number);
			return NULL;
		}
		found = l;
	}
	if (found == NULL)
		cli_error(
		    s->c, "%s: no action relays: refused; " BY_HAND, s->file);
	return found;
}

/* "src" and "helo" stay, "tls" goes. */
static char *
switch_line(const struct smtpdconf_line *l)
{
	const char *src = smtpdconf_after(l, "src"),
		   *helo = smtpdconf_after(l, "helo"),
		   *table = smtpdconf_after(l, "helo-src");
	char *text;

	if (asprintf(&text,
		"table dane danevirke:" SYSCONFDIR "/danevirke.conf\n"
		"action \"%s\" relay domain <dane>%s%s%s%s%s%s\n",
		l->word[1], src == NULL ? "" : " src ", src == NULL ? "" : src,
		helo == NULL ? "" : " helo ", helo == NULL ? "" : helo,
		table == NULL ? "" : " helo-src ",
		table == NULL ? "" : table) < 0)
		return NULL;
	return text;
}

/* Where line n begins; NULL: there is none. */
static const char *
switch_line_at(const char *text, int n)
{
	for (; n > 1 && text != NULL; n--)
		if ((text = strchr(text, '\n')) != NULL)
			text++;
	return text;
}

int
switch_smtpd(struct switching *s)
{
	char *text = change_read(s->file), *new = NULL, *line = NULL;
	const struct smtpdconf_line *l = NULL;
	const char *at = NULL, *next;
	struct smtpdconf conf;
	int status = EXIT_UNTESTED;

	if (text == NULL || smtpdconf_read(s->file, &conf) != 0) {
		free(text);
		return cli_error(s->c, "%s: %s", s->file, strerror(errno));
	}
	if ((l = switch_action(s, &conf)) != NULL &&
	    (line = switch_line(l)) != NULL)
		at = switch_line_at(text, l->number);
	if (at != NULL) {
		next = strchr(at, '\n');
		/* all of it in this line of this file */
		if (conf.included || strncmp(at, "action", 6) != 0 ||
		    next == NULL || next[-1] == '\\')
			cli_error(s->c,
			    "line %d of %s is not plain: refused; " BY_HAND,
			    l->number, s->file);
		else if (asprintf(&new, "%.*s%s%s", (int)(at - text), text,
			     line, next + 1) >= 0)
			status = change_add(s->c, &s->changes, s->file, new);
	}
	free(line);
	free(text);
	smtpdconf_free(&conf);
	return status;
}

int
switch_smtpd_try(struct switching *s)
{
	const char *const argv[] = { s->program, "-n", "-f", s->file, NULL };
	struct program p;
	int rc = program_run(argv, SECONDS, &p);
	bool good = rc == 0 && p.status == 0;

	if (!good)
		cli_error(s->c, "smtpd -n: %.300s",
		    p.text == NULL ? strerror(errno) : p.text);
	free(p.text);
	return good ? 0 : EXIT_UNTESTED;
}

/* SPDX-License-Identifier: ISC */
/* Debian's Exim: the lines, where update-exim4.conf looks for them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"
#include "switch.h"

#define SECONDS 60
#define UPDATE "/usr/sbin/update-exim4.conf"
#define TEMPLATE DEBIAN_ETC "/exim4.conf.template"
#define AUTH DEBIAN_ETC "/conf.d/auth/30_exim4-config_examples"
#define BY_HAND "danevirke doctor exim has the lines to write by hand"

/* Lines to put into a text, above or below a line that is there once. */
struct switch_line {
	const char *mark, *text;
	bool below;
};

/* The line that is this and nothing else; NULL: none, or several */
static const char *
switch_find(const char *text, const char *mark)
{
	const char *p, *found = NULL;
	size_t n = strlen(mark);

	for (p = text; *p != '\0'; p += p[0] == '\n') {
		if (strncmp(p, mark, n) == 0 &&
		    (p[n] == '\n' || p[n] == '\0')) {
			if (found != NULL)
				return NULL;
			found = p;
		}
		p += strcspn(p, "\n");
	}
	return found;
}

/* The text with it; the old one is freed.  NULL: refused, or no memory. */
static char *
switch_insert(char *text, const struct switch_line *l)
{
	const char *at = text == NULL ? NULL : switch_find(text, l->mark);
	char *new = NULL;

	if (at != NULL) {
		if (l->below) {
			at += strlen(l->mark);
			at += *at == '\n';
		}
		if (asprintf(&new, "%.*s%s\n%s", (int)(at - text), text,
			l->text, at) < 0)
			new = NULL;
	}
	free(text);
	return new;
}

/* Every one; the old text is freed.  NULL: there is none, or no memory. */
static char *
switch_replace(char *text, const char *from, const char *to)
{
	char *at = text == NULL ? NULL : strstr(text, from), *new;
	size_t done = 0;

	if (at == NULL) {
		free(text);
		return NULL;
	}
	for (; at != NULL; at = strstr(text + done, from)) {
		if (asprintf(&new, "%.*s%s%s", (int)(at - text), text, to,
			at + strlen(from)) < 0)
			new = NULL;
		done = (size_t)(at - text) + strlen(to);
		free(text);
		if ((text = new) == NULL)
			return NULL;
	}
	return text;
}

/* Debian's three authenticators: by the name, and after the judgement. */
static char *
switch_passwords(char *text)
{
	static const char condition[] =
	    "  client_condition = DANEVIRKE_RELAY_JUDGED";
	static const struct switch_line l[] = {
		{ "  public_name = CRAM-MD5", condition, true },
		{ "  public_name = PLAIN", condition, true },
		{ "  public_name = LOGIN", condition, true },
	};
	size_t i;

	text = switch_replace(
	    text, "{$host}nwildlsearch", "{DANEVIRKE_RELAY_HOST}nwildlsearch");
	for (i = 0; i < 3; i++)
		text = switch_insert(text, &l[i]);
	return text;
}

static int
switch_unknown(struct switching *s, const char *path)
{
	return cli_error(
	    s->c, "%s is not as Debian has it: refused; " BY_HAND, path);
}

/* It is dpkg's, too. */
static int
switch_conffile(struct switching *s, const char *path, char *text)
{
	cli_warn(s->c,
	    "%s is Debian's: dpkg will ask whether to keep it when a new "
	    "exim4-config has another one",
	    path);
	return change_add(s->c, &s->changes, path, text);
}

/* A file of ours, into its place, where none may be. */
static int
switch_place(struct switching *s, const char *name)
{
	char from[512], to[512], *text;

	snprintf(from, sizeof from, EXAMPLESDIR "/exim/debian/%s", name);
	snprintf(to, sizeof to, DEBIAN_ETC "/conf.d/%s", name);
	if ((text = change_read(from)) == NULL)
		return cli_error(s->c, "%s: %s", from, strerror(errno));
	if (change_add(s->c, &s->changes, to, text) != 0)
		return EXIT_UNTESTED;
	return s->changes.list[s->changes.n - 1].old == NULL ?
	    0 :
	    cli_error(s->c, "%s is there already: refused; " BY_HAND, to);
}

static int
switch_split(struct switching *s, bool passwords)
{
	static const char *const name[] = { "main/02_danevirke",
		"router/190_danevirke", "transport/40_danevirke" };
	char *text;
	size_t i;

	for (i = 0; i < 3; i++)
		if (switch_place(s, name[i]) != 0)
			return EXIT_UNTESTED;
	if (!passwords)
		return 0;
	if ((text = switch_passwords(change_read(AUTH))) == NULL)
		return switch_unknown(s, AUTH);
	return switch_conffile(s, AUTH, text);
}

static int
switch_unsplit(struct switching *s, bool hop, bool passwords)
{
	char *text = change_read(TEMPLATE), *main_text;
	const struct switch_line
	    router = { hop ? "smarthost:" : "dnslookup_relay_to_domains:",
		    hop ? ".include " EXIMDIR "/danevirke-smarthost-routers\n" :
			  ".include " EXIMDIR "/danevirke-routers\n",
		    false },
	    transport = { "begin transports",
		    hop ? ".include " EXIMDIR
			  "/danevirke-smarthost-transports\n" :
			  ".include " EXIMDIR "/danevirke-transports\n",
		    true };
	struct switch_line macros = { "begin acl", NULL, false };

	main_text = change_read(EXAMPLESDIR "/exim/debian/main/02_danevirke");
	if (main_text == NULL || text == NULL) {
		free(text);
		free(main_text);
		return cli_error(s->c, "%s: %s",
		    text == NULL ? TEMPLATE :
				   EXAMPLESDIR "/exim/debian/main/02_danevirke",
		    strerror(errno));
	}
	macros.text = main_text;
	text = switch_insert(
	    switch_insert(switch_insert(text, &macros), &router), &transport);
	free(main_text);
	if (passwords)
		text = switch_passwords(text);
	if (text == NULL)
		return switch_unknown(s, TEMPLATE);
	return switch_conffile(s, TEMPLATE, text);
}

/* What Exim says to this; NULL: reported.  free() */
static char *
switch_ask(struct switching *s, const char *a, const char *b)
{
	const char *const argv[] = { s->program, a, b, NULL };
	struct program p;

	if (program_run(argv, SECONDS, &p) == 0 && p.status == 0)
		return p.text;
	cli_error(s->c, "%s %s: %.300s", s->program, a,
	    p.text == NULL ? strerror(errno) : p.text);
	free(p.text);
	return NULL;
}

/* Debian's, able, and without us. */
static int
switch_known(struct switching *s, struct debian *deb)
{
	struct doctor d = { .c = s->c };
	char *text, file[256];
	bool able, there;

	if ((text = switch_ask(s, "-bV", NULL)) == NULL)
		return EXIT_UNTESTED;
	able = bv_supports(text, "GnuTLS") && bv_supports(text, "Event") &&
	    bv_supports(text, "Expand_dlfunc");
	there = bv_file(text, file);
	free(text);
	if (!there)
		file[0] = '\0';
	debian_look(&d, deb, file);
	doctor_free(&d);
	if (!able)
		return cli_error(s->c,
		    "this Exim cannot use exim.so: want exim4-daemon-heavy");
	if (!deb->made)
		return cli_error(s->c,
		    "%s is not what update-exim4.conf makes: refused; " BY_HAND,
		    file);
	if ((text = switch_ask(s, "-bP", "router_list")) == NULL)
		return EXIT_UNTESTED;
	there = strstr(text, "danevirke") != NULL;
	free(text);
	return there ? cli_error(s->c,
			   "its routers have Danevirke already; danevirke "
			   "doctor exim says how it is") :
		       0;
}

int
switch_exim(struct switching *s)
{
	bool hop, by_name, passwords;
	struct debian deb;
	char name[256];

	if (switch_known(s, &deb) != 0)
		return EXIT_UNTESTED;
	hop = strcmp(deb.type, "smarthost") == 0 ||
	    strcmp(deb.type, "satellite") == 0;
	if (!hop && strcmp(deb.type, "internet") != 0)
		return cli_error(s->c,
		    "the kind \"%s\" sends no mail: dpkg-reconfigure "
		    "exim4-config first",
		    deb.type);
	passwords = hop && debian_passwords(&by_name, name);
	return deb.split ? switch_split(s, passwords) :
			   switch_unsplit(s, hop, passwords);
}

int
switch_exim_try(struct switching *s)
{
	const char *const argv[] = { UPDATE, NULL };
	struct program p;
	int rc = program_run(argv, SECONDS, &p);
	bool good = rc == 0 && p.status == 0;

	if (!good)
		cli_error(s->c, UPDATE ": %.600s",
		    p.text == NULL ? strerror(errno) : p.text);
	free(p.text);
	return good ? 0 : EXIT_UNTESTED;
}

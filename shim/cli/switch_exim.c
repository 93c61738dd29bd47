/* SPDX-License-Identifier: ISC */
/* Debian's Exim: the lines, where update-exim4.conf looks for them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* The three ways to send, and the lines of each. */
enum switch_way { WAY_DIRECT, WAY_HOP, WAY_RELAYED };
#define INCLUDE(file) ".include " EXIMDIR "/" file "\n"
static const struct switch_line ways[][4] = {
	{ { "dnslookup_relay_to_domains:", INCLUDE("danevirke-routers"),
	      false },
	    { "begin transports", INCLUDE("danevirke-transports"), true },
	    { NULL, NULL, false } },
	{ { "smarthost:", INCLUDE("danevirke-smarthost-routers"), false },
	    { "begin transports", INCLUDE("danevirke-smarthost-transports"),
		true },
	    { NULL, NULL, false } },
	{ { "dnslookup_relay_to_domains:", INCLUDE("danevirked-routers"),
	      false },
	    { "begin transports", INCLUDE("danevirked-transports"), true },
	    { "begin retry", INCLUDE("danevirked-retry"), true },
	    { NULL, NULL, false } },
};
/* Where a split configuration has them. */
static const char *const places[] = { "router/190_danevirke",
	"transport/40_danevirke", "retry/29_danevirke" };

/* A file of ours, where none may be.  It is right for the kinds, too, that
 * dpkg-reconfigure can make of this one. */
static int
switch_place(struct switching *s, enum switch_way way, size_t i)
{
	bool relayed = way == WAY_RELAYED;
	char to[512], *text;

	snprintf(to, sizeof to, DEBIAN_ETC "/conf.d/%s", places[i]);
	if (asprintf(&text, ".ifdef DCconfig_internet\n%s.endif\n%s%s%s",
		ways[relayed ? way : WAY_DIRECT][i].text,
		relayed ? "" : ".ifdef DCconfig_smarthost DCconfig_satellite\n",
		relayed ? "" : ways[WAY_HOP][i].text,
		relayed ? "" : ".endif\n") < 0)
		text = NULL;
	if (change_add(s->c, &s->changes, to, text) != 0)
		return EXIT_UNTESTED;
	return s->changes.list[s->changes.n - 1].old == NULL ?
	    0 :
	    cli_error(s->c, "%s is there already: refused; " BY_HAND, to);
}

static int
switch_split(struct switching *s, enum switch_way way, bool passwords)
{
	char *text;
	size_t i;

	for (i = 0; ways[way][i].mark != NULL; i++)
		if (switch_place(s, way, i) != 0)
			return EXIT_UNTESTED;
	if (!passwords)
		return 0;
	if ((text = switch_passwords(change_read(AUTH))) == NULL)
		return switch_unknown(s, AUTH);
	return switch_conffile(s, AUTH, text);
}

static int
switch_unsplit(struct switching *s, enum switch_way way, bool passwords)
{
	char *text = change_read(TEMPLATE);
	size_t i;

	if (text == NULL)
		return cli_error(s->c, TEMPLATE ": %s", strerror(errno));
	for (i = 0; ways[way][i].mark != NULL; i++)
		text = switch_insert(text, &ways[way][i]);
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

/* Debian's, and without us; able: exim.so is for this Exim. */
static int
switch_known(struct switching *s, struct debian *deb, bool *able)
{
	struct doctor d = { .c = s->c };
	char *text, file[256];
	bool there;

	if ((text = switch_ask(s, "-bV", NULL)) == NULL)
		return EXIT_UNTESTED;
	*able = bv_supports(text, "GnuTLS") && bv_supports(text, "Event") &&
	    bv_supports(text, "Expand_dlfunc");
	there = bv_file(text, file);
	free(text);
	if (!there)
		file[0] = '\0';
	debian_look(&d, deb, file);
	doctor_free(&d);
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

/* 0, or EXIT_UNTESTED: there is none, and that was said. */
static int
switch_way(struct switching *s, const struct debian *deb, bool able,
    enum switch_way *way)
{
	bool hop = strcmp(deb->type, "smarthost") == 0 ||
	    strcmp(deb->type, "satellite") == 0;

	*way = hop ? WAY_HOP : WAY_DIRECT;
	if (!hop && strcmp(deb->type, "internet") != 0)
		return cli_error(s->c,
		    "the kind \"%s\" sends no mail: dpkg-reconfigure "
		    "exim4-config first",
		    deb->type);
	if (access(EXIMDIR, F_OK) != 0)
		return cli_error(s->c,
		    EXIMDIR " is not there: want the package danevirke-exim");
	if (able)
		return 0;
	if (hop)
		return cli_error(s->c,
		    "this Exim cannot use exim.so, and danevirked is not for "
		    "smarthosts: want exim4-daemon-heavy");
	if (access(SBINDIR "/danevirked", X_OK) != 0)
		return cli_error(s->c,
		    "this Exim cannot use exim.so: want exim4-daemon-heavy, or "
		    "danevirked");
	*way = WAY_RELAYED;
	return 0;
}

int
switch_exim(struct switching *s)
{
	bool able, by_name, passwords;
	enum switch_way way;
	struct debian deb;
	char name[256];

	if (switch_known(s, &deb, &able) != 0 ||
	    switch_way(s, &deb, able, &way) != 0)
		return EXIT_UNTESTED;
	passwords = way == WAY_HOP && debian_passwords(&by_name, name);
	return deb.split ? switch_split(s, way, passwords) :
			   switch_unsplit(s, way, passwords);
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

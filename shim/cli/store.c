/* SPDX-License-Identifier: ISC */
/* danevirke store: what the processes of a mail server's user remember. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "message.h"

const char usage_store[] =
    "usage: danevirke store [--user NAME] [--json] list [DOMAIN]\n"
    "       danevirke store [--user NAME] [--json] flush DOMAIN | --all\n"
    "\n"
    "Lists the validated DNS answers that a mail server's processes share, or makes\n"
    "them forget: a domain with all names below it, or everything.\n"
    "\n"
    "  --user NAME         whose store; for root, exim.user if not given\n"
    "  --all               flush everything\n"
    "  --json              one JSON object\n"
    "  --config FILE       danevirke.conf to use\n"
    "  --module FILE       danevirke.so to use\n"
    "\n"
    "Exit status: 0 done, 2 there is no store or it cannot be used.\n";

enum { O_USER = 1, O_ALL };
static const struct opt opts[] = { { O_USER, "user", OPT_ONE },
	{ O_ALL, "all", OPT_NONE }, { 0, NULL, OPT_NONE } };

struct store_line {
	char *name;
	int type;
	enum danevirke_dnssec state;
	uint32_t ttl;
	size_t len;
};

struct store_lines {
	const char *below; /* A-labels, or NULL: all */
	struct store_line *line;
	size_t n, cap;
	bool no_memory;
};

static bool
store_is_below(const char *name, const char *domain)
{
	size_t n = strlen(name), d = strlen(domain);

	return strcmp(domain, ".") == 0 || strcmp(name, domain) == 0 ||
	    (n > d && name[n - d - 1] == '.' &&
		strcmp(name + n - d, domain) == 0);
}

static void
on_entry(void *arg, const char *name, int type, enum danevirke_dnssec state,
    uint32_t ttl, size_t len)
{
	struct store_lines *l = arg;
	struct store_line *p;

	if (l->below != NULL && !store_is_below(name, l->below))
		return;
	if (l->n == l->cap) {
		l->cap = l->cap == 0 ? 256 : l->cap * 2;
		p = reallocarray(l->line, l->cap, sizeof *p);
		if (p == NULL) {
			l->no_memory = true;
			return;
		}
		l->line = p;
	}
	p = &l->line[l->n];
	if ((p->name = strdup(name)) == NULL) {
		l->no_memory = true;
		return;
	}
	p->type = type;
	p->state = state;
	p->ttl = ttl;
	p->len = len;
	l->n++;
}

static int
store_cmp(const void *va, const void *vb)
{
	const struct store_line *a = va, *b = vb;
	int c = strcmp(a->name, b->name);

	return c != 0 ? c : a->type - b->type;
}

static void
store_print(struct cli *c, const struct store_lines *l)
{
	struct json j = { 0 };
	const struct store_line *p;
	size_t octets = 0;
	char type[16];

	if (c->json) {
		json_object(&j, NULL);
		json_array(&j, "answers");
	}
	for (p = l->line; p < l->line + l->n; p++) {
		const char *state = p->state == DANEVIRKE_SECURE ? "secure" :
								   "insecure";

		octets += p->len;
		if (!c->json) {
			out_print("%s %u %s %s\n", p->name, p->ttl,
			    type_name(p->type, type), state);
			continue;
		}
		json_object(&j, NULL);
		json_string(&j, "name", p->name);
		json_string(&j, "type", type_name(p->type, type));
		json_string(&j, "state", state);
		json_int(&j, "ttl", p->ttl);
		json_int(&j, "octets", (long long)p->len);
		json_end_object(&j);
	}
	if (c->json) {
		json_end_array(&j);
		json_int(&j, "octets", (long long)octets);
		json_end_object(&j);
	} else
		out_print("%zu answers, %zu octets\n", l->n, octets);
}

static int
store_list(struct cli *c, struct danevirke *e, const char *domain)
{
	struct danevirke_error err = { 0, "" };
	struct store_lines l = { 0 };
	char ascii[256];
	int status = EXIT_GOOD;

	if (domain != NULL) {
		if (c->dv->to_ascii(domain, ascii, sizeof ascii, &err) != 0)
			return cli_error(c, "%s", err.text);
		l.below = ascii;
	}
	if (c->dv->store_list(e, on_entry, &l, &err) != 0)
		status = cli_error(c, "%s", err.text);
	else if (l.no_memory)
		status = cli_error(c, "out of memory");
	else {
		if (l.n > 1)
			qsort(l.line, l.n, sizeof *l.line, store_cmp);
		store_print(c, &l);
	}
	while (l.n > 0)
		free(l.line[--l.n].name);
	free(l.line);
	return status;
}

static int
store_clear(struct cli *c, struct danevirke *e, const char *domain)
{
	struct danevirke_error err = { 0, "" };
	struct json j = { 0 };
	size_t n = 0;

	if (c->dv->store_flush(e, domain, &n, &err) != 0)
		return cli_error(c, "%s", err.text);
	if (c->json) {
		json_object(&j, NULL);
		json_bool(&j, "all", domain == NULL);
		json_string(&j, "domain", domain);
		json_index(&j, "flushed", domain == NULL ? -1 : (long long)n);
		json_end_object(&j);
	} else if (domain == NULL)
		out_print("everything is forgotten\n");
	else
		out_print("%zu answers about %s are forgotten\n", n, domain);
	return EXIT_GOOD;
}

/* Root opens no store: it becomes the user first, for good. */
static int
store_become(struct cli *c, const char *user)
{
	struct passwd *pw;

	errno = 0;
	if ((pw = getpwnam(user)) == NULL)
		return cli_error(c, "--user %s: %s", user,
		    errno != 0 ? strerror(errno) : "no such user");
	if (geteuid() == pw->pw_uid && pw->pw_uid != 0)
		return EXIT_GOOD;
	if (pw->pw_uid == 0)
		return cli_error(
		    c, "--user %s: root has no store: want another", user);
	if (geteuid() != 0)
		return cli_error(c,
		    "--user %s: only root can look at another user's store",
		    user);
	if (setgroups(0, NULL) != 0 || setgid(pw->pw_gid) != 0 ||
	    setuid(pw->pw_uid) != 0)
		return cli_error(c, "--user %s: %s", user, strerror(errno));
	return EXIT_GOOD;
}

struct store_job {
	const char *word[2]; /* what to do, and a domain */
	size_t n_word;
	const char *user;
	bool all;
};

static int
store_run(struct cli *c, void *arg)
{
	const struct store_job *job = arg;
	const char *verb = job->word[0], *domain = job->word[1];
	const char *user = job->user;
	struct danevirke *e;
	int status;

	if (verb == NULL ||
	    (strcmp(verb, "list") != 0 && strcmp(verb, "flush") != 0))
		return cli_error(c, "%s%swant list or flush",
		    verb != NULL ? verb : "", verb != NULL ? ": " : "");
	if (*verb == 'l' ? job->all : job->all == (domain != NULL))
		return cli_error(c, "%s",
		    *verb == 'l' ? "--all goes with flush" :
				   "flush: want a domain or --all");
	if ((e = cli_open(c, NULL)) == NULL)
		return EXIT_UNTESTED;
	if (user == NULL && geteuid() == 0)
		user = c->dv->settings(e)->exim_user;
	status = user != NULL ? store_become(c, user) : EXIT_GOOD;
	if (status == EXIT_GOOD)
		status = *verb == 'l' ? store_list(c, e, domain) :
					store_clear(c, e, domain);
	c->dv->close(e);
	return status;
}

static int
store_option(struct cli *c, void *arg, int id, const char *value)
{
	struct store_job *job = arg;

	if (id == O_USER)
		job->user = value;
	else if (id == O_ALL)
		job->all = true;
	else if (job->n_word == 2)
		return cli_error(c, "%s: one domain is enough", value);
	else
		job->word[job->n_word++] = value;
	return 0;
}

int
cmd_store(struct cli *c)
{
	struct store_job job = { .n_word = 0 };

	return opt_run(c, opts, store_option, store_run, &job);
}

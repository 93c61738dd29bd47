/* SPDX-License-Identifier: ISC */
/*
 * table-danevirke(8), the parent's front end: fd 0.
 *
 * If this process ends, all of smtpd ends; and smtpd waits for each answer
 * before it does anything else.  So nothing is done here that could wait or
 * fail: reading a configuration and relaying mail are the work of children.
 * It ends when smtpd has closed fd 0, when the first configuration cannot be
 * used, or when what comes from fd 0 makes no sense at all (smtpd would wait
 * for its answer for ever).
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "danevirke.h"
#include "resolver.h"
#include "table.h"

static struct {
	struct parent parent;
	int protocol;          /* 'i', 'l' or 0: not known yet */
	struct request update; /* to be answered after the check, before which
				* no other request is handled */
	size_t n_in, n_out;
	uint8_t in[REQUEST_MAX], out[4 * REPLY_MAX];
} table;

/* -------------------------------------------------------------- requests */

static void
table_answer(const struct request *r, enum table_reply reply, const char *text)
{
	uint8_t *at = table.out + table.n_out;

	/* there is room: see table_requests() */
	table.n_out += table.protocol == 'i' ? imsg_reply(r, reply, text, at) :
					       line_reply(r, reply, text, at);
}

static void
table_lookup(const struct request *r)
{
	char domain[DOMAIN_LEN], addr[ADDRESS_LEN], url[64];
	const char *why;
	struct alias *a;

	if (!alias_domain(r->key, domain, &why)) {
		log_line(LOG_WARNING, "\"%s\": %s", r->key, why);
		table_answer(
		    r, r->op == REQUEST_CHECK ? REPLY_NO : REPLY_ERROR, why);
		return;
	}
	if (r->op == REQUEST_CHECK) {
		table_answer(r, REPLY_YES, "");
		return;
	}
	if ((a = address_of(&table.parent.relays, domain, table.parent.now)) ==
	    NULL) {
		table_answer(r, REPLY_ERROR, "no address is free, see the log");
		return;
	}
	address_text(a->addr, addr);
	snprintf(url, sizeof url, "smtp+notls://%s:%u", addr,
	    table.parent.relays.conf.port);
	table_answer(r, REPLY_YES, url);
}

static void
table_handle(const struct request *r)
{
	static const char want[] =
	    "want \"relay domain <TABLE>\" and nothing else for this table";

	if (r->why != NULL)
		log_line(LOG_WARNING, "%s", r->why);
	switch (r->op) {
	case REQUEST_NONE:
		break;
	case REQUEST_CLOSE:
		parent_quit(&table.parent, 0);
	case REQUEST_BAD:
		table_answer(r, REPLY_ERROR, r->why);
		break;
	case REQUEST_OPEN:
		table_answer(r, REPLY_YES, "");
		break;
	case REQUEST_UPDATE:
		table.update = *r;
		parent_check(&table.parent);
		break;
	case REQUEST_LOOKUP:
	case REQUEST_CHECK:
		if (r->relayhost) {
			table_lookup(r);
			break;
		}
		/* FALLTHROUGH */
	case REQUEST_FETCH:
		log_line(LOG_ERR, "%s", want);
		table_answer(r, REPLY_ERROR, want);
		break;
	}
}

/* As many as have come whole, while there is room for the replies. */
static void
table_requests(void)
{
	struct request r;
	size_t at = 0;
	ssize_t n;
	int p;

	if (table.protocol == 0) {
		if ((p = protocol_guess(table.in, table.n_in)) == 0)
			return;
		if (p == -1)
			parent_refuse(&table.parent,
			    "fd 0: neither of smtpd's table protocols");
		table.protocol = p;
	}
	while (!table.parent.checking &&
	    sizeof table.out - table.n_out >= REPLY_MAX) {
		n = table.protocol == 'i' ?
		    imsg_parse(table.in + at, table.n_in - at, &r) :
		    line_parse(table.in + at, table.n_in - at, &r);
		if (n == -1)
			parent_refuse(&table.parent, "fd 0: %s", r.why);
		if (n == 0)
			break;
		at += (size_t)n;
		table_handle(&r);
	}
	memmove(table.in, table.in + at, table.n_in - at);
	table.n_in -= at;
}

/* A whole request fits: there is always room unless one is waiting. */
static void
table_read(void)
{
	ssize_t n = read(
	    0, table.in + table.n_in, sizeof table.in - table.n_in);

	if (n > 0)
		table.n_in += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		parent_quit(&table.parent, 0); /* smtpd has gone */
}

static void
table_write(void)
{
	ssize_t n = write(0, table.out, table.n_out);

	if (n > 0) {
		table.n_out -= (size_t)n;
		memmove(table.out, table.out + n, table.n_out);
	} else if (n == -1 && errno != EAGAIN && errno != EINTR)
		parent_quit(&table.parent, 0);
}

/* ---------------------------------------------------------- configuration */

/* Who may use the relay unless relay.user says it. */
static const char *const users[] = { "opensmtpd", NULL };

/* smtpd runs us as the user that it connects as.  Without such a user, the
 * relay serves its own; root (a test) can become the one it wants. */
static bool
table_fits(const struct danevirke_settings *t, struct checked *c)
{
	size_t i;

	c->n_users = (uint32_t)guard_users(t, users, c->users);
	for (i = 0; i < c->n_users; i++)
		if (c->users[i] == geteuid())
			return true;
	if (c->n_users == 0 || geteuid() == 0)
		return true;
	snprintf(c->text, sizeof c->text,
	    "relay.user: \"%s\": smtpd runs as uid %ld, which could not use "
	    "the relay",
	    t->relay_user, (long)geteuid());
	return false;
}

static void
table_updated(const char *why)
{
	table_answer(&table.update, why == NULL ? REPLY_YES : REPLY_ERROR,
	    why == NULL ? "" : why);
}

static const struct front front = {
	.fits = table_fits, .updated = table_updated, .users = users
};

/* ------------------------------------------------------------------ start */

static void
table_wait(void)
{
	struct pollfd p[PARENT_FDS + 1] = { [PARENT_FDS] = { .fd = 0 } };
	const struct pollfd *smtpd = &p[PARENT_FDS];

	if (!table.parent.checking && table.n_in < sizeof table.in)
		p[PARENT_FDS].events |= POLLIN;
	if (table.n_out > 0)
		p[PARENT_FDS].events |= POLLOUT;
	parent_wait(&table.parent, p, PARENT_FDS + 1, UINT64_MAX);
	if (smtpd->revents & POLLOUT)
		table_write();
	if (smtpd->revents & POLLIN)
		table_read();
	else if (smtpd->revents & (POLLHUP | POLLERR | POLLNVAL))
		parent_quit(&table.parent, 0);
}

static int
table_usage(FILE *f)
{
	fprintf(f,
	    "smtpd starts this program for lines of smtpd.conf like\n"
	    "\ttable dane danevirke:" SYSCONFDIR "/danevirke.conf\n"
	    "\taction \"outbound\" relay domain <dane>\n"
	    "See table-danevirke(8).  -V prints the version.\n");
	return f == stdout ? 0 : 2;
}

/* argv, as smtpd gives it: the name of the table, and a configuration */
int
main(int argc, char **argv)
{
	struct stat st;

	resolver_main(argc, argv);
	if (argc == 5 && strcmp(argv[1], "-r") == 0)
		relay_main(argv, &front);
	if (argc == 2 && strcmp(argv[1], "-V") == 0) {
		puts("table-danevirke " PACKAGE_VERSION);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "-h") == 0)
		return table_usage(stdout);
	if (argc < 1 || argc > 2 || fstat(0, &st) == -1 ||
	    !S_ISSOCK(st.st_mode))
		return table_usage(stderr);
	fcntl(0, F_SETFL, O_RDWR | O_NONBLOCK);
	parent_open(&table.parent, &front, "table-danevirke",
	    argc == 2 ? argv[1] : SYSCONFDIR "/danevirke.conf");
	for (;;) {
		if (table.parent.serving)
			table_requests();
		table_wait();
	}
}

/* SPDX-License-Identifier: ISC */
/*
 * table-danevirke(8), the parent: fd 0, the table of aliases and the poll loop.
 *
 * If this process ends, all of smtpd ends; and smtpd waits for each answer
 * before it does anything else.  So nothing is done here that could wait or
 * fail: reading a configuration and relaying mail are the work of children.
 * It ends when smtpd has closed fd 0, when the first configuration cannot be
 * used, or when what comes from fd 0 makes no sense at all (smtpd would wait
 * for its answer for ever).
 */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "resolver.h"
#include "table.h"

static struct {
	struct relays relays;
	int protocol; /* 'i', 'l' or 0: not known yet */
	bool serving; /* the first configuration is read */
	uint64_t now; /* seconds of CLOCK_MONOTONIC, of this turn */

	bool checking;         /* then no request is handled: first other
				* is read, then next gets ready */
	pid_t checker;         /* 0: has ended */
	uint64_t check_ends;   /* at the latest */
	struct checked next;   /* what the next relay is started with */
	struct request update; /* to be answered after the check */

	size_t n_in, n_out;
	uint8_t in[REQUEST_MAX], out[4 * REPLY_MAX];
} table;

static void __attribute__((noreturn)) table_quit(int status)
{
	relays_kill(&table.relays);
	if (table.checker != 0)
		kill(table.checker, SIGKILL);
	exit(status);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
table_refuse(const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_line(LOG_ERR, "%s", text);
	fprintf(stderr, "table-danevirke: %s\n", text);
	table_quit(1);
}

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
		log_line(LOG_WARNING, "%s: %s", r->key, why);
		table_answer(
		    r, r->op == REQUEST_CHECK ? REPLY_NO : REPLY_ERROR, why);
		return;
	}
	if (r->op == REQUEST_CHECK) {
		table_answer(r, REPLY_YES, "");
		return;
	}
	if ((a = address_of(&table.relays, domain, table.now)) == NULL) {
		table_answer(r, REPLY_ERROR, "no address is free, see the log");
		return;
	}
	address_text(a->addr, addr);
	snprintf(url, sizeof url, "smtp+notls://%s:%u", addr,
	    table.relays.conf.port);
	table_answer(r, REPLY_YES, url);
}

static void table_check(void);

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
		table_quit(0);
	case REQUEST_BAD:
		table_answer(r, REPLY_ERROR, r->why);
		break;
	case REQUEST_OPEN:
		table_answer(r, REPLY_YES, "");
		break;
	case REQUEST_UPDATE:
		table.update = *r;
		table_check();
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
			table_refuse(
			    "fd 0: neither of smtpd's table protocols");
		table.protocol = p;
	}
	while (!table.checking && sizeof table.out - table.n_out >= REPLY_MAX) {
		n = table.protocol == 'i' ?
		    imsg_parse(table.in + at, table.n_in - at, &r) :
		    line_parse(table.in + at, table.n_in - at, &r);
		if (n == -1)
			table_refuse("fd 0: %s", r.why);
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
		table_quit(0); /* smtpd has gone */
}

static void
table_write(void)
{
	ssize_t n = write(0, table.out, table.n_out);

	if (n > 0) {
		table.n_out -= (size_t)n;
		memmove(table.out, table.out + n, table.n_out);
	} else if (n == -1 && errno != EAGAIN && errno != EINTR)
		table_quit(0);
}

/* ---------------------------------------------------------- configuration */

/* Afterwards a check is under way, or it has failed and that is handled. */
static void table_check_failed(const char *why);

static void
table_check(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1) {
		table_check_failed(strerror(errno));
		return;
	}
	table.relays.other = fds[0];
	table.check_ends = table.now + CHECK_TIMEOUT;
	if ((table.checker = fork()) == 0) {
		child_enter(&table.relays);
		check_run(table.relays.config, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	table.checking = table.checker != -1;
	if (table.checker == -1) {
		table.checker = 0;
		close(fds[0]);
		table.relays.other = -1;
		table_check_failed(strerror(errno));
	}
}

static void
table_check_failed(const char *why)
{
	if (!table.serving)
		table_refuse("not started: %s", why);
	log_line(LOG_ERR, "%s: not taken over, the old configuration stays: %s",
	    table.relays.config, why);
	table_answer(&table.update, REPLY_ERROR, why);
}

/* The first configuration, or a new one that a relay is ready to work by. */
static bool
table_take(const struct checked *c)
{
	struct checked *old = &table.relays.conf;
	char why[200];

	if (!table.serving && !addresses_open(&table.relays, c)) {
		table_check_failed(strerror(errno));
		return false;
	}
	if (!addresses_range(&table.relays, c, table.now, why, sizeof why)) {
		table_check_failed(why);
		return false;
	}
	if (table.serving && !relays_swap(&table.relays, table.now)) {
		addresses_range(&table.relays, old, table.now, why, sizeof why);
		table_check_failed("the relay is busy: try again");
		return false;
	}
	addresses_settle(&table.relays, table.now);
	*old = *c;
	log_open(c);
	return true;
}

static void
table_end_prepare(void)
{
	int n = relays_ready(&table.relays);

	if (n == 0 && table.now < table.check_ends)
		return;
	table.checking = false;
	if (n != 1)
		table_check_failed(n == 0 ?
			"the new relay is not ready in time" :
			"the new relay has ended, see the log");
	else if (table_take(&table.next)) {
		log_line(LOG_NOTICE, "%s: taken over", table.relays.config);
		relays_renew(&table.relays);
		table_answer(&table.update, REPLY_YES, "");
	}
	relays_abandon(&table.relays);
}

static void
table_check_passed(struct checked *c)
{
	c->max = address_limit(c);
	if (!table.serving) {
		table.serving = table_take(c);
		return;
	}
	table.next = *c;
	table.check_ends = table.now + CHECK_TIMEOUT;
	table.checking = relays_prepare(&table.relays, c, table.now);
	if (!table.checking)
		table_check_failed("no new relay, see the log");
}

static void
table_end_check(void)
{
	struct checked c;
	ssize_t n = read(table.relays.other, &c, sizeof c);

	if (n == -1 && (errno == EAGAIN || errno == EINTR) &&
	    table.now < table.check_ends)
		return;
	close(table.relays.other);
	table.relays.other = -1;
	if (table.checker != 0)
		kill(table.checker, SIGKILL);
	table.checking = false;
	c.text[sizeof c.text - 1] = '\0';
	if (n != (ssize_t)sizeof c)
		table_check_failed(n == -1 ?
			"the check has not ended in time" :
			"the check has ended without a result");
	else if (!check_sane(&c))
		table_check_failed(
		    c.ok == 0 ? c.text : "the check is not sane");
	else
		table_check_passed(&c);
}

/* ---------------------------------------------------------------- the loop */

static void
table_on_child(int sig)
{
	(void)sig; /* it ends ppoll() */
}

static void
table_bury(void)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == table.checker)
			table.checker = 0;
		else
			relays_ended(&table.relays, pid, status, table.now);
}

static uint64_t
table_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

static void
table_wait(const sigset_t *mask)
{
	struct pollfd p[4] = { { .fd = 0 }, { .fd = -1 }, { .fd = -1 },
		{ .fd = table.relays.held, .events = POLLIN } };
	uint64_t next = table.serving ? relays_next(&table.relays) : UINT64_MAX;
	struct timespec t = { 0 };

	if (!table.checking && table.n_in < sizeof table.in)
		p[0].events |= POLLIN;
	if (table.n_out > 0)
		p[0].events |= POLLOUT;
	if (table.relays.untold > 0) {
		p[1].fd = table.relays.now.control;
		p[1].events = POLLOUT;
	}
	if (table.checking) {
		/* next is still there: see table_end_prepare() */
		p[2].fd = table.relays.other != -1 ? table.relays.other :
						     table.relays.next.control;
		p[2].events = POLLIN;
		if (table.check_ends < next)
			next = table.check_ends;
	}
	if (table.now < table.relays.wake) {
		p[3].fd = -1;
		if (table.relays.wake < next)
			next = table.relays.wake;
	}
	if (next != UINT64_MAX && next > table.now)
		t.tv_sec = (time_t)(next - table.now);
	if (ppoll(p, 4, next != UINT64_MAX ? &t : NULL, mask) == -1)
		memset(p, 0, sizeof p); /* EINTR; ENOMEM passes */
	table.now = table_clock();
	table_bury();
	if (p[0].revents & POLLOUT)
		table_write();
	if (p[0].revents & POLLIN)
		table_read();
	else if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		table_quit(0);
	if (p[1].revents != 0 && table.relays.untold > 0)
		relays_tell(&table.relays);
	if (p[3].revents != 0)
		addresses_wake(&table.relays, table.now);
	if (!table.checking)
		return;
	if (table.relays.other == -1)
		table_end_prepare();
	else if (p[2].revents != 0 || table.now >= table.check_ends)
		table_end_check();
}

static void
table_set_up(void)
{
	struct sigaction sa = { .sa_handler = table_on_child,
		.sa_flags = SA_NOCLDSTOP };
	static const int ignored[] = { SIGHUP, SIGINT, SIGPIPE, SIGTERM,
		SIGUSR1 };
	struct rlimit l;
	size_t i;
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) != -1 && fd <= 2)
		continue;
	if (fd > 2)
		close(fd);
	for (i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	sigaction(SIGCHLD, &sa, NULL);
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
	fcntl(0, F_SETFL, O_RDWR | O_NONBLOCK);
	table.relays.held = table.relays.other = table.relays.exe = -1;
#ifdef __linux__
	table.relays.exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
#endif
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

int
main(int argc, char **argv)
{
	static const struct checked first = { .facility = LOG_MAIL,
		.level = LOG_INFO };
	struct stat st;
	sigset_t chld, old;

	resolver_main(argc, argv);
	if (argc == 5 && strcmp(argv[1], "-r") == 0)
		relay_main(argv);
	if (argc == 2 && strcmp(argv[1], "-V") == 0) {
		puts("table-danevirke " PACKAGE_VERSION);
		return 0;
	}
	if (argc == 2 && strcmp(argv[1], "-h") == 0)
		return table_usage(stdout);
	if (argc < 1 || argc > 2 || fstat(0, &st) == -1 ||
	    !S_ISSOCK(st.st_mode))
		return table_usage(stderr);
	table_set_up();
	log_open(&first);
	table.relays.table = argv[0];
	table.relays.config = argc == 2 ? argv[1] :
					  SYSCONFDIR "/danevirke.conf";
	if (*table.relays.config != '/')
		table_refuse(
		    "not started: table %s: \"%s\": want the absolute path "
		    "of a configuration",
		    argv[0], table.relays.config);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &old);
	sigdelset(&old, SIGCHLD);
	table.now = table_clock();
	table_check();
	for (;;) {
		if (table.serving) {
			relays_tick(&table.relays, table.now);
			table_requests();
		}
		table_wait(&old);
	}
}

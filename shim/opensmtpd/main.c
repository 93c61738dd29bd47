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
} s;

static void __attribute__((noreturn)) quit(int status)
{
	relays_kill(&s.relays);
	if (s.checker != 0)
		kill(s.checker, SIGKILL);
	exit(status);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
refuse(const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	say(LOG_ERR, "%s", text);
	fprintf(stderr, "table-danevirke: %s\n", text);
	quit(1);
}

/* -------------------------------------------------------------- requests */

static void
answer(const struct request *r, enum table_reply reply, const char *text)
{
	uint8_t *at = s.out + s.n_out;

	/* there is room: see requests() */
	s.n_out += s.protocol == 'i' ? imsg_reply(r, reply, text, at) :
				       line_reply(r, reply, text, at);
}

static void
lookup(const struct request *r)
{
	char domain[DOMAIN_LEN], addr[ADDRESS_LEN], url[64];
	const char *why;
	struct alias *a;

	if (!alias_domain(r->key, domain, &why)) {
		say(LOG_WARNING, "%s: %s", r->key, why);
		answer(r, r->op == REQUEST_CHECK ? REPLY_NO : REPLY_ERROR, why);
		return;
	}
	if (r->op == REQUEST_CHECK) {
		answer(r, REPLY_YES, "");
		return;
	}
	if ((a = address_of(&s.relays, domain, s.now)) == NULL) {
		answer(r, REPLY_ERROR, "no address is free, see the log");
		return;
	}
	address_text(a->addr, addr);
	snprintf(
	    url, sizeof url, "smtp+notls://%s:%u", addr, s.relays.conf.port);
	answer(r, REPLY_YES, url);
}

static void start_check(void);

static void
handle(const struct request *r)
{
	static const char want[] = "want \"relay domain <TABLE>\" and nothing "
				   "else for this table";

	if (r->why != NULL)
		say(LOG_WARNING, "%s", r->why);
	switch (r->op) {
	case REQUEST_NONE:
		break;
	case REQUEST_CLOSE:
		quit(0);
	case REQUEST_BAD:
		answer(r, REPLY_ERROR, r->why);
		break;
	case REQUEST_OPEN:
		answer(r, REPLY_YES, "");
		break;
	case REQUEST_UPDATE:
		s.update = *r;
		start_check();
		break;
	case REQUEST_LOOKUP:
	case REQUEST_CHECK:
		if (r->relayhost) {
			lookup(r);
			break;
		}
		/* FALLTHROUGH */
	case REQUEST_FETCH:
		say(LOG_ERR, "%s", want);
		answer(r, REPLY_ERROR, want);
		break;
	}
}

/* As many as have come whole, while there is room for the replies. */
static void
requests(void)
{
	struct request r;
	size_t at = 0;
	ssize_t n;
	int p;

	if (s.protocol == 0) {
		if ((p = protocol_guess(s.in, s.n_in)) == 0)
			return;
		if (p == -1)
			refuse("fd 0: neither of smtpd's table protocols");
		s.protocol = p;
	}
	while (!s.checking && sizeof s.out - s.n_out >= REPLY_MAX) {
		n = s.protocol == 'i' ? imsg_parse(s.in + at, s.n_in - at, &r) :
					line_parse(s.in + at, s.n_in - at, &r);
		if (n == -1)
			refuse("fd 0: %s", r.why);
		if (n == 0)
			break;
		at += (size_t)n;
		handle(&r);
	}
	memmove(s.in, s.in + at, s.n_in - at);
	s.n_in -= at;
}

/* A whole request fits: there is always room unless one is waiting. */
static void
read_requests(void)
{
	ssize_t n = read(0, s.in + s.n_in, sizeof s.in - s.n_in);

	if (n > 0)
		s.n_in += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		quit(0); /* smtpd has gone */
}

static void
write_replies(void)
{
	ssize_t n = write(0, s.out, s.n_out);

	if (n > 0) {
		s.n_out -= (size_t)n;
		memmove(s.out, s.out + n, s.n_out);
	} else if (n == -1 && errno != EAGAIN && errno != EINTR)
		quit(0);
}

/* ---------------------------------------------------------- configuration */

/* Afterwards a check is under way, or it has failed and that is handled. */
static void check_failed(const char *why);

static void
start_check(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1) {
		check_failed(strerror(errno));
		return;
	}
	s.relays.other = fds[0];
	s.check_ends = s.now + CHECK_TIMEOUT;
	if ((s.checker = fork()) == 0) {
		child_enter(&s.relays);
		check_run(s.relays.config, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	s.checking = s.checker != -1;
	if (s.checker == -1) {
		s.checker = 0;
		close(fds[0]);
		s.relays.other = -1;
		check_failed(strerror(errno));
	}
}

static void
check_failed(const char *why)
{
	if (!s.serving)
		refuse("not started: %s", why);
	say(LOG_ERR, "%s: not taken over, the old configuration stays: %s",
	    s.relays.config, why);
	answer(&s.update, REPLY_ERROR, why);
}

/* The first configuration, or a new one that a relay is ready to work by. */
static bool
take(const struct checked *c)
{
	struct checked *old = &s.relays.conf;
	char why[200];

	if (!s.serving && !addresses_open(&s.relays, c)) {
		check_failed(strerror(errno));
		return false;
	}
	if (!addresses_range(&s.relays, c, s.now, why, sizeof why)) {
		check_failed(why);
		return false;
	}
	if (s.serving && !relays_swap(&s.relays, s.now)) {
		addresses_range(&s.relays, old, s.now, why, sizeof why);
		check_failed("the relay is busy: try again");
		return false;
	}
	addresses_settle(&s.relays, s.now);
	*old = *c;
	say_open(c);
	return true;
}

static void
end_prepare(void)
{
	int n = relays_ready(&s.relays);

	if (n == 0 && s.now < s.check_ends)
		return;
	s.checking = false;
	if (n != 1)
		check_failed(n == 0 ? "the new relay is not ready in time" :
				      "the new relay has ended, see the log");
	else if (take(&s.next)) {
		say(LOG_NOTICE, "%s: taken over", s.relays.config);
		relays_renew(&s.relays);
		answer(&s.update, REPLY_YES, "");
	}
	relays_abandon(&s.relays);
}

static void
check_passed(struct checked *c)
{
	c->max = address_limit(c);
	if (!s.serving) {
		s.serving = take(c);
		return;
	}
	s.next = *c;
	s.check_ends = s.now + CHECK_TIMEOUT;
	s.checking = relays_prepare(&s.relays, c, s.now);
	if (!s.checking)
		check_failed("no new relay, see the log");
}

static void
end_check(void)
{
	struct checked c;
	ssize_t n = read(s.relays.other, &c, sizeof c);

	if (n == -1 && (errno == EAGAIN || errno == EINTR) &&
	    s.now < s.check_ends)
		return;
	close(s.relays.other);
	s.relays.other = -1;
	if (s.checker != 0)
		kill(s.checker, SIGKILL);
	s.checking = false;
	c.text[sizeof c.text - 1] = '\0';
	if (n != (ssize_t)sizeof c)
		check_failed(n == -1 ? "the check has not ended in time" :
				       "the check has ended without a result");
	else if (!check_sane(&c))
		check_failed(c.ok == 0 ? c.text : "the check is not sane");
	else
		check_passed(&c);
}

/* ---------------------------------------------------------------- the loop */

static void
on_child(int sig)
{
	(void)sig; /* it ends ppoll() */
}

static void
bury(void)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == s.checker)
			s.checker = 0;
		else
			relays_ended(&s.relays, pid, status, s.now);
}

static uint64_t
clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

static void
wait_for_something(const sigset_t *mask)
{
	struct pollfd p[4] = { { .fd = 0 }, { .fd = -1 }, { .fd = -1 },
		{ .fd = s.relays.held, .events = POLLIN } };
	uint64_t next = s.serving ? relays_next(&s.relays) : UINT64_MAX;
	struct timespec t = { 0 };

	if (!s.checking && s.n_in < sizeof s.in)
		p[0].events |= POLLIN;
	if (s.n_out > 0)
		p[0].events |= POLLOUT;
	if (s.relays.untold > 0) {
		p[1].fd = s.relays.now.control;
		p[1].events = POLLOUT;
	}
	if (s.checking) {
		/* next is still there: see end_prepare() */
		p[2].fd = s.relays.other != -1 ? s.relays.other :
						 s.relays.next.control;
		p[2].events = POLLIN;
		if (s.check_ends < next)
			next = s.check_ends;
	}
	if (s.now < s.relays.wake) {
		p[3].fd = -1;
		if (s.relays.wake < next)
			next = s.relays.wake;
	}
	if (next != UINT64_MAX && next > s.now)
		t.tv_sec = (time_t)(next - s.now);
	if (ppoll(p, 4, next != UINT64_MAX ? &t : NULL, mask) == -1)
		memset(p, 0, sizeof p); /* EINTR; ENOMEM passes */
	s.now = clock_now();
	bury();
	if (p[0].revents & POLLOUT)
		write_replies();
	if (p[0].revents & POLLIN)
		read_requests();
	else if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
		quit(0);
	if (p[1].revents != 0 && s.relays.untold > 0)
		relays_tell(&s.relays);
	if (p[3].revents != 0)
		addresses_wake(&s.relays, s.now);
	if (!s.checking)
		return;
	if (s.relays.other == -1)
		end_prepare();
	else if (p[2].revents != 0 || s.now >= s.check_ends)
		end_check();
}

static void
set_up(void)
{
	struct sigaction sa = { .sa_handler = on_child,
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
	s.relays.held = s.relays.other = s.relays.exe = -1;
#ifdef __linux__
	s.relays.exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
#endif
}

static int
usage(FILE *f)
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
		return usage(stdout);
	if (argc < 1 || argc > 2 || fstat(0, &st) == -1 ||
	    !S_ISSOCK(st.st_mode))
		return usage(stderr);
	set_up();
	say_open(&first);
	s.relays.table = argv[0];
	s.relays.config = argc == 2 ? argv[1] : SYSCONFDIR "/danevirke.conf";
	if (*s.relays.config != '/')
		refuse("not started: table %s: \"%s\": want the absolute path "
		       "of a configuration",
		    argv[0], s.relays.config);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &old);
	sigdelset(&old, SIGCHLD);
	s.now = clock_now();
	start_check();
	for (;;) {
		if (s.serving) {
			relays_tick(&s.relays, s.now);
			requests();
		}
		wait_for_something(&old);
	}
}

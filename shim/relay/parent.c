/* SPDX-License-Identifier: ISC */
/*
 * The parent, whatever its front end: the configuration, the relay children
 * and the poll loop.  Nothing is done here that could wait or fail: reading a
 * configuration and relaying mail are the work of children.
 */
#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

enum { FD_UNTOLD, FD_OTHER, FD_HELD }; /* the parent's own in a turn */

void
parent_quit(struct parent *p, int status)
{
	relays_kill(&p->relays);
	if (p->checker != 0)
		kill(p->checker, SIGKILL);
	exit(status);
}

void
parent_refuse(struct parent *p, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	log_line(LOG_ERR, "%s", text);
	fprintf(stderr, "%s: %s\n", p->relays.ident, text);
	parent_quit(p, 1);
}

/* ---------------------------------------------------------- configuration */

static void
parent_not_taken(struct parent *p, const char *why)
{
	if (!p->serving)
		parent_refuse(p, "not started: %s", why);
	log_line(LOG_ERR, "%s: not taken over, the old configuration stays: %s",
	    p->relays.config, why);
	p->front->updated(why);
}

void
parent_check(struct parent *p)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) == -1) {
		parent_not_taken(p, strerror(errno));
		return;
	}
	p->relays.other = fds[0];
	p->check_ends = p->now + CHECK_TIMEOUT;
	if ((p->checker = fork()) == 0) {
		child_enter(&p->relays);
		check_run(p->relays.config, p->front->fits, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	p->checking = p->checker != -1;
	if (p->checker == -1) {
		p->checker = 0;
		close(fds[0]);
		p->relays.other = -1;
		parent_not_taken(p, strerror(errno));
	}
}

/* The first configuration, or a new one that a relay is ready to work by. */
static bool
parent_take(struct parent *p, const struct checked *c)
{
	struct checked *old = &p->relays.conf;
	char why[200];

	if (!p->serving && p->front->begin != NULL &&
	    !p->front->begin(c, why, sizeof why)) {
		parent_not_taken(p, why);
		return false;
	}
	if (!p->serving && !addresses_open(&p->relays, c)) {
		parent_not_taken(p, strerror(errno));
		return false;
	}
	if (!addresses_range(&p->relays, c, p->now, why, sizeof why)) {
		parent_not_taken(p, why);
		return false;
	}
	if (p->serving && !relays_swap(&p->relays, p->now)) {
		addresses_range(&p->relays, old, p->now, why, sizeof why);
		parent_not_taken(p, "the relay is busy: try again");
		return false;
	}
	addresses_settle(&p->relays, p->now);
	metrics_move(&p->relays, c->metrics);
	*old = *c;
	log_open(p->relays.ident, c);
	return true;
}

static void
parent_end_prepare(struct parent *p)
{
	int n = relays_ready(&p->relays);

	if (n == 0 && p->now < p->check_ends)
		return;
	p->checking = false;
	if (n != 1)
		parent_not_taken(p,
		    n == 0 ? "the new relay is not ready in time" :
			     "the new relay has ended, see the log");
	else if (parent_take(p, &p->next)) {
		log_line(LOG_NOTICE, "%s: taken over", p->relays.config);
		relays_renew(&p->relays);
		p->front->updated(NULL);
	}
	relays_abandon(&p->relays);
}

static void
parent_check_passed(struct parent *p, struct checked *c)
{
	c->max = address_limit(c);
	if (!p->serving) {
		p->serving = parent_take(p, c);
		return;
	}
	p->next = *c;
	p->check_ends = p->now + CHECK_TIMEOUT;
	p->checking = relays_prepare(&p->relays, c, p->now);
	if (!p->checking)
		parent_not_taken(p, "no new relay, see the log");
}

static void
parent_end_check(struct parent *p)
{
	struct checked c;
	ssize_t n = read(p->relays.other, &c, sizeof c);

	if (n == -1 && (errno == EAGAIN || errno == EINTR) &&
	    p->now < p->check_ends)
		return;
	close(p->relays.other);
	p->relays.other = -1;
	if (p->checker != 0)
		kill(p->checker, SIGKILL);
	p->checking = false;
	c.text[sizeof c.text - 1] = '\0';
	if (n != (ssize_t)sizeof c)
		parent_not_taken(p,
		    n == -1 ? "the check has not ended in time" :
			      "the check has ended without a result");
	else if (!check_sane(&c))
		parent_not_taken(
		    p, c.ok == 0 ? c.text : "the check is not sane");
	else
		parent_check_passed(p, &c);
}

/* --------------------------------------------------------------- the loop */

static void
parent_bury(struct parent *p)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == p->checker)
			p->checker = 0;
		else
			relays_ended(&p->relays, pid, status, p->now);
}

static uint64_t
parent_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

/* What the parent waits for, and until when at the latest. */
static uint64_t
parent_expect(const struct parent *p, struct pollfd *fds, uint64_t next)
{
	const struct relays *r = &p->relays;
	size_t i;

	for (i = 0; i < PARENT_FDS; i++)
		fds[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
	if (r->untold > 0) {
		fds[FD_UNTOLD].fd = r->now.control;
		fds[FD_UNTOLD].events = POLLOUT;
	}
	if (p->checking) {
		/* next is still there: see parent_end_prepare() */
		fds[FD_OTHER].fd = r->other != -1 ? r->other : r->next.control;
		if (p->check_ends < next)
			next = p->check_ends;
	}
	if (p->now >= r->wake)
		fds[FD_HELD].fd = r->held;
	else if (r->wake < next)
		next = r->wake;
	if (p->serving && relays_next(r) < next)
		next = relays_next(r);
	return next;
}

void
parent_wait(struct parent *p, struct pollfd *fds, size_t n, uint64_t next)
{
	struct timespec t = { 0 };

	if (p->serving) {
		relays_tick(&p->relays, p->now);
		metrics_tick(&p->relays, p->now);
	}
	next = parent_expect(p, fds, next);
	if (next != UINT64_MAX && next > p->now)
		t.tv_sec = (time_t)(next - p->now);
	if (ppoll(fds, n, next != UINT64_MAX ? &t : NULL, &p->mask) == -1)
		for (size_t i = 0; i < n; i++) /* EINTR; ENOMEM passes */
			fds[i].revents = 0;
	p->now = parent_clock();
	parent_bury(p);
	if (fds[FD_UNTOLD].revents != 0 && p->relays.untold > 0)
		relays_tell(&p->relays);
	if (fds[FD_HELD].revents != 0)
		addresses_wake(&p->relays, p->now);
	if (!p->checking)
		return;
	if (p->relays.other == -1)
		parent_end_prepare(p);
	else if (fds[FD_OTHER].revents != 0 || p->now >= p->check_ends)
		parent_end_check(p);
}

/* ------------------------------------------------------------------ start */

static void
parent_on_child(int sig)
{
	(void)sig; /* it ends ppoll() */
}

static void
parent_signals(struct parent *p)
{
	struct sigaction sa = { .sa_handler = parent_on_child,
		.sa_flags = SA_NOCLDSTOP };
	static const int taken[] = { SIGHUP, SIGINT, SIGTERM };
	sigset_t set;
	size_t i;

	child_ignore();
	sigaction(SIGCHLD, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sa.sa_handler = p->front->on_signal;
	for (i = 0; sa.sa_handler != NULL && i < 3; i++) {
		sigaction(taken[i], &sa, NULL);
		sigaddset(&set, taken[i]);
	}
	sigprocmask(SIG_BLOCK, &set, &p->mask);
	sigdelset(&p->mask, SIGCHLD);
	for (i = 0; i < 3; i++)
		sigdelset(&p->mask, taken[i]);
}

void
parent_open(struct parent *p, const struct front *front, const char *ident,
    const char *config)
{
	static const struct checked first = { .facility = LOG_MAIL,
		.level = LOG_INFO };
	struct rlimit l;
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) != -1 && fd <= 2)
		continue;
	if (fd > 2)
		close(fd);
	p->front = front;
	parent_signals(p);
	if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
	p->relays.front = front;
	p->relays.held = p->relays.other = p->relays.exe = -1;
	p->relays.ident = ident;
	p->relays.config = config;
	p->relays.started = time(NULL);
	p->now = parent_clock();
#ifdef __linux__
	p->relays.exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
#endif
	log_open(ident, &first);
	if (*config != '/')
		parent_refuse(p,
		    "not started: \"%s\": want the absolute path of a "
		    "configuration",
		    config);
	parent_check(p);
}

/* SPDX-License-Identifier: ISC */
/*
 * What clients hear if the relay dies.  A client is told so, whatever it makes
 * of a connection that ends: each of its commands is answered with 421, and
 * one that is sending a message hears it after the message.
 *
 * A second process, danevirke-last, shares the relay's table of descriptors
 * and nothing else.  It sleeps until the relay has ended, for whatever reason.
 * From then on the table is its own, and the clients' sockets in it are open
 * still.  All others it closes at once: an upstream sees that the message has
 * no end.
 */
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "relay.h"
#include "sandbox.h"

#define LAST_MAX 360        /* seconds for clients to hear it, and go */
#define LAST_FDS (1U << 20) /* no descriptor is higher */
#define STACK 65536
#define SAY "421 4.3.2 the relay has ended: try again later\r\n"
/* RFC 5321 4.5.3.1.8: 100 recipients, and the commands around them */
#define TIMES 110

static int
last_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value :
								       -1;
}

/* A session has SO_REUSEPORT from the socket that it was accepted at, see
 * listen.c; nothing else has it that the relay opens. */
static bool
last_is_client(int fd)
{
	return last_option(fd, SO_REUSEPORT) == 1 &&
	    last_option(fd, SO_ACCEPTCONN) == 0;
}

/* Until the relay has ended. */
static void
last_wait(pid_t relay)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, relay, 0),
		.events = POLLIN };

	while (getppid() == relay)
		poll(&p, 1, p.fd == -1 ? 100 : -1);
}

/* Tells the clients, and nobody else is left.  How many they are. */
static unsigned
last_say(int epoll)
{
	static char text[TIMES * (sizeof SAY - 1)];
	struct epoll_event e = { .events = EPOLLIN };
	struct rlimit l = { .rlim_cur = RLIM_INFINITY };
	unsigned i, n = 0;
	int fd;

	for (i = 0; i < TIMES; i++)
		memcpy(text + i * (sizeof SAY - 1), SAY, sizeof SAY - 1);
	getrlimit(RLIMIT_NOFILE, &l);
	for (fd = 0; fd < (int)LAST_FDS && (rlim_t)fd < l.rlim_cur; fd++) {
		if (fd == epoll)
			continue;
		e.data.fd = fd;
		if (last_is_client(fd) &&
		    send(fd, text, sizeof text, MSG_NOSIGNAL | MSG_DONTWAIT) >
			0 &&
		    shutdown(fd, SHUT_WR) == 0 &&
		    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) == 0)
			n++;
		else
			close(fd);
	}
	return n;
}

/* What they still send is dropped, until they have gone. */
static void
last_hear(int epoll, unsigned clients)
{
	const uint64_t end = hub_now() + LAST_MAX;
	static char dropped[65536];
	struct epoll_event e;
	uint64_t now;
	ssize_t n;

	while (clients > 0 && (now = hub_now()) < end) {
		if (epoll_wait(epoll, &e, 1, (int)(end - now) * 1000) != 1)
			continue;
		n = recv(e.data.fd, dropped, sizeof dropped, MSG_DONTWAIT);
		if (n > 0 || (n == -1 && errno == EAGAIN))
			continue;
		close(e.data.fd);
		clients--;
	}
}

struct last {
	pid_t relay;
	int epoll; /* from the beginning: later there may be no place */
};

static int
last_main(void *arg)
{
	const struct last *l = arg;

	prctl(PR_SET_NAME, "danevirke-last");
	signal(SIGUSR1, SIG_IGN);
	if (sandbox_close(NULL) == -1)
		_exit(1);
	last_wait(l->relay);
	last_hear(l->epoll, last_say(l->epoll));
	_exit(0);
}

int
last_open(void)
{
	static char stack[STACK] __attribute__((aligned(16)));
	struct last l = { getpid(), epoll_create1(EPOLL_CLOEXEC) };

	/* from the middle: it may grow either way */
	if (l.epoll != -1 &&
	    clone(last_main, stack + STACK / 2, CLONE_FILES | SIGCHLD, &l) !=
		-1)
		return 0;
	log_line(LOG_ERR, "no process to tell clients of an end: %s",
	    strerror(errno));
	return -1;
}

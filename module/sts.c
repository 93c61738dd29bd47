/* SPDX-License-Identifier: ISC */
/*
 * sts.c - one question to the policy server, on the caller's loop
 *
 * The server (postfix-mta-sts-resolver, for one) has what MTA-STS needs beside
 * us: the HTTPS client, and a cache that outlives processes.  A connection for
 * each question: it is on this machine, and a server that was started anew is
 * no special case.  Whatever goes wrong is an ERROR, never "no policy" (H05).
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "module.h"

struct sts_query {
	const struct conf_sts *conf;
	struct arena *arena;
	int fd;
	struct event *writing, *reading;
	struct event *timer; /* time limit, then delivery */
	char ask[2 * NAME_LEN];
	size_t ask_len, sent;
	char reply[SOCKETMAP_MAX];
	size_t got;
	struct sts_result *result;
	bool finished; /* result is filled */
	sts_done *done;
	void *arg;
};

void
sts_cancel(struct sts_query *q)
{
	if (q == NULL)
		return;
	if (q->writing != NULL)
		event_free(q->writing);
	if (q->reading != NULL)
		event_free(q->reading);
	if (q->timer != NULL)
		event_free(q->timer);
	if (q->fd != -1)
		close(q->fd);
	free(q);
}

/* done() comes from the loop, by the timer's event. */
static void
sts_finish(struct sts_query *q)
{
	q->finished = true;
	event_del(q->reading);
	event_active(q->timer, EV_TIMEOUT, 1);
}

static void
sts_broken(struct sts_query *q, const char *what)
{
	char why[256];

	snprintf(why, sizeof why, "policy server %.120s: %.100s",
	    q->conf->server, what);
	sts_fail(q->arena, why, q->result);
	sts_finish(q);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sts_query *q = arg;
	const struct sts_result *result = q->result;
	sts_done *done = q->done;
	void *done_arg = q->arg;
	char late[64];

	(void)fd;
	(void)what;
	if (!q->finished) {
		snprintf(late, sizeof late, "no answer within %u s",
		    q->conf->timeout);
		sts_broken(q, late);
	}
	sts_cancel(q);
	done(done_arg, result);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct sts_query *q = arg;
	char why[400];
	ssize_t n;

	(void)what;
	n = recv(fd, q->reply + q->got, sizeof q->reply - q->got, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		sts_broken(q,
		    n == 0 ? "closes in place of an answer" : strerror(errno));
		return;
	}
	q->got += (size_t)n;
	if (socketmap_take(q->arena, q->reply, q->got, q->result)) {
		if (q->result->state == DANEVIRKE_MTA_STS_ERROR) {
			snprintf(why, sizeof why, "policy server %.120s: %s",
			    q->conf->server, q->result->why);
			sts_fail(q->arena, why, q->result);
		}
		sts_finish(q);
	} else if (q->got == sizeof q->reply)
		sts_broken(q, "a reply without an end");
}

/* The connection stands, or does not; then the question goes out. */
static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct sts_query *q = arg;
	socklen_t len = sizeof(int);
	int e = 0;
	ssize_t n;

	(void)what;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == -1)
		e = errno;
	n = e != 0 ?
	    -1 :
	    send(fd, q->ask + q->sent, q->ask_len - q->sent, MSG_NOSIGNAL);
	if (n == -1) {
		e = e != 0 ? e : errno;
		if (e != EAGAIN && e != EINTR) {
			event_del(q->writing);
			sts_broken(q, strerror(e));
		}
		return;
	}
	q->sent += (size_t)n;
	if (q->sent == q->ask_len) {
		event_del(q->writing);
		if (event_add(q->reading, NULL) != 0)
			sts_broken(q, "out of memory");
	}
}

/* 0 or an errno. */
static int
sts_connect(struct sts_query *q)
{
	const struct conf_sts *c = q->conf;
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_port = htons(c->port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(c->port) };
	struct sockaddr *to = (struct sockaddr *)&un;
	socklen_t len = sizeof un;

	if (c->addr.family == 4) {
		memcpy(&in.sin_addr, c->addr.ip, 4);
		to = (struct sockaddr *)&in;
		len = sizeof in;
	} else if (c->addr.family == 6) {
		memcpy(&in6.sin6_addr, c->addr.ip, 16);
		to = (struct sockaddr *)&in6;
		len = sizeof in6;
	} else
		snprintf(un.sun_path, sizeof un.sun_path, "%s", c->server);
	q->fd = socket(
	    to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (q->fd == -1)
		return errno;
	return connect(q->fd, to, len) == 0 || errno == EINPROGRESS ? 0 : errno;
}

struct sts_query *
sts_start(const struct conf_sts *conf, struct event_base *base,
    struct arena *arena, const char *domain, sts_done *done, void *arg)
{
	struct timeval limit = { conf->timeout, 0 };
	struct sts_query *q = calloc(1, sizeof *q);
	int e;

	if (q == NULL)
		return NULL;
	q->conf = conf;
	q->arena = arena;
	q->done = done;
	q->arg = arg;
	e = sts_connect(q);
	q->ask_len = socketmap_ask(conf->map, domain, q->ask, sizeof q->ask);
	q->result = arena_alloc(arena, sizeof *q->result);
	q->writing = event_new(
	    base, q->fd, EV_WRITE | EV_PERSIST, on_writable, q);
	q->reading = event_new(
	    base, q->fd, EV_READ | EV_PERSIST, on_readable, q);
	q->timer = evtimer_new(base, on_timer, q);
	if (q->result == NULL || q->writing == NULL || q->reading == NULL ||
	    q->timer == NULL || q->ask_len == 0 ||
	    evtimer_add(q->timer, &limit) != 0 ||
	    (e == 0 && event_add(q->writing, NULL) != 0)) {
		sts_cancel(q);
		return NULL;
	}
	if (e != 0)
		sts_broken(q, strerror(e));
	return q;
}

/* SPDX-License-Identifier: ISC */
/*
 * Connections of danevirke web (W06): a head of bounded length within a bounded
 * time, a reply, and the end.  Who is slow, or says nothing, holds one of a
 * bounded number of places for some seconds and costs nothing else.
 */
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "value.h"
#include "web.h"

#define HEAD_SECONDS 10  /* for all of the request */
#define REPLY_SECONDS 30 /* for all of the reply */
#define CLOSE_SECONDS 2  /* for the client to close behind it */
#define BACKLOG 256
#define SHARE 8 /* the part of all connections that one client may have */
#define TOO_LONG 431

struct conn {
	TAILQ_ENTRY(conn) entry;
	struct serve *serve;
	struct bufferevent *io;
	struct event *timer;
	struct conf_prefix peer;
	bool answered;
};

struct serve {
	const struct web *web;
	serve_answer *answer;
	void *arg;
	struct evconnlistener *listener;
	struct event *again; /* to accept, after there were no descriptors */
	TAILQ_HEAD(, conn) conns;
	size_t n_conn;
	struct request request; /* the last one: it is large */
};

static void
conn_free(struct conn *c)
{
	struct serve *s = c->serve;

	TAILQ_REMOVE(&s->conns, c, entry);
	s->n_conn--;
	if (c->timer != NULL)
		event_free(c->timer);
	if (c->io != NULL)
		bufferevent_free(c->io);
	free(c);
	if (!event_pending(s->again, EV_TIMEOUT, NULL))
		evconnlistener_enable(s->listener);
}

static void
on_timer(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_free(arg);
}

static void
conn_wait(struct conn *c, time_t seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	event_add(c->timer, &tv);
}

/* ------------------------------------------------------ request and reply */

/* Who has sent all that he will may still read. */
static void
on_event(struct bufferevent *io, short what, void *arg)
{
	struct conn *c = arg;

	if ((what & BEV_EVENT_EOF) == 0 ||
	    evbuffer_get_length(bufferevent_get_output(io)) == 0)
		conn_free(c);
}

/* Whoever closes while something is unread resets what he has written: so the
 * client closes first. */
static void
on_written(struct bufferevent *io, void *arg)
{
	struct conn *c = arg;

	if (!c->answered)
		return;
	shutdown(bufferevent_getfd(io), SHUT_WR);
	conn_wait(c, CLOSE_SECONDS);
}

static void
conn_answer(struct conn *c, int status)
{
	struct serve *s = c->serve;
	struct conf_prefix client = request_client(
	    &c->peer, s->request.forwarded, s->web->proxy, s->web->n_proxy);

	c->answered = true;
	s->answer(s->arg, status, &s->request, &client,
	    bufferevent_get_output(c->io));
	conn_wait(c, REPLY_SECONDS);
}

static void
on_read(struct bufferevent *io, void *arg)
{
	struct conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(io);
	struct evbuffer_ptr end;
	size_t len = evbuffer_get_length(in);
	const char *head;

	if (c->answered) {
		evbuffer_drain(in, len);
		return;
	}
	end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	if (end.pos >= 0)
		len = (size_t)end.pos + 4;
	else if (len < REQUEST_HEAD)
		return;
	memset(&c->serve->request, 0, sizeof c->serve->request);
	if (end.pos < 0 || len > REQUEST_HEAD)
		conn_answer(c, TOO_LONG);
	else if ((head = (const char *)evbuffer_pullup(in, (ssize_t)len)) ==
	    NULL)
		conn_free(c);
	else
		conn_answer(c, request_read(head, len, &c->serve->request));
}

/* ------------------------------------------------------------ connections */

/* A proxy has as many as it likes. */
static bool
serve_shared(const struct serve *s, const struct conf_prefix *peer)
{
	struct conf_prefix who = request_client(peer, "", NULL, 0), other;
	const struct conn *c;
	size_t n = 0;

	if (peer->family == 0 ||
	    prefix_match(
		s->web->proxy, s->web->n_proxy, peer->family, peer->ip))
		return true;
	TAILQ_FOREACH(c, &s->conns, entry) {
		other = request_client(&c->peer, "", NULL, 0);
		n += other.family == who.family &&
		    memcmp(other.ip, who.ip, sizeof who.ip) == 0;
	}
	return n < s->web->connections / SHARE;
}

static void
on_accept(
    struct evconnlistener *l, int fd, struct sockaddr *sa, int len, void *arg)
{
	struct conf_prefix peer = { 0 };
	struct serve *s = arg;
	struct conn *c;

	(void)len;
	if (value_sockaddr(sa, &peer))
		peer = request_unmapped(&peer);
	if (!serve_shared(s, &peer) || (c = calloc(1, sizeof *c)) == NULL) {
		close(fd);
		return;
	}
	c->serve = s;
	c->peer = peer;
	TAILQ_INSERT_TAIL(&s->conns, c, entry);
	if (++s->n_conn >= s->web->connections)
		evconnlistener_disable(l);
	c->timer = evtimer_new(s->web->base, on_timer, c);
	c->io = bufferevent_socket_new(s->web->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (c->io == NULL)
		close(fd);
	if (c->io == NULL || c->timer == NULL) {
		conn_free(c);
		return;
	}
	bufferevent_setcb(c->io, on_read, on_written, on_event, c);
	bufferevent_setwatermark(c->io, EV_READ, 0, REQUEST_HEAD + 1);
	bufferevent_enable(c->io, EV_READ | EV_WRITE);
	conn_wait(c, HEAD_SECONDS);
}

static void
on_again(int fd, short what, void *arg)
{
	struct serve *s = arg;

	(void)fd;
	(void)what;
	if (s->n_conn < s->web->connections)
		evconnlistener_enable(s->listener);
}

/* No descriptor, no memory: in a second, perhaps. */
static void
on_trouble(struct evconnlistener *l, void *arg)
{
	struct timeval tv = { .tv_sec = 1 };
	struct serve *s = arg;

	evconnlistener_disable(l);
	event_add(s->again, &tv);
}

/* ------------------------------------------------------------- start, end */

/* A socket that nobody listens at any more is in the way. */
static void
serve_unlink(const struct sockaddr_un *sun)
{
	struct stat st;
	int fd;

	if (lstat(sun->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode) ||
	    (fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return;
	if (connect(fd, (const struct sockaddr *)sun, sizeof *sun) == -1 &&
	    errno == ECONNREFUSED)
		unlink(sun->sun_path);
	close(fd);
}

struct serve *
serve_new(const struct web *w, serve_answer *answer, void *arg)
{
	const struct sockaddr_un *sun = (const void *)&w->addr;
	struct serve *s = calloc(1, sizeof *s);

	if (s == NULL ||
	    (s->again = evtimer_new(w->base, on_again, s)) == NULL) {
		free(s);
		cli_error(w->cli, "out of memory");
		return NULL;
	}
	s->web = w;
	s->answer = answer;
	s->arg = arg;
	TAILQ_INIT(&s->conns);
	if (w->addr.ss_family == AF_UNIX)
		serve_unlink(sun);
	s->listener = evconnlistener_new_bind(w->base, on_accept, s,
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
		(w->addr.ss_family == AF_UNIX ? 0 : LEV_OPT_REUSEABLE),
	    BACKLOG, (const struct sockaddr *)&w->addr, (int)w->addr_len);
	if (s->listener == NULL) {
		cli_error(
		    w->cli, "--listen %s: %s", w->listen, strerror(errno));
		serve_free(s);
		return NULL;
	}
	/* who may connect is settled by its directory */
	if (w->addr.ss_family == AF_UNIX)
		chmod(sun->sun_path, 0666);
	evconnlistener_set_error_cb(s->listener, on_trouble);
	return s;
}

void
serve_free(struct serve *s)
{
	const struct sockaddr_un *sun = (const void *)&s->web->addr;
	struct conn *c;

	while ((c = TAILQ_FIRST(&s->conns)) != NULL)
		conn_free(c);
	if (s->listener != NULL) {
		if (s->web->addr.ss_family == AF_UNIX)
			unlink(sun->sun_path);
		evconnlistener_free(s->listener);
	}
	event_free(s->again);
	free(s);
}

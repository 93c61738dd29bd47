/* SPDX-License-Identifier: ISC */
/* Some questions to one name server; see ask.h. */
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "ask.h"
#include "connect.h"

#define PORT 53
#define TRIES 3 /* over UDP */
#define TCP_SECONDS 5
#define TCP_MAX 65535
#define BURST 64     /* datagrams at a time */
#define UDP_MAX 4096 /* more than was asked for is cut */

static const time_t patience[TRIES] = { 1, 2, 2 }; /* seconds */

struct talk {
	struct talk_options o;
	struct ask *ask;
	size_t n;
	struct sockaddr_storage peer;
	socklen_t peer_len;
	int udp, tcp; /* -1: none */
	struct event *on_udp, *on_tcp, *timer;
	unsigned tries;
	bool heard; /* anything that is DNS */
	int error;  /* of a send(), which takes what recv() would tell */
	/* one question at a time, over a connection of its own */
	struct ask *now;
	uint8_t *buf; /* the query, then the reply; each with its length */
	size_t have, want;
	bool writing;
};

static void
tcp_close(struct talk *t)
{
	if (t->on_tcp != NULL)
		event_free(t->on_tcp);
	t->on_tcp = NULL;
	if (t->tcp != -1)
		close(t->tcp);
	t->tcp = -1;
	t->now = NULL;
}

void
talk_cancel(struct talk *t)
{
	if (t == NULL)
		return;
	tcp_close(t);
	if (t->on_udp != NULL)
		event_free(t->on_udp);
	if (t->timer != NULL)
		event_free(t->timer);
	if (t->udp != -1)
		close(t->udp);
	free(t->buf);
	free(t);
}

static size_t
talk_open(const struct talk *t)
{
	size_t i, n = 0;

	for (i = 0; i < t->n; i++)
		n += t->ask[i].state == ASK_OPEN;
	return n;
}

/* All that is open ends so. */
static void
talk_close(struct talk *t, enum ask_state state, int error)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (t->ask[i].state == ASK_OPEN) {
			t->ask[i].state = state;
			t->ask[i].error = error;
		}
}

static void
talk_end(struct talk *t)
{
	talk_done *done = t->o.done;
	void *arg = t->o.arg;

	talk_cancel(t);
	done(arg);
}

/* False: this was no reply to it. */
static bool
talk_take(struct talk *t, struct ask *a, const uint8_t *pkt, size_t len)
{
	enum message m = MESSAGE_BAD;

	if (len <= *t->o.octets)
		m = message_read(
		    t->o.arena, pkt, len, &a->name, a->type, a->id, &a->reply);
	if (m == MESSAGE_OTHER)
		return false;
	*t->o.octets -= len <= *t->o.octets ? len : *t->o.octets;
	t->heard = true;
	a->state = m == MESSAGE_READ ? ASK_REPLY : ASK_GARBAGE;
	return true;
}

/* -------------------------------------------------------------------- TCP */

static bool tcp_next(struct talk *);

/* The question's own end; then the next one, or all are over. */
static void
tcp_end(struct talk *t, enum ask_state state, int error)
{
	if (t->now->state == ASK_OPEN) {
		t->now->state = state;
		t->now->error = error;
	}
	tcp_close(t);
	if (!tcp_next(t) && talk_open(t) == 0)
		talk_end(t);
}

/* 1: all is there, 0: not yet, -1: errno. */
static int
tcp_move(struct talk *t)
{
	ssize_t n;

	while (t->have < t->want) {
		if (t->writing)
			n = send(t->tcp, t->buf + t->have, t->want - t->have,
			    MSG_NOSIGNAL);
		else
			n = recv(
			    t->tcp, t->buf + t->have, t->want - t->have, 0);
		if (n == 0)
			errno = ECONNRESET;
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0)
			return -1;
		t->have += (size_t)n;
	}
	return 1;
}

static void
on_tcp(int fd, short what, void *arg)
{
	struct talk *t = arg;
	size_t len;
	int moved;

	if (what & EV_TIMEOUT) {
		tcp_end(t, ASK_SILENCE, 0);
		return;
	}
	if ((moved = tcp_move(t)) < 0) {
		tcp_end(t, ASK_ERROR, errno);
		return;
	}
	if (moved == 0)
		return;
	if (t->writing) {
		t->writing = false;
		t->have = 0;
		t->want = 2;
		event_del(t->on_tcp);
		event_assign(
		    t->on_tcp, t->o.base, fd, EV_READ | EV_PERSIST, on_tcp, t);
		event_add(
		    t->on_tcp, &(struct timeval){ .tv_sec = TCP_SECONDS });
		return;
	}
	len = (size_t)t->buf[0] << 8 | t->buf[1];
	if (t->want == 2 && len > 0) {
		t->want += len;
		on_tcp(fd, 0, arg);
		return;
	}
	if (!talk_take(t, t->now, t->buf + 2, len))
		t->now->state = ASK_GARBAGE;
	tcp_end(t, ASK_GARBAGE, 0);
}

/* Begins with one; false: errno. */
static bool
tcp_start(struct talk *t, struct ask *a)
{
	struct timeval tv = { .tv_sec = TCP_SECONDS };

	t->now = a;
	if (t->buf == NULL && (t->buf = malloc(2 + TCP_MAX)) == NULL)
		return false;
	t->want = message_query(&a->name, a->type, a->id, t->buf + 2);
	t->buf[0] = (uint8_t)(t->want >> 8);
	t->buf[1] = (uint8_t)t->want;
	t->want += 2;
	t->have = 0;
	t->writing = true;
	t->tcp = socket(
	    t->peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->tcp == -1 ||
	    (connect(t->tcp, (struct sockaddr *)&t->peer, t->peer_len) == -1 &&
		errno != EINPROGRESS))
		return false;
	t->on_tcp = event_new(
	    t->o.base, t->tcp, EV_WRITE | EV_PERSIST, on_tcp, t);
	return t->on_tcp != NULL && event_add(t->on_tcp, &tv) == 0;
}

/* The next reply that was cut off; false: none is under way. */
static bool
tcp_next(struct talk *t)
{
	size_t i;

	if (t->now != NULL)
		return true;
	for (i = 0; i < t->n; i++) {
		struct ask *a = &t->ask[i];

		if (a->state != ASK_OPEN || !a->reply.tc)
			continue;
		if (tcp_start(t, a))
			return true;
		a->state = ASK_ERROR;
		a->error = errno;
		tcp_close(t);
	}
	return false;
}

/* -------------------------------------------------------------------- UDP */

/* Sends what is open; what waits for TCP is not. */
static void
udp_send(struct talk *t)
{
	struct timeval tv = { .tv_sec = patience[t->tries++] };
	uint8_t buf[QUERY_MAX];
	struct ask *a;
	size_t len;

	for (a = t->ask; a < t->ask + t->n; a++) {
		if (a->state != ASK_OPEN || a->reply.tc)
			continue;
		len = message_query(&a->name, a->type, a->id, buf);
		if (send(t->udp, buf, len, MSG_NOSIGNAL) == -1 &&
		    errno != EAGAIN && errno != ENOBUFS) {
			t->error = errno;
			tv.tv_sec = 0;
			break;
		}
	}
	event_add(t->timer, &tv);
}

static void
on_timer(int fd, short what, void *arg)
{
	struct talk *t = arg;
	size_t i;

	(void)fd;
	(void)what;
	if (t->error != 0)
		talk_close(t, ASK_ERROR, t->error);
	else if (t->tries < TRIES &&
	    (t->heard || t->o.silence == NULL || !t->o.silence(t->o.arg))) {
		udp_send(t);
		return;
	}
	for (i = 0; i < t->n; i++)
		if (t->ask[i].state == ASK_OPEN && !t->ask[i].reply.tc)
			t->ask[i].state = ASK_SILENCE;
	if (talk_open(t) == 0)
		talk_end(t);
}

static void
on_udp(int fd, short what, void *arg)
{
	struct talk *t = arg;
	uint8_t buf[UDP_MAX];
	unsigned burst = 0;
	ssize_t n = 0;
	size_t i;

	(void)what;
	while (burst++ < BURST && (n = recv(fd, buf, sizeof buf, 0)) >= 0)
		for (i = 0; i < t->n; i++) {
			struct ask *a = &t->ask[i];

			if (a->state != ASK_OPEN || a->reply.tc ||
			    !talk_take(t, a, buf, (size_t)n))
				continue;
			if (a->state == ASK_REPLY && a->reply.tc)
				a->state = ASK_OPEN; /* over TCP */
			break;
		}
	if (n == -1 && errno != EAGAIN && errno != EINTR)
		talk_close(t, ASK_ERROR, errno); /* nobody listens */
	if (!tcp_next(t) && talk_open(t) == 0)
		talk_end(t);
}

/* The socket; false: errno, of no use for any question. */
static bool
udp_open(struct talk *t)
{
	t->peer_len = connect_address(&t->peer, t->o.addr->family,
	    t->o.addr->ip, t->o.port == 0 ? PORT : t->o.port);
	t->udp = socket(
	    t->peer.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return t->udp != -1 &&
	    connect(t->udp, (struct sockaddr *)&t->peer, t->peer_len) == 0;
}

/* From the loop: no socket could be had for this address. */
static void
on_unreachable(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	talk_end(arg);
}

struct talk *
talk_start(const struct talk_options *o, struct ask *asks, size_t n)
{
	struct timeval now = { 0 };
	struct talk *t = calloc(1, sizeof *t);
	uint16_t first;
	size_t i;
	bool there;

	if (t == NULL)
		return NULL;
	t->o = *o;
	t->ask = asks;
	t->n = n;
	t->udp = t->tcp = -1;
	there = udp_open(t);
	if (!there && (errno == EMFILE || errno == ENFILE))
		goto err;
	if (!there)
		talk_close(t, ASK_ERROR, errno);
	t->timer = event_new(
	    o->base, -1, 0, there ? on_timer : on_unreachable, t);
	if (t->timer == NULL || gnutls_rnd(GNUTLS_RND_NONCE, &first, 2) != 0)
		goto err;
	for (i = 0; i < n; i++)
		asks[i].id = (uint16_t)(first + i * 7919);
	if (!there) {
		event_add(t->timer, &now);
		return t;
	}
	t->on_udp = event_new(o->base, t->udp, EV_READ | EV_PERSIST, on_udp, t);
	if (t->on_udp == NULL || event_add(t->on_udp, NULL) != 0)
		goto err;
	udp_send(t);
	return t;
err:
	talk_cancel(t);
	return NULL;
}

/* SPDX-License-Identifier: ISC */
/*
 * stream.c - a byte stream on a non-blocking socket, with or without TLS
 *
 * Socket events fill input and empty output, and leave what is to be told to
 * the owner as a bit in todo.  The kick event tells it, one callback at a time
 * and as the last thing it does: so the owner may free the stream in any.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "stream.h"

#define CHUNK 16384 /* one TLS record */
#define ROUNDS 8    /* records a socket event may move: others wait too */
/* S09: octets that GnuTLS may read in a socket event, of whatever they are:
 * of alerts, empty records and new keys it tells nothing */
#define TURN 65536
#define SHAKE_OCTETS (4 * 65536) /* and in a handshake as a whole */

enum { SECURED = 1, READABLE = 2, DRAINED = 4, CLOSED = 8 };

struct stream {
	const struct stream_ops *ops;
	void *arg;
	int fd;
	struct event *reader, *writer, *kick, *timer; /* timer: finishing */
	struct evbuffer *in, *out;
	gnutls_session_t tls;
	unsigned todo;
	const char *why;     /* of CLOSED */
	const char *failure; /* of SECURED */
	bool shaking;        /* in the handshake */
	size_t turn;         /* octets that may be read now */
	size_t shaken;       /* octets read in the handshake */
	size_t stuck;        /* octets in a record GnuTLS has half sent */
	bool full;           /* output is above STREAM_OUTPUT */
	bool over;           /* end of file or error: the socket is done */
	bool finishing;      /* no owner any more */
};

static void
stream_tell(struct stream *s, unsigned what)
{
	s->todo |= what;
	event_active(s->kick, 0, 0);
}

static void
stream_give_up(struct stream *s, const char *why)
{
	if (s->over)
		return;
	s->over = true;
	s->why = why;
	event_del(s->reader);
	event_del(s->writer);
	if (s->shaking) {
		s->shaking = false;
		s->failure = why;
		stream_tell(s, SECURED);
	} else
		stream_tell(s, CLOSED);
}

static void
stream_want(struct event *ev, bool on)
{
	if (on == !!event_pending(ev, EV_READ | EV_WRITE, NULL))
		return;
	if (on)
		event_add(ev, NULL);
	else
		event_del(ev);
}

/* Asks for the socket events that can move something now. */
static void
stream_update(struct stream *s)
{
	bool out;

	if (s->over)
		return;
	if (s->shaking) {
		out = gnutls_record_get_direction(s->tls) == 1;
		stream_want(s->reader, !out);
		stream_want(s->writer, out);
		return;
	}
	stream_want(s->reader,
	    !s->finishing && evbuffer_get_length(s->in) < STREAM_INPUT);
	stream_want(s->writer, s->stuck > 0 || evbuffer_get_length(s->out) > 0);
}

/* --------------------------------------------------------------- reading */

/* For GnuTLS. */
static ssize_t
stream_pull(gnutls_transport_ptr_t arg, void *buf, size_t len)
{
	struct stream *s = arg;
	ssize_t n = -1;

	errno = EAGAIN;
	if (s->shaking && s->shaken > SHAKE_OCTETS)
		errno = EMSGSIZE;
	else if (s->turn > 0)
		n = recv(s->fd, buf, len < s->turn ? len : s->turn, 0);
	if (n > 0) {
		s->turn -= (size_t)n;
		s->shaken += s->shaking ? (size_t)n : 0;
	} else if (n < 0)
		gnutls_transport_set_errno(s->tls, errno);
	return n;
}

/* Octets read, 0: not now, -1: over.  By way of the stack, so that an idle
 * stream holds no buffer. */
static ssize_t
stream_fill(struct stream *s)
{
	unsigned char buf[CHUNK];
	ssize_t n;

	if (s->tls != NULL)
		n = gnutls_record_recv(s->tls, buf, sizeof buf);
	else
		n = read(s->fd, buf, sizeof buf);
	if (n > 0) {
		if (evbuffer_add(s->in, buf, (size_t)n) == 0)
			return n;
		stream_give_up(s, "out of memory");
		return -1;
	}
	if (n == 0)
		stream_give_up(s, STREAM_CLOSED);
	else if (s->tls == NULL) {
		if (errno == EAGAIN || errno == EINTR)
			return 0;
		stream_give_up(
		    s, errno == ECONNRESET ? STREAM_CLOSED : strerror(errno));
	} else {
		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			return 0;
		/* A peer that asks for a new handshake goes without: the
		 * verdict is that of this one (S08). */
		if (n == GNUTLS_E_REHANDSHAKE || !gnutls_error_is_fatal((int)n))
			return 0;
		stream_give_up(s,
		    n == GNUTLS_E_PREMATURE_TERMINATION ||
			    n == GNUTLS_E_PULL_ERROR ?
			STREAM_CLOSED :
			gnutls_strerror((int)n));
	}
	return -1;
}

static void
stream_read(struct stream *s)
{
	bool got = false;
	ssize_t n = 1;
	int i;

	for (i = 0;
	     i < ROUNDS && n > 0 && evbuffer_get_length(s->in) < STREAM_INPUT;
	     i++) {
		n = stream_fill(s);
		if (n > 0)
			got = true;
	}
	/* What GnuTLS holds already shows in no socket event. */
	if (n > 0 && !s->over && s->tls != NULL &&
	    evbuffer_get_length(s->in) < STREAM_INPUT &&
	    gnutls_record_check_pending(s->tls) > 0)
		event_active(s->reader, EV_READ, 0);
	if (got)
		stream_tell(s, READABLE);
}

/* --------------------------------------------------------------- writing */

/* Octets sent, 0: not now, -1: over. */
static ssize_t
stream_flush(struct stream *s)
{
	size_t len = evbuffer_get_length(s->out);
	unsigned char *p;
	ssize_t n;

	if (s->tls == NULL) {
		n = evbuffer_write(s->out, s->fd);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n < 0)
			stream_give_up(s,
			    errno == EPIPE || errno == ECONNRESET ?
				STREAM_CLOSED :
				strerror(errno));
		return n;
	}
	if (s->stuck > 0) { /* the same record once more */
		n = gnutls_record_send(s->tls, NULL, 0);
		/* The peer has asked for new keys since: they went out behind
		 * the record, and GnuTLS finds nothing left to send. */
		if (n == GNUTLS_E_INVALID_REQUEST)
			n = (ssize_t)s->stuck;
	} else {
		len = len < CHUNK ? len : CHUNK;
		p = evbuffer_pullup(s->out, (ev_ssize_t)len);
		if (p == NULL) {
			stream_give_up(s, "out of memory");
			return -1;
		}
		n = gnutls_record_send(s->tls, p, len);
	}
	if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED) {
		if (s->stuck == 0)
			s->stuck = len;
		return 0;
	}
	s->stuck = 0;
	if (n < 0) {
		stream_give_up(s,
		    n == GNUTLS_E_PUSH_ERROR ? STREAM_CLOSED :
					       gnutls_strerror((int)n));
		return -1;
	}
	evbuffer_drain(s->out, (size_t)n);
	return n;
}

static void
stream_send(struct stream *s)
{
	ssize_t n = 1;
	int i;

	for (i = 0; i < ROUNDS && n > 0 &&
	     (s->stuck > 0 || evbuffer_get_length(s->out) > 0);
	     i++)
		n = stream_flush(s);
	if (s->full && evbuffer_get_length(s->out) <= STREAM_OUTPUT / 4) {
		s->full = false;
		stream_tell(s, DRAINED);
	}
}

/* ---------------------------------------------------------------- events */

/* Why it failed, for the owner. */
static const char *
stream_shake_failure(struct stream *s, int rv)
{
	if (s->shaken > SHAKE_OCTETS)
		return "the server sends too much in the handshake";
	if (rv == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return gnutls_alert_get_name(gnutls_alert_get(s->tls));
	if (rv == GNUTLS_E_PREMATURE_TERMINATION || rv == GNUTLS_E_PULL_ERROR ||
	    rv == GNUTLS_E_PUSH_ERROR)
		return STREAM_CLOSED;
	gnutls_alert_send_appropriate(s->tls, rv);
	return gnutls_strerror(rv);
}

static void
stream_shake(struct stream *s)
{
	int rv, i;

	for (i = 0; i < ROUNDS; i++) {
		rv = gnutls_handshake(s->tls);
		if (rv >= 0 || rv == GNUTLS_E_AGAIN ||
		    gnutls_error_is_fatal(rv))
			break;
	}
	if (i == ROUNDS) /* warnings: the next come in their turn */
		event_active(s->reader, EV_READ, 0);
	else if (rv >= 0) {
		s->shaking = false;
		s->failure = NULL;
		stream_tell(s, SECURED);
	} else if (rv != GNUTLS_E_AGAIN)
		stream_give_up(s, stream_shake_failure(s, rv));
}

static void
on_socket(int fd, short what, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	if (s->over)
		return;
	s->turn = TURN;
	if (s->shaking)
		stream_shake(s);
	else if (what & EV_WRITE)
		stream_send(s);
	else
		stream_read(s);
	stream_update(s);
	if (s->finishing &&
	    (s->over || (s->stuck == 0 && evbuffer_get_length(s->out) == 0)))
		stream_free(s);
}

/* One callback, as the last thing done here. */
static void
on_kick(int fd, short what, void *arg)
{
	struct stream *s = arg;
	unsigned bit = s->todo & -s->todo;

	(void)fd;
	(void)what;
	if (bit == 0 || s->finishing)
		return;
	s->todo &= ~bit;
	if (s->todo != 0)
		event_active(s->kick, 0, 0);
	switch (bit) {
	case SECURED:
		if (s->ops->secured != NULL)
			s->ops->secured(s->arg, s->failure);
		break;
	case READABLE:
		if (s->ops->readable != NULL)
			s->ops->readable(s->arg);
		break;
	case DRAINED:
		if (s->ops->drained != NULL)
			s->ops->drained(s->arg);
		break;
	case CLOSED:
		if (s->ops->closed != NULL)
			s->ops->closed(s->arg, s->why);
		break;
	}
}

static void
on_timer(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	stream_free(arg);
}

/* ------------------------------------------------------------- the owner */

struct stream *
stream_new(
    struct event_base *base, int fd, const struct stream_ops *ops, void *arg)
{
	struct stream *s = calloc(1, sizeof *s);

	if (s == NULL) {
		close(fd);
		return NULL;
	}
	s->fd = fd;
	s->ops = ops;
	s->arg = arg;
	s->in = evbuffer_new();
	s->out = evbuffer_new();
	s->reader = event_new(base, fd, EV_READ | EV_PERSIST, on_socket, s);
	s->writer = event_new(base, fd, EV_WRITE | EV_PERSIST, on_socket, s);
	s->kick = event_new(base, -1, 0, on_kick, s);
	s->timer = event_new(base, -1, 0, on_timer, s);
	if (s->in == NULL || s->out == NULL || s->reader == NULL ||
	    s->writer == NULL || s->kick == NULL || s->timer == NULL ||
	    event_add(s->reader, NULL) != 0) {
		stream_free(s);
		return NULL;
	}
	return s;
}

void
stream_set(struct stream *s, const struct stream_ops *ops, void *arg)
{
	s->ops = ops;
	s->arg = arg;
}

void
stream_free(struct stream *s)
{
	if (s == NULL)
		return;
	if (s->reader != NULL)
		event_free(s->reader);
	if (s->writer != NULL)
		event_free(s->writer);
	if (s->kick != NULL)
		event_free(s->kick);
	if (s->timer != NULL)
		event_free(s->timer);
	if (s->tls != NULL) {
		if (!s->over && !s->shaking && s->stuck == 0)
			gnutls_bye(s->tls, GNUTLS_SHUT_WR);
		gnutls_deinit(s->tls);
	}
	if (s->in != NULL)
		evbuffer_free(s->in);
	if (s->out != NULL)
		evbuffer_free(s->out);
	close(s->fd);
	free(s);
}

void
stream_finish(struct stream *s, unsigned limit)
{
	struct timeval tv = { .tv_sec = (time_t)limit };

	if (s == NULL)
		return;
	if (s->over || s->shaking ||
	    (s->stuck == 0 && evbuffer_get_length(s->out) == 0)) {
		stream_free(s);
		return;
	}
	s->finishing = true;
	stream_update(s);
	event_add(s->timer, &tv);
}

struct evbuffer *
stream_input(struct stream *s)
{
	return s->in;
}

void
stream_consumed(struct stream *s)
{
	stream_update(s);
	if (!s->over && !s->shaking && s->tls != NULL &&
	    evbuffer_get_length(s->in) < STREAM_INPUT &&
	    gnutls_record_check_pending(s->tls) > 0)
		event_active(s->reader, EV_READ, 0);
}

static void
stream_queued(struct stream *s)
{
	if (evbuffer_get_length(s->out) > STREAM_OUTPUT)
		s->full = true;
	stream_update(s);
}

bool
stream_write(struct stream *s, const void *p, size_t len)
{
	if (evbuffer_add(s->out, p, len) != 0)
		return false;
	stream_queued(s);
	return true;
}

bool
stream_write_buffer(struct stream *s, struct evbuffer *buf, size_t len)
{
	if (evbuffer_remove_buffer(buf, s->out, len) < 0)
		return false;
	stream_queued(s);
	return true;
}

size_t
stream_pending(struct stream *s)
{
	return evbuffer_get_length(s->out);
}

bool
stream_tls(struct stream *s, gnutls_session_t tls, const char **why)
{
	*why = NULL;
	if (evbuffer_get_length(s->in) > 0)
		*why = "the server sent more in the clear before TLS";
	else if (evbuffer_get_length(s->out) > 0)
		*why = "not all was sent before TLS";
	else if (s->over)
		*why = s->why;
	if (*why != NULL) { /* T09 */
		gnutls_deinit(tls);
		return false;
	}
	s->tls = tls;
	gnutls_transport_set_ptr2(
	    tls, s, (gnutls_transport_ptr_t)(intptr_t)s->fd);
	gnutls_transport_set_pull_function(tls, stream_pull);
	gnutls_handshake_set_timeout(tls, GNUTLS_INDEFINITE_TIMEOUT);
	s->shaking = true;
	event_active(s->writer, EV_WRITE, 0);
	return true;
}

gnutls_session_t
stream_session(struct stream *s)
{
	return s->tls;
}

char *
stream_line(struct stream *s, size_t max, size_t *len, bool *too_long)
{
	struct evbuffer_ptr end;
	size_t eol, i;
	char *line;

	*too_long = false;
	end = evbuffer_search_eol(s->in, NULL, &eol, EVBUFFER_EOL_LF);
	if (end.pos < 0 ? evbuffer_get_length(s->in) > max :
			  (size_t)end.pos > max) {
		*too_long = true;
		return NULL;
	}
	if (end.pos < 0)
		return NULL;
	line = evbuffer_readln(s->in, len, EVBUFFER_EOL_LF);
	if (line == NULL) {
		stream_give_up(s, "out of memory");
		return NULL;
	}
	if (*len > 0 && line[*len - 1] == '\r')
		line[--*len] = '\0';
	for (i = 0; i < *len; i++)
		if (line[i] == '\0')
			line[i] = '?';
	stream_consumed(s);
	return line;
}

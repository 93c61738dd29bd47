/* SPDX-License-Identifier: ISC */
/*
 * starttls.c - an SMTP client as far as a judged session
 *
 * Each state waits for one thing, under one timer: the socket, a whole reply,
 * or the handshake.  Another timer runs for the whole attempt.
 * starttls_enter() alone changes the state, starttls_fail() and
 * starttls_ready() alone end it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "connect.h"
#include "handshake.h"
#include "reply.h"
#include "starttls.h"
#include "text.h"

#define LINE_LEN 2048 /* RFC 5321 4.5.3.1.5 says 512; some send more */
#define QUIT_TIME 5   /* seconds to get a QUIT out of the door */

struct starttls_reply {
	char *line[REPLY_LINES]; /* without code */
	size_t n;
	int code;
};

struct starttls {
	struct event_base *base;
	const struct danevirke_api *dv;
	struct starttls_target t;
	struct danevirke_addr addr;
	char *helo, *sni, *priority, *source;
	starttls_done *done;
	void *arg;
	enum starttls_state state;
	int fd;    /* until stream owns it */
	int error; /* errno of connect() */
	struct event *connecting, *timer, *total;
	struct stream *stream;
	bool secured; /* the handshake is over */
	bool hello;   /* EHLO was refused, HELO was said */
	bool ended;   /* done() is running */
	struct starttls_reply reply, ehlo;
	struct danevirke_verdict verdict;
	bool judged;
	struct danevirke_cert cert[PEER_CERTS];
	struct danevirke_chain chain;
	struct handshake refused;
	char text[640], own[INET6_ADDRSTRLEN];
};

static const char *const state_names[] = { "connect", "banner", "EHLO",
	"STARTTLS", "TLS handshake", "certificate", "EHLO after STARTTLS",
	"ready" };

const char *
starttls_state_name(enum starttls_state state)
{
	return (unsigned)state <= STARTTLS_READY ? state_names[state] : "?";
}

const char *
starttls_keyword(const char *const *ehlo, size_t n, const char *keyword)
{
	const char *rest;
	size_t i;

	for (i = 1; i < n; i++) /* T02: without case */
		if ((rest = reply_keyword(ehlo[i], keyword)) != NULL)
			return rest;
	return NULL;
}

void
starttls_cleanup(void)
{
	handshake_cleanup();
}

/* --------------------------------------------------------------- the end */

static void
starttls_forget(struct starttls_reply *r)
{
	while (r->n > 0)
		free(r->line[--r->n]);
	r->code = 0;
}

static void
starttls_free(struct starttls *s)
{
	starttls_forget(&s->reply);
	starttls_forget(&s->ehlo);
	if (s->connecting != NULL)
		event_free(s->connecting);
	if (s->timer != NULL)
		event_free(s->timer);
	if (s->total != NULL)
		event_free(s->total);
	if (s->fd != -1)
		close(s->fd);
	stream_free(s->stream);
	free(s->helo);
	free(s->sni);
	free(s->priority);
	free(s->source);
	free(s);
}

static void
starttls_end(struct starttls *s, enum danevirke_result result)
{
	struct starttls_result r = { .state = s->state,
		.text = s->text,
		.code = s->reply.code,
		.result = result,
		.verdict = s->judged ? &s->verdict : NULL,
		.tls = s->secured,
		.tls_version = "",
		.tls_cipher = "",
		.ehlo = (const char *const *)s->ehlo.line,
		.n_ehlo = s->ehlo.n,
		.own = *s->own != '\0' ? s->own : NULL,
		.chain = &s->chain };
	gnutls_session_t tls;

	if (s->secured) {
		tls = stream_session(s->stream);
		r.tls_version = gnutls_protocol_get_name(
		    gnutls_protocol_get_version(tls));
		r.tls_cipher = gnutls_cipher_get_name(gnutls_cipher_get(tls));
	}
	event_del(s->timer);
	event_del(s->total);
	s->ended = true;
	if (s->state == STARTTLS_READY) {
		r.code = 0;
		r.stream = s->stream;
		s->stream = NULL;
	}
	s->done(s->arg, &r);
	/* Where the peer still listens, a good-bye; no state waits for it. */
	if (s->stream != NULL && s->state != STARTTLS_HANDSHAKE &&
	    stream_write(s->stream, "QUIT\r\n", 6)) {
		stream_finish(s->stream, QUIT_TIME);
		s->stream = NULL;
	}
	starttls_free(s);
}

static void starttls_fail(struct starttls *, enum danevirke_result,
    const char *, ...) __attribute__((format(printf, 3, 4)));

/* Ends the attempt; the state stays the one it failed in. */
static void
starttls_fail(
    struct starttls *s, enum danevirke_result result, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->text, sizeof s->text, fmt, ap);
	va_end(ap);
	text_line(s->text); /* The peer's words go into logs and replies. */
	starttls_end(s, result);
}

static void
starttls_refused(struct starttls *s, enum danevirke_result result)
{
	starttls_fail(s, result, "%s refused: %d %.300s",
	    starttls_state_name(s->state), s->reply.code, s->reply.line[0]);
}

/* ------------------------------------------------------------ the states */

static void starttls_enter(struct starttls *, enum starttls_state);

static void
starttls_say(struct starttls *s, const char *verb, const char *arg)
{
	char line[LINE_LEN];
	int n;

	n = snprintf(line, sizeof line, "%s%s%s\r\n", verb,
	    arg != NULL ? " " : "", arg != NULL ? arg : "");
	if (n < 0 || (size_t)n >= sizeof line)
		starttls_fail(s, DANEVIRKE_RESULT_NONE,
		    "%s: the name is too long", starttls_state_name(s->state));
	else if (!stream_write(s->stream, line, (size_t)n))
		starttls_fail(s, DANEVIRKE_RESULT_NONE, "%s: out of memory",
		    starttls_state_name(s->state));
}

static void
starttls_handshake(struct starttls *s)
{
	gnutls_session_t tls;
	const char *why;

	tls = handshake_new(s->priority, s->sni, &s->refused, &why);
	if (tls == NULL || !stream_tls(s->stream, tls, &why))
		starttls_fail(s, DANEVIRKE_VALIDATION_FAILURE, "%s: %s",
		    starttls_state_name(s->state), why);
}

static void
chain_take(struct starttls *s)
{
	const gnutls_datum_t *peer;
	unsigned n = 0, i;

	peer = gnutls_certificate_get_peers(stream_session(s->stream), &n);
	if (peer == NULL)
		n = 0;
	for (i = 0; i < n && i < PEER_CERTS; i++) {
		s->cert[i].der = peer[i].data;
		s->cert[i].len = peer[i].size;
	}
	s->chain.certs = s->cert;
	s->chain.n_certs = i;
}

/* S08: before anything is said in the session. */
static void
on_secured(void *arg, const char *why)
{
	struct danevirke_verify_options o = { .size = sizeof o };
	struct starttls *s = arg;

	if (why != NULL) { /* S09: what we refused, we can name */
		starttls_fail(s, DANEVIRKE_VALIDATION_FAILURE, "%s: %s",
		    starttls_state_name(s->state),
		    *s->refused.why != '\0' ? s->refused.why : why);
		return;
	}
	handshake_over(stream_session(s->stream));
	s->secured = true;
	chain_take(s);
	s->state = STARTTLS_VERIFY;
	if (s->t.host != NULL) {
		s->judged = true;
		s->verdict.size = sizeof s->verdict;
		o.engine = s->t.engine;
		if (s->dv->verify(s->t.host, &s->chain, &o, &s->verdict) != 0 ||
		    !s->verdict.verified) {
			starttls_fail(
			    s, s->verdict.result, "%s", s->verdict.text);
			return;
		}
	}
	starttls_enter(s,
	    s->t.mode == STARTTLS_AT_ONCE ? STARTTLS_BANNER :
					    STARTTLS_EHLO_AGAIN);
}

static void
starttls_ready(struct starttls *s)
{
	if (evbuffer_get_length(stream_input(s->stream)) > 0) {
		starttls_fail(s, DANEVIRKE_RESULT_NONE,
		    "%s: the server talks before it is asked",
		    starttls_state_name(s->state));
		return;
	}
	s->state = STARTTLS_READY;
	starttls_end(s, DANEVIRKE_RESULT_NONE);
}

static void
on_ehlo(struct starttls *s)
{
	if (s->reply.code / 100 == 5 && !s->hello && !s->secured &&
	    s->t.mode != STARTTLS_REQUIRED) {
		s->hello = true;
		starttls_enter(s, s->state);
		return;
	}
	if (s->reply.code != 250) { /* T10 */
		starttls_refused(s,
		    s->t.mode == STARTTLS_REQUIRED && !s->secured ?
			DANEVIRKE_STARTTLS_NOT_SUPPORTED :
			DANEVIRKE_RESULT_NONE);
		return;
	}
	starttls_forget(&s->ehlo);
	s->ehlo = s->reply;
	s->reply.n = 0;
	if (s->hello) /* what came is no list of extensions */
		while (s->ehlo.n > 1)
			free(s->ehlo.line[--s->ehlo.n]);
	if (s->secured || s->t.mode == STARTTLS_NEVER)
		starttls_ready(s);
	else if (starttls_keyword((const char *const *)s->ehlo.line, s->ehlo.n,
		     "STARTTLS") != NULL)
		starttls_enter(s, STARTTLS_COMMAND);
	else if (s->t.mode == STARTTLS_IF_OFFERED)
		starttls_ready(s);
	else {
		s->state = STARTTLS_COMMAND;
		starttls_fail(s, DANEVIRKE_STARTTLS_NOT_SUPPORTED,
		    "STARTTLS is not offered");
	}
}

/* S11: after a clear refusal the session may go on without TLS, where that is
 * allowed (T04).  After 421 there is no session, and after any other reply
 * nobody knows whether the server waits for TLS now. */
static void
on_starttls(struct starttls *s)
{
	int code = s->reply.code;

	if (code == 220)
		starttls_enter(s, STARTTLS_HANDSHAKE);
	else if (s->t.mode == STARTTLS_IF_OFFERED && code >= 400 && code != 421)
		starttls_ready(s);
	else if (code >= 400)
		starttls_refused(s, DANEVIRKE_STARTTLS_NOT_SUPPORTED);
	else
		starttls_fail(s, DANEVIRKE_STARTTLS_NOT_SUPPORTED,
		    "STARTTLS answered with neither 220 nor a refusal: "
		    "%d %.300s",
		    code, s->reply.line[0]);
}

/* A whole reply came. */
static void
on_reply(struct starttls *s)
{
	switch (s->state) {
	case STARTTLS_BANNER:
		if (s->reply.code != 220) /* T10 */
			starttls_refused(s, DANEVIRKE_RESULT_NONE);
		else
			starttls_enter(s,
			    s->secured ? STARTTLS_EHLO_AGAIN : STARTTLS_EHLO);
		break;
	case STARTTLS_EHLO:
	case STARTTLS_EHLO_AGAIN:
		on_ehlo(s);
		break;
	case STARTTLS_COMMAND:
		on_starttls(s);
		break;
	default:
		starttls_fail(s, DANEVIRKE_RESULT_NONE,
		    "%s: the server talks before it is asked",
		    starttls_state_name(s->state));
	}
}

/* 1: that was the last line, 0: more come, -1: that is no SMTP reply. */
static int
starttls_reply_add(struct starttls_reply *r, char *line, size_t len)
{
	const char *text;
	int code, last = reply_line(line, &code, &text);

	if (last == -1 || (r->n > 0 && code != r->code) || r->n == REPLY_LINES)
		return -1;
	memmove(line, text, len - (size_t)(text - line) + 1);
	r->code = code;
	r->line[r->n++] = line;
	return last;
}

static void
starttls_nonsense(struct starttls *s, const char *line)
{
	s->reply.code = 0;
	if (s->reply.n == REPLY_LINES)
		starttls_fail(s, DANEVIRKE_RESULT_NONE,
		    "%s: a reply of more than %d lines",
		    starttls_state_name(s->state), REPLY_LINES);
	else
		starttls_fail(s, DANEVIRKE_RESULT_NONE,
		    "%s: not an SMTP reply: %.200s",
		    starttls_state_name(s->state), line);
}

static void
on_readable(void *arg)
{
	struct starttls *s = arg;
	bool too_long;
	size_t len;
	char *line;
	int last = 0;

	if (s->state == STARTTLS_HANDSHAKE || s->state == STARTTLS_VERIFY)
		return; /* on_secured() comes first */
	while (last == 0 &&
	    (line = stream_line(s->stream, LINE_LEN, &len, &too_long)) !=
		NULL) {
		last = starttls_reply_add(&s->reply, line, len);
		if (last == -1) {
			starttls_nonsense(s, line);
			free(line);
			return;
		}
	}
	if (last == 1)
		on_reply(s);
	else if (too_long)
		starttls_fail(s, DANEVIRKE_RESULT_NONE,
		    "%s: a reply line of more than %d octets",
		    starttls_state_name(s->state), LINE_LEN);
}

/* What the silence of a server means: whether it has TLS, or nothing. */
static enum danevirke_result
starttls_silence(const struct starttls *s)
{
	return s->state == STARTTLS_COMMAND || s->state == STARTTLS_HANDSHAKE ?
	    DANEVIRKE_VALIDATION_FAILURE :
	    DANEVIRKE_RESULT_NONE;
}

static void
on_closed(void *arg, const char *why)
{
	struct starttls *s = arg;

	starttls_fail(s, starttls_silence(s), "%s: %s",
	    starttls_state_name(s->state), why);
}

static void
on_timeout(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	on_closed(arg, STREAM_TIMED_OUT);
}

/* A server that answers always just in time ends here. */
static void
on_total(int fd, short what, void *arg)
{
	struct starttls *s = arg;

	(void)fd;
	(void)what;
	starttls_fail(s, starttls_silence(s),
	    "%s: " STREAM_TIMED_OUT " (%u s for all)",
	    starttls_state_name(s->state), s->t.total_timeout);
}

static const struct stream_ops ops = {
	.readable = on_readable, .secured = on_secured, .closed = on_closed
};

/* The connection stands, or does not. */
static void
on_connect(int fd, short what, void *arg)
{
	struct starttls *s = arg;
	int e = s->error;
	socklen_t len = sizeof e;

	(void)what;
	if (e == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) == -1)
		e = errno;
	if (e != 0) {
		starttls_fail(s, DANEVIRKE_RESULT_NONE, "%s: %s",
		    starttls_state_name(s->state), strerror(e));
		return;
	}
	connect_own(fd, s->own, sizeof s->own);
	event_free(s->connecting);
	s->connecting = NULL;
	s->stream = stream_new(s->base, s->fd, &ops, s);
	s->fd = -1;
	if (s->stream == NULL)
		starttls_fail(s, DANEVIRKE_RESULT_NONE, "%s: out of memory",
		    starttls_state_name(s->state));
	else
		starttls_enter(s,
		    s->t.mode == STARTTLS_AT_ONCE ? STARTTLS_HANDSHAKE :
						    STARTTLS_BANNER);
}

static void
starttls_enter(struct starttls *s, enum starttls_state state)
{
	struct timeval tv = { .tv_sec = state == STARTTLS_CONNECT ?
		    s->t.connect_timeout :
		    s->t.command_timeout };

	starttls_forget(&s->reply);
	s->state = state;
	event_add(s->timer, &tv);
	switch (state) {
	case STARTTLS_EHLO:
	case STARTTLS_EHLO_AGAIN:
		starttls_say(s, s->hello ? "HELO" : "EHLO", s->helo);
		break;
	case STARTTLS_COMMAND:
		starttls_say(s, "STARTTLS", NULL);
		break;
	case STARTTLS_HANDSHAKE:
		starttls_handshake(s);
		break;
	default: /* waits */
		break;
	}
}

/* ------------------------------------------------------------- the caller */

static char *
starttls_copy(const char *text, bool *ok)
{
	char *p = NULL;

	if (text != NULL && (p = strdup(text)) == NULL)
		*ok = false;
	return p;
}

struct starttls *
starttls_start(struct event_base *base, const struct danevirke_api *dv,
    const struct starttls_target *t, starttls_done *done, void *arg)
{
	struct starttls *s = calloc(1, sizeof *s);
	struct timeval tv = { .tv_sec = (time_t)t->total_timeout };
	bool ok = true;

	if (s == NULL)
		return NULL;
	s->base = base;
	s->dv = dv;
	s->t = *t;
	s->addr = *t->addr;
	s->done = done;
	s->arg = arg;
	s->fd = -1;
	if (s->t.port == 0)
		s->t.port = 25;
	if (s->t.connect_timeout == 0)
		s->t.connect_timeout = 30;
	if (s->t.command_timeout == 0)
		s->t.command_timeout = 300;
	s->helo = starttls_copy(t->helo, &ok);
	s->sni = starttls_copy(t->sni, &ok);
	s->priority = starttls_copy(t->priority, &ok);
	s->source = starttls_copy(t->source, &ok);
	s->timer = event_new(base, -1, 0, on_timeout, s);
	s->total = event_new(base, -1, 0, on_total, s);
	if (!ok || s->timer == NULL || s->total == NULL ||
	    (t->total_timeout > 0 && event_add(s->total, &tv) != 0))
		goto err;
	s->fd = connect_begin(&s->addr, s->t.port, s->source);
	if (s->fd == -1)
		s->error = errno;
	s->connecting = event_new(base, s->fd, EV_WRITE, on_connect, s);
	if (s->connecting == NULL)
		goto err;
	if (s->error != 0) /* done() runs from the loop all the same */
		event_active(s->connecting, EV_WRITE, 0);
	else if (event_add(s->connecting, NULL) != 0)
		goto err;
	starttls_enter(s, STARTTLS_CONNECT);
	return s;
err:
	starttls_free(s);
	return NULL;
}

void
starttls_cancel(struct starttls *s)
{
	if (s != NULL && !s->ended)
		starttls_free(s);
}

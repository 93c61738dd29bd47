/* SPDX-License-Identifier: ISC */
/*
 * The dialogue with smtpd.  One command at a time is handed on and one reply
 * comes back: PIPELINING is not offered, and smtpd ends a session in which two
 * replies meet.
 *
 * smtpd must never see the trouble of finding an upstream anywhere but in a
 * reply to MAIL: a refusal at EHLO, or a closed connection, disables the route
 * and hides the reason.  So EHLO is always answered 250, and an upstream that
 * goes away between two messages is not noticed: the next MAIL makes a new one,
 * asked and judged anew.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "session.h"

#define PATIENCE 290 /* seconds; smtpd waits 300 for any reply */

static void
session_free(struct session *s)
{
	struct domain *d = s->domain;

	if (s->timer != NULL)
		event_free(s->timer);
	if (s->wake != NULL)
		event_free(s->wake);
	dial_cancel(s->dial);
	upstream_forget(s);
	free(s);
	domain_leave(d);
}

/* All of smtpd's input that can be used now. */
static void
session_run(struct session *s)
{
	bool too_long = false;
	char *line;
	size_t len;

	if (s->state == SESSION_DATA)
		data_pump(s);
	if (s->state == SESSION_DISCARD)
		data_discard(s);
	while (s->state == SESSION_COMMAND &&
	    stream_pending(s->client) < STREAM_OUTPUT &&
	    (line = stream_line(s->client, SMTP_LINE, &len, &too_long)) !=
		NULL) {
		talk_enter(s, SESSION_COMMAND); /* the clock, anew */
		s->patience = s->progress + PATIENCE;
		command_run(s, line);
		free(line);
	}
	if (too_long) {
		talk_line(
		    s, "500 5.5.2 a line of more than %d octets", SMTP_LINE);
		talk_end(s, true);
	}
}

/* ------------------------------------------------------------------ events */

/* The state is another one. */
static void
session_on_wake(int fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	if (s->state == SESSION_OVER)
		session_free(s);
	else
		session_run(s);
}

/* From the loop, as all here: never while one of these functions runs. */
static void
session_on_client(void *arg)
{
	session_run(arg);
}

/* Nobody is there to be answered. */
static void
session_close(struct session *s)
{
	dial_cancel(s->dial);
	s->dial = NULL;
	talk_end(s, false);
}

static void
session_on_closed(void *arg, const char *why)
{
	struct session *s = arg;

	if (s->state != SESSION_COMMAND || s->transaction)
		log_line(LOG_INFO, "%s: the client left in state %s: %s",
		    s->domain->name, talk_state(s), why);
	session_close(s);
}

static const struct stream_ops session_ops = {
	.readable = session_on_client,
	.drained = session_on_client,
	.closed = session_on_closed,
};

/* Whose silence it is. */
static bool
session_waits_for_upstream(const struct session *s)
{
	return s->state == SESSION_REPLY || s->state == SESSION_DOT ||
	    (s->state == SESSION_DATA && stream_pending(s->upstream) > 0);
}

static void
session_on_timer(int fd, short what, void *arg)
{
	struct session *s = arg;
	uint64_t end = s->progress + s->limit, now = hub_now();
	struct timeval tv = { 0 };

	(void)fd;
	(void)what;
	if (end > now) { /* something has moved since */
		tv.tv_sec = (time_t)(end - now);
		event_add(s->timer, &tv);
	} else if (session_waits_for_upstream(s)) {
		s->fresh = true; /* silent: no second try at this host */
		upstream_lost(s, STREAM_TIMED_OUT);
	} else {
		log_line(LOG_INFO,
		    "%s: the client is silent in state %s: closing",
		    s->domain->name, talk_state(s));
		session_close(s);
	}
}

/* -------------------------------------------------------------- beginning */

/* `src` of smtpd's action shows as the address it comes from. */
static void
session_source(struct session *s, const struct sockaddr_storage *from)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)from;

	if (from->ss_family == AF_INET &&
	    ntohl(sin->sin_addr.s_addr) >> 24 != 127)
		inet_ntop(
		    AF_INET, &sin->sin_addr, s->source4, sizeof s->source4);
}

void
session_new(struct domain *domain, int fd, const struct sockaddr_storage *from)
{
	struct event_base *base = domain->hub->base;
	struct session *s = calloc(1, sizeof *s);

	if (s == NULL) {
		close(fd);
		domain_leave(domain);
		return;
	}
	s->hub = domain->hub;
	s->domain = domain;
	s->timer = event_new(base, -1, 0, session_on_timer, s);
	s->wake = event_new(base, -1, 0, session_on_wake, s);
	s->client = stream_new(base, fd, &session_ops, s);
	if (s->timer == NULL || s->wake == NULL || s->client == NULL) {
		stream_free(s->client);
		session_free(s);
		return;
	}
	session_source(s, from);
	talk_enter(s, SESSION_COMMAND);
	talk_line(s, "220 %s ESMTP", domain->name);
}

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
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "session.h"

#define QUIT_TIME 5 /* seconds to get the last words out */

static const char *const state_names[] = { "command", "dial", "reply", "data",
	"discard", "dot", "over" };

/* ----------------------------------------------------------- state, reply */

static unsigned
state_timeout(const struct session *s)
{
	const struct danevirke_settings *set = s->hub->set;
	unsigned command = set->relay_command_timeout;

	switch (s->state) {
	case SESSION_COMMAND:
		return set->relay_idle_timeout;
	case SESSION_DIAL: /* has its own end, which comes first */
		return set->relay_ehlo_budget + 5;
	case SESSION_REPLY:
		return s->wait;
	case SESSION_DATA:
	case SESSION_DISCARD:
		return command;
	case SESSION_DOT: /* RFC 5321 4.5.3.2.6 */
		return set->relay_data_timeout;
	case SESSION_OVER:
		break;
	}
	return 0;
}

void
session_enter(struct session *s, enum session_state state)
{
	struct timeval tv = { 0 };

	if (s->state == SESSION_OVER)
		return;
	if (s->state != state)
		say(LOG_DEBUG, "%s: session %p: %s -> %s", s->domain->name,
		    (void *)s, state_names[s->state], state_names[state]);
	s->state = state;
	s->progress = boottime();
	tv.tv_sec = state_timeout(s);
	event_add(s->timer, &tv); /* at once for SESSION_OVER */
}

/* The struct stays until the timer runs: callers up the stack may hold it. */
void
session_end(struct session *s, bool gracefully)
{
	if (s->state == SESSION_OVER)
		return;
	dial_cancel(s->dial);
	s->dial = NULL;
	upstream_leave(s, s->state == SESSION_COMMAND && !s->transaction);
	if (gracefully)
		stream_finish(s->client, QUIT_TIME);
	else
		stream_free(s->client);
	s->client = NULL;
	session_enter(s, SESSION_OVER);
}

static void
destroy(struct session *s)
{
	struct domain *d = s->domain;

	event_free(s->timer);
	mail_forget(s);
	free(s);
	domain_leave(d);
}

void
session_say(struct session *s, const char *text, size_t len)
{
	if (s->state != SESSION_OVER && !stream_write(s->client, text, len))
		session_end(s, false);
}

void
session_line(struct session *s, const char *fmt, ...)
{
	char line[REPLY_LINE + 3];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(line, REPLY_LINE, fmt, ap);
	va_end(ap);
	text_clean(line);
	n = strlen(line);
	memcpy(line + n, "\r\n", 3);
	session_say(s, line, n + 2);
}

void
refusal_make(
    struct refusal *r, int code, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	memset(r, 0, sizeof *r);
	r->code = code;
	snprintf(r->enhanced, sizeof r->enhanced, "%s", enhanced);
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof r->text, fmt, ap);
	va_end(ap);
	text_clean(r->text);
}

void
session_refuse(struct session *s, const struct refusal *r)
{
	session_line(s, "%d %s%s%s", r->code, r->enhanced,
	    r->enhanced[0] != '\0' ? " " : "", r->text);
}

void
upstream_leave(struct session *s, bool gracefully)
{
	if (s->upstream == NULL)
		return;
	if (gracefully && stream_write(s->upstream, "QUIT\r\n", 6))
		stream_finish(s->upstream, QUIT_TIME);
	else
		stream_free(s->upstream);
	s->upstream = NULL;
	reply_reset(&s->reply);
	if (s->transaction) {
		s->transaction = false;
		s->lost = true;
		refusal_make(&s->refusal, 451, "4.4.2",
		    "%s: the session was lost", s->host);
		s->hub->count[COUNT_BROKEN]++;
	}
}

/* ------------------------------------------------------------------ smtpd */

static void
on_client(void *arg)
{
	session_run(arg);
}

static void
on_client_closed(void *arg, const char *why)
{
	struct session *s = arg;

	if (s->state != SESSION_COMMAND || s->transaction)
		say(LOG_INFO, "%s: smtpd left in state %s: %s", s->domain->name,
		    state_names[s->state], why);
	session_end(s, false);
}

static const struct stream_ops client_ops = {
	.readable = on_client, .drained = on_client, .closed = on_client_closed
};

static void
on_timer(int fd, short what, void *arg)
{
	struct session *s = arg;
	uint64_t left = s->progress + state_timeout(s), now = boottime();
	struct timeval tv = { 0 };

	(void)fd;
	(void)what;
	if (s->state == SESSION_OVER) {
		destroy(s);
		return;
	}
	if (left > now) {
		tv.tv_sec = (time_t)(left - now);
		event_add(s->timer, &tv);
		return;
	}
	switch (s->state) {
	case SESSION_REPLY:
	case SESSION_DOT:
		s->fresh = true; /* silent: no second try at this host */
		upstream_lost(s, STREAM_TIMED_OUT);
		session_run(s);
		break;
	case SESSION_DATA:
		if (stream_pending(s->upstream) > 0) {
			upstream_lost(s, STREAM_TIMED_OUT);
			session_run(s);
			break;
		}
		/* FALLTHROUGH */
	default:
		say(LOG_INFO, "%s: smtpd is silent in state %s: closing",
		    s->domain->name, state_names[s->state]);
		session_end(s, false);
	}
}

/* -------------------------------------------------------------- beginning */

/* `src` of smtpd's action shows as the address it comes from. */
static void
source_take(struct session *s, const struct sockaddr_storage *from)
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
	struct session *s = calloc(1, sizeof *s);

	if (s != NULL)
		s->timer = event_new(domain->hub->base, -1, 0, on_timer, s);
	if (s == NULL || s->timer == NULL) {
		close(fd);
		free(s);
		domain_leave(domain);
		return;
	}
	s->hub = domain->hub;
	s->domain = domain;
	source_take(s, from);
	s->client = stream_new(s->hub->base, fd, &client_ops, s);
	if (s->client == NULL) {
		destroy(s);
		return;
	}
	session_enter(s, SESSION_COMMAND);
	session_line(s, "220 %s ESMTP", domain->name);
}

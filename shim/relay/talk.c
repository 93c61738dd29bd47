/* SPDX-License-Identifier: ISC */
/*
 * What a session can do at any place: enter a state, say something to smtpd,
 * leave its upstream, end.  Nothing here decides; what follows from a new state
 * is session.c's, which the loop calls.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "session.h"

#define QUIT_TIME 5 /* seconds to get the last words out */

const char *
talk_state(const struct session *s)
{
	static const char *const names[] = { "command", "dial", "reply", "data",
		"discard", "dot", "over" };

	return names[s->state];
}

void
talk_wake(struct session *s)
{
	event_active(s->wake, 0, 0);
}

void
talk_enter(struct session *s, enum session_state state)
{
	const struct danevirke_settings *set = s->hub->set;
	const char *before = talk_state(s);
	struct timeval tv = { 0 };
	bool changed = s->state != state;

	if (s->state == SESSION_OVER)
		return;
	s->state = state;
	s->progress = hub_now();
	switch (state) {
	case SESSION_COMMAND:
		s->limit = set->relay_idle_timeout;
		break;
	case SESSION_DIAL: /* has its own end, which comes first */
		s->limit = set->relay_ehlo_budget + 5;
		break;
	case SESSION_REPLY:
		s->limit = s->wait;
		break;
	case SESSION_DATA:
	case SESSION_DISCARD:
		s->limit = set->relay_command_timeout;
		break;
	case SESSION_DOT: /* RFC 5321 4.5.3.2.6 */
		s->limit = set->relay_data_timeout;
		break;
	case SESSION_OVER:
		s->limit = 0;
		break;
	}
	tv.tv_sec = s->limit;
	if (state == SESSION_OVER)
		event_del(s->timer);
	else
		event_add(s->timer, &tv);
	if (!changed)
		return;
	log_line(LOG_DEBUG, "%s: session %p: %s -> %s", s->domain->name,
	    (void *)s, before, talk_state(s));
	talk_wake(s);
}

void
talk_end(struct session *s, bool gracefully)
{
	if (s->state == SESSION_OVER)
		return;
	talk_leave(s, s->state == SESSION_COMMAND && !s->transaction);
	if (gracefully)
		stream_finish(s->client, QUIT_TIME);
	else
		stream_free(s->client);
	s->client = NULL;
	talk_enter(s, SESSION_OVER);
}

void
talk_say(struct session *s, const char *text, size_t len)
{
	if (s->state != SESSION_OVER && !stream_write(s->client, text, len))
		talk_end(s, false);
}

void
talk_line(struct session *s, const char *fmt, ...)
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
	talk_say(s, line, n + 2);
}

void
talk_refuse(struct session *s, const struct refusal *r)
{
	talk_line(s, "%d %s%s%s", r->code, r->enhanced,
	    r->enhanced[0] != '\0' ? " " : "", r->text);
}

void
talk_leave(struct session *s, bool gracefully)
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

/* SPDX-License-Identifier: ISC */
/*
 * What the upstream answers, and what becomes of a session whose upstream is
 * lost.
 */
#include <stdlib.h>
#include <syslog.h>

#include <event2/buffer.h>

#include "session.h"

#define UNASKED "it talks before it is asked"

/* The upstream's reply, as its own.  421 is one too: smtpd takes it as any
 * other 4xx, and the session on loopback stays. */
static void
hand_back(struct session *s)
{
	bool gone = s->reply.code == 421;

	s->fresh = false;
	s->used = true;
	session_say(s, s->reply.text, s->reply.len);
	reply_reset(&s->reply);
	session_enter(s, SESSION_COMMAND);
	if (gone && s->state != SESSION_OVER)
		peer_leave(s, false);
}

/* What no client of SMTP could understand. */
static void
nonsense(struct session *s)
{
	char text[200];

	reply_text(&s->reply, text, sizeof text);
	say(LOG_WARNING, "%s: %s: reply out of place: %d %s", s->domain->name,
	    s->host, s->reply.code, text);
	mail_forget(s);
	session_line(s, "451 4.5.0 %s: reply out of place: %d %s", s->host,
	    s->reply.code, text);
	peer_leave(s, false);
	s->lost = s->verb != VERB_DATA; /* DATA's refusal says it all */
	session_enter(s, SESSION_COMMAND);
}

static void
on_reply(struct session *s)
{
	int kind = s->reply.code / 100;

	if (s->state == SESSION_DOT) {
		/* the dot is with us still: it cannot have been taken */
		if (kind == 3 || (kind == 2 && stream_pending(s->peer) > 0)) {
			s->verb = VERB_DATA;
			nonsense(s);
			return;
		}
		s->transaction = false;
		s->hub->count[kind == 2 ? COUNT_TAKEN :
			kind == 4       ? COUNT_LATER :
					  COUNT_REFUSED]++;
		hand_back(s);
		return;
	}
	if (s->verb == VERB_DATA && s->reply.code == 354) {
		session_say(s, s->reply.text, s->reply.len);
		reply_reset(&s->reply);
		data_begin(s);
		return;
	}
	if (kind == 3 || (s->verb == VERB_DATA && kind == 2)) {
		nonsense(s);
		return;
	}
	switch (s->verb) {
	case VERB_MAIL:
		/* it has had enough of this session: as if it had closed it */
		if (s->reply.code == 421 && !s->fresh) {
			peer_leave(s, false);
			upstream_dial(s);
			return;
		}
		mail_forget(s);
		s->transaction = kind == 2;
		break;
	case VERB_RSET:
		s->transaction = false;
		break;
	default:
		break;
	}
	hand_back(s);
}

/* The upstream is gone, or as good as. */
void
upstream_lost(struct session *s, const char *why)
{
	struct refusal r;

	refusal_make(&r, 451, "4.4.2", "%s: %s", s->host, why);
	switch (s->state) {
	case SESSION_COMMAND:
		if (s->transaction)
			say(LOG_INFO, "%s via %s: session lost: %s",
			    s->domain->name, s->host, why);
		peer_leave(s, false);
		return; /* the next MAIL makes another */
	case SESSION_DATA:
		data_fail(s, &r);
		break;
	case SESSION_REPLY:
	case SESSION_DOT:
		peer_leave(s, false);
		if (s->state == SESSION_DOT) {
			s->lost = false;
			s->hub->count[COUNT_LATER]++;
		} else if (s->verb == VERB_MAIL && !s->fresh) {
			upstream_dial(s); /* it had only waited too long */
			return;
		}
		mail_forget(s);
		session_enter(s, SESSION_COMMAND);
		if (s->verb == VERB_NOOP || s->verb == VERB_RSET) {
			if (s->verb == VERB_RSET)
				s->lost = false;
			session_line(s, "250 2.0.0 ok");
			break;
		}
		break;
	default:
		return;
	}
	say(LOG_INFO, "%s via %s: session lost: %s", s->domain->name, s->host,
	    why);
	if (s->state == SESSION_COMMAND && s->verb != VERB_NOOP &&
	    s->verb != VERB_RSET)
		session_refuse(s, &r);
}

static void
on_peer(void *arg)
{
	struct session *s = arg;
	bool too_long = false;
	char *line;
	size_t len;
	int last = 0;

	if (evbuffer_get_length(stream_input(s->peer)) == 0)
		return;
	if (s->state == SESSION_COMMAND) {
		upstream_lost(s, UNASKED);
		return;
	}
	while (last == 0 &&
	    (line = stream_line(s->peer, SMTP_LINE, &len, &too_long)) != NULL) {
		last = reply_add(&s->reply, line);
		free(line);
	}
	if (last == -1 || too_long)
		upstream_lost(s, "what it said is no SMTP reply");
	else if (last == 1 && s->state == SESSION_DATA)
		data_early_reply(s);
	else if (last == 1) {
		on_reply(s);
		/* a second reply to one command: nothing fits from here on */
		if (s->peer != NULL &&
		    evbuffer_get_length(stream_input(s->peer)) > 0)
			upstream_lost(s, UNASKED);
	}
	session_run(s);
}

static void
on_peer_drained(void *arg)
{
	session_run(arg);
}

static void
on_peer_closed(void *arg, const char *why)
{
	struct session *s = arg;

	upstream_lost(s, why);
	session_run(s);
}

const struct stream_ops upstream_ops = { .readable = on_peer,
	.drained = on_peer_drained,
	.closed = on_peer_closed };

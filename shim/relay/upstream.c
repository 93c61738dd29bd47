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
		upstream_leave(s, false);
}

/* What no client of SMTP could understand. */
static void
nonsense(struct session *s)
{
	struct refusal r;
	char text[200];

	reply_text(&s->reply, text, sizeof text);
	say(LOG_WARNING, "%s: %s: reply out of place: %d %s", s->domain->name,
	    s->host, s->reply.code, text);
	refusal_make(&r, 451, "4.5.0", "%s: reply out of place: %d %s", s->host,
	    s->reply.code, text);
	if (upstream_next(s, &r, true))
		return;
	upstream_leave(s, false);
	if (s->verb == VERB_DATA || s->verb == VERB_RSET)
		s->lost = false; /* its refusal says it all */
	mail_refuse(s, &r);
}

/* It has had enough of this session, made for EHLO or for an earlier message:
 * as if it had closed it then.  Another one is made, once. */
static bool
had_enough(struct session *s)
{
	if (s->verb != VERB_MAIL || s->fresh)
		return false;
	upstream_leave(s, false);
	upstream_dial(s);
	return true;
}

/* True: the reply is smtpd's; false: it went another way. */
static bool
on_mail_reply(struct session *s, int kind)
{
	bool closing = s->reply.code == 421; /* RFC 5321 3.8, 4.2.1 */
	struct refusal r = { .code = s->reply.code };

	reply_text(&s->reply, r.text, sizeof r.text);
	if ((closing && s->used && had_enough(s)) ||
	    (kind == 4 && upstream_next(s, &r, closing)) ||
	    (closing && had_enough(s)))
		return false;
	s->transaction = kind == 2;
	if (s->rcpt == NULL) {
		if (kind != 2)
			mail_forget(s);
		return true;
	}
	/* smtpd was told 250 by the host before this one */
	if (kind == 2)
		hand_on(s, VERB_RCPT, s->rcpt);
	else {
		if (closing)
			upstream_leave(s, false);
		mail_refuse(s, &r);
	}
	return false;
}

/* As on_mail_reply().  4xx is about this recipient, as in greylisting; but 421
 * is about the session (RFC 5321 4.2.1). */
static bool
on_rcpt_reply(struct session *s, int kind)
{
	struct refusal r = { .code = s->reply.code };

	reply_text(&s->reply, r.text, sizeof r.text);
	if (s->reply.code == 421 && upstream_next(s, &r, true))
		return false;
	if (kind == 2) /* it is this host's message */
		mail_forget(s);
	free(s->rcpt);
	s->rcpt = NULL;
	return true;
}

static void
on_dot_reply(struct session *s, int kind)
{
	/* the dot is with us still: it cannot have been taken */
	if (kind == 3 || (kind == 2 && stream_pending(s->upstream) > 0)) {
		s->verb = VERB_DATA;
		nonsense(s);
		return;
	}
	s->transaction = false;
	s->hub->count[kind == 2 ? COUNT_TAKEN :
		kind == 4       ? COUNT_LATER :
				  COUNT_REFUSED]++;
	hand_back(s);
}

static void
on_reply(struct session *s)
{
	int kind = s->reply.code / 100;

	if (s->state == SESSION_DOT) {
		on_dot_reply(s, kind);
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
	if ((s->verb == VERB_MAIL && !on_mail_reply(s, kind)) ||
	    (s->verb == VERB_RCPT && !on_rcpt_reply(s, kind)))
		return;
	if (s->verb == VERB_RSET)
		s->transaction = false;
	hand_back(s);
}

/* In SESSION_REPLY. */
static void
reply_lost(struct session *s, const char *why)
{
	struct refusal r;

	refusal_make(&r, 451, "4.4.2", "%s: %s", s->host, why);
	if ((s->used && had_enough(s)) || upstream_next(s, &r, true) ||
	    had_enough(s))
		return;
	upstream_leave(s, false);
	if (s->verb == VERB_RSET)
		s->lost = false;
	if (s->verb == VERB_NOOP || s->verb == VERB_RSET) {
		session_enter(s, SESSION_COMMAND);
		session_line(s, "250 2.0.0 ok");
		return;
	}
	say(LOG_INFO, "%s via %s: session lost: %s", s->domain->name, s->host,
	    why);
	mail_refuse(s, &r);
}

/* The upstream is gone, or as good as. */
void
upstream_lost(struct session *s, const char *why)
{
	struct refusal r;

	if (s->state == SESSION_REPLY) {
		reply_lost(s, why);
		return;
	}
	if (s->state == SESSION_COMMAND) {
		if (s->transaction)
			say(LOG_INFO, "%s via %s: session lost: %s",
			    s->domain->name, s->host, why);
		else if (!s->used)
			dial_failed(s->dial);
		upstream_leave(s, false);
		return; /* the next MAIL makes another */
	}
	say(LOG_INFO, "%s via %s: session lost: %s", s->domain->name, s->host,
	    why);
	refusal_make(&r, 451, "4.4.2", "%s: %s", s->host, why);
	if (s->state == SESSION_DATA)
		data_fail(s, &r);
	else if (s->state == SESSION_DOT) {
		upstream_leave(s, false);
		s->lost = false;
		s->hub->count[COUNT_LATER]++;
		session_enter(s, SESSION_COMMAND);
		session_refuse(s, &r);
	}
}

static void
on_upstream(void *arg)
{
	struct session *s = arg;
	bool too_long = false;
	char *line;
	size_t len;
	int last = 0;

	if (evbuffer_get_length(stream_input(s->upstream)) == 0)
		return;
	if (s->state == SESSION_COMMAND) {
		upstream_lost(s, UNASKED);
		return;
	}
	while (last == 0 &&
	    (line = stream_line(s->upstream, SMTP_LINE, &len, &too_long)) !=
		NULL) {
		last = reply_add(&s->reply, line);
		free(line);
	}
	if (last < 0 || too_long)
		upstream_lost(s,
		    too_long       ? "a reply line that is too long" :
			last == -2 ? "a reply of too many lines" :
				     "not an SMTP reply");
	else if (last == 1 && s->state == SESSION_DATA)
		data_early_reply(s);
	else if (last == 1) {
		on_reply(s);
		/* a second reply to one command: nothing fits from here on */
		if (s->upstream != NULL &&
		    evbuffer_get_length(stream_input(s->upstream)) > 0)
			upstream_lost(s, UNASKED);
	}
	session_run(s);
}

static void
on_upstream_drained(void *arg)
{
	session_run(arg);
}

static void
on_upstream_closed(void *arg, const char *why)
{
	struct session *s = arg;

	upstream_lost(s, why);
	session_run(s);
}

const struct stream_ops upstream_ops = { .readable = on_upstream,
	.drained = on_upstream_drained,
	.closed = on_upstream_closed };

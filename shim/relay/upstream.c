/* SPDX-License-Identifier: ISC */
/*
 * The upstream of a session: how one is found, what it is told, what it
 * answers, and what becomes of the message if it is lost.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <event2/buffer.h>

#include "session.h"

#define UPSTREAM_UNASKED "it talks before it is asked"

/* -------------------------------------------------------- what smtpd hears */

void
upstream_forget(struct session *s)
{
	free(s->mail);
	free(s->rcpt);
	s->mail = s->rcpt = NULL;
}

/* If smtpd has its 250 to MAIL already, the recipients hear it. */
void
upstream_refuse(struct session *s, const struct refusal *why)
{
	if (s->rcpt != NULL) {
		s->transaction = false;
		s->lost = true;
		s->refusal = *why;
	}
	upstream_forget(s);
	talk_enter(s, SESSION_COMMAND);
	talk_refuse(s, why);
}

void
upstream_hello(struct session *s, bool good)
{
	const char *name = good ? s->host : s->domain->name;
	char buf[DOMAIN_LEN + 200];
	size_t n;

	memset(&s->shown, 0, sizeof s->shown);
	if (!s->esmtp) {
		talk_line(s, "250 %s", name);
		return;
	}
	/* without an upstream nothing is promised */
	if (good)
		s->shown = s->ext;
	n = extensions_reply(&s->shown, name, buf, sizeof buf);
	talk_say(s, buf, n);
}

/* ------------------------------------------------------ what it is told */

/* RFC 5321 4.5.3.2 grants minutes to a reply, but smtpd waits for one only that
 * long: while another host may get the message, this one has its share (T11).
 */
static unsigned
upstream_wait(const struct session *s)
{
	unsigned command = s->hub->set->relay_command_timeout, wait;
	uint64_t now = hub_now();
	size_t others = s->mail != NULL ? dial_rest(s->dial) : 0;

	wait = turn_share(
	    s->patience > now ? s->patience - now : 1, others + 1);
	return wait < command ? wait : command;
}

void
upstream_command(struct session *s, enum verb verb, const char *line)
{
	struct refusal r;

	s->verb = verb;
	reply_reset(&s->reply);
	if (!stream_write(s->upstream, line, strlen(line)) ||
	    !stream_write(s->upstream, "\r\n", 2)) {
		refusal_make(&r, 451, "4.3.0", "out of memory");
		talk_leave(s, false);
		upstream_refuse(s, &r);
		return;
	}
	s->wait = upstream_wait(s);
	talk_enter(s, SESSION_REPLY);
}

void
upstream_mail(struct session *s)
{
	struct refusal r;
	const char *lost;

	/* EHLO promised more than this one keeps: the message might need it,
	 * and would bounce */
	lost = extensions_lost(&s->shown, &s->ext);
	if (lost == NULL) {
		upstream_command(s, VERB_MAIL, s->mail);
		return;
	}
	refusal_make(&r, 451, "4.3.3",
	    "%s offers less %s than the host before it", s->host, lost);
	if (!upstream_next(s, &r, false))
		upstream_refuse(s, &r);
}

/* --------------------------------------------------------- how it is found */

static dial_done upstream_on_dialed;

/* Within what is left of smtpd's patience. */
static uint64_t
upstream_dial_end(const struct session *s)
{
	uint64_t end = hub_now() + s->hub->set->relay_ehlo_budget;

	return end < s->patience ? end : s->patience;
}

void
upstream_dial(struct session *s)
{
	const struct danevirke_settings *set = s->hub->set;

	dial_cancel(s->dial);
	s->fresh = false;
	s->dial = dial_start(s->hub, s->domain->name,
	    set->relay_helo != NULL ? set->relay_helo : s->helo,
	    s->source4[0] != '\0' ? s->source4 : set->relay_source4,
	    set->relay_source6, upstream_dial_end(s), upstream_on_dialed, s);
	if (s->dial != NULL) {
		talk_enter(s, SESSION_DIAL);
		return;
	}
	talk_enter(s, SESSION_COMMAND);
	if (s->mail == NULL)
		upstream_hello(s, false);
	else
		talk_line(s, "451 4.3.0 out of memory");
	upstream_forget(s);
}

/* What smtpd was told stays as it is: recipients that this host refused are
 * not said again, and that MAIL was taken is true of the next host, or no
 * recipient is taken. */
bool
upstream_next(struct session *s, const struct refusal *why, bool fault)
{
	uint64_t end = upstream_dial_end(s);

	if (s->mail == NULL || (s->verb != VERB_MAIL && s->verb != VERB_RCPT))
		return false;
	if (fault)
		dial_failed(s->dial);
	if (s->dial == NULL || !dial_next(s->dial, end, why, !fault))
		return false;
	talk_leave(s, !fault);
	s->lost = false;
	s->fresh = true;
	talk_enter(s, SESSION_DIAL);
	return true;
}

/* It has had enough of this session, made for EHLO or for an earlier message:
 * as if it had closed it then.  Another one is made, once. */
static bool
upstream_again(struct session *s)
{
	if (s->verb != VERB_MAIL || s->fresh)
		return false;
	talk_leave(s, false);
	upstream_dial(s);
	return true;
}

/* --------------------------------------------------------- what it answers */

/* Its reply, as its own.  421 is one too: smtpd takes it as any other 4xx, and
 * the session on loopback stays. */
static void
upstream_hand_back(struct session *s)
{
	bool gone = s->reply.code == 421;

	s->fresh = false;
	s->used = true;
	talk_say(s, s->reply.text, s->reply.len);
	reply_reset(&s->reply);
	talk_enter(s, SESSION_COMMAND);
	if (gone && s->state != SESSION_OVER)
		talk_leave(s, false);
}

/* What no client of SMTP could understand. */
static void
upstream_nonsense(struct session *s)
{
	struct refusal r;
	char text[200];

	reply_text(&s->reply, text, sizeof text);
	log_line(LOG_WARNING, "%s via %s: reply out of place: %d %s",
	    s->domain->name, s->host, s->reply.code, text);
	refusal_make(&r, 451, "4.5.0", "%s: reply out of place: %d %s", s->host,
	    s->reply.code, text);
	if (upstream_next(s, &r, true))
		return;
	talk_leave(s, false);
	if (s->verb == VERB_DATA || s->verb == VERB_RSET)
		s->lost = false; /* its refusal says it all */
	upstream_refuse(s, &r);
}

/* True: the reply is smtpd's; false: it went another way. */
static bool
upstream_on_mail(struct session *s, int kind)
{
	bool closing = s->reply.code == 421; /* RFC 5321 3.8, 4.2.1 */
	struct refusal r;

	refusal_quote(&r, &s->reply);
	if ((closing && s->used && upstream_again(s)) ||
	    (kind == 4 && upstream_next(s, &r, closing)) ||
	    (closing && upstream_again(s)))
		return false;
	s->transaction = kind == 2;
	if (s->rcpt == NULL) {
		if (kind != 2)
			upstream_forget(s);
		return true;
	}
	/* smtpd was told 250 by the host before this one */
	if (kind == 2)
		upstream_command(s, VERB_RCPT, s->rcpt);
	else {
		if (closing)
			talk_leave(s, false);
		upstream_refuse(s, &r);
	}
	return false;
}

/* As upstream_on_mail().  4xx is about this recipient, as in greylisting; but
 * 421 is about the session (RFC 5321 4.2.1). */
static bool
upstream_on_rcpt(struct session *s, int kind)
{
	struct refusal r;

	refusal_quote(&r, &s->reply);
	if (s->reply.code == 421 && upstream_next(s, &r, true))
		return false;
	if (kind == 2) /* it is this host's message */
		upstream_forget(s);
	free(s->rcpt);
	s->rcpt = NULL;
	return true;
}

/* A message was taken: the client logs this line, so it has the verdict, in
 * front of what a stranger says (P07). */
static void
upstream_name_verdict(struct session *s)
{
	char text[REPLY_LINE];
	size_t n;

	reply_text(&s->reply, text, sizeof text);
	n = strspn(text, "0123456789."); /* RFC 2034 */
	if (n < 5 || (text[n] != ' ' && text[n] != '\0'))
		n = 0;
	talk_line(s, "%d %.*s%s%s: %s: %s", s->reply.code, (int)n, text,
	    n > 0 ? " " : "", s->verdict, s->host,
	    text + n + strspn(text + n, " "));
	reply_reset(&s->reply);
}

static void
upstream_on_dot(struct session *s, int kind)
{
	/* the dot is with us still: it cannot have been taken */
	if (kind == 3 || (kind == 2 && stream_pending(s->upstream) > 0)) {
		s->verb = VERB_DATA;
		upstream_nonsense(s);
		return;
	}
	s->transaction = false;
	s->hub->count[kind == 2 ? COUNT_TAKEN :
		kind == 4       ? COUNT_LATER :
				  COUNT_REFUSED]++;
	if (kind == 2) {
		s->hub->count[COUNT_OCTETS] += s->octets;
		upstream_name_verdict(s);
	}
	upstream_hand_back(s);
}

static void
upstream_go_ahead(struct session *s)
{
	talk_say(s, s->reply.text, s->reply.len);
	reply_reset(&s->reply);
	upstream_forget(s);
	data_begin(s);
}

/* One reply, whole. */
static void
upstream_response(struct session *s)
{
	int kind = s->reply.code / 100;

	if (s->state == SESSION_DATA)
		data_early_reply(s);
	else if (s->state == SESSION_DOT)
		upstream_on_dot(s, kind);
	else if (s->verb == VERB_DATA && s->reply.code == 354)
		upstream_go_ahead(s);
	else if (kind == 3 || (s->verb == VERB_DATA && kind == 2))
		upstream_nonsense(s);
	else if (s->verb == VERB_MAIL && !upstream_on_mail(s, kind))
		return;
	else if (s->verb == VERB_RCPT && !upstream_on_rcpt(s, kind))
		return;
	else {
		if (s->verb == VERB_RSET)
			s->transaction = false;
		upstream_hand_back(s);
	}
}

/* ---------------------------------------------------------- how it is lost */

static void
upstream_log_lost(const struct session *s, const char *why)
{
	log_line(LOG_INFO, "%s via %s: session lost: %s", s->domain->name,
	    s->host, why);
}

/* In SESSION_COMMAND: the next MAIL makes another. */
static void
upstream_lost_idle(struct session *s, const char *why)
{
	if (s->transaction)
		upstream_log_lost(s, why);
	else if (!s->used)
		dial_failed(s->dial);
	talk_leave(s, false);
}

/* In SESSION_REPLY. */
static void
upstream_lost_reply(struct session *s, const char *why, const struct refusal *r)
{
	if ((s->used && upstream_again(s)) || upstream_next(s, r, true) ||
	    upstream_again(s))
		return;
	talk_leave(s, false);
	if (s->verb == VERB_RSET)
		s->lost = false;
	if (s->verb == VERB_NOOP || s->verb == VERB_RSET) {
		talk_enter(s, SESSION_COMMAND);
		talk_line(s, "250 2.0.0 ok");
		return;
	}
	upstream_log_lost(s, why);
	upstream_refuse(s, r);
}

void
upstream_lost(struct session *s, const char *why)
{
	struct refusal r;

	refusal_make(&r, 451, "4.4.2", "%s: %s", s->host, why);
	switch (s->state) {
	case SESSION_COMMAND:
		upstream_lost_idle(s, why);
		break;
	case SESSION_REPLY:
		upstream_lost_reply(s, why, &r);
		break;
	case SESSION_DATA:
		upstream_log_lost(s, why);
		data_fail(s, &r);
		break;
	case SESSION_DOT:
		upstream_log_lost(s, why);
		data_refuse(s, &r);
		break;
	case SESSION_DIAL: /* there is none */
	case SESSION_DISCARD:
	case SESSION_OVER:
		break;
	}
}

/* ------------------------------------------------------------------ events */

static void
upstream_on_readable(void *arg)
{
	struct session *s = arg;
	bool too_long = false;
	char *line;
	size_t len;
	int last = 0;

	if (evbuffer_get_length(stream_input(s->upstream)) == 0)
		return;
	if (s->state == SESSION_COMMAND) {
		upstream_lost(s, UPSTREAM_UNASKED);
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
	else if (last == 1)
		upstream_response(s);
	/* a second reply to one command: nothing fits from here on */
	if (last == 1 && s->upstream != NULL &&
	    evbuffer_get_length(stream_input(s->upstream)) > 0)
		upstream_lost(s, UPSTREAM_UNASKED);
}

/* There is room for more of the message. */
static void
upstream_on_drained(void *arg)
{
	talk_wake(arg);
}

static void
upstream_on_closed(void *arg, const char *why)
{
	upstream_lost(arg, why);
}

static const struct stream_ops upstream_ops = {
	.readable = upstream_on_readable,
	.drained = upstream_on_drained,
	.closed = upstream_on_closed,
};

static void
upstream_on_dialed(void *arg, const struct dialed *r)
{
	struct session *s = arg;

	if (r->stream != NULL) {
		s->upstream = r->stream;
		stream_set(s->upstream, &upstream_ops, s);
		s->ext = r->ext;
		snprintf(s->host, sizeof s->host, "%s", r->host);
		memcpy(s->verdict, r->verdict, sizeof s->verdict);
		s->expires = r->expires;
		s->fresh = s->mail != NULL;
		s->used = false;
		reply_reset(&s->reply);
		domain_works(s->domain);
	} else {
		dial_cancel(s->dial);
		s->dial = NULL;
		/* a host that was there may take the next message */
		if (!s->fresh)
			domain_failed(s->domain, &r->refusal);
	}
	talk_enter(s, SESSION_COMMAND);
	if (s->mail == NULL)
		upstream_hello(s, r->stream != NULL);
	else if (r->stream != NULL)
		upstream_mail(s);
	else
		upstream_refuse(s, &r->refusal);
}

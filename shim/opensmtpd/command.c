/* SPDX-License-Identifier: ISC */
/*
 * What smtpd asks for.  Each command is answered here, or is handed on to an
 * upstream, which is found when there is none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

#define ERRORS 20 /* commands of no use before the session ends */

/* --------------------------------------------------------------- upstream */

static void
hand_on(struct session *s, enum verb verb, const char *line)
{
	s->verb = verb;
	reply_reset(&s->reply);
	if (!stream_write(s->peer, line, strlen(line)) ||
	    !stream_write(s->peer, "\r\n", 2)) {
		peer_leave(s, false);
		session_line(s, "451 4.3.0 out of memory");
		return;
	}
	session_enter(s, SESSION_REPLY);
}

void
mail_forget(struct session *s)
{
	free(s->mail);
	s->mail = NULL;
}

/* MAIL with an upstream that may be used. */
static void
mail_hand_on(struct session *s)
{
	const char *lost;

	/* EHLO promised more than this one keeps: the message might need it,
	 * and would bounce */
	lost = extensions_lost(&s->shown, &s->ext);
	if (lost != NULL) {
		session_line(s,
		    "451 4.3.3 %s offers less %s than the host before it",
		    s->host, lost);
		mail_forget(s);
		session_enter(s, SESSION_COMMAND);
		return;
	}
	hand_on(s, VERB_MAIL, s->mail);
}

static void
ehlo_reply(struct session *s, bool good)
{
	char buf[DOMAIN_LEN + 200];
	size_t n;

	memset(&s->shown, 0, sizeof s->shown);
	if (!s->esmtp) {
		session_line(s, "250 %s", good ? s->host : s->domain->name);
		return;
	}
	/* without an upstream nothing is promised */
	if (good)
		s->shown = s->ext;
	n = extensions_reply(
	    &s->shown, good ? s->host : s->domain->name, buf, sizeof buf);
	session_say(s, buf, n);
}

static void
on_dialed(void *arg, const struct dialed *r)
{
	struct session *s = arg;

	s->dial = NULL;
	if (r->stream != NULL) {
		s->peer = r->stream;
		stream_set(s->peer, &upstream_ops, s);
		s->ext = r->ext;
		snprintf(s->host, sizeof s->host, "%s", r->host);
		s->expires = r->expires;
		s->fresh = s->mail != NULL;
		s->used = false;
		reply_reset(&s->reply);
		s->domain->failure.code = 0;
	} else
		domain_failed(s->hub, s->domain, &r->refusal);
	session_enter(s, SESSION_COMMAND);
	if (s->mail == NULL)
		ehlo_reply(s, r->stream != NULL);
	else if (r->stream != NULL)
		mail_hand_on(s);
	else {
		mail_forget(s);
		session_refuse(s, &r->refusal);
	}
	session_run(s);
}

void
upstream_dial(struct session *s)
{
	const struct danevirke_settings *set = s->hub->set;

	s->dial = dial_start(s->hub, s->domain->name,
	    set->relay_helo != NULL ? set->relay_helo : s->helo,
	    s->source4[0] != '\0' ? s->source4 : set->relay_source4,
	    set->relay_source6, on_dialed, s);
	if (s->dial != NULL) {
		session_enter(s, SESSION_DIAL);
		return;
	}
	session_enter(s, SESSION_COMMAND);
	if (s->mail == NULL)
		ehlo_reply(s, false);
	else
		session_line(s, "451 4.3.0 out of memory");
	mail_forget(s);
}

/* --------------------------------------------------------------- commands */

static void
do_ehlo(struct session *s, const char *line, bool esmtp)
{
	s->transaction = s->lost = false;
	peer_leave(s, true);
	if (!ehlo_name(line, s->helo, sizeof s->helo)) {
		s->helo[0] = '\0';
		session_line(s, "501 5.5.4 want a name");
		return;
	}
	s->esmtp = esmtp;
	if (domain_failure(s->domain) != NULL)
		ehlo_reply(s, false);
	else
		upstream_dial(s);
}

static void
do_mail(struct session *s, const char *line)
{
	const struct refusal *why;

	s->lost = false;
	if (s->helo[0] == '\0') {
		session_line(s, "503 5.5.1 EHLO first");
		return;
	}
	if (s->transaction) {
		session_line(s, "503 5.5.1 there is a transaction");
		return;
	}
	/* D15: what was judged by an answer that is over is judged anew; for
	 * the message that EHLO was said for, it holds */
	if (s->peer != NULL && s->used && boottime() >= s->expires)
		peer_leave(s, true);
	if (s->peer == NULL && (why = domain_failure(s->domain)) != NULL) {
		session_refuse(s, why);
		return;
	}
	mail_forget(s);
	if ((s->mail = strdup(line)) == NULL)
		session_line(s, "451 4.3.0 out of memory");
	else if (s->peer == NULL)
		upstream_dial(s);
	else
		mail_hand_on(s);
}

/* True, and answered, if there is no transaction. */
static bool
no_transaction(struct session *s)
{
	if (s->transaction)
		return false;
	if (s->lost)
		session_line(s, "451 4.4.2 %s: the session was lost", s->host);
	else
		session_line(s, "503 5.5.1 MAIL first");
	return true;
}

/* smtpd may send a domain to the address that another had before it, and two
 * domains over one session: each has its own verdict (S06). */
static void
do_rcpt(struct session *s, const char *line)
{
	char domain[DOMAIN_LEN], plain[DOMAIN_LEN];
	const char *why;

	if (no_transaction(s))
		return;
	if (!rcpt_domain(line, domain, sizeof domain) ||
	    !alias_domain(domain, plain, &why) ||
	    strcmp(plain, s->domain->name) != 0) {
		session_line(s,
		    "451 4.4.4 this session is for recipients at %s only",
		    s->domain->name);
		return;
	}
	hand_on(s, VERB_RCPT, line);
}

static void
do_quit(struct session *s)
{
	if (s->peer != NULL)
		peer_leave(s, true);
	session_line(s, "221 2.0.0 bye");
	session_end(s, true);
}

static void
command(struct session *s, const char *line)
{
	enum verb verb = verb_parse(line);

	switch (verb) {
	case VERB_EHLO:
	case VERB_HELO:
		do_ehlo(s, line, verb == VERB_EHLO);
		break;
	case VERB_MAIL:
		do_mail(s, line);
		break;
	case VERB_RCPT:
		do_rcpt(s, line);
		break;
	case VERB_DATA:
		if (!no_transaction(s))
			hand_on(s, verb, "DATA");
		break;
	case VERB_RSET:
	case VERB_NOOP:
		if (verb == VERB_RSET)
			s->lost = false;
		if (s->peer != NULL)
			hand_on(s, verb, verb == VERB_RSET ? "RSET" : "NOOP");
		else
			session_line(s, "250 2.0.0 ok");
		break;
	case VERB_QUIT:
		do_quit(s);
		break;
	case VERB_OTHER:
		if (++s->errors > ERRORS)
			session_end(s, false);
		else
			session_line(s, "502 5.5.1 not here");
		break;
	}
}

/* All of smtpd's input that can be used now. */
void
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
		session_enter(s, SESSION_COMMAND); /* the clock, anew */
		command(s, line);
		free(line);
		if (s->state == SESSION_DATA)
			data_pump(s);
		if (s->state == SESSION_DISCARD)
			data_discard(s);
	}
	if (too_long) {
		session_line(
		    s, "500 5.5.2 a line of more than %d octets", SMTP_LINE);
		session_end(s, true);
	}
}

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

/* RFC 5321 4.5.3.2 grants minutes to a reply, but smtpd waits for one only that
 * long: while another host may get the message, this one has its share (T11).
 */
static unsigned
reply_wait(const struct session *s)
{
	unsigned command = s->hub->set->relay_command_timeout, wait;
	uint64_t now = boottime();
	size_t others = s->mail != NULL ? dial_rest(s->dial) : 0;

	wait = turn_share(
	    s->patience > now ? s->patience - now : 1, others + 1);
	return wait < command ? wait : command;
}

void
hand_on(struct session *s, enum verb verb, const char *line)
{
	struct refusal r;

	s->verb = verb;
	reply_reset(&s->reply);
	if (!stream_write(s->upstream, line, strlen(line)) ||
	    !stream_write(s->upstream, "\r\n", 2)) {
		refusal_make(&r, 451, "4.3.0", "out of memory");
		upstream_leave(s, false);
		mail_refuse(s, &r);
		return;
	}
	s->wait = reply_wait(s);
	session_enter(s, SESSION_REPLY);
}

static void
rcpt_forget(struct session *s)
{
	free(s->rcpt);
	s->rcpt = NULL;
}

void
mail_forget(struct session *s)
{
	free(s->mail);
	s->mail = NULL;
	rcpt_forget(s);
}

/* If smtpd has its 250 to MAIL already, the recipients hear it. */
void
mail_refuse(struct session *s, const struct refusal *why)
{
	if (s->rcpt != NULL) {
		s->transaction = false;
		s->lost = true;
		s->refusal = *why;
	}
	mail_forget(s);
	session_enter(s, SESSION_COMMAND);
	session_refuse(s, why);
}

/* MAIL with an upstream that may be used. */
static void
mail_hand_on(struct session *s)
{
	struct refusal r;
	const char *lost;

	/* EHLO promised more than this one keeps: the message might need it,
	 * and would bounce */
	lost = extensions_lost(&s->shown, &s->ext);
	if (lost == NULL) {
		hand_on(s, VERB_MAIL, s->mail);
		return;
	}
	refusal_make(&r, 451, "4.3.3",
	    "%s offers less %s than the host before it", s->host, lost);
	if (!upstream_next(s, &r, false))
		mail_refuse(s, &r);
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

	if (r->stream != NULL) {
		s->upstream = r->stream;
		stream_set(s->upstream, &upstream_ops, s);
		s->ext = r->ext;
		snprintf(s->host, sizeof s->host, "%s", r->host);
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
	session_enter(s, SESSION_COMMAND);
	if (s->mail == NULL)
		ehlo_reply(s, r->stream != NULL);
	else if (r->stream != NULL)
		mail_hand_on(s);
	else
		mail_refuse(s, &r->refusal);
	session_run(s);
}

/* Within what is left of smtpd's patience. */
static uint64_t
dial_end(const struct session *s)
{
	uint64_t end = boottime() + s->hub->set->relay_ehlo_budget;

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
	    set->relay_source6, dial_end(s), on_dialed, s);
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

/* What smtpd was told stays as it is: recipients that this host refused are
 * not said again, and that MAIL was taken is true of the next host, or no
 * recipient is taken. */
bool
upstream_next(struct session *s, const struct refusal *why, bool fault)
{
	if (s->mail == NULL || (s->verb != VERB_MAIL && s->verb != VERB_RCPT))
		return false;
	if (fault)
		dial_failed(s->dial);
	if (s->dial == NULL || !dial_next(s->dial, dial_end(s), why, !fault))
		return false;
	upstream_leave(s, !fault);
	s->lost = false;
	s->fresh = true;
	session_enter(s, SESSION_DIAL);
	return true;
}

/* --------------------------------------------------------------- commands */

static void
do_ehlo(struct session *s, const char *line, bool esmtp)
{
	s->transaction = s->lost = false;
	mail_forget(s);
	upstream_leave(s, true);
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
	if (s->upstream != NULL && s->used && boottime() >= s->expires)
		upstream_leave(s, true);
	if (s->upstream == NULL && (why = domain_failure(s->domain)) != NULL) {
		session_refuse(s, why);
		return;
	}
	mail_forget(s);
	if ((s->mail = strdup(line)) == NULL)
		session_line(s, "451 4.3.0 out of memory");
	else if (s->upstream == NULL)
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
		session_refuse(s, &s->refusal);
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
	struct refusal lost = s->refusal;
	const char *why;

	if ((!s->lost || s->mail == NULL) && no_transaction(s))
		return;
	if (!rcpt_domain(line, domain, sizeof domain) ||
	    !alias_domain(domain, plain, &why) ||
	    strcmp(plain, s->domain->name) != 0) {
		session_line(s,
		    "451 4.4.4 this session is for recipients at %s only",
		    s->domain->name);
		return;
	}
	rcpt_forget(s);
	if (s->mail != NULL && (s->rcpt = strdup(line)) == NULL)
		session_line(s, "451 4.3.0 out of memory");
	else if (!s->lost)
		hand_on(s, VERB_RCPT, line);
	else if (!upstream_next(s, &lost, true))
		mail_refuse(s, &lost);
}

static void
do_quit(struct session *s)
{
	if (s->upstream != NULL)
		upstream_leave(s, true);
	session_line(s, "221 2.0.0 bye");
	session_end(s, true);
}

static void
command(struct session *s, const char *line)
{
	enum verb verb = verb_parse(line);

	s->verb = verb;
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
		if (verb == VERB_RSET) {
			s->lost = false;
			mail_forget(s);
		}
		if (s->upstream != NULL)
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
		s->patience = s->progress + PATIENCE;
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

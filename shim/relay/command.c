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

static void
command_ehlo(struct session *s, const char *line, bool esmtp)
{
	s->transaction = s->lost = false;
	upstream_forget(s);
	talk_leave(s, true);
	if (!ehlo_name(line, s->helo, sizeof s->helo)) {
		s->helo[0] = '\0';
		talk_line(s, "501 5.5.4 want a name");
		return;
	}
	s->esmtp = esmtp;
	if (domain_failure(s->domain) != NULL)
		upstream_hello(s, false);
	else
		upstream_dial(s);
}

static void
command_mail(struct session *s, const char *line)
{
	const struct refusal *why;

	s->lost = false;
	if (s->helo[0] == '\0') {
		talk_line(s, "503 5.5.1 EHLO first");
		return;
	}
	if (s->transaction) {
		talk_line(s, "503 5.5.1 there is a transaction");
		return;
	}
	/* D15: what was judged by an answer that is over is judged anew; for
	 * the message that EHLO was said for, it holds */
	if (s->upstream != NULL && s->used && hub_now() >= s->expires)
		talk_leave(s, true);
	if (s->upstream == NULL && (why = domain_failure(s->domain)) != NULL) {
		talk_refuse(s, why);
		return;
	}
	upstream_forget(s);
	if ((s->mail = strdup(line)) == NULL)
		talk_line(s, "451 4.3.0 out of memory");
	else if (s->upstream == NULL)
		upstream_dial(s);
	else
		upstream_mail(s);
}

/* True, and answered, if there is no transaction. */
static bool
command_lacks_mail(struct session *s)
{
	if (s->transaction)
		return false;
	if (s->lost)
		talk_refuse(s, &s->refusal);
	else
		talk_line(s, "503 5.5.1 MAIL first");
	return true;
}

/* smtpd may send a domain to the address that another had before it, and two
 * domains over one session: each has its own verdict (S06). */
static void
command_rcpt(struct session *s, const char *line)
{
	char domain[DOMAIN_LEN], plain[DOMAIN_LEN];
	struct refusal lost = s->refusal;
	const char *why;

	if ((!s->lost || s->mail == NULL) && command_lacks_mail(s))
		return;
	if (!rcpt_domain(line, domain, sizeof domain) ||
	    !alias_domain(domain, plain, &why) ||
	    strcmp(plain, s->domain->name) != 0) {
		talk_line(s,
		    "451 4.4.4 this session is for recipients at %s only",
		    s->domain->name);
		return;
	}
	free(s->rcpt);
	s->rcpt = NULL;
	if (s->mail != NULL && (s->rcpt = strdup(line)) == NULL)
		talk_line(s, "451 4.3.0 out of memory");
	else if (!s->lost)
		upstream_command(s, VERB_RCPT, line);
	else if (!upstream_next(s, &lost, true))
		upstream_refuse(s, &lost);
}

static void
command_quit(struct session *s)
{
	if (s->upstream != NULL)
		talk_leave(s, true);
	talk_line(s, "221 2.0.0 bye");
	talk_end(s, true);
}

void
command_run(struct session *s, const char *line)
{
	enum verb verb = verb_parse(line);

	s->verb = verb;
	switch (verb) {
	case VERB_EHLO:
	case VERB_HELO:
		command_ehlo(s, line, verb == VERB_EHLO);
		break;
	case VERB_MAIL:
		command_mail(s, line);
		break;
	case VERB_RCPT:
		command_rcpt(s, line);
		break;
	case VERB_DATA:
		if (!command_lacks_mail(s))
			upstream_command(s, verb, "DATA");
		break;
	case VERB_RSET:
	case VERB_NOOP:
		if (verb == VERB_RSET) {
			s->lost = false;
			upstream_forget(s);
		}
		if (s->upstream != NULL)
			upstream_command(
			    s, verb, verb == VERB_RSET ? "RSET" : "NOOP");
		else
			talk_line(s, "250 2.0.0 ok");
		break;
	case VERB_QUIT:
		command_quit(s);
		break;
	case VERB_OTHER:
		if (++s->errors > ERRORS)
			talk_end(s, false);
		else if (strncasecmp(line, "LHLO", 4) == 0)
			/* An LMTP client whose next hop a map has changed:
			 * the mail of local users must not come back. */
			talk_line(s, "451 4.3.5 no LMTP here");
		else
			talk_line(s, "502 5.5.1 not here");
		break;
	}
}

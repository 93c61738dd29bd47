/* SPDX-License-Identifier: ISC */
/*
 * session.h - one session: smtpd's connection to an alias, and the upstream
 * session that its messages go to
 *
 * One message by way of the files of relay.h, in call order ("->": from the
 * loop):
 *
 *	session_new()				COMMAND	220
 *	-> session_run() command_run() EHLO
 *	   upstream_dial() dial_start()		DIAL
 *	-> upstream_on_dialed()
 *	   upstream_hello()			COMMAND	250
 *	-> command_run() MAIL upstream_mail()
 *	   upstream_command()			REPLY
 *	-> upstream_response()
 *	   upstream_hand_back()			COMMAND	250
 *	-> command_run() RCPT, as MAIL
 *	-> command_run() DATA
 *	-> upstream_response() data_begin()	DATA	354
 *	-> session_run() data_pump() ...	DOT
 *	-> upstream_response()
 *	   upstream_hand_back()			COMMAND	250
 *	-> command_run() QUIT talk_end()	OVER	221
 *	-> session_free() domain_leave()
 *
 * Another way: upstream_next() to the next host (T12), upstream_again() to a
 * new session for one that is used up, data_fail() to DISCARD, and
 * upstream_refuse() or data_refuse() to a refusal.  talk_enter() decides what a
 * state's time is, traces it at LOG_DEBUG, and wakes session_run(), which
 * nobody but the loop calls.
 */
#ifndef SESSION_H
#define SESSION_H

#include "relay.h"

enum session_state {
	SESSION_COMMAND = 0, /* smtpd's turn */
	SESSION_DIAL,        /* an upstream session is being made */
	SESSION_REPLY,       /* a command was handed on: upstream's turn */
	SESSION_DATA,        /* a message streams */
	SESSION_DISCARD,     /* the rest of one that cannot be delivered */
	SESSION_DOT,         /* all of it was sent: upstream's turn */
	SESSION_OVER         /* wake frees it */
};

struct session {
	struct hub *hub;
	struct domain *domain;
	struct stream *client; /* smtpd */
	struct event *timer;
	struct event *wake; /* active when the state has become another one */
	enum session_state state;
	uint64_t progress; /* when something moved last, hub_now() */
	unsigned limit;    /* seconds from there, of the state */
	uint64_t patience; /* smtpd's, for this command, ends then */
	unsigned wait;     /* SESSION_REPLY: seconds for the upstream's turn */

	/* what smtpd said and was told */
	char helo[256]; /* "": nothing yet */
	bool esmtp;
	unsigned errors;
	char source4[16]; /* smtpd's own address, "": not set */
	struct extensions shown;

	/* the upstream */
	struct dial *dial;       /* what made it, or makes it; NULL: none */
	struct stream *upstream; /* NULL: none; MAIL makes one */
	struct extensions ext;
	char host[DOMAIN_LEN];
	char verdict[DIALED_VERDICT]; /* of its session */
	uint64_t expires;             /* the answer's */
	bool fresh;                   /* made for the MAIL under way */
	bool used;                    /* it has answered a command */

	/* the command under way */
	enum verb verb;
	/* the MAIL line, while another host may get the message: until it is
	 * refused or a recipient is accepted (T12) */
	char *mail;
	char *rcpt;         /* the RCPT line under way, as long */
	bool transaction;   /* the upstream took MAIL */
	bool lost;          /* one that did is gone, and smtpd has to hear it */
	struct reply reply; /* under way */
	struct dot dot;
	uint64_t octets;        /* of the message, as far as it has gone */
	struct refusal refusal; /* lost, DISCARD: what smtpd will hear */
};

/* ------------------------------------------------------------ command.c */

/* In SESSION_COMMAND; line is without its end. */
void command_run(struct session *, const char *line);

/* ----------------------------------------------------------- upstream.c */

/* Looks for an upstream, for s->mail or, without one, for EHLO. */
void upstream_dial(struct session *);
/* The message under way goes to the next host, if no recipient has been
 * accepted (T12).  fault: of the host, which then comes last for a while; else
 * why holds what it says to the message.  False: there is none, and smtpd must
 * be answered. */
bool upstream_next(struct session *, const struct refusal *why, bool fault);
/* The command, with its line, goes to the upstream. */
void upstream_command(struct session *, enum verb, const char *line);
/* s->mail goes to it, if it offers what smtpd was promised. */
void upstream_mail(struct session *);
/* The reply to EHLO or HELO.  good: there is an upstream. */
void upstream_hello(struct session *, bool good);
/* What smtpd hears to its command: there is no upstream for it. */
void upstream_refuse(struct session *, const struct refusal *why);
/* The upstream is gone, or as good as. */
void upstream_lost(struct session *, const char *why);
/* The message goes to no other host. */
void upstream_forget(struct session *);

/* --------------------------------------------------------------- data.c */

/* DATA was agreed upon: SESSION_DATA. */
void data_begin(struct session *);
/* Moves what can be moved; at the final dot the state is SESSION_DOT. */
void data_pump(struct session *);
/* The upstream talks before it has all. */
void data_early_reply(struct session *);
/* The message cannot be delivered: nothing more of it goes upstream, and smtpd
 * hears r when it has sent all.  SESSION_DISCARD. */
void data_fail(struct session *, const struct refusal *r);
/* In SESSION_DISCARD: drops what is there. */
void data_discard(struct session *);
/* smtpd has sent all, and hears r.  SESSION_COMMAND. */
void data_refuse(struct session *, const struct refusal *r);

/* --------------------------------------------------------------- talk.c */

/* Wakes the session, from the loop, if the state is another one. */
void talk_enter(struct session *, enum session_state);
/* The state may be the same, but there is something to do. */
void talk_wake(struct session *);
/* The name of the state. */
const char *talk_state(const struct session *);
/* To smtpd; all that it hears comes through here. */
void talk_say(struct session *, const char *text, size_t len);
/* One line, which is cleaned and cut. */
void talk_line(struct session *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void talk_refuse(struct session *, const struct refusal *);
/* The upstream is of no more use; gracefully: QUIT is said.  A transaction
 * under way is lost. */
void talk_leave(struct session *, bool gracefully);
/* Gracefully: smtpd gets what was said.  SESSION_OVER: the struct lives until
 * the loop runs again. */
void talk_end(struct session *, bool gracefully);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * A session, as its files share it:
 *
 *	session.c	its states and timers, its beginning and end
 *	command.c	what smtpd asks for
 *	upstream.c	what the upstream answers
 *	data.c		the message
 */
#ifndef SESSION_H
#define SESSION_H

#include "relay.h"

#define PATIENCE 290 /* seconds; smtpd waits 300 for any reply */

enum session_state {
	SESSION_COMMAND = 0, /* smtpd's turn */
	SESSION_DIAL,        /* an upstream session is being made */
	SESSION_REPLY,       /* a command was handed on: upstream's turn */
	SESSION_DATA,        /* a message streams */
	SESSION_DISCARD,     /* the rest of one that cannot be delivered */
	SESSION_DOT,         /* all of it was sent: upstream's turn */
	SESSION_OVER         /* to be freed by the loop */
};

struct session {
	struct hub *hub;
	struct domain *domain;
	struct stream *client; /* smtpd */
	struct event *timer;
	enum session_state state;
	uint64_t progress; /* when something moved last, boottime() */
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
	uint64_t expires; /* the answer's */
	bool fresh;       /* made for the MAIL under way */
	bool used;        /* it has answered a command */

	/* the command under way */
	enum verb verb;
	/* The MAIL line, while another host may get the message: until it is
	 * refused or a recipient is accepted (T12).  The RCPT line under way,
	 * as long. */
	char *mail, *rcpt;
	bool transaction;   /* the upstream took MAIL */
	bool lost;          /* and is gone since */
	struct reply reply; /* under way */
	struct dot dot;
	struct refusal refusal; /* lost, DISCARD: what smtpd will hear */
};

/* ------------------------------------------------------------ session.c */

void session_enter(struct session *, enum session_state);
/* The struct lives until the loop runs again: callers may hold it. */
void session_end(struct session *, bool gracefully);
/* To smtpd; all that it hears comes through here. */
void session_say(struct session *, const char *text, size_t len);
/* One line, which is cleaned and cut. */
void session_line(struct session *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void session_refuse(struct session *, const struct refusal *);
/* Fills r.  The text is cleaned. */
void refusal_make(struct refusal *r, int code, const char *enhanced,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The upstream is of no more use; gracefully: QUIT is said.  A transaction
 * under way is lost. */
void upstream_leave(struct session *, bool gracefully);

/* ------------------------------------------------------------ command.c */

/* All of smtpd's input that can be used now. */
void session_run(struct session *);
/* Looks for an upstream, for s->mail or, without one, for EHLO. */
void upstream_dial(struct session *);
/* The message under way goes to the next host, if no recipient has been
 * accepted (T12).  fault: of the host, which then comes last for a while; else
 * why holds what it says to the message.  False: there is none, and smtpd must
 * be answered. */
bool upstream_next(struct session *, const struct refusal *why, bool fault);
/* The command, with its line, goes to the upstream. */
void hand_on(struct session *, enum verb, const char *line);
/* What smtpd hears to its command: there is no upstream for it. */
void mail_refuse(struct session *, const struct refusal *why);
void mail_forget(struct session *);

/* ----------------------------------------------------------- upstream.c */

extern const struct stream_ops upstream_ops; /* of s->upstream */
/* It is gone, or as good as. */
void upstream_lost(struct session *, const char *why);

/* --------------------------------------------------------------- data.c */

/* DATA was agreed upon: the state is SESSION_DATA. */
void data_begin(struct session *);
/* Moves what can be moved; at the final dot the state is SESSION_DOT. */
void data_pump(struct session *);
/* The message cannot be delivered: nothing more of it goes upstream, and smtpd
 * hears r when it has sent all. */
void data_fail(struct session *, const struct refusal *r);
/* In SESSION_DISCARD.  True: smtpd has sent all, and was answered. */
bool data_discard(struct session *);
/* The upstream talks before it has all. */
void data_early_reply(struct session *);

#endif

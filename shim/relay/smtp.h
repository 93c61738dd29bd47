/* SPDX-License-Identifier: ISC */
/* The words of SMTP, both sides; pure. */
#ifndef SMTP_H
#define SMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMTP_LINE 4096  /* octets of a line that is read */
#define REPLY_ROOM 1900 /* smtpd keeps 2048 octets of a reply */
#define REPLY_LINE 480  /* octets of a line that is handed on */

/* In place: one line of printable ASCII.  smtpd ends a session in which a
 * reply holds anything else. */
void text_clean(char *);

#define REASON_LEN 400

/* What smtpd hears instead of an upstream's reply.  Code 0: nothing; else 4xx
 * or 5xx. */
struct refusal {
	int code;
	char enhanced[8];      /* "4.7.5"; "": text has its own */
	char text[REASON_LEN]; /* printable, one line */
};

/* Fills r.  The text is cleaned and cut. */
void refusal_make(struct refusal *r, int code, const char *enhanced,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* An upstream's reply as it is handed on: whole, and never partly. */
struct reply {
	int code;              /* 0: nothing yet */
	unsigned lines;        /* that came */
	size_t len;            /* of text */
	char text[REPLY_ROOM]; /* lines with CRLF, NUL-terminated; lines that
				* do not fit are left out, but for the last */
};

void reply_reset(struct reply *);
/* 1: that was the last line, 0: more must come, -1: this is no reply, -2: it is
 * one of too many lines; then the reply is reset.  line is without its end. */
int reply_add(struct reply *, const char *line);
/* The text of the last line, with its enhanced code, without CRLF. */
void reply_text(const struct reply *, char *buf, size_t len);

/* An upstream's refusal in its own words. */
void refusal_quote(struct refusal *, const struct reply *);

/* What an upstream offers, as far as the relay can hand it on. */
struct extensions {
	bool eightbit, utf8, dsn, codes;
	bool size;      /* offered */
	uint64_t limit; /* octets; 0: none said */
};

/* Lines of an EHLO reply without code, [0] the greeting. */
void extensions_parse(struct extensions *, const char *const *ehlo, size_t n);
/* The EHLO reply, CRLF included; its length. */
size_t extensions_reply(
    const struct extensions *, const char *name, char *buf, size_t len);
/* What was shown and is not kept by now: a word for it, or NULL. */
const char *
extensions_lost(const struct extensions *shown, const struct extensions *now);

enum verb {
	VERB_OTHER = 0,
	VERB_EHLO,
	VERB_HELO,
	VERB_MAIL,
	VERB_RCPT,
	VERB_DATA,
	VERB_RSET,
	VERB_NOOP,
	VERB_QUIT
};

/* A line that holds control characters is VERB_OTHER. */
enum verb verb_parse(const char *line);
/* "EHLO name" -> name; false: none, or none that may be repeated to others. */
bool ehlo_name(const char *line, char *buf, size_t len);
/* "RCPT TO:<@relay:local@domain> ..." -> domain as written; false: none */
bool rcpt_domain(const char *line, char *buf, size_t len);

/* Finds the end of a message (RFC 5321 4.1.1.4) in any number of pieces:
 * CRLF.CRLF and nothing else.  Zeroed: at its start. */
struct dot {
	uint8_t state;
};
/* Octets of p that belong to the message; *end: with them it is complete. */
size_t dot_find(struct dot *, const uint8_t *p, size_t len, bool *end);

#endif

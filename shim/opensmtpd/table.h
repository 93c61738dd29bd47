/* SPDX-License-Identifier: ISC */
/*
 * table.h - table-danevirke: smtpd's end of the relay
 *
 * smtpd starts the parent (main.c), which owns fd 0 and must outlive any
 * trouble: all of smtpd falls with it.  It answers from memory and holds
 * nothing but the table of aliases and their listening sockets.
 *
 *	main.c		fd 0
 *	imsg.c line.c	the table protocols, pure: octets -> request -> reply
 *
 * Configuration, aliases, listening sockets, relay children and the loop are
 * relay/process.h's.
 */
#ifndef TABLE_H
#define TABLE_H

#include "relay/process.h"

/* ----------------------------------------------------------- protocols */

#define REQUEST_MAX 16384 /* octets of one request */
#define REPLY_MAX 1024    /* octets of one reply */

enum request_op {
	REQUEST_NONE = 0, /* nothing to answer; why may tell what is wrong */
	REQUEST_OPEN,     /* the handshake is complete: answer REPLY_YES */
	REQUEST_UPDATE,
	REQUEST_LOOKUP,
	REQUEST_CHECK,
	REQUEST_FETCH,
	REQUEST_CLOSE, /* no answer: smtpd goes */
	REQUEST_BAD    /* answer REPLY_ERROR; why tells what is wrong */
};

struct request {
	enum request_op op;
	bool relayhost;  /* LOOKUP, CHECK, FETCH: this service is asked for */
	char key[1024];  /* LOOKUP, CHECK */
	char id[64];     /* lines: to be repeated in the reply */
	char word[16];   /* lines: the operation, likewise */
	const char *why; /* NULL, or constant text */
};

enum table_reply { REPLY_ERROR = -1, REPLY_NO = 0, REPLY_YES = 1 };

/* The first request in len octets: its length, with r written; 0 if more
 * octets are needed; -1 if nothing that follows can be understood, r->why. */
ssize_t imsg_parse(const uint8_t *buf, size_t len, struct request *r);
ssize_t line_parse(const uint8_t *buf, size_t len, struct request *r);
/* text: the value of a LOOKUP answered YES, or the reason of an ERROR (where
 * the protocol has room for one).  Octets written, at most REPLY_MAX. */
size_t imsg_reply(const struct request *, enum table_reply, const char *text,
    uint8_t buf[REPLY_MAX]);
size_t line_reply(const struct request *, enum table_reply, const char *text,
    uint8_t buf[REPLY_MAX]);
/* By the first octets: 'i' imsg, 'l' lines, 0 more are needed, -1 neither */
int protocol_guess(const uint8_t *buf, size_t len);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * map.h - danevirked: the map that mail servers ask for a domain's address
 *
 *	main.c		the program: its signals, and its user
 *	map.c		sockets, and who may ask
 *	request.c	the two protocols, pure: octets -> request -> reply
 *
 * Configuration, aliases, listening sockets, relay children and the loop are
 * relay/process.h's.
 */
#ifndef MAP_H
#define MAP_H

#include "relay/process.h"

/* ------------------------------------------------------------- protocols */

/*
 * A request is a netstring, as Postfix's and Sendmail's socketmap send it, or
 * one line, for Exim's ${readsocket:
 *
 *	21:danevirke example.org,	FORM SP DOMAIN
 *	example.org			DOMAIN: form exim
 *	danevirke example.org		FORM SP DOMAIN
 *
 * In place of DOMAIN there may be a whole address.
 *
 * What begins with digits and a ':' is a netstring: neither a form nor a domain
 * does.  The reply is a netstring or a line likewise:
 *
 *	OK VALUE	in the words of the form
 *	NOTFOUND	no domain is meant
 *	TEMP WHY	later, perhaps
 *	PERM WHY	never
 */
#define MAP_REQUEST_MAX 1024 /* octets of one request */
#define MAP_REPLY_MAX 512    /* octets of one reply */

struct map_request {
	bool netstring;
	unsigned form;             /* for map_value() */
	char key[MAP_REQUEST_MAX]; /* the domain, as it was sent */
	const char *why;           /* NULL, or why it is PERM: constant text */
};

enum map_word { MAP_TEMP = 0, MAP_OK, MAP_NOTFOUND, MAP_PERM };

/* The first request in len octets: its length, with r written; 0 if more
 * octets are needed; -1 if nothing that follows can be understood, r->why. */
ssize_t map_parse(const uint8_t *buf, size_t len, struct map_request *r);
/* The domain in a key: Postfix asks for whole addresses.  NULL: there is none to
 * be found, for the key is the "*" that it asks for once. */
const char *map_domain(const char *key);
/* An address and port, in the words of the request's form. */
void map_value(const struct map_request *, const char *addr, uint16_t port,
    char *buf, size_t len);
/* Octets written, at most MAP_REPLY_MAX. */
size_t map_reply(const struct map_request *, enum map_word, const char *text,
    uint8_t buf[MAP_REPLY_MAX]);

/* ------------------------------------------------------------------- map */

#define MAP_CLIENTS 128 /* at a time; the idlest makes room */
#define MAP_IDLE 30     /* seconds from one whole request to the next */
#define MAP_FDS (2 + MAP_CLIENTS)

/* Listens, by the configuration.  False, and why. */
bool map_open(const struct checked *, char *why, size_t len);
/* Who may ask from now on. */
void map_users(const struct checked *);
/* What to wait for: writes MAP_FDS of them.  When to come back at the latest,
 * UINT64_MAX: never. */
uint64_t map_expect(struct pollfd *, uint64_t now);
/* What has come is answered. */
void map_turn(struct parent *, const struct pollfd *);
/* Nobody is answered any more. */
void map_close(void);
/* In a child: only its descriptors are closed. */
void map_leave(void);

#endif

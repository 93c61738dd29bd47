/* SPDX-License-Identifier: ISC */
/*
 * What the files of exim.so share.  The data path of one message:
 *
 *	exim.c	danevirke_route		router: domain -> addresses
 *	ask.c	  answer_route()	  engine, or a child that is not root
 *	exim.c	danevirke_event		tcp:connect: may this host be used?
 *	exim.c	danevirke_require_tls, danevirke_sni, danevirke_priority
 *	exim.c	danevirke_event		tls:cert: the chain, judged at depth 0
 *	exim.c	danevirke_gate		before MAIL FROM: is there a verdict
 *					that this very session satisfies?
 *
 * Exim starts processes often and forks a transport from the process that
 * routed: answers are memory and are inherited, engines are not.
 */
#ifndef SHIM_H
#define SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "danevirke.h"
#include "load.h"

#define TEXT_LEN 1024

/* One next hop: a mail domain, or "host=NAME:PORT" for a relay host. */
struct hop {
	const char *profile;
	const char *name; /* as given: the key */
	char host[256];   /* what is asked */
	enum danevirke_kind kind;
	uint16_t port;
};

struct known { /* an answer this process holds */
	char *profile, *name;
	const struct danevirke_answer *answer;
	struct known *next;
};

/* log.c is Exim's: one line in its main log */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ask.c */
const struct danevirke_api *api(char *why); /* NULL: why (TEXT_LEN) */
bool hop_parse(struct hop *, const char *profile, const char *name, char *why);
/* For the router: the kept one within its TTL, else asked and kept.  NULL: why */
const struct danevirke_answer *answer_route(const struct hop *, char *why);
/* The kept one, NULL: none */
const struct danevirke_answer *answer_known(const struct hop *);
/* The kept one, asked anew if its TTL is over (D15).  A relay host, whose name
 * stands in the configuration, may be asked for the first time.  NULL: why */
const struct danevirke_answer *answer_fresh(const struct hop *, char *why);
/* A session with this address has passed the gate.  False: out of memory */
bool answer_used(const struct hop *, const char *address);
/* Another next hop, by whose session mail could go to one of these addresses
 * where this answer demands TLS */
const char *
answer_conflict(const struct hop *, const struct danevirke_answer *);

#endif

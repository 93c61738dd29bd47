/* SPDX-License-Identifier: ISC */
/*
 * What the files of exim.so share.  The data path of one message:
 *
 *	exim.c	danevirke_route		router: domain -> addresses
 *	keep.c	  answer_route()	  what this process knows
 *	ask.c	    answer_ask()	  the store, or a child that asks
 *	session.c danevirke_event	tcp:connect: may this host be used?
 *	exim.c	danevirke_require_tls, danevirke_sni, danevirke_priority
 *	session.c danevirke_event	tls:cert: the chain, judged at depth 0
 *	exim.c	danevirke_gate		before MAIL FROM: is there a verdict
 *					that this very session satisfies?
 *
 * Calls go down: exim.c, session.c, hop.c (whom a hook is asked about), keep.c,
 * ask.c, say.c (arguments, texts), caller.c (which Exim this is, and its log).
 *
 * Exim starts processes often and forks a transport from the process that
 * routed: answers are memory and are inherited, engines are not.
 */
#ifndef SHIM_H
#define SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "danevirke.h"
#include "load.h"

#define OK 0
#define FAIL 2   /* the text in *yield */
#define FORCED 4 /* "forcedfail" */

#define TEXT_LEN 1024
#define MAX_PACKED (4u << 20) /* octets of an answer */

typedef unsigned char uschar; /* as Exim has it */

/* One next hop: a mail domain, or "host=NAME:PORT" for a relay host. */
struct hop {
	const char *profile;
	const char *name; /* as given: the key */
	char host[256];   /* what is asked */
	enum danevirke_kind kind;
	uint16_t port;
};

/* session.c */
void session_handshake(void); /* begins */
void session_in_clear(void);  /* Exim may go on without TLS */
/* Reports what became of it, once (K02) */
void session_report(const struct hop *, const struct danevirke_answer *,
    const struct danevirke_host *, bool tls, enum danevirke_result,
    const char *text);
/* Logs, once, why there is no TLS; detail: what Exim says, or NULL */
void session_no_tls(const struct hop *, const struct danevirke_answer *,
    const struct danevirke_host *, const char *address, const char *detail);
/* Is there a certificate (argv[5])?  *how: how it was satisfied, if it is the
 * one that was judged in this very session; else NULL */
bool
session_cert(const struct hop *, int argc, uschar **argv, const char **how);

/* ask.c */
const struct danevirke_api *exim_api(char *why); /* NULL: why (TEXT_LEN) */
/* Within resolver.timeout, or in a hurry within a few seconds; *given_up: it
 * took longer (D16).  NULL: why */
const struct danevirke_answer *
answer_ask(const struct hop *, bool hurry, bool *given_up, char *why);
/* As dv->report(), if danevirke.conf names this collector */
void answer_report(const struct hop *, const struct danevirke_answer *,
    const struct danevirke_host *, const struct danevirke_session *);
time_t exim_ticks(void); /* seconds; who sets the clock does not change them */

/* keep.c */
/* For the router: the kept one within its TTL, else asked and kept; NULL:
 * why */
const struct danevirke_answer *answer_route(const struct hop *, char *why);
/* The kept one, NULL: none */
const struct danevirke_answer *answer_known(const struct hop *);
/* The kept one, asked anew if its TTL is over (D15).  A relay host, whose name
 * stands in the configuration, may be asked for the first time.  NULL: why */
const struct danevirke_answer *answer_fresh(const struct hop *, char *why);
/* A session with this address has passed the gate.  False: out of memory */
bool answer_used(const struct hop *, const char *address);
/* Is this the first time that it is said of what is kept? */
bool answer_first(const struct hop *);
/* Another next hop, by whose session mail could go to one of these addresses
 * where this answer demands TLS */
const char *
answer_conflict(const struct hop *, const struct danevirke_answer *);

/* hop.c: the next hop for the log, as it is written there everywhere */
const char *hop_text(int argc, uschar **argv);
/* {profile}{domain}; false: why */
bool hop_args(struct hop *, int argc, uschar **argv, char *why);
/* Of the hosts at this address the one with the strictest action */
const struct danevirke_host *
hop_host(const struct danevirke_answer *, const char *address);
/* The answer and host of a hook with {profile}{domain}{address}{port}; NULL:
 * why.  A host that the answer does not name is refused. */
const struct danevirke_host *
hop_asked(struct hop *, const struct danevirke_answer **, int argc,
    uschar **argv, bool fresh, char *why);
/* A session's line in the log */
void hop_verdict(const struct hop *, const struct danevirke_answer *,
    const struct danevirke_host *, bool tls, bool verified, const char *verdict,
    const char *reason);

/* caller.c: one line in Exim's main log */
void exim_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Is this Exim one whose hooks are as HOOKS has them?  False: why (TEXT_LEN) */
bool caller_fits(char *why);

/* say.c */
/* argv[i], "" where there is none */
const char *exim_arg(int argc, uschar **argv, int i);
/* A text that Exim takes for untainted, malloc'd; and the code */
int exim_hand(uschar **yield, int code, char *text);
int exim_give(uschar **yield, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif

/* SPDX-License-Identifier: ISC */
/*
 * hook.h - the functions of exim.so, called as Exim calls them, with a module
 * whose answers are made up; its verify(), pack() and unpack() are the real
 * ones.
 *
 * What is asked for decides by its first label what comes back:
 *
 *	null none loop defer	that outcome
 *	off audit wait		levels; wait: audit that would defer
 *	insecure exception	as any other, with that beside it
 *	dead			a route without any host that may be used
 *	bare			an answer of zeros, stored
 *	weak			as any other, all hosts opportunistic
 *	old			as any other, past its TTL
 *	ends			no answer: the process that asks dies
 *	spoilt huge		an answer that does not survive a pipe
 *	uid			defer, and the reason is who asked, and in how
 *				many other groups that is
 *	spins sleeps		no answer: the process that asks computes
 *				without end, or waits
 *	drags			defer, and half a minute is over
 *	stored			this process has it without asking
 *	many			a route of 2,000,000 octets
 *	others			the hosts below
 *
 * MX1 and V6 are to be authenticated by the key of "leaf" (3 1 1), TA by that
 * of "root-ever" (2 1 1), MX2 is opportunistic, MX3 is to be encrypted and
 * MX4 must not be used.  A fifth host is opportunistic and has MX5, MX1 and
 * MX4.  A relay host is MX1 alone.
 */
#ifndef HOOK_H
#define HOOK_H

#include <stdbool.h>
#include <stddef.h>

#define OK 0
#define FAIL 2
#define FORCED 4

#define MX1 "192.0.2.1"
#define MX2 "192.0.2.2"
#define MX3 "192.0.2.3"
#define MX4 "192.0.2.4"
#define MX5 "192.0.2.5"
#define TA "192.0.2.6"
#define V6 "2001:db8::1"

typedef int hook(unsigned char **, int, unsigned char **);
hook danevirke_route, danevirke_unroutable, danevirke_require_tls;
hook danevirke_sni, danevirke_priority, danevirke_event;
hook danevirke_gate, danevirke_auth;

struct pretence {
	bool unloadable, unopenable, mute; /* ask() fails */
	bool full;                         /* no memory for texts */
	bool root;                         /* we are, or seem to be */
	const char *user;                  /* exim.user */
	unsigned timeout;                  /* resolver.timeout */
	int opened, closed, asked;
	int looked; /* into the store only; asked does not count it */
	int recalled;
	int forked;            /* by whomever */
	const char *collector; /* what danevirke.conf says; NULL: nobody */
	int ahead;             /* seconds that CLOCK_MONOTONIC is */
	char asked_for[512];   /* "KIND NAME PORT PROFILE", the last one */
};
/* shared with the processes that the shim makes */
extern struct pretence *fake_shared;
#define fake (*fake_shared)
extern char text[4096];   /* what the last call gave */
extern char logged[8192]; /* what went to the log since log_clear() */
/* "HOST RESULT tls|clear FROM ADDRESS HELO: TEXT" each, since log_clear() */
extern char reported[4096];

int hook_setup(void **);
int hook_teardown(void **);
/* True if this process can become another user */
bool hook_is_root(void);

/* Calls it and looks at what holds for every call: no return code that Exim
 * takes for a broken configuration, and a text of one line. */
int call(hook *, const char *const *argv, size_t argc);
#define CALL(f, ...) \
	call(f, (const char *const[]){ __VA_ARGS__ }, \
	    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/* A certificate of specs.h as Exim gives it.  "+ID" has an octet behind it,
 * "-ID" lacks one, "=ID" is a SET, "ID*2" is there twice, "zeros" is a
 * SEQUENCE of 90,000 octets; "!TEXT" is TEXT itself. */
const char *base64(const char *id);

void log_clear(void);

#endif

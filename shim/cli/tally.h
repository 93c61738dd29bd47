/* SPDX-License-Identifier: ISC */
/*
 * tally.h - what mail servers' logs say that Danevirke decided, counted
 *
 * Pure: octets in, numbers out.  A line counts if its beginning is what the
 * mail server or syslog writes there, and Danevirke's own words follow at once
 * (RULES: "a verdict is what happened to one host"):
 *
 *	2026-11-28 23:50:04 [7] 1xXSBA-0000GW-1q danevirke: DOMAIN via HOST:PORT:
 *	    dane: REASON
 *	2026-11-28T23:50:04.1+00:00 mx danevirked[7]: DOMAIN: deferred: REASON
 *
 * What strangers say stands behind that and is never looked for: names of
 * domains and hosts have no blanks, and a line is one decision at most.  A
 * reason may quote a server's reply, which then can tell nothing but the kind
 * of its own deferral.
 */
#ifndef TALLY_H
#define TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TALLY_LINE 8192 /* octets; longer lines are none of ours */

enum { TALLY_EXIM, TALLY_OPENSMTPD, TALLY_DANEVIRKED, TALLY_SERVERS };
enum { TALLY_DEFERRED = 6, TALLY_VERDICTS = 8, TALLY_REASONS = 16 };

/* Labels, by index. */
extern const char *const tally_servers[TALLY_SERVERS];
extern const char *const tally_verdicts[TALLY_VERDICTS]; /* tests/RULES */
/* Of deferrals: RFC 8460 4.3 words, as far as the line has one, and our own. */
extern const char *const tally_reasons[TALLY_REASONS];

/* One decision. */
struct tally_line {
	unsigned server, verdict;
	int reason;        /* -1: it is no deferral */
	bool audit, would; /* by level audit; it would have been deferred */
	bool exception;    /* by a rule of danevirke.conf */
};

/* False: it is no decision. */
bool tally_line(const char *, size_t, struct tally_line *);

/* Zeroed at first. */
struct tally {
	uint64_t lines;
	struct tally_server {
		uint64_t decisions, verdict[TALLY_VERDICTS];
		uint64_t reason[TALLY_REASONS]; /* of deferrals */
		uint64_t audit, would, exception;
	} server[TALLY_SERVERS];
	bool skip; /* the line is too long */
	size_t n;
	char line[TALLY_LINE]; /* as far as it has come */
};

/* Octets of a log, in pieces of any size. */
void tally_feed(struct tally *, const char *, size_t);
/* The log's end; another one may follow. */
void tally_end(struct tally *);

#endif

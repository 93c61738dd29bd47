/* SPDX-License-Identifier: ISC */
/*
 * state.h - the TLSA records of a host, and how long they have been there
 *
 * What DNS shows is known only when it is asked.  A record counts as visible
 * from the first time it was seen, and as gone from the first time it was
 * not; caches elsewhere may lag behind either by a TTL, and secondary servers
 * by some more: two TTLs (L02).
 */
#ifndef STATE_H
#define STATE_H

#include "cli.h"

struct seen {
	uint8_t kind[3];
	bool gone;
	struct blob data;
	bool matches; /* rollover.c: it is of the new certificate */
	time_t since; /* seen, or gone: not seen, for the first time */
	time_t ready; /* from then on nobody holds a set without it; gone:
					 * with it */
};

struct state {
	const char *host; /* the caller's */
	unsigned long port;
	time_t asked;  /* last; 0: never */
	uint32_t ttl;  /* seconds that caches keep what was seen then */
	time_t cached; /* until then somebody may hold an earlier set; 0:
					 * no set but this is known */
	struct seen *seen;
	size_t n;
};

/* Reads path, which must be this host's; no such file: s is left empty.
 * 0, or -1: reported. */
int state_read(struct cli *, const char *path, time_t now, struct state *s);
/* Replaces path as a whole, mode 0600; 0, or -1: reported. */
int state_write(struct cli *, const char *path, const struct state *s);
/* Brings in what DNS shows now; 0, or -1: out of memory. */
int state_update(struct state *s, const struct danevirke_tlsa *, size_t n,
    uint32_t ttl, time_t now);
void state_free(struct state *s);

#endif

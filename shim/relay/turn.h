/* SPDX-License-Identifier: ISC */
/*
 * turn.h - whose turn it is, and for how long (T11); pure
 *
 * A host that hangs must not cost the time of those after it: each has its
 * share of what is left, and one that does not use its share leaves more to
 * the others.  A host that failed lately comes last; none is ever left out.
 */
#ifndef TURN_H
#define TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "danevirke.h"

/* Seconds: time for a lost SYN to be sent again, after 1 s (RFC 6298 2).  An
 * attempt that is shorter helps nobody. */
#define TURN_LEAST 3
#define TURN_SLOTS 1024 /* a multiple of TURN_WAYS */
#define TURN_WAYS 4
#define TURN_NAME 256 /* hosts of longer names are not remembered */

/* Seconds for the first of n, of left for all: an equal share, but TURN_LEAST
 * if there is so much. */
unsigned turn_share(uint64_t left, size_t n);

/* What failed: zeroed is empty.  Bounded: the entry that ends first gives way,
 * and what is forgotten has only its old place again. */
struct turn_failed {
	struct turn_entry {
		uint64_t until; /* in the caller's seconds */
		uint8_t ip[16];
		uint16_t port;
		char host[TURN_NAME];
	} entry[TURN_SLOTS];
};

/* One address of the host. */
void turn_failed_add(struct turn_failed *, const struct danevirke_host *,
    const struct danevirke_addr *, uint64_t until);
bool turn_failed_has(const struct turn_failed *, const struct danevirke_host *,
    const struct danevirke_addr *, uint64_t now);

/* Fills order with all indexes of hosts[]: as they stand (M02), but those of
 * which each address has failed come last. */
void turn_hosts(const struct turn_failed *,
    const struct danevirke_host *const *hosts, size_t n, uint64_t now,
    size_t *order);
/* The same for the addresses of a host. */
void turn_addrs(const struct turn_failed *, const struct danevirke_host *,
    uint64_t now, size_t *order);

#endif

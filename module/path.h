/* SPDX-License-Identifier: ISC */
/*
 * path.h - one search for a path from the server's certificate to what a TLSA
 * record names: path.c finds it, proof.c judges it
 */
#ifndef PATH_H
#define PATH_H

#include "pool.h"

#define PATH_DEPTH 10      /* certificates in a path */
#define PATH_STEPS 64      /* of the search */
#define PATH_EXTENSIONS 64 /* in a certificate */
#define PATH_NAMES 1024    /* of the leaf */
struct path {
	const struct danevirke_host *host;
	time_t now;
	struct pool pool;
	uint8_t *pairs; /* proof.c's, of chain and pool: POOL_CERTS x room */
	size_t *bare;   /* records that are keys in full (U13) */
	size_t n_bare;
	size_t at[PATH_DEPTH]; /* the path: places in the pool, leaf first */
	unsigned steps;
	bool named, well_named; /* the name was looked at, and is right */
	bool pkix;              /* looking for usages 0 and 1 */
	bool mta_sts;           /* looking for a CA, no record */
};

/* Of what a search needs only host, now and the pool's v are given.  Room for
 * the chain and extra certificates more.  False: out of memory. */
bool path_init(struct path *, const struct danevirke_chain *, size_t extra);
void path_free(struct path *);
bool path_search(struct path *);

/* proof.c */
/* Does all hold of the path from the leaf to at[depth]?  anchored: a record
 * or the CA file names that certificate itself. */
bool proof_holds(struct path *, size_t depth, bool anchored);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * path.h - what verify.c, path.c and proof.c share: one search for a path
 * from the server's certificate to what a TLSA record names.
 */
#ifndef PATH_H
#define PATH_H

#include <gnutls/x509.h>

#include "module.h"

#define PATH_CERTS 16       /* certificates looked at (U18) */
#define PATH_DEPTH 10       /* certificates in a path */
#define PATH_STEPS 64       /* of the search */
#define PATH_SIGNATURES 512 /* verified in one search */
#define PATH_EXTENSIONS 64  /* in a certificate */

/* How far the best failed attempt came: what the reader should hear of. */
enum progress {
	NOTHING,
	NO_MATCH,
	NO_PATH,
	NOT_TRUSTED,
	EXPIRED,
	WRONG_NAME,
	NOT_NAMED /* a good path, but no record says so (usages 0, 1) */
};

struct path_cert {
	const uint8_t *der;
	size_t len;
	gnutls_x509_crt_t crt; /* made when first needed: path_crt() */
	bool bad;              /* it does not decode, or is overladen */
	bool ca;               /* from the CA file */
	int record;            /* TLSA record that it is an anchor by, or -1 */
};

struct path {
	const struct danevirke_host *host;
	struct danevirke_verdict *v;
	time_t now;
	struct path_cert *pool; /* [0] is the leaf, then the chain, then the
				 * anchors of DNS or the CA file */
	size_t n, n_chain;
	size_t at[PATH_DEPTH]; /* the path: places in the pool, leaf first */
	unsigned steps, signatures;
	enum progress progress;
	bool pkix; /* looking for usages 0 and 1 */
};

/* verify.c */
bool verify_in_use(const struct danevirke_tlsa *, int usage);
bool
verify_match(const struct danevirke_tlsa *, const uint8_t *der, size_t len);
/* Writes a positive verdict; true. */
bool verify_accept(struct danevirke_verdict *, const struct danevirke_host *,
    size_t record, size_t depth);

/* path.c */
/* Room for the chain and extra certificates more.  False: out of memory. */
bool path_init(struct path *, const struct danevirke_chain *, size_t extra);
void path_free(struct path *);
/* The place of this certificate, added or found; -1: it is none. */
int path_add(struct path *, const uint8_t *der, size_t len);
/* NULL: it does not decode. */
gnutls_x509_crt_t path_crt(struct path *, size_t place);
bool path_search(struct path *);
/* Keeps the text of the attempt that came furthest; false. */
bool path_fail(struct path *, enum progress, enum danevirke_result,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* proof.c */
/* Does all hold of the path from the leaf to at[depth]?  anchored: a record
 * or the CA file names that certificate itself. */
bool proof_holds(struct path *, size_t depth, bool anchored);
/* U13: has the bare key of this record signed that certificate? */
bool proof_signed(struct path *, size_t place, const struct danevirke_tlsa *);

#endif

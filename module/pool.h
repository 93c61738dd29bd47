/* SPDX-License-Identifier: ISC */
/*
 * pool.h - the certificates that one verify() looks at, and the signatures on
 * them: what verify.c, path.c and proof.c work with
 */
#ifndef POOL_H
#define POOL_H

#include <gnutls/x509.h>

#include "match.h"

#define POOL_CERTS 16 /* of a chain, looked at (U18) */
/* S09: what one verify() may do, in units that are about a microsecond each */
#define POOL_WORK 20000

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

/* What the search did not look at: said in the verdict. */
enum limit {
	LIMIT_CERTS = 1,
	LIMIT_DEPTH = 2,
	LIMIT_STEPS = 4,
	LIMIT_WORK = 8,
	LIMIT_NAMES = 16
};

struct pool_cert {
	struct match_cert raw;
	gnutls_x509_crt_t crt; /* pool_crt() */
	bool bad;              /* it does not decode, or is overladen */
	bool judged;
	const char *flaw; /* why no path leads through it, or NULL */
	bool ca;          /* from the CA file */
	int record;       /* TLSA record that it is an anchor by, or -1 */
};

struct pool {
	struct pool_cert *cert; /* [0] is the leaf, then the chain, then the
				 * anchors of DNS or the CA file */
	size_t n, n_chain, room;
	unsigned work, limits;
	struct danevirke_verdict *v;
	enum progress progress;
};

/* Room for the chain and extra certificates more.  False: out of memory. */
bool pool_init(struct pool *, const struct danevirke_chain *, size_t extra);
void pool_free(struct pool *);
/* The place of this certificate, added or found; -1: it is none. */
int pool_add(struct pool *, const uint8_t *der, size_t len);
/* NULL: it does not decode. */
gnutls_x509_crt_t pool_crt(struct pool *, size_t place);
/* False: that is more than one verify() may do. */
bool pool_work(struct pool *, size_t units);
/* Keeps the text of the attempt that came furthest; false. */
bool pool_fail(struct pool *, enum progress, enum danevirke_result,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* The same of one certificate: "certificate at depth 1 ..."; false. */
bool pool_broken(struct pool *, size_t depth, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* sign.c.  S09, S10: may such a key sign?  whose: "the key in DNS is", for the
 * text. */
bool sign_key_proves(
    struct pool *, const uint8_t *spki, size_t len, const char *whose);
/* U08: is the certificate at this place, which is at this depth of a path,
 * signed by the key of that one? */
bool sign_holds(struct pool *, size_t place, size_t depth, size_t above);
/* U13: by the bare key of this record? */
bool sign_by_key(
    struct pool *, size_t place, size_t depth, const struct danevirke_tlsa *);

#endif

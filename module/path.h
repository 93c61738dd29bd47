/* SPDX-License-Identifier: ISC */
/*
 * path.h - what verify.c, path.c, proof.c and sign.c share: one search for a
 * path from the server's certificate to what a TLSA record names.
 */
#ifndef PATH_H
#define PATH_H

#include <gnutls/x509.h>

#include "module.h"

#define PATH_CERTS 16      /* certificates looked at (U18) */
#define PATH_DEPTH 10      /* certificates in a path */
#define PATH_STEPS 64      /* of the search */
#define PATH_EXTENSIONS 64 /* in a certificate */
#define PATH_NAMES 1024    /* of the leaf */
/* S09: what one verify() may do, in units that are about a microsecond each */
#define PATH_WORK 20000

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

/* What was found out stays: a search comes by often. */
struct path_cert {
	const uint8_t *der;
	size_t len;
	struct cert_parts parts; /* path_walk() */
	bool walked, is_cert;
	uint8_t digest[2][2][64]; /* by selector and kind of hash */
	bool digested[2][2];
	gnutls_x509_crt_t crt; /* path_crt() */
	bool bad;              /* it does not decode, or is overladen */
	bool judged;
	const char *flaw; /* why no path leads through it, or NULL */
	bool ca;          /* from the CA file */
	int record;       /* TLSA record that it is an anchor by, or -1 */
};

struct path {
	const struct danevirke_host *host;
	struct danevirke_verdict *v;
	time_t now;
	struct path_cert *pool; /* [0] is the leaf, then the chain, then the
				 * anchors of DNS or the CA file */
	size_t n, n_chain, room;
	uint8_t *pairs; /* proof.c's, of chain and pool: PATH_CERTS x room */
	size_t *bare;   /* records that are keys in full (U13) */
	size_t n_bare;
	size_t at[PATH_DEPTH]; /* the path: places in the pool, leaf first */
	unsigned steps, work, limits;
	enum progress progress;
	bool named, well_named; /* the name was looked at, and is right */
	bool pkix;              /* looking for usages 0 and 1 */
};

/* verify.c */
bool verify_in_use(const struct danevirke_tlsa *, int usage);
bool verify_match(const struct danevirke_tlsa *, struct path_cert *);
/* Writes a positive verdict; true. */
bool verify_accept(struct danevirke_verdict *, const struct danevirke_host *,
    size_t record, size_t depth);

/* path.c */
/* Room for the chain and extra certificates more.  False: out of memory. */
bool path_init(struct path *, const struct danevirke_chain *, size_t extra);
void path_free(struct path *);
/* The place of this certificate, added or found; -1: it is none. */
int path_add(struct path *, const uint8_t *der, size_t len);
/* Finds its parts; false: it is no certificate. */
bool path_walk(struct path_cert *);
/* False: that is more than one verify() may do. */
bool path_work(struct path *, size_t units);
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
/* Tells what is wrong with at[depth]: "certificate at depth 1 ..."; false. */
bool proof_broken(struct path *, size_t depth, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* sign.c */
/* S09, S10: may such a key sign?  whose: "the key in DNS is", for the text. */
bool sign_key_proves(
    struct path *, const uint8_t *spki, size_t len, const char *whose);
/* U08: is at[depth] signed by the key of the next? */
bool sign_holds(struct path *, size_t depth);
/* U13: is at[depth] signed by the bare key of this record? */
bool sign_by_key(struct path *, size_t depth, const struct danevirke_tlsa *);

#endif

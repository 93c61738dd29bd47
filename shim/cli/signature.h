/* SPDX-License-Identifier: ISC */
/*
 * signature.h - is this RRset signed, now, by these keys?
 *
 * Pure, and for reports only: what mail depends on, the module validates.
 * What is not understood (algorithms, keys out of bounds) is never called bad.
 */
#ifndef SIGNATURE_H
#define SIGNATURE_H

#include <time.h>

#include "message.h"

enum signature {
	SIGNATURE_GOOD,
	SIGNATURE_UNTOLD, /* not understood, or enough was verified */
	SIGNATURE_NONE,
	SIGNATURE_ENDED,
	SIGNATURE_EARLY,
	SIGNATURE_KEYLESS, /* by a key that is not among these */
	SIGNATURE_BAD,
	SIGNATURE_FOREIGN /* of keys: the parent vouches for none; never
			     * from signature_check() */
};

/* The best that can be said of any signature of the set; until: when that one
 * ends, RFC 4034 3.1.5.  keys: DNSKEY records of the zone.  left: how many
 * verifications may still be made, counted down. */
enum signature signature_check(const struct rrset *set, const struct wire *zone,
    const struct rrset *keys, time_t now, unsigned *left, uint32_t *until);

/* The tag of a DNSKEY record (RFC 4034 appendix B). */
unsigned signature_key_tag(const uint8_t *rdata, size_t len);
/* May a resolver follow this DS record (RFC 4035 5.2)?  Of the algorithms and
 * digests that every one of them knows. */
bool ds_known(const struct rdata *ds);
/* The keys that DS records name, in the arena; false: no memory. */
bool ds_keys(struct arena *, const struct wire *zone, const struct rrset *ds,
    const struct rrset *keys, struct rrset *out);

#endif

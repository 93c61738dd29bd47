/* SPDX-License-Identifier: ISC */
/* match.h - one certificate as received, and does a TLSA record name it? */
#ifndef MATCH_H
#define MATCH_H

#include "module.h"

/* What was found out stays: a search comes by often. */
struct match_cert {
	const uint8_t *der;
	size_t len;
	struct cert_parts parts; /* match_walk() */
	bool walked, is_cert;
	uint8_t digest[2][2][64]; /* by selector and kind of hash */
	bool digested[2][2];
};

bool match_in_use(const struct danevirke_tlsa *, int usage);
/* Finds its parts; false: it is no certificate. */
bool match_walk(struct match_cert *);
bool match_record(const struct danevirke_tlsa *, struct match_cert *);
/* Writes a positive verdict; true. */
bool match_accept(struct danevirke_verdict *, const struct danevirke_host *,
    size_t record, size_t depth);

#endif

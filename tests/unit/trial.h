/* SPDX-License-Identifier: ISC */
/*
 * trial.h - a vector, and what becomes of it: ready for a call of verify().  A
 * vector is a chain, the records, the accepted names, and what must come of it.
 *
 *	chain	ids of specs.h, leaf first.  "x*3" is three times
 *		x, "fill*9" nine different strangers, "+x" has an octet more
 *		and "-x" one less; "garbage", "empty" and "null" are what they
 *		say, "huge" is 70,000 octets of nothing
 *	tlsa	"2 1 1 root; 3 1 1 leaf": the data is taken from that
 *		certificate.  "~root" has a wrong octet, "+root" one more,
 *		"-root" one less, "none" is no data
 *	names	accepted names, base domain first; NULL: mx.example.org
 */
#ifndef TRIAL_H
#define TRIAL_H

#include "danevirke.h"

#define MX "mx.example.org"

#define MAX_RECORDS 70
#define MAX_CERTS 64

struct vector {
	const char *name;
	const char *chain, *tlsa, *names;
	/* either a match, by this record at this depth ... */
	int record, depth;
	/* ... or a refusal: result not NONE, and words of the text */
	enum danevirke_result result;
	const char *text;
	uint32_t flags;
	const char *ca; /* ids to write to the CA file; NULL: none */
};

/* Everything made for one vector; freed by trial_free(). */
struct trial {
	struct danevirke_host host;
	struct danevirke_tlsa tlsa[MAX_RECORDS];
	struct danevirke_cert certs[MAX_CERTS];
	struct danevirke_chain chain;
	struct danevirke_verify_options o;
	uint64_t newer; /* what a later version has there */
	const char *names[8];
	char text[256], ca_file[32];
	int ca_fd;
};

void trial_make(struct trial *, const struct vector *);
void trial_free(struct trial *);

/* As many octets as are said, so that a sanitizer sees the end: len of them
 * are there already, more are zero. */
uint8_t *trial_copy(const uint8_t *p, size_t len, size_t more);

#endif

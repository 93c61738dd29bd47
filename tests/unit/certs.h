/* SPDX-License-Identifier: ISC */
/*
 * certs.h - the certificates of the tests, made when they run
 *
 * Each is one line of specs.h and has a name there.  All dates
 * are days from NOW, a moment so long ago that a look at the real clock makes
 * every one of them expired.
 */
#ifndef CERTS_H
#define CERTS_H

#include <stddef.h>
#include <stdint.h>

#define NOW 1000000000 /* 2001-09-09T01:46:40Z */

struct cert {
	const char *id;
	uint8_t *der, *spki; /* exactly len octets on the heap each */
	size_t len, spki_len;
};

/* Makes keys and certificates; 0, or -1 and a line on stderr. */
int certs_make(void);
void certs_free(void);

/* NULL: no such certificate. */
const struct cert *cert_find(const char *id);

#endif

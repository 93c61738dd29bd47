/* SPDX-License-Identifier: ISC */
/* look.h: octets through all of spki.c, as its two tests do it. */
#ifndef LOOK_H
#define LOOK_H

#include <stdbool.h>
#include <stddef.h>

/* What spki_find(), spki_check() and cert_parts() took, and where it is. */
struct found {
	bool cert, key, tbs;
	size_t spki_at, spki_len, tbs_at, tbs_len;
};

/* The octets are put in front of a page that cannot be read.  What the three
 * promise of every input is checked here, whether it was taken is up to the
 * caller. */
struct found look(const void *data, size_t len);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * der.h - DER written as text, for the tests
 *
 * Two hex digits are an octet, "{ ... }" is content with its length in front,
 * "*300" is 300 of the octet before it in all, spaces are nothing:
 *
 *	30{ 06{2a0304} 05{} }	   30 07 06 03 2a 03 04 05 00
 *	30{ 04{aa*200} }	   30 81 cb 04 81 c8 aa aa ...
 */
#ifndef DER_H
#define DER_H

#include <stddef.h>
#include <stdint.h>

/* What may be wrong with a length. */
enum der_sin {
	DER_RIGHT,
	DER_LONG1, /* long form of 1, 2 ... octets where fewer would do */
	DER_LONG2,
	DER_LONG3,
	DER_LONG4,
	DER_LONG8,
	DER_INDEFINITE, /* 80, and 00 00 at the end */
	DER_MORE,       /* one more than there is */
	DER_LESS,       /* one less */
	DER_HUGE1,      /* 81 ff */
	DER_HUGE2,      /* 82 ff ff, and so on */
	DER_HUGE3,
	DER_HUGE4,
	DER_HUGE8,
	DER_RESERVED, /* ff, which X.690 8.1.3.5 forbids */
	DER_SINS
};

struct der {
	uint8_t data[70000];
	size_t len;
};

/* Text to octets; the brace number nth, from 0, has the sin.  The number of
 * braces, or -1 if the text is not as above. */
int der_write(struct der *, const char *text, int nth, enum der_sin);

/*
 * A copy of these octets with a page that cannot be read behind its end and
 * another in front, so that one octet too many ends the program.  It lasts
 * until the next call of der_guard(); len is at most sizeof der.data.
 */
const uint8_t *der_guard(const void *data, size_t len);

#endif

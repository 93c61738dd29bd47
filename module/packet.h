/* SPDX-License-Identifier: ISC */
/* packet.h - what dns.c, packet.c and name.c share */
#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct dns_result;

#define WIRE_LEN 255 /* RFC 1035 2.3.4 */

/* An uncompressed name, root label included. */
struct wire {
	uint8_t data[WIRE_LEN];
	size_t len;
};

/* Text, absolute with or without the final dot, to wire form.  Labels may
 * hold \ddd and \x (RFC 1035 5.1).  False: not a domain name. */
bool wire_parse(const char *text, struct wire *);
/* The name at off in a message, uncompressed.  Returns the offset behind it
 * in the message, or 0: malformed. */
size_t wire_read(const uint8_t *pkt, size_t len, size_t off, struct wire *);
/* Without regard to case (RFC 4343). */
bool wire_equal(const struct wire *, const struct wire *);
/* Is a below b, or b itself? */
bool wire_below(const struct wire *a, const struct wire *b);

/* An ERROR without a packet. */
void dns_fail(
    struct arena *, const char *qname, const char *why, struct dns_result *out);

#endif

/* SPDX-License-Identifier: ISC */
/* packet.h - what dns.c, context.c, packet.c, name.c and root.c share */
#ifndef PACKET_H
#define PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;
struct conf;
struct danevirke_error;
struct dns_result;
struct event_base;
struct ub_ctx;

/* many: up to 512 sockets, else 64.  hints: of hints_text(), or NULL.  NULL:
 * err. */
struct ub_ctx *context_new(const struct conf *, struct event_base *, bool many,
    const char *hints, struct danevirke_error *err);

/* hints.c.  A TLD is one label, and all that is given is in the arena. */
struct store;
#define HINTS_MAX 6
struct hint {
	const char *name;
	int type;
};
/* The TLD of a name, NULL: no hints are wanted for it. */
const char *hints_tld(const struct conf *, const char *name);
/* Where to ask, as the library reads it; NULL: nobody knows. */
char *hints_text(struct store *, struct arena *, const char *tld);
/* The lookups that are missing for it: how many. */
size_t hints_wanted(struct store *, struct arena *, const char *tld,
    struct hint want[HINTS_MAX]);
/* They led nowhere. */
void hints_forget(struct store *, const char *tld);

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
/* Letters, and length octets with them, which are below 'A'. */
void wire_lower(uint8_t *, size_t len);
/* Is a below b, or b itself? */
bool wire_below(const struct wire *a, const struct wire *b);

/* An ERROR without a packet. */
void dns_fail(
    struct arena *, const char *qname, const char *why, struct dns_result *out);
/* A result that is not to be believed becomes an ERROR with content. */
void dns_doubt(struct arena *, const char *why, struct dns_result *);

/* root.c */
#define WHY_LEN 640
/* D05: the library's words, with our part in it if the root is meant; they or
 * buf */
const char *
root_explain(const struct conf *, const char *why, char buf[WHY_LEN]);
/* D05a: this is INSECURE, and only a proof that begins at the root makes it
 * so. */
bool root_owed(const struct conf *, const struct dns_result *);
/* Why it is not believed: what came of asking for the root's keys, NULL:
 * nothing in time.  Returns buf. */
const char *root_doubt(
    const struct conf *, const struct dns_result *root, char buf[WHY_LEN]);

#endif

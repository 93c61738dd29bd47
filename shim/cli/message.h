/* SPDX-License-Identifier: ISC */
/*
 * message.h - DNS questions and replies as bytes
 *
 * Pure: bytes in, values out.  What comes from a name server is read behind
 * bounds and kept in the form in which it is signed and can be compared
 * (RFC 4034 6): names uncompressed and in lower case, RDATA sorted.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "module.h"
#include "packet.h"

enum { TYPE_NSEC = 47, TYPE_NSEC3 = 50 };
enum {
	RCODE_NOERROR = 0,
	RCODE_FORMERR = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3
};

#define QUERY_MAX 512 /* octets that message_query() may need */

static inline uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

struct rdata {
	const uint8_t *data;
	size_t len;
};

struct rrset {
	struct wire owner; /* in lower case */
	int type;
	struct rdata *rr;  /* sorted, each once */
	size_t n;          /* 0: there is none, and the rest is zero */
	struct rdata *sig; /* the RRSIG records that cover it */
	size_t n_sig;
};

struct reply {
	int rcode;
	bool aa, tc;
	struct rrset answer; /* at the name asked: of the type, or CNAME */
	struct rrset below;  /* a delegation: NS records beside no answer */
	struct wire zone;    /* owner of a SOA record beside a denial */
	bool has_zone;
	bool dname;          /* the CNAME may be made from one, unsigned */
	bool proven;         /* NSEC or NSEC3, with a signature, is there */
	unsigned iterations; /* most of any NSEC3 record (RFC 5155 3.1.3) */
};

/* A question with EDNS and DO, without RD.  Its length. */
size_t message_query(
    const struct wire *name, int type, uint16_t id, uint8_t buf[QUERY_MAX]);

enum message { MESSAGE_READ, MESSAGE_OTHER, MESSAGE_BAD };
/* READ: *out is filled, in the arena.  OTHER: not the reply to this question;
 * wait on.  BAD: it is, but cannot be read (out of memory, too). */
enum message message_read(struct arena *, const uint8_t *pkt, size_t len,
    const struct wire *name, int type, uint16_t id, struct reply *out);

/* Is it the same, whatever the TTLs and signatures? */
bool rrset_equal(const struct rrset *, const struct rrset *);
/* And with the same signatures? */
bool rrset_same(const struct rrset *, const struct rrset *);
/* "MX", "TYPE65534" */
const char *type_name(int type, char buf[16]);
/* Labels, without the root's */
unsigned wire_labels(const struct wire *);
/* Without the first label; not of the root */
struct wire wire_up(const struct wire *);

#endif

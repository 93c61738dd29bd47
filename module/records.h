/* SPDX-License-Identifier: ISC */
/* records.h - what records.c (where they lie) and packet.c (what they mean)
 * share */
#ifndef RECORDS_H
#define RECORDS_H

#include "module.h"
#include "packet.h"

#define TTL_MAX 86400 /* D15: a day at most */
/* D15: of failures, and of denials without a SOA that says how long */
#define TTL_FAILED 5

/* One record of the message, where it lies. */
struct record {
	size_t owner, rdata; /* offsets */
	size_t len;          /* of rdata */
	uint32_t ttl;
	uint16_t type;
};

struct packet {
	struct arena *arena;
	const uint8_t *data;
	size_t len, at;
	struct record *answer;
	size_t n_answer;
	size_t n_auth;
	struct dns_result *out;
	const char *bogus; /* sec 1: why; else NULL */
};

uint16_t records_16(const uint8_t *);
uint32_t records_32(const uint8_t *);
/* RFC 2181 8: a TTL with the top bit set is zero. */
uint32_t records_ttl_original(uint32_t);
uint32_t records_ttl(uint32_t); /* at most a day */

/* Header and question; p->at is at the first record of the answer. */
bool records_head(struct packet *, const struct wire *qname, int type);
/* All of the answer section into p->answer; p->at is behind it. */
bool records_answers(struct packet *);
/* The record at p->at, and p->at behind it. */
bool records_next(struct packet *, struct record *);

/* The name at this offset; returns that behind it, or 0. */
size_t records_name(const struct packet *, size_t off, struct wire *);
bool records_owner_is(
    const struct packet *, const struct record *, const struct wire *);
/* A name that fills RDATA from skip to its end. */
bool records_rdata_name(
    const struct packet *, const struct record *, size_t skip, struct wire *);

/* Text from a server's zone or the library: one printable line. */
const char *records_line(struct arena *, const char *);
/* The result becomes an ERROR without content, with this reason; a bogus one
 * keeps its first reason in front.  false */
bool records_refuse(struct packet *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* D03: anything but an answer is an ERROR, and says which. */
bool records_refuse_rcode(struct packet *, int rcode, const char *why);

#endif

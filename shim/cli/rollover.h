/* SPDX-License-Identifier: ISC */
/* rollover.h - what rollover.c finds out, and advice.c says */
#ifndef ROLLOVER_H
#define ROLLOVER_H

#include "state.h"

/* The records of one usage, selector and matching type */
struct rollover_group {
	uint8_t kind[3];
	bool match;   /* one of them is of the new certificate */
	time_t ready; /* when this group is no hindrance; only if match */
	char *line;   /* to publish if none matches; NULL: none would do */
	char why[512];
};

struct rollover {
	const char *cert, *host, *state_path;
	unsigned long port;
	time_t at, told; /* 0: not given */
	time_t now;
	char name[256]; /* the host as A-labels */
	struct items items;
	struct danevirke_cert *certs;
	size_t n_certs;
	const struct danevirke_answer *answer;
	const struct danevirke_host *shown; /* in answer */
	uint32_t ttl;                       /* of the records, in the zone */
	uint32_t hold;                      /* how long a cache may keep it */
	struct state state;
	struct rollover_group *group;
	size_t n_group;
	bool publish;  /* a group does not match */
	size_t n_line; /* records to publish, of all groups */
	time_t ready;  /* of all groups, the last */
	char reason[1024];
};

/* advice.c: fills reason, of what was judged. */
void rollover_reason(struct rollover *);
void rollover_print(struct cli *, const struct rollover *);

#endif

/* SPDX-License-Identifier: ISC */
/* limit.h - how often: so many in a minute, for each client (W03) */
#ifndef LIMIT_H
#define LIMIT_H

#include <stdint.h>

#include "module.h"

#define LIMIT_CLIENTS 1024 /* remembered: 40 KiB */
#define LIMIT_SECONDS 60

struct limit {
	unsigned long most; /* in LIMIT_SECONDS */
	struct limit_client {
		struct conf_prefix client;
		uint64_t since;  /* seconds */
		unsigned long n; /* 0: nobody */
	} client[LIMIT_CLIENTS];
};

/* How many seconds are left until this client may come again; 0: it may. */
unsigned limit_wait(
    const struct limit *, const struct conf_prefix *client, uint64_t now);
/* It came.  Where there is no place, the one whose minute began first is
 * forgotten. */
void limit_count(struct limit *, const struct conf_prefix *, uint64_t now);

#endif

/* SPDX-License-Identifier: ISC */
/* Who came how often in the minute that began with his first time. */
#include <string.h>

#include "limit.h"

static bool
limit_same(const struct conf_prefix *a, const struct conf_prefix *b)
{
	return a->family == b->family &&
	    memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

static bool
limit_over(const struct limit_client *c, uint64_t now)
{
	return c->n == 0 || now - c->since >= LIMIT_SECONDS;
}

unsigned
limit_wait(
    const struct limit *l, const struct conf_prefix *client, uint64_t now)
{
	const struct limit_client *c;

	for (c = l->client; c < l->client + LIMIT_CLIENTS; c++)
		if (!limit_over(c, now) && limit_same(&c->client, client))
			return c->n < l->most ?
			    0 :
			    LIMIT_SECONDS - (unsigned)(now - c->since);
	return 0;
}

void
limit_count(struct limit *l, const struct conf_prefix *client, uint64_t now)
{
	struct limit_client *c, *place = l->client;

	for (c = l->client; c < l->client + LIMIT_CLIENTS; c++) {
		if (!limit_over(c, now) && limit_same(&c->client, client)) {
			c->n++;
			return;
		}
		if (c->since < place->since)
			place = c;
	}
	*place = (struct limit_client){ *client, now, 1 };
}

/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "turn.h"

unsigned
turn_share(uint64_t left, size_t n)
{
	uint64_t share = n > 1 ? left / n : left;

	if (share < TURN_LEAST)
		share = left < TURN_LEAST ? left : TURN_LEAST;
	return (unsigned)share;
}

/* --------------------------------------------------------- what has failed */

/* FNV-1a.  Who finds names that meet here makes others be forgotten: they have
 * only their old place again. */
static uint32_t
turn_hash(uint32_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len-- > 0)
		h = (h ^ *p++) * 16777619;
	return h;
}

/* The entries where it may stand. */
static size_t
turn_set(const struct danevirke_host *h, const struct danevirke_addr *a)
{
	uint32_t at = 2166136261U;

	at = turn_hash(at, h->name, strlen(h->name));
	at = turn_hash(at, a->ip, a->family == 6 ? 16 : 4);
	at = turn_hash(at, &h->port, sizeof h->port);
	return at % (TURN_SLOTS / TURN_WAYS) * TURN_WAYS;
}

/* IPv4 as a mapped address (RFC 4291 2.5.5.2), so that the two never meet. */
static void
turn_ip(uint8_t to[16], const struct danevirke_addr *a)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (a->family == 6)
		memcpy(to, a->ip, 16);
	else {
		memcpy(to, mapped, 12);
		memcpy(to + 12, a->ip, 4);
	}
}

static bool
turn_is_entry(const struct turn_entry *e, const struct danevirke_host *h,
    const struct danevirke_addr *a)
{
	uint8_t ip[16];

	turn_ip(ip, a);
	return e->port == h->port && memcmp(e->ip, ip, sizeof ip) == 0 &&
	    strcmp(e->host, h->name) == 0;
}

void
turn_failed_add(struct turn_failed *t, const struct danevirke_host *h,
    const struct danevirke_addr *a, uint64_t until)
{
	struct turn_entry *e = &t->entry[turn_set(h, a)], *at = e;
	size_t len = strlen(h->name), i;

	if (len >= sizeof e->host)
		return;
	for (i = 0; i < TURN_WAYS; i++) {
		if (turn_is_entry(&e[i], h, a)) {
			at = &e[i];
			break;
		}
		if (e[i].until < at->until)
			at = &e[i];
	}
	at->until = until;
	at->port = h->port;
	turn_ip(at->ip, a);
	memcpy(at->host, h->name, len + 1);
}

bool
turn_failed_has(const struct turn_failed *t, const struct danevirke_host *h,
    const struct danevirke_addr *a, uint64_t now)
{
	const struct turn_entry *e = &t->entry[turn_set(h, a)];
	size_t i;

	for (i = 0; i < TURN_WAYS; i++)
		if (e[i].until > now && turn_is_entry(&e[i], h, a))
			return true;
	return false;
}

/* --------------------------------------------------------------- the order */

static bool
turn_host_failed(
    const struct turn_failed *t, const struct danevirke_host *h, uint64_t now)
{
	size_t i;

	for (i = 0; i < h->n_addrs; i++)
		if (!turn_failed_has(t, h, &h->addrs[i], now))
			return false;
	return h->n_addrs > 0;
}

void
turn_hosts(const struct turn_failed *t,
    const struct danevirke_host *const *hosts, size_t n, uint64_t now,
    size_t *order)
{
	size_t i, at = 0;
	int late;

	for (late = 0; late < 2; late++)
		for (i = 0; i < n; i++)
			if (turn_host_failed(t, hosts[i], now) == late)
				order[at++] = i;
}

void
turn_addrs(const struct turn_failed *t, const struct danevirke_host *h,
    uint64_t now, size_t *order)
{
	size_t i, at = 0;
	int late;

	for (late = 0; late < 2; late++)
		for (i = 0; i < h->n_addrs; i++)
			if (turn_failed_has(t, h, &h->addrs[i], now) == late)
				order[at++] = i;
}

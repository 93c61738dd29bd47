/* SPDX-License-Identifier: ISC */
/*
 * Which loopback address stands for which mail domain.  Pure: no socket, no
 * clock; all memory is taken at the start.
 *
 * The address is a hash of the domain under a key that is new with each start
 * of the parent, so that nobody can be first at the address that a domain will
 * get.  It need not outlive the parent: smtpd keeps what it was told in memory
 * only, asks again for each recipient, and falls with the parent.  Domains that
 * meet at one address take the next free one.
 *
 * An entry is served by the relay, or only held: its listening socket is open,
 * so that nobody else can have the address, for which smtpd may still have
 * mail.  Entries of another range or port than the present one stay, and are
 * found again should that come back.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "alias.h"

#define NONE UINT32_MAX

struct aliases {
	uint32_t first, range;
	uint16_t port;
	uint64_t key[2];
	TAILQ_HEAD(alias_order, alias)
	order[2];      /* held, served; newest first */
	uint32_t n[2]; /* in them */
	struct alias_order unused;
	uint32_t n_used; /* entries that were ever in use */
	uint32_t max;
	uint32_t mask; /* number of chains - 1 */
	LIST_HEAD(alias_chain, alias) * by_domain, *by_addr;
	struct alias entry[];
};

/* ------------------------------------------------------------------ names */

/* RFC 5321 4.1.3, and "[::1]", which smtpd lets pass. */
static bool
alias_literal(const char *key, char out[DOMAIN_LEN])
{
	char text[INET6_ADDRSTRLEN];
	uint8_t ip[16];
	size_t n = strlen(key);
	int family;

	if (n < 3 || key[n - 1] != ']')
		return false;
	key++;
	n -= 2;
	if (n > 5 && strncasecmp(key, "ipv6:", 5) == 0) {
		key += 5;
		n -= 5;
	}
	if (n >= sizeof text)
		return false;
	memcpy(text, key, n);
	text[n] = '\0';
	family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, text, ip) != 1 ||
	    inet_ntop(family, ip, text, sizeof text) == NULL)
		return false;
	snprintf(
	    out, DOMAIN_LEN, "[%s%s]", family == AF_INET6 ? "ipv6:" : "", text);
	return true;
}

/* Octets above ASCII are left to the module, which knows U-labels. */
static bool
alias_letter(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '_' || c >= 0x80;
}

bool
alias_domain(const char *key, char out[DOMAIN_LEN], const char **why)
{
	size_t n = strlen(key), i, label = 0;

	*out = '\0';
	if (*key == '[') {
		*why = "not an address literal";
		return alias_literal(key, out);
	}
	if (n > 1 && key[n - 1] == '.')
		n--;
	*why = "not a domain name: want 1 to 253 octets";
	if (n == 0 || n > 253)
		return false;
	for (i = 0; i < n; i++) {
		out[i] = key[i] >= 'A' && key[i] <= 'Z' ?
		    (char)(key[i] - 'A' + 'a') :
		    key[i];
		if (out[i] == '.') {
			if (label == 0)
				break;
			label = 0;
		} else if (!alias_letter((unsigned char)out[i])) {
			*why = "not a domain name: want letters, digits, "
			       "'-', '_' and '.'";
			*out = '\0';
			return false;
		} else if (++label > 63)
			break;
	}
	*why = "not a domain name: want labels of 1 to 63 octets";
	out[i == n && label > 0 ? n : 0] = '\0';
	return *out != '\0';
}

/* ------------------------------------------------------------------- hash */

static uint64_t
alias_rotate(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void
alias_sip(uint64_t v[4], int n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = alias_rotate(v[1], 13) ^ v[0];
		v[3] = alias_rotate(v[3], 16) ^ v[2];
		v[0] = alias_rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = alias_rotate(v[1], 17) ^ v[2];
		v[3] = alias_rotate(v[3], 21) ^ v[0];
		v[2] = alias_rotate(v[2], 32);
	}
}

/* SipHash-2-4: without the key nobody can tell which domains share a chain, or
 * an address. */
static uint64_t
alias_hash(const struct aliases *t, const char *s)
{
	uint64_t v[4] = { t->key[0] ^ 0x736f6d6570736575U,
		t->key[1] ^ 0x646f72616e646f6dU,
		t->key[0] ^ 0x6c7967656e657261U,
		t->key[1] ^ 0x7465646279746573U };
	uint64_t word = 0;
	size_t i, n = strlen(s);

	for (i = 0; i <= n; i++) {
		if (i == n)
			word |= (uint64_t)n << 56;
		else
			word |= (uint64_t)(unsigned char)s[i] << i % 8 * 8;
		if (i % 8 == 7 || i == n) {
			v[3] ^= word;
			alias_sip(v, 2);
			v[0] ^= word;
			word = 0;
		}
	}
	v[2] ^= 0xff;
	alias_sip(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ------------------------------------------------------------------ chains */

static struct alias_chain *
alias_domain_chain(struct aliases *t, const char *domain)
{
	return &t->by_domain[alias_hash(t, domain) & t->mask];
}

static struct alias_chain *
alias_addr_chain(struct aliases *t, uint32_t addr)
{
	return &t->by_addr[addr & t->mask];
}

static void
alias_domain_set(struct aliases *t, struct alias *a, const char *domain)
{
	snprintf(a->domain, sizeof a->domain, "%s", domain);
	LIST_INSERT_HEAD(alias_domain_chain(t, domain), a, same_domain);
}

static void
alias_addr_set(struct aliases *t, struct alias *a, uint32_t addr)
{
	a->addr = addr;
	a->port = t->port;
	LIST_INSERT_HEAD(alias_addr_chain(t, addr), a, same_addr);
}

static bool
alias_addr_taken(struct aliases *t, uint32_t addr)
{
	const struct alias *a;

	LIST_FOREACH(a, alias_addr_chain(t, addr), same_addr)
		if (a->addr == addr && a->port == t->port)
			return true;
	return false;
}

/* The first free address from first + at on, NONE after a whole round. */
static uint32_t
alias_addr_free(struct aliases *t, uint64_t at)
{
	uint32_t n;

	for (n = 0; n < t->range; n++, at++)
		if (!alias_addr_taken(t, t->first + (uint32_t)(at % t->range)))
			return t->first + (uint32_t)(at % t->range);
	return NONE;
}

static void
alias_order_out(struct aliases *t, struct alias *a)
{
	TAILQ_REMOVE(&t->order[a->served], a, order);
	t->n[a->served]--;
}

static void
alias_order_in(struct aliases *t, struct alias *a, bool served)
{
	TAILQ_INSERT_HEAD(&t->order[served], a, order);
	t->n[served]++;
	a->served = served;
}

/* ------------------------------------------------------------------- table */

struct aliases *
alias_new(uint32_t max, const uint64_t key[2])
{
	struct aliases *t;
	uint32_t buckets = 1;

	while (buckets < max)
		buckets *= 2;
	/* what is never used costs no memory */
	t = calloc(1, sizeof *t + (size_t)max * sizeof *t->entry);
	if (t == NULL)
		return NULL;
	t->by_domain = calloc(2 * (size_t)buckets, sizeof *t->by_domain);
	if (t->by_domain == NULL) {
		free(t);
		return NULL;
	}
	t->by_addr = t->by_domain + buckets;
	t->mask = buckets - 1;
	t->max = max;
	memcpy(t->key, key, sizeof t->key);
	TAILQ_INIT(&t->order[false]);
	TAILQ_INIT(&t->order[true]);
	TAILQ_INIT(&t->unused);
	return t;
}

void
alias_free(struct aliases *t)
{
	if (t != NULL)
		free(t->by_domain);
	free(t);
}

void
alias_range(struct aliases *t, uint32_t first, uint32_t last, uint16_t port)
{
	t->first = first;
	t->range = last - first + 1;
	t->port = port;
}

bool
alias_present(const struct aliases *t, const struct alias *a)
{
	return a->port == t->port && a->addr - t->first < t->range;
}

struct alias *
alias_find(struct aliases *t, const char *domain)
{
	struct alias *a;

	LIST_FOREACH(a, alias_domain_chain(t, domain), same_domain)
		if (strcmp(a->domain, domain) == 0 && alias_present(t, a))
			return a;
	return NULL;
}

bool
alias_full(const struct aliases *t)
{
	return TAILQ_EMPTY(&t->unused) && t->n_used == t->max;
}

struct alias *
alias_add(struct aliases *t, const char *domain, uint64_t now)
{
	struct alias *a;
	uint32_t addr;

	if (alias_full(t))
		return NULL;
	addr = alias_addr_free(t, alias_hash(t, domain) >> 32);
	if (addr == NONE)
		return NULL;
	if ((a = TAILQ_FIRST(&t->unused)) != NULL)
		TAILQ_REMOVE(&t->unused, a, order);
	else
		a = &t->entry[t->n_used++];
	alias_domain_set(t, a, domain);
	alias_addr_set(t, a, addr);
	alias_order_in(t, a, false);
	a->used = now;
	a->fd = -1;
	a->told = false;
	return a;
}

/* By strides that differ and are odd: a row of addresses that somebody has
 * taken is left at once, and all of a small range, a power of two, are tried. */
bool
alias_move(struct aliases *t, struct alias *a, unsigned n)
{
	uint64_t h = alias_hash(t, a->domain);
	uint32_t addr = alias_addr_free(t, (h >> 32) + n * ((h & 0xffff) | 1));

	if (addr == NONE)
		return false;
	LIST_REMOVE(a, same_addr);
	alias_addr_set(t, a, addr);
	return true;
}

void
alias_use(struct aliases *t, struct alias *a, uint64_t now)
{
	alias_order_out(t, a);
	alias_order_in(t, a, true);
	a->used = now;
}

void
alias_hold(struct aliases *t, struct alias *a)
{
	alias_order_out(t, a);
	alias_order_in(t, a, false);
}

void
alias_wake(struct aliases *t, struct alias *a)
{
	alias_order_out(t, a);
	TAILQ_INSERT_TAIL(&t->order[true], a, order);
	t->n[true]++;
	a->served = true;
}

void
alias_rename(struct aliases *t, struct alias *a, const char *domain)
{
	LIST_REMOVE(a, same_domain);
	alias_domain_set(t, a, domain);
}

void
alias_remove(struct aliases *t, struct alias *a)
{
	LIST_REMOVE(a, same_domain);
	LIST_REMOVE(a, same_addr);
	alias_order_out(t, a);
	TAILQ_INSERT_HEAD(&t->unused, a, order);
}

uint32_t
alias_count(const struct aliases *t, bool served)
{
	return t->n[served];
}

struct alias *
alias_oldest(struct aliases *t, bool served)
{
	return TAILQ_LAST(&t->order[served], alias_order);
}

struct alias *
alias_newer(const struct alias *a)
{
	return TAILQ_PREV(a, alias_order, order);
}

struct alias *
alias_next(struct aliases *t, bool served, const struct alias *a)
{
	return a == NULL ? TAILQ_FIRST(&t->order[served]) :
			   TAILQ_NEXT(a, order);
}

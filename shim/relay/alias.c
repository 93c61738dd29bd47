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
	struct alias_order {
		uint32_t newest, oldest, n;
	} order[2];      /* held, served */
	uint32_t unused; /* chain by .older */
	uint32_t n_used; /* entries that were ever in use */
	uint32_t max;
	uint32_t mask; /* number of buckets - 1 */
	uint32_t *by_domain, *by_addr;
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

static uint32_t
alias_index(const struct aliases *t, const struct alias *a)
{
	return (uint32_t)(a - t->entry);
}

static uint32_t *
alias_domain_chain(struct aliases *t, const char *domain)
{
	return &t->by_domain[alias_hash(t, domain) & t->mask];
}

static void
alias_domain_set(struct aliases *t, struct alias *a, const char *domain)
{
	uint32_t *chain = alias_domain_chain(t, domain);

	snprintf(a->domain, sizeof a->domain, "%s", domain);
	a->same_domain = *chain;
	*chain = alias_index(t, a);
}

static void
alias_domain_clear(struct aliases *t, struct alias *a)
{
	uint32_t *p = alias_domain_chain(t, a->domain);

	while (&t->entry[*p] != a)
		p = &t->entry[*p].same_domain;
	*p = a->same_domain;
}

static uint32_t *
alias_addr_chain(struct aliases *t, uint32_t addr)
{
	return &t->by_addr[addr & t->mask];
}

static bool
alias_addr_taken(struct aliases *t, uint32_t addr)
{
	uint32_t i;

	for (i = *alias_addr_chain(t, addr); i != NONE;
	     i = t->entry[i].same_addr)
		if (t->entry[i].addr == addr && t->entry[i].port == t->port)
			return true;
	return false;
}

static void
alias_addr_set(struct aliases *t, struct alias *a, uint32_t addr)
{
	uint32_t *chain = alias_addr_chain(t, addr);

	a->addr = addr;
	a->port = t->port;
	a->same_addr = *chain;
	*chain = alias_index(t, a);
}

static void
alias_addr_clear(struct aliases *t, struct alias *a)
{
	uint32_t *p = alias_addr_chain(t, a->addr);

	while (&t->entry[*p] != a)
		p = &t->entry[*p].same_addr;
	*p = a->same_addr;
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
	struct alias_order *o = &t->order[a->served];

	*(a->newer != NONE ? &t->entry[a->newer].older : &o->newest) = a->older;
	*(a->older != NONE ? &t->entry[a->older].newer : &o->oldest) = a->newer;
	o->n--;
}

static void
alias_order_in(struct aliases *t, struct alias *a, bool served)
{
	struct alias_order *o = &t->order[served];
	uint32_t i = alias_index(t, a);

	a->served = served;
	a->newer = NONE;
	a->older = o->newest;
	*(o->newest != NONE ? &t->entry[o->newest].newer : &o->oldest) = i;
	o->newest = i;
	o->n++;
}

/* ------------------------------------------------------------------- table */

struct aliases *
alias_new(uint32_t max, const uint64_t key[2])
{
	struct aliases *t;
	uint32_t i, buckets = 1;

	while (buckets < max)
		buckets *= 2;
	/* what is never used costs no memory */
	t = calloc(1, sizeof *t + (size_t)max * sizeof *t->entry);
	if (t == NULL)
		return NULL;
	t->by_domain = malloc(2 * (size_t)buckets * sizeof *t->by_domain);
	if (t->by_domain == NULL) {
		free(t);
		return NULL;
	}
	t->by_addr = t->by_domain + buckets;
	for (i = 0; i < 2 * buckets; i++)
		t->by_domain[i] = NONE;
	t->mask = buckets - 1;
	t->max = max;
	memcpy(t->key, key, sizeof t->key);
	for (i = 0; i < 2; i++)
		t->order[i].newest = t->order[i].oldest = NONE;
	t->unused = NONE;
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
	uint32_t i;

	for (i = *alias_domain_chain(t, domain); i != NONE;
	     i = a->same_domain) {
		a = &t->entry[i];
		if (strcmp(a->domain, domain) == 0 && alias_present(t, a))
			return a;
	}
	return NULL;
}

bool
alias_full(const struct aliases *t)
{
	return t->unused == NONE && t->n_used == t->max;
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
	if (t->unused != NONE) {
		a = &t->entry[t->unused];
		t->unused = a->older;
	} else
		a = &t->entry[t->n_used++];
	alias_domain_set(t, a, domain);
	alias_addr_set(t, a, addr);
	alias_order_in(t, a, false);
	a->used = now;
	a->fd = -1;
	a->told = false;
	return a;
}

/* By strides that differ and are odd: a row of addresses that somebody has taken
 * is left at once, and all of a small range, a power of two, are tried. */
bool
alias_move(struct aliases *t, struct alias *a, unsigned n)
{
	uint64_t h = alias_hash(t, a->domain);
	uint32_t addr = alias_addr_free(t, (h >> 32) + n * ((h & 0xffff) | 1));

	if (addr == NONE)
		return false;
	alias_addr_clear(t, a);
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
	struct alias_order *o = &t->order[true];
	uint32_t i = alias_index(t, a);

	alias_order_out(t, a);
	a->served = true;
	a->older = NONE;
	a->newer = o->oldest;
	*(o->oldest != NONE ? &t->entry[o->oldest].older : &o->newest) = i;
	o->oldest = i;
	o->n++;
}

void
alias_rename(struct aliases *t, struct alias *a, const char *domain)
{
	alias_domain_clear(t, a);
	alias_domain_set(t, a, domain);
}

void
alias_remove(struct aliases *t, struct alias *a)
{
	alias_domain_clear(t, a);
	alias_addr_clear(t, a);
	alias_order_out(t, a);
	a->older = t->unused;
	t->unused = alias_index(t, a);
}

uint32_t
alias_count(const struct aliases *t, bool served)
{
	return t->order[served].n;
}

static struct alias *
alias_at(struct aliases *t, uint32_t i)
{
	return i != NONE ? &t->entry[i] : NULL;
}

struct alias *
alias_oldest(struct aliases *t, bool served)
{
	return alias_at(t, t->order[served].oldest);
}

struct alias *
alias_newer(struct aliases *t, const struct alias *a)
{
	return alias_at(t, a->newer);
}

struct alias *
alias_next(struct aliases *t, bool served, const struct alias *a)
{
	return alias_at(t, a == NULL ? t->order[served].newest : a->older);
}

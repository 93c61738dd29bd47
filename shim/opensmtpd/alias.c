/* SPDX-License-Identifier: ISC */
/*
 * Which loopback address stands for which mail domain.  Pure: no socket, no
 * clock; all memory is taken at the start.
 *
 * The address is a fixed hash of the domain, so that it is the same after a
 * restart.  Domains that meet at one address take the next free one.  The hash
 * needs no secret: who finds domains that collide makes a chain of at most as
 * many entries as the table has.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "table.h"

#define NONE UINT32_MAX

struct aliases {
	uint32_t first, range;
	uint32_t newest, oldest;
	uint32_t unused; /* chain by .older */
	uint32_t mask;   /* number of buckets - 1 */
	uint32_t *by_domain, *by_addr;
	struct alias entry[];
};

/* ------------------------------------------------------------------ names */

/* RFC 5321 4.1.3, and "[::1]", which smtpd lets pass. */
static bool
literal(const char *key, char out[DOMAIN_LEN])
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
is_letter(unsigned char c)
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
		return literal(key, out);
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
		} else if (!is_letter((unsigned char)out[i])) {
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

/* ------------------------------------------------------------------ chains */

/* FNV-1a, and a finish that lets every bit count in the lower ones. */
static uint32_t
hash_domain(const char *s)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3U;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15U;
	return (uint32_t)(h >> 32);
}

static uint32_t *
domain_chain(struct aliases *t, const char *domain)
{
	return &t->by_domain[hash_domain(domain) & t->mask];
}

static uint32_t *
addr_chain(struct aliases *t, uint32_t addr)
{
	return &t->by_addr[addr & t->mask];
}

static bool
addr_taken(struct aliases *t, uint32_t addr)
{
	uint32_t i;

	for (i = *addr_chain(t, addr); i != NONE; i = t->entry[i].same_addr)
		if (t->entry[i].addr == addr)
			return true;
	return false;
}

static void
addr_set(struct aliases *t, struct alias *a, uint32_t addr)
{
	uint32_t *chain = addr_chain(t, addr);

	a->addr = addr;
	a->same_addr = *chain;
	*chain = (uint32_t)(a - t->entry);
}

static void
addr_clear(struct aliases *t, struct alias *a)
{
	uint32_t *p = addr_chain(t, a->addr);

	while (&t->entry[*p] != a)
		p = &t->entry[*p].same_addr;
	*p = a->same_addr;
}

/* The first free address from addr on, NONE after a whole round.  The table has
 * at most as many entries as the range has addresses, but a caller of
 * alias_move() may have used one up. */
static uint32_t
addr_free(struct aliases *t, uint32_t addr)
{
	uint32_t n;

	for (n = 0; n < t->range; n++) {
		if (!addr_taken(t, addr))
			return addr;
		addr = addr - t->first + 1 < t->range ? addr + 1 : t->first;
	}
	return NONE;
}

static void
order_out(struct aliases *t, struct alias *a)
{
	*(a->newer != NONE ? &t->entry[a->newer].older : &t->newest) = a->older;
	*(a->older != NONE ? &t->entry[a->older].newer : &t->oldest) = a->newer;
}

static void
order_in(struct aliases *t, struct alias *a)
{
	uint32_t i = (uint32_t)(a - t->entry);

	a->newer = NONE;
	a->older = t->newest;
	*(t->newest != NONE ? &t->entry[t->newest].newer : &t->oldest) = i;
	t->newest = i;
}

/* ------------------------------------------------------------------- table */

struct aliases *
alias_new(uint32_t first, uint32_t last, uint32_t max)
{
	struct aliases *t;
	uint32_t i, buckets = 1;

	while (buckets < max)
		buckets *= 2;
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
	t->first = first;
	t->range = last - first + 1;
	t->newest = t->oldest = NONE;
	t->unused = 0;
	for (i = 0; i < max; i++)
		t->entry[i].older = i + 1 < max ? i + 1 : NONE;
	return t;
}

void
alias_free(struct aliases *t)
{
	if (t != NULL)
		free(t->by_domain);
	free(t);
}

struct alias *
alias_find(struct aliases *t, const char *domain)
{
	uint32_t i;

	for (i = *domain_chain(t, domain); i != NONE;
	     i = t->entry[i].same_domain)
		if (strcmp(t->entry[i].domain, domain) == 0)
			return &t->entry[i];
	return NULL;
}

struct alias *
alias_add(struct aliases *t, const char *domain, uint64_t now)
{
	struct alias *a;
	uint32_t addr, *chain = domain_chain(t, domain);

	if (t->unused == NONE)
		return NULL;
	addr = addr_free(t, t->first + hash_domain(domain) % t->range);
	if (addr == NONE)
		return NULL;
	a = &t->entry[t->unused];
	t->unused = a->older;
	snprintf(a->domain, sizeof a->domain, "%s", domain);
	a->same_domain = *chain;
	*chain = (uint32_t)(a - t->entry);
	addr_set(t, a, addr);
	order_in(t, a);
	a->used = now;
	a->fd = -1;
	a->told = false;
	return a;
}

bool
alias_move(struct aliases *t, struct alias *a)
{
	uint32_t addr = addr_free(t, a->addr);

	if (addr == NONE)
		return false;
	addr_clear(t, a);
	addr_set(t, a, addr);
	return true;
}

void
alias_use(struct aliases *t, struct alias *a, uint64_t now)
{
	order_out(t, a);
	order_in(t, a);
	a->used = now;
}

struct alias *
alias_oldest(struct aliases *t)
{
	return t->oldest != NONE ? &t->entry[t->oldest] : NULL;
}

void
alias_remove(struct aliases *t, struct alias *a)
{
	uint32_t *p = domain_chain(t, a->domain);

	while (&t->entry[*p] != a)
		p = &t->entry[*p].same_domain;
	*p = a->same_domain;
	addr_clear(t, a);
	order_out(t, a);
	a->older = t->unused;
	t->unused = (uint32_t)(a - t->entry);
}

struct alias *
alias_next(struct aliases *t, const struct alias *a)
{
	uint32_t i = a == NULL ? t->newest : a->older;

	return i != NONE ? &t->entry[i] : NULL;
}

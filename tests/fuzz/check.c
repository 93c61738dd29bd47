/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: octets as what the checking child says of a configuration
 * (check.c), and what the parent makes of it: a table of aliases in which each
 * domain has an address of its own, in the range.
 */
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "fuzz.h"
#include "relay/process.h"

#define DOMAINS 8

size_t
fuzz_seed(unsigned i, uint8_t *buf, size_t len)
{
	struct checked c = { .ok = 1,
		.first = 0x7f400000,
		.last = i == 0 ? 0x7f40ffff : 0x7f400002,
		.max = i == 0 ? 4096 : 3,
		.port = 10025,
		.facility = LOG_MAIL,
		.level = LOG_INFO };

	if (i > 2)
		return 0;
	if (i == 2) {
		c.ok = 0;
		strcpy(c.text, "relay.aliases: cannot listen");
	}
	must(len >= sizeof c, "room for a seed");
	memcpy(buf, &c, sizeof c);
	return sizeof c;
}

/* As many as are promised, each with an address of its own. */
static void
check_table(struct aliases *t, const struct checked *c)
{
	struct alias *a[DOMAINS];
	char name[16];
	unsigned i, k;

	for (i = 0; i < DOMAINS && i < c->max; i++) {
		snprintf(name, sizeof name, "d%u.example", i);
		must((a[i] = alias_add(t, name, 1)) != NULL, "too few");
		must(a[i]->addr >= c->first && a[i]->addr <= c->last,
		    "out of range");
		must(a[i]->port == c->port, "another port");
		must(a[i]->addr >> 24 == 127 && a[i]->addr > 0x7f000001,
		    "no alias");
		for (k = 0; k < i; k++)
			must(a[i]->addr != a[k]->addr, "one address for two");
		must(alias_find(t, name) == a[i], "not found");
	}
	must(i < c->max || alias_add(t, "more.example", 1) == NULL, "too many");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint64_t key[2] = { 1, 2 };
	struct aliases *t;
	struct checked c;

	if (len != sizeof c)
		return 0;
	memcpy(&c, data, sizeof c);
	if (!check_sane(&c))
		return 0;
	must((t = alias_new(c.max, key)) != NULL, "no table");
	alias_range(t, c.first, c.last, c.port);
	check_table(t, &c);
	alias_free(t);
	fuzz_accepted++;
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * alias.c: which names are mail domains, and which address each gets.  The
 * table is compared with the simplest one there is: a list, searched from the
 * front.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/alias.h"

#include <cmocka.h>

#include "title.h"

#define FIRST 0x7f400000
#define LAST 0x7f40ffff
#define PORT 10025

static const uint64_t secret[2] = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };

static void
test_names(void **state)
{
	static const struct {
		const char *key, *domain;
	} t[] = {
		{ "example.org", "example.org" },
		{ "EXAMPLE.Org", "example.org" },
		{ "example.org.", "example.org" },
		{ "localhost", "localhost" },
		{ "a_b.-c.example", "a_b.-c.example" },
		{ "1.2.3.4", "1.2.3.4" },
		{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
		{ "b\xc3\xbc"
		  "cher.example",
		    "b\xc3\xbc"
		    "cher.example" },
		{ "[192.0.2.1]", "[192.0.2.1]" },
		{ "[127.0.0.1]", "[127.0.0.1]" },
		{ "[ipv6:2001:DB8:0:0::1]", "[ipv6:2001:db8::1]" },
		{ "[IPv6:::1]", "[ipv6:::1]" },
		{ "[::1]", "[ipv6:::1]" },
	};
	char out[DOMAIN_LEN];
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		memset(out, 'x', sizeof out);
		assert_true(alias_domain(t[i].key, out, &why));
		assert_string_equal(out, t[i].domain);
		/* and that is its own spelling */
		assert_true(alias_domain(t[i].domain, out, &why));
		assert_string_equal(out, t[i].domain);
	}
}

static void
test_no_names(void **state)
{
	static const char *const t[] = { "", ".", "..", ".a", "a..b", "a..",
		"a b", " a", "a/b", "a@b", "a|b", "*", "a:b", "a\nb", "a\tb",
		"a\x7f", "[", "[]", "[192.0.2.1", "[192.0.2]", "[192.0.2.256]",
		"[192.0.2.1] ", "[example.org]", "[ipv6:]", "[ipv6:fe80::1%lo]",
		"[ipv6:1::2::3]", "[fe80::1%1]", "[x:2001:db8::1]", "]",
		"[2001:db8:1:2:3:4:255.255.255.255.255.255.255.255]" };
	char out[DOMAIN_LEN];
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		memset(out, 'x', sizeof out);
		why = NULL;
		assert_false(alias_domain(t[i], out, &why));
		assert_string_equal(out, "");
		assert_non_null(why);
	}
}

static void
test_name_lengths(void **state)
{
	char key[2000], out[DOMAIN_LEN];
	const char *why;

	(void)state;
	memset(key, 'a', sizeof key);
	key[63] = '\0';
	assert_true(alias_domain(key, out, &why));
	key[63] = 'a';
	key[64] = '\0';
	assert_false(alias_domain(key, out, &why));
	assert_non_null(strstr(why, "63"));
	key[64] = 'a';
	key[50] = key[100] = key[150] = key[200] = '.';
	key[253] = '\0';
	assert_true(alias_domain(key, out, &why));
	assert_int_equal(strlen(out), 253);
	key[253] = '.'; /* the final dot does not count */
	key[254] = '\0';
	assert_true(alias_domain(key, out, &why));
	assert_int_equal(strlen(out), 253);
	key[253] = 'a';
	assert_false(alias_domain(key, out, &why));
	assert_non_null(strstr(why, "253"));
	memset(key, '[', sizeof key);
	key[sizeof key - 2] = ']';
	key[sizeof key - 1] = '\0';
	assert_false(alias_domain(key, out, &why));
}

static struct aliases *
table(uint32_t first, uint32_t last, uint32_t max)
{
	struct aliases *t = alias_new(max, secret);

	assert_non_null(t);
	alias_range(t, first, last, PORT);
	return t;
}

static struct alias *
add(struct aliases *t, unsigned i, uint64_t now)
{
	char domain[40];

	struct alias *a;

	snprintf(domain, sizeof domain, "d%u.example", i);
	if ((a = alias_add(t, domain, now)) != NULL)
		alias_use(t, a, now);
	return a;
}

static struct alias *
find(struct aliases *t, unsigned i)
{
	char domain[40];

	snprintf(domain, sizeof domain, "d%u.example", i);
	return alias_find(t, domain);
}

/* SipHash-2-4 of the domain, as another program has computed it. */
static void
test_addresses(void **state)
{
	static const struct {
		const char *domain;
		uint32_t addr, next;
	} d[] = { { "example.org", 0x7f40d85b, 0x7f40a998 },
		{ "example.com", 0x7f40fc69, 0x7f40cb48 },
		{ "[192.0.2.1]", 0x7f404ee1, 0x7f40c4ae },
		{ "xn--bcher.exampl", 0x7f40f20f, 0x7f40e6a8 },
		{ "d.exampl", 0x7f40bee7, 0x7f4015da } };
	struct aliases *t = table(FIRST, LAST, 10);
	struct alias *a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof d / sizeof *d; i++) {
		assert_non_null(a = alias_add(t, d[i].domain, 1));
		assert_int_equal(a->addr, d[i].addr);
		assert_int_equal(a->port, PORT);
		assert_true(alias_move(t, a, 1));
		assert_int_equal(a->addr, d[i].next);
	}
	alias_free(t);
}

/* Whatever the order of lookups. */
static void
test_same_key_same_address(void **state)
{
	struct aliases *t = table(FIRST, LAST, 4096);
	struct aliases *u = table(FIRST, LAST, 4096);
	unsigned i, same = 0;

	(void)state;
	for (i = 0; i < 1000; i++) {
		assert_non_null(add(t, i, 1));
		assert_non_null(add(u, 999 - i, 1));
	}
	for (i = 0; i < 1000; i++)
		same += find(t, i)->addr == find(u, i)->addr;
	/* but for those that met at one address: some 1000^2 / 2 / 65536 */
	assert_true(same >= 960);
	alias_free(t);
	alias_free(u);
}

/* Who does not know the key cannot be there first. */
static void
test_other_key_other_address(void **state)
{
	struct aliases *t = table(FIRST, LAST, 1000), *u;
	uint64_t other[2] = { secret[0], secret[1] ^ 1ULL << 63 };
	unsigned i, same = 0;

	(void)state;
	assert_non_null(u = alias_new(1000, other));
	alias_range(u, FIRST, LAST, PORT);
	for (i = 0; i < 1000; i++)
		same += add(t, i, 1)->addr == add(u, i, 1)->addr;
	assert_true(same < 5);
	alias_free(t);
	alias_free(u);
}

static void
test_probing(void **state)
{
	bool seen[8] = { false };
	struct aliases *t = table(FIRST + 8, FIRST + 15, 8);
	struct alias *a;
	unsigned i;

	(void)state;
	for (i = 0; i < 8; i++) {
		assert_non_null(a = add(t, i, 1));
		assert_true(a->addr >= FIRST + 8 && a->addr <= FIRST + 15);
		assert_false(seen[a->addr & 7]);
		seen[a->addr & 7] = true;
		assert_int_equal(a->fd, -1);
		assert_false(a->told);
	}
	assert_null(add(t, 8, 1));
	assert_false(alias_move(t, a, 1)); /* there is nowhere to go */
	alias_free(t);
	t = table(FIRST, FIRST, 1); /* a range of one */
	assert_non_null(a = add(t, 1, 1));
	assert_int_equal(a->addr, FIRST);
	assert_false(alias_move(t, a, 1));
	assert_null(add(t, 2, 1));
	alias_remove(t, a);
	assert_non_null(add(t, 2, 1));
	alias_free(t);
}

/* Of a small range, each place that is free is tried. */
static void
test_move(void **state)
{
	struct aliases *t;
	struct alias *a, *b;
	unsigned i, k, places;

	(void)state;
	for (k = 0; k < 50; k++) {
		t = table(FIRST, FIRST + 7, 7);
		for (i = 0; i < 6; i++)
			assert_non_null(add(t, k * 10 + i, 1));
		assert_non_null(a = find(t, k * 10 + 3));
		places = 1U << (a->addr & 7);
		for (i = 1; i < 16; i++) {
			assert_true(alias_move(t, a, i));
			assert_true(a->addr >= FIRST && a->addr <= FIRST + 7);
			assert_ptr_equal(find(t, k * 10 + 3), a);
			places |= 1U << (a->addr & 7);
		}
		assert_int_equal(__builtin_popcount(places), 3);
		assert_non_null(b = add(t, k * 10 + 6, 1));
		assert_true(a->addr != b->addr);
		for (i = 0; i < 7; i++)
			assert_non_null(find(t, k * 10 + i));
		alias_free(t);
	}
}

/* A neighbour is not the next: rows of addresses can be taken by others. */
static void
test_move_far(void **state)
{
	struct aliases *t = table(FIRST, LAST, 100);
	struct alias *a;
	uint32_t was;
	unsigned i, near = 0;

	(void)state;
	for (i = 0; i < 100; i++) {
		assert_non_null(a = add(t, i, 1));
		was = a->addr;
		assert_true(alias_move(t, a, 1));
		near += a->addr - was < 100;
	}
	assert_true(near < 5);
	alias_free(t);
}

static void
test_order(void **state)
{
	struct aliases *t = table(FIRST, LAST, 5);
	struct alias *a = NULL;
	unsigned i;

	(void)state;
	assert_null(alias_oldest(t, true));
	assert_null(alias_next(t, true, NULL));
	for (i = 0; i < 5; i++)
		assert_non_null(add(t, i, 10 + i));
	assert_ptr_equal(alias_oldest(t, true), find(t, 0));
	for (i = 5; i-- > 0;) /* newest first */
		assert_ptr_equal(a = alias_next(t, true, a), find(t, i));
	assert_null(alias_next(t, true, a));
	alias_use(t, find(t, 0), 20);
	assert_int_equal(find(t, 0)->used, 20);
	assert_ptr_equal(alias_oldest(t, true), find(t, 1));
	assert_ptr_equal(alias_next(t, true, NULL), find(t, 0));
	alias_use(t, find(t, 3), 21); /* from the middle */
	alias_use(t, find(t, 3), 22); /* and the newest again */
	assert_ptr_equal(alias_next(t, true, NULL), find(t, 3));
	alias_remove(t, find(t, 1)); /* the oldest */
	assert_ptr_equal(alias_oldest(t, true), find(t, 2));
	alias_remove(t, find(t, 3)); /* the newest */
	assert_ptr_equal(alias_next(t, true, NULL), find(t, 0));
	assert_null(find(t, 1));
	assert_null(find(t, 3));
	for (i = 0; (a = alias_oldest(t, true)) != NULL; i++)
		alias_remove(t, a);
	assert_int_equal(i, 3);
	assert_null(alias_next(t, true, NULL));
	for (i = 0; i < 5; i++)
		assert_non_null(add(t, i, 1));
	alias_free(t);
}

/* Served, held, and served again at the same address. */
static void
test_held(void **state)
{
	struct aliases *t = table(FIRST, LAST, 5);
	struct alias *a, *b;
	uint32_t addr;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_non_null(add(t, i, 10 + i));
	assert_non_null(a = alias_add(t, "", 1)); /* new ones are held */
	assert_false(a->served);
	assert_ptr_equal(alias_find(t, ""), a);
	assert_true(alias_full(t));
	assert_int_equal(alias_count(t, true), 4);
	assert_int_equal(alias_count(t, false), 1);
	b = find(t, 1);
	addr = b->addr;
	alias_hold(t, b);
	assert_false(b->served);
	assert_int_equal(b->used, 11);
	assert_int_equal(alias_count(t, true), 3);
	assert_ptr_equal(alias_oldest(t, false), a);
	assert_ptr_equal(alias_newer(a), b);
	assert_null(alias_newer(b));
	assert_null(add(t, 9, 1)); /* its place is not free */
	assert_ptr_equal(find(t, 1), b);
	alias_use(t, b, 20);
	assert_true(b->served);
	assert_int_equal(b->addr, addr);
	assert_int_equal(alias_count(t, true), 4);
	alias_hold(t, b);
	alias_wake(t, b); /* served, but nobody has asked */
	assert_true(b->served);
	assert_int_equal(b->used, 20);
	assert_ptr_equal(alias_oldest(t, true), b);
	assert_ptr_equal(alias_newer(b), find(t, 0));
	alias_hold(t, b);
	for (i = 0; i < 4; i++)
		if (find(t, i)->served)
			alias_hold(t, find(t, i));
	assert_null(alias_oldest(t, true));
	alias_wake(t, b); /* the only one */
	assert_ptr_equal(alias_next(t, true, NULL), b);
	assert_ptr_equal(alias_oldest(t, true), b);
	assert_null(alias_next(t, true, b));
	alias_rename(t, a, "d9.example");
	assert_null(alias_find(t, ""));
	assert_ptr_equal(find(t, 9), a);
	alias_remove(t, a);
	assert_false(alias_full(t));
	assert_null(find(t, 9));
	assert_int_equal(alias_count(t, false), 3);
	alias_free(t);
}

/* Those of a former range keep their places, and are found when it is back. */
static void
test_another_range(void **state)
{
	struct aliases *t = table(FIRST, FIRST + 7, 16);
	struct alias *a, *b, *c;
	uint32_t addr;
	unsigned i;

	(void)state;
	assert_non_null(a = add(t, 1, 1));
	addr = a->addr;
	alias_range(t, FIRST, FIRST + 7, PORT + 1);
	assert_false(alias_present(t, a));
	assert_null(find(t, 1));
	assert_non_null(b = add(t, 1, 1)); /* another port: it meets nobody */
	assert_int_equal(b->addr, addr);
	assert_int_equal(b->port, PORT + 1);
	assert_ptr_equal(find(t, 1), b);
	alias_range(t, FIRST + 8, FIRST + 15, PORT);
	assert_null(find(t, 1));
	assert_non_null(c = add(t, 1, 1));
	assert_true(c->addr >= FIRST + 8 && c->addr <= FIRST + 15);
	alias_range(t, FIRST, FIRST + 7, PORT);
	assert_ptr_equal(find(t, 1), a);
	assert_true(alias_present(t, a));
	for (i = 2; i < 9; i++) { /* and its place was never free */
		assert_non_null(b = add(t, i, 1));
		assert_true(b->addr != addr);
	}
	assert_null(add(t, 9, 1));
	alias_free(t);
}

/* Half a million steps, each compared with the list. */
static void
test_against_a_list(void **state)
{
	enum { MAX = 50, NAMES = 120, RANGE = 64 };
	struct {
		bool have;
		uint32_t addr;
		uint64_t used;
	} list[NAMES] = { { 0 } };
	struct aliases *t = table(FIRST, FIRST + RANGE - 1, MAX);
	uint32_t seed = 1;
	struct alias *a;
	unsigned i, j, k, n = 0;
	uint64_t now;

	(void)state;
	for (now = 1; now < 500000; now++) {
		seed = seed * 1103515245 + 12345;
		i = (seed >> 16) % NAMES;
		a = find(t, i);
		assert_int_equal(a != NULL, list[i].have);
		if (a == NULL) {
			a = add(t, i, now);
			assert_int_equal(a == NULL, n == MAX);
			if (a == NULL) {
				for (j = k = 0; k < NAMES; k++)
					if (list[k].have &&
					    (!list[j].have ||
						list[k].used < list[j].used))
						j = k;
				assert_ptr_equal(
				    alias_oldest(t, true), find(t, j));
				alias_remove(t, find(t, j));
				list[j].have = false;
				n--;
				continue;
			}
			for (k = 0; k < NAMES; k++)
				assert_false(
				    list[k].have && list[k].addr == a->addr);
			list[i].have = true;
			list[i].addr = a->addr;
			n++;
		} else {
			assert_int_equal(a->addr, list[i].addr);
			assert_int_equal(a->used, list[i].used);
			alias_use(t, a, now);
		}
		list[i].used = now;
	}
	alias_free(t);
}

static void
test_largest(void **state)
{
	struct aliases *t = table(FIRST, LAST, 65536);
	unsigned i;

	(void)state;
	for (i = 0; i < 65536; i++)
		assert_non_null(add(t, i, i));
	assert_null(add(t, i, i));
	for (i = 0; i < 65536; i += 17)
		assert_int_equal(find(t, i)->used, i);
	alias_free(t);
	alias_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names, "a domain or a literal has one spelling"),
		TEST(test_no_names,
		    "what is no domain and no literal is refused"),
		TEST(test_name_lengths,
		    "labels over 63 and names over 253 octets are refused"),
		TEST(test_addresses, "an address is SipHash-2-4 of the domain"),
		TEST(test_same_key_same_address,
		    "with one key the order of lookups makes no difference"),
		TEST(test_other_key_other_address,
		    "with another key a domain has another address"),
		TEST(test_probing,
		    "a small range is filled to its end and no further"),
		TEST(test_move,
		    "a move tries every place of a small range that is free"),
		TEST(test_move_far, "a move does not go to the neighbour"),
		TEST(
		    test_order, "aliases are walked in the order of their use"),
		TEST(test_held,
		    "who is held is served again at the same address"),
		TEST(test_another_range,
		    "aliases of a former range are found when it is back"),
		TEST(test_against_a_list,
		    "half a million steps are what a list would do"),
		TEST(
		    test_largest, "65536 aliases fit, and one more is refused"),
	};

	return cmocka_run_group_tests_name("alias", tests, NULL, NULL);
}

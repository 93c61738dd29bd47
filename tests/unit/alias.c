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

#include "opensmtpd/table.h"

#include <cmocka.h>

#define FIRST 0x7f400000
#define LAST 0x7f40ffff

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

static struct alias *
add(struct aliases *t, unsigned i, uint64_t now)
{
	char domain[40];

	snprintf(domain, sizeof domain, "d%u.example", i);
	return alias_add(t, domain, now);
}

static struct alias *
find(struct aliases *t, unsigned i)
{
	char domain[40];

	snprintf(domain, sizeof domain, "d%u.example", i);
	return alias_find(t, domain);
}

/* Written down once: an address must not change from release to release. */
static void
test_addresses_are_fixed(void **state)
{
	struct aliases *t = alias_new(FIRST, LAST, 10);
	struct alias *a;

	(void)state;
	assert_non_null(t);
	assert_non_null(a = alias_add(t, "example.org", 1));
	assert_int_equal(a->addr, 0x7f40795c);
	assert_non_null(a = alias_add(t, "example.com", 1));
	assert_int_equal(a->addr, 0x7f40278e);
	assert_non_null(a = alias_add(t, "[192.0.2.1]", 1));
	assert_int_equal(a->addr, 0x7f40fb93);
	alias_free(t);
}

/* After a restart the order of lookups is another. */
static void
test_same_after_a_restart(void **state)
{
	struct aliases *t = alias_new(FIRST, LAST, 4096);
	struct aliases *u = alias_new(FIRST, LAST, 4096);
	unsigned i, same = 0;

	(void)state;
	assert_non_null(t);
	assert_non_null(u);
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

static void
test_probing(void **state)
{
	bool seen[8] = { false };
	struct aliases *t = alias_new(FIRST + 8, FIRST + 15, 8);
	struct alias *a;
	unsigned i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < 8; i++) {
		assert_non_null(a = add(t, i, 1));
		assert_in_range(a->addr, FIRST + 8, FIRST + 15);
		assert_false(seen[a->addr & 7]);
		seen[a->addr & 7] = true;
		assert_int_equal(a->fd, -1);
		assert_false(a->told);
	}
	assert_null(add(t, 8, 1));
	assert_false(alias_move(t, a)); /* there is nowhere to go */
	alias_free(t);
	assert_non_null(t = alias_new(FIRST, FIRST, 1)); /* a range of one */
	assert_non_null(a = add(t, 1, 1));
	assert_int_equal(a->addr, FIRST);
	assert_false(alias_move(t, a));
	assert_null(add(t, 2, 1));
	alias_remove(t, a);
	assert_non_null(add(t, 2, 1));
	alias_free(t);
}

static void
test_move(void **state)
{
	struct aliases *t = alias_new(FIRST, FIRST + 7, 7);
	struct alias *a, *b;
	unsigned i;

	(void)state;
	assert_non_null(t);
	for (i = 0; i < 6; i++)
		assert_non_null(add(t, i, 1));
	assert_non_null(a = find(t, 3));
	for (i = 0; i < 20; i++) {
		assert_true(alias_move(t, a)); /* two places are free */
		assert_in_range(a->addr, FIRST, FIRST + 7);
		assert_ptr_equal(find(t, 3), a);
	}
	assert_non_null(b = add(t, 6, 1));
	assert_true(a->addr != b->addr);
	for (i = 0; i < 7; i++)
		assert_non_null(find(t, i));
	alias_free(t);
}

static void
test_order(void **state)
{
	struct aliases *t = alias_new(FIRST, LAST, 5);
	struct alias *a = NULL;
	unsigned i;

	(void)state;
	assert_non_null(t);
	assert_null(alias_oldest(t));
	assert_null(alias_next(t, NULL));
	for (i = 0; i < 5; i++)
		assert_non_null(add(t, i, 10 + i));
	assert_ptr_equal(alias_oldest(t), find(t, 0));
	for (i = 5; i-- > 0;) /* newest first */
		assert_ptr_equal(a = alias_next(t, a), find(t, i));
	assert_null(alias_next(t, a));
	alias_use(t, find(t, 0), 20);
	assert_int_equal(find(t, 0)->used, 20);
	assert_ptr_equal(alias_oldest(t), find(t, 1));
	assert_ptr_equal(alias_next(t, NULL), find(t, 0));
	alias_use(t, find(t, 3), 21); /* from the middle */
	alias_use(t, find(t, 3), 22); /* and the newest again */
	assert_ptr_equal(alias_next(t, NULL), find(t, 3));
	alias_remove(t, find(t, 1)); /* the oldest */
	assert_ptr_equal(alias_oldest(t), find(t, 2));
	alias_remove(t, find(t, 3)); /* the newest */
	assert_ptr_equal(alias_next(t, NULL), find(t, 0));
	assert_null(find(t, 1));
	assert_null(find(t, 3));
	for (i = 0; (a = alias_oldest(t)) != NULL; i++)
		alias_remove(t, a);
	assert_int_equal(i, 3);
	assert_null(alias_next(t, NULL));
	for (i = 0; i < 5; i++)
		assert_non_null(add(t, i, 1));
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
	struct aliases *t = alias_new(FIRST, FIRST + RANGE - 1, MAX);
	uint32_t seed = 1;
	struct alias *a;
	unsigned i, j, k, n = 0;
	uint64_t now;

	(void)state;
	assert_non_null(t);
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
				assert_ptr_equal(alias_oldest(t), find(t, j));
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
	struct aliases *t = alias_new(FIRST, LAST, 65536);
	unsigned i;

	(void)state;
	assert_non_null(t);
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
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_names),
		cmocka_unit_test(test_name_lengths),
		cmocka_unit_test(test_addresses_are_fixed),
		cmocka_unit_test(test_same_after_a_restart),
		cmocka_unit_test(test_probing),
		cmocka_unit_test(test_move),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_against_a_list),
		cmocka_unit_test(test_largest),
	};

	return cmocka_run_group_tests_name("alias", tests, NULL, NULL);
}

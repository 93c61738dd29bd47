/* SPDX-License-Identifier: ISC */
/* Whose turn it is, and for how long (T11). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/turn.h"

#include <cmocka.h>

#include "title.h"

#define HOSTS 5
#define ADDRS 3

static struct turn_failed table;
static struct danevirke_host hosts[HOSTS];
static const struct danevirke_host *list[HOSTS];
static struct danevirke_addr addrs[HOSTS][ADDRS];
static const char *const names[HOSTS] = { "a.example", "b.example", "c.example",
	"d.example", "e.example" };

/* Hosts 0 to 3 have three addresses each, host 4 has none. */
static int
setup(void **state)
{
	size_t i, j;

	(void)state;
	memset(&table, 0, sizeof table);
	memset(hosts, 0, sizeof hosts);
	memset(addrs, 0, sizeof addrs);
	for (i = 0; i < HOSTS; i++) {
		list[i] = &hosts[i];
		hosts[i].name = names[i];
		hosts[i].port = 25;
		hosts[i].addrs = addrs[i];
		hosts[i].n_addrs = i == 4 ? 0 : ADDRS;
		for (j = 0; j < ADDRS; j++) {
			addrs[i][j].family = j == 1 ? 6 : 4;
			addrs[i][j].ip[0] = (uint8_t)i;
			addrs[i][j].ip[3] = (uint8_t)j;
		}
	}
	return 0;
}

static void
assert_order(const size_t *order, const char *want)
{
	size_t i;

	for (i = 0; want[i] != '\0'; i++)
		assert_int_equal(order[i], want[i] - '0');
}

static void
assert_hosts(uint64_t now, const char *want)
{
	size_t order[HOSTS];

	turn_hosts(&table, list, HOSTS, now, order);
	assert_order(order, want);
}

/* All of the time goes to the last, and nobody before it takes more than its
 * share. */
static void
test_share(void **state)
{
	(void)state;
	assert_int_equal(turn_share(120, 1), 120);
	assert_int_equal(turn_share(120, 4), 30);
	assert_int_equal(turn_share(90, 3), 30);
	assert_int_equal(turn_share(100, 3), 33);
	assert_int_equal(turn_share(119, 0), 119);
	/* the least, and not more than there is */
	assert_int_equal(turn_share(120, 1000), TURN_LEAST);
	assert_int_equal(turn_share(TURN_LEAST, 2), TURN_LEAST);
	assert_int_equal(turn_share(1, 2), 1);
	assert_int_equal(turn_share(0, 2), 0);
	assert_int_equal(turn_share(0, 0), 0);
}

/* Four hosts that hang, each at each of its addresses: the default budget
 * reaches the last of each. */
static void
test_share_four(void **state)
{
	uint64_t left = 120, host, addr;
	unsigned n, m;

	(void)state;
	for (n = 4; n > 0; n--) {
		host = turn_share(left, n);
		left -= host;
		for (m = 8; m > 0; m--) {
			addr = turn_share(host, m);
			assert_true(addr >= TURN_LEAST);
			assert_true(addr <= host);
			host -= addr;
		}
	}
	assert_int_equal(left, 0);
}

/* M02: the order of the answer, but what failed comes last, for a while. */
static void
test_hosts(void **state)
{
	size_t i;

	(void)state;
	assert_hosts(100, "01234");
	for (i = 0; i < ADDRS; i++) {
		assert_hosts(100, "01234"); /* one address is left */
		turn_failed_add(&table, &hosts[1], &addrs[1][i], 110);
	}
	assert_hosts(100, "02341");
	for (i = 0; i < ADDRS; i++)
		turn_failed_add(&table, &hosts[0], &addrs[0][i], 120);
	assert_hosts(109, "23401");
	assert_hosts(110, "12340"); /* over for b */
	assert_hosts(120, "01234");
	/* all: nobody is left out */
	for (i = 0; i < HOSTS * ADDRS; i++)
		turn_failed_add(&table, &hosts[i / ADDRS],
		    &addrs[i / ADDRS][i % ADDRS], 200);
	assert_hosts(199, "40123");
}

static void
test_addrs(void **state)
{
	size_t order[ADDRS];

	(void)state;
	turn_failed_add(&table, &hosts[2], &addrs[2][0], 110);
	turn_addrs(&table, &hosts[2], 109, order);
	assert_order(order, "120");
	turn_addrs(&table, &hosts[2], 110, order);
	assert_order(order, "012");
	turn_failed_add(&table, &hosts[2], &addrs[2][0], 130); /* again */
	turn_failed_add(&table, &hosts[2], &addrs[2][1], 120);
	turn_addrs(&table, &hosts[2], 119, order);
	assert_order(order, "201");
	turn_addrs(&table, &hosts[2], 125, order);
	assert_order(order, "120");
}

/* S07: what a host did is nobody else's fault. */
static void
test_others(void **state)
{
	struct danevirke_host other = hosts[0];
	struct danevirke_addr six = addrs[0][0];
	char longer[TURN_NAME + 1];

	(void)state;
	turn_failed_add(&table, &hosts[0], &addrs[0][0], 110);
	assert_true(turn_failed_has(&table, &hosts[0], &addrs[0][0], 109));
	assert_false(turn_failed_has(&table, &hosts[0], &addrs[0][2], 109));
	other.name = "x.example"; /* the same address by another name */
	assert_false(turn_failed_has(&table, &other, &addrs[0][0], 109));
	other.name = hosts[0].name;
	other.port = 26;
	assert_false(turn_failed_has(&table, &other, &addrs[0][0], 109));
	six.family = 6;
	assert_false(turn_failed_has(&table, &hosts[0], &six, 109));
	/* a name that does not fit is not kept, cut or whole */
	memset(longer, 'a', sizeof longer - 1);
	longer[TURN_NAME] = '\0';
	other.name = longer;
	turn_failed_add(&table, &other, &addrs[0][0], 110);
	assert_false(turn_failed_has(&table, &other, &addrs[0][0], 109));
	longer[TURN_NAME - 1] = '\0';
	assert_false(turn_failed_has(&table, &other, &addrs[0][0], 109));
	turn_failed_add(&table, &other, &addrs[0][0], 110);
	assert_true(turn_failed_has(&table, &other, &addrs[0][0], 109));
}

/* However many fail, the newest are kept. */
static void
test_full(void **state)
{
	struct danevirke_host h = hosts[0];
	size_t i, kept = 0;
	char name[32];

	(void)state;
	h.name = name;
	for (i = 0; i < 10 * TURN_SLOTS; i++) {
		snprintf(name, sizeof name, "mx%zu.example", i);
		turn_failed_add(&table, &h, &addrs[0][0], 101 + i);
		assert_true(turn_failed_has(&table, &h, &addrs[0][0], 100));
	}
	for (i = 0; i < 10 * TURN_SLOTS; i++) {
		snprintf(name, sizeof name, "mx%zu.example", i);
		kept += turn_failed_has(&table, &h, &addrs[0][0], 100);
	}
	assert_true(kept > TURN_SLOTS / 2 && kept <= TURN_SLOTS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_share,
		    "nobody but the last takes more than his share (T11)"),
		TEST(
		    test_share_four, "the last of four hosts is reached (T11)"),
		TEST_WITH(test_hosts,
		    "a host that failed is tried last for a while (M02 T11)",
		    setup, NULL),
		TEST_WITH(test_addrs,
		    "an address that failed is tried last for a while (T11)",
		    setup, NULL),
		TEST_WITH(test_others,
		    "what a host did is nobody else's fault (S07)", setup,
		    NULL),
		TEST_WITH(test_full,
		    "however many fail, the newest are kept (T11)", setup,
		    NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

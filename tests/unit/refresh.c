/* SPDX-License-Identifier: ISC */
/* refresh.c with a loop whose time is short: TTLs of five seconds at least are
 * watched, so the timers are fired by hand. */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>

#include "title.h"

static int asked;
static char last[64];
static struct refresh *r;

static void
on_ask(void *arg, const char *name, int type)
{
	assert_ptr_equal(arg, &asked);
	snprintf(last, sizeof last, "%s %d", name, type);
	asked++;
}

/* Every timer of the loop is over. */
static int
fire(const struct event_base *base, const struct event *ev, void *arg)
{
	(void)base;
	(void)arg;
	event_active((struct event *)(uintptr_t)ev, EV_TIMEOUT, 1);
	return 0;
}

static void
expire(struct event_base *base)
{
	asked = 0;
	*last = '\0';
	event_base_foreach_event(base, fire, NULL);
	event_base_loop(base, EVLOOP_NONBLOCK);
}

static int
timers(struct event_base *base)
{
	return event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED);
}

static void
test_used(void **state) /* what was used is asked, once for each TTL */
{
	struct event_base *base = event_base_new();

	(void)state;
	r = refresh_new(base, on_ask, &asked);
	refresh_answered(NULL, "a.example", TYPE_MX, 60);
	refresh_answered(r, "a.example", TYPE_MX, 60);
	refresh_answered(r, "a.example", TYPE_A, 60);
	assert_int_equal(timers(base), 2);
	refresh_answered(r, "a.example", TYPE_MX, 50); /* used */
	assert_int_equal(timers(base), 2);
	expire(base);
	assert_int_equal(asked, 1); /* and A is let go */
	assert_string_equal(last, "a.example 15");
	/* it came: watched on, but it has to be used again */
	refresh_asked(r, "a.example", TYPE_MX, 60);
	refresh_asked(r, "b.example", TYPE_MX, 60); /* unknown */
	assert_int_equal(timers(base), 1);
	refresh_answered(r, "a.example", TYPE_MX, 40);
	expire(base);
	assert_int_equal(asked, 1);
	refresh_asked(r, "a.example", TYPE_MX, 60);
	expire(base);
	assert_int_equal(asked, 0);
	assert_int_equal(timers(base), 0);
	refresh_free(r);
	event_base_free(base);
}

static void
test_not(void **state) /* failed, too short, too many */
{
	struct event_base *base = event_base_new();
	char name[32];
	int i;

	(void)state;
	r = refresh_new(base, on_ask, &asked);
	refresh_answered(r, "short.example", TYPE_MX, 4);
	refresh_answered(r, "none.example", TYPE_MX, 0);
	assert_int_equal(timers(base), 0);
	refresh_answered(r, "a.example", TYPE_MX, 60);
	refresh_answered(r, "a.example", TYPE_MX, 60);
	expire(base);
	assert_int_equal(asked, 1);
	refresh_asked(r, "a.example", TYPE_MX, 0); /* failed: let go */
	expire(base);
	assert_int_equal(asked, 0);
	for (i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "d%d.example", i);
		refresh_answered(r, name, TYPE_MX, 60);
	}
	assert_int_equal(timers(base), 4096);
	refresh_free(r);
	assert_int_equal(timers(base), 0);
	refresh_free(NULL);
	event_base_free(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_used, "what was used is asked for once in each TTL"),
		TEST(test_not,
		    "what failed, is short or too much is not asked for"),
	};

	return cmocka_run_group_tests_name("refresh", tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* Where nobody is connected to on a stranger's word (W01). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include "module.h" /* before cmocka.h, which defines fail() */
#include "value.h"

#include <cmocka.h>

#include "title.h"

/* This machine, as the interfaces tell. */
int __wrap_getifaddrs(struct ifaddrs **);
void __wrap_freeifaddrs(struct ifaddrs *);

int
__wrap_getifaddrs(struct ifaddrs **out)
{
	static struct sockaddr_in four = { .sin_family = AF_INET };
	static struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	static struct ifaddrs all[3];

	inet_pton(AF_INET, "11.0.0.25", &four.sin_addr);
	inet_pton(AF_INET6, "2a00::25", &six.sin6_addr);
	all[0].ifa_next = &all[1];
	all[0].ifa_addr = (struct sockaddr *)&four;
	all[1].ifa_next = &all[2]; /* it has no address */
	all[2].ifa_addr = (struct sockaddr *)&six;
	*out = all;
	return 0;
}

void
__wrap_freeifaddrs(struct ifaddrs *all)
{
	(void)all;
}

static bool
special(const struct conf *c, const char *text)
{
	struct conf_prefix p;

	assert_true(value_address(text, &p));
	return special_address(c, p.family, p.ip);
}

static const char *const bad[] = { "0.0.0.0", "0.255.255.255", "10.0.0.0",
	"10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1",
	"127.255.255.255", "169.254.169.254", "172.16.0.0", "172.31.255.255",
	"192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1",
	"192.168.255.255", "198.18.0.0", "198.19.255.255", "198.51.100.1",
	"203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
	"255.255.255.255", "11.0.0.25", "::", "::1", "::10.0.0.1",
	"::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::10.0.0.1",
	"64:ff9b::8.8.8.8", "64:ff9b:1::1", "100::1", "2001::1", "2001:10::1",
	"2001:20::1", "2001:1ff:ffff::", "2001:db8::1",
	"2001:db8:ffff::", "2002:a00:1::1", "3fff::1", "3fff:fff::1", "4000::1",
	"5f00::1", "7fff::1", "8000::", "fc00::1", "fd00::1", "fe80::1",
	"fec0::1", "ff02::1", "ffff::", "2a00::25" };
static const char *const good[] = { "1.0.0.0", "8.8.8.8", "9.255.255.255",
	"11.0.0.0", "11.0.0.24", "100.63.255.255", "100.128.0.0",
	"126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0",
	"172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0",
	"192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
	"198.51.99.255", "203.0.114.0", "223.255.255.255",
	"2000::", "2001:200::1", "2001:4860::1", "2001:db7::1", "2001:db9::1",
	"2003::1", "2a00::24", "2a00::26", "3ffe::1", "3fff:1000::" };

static void
test_special(void **state)
{
	struct conf c = { 0 };
	size_t i;

	(void)state;
	assert_false(special(&c, "10.0.0.1")); /* it was not asked for */
	assert_true(special_open(&c));
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!special(&c, bad[i]))
			fail_msg("%s is taken for public", bad[i]);
	for (i = 0; i < sizeof good / sizeof *good; i++)
		if (special(&c, good[i]))
			fail_msg("%s is taken for special", good[i]);
	arena_free(&c.arena);
}

/* Is it in what the resolver is told not to ask? */
static bool
shunned(const struct conf *c, const char *text)
{
	struct conf_prefix p, at;
	bool clear;
	size_t i, n = 0;

	assert_true(value_address(text, &at));
	for (i = 0; i < c->settings.n_resolver_shun; i++) {
		assert_true(
		    value_prefix(c->settings.resolver_shun[i], &p, &clear));
		n += prefix_match(&p, 1, at.family, at.ip);
	}
	return n > 0;
}

static void
test_shun(void **state)
{
	struct conf_prefix allow[2] = { { 0 } };
	char f1[] = "10.0.0.53@53", f2[] = "fd00::53@5353",
	     f3[] = "127.0.0.1@53";
	char *forward[] = { f1, f2 }, *below[] = { f3 };
	struct conf_zone zone = { .forward = below, .n_forward = 1 };
	struct conf c = { .allow = allow,
		.n_allow = 2,
		.forward = forward,
		.n_forward = 2,
		.zones = &zone,
		.n_zones = 1 };
	static const char *const asked[] = { "10.0.0.53", "fd00::53",
		"127.0.0.1", "198.18.0.0", "198.18.255.255", "2001:db8::1" };
	bool clear;
	size_t i;

	(void)state;
	assert_true(value_prefix("198.18.0.0/16", &allow[0], &clear));
	assert_true(value_prefix("2001:db8::/32", &allow[1], &clear));
	assert_true(special_open(&c));
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		if (!shunned(&c, bad[i]) && strcmp(bad[i], "127.0.0.1") != 0 &&
		    strcmp(bad[i], "198.18.0.0") != 0 &&
		    strncmp(bad[i], "2001:db8:", 9) != 0)
			fail_msg("%s would be asked", bad[i]);
	for (i = 0; i < sizeof good / sizeof *good; i++)
		if (shunned(&c, good[i]))
			fail_msg("%s would not be asked", good[i]);
	for (i = 0; i < sizeof asked / sizeof *asked; i++)
		if (shunned(&c, asked[i]))
			fail_msg("%s would not be asked", asked[i]);
	assert_true(shunned(&c, "10.0.0.52"));
	assert_true(shunned(&c, "10.0.0.54"));
	assert_true(shunned(&c, "fd00::52"));
	assert_true(shunned(&c, "198.19.0.0"));
	/* a server's address is for questions alone */
	assert_true(special(&c, "10.0.0.53"));
	assert_true(special(&c, "127.0.0.1"));
	assert_false(special(&c, "198.18.0.1"));
	assert_true(special(&c, "198.19.0.1"));
	arena_free(&c.arena);
}

static void
test_self(void **state)
{
	struct conf_prefix own = { 4, { 8, 8, 8, 0 }, 24 };
	char server[] = "127.0.0.1:8461";
	struct conf c = { .self_addr = &own,
		.n_self_addr = 1,
		.sts = { .server = server },
		.settings = { .mta_sts_server = server } };

	(void)state;
	assert_true(special_open(&c));
	assert_true(special(&c, "8.8.8.8"));
	assert_true(special(&c, "11.0.0.25"));
	assert_false(special(&c, "8.8.9.8"));
	assert_null(c.sts.server);
	assert_null(c.settings.mta_sts_server);
	arena_free(&c.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_special,
		    "what is not on the Internet, or ours, is special (W01)"),
		TEST(test_shun,
		    "configured servers are asked all the same (W01)"),
		TEST(test_self,
		    "resolver.self is ours, and no policy is fetched (W01)"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

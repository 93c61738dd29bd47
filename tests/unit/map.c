/* SPDX-License-Identifier: ISC */
/* danevirked's map as octets: requests of both kinds, and each reply.  Each
 * request lies in memory of its exact size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "danevirked/map.h"

#include <cmocka.h>

#include "title.h"

#define N(a) (sizeof(a) / sizeof *(a))

static ssize_t
parse(const char *data, size_t len, struct map_request *r)
{
	uint8_t *exact = malloc(len > 0 ? len : 1);
	ssize_t n;

	assert_non_null(exact);
	memcpy(exact, data, len);
	memset(r, 0xa5, sizeof *r);
	n = map_parse(exact, len, r);
	free(exact);
	return n;
}

/* What is answered to a request, if its domain is at 127.64.1.2:10025. */
static void
reply(const struct map_request *r, char buf[MAP_REPLY_MAX])
{
	char domain[DOMAIN_LEN], value[64];
	const char *why = r->why;
	size_t n;

	if (why == NULL && map_domain(r->key) == NULL)
		n = map_reply(r, MAP_NOTFOUND, "", (uint8_t *)buf);
	else if (why == NULL &&
	    alias_domain(map_domain(r->key), domain, &why)) {
		map_value(r, "127.64.1.2", 10025, value, sizeof value);
		n = map_reply(r, MAP_OK, value, (uint8_t *)buf);
	} else
		n = map_reply(r, MAP_PERM, why, (uint8_t *)buf);
	assert_true(n < MAP_REPLY_MAX);
	buf[n] = '\0';
}

static void
test_replies(void **state)
{
	static const struct {
		const char *request, *reply;
	} t[] = {
		{ "example.org\n", "OK 127.64.1.2::10025\n" },
		{ "exim example.org\n", "OK 127.64.1.2::10025\n" },
		{ "postfix Example.ORG.\n", "OK :[127.64.1.2]:10025\n" },
		{ "danevirke [192.0.2.1]\n", "OK [127.64.1.2]:10025\n" },
		{ "[ipv6:2001:db8::1]\n", "OK 127.64.1.2::10025\n" },
		{ "21:danevirke example.org,", "21:OK [127.64.1.2]:10025," },
		{ "19:postfix example.org,", "22:OK :[127.64.1.2]:10025," },
		{ "20:sendmail example.org,", "15:OK [127.64.1.2]," },
		{ "16:exim example.org,", "20:OK 127.64.1.2::10025," },
		/* digits are a netstring's if a ':' is behind them */
		{ "123456\n", "OK 127.64.1.2::10025\n" },
		{ "123.example\n", "OK 127.64.1.2::10025\n" },
		{ "9a:8\n",
		    "PERM not a domain name: want letters, digits, "
		    "'-', '_' and '.'\n" },
		/* what Postfix asks beside domains */
		{ "19:postfix a@b.example,", "22:OK :[127.64.1.2]:10025," },
		{ "\"a@b.c\"@d.example\n", "OK 127.64.1.2::10025\n" },
		{ "9:postfix *,", "9:NOTFOUND ," },
		{ "*\n", "NOTFOUND \n" },
		/* what is wrong */
		{ "\n", "PERM not a domain name: want 1 to 253 octets\n" },
		{ "8:postfix ,",
		    "44:PERM not a domain name: want 1 to 253 octets," },
		{ ".example\n",
		    "PERM not a domain name: want labels of 1 to 63 octets\n" },
		{ "user@\n", "PERM not a domain name: want 1 to 253 octets\n" },
		{ "a..b\n",
		    "PERM not a domain name: want labels of 1 to 63 octets\n" },
		{ "exim a b\n",
		    "PERM not a domain name: want letters, digits, "
		    "'-', '_' and '.'\n" },
		{ "example.org\r\n",
		    "PERM not a domain name: want letters, "
		    "digits, '-', '_' and '.'\n" },
		{ "11:example.org,",
		    "68:PERM want danevirke, exim, postfix or "
		    "sendmail, a space and a domain," },
		{ "mars example.org\n",
		    "PERM want danevirke, exim, postfix or "
		    "sendmail, a space and a domain\n" },
		{ " example.org\n",
		    "PERM want danevirke, exim, postfix or "
		    "sendmail, a space and a domain\n" },
		{ "eximexample.org \n",
		    "PERM want danevirke, exim, postfix or "
		    "sendmail, a space and a domain\n" },
	};
	char buf[MAP_REPLY_MAX], more[100];
	struct map_request r;
	size_t i, k, n;

	(void)state;
	for (i = 0; i < N(t); i++) {
		n = strlen(t[i].request);
		snprintf(more, sizeof more, "%s%s", t[i].request, "7:x");
		for (k = 0; k < n; k++)
			assert_int_equal(parse(more, k, &r), 0);
		assert_int_equal(parse(more, n, &r), (ssize_t)n);
		assert_int_equal(parse(more, n + 3, &r), (ssize_t)n);
		assert_int_equal(r.netstring, t[i].request[n - 1] == ',');
		reply(&r, buf);
		assert_string_equal(buf, t[i].reply);
	}
}

static void
test_nul(void **state)
{
	static const char line[] = "example.org\0.example\n",
			  string[] = "20:exim example\0example,";
	struct map_request r;

	(void)state;
	assert_int_equal(
	    parse(line, sizeof line - 1, &r), (ssize_t)sizeof line - 1);
	assert_string_equal(r.why, "not a domain name: holds a NUL");
	assert_string_equal(r.key, "");
	assert_int_equal(
	    parse(string, sizeof string - 1, &r), (ssize_t)sizeof string - 1);
	assert_string_equal(r.why, "not a domain name: holds a NUL");
}

/* After these nothing can be understood. */
static void
test_lost(void **state)
{
	static const struct {
		const char *request, *why;
	} t[] = {
		{ "0:,", "a netstring's length: want 1 to 999" },
		{ "012:", "a netstring's length: want 1 to 999" },
		{ "1000:", "a netstring's length: want 1 to 999" },
		{ "99999999999999999999:",
		    "a netstring's length: want 1 to 999" },
		{ "6:exim aX", "a netstring does not end with a comma" },
	};
	char text[MAP_REQUEST_MAX + 1];
	struct map_request r;
	size_t i;

	(void)state;
	for (i = 0; i < N(t); i++) {
		assert_int_equal(
		    parse(t[i].request, strlen(t[i].request), &r), -1);
		assert_string_equal(r.why, t[i].why);
	}
	memset(text, 'a', sizeof text);
	assert_int_equal(parse(text, MAP_REQUEST_MAX - 1, &r), 0);
	assert_int_equal(parse(text, MAP_REQUEST_MAX, &r), -1);
	assert_string_equal(r.why, "longer than 1024 octets");
	memset(text, '1', sizeof text);
	assert_int_equal(parse(text, MAP_REQUEST_MAX, &r), -1);
	text[MAP_REQUEST_MAX] = '\n';
	assert_int_equal(parse(text, sizeof text, &r), -1);
	/* as long as it may be */
	text[MAP_REQUEST_MAX - 1] = '\n';
	assert_int_equal(parse(text, sizeof text, &r), MAP_REQUEST_MAX);
	assert_int_equal(strlen(r.key), MAP_REQUEST_MAX - 1);
}

static void
test_temp(void **state)
{
	struct map_request r = { 0 };
	uint8_t buf[MAP_REPLY_MAX];
	char text[1000];
	size_t n;

	(void)state;
	assert_int_equal(MAP_TEMP, 0); /* what is zeroed is tried again */
	n = map_reply(&r, MAP_TEMP, "no address is free", buf);
	assert_memory_equal(buf, "TEMP no address is free\n", n);
	/* whatever its length */
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	r.netstring = true;
	n = map_reply(&r, MAP_TEMP, text, buf);
	assert_true(n < sizeof buf && buf[n - 1] == ',');
	assert_memory_equal(buf, "405:TEMP xx", 11);
	assert_int_equal(n, 4 + 405 + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_replies,
		    "each request of both protocols has its reply"),
		TEST(test_nul, "a NUL in a domain is refused"),
		TEST(test_lost, "what cannot be a request is given up"),
		TEST(test_temp,
		    "what is zeroed is a temporary failure, of any length"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

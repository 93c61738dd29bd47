/* SPDX-License-Identifier: ISC */
/* The pure parts of danevirke web: requests, clients, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/limit.h" /* before cmocka.h, which defines fail() */
#include "cli/request.h"
#include "value.h"

#include <cmocka.h>

#include "title.h"

static struct request r;

/* No octet behind the head is looked at. */
static int
request_of(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	int status;

	assert_non_null(copy);
	memcpy(copy, text, len);
	memset(&r, 'x', sizeof r);
	status = request_read(copy, len, &r);
	free(copy);
	return status;
}

static int
request(const char *text)
{
	return request_of(text, strlen(text));
}

static int
target(const char *t)
{
	char line[2048];

	snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n\r\n", t);
	return request(line);
}

static void
test_pages(void **state)
{
	(void)state;
	assert_int_equal(target("/"), 0);
	assert_int_equal(r.page, REQUEST_FORM);
	assert_false(r.head);
	assert_string_equal(r.domain, "");
	assert_string_equal(r.forwarded, "");
	assert_int_equal(target("/?from=elsewhere"), 0);
	assert_int_equal(target("/style.css"), 0);
	assert_int_equal(r.page, REQUEST_STYLE);
	assert_int_equal(target("/robots.txt"), 0);
	assert_int_equal(r.page, REQUEST_ROBOTS);
	assert_int_equal(target("/check?domain=example.org"), 0);
	assert_int_equal(r.page, REQUEST_CHECK);
	assert_string_equal(r.domain, "example.org");
	assert_int_equal(target("/check.json?domain="), 0);
	assert_int_equal(r.page, REQUEST_JSON);
	assert_string_equal(r.domain, "");
	assert_int_equal(target("http://site.example:80/check?domain=a"), 0);
	assert_string_equal(r.domain, "a");
	assert_int_equal(
	    request("HEAD / HTTP/1.0\r\nA:\r\nB: \t x \r\n\r\n"), 0);
	assert_true(r.head);
}

static void
test_decode(void **state)
{
	static const struct {
		const char *query, *domain; /* NULL: refused */
	} t[] = {
		{ "b%C3%BCcher.example",
		    "b\xc3\xbc"
		    "cher.example" },
		{ "b%c3%bccher",
		    "b\xc3\xbc"
		    "cher" },
		{ "+a.b%20", "a.b" },
		{ "%20%20", "" },
		{ "a+b", "a b" },
		{ "a%2", NULL },
		{ "a%", NULL },
		{ "a%zz", NULL },
		{ "a%00b", NULL },
		{ "a%0d%0ab", NULL },
		{ "a%1b", NULL },
		{ "a%7f", NULL },
		{ "%c3", NULL },
		{ "%c2%9b", NULL },
		{ "%ff", NULL },
		{ "a&b=c", NULL },
		{ "a&domain=b", NULL },
		{ "a%26b", "a&b" },
		{ "a=b", "a=b" },
		{ "a?b", "a?b" },
	};
	char text[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		snprintf(text, sizeof text, "/check?domain=%s", t[i].query);
		assert_int_equal(target(text), t[i].domain == NULL ? 400 : 0);
		assert_string_equal(
		    r.domain, t[i].domain == NULL ? "" : t[i].domain);
	}
	for (i = 0; i < 2; i++) { /* 511 octets, then one more */
		snprintf(text, sizeof text, "/check?domain=%0*d",
		    REQUEST_DOMAIN - 1 + (int)i, 0);
		assert_int_equal(target(text), i == 0 ? 0 : 400);
	}
	assert_int_equal(target("/check"), 400);
	assert_int_equal(target("/check?"), 400);
	assert_int_equal(target("/check?domain"), 400);
	assert_int_equal(target("/check?Domain=a"), 400);
	assert_int_equal(target("/check?port=25&domain=a"), 400);
}

static void
test_bad(void **state)
{
	static const struct {
		const char *text;
		int status;
	} t[] = {
		{ "", 400 },
		{ "\r\n", 400 },
		{ "\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n", 400 },
		{ "GET / HTTP/1.1\n\n", 400 },
		{ "GET / HTTP/1.1\r\rA: b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n\r\nmore\r\n\r\n", 400 },
		{ "GET /\r\n\r\n", 400 },
		{ " GET / HTTP/1.1\r\n\r\n", 400 },
		{ "GET  / HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1 \r\n\r\n", 400 },
		{ "GET / a HTTP/1.1\r\n\r\n", 400 },
		{ "GET / http/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.2\r\n\r\n", 505 },
		{ "GET / HTTP/2.0\r\n\r\n", 505 },
		{ "G\x7fT / HTTP/1.1\r\n\r\n", 400 },
		{ "G:T / HTTP/1.1\r\n\r\n", 400 },
		{ "get / HTTP/1.1\r\n\r\n", 405 },
		{ "POST / HTTP/1.1\r\n\r\n", 405 },
		{ "GETS / HTTP/1.1\r\n\r\n", 405 },
		{ "GET /nowhere HTTP/1.1\r\n\r\n", 404 },
		{ "GET /check/ HTTP/1.1\r\n\r\n", 404 },
		{ "GET // HTTP/1.1\r\n\r\n", 404 },
		{ "GET * HTTP/1.1\r\n\r\n", 404 },
		{ "GET http://site HTTP/1.1\r\n\r\n", 400 },
		{ "GET https://site/ HTTP/1.1\r\n\r\n", 404 },
		{ "GET /\t HTTP/1.1\r\n\r\n", 400 },
		{ "GET /\xc3\xbc HTTP/1.1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\n: b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA : b\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nA: \x01\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\ncontent-length: 1\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 0 },
		{ "GET / HTTP/1.1\r\nContent-Length: 00\r\n\r\n", 400 },
		{ "GET / HTTP/1.1\r\nTransfer-encoding: chunked\r\n\r\n", 400 },
	};
	char *large = calloc(1, REQUEST_HEAD + 2);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++)
		if (request(t[i].text) != t[i].status)
			fail_msg("%s: want %d", t[i].text, t[i].status);
	assert_int_equal(
	    request_of("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 23), 400);
	/* all of it X-Forwarded-For, and one octet more */
	assert_non_null(large);
	for (i = 0; i < 2; i++) {
		snprintf(large, REQUEST_HEAD + 2,
		    "GET / HTTP/1.1\r\nX-Forwarded-For: %0*d\r\n\r\n",
		    REQUEST_HEAD - 37 + (int)i, 0);
		assert_int_equal(strlen(large), REQUEST_HEAD + i);
		assert_int_equal(request(large), i == 0 ? 0 : 400);
	}
	free(large);
}

/* ------------------------------------------------------------------ clients */

static void
test_client(void **state)
{
	static const struct {
		const char *peer, *forwarded, *client; /* NULL: none */
	} t[] = {
		{ "192.0.2.9", "", "192.0.2.9" },
		{ "192.0.2.9", "192.0.2.1", "192.0.2.9" },
		{ "10.0.0.1", "192.0.2.1", "192.0.2.1" },
		{ "10.0.0.1", "", "10.0.0.1" },
		{ "10.0.0.1", "unknown", "10.0.0.1" },
		{ "10.0.0.1", "_hidden, 10.0.0.2", "10.0.0.2" },
		{ "10.0.0.1", "192.0.2.7, 192.0.2.1", "192.0.2.1" },
		{ "10.0.0.1", "192.0.2.1,10.0.0.2 ,\t10.0.0.3", "192.0.2.1" },
		{ "10.0.0.1", "10.0.0.2", "10.0.0.2" },
		{ "10.0.0.1", "192.0.2.1,", "10.0.0.1" },
		{ "10.0.0.1", ",,,", "10.0.0.1" },
		{ "10.0.0.1", "192.0.2.1, , 10.0.0.2", "10.0.0.2" },
		{ "10.0.0.1", "192.0.2.1:99", "192.0.2.1" },
		{ "10.0.0.1", "192.0.2.01", "10.0.0.1" },
		{ "10.0.0.1", "[2001:db8::1]:99", "2001:db8::" },
		{ "10.0.0.1", "[2001:db8::1]", "2001:db8::" },
		{ "10.0.0.1", "[2001:db8::1]x", "10.0.0.1" },
		{ "10.0.0.1", "[2001:db8::1", "10.0.0.1" },
		{ "10.0.0.1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::" },
		{ "10.0.0.1", "fe80::1%lo", "10.0.0.1" },
		{ "10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1" },
		{ "10.0.0.1", "192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1" },
		{ "fd00::1", "192.0.2.1", "192.0.2.1" },
		{ "fd01::1", "192.0.2.1", "fd01::" },
		{ NULL, "192.0.2.1", "192.0.2.1" },
		{ NULL, "192.0.2.1, 10.0.0.1", "192.0.2.1" },
		{ NULL, "", NULL },
	};
	struct conf_prefix proxy[2], peer, client, want;
	bool clear;
	size_t i;

	(void)state;
	assert_true(value_prefix("10.0.0.0/8", &proxy[0], &clear));
	assert_true(value_prefix("fd00::1", &proxy[1], &clear));
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		memset(&peer, 0, sizeof peer);
		memset(&want, 0, sizeof want);
		if (t[i].peer != NULL)
			assert_true(value_address(t[i].peer, &peer));
		if (t[i].client != NULL)
			assert_true(value_address(t[i].client, &want));
		client = request_client(&peer, t[i].forwarded, proxy, 2);
		if (client.family != want.family ||
		    memcmp(client.ip, want.ip, 16) != 0)
			fail_msg(
			    "%zu: %s: not %s", i, t[i].forwarded, t[i].client);
	}
}

/* ------------------------------------------------------------------- limits */

static void
test_limit(void **state)
{
	static struct limit l = { .most = 2 };
	struct conf_prefix a = { 4, { 192, 0, 2, 1 }, 32 },
			   b = { 6, { 192, 0, 2, 1 }, 64 };
	unsigned i;

	(void)state;
	assert_int_equal(limit_wait(&l, &a, 100), 0);
	limit_count(&l, &a, 100);
	assert_int_equal(limit_wait(&l, &a, 110), 0);
	limit_count(&l, &a, 110);
	assert_int_equal(limit_wait(&l, &a, 110), 50);
	assert_int_equal(limit_wait(&l, &a, 159), 1);
	assert_int_equal(limit_wait(&l, &b, 110), 0); /* another family */
	assert_int_equal(limit_wait(&l, &a, 160), 0);
	limit_count(&l, &a, 160);
	limit_count(&l, &a, 160);
	assert_int_equal(limit_wait(&l, &a, 161), 59);
	/* the oldest is forgotten, and no other */
	for (i = 0; i < LIMIT_CLIENTS - 1; i++) {
		b.ip[0] = (uint8_t)(i >> 8);
		b.ip[1] = (uint8_t)i;
		limit_count(&l, &b, 170);
	}
	assert_int_equal(limit_wait(&l, &a, 170), 50);
	b.ip[2] = 9;
	limit_count(&l, &b, 170);
	assert_int_equal(limit_wait(&l, &a, 170), 0);
	limit_count(&l, &b, 170);
	assert_int_equal(limit_wait(&l, &b, 170), 60);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pages, "a request is for one of five pages"),
		TEST(test_decode,
		    "a domain is decoded, and nothing stands beside it (W07)"),
		TEST(test_bad, "what is no request is refused (W06)"),
		TEST(test_client,
		    "the client is whom no proxy vouches for (W04)"),
		TEST(test_limit,
		    "a client is refused until its minute is over (W03)"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/*
 * line.c: the table protocol of OpenSMTPD from 7.6 on, and how the two are told
 * apart.  Each line lies in memory of its exact size, so that a reader that
 * goes too far is seen.
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

#include "title.h"

#define HEAD "table|0.1|1713795082.354255|dane|"

static ssize_t
parse(const void *data, size_t len, struct request *r)
{
	uint8_t *exact = malloc(len > 0 ? len : 1);
	ssize_t n;

	assert_non_null(exact);
	memcpy(exact, data, len);
	memset(r, 0xa5, sizeof *r);
	n = line_parse(exact, len, r);
	free(exact);
	return n;
}

/* A line without its end is no request yet; with it, it is this one. */
static void
line(const char *text, enum request_op op, struct request *r)
{
	size_t i, n = strlen(text);
	char *copy = malloc(n + 7);

	assert_non_null(copy);
	memcpy(copy, text, n);
	memcpy(copy + n, "\ntable", 7);
	for (i = 0; i <= n; i++)
		assert_int_equal(parse(copy, i, r), 0);
	assert_int_equal(parse(copy, n + 1, r), (ssize_t)n + 1);
	assert_int_equal(parse(copy, n + 6, r), (ssize_t)n + 1);
	free(copy);
	if (r->op != op)
		print_error("%s\n", text);
	assert_int_equal(r->op, op);
	if (op != REQUEST_NONE && op != REQUEST_BAD)
		assert_null(r->why);
}

static void
test_config(void **state)
{
	static const char *const passed[] = { "config|smtpd-version|7.8.0",
		"config|protocol|0.1", "config|protocol|0.12",
		"config|tablename|dane", "config|ready|not", "config|",
		"config", "config|new|a|b|c" };
	static const char *const versions[] = { "", "1.0", "0.", "0", "0.a",
		"00.1", "0.1.1", "0.1|", "0.99999", " 0.1", "-0.1" };
	char text[100];
	struct request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof passed / sizeof *passed; i++) {
		line(passed[i], REQUEST_NONE, &r);
		assert_null(r.why);
	}
	line("config|ready", REQUEST_OPEN, &r);
	for (i = 0; i < sizeof versions / sizeof *versions; i++) {
		snprintf(
		    text, sizeof text, "config|protocol|%s\n", versions[i]);
		assert_int_equal(parse(text, strlen(text), &r), -1);
		assert_non_null(strstr(r.why, "version"));
	}
}

static void
test_lookup_and_check(void **state)
{
	struct request r;

	(void)state;
	line(HEAD "lookup|relayhost|b72508d|example.org", REQUEST_LOOKUP, &r);
	assert_true(r.relayhost);
	assert_string_equal(r.key, "example.org");
	assert_string_equal(r.id, "b72508d");
	assert_string_equal(r.word, "lookup");
	line(HEAD "check|relayhost|1|[ipv6:::1]", REQUEST_CHECK, &r);
	assert_true(r.relayhost);
	assert_string_equal(r.key, "[ipv6:::1]");
	assert_string_equal(r.word, "check");
	/* the last word may hold anything, and be empty */
	line(HEAD "lookup|relayhost|1|a|b|", REQUEST_LOOKUP, &r);
	assert_string_equal(r.key, "a|b|");
	line(HEAD "lookup|relayhost|1|", REQUEST_LOOKUP, &r);
	assert_string_equal(r.key, "");
	line(HEAD "lookup|domain|1|example.org", REQUEST_LOOKUP, &r);
	assert_false(r.relayhost);
	line(HEAD "lookup||1|example.org", REQUEST_LOOKUP, &r);
	assert_false(r.relayhost);
	line(HEAD "lookup|relayhosts|1|example.org", REQUEST_LOOKUP, &r);
	assert_false(r.relayhost);
	/* time and table are smtpd's business */
	line("table|0.7|||lookup|relayhost|1|example.org", REQUEST_LOOKUP, &r);
}

static void
test_update_and_fetch(void **state)
{
	struct request r;

	(void)state;
	line(HEAD "update|478ff0d2", REQUEST_UPDATE, &r);
	assert_string_equal(r.id, "478ff0d2");
	assert_string_equal(r.word, "update");
	line(HEAD "fetch|relayhost|1", REQUEST_FETCH, &r);
	assert_true(r.relayhost);
	assert_string_equal(r.id, "1");
	line(HEAD "fetch|source|1", REQUEST_FETCH, &r);
	assert_false(r.relayhost);
}

static void
test_without_answer(void **state)
{
	static const char *const lines[] = { "", "|", "table", "tables|", "x",
		"table|", "table|0.1", "table|0.1|1", "table|0.1|1|dane",
		"table|0.1|1|dane|", HEAD "frobnicate|1", HEAD "Lookup|r|1|a",
		HEAD "lookup", HEAD "lookup|", HEAD "lookup|relayhost",
		HEAD "lookup|relayhost|", HEAD "lookup|relayhost||a.org",
		HEAD "update", HEAD "update|", HEAD "fetch|relayhost|",
		HEAD "update|a b", HEAD "update|a\tb", HEAD "update|a\x80",
		HEAD "update|"
		     "0123456789012345678901234567890123456789"
		     "012345678901234567890123" };
	struct request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof lines / sizeof *lines; i++) {
		line(lines[i], REQUEST_NONE, &r);
		assert_non_null(r.why);
	}
	line(HEAD "update|"
		  "0123456789012345678901234567890123456789"
		  "01234567890123456789012",
	    REQUEST_UPDATE, &r);
	assert_int_equal(strlen(r.id), 63);
}

static void
test_bad(void **state)
{
	static const char *const versions[] = { "", "1.0", "0.x", "0" };
	char text[2000], key[1100];
	struct request r;
	size_t i;

	(void)state;
	line(HEAD "lookup|relayhost|17", REQUEST_BAD, &r); /* no key */
	assert_string_equal(r.id, "17");
	assert_string_equal(r.word, "lookup");
	assert_non_null(r.why);
	for (i = 0; i < sizeof versions / sizeof *versions; i++) {
		snprintf(text, sizeof text,
		    "table|%s|1|dane|check|relayhost|17|a.org", versions[i]);
		line(text, REQUEST_BAD, &r);
		assert_string_equal(r.id, "17");
		assert_non_null(strstr(r.why, "version"));
	}
	memset(key, 'a', sizeof key);
	key[1023] = '\0';
	snprintf(text, sizeof text, HEAD "lookup|relayhost|1|%s", key);
	line(text, REQUEST_LOOKUP, &r);
	assert_int_equal(strlen(r.key), 1023);
	key[1023] = 'a';
	key[1024] = '\0';
	snprintf(text, sizeof text, HEAD "lookup|relayhost|1|%s", key);
	line(text, REQUEST_BAD, &r);
	assert_non_null(strstr(r.why, "1023"));
}

static void
test_frames(void **state)
{
	static char data[20000];
	struct request r;

	(void)state;
	memset(data, 'a', sizeof data);
	assert_int_equal(parse(data, 16383, &r), 0);
	assert_int_equal(parse(data, 16384, &r), -1);
	assert_int_equal(parse(data, sizeof data, &r), -1);
	assert_non_null(strstr(r.why, "16384"));
	data[16384] = '\n'; /* too late */
	assert_int_equal(parse(data, sizeof data, &r), -1);
	data[16383] = '\n'; /* as long as can be */
	assert_int_equal(parse(data, sizeof data, &r), 16384);
	data[5] = '\0';
	assert_int_equal(parse(data, sizeof data, &r), -1);
	assert_non_null(strstr(r.why, "NUL"));
}

static void
replies(const struct request *r, enum table_reply reply, const char *text,
    const char *wanted)
{
	char buf[REPLY_MAX + 1];
	size_t n;

	memset(buf, 0xa5, sizeof buf);
	n = line_reply(r, reply, text, (uint8_t *)buf);
	assert_true(n <= REPLY_MAX);
	buf[n] = '\0';
	assert_string_equal(buf, wanted);
}

static void
test_replies(void **state)
{
	struct request r = { .op = REQUEST_OPEN };

	(void)state;
	replies(&r, REPLY_YES, "", "register|relayhost\nregister|ready\n");
	line(HEAD "update|7", REQUEST_UPDATE, &r);
	replies(&r, REPLY_YES, "", "update-result|7|ok\n");
	replies(&r, REPLY_ERROR, "no", "update-result|7|error|no\n");
	replies(&r, REPLY_ERROR, "", "update-result|7|error|failed\n");
	line(HEAD "check|relayhost|7|a.org", REQUEST_CHECK, &r);
	replies(&r, REPLY_YES, "x", "check-result|7|found\n");
	replies(&r, REPLY_NO, "x", "check-result|7|not-found\n");
	replies(&r, REPLY_ERROR, "no", "check-result|7|error|no\n");
	line(HEAD "lookup|relayhost|7|a.org", REQUEST_LOOKUP, &r);
	replies(&r, REPLY_YES, "smtp+notls://127.64.0.1:10025",
	    "lookup-result|7|found|smtp+notls://127.64.0.1:10025\n");
	replies(&r, REPLY_NO, "x", "lookup-result|7|not-found\n");
	replies(&r, REPLY_ERROR, "a\nb\x1b\x7f|%s",
	    "lookup-result|7|error|a?b??|%s\n");
	line(HEAD "fetch|relayhost|7", REQUEST_FETCH, &r);
	replies(&r, REPLY_ERROR, "no", "fetch-result|7|error|no\n");
	line(HEAD "lookup|relayhost|7", REQUEST_BAD, &r);
	replies(&r, REPLY_ERROR, "no", "lookup-result|7|error|no\n");
}

static void
test_long_replies(void **state)
{
	struct request r;
	uint8_t buf[REPLY_MAX];
	char text[3000];
	size_t n;

	(void)state;
	memset(text, 'a', sizeof text);
	text[sizeof text - 1] = '\0';
	line(HEAD "lookup|relayhost|"
		  "01234567890123456789012345678901234567890123456789"
		  "0123456789012|a.org",
	    REQUEST_LOOKUP, &r);
	n = line_reply(&r, REPLY_YES, text, buf);
	assert_true(n > 900 && n <= REPLY_MAX);
	assert_ptr_equal(memchr(buf, '\n', n), buf + n - 1);
	n = line_reply(&r, REPLY_ERROR, text, buf);
	assert_true(n > 900 && n <= REPLY_MAX);
	assert_ptr_equal(memchr(buf, '\n', n), buf + n - 1);
}

static void
test_guess(void **state)
{
	const uint32_t open = 2, lookup = 6;
	const uint8_t *config = (const uint8_t *)"config|ready\n";
	size_t n;

	(void)state;
	for (n = 0; n < 13; n++)
		assert_int_equal(protocol_guess(config, n), n < 7 ? 0 : 'l');
	for (n = 0; n <= 4; n++)
		assert_int_equal(
		    protocol_guess((const uint8_t *)&open, n), n < 4 ? 0 : 'i');
	assert_int_equal(protocol_guess((const uint8_t *)&lookup, 4), -1);
	assert_int_equal(protocol_guess((const uint8_t *)"table|", 6), -1);
	assert_int_equal(protocol_guess((const uint8_t *)"config\n", 7), -1);
	assert_int_equal(protocol_guess((const uint8_t *)"x", 1), -1);
	assert_int_equal(protocol_guess((const uint8_t *)"\n", 1), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_config,
		    "config lines are read, other versions are refused"),
		TEST(test_lookup_and_check, "lookup and check are read"),
		TEST(test_update_and_fetch, "update and fetch are read"),
		TEST(test_without_answer, "a line without an id has no answer"),
		TEST(test_bad, "a bad request is answered by its id"),
		TEST(test_frames,
		    "a line that is too long or has a NUL ends it"),
		TEST(test_replies, "each kind of reply has its words"),
		TEST(test_long_replies, "a long reply is cut and has its end"),
		TEST(test_guess,
		    "the first octets tell the protocol, or it is none"),
	};

	return cmocka_run_group_tests_name("line", tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/*
 * imsg.c: the table protocol of OpenSMTPD up to 7.5, octet by octet.  Each
 * message lies in memory of its exact size, so that a reader that goes too
 * far is seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "opensmtpd/table.h"

#include <cmocka.h>

#include "title.h"

#define RELAYHOST 0x200

struct message {
	uint8_t data[70000];
	size_t len;
};

static void
put(struct message *m, const void *data, size_t len)
{
	assert_true(m->len + len <= sizeof m->data);
	memcpy(m->data + m->len, data, len);
	m->len += len;
}

static void
put32(struct message *m, uint32_t v)
{
	put(m, &v, sizeof v);
}

static void
set_length(struct message *m, size_t len)
{
	uint16_t v = (uint16_t)len;

	memcpy(m->data + 4, &v, sizeof v);
}

static void
begin(struct message *m, uint32_t type)
{
	m->len = 0;
	put32(m, type);
	put32(m, 0); /* length and flags */
	put32(m, 0);
	put32(m, 4711); /* pid: means nothing */
	set_length(m, m->len);
}

static void
add(struct message *m, const void *data, size_t len)
{
	put(m, data, len);
	set_length(m, m->len);
}

static void
query(struct message *m, uint32_t type, uint32_t service, size_t params)
{
	begin(m, type);
	add(m, &service, sizeof service);
	add(m, &params, sizeof params);
}

static ssize_t
parse(const struct message *m, size_t len, struct request *r)
{
	uint8_t *exact = malloc(len > 0 ? len : 1);
	ssize_t n;

	assert_non_null(exact);
	memcpy(exact, m->data, len);
	memset(r, 0xa5, sizeof *r);
	n = imsg_parse(exact, len, r);
	free(exact);
	return n;
}

/* The whole message is one request; less of it is none yet. */
static void
whole(const struct message *m, enum request_op op, struct request *r)
{
	size_t i;

	for (i = 0; i < m->len; i += i < 40 ? 1 : 97)
		assert_int_equal(parse(m, i, r), 0);
	assert_int_equal(parse(m, m->len, r), (ssize_t)m->len);
	assert_int_equal(r->op, op);
	if (op == REQUEST_BAD)
		assert_non_null(r->why);
	else
		assert_null(r->why);
}

static void
test_open(void **state)
{
	static const size_t line_max[] = { 5, 1024, 2048, 4096 };
	struct message m;
	struct request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof line_max / sizeof *line_max; i++) {
		begin(&m, 2);
		put32(&m, 2);
		memset(m.data + m.len, 0, line_max[i]);
		memcpy(m.data + m.len, "dane", 4);
		m.len += line_max[i];
		set_length(&m, m.len);
		whole(&m, REQUEST_OPEN, &r);
	}
}

static void
test_open_refused(void **state)
{
	struct message m;
	struct request r;

	(void)state;
	begin(&m, 2); /* no version */
	assert_int_equal(parse(&m, m.len, &r), -1);
	assert_non_null(strstr(r.why, "version 2"));
	add(&m, "\3\0\0\0dane", 9); /* another */
	assert_int_equal(parse(&m, m.len, &r), -1);
	assert_non_null(strstr(r.why, "version 2"));
	begin(&m, 2);
	put32(&m, 2);
	set_length(&m, m.len);
	assert_int_equal(parse(&m, m.len, &r), -1); /* no name */
	add(&m, "dane", 4);
	assert_int_equal(parse(&m, m.len, &r), -1); /* one that goes on */
	assert_non_null(strstr(r.why, "name"));
}

static void
test_lookup_and_check(void **state)
{
	struct message m;
	struct request r;

	(void)state;
	query(&m, 6, RELAYHOST, 0);
	add(&m, "example.org", 12);
	whole(&m, REQUEST_LOOKUP, &r);
	assert_true(r.relayhost);
	assert_string_equal(r.key, "example.org");
	query(&m, 5, RELAYHOST, 0);
	add(&m, "[ipv6:::1]", 11);
	whole(&m, REQUEST_CHECK, &r);
	assert_true(r.relayhost);
	assert_string_equal(r.key, "[ipv6:::1]");
	query(&m, 6, RELAYHOST, 0); /* it is for others to refuse it */
	add(&m, "", 1);
	whole(&m, REQUEST_LOOKUP, &r);
	assert_string_equal(r.key, "");
	query(&m, 6, 4, 0);
	add(&m, "example.org", 12);
	whole(&m, REQUEST_LOOKUP, &r);
	assert_false(r.relayhost);
}

static void
test_key_length(void **state)
{
	char key[2000];
	struct message m;
	struct request r;

	(void)state;
	memset(key, 'a', sizeof key);
	key[1023] = '\0';
	query(&m, 6, RELAYHOST, 0);
	add(&m, key, 1024);
	whole(&m, REQUEST_LOOKUP, &r);
	assert_int_equal(strlen(r.key), 1023);
	key[1023] = 'a';
	key[1024] = '\0';
	query(&m, 6, RELAYHOST, 0);
	add(&m, key, 1025);
	whole(&m, REQUEST_BAD, &r);
	assert_non_null(strstr(r.why, "1023"));
}

static void
test_bad_queries(void **state)
{
	static const uint32_t types[] = { 5, 6, 7 };
	struct message m;
	struct request r;
	size_t i, n;

	(void)state;
	for (i = 0; i < 3; i++) {
		for (n = 0; n < sizeof(uint32_t) + sizeof(size_t); n++) {
			begin(&m, types[i]);
			add(&m, "\0\2\0\0\0\0\0\0\0\0\0\0", n);
			whole(&m, REQUEST_BAD, &r);
		}
		query(&m, types[i], RELAYHOST, 1);
		add(&m, "a\0b\0example.org", 16);
		whole(&m, REQUEST_BAD, &r);
		query(&m, types[i], RELAYHOST, SIZE_MAX);
		whole(&m, REQUEST_BAD, &r);
	}
	for (i = 0; i < 2; i++) {
		query(&m, types[i], RELAYHOST, 0);
		whole(&m, REQUEST_BAD, &r); /* no key */
		add(&m, "example.org", 11);
		whole(&m, REQUEST_BAD, &r); /* no end */
		add(&m, "\0x", 3);
		whole(&m, REQUEST_BAD, &r); /* two ends */
	}
}

static void
test_fetch(void **state)
{
	struct message m;
	struct request r;

	(void)state;
	query(&m, 7, RELAYHOST, 0);
	whole(&m, REQUEST_FETCH, &r);
	assert_true(r.relayhost);
	add(&m, "", 1);
	whole(&m, REQUEST_BAD, &r);
}

static void
test_the_others(void **state)
{
	static const uint32_t unknown[] = { 0, 1, 8, 255, UINT32_MAX };
	struct message m;
	struct request r;
	size_t i;

	(void)state;
	begin(&m, 4);
	whole(&m, REQUEST_UPDATE, &r);
	begin(&m, 3);
	whole(&m, REQUEST_CLOSE, &r);
	for (i = 0; i < sizeof unknown / sizeof *unknown; i++) {
		begin(&m, unknown[i]);
		whole(&m, REQUEST_BAD, &r);
	}
}

static void
test_frames(void **state)
{
	static const size_t wrong[] = { 0, 1, 15, 16385, 65535 };
	struct message m;
	struct request r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		begin(&m, 4);
		m.len = sizeof m.data;
		set_length(&m, wrong[i]);
		assert_int_equal(parse(&m, 15, &r), 0);
		assert_int_equal(parse(&m, 16, &r), -1);
		assert_int_equal(parse(&m, m.len, &r), -1);
		assert_non_null(strstr(r.why, "length"));
	}
	begin(&m, 9);
	memset(m.data + 16, 'x', 16384 - 16);
	m.len = 16384;
	set_length(&m, m.len);
	whole(&m, REQUEST_BAD, &r);
	begin(&m, 4); /* what follows is left alone */
	put(&m, "rest", 4);
	assert_int_equal(parse(&m, m.len, &r), 16);
}

/* type, length, and the payload as it has to be */
static void
replies(const struct request *r, enum table_reply reply, const char *text,
    const void *payload, size_t len)
{
	uint8_t buf[REPLY_MAX];
	uint32_t type;
	uint16_t length;
	size_t n;

	memset(buf, 0xa5, sizeof buf);
	n = imsg_reply(r, reply, text, buf);
	assert_int_equal(n, 16 + len);
	memcpy(&type, buf, sizeof type);
	memcpy(&length, buf + 4, sizeof length);
	assert_int_equal(type, 0);
	assert_int_equal(length, n);
	assert_memory_equal(buf + 6, "\0\0\0\0\0\0\0\0\0\0", 10);
	if (len > 0)
		assert_memory_equal(buf + 16, payload, len);
}

static void
test_replies(void **state)
{
	const int32_t yes = 1, no = 0, error = -1;
	struct request r = { .op = REQUEST_OPEN };
	uint8_t value[REPLY_MAX], buf[REPLY_MAX];
	char text[3000];

	(void)state;
	replies(&r, REPLY_YES, "", NULL, 0);
	r.op = REQUEST_UPDATE;
	replies(&r, REPLY_YES, "", &yes, 4);
	replies(&r, REPLY_ERROR, "why", &error, 4);
	r.op = REQUEST_CHECK;
	replies(&r, REPLY_YES, "", &yes, 4);
	replies(&r, REPLY_NO, "", &no, 4);
	replies(&r, REPLY_ERROR, "why", &error, 4);
	r.op = REQUEST_BAD;
	replies(&r, REPLY_ERROR, "why", &error, 4);
	memcpy(value, &yes, 4);
	memcpy(value + 4, "smtp+notls://127.64.0.1:10025", 30);
	for (r.op = REQUEST_LOOKUP;; r.op = REQUEST_FETCH) {
		replies(&r, REPLY_YES, (char *)value + 4, value, 34);
		replies(&r, REPLY_NO, "", &no, 4);
		replies(&r, REPLY_ERROR, "why", &error, 4);
		if (r.op == REQUEST_FETCH)
			break;
	}
	memset(text, 'a', sizeof text); /* cut, and its end is still there */
	text[sizeof text - 1] = '\0';
	assert_int_equal(imsg_reply(&r, REPLY_YES, text, buf), REPLY_MAX);
	assert_int_equal(buf[REPLY_MAX - 1], '\0');
	assert_int_equal(buf[REPLY_MAX - 2], 'a');
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open, "open is read, whatever the size of its name"),
		TEST(test_open_refused,
		    "another version, or a name without end, is refused"),
		TEST(test_lookup_and_check, "lookup and check are read"),
		TEST(test_key_length, "a key of 1023 octets is the longest"),
		TEST(test_bad_queries,
		    "a query that is cut or has parameters is bad"),
		TEST(test_fetch, "fetch is read, and has no key"),
		TEST(test_the_others,
		    "update and close are read, the unknown is bad"),
		TEST(test_frames, "a frame of a wrong length ends it"),
		TEST(
		    test_replies, "each kind of reply has its shape, and fits"),
	};

	return cmocka_run_group_tests_name("imsg", tests, NULL, NULL);
}

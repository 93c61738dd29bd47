/* SPDX-License-Identifier: ISC */
/* What of the relay is pure: replies, extensions, commands, the final dot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/smtp.h"

#include <cmocka.h>

#include "title.h"

/* ---------------------------------------------------------------- replies */

static void
test_reply(void **state)
{
	struct reply r = { 0 };
	char text[100];

	(void)state;
	assert_int_equal(reply_add(&r, "250 ok"), 1);
	assert_int_equal(r.code, 250);
	assert_string_equal(r.text, "250 ok\r\n");
	assert_int_equal(r.len, strlen(r.text));
	reply_reset(&r);
	assert_int_equal(reply_add(&r, "550-5.1.1 one"), 0);
	assert_int_equal(reply_add(&r, "550-"), 0);
	assert_int_equal(reply_add(&r, "550 5.1.1 three"), 1);
	assert_int_equal(r.lines, 3);
	assert_string_equal(
	    r.text, "550-5.1.1 one\r\n550-\r\n550 5.1.1 three\r\n");
	reply_text(&r, text, sizeof text);
	assert_string_equal(text, "5.1.1 three");
	reply_text(&r, text, 6);
	assert_string_equal(text, "5.1.1");
	reply_reset(&r);
	assert_int_equal(reply_add(&r, "354"), 1); /* no text at all */
	assert_string_equal(r.text, "354 \r\n");
	reply_text(&r, text, sizeof text);
	assert_string_equal(text, "");
}

/* smtpd ends a session in which a reply holds anything but printable ASCII */
static void
test_reply_clean(void **state)
{
	struct reply r = { 0 };

	(void)state;
	assert_int_equal(
	    reply_add(&r, "451 a\tb\rc\x01\x1b[0m\x7f\xc3\xa9\xff~"), 1);
	assert_string_equal(r.text, "451 a b?c??[0m?\?\?\?~\r\n");
}

static void
test_reply_bad(void **state)
{
	static const char *const bad[] = { "", "2", "25", "25x ok", "hello",
		"199 low", "600 high", "250:ok", "250\tok", " 250 ok", "2 50",
		"-250 ok", "2500 ok" };
	struct reply r = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(reply_add(&r, bad[i]), -1);
		assert_int_equal(r.code, 0);
		assert_int_equal(r.lines, 0);
	}
	/* the code changes within a reply */
	assert_int_equal(reply_add(&r, "250-ok"), 0);
	assert_int_equal(reply_add(&r, "251 ok"), -1);
	assert_int_equal(r.len, 0);
	/* without end */
	for (i = 0; i < 100; i++)
		assert_int_equal(reply_add(&r, "250-more"), 0);
	assert_int_equal(reply_add(&r, "250 more"), -2); /* not nonsense */
}

/* However much comes, what is handed on fits, and its last line is there. */
static void
test_reply_long(void **state)
{
	char line[2000], text[600];
	struct reply r = { 0 };
	const char *p;
	size_t len, i, n;

	(void)state;
	for (len = 1; len < 1500; len += 37) {
		memset(line, 'x', sizeof line);
		memcpy(line, "550-", 4);
		line[4 + len] = '\0';
		reply_reset(&r);
		for (i = 0; i < 60; i++)
			assert_int_equal(reply_add(&r, line), 0);
		memcpy(line, "550 ", 4);
		line[4] = 'z';
		assert_int_equal(reply_add(&r, line), 1);
		assert_true(r.len < sizeof r.text);
		assert_int_equal(r.len, strlen(r.text));
		reply_text(&r, text, sizeof text);
		assert_int_equal(text[0], 'z');
		for (p = r.text, n = 0; *p != '\0'; n++, p += i + 2) {
			i = strcspn(p, "\r");
			assert_true(i + 2 <= 512 && p[i + 1] == '\n');
			assert_memory_equal(p, "550", 3);
			assert_int_equal(p[3], p[i + 2] == '\0' ? ' ' : '-');
		}
		assert_true(n >= 2);
	}
}

/* ------------------------------------------------------------- extensions */

static void
parse(struct extensions *x, const char *list)
{
	const char *line[32];
	char buf[512], *p, *save = NULL;
	size_t n = 0;

	snprintf(buf, sizeof buf, "%s", list);
	for (p = strtok_r(buf, "/", &save); p != NULL && n < 32;
	     p = strtok_r(NULL, "/", &save))
		line[n++] = p;
	extensions_parse(x, line, n);
}

static void
test_extensions(void **state)
{
	struct extensions x;
	char buf[300];

	(void)state;
	/* all that cannot be relayed right is left out; T02: without case */
	parse(&x,
	    "mx.example hello/STARTTLS/PIPELINING/CHUNKING/BINARYMIME/"
	    "AUTH PLAIN/AUTH=LOGIN/size 1000/8bitmime/SmtpUtf8/Dsn/"
	    "enhancedstatuscodes/REQUIRETLS/MT-PRIORITY/X-A B/8BITMIMEX");
	extensions_reply(&x, "mx.example", buf, sizeof buf);
	assert_string_equal(buf,
	    "250-mx.example\r\n250-SIZE 1000\r\n250-8BITMIME\r\n"
	    "250-SMTPUTF8\r\n250-DSN\r\n250 ENHANCEDSTATUSCODES\r\n");
	parse(&x, "SIZE 5/");
	assert_false(x.size); /* the greeting is none */
	extensions_reply(&x, "a", buf, sizeof buf);
	assert_string_equal(buf, "250 a\r\n");
	assert_int_equal(extensions_reply(&x, "a", buf, 4), 0);
	parse(&x, "a/SIZE");
	extensions_reply(&x, "a", buf, sizeof buf);
	assert_string_equal(buf, "250-a\r\n250 SIZE\r\n");
	parse(&x, "a/SIZE 12x/8BITMIME");
	assert_true(x.size && x.limit == 0);
	parse(&x, "a/SIZE 99999999999999999999999");
	assert_true(x.size && x.limit == 0);
	parse(&x, "a/SIZE -1");
	assert_true(x.size && x.limit == 0);
	extensions_parse(&x, NULL, 0);
	assert_false(x.size || x.eightbit || x.utf8 || x.dsn || x.codes);
}

static void
test_lost(void **state)
{
	static const struct {
		const char *shown, *now, *lost;
	} rows[] = { { "a/SIZE 10/DSN", "a/SIZE 10/DSN", NULL },
		{ "a/SIZE 10", "a/SIZE 11", NULL },
		{ "a/SIZE 10", "a/SIZE 9", "SIZE" },
		{ "a/SIZE", "a/SIZE 9", "SIZE" },
		{ "a/SIZE 0", "a/SIZE 9", "SIZE" },
		{ "a/SIZE 10", "a/SIZE", NULL }, { "a/SIZE 10", "a", NULL },
		{ "a", "a/SIZE 9", NULL }, { "a/DSN", "a", "DSN" },
		{ "a/8BITMIME", "a/DSN", "8BITMIME" },
		{ "a/SMTPUTF8", "a/8BITMIME", "SMTPUTF8" },
		{ "a/ENHANCEDSTATUSCODES", "a", NULL },
		{ "a", "a/8BITMIME/DSN/SMTPUTF8", NULL } };
	struct extensions shown, now;
	const char *lost;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		parse(&shown, rows[i].shown);
		parse(&now, rows[i].now);
		lost = extensions_lost(&shown, &now);
		if (rows[i].lost == NULL)
			assert_null(lost);
		else
			assert_string_equal(lost, rows[i].lost);
	}
}

/* --------------------------------------------------------------- commands */

static void
test_verb(void **state)
{
	(void)state;
	assert_int_equal(verb_parse("EHLO a"), VERB_EHLO);
	assert_int_equal(verb_parse("helo a"), VERB_HELO);
	assert_int_equal(verb_parse("MAIL FROM:<>"), VERB_MAIL);
	assert_int_equal(verb_parse("Rcpt TO:<>"), VERB_RCPT);
	assert_int_equal(verb_parse("DATA"), VERB_DATA);
	assert_int_equal(verb_parse("RSET"), VERB_RSET);
	assert_int_equal(verb_parse("NOOP x"), VERB_NOOP);
	assert_int_equal(verb_parse("QUIT"), VERB_QUIT);
	assert_int_equal(verb_parse(""), VERB_OTHER);
	assert_int_equal(verb_parse("QUI"), VERB_OTHER);
	assert_int_equal(verb_parse("QUITS"), VERB_OTHER);
	assert_int_equal(verb_parse("BDAT 1 LAST"), VERB_OTHER);
	assert_int_equal(verb_parse("STARTTLS"), VERB_OTHER);
	assert_int_equal(verb_parse("AUTH PLAIN"), VERB_OTHER);
	/* a second command within */
	assert_int_equal(verb_parse("MAIL FROM:<a\rDATA>"), VERB_OTHER);
	assert_int_equal(verb_parse("NOOP \x7f"), VERB_OTHER);
	assert_int_equal(verb_parse("MAIL FROM:<\xc3\xa9@x>"), VERB_MAIL);
}

static void
test_ehlo_name(void **state)
{
	char buf[20];

	(void)state;
	assert_true(ehlo_name("EHLO mx.example", buf, sizeof buf));
	assert_string_equal(buf, "mx.example");
	assert_true(ehlo_name("HELO  [192.0.2.1]  ", buf, sizeof buf));
	assert_string_equal(buf, "[192.0.2.1]");
	assert_false(ehlo_name("EHLO", buf, sizeof buf));
	assert_false(ehlo_name("EHLO ", buf, sizeof buf));
	assert_false(ehlo_name("EHLO a b", buf, sizeof buf));
	assert_false(ehlo_name("EHLO \xc3\xa9", buf, sizeof buf));
	assert_false(ehlo_name("EHLO 12345678901234567890", buf, sizeof buf));
	assert_true(ehlo_name("EHLO 1234567890123456789", buf, sizeof buf));
}

static void
test_rcpt_domain(void **state)
{
	static const struct {
		const char *line, *domain; /* NULL: none */
	} rows[] = { { "RCPT TO:<a@b.example>", "b.example" },
		{ "rcpt to: <a@B.Example> NOTIFY=NEVER", "B.Example" },
		{ "RCPT TO:<\"a@b>c\\\"\"@d> ORCPT=rfc822;x@y", "d" },
		{ "RCPT TO:<@relay.example:a@b>", "b" },
		{ "RCPT TO:<a@[192.0.2.1]>", "[192.0.2.1]" },
		{ "RCPT TO:<postmaster>", NULL }, { "RCPT TO:<>", NULL },
		{ "RCPT TO:<a@b\"c>d\">", NULL }, { "RCPT TO:<a@b c>", NULL },
		{ "RCPT TO:<a@>", NULL }, { "RCPT TO:<a@b", NULL },
		{ "RCPT TO:a@b", NULL }, { "RCPT TO:<\"a@b>", NULL },
		{ "RCPT <a@b>", NULL }, { "RCPT", NULL }, { "RCPT TO:", NULL },
		{ "RCPT TO:<\"\\", NULL } };
	char buf[20];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool found = rcpt_domain(rows[i].line, buf, sizeof buf);

		assert_int_equal(found, rows[i].domain != NULL);
		if (found)
			assert_string_equal(buf, rows[i].domain);
	}
	assert_false(
	    rcpt_domain("RCPT TO:<a@12345678901234567890>", buf, sizeof buf));
}

/* ------------------------------------------------------------- the message */

/* The same, one octet after another, by the definition. */
static size_t
end_of(const char *p, size_t len)
{
	char last[6] = "\r\n";
	size_t i;

	memmove(last + 3, last, 2); /* ...CRLF before the first octet */
	last[0] = last[1] = last[2] = 'x';
	for (i = 0; i < len; i++) {
		memmove(last, last + 1, 4);
		last[4] = p[i];
		if (memcmp(last, "\r\n.\r\n", 5) == 0)
			return i + 1;
	}
	return 0;
}

/* Octets up to the end in pieces of this size, 0: no end. */
static size_t
find(const char *p, size_t len, size_t piece)
{
	struct dot d = { 0 };
	size_t at = 0, n, k;
	bool end;

	while (at < len) {
		n = len - at < piece ? len - at : piece;
		k = dot_find(&d, (const uint8_t *)p + at, n, &end);
		at += k;
		if (end)
			return at;
		assert_int_equal(k, n);
	}
	return 0;
}

static void
test_dot(void **state)
{
	static const struct {
		const char *text;
		size_t end;
	} rows[] = { { ".\r\n", 3 }, { "a\r\n.\r\n", 6 },
		{ "a\r\n.\r\nQUIT\r\n", 6 }, { "..\r\n.\r\n", 7 },
		{ "\r\n.\r\n", 5 }, { "a\r\n..\r\n", 0 }, { "a\n.\n", 0 },
		{ "a\n.\r\n", 0 }, { "a\r\n.\n", 0 }, { "a\r.\r\n", 0 },
		{ "a\r\n.\rb\r\n", 0 }, { "a\r\n.\r\r\n", 0 },
		{ "a\r\n.\r\n", 6 }, { "a\r\r\n.\r\n", 7 },
		{ "a\r\n. \r\n", 0 }, { ".", 0 }, { ".\r", 0 }, { "", 0 },
		{ ".\r\r\n.\r\n", 7 }, { ".\n\r\n.\r\n", 7 },
		{ "\r\n.\r.\r\n", 0 } };
	size_t i, piece;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		for (piece = 1; piece < 12; piece++) {
			assert_int_equal(
			    find(rows[i].text, strlen(rows[i].text), piece),
			    rows[i].end);
			assert_int_equal(
			    end_of(rows[i].text, strlen(rows[i].text)),
			    rows[i].end);
		}
}

/* Every message of up to nine of the octets that matter. */
static void
test_dot_all(void **state)
{
	char text[9];
	unsigned long i, n, k;
	size_t len, piece;

	(void)state;
	for (len = 1; len <= sizeof text; len++)
		for (i = 0, n = 1UL << 2 * len; i < n; i++) {
			for (k = 0; k < len; k++)
				text[k] = "\r\n.x"[i >> 2 * k & 3];
			piece = 1 + i % 4;
			assert_int_equal(
			    find(text, len, piece), end_of(text, len));
			assert_int_equal(
			    find(text, len, len), end_of(text, len));
		}
}

static void
test_clean(void **state)
{
	char text[] = "a\r\nb\tc\x80\x7f z";

	(void)state;
	text_clean(text);
	assert_string_equal(text, "a?\?b c?? z");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_reply, "a reply is handed on line by line"),
		TEST(test_reply_clean, "a reply holds printable ASCII only"),
		TEST(test_reply_bad, "a line that is no reply is refused"),
		TEST(test_reply_long,
		    "a long reply is cut and keeps its last line"),
		TEST(test_extensions,
		    "keywords are read without case, some are left out (T02)"),
		TEST(test_lost, "a keyword that the next host lacks is told"),
		TEST(test_verb,
		    "commands are known without case, others are refused"),
		TEST(test_ehlo_name, "EHLO has one name, or it is refused"),
		TEST(test_rcpt_domain,
		    "a recipient's domain is found, or there is none"),
		TEST(test_dot, "only CRLF . CRLF ends a message"),
		TEST(test_dot_all,
		    "the end is found in any message of nine octets"),
		TEST(test_clean, "a text is made one printable line"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* One line of what an SMTP server says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "reply.h"
#include "title.h"

static void
lines(void **state)
{
	static const struct {
		const char *line;
		int last, code;
		const char *text;
	} t[] = {
		{ "250 ok", 1, 250, "ok" },
		{ "250-ok", 0, 250, "ok" },
		{ "250", 1, 250, "" },
		{ "250-", 0, 250, "" },
		{ "599  two", 1, 599, " two" },
		{ "", -1, 0, NULL },
		{ "25", -1, 0, NULL },
		{ "2x0 ok", -1, 0, NULL },
		{ "-250 ok", -1, 0, NULL },
		{ "199 ok", -1, 0, NULL },
		{ "600 ok", -1, 0, NULL },
		{ "250ok", -1, 0, NULL },
		{ "2500 ok", -1, 0, NULL },
		{ "250\tok", -1, 0, NULL },
	};
	const char *text;
	size_t i;
	int code;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		assert_int_equal(
		    reply_line(t[i].line, &code, &text), t[i].last);
		if (t[i].last == -1)
			continue;
		assert_int_equal(code, t[i].code);
		assert_string_equal(text, t[i].text);
	}
}

static void
keywords(void **state)
{
	(void)state;
	assert_string_equal(reply_keyword("starttls", "STARTTLS"), "");
	assert_string_equal(reply_keyword("SIZE 1000", "SIZE"), "1000");
	assert_string_equal(reply_keyword("AUTH=PLAIN", "AUTH"), "PLAIN");
	assert_null(reply_keyword("STARTTLSX", "STARTTLS"));
	assert_null(reply_keyword("START", "STARTTLS"));
	assert_null(reply_keyword("", "STARTTLS"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines, "a reply is read line by line, or refused (T10)"),
		TEST(keywords, "keywords are read without case (T02)"),
	};

	return cmocka_run_group_tests_name("reply", tests, NULL, NULL);
}

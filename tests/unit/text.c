/* SPDX-License-Identifier: ISC */
/* What a stranger wrote, as one line and as UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "text.h"
#include "title.h"

static void
one_line(void **state)
{
	char text[] = "a\r\nb\tc\x1b[0m\x7f\xc3\xa9\xff~ ";

	(void)state;
	text_line(text);
	assert_string_equal(text, "a??b?c?[0m?\xc3\xa9\xff~ ");
}

static void
characters(void **state)
{
	static const struct {
		const char *s;
		size_t len, printable;
	} t[] = {
		{ "", 0, 0 },
		{ "a", 1, 1 },
		{ "\x01", 1, 0 },
		{ "\n", 1, 0 },
		{ "\x7f", 1, 0 },
		{ "\xc2\x80", 2, 0 }, /* C1 */
		{ "\xc2\x9f", 2, 0 },
		{ "\xc2\xa0", 2, 2 },
		{ "\xdf\xbf", 2, 2 },
		{ "\xe0\xa0\x80", 3, 3 },
		{ "\xed\x9f\xbf", 3, 3 },
		{ "\xef\xbf\xbf", 3, 3 },
		{ "\xf0\x90\x80\x80", 4, 4 },
		{ "\xf4\x8f\xbf\xbf", 4, 4 },
		{ "\x80", 0, 0 },     /* a tail */
		{ "\xc1\xbf", 0, 0 }, /* too long for what it is */
		{ "\xe0\x9f\xbf", 0, 0 },
		{ "\xf0\x8f\xbf\xbf", 0, 0 },
		{ "\xed\xa0\x80", 0, 0 },     /* a surrogate */
		{ "\xf4\x90\x80\x80", 0, 0 }, /* past U+10FFFF */
		{ "\xf5\x80\x80\x80", 0, 0 },
		{ "\xc2", 0, 0 }, /* cut off */
		{ "\xe1\x80", 0, 0 },
		{ "\xf1\x80\x80", 0, 0 },
		{ "\xe1\x80"
		  "a",
		    0, 0 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		assert_int_equal(utf8_len(t[i].s), t[i].len);
		assert_int_equal(utf8_printable(t[i].s), t[i].printable);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_line, "a text becomes one printable line"),
		TEST(characters,
		    "a character is what RFC 3629 says, and nothing else"),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}

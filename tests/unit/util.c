/* SPDX-License-Identifier: ISC */
/* util.c: names at the door, prefixes, arenas, error texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>
#undef fail

#include "title.h"

static void
test_names(void **state) /* D14, N09 */
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "example.org", "example.org" },
		{ "Example.ORG.", "example.org" },
		{ "b\303\274cher.example", "xn--bcher-kva.example" },
		{ "B\303\234CHER.example", "xn--bcher-kva.example" },
		{ "stra\303\237e.example", "xn--strae-oqa.example" },
		{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
		{ "_dmarc.example.org", "_dmarc.example.org" },
		{ "ab--cd.example", "ab--cd.example" },
		{ "localhost", "localhost" },
		{ "", NULL },
		{ ".", NULL },
		{ "a..b", NULL },
		{ ".a", NULL },
		{ "a..", NULL },
		{ "a b.example", NULL },
		{ "a\n.example", NULL },
		{ "a:25", NULL },
		{ "a/b", NULL },
		{ "[192.0.2.1]", NULL },
		{ "a@b", NULL },
		{ "\377\376", NULL },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaa.example",
		    NULL },
	};
	struct danevirke_error err;
	char buf[NAME_LEN];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		int code = name_to_ascii(t[i].in, buf, sizeof buf, &err);

		if (t[i].out == NULL) {
			if (code == 0)
				print_error("taken: %s\n", t[i].in);
			assert_int_equal(code, DANEVIRKE_EINVAL);
			assert_true(strlen(err.text) > 0);
		} else {
			if (code != 0)
				print_error(
				    "refused: %s: %s\n", t[i].in, err.text);
			assert_int_equal(code, 0);
			assert_string_equal(buf, t[i].out);
		}
	}
	assert_int_equal(
	    name_to_ascii(NULL, buf, sizeof buf, NULL), DANEVIRKE_EINVAL);
	assert_int_equal(
	    name_to_ascii("example.org", buf, 11, NULL), DANEVIRKE_EINVAL);
}

static void
test_prefix(void **state)
{
	static const struct conf_prefix p[] = {
		{ 4, { 10 }, 8 },
		{ 4, { 192, 0, 2, 128 }, 25 },
		{ 6, { 0xfd }, 8 },
		{ 4, { 198, 18, 0, 1 }, 32 },
	};
	static const uint8_t in[][4] = { { 10, 1, 2, 3 }, { 192, 0, 2, 129 },
		{ 198, 18, 0, 1 } };
	static const uint8_t out[][4] = { { 11, 1, 2, 3 }, { 192, 0, 2, 127 },
		{ 198, 18, 0, 2 }, { 0xfd, 0, 0, 0 } };
	static const uint8_t any[16] = { 1 }, v6[16] = { 0xfd, 1 };
	static const struct conf_prefix all = { 4, { 0 }, 0 };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_true(prefix_match(p, 4, 4, in[i]));
	for (i = 0; i < 4; i++)
		assert_false(prefix_match(p, 4, 4, out[i]));
	assert_true(prefix_match(p, 4, 6, v6));
	assert_false(prefix_match(p, 4, 6, any));
	assert_true(prefix_match(&all, 1, 4, any));
	assert_false(prefix_match(&all, 1, 6, any));
	assert_false(prefix_match(NULL, 0, 4, any));
}

static void
test_arena(void **state)
{
	struct arena a = { NULL };
	char *p, *big;
	size_t i;

	(void)state;
	for (i = 1; i < 5000; i += 7) {
		assert_non_null(p = arena_alloc(&a, i));
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		assert_int_equal(p[0] | p[i - 1], 0);
		memset(p, 0xff, i);
	}
	assert_non_null(big = arena_alloc(&a, 100000));
	assert_int_equal(big[99999], 0);
	assert_null(arena_array(&a, SIZE_MAX / 2, 4));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_string_equal(arena_printf(&a, "%s-%d", "x", 7), "x-7");
	arena_free(&a);
	arena_free(&a);
}

static void
test_fail(void **state)
{
	struct danevirke_error err;

	(void)state;
	assert_int_equal(fail(NULL, 7, "x"), 7);
	assert_int_equal(fail(&err, 3, "a\nb\033[31m%4000s", "x"), 3);
	assert_int_equal(err.code, 3);
	assert_memory_equal(err.text, "a?b?[31m", 8);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

/* P07: the words of RFC 8460 4.3 */
static void
test_words(void **state)
{
	int i;

	(void)state;
	assert_string_equal(result_name(DANEVIRKE_RESULT_NONE), "");
	assert_string_equal(result_name(DANEVIRKE_STARTTLS_NOT_SUPPORTED),
	    "starttls-not-supported");
	assert_string_equal(
	    result_name(DANEVIRKE_DANE_REQUIRED), "dane-required");
	for (i = 1; i <= DANEVIRKE_DANE_REQUIRED; i++)
		assert_true(strlen(result_name((enum danevirke_result)i)) > 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names,
		    "a name becomes A-labels, or it is refused (D14 N09)"),
		TEST(test_prefix, "a prefix holds its addresses and no others"),
		TEST(test_arena, "memory is aligned and zeroed, or refused"),
		TEST(test_fail, "an error is one printable line, and cut"),
		TEST(test_words,
		    "the result types have the words of RFC 8460 (P07)"),
	};

	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}

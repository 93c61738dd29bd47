/* SPDX-License-Identifier: ISC */
/* danevirke.h: what the numbers promise.  It is included first and alone, so
 * that it has to bring all it needs. */
#include "danevirke.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "title.h"

/* Zeroed memory can only delay mail. */
static void
test_zero_defers(void **state)
{
	struct danevirke_answer a;
	struct danevirke_host h;
	struct danevirke_tlsa t;
	struct danevirke_verdict v;
	struct danevirke_question q;

	(void)state;
	memset(&a, 0, sizeof a);
	memset(&h, 0, sizeof h);
	memset(&t, 0, sizeof t);
	memset(&v, 0, sizeof v);
	memset(&q, 0, sizeof q);
	assert_true(a.outcome == DANEVIRKE_DEFER);
	assert_true(a.would == DANEVIRKE_DEFER);
	assert_true(a.level == DANEVIRKE_LEVEL_DANE);
	assert_true(a.state == DANEVIRKE_ERROR);
	assert_true(h.action == DANEVIRKE_HOST_DEFER);
	assert_true(h.would == DANEVIRKE_HOST_DEFER);
	assert_true(h.state == DANEVIRKE_ERROR);
	assert_true(h.tlsa_state == DANEVIRKE_ERROR);
	assert_false(t.use);
	assert_false(t.usable);
	assert_false(v.verified);
	assert_true(q.kind == DANEVIRKE_DOMAIN);
	assert_true(DANEVIRKE_OK == 0);
	assert_true(DANEVIRKE_EVERIFY != 0);
}

/* Numbers on the wire and in other people's binaries never change. */
static void
test_numbers(void **state)
{
	(void)state;
	assert_int_equal(DANEVIRKE_ABI, 1);
	assert_string_equal(DANEVIRKE_SYMBOL, "danevirke_v1");
	assert_int_equal(DANEVIRKE_INSECURE, 1);
	assert_int_equal(DANEVIRKE_SECURE, 2);
	assert_int_equal(DANEVIRKE_ROUTE, 1);
	assert_int_equal(DANEVIRKE_NULL_MX, 2);
	assert_int_equal(DANEVIRKE_NO_DOMAIN, 3);
	assert_int_equal(DANEVIRKE_LOOP, 4);
	assert_int_equal(DANEVIRKE_OPPORTUNISTIC, 1);
	assert_int_equal(DANEVIRKE_ENCRYPT, 2);
	assert_int_equal(DANEVIRKE_AUTHENTICATE, 3);
	assert_int_equal(DANEVIRKE_LEVEL_DANE_ONLY, 1);
	assert_int_equal(DANEVIRKE_LEVEL_AUDIT, 2);
	assert_int_equal(DANEVIRKE_LEVEL_OFF, 3);
	assert_int_equal(DANEVIRKE_RELAY, 1);
	assert_int_equal(DANEVIRKE_DANE_REQUIRED, 8);
	/* RFC 7218 */
	assert_int_equal(DANEVIRKE_PKIX_TA, 0);
	assert_int_equal(DANEVIRKE_PKIX_EE, 1);
	assert_int_equal(DANEVIRKE_DANE_TA, 2);
	assert_int_equal(DANEVIRKE_DANE_EE, 3);
	assert_int_equal(DANEVIRKE_CERT, 0);
	assert_int_equal(DANEVIRKE_SPKI, 1);
	assert_int_equal(DANEVIRKE_FULL, 0);
	assert_int_equal(DANEVIRKE_SHA2_256, 1);
	assert_int_equal(DANEVIRKE_SHA2_512, 2);
}

/* A reader of another build finds size, abi and the first fields where they
 * have always been. */
static void
test_shape(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct danevirke_api, abi), 0);
	assert_int_equal(offsetof(struct danevirke_api, size), 4);
	assert_int_equal(offsetof(struct danevirke_api, version), 8);
	assert_int_equal(offsetof(struct danevirke_host, size), 0);
	assert_int_equal(offsetof(struct danevirke_answer, size), 0);
	assert_int_equal(offsetof(struct danevirke_question, size), 0);
	assert_int_equal(offsetof(struct danevirke_options, size), 0);
	assert_int_equal(offsetof(struct danevirke_verify_options, size), 0);
	assert_int_equal(offsetof(struct danevirke_settings, size), 0);
	assert_int_equal(offsetof(struct danevirke_profile, size), 0);
	assert_int_equal(sizeof(((struct danevirke_addr *)0)->ip), 16);
	assert_true(sizeof(struct danevirke_error) <= 2048);
	assert_int_equal(offsetof(struct danevirke_verdict, size), 0);
}

#if UINTPTR_MAX > UINT32_MAX
/* What is frozen, and the least of what grows. */
static void
test_frozen(void **state)
{
	(void)state;
	assert_int_equal(sizeof(struct danevirke_error), 2048);
	assert_int_equal(sizeof(struct danevirke_addr), 32);
	assert_int_equal(sizeof(struct danevirke_tlsa), 32);
	assert_int_equal(sizeof(struct danevirke_cert), 16);
	assert_int_equal(sizeof(struct danevirke_chain), 16);
	assert_int_equal(sizeof(struct danevirke_zone), 32);
	assert_int_equal(DANEVIRKE_OPTIONS_MIN, 40);
	assert_int_equal(DANEVIRKE_QUESTION_MIN, 40);
	assert_int_equal(DANEVIRKE_VERIFY_OPTIONS_MIN, 16);
	assert_int_equal(DANEVIRKE_VERDICT_MIN, 12);
	assert_int_equal(DANEVIRKE_HOST_MIN, 104);
	/* of today: they may be greater in a later version, never less */
	assert_int_equal(sizeof(struct danevirke_options), 48);
	assert_int_equal(sizeof(struct danevirke_question), 48);
	assert_int_equal(sizeof(struct danevirke_verify_options), 40);
	assert_int_equal(sizeof(struct danevirke_verdict), 544);
}
#endif

static void
test_has(void **state)
{
	struct danevirke_host h;
	struct danevirke_api dv;

	(void)state;
	h.size = offsetof(struct danevirke_host, target);
	assert_true(DANEVIRKE_HAS(&h, reason));
	assert_false(DANEVIRKE_HAS(&h, target));
	h.size += sizeof h.target - 1;
	assert_false(DANEVIRKE_HAS(&h, target));
	h.size++;
	assert_true(DANEVIRKE_HAS(&h, target));
	dv.size = offsetof(struct danevirke_api, log_beside);
	assert_true(DANEVIRKE_HAS(&dv, log_word));
	assert_false(DANEVIRKE_HAS(&dv, log_beside));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_zero_defers, "zeroed memory can only delay mail"),
		TEST(test_numbers, "the numbers of the interface never change"),
		TEST(test_shape, "size, version and first fields never move"),
#if UINTPTR_MAX > UINT32_MAX
		TEST(test_frozen,
		    "frozen structs and smallest sizes never change"),
#endif
		TEST(test_has, "DANEVIRKE_HAS() wants the whole field"),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}

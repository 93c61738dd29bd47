/* SPDX-License-Identifier: ISC */
/*
 * verify.c and what is below it: the vectors of vectors.h and paths.h, and what
 * is no vector.
 */
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>
#undef fail

#include "certs.h"
#include "paths.h"
#include "title.h"
#include "trial.h"
#include "vectors.h"

/* What holds of every verdict: all of it is written, and it agrees. */
static bool
sound(int code, const struct danevirke_verdict *v)
{
	size_t i, n = strnlen(v->text, sizeof v->text);

	if (n == 0 || n == sizeof v->text)
		return false;
	for (i = 0; i < n; i++)
		if ((unsigned char)v->text[i] < ' ' || v->text[i] == 0x7f)
			return false;
	if (code == DANEVIRKE_OK)
		return v->verified == 1 && v->index >= 0 && v->depth >= 0 &&
		    v->usage >= 0 && v->usage <= 3 &&
		    v->result == DANEVIRKE_RESULT_NONE;
	return v->verified == 0 && v->index == -1 && v->depth == -1 &&
	    v->usage == -1 && v->result > DANEVIRKE_RESULT_NONE &&
	    v->result <= DANEVIRKE_DANE_REQUIRED;
}

static int
judge(const struct trial *c, struct danevirke_verdict *v)
{
	int code;

	memset(v, 0xa5, sizeof *v);
	v->size = sizeof *v;
	code = danevirke_v1.verify(&c->host, &c->chain, &c->o, v);
	if (!sound(code, v))
		print_error("code %d, not sound: %d %d %d %d %d %.100s\n", code,
		    v->verified, v->index, v->depth, v->usage, v->result,
		    v->text);
	assert_true(sound(code, v));
	return code;
}

static bool
as_expected(const struct vector *x, const struct trial *c, int code,
    const struct danevirke_verdict *v)
{
	if (x->result == DANEVIRKE_RESULT_NONE)
		return code == DANEVIRKE_OK && v->index == x->record &&
		    v->depth == x->depth &&
		    v->usage == c->tlsa[x->record].usage &&
		    strstr(v->text, "matched ") != NULL;
	return code == DANEVIRKE_EVERIFY && v->result == x->result &&
	    (x->text == NULL || strstr(v->text, x->text) != NULL);
}

static void
run(const struct vector *x, size_t n)
{
	struct danevirke_verdict v = { .size = sizeof v };
	struct trial c;
	size_t i, wrong = 0;
	int code;

	for (i = 0; i < n; i++) {
		trial_make(&c, &x[i]);
		code = judge(&c, &v);
		if (!as_expected(&x[i], &c, code, &v)) {
			wrong++;
			print_error(
			    "%s: code %d, record %d, depth %d, %s: %s\n",
			    x[i].name, code, v.index, v.depth,
			    result_name(v.result), v.text);
		}
		trial_free(&c);
	}
	assert_int_equal(wrong, 0);
}

#define TABLE(name) \
	static void test_##name(void **state) \
	{ \
		(void)state; \
		run(name, sizeof name / sizeof *name); \
	}
TABLE(ee)
TABLE(unusable)
TABLE(ta)
TABLE(dates)
TABLE(constraints)
TABLE(order)
TABLE(names)
TABLE(pkix)

/* -------------------------------------------------------- no vectors */

static const struct vector good = { "good", "leaf int root",
	"2 1 1 root; 3 1 1 other", .depth = 2 };

/* The code, when nothing may be authenticated; text must hold these words. */
static void
refused(const struct trial *c, int code, const char *text)
{
	struct danevirke_verdict v = { .size = sizeof v };

	assert_int_equal(judge(c, &v), code);
	if (strstr(v.text, text) == NULL)
		print_error("got: %s, want: %s\n", v.text, text);
	assert_non_null(strstr(v.text, text));
}

/* A wrong call is refused, and the verdict is written all the same. */
static void
test_arguments(void **state)
{
	const struct danevirke_api *dv = &danevirke_v1;
	struct danevirke_verdict v = { .size = sizeof v };
	struct trial c, was;

	(void)state;
	trial_make(&c, &good);
	was = c;
	assert_int_equal(
	    dv->verify(&c.host, &c.chain, &c.o, NULL), DANEVIRKE_EINVAL);
	memset(&v, 0xa5, sizeof v);
	v.size = sizeof v;
	assert_int_equal(
	    dv->verify(NULL, &c.chain, &c.o, &v), DANEVIRKE_EINVAL);
	assert_true(sound(DANEVIRKE_EINVAL, &v));
	memset(&v, 0xa5, sizeof v);
	v.size = sizeof v;
	assert_int_equal(dv->verify(&c.host, NULL, &c.o, &v), DANEVIRKE_EINVAL);
	assert_true(sound(DANEVIRKE_EINVAL, &v));

	c.o.size--;
	refused(&c, DANEVIRKE_EINVAL, "size");
	c.o.size = 0;
	refused(&c, DANEVIRKE_EINVAL, "size");
	c.o.size = sizeof c.o + 8; /* of a later version */
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	c.newer = 1;
	refused(&c, DANEVIRKE_EINVAL, "options: octet");
	c.o.size = sizeof c.o;
	c.host.size = 0;
	refused(&c, DANEVIRKE_EINVAL, "size of the host is 0");
	c.host.size = 16;
	refused(&c, DANEVIRKE_EINVAL, "size of the host is 16");
	c.host.size = sizeof c.host + 8;
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	c.host = was.host;

	c.host.tlsa = NULL;
	refused(&c, DANEVIRKE_EINVAL, "tlsa or names");
	c.host.n_tlsa = 0;
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record is usable");
	c.host = was.host;
	c.host.names = NULL;
	refused(&c, DANEVIRKE_EINVAL, "tlsa or names");
	c.host = was.host;

	c.names[0] = NULL;
	refused(&c, DANEVIRKE_EINVAL, "names[0]");
	c.names[0] = was.names[0];

	c.chain.n_certs = 0;
	refused(&c, DANEVIRKE_EVERIFY, "no certificate");
	c.chain.n_certs = 3;
	c.chain.certs = NULL;
	refused(&c, DANEVIRKE_EVERIFY, "no certificate");
	c.chain.certs = c.certs;
	c.certs[0].len = 0;
	refused(&c, DANEVIRKE_EVERIFY, "no certificate");
	c.certs[0].len = was.certs[0].len;
	c.certs[0].der = NULL;
	refused(&c, DANEVIRKE_EVERIFY, "no certificate");
	c.certs[0].der = was.certs[0].der;
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	trial_free(&c);
}

/* Only what the host would ask for counts, and only records in use. */
static void
test_action(void **state)
{
	static const enum danevirke_action others[] = { DANEVIRKE_HOST_DEFER,
		DANEVIRKE_OPPORTUNISTIC, DANEVIRKE_ENCRYPT,
		(enum danevirke_action)99 };
	static const struct vector both = { "both", "leaf int root",
		"3 1 1 leaf; 2 1 1 root", .depth = 0 };
	struct danevirke_verdict v = { .size = sizeof v };
	const uint8_t *data;
	struct trial c;
	size_t i;

	(void)state;
	trial_make(&c, &both);
	for (i = 0; i < sizeof others / sizeof *others; i++) {
		c.host.would = others[i];
		refused(&c, DANEVIRKE_EINVAL, "no usable TLSA records");
	}
	c.host.would = DANEVIRKE_AUTHENTICATE;
	c.host.action = DANEVIRKE_OPPORTUNISTIC; /* P02: audit */
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);

	c.tlsa[0].use = 0; /* A01: the caller's word counts */
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	assert_int_equal(v.index, 1);
	c.tlsa[1].use = 2;
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record is usable");
	c.tlsa[0].use = c.tlsa[1].use = 1;
	c.tlsa[0].usage = DANEVIRKE_PKIX_EE; /* U01: not without the flag */
	c.tlsa[1].usage = DANEVIRKE_PKIX_TA;
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record is usable");
	c.tlsa[0].usage = 255;
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record is usable");
	c.tlsa[0].usage = DANEVIRKE_DANE_EE;
	c.tlsa[0].selector = 2; /* U02 */
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record matches");
	c.tlsa[0].selector = DANEVIRKE_SPKI;
	c.tlsa[0].matching = 3;
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record matches");
	c.tlsa[0].matching = DANEVIRKE_SHA2_256;
	c.tlsa[0].len--;
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record matches");
	c.tlsa[0].len++;
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	data = c.tlsa[0].data;
	c.tlsa[0].data = NULL; /* Q06 */
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record is usable");
	c.tlsa[0].data = data;
	trial_free(&c);
}

/* now = 0 and no options mean the clock, which stands far from NOW. */
static void
test_clock(void **state)
{
	static const struct vector ever = { "ever", "ever root-ever",
		"2 1 1 root", .depth = 1 };
	struct danevirke_verdict v = { .size = sizeof v };
	struct trial c;

	(void)state;
	trial_make(&c, &good);
	c.o.now = 0;
	refused(&c, DANEVIRKE_EVERIFY, "depth 0 expired on 2001-10-09");
	assert_int_equal(danevirke_v1.verify(&c.host, &c.chain, NULL, &v),
	    DANEVIRKE_EVERIFY);
	assert_int_equal(v.result, EXPIRED);
	trial_free(&c);
	trial_make(&c, &ever);
	c.o.now = 0;
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	assert_int_equal(
	    danevirke_v1.verify(&c.host, &c.chain, NULL, &v), DANEVIRKE_OK);
	trial_free(&c);

	/* U11: both ends of the day belong to it */
	trial_make(&c, &good);
	c.o.now = NOW + 30 * 86400;
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	c.o.now++;
	refused(&c, DANEVIRKE_EVERIFY, "expired on 2001-10-09T01:46:40Z");
	c.o.now = NOW - 30 * 86400;
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	c.o.now--;
	refused(&c, DANEVIRKE_EVERIFY, "not valid before 2001-08-10T01:46:40Z");
	trial_free(&c);
}

/* No octet of what is signed may change, nor of a signature (U08, U17). */
static void
flip_all(const struct vector *x, size_t which)
{
	struct danevirke_verdict v = { .size = sizeof v };
	struct trial c;
	uint8_t *der;
	size_t i;

	trial_make(&c, x);
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	der = (uint8_t *)(uintptr_t)c.certs[which].der;
	for (i = 0; i < c.certs[which].len; i++) {
		der[i] ^= (uint8_t)(1u << i % 8);
		if (judge(&c, &v) == DANEVIRKE_OK)
			print_error(
			    "octet %zu of %zu: taken\n", i, c.certs[which].len);
		assert_int_equal(v.verified, 0);
		der[i] ^= (uint8_t)(1u << i % 8);
	}
	trial_free(&c);
}

/* Nor may any end be missing. */
static void
cut_all(const struct vector *x, size_t which)
{
	struct danevirke_verdict v = { .size = sizeof v };
	const uint8_t *der;
	struct trial c;
	size_t len;

	trial_make(&c, x);
	der = c.certs[which].der;
	for (len = c.certs[which].len; len-- > 0;) {
		c.certs[which].der = trial_copy(der, len, 0);
		c.certs[which].len = len;
		assert_int_not_equal(judge(&c, &v), DANEVIRKE_OK);
		free((void *)(uintptr_t)c.certs[which].der);
	}
	c.certs[which].der = der;
	trial_free(&c);
}

static void
test_octets(void **state)
{
	static const struct vector by_root = { "root", "leaf int root",
		"2 1 1 root", .depth = 2 };
	static const struct vector by_key = { "key", "leaf", "2 1 0 int",
		.depth = 1 };
	static const struct vector by_cert = { "certificate", "leaf int",
		"2 0 1 int", .depth = 1 };
	static const struct vector leaf = { "leaf", "leaf", "3 0 1 leaf",
		.depth = 0 };
	static const struct vector key = { "key", "leaf", "3 1 1 leaf",
		.depth = 0 };

	(void)state;
	flip_all(&by_root, 0);
	flip_all(&by_root, 1);
	flip_all(&by_key, 0);
	flip_all(&by_cert, 1);
	flip_all(&leaf, 0);
	cut_all(&by_root, 0);
	cut_all(&by_root, 1);
	cut_all(&by_root, 2);
	cut_all(&by_key, 0);
	cut_all(&leaf, 0);
	cut_all(&key, 0);
}

/* U20: the last of many records */
static void
test_many(void **state)
{
	static const char *const tails[] = { "3 1 1 leaf", "2 1 1 root",
		"2 1 0 root", "2 0 0 root" };
	struct danevirke_verdict v = { .size = sizeof v };
	struct trial c;
	char text[1600];
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof tails / sizeof *tails; i++) {
		struct vector x = { "many", "leaf int", text, .depth = 0 };

		if (strcmp(tails[i], "2 1 1 root") == 0)
			x.chain = "leaf int root";
		*text = '\0';
		for (j = 0; j < 64; j++)
			snprintf(text + strlen(text),
			    sizeof text - strlen(text), "%u %zu %u other;",
			    j % 3 == 0 ? 3u : 2u, j % 2, j % 7 == 0 ? 0u : 1u);
		snprintf(text + strlen(text), sizeof text - strlen(text), "%s",
		    tails[i]);
		trial_make(&c, &x);
		assert_int_equal(c.host.n_tlsa, 65);
		assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
		assert_int_equal(v.index, 64);
		trial_free(&c);
	}
}

/* ----------------------------------------------------------- the work (S09) */

/* What takes long is counted: the linker leads calls by way of these. */
static unsigned signatures, hashes;

int __real_gnutls_pubkey_verify_data2(gnutls_pubkey_t, gnutls_sign_algorithm_t,
    unsigned, const gnutls_datum_t *, const gnutls_datum_t *);
int __wrap_gnutls_pubkey_verify_data2(gnutls_pubkey_t, gnutls_sign_algorithm_t,
    unsigned, const gnutls_datum_t *, const gnutls_datum_t *);
int __real_gnutls_hash_fast(
    gnutls_digest_algorithm_t, const void *, size_t, void *);
int __wrap_gnutls_hash_fast(
    gnutls_digest_algorithm_t, const void *, size_t, void *);

int
__wrap_gnutls_pubkey_verify_data2(gnutls_pubkey_t key,
    gnutls_sign_algorithm_t algo, unsigned flags, const gnutls_datum_t *data,
    const gnutls_datum_t *signature)
{
	signatures++;
	return __real_gnutls_pubkey_verify_data2(
	    key, algo, flags, data, signature);
}

int
__wrap_gnutls_hash_fast(
    gnutls_digest_algorithm_t algo, const void *p, size_t len, void *digest)
{
	hashes++;
	return __real_gnutls_hash_fast(algo, p, len, digest);
}

#define TOO_LONG "the search was given up: it takes too long"

/* M11: keys of DNS, one after the other, each of which might have signed. */
static void
test_bound(void **state)
{
	static const struct vector keys = { "keys", "leaf",
		"2 1 0 other; 2 1 0 int", .depth = 0 };
	struct danevirke_tlsa many[600];
	struct danevirke_verdict v = { .size = sizeof v };
	struct trial c;
	size_t i;

	(void)state;
	trial_make(&c, &keys);
	for (i = 0; i < 600; i++)
		many[i] = c.tlsa[0];
	many[64] = many[599] = c.tlsa[1]; /* U20 */
	c.host.tlsa = many;
	c.host.n_tlsa = 600;
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	assert_int_equal(v.index, 64);
	many[64] = c.tlsa[0];
	signatures = 0;
	refused(&c, DANEVIRKE_EVERIFY, TOO_LONG);
	assert_true(signatures >= 65 && signatures <= 100);
	c.host.n_tlsa = 2;
	trial_free(&c);
}

static double
seconds(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t), 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 2 x 3 x 4 x 5 ways of P-521, every signature right, and no right name: each
 * link is looked at once, and not all of them. */
static void
test_slow(void **state)
{
	static const struct vector one = { "one", "slow-1 slow-2",
		"2 0 1 slow-2", .depth = 1 };
	static const struct vector all = { "all",
		"slow-leaf slow-0 slow-1 slow-2 slow-3 slow-4 slow-5 slow-6 "
		"slow-7 slow-8 slow-9 slow-10 slow-11 slow-12 slow-13",
		"2 0 1 slow-9; 2 0 1 slow-10; 2 0 1 slow-11; 2 0 1 slow-12; "
		"2 0 1 slow-13",
		.depth = 1 };
	struct danevirke_verdict v = { .size = sizeof v };
	double begin, link, search;
	struct trial c;
	int i;

	(void)state;
	trial_make(&c, &one);
	judge(&c, &v);
	signatures = 0;
	begin = seconds();
	for (i = 0; i < 5; i++)
		judge(&c, &v);
	link = (seconds() - begin) / 5;
	assert_int_equal(signatures, 5);
	trial_free(&c);

	trial_make(&c, &all);
	signatures = 0;
	begin = seconds();
	refused(&c, DANEVIRKE_EVERIFY, TOO_LONG);
	search = seconds() - begin;
	assert_true(signatures >= 4 && signatures <= 13);
	print_message("# a search: %.1f times one link\n", search / link);
	assert_true(search < 100 * link); /* else some 200 */
	trial_free(&c);
}

/* Each certificate is hashed once for each kind of record. */
static void
test_hashes(void **state)
{
	struct vector x = { "many", "leaf fill*15", NULL, .depth = 0 };
	struct trial c;
	char text[1600] = "";
	size_t i, n;

	(void)state;
	for (i = 0; i < 64; i++) {
		n = strlen(text);
		snprintf(text + n, sizeof text - n, "%s%u %zu %zu root",
		    i == 0 ? "" : ";", i < 8 ? 3u : 2u, i % 2, 1 + i / 2 % 2);
	}
	x.tlsa = text;
	trial_make(&c, &x);
	hashes = 0;
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record matches");
	/* of each usage and selector, SHA2-512 counts (A01) */
	assert_true(hashes >= 32 && hashes <= 34);
	trial_free(&c);
}

/* Usages 0 and 1 need a CA file that can be read (U01). */
static void
test_ca_file(void **state)
{
	static const struct vector pkix_ee = { "1 1 1", "leaf int root",
		"1 1 1 leaf", .flags = PKIX, .ca = "root" };
	static const struct vector with_ee = { "3 1 1 too", "leaf int root",
		"1 1 1 leaf; 3 1 1 leaf", .flags = PKIX };
	struct danevirke_verdict v = { .size = sizeof v };
	struct trial c;
	FILE *f;

	(void)state;
	trial_make(&c, &pkix_ee);
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	c.o.ca_file = NULL;
	refused(&c, DANEVIRKE_EVERIFY, "need a CA file");
	c.o.ca_file = "/nonexistent/ca.pem";
	refused(&c, DANEVIRKE_EINVAL, "ca_file: /nonexistent/ca.pem: want");
	c.o.ca_file = "/";
	refused(&c, DANEVIRKE_EINVAL, "ca_file: /: want");
	c.o.ca_file = c.ca_file;
	assert_non_null(f = fopen(c.ca_file, "w"));
	fclose(f);
	refused(&c, DANEVIRKE_EINVAL, "want certificates in PEM");
	assert_non_null(f = fopen(c.ca_file, "w"));
	fputs("-----BEGIN CERTIFICATE-----\nAAAA\n"
	      "-----END CERTIFICATE-----\n",
	    f);
	fclose(f);
	refused(&c, DANEVIRKE_EINVAL, "want certificates in PEM");
	c.o.flags = 0;
	refused(&c, DANEVIRKE_EVERIFY, "no TLSA record is usable");
	trial_free(&c);
	trial_make(&c, &with_ee); /* U15 */
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	assert_int_equal(v.index, 1);
	trial_free(&c);
}

/* A text that does not fit is cut, not run over; names are many. */
static void
test_long(void **state)
{
	static const struct vector other = { "other", "n-other root",
		"2 1 1 root", .result = HOST_MISMATCH };
	const char *many[300];
	char name[254];
	struct trial c;
	size_t i;

	(void)state;
	memset(name, 'a', sizeof name);
	for (i = 63; i < sizeof name - 1; i += 64)
		name[i] = '.';
	name[sizeof name - 1] = '\0';
	for (i = 0; i < 300; i++)
		many[i] = name;
	trial_make(&c, &other);
	c.host.names = many;
	c.host.n_names = 300;
	refused(&c, DANEVIRKE_EVERIFY, "is for mx.example.net, want aaaaa");
	trial_free(&c);
}

static int
setup(void **state)
{
	(void)state;
	return certs_make();
}

static int
teardown(void **state)
{
	(void)state;
	certs_free();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ee,
		    "usage 3 matches the leaf and ignores all else (U06 U07)"),
		TEST(test_unusable,
		    "a record that is not usable matches nothing (U02 U03)"),
		TEST(test_ta,
		    "usage 2 wants a path to its anchor (U08 U09 U10)"),
		TEST(test_dates,
		    "the dates of the path count for usage 2 (U11)"),
		TEST(test_constraints,
		    "what an issuer says of itself holds (U14)"),
		TEST(test_order,
		    "any order leads to the anchor, within bounds (U18)"),
		TEST(test_names,
		    "a name counts for usage 2, and how (N02 N06 N07)"),
		TEST(test_pkix,
		    "usages 0 and 1 want a public CA, if wished (U01)"),
		TEST(test_arguments,
		    "a wrong call is refused, and writes a verdict"),
		TEST(test_action,
		    "only records in use count (A01 P02 Q06 U01 U02)"),
		TEST(test_clock, "without a time it is now (U11)"),
		TEST(test_octets,
		    "one wrong octet in a certificate, and none matches"),
		TEST(test_many, "the last of 65 records matches (U20)"),
		TEST(test_bound,
		    "600 keys of DNS end the search, at a bound (M11 U20)"),
		TEST(test_slow, "a crowd of slow signatures is given up (U18)"),
		TEST(test_hashes,
		    "each certificate is hashed once for each kind (A01)"),
		TEST(test_ca_file,
		    "usages 0 and 1 need a CA file that can be read (U01 U15)"),
		TEST(test_long, "a long text is cut"),
	};

	return cmocka_run_group_tests_name("verify", tests, setup, teardown);
}

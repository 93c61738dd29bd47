/* SPDX-License-Identifier: ISC */
/* message.c and signature.c (L14): questions as bytes, replies as they may
 * come, and RRSIG, DS and DNSKEY records of every algorithm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/signature.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>

#include "signed.h"
#include "title.h"

#define NOW 1780000000 /* 2026-05-28 */
#define BEFORE 1700000000
#define AFTER 2100000000 /* 2036-07 */
#define N_SIGNED (sizeof signed_zone / sizeof *signed_zone)

struct packet {
	uint8_t data[4096];
	size_t len;
};

static unsigned
digit(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static struct packet
bytes(const char *hex)
{
	struct packet p = { .len = strlen(hex) / 2 };
	size_t i;

	assert_true(p.len <= sizeof p.data);
	for (i = 0; i < p.len; i++)
		p.data[i] = (uint8_t)(digit(hex[2 * i]) << 4 |
		    digit(hex[2 * i + 1]));
	return p;
}

static struct wire
name(const char *text)
{
	struct wire w;

	assert_true(wire_parse(text, &w));
	return w;
}

static enum message
take(struct arena *a, const struct packet *p, const char *owner, int type,
    struct reply *out)
{
	struct wire w = name(owner);

	return message_read(a, p->data, p->len, &w, type, 0, out);
}

static void
test_query(void **state)
{
	static const uint8_t want[] = { 0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0,
		1, 1, 'a', 2, 'b', 'c', 0, 0, 52, 0, 1, 0, 0, 41, 0x04, 0xd0, 0,
		0, 0x80, 0, 0, 0 };
	struct wire w = name("a.bc");
	uint8_t buf[QUERY_MAX];

	(void)state;
	assert_int_equal(
	    message_query(&w, TYPE_TLSA, 0x1234, buf), sizeof want);
	assert_memory_equal(buf, want, sizeof want);
}

/* RFC 4034 6: whatever order and case came, what is kept is canonical. */
static void
test_canonical(void **state)
{
	struct packet p = bytes(signed_zone[0].mx), q = p;
	struct arena a = { NULL };
	struct reply r, s;

	(void)state;
	assert_true(take(&a, &p, "example", TYPE_MX, &r) == MESSAGE_READ);
	assert_true(r.aa && !r.tc && !r.has_zone && r.below.n == 0);
	assert_int_equal(r.answer.n, 2);
	assert_int_equal(r.answer.n_sig, 1);
	assert_memory_equal(r.answer.owner.data, "\7example", 9);
	assert_int_equal(r.answer.rr[0].data[1], 10);
	assert_int_equal(r.answer.rr[1].data[1], 20);
	/* in capitals, the other way round, one of them twice */
	q.data[12 + 13 + 12] = 0; /* the name of the first record */
	assert_true(take(&a, &q, "example", TYPE_MX, &s) != MESSAGE_OTHER);
	assert_true(take(&a, &p, "EXAMPLE", TYPE_MX, &s) == MESSAGE_READ);
	assert_true(rrset_equal(&r.answer, &s.answer));
	assert_true(rrset_same(&r.answer, &s.answer));
	s.answer.n_sig = 0;
	assert_true(rrset_equal(&r.answer, &s.answer));
	assert_false(rrset_same(&r.answer, &s.answer));
	assert_true(take(&a, &p, "example", TYPE_MX, &s) == MESSAGE_READ);
	s.answer.n = 1;
	assert_false(rrset_equal(&r.answer, &s.answer));
	arena_free(&a);
}

/* Not to this question, or not whole. */
static void
test_refused(void **state)
{
	struct packet p = bytes(signed_zone[0].mx), q;
	struct arena a = { NULL };
	struct reply r;
	size_t len;

	(void)state;
	assert_true(take(&a, &p, "example.org", TYPE_MX, &r) == MESSAGE_OTHER);
	assert_true(take(&a, &p, "example", TYPE_A, &r) == MESSAGE_OTHER);
	q = p;
	q.data[1] = 1; /* another number */
	assert_true(take(&a, &q, "example", TYPE_MX, &r) == MESSAGE_OTHER);
	q = p;
	q.data[2] &= 0x7f; /* a question */
	assert_true(take(&a, &q, "example", TYPE_MX, &r) == MESSAGE_OTHER);
	q = p;
	q.data[6] = 0xff; /* more records than there are, or than are taken */
	assert_true(take(&a, &q, "example", TYPE_MX, &r) == MESSAGE_BAD);
	for (len = 0; len < p.len; len++) {
		q = p;
		q.len = len;
		assert_true(
		    take(&a, &q, "example", TYPE_MX, &r) != MESSAGE_READ);
	}
	/* a header alone may say REFUSED, and nothing else */
	q = bytes("000084050000000000000000");
	assert_true(take(&a, &q, "example", TYPE_MX, &r) == MESSAGE_READ);
	assert_int_equal(r.rcode, 5);
	q.data[3] = 0;
	assert_true(take(&a, &q, "example", TYPE_MX, &r) == MESSAGE_BAD);
	arena_free(&a);
}

/* A delegation; a denial with NSEC3 of 2500 iterations. */
static void
test_authority(void **state)
{
	struct packet p = bytes("000080000001000000010000"
				"03737562076578616d706c650000020001"
				"c00c00020001000000010004014ec010"),
		      q;
	struct arena a = { NULL };
	struct reply r;

	(void)state;
	assert_true(take(&a, &p, "sub.example", TYPE_NS, &r) == MESSAGE_READ);
	assert_true(!r.aa && r.answer.n == 0 && r.below.n == 1);
	assert_memory_equal(r.below.rr[0].data, "\1n\7example", 11);
	q = bytes("000084000001000000020000"
		  "03737562076578616d706c650000020001"
		  "c0100006000100000001001c0161c0100162c010"
		  "0000000100000e1000000258000151800000003c"
		  "c01000320001000000010006010109c40000");
	assert_true(take(&a, &q, "sub.example", TYPE_NS, &r) == MESSAGE_READ);
	assert_true(r.has_zone && r.zone.len == 9 && !r.proven);
	assert_int_equal(r.iterations, 2500);
	arena_free(&a);
}

/* ------------------------------------------------------------ signatures */

struct signed_by {
	struct reply keys, mx, tlsa;
	struct rrset ds;
	struct rdata ds_rr;
	struct packet ds_data;
	struct wire zone;
};

static void
zone_read(struct arena *a, size_t i, struct signed_by *z)
{
	struct packet k = bytes(signed_zone[i].keys),
		      m = bytes(signed_zone[i].mx),
		      t = bytes(signed_zone[i].tlsa);

	z->zone = name("example");
	assert_true(take(a, &k, "example", TYPE_DNSKEY, &z->keys) == 0);
	assert_true(take(a, &m, "example", TYPE_MX, &z->mx) == 0);
	assert_true(
	    take(a, &t, "_25._tcp.w.example", TYPE_TLSA, &z->tlsa) == 0);
	z->ds_data = bytes(signed_zone[i].ds);
	z->ds_rr = (struct rdata){ z->ds_data.data, z->ds_data.len };
	z->ds = (struct rrset){ .type = TYPE_DS, .rr = &z->ds_rr, .n = 1 };
}

static enum signature
check(const struct rrset *set, const struct signed_by *z, time_t now)
{
	unsigned left = 10;
	uint32_t until;

	return signature_check(
	    set, &z->zone, &z->keys.answer, now, &left, &until);
}

static void
test_good(void **state)
{
	struct arena a = { NULL };
	struct signed_by z;
	struct rrset named;
	size_t i;

	(void)state;
	for (i = 0; i < N_SIGNED; i++) {
		zone_read(&a, i, &z);
		assert_true(check(&z.mx.answer, &z, NOW) == SIGNATURE_GOOD);
		assert_true(check(&z.tlsa.answer, &z, NOW) == SIGNATURE_GOOD);
		assert_true(check(&z.keys.answer, &z, NOW) == SIGNATURE_GOOD);
		assert_true(check(&z.mx.answer, &z, AFTER) == SIGNATURE_ENDED);
		assert_true(check(&z.mx.answer, &z, BEFORE) == SIGNATURE_EARLY);
		assert_true(ds_known(&z.ds_rr));
		assert_true(
		    ds_keys(&a, &z.zone, &z.ds, &z.keys.answer, &named));
		assert_int_equal(named.n, 1);
		/* not the digest of this key; not of an algorithm known */
		z.ds_data.data[z.ds_data.len - 1] ^= 1;
		assert_true(
		    ds_keys(&a, &z.zone, &z.ds, &z.keys.answer, &named));
		assert_int_equal(named.n, 0);
		z.ds_data.data[2] = 16;
		assert_false(ds_known(&z.ds_rr));
	}
	arena_free(&a);
}

/* One bit, anywhere: never good. */
static void
test_bad(void **state)
{
	struct arena a = { NULL };
	struct signed_by z;
	uint8_t *p;
	size_t i, j;

	(void)state;
	for (i = 0; i < N_SIGNED; i++) {
		zone_read(&a, i, &z);
		p = (uint8_t *)(uintptr_t)z.mx.answer.rr[1].data;
		p[3] ^= 1;
		assert_true(check(&z.mx.answer, &z, NOW) == SIGNATURE_BAD);
		p[3] ^= 1;
		p = (uint8_t *)(uintptr_t)z.mx.answer.sig[0].data;
		for (j = 0; j < z.mx.answer.sig[0].len; j++) {
			p[j] ^= 0x10;
			assert_true(
			    check(&z.mx.answer, &z, NOW) != SIGNATURE_GOOD);
			p[j] ^= 0x10;
		}
		assert_true(check(&z.mx.answer, &z, NOW) == SIGNATURE_GOOD);
		z.mx.answer.n--; /* a record is missing */
		assert_true(check(&z.mx.answer, &z, NOW) == SIGNATURE_BAD);
		z.mx.answer.n_sig = 0;
		assert_true(check(&z.mx.answer, &z, NOW) == SIGNATURE_NONE);
	}
	arena_free(&a);
}

/* What cannot be told is not called bad: work is bounded, keys too. */
static void
test_untold(void **state)
{
	struct arena a = { NULL };
	struct signed_by z, other;
	unsigned left = 0;
	uint32_t until;
	uint8_t *p;
	size_t i;

	(void)state;
	zone_read(&a, 1, &z); /* RSA */
	zone_read(&a, 3, &other);
	assert_true(signature_check(&z.mx.answer, &z.zone, &z.keys.answer, NOW,
			&left, &until) == SIGNATURE_UNTOLD);
	assert_true(check(&z.mx.answer, &other, NOW) == SIGNATURE_KEYLESS);
	/* an exponent of 9 octets, under the same tag */
	p = (uint8_t *)(uintptr_t)z.keys.answer.rr[0].data;
	assert_int_equal(p[4], 3);
	p[4] = 9;
	for (i = 20; p[i] < 6; i += 2)
		;
	p[i] = (uint8_t)(p[i] - 6);
	assert_true(check(&z.mx.answer, &z, NOW) == SIGNATURE_UNTOLD);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_query, "a query has DO, and no more than it needs"),
		TEST(test_canonical,
		    "what is kept is canonical, whatever came (L14)"),
		TEST(test_refused,
		    "an answer to another question is none (L14)"),
		TEST(test_authority,
		    "a delegation and iterations are read (L14)"),
		TEST(test_good, "a good signature is good, by its dates (L14)"),
		TEST(test_bad,
		    "one wrong bit and the signature is not good (L14)"),
		TEST(test_untold,
		    "what cannot be checked is not called bad (L14)"),
	};

	return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}

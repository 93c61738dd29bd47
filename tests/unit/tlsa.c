/* SPDX-License-Identifier: ISC */
/*
 * tlsa.c: RDATA to record, usable or why not, in use or why not (Q06, U01-U03,
 * U15, U20, A01-A03), and its words.  Sets of records are written as text:
 *
 *	"3 1 1; 2 0 2 short"	usage selector matching, and what its data is:
 *		nothing: of the right length, "short", "long", "none"; for
 *		matching type 0 "cert", "key", "cert+", "key+" (an octet more),
 *		"cert-", "key-" (one less), "walk" and "odd" (see below),
 *		"text", "big" (64 KiB)
 */
#include <gnutls/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>

#include "der.h"
#include "title.h"

#define N(a) (sizeof(a) / sizeof *(a))
#define MAX 2000
#define PKIX DANEVIRKE_PKIX_USAGES

#define OID_RSA "30{06{2a864886f70d010101}05{}}"
#define KEY "30{" OID_RSA "03{00 30{02{00c1*64}02{010001}}}}"
#define SIG "30{06{2a864886f70d01010b}05{}}"
#define DN "30{31{30{06{550403}0c{78}}}}"
#define UTC "17{3031303930393031343634305a}"
#define CERT_OF(key) \
	"30{30{a0{020102}02{01}" SIG DN "30{" UTC UTC "}" DN key "}" SIG \
	"03{0055*64}}"
#define CERT CERT_OF(KEY)
/* What an X.509 parser takes and the walk does not: a key of half octets. */
#define ODD CERT_OF("30{" OID_RSA "03{01 30*8}}")
/* What the walk takes and an X.509 parser does not: no dates. */
#define WALK "30{30{02{01}30{}30{}30{}30{}" KEY "}30{}03{0055}}"

/* why a record is not in use */
#define W_SHORT "RDATA shorter than 4 octets"
#define W_USAGE "unknown certificate usage"
#define W_SMTP "usages 0 and 1 do not apply to SMTP"
#define W_SELECTOR "unknown selector"
#define W_MATCHING "unknown matching type"
#define W_256 "SHA2-256 digest is not 32 octets long"
#define W_512 "SHA2-512 digest is not 64 octets long"
#define W_KEY "full data is not a public key in DER"
#define W_CERT "full data is not a certificate in DER"
#define W_BIG "full data longer than a record can be"
#define W_LIST "digest is not in the profile's list"
#define W_AGILITY "a stronger digest is published"

static const uint8_t strong[] = { DANEVIRKE_SHA2_512, DANEVIRKE_SHA2_256 };
static const uint8_t weak[] = { DANEVIRKE_SHA2_256, DANEVIRKE_SHA2_512 };

/* ------------------------------------------------------- records from text */

static struct der cert, key, walk, odd;
static uint8_t digest[129], big[65536];

static int
setup(void **state)
{
	(void)state;
	memset(digest, 0xd1, sizeof digest);
	memset(big, 0x30, sizeof big);
	return der_write(&cert, CERT, -1, 0) > 0 &&
		der_write(&key, KEY, -1, 0) > 0 &&
		der_write(&walk, WALK, -1, 0) > 0 &&
		der_write(&odd, ODD, -1, 0) > 0 ?
	    0 :
	    -1;
}

static void
set_data(struct danevirke_tlsa *t, const char *word)
{
	const struct der *d = strncmp(word, "cert", 4) == 0 ? &cert : &key;
	size_t right = t->matching == DANEVIRKE_SHA2_512 ? 64 : 32;

	t->data = digest;
	if (strcmp(word, "none") == 0) {
		t->data = NULL;
		t->len = 0;
	} else if (strcmp(word, "short") == 0)
		t->len = right - 1;
	else if (strcmp(word, "long") == 0)
		t->len = right + 1;
	else if (strcmp(word, "walk") == 0) {
		t->data = walk.data;
		t->len = walk.len;
	} else if (strcmp(word, "odd") == 0) {
		t->data = odd.data;
		t->len = odd.len;
	} else if (strcmp(word, "text") == 0) {
		t->data = (const uint8_t *)"-----BEGIN";
		t->len = 10;
	} else if (strcmp(word, "big") == 0) {
		t->data = big;
		t->len = sizeof big;
	} else if (*word != '\0') {
		t->data = d->data;
		t->len = d->len;
		if (strchr(word, '+') != NULL)
			t->len++; /* what is behind it is 0 */
		else if (strchr(word, '-') != NULL)
			t->len--;
	} else
		t->len = right;
}

/* The number of records. */
static size_t
records(const char *text, struct danevirke_tlsa *t)
{
	unsigned u, s, m;
	char word[16];
	size_t n = 0;
	int used;

	while (*text != '\0') {
		*word = '\0';
		assert_true(n < MAX);
		used = 0;
		assert_int_equal(
		    sscanf(text, "%u %u %u%n", &u, &s, &m, &used), 3);
		text += used;
		if (sscanf(text, " %15[^; ]%n", word, &used) == 1)
			text += used;
		text += strspn(text, "; ");
		/* use and why as a careless caller leaves them */
		memset(&t[n], 0xff, sizeof t[n]);
		t[n].usage = (uint8_t)u;
		t[n].selector = (uint8_t)s;
		t[n].matching = (uint8_t)m;
		set_data(&t[n++], word);
	}
	return n;
}

/* What use, usable and why promise each other. */
static void
check(const struct danevirke_tlsa *t, size_t n, size_t used)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++) {
		assert_true(t[i].use <= 1);
		assert_true(t[i].usable <= 1);
		assert_true(t[i].usable || !t[i].use);
		assert_true(t[i].use == (t[i].why == NULL));
		count += t[i].use;
	}
	assert_int_equal(count, used);
}

/* -------------------------------------------------------------------- parse */

/* Q06: fewer than four octets leave no data, and no octet is read too many. */
static void
q06_parse(void **state)
{
	static const uint8_t rdata[] = { 3, 1, 2, 0xaa, 0xbb, 0xcc };
	static const struct {
		uint8_t usage, selector, matching;
		size_t len;
	} want[] = { { 0, 0, 0, 0 }, { 3, 0, 0, 0 }, { 3, 1, 0, 0 },
		{ 3, 1, 2, 0 }, { 3, 1, 2, 1 }, { 3, 1, 2, 2 },
		{ 3, 1, 2, 3 } };
	struct danevirke_tlsa t;
	const uint8_t *p;
	size_t n;

	(void)state;
	for (n = 0; n <= sizeof rdata; n++) {
		p = der_guard(rdata, n);
		memset(&t, 0xff, sizeof t);
		tlsa_parse(p, n, &t);
		assert_int_equal(t.usage, want[n].usage);
		assert_int_equal(t.selector, want[n].selector);
		assert_int_equal(t.matching, want[n].matching);
		assert_int_equal(t.len, want[n].len);
		assert_true(t.data == (n < 4 ? NULL : p + 3));
		assert_true(t.usable == 0 && t.use == 0 && t.why == NULL);
		/* whatever the three octets are, it is unusable */
		assert_int_equal(tlsa_classify(&t, 1, 0, strong, 2), 0);
		if (n < 4)
			assert_string_equal(t.why, W_SHORT);
	}
	/* no octets may be nowhere */
	tlsa_parse(NULL, 0, &t);
	assert_true(t.data == NULL && t.len == 0);
}

/* Q06: the short one is unusable, "the others count". */
static void
q06_others_count(void **state)
{
	static const uint8_t good[35] = { 3, 1, 1 };
	struct danevirke_tlsa t[5];
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		tlsa_parse(good, i, &t[i]);
	tlsa_parse(good, sizeof good, &t[4]);
	assert_int_equal(tlsa_classify(t, 5, 0, strong, 2), 1);
	check(t, 5, 1);
	for (i = 0; i < 4; i++)
		assert_string_equal(t[i].why, W_SHORT);
	assert_int_equal(t[4].use, 1);
}

/* ------------------------------------------------------- a record by itself */

static const struct {
	const char *record, *why; /* NULL: in use */
	uint32_t flags;
} alone[] = {
	/* U03 */
	{ "3 1 1", NULL, 0 },
	{ "3 1 2", NULL, 0 },
	{ "3 0 1", NULL, 0 },
	{ "3 0 2", NULL, 0 },
	{ "2 1 1", NULL, 0 },
	{ "2 1 2", NULL, 0 },
	{ "2 0 1", NULL, 0 },
	{ "2 0 2", NULL, 0 },
	/* full data that decodes */
	{ "3 1 0 key", NULL, 0 },
	{ "2 1 0 key", NULL, 0 },
	{ "3 0 0 cert", NULL, 0 },
	{ "2 0 0 cert", NULL, 0 },

	/* Q06: as the interface may give it, too */
	{ "3 1 1 none", W_SHORT, 0 },
	{ "3 0 0 none", W_SHORT, 0 },
	{ "9 9 9 none", W_SHORT, 0 },

	/* U01: never mapped to 2 and 3 */
	{ "0 0 1", W_SMTP, 0 },
	{ "0 1 1", W_SMTP, 0 },
	{ "1 0 2", W_SMTP, 0 },
	{ "1 1 1", W_SMTP, 0 },
	{ "0 0 0 cert", W_SMTP, 0 },
	{ "1 1 0 key", W_SMTP, 0 },
	{ "1 1 1", W_SMTP, (uint32_t)~PKIX },
	/* unless the caller is not SMTP and says so */
	{ "0 0 1", NULL, PKIX },
	{ "0 1 2", NULL, PKIX },
	{ "1 0 2", NULL, PKIX },
	{ "1 1 1", NULL, PKIX },
	{ "1 0 0 cert", NULL, PKIX },
	{ "0 1 0 key", NULL, PKIX },
	{ "3 1 1", NULL, PKIX },
	{ "1 1 1 short", W_256, PKIX },
	{ "0 2 1", W_SELECTOR, PKIX },
	{ "4 1 1", W_USAGE, PKIX },

	/* U02: what is unknown, U03: and private */
	{ "4 1 1", W_USAGE, 0 },
	{ "128 1 1", W_USAGE, 0 },
	{ "255 1 1", W_USAGE, 0 },
	{ "3 2 1", W_SELECTOR, 0 },
	{ "3 255 1", W_SELECTOR, 0 },
	{ "3 1 3", W_MATCHING, 0 },
	{ "3 1 255", W_MATCHING, 0 },
	{ "2 0 255", W_MATCHING, 0 },
	{ "255 255 255", W_USAGE, 0 },
	{ "3 255 255", W_SELECTOR, 0 },

	/* U02: lengths */
	{ "3 1 1 short", W_256, 0 },
	{ "3 1 1 long", W_256, 0 },
	{ "3 1 1 key", W_256, 0 },
	{ "2 0 2 short", W_512, 0 },
	{ "2 0 2 long", W_512, 0 },
	{ "3 0 2 cert", W_512, 0 },

	/* U02: full data that does not decode */
	{ "3 1 0", W_KEY, 0 },
	{ "3 1 0 cert", W_KEY, 0 },
	{ "2 1 0 cert", W_KEY, 0 },
	{ "3 1 0 key+", W_KEY, 0 },
	{ "3 1 0 key-", W_KEY, 0 },
	{ "3 1 0 text", W_KEY, 0 },
	{ "3 0 0", W_CERT, 0 },
	{ "3 0 0 key", W_CERT, 0 },
	{ "2 0 0 key", W_CERT, 0 },
	{ "3 0 0 cert+", W_CERT, 0 },
	{ "3 0 0 cert-", W_CERT, 0 },
	{ "3 0 0 text", W_CERT, 0 },
	{ "2 0 0 walk", W_CERT, 0 },
	{ "3 0 0 odd", W_CERT, 0 },
	{ "3 1 0 big", W_BIG, 0 },
	{ "2 0 0 big", W_BIG, 0 },
};

/* Q06, U01, U02, U03 */
static void
u02_a_record_alone(void **state)
{
	struct danevirke_tlsa t[MAX];
	unsigned wrong = 0;
	size_t i, used;

	(void)state;
	for (i = 0; i < N(alone); i++) {
		assert_int_equal(records(alone[i].record, t), 1);
		used = tlsa_classify(t, 1, alone[i].flags, strong, 2);
		check(t, 1, used);
		if ((alone[i].why == NULL) != (t->why == NULL) ||
		    (t->why != NULL && strcmp(t->why, alone[i].why) != 0)) {
			print_error("%s: %s\n", alone[i].record,
			    t->why == NULL ? "in use" : t->why);
			wrong++;
		}
		/* T05: it stays, for the set to be a promise of TLS */
		assert_int_equal(used, alone[i].why == NULL);
	}
	assert_int_equal(wrong, 0);
}

/* U02, U03: all 256 values of each octet, lengths of 1 to 129 */
static void
u03_every_value(void **state)
{
	struct danevirke_tlsa t = { 0 };
	unsigned v, m;

	(void)state;
	t.data = digest;
	for (v = 0; v < 256; v++) {
		t.usage = (uint8_t)v;
		t.selector = 1;
		t.matching = 1;
		t.len = 32;
		assert_int_equal(tlsa_classify(&t, 1, 0, strong, 2),
		    v == DANEVIRKE_DANE_TA || v == DANEVIRKE_DANE_EE);
		assert_int_equal(tlsa_classify(&t, 1, PKIX, strong, 2), v <= 3);
		t.usage = 3;
		t.selector = (uint8_t)v;
		assert_int_equal(tlsa_classify(&t, 1, 0, strong, 2), v <= 1);
		t.selector = 1;
		t.matching = (uint8_t)v;
		assert_int_equal(tlsa_classify(&t, 1, 0, strong, 2), v == 1);
		t.len = 64;
		assert_int_equal(tlsa_classify(&t, 1, 0, strong, 2), v == 2);
	}
	for (m = 1; m <= 2; m++)
		for (t.len = 0; t.len <= sizeof digest; t.len++) {
			t.matching = (uint8_t)m;
			assert_int_equal(tlsa_classify(&t, 1, 0, strong, 2),
			    t.len == 32 * m);
		}
}

/* U02: no octet of full data is read that is not there, and no truncation of
 * it is usable. */
static void
u02_truncated_full_data(void **state)
{
	const struct der *d[] = { &cert, &key };
	struct danevirke_tlsa t = { .usage = 3 };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		t.selector = (uint8_t)i;
		for (t.len = 1; t.len <= d[i]->len; t.len++) {
			t.data = der_guard(d[i]->data, t.len);
			assert_int_equal(tlsa_classify(&t, 1, 0, strong, 2),
			    t.len == d[i]->len);
		}
	}
}

/* -------------------------------------------------------------- in a set */

/* use: for each record '+' in use, '-' a stronger digest is published, 'l'
 * not in the list of digests, 'x' unusable for another reason */
static const struct {
	const char *set, *use;
	const char *digests; /* strongest first; NULL: "21" */
	uint32_t flags;
} sets[] = {
	{ "", "", NULL, 0 },
	/* U15: kinds are alternatives, all in use beside each other */
	{ "3 1 1; 2 1 1; 3 0 1; 2 0 1", "++++", NULL, 0 },
	{ "3 1 1; 2 0 2; 3 0 0 cert; 2 1 0 key", "++++", NULL, 0 },
	{ "3 1 1; 3 1 1; 3 1 1", "+++", NULL, 0 },
	/* A01: the strongest, in any place and any number */
	{ "3 1 1; 3 1 2", "-+", NULL, 0 },
	{ "3 1 2; 3 1 1", "+-", NULL, 0 },
	{ "3 1 2; 3 1 1; 3 1 2; 3 1 1", "+-+-", NULL, 0 },
	{ "3 1 1; 3 1 1; 3 1 2", "--+", NULL, 0 },
	/* A01: per usage ... */
	{ "3 1 1; 2 1 2", "++", NULL, 0 },
	{ "3 1 1; 2 1 2; 2 1 1", "++-", NULL, 0 },
	{ "0 1 1; 1 1 2; 2 1 1; 3 1 2; 1 1 1", "++++-", NULL, PKIX },
	/* ... and selector */
	{ "3 0 2; 3 1 1", "++", NULL, 0 },
	{ "3 0 1; 3 0 2; 3 1 1; 2 0 1", "-+++", NULL, 0 },
	{ "3 0 2; 3 1 1; 2 0 1; 2 1 2; 3 0 1; 2 1 1", "++++--", NULL, 0 },
	/* A02: full data neither hides nor is hidden */
	{ "3 1 0 key; 3 1 1", "++", NULL, 0 },
	{ "3 1 0 key; 3 1 2; 3 1 1", "++-", NULL, 0 },
	{ "3 0 0 cert; 3 0 2", "++", NULL, 0 },
	{ "2 0 0 cert", "+", "", 0 },
	{ "2 0 0 cert; 2 0 1", "+l", "", 0 },
	/* A03: what is unusable hides nothing */
	{ "3 1 2 short; 3 1 1", "x+", NULL, 0 },
	{ "3 1 1; 3 1 2 long", "+x", NULL, 0 },
	{ "3 1 2 none; 3 1 1; 3 1 2 short", "x+x", NULL, 0 },
	{ "3 1 2 short; 3 1 1; 3 1 2", "x-+", NULL, 0 },
	{ "3 1 255; 3 1 3; 3 1 1", "xx+", NULL, 0 },
	{ "3 1 2 short; 3 1 1 short", "xx", NULL, 0 },
	/* U01: nor do usages that do not apply */
	{ "1 1 2; 3 1 1", "x+", NULL, 0 },
	{ "0 0 2; 2 0 1; 1 0 1", "x+x", NULL, 0 },
	/* U02: the record, not the set */
	{ "9 1 1; 3 9 1; 3 1 9; 3 1 1; 3 0 0 text", "xxx+x", NULL, 0 },
	{ "9 1 1; 3 9 1; 3 1 9", "xxx", NULL, 0 },
	/* A01: the order is the profile's */
	{ "3 1 1; 3 1 2", "+-", "12", 0 },
	{ "3 1 2; 3 1 1; 2 0 2", "-++", "12", 0 },
	{ "3 1 1 short; 3 1 2", "x+", "12", 0 },
	{ "3 1 1; 3 1 2", "+l", "1", 0 },
	{ "3 1 1; 3 1 2", "l+", "2", 0 },
	{ "3 1 1; 2 1 1", "ll", "2", 0 },
	{ "3 1 1; 3 1 2; 3 1 0 key", "ll+", "", 0 },
	{ "3 1 1 short", "x", "2", 0 },
	/* a digest in the list that we cannot compute is never usable */
	{ "3 1 3; 3 1 255; 3 1 1", "xx+", "\377321", 0 },
};

static void
digest_list(const char *text, uint8_t *list, size_t *n)
{
	*n = 0;
	for (text = text == NULL ? "21" : text; *text != '\0'; text++)
		list[(*n)++] = *text >= '0' && *text <= '9' ?
		    (uint8_t)(*text - '0') :
		    (uint8_t)*text;
}

static char
letter(const struct danevirke_tlsa *t)
{
	if (t->use)
		return '+';
	if (strcmp(t->why, W_AGILITY) == 0)
		return t->usable ? '-' : '?';
	if (strcmp(t->why, W_LIST) == 0)
		return t->usable ? '?' : 'l';
	return t->usable ? '?' : 'x';
}

/* A01, A02, A03, U15, T05 */
static void
a01_sets(void **state)
{
	struct danevirke_tlsa t[MAX];
	size_t i, j, n, used, n_digests;
	unsigned wrong = 0;
	uint8_t list[8];
	char got[64];

	(void)state;
	for (i = 0; i < N(sets); i++) {
		n = records(sets[i].set, t);
		digest_list(sets[i].digests, list, &n_digests);
		used = tlsa_classify(t, n, sets[i].flags, list, n_digests);
		check(t, n, used);
		for (j = 0; j < n; j++)
			got[j] = letter(&t[j]);
		got[n] = '\0';
		if (strcmp(got, sets[i].use) != 0) {
			print_error("\"%s\" with digests %s: %s, not %s\n",
			    sets[i].set,
			    sets[i].digests == NULL ? "21" : sets[i].digests,
			    got, sets[i].use);
			wrong++;
		}
		/* and once more: what is there already changes nothing */
		assert_int_equal(
		    tlsa_classify(t, n, sets[i].flags, list, n_digests), used);
		for (j = 0; j < n; j++)
			assert_int_equal(got[j], letter(&t[j]));
	}
	assert_int_equal(wrong, 0);
}

/* A01, A03: the order in which DNS gives the records means nothing */
static void
a01_any_order(void **state)
{
	static const char set[] =
	    "3 1 1; 3 1 2 short; 3 1 2; 2 1 1; 2 0 0 cert; 1 1 2; 3 0 2; 3 0 1";
	static const char use[] = "-x+++x+-";
	struct danevirke_tlsa one[MAX], t[MAX];
	size_t n, i, turn, step;

	(void)state;
	n = records(set, one);
	assert_int_equal(n, 8);
	for (step = 1; step < n; step += 2) /* prime to 8 */
		for (turn = 0; turn < n; turn++) {
			for (i = 0; i < n; i++)
				t[i] = one[(i * step + turn) % n];
			assert_int_equal(tlsa_classify(t, n, 0, strong, 2), 4);
			for (i = 0; i < n; i++)
				assert_int_equal(
				    letter(&t[i]), use[(i * step + turn) % n]);
		}
}

/* U20: sets of 64 and more, and A01 across all of one */
static void
u20_large_sets(void **state)
{
	static const size_t sizes[] = { 64, 65, 128, 256, MAX };
	static struct danevirke_tlsa t[MAX];
	size_t i, j, n;

	(void)state;
	for (i = 0; i < N(sizes); i++) {
		n = sizes[i];
		for (j = 0; j < n; j++) {
			memset(&t[j], 0xff, sizeof t[j]);
			t[j].usage = j % 2 == 0 ? 3 : 2;
			t[j].selector = t[j].matching = 1;
			t[j].data = digest;
			t[j].len = 32;
		}
		assert_int_equal(tlsa_classify(t, n, 0, strong, 2), n);
		check(t, n, n);
		/* the last one outdoes all of its kind, and no other */
		t[n - 1].matching = 2;
		t[n - 1].len = 64;
		j = t[n - 1].usage == 3 ? (n + 1) / 2 : n / 2;
		assert_int_equal(tlsa_classify(t, n, 0, strong, 2), n - j + 1);
		check(t, n, n - j + 1);
		assert_int_equal(t[n - 1].use, 1);
		/* A03: unless it is malformed */
		t[n - 1].len = 63;
		assert_int_equal(tlsa_classify(t, n, 0, strong, 2), n - 1);
		check(t, n, n - 1);
		/* 0 of 0 */
		assert_int_equal(tlsa_classify(t, 0, 0, strong, 2), 0);
	}
}

/* A01: the list may be the configuration's other one; it is not kept */
static void
a01_order_from_configuration(void **state)
{
	struct danevirke_tlsa t[MAX];
	size_t n = records("3 1 1; 3 1 2", t);

	(void)state;
	assert_int_equal(tlsa_classify(t, n, 0, weak, 2), 1);
	assert_true(t[0].use && !t[1].use);
	assert_int_equal(tlsa_classify(t, n, 0, strong, 2), 1);
	assert_true(!t[0].use && t[1].use);
	assert_int_equal(tlsa_classify(t, n, 0, weak, 1), 1);
	assert_true(t[0].use && !t[1].usable);
	assert_int_equal(tlsa_classify(t, n, 0, NULL, 0), 0);
	assert_true(!t[0].usable && !t[1].usable);
}

/* What the interface offers to callers: strongest first (A01) */
static void
a01_interface(void **state)
{
	struct danevirke_tlsa t[MAX];
	size_t n = records("3 1 1; 3 1 2; 1 1 1; 3 1 2 short", t), used = 7, i;
	struct danevirke_error err = { 0 };

	(void)state;
	assert_int_equal(danevirke_v1.classify(t, n, 0, &used, &err), 0);
	assert_int_equal(used, 1);
	assert_int_equal(letter(&t[0]), '-');
	assert_int_equal(letter(&t[1]), '+');
	assert_int_equal(letter(&t[2]), 'x');
	assert_int_equal(letter(&t[3]), 'x');
	assert_int_equal(danevirke_v1.classify(t, n, PKIX, &used, NULL), 0);
	assert_int_equal(used, 2); /* U01 */
	assert_int_equal(letter(&t[2]), '+');
	assert_int_equal(danevirke_v1.classify(NULL, 0, 0, NULL, NULL), 0);
	/* a wish that is not understood: then nothing is in use */
	assert_int_equal(danevirke_v1.classify(t, n, PKIX | 2, &used, &err),
	    DANEVIRKE_EINVAL);
	assert_non_null(strstr(err.text, "flags: 0x3"));
	assert_int_equal(used, 0);
	for (i = 0; i < n; i++) {
		assert_int_equal(letter(&t[i]), 'x');
		assert_non_null(t[i].why);
	}
	assert_int_equal(
	    danevirke_v1.classify(NULL, 1, 0, &used, &err), DANEVIRKE_EINVAL);
}

/* -------------------------------------------------------------------- words */

/* RFC 7218; a number stays one (P04: the log names what was found) */
static void
p04_text(void **state)
{
	static const struct {
		uint8_t usage, selector, matching;
		const char *text;
	} table[] = {
		{ 0, 0, 0, "PKIX-TA Cert Full" },
		{ 1, 1, 1, "PKIX-EE SPKI SHA2-256" },
		{ 2, 0, 2, "DANE-TA Cert SHA2-512" },
		{ 3, 1, 1, "DANE-EE SPKI SHA2-256" },
		{ 4, 2, 3, "4 2 3" },
		{ 3, 1, 255, "DANE-EE SPKI 255" },
		{ 3, 255, 1, "DANE-EE 255 SHA2-256" },
		{ 255, 255, 255, "255 255 255" },
	};
	struct danevirke_tlsa t = { 0 };
	char buf[40];
	size_t i, n, len;

	(void)state;
	for (i = 0; i < N(table); i++) {
		t.usage = table[i].usage;
		t.selector = table[i].selector;
		t.matching = table[i].matching;
		len = strlen(table[i].text);
		for (n = 0; n < sizeof buf; n++) { /* room for n octets */
			memset(buf, '#', sizeof buf);
			tlsa_text(&t, buf, n);
			if (n > 0) {
				assert_int_equal(
				    strlen(buf), len < n ? len : n - 1);
				assert_memory_equal(
				    buf, table[i].text, strlen(buf));
			}
			assert_int_equal(buf[n], '#');
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(q06_parse, "fewer than four octets leave no data (Q06)"),
		TEST(q06_others_count,
		    "beside a short record the others count (Q06)"),
		TEST(u02_a_record_alone,
		    "a record alone counts or says why (Q06 T05 U01 U02 U03)"),
		TEST(u03_every_value,
		    "of all values only the known count (U02 U03)"),
		TEST(u02_truncated_full_data,
		    "no truncation of full data counts (U02)"),
		TEST(a01_sets,
		    "the strongest digest of a kind counts (A01-A03 T05 U15)"),
		TEST(a01_any_order,
		    "the order of the records means nothing (A01 A03)"),
		TEST(u20_large_sets,
		    "sets of 64 and more are all looked at (A01 A03 U20)"),
		TEST(a01_order_from_configuration,
		    "the order of digests is the configuration's (A01)"),
		TEST(a01_interface,
		    "classify() prefers the strongest (A01 U01)"),
		TEST(p04_text,
		    "a record's text has words, or its numbers (P04)"),
	};

	return cmocka_run_group_tests_name("tlsa", tests, setup, NULL);
}

/* SPDX-License-Identifier: ISC */
/*
 * spki.c: what is strict DER and what is not (U17, U02), on certificates that
 * are written by hand (der.h) with one thing wrong.
 */
#include <gnutls/abstract.h>
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
#include "look.h"
#include "title.h"

#define N(a) (sizeof(a) / sizeof *(a))

static void
must(int rc, const char *what)
{
	if (rc < 0)
		fail_msg("%s: %s", what, gnutls_strerror(rc));
}

#define KEY "30{30{06{2a0304}}03{000102}}"
#define SERIAL "02{1122}"
#define SEQ "30{06{2a}}"
#define FRONT "a0{020102}" SERIAL SEQ SEQ SEQ SEQ
#define IDS "81{00aa}82{00bb}"
#define EXTENSIONS "a3{30{}}"
#define END SEQ "03{0055}"
#define CERT(tbs) "30{30{" tbs "}" END "}"
#define WITH(key) CERT(FRONT key)

static const struct {
	const char *name, *text;
	const char *spki; /* NULL: refused */
} hand[] = {
	{ "shortest", CERT("02{00}30{}30{}30{}30{}" KEY), KEY },
	{ "version 3", CERT(FRONT KEY), KEY },
	{ "all parts", CERT(FRONT KEY IDS EXTENSIONS), KEY },
	{ "one id", CERT(FRONT KEY "82{00aa}"), KEY },
	{ "serial of 30 octets",
	    CERT("02{7f*30}" SEQ SEQ SEQ SEQ KEY EXTENSIONS), KEY },
	/* U17: absent, NULL or other parameters are not made alike */
	{ "NULL parameters", WITH("30{30{06{2a}05{}}03{0001}}"),
	    "30{30{06{2a}05{}}03{0001}}" },
	{ "SEQUENCE parameters", WITH("30{30{06{2a}30{06{2a}}}03{0001}}"),
	    "30{30{06{2a}30{06{2a}}}03{0001}}" },
	/* each form of a length, at both of its ends */
	{ "key of 127", WITH("30{30{06{2a}}03{00*127}}"),
	    "30{30{06{2a}}03{00*127}}" },
	{ "key of 128", WITH("30{30{06{2a}}03{00*128}}"),
	    "30{30{06{2a}}03{00*128}}" },
	{ "key of 255", WITH("30{30{06{2a}}03{00*255}}"),
	    "30{30{06{2a}}03{00*255}}" },
	{ "key of 256", WITH("30{30{06{2a}}03{00*256}}"),
	    "30{30{06{2a}}03{00*256}}" },
	{ "key of 65535", WITH("30{30{06{2a}}03{00*65535}}"),
	    "30{30{06{2a}}03{00*65535}}" },
	{ "key of 65536", WITH("30{30{06{2a}}03{00*65536}}"),
	    "30{30{06{2a}}03{00*65536}}" },

	{ "nothing", "", NULL },
	{ "a tag", "30", NULL },
	{ "an empty SEQUENCE", "30{}", NULL },
	{ "indefinite and empty", "30800000", NULL },
	{ "length without octets", "3081", NULL },
	{ "length of four octets, none there", "3084", NULL },
	{ "84 ff ff ff ff", "3084ffffffff 00*40", NULL },
	{ "88 ff ...", "3088 ff*8 00*40", NULL },
	{ "ff", "30ff ff*127 00*40", NULL },
	{ "84 with a small length", "308400000002 0500", NULL },
	{ "text", "2d*5 42454749 4e", NULL },

	/* the frame */
	{ "no signature", "30{30{" FRONT KEY "}" SEQ "}", NULL },
	{ "no algorithm", "30{30{" FRONT KEY "}03{0055}}", NULL },
	{ "empty signature", "30{30{" FRONT KEY "}" SEQ "03{}}", NULL },
	{ "a fourth part", "30{30{" FRONT KEY "}" END "05{}}", NULL },
	{ "a part in front", "30{05{}30{" FRONT KEY "}" END "}", NULL },
	{ "the signed part only", "30{" FRONT KEY "}", NULL },
	{ "signature as octets", "30{30{" FRONT KEY "}" SEQ "04{0055}}", NULL },
	{ "in another SEQUENCE", "30{" CERT(FRONT KEY) "}", NULL },

	/* the signed part */
	{ "empty", CERT(""), NULL },
	{ "ends after the version", CERT("a0{020102}"), NULL },
	{ "ends after the serial", CERT("a0{020102}" SERIAL), NULL },
	{ "no subject", CERT(SERIAL SEQ SEQ SEQ KEY), NULL },
	{ "ends before the key", CERT(FRONT), NULL },
	{ "one octet instead of a key", CERT(FRONT "30"), NULL },
	{ "one octet instead of a version", CERT("a0"), NULL },
	{ "no serial", CERT("a0{020102}" SEQ SEQ SEQ SEQ KEY), NULL },
	{ "empty serial", CERT("a0{020102}02{}" SEQ SEQ SEQ SEQ KEY), NULL },
	{ "two versions", CERT("a0{020102}" FRONT KEY), NULL },
	{ "two serials", CERT(SERIAL SERIAL SEQ SEQ SEQ SEQ KEY), NULL },
	{ "two keys", CERT(FRONT KEY KEY), NULL },
	{ "a name too many", CERT(FRONT SEQ KEY), NULL },
	{ "extensions first", CERT(FRONT KEY EXTENSIONS IDS), NULL },
	{ "ids the wrong way", CERT(FRONT KEY "82{00}81{00}"), NULL },
	{ "an id twice", CERT(FRONT KEY "81{00}81{00}"), NULL },
	{ "extensions twice", CERT(FRONT KEY EXTENSIONS EXTENSIONS), NULL },
	{ "an id as a constructed one", CERT(FRONT KEY "a1{0300}"), NULL },
	{ "something new", CERT(FRONT KEY EXTENSIONS "a4{}"), NULL },
	{ "an octet behind", CERT(FRONT KEY "00"), NULL },

	/* the key */
	{ "empty key", WITH("30{}"), NULL },
	{ "algorithm only", WITH("30{30{06{2a}}}"), NULL },
	{ "no algorithm", WITH("30{03{0001}}"), NULL },
	{ "empty algorithm", WITH("30{30{}03{0001}}"), NULL },
	{ "empty OID", WITH("30{30{06{}}03{0001}}"), NULL },
	{ "parameters first", WITH("30{30{05{}06{2a}}03{0001}}"), NULL },
	{ "parameters twice", WITH("30{30{06{2a}05{}05{}}03{0001}}"), NULL },
	{ "half a parameter", WITH("30{30{06{2a}05}03{0001}}"), NULL },
	{ "no bits", WITH("30{30{06{2a}}03{}}"), NULL },
	{ "no bits but their rest", WITH("30{30{06{2a}}03{00}}"), NULL },
	{ "a rest of bits", WITH("30{30{06{2a}}03{0102}}"), NULL },
	{ "key as octets", WITH("30{30{06{2a}}04{0001}}"), NULL },
	{ "key in pieces", WITH("30{30{06{2a}}23{03{0001}}}"), NULL },
	{ "key twice", WITH("30{30{06{2a}}03{0001}03{0001}}"), NULL },
	{ "key as SET", WITH("31{30{06{2a}}03{0001}}"), NULL },
};

/* U17, and the strict part of it: what is not DER is no certificate */
static void
u17_by_hand(void **state)
{
	static struct der d, spki;
	unsigned wrong = 0;

	(void)state;
	for (size_t i = 0; i < N(hand); i++) {
		struct found f;
		bool ok;

		assert_true(der_write(&d, hand[i].text, -1, 0) >= 0);
		f = look(d.data, d.len);
		ok = f.cert == (hand[i].spki != NULL);
		if (ok && f.cert) {
			assert_true(der_write(&spki, hand[i].spki, -1, 0) >= 0);
			ok = f.spki_len == spki.len &&
			    memcmp(d.data + f.spki_at, spki.data, spki.len) ==
				0 &&
			    look(spki.data, spki.len).key;
		}
		if (!ok) {
			print_error("%s: %s\n", hand[i].name,
			    f.cert ? "taken" : "refused");
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

/* every element that the walk enters or steps over, each once */
static const char full[] = "30{30{a0{020102}02{1122}30{0500}30{3100}30{3000}"
			   "30{3100}30{30{06{2a03}05{}}03{000102}}81{00aa}"
			   "82{00bb}a3{3000}}30{0500}03{0055}}";
#define FULL_PARAMETERS 11 /* its tag is free */

/* X.690 10.1, 8.1.3: each wrong length at each element */
static void
each_length_in_each_place(void **state)
{
	static struct der d;
	int n, i, sin, wrong = 0;

	(void)state;
	n = der_write(&d, full, -1, DER_RIGHT);
	assert_int_equal(n, 18);
	assert_true(look(d.data, d.len).cert);
	for (i = 0; i < n; i++)
		for (sin = DER_RIGHT + 1; sin < DER_SINS; sin++) {
			if (sin == DER_LESS && i == FULL_PARAMETERS)
				continue; /* less than nothing */
			assert_int_equal(
			    der_write(&d, full, i, (enum der_sin)sin), n);
			if (look(d.data, d.len).cert) {
				print_error("brace %d, sin %d\n", i, sin);
				wrong++;
			}
		}
	assert_int_equal(wrong, 0);
}

/* The same where the long form is right, which one octet more pads. */
static void
each_length_when_long(void **state)
{
	static const char *const text[] = {
		CERT(FRONT "30{30{06{2a}}03{00*200}}"),
		CERT(FRONT "30{30{06{2a}}03{00*300}}"),
		CERT(FRONT "30{30{06{2a}}03{00*65600}}"),
	};
	static const enum der_sin right[] = { DER_LONG1, DER_LONG2, DER_LONG3 };
	static const enum der_sin padded[] = { DER_LONG2, DER_LONG3, DER_LONG4,
		DER_LONG8 };
	/* outermost, signed part, SEQUENCE of the key, its BIT STRING */
	static const int place[] = { 0, 1, 12, 15 };
	static struct der d;

	(void)state;
	for (size_t i = 0; i < N(text); i++)
		for (size_t p = 0; p < N(place); p++) {
			assert_true(
			    der_write(&d, text[i], place[p], right[i]) > 15);
			assert_true(look(d.data, d.len).cert);
			for (size_t j = i; j < N(padded); j++) {
				assert_true(der_write(&d, text[i], place[p],
						padded[j]) > 0);
				assert_false(look(d.data, d.len).cert);
			}
		}
}

/* Lengths have three octets at most: a certificate of 16 MiB less one is one,
 * and one of 16 MiB is not, although all of it is there. */
static void
a_length_has_three_octets(void **state)
{
	static const char front[] = "30{" FRONT KEY "}" SEQ;
	static const size_t size[] = { 0xffffff, 0x1000000 };
	static struct der d;
	struct cert_parts parts;
	const uint8_t *p;
	uint8_t *big;
	size_t i, n, len, sig;

	(void)state;
	assert_true(der_write(&d, front, -1, 0) > 0);
	big = calloc(1, 0x1000000 + 32); /* pages nobody looks at */
	assert_non_null(big);
	for (i = 0; i < 2; i++) {
		n = i + 3; /* octets of the outer length */
		sig = size[i] - d.len - 5;
		len = 0;
		big[len++] = 0x30;
		big[len++] = (uint8_t)(0x80 | n);
		while (n > 0)
			big[len++] = (uint8_t)(size[i] >> 8 * --n);
		memcpy(big + len, d.data, d.len);
		len += d.len;
		memcpy(big + len,
		    (uint8_t[]){ 0x03, 0x83, (uint8_t)(sig >> 16),
			(uint8_t)(sig >> 8), (uint8_t)sig },
		    5);
		len += 5 + sig;
		assert_int_equal(spki_find(big, len, &p, &n), i == 0 ? 0 : -1);
		assert_int_equal(cert_parts(big, len, &parts), i == 0 ? 0 : -1);
	}
	free(big);
}

/* Each of 255 other tags at each element. */
static void
each_tag_in_each_place(void **state)
{
	static struct der d;
	char text[sizeof full], hex[3];
	int i = -1, wrong = 0;
	unsigned tag, was;

	(void)state;
	for (size_t at = 2; at < sizeof full; at++) {
		if (full[at] != '{')
			continue;
		i++;
		for (tag = 0; tag < 256; tag++) {
			memcpy(text, full, sizeof full);
			assert_int_equal(sscanf(text + at - 2, "%2x", &was), 1);
			snprintf(hex, sizeof hex, "%02x", tag & 0xff);
			memcpy(text + at - 2, hex, 2);
			assert_int_equal(der_write(&d, text, -1, 0), 18);
			if (tag == was || i == FULL_PARAMETERS)
				assert_true(look(d.data, d.len).cert);
			else if (look(d.data, d.len).cert) {
				print_error("brace %d, tag %02x\n", i, tag);
				wrong++;
			}
		}
	}
	assert_int_equal(i, 17);
	assert_int_equal(wrong, 0);
}

/* The same for a key alone, as in 2 1 0 and 3 1 0 (U02). */
static void
u02_each_length_of_a_key(void **state)
{
	static const char key[] = "30{30{06{2a03}05{}}03{000102}}";
	static struct der d;
	int n, i, sin;

	(void)state;
	n = der_write(&d, key, -1, DER_RIGHT);
	assert_int_equal(n, 5);
	assert_true(look(d.data, d.len).key);
	for (i = 0; i < n; i++)
		for (sin = DER_RIGHT + 1; sin < DER_SINS; sin++) {
			if (sin == DER_LESS && i == 3)
				continue;
			der_write(&d, key, i, (enum der_sin)sin);
			assert_false(look(d.data, d.len).key);
		}
}

/* U17: GnuTLS adds the NULL that is missing here; a digest of its octets
 * would be that of another key. */
static void
u17_no_reencoding(void **state)
{
	static const char dn[] = "30{31{30{06{550403}0c{78}}}}";
	static const char sig[] = "30{06{2a864886f70d01010b}05{}}";
	static const char utc[] = "17{303130393039303134363430 5a}";
	static const char key[] =
	    "30{30{06{2a864886f70d010101}}03{00 30{02{00c1*128}02{010001}}}}";
	static struct der d, want;
	char text[1024];
	gnutls_datum_t in, out;
	gnutls_x509_crt_t crt;
	gnutls_pubkey_t pub;
	struct found f;

	(void)state;
	snprintf(text, sizeof text,
	    "30{30{a0{020102}02{01}%s%s30{%s%s}%s%s}%s03{00 55*128}}", sig, dn,
	    utc, utc, dn, key, sig);
	assert_true(der_write(&d, text, -1, 0) > 0);
	assert_true(der_write(&want, key, -1, 0) > 0);
	f = look(d.data, d.len);
	assert_true(f.cert);
	assert_int_equal(f.spki_len, want.len);
	assert_memory_equal(d.data + f.spki_at, want.data, want.len);

	in.data = d.data;
	in.size = (unsigned)d.len;
	must(gnutls_x509_crt_init(&crt), "crt");
	must(gnutls_x509_crt_import(crt, &in, GNUTLS_X509_FMT_DER), "import");
	must(gnutls_pubkey_init(&pub), "pub");
	must(gnutls_pubkey_import_x509(pub, crt, 0), "pub of crt");
	must(gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_DER, &out), "export");
	assert_int_equal(out.size, want.len + 2);
	gnutls_free(out.data);
	gnutls_pubkey_deinit(pub);
	gnutls_x509_crt_deinit(crt);
}

static void
null_is_refused(void **state)
{
	const uint8_t *p = NULL;
	struct cert_parts parts;
	size_t n = 0;

	(void)state;
	assert_int_equal(spki_find(NULL, 0, &p, &n), -1);
	assert_int_equal(spki_find(NULL, 100, &p, &n), -1);
	assert_int_equal(cert_parts(NULL, 100, &parts), -1);
	assert_int_equal(spki_check(NULL, 100), -1);
	assert_null(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(u17_by_hand, "what is not DER is no certificate (U17)"),
		TEST(each_length_in_each_place,
		    "each wrong length is refused, in each place (U17)"),
		TEST(each_length_when_long,
		    "a long length that is padded is refused (U17)"),
		TEST(a_length_has_three_octets,
		    "a certificate of 16 MiB is refused (U17)"),
		TEST(each_tag_in_each_place,
		    "each wrong tag is refused, in each place (U17)"),
		TEST(u02_each_length_of_a_key,
		    "a key with a wrong length is refused (U02)"),
		TEST(u17_no_reencoding,
		    "a key without its NULL is taken as it is (U17)"),
		TEST(null_is_refused, "NULL is refused"),
	};

	return cmocka_run_group_tests_name("strict", tests, NULL, NULL);
}

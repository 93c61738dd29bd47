/* SPDX-License-Identifier: ISC */
/*
 * peerkey.c: what a server may send in a handshake (S09), and the part of
 * spki.c that says how large a key is.  Messages are written as der.h says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "peerkey.h"
#include "spki.h"

#include <cmocka.h>

#include "der.h"
#include "title.h"

#define RSA "06{2a864886f70d010101}"
#define PSS "06{2a864886f70d01010a}"
#define OAEP "06{2a864886f70d010107}"
#define MD5 "06{2a864886f70d010104}"
#define X509 "06{55080101}"
#define EC "06{2a8648ce3d0201}"
#define P256 "06{2a8648ce3d030107}"
#define DSA "06{2a8648ce380401}"
#define ED25519 "06{2b6570}"
#define ED448 "06{2b6571}"
#define DH "06{2a864886f70d010301}"

/* Numbers of so many bits */
#define B2048 "02{00ff*256}"
#define B8192 "02{00ff*1024}"
#define B8193 "02{01ff*1024}"
#define NEGATIVE "02{ff*1025}"
#define ZEROS "02{00*3000}"
#define E17 "02{010001}"
#define E64 "02{00ff*8}"
#define E65 "02{01ff*8}"

#define RSA_KEY(oid, n, e) "30{30{" oid "0500}03{00 30{" n e "}}}"
#define KEY(algorithm, key) "30{30{" algorithm "}03{00" key "}}"

static const struct {
	const char *name, *spki;
	enum spki_kind kind;
	size_t bits, exponent;
	const char *why; /* NULL: taken */
} keys[] = {
	{ "RSA", RSA_KEY(RSA, B2048, E17), SPKI_RSA, 2048, 17, NULL },
	{ "the largest", RSA_KEY(RSA, B8192, E64), SPKI_RSA, 8192, 64, NULL },
	{ "a bit more", RSA_KEY(RSA, B8193, E17), SPKI_RSA, 8193, 17,
	    "RSA with 8193 bits: more than 8192" },
	{ "without its zero", RSA_KEY(RSA, NEGATIVE, E17), SPKI_RSA, 8200, 17,
	    "RSA with 8200 bits: more than 8192" },
	{ "exponent", RSA_KEY(RSA, B2048, E65), SPKI_RSA, 2048, 65,
	    "RSA with an exponent of 65 bits: more than 64" },
	{ "padded with zeros", RSA_KEY(RSA, ZEROS, E17), SPKI_RSA, 0, 17,
	    NULL },
	{ "RSA-PSS", RSA_KEY(PSS, B8193, E17), SPKI_RSA, 8193, 17, "8193" },
	{ "RSAES-OAEP", RSA_KEY(OAEP, B8193, E17), SPKI_RSA, 8193, 17, "8193" },
	{ "a signature's name", RSA_KEY(MD5, B8193, E17), SPKI_RSA, 8193, 17,
	    "8193" },
	{ "X.509's name", RSA_KEY(X509, B8193, E17), SPKI_RSA, 8193, 17,
	    "8193" },
	{ "RSA, three numbers", RSA_KEY(RSA, B2048, E17 E17), SPKI_UNKNOWN, 0,
	    0, "of a kind that is not known" },
	{ "RSA, one number", RSA_KEY(RSA, B2048, ""), SPKI_UNKNOWN, 0, 0,
	    "not known" },
	{ "RSA, more behind", KEY(RSA, "30{" B2048 E17 "}0500"), SPKI_UNKNOWN,
	    0, 0, "not known" },
	{ "P-256", KEY(EC P256, "04 11*64"), SPKI_CURVE, 256, 0, NULL },
	{ "P-256, a point of one number", KEY(EC P256, "02 11*32"), SPKI_CURVE,
	    256, 0, NULL },
	{ "P-521", KEY(EC P256, "04 11*132"), SPKI_CURVE, 528, 0, NULL },
	{ "Ed25519", KEY(ED25519, "11*32"), SPKI_CURVE, 256, 0, NULL },
	{ "Ed448", KEY(ED448, "11*57"), SPKI_CURVE, 456, 0, NULL },
	{ "DSA", KEY(DSA "30{" B2048 "02{11*32}" B2048 "}", B2048), SPKI_DSA, 0,
	    0, "DSA" },
	{ "DH", KEY(DH, B2048), SPKI_UNKNOWN, 0, 0, "not known" },
	{ "more behind", KEY(ED25519, "11*32") "0500", SPKI_UNKNOWN, 0, 0,
	    "not known" },
	{ "nothing", "", SPKI_UNKNOWN, 0, 0, "not known" },
};

static void
test_keys(void **state)
{
	static struct der d;
	struct spki_key k;
	char why[100];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof keys / sizeof *keys; i++) {
		assert_true(der_write(&d, keys[i].spki, -1, DER_RIGHT) >= 0);
		k = spki_key(der_guard(d.data, d.len), d.len);
		if (k.kind != keys[i].kind)
			print_error("%s: kind %d\n", keys[i].name, k.kind);
		assert_int_equal(k.kind, keys[i].kind);
		assert_int_equal(k.bits, keys[i].bits);
		assert_int_equal(k.exponent, keys[i].exponent);
		*why = '\0';
		assert_int_equal(
		    spki_bounded(&k, why, sizeof why), keys[i].why == NULL);
		assert_non_null(
		    strstr(why, keys[i].why == NULL ? "" : keys[i].why));
	}
}

#define NAME "30{31{30{06{550403}0c{61}}}}"
#define DATES "30{17{41*13}17{41*13}}"
#define SIGNED "30{06{2a8648ce3d040302}}"
#define CERT(key) \
	"30{30{a0{02{02}}02{01}" SIGNED NAME DATES NAME key "}" SIGNED \
	"03{00 11*64}}"

/* Octets of a message; a vector's length is put in front by close(). */
static struct {
	uint8_t data[200000];
	size_t len;
} out;

static void
put(const void *p, size_t len)
{
	assert_true(out.len + len <= sizeof out.data);
	memcpy(out.data + out.len, p, len);
	out.len += len;
}

static void
number(size_t value, size_t octets)
{
	uint8_t b[4];
	size_t i;

	for (i = 0; i < octets; i++)
		b[i] = (uint8_t)(value >> 8 * (octets - 1 - i));
	put(b, octets);
}

static size_t
begin(size_t octets)
{
	number(0, octets);
	return out.len;
}

static void
end(size_t at, size_t octets)
{
	size_t len = out.len;

	out.len = at - octets;
	number(len - at, octets);
	out.len = len;
}

/* A Certificate message of n certificates: the first, then small ones. */
static void
message(const char *cert, size_t n, bool tls13)
{
	static struct der d;
	size_t list, one, i;

	out.len = 0;
	if (tls13)
		number(0, 1);
	list = begin(3);
	for (i = 0; i < n; i++) {
		one = begin(3);
		assert_true(
		    der_write(&d, i == 0 ? cert : "30{}", -1, DER_RIGHT) >= 0);
		put(d.data, d.len);
		end(one, 3);
		if (tls13)
			number(0, 2);
	}
	end(list, 3);
}

static void
taken(bool tls13, const char *want)
{
	char why[120] = "";
	bool ok;

	ok = peer_certificates(
	    der_guard(out.data, out.len), out.len, tls13, why, sizeof why);
	if (ok != (want == NULL) || strstr(why, want ? want : "") == NULL)
		print_error("%d: %s, want %s\n", ok, why, want ? want : "");
	assert_int_equal(ok, want == NULL);
	assert_int_equal(*why == '\0', want == NULL);
	assert_non_null(strstr(why, want ? want : ""));
}

#define SMALL CERT(KEY(EC P256, "04 11*64"))
#define NONE "a Certificate message is none"

static void
test_certificates(void **state)
{
	size_t i, len;
	int tls13;

	(void)state;
	for (tls13 = 0; tls13 < 2; tls13++) {
		message(SMALL, 1, tls13);
		taken(tls13, NULL);
		len = out.len;
		for (i = 0; i < len; i++) { /* no end may be missing */
			out.len = i;
			taken(tls13, NONE);
		}
		out.len = len;
		put("", 1);
		taken(tls13, NONE);
		message(SMALL, 1, tls13);
		taken(!tls13, NONE);
		message(SMALL, PEER_CERTS, tls13);
		taken(tls13, NULL);
		message(SMALL, PEER_CERTS + 1, tls13);
		taken(tls13, "sends more than 100 certificates");
		message("30{30{}}", 1, tls13);
		taken(tls13, "the server's certificate is not DER");
		message(CERT(RSA_KEY(RSA, B8193, E17)), 1, tls13);
		taken(tls13, "the server's key is RSA with 8193 bits");
		message(CERT(RSA_KEY(RSA, B2048, E65)), 2, tls13);
		taken(tls13, "key is RSA with an exponent of 65 bits");
		message(CERT(KEY(DSA "30{" B2048 "}", B2048)), 2, tls13);
		taken(tls13, "the server's key is DSA");
		message(CERT(RSA_KEY(RSA, "02{00ff*11000}", "02{7f*11000}")), 1,
		    tls13);
		taken(tls13, "key is RSA with 88000 bits: more than 8192");
		message(CERT(KEY(EC P256, "04 11*16200")), 1, tls13);
		taken(tls13, "more than 16384");
		message("", 1, tls13); /* as some say that they have none */
		taken(tls13, "not DER");
		message("", 0, tls13); /* GnuTLS refuses it */
		taken(tls13, NULL);
	}
	message(SMALL, 1, true); /* RFC 8446 4.4.2: no context */
	memmove(out.data + 2, out.data + 1, out.len++ - 1);
	out.data[0] = 1;
	taken(true, NONE);
}

static void
group(size_t p, size_t g, size_t y, size_t cut, const char *want)
{
	size_t len[3] = { p, g, y }, i;
	char why[120] = "";

	out.len = 0;
	for (i = 0; i < 3; i++) {
		number(len[i], 2);
		memset(out.data + out.len, 0xff, len[i]);
		out.len += len[i];
	}
	out.len -= cut;
	assert_int_equal(
	    peer_group(der_guard(out.data, out.len), out.len, why, sizeof why),
	    want == NULL);
	assert_non_null(strstr(why, want ? want : ""));
}

static void
test_group(void **state)
{
	(void)state;
	group(256, 1, 256, 0, NULL);
	group(1024, 1024, 1024, 0, NULL);
	group(1025, 1, 256, 0, "group has 1025 octets: more than 1024");
	group(256, 1025, 256, 0, "group has 1025 octets");
	group(256, 1, 1025, 0, "group has 1025 octets");
	group(256, 1, 256, 1, "ServerKeyExchange message is none");
	group(65535, 1, 1, 0, "more than 1024");
	group(0, 0, 0, 5, "ServerKeyExchange message is none");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_keys,
		    "a key over its bounds is refused, by name (S09)"),
		TEST(test_certificates,
		    "a message with too much to verify is refused (S09)"),
		TEST(test_group, "a group over 8192 bits is refused (S09)"),
	};

	return cmocka_run_group_tests_name("peerkey", tests, NULL, NULL);
}

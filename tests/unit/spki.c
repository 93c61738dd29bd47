/* SPDX-License-Identifier: ISC */
/*
 * spki.c: the walk to a certificate's public key (U06, U17) and to the part
 * that its issuer signed (U08).  Certificates are made by GnuTLS when the test
 * runs, compared with what GnuTLS says of them, and then damaged.
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
#define MUTATIONS 10000 /* of each certificate */
#define NOW 1000000000  /* 2001-09-09T01:46:40Z */

/* ------------------------------------------------- certificates of GnuTLS */

static const struct kind {
	const char *name;
	gnutls_pk_algorithm_t pk;
	unsigned bits;
	gnutls_digest_algorithm_t digest;
	unsigned version;
	bool ids; /* issuerUniqueID and subjectUniqueID */
} kinds[] = {
	{ "RSA", GNUTLS_PK_RSA, 2048, GNUTLS_DIG_SHA256, 3, false },
	{ "RSA v1", GNUTLS_PK_RSA, 1024, GNUTLS_DIG_SHA256, 1, false },
	{ "RSA-PSS", GNUTLS_PK_RSA_PSS, 1024, GNUTLS_DIG_SHA256, 3, true },
	{ "P-256", GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), GNUTLS_DIG_SHA256,
	    3, false },
	{ "P-256 v1", GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), GNUTLS_DIG_SHA256,
	    1, false },
	{ "P-384", GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1), GNUTLS_DIG_SHA384,
	    3, true },
	{ "P-521", GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1), GNUTLS_DIG_SHA512,
	    3, false },
	{ "Ed25519", GNUTLS_PK_EDDSA_ED25519, 0, GNUTLS_DIG_SHA512, 3, false },
	{ "Ed448", GNUTLS_PK_EDDSA_ED448, 0, GNUTLS_DIG_SHAKE_256, 3, true },
};

static struct real {
	gnutls_datum_t der, spki; /* both as GnuTLS writes them */
} real[N(kinds)];

static void
must(int rc, const char *what)
{
	if (rc < 0)
		fail_msg("%s: %s", what, gnutls_strerror(rc));
}

static void
real_make(const struct kind *k, struct real *r)
{
	static const uint8_t serial[] = { 0x11, 0x22, 0x33 };
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_pubkey_t pub;

	must(gnutls_x509_privkey_init(&key), "key");
	must(gnutls_x509_privkey_generate(key, k->pk, k->bits, 0), k->name);
	must(gnutls_x509_crt_init(&crt), "crt");
	must(gnutls_x509_crt_set_version(crt, k->version), "version");
	must(gnutls_x509_crt_set_serial(crt, serial, sizeof serial), "serial");
	must(gnutls_x509_crt_set_activation_time(crt, NOW), "from");
	must(gnutls_x509_crt_set_expiration_time(crt, NOW + 86400), "to");
	must(gnutls_x509_crt_set_dn(crt, "CN=mx.example.org", NULL), "dn");
	must(gnutls_x509_crt_set_key(crt, key), "key of crt");
	if (k->ids) {
		must(gnutls_x509_crt_set_issuer_unique_id(crt, "iss", 3), "id");
		must(
		    gnutls_x509_crt_set_subject_unique_id(crt, "sub", 3), "id");
	}
	if (k->version == 3)
		must(gnutls_x509_crt_set_subject_alt_name(
			 crt, GNUTLS_SAN_DNSNAME, "mx.example.org", 14, 0),
		    "san");
	must(gnutls_x509_crt_sign2(crt, crt, key, k->digest, 0), k->name);
	must(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &r->der), "der");
	must(gnutls_pubkey_init(&pub), "pub");
	must(gnutls_pubkey_import_x509(pub, crt, 0), "pub of crt");
	must(gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_DER, &r->spki), "spki");
	gnutls_pubkey_deinit(pub);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

static int
setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(kinds); i++)
		real_make(&kinds[i], &real[i]);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(kinds); i++) {
		gnutls_free(real[i].der.data);
		gnutls_free(real[i].spki.data);
	}
	return 0;
}

/* U06, U17: the key as GnuTLS exports it, octet for octet */
static void
u17_key_is_that_of_gnutls(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(kinds); i++) {
		const struct real *r = &real[i];
		struct found f = look(r->der.data, r->der.size);

		print_message("# %s: %u octets, key %u\n", kinds[i].name,
		    r->der.size, r->spki.size);
		assert_true(f.cert);
		assert_int_equal(f.spki_len, r->spki.size);
		assert_memory_equal(
		    r->der.data + f.spki_at, r->spki.data, r->spki.size);
		assert_true(look(r->spki.data, r->spki.size).key);
	}
}

/* U08: what cert_parts() gives is what the signature is over, and no less */
static void
u08_tbs_is_what_was_signed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(kinds); i++) {
		const struct real *r = &real[i];
		struct found f = look(r->der.data, r->der.size);
		unsigned char buf[600];
		gnutls_datum_t tbs, sig = { buf, 0 };
		size_t len = sizeof buf;
		gnutls_x509_crt_t crt;
		gnutls_pubkey_t pub;
		gnutls_sign_algorithm_t algo;

		must(gnutls_x509_crt_init(&crt), "crt");
		must(gnutls_x509_crt_import(crt, &r->der, GNUTLS_X509_FMT_DER),
		    "import");
		must(gnutls_pubkey_init(&pub), "pub");
		must(gnutls_pubkey_import_x509(pub, crt, 0), "pub of crt");
		must(gnutls_x509_crt_get_signature(crt, (char *)buf, &len),
		    "signature");
		sig.size = (unsigned)len;
		algo = (gnutls_sign_algorithm_t)
		    gnutls_x509_crt_get_signature_algorithm(crt);
		assert_true(f.tbs);
		tbs.data = r->der.data + f.tbs_at;
		tbs.size = (unsigned)f.tbs_len;
		must(gnutls_pubkey_verify_data2(pub, algo, 0, &tbs, &sig),
		    kinds[i].name);
		tbs.size--;
		assert_true(
		    gnutls_pubkey_verify_data2(pub, algo, 0, &tbs, &sig) < 0);
		gnutls_pubkey_deinit(pub);
		gnutls_x509_crt_deinit(crt);
	}
}

static void
every_truncation_is_refused(void **state)
{
	struct found f;

	(void)state;
	for (size_t i = 0; i < N(kinds); i++) {
		for (size_t n = 0; n < real[i].der.size; n++) {
			f = look(real[i].der.data, n);
			assert_false(f.cert || f.tbs || f.key);
		}
		for (size_t n = 0; n < real[i].spki.size; n++) {
			f = look(real[i].spki.data, n);
			assert_false(f.cert || f.tbs || f.key);
		}
	}
}

/* Every octet may stand behind, 00 and another certificate too. */
static void
trailing_octets_are_refused(void **state)
{
	static uint8_t buf[8192];

	(void)state;
	for (size_t i = 0; i < N(kinds); i++) {
		const gnutls_datum_t *d[] = { &real[i].der, &real[i].spki };

		for (size_t j = 0; j < 2; j++) {
			struct found f;

			memcpy(buf, d[j]->data, d[j]->size);
			for (unsigned c = 0; c < 256; c++) {
				buf[d[j]->size] = (uint8_t)c;
				f = look(buf, d[j]->size + 1);
				assert_false(f.cert || f.tbs || f.key);
			}
			memcpy(buf + d[j]->size, d[j]->data, d[j]->size);
			f = look(buf, 2 * d[j]->size);
			assert_false(f.cert || f.tbs || f.key);
		}
	}
}

/* U17: one wrong bit is refused or changes nothing but itself. */
static void
u17_one_wrong_bit_moves_no_key(void **state)
{
	unsigned taken = 0, refused = 0;

	(void)state;
	for (size_t i = 0; i < N(kinds); i++) {
		uint8_t *der = real[i].der.data;
		struct found was = look(der, real[i].der.size), f;

		for (size_t bit = 0; bit < real[i].der.size * 8; bit++) {
			der[bit / 8] ^= (uint8_t)(1 << bit % 8);
			f = look(der, real[i].der.size);
			der[bit / 8] ^= (uint8_t)(1 << bit % 8);
			f.cert ? taken++ : refused++;
			if (!f.cert)
				continue;
			assert_int_equal(f.spki_at, was.spki_at);
			assert_int_equal(f.spki_len, was.spki_len);
			assert_int_equal(f.tbs_at, was.tbs_at);
			assert_int_equal(f.tbs_len, was.tbs_len);
		}
	}
	print_message("# %u taken, %u refused\n", taken, refused);
	assert_true(taken > 0 && refused > 0);
}

/* In all of a certificate there is one place where spki_check() says yes. */
static void
only_the_key_is_a_key(void **state)
{
	const struct real *r = &real[3];
	const uint8_t *der = der_guard(r->der.data, r->der.size);
	size_t hits = 0;

	(void)state;
	for (size_t at = 0; at < r->der.size; at++)
		for (size_t n = 0; n <= r->der.size - at; n++)
			if (spki_check(der + at, n) == 0) {
				hits++;
				assert_int_equal(n, r->spki.size);
				assert_memory_equal(der + at, r->spki.data, n);
			}
	assert_int_equal(hits, 1);
}

/* ----------------------------------------------------- changes at random */

static uint32_t
next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (uint32_t)(*seed >> 32);
}

/* One edit of buf, which has room for one octet more. */
static size_t
mutate(uint8_t *buf, size_t len, uint64_t *seed)
{
	static const uint8_t odd[] = { 0, 1, 0x7f, 0x80, 0x81, 0x82, 0x83, 0x84,
		0x88, 0xff, 0x30, 0x03, 0x02, 0xa0, 0xa3 };
	size_t at, from, n;

	if (len == 0)
		return 0;
	/* half of it where most of the structure is */
	at = next(seed) % (next(seed) % 2 == 0 || len < 64 ? len : 64);
	switch (next(seed) % 7) {
	case 0:
		buf[at] ^= (uint8_t)(1 << next(seed) % 8);
		break;
	case 1:
		buf[at] = (uint8_t)next(seed);
		break;
	case 2:
		buf[at] = odd[next(seed) % N(odd)];
		break;
	case 3:
		buf[at]++;
		break;
	case 4: /* one octet less */
		memmove(buf + at, buf + at + 1, len - at - 1);
		return len - 1;
	case 5: /* one more */
		memmove(buf + at + 1, buf + at, len - at);
		buf[at] = odd[next(seed) % N(odd)];
		return len + 1;
	default: /* a piece from elsewhere */
		from = next(seed) % len;
		n = next(seed) % 16;
		if (n > len - at)
			n = len - at;
		if (n > len - from)
			n = len - from;
		memmove(buf + at, buf + from, n);
	}
	return len;
}

/* look() checks each: in bounds, and what is given lies within the input. */
static void
mutations_stay_in_bounds(void **state)
{
	static uint8_t buf[4096];
	uint64_t seed = 0x6a09e667f3bcc909;
	unsigned certs = 0, keys = 0, refused = 0;

	(void)state;
	for (size_t i = 0; i < N(kinds) * MUTATIONS; i++) {
		const struct real *r = &real[i % N(kinds)];
		const gnutls_datum_t *d = next(&seed) % 4 == 0 ? &r->spki :
								 &r->der;
		size_t len = d->size;
		struct found f;

		memcpy(buf, d->data, len);
		for (unsigned n = next(&seed) % 4 + 1; n > 0; n--)
			len = mutate(buf, len, &seed);
		f = look(buf, len);
		if (f.cert)
			certs++;
		else if (f.key)
			keys++;
		else
			refused++;
	}
	print_message(
	    "# %u certificates, %u keys, %u refused\n", certs, keys, refused);
	assert_true(certs > 0 && keys > 0 && refused > 0);
}

/* What a certificate with these extensions weighs, or -1; and how long the one
 * of SANs is. */
static int
weigh(const char *extensions, size_t *san)
{
	static struct der d;
	struct cert_parts c;
	char text[4000];

	snprintf(text, sizeof text,
	    "30{30{02{01}30{06{2a}}30{}30{}30{31{}}30{30{06{2b6570}}03{0011*32}}"
	    "%s}30{06{2a}}03{0011}}",
	    extensions);
	if (der_write(&d, text, -1, DER_RIGHT) < 0)
		fail_msg("%s", text);
	if (cert_parts(der_guard(d.data, d.len), d.len, &c) != 0)
		fail_msg("no certificate: %s", text);
	*san = cert_extension(&c, 17);
	return cert_weight(&c);
}

#define BARE 12 /* elements of one without any */

/* S09: elements, and those in extensions */
static void
test_weight(void **state)
{
	char many[4000];
	size_t san, i;

	(void)state;
	assert_int_equal(weigh("", &san), BARE);
	assert_int_equal(san, 0);
	/* 5: wrap, list, extension, its name and value; 3: what is in it */
	assert_int_equal(
	    weigh("a3{30{30{06{551d11}04{30{82{61}82{62}}}}}}", &san),
	    BARE + 5 + 3);
	assert_int_equal(san, 8);
	/* a flag more; no DER inside; the larger of two counts */
	assert_int_equal(weigh("a3{30{30{06{551d11}01{ff}04{}}"
			       "30{06{551d11}04{82aa}}}}",
			     &san),
	    BARE + 2 + 4 + 3);
	assert_int_equal(san, 2);
	assert_int_equal(
	    weigh("a3{30{30{06{551d12}04{82aa}}}}", &san), BARE + 5);
	assert_int_equal(san, 0);
	/* what is no list of extensions */
	assert_int_equal(weigh("a3{}", &san), -1);
	assert_int_equal(weigh("a3{30{}0500}", &san), -1);
	assert_int_equal(weigh("a3{30{30{06{551d11}}}}", &san), -1);
	assert_int_equal(weigh("a3{30{30{06{551d11}04{}0500}}}", &san), -1);
	assert_int_equal(weigh("a3{30{0500}}", &san), -1);
	for (i = 64; i < 66; i++) {
		strcpy(many, "a3{30{");
		while (strlen(many) < 6 + 18 * i)
			strcat(many, "30{06{2a0304}04{}}");
		strcat(many, "}}");
		assert_int_equal(
		    weigh(many, &san), i == 64 ? BARE + 2 + 3 * 64 : -1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(u17_key_is_that_of_gnutls,
		    "the key is that of GnuTLS, octet for octet (U06 U17)"),
		TEST(u08_tbs_is_what_was_signed,
		    "the signed part is what the signature is over (U08)"),
		TEST(every_truncation_is_refused,
		    "every truncation is refused (U17)"),
		TEST(trailing_octets_are_refused,
		    "any octet behind is refused (U17)"),
		TEST(u17_one_wrong_bit_moves_no_key,
		    "one wrong bit moves no key (U17)"),
		TEST(only_the_key_is_a_key,
		    "nothing in a certificate but its key is one (U17)"),
		TEST(mutations_stay_in_bounds, "mutations stay in bounds"),
		TEST(test_weight,
		    "weight counts elements and those in extensions (S09)"),
	};

	return cmocka_run_group_tests_name("spki", tests, setup, teardown);
}

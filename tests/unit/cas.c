/* SPDX-License-Identifier: ISC */
/*
 * cas.c, and what verify() makes of a host of MTA-STS: vectors as in vectors.h,
 * but for the records, of which there are none; ca is the system's file.
 */
#include <sys/stat.h>

#include <gnutls/gnutls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>
#undef fail

#include "certs.h"
#include "title.h"
#include "trial.h"

#define HOST_MISMATCH DANEVIRKE_CERTIFICATE_HOST_MISMATCH
#define EXPIRED DANEVIRKE_CERTIFICATE_EXPIRED
#define NOT_TRUSTED DANEVIRKE_CERTIFICATE_NOT_TRUSTED
#define FAILURE DANEVIRKE_VALIDATION_FAILURE

static const struct vector vectors[] = {
	{ "a path to a CA is enough (H04)", "leaf int root", .ca = "other root",
	    .depth = 2 },
	{ "the root need not be sent (H04)", "leaf int", .ca = "root",
	    .depth = 2 },
	{ "any order will do (H04)", "leaf other root int", .ca = "root",
	    .depth = 2 },
	{ "an intermediate may be in the file (H04)", "leaf", .ca = "int",
	    .depth = 1 },
	{ "a wildcard is for one label (H04 N07)", "wild root", .ca = "root",
	    .depth = 1 },
	{ "a wildcard is not for two (H04 N07)", "wild root", .ca = "root",
	    .names = "a.mx.example.org", .result = HOST_MISMATCH },
	{ "one of many names is enough (H04)", "n-many root", .ca = "root",
	    .depth = 1 },
	{ "case does not count (H04 N09)", "n-case root", .ca = "root",
	    .depth = 1 },

	{ "another name is refused (H04)", "n-other root", .ca = "root",
	    .result = HOST_MISMATCH, .text = "want mx.example.org" },
	{ "the mail domain's name is refused (H04)", "n-domain root",
	    .ca = "root", .result = HOST_MISMATCH },
	{ "a name in the CN is refused (H04)", "cn root", .ca = "root",
	    .result = HOST_MISMATCH },
	{ "a name in the CN beside other kinds is refused (H04)",
	    "cn-mail root", .ca = "root", .result = HOST_MISMATCH },
	{ "a NUL in a name is refused (H04 N09)", "n-nul root", .ca = "root",
	    .result = HOST_MISMATCH },
	{ "an expired leaf is refused (H04)", "expired int root", .ca = "root",
	    .result = EXPIRED },
	{ "a leaf of tomorrow is refused (H04)", "future int root",
	    .ca = "root", .result = EXPIRED },
	{ "an expired intermediate is refused (H04)", "leaf int-expired root",
	    .ca = "root", .result = EXPIRED },
	{ "an expired CA is refused (H04)", "leaf int", .ca = "root-expired",
	    .result = EXPIRED },
	{ "a CA that is not in the file is refused (H04)", "leaf int root",
	    .ca = "other", .result = NOT_TRUSTED, .text = "no path leads" },
	{ "a CA of the same name is refused (H04)", "leaf int root",
	    .ca = "fake-root", .result = NOT_TRUSTED },
	{ "a missing intermediate is refused (H04)", "leaf", .ca = "root",
	    .result = NOT_TRUSTED },
	{ "a self-signed leaf is refused (H04)", "self-named", .ca = "root",
	    .result = NOT_TRUSTED },
	{ "a leaf that is in the file itself is refused (H04)", "self-named",
	    .ca = "self-named", .result = NOT_TRUSTED },
	{ "a forged leaf is refused (H04)", "forged int root", .ca = "root",
	    .result = NOT_TRUSTED },
	{ "a forged intermediate is refused (H04)", "leaf int-forged root",
	    .ca = "root", .result = NOT_TRUSTED },
	{ "an intermediate that is no CA is refused (H04)",
	    "leaf int-notca root", .ca = "root", .result = NOT_TRUSTED },
	{ "a certificate for clients is refused (H04)", "client int root",
	    .ca = "root", .result = NOT_TRUSTED },
	{ "names that the CA may not certify are refused (H04)",
	    "leaf int root-net", .ca = "root-net", .result = NOT_TRUSTED },
	{ "a weak CA is refused (H04 S10)", "leaf-weak int-weak", .ca = "root",
	    .result = NOT_TRUSTED },
	{ "garbage is refused (H04)", "garbage", .ca = "root",
	    .result = NOT_TRUSTED },
	{ "a file without a CA is refused (H04)", "leaf int root", .ca = "",
	    .result = FAILURE, .text = "want certificates in PEM" },
};

static void
make(struct trial *c, const struct vector *v)
{
	trial_make(c, v);
	assert_int_equal(fchmod(c->ca_fd, 0600), 0);
	c->host.ca_file = c->ca_file;
	c->o.ca_file = NULL;
}

static int
judge(struct trial *c, struct danevirke_verdict *v)
{
	memset(v, 0xa5, sizeof *v);
	v->size = sizeof *v;
	return danevirke_v1.verify(&c->host, &c->chain, &c->o, v);
}

static void
test_vector(void **state)
{
	const struct vector *x = *state;
	struct danevirke_verdict v;
	struct trial c;
	int code;

	make(&c, x);
	code = judge(&c, &v);
	if (x->result == DANEVIRKE_RESULT_NONE) {
		if (code != DANEVIRKE_OK)
			print_error("%s\n", v.text);
		assert_int_equal(code, DANEVIRKE_OK);
		assert_int_equal(v.verified, 1);
		assert_int_equal(v.depth, x->depth);
		assert_int_equal(v.index, -1);
		assert_int_equal(v.usage, -1);
		assert_int_equal(v.result, DANEVIRKE_RESULT_NONE);
		assert_non_null(strstr(v.text, c.ca_file));
	} else {
		if (v.result != x->result)
			print_error("%s\n", v.text);
		assert_int_equal(code, DANEVIRKE_EVERIFY);
		assert_int_equal(v.verified, 0);
		assert_int_equal(v.depth, -1);
		assert_int_equal(v.result, x->result);
		assert_true(x->text == NULL || strstr(v.text, x->text));
	}
	trial_free(&c);
}

static const struct vector good = { "good", "leaf int root", .ca = "root",
	.depth = 2 };

/* P05: where there are records that count, nothing else does. */
static void
test_both(void **state)
{
	static const struct vector both = { "both", "leaf int root",
		"3 1 1 other", .ca = "root" };
	struct danevirke_verdict v;
	struct trial c;

	(void)state;
	make(&c, &both);
	assert_int_equal(judge(&c, &v), DANEVIRKE_EINVAL);
	assert_int_equal(v.verified, 0);
	c.tlsa[0].use = 0; /* insecure ones do not */
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	trial_free(&c);
}

/* Who knows an older header asks no less. */
static void
test_older(void **state)
{
	struct danevirke_verdict v;
	struct trial c;

	(void)state;
	make(&c, &good);
	c.host.size = offsetof(struct danevirke_host, ca_file);
	assert_int_equal(judge(&c, &v), DANEVIRKE_EVERIFY);
	assert_int_equal(v.result, DANEVIRKE_TLSA_INVALID);
	trial_free(&c);
}

static void
test_unreadable(void **state)
{
	static const char *const path[] = { "/nonexistent/cas.pem", "/" };
	struct danevirke_verdict v;
	struct trial c;
	size_t i;

	(void)state;
	make(&c, &good);
	for (i = 0; i < 2; i++) {
		c.host.ca_file = path[i];
		assert_int_equal(judge(&c, &v), DANEVIRKE_EVERIFY);
		assert_non_null(strstr(v.text, path[i]));
	}
	c.host.ca_file = c.ca_file;
	assert_int_equal(fchmod(c.ca_fd, 0666), 0); /* anybody's */
	assert_int_equal(judge(&c, &v), DANEVIRKE_EVERIFY);
	assert_int_equal(fchmod(c.ca_fd, 0600), 0);
	assert_int_equal(judge(&c, &v), DANEVIRKE_OK);
	trial_free(&c);
}

static void
verify_kept(struct trial *c, struct cas *kept, int want)
{
	struct danevirke_verdict v = { .size = sizeof v, .index = -1 };

	assert_int_equal(
	    cas_verify(&c->host, &c->chain, &c->o, kept, &v), want);
}

static void
replace(const char *path, const char *with)
{
	char tmp[128], text[65536];
	size_t n;
	FILE *f;

	snprintf(tmp, sizeof tmp, "%s.new", path);
	assert_non_null(f = fopen(with, "r"));
	n = fread(text, 1, sizeof text, f);
	fclose(f);
	assert_non_null(f = fopen(tmp, "w"));
	assert_int_equal(fwrite(text, 1, n, f), n);
	fclose(f);
	assert_int_equal(chmod(tmp, 0600), 0);
	assert_int_equal(rename(tmp, path), 0);
}

/* Once for all calls, and again when another file is there. */
static void
test_kept(void **state)
{
	static const struct vector stranger = { "stranger", "leaf int root",
		.ca = "other" };
	struct trial c, d;
	struct cas kept = { .path = NULL };
	const struct danevirke_cert *certs;
	char path[64];

	(void)state;
	make(&c, &good);
	make(&d, &stranger);
	snprintf(path, sizeof path, "/tmp/danevirke-cas.%ld", (long)getpid());
	replace(path, c.ca_file);
	c.host.ca_file = path;
	verify_kept(&c, &kept, DANEVIRKE_OK);
	assert_int_equal(kept.n, 1);
	certs = kept.certs;
	verify_kept(&c, &kept, DANEVIRKE_OK);
	assert_ptr_equal(kept.certs, certs); /* not read again */
	replace(path, d.ca_file);
	verify_kept(&c, &kept, DANEVIRKE_EVERIFY);
	replace(path, c.ca_file);
	verify_kept(&c, &kept, DANEVIRKE_OK);
	c.host.ca_file = d.ca_file; /* another file, another list */
	verify_kept(&c, &kept, DANEVIRKE_EVERIFY);
	c.host.ca_file = path;
	unlink(path); /* what was, is not any more */
	verify_kept(&c, &kept, DANEVIRKE_EVERIFY);
	assert_int_equal(kept.n, 0);
	cas_free(&kept);
	trial_free(&c);
	trial_free(&d);
}

static int
all_begin(void **state)
{
	(void)state;
	return certs_make();
}

static int
all_end(void **state)
{
	(void)state;
	certs_free();
	return 0;
}

int
main(void)
{
	const size_t n = sizeof vectors / sizeof *vectors;
	struct CMUnitTest all[sizeof vectors / sizeof *vectors + 4] = {
		TEST(test_both,
		    "TLSA records that count are not passed over "
		    "(P05)"),
		TEST(
		    test_older, "a caller of an older header is refused (H04)"),
		TEST(test_unreadable,
		    "a file that cannot be read, or trusted, is none (H04)"),
		TEST(test_kept,
		    "CAs are read once, and when they change "
		    "(H04)"),
	};
	size_t i;

	for (i = 0; i < n; i++)
		all[4 + i] = (struct CMUnitTest){ vectors[i].name, test_vector,
			NULL, NULL, (void *)(uintptr_t)&vectors[i] };
	return _cmocka_run_group_tests("cas", all, 4 + n, all_begin, all_end);
}

/* SPDX-License-Identifier: ISC */
/* verdict.c: what the relay reports of each session (K02). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/relay.h"

#include <cmocka.h>

#include "title.h"

static struct {
	unsigned n;
	const struct danevirke_host *host;
	enum danevirke_result result;
	int tls;
	char from[64], address[64], helo[300], text[300];
} seen;

static int
fake_report(const struct danevirke_answer *a, const struct danevirke_host *h,
    const struct danevirke_session *s)
{
	assert_string_equal(a->domain, "example.org");
	assert_int_equal(s->size, sizeof *s);
	seen.n++;
	seen.host = h;
	seen.result = s->result;
	seen.tls = s->tls;
	snprintf(
	    seen.from, sizeof seen.from, "%s", s->from != NULL ? s->from : "-");
	snprintf(seen.address, sizeof seen.address, "%s",
	    s->address != NULL ? s->address : "-");
	snprintf(
	    seen.helo, sizeof seen.helo, "%s", s->helo != NULL ? s->helo : "-");
	snprintf(
	    seen.text, sizeof seen.text, "%s", s->text != NULL ? s->text : "-");
	return DANEVIRKE_EDNS; /* of no concern (K03) */
}

static const char *
fake_word(const struct danevirke_answer *a, const struct danevirke_host *h,
    int tls, int verified)
{
	(void)a;
	(void)h;
	(void)verified;
	return tls ? "encrypt" : "clear";
}

static void
fake_beside(const struct danevirke_answer *a, const struct danevirke_host *h,
    int tls, int verified, char *buf, size_t len)
{
	(void)a;
	(void)h;
	(void)tls;
	(void)verified;
	assert_true(len > 0);
	*buf = '\0';
}

static const struct danevirke_api api = {
	.report = fake_report, .log_word = fake_word, .log_beside = fake_beside
};
static const struct danevirke_answer answer = { .domain = "example.org",
	.reason = "because" };
static const struct danevirke_addr addr = { .text = "192.0.2.25" };
static const char *const ehlo[] = { "mx.example.org greets you", "PIPELINING" };

/* How far it came. */
static struct starttls_result
came(bool tls)
{
	return (struct starttls_result){ .tls = tls,
		.tls_version = "TLS1.3",
		.tls_cipher = "X",
		.ehlo = ehlo,
		.n_ehlo = 2,
		.own = "198.51.100.1" };
}

static void
success(bool tls, enum danevirke_action would, int verified, const char *why)
{
	static struct danevirke_host h;
	char say[DIALED_VERDICT];
	struct hub hub = { .dv = &api };
	struct starttls_result r = came(tls);
	struct danevirke_verdict v = { .size = sizeof v,
		.verified = verified,
		.index = -1,
		.text = "expired" };

	if (would == DANEVIRKE_AUTHENTICATE && !verified)
		v.result = DANEVIRKE_CERTIFICATE_EXPIRED;

	h = (struct danevirke_host){ .name = "mx.example.org",
		.reason = "because",
		.action = DANEVIRKE_OPPORTUNISTIC,
		.would = would };
	memset(&seen, 0, sizeof seen);
	verdict_success(&hub, &answer, &h, &addr, &r, &v, why, say);
	assert_int_equal(seen.n, 1);
	assert_ptr_equal(seen.host, &h);
	assert_string_equal(seen.address, "192.0.2.25");
	assert_string_equal(seen.helo, "mx.example.org");
	assert_string_equal(seen.from, "198.51.100.1");
	assert_int_equal(seen.tls, tls);
}

static void
test_success(void **state)
{
	(void)state;
	success(true, DANEVIRKE_OPPORTUNISTIC, 0, NULL);
	assert_int_equal(seen.result, DANEVIRKE_RESULT_NONE);
	success(true, DANEVIRKE_AUTHENTICATE, 1, NULL);
	assert_int_equal(seen.result, DANEVIRKE_RESULT_NONE);
	success(true, DANEVIRKE_ENCRYPT, 0, NULL);
	assert_int_equal(seen.result, DANEVIRKE_RESULT_NONE);
}

static void
test_used_all_the_same(void **state)
{
	(void)state;
	success(false, DANEVIRKE_OPPORTUNISTIC, 0, NULL);
	assert_int_equal(seen.result, DANEVIRKE_RESULT_NONE);
	success(false, DANEVIRKE_OPPORTUNISTIC, 0, "handshake failed");
	assert_int_equal(seen.result, DANEVIRKE_VALIDATION_FAILURE);
	assert_string_equal(seen.text, "handshake failed");
	success(true, DANEVIRKE_AUTHENTICATE, 0, NULL); /* P02 */
	assert_int_equal(seen.result, DANEVIRKE_CERTIFICATE_EXPIRED);
	assert_string_equal(seen.text, "expired");
}

static void
test_failure(void **state)
{
	struct danevirke_host h = { .name = "mx.example.org" };
	struct hub hub = { .dv = &api };
	struct starttls_result r = came(true);

	(void)state;
	memset(&seen, 0, sizeof seen);
	verdict_failure(
	    &hub, &answer, &h, &addr, &r, DANEVIRKE_RESULT_NONE, "no route");
	assert_int_equal(seen.n, 0); /* not TLS's trouble */
	verdict_failure(
	    &hub, &answer, &h, &addr, &r, DANEVIRKE_VALIDATION_FAILURE, "why");
	assert_int_equal(seen.n, 1);
	assert_int_equal(seen.tls, 1);
	assert_string_equal(seen.from, "198.51.100.1");
	assert_string_equal(seen.helo, "mx.example.org");
	assert_int_equal(seen.result, DANEVIRKE_VALIDATION_FAILURE);
	assert_string_equal(seen.address, "192.0.2.25");
	verdict_failure(
	    &hub, &answer, NULL, NULL, NULL, DANEVIRKE_DNSSEC_INVALID, "bogus");
	assert_null(seen.host);
	assert_string_equal(seen.address, "-");
	assert_string_equal(seen.text, "bogus");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_success, "a session with TLS is a success (K02)"),
		TEST(test_used_all_the_same,
		    "used all the same, it may be a failure (K02)"),
		TEST(test_failure,
		    "a session that failed has its result type (K02)"),
	};

	return cmocka_run_group_tests_name("verdict", tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* tlsrpt.c (K01-K03): TXT records as zones may have them; and what a collector
 * gets, where the module is built with libtlsrpt. */
#include <sys/socket.h>
#include <sys/un.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "module.h"

#include <cmocka.h>

#include "title.h"

#define GOOD "v=TLSRPTv1; rua=mailto:tls@example.org"

static char dir[] = "/tmp/danevirke-tlsrpt.XXXXXX", path[64];
static char got[65536];

/* ---------------------------------------------------------------- record */

/* Texts, each a TXT record of one string; the last is NULL. */
static const char *
record(struct arena *a, enum danevirke_dnssec state, const char *const *text)
{
	static uint8_t data[4][256];
	struct dns_rr rr[4];
	struct dns_result r = { .state = state, .rr = rr };

	for (; text[r.n_rr] != NULL; r.n_rr++) {
		data[r.n_rr][0] = (uint8_t)strlen(text[r.n_rr]);
		memcpy(data[r.n_rr] + 1, text[r.n_rr], data[r.n_rr][0]);
		rr[r.n_rr] = (struct dns_rr){ data[r.n_rr],
			data[r.n_rr][0] + (size_t)1 };
	}
	return tlsrpt_record(a, &r);
}

static void
test_record(void **state)
{
	static const char *const good[] = { GOOD,
		"v=TLSRPTv1;rua=https://r.example/v1",
		"v=TLSRPTv1 ;  x=y; rua=mailto:a@b.example,https://c.example" };
	struct arena a = { NULL };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof *good; i++) {
		const char *const one[] = { "other", good[i],
			"v=TLSRPTv10; rua=mailto:a@b.example", NULL };
		const char *r = record(&a, DANEVIRKE_INSECURE, one);

		assert_non_null(r);
		assert_string_equal(r, good[i]);
	}
	arena_free(&a);
}

static void
test_pieces(void **state)
{
	static const uint8_t data[] = "\x0cv=TLSRPTv1; \x00\x0erua=mailto:a@b";
	struct dns_rr rr = { data, sizeof data - 1 };
	struct dns_result r = {
		.state = DANEVIRKE_SECURE, .rr = &rr, .n_rr = 1
	};
	struct arena a = { NULL };

	(void)state;
	assert_string_equal(
	    tlsrpt_record(&a, &r), "v=TLSRPTv1; rua=mailto:a@b");
	rr.len--; /* the last string is cut short */
	assert_null(tlsrpt_record(&a, &r));
	arena_free(&a);
}

static void
test_no_record(void **state)
{
	static const char *const bad[] = { "", "v=TLSRPTv1", "v=TLSRPTv1;",
		"v=TLSRPTv1; rua=ftp://a", "v=TLSRPTv10; rua=mailto:a@b",
		"v=TLSRPTv1 rua=mailto:a@b", (" " GOOD),
		"V=tlsrptv1; rua=mailto:", "v=TLSRPTv1; rua=mailto:a@b\n",
		"rua=mailto:a@b; v=TLSRPTv1;" };
	static const char *const one[] = { GOOD, NULL };
	static const char *const two[] = { GOOD, GOOD, NULL };
	struct dns_result none = { .state = DANEVIRKE_SECURE };
	static uint8_t long_text[TLSRPT_RECORD + 1] = { sizeof GOOD - 1 };
	struct dns_rr rr;
	struct dns_result many = {
		.state = DANEVIRKE_INSECURE, .rr = &rr, .n_rr = 1
	};
	struct arena a = { NULL };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *const text[] = { bad[i], NULL };

		assert_null(record(&a, DANEVIRKE_SECURE, text));
	}
	assert_non_null(record(&a, DANEVIRKE_SECURE, one));
	assert_null(record(&a, DANEVIRKE_SECURE, two));
	rr.data = long_text; /* by one octet too long, and not */
	memcpy(long_text + 1, GOOD, sizeof GOOD - 1);
	rr.len = TLSRPT_RECORD + 1;
	assert_null(tlsrpt_record(&a, &many));
	rr.len--;
	assert_non_null(tlsrpt_record(&a, &many));
	assert_null(record(&a, DANEVIRKE_ERROR, one));
	assert_null(tlsrpt_record(&a, NULL));
	assert_null(tlsrpt_record(&a, &none));
	arena_free(&a);
}

/* ---------------------------------------------------------------- report */

static const uint8_t digest[] = { 0xab, 0xcd, 0x01 };
static const struct danevirke_tlsa tlsa[] = { { .usage = 3,
    .selector = 1,
    .matching = 1,
    .usable = 1,
    .use = 1,
    .data = digest,
    .len = sizeof digest } };
static const char *const patterns[] = { "mx.example.org", "*.example.org" };

static struct danevirke_answer
answer(void)
{
	return (
	    struct danevirke_answer){ .size = sizeof(struct danevirke_answer),
		.domain = "example.org",
		.tlsrpt_record = GOOD,
		.tlsrpt_socket = path };
}

static struct danevirke_host
host(void)
{
	return (struct danevirke_host){ .size = sizeof(struct danevirke_host),
		.name = "mx.example.org",
		.action = DANEVIRKE_OPPORTUNISTIC,
		.would = DANEVIRKE_OPPORTUNISTIC };
}

static struct danevirke_session
session(enum danevirke_result result)
{
	return (
	    struct danevirke_session){ .size = sizeof(struct danevirke_session),
		.result = result,
		.tls = 1,
		.from = "198.51.100.1",
		.address = "192.0.2.25",
		.helo = "mx\".example",
		.text = "why" };
}

/* A collector that listens at path. */
static int
collector(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	unlink(path);
	strcpy(at.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	return fd;
}

/* The one datagram that came of it; "": none. */
static const char *
sent(const struct danevirke_answer *a, const struct danevirke_host *h,
    const struct danevirke_session *s)
{
	int fd = collector();
	ssize_t n;

	assert_int_equal(tlsrpt_report(a, h, s), DANEVIRKE_OK);
	n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
	got[n > 0 ? n : 0] = '\0';
	assert_int_equal(recv(fd, got, 1, MSG_DONTWAIT | MSG_PEEK), -1);
	close(fd);
	return got;
}

static void
test_tlsa(void **state)
{
	struct danevirke_session s = session(DANEVIRKE_RESULT_NONE);
	struct danevirke_answer a = answer();
	struct danevirke_host h = host();

	(void)state;
	h.would = h.action = DANEVIRKE_AUTHENTICATE;
	h.base = "base.example.org";
	h.tlsa = tlsa;
	h.n_tlsa = 1;
	assert_non_null(strstr(sent(&a, &h, &s),
	    "\"d\": \"example.org\",\"pr\": \"" GOOD "\","
	    "\"policies\":[{\"policy-type\":1,\"policy-domain\": "
	    "\"base.example.org\",\"policy-string\":[\"3 1 1 abcd01\"],"
	    "\"t\":0,\"f\":0}]}"));
	s.result = DANEVIRKE_CERTIFICATE_EXPIRED;
	assert_non_null(strstr(sent(&a, &h, &s),
	    "\"failure-details\":[{\"c\":204,\"s\": \"198.51.100.1\",\"n\": "
	    "\"mx.example.org\",\"h\": \"mx\\\".example\",\"r\": "
	    "\"192.0.2.25\",\"f\": \"why\"}],\"t\":1,\"f\":1}]}"));
}

static void
test_types(void **state)
{
	struct danevirke_session s = session(DANEVIRKE_RESULT_NONE);
	struct danevirke_answer a = answer();
	struct danevirke_host h = host();

	(void)state;
	assert_non_null(strstr(sent(&a, &h, &s),
	    "\"policy-type\":9,\"policy-domain\": \"example.org\","
	    "\"t\":0,\"f\":0}]}"));
	a.mta_sts = DANEVIRKE_MTA_STS_POLICY;
	a.mta_sts_mx = patterns;
	a.n_mta_sts_mx = 2;
	assert_non_null(strstr(sent(&a, &h, &s),
	    "\"policy-type\":2,\"policy-domain\": \"example.org\","
	    "\"mx-host\":[\"mx.example.org\",\"*.example.org\"],"));
	/* DANE decides of a host beside it, also where it fails */
	h.result = s.result = DANEVIRKE_DNSSEC_INVALID;
	assert_non_null(strstr(sent(&a, &h, &s),
	    "\"policy-type\":1,\"policy-domain\": \"mx.example.org\","
	    "\"failure-details\":[{\"c\":305,"));
	h.result = s.result = DANEVIRKE_STS_POLICY_FETCH_ERROR;
	assert_non_null(strstr(sent(&a, &h, &s), "\"policy-type\":2,"));
	/* of no host */
	a.result = s.result = DANEVIRKE_DNSSEC_INVALID;
	s.from = s.address = s.helo = NULL;
	assert_non_null(strstr(sent(&a, NULL, &s),
	    "\"policy-type\":1,\"policy-domain\": \"example.org\","
	    "\"failure-details\":[{\"c\":305,\"f\": \"why\"}]"));
}

/* Used all the same, it is a failure: RFC 8460 4.3.1, P02. */
static void
test_in_the_clear(void **state)
{
	struct danevirke_session s = session(DANEVIRKE_RESULT_NONE);
	struct danevirke_answer a = answer();
	struct danevirke_host h = host();

	(void)state;
	s.tls = 0;
	assert_non_null(strstr(sent(&a, &h, &s), "[{\"c\":201,"));
	s.result = DANEVIRKE_VALIDATION_FAILURE;
	s.helo = "mx\xff\x01";
	assert_non_null(strstr(sent(&a, &h, &s), "[{\"c\":205,"));
	assert_non_null(strstr(got, "\"h\": \"mx??\","));
	s.tls = 1;
	s.result = DANEVIRKE_RESULT_NONE;
	h.would = DANEVIRKE_HOST_DEFER; /* level audit */
	h.result = DANEVIRKE_DNSSEC_INVALID;
	h.reason = "TLSA lookup failed";
	assert_non_null(strstr(sent(&a, &h, &s), "[{\"c\":305,"));
	assert_non_null(strstr(got, "\"f\": \"TLSA lookup failed\"}]"));
}

/* Three hosts, none of which may be used: two policies. */
static void
test_no_host(void **state)
{
	struct danevirke_host h[] = { host(), host(), host(), host() };
	const struct danevirke_host *hosts[] = { &h[0], &h[1], &h[2], &h[3] };
	struct danevirke_session s = session(DANEVIRKE_DNSSEC_INVALID);
	struct danevirke_answer a = answer();
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		h[i].action = h[i].would = DANEVIRKE_HOST_DEFER;
		h[i].reason = "because";
	}
	h[0].result = DANEVIRKE_STS_POLICY_FETCH_ERROR;
	h[1].result = DANEVIRKE_DNSSEC_INVALID;
	h[2].result = DANEVIRKE_RESULT_NONE; /* no address */
	h[3].result = DANEVIRKE_STS_POLICY_FETCH_ERROR;
	h[3].name = "mx4.example.org";
	a.hosts = hosts;
	a.n_hosts = 4;
	assert_non_null(strstr(sent(&a, NULL, &s),
	    "\"policies\":[{\"policy-type\":1,\"policy-domain\": "
	    "\"mx.example.org\",\"failure-details\":[{\"c\":305,\"n\": "
	    "\"mx.example.org\",\"f\": \"because\"}],\"t\":1,\"f\":1},"
	    "{\"policy-type\":2,\"policy-domain\": \"example.org\","
	    "\"failure-details\":[{\"c\":301,\"n\": \"mx.example.org\","
	    "\"f\": \"because\"},{\"c\":301,\"n\": \"mx4.example.org\","
	    "\"f\": \"because\"}],\"t\":2,\"f\":1}]}"));
}

static void
test_not_owed(void **state)
{
	struct danevirke_session s = session(DANEVIRKE_RESULT_NONE);
	struct danevirke_answer a = answer();
	struct danevirke_host h = host();

	(void)state;
	assert_string_not_equal(sent(&a, &h, &s), "");
	assert_string_equal(sent(&a, NULL, &s), ""); /* nothing failed */
	a.tlsrpt_record = NULL;
	assert_string_equal(sent(&a, &h, &s), "");
	s.size -= 8;
	assert_int_equal(danevirke_v1.report(&a, &h, &s), DANEVIRKE_EINVAL);
	s.size = 0;
	assert_int_equal(danevirke_v1.report(&a, &h, &s), DANEVIRKE_EINVAL);
	assert_int_equal(danevirke_v1.report(&a, &h, NULL), DANEVIRKE_EINVAL);
	s.size = sizeof s;
	assert_int_equal(danevirke_v1.report(NULL, &h, &s), DANEVIRKE_EINVAL);
	assert_int_equal(danevirke_v1.report(&a, &h, &s), DANEVIRKE_OK);
}

static void
test_away(void **state)
{
	struct danevirke_session s = session(DANEVIRKE_RESULT_NONE);
	struct danevirke_answer a = answer();
	struct danevirke_host h = host();
	int fd = collector(), i, first;

	(void)state;
	alarm(10); /* nothing here waits */
	for (i = 0; i < 10000 && tlsrpt_report(&a, &h, &s) == 0; i++)
		;
	assert_true(i > 0 && i < 10000); /* full */
	first = dup(fd);
	close(first);
	close(fd);
	assert_int_not_equal(tlsrpt_report(&a, &h, &s), 0); /* nobody there */
	unlink(path);
	assert_int_not_equal(tlsrpt_report(&a, &h, &s), 0);
	first = dup(0); /* and no descriptor is left */
	for (i = 0; i < 100; i++)
		tlsrpt_report(&a, &h, &s);
	assert_int_equal(fd = dup(0), first + 1);
	close(fd);
	close(first);
	alarm(0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(
		    test_record, "a TLSRPT record is found among others (K01)"),
		TEST(test_pieces, "a TLSRPT record in several strings is one"),
		TEST(test_no_record,
		    "no TLSRPT record, or two: nothing is asked for (K01)"),
		TEST(test_tlsa,
		    "DANE: reported with base domain and records (K02)"),
		TEST(test_types,
		    "reported by the policy that was applied (K02)"),
		TEST(test_in_the_clear,
		    "used all the same, a session may have failed (K02)"),
		TEST(test_no_host,
		    "hosts that may not be used: by each policy (K02)"),
		TEST(test_not_owed,
		    "without a TLSRPT record nothing is sent (K01)"),
		TEST(test_away,
		    "a collector away or full costs the report (K03)"),
	};
	struct CMUnitTest records[3];
	int rc;

	if (!tlsrpt_built()) {
		printf("# no reports: built without libtlsrpt\n");
		memcpy(records, tests, sizeof records);
		return cmocka_run_group_tests_name(
		    "tlsrpt", records, NULL, NULL);
	}
	if (mkdtemp(dir) == NULL)
		return 99;
	snprintf(path, sizeof path, "%s/s", dir);
	rc = cmocka_run_group_tests_name("tlsrpt", tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return rc;
}

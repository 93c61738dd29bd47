/* SPDX-License-Identifier: ISC */
/* answer.c: one block, there and back, and bytes nobody should trust. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>

#include "title.h"

static const uint8_t digest[32] = { 1, 2, 3 };
static const char *const names[] = { "mx1.example.org", "example.org" };
static const struct danevirke_addr addrs[] = {
	{ 6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, "2001:db8::1" },
	{ 4, { 192, 0, 2, 1 }, "192.0.2.1" },
};
static const struct danevirke_tlsa tlsa[] = {
	{ 3, 1, 1, 1, 1, digest, sizeof digest, NULL },
	{ 0, 1, 1, 0, 0, digest, sizeof digest, "usage 0" },
	{ 3, 1, 1, 0, 0, NULL, 0, "malformed" },
};
static const uint8_t octets[] = { 3, 3, 2 };
static const struct danevirke_host hosts[] = {
	{ .size = sizeof(struct danevirke_host),
	    .name = "mx1.example.org",
	    .preference = 10,
	    .port = 25,
	    .action = DANEVIRKE_AUTHENTICATE,
	    .would = DANEVIRKE_AUTHENTICATE,
	    .state = DANEVIRKE_SECURE,
	    .base = "mx1.example.org",
	    .names = names,
	    .n_names = 2,
	    .addrs = addrs,
	    .n_addrs = 2,
	    .tlsa = tlsa,
	    .n_tlsa = 3,
	    .tlsa_state = DANEVIRKE_SECURE,
	    .tlsa_octets = octets,
	    .reason = "1 usable of 3",
	    .target = "mail.example.net",
	    .alias_state = DANEVIRKE_SECURE },
	{ .size = sizeof(struct danevirke_host),
	    .name = "mx2.example.org",
	    .port = 25,
	    .reason = "no address" },
};
static const struct danevirke_host *const list[] = { &hosts[0], &hosts[1] };
static const struct danevirke_answer sample = {
	.size = sizeof sample,
	.outcome = DANEVIRKE_ROUTE,
	.would = DANEVIRKE_ROUTE,
	.state = DANEVIRKE_SECURE,
	.ttl = 300,
	.domain = "example.org",
	.final = "example.org",
	.profile = "default",
	.tls_priority = "NORMAL",
	.reason = "1 of 2 hosts usable",
	.hosts = list,
	.n_hosts = 2,
};

static void
same(const struct danevirke_answer *a)
{
	const struct danevirke_host *h;

	assert_string_equal(a->domain, "example.org");
	assert_string_equal(a->reason, sample.reason);
	assert_string_equal(a->tls_priority, "NORMAL");
	assert_null(a->exception);
	assert_int_equal(a->n_hosts, 2);
	h = a->hosts[0];
	assert_string_equal(h->name, "mx1.example.org");
	assert_string_equal(h->base, "mx1.example.org");
	assert_int_equal(h->n_names, 2);
	assert_string_equal(h->names[1], "example.org");
	assert_int_equal(h->n_addrs, 2);
	assert_string_equal(h->addrs[1].text, "192.0.2.1");
	assert_int_equal(h->n_tlsa, 3);
	assert_string_equal(h->target, "mail.example.net");
	assert_true(h->alias_state == DANEVIRKE_SECURE);
	assert_null(a->hosts[1]->target);
	assert_memory_equal(h->tlsa[0].data, digest, 32);
	assert_null(h->tlsa[0].why);
	assert_string_equal(h->tlsa[1].why, "usage 0");
	assert_null(h->tlsa[2].data);
	assert_null(a->hosts[1]->base);
	assert_string_equal(a->hosts[1]->reason, "no address");
}

static char *
packed(size_t *len)
{
	char *buf;

	*len = answer_pack(&sample, NULL, 0);
	assert_non_null(buf = malloc(*len));
	assert_int_equal(answer_pack(&sample, buf, *len), *len);
	return buf;
}

static void
test_make(void **state)
{
	struct danevirke_answer *a = answer_make(&sample);

	(void)state;
	assert_non_null(a);
	same(a);
	free(a);
}

static void
test_pack(void **state)
{
	const struct danevirke_answer *a;
	struct danevirke_error err;
	char *buf, *odd;
	size_t len;

	(void)state;
	buf = packed(&len);
	assert_int_equal(answer_pack(&sample, buf, len - 1), len);
	assert_non_null(odd = malloc(len + 1)); /* any alignment will do */
	memcpy(odd + 1, buf, len);
	assert_non_null(a = answer_unpack(odd + 1, len, &err));
	same(a);
	free((void *)(uintptr_t)a);
	free(odd);
	free(buf);
}

static void
test_short(void **state)
{
	struct danevirke_error err;
	char *buf, *part;
	size_t len, i;

	(void)state;
	assert_null(answer_unpack(NULL, 100, &err));
	buf = packed(&len);
	for (i = 0; i < len; i++) {
		assert_non_null(part = malloc(i + 1));
		memcpy(part, buf, i);
		assert_null(answer_unpack(part, i, &err));
		assert_int_equal(err.code, DANEVIRKE_EFORMAT);
		free(part);
	}
	free(buf);
}

/* Reads all there is to read: a sanitizer sees what leads astray. */
static size_t
read_all(const struct danevirke_answer *a)
{
	size_t n = strlen(a->domain) + strlen(a->final) + strlen(a->reason) +
	    strlen(a->profile) + (a->exception ? strlen(a->exception) : 0);
	size_t i, j, k;

	for (i = 0; i < a->n_hosts; i++) {
		const struct danevirke_host *h = a->hosts[i];

		n += strlen(h->name) + strlen(h->reason) +
		    (h->base ? strlen(h->base) : 0);
		for (j = 0; j < h->n_names; j++)
			n += strlen(h->names[j]);
		for (j = 0; j < h->n_addrs; j++)
			n += strlen(h->addrs[j].text);
		for (j = 0; j < h->n_tlsa; j++) {
			for (k = 0; k < h->tlsa[j].len; k++)
				n += h->tlsa[j].data[k];
			n += h->tlsa[j].why ? strlen(h->tlsa[j].why) : 0;
		}
	}
	return n;
}

/* Every octet takes several values: refused, or sound to read. */
static void
test_mutated(void **state)
{
	static const uint8_t value[] = { 0, 1, 8, 16, 0x7f, 0x80, 0xff };
	const struct danevirke_answer *a;
	size_t len, i, v, read = 0, refused = 0;
	struct danevirke_error err;
	char *buf, old;

	(void)state;
	buf = packed(&len);
	for (i = 0; i < len; i++) {
		old = buf[i];
		for (v = 0; v < sizeof value; v++) {
			buf[i] = (char)value[v];
			if ((a = answer_unpack(buf, len, &err)) != NULL) {
				read += read_all(a);
				free((void *)(uintptr_t)a);
			} else
				refused++;
		}
		buf[i] = old;
	}
	assert_true(read > 0);
	assert_true(refused > 500);
	free(buf);
}

/* Parts must not overlap: a checked length could change under a pointer. */
static void
test_overlap(void **state)
{
	struct danevirke_error err;
	uintptr_t domain, final;
	char *buf;
	size_t len, head;

	(void)state;
	buf = packed(&len);
	head = len - answer_pack(&sample, NULL, 0) + 32;
	memcpy(&domain, buf + head + offsetof(struct danevirke_answer, domain),
	    sizeof domain);
	memcpy(&final, buf + head + offsetof(struct danevirke_answer, final),
	    sizeof final);
	assert_true(domain != 0 && final > domain && final < len);
	memcpy(buf + head + offsetof(struct danevirke_answer, final), &domain,
	    sizeof domain);
	assert_null(answer_unpack(buf, len, &err));
	assert_int_equal(err.code, DANEVIRKE_EFORMAT);
	free(buf);
}

/* Who must be authenticated has records, a base and names. */
static void
test_hollow(void **state)
{
	struct danevirke_host h = hosts[0];
	const struct danevirke_host *const one = &h;
	struct danevirke_answer a = sample;
	struct danevirke_error err;
	char buf[4096];
	size_t len;

	(void)state;
	h.base = NULL;
	a.hosts = &one;
	a.n_hosts = 1;
	len = answer_pack(&a, buf, sizeof buf);
	assert_true(len <= sizeof buf);
	assert_null(answer_unpack(buf, len, &err));
}

/* With MTA-STS a host has a file of CAs in place of records. */
static void
test_mta_sts(void **state)
{
	static const char *const mx[] = { "mx1.example.org", "*.example.org" };
	struct danevirke_host h = hosts[0];
	const struct danevirke_host *const one = &h;
	const struct danevirke_answer *got;
	struct danevirke_answer a = sample;
	struct danevirke_error err;
	char buf[4096];
	size_t len;

	(void)state;
	h.would = h.action = DANEVIRKE_AUTHENTICATE;
	h.n_tlsa = 0;
	h.tlsa_octets = NULL;
	h.ca_file = "/etc/cas.pem";
	h.mta_sts_listed = 1;
	a.hosts = &one;
	a.n_hosts = 1;
	a.mta_sts = DANEVIRKE_MTA_STS_POLICY;
	a.mta_sts_mx = mx;
	a.n_mta_sts_mx = 2;
	a.mta_sts_reason = "a policy";
	len = answer_pack(&a, buf, sizeof buf);
	assert_true(len <= sizeof buf);
	assert_non_null(got = answer_unpack(buf, len, &err));
	assert_string_equal(got->hosts[0]->ca_file, h.ca_file);
	assert_ptr_not_equal(got->hosts[0]->ca_file, h.ca_file);
	assert_int_equal(got->hosts[0]->mta_sts_listed, 1);
	assert_int_equal(got->mta_sts, DANEVIRKE_MTA_STS_POLICY);
	assert_string_equal(got->mta_sts_mx[1], mx[1]);
	assert_string_equal(got->mta_sts_reason, "a policy");
	free((void *)(uintptr_t)got);
	h.ca_file = NULL;
	len = answer_pack(&a, buf, sizeof buf);
	assert_null(answer_unpack(buf, len, &err));
}

/* Of two hosts neither stands in the other's place, nor one of them twice. */
static void
test_hosts(void **state)
{
	struct danevirke_error err;
	const struct danevirke_answer *a;
	uintptr_t at[2], array;
	char *buf, *in;
	size_t len, head;

	(void)state;
	buf = packed(&len);
	head = len - answer_pack(&sample, NULL, 0) + 32;
	memcpy(&array, buf + head + offsetof(struct danevirke_answer, hosts),
	    sizeof array);
	in = buf + head + array;
	memcpy(at, in, sizeof at);
	assert_true(at[0] > array && at[1] > at[0] && at[1] < len - head);
	memcpy(in + sizeof *at, &at[0], sizeof *at);
	assert_null(answer_unpack(buf, len, &err));
	assert_int_equal(err.code, DANEVIRKE_EFORMAT);
	memset(in + sizeof *at, 0, sizeof *at); /* none at all */
	assert_null(answer_unpack(buf, len, &err));
	memcpy(in, &at[1], sizeof *at);
	memcpy(in + sizeof *at, &at[0], sizeof *at);
	assert_null(answer_unpack(buf, len, &err));
	memcpy(in, at, sizeof at); /* as it was */
	assert_non_null(a = answer_unpack(buf, len, &err));
	same(a);
	free((void *)(uintptr_t)a);
	free(buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_make, "a copy of an answer says the same"),
		TEST(test_pack,
		    "a packed answer comes out the same, at any alignment"),
		TEST(test_short, "no shorter packet is an answer"),
		TEST(
		    test_mutated, "a wrong octet is refused, or sound to read"),
		TEST(test_overlap, "an answer whose parts overlap is refused"),
		TEST(test_hollow,
		    "a host to authenticate has a base, or is refused"),
		TEST(test_mta_sts,
		    "a host with a file of CAs needs no records (H04)"),
		TEST(
		    test_hosts, "no host stands in another's place, nor twice"),
	};

	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}

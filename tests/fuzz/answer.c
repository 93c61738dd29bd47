/* SPDX-License-Identifier: ISC */
/* Fuzz target: bytes from another process, made an answer and read whole. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "module.h"

static const uint8_t digest[32] = { 1, 2, 3 };
static const char *const names[] = { "mx1.example.org", "example.org" };
static const struct danevirke_addr addrs[] = {
	{ 6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, "2001:db8::1" },
	{ 4, { 192, 0, 2, 1 }, "192.0.2.1" },
};
/* The last one ends with its data, and a seed with that: what is read behind it
 * is behind the block. */
static const struct danevirke_tlsa tlsa[] = {
	{ 0, 1, 1, 0, 0, digest, sizeof digest, "usage 0" },
	{ 3, 1, 1, 0, 0, NULL, 0, "malformed" },
	{ 3, 1, 1, 1, 1, digest, sizeof digest, NULL },
};
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
	    .reason = "1 usable of 3" },
	{ .size = sizeof(struct danevirke_host),
	    .name = "mx2.example.org",
	    .port = 25,
	    .reason = "no address" },
};

static const struct danevirke_host *const list[] = { &hosts[0], &hosts[1] };

/* With two hosts, with one, with none. */
size_t
fuzz_seed(unsigned i, uint8_t *buf, size_t len)
{
	struct danevirke_answer a = { .size = sizeof a,
		.outcome = i < 2 ? DANEVIRKE_ROUTE : DANEVIRKE_NULL_MX,
		.would = i < 2 ? DANEVIRKE_ROUTE : DANEVIRKE_NULL_MX,
		.state = DANEVIRKE_SECURE,
		.ttl = 300,
		.domain = "example.org",
		.final = "example.org",
		.profile = "default",
		.exception = i < 2 ? "of a rule" : NULL,
		.tls_priority = i < 2 ? "NORMAL" : NULL,
		.reason = "1 of 2 hosts usable",
		.hosts = i < 2 ? list : NULL,
		.n_hosts = i < 2 ? 2 - i : 0 };

	if (i > 2)
		return 0;
	must(answer_pack(&a, NULL, 0) <= len, "room for a seed");
	return answer_pack(&a, buf, len);
}

static size_t
host_read(const struct danevirke_host *h)
{
	size_t sum = strlen(h->name) + strlen(h->reason), j, k;

	if (h->base != NULL)
		sum += strlen(h->base);
	for (j = 0; j < h->n_names; j++)
		sum += strlen(h->names[j]);
	for (j = 0; j < h->n_addrs; j++)
		sum += strlen(h->addrs[j].text);
	for (j = 0; j < h->n_tlsa; j++) {
		for (k = 0; k < h->tlsa[j].len; k++)
			sum += h->tlsa[j].data[k];
		must(h->tlsa[j].use == 1 || h->tlsa[j].why != NULL,
		    "not in use, and no why");
		if (h->tlsa[j].why != NULL)
			sum += strlen(h->tlsa[j].why);
	}
	return sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct danevirke_error err = { 0 };
	const struct danevirke_answer *a, *b;
	size_t sum = 0, i, need;
	char *again;

	if ((a = answer_unpack(data, len, &err)) == NULL) {
		must(err.code == DANEVIRKE_EFORMAT, "refused without why");
		return 0;
	}
	sum += strlen(a->domain) + strlen(a->final) + strlen(a->profile) +
	    strlen(a->reason);
	if (a->exception != NULL)
		sum += strlen(a->exception);
	if (a->tls_priority != NULL)
		sum += strlen(a->tls_priority);
	for (i = 0; i < a->n_hosts; i++)
		sum += host_read(a->hosts[i]);
	must(sum < SIZE_MAX, "all of it has been read");
	/* what was taken can be given again, and taken again */
	need = answer_pack(a, NULL, 0);
	must((again = malloc(need)) != NULL, "out of memory");
	must(answer_pack(a, again, need) == need, "length");
	must((b = answer_unpack(again, need, &err)) != NULL, err.text);
	free((void *)(uintptr_t)b);
	free(again);
	free((void *)(uintptr_t)a);
	fuzz_accepted++;
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: octets as the reply of a policy server, through
 * socketmap_take(), all at once and as far as they have come.
 */
#include <string.h>

#include "fuzz.h"
#include "module.h"

static void
check_text(const char *s)
{
	must(s != NULL, "no text");
	for (; *s != '\0'; s++)
		must(*s >= ' ' && *s <= '~', "unprintable text");
}

static void
check_result(const struct sts_result *r)
{
	size_t i;

	must(r->state >= DANEVIRKE_MTA_STS_ERROR &&
		r->state <= DANEVIRKE_MTA_STS_POLICY,
	    "a state that there is not");
	must((r->n_mx > 0) == (r->state == DANEVIRKE_MTA_STS_POLICY),
	    "names, and no policy");
	if (r->state == DANEVIRKE_MTA_STS_ERROR)
		check_text(r->why);
	for (i = 0; i < r->n_mx; i++) {
		check_text(r->mx[i]);
		must(strpbrk(r->mx[i], " :") == NULL, "more than a name");
	}
}

static bool
same(const struct sts_result *a, const struct sts_result *b)
{
	size_t i;

	if (a->state != b->state || a->n_mx != b->n_mx)
		return false;
	for (i = 0; i < a->n_mx; i++)
		if (strcmp(a->mx[i], b->mx[i]) != 0)
			return false;
	return true;
}

/* Octet by octet: what is said first stands, and a reply that is good is good
 * as soon as it is whole. */
static void
check_pieces(
    const char *data, size_t len, bool whole, const struct sts_result *all)
{
	struct arena a = { NULL };
	struct sts_result r;
	size_t n;

	for (n = 0; n < len; n++)
		if (socketmap_take(&a, data, n, &r))
			break;
	if (n == len) {
		arena_free(&a);
		return;
	}
	check_result(&r);
	must(whole, "more octets, and it is not whole any more");
	must(all->state == DANEVIRKE_MTA_STS_ERROR || same(&r, all),
	    "another result with more octets");
	arena_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *text = (const char *)data;
	struct arena a = { NULL };
	struct sts_result r;
	bool whole;

	if (len > 2 * SOCKETMAP_MAX)
		return 0;
	whole = socketmap_take(&a, text, len, &r);
	if (whole)
		check_result(&r);
	must(whole || len < SOCKETMAP_MAX, "never whole");
	fuzz_accepted += whole && r.state == DANEVIRKE_MTA_STS_POLICY;
	check_pieces(text, len, whole, &r);
	arena_free(&a);
	return 0;
}

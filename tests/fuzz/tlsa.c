/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: octets as a set of TLSA records, through tlsa_parse(),
 * tlsa_classify() and tlsa_text().  The first octet chooses the flags (bit 0)
 * and the list of digests (bits 1 to 3); then come records, each with its
 * length in two octets, the last one with what there is.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "module.h"

#define MAX 80

struct set {
	struct danevirke_tlsa t[MAX];
	uint8_t *rdata[MAX]; /* exactly as long as it is said to be */
	size_t len[MAX], n;
};

static const struct digests {
	uint8_t list[4];
	size_t n;
} digests[] = {
	{ { 2, 1 }, 2 },
	{ { 1, 2 }, 2 },
	{ { 1 }, 1 },
	{ { 2 }, 1 },
	{ { 0 }, 0 },
	{ { 2, 2, 1, 1 }, 4 },
	{ { 255, 3, 1, 2 }, 4 },
	{ { 0, 2, 1 }, 3 },
};

static void
set_read(struct set *s, const uint8_t *p, size_t len)
{
	size_t n;

	for (s->n = 0; s->n < MAX && len >= 2; s->n++) {
		n = (size_t)p[0] << 8 | p[1];
		p += 2;
		len -= 2;
		if (n > len)
			n = len;
		s->rdata[s->n] = malloc(n > 0 ? n : 1);
		must(s->rdata[s->n] != NULL, "out of memory");
		memcpy(s->rdata[s->n], p, n);
		s->len[s->n] = n;
		memset(&s->t[s->n], 0xff, sizeof s->t[s->n]);
		tlsa_parse(s->rdata[s->n], n, &s->t[s->n]);
		p += n;
		len -= n;
	}
}

/* Q06: every octet is in its place, whatever it says. */
static void
check_parse(const struct set *s, size_t i)
{
	const struct danevirke_tlsa *t = &s->t[i];
	const uint8_t *r = s->rdata[i];

	must(t->usable == 0 && t->use == 0 && t->why == NULL, "not zeroed");
	if (s->len[i] < 4) {
		must(t->data == NULL && t->len == 0, "data of a short one");
		return;
	}
	must(t->usage == r[0] && t->selector == r[1] && t->matching == r[2],
	    "another kind");
	must(t->data == r + 3 && t->len == s->len[i] - 3, "another data");
}

/* Strength: 0 is the most, n that it is not in the list. */
static size_t
place(const struct digests *d, uint8_t matching)
{
	size_t i;

	for (i = 0; i < d->n && d->list[i] != matching; i++)
		;
	return i;
}

/* What a usable record is (U01-U03). */
static void
check_usable(
    const struct danevirke_tlsa *t, uint32_t flags, const struct digests *d)
{
	const uint8_t *key;
	size_t len;

	must(t->data != NULL && t->usage <= 3 && t->selector <= 1 &&
		t->matching <= 2,
	    "unknown and usable");
	must(t->usage >= 2 || (flags & DANEVIRKE_PKIX_USAGES) != 0,
	    "usage 0 or 1");
	if (t->matching != 0) {
		must(t->len == 32 * (size_t)t->matching, "length");
		must(place(d, t->matching) < d->n, "not in the list");
	} else if (t->selector == 1)
		must(spki_check(t->data, t->len) == 0, "no key");
	else
		must(spki_find(t->data, t->len, &key, &len) == 0, "no cert");
}

/* A01-A03: in use, if and only if nothing usable of its kind is stronger. */
static void
check_use(
    const struct danevirke_tlsa *t, size_t n, size_t i, const struct digests *d)
{
	bool stronger = false;
	size_t j;

	for (j = 0; j < n; j++)
		if (t[j].usable && t[j].usage == t[i].usage &&
		    t[j].selector == t[i].selector && t[j].matching != 0 &&
		    t[i].matching != 0 &&
		    place(d, t[j].matching) < place(d, t[i].matching))
			stronger = true;
	must(t[i].use == (t[i].usable && !stronger), "agility");
	must((t[i].why == NULL) == (t[i].use == 1), "why");
}

static void
check_text(const struct danevirke_tlsa *t)
{
	char buf[64], small[16];
	size_t i, blanks = 0;

	memset(buf, '#', sizeof buf);
	tlsa_text(t, buf, sizeof buf);
	must(memchr(buf, '\0', sizeof buf) != NULL, "text without an end");
	for (i = 0; buf[i] != '\0'; i++) {
		must(buf[i] >= ' ' && buf[i] <= '~', "unprintable text");
		blanks += buf[i] == ' ';
	}
	must(blanks == 2, "not three words");
	tlsa_text(t, small, sizeof small);
	must(strncmp(small, buf, sizeof small - 1) == 0 &&
		strlen(small) < sizeof small,
	    "cut in another way");
}

/* The other way round, and without what is unusable: the same in use. */
static void
check_again(
    const struct set *s, uint32_t flags, const struct digests *d, size_t used)
{
	static struct danevirke_tlsa t[MAX];
	size_t i, n;

	for (i = 0; i < s->n; i++)
		t[i] = s->t[s->n - 1 - i];
	must(tlsa_classify(t, s->n, flags, d->list, d->n) == used, "order");
	for (i = 0; i < s->n; i++)
		must(t[i].use == s->t[s->n - 1 - i].use &&
			t[i].why == s->t[s->n - 1 - i].why,
		    "order of one");
	for (i = n = 0; i < s->n; i++) /* A03 */
		if (s->t[i].usable)
			t[n++] = s->t[i];
	must(tlsa_classify(t, n, flags, d->list, d->n) == used,
	    "the unusable count");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct set s;
	const struct digests *d;
	uint32_t flags;
	size_t i, used, count = 0;

	if (len < 1)
		return 0;
	flags = data[0] & 1 ? DANEVIRKE_PKIX_USAGES : 0;
	d = &digests[data[0] >> 1 & 7];
	set_read(&s, data + 1, len - 1);
	for (i = 0; i < s.n; i++)
		check_parse(&s, i);
	used = tlsa_classify(s.t, s.n, flags, d->list, d->n);
	for (i = 0; i < s.n; i++) {
		if (s.t[i].usable)
			check_usable(&s.t[i], flags, d);
		check_use(s.t, s.n, i, d);
		check_text(&s.t[i]);
		count += s.t[i].use;
	}
	must(count == used, "count");
	fuzz_accepted += used > 0;
	check_again(&s, flags, d, used);
	for (i = 0; i < s.n; i++)
		free(s.rdata[i]);
	return 0;
}

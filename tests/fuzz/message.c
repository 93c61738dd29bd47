/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: what a name server may send to danevirke check.  Octets: kind
 * of question, length and octets of a reply with keys, of a DS record, and
 * the rest, the reply that they are to have signed.
 */
#include <string.h>

#include "cli/signature.h"
#include "fuzz.h"

#define NOW 1780000000 /* 2026-05-28 */

static const struct {
	const char *name;
	int type;
} question[] = { { "example", TYPE_MX }, { "_25._tcp.w.example", TYPE_TLSA },
	{ "example", TYPE_NS }, { "example", TYPE_SOA },
	{ "mx.example", TYPE_A }, { "example", TYPE_DS } };

/* What every user of a set relies on: all of it can be read, it is sorted. */
static void
check(const struct rrset *s)
{
	size_t i, k, octets = 0;

	must(s->n <= 256 && s->n_sig <= 256, "too many records");
	must(s->n == 0 || s->owner.len > 0, "no owner");
	for (i = 0; i < s->n; i++)
		for (k = 0; k < s->rr[i].len; k++)
			octets += s->rr[i].data[k];
	for (i = 0; i < s->n_sig; i++) {
		must(s->sig[i].len >= 18, "short signature");
		for (k = 0; k < s->sig[i].len; k++)
			octets += s->sig[i].data[k];
	}
	must(octets < SIZE_MAX, "octets");
	must(rrset_equal(s, s), "not equal to itself");
}

/* A length of two octets, and what it is of. */
static struct rdata
part(const uint8_t **data, size_t *len)
{
	struct rdata r = { *data, 0 };

	if (*len < 2)
		return r;
	r.len = (size_t)(*data)[0] << 8 | (*data)[1];
	*data += 2;
	*len -= 2;
	if (r.len > *len)
		r.len = *len;
	r.data = *data;
	*data += r.len;
	*len -= r.len;
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena a = { NULL };
	struct wire zone, name;
	struct reply keys, r;
	struct rdata k, d;
	struct rrset ds = { .rr = &d, .n = 1 }, named;
	uint16_t id = 0;
	unsigned left = 4;
	uint32_t until;
	size_t which;

	if (len < 1)
		return 0;
	which = data[0] % (sizeof question / sizeof *question);
	data++;
	len--;
	k = part(&data, &len);
	d = part(&data, &len);
	must(wire_parse("example", &zone), "zone");
	must(wire_parse(question[which].name, &name), "name");
	if (k.len >= 2)
		id = (uint16_t)(k.data[0] << 8 | k.data[1]);
	if (message_read(&a, k.data, k.len, &zone, TYPE_DNSKEY, id, &keys) !=
	    MESSAGE_READ)
		memset(&keys, 0, sizeof keys);
	check(&keys.answer);
	if (ds_keys(&a, &zone, &ds, &keys.answer, &named))
		must(named.n <= keys.answer.n, "keys from nowhere");
	id = len >= 2 ? (uint16_t)(data[0] << 8 | data[1]) : 0;
	if (message_read(&a, data, len, &name, question[which].type, id, &r) ==
	    MESSAGE_READ) {
		check(&r.answer);
		check(&r.below);
		must(r.answer.n == 0 || r.below.n == 0, "both");
		if (signature_check(&r.answer, &zone, &keys.answer, NOW, &left,
			&until) == SIGNATURE_GOOD)
			fuzz_accepted++;
	}
	arena_free(&a);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: dns_parse() over any octets.  The first octets choose type,
 * rcode, sec and the alias limit; the fifth, if odd, puts header and question
 * before the rest, which is then records only.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "module.h"

#define QNAME "_25._tcp.mx.example"

/* What every user of a result relies on. */
static void
check(const struct dns_result *r, int rcode, int sec, unsigned max_alias)
{
	char name[NAME_LEN];
	size_t i, k, octets = 0;

	must(r->name != NULL && r->why != NULL, "name or why is NULL");
	for (i = 0; i <= r->n_alias; i++)
		must(strlen(r->name[i]) < NAME_LEN, "long name");
	must(r->n_alias <= max_alias, "too many aliases");
	must(r->ttl <= 86400, "ttl");
	for (i = 0; i < r->n_rr; i++)
		for (k = 0; k < r->rr[i].len; k++)
			octets += r->rr[i].data[k];
	must(octets < SIZE_MAX, "octets"); /* all of them can be read */
	for (i = 0; r->why[i] != '\0'; i++)
		must(r->why[i] >= ' ' && r->why[i] <= '~', "unprintable why");
	if (r->state == DANEVIRKE_ERROR) {
		must(*r->why != '\0', "ERROR without a reason");
		must(!r->content || sec == 1, "content that is not bogus");
		must(r->content || r->n_rr == 0, "records without content");
	} else {
		must(*r->why == '\0', "reason without ERROR");
		must(rcode == 0, "answer in spite of rcode");
		must(sec == (r->state == DANEVIRKE_SECURE ? 2 : 0), "state");
		must(!r->content, "content beside a state");
		must(!r->nxdomain || r->n_rr == 0, "records of no name");
	}
	if (r->n_rr > 0 && r->rr[0].len > 2)
		(void)dns_name_text(r->rr[0].data + 2, r->rr[0].len - 2, name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const int types[] = { TYPE_A, TYPE_AAAA, TYPE_MX, TYPE_TLSA,
		TYPE_CNAME, TYPE_SOA, TYPE_DNSKEY, TYPE_DNAME, TYPE_NS };
	static const uint8_t question[] = "\3_25\4_tcp\2mx\7example\0\0";
	struct arena arena = { NULL };
	struct dns_result r;
	uint8_t *pkt;
	int type, rcode, sec;
	unsigned max;
	size_t at = 0;

	if (len < 5)
		return 0;
	type = types[data[0] % (sizeof types / sizeof *types)];
	rcode = data[1] < 200 ? 0 : data[1] & 0x0f;
	sec = data[2] < 240 ? data[2] % 3 : 3;
	max = data[3] & 0x0f;
	if ((pkt = malloc(len + 64)) == NULL)
		return 0;
	if ((data[4] & 1) != 0 && len >= 9) {
		memset(pkt, 0, 12);
		pkt[2] = 0x81;
		pkt[3] = 0x80 | (data[4] & 2 ? 3 : 0);
		pkt[5] = 1;
		pkt[7] = data[5];
		pkt[9] = data[6];
		memcpy(pkt + 12, question, sizeof question - 1);
		at = 12 + sizeof question - 1;
		pkt[at++] = (uint8_t)type;
		pkt[at++] = 0;
		pkt[at++] = 1;
		data += 2;
		len -= 2;
	}
	memcpy(pkt + at, data + 5, len - 5);
	at += len - 5;
	/* to its exact size, so that ASan sees one octet too many */
	pkt = realloc(pkt, at > 0 ? at : 1);
	must(pkt != NULL, "out of memory");
	dns_parse(&arena, QNAME, type, rcode, pkt, at, sec,
	    (data[2] & 1) != 0 ? "why\n\xff" : NULL, max, &r);
	check(&r, rcode, sec, max);
	fuzz_accepted += r.state != DANEVIRKE_ERROR;
	arena_free(&arena);
	free(pkt);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * packet.c, records.c, name.c: DNS messages written down as text, one record a line:
 *
 *	SECTION OWNER TTL TYPE RDATA
 *
 * SECTION: a answer, s authority, c an answer of class CH.  "@" is a pointer
 * to the question's name.  RDATA: an address, "PREFERENCE NAME", a name, the
 * MINIMUM of a SOA, or octets in hex ("-" for none, whatever the type).
 *
 * The result is compared as text: STATE [nx] [content] TTL NAME[>ALIAS]...
 * and each RDATA in hex.  An ERROR must give the reason.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h" /* before cmocka.h, which defines fail() */
#include "packet.h"

#include <cmocka.h>

#include "title.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

struct message {
	uint8_t data[66000];
	size_t len;
};

static void
put(struct message *m, const void *data, size_t len)
{
	assert_true(m->len + len <= sizeof m->data);
	if (len > 0)
		memcpy(m->data + m->len, data, len);
	m->len += len;
}

static void
put16(struct message *m, unsigned v)
{
	put(m, (uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

/* Plain labels; "@" a pointer to the question, "x@" a label before it. */
static void
put_name(struct message *m, const char *name)
{
	size_t n;

	for (; *name != '\0' && *name != '@'; name += n + (name[n] == '.')) {
		n = strcspn(name, ".@");
		if (n > 0) {
			put(m, (uint8_t[]){ (uint8_t)n }, 1);
			put(m, name, n);
		}
	}
	if (*name == '@')
		put16(m, 0xc00c);
	else
		put(m, "", 1);
}

static void
put_hex(struct message *m, const char *hex)
{
	unsigned v;

	for (; *hex != '-' && sscanf(hex, "%2x", &v) == 1; hex += 2)
		put(m, (uint8_t[]){ (uint8_t)v }, 1);
}

static int
type_of(const char *word)
{
	static const struct {
		const char *word;
		int type;
	} t[] = { { "A", TYPE_A }, { "AAAA", TYPE_AAAA },
		{ "CNAME", TYPE_CNAME }, { "SOA", TYPE_SOA }, { "MX", TYPE_MX },
		{ "DNAME", TYPE_DNAME }, { "TLSA", TYPE_TLSA }, { "RRSIG", 46 },
		{ "DNSKEY", 48 } };
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++)
		if (strcmp(t[i].word, word) == 0)
			return t[i].type;
	return atoi(word);
}

static void
put_rdata(struct message *m, int type, const char *text)
{
	char name[300];
	uint8_t ip[16];
	int used = 0;

	if (type == TYPE_A && inet_pton(AF_INET, text, ip) == 1)
		put(m, ip, 4);
	else if (type == TYPE_AAAA && inet_pton(AF_INET6, text, ip) == 1)
		put(m, ip, 16);
	else if (type == TYPE_MX && sscanf(text, "%*u %n", &used) == 0 &&
	    used > 0) {
		put16(m, (unsigned)atoi(text));
		snprintf(name, sizeof name, "%s", text + used);
		put_name(m, name);
	} else if ((type == TYPE_CNAME || type == TYPE_DNAME) && *text != '-' &&
	    *text != '#')
		put_name(m, text);
	else if (type == TYPE_SOA && *text != '#') {
		put_name(m, "ns.@");
		put_name(m, "@");
		put(m, (uint8_t[16]){ 0 }, 16);
		put16(m, (unsigned)(strtoul(text, NULL, 10) >> 16));
		put16(m, (unsigned)strtoul(text, NULL, 10) & 0xffff);
	} else
		put_hex(m, text + (*text == '#'));
}

static void
put_line(struct message *m, const char *line)
{
	char section, owner[300], type[16], rdata[300];
	unsigned long ttl;
	size_t at;

	if (sscanf(line, " %c %299s %lu %15s %299[^\n]", &section, owner, &ttl,
		type, rdata) != 5)
		fail_msg("bad line: %s", line);
	m->data[section == 's' ? 9 : 7]++;
	put_name(m, owner);
	put16(m, (unsigned)type_of(type));
	put16(m, section == 'c' ? 3 : 1);
	put16(m, (unsigned)(ttl >> 16));
	put16(m, (unsigned)(ttl & 0xffff));
	at = m->len;
	put16(m, 0);
	put_rdata(m, type_of(type), rdata);
	m->data[at] = (uint8_t)((m->len - at - 2) >> 8);
	m->data[at + 1] = (uint8_t)(m->len - at - 2);
}

/* A response to name and type, without records. */
static void
put_head(struct message *m, const char *name, int type, int rcode)
{
	memset(m->data, 0, 64);
	m->len = 12;
	m->data[2] = 0x81;
	m->data[3] = (uint8_t)(0x80 | rcode);
	m->data[5] = 1;
	put_name(m, name);
	put16(m, (unsigned)type);
	put16(m, 1);
}

static void
build(struct message *m, const char *name, int type, int rcode,
    const char *records)
{
	put_head(m, name, type, rcode);
	while (*records != '\0') {
		put_line(m, records);
		records += strcspn(records, "\n");
		records += *records == '\n';
	}
}

static void
show(const struct dns_result *r, char *buf, size_t len)
{
	size_t n, i, k;

	n = (size_t)snprintf(buf, len, "%s%s%s %u", dnssec_name(r->state),
	    r->nxdomain ? " nx" : "", r->content ? " content" : "", r->ttl);
	for (i = 0; i <= r->n_alias; i++)
		n += (size_t)snprintf(buf + n, len - n, "%c%s%s%s",
		    i > 0 ? '>' : ' ', r->name[i],
		    i == 0 && r->dname != NULL ? "^" : "",
		    i == 0 && r->dname != NULL ? r->dname : "");
	for (i = 0; i < r->n_rr; i++) {
		n += (size_t)snprintf(buf + n, len - n, " [");
		for (k = 0; k < r->rr[i].len && n + 3 < len; k++)
			n += (size_t)snprintf(
			    buf + n, len - n, "%02x", r->rr[i].data[k]);
		n += (size_t)snprintf(buf + n, len - n, "]");
	}
}

struct test {
	const char *id; /* what it shows, and of which rules */
	const char *name;
	int type;
	int sec;
	const char *records;
	const char *want;
	const char *why; /* part of the reason; NULL: none */
	int rcode;       /* in the header */
	int callback;    /* as the library's callback gives it */
	const char *why_bogus;
	const char *asked; /* the lookup's name, if not name */
};

static const struct test tests[] = {
	/* answers */
	{ "MX records are read", "d.ex", TYPE_MX, 2,
	    "a @ 300 MX 10 mx.@\n"
	    "a @ 300 MX 20 MX2.Other",
	    "secure 300 d.ex "
	    "[000a026d7801640265780"
	    "0] [0014034d5832054f7468657200]" },
	{ "an insecure answer is an answer (D01)", "d.ex", TYPE_A, 0,
	    "a @ 60 A 192.0.2.1", "insecure 60 d.ex [c0000201]" },
	{ "a name is compared without case (N09)", "D.eX", TYPE_A, 2,
	    "a d.EX 60 A 192.0.2.1", "secure 60 d.ex [c0000201]",
	    .asked = "d.Ex." },
	{ "AAAA records are read", "d.ex", TYPE_AAAA, 2,
	    "a @ 60 AAAA 2001:db8::1",
	    "secure 60 d.ex [20010db8000000000000000000000001]" },
	{ "short TLSA records are kept as they are (Q06)", "d.ex", TYPE_TLSA, 2,
	    "a @ 60 TLSA 030101aa\n"
	    "a @ 60 TLSA 0301\na @ 60 TLSA -",
	    "secure 60 d.ex [030101aa] [0301] []" },
	{ "a target of a lone dot is kept (Z01)", "d.ex", TYPE_MX, 2,
	    "a @ 60 MX 0 .", "secure 60 d.ex [000000]" },
	{ "the root's name is read", "", TYPE_DNSKEY, 2,
	    "a . 60 DNSKEY 0101030d00", "secure 60 . [0101030d00]",
	    .asked = "." },
	{ "others' records are left alone", "d.ex", TYPE_A, 2,
	    "a x.ex 1 A 192.0.2.9\n"
	    "a @ 60 RRSIG 00\na @ 60 A 192.0.2.1",
	    "secure 60 d.ex [c0000201]" },

	/* denials */
	{ "no data is an answer (D04)", "d.ex", TYPE_A, 2, "s ex 300 SOA 120",
	    "secure 120 d.ex" },
	{ "no such name is an answer (D04)", "d.ex", TYPE_A, 2,
	    "s ex 100 SOA 120", "secure nx 100 d.ex", .rcode = 3 },
	{ "insecure, no such name is an answer (D04)", "d.ex", TYPE_A, 0,
	    "s ex 300 SOA 60", "insecure nx 60 d.ex", .rcode = 3 },
	{ "a denial without SOA is kept for seconds (D15)", "d.ex", TYPE_A, 0,
	    "", "insecure 5 d.ex" },
	{ "a stranger's SOA does not count (D15)", "d.ex", TYPE_A, 0,
	    "s other 300 SOA 60", "insecure 5 d.ex" },
	{ "an SOA at the name counts", "d.ex", TYPE_A, 2, "s @ 300 SOA 60",
	    "secure 60 d.ex" },
	{ "an SOA of the root counts", "d.ex", TYPE_A, 2, "s . 300 SOA 60",
	    "secure 60 d.ex" },
	{ "a proof that ends before the SOA counts (D15)", "d.ex", TYPE_A, 2,
	    "s ex 300 SOA 120\n"
	    "s c.ex 7 47 0165026578000006400000000003",
	    "secure 7 d.ex" },
	{ "a proof's signature that ends before the SOA counts (D15)", "d.ex",
	    TYPE_A, 2,
	    "s c.ex 300 47 0165026578000006400000000003\n"
	    "s c.ex 8 RRSIG 00\n"
	    "s ex 300 SOA 120",
	    "secure 8 d.ex" },
	{ "an SOA that is cut is an error", "d.ex", TYPE_A, 2,
	    "s ex 300 SOA #0000000000", "error 5 d.ex", "SOA" },

	/* TTL */
	{ "the least TTL counts (D15)", "d.ex", TYPE_A, 2,
	    "a @ 60 A 192.0.2.1\n"
	    "a @ 40 A 192.0.2.2",
	    "secure 40 d.ex [c0000201] [c0000202]" },
	{ "an alias's TTL counts (D15)", "d.ex", TYPE_A, 2,
	    "a @ 30 CNAME t.ex\n"
	    "a t.ex 60 A 192.0.2.1",
	    "secure 30 d.ex>t.ex [c0000201]" },
	{ "nothing is kept for more than a day (D15)", "d.ex", TYPE_A, 2,
	    "a @ 999999 A 192.0.2.1", "secure 86400 d.ex [c0000201]" },
	{ "a TTL with its top bit set is 0 (RFC 2181 8)", "d.ex", TYPE_A, 2,
	    "a @ 2147483648 A 192.0.2.1", "secure 0 d.ex [c0000201]" },
	{ "a minimum with its top bit set is 0", "d.ex", TYPE_A, 2,
	    "s ex 300 SOA 4294967295", "secure 0 d.ex" },
	{ "a TTL of 0 is 0", "d.ex", TYPE_A, 2, "a @ 0 A 192.0.2.1",
	    "secure 0 d.ex [c0000201]" },

	/* aliases */
	{ "aliases are followed in any order (D10)", "d.ex", TYPE_A, 2,
	    "a c.ex 9 A 192.0.2.1\n"
	    "a B.EX 9 CNAME C.ex\na @ 9 CNAME b.Ex",
	    "secure 9 d.ex>b.ex>c.ex [c0000201]" },
	{ "four aliases are followed (D10)", "d.ex", TYPE_A, 2,
	    "a @ 9 CNAME a\na a 9 CNAME b\n"
	    "a b 9 CNAME c\na c 9 CNAME e\na e 9 A 192.0.2.1",
	    "secure 9 d.ex>a>b>c>e [c0000201]" },
	{ "five aliases are an error (D10)", "d.ex", TYPE_A, 2,
	    "a @ 9 CNAME a\na a 9 CNAME b\n"
	    "a b 9 CNAME c\na c 9 CNAME e\na e 9 CNAME f\n"
	    "a f 9 A 192.0.2.1",
	    "error 5 d.ex", "more than 4 aliases" },
	{ "a loop of aliases is an error (D10)", "d.ex", TYPE_A, 2,
	    "a @ 9 CNAME a\na a 9 CNAME D.ex", "error 5 d.ex",
	    "alias loop at d.ex" },
	{ "an alias of itself is an error (D10)", "d.ex", TYPE_A, 2,
	    "a @ 9 CNAME @", "error 5 d.ex", "alias loop" },
	{ "an alias of nothing is no such name (D10)", "d.ex", TYPE_A, 2,
	    "a @ 9 CNAME a\n"
	    "s a 7 SOA 60",
	    "secure nx 7 d.ex>a", .rcode = 3 },
	{ "an alias beside data is an error (D10)", "d.ex", TYPE_A, 0,
	    "a @ 9 CNAME a\n"
	    "a @ 9 A 192.0.2.1",
	    "error 5 d.ex", "other data" },
	{ "two CNAMEs on the way are an error", "d.ex", TYPE_A, 2,
	    "a @ 9 CNAME a\na @ 9 CNAME b", "error 5 d.ex", "two CNAMEs" },
	{ "a DNAME and the CNAME that it makes are followed (D13)", "x.d.ex",
	    TYPE_A, 2,
	    "a d.ex 9 DNAME t.ex\n"
	    "a @ 8 CNAME x.t.ex\na x.t.ex 9 A 192.0.2.1",
	    "secure 8 x.d.ex^d.ex>x.t.ex [c0000201]" },
	{ "a DNAME is found in any order and case (D12 D13)", "X.y.d.ex",
	    TYPE_A, 0,
	    "a @ 8 CNAME x.Y.t.ex\na x.y.t.ex 9 A 192.0.2.1\n"
	    "a y.D.ex 9 DNAME y.T.ex",
	    "insecure 8 x.y.d.ex^y.d.ex>x.y.t.ex [c0000201]" },
	{ "a DNAME of the root is found (D12 D13)", "x.ex", TYPE_A, 0,
	    "a . 9 DNAME t\na @ 8 CNAME x.ex.t\na x.ex.t 9 A 192.0.2.1",
	    "insecure 8 x.ex^.>x.ex.t [c0000201]" },
	{ "a DNAME to the root is found (D12 D13)", "x.d.ex", TYPE_A, 0,
	    "a d.ex 9 DNAME .\na @ 8 CNAME x\na x 9 A 192.0.2.1",
	    "insecure 8 x.d.ex^d.ex>x [c0000201]" },
	/* one that does not make this alias, or not the first */
	{ "a DNAME that does not make the alias is not it (D12)", "x.d.ex",
	    TYPE_A, 0,
	    "a @ 8 CNAME x.t.ex\na d.ex 9 DNAME u.ex\n"
	    "a @ 9 DNAME t.ex\na e.ex 9 DNAME t.ex\na ex 9 DNAME t.ex\n"
	    "a d.ex 9 DNAME #01\na x.t.ex 9 A 192.0.2.1",
	    "insecure 8 x.d.ex>x.t.ex [c0000201]" },
	{ "a DNAME further down is not the first alias's (D12)", "d.ex", TYPE_A,
	    0,
	    "a @ 8 CNAME x.t.ex\na t.ex 9 DNAME u.ex\n"
	    "a x.t.ex 9 CNAME x.u.ex\na x.u.ex 9 A 192.0.2.1",
	    "insecure 8 d.ex>x.t.ex>x.u.ex [c0000201]" },
	{ "a DNAME that was asked for is read (D12)", "d.ex", TYPE_DNAME, 2,
	    "a @ 9 DNAME t", "secure 9 d.ex [017400]" },
	{ "a DNAME without its CNAME is no alias (D13)", "x.d.ex", TYPE_A, 2,
	    "a d.ex 9 DNAME t.ex\n"
	    "a x.t.ex 9 A 192.0.2.1",
	    "secure 5 x.d.ex" },
	{ "a CNAME that was asked for is read (D12)", "d.ex", TYPE_CNAME, 2,
	    "a @ 9 CNAME t.@",
	    "secure 9 d.ex [017401640265780"
	    "0]" },
	{ "no CNAME is an answer (D12)", "d.ex", TYPE_CNAME, 2, "s ex 9 SOA 8",
	    "secure 8 d.ex" },
	{ "two CNAMEs that were asked for are an error (D12)", "d.ex",
	    TYPE_CNAME, 2, "a @ 9 CNAME t\na @ 9 CNAME u", "error 5 d.ex",
	    "two CNAMEs" },
	{ "a CNAME that is no name is an error", "d.ex", TYPE_A, 2,
	    "a @ 9 CNAME #01", "error 5 d.ex", "CNAME" },
	{ "a CNAME with octets behind it is an error", "d.ex", TYPE_A, 2,
	    "a @ 9 CNAME #0161006200", "error 5 d.ex", "CNAME" },

	/* D03: everything else is an ERROR */
	{ "a bogus answer is an error, with its content (D03)", "d.ex", TYPE_A,
	    1, "a @ 60 A 192.0.2.1", "error content 5 d.ex [c0000201]",
	    "signature\?expired", .why_bogus = "signature\nexpired" },
	{ "a bogus denial is an error, with its content (D03)", "d.ex", TYPE_A,
	    1, "s ex 60 SOA 60", "error nx content 5 d.ex",
	    "validation failure", .rcode = 3 },
	{ "bogus and malformed is an error without content (D03)", "d.ex",
	    TYPE_A, 1, "a @ 60 A 01", "error 5 d.ex", "because; malformed",
	    .why_bogus = "because" },
	{ "SERVFAIL is an error (D03)", "d.ex", TYPE_A, 0, "a @ 60 A 192.0.2.1",
	    "error 5 d.ex", "SERVFAIL: no server", .callback = 2 },
	{ "SERVFAIL is an error that says why (D03)", "d.ex", TYPE_A, 0, "",
	    "error 5 d.ex", "SERVFAIL: tired", .callback = 2,
	    .why_bogus = "tired" },
	{ "REFUSED is an error (D03)", "d.ex", TYPE_A, 2, "", "error 5 d.ex",
	    "REFUSED", .callback = 5 },
	{ "NXDOMAIN that is not validated is an error (D03)", "d.ex", TYPE_A, 0,
	    "", "error 5 d.ex", "NXDOMAIN", .rcode = 3, .callback = 3 },
	{ "REFUSED in the header is an error (D03)", "d.ex", TYPE_A, 2,
	    "a @ 60 A 192.0.2.1", "error 5 d.ex", "REFUSED", .rcode = 5 },
	{ "an unknown rcode is an error (D03)", "d.ex", TYPE_A, 2, "",
	    "error 5 d.ex", "rcode 12", .rcode = 12 },
	{ "a state that is none is an error (D02)", "d.ex", TYPE_A, 3,
	    "a @ 60 A 192.0.2.1", "error 5 d.ex", "no DNSSEC state" },
	{ "a state below 0 is an error (D02)", "d.ex", TYPE_A, -1, "",
	    "error 5 d.ex", "no DNSSEC state" },
	{ "an answer to another name is an error", "d.ex", TYPE_A, 2,
	    "a @ 60 A 192.0.2.1", "error 5 e.ex", "another question",
	    .asked = "e.ex" },
	{ "a record of another class is an error", "d.ex", TYPE_A, 2,
	    "c @ 60 A 192.0.2.1", "error 5 d.ex", "class 3" },
	{ "NXDOMAIN with records is an error", "d.ex", TYPE_A, 2,
	    "a @ 60 A 192.0.2.1", "error 5 d.ex", "NXDOMAIN with records",
	    .rcode = 3 },
	{ "an A record of 3 octets is an error", "d.ex", TYPE_A, 2,
	    "a @ 60 A c00002", "error 5 d.ex", "A record of 3" },
	{ "an A record of 5 octets is an error", "d.ex", TYPE_A, 2,
	    "a @ 60 A c000020101", "error 5 d.ex", "A record of 5" },
	{ "one bad A record of two is an error", "d.ex", TYPE_A, 2,
	    "a @ 60 A 192.0.2.1\n"
	    "a @ 60 A -",
	    "error 5 d.ex", "A record of 0" },
	{ "an AAAA record of 4 octets is an error", "d.ex", TYPE_AAAA, 2,
	    "a @ 60 AAAA c0000201", "error 5 d.ex", "AAAA record of 4" },
	{ "an MX record without a target is an error", "d.ex", TYPE_MX, 2,
	    "a @ 60 MX -", "error 5 d.ex", "MX record" },
	{ "a name that is none is an error", "d.ex", TYPE_A, 2, "",
	    "error 5 d..ex", "not a domain name", .asked = "d..ex" },
	{ NULL }
};

static void
test_table(void **state)
{
	static struct message m;
	const struct test *t;
	struct arena arena = { NULL };
	struct dns_result r;
	char got[2000];

	(void)state;
	for (t = tests; t->id != NULL; t++) {
		build(&m, t->name, t->type, t->rcode, t->records);
		memset(&r, 0xa5, sizeof r);
		dns_parse(&arena, t->asked != NULL ? t->asked : t->name,
		    t->type, t->callback, m.data, m.len, t->sec, t->why_bogus,
		    4, &r);
		show(&r, got, sizeof got);
		if (strcmp(got, t->want) != 0 ||
		    (t->why == NULL ? *r.why != '\0' :
				      strstr(r.why, t->why) == NULL))
			fail_msg("%s: got \"%s\" (%s)\nwant \"%s\" (%s)", t->id,
			    got, r.why, t->want, t->why != NULL ? t->why : "");
		arena_free(&arena);
	}
}

/* Parses and returns the state; the reason, if any, must hold why. */
static enum danevirke_dnssec
parse(const struct message *m, size_t len, int type, const char *why)
{
	struct arena arena = { NULL };
	enum danevirke_dnssec state;
	struct dns_result r;
	uint8_t *copy = malloc(len > 0 ? len : 1); /* for ASan */

	assert_non_null(copy);
	memcpy(copy, m->data, len);
	dns_parse(&arena, "d.ex", type, 0, copy, len, 2, NULL, 8, &r);
	free(copy);
	if (why != NULL && strstr(r.why, why) == NULL)
		fail_msg("got \"%s\" want \"%s\"", r.why, why);
	state = r.state;
	if (state == DANEVIRKE_ERROR) {
		assert_int_equal(r.n_rr, 0);
		assert_string_not_equal(r.why, "");
	}
	arena_free(&arena);
	return state;
}

/* D03: no shorter message is an answer; least of all "none". */
static void
test_truncated(void **state)
{
	static struct message m;
	size_t i;

	(void)state;
	build(&m, "d.ex", TYPE_MX, 0,
	    "a @ 9 CNAME t.@\na t.@ 9 MX 10 mx.@\n"
	    "a t.@ 9 MX 20 mx2.ex");
	for (i = 0; i < m.len; i++)
		assert_int_equal(
		    parse(&m, i, TYPE_MX, "malformed"), DANEVIRKE_ERROR);
	assert_int_equal(parse(&m, m.len, TYPE_MX, NULL), DANEVIRKE_SECURE);

	build(&m, "d.ex", TYPE_MX, 3, "a @ 9 CNAME t.@\ns ex 9 SOA 60");
	for (i = 0; i < m.len; i++)
		assert_int_equal(
		    parse(&m, i, TYPE_MX, "malformed"), DANEVIRKE_ERROR);
	assert_int_equal(parse(&m, m.len, TYPE_MX, NULL), DANEVIRKE_SECURE);
}

/* Every octet replaced: nothing to assert but that nothing breaks. */
static void
test_damaged(void **state)
{
	static struct message m;
	static const uint8_t by[] = { 0, 1, 0x3f, 0x40, 0x7f, 0xc0, 0xff };
	size_t i, k;
	uint8_t was;

	(void)state;
	build(&m, "d.ex", TYPE_MX, 0,
	    "a @ 9 CNAME t.@\na t.@ 9 MX 10 mx.@\n"
	    "s ex 9 SOA 60");
	for (i = 0; i < m.len; i++)
		for (k = 0; k < sizeof by; k++) {
			was = m.data[i];
			m.data[i] = by[k];
			parse(&m, m.len, TYPE_MX, NULL);
			m.data[i] = was;
		}
}

/* RFC 1035 4.1.4: names that do not end, in owner and in RDATA. */
static void
test_pointers(void **state)
{
	static const uint8_t label[64] = { 63 };
	static struct message m;
	unsigned i, at;

	(void)state;
	for (i = 0; i < 8; i++) {
		put_head(&m, "d.ex", TYPE_MX, 0);
		m.data[7] = 1;
		at = (unsigned)m.len; /* 22: the record's owner */
		switch (i) {
		case 0: /* to itself */
			put16(&m, 0xc000 | at);
			break;
		case 1: /* forward */
			put16(&m, 0xc000 | (at + 2));
			break;
		case 2: /* behind the end */
			put16(&m, 0xffff);
			break;
		case 3: /* into the header */
			put16(&m, 0xc000);
			break;
		case 4: /* to its own label */
			put(&m, "\001x", 2);
			put16(&m, 0xc000 | at);
			break;
		case 5: /* label type 01, RFC 6891 5 */
			put(&m, "\101x", 2);
			break;
		case 6: /* 256 octets */
			for (at = 0; at < 4; at++)
				put(&m, label, sizeof label);
			put(&m, "", 1);
			break;
		case 7: /* cut off pointer */
			put(&m, "\300", 1);
			break;
		}
		if (i != 7) {
			put(&m, "\0\017\0\1\0\0\0\t", 8);
			put(&m, "\0\3\0\1\0", 5);
		}
		assert_int_equal(
		    parse(&m, m.len, TYPE_MX, "malformed"), DANEVIRKE_ERROR);
	}
	/* MX RDATA: name shorter or longer than the record says */
	for (i = 0; i < 3; i++) {
		put_head(&m, "d.ex", TYPE_MX, 0);
		m.data[7] = 1;
		put(&m, "\300\014\0\017\0\1\0\0\0\t", 10);
		put(&m,
		    i == 0     ? "\0\4\0\1\0\0" :
			i == 1 ? "\0\4\0\1\1x\0" :
				 "\0\2\0\1\0\0",
		    i == 1 ? 7 : 6);
		assert_int_equal(
		    parse(&m, m.len, TYPE_MX, "MX record"), DANEVIRKE_ERROR);
	}
}

static void
test_head(void **state)
{
	static struct message m;
	const char *records = "a @ 9 MX 10 mx.@";

	(void)state;
	build(&m, "d.ex", TYPE_MX, 0, records);
	m.data[2] = 0x01; /* a query */
	assert_int_equal(parse(&m, m.len, TYPE_MX, "not a response"), 0);
	m.data[2] = 0x89; /* another opcode */
	assert_int_equal(parse(&m, m.len, TYPE_MX, "not a response"), 0);
	m.data[2] = 0x83; /* M11: truncated */
	assert_int_equal(parse(&m, m.len, TYPE_MX, "truncated"), 0);
	m.data[2] = 0x81;
	assert_int_equal(parse(&m, m.len, TYPE_MX, NULL), DANEVIRKE_SECURE);
	m.data[3] |= 0x20; /* AD is nobody's business (D05) */
	assert_int_equal(parse(&m, m.len, TYPE_MX, NULL), DANEVIRKE_SECURE);
	assert_int_equal(parse(&m, m.len, TYPE_A, "another question"), 0);
	m.data[5] = 2;
	assert_int_equal(parse(&m, m.len, TYPE_MX, "question"), 0);
	m.data[5] = 0;
	assert_int_equal(parse(&m, m.len, TYPE_MX, "question"), 0);
	m.data[5] = 1;
	m.data[21] = 3; /* class CH */
	assert_int_equal(parse(&m, m.len, TYPE_MX, "another question"), 0);
	m.data[21] = 1;
	m.data[7] = 2; /* one record more than there is */
	assert_int_equal(parse(&m, m.len, TYPE_MX, "cut off"), 0);
}

/* U20: 64 records and more.  M11: beyond a bound is ERROR, not "none". */
static void
test_many(void **state)
{
	static struct message m;
	struct arena arena = { NULL };
	struct dns_result r;
	unsigned i, n;
	static const unsigned counts[] = { 64, 1024, 1025, 3000 };

	(void)state;
	for (n = 0; n < 4; n++) {
		put_head(&m, "d.ex", TYPE_TLSA, 0);
		for (i = 0; i < counts[n]; i++) {
			put_line(&m, "a @ 60 TLSA 030101aabb");
			m.data[m.len - 1] = (uint8_t)i;
		}
		m.data[6] = (uint8_t)(counts[n] >> 8);
		m.data[7] = (uint8_t)counts[n];
		dns_parse(&arena, "d.ex", TYPE_TLSA, 0, m.data, m.len, 2, NULL,
		    8, &r);
		if (counts[n] <= 1024) {
			assert_int_equal(r.state, DANEVIRKE_SECURE);
			assert_int_equal(r.n_rr, counts[n]);
			assert_int_equal(r.rr[63].data[4], 63);
		} else {
			assert_int_equal(r.state, DANEVIRKE_ERROR);
			assert_non_null(strstr(r.why, "more than 1024"));
			assert_int_equal(r.n_rr, 0);
		}
		arena_free(&arena);
	}
}

/* RRSIG: type covered, algorithm, labels, original TTL, expiration, inception,
 * key tag, signer, signature. */
#define SIG(covered, ttl, end) \
	covered "0d02" ttl end "000000010001" \
		"00" \
		"aabb"

/* The answer to a question for d.ex MX. */
static void
signed_mx(struct arena *a, const char *records, int sec, struct dns_result *r)
{
	static struct message m;

	build(&m, "d.ex", TYPE_MX, 0, records);
	dns_parse(a, "d.ex", TYPE_MX, 0, m.data, m.len, sec, "why", 8, r);
}

/* When the first signature ends that the answer depends on (L12). */
static void
test_signatures(void **state)
{
	static const struct {
		const char *records;
		int sec;
		uint32_t until, ttl;
	} t[] = {
		{ "a @ 60 MX 10 mx.ex", 2, 0, 0 },
		{ "a @ 60 MX 10 mx.ex\n"
		  "a @ 60 RRSIG " SIG("000f", "00000e10", "66000000"),
		    2, 0x66000000, 3600 },
		/* insecure, and bogus: it says nothing */
		{ "a @ 60 MX 10 mx.ex\n"
		  "a @ 60 RRSIG " SIG("000f", "00000e10", "66000000"),
		    0, 0, 0 },
		{ "a @ 60 MX 10 mx.ex\n"
		  "a @ 60 RRSIG " SIG("000f", "00000e10", "66000000"),
		    1, 0, 0 },
		/* two on one set: the later one will do */
		{ "a @ 60 MX 10 mx.ex\n"
		  "a @ 60 RRSIG " SIG("000f", "00000e10",
		      "66000000") "\n"
				  "a @ 60 RRSIG " SIG(
				      "000f", "00000e10", "67000000"),
		    2, 0x67000000, 3600 },
		/* the alias and its target: the earlier one */
		{ "a @ 60 CNAME x.ex\n"
		  "a @ 60 RRSIG " SIG("0005", "00000010",
		      "66000000") "\n"
				  "a x.ex 60 MX 10 mx.ex\n"
				  "a x.ex 60 RRSIG " SIG(
				      "000f", "00000e10", "67000000"),
		    2, 0x66000000, 3600 },
		/* serial number arithmetic, RFC 4034 3.1.5 */
		{ "a @ 60 CNAME x.ex\n"
		  "a @ 60 RRSIG " SIG("0005", "00000010",
		      "00000010") "\n"
				  "a x.ex 60 MX 10 mx.ex\n"
				  "a x.ex 60 RRSIG " SIG(
				      "000f", "00000e10", "fffffff0"),
		    2, 0xfffffff0, 3600 },
		/* too short to be one */
		{ "a @ 60 MX 10 mx.ex\na @ 60 RRSIG #000f0d0200000e1066", 2, 0,
		    0 },
		/* a denial's */
		{ "s ex 60 SOA 60\n"
		  "s ex 60 RRSIG " SIG("0006", "00000e10", "66000000"),
		    2, 0x66000000, 0 },
	};
	struct arena arena = { NULL };
	struct dns_result r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		signed_mx(&arena, t[i].records, t[i].sec, &r);
		assert_int_equal(r.signed_until, t[i].until);
		assert_int_equal(r.original_ttl, t[i].ttl);
		arena_free(&arena);
	}
}

/* covered, original TTL, the signer, as a name on the wire */
#define SIGNER(covered, name) \
	covered "0d0200000e10660000000000000100" \
		"01" name "aabb"

/* The zone whose signature the records bear, where it can be theirs (B05a). */
static void
test_zone(void **state)
{
	static const struct {
		const char *records, *zone;
		int sec;
	} t[] = {
		{ "a @ 60 MX 10 mx.ex", NULL, 2 },
		{ "a @ 60 MX 10 mx.ex\na @ 60 RRSIG #" SIGNER(
		      "000f", "02657800"),
		    "ex", 2 },
		{ "a @ 60 MX 10 mx.ex\na @ 60 RRSIG #" SIGNER(
		      "000f", "016402657800"),
		    "d.ex", 2 },
		/* nobody vouches for it */
		{ "a @ 60 MX 10 mx.ex\na @ 60 RRSIG #" SIGNER(
		      "000f", "02657800"),
		    NULL, 0 },
		{ "a @ 60 MX 10 mx.ex\na @ 60 RRSIG #" SIGNER(
		      "000f", "02657800"),
		    NULL, 1 },
		/* of another type, of a stranger, cut off */
		{ "a @ 60 MX 10 mx.ex\na @ 60 RRSIG #" SIGNER(
		      "0001", "02657800"),
		    NULL, 2 },
		{ "a @ 60 MX 10 mx.ex\na @ 60 RRSIG #" SIGNER(
		      "000f", "0165027a7a00"),
		    NULL, 2 },
		{ "a @ 60 MX 10 mx.ex\n"
		  "a @ 60 RRSIG #000f0d0200000e106600000000000001000102",
		    NULL, 2 },
		/* that of the alias is not that of its target */
		{ "a @ 60 CNAME x.ey\na @ 60 RRSIG #" SIGNER(
		      "0005", "02657800") "\na x.ey 60 MX 10 mx.ex\n"
					  "a x.ey 60 RRSIG #" SIGNER(
					      "000f", "02657900"),
		    "ey", 2 },
	};
	struct arena arena = { NULL };
	struct dns_result r;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		signed_mx(&arena, t[i].records, t[i].sec, &r);
		if (t[i].zone == NULL)
			assert_null(r.zone);
		else {
			assert_non_null(r.zone);
			assert_string_equal(r.zone, t[i].zone);
		}
		arena_free(&arena);
	}
}

/* Zeroed memory is an ERROR, and so is no packet. */
static void
test_nothing(void **state)
{
	struct arena arena = { NULL };
	struct dns_result r = { 0 };

	(void)state;
	assert_int_equal(r.state, DANEVIRKE_ERROR);
	dns_parse(&arena, "d.ex", TYPE_A, 0, NULL, 0, 2, NULL, 8, &r);
	assert_int_equal(r.state, DANEVIRKE_ERROR);
	assert_non_null(strstr(r.why, "no answer"));
	dns_fail(&arena, "D.ex",
	    "late\tand\x7f"
	    "bad",
	    &r);
	assert_int_equal(r.state, DANEVIRKE_ERROR);
	assert_string_equal(r.why, "late?and?bad");
	assert_string_equal(r.name[0], "D.ex");
	arena_free(&arena);
}

/* Reasons hold what strangers wrote: bounded, one printable line. */
static void
test_reason(void **state)
{
	struct arena arena = { NULL };
	struct dns_result r;
	char why[5000];
	size_t i;

	(void)state;
	memset(why, 0x1b, sizeof why - 1);
	why[sizeof why - 1] = '\0';
	dns_parse(&arena, "d.ex", TYPE_A, 2, NULL, 0, 0, why, 8, &r);
	assert_int_equal(r.state, DANEVIRKE_ERROR);
	assert_true(strlen(r.why) < 1000);
	for (i = 0; r.why[i] != '\0'; i++)
		assert_true(r.why[i] >= ' ' && r.why[i] <= '~');
	arena_free(&arena);
}

/* D14, N09 */
static void
test_names(void **state)
{
	static const struct {
		const char *text, *back;
		size_t len;
	} t[] = {
		{ ".", ".", 1 },
		{ "a", "a", 3 },
		{ "A.b.", "a.b", 5 },
		{ "_25._tcp.MX.ex", "_25._tcp.mx.ex", 16 },
		{ "a\\046b.ex", "a\\046b.ex", 8 },
		{ "a\\.b.ex", "a\\046b.ex", 8 },
		{ "a\\000b", "a\\000b", 5 },
		{ "a b", "a\\032b", 5 },
		{ "a\nb", "a\\010b", 5 },
		{ "\\A\\\\", "a\\092", 4 },
		{ "\xc3\xa9", "\\195\\169", 4 },
		{ "\"", "\\034", 3 },
		{ "", NULL, 0 },
		{ "..", NULL, 0 },
		{ ".a", NULL, 0 },
		{ "a..b", NULL, 0 },
		{ "a\\", NULL, 0 },
		{ "a\\2", NULL, 0 },
		{ "a\\25", NULL, 0 },
		{ "a\\256", NULL, 0 },
		{ "a..", NULL, 0 },
	};
	char buf[NAME_LEN], text[300];
	struct wire w;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		if (wire_parse(t[i].text, &w) != (t[i].back != NULL))
			fail_msg("wire_parse(\"%s\")", t[i].text);
		if (t[i].back == NULL)
			continue;
		assert_int_equal(w.len, t[i].len);
		assert_true(dns_name_text(w.data, w.len, buf));
		assert_string_equal(buf, t[i].back);
		assert_false(dns_name_text(w.data, w.len - 1, buf));
	}
	memset(text, 'a', sizeof text);
	text[63] = '\0';
	assert_true(wire_parse(text, &w));
	text[63] = 'a';
	text[64] = '\0';
	assert_false(wire_parse(text, &w));
	text[64] = 'a';
	for (i = 63; i < 255; i += 64)
		text[i] = '.';
	text[253] = '\0'; /* 255 octets in wire form */
	assert_true(wire_parse(text, &w));
	assert_int_equal(w.len, 255);
	assert_true(dns_name_text(w.data, w.len, buf));
	assert_string_equal(buf, text);
	text[253] = 'a';
	text[254] = '\0';
	assert_false(wire_parse(text, &w));
	/* a name whose escapes do not fit is refused, not cut */
	memset(w.data, 1, sizeof w.data);
	w.data[0] = w.data[64] = 63;
	w.data[128] = 0;
	assert_false(dns_name_text(w.data, 129, buf));
	/* two labels where one ends early, and octets behind the end */
	assert_false(dns_name_text((const uint8_t *)"\1a\0\0", 4, buf));
	assert_false(dns_name_text((const uint8_t *)"\5a", 3, buf));
	assert_false(dns_name_text((const uint8_t *)"\300\14", 2, buf));
	assert_false(dns_name_text(NULL, 0, buf));
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		TEST(test_table,
		    "each answer is read as its row says (D03 D04)"),
		TEST(test_truncated, "no shorter message is an answer (D03)"),
		TEST(test_damaged, "a wrong octet anywhere breaks nothing"),
		TEST(test_pointers,
		    "a name that does not end is an error (D03)"),
		TEST(test_head,
		    "a wrong header is an error, AD means nothing (D05 M11)"),
		TEST(test_many,
		    "1024 records are taken, more are an error (M11 U20)"),
		TEST(test_nothing,
		    "zeroed memory and no packet are errors (D03)"),
		TEST(
		    test_zone, "records name the zone that signed them (B05a)"),
		TEST(test_signatures,
		    "the first signature to end is told (L12)"),
		TEST(
		    test_reason, "a reason is one printable line, and bounded"),
		TEST(test_names,
		    "a name is read and written alike, or refused (D14 N09)"),
	};

	return cmocka_run_group_tests_name("packet", all, NULL, NULL);
}

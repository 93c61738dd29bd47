/* SPDX-License-Identifier: ISC */
/* Which lines of a log are decisions, and of what kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/tally.h"
#include "title.h"

#define EXIM "2026-11-28 23:50:04 1xXSBA-0000GW-1q danevirke: "
#define D "danevirked[7]: "
#define LOG "2026-11-28T23:50:04.123456+00:00 mx "

static const struct {
	const char *line;
	const char *want; /* "" is none */
} lines[] = {
	/* as Exim wrote them in the lab */
	{ EXIM "good-3-0-2.alpha via mx1.good-3-0-2.alpha:25: dane: matched "
	       "DANE-EE Cert SHA2-512 at depth 0, 1 usable of 1 TLSA "
	       "(_25._tcp.mx1.good-3-0-2.alpha), TLS1.3:ECDHE_SECP256R1__ECDSA_"
	       "SECP256R1_SHA256__AES_256_GCM:256",
	    "exim dane" },
	{ EXIM
	    "m04-insecure-encrypt-u.beta via mx1.m04-insecure-encrypt.alpha:25:"
	    " encrypt: 1 usable of 1 TLSA (_25._tcp.mx1.m04.alpha), insecure MX"
	    ", TLS1.3:ECDHE_SECP256R1__ECDSA_SECP256R1_SHA256__AES_256_GCM:256",
	    "exim encrypt" },
	{ EXIM "[198.18.1.174] via 198.18.1.174:25: opportunistic-tls: address "
	       "literal, DANE does not apply, TLS1.3:ECDHE_X25519",
	    "exim opportunistic-tls" },
	{ EXIM "plain-clear.alpha via mx1.plain-clear.alpha:25: clear: no "
	       "DANE: address insecure",
	    "exim clear" },
	{ EXIM "a.beta via mx1.a.alpha:25: dane-insecure-mx: matched",
	    "exim dane-insecure-mx" },
	{ EXIM "z01-null-mx.alpha: bounced: the domain takes no mail (null MX)",
	    "exim bounced" },
	{ EXIM "d03-expired.alpha: deferred: MX lookup failed: validation "
	       "failure <d03-expired.alpha. MX IN>: signature expired from "
	       "127.53.2.1",
	    "exim deferred dns" },
	{ EXIM "d03-no-tcp.alpha: deferred: mx1.d03-no-tcp.alpha: TLSA lookup "
	       "failed: _25._tcp.mx1.d03-no-tcp.alpha: SERVFAIL",
	    "exim deferred dns" },
	{ EXIM "z03-beside-bad.alpha via mx1.z03-beside-bad.alpha:25: deferred:"
	       " no TLSA record matches the certificate sent: 1 usable of 1 "
	       "TLSA (_25._tcp.mx1.z03.alpha) (198.18.2.94) "
	       "[validation-failure]",
	    "exim deferred validation-failure" },
	{ EXIM "t06-exception-strict.alpha: deferred (exception: partner, "
	       "contract 4): mx1.t06-exception-strict.alpha: level dane-only: "
	       "no TLSA (_25._tcp.mx1.t06-exception-strict.alpha)",
	    "exim deferred dane-only exception" },
	{ EXIM "p01-off.alpha: opportunistic-tls (exception: their keys are "
	       "lost, ticket 12): level off, nothing looked up",
	    "exim opportunistic-tls exception" },
	{ EXIM "p02-audit-good.alpha via mx1.p02-audit-good.alpha:25: dane "
	       "(audit): matched DANE-EE SPKI SHA2-256 at depth 0, 1 usable",
	    "exim dane audit" },
	{ EXIM "p02-audit-tlsa-servfail.alpha: opportunistic-tls (audit: would "
	       "be deferred): 1 of 1 host usable",
	    "exim opportunistic-tls audit would" },
	/* what was thought of a certificate, and what was done then */
	{ EXIM "p01-audit.alpha via mx1.p01-audit.alpha:25: opportunistic-tls "
	       "(audit: would be deferred) (exception: rollover, ticket 13): "
	       "no TLSA record matches the certificate sent: 1 usable of 1 "
	       "TLSA (_25._tcp.mx1.p01-audit.alpha) (198.18.2.80) "
	       "[validation-failure]",
	    "" },
	{ EXIM "p01-audit.alpha via mx1.p01-audit.alpha:25: opportunistic-tls "
	       "(audit: would be deferred) (exception: rollover, ticket 13): "
	       "1 usable of 1 TLSA (_25._tcp.mx1.p01-audit.alpha), TLS1.3:X",
	    "exim opportunistic-tls audit would exception" },
	/* Exim's other ways of writing a log */
	{ "2026-11-28 23:50:04 danevirke: a.b: deferred: no address",
	    "exim deferred no-address" },
	{ "2026-11-28 23:50:04.123 +0100 [77] 1xXSBA-00000000GW5-1qAB "
	  "danevirke: a.b via c.d:25: clear: x",
	    "exim clear" },
	{ "Nov 28 23:50:04 mx exim[77]: 2026-11-28 23:50:04 "
	  "1xXSBA-0000GW-1q danevirke: a.b via c.d:25: dane: x",
	    "exim dane" },
	{ "Nov  8 23:50:04 mx exim[77]: [1\\2] 1xXSBA-0000GW-1q danevirke: "
	  "a.b via c.d:25: mta-sts: x",
	    "exim mta-sts" },
	{ "Nov  8 23:50:04 mx exim4: danevirke: a.b via c.d:25: dane: x",
	    "exim dane" },
	/* the relay's */
	{ LOG D "good.alpha via mx1.good.alpha:25: dane: matched DANE-EE SPKI "
		"SHA2-256 at depth 0 (TLS1.3, AES-256-GCM, TLSA 3 1 1, no. 1)",
	    "danevirked dane" },
	{ "Nov 28 23:50:04 mx table-danevirke[9]: a.b via 2001:db8::1:25: "
	  "deferred: connect: timed out (2001:db8::1)",
	    "opensmtpd deferred connect" },
	{ LOG D "a.b via c.d:25: deferred: banner refused: 554 not today: 1 "
		"usable of 1 TLSA (_25._tcp.c.d) (192.0.2.1)",
	    "danevirked deferred session" },
	{ LOG D "a.b via c.d:25: deferred: 421 not today",
	    "danevirked deferred other" },
	{ LOG D "a.b: deferred: DNS: no time is left",
	    "danevirked deferred dns" },
	{ LOG D "a.b: deferred: c.d: MTA-STS policy unknown: policy server "
		"127.0.0.1:8461: it says TEMP",
	    "danevirked deferred mta-sts" },
	{ LOG D "a.b via c.d:25: opportunistic-tls (audit: would be deferred): "
		"no TLSA record matches the certificate sent",
	    "danevirked opportunistic-tls audit would" },
	/* ours, and no decisions */
	{ EXIM "destinations: the rule for p01.alpha ended on 2001-03-31", "" },
	{ EXIM "a.b via c.d:25: no password is sent in the clear", "" },
	{ LOG D "a.b: connection refused: from uid 5, want 106", "" },
	{ LOG D "a.b via dane: session lost: deferred: x", "" },
	{ LOG D "map: \"deferred: x\": want a domain", "" },
	{ LOG D "\"a: deferred: x\": want a domain", "" },
	{ LOG D "a.b: opportunistic-tls: what only Exim says of a domain", "" },
	{ LOG D "a.b: dane: x", "" },
	{ LOG D "a.b via c.d:25: bounced: x", "" },
	{ LOG D "a.b via c.d:25: danes: x", "" },
	{ LOG D "a.b via c.d:25: dane", "" },
	{ LOG D "a.b via c.d:25: dane (exception: never ends", "" },
	{ LOG D "a.b via c.d:999999: dane: x", "" },
	{ LOG D "a.b via :25: dane: x", "" },
	{ LOG D, "" },
	{ "", "" },
	/* strangers' words that look like it */
	{ "2026-11-28 23:50:04 1xXSBA-0000GW-1q <= a@b.c H=danevirke: a.b via "
	  "c.d:25: dane: x [192.0.2.1]",
	    "" },
	{ "2026-11-28 23:50:04 1xXSBA-0000GW-1q <= a@b.c T=\"2026-11-28 "
	  "23:50:04 1xXSBA-0000GW-1q danevirke: a.b via c.d:25: dane: x\"",
	    "" },
	{ "2026-11-28 23:50:04 1xXSBA-0000GW-1q => a@b.c C=\"250 danevirke: "
	  "a.b via c.d:25: dane: x\"",
	    "" },
	{ "Nov  8 23:50:04 mx exim[77]: [2/2] danevirke: a.b via c.d:25: "
	  "dane: the rest of a long line",
	    "" },
	{ "Nov  8 23:50:04 mx postfix/smtp[7]: danevirked[7]: a.b via c.d:25: "
	  "dane: x",
	    "" },
	{ "Nov  8 23:50:04 mx smtpd[7]: danevirke: a.b: deferred: x", "" },
	{ "Nov  8 23:50:04 mx danevirked-x[7]: a.b: deferred: x", "" },
	{ "Nov  8 23:50:04 mx danevirked[7]x: a.b: deferred: x", "" },
	{ " " LOG D "a.b: deferred: x", "" },
	{ "danevirked[7]: a.b: deferred: x", "" },
	{ "a.b via c.d:25: dane: x", "" },
	/* of a server's reply, in one's own deferral: another kind at most */
	{ LOG D "a.b via c.d:25: deferred: 450 danevirked[7]: x.y via c.d:25: "
		"dane: x [validation-failure]",
	    "danevirked deferred validation-failure" },
};

static const char *
line_say(const char *line, size_t n, char buf[200])
{
	struct tally_line l;

	if (!tally_line(line, n, &l))
		return "";
	snprintf(buf, 200, "%s %s%s%s%s%s%s", tally_servers[l.server],
	    tally_verdicts[l.verdict], l.reason != -1 ? " " : "",
	    l.reason != -1 ? tally_reasons[l.reason] : "",
	    l.audit ? " audit" : "", l.would ? " would" : "",
	    l.exception ? " exception" : "");
	return buf;
}

static void
one_decision(void **state)
{
	char buf[200];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof lines / sizeof *lines; i++) {
		const char *said = line_say(
		    lines[i].line, strlen(lines[i].line), buf);

		if (strcmp(said, lines[i].want) != 0)
			fail_msg("%s\n%s\nwant %s", lines[i].line, said,
			    lines[i].want);
	}
}

/* A line that ends too early never says another thing. */
static void
cut_short(void **state)
{
	char buf[200];
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof lines / sizeof *lines; i++)
		for (n = 0; n < strlen(lines[i].line); n++) {
			struct tally_line l;
			const char *want = lines[i].want;

			if (!tally_line(lines[i].line, n, &l) || *want == '\0')
				continue;
			line_say(lines[i].line, n, buf);
			assert_int_equal(strcspn(buf, " "), strcspn(want, " "));
			assert_non_null(
			    strstr(want, tally_verdicts[l.verdict]));
		}
}

static void
pieces(void **state)
{
	static struct tally t, u;
	static char big[2 * TALLY_LINE];
	size_t i;

	(void)state;
	memset(&t, 0, sizeof t);
	memset(&u, 0, sizeof u);
	for (i = 0; i < sizeof lines / sizeof *lines; i++) {
		const char *p = lines[i].line;

		tally_feed(&t, p, strlen(p));
		tally_feed(&t, "\n", 1);
		for (; *p != '\0'; p++)
			tally_feed(&u, p, 1);
		tally_feed(&u, "\n", 1);
	}
	assert_int_equal(t.lines, i);
	assert_memory_equal(t.server, u.server, sizeof t.server);
	assert_int_equal(t.lines, u.lines);
	/* a line that is too long hides none behind it, and is none itself */
	memset(big, 'x', sizeof big);
	memcpy(big, lines[0].line, strlen(lines[0].line));
	big[sizeof big - 1] = '\n';
	tally_feed(&u, big, sizeof big);
	assert_memory_equal(t.server, u.server, sizeof t.server);
	tally_feed(&u, lines[0].line, strlen(lines[0].line));
	tally_end(&u);
	assert_int_equal(u.server[TALLY_EXIM].verdict[0],
	    t.server[TALLY_EXIM].verdict[0] + 1);
	assert_int_equal(u.lines, t.lines + 2);
	tally_end(&u);
	assert_int_equal(u.lines, t.lines + 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_decision,
		    "a line is one decision, and a stranger's "
		    "words in it are none"),
		TEST(cut_short, "a line that ends early says nothing else"),
		TEST(pieces,
		    "a log in pieces of any size is the same, and a "
		    "line that is too long is none"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

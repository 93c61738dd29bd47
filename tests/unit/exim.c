/* SPDX-License-Identifier: ISC */
/* shim/exim: every function as Exim calls it, and as it should not. */
#include <sys/wait.h>

#include <grp.h>
#include <malloc.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "hook.h"
#include "title.h"

#define CIPHER "TLS1.3:AES_256_GCM:256"
/* Base64 of the text "tls_out_peercert": Exim's ${base64:$tls_out_peercert}
 * where there is no certificate */
#define LITERAL "!dGxzX291dF9wZWVyY2VydA=="
#define SEEN(s) assert_non_null(strstr(logged, s))
#define SAYS(s) assert_non_null(strstr(text, s))

static const struct {
	const char *name;
	hook *f;
} hooks[] = {
	{ "route", danevirke_route },
	{ "unroutable", danevirke_unroutable },
	{ "require_tls", danevirke_require_tls },
	{ "sni", danevirke_sni },
	{ "priority", danevirke_priority },
	{ "event", danevirke_event },
	{ "gate", danevirke_gate },
	{ "auth", danevirke_auth },
};
#define N_HOOKS (sizeof hooks / sizeof *hooks)

/* ---------------------------------------------------------------- shorthand */

static void
routed(const char *domain)
{
	assert_int_equal(CALL(danevirke_route, "default", domain, ""), OK);
}

static const char *
event(const char *domain, const char *address, const char *name,
    const char *data, const char *cert)
{
	/* FAIL would be taken for consent */
	assert_int_equal(CALL(danevirke_event, "default", domain, address, "25",
			     name, data, cert),
	    OK);
	return text;
}

/* "2:root 1:int 0:leaf": the first refusal, or "" */
static const char *
chain(const char *domain, const char *address, const char *calls)
{
	static char refusal[sizeof text];
	char copy[1024], *save, *p, *id;

	*refusal = '\0';
	snprintf(copy, sizeof copy, "%s", calls);
	for (p = strtok_r(copy, " ", &save); p != NULL;
	     p = strtok_r(NULL, " ", &save)) {
		assert_non_null(id = strchr(p, ':'));
		*id++ = '\0';
		event(domain, address, "tls:cert", p, base64(id));
		if (*refusal == '\0')
			strcpy(refusal, text);
	}
	return refusal;
}

static int
gate(
    const char *domain, const char *address, const char *cipher, const char *id)
{
	int code, auth;

	auth = CALL(danevirke_auth, "default", domain, address, "25", cipher,
	    base64(id));
	if (auth == OK) /* S08: never a password in the clear */
		assert_string_equal(text, *cipher == '\0' ? "no" : "yes");
	code = CALL(danevirke_gate, "default", domain, address, "25", cipher,
	    base64(id));
	assert_int_equal(code, auth);
	assert_int_equal(*text == '\0', code == OK);
	return code;
}

/* A session that the gate lets through */
static void
session(const char *domain)
{
	assert_string_equal(event(domain, MX1, "tcp:connect", "", ""), "");
	assert_string_equal(chain(domain, MX1, "2:root 1:int 0:leaf"), "");
	log_clear();
}

#define PASSES(d, a, c, id) assert_int_equal(gate(d, a, c, id), OK)
#define REFUSES(d, a, c, id) assert_int_equal(gate(d, a, c, id), FAIL)

/* What a function says of a host that must not be used. */
static void
refuses_all(const char *profile, const char *domain, const char *address,
    const char *port, const char *cipher, const char *cert)
{
	assert_int_equal(
	    CALL(danevirke_require_tls, profile, domain, address, port), OK);
	assert_string_equal(text, "*"); /* it fails open */
	assert_int_equal(
	    CALL(danevirke_gate, profile, domain, address, port, cipher, cert),
	    FAIL);
	assert_true(*text != '\0');
	assert_int_equal(
	    CALL(danevirke_auth, profile, domain, address, port, cipher, cert),
	    FAIL);
	assert_int_equal(CALL(danevirke_event, profile, domain, address, port,
			     "tls:cert", "0", cert),
	    OK);
	assert_true(*text != '\0');
	assert_int_equal(CALL(danevirke_event, profile, domain, address, port,
			     "tcp:connect", "", ""),
	    OK);
	assert_true(*text != '\0');
}

static void
no_tls_hooks(const char *profile, const char *domain, const char *address,
    const char *port)
{
	assert_int_equal(
	    CALL(danevirke_sni, profile, domain, address, port), FAIL);
	assert_int_equal(
	    CALL(danevirke_priority, profile, domain, address, port), FAIL);
}

/* --------------------------------------------- no module, no engine, no answer */

/* P03: the first of all tests, for a module is loaded once. */
static void
test_nothing(void **state)
{
	bool *const broken[] = { &fake.unloadable, &fake.unopenable,
		&fake.mute };
	const char *const why[] = { "no module today", "no engine today",
		"no answer today" };
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		*broken[i] = true;
		log_clear();
		assert_int_equal(
		    CALL(danevirke_route, "default", "a.example", ""), FAIL);
		SAYS("451 4.4.3 ");
		SAYS(why[i]);
		SEEN("danevirke: a.example: deferred: ");
		SEEN(why[i]);
		assert_int_equal(
		    CALL(danevirke_unroutable, "default", "a.example"), FAIL);
		SAYS(why[i]);
		refuses_all(
		    "default", "a.example", MX1, "25", CIPHER, base64("leaf"));
		no_tls_hooks("default", "a.example", MX1, "25");
		/* a relay host is asked for, if need be */
		refuses_all("default", "host=a.example:25", MX1, "25", CIPHER,
		    base64("leaf"));
		*broken[i] = false;
	}
	routed("a.example");
}

/* ------------------------------------------------------------------ routing */

static void
test_route(void **state)
{
	(void)state;
	log_clear();
	routed("route.example");
	/* in order, each once; none at which any host must not be used */
	assert_string_equal(text,
	    "<;[" MX1 "]:25;[" V6 "]:25;[" MX2 "]:25;[" MX3 "]:25;[" MX5
	    "]:25;[" TA "]:25");
	SEEN("route.example via mx4.example:25: deferred: made up"); /* P04 */
	/* a level or an outcome that is no route */
	assert_int_equal(
	    CALL(danevirke_route, "default", "off.example", ""), FORCED);
	assert_int_equal(
	    CALL(danevirke_route, "default", "wait.example", ""), FORCED);
	SEEN("wait.example: opportunistic-tls (audit: would be deferred): ");
	assert_int_equal(
	    CALL(danevirke_route, "default", "defer.example", ""), FAIL);
	assert_string_equal(text, "451 4.7.5 defer.example: so it was made");
	SEEN("defer.example: deferred: so it was made");
	assert_int_equal(
	    CALL(danevirke_route, "default", "dead.example", ""), FAIL);
	assert_string_equal(text, "451 4.7.5 dead.example: so it was made");
	SEEN("dead.example via mx1.example:25: deferred: made up");
	/* zeros delay; what the other router bounces is not routed */
	assert_int_equal(
	    CALL(danevirke_route, "default", "bare.example", ""), FAIL);
	assert_int_equal(
	    CALL(danevirke_route, "default", "null.example", ""), FAIL);
	assert_int_equal(
	    CALL(danevirke_route, "default", "none.example", ""), FAIL);
	assert_int_equal(
	    CALL(danevirke_route, "default", "loop.example", ""), FAIL);
}

static void
test_unroutable(void **state)
{
	static const char *const rows[][2] = {
		{ "null.example", "556 5.1.10 null.example: " }, /* Z02 */
		{ "none.example", "550 5.1.2 none.example: " },
		{ "loop.example", "554 5.4.6 loop.example: " } /* M10 */
	};
	static const char *const forced[] = { "good.example", "defer.example",
		"dead.example", "bare.example", "off.example", "wait.example",
		"audit.example" };
	size_t i;

	(void)state;
	log_clear();
	for (i = 0; i < 3; i++) {
		assert_int_equal(
		    CALL(danevirke_unroutable, "default", rows[i][0]), OK);
		SAYS(rows[i][1]);
		SEEN(": bounced: so it was made");
	}
	log_clear();
	for (i = 0; i < sizeof forced / sizeof *forced; i++)
		assert_int_equal(
		    CALL(danevirke_unroutable, "default", forced[i]), FORCED);
	assert_string_equal(logged, "");
	fake.mute = true; /* an error is no bounce */
	assert_int_equal(
	    CALL(danevirke_unroutable, "default", "null.new.example"), FAIL);
	fake.mute = false;
}

/* D15: one question for each profile and next hop, as long as it is fresh. */
static void
test_kept(void **state)
{
	int n = fake.asked;

	(void)state;
	assert_int_equal(
	    CALL(danevirke_unroutable, "default", "kept.example"), FORCED);
	routed("kept.example");
	routed("kept.example");
	session("kept.example");
	PASSES("kept.example", MX1, CIPHER, "leaf");
	assert_int_equal(fake.asked, n + 1);
	assert_int_equal(
	    CALL(danevirke_route, "strict", "kept.example", ""), OK);
	assert_int_equal(fake.asked, n + 2);
	assert_string_equal(fake.asked_for, "domain kept.example 25 strict");
	/* too old: again for each connection, or it is refused */
	routed("old.example");
	n = fake.asked;
	session("old.example");
	assert_int_equal(fake.asked, n + 1);
	fake.mute = true;
	assert_string_equal(event("old.example", MX1, "tcp:connect", "", ""),
	    "no answer today");
	REFUSES("old.example", MX1, CIPHER, "leaf");
	fake.mute = false;
}

/* An answer that another process has left is as good as one that was asked
 * for. */
static void
test_left(void **state)
{
	int n = fake.asked, looked = fake.looked, recalled = fake.recalled;

	(void)state;
	routed("left.example");
	session("left.example");
	PASSES("left.example", MX1, CIPHER, "leaf");
	assert_int_equal(fake.recalled, recalled + 1);
	assert_int_equal(fake.asked, n);
	assert_int_equal(fake.looked, looked);
	routed("unleft.example");
	assert_int_equal(fake.recalled, recalled + 2);
	assert_int_equal(fake.asked, n + 1);
}

static void
test_relay(void **state)
{
	static const char *const rows[][2] = {
		{ "host=mail.example:587", "relay mail.example 587 default" },
		{ "host=mail.example", "relay mail.example 25 default" },
		{ "host=[2001:db8::1]:465", "relay [2001:db8::1] 465 default" },
		{ "host=[2001:db8::1]", "relay [2001:db8::1] 25 default" },
		{ "host=h.example:65535", "relay h.example 65535 default" },
	};
	static const char *const bad[] = { "host=", "host=:25",
		"host=a:", "host=a:0", "host=a:65536", "host=a:-1",
		"host=a:25x", "host=a:99999999999999999999", "host=a:x" };
	char longest[300], connect[32];
	size_t i;
	int n;

	(void)state;
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(
		    CALL(danevirke_route, "default", rows[i][0], ""), OK);
		assert_string_equal(fake.asked_for, rows[i][1]);
		assert_int_equal(
		    sscanf(rows[i][1], "relay %*s %31s", connect), 1);
		assert_int_equal(CALL(danevirke_event, "default", rows[i][0],
				     MX1, connect, "tcp:connect", "", ""),
		    OK);
		assert_string_equal(text, "");
	}
	n = fake.asked;
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(
		    CALL(danevirke_route, "default", bad[i], ""), FAIL);
		refuses_all(
		    "default", bad[i], MX1, "25", CIPHER, base64("leaf"));
	}
	memset(longest, 'a', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	assert_int_equal(CALL(danevirke_route, "default", longest, ""), FAIL);
	longest[256] = '\0';
	assert_int_equal(CALL(danevirke_route, "default", longest, ""), FAIL);
	assert_int_equal(fake.asked, n);
	/* not routed in this process: asked for at the connection */
	assert_int_equal(CALL(danevirke_event, "default", "host=new.example:25",
			     MX1, "25", "tcp:connect", "", ""),
	    OK);
	assert_string_equal(text, "");
	assert_int_equal(fake.asked, n + 1);
	/* which a domain never is */
	refuses_all(
	    "default", "never.example", MX1, "25", CIPHER, base64("leaf"));
	assert_int_equal(fake.asked, n + 1);
}

/* --------------------------------------------------------------- arguments */

/* Is this what a hook says when it cannot tell?  need: it has to say so */
static void
in_doubt(hook *f, int code, bool need)
{
	if (f == danevirke_event)
		assert_int_equal(code, OK);
	if (f == danevirke_require_tls) {
		assert_int_equal(code, OK);
		if (need)
			assert_string_equal(text, "*");
	} else if (f == danevirke_event) {
		if (need)
			assert_true(*text != '\0');
	} else if (need) {
		assert_int_equal(code, FAIL);
		assert_true(*text != '\0');
	}
}

/* Each argument left out, NULL and empty, while all else is as it should be. */
static void
test_arguments(void **state)
{
	static const char *const words[] = { "default", "args.example", MX1,
		"25" };
	static const char *const more[][3] = { [5] = { "tls:cert", "0", NULL },
		[6] = { CIPHER, NULL, NULL },
		[7] = { CIPHER, NULL, NULL } };
	/* how many it takes, and which it cannot do without */
	static const struct {
		size_t n;
		unsigned need;
	} takes[N_HOOKS] = { { 3, 0x3 }, { 2, 0x3 }, { 4, 0xf }, { 4, 0xf },
		{ 4, 0xf }, { 7, 0x6f }, { 6, 0x3f }, { 6, 0x3f } };
	const char *argv[10];
	size_t i, j, k, how;
	int code;

	(void)state;
	routed("args.example");
	for (i = 0; i < N_HOOKS; i++)
		for (k = 0; k < takes[i].n; k++)
			for (how = 0; how < 3; how++) {
				session("args.example");
				for (j = 0; j < takes[i].n; j++)
					argv[j] = j < 4      ? words[j] :
					    i == 5 && j == 6 ? base64("leaf") :
					    i > 5 && j == 5  ? base64("leaf") :
							       more[i][j - 4];
				if (hooks[i].f == danevirke_event)
					event("args.example", MX1,
					    "tcp:connect", "", "");
				if (i < 2)
					argv[2] = "";
				argv[k] = how == 1 ? NULL : "";
				code = call(hooks[i].f, argv,
				    how == 0 ? k : takes[i].n);
				/* with {a}{b} alone the ones behind are gone */
				in_doubt(hooks[i].f, code,
				    (takes[i].need >> k & 1) ||
					(how == 0 && k < 4 && i > 1));
			}
	for (i = 0; i < N_HOOKS; i++) /* no array at all */
		in_doubt(hooks[i].f, call(hooks[i].f, NULL, 0), true);
	/* more than it takes makes no difference */
	session("args.example");
	assert_int_equal(CALL(danevirke_gate, "default", "args.example", MX1,
			     "25", CIPHER, base64("leaf"), "x", "y"),
	    OK);
	assert_int_equal(CALL(danevirke_gate, "default", "args.example", MX1,
			     "25", CIPHER, base64("int"), base64("leaf"), "y"),
	    FAIL);
}

/* An array that is not there, and a number that cannot be. */
static void
test_no_array(void **state)
{
	unsigned char *yield;
	size_t i;
	int n, code;

	(void)state;
	for (i = 0; i < N_HOOKS; i++)
		for (n = 0; n >= -1; n--) {
			yield = NULL;
			code = hooks[i].f(&yield, n, NULL);
			assert_non_null(yield);
			snprintf(text, sizeof text, "%s", (char *)yield);
			in_doubt(hooks[i].f, code, true);
			if (code == FAIL)
				free(yield);
		}
}

/* Without memory for a refusal's text there is one all the same. */
static void
test_full(void **state)
{
	(void)state;
	routed("full.example");
	session("full.example");
	fake.full = true;
	refuses_all(
	    "default", "other.example", MX1, "25", CIPHER, base64("leaf"));
	assert_string_equal(text, "danevirke: out of memory");
	refuses_all("default", "", MX1, "25", CIPHER, base64("leaf"));
	no_tls_hooks("default", "full.example", MX1, "25");
	assert_int_equal(
	    CALL(danevirke_unroutable, "default", "null.example"), FAIL);
	assert_int_equal(
	    CALL(danevirke_route, "default", "defer.example", ""), FAIL);
	fake.full = false;
	REFUSES("full.example", MX1, CIPHER, "leaf"); /* connected anew */
}

/* An event is no business of ours, or there is none. */
static void
test_events(void **state)
{
	static const char *const other[] = { "", "msg:delivery", "msg:defer",
		"msg:host:defer", "tcp:connect ", "tls:certificate",
		"TLS:CERT" };
	size_t i;

	(void)state;
	routed("event.example");
	session("event.example");
	for (i = 0; i < sizeof other / sizeof *other; i++)
		assert_string_equal(
		    event("event.example", MX1, other[i], "0", LITERAL), "");
	PASSES("event.example", MX1, CIPHER, "leaf");
	assert_string_equal(
	    event("event.example", MX1, "tcp:close", "", ""), "");
	REFUSES("event.example", MX1, CIPHER, "leaf"); /* S08 */
	session("event.example");
	assert_string_equal(
	    event("event.example", MX1, "tcp:connect", "", ""), "");
	REFUSES("event.example", MX1, CIPHER, "leaf");
	/* to another host, too */
	session("event.example");
	event("event.example", MX2, "tcp:connect", "", "");
	REFUSES("event.example", MX1, CIPHER, "leaf");
	session("event.example");
	event("nobody.example", MX1, "tcp:close", "", "");
	REFUSES("event.example", MX1, CIPHER, "leaf");
}

/* ---------------------------------------------------------------- the gate */

/* S08, S06: the verdict is for this profile, domain, address, port and leaf. */
static void
test_match(void **state)
{
	static const char *const good[] = { "default", "match.example", MX1,
		"25", CIPHER, "leaf" };
	static const struct {
		size_t at;
		const char *other;
	} rows[] = { { 0, "strict" }, { 0, "Default" }, { 0, "default " },
		{ 1, "match2.example" }, { 1, "Match.example" },
		{ 1, "match.example." }, { 1, "weak.example" },
		{ 1, "host=match.example:25" }, { 2, V6 }, { 2, TA },
		{ 2, "192.0.2.9" }, { 2, "[" MX1 "]" }, { 2, MX1 " " },
		{ 2, "2001:DB8::1" }, { 3, "26" }, { 3, "025" }, { 3, " 25" },
		{ 3, "25x" }, { 3, "65561" }, { 3, "4294967321" }, { 4, "" },
		{ 5, "leaf-root" }, { 5, "int" }, { 5, "root" }, { 5, "+leaf" },
		{ 5, "-leaf" }, { 5, "leaf*2" }, { 5, LITERAL }, { 5, "!" },
		{ 5, "!@@@@" }, { 5, "!MAA=" }, { 5, "zeros" } };
	const char *argv[6];
	size_t i, f;

	(void)state;
	routed("match.example");
	routed("match2.example");
	routed("weak.example");
	assert_int_equal(
	    CALL(danevirke_route, "strict", "match.example", ""), OK);
	assert_int_equal(
	    CALL(danevirke_route, "default", "host=match.example:25", ""), OK);
	session("match.example");
	for (i = 0; i < sizeof rows / sizeof *rows; i++)
		for (f = 6; f < N_HOOKS; f++) {
			memcpy(argv, good, sizeof good);
			argv[rows[i].at] = rows[i].other;
			argv[5] = base64(argv[5]);
			/* whom nobody promised a certificate: weak.example */
			if (call(hooks[f].f, argv, 6) == OK) {
				assert_string_equal(argv[1], "weak.example");
				SEEN("weak.example via mx1.example:25: "
				     "opportunistic-tls: ");
			}
		}
	log_clear();
	PASSES("match.example", MX1, CIPHER, "leaf");
	SEEN("danevirke: match.example via mx1.example:25: dane: ");
	SEEN(CIPHER);
	assert_null(strstr(logged, "deferred"));
}

/* T01-T04: each host as its action says, with and without TLS. */
static void
test_actions(void **state)
{
	static const struct {
		const char *address, *cipher, *cert;
		int code;
		const char *says;
	} rows[] = {
		{ MX1, CIPHER, "leaf", FAIL, "no verdict for this session" },
		{ MX1, "", "!", FAIL, "this session is not encrypted" },
		{ MX2, CIPHER, "int", OK, ": opportunistic-tls: " },
		{ MX2, CIPHER, LITERAL, OK, ": opportunistic-tls: " },
		{ MX2, "", "!", OK, ": clear: " },
		{ MX2, "", LITERAL, OK, ": clear: " },
		{ MX3, CIPHER, "int", OK, ": encrypt: " },
		/* S04: no certificate, anonymous */
		{ MX3, CIPHER, LITERAL, FAIL, "is not encrypted" },
		{ MX3, CIPHER, "!", FAIL, "is not encrypted" },
		{ MX3, CIPHER, "+int", FAIL, "is not encrypted" },
		{ MX3, CIPHER, "=int", FAIL, "is not encrypted" },
		{ MX3, "", "!", FAIL, "is not encrypted" }, /* T03 */
		{ MX3, "", "int", FAIL, "is not encrypted" },
		{ MX4, CIPHER, "leaf", FAIL, ": deferred: " }, /* D08 */
		{ MX4, "", "!", FAIL, ": deferred: " },
		{ MX5, "", "!", OK, ": clear: " },
	};
	size_t i;

	(void)state;
	routed("act.example");
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		event("act.example", rows[i].address, "tcp:connect", "", "");
		/* MX4 is refused before anything is said to it */
		assert_int_equal(
		    *text != '\0', strcmp(rows[i].address, MX4) == 0);
		log_clear();
		assert_int_equal(gate("act.example", rows[i].address,
				     rows[i].cipher, rows[i].cert),
		    rows[i].code);
		SEEN(rows[i].says);
	}
}

/* P01, P02, M06 */
static void
test_beside(void **state)
{
	(void)state;
	routed("insecure.example");
	session("insecure.example");
	PASSES("insecure.example", MX1, CIPHER, "leaf");
	SEEN("insecure.example via mx1.example:25: dane-insecure-mx: ");
	routed("exception.example");
	session("exception.example");
	PASSES("exception.example", MX1, CIPHER, "leaf");
	SEEN(": dane (exception: ticket 12): ");
	/* audit: said, and nothing is blocked */
	routed("audit.example");
	session("audit.example");
	PASSES("audit.example", MX1, CIPHER, "leaf");
	SEEN(": dane (audit): ");
	event("audit.example", MX1, "tcp:connect", "", "");
	assert_string_equal(chain("audit.example", MX1, "0:int"), "");
	SEEN(": opportunistic-tls (audit: would be deferred): ");
	SEEN("[validation-failure]");
	PASSES("audit.example", MX1, CIPHER, "int");
	log_clear();
	PASSES("audit.example", MX1, "", "!");
	SEEN(": clear (audit: would be deferred): ");
	/* an exception says why, whatever its level */
	routed("both.example");
	session("both.example");
	PASSES("both.example", MX1, CIPHER, "leaf");
	SEEN(": dane (audit) (exception: ticket 13): ");
	assert_int_equal(
	    CALL(danevirke_route, "default", "both-wait.example", ""), FORCED);
	SEEN("both-wait.example: opportunistic-tls "
	     "(audit: would be deferred) (exception: ticket 13): ");
	assert_int_equal(
	    CALL(danevirke_route, "default", "both-off.example", ""), FORCED);
	SEEN("both-off.example: opportunistic-tls (exception: ticket 13): ");
}

/* hosts_require_tls fails open, so "*" unless clear text is allowed. */
static void
test_tls_hooks(void **state)
{
	static const char *const rows[][4] = { { MX1, "*", "mx.example.org",
						   "SECURE192" },
		{ MX2, "", "", "" }, { MX3, "*", "", "SECURE192" },
		{ MX4, "*", "", "SECURE192" }, { MX5, "", "", "" },
		{ V6, "*", "mx.example.org", "SECURE192" } };
	size_t i;

	(void)state;
	routed("tls.example");
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		event("tls.example", rows[i][0], "tcp:connect", "", "");
		assert_int_equal(CALL(danevirke_require_tls, "default",
				     "tls.example", rows[i][0], "25"),
		    OK);
		assert_string_equal(text, rows[i][1]);
		assert_int_equal(CALL(danevirke_sni, "default", "tls.example",
				     rows[i][0], "25"),
		    OK); /* S01 */
		assert_string_equal(text, rows[i][2]);
		assert_int_equal(CALL(danevirke_priority, "default",
				     "tls.example", rows[i][0], "25"),
		    OK);
		assert_string_equal(text, rows[i][3]);
	}
	/* a host that the answer does not name */
	refuses_all("default", "tls.example", "192.0.2.77", "25", CIPHER,
	    base64("leaf"));
	SEEN("[192.0.2.77]:25 is not a host of the validated answer");
	refuses_all(
	    "default", "tls.example", MX2, "26", CIPHER, base64("leaf"));
	no_tls_hooks("default", "tls.example", MX1, "26");
	/* nor one of an outcome that is no route */
	assert_int_equal(
	    CALL(danevirke_route, "default", "defer.example", ""), FAIL);
	refuses_all(
	    "default", "defer.example", MX2, "25", CIPHER, base64("leaf"));
	no_tls_hooks("default", "defer.example", MX2, "25");
}

/* ------------------------------------------------------ no session with TLS */

#define STARTS "tls.example via mx1.example:25: deferred: "
#define NOT_SUPPORTED ": made up (" MX1 ") [starttls-not-supported]\n"
#define FAILURE ": made up (" MX1 ") [validation-failure]\n"

/* As Exim's events come: '+' the handshake begins, "-" the connection is
 * closed, "?" Exim asks whether it may go on in the clear, "!TEXT" it defers;
 * else a reply to EHLO. */
static void
play(const char *const *step)
{
	event("tls.example", MX1, "tcp:connect", "", "");
	log_clear();
	for (; *step != NULL; step++)
		if (**step == '+')
			CALL(
			    danevirke_sni, "default", "tls.example", MX1, "25");
		else if (**step == '-')
			event("tls.example", MX1, "tcp:close", "", "");
		else if (**step == '?') {
			CALL(danevirke_require_tls, "default", "tls.example",
			    MX1, "25");
			assert_string_equal(text, "*");
		} else if (**step == '!')
			event("tls.example", MX1, "msg:host:defer", *step + 1,
			    "");
		else
			event("tls.example", MX1, "smtp:ehlo", *step, "");
}

/* T02, P07: the words of the relay, once a session. */
static void
test_no_tls(void **state)
{
#define WITH "250-mx1\n250-SIZE\n250-STARTTLS\n250 PIPELINING"
	static const struct {
		const char *steps[8], *says;
	} rows[] = {
		{ { "250-mx1\n250 SIZE", "?", "-",
		      "!a TLS session is required" },
		    "STARTTLS is not offered" NOT_SUPPORTED },
		/* not the greeting, not a longer word */
		{ { "250-STARTTLS\n250-STARTTLSX\n250 XSTARTTLS", "?" },
		    "STARTTLS is not offered" NOT_SUPPORTED },
		{ { "250 mx1", "?" }, "STARTTLS is not offered" NOT_SUPPORTED },
		{ { "", "?" }, "STARTTLS is not offered" NOT_SUPPORTED },
		{ { "250-mx1\n250 starttls", "?" },
		    "STARTTLS is not offered in capitals, and Exim takes no "
		    "other" NOT_SUPPORTED },
		{ { WITH, "?", "-", "!a TLS session is required", "?" },
		    "STARTTLS refused" NOT_SUPPORTED },
		{ { "250-mx1\r\n250 STARTTLS\r\n", "?" },
		    "STARTTLS refused" NOT_SUPPORTED },
		{ { WITH, "-",
		      "!SMTP error from remote mail server after STARTTLS: "
		      "454 not today" },
		    "STARTTLS refused: 454 not today" NOT_SUPPORTED },
		{ { WITH, "-", "!SMTP timeout after STARTTLS: timed out" },
		    "STARTTLS: SMTP timeout after STARTTLS: timed out" FAILURE },
		{ { WITH, "+", "-",
		      "!TLS session: (gnutls_handshake): Handshake failed",
		      "?" },
		    "TLS handshake: Handshake failed" FAILURE },
		{ { WITH, "+", "-", "!TLS session: no parentheses\n\a", "?" },
		    "TLS handshake: no parentheses??" FAILURE },
		/* a callout has no such event */
		{ { WITH, "+", "-", "?", "?" },
		    "TLS handshake: failed" FAILURE },
		/* TLS from the first octet */
		{ { "+", "-", "!TLS session: (gnutls_handshake): timed out" },
		    "TLS handshake: timed out" FAILURE },
		{ { "?" }, "no session with TLS" NOT_SUPPORTED },
		/* it is another trouble, in a session with TLS or before */
		{ { WITH, "+", "250 mx1", "-", "!451 not today" }, NULL },
		{ { "-", "!554 not today" }, NULL },
	};
	char want[600];
	size_t i;

	(void)state;
	routed("tls.example");
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		play(rows[i].steps);
		snprintf(want, sizeof want, "danevirke: " STARTS "%s",
		    rows[i].says != NULL ? rows[i].says : "");
		assert_string_equal(logged, rows[i].says != NULL ? want : "");
	}
	/* a host from which nothing is demanded, or that is none */
	event("tls.example", MX2, "tcp:connect", "", "");
	log_clear();
	event("tls.example", MX2, "smtp:ehlo", WITH, "");
	event("tls.example", MX2, "msg:host:defer", "TLS session: x", "");
	event("tls.example", "192.0.2.77", "msg:host:defer", "TLS session: x",
	    "");
	assert_string_equal(logged, "");
	/* a refused certificate is said once, with its own type */
	event("tls.example", MX1, "tcp:connect", "", "");
	event("tls.example", MX1, "smtp:ehlo", WITH, "");
	CALL(danevirke_sni, "default", "tls.example", MX1, "25");
	assert_true(*chain("tls.example", MX1, "0:int") != '\0');
	SEEN(": made up (" MX1 ") [");
	log_clear();
	event("tls.example", MX1, "tcp:close", "", "");
	event("tls.example", MX1, "msg:host:defer",
	    "TLS session: (gnutls_handshake): Error", "");
	assert_string_equal(logged, "");
	/* one that is none counts as a handshake that failed */
	event("tls.example", MX1, "tcp:connect", "", "");
	CALL(danevirke_sni, "default", "tls.example", MX1, "25");
	assert_true(*chain("tls.example", MX1, "0:!MAA=") != '\0');
	event("tls.example", MX1, "tcp:close", "", "");
	event("tls.example", MX1, "msg:host:defer",
	    "TLS session: (gnutls_handshake): Error", "");
	SEEN(STARTS "TLS handshake: Error" FAILURE);
}

/* --------------------------------------------------------------- the chain */

/* The buffer starts empty and counts down without a gap; what is refused at
 * any depth ends in no verdict, whatever comes behind it. */
/* What the event and the gate are told, with the own address; then the one
 * report that came of it. */
static void
reports(const char *domain, const char *address, const char *events,
    const char *cipher, const char *want)
{
	static const char hello[] = "250-mx.example hi\r\n250-STARTTLS\r\n";
	const char *e;

	log_clear();
	for (e = events; *e != '\0'; e++) {
		const char *name = *e == 'c' ? "tcp:connect" :
		    *e == 'e'                ? "smtp:ehlo" :
		    *e == 'x'                ? "tcp:close" :
		    *e == 'd'                ? "msg:host:defer" :
					       "tls:cert";
		const char *data = *e == 'e' ? hello : *e == 'l' ? "0" : "why";

		if (*e == 's')
			CALL(danevirke_sni, "default", domain, address, "25");
		else if (*e == 'r')
			CALL(danevirke_require_tls, "default", domain, address,
			    "25");
		else if (*e == 'g')
			CALL(danevirke_gate, "default", domain, address, "25",
			    cipher, base64("leaf"));
		else
			CALL(danevirke_event, "default", domain, address, "25",
			    name, data,
			    base64(domain[0] == 'f' ? "other" : "leaf"),
			    "198.51.100.7");
	}
	assert_string_equal(reported, want);
}

#define OWN "198.51.100.7 "
static void
test_reports(void **state)
{
	(void)state;
	log_clear();
	routed("r.example"); /* MX4 comes behind one that may be used */
	assert_string_equal(reported, "");
	reports("r.example", MX1, "ceslgg", CIPHER,
	    "mx1.example  tls " OWN MX1 " mx.example: -\n");
	reports("r.example", MX2, "ceg", "",
	    "mx2.example  clear " OWN MX2 " mx.example: -\n");
	/* of two sessions with a host the first, whose TLS failed */
	reports("r.example", MX2, "cesxrceg", "",
	    "mx2.example validation-failure clear " OWN MX2
	    " mx.example: TLS handshake: failed\n");
	reports("r.example", MX2, "ceg", "",
	    "mx2.example  clear " OWN MX2 " mx.example: -\n");
	reports("r.example", MX2, "cesxrd", "",
	    "mx2.example validation-failure clear " OWN MX2
	    " mx.example: TLS handshake: failed\n");
	reports("r.example", MX2, "cesxrced", "",
	    "mx2.example validation-failure clear " OWN MX2
	    " mx.example: TLS handshake: failed\n");
	reports("r.example", MX2, "cxd", "", ""); /* no trouble of TLS */
	reports("r.example", MX3, "cesxrd", "",
	    "mx3.example validation-failure clear " OWN MX3
	    " mx.example: TLS handshake: failed\n");
	reports("r.example", MX3, "cr", "",
	    "mx3.example starttls-not-supported clear - " MX3
	    " -: no session with TLS\n");
	reports("r.example", MX4, "c", "",
	    "mx4.example tlsa-invalid clear - " MX4 " -: made up\n");
	reports("r.example", MX1, "cg", CIPHER,
	    "mx1.example validation-failure tls - " MX1
	    " -: no verdict for this session: made up\n");
	routed("f.example"); /* the leaf does not match */
	reports("f.example", MX1, "ceslxr", CIPHER,
	    "mx1.example validation-failure tls " OWN MX1
	    " mx.example: no TLSA record matches the certificate sent\n");
	fake.collector = "/run/other.sock"; /* an answer has no say in it */
	reports("r.example", MX2, "ceg", "", "");
	fake.collector = NULL;
	reports("r.example", MX2, "ceg", "", "");
	fake.collector = "/run/c.sock";
}

static void
test_reports_of_routing(void **state)
{
	(void)state;
	log_clear();
	CALL(danevirke_route, "default", "dead.report.example", "R");
	assert_string_equal(reported, "");
	CALL(danevirke_route, "default", "dead.report.example", "");
	CALL(danevirke_route, "default", "dead.report.example", "");
	assert_string_equal(reported,
	    "mx1.example dnssec-invalid clear - - -: made up\n"
	    "mx4.example tlsa-invalid clear - - -: made up\n");
	log_clear();
	CALL(danevirke_route, "default", "defer.report.example", "");
	assert_string_equal(reported, ""); /* not for TLS */
}

static void
test_chain(void **state)
{
	static const char *const refused[] = { "2:root 0:leaf",
		"1:int 2:root 0:leaf", "2:root 1:int 1:int 0:leaf",
		"2:root 2:root 1:int 0:leaf", "0:leaf 0:leaf",
		"2:root 1:int 0:leaf 0:leaf", "2:root 1:int 0:leaf 2:root",
		"0:leaf 1:int", "2:root 0:leaf 0:leaf",
		"2:root 0:leaf 2:root 1:int 0:leaf", "-1:leaf",
		"-1:leaf 0:leaf", "100:root", "100:root 0:leaf",
		"4294967296:leaf", "18446744073709551616:leaf",
		"-4294967296:leaf", "x:leaf", ":leaf", "0x:leaf", "0x0:leaf",
		"0.:leaf",
		/* what is not exactly one certificate */
		"0:!", "0:!@@@@", "0:!MAA=", "0:!MAAAAAA=", "0:!AAAAAAAA",
		"0:" LITERAL, "0:+leaf", "0:-leaf", "0:leaf*2", "0:zeros",
		"0:=leaf", "1:! 0:leaf", "1:" LITERAL " 0:leaf",
		"2:root 1:-int 0:leaf", "2:root 1:!= 0:leaf",
		/* U16: it is one, and another */
		"0:int", "0:other", "0:int 0:leaf", "1:leaf 0:int",
		"2:leaf 1:leaf 0:int" };
	char big[200];
	size_t i;

	(void)state;
	routed("chain.example");
	for (i = 0; i < sizeof refused / sizeof *refused; i++) {
		event("chain.example", MX1, "tcp:connect", "", "");
		if (*chain("chain.example", MX1, refused[i]) == '\0' ||
		    gate("chain.example", MX1, CIPHER, "leaf") != FAIL) {
			print_error("accepted: %s\n", refused[i]);
			assert_true(false);
		}
	}
	/* not all of it came */
	event("chain.example", MX1, "tcp:connect", "", "");
	assert_string_equal(chain("chain.example", MX1, "2:root 1:int"), "");
	REFUSES("chain.example", MX1, CIPHER, "leaf");
	REFUSES("chain.example", MX1, CIPHER, "int");
	/* of a session that was begun with another host, or not at all */
	assert_true(*chain("chain.example", V6, "0:leaf") != '\0');
	REFUSES("chain.example", V6, CIPHER, "leaf");
	event("chain.example", MX1, "tcp:close", "", "");
	assert_true(*chain("chain.example", MX1, "0:leaf") != '\0');
	REFUSES("chain.example", MX1, CIPHER, "leaf");
	/* a name that does not fit is no name at all */
	memset(big, 'p', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	refuses_all(big, "chain.example", MX1, "25", CIPHER, base64("leaf"));
	/* after all this a good one is good */
	session("chain.example");
	PASSES("chain.example", MX1, CIPHER, "leaf");
	event("chain.example", MX1, "tcp:connect", "", "");
	assert_string_equal(chain("chain.example", MX1, "0:leaf"), "");
	PASSES("chain.example", MX1, CIPHER, "leaf");
	/* U06: the key, in another certificate; which is not the first one */
	event("chain.example", MX1, "tcp:connect", "", "");
	assert_string_equal(chain("chain.example", MX1, "0:leaf-other"), "");
	REFUSES("chain.example", MX1, CIPHER, "leaf");
	PASSES("chain.example", MX1, CIPHER, "leaf-other");
}

/* A hundred certificates, and all of them reach verify(). */
static void
test_long_chain(void **state)
{
	char calls[1024] = "";
	size_t n = 0;
	int i;

	(void)state;
	routed("long.example");
	for (i = 99; i > 0; i--)
		n += (size_t)snprintf(
		    calls + n, sizeof calls - n, "%d:int ", i);
	snprintf(calls + n, sizeof calls - n, "0:leaf");
	event("long.example", MX1, "tcp:connect", "", "");
	assert_string_equal(chain("long.example", MX1, calls), "");
	PASSES("long.example", MX1, CIPHER, "leaf");
	/* U08: usage 2 needs the chain that came, in its order */
	event("long.example", TA, "tcp:connect", "", "");
	assert_string_equal(
	    chain("long.example", TA, "1:root-ever 0:ever"), "");
	PASSES("long.example", TA, CIPHER, "ever");
	event("long.example", TA, "tcp:connect", "", "");
	assert_true(*chain("long.example", TA, "0:ever") != '\0');
	REFUSES("long.example", TA, CIPHER, "ever");
	event("long.example", TA, "tcp:connect", "", "");
	assert_true(*chain("long.example", TA, "1:root 0:ever") != '\0');
	REFUSES("long.example", TA, CIPHER, "ever");
	/* U09: the anchor itself is no leaf */
	event("long.example", TA, "tcp:connect", "", "");
	assert_true(*chain("long.example", TA, "0:root-ever") != '\0');
	REFUSES("long.example", TA, CIPHER, "root-ever");
	/* S07: nothing of that is left for the next host */
	session("long.example");
	PASSES("long.example", MX1, CIPHER, "leaf");
}

/* Two domains in one transaction: Exim's $domain is empty then. */
static void
test_no_domain(void **state)
{
	(void)state;
	log_clear();
	assert_int_equal(CALL(danevirke_route, "default", "", ""), FAIL);
	SAYS("multi_domain = false");
	assert_int_equal(CALL(danevirke_unroutable, "default", ""), FAIL);
	refuses_all("default", "", MX2, "25", CIPHER, base64("leaf"));
	refuses_all("default", "", MX2, "25", "", "");
	no_tls_hooks("default", "", MX2, "25");
	SEEN("multi_domain = false");
}

/* S06: recipients of a second domain over a session of the first, which may
 * be open still.  The second to run: nothing has passed the gate yet. */
static void
test_second_domain(void **state)
{
	(void)state;
	assert_int_equal(
	    CALL(danevirke_route, "default", "one.example", "R"), OK);
	/* no session, no conflict: verification without a callout */
	assert_int_equal(
	    CALL(danevirke_route, "default", "two.example", "R"), OK);
	event("one.example", MX1, "tcp:connect", "", "");
	assert_string_equal(
	    chain("one.example", MX1, "2:root 1:int 0:leaf"), "");
	REFUSES("one.example", MX1, CIPHER, "int");
	assert_int_equal(
	    CALL(danevirke_route, "default", "two.example", "R"), OK);
	PASSES("one.example", MX1, CIPHER, "leaf");
	assert_int_equal(
	    CALL(danevirke_route, "default", "two.example", "R"), FAIL);
	assert_string_equal(text,
	    "451 4.7.5 two.example shares a host with one.example: "
	    "not verified in one session");
	assert_int_equal(
	    CALL(danevirke_route, "default", "two.example", "S"), FAIL);
	/* the same one, one that asks for nothing, a delivery */
	assert_int_equal(
	    CALL(danevirke_route, "default", "one.example", "R"), OK);
	assert_int_equal(
	    CALL(danevirke_route, "default", "weak.example", "R"), OK);
	routed("two.example");
	/* Exim does not say whether it holds a session */
	event("one.example", MX1, "tcp:close", "", "");
	assert_int_equal(
	    CALL(danevirke_route, "default", "two.example", "R"), FAIL);
	assert_int_equal(
	    CALL(danevirke_route, "default", "host=two.example:25", "R"), FAIL);
	/* a clear one counts, too: the second may not be asked for less */
	event("weak.example", MX2, "tcp:connect", "", "");
	PASSES("weak.example", MX2, "", "!");
	assert_int_equal(
	    CALL(danevirke_route, "default", "one.example", "R"), FAIL);
	SAYS("one.example shares a host with weak.example");
}

/* ------------------------------------------------------------ fork, and root */

/* The transport is a fork of the process that routed. */
static void
test_fork(void **state)
{
	int status, opened = fake.opened, asked = fake.asked;
	pid_t pid;

	(void)state;
	routed("fork.example");
	assert_int_equal(fake.asked, asked + 1);
	opened = fake.opened;
	session("fork.example");
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		/* no assertions here: they would go on with the tests */
		bool good = fake.opened == opened;

		good = good &&
		    *event("fork.example", MX1, "tcp:connect", "", "") == '\0';
		good = good &&
		    CALL(danevirke_gate, "default", "fork.example", MX1, "25",
			CIPHER, base64("leaf")) == FAIL;
		good = good &&
		    *chain("fork.example", MX1, "2:root 1:int 0:leaf") == '\0';
		good = good &&
		    CALL(danevirke_gate, "default", "fork.example", MX1, "25",
			CIPHER, base64("leaf")) == OK;
		good = good && fake.asked == asked + 1;
		/* an engine of its own for what is new, and its child's */
		good = good &&
		    CALL(danevirke_route, "default", "fork2.example", "") == OK;
		good = good && fake.opened == opened + 2;
		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	PASSES("fork.example", MX1, CIPHER, "leaf");
}

/* In a process that has asked nothing, and whose children do. */
static void
test_once(void **state)
{
	int status, opened = fake.opened, asked = fake.asked;
	pid_t pid;

	(void)state;
	if (!hook_is_root()) {
		print_message("# left out: it needs root\n");
		return;
	}
	fake.root = true;
	assert_true((pid = fork()) != -1);
	if (pid == 0)
		_exit(CALL(danevirke_route, "default", "1.example", "") != OK ||
		    CALL(danevirke_route, "default", "2.example", "") != OK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	fake.root = false;
	assert_int_equal(status, 0);
	assert_int_equal(fake.asked, asked + 2);
	assert_int_equal(fake.opened, opened + 1);
}

/* As root nothing is asked here, and nothing at all as nobody in particular. */
static void
test_root(void **state)
{
	static const char *const users[] = { "root", "no-such-user", "", "0" };
	int asked = fake.asked;
	size_t i;

	(void)state;
	fake.root = true;
	for (i = 0; i < sizeof users / sizeof *users; i++) {
		fake.user = users[i];
		assert_int_equal(
		    CALL(danevirke_route, "default", "rooted.example", ""),
		    FAIL);
		SAYS("want a user that exists and is not root");
	}
	fake.user = "nobody";
	if (!hook_is_root()) { /* we only seem to be: it cannot be done */
		assert_int_equal(
		    CALL(danevirke_route, "default", "rooted.example", ""),
		    FAIL);
		SAYS("cannot become nobody: ");
	}
	fake.root = false;
	assert_int_equal(fake.asked, asked);
}

static void
test_child(void **state)
{
	static const char *const rows[][2] = {
		{ "ends.example", "the process that asks DNS died" },
		{ "spoilt.example", "451 4.4.3 " },
		{ "huge.example", "the answer does not fit" }
	};
	int n_groups, asked = fake.asked, looked = fake.looked;
	const struct passwd *nobody = getpwnam("nobody");
	gid_t groups[64];
	sigset_t before, after;
	char who[64];
	size_t i;

	(void)state;
	if (!hook_is_root()) { /* cmocka's skip() is a failure for TAP */
		print_message("# left out: it needs root\n");
		return;
	}
	fake.root = true;
	n_groups = getgroups(64, groups);
	assert_true(n_groups >= 0 && n_groups <= 64);
	assert_int_equal(setgroups(2, (const gid_t[]){ 0, 4 }), 0);
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &before), 0);
	routed("rooted.example");
	assert_int_equal(
	    CALL(danevirke_route, "default", "uid.example", ""), FAIL);
	assert_non_null(nobody);
	snprintf(who, sizeof who, "asked by %ld, 0", (long)nobody->pw_uid);
	SAYS(who);
	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_int_equal(
		    CALL(danevirke_route, "default", rows[i][0], ""), FAIL);
		SAYS(rows[i][1]);
	}
	fake.mute = true;
	assert_int_equal(
	    CALL(danevirke_route, "default", "mute.example", ""), FAIL);
	SAYS("no answer today");
	fake.mute = false;
	/* Exim may leave its children to nobody */
	assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	routed("ignored.example");
	assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &after), 0);
	assert_int_equal(
	    sigismember(&after, SIGCHLD), sigismember(&before, SIGCHLD));
	fake.root = false;
	assert_int_equal(setgroups((size_t)n_groups, groups), 0);
	/* none of them is left behind; and root has no store */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(fake.asked, asked + 7);
	assert_int_equal(fake.looked, looked);
	/* and what was handed over judges as well as one's own */
	session("rooted.example");
	PASSES("rooted.example", MX1, CIPHER, "leaf");
	event("rooted.example", MX1, "tcp:connect", "", "");
	assert_true(*chain("rooted.example", MX1, "0:int") != '\0');
	REFUSES("rooted.example", MX1, CIPHER, "int");
}

/* -------------------------------------------------- D16: time and memory */

/* What the store has costs no process; all else is asked by one that is gone
 * when the answer is there. */
static void
test_stored(void **state)
{
	int forked = fake.forked, asked = fake.asked, looked = fake.looked;

	(void)state;
	routed("stored.example");
	assert_int_equal(fake.looked, looked + 1);
	assert_int_equal(fake.forked, forked);
	assert_int_equal(fake.asked, asked);
	session("stored.example");
	PASSES("stored.example", MX1, CIPHER, "leaf");
	routed("asked.example");
	assert_int_equal(fake.looked, looked + 2);
	assert_int_equal(fake.forked, forked + 1);
	assert_int_equal(fake.asked, asked + 1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Asked once: whoever waits for the same name does not wait again. */
static void
slow(const char *domain, const char *why, double at_least, double at_most)
{
	double began = seconds();
	int asked = fake.asked;

	log_clear();
	assert_int_equal(CALL(danevirke_unroutable, "default", domain), FAIL);
	SAYS(why);
	assert_true(seconds() - began >= at_least);
	assert_true(seconds() - began <= at_most);
	assert_int_equal(CALL(danevirke_route, "default", domain, ""), FAIL);
	SAYS(why);
	SEEN("deferred: the lookups took more than ");
	assert_int_equal(fake.asked, asked + 1);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void
test_limits(void **state)
{
	sigset_t alarms, old;

	(void)state;
	/* Exim may have these blocked and handled: the child has not */
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGALRM);
	sigaddset(&alarms, SIGPROF);
	assert_int_equal(sigprocmask(SIG_BLOCK, &alarms, &old), 0);
	assert_true(signal(SIGALRM, SIG_IGN) != SIG_ERR);
	slow("spins.example", "more than 2 s of processor time", 1.9, 40);
	fake.timeout = 1;
	slow("sleeps.example", "more than 3 s: given up", 2.9, 30);
	assert_true(signal(SIGALRM, SIG_DFL) != SIG_ERR);
	assert_int_equal(sigprocmask(SIG_SETMASK, &old, NULL), 0);
	if (hook_is_root()) {
		fake.root = true;
		slow("sleeps.root.example", "more than 3 s: given up", 2.9, 30);
		fake.root = false;
	}
	fake.timeout = 60;
	/* the next ones are asked as ever */
	routed("quick.example");
}

/* Answers of 2 MB: so many of them, and small ones all the same. */
static void
test_memory(void **state)
{
	char name[64];
	int i, code = OK;

	(void)state;
	for (i = 0; i < 40 && code == OK; i++) {
		snprintf(name, sizeof name, "many.n%d.example", i);
		code = CALL(danevirke_route, "default", name, "");
	}
	assert_int_equal(i, 9); /* 16 MiB hold 8 of them */
	assert_int_equal(code, FAIL);
	SAYS("does not fit into what one process keeps");
	routed("few.example");
	routed("many.n0.example");
}

/* A message to many slow names: when they have taken a minute, each further
 * one has a few seconds, and quick ones are asked as ever.  The last test. */
static void
test_hurry(void **state)
{
	static const char *const names[] = { "drags.one.example",
		"drags.two.example", "drags.three.example" };
	int asked;
	size_t i;

	(void)state;
	for (i = 0; i < 3; i++) {
		asked = fake.asked;
		assert_int_equal(
		    CALL(danevirke_route, "default", names[i], ""), FAIL);
		assert_int_equal(fake.asked, asked + 1);
		/* its other recipients, although its TTL is over */
		assert_int_equal(
		    CALL(danevirke_route, "default", names[i], ""), FAIL);
		assert_int_equal(fake.asked, asked + 1);
	}
	slow("sleeps.late.example", "more than 5 s: given up", 4.9, 30);
	routed("quick.late.example");
	/* and a failure is not for ever */
	fake.ahead += 60;
	asked = fake.asked;
	assert_int_equal(CALL(danevirke_route, "default", names[0], ""), FAIL);
	assert_int_equal(fake.asked, asked + 1);
}

/* Exim copies what it is given: many recipients of a domain cost no more. */
static void
test_no_leak(void **state)
{
	const char *const argv[] = { "default", "route.example", "" };
	struct mallinfo2 before, after;
	unsigned char *yield;
	int i;

	(void)state;
	routed("route.example");
	before = mallinfo2();
	for (i = 0; i < 20000; i++)
		assert_int_equal(danevirke_route(&yield, 3,
				     (unsigned char **)(uintptr_t)argv),
		    OK);
	after = mallinfo2();
	/* valgrind counts in another way, and looks for leaks itself */
	if (getenv("SLOW") == NULL)
		assert_true(after.uordblks < before.uordblks + 100000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_once, "as root the configuration is read once"),
		TEST(test_nothing,
		    "without module, engine or answer all is refused (P03)"),
		TEST(test_second_domain,
		    "a second domain in a session is refused (S06)"),
		TEST(test_route,
		    "a route has the hosts that may be used, in order (P04)"),
		TEST(test_unroutable,
		    "only what DNS proves is bounced (M10 Z02)"),
		TEST(test_kept,
		    "an answer is asked for once while it is fresh (D15)"),
		TEST(test_left,
		    "an answer that was left is taken, nobody is asked (D15)"),
		TEST(test_relay,
		    "host=NAME:PORT is a relay host, or refused (B01)"),
		TEST(test_arguments,
		    "an argument that is missing or empty is refused"),
		TEST(test_no_array, "no arguments at all are refused"),
		TEST(test_full,
		    "without memory there is a refusal all the same"),
		TEST(test_events,
		    "an event of another kind changes no verdict (S08)"),
		TEST(test_match,
		    "a verdict is for its domain, address and leaf (S06 S08)"),
		TEST(test_actions,
		    "each host is judged by its action (D08 S04 T01-T04)"),
		TEST(test_beside,
		    "an insecure MX, exceptions and audit say so (P01 P02 M06)"),
		TEST(test_tls_hooks,
		    "TLS is required unless clear text is allowed (S01)"),
		TEST(test_no_tls,
		    "a session without TLS is told once, and why (T02 P07)"),
		TEST(test_reports,
		    "each session is reported once, and how it went (K02)"),
		TEST(test_reports_of_routing,
		    "hosts that may not be used are reported once (K02)"),
		TEST(test_chain,
		    "a chain with a gap or an error has no verdict (U06 U16)"),
		TEST(test_long_chain,
		    "a hundred certificates are verified (U08 U09 S07)"),
		TEST(test_no_domain,
		    "two domains in a transaction are refused (S06)"),
		TEST(test_fork,
		    "the transport's process has the router's answer"),
		TEST(test_root, "as root nothing is asked"),
		TEST(test_child,
		    "a child of root asks as another user, or it is refused"),
		TEST(test_stored, "what the store has costs no process"),
		TEST(test_limits,
		    "a lookup that takes too long is given up (D16)"),
		TEST(test_memory, "answers over 16 MiB in all are refused"),
		TEST(test_no_leak,
		    "20,000 recipients of a domain cost no memory"),
		TEST(test_hurry,
		    "after a minute of slow names the next have less time"),
	};

	return cmocka_run_group_tests(tests, hook_setup, hook_teardown);
}

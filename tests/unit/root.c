/* SPDX-License-Identifier: ISC */
/*
 * D05a in dns.c: what is called insecure is handed on only when the root is
 * proven; and its way around hints, which may lead astray.  The resolver library is one of a few lines: a question is noted,
 * and answered when and as the test wants it.
 */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>
#include <unbound-event.h>
#include <unistd.h>

#include "module.h" /* before cmocka.h, which defines fail() */
#include "packet.h"

#include <cmocka.h>

#include "title.h"

#define ROOT_DS \
	". IN DS 20326 8 2 " \
	"E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"
#define MAX 32

enum { INSECURE = 0, BOGUS = 1, SECURE = 2, SERVFAIL = -1 };

/* ------------------------------------------------------ the fake library */

struct asked {
	char name[64];
	int type;
	void *arg;
	ub_event_callback_type answer;
	bool over; /* answered or cancelled */
};

static struct asked asked[MAX];
static int n_asked, n_stored, stored_ttl, at_once;
static int known; /* the state of what the store has of a TLD, or SERVFAIL */
static struct event_base *base;
static char anchor[64];

int __wrap_ub_resolve_event(struct ub_ctx *, const char *, int, int, void *,
    ub_event_callback_type, int *);
int __wrap_ub_cancel(struct ub_ctx *, int);
bool __wrap_store_get(
    struct store *, struct arena *, const char *, int, struct store_hit *);
void __wrap_store_put(
    struct store *, const char *, int, int, const uint8_t *, size_t, uint32_t);

/* A message: A 192.0.2.1 or a DNSKEY, after an alias if there is one. */
static size_t
message(uint8_t *p, const char *name, int type, const char *alias)
{
	static const uint8_t head[12] = { 0, 1, 0x81, 0x80, 0, 1, 0, 1 };
	struct wire w, target;
	size_t n = sizeof head;

	assert_true(wire_parse(name, &w));
	memcpy(p, head, sizeof head);
	p[7] = alias != NULL ? 2 : 1;
	memcpy(p + n, w.data, w.len);
	n += w.len;
	memcpy(p + n, "\0\0\0\1", 4);
	p[n + 1] = (uint8_t)type;
	n += 4;
	if (alias != NULL) {
		assert_true(wire_parse(alias, &target));
		memcpy(p + n, "\300\014\0\5\0\1\0\0\0\074\0", 11);
		p[n + 11] = (uint8_t)target.len;
		memcpy(p + n + 12, target.data, target.len);
		n += 12 + target.len;
		w = target;
	}
	memcpy(p + n, w.data, w.len);
	n += w.len;
	memcpy(p + n, "\0\0\0\1\0\0\0\074\0\4\300\0\2\1", 14);
	if (type == TYPE_NS)
		memcpy(p + n + 10, "\1a\300\014", 4);
	p[n + 1] = (uint8_t)type;
	return n + 14;
}

static void
reply(int i, int sec, const char *alias)
{
	struct asked *q = &asked[i];
	uint8_t packet[512];
	size_t len;

	assert_true(i < n_asked && !q->over);
	q->over = true;
	len = message(packet, q->name, q->type, alias);
	q->answer(q->arg, sec == SERVFAIL ? 2 : 0, packet, (int)len,
	    sec == SERVFAIL ? 0 : sec, sec == BOGUS ? "no luck" : NULL, 0);
}

int
__wrap_ub_resolve_event(struct ub_ctx *ctx, const char *name, int type,
    int class, void *arg, ub_event_callback_type answer, int *id)
{
	struct asked *q = &asked[n_asked];

	(void)ctx;
	(void)class;
	assert_true(n_asked < MAX);
	snprintf(q->name, sizeof q->name, "%s", name);
	q->type = type;
	q->arg = arg;
	q->answer = answer;
	q->over = false;
	*id = n_asked++;
	if (at_once == n_asked)
		reply(*id, SECURE, NULL);
	return 0;
}

int
__wrap_ub_cancel(struct ub_ctx *ctx, int id)
{
	(void)ctx;
	assert_true(id < n_asked && !asked[id].over);
	asked[id].over = true;
	return 0;
}

bool
__wrap_store_get(struct store *s, struct arena *a, const char *name, int type,
    struct store_hit *hit)
{
	uint8_t *packet;

	(void)s;
	if (known == SERVFAIL || type == TYPE_AAAA ||
	    strcmp(name, type == TYPE_NS ? "example" : "a.example") != 0)
		return false;
	packet = arena_alloc(a, 512);
	*hit = (struct store_hit){ packet, 0, known, 60 };
	hit->len = message(packet, name, type, NULL);
	return true;
}

void
__wrap_store_put(struct store *s, const char *name, int type, int sec,
    const uint8_t *packet, size_t len, uint32_t ttl)
{
	(void)s;
	(void)name;
	(void)type;
	(void)sec;
	assert_true(len >= 13 && len <= 512);
	assert_int_equal(packet[3], 0x80);
	n_stored++;
	stored_ttl = (int)ttl;
}

/* ----------------------------------------------------------- one lookup */

struct look {
	struct arena arena;
	struct dns_query *query;
	const struct dns_result *r;
};

static struct conf conf;
static struct dns *dns;

static int
setup(void **state)
{
	static char name[] = "corp.example";
	static struct conf_zone zone = { .name = name, .insecure = true };
	int fd;

	(void)state;
	snprintf(anchor, sizeof anchor, "/tmp/danevirke-root.XXXXXX");
	assert_true((fd = mkstemp(anchor)) != -1);
	assert_int_equal(write(fd, ROOT_DS, strlen(ROOT_DS)), strlen(ROOT_DS));
	close(fd);
	conf = (struct conf){ .trust_anchor = anchor,
		.zones = &zone,
		.n_zones = 1,
		.query_timeout = 1,
		.limits = { 64, 32, 8, 128 } };
	n_asked = n_stored = at_once = 0;
	known = SERVFAIL;
	base = event_base_new();
	/* a store that is only handed on, to the functions above */
	dns = dns_new(
	    &conf, base, (struct store *)(void *)&conf, DNS_MANY, NULL);
	assert_non_null(dns);
	return 0;
}

static int
teardown(void **state)
{
	int i;

	(void)state;
	dns_free(dns);
	for (i = 0; i < n_asked; i++)
		assert_true(asked[i].over);
	event_base_free(base);
	unlink(anchor);
	return 0;
}

static void
on_done(void *arg, const struct dns_result *r)
{
	struct look *l = arg;

	assert_null(l->r);
	l->r = r;
	l->query = NULL;
}

static void
start(struct look *l, const char *name)
{
	struct danevirke_error err = { 0, "" };

	memset(l, 0, sizeof *l);
	l->query = dns_start(dns, &l->arena, name, TYPE_A, on_done, l, &err);
	if (l->query == NULL)
		fail_msg("%s: %s", name, err.text);
}

static void
turn(void)
{
	int i;

	for (i = 0; i < 3; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* The reason names the file and holds these words. */
static void
refused(struct look *l, const char *words)
{
	turn();
	assert_non_null(l->r);
	assert_int_equal(l->r->state, DANEVIRKE_ERROR);
	assert_true(l->r->content); /* P02 */
	assert_true(l->r->ttl <= 5);
	if (strstr(l->r->why, anchor) == NULL ||
	    strstr(l->r->why, words) == NULL)
		fail_msg("%s: not \"%s\"", l->r->why, words);
	arena_free(&l->arena);
}

static void
believed(struct look *l, enum danevirke_dnssec state)
{
	turn();
	assert_non_null(l->r);
	assert_int_equal(l->r->state, state);
	assert_int_equal(l->r->n_rr, 1);
	assert_true(l->r->ttl >= 58 && l->r->ttl <= 60);
	arena_free(&l->arena);
}

static void
waits(const struct look *l)
{
	turn();
	assert_null(l->r);
}

/* ---------------------------------------------------------------- tests */

/* INSECURE waits for the root, and nothing else does. */
static void
test_held(void **state)
{
	struct look a, b, c;

	(void)state;
	start(&a, "a.example"); /* 0: the root, 1: a */
	assert_int_equal(n_asked, 2);
	assert_string_equal(asked[0].name, ".");
	assert_int_equal(asked[0].type, TYPE_DNSKEY);
	start(&b, "b.example"); /* 2 */
	start(&c, "c.example"); /* 3 */
	assert_int_equal(n_asked, 4);
	reply(1, INSECURE, NULL);
	waits(&a);
	reply(2, BOGUS, NULL);
	turn();
	assert_int_equal(b.r->state, DANEVIRKE_ERROR);
	arena_free(&b.arena);
	assert_int_equal(n_stored, 0);
	reply(0, SECURE, NULL);
	believed(&a, DANEVIRKE_INSECURE);
	assert_int_equal(n_stored, 1); /* a, not the root */
	assert_true(stored_ttl >= 58 && stored_ttl <= 60);
	reply(3, INSECURE, NULL);
	believed(&c, DANEVIRKE_INSECURE);
	assert_int_equal(n_stored, 2);
	start(&a, "a.example"); /* once proven is enough */
	assert_int_equal(n_asked, 5);
	reply(4, INSECURE, NULL);
	believed(&a, DANEVIRKE_INSECURE);
}

/* From the cache: the root's answer comes before its question is out. */
static void
test_at_once(void **state)
{
	struct look a;

	(void)state;
	at_once = 1;
	start(&a, "a.example");
	reply(1, INSECURE, NULL);
	believed(&a, DANEVIRKE_INSECURE);
}

/* A chain from the anchor to any name goes through the root. */
static void
test_secure(void **state)
{
	struct look a, b;

	(void)state;
	start(&a, "a.example");
	start(&b, "b.example");
	reply(1, INSECURE, NULL);
	waits(&a);
	reply(2, SECURE, NULL);
	believed(&b, DANEVIRKE_SECURE);
	believed(&a, DANEVIRKE_INSECURE);
	assert_int_equal(n_stored, 2);
	reply(0, SERVFAIL, NULL); /* too late to matter */
	start(&a, "a.example");
	assert_int_equal(n_asked, 4);
	reply(3, INSECURE, NULL);
	believed(&a, DANEVIRKE_INSECURE);
}

/* The root is never insecure, nor is what then counts as insecure. */
static void
test_insecure_root(void **state)
{
	struct look a, b;

	(void)state;
	start(&a, "a.example");
	start(&b, "b.example");
	reply(1, INSECURE, NULL);
	waits(&a);
	reply(0, INSECURE, NULL);
	refused(&a, "insecure, too");
	reply(2, INSECURE, NULL); /* and behind it */
	refused(&b, "insecure, too");
	assert_int_equal(n_stored, 0);
}

/* A failure is not for ever: each lookup asks again. */
static void
test_failed_root(void **state)
{
	struct look a, b;

	(void)state;
	start(&a, "a.example");
	reply(1, INSECURE, NULL);
	reply(0, SERVFAIL, NULL);
	refused(&a, "SERVFAIL");
	assert_int_equal(n_stored, 0);
	start(&a, "a.example"); /* 2: the root, 3: a */
	assert_int_equal(n_asked, 4);
	assert_string_equal(asked[2].name, ".");
	start(&b, "b.example"); /* 4; the root is being asked */
	assert_int_equal(n_asked, 5);
	reply(3, INSECURE, NULL);
	waits(&a);
	reply(2, BOGUS, NULL);
	refused(&a, "no luck");
	start(&a, "a.example"); /* 5, 6 */
	assert_int_equal(n_asked, 7);
	reply(4, INSECURE, NULL);
	reply(6, INSECURE, NULL);
	waits(&b);
	waits(&a);
	reply(5, SECURE, NULL);
	believed(&a, DANEVIRKE_INSECURE);
	believed(&b, DANEVIRKE_INSECURE);
}

/* The time for one lookup is the time for this, too. */
static void
test_silent_root(void **state)
{
	struct timeval limit = { 3, 0 };
	struct look a, b;

	(void)state;
	start(&a, "a.example");
	reply(1, INSECURE, NULL);
	event_base_loopexit(base, &limit);
	while (a.r == NULL && !event_base_got_exit(base))
		event_base_loop(base, EVLOOP_ONCE);
	refused(&a, "within 1 s");
	assert_int_equal(n_stored, 0);
	start(&a, "a.example"); /* the root, and a: cancelled while held */
	start(&b, "b.example"); /* ends with its engine, held */
	reply(n_asked - 2, INSECURE, NULL);
	reply(n_asked - 1, INSECURE, NULL);
	waits(&a);
	dns_cancel(a.query);
	arena_free(&a.arena);
	waits(&b);
	dns_free(dns);
	dns = NULL;
	assert_null(b.r);
	arena_free(&b.arena);
}

/* D01: where the configuration says "insecure", the anchor has no say, and a
 * network without the Internet's root has its mail; but no alias leads out of
 * such a zone, or into it, unproven. */
static void
test_zone(void **state)
{
	struct look a, b, c;

	(void)state;
	start(&a, "mx.corp.example"); /* 1 */
	start(&b, "out.corp.example");
	start(&c, "in.example");
	reply(1, INSECURE, NULL);
	believed(&a, DANEVIRKE_INSECURE);
	assert_int_equal(n_stored, 1);
	reply(2, INSECURE, "partner.example");
	waits(&b);
	reply(3, INSECURE, "mx.corp.example");
	waits(&c);
	start(&a, "corp.example"); /* 4 */
	reply(4, INSECURE, "MX.CORP.example");
	believed(&a, DANEVIRKE_INSECURE);
	reply(0, SERVFAIL, NULL);
	refused(&b, "SERVFAIL");
	refused(&c, "SERVFAIL");
	start(&a, "mx.notcorp.example"); /* the root: 5 */
	reply(6, INSECURE, NULL);
	waits(&a);
	reply(5, INSECURE, NULL);
	refused(&a, "insecure, too");
	start(&a, "mx.corp.example"); /* the root: 7 */
	reply(8, INSECURE, NULL);
	believed(&a, DANEVIRKE_INSECURE);
}

/* The same for a process that is to be short-lived: hints are of use. */
static void
begin(int state)
{
	dns_free(dns);
	known = state;
	dns = dns_new(&conf, base, (struct store *)(void *)&conf, 0, NULL);
	assert_non_null(dns);
}

/* So many questions, the last of which are these. */
static void
last(int n, const char *first, int type, const char *second, int type2)
{
	assert_int_equal(n_asked, n);
	assert_string_equal(asked[n - 2].name, first);
	assert_int_equal(asked[n - 2].type, type);
	assert_string_equal(asked[n - 1].name, second);
	assert_int_equal(asked[n - 1].type, type2);
}

/* Nobody waits for what is left. */
static void
leave(void)
{
	int i;

	dns_free(dns);
	dns = NULL;
	for (i = 0; i < n_asked; i++)
		asked[i].over = true;
}

static void
test_learn(void **state)
{
	struct look a;

	(void)state;
	begin(SERVFAIL);
	start(&a, "mx.b.example");
	last(3, "mx.b.example", TYPE_A, "example", TYPE_NS);
	known = SECURE; /* as if it had been put there, and one address */
	reply(2, SECURE, NULL);
	turn();
	assert_int_equal(n_stored, 1);
	last(4, "example", TYPE_NS, "a.example", TYPE_AAAA);
	reply(1, SERVFAIL, NULL); /* there are no hints to blame */
	turn();
	assert_int_equal(a.r->state, DANEVIRKE_ERROR);
	assert_int_equal(n_asked, 4);
	arena_free(&a.arena);
	leave();
}

/* Of a TLD that is not signed nothing is learnt, and nothing used. */
static void
test_learn_not(void **state)
{
	struct look a, b;

	(void)state;
	begin(INSECURE);
	start(&a, "mx.b.example");
	start(&b, "example");
	assert_int_equal(n_asked, 3);
	reply(0, SECURE, NULL);
	reply(1, SERVFAIL, NULL);
	reply(2, INSECURE, NULL);
	believed(&b, DANEVIRKE_INSECURE);
	assert_int_equal(a.r->state, DANEVIRKE_ERROR);
	arena_free(&a.arena);
	assert_int_equal(n_asked, 3);
}

/* What the hints may be to blame for is asked without them, once; and what they
 * gave unproven, with the root's keys. */
static void
test_astray(void **state)
{
	struct look a, b, c;

	(void)state;
	begin(SECURE);
	start(&a, "mx.b.example"); /* 0: the root */
	last(5, "example", TYPE_DNSKEY, "a.example", TYPE_AAAA);
	assert_string_equal(asked[2].name, "example");
	assert_int_equal(asked[2].type, TYPE_DS);
	start(&b, "b.example"); /* 5 */
	start(&c, "c.example"); /* 6 */
	reply(1, INSECURE, NULL);
	waits(&a);
	reply(5, BOGUS, NULL);
	turn(); /* the old root is left, 7: the new one, 8: b, 9: a */
	assert_true(asked[0].over);
	assert_int_equal(n_asked, 10);
	assert_string_equal(asked[7].name, ".");
	assert_string_equal(asked[8].name, "b.example");
	assert_string_equal(asked[9].name, "mx.b.example");
	reply(6, INSECURE, NULL); /* of the old ones */
	turn();
	assert_int_equal(n_asked, 11);
	reply(3, SECURE, NULL); /* which proves nothing of the new */
	reply(9, INSECURE, NULL);
	reply(10, INSECURE, NULL);
	waits(&a);
	waits(&c);
	assert_int_equal(n_stored, 2); /* NS, A: they are forgotten */
	assert_int_equal(stored_ttl, 1);
	reply(8, BOGUS, NULL);
	turn();
	assert_int_equal(b.r->state, DANEVIRKE_ERROR);
	arena_free(&b.arena);
	reply(7, SECURE, NULL);
	believed(&a, DANEVIRKE_INSECURE);
	believed(&c, DANEVIRKE_INSECURE);
	assert_int_equal(n_asked, 11);
	leave();
}

/* Silence is asked again only where no hint has led to the TLD's keys. */
static void
test_astray_silent(void **state)
{
	struct look a;
	int led;

	(void)state;
	for (led = 0; led < 2; led++) {
		n_asked = n_stored = 0;
		begin(SECURE);
		start(&a, "mx.b.example");
		if (led)
			reply(3, SECURE, NULL);
		while (a.r == NULL && n_asked < 7)
			event_base_loop(base, EVLOOP_ONCE);
		if (led) {
			assert_int_equal(a.r->state, DANEVIRKE_ERROR);
			assert_int_equal(n_asked, 5);
			assert_int_equal(n_stored, 0);
			arena_free(&a.arena);
		} else {
			last(7, ".", TYPE_DNSKEY, "mx.b.example", TYPE_A);
			assert_int_equal(n_stored, 2); /* NS, A */
			assert_int_equal(stored_ttl, 1);
			reply(6, SECURE, NULL);
			believed(&a, DANEVIRKE_SECURE);
		}
		leave();
	}
}

static void
test_hints(void **state)
{
	static char fwd[] = "192.0.2.1", whole[] = "example",
		    part[] = "c.example";
	static char *forward[] = { fwd };
	struct store *s = (struct store *)(void *)&conf;
	struct conf_zone zone = { .name = whole };
	struct arena a = { NULL };

	(void)state;
	known = SECURE;
	assert_string_equal(hints_text(s, &a, "example"),
	    "stub-zone:\n name: \"example\"\n stub-first: yes\n"
	    " stub-addr: \"192.0.2.1\"\n");
	assert_null(hints_text(s, &a, "elsewhere"));
	assert_null(hints_text(s, &a, "example\"\nserver:"));
	known = INSECURE;
	assert_null(hints_text(s, &a, "example"));
	assert_string_equal(hints_tld(&conf, "a.b.example"), "example");
	assert_null(hints_tld(&conf, "example"));
	assert_null(hints_tld(&conf, "example."));
	conf.zones = &zone;
	assert_null(hints_tld(&conf, "a.b.example"));
	assert_string_equal(hints_tld(&conf, "a.b.other"), "other");
	zone.name = part;
	assert_string_equal(hints_tld(&conf, "a.b.example"), "example");
	conf.forward = forward;
	conf.n_forward = 1;
	assert_null(hints_tld(&conf, "a.b.example"));
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		TEST_WITH(test_held,
		    "INSECURE waits until the root is proven (D05a)", setup,
		    teardown),
		TEST_WITH(test_at_once,
		    "the root's answer may come at once (D05a)", setup,
		    teardown),
		TEST_WITH(test_secure, "any SECURE name proves the root (D05a)",
		    setup, teardown),
		TEST_WITH(test_insecure_root,
		    "with an INSECURE root nothing is believed (D05a)", setup,
		    teardown),
		TEST_WITH(test_failed_root,
		    "a root that failed is asked for again (D05a)", setup,
		    teardown),
		TEST_WITH(test_silent_root,
		    "a silent root ends in the lookup's time (D05a)", setup,
		    teardown),
		TEST_WITH(test_zone,
		    "a zone called insecure needs no root (D01 D05a)", setup,
		    teardown),
		TEST_WITH(test_learn,
		    "where a TLD's servers are is learnt for the next process",
		    setup, teardown),
		TEST_WITH(test_learn_not,
		    "of a TLD that is not signed nothing is learnt", setup,
		    teardown),
		TEST_WITH(test_astray,
		    "where hints may have led astray all is asked anew (D05a)",
		    setup, teardown),
		TEST_WITH(test_astray_silent, "silent hints are given up",
		    setup, teardown),
		TEST_WITH(test_hints,
		    "hints are addresses of servers, and no syntax", setup,
		    teardown),
	};

	return cmocka_run_group_tests_name("root", all, NULL, NULL);
}

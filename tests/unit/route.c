/* SPDX-License-Identifier: ISC */
/*
 * route.c with a resolver that answers when and what the test says: order of
 * lookups, done() exactly once and never inside start, time limit, cancel,
 * failures at once.
 */
#define dns_start fake_start
#define dns_stored fake_stored
#define dns_cancel fake_cancel
#define dns_asked fake_asked
#define dns_ahead fake_ahead
#define sts_start fake_ask
#define sts_cancel fake_forget
#include "../../module/route.c"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail

#include "title.h"

#define MAX_ASKED 64

struct dns_query {
	char key[300];
	dns_done *done;
	void *arg;
	struct event *event;
	struct arena *arena;
	bool over;
};

struct sts_query {
	size_t before; /* so many lookups */
	sts_done *done;
	void *arg;
	struct event *event;
	struct sts_result result;
	bool over;
};

static struct fake {
	struct dns_query q[MAX_ASKED];
	struct sts_query sts; /* the policy server's one question */
	unsigned n_sts, forgotten;
	bool no_tlsa, no_policy; /* it never answers */
	bool early;              /* it answers first */
	size_t n;
	size_t cancelled;
	size_t refuse_from; /* dns_start() fails from this one on */
	const char *silent; /* keys holding this never answer */
	const char *slow;   /* and these after two seconds */
	const char *stored; /* NULL, or all but keys holding this */
	int code;           /* of done()'s error */
	bool mx_insecure, txt_fails;
	const char *zone; /* of the MX records */
	bool at_once;     /* nothing has to be asked for */
	struct {
		char name[300];
		size_t after; /* so many lookups */
	} ahead[MAX_ASKED];
	size_t n_ahead;
	unsigned done;
	const struct danevirke_answer *answer;
	struct event_base *base;
	struct conf_profile profile;
	struct conf conf;
	bool in_start;
} fake;

static const struct dns_result *
result_for(struct arena *a, const char *key)
{
	static const uint8_t mx[] = {
		0,
		10,
		3,
		'm',
		'x',
		'1',
		0,
	};
	static const uint8_t mx2[] = {
		0,
		20,
		3,
		'm',
		'x',
		'2',
		0,
	};
	static const uint8_t addr[] = { 192, 0, 2, 1 };
	static const uint8_t tlsa[35] = { 3, 1, 1 };
	static const uint8_t txt[] = "\x1cv=TLSRPTv1; rua=mailto:a@b.c";
	struct dns_result *r = arena_alloc(a, sizeof *r);
	struct dns_rr *rr = arena_array(a, 2, sizeof *rr);
	const char **name = arena_alloc(a, sizeof *name);

	name[0] = "x";
	r->name = name;
	r->state = DANEVIRKE_SECURE;
	r->why = "";
	r->ttl = 60;
	r->rr = rr;
	if (strstr(key, "/15") != NULL) {
		if (fake.mx_insecure)
			r->state = DANEVIRKE_INSECURE;
		r->zone = fake.zone;
		rr[r->n_rr++] = (struct dns_rr){ mx, sizeof mx };
		rr[r->n_rr++] = (struct dns_rr){ mx2, sizeof mx2 };
	} else if (strstr(key, "/16") != NULL) {
		r->ttl = 1;
		rr[r->n_rr++] = (struct dns_rr){ txt, sizeof txt - 1 };
		if (fake.txt_fails)
			r->state = DANEVIRKE_ERROR;
	} else if (strstr(key, "/52") != NULL && fake.no_tlsa)
		return r;
	else if (strstr(key, "/52") != NULL)
		rr[r->n_rr++] = (struct dns_rr){ tlsa, sizeof tlsa };
	else if (strstr(key, "/1") != NULL)
		rr[r->n_rr++] = (struct dns_rr){ addr, sizeof addr };
	return r;
}

static void
fake_answer(evutil_socket_t fd, short what, void *arg)
{
	struct dns_query *q = arg;

	(void)fd;
	(void)what;
	q->over = true;
	q->done(q->arg, result_for(q->arena, q->key));
}

struct dns_query *
fake_start(struct dns *dns, struct arena *arena, const char *name, int type,
    dns_done *done, void *arg, struct danevirke_error *err)
{
	struct dns_query *q = &fake.q[fake.n];
	struct timeval soon = { 0, 100 };

	assert_ptr_equal(dns, &fake);
	assert_true(fake.n < MAX_ASKED);
	assert_false(fake.in_start);
	if (fake.refuse_from != 0 && fake.n + 1 >= fake.refuse_from) {
		fail(err, DANEVIRKE_EDNS, "refused for the test");
		return NULL;
	}
	fake.n++;
	snprintf(q->key, sizeof q->key, "%s/%d", name, type);
	q->done = done;
	q->arg = arg;
	q->arena = arena;
	q->event = event_new(fake.base, -1, 0, fake_answer, q);
	if (fake.slow != NULL && strstr(q->key, fake.slow) != NULL)
		soon.tv_sec = 2;
	if (fake.silent == NULL || strstr(q->key, fake.silent) == NULL)
		event_add(q->event, &soon);
	return q;
}

struct dns_query *
fake_stored(struct dns *dns, struct arena *arena, const char *name, int type,
    dns_done *done, void *arg, struct danevirke_error *err)
{
	char key[300];

	snprintf(key, sizeof key, "%s/%d", name, type);
	assert_non_null(fake.stored);
	if (*fake.stored == '\0' || strstr(key, fake.stored) == NULL)
		return fake_start(dns, arena, name, type, done, arg, err);
	fail(err, DANEVIRKE_EDNS, "not there");
	return NULL;
}

void
fake_cancel(struct dns_query *q)
{
	assert_false(q->over);
	q->over = true;
	event_del(q->event);
	fake.cancelled++;
}

bool
fake_asked(const struct dns_query *q)
{
	return !q->over && !fake.at_once && fake.stored == NULL;
}

void
fake_ahead(struct dns *dns, const char *name, int type)
{
	assert_ptr_equal(dns, &fake);
	assert_true(fake.n_ahead < MAX_ASKED);
	snprintf(fake.ahead[fake.n_ahead].name, 300, "%s/%d", name, type);
	fake.ahead[fake.n_ahead++].after = fake.n;
}

static void
fake_policy(evutil_socket_t fd, short what, void *arg)
{
	struct sts_query *q = arg;

	(void)fd;
	(void)what;
	q->over = true;
	q->done(q->arg, &q->result);
}

struct sts_query *
fake_ask(const struct conf_sts *conf, struct event_base *base,
    struct arena *arena, const char *domain, sts_done *done, void *arg)
{
	static const char *mx[] = { "mx2" };
	const struct timeval soon = { 0, fake.early ? 0 : 300000 };
	struct sts_query *q = &fake.sts;

	assert_ptr_equal(conf, &fake.conf.sts);
	assert_ptr_equal(base, fake.base);
	assert_non_null(arena);
	assert_string_equal(domain, "d");
	assert_int_equal(fake.n_sts++, 0);
	q->before = fake.n;
	q->done = done;
	q->arg = arg;
	q->result.state = DANEVIRKE_MTA_STS_POLICY;
	q->result.mx = mx;
	q->result.n_mx = 1;
	q->event = event_new(fake.base, -1, 0, fake_policy, q);
	if (!fake.no_policy)
		event_add(q->event, &soon);
	return q;
}

void
fake_forget(struct sts_query *q)
{
	if (q == NULL)
		return;
	assert_false(q->over);
	q->over = true;
	event_del(q->event);
	fake.forgotten++;
}

static void
on_answer(void *arg, const struct danevirke_answer *answer,
    const struct danevirke_error *err)
{
	assert_ptr_equal(arg, &fake);
	assert_false(fake.in_start);
	fake.code = err != NULL ? err->code : DANEVIRKE_OK;
	assert_true(fake.code == DANEVIRKE_OK || fake.stored != NULL);
	assert_int_equal(answer == NULL, fake.code != DANEVIRKE_OK);
	fake.done++;
	fake.answer = answer;
}

static int
setup(void **state)
{
	(void)state;
	memset(&fake, 0, sizeof fake);
	fake.base = event_base_new();
	fake.profile.pub.name = (char *)(uintptr_t) "default";
	fake.profile.insecure_mx = DANEVIRKE_AUTHENTICATE;
	fake.profile.digests[0] = 2;
	fake.profile.digests[1] = 1;
	fake.profile.n_digests = 2;
	fake.conf.limits = (struct conf_limits){ 10, 10, 10, 10 };
	fake.conf.profiles = &fake.profile;
	fake.conf.n_profiles = 1;
	fake.conf.timeout = 1;
	fake.conf.self_set = true;
	fake.conf.settings.config = "test";
	fake.conf.sts.server = (char *)(uintptr_t) "server";
	fake.conf.sts.ca_file = (char *)(uintptr_t) "/cas";
	return 0;
}

static int
teardown(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < fake.n; i++)
		event_free(fake.q[i].event);
	if (fake.sts.event != NULL)
		event_free(fake.sts.event);
	free((void *)(uintptr_t)fake.answer);
	event_base_free(fake.base);
	return 0;
}

static struct route *
go(const char *name, enum danevirke_kind kind)
{
	struct danevirke_question q = {
		.size = sizeof q, .name = name, .kind = kind
	};
	struct danevirke_error err;
	struct route *r;

	fake.in_start = true;
	r = route_start(&fake.conf, (struct dns *)(void *)&fake, fake.base, &q,
	    NULL, NULL, on_answer, &fake, &err);
	fake.in_start = false;
	return r;
}

static struct route *
go_stored(void)
{
	struct danevirke_question q = {
		.size = sizeof q, .name = "d", .flags = DANEVIRKE_STORED
	};
	struct danevirke_error err;

	return route_start(&fake.conf, (struct dns *)(void *)&fake, fake.base,
	    &q, NULL, NULL, on_answer, &fake, &err);
}

static void
test_order(void **state)
{
	size_t i, tlsa = 0;

	(void)state;
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	assert_int_equal(fake.done, 0);
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_ROUTE);
	assert_int_equal(fake.answer->n_hosts, 2);
	assert_int_equal(fake.answer->hosts[1]->action, DANEVIRKE_AUTHENTICATE);
	assert_true(fake.answer->ttl >= 57 &&
	    fake.answer->ttl <= 60); /* a second may end */
	assert_true(fake.answer->expires > 60);
	assert_int_equal(fake.n, 1 + 4 + 2);
	assert_string_equal(fake.q[0].key, "d/15");
	for (i = 1; i < 5; i++) /* B03: all addresses first */
		tlsa += strstr(fake.q[i].key, "/52") != NULL;
	assert_int_equal(tlsa, 0);
	assert_int_equal(fake.cancelled, 0);
}

/* Of the host that lies in the zone of the MX records, behind its addresses;
 * the lookup that decides is made as ever. */
static void
test_guess(void **state)
{
	(void)state;
	fake.zone = "mx2";
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.n_ahead, 1);
	assert_string_equal(fake.ahead[0].name, "_25._tcp.mx2/52");
	assert_int_equal(fake.ahead[0].after, 1 + 4);
	assert_int_equal(fake.n, 1 + 4 + 2);
	assert_int_equal(fake.answer->hosts[1]->action, DANEVIRKE_AUTHENTICATE);
}

/* The resolver is not woken for an answer that may not be wanted. */
static void
test_no_guess(void **state)
{
	size_t i;

	for (i = 0; i < 3; i++) {
		if (i > 0)
			setup(state);
		fake.zone = "mx2";
		fake.at_once = i == 0;
		fake.mx_insecure = i == 1;
		fake.stored = i == 2 ? "" : NULL;
		assert_non_null(
		    i == 2 ? go_stored() : go("d", DANEVIRKE_DOMAIN));
		event_base_loop(fake.base, 0);
		assert_int_equal(fake.done, 1);
		assert_int_equal(fake.n_ahead, 0);
		if (i < 2)
			teardown(state);
	}
}

static void
test_tlsrpt(void **state)
{
	(void)state;
	fake.profile.pub.tlsrpt = "/run/c.sock";
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.n, 1 + 1 + 4 + 2);
	assert_string_equal(fake.q[0].key, "_smtp._tls.d/16");
	assert_string_equal(
	    fake.answer->tlsrpt_record, "v=TLSRPTv1; rua=mailto:a@b.c");
	assert_string_equal(fake.answer->tlsrpt_socket, "/run/c.sock");
	assert_true(fake.answer->ttl >= 57); /* not that of the record */
}

/* Silent, or an error, or that it cannot be asked: all is as without it. */
static void
test_tlsrpt_fails(void **state)
{
	size_t i;

	for (i = 0; i < 4; i++) {
		if (i > 0)
			setup(state);
		fake.profile.pub.tlsrpt = "/run/c.sock";
		fake.conf.timeout = 5;
		fake.silent = i == 0 ? "/16" : NULL;
		fake.slow = i == 1 ? "/16" : NULL;
		fake.txt_fails = i == 2;
		fake.stored = i == 3 ? "/16" : NULL;
		alarm(2);
		assert_non_null(
		    i == 3 ? go_stored() : go("d", DANEVIRKE_DOMAIN));
		while (fake.done == 0)
			event_base_loop(fake.base, EVLOOP_ONCE);
		alarm(0);
		assert_non_null(fake.answer);
		assert_null(fake.answer->tlsrpt_record);
		assert_null(fake.answer->tlsrpt_socket);
		assert_int_equal(
		    fake.answer->hosts[0]->action, DANEVIRKE_AUTHENTICATE);
		assert_int_equal(fake.cancelled, i < 2);
		if (i < 3)
			teardown(state);
	}
}

static void
test_tlsrpt_off(void **state)
{
	(void)state;
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.n, 1 + 4 + 2);
	assert_null(fake.answer->tlsrpt_record);
	free((void *)(uintptr_t)fake.answer);
	fake.answer = NULL;
	fake.profile.pub.tlsrpt = "/run/c.sock";
	fake.profile.pub.level = DANEVIRKE_LEVEL_OFF;
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_string_equal(fake.q[1 + 4 + 2].key, "d/15");
	assert_null(fake.answer->tlsrpt_record);
}

/* D15: a TTL runs while other lookups are waited for. */
static void
test_slow(void **state)
{
	uint64_t begun = store_now();

	(void)state;
	fake.slow = "_25._tcp.mx1";
	fake.conf.timeout = 10;
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_ROUTE);
	assert_true(fake.answer->expires >= begun + 60 &&
	    fake.answer->expires <= begun + 61);
	assert_true(fake.answer->ttl >= 55 && fake.answer->ttl <= 59);
}

/* D08 and the time limit: the host that is answered is used. */
static void
test_one_host_stalls(void **state)
{
	(void)state;
	fake.silent = "mx1";
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_ROUTE);
	assert_int_equal(fake.answer->hosts[0]->action, DANEVIRKE_HOST_DEFER);
	assert_non_null(
	    strstr(fake.answer->hosts[0]->reason, "no answer within 1 s"));
	assert_int_equal(fake.answer->hosts[1]->action, DANEVIRKE_AUTHENTICATE);
	assert_int_equal(fake.cancelled, 2);
}

/* A TLSA lookup that stalls is D08 for its host, nothing else. */
static void
test_tlsa_stalls(void **state)
{
	(void)state;
	fake.silent = "_25._tcp.mx1";
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.answer->hosts[0]->action, DANEVIRKE_HOST_DEFER);
	assert_int_equal(fake.answer->hosts[0]->n_addrs, 1);
	assert_int_equal(fake.answer->hosts[1]->action, DANEVIRKE_AUTHENTICATE);
}

static void
test_mx_stalls(void **state) /* D06 */
{
	(void)state;
	fake.silent = "/15";
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_DEFER);
	assert_int_equal(fake.cancelled, 1);
}

static void
test_all_stall(void **state) /* D09 */
{
	(void)state;
	fake.silent = "mx";
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_DEFER);
}

/* However many lookups can be started, nothing is lost or decided wrongly. */
static void
test_refused(void **state)
{
	size_t i;

	for (i = 1; i <= 8; i++) {
		if (i > 1)
			setup(state);
		fake.refuse_from = i;
		assert_non_null(go("d", DANEVIRKE_DOMAIN));
		event_base_loop(fake.base, 0);
		assert_int_equal(fake.done, 1);
		if (i == 1 || i == 2)
			assert_int_equal(fake.answer->outcome, DANEVIRKE_DEFER);
		if (i == 8)
			assert_int_equal(fake.answer->hosts[0]->action,
			    DANEVIRKE_AUTHENTICATE);
		else if (fake.answer->n_hosts > 0)
			assert_true(fake.answer->hosts[0]->action ==
				DANEVIRKE_HOST_DEFER ||
			    fake.answer->hosts[1]->action ==
				DANEVIRKE_HOST_DEFER);
		if (i < 8)
			teardown(state);
	}
}

/* cancel after each number of loop turns: no done(), nothing left behind */
static void
test_cancel(void **state)
{
	struct route *r;
	int turns, i;

	for (turns = 0; turns < 4; turns++) {
		if (turns > 0)
			setup(state);
		fake.silent = "_25._tcp";
		assert_non_null(r = go("d", DANEVIRKE_DOMAIN));
		for (i = 0; i < turns; i++)
			event_base_loop(fake.base, EVLOOP_ONCE);
		route_cancel(r);
		event_base_loop(fake.base, 0);
		assert_int_equal(fake.done, 0);
		if (turns < 3)
			teardown(state);
	}
	route_cancel(NULL);
}

static void
test_literal(void **state) /* T07 */
{
	static const struct {
		const char *name, *want;
	} t[] = {
		{ "[192.0.2.7]", "192.0.2.7" },
		{ "[IPv6:2001:DB8::7]", "2001:db8::7" },
		{ "[ipv6:2001:db8::7]", "2001:db8::7" },
	};
	size_t i;

	for (i = 0; i < 3; i++) {
		if (i > 0)
			setup(state);
		assert_non_null(go(t[i].name, DANEVIRKE_DOMAIN));
		event_base_loop(fake.base, 0);
		assert_int_equal(fake.n, 0);
		assert_int_equal(fake.answer->outcome, DANEVIRKE_ROUTE);
		assert_string_equal(
		    fake.answer->hosts[0]->addrs[0].text, t[i].want);
		assert_int_equal(
		    fake.answer->hosts[0]->action, DANEVIRKE_OPPORTUNISTIC);
		if (i < 2)
			teardown(state);
	}
}

static void
test_relay(void **state) /* B01 */
{
	(void)state;
	assert_non_null(go("mx1", DANEVIRKE_RELAY));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.n, 3);
	assert_int_equal(fake.answer->hosts[0]->action, DANEVIRKE_AUTHENTICATE);
}

static void
test_bad(void **state)
{
	static const char *const bad[] = { "", ".", "a..b", "a b", "[1.2.3]",
		"[", "a/b", "[192.0.2.1", "x\ny" };
	struct danevirke_question q = {
		.size = sizeof q, .name = "d", .profile = "nosuch"
	};
	struct danevirke_error err;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_null(go(bad[i], DANEVIRKE_DOMAIN));
	assert_null(route_start(&fake.conf, (struct dns *)(void *)&fake,
	    fake.base, &q, NULL, NULL, on_answer, &fake, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	assert_non_null(strstr(err.text, "nosuch"));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 0);
}

static void
test_off(void **state) /* P02 */
{
	struct danevirke_question q = { .size = sizeof q,
		.name = "d",
		.flags = DANEVIRKE_NO_LOOKUP_IF_OFF };
	struct danevirke_error err;

	(void)state;
	fake.profile.pub.level = DANEVIRKE_LEVEL_OFF;
	assert_non_null(route_start(&fake.conf, (struct dns *)(void *)&fake,
	    fake.base, &q, NULL, NULL, on_answer, &fake, &err));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.n, 0);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_DEFER);
	assert_int_equal(fake.answer->level, DANEVIRKE_LEVEL_OFF);
}

/* A receiver's test asks, whatever the profile says (M04). */
static void
test_test(void **state)
{
	struct danevirke_question q = { .size = sizeof q,
		.name = "d",
		.flags = DANEVIRKE_NO_LOOKUP_IF_OFF | DANEVIRKE_TEST };
	struct danevirke_error err;

	(void)state;
	fake.profile.pub.level = DANEVIRKE_LEVEL_OFF;
	fake.profile.insecure_mx = DANEVIRKE_OPPORTUNISTIC;
	fake.mx_insecure = true;
	assert_non_null(route_start(&fake.conf, (struct dns *)(void *)&fake,
	    fake.base, &q, NULL, NULL, on_answer, &fake, &err));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_ROUTE);
	assert_int_equal(fake.answer->level, DANEVIRKE_LEVEL_DANE);
	assert_int_equal(fake.answer->hosts[0]->action, DANEVIRKE_AUTHENTICATE);
}

/* D16: all is there, or the question fails, and the network is left alone. */
static void
stored(const char *missing, enum danevirke_code code)
{
	struct danevirke_question q = {
		.size = sizeof q, .name = "d", .flags = DANEVIRKE_STORED
	};
	struct danevirke_error err;

	fake.stored = missing;
	fake.done = 0;
	assert_non_null(route_start(&fake.conf, (struct dns *)(void *)&fake,
	    fake.base, &q, NULL, NULL, on_answer, &fake, &err));
	assert_int_equal(fake.done, 0);
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.code, code);
}

static void
test_stored(void **state)
{
	static const char *const missing[] = { "d/15", "mx1", "mx2", "/1",
		"/28", "/52", "_25._tcp.mx2" };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof missing / sizeof *missing; i++)
		stored(missing[i], DANEVIRKE_EDNS);
	stored("", DANEVIRKE_OK);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_ROUTE);
	assert_int_equal(fake.answer->n_hosts, 2);
	assert_int_equal(fake.answer->hosts[1]->action, DANEVIRKE_AUTHENTICATE);
}

/* H02: as soon as the hosts are known, and for those that need it. */
static void
test_policy(void **state)
{
	(void)state;
	fake.profile.pub.mta_sts = 1;
	fake.no_tlsa = true;
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.sts.before, 1); /* the MX */
	assert_int_equal(fake.answer->mta_sts, DANEVIRKE_MTA_STS_POLICY);
	assert_int_equal(fake.answer->hosts[0]->action, DANEVIRKE_HOST_DEFER);
	assert_int_equal(fake.answer->hosts[1]->action, DANEVIRKE_AUTHENTICATE);
	assert_string_equal(fake.answer->hosts[1]->ca_file, "/cas");
	assert_true(fake.answer->ttl <= 60);
	assert_int_equal(fake.forgotten, 0);
}

/* Where DANE decides all, nobody waits for a server that says nothing. */
static void
test_policy_not_needed(void **state)
{
	(void)state;
	fake.profile.pub.mta_sts = 1;
	fake.no_policy = true;
	fake.conf.timeout = 300;
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.n_sts, 1);
	assert_int_equal(fake.forgotten, 1);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_ROUTE);
	assert_int_equal(fake.answer->mta_sts, DANEVIRKE_MTA_STS_UNASKED);
	assert_null(fake.answer->hosts[0]->ca_file);
}

/* What comes first changes nothing. */
static void
test_policy_early(void **state)
{
	(void)state;
	fake.profile.pub.mta_sts = 1;
	fake.early = true;
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.forgotten, 0);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_ROUTE);
	assert_int_equal(fake.answer->mta_sts, DANEVIRKE_MTA_STS_UNASKED);
}

static void
test_policy_stalls(void **state)
{
	(void)state;
	fake.profile.pub.mta_sts = 1;
	fake.no_tlsa = fake.no_policy = true;
	assert_non_null(go("d", DANEVIRKE_DOMAIN));
	event_base_loop(fake.base, 0);
	assert_int_equal(fake.done, 1);
	assert_int_equal(fake.forgotten, 1);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_DEFER);
	assert_int_equal(fake.answer->result, DANEVIRKE_STS_POLICY_FETCH_ERROR);
	assert_non_null(strstr(fake.answer->reason, "no answer within 1 s"));
}

static void
test_policy_cancel(void **state)
{
	struct route *r;
	size_t i;

	(void)state;
	fake.profile.pub.mta_sts = 1;
	fake.no_tlsa = fake.no_policy = true;
	assert_non_null(r = go("d", DANEVIRKE_DOMAIN));
	for (i = 0; i < 1000 && fake.n_sts == 0; i++)
		event_base_loop(fake.base, EVLOOP_ONCE);
	route_cancel(r);
	assert_int_equal(fake.forgotten, 1);
	assert_int_equal(fake.done, 0);
}

/* Nobody is asked for what the store does not have, and it has no policy. */
static void
test_policy_stored(void **state)
{
	(void)state;
	fake.profile.pub.mta_sts = 1;
	fake.no_tlsa = true;
	stored("", DANEVIRKE_EDNS);
	fake.no_tlsa = false;
	stored("", DANEVIRKE_OK);
	assert_int_equal(fake.answer->outcome, DANEVIRKE_ROUTE);
	assert_int_equal(fake.n_sts, 0);
}

/* H02, H06 */
static void
test_policy_unasked(void **state)
{
	static const struct {
		enum danevirke_level level;
		enum danevirke_kind kind;
		bool off, nobody;
	} t[] = {
		{ .off = true },
		{ .nobody = true },
		{ .level = DANEVIRKE_LEVEL_OFF },
		{ .level = DANEVIRKE_LEVEL_DANE_ONLY },
		{ .kind = DANEVIRKE_RELAY },
	};
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		if (i > 0) {
			teardown(state);
			setup(state);
		}
		fake.no_tlsa = true;
		fake.profile.pub.mta_sts = !t[i].off;
		fake.profile.pub.level = t[i].level;
		if (t[i].nobody)
			fake.conf.sts.server = NULL;
		assert_non_null(go("d", t[i].kind));
		event_base_loop(fake.base, 0);
		assert_int_equal(fake.done, 1);
		assert_int_equal(fake.n_sts, 0);
		assert_int_equal(
		    fake.answer->mta_sts, DANEVIRKE_MTA_STS_UNASKED);
	}
}

int
main(void)
{
#define T(f, title) TEST_WITH(f, title, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_order,
		    "all addresses are asked for before any TLSA (B03)"),
		T(test_guess,
		    "TLSA is asked for ahead in the zone of the MX (B05a)"),
		T(test_no_guess, "TLSA is not asked for ahead else (B05a)"),
		T(test_tlsrpt,
		    "the TLSRPT record is asked for beside the MX (K01)"),
		T(test_tlsrpt_fails,
		    "without a TLSRPT record all is the same, not later (K01)"),
		T(test_tlsrpt_off,
		    "no TLSRPT record is asked for unless it is on (K01)"),
		T(test_slow, "a TTL runs while others are waited for (D15)"),
		T(test_one_host_stalls,
		    "one host's silence leaves the other (D08)"),
		T(test_tlsa_stalls,
		    "silence for TLSA makes its host wait (D08)"),
		T(test_mx_stalls, "silence for the MX: mail waits (D06)"),
		T(test_all_stall, "silence for all hosts: mail waits (D09)"),
		T(test_refused, "a lookup that cannot start loses nothing"),
		T(test_cancel, "after cancel there is no done()"),
		T(test_literal, "an address literal is asked nothing (T07)"),
		T(test_relay, "a relay host is authenticated (B01)"),
		T(test_bad, "a name that is none is refused"),
		T(test_off, "off asks nothing, if so wished (P02)"),
		T(test_test,
		    "a receiver's test asks, whatever the level (M04)"),
		T(test_stored, "from the store: all of it, or an error (D16)"),
		T(test_policy,
		    "a policy is asked for beside the addresses (H02 H03)"),
		T(test_policy_not_needed,
		    "a policy with nothing to decide is not waited for (H02)"),
		T(test_policy_early,
		    "a policy that comes first decides no more (H02)"),
		T(test_policy_stalls,
		    "silence about a policy: its hosts wait (H05 P05)"),
		T(test_policy_cancel,
		    "after cancel nobody asks for a policy (H02)"),
		T(test_policy_stored,
		    "no policy comes from the store (H02 D16)"),
		T(test_policy_unasked,
		    "nobody is asked where no policy can count (H02 H06)"),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}

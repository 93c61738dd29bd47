/* SPDX-License-Identifier: ISC */
/*
 * sts.c and socketmap.c against a policy server of a few lines in the same
 * process and on the same loop.  A script is what it says, piece by piece; the
 * result is compared as text: "none", the patterns, or "error" and a part of
 * its reason.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>

#include "title.h"

#define ASKED "19:postfix example.org,"
#define L10 "abcdefghi:"
#define L100 L10 L10 L10 L10 L10 L10 L10 L10 L10 L10

struct script {
	const char *title;
	const char *text;    /* a reply, to be framed; or */
	const char *raw;     /* octets as they stand */
	size_t raw_len;      /* 0: up to its NUL */
	bool each;           /* octet by octet */
	bool close;          /* behind it; else the server stays silent */
	const char *want;    /* "none", "a *.b", or of an error ... */
	const char *because; /* ... a part of the reason */
};

static const struct script scripts[] = {
	{ "a policy names its hosts (H03)",
	    "OK secure match=mx1.example.org:mx2.example.org servername=hostname",
	    .want = "mx1.example.org mx2.example.org" },
	{ "a dot before a name stands for an asterisk (H03)",
	    "OK secure match=.example.org:mx.a.net",
	    .want = "*.example.org mx.a.net" },
	{ "an asterisk may be written out (H03)",
	    "OK secure match=*.example.org", .want = "*.example.org" },
	{ "a final dot is none", "OK secure match=mx.example.org.:.b.",
	    .want = "mx.example.org *.b" },
	{ "several lists of names are one",
	    "OK secure match=a.b match=c.d:e.f x=1", .want = "a.b c.d e.f" },
	{ "attributes that nobody knows are passed over",
	    "OK secure policy_ttl=600 matches=evil.net match=mx.a.b "
	    "policy_type=sts mx_host_pattern=*.c.d rematch=no.example",
	    .want = "mx.a.b" },
	{ "what is in braces is passed over",
	    "OK secure match=mx.a.b { policy_string = mx: match=c.d } "
	    "{ x = { match=e.f } match=g.h }",
	    .want = "mx.a.b" },
	{ "braces inside of a word hold nothing together",
	    "OK secure match=m{x.a.b match=c.d}", .want = "m{x.a.b c.d}" },
	{ "braces without an end are passed over",
	    "OK secure match=mx.a.b { match=c.d", .want = "mx.a.b" },
	{ "empty names are none",
	    "OK secure match=::mx.a.b:", .want = "mx.a.b" },
	{ "what is no name names nobody, and is printable",
	    "OK secure match=\001\377x:mx.a.b", .want = "??x mx.a.b" },
	{ "no policy is an answer (H05)", "NOTFOUND ", .want = "none" },
	{ "no policy, without a blank (H05)", "NOTFOUND", .want = "none" },
	{ "a reply octet by octet is one (H05)",
	    "OK secure match=mx.example.org", .each = true,
	    .want = "mx.example.org" },
	{ "what comes behind a reply and a close is a reply", "NOTFOUND ",
	    .close = true, .want = "none" },

	{ "TEMP is an error (H05 P05)", "TEMP the network is down",
	    .because = "it says TEMP the network is down" },
	{ "TIMEOUT is an error (H05 P05)", "TIMEOUT ", .because = "TIMEOUT" },
	{ "PERM is an error (H05 P05)", "PERM no such map\001",
	    .because = "PERM no such map?" },
	{ "a policy without names is an error (H05)", "OK secure",
	    .because = "without a name" },
	{ "a policy with an empty list is an error (H05)",
	    "OK secure match= servername=hostname",
	    .because = "without a name" },
	{ "a policy that is not of MTA-STS is an error (H05)", "OK dane-only",
	    .because = "it says \"dane-only\"" },
	{ "another policy with names is an error (H05)",
	    "OK verify match=mx.a.b", .because = "it says \"verify\"" },
	{ "a word that only begins so is another (H05)",
	    "OK secured match=mx.a.b", .because = "it says \"secured\"" },
	{ "OK alone is an error (H05)", "OK", .because = "it says \"\"" },
	{ "a word that nobody knows is an error (H05)", "NOTFOUNDS x",
	    .because = "no reply of a socketmap" },
	{ "small letters are no reply (H05)", "ok secure match=mx.a.b",
	    .because = "no reply of a socketmap" },
	{ "an empty reply is an error (H05)", "",
	    .because = "no reply of a socketmap" },
	{ "more names than there may be are an error (M11)",
	    "OK secure match=" L100 L100 L100 L100 L100 L100 L100 L100 L100 L100
		L100 L100 L100 L100 L100 L100 L100 L100 L100 L100 L100 L100 L100
		    L100 L100 L100,
	    .because = "too many names" },

	{ "a reply without a frame is an error (H05)",
	    .raw = "OK secure match=mx.a.b\n", .because = "no netstring" },
	{ "a frame with a sign is an error (H05)", .raw = "+8:NOTFOUND,",
	    .because = "no netstring" },
	{ "a frame with a leading zero is an error (H05)",
	    .raw = "08:NOTFOUND,", .because = "no netstring" },
	{ "a frame with another end is an error (H05)", .raw = "8:NOTFOUND;",
	    .because = "no single netstring" },
	{ "a frame that is too short is an error (H05)", .raw = "7:NOTFOUND,",
	    .because = "no single netstring" },
	{ "two replies to a question are an error (H05)",
	    .raw = "8:NOTFOUND,8:NOTFOUND,", .because = "no single netstring" },
	{ "a NUL in a reply is an error (H05)", .raw = "10:NOTFOUND\0x,",
	    .raw_len = 14, .because = "no single netstring" },
	{ "a length beyond all bounds is an error at once (M11)",
	    .raw = "4097:", .because = "too long" },
	{ "a length without an end is an error at once (M11)",
	    .raw = "00000000000000000000", .because = "too long" },
	{ "a server that hangs up is an error (H05)", .raw = "", .close = true,
	    .because = "closes in place of an answer" },
	{ "half of a reply is an error (H05)", .raw = "8:NOTF", .close = true,
	    .because = "closes in place of an answer" },
};

/* ------------------------------------------------------ the policy server */

static struct world {
	struct event_base *base;
	struct event *listener, *client, *pump, *guard;
	int fd, peer;
	const struct script *script;
	char say[SOCKETMAP_MAX + 4096], asked[512];
	size_t len, at, n_asked;
	bool flood; /* and never an end */
	struct conf_sts conf;
	char path[64];
	struct arena arena;
	unsigned done;
	const struct sts_result *result;
} w;

static void
on_pump(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = { 0, 100 };
	char more[1000];
	size_t n = w.len - w.at;

	(void)fd, (void)what, (void)arg;
	if (w.flood) {
		memset(more, '1', sizeof more);
		if (send(w.peer, more, sizeof more, MSG_NOSIGNAL) > 0)
			evtimer_add(w.pump, &soon);
		return;
	}
	if (w.script->each && n > 1)
		n = 1;
	if (n > 0 && send(w.peer, w.say + w.at, n, MSG_NOSIGNAL) > 0)
		w.at += n;
	if (w.at < w.len)
		evtimer_add(w.pump, &soon);
	else if (w.script->close)
		shutdown(w.peer, SHUT_RDWR);
}

static void
on_client(evutil_socket_t fd, short what, void *arg)
{
	ssize_t n = recv(
	    fd, w.asked + w.n_asked, sizeof w.asked - 1 - w.n_asked, 0);

	(void)what, (void)arg;
	if (n <= 0) {
		event_del(w.client);
		return;
	}
	w.n_asked += (size_t)n;
	w.asked[w.n_asked] = '\0';
	if (w.n_asked == strlen(ASKED))
		event_active(w.pump, EV_TIMEOUT, 1);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	(void)what, (void)arg;
	w.peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(w.peer >= 0);
	w.client = event_new(
	    w.base, w.peer, EV_READ | EV_PERSIST, on_client, NULL);
	event_add(w.client, NULL);
}

static void
on_guard(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what, (void)arg;
	event_base_loopbreak(w.base);
}

static void
on_done(void *arg, const struct sts_result *r)
{
	assert_ptr_equal(arg, &w);
	w.done++;
	w.result = r;
	event_base_loopbreak(w.base);
}

/* family 0: a socket of the path w.path */
static void
serve(int family)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr *to = (struct sockaddr *)&un;
	socklen_t len = sizeof un;

	memset(&w.conf, 0, sizeof w.conf);
	w.conf.map = (char *)(uintptr_t) "postfix";
	w.conf.timeout = 1;
	w.conf.server = w.path;
	w.conf.addr.family = family;
	if (family == 4) {
		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		to = (struct sockaddr *)&in;
		len = sizeof in;
	} else if (family == 6) {
		to = (struct sockaddr *)&in6;
		len = sizeof in6;
	} else
		snprintf(un.sun_path, sizeof un.sun_path, "%s", w.path);
	w.fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w.fd, to, len), 0);
	assert_int_equal(listen(w.fd, 8), 0);
	assert_int_equal(getsockname(w.fd, to, &len), 0);
	if (family == 4) {
		memcpy(w.conf.addr.ip, &in.sin_addr, 4);
		w.conf.port = ntohs(in.sin_port);
	} else if (family == 6) {
		memcpy(w.conf.addr.ip, &in6.sin6_addr, 16);
		w.conf.port = ntohs(in6.sin6_port);
	}
	w.listener = event_new(
	    w.base, w.fd, EV_READ | EV_PERSIST, on_accept, NULL);
	event_add(w.listener, NULL);
}

static int
setup(void **state)
{
	struct event_config *cfg = event_config_new();

	(void)state;
	memset(&w, 0, sizeof w);
	event_config_set_flag(cfg, EVENT_BASE_FLAG_IGNORE_ENV);
	w.base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	w.fd = w.peer = -1;
	w.pump = evtimer_new(w.base, on_pump, NULL);
	w.guard = evtimer_new(w.base, on_guard, NULL);
	snprintf(
	    w.path, sizeof w.path, "/tmp/danevirke-sts.%ld", (long)getpid());
	unlink(w.path);
	return w.base == NULL;
}

static int
teardown(void **state)
{
	(void)state;
	if (w.listener != NULL)
		event_free(w.listener);
	if (w.client != NULL)
		event_free(w.client);
	event_free(w.pump);
	event_free(w.guard);
	if (w.fd != -1)
		close(w.fd);
	if (w.peer != -1)
		close(w.peer);
	event_base_free(w.base);
	arena_free(&w.arena);
	unlink(w.path);
	return 0;
}

/* Asks, and runs the loop until done(), for so many seconds at most. */
static void
ask(unsigned seconds)
{
	struct timeval limit = { seconds, 0 };
	struct sts_query *q;

	q = sts_start(&w.conf, w.base, &w.arena, "example.org", on_done, &w);
	assert_non_null(q);
	assert_int_equal(w.done, 0); /* never inside of start() */
	evtimer_add(w.guard, &limit);
	assert_int_equal(event_base_dispatch(w.base), 0);
	assert_int_equal(w.done, 1);
	assert_non_null(w.result);
}

static void
error_because(const char *text)
{
	assert_int_equal(w.result->state, DANEVIRKE_MTA_STS_ERROR);
	assert_int_equal(w.result->n_mx, 0);
	if (strstr(w.result->why, text) == NULL)
		fail_msg("%s: want ... %s ...", w.result->why, text);
}

static const char *
patterns(const struct sts_result *r)
{
	char *s = arena_str(&w.arena, "");
	size_t i;

	if (r->state == DANEVIRKE_MTA_STS_NONE)
		return "none";
	for (i = 0; i < r->n_mx; i++)
		s = arena_printf(
		    &w.arena, "%s%s%s", s, i > 0 ? " " : "", r->mx[i]);
	return s;
}

/* ---------------------------------------------------------------- the tests */

static void
test_script(void **state)
{
	const struct script *s = *state;

	setup(NULL);
	serve(4);
	w.script = s;
	if (s->raw != NULL)
		w.len = s->raw_len > 0 ? s->raw_len : strlen(s->raw);
	else
		w.len = (size_t)snprintf(
		    w.say, sizeof w.say, "%zu:%s,", strlen(s->text), s->text);
	assert_true(w.len < sizeof w.say);
	if (s->raw != NULL)
		memcpy(w.say, s->raw, w.len);
	ask(10);
	assert_string_equal(w.asked, ASKED);
	if (s->because != NULL) {
		error_because(s->because);
		error_because("policy server ");
	} else {
		assert_int_equal(w.result->state,
		    strcmp(s->want, "none") == 0 ? DANEVIRKE_MTA_STS_NONE :
						   DANEVIRKE_MTA_STS_POLICY);
		assert_string_equal(patterns(w.result), s->want);
	}
	teardown(NULL);
}

static const struct script good = { NULL, "OK secure match=mx.example.org",
	.want = "mx.example.org" };

static void
test_ways(void **state)
{
	static const int family[] = { 4, 6, 0 };
	size_t i;

	for (i = 0; i < 3; i++) {
		setup(state);
		w.script = &good;
		w.len = (size_t)snprintf(w.say, sizeof w.say, "%zu:%s,",
		    strlen(good.text), good.text);
		serve(family[i]);
		ask(10);
		assert_string_equal(patterns(w.result), good.want);
		teardown(state);
	}
}

static void
test_nobody(void **state)
{
	(void)state;
	serve(4);
	close(w.fd); /* its port is free again */
	event_del(w.listener);
	w.fd = -1;
	ask(10);
	error_because("Connection refused");
}

static void
test_no_socket(void **state)
{
	(void)state;
	serve(0);
	unlink(w.path);
	ask(10);
	error_because("No such file or directory");
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
test_silent(void **state)
{
	static const struct script half = { NULL, .raw = "8:NOTF" };
	double from = seconds();

	(void)state;
	serve(4);
	w.script = &half;
	memcpy(w.say, half.raw, w.len = strlen(half.raw));
	ask(10);
	error_because("no answer within 1 s");
	assert_true(seconds() - from > 0.9 && seconds() - from < 5);
}

static void
test_flood(void **state)
{
	(void)state;
	serve(4);
	w.script = &good;
	w.flood = true;
	w.conf.timeout = 10;
	ask(5);
	error_because("too long");
}

static void
test_cancel(void **state)
{
	struct timeval limit = { 0, 200000 };
	struct sts_query *q;

	(void)state;
	serve(4);
	w.script = &good;
	w.len = (size_t)snprintf(
	    w.say, sizeof w.say, "%zu:%s,", strlen(good.text), good.text);
	q = sts_start(&w.conf, w.base, &w.arena, "example.org", on_done, &w);
	event_base_loop(w.base, EVLOOP_ONCE);
	sts_cancel(q);
	sts_cancel(NULL);
	evtimer_add(w.guard, &limit);
	event_base_dispatch(w.base);
	assert_int_equal(w.done, 0);
}

/* The largest reply that there may be is none too many. */
static void
test_largest(void **state)
{
	char data[SOCKETMAP_MAX + 1];
	struct sts_result r;
	int n;

	(void)state;
	n = snprintf(data, sizeof data, "%d:%-*s,", SOCKETMAP_REPLY,
	    SOCKETMAP_REPLY, "OK secure match=mx.a.b");
	assert_true(n >= SOCKETMAP_REPLY && n <= SOCKETMAP_MAX);
	assert_false(socketmap_take(&w.arena, data, (size_t)n - 1, &r));
	assert_true(socketmap_take(&w.arena, data, (size_t)n, &r));
	assert_int_equal(r.state, DANEVIRKE_MTA_STS_POLICY);
	assert_string_equal(patterns(&r), "mx.a.b");
}

static void
test_question(void **state)
{
	char buf[64];

	(void)state;
	assert_int_equal(
	    socketmap_ask("postfix", "example.org", buf, sizeof buf),
	    strlen(ASKED));
	assert_string_equal(buf, ASKED);
	assert_int_equal(
	    socketmap_ask("postfix", "example.org", buf, strlen(ASKED)), 0);
}

int
main(void)
{
	const size_t n = sizeof scripts / sizeof *scripts;
	struct CMUnitTest all[sizeof scripts / sizeof *scripts + 8] = {
		TEST(test_ways, "IPv4, IPv6 and a path lead to the server"),
		TEST_WITH(test_nobody,
		    "nobody there is an error, not \"no policy\" (H05 P05)",
		    setup, teardown),
		TEST_WITH(test_no_socket,
		    "no such socket is an error (H05 P05)", setup, teardown),
		TEST_WITH(test_silent,
		    "silence after half of a reply ends in time (H05 M11)",
		    setup, teardown),
		TEST_WITH(test_flood,
		    "digits without an end are not waited for (M11)", setup,
		    teardown),
		TEST_WITH(test_cancel, "after cancel there is no done()", setup,
		    teardown),
		TEST_WITH(test_largest, "the largest reply is one (M11)", setup,
		    teardown),
		TEST(test_question, "the question is map and domain, framed"),
	};
	size_t i;

	for (i = 0; i < n; i++)
		all[8 + i] = (struct CMUnitTest){ scripts[i].title, test_script,
			NULL, NULL, (void *)(uintptr_t)&scripts[i] };
	return _cmocka_run_group_tests("sts", all, 8 + n, NULL, NULL);
}

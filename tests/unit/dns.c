/* SPDX-License-Identifier: ISC */
/*
 * dns.c against a name server of a few lines in the same process, on loopback:
 * all questions go to it, as to a forwarder.  It does as the first label says:
 *
 *	servfail, refused, nx	that rcode
 *	silent			nothing
 *	late			the answer, after 1.3 seconds
 *	big			64 TLSA records, over TCP only
 *	else			A 192.0.2.1, or nothing of the type asked
 *
 * "plain.example" is configured to be insecure; elsewhere the lack of any
 * signature must show as ERROR.  What is asked about the root itself is counted
 * apart.
 */
#include <arpa/inet.h>
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>

#include "title.h"

#define ROOT_DS \
	". IN DS 20326 8 2 " \
	"E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"

/* ------------------------------------------------------ the name server */

struct server {
	struct event *udp, *listener, *tcp[8], *late;
	int fd, tcp_fd, n_tcp;
	int questions, root, over_tcp;
	uint8_t held[512]; /* the late answer */
	size_t held_len;
	struct sockaddr_in held_to;
};

static bool any_anchor; /* whatever is in the file is passed on */
static struct event_base *base;
static struct server server;
static char anchor[64], forward[32];
static char *forwards[] = { forward };
static struct conf_zone zone = { .name = (char[]){ "plain.example" },
	.insecure = true };

/* q: a question of len octets; the answer goes to a.  Its length, or 0. */
static size_t
reply(const uint8_t *q, size_t len, bool tcp, uint8_t *a)
{
	size_t end = 12, i, n = 0, at;
	const char *label = (const char *)q + 13;
	int type;

	if (len < 17)
		return 0;
	while (end < len && q[end] != 0)
		end += 1u + q[end];
	if (end + 5 > len)
		return 0;
	end += 5;
	type = q[end - 4] << 8 | q[end - 3];
	memcpy(a, q, end);
	a[2] = 0x81;
	a[3] = 0x80;
	memset(a + 6, 0, 6);
	if (strncmp(label, "silent", 6) == 0)
		return 0;
	if (strncmp(label, "servfail", 8) == 0)
		a[3] |= 2;
	else if (strncmp(label, "refused", 7) == 0)
		a[3] |= 5;
	else if (strncmp(label, "nx", 2) == 0)
		a[3] |= 3;
	else if (strncmp(label, "big", 3) == 0 && !tcp)
		a[2] |= 2; /* TC */
	else if (strncmp(label, "big", 3) == 0 && type == TYPE_TLSA)
		n = 64;
	else if (type == TYPE_A)
		n = 1;
	a[7] = (uint8_t)n;
	for (i = 0, at = end; i < n; i++) {
		memcpy(a + at, "\300\014\0\0\0\1\0\0\0\074\0\0", 12);
		a[at + 3] = (uint8_t)type;
		a[at + 11] = type == TYPE_A ? 4 : 35;
		at += 12;
		memset(a + at, (int)i, 35);
		if (type == TYPE_A)
			memcpy(a + at, "\300\0\2\1", 4);
		at += type == TYPE_A ? 4 : 35;
	}
	return at;
}

static void
on_late(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)what;
	(void)fd;
	(void)sendto(s->fd, s->held, s->held_len, 0,
	    (struct sockaddr *)&s->held_to, sizeof s->held_to);
}

static void
on_udp(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval late = { 1, 300000 };
	struct server *s = arg;
	struct sockaddr_in from;
	socklen_t from_len = sizeof from;
	uint8_t q[512], a[8192];
	ssize_t n;
	size_t len;

	(void)what;
	n = recvfrom(fd, q, sizeof q, 0, (struct sockaddr *)&from, &from_len);
	if (n <= 0)
		return;
	if (n > 12 && q[12] == 0)
		s->root++;
	else
		s->questions++;
	if ((len = reply(q, (size_t)n, false, a)) == 0)
		return;
	if (memcmp(q + 13, "late", 4) == 0) {
		memcpy(s->held, a, len);
		s->held_len = len;
		s->held_to = from;
		evtimer_add(s->late, &late);
		return;
	}
	(void)sendto(fd, a, len, 0, (struct sockaddr *)&from, from_len);
}

static void
on_tcp(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	uint8_t q[512], a[8192];
	ssize_t n = recv(fd, q, sizeof q, 0);
	size_t len;

	(void)what;
	if (n <= 2 || (len = reply(q + 2, (size_t)n - 2, true, a + 2)) == 0) {
		event_del(s->tcp[s->n_tcp - 1]);
		return;
	}
	s->over_tcp++;
	a[0] = (uint8_t)(len >> 8);
	a[1] = (uint8_t)len;
	(void)send(fd, a, len + 2, MSG_NOSIGNAL);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	int c = accept(fd, NULL, NULL);

	(void)what;
	if (c == -1)
		return;
	assert_true(s->n_tcp < 8);
	s->tcp[s->n_tcp] = event_new(base, c, EV_READ | EV_PERSIST, on_tcp, s);
	event_add(s->tcp[s->n_tcp++], NULL);
}

/* A port that is free for UDP may be in use for TCP by another program. */
static void
bind_both(struct sockaddr_in *sin)
{
	socklen_t len = sizeof *sin;
	int i;

	for (i = 0; i < 100; i++) {
		sin->sin_port = 0;
		server.fd = socket(AF_INET, SOCK_DGRAM, 0);
		server.tcp_fd = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(
		    bind(server.fd, (struct sockaddr *)sin, len), 0);
		assert_int_equal(
		    getsockname(server.fd, (struct sockaddr *)sin, &len), 0);
		if (bind(server.tcp_fd, (struct sockaddr *)sin, len) == 0)
			return;
		close(server.fd);
		close(server.tcp_fd);
	}
	fail_msg("no port is free for both UDP and TCP");
}

static int
setup(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd;

	(void)state;
	memset(&server, 0, sizeof server);
	base = event_base_new();
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bind_both(&sin);
	assert_int_equal(listen(server.tcp_fd, 8), 0);
	snprintf(forward, sizeof forward, "127.0.0.1@%u", ntohs(sin.sin_port));
	server.udp = event_new(
	    base, server.fd, EV_READ | EV_PERSIST, on_udp, &server);
	server.listener = event_new(
	    base, server.tcp_fd, EV_READ | EV_PERSIST, on_accept, &server);
	server.late = evtimer_new(base, on_late, &server);
	event_add(server.udp, NULL);
	event_add(server.listener, NULL);
	snprintf(anchor, sizeof anchor, "/tmp/danevirke-dns.XXXXXX");
	assert_true((fd = mkstemp(anchor)) != -1);
	assert_int_equal(write(fd, ROOT_DS, strlen(ROOT_DS)), strlen(ROOT_DS));
	close(fd);
	return 0;
}

static int
teardown(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < server.n_tcp; i++) {
		close(event_get_fd(server.tcp[i]));
		event_free(server.tcp[i]);
	}
	event_free(server.udp);
	event_free(server.listener);
	event_free(server.late);
	close(server.fd);
	close(server.tcp_fd);
	event_base_free(base);
	unlink(anchor);
	return 0;
}

int __real_conf_anchor(
    const char *, size_t *, danevirke_log *, void *, struct danevirke_error *);
int __wrap_conf_anchor(
    const char *, size_t *, danevirke_log *, void *, struct danevirke_error *);

int
__wrap_conf_anchor(const char *path, size_t *n, danevirke_log *log, void *arg,
    struct danevirke_error *err)
{
	return any_anchor ? DANEVIRKE_OK :
			    __real_conf_anchor(path, n, log, arg, err);
}

/* ----------------------------------------------------------- one lookup */

struct look {
	struct arena arena;
	struct dns_query *query;
	const struct dns_result *r;
	struct look *cancel; /* in done() */
	int done;
	bool inside; /* dns_start() */
};

static struct conf
conf_of(unsigned query_timeout)
{
	return (struct conf){ .trust_anchor = anchor,
		.forward = forwards,
		.n_forward = 1,
		.zones = &zone,
		.n_zones = 1,
		.query_timeout = query_timeout,
		.limits = { 64, 32, 8, 128 } };
}

static void
on_done(void *arg, const struct dns_result *r)
{
	struct look *l = arg;

	assert_false(l->inside);
	l->done++;
	l->r = r;
	l->query = NULL;
	if (l->cancel != NULL) {
		dns_cancel(l->cancel->query);
		arena_free(&l->cancel->arena);
	}
}

static void
start(struct dns *dns, struct look *l, const char *name, int type)
{
	struct danevirke_error err = { 0, "" };

	memset(l, 0, sizeof *l);
	l->inside = true;
	l->query = dns_start(dns, &l->arena, name, type, on_done, l, &err);
	l->inside = false;
	if (l->query == NULL)
		fail_msg("%s: %s", name, err.text);
	assert_int_equal(l->done, 0);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Runs the loop for a while. */
static void
run(double seconds)
{
	struct timeval tv = { (time_t)seconds,
		(suseconds_t)((seconds - (double)(time_t)seconds) * 1e6) };

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

static void
await(struct look *l)
{
	double end = now() + 20;

	while (l->done == 0 && now() < end)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(l->done, 1);
}

static struct dns *
new_dns(const struct conf *conf)
{
	struct danevirke_error err = { 0, "" };
	struct dns *dns = dns_new(conf, base, NULL, DNS_MANY, &err);

	assert_non_null(dns);
	return dns;
}

/* ---------------------------------------------------------------- tests */

/* done() once, from the loop: from the network and from the cache. */
static void
test_once(void **state)
{
	struct conf conf = conf_of(10);
	struct dns *dns = new_dns(&conf);
	struct look a, b;
	int asked;

	(void)state;
	start(dns, &a, "mx.plain.example", TYPE_A);
	await(&a);
	assert_int_equal(a.r->state, DANEVIRKE_INSECURE); /* D01 */
	assert_int_equal(a.r->n_rr, 1);
	assert_memory_equal(a.r->rr[0].data, "\300\0\2\1", 4);
	assert_true(a.r->ttl >= 1 && a.r->ttl <= 60);
	start(dns, &b, "nx.plain.example", TYPE_TXT);
	await(&b);
	assert_int_equal(b.r->n_rr, 0);
	assert_int_equal(b.r->ttl, 86400); /* reports are daily */
	arena_free(&b.arena);
	assert_true((asked = server.questions) > 0);
	start(dns, &b, "MX.plain.example", TYPE_A);
	await(&b);
	assert_int_equal(b.r->state, DANEVIRKE_INSECURE);
	assert_string_equal(b.r->name[0], "mx.plain.example");
	assert_int_equal(server.questions, asked); /* the cache */
	run(0.1);
	assert_int_equal(a.done, 1);
	assert_int_equal(b.done, 1);
	arena_free(&a.arena);
	arena_free(&b.arena);
	dns_free(dns);
}

static void
test_many(void **state)
{
	enum { N = 200 };
	static struct look l[N];
	struct conf conf = conf_of(15);
	struct dns *dns = new_dns(&conf);
	char name[64];
	int i;

	(void)state;
	for (i = 0; i < N; i++) {
		snprintf(name, sizeof name, "h%d.plain.example", i / 2);
		start(dns, &l[i], name, i % 3 == 0 ? TYPE_AAAA : TYPE_A);
	}
	for (i = 0; i < N; i++) {
		await(&l[i]);
		assert_int_equal(l[i].r->state, DANEVIRKE_INSECURE);
		assert_int_equal(l[i].r->n_rr, i % 3 != 0);
	}
	run(0.1);
	for (i = 0; i < N; i++) {
		assert_int_equal(l[i].done, 1);
		arena_free(&l[i].arena);
	}
	dns_free(dns);
}

/* D03: servers that are silent hold up no others: all that is asked goes out
 * at once. */
static void
test_silent(void **state)
{
	enum { N = 150 };
	static struct look l[N];
	struct conf conf = conf_of(1);
	struct dns *dns = new_dns(&conf);
	char name[64];
	int i;

	(void)state;
	for (i = 0; i < N; i++) {
		snprintf(name, sizeof name, "silent%d.plain.example", i);
		start(dns, &l[i], name, TYPE_A);
	}
	/* before anybody asks a second time, unless all is slow here */
	for (i = 0; i < 100 && server.questions < N; i++)
		run(0.05);
	assert_true(server.questions >= N && server.questions <= 2 * N);
	for (i = 0; i < N; i++) {
		await(&l[i]);
		assert_int_equal(l[i].r->state, DANEVIRKE_ERROR);
		arena_free(&l[i].arena);
	}
	dns_free(dns);
}

/* D03, D04 */
static void
test_rcodes(void **state)
{
	static const struct {
		const char *name;
		enum danevirke_dnssec state;
		bool nx;
	} t[] = {
		{ "servfail.plain.example", DANEVIRKE_ERROR, false },
		{ "refused.plain.example", DANEVIRKE_ERROR, false },
		{ "nx.plain.example", DANEVIRKE_INSECURE, true },
		{ "else.plain.example", DANEVIRKE_INSECURE, false },
	};
	struct conf conf = conf_of(10);
	struct dns *dns = new_dns(&conf);
	struct look l;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		start(dns, &l, t[i].name, TYPE_MX);
		await(&l);
		assert_int_equal(l.r->state, t[i].state);
		assert_int_equal(l.r->nxdomain, t[i].nx);
		assert_int_equal(l.r->n_rr, 0);
		if (t[i].state == DANEVIRKE_ERROR)
			assert_non_null(strstr(l.r->why, "SERVFAIL"));
		arena_free(&l.arena);
	}
	dns_free(dns);
}

/* U20: a set that needs TCP. */
static void
test_tcp(void **state)
{
	struct conf conf = conf_of(10);
	struct dns *dns = new_dns(&conf);
	struct look l;

	(void)state;
	start(dns, &l, "big.plain.example", TYPE_TLSA);
	await(&l);
	assert_int_equal(l.r->state, DANEVIRKE_INSECURE);
	assert_int_equal(l.r->n_rr, 64);
	assert_int_equal(l.r->rr[0].len, 35);
	assert_true(server.over_tcp > 0);
	arena_free(&l.arena);
	dns_free(dns);
}

/* D03, M11: the limit of one lookup, and an answer that comes after it. */
static void
test_timeout(void **state)
{
	struct conf conf = conf_of(1);
	struct dns *dns = new_dns(&conf);
	struct look silent, late, soon;
	double begun = now();

	(void)state;
	start(dns, &silent, "silent.plain.example", TYPE_A);
	start(dns, &late, "late.plain.example", TYPE_A);
	start(dns, &soon, "soon.plain.example", TYPE_A);
	await(&silent);
	await(&late);
	await(&soon);
	assert_true(now() - begun > 0.9 && now() - begun < 10);
	assert_int_equal(soon.r->state, DANEVIRKE_INSECURE);
	assert_int_equal(silent.r->state, DANEVIRKE_ERROR);
	assert_string_equal(silent.r->why, "no answer within 1 s");
	assert_false(silent.r->content);
	assert_int_equal(late.r->state, DANEVIRKE_ERROR);
	arena_free(&silent.arena);
	arena_free(&late.arena);
	arena_free(&soon.arena);
	run(1.0); /* and now the answer is there */
	assert_int_equal(silent.done, 1);
	assert_int_equal(late.done, 1);
	assert_int_equal(soon.done, 1);
	dns_free(dns);
}

/* No done() after cancel, whenever that is, nor after dns_free(). */
static void
test_cancel(void **state)
{
	struct conf conf = conf_of(1);
	struct dns *dns = new_dns(&conf);
	struct look a, b, c, d, e;

	(void)state;
	dns_cancel(NULL);
	start(dns, &a, "a.plain.example", TYPE_A); /* at once */
	dns_cancel(a.query);
	start(dns, &b, "b.plain.example", TYPE_A); /* from done() */
	start(dns, &c, "b.plain.example", TYPE_A);
	b.cancel = &c;
	c.cancel = &b;
	start(dns, &d, "silent.plain.example", TYPE_A);
	start(dns, &e, "e.plain.example", TYPE_A);
	await(&e);
	run(0.1);
	assert_int_equal(a.done, 0);
	assert_int_equal(b.done + c.done, 1);
	arena_free(&a.arena);
	arena_free(&e.arena);
	arena_free(b.done == 1 ? &b.arena : &c.arena);
	/* from the cache: finished, but not yet delivered */
	start(dns, &e, "e.plain.example", TYPE_A);
	dns_cancel(e.query);
	arena_free(&e.arena);
	start(dns, &e, "e.plain.example", TYPE_A);
	dns_free(dns); /* with d and e under way */
	arena_free(&d.arena);
	arena_free(&e.arena);
	run(1.3);
	assert_int_equal(d.done, 0);
	assert_int_equal(e.done, 0);
	dns_free(NULL);
}

/* What is asked ahead is asked once, whoever wants it then; it keeps nobody,
 * whatever becomes of it. */
static void
test_ahead(void **state)
{
	struct conf conf = conf_of(5);
	struct dns *dns = new_dns(&conf);
	struct look a, b;
	double begun;

	(void)state;
	dns_ahead(dns, "a.plain.example", TYPE_A); /* nobody to ask yet */
	run(0.1);
	assert_int_equal(server.questions, 0);
	start(dns, &a, "a.plain.example", TYPE_A);
	assert_true(dns_asked(a.query));
	await(&a);
	assert_int_equal(server.questions, 1);
	dns_ahead(dns, "b.plain.example", TYPE_A);
	start(dns, &b, "b.plain.example", TYPE_A);
	await(&b);
	assert_int_equal(b.r->state, DANEVIRKE_INSECURE);
	assert_int_equal(server.questions, 2);
	dns_ahead(dns, "servfail.plain.example", TYPE_TLSA);
	dns_ahead(dns, "silent.plain.example", TYPE_TLSA);
	dns_ahead(dns, "a..b", TYPE_TLSA);
	run(0.1);
	arena_free(&a.arena);
	start(dns, &a, "a.plain.example", TYPE_A); /* it is known */
	assert_false(dns_asked(a.query));
	await(&a);
	arena_free(&a.arena);
	arena_free(&b.arena);
	begun = now();
	dns_free(dns); /* with silent under way */
	assert_true(now() - begun < 0.5);
}

/* D05: an unsigned root is an ERROR that names the file; and D03, P02: what
 * the answer said may still be there. Nothing is written to stderr. */
static void
test_unsigned(void **state)
{
	struct conf conf = conf_of(15);
	struct dns *dns = new_dns(&conf);
	struct look l;
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	long written;

	(void)state;
	assert_non_null(f);
	dup2(fileno(f), STDERR_FILENO);
	start(dns, &l, "mx.signed.example", TYPE_A);
	await(&l);
	dns_free(dns);
	dup2(saved, STDERR_FILENO);
	close(saved);
	written = lseek(fileno(f), 0, SEEK_END);
	fclose(f);
	assert_int_equal(written, 0);
	assert_int_equal(l.r->state, DANEVIRKE_ERROR);
	if (strstr(l.r->why, anchor) == NULL)
		fail_msg("without the file: %s", l.r->why);
	assert_true(l.r->ttl <= 5); /* D15 */
	arena_free(&l.arena);
}

/* D05a: an anchor that got past the check and of which no library makes
 * anything: for it everything is insecure, the root too, and nothing of that is
 * believed.  What the configuration calls insecure is. */
static void
test_no_anchor(void **state)
{
	static const char ds[] =
	    ". IN DS 5913 253 2 fae431d5e8992360e76bb947ef3f41941a01058fb0b68f63"
	    "6b69eb0425353b6b\n";
	struct conf conf = conf_of(5);
	struct dns *dns;
	struct look l;
	FILE *f = fopen(anchor, "w");
	int i, root = 0;

	(void)state;
	assert_non_null(f);
	assert_true(fputs(ds, f) >= 0);
	fclose(f);
	any_anchor = true;
	dns = new_dns(&conf);
	for (i = 0; i < 3; i++) {
		start(dns, &l, "mx.signed.example", TYPE_A);
		await(&l);
		assert_int_equal(l.r->state, DANEVIRKE_ERROR);
		assert_true(l.r->content); /* P02 */
		assert_int_equal(l.r->n_rr, 1);
		assert_true(l.r->ttl <= 5); /* D15 */
		if (strstr(l.r->why, anchor) == NULL ||
		    strstr(l.r->why, "insecure") == NULL)
			fail_msg("%s", l.r->why);
		arena_free(&l.arena);
		assert_true(server.root > root || i > 0);
		root = server.root;
	}
	start(dns, &l, "mx.plain.example", TYPE_A); /* D01 */
	await(&l);
	assert_int_equal(l.r->state, DANEVIRKE_INSECURE);
	arena_free(&l.arena);
	dns_free(dns);
	any_anchor = false;
	dns = new_dns(&conf); /* and the check alone refuses it */
	{
		struct danevirke_error err = { 0, "" };
		struct arena arena = { NULL };

		assert_null(dns_start(dns, &arena, "mx.plain.example", TYPE_A,
		    on_done, &l, &err));
		assert_int_equal(err.code, DANEVIRKE_EANCHOR);
		assert_non_null(strstr(err.text, "algorithm, 253"));
		arena_free(&arena);
	}
	dns_free(dns);
}

/* D14: nothing is answered from tables inside the library. */
static void
test_builtin(void **state)
{
	static const char *const names[] = { "localhost", "x.test", "x.invalid",
		"x.home.arpa" };
	struct conf_zone zones[5];
	struct conf conf = conf_of(10);
	struct dns *dns;
	struct look l;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		zones[i] = (struct conf_zone){ .name = (char *)names[i],
			.insecure = true };
	conf.zones = zones;
	conf.n_zones = 4;
	dns = new_dns(&conf);
	for (i = 0; i < 4; i++) {
		start(dns, &l, names[i], TYPE_A);
		await(&l);
		assert_int_equal(l.r->state, DANEVIRKE_INSECURE);
		assert_int_equal(l.r->n_rr, 1);
		assert_memory_equal(l.r->rr[0].data, "\300\0\2\1", 4);
		arena_free(&l.arena);
	}
	dns_free(dns);
}

/* resolver.zones with servers of their own; the rest goes elsewhere. */
static void
test_zones(void **state)
{
	struct conf_zone mine = { .name = (char[]){ "plain.example" },
		.forward = forwards,
		.n_forward = 1,
		.insecure = true };
	char *nowhere[] = { (char[]){ "127.0.0.1@9" } };
	struct conf conf = conf_of(2);
	struct dns *dns;
	struct look l;

	(void)state;
	conf.forward = nowhere;
	conf.zones = &mine;
	dns = new_dns(&conf);
	start(dns, &l, "mx.plain.example", TYPE_A);
	await(&l);
	assert_int_equal(l.r->state, DANEVIRKE_INSECURE);
	assert_int_equal(l.r->n_rr, 1);
	arena_free(&l.arena);
	server.questions = 0;
	start(dns, &l, "mx.other.example", TYPE_A);
	await(&l);
	assert_int_equal(l.r->state, DANEVIRKE_ERROR);
	assert_int_equal(server.questions, 0);
	arena_free(&l.arena);
	dns_free(dns);
}

/* What cannot be used is said, and nothing is asked. */
static void
test_refused(void **state)
{
	char *bad[] = { (char[]){ "192.0.2" } };
	static char name[300], hints[] = "/nonexistent/hints";
	static char none[] = "/nonexistent/anchor", empty[] = "/dev/null";
	struct conf_zone quote = {
		.name = (char[]){ "a\"b" }, .forward = forwards, .n_forward = 1
	};
	struct danevirke_error err;
	struct arena arena = { NULL };
	struct conf conf;
	struct dns *dns;
	struct look l;
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++) {
		static const struct {
			int code;
			const char *text;
		} want[] = { { DANEVIRKE_EDNS,
				 "resolver.forward: \"192.0.2\"" },
			{ DANEVIRKE_ECONF, "/nonexistent/hints" },
			{ DANEVIRKE_EANCHOR, "/nonexistent/anchor" },
			{ DANEVIRKE_EANCHOR, "/dev/null" }, /* D05 */
			{ DANEVIRKE_EDNS, "a\"b" } };

		conf = conf_of(5);
		if (i == 0)
			conf.forward = bad;
		if (i == 1)
			conf.root_hints = hints;
		if (i == 2 || i == 3)
			conf.trust_anchor = i == 2 ? none : empty;
		if (i == 4)
			conf.zones = &quote;
		dns = new_dns(&conf);
		memset(&err, 0, sizeof err);
		assert_null(dns_start(dns, &arena, "mx.plain.example", TYPE_A,
		    on_done, &l, &err));
		if (strstr(err.text, want[i].text) == NULL ||
		    err.code != want[i].code)
			fail_msg("%d %s", err.code, err.text);
		/* and the next try is as good as the first */
		assert_null(dns_start(dns, &arena, "mx.plain.example", TYPE_A,
		    on_done, &l, NULL));
		dns_free(dns);
	}
	conf = conf_of(5);
	dns = new_dns(&conf);
	memset(name, 'a', 299);
	for (i = 0; i < 3; i++) {
		static const char *const names[] = { name, "a..b", "" };

		assert_null(dns_start(
		    dns, &arena, names[i], TYPE_A, on_done, &l, &err));
		assert_int_equal(err.code, DANEVIRKE_EINVAL);
		assert_non_null(strstr(err.text, "not a domain name"));
	}
	dns_free(dns);
	run(0.1);
	arena_free(&arena);
	assert_int_equal(server.questions, 0);
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		TEST_WITH(test_once,
		    "done() comes once, from the network and the cache (D01)",
		    setup, teardown),
		TEST_WITH(test_many, "200 lookups at once are all answered",
		    setup, teardown),
		TEST_WITH(test_silent,
		    "silent servers hold up no other lookup (D03)", setup,
		    teardown),
		TEST_WITH(test_rcodes,
		    "SERVFAIL is an error, no such name an answer (D03 D04)",
		    setup, teardown),
		TEST_WITH(test_tcp, "a set of 64 records comes over TCP (U20)",
		    setup, teardown),
		TEST_WITH(test_timeout,
		    "a lookup ends in time, and a late answer is lost (D03 M11)",
		    setup, teardown),
		TEST_WITH(test_cancel,
		    "after cancel or free there is no done()", setup, teardown),
		TEST_WITH(test_ahead, "what is asked ahead keeps nobody (B05a)",
		    setup, teardown),
		TEST_WITH(test_unsigned,
		    "an unsigned root is an error, with the file (D03 D05 P02)",
		    setup, teardown),
		TEST_WITH(test_no_anchor,
		    "an anchor of no use proves nothing (D01 D05a P02)", setup,
		    teardown),
		TEST_WITH(test_builtin, "no table of the library answers (D14)",
		    setup, teardown),
		TEST_WITH(test_zones, "resolver.zones has servers of its own",
		    setup, teardown),
		TEST_WITH(test_refused,
		    "what cannot be used is told, and nothing is asked (D05)",
		    setup, teardown),
	};

	return cmocka_run_group_tests_name("dns", all, NULL, NULL);
}

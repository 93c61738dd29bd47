/* SPDX-License-Identifier: ISC */
/* The module and Exim, made up: see hook.h. */
#include <sys/mman.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "load.h"
#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>
#undef fail

#include "certs.h"
#include "hook.h"

#define KEPT 8192
#define CODES 64

struct pretence *fake_shared;
char text[4096], logged[8192], reported[4096];

static struct danevirke_api module;
static struct danevirke_settings settings;
static uint8_t ee[32], ta[32]; /* SHA-256 of the keys */
/* texts of failures are Exim's from now on; volatile, or the compiler sees that
 * nobody reads them */
static unsigned char *volatile kept[KEPT];
static size_t n_kept;
static struct {
	char id[64];
	gnutls_datum_t b64;
} codes[CODES];
static pid_t first;

/* ------------------------------------------------------ the linker's wraps */

uid_t __real_geteuid(void);
uid_t __real_getuid(void);
uid_t __wrap_geteuid(void);
uid_t __wrap_getuid(void);
pid_t __real_fork(void);
pid_t __wrap_fork(void);
int __real_clock_gettime(clockid_t, struct timespec *);
int __wrap_clock_gettime(clockid_t, struct timespec *);
int __wrap_shim_load(struct shim *, const char *, struct danevirke_error *);
int __real_vasprintf(char **, const char *, va_list)
    __attribute__((format(printf, 2, 0)));
int __wrap_vasprintf(char **, const char *, va_list)
    __attribute__((format(printf, 2, 0)));
int __wrap___vasprintf_chk(char **, int, const char *, va_list)
    __attribute__((format(printf, 3, 0)));
extern unsigned debug_selector;
void log_write(unsigned, int, const char *, ...)
    __attribute__((format(printf, 3, 4)));

bool
hook_is_root(void)
{
	return __real_geteuid() == 0 && __real_getuid() == 0;
}

/* As root the truth, so that giving it up shows; else a lie when wanted. */
static uid_t
seem(uid_t real)
{
	if (!fake.root)
		return real == 0 ? 1000 : real;
	return getpid() == first && real != 0 ? 0 : real;
}

uid_t
__wrap_geteuid(void)
{
	return seem(__real_geteuid());
}

uid_t
__wrap_getuid(void)
{
	return seem(__real_getuid());
}

pid_t
__wrap_fork(void)
{
	fake.forked++;
	return __real_fork();
}

int
__wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
	int rv = __real_clock_gettime(clock, t);

	if (clock == CLOCK_MONOTONIC)
		t->tv_sec += fake.ahead;
	return rv;
}

int
__wrap_shim_load(struct shim *s, const char *path, struct danevirke_error *err)
{
	memset(s, 0, sizeof *s);
	assert_null(path);
	if (fake.unloadable) {
		snprintf(err->text, sizeof err->text, "no module today");
		return -1;
	}
	s->dv = &module;
	return 0;
}

int
__wrap_vasprintf(char **s, const char *fmt, va_list ap)
{
	return fake.full ? -1 : __real_vasprintf(s, fmt, ap);
}

/* What it is called with _FORTIFY_SOURCE */
int
__wrap___vasprintf_chk(char **s, int flag, const char *fmt, va_list ap)
{
	(void)flag;
	return __wrap_vasprintf(s, fmt, ap);
}

/* Exim's own, up to 4.99; tests/unit/callers.sh has the others */
unsigned debug_selector;

void
log_write(unsigned selector, int flags, const char *fmt, ...)
{
	size_t n = strlen(logged);
	va_list ap;

	assert_int_equal(selector, 0);
	assert_int_equal(flags, 1);
	va_start(ap, fmt);
	vsnprintf(logged + n, sizeof logged - n, fmt, ap);
	va_end(ap);
	strncat(logged, "\n", sizeof logged - strlen(logged) - 1);
}

void
log_clear(void)
{
	*logged = *reported = '\0';
}

/* ---------------------------------------------------------------- answers */

static const struct danevirke_addr addrs[] = {
	{ 4, { 192, 0, 2, 1 }, MX1 },
	{ 6, { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, V6 },
	{ 4, { 192, 0, 2, 2 }, MX2 },
	{ 4, { 192, 0, 2, 3 }, MX3 },
	{ 4, { 192, 0, 2, 4 }, MX4 },
	{ 4, { 192, 0, 2, 5 }, MX5 },
	{ 4, { 192, 0, 2, 1 }, MX1 },
	{ 4, { 192, 0, 2, 4 }, MX4 },
	{ 4, { 192, 0, 2, 6 }, TA },
};
static const struct danevirke_tlsa tlsa[] = {
	{ 3, 1, 1, 1, 1, ee, sizeof ee, NULL },
	{ 2, 1, 1, 1, 1, ta, sizeof ta, NULL },
};
#define BASE "mx.example.org"
static const char *const names[] = { BASE };
#define HOST(n, act, first_addr, number) \
	.size = sizeof(struct danevirke_host), .name = n, .port = 25, \
	.action = act, .would = act, .state = DANEVIRKE_SECURE, \
	.addrs = addrs + first_addr, .n_addrs = number, .reason = "made up"
#define RECORD(i) \
	.base = BASE, .names = names, .n_names = 1, .tlsa = tlsa + i, \
	.n_tlsa = 1, .tlsa_state = DANEVIRKE_SECURE
static const struct danevirke_host hosts[] = {
	{ HOST("mx1.example", DANEVIRKE_AUTHENTICATE, 0, 2), RECORD(0) },
	{ HOST("mx2.example", DANEVIRKE_OPPORTUNISTIC, 2, 1) },
	{ HOST("mx3.example", DANEVIRKE_ENCRYPT, 3, 1) },
	{ HOST("mx4.example", DANEVIRKE_HOST_DEFER, 4, 1) },
	{ HOST("mx5.example", DANEVIRKE_OPPORTUNISTIC, 5, 3) },
	{ HOST("mx6.example", DANEVIRKE_AUTHENTICATE, 8, 1), RECORD(1) },
};
#define N_HOSTS (sizeof hosts / sizeof *hosts)

static const struct {
	const char *label;
	struct danevirke_answer a;
} kinds[] = {
	{ "null", { .outcome = DANEVIRKE_NULL_MX } },
	{ "none", { .outcome = DANEVIRKE_NO_DOMAIN } },
	{ "loop", { .outcome = DANEVIRKE_LOOP } },
	{ "defer", { .outcome = DANEVIRKE_DEFER } },
	{ "off", { .level = DANEVIRKE_LEVEL_OFF } },
	{ "audit",
	    { .outcome = DANEVIRKE_ROUTE, .level = DANEVIRKE_LEVEL_AUDIT } },
	{ "wait", { .level = DANEVIRKE_LEVEL_AUDIT } },
	{ "both",
	    { .outcome = DANEVIRKE_ROUTE,
		.level = DANEVIRKE_LEVEL_AUDIT,
		.exception = "ticket 13" } },
	{ "both-wait",
	    { .level = DANEVIRKE_LEVEL_AUDIT, .exception = "ticket 13" } },
	{ "both-off",
	    { .level = DANEVIRKE_LEVEL_OFF, .exception = "ticket 13" } },
	{ "insecure", { .outcome = DANEVIRKE_ROUTE, .insecure_mx = 1 } },
	{ "exception",
	    { .outcome = DANEVIRKE_ROUTE, .exception = "ticket 12" } },
};

static bool
is(const char *name, const char *label)
{
	size_t n = strlen(label);

	return strncmp(name, label, n) == 0 && name[n] == '.';
}

static const struct danevirke_answer *
make(const struct danevirke_question *q)
{
	struct danevirke_answer a = { .outcome = DANEVIRKE_ROUTE };
	const struct danevirke_host *list[N_HOSTS];
	struct danevirke_host h[N_HOSTS];
	static char big[2000000];
	char who[64];
	size_t i;

	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (is(q->name, kinds[i].label))
			a = kinds[i].a;
	memcpy(h, hosts, sizeof h);
	for (i = 0; i < N_HOSTS; i++) {
		list[i] = &h[i];
		h[i].port = q->port;
		if (a.level == DANEVIRKE_LEVEL_AUDIT || is(q->name, "weak"))
			h[i].action = DANEVIRKE_OPPORTUNISTIC;
		if (is(q->name, "weak"))
			h[i].would = DANEVIRKE_OPPORTUNISTIC;
		if (is(q->name, "dead"))
			h[i].action = DANEVIRKE_HOST_DEFER;
	}
	a.size = sizeof a;
	a.reason = "so it was made";
	a.hosts = list;
	a.n_hosts = q->kind == DANEVIRKE_RELAY ? 1 : N_HOSTS;
	a.would = a.outcome;
	a.ttl = 300;
	a.tls_priority = "SECURE192";
	if (is(q->name, "bare"))
		memset(&a, 0, sizeof a);
	a.expires = is(q->name, "old") || is(q->name, "drags") ? 0 : UINT64_MAX;
	a.domain = a.final = q->name;
	a.profile = q->profile;
	if (a.reason == NULL)
		a.reason = "";
	a.tlsrpt_record = "v=TLSRPTv1; rua=mailto:a@b.example";
	a.tlsrpt_socket = "/run/c.sock";
	if (is(q->name, "dead"))
		a.result = h[0].result = DANEVIRKE_DNSSEC_INVALID;
	h[3].result = DANEVIRKE_TLSA_INVALID;
	if (is(q->name, "many")) {
		memset(big, 'x', sizeof big - 1);
		h[0].reason = big;
	}
	if (is(q->name, "drags"))
		a.outcome = DANEVIRKE_DEFER;
	if (is(q->name, "uid")) {
		snprintf(who, sizeof who, "asked by %ld, %d",
		    (long)__real_geteuid(), getgroups(0, NULL));
		a.outcome = a.would = DANEVIRKE_DEFER;
		a.reason = who;
	}
	return answer_make(&a);
}

/* -------------------------------------------------------------- the module */

static struct danevirke *
fake_open(const struct danevirke_options *o, struct danevirke_error *err)
{
	static char engine;

	assert_int_equal(o->size, sizeof *o);
	assert_null(o->config); /* the built-in one, nobody else's */
	assert_null(o->base);
	fake.opened++;
	if (!fake.unopenable)
		return (struct danevirke *)(void *)&engine;
	snprintf(err->text, sizeof err->text, "no engine today");
	return NULL;
}

static void
fake_close(struct danevirke *e)
{
	fake.closed += e != NULL;
}

static const struct danevirke_answer *
fake_ask(struct danevirke *e, const struct danevirke_question *q,
    struct danevirke_error *err)
{
	assert_non_null(e);
	assert_int_equal(q->size, sizeof *q);
	if (q->flags & DANEVIRKE_STORED) {
		fake.looked++;
		if (is(q->name, "stored") || is(q->name, "bare"))
			return make(q);
		err->code = DANEVIRKE_EDNS;
		snprintf(err->text, sizeof err->text, "not in the store");
		return NULL;
	}
	assert_int_equal(
	    q->flags, DANEVIRKE_NO_LOOKUP_IF_OFF | DANEVIRKE_LEAVE);
	assert_true(getpid() != first); /* D16 */
	fake.asked++;
	snprintf(fake.asked_for, sizeof fake.asked_for, "%s %s %u %s",
	    q->kind == DANEVIRKE_RELAY ? "relay" : "domain", q->name, q->port,
	    q->profile);
	if (is(q->name, "ends"))
		raise(SIGKILL);
	if (is(q->name, "drags"))
		fake.ahead += 29;
	while (is(q->name, "spins"))
		;
	while (is(q->name, "sleeps"))
		pause();
	if (fake.mute)
		snprintf(err->text, sizeof err->text, "no answer today");
	else if (strcmp(q->profile, "default") != 0 &&
	    strcmp(q->profile, "strict") != 0)
		snprintf(err->text, sizeof err->text, "profile \"%.64s\": none",
		    q->profile);
	else
		return make(q);
	return NULL;
}

static const struct danevirke_answer *
fake_recall(
    struct danevirke *e, const struct danevirke_question *q, uint32_t uid)
{
	assert_non_null(e);
	assert_int_equal(q->size, sizeof *q);
	assert_true(uid != 0);
	fake.recalled++;
	return is(q->name, "left") ? make(q) : NULL;
}

static size_t
fake_pack(const struct danevirke_answer *a, void *buf, size_t len)
{
	size_t n = danevirke_v1.pack(a, buf, len);

	if (is(a->domain, "huge"))
		return (64u << 20) + 1;
	if (is(a->domain, "spoilt") && buf != NULL && len >= n)
		((char *)buf)[8]++; /* its length */
	return n;
}

static const struct danevirke_settings *
fake_settings(const struct danevirke *e)
{
	assert_non_null(e);
	settings.exim_user = fake.user;
	settings.resolver_timeout = fake.timeout;
	return &settings;
}

static const struct danevirke_profile *
fake_profile(const struct danevirke *e, const char *name)
{
	static struct danevirke_profile p = { .size = sizeof p };

	assert_non_null(e);
	p.name = name;
	p.tlsrpt = fake.collector;
	return &p;
}

static int
fake_report(const struct danevirke_answer *a, const struct danevirke_host *h,
    const struct danevirke_session *s)
{
	const size_t n = strlen(reported);

	assert_string_equal(a->tlsrpt_socket, "/run/c.sock");
	snprintf(reported + n, sizeof reported - n, "%s %s %s %s %s %s: %s\n",
	    h != NULL ? h->name : a->domain,
	    danevirke_v1.result_name(s->result), s->tls ? "tls" : "clear",
	    s->from != NULL ? s->from : "-",
	    s->address != NULL ? s->address : "-",
	    s->helo != NULL ? s->helo : "-", s->text != NULL ? s->text : "-");
	return DANEVIRKE_EDNS; /* of no concern (K03) */
}

static void
digest(const char *id, uint8_t *out)
{
	const struct cert *c = cert_find(id);

	assert_non_null(c);
	assert_int_equal(
	    gnutls_hash_fast(GNUTLS_DIG_SHA256, c->spki, c->spki_len, out), 0);
}

int
hook_setup(void **state)
{
	(void)state;
	fake_shared = mmap(NULL, sizeof fake, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (fake_shared == MAP_FAILED || certs_make() != 0)
		return -1;
	fake.user = "nobody";
	fake.timeout = 60;
	fake.collector = "/run/c.sock";
	first = getpid();
	digest("leaf", ee);
	digest("root-ever", ta);
	module = danevirke_v1;
	module.open = fake_open;
	module.close = fake_close;
	module.ask = fake_ask;
	module.pack = fake_pack;
	module.settings = fake_settings;
	module.profile = fake_profile;
	module.report = fake_report;
	module.recall = fake_recall;
	return 0;
}

int
hook_teardown(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < CODES; i++)
		gnutls_free(codes[i].b64.data);
	certs_free();
	return 0;
}

/* ----------------------------------------------------------------- calling */

int
call(hook *f, const char *const *argv, size_t argc)
{
	static const char never[] = "not written";
	unsigned char **copy = NULL, *yield;
	size_t i;
	int code;

	yield = (unsigned char *)(uintptr_t)never;
	/* no more octets than there are: a sanitizer sees the end */
	if (argc > 0)
		assert_non_null(copy = malloc(argc * sizeof *copy));
	for (i = 0; i < argc; i++)
		copy[i] = argv[i] == NULL ? NULL :
					    (unsigned char *)strdup(argv[i]);
	code = f(&yield, (int)argc, copy);
	for (i = 0; i < argc; i++)
		free(copy[i]);
	free(copy);
	if (code != OK && code != FAIL && code != FORCED)
		print_error("code %d\n", code);
	assert_true(code == OK || code == FAIL || code == FORCED);
	assert_non_null(yield);
	assert_ptr_not_equal(yield, never);
	snprintf(text, sizeof text, "%s", (char *)yield);
	assert_true(strlen(text) < 1200);
	for (i = 0; text[i] != '\0'; i++)
		assert_false((unsigned char)text[i] < ' ');
	assert_true(n_kept < KEPT);
	if (code != OK)
		kept[n_kept++] = yield;
	return code;
}

/* What to put into base64, in memory of its own. */
static gnutls_datum_t
octets(const char *id)
{
	const struct cert *c;
	gnutls_datum_t d;
	char name[64];
	size_t times, more;

	if (strcmp(id, "zeros") == 0) {
		d.size = 90000;
		assert_non_null(d.data = calloc(1, d.size));
		memcpy(d.data, "\x30\x83\x01\x5f\x8b", 5); /* 89,995 follow */
		return d;
	}
	times = strchr(id, '*') != NULL ? 2 : 1;
	more = *id == '+';
	snprintf(name, sizeof name, "%.*s",
	    (int)strcspn(id + strspn(id, "+-="), "*"), id + strspn(id, "+-="));
	assert_non_null(c = cert_find(name));
	d.size = (unsigned)(c->len * times + more - (*id == '-'));
	assert_non_null(d.data = calloc(1, c->len * times + more));
	memcpy(d.data, c->der, c->len);
	if (*id == '=')
		*d.data = 0x31;
	if (times == 2)
		memcpy(d.data + c->len, c->der, c->len);
	return d;
}

const char *
base64(const char *id)
{
	gnutls_datum_t d;
	size_t i;

	if (*id == '!')
		return id + 1;
	for (i = 0; i < CODES && *codes[i].id != '\0'; i++)
		if (strcmp(codes[i].id, id) == 0)
			return (char *)codes[i].b64.data;
	assert_true(i < CODES);
	d = octets(id);
	assert_int_equal(gnutls_base64_encode2(&d, &codes[i].b64), 0);
	free(d.data);
	snprintf(codes[i].id, sizeof codes[i].id, "%s", id);
	return (char *)codes[i].b64.data;
}

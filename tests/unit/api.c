/* SPDX-License-Identifier: ISC */
/* The rules at the head of danevirke.h, kept by the real module as a host
 * process loads it.  DNS is a socket on loopback that never answers. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <dlfcn.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "danevirke.h"
#include "load.h"

#include <cmocka.h>

#include "title.h"

/* The root key of 2017; the real root is never asked here. */
#define ANCHOR \
	". IN DS 20326 8 2 " \
	"E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n"

static char dir[] = "/tmp/danevirke-api.XXXXXX";
static char config[64], anchor[64], path[4096];
static const struct danevirke_api *dv;
static int silent = -1; /* UDP */
static unsigned in_port;
static char said[4096];

static void
on_log(void *arg, int level, const char *text)
{
	(void)arg;
	(void)level;
	strncat(said, text, sizeof said - strlen(said) - 2);
	strcat(said, "\n");
}

static void
file_write(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
config_write(void)
{
	char text[512];

	file_write(anchor, ANCHOR);
	snprintf(text, sizeof text,
	    "resolver: { trust_anchor = \"%s\"; forward = [ \"127.0.0.1@%u\" ];"
	    " timeout = 2; query_timeout = 1; };\n"
	    "profiles: { strict: { level = \"dane-only\"; }; };\n"
	    "destinations = ( { domain = \"off.example\"; level = \"off\";"
	    " reason = \"test\"; } );\n",
	    anchor, in_port);
	file_write(config, text);
}

static int
group_setup(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof sin;
	const char *env = getenv("DANEVIRKE_MODULE");
	struct danevirke_error err;
	static struct shim shim;

	(void)state;
	snprintf(
	    path, sizeof path, "%s", env != NULL ? env : ".libs/danevirke.so");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(config, sizeof config, "%s/danevirke.conf", dir);
	snprintf(anchor, sizeof anchor, "%s/root.key", dir);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if ((silent = socket(AF_INET, SOCK_DGRAM, 0)) == -1 ||
	    bind(silent, (struct sockaddr *)&sin, sizeof sin) == -1 ||
	    getsockname(silent, (struct sockaddr *)&sin, &len) == -1)
		return -1;
	in_port = ntohs(sin.sin_port);
	if (shim_load(&shim, path, &err) != 0) {
		print_error("%s\n", err.text);
		return -1;
	}
	dv = shim.dv;
	config_write();
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	close(silent);
	unlink(config);
	unlink(anchor);
	return rmdir(dir);
}

static struct danevirke *
engine_open(struct event_base *base)
{
	struct danevirke_options o = {
		.size = sizeof o, .config = config, .base = base, .log = on_log
	};
	struct danevirke_error err = { 0 };
	struct danevirke *e;

	said[0] = '\0';
	if ((e = dv->open(&o, &err)) == NULL)
		print_error("%s\n", err.text);
	assert_non_null(e);
	return e;
}

static struct danevirke_question
question(const char *name)
{
	struct danevirke_question q = { .size = sizeof q, .name = name };

	return q;
}

/* ------------------------------------------------------------- loading */

static void
test_load(void **state)
{
	static const char *const hidden[] = { "conf_load", "dns_start",
		"policy_decide", "tlsa_parse", "verify_chain", "fail",
		"answer_make" };
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct danevirke_api *api;
	size_t i;

	(void)state;
	assert_non_null(handle);
	api = dlsym(handle, DANEVIRKE_SYMBOL);
	assert_non_null(api);
	assert_int_equal(api->abi, DANEVIRKE_ABI);
	assert_true(api->size >= sizeof *api);
	assert_string_equal(api->version, PACKAGE_VERSION);
	for (i = 0; i < sizeof hidden / sizeof *hidden; i++)
		assert_null(dlsym(handle, hidden[i]));
	dlclose(handle);
	/* -z nodelete: still there */
	assert_int_equal(api->abi, DANEVIRKE_ABI);
}

/* Modules of another ABI, of an older table, and files that are no module. */
static void
test_load_refused(void **state)
{
	static const struct {
		const char *file, *want;
	} t[] = {
		{ "wrongabi.so", "version 1" },
		{ "wrongsize.so", "version 1" },
		{ "wrongname.so", DANEVIRKE_SYMBOL },
		{ "nosuch.so", "nosuch.so" },
	};
	struct danevirke_error err;
	struct shim shim;
	char file[5000], *slash;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		snprintf(file, sizeof file, "%s", path);
		slash = strrchr(file, '/');
		assert_non_null(slash);
		snprintf(slash + 1, sizeof file - (size_t)(slash + 1 - file),
		    "%s", t[i].file);
		memset(&shim, 0, sizeof shim);
		memset(&err, 0, sizeof err);
		assert_int_equal(shim_load(&shim, file, &err), -1);
		assert_null(shim.dv);
		if (strcasestr(err.text, t[i].want) == NULL)
			print_error("%s: %s\n", t[i].file, err.text);
		assert_non_null(strcasestr(err.text, t[i].want));
	}
	file_write(config, "no module\n");
	assert_int_equal(shim_load(&shim, config, &err), -1);
	assert_true(err.text[0] != '\0');
	config_write();
}

/* ------------------------------------------------------------ arguments */

static void
test_null(void **state)
{
	struct danevirke_error err = { 0 };
	struct danevirke_question q = question("example.org");
	struct danevirke_verdict v = { .size = sizeof v };
	struct danevirke_host h = { .size = sizeof h };
	struct danevirke_chain c = { NULL, 0 };
	struct danevirke_query *query = NULL;
	char buf[256];

	(void)state;
	assert_null(dv->open(NULL, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	assert_null(dv->open(NULL, NULL));
	dv->close(NULL);
	dv->cancel(NULL);
	dv->release(NULL);
	assert_null(dv->ask(NULL, &q, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	assert_int_equal(
	    dv->start(NULL, &q, NULL, NULL, &query, &err), DANEVIRKE_EINVAL);
	assert_null(dv->settings(NULL));
	assert_null(dv->profile(NULL, "default"));
	assert_int_equal(dv->verify(&h, &c, NULL, NULL), DANEVIRKE_EINVAL);
	assert_int_not_equal(dv->verify(NULL, &c, NULL, &v), 0);
	assert_false(v.verified);
	assert_true(v.text[0] != '\0');
	assert_int_not_equal(dv->verify(&h, NULL, NULL, &v), 0);
	assert_false(v.verified);
	/* an action that is not AUTHENTICATE is never verified */
	assert_int_not_equal(dv->verify(&h, &c, NULL, &v), 0);
	assert_false(v.verified);
	assert_int_equal(v.index, -1);
	assert_int_equal(
	    dv->classify(NULL, 3, 0, NULL, &err), DANEVIRKE_EINVAL);
	assert_string_equal(dv->log_word(NULL, NULL, 1, 1), "deferred");
	assert_int_equal(dv->pack(NULL, buf, sizeof buf), 0);
	assert_null(dv->unpack(NULL, 0, &err));
	assert_int_equal(err.code, DANEVIRKE_EFORMAT);
	assert_int_equal(
	    dv->to_ascii(NULL, buf, sizeof buf, &err), DANEVIRKE_EINVAL);
	assert_string_equal(dv->result_name(DANEVIRKE_RESULT_NONE), "");
	assert_string_equal(
	    dv->result_name(DANEVIRKE_DANE_REQUIRED), "dane-required");
}

static void
test_sizes(void **state)
{
	struct danevirke_options o = { .config = config };
	struct danevirke_error err = { 0 };
	struct danevirke_question q = question("example.org");
	struct {
		struct danevirke_question q;
		char newer[64];
	} big = { .q = { .size = sizeof big, .name = "[192.0.2.1]" } };
	char buf[1];
	const struct danevirke_answer *a;
	struct danevirke *e;

	(void)state;
	assert_null(dv->open(&o, &err)); /* size 0 */
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	e = engine_open(NULL);
	q.size = 0;
	assert_null(dv->ask(e, &q, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	assert_null(dv->ask(e, NULL, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	q = question(NULL);
	assert_null(dv->ask(e, &q, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	q = question("a..b");
	assert_null(dv->ask(e, &q, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	q = question("example.org");
	q.profile = "nosuch";
	assert_null(dv->ask(e, &q, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	assert_non_null(strstr(err.text, "nosuch"));
	q.profile = NULL;
	q.kind = (enum danevirke_kind)7;
	assert_null(dv->ask(e, &q, NULL));
	q = question("example.org");
	q.flags = 0x80;
	assert_null(dv->ask(e, &q, &err));
	assert_non_null(strstr(err.text, "flags: 0x80"));
	/* D16: nobody is asked, and it fails at once */
	q.flags = DANEVIRKE_STORED;
	assert_null(dv->ask(e, &q, &err));
	assert_int_equal(err.code, DANEVIRKE_EDNS);
	assert_non_null(strstr(err.text, "store"));
	assert_int_equal(recv(silent, buf, 1, MSG_DONTWAIT), -1);
	q.name = "[192.0.2.1]"; /* for which there is nothing to ask */
	assert_non_null(a = dv->ask(e, &q, &err));
	assert_true(a->outcome == DANEVIRKE_ROUTE);
	dv->release(a);
	assert_int_equal(dv->settings(e)->resolver_timeout, 2);
	/* root, and whoever has no directory of its own, has no store */
	assert_int_equal(
	    dv->store_flush(e, NULL, NULL, &err), DANEVIRKE_EINVAL);
	assert_non_null(strstr(err.text, "no store"));
	assert_int_equal(dv->store_list(e, NULL, NULL, &err), DANEVIRKE_EINVAL);
	/* a caller that knows more fields than we do is served */
	a = dv->ask(e, &big.q, &err);
	assert_non_null(a);
	assert_true(a->size > 0 && a->size <= sizeof *a);
	dv->release(a);
	dv->close(e);
}

/* Callers know fewer fields or more; what is not understood is refused. */
static void
test_growth(void **state)
{
	struct {
		struct danevirke_options o;
		uint64_t newer[8];
	} o = { .o = { .config = config } };
	struct {
		struct danevirke_question q;
		uint64_t newer[8];
	} q = { .q = { .name = "[192.0.2.1]" } };
	struct danevirke_error err = { 0 };
	const struct danevirke_answer *a;
	struct danevirke *e;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++) {
		o.o.size = i == 0 ? DANEVIRKE_OPTIONS_MIN :
		    i == 1        ? sizeof o.o :
				    sizeof o;
		o.newer[7] = i == 3;
		/* what lies beyond the size is not read */
		o.o.flags = i == 0 ? 0x80 : 0;
		e = dv->open(&o.o, &err);
		if (i == 3) {
			assert_null(e);
			assert_int_equal(err.code, DANEVIRKE_EINVAL);
			assert_non_null(strstr(err.text, "options: octet"));
		} else
			assert_non_null(e);
		dv->close(e);
	}
	o.newer[7] = 0;
	o.o.flags = 0x80;
	assert_null(dv->open(&o.o, &err));
	assert_non_null(strstr(err.text, "options.flags: 0x80"));
	o.o.flags = 0;
	o.o.size = DANEVIRKE_OPTIONS_MIN - 1;
	assert_null(dv->open(&o.o, &err));
	assert_non_null(strstr(err.text, "options: size"));
	o.o.size = SIZE_MAX;
	assert_null(dv->open(&o.o, &err));

	e = engine_open(NULL);
	for (i = 0; i < 4; i++) {
		q.q.size = i == 0 ? DANEVIRKE_QUESTION_MIN :
		    i == 1        ? sizeof q.q :
				    sizeof q;
		q.newer[0] = i == 3;
		q.q.flags = i == 0 ? 0x80 : 0;
		a = dv->ask(e, &q.q, &err);
		if (i == 3) {
			assert_null(a);
			assert_int_equal(err.code, DANEVIRKE_EINVAL);
			assert_non_null(strstr(err.text, "question: octet"));
		} else
			assert_non_null(a);
		dv->release(a);
	}
	q.newer[0] = 0;
	q.q.size = DANEVIRKE_QUESTION_MIN - 1;
	assert_null(dv->ask(e, &q.q, &err));
	assert_non_null(strstr(err.text, "question: size"));
	q.q.size = SIZE_MAX;
	assert_null(dv->ask(e, &q.q, &err));
	dv->close(e);
}

/* Any octets are a certificate to a record that has them all (U06). */
static void
test_verdict(void **state)
{
	static const uint8_t der[] = { 1, 2, 3 };
	static const char *const names[] = { "mx.example.org" };
	struct danevirke_tlsa t = { 3, 0, 0, 1, 1, der, 3, NULL };
	struct danevirke_host h = { .size = DANEVIRKE_HOST_MIN,
		.would = DANEVIRKE_AUTHENTICATE,
		.base = names[0],
		.names = names,
		.n_names = 1,
		.tlsa = &t,
		.n_tlsa = 1 };
	struct danevirke_cert cert = { der, 3 };
	struct danevirke_chain c = { &cert, 1 };
	struct danevirke_verify_options o = { .size = sizeof o };
	struct {
		struct danevirke_verdict v;
		char newer[64];
	} big;
	size_t size, i;
	char *raw = (char *)&big;

	(void)state;
	for (size = 0; size <= sizeof big; size++) {
		memset(&big, 'x', sizeof big);
		big.v.size = size;
		if (size < DANEVIRKE_VERDICT_MIN) {
			assert_int_equal(
			    dv->verify(&h, &c, NULL, &big.v), DANEVIRKE_EINVAL);
			i = sizeof big.v.size; /* nothing is written */
		} else {
			assert_int_equal(dv->verify(&h, &c, NULL, &big.v), 0);
			assert_int_equal(big.v.verified, 1);
			i = size < sizeof big.v ? size : sizeof big.v;
		}
		assert_int_equal(big.v.size, size);
		for (; i < sizeof big; i++)
			assert_int_equal(raw[i], 'x');
		i = offsetof(struct danevirke_verdict, text);
		if (size > i)
			assert_non_null(memchr(big.v.text, '\0', size - i));
	}
	assert_int_equal(big.v.usage, 3);
	big.v.size = SIZE_MAX;
	assert_int_equal(dv->verify(&h, &c, NULL, &big.v), DANEVIRKE_EINVAL);
	big.v.size = sizeof big.v;
	o.size = DANEVIRKE_VERIFY_OPTIONS_MIN;
	assert_int_equal(dv->verify(&h, &c, &o, &big.v), 0);
	o.size = DANEVIRKE_VERIFY_OPTIONS_MIN - 1;
	assert_int_equal(dv->verify(&h, &c, &o, &big.v), DANEVIRKE_EINVAL);
	assert_non_null(strstr(big.v.text, "options: size"));
	o.size = sizeof o;
	o.flags = 0x82;
	assert_int_equal(dv->verify(&h, &c, &o, &big.v), DANEVIRKE_EINVAL);
	assert_int_equal(big.v.verified, 0);
	assert_non_null(strstr(big.v.text, "options.flags: 0x82"));
	h.size--;
	assert_int_equal(dv->verify(&h, &c, NULL, &big.v), DANEVIRKE_EINVAL);
	assert_int_equal(big.v.verified, 0);
}

static void
test_open(void **state)
{
	struct danevirke_options o = { .size = sizeof o, .log = on_log };
	struct danevirke_error err = { 0 };
	const struct danevirke_settings *s;
	const struct danevirke_profile *p;
	struct danevirke *e;

	(void)state;
	o.config = "danevirke.conf";
	assert_null(dv->open(&o, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	assert_non_null(strstr(err.text, "absolute"));
	o.config = "/nonexistent/danevirke.conf";
	assert_null(dv->open(&o, &err));
	assert_int_equal(err.code, DANEVIRKE_ECONF);
	assert_non_null(strstr(err.text, o.config));
	o.config = config;
	file_write(anchor, "; D05: no anchor in it\n");
	assert_null(dv->open(&o, &err));
	assert_int_equal(err.code, DANEVIRKE_EANCHOR);
	assert_non_null(strstr(err.text, anchor));
	file_write(config, "resolver: { timeuot = 5; }; level = 3;\n");
	said[0] = '\0';
	assert_null(dv->open(&o, &err));
	assert_int_equal(err.code, DANEVIRKE_ECONF);
	/* the first to err, all to the log */
	assert_null(strchr(err.text, '\n'));
	assert_non_null(strstr(said, "timeuot"));
	assert_non_null(strstr(said, "level"));
	config_write();
	e = engine_open(NULL);
	s = dv->settings(e);
	assert_non_null(s);
	assert_string_equal(s->config, config);
	p = dv->profile(e, NULL);
	assert_non_null(p);
	assert_string_equal(p->name, "default");
	p = dv->profile(e, "strict");
	assert_non_null(p);
	assert_true(p->level == DANEVIRKE_LEVEL_DANE_ONLY);
	assert_null(dv->profile(e, "nosuch"));
	dv->close(e);
}

/* ------------------------------------------------------------- questions */

struct waiting {
	struct danevirke *engine;
	struct event_base *base;
	struct danevirke_query *query, *other;
	int done, in_start;
	enum danevirke_outcome outcome;
	int failed; /* answer was NULL */
	char reason[512];
};

static void
on_done(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct waiting *w = arg;

	(void)err;
	assert_false(w->in_start);
	w->done++;
	w->failed = a == NULL;
	if (a != NULL) {
		w->outcome = a->outcome;
		snprintf(w->reason, sizeof w->reason, "%s", a->reason);
	}
	dv->release(a);
}

static int
begin(struct waiting *w, const char *name)
{
	struct danevirke_error err = { 0 };
	struct danevirke_question q = question(name);
	int code;

	w->in_start = 1;
	code = dv->start(w->engine, &q, on_done, w, &w->query, &err);
	w->in_start = 0;
	if (code != 0)
		print_error("%s\n", err.text);
	return code;
}

/* DNS trouble is an answer, in time, and never a delivery (D03, D09). */
static void
test_ask_silence(void **state)
{
	struct danevirke *e = engine_open(NULL);
	struct danevirke_question q = question("example.org");
	struct danevirke_error err = { 0 };
	struct timespec from, to;
	const struct danevirke_answer *a;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	a = dv->ask(e, &q, &err);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_non_null(a);
	assert_true(to.tv_sec - from.tv_sec <= 20);
	assert_true(a->outcome == DANEVIRKE_DEFER);
	assert_true(a->state == DANEVIRKE_ERROR);
	assert_true(a->result == DANEVIRKE_DNSSEC_INVALID ||
	    a->result == DANEVIRKE_RESULT_NONE);
	assert_string_equal(a->domain, "example.org");
	assert_true(a->reason != NULL && a->reason[0] != '\0');
	/* an answer outlives its engine */
	dv->close(e);
	assert_string_equal(a->profile, "default");
	dv->release(a);
}

static void
test_wrong_loop(void **state)
{
	struct event_base *base = event_base_new();
	struct danevirke_error err = { 0 };
	struct danevirke_question q = question("example.org");
	struct waiting w = { 0 };

	(void)state;
	w.engine = engine_open(base);
	assert_null(dv->ask(w.engine, &q, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	assert_int_equal(dv->start(w.engine, &q, NULL, &w, &w.query, &err),
	    DANEVIRKE_EINVAL);
	assert_int_equal(
	    dv->start(w.engine, &q, on_done, &w, NULL, &err), DANEVIRKE_EINVAL);
	dv->close(w.engine);
	w.engine = engine_open(NULL);
	assert_int_equal(dv->start(w.engine, &q, on_done, &w, &w.query, &err),
	    DANEVIRKE_EINVAL);
	assert_non_null(strstr(err.text, "ask"));
	dv->close(w.engine);
	event_base_free(base);
	assert_int_equal(w.done, 0);
}

/* With OPEN_ALL the files may be gone once open() is back. */
static void
test_open_all(void **state)
{
	struct event_base *base = event_base_new();
	struct danevirke_options o = { .size = sizeof o,
		.config = config,
		.base = base,
		.flags = DANEVIRKE_OPEN_ALL };
	struct waiting early = { .base = base }, late = { .base = base };
	struct danevirke_error err = { 0 };
	struct danevirke_question q = question("example.org");

	(void)state;
	early.engine = dv->open(&o, &err);
	assert_non_null(early.engine);
	late.engine = engine_open(base);
	assert_int_equal(unlink(anchor), 0);
	assert_int_equal(begin(&early, "example.org"), 0);
	while (early.done == 0 && event_base_loop(base, EVLOOP_ONCE) == 0)
		continue;
	assert_null(strstr(early.reason, anchor)); /* nobody answers here */
	assert_int_equal(
	    dv->start(late.engine, &q, on_done, &late, &late.query, &err), 0);
	while (late.done == 0 && event_base_loop(base, EVLOOP_ONCE) == 0)
		continue;
	assert_non_null(strstr(late.reason, anchor));
	assert_null(dv->open(&o, &err));
	file_write(anchor, ANCHOR);
	dv->close(early.engine);
	dv->close(late.engine);
	event_base_free(base);
}

/* done() once, from the loop; what start() refuses is never reported twice. */
static void
test_start(void **state)
{
	struct event_base *base = event_base_new();
	struct waiting w = { .base = base }, bad = { .base = base };

	(void)state;
	bad.engine = w.engine = engine_open(base);
	assert_int_equal(begin(&w, "[192.0.2.1]"), 0);
	assert_int_equal(w.done, 0);
	assert_int_not_equal(begin(&bad, "a..b"), 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(w.done, 1);
	assert_false(w.failed);
	assert_true(w.outcome == DANEVIRKE_ROUTE);
	assert_int_equal(bad.done, 0);
	dv->close(w.engine);
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(w.done, 1);
	event_base_free(base);
}

static void
test_cancel(void **state)
{
	struct event_base *base = event_base_new();
	struct waiting a = { 0 }, b = { 0 }, c = { 0 };
	int i;

	(void)state;
	a.engine = b.engine = c.engine = engine_open(base);
	assert_int_equal(begin(&a, "example.org"), 0);
	assert_int_equal(begin(&b, "example.net"), 0);
	assert_int_equal(begin(&c, "[192.0.2.1]"), 0);
	dv->cancel(a.query); /* before the loop ran */
	for (i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(c.done, 1);
	dv->cancel(b.query); /* with lookups on their way */
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(begin(&b, "example.com"), 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	dv->close(c.engine); /* cancels the rest */
	event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(a.done, 0);
	assert_int_equal(b.done, 0);
	assert_int_equal(c.done, 1);
	event_base_free(base);
}

/* In done(): start() and cancel() may be called, close() does nothing. */
static void
on_nested(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct waiting *w = arg;
	struct danevirke_question q = question("[192.0.2.2]");
	struct danevirke_query *query;

	(void)err;
	dv->release(a);
	w->done++;
	assert_int_equal(dv->start(w->engine, &q, on_done, w, &query, NULL), 0);
	dv->cancel(query);
	dv->cancel(w->other);
	assert_null(dv->ask(w->engine, &q, NULL));
	assert_int_equal(dv->start(w->engine, &q, on_done, w, &query, NULL), 0);
}

static void
test_nested(void **state)
{
	struct event_base *base = event_base_new();
	struct danevirke_question q = question("[192.0.2.1]");
	struct danevirke_question slow = question("example.org");
	struct waiting w = { 0 }, never = { 0 };
	int i;

	(void)state;
	w.engine = engine_open(base);
	assert_int_equal(
	    dv->start(w.engine, &slow, on_done, &never, &w.other, NULL), 0);
	assert_int_equal(
	    dv->start(w.engine, &q, on_nested, &w, &w.query, NULL), 0);
	for (i = 0; i < 10; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	assert_int_equal(w.done, 2); /* itself and the one it started */
	assert_int_equal(never.done, 0);
	dv->close(w.engine);
	event_base_free(base);
}

/* A loop that is not libevent's, turned every 20 ms while it waits for
 * something else. */
static void
test_other_loop(void **state)
{
	struct event_base *base = event_base_new();
	struct waiting w = { .base = base };
	struct pollfd other = { .fd = silent };
	int turns = 0;

	(void)state;
	w.engine = engine_open(base);
	assert_int_equal(begin(&w, "example.org"), 0);
	while (w.done == 0 && turns++ < 1000) {
		poll(&other, 1, 20);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	assert_int_equal(w.done, 1);
	assert_true(w.outcome == DANEVIRKE_DEFER);
	assert_true(turns > 20); /* it never blocked */
	dv->close(w.engine);
	event_base_free(base);
}

static void *
thread_main(void *arg)
{
	struct danevirke_options o = { .size = sizeof o, .config = config };
	struct danevirke_question q = question(arg);
	const struct danevirke_answer *a = NULL;
	struct danevirke *e = dv->open(&o, NULL);

	if (e != NULL)
		a = dv->ask(e, &q, NULL);
	dv->close(e);
	return (void *)(uintptr_t)a;
}

/* Threads that open, ask and close, each by itself; the answer is anybody's. */
static void
test_threads(void **state)
{
	static char silence[] = "example.org", at_once[] = "[192.0.2.1]";
	const struct danevirke_answer *a;
	pthread_t thread[4];
	void *result;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, thread_main,
				     i % 2 ? at_once : silence),
		    0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], &result), 0);
		assert_non_null(a = result);
		assert_int_equal(
		    a->outcome, i % 2 ? DANEVIRKE_ROUTE : DANEVIRKE_DEFER);
		dv->release(a);
	}
}

/* ------------------------------------------------------------------ fork */

/* In the child, where nothing of cmocka may run: how many rules were kept. */
static unsigned char
child_rules(struct danevirke *own, struct danevirke *looped,
    const struct danevirke_answer *a, struct waiting *w)
{
	struct danevirke_question q = question("[192.0.2.1]");
	struct danevirke_error err = { 0 };
	struct danevirke_query *query = NULL;
	unsigned char kept = 0;

	kept += dv->ask(own, &q, &err) == NULL && err.code == DANEVIRKE_EFORK &&
	    strstr(err.text, "process") != NULL;
	kept += dv->start(looped, &q, on_done, w, &query, &err) ==
	    DANEVIRKE_EFORK;
	kept += dv->ask(own, &q, NULL) == NULL;
	/* an answer survives */
	kept += strcmp(a->domain, "192.0.2.1") == 0 || a->domain[0] == '[';
	dv->cancel(w->query);
	dv->release(a);
	dv->close(own);
	dv->close(looped);
	return kept;
}

static void
test_fork(void **state)
{
	struct event_base *base = event_base_new();
	struct danevirke *own = engine_open(NULL);
	struct danevirke_question q = question("[192.0.2.1]");
	struct waiting w = { .engine = engine_open(base) };
	const struct danevirke_answer *a = dv->ask(own, &q, NULL);
	unsigned char kept = 0;
	int fd[2], i;
	pid_t pid;

	(void)state;
	assert_non_null(a);
	assert_int_equal(begin(&w, "example.org"), 0);
	event_base_loop(base, EVLOOP_NONBLOCK); /* sockets are open now */
	assert_int_equal(pipe(fd), 0);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		kept = child_rules(own, w.engine, a, &w);
		_exit(write(fd[1], &kept, 1) != 1);
	}
	close(fd[1]);
	assert_int_equal(read(fd[0], &kept, 1), 1);
	close(fd[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(kept, 4);
	/* what the child did has not taken anything from us */
	dv->release(a);
	a = dv->ask(own, &q, NULL);
	assert_non_null(a);
	dv->release(a);
	for (i = 0; i < 100 && w.done == 0; i++)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(w.done, 1);
	assert_true(w.outcome == DANEVIRKE_DEFER);
	dv->close(own);
	dv->close(w.engine);
	event_base_free(base);
}

/* In a child: 0, or why the question is not answered. */
static int
code_in_fork(struct danevirke *e)
{
	struct danevirke_question q = question("[192.0.2.1]");
	const struct danevirke_answer *a;
	struct danevirke_error err = { 0 };
	int status = -1;
	pid_t pid;

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		a = dv->ask(e, &q, &err);
		dv->release(a);
		_exit(a != NULL ? 0 : err.code);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void
test_unused(void **state)
{
	/* static, so that valgrind finds them in a child */
	static struct danevirke *own, *looped;
	struct event_base *base = event_base_new();
	struct danevirke_question q = question("[192.0.2.1]");
	const struct danevirke_answer *a;
	char away[sizeof config + 8];

	(void)state;
	own = engine_open(NULL);
	looped = engine_open(base);
	assert_int_equal(code_in_fork(own), 0);
	/* a child that may have other rights has to be able to read them */
	snprintf(away, sizeof away, "%s.away", config);
	assert_int_equal(rename(config, away), 0);
	assert_int_equal(code_in_fork(own), DANEVIRKE_ECONF);
	assert_int_equal(rename(away, config), 0);
	assert_int_equal(code_in_fork(own), 0);
	assert_non_null(a = dv->ask(own, &q, NULL));
	dv->release(a);
	assert_int_equal(code_in_fork(own), DANEVIRKE_EFORK);
	/* a loop is its process's from the beginning */
	assert_int_equal(code_in_fork(looped), DANEVIRKE_EFORK);
	dv->close(own);
	dv->close(looped);
	event_base_free(base);
}

/* ------------------------------------------------------------- good guest */

static size_t
entries(const char *name)
{
	DIR *d = opendir(name);
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* No thread, no stream, no handler, no descriptor left, no process state. */
static void
test_guest(void **state)
{
	struct sigaction before[32], after;
	struct danevirke_question q = question("example.org");
	const struct danevirke_answer *a;
	char out[96], here[4096], there[4096];
	mode_t mask = umask(027);
	size_t threads, fds;
	struct danevirke *e;
	struct stat st;
	int i, fd, saved[2];

	(void)state;
	snprintf(out, sizeof out, "%s/out", dir);
	assert_non_null(getcwd(here, sizeof here));
	for (i = 1; i < 32; i++)
		sigaction(i, NULL, &before[i]);
	threads = entries("/proc/self/task");
	fds = entries("/proc/self/fd");
	fflush(NULL);
	fd = open(out, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	saved[0] = dup(1);
	saved[1] = dup(2);
	dup2(fd, 1);
	dup2(fd, 2);

	e = engine_open(NULL);
	a = dv->ask(e, &q, NULL);
	i = entries("/proc/self/task") == threads;
	dv->release(a);
	dv->close(e);

	fflush(NULL);
	dup2(saved[0], 1);
	dup2(saved[1], 2);
	close(saved[0]);
	close(saved[1]);
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	unlink(out);
	assert_true(i);
	assert_non_null(a);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(entries("/proc/self/task"), threads);
	assert_int_equal(entries("/proc/self/fd"), fds);
	for (i = 1; i < 32; i++) {
		sigaction(i, NULL, &after);
		assert_true(after.sa_handler == before[i].sa_handler);
		assert_int_equal(after.sa_flags, before[i].sa_flags);
	}
	assert_int_equal(umask(mask), 027);
	assert_non_null(getcwd(there, sizeof there));
	assert_string_equal(here, there);
}

/* Bytes for another process: whole, or refused. */
static void
test_pack(void **state)
{
	struct danevirke *e = engine_open(NULL);
	struct danevirke_question q = question("[192.0.2.1]");
	const struct danevirke_answer *a = dv->ask(e, &q, NULL), *b;
	struct danevirke_error err = { 0 };
	size_t len, i;
	char *buf;

	(void)state;
	assert_non_null(a);
	len = dv->pack(a, NULL, 0);
	assert_true(len > 0);
	buf = malloc(len);
	assert_non_null(buf);
	memset(buf, 'x', len);
	assert_int_equal(dv->pack(a, buf, len - 1), len);
	for (i = 0; i < len; i++)
		assert_int_equal(buf[i], 'x');
	assert_int_equal(dv->pack(a, buf, len), len);
	b = dv->unpack(buf, len, &err);
	assert_non_null(b);
	assert_string_equal(a->reason, b->reason);
	assert_int_equal(a->n_hosts, b->n_hosts);
	dv->release(b);
	for (i = 0; i < len; i++) {
		err.code = 0;
		assert_null(dv->unpack(buf, i, &err));
		assert_int_equal(err.code, DANEVIRKE_EFORMAT);
	}
	free(buf);
	dv->release(a);
	dv->close(e);
}

/* M12: as for hosts, so for whoever tests name servers. */
static void
test_may_use(void **state)
{
	static const uint8_t loopback[16] = { 127, 0, 0, 1 },
			     public[16] = { 192, 0, 2, 1 },
			     mapped[16] = { [10] = 0xff, 0xff, 127, 0, 0, 1 };
	struct danevirke *e = engine_open(NULL);

	(void)state;
	assert_int_equal(dv->may_use(e, 4, public), 1);
	assert_int_equal(dv->may_use(e, 4, loopback), 0);
	assert_int_equal(dv->may_use(e, 6, mapped), 0);
	assert_int_equal(dv->may_use(e, 5, public), 0);
	assert_int_equal(dv->may_use(e, 4, NULL), 0);
	assert_int_equal(dv->may_use(NULL, 4, public), 0);
	dv->close(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_load,
		    "the module has one symbol, and stays when it is closed"),
		TEST(test_load_refused,
		    "a module of another version, or none, is refused"),
		TEST(test_null,
		    "NULL for any argument is refused and never verified"),
		TEST(test_sizes,
		    "a question of a wrong size, name or flag is refused (D16)"),
		TEST(test_growth,
		    "shorter and longer structs work, unknown bits are refused"),
		TEST(test_verdict,
		    "a verdict of any size is filled no further (U06)"),
		TEST(test_open,
		    "errors of configuration and anchor are told by name (D05)"),
		TEST(test_ask_silence,
		    "silent name servers defer, in time (D03 D09)"),
		TEST(test_wrong_loop,
		    "ask() with a loop and start() without are refused"),
		TEST(test_open_all,
		    "with OPEN_ALL the files may be gone afterwards"),
		TEST(test_start, "done() comes once, from the loop"),
		TEST(test_cancel, "a cancelled question is never heard of"),
		TEST(test_nested,
		    "done() may start a question and cancel another"),
		TEST(test_other_loop,
		    "another loop that turns ours never blocks"),
		TEST(test_threads, "threads open, ask and close side by side"),
		TEST(test_fork,
		    "a child takes nothing from its parent's engine"),
		TEST(test_unused,
		    "an engine that has asked nothing asks in a child"),
		TEST(test_guest,
		    "no thread, output, handler or descriptor is left behind"),
		TEST(test_pack,
		    "an answer for another process is whole, or refused"),
		TEST(test_may_use,
		    "loopback is not used, in any spelling (M12)"),
	};

	return cmocka_run_group_tests_name(
	    "api", tests, group_setup, group_teardown);
}

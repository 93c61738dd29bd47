/* SPDX-License-Identifier: ISC */
/*
 * The exported table.  Checks arguments and the process, owns the engine; all
 * else happens further down the pipeline of module.h.
 */
#include <sys/queue.h>

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "module.h"

struct danevirke {
	pid_t pid;
	struct conf *conf;
	struct event_base *base;
	bool own_base;
	struct store *store; /* or NULL */
	bool store_tried, keep_fresh;
	struct dns *dns;                      /* NULL until first asked */
	struct cas cas;                       /* of MTA-STS */
	LIST_HEAD(, danevirke_query) queries; /* under way */
	bool in_done;
	danevirke_log *log;
	void *log_arg;
};

struct danevirke_query {
	struct danevirke *engine;
	struct route *route;
	danevirke_done *done;
	void *arg;
	LIST_ENTRY(danevirke_query) entry;
};

#define OPEN_FLAGS \
	(DANEVIRKE_KEEP_FRESH | DANEVIRKE_OPEN_ALL | DANEVIRKE_PUBLIC)
#define QUESTION_FLAGS \
	(DANEVIRKE_NO_LOOKUP_IF_OFF | DANEVIRKE_TEST | DANEVIRKE_STORED | \
	    DANEVIRKE_LEAVE)
#define VERIFY_FLAGS DANEVIRKE_PKIX_USAGES

/* A size beyond this is none. */
#define SIZE_SANE 4096

/*
 * A caller's struct, which may know fewer fields than ours or more, as ours: to
 * has known octets.  What we do not know cannot be obeyed.
 */
static int
arg_take(void *to, size_t known, const void *from, size_t least,
    const char *what, struct danevirke_error *err)
{
	const char *p = from;
	size_t size = 0, i;

	memset(to, 0, known);
	if (from != NULL)
		memcpy(&size, from, sizeof size);
	/* sizeof is a multiple; another size would cut a field in two */
	if (size < least || size > SIZE_SANE || size % sizeof size != 0)
		return fail(err, DANEVIRKE_EINVAL,
		    "%s: %s, want size %zu to %d, and %zu is whole", what,
		    from == NULL ? "NULL" : "size is wrong", least, SIZE_SANE,
		    known);
	for (i = known; i < size; i++)
		if (p[i] != 0)
			return fail(err, DANEVIRKE_EINVAL,
			    "%s: octet %zu is set, and danevirke " PACKAGE_VERSION
			    " knows %zu",
			    what, i, known);
	memcpy(to, from, size < known ? size : known);
	return DANEVIRKE_OK;
}

static int
arg_flags(uint32_t flags, uint32_t known, const char *what,
    struct danevirke_error *err)
{
	if ((flags & ~known) == 0)
		return DANEVIRKE_OK;
	return fail(err, DANEVIRKE_EINVAL,
	    "%s.flags: 0x%x: has bits that mean nothing", what,
	    (unsigned)flags);
}

static int
engine_check(struct danevirke *e, struct danevirke_error *err)
{
	int code;

	if (e == NULL)
		return fail(err, DANEVIRKE_EINVAL, "engine: NULL");
	/* without a loop it has its configuration alone: it moves */
	if (e->pid != getpid() && e->base == NULL) {
		if ((code = conf_readable(e->conf, err)) != DANEVIRKE_OK)
			return code;
		e->pid = getpid();
	}
	if (e->pid != getpid())
		return fail(err, DANEVIRKE_EFORK,
		    "engine: opened by process "
		    "%ld, used in %ld: open one in each process",
		    (long)e->pid, (long)getpid());
	return DANEVIRKE_OK;
}

static int engine_ready(struct danevirke *, struct danevirke_error *);
static void dv_close(struct danevirke *);

static struct danevirke *
dv_open(const struct danevirke_options *options, struct danevirke_error *err)
{
	const char *path = SYSCONFDIR "/danevirke.conf";
	struct danevirke_options o;
	struct danevirke *e;

	if (arg_take(&o, sizeof o, options, DANEVIRKE_OPTIONS_MIN, "options",
		err) != DANEVIRKE_OK ||
	    arg_flags(o.flags, OPEN_FLAGS, "options", err) != DANEVIRKE_OK)
		return NULL;
	if (o.config != NULL)
		path = o.config;
	if (*path != '/') {
		fail(err, DANEVIRKE_EINVAL,
		    "options.config: \"%s\": want an absolute path", path);
		return NULL;
	}
	if ((e = calloc(1, sizeof *e)) == NULL) {
		fail(err, DANEVIRKE_ENOMEM, "out of memory");
		return NULL;
	}
	e->pid = getpid();
	e->log = o.log;
	e->log_arg = o.log_arg;
	e->base = o.base;
	e->own_base = o.base == NULL;
	e->keep_fresh = o.base != NULL && (o.flags & DANEVIRKE_KEEP_FRESH) != 0;
	if ((e->conf = conf_load(path, o.log, o.log_arg, err)) == NULL) {
		free(e);
		return NULL;
	}
	if ((o.flags & DANEVIRKE_PUBLIC) != 0 && !special_open(e->conf)) {
		fail(err, DANEVIRKE_ENOMEM,
		    "addresses of local interfaces: cannot be read");
		dv_close(e);
		return NULL;
	}
	if ((o.flags & DANEVIRKE_OPEN_ALL) != 0 &&
	    (engine_ready(e, err) != DANEVIRKE_OK ||
		dns_open(e->dns, err) != DANEVIRKE_OK)) {
		dv_close(e);
		return NULL;
	}
	return e;
}

static void
dv_cancel(struct danevirke_query *q)
{
	if (q == NULL || q->engine->pid != getpid())
		return;
	LIST_REMOVE(q, entry);
	route_cancel(q->route);
	free(q);
}

static void
dv_close(struct danevirke *e)
{
	struct danevirke_query *q;

	if (e == NULL || e->in_done)
		return;
	/* Sockets and the epoll descriptor of a forked child are its parent's
	 * too: taking events out of it would take them out of the parent's
	 * loop.  So there the resolver's memory is left alone. */
	if (e->pid == getpid()) {
		while ((q = LIST_FIRST(&e->queries)) != NULL)
			dv_cancel(q);
		dns_free(e->dns);
		if (e->own_base && e->base != NULL)
			event_base_free(e->base);
	}
	store_close(e->store);
	cas_free(&e->cas);
	conf_free(e->conf);
	free(e);
}

/* The loop, if it is ours, and the resolver, when they are first needed. */
static int
engine_ready(struct danevirke *e, struct danevirke_error *err)
{
	struct event_config *cfg;

	if (e->base == NULL) {
		if ((cfg = event_config_new()) != NULL) {
			event_config_set_flag(cfg,
			    EVENT_BASE_FLAG_IGNORE_ENV |
				EVENT_BASE_FLAG_NOLOCK);
			e->base = event_base_new_with_config(cfg);
			event_config_free(cfg);
		}
		if (e->base == NULL)
			return fail(err, DANEVIRKE_ENOMEM,
			    "event loop: out of memory or descriptors");
	}
	if (!e->store_tried) {
		e->store_tried = true;
		e->store = store_open(e->conf, RUNDIR, e->log, e->log_arg);
	}
	if (e->dns == NULL &&
	    (e->dns = dns_new(e->conf, e->base, e->store,
		 (e->own_base ? 0 : DNS_MANY) |
		     (e->keep_fresh ? DNS_KEEP_FRESH : 0),
		 err)) == NULL)
		return err != NULL && err->code != 0 ? err->code :
						       DANEVIRKE_EDNS;
	return DANEVIRKE_OK;
}

static void
on_done(void *arg, const struct danevirke_answer *answer,
    const struct danevirke_error *err)
{
	struct danevirke_query *q = arg;
	struct danevirke *e = q->engine;
	danevirke_done *done = q->done;
	void *done_arg = q->arg;

	LIST_REMOVE(q, entry);
	free(q);
	e->in_done = true;
	done(done_arg, answer, err);
	e->in_done = false;
}

static int
dv_begin(struct danevirke *e, const struct danevirke_question *asked,
    danevirke_done *done, void *arg, struct danevirke_query **query,
    struct danevirke_error *err)
{
	struct danevirke_error mine = { 0, "" };
	struct danevirke_question question;
	struct danevirke_query *q;
	int code;

	if (err == NULL)
		err = &mine;
	err->code = 0;
	if ((code = arg_take(&question, sizeof question, asked,
		 DANEVIRKE_QUESTION_MIN, "question", err)) != DANEVIRKE_OK ||
	    (code = arg_flags(question.flags, QUESTION_FLAGS, "question",
		 err)) != DANEVIRKE_OK)
		return code;
	if (question.name == NULL)
		return fail(err, DANEVIRKE_EINVAL, "question.name: NULL");
	if (question.kind != DANEVIRKE_DOMAIN &&
	    question.kind != DANEVIRKE_RELAY)
		return fail(err, DANEVIRKE_EINVAL,
		    "question.kind: %d: want 0 or 1", (int)question.kind);
	if ((code = engine_ready(e, err)) != DANEVIRKE_OK)
		return code;
	if ((q = calloc(1, sizeof *q)) == NULL)
		return fail(err, DANEVIRKE_ENOMEM, "out of memory");
	q->engine = e;
	q->done = done;
	q->arg = arg;
	q->route = route_start(e->conf, e->dns, e->base, &question, e->log,
	    e->log_arg, on_done, q, err);
	if (q->route == NULL) {
		free(q);
		return err->code != 0 ? err->code : DANEVIRKE_EDNS;
	}
	LIST_INSERT_HEAD(&e->queries, q, entry);
	*query = q;
	return DANEVIRKE_OK;
}

static int
dv_start(struct danevirke *e, const struct danevirke_question *question,
    danevirke_done *done, void *arg, struct danevirke_query **query,
    struct danevirke_error *err)
{
	int code;

	if ((code = engine_check(e, err)) != DANEVIRKE_OK)
		return code;
	if (done == NULL || query == NULL)
		return fail(
		    err, DANEVIRKE_EINVAL, "start: done or query is NULL");
	if (e->own_base)
		return fail(err, DANEVIRKE_EINVAL,
		    "start: the engine was "
		    "opened without an event loop: use ask()");
	return dv_begin(e, question, done, arg, query, err);
}

struct waiting {
	bool done;
	const struct danevirke_answer *answer;
	struct danevirke_error *err;
};

static void
ask_done(void *arg, const struct danevirke_answer *answer,
    const struct danevirke_error *err)
{
	struct waiting *w = arg;

	w->done = true;
	w->answer = answer;
	if (err != NULL && w->err != NULL)
		*w->err = *err;
}

/* A name server that closes its TCP connection must not end the host process:
 * SIGPIPE stays blocked while our loop runs, and one that came is taken. */
struct quiet {
	sigset_t old;
	bool taken; /* ours to undo */
};

static void
pipe_quiet(struct quiet *q)
{
	sigset_t set, pending;

	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	q->taken = sigpending(&pending) == 0 &&
	    sigismember(&pending, SIGPIPE) == 0 &&
	    pthread_sigmask(SIG_BLOCK, &set, &q->old) == 0;
}

static void
pipe_restore(const struct quiet *q)
{
	static const struct timespec now = { 0, 0 };
	sigset_t set;

	if (!q->taken)
		return;
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigtimedwait(&set, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &q->old, NULL);
}

static const struct danevirke_answer *
dv_ask(struct danevirke *e, const struct danevirke_question *question,
    struct danevirke_error *err)
{
	struct waiting w = { false, NULL, err };
	struct danevirke_query *q;
	struct quiet quiet;
	bool failed;

	if (engine_check(e, err) != DANEVIRKE_OK)
		return NULL;
	if (!e->own_base || e->in_done) {
		fail(err, e->in_done ? DANEVIRKE_EBUSY : DANEVIRKE_EINVAL,
		    "ask: the engine runs on its caller's event loop: use "
		    "start()");
		return NULL;
	}
	if (dv_begin(e, question, ask_done, &w, &q, err) != DANEVIRKE_OK)
		return NULL;
	/* bounded: the question's own timer ends it */
	pipe_quiet(&quiet);
	do
		failed = event_base_loop(e->base, EVLOOP_ONCE) != 0;
	while (!w.done && !failed);
	pipe_restore(&quiet);
	if (!w.done) {
		dv_cancel(q);
		fail(err, DANEVIRKE_EDNS, "event loop: failed");
		return NULL;
	}
	return w.answer;
}

static const struct danevirke_answer *
dv_recall(
    struct danevirke *e, const struct danevirke_question *asked, uint32_t uid)
{
	struct danevirke_question q;

	if (e == NULL ||
	    arg_take(&q, sizeof q, asked, DANEVIRKE_QUESTION_MIN, "question",
		NULL) != DANEVIRKE_OK ||
	    arg_flags(q.flags, QUESTION_FLAGS, "question", NULL) !=
		DANEVIRKE_OK ||
	    q.name == NULL)
		return NULL;
	return route_recall(e->conf, &q, uid);
}

static int
verify_checked(const struct danevirke_host *host,
    const struct danevirke_chain *chain,
    const struct danevirke_verify_options *options, struct danevirke_verdict *v)
{
	struct danevirke_verify_options o = { 0 };
	struct danevirke_error err;
	struct cas cas = { 0 };
	int code;

	v->index = v->depth = v->usage = -1;
	v->result = DANEVIRKE_VALIDATION_FAILURE;
	if (host == NULL || chain == NULL)
		fail(&err, DANEVIRKE_EINVAL, "host or chain is NULL");
	else if (options == NULL ||
	    (arg_take(&o, sizeof o, options, DANEVIRKE_VERIFY_OPTIONS_MIN,
		 "options", &err) == DANEVIRKE_OK &&
		arg_flags(o.flags, VERIFY_FLAGS, "options", &err) ==
		    DANEVIRKE_OK &&
		(o.engine == NULL ||
		    engine_check(o.engine, &err) == DANEVIRKE_OK))) {
		code = cas_verify(host, chain, &o,
		    o.engine != NULL ? &o.engine->cas : &cas, v);
		cas_free(&cas);
		return code;
	}
	snprintf(v->text, sizeof v->text, "verify: %.500s", err.text);
	return DANEVIRKE_EINVAL;
}

static int
dv_verify(const struct danevirke_host *host,
    const struct danevirke_chain *chain,
    const struct danevirke_verify_options *o, struct danevirke_verdict *v)
{
	const size_t text = offsetof(struct danevirke_verdict, text);
	struct danevirke_verdict mine = { 0 };
	size_t size;
	int code;

	if (v == NULL || v->size < DANEVIRKE_VERDICT_MIN || v->size > SIZE_SANE)
		return DANEVIRKE_EINVAL;
	size = v->size;
	code = verify_checked(host, chain, o, &mine);
	mine.size = size;
	if (size > text && size - text < sizeof mine.text)
		mine.text[size - text - 1] = '\0';
	memcpy(v, &mine, size < sizeof mine ? size : sizeof mine);
	return code;
}

static int
dv_report(const struct danevirke_answer *a, const struct danevirke_host *host,
    const struct danevirke_session *session)
{
	struct danevirke_session s;

	if (a == NULL ||
	    arg_take(&s, sizeof s, session, DANEVIRKE_SESSION_MIN, "session",
		NULL) != DANEVIRKE_OK)
		return DANEVIRKE_EINVAL;
	return tlsrpt_report(a, host, &s);
}

static void
dv_release(const struct danevirke_answer *a)
{
	free((void *)(uintptr_t)a);
}

static int
dv_classify(struct danevirke_tlsa *tlsa, size_t n, uint32_t flags, size_t *used,
    struct danevirke_error *err)
{
	static const uint8_t digests[] = { DANEVIRKE_SHA2_512,
		DANEVIRKE_SHA2_256 };
	size_t sum = 0, i;
	int code;

	if (used != NULL)
		*used = 0;
	if (tlsa == NULL && n > 0)
		return fail(err, DANEVIRKE_EINVAL, "tlsa: NULL");
	code = arg_flags(flags, VERIFY_FLAGS, "classify", err);
	if (code == DANEVIRKE_OK)
		sum = tlsa_classify(tlsa, n, flags, digests, sizeof digests);
	else
		for (i = 0; i < n; i++) {
			tlsa[i].usable = tlsa[i].use = 0;
			tlsa[i].why = "not judged: flags mean nothing";
		}
	if (used != NULL)
		*used = sum;
	return code;
}

static size_t
dv_pack(const struct danevirke_answer *a, void *buf, size_t len)
{
	return a == NULL || a->size != sizeof *a ? 0 : answer_pack(a, buf, len);
}

static const struct danevirke_settings *
dv_settings(const struct danevirke *e)
{
	return e == NULL ? NULL : &e->conf->settings;
}

static const struct danevirke_profile *
dv_profile(const struct danevirke *e, const char *name)
{
	const struct conf_profile *p;

	if (e == NULL || (p = conf_profile(e->conf, name)) == NULL)
		return NULL;
	return &p->pub;
}

/* DANEVIRKE_OK, and e->store is there. */
static int
store_check(struct danevirke *e, struct danevirke_error *err)
{
	int code;

	if ((code = engine_check(e, err)) != DANEVIRKE_OK ||
	    (code = engine_ready(e, err)) != DANEVIRKE_OK)
		return code;
	if (e->store == NULL)
		return fail(err, DANEVIRKE_EINVAL,
		    "no store for uid %ld in " RUNDIR, (long)geteuid());
	return DANEVIRKE_OK;
}

struct stored {
	danevirke_stored *each;
	void *arg;
};

static void
on_stored(void *arg, const char *name, int type, const struct store_hit *hit)
{
	const struct stored *s = arg;

	s->each(s->arg, name, type,
	    hit->sec == 2 ? DANEVIRKE_SECURE : DANEVIRKE_INSECURE, hit->ttl,
	    hit->len);
}

static int
dv_store_list(struct danevirke *e, danevirke_stored *each, void *arg,
    struct danevirke_error *err)
{
	struct stored s = { each, arg };
	int code;

	if (each == NULL)
		return fail(err, DANEVIRKE_EINVAL, "each: NULL");
	if ((code = store_check(e, err)) != DANEVIRKE_OK)
		return code;
	if (store_walk(e->store, on_stored, &s) != 0)
		return fail(err, DANEVIRKE_EDNS, "store: %m");
	return DANEVIRKE_OK;
}

static int
dv_store_flush(struct danevirke *e, const char *name, size_t *n,
    struct danevirke_error *err)
{
	char ascii[NAME_LEN];
	size_t gone;
	int code;

	if ((code = store_check(e, err)) != DANEVIRKE_OK)
		return code;
	if (name != NULL) {
		if ((code = name_to_ascii(name, ascii, sizeof ascii, err)) != 0)
			return code;
		name = ascii;
	}
	if (store_flush(e->store, name, &gone) != 0)
		return fail(err, DANEVIRKE_EDNS, "store: %m");
	whole_flush(e->conf); /* whatever they were made of */
	if (n != NULL)
		*n = gone;
	return DANEVIRKE_OK;
}

static int
dv_may_use(const struct danevirke *e, int family, const uint8_t *ip)
{
	return e != NULL && ip != NULL && (family == 4 || family == 6) &&
	    !policy_forbidden(e->conf, family, ip) &&
	    !special_address(e->conf, family, ip);
}

const struct danevirke_api danevirke_v1 = {
	.abi = DANEVIRKE_ABI,
	.size = sizeof(struct danevirke_api),
	.version = PACKAGE_VERSION,
	.open = dv_open,
	.close = dv_close,
	.ask = dv_ask,
	.start = dv_start,
	.cancel = dv_cancel,
	.verify = dv_verify,
	.release = dv_release,
	.classify = dv_classify,
	.pack = dv_pack,
	.unpack = answer_unpack,
	.settings = dv_settings,
	.profile = dv_profile,
	.result_name = result_name,
	.to_ascii = name_to_ascii,
	.store_list = dv_store_list,
	.store_flush = dv_store_flush,
	.may_use = dv_may_use,
	.log_word = log_word,
	.log_beside = log_beside,
	.report = dv_report,
	.recall = dv_recall,
};

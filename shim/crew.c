/* SPDX-License-Identifier: ISC */
/*
 * A worker here is a group of questions and the process that has them; what
 * becomes of the process is known from its parent alone (MASTER_ENDED), so that
 * there is one way to lose one.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "crew.h"

#define GROUPS 8      /* made of the questions of a process that died */
#define GROUPS_BUSY 6 /* processes for them at a time: memory, processors */
#define ALONE_BUSY 2  /* and for those known to kill */
#define STARTING 20   /* seconds until it is ready */
/* Seconds with a question and without a word: so many times what a turn may
 * take, and PATIENCE at least. */
#define SILENCE 20
#define PATIENCE 5
#define CONVICTED 600 /* seconds that a name is remembered */

/* Seconds of CLOCK_MONOTONIC. */
static uint64_t
resolver_now(void)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

void __attribute__((format(printf, 3, 4)))
resolver_say(struct resolver *r, int level, const char *fmt, ...)
{
	char text[1000];
	va_list ap;

	if (r->log == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	r->log(r->arg, level, text);
}

/* ---------------------------------------------------------------- convicts */

static bool
is_below(const char *name, const char *above)
{
	size_t n = strlen(name), m = strlen(above);

	return n > m && name[n - m - 1] == '.' &&
	    strcasecmp(name + n - m, above) == 0;
}

/* Its own names, and those beside it, but never those of a top-level domain. */
static bool
is_near(const char *name, const char *convict)
{
	const char *parent = strchr(convict, '.');

	return is_below(name, convict) ||
	    (parent != NULL && strchr(parent + 1, '.') != NULL &&
		(strcasecmp(name, parent + 1) == 0 ||
		    is_below(name, parent + 1)));
}

enum worker_kind
convict_kind(const struct resolver *r, const char *name)
{
	enum worker_kind kind = WORKER_ALL;
	const struct convict *c;

	for (c = r->convict; c < r->convict + CONVICTS; c++) {
		if (c->name == NULL || c->until <= resolver_now())
			continue;
		if (strcasecmp(c->name, name) == 0)
			return WORKER_ALONE;
		if (is_near(name, c->name))
			kind = WORKER_SUSPECT;
	}
	return kind;
}

static void
convict_add(struct resolver *r, const char *name)
{
	struct convict *c = &r->convict[r->next_convict++ % CONVICTS];

	free(c->name);
	c->name = strdup(name);
	c->until = resolver_now() + CONVICTED;
}

/* ----------------------------------------------------------------- workers */

struct worker *
worker_new(struct resolver *r, enum worker_kind kind)
{
	struct worker *w = calloc(1, sizeof *w);

	if (w == NULL)
		return NULL;
	w->resolver = r;
	w->kind = kind;
	TAILQ_INIT(&w->queries);
	TAILQ_INSERT_TAIL(&r->workers, w, entry);
	return w;
}

static bool
is_shared(const struct worker *w)
{
	return w->kind == WORKER_ALL || w->kind == WORKER_SUSPECT;
}

/* The next question starts another. */
static void
worker_unshare(struct worker *w)
{
	if (is_shared(w) && w->resolver->shared[w->kind] == w)
		w->resolver->shared[w->kind] = NULL;
}

/* The process ends when its socket does.  The struct stays until the loop runs:
 * callers up the stack may hold it. */
void
worker_over(struct worker *w)
{
	struct resolver *r = w->resolver;

	w->over = true;
	worker_unshare(w);
	if (w->io != NULL)
		bufferevent_free(w->io);
	w->io = NULL;
	event_active(r->sweep, EV_TIMEOUT, 1);
}

static void
worker_kill(struct worker *w, const char *why)
{
	struct master_msg msg = { MASTER_KILL, w->id, 0, 0 };

	if (w->killed)
		return;
	w->killed = true;
	resolver_say(
	    w->resolver, LOG_WARNING, "resolver: a process is killed: %s", why);
	bufferevent_disable(w->io, EV_READ | EV_WRITE);
	/* not sent: said again by crew_watch() */
	if (send(w->resolver->control, &msg, sizeof msg, MSG_NOSIGNAL) == -1)
		w->killed = false;
}

void
query_free(struct resolver_query *q)
{
	TAILQ_REMOVE(&q->worker->queries, q, entry);
	free(q->name);
	free(q);
}

/* A group is there for its questions only. */
void
worker_done(struct worker *w)
{
	if (!is_shared(w) && !w->over && TAILQ_EMPTY(&w->queries))
		worker_over(w);
}

static void
query_end(struct resolver_query *q, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	danevirke_done *done = q->done;
	void *arg = q->arg;
	struct worker *w = q->worker;

	query_free(q);
	worker_done(w);
	done(arg, a, err);
}

static struct resolver_query *
query_find(const struct worker *w, uint64_t id)
{
	struct resolver_query *q;

	TAILQ_FOREACH(q, &w->queries, entry)
		if (q->id == id)
			break;
	return q;
}

/* done() may ask and cancel anything meanwhile. */
void
queries_fail(struct worker *w, const struct danevirke_error *err)
{
	struct resolver_query *q;

	while ((q = TAILQ_FIRST(&w->queries)) != NULL)
		query_end(q, NULL, err);
}

/* ---------------------------------------------------------- what they say */

static void
on_answered(struct worker *w, const struct frame *f)
{
	struct resolver_query *q = query_find(w, f->id);
	const struct danevirke_answer *a = NULL;
	struct danevirke_error err = { 0, "" };

	if (q == NULL)
		return; /* nobody waits any more */
	if (f->kind == FRAME_ANSWER)
		a = w->resolver->dv->unpack(f->body, f->len, &err);
	else if (!note_unpack(f->body, f->len, &err))
		shim_fail(&err, DANEVIRKE_EFORMAT, "resolver: no reason given");
	query_end(q, a, a == NULL ? &err : NULL);
}

static uint64_t
worker_patience(const struct frame *ready)
{
	uint32_t ms = 0;

	if (ready->len == sizeof ms)
		memcpy(&ms, ready->body, sizeof ms);
	return ms > PATIENCE * 1000 / SILENCE ? (uint64_t)ms * SILENCE / 1000 :
						PATIENCE;
}

static void
on_frame(struct worker *w, const struct frame *f)
{
	struct danevirke_error note;

	w->heard = resolver_now();
	switch (f->kind) {
	case FRAME_READY:
		w->ready = true;
		w->patience = worker_patience(f);
		break;
	case FRAME_ALIVE:
		break;
	case FRAME_LOG:
		if (note_unpack(f->body, f->len, &note))
			resolver_say(
			    w->resolver, note.code, "%.900s", note.text);
		break;
	case FRAME_FAILED:
		if (f->id == 0) {
			note_unpack(f->body, f->len, &w->resolver->why);
			break;
		}
		/* FALLTHROUGH */
	case FRAME_ANSWER:
		on_answered(w, f);
		break;
	default:
		worker_kill(w, "it asks instead of answering");
	}
}

static void
worker_read(struct worker *w, struct evbuffer *in)
{
	struct frame f;
	int n = 0;

	while (!w->over && !w->killed && (n = frame_take(in, &f)) == 1) {
		on_frame(w, &f);
		if (!w->over)
			frame_drop(in, &f);
	}
	if (n == -1)
		worker_kill(w, "it does not speak as it should");
}

static void
on_read(struct bufferevent *io, void *arg)
{
	worker_read(arg, bufferevent_get_input(io));
}

/* It closed its end: it has ended, or will be found silent. */
static void
on_event(struct bufferevent *io, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_disable(io, EV_READ | EV_WRITE);
}

/* ------------------------------------------------------------------ asking */

/* 0, or an errno. */
int
worker_spawn(struct worker *w)
{
	struct resolver *r = w->resolver;
	struct master_msg start = { MASTER_START, 0, 0, (uint32_t)w->kind };
	struct iovec io = { &start, sizeof start };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} u = { 0 };
	struct msghdr msg = { .msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = u.room,
		.msg_controllen = sizeof u.room };
	int sp[2], e = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		sp) == -1)
		return errno;
	if (++r->last_worker == 0)
		r->last_worker++;
	start.id = r->last_worker;
	u.head.cmsg_level = SOL_SOCKET;
	u.head.cmsg_type = SCM_RIGHTS;
	u.head.cmsg_len = CMSG_LEN(sizeof sp[1]);
	memcpy(CMSG_DATA(&u.head), &sp[1], sizeof sp[1]);
	w->io = bufferevent_socket_new(r->base, sp[0], BEV_OPT_CLOSE_ON_FREE);
	if (w->io == NULL) {
		close(sp[0]);
		e = ENOMEM;
	} else if (sendmsg(r->control, &msg, MSG_NOSIGNAL) !=
	    (ssize_t)sizeof start) {
		e = errno;
		bufferevent_free(w->io);
		w->io = NULL;
	}
	close(sp[1]);
	if (e != 0)
		return e;
	w->id = start.id;
	w->heard = resolver_now();
	w->patience = STARTING;
	r->why.text[0] = '\0';
	bufferevent_setcb(w->io, on_read, NULL, on_event, w);
	bufferevent_enable(w->io, EV_READ | EV_WRITE);
	return 0;
}

bool
query_send(struct resolver_query *q, enum frame_kind kind)
{
	struct frame f = { kind, q->id, q->packed,
		kind == FRAME_ASK ? q->len : 0 };

	return frame_add(bufferevent_get_output(q->worker->io), &f);
}

/* False: no place, or no memory; crew_watch() tries again. */
static bool
worker_begin(struct worker *w)
{
	struct resolver_query *q;

	if (worker_spawn(w) != 0)
		return false;
	TAILQ_FOREACH(q, &w->queries, entry)
		if (!query_send(q, FRAME_ASK))
			worker_kill(w, "out of memory");
	return true;
}

/* Groups that wait for a place. */
void
workers_begin(struct resolver *r)
{
	unsigned busy[] = { 0, 0, 0, 0 };
	static const unsigned most[] = { 1, 1, GROUPS_BUSY, ALONE_BUSY };
	struct worker *w;

	TAILQ_FOREACH(w, &r->workers, entry)
		if (w->id != 0 && !w->over)
			busy[w->kind]++;
	TAILQ_FOREACH(w, &r->workers, entry)
		if (w->id == 0 && !w->over && busy[w->kind] < most[w->kind] &&
		    worker_begin(w))
			busy[w->kind]++;
}

static void
watch_start(struct resolver *r)
{
	static const struct timeval second = { 1, 0 };

	if (!event_pending(r->watch, EV_TIMEOUT, NULL))
		event_add(r->watch, &second);
}

void
query_give(struct resolver_query *q, struct worker *w)
{
	if (TAILQ_EMPTY(&w->queries))
		w->heard = resolver_now();
	q->worker = w;
	w->given++;
	TAILQ_INSERT_TAIL(&w->queries, q, entry);
	watch_start(w->resolver);
}

/* ------------------------------------------------------------ one has died */

/* Its questions, in as many groups as are useful.  One that was alone there has
 * had little time, and gets more where it is in nobody's way. */
static void
queries_regroup(struct worker *w)
{
	enum worker_kind kind = w->kind == WORKER_GROUP && w->given == 1 ?
	    WORKER_ALONE :
	    WORKER_GROUP;
	struct worker *group[GROUPS] = { NULL };
	struct danevirke_error err;
	struct resolver_query *q;
	unsigned i = 0;

	shim_fail(&err, DANEVIRKE_ENOMEM, "out of memory");
	while ((q = TAILQ_FIRST(&w->queries)) != NULL) {
		if (group[i] == NULL &&
		    (group[i] = worker_new(w->resolver, kind)) == NULL) {
			query_end(q, NULL, &err);
			continue;
		}
		TAILQ_REMOVE(&w->queries, q, entry);
		query_give(q, group[i]);
		i = (i + 1) % GROUPS;
	}
	workers_begin(w->resolver);
}

static void
worker_describe(int status, char *buf, size_t len)
{
	if (status == -1)
		snprintf(buf, len, "could not be started");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPROF)
		snprintf(buf, len, "computed for too long");
	else if (WIFSIGNALED(status))
		snprintf(buf, len, "ended by signal %d", WTERMSIG(status));
	else
		snprintf(buf, len, "ended with status %d", WEXITSTATUS(status));
}

/* One question and a process that died of it. */
static void
query_convict(struct worker *w, const char *how)
{
	struct resolver_query *q = TAILQ_FIRST(&w->queries);
	struct danevirke_error err;

	shim_fail(&err, DANEVIRKE_EDNS,
	    "its DNS data cannot be looked up safely: the process that did so "
	    "%s",
	    how);
	resolver_say(
	    w->resolver, LOG_NOTICE, "resolver: %.255s: %s", q->name, err.text);
	if (!w->killed) /* else it may be this machine that is slow */
		convict_add(w->resolver, q->name);
	query_end(q, NULL, &err);
}

/* It died before it had a question to die of. */
static void
worker_unready(struct worker *w, const char *how)
{
	struct resolver *r = w->resolver;
	struct danevirke_error err;

	shim_fail(&err, DANEVIRKE_EDNS, "resolver: a process %s%s%.1500s", how,
	    r->why.text[0] != '\0' ? ": " : "", r->why.text);
	resolver_say(r, LOG_ERR, "%s", err.text);
	r->why = err;
	queries_fail(w, &err);
}

/* A shared one may have died of something that nobody waits for any more: it is
 * guilty only who was alone from the beginning. */
void
worker_ended(struct worker *w, int status)
{
	struct evbuffer *in = bufferevent_get_input(w->io);
	struct resolver *r = w->resolver;
	char how[60];

	evbuffer_unfreeze(in, 0); /* its last words */
	while (evbuffer_read(in, bufferevent_getfd(w->io), -1) > 0)
		continue;
	worker_read(w, in);
	if (w->over)
		return;
	worker_unshare(w);
	worker_describe(status, how, sizeof how);
	if (!w->ready)
		worker_unready(w, how);
	else if (!TAILQ_EMPTY(&w->queries) && w->kind == WORKER_ALONE)
		query_convict(w, how);
	else {
		resolver_say(r, LOG_NOTICE, "resolver: a process %s%s", how,
		    TAILQ_EMPTY(&w->queries) ?
			"" :
			": its questions are asked again");
		queries_regroup(w);
	}
	if (!w->over)
		worker_over(w);
}

/* ---------------------------------------------------------------- the loop */

void
crew_sweep(int fd, short what, void *arg)
{
	struct resolver *r = arg;
	struct worker *w, *next;

	(void)fd;
	(void)what;
	for (w = TAILQ_FIRST(&r->workers); w != NULL; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (!w->over)
			continue;
		TAILQ_REMOVE(&r->workers, w, entry);
		free(w);
	}
	if (!r->gone)
		workers_begin(r);
}

/* Once a second, while there are questions. */
void
crew_watch(int fd, short what, void *arg)
{
	struct resolver *r = arg;
	struct worker *w;
	uint64_t now = resolver_now();
	bool busy = false;

	(void)fd;
	(void)what;
	TAILQ_FOREACH(w, &r->workers, entry) {
		if (w->over || TAILQ_EMPTY(&w->queries))
			continue;
		busy = true;
		if (w->id != 0 && now - w->heard > w->patience)
			worker_kill(w, "it says nothing any more");
	}
	if (r->gone)
		return;
	workers_begin(r);
	if (busy)
		watch_start(r);
}

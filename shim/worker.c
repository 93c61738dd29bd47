/* SPDX-License-Identifier: ISC */
/*
 * A resolver process: questions come in, answers go out.
 *
 * It can be stuck in two ways.  Computing: a timer of CPU time is set before
 * each turn of the loop, and again between its callbacks, so that the kernel
 * ends a process in which one callback goes on for turn_ms.  Anything else: who
 * asks hears nothing any more, and has it killed.
 */
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/time.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "frame.h"
#include "load.h"
#include "sandbox.h"
#include "worker.h"

/* Milliseconds of CPU time for one callback; less in a group, where others
 * wait; or as often that as opening takes: a machine, or a build, that is slow
 * gets more. */
#define TURN_MS 250
#define TURN_GROUP_MS 60
#define TURN_OPEN_MS 5
#define BATCH 16           /* callbacks between two looks at the timers */
#define TICK_MS 50         /* while there are questions */
#define ALIVE_TICKS 20     /* of which one in so many tells that it lives */
#define MEMORY (384 << 20) /* octets of its own */
#define NICE 10            /* of what is known to compute for long */

struct task {
	TAILQ_ENTRY(task) entry;
	struct work *work;
	uint64_t id;
	struct danevirke_query *query;
};

struct work {
	const struct worker_args *args;
	const struct danevirke_api *dv;
	struct event_base *base;
	struct bufferevent *io;
	struct danevirke *engine;
	struct event *tick;
	unsigned ticks;
	uint32_t turn_ms;
	TAILQ_HEAD(, task) tasks;
};

/* ------------------------------------------------------------ what is said */

/* Without memory for an answer there is nothing more to do here. */
static void
work_say(struct work *w, enum frame_kind kind, uint64_t id, const void *body,
    size_t len)
{
	struct frame f = { kind, id, body, len };

	if (!frame_add(bufferevent_get_output(w->io), &f))
		_exit(1);
}

static void
work_note(struct work *w, enum frame_kind kind, uint64_t id, int number,
    const char *text)
{
	uint8_t buf[NOTE_MAX];

	work_say(w, kind, id, buf, note_pack(number, text, buf));
}

static void
on_log(void *arg, int level, const char *text)
{
	work_note(arg, FRAME_LOG, 0, level, text);
}

/* What was said last is heard before this process is gone. */
static void __attribute__((noreturn))
work_fail(struct work *w, const struct danevirke_error *err)
{
	struct evbuffer *out = bufferevent_get_output(w->io);

	work_note(w, FRAME_FAILED, 0, err->code, err->text);
	evbuffer_unfreeze(out, 1);
	evbuffer_write(out, WORKER_SOCKET);
	_exit(1);
}

/* --------------------------------------------------------------- questions */

static void
task_free(struct task *t)
{
	TAILQ_REMOVE(&t->work->tasks, t, entry);
	free(t);
}

static void
on_done(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct task *t = arg;
	struct work *w = t->work;
	size_t len = a == NULL ? 0 : w->dv->pack(a, NULL, 0);
	uint8_t *buf = NULL;

	if (a == NULL)
		work_note(w, FRAME_FAILED, t->id, err->code, err->text);
	else if (len > FRAME_BODY || (buf = malloc(len)) == NULL ||
	    w->dv->pack(a, buf, len) != len)
		work_note(w, FRAME_FAILED, t->id, DANEVIRKE_ENOMEM,
		    "the answer is too large");
	else
		work_say(w, FRAME_ANSWER, t->id, buf, len);
	free(buf);
	w->dv->release(a);
	task_free(t);
}

static void
work_ask(struct work *w, const struct frame *f)
{
	static const struct timeval soon = { 0, TICK_MS * 1000 };
	struct danevirke_error err = { 0, "" };
	struct question q;
	struct task *t;
	int code;

	if (!question_unpack(f->body, f->len, &q) ||
	    (t = calloc(1, sizeof *t)) == NULL)
		_exit(1);
	t->work = w;
	t->id = f->id;
	TAILQ_INSERT_TAIL(&w->tasks, t, entry);
	code = w->dv->start(w->engine, &q.q, on_done, t, &t->query, &err);
	if (code != DANEVIRKE_OK) {
		work_note(w, FRAME_FAILED, t->id, code, err.text);
		task_free(t);
	} else if (!event_pending(w->tick, EV_TIMEOUT, NULL))
		event_add(w->tick, &soon);
}

static void
work_cancel(struct work *w, uint64_t id)
{
	struct task *t;

	TAILQ_FOREACH(t, &w->tasks, entry)
		if (t->id == id) {
			w->dv->cancel(t->query);
			task_free(t);
			return;
		}
}

static void
on_read(struct bufferevent *io, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(io);
	struct work *w = arg;
	struct frame f;
	int n;

	while ((n = frame_take(in, &f)) == 1) {
		if (f.kind == FRAME_ASK)
			work_ask(w, &f);
		else if (f.kind == FRAME_CANCEL)
			work_cancel(w, f.id);
		frame_drop(in, &f);
	}
	if (n == -1)
		_exit(1);
}

/* Whoever asked has gone, or wants no more. */
static void
on_gone(struct bufferevent *io, short what, void *arg)
{
	(void)io;
	(void)what;
	(void)arg;
	_exit(0);
}

/* ------------------------------------------------------------------ limits */

/* From now on this much CPU time; then SIGPROF, whose default is the end. */
static void
turn_begin(const struct work *w)
{
	struct itimerval t = { 0 };

	t.it_value.tv_sec = w->turn_ms / 1000;
	t.it_value.tv_usec = (suseconds_t)(w->turn_ms % 1000) * 1000;
	setitimer(ITIMER_PROF, &t, NULL);
}

/* After opening, and before a stranger's data can have a say in it. */
static void
turn_measure(struct work *w)
{
	struct timespec t = { 0, 0 };
	uint64_t opening;

	w->turn_ms = w->args->kind == WORKER_GROUP ? TURN_GROUP_MS : TURN_MS;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	opening = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
	if (opening > TURN_OPEN_MS)
		w->turn_ms *= (uint32_t)opening / TURN_OPEN_MS;
}

static void
on_tick(int fd, short what, void *arg)
{
	static const struct timeval soon = { 0, TICK_MS * 1000 };
	struct work *w = arg;

	(void)fd;
	(void)what;
	turn_begin(w);
	if (++w->ticks % ALIVE_TICKS == 0)
		work_say(w, FRAME_ALIVE, 0, NULL, 0);
	if (!TAILQ_EMPTY(&w->tasks))
		event_add(w->tick, &soon);
}

/* ------------------------------------------------------------------- start */

/* A tick is due between any two callbacks, BATCH at most: its priority is the
 * higher one, 0. */
static bool
work_loop(struct work *w)
{
	struct event_config *cfg = event_config_new();

	if (cfg == NULL)
		return false;
	event_config_set_flag(
	    cfg, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NOLOCK);
	event_config_set_max_dispatch_interval(cfg, NULL, BATCH, 1);
	w->base = event_base_new_with_config(cfg);
	event_config_free(cfg);
	if (w->base == NULL || event_base_priority_init(w->base, 2) != 0)
		return false;
	w->tick = evtimer_new(w->base, on_tick, w);
	w->io = bufferevent_socket_new(w->base, WORKER_SOCKET, 0);
	if (w->tick == NULL || w->io == NULL ||
	    event_priority_set(w->tick, 0) != 0)
		return false;
	bufferevent_setcb(w->io, on_read, NULL, on_gone, w);
	return true;
}

static void
work_open(struct work *w)
{
	struct danevirke_options o = { .size = sizeof o,
		.base = w->base,
		.log = on_log,
		.log_arg = w,
		.flags = DANEVIRKE_OPEN_ALL | w->args->flags };
	struct danevirke_error err = { 0, "" };
	struct shim shim;
	char path[32];

	if (w->args->kind != WORKER_ALL)
		o.flags &= ~(uint32_t)DANEVIRKE_KEEP_FRESH;
	if ((w->dv = w->args->dv) == NULL) {
		if (shim_load(&shim, w->args->module, &err) != 0)
			work_fail(w, &err);
		w->dv = shim.dv;
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", WORKER_CONFIG);
	o.config = path;
	if (w->args->config != NULL && access(path, R_OK) == -1)
		o.config = w->args->config;
	if ((w->engine = w->dv->open(&o, &err)) == NULL)
		work_fail(w, &err);
}

static void
work_limit(void)
{
	struct rlimit memory = { MEMORY, MEMORY };

	signal(SIGPROF, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sandbox_close(NULL);
	if (!SANITIZED)
		setrlimit(RLIMIT_DATA, &memory);
}

void
worker_run(const struct worker_args *args)
{
	struct work w = { .args = args };

#ifdef __linux__
	prctl(PR_SET_NAME, "danevirke-dns");
#endif
	TAILQ_INIT(&w.tasks);
	if (fcntl(WORKER_SOCKET, F_SETFL, O_RDWR | O_NONBLOCK) == -1 ||
	    !work_loop(&w))
		_exit(1);
	if (args->kind == WORKER_ALONE)
		(void)!nice(NICE);
	work_open(&w);
	turn_measure(&w);
	work_limit();
	work_say(&w, FRAME_READY, 0, &w.turn_ms, sizeof w.turn_ms);
	bufferevent_enable(w.io, EV_READ | EV_WRITE);
	do
		turn_begin(&w);
	while (event_base_loop(w.base, EVLOOP_ONCE) == 0);
	_exit(1);
}

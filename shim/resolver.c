/* SPDX-License-Identifier: ISC */
/* The side that asks: the calls of resolver.h. */
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <event2/bufferevent.h>
#include <event2/event.h>

#include "crew.h"

int
resolver_start(struct resolver *r, const struct danevirke_question *question,
    danevirke_done *done, void *arg, struct resolver_query **query,
    struct danevirke_error *err)
{
	uint8_t packed[QUESTION_MAX];
	struct resolver_query *q;
	enum worker_kind kind = convict_kind(r, question->name);
	struct worker *w = NULL;
	size_t len = question_pack(question, packed);
	int e;

	if (r->gone)
		return shim_fail(
		    err, DANEVIRKE_EDNS, "resolver: its processes have ended");
	if (len == 0)
		return shim_fail(err, DANEVIRKE_EINVAL,
		    "\"%.60s...\": want a name of at most 253 octets",
		    question->name);
	if (kind == WORKER_ALONE)
		w = worker_new(r, kind);
	else if ((w = r->shared[kind]) == NULL)
		w = r->shared[kind] = worker_new(r, kind);
	q = malloc(sizeof *q + len);
	if (q == NULL || w == NULL ||
	    (q->name = strdup(question->name)) == NULL) {
		free(q);
		if (w != NULL)
			worker_done(w);
		return shim_fail(err, DANEVIRKE_ENOMEM, "out of memory");
	}
	q->id = ++r->last_query;
	q->done = done;
	q->arg = arg;
	q->len = len;
	memcpy(q->packed, packed, len);
	query_give(q, w);
	*query = q;
	if (w->kind == WORKER_ALONE) {
		workers_begin(r);
		return DANEVIRKE_OK;
	}
	e = w->id == 0 ? worker_spawn(w) : 0;
	if (e == 0 && query_send(q, FRAME_ASK))
		return DANEVIRKE_OK;
	query_free(q);
	if (w->id == 0)
		worker_over(w);
	return shim_fail(err, DANEVIRKE_ENOMEM, "resolver: no process: %s",
	    strerror(e != 0 ? e : ENOMEM));
}

void
resolver_cancel(struct resolver_query *q)
{
	struct worker *w;

	if (q == NULL)
		return;
	w = q->worker;
	if (w->io != NULL && !w->killed)
		query_send(q, FRAME_CANCEL);
	query_free(q);
	worker_done(w);
}

static void
resolver_lost(struct resolver *r)
{
	struct danevirke_error err;
	struct worker *w;

	r->gone = true;
	event_del(r->on_control);
	shim_fail(&err, DANEVIRKE_EDNS, "resolver: its processes have ended");
	resolver_say(r, LOG_ERR, "%s", err.text);
	TAILQ_FOREACH(w, &r->workers, entry) {
		if (w->over)
			continue;
		queries_fail(w, &err);
		if (!w->over)
			worker_over(w);
	}
	if (r->lost != NULL)
		r->lost(r->arg);
}

static void
on_control(int fd, short what, void *arg)
{
	struct resolver *r = arg;
	struct master_msg msg;
	struct worker *w;
	ssize_t n;

	(void)what;
	while ((n = recv(fd, &msg, sizeof msg, MSG_DONTWAIT)) ==
	    (ssize_t)sizeof msg)
		TAILQ_FOREACH(w, &r->workers, entry)
			if (w->id == msg.id && !w->over) {
				worker_ended(w, msg.status);
				break;
			}
	if (n != -1 || (errno != EAGAIN && errno != EINTR))
		resolver_lost(r);
}

/* ------------------------------------------------------------- start, end */

/* A copy that nobody can change, of what the file says now: what is written
 * into it later must not meet a process that has to be replaced. */
static int
config_keep(const char *path, struct danevirke_error *err)
{
	char buf[65536];
	int from, to;
	ssize_t n = -1;

	if ((from = open(path, O_RDONLY | O_CLOEXEC)) == -1) {
		shim_fail(
		    err, DANEVIRKE_ECONF, "%s: %s", path, strerror(errno));
		return -1;
	}
	to = memfd_create("danevirke.conf", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to != -1)
		while ((n = read(from, buf, sizeof buf)) > 0)
			if (write(to, buf, (size_t)n) != n)
				break;
	close(from);
	if (to == -1 || n != 0 || fchmod(to, S_IRUSR | S_IRGRP | S_IROTH) ||
	    fcntl(to, F_ADD_SEALS,
		F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) ==
		-1) {
		shim_fail(err, DANEVIRKE_ECONF, "%s: cannot be kept: %s", path,
		    strerror(errno));
		if (to != -1)
			close(to);
		return -1;
	}
	return to;
}

/* 0, and there is a master; or a code. */
static int
master_start(struct resolver *r, const struct resolver_options *o,
    struct danevirke_error *err)
{
	int sp[2], config;

	if ((config = config_keep(o->config, err)) == -1)
		return DANEVIRKE_ECONF;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp) == -1) {
		close(config);
		return shim_fail(
		    err, DANEVIRKE_ENOMEM, "resolver: %s", strerror(errno));
	}
	if ((r->master = fork()) == 0) {
		close(sp[0]);
		master_run(sp[1], config, o);
	}
	close(sp[1]);
	close(config);
	if (r->master == -1) {
		close(sp[0]);
		r->master = 0;
		return shim_fail(err, DANEVIRKE_ENOMEM, "resolver: fork: %s",
		    strerror(errno));
	}
	r->control = sp[0];
	return DANEVIRKE_OK;
}

struct resolver *
resolver_new(struct event_base *base, const struct resolver_options *o,
    struct danevirke_error *err)
{
	struct resolver *r = calloc(1, sizeof *r);

	if (r == NULL) {
		shim_fail(err, DANEVIRKE_ENOMEM, "out of memory");
		return NULL;
	}
	r->base = base;
	r->dv = o->dv;
	r->log = o->log;
	r->lost = o->lost;
	r->arg = o->arg;
	r->control = -1;
	TAILQ_INIT(&r->workers);
	if (master_start(r, o, err) != DANEVIRKE_OK) {
		resolver_free(r);
		return NULL;
	}
	fcntl(r->control, F_SETFL, O_RDWR | O_NONBLOCK);
	r->on_control = event_new(
	    base, r->control, EV_READ | EV_PERSIST, on_control, r);
	r->watch = evtimer_new(base, crew_watch, r);
	r->sweep = evtimer_new(base, crew_sweep, r);
	if (r->on_control == NULL || r->watch == NULL || r->sweep == NULL ||
	    event_add(r->on_control, NULL) != 0) {
		shim_fail(err, DANEVIRKE_ENOMEM, "out of memory");
		resolver_free(r);
		return NULL;
	}
	return r;
}

void
resolver_free(struct resolver *r)
{
	struct resolver_query *q;
	struct worker *w;
	size_t i;

	if (r == NULL)
		return;
	while ((w = TAILQ_FIRST(&r->workers)) != NULL) {
		while ((q = TAILQ_FIRST(&w->queries)) != NULL)
			query_free(q);
		TAILQ_REMOVE(&r->workers, w, entry);
		if (w->io != NULL)
			bufferevent_free(w->io);
		free(w);
	}
	for (i = 0; i < CONVICTS; i++)
		free(r->convict[i].name);
	if (r->on_control != NULL)
		event_free(r->on_control);
	if (r->watch != NULL)
		event_free(r->watch);
	if (r->sweep != NULL)
		event_free(r->sweep);
	if (r->control != -1)
		close(r->control);
	if (r->master > 0)
		while (waitpid(r->master, NULL, 0) == -1 && errno == EINTR)
			continue;
	free(r);
}

static void
on_limit(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

bool
resolver_warm(struct resolver *r, unsigned limit, struct danevirke_error *err)
{
	struct timeval tv = { .tv_sec = (time_t)limit };
	struct worker *w = worker_new(r, WORKER_ALL);
	bool late = false;
	struct event *timer = evtimer_new(r->base, on_limit, &late);

	shim_fail(err, DANEVIRKE_EDNS, "resolver: no process is ready");
	if (timer != NULL && event_add(timer, &tv) == 0 && w != NULL) {
		r->shared[WORKER_ALL] = w;
		if (worker_spawn(w) != 0)
			worker_over(w);
		while (r->shared[WORKER_ALL] != NULL &&
		    !r->shared[WORKER_ALL]->ready && !late)
			event_base_loop(r->base, EVLOOP_ONCE);
	}
	if (timer != NULL)
		event_free(timer);
	if (r->shared[WORKER_ALL] != NULL)
		return r->shared[WORKER_ALL]->ready;
	if (err != NULL && r->why.text[0] != '\0')
		*err = r->why;
	return false;
}

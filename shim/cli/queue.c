/* SPDX-License-Identifier: ISC */
/*
 * The checks of danevirke web (W02, W03, W05): one at a time for a domain, and
 * whoever asks for it meanwhile is shown the same; so many at once, the others
 * in a queue; what was found is kept for a while, in memory only.
 */
#include <sys/queue.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "limit.h"
#include "web.h"

#define RESULT_OCTETS (4U << 20) /* of one check */
#define KEPT_OCTETS (64U << 20)  /* of all that is kept */
#define FULL_WAIT 10             /* seconds until a place may be free */

struct job {
	TAILQ_ENTRY(job) entry;
	struct queue *queue;
	char name[256];
	enum queue_state state;
	uint64_t since; /* of the check, then of its result; seconds */
	pid_t pid;      /* 0: no process, or it has ended */
	int fd;         /* -1: none */
	struct event *readable, *limit;
	struct evbuffer *in;      /* what came of the next part */
	struct evbuffer *part[2]; /* JSON, HTML */
	size_t n_part;            /* that are complete */
	size_t seen;              /* octets of in that have no NUL */
	const char *why;          /* QUEUE_FAILED; constant */
};
TAILQ_HEAD(jobs, job);

struct queue {
	struct web *web;
	struct jobs waiting, running, kept; /* each by age */
	size_t n_waiting, n_process;
	size_t octets; /* of kept */
	struct limit client, all;
	struct event *child, *sweep;
	uint64_t said; /* when refusals were told of last */
	unsigned long refused;
};

static uint64_t
queue_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

/* ------------------------------------------------------------------- jobs */

static void
job_close(struct job *j)
{
	if (j->readable != NULL)
		event_free(j->readable);
	if (j->limit != NULL)
		event_free(j->limit);
	if (j->fd != -1)
		close(j->fd);
	j->readable = j->limit = NULL;
	j->fd = -1;
}

static void
job_free(struct job *j)
{
	job_close(j);
	if (j->in != NULL)
		evbuffer_free(j->in);
	if (j->part[0] != NULL)
		evbuffer_free(j->part[0]);
	if (j->part[1] != NULL)
		evbuffer_free(j->part[1]);
	free(j);
}

static struct job *
job_new(struct queue *q, const char *name)
{
	struct job *j = calloc(1, sizeof *j);

	if (j == NULL)
		return NULL;
	j->queue = q;
	j->fd = -1;
	j->state = QUEUE_WAITS;
	snprintf(j->name, sizeof j->name, "%s", name);
	j->in = evbuffer_new();
	j->part[0] = evbuffer_new();
	j->part[1] = evbuffer_new();
	if (j->in != NULL && j->part[0] != NULL && j->part[1] != NULL)
		return j;
	job_free(j);
	return NULL;
}

static size_t
job_octets(const struct job *j)
{
	return evbuffer_get_length(j->in) + evbuffer_get_length(j->part[0]) +
	    evbuffer_get_length(j->part[1]);
}

/* Of those that are kept; not while its process is there. */
static void
job_forget(struct job *j)
{
	TAILQ_REMOVE(&j->queue->kept, j, entry);
	j->queue->octets -= job_octets(j);
	job_free(j);
}

/* What is too old goes, and what is too much. */
static void
queue_sweep(int fd, short what, void *arg)
{
	struct timeval tv = { .tv_sec = 1 };
	struct queue *q = arg;
	struct job *j, *next;

	(void)fd;
	(void)what;
	for (j = TAILQ_FIRST(&q->kept); j != NULL; j = next) {
		next = TAILQ_NEXT(j, entry);
		if (j->pid == 0 &&
		    (queue_now() - j->since >= q->web->keep ||
			q->octets > KEPT_OCTETS))
			job_forget(j);
	}
	if (!TAILQ_EMPTY(&q->kept))
		event_add(q->sweep, &tv);
}

/* The result is there, or will not come. */
static void
job_settle(struct job *j, const char *why)
{
	struct timeval tv = { .tv_sec = 1 };
	struct queue *q = j->queue;
	uint64_t now = queue_now();
	size_t i;

	if (j->state != QUEUE_RUNS)
		return;
	TAILQ_REMOVE(&q->running, j, entry);
	TAILQ_INSERT_TAIL(&q->kept, j, entry);
	j->state = why == NULL ? QUEUE_DONE : QUEUE_FAILED;
	j->why = why;
	evbuffer_drain(j->in, evbuffer_get_length(j->in));
	for (i = 0; i < 2 && why != NULL; i++)
		evbuffer_drain(j->part[i], evbuffer_get_length(j->part[i]));
	q->octets += job_octets(j);
	cli_warn(q->web->cli, "%s: %s%s after %lu s", j->name,
	    why == NULL ? "done" : why, why == NULL ? "" : ",",
	    (unsigned long)(now - j->since));
	j->since = now;
	event_add(q->sweep, &tv);
}

/* ----------------------------------------------------------- its process */

static void
job_end(struct job *j, const char *why)
{
	job_settle(j, why);
	if (j->pid != 0)
		kill(j->pid, SIGKILL); /* all below it die with it */
}

static void
on_limit(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	job_end(arg, "the time for a check was over");
}

/* A part ends with a NUL; false: it is not here yet. */
static bool
job_part(struct job *j)
{
	struct evbuffer_ptr p;

	if (evbuffer_ptr_set(j->in, &p, j->seen, EVBUFFER_PTR_SET) != 0)
		return false;
	p = evbuffer_search(j->in, "", 1, &p);
	j->seen = p.pos < 0 ? evbuffer_get_length(j->in) : 0;
	if (p.pos < 0)
		return false;
	evbuffer_remove_buffer(j->in, j->part[j->n_part++], (size_t)p.pos);
	evbuffer_drain(j->in, 1);
	return true;
}

static void
on_readable(int fd, short what, void *arg)
{
	struct job *j = arg;
	int n = 0;

	(void)what;
	while (j->state == QUEUE_RUNS &&
	    (n = evbuffer_read(j->in, fd, 65536)) > 0) {
		while (j->n_part < 2 && job_part(j))
			;
		if (job_octets(j) > RESULT_OCTETS)
			job_end(j, "the result is too long");
		else if (j->n_part == 2)
			job_settle(j, NULL);
	}
	if ((n == 0 || j->state != QUEUE_RUNS) && j->readable != NULL)
		event_del(j->readable);
}

static void queue_next(struct queue *);

static void
job_buried(struct job *j)
{
	j->pid = 0;
	j->queue->n_process--;
	if (j->state == QUEUE_RUNS)
		on_readable(j->fd, 0, j);
	job_settle(j, "the check has failed");
	job_close(j);
}

static void
on_child(int sig, short what, void *arg)
{
	struct queue *q = arg;
	struct jobs *list[] = { &q->running, &q->kept };
	struct job *j, *next;
	size_t i;

	(void)sig;
	(void)what;
	for (i = 0; i < 2; i++)
		for (j = TAILQ_FIRST(list[i]); j != NULL; j = next) {
			next = TAILQ_NEXT(j, entry);
			if (j->pid != 0 && waitpid(j->pid, NULL, WNOHANG) != 0)
				job_buried(j);
		}
	queue_next(q);
}

static bool
job_start(struct job *j)
{
	struct timeval tv = { .tv_sec = (time_t)j->queue->web->limit };
	struct event_base *base = j->queue->web->base;

	if ((j->pid = checker_start(j->queue->web, j->name, &j->fd)) == -1) {
		j->pid = 0;
		return false;
	}
	j->queue->n_process++;
	j->readable = event_new(
	    base, j->fd, EV_READ | EV_PERSIST, on_readable, j);
	j->limit = evtimer_new(base, on_limit, j);
	return j->readable != NULL && j->limit != NULL &&
	    event_add(j->readable, NULL) == 0 && event_add(j->limit, &tv) == 0;
}

/* Those that have waited longest. */
static void
queue_next(struct queue *q)
{
	struct job *j;

	while (q->n_process < q->web->checks &&
	    (j = TAILQ_FIRST(&q->waiting)) != NULL) {
		TAILQ_REMOVE(&q->waiting, j, entry);
		q->n_waiting--;
		TAILQ_INSERT_TAIL(&q->running, j, entry);
		j->state = QUEUE_RUNS;
		j->since = queue_now();
		if (!job_start(j))
			job_end(j, "no process could be made for the check");
	}
}

/* --------------------------------------------------------------- requests */

static struct job *
queue_find(struct queue *q, const char *name)
{
	struct jobs *list[] = { &q->kept, &q->running, &q->waiting };
	struct job *j;
	size_t i;

	for (i = 0; i < 3; i++)
		TAILQ_FOREACH(j, list[i], entry)
			if (strcmp(j->name, name) == 0 &&
			    (i > 0 || queue_now() - j->since < q->web->keep))
				return j;
	return NULL;
}

static void
queue_show(struct job *j, struct queue_view *v)
{
	const struct job *i;

	v->state = j->state;
	v->why = j->why;
	v->place = 1;
	if (j->state == QUEUE_WAITS)
		for (i = TAILQ_FIRST(&j->queue->waiting); i != j;
		     i = TAILQ_NEXT(i, entry))
			v->place++;
	v->json = j->part[0];
	v->html = j->part[1];
}

/* False, and why: no check is begun for this client now (W03). */
static bool
queue_allows(struct queue *q, const struct conf_prefix *client, uint64_t now,
    struct queue_view *v)
{
	static const struct conf_prefix everybody;

	v->state = QUEUE_CLIENT;
	if ((v->wait = limit_wait(&q->client, client, now)) > 0)
		return false;
	v->state = QUEUE_ALL;
	if ((v->wait = limit_wait(&q->all, &everybody, now)) > 0)
		return false;
	v->state = QUEUE_FULL;
	if (q->n_waiting >= q->web->queue && q->n_process >= q->web->checks) {
		v->wait = FULL_WAIT;
		return false;
	}
	limit_count(&q->client, client, now);
	limit_count(&q->all, &everybody, now);
	return true;
}

/* Not who, and not more than once a minute. */
static void
queue_say_refused(struct queue *q, uint64_t now)
{
	q->refused++;
	if (q->said != 0 && now - q->said < LIMIT_SECONDS)
		return;
	cli_warn(
	    q->web->cli, "%lu checks refused: there are limits", q->refused);
	q->said = now;
	q->refused = 0;
}

void
queue_ask(struct queue *q, const char *name, const struct conf_prefix *client,
    struct queue_view *v)
{
	struct job *j = queue_find(q, name);
	uint64_t now = queue_now();

	memset(v, 0, sizeof *v);
	if (j == NULL) {
		if (!queue_allows(q, client, now, v)) {
			queue_say_refused(q, now);
			return;
		}
		v->state = QUEUE_FAILED;
		v->why = "out of memory";
		if ((j = job_new(q, name)) == NULL)
			return;
		TAILQ_INSERT_TAIL(&q->waiting, j, entry);
		q->n_waiting++;
		queue_next(q);
	}
	queue_show(j, v);
}

/* ------------------------------------------------------------- start, end */

struct queue *
queue_new(struct web *w)
{
	struct queue *q = calloc(1, sizeof *q);

	if (q == NULL)
		return NULL;
	q->web = w;
	q->client.most = w->client;
	q->all.most = w->all;
	TAILQ_INIT(&q->waiting);
	TAILQ_INIT(&q->running);
	TAILQ_INIT(&q->kept);
	q->child = evsignal_new(w->base, SIGCHLD, on_child, q);
	q->sweep = evtimer_new(w->base, queue_sweep, q);
	if (q->child == NULL || q->sweep == NULL ||
	    event_add(q->child, NULL) != 0) {
		queue_free(q);
		return NULL;
	}
	return q;
}

void
queue_free(struct queue *q)
{
	struct jobs *list[] = { &q->waiting, &q->running, &q->kept };
	struct job *j;
	size_t i;

	for (i = 0; i < 3; i++)
		while ((j = TAILQ_FIRST(list[i])) != NULL) {
			TAILQ_REMOVE(list[i], j, entry);
			if (j->pid != 0) {
				kill(j->pid, SIGKILL);
				while (waitpid(j->pid, NULL, 0) == -1 &&
				    errno == EINTR)
					continue;
			}
			job_free(j);
		}
	if (q->child != NULL)
		event_free(q->child);
	if (q->sweep != NULL)
		event_free(q->sweep);
	free(q);
}

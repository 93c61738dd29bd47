/* SPDX-License-Identifier: ISC */
/*
 * crew.h - the processes of a resolver, and which questions they have
 *
 *	resolver.c	the calls of resolver.h
 *	crew.c		  a worker's life: begun, heard, killed, buried; and
 *			  what is remembered of it
 */
#ifndef CREW_H
#define CREW_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frame.h"
#include "load.h"
#include "worker.h"

#define CONVICTS 64 /* names remembered */

struct bufferevent;
struct event;

struct resolver_query {
	TAILQ_ENTRY(resolver_query) entry;
	struct worker *worker;
	uint64_t id;
	danevirke_done *done;
	void *arg;
	char *name;
	size_t len;
	uint8_t packed[]; /* to be asked again */
};

TAILQ_HEAD(queries, resolver_query);

struct worker {
	TAILQ_ENTRY(worker) entry;
	struct resolver *resolver;
	enum worker_kind kind;
	uint32_t id;            /* 0: no process yet */
	struct bufferevent *io; /* NULL: no process yet */
	bool ready;             /* it has opened what it needs */
	bool killed;
	bool over;         /* to be freed by the loop */
	size_t given;      /* questions, in all */
	uint64_t heard;    /* when it last said something, in seconds */
	uint64_t patience; /* seconds to wait for its next word */
	struct queries queries;
};

struct resolver {
	struct event_base *base;
	const struct danevirke_api *dv;
	danevirke_log *log;
	void (*lost)(void *arg);
	void *arg;
	pid_t master;
	int control;
	bool gone; /* there is no master any more */
	struct event *on_control, *watch, *sweep;
	uint32_t last_worker;
	uint64_t last_query;
	struct worker
	    *shared[2]; /* by WORKER_ALL, WORKER_SUSPECT; NULL: none */
	struct danevirke_error why; /* the last one was not ready: its words */
	TAILQ_HEAD(, worker) workers;
	struct convict {
		char *name; /* NULL: none */
		uint64_t until;
	} convict[CONVICTS];
	unsigned next_convict;
};

void resolver_say(struct resolver *, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Where a new question about this name belongs: has a process died lately of
 * it, and of nothing else, or of one near it? */
enum worker_kind convict_kind(const struct resolver *, const char *name);

struct worker *worker_new(struct resolver *, enum worker_kind);
/* Asks for a process; 0, or an errno. */
int worker_spawn(struct worker *);
/* It is wanted no more; the loop frees it. */
void worker_over(struct worker *);
/* A question of it has ended. */
void worker_done(struct worker *);
/* Its process has ended, with this status of waitpid(2) or -1. */
void worker_ended(struct worker *, int status);
/* Those that wait for a place. */
void workers_begin(struct resolver *);
void query_give(struct resolver_query *, struct worker *);
bool query_send(struct resolver_query *, enum frame_kind);
void query_free(struct resolver_query *);
void queries_fail(struct worker *, const struct danevirke_error *);
/* Of events: frees workers; looks after those that are silent, once a second
 * while there are questions. */
void crew_sweep(int fd, short what, void *resolver);
void crew_watch(int fd, short what, void *resolver);

#endif

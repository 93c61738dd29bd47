/* SPDX-License-Identifier: ISC */
/*
 * resolver.h - the module's questions, asked where they can be killed
 *
 * Libraries compute for as long as a stranger's keys ask, without turning the
 * loop once.  So a program with other work to do asks in processes of its own
 * (D16), and nobody waits for one that is stuck:
 *
 *	resolver.c	the program: the calls below
 *	  crew.c	  its questions, and which process has them
 *	  master.c	  a child that starts, kills and buries those processes
 *	    worker.c	    the module, its loop, and a limit on each turn of it
 *	frame.c		what is said between the first and the last
 *
 * Every new question goes to one process, whose cache is warm.  If that dies,
 * its questions are asked again in a few others, a group each, and so on until
 * the one that kills is alone: that one has failed, and is remembered.  The
 * next time it starts alone, and names near it have a process of their own.
 * New questions never wait for any of this.
 *
 *	r = resolver_new(base, &options, &err);
 *	resolver_start(r, &question, done, arg, &query, &err);
 *	... done(arg, answer, err)
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include <sys/types.h>

#include <stdbool.h>

#include "danevirke.h"

struct event_base;
struct resolver;
struct resolver_query;

struct resolver_options {
	const struct danevirke_api *dv; /* outlives the resolver */
	const char *config; /* absolute path; what it says now is what each
			     * process is started with */
	/* Each process executes this program anew, whose main() calls
	 * resolver_main(), so that a crash tells nothing about the next one's
	 * memory.  false: forked only, for programs that end soon. */
	bool exec;
	const char *module; /* exec: danevirke.so, NULL = the installed one */
	uint32_t flags;     /* DANEVIRKE_KEEP_FRESH, DANEVIRKE_PUBLIC */
	uid_t uid;          /* as root: whom the processes become; 0: nobody */
	danevirke_log *log; /* NULL = silence */
	/* No question can be answered any more.  May be NULL. */
	void (*lost)(void *arg);
	void *arg; /* of log and lost */
};

/* Before the program has other children, threads or secrets.  Strings are
 * copied.  NULL: err says why. */
struct resolver *resolver_new(struct event_base *,
    const struct resolver_options *, struct danevirke_error *err);
/* Ends all processes; no done() runs.  Not from inside done().  NULL is
 * allowed. */
void resolver_free(struct resolver *);

/* Starts the process that new questions go to and waits until it is ready, at
 * most seconds.  False: err says why. */
bool
resolver_warm(struct resolver *, unsigned seconds, struct danevirke_error *err);

/* As danevirke_v1.start, but that a name which is none comes back in done(). */
int resolver_start(struct resolver *, const struct danevirke_question *,
    danevirke_done *done, void *arg, struct resolver_query **query,
    struct danevirke_error *err);
/* As danevirke_v1.cancel. */
void resolver_cancel(struct resolver_query *);

/* First in main(): if this process was executed as a resolver, it never comes
 * back. */
void resolver_main(int argc, char **argv);

#endif

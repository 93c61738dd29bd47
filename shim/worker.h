/* SPDX-License-Identifier: ISC */
/* worker.h - the processes behind resolver.h, as its files share them */
#ifndef WORKER_H
#define WORKER_H

#include <stdint.h>

#include "resolver.h"

/* Between resolver.c and master.c, one datagram each. */
enum master_op {
	MASTER_START = 1, /* with a descriptor: the worker's socket */
	MASTER_KILL,
	MASTER_ENDED /* from the master: status as of waitpid(2), or -1: it
		      * could not be started */
};

struct master_msg {
	uint32_t op, id; /* of the worker, never 0 */
	int32_t status;
	uint32_t kind; /* START: enum worker_kind */
};

enum worker_kind {
	WORKER_ALL,     /* new questions, */
	WORKER_SUSPECT, /* and those near a name that has killed */
	WORKER_GROUP,   /* some of those of a process that died */
	WORKER_ALONE    /* one that is known to kill */
};

/* What worker_run() finds open, whatever else there was. */
enum { WORKER_SOCKET = 3, WORKER_CONFIG = 4 };
#define WORKER_MAX 64 /* processes at a time */

struct worker_args {
	const struct danevirke_api *dv; /* NULL: module is to be loaded */
	const char *module;
	enum worker_kind kind;
	uint32_t flags;     /* as in struct resolver_options */
	const char *config; /* its path, where /proc is not mounted; or NULL */
};

/* Never returns.  It ends by itself at the end of file on control. */
void master_run(int control, int config, const struct resolver_options *)
    __attribute__((noreturn));
void worker_run(const struct worker_args *) __attribute__((noreturn));

#endif

/* SPDX-License-Identifier: ISC */
/*
 * web.h - a testing site of one's own, in the hands of strangers
 *
 *	web.c		cmd_web()	options, loop, end
 *	serve.c		  serve_*()	connections: a head in, a reply out
 *	request.c	    request_*()	the head; pure
 *	site.c		  site_*()	a request -> a reply
 *	queue.c		    queue_*()	checks: waiting, under way, kept
 *	limit.c		      limit_*()	how often; pure
 *	checker.c	      checker_*() one check, in a process of its own
 *
 * A connection is for one request, and no reply waits for anything: a page
 * whose check is not done says so, and asks again.
 */
#ifndef WEB_H
#define WEB_H

#include <sys/socket.h>
#include <sys/types.h>

#include "check.h"
#include "module.h"
#include "request.h"

struct evbuffer;

struct web {
	struct cli *cli;
	struct event_base *base;
	const char *listen; /* as it was given */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct conf_prefix *proxy; /* who is believed (W04) */
	size_t n_proxy;
	const char *helo;          /* NULL: this machine's name */
	unsigned long connections; /* of clients, at once */
	unsigned long checks;      /* at once */
	unsigned long queue;       /* that wait */
	unsigned long client;      /* that one client begins in a minute */
	unsigned long all;         /* that all of them begin in a minute */
	unsigned long limit;       /* seconds for a check */
	unsigned long keep;        /* seconds that a result is kept */
};

/* ----------------------------------------------------------------- serve */

struct serve;
/* status: 0, or that of an error, and only r->head is set.  Adds the whole
 * response to out. */
typedef void serve_answer(void *arg, int status, const struct request *r,
    const struct conf_prefix *client, struct evbuffer *out);
/* Listens at w->addr; NULL: reported. */
struct serve *serve_new(const struct web *w, serve_answer *, void *arg);
void serve_free(struct serve *);

/* ------------------------------------------------------------------ site */

struct site;
struct site *site_new(struct web *); /* NULL: out of memory */
void site_free(struct site *);       /* ends the checks under way */
/* A serve_answer. */
void site_answer(void *site, int status, const struct request *,
    const struct conf_prefix *client, struct evbuffer *out);

/* ----------------------------------------------------------------- queue */

enum queue_state {
	QUEUE_WAITS,  /* place is set */
	QUEUE_RUNS,   /* under way */
	QUEUE_DONE,   /* json and html are set */
	QUEUE_FAILED, /* why is set */
	QUEUE_CLIENT, /* refused: the client has begun enough; */
	QUEUE_ALL,    /* all have; */
	QUEUE_FULL    /* too many wait; of each, wait is set */
};
struct queue_view {
	enum queue_state state;
	size_t place;          /* from 1 */
	unsigned wait;         /* seconds */
	const char *why;       /* constant */
	struct evbuffer *json; /* of the queue's, as is html: to refer to */
	struct evbuffer *html;
};

struct queue;
struct queue *queue_new(struct web *); /* NULL: out of memory */
void queue_free(struct queue *);
/* The check of name, A-labels in lower case: as it stands, or begun if the
 * limits allow it. */
void queue_ask(struct queue *, const char *name,
    const struct conf_prefix *client, struct queue_view *);

/* --------------------------------------------------------------- checker */

/* What each check will open: EXIT_GOOD, or what is wrong with it is reported. */
int checker_try(const struct web *);
/* Starts the process of a check.  What can be read from *fd: JSON and a NUL,
 * HTML and a NUL.  -1: errno. */
pid_t checker_start(const struct web *, const char *name, int *fd);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * relay.h - the relay child: what its own files share
 *
 * What runs in it, beside log.c and alias.c of process.h.  The process:
 *
 *	relay.c		control socket, accepting, limits
 *	guard.c		what the process needs no more
 *	last.c		what clients hear if it dies
 *
 * And the session, one for each connection of smtpd to an alias (session.h has
 * the walk of one message).  Calls go down this list and never up; what has to
 * go up waits for an event.
 *
 *	session.c	whose turn it is
 *	command.c	one command of smtpd's
 *	upstream.c	one upstream, its replies, and the next one
 *	data.c		the message, streamed
 *	talk.c		enter a state, say, refuse, leave, end
 *	dial.c		domain -> a judged upstream session
 *	verdict.c	what the log says of it
 *	domain.c	the domain: does it listen, has it failed lately
 *	turn.c		pure: which host is next, and how long it may take
 *	smtp.c		pure: replies, extensions, the final dot
 *
 * smtpd gets 2xx to a message only as the upstream's own reply to it.  What is
 * zeroed, unknown or failed is a temporary failure.
 */
#ifndef RELAY_H
#define RELAY_H

#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "danevirke.h"
#include "load.h"
#include "process.h"
#include "resolver.h"
#include "smtp.h"
#include "starttls.h"
#include "turn.h"

/* Runs the relay as process.h says.  Never comes back but with the exit status:
 * 0 after RELAY_DRAIN, 1 if it cannot work (and the log says why). */
int relay_run(const struct relay_args *);

struct hub;

#define DOMAIN_BUCKETS 4096

/* A mail domain and its alias.  Lives as long as it has a listener or a
 * session. */
struct domain {
	LIST_ENTRY(domain) entry;
	struct hub *hub;
	uint32_t addr; /* host order */
	uint16_t port;
	char name[DOMAIN_LEN];
	int fd;               /* listening, -1: no more */
	struct event *accept; /* NULL: no more */
	bool paused;          /* accept is not pending: limits */
	unsigned sessions;
	unsigned refs;
	struct refusal failure; /* remembered */
	uint64_t until;         /* CLOCK_BOOTTIME seconds */
};

_Static_assert(
    COUNT_FAILED + STARTTLS_READY == COUNT_MAX, "a counter for each state");

/* What all sessions share: the relay process itself. */
struct hub {
	struct event_base *base;
	const struct danevirke_api *dv;
	struct danevirke *engine; /* for its settings, and what verify() keeps:
				   * it asks nothing */
	struct resolver *resolver;
	const struct danevirke_settings *set;
	const struct relay_args *args;
	const char *ca_file; /* verify() may want it; NULL: no file */
	struct guard guard;  /* who may connect; root becomes the first */
	unsigned sessions, max_sessions;
	uint64_t left; /* when the last session ended, hub_now(); 0: none has */
	bool draining;
	bool shortage;      /* of descriptors: no new sessions for a while */
	bool full;          /* no domain listens */
	struct event *idle; /* active: draining, and no session is left */
	LIST_HEAD(domains, domain) domains[DOMAIN_BUCKETS]; /* by address */
	uint64_t count[COUNT_MAX];
	struct turn_failed failed; /* hosts, until relay.failure_ttl is over */
};

/* ---------------------------------------------------------------- domain */

/* CLOCK_BOOTTIME, as danevirke_answer.expires. */
uint64_t hub_now(void);
/* Owns fd.  In the place of one that had this address.  False: no memory. */
bool domain_add(struct hub *, const struct relay_msg *, int fd,
    event_callback_fn on_accept);
/* Those of its sessions that are there go on. */
void domain_remove(struct hub *, uint32_t addr, uint32_t port);
void domains_remove(struct hub *);
/* By hub->shortage and the limit for all. */
void domains_listen(struct hub *);
void domain_ref(struct domain *);
void domain_unref(struct domain *);
/* A session begins; it is over: the domain may be gone afterwards. */
void domain_enter(struct domain *);
void domain_leave(struct domain *);
/* Keeps why for relay.failure_ttl seconds; forgets it. */
void domain_failed(struct domain *, const struct refusal *why);
void domain_works(struct domain *);
/* The one that is kept, or NULL. */
const struct refusal *domain_failure(const struct domain *);

/* ----------------------------------------------------------------- guard */

/* 0, or -1 and the log says why. */
int guard_open(struct hub *);
/* After everything is opened: no root, no new privileges, no files, no core.
 * 0, or -1 and the log says why; a kernel without Landlock is only logged. */
int guard_close(const struct hub *);

/* ------------------------------------------------------------------ last */

/* From here on this process's clients are told if it ends, however it does.
 * Before guard_close().  0, or -1 and the log says why. */
int last_open(void);

/* --------------------------------------------------------------- session */

/* Owns fd, and one session of the domain until domain_leave(). */
void session_new(struct domain *, int fd, const struct sockaddr_storage *from);

/* --------------------------------------------------------------- verdict */

#define VERDICT_LEN 900 /* octets of a text for the log */

/* Into the log: "DOMAIN via HOST:PORT: VERDICT: text". */
void verdict_host(const struct hub *, const struct danevirke_answer *,
    const struct danevirke_host *, bool tls, bool verified, const char *verdict,
    const char *text);
/* "DOMAIN: VERDICT: reason" */
void verdict_domain(
    const struct hub *, const struct danevirke_answer *, const char *verdict);
/* A session that may be used is logged, counted and reported.  tls_why: why it
 * is in the clear, if TLS failed there before; else NULL.  say: the verdict
 * alone. */
#define DIALED_VERDICT 300
void verdict_success(struct hub *, const struct danevirke_answer *,
    const struct danevirke_host *, const struct danevirke_addr *,
    const struct starttls_result *, const struct danevirke_verdict *,
    const char *tls_why, char say[DIALED_VERDICT]);
/* One that may not is reported, if it failed by its TLS (K02).  Host, address
 * and result: NULL if it did not come to them. */
void verdict_failure(const struct hub *, const struct danevirke_answer *,
    const struct danevirke_host *, const struct danevirke_addr *,
    const struct starttls_result *, enum danevirke_result, const char *text);

/* ------------------------------------------------------------------ dial */

/* An upstream session that may be used, or why there is none.  Valid during
 * done(), but for stream, which is the callee's. */
struct dialed {
	struct stream *stream; /* NULL: refusal */
	struct extensions ext;
	const char *host;             /* its name */
	char verdict[DIALED_VERDICT]; /* the log's, with what is beside it */
	uint64_t expires; /* of the answer it was judged by, hub_now() */
	struct refusal refusal;
};

typedef void dial_done(void *arg, const struct dialed *);

struct dial;

/* Asks for the domain's hosts and tries them, until hub_now() is end.  All
 * strings are copied.  source: own address, 4 or 6, or NULL.  done() runs
 * once, from the loop, for this call and for each dial_next().  The dial is the
 * caller's.  NULL: out of memory. */
struct dial *dial_start(struct hub *, const char *domain, const char *helo,
    const char *source4, const char *source6, uint64_t end, dial_done *done,
    void *arg);
/* The hosts after the one that done() gave a session of (T12).  why: what
 * became of that; said: in its own words, which are then what a refusal tells.
 * False: there is none, or no time; nothing happens. */
bool
dial_next(struct dial *, uint64_t end, const struct refusal *why, bool said);
/* How many hosts there are for dial_next().  NULL is allowed. */
size_t dial_rest(const struct dial *);
/* The host that done() gave a session of is at fault: it comes last until
 * relay.failure_ttl is over.  NULL is allowed. */
void dial_failed(const struct dial *);
/* No done() any more.  Allowed in done().  NULL is allowed. */
void dial_cancel(struct dial *);

#endif

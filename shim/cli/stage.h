/* SPDX-License-Identifier: ISC */
/*
 * stage.h - every name server of every zone on the way (L14), in order
 *
 *	servers.c	servers_start()	goes on as lookups and replies come
 *	zones.c		  zones_find()	names -> zones
 *	lookup.c	    lookup_start()  by a resolver
 *	ask.c		  talk_start()	one server's replies
 *	compare.c	  compare_zone()	replies -> findings
 *	replies.c	    reply_*()	    each by itself
 *	signature.c	      signature_*()   RRSIG, DS
 *
 * The zones are those of the mail domain, its hosts and their TLSA records,
 * and those above them but for top-level domains, which are only asked for
 * the delegation.  Nothing here decides anything about mail.
 */
#ifndef STAGE_H
#define STAGE_H

#include <sys/queue.h>

#include "ask.h"
#include "check.h"
#include "signature.h"

/* What a stranger can make of it: bounds on all he names. */
#define ZONES_MAX 12
#define NODES_MAX 64
#define NAMES_MAX 16     /* name servers of a zone */
#define ADDRS_MAX 6      /* of a name server */
#define SERVERS_MAX 16   /* addresses of a zone's servers */
#define QUESTIONS_MAX 24 /* to one of them */
#define NS_MAX 64        /* name servers in all */
#define TALKS_MAX 16     /* servers at once, for a domain */
#define TALKS_ALL 64     /* and for all domains */
#define OCTETS_MAX (4u << 20)
#define VERIFY_MAX 1000 /* signatures: some 0.1 s */
#define STAGE_TIME 20   /* seconds */

struct servers_job;
struct zone;

/* The zone of a name: of this one, or of the name that next is for. */
struct node {
	STAILQ_ENTRY(node) entry;
	struct wire name;
	struct zone *zone; /* NULL: this is not a zone's name */
	struct node *next; /* NULL: none is known */
	bool failed;       /* the resolver got no answer */
};

/* A name server. */
struct ns {
	STAILQ_ENTRY(ns) entry;
	struct wire name;
	char text[NAME_LEN];
	struct danevirke_addr addr[ADDRS_MAX];
	size_t n_addr;
	unsigned pending; /* lookups of its addresses */
	bool forbidden;   /* M12: an address that is not talked to */
	bool said;        /* a finding tells of its addresses */
};

struct server {
	struct servers_job *job;
	struct group *group;
	struct ns *ns;
	const struct danevirke_addr *addr;
	struct ask ask[QUESTIONS_MAX]; /* one for each question */
	enum signature sig[QUESTIONS_MAX];
	const struct rrset *by[QUESTIONS_MAX]; /* keys that verified it */
	struct talk *talk;
	bool begun, over;
	bool mute; /* nothing came, and that was said */
	bool faulty;
};

/* Servers that are asked the same. */
struct group {
	struct zone *zone;
	bool delegation; /* they are the parent's */
	struct question {
		struct wire name;
		int type;
	} q[QUESTIONS_MAX];
	size_t n_q;
	struct ns *ns[NAMES_MAX];
	size_t n_ns;
	struct server *server[SERVERS_MAX];
	size_t n_server;
};

/* The first questions of each group. */
enum { Q_NS = 0, Q_SOA, Q_DNSKEY, Q_OWN };
enum { Q_DS = 1 };

struct zone {
	STAILQ_ENTRY(zone) entry;
	struct wire name;
	char text[NAME_LEN];
	struct node *above; /* of the name without its first label, or NULL */
	struct zone *up;    /* the parent; NULL: not known */
	struct rrset ns;    /* as the resolver had it; n 0: it had none */
	struct group own, parent;
	/* found by compare.c */
	struct rrset ds, keys;
	bool ds_asked; /* a server of the parent has told */
	unsigned iterations;
};

struct lookup;
typedef void lookup_got(struct servers_job *, void *arg, const struct reply *);

struct servers_job {
	struct servers *servers;
	struct ub_ctx *ctx;
	LIST_ENTRY(servers_job) entry; /* of those under way */
	const struct exam_options *o;
	const struct danevirke_settings *settings;
	struct report *report;
	struct arena arena;
	LIST_HEAD(, lookup) lookups;
	STAILQ_HEAD(, node) nodes;
	STAILQ_HEAD(, zone) zones;
	STAILQ_HEAD(, ns) ns;
	size_t n_node, n_zone, n_ns;
	struct want_name {
		struct wire name;
		int type;
		struct node *node;
	} name[QUESTIONS_MAX];
	size_t n_name;
	struct server *queue[ZONES_MAX * 2 * SERVERS_MAX];
	size_t n_queue, at_queue, n_talk;
	unsigned pending;  /* lookups */
	size_t octets;     /* of replies, still */
	unsigned verify;   /* signatures, still */
	size_t heard;      /* servers that answered anything */
	size_t no_network; /* addresses of a kind that this machine lacks */
	bool asking;       /* the zones are known */
	bool cut;          /* something was over a bound */
	struct event *limit;
	void (*step)(struct servers_job *); /* what there is to do next */
	void (*done)(void *arg);
	void *arg;
};

/* How many descriptors it may need: resolver, UDP and TCP. */
#define SERVERS_FILES (64 + 2 * TALKS_ALL)

/* servers.c: one for all domains of a check.  NULL: reported. */
struct servers *servers_new(const struct exam_options *);
void servers_free(struct servers *);
/* Adds findings and facts to the report, then done(), from the loop.  NULL:
 * out of memory. */
struct servers_job *servers_start(
    struct servers *, struct report *, void (*done)(void *arg), void *arg);
void servers_cancel(struct servers_job *); /* no done(); NULL is allowed */

/* lookup.c: asks the resolver; got() runs from the loop, reply NULL: no answer.
 * Then job->step(), behind which the job may be gone. */
void lookup_start(struct servers_job *, const struct wire *name, int type,
    lookup_got *, void *arg);
void lookup_cancel(struct servers_job *); /* all of them */

/* zones.c: names and their zones, by lookups; job->pending tells how long.
 * Then, job->zones have their parents and questions. */
void zones_find(struct servers_job *);
void zones_ready(struct servers_job *);

/* replies.c: each server by itself.  An answer to its question i that is the
 * zone's: of who serves it, or delegates it. */
bool reply_counts(const struct server *, size_t i);
void reply_judge(struct server *);
/* Of a zone that is signed; after zone->ds is known. */
void reply_signatures(struct group *);
/* A warning about it */
void reply_say(struct server *, const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* compare.c */
void compare_zone(struct servers_job *, struct zone *);
void compare_end(struct servers_job *);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * dns.c - one lookup through libunbound, on the caller's loop
 *
 * With context.c the only one that talks to the network.  libunbound recurses
 * (or asks the configured forwarders), validates from the configured trust
 * anchor (D05) and hands over a packet and a state; packet.c makes a
 * dns_result of them.
 *
 * libunbound may call back from inside ub_resolve_event(), and must not be
 * entered again from its own callback.  So the callback only notes the result
 * and wakes the lookup's event; done() always runs from the loop.
 *
 * INSECURE is the word of a chain of proofs that begins at the root, unless
 * the library has made nothing of the anchor: then it is its word on
 * everything.  So the root's keys are asked for beside the first lookup, as
 * the validator does anyway, and until they are SECURE no INSECURE is handed
 * on (D05a; root.c).
 */
#include <sys/queue.h>

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>
#include <unbound-event.h>
#include <unistd.h>

#include "module.h"
#include "packet.h"

#define CLASS_IN 1
/* Seconds that a TXT answer is kept, or longer.  It is that of TLSRPT, which is
 * for daily reports and has no say in any mail; when it is wanted there is no
 * time to ask for it (K01). */
#define TXT_TTL 86400

struct dns {
	const struct conf *conf;
	struct event_base *base;
	struct store *store;     /* or NULL */
	struct refresh *refresh; /* or NULL */
	struct ub_ctx *ctx;      /* NULL: not yet made */
	struct ub_ctx *astray;   /* what led astray, or NULL */
	bool hinted;             /* ctx has hints, */
	bool led;                /* which led to the TLD's keys */
	bool short_lived;        /* they may be of use; */
	const char *tld;         /* for this one, or NULL */
	struct arena own;
	LIST_HEAD(, dns_query) queries; /* those under way */
	bool many;
	bool proven;            /* the root, with this context's anchor */
	struct dns_query *root; /* the lookup of its keys, if under way */
	struct arena keys;      /* what it gives */
	char doubt[WHY_LEN];    /* why the last one proved nothing */
};

struct dns_query {
	struct dns *dns;
	LIST_ENTRY(dns_query) entry;
	struct arena *arena;
	struct arena own; /* of a lookup for refresh.c: nobody waits for it */
	char *name;
	int type;
	struct ub_ctx *ctx; /* asked: whose */
	int id;             /* libunbound's */
	bool asked;         /* id is valid */
	bool again;         /* to be asked without hints */
	dns_done *done;
	void *arg;
	struct event *event; /* time limit, then delivery */
	struct dns_result *result;
	bool finished;         /* result is filled */
	bool held;             /* result waits for the root's; while it does: */
	const uint8_t *packet; /* a copy for the store, or NULL */
	size_t len;            /* of it */
	uint64_t since;        /* store_now() */
};

/* ------------------------------------------------------------- lookups */

static void dns_refresh(void *, const char *, int);
static bool query_again(struct dns_query *);

struct dns *
dns_new(const struct conf *conf, struct event_base *base, struct store *store,
    unsigned flags, struct danevirke_error *err)
{
	struct dns *dns;

	if ((dns = calloc(1, sizeof *dns)) == NULL ||
	    ((flags & DNS_KEEP_FRESH) &&
		(dns->refresh = refresh_new(base, dns_refresh, dns)) == NULL)) {
		free(dns);
		fail(err, DANEVIRKE_ENOMEM, "out of memory");
		return NULL;
	}
	dns->conf = conf;
	dns->base = base;
	dns->store = store;
	dns->many = (flags & DNS_MANY) != 0;
	dns->short_lived = flags == 0;
	return dns;
}

static void
query_free(struct dns_query *q)
{
	LIST_REMOVE(q, entry);
	if (q->event != NULL)
		event_free(q->event);
	arena_free(&q->own);
	free(q->name);
	free(q);
}

void
dns_cancel(struct dns_query *q)
{
	if (q == NULL)
		return;
	/* no callback after this; the library forgets it in its own time */
	if (q->asked && !q->finished)
		ub_cancel(q->ctx, q->id);
	query_free(q);
}

void
dns_free(struct dns *dns)
{
	struct dns_query *q;

	if (dns == NULL)
		return;
	while ((q = LIST_FIRST(&dns->queries)) != NULL)
		dns_cancel(q);
	arena_free(&dns->keys);
	arena_free(&dns->own);
	refresh_free(dns->refresh);
	ub_ctx_delete(dns->ctx);
	ub_ctx_delete(dns->astray);
	free(dns);
}

/* ------------------------------------------------------- the root (D05a) */

/* What was held is handed on: as it is, or as an ERROR. */
static void
root_settle(struct dns *dns, const char *doubt)
{
	struct dns_query *q;
	uint64_t held;

	for (q = LIST_FIRST(&dns->queries); q != NULL;
	     q = LIST_NEXT(q, entry)) {
		if (!q->held)
			continue;
		q->held = false;
		held = store_now() - q->since; /* D15 */
		if (held > q->result->ttl)
			held = q->result->ttl;
		q->result->ttl -= (uint32_t)held;
		if (doubt != NULL)
			dns_doubt(q->arena, doubt, q->result);
		else if (q->packet != NULL)
			store_put(dns->store, q->name, q->type, 0, q->packet,
			    q->len, q->result->ttl);
		event_active(q->event, EV_TIMEOUT, 1);
	}
}

/* SECURE, whatever the name: there is a chain from the anchor down to it. */
static void
root_proven(struct dns *dns)
{
	if (!dns->proven) {
		dns->proven = true;
		root_settle(dns, NULL);
	}
}

static void
on_root(void *arg, const struct dns_result *r)
{
	struct dns *dns = arg;

	dns->root = NULL;
	if (!dns->proven) {
		root_doubt(dns->conf, r, dns->doubt);
		root_settle(dns, dns->doubt);
	}
	arena_free(&dns->keys);
}

/* True: it waits for the root. */
static bool
root_hold(struct dns_query *q, const uint8_t *packet, size_t len)
{
	struct dns *dns = q->dns;
	uint8_t *copy;

	if (dns->proven || q == dns->root || !root_owed(dns->conf, q->result))
		return false;
	if (dns->root == NULL) { /* the next lookup asks again */
		dns_doubt(q->arena, dns->doubt, q->result);
		return false;
	}
	q->held = true;
	q->since = store_now();
	if (dns->store != NULL && (copy = arena_alloc(q->arena, len)) != NULL) {
		q->packet = memcpy(copy, packet, len);
		q->len = len;
	}
	return true;
}

/* ------------------------------------------------------------ hints.c */

/* What cannot be used may be the hints' fault: true, it is to be asked again.
 * D05a: a context that went astray has proven nothing. */
static bool
hints_doubted(struct dns_query *q)
{
	const struct dns *dns = q->dns;
	enum danevirke_dnssec state = q->result->state;

	if (q->ctx == dns->astray)
		q->again = state != DANEVIRKE_SECURE;
	else
		q->again = dns->hinted && state == DANEVIRKE_ERROR;
	return q->again;
}

/* From here on all is asked without them; but: is being asked again. */
static void
hints_drop(struct dns *dns, const struct dns_query *but)
{
	struct dns_query *q;

	if (!dns->led)
		hints_forget(dns->store, dns->tld);
	dns->astray = dns->ctx;
	dns->ctx = NULL;
	dns->hinted = dns->proven = false;
	if (dns->root != NULL && dns->root != but) {
		dns_cancel(dns->root);
		dns->root = NULL;
		arena_free(&dns->keys);
	}
	LIST_FOREACH(q, &dns->queries, entry) {
		if (!q->held)
			continue;
		q->held = false;
		q->again = true;
		event_active(q->event, EV_TIMEOUT, 1);
	}
}

/* What is missing for the next process, and nobody here waits for. */
static void
hints_learn(struct dns *dns)
{
	struct hint want[HINTS_MAX];
	struct arena a = { NULL };
	size_t i, n = hints_wanted(dns->store, &a, dns->tld, want);

	for (i = 0; i < n; i++)
		dns_start(
		    dns, NULL, want[i].name, want[i].type, NULL, NULL, NULL);
	arena_free(&a);
}

/* With the first question: where hints begin, the keys that are on no way. */
static void
hints_go(struct dns *dns)
{
	if (dns->hinted) {
		dns_ahead(dns, dns->tld, TYPE_DS);
		dns_start(dns, NULL, dns->tld, TYPE_DNSKEY, NULL, NULL, NULL);
	}
	hints_learn(dns);
}

/* A lookup for hints, or with them, is over. */
static void
hints_learnt(const struct dns_query *q)
{
	if (q->result->state != DANEVIRKE_SECURE)
		return;
	if (q->type == TYPE_NS) /* the servers' names: now where these are */
		hints_learn(q->dns);
	q->dns->led |= q->type == TYPE_DNSKEY;
}

/* There was no answer in time, and there may be nobody to give one. */
static bool
hints_silent(const struct dns_query *q)
{
	return !q->finished && q->done != NULL && q->dns->hinted &&
	    !q->dns->led;
}

/* ------------------------------------------------------------- answers */

/* From libunbound, perhaps before ub_resolve_event() has returned. */
static void
on_answer(void *arg, int rcode, void *packet, int len, int sec, char *why_bogus,
    int ratelimited)
{
	struct dns_query *q = arg;
	const struct conf *conf = q->dns->conf;
	char buf[WHY_LEN];

	(void)ratelimited;
	dns_parse(q->arena, q->name, q->type, rcode, packet,
	    len > 0 ? (size_t)len : 0, sec, root_explain(conf, why_bogus, buf),
	    conf->limits.aliases, q->result);
	if (q->type == TYPE_TXT && q->result->ttl < TXT_TTL)
		q->result->ttl = TXT_TTL;
	q->finished = true;
	if (hints_doubted(q)) {
		event_active(q->event, EV_TIMEOUT, 1);
		return;
	}
	if (q->result->state == DANEVIRKE_SECURE && q->ctx == q->dns->ctx)
		root_proven(q->dns);
	if (root_hold(q, packet, (size_t)len))
		return; /* its time limit still runs */
	if (q->result->state != DANEVIRKE_ERROR && q->type != TYPE_DNSKEY)
		store_put(q->dns->store, q->name, q->type, sec, packet,
		    (size_t)len, q->result->ttl);
	event_active(q->event, EV_TIMEOUT, 1);
}

/* An answer that another process has validated; true: there was one. */
static bool
from_store(struct dns_query *q)
{
	struct store_hit hit;

	if (!store_get(q->dns->store, q->arena, q->name, q->type, &hit))
		return false;
	dns_parse(q->arena, q->name, q->type, 0, hit.packet, hit.len, hit.sec,
	    NULL, q->dns->conf->limits.aliases, q->result);
	if (q->result->state == DANEVIRKE_ERROR)
		return false;
	if (hit.ttl < q->result->ttl)
		q->result->ttl = hit.ttl;
	q->finished = true;
	event_active(q->event, EV_TIMEOUT, 1);
	return true;
}

/* From the loop: there is a result, or the time is over. */
static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct dns_query *q = arg;
	const struct dns_result *result = q->result;
	dns_done *done = q->done;
	void *done_arg = q->arg;
	char late[64], doubt[WHY_LEN];

	(void)fd;
	(void)what;
	if ((q->again || hints_silent(q)) && query_again(q))
		return;
	if (!q->finished) {
		snprintf(late, sizeof late, "no answer within %u s",
		    q->dns->conf->query_timeout);
		dns_fail(q->arena, q->name, late, q->result);
	} else if (q->held)
		dns_doubt(
		    q->arena, root_doubt(q->dns->conf, NULL, doubt), q->result);
	if (done == NULL && q->dns->refresh == NULL)
		hints_learnt(q);
	else if (done == NULL)
		refresh_asked(q->dns->refresh, q->name, q->type,
		    result->state != DANEVIRKE_ERROR ? result->ttl : 0);
	else if (result->state != DANEVIRKE_ERROR)
		refresh_answered(
		    q->dns->refresh, q->name, q->type, result->ttl);
	/* done() may free the arena and cancel anything: nothing of ours is
	 * touched behind it */
	dns_cancel(q);
	if (done != NULL)
		done(done_arg, result);
}

/* name: what is asked for first, or NULL */
static int
dns_ready(struct dns *dns, const char *name, struct danevirke_error *err)
{
	const char *hints = NULL;

	if (dns->ctx != NULL)
		return DANEVIRKE_OK;
	if (name != NULL && dns->short_lived && dns->store != NULL &&
	    dns->astray == NULL &&
	    (name = hints_tld(dns->conf, name)) != NULL &&
	    (dns->tld = arena_str(&dns->own, name)) != NULL)
		hints = hints_text(dns->store, &dns->own, dns->tld);
	if (hints != NULL)
		dns->ctx = context_new(
		    dns->conf, dns->base, dns->many, hints, NULL);
	dns->hinted = dns->ctx != NULL;
	if (dns->ctx == NULL)
		dns->ctx = context_new(
		    dns->conf, dns->base, dns->many, NULL, err);
	return dns->ctx != NULL ? DANEVIRKE_OK : DANEVIRKE_EDNS;
}

/* Nobody waits for it. */
static void
on_nothing(void *arg, int rcode, void *packet, int len, int sec,
    char *why_bogus, int ratelimited)
{
	(void)arg, (void)rcode, (void)packet, (void)len, (void)sec;
	(void)why_bogus, (void)ratelimited;
}

/* The library reads the root's hints and keys for the first question, which is
 * one that it answers by itself: nobody must be asked for it (RFC 7686 2). */
int
dns_open(struct dns *dns, struct danevirke_error *err)
{
	int code, rc, id;

	if ((code = dns_ready(dns, NULL, err)) != DANEVIRKE_OK)
		return code;
	if ((rc = ub_resolve_event(dns->ctx, "resolver.onion", TYPE_A, CLASS_IN,
		 NULL, on_nothing, &id)) != 0)
		return fail(
		    err, DANEVIRKE_EDNS, "resolver: %s", ub_strerror(rc));
	return DANEVIRKE_OK;
}

static struct dns_query *
query_new(struct dns *dns, struct arena *arena, const char *name, int type,
    dns_done *done, void *arg, struct danevirke_error *err)
{
	struct timeval limit = { dns->conf->query_timeout, 0 };
	struct dns_query *q;
	struct wire wire;

	if (!wire_parse(name, &wire)) {
		fail(err, DANEVIRKE_EINVAL, "\"%.300s\" is not a domain name",
		    name);
		return NULL;
	}
	if ((q = calloc(1, sizeof *q)) == NULL) {
		fail(err, DANEVIRKE_ENOMEM, "out of memory");
		return NULL;
	}
	q->dns = dns;
	q->arena = arena != NULL ? arena : &q->own;
	q->type = type;
	q->done = done;
	q->arg = arg;
	LIST_INSERT_HEAD(&dns->queries, q, entry);
	/* D14: what goes out is the name and nothing but the name */
	q->name = strdup(name);
	q->result = arena_alloc(q->arena, sizeof *q->result);
	q->event = evtimer_new(dns->base, on_event, q);
	if (q->name == NULL || q->result == NULL || q->event == NULL ||
	    evtimer_add(q->event, &limit) != 0) {
		query_free(q);
		fail(err, DANEVIRKE_ENOMEM, "out of memory");
		return NULL;
	}
	return q;
}

struct dns_query *
dns_stored(struct dns *dns, struct arena *arena, const char *name, int type,
    dns_done *done, void *arg, struct danevirke_error *err)
{
	struct dns_query *q;

	q = query_new(dns, arena, name, type, done, arg, err);
	if (q == NULL || from_store(q))
		return q;
	query_free(q);
	fail(err, DANEVIRKE_EDNS, "%.300s: not in the store", name);
	return NULL;
}

static int
query_ask(struct dns_query *q, struct danevirke_error *err)
{
	int rc;

	q->ctx = q->dns->ctx; /* it may be answered at once */
	rc = ub_resolve_event(
	    q->ctx, q->name, q->type, CLASS_IN, q, on_answer, &q->id);
	if (rc != 0)
		return fail(
		    err, DANEVIRKE_EDNS, "resolver: %s", ub_strerror(rc));
	q->asked = true;
	return DANEVIRKE_OK;
}

/* With each lookup until it has succeeded: a failure is not for ever. */
static void
root_ask(struct dns *dns)
{
	struct dns_query *q;

	if (dns->proven || dns->root != NULL)
		return;
	q = query_new(dns, &dns->keys, ".", TYPE_DNSKEY, on_root, dns, NULL);
	dns->root = q; /* it may be answered before query_ask() is back */
	if (q != NULL && query_ask(q, NULL) != DANEVIRKE_OK) {
		dns->root = NULL;
		query_free(q);
		arena_free(&dns->keys);
	}
	if (dns->root == NULL)
		snprintf(dns->doubt, sizeof dns->doubt,
		    "insecure, but the root's keys could not be asked for");
}

/* Once, without hints, and with all the time that there is for one lookup.
 * False: it is an ERROR. */
static bool
query_again(struct dns_query *q)
{
	struct dns *dns = q->dns;
	struct timeval limit = { dns->conf->query_timeout, 0 };
	bool finished = q->finished;

	if (!finished)
		ub_cancel(q->ctx, q->id);
	q->again = q->asked = q->finished = false;
	if (dns->hinted)
		hints_drop(dns, q);
	if (dns_ready(dns, NULL, NULL) == DANEVIRKE_OK &&
	    evtimer_add(q->event, &limit) == 0) {
		if (q != dns->root)
			root_ask(dns);
		if (query_ask(q, NULL) == DANEVIRKE_OK)
			return true;
	}
	q->finished = finished;
	if (finished)
		dns_doubt(q->arena, "it could not be asked again", q->result);
	return false;
}

struct dns_query *
dns_start(struct dns *dns, struct arena *arena, const char *name, int type,
    dns_done *done, void *arg, struct danevirke_error *err)
{
	struct dns_query *q;
	bool first = dns->ctx == NULL;

	q = query_new(dns, arena, name, type, done, arg, err);
	if (q == NULL)
		return NULL;
	if (done != NULL && from_store(q)) /* needs no resolver */
		return q;
	if (dns_ready(dns, name, err) == DANEVIRKE_OK) {
		root_ask(dns);
		if (query_ask(q, err) == DANEVIRKE_OK) {
			if (first && dns->tld != NULL)
				hints_go(dns);
			return q;
		}
	}
	query_free(q);
	return NULL;
}

bool
dns_asked(const struct dns_query *q)
{
	return q->asked && !q->finished;
}

/* The library asks once for all who want the same. */
void
dns_ahead(struct dns *dns, const char *name, int type)
{
	int id;

	if (dns->ctx != NULL)
		ub_resolve_event(
		    dns->ctx, name, type, CLASS_IN, NULL, on_nothing, &id);
}

/* What is used has expired: once more, for nobody in particular. */
static void
dns_refresh(void *arg, const char *name, int type)
{
	struct dns *dns = arg;

	if (dns_start(dns, NULL, name, type, NULL, NULL, NULL) == NULL)
		refresh_asked(dns->refresh, name, type, 0);
}

/* SPDX-License-Identifier: ISC */
/*
 * dns.c - one lookup through libunbound, on the caller's loop
 *
 * The only file that talks to the network.  libunbound recurses (or asks the
 * configured forwarders), validates from the configured trust anchor (D05)
 * and hands over a packet and a state; packet.c makes a dns_result of them.
 *
 * libunbound may call back from inside ub_resolve_event(), and must not be
 * entered again from its own callback.  So the callback only notes the result
 * and wakes the lookup's event; done() always runs from the loop.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unbound.h>
#include <unbound-event.h>
#include <unistd.h>

#include "module.h"
#include "packet.h"

#define CLASS_IN 1
#define WHY_LEN 640

struct dns {
	const struct conf *conf;
	struct event_base *base;
	struct store *store;       /* or NULL */
	struct refresh *refresh;   /* or NULL */
	struct ub_ctx *ctx;        /* NULL: not yet made */
	struct dns_query *queries; /* those under way */
	bool many;
};

struct dns_query {
	struct dns *dns;
	struct dns_query *next, **prev;
	struct arena *arena;
	struct arena own; /* of a lookup for refresh.c: nobody waits for it */
	char *name;
	int type;
	int id;     /* libunbound's */
	bool asked; /* id is valid */
	dns_done *done;
	void *arg;
	struct event *event; /* time limit, then delivery */
	struct dns_result *result;
	bool finished; /* result is filled */
};

/* ------------------------------------------------------- the resolver */

struct option {
	const char *name, *value;
};

static const struct option options[] = {
	{ "module-config:", "validator iterator" },
	/* what must hold whatever the library's default becomes */
	{ "val-permissive-mode:", "no" },
	{ "val-clean-additional:", "yes" },
	{ "val-log-level:", "2" }, /* fills why_bogus (P04) */
	{ "ignore-cd-flag:", "yes" },
	{ "harden-glue:", "yes" },
	{ "harden-dnssec-stripped:", "yes" },
	{ "harden-below-nxdomain:", "yes" },
	{ "harden-algo-downgrade:", "no" }, /* RFC 6840 5.11 */
	{ "harden-referral-path:", "no" },
	{ "serve-expired:", "no" }, /* D15 */
	{ "prefetch:", "no" },
	/* a zone's keys on the way down, not when all else has come */
	{ "prefetch-key:", "yes" },
	/* names whose answer would say "insecure" about itself */
	{ "root-key-sentinel:", "no" },
	{ "trust-anchor-signaling:", "no" },
	/* D14: nothing is answered from built-in tables; the zones that this
	 * does not cover are removed by hand */
	{ "unblock-lan-zones:", "yes" },
	{ "insecure-lan-zones:", "no" },
	/* It costs a round trip for AAAA and three for TLSA records, to hide
	 * names from the domain's own servers, who must learn them anyway. */
	{ "qname-minimisation:", "no" },
	{ "edns-buffer-size:", "1232" },
	{ "do-udp:", "yes" },
	{ "do-tcp:", "yes" },
	{ "minimal-responses:", "no" }, /* the SOA of a denial */
	{ "rrset-roundrobin:", "no" },
	/* D15: TTLs capped, failures kept for seconds */
	{ "cache-max-ttl:", "86400" },
	{ "cache-min-ttl:", "0" },
	{ "cache-max-negative-ttl:", "3600" },
	{ "val-bogus-ttl:", "5" },
	{ "infra-host-ttl:", "60" },
	/* light: most processes live for one message */
	{ "target-fetch-policy:", "0 0 0 0 0" },
	{ "outgoing-num-tcp:", "8" },
	{ "msg-cache-size:", "2m" },
	{ "rrset-cache-size:", "4m" },
	{ "key-cache-size:", "1m" },
	{ "neg-cache-size:", "512k" },
	{ "infra-cache-numhosts:", "2000" },
};

/* RFC 6761 and 8375 names that libunbound answers by itself.  "onion" stays:
 * it must never be asked for (RFC 7686 2). */
static const char *const builtin[] = { "localhost.", "test.", "invalid.",
	"home.arpa.", "127.in-addr.arpa." };

/* 127.0.0.0/8 or ::1, as "address" or "address@port". */
static bool
is_loopback(const char *addr)
{
	size_t len = strcspn(addr, "@");

	return strncmp(addr, "127.", 4) == 0 ||
	    (len == 3 && strncmp(addr, "::1", 3) == 0);
}

static bool
any_loopback(char *const *addr, size_t n)
{
	for (; n > 0; addr++, n--)
		if (is_loopback(*addr))
			return true;
	return false;
}

/* Does a root hint point to this machine?  A zone file of a few dozen lines;
 * the addresses are the last words of their lines. */
static int
hints_loopback(const char *path, bool *loopback, struct danevirke_error *err)
{
	char line[1024], *word, *last;
	FILE *f;

	if ((f = fopen(path, "re")) == NULL)
		return fail(err, DANEVIRKE_ECONF,
		    "%s: resolver.root_hints: "
		    "%m",
		    path);
	while (fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, ";\r\n")] = '\0';
		for (word = strtok_r(line, " \t", &last); word != NULL;
		     word = strtok_r(NULL, " \t", &last))
			if (is_loopback(word))
				*loopback = true;
	}
	fclose(f);
	return DANEVIRKE_OK;
}

static int
set(struct ub_ctx *ctx, const char *name, const char *value,
    struct danevirke_error *err)
{
	int rc;

	if ((rc = ub_ctx_set_option(ctx, name, value)) != 0)
		return fail(err, DANEVIRKE_EDNS, "resolver: option %s %s: %s",
		    name, value, ub_strerror(rc));
	return DANEVIRKE_OK;
}

/* The library reads forwarders of single zones only from a file. */
static int
set_text(struct ub_ctx *ctx, const char *text, size_t len,
    struct danevirke_error *err)
{
	char path[64];
	int fd, rc;

	if ((fd = memfd_create("danevirke", MFD_CLOEXEC)) == -1)
		return fail(err, DANEVIRKE_ENOMEM, "resolver: %m");
	if (write(fd, text, len) != (ssize_t)len) {
		close(fd);
		return fail(err, DANEVIRKE_ENOMEM, "resolver: out of memory");
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	rc = ub_ctx_config(ctx, path);
	close(fd);
	if (rc != 0)
		return fail(err, DANEVIRKE_EDNS,
		    "resolver.zones: %s "
		    "(is /proc there?)",
		    ub_strerror(rc));
	return DANEVIRKE_OK;
}

/* What may stand in the text: conf.c lets nothing else through, and here it
 * would be syntax. */
static bool
safe(const char *s)
{
	return *s != '\0' &&
	    strspn(s,
		"abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:@%") == strlen(s);
}

static int
set_zone(
    struct ub_ctx *ctx, const struct conf_zone *z, struct danevirke_error *err)
{
	struct arena arena = { NULL };
	char *text;
	size_t i;
	int code = DANEVIRKE_OK;

	/* D01: the only way to be outside DNSSEC without a proof */
	if (z->insecure)
		code = set(ctx, "domain-insecure:", z->name, err);
	if (code != DANEVIRKE_OK || z->n_forward == 0)
		return code;
	if (!safe(z->name))
		return fail(err, DANEVIRKE_EDNS,
		    "resolver.zones: \"%s\": "
		    "want a domain name",
		    z->name);
	text = arena_printf(&arena, "forward-zone:\n name: \"%s\"\n", z->name);
	for (i = 0; i < z->n_forward && text != NULL; i++) {
		if (!safe(z->forward[i])) {
			arena_free(&arena);
			return fail(err, DANEVIRKE_EDNS,
			    "resolver.zones: "
			    "\"%s\": want address@port",
			    z->forward[i]);
		}
		text = arena_printf(
		    &arena, "%s forward-addr: \"%s\"\n", text, z->forward[i]);
	}
	if (text == NULL)
		code = fail(err, DANEVIRKE_ENOMEM, "out of memory");
	else
		code = set_text(ctx, text, strlen(text), err);
	arena_free(&arena);
	return code;
}

static int
set_servers(
    struct ub_ctx *ctx, const struct conf *conf, struct danevirke_error *err)
{
	bool loopback = any_loopback(conf->forward, conf->n_forward);
	size_t i;
	int code, rc;

	for (i = 0; i < conf->n_forward; i++)
		if ((rc = ub_ctx_set_fwd(ctx, conf->forward[i])) != 0)
			return fail(err, DANEVIRKE_EDNS,
			    "resolver.forward: "
			    "\"%s\": %s",
			    conf->forward[i], ub_strerror(rc));
	for (i = 0; i < conf->n_zones; i++) {
		loopback |= any_loopback(
		    conf->zones[i].forward, conf->zones[i].n_forward);
		if ((code = set_zone(ctx, &conf->zones[i], err)) != 0)
			return code;
	}
	if (conf->root_hints != NULL) {
		if ((code = hints_loopback(conf->root_hints, &loopback, err)) !=
			0 ||
		    (code = set(ctx, "root-hints:", conf->root_hints, err)) !=
			0)
			return code;
	}
	/* A stranger's NS record must not make us ask this machine. */
	return set(
	    ctx, "do-not-query-localhost:", loopback ? "no" : "yes", err);
}

static int
configure(struct ub_ctx *ctx, const struct conf *conf, bool many,
    struct danevirke_error *err)
{
	const struct option *o;
	size_t i, n;
	int code, rc;

	/* sockets at a time: what finds none waits for a silent server's */
	if ((code = set(ctx, "outgoing-range:", many ? "512" : "64", err)) != 0)
		return code;
	for (o = options; o < options + sizeof options / sizeof *o; o++)
		if ((code = set(ctx, o->name, o->value, err)) != 0)
			return code;
	/* D05: once more, for the file may have changed since open() read it,
	 * and the library takes an empty one for "all is insecure" */
	if ((code = conf_anchor(conf->trust_anchor, &n, err)) != 0)
		return code;
	if ((rc = ub_ctx_add_ta_file(ctx, conf->trust_anchor)) != 0)
		return fail(err, DANEVIRKE_EANCHOR, "%s: %s",
		    conf->trust_anchor, ub_strerror(rc));
	if ((code = set_servers(ctx, conf, err)) != 0)
		return code;
	/* The first of these also finalises the context. */
	for (i = 0; i < sizeof builtin / sizeof *builtin; i++)
		if ((rc = ub_ctx_zone_remove(ctx, builtin[i])) != 0)
			return fail(err, DANEVIRKE_EDNS,
			    "resolver: %s "
			    "(trust anchor %s)",
			    ub_strerror(rc), conf->trust_anchor);
	return DANEVIRKE_OK;
}

static int
ready(struct dns *dns, struct danevirke_error *err)
{
	int code;

	if (dns->ctx != NULL)
		return DANEVIRKE_OK;
	if ((dns->ctx = ub_ctx_create_event(dns->base)) == NULL)
		return fail(err, DANEVIRKE_EDNS,
		    "resolver: cannot be made: "
		    "out of memory or descriptors");
	/* before anything that may have something to say: no stderr */
	ub_ctx_debugout(dns->ctx, NULL);
	if ((code = configure(dns->ctx, dns->conf, dns->many, err)) !=
	    DANEVIRKE_OK) {
		ub_ctx_delete(dns->ctx);
		dns->ctx = NULL;
	}
	return code;
}

static void
on_opened(void *arg, int rcode, void *packet, int len, int sec, char *why_bogus,
    int ratelimited)
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

	if ((code = ready(dns, err)) != DANEVIRKE_OK)
		return code;
	if ((rc = ub_resolve_event(dns->ctx, "resolver.onion", TYPE_A, CLASS_IN,
		 NULL, on_opened, &id)) != 0)
		return fail(
		    err, DANEVIRKE_EDNS, "resolver: %s", ub_strerror(rc));
	return DANEVIRKE_OK;
}

/* -------------------------------------------------------- why it failed */

/* D05: trouble with the root's own keys is trouble with our anchor, or with
 * our clock; the library says neither. */
static bool
about_root(const char *why)
{
	return strstr(why, "for trust anchor .") != NULL ||
	    strstr(why, "key for validation . ") != NULL;
}

static bool
about_dates(const char *why)
{
	return strstr(why, "signature expired") != NULL ||
	    strstr(why, "signature before inception") != NULL;
}

/* No keys, or keys without signatures: somebody on the way takes them out. */
static bool
about_stripping(const char *why)
{
	return strstr(why, "no DNSKEY rrset") != NULL ||
	    strstr(why, "no signatures") != NULL ||
	    strstr(why, "signature missing") != NULL;
}

static const char *
explain(const struct dns *dns, const char *why, char buf[WHY_LEN])
{
	char now[32] = "?";
	time_t t = time(NULL);
	struct tm tm;

	if (why == NULL || !about_root(why))
		return why;
	if (about_dates(why)) {
		if (gmtime_r(&t, &tm) != NULL)
			strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", &tm);
		snprintf(buf, WHY_LEN, "%.300s; is the clock right? now = %s",
		    why, now);
	} else if (about_stripping(why))
		snprintf(buf, WHY_LEN,
		    "%.300s; no signed root key came to "
		    "be compared with %.250s",
		    why, dns->conf->trust_anchor);
	else
		snprintf(buf, WHY_LEN,
		    "%.300s; the root's keys do not match "
		    "%.250s",
		    why, dns->conf->trust_anchor);
	return buf;
}

/* ------------------------------------------------------------- lookups */

static void refresh(void *, const char *, int);

struct dns *
dns_new(const struct conf *conf, struct event_base *base, struct store *store,
    unsigned flags, struct danevirke_error *err)
{
	struct dns *dns;

	if ((dns = calloc(1, sizeof *dns)) == NULL ||
	    ((flags & DNS_KEEP_FRESH) &&
		(dns->refresh = refresh_new(base, refresh, dns)) == NULL)) {
		free(dns);
		fail(err, DANEVIRKE_ENOMEM, "out of memory");
		return NULL;
	}
	dns->conf = conf;
	dns->base = base;
	dns->store = store;
	dns->many = (flags & DNS_MANY) != 0;
	return dns;
}

static void
query_free(struct dns_query *q)
{
	*q->prev = q->next;
	if (q->next != NULL)
		q->next->prev = q->prev;
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
		ub_cancel(q->dns->ctx, q->id);
	query_free(q);
}

void
dns_free(struct dns *dns)
{
	if (dns == NULL)
		return;
	while (dns->queries != NULL)
		dns_cancel(dns->queries);
	refresh_free(dns->refresh);
	ub_ctx_delete(dns->ctx);
	free(dns);
}

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
	    len > 0 ? (size_t)len : 0, sec, explain(q->dns, why_bogus, buf),
	    conf->limits.aliases, q->result);
	if (q->result->state != DANEVIRKE_ERROR)
		store_put(q->dns->store, q->name, q->type, sec, packet,
		    (size_t)len, q->result->ttl);
	q->finished = true;
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
	char late[64];

	(void)fd;
	(void)what;
	if (!q->finished) {
		snprintf(late, sizeof late, "no answer within %u s",
		    q->dns->conf->query_timeout);
		dns_fail(q->arena, q->name, late, q->result);
	}
	if (done == NULL)
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
	if ((q->next = dns->queries) != NULL)
		q->next->prev = &q->next;
	q->prev = &dns->queries;
	dns->queries = q;
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

struct dns_query *
dns_start(struct dns *dns, struct arena *arena, const char *name, int type,
    dns_done *done, void *arg, struct danevirke_error *err)
{
	struct dns_query *q;
	int rc;

	q = query_new(dns, arena, name, type, done, arg, err);
	if (q == NULL)
		return NULL;
	if (done != NULL && from_store(q)) /* needs no resolver */
		return q;
	if (ready(dns, err) != DANEVIRKE_OK) {
		query_free(q);
		return NULL;
	}
	rc = ub_resolve_event(
	    dns->ctx, name, type, CLASS_IN, q, on_answer, &q->id);
	if (rc != 0) {
		query_free(q);
		fail(err, DANEVIRKE_EDNS, "resolver: %s", ub_strerror(rc));
		return NULL;
	}
	q->asked = true;
	return q;
}

/* What is used has expired: once more, for nobody in particular. */
static void
refresh(void *arg, const char *name, int type)
{
	struct dns *dns = arg;

	if (dns_start(dns, NULL, name, type, NULL, NULL, NULL) == NULL)
		refresh_asked(dns->refresh, name, type, 0);
}

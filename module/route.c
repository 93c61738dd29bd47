/* SPDX-License-Identifier: ISC */
/*
 * One question in flight: asks what policy.c wants until it wants no more.
 * MX (and its aliases) first, then all hosts in parallel, each its addresses,
 * perhaps its own CNAME, its TLSA records.  What has not been answered when
 * the time is over counts as ERROR, so that decided hosts are still used.  A
 * question for the store alone (DANEVIRKE_STORED) is all there, or fails.
 */
#include <sys/random.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h"
#include "packet.h"

struct lookup {
	struct route *route;
	struct host_facts *host; /* NULL: the MX lookup */
	const struct dns_result **slot;
	struct dns_query *dns; /* NULL: not under way */
	struct lookup *next;
};

struct route {
	const struct conf *conf;
	struct dns *dns;
	struct event_base *base;
	struct arena arena;
	struct facts facts;
	struct lookup *lookups; /* all there ever were */
	size_t pending;
	struct sts_query *sts;    /* NULL: not under way */
	struct dns_query *tlsrpt; /* likewise; nobody waits for it (K01) */
	struct event *timer;      /* time limit; start; finish */
	bool expired, nomem;
	bool stored, missing; /* nobody may be asked; not all is there */
	bool leave;     /* for recall(): only DNS and configuration decide */
	uint64_t until; /* when the first of the results ends (D15) */
	danevirke_log *log;
	void *log_arg;
	danevirke_done *done;
	void *arg;
};

static uint32_t
random_tie(void *arg)
{
	uint32_t r = 0;

	(void)arg;
	if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r)
		r = (uint32_t)random(); /* order only: no secret */
	return r;
}

/* RFC 4343: "[192.0.2.1]", "[IPv6:2001:db8::1]", bare for a relay host.  The
 * address as text, or false. */
static bool
literal_text(const char *name, bool bare, char *buf, size_t len)
{
	uint8_t ip[16];
	size_t n = strlen(name);
	int family;

	if (n > 2 && name[0] == '[' && name[n - 1] == ']') {
		name++;
		n -= 2;
		if (strncasecmp(name, "IPv6:", 5) == 0) {
			name += 5;
			n -= 5;
		}
	} else if (!bare)
		return false;
	if (n >= INET6_ADDRSTRLEN || n >= len)
		return false;
	memcpy(buf, name, n);
	buf[n] = '\0';
	family = strchr(buf, ':') != NULL ? AF_INET6 : AF_INET;
	if (inet_pton(family, buf, ip) != 1)
		return false;
	return inet_ntop(family, ip, buf, (socklen_t)len) != NULL;
}

/* Addresses of local interfaces, for M10. */
static bool
local_addrs(struct route *q)
{
	return q->conf->self_set ||
	    local_addresses(&q->arena, &q->facts.local, &q->facts.n_local);
}

static void
query_free(struct route *q)
{
	struct lookup *l;

	for (l = q->lookups; l != NULL; l = l->next)
		if (l->dns != NULL)
			dns_cancel(l->dns);
	sts_cancel(q->sts);
	if (q->tlsrpt != NULL)
		dns_cancel(q->tlsrpt);
	if (q->timer != NULL)
		event_free(q->timer);
	arena_free(&q->arena);
	free(q);
}

void
route_cancel(struct route *q)
{
	if (q != NULL)
		query_free(q);
}

/* Hosts of one preference change places each time (M02). */
static bool
route_may_leave(const struct route *q, const struct danevirke_answer *a)
{
	size_t i;

	if (!q->leave || q->expired || q->facts.failed != NULL ||
	    a->outcome != DANEVIRKE_ROUTE)
		return false;
	for (i = 1; i < q->facts.n_hosts; i++)
		if (q->facts.hosts[i].preference ==
		    q->facts.hosts[i - 1].preference)
			return false;
	return true;
}

/* All is gathered: decide, hand over, be gone. */
static void
route_finish(struct route *q)
{
	struct danevirke_answer *draft = NULL, *answer = NULL;
	danevirke_done *done = q->done;
	struct danevirke_error err;
	uint64_t now = store_now();
	void *arg = q->arg;

	if (!q->nomem && !q->missing)
		draft = policy_decide(&q->arena, &q->facts);
	if (draft != NULL && now != UINT64_MAX) {
		/* D15: a TTL also runs while other lookups are waited for */
		if (q->until < now + draft->ttl)
			draft->ttl = q->until > now ?
			    (uint32_t)(q->until - now) :
			    0;
		draft->expires = now + draft->ttl;
		answer = answer_make(draft);
	}
	if (q->missing)
		fail(&err, DANEVIRKE_EDNS, "%s: not all of it is in the store",
		    q->facts.domain);
	else if (answer == NULL)
		fail(&err, DANEVIRKE_ENOMEM, "%s: out of memory",
		    q->facts.domain);
	else if (route_may_leave(q, answer))
		whole_put(&q->facts, answer);
	query_free(q);
	done(arg, answer, answer == NULL ? &err : NULL);
}

/* Called whenever something may have become complete, from the loop only.
 * H02: a policy that has nothing to decide is not waited for, nor believed if it
 * came first. */
static void
route_advance(struct route *q)
{
	struct facts *f = &q->facts;

	if (q->pending > 0)
		return;
	if (f->sts_on && !q->nomem)
		f->sts_on = policy_needs_sts(&q->arena, f);
	if (f->sts_on && f->sts == NULL && !q->nomem) {
		if (q->sts != NULL)
			return;
		q->missing |= q->stored;
	}
	route_finish(q);
}

static void
on_sts(void *arg, const struct sts_result *r)
{
	struct route *q = arg;

	q->sts = NULL;
	q->facts.sts = r;
	route_advance(q);
}

/* Beside the lookups of the hosts, which may turn out to need it. */
static void
sts_go(struct route *q)
{
	if (!policy_may_need_sts(&q->facts) || q->stored || q->expired)
		return;
	q->sts = sts_start(
	    &q->conf->sts, q->base, &q->arena, q->facts.domain, on_sts, q);
	q->nomem |= q->sts == NULL;
}

/* The time is over. */
static void
sts_expire(struct route *q, const char *late)
{
	struct sts_result *r;

	if (q->sts == NULL)
		return;
	sts_cancel(q->sts);
	q->sts = NULL;
	if ((r = arena_alloc(&q->arena, sizeof *r)) == NULL)
		return; /* unanswered is as good as ERROR */
	sts_fail(&q->arena, late, r);
	q->facts.sts = r;
}

static void
on_tlsrpt(void *arg, const struct dns_result *r)
{
	struct route *q = arg;

	q->tlsrpt = NULL;
	q->facts.tlsrpt = r;
}

/* K01: beside all others.  What fails, or is not there when they are, is no
 * record. */
static void
tlsrpt_go(struct route *q)
{
	struct danevirke_error err;
	struct wire w;
	char *name;

	if (q->facts.profile->pub.tlsrpt == NULL ||
	    q->facts.level == DANEVIRKE_LEVEL_OFF)
		return;
	name = arena_printf(&q->arena, "_smtp._tls.%s", q->facts.domain);
	if (name != NULL && wire_parse(name, &w))
		q->tlsrpt = (q->stored ? dns_stored : dns_start)(
		    q->dns, &q->arena, name, TYPE_TXT, on_tlsrpt, q, &err);
}

static void lookup_done(void *, const struct dns_result *);

/* A lookup that cannot be made is an ERROR with a reason. */
static const struct dns_result *
failed_result(struct route *q, const char *name, const char *why)
{
	struct dns_result *r = arena_alloc(&q->arena, sizeof *r);
	const char **names = arena_alloc(&q->arena, sizeof *names);

	if (r == NULL || names == NULL) {
		q->nomem = true;
		return NULL;
	}
	names[0] = name;
	r->name = names;
	r->ttl = 1;
	r->why = arena_str(&q->arena, why);
	if (r->why == NULL)
		q->nomem = true;
	q->leave = false;
	return r;
}

static void
lookup_start(struct route *q, struct host_facts *h, const struct want *w)
{
	struct danevirke_error err = { 0, "" };
	struct lookup *l;
	char late[64];

	if (w->name == NULL ||
	    (l = arena_alloc(&q->arena, sizeof *l)) == NULL) {
		q->nomem = true;
		return;
	}
	if (q->expired) {
		snprintf(late, sizeof late, "no answer within %u s",
		    q->conf->timeout);
		*w->slot = failed_result(q, w->name, late);
		return;
	}
	l->route = q;
	l->host = h;
	l->slot = w->slot;
	l->dns = (q->stored ? dns_stored : dns_start)(
	    q->dns, &q->arena, w->name, w->type, lookup_done, l, &err);
	if (l->dns == NULL && q->stored && err.code == DANEVIRKE_EDNS) {
		q->missing = true;
		return;
	}
	if (l->dns == NULL) {
		*w->slot = failed_result(q, w->name, err.text);
		return;
	}
	l->next = q->lookups;
	q->lookups = l;
	q->pending++;
}

/* What will be wanted behind the addresses, as soon as these are asked for. */
static void
host_guess(struct route *q, const struct host_facts *h)
{
	const struct lookup *l;
	const char *name;

	for (l = q->lookups; l != NULL; l = l->next)
		if (l->host == h && l->dns != NULL && dns_asked(l->dns))
			break;
	if (l != NULL && (name = policy_guess(&q->arena, &q->facts, h)) != NULL)
		dns_ahead(q->dns, name, TYPE_TLSA);
}

/* This host's next lookups; those that fail at once do not end the round. */
static void
host_go(struct route *q, struct host_facts *h)
{
	const struct lookup *l;
	struct want want[2];
	size_t i, n;

	for (l = q->lookups; l != NULL; l = l->next)
		if (l->host == h && l->dns != NULL)
			return; /* its other lookup is out */
	while (!q->nomem && !q->missing &&
	    (n = policy_next(&q->arena, &q->facts, h, want)) > 0) {
		size_t before = q->pending;

		for (i = 0; i < n; i++)
			lookup_start(q, h, &want[i]);
		if (n == 2)
			host_guess(q, h);
		if (q->pending > before)
			return;
	}
}

static void
hosts_go(struct route *q)
{
	size_t i;

	if (!policy_hosts(&q->arena, &q->facts, random_tie, NULL)) {
		q->nomem = true;
		return;
	}
	sts_go(q);
	for (i = 0; i < q->facts.n_hosts; i++)
		host_go(q, &q->facts.hosts[i]);
}

static void
lookup_done(void *arg, const struct dns_result *r)
{
	struct lookup *l = arg;
	struct route *q = l->route;
	uint64_t until = store_now() + r->ttl;

	*l->slot = r;
	l->dns = NULL;
	q->pending--;
	if (r->state == DANEVIRKE_ERROR)
		q->leave = false;
	else if (until < q->until)
		q->until = until;
	if (l->host == NULL)
		hosts_go(q);
	else
		host_go(q, l->host);
	route_advance(q);
}

/* The time is over: whatever is still out is an ERROR. */
static void
route_expire(struct route *q)
{
	struct lookup *l;
	char late[64];
	bool mx = false;
	size_t i;

	q->expired = true;
	snprintf(late, sizeof late, "no answer within %u s", q->conf->timeout);
	sts_expire(q, late);
	for (l = q->lookups; l != NULL; l = l->next) {
		if (l->dns == NULL)
			continue;
		dns_cancel(l->dns);
		l->dns = NULL;
		q->pending--;
		*l->slot = failed_result(q, q->facts.domain, late);
		mx |= l->host == NULL;
	}
	if (mx)
		hosts_go(q);
	for (i = 0; i < q->facts.n_hosts; i++)
		host_go(q, &q->facts.hosts[i]);
	route_advance(q);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	route_expire(arg);
}

/* The first run from the loop, so that done() never runs inside start(). */
static void
on_start(evutil_socket_t fd, short what, void *arg)
{
	struct route *q = arg;
	struct timeval limit = { q->conf->timeout, 0 };
	const struct want mx = { q->facts.domain, TYPE_MX, &q->facts.mx };

	(void)fd;
	(void)what;
	event_free(q->timer);
	q->timer = event_new(q->base, -1, 0, on_timer, q);
	if (q->timer == NULL || event_add(q->timer, &limit) == -1)
		q->nomem = true;
	else if (q->facts.failed != NULL)
		; /* nothing to look up */
	else if (q->facts.kind == DANEVIRKE_RELAY || q->facts.literal)
		hosts_go(q);
	else {
		tlsrpt_go(q);
		lookup_start(q, NULL, &mx);
		if (q->pending == 0) /* failed at once: D06 */
			hosts_go(q);
	}
	route_advance(q);
}

static void route_say(struct route *q, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
route_say(struct route *q, int level, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (q->log == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	q->log(q->log_arg, level, text);
}

/* Level of this question: the profile's, unless a rule says otherwise. */
static void
set_level(struct route *q, uint32_t flags)
{
	const struct conf_destination *expired = NULL;
	struct facts *f = &q->facts;

	if (flags & DANEVIRKE_TEST) {
		struct conf_profile *p = arena_alloc(&q->arena, sizeof *p);

		if (p == NULL) {
			q->nomem = true;
			return;
		}
		*p = *f->profile;
		p->insecure_mx = DANEVIRKE_AUTHENTICATE; /* the default: M04 */
		f->profile = p;
		f->level = DANEVIRKE_LEVEL_DANE;
		f->test = true;
		f->sts_on = q->conf->sts.server != NULL; /* L16 */
		return;
	}
	f->level = f->profile->pub.level;
	f->exception = conf_destination(q->conf, f->domain, f->now, &expired);
	if (f->exception != NULL) /* P01 */
		f->level = f->exception->level;
	q->leave = (flags & DANEVIRKE_LEAVE) != 0 &&
	    f->level != DANEVIRKE_LEVEL_OFF && f->exception == NULL &&
	    expired == NULL && f->profile->pub.tlsrpt == NULL &&
	    f->profile->pub.mta_sts != 1 && q->conf->special == NULL;
	if (expired != NULL)
		route_say(q, 4,
		    "destinations: the rule for %s ended on %s and is ignored",
		    expired->domain, expired->until);
	/* H06: there is nothing that it could decide under the others */
	f->sts_on = f->profile->pub.mta_sts == 1 &&
	    (f->level == DANEVIRKE_LEVEL_DANE ||
		f->level == DANEVIRKE_LEVEL_AUDIT);
}

/* Domain, literal or error. */
static int
set_name(struct route *q, const struct danevirke_question *question,
    struct danevirke_error *err)
{
	char name[NAME_LEN];
	int code;

	q->facts.literal = literal_text(question->name,
	    question->kind == DANEVIRKE_RELAY, name, sizeof name);
	if (!q->facts.literal &&
	    (code = name_to_ascii(question->name, name, sizeof name, err)) !=
		DANEVIRKE_OK)
		return code;
	if ((q->facts.domain = arena_str(&q->arena, name)) == NULL)
		return fail(err, DANEVIRKE_ENOMEM, "out of memory");
	return DANEVIRKE_OK;
}

/* The same for who starts a question and who recalls its answer, so that only
 * what would be left is taken. */
static int
set_question(struct route *q, const struct conf *conf,
    const struct danevirke_question *question, uint32_t flags,
    struct danevirke_error *err)
{
	int code;

	q->conf = conf;
	q->facts.conf = conf;
	q->facts.kind = question->kind;
	q->facts.port = question->port == 0 ? 25 : question->port;
	q->facts.now = time(NULL);
	q->facts.profile = conf_profile(conf, question->profile);
	if (q->facts.profile == NULL)
		return fail(err, DANEVIRKE_EINVAL, "profile \"%s\": not in %s",
		    question->profile, conf->settings.config);
	if ((code = set_name(q, question, err)) == DANEVIRKE_OK)
		set_level(q, flags);
	return code;
}

struct danevirke_answer *
route_recall(const struct conf *conf, const struct danevirke_question *question,
    uid_t uid)
{
	struct danevirke_answer *a = NULL;
	struct danevirke_error err;
	struct route q = { 0 };

	if (set_question(&q, conf, question, question->flags | DANEVIRKE_LEAVE,
		&err) == DANEVIRKE_OK &&
	    q.leave && local_addrs(&q))
		a = whole_get(&q.facts, uid);
	arena_free(&q.arena);
	return a;
}

struct route *
route_start(const struct conf *conf, struct dns *dns, struct event_base *base,
    const struct danevirke_question *question, danevirke_log *log,
    void *log_arg, danevirke_done *done, void *arg, struct danevirke_error *err)
{
	static const struct timeval now = { 0, 0 };
	struct route *q;

	if ((q = calloc(1, sizeof *q)) == NULL) {
		fail(err, DANEVIRKE_ENOMEM, "out of memory");
		return NULL;
	}
	q->dns = dns;
	q->base = base;
	q->log = log;
	q->log_arg = log_arg;
	q->done = done;
	q->arg = arg;
	q->until = UINT64_MAX;
	if (set_question(q, conf, question, question->flags, err) !=
	    DANEVIRKE_OK)
		goto bad;
	q->facts.sts_on &= q->facts.kind == DANEVIRKE_DOMAIN &&
	    !q->facts.literal && conf->sts.server != NULL; /* H02 */
	q->stored = (question->flags & DANEVIRKE_STORED) != 0;
	if (q->facts.level == DANEVIRKE_LEVEL_OFF &&
	    (question->flags & DANEVIRKE_NO_LOOKUP_IF_OFF))
		q->facts.failed = "level off, nothing looked up";
	if (!local_addrs(q)) {
		fail(err, DANEVIRKE_ENOMEM,
		    "addresses of local interfaces: cannot be read");
		goto bad;
	}
	q->timer = event_new(base, -1, 0, on_start, q);
	if (q->timer == NULL || event_add(q->timer, &now) == -1) {
		fail(err, DANEVIRKE_ENOMEM, "event loop: out of memory");
		goto bad;
	}
	return q;
bad:
	query_free(q);
	return NULL;
}

/* SPDX-License-Identifier: ISC */
/* From zones to their servers, and from them to replies; see stage.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <event2/event.h>
#include <unbound.h>
#include <unbound-event.h>

#include "library.h"
#include "stage.h"

struct servers {
	const struct exam_options *o;
	struct ub_ctx *ctx;
	LIST_HEAD(, servers_job) jobs;
	size_t n_talk;
};

static void servers_step(struct servers_job *);
static void talk_to_others(struct servers *, const struct servers_job *);

/* Nothing is validated here, and so no key or signature costs anything. */
static const struct library_option options[] = {
	{ "module-config:", "iterator" },
	{ "outgoing-range:", "64" },
	{ "outgoing-num-tcp:", "4" },
	{ "target-fetch-policy:", "0 0 0 0 0" },
	{ "msg-cache-size:", "1m" },
	{ "rrset-cache-size:", "2m" },
	{ NULL, NULL },
};

struct servers *
servers_new(const struct exam_options *o)
{
	const struct danevirke_settings *t = o->cli->dv->settings(o->engine);
	struct servers *s = calloc(1, sizeof *s);

	if (s != NULL) {
		s->o = o;
		s->ctx = library_new(t, o->base, options);
	}
	if (s != NULL && s->ctx != NULL)
		return s;
	free(s);
	cli_error(o->cli, "the resolver library refused to start");
	return NULL;
}

void
servers_free(struct servers *s)
{
	if (s == NULL)
		return;
	ub_ctx_delete(s->ctx);
	free(s);
}

/* ------------------------------------------------------- their addresses */

static void
server_add(struct servers_job *job, struct group *g, struct ns *ns,
    const struct danevirke_addr *addr)
{
	struct server *s;

	if (g->n_server == SERVERS_MAX ||
	    job->n_queue == sizeof job->queue / sizeof *job->queue) {
		job->cut = true;
		return;
	}
	if ((s = arena_alloc(&job->arena, sizeof *s)) == NULL) {
		job->report->no_memory = true;
		return;
	}
	s->job = job;
	s->group = g;
	s->ns = ns;
	s->addr = addr;
	g->server[g->n_server++] = s;
	job->queue[job->n_queue++] = s;
}

static void
ns_known(struct servers_job *job, struct group *g, struct ns *ns)
{
	size_t i;

	for (i = 0; i < ns->n_addr; i++)
		server_add(job, g, ns, &ns->addr[i]);
}

static bool
ns_listed(const struct group *g, const struct ns *ns)
{
	size_t i;

	for (i = 0; i < g->n_ns; i++)
		if (g->ns[i] == ns)
			return true;
	return false;
}

static void
address_add(
    struct servers_job *job, struct ns *ns, int family, const struct rdata *rr)
{
	struct danevirke_addr *a = &ns->addr[ns->n_addr];
	char text[INET6_ADDRSTRLEN];

	if (rr->len != (family == 4 ? 4 : 16))
		return;
	/* M12: a stranger's NS record must not make us ask this machine */
	if (!job->o->cli->dv->may_use(job->o->engine, family, rr->data)) {
		ns->forbidden = true;
		return;
	}
	if (ns->n_addr == ADDRS_MAX) {
		job->cut = true;
		return;
	}
	a->family = family;
	memcpy(a->ip, rr->data, rr->len);
	inet_ntop(family == 4 ? AF_INET : AF_INET6, a->ip, text, sizeof text);
	if ((a->text = arena_str(&job->arena, text)) == NULL)
		job->report->no_memory = true;
	else
		ns->n_addr++;
}

static void
got_address(struct servers_job *job, void *arg, const struct reply *reply)
{
	struct ns *ns = arg;
	struct zone *z;
	size_t i;

	for (i = 0; reply != NULL && i < reply->answer.n; i++)
		if (reply->answer.type == TYPE_A ||
		    reply->answer.type == TYPE_AAAA)
			address_add(job, ns,
			    reply->answer.type == TYPE_A ? 4 : 6,
			    &reply->answer.rr[i]);
	if (--ns->pending > 0)
		return;
	STAILQ_FOREACH(z, &job->zones, entry) {
		if (ns_listed(&z->own, ns))
			ns_known(job, &z->own, ns);
		if (ns_listed(&z->parent, ns))
			ns_known(job, &z->parent, ns);
	}
}

static struct ns *
ns_get(struct servers_job *job, const struct rdata *rr)
{
	struct wire name = { .len = rr->len };
	struct ns *ns;

	if (rr->len > WIRE_LEN)
		return NULL;
	memcpy(name.data, rr->data, rr->len);
	STAILQ_FOREACH(ns, &job->ns, entry)
		if (wire_equal(&ns->name, &name))
			return ns;
	if (job->n_ns == NS_MAX) {
		job->cut = true;
		return NULL;
	}
	if ((ns = arena_alloc(&job->arena, sizeof *ns)) == NULL) {
		job->report->no_memory = true;
		return NULL;
	}
	if (!dns_name_text(name.data, name.len, ns->text))
		return NULL;
	job->n_ns++;
	ns->name = name;
	STAILQ_INSERT_TAIL(&job->ns, ns, entry);
	ns->pending = 2;
	lookup_start(job, &name, TYPE_A, got_address, ns);
	lookup_start(job, &name, TYPE_AAAA, got_address, ns);
	return ns;
}

/* These are servers of the group. */
static void
group_add(struct servers_job *job, struct group *g, const struct rrset *names)
{
	struct ns *ns;
	size_t i;

	for (i = 0; i < names->n; i++) {
		if ((ns = ns_get(job, &names->rr[i])) == NULL ||
		    ns_listed(g, ns))
			continue;
		if (g->n_ns == NAMES_MAX) {
			job->cut = true;
			return;
		}
		g->ns[g->n_ns++] = ns;
		if (ns->pending == 0)
			ns_known(job, g, ns);
	}
}

/* ----------------------------------------------------------- their replies */

/* With forwarders, perhaps nobody else can be reached from here: that is
 * known as soon as nobody has answered in the first round. */
static bool
on_silence(void *arg)
{
	struct server *s = arg;

	return s->job->settings->n_resolver_forward > 0 && s->job->heard == 0;
}

static void
on_talk(void *arg)
{
	struct server *s = arg;
	struct servers_job *job = s->job;
	const struct reply *r = &s->ask[Q_NS].reply;
	struct zone *z = s->group->zone;
	size_t i;

	s->talk = NULL;
	s->over = true;
	job->n_talk--;
	job->servers->n_talk--;
	for (i = 0; i < s->group->n_q; i++)
		if (s->ask[i].state == ASK_REPLY)
			break;
	job->heard += i < s->group->n_q;
	/* whom the parent names is asked too, whatever the zone says */
	if (s->group->delegation && s->ask[Q_NS].state == ASK_REPLY &&
	    r->below.n > 0 && wire_equal(&r->below.owner, &z->name))
		group_add(job, &z->own, &r->below);
	talk_to_others(job->servers, job);
	servers_step(job);
}

static bool
server_begin(struct servers_job *job, struct server *s)
{
	struct talk_options t = { .base = job->o->base,
		.arena = &job->arena,
		.octets = &job->octets,
		.addr = s->addr,
		.silence = on_silence,
		.done = on_talk,
		.arg = s };
	size_t i;

	for (i = 0; i < s->group->n_q; i++) {
		s->ask[i].name = s->group->q[i].name;
		s->ask[i].type = s->group->q[i].type;
	}
	s->talk = talk_start(&t, s->ask, s->group->n_q);
	s->begun = s->talk != NULL;
	return s->begun;
}

static void
talk_to_more(struct servers_job *job)
{
	struct servers *all = job->servers;

	while (job->at_queue < job->n_queue && job->n_talk < TALKS_MAX &&
	    all->n_talk < TALKS_ALL) {
		if (!server_begin(job, job->queue[job->at_queue])) {
			if (all->n_talk > 0)
				return; /* descriptors: when one ends */
			job->report->no_memory = true;
		} else {
			job->n_talk++;
			all->n_talk++;
		}
		job->at_queue++;
	}
}

/* There is room again, which other domains may wait for. */
static void
talk_to_others(struct servers *all, const struct servers_job *but)
{
	struct servers_job *job;

	LIST_FOREACH(job, &all->jobs, entry)
		if (job != but && job->asking)
			talk_to_more(job);
}

/* --------------------------------------------------------------- the stage */

void
servers_cancel(struct servers_job *job)
{
	size_t i;

	if (job == NULL)
		return;
	LIST_REMOVE(job, entry);
	job->servers->n_talk -= job->n_talk;
	lookup_cancel(job);
	for (i = 0; i < job->n_queue; i++)
		talk_cancel(job->queue[i]->talk);
	talk_to_others(job->servers, NULL);
	if (job->limit != NULL)
		event_free(job->limit);
	arena_free(&job->arena);
	free(job);
}

static void
servers_end(struct servers_job *job)
{
	void (*done)(void *) = job->done;
	void *arg = job->arg;
	struct zone *z;

	STAILQ_FOREACH(z, &job->zones, entry)
		if (z->own.n_q > 0)
			compare_zone(job, z);
	compare_end(job);
	servers_cancel(job);
	done(arg);
}

static void
begin_asking(struct servers_job *job)
{
	struct zone *z;

	job->asking = true;
	zones_ready(job);
	STAILQ_FOREACH(z, &job->zones, entry) {
		if (z->own.n_q == 0)
			continue;
		group_add(job, &z->own, &z->ns);
		if (z->up != NULL)
			group_add(job, &z->parent, &z->up->ns);
	}
}

/* What there is to do next.  The job may be gone behind it. */
static void
servers_step(struct servers_job *job)
{
	if (!job->asking && job->pending == 0)
		begin_asking(job);
	if (job->asking)
		talk_to_more(job);
	if (job->pending == 0 && job->n_talk == 0 &&
	    job->at_queue == job->n_queue)
		servers_end(job);
}

/* Out of time, or there is nothing to ask. */
static void
on_limit(int fd, short what, void *arg)
{
	struct servers_job *job = arg;

	(void)fd;
	(void)what;
	job->cut |= job->pending > 0 || job->n_talk > 0;
	servers_end(job);
}

struct servers_job *
servers_start(
    struct servers *s, struct report *r, void (*done)(void *arg), void *arg)
{
	struct timeval tv = { .tv_sec = STAGE_TIME };
	struct servers_job *job = calloc(1, sizeof *job);

	if (job == NULL)
		return NULL;
	job->servers = s;
	job->ctx = s->ctx;
	job->step = servers_step;
	job->o = s->o;
	job->settings = s->o->cli->dv->settings(s->o->engine);
	job->report = r;
	job->octets = OCTETS_MAX;
	job->verify = VERIFY_MAX;
	job->done = done;
	job->arg = arg;
	job->limit = event_new(s->o->base, -1, 0, on_limit, job);
	if (job->limit == NULL) {
		free(job);
		return NULL;
	}
	STAILQ_INIT(&job->nodes);
	STAILQ_INIT(&job->zones);
	STAILQ_INIT(&job->ns);
	LIST_INSERT_HEAD(&s->jobs, job, entry);
	zones_find(job);
	if (job->pending == 0)
		tv.tv_sec = 0;
	event_add(job->limit, &tv);
	return job;
}

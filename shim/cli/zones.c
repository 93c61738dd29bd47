/* SPDX-License-Identifier: ISC */
/* Which zones are on the way from a mail domain to its TLSA records, and what
 * to ask their servers; see stage.h. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "stage.h"

/* ------------------------------------------------------- names to zones */

static struct node *node_get(struct servers_job *, const struct wire *);

/* The name without its first label, unless that is a top-level domain. */
static struct node *
node_above(struct servers_job *job, const struct wire *name)
{
	struct wire up;

	if (wire_labels(name) < 2)
		return NULL;
	up = wire_up(name);
	return node_get(job, &up);
}

static struct zone *
zone_new(struct servers_job *job, const struct wire *name)
{
	struct zone *z;

	if (job->n_zone == ZONES_MAX) {
		job->cut = true;
		return NULL;
	}
	if ((z = arena_alloc(&job->arena, sizeof *z)) == NULL ||
	    !dns_name_text(name->data, name->len, z->text)) {
		job->report->no_memory |= z == NULL;
		return NULL;
	}
	job->n_zone++;
	z->name = *name;
	z->own.zone = z->parent.zone = z;
	z->parent.delegation = true;
	STAILQ_INSERT_TAIL(&job->zones, z, entry);
	return z;
}

static void
got_zone(struct servers_job *job, void *arg, const struct reply *reply)
{
	struct node *n = arg;

	n->failed = reply == NULL;
	if (reply != NULL && reply->answer.n > 0 &&
	    reply->answer.type == TYPE_NS) {
		if ((n->zone = zone_new(job, &n->name)) != NULL) {
			n->zone->ns = reply->answer;
			n->zone->above = node_above(job, &n->name);
		}
	} else if (reply != NULL && reply->has_zone &&
	    wire_below(&n->name, &reply->zone) &&
	    !wire_equal(&n->name, &reply->zone))
		n->next = node_get(job, &reply->zone);
	else /* an alias, or nobody answers */
		n->next = node_above(job, &n->name);
}

static struct node *
node_get(struct servers_job *job, const struct wire *name)
{
	struct node *n;

	STAILQ_FOREACH(n, &job->nodes, entry)
		if (wire_equal(&n->name, name))
			return n;
	if (job->n_node == NODES_MAX) {
		job->cut = true;
		return NULL;
	}
	if ((n = arena_alloc(&job->arena, sizeof *n)) == NULL) {
		job->report->no_memory = true;
		return NULL;
	}
	job->n_node++;
	n->name = *name;
	STAILQ_INSERT_TAIL(&job->nodes, n, entry);
	lookup_start(job, name, TYPE_NS, got_zone, n);
	return n;
}

static struct zone *
zone_of(const struct node *n)
{
	unsigned i;

	for (i = 0; n != NULL && i < NODES_MAX; n = n->next, i++)
		if (n->zone != NULL)
			return n->zone;
	return NULL;
}

/* ------------------------------------------------------------- the names */

/* Below a zone that the configuration sends to servers of its own, what the
 * world sees does not matter. */
static bool
zones_forwarded(const struct servers_job *job, const struct wire *w)
{
	const struct danevirke_settings *t = job->settings;
	struct wire zone;
	size_t i;

	for (i = 0; i < t->n_resolver_zones; i++)
		if (t->resolver_zones[i].n_forward > 0 &&
		    wire_parse(t->resolver_zones[i].name, &zone) &&
		    wire_below(w, &zone))
			return true;
	return false;
}

static void
want_name(struct servers_job *job, const char *name, int type)
{
	struct want_name *q = &job->name[job->n_name];
	size_t i;

	if (job->n_name == QUESTIONS_MAX) {
		job->cut = true;
		return;
	}
	if (!wire_parse(name, &q->name) || zones_forwarded(job, &q->name))
		return;
	for (i = 0; i < job->n_name; i++)
		if (job->name[i].type == type &&
		    wire_equal(&job->name[i].name, &q->name))
			return;
	q->type = type;
	job->n_name++;
}

static void
want_host(struct servers_job *job, const struct danevirke_host *h)
{
	const char *base[2] = { h->target, h->name };
	char owner[NAME_LEN + 16];
	uint8_t ip[16];
	size_t i;

	if (inet_pton(AF_INET, h->name, ip) == 1 ||
	    inet_pton(AF_INET6, h->name, ip) == 1)
		return; /* T08 */
	want_name(job, h->name, TYPE_A);
	want_name(job, h->name, TYPE_AAAA);
	if (h->target != NULL && strcmp(h->target, h->name) != 0) {
		want_name(job, h->target, TYPE_A);
		want_name(job, h->target, TYPE_AAAA);
	}
	/* B07 to B10: where senders look */
	for (i = 0; i < 2; i++) {
		if (base[i] == NULL || (i == 1 && h->target == NULL) ||
		    (h->state != DANEVIRKE_SECURE &&
			h->alias_state != DANEVIRKE_SECURE))
			continue;
		snprintf(owner, sizeof owner, "_%u._tcp.%s", h->port, base[i]);
		want_name(job, owner, TYPE_TLSA);
	}
}

void
zones_find(struct servers_job *job)
{
	const struct danevirke_answer *a = job->report->answer;
	size_t i;

	want_name(job, a->domain, TYPE_MX);
	want_name(job, a->final, TYPE_MX);
	for (i = 0; i < a->n_hosts; i++)
		want_host(job, a->hosts[i]);
	for (i = 0; i < job->n_name; i++)
		job->name[i].node = node_get(job, &job->name[i].name);
}

/* ----------------------------------------------------------- the questions */

static void
question_add(
    struct servers_job *job, struct group *g, const struct wire *name, int type)
{
	if (g->n_q == QUESTIONS_MAX) {
		job->cut = true;
		return;
	}
	g->q[g->n_q].name = *name;
	g->q[g->n_q++].type = type;
}

/* Where the resolver got no answer below a top-level domain, the zone's name
 * is a guess: right below it.  Its parent will say. */
static void
zones_guess(struct servers_job *job, struct node *n)
{
	struct zone *up = zone_of(n), *z;
	struct wire name = n->name;

	if (up == NULL || !n->failed || wire_labels(&up->name) > 1)
		return;
	while (wire_labels(&name) > wire_labels(&up->name) + 1)
		name = wire_up(&name);
	STAILQ_FOREACH(z, &job->zones, entry)
		if (wire_equal(&z->name, &name))
			break;
	if (z == NULL && (z = zone_new(job, &name)) != NULL)
		z->up = up;
	n->zone = z;
}

void
zones_ready(struct servers_job *job)
{
	struct node *n;
	struct zone *z;
	size_t i;

	STAILQ_FOREACH(z, &job->zones, entry)
		z->up = zone_of(z->above);
	STAILQ_FOREACH(n, &job->nodes, entry)
		if (n->zone == NULL)
			zones_guess(job, n);
	STAILQ_FOREACH(z, &job->zones, entry) {
		if (wire_labels(&z->name) < 2 || zones_forwarded(job, &z->name))
			continue;
		question_add(job, &z->own, &z->name, TYPE_NS);
		question_add(job, &z->own, &z->name, TYPE_SOA);
		question_add(job, &z->own, &z->name, TYPE_DNSKEY);
		question_add(job, &z->parent, &z->name, TYPE_NS);
		question_add(job, &z->parent, &z->name, TYPE_DS);
	}
	for (i = 0; i < job->n_name; i++)
		if ((z = zone_of(job->name[i].node)) != NULL &&
		    wire_labels(&z->name) >= 2)
			question_add(job, &z->own, &job->name[i].name,
			    job->name[i].type);
}

/* SPDX-License-Identifier: ISC */
/* What the servers of a zone said, held against each other and against the
 * delegation (L14); see stage.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

static const char
    advice_lame[] = "have it serve the zone, or take it out of the NS records "
		    "of the zone and of its parent",
    advice_data[] = "see why the zone is not transferred to it",
    advice_delegation[] =
	"make the NS records of the zone and those in its parent the same";

/* ------------------------------------------------- one against the other */

/* RFC 1035 3.3.13: five numbers stand behind the two names. */
static bool
compare_serial(const struct server *s, uint32_t *out)
{
	const struct rrset *soa = &s->ask[Q_SOA].reply.answer;
	const uint8_t *p;

	if (s->group->delegation || !reply_counts(s, Q_SOA) || soa->n != 1 ||
	    soa->type != TYPE_SOA || soa->rr[0].len < 22)
		return false;
	p = soa->rr[0].data + soa->rr[0].len - 20;
	*out = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
	return true;
}

/* What this server said to it: the answer, or of a delegation what it is. */
static const struct rrset *
compare_said(const struct server *s, size_t i)
{
	const struct reply *r = &s->ask[i].reply;

	return s->group->delegation && i == Q_NS && r->below.n > 0 ? &r->below :
								     &r->answer;
}

/* May it be held against the others?  Not what is of the zone below. */
static bool
compare_comparable(const struct server *s, size_t i)
{
	if (!s->over || !reply_counts(s, i))
		return false;
	if (s->group->delegation && i == Q_NS)
		return !s->ask[i].reply.aa && s->ask[i].reply.below.n > 0;
	return s->ask[i].reply.below.n == 0;
}

/* Is a's word better than b's?  That with good signatures; then what most of
 * them say; then the newer zone. */
static bool
compare_better(const struct group *g, size_t i, const struct server *a,
    const struct server *b)
{
	size_t j, n = 0, m = 0;
	uint32_t x, y;

	if ((a->sig[i] <= SIGNATURE_UNTOLD) != (b->sig[i] <= SIGNATURE_UNTOLD))
		return a->sig[i] <= SIGNATURE_UNTOLD;
	for (j = 0; j < g->n_server; j++) {
		if (!compare_comparable(g->server[j], i))
			continue;
		n += rrset_equal(
		    compare_said(a, i), compare_said(g->server[j], i));
		m += rrset_equal(
		    compare_said(b, i), compare_said(g->server[j], i));
	}
	if (n != m)
		return n > m;
	return compare_serial(a, &x) && compare_serial(b, &y) &&
	    (int32_t)(x - y) > 0;
}

static struct server *
compare_reference(const struct group *g, size_t i)
{
	struct server *best = NULL;
	size_t j;

	for (j = 0; j < g->n_server; j++)
		if (compare_comparable(g->server[j], i) &&
		    (best == NULL || compare_better(g, i, g->server[j], best)))
			best = g->server[j];
	return best;
}

static void
say_other(struct server *s, const struct server *ref, size_t i)
{
	const struct question *q = &s->group->q[i];
	char name[NAME_LEN], type[16], serials[80] = "";
	size_t have = compare_said(s, i)->n, had = compare_said(ref, i)->n;
	uint32_t x, y;

	if (!dns_name_text(q->name.data, q->name.len, name))
		return;
	if (compare_serial(s, &x) && compare_serial(ref, &y) && x != y)
		snprintf(serials, sizeof serials, " (serial %u here, %u there)",
		    x, y);
	reply_say(s, advice_data, "%s %s records of %.200s %s %.100s [%s]%s",
	    have == 0    ? "lacks the" :
		had == 0 ? "has" :
			   "has other",
	    type_name(q->type, type), name,
	    have == 0    ? "that are at" :
		had == 0 ? "that are not at" :
			   "than",
	    ref->ns->text, ref->addr->text, serials);
}

static void
judge_data(struct group *g)
{
	const struct server *ref;
	struct server *s;
	size_t i, j;

	for (i = 0; i < g->n_q; i++) {
		/* a serial alone means nothing; what stands beside it does */
		if (g->q[i].type == TYPE_SOA ||
		    (ref = compare_reference(g, i)) == NULL)
			continue;
		for (j = 0; j < g->n_server; j++) {
			s = g->server[j];
			if (compare_comparable(s, i) &&
			    !rrset_equal(
				compare_said(s, i), compare_said(ref, i)))
				say_other(s, ref, i);
		}
	}
}

/* ---------------------------------------------------------- the delegation */

static bool
compare_names(const struct rrset *ns, const struct rdata *rr)
{
	size_t i;

	for (i = 0; i < ns->n; i++)
		if (ns->rr[i].len == rr->len &&
		    memcmp(ns->rr[i].data, rr->data, rr->len) == 0)
			return true;
	return false;
}

static void
judge_delegation(struct servers_job *job, const struct zone *z)
{
	const struct server *up = compare_reference(&z->parent, Q_NS),
			    *own = compare_reference(&z->own, Q_NS);
	const struct rrset *p, *c;
	char name[NAME_LEN];
	size_t i;

	if (up == NULL || own == NULL)
		return;
	p = compare_said(up, Q_NS);
	c = compare_said(own, Q_NS);
	for (i = 0; i < p->n; i++)
		if (!compare_names(c, &p->rr[i]) &&
		    dns_name_text(p->rr[i].data, p->rr[i].len, name))
			lint_server(job->report, SEV_WARNING, name, NULL,
			    advice_delegation,
			    "is a name server of %s in the delegation (%s "
			    "[%s]), but not in the zone itself",
			    z->text, up->ns->text, up->addr->text);
	for (i = 0; i < c->n; i++)
		if (!compare_names(p, &c->rr[i]) &&
		    dns_name_text(c->rr[i].data, c->rr[i].len, name))
			lint_server(job->report, SEV_WARNING, name, NULL,
			    advice_delegation,
			    "is a name server of %s in the zone itself, but "
			    "not in the delegation (%s [%s])",
			    z->text, up->ns->text, up->addr->text);
}

/* Servers that could not be asked for want of an address. */
static void
judge_names(struct servers_job *job, const struct group *g)
{
	struct ns *ns;
	size_t i;

	for (i = 0; i < g->n_ns; i++) {
		ns = g->ns[i];
		if (ns->said || ns->pending > 0 ||
		    (ns->n_addr > 0 && !ns->forbidden))
			continue;
		ns->said = true;
		lint_server(job->report, SEV_WARNING, ns->text, NULL,
		    advice_lame,
		    ns->forbidden ?
			"name server of %s with an address that nobody else "
			"can reach (loopback, link-local ...): it is not "
			"asked; see resolver.allow_addresses" :
			"name server of %s without an address",
		    g->zone->text);
	}
}

/* ---------------------------------------------------------------- the zone */

/* What the parent's servers say of its keys. */
static void
take_ds(struct zone *z)
{
	const struct server *ref;

	if (z->parent.n_q == 0 ||
	    (ref = compare_reference(&z->parent, Q_DS)) == NULL)
		return;
	z->ds_asked = true;
	if (ref->ask[Q_DS].reply.answer.type == TYPE_DS)
		z->ds = ref->ask[Q_DS].reply.answer;
}

/* Is there a signature that resolvers mind?  Without the parent's word, the
 * zone's keys say so. */
static bool
is_signed(const struct zone *z)
{
	const struct group *g = &z->own;
	size_t i;

	for (i = 0; i < z->ds.n; i++)
		if (ds_known(&z->ds.rr[i]))
			return true;
	for (i = 0; !z->ds_asked && i < g->n_server; i++)
		if (reply_counts(g->server[i], Q_DNSKEY) &&
		    g->server[i]->ask[Q_DNSKEY].reply.answer.n > 0)
			return true;
	return false;
}

static void
take_iterations(struct zone *z, const struct group *g)
{
	const struct server *s;
	size_t i, j;

	for (j = 0; j < g->n_server; j++)
		for (i = 0, s = g->server[j]; i < g->n_q; i++)
			if (reply_counts(s, i) &&
			    s->ask[i].reply.iterations > z->iterations)
				z->iterations = s->ask[i].reply.iterations;
}

/* For lint: why a zone may not count as signed (L15). */
static void
take_fact(struct servers_job *job, const struct zone *z, bool keys)
{
	struct report *r = job->report;
	struct zone_fact *f;
	size_t i;

	f = reallocarray(r->zone, r->n_zone + 1, sizeof *f);
	if (f == NULL) {
		r->no_memory = true;
		return;
	}
	r->zone = f;
	f += r->n_zone;
	memset(f, 0, sizeof *f);
	snprintf(f->name, sizeof f->name, "%s", z->text);
	f->asked = z->ds_asked;
	f->keys = keys;
	f->ds = z->ds.n;
	f->iterations = z->iterations;
	for (i = 0; i < z->ds.n; i++) {
		f->known |= ds_known(&z->ds.rr[i]);
		if (z->ds.rr[i].len > 4) {
			f->algorithm = z->ds.rr[i].data[2];
			f->digest = z->ds.rr[i].data[3];
		}
	}
	r->n_zone++;
}

void
compare_zone(struct servers_job *job, struct zone *z)
{
	struct server *s;
	bool keys = false;
	size_t i;

	judge_names(job, &z->own);
	for (i = 0; i < z->parent.n_server; i++)
		reply_judge(z->parent.server[i]);
	for (i = 0; i < z->own.n_server; i++) {
		s = z->own.server[i];
		reply_judge(s);
		keys |= reply_counts(s, Q_DNSKEY) &&
		    s->ask[Q_DNSKEY].reply.answer.n > 0;
	}
	take_ds(z);
	take_iterations(z, &z->own);
	if (is_signed(z))
		reply_signatures(&z->own);
	judge_data(&z->own);
	judge_data(&z->parent);
	judge_delegation(job, z);
	take_fact(job, z, keys);
}

/* Each address once, however many zones it serves. */
static void
count_servers(struct servers_job *job)
{
	struct report *r = job->report;
	const struct danevirke_addr *a, *b;
	size_t i, j;
	bool faulty;

	r->servers = r->servers_faulty = 0;
	for (i = 0; i < job->n_queue; i++) {
		a = job->queue[i]->addr;
		faulty = false;
		for (j = 0; j < job->n_queue; j++) {
			b = job->queue[j]->addr;
			if (a->family != b->family ||
			    memcmp(a->ip, b->ip, a->family == 4 ? 4 : 16) != 0)
				continue;
			if (j < i)
				break;
			faulty |= job->queue[j]->faulty;
		}
		if (j < job->n_queue)
			continue;
		r->servers++;
		r->servers_faulty += faulty;
	}
}

void
compare_end(struct servers_job *job)
{
	struct report *r = job->report;
	bool forward = job->settings->n_resolver_forward > 0;
	const struct zone *z;

	count_servers(job);
	STAILQ_FOREACH(z, &job->zones, entry)
		if (z->own.n_q > 0)
			break;
	/* all of it is asked elsewhere, by resolver.zones, or is a top-level
	 * domain's */
	if (job->n_name == 0 || (z == NULL && !STAILQ_EMPTY(&job->zones)))
		return;
	if (job->heard == 0)
		lint_add(r, forward ? SEV_NOTE : SEV_WARNING, "L14", NULL, NULL,
		    forward ? "test it from a network that reaches them" :
			      "is port 53 open from here to everywhere?",
		    "the name servers could not be asked one by one from "
		    "here%s",
		    forward ? ", perhaps because only the forwarders of "
			      "resolver.forward can" :
			      "");
	else if (job->cut || job->octets == 0 || job->verify == 0)
		lint_add(r, SEV_NOTE, "L14", NULL, NULL, NULL,
		    "not every name server was asked everything: there are "
		    "too many of them, or they took too long");
	else if (job->no_network > 0)
		lint_add(r, SEV_NOTE, "L14", NULL, NULL, NULL,
		    "%zu addresses of name servers are of a network that this "
		    "machine does not have",
		    job->no_network);
}

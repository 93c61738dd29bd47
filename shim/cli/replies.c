/* SPDX-License-Identifier: ISC */
/* What each server of a zone said, by itself: does it answer, is it that of
 * the zone, is it signed (L14); see stage.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stage.h"

#define LIST_LEN 400
#define LISTED 3 /* questions, by name */

static const char
    advice_lame[] = "have it serve the zone, or take it out of the NS records "
		    "of the zone and of its parent",
    advice_mute[] =
	"ask it from another machine, over UDP and TCP: does it listen on this "
	"address, does it answer from it (NSD with several addresses: "
	"ip-address), does a firewall pass port 53 of both?  One that is gone "
	"has to leave the NS records of the zone and of its parent",
    advice_answer[] = "senders that happen to ask it delay mail or lose DANE: "
		      "repair or replace it",
    advice_signature[] = "senders that happen to ask it take this for an "
			 "attack and delay mail: have it serve the zone as it "
			 "is signed now";

static const char *
rcode_name(int rcode, char buf[16])
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL",
		"NXDOMAIN", "NOTIMP", "REFUSED" };

	if (rcode < (int)(sizeof names / sizeof *names))
		return names[rcode];
	snprintf(buf, 16, "rcode %d", rcode);
	return buf;
}

void
reply_say(struct server *s, const char *advice, const char *fmt, ...)
{
	char text[LIST_LEN + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	s->faulty = true;
	lint_server(s->job->report, SEV_WARNING, s->ns->text, s->addr->text,
	    advice, "%s", text);
}

/* "TLSA _25._tcp.mx.example.org, MX example.org and 2 more" */
static const char *
reply_list(const struct group *g, const bool hit[], char buf[LIST_LEN])
{
	char name[NAME_LEN], type[16];
	size_t i, n = 0, used = 0;

	buf[0] = '\0';
	for (i = g->n_q; i-- > 0;) { /* the zone's own come first there */
		if (!hit[i] || ++n > LISTED)
			continue;
		if (!dns_name_text(g->q[i].name.data, g->q[i].name.len, name))
			continue;
		used += (size_t)snprintf(buf + used, LIST_LEN - used,
		    "%s%s %.100s", n > 1 ? ", " : "",
		    type_name(g->q[i].type, type), name);
	}
	if (n > LISTED)
		snprintf(
		    buf + used, LIST_LEN - used, " and %zu more", n - LISTED);
	return buf;
}

static size_t
reply_count(const struct group *g, const bool hit[])
{
	size_t i, n = 0;

	for (i = 0; i < g->n_q; i++)
		n += hit[i];
	return n;
}

/* ---------------------------------------------------------- each by itself */

/* An answer, or a denial. */
static bool
reply_answered(const struct ask *a)
{
	return a->state == ASK_REPLY &&
	    (a->reply.rcode == RCODE_NOERROR ||
		a->reply.rcode == RCODE_NXDOMAIN);
}

/* And one that counts: of who serves the zone, or delegates it. */
bool
reply_counts(const struct server *s, size_t i)
{
	const struct ask *a = &s->ask[i];

	if (!reply_answered(a))
		return false;
	if (a->reply.aa)
		return true;
	if (a->reply.below.n == 0)
		return false;
	/* a delegation to a zone that the resolver did not see */
	return wire_below(&a->name, &a->reply.below.owner) &&
	    wire_below(&a->reply.below.owner, &s->group->zone->name) &&
	    (s->group->delegation ||
		!wire_equal(&a->reply.below.owner, &s->group->zone->name));
}

/* Nothing at all came; true: that was said. */
static bool
reply_mute(struct server *s)
{
	const struct group *g = s->group;
	int error = 0;
	size_t i;

	for (i = 0; i < g->n_q; i++) {
		if (s->ask[i].state == ASK_REPLY ||
		    s->ask[i].state == ASK_GARBAGE ||
		    s->ask[i].state == ASK_OPEN)
			return false;
		if (s->ask[i].state == ASK_ERROR)
			error = s->ask[i].error;
	}
	if (error == ENETUNREACH || error == EAFNOSUPPORT ||
	    error == EADDRNOTAVAIL)
		s->job->no_network++;
	else if (s->job->heard > 0)
		reply_say(s, advice_mute, "does not answer for %s%s%s",
		    g->zone->text, error != 0 ? ": " : "",
		    error != 0 ? strerror(error) : "");
	return true;
}

static void
reply_silent(struct server *s)
{
	bool open[QUESTIONS_MAX] = { false }, bad[QUESTIONS_MAX] = { false };
	char buf[LIST_LEN];
	size_t i;

	for (i = 0; i < s->group->n_q; i++) {
		open[i] = s->ask[i].state == ASK_SILENCE ||
		    s->ask[i].state == ASK_ERROR;
		bad[i] = s->ask[i].state == ASK_GARBAGE;
	}
	if (reply_count(s->group, open) > 0)
		reply_say(s, advice_answer,
		    "answers others, but no question for %s",
		    reply_list(s->group, open, buf));
	if (reply_count(s->group, bad) > 0 && s->job->octets > 0)
		reply_say(s, advice_answer, "sends what is no DNS reply to %s",
		    reply_list(s->group, bad, buf));
}

static void
reply_refusing(struct server *s, int rcode)
{
	const struct group *g = s->group;
	bool hit[QUESTIONS_MAX] = { false };
	char buf[LIST_LEN], name[16];
	size_t i, replies = 0;

	for (i = 0; i < g->n_q; i++) {
		replies += s->ask[i].state == ASK_REPLY;
		hit[i] = s->ask[i].state == ASK_REPLY &&
		    s->ask[i].reply.rcode == rcode;
	}
	if (reply_count(g, hit) == 0)
		return;
	if (reply_count(g, hit) == replies)
		reply_say(s, advice_lame,
		    "answers %s to every question: it does not serve %s (lame)",
		    rcode_name(rcode, name), g->zone->text);
	else
		reply_say(s, advice_answer, "answers %s to %s",
		    rcode_name(rcode, name), reply_list(g, hit, buf));
}

/* It knows of the zone by hearsay, or not at all. */
static void
reply_lame(struct server *s)
{
	const struct group *g = s->group;
	bool hit[QUESTIONS_MAX] = { false };
	char buf[LIST_LEN];
	size_t i, replies = 0;

	for (i = 0; i < g->n_q; i++) {
		replies += reply_answered(&s->ask[i]);
		hit[i] = reply_answered(&s->ask[i]) && !reply_counts(s, i);
	}
	if (reply_count(g, hit) == 0)
		return;
	if (reply_count(g, hit) == replies)
		reply_say(s, advice_lame,
		    "does not serve %s%s (lame): no answer of it is "
		    "authoritative",
		    g->delegation ? "the zone above " : "", g->zone->text);
	else
		reply_say(s, advice_answer, "is not authoritative for %s",
		    reply_list(g, hit, buf));
}

void
reply_judge(struct server *s)
{
	int rcode;

	if (!s->over || (s->mute = reply_mute(s)))
		return;
	reply_silent(s);
	for (rcode = 1; rcode < 16; rcode++)
		if (rcode != RCODE_NXDOMAIN)
			reply_refusing(s, rcode);
	reply_lame(s);
}

/* -------------------------------------------------------------- signatures */

static time_t
reply_now(const struct servers_job *job)
{
	return job->o->lint.now != 0 ? job->o->lint.now : job->report->when;
}

/* The same octets are verified once, whichever servers send them. */
static bool
reply_verified(const struct server *s, size_t i, const struct rrset *keys)
{
	const struct group *g = s->group;
	const struct server *other;
	size_t j;

	for (j = 0; j < g->n_server && (other = g->server[j]) != s; j++)
		if (other->by[i] != NULL && rrset_equal(other->by[i], keys) &&
		    rrset_same(
			&other->ask[i].reply.answer, &s->ask[i].reply.answer))
			return true;
	return false;
}

static enum signature
reply_check(
    struct server *s, size_t i, const struct rrset *keys, uint32_t *until)
{
	enum signature k;

	if (reply_verified(s, i, keys))
		return SIGNATURE_GOOD;
	k = signature_check(&s->ask[i].reply.answer, &s->group->zone->name,
	    keys, reply_now(s->job), &s->job->verify, until);
	s->by[i] = k == SIGNATURE_GOOD ? keys : NULL;
	return k;
}

/* Its keys are those that the parent vouches for, or *own is NULL. */
static void
judge_keys(struct server *s, const struct rrset **own)
{
	struct zone *z = s->group->zone;
	const struct rrset *keys = &s->ask[Q_DNSKEY].reply.answer;
	struct rrset *named;
	uint32_t until;

	*own = NULL;
	if (!reply_counts(s, Q_DNSKEY) || keys->n == 0)
		return;
	named = arena_alloc(&s->job->arena, sizeof *named);
	if (named == NULL ||
	    (z->ds.n > 0 &&
		!ds_keys(&s->job->arena, &z->name, &z->ds, keys, named))) {
		s->job->report->no_memory = true;
		return;
	}
	if (z->ds.n == 0)
		*named = *keys;
	if (named->n == 0) {
		s->sig[Q_DNSKEY] = SIGNATURE_FOREIGN;
		reply_say(s, advice_signature,
		    "has other DNSKEY records for %s: no DS record in the "
		    "parent is of one of them",
		    z->text);
		return;
	}
	s->sig[Q_DNSKEY] = reply_check(s, Q_DNSKEY, named, &until);
	if (s->sig[Q_DNSKEY] > SIGNATURE_UNTOLD)
		return;
	*own = keys;
	if (z->keys.n == 0)
		z->keys = *keys;
}

/* What is signed, so that it counts, and how. */
static void
judge_one(struct server *s, size_t i, const struct rrset *keys, uint32_t *until)
{
	const struct reply *r = &s->ask[i].reply;

	if (i == Q_DNSKEY || !reply_counts(s, i))
		return;
	if (r->below.n > 0 || (r->answer.n > 0 && r->dname))
		return;
	if (r->answer.n == 0)
		s->sig[i] = r->proven ? SIGNATURE_UNTOLD : SIGNATURE_NONE;
	else if (r->answer.n_sig == 0)
		s->sig[i] = SIGNATURE_NONE;
	else if (keys != NULL)
		s->sig[i] = reply_check(s, i, keys, until);
}

static void
say_signatures(struct server *s, const uint32_t until[])
{
	static const char *const words[] = {
		[SIGNATURE_NONE] = "sends no signature with",
		[SIGNATURE_ENDED] = "has old signatures, which ended on",
		[SIGNATURE_EARLY] = "has signatures that begin in the future:",
		[SIGNATURE_KEYLESS] =
		    "has signatures by keys that are not in the zone:",
		[SIGNATURE_BAD] = "has bad signatures:"
	};
	bool hit[QUESTIONS_MAX];
	char buf[LIST_LEN], end[34];
	enum signature k;
	size_t i;

	for (k = SIGNATURE_NONE; k <= SIGNATURE_BAD; k++) {
		end[0] = '\0';
		for (i = 0; i < s->group->n_q; i++) {
			hit[i] = s->sig[i] == k;
			if (hit[i] && k == SIGNATURE_ENDED) {
				time_text(s->job->report->when +
					(int32_t)(until[i] -
					    (uint32_t)s->job->report->when),
				    end);
				memcpy(end + strlen(end), ": ", 3);
			}
		}
		if (reply_count(s->group, hit) > 0)
			reply_say(s, advice_signature, "%s %s%s", words[k], end,
			    reply_list(s->group, hit, buf));
	}
}

void
reply_signatures(struct group *g)
{
	uint32_t until[QUESTIONS_MAX];
	const struct rrset *own[SERVERS_MAX];
	struct server *s;
	size_t i, j;

	for (j = 0; j < g->n_server; j++)
		judge_keys(g->server[j], &own[j]);
	for (j = 0; j < g->n_server; j++) {
		s = g->server[j];
		if (!s->over || s->mute)
			continue;
		memset(until, 0, sizeof until);
		if (s->sig[Q_DNSKEY] == SIGNATURE_ENDED)
			reply_check(s, Q_DNSKEY, &s->ask[Q_DNSKEY].reply.answer,
			    &until[Q_DNSKEY]);
		for (i = 0; i < g->n_q; i++)
			judge_one(s, i,
			    own[j] != NULL          ? own[j] :
				g->zone->keys.n > 0 ? &g->zone->keys :
						      NULL,
			    &until[i]);
		say_signatures(s, until);
	}
}

/* SPDX-License-Identifier: ISC */
/* Where to ask: lookups by a resolver of our own.  See stage.h. */
#include <stdlib.h>

#include <event2/event.h>
#include <unbound.h>
#include <unbound-event.h>

#include "stage.h"

struct lookup {
	LIST_ENTRY(lookup) entry;
	struct servers_job *job;
	struct wire name;
	int type;
	lookup_got *got;
	void *arg;
	struct event *event;
	int id;
	bool asked, answered, good;
	struct reply reply;
};

static void
lookup_free(struct lookup *l)
{
	LIST_REMOVE(l, entry);
	if (l->asked && !l->answered)
		ub_cancel(l->job->ctx, l->id);
	if (l->event != NULL)
		event_free(l->event);
	free(l);
}

/* From libunbound, perhaps before ub_resolve_event() has returned: it must not
 * be entered again from here. */
static void
lookup_answer(void *arg, int rcode, void *packet, int len, int sec, char *why,
    int ratelimited)
{
	struct lookup *l = arg;
	const uint8_t *p = packet;

	(void)sec;
	(void)why;
	(void)ratelimited;
	l->answered = true;
	l->good = rcode == 0 && p != NULL && len > 12 &&
	    message_read(&l->job->arena, p, (size_t)len, &l->name, l->type,
		(uint16_t)(p[0] << 8 | p[1]), &l->reply) == MESSAGE_READ &&
	    (l->reply.rcode == RCODE_NOERROR ||
		l->reply.rcode == RCODE_NXDOMAIN);
	event_active(l->event, EV_TIMEOUT, 1);
}

static void
lookup_over(int fd, short what, void *arg)
{
	struct lookup *l = arg;
	struct servers_job *job = l->job;

	(void)fd;
	(void)what;
	l->got(job, l->arg, l->good ? &l->reply : NULL);
	lookup_free(l);
	job->pending--;
	job->step(job);
}

void
lookup_start(struct servers_job *job, const struct wire *name, int type,
    lookup_got *got, void *arg)
{
	struct lookup *l = calloc(1, sizeof *l);
	char text[NAME_LEN];

	if (l == NULL) {
		job->report->no_memory = true;
		return;
	}
	LIST_INSERT_HEAD(&job->lookups, l, entry);
	job->pending++;
	l->job = job;
	l->name = *name;
	l->type = type;
	l->got = got;
	l->arg = arg;
	l->event = event_new(job->o->base, -1, 0, lookup_over, l);
	if (l->event == NULL) {
		job->report->no_memory = true;
		job->pending--;
		lookup_free(l);
		return;
	}
	if (dns_name_text(name->data, name->len, text) &&
	    ub_resolve_event(
		job->ctx, text, type, 1, l, lookup_answer, &l->id) == 0)
		l->asked = true;
	else
		event_active(l->event, EV_TIMEOUT, 1);
}

void
lookup_cancel(struct servers_job *job)
{
	struct lookup *l;

	while ((l = LIST_FIRST(&job->lookups)) != NULL)
		lookup_free(l);
}

/* SPDX-License-Identifier: ISC */
/*
 * The mail domains and their listening sockets, and when they listen.
 *
 * A limit is met by not accepting: smtpd's connection waits in the listening
 * socket until a session ends.  Any answer instead would do harm: 421 disables
 * smtpd's route for 15 seconds and more, and 451 to MAIL delays the message by
 * 400, where most sessions end within one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "relay.h"

uint64_t
hub_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

/* ---------------------------------------------------------- when to listen */

/* The limits, anew. */
static void
domain_listen(struct domain *d)
{
	const struct hub *hub = d->hub;
	bool on;

	if (d->accept == NULL)
		return;
	on = !hub->full && d->sessions < hub->set->relay_max_per_domain;
	if (on && d->paused)
		event_add(d->accept, NULL);
	else if (!on && !d->paused)
		event_del(d->accept);
	d->paused = !on;
}

void
domains_listen(struct hub *hub)
{
	bool full = hub->shortage || hub->sessions >= hub->max_sessions;
	struct domain *d;
	size_t i;

	if (hub->full == full)
		return;
	hub->full = full;
	for (i = 0; i < DOMAIN_BUCKETS; i++)
		LIST_FOREACH(d, &hub->domains[i], entry)
			domain_listen(d);
}

/* -------------------------------------------------------- coming and going */

static struct domains *
domain_bucket(struct hub *hub, uint32_t addr)
{
	return &hub->domains[addr % DOMAIN_BUCKETS];
}

static void
domain_close(struct domain *d)
{
	LIST_REMOVE(d, entry);
	event_free(d->accept);
	d->accept = NULL;
	close(d->fd);
	d->fd = -1;
	domain_unref(d);
}

bool
domain_add(struct hub *hub, const struct relay_msg *m, int fd,
    event_callback_fn on_accept)
{
	struct domain *d = calloc(1, sizeof *d);

	domain_remove(hub, m->addr, m->port);
	if (d != NULL)
		d->accept = event_new(
		    hub->base, fd, EV_READ | EV_PERSIST, on_accept, d);
	if (d == NULL || d->accept == NULL) {
		close(fd);
		free(d);
		return false;
	}
	d->hub = hub;
	d->addr = m->addr;
	d->port = (uint16_t)m->port;
	snprintf(d->name, sizeof d->name, "%s", m->domain);
	d->fd = fd;
	d->refs = 1;
	d->paused = true;
	LIST_INSERT_HEAD(domain_bucket(hub, d->addr), d, entry);
	domain_listen(d);
	return true;
}

void
domain_remove(struct hub *hub, uint32_t addr, uint32_t port)
{
	struct domain *d;

	LIST_FOREACH(d, domain_bucket(hub, addr), entry)
		if (d->addr == addr && d->port == port) {
			domain_close(d);
			return;
		}
}

void
domains_remove(struct hub *hub)
{
	struct domain *d;
	size_t i;

	for (i = 0; i < DOMAIN_BUCKETS; i++)
		while ((d = LIST_FIRST(&hub->domains[i])) != NULL)
			domain_close(d);
}

void
domain_ref(struct domain *d)
{
	d->refs++;
}

void
domain_unref(struct domain *d)
{
	if (--d->refs == 0)
		free(d);
}

/* ---------------------------------------------------------------- sessions */

void
domain_enter(struct domain *d)
{
	struct hub *hub = d->hub;

	domain_ref(d);
	d->sessions++;
	hub->sessions++;
	hub->count[COUNT_SESSIONS]++;
	if (hub->sessions >= hub->max_sessions ||
	    d->sessions >= hub->set->relay_max_per_domain)
		hub->count[COUNT_PAUSED]++;
	domains_listen(hub);
	domain_listen(d);
}

void
domain_leave(struct domain *d)
{
	struct hub *hub = d->hub;

	d->sessions--;
	hub->sessions--;
	hub->left = hub_now();
	domains_listen(hub);
	domain_listen(d);
	domain_unref(d);
	if (hub->draining && hub->sessions == 0)
		event_active(hub->idle, 0, 0);
}

void
domain_failed(struct domain *d, const struct refusal *why)
{
	d->failure = *why;
	d->until = hub_now() + d->hub->set->relay_failure_ttl;
}

void
domain_works(struct domain *d)
{
	d->failure.code = 0;
}

const struct refusal *
domain_failure(const struct domain *d)
{
	return d->failure.code != 0 && hub_now() < d->until ? &d->failure :
							      NULL;
}

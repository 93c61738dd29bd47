/* SPDX-License-Identifier: ISC */
/*
 * refresh.c - in a long-lived process, what is used does not grow cold
 *
 * The resolver library answers from its cache until a TTL is over, and has no
 * way to ask before that.  So a lookup that was answered from the cache at
 * least once is asked again at the moment it expires, by itself: the next
 * message finds it there.  What was not used in the meantime is let go, and
 * no more than MAX are watched.
 */
#include <sys/queue.h>

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "module.h"

#define MAX 4096
#define BUCKETS 1024
#define TTL_MIN 5 /* shorter ones are not worth it */

struct watch {
	LIST_ENTRY(watch) entry;
	struct refresh *refresh;
	struct event *timer;
	int type;
	bool used; /* since it was asked */
	char name[];
};

struct refresh {
	struct event_base *base;
	refresh_ask *ask;
	void *arg;
	size_t n;
	LIST_HEAD(watches, watch) bucket[BUCKETS];
};

static struct watches *
refresh_bucket(struct refresh *r, const char *name, int type)
{
	uint32_t h = 2166136261u ^ (uint32_t)type; /* FNV-1a */

	for (; *name != '\0'; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return &r->bucket[h % BUCKETS];
}

static struct watch *
refresh_find(struct refresh *r, const char *name, int type)
{
	struct watch *w;

	LIST_FOREACH(w, refresh_bucket(r, name, type), entry)
		if (w->type == type && strcmp(w->name, name) == 0)
			break;
	return w;
}

static void
refresh_drop(struct watch *w)
{
	LIST_REMOVE(w, entry);
	w->refresh->n--;
	if (w->timer != NULL)
		event_free(w->timer);
	free(w);
}

static void
on_expiry(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	struct refresh *r = w->refresh;

	(void)fd;
	(void)what;
	if (w->used)
		r->ask(r->arg, w->name, w->type);
	else
		refresh_drop(w);
}

static bool
refresh_arm(struct watch *w, uint32_t ttl)
{
	/* a second later: the library counts whole ones */
	struct timeval tv = { (time_t)ttl + 1, 0 };

	return evtimer_add(w->timer, &tv) == 0;
}

static void
refresh_add(struct refresh *r, const char *name, int type, uint32_t ttl)
{
	size_t len = strlen(name) + 1;
	struct watch *w;

	if (r->n >= MAX || (w = calloc(1, sizeof *w + len)) == NULL)
		return;
	w->refresh = r;
	w->type = type;
	memcpy(w->name, name, len);
	LIST_INSERT_HEAD(refresh_bucket(r, name, type), w, entry);
	r->n++;
	w->timer = evtimer_new(r->base, on_expiry, w);
	if (w->timer == NULL || !refresh_arm(w, ttl))
		refresh_drop(w);
}

void
refresh_answered(struct refresh *r, const char *name, int type, uint32_t ttl)
{
	struct watch *w;

	if (r == NULL)
		return;
	if ((w = refresh_find(r, name, type)) != NULL)
		w->used = true;
	else if (ttl >= TTL_MIN)
		refresh_add(r, name, type, ttl);
}

void
refresh_asked(struct refresh *r, const char *name, int type, uint32_t ttl)
{
	struct watch *w = refresh_find(r, name, type);

	if (w == NULL)
		return;
	w->used = false;
	if (ttl < TTL_MIN || !refresh_arm(w, ttl))
		refresh_drop(w);
}

struct refresh *
refresh_new(struct event_base *base, refresh_ask *ask, void *arg)
{
	struct refresh *r = calloc(1, sizeof *r);

	if (r != NULL) {
		r->base = base;
		r->ask = ask;
		r->arg = arg;
	}
	return r;
}

void
refresh_free(struct refresh *r)
{
	struct watch *w;
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < BUCKETS; i++)
		while ((w = LIST_FIRST(&r->bucket[i])) != NULL)
			refresh_drop(w);
	free(r);
}

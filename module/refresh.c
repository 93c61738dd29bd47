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
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "module.h"

#define MAX 4096
#define BUCKETS 1024
#define TTL_MIN 5 /* shorter ones are not worth it */

struct watch {
	struct watch *next;
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
	struct watch *bucket[BUCKETS];
};

static struct watch **
refresh_find(struct refresh *r, const char *name, int type)
{
	uint32_t h = 2166136261u ^ (uint32_t)type; /* FNV-1a */
	struct watch **p;
	const char *s;

	for (s = name; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	for (p = &r->bucket[h % BUCKETS]; *p != NULL; p = &(*p)->next)
		if ((*p)->type == type && strcmp((*p)->name, name) == 0)
			break;
	return p;
}

static void
refresh_drop(struct watch **p)
{
	struct watch *w = *p;

	*p = w->next;
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
		refresh_drop(refresh_find(r, w->name, w->type));
}

static bool
refresh_arm(struct watch *w, uint32_t ttl)
{
	/* a second later: the library counts whole ones */
	struct timeval tv = { (time_t)ttl + 1, 0 };

	return evtimer_add(w->timer, &tv) == 0;
}

static void
refresh_add(struct refresh *r, struct watch **p, const char *name, int type,
    uint32_t ttl)
{
	size_t len = strlen(name) + 1;
	struct watch *w;

	if (r->n >= MAX || (w = calloc(1, sizeof *w + len)) == NULL)
		return;
	memcpy(w->name, name, len);
	w->refresh = r;
	w->type = type;
	w->next = *p;
	*p = w;
	r->n++;
	w->timer = evtimer_new(r->base, on_expiry, w);
	if (w->timer == NULL || !refresh_arm(w, ttl))
		refresh_drop(p);
}

void
refresh_answered(struct refresh *r, const char *name, int type, uint32_t ttl)
{
	struct watch **p;

	if (r == NULL)
		return;
	p = refresh_find(r, name, type);
	if (*p != NULL)
		(*p)->used = true;
	else if (ttl >= TTL_MIN)
		refresh_add(r, p, name, type, ttl);
}

void
refresh_asked(struct refresh *r, const char *name, int type, uint32_t ttl)
{
	struct watch **p = refresh_find(r, name, type);

	if (*p == NULL)
		return;
	(*p)->used = false;
	if (ttl < TTL_MIN || !refresh_arm(*p, ttl))
		refresh_drop(p);
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
	size_t i;

	if (r == NULL)
		return;
	for (i = 0; i < BUCKETS; i++)
		while (r->bucket[i] != NULL)
			refresh_drop(&r->bucket[i]);
	free(r);
}

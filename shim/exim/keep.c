/* SPDX-License-Identifier: ISC */
/*
 * What a process knows of its next hops, and where it has been.  A transport
 * inherits it from the process that routed.
 */
#include <sys/queue.h>

#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shim.h"

#define MAX_KNOWN 65536     /* next hops in one process */
#define SMALL 4096          /* octets: answers of this size always fit */
#define MAX_BIG (16u << 20) /* octets of all that are larger */
#define PATIENCE 60         /* seconds that slow names take */
#define SLOW 5              /* seconds */

struct known {
	const char *profile, *name;            /* behind it */
	const struct danevirke_answer *answer; /* NULL: it failed, why */
	size_t len;                            /* octets of answer */
	time_t again; /* exim_ticks(): a failure counts */
	char *why;
	bool said; /* answer_first() */
};

static void *known; /* a tree, by tsearch(): strangers choose the names */
static size_t n_known, n_big;
/* Exim routes the recipients of a message one after the other: when slow names
 * have had their time, the others do not wait as long for each (D16). */
static time_t wasted; /* seconds */

/* Where this process has been.  A session may still be open: Exim does not
 * tell, when it holds one for more recipients. */
static SLIST_HEAD(, used) used;
struct used {
	SLIST_ENTRY(used) entry;
	const char *name, *address; /* behind it */
};

static int
known_cmp(const void *va, const void *vb)
{
	const struct known *a = va, *b = vb;
	int n = strcmp(a->name, b->name);

	return n != 0 ? n : strcmp(a->profile, b->profile);
}

static struct known *
known_find(const struct hop *h)
{
	struct known key = { .profile = h->profile, .name = h->name };
	struct known **k = tfind(&key, &known, known_cmp);

	return k != NULL ? *k : NULL;
}

const struct danevirke_answer *
answer_known(const struct hop *h)
{
	const struct known *k = known_find(h);

	return k == NULL ? NULL : k->answer;
}

/* D15; a slow failure counts for as long again as it took, so that what waits
 * for the same name in this process does not wait anew. */
static bool
is_fresh(const struct known *k)
{
	struct timespec now;

	return exim_ticks() < k->again ||
	    (k->answer != NULL && clock_gettime(CLOCK_BOOTTIME, &now) == 0 &&
		(uint64_t)now.tv_sec <= k->answer->expires);
}

/* Room for a struct, and behind it two strings. */
static void *
keep_new(size_t size, const char **a, const char **b)
{
	size_t n = strlen(*a) + 1, m = strlen(*b) + 1;
	char *p = calloc(1, size + n + m);

	if (p != NULL) {
		*a = memcpy(p + size, *a, n);
		*b = memcpy(p + size + n, *b, m);
	}
	return p;
}

static struct known *
known_new(const struct hop *h)
{
	const char *profile = h->profile, *name = h->name;
	struct known *k = keep_new(sizeof *k, &profile, &name);

	if (k == NULL)
		return NULL;
	k->profile = profile;
	k->name = name;
	if (tsearch(k, &known, known_cmp) == NULL) {
		free(k);
		return NULL;
	}
	n_known++;
	return k;
}

/* Large ones share a space, so that they are not in the way of small ones. */
static bool
known_fits(const struct known *k, size_t len)
{
	return len <= SMALL ||
	    (len <= MAX_PACKED &&
		n_big - (k->len > SMALL ? k->len : 0) + len <= MAX_BIG);
}

/* The answer, or NULL and why, and how long it took. */
static void
known_set(struct known *k, const struct danevirke_answer *a, size_t len,
    bool slow, time_t took, const char *why)
{
	n_big -= k->len > SMALL ? k->len : 0;
	n_big += len > SMALL ? len : 0;
	free(k->why);
	k->answer = a;
	k->said = false;
	k->len = len;
	k->why = a == NULL ? strdup(why) : NULL;
	k->again = slow && (a == NULL || a->outcome == DANEVIRKE_DEFER) ?
	    exim_ticks() + took :
	    0;
	wasted += slow ? took : 0;
}

const struct danevirke_answer *
answer_route(const struct hop *h, char *why)
{
	const struct danevirke_api *dv = exim_api(why);
	const struct danevirke_answer *a;
	struct known *k = known_find(h);
	time_t began = exim_ticks(), took;
	bool slow = false;
	size_t len;

	if (dv == NULL)
		return NULL;
	if (k != NULL && is_fresh(k)) {
		if (k->answer == NULL)
			snprintf(why, TEXT_LEN, "%s",
			    k->why != NULL ? k->why : "out of memory");
		return k->answer;
	}
	if (k == NULL && n_known >= MAX_KNOWN) {
		snprintf(why, TEXT_LEN, "more than %d domains in one process",
		    MAX_KNOWN);
		return NULL;
	}
	if (k == NULL && (k = known_new(h)) == NULL) {
		snprintf(why, TEXT_LEN, "out of memory");
		return NULL;
	}
	a = answer_ask(h, wasted >= PATIENCE, &slow, why);
	took = exim_ticks() - began;
	len = a == NULL ? 0 : dv->pack(a, NULL, 0);
	if (!known_fits(k, len)) {
		dv->release(a);
		a = NULL;
		len = 0;
		snprintf(why, TEXT_LEN,
		    "the answer does not fit into what one process keeps");
	}
	dv->release(k->answer);
	known_set(k, a, len, slow || took >= SLOW, took, why);
	return a;
}

const struct danevirke_answer *
answer_fresh(const struct hop *h, char *why)
{
	if (h->kind != DANEVIRKE_RELAY && known_find(h) == NULL) {
		snprintf(why, TEXT_LEN,
		    "not routed by danevirke_route in this process");
		return NULL;
	}
	return answer_route(h, why);
}

bool
answer_first(const struct hop *h)
{
	struct known *k = known_find(h);
	bool first = k != NULL && !k->said;

	if (k != NULL)
		k->said = true;
	return first;
}

bool
answer_used(const struct hop *h, const char *address)
{
	const char *name = h->name;
	struct used *u;

	SLIST_FOREACH(u, &used, entry)
		if (strcmp(u->name, name) == 0 &&
		    strcmp(u->address, address) == 0)
			return true;
	if ((u = keep_new(sizeof *u, &name, &address)) == NULL)
		return false;
	u->name = name;
	u->address = address;
	SLIST_INSERT_HEAD(&used, u, entry);
	return true;
}

static bool
has_address(const struct danevirke_answer *a, const char *address)
{
	size_t i, j;

	for (i = 0; i < a->n_hosts; i++)
		for (j = 0; j < a->hosts[i]->n_addrs; j++)
			if (strcmp(a->hosts[i]->addrs[j].text, address) == 0)
				return true;
	return false;
}

static bool
demands_tls(const struct danevirke_answer *a)
{
	size_t i;

	for (i = 0; i < a->n_hosts; i++)
		if (a->hosts[i]->action == DANEVIRKE_ENCRYPT ||
		    a->hosts[i]->action == DANEVIRKE_AUTHENTICATE)
			return true;
	return false;
}

const char *
answer_conflict(const struct hop *h, const struct danevirke_answer *a)
{
	const struct used *u;

	if (!demands_tls(a))
		return NULL;
	SLIST_FOREACH(u, &used, entry)
		if (strcmp(u->name, h->name) != 0 && has_address(a, u->address))
			return u->name;
	return NULL;
}

/* SPDX-License-Identifier: ISC */
/*
 * whole.c - an answer as another process of a user has made it
 *
 * Exim decides anew in each of its processes, and for root a child does, as
 * root parses no packet.  Where only DNS and the configuration have decided, a
 * process leaves the packed answer, and the next one takes it for the time that
 * it holds (D15): root, too, for these are the octets that its child would have
 * sent, checked alike by answer_unpack().
 *
 * The key is all that decides beside DNS: version, configuration, anchor, the
 * machine's addresses, and the question.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "module.h"

#define TYPE_WHOLE 0 /* no RR has it */
#define SECURE 2     /* as libunbound counts; it is the answer that says more */

static struct store *
whole_open(const struct facts *f, uid_t uid)
{
	const char *profile = f->profile->pub.name;
	struct store *s = NULL;
	size_t i;
	struct {
		uint8_t conf[32];
		uint32_t kind, port;
	} q;

	memset(&q, 0, sizeof q);
	memcpy(q.conf, f->conf->sum, sizeof q.conf);
	q.kind = f->kind;
	q.port = f->port;
	if (f->literal || (s = store_open_whole(f->conf, RUNDIR, uid)) == NULL)
		return NULL;
	if (!store_only(s, &q, sizeof q) ||
	    !store_only(s, PACKAGE_VERSION, sizeof PACKAGE_VERSION) ||
	    !store_only(s, profile, strlen(profile)))
		goto bad;
	for (i = 0; i < f->n_local; i++)
		if (!store_only(s, &f->local[i].family, sizeof(int)) ||
		    !store_only(s, f->local[i].ip, sizeof f->local[i].ip))
			goto bad;
	return s;
bad:
	store_close(s);
	return NULL;
}

void
whole_put(const struct facts *f, const struct danevirke_answer *a)
{
	struct store *s = whole_open(f, geteuid());
	char buf[STORE_PAGE];
	size_t len;

	if (s == NULL)
		return;
	len = answer_pack(a, buf, sizeof buf);
	if (len <= sizeof buf)
		store_put(s, f->domain, TYPE_WHOLE, SECURE,
		    (const uint8_t *)buf, len, a->ttl);
	store_close(s);
}

struct danevirke_answer *
whole_get(const struct facts *f, uid_t uid)
{
	struct store *s = whole_open(f, uid);
	struct danevirke_answer *a = NULL;
	struct arena arena = { NULL };
	struct store_hit hit;

	if (s == NULL)
		return NULL;
	if (store_get(s, &arena, f->domain, TYPE_WHOLE, &hit))
		a = (struct danevirke_answer *)(uintptr_t)answer_unpack(
		    hit.packet, hit.len, NULL);
	if (a != NULL) {
		a->ttl = hit.ttl;
		a->expires = store_now() + hit.ttl;
	}
	arena_free(&arena);
	store_close(s);
	return a;
}

void
whole_flush(const struct conf *conf)
{
	struct store *s = store_open_whole(conf, RUNDIR, geteuid());
	size_t n;

	if (s != NULL)
		store_flush(s, NULL, &n);
	store_close(s);
}

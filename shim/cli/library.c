/* SPDX-License-Identifier: ISC */
/*
 * A resolver of the tool's own, set up as the module's is: it tests DNS, and
 * decides nothing.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unbound.h>
#include <unbound-event.h>
#include <unistd.h>

#include "library.h"

/* The library reads forwarders of single zones only from a file.  The names
 * have passed the module: nothing in them is syntax. */
static int
set_zone(struct ub_ctx *ctx, const struct danevirke_zone *z)
{
	char path[64];
	size_t i;
	FILE *f;
	int fd, bad;

	if ((fd = memfd_create("danevirke", MFD_CLOEXEC)) == -1)
		return -1;
	if ((f = fdopen(fd, "w")) == NULL) {
		close(fd);
		return -1;
	}
	fprintf(f, "forward-zone:\n name: \"%s\"\n", z->name);
	for (i = 0; i < z->n_forward; i++)
		fprintf(f, " forward-addr: \"%s\"\n", z->forward[i]);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	bad = fflush(f) != 0 || ub_ctx_config(ctx, path) != 0;
	fclose(f);
	return bad ? -1 : 0;
}

/* Whom to ask. */
static int
set_servers(struct ub_ctx *ctx, const struct danevirke_settings *t)
{
	const struct danevirke_zone *z;
	int bad = 0;
	size_t i;

	for (i = 0; i < t->n_resolver_shun; i++) /* W01 */
		bad |= ub_ctx_set_option(
		    ctx, "do-not-query-address:", t->resolver_shun[i]);
	if (t->resolver_hints != NULL)
		bad |= ub_ctx_set_option(ctx, "root-hints:", t->resolver_hints);
	for (i = 0; i < t->n_resolver_forward; i++)
		bad |= ub_ctx_set_fwd(ctx, t->resolver_forward[i]);
	for (i = 0; i < t->n_resolver_zones; i++) {
		z = &t->resolver_zones[i];
		if (z->insecure)
			bad |= ub_ctx_set_option(
			    ctx, "domain-insecure:", z->name);
		if (z->n_forward > 0)
			bad |= set_zone(ctx, z);
	}
	return bad;
}

static bool
is_loopback(const char *addr)
{
	return strncmp(addr, "127.", 4) == 0 || strcmp(addr, "::1") == 0 ||
	    strncmp(addr, "::1@", 4) == 0;
}

/* Has the configuration servers on this machine itself? */
static bool
library_loopback(const struct danevirke_settings *t)
{
	const struct danevirke_zone *z = t->resolver_zones;
	char line[1024], *word, *save;
	bool found = false;
	FILE *f = NULL;
	size_t i;

	for (i = 0; i < t->n_resolver_forward; i++)
		found |= is_loopback(t->resolver_forward[i]);
	for (; z < t->resolver_zones + t->n_resolver_zones; z++)
		for (i = 0; i < z->n_forward; i++)
			found |= is_loopback(z->forward[i]);
	if (t->resolver_hints != NULL)
		f = fopen(t->resolver_hints, "re");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		for (word = strtok_r(line, " \t\r\n", &save); word != NULL;
		     word = strtok_r(NULL, " \t\r\n", &save))
			found |= is_loopback(word);
	if (f != NULL)
		fclose(f);
	return found;
}

struct ub_ctx *
library_new(const struct danevirke_settings *t, struct event_base *base,
    const struct library_option *o)
{
	struct ub_ctx *ctx;
	int bad = 0;

	ctx = base != NULL ? ub_ctx_create_event(base) : ub_ctx_create();
	if (ctx == NULL)
		return NULL;
	ub_ctx_debugout(ctx, NULL);
	bad |= ub_ctx_set_option(ctx, "edns-buffer-size:", "1232");
	bad |= ub_ctx_set_option(ctx, "trust-anchor-signaling:", "no");
	bad |= ub_ctx_set_option(ctx, "qname-minimisation:", "no");
	for (; o->name != NULL; o++)
		bad |= ub_ctx_set_option(ctx, o->name, o->value);
	bad |= set_servers(ctx, t);
	/* a stranger's NS record must not make us ask this machine */
	bad |= ub_ctx_set_option(
	    ctx, "do-not-query-localhost:", library_loopback(t) ? "no" : "yes");
	if (bad == 0)
		return ctx;
	ub_ctx_delete(ctx);
	return NULL;
}

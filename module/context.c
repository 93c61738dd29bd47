/* SPDX-License-Identifier: ISC */
/*
 * context.c - the configuration to a context of libunbound
 *
 * What decides whether an answer can be believed is set here, whatever the
 * library's defaults are or become: the validator, the trust anchor (D05), the
 * servers (D01) and what is not answered from its own tables (D14).
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unbound.h>
#include <unbound-event.h>
#include <unistd.h>

#include "module.h"
#include "packet.h"

struct option {
	const char *name, *value;
};

static const struct option options[] = {
	{ "module-config:", "validator iterator" },
	/* what must hold whatever the library's default becomes */
	{ "val-permissive-mode:", "no" },
	{ "val-clean-additional:", "yes" },
	{ "val-log-level:", "2" }, /* fills why_bogus (P04) */
	{ "ignore-cd-flag:", "yes" },
	{ "harden-glue:", "yes" },
	{ "harden-dnssec-stripped:", "yes" },
	{ "harden-below-nxdomain:", "yes" },
	{ "harden-algo-downgrade:", "no" }, /* RFC 6840 5.11 */
	{ "harden-referral-path:", "no" },
	{ "serve-expired:", "no" }, /* D15 */
	{ "prefetch:", "no" },
	/* a zone's keys on the way down, not when all else has come */
	{ "prefetch-key:", "yes" },
	/* names whose answer would say "insecure" about itself */
	{ "root-key-sentinel:", "no" },
	{ "trust-anchor-signaling:", "no" },
	/* D14: nothing is answered from built-in tables; the zones that this
	 * does not cover are removed by hand */
	{ "unblock-lan-zones:", "yes" },
	{ "insecure-lan-zones:", "no" },
	/* It costs a round trip for AAAA and three for TLSA records, to hide
	 * names from the domain's own servers, who must learn them anyway. */
	{ "qname-minimisation:", "no" },
	{ "edns-buffer-size:", "1232" },
	{ "do-udp:", "yes" },
	{ "do-tcp:", "yes" },
	{ "minimal-responses:", "no" }, /* the SOA of a denial */
	{ "rrset-roundrobin:", "no" },
	/* D15: TTLs capped, failures kept for seconds */
	{ "cache-max-ttl:", "86400" },
	{ "cache-min-ttl:", "0" },
	{ "cache-max-negative-ttl:", "3600" },
	{ "val-bogus-ttl:", "5" },
	{ "infra-host-ttl:", "60" },
	/* light: most processes live for one message */
	{ "target-fetch-policy:", "0 0 0 0 0" },
	{ "outgoing-num-tcp:", "8" },
	{ "msg-cache-size:", "2m" },
	{ "rrset-cache-size:", "4m" },
	{ "key-cache-size:", "1m" },
	{ "neg-cache-size:", "512k" },
	{ "infra-cache-numhosts:", "2000" },
};

/* RFC 6761 and 8375 names that libunbound answers by itself.  "onion" stays:
 * it must never be asked for (RFC 7686 2). */
static const char *const builtin[] = { "localhost.", "test.", "invalid.",
	"home.arpa.", "127.in-addr.arpa." };

/* 127.0.0.0/8 or ::1, as "address" or "address@port". */
static bool
is_loopback(const char *addr)
{
	size_t len = strcspn(addr, "@");

	return strncmp(addr, "127.", 4) == 0 ||
	    (len == 3 && strncmp(addr, "::1", 3) == 0);
}

static bool
any_loopback(char *const *addr, size_t n)
{
	for (; n > 0; addr++, n--)
		if (is_loopback(*addr))
			return true;
	return false;
}

/* Does a root hint point to this machine?  A zone file of a few dozen lines;
 * the addresses are the last words of their lines. */
static int
hints_loopback(const char *path, bool *loopback, struct danevirke_error *err)
{
	char line[1024], *word, *last;
	FILE *f;

	if ((f = fopen(path, "re")) == NULL)
		return fail(
		    err, DANEVIRKE_ECONF, "%s: resolver.root_hints: %m", path);
	while (fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, ";\r\n")] = '\0';
		for (word = strtok_r(line, " \t", &last); word != NULL;
		     word = strtok_r(NULL, " \t", &last))
			if (is_loopback(word))
				*loopback = true;
	}
	fclose(f);
	return DANEVIRKE_OK;
}

static int
context_set(struct ub_ctx *ctx, const char *name, const char *value,
    struct danevirke_error *err)
{
	int rc;

	if ((rc = ub_ctx_set_option(ctx, name, value)) != 0)
		return fail(err, DANEVIRKE_EDNS, "resolver: option %s %s: %s",
		    name, value, ub_strerror(rc));
	return DANEVIRKE_OK;
}

/* The library reads servers of single zones only from a file. */
static int
set_text(struct ub_ctx *ctx, const char *text, size_t len,
    struct danevirke_error *err)
{
	char path[64];
	int fd, rc;

	if ((fd = memfd_create("danevirke", MFD_CLOEXEC)) == -1)
		return fail(err, DANEVIRKE_ENOMEM, "resolver: %m");
	if (write(fd, text, len) != (ssize_t)len) {
		close(fd);
		return fail(err, DANEVIRKE_ENOMEM, "resolver: out of memory");
	}
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	rc = ub_ctx_config(ctx, path);
	close(fd);
	if (rc != 0)
		return fail(err, DANEVIRKE_EDNS,
		    "resolver: zones: %s (is /proc there?)", ub_strerror(rc));
	return DANEVIRKE_OK;
}

/* What may stand in the text: conf.c lets nothing else through, and here it
 * would be syntax. */
static bool
context_safe(const char *s)
{
	return *s != '\0' &&
	    strspn(s,
		"abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:@%") == strlen(s);
}

static int
set_zone(
    struct ub_ctx *ctx, const struct conf_zone *z, struct danevirke_error *err)
{
	struct arena arena = { NULL };
	char *text;
	size_t i;
	int code = DANEVIRKE_OK;

	/* D01: the only way to be outside DNSSEC without a proof */
	if (z->insecure)
		code = context_set(ctx, "domain-insecure:", z->name, err);
	if (code != DANEVIRKE_OK || z->n_forward == 0)
		return code;
	if (!context_safe(z->name))
		return fail(err, DANEVIRKE_EDNS,
		    "resolver.zones: \"%s\": want a domain name", z->name);
	text = arena_printf(&arena, "forward-zone:\n name: \"%s\"\n", z->name);
	for (i = 0; i < z->n_forward && text != NULL; i++) {
		if (!context_safe(z->forward[i])) {
			arena_free(&arena);
			return fail(err, DANEVIRKE_EDNS,
			    "resolver.zones: \"%s\": want address@port",
			    z->forward[i]);
		}
		text = arena_printf(
		    &arena, "%s forward-addr: \"%s\"\n", text, z->forward[i]);
	}
	if (text == NULL)
		code = fail(err, DANEVIRKE_ENOMEM, "out of memory");
	else
		code = set_text(ctx, text, strlen(text), err);
	arena_free(&arena);
	return code;
}

static int
set_servers(
    struct ub_ctx *ctx, const struct conf *conf, struct danevirke_error *err)
{
	bool loopback = any_loopback(conf->forward, conf->n_forward);
	size_t i;
	int code, rc;

	for (i = 0; i < conf->n_forward; i++)
		if ((rc = ub_ctx_set_fwd(ctx, conf->forward[i])) != 0)
			return fail(err, DANEVIRKE_EDNS,
			    "resolver.forward: \"%s\": %s", conf->forward[i],
			    ub_strerror(rc));
	for (i = 0; i < conf->n_zones; i++) {
		loopback |= any_loopback(
		    conf->zones[i].forward, conf->zones[i].n_forward);
		if ((code = set_zone(ctx, &conf->zones[i], err)) != 0)
			return code;
	}
	if (conf->root_hints != NULL) {
		if ((code = hints_loopback(conf->root_hints, &loopback, err)) !=
			0 ||
		    (code = context_set(
			 ctx, "root-hints:", conf->root_hints, err)) != 0)
			return code;
	}
	for (i = 0; i < conf->settings.n_resolver_shun; i++) /* W01 */
		if ((code = context_set(ctx, "do-not-query-address:",
			 conf->settings.resolver_shun[i], err)) != 0)
			return code;
	/* A stranger's NS record must not make us ask this machine. */
	return context_set(
	    ctx, "do-not-query-localhost:", loopback ? "no" : "yes", err);
}

static int
context_configure(struct ub_ctx *ctx, const struct conf *conf, bool many,
    const char *hints, struct danevirke_error *err)
{
	const struct option *o;
	size_t i, n;
	int code, rc;

	/* sockets at a time: what finds none waits for a silent server's */
	if ((code = context_set(
		 ctx, "outgoing-range:", many ? "512" : "64", err)) != 0)
		return code;
	for (o = options; o < options + sizeof options / sizeof *o; o++)
		if ((code = context_set(ctx, o->name, o->value, err)) != 0)
			return code;
	/* D05: once more, for the file may have changed since open() read it,
	 * and the library takes an empty one for "all is insecure" */
	if ((code = conf_anchor(conf->trust_anchor, &n, NULL, NULL, err)) != 0)
		return code;
	if ((rc = ub_ctx_add_ta_file(ctx, conf->trust_anchor)) != 0)
		return fail(err, DANEVIRKE_EANCHOR, "%s: %s",
		    conf->trust_anchor, ub_strerror(rc));
	if ((code = set_servers(ctx, conf, err)) != 0 ||
	    (hints != NULL &&
		(code = set_text(ctx, hints, strlen(hints), err)) != 0))
		return code;
	/* The first of these also finalises the context. */
	for (i = 0; i < sizeof builtin / sizeof *builtin; i++)
		if ((rc = ub_ctx_zone_remove(ctx, builtin[i])) != 0)
			return fail(err, DANEVIRKE_EDNS,
			    "resolver: %s (trust anchor %s)", ub_strerror(rc),
			    conf->trust_anchor);
	return DANEVIRKE_OK;
}

struct ub_ctx *
context_new(const struct conf *conf, struct event_base *base, bool many,
    const char *hints, struct danevirke_error *err)
{
	struct ub_ctx *ctx;

	if ((ctx = ub_ctx_create_event(base)) == NULL) {
		fail(err, DANEVIRKE_EDNS,
		    "resolver: cannot be made: out of memory or descriptors");
		return NULL;
	}
	/* before anything that may have something to say: no stderr */
	ub_ctx_debugout(ctx, NULL);
	if (context_configure(ctx, conf, many, hints, err) == DANEVIRKE_OK)
		return ctx;
	ub_ctx_delete(ctx);
	return NULL;
}

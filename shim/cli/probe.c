/* SPDX-License-Identifier: ISC */
/*
 * What a mail server needs of DNS, asked one by one, so that the one that is
 * in the way (a forwarder that strips signatures, a firewall, the clock) can
 * be named.  Each probe has a resolver of its own: nothing is in a cache.
 */
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unbound.h>

#include "cli.h"
#include "probe.h"
#include "library.h"
#include "signature.h"

#define SECONDS 20

struct way {
	const struct danevirke_settings *settings;
	bool tcp;
	bool any_date; /* signatures of any time */
};

struct waiting {
	bool done;
	int err;
	struct ub_result *r;
};

static void
on_result(void *arg, int err, struct ub_result *r)
{
	struct waiting *w = arg;

	w->done = true;
	w->err = err;
	w->r = r;
}

static struct ub_ctx *
probe_resolver(const struct way *w)
{
	const struct library_option options[] = {
		{ "module-config:", "validator iterator" },
		{ "val-log-level:", "2" },
		{ "tcp-upstream:", w->tcp ? "yes" : "no" },
		{ "val-override-date:", w->any_date ? "-1" : "0" },
		{ NULL, NULL },
	};
	struct ub_ctx *ctx;

	if ((ctx = library_new(w->settings, NULL, options)) == NULL)
		return NULL;
	if (ub_ctx_add_ta_file(ctx, w->settings->resolver_anchor) == 0 &&
	    ub_ctx_async(ctx, 1) == 0) /* a thread: the tool may have one */
		return ctx;
	ub_ctx_delete(ctx);
	return NULL;
}

static time_t
probe_uptime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* 0 and *r, or -1 with why.  *ctx is the caller's to delete, if not NULL. */
static int
probe_lookup(const struct way *way, const char *name, int type,
    struct ub_ctx **ctx, struct ub_result **r, char *why, size_t len)
{
	struct waiting w = { .r = NULL };
	time_t end = probe_uptime() + SECONDS;
	struct pollfd p = { .events = POLLIN };
	int rc;

	*r = NULL;
	if ((*ctx = probe_resolver(way)) == NULL) {
		snprintf(why, len, "the resolver library refused to start");
		return -1;
	}
	rc = ub_resolve_async(*ctx, name, type, 1, &w, on_result, NULL);
	p.fd = ub_fd(*ctx);
	while (rc == 0 && !w.done && probe_uptime() < end) {
		if (poll(&p, 1, 1000) > 0)
			rc = ub_process(*ctx);
	}
	if (rc == 0 && w.done && w.err == 0 && w.r != NULL) {
		*r = w.r;
		return 0;
	}
	if (rc == 0 && !w.done)
		snprintf(why, len, "no answer within %d seconds", SECONDS);
	else
		snprintf(why, len, "%s", ub_strerror(rc != 0 ? rc : w.err));
	return -1;
}

static void
probe_explain(
    const struct way *w, const struct ub_result *r, char *text, size_t len)
{
	const char *whom = w->settings->n_resolver_forward > 0 ?
	    "the forwarders" :
	    "the root servers";

	if (r->bogus)
		snprintf(text, len, "bogus: %.300s",
		    r->why_bogus == NULL ? "" : r->why_bogus);
	else if (r->rcode == 2)
		snprintf(text, len,
		    "no usable answer from %s: is %s 53 open, "
		    "and do they serve DNSSEC?",
		    whom, w->tcp ? "TCP port" : "UDP port");
	else
		snprintf(text, len,
		    "answer without DNSSEC (rcode %d): %s strip signatures",
		    r->rcode, whom);
}

/* The root's keys; true: secure */
static bool
probe_keys(const struct way *w, struct probe *p, const char *name)
{
	struct ub_ctx *ctx;
	struct ub_result *r;

	memset(p, 0, sizeof *p);
	p->name = name;
	if (probe_lookup(
		w, ".", TYPE_DNSKEY, &ctx, &r, p->text, sizeof p->text) == 0) {
		p->good = r->secure && r->havedata && !r->bogus;
		if (!p->good)
			probe_explain(w, r, p->text, sizeof p->text);
	}
	ub_resolve_free(r);
	ub_ctx_delete(ctx);
	return p->good;
}

/* A top-level domain that does not exist: NSEC from the root */
static void
probe_denial(const struct way *w, struct probe *p)
{
	struct ub_ctx *ctx;
	struct ub_result *r;

	memset(p, 0, sizeof *p);
	p->name = "signed denial";
	if (probe_lookup(w, "danevirke-probe.", 1, &ctx, &r, p->text,
		sizeof p->text) == 0) {
		p->good = r->secure && !r->bogus && !r->havedata;
		if (!p->good)
			probe_explain(w, r, p->text, sizeof p->text);
	}
	ub_resolve_free(r);
	ub_ctx_delete(ctx);
}

/* Keys that are good at any time but not now: the clock, or stale data */
static void
probe_clock(const struct way *way, bool keys, struct probe *p)
{
	struct probe again;
	struct way w = *way;
	char now[32];

	memset(p, 0, sizeof *p);
	p->name = "clock";
	p->good = keys;
	if (keys)
		return;
	w.any_date = true;
	time_text(time(NULL), now);
	if (probe_keys(&w, &again, ""))
		snprintf(p->text, sizeof p->text,
		    "the root's signatures are "
		    "good, but not at this time: is the clock right? now = %s",
		    now);
	else
		snprintf(p->text, sizeof p->text,
		    "cannot be told without the root keys; now = %s", now);
}

/* Does a DS line with this tag, or a DNSKEY line with this key, stand in the
 * file?  It was checked by open(), so this looks at words only. */
static bool
anchor_has(FILE *f, const uint8_t *rdata, size_t len)
{
	char line[4096], *w, *save;
	gnutls_datum_t key = { (uint8_t *)(uintptr_t)rdata + 4,
		(unsigned)len - 4 },
		       b64 = { NULL, 0 };
	unsigned tag = signature_key_tag(rdata, len);
	bool ds, found = false;

	if (gnutls_base64_encode2(&key, &b64) != 0)
		return false;
	rewind(f);
	while (!found && fgets(line, sizeof line, f) != NULL) {
		line[strcspn(line, ";\r\n")] = '\0';
		ds = false;
		for (w = strtok_r(line, " \t()", &save); w != NULL;
		     w = strtok_r(NULL, " \t()", &save)) {
			if (ds && strtoul(w, NULL, 10) == tag)
				found = true;
			ds = strcasecmp(w, "DS") == 0;
			if (strcmp(w, (char *)b64.data) == 0)
				found = true;
		}
	}
	gnutls_free(b64.data);
	return found;
}

/* A new key of the root will one day be the only one (RFC 5011). */
static void
probe_anchor(const struct way *w, struct probe *p)
{
	struct ub_ctx *ctx;
	struct ub_result *r;
	FILE *f = NULL;
	int i;

	memset(p, 0, sizeof *p);
	p->name = "trust anchor";
	if (probe_lookup(
		w, ".", TYPE_DNSKEY, &ctx, &r, p->text, sizeof p->text) != 0 ||
	    !r->secure)
		snprintf(p->text, sizeof p->text,
		    "cannot be told without the root keys");
	else if ((f = fopen(w->settings->resolver_anchor, "re")) == NULL)
		snprintf(p->text, sizeof p->text, "%s: %s",
		    w->settings->resolver_anchor, strerror(errno));
	else
		p->good = true;
	for (i = 0; p->good && r->data[i] != NULL; i++) {
		const uint8_t *d = (const uint8_t *)r->data[i];

		/* SEP set, REVOKE not: what a DS will point at */
		if (r->len[i] < 5 || (d[1] & 0x01) == 0 || (d[1] & 0x80) != 0 ||
		    anchor_has(f, d, (size_t)r->len[i]))
			continue;
		p->good = false;
		snprintf(p->text, sizeof p->text,
		    "the root publishes key %u, "
		    "which %s lacks: update it (Debian: dns-root-data)",
		    signature_key_tag(d, (size_t)r->len[i]),
		    w->settings->resolver_anchor);
	}
	if (f != NULL)
		fclose(f);
	ub_resolve_free(r);
	ub_ctx_delete(ctx);
}

size_t
probe_run(const struct danevirke_settings *settings, struct probe p[PROBE_MAX])
{
	struct way w = { .settings = settings };
	bool keys;

	out_wait("root keys over UDP");
	keys = probe_keys(&w, &p[0], "root keys over UDP");
	w.tcp = true;
	out_wait("root keys over TCP");
	probe_keys(&w, &p[1], "root keys over TCP");
	w.tcp = false;
	out_wait("signed denial");
	probe_denial(&w, &p[2]);
	out_wait("clock, trust anchor");
	probe_clock(&w, keys, &p[3]);
	probe_anchor(&w, &p[4]);
	out_wait(NULL);
	return PROBE_MAX;
}

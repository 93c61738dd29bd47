/* SPDX-License-Identifier: ISC */
/* danevirke route: what the module answers a mail server, for a person. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "module.h"

const char usage_route[] =
    "usage: danevirke route [--profile NAME] [--port N] [--json] DOMAIN...\n"
    "       danevirke route [--profile NAME] [--port N] [--json] --host NAME\n"
    "           [--host NAME]...\n"
    "\n"
    "The route of mail to each domain, and what the module tells a mail server to\n"
    "do with each host: DNSSEC states, addresses, base domain, TLSA records.\n"
    "\n"
    "  --host NAME         a relay host set by the administrator: no MX lookup;\n"
    "                      once for each, and no DOMAIN beside it\n"
    "  --port N            TCP port, 25 if not given\n"
    "  --profile NAME      profile of danevirke.conf, \"default\" if not given\n"
    "  --limit SECONDS     for a name, 120 if not given\n"
    "  --json              one JSON object\n"
    "  --config FILE       danevirke.conf to use\n"
    "  --module FILE       danevirke.so to use\n"
    "\n"
    "Exit status: 0 every domain has a route, 1 mail to one of them would be\n"
    "delayed or returned, 2 could not be asked.\n";

enum { O_HOST = 1, O_PORT, O_PROFILE, O_LIMIT };
static const struct opt opts[] = { { O_HOST, "host", OPT_MANY },
	{ O_PORT, "port", OPT_ONE }, { O_PROFILE, "profile", OPT_ONE },
	{ O_LIMIT, "limit", OPT_ONE }, { 0, NULL, OPT_NONE } };

struct route_job {
	struct danevirke_question *q;
	size_t n;
	unsigned long port, limit;
	const char *profile;
};

static const char *
outcome_word(enum danevirke_outcome o)
{
	static const char *const words[] = { [DANEVIRKE_DEFER] = "defer",
		[DANEVIRKE_ROUTE] = "route",
		[DANEVIRKE_NULL_MX] = "null-mx",
		[DANEVIRKE_NO_DOMAIN] = "no-domain",
		[DANEVIRKE_LOOP] = "loop" };

	return words[(unsigned)o <= DANEVIRKE_LOOP ? o : DANEVIRKE_DEFER];
}

static const struct route_action {
	const char *word, *text;
} actions[] = {
	[DANEVIRKE_HOST_DEFER] = { "defer", "not used now" },
	[DANEVIRKE_OPPORTUNISTIC] = { "opportunistic",
	    "TLS if it is offered, else in the clear" },
	[DANEVIRKE_ENCRYPT] = { "encrypt", "TLS required, any certificate" },
	[DANEVIRKE_AUTHENTICATE] = { "authenticate",
	    "TLS required, the certificate must match TLSA" },
};

static const struct route_action *
action_of(enum danevirke_action a)
{
	return &actions[(unsigned)a <= DANEVIRKE_AUTHENTICATE ?
		a :
		DANEVIRKE_HOST_DEFER];
}

/* The verdict word of the log if the host does its part */
static const char *
route_verdict(struct cli *c, const struct danevirke_answer *a,
    const struct danevirke_host *h)
{
	return c->dv->log_word(a, h, h->action != DANEVIRKE_HOST_DEFER,
	    h->action == DANEVIRKE_AUTHENTICATE);
}

static void
route_json_host(struct cli *c, struct json *j, const struct danevirke_answer *a,
    const struct danevirke_host *h)
{
	size_t i;

	json_object(j, NULL);
	json_string(j, "name", h->name);
	json_int(j, "preference", h->preference);
	json_int(j, "port", h->port);
	json_string(j, "action", action_of(h->action)->word);
	json_string(j, "would", action_of(h->would)->word);
	json_string(j, "verdict", route_verdict(c, a, h));
	json_string(j, "addresses_state", dnssec_name(h->state));
	json_array(j, "addresses");
	for (i = 0; i < h->n_addrs; i++)
		json_string(j, NULL, h->addrs[i].text);
	json_end_array(j);
	json_string(j, "base", h->base);
	json_array(j, "names");
	for (i = 0; i < h->n_names; i++)
		json_string(j, NULL, h->names[i]);
	json_end_array(j);
	records_json(j, h);
	json_string(j, "result", c->dv->result_name(h->result));
	json_bool(j, "mta_sts_listed", h->mta_sts_listed == 1);
	json_string(j, "ca_file", h->ca_file);
	json_string(j, "reason", h->reason);
	json_end_object(j);
}

static void
route_json(struct cli *c, struct json *j, const struct danevirke_answer *a)
{
	size_t i;

	json_object(j, NULL);
	json_string(j, "domain", a->domain);
	json_string(j, "final", a->final);
	json_string(j, "outcome", outcome_word(a->outcome));
	json_string(j, "would", outcome_word(a->would));
	json_string(j, "mx_state", dnssec_name(a->state));
	json_bool(j, "implicit_mx", a->implicit_mx == 1);
	json_bool(j, "insecure_mx", a->insecure_mx == 1);
	json_string(j, "level", level_name(a->level));
	json_string(j, "profile", a->profile);
	json_string(j, "exception", a->exception);
	json_int(j, "ttl", a->ttl);
	json_string(j, "mta_sts", mta_sts_name(a->mta_sts));
	json_array(j, "mta_sts_mx");
	for (i = 0; i < a->n_mta_sts_mx; i++)
		json_string(j, NULL, a->mta_sts_mx[i]);
	json_end_array(j);
	json_string(j, "tlsrpt", a->tlsrpt_record);
	json_string(j, "result", c->dv->result_name(a->result));
	json_string(j, "reason", a->reason);
	json_array(j, "hosts");
	for (i = 0; i < a->n_hosts; i++)
		route_json_host(c, j, a, a->hosts[i]);
	json_end_array(j);
	json_end_object(j);
}

/* "TLSA 3 1 1 HEX (DANE-EE SPKI SHA2-256)", or as much as there is. */
static void
route_record(const struct danevirke_host *h, size_t i)
{
	const struct danevirke_tlsa *t = &h->tlsa[i];
	const uint8_t kind[3] = { t->usage, t->selector, t->matching };
	unsigned n = record_octets(h, i), k;
	char name[64], *hex;

	out_print("    TLSA");
	for (k = 0; k < n; k++)
		out_print(" %u", kind[k]);
	if (n < 3) {
		out_print(" (%u octets): ", n);
		return;
	}
	record_name(kind, name, sizeof name);
	hex = record_hex(t->data, t->len);
	out_print(" %s (%s): ", hex == NULL ? "?" : hex, name);
	free(hex);
}

static void
route_tlsa(struct cli *c, const struct danevirke_host *h)
{
	const struct danevirke_tlsa *t;
	size_t i;

	for (i = 0; i < h->n_tlsa; i++) {
		t = &h->tlsa[i];
		route_record(h, i);
		/* Q05: shown, but they do not count */
		if (h->tlsa_state != DANEVIRKE_SECURE)
			out_colour(c, OUT_WARN, "ignored: insecure");
		else if (t->use == 1)
			out_colour(c, OUT_GOOD, "usable");
		else
			out_colour(
			    c, OUT_WARN, t->why == NULL ? "unusable" : t->why);
		out_print("\n");
	}
}

static void
route_host(struct cli *c, const struct danevirke_answer *a,
    const struct danevirke_host *h)
{
	char beside[300];
	size_t i;

	c->dv->log_beside(a, h, 1, 1, beside, sizeof beside);
	out_print("  %u ", h->preference);
	out_colour(c, OUT_BOLD, h->name);
	out_print(":%u: ", h->port);
	out_colour(c,
	    h->action == DANEVIRKE_AUTHENTICATE   ? OUT_GOOD :
		h->action == DANEVIRKE_HOST_DEFER ? OUT_BAD :
						    OUT_WARN,
	    route_verdict(c, a, h));
	out_print("%s: %s\n    %s\n    addresses (%s):", beside,
	    h->action == DANEVIRKE_AUTHENTICATE && h->ca_file != NULL ?
		"TLS required, the certificate must satisfy MTA-STS" :
		action_of(h->action)->text,
	    h->reason, dnssec_name(h->state));
	for (i = 0; i < h->n_addrs; i++)
		out_print(" %s", h->addrs[i].text);
	out_print("%s\n", h->n_addrs == 0 ? " none" : "");
	if (h->ca_file != NULL)
		out_print("    certificate: %s, from a CA of %s\n", h->name,
		    h->ca_file);
	else if (h->base != NULL) {
		out_print("    base domain: %s; names accepted for usage 2:",
		    h->base);
		for (i = 0; i < h->n_names; i++)
			out_print(" %s", h->names[i]);
		out_print("%s\n", h->n_names == 0 ? " none" : "");
	}
	route_tlsa(c, h);
}

static void
route_text(
    struct cli *c, const struct danevirke_answer *a, enum danevirke_kind kind)
{
	const char *word = outcome_word(a->outcome);
	size_t i;

	out_colour(c, OUT_BOLD, a->domain);
	out_print(": ");
	out_colour(c, a->outcome == DANEVIRKE_ROUTE ? OUT_GOOD : OUT_BAD, word);
	out_print(": %s\n", a->reason);
	if (kind == DANEVIRKE_DOMAIN)
		out_print("  MX %s%s", dnssec_name(a->state),
		    a->implicit_mx == 1 ? ", none: the domain itself" : "");
	else
		out_print("  relay host");
	if (strcmp(a->final, a->domain) != 0)
		out_print(", alias of %s", a->final);
	out_print(", TTL %u, profile %s, level %s%s%s\n", a->ttl, a->profile,
	    level_name(a->level), a->exception == NULL ? "" : ", exception: ",
	    a->exception == NULL ? "" : a->exception);
	if (a->mta_sts_reason != NULL)
		out_print("  %s\n", a->mta_sts_reason);
	if (a->tlsrpt_record != NULL)
		out_print("  TLSRPT %s\n", a->tlsrpt_record);
	for (i = 0; i < a->n_hosts; i++)
		route_host(c, a, a->hosts[i]);
}

static int
route_ask(struct cli *c, const struct danevirke *e, struct route_job *job)
{
	struct danevirke_error err = { 0, "" };
	const struct danevirke_answer *a;
	struct json j = { 0 };
	int status = EXIT_GOOD;
	size_t i;

	if (c->json) {
		json_object(&j, NULL);
		json_array(&j, "routes");
	}
	for (i = 0; i < job->n; i++) {
		a = cli_ask(c, e, &job->q[i], job->limit, &err);
		if (a == NULL) {
			cli_warn(c, "%s: %s", job->q[i].name, err.text);
			if (c->json) {
				json_object(&j, NULL);
				json_string(&j, "domain", job->q[i].name);
				json_string(&j, "outcome", "defer");
				json_string(&j, "error", err.text);
				json_end_object(&j);
			}
			status = EXIT_UNTESTED;
			continue;
		}
		if (a->outcome != DANEVIRKE_ROUTE && status == EXIT_GOOD)
			status = EXIT_PROBLEM;
		if (c->json)
			route_json(c, &j, a);
		else
			route_text(c, a, job->q[i].kind);
		c->dv->release(a);
		if (!c->json && !out_flush())
			break;
	}
	if (c->json) {
		json_end_array(&j);
		json_end_object(&j);
	}
	return status;
}

static int
route_add(struct cli *c, struct route_job *job, enum danevirke_kind kind,
    const char *name)
{
	struct danevirke_question *q;

	q = reallocarray(job->q, job->n + 1, sizeof *q);
	if (q == NULL)
		return cli_error(c, "out of memory");
	job->q = q;
	q += job->n++;
	memset(q, 0, sizeof *q);
	q->size = sizeof *q;
	q->kind = kind;
	q->name = name;
	return 0;
}

/* "--host A B" is meant to be two hosts, and would be a host and a domain. */
static bool
route_one_kind(struct cli *c, const struct route_job *job)
{
	size_t i;

	for (i = 1; i < job->n; i++)
		if (job->q[i].kind != job->q[0].kind) {
			cli_error(c,
			    "\"%s\": mail domains beside --host: for another "
			    "relay host want another --host, and a call of "
			    "its own for a domain",
			    job->q[job->q[0].kind == DANEVIRKE_RELAY ? i : 0]
				.name);
			return false;
		}
	return true;
}

static int
route_run(struct cli *c, void *arg)
{
	struct route_job *job = arg;
	struct danevirke *e;
	size_t i;
	int status;

	if (job->n == 0)
		return cli_error(
		    c, "no name: want a mail domain, or --host NAME");
	if (!route_one_kind(c, job))
		return EXIT_UNTESTED;
	if ((e = cli_open(c, NULL)) == NULL)
		return EXIT_UNTESTED;
	if (c->dv->profile(e, job->profile) == NULL)
		status = cli_error(c, "--profile %s: no such profile in %s",
		    job->profile, c->dv->settings(e)->config);
	else {
		for (i = 0; i < job->n; i++) {
			job->q[i].port = (uint16_t)job->port;
			job->q[i].profile = job->profile;
		}
		status = route_ask(c, e, job);
	}
	c->dv->close(e);
	return status;
}

static int
route_option(struct cli *c, void *arg, int id, const char *value)
{
	struct route_job *job = arg;

	switch (id) {
	case O_HOST:
		return route_add(c, job, DANEVIRKE_RELAY, value);
	case O_PORT:
		return opt_number(c, "port", value, 1, 65535, &job->port);
	case O_LIMIT:
		return opt_number(c, "limit", value, 1, 3600, &job->limit);
	case O_PROFILE:
		job->profile = value;
		return 0;
	}
	return route_add(c, job, DANEVIRKE_DOMAIN, value);
}

int
cmd_route(struct cli *c)
{
	struct route_job job = { .port = 25, .limit = 120 };
	int status = opt_run(c, opts, route_option, route_run, &job);

	free(job.q);
	return status;
}

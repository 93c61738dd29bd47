/* SPDX-License-Identifier: ISC */
/*
 * danevirke rollover: may this certificate be installed now?  (L01, L02, L03,
 * RFC 7671 8.1.)  In call order: what the command line says, what DNS shows
 * (the module's answer for the host), since when (state.c), the judgement for
 * each group of records, and what is said of it (advice.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rollover.h"

const char usage_rollover[] =
    "usage: danevirke rollover --cert NEW --host MX [--port N]\n"
    "           [--state FILE | --published-since RFC3339] [--at RFC3339] [--json]\n"
    "\n"
    "May the new certificate be installed now?  Looks at the TLSA records of the\n"
    "host, validated by the module, and at how long they have been visible: each\n"
    "group of them (usage, selector, matching type) must hold a record of the new\n"
    "certificate, for two TTLs at least.\n"
    "\n"
    "  --cert NEW          the new certificate, or better the whole chain as the\n"
    "                      server will send it, leaf first\n"
    "  --host MX           the mail host, as the MX record has it\n"
    "  --port N            TCP port, 25 if not given\n"
    "  --state FILE        remembers, from run to run, since when each record has\n"
    "                      been visible; an absolute path\n"
    "  --published-since RFC3339\n"
    "                      the records have been as they are since this time\n"
    "  --at RFC3339        judge as of this time; the state file is not written\n"
    "  --json              one JSON object\n"
    "  --config FILE       danevirke.conf to use\n"
    "  --module FILE       danevirke.so to use\n"
    "\n"
    "Exit status: 0 install it, 1 publish first what is printed, 2 could not be\n"
    "tested (do not install), 3 wait.\n";

enum { O_CERT = 1, O_HOST, O_PORT, O_STATE, O_SINCE, O_AT };
static const struct opt opts[] = { { O_CERT, "cert", OPT_ONE },
	{ O_HOST, "host", OPT_ONE }, { O_PORT, "port", OPT_ONE },
	{ O_STATE, "state", OPT_ONE }, { O_SINCE, "published-since", OPT_ONE },
	{ O_AT, "at", OPT_ONE }, { 0, NULL, OPT_NONE } };

enum { EXIT_WAIT = 3 };
#define LIMIT 120 /* seconds for the answer */
#define TTL_UNKNOWN 86400

static int
rollover_option(struct cli *c, void *arg, int id, const char *value)
{
	struct rollover *job = arg;

	switch (id) {
	case O_CERT:
		job->cert = value;
		return 0;
	case O_HOST:
		job->host = value;
		return 0;
	case O_PORT:
		return opt_number(c, "port", value, 1, 65535, &job->port);
	case O_STATE:
		/* a hook has no working directory to speak of */
		if (value[0] != '/')
			return cli_error(
			    c, "--state \"%s\": want an absolute path", value);
		job->state_path = value;
		return 0;
	case O_SINCE:
		return opt_time(c, "published-since", value, &job->told);
	case O_AT:
		return opt_time(c, "at", value, &job->at);
	}
	return cli_error(
	    c, "\"%s\": unexpected; the file is given with --cert NEW", value);
}

static int
rollover_check(struct cli *c, struct rollover *job)
{
	char told[32], now[32];

	if (job->cert == NULL)
		return cli_error(c, "no file: want --cert NEW");
	if (job->host == NULL)
		return cli_error(c, "no host: want --host MX");
	if (job->told != 0 && job->state_path != NULL)
		return cli_error(c,
		    "--published-since and --state: want one of them: told or "
		    "remembered");
	job->now = job->at != 0 ? job->at : time(NULL);
	if (job->told > job->now) {
		time_text(job->told, told);
		time_text(job->now, now);
		return cli_error(c,
		    "--published-since %s: is to come: now is %s", told, now);
	}
	if (cli_load(c) != 0)
		return EXIT_UNTESTED;
	return cli_host(c, job->host, job->name);
}

static int
rollover_chain(struct cli *c, struct rollover *job)
{
	const struct item *it;

	if (item_read(c, job->cert, &job->items) != 0)
		return EXIT_UNTESTED;
	job->certs = calloc(job->items.n, sizeof *job->certs);
	if (job->certs == NULL)
		return cli_error(c, "out of memory");
	for (it = job->items.item; it < job->items.item + job->items.n; it++) {
		if (it->type != ITEM_CERT)
			return cli_error(c, "%s: a %s: want the certificate",
			    job->cert, item_word(it));
		job->certs[job->n_certs].der = it->cert.data;
		job->certs[job->n_certs++].len = it->cert.len;
	}
	return 0;
}

/* Asks the module, and sees to it that the answer is one to build on.  Only
 * what is proven counts: records that are secure, or their secure absence. */
static int
rollover_look(struct cli *c, struct rollover *job)
{
	struct danevirke_question q = { .size = sizeof q,
		.kind = DANEVIRKE_RELAY,
		.name = job->name,
		.port = (uint16_t)job->port };
	struct danevirke_error err = { 0, "" };
	const struct danevirke_host *h;
	struct danevirke *e;

	if ((e = cli_open(c, NULL)) == NULL)
		return EXIT_UNTESTED;
	job->answer = cli_ask(c, e, &q, LIMIT, &err);
	c->dv->close(e);
	if (job->answer == NULL)
		return cli_error(
		    c, "%s: do not install: %s", job->name, err.text);
	if (job->answer->n_hosts != 1)
		return cli_error(c, "%s: do not install: %s", job->name,
		    job->answer->reason);
	h = job->shown = job->answer->hosts[0];
	if (h->size < offsetof(struct danevirke_host, signed_until))
		return cli_error(c, "the module is too old: it tells no TTL");
	/* RFC 2181 8 has zero for what is no TTL: a day then, which is what
	 * most caches keep at most */
	job->ttl = h->n_tlsa > 0 && h->tlsa_ttl == 0 ? TTL_UNKNOWN :
						       h->tlsa_ttl;
	job->hold = job->ttl < TTL_WEEK ? job->ttl : TTL_WEEK;
	switch (h->would) {
	case DANEVIRKE_AUTHENTICATE:
	case DANEVIRKE_ENCRYPT:
		if (h->tlsa_state == DANEVIRKE_SECURE && h->n_tlsa > 0)
			return 0;
		break;
	case DANEVIRKE_OPPORTUNISTIC:
		if (h->tlsa_state == DANEVIRKE_SECURE && h->n_tlsa == 0)
			return 0;
		/* perhaps only so from here: resolver.zones, level off */
		return cli_error(c,
		    "%s:%lu: do not install: %s, as seen from here: what mail "
		    "servers elsewhere see is not proven",
		    job->name, job->port, h->reason);
	case DANEVIRKE_HOST_DEFER: /* D03, D08 */
		break;
	}
	return cli_error(
	    c, "%s:%lu: do not install: %s", job->name, job->port, h->reason);
}

/* Would a mail server that sees this record alone accept the new chain?  False:
 * why.  The base domain is the one name that all of them accept (N02, N04). */
static bool
rollover_matches(struct cli *c, const struct rollover *job,
    const uint8_t kind[3], const struct blob *data, char *why, size_t len)
{
	struct danevirke_tlsa t = { .usage = kind[0],
		.selector = kind[1],
		.matching = kind[2],
		.data = data->data,
		.len = data->len };
	const char *base = job->shown->base != NULL ? job->shown->base :
						      job->name;
	struct danevirke_host h = { .size = sizeof h,
		.action = DANEVIRKE_AUTHENTICATE,
		.would = DANEVIRKE_AUTHENTICATE,
		.base = base,
		.names = &base,
		.n_names = 1,
		.tlsa = &t,
		.n_tlsa = 1 };
	struct danevirke_chain chain = { job->certs, job->n_certs };
	struct danevirke_verify_options o = { .size = sizeof o,
		.now = job->now };
	struct danevirke_verdict v = { .size = sizeof v };

	if (c->dv->classify(&t, 1, 0, NULL, NULL) != 0 || t.use != 1) {
		snprintf(why, len, "%s", t.why);
		return false;
	}
	if (c->dv->verify(&h, &chain, &o, &v) == DANEVIRKE_OK &&
	    v.verified == 1)
		return true;
	snprintf(why, len, "%s", v.text);
	return false;
}

/* Zone-file line, to be free()d */
static char *
rollover_line(
    const struct rollover *job, const uint8_t kind[3], const struct blob *data)
{
	const char *base = job->shown->base != NULL ? job->shown->base :
						      job->name;
	char *hex = record_hex(data->data, data->len), *line = NULL;
	uint32_t ttl = job->shown->n_tlsa > 0 ? job->ttl : 3600;

	if (hex == NULL ||
	    asprintf(&line, "_%lu._tcp.%s.\t%u\tIN TLSA %u %u %u %s", job->port,
		base, ttl, kind[0], kind[1], kind[2], hex) < 0)
		line = NULL;
	free(hex);
	return line;
}

/* The record of this kind for the new chain: of the leaf, or of the CA
 * certificate farthest from it, which lives longest.  0, or EXIT_UNTESTED. */
static int
rollover_propose(
    struct cli *c, const struct rollover *job, struct rollover_group *g)
{
	bool anchor = g->kind[0] == DANEVIRKE_DANE_TA;
	const struct item *it = job->items.item;
	struct blob data;
	size_t i = anchor ? job->items.n : 1;

	snprintf(g->why, sizeof g->why,
	    "no CA certificate behind the leaf "
	    "in the file: give the chain as the server sends it");
	while (i-- > (anchor ? 1 : 0)) {
		if (anchor && !it[i].ca)
			continue;
		if (item_data(c, &it[i], g->kind, &data) != 0)
			return EXIT_UNTESTED;
		if (rollover_matches(
			c, job, g->kind, &data, g->why, sizeof g->why) &&
		    (g->line = rollover_line(job, g->kind, &data)) == NULL) {
			blob_free(&data);
			return cli_error(c, "out of memory");
		}
		blob_free(&data);
		if (g->line != NULL)
			break;
	}
	return 0;
}

static struct rollover_group *
rollover_group_of(struct rollover *job, const uint8_t kind[3])
{
	struct rollover_group *g;

	for (g = job->group; g < job->group + job->n_group; g++)
		if (memcmp(g->kind, kind, 3) == 0)
			return g;
	g = reallocarray(job->group, job->n_group + 1, sizeof *g);
	if (g == NULL)
		return NULL;
	job->group = g;
	g += job->n_group++;
	memset(g, 0, sizeof *g);
	memcpy(g->kind, kind, 3);
	return g;
}

/* L01: a mail server may know only one kind of record, or prefer it (A01), so
 * every group that somebody may see must match; L02: and must have been seen
 * to match by all, whatever they have in their caches. */
static int
rollover_group_judge(
    struct cli *c, struct rollover *job, struct rollover_group *g)
{
	struct seen *s;
	bool present = false, gone_match = true;
	time_t gone = job->now;
	char why[512];

	for (s = job->state.seen; s < job->state.seen + job->state.n; s++) {
		if (memcmp(s->kind, g->kind, 3) != 0)
			continue;
		s->matches = rollover_matches(
		    c, job, s->kind, &s->data, why, sizeof why);
		if (s->gone) {
			gone_match &= s->matches;
			if (s->ready > gone)
				gone = s->ready;
			continue;
		}
		present = true;
		if (s->matches && (!g->match || s->ready < g->ready))
			g->ready = s->ready;
		g->match |= s->matches;
	}
	if (!present) {
		g->match = true;
		g->ready = gone_match ? job->now : gone;
	}
	if (g->ready > job->ready)
		job->ready = g->ready;
	if (g->match)
		return 0;
	job->publish = true;
	if (rollover_propose(c, job, g) != 0)
		return EXIT_UNTESTED;
	job->n_line += g->line != NULL;
	return 0;
}

static int
rollover_judge(struct cli *c, struct rollover *job)
{
	const struct danevirke_host *h = job->shown;
	size_t i;

	job->state.host = job->name;
	job->state.port = job->port;
	job->ready = job->now;
	if (state_update(&job->state, h->tlsa, h->n_tlsa, job->hold,
		job->told != 0 ? job->told : job->now) != 0)
		return cli_error(c, "out of memory");
	for (i = 0; i < job->state.n; i++)
		if (rollover_group_of(job, job->state.seen[i].kind) == NULL)
			return cli_error(c, "out of memory");
	for (i = 0; i < job->n_group; i++)
		if (rollover_group_judge(c, job, &job->group[i]) != 0)
			return EXIT_UNTESTED;
	rollover_reason(job);
	return 0;
}

static int
rollover_run(struct cli *c, void *arg)
{
	struct rollover *job = arg;

	if (rollover_check(c, job) != 0 || rollover_chain(c, job) != 0)
		return EXIT_UNTESTED;
	job->state.host = job->name;
	job->state.port = job->port;
	if (job->state_path != NULL &&
	    state_read(c, job->state_path, job->now, &job->state) != 0)
		return EXIT_UNTESTED;
	if (rollover_look(c, job) != 0 || rollover_judge(c, job) != 0)
		return EXIT_UNTESTED;
	/* what is asked about another time has not been seen */
	if (job->state_path != NULL && job->at == 0 &&
	    state_write(c, job->state_path, &job->state) != 0)
		return EXIT_UNTESTED;
	rollover_print(c, job);
	return job->publish       ? EXIT_PROBLEM :
	    job->ready > job->now ? EXIT_WAIT :
				    EXIT_GOOD;
}

int
cmd_rollover(struct cli *c)
{
	struct rollover job = { .port = 25 };
	int status;
	size_t i;

	status = opt_run(c, opts, rollover_option, rollover_run, &job);
	if (job.answer != NULL)
		c->dv->release(job.answer);
	for (i = 0; i < job.n_group; i++)
		free(job.group[i].line);
	free(job.group);
	free(job.certs);
	item_free(&job.items);
	state_free(&job.state);
	return status;
}

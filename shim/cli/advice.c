/* SPDX-License-Identifier: ISC */
/* What danevirke rollover says: install, wait or publish first, and why. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rollover.h"

static void
advice_wait(time_t s, char buf[64])
{
	long long n = (long long)s;

	if (n >= 3600)
		snprintf(buf, 64, "%lld s (%lld h %lld min)", n, n / 3600,
		    n % 3600 / 60);
	else
		snprintf(buf, 64, "%lld s", n);
}

void
rollover_reason(struct rollover *job)
{
	const struct danevirke_host *h = job->shown;
	char when[32], wait[64];

	time_text(job->ready, when);
	advice_wait(job->ready - job->now, wait);
	if (job->publish)
		snprintf(job->reason, sizeof job->reason,
		    "mail servers would not accept this certificate: %s",
		    job->n_line > 0 ?
			"the records below come first, and then two TTLs" :
			"no TLSA record of its kind would change that");
	else if (job->ready > job->now)
		snprintf(job->reason, sizeof job->reason,
		    "mail servers may hold records that do not match for "
		    "another %s, until %s",
		    wait, when);
	else if (h->n_tlsa == 0)
		snprintf(job->reason, sizeof job->reason,
		    "the host has no TLSA records: there is nothing to match; "
		    "publish them once the certificate is in use");
	else if (job->n_group == 0)
		snprintf(job->reason, sizeof job->reason,
		    "no TLSA record is one that mail servers use: there is "
		    "nothing to match");
	else
		snprintf(job->reason, sizeof job->reason,
		    "every group of TLSA records matches, and has for two TTLs");
}

static const char *
advice_word(const struct rollover *job)
{
	return job->publish       ? "publish" :
	    job->ready > job->now ? "wait" :
				    "install";
}

static void
advice_json_record(struct json *j, uint8_t usage, uint8_t selector,
    uint8_t matching, const uint8_t *data, size_t len)
{
	char name[64];

	record_name(
	    (uint8_t[3]){ usage, selector, matching }, name, sizeof name);
	json_object(j, NULL);
	json_int(j, "usage", usage);
	json_int(j, "selector", selector);
	json_int(j, "matching", matching);
	json_string(j, "name", name);
	json_hex(j, "data", data, len);
}

static void
advice_json_records(const struct rollover *job, struct json *j)
{
	const struct danevirke_tlsa *t = job->shown->tlsa;
	const struct seen *s;
	size_t i;

	json_array(j, "records");
	for (s = job->state.seen; s < job->state.seen + job->state.n; s++) {
		advice_json_record(j, s->kind[0], s->kind[1], s->kind[2],
		    s->data.data, s->data.len);
		json_bool(j, "matches", s->matches);
		json_bool(j, "gone", s->gone);
		json_time(j, "since", s->since);
		json_time(j, "ready", s->ready);
		json_end_object(j);
	}
	json_end_array(j);
	json_array(j, "ignored");
	for (i = 0; i < job->shown->n_tlsa; i++) {
		if (t[i].usable == 1)
			continue;
		advice_json_record(j, t[i].usage, t[i].selector, t[i].matching,
		    t[i].data, t[i].len);
		json_string(j, "why", t[i].why);
		json_end_object(j);
	}
	json_end_array(j);
}

static void
advice_json(const struct rollover *job)
{
	const char *word = advice_word(job);
	struct json j = { 0 };
	size_t i;

	json_object(&j, NULL);
	json_bool(&j, "install", strcmp(word, "install") == 0);
	json_string(&j, "decision", word);
	json_string(&j, "reason", job->reason);
	json_string(&j, "host", job->name);
	json_int(&j, "port", (long long)job->port);
	json_string(&j, "base", job->shown->base);
	json_int(&j, "ttl", job->ttl);
	json_int(&j, "wait",
	    job->publish ? 2 * (long long)job->hold :
			   (long long)(job->ready - job->now));
	json_time(&j, "at", job->now);
	advice_json_records(job, &j);
	json_array(&j, "publish");
	for (i = 0; i < job->n_group; i++)
		if (job->group[i].line != NULL)
			json_string(&j, NULL, job->group[i].line);
	json_end_array(&j);
	json_array(&j, "impossible");
	for (i = 0; i < job->n_group; i++) {
		const struct rollover_group *g = &job->group[i];

		if (g->match || g->line != NULL)
			continue;
		json_object(&j, NULL);
		json_int(&j, "usage", g->kind[0]);
		json_int(&j, "selector", g->kind[1]);
		json_int(&j, "matching", g->kind[2]);
		json_string(&j, "why", g->why);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
}

static void
advice_records(struct cli *c, const struct rollover *job)
{
	const struct danevirke_tlsa *t = job->shown->tlsa;
	char name[64], since[32], ready[32], *hex;
	const struct seen *s;
	size_t i;

	for (s = job->state.seen; s < job->state.seen + job->state.n; s++) {
		record_name(s->kind, name, sizeof name);
		time_text(s->since, since);
		time_text(s->ready, ready);
		hex = record_hex(s->data.data, s->data.len);
		out_print("  TLSA %u %u %u %s (%s): ", s->kind[0], s->kind[1],
		    s->kind[2], hex == NULL ? "?" : hex, name);
		free(hex);
		out_colour(c, s->matches ? OUT_GOOD : OUT_WARN,
		    s->matches ? "matches" : "does not match");
		if (s->gone)
			out_print(", gone since %s, held by caches until %s\n",
			    since, ready);
		else if (s->matches)
			out_print(", visible since %s, to all from %s\n", since,
			    ready);
		else
			out_print("\n");
	}
	for (i = 0; i < job->shown->n_tlsa; i++)
		if (t[i].usable != 1)
			out_print("  TLSA %u %u %u: ignored: %s\n", t[i].usage,
			    t[i].selector, t[i].matching, t[i].why);
}

static void
advice_text(struct cli *c, const struct rollover *job)
{
	const char *word = advice_word(job);
	const struct rollover_group *g;
	char name[64];

	out_colour(c, strcmp(word, "install") == 0 ? OUT_GOOD : OUT_BAD,
	    job->publish ? "publish first" : word);
	out_print(": %s:%lu: %s\n", job->name, job->port, job->reason);
	advice_records(c, job);
	for (g = job->group; g < job->group + job->n_group; g++) {
		record_name(g->kind, name, sizeof name);
		if (g->line != NULL)
			out_print("%s\n", g->line);
		else if (!g->match)
			out_print("  %u %u %u (%s): no record would do: %s; or "
				  "remove these records, and wait\n",
			    g->kind[0], g->kind[1], g->kind[2], name, g->why);
	}
	if (strcmp(word, "wait") == 0 && job->state_path == NULL &&
	    job->told == 0)
		cli_warn(c,
		    "note: seen for the first time, for nothing is remembered: "
		    "use --state FILE, or --published-since if you know it");
}

void
rollover_print(struct cli *c, const struct rollover *job)
{
	if (c->json)
		advice_json(job);
	else
		advice_text(c, job);
}

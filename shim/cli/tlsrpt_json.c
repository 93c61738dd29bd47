/* SPDX-License-Identifier: ISC */
/*
 * A TLS report of its JSON (RFC 8460 4.4).  What the report is about must be
 * there and of its type; of the rest, what is something else is not there.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tlsrpt.h"

/* The library makes a tree of it, at some hundred octets for "{}": so count
 * first, in strings too, which only makes it stricter. */
static bool
json_bearable(const char *s, size_t len)
{
	size_t i, values = 0, nested = 0;

	for (i = 0; i < len; i++) {
		nested += s[i] == '{' || s[i] == '[';
		values += s[i] == ',';
	}
	return nested <= TLSRPT_NESTED && values <= TLSRPT_VALUES;
}

static const char *
text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* -1: there is none, or it is not one. */
static long long
count_of(const json_t *object, const char *key)
{
	const json_t *v = json_object_get(object, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0 ||
	    json_integer_value(v) > TLSRPT_COUNT)
		return -1;
	return json_integer_value(v);
}

static const char *
failure_read(const json_t *v, struct tlsrpt_failure *f)
{
	f->result = text_of(v, "result-type");
	f->mx = text_of(v, "receiving-mx-hostname");
	f->helo = text_of(v, "receiving-mx-helo");
	f->ip = text_of(v, "receiving-ip");
	f->from = text_of(v, "sending-mta-ip");
	f->info = text_of(v, "additional-information");
	f->reason = text_of(v, "failure-reason-code");
	f->sessions = count_of(v, "failed-session-count");
	if (f->result == NULL)
		return "failure-details without a result-type";
	return f->sessions < 0 ? "failed-session-count: want a number" : NULL;
}

static const char *
policy_read(const json_t *v, struct tlsrpt_policy *p)
{
	const json_t *what = json_object_get(v, "policy");
	const json_t *sum = json_object_get(v, "summary");
	const json_t *all = json_object_get(v, "failure-details");
	const char *why;
	size_t i, n = json_array_size(all);

	p->type = text_of(what, "policy-type");
	p->domain = text_of(what, "policy-domain");
	p->good = count_of(sum, "total-successful-session-count");
	p->bad = count_of(sum, "total-failure-session-count");
	if (p->type == NULL)
		return "a policy without a policy-type";
	if (p->good < 0 || p->bad < 0)
		return "a policy without a summary of two numbers";
	if (n == 0)
		return NULL;
	if ((p->failure = calloc(n, sizeof *p->failure)) == NULL)
		return "out of memory";
	for (i = 0; i < n; i++, p->n++)
		if ((why = failure_read(
			 json_array_get(all, i), &p->failure[i])) != NULL)
			return why;
	return NULL;
}

static const char *
report_read(struct tlsrpt *r)
{
	const json_t *range = json_object_get(r->json, "date-range");
	const json_t *all = json_object_get(r->json, "policies");
	const char *why;
	size_t i, n = json_array_size(all);

	r->organization = text_of(r->json, "organization-name");
	r->contact = text_of(r->json, "contact-info");
	r->id = text_of(r->json, "report-id");
	r->start = text_of(range, "start-datetime");
	r->end = text_of(range, "end-datetime");
	if (n == 0)
		return "no policies: this is no TLS report (RFC 8460 4.4)";
	if ((r->policy = calloc(n, sizeof *r->policy)) == NULL)
		return "out of memory";
	for (i = 0; i < n; i++) {
		why = policy_read(json_array_get(all, i), &r->policy[i]);
		r->n++;
		if (why != NULL)
			return why;
	}
	return NULL;
}

int
tlsrpt_read(
    const char *data, size_t size, struct tlsrpt *r, char *why, size_t len)
{
	const char *wrong;
	json_error_t e;

	memset(r, 0, sizeof *r);
	if (size > TLSRPT_MAX || !json_bearable(data, size)) {
		snprintf(why, len, "too large for a report");
		return -1;
	}
	r->json = json_loadb(data, size, JSON_REJECT_DUPLICATES, &e);
	if (r->json == NULL) {
		snprintf(why, len, "line %d: no JSON: %s", e.line, e.text);
		return -1;
	}
	if ((wrong = report_read(r)) == NULL)
		return 0;
	snprintf(why, len, "%s", wrong);
	tlsrpt_free(r);
	return -1;
}

void
tlsrpt_free(struct tlsrpt *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		free(r->policy[i].failure);
	free(r->policy);
	json_decref(r->json);
	memset(r, 0, sizeof *r);
}

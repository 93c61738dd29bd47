/* SPDX-License-Identifier: ISC */
/*
 * A mail domain to an upstream session that may be used: ask the module, then
 * the hosts and their addresses in the answer's order, until one satisfies
 * what its action demands.  What the module decided is obeyed here and nowhere
 * changed: ENCRYPT and AUTHENTICATE hosts get TLS or nothing (T02, T03),
 * OPPORTUNISTIC ones TLS if it works (T04).
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "relay.h"

#define TEXT_LEN 900

struct dial {
	struct hub *hub;
	char *domain, *helo, *source4, *source6;
	dial_done *done;
	void *arg;
	struct event *timer;
	uint64_t end; /* boottime() */
	struct resolver_query *query;
	const struct danevirke_answer *answer;
	size_t host, addr;
	struct starttls *attempt;
	bool in_clear;          /* this attempt is without TLS, because */
	char tls_why[TEXT_LEN]; /* TLS failed at the same address */
	struct refusal refusal; /* so far */
	bool dane;              /* refusal is a host's that needs TLS */
};

/* ------------------------------------------------------------------- end */

static void
dial_free(struct dial *d)
{
	if (d->query != NULL)
		resolver_cancel(d->query);
	starttls_cancel(d->attempt);
	d->hub->dv->release(d->answer);
	if (d->timer != NULL)
		event_free(d->timer);
	free(d->domain);
	free(d->helo);
	free(d->source4);
	free(d->source6);
	free(d);
}

void
dial_cancel(struct dial *d)
{
	if (d != NULL)
		dial_free(d);
}

static void finish(struct dial *, struct dialed *);

static void __attribute__((format(printf, 4, 5)))
refuse(struct dial *d, int code, const char *enhanced, const char *fmt, ...)
{
	struct refusal *r = &d->refusal;
	va_list ap;

	r->code = code;
	snprintf(r->enhanced, sizeof r->enhanced, "%s", enhanced);
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof r->text, fmt, ap);
	va_end(ap);
	text_clean(r->text);
}

static void
finish(struct dial *d, struct dialed *result)
{
	if (result->stream == NULL) {
		if (d->refusal.code == 0)
			refuse(d, 451, "4.4.1", "%s: no host can be used",
			    d->domain);
		result->refusal = d->refusal;
	}
	d->done(d->arg, result);
	dial_free(d);
}

static void
give_up(struct dial *d)
{
	struct dialed none = { 0 };

	finish(d, &none);
}

/* ------------------------------------------------------------------- log */

static void
say_host(struct dial *d, const struct danevirke_host *h, bool tls,
    bool verified, const char *verdict, const char *text)
{
	char beside[300];

	shim_beside(d->answer, h, tls, verified, beside, sizeof beside);
	say(LOG_INFO, "%s via %s:%u: %s%s: %s", d->answer->domain, h->name,
	    h->port, verdict, beside, text);
}

static void
say_domain(struct dial *d, const char *verdict)
{
	char beside[300];

	shim_beside(d->answer, NULL, 0, 0, beside, sizeof beside);
	say(LOG_INFO, "%s: %s%s: %s", d->answer->domain, verdict, beside,
	    d->answer->reason);
}

static void
count_verdict(struct hub *hub, const char *verdict)
{
	static const struct {
		const char *word;
		enum count count;
	} words[] = { { "dane", COUNT_DANE },
		{ "dane-insecure-mx", COUNT_DANE_INSECURE_MX },
		{ "encrypt", COUNT_ENCRYPT },
		{ "opportunistic-tls", COUNT_TLS }, { "clear", COUNT_CLEAR } };
	size_t i;

	hub->count[COUNT_UPSTREAM]++;
	for (i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i].word, verdict) == 0)
			hub->count[words[i].count]++;
}

/* --------------------------------------------------------- one host failed */

/* P04, P07.  The first failure of a host that needs TLS is what smtpd hears;
 * without one, the last. */
static void
host_failed(struct dial *d, const struct danevirke_host *h, bool dane,
    const char *enhanced, enum danevirke_result result, const char *text)
{
	char line[TEXT_LEN];

	if (result == DANEVIRKE_RESULT_NONE)
		snprintf(line, sizeof line, "%s", text);
	else
		snprintf(line, sizeof line, "%s [%s]", text,
		    d->hub->dv->result_name(result));
	d->hub->count[COUNT_DEFERRED]++;
	say_host(d, h, false, false, "deferred", line);
	if (d->dane)
		return;
	d->dane = dane;
	refuse(d, 451, enhanced, "%s:%u: %s", h->name, h->port, line);
}

static void
attempt_failed(struct dial *d, const struct danevirke_host *h,
    const struct starttls_result *r)
{
	const char *enhanced = "4.4.1";
	char text[TEXT_LEN];
	bool dane;

	/* T10: what a host that needs TLS says in the clear counts as DANE's
	 * trouble; that it cannot be reached does not. */
	dane = h->action != DANEVIRKE_OPPORTUNISTIC &&
	    (r->code != 0 || r->state >= STARTTLS_COMMAND);
	if (dane)
		enhanced = "4.7.5";
	else if (r->state > STARTTLS_CONNECT)
		enhanced = "4.4.2";
	if (dane)
		snprintf(text, sizeof text, "%.400s: %.300s (%s)", r->text,
		    h->reason, h->addrs[d->addr].text);
	else
		snprintf(text, sizeof text, "%.400s (%s)", r->text,
		    h->addrs[d->addr].text);
	host_failed(d, h, dane, enhanced, dane ? r->result : 0, text);
}

/* ------------------------------------------------------------ one attempt */

static void try_next(struct dial *);

/* Clear text was for one address only (S07). */
static void
next_addr(struct dial *d)
{
	d->in_clear = false;
	d->addr++;
}

/* Under audit a host may be used that level dane would have left: judged all
 * the same, for the log (P02). */
static bool
judge_softly(struct dial *d, const struct danevirke_host *h,
    const struct starttls_result *r, struct danevirke_verdict *v)
{
	memset(v, 0, sizeof *v);
	if (r->verdict != NULL)
		*v = *r->verdict;
	else if (r->tls && h->would == DANEVIRKE_AUTHENTICATE)
		d->hub->dv->verify(h, r->chain, NULL, v);
	return v->verified == 1;
}

/* True: nothing more is asked of this session. */
static bool
satisfied(const struct danevirke_host *h, const struct starttls_result *r,
    bool verified)
{
	switch (h->action) {
	case DANEVIRKE_OPPORTUNISTIC:
		return true;
	case DANEVIRKE_ENCRYPT:
		return r->tls;
	case DANEVIRKE_AUTHENTICATE:
		return r->tls && verified;
	case DANEVIRKE_HOST_DEFER:
		break;
	}
	return false;
}

static void
say_success(struct dial *d, const struct danevirke_host *h,
    const struct starttls_result *r, const struct danevirke_verdict *v)
{
	const struct danevirke_tlsa *t;
	char text[TEXT_LEN], with[160] = "";
	const char *verdict;

	verdict = shim_verdict(d->answer, h, r->tls, v->verified);
	if (r->tls && v->verified && v->index >= 0 &&
	    (size_t)v->index < h->n_tlsa) {
		t = &h->tlsa[v->index];
		snprintf(with, sizeof with, " (%s, %s, TLSA %u %u %u, no. %d)",
		    r->tls_version, r->tls_cipher, t->usage, t->selector,
		    t->matching, v->index + 1);
	} else if (r->tls)
		snprintf(with, sizeof with, " (%s, %s)", r->tls_version,
		    r->tls_cipher);
	snprintf(text, sizeof text, "%.300s%s%.300s%s%.160s%s", v->text,
	    v->text[0] != '\0' ? ", " : "", h->reason,
	    d->in_clear ? "; TLS failed: " : "", d->in_clear ? d->tls_why : "",
	    with);
	say_host(d, h, r->tls, v->verified, verdict, text);
	count_verdict(d->hub, verdict);
}

static void
on_attempt(void *arg, const struct starttls_result *r)
{
	struct dial *d = arg;
	const struct danevirke_host *h = &d->answer->hosts[d->host];
	struct danevirke_verdict v;
	struct dialed result = { 0 };
	bool verified;

	d->attempt = NULL;
	if (r->state != STARTTLS_READY) {
		/* T04: after a failed handshake in the clear, once, as smtpd
		 * would; a reply that refuses us is not tried again. */
		if (h->action == DANEVIRKE_OPPORTUNISTIC && !d->in_clear &&
		    r->state >= STARTTLS_COMMAND && r->code == 0) {
			d->in_clear = true;
			snprintf(d->tls_why, sizeof d->tls_why, "%s", r->text);
		} else {
			attempt_failed(d, h, r);
			next_addr(d);
		}
		try_next(d);
		return;
	}
	verified = judge_softly(d, h, r, &v);
	if (!satisfied(h, r, verified)) {
		stream_free(r->stream);
		host_failed(d, h, true, "4.7.5", DANEVIRKE_VALIDATION_FAILURE,
		    "the session is not what this host demands");
		next_addr(d);
		try_next(d);
		return;
	}
	say_success(d, h, r, &v);
	result.stream = r->stream;
	extensions_parse(&result.ext, r->ehlo, r->n_ehlo);
	result.host = h->name;
	result.expires = d->answer->expires;
	finish(d, &result);
}

static unsigned
at_most(unsigned seconds, uint64_t end)
{
	uint64_t now = boottime();
	uint64_t left = end > now ? end - now : 1;

	return left < seconds ? (unsigned)left : seconds;
}

/* False: it could not even begin. */
static bool
attempt(struct dial *d, const struct danevirke_host *h)
{
	const struct danevirke_settings *set = d->hub->set;
	const struct danevirke_addr *addr = &h->addrs[d->addr];
	struct starttls_target t = { .addr = addr, .port = h->port };

	t.source = addr->family == 6 ? d->source6 : d->source4;
	t.helo = d->helo;
	t.connect_timeout = at_most(set->relay_connect_timeout, d->end);
	t.command_timeout = at_most(set->relay_command_timeout, d->end);
	t.mode = STARTTLS_REQUIRED;
	switch (h->action) {
	case DANEVIRKE_AUTHENTICATE:
		t.host = h;
		/* FALLTHROUGH */
	case DANEVIRKE_ENCRYPT:
		t.sni = h->base; /* S01 */
		t.priority = d->answer->tls_priority;
		break;
	case DANEVIRKE_OPPORTUNISTIC:
		t.mode = d->in_clear ? STARTTLS_NEVER : STARTTLS_IF_OFFERED;
		if (h->would == DANEVIRKE_AUTHENTICATE) /* P02 */
			t.sni = h->base;
		break;
	case DANEVIRKE_HOST_DEFER:
		return false;
	}
	d->attempt = starttls_start(
	    d->hub->base, d->hub->dv, &t, on_attempt, d);
	return d->attempt != NULL;
}

static void
try_next(struct dial *d)
{
	const struct danevirke_answer *a = d->answer;
	const struct danevirke_host *h;
	bool dane;

	for (; d->host < a->n_hosts; d->host++, d->addr = 0) {
		h = &a->hosts[d->host];
		if (h->action == DANEVIRKE_HOST_DEFER) {
			dane = h->result != DANEVIRKE_RESULT_NONE;
			host_failed(d, h, dane, dane ? "4.7.5" : "4.4.3",
			    h->result, h->reason);
			continue;
		}
		for (; d->addr < h->n_addrs; next_addr(d)) {
			if (attempt(d, h))
				return;
			host_failed(d, h, false, "4.3.0", DANEVIRKE_RESULT_NONE,
			    "out of memory or descriptors");
		}
	}
	give_up(d);
}

/* --------------------------------------------------------------- the route */

static void
on_answer(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct dial *d = arg;
	bool dane;

	d->query = NULL;
	d->answer = a;
	if (a == NULL) {
		d->hub->count[COUNT_DEFERRED]++;
		say(LOG_ERR, "%s: deferred: %s", d->domain, err->text);
		refuse(d, 451, "4.4.3", "%s: %s", d->domain, err->text);
		give_up(d);
		return;
	}
	switch (a->outcome) {
	case DANEVIRKE_ROUTE:
		if (a->level == DANEVIRKE_LEVEL_AUDIT &&
		    a->would == DANEVIRKE_DEFER)
			say_domain(d, "opportunistic-tls"); /* P02 */
		try_next(d);
		return;
	case DANEVIRKE_NULL_MX: /* Z02 */
		refuse(d, 556, "5.1.10", "%s: %s", a->domain, a->reason);
		break;
	case DANEVIRKE_NO_DOMAIN:
		refuse(d, 550, "5.1.2", "%s: %s", a->domain, a->reason);
		break;
	case DANEVIRKE_LOOP: /* M10 */
		refuse(d, 554, "5.4.6", "%s: %s", a->domain, a->reason);
		break;
	case DANEVIRKE_DEFER: /* D06, D09 */
		dane = a->result != DANEVIRKE_RESULT_NONE;
		refuse(d, 451, dane ? "4.7.5" : "4.4.3", "%s: %s", a->domain,
		    a->reason);
		break;
	}
	if (d->refusal.code / 100 == 5) {
		d->hub->count[COUNT_BOUNCED]++;
		say_domain(d, "bounced");
	} else {
		d->hub->count[COUNT_DEFERRED]++;
		say_domain(d, "deferred");
	}
	give_up(d);
}

/* No time is left, or it never began: refusal tells. */
static void
on_timer(int fd, short what, void *arg)
{
	struct dial *d = arg;
	const struct danevirke_host *h;
	char text[100];

	(void)fd;
	(void)what;
	snprintf(text, sizeof text, "no time is left: %u s are over",
	    d->hub->set->relay_ehlo_budget);
	if (d->attempt != NULL) {
		h = &d->answer->hosts[d->host];
		host_failed(d, h, false, "4.4.1", DANEVIRKE_RESULT_NONE, text);
	} else if (d->query != NULL) {
		say(LOG_INFO, "%s: deferred: DNS: %s", d->domain, text);
		refuse(d, 451, "4.4.3", "%s: DNS: %s", d->domain, text);
	}
	give_up(d);
}

static bool
copy(char **to, const char *text)
{
	*to = text == NULL ? NULL : strdup(text);
	return text == NULL || *to != NULL;
}

struct dial *
dial_start(struct hub *hub, const char *domain, const char *helo,
    const char *source4, const char *source6, dial_done *done, void *arg)
{
	struct danevirke_question q = { .size = sizeof q,
		.name = domain,
		.profile = hub->set->relay_profile };
	struct timeval tv = { .tv_sec = hub->set->relay_ehlo_budget };
	struct danevirke_error err = { 0 };
	struct dial *d = calloc(1, sizeof *d);

	if (d == NULL)
		return NULL;
	d->hub = hub;
	d->done = done;
	d->arg = arg;
	d->end = boottime() + hub->set->relay_ehlo_budget;
	if (!copy(&d->domain, domain) || !copy(&d->helo, helo) ||
	    !copy(&d->source4, source4) || !copy(&d->source6, source6) ||
	    (d->timer = event_new(hub->base, -1, 0, on_timer, d)) == NULL) {
		dial_free(d);
		return NULL;
	}
	if (resolver_start(hub->resolver, &q, on_answer, d, &d->query, &err) ==
	    0) {
		event_add(d->timer, &tv);
		return d;
	}
	/* done() never runs inside this call */
	d->query = NULL;
	d->hub->count[COUNT_DEFERRED]++;
	say(LOG_ERR, "%s: deferred: %s", domain, err.text);
	refuse(d, 451, "4.4.3", "%s: %s", domain, err.text);
	event_active(d->timer, 0, 0);
	return d;
}

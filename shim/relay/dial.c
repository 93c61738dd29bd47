/* SPDX-License-Identifier: ISC */
/*
 * A mail domain to an upstream session that may be used: ask the module, then
 * the hosts and their addresses in the answer's order, but those that failed
 * lately last, until one satisfies what its action demands.  Each has its share
 * of the time (T11), as turn.h says.  What the module decided is obeyed here
 * and nowhere changed: ENCRYPT and AUTHENTICATE hosts get TLS or nothing (T02,
 * T03), OPPORTUNISTIC ones TLS if it works (T04).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "relay.h"

/* Whose refusal smtpd hears, if there are several: the greater, else the last;
 * but the first of DANE. */
enum dial_rank {
	DIAL_NONE = 0,
	DIAL_OTHER, /* not reached, closed */
	DIAL_DANE,  /* a host's that needs TLS (P04) */
	DIAL_SAID   /* a host's own answer to the message */
};

#define DIAL_NOT_SATISFIED "the session is not what this host demands"

struct dial {
	struct hub *hub;
	char *domain, *helo, *source4, *source6;
	dial_done *done;
	void *arg;
	struct event *timer;
	/* hub_now(): the end of all, of this host's share (0: it has not begun)
	 * and of this address's */
	uint64_t end, host_end, addr_end;
	struct resolver_query *query;
	const struct danevirke_answer *answer;
	size_t *hosts, *addrs; /* indexes in the order of turn.h */
	size_t host, addr;     /* places in these */
	struct starttls *attempt;
	bool in_clear;             /* this attempt is without TLS */
	char tls_why[VERDICT_LEN]; /* how it failed at this address before */
	struct refusal refusal;    /* so far */
	enum dial_rank rank;       /* of refusal */
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
	free(d->hosts); /* and addrs */
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

/* The dial may be gone afterwards. */
static void
dial_finish(struct dial *d, struct dialed *result)
{
	if (result->stream == NULL) {
		if (d->refusal.code == 0)
			refusal_make(&d->refusal, 451, "4.4.1",
			    "%s: no host can be used", d->domain);
		result->refusal = d->refusal;
	}
	d->done(d->arg, result);
}

static void
dial_give_up(struct dial *d)
{
	struct dialed none = { 0 };

	dial_finish(d, &none);
}

/* --------------------------------------------------------- one host failed */

static const struct danevirke_host *
dial_host(const struct dial *d)
{
	return d->answer->hosts[d->hosts[d->host]];
}

static const struct danevirke_addr *
dial_addr(const struct dial *d)
{
	return &dial_host(d)->addrs[d->addrs[d->addr]];
}

static uint64_t
dial_time_left(uint64_t end)
{
	uint64_t now = hub_now();

	return end > now ? end - now : 0;
}

/* T11: it comes last for a while. */
static void
dial_addr_failed(struct dial *d)
{
	turn_failed_add(&d->hub->failed, dial_host(d), dial_addr(d),
	    hub_now() + d->hub->set->relay_failure_ttl);
}

/* P04, P07. */
static void
dial_host_failed(struct dial *d, const struct danevirke_host *h, bool dane,
    const char *enhanced, enum danevirke_result result, const char *text)
{
	char line[VERDICT_LEN];

	if (result == DANEVIRKE_RESULT_NONE)
		snprintf(line, sizeof line, "%s", text);
	else
		snprintf(line, sizeof line, "%s [%s]", text,
		    d->hub->dv->result_name(result));
	d->hub->count[COUNT_DEFERRED]++;
	verdict_host(d->hub, d->answer, h, false, false, "deferred", line);
	if (d->rank >= DIAL_DANE)
		return;
	d->rank = dane ? DIAL_DANE : DIAL_OTHER;
	refusal_make(
	    &d->refusal, 451, enhanced, "%s:%u: %s", h->name, h->port, line);
}

static void
dial_attempt_failed(struct dial *d, const struct danevirke_host *h,
    const struct starttls_result *r)
{
	const char *enhanced = "4.4.1";
	char text[VERDICT_LEN];
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
		    h->reason, dial_addr(d)->text);
	else
		snprintf(text, sizeof text, "%.400s (%s)", r->text,
		    dial_addr(d)->text);
	dial_addr_failed(d);
	dial_host_failed(d, h, dane, enhanced, dane ? r->result : 0, text);
	if (d->in_clear) /* one session for the report: that which had TLS */
		verdict_failure(d->hub, d->answer, h, dial_addr(d), r,
		    DANEVIRKE_VALIDATION_FAILURE, d->tls_why);
	else
		verdict_failure(
		    d->hub, d->answer, h, dial_addr(d), r, r->result, r->text);
}

/* ------------------------------------------------------------ one attempt */

static void dial_go_on(struct dial *);

/* Clear text was for one address only (S07). */
static void
dial_to_next_addr(struct dial *d)
{
	d->in_clear = false;
	d->addr++;
}

static void
dial_to_next_host(struct dial *d)
{
	d->in_clear = false;
	d->addr = 0;
	d->host_end = 0;
	d->host++;
}

/* Under audit a host may be used that level dane would have left: judged all
 * the same, for the log (P02). */
static bool
dial_judge(struct dial *d, const struct danevirke_host *h,
    const struct starttls_result *r, struct danevirke_verdict *v)
{
	struct danevirke_verify_options o = { .size = sizeof o,
		.engine = d->hub->engine };

	memset(v, 0, sizeof *v);
	v->size = sizeof *v;
	if (r->verdict != NULL)
		*v = *r->verdict;
	else if (r->tls && h->would == DANEVIRKE_AUTHENTICATE)
		d->hub->dv->verify(h, r->chain, &o, v);
	return v->verified == 1;
}

/* True: nothing more is asked of this session. */
static bool
dial_satisfied(const struct danevirke_host *h, const struct starttls_result *r,
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
dial_on_attempt(void *arg, const struct starttls_result *r)
{
	struct dial *d = arg;
	const struct danevirke_host *h = dial_host(d);
	struct danevirke_verdict v;
	struct dialed result = { 0 };
	bool verified;

	d->attempt = NULL;
	if (r->state != STARTTLS_READY) {
		d->hub->count[COUNT_FAILED + r->state]++;
		/* T04: after a failed handshake in the clear, once, as smtpd
		 * would; a reply that refuses us is not tried again. */
		if (h->action == DANEVIRKE_OPPORTUNISTIC && !d->in_clear &&
		    r->state >= STARTTLS_COMMAND && r->code == 0 &&
		    dial_time_left(d->addr_end) > 0) {
			d->in_clear = true;
			snprintf(d->tls_why, sizeof d->tls_why, "%s", r->text);
		} else {
			dial_attempt_failed(d, h, r);
			dial_to_next_addr(d);
		}
		dial_go_on(d);
		return;
	}
	verified = dial_judge(d, h, r, &v);
	if (!dial_satisfied(h, r, verified)) {
		stream_free(r->stream);
		dial_addr_failed(d);
		dial_host_failed(d, h, true, "4.7.5",
		    DANEVIRKE_VALIDATION_FAILURE, DIAL_NOT_SATISFIED);
		verdict_failure(d->hub, d->answer, h, dial_addr(d), r,
		    DANEVIRKE_VALIDATION_FAILURE, DIAL_NOT_SATISFIED);
		dial_to_next_addr(d);
		dial_go_on(d);
		return;
	}
	verdict_success(d->hub, d->answer, h, dial_addr(d), r, &v,
	    d->in_clear ? d->tls_why : NULL, result.verdict);
	result.stream = r->stream;
	extensions_parse(&result.ext, r->ehlo, r->n_ehlo);
	result.host = h->name;
	result.expires = d->answer->expires;
	dial_finish(d, &result);
}

static unsigned
dial_at_most(unsigned seconds, unsigned limit)
{
	return seconds < limit ? seconds : limit;
}

/* False: it could not even begin. */
static bool
dial_attempt(struct dial *d, const struct danevirke_host *h)
{
	const struct danevirke_settings *set = d->hub->set;
	const struct danevirke_addr *addr = dial_addr(d);
	struct starttls_target t = { .addr = addr, .port = h->port };
	unsigned total;

	t.source = addr->family == 6 ? d->source6 : d->source4;
	t.helo = d->helo;
	if (!d->in_clear)
		d->addr_end = hub_now() +
		    turn_share(
			dial_time_left(d->host_end), h->n_addrs - d->addr);
	total = (unsigned)dial_time_left(d->addr_end);
	if (total == 0) /* 0 would be no limit */
		total = 1;
	t.total_timeout = total;
	t.connect_timeout = dial_at_most(set->relay_connect_timeout, total);
	t.command_timeout = dial_at_most(set->relay_command_timeout, total);
	t.mode = STARTTLS_REQUIRED;
	switch (h->action) {
	case DANEVIRKE_AUTHENTICATE:
		t.host = h;
		t.engine = d->hub->engine;
		/* FALLTHROUGH */
	case DANEVIRKE_ENCRYPT:
		t.sni = h->base; /* S01 */
		t.priority = d->answer->tls_priority;
		break;
	case DANEVIRKE_OPPORTUNISTIC:
		t.mode = d->in_clear ? STARTTLS_NEVER : STARTTLS_IF_OFFERED;
		if (!d->in_clear && total > 1) /* time for clear text (T04) */
			t.command_timeout = dial_at_most(
			    t.command_timeout, total - total / 2);
		if (h->would == DANEVIRKE_AUTHENTICATE) /* P02 */
			t.sni = h->base;
		break;
	case DANEVIRKE_HOST_DEFER:
		return false;
	}
	d->attempt = starttls_start(
	    d->hub->base, d->hub->dv, &t, dial_on_attempt, d);
	return d->attempt != NULL;
}

/* Those that can be tried, from one of the order on. */
static size_t
dial_hosts_from(const struct dial *d, size_t at)
{
	size_t n = 0;

	for (; at < d->answer->n_hosts; at++)
		n += d->answer->hosts[d->hosts[at]]->action !=
		    DANEVIRKE_HOST_DEFER;
	return n;
}

/* False: no time is left for it. */
static bool
dial_host_begin(struct dial *d, const struct danevirke_host *h)
{
	uint64_t left = dial_time_left(d->end);

	if (left == 0) {
		log_line(LOG_INFO, "%s: no time is left for %zu hosts",
		    d->domain, dial_hosts_from(d, d->host));
		if (d->rank == DIAL_NONE)
			refusal_make(&d->refusal, 451, "4.4.1",
			    "%s: no time is left", d->domain);
		return false;
	}
	d->host_end = hub_now() + turn_share(left, dial_hosts_from(d, d->host));
	turn_addrs(&d->hub->failed, h, hub_now(), d->addrs);
	return true;
}

/* Is it DANE that defers?  Levels off and audit block nothing: there DNS has
 * said nothing that mail could be sent to (P02). */
static bool
dial_dane_defers(const struct danevirke_answer *a, enum danevirke_result result)
{
	return result != DANEVIRKE_RESULT_NONE &&
	    (a->level == DANEVIRKE_LEVEL_DANE ||
		a->level == DANEVIRKE_LEVEL_DANE_ONLY);
}

static void
dial_host_deferred(struct dial *d, const struct danevirke_host *h)
{
	bool dane = dial_dane_defers(d->answer, h->result);

	dial_host_failed(
	    d, h, dane, dane ? "4.7.5" : "4.4.3", h->result, h->reason);
	verdict_failure(d->hub, d->answer, h, NULL, NULL, h->result, h->reason);
}

static void
dial_go_on(struct dial *d)
{
	const struct danevirke_host *h;

	while (d->host < d->answer->n_hosts) {
		h = dial_host(d);
		if (h->action == DANEVIRKE_HOST_DEFER) {
			dial_host_deferred(d, h);
			dial_to_next_host(d);
			continue;
		}
		if (d->host_end == 0 && !dial_host_begin(d, h))
			break;
		if (d->addr == h->n_addrs || dial_time_left(d->host_end) == 0) {
			dial_to_next_host(d);
			continue;
		}
		if (dial_attempt(d, h))
			return;
		dial_host_failed(d, h, false, "4.3.0", DANEVIRKE_RESULT_NONE,
		    "out of memory or descriptors");
		dial_to_next_addr(d);
	}
	dial_give_up(d);
}

/* --------------------------------------------------------------- the route */

/* The order of the hosts.  False: out of memory. */
static bool
dial_order(struct dial *d)
{
	const struct danevirke_answer *a = d->answer;
	size_t most = 0, i;

	for (i = 0; i < a->n_hosts; i++)
		if (a->hosts[i]->n_addrs > most)
			most = a->hosts[i]->n_addrs;
	d->hosts = calloc(a->n_hosts + most + 1, sizeof *d->hosts);
	if (d->hosts == NULL)
		return false;
	d->addrs = d->hosts + a->n_hosts;
	turn_hosts(&d->hub->failed, a->hosts, a->n_hosts, hub_now(), d->hosts);
	return true;
}

static void
dial_on_answer(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct dial *d = arg;
	bool dane;

	d->query = NULL;
	d->answer = a;
	event_del(d->timer); /* from here on attempts have their own */
	if (a == NULL) {
		d->hub->count[COUNT_DEFERRED]++;
		log_line(LOG_ERR, "%s: deferred: %s", d->domain, err->text);
		refusal_make(
		    &d->refusal, 451, "4.4.3", "%s: %s", d->domain, err->text);
		dial_give_up(d);
		return;
	}
	switch (a->outcome) {
	case DANEVIRKE_ROUTE:
		if (dial_order(d)) {
			dial_go_on(d);
			return;
		}
		refusal_make(&d->refusal, 451, "4.3.0", "out of memory");
		break;
	case DANEVIRKE_NULL_MX: /* Z02 */
		refusal_make(
		    &d->refusal, 556, "5.1.10", "%s: %s", a->domain, a->reason);
		break;
	case DANEVIRKE_NO_DOMAIN:
		refusal_make(
		    &d->refusal, 550, "5.1.2", "%s: %s", a->domain, a->reason);
		break;
	case DANEVIRKE_LOOP: /* M10 */
		refusal_make(
		    &d->refusal, 554, "5.4.6", "%s: %s", a->domain, a->reason);
		break;
	case DANEVIRKE_DEFER: /* D06, D09 */
		dane = dial_dane_defers(a, a->result);
		refusal_make(&d->refusal, 451, dane ? "4.7.5" : "4.4.3",
		    "%s: %s", a->domain, a->reason);
		break;
	}
	if (d->refusal.code / 100 == 5) {
		d->hub->count[COUNT_BOUNCED]++;
		verdict_domain(d->hub, d->answer, "bounced");
	} else {
		d->hub->count[COUNT_DEFERRED]++;
		verdict_domain(d->hub, d->answer, "deferred");
		verdict_failure(
		    d->hub, d->answer, NULL, NULL, NULL, a->result, a->reason);
	}
	dial_give_up(d);
}

/* DNS has had all the time, or dial_next() wants to go on, or it never began:
 * refusal tells. */
static void
dial_on_timer(int fd, short what, void *arg)
{
	struct dial *d = arg;

	(void)fd;
	(void)what;
	if (d->answer != NULL) {
		dial_go_on(d);
		return;
	}
	if (d->query != NULL) {
		d->hub->count[COUNT_DEFERRED]++;
		refusal_make(&d->refusal, 451, "4.4.3",
		    "%s: DNS: no time is left", d->domain);
		log_line(
		    LOG_INFO, "%s: deferred: DNS: no time is left", d->domain);
	}
	dial_give_up(d);
}

/* ----------------------------------------------------------- the next host */

size_t
dial_rest(const struct dial *d)
{
	return d == NULL ? 0 : dial_hosts_from(d, d->host + 1);
}

void
dial_failed(const struct dial *d)
{
	const struct danevirke_host *h;
	size_t i;

	if (d == NULL)
		return;
	h = dial_host(d);
	for (i = 0; i < h->n_addrs; i++)
		turn_failed_add(&d->hub->failed, h, &h->addrs[i],
		    hub_now() + d->hub->set->relay_failure_ttl);
}

bool
dial_next(struct dial *d, uint64_t end, const struct refusal *why, bool said)
{
	char text[VERDICT_LEN], code[8] = "";

	if (dial_rest(d) == 0 || dial_time_left(end) == 0)
		return false;
	if (why->enhanced[0] == '\0') /* its own words have their own */
		snprintf(code, sizeof code, "%d ", why->code);
	snprintf(text, sizeof text, "%s%s", code, why->text);
	d->hub->count[COUNT_DEFERRED]++;
	verdict_host(
	    d->hub, d->answer, dial_host(d), false, false, "deferred", text);
	if (said || d->rank < DIAL_DANE) {
		d->refusal = *why;
		d->rank = said ? DIAL_SAID : DIAL_OTHER;
	}
	d->end = end;
	dial_to_next_host(d);
	/* done() never runs inside this call */
	event_active(d->timer, 0, 0);
	return true;
}

/* ----------------------------------------------------------- the beginning */

static bool
dial_copy(char **to, const char *text)
{
	*to = text == NULL ? NULL : strdup(text);
	return text == NULL || *to != NULL;
}

struct dial *
dial_start(struct hub *hub, const char *domain, const char *helo,
    const char *source4, const char *source6, uint64_t end, dial_done *done,
    void *arg)
{
	struct danevirke_question q = { .size = sizeof q,
		.name = domain,
		.profile = hub->set->relay_profile };
	struct timeval tv = { .tv_sec = (time_t)dial_time_left(end) };
	struct danevirke_error err = { 0 };
	struct dial *d = calloc(1, sizeof *d);

	if (d == NULL)
		return NULL;
	d->hub = hub;
	d->done = done;
	d->arg = arg;
	d->end = end;
	if (!dial_copy(&d->domain, domain) || !dial_copy(&d->helo, helo) ||
	    !dial_copy(&d->source4, source4) ||
	    !dial_copy(&d->source6, source6) ||
	    (d->timer = event_new(hub->base, -1, 0, dial_on_timer, d)) ==
		NULL) {
		dial_free(d);
		return NULL;
	}
	if (resolver_start(
		hub->resolver, &q, dial_on_answer, d, &d->query, &err) == 0) {
		event_add(d->timer, &tv);
		return d;
	}
	/* done() never runs inside this call */
	d->query = NULL;
	d->hub->count[COUNT_DEFERRED]++;
	log_line(LOG_ERR, "%s: deferred: %s", domain, err.text);
	refusal_make(&d->refusal, 451, "4.4.3", "%s: %s", domain, err.text);
	event_active(d->timer, 0, 0);
	return d;
}

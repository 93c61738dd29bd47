/* SPDX-License-Identifier: ISC */
/* The line in the log for each host, and what SIGUSR1 counts. */
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "relay.h"

void
verdict_host(const struct hub *hub, const struct danevirke_answer *a,
    const struct danevirke_host *h, bool tls, bool verified,
    const char *verdict, const char *text)
{
	char beside[300];

	hub->dv->log_beside(a, h, tls, verified, beside, sizeof beside);
	log_line(LOG_INFO, "%s via %s:%u: %s%s: %s", a->domain, h->name,
	    h->port, verdict, beside, text);
}

void
verdict_domain(const struct hub *hub, const struct danevirke_answer *a,
    const char *verdict)
{
	char beside[300];

	hub->dv->log_beside(a, NULL, 0, 0, beside, sizeof beside);
	log_line(
	    LOG_INFO, "%s: %s%s: %s", a->domain, verdict, beside, a->reason);
}

static void
verdict_count(struct hub *hub, const char *verdict)
{
	static const struct {
		const char *word;
		enum count count;
	} words[] = { { "dane", COUNT_DANE },
		{ "dane-insecure-mx", COUNT_DANE_INSECURE_MX },
		{ "mta-sts", COUNT_MTA_STS }, { "encrypt", COUNT_ENCRYPT },
		{ "opportunistic-tls", COUNT_TLS }, { "clear", COUNT_CLEAR } };
	size_t i;

	hub->count[COUNT_UPSTREAM]++;
	for (i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(words[i].word, verdict) == 0)
			hub->count[words[i].count]++;
}

/* K02.  r: how far the session came, or NULL */
static void
verdict_report(const struct hub *hub, const struct danevirke_answer *a,
    const struct danevirke_host *h, const struct danevirke_addr *addr,
    const struct starttls_result *r, enum danevirke_result result,
    const char *text)
{
	struct danevirke_session s = { .size = sizeof s,
		.result = result,
		.address = addr != NULL ? addr->text : NULL,
		.text = text };
	char helo[256];

	if (r != NULL) {
		s.tls = r->tls;
		s.from = r->own;
	}
	if (r != NULL && r->n_ehlo > 0) {
		snprintf(helo, sizeof helo, "%.*s",
		    (int)strcspn(r->ehlo[0], " "), r->ehlo[0]);
		s.helo = helo;
	}
	hub->dv->report(a, h, &s);
}

void
verdict_failure(const struct hub *hub, const struct danevirke_answer *a,
    const struct danevirke_host *h, const struct danevirke_addr *addr,
    const struct starttls_result *r, enum danevirke_result result,
    const char *text)
{
	if (result != DANEVIRKE_RESULT_NONE) /* else it is not TLS's trouble */
		verdict_report(hub, a, h, addr, r, result, text);
}

void
verdict_success(struct hub *hub, const struct danevirke_answer *a,
    const struct danevirke_host *h, const struct danevirke_addr *addr,
    const struct starttls_result *r, const struct danevirke_verdict *v,
    const char *tls_why, char say[DIALED_VERDICT])
{
	/* P02: the domain would have been deferred before any host was asked */
	bool whole = a->level == DANEVIRKE_LEVEL_AUDIT &&
	    a->would == DANEVIRKE_DEFER;
	const struct danevirke_tlsa *t;
	char text[VERDICT_LEN], with[160] = "", beside[DIALED_VERDICT - 30];
	const char *verdict;

	verdict = hub->dv->log_word(a, h, r->tls, v->verified);
	if (r->tls && v->verified && v->index >= 0 &&
	    (size_t)v->index < h->n_tlsa) {
		t = &h->tlsa[v->index];
		snprintf(with, sizeof with, " (%s, %s, TLSA %u %u %u, no. %d)",
		    r->tls_version, r->tls_cipher, t->usage, t->selector,
		    t->matching, v->index + 1);
	} else if (r->tls)
		snprintf(with, sizeof with, " (%s, %s)", r->tls_version,
		    r->tls_cipher);
	snprintf(text, sizeof text, "%.300s%s%.300s%s%.300s%s%.160s%s", v->text,
	    v->text[0] != '\0' ? ", " : "", h->reason, whole ? "; " : "",
	    whole ? a->reason : "", tls_why != NULL ? "; TLS failed: " : "",
	    tls_why != NULL ? tls_why : "", with);
	verdict_host(hub, a, h, r->tls, v->verified, verdict, text);
	verdict_count(hub, verdict);
	hub->dv->log_beside(a, h, r->tls, v->verified, beside, sizeof beside);
	snprintf(say, DIALED_VERDICT, "%s%s", verdict, beside);
	/* of two sessions with a host, when the first ended in its handshake,
	 * that one; and what was used all the same may have failed (P02) */
	if (tls_why != NULL)
		verdict_report(
		    hub, a, h, addr, r, DANEVIRKE_VALIDATION_FAILURE, tls_why);
	else
		verdict_report(hub, a, h, addr, r,
		    v->verified != 1 ? v->result : DANEVIRKE_RESULT_NONE,
		    v->text);
}

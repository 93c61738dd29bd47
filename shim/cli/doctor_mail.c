/* SPDX-License-Identifier: ISC */
/* What becomes of mail to a domain: one sentence. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

#define LIMIT 120 /* seconds for one domain */

/* "host=NAME:PORT" of the hooks, or a domain */
static void
mail_question(struct danevirke_question *q, const char *hop, char name[256])
{
	const char *colon;

	q->name = hop;
	if (strncmp(hop, "host=", 5) != 0)
		return;
	hop += 5;
	colon = strrchr(hop, ':');
	snprintf(name, 256, "%.*s",
	    (int)(colon == NULL ? strlen(hop) : (size_t)(colon - hop)), hop);
	q->kind = DANEVIRKE_RELAY;
	q->name = name;
	if (colon != NULL)
		q->port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

/* The word of the log for the best host, if that does its part. */
static const char *
mail_verdict(struct cli *c, const struct danevirke_answer *a, char why[256])
{
	const struct danevirke_host *h = NULL;
	size_t i;

	snprintf(why, 256, "%s", a->reason == NULL ? "" : a->reason);
	if (a->outcome != DANEVIRKE_ROUTE)
		return a->outcome == DANEVIRKE_DEFER ? "deferred" : "bounced";
	for (i = 0; i < a->n_hosts && h == NULL; i++)
		if (a->hosts[i]->action != DANEVIRKE_HOST_DEFER)
			h = a->hosts[i];
	if (h == NULL)
		return "deferred";
	snprintf(why, 256, "%s: %s", h->name, h->reason);
	return c->dv->log_word(a, h, 1, h->action == DANEVIRKE_AUTHENTICATE);
}

void
doctor_mail(struct doctor *d, const char *domain, const char *by,
    const char *hop, const char *profile)
{
	struct danevirke_error err = { 0, "" };
	struct danevirke_question q = {
		.size = sizeof q, .port = 25, .profile = profile
	};
	const struct danevirke_answer *a;
	char name[256], why[256];
	const char *verdict;

	if (d->offline) {
		doctor_way(d, domain, by, "not asked", NULL);
		return;
	}
	if (d->engine == NULL) {
		doctor_way(
		    d, domain, by, "deferred", "danevirke.conf cannot be used");
		return;
	}
	mail_question(&q, hop, name);
	if ((a = cli_ask(d->c, d->engine, &q, LIMIT, &err)) == NULL) {
		d->untested = true;
		doctor_way(d, domain, by, "could not be asked", err.text);
		return;
	}
	verdict = mail_verdict(d->c, a, why);
	doctor_way(d, domain, by, verdict, why);
	d->c->dv->release(a);
}

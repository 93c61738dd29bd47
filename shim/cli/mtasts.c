/* SPDX-License-Identifier: ISC */
/* L16: what senders that check MTA-STS (RFC 8461) meet; if there is a policy
 * server to ask. */
#include <stdio.h>
#include <string.h>

#include "check.h"

static bool
mta_sts_in_force(const struct report *r)
{
	return r->answer != NULL &&
	    r->answer->mta_sts == DANEVIRKE_MTA_STS_POLICY;
}

void
lint_mta_sts(struct report *r)
{
	const struct danevirke_answer *a = r->answer;
	size_t i;

	if (a->mta_sts == DANEVIRKE_MTA_STS_ERROR)
		lint_add(r, SEV_WARNING, "L16", NULL, NULL,
		    "mta_sts.server names whom to ask: does it run?",
		    "not tested: %s", a->mta_sts_reason);
	for (i = 0; mta_sts_in_force(r) && i < a->n_hosts; i++)
		if (!a->hosts[i]->mta_sts_listed)
			lint_add(r, SEV_PROBLEM, "L16", a->hosts[i]->name, NULL,
			    "senders that check MTA-STS do not use this host: "
			    "name it in the policy, and give it a new id",
			    "not in the %s", a->mta_sts_reason);
}

void
lint_mta_sts_chain(struct report *r, struct address_report *ar,
    const struct danevirke_chain *chain, struct danevirke *engine,
    const struct lint_limits *l)
{
	struct danevirke_verify_options o = { .size = sizeof o,
		.now = l->now != 0 ? l->now : r->when,
		.engine = engine };
	struct danevirke_verdict v = { .size = sizeof v };
	struct danevirke_host h = *ar->host;

	/* what was served for another SNI says nothing */
	if (!mta_sts_in_force(r) ||
	    (h.base != NULL && strcmp(h.base, h.name) != 0))
		return;
	h.would = DANEVIRKE_AUTHENTICATE;
	h.base = h.name;
	h.names = &h.base;
	h.n_names = 1;
	h.n_tlsa = 0;
	h.ca_file = r->dv->settings(engine)->mta_sts_ca_file;
	if (r->dv->verify(&h, chain, &o, &v) == 0 && v.verified) {
		if (ar->mta_sts == MTA_STS_UNKNOWN)
			ar->mta_sts = MTA_STS_GOOD;
		return;
	}
	ar->mta_sts = MTA_STS_BAD;
	lint_add(r, SEV_PROBLEM, "L16", h.name, ar->addr->text,
	    "senders that check MTA-STS deliver only to a certificate of a "
	    "public CA with the name of the MX host",
	    "does not satisfy the MTA-STS policy: %s", v.text);
}

void
lint_mta_sts_session(struct report *r, struct address_report *ar,
    const struct starttls_result *s)
{
	if (!mta_sts_in_force(r) || s->tls || lint_not_now(s) ||
	    s->state < STARTTLS_COMMAND)
		return;
	ar->mta_sts = MTA_STS_BAD;
	lint_add(r, SEV_PROBLEM, "L16", ar->host->name, ar->addr->text,
	    "senders that check MTA-STS do not deliver without TLS",
	    "does not satisfy the MTA-STS policy: %s", s->text);
}

bool
lint_mta_sts_protects(const struct report *r)
{
	size_t i, good = 0;

	for (i = 0; i < r->n_finding; i++)
		if (strcmp(r->finding[i].row, "L16") == 0)
			return false;
	for (i = 0; i < r->n_addr; i++)
		good += r->addr[i].mta_sts == MTA_STS_GOOD;
	return mta_sts_in_force(r) && good > 0;
}

/* SPDX-License-Identifier: ISC */
/* What a session that failed says about its server. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

bool
lint_has_dane(const struct danevirke_host *h)
{
	return h->would == DANEVIRKE_AUTHENTICATE ||
	    (h->tlsa_state == DANEVIRKE_SECURE && h->n_tlsa > 0);
}

bool
lint_not_now(const struct starttls_result *s)
{
	return s->state != STARTTLS_READY && s->code == 421;
}

void
lint_session(struct report *r, struct address_report *ar,
    const struct starttls_result *s)
{
	enum severity severity = lint_has_dane(ar->host) ? SEV_PROBLEM :
							   SEV_NOTE;

	snprintf(ar->text, sizeof ar->text, "%s", s->text);
	if (lint_not_now(s)) {
		ar->tested = ar->tls = false;
		lint_add(r, SEV_WARNING, "T12", ar->host->name, ar->addr->text,
		    "test it again later",
		    "not now, it said two times, so it is not tested: %s",
		    s->text);
	} else if (
	    s->tls) /* TLS 1.3: also where a client's certificate is wanted */
		lint_add(r, severity, "L05", ar->host->name, ar->addr->text,
		    severity == SEV_PROBLEM ?
			"senders that check DANE delay mail until a session "
			"goes on in TLS; ask no certificate of them" :
			NULL,
		    "the session fails after the handshake: %s", s->text);
	else if (s->state == STARTTLS_CONNECT)
		lint_add(r,
		    strstr(s->text, strerror(ENETUNREACH)) != NULL ?
			SEV_NOTE /* this machine has no such network */
			:
			SEV_WARNING,
		    "L12", ar->host->name, ar->addr->text,
		    "is the port open to the outside, or closed from here?",
		    "cannot be reached: %s", s->text);
	else if (s->state == STARTTLS_BANNER || s->state == STARTTLS_EHLO)
		lint_add(r, SEV_WARNING, "T10", ar->host->name, ar->addr->text,
		    NULL, "gives no SMTP session: %s", s->text);
	else
		lint_add(r, severity, "L05", ar->host->name, ar->addr->text,
		    severity == SEV_PROBLEM ?
			"TLSA records promise TLS: senders that check DANE "
			"delay mail until STARTTLS works" :
			"without STARTTLS all mail comes in the clear",
		    "STARTTLS does not work: %s", s->text);
}

void
lint_variant(struct report *r, const struct address_report *ar,
    const struct starttls_result *s, const char *how, bool sni, bool alone)
{
	if (s->state < STARTTLS_HANDSHAKE) {
		/* it tells nothing about what was to be tried */
		lint_add(r, SEV_NOTE, "L12", ar->host->name, ar->addr->text,
		    "a server that takes few connections from one address "
		    "cannot be tested wholly: try again later",
		    "a further connection failed, a test was left out: %s",
		    s->text);
		return;
	}
	if (alone)
		lint_add(r, SEV_NOTE, "L12", ar->host->name, ar->addr->text,
		    NULL, "accepts neither RSA nor ECDSA alone: %s", s->text);
	if (sni)
		lint_add(r, SEV_WARNING, "L11", ar->host->name, ar->addr->text,
		    "senders may send another SNI or none: serve the "
		    "ordinary certificate to them",
		    "refuses a handshake %s: %s", how, s->text);
}

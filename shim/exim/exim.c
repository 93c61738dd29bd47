/* SPDX-License-Identifier: ISC */
/*
 * The functions that Exim calls by ${dlfunc}, profile and next hop first.
 * danevirke-exim(7) tells which hook each belongs to.  None decides anything:
 * the module's answer says what to do with a host, and its verify() judges.
 *
 * Some of Exim's hooks fail open.  So an event handler never returns FAIL: it
 * returns OK with the text of a refusal; and danevirke_gate, in a hook that
 * fails closed, lets pass only what this very process has judged.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

int danevirke_route(uschar **, int, uschar **);
int danevirke_unroutable(uschar **, int, uschar **);
int danevirke_require_tls(uschar **, int, uschar **);
int danevirke_sni(uschar **, int, uschar **);
int danevirke_priority(uschar **, int, uschar **);
int danevirke_gate(uschar **, int, uschar **);
int danevirke_auth(uschar **, int, uschar **);

/* ------------------------------------------------------------- routing */

/* There is no session with it, or none with any: K02. */
static void
route_report(const struct hop *h, const struct danevirke_answer *a,
    const struct danevirke_host *host)
{
	struct danevirke_session s = { .size = sizeof s,
		.result = host != NULL ? host->result : a->result,
		.text = host != NULL ? host->reason : a->reason };

	if (a->would == DANEVIRKE_DEFER && a->outcome == DANEVIRKE_ROUTE)
		s.result = DANEVIRKE_DNSSEC_INVALID; /* P02: hosts, or MX */
	if (s.result != DANEVIRKE_RESULT_NONE)
		answer_report(h, a, host, &s);
}

/* Hosts that may not be used are left out, and each is logged (P04); and if
 * they come before the first that may, reported. */
static int
host_list(uschar **yield, const struct hop *h, const struct danevirke_answer *a,
    bool first)
{
	char *list = NULL, *more;
	size_t i, j;
	int n;

	for (i = 0; i < a->n_hosts; i++) {
		const struct danevirke_host *host = a->hosts[i];

		if (host->action == DANEVIRKE_HOST_DEFER) {
			hop_verdict(
			    h, a, host, false, false, "deferred", host->reason);
			if (first && list == NULL)
				route_report(h, a, host);
			continue;
		}
		for (j = 0; j < host->n_addrs; j++) {
			const char *address = host->addrs[j].text;
			char item[80];

			if (hop_host(a, address)->action ==
			    DANEVIRKE_HOST_DEFER)
				continue;
			snprintf(
			    item, sizeof item, "[%s]:%u", address, host->port);
			if (list != NULL && strstr(list, item) != NULL)
				continue;
			n = asprintf(&more, "%s%s%s",
			    list != NULL ? list : "<;", list != NULL ? ";" : "",
			    item);
			free(list);
			if (n == -1)
				return exim_give(yield, FAIL, "out of memory");
			list = more;
		}
	}
	if (list == NULL)
		return exim_give(
		    yield, FAIL, "451 4.7.5 %s: %s", h->host, a->reason);
	return exim_hand(yield, OK, list);
}

/* The answer for {profile}{domain}; NULL: why, which is logged. */
static const struct danevirke_answer *
hop_answer(struct hop *h, int argc, uschar **argv, char *why)
{
	const struct danevirke_answer *a = NULL;

	if (!hop_args(h, argc, argv, why) || (a = answer_route(h, why)) == NULL)
		exim_say("%s: deferred: %s", hop_text(argc, argv), why);
	return a;
}

/* {profile}{domain}{verify_mode}: the addresses, in order; never names. */
int
danevirke_route(uschar **yield, int argc, uschar **argv)
{
	const char *verify = exim_arg(argc, argv, 2), *other;
	const struct danevirke_answer *a;
	char why[TEXT_LEN] = "";
	struct hop h;
	bool first;

	*yield = (uschar *)(uintptr_t) "";
	if ((a = hop_answer(&h, argc, argv, why)) == NULL)
		return exim_give(yield, FAIL, "451 4.4.3 %s", why);
	/* of a message's recipients, and not when they are only verified */
	first = *verify == '\0' && answer_first(&h);
	if (first &&
	    (a->outcome == DANEVIRKE_DEFER || a->would == DANEVIRKE_DEFER))
		route_report(&h, a, NULL);
	if (a->level == DANEVIRKE_LEVEL_OFF ||
	    (a->level == DANEVIRKE_LEVEL_AUDIT &&
		a->would == DANEVIRKE_DEFER)) { /* P02 */
		if (a->level != DANEVIRKE_LEVEL_OFF || a->exception != NULL)
			hop_verdict(&h, a, NULL, false, false,
			    "opportunistic-tls", a->reason);
		return FORCED;
	}
	/* S06: cutthrough and held callouts send RCPT for a second domain over
	 * a session that was judged for the first. */
	if (*verify != '\0' && (other = answer_conflict(&h, a)) != NULL)
		return exim_give(yield, FAIL,
		    "451 4.7.5 %s shares a host with %s: "
		    "not verified in one session",
		    h.host, other);
	if (a->outcome == DANEVIRKE_ROUTE)
		return host_list(yield, &h, a, first);
	hop_verdict(&h, a, NULL, false, false, "deferred", a->reason);
	return exim_give(yield, FAIL, "451 4.7.5 %s: %s", h.host, a->reason);
}

/* {profile}{domain}: text for ":fail:"; forced failure where there is none. */
int
danevirke_unroutable(uschar **yield, int argc, uschar **argv)
{
	const struct danevirke_answer *a;
	char why[TEXT_LEN] = "";
	struct hop h;

	*yield = (uschar *)(uintptr_t) "";
	if ((a = hop_answer(&h, argc, argv, why)) == NULL)
		return exim_give(yield, FAIL, "%s", why);
	if (a->level == DANEVIRKE_LEVEL_OFF)
		return FORCED;
	switch (a->outcome) {
	case DANEVIRKE_NULL_MX: /* Z02 */
		hop_verdict(&h, a, NULL, false, false, "bounced", a->reason);
		return exim_give(
		    yield, OK, "556 5.1.10 %s: %s", h.host, a->reason);
	case DANEVIRKE_NO_DOMAIN:
		hop_verdict(&h, a, NULL, false, false, "bounced", a->reason);
		return exim_give(
		    yield, OK, "550 5.1.2 %s: %s", h.host, a->reason);
	case DANEVIRKE_LOOP: /* M10 */
		hop_verdict(&h, a, NULL, false, false, "bounced", a->reason);
		return exim_give(
		    yield, OK, "554 5.4.6 %s: %s", h.host, a->reason);
	case DANEVIRKE_DEFER:
	case DANEVIRKE_ROUTE:
		break;
	}
	return FORCED;
}

/* ------------------------------------------------- one host of a transport */

/* {profile}{domain}{host_address}{host_port}, for hosts_require_tls, which
 * fails open: so whatever happens the answer is "*" unless clear text is
 * allowed for certain. */
int
danevirke_require_tls(uschar **yield, int argc, uschar **argv)
{
	const struct danevirke_answer *a;
	const struct danevirke_host *host;
	char why[TEXT_LEN] = "";
	struct hop h;

	host = hop_asked(&h, &a, argc, argv, false, why);
	if (host != NULL && host->action == DANEVIRKE_OPPORTUNISTIC) {
		session_in_clear();
		*yield = (uschar *)(uintptr_t) "";
		return OK;
	}
	*yield = (uschar *)(uintptr_t) "*";
	/* Exim asks only where there is no TLS: this host is done with (T02) */
	if (host != NULL)
		session_no_tls(&h, a, host, exim_arg(argc, argv, 2), NULL);
	return OK;
}

/* The same for a hook that answers with a text; NULL: *yield has why. */
static const struct danevirke_host *
hook_told(
    uschar **yield, const struct danevirke_answer **a, int argc, uschar **argv)
{
	const struct danevirke_host *host;
	char why[TEXT_LEN] = "";
	struct hop h;

	*yield = (uschar *)(uintptr_t) "";
	host = hop_asked(&h, a, argc, argv, false, why);
	if (host == NULL)
		exim_give(yield, FAIL, "%s", why);
	return host;
}

/* {profile}{domain}{host_address}{host_port}: S01.  Exim asks when the server
 * has taken STARTTLS. */
int
danevirke_sni(uschar **yield, int argc, uschar **argv)
{
	const struct danevirke_answer *a;
	const struct danevirke_host *host = hook_told(yield, &a, argc, argv);

	if (host == NULL)
		return FAIL;
	session_handshake();
	return exim_give(yield, OK, "%s", host->base != NULL ? host->base : "");
}

/* {profile}{domain}{host_address}{host_port}: S03, S04; "" is Exim's own */
int
danevirke_priority(uschar **yield, int argc, uschar **argv)
{
	const struct danevirke_answer *a;
	const struct danevirke_host *host = hook_told(yield, &a, argc, argv);

	if (host == NULL)
		return FAIL;
	return exim_give(yield, OK, "%s",
	    host->action == DANEVIRKE_OPPORTUNISTIC || a->tls_priority == NULL ?
		"" :
		a->tls_priority);
}

/* -------------------------------------------------------------- the gate */

/* Does the live session satisfy what this host demands?  S08, S05.  A refusal
 * is logged; consent at MAIL only, so once for a message. */
static bool
gate_passes(const struct hop *h, const struct danevirke_answer *a,
    const struct danevirke_host *host, int argc, uschar **argv, bool auth,
    char *why)
{
	const char *cipher = exim_arg(argc, argv, 4), *how = "", *verdict;
	bool tls = *cipher != '\0', verified = false;
	char text[TEXT_LEN];

	/* without a certificate it is anonymous (S04) */
	if (!session_cert(h, argc, argv, &how) &&
	    host->action != DANEVIRKE_OPPORTUNISTIC)
		tls = false;
	verified = tls && how != NULL;
	verdict = exim_api(why)->log_word(a, host, tls, verified);
	if (strcmp(verdict, "deferred") == 0) {
		snprintf(why, TEXT_LEN, "%s: %.700s",
		    !tls         ? "this session is not encrypted" :
			verified ? "this host must not be used" :
				   "no verdict for this session",
		    host->reason);
		hop_verdict(h, a, host, tls, verified, "deferred", why);
		session_report(h, a, host, tls,
		    tls ? DANEVIRKE_VALIDATION_FAILURE : DANEVIRKE_RESULT_NONE,
		    why);
		return false;
	}
	if (auth)
		return true;
	snprintf(text, sizeof text, "%s%s%.600s%s%.100s", verified ? how : "",
	    verified ? ", " : "", host->reason, tls ? ", " : "", cipher);
	hop_verdict(h, a, host, tls, verified, verdict, text);
	session_report(h, a, host, tls, DANEVIRKE_RESULT_NONE, NULL);
	return true;
}

static int
exim_gate(uschar **yield, int argc, uschar **argv, bool auth)
{
	const struct danevirke_answer *a = NULL;
	const struct danevirke_host *host;
	char why[TEXT_LEN] = "";
	struct hop h;

	*yield = (uschar *)(uintptr_t) "";
	host = hop_asked(&h, &a, argc, argv, false, why);
	if (host == NULL) {
		exim_say("%s via [%s]:%s: deferred: %s", hop_text(argc, argv),
		    exim_arg(argc, argv, 2), exim_arg(argc, argv, 3), why);
		return exim_give(yield, FAIL, "%s", why);
	}
	if (!gate_passes(&h, a, host, argc, argv, auth, why))
		return exim_give(yield, FAIL, "%s", why);
	/* also where the message itself may go in the clear */
	if (auth && *exim_arg(argc, argv, 4) == '\0') {
		exim_say("%s via %s:%u: no password is sent in the clear",
		    h.host, host->name, host->port);
		return exim_give(yield, OK, "no");
	}
	if (!answer_used(&h, exim_arg(argc, argv, 2)))
		return exim_give(yield, FAIL, "out of memory");
	return exim_give(yield, OK, "%s", auth ? "yes" : "");
}

/* {profile}{domain}{host_address}{host_port}{tls_out_cipher}{cert}: for
 * authenticated_sender, which fails closed. */
int
danevirke_gate(uschar **yield, int argc, uschar **argv)
{
	return exim_gate(yield, argc, argv, false);
}

/* The same for an authenticator's client_condition, which wants "yes"; "no" in
 * a session without TLS. */
int
danevirke_auth(uschar **yield, int argc, uschar **argv)
{
	return exim_gate(yield, argc, argv, true);
}

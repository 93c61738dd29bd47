/* SPDX-License-Identifier: ISC */
/*
 * What the drivers of an Exim that uses Danevirke must say, and why: see
 * danevirke-exim(7).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

/* -------------------------------------------------------------- transport */

enum option_how { OPTION_IS, OPTION_HOLDS };

static const struct option_rule {
	const char *name;
	enum option_how how;
	const char *want;
	enum severity severity;
	const char *why;
} option_rules[] = {
	{ "authenticated_sender", OPTION_HOLDS, "danevirke_gate", SEV_PROBLEM,
	    "nothing keeps a message from a host that was not judged" },
	{ "event_action", OPTION_HOLDS, "danevirke_event", SEV_PROBLEM,
	    "a host that fails makes the message wait, and no other host is "
	    "tried" },
	{ "hosts_require_tls", OPTION_HOLDS, "danevirke_require_tls",
	    SEV_PROBLEM, "a host that needs TLS is spoken to without" },
	{ "tls_sni", OPTION_HOLDS, "danevirke_sni", SEV_PROBLEM,
	    "a server with several certificates sends another one" },
	{ "tls_require_ciphers", OPTION_HOLDS, "danevirke_priority",
	    SEV_WARNING, "TLS before 1.2 counts" },
	{ "multi_domain", OPTION_IS, "false", SEV_PROBLEM,
	    "each domain is to be judged by itself" },
	{ "connection_max_messages", OPTION_IS, "1", SEV_PROBLEM,
	    "a connection that is used again has no certificate to judge" },
	{ "hosts_nopass_tls", OPTION_IS, "*", SEV_PROBLEM,
	    "a connection that is handed on has no certificate to judge" },
	{ "hosts_pipe_connect", OPTION_IS, "", SEV_PROBLEM,
	    "Exim would speak before the host is judged" },
	{ "tls_resumption_hosts", OPTION_IS, "", SEV_PROBLEM,
	    "a resumed session shows no certificate" },
	{ "hosts_avoid_tls", OPTION_IS, "", SEV_PROBLEM,
	    "mail to hosts with TLSA records waits for ever" },
	{ "hosts_try_dane", OPTION_IS, "", SEV_WARNING,
	    "Exim would judge besides, by a resolver that it trusts" },
	{ "hosts_require_dane", OPTION_IS, "", SEV_WARNING,
	    "Exim would judge besides, by a resolver that it trusts" },
	{ "tls_verify_certificates", OPTION_IS, "", SEV_WARNING,
	    "a CA bundle costs time, and Danevirke judges" },
	{ "tls_verify_hosts", OPTION_IS, "", SEV_PROBLEM,
	    "certificates that TLSA records vouch for would be refused" },
	{ "hosts_randomize", OPTION_IS, "false", SEV_PROBLEM,
	    "hosts would be tried in any order" },
	{ "delay_after_cutoff", OPTION_IS, "false", SEV_WARNING,
	    "mail to a host that has failed for days comes back untried" },
	{ "fallback_hosts", OPTION_IS, "", SEV_PROBLEM,
	    "they are never judged, so mail waits there" },
	{ "hosts", OPTION_IS, "", SEV_PROBLEM,
	    "hosts are to come from the router, with their verdicts" },
};

static bool
option_kept(const struct driver *t, const struct option_rule *r)
{
	if (r->how == OPTION_HOLDS)
		return driver_has(t, r->name, r->want);
	/* what this Exim does not know it does not do */
	return !driver_knows(t, r->name) ||
	    strcmp(driver_get(t, r->name), r->want) == 0;
}

static void
option_where(const struct debian *deb, const char *section, const char *name,
    char where[512])
{
	snprintf(where, 512, "%s, %s \"%s\"", debian_place(deb, section),
	    section, name);
}

void
option_transport(
    struct doctor *d, const struct debian *deb, const struct driver *t)
{
	const struct option_rule *r = option_rules,
				 *end = r +
	    sizeof option_rules / sizeof *option_rules;
	char where[512];

	option_where(deb, "transport", t->name, where);
	for (; r < end; r++) {
		if (option_kept(t, r))
			continue;
		doctor_say(d, r->severity, "%s has %s = %s: %s", t->name,
		    r->name, driver_get(t, r->name), r->why);
		if (r->how == OPTION_IS)
			doctor_write(d, where, "%s = %s", r->name, r->want);
		else
			doctor_write(d,
			    "what stands in its place goes into "
			    "DANEVIRKE_MY_SENDER or DANEVIRKE_MY_EVENT; see "
			    "danevirke-exim(7)",
			    NULL);
	}
}

/* ------------------------------------------------------------------- lost */

/* What an administrator sets for outgoing mail, often by Debian's macros. */
static const char *const option_own[] = { "dkim_domain", "dkim_selector",
	"dkim_private_key", "dkim_canon", "dkim_strict", "dkim_sign_headers",
	"dkim_timestamps", "dkim_identity", "dkim_hash", "helo_data",
	"interface", "headers_rewrite", "headers_add", "headers_remove",
	"return_path", "message_linelength_limit", "message_size_limit",
	"tls_certificate", "tls_privatekey", "tls_dh_min_bits",
	"transport_filter", "shadow_transport", "dscp", "socks_proxy",
	"max_rcpt", "utf8_downconvert" };

/* Adds "  name = value" to *lines. */
static void
option_line(struct doctor *d, char **lines, const char *name, const char *value)
{
	char *more;

	if (asprintf(&more, "%s%s  %s = %s", *lines == NULL ? "" : *lines,
		*lines == NULL ? "" : "\n", name, value) < 0) {
		d->no_memory = true;
		return;
	}
	free(*lines);
	*lines = more;
}

void
option_lost(struct doctor *d, const struct debian *deb,
    const struct driver *ours, const struct driver *theirs)
{
	char *lines = NULL, *names = NULL, *more, where[512];
	const char *name, *value;
	size_t i;

	for (i = 0; i < sizeof option_own / sizeof *option_own; i++) {
		name = option_own[i];
		value = driver_get(theirs, name);
		if (*value == '\0' ||
		    strcmp(value, driver_get(ours, name)) == 0)
			continue;
		option_line(d, &lines, name, value);
		if (asprintf(&more, "%s%s%s", names == NULL ? "" : names,
			names == NULL ? "" : ", ", name) < 0)
			d->no_memory = true;
		else {
			free(names);
			names = more;
		}
	}
	if (lines != NULL) {
		snprintf(where, sizeof where, "%s, behind the .include with %s",
		    debian_place(deb, "transport"), ours->name);
		doctor_say(d, SEV_PROBLEM, "%s loses what %s has set: %s",
		    ours->name, theirs->name, names == NULL ? "" : names);
		doctor_write(d, where, "%s", lines);
	}
	free(lines);
	free(names);
}

/* --------------------------------------------------------- authenticators */

/* One that may send a password, with the option that has it; NULL: none. */
static const char *
option_client(const struct driver *a)
{
	static const char *const secret[] = { "client_send", "client_secret",
		"client_password", NULL };
	size_t i;

	for (i = 0; secret[i] != NULL; i++)
		if (driver_get(a, secret[i])[0] != '\0')
			return secret[i];
	return NULL;
}

/* Debian's look their entry up by $host, which is an address here. */
static bool
option_by_host(const struct driver *a, const char *option)
{
	return driver_has(a, option, "{$host}") ||
	    driver_has(a, option, "{${host}}");
}

static void
option_authenticator(struct doctor *d, const struct debian *deb,
    const struct driver *a, const char *option, const char *host)
{
	char where[512];

	option_where(deb, "authenticator", a->name, where);
	if (!driver_has(a, "client_condition", "danevirke_auth")) {
		doctor_say(d, SEV_PROBLEM,
		    "authenticator %s sends its password before the host is "
		    "judged",
		    a->name);
		doctor_write(
		    d, where, "  client_condition = DANEVIRKE_RELAY_JUDGED");
	}
	if (host[0] != '\0' && option_by_host(a, option)) {
		doctor_say(d, SEV_PROBLEM,
		    "authenticator %s looks for $host in passwd.client, which "
		    "is an address here: the entry %s is not found, and mail "
		    "goes without its password",
		    a->name, host);
		doctor_write(d, where,
		    "  {DANEVIRKE_RELAY_HOST} in the place of {$host}, in each "
		    "line");
	}
}

void
option_authenticators(struct doctor *d, const struct debian *deb,
    const struct drivers *auths, const struct driver *ours)
{
	char name[256];
	bool by_name, any = debian_passwords(&by_name, name), sends = false;
	const char *option;
	size_t i;

	for (i = 0; i < auths->n; i++) {
		const struct driver *a = &auths->driver[i];

		if ((option = option_client(a)) == NULL)
			continue;
		/* without an entry Debian's give up by themselves */
		if (!any && driver_has(a, option, "/passwd.client}"))
			continue;
		sends = true;
		option_authenticator(d, deb, a, option, name);
	}
	if (!sends || driver_get(ours, "hosts_require_auth")[0] != '\0')
		return;
	doctor_say(d, SEV_WARNING,
	    "%s sends without a password where the host does not take it",
	    ours->name);
	doctor_write(d, debian_place(deb, "main"), "DANEVIRKE_RELAY_AUTH = *");
}

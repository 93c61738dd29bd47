/* SPDX-License-Identifier: ISC */
/* The next hop and the host that a hook is asked about. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"

static bool
hop_parse(struct hop *h, const char *profile, const char *name, char *why)
{
	const char *colon;
	unsigned long port = 25;
	char *end;

	memset(h, 0, sizeof *h);
	h->profile = profile;
	h->name = name;
	if (*name == '\0') {
		/* two domains in one transaction, or none at all */
		snprintf(why, TEXT_LEN,
		    "no domain: the transport needs multi_domain = false");
		return false;
	}
	if (strncmp(name, "host=", 5) == 0) {
		h->kind = DANEVIRKE_RELAY;
		name += 5;
	}
	colon = h->kind == DANEVIRKE_RELAY ? strrchr(name, ':') : NULL;
	if (colon != NULL && strchr(name, ']') < colon) {
		port = strtoul(colon + 1, &end, 10);
		if (*end != '\0' || end == colon + 1 || port == 0 ||
		    port > 65535) {
			snprintf(why, TEXT_LEN,
			    "\"%.256s\": want host=NAME:PORT", name);
			return false;
		}
	} else
		colon = name + strlen(name);
	if ((size_t)(colon - name) >= sizeof h->host || colon == name) {
		snprintf(why, TEXT_LEN,
		    "\"%.256s\": want a host or domain name", name);
		return false;
	}
	memcpy(h->host, name, (size_t)(colon - name));
	h->port = (uint16_t)port;
	return true;
}

const char *
hop_text(int argc, uschar **argv)
{
	const char *name = exim_arg(argc, argv, 1);

	return strncmp(name, "host=", 5) == 0 ? name + 5 : name;
}

bool
hop_args(struct hop *h, int argc, uschar **argv, char *why)
{
	if (!caller_fits(why))
		return false;
	if (argc < 2) {
		snprintf(why, TEXT_LEN, "want at least profile and domain");
		return false;
	}
	return hop_parse(
	    h, exim_arg(argc, argv, 0), exim_arg(argc, argv, 1), why);
}

const struct danevirke_host *
hop_host(const struct danevirke_answer *a, const char *address)
{
	static const int strict[] = { [DANEVIRKE_OPPORTUNISTIC] = 1,
		[DANEVIRKE_ENCRYPT] = 2,
		[DANEVIRKE_AUTHENTICATE] = 3,
		[DANEVIRKE_HOST_DEFER] = 4 };
	const struct danevirke_host *h, *best = NULL;
	size_t i, j;

	for (i = 0; i < a->n_hosts; i++)
		for (h = a->hosts[i], j = 0; j < h->n_addrs; j++)
			if (strcmp(h->addrs[j].text, address) == 0 &&
			    (best == NULL ||
				strict[h->action] * 8 + strict[h->would] >
				    strict[best->action] * 8 +
					strict[best->would]))
				best = h;
	return best;
}

void
hop_verdict(const struct hop *h, const struct danevirke_answer *a,
    const struct danevirke_host *host, bool tls, bool verified,
    const char *verdict, const char *reason)
{
	char beside[300], why[TEXT_LEN];

	exim_api(why)->log_beside(
	    a, host, tls, verified, beside, sizeof beside);
	if (host == NULL)
		exim_say("%s: %s%s: %s", h->host, verdict, beside, reason);
	else
		exim_say("%s via %s:%u: %s%s: %s", h->host, host->name,
		    host->port, verdict, beside, reason);
}

const struct danevirke_host *
hop_asked(struct hop *h, const struct danevirke_answer **a, int argc,
    uschar **argv, bool fresh, char *why)
{
	const struct danevirke_host *host;

	if (!hop_args(h, argc, argv, why))
		return NULL;
	*a = fresh ? answer_fresh(h, why) : answer_known(h);
	if (*a == NULL) {
		if (*why == '\0')
			snprintf(why, TEXT_LEN,
			    "%s was not routed by "
			    "danevirke_route in this process",
			    h->name);
		return NULL;
	}
	if ((*a)->outcome != DANEVIRKE_ROUTE) {
		snprintf(why, TEXT_LEN, "%.900s", (*a)->reason);
		return NULL;
	}
	host = hop_host(*a, exim_arg(argc, argv, 2));
	if (host == NULL ||
	    strtoul(exim_arg(argc, argv, 3), NULL, 10) != host->port) {
		snprintf(why, TEXT_LEN,
		    "[%.60s]:%.6s is not a host of the "
		    "validated answer for %.300s",
		    exim_arg(argc, argv, 2), exim_arg(argc, argv, 3), h->name);
		return NULL;
	}
	return host;
}

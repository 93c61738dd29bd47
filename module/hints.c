/* SPDX-License-Identifier: ISC */
/*
 * hints.c - where the servers of a top-level domain are, from one short-lived
 * process to the next
 *
 * The NS records of a TLD and the addresses of these servers are lookups like
 * any other, and in the store like any other, for as long as they live.  A
 * fresh process that finds them there begins at the TLD, while the root is
 * asked for its keys and the TLD's: two round trips less.  They are what a
 * referral is, a place to ask: nothing is believed for their sake, every chain
 * of proofs still begins at the root.  Where those servers do not help the
 * library asks on from the root by itself (stub-first), and where what they say
 * fails dns.c does.
 */
#include <arpa/inet.h>
#include <string.h>

#include "module.h"
#include "packet.h"

#define SERVERS 3   /* of them */
#define ADDRESSES 4 /* of each, of a family */

/* What a lookup gave when it was made; false: it is not there. */
static bool
hints_stored(struct store *store, struct arena *a, const char *name, int type,
    struct dns_result *r)
{
	struct store_hit hit;

	if (!store_get(store, a, name, type, &hit))
		return false;
	dns_parse(a, name, type, 0, hit.packet, hit.len, hit.sec, NULL, 0, r);
	return r->state != DANEVIRKE_ERROR;
}

/* The names of its servers, of a TLD that is signed: how many. */
static size_t
hints_servers(struct store *store, struct arena *a, const char *tld,
    const char *name[SERVERS], bool *known)
{
	struct dns_result ns;
	char text[NAME_LEN];
	size_t i, n = 0;

	*known = hints_stored(store, a, tld, TYPE_NS, &ns);
	if (!*known || ns.state != DANEVIRKE_SECURE)
		return 0;
	for (i = 0; i < ns.n_rr && n < SERVERS; i++)
		if (dns_name_text(ns.rr[i].data, ns.rr[i].len, text) &&
		    (name[n] = arena_str(a, text)) != NULL)
			n++;
	return n;
}

/* One line for each address: what it is a hint for is syntax there. */
static char *
hints_add(struct arena *a, char *text, int family, const struct dns_result *r)
{
	char ip[INET6_ADDRSTRLEN];
	size_t i;

	for (i = 0; i < r->n_rr && i < ADDRESSES && text != NULL; i++)
		if (r->rr[i].len == (family == AF_INET ? 4 : 16) &&
		    inet_ntop(family, r->rr[i].data, ip, sizeof ip) != NULL)
			text = arena_printf(
			    a, "%s stub-addr: \"%s\"\n", text, ip);
	return text;
}

char *
hints_text(struct store *store, struct arena *a, const char *tld)
{
	const char *name[SERVERS];
	struct dns_result r;
	char *text, *begun;
	size_t i, n;
	bool known;

	if (tld[strspn(tld, "abcdefghijklmnopqrstuvwxyz0123456789-")] != '\0' ||
	    (n = hints_servers(store, a, tld, name, &known)) == 0)
		return NULL;
	begun = text = arena_printf(
	    a, "stub-zone:\n name: \"%s\"\n stub-first: yes\n", tld);
	for (i = 0; i < n && text != NULL; i++) {
		if (hints_stored(store, a, name[i], TYPE_A, &r))
			text = hints_add(a, text, AF_INET, &r);
		if (text != NULL &&
		    hints_stored(store, a, name[i], TYPE_AAAA, &r))
			text = hints_add(a, text, AF_INET6, &r);
	}
	return text == begun ? NULL : text;
}

size_t
hints_wanted(struct store *store, struct arena *a, const char *tld,
    struct hint want[HINTS_MAX])
{
	static const int types[] = { TYPE_A, TYPE_AAAA };
	const char *name[SERVERS];
	struct dns_result r;
	size_t i, j, n, wanted = 0;
	bool known;

	n = hints_servers(store, a, tld, name, &known);
	if (!known)
		want[wanted++] = (struct hint){ tld, TYPE_NS };
	for (i = 0; i < n; i++)
		for (j = 0; j < 2; j++)
			if (!hints_stored(store, a, name[i], types[j], &r))
				want[wanted++] = (struct hint){ name[i],
					types[j] };
	return wanted;
}

static void
hints_end(struct store *store, struct arena *a, const char *name, int type)
{
	struct store_hit hit;

	if (store_get(store, a, name, type, &hit))
		store_put(store, name, type, hit.sec, hit.packet, hit.len, 1);
}

/* In a second nobody knows of them. */
void
hints_forget(struct store *store, const char *tld)
{
	const char *name[SERVERS];
	struct arena a = { NULL };
	size_t i, n;
	bool known;

	n = hints_servers(store, &a, tld, name, &known);
	for (i = 0; i < n; i++) {
		hints_end(store, &a, name[i], TYPE_A);
		hints_end(store, &a, name[i], TYPE_AAAA);
	}
	hints_end(store, &a, tld, TYPE_NS);
	arena_free(&a);
}

/* The last label of a name that has others, where it lies, or NULL; not of one
 * for whose TLD the configuration knows better. */
const char *
hints_tld(const struct conf *conf, const char *name)
{
	const char *tld = strrchr(name, '.');
	struct wire w, zone;
	size_t i;

	if (tld == NULL || !wire_parse(++tld, &w) || conf->n_forward > 0)
		return NULL;
	for (i = 0; i < conf->n_zones; i++)
		if (wire_parse(conf->zones[i].name, &zone) &&
		    wire_below(&w, &zone))
			return NULL;
	return tld;
}

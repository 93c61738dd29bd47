/* SPDX-License-Identifier: ISC */
/*
 * Addresses that nobody on the Internet has, and our own (W01).  Where a
 * stranger chooses the names, they must not lead into this machine or behind
 * the firewall that it stands behind.  Pure, but for the interfaces.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "module.h"
#include "value.h"

/* The registries of RFC 6890, by what is left: of IPv6 only 2000::/3 is given
 * out, so that IPv4 inside IPv6 in any form is here, too. */
static const struct conf_prefix special_net[] = {
	{ 4, { 0 }, 8 }, { 4, { 10 }, 8 }, /* RFC 1918 */
	{ 4, { 100, 64 }, 10 },            /* RFC 6598 */
	{ 4, { 127 }, 8 },                 /* loopback */
	{ 4, { 169, 254 }, 16 },           /* RFC 3927 */
	{ 4, { 172, 16 }, 12 },            /* RFC 1918 */
	{ 4, { 192, 0, 0 }, 24 },          /* RFC 6890 2.1 */
	{ 4, { 192, 0, 2 }, 24 },          /* RFC 5737 */
	{ 4, { 192, 88, 99 }, 24 },        /* RFC 7526 */
	{ 4, { 192, 168 }, 16 },           /* RFC 1918 */
	{ 4, { 198, 18 }, 15 },            /* RFC 2544 */
	{ 4, { 198, 51, 100 }, 24 }, { 4, { 203, 0, 113 }, 24 },
	{ 4, { 224 }, 3 },         /* multicast, reserved, broadcast */
	{ 6, { 0 }, 3 },           /* loopback, mapped, NAT64, discard */
	{ 6, { 0x40 }, 2 },        /* not given out */
	{ 6, { 0x80 }, 1 },        /* ULA, link-local, multicast */
	{ 6, { 0x20, 0x01 }, 23 }, /* RFC 2928: Teredo, ORCHID ... */
	{ 6, { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* RFC 3849 */
	{ 6, { 0x20, 0x02 }, 16 },             /* 6to4 */
	{ 6, { 0x3f, 0xff }, 20 },             /* RFC 9637 */
};
#define N_NET (sizeof special_net / sizeof *special_net)

bool
special_address(const struct conf *c, int family, const uint8_t *ip)
{
	return prefix_match(c->special, c->n_special, family, ip) &&
	    !prefix_match(c->allow, c->n_allow, family, ip);
}

/* What may be asked all the same, and how much of a prefix is left. */
struct rest {
	struct arena *arena;
	struct conf_prefix *hole;
	size_t n_hole;
	const char **text; /* NULL: they are counted only */
	size_t n_text;
};

static bool
rest_add(struct rest *r, const struct conf_prefix *p)
{
	char ip[INET6_ADDRSTRLEN];

	if (r->text != NULL) {
		inet_ntop(
		    p->family == 4 ? AF_INET : AF_INET6, p->ip, ip, sizeof ip);
		r->text[r->n_text] = arena_printf(
		    r->arena, "%s/%u", ip, p->bits);
		if (r->text[r->n_text] == NULL)
			return false;
	}
	r->n_text++;
	return true;
}

/* The prefix without the holes: halves of it, as far as there is one inside. */
static bool
rest_of(struct rest *r, struct conf_prefix p)
{
	const struct conf_prefix *h;
	bool inside = false;

	for (h = r->hole; h < r->hole + r->n_hole; h++) {
		if (h->family != p.family)
			continue;
		if (h->bits <= p.bits && prefix_match(h, 1, p.family, p.ip))
			return true;
		inside |= prefix_match(&p, 1, h->family, h->ip);
	}
	if (!inside)
		return rest_add(r, &p);
	p.bits++;
	if (!rest_of(r, p))
		return false;
	p.ip[(p.bits - 1) / 8] |= (uint8_t)(0x80 >> (p.bits - 1) % 8);
	return rest_of(r, p);
}

static void
hole_server(struct rest *r, const char *server)
{
	char ip[INET6_ADDRSTRLEN];

	snprintf(ip, sizeof ip, "%.*s", (int)strcspn(server, "@"), server);
	if (value_address(ip, &r->hole[r->n_hole]))
		r->n_hole++;
}

/* The configuration's own servers may have such an address. */
static bool
rest_holes(struct rest *r, const struct conf *c)
{
	size_t i, j, n = c->n_allow + c->n_forward;

	for (i = 0; i < c->n_zones; i++)
		n += c->zones[i].n_forward;
	r->hole = arena_array(r->arena, n + 1, sizeof *r->hole);
	if (r->hole == NULL)
		return false;
	for (i = 0; i < c->n_allow; i++)
		r->hole[r->n_hole++] = c->allow[i];
	for (i = 0; i < c->n_forward; i++)
		hole_server(r, c->forward[i]);
	for (i = 0; i < c->n_zones; i++)
		for (j = 0; j < c->zones[i].n_forward; j++)
			hole_server(r, c->zones[i].forward[j]);
	return true;
}

static bool
special_texts(struct conf *c)
{
	struct rest r = { .arena = &c->arena };
	size_t i;
	int pass;

	if (!rest_holes(&r, c))
		return false;
	for (pass = 0; pass < 2; pass++) {
		if (pass == 1 &&
		    (r.text = arena_array(
			 r.arena, r.n_text + 1, sizeof *r.text)) == NULL)
			return false;
		r.n_text = 0;
		for (i = 0; i < c->n_special; i++)
			if (!rest_of(&r, c->special[i]))
				return false;
	}
	c->settings.resolver_shun = r.text;
	c->settings.n_resolver_shun = r.n_text;
	return true;
}

bool
special_open(struct conf *c)
{
	const struct conf_prefix *own;
	size_t n_own;

	if (!local_addresses(&c->arena, &own, &n_own) ||
	    (c->special = arena_array(&c->arena, N_NET + n_own + c->n_self_addr,
		 sizeof *c->special)) == NULL)
		return false;
	memcpy(c->special, special_net, sizeof special_net);
	c->n_special = N_NET;
	memcpy(c->special + c->n_special, own, n_own * sizeof *own);
	c->n_special += n_own;
	if (c->n_self_addr > 0)
		memcpy(c->special + c->n_special, c->self_addr,
		    c->n_self_addr * sizeof *c->self_addr);
	c->n_special += c->n_self_addr;
	/* it would fetch policies from wherever a stranger's names lead */
	c->sts.server = NULL;
	c->settings.mta_sts_server = NULL;
	return special_texts(c);
}

/* SPDX-License-Identifier: ISC */
/* The group "resolver" of danevirke.conf. */
#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setting.h"

#define MAX_PATH 1024
#define MAX_HINTS 65536

/* ------------------------------------------------------------------ files */

static const char *
resolver_path(struct conf_walk *w, const config_setting_t *s)
{
	static const char want[] = "an absolute path";
	const char *v = setting_string(w, s, want);

	if (v != NULL &&
	    (*v != '/' || !value_utf8(v) || strlen(v) > MAX_PATH)) {
		setting_wrong(w, s, want);
		return NULL;
	}
	return v;
}

static void
set_path(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	const char *v = resolver_path(w, s);

	(void)k;
	if (v != NULL)
		*(char **)to = setting_keep(w, v);
}

/* NS records of "." and, behind one, an address: of others libunbound makes
 * nothing, and tells nobody. */
static bool
resolver_hints(char *text)
{
	char *line, *word, *next, *lines, *words;
	bool ns = false, root;
	uint8_t ip[16];

	for (line = strtok_r(text, "\n", &lines); line != NULL;
	     line = strtok_r(NULL, "\n", &lines)) {
		line[strcspn(line, ";\r")] = '\0';
		word = strtok_r(line, " \t", &words);
		root = word != NULL && strcmp(word, ".") == 0;
		for (; word != NULL; word = next) {
			next = strtok_r(NULL, " \t", &words);
			if (next == NULL)
				break;
			ns |= root && strcasecmp(word, "NS") == 0;
			if (ns &&
			    ((strcasecmp(word, "A") == 0 &&
				 inet_pton(AF_INET, next, ip) == 1) ||
				(strcasecmp(word, "AAAA") == 0 &&
				    inet_pton(AF_INET6, next, ip) == 1)))
				return true;
		}
	}
	return false;
}

/* Without its hints the resolver would fail at every name, hours later. */
static void
set_hints(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	struct danevirke_error e;
	const char *v = resolver_path(w, s);
	char *text;
	size_t len;

	(void)k;
	if (v == NULL)
		return;
	if (value_file(v, MAX_HINTS, DANEVIRKE_ECONF, &text, &len, &e) != 0) {
		setting_wrong(w, s, "a file with root hints: %s", e.text);
		return;
	}
	if (!resolver_hints(text))
		setting_wrong(w, s,
		    "a file with root hints: NS records of \".\" and behind "
		    "them the addresses");
	else
		*(char **)to = setting_keep(w, v);
	free(text);
}

/* ---------------------------------------------------- servers and zones */

static bool
resolver_servers(
    struct conf_walk *w, const config_setting_t *s, char ***list, size_t *n)
{
	static const char want[] = "an address or address@port";
	const char *v;
	char buf[64];

	if (!setting_list(w, s, 16, "addresses") ||
	    (*list = setting_array(w, s, sizeof **list)) == NULL)
		return false;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *el = config_setting_get_elem(s, i);

		if ((v = setting_string(w, el, want)) == NULL)
			continue;
		if (!value_server(v, buf, sizeof buf))
			setting_wrong(w, el, want);
		else if (((*list)[*n] = setting_keep(w, buf)) != NULL)
			++*n;
	}
	return true;
}

static void
set_forward(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	struct conf *c = to;

	(void)k;
	resolver_servers(w, s, &c->forward, &c->n_forward);
}

static void
set_zone_forward(struct conf_walk *w, const config_setting_t *s,
    const struct key *k, void *to)
{
	struct conf_zone *z = to;

	(void)k;
	resolver_servers(w, s, &z->forward, &z->n_forward);
}

static void
set_zones(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	struct conf *c = to;

	if (!setting_list(w, s, 256, "groups, { name = ...; }") ||
	    (c->zones = setting_array(w, s, sizeof *c->zones)) == NULL)
		return;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *el = config_setting_get_elem(s, i);
		struct conf_zone *z = &c->zones[c->n_zones];
		size_t before = w->errors;

		setting_group(w, el, k->keys, z);
		if (w->errors != before) {
			memset(z, 0, sizeof *z);
			continue;
		}
		if (z->n_forward == 0 && !z->insecure)
			setting_error(w, el, NULL,
			    "neither forward nor insecure",
			    "servers to ask, insecure = true, or both");
		for (size_t j = 0; j < c->n_zones; j++)
			if (strcmp(c->zones[j].name, z->name) == 0)
				setting_error(w, el, "name", z->name,
				    "each zone only once");
		c->n_zones++;
	}
}

/* -------------------------------------------------------------- addresses */

static void /* M12 */
set_allow(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char want[] = "an address or prefix";
	struct conf *c = to;
	const char *v;

	(void)k;
	if (!setting_list(w, s, 256, "addresses and prefixes") ||
	    (c->allow = setting_array(w, s, sizeof *c->allow)) == NULL)
		return;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *el = config_setting_get_elem(s, i);

		if ((v = setting_string(w, el, want)) != NULL &&
		    setting_prefix(w, el, v, want, &c->allow[c->n_allow]))
			c->n_allow++;
	}
}

static void /* M10 */
set_self(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char want[] = "a host name, address or prefix";
	struct conf *c = to;
	char name[NAME_LEN];
	const char *v;

	(void)k;
	c->self_set = true;
	if (!setting_list(w, s, 1024, "names, addresses and prefixes") ||
	    (c->self_name = setting_array(w, s, sizeof *c->self_name)) ==
		NULL ||
	    (c->self_addr = setting_array(w, s, sizeof *c->self_addr)) == NULL)
		return;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *el = config_setting_get_elem(s, i);

		if ((v = setting_string(w, el, want)) == NULL)
			continue;
		/* a name has no slash, colon, or digits only at its end */
		if (strpbrk(v, "/:") != NULL ||
		    strspn(v, "0123456789.") == strlen(v)) {
			if (setting_prefix(
				w, el, v, want, &c->self_addr[c->n_self_addr]))
				c->n_self_addr++;
		} else if (setting_domain(w, el, v, name, want) &&
		    (c->self_name[c->n_self_name] = setting_keep(w, name)) !=
			NULL)
			c->n_self_name++;
	}
}

/* ----------------------------------------------------------------- tables */

#define AT(field) offsetof(struct conf, field)

static const struct key zone_keys[] = {
	{ .name = "name",
	    .set = set_name,
	    .at = offsetof(struct conf_zone, name),
	    .what = "the name of a domain",
	    .required = true },
	{ .name = "forward", .set = set_zone_forward },
	{ .name = "insecure",
	    .set = set_bool,
	    .at = offsetof(struct conf_zone, insecure) },
	{ 0 },
};

static const struct key resolver_limits[] = {
	/* M11 */
	NUMBER("hosts", limits.hosts, 1, 1000, "MX hosts"),
	NUMBER("addresses", limits.addresses, 1, 256, "addresses of a host"),
	NUMBER("aliases", limits.aliases, 1, 32, "aliases in a chain"),
	/* U20 */
	NUMBER("records", limits.records, 64, 1024, "TLSA records of a name"),
	{ 0 },
};

const struct key conf_resolver_keys[] = {
	{ .name = "trust_anchor", .set = set_path, .at = AT(trust_anchor) },
	{ .name = "forward", .set = set_forward },
	{ .name = "zones", .set = set_zones, .keys = zone_keys },
	{ .name = "root_hints", .set = set_hints, .at = AT(root_hints) },
	{ .name = "allow_addresses", .set = set_allow },
	{ .name = "self", .set = set_self },
	NUMBER("timeout", timeout, 1, 300, "seconds"),
	NUMBER("query_timeout", query_timeout, 1, 300, "seconds"),
	{ .name = "limits", .set = set_group, .keys = resolver_limits },
	{ 0 },
};

/* The resolver's part, for others. */
bool
conf_resolver_show(struct conf_walk *w)
{
	struct conf *c = w->conf;
	struct danevirke_settings *t = &c->settings;
	struct danevirke_zone *z;
	size_t i;

	if ((z = arena_array(&c->arena, c->n_zones + 1, sizeof *z)) == NULL)
		return setting_nomem(w);
	for (i = 0; i < c->n_zones; i++)
		z[i] = (struct danevirke_zone){ .name = c->zones[i].name,
			.forward = (const char *const *)c->zones[i].forward,
			.n_forward = c->zones[i].n_forward,
			.insecure = c->zones[i].insecure };
	t->resolver_zones = z;
	t->n_resolver_zones = c->n_zones;
	t->resolver_anchor = c->trust_anchor;
	t->resolver_hints = c->root_hints;
	t->resolver_forward = (const char *const *)c->forward;
	t->n_resolver_forward = c->n_forward;
	return true;
}

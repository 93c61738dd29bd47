/* SPDX-License-Identifier: ISC */
/* The policy an administrator writes: profiles, and exceptions from them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setting.h"

/* --------------------------------------------------------------- profiles */

static const struct word levels[] = {
	{ "off", DANEVIRKE_LEVEL_OFF },
	{ "audit", DANEVIRKE_LEVEL_AUDIT },
	{ "dane", DANEVIRKE_LEVEL_DANE },
	{ "dane-only", DANEVIRKE_LEVEL_DANE_ONLY },
	{ 0 },
};

static const struct word insecure_mx[] = {
	/* M04 */
	{ "may", DANEVIRKE_OPPORTUNISTIC },
	{ "encrypt", DANEVIRKE_ENCRYPT },
	{ "dane", DANEVIRKE_AUTHENTICATE },
	{ 0 },
};

static void
set_priority(struct conf_walk *w, const config_setting_t *s,
    const struct key *k, void *to)
{
	static const char want[] = "a GnuTLS priority string";
	const char *v = setting_string(w, s, want), *why;
	char buf[160];

	(void)k;
	if (v == NULL)
		return;
	if (!value_utf8(v))
		setting_wrong(w, s, want);
	else if ((why = value_priority(v, buf, sizeof buf)) != NULL)
		setting_wrong(w, s, "%s: %s", want, why);
	else
		*(const char **)to = setting_keep(w, v);
}

static void /* A01: an order */
set_digests(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const struct word words[] = {
		{ "sha2-256", DANEVIRKE_SHA2_256 },
		{ "sha2-512", DANEVIRKE_SHA2_512 },
		{ 0 },
	};
	struct conf_profile *p = to;
	uint8_t found[MAX_DIGESTS];
	size_t n = 0;

	(void)k;
	if (!setting_list(w, s, MAX_DIGESTS, "digests"))
		return;
	if (config_setting_length(s) == 0)
		setting_error(w, s, NULL, "empty",
		    "at least one of \"sha2-512\", \"sha2-256\"");
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *el = config_setting_get_elem(s, i);
		const struct word *v = setting_word(w, el, words);

		if (v == NULL)
			continue;
		if (memchr(found, v->value, n) != NULL)
			setting_wrong(w, el, "each digest only once");
		else
			found[n++] = (uint8_t)v->value;
	}
	if (n > 0) {
		memcpy(p->digests, found, n);
		p->n_digests = n;
	}
}

static void
set_on(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	bool on = *(uint8_t *)to == 1;

	set_bool(w, s, k, &on);
	*(uint8_t *)to = on;
}

static const struct key profile_keys[] = {
	{ .name = "level",
	    .set = set_word,
	    .at = offsetof(struct conf_profile, pub.level),
	    .words = levels },
	{ .name = "insecure_mx",
	    .set = set_word,
	    .at = offsetof(struct conf_profile, insecure_mx),
	    .words = insecure_mx },
	{ .name = "tls_priority",
	    .set = set_priority,
	    .at = offsetof(struct conf_profile, pub.tls_priority) },
	{ .name = "digests", .set = set_digests },
	{ .name = "mta_sts",
	    .set = set_on,
	    .at = offsetof(struct conf_profile, pub.mta_sts) },
	{ .name = "tlsrpt",
	    .set = set_bool,
	    .at = offsetof(struct conf_profile, tlsrpt) },
	{ 0 },
};

/* What a profile does not say is as in "default". */
void
set_profiles(struct conf_walk *w, const config_setting_t *s,
    const struct key *k, void *to)
{
	struct conf *c = to;
	const config_setting_t *first, *el;
	struct conf_profile *p;

	(void)k;
	if (!config_setting_is_group(s)) {
		setting_wrong(w, s, "a group, { default: { ... }; }");
		return;
	}
	if (config_setting_length(s) > 256) {
		setting_error(w, s, NULL, "too many", "at most 256 profiles");
		return;
	}
	if ((p = setting_array(w, s, sizeof *p)) == NULL)
		return;
	p[0] = c->profiles[0];
	c->profiles = p;
	if ((first = config_setting_get_member(s, "default")) != NULL)
		setting_group(w, first, profile_keys, &p[0]);
	for (int i = 0; i < config_setting_length(s); i++) {
		if ((el = config_setting_get_elem(s, i)) == first)
			continue;
		if (strlen(config_setting_name(el)) > 64) {
			setting_error(w, el, NULL, "name too long",
			    "at most 64 characters");
			continue;
		}
		p[c->n_profiles] = p[0];
		p[c->n_profiles].pub.name = setting_keep(
		    w, config_setting_name(el));
		setting_group(w, el, profile_keys, &p[c->n_profiles++]);
	}
}

const struct conf_profile *
conf_profile(const struct conf *c, const char *name)
{
	if (name == NULL)
		name = "default";
	for (size_t i = 0; i < c->n_profiles; i++)
		if (strcmp(c->profiles[i].pub.name, name) == 0)
			return &c->profiles[i];
	return NULL;
}

/* ----------------------------------------------------------- destinations */

struct rule {
	struct conf_destination d;
	const config_setting_t *s;
};

static void
set_domain(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	char name[NAME_LEN + 1] = ".";
	const char *v = setting_string(w, s, k->what);
	size_t dot;

	if (v == NULL)
		return;
	dot = *v == '.';
	if (setting_domain(w, s, v + dot, name + 1, k->what))
		*(char **)to = setting_keep(w, dot ? name : name + 1);
}

static void
set_reason(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char want[] = "one line of text, at most 200 octets";
	const char *v = setting_string(w, s, want);

	(void)k;
	if (v == NULL)
		return;
	if (*v == '\0' || strlen(v) > 200 || !value_utf8(v))
		setting_wrong(w, s, want);
	else
		*(char **)to = setting_keep(w, v);
}

static void /* P01 */
set_until(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char want[] = "a date, \"YYYY-MM-DD\", the last day";
	struct conf_destination *d = to;
	const char *v = setting_string(w, s, want);

	(void)k;
	if (v == NULL)
		return;
	if (!value_until(v, &d->ends))
		setting_wrong(w, s, want);
	else
		d->until = setting_keep(w, v);
}

static const struct key destination_keys[] = {
	{ .name = "domain",
	    .set = set_domain,
	    .at = offsetof(struct conf_destination, domain),
	    .what =
		"a domain, \"example.org\", or all below it, \".example.org\"",
	    .required = true },
	{ .name = "level",
	    .set = set_word,
	    .at = offsetof(struct conf_destination, level),
	    .words = levels,
	    .what = "one of \"off\", \"audit\", \"dane\", \"dane-only\"",
	    .required = true },
	{ .name = "reason",
	    .set = set_reason,
	    .at = offsetof(struct conf_destination, reason) },
	{ .name = "until", .set = set_until },
	{ 0 },
};

static int
rule_cmp(const void *va, const void *vb)
{
	const struct rule *a = va, *b = vb;
	int c = strcmp(a->d.domain, b->d.domain);

	/* of two for one name the second in the file is the wrong one */
	return c != 0 ? c :
			config_setting_index(a->s) - config_setting_index(b->s);
}

/* Sorted by name, for conf_destination() */
void
set_destinations(struct conf_walk *w, const config_setting_t *s,
    const struct key *k, void *to)
{
	struct conf *c = to;
	struct rule *r;
	size_t n = 0;

	(void)k;
	if (!setting_list(
		w, s, 65536, "groups, { domain = ...; level = ...; }") ||
	    (c->destinations = setting_array(w, s, sizeof *c->destinations)) ==
		NULL)
		return;
	if ((r = calloc((size_t)config_setting_length(s) + 1, sizeof *r)) ==
	    NULL) {
		setting_nomem(w);
		return;
	}
	for (int i = 0; i < config_setting_length(s); i++) {
		r[n].s = config_setting_get_elem(s, i);
		setting_group(w, r[n].s, destination_keys, &r[n].d);
		if (r[n].d.domain != NULL)
			n++;
		else
			memset(&r[n], 0, sizeof r[n]);
	}
	qsort(r, n, sizeof *r, rule_cmp);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && strcmp(r[i - 1].d.domain, r[i].d.domain) == 0)
			setting_error(w, r[i].s, "domain", r[i].d.domain,
			    "each domain only once");
		c->destinations[c->n_destinations++] = r[i].d;
	}
	free(r);
}

static int
destination_cmp(const void *name, const void *d)
{
	return strcmp(name, ((const struct conf_destination *)d)->domain);
}

/* The name itself, then ".suffix" from the longest to the shortest. */
const struct conf_destination *
conf_destination(const struct conf *c, const char *domain, time_t now,
    const struct conf_destination **expired)
{
	const struct conf_destination *d;
	const char *p;

	if (expired != NULL)
		*expired = NULL;
	if (c->n_destinations == 0)
		return NULL;
	for (p = domain; p != NULL;
	     p = *p == '\0' ? NULL : strchr(p + 1, '.')) {
		d = bsearch(p, c->destinations, c->n_destinations,
		    sizeof *c->destinations, destination_cmp);
		if (d == NULL)
			continue;
		if (d->ends == 0 || d->ends > now)
			return d;
		if (expired != NULL && *expired == NULL)
			*expired = d;
	}
	return NULL;
}

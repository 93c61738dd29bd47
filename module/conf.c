/* SPDX-License-Identifier: ISC */
/*
 * danevirke.conf(5) to struct conf.
 *
 *	conf_load()	  read, refuse what libconfig would misread
 *	setting_group()	  walk the tables below; each setting has its check in
 *			  setting.c (values), rules.c (policy) or here
 *	finish()	  what can be seen only when all is read
 *	conf_anchor()	  the trust anchor file (D05)
 *
 * libconfig knows no schema: a mistyped name would be an exception or a limit
 * that silently does not exist, so everything unknown is an error.  All errors
 * of a file are reported, then it is refused: half a policy is not used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf.h"

#define MAX_FILE (1024 * 1024)
#define DEFAULT_ANCHOR "/usr/share/dns/root.key"
#define DEFAULT_TLS "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* ----------------------------------------------------------------- groups */

static void
set_zone_name(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	char name[NAME_LEN];
	const char *v = setting_string(w, s, k->what);

	if (v != NULL && setting_domain(w, s, v, name, k->what))
		*(char **)to = setting_keep(w, name);
}

static void
set_zones(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
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

static void /* M12 */
set_aliases(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	static const char want[] =
	    "an IPv4 prefix inside 127.0.0.0/8, "
	    "without 127.0.0.0, 127.0.0.1 and 127.255.255.255";
	struct danevirke_settings *t = to;
	const char *v = setting_string(w, s, want);
	struct conf_prefix p;
	uint32_t first, last;

	(void)k;
	if (v == NULL || !setting_prefix(w, s, v, want, &p))
		return;
	if (p.family != 4 || p.bits < 8 || p.ip[0] != 127) {
		wrong(w, s, want);
		return;
	}
	first = (uint32_t)p.ip[0] << 24 | (uint32_t)p.ip[1] << 16 |
	    (uint32_t)p.ip[2] << 8 | p.ip[3];
	last = first | (uint32_t)(0xffffffffULL >> p.bits);
	/* the first and last are broadcast addresses of the loopback */
	if (first <= 0x7f000001 || last == 0x7fffffff) {
		wrong(w, s, want);
		return;
	}
	t->relay_first = first;
	t->relay_last = last;
}

static void
set_helo(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	static const char want[] = "a host name";
	char name[NAME_LEN];
	const char *v = setting_string(w, s, want);

	(void)k;
	if (v != NULL && setting_domain(w, s, v, name, want))
		*(const char **)to = setting_keep(w, name);
}

static void
set_source(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	static const char want[] = "an address of this machine";
	struct danevirke_settings *t = to;
	struct conf_prefix p;
	const char *v, **slot;

	(void)k;
	if (!setting_list(w, s, 2, "addresses, one for IPv4, one for IPv6"))
		return;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *el = config_setting_get_elem(s, i);

		if ((v = setting_string(w, el, want)) == NULL)
			continue;
		if (!value_address(v, &p) || value_any(&p)) {
			wrong(w, el, want);
			continue;
		}
		slot = p.family == 4 ? &t->relay_source4 : &t->relay_source6;
		if (*slot != NULL)
			wrong(w, el, "one address for IPv4 and one for IPv6");
		else
			*slot = setting_keep(w, v);
	}
}

static void
set_profile_name(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	const char *v = setting_string(w, s, "the name of a profile");

	(void)k;
	if (v != NULL) /* finish() looks it up */
		*(const char **)to = setting_keep(w, v);
}

/* ----------------------------------------------------------------- tables */

#define AT(field) offsetof(struct conf, field)
#define NUMBER(n, field, low, high, text) \
	{ \
		.name = n, .set = set_number, .at = AT(field), .min = low, \
		.max = high, .what = text \
	}

static const struct key zone_keys[] = { { .name = "name",
					    .set = set_zone_name,
					    .at = offsetof(
						struct conf_zone, name),
					    .what = "the name of a domain",
					    .required = true },
	{ .name = "forward", .set = set_zone_forward },
	{ .name = "insecure",
	    .set = set_bool,
	    .at = offsetof(struct conf_zone, insecure) },
	{ 0 } };

static const struct key resolver_limits[] = { /* M11 */
	NUMBER("hosts", limits.hosts, 1, 1000, "MX hosts"),
	NUMBER("addresses", limits.addresses, 1, 256, "addresses of a host"),
	NUMBER("aliases", limits.aliases, 1, 32, "aliases in a chain"),
	/* U20 */
	NUMBER("records", limits.records, 64, 1024, "TLSA records of a name"),
	{ 0 }
};

static const struct key resolver_keys[] = {
	{ .name = "trust_anchor", .set = set_path, .at = AT(trust_anchor) },
	{ .name = "forward", .set = set_forward },
	{ .name = "zones", .set = set_zones, .keys = zone_keys },
	{ .name = "root_hints", .set = set_hints, .at = AT(root_hints) },
	{ .name = "allow_addresses", .set = set_allow },
	{ .name = "self", .set = set_self },
	NUMBER("timeout", timeout, 1, 300, "seconds"),
	NUMBER("query_timeout", query_timeout, 1, 300, "seconds"),
	{ .name = "limits", .set = set_group, .keys = resolver_limits }, { 0 }
};

static const struct key exim_keys[] = {
	{ .name = "user", .set = set_user, .at = AT(settings.exim_user) }, { 0 }
};

static const struct key relay_timeouts[] = {
	NUMBER("connect", settings.relay_connect_timeout, 1, 300, "seconds"),
	NUMBER("command", settings.relay_command_timeout, 1, 3600, "seconds"),
	NUMBER("data", settings.relay_data_timeout, 1, 3600, "seconds"),
	/* smtpd gives up at 300 */
	NUMBER("ehlo", settings.relay_ehlo_budget, 1, 290, "seconds"),
	NUMBER("idle", settings.relay_idle_timeout, 1, 3600, "seconds"), { 0 }
};

static const struct key relay_limits[] = {
	NUMBER("sessions", settings.relay_max_sessions, 1, 65535, "sessions"),
	NUMBER("per_domain", settings.relay_max_per_domain, 1, 65535,
	    "sessions of a domain"),
	NUMBER("domains", settings.relay_max_domains, 1, 65536, "domains"),
	{ 0 }
};

static const struct key relay_keys[] = {
	{ .name = "aliases", .set = set_aliases, .at = AT(settings) },
	{ .name = "port",
	    .set = set_port,
	    .at = AT(settings.relay_port),
	    .min = 1,
	    .max = 65535,
	    .what = "a TCP port" },
	{ .name = "helo", .set = set_helo, .at = AT(settings.relay_helo) },
	{ .name = "source", .set = set_source, .at = AT(settings) },
	{ .name = "user",
	    .set = set_user,
	    .at = AT(settings.relay_user),
	    .min = 1 },
	{ .name = "profile",
	    .set = set_profile_name,
	    .at = AT(settings.relay_profile) },
	{ .name = "timeouts", .set = set_group, .keys = relay_timeouts },
	{ .name = "limits", .set = set_group, .keys = relay_limits },
	NUMBER("failure_ttl", settings.relay_failure_ttl, 1, 300, "seconds"),
	{ 0 }
};

static const struct key log_keys[] = {
	{ .name = "level", .set = set_log_level, .at = AT(settings.log_level) },
	{ .name = "facility",
	    .set = set_facility,
	    .at = AT(settings.log_facility) },
	{ 0 }
};

static const struct key root_keys[] = {
	{ .name = "resolver", .set = set_group, .keys = resolver_keys },
	{ .name = "exim", .set = set_group, .keys = exim_keys },
	{ .name = "profiles", .set = set_profiles },
	{ .name = "destinations", .set = set_destinations },
	{ .name = "relay", .set = set_group, .keys = relay_keys },
	{ .name = "log", .set = set_group, .keys = log_keys }, { 0 }
};

/* ---------------------------------------------------------------- loading */

static bool
set_defaults(struct walk *w)
{
	struct conf *c = w->conf;
	struct danevirke_settings *t = &c->settings;

	if ((c->trust_anchor = setting_keep(w, DEFAULT_ANCHOR)) == NULL ||
	    (t->config = setting_keep(w, w->path)) == NULL)
		return false;
	c->profiles = arena_array(&c->arena, 1, sizeof *c->profiles);
	if (c->profiles == NULL)
		return setting_nomem(w);
	c->timeout = 30;
	c->query_timeout = 10;
	c->limits = (struct conf_limits){
		.hosts = 64, .addresses = 32, .aliases = 8, .records = 128
	};
	c->n_profiles = 1;
	c->profiles[0] = (struct conf_profile){
		.pub = { .size = sizeof c->profiles[0].pub,
		    .name = "default",
		    .level = DANEVIRKE_LEVEL_DANE,
		    .tls_priority = DEFAULT_TLS },     /* S03, S04 */
		.insecure_mx = DANEVIRKE_AUTHENTICATE, /* M04 */
		.digests = { DANEVIRKE_SHA2_512, DANEVIRKE_SHA2_256 },
		.n_digests = 2 /* A01 */
	};
	t->size = sizeof *t;
	t->exim_user = "Debian-exim";
	t->log_level = 6;
	t->log_facility = "mail";
	t->relay_first = 0x7f400000; /* 127.64.0.0/16 */
	t->relay_last = 0x7f40ffff;
	t->relay_port = 10025;
	t->relay_user = "opensmtpd";
	t->relay_profile = "default";
	t->relay_connect_timeout = 30;
	t->relay_command_timeout = 300;
	t->relay_data_timeout = 600;
	t->relay_ehlo_budget = 120;
	t->relay_idle_timeout = 300;
	t->relay_max_sessions = 1000;
	t->relay_max_per_domain = 100;
	t->relay_max_domains = 4096;
	t->relay_failure_ttl = 10;
	return true;
}

static void
text_error(struct walk *w, unsigned line, const char *what, const char *want)
{
	struct danevirke_error e;

	fail(&e, DANEVIRKE_ECONF, "%s:%u: %s: want %s", w->path, line, what,
	    want);
	setting_report(w, &e);
}

/* Where p lies in a comment or string: its end; else p. */
static const char *
skip_opaque(const char *p)
{
	const char *end;

	if (*p == '#' || (*p == '/' && p[1] == '/'))
		return p + strcspn(p, "\n");
	if (*p == '/' && p[1] == '*')
		return (end = strstr(p + 2, "*/")) == NULL ? p + strlen(p) :
							     end + 2;
	if (*p != '"')
		return p;
	for (p++; *p != '\0' && *p != '"'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	return *p == '\0' ? p : p + 1;
}

/* libconfig 1.5 reads 4294967297 as 1. */
static void
check_number(struct walk *w, const char *p, size_t n, unsigned line)
{
	char what[64];
	size_t digits = n, max = 9;

	snprintf(what, sizeof what, "%.*s", n > 40 ? 40 : (int)n, p);
	if (n > 2 && *p == '0' && (p[1] == 'x' || p[1] == 'X')) {
		p += 2;
		digits -= 2;
		max = 7;
	}
	for (; digits > 1 && *p == '0'; p++)
		digits--;
	if (digits > max && memchr(p, '.', digits) == NULL)
		text_error(w, line, what, "a smaller number");
}

/* What libconfig would do and we do not want: including other files, whoever
 * owns them, wrapping numbers around, and comments up to the end of the file.
 * @include is refused wherever a line begins with it, even in a comment, so
 * that this does not depend on both reading comments alike. */
static void
check_text(struct walk *w)
{
	static const char alnum[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	const char *p, *end;
	unsigned line = 1;

	for (p = w->text; p != NULL && *p != '\0'; line++) {
		p += strspn(p, " \t\r\f\v");
		if (strncasecmp(p, "@include", 8) == 0)
			text_error(
			    w, line, "@include", "all settings in this file");
		if ((p = strchr(p, '\n')) != NULL)
			p++;
	}
	line = 1;
	for (p = w->text; *p != '\0'; p = end) {
		if ((end = skip_opaque(p)) != p) {
			/* the rest of the file would silently be missing */
			if (*end == '\0' && p[1] == '*' && *p == '/' &&
			    (end - p < 4 || end[-1] != '/' || end[-2] != '*'))
				text_error(
				    w, line, "comment without an end", "*/");
		} else if (*p >= '0' && *p <= '9') {
			end = p + strspn(p, alnum);
			if (*end == '.')
				end += 1 + strspn(end + 1, alnum);
			check_number(w, p, (size_t)(end - p), line);
		} else if ((*p >= 'a' && *p <= 'z') || *p == '*' ||
		    (*p >= 'A' && *p <= 'Z'))
			while (*end == '-' || *end == '_' || *end == '*' ||
			    (*end != '\0' && strchr(alnum, *end) != NULL))
				end++;
		else
			end++;
		for (const char *q = p; q < end; q++)
			line += *q == '\n';
	}
}

/* What needs more than one setting */
static void
finish(struct walk *w, const config_t *cfg)
{
	struct conf *c = w->conf;
	struct danevirke_settings *t = &c->settings;
	const config_setting_t *s;
	unsigned range = t->relay_last - t->relay_first + 1;

	if (c->query_timeout > c->timeout) {
		s = config_lookup(cfg, "resolver.query_timeout");
		if (s != NULL && config_lookup(cfg, "resolver.timeout") != NULL)
			wrong(w, s, "seconds, 1 to resolver.timeout, %u",
			    c->timeout);
		c->query_timeout = c->timeout;
	}
	t->resolver_timeout = c->timeout;
	if (t->relay_max_domains > range) {
		s = config_lookup(cfg, "relay.limits.domains");
		if (s != NULL)
			wrong(w, s,
			    "domains, 1 to the %u addresses of "
			    "relay.aliases",
			    range);
		t->relay_max_domains = range;
	}
	s = config_lookup(cfg, "relay.profile");
	if (s != NULL && config_setting_type(s) == CONFIG_TYPE_STRING &&
	    conf_profile(c, t->relay_profile) == NULL)
		wrong(w, s, "the name of a profile of this file");
}

/* The resolver's part, for others. */
static bool
show_resolver(struct walk *w)
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

static void
read_settings(struct walk *w)
{
	config_t cfg;
	char what[128];

	check_text(w);
	if (w->errors > 0)
		return;
	config_init(&cfg);
	if (config_read_string(&cfg, w->text) == CONFIG_TRUE) {
		setting_group(w, config_root_setting(&cfg), root_keys, w->conf);
		finish(w, &cfg);
	} else {
		snprintf(what, sizeof what, "%s",
		    config_error_text(&cfg) == NULL ? "syntax error" :
						      config_error_text(&cfg));
		text_error(w, (unsigned)config_error_line(&cfg), what,
		    "name = value; as danevirke.conf(5) shows");
	}
	config_destroy(&cfg);
}

struct conf *
conf_load(const char *path, danevirke_log *log, void *arg,
    struct danevirke_error *err)
{
	struct danevirke_error e;
	struct walk w = { .path = path, .log = log, .arg = arg, .err = err };
	char *text = NULL;
	size_t len;

	if (path == NULL) {
		fail(err, DANEVIRKE_EINVAL, "configuration: NULL");
		return NULL;
	}
	if ((w.conf = calloc(1, sizeof *w.conf)) == NULL) {
		setting_nomem(&w);
		return NULL;
	}
	if (!set_defaults(&w))
		goto out;
	if (value_file(path, MAX_FILE, DANEVIRKE_ECONF, &text, &len, &e) !=
	    DANEVIRKE_OK) {
		setting_report(&w, &e);
		goto out;
	}
	w.text = text;
	read_settings(&w);
	if (w.conf->trust_anchor != NULL && /* D05 */
	    conf_anchor(w.conf->trust_anchor, NULL, log, arg, &e) !=
		DANEVIRKE_OK) {
		struct danevirke_error named;

		fail(&named, e.code, "resolver.trust_anchor: %.900s", e.text);
		setting_report(&w, &named);
	}
	show_resolver(&w);
out:
	free(text);
	if (w.errors > 0) {
		conf_free(w.conf);
		return NULL;
	}
	return w.conf;
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	arena_free(&c->arena);
	free(c);
}

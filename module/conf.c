/* SPDX-License-Identifier: ISC */
/*
 * danevirke.conf(5) to struct conf.
 *
 *	conf_load()	  read the file
 *	conf_text_check() refuse what libconfig would misread
 *	setting_group()	  walk the tables of keys: conf_resolver.c, conf_relay.c,
 *			  conf_rules.c, conf_daemon.c, and here; each setting
 *			  has its check
 *	conf_finish()	  what can be seen only when all is read
 *	conf_anchor()	  the trust anchor file (D05)
 *
 * libconfig knows no schema: a mistyped name would be an exception or a limit
 * that silently does not exist, so everything unknown is an error.  All errors
 * of a file are reported, then it is refused: half a policy is not used.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "setting.h"

#define MAX_FILE (1024 * 1024)
#define DEFAULT_ANCHOR "/usr/share/dns/root.key"
#define DEFAULT_CAS "/etc/ssl/certs/ca-certificates.crt"
#define DEFAULT_TLS "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

/* --------------------------------------------------------- log, and root */

static const struct word log_levels[] = { /* as syslog(3) counts */
	{ "error", 3 }, { "warning", 4 }, { "notice", 5 }, { "info", 6 },
	{ "debug", 7 }, { 0 }
};

static void
set_facility(struct conf_walk *w, const config_setting_t *s,
    const struct key *k, void *to)
{
	static const struct word words[] = {
		{ "mail", 0 },
		{ "daemon", 0 },
		{ "user", 0 },
		{ "local0", 0 },
		{ "local1", 0 },
		{ "local2", 0 },
		{ "local3", 0 },
		{ "local4", 0 },
		{ "local5", 0 },
		{ "local6", 0 },
		{ "local7", 0 },
		{ 0 },
	};
	const struct word *v = setting_word(w, s, words);

	(void)k;
	if (v != NULL)
		*(const char **)to = v->name;
}

#define AT(field) offsetof(struct conf, field)

static const struct key exim_keys[] = {
	{ .name = "user", .set = set_user, .at = AT(settings.exim_user) },
	{ 0 },
};

static const struct key log_keys[] = {
	{ .name = "level",
	    .set = set_word,
	    .at = AT(settings.log_level),
	    .words = log_levels },
	{ .name = "facility",
	    .set = set_facility,
	    .at = AT(settings.log_facility) },
	{ 0 },
};

static const struct key root_keys[] = {
	{ .name = "resolver", .set = set_group, .keys = conf_resolver_keys },
	{ .name = "exim", .set = set_group, .keys = exim_keys },
	{ .name = "mta_sts",
	    .set = set_group,
	    .at = AT(sts),
	    .keys = conf_sts_keys },
	{ .name = "tlsrpt", .set = set_group, .keys = conf_tlsrpt_keys },
	{ .name = "profiles", .set = set_profiles },
	{ .name = "destinations", .set = set_destinations },
	{ .name = "relay", .set = set_group, .keys = conf_relay_keys },
	{ .name = "danevirked", .set = set_group, .keys = conf_daemon_keys },
	{ .name = "log", .set = set_group, .keys = log_keys },
	{ 0 },
};

/* ---------------------------------------------------------------- loading */

static bool
conf_defaults(struct conf_walk *w)
{
	struct conf *c = w->conf;
	struct danevirke_settings *t = &c->settings;

	if ((c->trust_anchor = setting_keep(w, DEFAULT_ANCHOR)) == NULL ||
	    (t->config = setting_keep(w, w->path)) == NULL ||
	    (c->sts.map = setting_keep(w, "postfix")) == NULL ||
	    (c->sts.ca_file = setting_keep(w, DEFAULT_CAS)) == NULL)
		return false;
	c->sts.timeout = 10;
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
	t->daemon_socket = "/run/danevirked/map";
	t->daemon_mode = 0666; /* who asks is seen */
	t->daemon_user = "danevirke";
	return true;
}

/* What needs more than one setting */
static void
conf_finish(struct conf_walk *w, const config_t *cfg)
{
	struct conf *c = w->conf;
	struct danevirke_settings *t = &c->settings;
	const config_setting_t *s;
	unsigned range = t->relay_last - t->relay_first + 1;

	if (c->query_timeout > c->timeout) {
		s = config_lookup(cfg, "resolver.query_timeout");
		if (s != NULL && config_lookup(cfg, "resolver.timeout") != NULL)
			setting_wrong(w, s,
			    "seconds, 1 to resolver.timeout, %u", c->timeout);
		c->query_timeout = c->timeout;
	}
	t->resolver_timeout = c->timeout;
	if (t->relay_max_domains > range) {
		s = config_lookup(cfg, "relay.limits.domains");
		if (s != NULL)
			setting_wrong(w, s,
			    "domains, 1 to the %u addresses of relay.aliases",
			    range);
		t->relay_max_domains = range;
	}
	s = config_lookup(cfg, "relay.profile");
	if (s != NULL && config_setting_type(s) == CONFIG_TYPE_STRING &&
	    conf_profile(c, t->relay_profile) == NULL)
		setting_wrong(w, s, "the name of a profile of this file");
	conf_sts_finish(w, cfg);
	conf_tlsrpt_finish(w, cfg);
}

static void
conf_syntax(struct conf_walk *w, const config_t *cfg)
{
	const char *what = config_error_text(cfg);
	unsigned line = (unsigned)config_error_line(cfg);

	if (what == NULL)
		what = "syntax error";
	if (strstr(what, "duplicate") == NULL || !conf_text_twice(w, line))
		conf_text_error(
		    w, line, what, "name = value; as danevirke.conf(5) shows");
}

static void
conf_read(struct conf_walk *w)
{
	config_t cfg;

	conf_text_check(w);
	if (w->errors > 0)
		return;
	config_init(&cfg);
	if (config_read_string(&cfg, w->text) == CONFIG_TRUE) {
		setting_group(w, config_root_setting(&cfg), root_keys, w->conf);
		conf_finish(w, &cfg);
	} else
		conf_syntax(w, &cfg);
	config_destroy(&cfg);
}

struct conf *
conf_load(const char *path, danevirke_log *log, void *arg,
    struct danevirke_error *err)
{
	struct danevirke_error e;
	struct conf_walk w = {
		.path = path, .log = log, .arg = arg, .err = err
	};
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
	if (!conf_defaults(&w))
		goto out;
	if (value_file(path, MAX_FILE, DANEVIRKE_ECONF, &text, &len, &e) !=
	    DANEVIRKE_OK) {
		setting_report(&w, &e);
		goto out;
	}
	w.text = text;
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, text, len, w.conf->sum) != 0) {
		setting_nomem(&w);
		goto out;
	}
	conf_read(&w);
	if (w.conf->trust_anchor != NULL && /* D05 */
	    conf_anchor(w.conf->trust_anchor, NULL, log, arg, &e) !=
		DANEVIRKE_OK) {
		struct danevirke_error named;

		fail(&named, e.code, "resolver.trust_anchor: %.900s", e.text);
		setting_report(&w, &named);
	}
	conf_resolver_show(&w);
out:
	free(text);
	if (w.errors > 0) {
		conf_free(w.conf);
		return NULL;
	}
	return w.conf;
}

int
conf_readable(const struct conf *c, struct danevirke_error *err)
{
	const char *const path[] = { c->settings.config, c->trust_anchor,
		c->root_hints };
	static const char *const whose[] = { "",
		"resolver.trust_anchor: ", "resolver.root_hints: " };
	size_t i;

	for (i = 0; i < sizeof path / sizeof *path; i++)
		if (path[i] != NULL &&
		    faccessat(AT_FDCWD, path[i], R_OK, AT_EACCESS) == -1)
			return fail(err,
			    i == 1 ? DANEVIRKE_EANCHOR : DANEVIRKE_ECONF,
			    "%s%s: %s: want a readable file", whose[i], path[i],
			    strerror(errno));
	return DANEVIRKE_OK;
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	arena_free(&c->arena);
	free(c);
}

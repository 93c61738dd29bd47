/* SPDX-License-Identifier: ISC */
/* The group "relay" of danevirke.conf. */
#include <string.h>

#include "setting.h"

#define MAX_USERS 16

static void /* M12 */
set_aliases(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
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
		setting_wrong(w, s, want);
		return;
	}
	first = (uint32_t)p.ip[0] << 24 | (uint32_t)p.ip[1] << 16 |
	    (uint32_t)p.ip[2] << 8 | p.ip[3];
	last = first | (uint32_t)(0xffffffffULL >> p.bits);
	/* the first and last are broadcast addresses of the loopback */
	if (first <= 0x7f000001 || last == 0x7fffffff) {
		setting_wrong(w, s, want);
		return;
	}
	t->relay_first = first;
	t->relay_last = last;
}

static void
set_source(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
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
			setting_wrong(w, el, want);
			continue;
		}
		slot = p.family == 4 ? &t->relay_source4 : &t->relay_source6;
		if (*slot != NULL)
			setting_wrong(
			    w, el, "one address for IPv4 and one for IPv6");
		else
			*slot = setting_keep(w, v);
	}
}

/* One name, or a list of them. */
static void
set_users(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const struct key one = { .min = 1 };
	const bool alone = config_setting_type(s) == CONFIG_TYPE_STRING;
	struct danevirke_settings *t = to;
	const char **names;
	int n = 1;

	(void)k;
	if (!alone && !setting_list(w, s, MAX_USERS, "users"))
		return;
	if (!alone && (n = config_setting_length(s)) == 0) {
		setting_error(w, s, NULL, "empty", "the name of a user");
		return;
	}
	if ((names = setting_array(w, s, sizeof *names)) == NULL)
		return;
	for (int i = 0; i < n; i++)
		set_user(w, alone ? s : config_setting_get_elem(s, i), &one,
		    &names[i]);
	t->relay_user = names[0];
	t->relay_users = names;
	t->n_relay_users = (size_t)n;
}

static void
set_profile_name(struct conf_walk *w, const config_setting_t *s,
    const struct key *k, void *to)
{
	const char *v = setting_string(w, s, "the name of a profile");

	(void)k;
	if (v != NULL) /* conf_finish() looks it up */
		*(const char **)to = setting_keep(w, v);
}

/* The end is what a collector looks for, and no other file is replaced. */
static void
set_metrics(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char end[] = ".prom";
	const char **path = to;
	size_t n;

	setting_socket(w, s, k, to);
	n = *path == NULL ? 0 : strlen(*path);
	if (n > 0 &&
	    (n <= sizeof end ||
		strcmp(*path + n - (sizeof end - 1), end) != 0 ||
		(*path)[n - sizeof end] == '/')) {
		setting_wrong(w, s, "a file whose name ends in .prom");
		*path = NULL;
	}
}

static void
set_port(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	unsigned v;

	if (setting_number(w, s, k, &v))
		*(uint16_t *)to = (uint16_t)v;
}

#define AT(field) offsetof(struct conf, settings.field)

static const struct key relay_timeouts[] = {
	NUMBER("connect", relay_connect_timeout, 1, 300, "seconds"),
	NUMBER("command", relay_command_timeout, 1, 3600, "seconds"),
	NUMBER("data", relay_data_timeout, 1, 3600, "seconds"),
	/* smtpd gives up at 300 */
	NUMBER("ehlo", relay_ehlo_budget, 1, 290, "seconds"),
	NUMBER("idle", relay_idle_timeout, 1, 3600, "seconds"),
	{ 0 },
};

static const struct key relay_limits[] = {
	NUMBER("sessions", relay_max_sessions, 1, 65535, "sessions"),
	NUMBER("per_domain", relay_max_per_domain, 1, 65535,
	    "sessions of a domain"),
	NUMBER("domains", relay_max_domains, 1, 65536, "domains"),
	{ 0 },
};

const struct key conf_relay_keys[] = {
	{ .name = "aliases",
	    .set = set_aliases,
	    .at = offsetof(struct conf, settings) },
	{ .name = "port",
	    .set = set_port,
	    .at = AT(relay_port),
	    .min = 1,
	    .max = 65535,
	    .what = "a TCP port" },
	{ .name = "helo",
	    .set = set_name,
	    .at = AT(relay_helo),
	    .what = "a host name" },
	{ .name = "source",
	    .set = set_source,
	    .at = offsetof(struct conf, settings) },
	{ .name = "user",
	    .set = set_users,
	    .at = offsetof(struct conf, settings) },
	{ .name = "profile", .set = set_profile_name, .at = AT(relay_profile) },
	{ .name = "timeouts", .set = set_group, .keys = relay_timeouts },
	{ .name = "limits", .set = set_group, .keys = relay_limits },
	{ .name = "metrics", .set = set_metrics, .at = AT(relay_metrics) },
	NUMBER("failure_ttl", relay_failure_ttl, 1, 300, "seconds"),
	{ 0 },
};

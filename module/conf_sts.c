/* SPDX-License-Identifier: ISC */
/* The group "mta_sts" of danevirke.conf. */
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "setting.h"

#define MAX_MAP 64

/* "127.0.0.1:8461", "[::1]:8461" */
static bool
sts_address(const char *v, struct conf_sts *out)
{
	const char *colon = strrchr(v, ':');
	char host[64], *end;
	size_t n = colon == NULL ? 0 : (size_t)(colon - v);
	unsigned long port;

	if (n > 2 && v[0] == '[' && v[n - 1] == ']') {
		v++;
		n -= 2;
	} else if (memchr(v, ':', n) != NULL)
		return false;
	if (n == 0 || n >= sizeof host || colon[1] < '1' || colon[1] > '9')
		return false;
	memcpy(host, v, n);
	host[n] = '\0';
	port = strtoul(colon + 1, &end, 10);
	if (*end != '\0' || port > 65535 || !value_address(host, &out->addr))
		return false;
	out->port = (uint16_t)port;
	return true;
}

static void
set_server(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	struct conf_sts *sts = to;
	const char *v = setting_string(w, s, k->what);

	if (v == NULL)
		return;
	if (*v == '/' ? !value_utf8(v) ||
		    strlen(v) >= sizeof((struct sockaddr_un *)NULL)->sun_path :
			!sts_address(v, sts))
		setting_wrong(w, s, "%s", k->what);
	else
		sts->server = setting_keep(w, v);
}

static void
set_map(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char want[] = "one word, at most 64 letters of ASCII";
	const char *v = setting_string(w, s, want), *p;

	(void)k;
	if (v == NULL)
		return;
	for (p = v; *p > ' ' && *p < 0x7f; p++)
		;
	if (*v == '\0' || *p != '\0' || p - v > MAX_MAP)
		setting_wrong(w, s, want);
	else
		*(char **)to = setting_keep(w, v);
}

static void
set_ca_file(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char want[] = "an absolute path";
	const char *v = setting_string(w, s, want);

	(void)k;
	if (v == NULL)
		return;
	if (*v != '/' || !value_utf8(v) || strlen(v) > 1024)
		setting_wrong(w, s, want);
	else
		*(char **)to = setting_keep(w, v);
}

#define AT(field) offsetof(struct conf_sts, field)

const struct key conf_sts_keys[] = {
	{ .name = "server",
	    .set = set_server,
	    .what = "\"ADDRESS:PORT\", or the path of a socket" },
	{ .name = "map", .set = set_map, .at = AT(map) },
	NUMBER("timeout", timeout, 1, 300, "seconds"),
	{ .name = "ca_file", .set = set_ca_file, .at = AT(ca_file) },
	{ 0 },
};

/* A profile that wants policies needs somebody to ask, and CAs to trust. */
void
conf_sts_finish(struct conf_walk *w, const config_t *cfg)
{
	struct conf *c = w->conf;
	const config_setting_t *s;
	char path[128];
	bool on = false;
	size_t i;

	for (i = 0; i < c->n_profiles; i++) {
		if (c->profiles[i].pub.mta_sts != 1)
			continue;
		on = true;
		snprintf(path, sizeof path, "profiles.%s.mta_sts",
		    c->profiles[i].pub.name);
		s = config_lookup(cfg, path);
		if (s != NULL && c->sts.server == NULL)
			setting_wrong(
			    w, s, "false, or mta_sts.server, whom to ask");
	}
	s = config_lookup(cfg, "mta_sts");
	if (s != NULL && on && c->sts.ca_file != NULL &&
	    access(c->sts.ca_file, R_OK) == -1)
		setting_error(w, s, "ca_file", c->sts.ca_file,
		    "a readable file with certificates in PEM");
	c->settings.mta_sts_server = c->sts.server;
	c->settings.mta_sts_ca_file = c->sts.ca_file;
}

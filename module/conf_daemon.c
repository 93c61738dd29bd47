/* SPDX-License-Identifier: ISC */
/* The group "danevirked" of danevirke.conf. */
#include <netinet/in.h>

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "setting.h"

/* A string, for libconfig knows no octal numbers. */
static void
set_mode(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char want[] = "a mode as in \"0660\"";
	const char *v = setting_string(w, s, want);
	size_t n;

	(void)k;
	if (v == NULL)
		return;
	n = strlen(v);
	if (n < 3 || n > 4 || strspn(v, "01234567") != n ||
	    (n == 4 && *v != '0'))
		setting_wrong(w, s, want);
	else
		*(unsigned *)to = (unsigned)strtoul(v, NULL, 8);
}

static void
set_listen(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char want[] = "an address inside 127.0.0.0/8 and a port, "
				   "as in \"127.0.0.1:10024\"";
	struct danevirke_settings *t = to;
	const char *v = setting_string(w, s, want), *colon;
	char addr[INET_ADDRSTRLEN] = "";
	struct in_addr in;
	unsigned long port;

	(void)k;
	if (v == NULL)
		return;
	colon = strchr(v, ':');
	if (colon != NULL && colon - v < (ptrdiff_t)sizeof addr)
		memcpy(addr, v, (size_t)(colon - v));
	if (inet_pton(AF_INET, addr, &in) != 1 ||
	    ntohl(in.s_addr) >> 24 != IN_LOOPBACKNET || strlen(colon) > 6 ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    (port = strtoul(colon + 1, NULL, 10)) < 1 || port > 65535) {
		setting_wrong(w, s, want);
		return;
	}
	t->daemon_addr = ntohl(in.s_addr);
	t->daemon_port = (uint16_t)port;
}

#define AT(field) offsetof(struct conf, settings.field)

const struct key conf_daemon_keys[] = {
	{ .name = "socket", .set = setting_socket, .at = AT(daemon_socket) },
	{ .name = "mode", .set = set_mode, .at = AT(daemon_mode) },
	{ .name = "group",
	    .set = set_user,
	    .at = AT(daemon_group),
	    .min = 1,
	    .what = "the name of a group" },
	{ .name = "listen",
	    .set = set_listen,
	    .at = offsetof(struct conf, settings) },
	{ .name = "user", .set = set_user, .at = AT(daemon_user) },
	{ 0 },
};

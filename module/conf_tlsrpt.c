/* SPDX-License-Identifier: ISC */
/* The group "tlsrpt" of danevirke.conf. */
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setting.h"

static void
set_socket(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	static const char want[] = "an absolute path of at most 107 octets";
	const char *v = setting_string(w, s, want);

	(void)k;
	if (v == NULL)
		return;
	if (*v != '/' || !value_utf8(v) ||
	    strlen(v) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
		setting_wrong(w, s, want);
	else
		*(char **)to = setting_keep(w, v);
}

const struct key conf_tlsrpt_keys[] = {
	{ .name = "socket",
	    .set = set_socket,
	    .at = offsetof(struct conf, tlsrpt) },
	{ 0 },
};

/* A profile that reports needs somebody who takes reports, and both need the
 * library. */
void
conf_tlsrpt_finish(struct conf_walk *w, const config_t *cfg)
{
	static const char none[] =
	    "none: this danevirke.so is built without libtlsrpt";
	struct conf *c = w->conf;
	const config_setting_t *s = config_lookup(cfg, "tlsrpt");
	char path[128];
	size_t i;

	if (s != NULL && !tlsrpt_built())
		setting_wrong(w, s, none);
	for (i = 0; i < c->n_profiles; i++) {
		snprintf(path, sizeof path, "profiles.%s.tlsrpt",
		    c->profiles[i].pub.name);
		s = config_lookup(cfg, path);
		if (!c->profiles[i].tlsrpt)
			continue;
		if (s != NULL && !tlsrpt_built())
			setting_wrong(w, s, none);
		else if (s != NULL && c->tlsrpt == NULL)
			setting_wrong(
			    w, s, "false, or tlsrpt.socket, who takes reports");
		c->profiles[i].pub.tlsrpt = c->tlsrpt;
	}
}

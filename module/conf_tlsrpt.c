/* SPDX-License-Identifier: ISC */
/* The group "tlsrpt" of danevirke.conf. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setting.h"

const struct key conf_tlsrpt_keys[] = {
	{ .name = "socket",
	    .set = setting_socket,
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
		if (!c->profiles[i].tlsrpt)
			continue;
		snprintf(path, sizeof path, "profiles.%s.tlsrpt",
		    c->profiles[i].pub.name);
		s = config_lookup(cfg, path);
		if (s != NULL && !tlsrpt_built())
			setting_wrong(w, s, none);
		else if (s != NULL && c->tlsrpt == NULL)
			setting_wrong(
			    w, s, "false, or tlsrpt.socket, who takes reports");
		c->profiles[i].pub.tlsrpt = c->tlsrpt;
	}
}

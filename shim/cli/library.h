/* SPDX-License-Identifier: ISC */
/* library.h - libunbound, with the module's settings */
#ifndef LIBRARY_H
#define LIBRARY_H

#include "danevirke.h"

struct ub_ctx;
struct event_base;

/* As in unbound.conf(5), "edns-buffer-size:". */
struct library_option {
	const char *name, *value;
};

/* With the settings' servers and without a trust anchor; options end with a
 * NULL name.  base NULL: for ub_resolve() and ub_resolve_async().  NULL: the
 * library refused; else ub_ctx_delete() when done. */
struct ub_ctx *library_new(const struct danevirke_settings *,
    struct event_base *base, const struct library_option *);

#endif

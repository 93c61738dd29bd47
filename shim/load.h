/* SPDX-License-Identifier: ISC */
/* What every shim needs: the module loaded, and the words of the log. */
#ifndef LOAD_H
#define LOAD_H

#include "danevirke.h"

struct shim {
	void *handle;
	const struct danevirke_api *dv; /* NULL unless loaded */
};

/* path NULL = MODULEDIR "/danevirke.so"; else absolute.  0, or -1 with a line
 * in err->text. */
int shim_load(struct shim *, const char *path, struct danevirke_error *);
void shim_unload(struct shim *);

/* The verdict word for a message that goes to host over this session: tls and
 * verified are 0 or 1.  "deferred" where the action forbids it. */
const char *shim_verdict(const struct danevirke_answer *,
    const struct danevirke_host *, int tls, int verified);
/* " (audit: would be deferred)", " (exception: why)" or "", into buf.  The
 * session as for shim_verdict(); host may be NULL. */
void shim_beside(const struct danevirke_answer *, const struct danevirke_host *,
    int tls, int verified, char *buf, size_t len);

#endif

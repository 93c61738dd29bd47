/* SPDX-License-Identifier: ISC */
/* What every shim needs: the module loaded, and errors like its own. */
#ifndef LOAD_H
#define LOAD_H

#include "danevirke.h"

struct shim {
	void *handle;
	const struct danevirke_api *dv; /* NULL unless loaded */
};

/* path NULL = MODULEDIR "/danevirke.so"; else absolute.  0, or -1. */
int shim_load(struct shim *, const char *path, struct danevirke_error *);
void shim_unload(struct shim *);

/* Sets err, which may be NULL; the code. */
int shim_fail(struct danevirke_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif

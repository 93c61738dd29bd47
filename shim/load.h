/* SPDX-License-Identifier: ISC */
/* What every shim needs: the module loaded. */
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

#endif

/* SPDX-License-Identifier: ISC */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "load.h"

int
shim_fail(struct danevirke_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err != NULL) {
		err->code = code;
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof err->text, fmt, ap);
		va_end(ap);
	}
	return code;
}

int
shim_load(struct shim *s, const char *path, struct danevirke_error *err)
{
	const struct danevirke_api *dv;
	const char *why;

	memset(s, 0, sizeof *s);
	if (path == NULL)
		path = MODULEDIR "/danevirke.so";
	if (*path != '/') {
		shim_fail(
		    err, DANEVIRKE_EINVAL, "%s: want an absolute path", path);
		return -1;
	}
	if ((s->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		why = dlerror();
		shim_fail(
		    err, DANEVIRKE_EINVAL, "%s", why != NULL ? why : path);
		return -1;
	}
	dv = dlsym(s->handle, DANEVIRKE_SYMBOL);
	if (dv == NULL || dv->abi != DANEVIRKE_ABI || dv->size < sizeof *dv) {
		shim_fail(err, DANEVIRKE_EINVAL,
		    dv == NULL ?
			"%s: no symbol " DANEVIRKE_SYMBOL :
			"%s: not of interface version 1, or older than this "
			"program: install both from one build",
		    path);
		shim_unload(s);
		return -1;
	}
	s->dv = dv;
	return 0;
}

void
shim_unload(struct shim *s)
{
	if (s->handle != NULL)
		dlclose(s->handle);
	memset(s, 0, sizeof *s);
}

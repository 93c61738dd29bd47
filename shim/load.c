/* SPDX-License-Identifier: ISC */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "load.h"

static int __attribute__((format(printf, 2, 3)))
failed(struct danevirke_error *err, const char *fmt, ...)
{
	va_list ap;

	if (err != NULL) {
		err->code = DANEVIRKE_EINVAL;
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof err->text, fmt, ap);
		va_end(ap);
	}
	return -1;
}

int
shim_load(struct shim *s, const char *path, struct danevirke_error *err)
{
	const struct danevirke_api *dv;
	const char *why;

	memset(s, 0, sizeof *s);
	if (path == NULL)
		path = MODULEDIR "/danevirke.so";
	if (*path != '/')
		return failed(err, "%s: want an absolute path", path);
	if ((s->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)) == NULL) {
		why = dlerror();
		return failed(err, "%s", why != NULL ? why : path);
	}
	dv = dlsym(s->handle, DANEVIRKE_SYMBOL);
	if (dv == NULL || dv->abi != DANEVIRKE_ABI || dv->size < sizeof *dv) {
		failed(err,
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

const char *
shim_verdict(const struct danevirke_answer *a, const struct danevirke_host *h,
    int tls, int verified)
{
	if (h->action == DANEVIRKE_HOST_DEFER ||
	    (h->action == DANEVIRKE_AUTHENTICATE && !verified) ||
	    (h->action == DANEVIRKE_ENCRYPT && !tls))
		return "deferred";
	if (tls && verified && h->would == DANEVIRKE_AUTHENTICATE)
		return a->insecure_mx ? "dane-insecure-mx" : "dane"; /* M06 */
	if (!tls)
		return "clear";
	return h->would == DANEVIRKE_ENCRYPT ? "encrypt" : "opportunistic-tls";
}

/* What level dane would have done with this session (P02). */
static int
would_defer(const struct danevirke_answer *a, const struct danevirke_host *h,
    int tls, int verified)
{
	if (a->would == DANEVIRKE_DEFER)
		return 1;
	return h != NULL &&
	    (h->would == DANEVIRKE_HOST_DEFER ||
		(h->would == DANEVIRKE_AUTHENTICATE && !verified) ||
		(h->would == DANEVIRKE_ENCRYPT && !tls));
}

void
shim_beside(const struct danevirke_answer *a, const struct danevirke_host *h,
    int tls, int verified, char *buf, size_t len)
{
	*buf = '\0';
	if (a->level == DANEVIRKE_LEVEL_AUDIT)
		snprintf(buf, len,
		    would_defer(a, h, tls, verified) ?
			" (audit: would be deferred)" :
			" (audit)");
	else if (a->exception != NULL) /* P01 */
		snprintf(buf, len, " (exception: %s)", a->exception);
}

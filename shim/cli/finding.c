/* SPDX-License-Identifier: ISC */
/* One finding more, unless it is there. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Both NULL, or the same text */
static bool
finding_same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The same is said once, whichever connection showed it. */
static bool
finding_said(const struct report *r, const struct finding *new)
{
	const struct finding *f;

	for (f = r->finding; f < r->finding + r->n_finding; f++)
		if (finding_same(f->row, new->row) &&
		    finding_same(f->text, new->text) &&
		    finding_same(f->host, new->host) &&
		    finding_same(f->addr, new->addr) &&
		    finding_same(f->server, new->server))
			return true;
	return false;
}

static char *
finding_copy(struct report *r, const char *s)
{
	char *p = NULL;

	if (s != NULL && (p = strdup(s)) == NULL)
		r->no_memory = true;
	return p;
}

static void
finding_free(struct finding *f)
{
	free(f->host);
	free(f->server);
	free(f->addr);
	free(f->text);
}

static void __attribute__((format(printf, 8, 0)))
finding_add(struct report *r, enum severity severity, const char *row,
    const char *host, const char *server, const char *addr, const char *advice,
    const char *fmt, va_list ap)
{
	struct finding *list,
	    f = { .severity = severity,
		    .row = row,
		    .host = finding_copy(r, host),
		    .server = finding_copy(r, server),
		    .addr = finding_copy(r, addr),
		    .advice = advice };

	if (vasprintf(&f.text, fmt, ap) < 0)
		f.text = NULL;
	if (f.text != NULL && finding_said(r, &f)) {
		finding_free(&f);
		return;
	}
	list = reallocarray(r->finding, r->n_finding + 1, sizeof *list);
	if (list != NULL)
		r->finding = list;
	if (list == NULL || f.text == NULL) {
		r->no_memory = true;
		finding_free(&f);
		return;
	}
	list[r->n_finding++] = f;
}

void
lint_add(struct report *r, enum severity severity, const char *row,
    const char *host, const char *addr, const char *advice, const char *fmt,
    ...)
{
	va_list ap;

	va_start(ap, fmt);
	finding_add(r, severity, row, host, NULL, addr, advice, fmt, ap);
	va_end(ap);
}

void
lint_server(struct report *r, enum severity severity, const char *server,
    const char *addr, const char *advice, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	finding_add(r, severity, "L14", NULL, server, addr, advice, fmt, ap);
	va_end(ap);
}

void
lint_forget(struct report *r)
{
	size_t i;

	for (i = 0; i < r->n_finding; i++)
		finding_free(&r->finding[i]);
	free(r->finding);
}

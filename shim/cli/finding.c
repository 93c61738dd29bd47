/* SPDX-License-Identifier: ISC */
/* One finding more, unless it is there. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* Both NULL, or the same text */
static bool
same(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The same is said once, whichever connection showed it. */
static bool
said(const struct report *r, const struct finding *new)
{
	const struct finding *f;

	for (f = r->finding; f < r->finding + r->n_finding; f++)
		if (same(f->row, new->row) && same(f->text, new->text) &&
		    same(f->host, new->host) && same(f->addr, new->addr) &&
		    same(f->server, new->server))
			return true;
	return false;
}

static char *
copy(struct report *r, const char *s)
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

/* Takes what is in it. */
static void
add(struct report *r, struct finding *new)
{
	struct finding *f;

	if (new->text == NULL || said(r, new)) {
		finding_free(new);
		return;
	}
	f = reallocarray(r->finding, r->n_finding + 1, sizeof *f);
	if (f == NULL) {
		r->no_memory = true;
		finding_free(new);
		return;
	}
	r->finding = f;
	r->finding[r->n_finding++] = *new;
}

static char *__attribute__((format(printf, 2, 0)))
text_of(struct report *r, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) >= 0)
		return text;
	r->no_memory = true;
	return NULL;
}

void
lint_add(struct report *r, enum severity severity, const char *row,
    const char *host, const char *addr, const char *advice, const char *fmt,
    ...)
{
	struct finding f = { .severity = severity,
		.row = row,
		.host = copy(r, host),
		.addr = copy(r, addr),
		.advice = advice };
	va_list ap;

	va_start(ap, fmt);
	f.text = text_of(r, fmt, ap);
	va_end(ap);
	add(r, &f);
}

void
lint_server(struct report *r, enum severity severity, const char *server,
    const char *addr, const char *advice, const char *fmt, ...)
{
	struct finding f = { .severity = severity,
		.row = "L14",
		.server = copy(r, server),
		.addr = copy(r, addr),
		.advice = advice };
	va_list ap;

	va_start(ap, fmt);
	f.text = text_of(r, fmt, ap);
	va_end(ap);
	add(r, &f);
}

void
lint_forget(struct report *r)
{
	size_t i;

	for (i = 0; i < r->n_finding; i++)
		finding_free(&r->finding[i]);
	free(r->finding);
}

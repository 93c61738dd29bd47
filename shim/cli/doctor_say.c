/* SPDX-License-Identifier: ISC */
/* What was found of a mail server, and how it is told. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "doctor.h"

/* ---------------------------------------------------------------- finding */

void
doctor_say(struct doctor *d, enum severity severity, const char *fmt, ...)
{
	struct doctor_item *list, f = { .severity = severity };
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&f.text, fmt, ap) < 0)
		f.text = NULL;
	va_end(ap);
	list = reallocarray(d->item, d->n_item + 1, sizeof *list);
	if (list != NULL)
		d->item = list;
	if (list == NULL || f.text == NULL) {
		d->no_memory = true;
		free(f.text);
		return;
	}
	list[d->n_item++] = f;
}

void
doctor_write(struct doctor *d, const char *where, const char *lines_fmt, ...)
{
	struct doctor_item *f;
	va_list ap;

	if (d->n_item == 0)
		return;
	f = &d->item[d->n_item - 1];
	free(f->where);
	free(f->lines);
	f->where = f->lines = NULL;
	if (where != NULL && (f->where = strdup(where)) == NULL)
		d->no_memory = true;
	if (lines_fmt == NULL)
		return;
	va_start(ap, lines_fmt);
	if (vasprintf(&f->lines, lines_fmt, ap) < 0) {
		f->lines = NULL;
		d->no_memory = true;
	}
	va_end(ap);
}

static char *
doctor_copy(struct doctor *d, const char *s)
{
	char *p = NULL;

	if (s != NULL && (p = strdup(s)) == NULL)
		d->no_memory = true;
	return p;
}

void
doctor_way(struct doctor *d, const char *domain, const char *by,
    const char *verdict, const char *reason)
{
	struct doctor_way *list;

	list = reallocarray(d->way, d->n_way + 1, sizeof *list);
	if (list == NULL) {
		d->no_memory = true;
		return;
	}
	d->way = list;
	list[d->n_way++] = (struct doctor_way){ doctor_copy(d, domain),
		doctor_copy(d, by), doctor_copy(d, verdict),
		doctor_copy(d, reason) };
}

/* --------------------------------------------------------------- printing */

enum check_verdict
doctor_verdict(const struct doctor *d)
{
	enum check_verdict v = CHECK_GOOD;
	size_t i;

	for (i = 0; i < d->n_item; i++) {
		if (d->item[i].severity == SEV_PROBLEM)
			return CHECK_PROBLEM;
		if (d->item[i].severity == SEV_WARNING)
			v = CHECK_WARNING;
	}
	return d->untested || d->no_memory ? CHECK_UNTESTED : v;
}

static const char *const verdict_word[] = { [CHECK_GOOD] = "good",
	[CHECK_WARNING] = "warning",
	[CHECK_PROBLEM] = "problem",
	[CHECK_UNTESTED] = "untested" };
static const char *const severity_word[] = { [SEV_NOTE] = "note",
	[SEV_WARNING] = "warning",
	[SEV_PROBLEM] = "problem" };
static const enum out_colour severity_colour[] = {
	[SEV_NOTE] = OUT_GOOD, [SEV_WARNING] = OUT_WARN, [SEV_PROBLEM] = OUT_BAD
};

/* Each line indented, to be copied as it is. */
static void
doctor_lines(const char *text)
{
	size_t n;

	for (; *text != '\0'; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		out_print("                %.*s\n", (int)n, text);
	}
}

void
doctor_text(const struct doctor *d)
{
	const struct doctor_item *f;
	const struct doctor_way *w;

	out_colour(d->c, OUT_BOLD, d->server);
	out_print(": %s\n", verdict_word[doctor_verdict(d)]);
	for (f = d->item; f < d->item + d->n_item; f++) {
		out_print("  ");
		out_colour(d->c, severity_colour[f->severity],
		    severity_word[f->severity]);
		out_print(": %s\n", f->text);
		if (f->where != NULL)
			out_print("        -> %s%s\n", f->where,
			    f->lines == NULL ? "" : ":");
		if (f->lines != NULL)
			doctor_lines(f->lines);
	}
	for (w = d->way; w < d->way + d->n_way; w++) {
		out_print("  mail to %s ", w->domain);
		if (w->by != NULL)
			out_print("goes by %s: ", w->by);
		out_print("%s%s%s\n", w->verdict, w->reason == NULL ? "" : ": ",
		    w->reason == NULL ? "" : w->reason);
	}
}

void
doctor_json(const struct doctor *d, struct json *j)
{
	const struct doctor_item *f;
	const struct doctor_way *w;

	json_object(j, NULL);
	json_string(j, "server", d->server);
	json_string(j, "verdict", verdict_word[doctor_verdict(d)]);
	json_array(j, "findings");
	for (f = d->item; f < d->item + d->n_item; f++) {
		json_object(j, NULL);
		json_string(j, "severity", severity_word[f->severity]);
		json_string(j, "text", f->text);
		json_string(j, "where", f->where);
		json_string(j, "lines", f->lines);
		json_end_object(j);
	}
	json_end_array(j);
	json_array(j, "mail");
	for (w = d->way; w < d->way + d->n_way; w++) {
		json_object(j, NULL);
		json_string(j, "domain", w->domain);
		json_string(j, "by", w->by);
		json_string(j, "verdict", w->verdict);
		json_string(j, "reason", w->reason);
		json_end_object(j);
	}
	json_end_array(j);
	json_end_object(j);
}

void
doctor_free(struct doctor *d)
{
	size_t i;

	for (i = 0; i < d->n_item; i++) {
		free(d->item[i].text);
		free(d->item[i].where);
		free(d->item[i].lines);
	}
	for (i = 0; i < d->n_way; i++) {
		free(d->way[i].domain);
		free(d->way[i].by);
		free(d->way[i].verdict);
		free(d->way[i].reason);
	}
	free(d->item);
	free(d->way);
	if (d->engine != NULL)
		d->c->dv->close(d->engine);
}

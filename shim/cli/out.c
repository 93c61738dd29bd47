/* SPDX-License-Identifier: ISC */
/* Text for people and errors; nothing else writes to a stream but json.c. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "text.h"

static bool out_html; /* standard output is a page */

void
out_page(bool on)
{
	out_html = on;
}

/* Controls (C1 ones too: some terminals obey them) become \ooo. */
static void
out_safe(const char *s, FILE *f)
{
	bool page = out_html && f == stdout;
	size_t n;

	for (; *s != '\0'; s += n) {
		n = *s == '\n' || *s == '\t' ? 1 : utf8_printable(s);
		if (page && strchr("&<>\"'", *s) != NULL)
			fprintf(f, "&#%d;", *s);
		else if (n > 0)
			fwrite(s, 1, n, f);
		else {
			fprintf(f, "\\%03o", (unsigned)(unsigned char)*s);
			n = 1;
		}
	}
}

static void
out_vprint(FILE *, const char *, va_list) __attribute__((format(printf, 2, 0)));

static void
out_vprint(FILE *f, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0) {
		fputs("out of memory\n", stderr);
		return;
	}
	out_safe(text, f);
	free(text);
}

void
out_print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	out_vprint(stdout, fmt, ap);
	va_end(ap);
}

void
out_colour(const struct cli *c, enum out_colour colour, const char *text)
{
	static const char *const code[] = { [OUT_GOOD] = "32",
		[OUT_WARN] = "33",
		[OUT_BAD] = "31",
		[OUT_BOLD] = "1" };

	bool colours = c->colour && !out_html;

	if (colours)
		printf("\033[%sm", code[colour]);
	out_safe(text, stdout);
	if (colours)
		fputs("\033[0m", stdout);
}

static void __attribute__((format(printf, 2, 0)))
out_vwarn(const struct cli *c, const char *fmt, va_list ap)
{
	fprintf(stderr, "danevirke%s%s: ", c->cmd == NULL ? "" : " ",
	    c->cmd == NULL ? "" : c->cmd->name);
	out_vprint(stderr, fmt, ap);
	fputc('\n', stderr);
}

void
cli_warn(struct cli *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	out_vwarn(c, fmt, ap);
	va_end(ap);
}

int
cli_error(struct cli *c, const char *fmt, ...)
{
	struct json j = { 0 };
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	cli_warn(c, "%s", text);
	/* one object, however many errors */
	if (c->json && !c->failed && (c->cmd == NULL || !c->cmd->lines)) {
		json_object(&j, NULL);
		if (c->cmd != NULL && c->cmd->verdict != NULL)
			json_bool(&j, c->cmd->verdict, false);
		json_string(&j, "error", text);
		json_string(&j, "reason", text);
		json_end_object(&j);
	}
	if (!c->failed)
		snprintf(c->error, sizeof c->error, "%s", text);
	c->failed = true;
	return EXIT_UNTESTED;
}

void
out_wait(const char *what)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r\033[K%s%s", what == NULL ? "" : what,
	    what == NULL ? "" : " ...");
	fflush(stderr);
}

/* Why standard output failed, the first time; later attempts do not know. */
static int out_errno;

bool
out_flush(void)
{
	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout) && out_errno == 0)
		return true;
	if (out_errno == 0)
		out_errno = errno;
	return false;
}

void
out_closed(void)
{
	if (out_errno == 0)
		out_errno = EPIPE;
}

int
out_end(struct cli *c, int status)
{
	if (out_flush())
		return status;
	/* a reader that has had enough is no news; a full disk is */
	if (out_errno != EPIPE && out_errno != 0)
		cli_warn(c, "standard output: %s", strerror(out_errno));
	return c->unheard != 0 ? c->unheard : EXIT_UNTESTED;
}

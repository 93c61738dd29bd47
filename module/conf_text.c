/* SPDX-License-Identifier: ISC */
/*
 * The text of danevirke.conf before libconfig reads it: what it would misread
 * without a word cannot be seen in what it makes of it.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "setting.h"

void
conf_text_error(
    struct conf_walk *w, unsigned line, const char *what, const char *want)
{
	struct danevirke_error e;

	fail(&e, DANEVIRKE_ECONF, "%s:%u: %s: want %s", w->path, line, what,
	    want);
	setting_report(w, &e);
}

/* Where p lies in a comment or string: its end; else p. */
static const char *
text_opaque(const char *p)
{
	const char *end;

	if (*p == '#' || (*p == '/' && p[1] == '/'))
		return p + strcspn(p, "\n");
	if (*p == '/' && p[1] == '*')
		return (end = strstr(p + 2, "*/")) == NULL ? p + strlen(p) :
							     end + 2;
	if (*p != '"')
		return p;
	for (p++; *p != '\0' && *p != '"'; p++)
		if (*p == '\\' && p[1] != '\0')
			p++;
	return *p == '\0' ? p : p + 1;
}

/* libconfig 1.5 reads 4294967297 as 1. */
static void
text_number(struct conf_walk *w, const char *p, size_t n, unsigned line)
{
	char what[64];
	size_t digits = n, max = 9;

	snprintf(what, sizeof what, "%.*s", n > 40 ? 40 : (int)n, p);
	if (n > 2 && *p == '0' && (p[1] == 'x' || p[1] == 'X')) {
		p += 2;
		digits -= 2;
		max = 7;
	}
	for (; digits > 1 && *p == '0'; p++)
		digits--;
	if (digits > max && memchr(p, '.', digits) == NULL)
		conf_text_error(w, line, what, "a smaller number");
}

/* What libconfig would do and we do not want: including other files, whoever
 * owns them, wrapping numbers around, and comments up to the end of the file.
 * @include is refused wherever a line begins with it, even in a comment, so
 * that this does not depend on both reading comments alike. */
void
conf_text_check(struct conf_walk *w)
{
	static const char alnum[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	const char *p, *end;
	unsigned line = 1;

	for (p = w->text; p != NULL && *p != '\0'; line++) {
		p += strspn(p, " \t\r\f\v");
		if (strncasecmp(p, "@include", 8) == 0)
			conf_text_error(
			    w, line, "@include", "all settings in this file");
		if ((p = strchr(p, '\n')) != NULL)
			p++;
	}
	line = 1;
	for (p = w->text; *p != '\0'; p = end) {
		if ((end = text_opaque(p)) != p) {
			/* the rest of the file would silently be missing */
			if (*end == '\0' && p[1] == '*' && *p == '/' &&
			    (end - p < 4 || end[-1] != '/' || end[-2] != '*'))
				conf_text_error(
				    w, line, "comment without an end", "*/");
		} else if (*p >= '0' && *p <= '9') {
			end = p + strspn(p, alnum);
			if (*end == '.')
				end += 1 + strspn(end + 1, alnum);
			text_number(w, p, (size_t)(end - p), line);
		} else if ((*p >= 'a' && *p <= 'z') || *p == '*' ||
		    (*p >= 'A' && *p <= 'Z'))
			while (*end == '-' || *end == '_' || *end == '*' ||
			    (*end != '\0' && strchr(alnum, *end) != NULL))
				end++;
		else
			end++;
		for (const char *q = p; q < end; q++)
			line += *q == '\n';
	}
}

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

static bool
text_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The end of the letters, digits and octets of more from p on.  strspn() would
 * make a table of all that for each word. */
static const char *
text_span(const char *p, const char *more)
{
	while (text_digit(*p) || ((*p | 0x20) >= 'a' && (*p | 0x20) <= 'z') ||
	    (*p != '\0' && strchr(more, *p) != NULL))
		p++;
	return p;
}

/* The length of the name or word at p, 0 if there is none */
static size_t
text_word(const char *p)
{
	return *p == '-' || *p == '_' || text_digit(*p) ?
	    0 :
	    (size_t)(text_span(p, "-_*") - p);
}

/* The end of what begins at p: a comment, string, number or word, or else one
 * octet. */
static const char *
text_token(const char *p)
{
	const char *end = text_opaque(p);
	size_t len;

	if (end != p)
		return end;
	if (!text_digit(*p))
		return p + ((len = text_word(p)) > 0 ? len : 1);
	end = text_span(end, "");
	return *end == '.' ? text_span(end + 1, "") : end;
}

static unsigned
text_lines(const char *p, const char *end)
{
	unsigned n = 0;

	for (; p < end; p++)
		n += *p == '\n';
	return n;
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
		end = text_token(p);
		/* the rest of the file would silently be missing */
		if (*p == '/' && p[1] == '*' && *end == '\0' &&
		    (end - p < 4 || end[-1] != '/' || end[-2] != '*'))
			conf_text_error(
			    w, line, "comment without an end", "*/");
		else if (*p >= '0' && *p <= '9')
			text_number(w, p, (size_t)(end - p), line);
		line += text_lines(p, end);
	}
}

/* The name of a setting, and the groups and lists that are open there */
struct text_at {
	const char *p; /* behind it */
	unsigned line;
	char path[256];         /* as setting_error() has it */
	size_t depth, outer[8]; /* the length of what is open, in path */
	unsigned commas[8];
};

/* Is what stands before p a setting's name? */
static bool
text_named(const char *p)
{
	for (const char *end;; p = end) {
		end = p + strspn(p, " \t\r\n\f\v");
		if (end == p && (*p == '"' || (end = text_opaque(p)) == p))
			return *p == '=' || *p == ':';
	}
}

/* One token; true: it is the name of a setting.  Deeper than any setting is:
 * the end. */
static bool
text_step(struct text_at *t)
{
	const char *p = t->p, *end = text_token(p);
	size_t n = t->outer[t->depth], len = sizeof t->path - n;
	bool name = text_word(p) > 0 && text_named(end);

	t->p = end;
	t->line += text_lines(p, end);
	if (strchr("{([", *p) != NULL) {
		if (strlen(t->path) == n) /* an element has no name */
			snprintf(t->path + n, len, "[%u]", t->commas[t->depth]);
		if (++t->depth == sizeof t->outer / sizeof *t->outer)
			t->p += strlen(t->p);
		else {
			t->outer[t->depth] = strlen(t->path);
			t->commas[t->depth] = 0;
		}
	} else if (strchr("})]", *p) != NULL && t->depth > 0)
		t->path[t->outer[--t->depth]] = '\0';
	else if (*p == ',')
		t->commas[t->depth]++;
	else if (name)
		snprintf(t->path + n, len, "%s%.*s", n > 0 ? "." : "",
		    (int)(end - p), p);
	return name;
}

/* On this line libconfig saw a name for the second time.  It does not say
 * which: the first on the line that also stands further up. */
bool
conf_text_twice(struct conf_walk *w, unsigned line)
{
	struct text_at t = { .p = w->text, .line = 1 }, first;
	char what[1024];
	unsigned names = 0;

	while (*t.p != '\0' && t.line <= line && names < 64) {
		if (!text_step(&t) || t.line < line)
			continue;
		names++;
		first = (struct text_at){ .p = w->text, .line = 1 };
		while (!text_step(&first) || strcmp(first.path, t.path) != 0)
			;
		if (first.p == t.p)
			continue;
		snprintf(what, sizeof what,
		    "%s: duplicate setting name, first at %.600s:%u", t.path,
		    w->path, first.line);
		conf_text_error(w, line, what, "each setting only once");
		return true;
	}
	return false;
}

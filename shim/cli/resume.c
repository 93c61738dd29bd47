/* SPDX-License-Identifier: ISC */
/* What a survey that was stopped has done: its output says so. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "survey.h"

#define RESUME_MAX 10000000000 /* lines of a list */

struct resume {
	uint8_t *bits; /* of line n: bit n */
	size_t len;
};

static const char resume_head[] = "{\"domain\":\"";
static const char resume_verdict[] = ",\"verdict\":\"";

/* {"domain":"...","n":17,"verdict":"good", ...  Names in quotes cannot hold
 * quotes unescaped. */
unsigned long
resume_number(const char *line, size_t len, enum check_verdict *verdict)
{
	const char *p;
	unsigned long n = 0;

	if (len < sizeof resume_head || line[len - 1] != '}' ||
	    strncmp(line, resume_head, sizeof resume_head - 1) != 0)
		return 0;
	for (p = line + sizeof resume_head - 1; *p != '"'; p++)
		if (*p == '\0' || (*p == '\\' && *++p == '\0'))
			return 0;
	if (strncmp(p, "\",\"n\":", 6) != 0)
		return 0;
	for (p += 6; *p >= '0' && *p <= '9' && n < RESUME_MAX; p++)
		n = n * 10 + (unsigned long)(*p - '0');
	if (n >= RESUME_MAX ||
	    strncmp(p, resume_verdict, sizeof resume_verdict - 1) != 0)
		return 0;
	p += sizeof resume_verdict - 1;
	*verdict = strncmp(p, "problem\"", 8) == 0 ? CHECK_PROBLEM :
	    strncmp(p, "untested\"", 9) == 0       ? CHECK_UNTESTED :
	    strncmp(p, "warning\"", 8) == 0        ? CHECK_WARNING :
						     CHECK_GOOD;
	return n;
}

static bool
resume_add(struct resume *r, unsigned long n)
{
	size_t need = n / 8 + 1, len = r->len;
	uint8_t *p;

	if (need > len) {
		for (len = len == 0 ? 4096 : len; len < need; len *= 2)
			;
		if ((p = realloc(r->bits, len)) == NULL)
			return false;
		memset(p + r->len, 0, len - r->len);
		r->bits = p;
		r->len = len;
	}
	r->bits[n / 8] |= (uint8_t)(1u << n % 8);
	return true;
}

bool
resume_done(const struct resume *r, unsigned long n)
{
	return r != NULL && n / 8 < r->len && (r->bits[n / 8] >> n % 8 & 1);
}

/* Is this the beginning of one of our lines? */
static bool
resume_begun(const char *text)
{
	size_t n = strlen(text), head = sizeof resume_head - 1;

	return strncmp(text, resume_head, n < head ? n : head) == 0;
}

/* The last line, which begins at this octet, was cut off. */
static void
resume_cut(struct cli *c, const char *path, FILE *f, size_t line, off_t at)
{
	struct stat in, out;

	if (fstat(fileno(f), &in) == 0 && fstat(STDOUT_FILENO, &out) == 0 &&
	    in.st_dev == out.st_dev && in.st_ino == out.st_ino &&
	    ftruncate(STDOUT_FILENO, at) == 0)
		cli_warn(c,
		    "--resume %s:%zu: the last line was cut off, and is "
		    "removed: its name is tested anew",
		    path, line);
	else
		cli_error(c,
		    "--resume %s:%zu: the last line is cut off: remove it "
		    "(sed -i '$d' %s), and its name is tested anew",
		    path, line, path);
}

/* All lines of f. */
static void
resume_lines(struct cli *c, const char *path, FILE *f, struct resume *r)
{
	size_t len = 0, line = 0;
	char *text = NULL;
	enum check_verdict verdict;
	unsigned long n;
	off_t at = 0;
	ssize_t got;

	while (!c->failed && (got = getline(&text, &len, f)) > 0) {
		line++;
		if (text[got - 1] != '\n' && resume_begun(text))
			resume_cut(c, path, f, line, at);
		else if ((n = resume_number(text, (size_t)got - 1, &verdict)) ==
		    0)
			cli_error(c,
			    "--resume %s:%zu: want a line that survey has "
			    "written",
			    path, line);
		else if (!resume_add(r, n))
			cli_error(c, "out of memory");
		at += got;
	}
	if (ferror(f))
		cli_error(c, "--resume %s: %s", path, strerror(errno));
	free(text);
}

struct resume *
resume_read(struct cli *c, const char *path)
{
	struct resume *r = calloc(1, sizeof *r);
	FILE *f;

	if (r == NULL) {
		cli_error(c, "out of memory");
		return NULL;
	}
	if ((f = fopen(path, "re")) == NULL)
		cli_error(c, "--resume %s: %s", path, strerror(errno));
	else {
		resume_lines(c, path, f, r);
		fclose(f);
	}
	if (!c->failed)
		return r;
	resume_free(r);
	return NULL;
}

void
resume_free(struct resume *r)
{
	if (r == NULL)
		return;
	free(r->bits);
	free(r);
}

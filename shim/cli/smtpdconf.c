/* SPDX-License-Identifier: ISC */
/*
 * smtpd.conf(5), as much of it as it takes to see which way mail goes.  smtpd -n
 * says whether it is valid; what is not understood here is left alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpdconf.h"

#define INCLUDES 8 /* deep, at most */

struct lexer {
	FILE *f;
	int number; /* of the line */
	int depth;  /* of braces: lines go on inside */
};

static int
lexer_get(struct lexer *l)
{
	int c = getc(l->f), next;

	if (c == '\\') {
		if ((next = getc(l->f)) == '\n') {
			l->number++;
			return lexer_get(l);
		}
		if (next != EOF)
			ungetc(next, l->f);
	}
	return c;
}

/* Appends c; -1: it is too long, or no memory. */
static int
lexer_put(char **word, size_t *len, char c)
{
	char *more;

	if (*len >= 65536 || (more = realloc(*word, *len + 2)) == NULL)
		return -1;
	*word = more;
	more[(*len)++] = c;
	more[*len] = '\0';
	return 0;
}

/* Up to any of these, which is left, or to the one bracket, which is taken. */
static int
lexer_until(struct lexer *l, const char *end, char **word, size_t *len)
{
	int c;

	while ((c = lexer_get(l)) != EOF && strchr(end, c) == NULL)
		if (lexer_put(word, len, (char)c) != 0)
			return -1;
	if (c != EOF && end[1] != '\0')
		ungetc(c, l->f);
	return 0;
}

/* 1: a word, 0: the end of a statement, -1: no memory, -2: of the file */
static int
lexer_word(struct lexer *l, char **word)
{
	size_t len = 0;
	int c;

	*word = NULL;
	do {
		c = lexer_get(l);
		if (c == '#')
			while ((c = getc(l->f)) != EOF && c != '\n')
				continue;
		l->number += c == '\n';
		if (c == '\n' && l->depth == 0)
			return 0;
	} while (c == ' ' || c == '\t' || c == '\r' || c == '\n');
	if (c == EOF)
		return -2;
	if (c == '"') {
		if ((*word = strdup("")) == NULL)
			return -1;
		return lexer_until(l, "\"", word, &len) == 0 ? 1 : -1;
	}
	if (lexer_put(word, &len, (char)c) != 0)
		return -1;
	if (c == '<')
		return lexer_until(l, ">", word, &len) == 0 &&
			lexer_put(word, &len, '>') == 0 ?
		    1 :
		    -1;
	l->depth += c == '{';
	l->depth -= c == '}' && l->depth > 0;
	if (strchr("{}!=,()", c) != NULL)
		return 1;
	return lexer_until(l, " \t\r\n{}!=,()<>#", word, &len) == 0 ? 1 : -1;
}

static void
smtpdconf_drop(struct smtpdconf_line *line)
{
	size_t i;

	for (i = 0; i < line->n; i++)
		free(line->word[i]);
	free(line->word);
}

static const char *
smtpdconf_value(const struct smtpdconf *s, const char *name)
{
	size_t i;

	for (i = s->n_macro; i-- > 0;)
		if (strcmp(s->macro[i].name, name) == 0)
			return s->macro[i].value;
	return NULL;
}

/* The word is given away, whatever comes of it. */
static int
smtpdconf_word(
    const struct smtpdconf *s, struct smtpdconf_line *line, char *word)
{
	const char *value;
	char **list;

	if (word[0] == '$' && (value = smtpdconf_value(s, word + 1)) != NULL) {
		free(word);
		if ((word = strdup(value)) == NULL)
			return -1;
	}
	list = reallocarray(line->word, line->n + 1, sizeof *list);
	if (list == NULL) {
		free(word);
		return -1;
	}
	line->word = list;
	list[line->n++] = word;
	return 0;
}

static int smtpdconf_file(const char *, struct smtpdconf *, unsigned depth);

/* NAME = VALUE */
static int
smtpdconf_set(struct smtpdconf *s, struct smtpdconf_line *line)
{
	struct smtpdconf_macro *list;

	list = reallocarray(s->macro, s->n_macro + 1, sizeof *list);
	if (list == NULL)
		return -1;
	s->macro = list;
	list[s->n_macro++] = (struct smtpdconf_macro){ line->word[0],
		line->word[2] };
	free(line->word[1]);
	free(line->word);
	return 0;
}

/* The line is given away, whatever comes of it. */
static int
smtpdconf_line(struct smtpdconf *s, struct smtpdconf_line *line, unsigned depth)
{
	struct smtpdconf_line *list;
	int rc;

	if (line->n == 0) {
		free(line->word);
		return 0;
	}
	if (line->n == 3 && strcmp(line->word[1], "=") == 0) {
		if ((rc = smtpdconf_set(s, line)) != 0)
			smtpdconf_drop(line);
		return rc;
	}
	if (line->n == 2 && strcmp(line->word[0], "include") == 0) {
		s->included = true;
		if (smtpdconf_file(line->word[1], s, depth + 1) != 0 &&
		    s->missing == NULL)
			s->missing = strdup(line->word[1]);
		smtpdconf_drop(line);
		return 0;
	}
	list = reallocarray(s->line, s->n + 1, sizeof *list);
	if (list == NULL) {
		smtpdconf_drop(line);
		return -1;
	}
	s->line = list;
	list[s->n++] = *line;
	return 0;
}

static int
smtpdconf_file(const char *path, struct smtpdconf *s, unsigned depth)
{
	struct smtpdconf_line line = { .n = 0 };
	struct lexer l = { .number = 1 };
	char *word;
	int rc = 0;

	if (depth > INCLUDES) {
		errno = ELOOP;
		return -1;
	}
	if ((l.f = fopen(path, "re")) == NULL)
		return -1;
	while (rc >= 0) {
		rc = lexer_word(&l, &word);
		if (rc == 1) {
			if (line.n == 0)
				line.number = l.number;
			rc = smtpdconf_word(s, &line, word);
			continue;
		}
		free(word);
		if (rc == -1 || smtpdconf_line(s, &line, depth) != 0)
			rc = -1;
		line = (struct smtpdconf_line){ .n = 0 };
	}
	fclose(l.f);
	if (rc == -1)
		errno = ENOMEM;
	return rc == -2 ? 0 : -1;
}

int
smtpdconf_read(const char *path, struct smtpdconf *s)
{
	*s = (struct smtpdconf){ .n = 0 };
	return smtpdconf_file(path, s, 0);
}

void
smtpdconf_free(struct smtpdconf *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		smtpdconf_drop(&s->line[i]);
	for (i = 0; i < s->n_macro; i++) {
		free(s->macro[i].name);
		free(s->macro[i].value);
	}
	free(s->line);
	free(s->macro);
	free(s->missing);
}

const char *
smtpdconf_after(const struct smtpdconf_line *line, const char *word)
{
	size_t i;

	for (i = 0; i + 1 < line->n; i++)
		if (strcmp(line->word[i], word) == 0)
			return line->word[i + 1];
	return NULL;
}

bool
smtpdconf_has(const struct smtpdconf_line *line, const char *word)
{
	size_t i;

	for (i = 0; i < line->n; i++)
		if (strcmp(line->word[i], word) == 0)
			return true;
	return false;
}

static enum smtpd_from
match_from(const char *word)
{
	return strcmp(word, "any") == 0 ? FROM_ANY :
	    strcmp(word, "local") == 0 || strcmp(word, "socket") == 0 ?
					  FROM_LOCAL :
	    strcmp(word, "auth") == 0 ? FROM_AUTH :
					FROM_SOME;
}

static enum smtpd_for
match_for(const char *word)
{
	return strcmp(word, "any") == 0 ? FOR_ANY :
	    strcmp(word, "local") == 0  ? FOR_LOCAL :
	    strcmp(word, "domain") == 0 ? FOR_DOMAIN :
					  FOR_SOME;
}

/* Without "from" it is local, without "for" too. */
bool
smtpdconf_match(const struct smtpdconf_line *line, struct smtpd_match *m)
{
	const char *word, *next, *after;
	bool not = false;
	size_t i;

	*m = (struct smtpd_match){ .from = FROM_LOCAL, .for_ = FOR_LOCAL };
	if (strcmp(line->word[0], "match") != 0)
		return false;
	for (i = 1; i < line->n; i++) {
		word = line->word[i];
		next = i + 1 < line->n ? line->word[i + 1] : "";
		after = i + 2 < line->n ? line->word[i + 2] : "";
		if (strcmp(word, "auth") == 0)
			m->auth = !not ;
		else if (strcmp(word, "action") == 0)
			m->action = next;
		else if (strcmp(word, "from") == 0) {
			bool away = strcmp(next, "!") == 0;

			m->from = away || not ? FROM_SOME : match_from(next);
			m->auth |= m->from == FROM_AUTH;
		} else if (strcmp(word, "for") == 0) {
			m->not = not || strcmp(next, "!") == 0;
			m->for_ = match_for(m->not &&!not ? after : next);
			if (m->for_ == FOR_DOMAIN)
				m->domain = m->not &&!not &&i + 3 < line->n ?
				    line->word[i + 3] :
				    after;
		} else if (strcmp(word, "helo") == 0 ||
		    strcmp(word, "mail-from") == 0 ||
		    strcmp(word, "tag") == 0 || strcmp(word, "rcpt-to") == 0)
			m->from = m->from == FROM_AUTH ? FROM_AUTH : FROM_SOME;
		not = strcmp(word, "!") == 0;
	}
	return true;
}

/* SPDX-License-Identifier: ISC */
/*
 * JSON (RFC 8259), written in order, never held.  Strings come out as valid
 * UTF-8 whatever goes in: an octet that is not part of a character becomes
 * U+FFFD.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "text.h"

/* What ends a script element or begins a comment, and what ends a line of
 * JavaScript though not of JSON. */
static bool
json_markup(const char *s)
{
	return *s == '<' || *s == '>' || *s == '&' ||
	    strncmp(s, "\xe2\x80\xa8", 3) == 0 ||
	    strncmp(s, "\xe2\x80\xa9", 3) == 0;
}

static void
json_text(const struct json *j, const char *s)
{
	size_t n;

	putchar('"');
	for (; *s != '\0'; s += n > 0 ? n : 1) {
		n = utf8_len(s);
		if (j->page && json_markup(s))
			printf("\\u%04x",
			    n == 1 ? (unsigned)*s : 0x2000u | (s[2] & 0x3f));
		else if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if (n == 0)
			fputs("\\ufffd", stdout);
		else if (n == 1 && (*s < ' ' || *s == 0x7f))
			printf("\\u%04x", (unsigned)*s);
		else
			fwrite(s, 1, n, stdout);
	}
	putchar('"');
}

static void
json_member(struct json *j, const char *key)
{
	if (j->filled[j->depth])
		putchar(',');
	j->filled[j->depth] = true;
	if (key != NULL) {
		json_text(j, key);
		putchar(':');
	}
}

static void
json_down(struct json *j, const char *key, char c)
{
	json_member(j, key);
	putchar(c);
	if (j->depth == JSON_DEPTH - 1)
		abort(); /* depth is set by our own code only */
	j->filled[++j->depth] = false;
}

static void
json_up(struct json *j, char c)
{
	putchar(c);
	if (j->depth == 0)
		abort();
	if (--j->depth == 0)
		putchar('\n');
}

void
json_object(struct json *j, const char *key)
{
	json_down(j, key, '{');
}

void
json_array(struct json *j, const char *key)
{
	json_down(j, key, '[');
}

void
json_end_object(struct json *j)
{
	json_up(j, '}');
}

void
json_end_array(struct json *j)
{
	json_up(j, ']');
}

void
json_string(struct json *j, const char *key, const char *text)
{
	json_member(j, key);
	if (text == NULL)
		fputs("null", stdout);
	else
		json_text(j, text);
}

void
json_hex(struct json *j, const char *key, const uint8_t *data, size_t len)
{
	size_t i;

	json_member(j, key);
	putchar('"');
	for (i = 0; i < len; i++)
		printf("%02x", data[i]);
	putchar('"');
}

void
json_int(struct json *j, const char *key, long long v)
{
	json_member(j, key);
	printf("%lld", v);
}

void
json_index(struct json *j, const char *key, long long v)
{
	if (v < 0)
		json_string(j, key, NULL);
	else
		json_int(j, key, v);
}

void
json_bool(struct json *j, const char *key, bool v)
{
	json_member(j, key);
	fputs(v ? "true" : "false", stdout);
}

void
json_time(struct json *j, const char *key, time_t t)
{
	char buf[32];

	time_text(t, buf);
	json_string(j, key, buf);
}

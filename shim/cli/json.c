/* SPDX-License-Identifier: ISC */
/*
 * JSON (RFC 8259), written in order, never held.  Strings come out as valid
 * UTF-8 whatever goes in: an octet that is not part of a character becomes
 * U+FFFD.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

static size_t
utf8_valid(const unsigned char *s, size_t n)
{
	uint32_t c = s[0] & (0x7fu >> n);
	size_t i;

	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if ((n == 2 && c < 0x80) || (n == 3 && c < 0x800) ||
	    (n == 4 && c < 0x10000) || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

static void
put_string(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	putchar('"');
	while (*s != '\0') {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s++);
		else if (*s < ' ' || *s == 0x7f)
			printf("\\u%04x", (unsigned)*s++);
		else if (*s < 0x80)
			putchar(*s++);
		else {
			n = *s >= 0xf0 && *s <= 0xf4 ? 4 :
			    *s >= 0xe0 && *s < 0xf0  ? 3 :
			    *s >= 0xc0 && *s < 0xe0  ? 2 :
						       0;
			if (n == 0 || utf8_valid(s, n) == 0) {
				fputs("\\ufffd", stdout);
				s++;
			} else {
				fwrite(s, 1, n, stdout);
				s += n;
			}
		}
	}
	putchar('"');
}

static void
member(struct json *j, const char *key)
{
	if (j->filled[j->depth])
		putchar(',');
	j->filled[j->depth] = true;
	if (key != NULL) {
		put_string(key);
		putchar(':');
	}
}

static void
down(struct json *j, const char *key, char c)
{
	member(j, key);
	putchar(c);
	if (j->depth == JSON_DEPTH - 1)
		abort(); /* depth is set by our own code only */
	j->filled[++j->depth] = false;
}

static void
up(struct json *j, char c)
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
	down(j, key, '{');
}

void
json_array(struct json *j, const char *key)
{
	down(j, key, '[');
}

void
json_end_object(struct json *j)
{
	up(j, '}');
}

void
json_end_array(struct json *j)
{
	up(j, ']');
}

void
json_string(struct json *j, const char *key, const char *text)
{
	member(j, key);
	if (text == NULL)
		fputs("null", stdout);
	else
		put_string(text);
}

void
json_hex(struct json *j, const char *key, const uint8_t *data, size_t len)
{
	size_t i;

	member(j, key);
	putchar('"');
	for (i = 0; i < len; i++)
		printf("%02x", data[i]);
	putchar('"');
}

void
json_int(struct json *j, const char *key, long long v)
{
	member(j, key);
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
	member(j, key);
	fputs(v ? "true" : "false", stdout);
}

void
json_time(struct json *j, const char *key, time_t t)
{
	char buf[32];

	time_text(t, buf);
	json_string(j, key, buf);
}

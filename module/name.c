/* SPDX-License-Identifier: ISC */
/* Domain names: text, uncompressed wire form, and wire form in a message. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "module.h"
#include "packet.h"

#define HEADER_LEN 12
#define LABEL_LEN 63  /* RFC 1035 2.3.4 */
#define JUMPS_MAX 128 /* a name has 127 labels at most */

static uint8_t
name_lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

void
wire_lower(uint8_t *p, size_t len)
{
	for (; len > 0; p++, len--)
		*p = name_lower(*p);
}

/* RFC 1035 2.3.3, RFC 4343.  Length octets are below 'A', so that they may
 * be lowered along with the letters. */
bool
wire_equal(const struct wire *a, const struct wire *b)
{
	size_t i;

	if (a->len != b->len)
		return false;
	for (i = 0; i < a->len; i++)
		if (name_lower(a->data[i]) != name_lower(b->data[i]))
			return false;
	return true;
}

bool
wire_below(const struct wire *a, const struct wire *b)
{
	struct wire rest;
	size_t i = 0;

	while (a->len - i > b->len)
		i += 1u + a->data[i];
	if (a->len - i != b->len)
		return false;
	rest.len = b->len;
	memcpy(rest.data, a->data + i, rest.len);
	return wire_equal(&rest, b);
}

/* "\046" or "\." at *s to one octet, and *s behind it; -1: not one. */
static int
name_escape(const char **s)
{
	const unsigned char *p = (const unsigned char *)*s + 1;
	int c;

	if (isdigit(p[0]) && isdigit(p[1]) && isdigit(p[2])) {
		c = (p[0] - '0') * 100 + (p[1] - '0') * 10 + p[2] - '0';
		*s += 4;
		return c > 255 ? -1 : c;
	}
	if (p[0] == '\0' || isdigit(p[0]))
		return -1;
	*s += 2;
	return p[0];
}

bool
wire_parse(const char *text, struct wire *w)
{
	size_t label = 0; /* where its length octet is */
	int c;

	if (*text == '\0')
		return false;
	w->len = 1;
	if (strcmp(text, ".") == 0) {
		w->data[0] = 0;
		return true;
	}
	while (*text != '\0') {
		if (*text == '.') {
			if (w->len - label == 1 || w->len >= WIRE_LEN)
				return false;
			w->data[label] = (uint8_t)(w->len - label - 1);
			label = w->len++;
			text++;
			continue;
		}
		if (*text == '\\')
			c = name_escape(&text);
		else
			c = (unsigned char)*text++;
		if (c < 0 || w->len >= WIRE_LEN || w->len - label > LABEL_LEN)
			return false;
		w->data[w->len++] = (uint8_t)c;
	}
	if (w->len - label == 1) { /* the final dot: this is the root */
		w->data[label] = 0;
		return true;
	}
	if (w->len >= WIRE_LEN)
		return false;
	w->data[label] = (uint8_t)(w->len - label - 1);
	w->data[w->len++] = 0;
	return true;
}

/* Octets that stand for themselves; the rest is written as \ddd, so that no
 * name can pass for another, end a line or break a quoted string (N09). */
static bool
name_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '_' || c == '*' || c == '/' || c == '+';
}

bool
dns_name_text(const uint8_t *data, size_t len, char buf[NAME_LEN])
{
	size_t at = 0, n = 0, end;
	uint8_t c;

	if (len == 0 || len > WIRE_LEN)
		return false;
	if (len == 1 && data[0] == 0) {
		memcpy(buf, ".", 2);
		return true;
	}
	while (at < len && data[at] != 0) {
		if (data[at] > LABEL_LEN || data[at] >= len - at)
			return false;
		if (n > 0)
			buf[n++] = '.';
		for (end = at + 1 + data[at], at++; at < end; at++) {
			c = name_lower(data[at]);
			if (n + (name_plain(c) ? 1 : 4) >= NAME_LEN)
				return false;
			if (name_plain(c))
				buf[n++] = (char)c;
			else
				n += (size_t)snprintf(buf + n, 5, "\\%03u", c);
		}
	}
	if (at != len - 1)
		return false;
	buf[n] = '\0';
	return true;
}

/*
 * A pointer may only lead to before the labels that led to it, so that no
 * chain of them can come back (RFC 1035 4.1.4: "a prior occurrence").
 */
size_t
wire_read(const uint8_t *pkt, size_t len, size_t off, struct wire *w)
{
	size_t behind = 0, limit = off, target;
	unsigned jumps = 0;
	uint8_t c;

	w->len = 0;
	for (;;) {
		if (off >= len)
			return 0;
		c = pkt[off];
		if (c >= 0xc0) {
			if (len - off < 2 || ++jumps > JUMPS_MAX)
				return 0;
			target = (size_t)(c & 0x3f) << 8 | pkt[off + 1];
			if (behind == 0)
				behind = off + 2;
			if (target < HEADER_LEN || target >= limit)
				return 0;
			off = limit = target;
			continue;
		}
		if (c > LABEL_LEN || len - off < 1u + c ||
		    w->len + 1u + c > WIRE_LEN)
			return 0;
		memcpy(w->data + w->len, pkt + off, 1u + c);
		w->len += 1u + c;
		off += 1u + c;
		if (c == 0)
			return behind != 0 ? behind : off;
	}
}

/* SPDX-License-Identifier: ISC */
/* DER from text, with a wrong length where one is wanted: see der.h. */
#include <sys/mman.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "der.h"

#define DEPTH 16

/* Room for n octets at this place. */
static uint8_t *
room(struct der *d, size_t at, size_t n)
{
	if (n > sizeof d->data - d->len)
		return NULL;
	memmove(d->data + at + n, d->data + at, d->len - at);
	d->len += n;
	return d->data + at;
}

/* A length in n octets behind the one that says so. */
static int
put_long(struct der *d, size_t at, uint64_t len, size_t n)
{
	uint8_t *p = room(d, at, n + 1);
	size_t i;

	if (p == NULL)
		return -1;
	p[0] = (uint8_t)(0x80 | n);
	for (i = n; i > 0; i--, len >>= 8)
		p[i] = (uint8_t)len;
	return 0;
}

static int
put_length(struct der *d, size_t at, uint64_t len)
{
	uint8_t *p;
	size_t n;

	if (len >= 0x80) {
		for (n = 1; len >> (8 * n) != 0; n++)
			;
		return put_long(d, at, len, n);
	}
	if ((p = room(d, at, 1)) == NULL)
		return -1;
	*p = (uint8_t)len;
	return 0;
}

/* The content stands from at to the end. */
static int
close_brace(struct der *d, size_t at, enum der_sin sin)
{
	uint64_t len = d->len - at;
	uint8_t *p;

	switch (sin) {
	case DER_LONG1:
		return put_long(d, at, len, 1);
	case DER_LONG2:
		return put_long(d, at, len, 2);
	case DER_LONG3:
		return put_long(d, at, len, 3);
	case DER_LONG4:
		return put_long(d, at, len, 4);
	case DER_LONG8:
		return put_long(d, at, len, 8);
	case DER_INDEFINITE:
		if ((p = room(d, d->len, 2)) == NULL)
			return -1;
		memset(p, 0, 2);
		return put_long(d, at, 0, 0);
	case DER_MORE:
		return put_length(d, at, len + 1);
	case DER_LESS:
		return put_length(d, at, len - 1);
	case DER_HUGE1:
		return put_long(d, at, UINT64_MAX, 1);
	case DER_HUGE2:
		return put_long(d, at, UINT64_MAX, 2);
	case DER_HUGE3:
		return put_long(d, at, UINT64_MAX, 3);
	case DER_HUGE4:
		return put_long(d, at, UINT64_MAX, 4);
	case DER_HUGE8:
		return put_long(d, at, UINT64_MAX, 8);
	case DER_RESERVED:
		return put_long(d, at, 0, 0x7f);
	default:
		return put_length(d, at, len);
	}
}

/* "*N": N of the last octet in all. */
static int
repeat(struct der *d, const char **text)
{
	char *end;
	unsigned long n = strtoul(*text + 1, &end, 10);
	uint8_t *p;

	if (end == *text + 1 || n == 0 || d->len == 0 || n > sizeof d->data ||
	    (p = room(d, d->len, n - 1)) == NULL)
		return -1;
	if (n > 1)
		memset(p, p[-1], n - 1);
	*text = end;
	return 0;
}

int
der_write(struct der *d, const char *text, int nth, enum der_sin sin)
{
	struct {
		size_t at;
		int n;
	} open[DEPTH];
	int depth = 0, braces = 0;
	unsigned octet;
	uint8_t *p;

	d->len = 0;
	while (*text != '\0') {
		if (*text == ' ')
			text++;
		else if (*text == '*') {
			if (repeat(d, &text) != 0)
				return -1;
		} else if (*text == '{' && depth < DEPTH) {
			open[depth].at = d->len;
			open[depth++].n = braces++;
			text++;
		} else if (*text == '}' && depth > 0) {
			depth--;
			if (close_brace(d, open[depth].at,
				open[depth].n == nth ? sin : DER_RIGHT) != 0)
				return -1;
			text++;
		} else {
			if (!isxdigit((unsigned char)text[0]) ||
			    !isxdigit((unsigned char)text[1]) ||
			    sscanf(text, "%2x", &octet) != 1 ||
			    (p = room(d, d->len, 1)) == NULL)
				return -1;
			*p = (uint8_t)octet;
			text += 2;
		}
	}
	return depth == 0 ? braces : -1;
}

const uint8_t *
der_guard(const void *data, size_t len)
{
	static uint8_t *map;
	static size_t size, page;
	uint8_t *at;

	if (map == NULL) {
		page = (size_t)sysconf(_SC_PAGESIZE);
		size = (sizeof((struct der *)NULL)->data / page + 1) * page;
		map = mmap(NULL, size + 2 * page, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED ||
		    mprotect(map + page, size, PROT_READ | PROT_WRITE) != 0) {
			perror("der_guard");
			abort();
		}
	}
	if (len > size)
		abort();
	/* its end is exact; in front there is slack within a page */
	at = map + page + size - len;
	if (len > 0)
		memcpy(at, data, len);
	return at;
}

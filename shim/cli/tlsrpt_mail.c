/* SPDX-License-Identifier: ISC */
/*
 * The JSON in what a report comes in: gzip (RFC 8460 5.1), and a mail with
 * enclosures (RFC 8460 5.3), as far down as forwarding puts them.  Of a mail
 * only structure is read: every part that is an application/ and begins like
 * gzip or JSON is taken, as not all senders give it the right type.
 */
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#include "text.h"
#include "tlsrpt.h"

#define DEPTH 8

struct span {
	const char *p;
	size_t len;
};

struct opening {
	tlsrpt_take *take;
	void *arg;
	size_t left; /* octets of JSON that may still come */
	int n;
	const char *why; /* not NULL: no more */
};

static bool
is_gzip(struct span s)
{
	return s.len >= 2 && memcmp(s.p, "\x1f\x8b", 2) == 0;
}

static bool
is_json(struct span s)
{
	if (s.len >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0)
		s.p += 3, s.len -= 3;
	while (s.len > 0 && strchr(" \t\r\n", *s.p) != NULL && *s.p != '\0')
		s.p++, s.len--;
	return s.len > 0 && *s.p == '{';
}

static void
take_json(struct opening *o, struct span s)
{
	/* a byte order mark is passed over (RFC 8259 8.1) */
	if (s.len >= 3 && memcmp(s.p, "\xef\xbb\xbf", 3) == 0)
		s.p += 3, s.len -= 3;
	if (s.len > o->left) {
		o->why = "more than 16 MiB of JSON";
		return;
	}
	if (o->n == TLSRPT_FILES) {
		o->why = "more than 100 reports";
		return;
	}
	o->left -= s.len;
	o->n++;
	o->take(o->arg, s.p, s.len);
}

/* What zlib has made of it so far into *out; the code of its last call. */
static int
gzip_inflate(z_stream *z, char **out, size_t *size, size_t max)
{
	size_t more;
	char *p;
	int rc;

	do {
		if (z->total_out == *size) {
			more = *size == 0 ? 65536 : *size;
			if ((p = realloc(*out, *size + more)) == NULL)
				return Z_MEM_ERROR;
			*out = p;
			*size += more;
		}
		z->next_out = (Bytef *)*out + z->total_out;
		z->avail_out = (uInt)(*size - z->total_out);
		rc = inflate(z, Z_NO_FLUSH);
	} while (rc == Z_OK && z->total_out <= max);
	return rc;
}

static void
take_gzip(struct opening *o, struct span s)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)s.p,
		.avail_in = (uInt)s.len };
	char *out = NULL;
	size_t size = 0;
	int rc;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK) {
		o->why = "out of memory";
		return;
	}
	rc = gzip_inflate(&z, &out, &size, o->left);
	if (rc == Z_MEM_ERROR)
		o->why = "out of memory";
	else if (z.total_out > o->left)
		o->why = "more than 16 MiB of JSON";
	else if (rc != Z_STREAM_END)
		o->why = "gzip that is damaged or cut short";
	else
		take_json(o, (struct span){ out, z.total_out });
	inflateEnd(&z);
	free(out);
}

/* ------------------------------------------------------------------ mail */

/* The next line of *s, its end included. */
static struct span
line_next(struct span *s)
{
	const char *nl = memchr(s->p, '\n', s->len);
	struct span line = { s->p, s->len };

	if (nl != NULL)
		line.len = (size_t)(nl + 1 - s->p);
	s->p += line.len;
	s->len -= line.len;
	return line;
}

static bool
is_blank(struct span line)
{
	return line.len == 0 || *line.p == '\n' ||
	    (line.len == 2 && memcmp(line.p, "\r\n", 2) == 0);
}

/* A field of the header at the beginning of a part, unfolded and cut to buf;
 * "" if there is none. */
static void
mail_field(struct span part, const char *name, char *buf, size_t size)
{
	size_t n = strlen(name), at = 0, i;
	struct span line;
	bool in = false;

	while (!is_blank(line = line_next(&part))) {
		i = 0;
		if (*line.p != ' ' && *line.p != '\t') {
			if (in)
				break;
			in = line.len > n && line.p[n] == ':' &&
			    strncasecmp(line.p, name, n) == 0;
			i = n + 1;
		}
		for (; in && i < line.len && at + 1 < size; i++)
			if (line.p[i] != '\r' && line.p[i] != '\n' &&
			    line.p[i] != '\0')
				buf[at++] = line.p[i];
	}
	buf[at] = '\0';
	memmove(buf, buf + strspn(buf, " \t"),
	    strlen(buf + strspn(buf, " \t")) + 1);
}

/* A parameter of a field's value (RFC 2045 5.1); false: not there. */
static bool
mail_parameter(const char *s, const char *name, char *buf, size_t size)
{
	size_t n = strlen(name), at = 0;
	bool quoted;

	while ((s = strchr(s, ';')) != NULL) {
		s += 1 + strspn(s + 1, " \t");
		if (strncasecmp(s, name, n) != 0 || s[n] != '=')
			continue;
		s += n + 1;
		quoted = *s == '"';
		for (s += quoted; *s != '\0' && at + 1 < size; s++) {
			if (quoted ? *s == '"' : strchr("; \t", *s) != NULL)
				break;
			if (quoted && *s == '\\' && s[1] != '\0')
				s++;
			buf[at++] = *s;
		}
		buf[at] = '\0';
		return at > 0;
	}
	return false;
}

/* RFC 2045 6.7, but that nothing at the ends of lines is taken off. */
static size_t
quoted_printable(struct span s, char *out)
{
	size_t i, n = 0;

	for (i = 0; i < s.len; i++) {
		if (s.p[i] != '=')
			out[n++] = s.p[i];
		else if (i + 1 < s.len && s.p[i + 1] == '\n')
			i++;
		else if (i + 2 < s.len && s.p[i + 1] == '\r')
			i += 2;
		else if (i + 2 < s.len && text_hex(s.p[i + 1]) >= 0 &&
		    text_hex(s.p[i + 2]) >= 0) {
			out[n++] = (char)(text_hex(s.p[i + 1]) << 4 |
			    text_hex(s.p[i + 2]));
			i += 2;
		}
	}
	return n;
}

/* A part's body without its encoding; *s may then be a copy, to be freed. */
static char *
mail_decode(const char *how, struct span *s)
{
	gnutls_datum_t in = { (unsigned char *)(uintptr_t)s->p,
		(unsigned)s->len };
	gnutls_datum_t got = { NULL, 0 };
	char *copy = NULL;

	if (strcasecmp(how, "base64") == 0) {
		if (gnutls_base64_decode2(&in, &got) != 0)
			got.size = 0;
		if ((copy = malloc(got.size + 1)) != NULL && got.size > 0)
			memcpy(copy, got.data, got.size);
		gnutls_free(got.data);
		*s = (struct span){ copy, copy != NULL ? got.size : 0 };
	} else if (strcasecmp(how, "quoted-printable") == 0) {
		if ((copy = malloc(s->len + 1)) != NULL)
			s->len = quoted_printable(*s, copy);
		else
			s->len = 0;
		s->p = copy;
	}
	return copy;
}

static void
mail_leaf(struct opening *o, struct span part, struct span body, bool named)
{
	char how[64], *copy;

	mail_field(part, "Content-Transfer-Encoding", how, sizeof how);
	how[strcspn(how, " \t;(")] = '\0';
	copy = mail_decode(how, &body);
	if (is_gzip(body))
		take_gzip(o, body);
	else if (is_json(body))
		take_json(o, body);
	else if (named)
		o->why = "an enclosure that is neither gzip nor JSON";
	free(copy);
}

static void mail_part(struct opening *, struct span, int depth);

static void
mail_multipart(
    struct opening *o, struct span body, const char *boundary, int depth)
{
	size_t n = strlen(boundary);
	struct span line, part = { NULL, 0 };

	while (body.len > 0 && o->why == NULL) {
		line = line_next(&body);
		if (line.len < n + 2 || memcmp(line.p, "--", 2) != 0 ||
		    memcmp(line.p + 2, boundary, n) != 0) {
			if (part.p != NULL)
				part.len += line.len;
			continue;
		}
		if (part.p != NULL)
			mail_part(o, part, depth + 1);
		if (line.len >= n + 4 && memcmp(line.p + n + 2, "--", 2) == 0)
			return;
		part = (struct span){ body.p, 0 };
	}
	/* without its end: what is there may still be whole */
	if (part.p != NULL && o->why == NULL)
		mail_part(o, part, depth + 1);
}

static void
mail_part(struct opening *o, struct span part, int depth)
{
	char type[1024], boundary[128];
	struct span body = part;

	if (depth > DEPTH)
		return;
	while (!is_blank(line_next(&body)))
		;
	mail_field(part, "Content-Type", type, sizeof type);
	if (strncasecmp(type, "multipart/", 10) == 0) {
		if (mail_parameter(type, "boundary", boundary, sizeof boundary))
			mail_multipart(o, body, boundary, depth);
	} else if (strncasecmp(type, "message/rfc822", 14) == 0)
		mail_part(o, body, depth + 1);
	else if (strncasecmp(type, "application/", 12) == 0)
		mail_leaf(o, part, body,
		    strncasecmp(type, "application/tlsrpt", 18) == 0);
}

int
tlsrpt_open(const uint8_t *data, size_t size, tlsrpt_take *take, void *arg,
    char *why, size_t len)
{
	struct opening o = { .take = take, .arg = arg, .left = TLSRPT_MAX };
	struct span all = { (const char *)data, size };

	if (is_gzip(all))
		take_gzip(&o, all);
	else if (is_json(all))
		take_json(&o, all);
	else
		mail_part(&o, all, 0);
	if (o.why == NULL && o.n == 0)
		o.why = "no TLS report: want JSON, gzip or a mail with one";
	if (o.why == NULL)
		return o.n;
	snprintf(why, len, "%s", o.why);
	return -1;
}

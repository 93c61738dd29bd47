/* SPDX-License-Identifier: ISC */
/* Files, and the PEM blocks in them (RFC 7468). */
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define FILE_MAX (16u * 1024 * 1024)

void
blob_free(struct blob *b)
{
	if (b->data != NULL)
		explicit_bzero(b->data, b->len); /* may be a key */
	free(b->data);
	b->data = NULL;
	b->len = 0;
}

int
blob_copy(const uint8_t *data, size_t len, struct blob *to)
{
	if ((to->data = malloc(len)) == NULL)
		return -1;
	memcpy(to->data, data, len);
	to->len = len;
	return 0;
}

/* realloc() would leave a copy of a key behind */
static int
blob_grow(struct blob *b, size_t *size)
{
	size_t len = b->len;
	uint8_t *p;

	if ((p = malloc(*size * 2 + 1)) == NULL)
		return -1;
	if (len > 0)
		memcpy(p, b->data, len);
	blob_free(b);
	b->data = p;
	b->len = len;
	*size *= 2;
	return 0;
}

/* All of it, at most FILE_MAX octets; NULL, or why not. */
static const char *
blob_fill(int fd, struct blob *b)
{
	size_t size = 32 * 1024;
	ssize_t n;

	for (;;) {
		if ((b->data == NULL || b->len == size) &&
		    blob_grow(b, &size) != 0)
			return "out of memory";
		n = read(fd, b->data + b->len, size - b->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? strerror(errno) : NULL;
		b->len += (size_t)n;
		if (b->len > FILE_MAX)
			return "longer than 16 MiB";
	}
}

const char *
blob_load(const char *path, struct blob *b)
{
	bool in = strcmp(path, "-") == 0;
	const char *why;
	int fd;

	memset(b, 0, sizeof *b);
	fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return strerror(errno);
	why = blob_fill(fd, b);
	if (!in)
		close(fd);
	if (why != NULL)
		blob_free(b);
	else
		b->data[b->len] = '\0';
	return why;
}

int
blob_read(struct cli *c, const char *path, struct blob *b)
{
	const char *why = blob_load(path, b);

	if (why == NULL)
		return 0;
	cli_error(
	    c, "%s: %s", strcmp(path, "-") == 0 ? "standard input" : path, why);
	return -1;
}

/* The library wants whole quanta and unused bits that are zero (RFC 7468 3);
 * what stands behind a "-" it would pass over. */
static int
pem_decode(const char *s, size_t len, struct blob *out)
{
	gnutls_datum_t in = { (unsigned char *)(uintptr_t)s, (unsigned)len };
	gnutls_datum_t got;
	int rc = -1;

	if (memchr(s, '-', len) != NULL ||
	    gnutls_base64_decode2(&in, &got) != 0)
		return -1;
	if (got.size > 0)
		rc = blob_copy(got.data, got.size, out);
	explicit_bzero(got.data, got.size);
	gnutls_free(got.data);
	return rc;
}

void
pem_free(struct pem *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		blob_free(&p[i].body);
	free(p);
}

bool
pem_is(const struct pem *p, const char *label)
{
	return strlen(label) == p->label_len &&
	    memcmp(p->label, label, p->label_len) == 0;
}

/* If the line is "-----WORD LABEL-----", its label. */
static bool
pem_boundary(const char *line, size_t len, const char *word, const char **label,
    size_t *label_len)
{
	size_t n = strlen(word);

	while (len > 0 &&
	    (line[len - 1] == '\r' || line[len - 1] == ' ' ||
		line[len - 1] == '\t'))
		len--;
	if (len < n + 5 || memcmp(line, word, n) != 0 ||
	    memcmp(line + len - 5, "-----", 5) != 0)
		return false;
	*label = line + n;
	*label_len = len - n - 5;
	return true;
}

static int
pem_end(struct pem *p, const char *body, const char *end, const char *label,
    size_t label_len, char *why, size_t len)
{
	if (label_len != p->label_len ||
	    memcmp(label, p->label, label_len) != 0) {
		snprintf(why, len, "line %d: BEGIN %.*s ends with END %.*s",
		    p->line, (int)(p->label_len & 63), p->label,
		    (int)(label_len & 63), label);
		return -1;
	}
	/* RFC 1421 headers: an encrypted key of the old kind */
	if (memchr(body, ':', (size_t)(end - body)) != NULL)
		return 0;
	if (pem_decode(body, (size_t)(end - body), &p->body) != 0) {
		snprintf(why, len, "line %d: %.*s: not base64, or cut short",
		    p->line, (int)(p->label_len & 63), p->label);
		return -1;
	}
	return 0;
}

static struct pem *
pem_new(
    struct pem **list, size_t *n, int line, const char *label, size_t label_len)
{
	struct pem *p;

	if ((p = reallocarray(*list, *n + 1, sizeof *p)) == NULL)
		return NULL;
	*list = p;
	p += (*n)++;
	memset(p, 0, sizeof *p);
	p->line = line;
	p->label = label;
	p->label_len = label_len;
	return p;
}

int
pem_read(
    const struct blob *file, struct pem **out, size_t *n, char *why, size_t len)
{
	const char *s = (const char *)file->data, *end = s + file->len;
	const char *nl, *label, *body = NULL;
	struct pem *list = NULL, *open = NULL;
	size_t label_len;
	int line = 0;

	*n = 0;
	for (; s < end; s = nl + 1) {
		line++;
		/* a UTF-8 byte order mark, as some editors put in front; of
		 * several files in one, it stands in the middle */
		if (end - s >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
			s += 3;
		if ((nl = memchr(s, '\n', (size_t)(end - s))) == NULL)
			nl = end;
		if (pem_boundary(s, (size_t)(nl - s), "-----BEGIN ", &label,
			&label_len)) {
			if (open != NULL)
				break;
			if ((open = pem_new(
				 &list, n, line, label, label_len)) == NULL) {
				snprintf(why, len, "out of memory");
				goto bad;
			}
			body = nl < end ? nl + 1 : end;
		} else if (pem_boundary(s, (size_t)(nl - s), "-----END ",
			       &label, &label_len)) {
			if (open == NULL) {
				snprintf(why, len,
				    "line %d: END %.*s without "
				    "a BEGIN before it",
				    line, (int)(label_len & 63), label);
				goto bad;
			}
			if (pem_end(
				open, body, s, label, label_len, why, len) != 0)
				goto bad;
			open = NULL;
		}
	}
	if (open == NULL) {
		*out = list;
		return 0;
	}
	snprintf(why, len, "line %d: BEGIN %.*s has no END", open->line,
	    (int)(open->label_len & 63), open->label);
bad:
	pem_free(list, *n);
	*n = 0;
	return -1;
}

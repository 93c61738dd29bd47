/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: line_parse() over any octets, as they come from fd 0, and what
 * is made of a request: a domain and a reply.
 *
 *	clang -DFUZZING -fsanitize=fuzzer,address,undefined ...
 *
 * Without -DFUZZING it runs the files named as arguments, for make check.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "opensmtpd/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "line: %s\n", what);
		abort();
	}
}

static void
check_domain(const char *key)
{
	char domain[DOMAIN_LEN], again[DOMAIN_LEN];
	const char *why = NULL;
	size_t i;

	if (!alias_domain(key, domain, &why)) {
		must(why != NULL && *domain == '\0', "no reason");
		return;
	}
	for (i = 0; domain[i] != '\0'; i++)
		must((unsigned char)domain[i] > ' ' && domain[i] != '|',
		    "octet in a domain");
	must(i > 0 && i < sizeof domain, "length of a domain");
	must(alias_domain(domain, again, &why) && strcmp(domain, again) == 0,
	    "another spelling");
}

static void
check_reply(const struct request *r, enum table_reply reply)
{
	uint8_t *buf = malloc(REPLY_MAX);
	size_t n;

	must(buf != NULL, "out of memory");
	n = line_reply(r, reply, r->key, buf);
	must(n > 0 && n <= REPLY_MAX && buf[n - 1] == '\n', "end of a reply");
	must(r->op == REQUEST_OPEN || memchr(buf, '\n', n) == buf + n - 1,
	    "a reply of two lines");
	must(memchr(buf, '\0', n) == NULL, "NUL in a reply");
	free(buf);
}

static void
check(const struct request *r)
{
	must(memchr(r->key, '\0', sizeof r->key) != NULL, "key does not end");
	must(memchr(r->id, '\0', sizeof r->id) != NULL, "id does not end");
	must(memchr(r->word, '\0', sizeof r->word) != NULL, "word");
	must((r->op != REQUEST_BAD) || r->why != NULL, "BAD without why");
	if (r->op == REQUEST_LOOKUP || r->op == REQUEST_CHECK)
		check_domain(r->key);
	if (r->op == REQUEST_NONE || r->op == REQUEST_CLOSE)
		return;
	check_reply(r, REPLY_YES);
	check_reply(r, REPLY_NO);
	check_reply(r, REPLY_ERROR);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct request r, part;
	uint8_t *copy;
	ssize_t n;

	(void)protocol_guess(data, len);
	while (len > 0) {
		/* to its exact size, so that ASan sees one octet too many */
		if ((copy = malloc(len)) == NULL)
			return 0;
		memcpy(copy, data, len);
		n = line_parse(copy, len, &r);
		must(n >= -1 && n <= (ssize_t)len, "length");
		must(n <= REQUEST_MAX, "longer than a request may be");
		must(n != 0 || len < REQUEST_MAX,
		    "wants more than there may be");
		must(n != -1 || r.why != NULL, "lost without why");
		if (n > 0) {
			check(&r);
			/* what is behind it does not count, what it lacks does */
			must(line_parse(copy, (size_t)n, &part) == n &&
				memcmp(&r, &part, sizeof r) == 0,
			    "reads what follows");
			must(line_parse(copy, (size_t)n - 1, &part) == 0,
			    "does not need its end");
		}
		free(copy);
		if (n <= 0)
			break;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

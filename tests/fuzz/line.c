/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: line_parse() over any octets, as they come from fd 0, and what
 * is made of a request: a domain and a reply.
 */
#include <stdlib.h>
#include <string.h>

#include "request.h"

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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	request_fuzz(data, len, line_parse, check_reply);
	return 0;
}

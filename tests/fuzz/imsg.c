/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: imsg_parse() over any octets, as they come from fd 0, and what
 * is made of a request: a domain and a reply.
 */
#include <stdlib.h>
#include <string.h>

#include "request.h"

static void
check_reply(const struct request *r, enum table_reply reply)
{
	uint8_t *buf = malloc(REPLY_MAX);
	uint16_t length;
	size_t n;

	must(buf != NULL, "out of memory");
	n = imsg_reply(r, reply, r->key, buf);
	memcpy(&length, buf + 4, sizeof length);
	must(n >= 16 && n <= REPLY_MAX && length == n, "length of a reply");
	free(buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	request_fuzz(data, len, imsg_parse, check_reply);
	return 0;
}

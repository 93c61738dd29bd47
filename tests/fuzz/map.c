/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: map_parse() over any octets, as they come from a client of
 * danevirked's map, and what is answered to each request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "danevirked/map.h"
#include "fuzz.h"

static void
check_reply(const struct map_request *r, enum map_word word, const char *text)
{
	uint8_t *buf = malloc(MAP_REPLY_MAX);
	char head[16];
	size_t n, at;

	must(buf != NULL, "out of memory");
	n = map_reply(r, word, text, buf);
	must(n > 0 && n < MAP_REPLY_MAX, "length of a reply");
	must(memchr(buf, '\0', n) == NULL, "NUL in a reply");
	if (r->netstring) {
		must(buf[n - 1] == ',', "end of a netstring");
		at = (size_t)((uint8_t *)memchr(buf, ':', n) - buf) + 1;
		snprintf(head, sizeof head, "%zu:", n - at - 1);
		must(memcmp(buf, head, at) == 0, "length in a netstring");
	} else
		must(memchr(buf, '\n', n) == buf + n - 1, "end of a line");
	free(buf);
}

static void
check(const struct map_request *r)
{
	char domain[DOMAIN_LEN], value[64];
	const char *why = r->why, *key;

	must(memchr(r->key, '\0', sizeof r->key) != NULL, "key does not end");
	map_value(r, "127.64.255.255", 10025, value, sizeof value);
	check_reply(r, MAP_OK, value);
	check_reply(r, MAP_NOTFOUND, "");
	if (why == NULL && (key = map_domain(r->key)) == NULL)
		must(strcmp(r->key, "*") == 0, "it was a domain");
	else if (why == NULL && alias_domain(key, domain, &why))
		fuzz_accepted++;
	else
		check_reply(r, MAP_PERM, why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct map_request r, part;
	uint8_t *copy;
	ssize_t n;

	while (len > 0) {
		/* to its exact size, so that ASan sees one octet too many */
		if ((copy = malloc(len)) == NULL)
			return 0;
		memcpy(copy, data, len);
		n = map_parse(copy, len, &r);
		must(n >= -1 && n <= (ssize_t)len, "length");
		must(n <= MAP_REQUEST_MAX, "longer than a request may be");
		must(n != 0 || len < MAP_REQUEST_MAX,
		    "wants more than there may be");
		must(n != -1 || r.why != NULL, "lost without why");
		if (n > 0) {
			check(&r);
			/* what is behind it does not count, what it lacks does */
			must(map_parse(copy, (size_t)n, &part) == n &&
				memcmp(&r, &part, sizeof r) == 0,
			    "reads what follows");
			must(map_parse(copy, (size_t)n - 1, &part) == 0,
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

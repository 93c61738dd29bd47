/* SPDX-License-Identifier: ISC */
/* A page of the store, from any bytes: what is found lies inside it, and is
 * read by the same parser as what came from the network. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "module.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct arena arena = { NULL };
	struct dns_result result;
	struct store_hit hit;
	const uint8_t *p;
	uint8_t *page;
	uint64_t now = 1000;
	bool good = false;

	/* on the heap, so that a sanitizer sees its end */
	if ((page = calloc(1, STORE_PAGE)) == NULL)
		return 0;
	memcpy(page, data, len < STORE_PAGE ? len : STORE_PAGE);
	/* the key of the first entry, wherever the layout has it */
	for (size_t off = 0; off + STORE_KEY <= 96; off += 8) {
		p = store_find(page, page + off, now, &hit);
		if (p == NULL)
			continue;
		if (p < page || p + hit.len > page + STORE_PAGE ||
		    hit.len == 0 || hit.ttl == 0 ||
		    (hit.sec != 0 && hit.sec != 2))
			abort();
		good = true;
		dns_parse(&arena, "example.org", TYPE_MX, 0, p, hit.len,
		    hit.sec, NULL, 8, &result);
		if (result.state == DANEVIRKE_SECURE && hit.sec != 2)
			abort();
	}
	arena_free(&arena);
	fuzz_accepted += good;
	free(page);
	return 0;
}

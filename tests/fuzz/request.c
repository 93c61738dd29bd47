/* SPDX-License-Identifier: ISC */
/* Requests as they come from fd 0, and what is made of them: a domain and a
 * reply. */
#include <stdlib.h>
#include <string.h>

#include "request.h"

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
check(const struct request *r,
    void (*reply)(const struct request *, enum table_reply))
{
	must(memchr(r->key, '\0', sizeof r->key) != NULL, "key does not end");
	must(memchr(r->id, '\0', sizeof r->id) != NULL, "id does not end");
	must(memchr(r->word, '\0', sizeof r->word) != NULL, "word");
	must((r->op != REQUEST_BAD) || r->why != NULL, "BAD without why");
	if (r->op == REQUEST_LOOKUP || r->op == REQUEST_CHECK)
		check_domain(r->key);
	if (r->op == REQUEST_NONE || r->op == REQUEST_CLOSE)
		return;
	reply(r, REPLY_YES);
	reply(r, REPLY_NO);
	reply(r, REPLY_ERROR);
}

void
request_fuzz(const uint8_t *data, size_t len,
    ssize_t (*parse)(const uint8_t *, size_t, struct request *),
    void (*reply)(const struct request *, enum table_reply))
{
	struct request r, part;
	bool good = false;
	uint8_t *copy;
	ssize_t n;

	(void)protocol_guess(data, len);
	while (len > 0) {
		/* to its exact size, so that ASan sees one octet too many */
		if ((copy = malloc(len)) == NULL)
			return;
		memcpy(copy, data, len);
		n = parse(copy, len, &r);
		must(n >= -1 && n <= (ssize_t)len, "length");
		must(n <= REQUEST_MAX, "longer than a request may be");
		must(n != 0 || len < REQUEST_MAX,
		    "wants more than there may be");
		must(n != -1 || r.why != NULL, "lost without why");
		if (n > 0) {
			check(&r, reply);
			if (r.op != REQUEST_NONE && r.op != REQUEST_BAD)
				good = true;
			/* what is behind it does not count, what it lacks does */
			must(parse(copy, (size_t)n, &part) == n &&
				memcmp(&r, &part, sizeof r) == 0,
			    "reads what follows");
			must(parse(copy, (size_t)n - 1, &part) == 0,
			    "does not need its end");
		}
		free(copy);
		if (n <= 0)
			break;
		data += n;
		len -= (size_t)n;
	}
	fuzz_accepted += good;
}

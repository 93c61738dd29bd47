/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: octets as what a client of danevirke web sends, through
 * request_read(), and its X-Forwarded-For through request_client() (W04 W06).
 */
#include <stdlib.h>
#include <string.h>

#include "cli/request.h"
#include "fuzz.h"

static void
check_request(const struct request *r)
{
	const char *s;

	must(strlen(r->domain) < REQUEST_DOMAIN, "a domain too long");
	for (s = r->domain; *s != '\0'; s++)
		must((unsigned char)*s >= ' ' && *s != 0x7f, "a control");
	must(r->domain[0] != ' ', "a blank before the domain");
	must(strlen(r->forwarded) < REQUEST_HEAD, "hops too long");
}

static void
check_client(const char *forwarded)
{
	static const struct conf_prefix proxy[] = { { 4, { 10 }, 8 },
		{ 6, { 0xfd }, 8 } };
	struct conf_prefix peer = { 4, { 10, 0, 0, 1 }, 32 }, who;

	who = request_client(&peer, forwarded, proxy, 2);
	must((who.family == 4 && who.bits == 32) ||
		(who.family == 6 && who.bits == 64),
	    "who it is");
	/* nobody but a proxy is believed */
	peer.ip[0] = 192;
	who = request_client(&peer, forwarded, proxy, 2);
	must(memcmp(&who, &peer, sizeof who) == 0, "a stranger was believed");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct request r;
	char *copy = malloc(len > 0 ? len : 1);
	int status;

	must(copy != NULL, "out of memory");
	if (len > 0)
		memcpy(copy, data, len);
	status = request_read(copy, len, &r);
	must(status == 0 || (status >= 400 && status < 600), "a status");
	check_request(&r);
	if (status == 0) {
		fuzz_accepted++;
		check_client(r.forwarded);
	}
	free(copy);
	/* the hops alone, as they are */
	if (len < REQUEST_HEAD && memchr(data, '\0', len) == NULL &&
	    (copy = malloc(len + 1)) != NULL) {
		memcpy(copy, data, len);
		copy[len] = '\0';
		check_client(copy);
		free(copy);
	}
	return 0;
}

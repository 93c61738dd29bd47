/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: octets as a log, through tally_feed(), at once and in pieces.
 */
#include <string.h>

#include "fuzz.h"
#include "cli/tally.h"

static void
check_server(const struct tally_server *s, uint64_t lines)
{
	uint64_t n = 0, deferred = 0;
	size_t i;

	for (i = 0; i < TALLY_VERDICTS; i++)
		n += s->verdict[i];
	must(n == s->decisions && n <= lines, "decisions of no line");
	for (i = 0; i < TALLY_REASONS; i++)
		deferred += s->reason[i];
	must(deferred == s->verdict[TALLY_DEFERRED],
	    "a deferral without a reason");
	must(s->would <= s->audit && s->audit <= n && s->exception <= n,
	    "beside no decision");
	fuzz_accepted += n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct tally whole, parts;
	const char *p = (const char *)data;
	size_t i, n, nl = 0;

	memset(&whole, 0, sizeof whole);
	memset(&parts, 0, sizeof parts);
	tally_feed(&whole, p, len);
	tally_end(&whole);
	for (i = 0; i < len; i += n) {
		n = 1 + data[i] % 97;
		n = n < len - i ? n : len - i;
		tally_feed(&parts, p + i, n);
	}
	tally_end(&parts);
	must(whole.lines == parts.lines &&
		memcmp(whole.server, parts.server, sizeof whole.server) == 0,
	    "pieces make a difference");
	for (i = 0; i < len; i++)
		nl += data[i] == '\n';
	must(whole.lines == nl + (len > 0 && data[len - 1] != '\n'),
	    "lines are not those of the file");
	for (i = 0; i < TALLY_SERVERS; i++)
		check_server(&whole.server[i], whole.lines);
	return 0;
}

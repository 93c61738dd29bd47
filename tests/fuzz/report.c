/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: octets as what danevirke report is given: JSON, gzip, or a mail.
 */
#include <string.h>

#include "cli/tlsrpt.h"
#include "fuzz.h"

/* A user of a report reads all of it. */
static size_t
reach(const char *s)
{
	return s == NULL ? 0 : strlen(s);
}

static void
check_policy(const struct tlsrpt_policy *p)
{
	size_t i, octets;

	must(p->type != NULL, "no type");
	must(p->good >= 0 && p->good <= TLSRPT_COUNT, "good");
	must(p->bad >= 0 && p->bad <= TLSRPT_COUNT, "bad");
	octets = reach(p->type) + reach(p->domain);
	for (i = 0; i < p->n; i++) {
		const struct tlsrpt_failure *f = &p->failure[i];

		must(f->result != NULL, "no result");
		must(f->sessions >= 0 && f->sessions <= TLSRPT_COUNT, "count");
		octets += reach(f->mx) + reach(f->helo) + reach(f->ip) +
		    reach(f->from) + reach(f->info) + reach(f->reason);
	}
	must(octets <= TLSRPT_MAX, "longer than it was");
}

static void
take(void *arg, const char *data, size_t len)
{
	unsigned *n = arg;
	struct tlsrpt r;
	char why[256];
	size_t i;

	must(++*n <= TLSRPT_FILES, "too many");
	if (tlsrpt_read(data, len, &r, why, sizeof why) != 0) {
		must(r.policy == NULL && r.json == NULL, "not freed");
		must(reach(why) > 0, "no reason");
		return;
	}
	must(r.n > 0, "no policy");
	for (i = 0; i < r.n; i++)
		check_policy(&r.policy[i]);
	fuzz_accepted++;
	tlsrpt_free(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char why[256] = "";
	unsigned n = 0;
	int rc;

	rc = tlsrpt_open(data, len, take, &n, why, sizeof why);
	must(
	    rc < 0 ? reach(why) > 0 : rc == (int)n && n > 0, "counted wrongly");
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: octets as the TXT records of a domain, through tlsrpt_record():
 * records, each with its length in two octets, the last one with what there is.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "module.h"

#define MAX 16

static void
check_record(const char *s)
{
	must(strncmp(s, "v=TLSRPTv1", 10) == 0, "another version");
	must(strlen(s) < TLSRPT_RECORD, "too long");
	must(strstr(s, "rua=") != NULL, "nobody wants it");
	for (; *s != '\0'; s++)
		must(*s >= ' ' && *s <= '~', "unprintable text");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dns_rr rr[MAX];
	struct dns_result r = { .state = DANEVIRKE_INSECURE, .rr = rr };
	struct arena a = { NULL };
	uint8_t *copy[MAX];
	const char *s;
	size_t n, i;

	for (; r.n_rr < MAX && len >= 2; r.n_rr++) {
		n = (size_t)data[0] << 8 | data[1];
		data += 2;
		len -= 2;
		if (n > len)
			n = len;
		/* exactly as long as it is said to be */
		copy[r.n_rr] = malloc(n > 0 ? n : 1);
		must(copy[r.n_rr] != NULL, "out of memory");
		memcpy(copy[r.n_rr], data, n);
		rr[r.n_rr] = (struct dns_rr){ copy[r.n_rr], n };
		data += n;
		len -= n;
	}
	if ((s = tlsrpt_record(&a, &r)) != NULL) {
		fuzz_accepted++;
		check_record(s);
	}
	r.state = DANEVIRKE_ERROR;
	must(tlsrpt_record(&a, &r) == NULL, "out of an error");
	for (i = 0; i < r.n_rr; i++)
		free(copy[i]);
	arena_free(&a);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* Fuzz target: bytes as a trust anchor file (D05). */
#include <stdlib.h>
#include <string.h>

#include "value.h"
#include "fuzz.h"

static void
on_log(void *arg, int level, const char *text)
{
	(void)arg;
	if (level != 4 || strpbrk(text, "\n\r\t") != NULL ||
	    strstr(text, ": passed over: ") == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct danevirke_error err = { 0 };
	char *copy;
	size_t n = 77;
	int rc;

	/* without a NUL behind it, so that reading past the end shows */
	if ((copy = malloc(len > 0 ? len : 1)) == NULL)
		return 0;
	if (len > 0)
		memcpy(copy, data, len);
	rc = anchor_parse(copy, len, "fuzz", &n, on_log, NULL, &err);
	if (rc == DANEVIRKE_OK ? n == 0 :
				 rc != DANEVIRKE_EANCHOR || n != 0 ||
		    err.code != rc || strncmp(err.text, "fuzz:", 5) != 0 ||
		    strpbrk(err.text, "\n\r\t") != NULL)
		abort();
	fuzz_accepted += rc == DANEVIRKE_OK;
	free(copy);
	return 0;
}

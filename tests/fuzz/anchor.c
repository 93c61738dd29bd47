/* SPDX-License-Identifier: ISC */
/* Fuzz target: bytes as a trust anchor file (D05).  With -DFUZZING for
 * libFuzzer; else a program that runs the files named as arguments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

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
	rc = anchor_parse(copy, len, "fuzz", &n, &err);
	if (rc == DANEVIRKE_OK ? n == 0 :
				 rc != DANEVIRKE_EANCHOR || n != 0 ||
		    err.code != rc || strncmp(err.text, "fuzz:", 5) != 0 ||
		    strpbrk(err.text, "\n\r\t") != NULL)
		abort();
	free(copy);
	return 0;
}

#ifndef FUZZING
int
main(int argc, char *argv[])
{
	static uint8_t buf[1024 * 1024];
	size_t n;
	FILE *f;

	for (int i = 1; i < argc; i++) {
		if ((f = fopen(argv[i], "rb")) == NULL) {
			perror(argv[i]);
			return 1;
		}
		n = fread(buf, 1, sizeof buf, f);
		fclose(f);
		LLVMFuzzerTestOneInput(buf, n);
	}
	printf("anchor: %d inputs\n", argc - 1);
	return 0;
}
#endif

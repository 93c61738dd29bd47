/* SPDX-License-Identifier: ISC */
/* Runs a fuzz target over the files named as arguments, for make check: each
 * input in memory of just its size.  With --enable-fuzzers, libFuzzer brings
 * its own main(). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
main(int argc, char *argv[])
{
	static uint8_t buf[1 << 20];
	uint8_t *input;
	size_t len;
	FILE *f;
	int i;

	for (i = 1; i < argc; i++) {
		if ((f = fopen(argv[i], "rb")) == NULL) {
			perror(argv[i]);
			return 1;
		}
		len = fread(buf, 1, sizeof buf, f);
		fclose(f);
		/* a read behind its end shows in a sanitizer */
		if ((input = malloc(len > 0 ? len : 1)) == NULL)
			return 1;
		for (size_t n = 0; n < len; n++)
			input[n] = buf[n];
		LLVMFuzzerTestOneInput(input, len);
		free(input);
	}
	printf("%d inputs\n", argc - 1);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * Runs a fuzz target over the files named as arguments, for make check: each
 * input in memory of just its size.  With --enable-fuzzers libFuzzer brings its
 * own main().  Both begin with LLVMFuzzerInitialize(), so with both
 *
 *	target --seed DIR	writes what fuzz_seed() makes, and ends;
 *	target FILE ...		says in the end how many inputs were accepted.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerInitialize(int *, char ***);

unsigned long fuzz_accepted;
static uint8_t buf[1 << 20];

void
must(bool ok, const char *what)
{
	if (!ok) {
		fprintf(
		    stderr, "%s: %s\n", program_invocation_short_name, what);
		abort();
	}
}

__attribute__((weak)) size_t
fuzz_seed(unsigned i, uint8_t *out, size_t len)
{
	(void)i;
	(void)out;
	(void)len;
	return 0;
}

static void
seeds_write(const char *dir)
{
	char path[4096];
	unsigned i;
	size_t len;
	FILE *f;

	for (i = 0; (len = fuzz_seed(i, buf, sizeof buf)) > 0; i++) {
		snprintf(path, sizeof path, "%s/seed-%u", dir, i);
		if ((f = fopen(path, "wb")) == NULL ||
		    fwrite(buf, 1, len, f) != len || fclose(f) != 0) {
			perror(path);
			exit(1);
		}
	}
}

static void
say_accepted(void)
{
	fprintf(stderr, "accepted: %lu\n", fuzz_accepted);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (*argc == 3 && strcmp((*argv)[1], "--seed") == 0) {
		seeds_write((*argv)[2]);
		exit(0);
	}
	return atexit(say_accepted);
}

#ifndef FUZZING
int
main(int argc, char *argv[])
{
	uint8_t *input;
	size_t len;
	FILE *f;
	int i;

	LLVMFuzzerInitialize(&argc, &argv);
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
		if (len > 0)
			memcpy(input, buf, len);
		LLVMFuzzerTestOneInput(input, len);
		free(input);
	}
	return 0;
}
#endif

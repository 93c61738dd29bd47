/* SPDX-License-Identifier: ISC */
/* What all fuzz targets share. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One input, any octets.  Always 0: libFuzzer wants that. */
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);
/* Ends the program if it is not so. */
void must(bool ok, const char *what);
/* The target counts here the inputs that came through the whole of what it
 * tests; a corpus without one tests refusals only, and replay.sh says so. */
extern unsigned long fuzz_accepted;
/* Where a struct's layout decides what is accepted, no file of the corpus can
 * be right for every build: then the target writes such inputs.  The i-th, its
 * octets; 0: there are no more. */
size_t fuzz_seed(unsigned i, uint8_t *buf, size_t len);

#endif

/* SPDX-License-Identifier: ISC */
/* What the benchmark programs share: files of certificates, and medians. */
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_CERTS 8

struct der {
	uint8_t *data;
	size_t len;
};

static inline double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Files of one DER certificate each, leaf first. */
static inline int
der_read(char **path, int n, struct der *out)
{
	int i;

	for (i = 0; i < n; i++) {
		FILE *f = fopen(path[i], "rb");

		if (f == NULL)
			return -1;
		out[i].data = malloc(65536);
		out[i].len = fread(out[i].data, 1, 65536, f);
		fclose(f);
	}
	return n;
}

/* "3 1 1 HEX" */
static inline size_t
tlsa_read(const char *text, uint8_t kind[3], uint8_t *data)
{
	unsigned u, s, m, v;
	int at = 0;
	size_t n = 0;

	if (sscanf(text, "%u %u %u %n", &u, &s, &m, &at) < 3)
		return 0;
	kind[0] = (uint8_t)u;
	kind[1] = (uint8_t)s;
	kind[2] = (uint8_t)m;
	for (text += at; sscanf(text, "%2x", &v) == 1; text += 2)
		data[n++] = (uint8_t)v;
	return n;
}

static inline int
double_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Runs one() in rounds; prints the median of the rounds, in us for one. */
static inline int
median(int (*one)(void), int rounds, int times)
{
	double *us = calloc((size_t)rounds, sizeof *us), from;
	int i, j;

	if (us == NULL)
		return 1;
	for (i = 0; i < rounds; i++) {
		from = now_us();
		for (j = 0; j < times; j++)
			if (one() != 0) {
				fprintf(stderr, "not verified\n");
				return 1;
			}
		us[i] = (now_us() - from) / times;
	}
	qsort(us, (size_t)rounds, sizeof *us, double_cmp);
	printf("%.3f\n", us[rounds / 2]);
	free(us);
	return 0;
}

#endif

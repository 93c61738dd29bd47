/* SPDX-License-Identifier: ISC */
/* fill N: puts four answers for each of N domains into this user's store;
 * prints how many are kept, and the time of one lookup and one put in us. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "module.h"

static void
count(void *arg, const char *name, int type, const struct store_hit *hit)
{
	(void)name;
	(void)type;
	(void)hit;
	++*(unsigned long *)arg;
}

/* A packet with this question and as much behind it as answers have. */
static size_t
packet(const char *name, uint8_t *out)
{
	uint8_t *p = out + 12;
	const char *dot;

	memset(out, 0, 400);
	for (; *name != '\0'; name = dot + (*dot == '.')) {
		dot = name + strcspn(name, ".");
		*p++ = (uint8_t)(dot - name);
		memcpy(p, name, (size_t)(dot - name));
		p += dot - name;
	}
	return 250;
}

int
main(int argc, char **argv)
{
	static char anchor[] = "/usr/share/dns/root.key";
	static const int types[] = { TYPE_MX, TYPE_A, TYPE_AAAA, TYPE_TLSA };
	struct conf conf = { .trust_anchor = anchor, .limits = { 1, 1, 8, 1 } };
	struct store *s = store_open(&conf, RUNDIR, NULL, NULL);
	unsigned long n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0, i,
		      kept = 0;
	unsigned long looks = n < 10000 ? n : 10000;
	struct arena arena = { NULL };
	struct store_hit hit;
	double from, put, get;
	uint8_t buf[400];
	char name[64];

	if (s == NULL || n == 0) {
		fprintf(stderr, "fill: no store for this user\n");
		return 1;
	}
	from = now_us();
	for (i = 0; i < n * 4; i++) {
		snprintf(name, sizeof name, "mx%lu.d%lu.example", i % 4, i / 4);
		store_put(
		    s, name, types[i % 4], 2, buf, packet(name, buf), 3600);
	}
	put = (now_us() - from) / (double)(n * 4);
	from = now_us();
	for (i = 0; i < looks; i++) {
		snprintf(name, sizeof name, "mx0.d%lu.example", n - 1 - i);
		store_get(s, &arena, name, TYPE_MX, &hit);
		arena_free(&arena);
	}
	get = (now_us() - from) / (double)looks;
	if (store_walk(s, count, &kept) != 0 || kept == 0)
		return 1;
	printf("%lu %.3f %.3f\n", kept, get, put);
	store_close(s);
	return 0;
}

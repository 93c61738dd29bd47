/* SPDX-License-Identifier: ISC */
/* probe.h - does DNS, as a configuration has it, carry DNSSEC? */
#ifndef PROBE_H
#define PROBE_H

#include <stdbool.h>
#include <stddef.h>

#define PROBE_MAX 5

struct probe {
	const char *name;
	bool good;
	char text[512]; /* what failed and what to do, or "" */
};

struct danevirke_settings;

/* Fills p[], asking as these settings have it; at most 20 seconds for each.
 * How many. */
size_t probe_run(const struct danevirke_settings *, struct probe p[PROBE_MAX]);

#endif

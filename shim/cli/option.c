/* SPDX-License-Identifier: ISC */
/*
 * The command line.  Stricter than getopt(3): no abbreviations, and an option
 * that takes one value cannot be given twice, so that a mistake in a script
 * is an error and not a surprise.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

enum { COMMON_HELP = 60, COMMON_JSON, COMMON_MODULE, COMMON_CONFIG };

static const struct opt option_commons[] = { { COMMON_HELP, "help", OPT_NONE },
	{ COMMON_JSON, "json", OPT_NONE }, { COMMON_MODULE, "module", OPT_ONE },
	{ COMMON_CONFIG, "config", OPT_ONE },
	{ OPT_COMPLETE, "complete", OPT_NONE }, { 0, NULL, OPT_NONE } };

static const struct opt *
option_find(const struct opt *o, const char *name, size_t len)
{
	for (; o != NULL && o->name != NULL; o++)
		if (strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

/* Fills p->value for option o, whose text behind "=" is given or NULL. */
static int
option_value(struct optparse *p, const struct opt *o, const char *given)
{
	uint64_t bit = (uint64_t)1 << (o->id & 63);

	p->value = given;
	if (o->arg != OPT_MANY && (p->seen & bit) != 0) {
		cli_error(p->cli, "--%s: given twice: want it once", o->name);
		return -1;
	}
	p->seen |= bit;
	if (o->arg == OPT_NONE && given != NULL) {
		cli_error(p->cli, "--%s=%s: takes no value", o->name, given);
		return -1;
	}
	if (given != NULL || o->arg == OPT_NONE || o->arg == OPT_MAYBE)
		return 0;
	if (p->at >= p->cli->argc) {
		cli_error(p->cli, "--%s: want a value behind it", o->name);
		return -1;
	}
	p->value = p->cli->argv[p->at++];
	return 0;
}

static int
option_common(struct optparse *p, int id)
{
	switch (id) {
	case COMMON_HELP:
		out_print("%s", p->cli->cmd->usage);
		return OPT_HELP;
	case OPT_COMPLETE:
		complete_print(p->cli->cmd, p->opts, option_commons);
		return OPT_HELP;
	case COMMON_JSON:
		p->cli->json = true;
		break;
	case COMMON_MODULE:
		p->cli->module = p->value;
		break;
	case COMMON_CONFIG:
		p->cli->config = p->value;
		break;
	}
	return opt_next(p);
}

int
opt_next(struct optparse *p)
{
	struct cli *c = p->cli;
	const struct opt *o;
	const char *arg, *eq;
	size_t len;

	if (p->at == 0)
		p->at = 1;
	if (p->at >= c->argc)
		return OPT_END;
	arg = c->argv[p->at++];
	if (!p->operands && strcmp(arg, "--") == 0) {
		p->operands = true;
		return opt_next(p);
	}
	if (p->operands || arg[0] != '-' || arg[1] == '\0') {
		p->value = arg;
		return OPT_OPERAND;
	}
	if (strcmp(arg, "-h") == 0)
		return option_common(p, COMMON_HELP);
	if (arg[1] != '-') {
		cli_error(c,
		    "%s: no such option; danevirke %s --help lists them", arg,
		    c->cmd->name);
		return OPT_BAD;
	}
	eq = strchr(arg, '=');
	len = eq == NULL ? strlen(arg + 2) : (size_t)(eq - arg - 2);
	if ((o = option_find(p->opts, arg + 2, len)) == NULL &&
	    (o = option_find(option_commons, arg + 2, len)) == NULL) {
		cli_error(c,
		    "%s: no such option; danevirke %s --help lists them", arg,
		    c->cmd->name);
		return OPT_BAD;
	}
	if (option_value(p, o, eq == NULL ? NULL : eq + 1) != 0)
		return OPT_BAD;
	return o->id >= COMMON_HELP ? option_common(p, o->id) : o->id;
}

int
opt_run(struct cli *c, const struct opt *opts,
    int (*take)(struct cli *, void *, int id, const char *value),
    int (*run)(struct cli *, void *), void *job)
{
	struct optparse p = { .cli = c, .opts = opts };
	int id;

	while ((id = opt_next(&p)) >= 0)
		if (take(c, job, id, p.value) != 0)
			return EXIT_UNTESTED;
	if (id == OPT_HELP)
		return EXIT_GOOD;
	return id == OPT_END ? run(c, job) : EXIT_UNTESTED;
}

int
opt_number(struct cli *c, const char *name, const char *text, unsigned long min,
    unsigned long max, unsigned long *out)
{
	unsigned long v = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9' && p - text < 10; p++)
		v = v * 10 + (unsigned long)(*p - '0');
	if (p == text || *p != '\0' || v < min || v > max) {
		cli_error(c, "--%s: \"%s\": want a number, %lu to %lu", name,
		    text, min, max);
		return -1;
	}
	*out = v;
	return 0;
}

int
opt_time(struct cli *c, const char *name, const char *text, time_t *out)
{
	/* 0 would be the clock */
	if (time_parse(text, out) == 0 && *out > 0)
		return 0;
	cli_error(c,
	    "--%s \"%s\": want a time after 1970 as in 2026-01-31T12:00:00Z "
	    "(RFC 3339)",
	    name, text);
	return -1;
}

/* SPDX-License-Identifier: ISC */
/*
 * danevirke explain: the rules that ids such as M04 stand for.  Their text is
 * tests/RULES, which explains its format at its head; `make` takes from it the
 * lines of sections and rows.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cli.h"

const char usage_explain[] =
    "usage: danevirke explain [--json] [ID]...\n"
    "\n"
    "Prints the rules that ids such as M04 stand for, in the findings of danevirke\n"
    "check, in the manuals and in the source.  Without an ID it lists them all.\n"
    "\n"
    "  --json              one JSON object\n"
    "\n"
    "Exit status: 0 printed, 2 there is no such rule.\n";

static const struct opt opts[] = { { 0, NULL, OPT_NONE } };

static const char *const lines[] = {
#include "shim/cli/rules.inc"
};
#define N_LINES (sizeof lines / sizeof *lines)
#define TEXT_LEN 2048 /* of a rule; tests/cli/offline.py sees to it */

struct rule {
	const char *section;
	const char *id; /* and a tab behind it */
	size_t id_len;
	size_t first, end; /* of lines */
};

/* The next rule behind r, which is zeroed at first. */
static bool
rule_next(struct rule *r)
{
	size_t i;

	for (i = r->end; i < N_LINES && lines[i][0] == '='; i++)
		r->section = lines[i] + 2;
	if (i == N_LINES)
		return false;
	r->id = lines[i];
	r->id_len = strcspn(r->id, "\t");
	r->first = i++;
	while (i < N_LINES && lines[i][0] == '\t')
		i++;
	r->end = i;
	return true;
}

static bool
rule_find(const char *id, struct rule *r)
{
	memset(r, 0, sizeof *r);
	while (rule_next(r))
		if (strlen(id) == r->id_len &&
		    strncasecmp(id, r->id, r->id_len) == 0)
			return true;
	return false;
}

static void
rule_print(const struct rule *r)
{
	size_t i;

	out_print("%.*s: %s\n", (int)r->id_len, r->id, r->section);
	for (i = r->first; i < r->end; i++)
		out_print("    %s\n", strchr(lines[i], '\t') + 1);
}

static void
rule_json(struct json *j, const struct rule *r)
{
	char id[8], text[TEXT_LEN];
	size_t i, n = 0;

	snprintf(id, sizeof id, "%.*s", (int)r->id_len, r->id);
	for (i = r->first; i < r->end && n < sizeof text; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%s%s",
		    i == r->first ? "" : " ", strchr(lines[i], '\t') + 1);
	json_object(j, NULL);
	json_string(j, "id", id);
	json_string(j, "section", r->section);
	json_string(j, "text", text);
	json_end_object(j);
}

static void
list_print(void)
{
	const char *section = NULL;
	struct rule r = { 0 };

	while (rule_next(&r)) {
		if (r.section != section)
			out_print("%s%s\n   ", section == NULL ? "" : "\n",
			    r.section);
		section = r.section;
		out_print(" %.*s", (int)r.id_len, r.id);
	}
	out_print("\n");
}

/* Those that are named, or all. */
static void
explain_print(struct cli *c, bool all)
{
	struct optparse p = { .cli = c, .opts = opts };
	struct json j = { 0 };
	struct rule r = { 0 };

	if (c->json) {
		json_object(&j, NULL);
		json_array(&j, "rules");
	}
	while (all ? rule_next(&r) : opt_next(&p) == OPT_OPERAND) {
		if (!all)
			rule_find(p.value, &r);
		if (c->json)
			rule_json(&j, &r);
		else
			rule_print(&r);
	}
	if (c->json) {
		json_end_array(&j);
		json_end_object(&j);
	}
}

int
cmd_explain(struct cli *c)
{
	struct optparse p = { .cli = c, .opts = opts };
	struct rule r;
	size_t n = 0;
	int id;

	/* all of them first: an error is one object, too */
	for (; (id = opt_next(&p)) == OPT_OPERAND; n++)
		if (!rule_find(p.value, &r))
			return cli_error(c,
			    "%s: no such rule: want an id such as M04; "
			    "danevirke explain lists them",
			    p.value);
	if (id != OPT_END)
		return id == OPT_HELP ? EXIT_GOOD : EXIT_UNTESTED;
	if (n == 0 && !c->json)
		list_print();
	else
		explain_print(c, n == 0);
	return EXIT_GOOD;
}

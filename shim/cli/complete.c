/* SPDX-License-Identifier: ISC */
/*
 * danevirke SUBCOMMAND --complete: what may stand behind the subcommand, for
 * the functions in shim/cli/completion.  The options are those of the table
 * that the command line is read by; what --help says of them is added.  A line:
 * word, tab, name of its value or "-", tab, what it is.
 */
#include <ctype.h>
#include <string.h>

#include "cli.h"

/* Where usage tells of option name: behind it.  Its own line, if it has one. */
static const char *
complete_find(const char *usage, const char *name)
{
	const char *p, *found = NULL;
	size_t len = strlen(name);

	for (p = usage; (p = strstr(p, "--")) != NULL;) {
		p += 2;
		if (strncmp(p, name, len) != 0 || p[len] == '-' ||
		    isalnum((unsigned char)p[len]))
			continue;
		if (p - usage > 5 && memcmp(p - 5, "\n  --", 5) == 0)
			return p + len;
		if (found == NULL)
			found = p + len;
	}
	return found;
}

static void
complete_option(const char *usage, const struct opt *o)
{
	const char *p = complete_find(usage, o->name), *value = "-", *end;
	size_t len = 1;

	if (p == NULL)
		p = usage + strlen(usage);
	end = p + strcspn(p, "\n");
	if (o->arg == OPT_ONE || o->arg == OPT_MANY) {
		value = "VALUE";
		len = strlen(value);
		if (*p == ' ' && isupper((unsigned char)p[1])) {
			value = p + 1;
			len = strspn(
			    value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
		}
	}
	/* two blanks part an option from its text */
	if ((p = strstr(p, "  ")) == NULL || p > end)
		p = end;
	p += strspn(p, " ");
	out_print(
	    "--%s\t%.*s\t%.*s\n", o->name, (int)len, value, (int)(end - p), p);
}

/* Words to be written as they are, as in "setup exim | opensmtpd": those in
 * small letters that are no option's value. */
static void
complete_words(const struct command *cmd)
{
	static const char blank[] = " \n";
	const char *p = cmd->usage, *end = strstr(p, "\n\n");
	bool value = false, option;
	size_t len, word;

	for (; p < end && *p != '\0'; p += len) {
		p += strspn(p, blank);
		len = strcspn(p, blank);
		option = p[strspn(p, "[")] == '-';
		word = strspn(p, "[");
		p += word;
		len -= word;
		word = strspn(p, "abcdefghijklmnopqrstuvwxyz");
		if (!value && word > 0 && strspn(p + word, "]") == len - word &&
		    strncmp(p, "danevirke ", 10) != 0 &&
		    (word != strlen(cmd->name) ||
			memcmp(p, cmd->name, word) != 0))
			out_print("%.*s\t-\t\n", (int)word, p);
		value = option && len > 0 && p[len - 1] != ']';
	}
}

void
complete_print(const struct command *cmd, const struct opt *opts,
    const struct opt *commons)
{
	const struct opt *o;

	complete_words(cmd);
	for (o = opts; o->name != NULL; o++)
		complete_option(cmd->usage, o);
	for (o = commons; o->name != NULL; o++)
		if (o->id != OPT_COMPLETE)
			complete_option(cmd->usage, o);
}

/* SPDX-License-Identifier: ISC */
/*
 * What Exim prints of itself.  One option a line, "name = value", a switch as
 * "name" or "no_name"; behind -bP routers and the like a line "name router:"
 * before those of each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"

static struct driver *
drivers_add(struct drivers *d, const char *name)
{
	struct driver *p = reallocarray(d->driver, d->n + 1, sizeof *p);

	if (p == NULL)
		return NULL;
	d->driver = p;
	p += d->n++;
	*p = (struct driver){ .name = name };
	return p;
}

/* Cuts the line in place. */
static int
driver_add(struct driver *d, char *line)
{
	struct driver_option *o;
	char *eq = strchr(line, '=');

	if ((o = reallocarray(d->option, d->n + 1, sizeof *o)) == NULL)
		return -1;
	d->option = o;
	o += d->n++;
	if (eq == NULL) {
		bool no = strncmp(line, "no_", 3) == 0;

		o->name = no ? line + 3 : line;
		o->value = no ? "false" : "true";
		return 0;
	}
	o->name = line;
	o->value = eq[1] == ' ' ? eq + 2 : eq + 1;
	while (eq > line && eq[-1] == ' ')
		eq--;
	*eq = '\0';
	return 0;
}

/* "name router:": the name, cut in place, or NULL */
static const char *
drivers_head(char *line)
{
	static const char *const class[] = {
		" router:", " transport:", " authenticator:"
	};
	size_t len = strlen(line), n, i;

	for (i = 0; i < sizeof class / sizeof *class; i++) {
		n = strlen(class[i]);
		if (len > n && strcmp(line + len - n, class[i]) == 0 &&
		    strchr(line, '=') == NULL) {
			line[len - n] = '\0';
			return line;
		}
	}
	return NULL;
}

int
drivers_read(const char *text, struct drivers *d)
{
	struct driver *at = NULL;
	const char *name;
	char *line, *next;

	*d = (struct drivers){ .text = strdup(text) };
	for (line = d->text; line != NULL && *line != '\0'; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		else
			next = line + strlen(line);
		if (*line == '\0')
			continue;
		name = drivers_head(line);
		if ((name != NULL || at == NULL) &&
		    (at = drivers_add(d, name == NULL ? "" : name)) == NULL)
			return -1;
		if (name == NULL && driver_add(at, line) != 0)
			return -1;
	}
	return d->text == NULL ? -1 : 0;
}

void
drivers_free(struct drivers *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		free(d->driver[i].option);
	free(d->driver);
	free(d->text);
	*d = (struct drivers){ .n = 0 };
}

const struct driver *
drivers_find(const struct drivers *d, const char *name)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (strcmp(d->driver[i].name, name) == 0)
			return &d->driver[i];
	return NULL;
}

static const struct driver_option *
driver_find(const struct driver *d, const char *option)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (strcmp(d->option[i].name, option) == 0)
			return &d->option[i];
	return NULL;
}

const char *
driver_get(const struct driver *d, const char *option)
{
	const struct driver_option *o = driver_find(d, option);

	return o == NULL ? "" : o->value;
}

bool
driver_knows(const struct driver *d, const char *option)
{
	return driver_find(d, option) != NULL;
}

bool
driver_has(const struct driver *d, const char *option, const char *part)
{
	return strstr(driver_get(d, option), part) != NULL;
}

/* The end of what the brace at p begins, at its own brace; NULL: none. */
static const char *
brace_end(const char *p)
{
	unsigned depth = 0;

	for (; *p != '\0'; p++) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '{')
			depth++;
		else if (*p == '}' && --depth == 0)
			return p;
	}
	return NULL;
}

bool
dlfunc_argument(
    const char *text, const char *function, unsigned n, char *buf, size_t len)
{
	static const char call[] = "${dlfunc{";
	const char *p, *end, *name;
	unsigned i;

	for (p = strstr(text, call); p != NULL; p = strstr(p + 1, call)) {
		const char *arg = p + sizeof call - 2;

		if ((end = brace_end(arg)) == NULL || end[1] != '{')
			continue;
		name = end + 2;
		if (strncmp(name, function, strlen(function)) != 0 ||
		    name[strlen(function)] != '}')
			continue;
		/* the name stands between the file and argument 1 */
		for (i = 0; i < (n == 0 ? 0 : n + 1); i++) {
			for (arg = end + 1; *arg == ' ';)
				arg++;
			if (*arg != '{' || (end = brace_end(arg)) == NULL)
				return false;
		}
		return (size_t)snprintf(buf, len, "%.*s", (int)(end - arg - 1),
			   arg + 1) < len;
	}
	return false;
}

/* What stands between these in text, into buf; false: nothing. */
static bool
text_between(const char *text, const char *before, const char *after, char *buf,
    size_t len)
{
	const char *p = strstr(text, before);
	size_t n;

	buf[0] = '\0';
	if (p == NULL)
		return false;
	p += strlen(before);
	n = strcspn(p, after);
	snprintf(buf, len, "%.*s", (int)n, p);
	return n > 0;
}

/* Why, without the expansion that failed; hooks of ours say it behind that. */
static const char *
bt_why(const char *p)
{
	static const char failed[] = ": failed to expand \"";
	const char *end = strstr(p, "}\": ");

	if (strncmp(p, failed, sizeof failed - 1) == 0 && end != NULL &&
	    end < p + strcspn(p, "\n"))
		return end + 4;
	return strncmp(p, ": ", 2) == 0 ? p + 2 : p;
}

void
bt_read(const char *text, struct bt *b)
{
	static const char *const no[] = { " cannot be resolved at this time",
		" is undeliverable", " cannot be routed" };
	const char *p = NULL;
	size_t i;

	*b = (struct bt){ .reason = "" };
	text_between(text, "router = ", ",\n", b->router, sizeof b->router);
	if (text_between(
		text, "transport = ", ",\n", b->transport, sizeof b->transport))
		return;
	for (i = 0; i < sizeof no / sizeof *no && p == NULL; i++)
		if ((p = strstr(text, no[i])) != NULL) {
			p = bt_why(p + strlen(no[i]));
			b->waits = i == 0;
		}
	if (p == NULL || *p == '\0' || *p == '\n')
		p = text;
	snprintf(b->reason, sizeof b->reason, "%.*s", (int)strcspn(p, "\n"), p);
}

bool
bv_version(const char *text, char version[32])
{
	return text_between(text, "Exim version ", " \n", version, 32);
}

bool
bv_supports(const char *text, const char *word)
{
	const char *p = strstr(text, "Support for:");
	size_t n = strlen(word);

	if (p == NULL)
		return false;
	for (p += strlen("Support for:"); *p != '\0' && *p != '\n';) {
		size_t len = strcspn(p, " \n");

		if (len == n && strncmp(p, word, n) == 0)
			return true;
		p += len;
		p += *p == ' ';
	}
	return false;
}

bool
bv_file(const char *text, char file[256])
{
	return text_between(text, "Configuration file is ", "\n", file, 256);
}

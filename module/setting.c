/* SPDX-License-Identifier: ISC */
/* One setting of danevirke.conf: its place, its value, what is wrong. */
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "setting.h"
#include "text.h"

/* ----------------------------------------------------------------- errors */

void
setting_report(struct conf_walk *w, const struct danevirke_error *e)
{
	if (w->errors++ == 0 && w->err != NULL)
		*w->err = *e;
	if (w->log != NULL)
		w->log(w->arg, 3, e->text);
}

bool
setting_nomem(struct conf_walk *w)
{
	struct danevirke_error e;

	fail(&e, DANEVIRKE_ENOMEM, "%s: out of memory", w->path);
	setting_report(w, &e);
	return false;
}

/* "destinations[2].until" */
static void
setting_path(const config_setting_t *s, char *buf, size_t len)
{
	const config_setting_t *parent = config_setting_parent(s);
	size_t n;

	*buf = '\0';
	if (parent == NULL)
		return;
	setting_path(parent, buf, len);
	n = strlen(buf);
	if (config_setting_name(s) == NULL)
		snprintf(buf + n, len - n, "[%d]", config_setting_index(s));
	else
		snprintf(buf + n, len - n, "%s%.64s", n > 0 ? "." : "",
		    config_setting_name(s));
}

/* As danevirke.conf has it: what cannot be printed is escaped, or a mistake of
 * this kind would not be seen. */
static void
setting_quote(const char *v, char *buf, size_t len)
{
	static const char plain[] = "\n\r\t\f\"\\", letters[] = "nrtf\"\\";
	size_t n = strlen(v), k, at;
	const char *p, *end;

	if (n > 80) /* never half a character */
		for (n = 77; n > 73 && (v[n] & 0xc0) == 0x80; n--)
			;
	at = (size_t)snprintf(buf, len, "\"");
	for (end = v + n; v < end; v += k == 0 ? 1 : k) {
		k = utf8_printable(v);
		if ((p = strchr(plain, *v)) != NULL)
			snprintf(
			    buf + at, len - at, "\\%c", letters[p - plain]);
		else if (k == 0)
			snprintf(buf + at, len - at, "\\x%02x",
			    (unsigned)(unsigned char)*v);
		else
			snprintf(buf + at, len - at, "%.*s", (int)k, v);
		at += strlen(buf + at);
	}
	snprintf(buf + at, len - at, "\"%s", *end != '\0' ? "..." : "");
}

static void
setting_found(const config_setting_t *s, char *buf, size_t len)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
		snprintf(buf, len, "%d", config_setting_get_int(s));
		break;
	case CONFIG_TYPE_INT64:
		snprintf(buf, len, "%lld", config_setting_get_int64(s));
		break;
	case CONFIG_TYPE_FLOAT:
		snprintf(buf, len, "%g", config_setting_get_float(s));
		break;
	case CONFIG_TYPE_BOOL:
		snprintf(buf, len, "%s",
		    config_setting_get_bool(s) ? "true" : "false");
		break;
	case CONFIG_TYPE_STRING:
		setting_quote(config_setting_get_string(s), buf, len);
		break;
	case CONFIG_TYPE_ARRAY:
		snprintf(buf, len, "an array");
		break;
	case CONFIG_TYPE_LIST:
		snprintf(buf, len, "a list");
		break;
	default:
		snprintf(buf, len, "a group");
	}
}

/* The start of line n, its length in *len */
static const char *
setting_text(const char *text, unsigned n, size_t *len)
{
	while (n-- > 1) {
		if ((text = strchr(text, '\n')) == NULL)
			return NULL;
		text++;
	}
	*len = strcspn(text, "\n");
	return text;
}

/* libconfig gives a string in a list the line of the token behind it, so the
 * last one of a list often has the line of the bracket: look above. */
static unsigned
setting_line(const struct conf_walk *w, const config_setting_t *s)
{
	const config_setting_t *parent = config_setting_parent(s);
	unsigned line = config_setting_source_line(s), first;
	const char *v, *p;
	size_t len;

	if (config_setting_type(s) != CONFIG_TYPE_STRING || parent == NULL ||
	    config_setting_name(s) != NULL)
		return line;
	v = config_setting_get_string(s);
	first = config_setting_source_line(parent);
	for (unsigned l = line; l >= first && l > 0; l--)
		if ((p = setting_text(w->text, l, &len)) != NULL &&
		    memmem(p, len, v, strlen(v)) != NULL &&
		    memchr(p, '"', len) != NULL)
			return l;
	return line;
}

void
setting_error(struct conf_walk *w, const config_setting_t *s, const char *sub,
    const char *found, const char *fmt, ...)
{
	struct danevirke_error e;
	char path[256], value[336], want[1024];
	va_list ap;

	setting_path(s, path, sizeof path);
	setting_found(s, value, sizeof value);
	va_start(ap, fmt);
	vsnprintf(want, sizeof want, fmt, ap);
	va_end(ap);
	fail(&e, DANEVIRKE_ECONF, "%s:%u: %s%s%s: %s: want %s", w->path,
	    setting_line(w, s), path, sub != NULL && *path != '\0' ? "." : "",
	    sub != NULL ? sub : "", found != NULL ? found : value, want);
	setting_report(w, &e);
}

/* ------------------------------------------------------------ plain values */

const char *
setting_string(struct conf_walk *w, const config_setting_t *s, const char *want)
{
	if (config_setting_type(s) == CONFIG_TYPE_STRING)
		return config_setting_get_string(s);
	setting_wrong(w, s, "%s", want);
	return NULL;
}

char *
setting_keep(struct conf_walk *w, const char *v)
{
	char *p = arena_str(&w->conf->arena, v);

	if (p == NULL)
		setting_nomem(w);
	return p;
}

void
setting_socket(struct conf_walk *w, const config_setting_t *s,
    const struct key *k, void *to)
{
	static const char want[] = "an absolute path of at most 107 octets";
	const char *v = setting_string(w, s, want);

	(void)k;
	if (v == NULL)
		return;
	if (*v != '/' || !value_utf8(v) ||
	    strlen(v) >= sizeof((struct sockaddr_un *)NULL)->sun_path)
		setting_wrong(w, s, want);
	else
		*(const char **)to = setting_keep(w, v);
}

bool
setting_number(struct conf_walk *w, const config_setting_t *s,
    const struct key *k, unsigned *out)
{
	long long v = -1;

	if (config_setting_type(s) == CONFIG_TYPE_INT)
		v = config_setting_get_int(s);
	else if (config_setting_type(s) == CONFIG_TYPE_INT64)
		v = config_setting_get_int64(s);
	if (v < (long long)k->min || v > (long long)k->max) {
		setting_wrong(w, s, "%s, %u to %u", k->what, k->min, k->max);
		return false;
	}
	*out = (unsigned)v;
	return true;
}

void
set_number(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	setting_number(w, s, k, to);
}

void
set_bool(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	(void)k;
	if (config_setting_type(s) == CONFIG_TYPE_BOOL)
		*(bool *)to = config_setting_get_bool(s) == CONFIG_TRUE;
	else
		setting_wrong(w, s, "true or false");
}

const struct word *
setting_word(
    struct conf_walk *w, const config_setting_t *s, const struct word *words)
{
	char want[256] = "one of";
	size_t n;

	if (config_setting_type(s) == CONFIG_TYPE_STRING)
		for (const struct word *t = words; t->name != NULL; t++)
			if (strcmp(t->name, config_setting_get_string(s)) == 0)
				return t;
	for (const struct word *t = words; t->name != NULL; t++) {
		n = strlen(want);
		snprintf(want + n, sizeof want - n, "%s \"%s\"",
		    t == words ? "" : ",", t->name);
	}
	setting_wrong(w, s, "%s", want);
	return NULL;
}

/* An int, or an enum */
void
set_word(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	const struct word *v = setting_word(w, s, k->words);

	if (v != NULL)
		*(int *)to = v->value;
}

/* min: may it be root?  what: if it is no user. */
void
set_user(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	const char *want = k->what != NULL ? k->what : "the name of a user";
	const char *v = setting_string(w, s, want);

	if (v == NULL)
		return;
	if (!value_user(v))
		setting_wrong(w, s, "%s", want);
	else if (k->min == 0 && strcmp(v, "root") == 0)
		setting_wrong(w, s, "the name of a user other than root");
	else
		*(const char **)to = setting_keep(w, v);
}

/* ------------------------------------------------------------------ lists */

/* [ ... ] or ( ... ); for lists of groups libconfig has ( ... ) only */
bool
setting_list(
    struct conf_walk *w, const config_setting_t *s, int max, const char *what)
{
	int type = config_setting_type(s);

	if (type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) {
		setting_wrong(w, s, "a list of %s", what);
		return false;
	}
	if (config_setting_length(s) > max) {
		char found[64];

		snprintf(found, sizeof found, "%d elements",
		    config_setting_length(s));
		setting_error(w, s, NULL, found, "at most %d %s", max, what);
		return false;
	}
	return true;
}

void *
setting_array(struct conf_walk *w, const config_setting_t *s, size_t size)
{
	void *p = arena_array(
	    &w->conf->arena, (size_t)config_setting_length(s) + 1, size);

	if (p == NULL)
		setting_nomem(w);
	return p;
}

bool
setting_prefix(struct conf_walk *w, const config_setting_t *s, const char *v,
    const char *want, struct conf_prefix *out)
{
	bool clear;

	if (value_prefix(v, out, &clear))
		return true;
	if (clear)
		setting_wrong(w, s, "a prefix without bits behind its length");
	else
		setting_wrong(w, s, "%s", want);
	return false;
}

/* D14, N09.  "mx.example.org" or what is wrong with it */
bool
setting_domain(struct conf_walk *w, const config_setting_t *s, const char *v,
    char buf[NAME_LEN], const char *want)
{
	if (value_utf8(v) && name_to_ascii(v, buf, NAME_LEN, NULL) == 0)
		return true;
	setting_wrong(w, s, "%s", want);
	return false;
}

void
set_name(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	char name[NAME_LEN];
	const char *v = setting_string(w, s, k->what);

	if (v != NULL && setting_domain(w, s, v, name, k->what))
		*(const char **)to = setting_keep(w, name);
}

/* ----------------------------------------------------------------- groups */

static void
setting_unknown(
    struct conf_walk *w, const config_setting_t *s, const struct key *keys)
{
	char want[512] = "";
	size_t n;

	for (const struct key *k = keys; k->name != NULL; k++) {
		n = strlen(want);
		snprintf(want + n, sizeof want - n, "%s%s",
		    n > 0                 ? ", " :
			k[1].name != NULL ? "one of " :
					    "",
		    k->name);
	}
	setting_error(w, s, NULL, "unknown setting", "%s", want);
}

void
setting_group(struct conf_walk *w, const config_setting_t *g,
    const struct key *keys, void *to)
{
	const struct key *k;

	if (!config_setting_is_group(g)) {
		setting_wrong(w, g, "a group, { ... }");
		return;
	}
	for (int i = 0; i < config_setting_length(g); i++) {
		const config_setting_t *s = config_setting_get_elem(g, i);

		for (k = keys; k->name != NULL; k++)
			if (strcmp(k->name, config_setting_name(s)) == 0)
				break;
		if (k->name == NULL)
			setting_unknown(w, s, keys);
		else
			k->set(w, s, k, (char *)to + k->at);
	}
	for (k = keys; k->name != NULL; k++)
		if (k->required &&
		    config_setting_get_member(g, k->name) == NULL)
			setting_error(w, g, k->name, "missing", "%s", k->what);
}

void
set_group(struct conf_walk *w, const config_setting_t *s, const struct key *k,
    void *to)
{
	setting_group(w, s, k->keys, to);
}

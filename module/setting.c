/* SPDX-License-Identifier: ISC */
/* One setting of danevirke.conf: its place, its value, what is wrong. */
#include <arpa/inet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf.h"

#define MAX_PATH 1024
#define MAX_HINTS 65536

/* ----------------------------------------------------------------- errors */

void
setting_report(struct walk *w, const struct danevirke_error *e)
{
	if (w->errors++ == 0 && w->err != NULL)
		*w->err = *e;
	if (w->log != NULL)
		w->log(w->arg, 3, e->text);
}

bool
setting_nomem(struct walk *w)
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

static void
setting_found(const config_setting_t *s, char *buf, size_t len)
{
	const char *v;
	size_t n;

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
		v = config_setting_get_string(s);
		n = strlen(v);
		if (!value_utf8(v)) {
			snprintf(buf, len, "text that is not printable UTF-8");
			break;
		}
		if (n > 80) /* never half a character */
			for (n = 77; n > 0 && (v[n] & 0xc0) == 0x80; n--)
				;
		snprintf(buf, len, "\"%.*s\"%s", (int)n, v,
		    v[n] != '\0' ? "..." : "");
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
text_line(const char *text, unsigned n, size_t *len)
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
setting_line(const struct walk *w, const config_setting_t *s)
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
		if ((p = text_line(w->text, l, &len)) != NULL &&
		    memmem(p, len, v, strlen(v)) != NULL &&
		    memchr(p, '"', len) != NULL)
			return l;
	return line;
}

void
setting_error(struct walk *w, const config_setting_t *s, const char *sub,
    const char *found, const char *fmt, ...)
{
	struct danevirke_error e;
	char path[256], value[128], want[1024];
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
setting_string(struct walk *w, const config_setting_t *s, const char *want)
{
	if (config_setting_type(s) == CONFIG_TYPE_STRING)
		return config_setting_get_string(s);
	wrong(w, s, "%s", want);
	return NULL;
}

char *
setting_keep(struct walk *w, const char *v)
{
	char *p = arena_str(&w->conf->arena, v);

	if (p == NULL)
		setting_nomem(w);
	return p;
}

static bool
get_number(struct walk *w, const config_setting_t *s, const struct key *k,
    unsigned *out)
{
	long long v = -1;

	if (config_setting_type(s) == CONFIG_TYPE_INT)
		v = config_setting_get_int(s);
	else if (config_setting_type(s) == CONFIG_TYPE_INT64)
		v = config_setting_get_int64(s);
	if (v < (long long)k->min || v > (long long)k->max) {
		wrong(w, s, "%s, %u to %u", k->what, k->min, k->max);
		return false;
	}
	*out = (unsigned)v;
	return true;
}

void
set_number(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	get_number(w, s, k, to);
}

void
set_port(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	unsigned v;

	if (get_number(w, s, k, &v))
		*(uint16_t *)to = (uint16_t)v;
}

void
set_bool(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	(void)k;
	if (config_setting_type(s) == CONFIG_TYPE_BOOL)
		*(bool *)to = config_setting_get_bool(s) == CONFIG_TRUE;
	else
		wrong(w, s, "true or false");
}

const struct word *
setting_word(
    struct walk *w, const config_setting_t *s, const struct word *words)
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
	wrong(w, s, "%s", want);
	return NULL;
}

void
set_log_level(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	static const struct word words[] = { /* as syslog(3) counts */
		{ "error", 3 }, { "warning", 4 }, { "notice", 5 },
		{ "info", 6 }, { "debug", 7 }, { 0 }
	};
	const struct word *v = setting_word(w, s, words);

	(void)k;
	if (v != NULL)
		*(int *)to = v->value;
}

void
set_facility(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	static const struct word words[] = { { "mail", 0 }, { "daemon", 0 },
		{ "user", 0 }, { "local0", 0 }, { "local1", 0 },
		{ "local2", 0 }, { "local3", 0 }, { "local4", 0 },
		{ "local5", 0 }, { "local6", 0 }, { "local7", 0 }, { 0 } };
	const struct word *v = setting_word(w, s, words);

	(void)k;
	if (v != NULL)
		*(const char **)to = v->name;
}

static const char *
get_path(struct walk *w, const config_setting_t *s)
{
	static const char want[] = "an absolute path";
	const char *v = setting_string(w, s, want);

	if (v != NULL &&
	    (*v != '/' || !value_utf8(v) || strlen(v) > MAX_PATH)) {
		wrong(w, s, want);
		return NULL;
	}
	return v;
}

void
set_path(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	const char *v = get_path(w, s);

	(void)k;
	if (v != NULL)
		*(char **)to = setting_keep(w, v);
}

/* NS records of "." and, behind one, an address: of others libunbound makes
 * nothing, and tells nobody. */
static bool
hints_usable(char *text)
{
	char *line, *word, *next, *lines, *words;
	bool ns = false, root;
	uint8_t ip[16];

	for (line = strtok_r(text, "\n", &lines); line != NULL;
	     line = strtok_r(NULL, "\n", &lines)) {
		line[strcspn(line, ";\r")] = '\0';
		word = strtok_r(line, " \t", &words);
		root = word != NULL && strcmp(word, ".") == 0;
		for (; word != NULL; word = next) {
			next = strtok_r(NULL, " \t", &words);
			if (next == NULL)
				break;
			ns |= root && strcasecmp(word, "NS") == 0;
			if (ns &&
			    ((strcasecmp(word, "A") == 0 &&
				 inet_pton(AF_INET, next, ip) == 1) ||
				(strcasecmp(word, "AAAA") == 0 &&
				    inet_pton(AF_INET6, next, ip) == 1)))
				return true;
		}
	}
	return false;
}

/* Without its hints the resolver would fail at every name, hours later. */
void
set_hints(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	struct danevirke_error e;
	const char *v = get_path(w, s);
	char *text;
	size_t len;

	(void)k;
	if (v == NULL)
		return;
	if (value_file(v, MAX_HINTS, DANEVIRKE_ECONF, &text, &len, &e) != 0) {
		wrong(w, s, "a file with root hints: %s", e.text);
		return;
	}
	if (!hints_usable(text))
		wrong(w, s,
		    "a file with root hints: NS records of \".\" and behind "
		    "them the addresses");
	else
		*(char **)to = setting_keep(w, v);
	free(text);
}

/* min: may it be root? */
void
set_user(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	static const char want[] = "the name of a user";
	const char *v = setting_string(w, s, want);

	if (v == NULL)
		return;
	if (!value_user(v))
		wrong(w, s, want);
	else if (k->min == 0 && strcmp(v, "root") == 0)
		wrong(w, s, "the name of a user other than root");
	else
		*(const char **)to = setting_keep(w, v);
}

/* ------------------------------------------------------------------ lists */

/* [ ... ] or ( ... ); for lists of groups libconfig has ( ... ) only */
bool
setting_list(
    struct walk *w, const config_setting_t *s, int max, const char *what)
{
	int type = config_setting_type(s);

	if (type != CONFIG_TYPE_ARRAY && type != CONFIG_TYPE_LIST) {
		wrong(w, s, "a list of %s", what);
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
setting_array(struct walk *w, const config_setting_t *s, size_t size)
{
	void *p = arena_array(
	    &w->conf->arena, (size_t)config_setting_length(s) + 1, size);

	if (p == NULL)
		setting_nomem(w);
	return p;
}

static bool
get_servers(struct walk *w, const config_setting_t *s, char ***list, size_t *n)
{
	static const char want[] = "an address or address@port";
	const char *v;
	char buf[64];

	if (!setting_list(w, s, 16, "addresses") ||
	    (*list = setting_array(w, s, sizeof **list)) == NULL)
		return false;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *el = config_setting_get_elem(s, i);

		if ((v = setting_string(w, el, want)) == NULL)
			continue;
		if (!value_server(v, buf, sizeof buf))
			wrong(w, el, want);
		else if (((*list)[*n] = setting_keep(w, buf)) != NULL)
			++*n;
	}
	return true;
}

void
set_forward(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	struct conf *c = to;

	(void)k;
	get_servers(w, s, &c->forward, &c->n_forward);
}

void
set_zone_forward(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	struct conf_zone *z = to;

	(void)k;
	get_servers(w, s, &z->forward, &z->n_forward);
}

bool
setting_prefix(struct walk *w, const config_setting_t *s, const char *v,
    const char *want, struct conf_prefix *out)
{
	bool clear;

	if (value_prefix(v, out, &clear))
		return true;
	if (clear)
		wrong(w, s, "a prefix without bits behind its length");
	else
		wrong(w, s, "%s", want);
	return false;
}

void /* M12 */
set_allow(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	static const char want[] = "an address or prefix";
	struct conf *c = to;
	const char *v;

	(void)k;
	if (!setting_list(w, s, 256, "addresses and prefixes") ||
	    (c->allow = setting_array(w, s, sizeof *c->allow)) == NULL)
		return;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *el = config_setting_get_elem(s, i);

		if ((v = setting_string(w, el, want)) != NULL &&
		    setting_prefix(w, el, v, want, &c->allow[c->n_allow]))
			c->n_allow++;
	}
}

/* D14, N09.  "mx.example.org" or what is wrong with it */
bool
setting_domain(struct walk *w, const config_setting_t *s, const char *v,
    char buf[NAME_LEN], const char *want)
{
	if (value_utf8(v) && name_to_ascii(v, buf, NAME_LEN, NULL) == 0)
		return true;
	wrong(w, s, "%s", want);
	return false;
}

void /* M10 */
set_self(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	static const char want[] = "a host name, address or prefix";
	struct conf *c = to;
	char name[NAME_LEN];
	const char *v;

	(void)k;
	c->self_set = true;
	if (!setting_list(w, s, 1024, "names, addresses and prefixes") ||
	    (c->self_name = setting_array(w, s, sizeof *c->self_name)) ==
		NULL ||
	    (c->self_addr = setting_array(w, s, sizeof *c->self_addr)) == NULL)
		return;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *el = config_setting_get_elem(s, i);

		if ((v = setting_string(w, el, want)) == NULL)
			continue;
		/* a name has no slash, colon, or digits only at its end */
		if (strpbrk(v, "/:") != NULL ||
		    strspn(v, "0123456789.") == strlen(v)) {
			if (setting_prefix(
				w, el, v, want, &c->self_addr[c->n_self_addr]))
				c->n_self_addr++;
		} else if (setting_domain(w, el, v, name, want) &&
		    (c->self_name[c->n_self_name] = setting_keep(w, name)) !=
			NULL)
			c->n_self_name++;
	}
}

/* ----------------------------------------------------------------- groups */

static void
unknown(struct walk *w, const config_setting_t *s, const struct key *keys)
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
setting_group(
    struct walk *w, const config_setting_t *g, const struct key *keys, void *to)
{
	const struct key *k;

	if (!config_setting_is_group(g)) {
		wrong(w, g, "a group, { ... }");
		return;
	}
	for (int i = 0; i < config_setting_length(g); i++) {
		const config_setting_t *s = config_setting_get_elem(g, i);

		for (k = keys; k->name != NULL; k++)
			if (strcmp(k->name, config_setting_name(s)) == 0)
				break;
		if (k->name == NULL)
			unknown(w, s, keys);
		else
			k->set(w, s, k, (char *)to + k->at);
	}
	for (k = keys; k->name != NULL; k++)
		if (k->required &&
		    config_setting_get_member(g, k->name) == NULL)
			setting_error(w, g, k->name, "missing", "%s", k->what);
}

void
set_group(
    struct walk *w, const config_setting_t *s, const struct key *k, void *to)
{
	setting_group(w, s, k->keys, to);
}

/* SPDX-License-Identifier: ISC */
/* What conf.c, conf_*.c, setting.c, value.c and anchor.c share. */
#ifndef CONF_H
#define CONF_H

#include <libconfig.h>

#include "module.h"

/* value.c: text to values.  True: *out is written. */
bool value_utf8(const char *s); /* valid UTF-8, no control characters */
bool value_address(const char *s, struct conf_prefix *out);
/* "192.0.2.0/24"; an address alone is a prefix of its full length.  False
 * and *clear: bits are set behind the prefix. */
bool value_prefix(const char *s, struct conf_prefix *out, bool *clear);
/* "192.0.2.1" or "192.0.2.1@53" to "192.0.2.1@53" */
bool value_server(const char *s, char *buf, size_t len);
/* "2027-01-31" to the first second after that day, UTC */
bool value_until(const char *s, time_t *out);
bool value_any(const struct conf_prefix *); /* 0.0.0.0 or :: */
bool value_user(const char *s);             /* a login name, not looked up */
/* NULL, or what is wrong with this GnuTLS priority string (S03, S04), in
 * buf */
const char *value_priority(const char *s, char *buf, size_t len);

/* A whole file, NUL-terminated, for free().  Refused with code and a text in
 * err: not a regular file, longer than max, with NUL octets, or writable by
 * others than root and ourselves.  0 or a code. */
int value_file(const char *path, size_t max, int code, char **text, size_t *len,
    struct danevirke_error *err);

/* ---------------------------------------------------------------- setting */

struct conf_walk {
	struct conf *conf;
	const char *path;
	const char *text; /* the file */
	danevirke_log *log;
	void *arg;
	struct danevirke_error *err;
	size_t errors;
};

struct key;
typedef void setter(
    struct conf_walk *, const config_setting_t *, const struct key *, void *to);

/* One setting.  to points at the struct that its group fills, plus at. */
struct key {
	const char *name;
	setter *set;
	size_t at;
	unsigned min, max;
	const char *what;       /* of the number: "seconds" */
	const struct key *keys; /* of a group; the last has no name */
	bool required;
};

struct word {
	const char *name;
	int value;
};

/* setting.c.  Every error is counted, logged, and the first one kept. */
void setting_report(struct conf_walk *, const struct danevirke_error *);
bool setting_nomem(struct conf_walk *); /* reports it; false */
/* "file:line: setting: found: want ..."; sub: a setting missing in the group
 * s, found: instead of the value of s; both may be NULL */
void setting_error(struct conf_walk *, const config_setting_t *,
    const char *sub, const char *found, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
#define setting_wrong(w, s, ...) setting_error(w, s, NULL, NULL, __VA_ARGS__)

/* Every member of g, by the table; unknown and missing ones are errors. */
void setting_group(struct conf_walk *, const config_setting_t *g,
    const struct key *keys, void *to);

/* NULL or false: reported */
const char *
setting_string(struct conf_walk *, const config_setting_t *, const char *want);
const struct word *setting_word(
    struct conf_walk *, const config_setting_t *, const struct word *words);
/* A copy that lives as long as the struct conf. */
char *setting_keep(struct conf_walk *, const char *);
bool setting_domain(struct conf_walk *, const config_setting_t *, const char *v,
    char buf[NAME_LEN], const char *want);
bool setting_prefix(struct conf_walk *, const config_setting_t *, const char *v,
    const char *want, struct conf_prefix *);
bool setting_list(
    struct conf_walk *, const config_setting_t *, int max, const char *what);
void *setting_array(struct conf_walk *, const config_setting_t *, size_t size);

bool setting_number(struct conf_walk *, const config_setting_t *,
    const struct key *, unsigned *out);

setter set_number, set_bool, set_user, set_group;
/* for tables; AT is the file's */
#define NUMBER(n, field, low, high, text) \
	{ \
		.name = n, .set = set_number, .at = AT(field), .min = low, \
		.max = high, .what = text \
	}

/* ----------------------------------------------------------------- groups */

extern const struct key conf_resolver_keys[], conf_relay_keys[];
setter set_profiles, set_destinations;

/* The resolver's settings, for others.  False: out of memory. */
bool conf_resolver_show(struct conf_walk *);

/* conf_text.c: "file:line: what: want ..." */
void conf_text_error(
    struct conf_walk *, unsigned line, const char *what, const char *want);
/* What libconfig would do and we do not want, in w->text. */
void conf_text_check(struct conf_walk *);

/* ----------------------------------------------------------------- anchor */

/* conf_anchor() on bytes; path is for messages only. */
int anchor_parse(const char *text, size_t len, const char *path, size_t *n,
    danevirke_log *log, void *arg, struct danevirke_error *err);

#endif

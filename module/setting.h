/* SPDX-License-Identifier: ISC */
/* A file of settings by tables of keys: what conf.c and conf_*.c walk with. */
#ifndef SETTING_H
#define SETTING_H

#include <libconfig.h>

#include "value.h"

struct conf_walk {
	struct conf *conf;
	const char *path;
	const char *text; /* the file */
	danevirke_log *log;
	void *arg;
	struct danevirke_error *err;
	size_t errors;
};

struct word {
	const char *name;
	int value;
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
	const char *what;         /* of the number: "seconds" */
	const struct key *keys;   /* of a group; the last has no name */
	const struct word *words; /* that it may be; the last has no name */
	bool required;
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
/* A path, as long as that of a Unix socket may be, kept in a const char *. */
setter setting_socket;
bool setting_domain(struct conf_walk *, const config_setting_t *, const char *v,
    char buf[NAME_LEN], const char *want);
bool setting_prefix(struct conf_walk *, const config_setting_t *, const char *v,
    const char *want, struct conf_prefix *);
bool setting_list(
    struct conf_walk *, const config_setting_t *, int max, const char *what);
void *setting_array(struct conf_walk *, const config_setting_t *, size_t size);

bool setting_number(struct conf_walk *, const config_setting_t *,
    const struct key *, unsigned *out);

setter set_number, set_bool, set_word, set_name, set_user, set_group;
/* for tables; AT is the file's */
#define NUMBER(n, field, low, high, text) \
	{ \
		.name = n, .set = set_number, .at = AT(field), .min = low, \
		.max = high, .what = text \
	}

/* ----------------------------------------------------------------- groups */

extern const struct key conf_resolver_keys[], conf_relay_keys[],
    conf_daemon_keys[], conf_sts_keys[], conf_tlsrpt_keys[];
setter set_profiles, set_destinations;

void conf_sts_finish(struct conf_walk *, const config_t *);
void conf_tlsrpt_finish(struct conf_walk *, const config_t *);

/* The resolver's settings, for others.  False: out of memory. */
bool conf_resolver_show(struct conf_walk *);

/* conf_text.c: "file:line: what: want ..." */
void conf_text_error(
    struct conf_walk *, unsigned line, const char *what, const char *want);
/* What libconfig would do and we do not want, in w->text. */
void conf_text_check(struct conf_walk *);
/* Reports the name that this line gives for the second time; false: none. */
bool conf_text_twice(struct conf_walk *, unsigned line);

#endif

/* SPDX-License-Identifier: ISC */
/* smtpdconf.h - smtpd.conf(5), in words */
#ifndef SMTPDCONF_H
#define SMTPDCONF_H

#include <stdbool.h>
#include <stddef.h>

/* One statement: "table", "dane", "danevirke:/etc/danevirke.conf".  A table's
 * name has its brackets: "<dane>". */
struct smtpdconf_line {
	int number; /* where it begins */
	char **word;
	size_t n;
};
struct smtpdconf_macro {
	char *name, *value;
};
struct smtpdconf {
	struct smtpdconf_line *line;
	size_t n;
	struct smtpdconf_macro *macro; /* NAME = VALUE, put in already */
	size_t n_macro;
	bool included; /* some of it stands in other files */
	char *missing; /* a file to include that could not be read */
};

/* What it says, with what it includes.  0, or -1: errno.  smtpdconf_free() in
 * any case. */
int smtpdconf_read(const char *path, struct smtpdconf *);
void smtpdconf_free(struct smtpdconf *);
/* The word behind this one, or NULL. */
const char *smtpdconf_after(const struct smtpdconf_line *, const char *word);
bool smtpdconf_has(const struct smtpdconf_line *, const char *word);

/* Whose mail, and to whom, a match takes. */
enum smtpd_from { FROM_LOCAL, FROM_ANY, FROM_AUTH, FROM_SOME };
enum smtpd_for { FOR_LOCAL, FOR_ANY, FOR_DOMAIN, FOR_SOME };
struct smtpd_match {
	enum smtpd_from from;
	enum smtpd_for for_;
	bool auth;          /* of users who have logged in only */
	bool not ;          /* "!" before its domains */
	const char *domain; /* FOR_DOMAIN: name or "<table>" */
	const char *action; /* NULL: reject */
};
/* False: the line is no match. */
bool smtpdconf_match(const struct smtpdconf_line *, struct smtpd_match *);

#endif

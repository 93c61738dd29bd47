/* SPDX-License-Identifier: ISC */
/*
 * change.h - files of somebody else, changed and changed back
 *
 * What is to be changed is gathered first, shown as a diff, and then done or
 * not.  What was there before is kept in STATEDIR/setup/SERVER: a file N.path
 * with the name, N.old with what it was (none: it was not there) and N.new with
 * what it became.
 */
#ifndef CHANGE_H
#define CHANGE_H

#include "cli.h"

struct change {
	char *path;
	char *old; /* NULL: not there */
	char *new;
};
struct changes {
	const char *server; /* "exim" */
	struct change *list;
	size_t n;
};

/* The whole file as a string, at most 4 MiB; NULL: errno.  free() */
char *change_read(const char *path);
/* path gets this text, which is given away and may be NULL (no memory).  0, or
 * EXIT_UNTESTED: reported. */
int change_add(struct cli *, struct changes *, const char *path, char *text);
void change_free(struct changes *);
/* As diff -u has it, to standard output; 0, or EXIT_UNTESTED: reported. */
int change_show(struct cli *, const struct changes *);
/* Were such changes made, and not taken back? */
bool change_made(const char *server);
/* All of them or none.  0, or EXIT_UNTESTED: reported. */
int change_apply(struct cli *, const struct changes *);
/* What was done for this server is taken back, unless somebody has changed one
 * of the files since.  0, or EXIT_UNTESTED: reported. */
int change_undo(struct cli *, const char *server);

#endif

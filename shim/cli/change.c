/* SPDX-License-Identifier: ISC */
/* Files of somebody else, changed all or none, and changed back. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "change.h"
#include "program.h"

#define OCTETS (4U << 20)
#define FILES 16 /* of one server, at most */
#define STATE STATEDIR "/setup"
#define DIFF "/usr/bin/diff"
#define DIFF_SECONDS 20

/* ------------------------------------------------------------------- files */

char *
change_read(const char *path)
{
	char *text = NULL;
	struct stat st;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0 ||
	    st.st_size > (off_t)OCTETS)
		errno = EFBIG;
	else if ((text = calloc(1, (size_t)st.st_size + 1)) != NULL)
		n = read(fd, text, (size_t)st.st_size);
	close(fd);
	if (text != NULL && n == st.st_size &&
	    memchr(text, '\0', (size_t)n) == NULL)
		return text;
	free(text);
	if (n >= 0)
		errno = EINVAL;
	return NULL;
}

/* Beside it first, then in its place, with its owner and mode. */
static int
change_write(const char *path, const char *text, mode_t mode)
{
	char temporary[4096];
	size_t len = strlen(text);
	struct stat st;
	int fd, e;

	if ((size_t)snprintf(temporary, sizeof temporary, "%s.danevirke-new",
		path) >= sizeof temporary) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = open(temporary,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (stat(path, &st) == 0)
		mode = st.st_mode & 07777;
	else
		st = (struct stat){ .st_uid = 0 };
	errno = EIO;
	if (write(fd, text, len) == (ssize_t)len &&
	    (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0) &&
	    fchmod(fd, mode) == 0 && fsync(fd) == 0 &&
	    rename(temporary, path) == 0) {
		close(fd);
		return 0;
	}
	e = errno;
	close(fd);
	unlink(temporary);
	errno = e;
	return -1;
}

/* The text, or no file if it is NULL. */
static int
change_put(const char *path, const char *text)
{
	if (text != NULL)
		return change_write(path, text, 0644);
	return unlink(path) == 0 || errno == ENOENT ? 0 : -1;
}

/* ----------------------------------------------------------------- the list */

int
change_add(struct cli *c, struct changes *s, const char *path, char *text)
{
	struct change *list, *new;

	list = s->n < FILES ? reallocarray(s->list, s->n + 1, sizeof *list) :
			      NULL;
	if (text == NULL || list == NULL) {
		free(text);
		return cli_error(c, "%s: out of memory", path);
	}
	s->list = list;
	new = &list[s->n];
	*new = (struct change){ strdup(path), change_read(path), text };
	s->n++;
	if (new->path == NULL)
		return cli_error(c, "%s: out of memory", path);
	if (new->old == NULL && errno != ENOENT)
		return cli_error(c, "%s: %s", path, strerror(errno));
	return 0;
}

void
change_free(struct changes *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		free(s->list[i].path);
		free(s->list[i].old);
		free(s->list[i].new);
	}
	free(s->list);
}

/* ------------------------------------------------------------------ showing */

/* A file with this text, for diff to read; -1: errno. */
static int
change_temporary(const char *text, char path[32])
{
	ssize_t n;
	int fd;

	snprintf(path, 32, "/tmp/danevirke.XXXXXX");
	if ((fd = mkostemp(path, O_CLOEXEC)) < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	if (n == (ssize_t)strlen(text))
		return 0;
	unlink(path);
	return -1;
}

static int
change_show_one(struct cli *c, const struct change *f)
{
	char new[32];
	const char *const argv[] = { DIFF, "-u", "--label",
		f->old == NULL ? "/dev/null" : f->path, "--label", f->path,
		f->old == NULL ? "/dev/null" : f->path, new, NULL };
	struct program p;
	int rc;

	if (change_temporary(f->new, new) != 0)
		return cli_error(c, "/tmp: %s", strerror(errno));
	rc = program_run(argv, DIFF_SECONDS, &p);
	unlink(new);
	if (rc != 0 || p.status < 0 || p.status > 1) {
		free(p.text);
		return cli_error(c, DIFF ": cannot compare %s", f->path);
	}
	out_print("%s", p.text);
	out_flush(); /* nothing of it is a child's */
	free(p.text);
	return 0;
}

int
change_show(struct cli *c, const struct changes *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (change_show_one(c, &s->list[i]) != 0)
			return EXIT_UNTESTED;
	return 0;
}

/* ------------------------------------------------------------- what is kept */

static void
state_name(char path[512], const char *server, size_t n, const char *what)
{
	snprintf(path, 512, STATE "/%s/%zu.%s", server, n, what);
}

bool
change_made(const char *server)
{
	char path[512];

	state_name(path, server, 0, "path");
	return access(path, F_OK) == 0;
}

static void
state_forget(const char *server)
{
	static const char *const what[] = { "path", "old", "new" };
	char path[512];
	size_t i, k;

	for (i = FILES; i-- > 0;)
		for (k = 0; k < 3; k++) {
			state_name(path, server, i, what[k]);
			unlink(path);
		}
	snprintf(path, sizeof path, STATE "/%s", server);
	rmdir(path);
	/* unless there is another one's */
	rmdir(STATE);
	rmdir(STATEDIR);
}

/* Passwords may be among what is kept. */
static int
state_directory(const char *server)
{
	char path[512];

	snprintf(path, sizeof path, STATE "/%s", server);
	for (char *p = path; (p = strchr(p + 1, '/')) != NULL; *p = '/') {
		*p = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return -1;
	}
	return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

static int
state_keep(const char *server, size_t n, const struct change *f)
{
	char path[512];

	state_name(path, server, n, "new");
	if (change_write(path, f->new, 0600) != 0)
		return -1;
	state_name(path, server, n, "old");
	if (f->old != NULL && change_write(path, f->old, 0600) != 0)
		return -1;
	state_name(path, server, n, "path");
	return change_write(path, f->path, 0600);
}

int
change_apply(struct cli *c, const struct changes *s)
{
	const struct change *f;
	size_t i, done = 0;
	int e;

	if (state_directory(s->server) != 0)
		return cli_error(
		    c, STATE "/%s: %s", s->server, strerror(errno));
	for (i = s->n; i-- > 0;) /* 0.path last: see change_made() */
		if (state_keep(s->server, i, &s->list[i]) != 0)
			goto fail;
	for (; done < s->n; done++) {
		f = &s->list[done];
		if (change_put(f->path, f->new) != 0)
			goto fail;
	}
	return 0;
fail:
	e = errno;
	for (i = 0; i < done; i++)
		change_put(s->list[i].path, s->list[i].old);
	state_forget(s->server);
	return cli_error(c, "%s: %s; nothing was changed",
	    done < s->n ? s->list[done].path : STATE, strerror(e));
}

/* What was kept, into s. */
static int
state_load(struct cli *c, struct changes *s)
{
	char path[512];
	struct change f, *list;

	for (;;) {
		state_name(path, s->server, s->n, "path");
		if (s->n >= FILES || (f.path = change_read(path)) == NULL)
			return 0;
		state_name(path, s->server, s->n, "old");
		f.old = change_read(path);
		state_name(path, s->server, s->n, "new");
		f.new = change_read(path);
		list = reallocarray(s->list, s->n + 1, sizeof *list);
		if (list != NULL) {
			s->list = list;
			list[s->n++] = f;
		}
		if (list == NULL || f.new == NULL)
			return cli_error(c, "%s: %s", path, strerror(errno));
	}
}

static int
state_unchanged(struct cli *c, const struct changes *s)
{
	char *now, path[512];
	bool same;
	size_t i;

	for (i = 0; i < s->n; i++) {
		now = change_read(s->list[i].path);
		same = now != NULL && strcmp(now, s->list[i].new) == 0;
		free(now);
		if (same)
			continue;
		state_name(path, s->server, i, "old");
		return cli_error(c,
		    "%s was changed since: take it back by hand (%s is what it "
		    "was, if it was there), then remove " STATE "/%s",
		    s->list[i].path, path, s->server);
	}
	return 0;
}

int
change_undo(struct cli *c, const char *server)
{
	struct changes s = { .server = server };
	int status;
	size_t i;

	status = state_load(c, &s);
	if (status == 0 && s.n == 0)
		status = cli_error(
		    c, "nothing to undo: " STATE "/%s is not there", server);
	if (status == 0)
		status = state_unchanged(c, &s);
	for (i = 0; i < s.n && status == 0; i++)
		if (change_put(s.list[i].path, s.list[i].old) != 0)
			status = cli_error(
			    c, "%s: %s", s.list[i].path, strerror(errno));
	if (status == 0)
		state_forget(server);
	change_free(&s);
	return status;
}

/* SPDX-License-Identifier: ISC */
/*
 * The file in which danevirke rollover remembers.  Lines of text, one blank
 * between words, times in RFC 3339 and UTC:
 *
 *	danevirke-rollover 1
 *	host mx.example.org 25
 *	asked 2026-01-31T12:00:00Z 3600
 *	cached 2026-01-31T13:00:00Z
 *	seen 2026-01-31T12:00:00Z 2026-01-31T14:00:00Z 3 1 1 0123...
 *	gone 2026-01-31T12:00:00Z 2026-01-31T14:00:00Z 3 1 1 4567...
 *
 * Whoever can write it can have a certificate installed too early, no more.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

#define STATE_MAX (4u * 1024 * 1024)
#define MAGIC "danevirke-rollover 1"

void
state_free(struct state *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		blob_free(&s->seen[i].data);
	free(s->seen);
	s->seen = NULL;
	s->n = 0;
}

static struct seen *
state_find(struct state *st, const struct danevirke_tlsa *t)
{
	struct seen *s;

	for (s = st->seen; s < st->seen + st->n; s++)
		if (s->kind[0] == t->usage && s->kind[1] == t->selector &&
		    s->kind[2] == t->matching && s->data.len == t->len &&
		    memcmp(s->data.data, t->data, t->len) == 0)
			return s;
	return NULL;
}

/* ---------------------------------------------------------------- reading */

struct reader {
	struct cli *cli;
	const char *path;
	char *next; /* rest of the text */
	int line;
};

static int state_bad(const struct reader *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static int
state_bad(const struct reader *r, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	cli_error(r->cli,
	    "--state %s: line %d: %s; remove the file to begin "
	    "anew (it costs two TTLs of waiting)",
	    r->path, r->line, text);
	return -1;
}

/* The next line, without its end; NULL: none, or cut short. */
static char *
state_line(struct reader *r)
{
	char *line = r->next, *end = strchr(line, '\n');

	r->line++;
	if (end == NULL)
		return NULL;
	*end = '\0';
	r->next = end + 1;
	return line;
}

/* The word in front, which ends with a blank or the line; *s moves behind. */
static char *
state_word(char **s)
{
	char *word = *s, *end = strchr(word, ' ');

	if (end != NULL)
		*end++ = '\0';
	*s = end == NULL ? word + strlen(word) : end;
	return word;
}

/* As time_text() writes it, and nothing else */
static int
state_time(const struct reader *r, char **s, time_t *t)
{
	char *word = state_word(s), again[32];

	if (time_parse(word, t) == 0 && *t > 0) {
		time_text(*t, again);
		if (strcmp(word, again) == 0)
			return 0;
	}
	return state_bad(
	    r, "\"%.64s\": want a time as in 2026-01-31T12:00:00Z", word);
}

static int
state_number(
    const struct reader *r, char **s, unsigned long max, unsigned long *out)
{
	char *word = state_word(s), again[32];

	errno = 0;
	*out = strtoul(word, NULL, 10);
	snprintf(again, sizeof again, "%lu", *out);
	if (errno == 0 && *out <= max && strcmp(word, again) == 0)
		return 0;
	return state_bad(r, "\"%.64s\": want a number, 0 to %lu", word, max);
}

static int
state_read_host(struct reader *r, char *s, const struct state *st)
{
	unsigned long port;
	char *name = state_word(&s);

	if (state_number(r, &s, 65535, &port) != 0)
		return -1;
	if (strcmp(name, st->host) == 0 && port == st->port && *s == '\0')
		return 0;
	return state_bad(r,
	    "of host \"%.255s\", port %lu: want %s, port %lu: each "
	    "host and port has a file of its own",
	    name, port, st->host, st->port);
}

/* Nothing that was seen then is held for longer. */
static time_t
state_within(const struct state *st, time_t t)
{
	time_t most = st->asked + 2 * (time_t)TTL_WEEK;

	return t < most ? t : most;
}

static int
state_read_record(struct reader *r, char *s, bool gone, struct state *st)
{
	struct danevirke_tlsa t;
	struct seen *p, new = { .gone = gone };
	char why[256];

	if (state_time(r, &s, &new.since) != 0 ||
	    state_time(r, &s, &new.ready) != 0)
		return -1;
	if (new.since > st->asked || new.ready < new.since)
		return state_bad(r, "times out of order");
	new.ready = state_within(st, new.ready);
	if (record_parse(s, &t, why, sizeof why) != 0)
		return state_bad(r, "%s", why);
	new.kind[0] = t.usage;
	new.kind[1] = t.selector;
	new.kind[2] = t.matching;
	new.data.data = (uint8_t *)(uintptr_t)t.data;
	new.data.len = t.len;
	if (state_find(st, &t) != NULL) {
		blob_free(&new.data);
		return state_bad(r, "a record for the second time");
	}
	if ((p = reallocarray(st->seen, st->n + 1, sizeof *p)) == NULL) {
		blob_free(&new.data);
		cli_error(r->cli, "out of memory");
		return -1;
	}
	st->seen = p;
	st->seen[st->n++] = new;
	return 0;
}

static int
state_read_head(struct reader *r, struct state *st)
{
	unsigned long ttl;
	char *s;

	if ((s = state_line(r)) == NULL || strcmp(s, MAGIC) != 0)
		return state_bad(
		    r, "want \"%s\": not a state file of this version", MAGIC);
	if ((s = state_line(r)) == NULL || strcmp(state_word(&s), "host") != 0)
		return state_bad(r, "want \"host NAME PORT\"");
	if (state_read_host(r, s, st) != 0)
		return -1;
	if ((s = state_line(r)) == NULL || strcmp(state_word(&s), "asked") != 0)
		return state_bad(r, "want \"asked TIME TTL\"");
	if (state_time(r, &s, &st->asked) != 0 ||
	    state_number(r, &s, INT32_MAX, &ttl) != 0)
		return -1;
	if (*s != '\0')
		return state_bad(r, "\"%.64s\": unexpected", s);
	st->ttl = ttl < TTL_WEEK ? (uint32_t)ttl : TTL_WEEK;
	return 0;
}

static int
state_read_text(struct reader *r, time_t now, struct state *st)
{
	char *s, *word, then[32], here[32];

	if (state_read_head(r, st) != 0)
		return -1;
	if (st->asked > now) {
		time_text(st->asked, then);
		time_text(now, here);
		return state_bad(r,
		    "asked at %s, and now it is %s: is the clock right?", then,
		    here);
	}
	while (*r->next != '\0') {
		if ((s = state_line(r)) == NULL)
			return state_bad(r, "cut short");
		word = state_word(&s);
		if (strcmp(word, "cached") == 0) {
			if (st->cached != 0)
				return state_bad(r, "a second \"cached\"");
			if (state_time(r, &s, &st->cached) != 0)
				return -1;
			st->cached = state_within(st, st->cached);
			if (*s != '\0')
				return state_bad(r, "\"%.64s\": unexpected", s);
		} else if (strcmp(word, "seen") == 0 ||
		    strcmp(word, "gone") == 0) {
			if (state_read_record(r, s, word[0] == 'g', st) != 0)
				return -1;
		} else
			return state_bad(
			    r, "\"%.64s\": want cached, seen or gone", word);
	}
	return 0;
}

/* All of a regular file that nobody else can write; 1: there is none. */
static int
state_read_file(struct cli *c, const char *path, struct blob *b)
{
	struct stat st;
	const char *what = NULL;
	ssize_t n;
	int fd;

	fd = open(
	    path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENOENT)
		return 1;
	if (fd < 0 || fstat(fd, &st) != 0)
		what = errno == ELOOP ? "a symbolic link: want a regular file" :
					strerror(errno);
	else if (!S_ISREG(st.st_mode))
		what = "not a regular file";
	else if ((st.st_uid != geteuid() && st.st_uid != 0) ||
	    (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		what = "others can write it: want mode 0600 and this user's";
	else if ((uintmax_t)st.st_size > STATE_MAX)
		what = "longer than 4 MiB: not a state file";
	else if ((b->data = malloc((size_t)st.st_size + 1)) == NULL)
		what = "out of memory";
	else
		while (b->len < (size_t)st.st_size) {
			n = read(
			    fd, b->data + b->len, (size_t)st.st_size - b->len);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				what = strerror(errno);
			if (n <= 0)
				break;
			b->len += (size_t)n;
		}
	if (fd >= 0)
		close(fd);
	if (what == NULL) {
		b->data[b->len] = '\0';
		if (strlen((char *)b->data) == b->len)
			return 0;
		what = "not a text file";
	}
	cli_error(c, "--state %s: %s", path, what);
	blob_free(b);
	return -1;
}

int
state_read(struct cli *c, const char *path, time_t now, struct state *st)
{
	struct reader r = { .cli = c, .path = path };
	struct blob b = { NULL, 0 };
	int ret;

	if ((ret = state_read_file(c, path, &b)) != 0)
		return ret < 0 ? -1 : 0;
	r.next = (char *)b.data;
	ret = state_read_text(&r, now, st);
	blob_free(&b);
	return ret;
}

/* ---------------------------------------------------------------- writing */

static int
state_write_text(FILE *f, const struct state *st)
{
	const struct seen *s;
	char since[32], ready[32], *hex;

	time_text(st->asked, since);
	fprintf(f, "%s\nhost %s %lu\nasked %s %u\n", MAGIC, st->host, st->port,
	    since, st->ttl);
	if (st->cached != 0) {
		time_text(st->cached, ready);
		fprintf(f, "cached %s\n", ready);
	}
	for (s = st->seen; s < st->seen + st->n; s++) {
		if ((hex = record_hex(s->data.data, s->data.len)) == NULL)
			return -1;
		time_text(s->since, since);
		time_text(s->ready, ready);
		fprintf(f, "%s %s %s %u %u %u %s\n", s->gone ? "gone" : "seen",
		    since, ready, s->kind[0], s->kind[1], s->kind[2], hex);
		free(hex);
	}
	return 0;
}

/* The new name survives a crash only if the directory does. */
static int
state_sync(const char *path)
{
	char dir[PATH_MAX];
	int fd, ret;

	snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path) + 1,
	    path);
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -1;
	/* EINVAL: a file system that has no such thing */
	ret = fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
	close(fd);
	return ret;
}

int
state_write(struct cli *c, const char *path, const struct state *st)
{
	char tmp[PATH_MAX];
	bool good;
	int fd, n, e;
	FILE *f;

	n = snprintf(tmp, sizeof tmp, "%s.XXXXXX", path);
	if (n < 0 || (size_t)n >= sizeof tmp) {
		cli_error(c, "--state: too long a path");
		return -1;
	}
	/* mode 0600 */
	if ((fd = mkostemp(tmp, O_CLOEXEC)) < 0) {
		cli_error(c, "--state %s: no file can be made beside it: %s",
		    path, strerror(errno));
		return -1;
	}
	errno = 0;
	good = (f = fdopen(fd, "w")) != NULL && state_write_text(f, st) == 0 &&
	    fflush(f) == 0 && !ferror(f) && fsync(fd) == 0;
	e = errno;
	if ((f == NULL ? close(fd) : fclose(f)) != 0 && good) {
		e = errno;
		good = false;
	}
	if (good && rename(tmp, path) == 0 && state_sync(path) == 0)
		return 0;
	if (good)
		e = errno;
	unlink(tmp);
	cli_error(c, "--state %s: cannot be written: %s", path,
	    e == 0 ? "out of memory" : strerror(e));
	return -1;
}

/* --------------------------------------------------------------- updating */

static int
state_add(
    struct state *st, const struct danevirke_tlsa *t, time_t now, time_t ready)
{
	struct seen *s = state_find(st, t);

	if (s == NULL) {
		s = reallocarray(st->seen, st->n + 1, sizeof *s);
		if (s == NULL)
			return -1;
		st->seen = s;
		s += st->n;
		memset(s, 0, sizeof *s);
		if ((s->data.data = malloc(t->len)) == NULL)
			return -1;
		st->n++;
		memcpy(s->data.data, t->data, t->len);
		s->data.len = t->len;
		s->kind[0] = t->usage;
		s->kind[1] = t->selector;
		s->kind[2] = t->matching;
	} else if (!s->gone)
		return 0;
	s->gone = false; /* back again: as if it were new */
	s->since = now;
	s->ready = ready;
	return 0;
}

static bool
state_shown(const struct seen *s, const struct danevirke_tlsa *t, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (t[i].usable == 1 && s->kind[0] == t[i].usage &&
		    s->kind[1] == t[i].selector &&
		    s->kind[2] == t[i].matching && s->data.len == t[i].len &&
		    memcmp(s->data.data, t[i].data, t[i].len) == 0)
			return true;
	return false;
}

int
state_update(struct state *st, const struct danevirke_tlsa *t, size_t n,
    uint32_t ttl, time_t now)
{
	time_t new = now + 2 * (time_t)ttl, old;
	size_t i, kept = 0;

	/* The set of the last time may have been fetched until just now, and
	 * with its TTL, which the new one need not have. */
	old = now + 2 * (time_t)st->ttl;
	if (st->asked != 0 && old > st->cached)
		st->cached = old;
	if (st->cached > new)
		new = st->cached;
	for (i = 0; i < st->n; i++) {
		struct seen *s = &st->seen[i];

		if (!s->gone && !state_shown(s, t, n)) {
			s->gone = true;
			s->since = now;
			s->ready = new;
		}
		if (s->gone && s->ready <= now && !state_shown(s, t, n))
			blob_free(&s->data);
		else
			st->seen[kept++] = *s;
	}
	st->n = kept;
	for (i = 0; i < n; i++)
		if (t[i].usable == 1 && state_add(st, &t[i], now, new) != 0)
			return -1;
	st->asked = now;
	st->ttl = ttl;
	return 0;
}

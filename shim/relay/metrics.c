/* SPDX-License-Identifier: ISC */
/*
 * The file of metrics (relay.metrics), for Prometheus' textfile collector.
 *
 * The parent writes it: it outlives the relay children, so no counter goes
 * back, and these need no file.  What they have counted comes with the beat
 * that they give anyway, as numbers of a fixed size.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "process.h"

#define METRICS_EVERY 5   /* seconds */
#define METRICS_MAX 32768 /* octets of the file */

#define N(array) (sizeof(array) / sizeof *(array))

struct text {
	char buf[METRICS_MAX];
	size_t n;
	char labels[600]; /* program="", config="" */
};

static void text_add(struct text *, const char *, ...)
    __attribute__((format(printf, 2, 3)));

static void
text_add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->buf + t->n, sizeof t->buf - t->n, fmt, ap);
	va_end(ap);
	t->n += n > 0 ? (size_t)n : 0;
	if (t->n > sizeof t->buf) /* metrics_file() sees it */
		t->n = sizeof t->buf;
}

/* What a label can hold: the path is the administrator's. */
static void
text_labels(struct text *t, const struct relays *r)
{
	size_t n = (size_t)snprintf(t->labels, sizeof t->labels,
	    "program=\"%.32s\",config=\"", r->ident);
	const char *p;

	for (p = r->config; *p != '\0' && n < sizeof t->labels - 4; p++) {
		if (*p == '"' || *p == '\\')
			t->labels[n++] = '\\';
		t->labels[n++] = *p < ' ' || *p > '~' ? '?' : *p;
	}
	memcpy(t->labels + n, "\"", 2);
}

static void
text_family(
    struct text *t, const char *name, const char *type, const char *help)
{
	text_add(t, "# HELP danevirke_relay_%s %s\n", name, help);
	text_add(t, "# TYPE danevirke_relay_%s %s\n", name, type);
}

static void
text_one(struct text *t, const char *name, const char *type, const char *help,
    uint64_t value)
{
	text_family(t, name, type, help);
	text_add(
	    t, "danevirke_relay_%s{%s} %" PRIu64 "\n", name, t->labels, value);
}

/* A counter with a label, for counters in a row. */
static void
text_many(struct text *t, const char *name, const char *help, const char *label,
    const char *const *values, size_t n, const uint64_t *count)
{
	size_t i;

	text_family(t, name, "counter", help);
	for (i = 0; i < n; i++)
		text_add(t, "danevirke_relay_%s{%s,%s=\"%s\"} %" PRIu64 "\n",
		    name, t->labels, label, values[i], count[i]);
}

/* In the order of enum count and of enum starttls_state. */
static const char *const metrics_verdicts[] = { "dane", "dane-insecure-mx",
	"mta-sts", "encrypt", "opportunistic-tls", "clear", "deferred",
	"bounced" };
static const char *const metrics_messages[] = { "taken", "later", "refused",
	"broken" };
static const char *const metrics_stages[] = { "connect", "banner", "ehlo",
	"starttls", "handshake", "certificate", "ehlo-again" };

_Static_assert(COUNT_BOUNCED - COUNT_DANE + 1 == N(metrics_verdicts) &&
	COUNT_BROKEN - COUNT_TAKEN + 1 == N(metrics_messages) &&
	COUNT_MAX - COUNT_FAILED == N(metrics_stages),
    "a word for each counter");

static void
metrics_text(struct text *t, const struct relays *r)
{
	static const char *const doors[] = { "relay", "map" };
	uint64_t strangers[N(doors)];
	struct relay_beat b;

	relays_count(r, &b);
	strangers[0] = b.count[COUNT_STRANGERS];
	strangers[1] = r->strangers;
	text_labels(t, r);
	text_one(t, "start_timestamp_seconds", "gauge",
	    "When it began to count.", (uint64_t)r->started);
	text_one(t, "written_timestamp_seconds", "gauge",
	    "When this file was written.", (uint64_t)time(NULL));
	text_one(t, "deaths_total", "counter",
	    "Relay processes that ended without being told to.", r->deaths);
	text_one(t, "sessions", "gauge", "Sessions of mail servers now.",
	    b.sessions);
	text_one(t, "sessions_total", "counter", "Sessions of mail servers.",
	    b.count[COUNT_SESSIONS]);
	text_many(t, "strangers_total",
	    "Connections refused, as the user may not use the relay.", "at",
	    doors, N(doors), strangers);
	text_one(t, "limits_total", "counter",
	    "Times that a limit of sessions was met.", b.count[COUNT_PAUSED]);
	text_many(t, "verdicts_total",
	    "Sessions with hosts that were used; hosts or domains that could "
	    "not be.",
	    "verdict", metrics_verdicts, N(metrics_verdicts),
	    &b.count[COUNT_DANE]);
	text_many(t, "failures_total",
	    "Sessions with hosts that failed, by how far they came.", "stage",
	    metrics_stages, N(metrics_stages), &b.count[COUNT_FAILED]);
	text_many(t, "messages_total", "Messages, by the host's answer.",
	    "result", metrics_messages, N(metrics_messages),
	    &b.count[COUNT_TAKEN]);
	text_one(t, "octets_total", "counter", "Octets of messages taken.",
	    b.count[COUNT_OCTETS]);
}

/* Nobody else may be able to put a file, or a link, where ours goes.  -1: why,
 * or errno. */
static int
metrics_directory(const char *path, size_t len, const char **why)
{
	char name[sizeof((struct checked *)0)->metrics];
	struct stat st;
	int dir;

	if (geteuid() == 0) {
		*why = "is not written by root";
		return -1;
	}
	snprintf(name, sizeof name, "%.*s", (int)len, path);
	dir = open(len > 0 ? name : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1 || fstat(dir, &st) == -1)
		return -1;
	if ((st.st_uid == 0 || st.st_uid == geteuid()) &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return dir;
	*why = "others may write into its directory";
	close(dir);
	return -1;
}

static bool
metrics_put(int dir, const char *name, const struct text *t)
{
	char new[sizeof((struct checked *)0)->metrics + 8];
	int fd;
	bool good;

	/* a collector reads no other name than *.prom */
	snprintf(new, sizeof new, ".%s.new", name);
	unlinkat(dir, new, 0);
	fd = openat(dir, new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd == -1)
		return false;
	good = fchmod(fd, 0644) == 0 &&
	    write(fd, t->buf, t->n) == (ssize_t)t->n;
	if (close(fd) == -1 || !good || renameat(dir, new, dir, name) == -1) {
		unlinkat(dir, new, 0);
		return false;
	}
	return true;
}

/* NULL, or why it is not written. */
static const char *
metrics_file(const struct relays *r, const char *path)
{
	const char *name = strrchr(path, '/') + 1, *why = NULL;
	struct text t = { .n = 0 };
	int dir;

	metrics_text(&t, r);
	if (t.n == sizeof t.buf)
		return "too long";
	errno = 0;
	dir = metrics_directory(path, (size_t)(name - 1 - path), &why);
	if (dir == -1)
		return why != NULL ? why : strerror(errno);
	errno = EIO;
	if (!metrics_put(dir, name, &t))
		why = strerror(errno);
	close(dir);
	return why;
}

/* Between two directories nothing is moved: the new one is written anew. */
void
metrics_move(struct relays *r, const char *to)
{
	const char *why, *path = r->conf.metrics;
	const char *name = strrchr(path, '/');
	int dir;

	if (strcmp(path, to) == 0)
		return;
	r->metrics = 0;
	r->unwritten = false;
	if (name == NULL ||
	    (dir = metrics_directory(path, (size_t)(name - path), &why)) == -1)
		return;
	unlinkat(dir, name + 1, 0);
	close(dir);
}

void
metrics_tick(struct relays *r, uint64_t now)
{
	const char *why, *path = r->conf.metrics;

	if (*path == '\0' || now < r->metrics)
		return;
	r->metrics = now + METRICS_EVERY;
	why = metrics_file(r, path);
	if (why != NULL && !r->unwritten)
		log_line(LOG_ERR, "relay.metrics: %s: %s", path, why);
	r->unwritten = why != NULL;
}

/* SPDX-License-Identifier: ISC */
/* How far a survey is, for the person who waits for it. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "survey.h"

#define EVERY_TERMINAL 1 /* seconds */
#define EVERY 10

static double
progress_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Lines of standard input, if it is a file; it is read from where it stands,
 * which does not move. */
static unsigned long
progress_total(void)
{
	off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	unsigned long lines = 0;
	static char buf[65536];
	char last = '\n', *p;
	struct stat st;
	ssize_t n;

	if (at == -1 || fstat(STDIN_FILENO, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	while ((n = pread(STDIN_FILENO, buf, sizeof buf, at)) > 0) {
		for (p = buf;
		     (p = memchr(p, '\n', (size_t)(buf + n - p))) != NULL; p++)
			lines++;
		last = buf[n - 1];
		at += n;
	}
	return n == 0 ? lines + (last != '\n') : 0;
}

void
progress_begin(struct progress *p, bool wanted)
{
	p->terminal = isatty(STDERR_FILENO);
	p->on = wanted || (p->terminal && !isatty(STDOUT_FILENO));
	if (!p->on)
		return;
	p->total = progress_total();
	p->began = p->shown = progress_now();
}

/* "1:02:03 left" at the mean rate so far. */
static void
progress_left(const struct progress *p, double took, char text[64])
{
	unsigned long s;

	text[0] = '\0';
	if (p->tested == 0 || p->total <= p->at)
		return;
	s = (unsigned long)((double)(p->total - p->at) * took /
		(double)p->tested +
	    0.5);
	snprintf(
	    text, 64, ", %lu:%02lu:%02lu left", s / 3600, s / 60 % 60, s % 60);
}

static void
progress_show(struct progress *p)
{
	double now = progress_now(), took = now - p->began;
	char total[32] = "", left[64];

	p->shown = now;
	if (p->total > 0)
		snprintf(total, sizeof total, " of %lu", p->total);
	progress_left(p, took, left);
	fprintf(stderr,
	    "%s%lu%s lines, %.0f a second, %lu problems, %lu untested%s%s",
	    p->terminal ? "\r\033[K" : "", p->at, total,
	    took > 0 ? (double)p->tested / took : 0, p->problems, p->untested,
	    left, p->terminal ? "" : "\n");
	fflush(stderr);
}

void
progress_count(struct progress *p, enum check_verdict verdict, unsigned long at)
{
	if (!p->on)
		return;
	p->at = at;
	p->tested++;
	p->problems += verdict == CHECK_PROBLEM;
	p->untested += verdict == CHECK_UNTESTED;
	if (progress_now() - p->shown >= (p->terminal ? EVERY_TERMINAL : EVERY))
		progress_show(p);
}

void
progress_end(struct progress *p)
{
	if (!p->on)
		return;
	progress_show(p);
	if (p->terminal)
		fputc('\n', stderr);
}

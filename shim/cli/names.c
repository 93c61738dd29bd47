/* SPDX-License-Identifier: ISC */
/* The list of a survey: standard input, of any length, line by line. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "survey.h"

#define NAME_MAX_LEN 1024

struct names {
	struct names_options o;
	struct event *input;
	char line[NAME_MAX_LEN + 24]; /* and a number */
	size_t len;
	bool skip;  /* the rest of a line that is too long */
	bool ended; /* of input */
	bool failed;
	char buf[65536];
	size_t n_buf, at_buf;
	unsigned long n; /* lines read */
};

static void
names_line(struct names *s)
{
	char *name = s->line;
	unsigned long n = ++s->n;

	s->line[s->len] = '\0';
	if (s->len > 0 && s->line[s->len - 1] == '\r')
		s->line[s->len - 1] = '\0';
	s->len = 0;
	if (s->o.numbered)
		n = strtoul(name, &name, 10);
	name += strspn(name, " \t");
	name[strcspn(name, " \t")] = '\0';
	if (*name != '\0' && *name != '#' && !resume_done(s->o.done, n))
		s->o.take(s->o.arg, name, n);
}

static void
names_take(struct names *s)
{
	size_t max = s->o.numbered ? sizeof s->line - 1 : NAME_MAX_LEN - 1;
	char ch;

	while (s->at_buf < s->n_buf && s->o.room(s->o.arg)) {
		ch = s->buf[s->at_buf++];
		if (ch == '\n') {
			s->skip = false;
			names_line(s);
		} else if (s->len == max)
			s->skip = true; /* too long for a name as it is */
		else if (!s->skip)
			/* no name has this: it is refused, and not cut off */
			s->line[s->len++] = ch == '\0' ? '\001' : ch;
	}
	if (s->ended && s->at_buf == s->n_buf && s->len > 0 &&
	    s->o.room(s->o.arg))
		names_line(s); /* a last line without its end */
}

static void
on_names(int fd, short what, void *arg)
{
	struct names *s = arg;
	ssize_t n = read(fd, s->buf, sizeof s->buf);

	if (n == -1 && (errno == EINTR || errno == EAGAIN))
		n = s->at_buf = s->n_buf = 0;
	else if (n <= 0) {
		if (n == -1) {
			cli_warn(
			    s->o.cli, "standard input: %s", strerror(errno));
			s->failed = true;
		}
		s->ended = true;
		names_take(s);
		return;
	}
	s->at_buf = 0;
	s->n_buf = (size_t)n;
	names_take(s);
	if (what != EV_TIMEOUT)
		names_more(s);
}

/* Asks for input when there is room for it.  A file is always ready, and
 * epoll(7) takes none: then it is read at once. */
void
names_more(struct names *s)
{
	names_take(s);
	while (!s->ended && s->at_buf == s->n_buf && s->o.room(s->o.arg)) {
		struct pollfd p = { STDIN_FILENO, POLLIN, 0 };

		if (poll(&p, 1, 0) == 0) {
			event_add(s->input, NULL);
			return;
		}
		/* it may be due already, and would wait for more */
		event_del(s->input);
		on_names(STDIN_FILENO, EV_TIMEOUT, s);
	}
}

bool
names_over(const struct names *s)
{
	return s->ended && s->at_buf == s->n_buf && s->len == 0;
}

unsigned long
names_lines(const struct names *s)
{
	return s->n;
}

bool
names_failed(const struct names *s)
{
	return s->failed;
}

struct names *
names_new(const struct names_options *o)
{
	struct names *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->o = *o;
	s->input = event_new(o->base, STDIN_FILENO, EV_READ, on_names, s);
	if (s->input != NULL)
		return s;
	free(s);
	return NULL;
}

void
names_free(struct names *s)
{
	if (s == NULL)
		return;
	event_free(s->input);
	free(s);
}

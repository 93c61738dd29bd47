/* SPDX-License-Identifier: ISC */
/*
 * A survey in several processes, each a survey of its own with a resolver and
 * its cache.  Names are handed out one by one as there is room, and the lines
 * that come back are written as they come.
 *
 * What a process had under way when it died is given out again, each name alone
 * in a process: so one that kills is found, has a line with an error, and takes
 * no other with it.
 */
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "survey.h"

/* A name under way. */
struct errand {
	TAILQ_ENTRY(errand) entry;
	unsigned long n;
	bool again; /* its process has died once */
	char name[];
};
TAILQ_HEAD(errands, errand);

/* A process. */
struct hand {
	struct jobs *jobs;
	pid_t pid;              /* 0: none */
	struct bufferevent *io; /* names to it, lines from it */
	bool ready;             /* it has opened what it needs */
	bool alone;             /* what it has is from jobs->again */
	size_t n;
	struct errands items;
};

struct jobs {
	struct jobs_options o;
	struct names *names;
	struct errands again;
	unsigned long written;
	bool failed; /* no process or memory can be had */
	struct hand hand[];
};

/* ------------------------------------------------------------- processes */

static void __attribute__((noreturn))
hand_child(const struct jobs *s, int fd, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* these are for the parent, which ends its processes */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (getppid() != parent || dup2(fd, STDIN_FILENO) == -1 ||
	    dup2(fd, STDOUT_FILENO) == -1)
		_exit(EXIT_UNTESTED);
	closefrom(STDERR_FILENO + 1);
	_exit(s->o.work(s->o.arg));
}

static void on_hand(struct bufferevent *, void *);
static void on_hand_end(struct bufferevent *, short, void *);

static bool
hand_begin(struct hand *h)
{
	struct jobs *s = h->jobs;
	pid_t parent = getpid();
	int pair[2];

	h->ready = h->alone = false;
	fflush(stdout);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	if ((h->pid = fork()) == 0)
		hand_child(s, pair[1], parent);
	close(pair[1]);
	if (h->pid == -1 || evutil_make_socket_nonblocking(pair[0]) != 0 ||
	    (h->io = bufferevent_socket_new(
		 s->o.o->base, pair[0], BEV_OPT_CLOSE_ON_FREE)) == NULL) {
		close(pair[0]);
		return false;
	}
	bufferevent_setcb(h->io, on_hand, NULL, on_hand_end, h);
	return bufferevent_enable(h->io, EV_READ | EV_WRITE) == 0;
}

/* Its status as of waitpid(2).  It ends at the end of its input, or now. */
static int
hand_close(struct hand *h, bool now)
{
	int status = -1;

	if (h->pid > 0 && now)
		kill(h->pid, SIGKILL);
	if (h->io != NULL) { /* the loop closes it, later */
		shutdown(bufferevent_getfd(h->io), SHUT_RDWR);
		bufferevent_free(h->io);
	}
	while (
	    h->pid > 0 && waitpid(h->pid, &status, 0) == -1 && errno == EINTR)
		;
	h->pid = 0;
	h->io = NULL;
	return status;
}

static void
jobs_fail(struct jobs *s)
{
	s->failed = true;
	event_base_loopbreak(s->o.o->base);
}

/* As many as there should be.  Errno says why not. */
static bool
jobs_begin(struct jobs *s)
{
	struct hand *h;

	for (h = s->hand; h < s->hand + s->o.n; h++)
		if (h->pid == 0 && !hand_begin(h))
			return false;
	return true;
}

static void
jobs_more(struct jobs *s)
{
	if (jobs_begin(s))
		return;
	cli_warn(s->o.cli, "no process: %s", strerror(errno));
	jobs_fail(s);
}

/* ----------------------------------------------------------------- names */

/* Of the processes with room the one with the least to do; an empty one is kept
 * for what is to be alone. */
static struct hand *
jobs_room(struct jobs *s)
{
	struct hand *h, *best = NULL;

	for (h = s->hand; h < s->hand + s->o.n; h++)
		if (h->ready && !h->alone && h->n < s->o.share &&
		    (h->n > 0 || TAILQ_EMPTY(&s->again)) &&
		    (best == NULL || h->n < best->n))
			best = h;
	return best;
}

static bool
on_room(void *arg)
{
	struct jobs *s = arg;

	return !s->failed && jobs_room(s) != NULL;
}

static void
hand_give(struct hand *h, struct errand *e)
{
	TAILQ_INSERT_TAIL(&h->items, e, entry);
	h->n++;
	if (evbuffer_add_printf(
		bufferevent_get_output(h->io), "%lu %s\n", e->n, e->name) < 0)
		kill(h->pid, SIGKILL); /* so it is given out again */
}

static void
on_name(void *arg, const char *name, unsigned long n)
{
	struct jobs *s = arg;
	struct errand *e = malloc(sizeof *e + strlen(name) + 1);

	if (e == NULL) {
		cli_warn(s->o.cli, "line %lu: %s: out of memory", n, name);
		jobs_fail(s);
		return;
	}
	e->n = n;
	e->again = false;
	strcpy(e->name, name);
	hand_give(jobs_room(s), e);
}

/* Empty processes have what is to be alone first. */
static void
jobs_feed(struct jobs *s)
{
	struct errand *e;
	struct hand *h;

	for (h = s->hand; h < s->hand + s->o.n; h++) {
		if (!h->ready || h->n > 0)
			continue;
		e = TAILQ_FIRST(&s->again);
		h->alone = e != NULL;
		if (e != NULL) {
			TAILQ_REMOVE(&s->again, e, entry);
			hand_give(h, e);
		}
	}
	names_more(s->names);
}

/* ----------------------------------------------------------------- lines */

static void
jobs_wrote(struct jobs *s, enum check_verdict verdict)
{
	s->written++;
	progress_count(
	    s->o.progress, verdict, names_lines(s->names) - jobs_busy(s));
}

static void
hand_line(struct hand *h, const char *line, size_t len)
{
	enum check_verdict verdict;
	unsigned long n = resume_number(line, len, &verdict);
	struct errand *e;

	TAILQ_FOREACH(e, &h->items, entry)
		if (e->n == n)
			break;
	if (e == NULL) {
		kill(h->pid, SIGKILL); /* it is out of its mind */
		return;
	}
	TAILQ_REMOVE(&h->items, e, entry);
	free(e);
	h->n--;
	fwrite(line, 1, len, stdout);
	putchar('\n');
	jobs_wrote(h->jobs, verdict);
}

static void
on_hand(struct bufferevent *io, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(io);
	struct hand *h = arg;
	struct jobs *s = h->jobs;
	size_t len;
	char *line;

	while (out_flush() &&
	    (line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF)) != NULL) {
		if (len == 0) {
			h->ready = true;
			jobs_more(s);
		} else
			hand_line(h, line, len);
		free(line);
	}
	if (out_flush())
		jobs_feed(s);
	else
		event_base_loopbreak(s->o.o->base);
}

/* The line of a name that has killed twice. */
static void
errand_report(struct jobs *s, struct errand *e, int status)
{
	struct json j = { 0 };
	struct report r = { .name = e->name,
		.n = e->n,
		.dane = "none",
		.servers = -1,
		.servers_faulty = -1,
		.when = time(NULL),
		.dns_only = s->o.o->dns_only };

	if (asprintf(&r.error,
		"the process that tested it ended with %s %d, twice",
		WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)) ==
	    -1)
		r.error = NULL;
	lint_verdict(&r);
	report_json(&j, &r);
	lint_forget(&r);
	free(r.error);
	out_flush();
	jobs_wrote(s, CHECK_UNTESTED);
}

/* It has died: another one takes its place. */
static void
on_hand_end(struct bufferevent *io, short what, void *arg)
{
	struct hand *h = arg;
	struct jobs *s = h->jobs;
	struct errand *e;
	int status;

	(void)io;
	(void)what;
	status = hand_close(h, true);
	if (!h->ready) { /* it has said why */
		jobs_fail(s);
		return;
	}
	while ((e = TAILQ_FIRST(&h->items)) != NULL) {
		TAILQ_REMOVE(&h->items, e, entry);
		h->n--;
		if (e->again) {
			errand_report(s, e, status);
			free(e);
		} else {
			e->again = true;
			TAILQ_INSERT_TAIL(&s->again, e, entry);
		}
	}
	jobs_more(s);
}

/* ------------------------------------------------------------------ calls */

size_t
jobs_busy(const struct jobs *s)
{
	const struct hand *h;
	const struct errand *e;
	size_t n = 0;

	for (h = s->hand; h < s->hand + s->o.n; h++)
		n += h->n;
	TAILQ_FOREACH(e, &s->again, entry)
		n++;
	return n;
}

bool
jobs_over(const struct jobs *s)
{
	return s->failed || (names_over(s->names) && jobs_busy(s) == 0);
}

unsigned long
jobs_written(const struct jobs *s)
{
	return s->written;
}

bool
jobs_failed(const struct jobs *s)
{
	return s->failed || names_failed(s->names);
}

struct jobs *
jobs_new(const struct jobs_options *o)
{
	struct jobs *s = calloc(1, sizeof *s + o->n * sizeof *s->hand);
	struct names_options names = { .cli = o->cli,
		.base = o->o->base,
		.done = o->done,
		.room = on_room,
		.take = on_name,
		.arg = s };
	struct hand *h;

	if (s == NULL)
		return NULL;
	s->o = *o;
	TAILQ_INIT(&s->again);
	for (h = s->hand; h < s->hand + o->n; h++) {
		h->jobs = s;
		TAILQ_INIT(&h->items);
	}
	s->names = names_new(&names);
	/* one that cannot begin says why: the others wait for the first */
	if (s->names != NULL && hand_begin(s->hand))
		return s;
	jobs_free(s);
	return NULL;
}

void
jobs_free(struct jobs *s)
{
	struct errand *e;
	struct hand *h;
	bool now;

	if (s == NULL)
		return;
	now = s->names == NULL || !jobs_over(s) || s->failed;
	for (h = s->hand; h < s->hand + s->o.n; h++) {
		hand_close(h, now);
		TAILQ_CONCAT(&s->again, &h->items, entry);
	}
	while ((e = TAILQ_FIRST(&s->again)) != NULL) {
		TAILQ_REMOVE(&s->again, e, entry);
		free(e);
	}
	names_free(s->names);
	free(s);
}

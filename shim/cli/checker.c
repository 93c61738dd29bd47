/* SPDX-License-Identifier: ISC */
/*
 * One check for danevirke web, in a process of its own: it can be killed, and
 * knows nothing of other clients' checks but what was in memory when it began.
 */
#include <sys/prctl.h>
#include <sys/resource.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "sandbox.h"
#include "web.h"

#define MEMORY (256 << 20) /* octets, with those that were there before */
#define NICE 5

struct checker {
	struct cli *cli;
	bool done;
};

static void
on_report(void *arg, struct report *r)
{
	struct checker *k = arg;
	struct json j = { 0 };

	r->n = 0;
	json_object(&j, NULL);
	json_array(&j, "checks");
	report_json(&j, r);
	json_end_array(&j);
	json_end_object(&j);
	putchar('\0');
	if (page_begin("./")) {
		page_report(k->cli, r, false);
		page_end();
		putchar('\0');
	}
	report_free(r);
	out_flush();
	k->done = true;
}

static struct exam_options
checker_options(const struct web *w)
{
	struct exam_options o = { .cli = w->cli,
		.helo = w->helo,
		.parallel = 1,
		.servers = true,
		EXAM_DEFAULTS };

	/* some time is left for what is not under the exam's own limit */
	o.limit = w->limit - w->limit / 6;
	return o;
}

int
checker_try(const struct web *w)
{
	struct exam_options o = checker_options(w);
	int status = exam_open(&o);

	exam_close(&o);
	return status;
}

static int
checker_run(const struct web *w, const char *name)
{
	struct exam_options o = checker_options(w);
	struct checker k = { .cli = w->cli };
	struct exam *x;
	int status;

	if ((status = exam_open(&o)) == EXIT_GOOD) {
		x = exam_new(&o, on_report, &k);
		if (x == NULL || !exam_add(x, name, 1))
			status = cli_error(w->cli, "%s: out of memory", name);
		while (status == EXIT_GOOD && !k.done && out_flush() &&
		    event_base_loop(o.base, EVLOOP_ONCE) == 0)
			;
		exam_free(x);
	}
	exam_close(&o);
	return status;
}

static void
checker_limits(const struct web *w)
{
	struct rlimit cpu = { w->limit, w->limit + 1 }, none = { 0, 0 }, memory;

	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_CORE, &none);
	/* the resolver's processes have a limit of their own, below the hard
	 * one */
	if (!SANITIZED && getrlimit(RLIMIT_DATA, &memory) == 0) {
		memory.rlim_cur = MEMORY;
		setrlimit(RLIMIT_DATA, &memory);
	}
	(void)!nice(NICE);
}

static void __attribute__((noreturn)) checker_child(
    const struct web *w, const char *name, int out, pid_t parent, sigset_t *old)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD };
	int null = open("/dev/null", O_RDONLY);
	size_t i;

	prctl(PR_SET_NAME, "danevirke-check");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < sizeof signals / sizeof *signals; i++)
		signal(signals[i], SIG_DFL);
	sigprocmask(SIG_SETMASK, old, NULL);
	if (getppid() != parent || null == -1 ||
	    dup2(null, STDIN_FILENO) == -1 || dup2(out, STDOUT_FILENO) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		_exit(EXIT_UNTESTED);
	closefrom(STDERR_FILENO + 1);
	checker_limits(w);
	_exit(checker_run(w, name));
}

pid_t
checker_start(const struct web *w, const char *name, int *fd)
{
	pid_t parent = getpid(), pid;
	sigset_t all, old;
	int p[2], e;

	if (pipe2(p, O_CLOEXEC) == -1)
		return -1;
	/* the loop's handlers are not the child's */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	if ((pid = fork()) == 0)
		checker_child(w, name, p[1], parent, &old);
	e = errno;
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(p[1]);
	if (pid == -1) {
		close(p[0]);
		errno = e;
		return -1;
	}
	fcntl(p[0], F_SETFL, O_RDONLY | O_NONBLOCK);
	*fd = p[0];
	return pid;
}

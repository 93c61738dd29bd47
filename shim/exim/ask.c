/* SPDX-License-Identifier: ISC */
/*
 * Answers: asked for, here or by a child, and handed over.
 *
 * What libraries compute for a stranger's zone may take as long as its keys
 * are large, and no timer of the same process ends it (D16).  So this process
 * takes only what the store of its user holds, which needs no resolver; all
 * else is asked by a child that time limits kill.  As root nothing is asked
 * here: the child becomes Exim's user first.  What it sends back over a pipe, or
 * an earlier one has left for recall(), is checked offset by offset.
 */
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

#define GRACE 2       /* seconds over resolver.timeout */
#define CPU_SECONDS 2 /* 200 times what a question takes */
#define HURRY 5       /* seconds, once others have taken theirs */
#define ROOM 4096     /* octets of what most children say */
#define ROOM_MAX (2 * MAX_PACKED)

/* Exim loads this library once in a process and calls it from one thread. */
static struct shim shim;
static struct danevirke *engine;
static pid_t asked; /* it has, in this process; 0: nothing yet */
static bool quiet;  /* the parent has said it */

static void
on_log(void *arg, int level, const char *text)
{
	(void)arg;
	if (level <= 4 && !quiet) /* warnings and worse */
		exim_say("%s", text);
}

const struct danevirke_api *
exim_api(char *why)
{
	struct danevirke_error err;

	if (shim.dv == NULL && shim_load(&shim, NULL, &err) != 0)
		snprintf(why, TEXT_LEN, "%s", err.text);
	return shim.dv;
}

/* For its configuration, which is read once and inherited by forks. */
static struct danevirke *
engine_get(char *why)
{
	struct danevirke_options o = { .size = sizeof o, .log = on_log };
	struct danevirke_error err;

	if (engine != NULL)
		return engine;
	if (exim_api(why) == NULL)
		return NULL;
	if ((engine = shim.dv->open(&o, &err)) == NULL)
		snprintf(why, TEXT_LEN, "%.1000s", err.text);
	return engine;
}

/* To ask: one that has asked in a parent is only put away. */
static struct danevirke *
engine_to_ask(char *why)
{
	if (engine != NULL && asked != 0 && asked != getpid()) {
		shim.dv->close(engine);
		engine = NULL;
	}
	asked = getpid();
	return engine_get(why);
}

/* ------------------------------------------------------------- asking */

static struct danevirke_question
question_of(const struct hop *h, uint32_t flags)
{
	struct danevirke_question q = { .size = sizeof q,
		.kind = h->kind,
		.name = h->host,
		.port = h->port,
		.profile = h->profile,
		.flags = flags | DANEVIRKE_NO_LOOKUP_IF_OFF | DANEVIRKE_LEAVE };

	return q;
}

/* What an earlier process of this user has decided, if it still holds. */
static const struct danevirke_answer *
ask_nobody(const struct hop *h, uid_t uid)
{
	struct danevirke_question q = question_of(h, 0);

	return shim.dv->recall(engine, &q, uid);
}

/* code (may be NULL): enum danevirke_code of a failure */
static const struct danevirke_answer *
ask_here(const struct hop *h, uint32_t flags, int *code, char *why)
{
	struct danevirke_question q = question_of(h, flags);
	const struct danevirke_answer *a;
	struct danevirke_error err;

	if (engine_to_ask(why) == NULL)
		return NULL;
	if ((a = shim.dv->ask(engine, &q, &err)) == NULL) {
		snprintf(why, TEXT_LEN, "%.1000s", err.text);
		if (code != NULL)
			*code = err.code;
	}
	return a;
}

static bool
ask_write(int fd, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		if ((n = write(fd, p, len)) <= 0) {
			if (n == -1 && errno == EINTR)
				continue;
			return false;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* For good: no way back to root. */
static bool
ask_become(const struct passwd *pw)
{
	/* a real root with another effective uid is root all the same */
	return (geteuid() == 0 || seteuid(0) == 0) && setgroups(0, NULL) == 0 &&
	    setgid(pw->pw_gid) == 0 && setuid(pw->pw_uid) == 0 &&
	    getuid() == pw->pw_uid && geteuid() == pw->pw_uid &&
	    getgid() == pw->pw_gid && getegid() == pw->pw_gid &&
	    setuid(0) == -1 && seteuid(0) == -1;
}

/* D16: these signals kill whatever is being computed, and need no parent. */
static void
child_limits(unsigned seconds)
{
	static const struct itimerval cpu = { .it_value = { CPU_SECONDS, 0 } };
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, SIG_DFL);
	signal(SIGPROF, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, SIGPROF);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	alarm(seconds);
	if (setitimer(ITIMER_PROF, &cpu, NULL) == -1)
		_exit(1);
}

/* In the child: 'A' and an answer, or 'E' and a text.  pw: whom to become, or
 * NULL. */
static void
ask_in_child(
    const struct hop *h, const struct passwd *pw, unsigned limit, int fd)
{
	const struct danevirke_answer *a = NULL;
	char why[TEXT_LEN] = "", *buf = NULL;
	size_t len = 0;

	child_limits(limit);
	quiet = pw == NULL;
	if (pw != NULL && !ask_become(pw))
		snprintf(why, sizeof why, "cannot become %s: %s", pw->pw_name,
		    strerror(errno));
	else if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
	    (a = ask_here(h, 0, NULL, why)) != NULL) {
		len = shim.dv->pack(a, NULL, 0);
		if (len > MAX_PACKED || (buf = malloc(1 + len)) == NULL ||
		    shim.dv->pack(a, buf + 1, len) != len) {
			snprintf(why, sizeof why, "the answer does not fit");
			a = NULL;
		}
	}
	if (a != NULL) {
		*buf = 'A';
		_exit(ask_write(fd, buf, 1 + len) ? 0 : 1);
	}
	ask_write(fd, "E", 1);
	ask_write(fd, why, strlen(why));
	_exit(1);
}

time_t
exim_ticks(void)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* All that the child says, for so many seconds; or -1.  *buf is the caller's
 * to free. */
static ssize_t
ask_read(int fd, char **buf, unsigned seconds, bool *late)
{
	struct pollfd p = { fd, POLLIN, 0 };
	time_t end = exim_ticks() + (time_t)seconds, now;
	size_t len = 0, room = 0;
	char *more;
	ssize_t n;

	for (;;) {
		if ((*late = (now = exim_ticks()) >= end))
			return -1;
		if (len == room) {
			room = room == 0 ? ROOM : 2 * room;
			if (room > ROOM_MAX ||
			    (more = realloc(*buf, room)) == NULL)
				return -1;
			*buf = more;
		}
		n = poll(&p, 1, (int)(end - now) * 1000);
		if (n == 0 || (n == -1 && errno == EINTR))
			continue;
		if (n == -1)
			return -1;
		if ((n = read(fd, *buf + len, room - len)) == 0)
			return (ssize_t)len;
		if (n == -1 && errno != EINTR)
			return -1;
		if (n > 0)
			len += (size_t)n;
	}
}

/* status: as waitpid() tells */
static const struct danevirke_answer *
ask_take(const char *buf, ssize_t len, int status, char *why)
{
	const struct danevirke_answer *a = NULL;
	struct danevirke_error err;

	if (WIFSIGNALED(status) || len < 2 || (buf[0] != 'A' && buf[0] != 'E'))
		snprintf(why, TEXT_LEN,
		    "the process that asks DNS died or gave no answer");
	else if (buf[0] == 'E')
		snprintf(why, TEXT_LEN, "%.*s", (int)(len - 1), buf + 1);
	else if ((a = shim.dv->unpack(buf + 1, (size_t)len - 1, &err)) == NULL)
		snprintf(why, TEXT_LEN, "%.1000s", err.text);
	return a;
}

/* The child's answer; there is no child afterwards. */
static const struct danevirke_answer *
ask_collect(pid_t pid, int fd, unsigned limit, bool *given_up, char *why)
{
	const struct danevirke_answer *a = NULL;
	char *buf = NULL;
	ssize_t len = ask_read(fd, &buf, limit + 1, given_up);
	int status = 0, signal_no;

	kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	signal_no = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	*given_up |= signal_no == SIGALRM || signal_no == SIGPROF;
	if (signal_no == SIGPROF)
		snprintf(why, TEXT_LEN,
		    "the lookups took more than %d s of processor time: "
		    "given up",
		    CPU_SECONDS);
	else if (*given_up)
		snprintf(why, TEXT_LEN,
		    "the lookups took more than %u s: given up", limit);
	else
		a = ask_take(buf, len, status, why);
	free(buf);
	return a;
}

static const struct danevirke_answer *
ask_child(const struct hop *h, const struct passwd *pw, bool hurry,
    bool *given_up, char *why)
{
	unsigned limit = shim.dv->settings(engine)->resolver_timeout + GRACE;
	const struct danevirke_answer *a = NULL;
	sigset_t block, old;
	int fd[2];
	pid_t pid;

	if (hurry && limit > HURRY)
		limit = HURRY;
	if (pipe2(fd, O_CLOEXEC) == -1) {
		snprintf(why, TEXT_LEN, "pipe: %s", strerror(errno));
		return NULL;
	}
	/* Exim's handler must not reap the child before we do */
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigprocmask(SIG_BLOCK, &block, &old);
	if ((pid = fork()) == 0) {
		close(fd[0]);
		ask_in_child(h, pw, limit, fd[1]);
	}
	close(fd[1]);
	if (pid == -1)
		snprintf(why, TEXT_LEN, "fork: %s", strerror(errno));
	else
		a = ask_collect(pid, fd[0], limit, given_up, why);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(fd[0]);
	return a;
}

/* As root: parses no packet, starts no resolver itself. */
static const struct danevirke_answer *
ask_as_root(const struct hop *h, bool hurry, bool *given_up, char *why)
{
	const struct danevirke_answer *a;
	const struct passwd *pw;
	const char *user;

	if (engine_get(why) == NULL)
		return NULL;
	user = shim.dv->settings(engine)->exim_user;
	if ((pw = getpwnam(user)) == NULL || pw->pw_uid == 0) {
		snprintf(why, TEXT_LEN,
		    "exim.user: \"%s\": want a user that "
		    "exists and is not root",
		    user);
		return NULL;
	}
	if ((a = ask_nobody(h, pw->pw_uid)) == NULL)
		a = ask_child(h, pw, hurry, given_up, why);
	return a;
}

static const struct danevirke_answer *
ask_as_user(const struct hop *h, bool hurry, bool *given_up, char *why)
{
	const struct danevirke_answer *a;
	int code = DANEVIRKE_OK;

	if (engine_get(why) == NULL)
		return NULL;
	if ((a = ask_nobody(h, geteuid())) != NULL)
		return a;
	a = ask_here(h, DANEVIRKE_STORED, &code, why);
	if (a == NULL && code == DANEVIRKE_EDNS)
		a = ask_child(h, NULL, hurry, given_up, why);
	return a;
}

const struct danevirke_answer *
answer_ask(const struct hop *h, bool hurry, bool *given_up, char *why)
{
	return (geteuid() == 0 || getuid() == 0 ? ask_as_root : ask_as_user)(
	    h, hurry, given_up, why);
}

/* The answer came from a child, and this may be root: where a datagram goes is
 * not the child's to say. */
void
answer_report(const struct hop *h, const struct danevirke_answer *a,
    const struct danevirke_host *host, const struct danevirke_session *s)
{
	const struct danevirke_profile *p;
	char why[TEXT_LEN];

	if (a->tlsrpt_socket == NULL || engine_get(why) == NULL)
		return;
	p = shim.dv->profile(engine, h->profile);
	if (p != NULL && p->tlsrpt != NULL &&
	    strcmp(p->tlsrpt, a->tlsrpt_socket) == 0)
		shim.dv->report(a, host, s);
}

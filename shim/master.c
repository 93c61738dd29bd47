/* SPDX-License-Identifier: ISC */
/*
 * The parent of the resolver processes: it was forked when the program had no
 * secrets yet, keeps what a new process needs, and reads nothing but what the
 * program tells it.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox.h"
#include "worker.h"

#define FLAG "-R"
#define ARGS_PRINT "%d:%d"
#define ARGS_SCAN "%d:%d%c"

enum { CONTROL = 3, CONFIG = WORKER_CONFIG, EXE = 5, N_KEPT = 6 };

static struct {
	const struct resolver_options *o;
	bool exec;
	sigset_t old; /* mask */
	struct child {
		pid_t pid; /* 0: none */
		uint32_t id;
	} child[WORKER_MAX];
} m;

/* ------------------------------------------------------------ in the child */

static void __attribute__((noreturn))
child_run(const struct master_msg *start, int fd, pid_t parent)
{
	struct worker_args args = { .dv = m.o->dv,
		.kind = (enum worker_kind)start->kind,
		.flags = m.o->flags,
		.config = m.o->config };
	char name[] = "danevirke-dns", flag[] = FLAG, numbers[60], *module;
	char *argv[] = { name, flag, numbers, NULL, NULL };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, &m.old, NULL);
	if (getppid() != parent || dup2(fd, WORKER_SOCKET) == -1)
		_exit(1);
	if (!m.exec) {
		closefrom(WORKER_CONFIG + 1);
		worker_run(&args);
	}
	closefrom(EXE + 1);
	snprintf(numbers, sizeof numbers, ARGS_PRINT, (int)args.kind,
	    (int)args.flags);
	module = m.o->module == NULL ? NULL : strdup(m.o->module);
	argv[3] = module;
	if (fcntl(EXE, F_SETFD, FD_CLOEXEC) == 0)
		fexecve(EXE, argv, environ);
	_exit(1);
}

void
resolver_main(int argc, char **argv)
{
	struct worker_args args = { 0 };
	int kind, flags;
	char rest;

	if (argc < 3 || argc > 4 || strcmp(argv[1], FLAG) != 0)
		return;
	if (sscanf(argv[2], ARGS_SCAN, &kind, &flags, &rest) != 2 ||
	    fcntl(WORKER_SOCKET, F_SETFD, FD_CLOEXEC) == -1 ||
	    fcntl(WORKER_CONFIG, F_SETFD, FD_CLOEXEC) == -1) {
		fprintf(stderr, FLAG " is for the parent process only\n");
		exit(2);
	}
	args.kind = (enum worker_kind)kind;
	args.flags = (uint32_t)flags;
	args.module = argv[3];
	worker_run(&args);
}

/* ----------------------------------------------------------- in the master */

static void
child_ended(uint32_t id, int status)
{
	struct master_msg msg = { MASTER_ENDED, id, status, 0 };

	if (send(CONTROL, &msg, sizeof msg, MSG_NOSIGNAL) == -1)
		_exit(0); /* nobody is there any more */
}

static void
child_start(const struct master_msg *start, int fd)
{
	pid_t self = getpid();
	struct child *c;

	for (c = m.child; c < m.child + WORKER_MAX; c++)
		if (c->pid == 0)
			break;
	if (c < m.child + WORKER_MAX) {
		if ((c->pid = fork()) == 0)
			child_run(start, fd, self);
		c->id = start->id;
		if (c->pid != -1)
			return;
		c->pid = 0;
	}
	child_ended(start->id, -1);
}

static void
child_kill(uint32_t id)
{
	struct child *c;

	for (c = m.child; c < m.child + WORKER_MAX; c++)
		if (c->pid != 0 && (id == 0 || c->id == id))
			kill(c->pid, SIGKILL);
}

static void
children_bury(void)
{
	struct child *c;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (c = m.child; c < m.child + WORKER_MAX; c++)
			if (c->pid == pid) {
				c->pid = 0;
				child_ended(c->id, status);
			}
}

/* False: the program has gone. */
static bool
control_read(void)
{
	struct master_msg msg;
	struct iovec io = { &msg, sizeof msg };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} u;
	struct msghdr h = { .msg_iov = &io,
		.msg_iovlen = 1,
		.msg_control = &u,
		.msg_controllen = sizeof u };
	struct cmsghdr *p;
	ssize_t n;
	int fd = -1;

	n = recvmsg(CONTROL, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	if ((p = CMSG_FIRSTHDR(&h)) != NULL && p->cmsg_level == SOL_SOCKET &&
	    p->cmsg_type == SCM_RIGHTS && p->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(p), sizeof fd);
	if (n != (ssize_t)sizeof msg)
		return false;
	if (msg.op == MASTER_START && fd != -1)
		child_start(&msg, fd);
	else if (msg.op == MASTER_START)
		child_ended(msg.id, -1); /* no descriptor was free for it */
	else if (msg.op == MASTER_KILL)
		child_kill(msg.id);
	if (fd != -1)
		close(fd);
	return true;
}

static void
on_child(int sig)
{
	(void)sig; /* it ends ppoll() */
}

/* The descriptors are where the constants above want them, and no others are
 * open. */
static bool
descriptors_take(int control, int config)
{
	int null = open("/dev/null", O_RDWR), exe = -1, kept[3], i;

	/* without /proc: forked only */
	if (m.exec && (exe = open("/proc/self/exe", O_RDONLY)) == -1)
		m.exec = false;
	kept[0] = control;
	kept[1] = config;
	kept[2] = m.exec ? exe : null;
	if (null == -1 || dup2(null, 0) == -1 || dup2(null, 1) == -1)
		return false;
	for (i = 0; i < 3; i++) /* out of each other's way */
		if ((kept[i] = fcntl(kept[i], F_DUPFD, N_KEPT)) == -1)
			return false;
	for (i = 0; i < 3; i++)
		if (dup2(kept[i], CONTROL + i) == -1)
			return false;
	closefrom(N_KEPT);
	fcntl(CONTROL, F_SETFD, FD_CLOEXEC);
	return true;
}

void
master_run(int control, int config, const struct resolver_options *o)
{
	struct sigaction sa = { .sa_handler = on_child,
		.sa_flags = SA_NOCLDSTOP };
	struct pollfd p = { CONTROL, POLLIN, 0 };
	sigset_t chld, wait;

	m.o = o;
	m.exec = o->exec;
	prctl(PR_SET_NAME, "danevirke-dnsm");
	setpgid(0, 0); /* a terminal's signals are not for this one */
	sigprocmask(SIG_SETMASK, NULL, &m.old);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	wait = m.old;
	sigdelset(&wait, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	sigaction(SIGCHLD, &sa, NULL);
	if (!descriptors_take(control, config) || sandbox_user(o->uid) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
		_exit(1);
	do {
		p.revents = 0;
		ppoll(&p, 1, NULL, &wait);
		children_bury();
	} while (p.revents == 0 || control_read());
	child_kill(0);
	_exit(0);
}

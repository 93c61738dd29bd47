/* SPDX-License-Identifier: ISC */
/*
 * The relay children: one that works, and some that were told to end and
 * finish their sessions.  Whatever becomes of them, the parent lives on.
 */
#include <sys/socket.h>
#include <sys/wait.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "relay.h"

#define N_OLD (sizeof((struct relays *)0)->old / sizeof(struct relay))
#define BACKOFF_MAX 30 /* seconds */
#define SETTLED 10     /* seconds after which it has taken all aliases */
#define LIVED_WELL 60  /* seconds after which a death is a new story */

/* ---------------------------------------------------------- in the child */

void
child_ignore(void)
{
	static const int ignored[] = { SIGHUP, SIGINT, SIGPIPE, SIGTERM,
		SIGUSR1 };
	size_t i;

	for (i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
}

void
child_enter(struct relays *r)
{
	struct alias *a;
	sigset_t none;
	size_t i;
	int fd;

	/* fd 0 is smtpd's: a child that keeps it open would hide our end */
	if ((fd = open("/dev/null", O_RDWR | O_CLOEXEC)) == -1 ||
	    dup2(fd, 0) == -1 || dup2(fd, 1) == -1)
		_exit(1);
	if (fd > 2)
		close(fd);
	for (i = 0; r->aliases != NULL && i < 2; i++)
		for (a = NULL; (a = alias_next(r->aliases, i, a)) != NULL;)
			close(a->fd);
	if (r->held != -1)
		close(r->held);
	if (r->now.pid != 0)
		close(r->now.control);
	if (r->next.pid != 0)
		close(r->next.control);
	for (i = 0; i < N_OLD; i++)
		if (r->old[i].pid != 0)
			close(r->old[i].control);
	if (r->other != -1)
		close(r->other);
	if (r->front->leave != NULL)
		r->front->leave();
	child_ignore();
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void __attribute__((noreturn)) child_go(const struct relay_args *args)
{
#ifdef __linux__
	prctl(PR_SET_NAME, "danevirke-relay");
	/* beside the end of file on control, should the relay hang */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	exit(relay_run(args));
}

#define ARGS_PRINT "%d:%u:%u:%u:%u:%d:%d"
#define ARGS_SCAN "%d:%u:%u:%u:%u:%d:%d%c"

/* argv: name, "-r", ident, config, numbers */
void
relay_main(char **argv, const struct front *front)
{
	struct relay_args args = { .ident = argv[2],
		.config = argv[3],
		.users = front->users,
		.last_words = front->last_words };
	struct checked c = { 0 };
	unsigned port;
	char rest;

	if (sscanf(argv[4], ARGS_SCAN, &args.control, &args.first, &args.last,
		&port, &args.max, &c.facility, &c.level, &rest) != 7 ||
	    fcntl(args.control, F_SETFD, FD_CLOEXEC) == -1) {
		fprintf(stderr, "-r is for the parent process only\n");
		exit(2);
	}
	args.port = (uint16_t)port;
	log_open(args.ident, &c);
	child_go(&args);
}

static void __attribute__((noreturn))
child_exec(struct relays *r, const struct checked *c, int control)
{
	const struct relay_args args = { .control = control,
		.ident = r->ident,
		.users = r->front->users,
		.last_words = r->front->last_words,
		.config = r->config,
		.first = c->first,
		.last = c->last,
		.port = c->port,
		.max = c->max };
	char name[] = "danevirke-relay", flag[] = "-r", numbers[100];
	char *argv[] = { name, flag, NULL, NULL, numbers, NULL };

	child_enter(r);
	snprintf(numbers, sizeof numbers, ARGS_PRINT, control, c->first,
	    c->last, c->port, c->max, c->facility, c->level);
	/* A forked child has its parent's addresses and canary, and so would
	 * the next one: an attacker could go on guessing where it fell. */
	if (r->exe != -1 && (argv[2] = strdup(r->ident)) != NULL &&
	    (argv[3] = strdup(r->config)) != NULL &&
	    fcntl(control, F_SETFD, 0) == 0) {
		fexecve(r->exe, argv, environ);
		log_line(LOG_WARNING,
		    "relay: could not run the program again: %s",
		    strerror(errno));
		fcntl(control, F_SETFD, FD_CLOEXEC);
	}
	if (r->exe != -1)
		close(r->exe);
	free(argv[2]);
	free(argv[3]);
	child_go(&args);
}

/* --------------------------------------------------------- in the parent */

/* The next one is due after this long, and that after twice as long. */
static void
child_back_off(struct relays *r, uint64_t now)
{
	r->start = now + r->backoff;
	r->backoff = r->backoff == 0 ? 1 : r->backoff * 2;
	if (r->backoff > BACKOFF_MAX)
		r->backoff = BACKOFF_MAX;
}

static bool
child_spawn(
    struct relays *r, struct relay *new, const struct checked *c, uint64_t now)
{
	int sp[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC,
		0, sp) == -1) {
		log_line(LOG_ERR, "relay: not started: socketpair: %s",
		    strerror(errno));
		return false;
	}
	if ((pid = fork()) == 0) {
		close(sp[0]);
		child_exec(r, c, sp[1]);
	}
	close(sp[1]);
	if (pid == -1) {
		log_line(
		    LOG_ERR, "relay: not started: fork: %s", strerror(errno));
		close(sp[0]);
		return false;
	}
	new->pid = pid;
	new->control = sp[0];
	new->time = new->heard = now;
	new->beat = (struct relay_beat){ .sessions = 0 };
	return true;
}

void
relays_renew(struct relays *r)
{
	struct alias *a;

	r->untold = 0;
	for (a = NULL; (a = alias_next(r->aliases, true, a)) != NULL;
	     r->untold++)
		a->told = false;
	log_line(LOG_INFO, "relay: process %ld, %zu domains", (long)r->now.pid,
	    r->untold);
	relays_tell(r);
}

static void
child_start_now(struct relays *r, uint64_t now)
{
	if (child_spawn(r, &r->now, &r->conf, now))
		relays_renew(r);
	else
		child_back_off(r, now);
}

/* True: it has said something. */
static bool
child_beats(struct relay *one)
{
	struct relay_beat b;
	bool heard = false;
	ssize_t n;

	while ((n = recv(one->control, &b, sizeof b, MSG_DONTWAIT)) > 0) {
		heard = true;
		if (n == (ssize_t)sizeof b)
			one->beat = b;
	}
	return heard;
}

/* Its socket is closed; what it has counted is kept. */
static void
child_bury(struct relays *r, struct relay *one)
{
	size_t i;

	child_beats(one);
	for (i = 0; i < COUNT_MAX; i++)
		r->all.count[i] += one->beat.count[i];
	close(one->control);
	one->pid = 0;
}

/* One that does not turn its loop any more ends as if it had died. */
static void
child_hear(struct relay *one, const char *which, uint64_t now)
{
	if (one->pid == 0)
		return;
	if (child_beats(one))
		one->heard = now;
	if (now - one->heard < RELAY_SILENCE)
		return;
	log_line(LOG_ERR,
	    "%s: process %ld has been silent for %d seconds: killed", which,
	    (long)one->pid, RELAY_SILENCE);
	kill(one->pid, SIGKILL);
	one->heard = now; /* said once */
}

void
relays_tick(struct relays *r, uint64_t now)
{
	size_t i;

	r->listened = now;
	child_hear(&r->now, "relay", now);
	for (i = 0; i < N_OLD; i++)
		child_hear(&r->old[i], "old relay", now);
	for (i = 0; i < N_OLD; i++)
		if (r->old[i].pid != 0 && now >= r->old[i].time) {
			log_line(LOG_WARNING,
			    "old relay: process %ld has not ended in %d "
			    "seconds: killed",
			    (long)r->old[i].pid, RELAY_DRAIN_MAX);
			kill(r->old[i].pid, SIGKILL);
			r->old[i].time = UINT64_MAX;
		}
	if (r->now.pid == 0 && now >= r->start)
		child_start_now(r, now);
}

uint64_t
relays_next(const struct relays *r)
{
	uint64_t next = r->listened + RELAY_BEAT;
	size_t i;

	if (r->now.pid == 0 && r->start < next)
		next = r->start;
	for (i = 0; i < N_OLD; i++)
		if (r->old[i].pid != 0 && r->old[i].time < next)
			next = r->old[i].time;
	return next;
}

static void
child_describe(int status, char *buf, size_t len)
{
	if (WIFSIGNALED(status))
		snprintf(buf, len, "ended by signal %d", WTERMSIG(status));
	else
		snprintf(buf, len, "ended with status %d", WEXITSTATUS(status));
}

bool
relays_ended(struct relays *r, pid_t pid, int status, uint64_t now)
{
	char how[60];
	size_t i;

	child_describe(status, how, sizeof how);
	for (i = 0; i < N_OLD; i++)
		if (r->old[i].pid == pid) {
			log_line(status == 0 ? LOG_INFO : LOG_WARNING,
			    "old relay: process %ld %s", (long)pid, how);
			child_bury(r, &r->old[i]);
			return true;
		}
	if (r->next.pid == pid) {
		log_line(LOG_ERR, "new relay: process %ld %s", (long)pid, how);
		close(r->next.control);
		r->next.pid = 0;
		return true;
	}
	if (r->now.pid != pid)
		return false;
	child_bury(r, &r->now);
	r->deaths++;
	r->untold = 0;
	if (now - r->now.time >= LIVED_WELL)
		r->backoff = 0;
	child_back_off(r, now);
	log_line(LOG_ERR, "relay: process %ld %s: starting another in %u s",
	    (long)pid, how, (unsigned)(r->start - now));
	return true;
}

/* ------------------------------------------------------- what it is told */

/* 1: told; 0: not now; -1: not this one any more, which is then killed. */
static int
child_tell(struct relay *to, enum relay_op op, const struct alias *a)
{
	struct relay_msg m = { .op = op };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} u = { 0 };
	struct iovec io = { &m, sizeof m };
	struct msghdr msg = { .msg_iov = &io, .msg_iovlen = 1 };

	if (a != NULL) {
		m.addr = a->addr;
		m.port = a->port;
	}
	if (op == RELAY_ADD) {
		memcpy(m.domain, a->domain, sizeof m.domain);
		u.align.cmsg_level = SOL_SOCKET;
		u.align.cmsg_type = SCM_RIGHTS;
		u.align.cmsg_len = CMSG_LEN(sizeof a->fd);
		memcpy(CMSG_DATA(&u.align), &a->fd, sizeof a->fd);
		msg.msg_control = u.space;
		msg.msg_controllen = CMSG_SPACE(sizeof a->fd);
	}
	if (sendmsg(to->control, &msg, MSG_NOSIGNAL) == (ssize_t)sizeof m)
		return 1;
	if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
		return 0;
	log_line(LOG_ERR, "relay: process %ld does not listen (%s): killed",
	    (long)to->pid, strerror(errno));
	kill(to->pid, SIGKILL);
	return -1;
}

void
relays_tell(struct relays *r)
{
	struct alias *a;
	int n;

	for (a = NULL;
	     r->untold > 0 && (a = alias_next(r->aliases, true, a)) != NULL;) {
		if (a->told)
			continue;
		if ((n = child_tell(&r->now, RELAY_ADD, a)) == 0)
			return;
		if (n == -1) {
			r->untold = 0; /* its successor gets them all */
			return;
		}
		a->told = true;
		r->untold--;
	}
}

bool
relays_forget(struct relays *r, const struct alias *a)
{
	if (r->now.pid == 0)
		return true;
	if (a->told)
		return child_tell(&r->now, RELAY_REMOVE, a) != 0;
	if (r->untold > 0)
		r->untold--;
	return true;
}

/* ---------------------------------------------------------------- update */

bool
relays_prepare(struct relays *r, const struct checked *c, uint64_t now)
{
	return child_spawn(r, &r->next, c, now);
}

int
relays_ready(const struct relays *r)
{
	char octet;
	ssize_t n;

	if (r->next.pid == 0)
		return -1;
	n = recv(r->next.control, &octet, 1, 0);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n == 1 ? 1 : -1;
}

void
relays_abandon(struct relays *r)
{
	if (r->next.pid != 0) {
		kill(r->next.pid, SIGKILL);
		close(r->next.control);
		r->next.pid = 0;
	}
}

/* Where to keep one that was told to end: at the cost of the oldest, if need
 * be. */
static struct relay *
child_old_slot(struct relays *r)
{
	struct relay *slot = &r->old[0];
	size_t i;

	for (i = 0; i < N_OLD && slot->pid != 0; i++)
		if (r->old[i].pid == 0 || r->old[i].time < slot->time)
			slot = &r->old[i];
	if (slot->pid != 0) {
		log_line(LOG_WARNING,
		    "old relay: process %ld killed: more than %zu have not "
		    "ended",
		    (long)slot->pid, N_OLD);
		kill(slot->pid, SIGKILL);
		child_bury(r, slot);
	}
	return slot;
}

/* False: now cannot be told. */
static bool
child_retire(struct relays *r, uint64_t now)
{
	struct relay *slot;

	if (r->now.pid == 0)
		return true;
	if (child_tell(&r->now, RELAY_DRAIN, NULL) == 0) {
		if (now - r->now.time < SETTLED)
			return false;
		log_line(LOG_ERR, "relay: process %ld does not listen: killed",
		    (long)r->now.pid);
		kill(r->now.pid, SIGKILL);
	}
	slot = child_old_slot(r);
	*slot = r->now;
	slot->time = now + RELAY_DRAIN_MAX;
	return true;
}

bool
relays_swap(struct relays *r, uint64_t now)
{
	if (!child_retire(r, now))
		return false;
	r->now = r->next;
	r->next.pid = 0;
	r->untold = 0;
	r->backoff = 0;
	return true;
}

bool
relays_stop(struct relays *r, uint64_t now)
{
	size_t i;

	relays_abandon(r);
	r->start = UINT64_MAX;
	if (r->now.pid != 0 && child_retire(r, now)) {
		r->now.pid = 0;
		r->untold = 0;
	}
	for (i = 0; i < N_OLD; i++)
		if (r->old[i].pid != 0)
			return false;
	return r->now.pid == 0;
}

static void
child_add(struct relay_beat *to, const struct relay *one)
{
	size_t i;

	if (one->pid == 0)
		return;
	for (i = 0; i < COUNT_MAX; i++)
		to->count[i] += one->beat.count[i];
	to->sessions += one->beat.sessions;
}

void
relays_count(const struct relays *r, struct relay_beat *b)
{
	size_t i;

	*b = r->all;
	child_add(b, &r->now);
	for (i = 0; i < N_OLD; i++)
		child_add(b, &r->old[i]);
}

void
relays_kill(struct relays *r)
{
	size_t i;

	if (r->now.pid != 0)
		kill(r->now.pid, SIGKILL);
	if (r->next.pid != 0)
		kill(r->next.pid, SIGKILL);
	for (i = 0; i < N_OLD; i++)
		if (r->old[i].pid != 0)
			kill(r->old[i].pid, SIGKILL);
}

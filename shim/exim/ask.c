/* SPDX-License-Identifier: ISC */
/*
 * Answers: asked for, kept, handed over.  As root nothing is asked here: a
 * child that has become Exim's user does it, and what it sends back over a
 * pipe is checked by unpack() offset by offset.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shim.h"

#define MAX_KNOWN 65536 /* next hops in one process */
#define MAX_PACKED (4u << 20)
#define CHILD_SECONDS 320 /* resolver.timeout is 300 at most */

/* Exim loads this library once in a process and calls it from one thread. */
static struct shim shim;
static struct danevirke *engine;
static pid_t engine_pid;
static struct known *known;
static size_t n_known;

/* Where this process has been.  A session may still be open: Exim does not
 * tell, when it holds one for more recipients. */
static struct used {
	char *name, *address;
	struct used *next;
} * used;

static void
on_log(void *arg, int level, const char *text)
{
	(void)arg;
	if (level <= 4) /* warnings and worse */
		say("%s", text);
}

const struct danevirke_api *
api(char *why)
{
	struct danevirke_error err;

	if (shim.dv == NULL && shim_load(&shim, NULL, &err) != 0)
		snprintf(why, TEXT_LEN, "%s", err.text);
	return shim.dv;
}

/* An engine of this very process; the one of a parent is only put away. */
static struct danevirke *
engine_get(char *why)
{
	struct danevirke_options o = { .size = sizeof o, .log = on_log };
	struct danevirke_error err;

	if (engine != NULL && engine_pid == getpid())
		return engine;
	if (api(why) == NULL)
		return NULL;
	shim.dv->close(engine);
	engine_pid = getpid();
	if ((engine = shim.dv->open(&o, &err)) == NULL)
		snprintf(why, TEXT_LEN, "%.1000s", err.text);
	return engine;
}

bool
hop_parse(struct hop *h, const char *profile, const char *name, char *why)
{
	const char *colon;
	unsigned long port = 25;
	char *end;

	memset(h, 0, sizeof *h);
	h->profile = profile;
	h->name = name;
	if (*name == '\0') {
		/* two domains in one transaction, or none at all */
		snprintf(why, TEXT_LEN,
		    "no domain: the transport needs "
		    "multi_domain = false");
		return false;
	}
	if (strncmp(name, "host=", 5) == 0) {
		h->kind = DANEVIRKE_RELAY;
		name += 5;
	}
	colon = h->kind == DANEVIRKE_RELAY ? strrchr(name, ':') : NULL;
	if (colon != NULL && strchr(name, ']') < colon) {
		port = strtoul(colon + 1, &end, 10);
		if (*end != '\0' || end == colon + 1 || port == 0 ||
		    port > 65535) {
			snprintf(why, TEXT_LEN,
			    "\"%.256s\": want "
			    "host=NAME:PORT",
			    name);
			return false;
		}
	} else
		colon = name + strlen(name);
	if ((size_t)(colon - name) >= sizeof h->host || colon == name) {
		snprintf(why, TEXT_LEN,
		    "\"%.256s\": want a host or domain "
		    "name",
		    name);
		return false;
	}
	memcpy(h->host, name, (size_t)(colon - name));
	h->port = (uint16_t)port;
	return true;
}

/* ------------------------------------------------------------- asking */

static const struct danevirke_answer *
ask(const struct hop *h, char *why)
{
	struct danevirke_question q = { .size = sizeof q,
		.kind = h->kind,
		.name = h->host,
		.port = h->port,
		.profile = h->profile,
		.flags = DANEVIRKE_NO_LOOKUP_IF_OFF };
	const struct danevirke_answer *a;
	struct danevirke_error err;

	if (engine_get(why) == NULL)
		return NULL;
	if ((a = shim.dv->ask(engine, &q, &err)) == NULL)
		snprintf(why, TEXT_LEN, "%.1000s", err.text);
	return a;
}

static bool
write_all(int fd, const char *p, size_t len)
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
become(const struct passwd *pw)
{
	/* a real root with another effective uid is root all the same */
	return (geteuid() == 0 || seteuid(0) == 0) && setgroups(0, NULL) == 0 &&
	    setgid(pw->pw_gid) == 0 && setuid(pw->pw_uid) == 0 &&
	    getuid() == pw->pw_uid && geteuid() == pw->pw_uid &&
	    getgid() == pw->pw_gid && getegid() == pw->pw_gid &&
	    setuid(0) == -1 && seteuid(0) == -1;
}

/* In the child: 'A' and an answer, or 'E' and a text. */
static void
child(const struct hop *h, const struct passwd *pw, int fd)
{
	const struct danevirke_answer *a = NULL;
	char why[TEXT_LEN] = "", *buf = NULL;
	size_t len = 0;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGALRM, SIG_DFL);
	alarm(CHILD_SECONDS);
	if (!become(pw))
		snprintf(why, sizeof why, "cannot become %s: %s", pw->pw_name,
		    strerror(errno));
	else if ((a = ask(h, why)) != NULL) {
		len = shim.dv->pack(a, NULL, 0);
		if (len > MAX_PACKED || (buf = malloc(len)) == NULL ||
		    shim.dv->pack(a, buf, len) != len) {
			snprintf(why, sizeof why, "the answer does not fit");
			a = NULL;
		}
	}
	if (a != NULL)
		_exit(write_all(fd, "A", 1) && write_all(fd, buf, len) ? 0 : 1);
	write_all(fd, "E", 1);
	write_all(fd, why, strlen(why));
	_exit(1);
}

/* Seconds; whoever sets the machine's clock does not change them. */
static time_t
ticks(void)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* All that the child says, at most max, until the deadline; or -1. */
static ssize_t
read_all(int fd, char *buf, size_t max)
{
	struct pollfd p = { fd, POLLIN, 0 };
	time_t end = ticks() + CHILD_SECONDS + 5, now;
	size_t len = 0;
	ssize_t n;

	for (;;) {
		if ((now = ticks()) >= end || len == max)
			return -1;
		n = poll(&p, 1, (int)(end - now) * 1000);
		if (n == 0 || (n == -1 && errno != EINTR))
			return -1;
		if (n == -1)
			continue;
		if ((n = read(fd, buf + len, max - len)) == 0)
			return (ssize_t)len;
		if (n == -1 && errno != EINTR)
			return -1;
		if (n > 0)
			len += (size_t)n;
	}
}

static const struct danevirke_answer *
take(const char *buf, ssize_t len, char *why)
{
	const struct danevirke_answer *a = NULL;
	struct danevirke_error err;

	if (len > 1 && buf[0] == 'A') {
		a = shim.dv->unpack(buf + 1, (size_t)len - 1, &err);
		if (a == NULL)
			snprintf(why, TEXT_LEN, "%.1000s", err.text);
	} else if (len > 1 && buf[0] == 'E')
		snprintf(why, TEXT_LEN, "%.*s", (int)(len - 1), buf + 1);
	else
		snprintf(why, TEXT_LEN,
		    "the process that asks DNS died or "
		    "gave no answer");
	return a;
}

/* As root: parses no packet and starts no resolver itself. */
static const struct danevirke_answer *
ask_as_user(const struct hop *h, char *why)
{
	const struct danevirke_answer *a = NULL;
	sigset_t block, old;
	struct passwd *pw;
	const char *user;
	char *buf = NULL;
	int fd[2];
	pid_t pid;

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
		child(h, pw, fd[1]);
	}
	close(fd[1]);
	if (pid == -1)
		snprintf(why, TEXT_LEN, "fork: %s", strerror(errno));
	else {
		if ((buf = malloc(MAX_PACKED + 2)) != NULL)
			a = take(
			    buf, read_all(fd[0], buf, MAX_PACKED + 2), why);
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
			;
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(fd[0]);
	free(buf);
	return a;
}

/* ------------------------------------------------------------ keeping */

static struct known *
find(const struct hop *h)
{
	struct known *k;

	for (k = known; k != NULL; k = k->next)
		if (strcmp(k->name, h->name) == 0 &&
		    strcmp(k->profile, h->profile) == 0)
			break;
	return k;
}

const struct danevirke_answer *
answer_known(const struct hop *h)
{
	const struct known *k = find(h);

	return k == NULL ? NULL : k->answer;
}

/* D15 */
static bool
is_fresh(const struct known *k)
{
	struct timespec now;

	return clock_gettime(CLOCK_BOOTTIME, &now) == 0 &&
	    (uint64_t)now.tv_sec <= k->answer->expires;
}

static struct known *
known_new(const struct hop *h)
{
	struct known *k = calloc(1, sizeof *k);

	if (k == NULL)
		return NULL;
	k->name = strdup(h->name);
	k->profile = strdup(h->profile);
	if (k->name == NULL || k->profile == NULL) {
		free(k->name);
		free(k->profile);
		free(k);
		return NULL;
	}
	k->next = known;
	known = k;
	n_known++;
	return k;
}

const struct danevirke_answer *
answer_route(const struct hop *h, char *why)
{
	const struct danevirke_answer *a;
	struct known *k = find(h);

	if (k != NULL && is_fresh(k))
		return k->answer;
	if (k == NULL && n_known >= MAX_KNOWN) {
		snprintf(why, TEXT_LEN, "more than %d domains in one process",
		    MAX_KNOWN);
		return NULL;
	}
	a = geteuid() == 0 || getuid() == 0 ? ask_as_user(h, why) : ask(h, why);
	if (a == NULL)
		return NULL;
	if (k == NULL && (k = known_new(h)) == NULL) {
		shim.dv->release(a);
		snprintf(why, TEXT_LEN, "out of memory");
		return NULL;
	}
	shim.dv->release(k->answer);
	k->answer = a;
	return a;
}

const struct danevirke_answer *
answer_fresh(const struct hop *h, char *why)
{
	if (h->kind != DANEVIRKE_RELAY && find(h) == NULL) {
		snprintf(why, TEXT_LEN,
		    "not routed by danevirke_route in "
		    "this process");
		return NULL;
	}
	return answer_route(h, why);
}

bool
answer_used(const struct hop *h, const char *address)
{
	struct used *u;

	for (u = used; u != NULL; u = u->next)
		if (strcmp(u->name, h->name) == 0 &&
		    strcmp(u->address, address) == 0)
			return true;
	if ((u = calloc(1, sizeof *u)) == NULL)
		return false;
	u->name = strdup(h->name);
	u->address = strdup(address);
	if (u->name == NULL || u->address == NULL) {
		free(u->name);
		free(u->address);
		free(u);
		return false;
	}
	u->next = used;
	used = u;
	return true;
}

static bool
has_address(const struct danevirke_answer *a, const char *address)
{
	size_t i, j;

	for (i = 0; i < a->n_hosts; i++)
		for (j = 0; j < a->hosts[i].n_addrs; j++)
			if (strcmp(a->hosts[i].addrs[j].text, address) == 0)
				return true;
	return false;
}

static bool
demands_tls(const struct danevirke_answer *a)
{
	size_t i;

	for (i = 0; i < a->n_hosts; i++)
		if (a->hosts[i].action == DANEVIRKE_ENCRYPT ||
		    a->hosts[i].action == DANEVIRKE_AUTHENTICATE)
			return true;
	return false;
}

const char *
answer_conflict(const struct hop *h, const struct danevirke_answer *a)
{
	const struct used *u;

	for (u = demands_tls(a) ? used : NULL; u != NULL; u = u->next)
		if (strcmp(u->name, h->name) != 0 && has_address(a, u->address))
			return u->name;
	return NULL;
}

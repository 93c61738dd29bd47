/* SPDX-License-Identifier: ISC */
/*
 * The relay child: what the parent says on the control socket, the listening
 * sockets, and how much is done at a time.
 *
 * A limit is met by not accepting: smtpd's connection waits in the listening
 * socket until a session ends.  Any answer instead would do harm: 421 disables
 * smtpd's route for 15 seconds and more, and 451 to MAIL delays the message by
 * 400, where most sessions end within one.
 */
#include <sys/socket.h>

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "relay.h"

#define BUCKETS 4096
#define ACCEPTS 8     /* connections taken in one turn */
#define SHORTAGE 1    /* seconds without new ones if descriptors are short */
#define LINGER 6      /* seconds for the QUITs that are still under way */
#define RESERVE 640   /* descriptors for DNS, 512, and other than sessions */
#define PRIME 8       /* seconds until DNS can be asked */
#define PER_SESSION 3 /* smtpd, upstream, and one that takes its leave */

struct relay_state {
	struct hub hub;
	struct shim shim;
	struct domain *bucket[BUCKETS];
	struct event *control, *usr1, *short_timer, *end, *beat;
	bool full;  /* the limit for all is met: nobody accepts */
	bool ended; /* event_base_loopexit() was called */
};

/* There is one relay in a process; the sessions know its hub only. */
static struct relay_state *
state_of(struct hub *hub)
{
	return (struct relay_state *)(void *)((char *)hub -
	    offsetof(struct relay_state, hub));
}

uint64_t
boottime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec;
}

/* --------------------------------------------------------------- domains */

static void
domain_unref(struct domain *d)
{
	if (--d->refs == 0)
		free(d);
}

static void
domain_close(struct domain *d)
{
	if (d->accept != NULL)
		event_free(d->accept);
	d->accept = NULL;
	if (d->fd != -1)
		close(d->fd);
	d->fd = -1;
}

static void
domain_remove(struct relay_state *r, uint32_t addr, uint32_t port)
{
	struct domain **p, *d;

	for (p = &r->bucket[addr % BUCKETS]; (d = *p) != NULL; p = &d->next)
		if (d->addr == addr && d->port == port) {
			*p = d->next;
			domain_close(d);
			domain_unref(d);
			return;
		}
}

static void
domains_remove(struct relay_state *r)
{
	struct domain *d;
	size_t i;

	for (i = 0; i < BUCKETS; i++)
		while ((d = r->bucket[i]) != NULL)
			domain_remove(r, d->addr, d->port);
}

/* The limits, anew. */
static void
domain_listen(struct relay_state *r, struct domain *d)
{
	bool on;

	if (d->accept == NULL)
		return;
	on = !r->full && d->sessions < r->hub.set->relay_max_per_domain;
	if (on && d->paused)
		event_add(d->accept, NULL);
	else if (!on && !d->paused)
		event_del(d->accept);
	d->paused = !on;
}

static void
listen_all(struct relay_state *r, bool full)
{
	struct domain *d;
	size_t i;

	if (r->full == full)
		return;
	r->full = full;
	for (i = 0; i < BUCKETS; i++)
		for (d = r->bucket[i]; d != NULL; d = d->next)
			domain_listen(r, d);
}

/* The last session is gone and no more will come. */
static void
end_when_idle(struct relay_state *r)
{
	struct timeval tv = { .tv_sec = LINGER };

	if (!r->hub.draining || r->hub.sessions > 0 || r->ended)
		return;
	r->ended = true;
	event_base_loopexit(r->hub.base, &tv);
}

void
domain_leave(struct hub *hub, struct domain *d)
{
	struct relay_state *r = state_of(hub);

	d->sessions--;
	hub->sessions--;
	if (!event_pending(r->short_timer, EV_TIMEOUT, NULL))
		listen_all(r, false);
	domain_listen(r, d);
	domain_unref(d);
	end_when_idle(r);
}

void
domain_failed(struct hub *hub, struct domain *d, const struct refusal *why)
{
	d->failure = *why;
	d->until = boottime() + hub->set->relay_failure_ttl;
}

const struct refusal *
domain_failure(const struct domain *d)
{
	return d->failure.code != 0 && boottime() < d->until ? &d->failure :
							       NULL;
}

/* ------------------------------------------------------------- accepting */

static void control_read(struct relay_state *);

static void
on_shortage_over(int fd, short what, void *arg)
{
	struct relay_state *r = arg;

	(void)fd;
	(void)what;
	event_add(r->control, NULL);
	listen_all(r, r->hub.sessions >= r->hub.max_sessions);
}

static void
short_of(struct relay_state *r, int e)
{
	struct timeval tv = { .tv_sec = SHORTAGE };

	say(LOG_ERR, "no new sessions or domains for %d s: %s", SHORTAGE,
	    strerror(e));
	event_add(r->short_timer, &tv);
	event_del(r->control);
	listen_all(r, true);
}

static void
stranger(struct relay_state *r, struct domain *d, int fd, const char *why)
{
	static const char text[] = "554 5.7.1 this relay serves smtpd only\r\n";

	r->hub.count[COUNT_STRANGERS]++;
	say(LOG_WARNING, "%s: connection refused: %s", d->name, why);
	(void)!send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/* False: no more for now. */
static bool
accept_one(struct relay_state *r, struct domain *d)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	char why[160];
	int fd, on = 1;

	fd = accept4(d->fd, (struct sockaddr *)&from, &len,
	    SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			short_of(r, errno);
		return false; /* EAGAIN, or gone before it was accepted */
	}
	if (!guard_client(&r->hub, fd, d->addr, d->port, why, sizeof why)) {
		stranger(r, d, fd, why);
		return true;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	d->refs++;
	d->sessions++;
	r->hub.sessions++;
	r->hub.count[COUNT_SESSIONS]++;
	session_new(&r->hub, d, fd, &from);
	if (r->hub.sessions >= r->hub.max_sessions ||
	    d->sessions >= r->hub.set->relay_max_per_domain)
		r->hub.count[COUNT_PAUSED]++;
	if (r->hub.sessions >= r->hub.max_sessions)
		listen_all(r, true);
	domain_listen(r, d);
	return !d->paused;
}

static void
on_accept(int fd, short what, void *arg)
{
	struct domain *d = arg;
	struct relay_state *r = state_of(d->hub);
	int n;

	(void)fd;
	(void)what;
	d->refs++;
	control_read(r); /* the address may have changed hands */
	for (n = 0; d->accept != NULL && !d->paused && n < ACCEPTS; n++)
		if (!accept_one(r, d))
			break;
	domain_unref(d);
}

/* --------------------------------------------------------------- control */

static void
add(struct relay_state *r, const struct relay_msg *m, int fd)
{
	struct domain *d = NULL, **p;

	if (m->addr >> 24 == IN_LOOPBACKNET && m->port > 0 &&
	    m->port <= UINT16_MAX && m->domain[0] != '\0' && !r->hub.draining)
		d = calloc(1, sizeof *d);
	if (d == NULL) {
		say(LOG_ERR, "control: an alias of no use, for \"%s\"",
		    m->domain);
		close(fd);
		return;
	}
	domain_remove(r, m->addr, m->port);
	d->hub = &r->hub;
	d->addr = m->addr;
	d->port = (uint16_t)m->port;
	snprintf(d->name, sizeof d->name, "%s", m->domain);
	d->fd = fd;
	d->refs = 1;
	d->paused = true;
	d->accept = event_new(
	    r->hub.base, fd, EV_READ | EV_PERSIST, on_accept, d);
	if (d->accept == NULL) {
		say(LOG_ERR, "%s: out of memory", d->name);
		domain_close(d);
		free(d);
		return;
	}
	p = &r->bucket[d->addr % BUCKETS];
	d->next = *p;
	*p = d;
	domain_listen(r, d);
}

static void
on_drain_max(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	say(LOG_WARNING, "sessions after %d s: giving them up",
	    RELAY_DRAIN_MAX);
	_exit(0);
}

static void
drain(struct relay_state *r)
{
	struct timeval tv = { .tv_sec = RELAY_DRAIN_MAX - LINGER };

	if (r->hub.draining)
		return;
	r->hub.draining = true;
	domains_remove(r);
	say(LOG_INFO, "relay: ending when %u sessions have ended",
	    r->hub.sessions);
	event_add(r->end, &tv);
	end_when_idle(r);
}

static void
on_message(struct relay_state *r, const struct relay_msg *m, int fd)
{
	switch (m->op) {
	case RELAY_ADD:
		if (fd == -1)
			say(LOG_ERR, "control: no descriptor for %s",
			    m->domain);
		else
			add(r, m, fd);
		return;
	case RELAY_REMOVE:
		domain_remove(r, m->addr, m->port);
		break;
	case RELAY_DRAIN:
		drain(r);
		break;
	default:
		say(LOG_ERR, "control: operation %u is not known", m->op);
	}
	if (fd != -1)
		close(fd);
}

/* 1: one message, 0: none there. */
static int
control_one(struct relay_state *r)
{
	struct relay_msg m;
	struct iovec iov = { &m, sizeof m };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	struct msghdr h = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &c,
		/* one descriptor: what is behind it has no place */
		.msg_controllen = CMSG_LEN(sizeof(int)) };
	struct cmsghdr *p;
	int fd;
	ssize_t n;

	/* The kernel drops a descriptor that has no place, and its domain would
	 * have nobody: so there must be one before it comes. */
	if ((fd = dup(r->hub.args->control)) == -1) {
		short_of(r, errno);
		return 0;
	}
	close(fd);
	fd = -1;
	n = recvmsg(r->hub.args->control, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) /* the parent is gone */
		_exit(0);
	p = CMSG_FIRSTHDR(&h);
	if (p != NULL && p->cmsg_level == SOL_SOCKET &&
	    p->cmsg_type == SCM_RIGHTS && p->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(p), sizeof fd);
	if (n != (ssize_t)sizeof m || (h.msg_flags & MSG_TRUNC) != 0 ||
	    m.domain[sizeof m.domain - 1] != '\0') {
		say(LOG_ERR, "control: a message of %zd octets, want %zu", n,
		    sizeof m);
		if (fd != -1)
			close(fd);
		return 1;
	}
	on_message(r, &m, fd);
	return 1;
}

static void
control_read(struct relay_state *r)
{
	while (control_one(r) == 1)
		;
}

static void
on_control(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	control_read(arg);
}

/* ----------------------------------------------------------------- start */

static void
on_usr1(int fd, short what, void *arg)
{
	const struct relay_state *r = arg;
	const uint64_t *n = r->hub.count;

	(void)fd;
	(void)what;
	say(LOG_INFO,
	    "counters: sessions %u now %" PRIu64 " in all %" PRIu64
	    " refused %" PRIu64 " limits; upstream %" PRIu64 ": dane %" PRIu64
	    " dane-insecure-mx %" PRIu64 " encrypt %" PRIu64
	    " opportunistic-tls %" PRIu64 " clear %" PRIu64
	    "; deferred %" PRIu64 " bounced %" PRIu64 "; messages %" PRIu64
	    " taken %" PRIu64 " later %" PRIu64 " refused %" PRIu64 " broken",
	    r->hub.sessions, n[COUNT_SESSIONS], n[COUNT_STRANGERS],
	    n[COUNT_PAUSED], n[COUNT_UPSTREAM], n[COUNT_DANE],
	    n[COUNT_DANE_INSECURE_MX], n[COUNT_ENCRYPT], n[COUNT_TLS],
	    n[COUNT_CLEAR], n[COUNT_DEFERRED], n[COUNT_BOUNCED], n[COUNT_TAKEN],
	    n[COUNT_LATER], n[COUNT_REFUSED], n[COUNT_BROKEN]);
}

static void
on_beat(int fd, short what, void *arg)
{
	const struct relay_state *r = arg;

	(void)fd;
	(void)what;
	(void)!send(r->hub.args->control, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
on_log(void *arg, int level, const char *text)
{
	(void)arg;
	say(level, "%s", text);
}

/* The processes that ask DNS cannot be had any more: the parent starts another
 * relay, with others. */
static void
on_lost(void *arg)
{
	struct relay_state *r = arg;

	event_base_loopbreak(r->hub.base);
}

/* They need files, and a fork: before both are out of reach.  False, and the
 * log says why, if they cannot work. */
static bool
resolve(struct relay_state *r)
{
	struct resolver_options o = { .dv = r->hub.dv,
		.config = r->hub.args->config,
		.exec = true,
		.keep_fresh = true,
		.uid = r->hub.uid,
		.log = on_log,
		.lost = on_lost,
		.arg = r };
	struct danevirke_error err = { 0 };

	r->hub.resolver = resolver_new(r->hub.base, &o, &err);
	if (r->hub.resolver != NULL &&
	    resolver_warm(r->hub.resolver, PRIME, &err))
		return true;
	say(LOG_ERR, "%s: %s", r->hub.args->config, err.text);
	return false;
}

/* As many sessions as there are descriptors for. */
static void
limit(struct hub *hub)
{
	unsigned want = hub->set->relay_max_sessions;
	struct rlimit rl;

	hub->max_sessions = want;
	if (getrlimit(RLIMIT_NOFILE, &rl) == -1 ||
	    rl.rlim_cur == RLIM_INFINITY ||
	    rl.rlim_cur >=
		(rlim_t)want * PER_SESSION + RESERVE + hub->args->max)
		return;
	if (rl.rlim_cur <= RESERVE + hub->args->max)
		hub->max_sessions = 1;
	else
		hub->max_sessions = (unsigned)(rl.rlim_cur - RESERVE -
					hub->args->max) /
			PER_SESSION +
		    1;
	say(LOG_WARNING,
	    "relay.limits.sessions: %u, but %llu descriptors are enough for "
	    "%u",
	    want, (unsigned long long)rl.rlim_cur, hub->max_sessions);
}

static bool
open_all(struct relay_state *r)
{
	struct danevirke_options o = {
		.size = sizeof o, .config = r->hub.args->config, .log = on_log
	};
	struct hub *hub = &r->hub;
	struct danevirke_error err = { 0 };

	if (shim_load(&r->shim, NULL, &err) != 0) {
		say(LOG_ERR, "%s", err.text);
		return false;
	}
	hub->dv = r->shim.dv;
	if ((hub->base = event_base_new()) == NULL) {
		say(LOG_ERR, "out of memory or descriptors");
		return false;
	}
	o.base = hub->base;
	if ((hub->engine = hub->dv->open(&o, &err)) == NULL) {
		say(LOG_ERR, "%s", err.text);
		return false;
	}
	hub->set = hub->dv->settings(hub->engine);
	limit(hub);
	r->control = event_new(
	    hub->base, hub->args->control, EV_READ | EV_PERSIST, on_control, r);
	r->usr1 = evsignal_new(hub->base, SIGUSR1, on_usr1, r);
	r->short_timer = evtimer_new(hub->base, on_shortage_over, r);
	r->end = evtimer_new(hub->base, on_drain_max, r);
	r->beat = event_new(hub->base, -1, EV_PERSIST, on_beat, r);
	if (r->control == NULL || r->usr1 == NULL || r->short_timer == NULL ||
	    r->end == NULL || r->beat == NULL ||
	    event_add(r->usr1, NULL) != 0) {
		say(LOG_ERR, "out of memory or descriptors");
		return false;
	}
	return guard_open(hub) == 0 && resolve(r) && guard_close(hub) == 0 &&
	    event_add(r->control, NULL) == 0;
}

static void
close_all(struct relay_state *r)
{
	domains_remove(r);
	if (r->control != NULL)
		event_free(r->control);
	if (r->usr1 != NULL)
		event_free(r->usr1);
	if (r->short_timer != NULL)
		event_free(r->short_timer);
	if (r->end != NULL)
		event_free(r->end);
	if (r->beat != NULL)
		event_free(r->beat);
	resolver_free(r->hub.resolver);
	if (r->hub.engine != NULL)
		r->hub.dv->close(r->hub.engine);
	if (r->hub.base != NULL)
		event_base_free(r->hub.base);
	if (r->hub.diag > 0)
		close(r->hub.diag);
	starttls_cleanup();
	shim_unload(&r->shim);
	free(r);
}

int
relay_run(const struct relay_args *args)
{
	struct timeval beat = { .tv_sec = RELAY_BEAT };
	struct relay_state *r = calloc(1, sizeof *r);
	int status = 1;

	if (r == NULL) {
		say(LOG_ERR, "out of memory");
		return status;
	}
	r->hub.args = args;
	if (open_all(r)) {
		say(LOG_INFO, "relay: ready, %s", args->config);
		on_beat(-1, 0, r);
		event_add(r->beat, &beat);
		if (event_base_dispatch(r->hub.base) != -1 && r->ended)
			status = 0;
	}
	close_all(r);
	return status;
}

/* SPDX-License-Identifier: ISC */
/*
 * The relay child: what the parent says on the control socket, the listening
 * sockets, and how much is done at a time.
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
#include <unistd.h>

#include "relay.h"

#define ACCEPTS 8     /* connections taken in one turn */
#define SHORTAGE 1    /* seconds without new ones if descriptors are short */
#define LINGER 6      /* seconds for the QUITs that are still under way */
#define RESERVE 640   /* descriptors for DNS, 512, and other than sessions */
#define PRIME 8       /* seconds until DNS can be asked */
#define PER_SESSION 3 /* smtpd, upstream, and one that takes its leave */

struct relay_state {
	struct hub hub;
	struct shim shim;
	struct event *control, *usr1, *short_timer, *end, *beat;
	bool ended; /* event_base_loopexit() was called */
};

/* There is one relay in a process; the sessions know its hub only. */
static struct relay_state *
relay_of(struct hub *hub)
{
	return (struct relay_state *)(void *)((char *)hub -
	    offsetof(struct relay_state, hub));
}

/* The last session is gone and no more will come.  Its QUIT may be under way. */
static void
relay_on_idle(int fd, short what, void *arg)
{
	struct relay_state *r = arg;
	const uint64_t end = r->hub.left + LINGER, now = hub_now();
	struct timeval tv = { 0 };

	(void)fd;
	(void)what;
	if (r->ended)
		return;
	r->ended = true;
	if (r->hub.left != 0 && end > now)
		tv.tv_sec = (time_t)(end - now);
	event_base_loopexit(r->hub.base, &tv);
}

/* ------------------------------------------------------------- accepting */

static void relay_control_read(struct relay_state *);

static void
relay_on_shortage_over(int fd, short what, void *arg)
{
	struct relay_state *r = arg;

	(void)fd;
	(void)what;
	event_add(r->control, NULL);
	r->hub.shortage = false;
	domains_listen(&r->hub);
}

static void
relay_short_of(struct relay_state *r, int e)
{
	struct timeval tv = { .tv_sec = SHORTAGE };

	log_line(LOG_ERR, "no new sessions or domains for %d s: %s", SHORTAGE,
	    strerror(e));
	event_add(r->short_timer, &tv);
	event_del(r->control);
	r->hub.shortage = true;
	domains_listen(&r->hub);
}

static void
relay_refuse(struct relay_state *r, struct domain *d, int fd, const char *why)
{
	/* for now: it may be the mail server, and relay.user wrong */
	static const char text[] =
	    "421 4.7.1 this relay serves other users only\r\n";

	r->hub.count[COUNT_STRANGERS]++;
	log_line(LOG_WARNING, "%s: connection refused: %s", d->name, why);
	(void)!send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/* False: no more for now. */
static bool
relay_accept(struct relay_state *r, struct domain *d)
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
			relay_short_of(r, errno);
		return false; /* EAGAIN, or gone before it was accepted */
	}
	if (!guard_client(
		&r->hub.guard, fd, d->addr, d->port, why, sizeof why)) {
		relay_refuse(r, d, fd, why);
		return true;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	domain_enter(d);
	session_new(d, fd, &from);
	return !d->paused;
}

static void
relay_on_accept(int fd, short what, void *arg)
{
	struct domain *d = arg;
	struct relay_state *r = relay_of(d->hub);
	int n;

	(void)fd;
	(void)what;
	domain_ref(d);
	relay_control_read(r); /* the address may have changed hands */
	for (n = 0; d->accept != NULL && !d->paused && n < ACCEPTS; n++)
		if (!relay_accept(r, d))
			break;
	domain_unref(d);
}

/* --------------------------------------------------------------- control */

static void
relay_add(struct relay_state *r, const struct relay_msg *m, int fd)
{
	if (m->addr >> 24 != IN_LOOPBACKNET || m->port == 0 ||
	    m->port > UINT16_MAX || m->domain[0] == '\0' || r->hub.draining) {
		log_line(LOG_ERR, "control: an alias of no use, for \"%s\"",
		    m->domain);
		close(fd);
	} else if (!domain_add(&r->hub, m, fd, relay_on_accept))
		log_line(LOG_ERR, "%s: out of memory", m->domain);
}

static void
relay_on_drain_max(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	log_line(LOG_WARNING, "sessions after %d s: giving them up",
	    RELAY_DRAIN_MAX);
	_exit(0);
}

static void
relay_drain(struct relay_state *r)
{
	struct timeval tv = { .tv_sec = RELAY_DRAIN_MAX - LINGER };

	if (r->hub.draining)
		return;
	r->hub.draining = true;
	domains_remove(&r->hub);
	log_line(LOG_INFO, "relay: ending when %u sessions have ended",
	    r->hub.sessions);
	event_add(r->end, &tv);
	if (r->hub.sessions == 0)
		event_active(r->hub.idle, 0, 0);
}

static void
relay_on_message(struct relay_state *r, const struct relay_msg *m, int fd)
{
	switch (m->op) {
	case RELAY_ADD:
		if (fd == -1)
			log_line(LOG_ERR, "control: no descriptor for %s",
			    m->domain);
		else
			relay_add(r, m, fd);
		return;
	case RELAY_REMOVE:
		domain_remove(&r->hub, m->addr, m->port);
		break;
	case RELAY_DRAIN:
		relay_drain(r);
		break;
	default:
		log_line(LOG_ERR, "control: operation %u is not known", m->op);
	}
	if (fd != -1)
		close(fd);
}

/* 1: one message, 0: none there. */
static int
relay_control_one(struct relay_state *r)
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
		relay_short_of(r, errno);
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
		log_line(LOG_ERR, "control: a message of %zd octets, want %zu",
		    n, sizeof m);
		if (fd != -1)
			close(fd);
		return 1;
	}
	relay_on_message(r, &m, fd);
	return 1;
}

static void
relay_control_read(struct relay_state *r)
{
	while (relay_control_one(r) == 1)
		;
}

static void
relay_on_control(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	relay_control_read(arg);
}

/* ----------------------------------------------------------------- start */

static void
relay_on_usr1(int fd, short what, void *arg)
{
	const struct relay_state *r = arg;
	const uint64_t *n = r->hub.count;

	(void)fd;
	(void)what;
	log_line(LOG_INFO,
	    "counters: sessions %u now %" PRIu64 " in all %" PRIu64
	    " refused %" PRIu64 " limits; upstream %" PRIu64 ": dane %" PRIu64
	    " dane-insecure-mx %" PRIu64 " mta-sts %" PRIu64 " encrypt %" PRIu64
	    " opportunistic-tls %" PRIu64 " clear %" PRIu64
	    "; deferred %" PRIu64 " bounced %" PRIu64 "; messages %" PRIu64
	    " taken %" PRIu64 " later %" PRIu64 " refused %" PRIu64 " broken",
	    r->hub.sessions, n[COUNT_SESSIONS], n[COUNT_STRANGERS],
	    n[COUNT_PAUSED], n[COUNT_UPSTREAM], n[COUNT_DANE],
	    n[COUNT_DANE_INSECURE_MX], n[COUNT_MTA_STS], n[COUNT_ENCRYPT],
	    n[COUNT_TLS], n[COUNT_CLEAR], n[COUNT_DEFERRED], n[COUNT_BOUNCED],
	    n[COUNT_TAKEN], n[COUNT_LATER], n[COUNT_REFUSED], n[COUNT_BROKEN]);
}

static void
relay_on_beat(int fd, short what, void *arg)
{
	const struct relay_state *r = arg;
	struct relay_beat b = { .sessions = r->hub.sessions };

	(void)fd;
	(void)what;
	memcpy(b.count, r->hub.count, sizeof b.count);
	(void)!send(
	    r->hub.args->control, &b, sizeof b, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
relay_on_log(void *arg, int level, const char *text)
{
	(void)arg;
	log_line(level, "%s", text);
}

/* The processes that ask DNS cannot be had any more: the parent starts another
 * relay, with others. */
static void
relay_on_lost(void *arg)
{
	struct relay_state *r = arg;

	event_base_loopbreak(r->hub.base);
}

/* They need files, and a fork: before both are out of reach.  False, and the
 * log says why, if they cannot work. */
static bool
relay_resolve(struct relay_state *r)
{
	struct resolver_options o = { .dv = r->hub.dv,
		.config = r->hub.args->config,
		.exec = true,
		.flags = DANEVIRKE_KEEP_FRESH,
		.uid = r->hub.guard.uids[0],
		.log = relay_on_log,
		.lost = relay_on_lost,
		.arg = r };
	struct danevirke_error err = { 0 };

	r->hub.resolver = resolver_new(r->hub.base, &o, &err);
	if (r->hub.resolver != NULL &&
	    resolver_warm(r->hub.resolver, PRIME, &err))
		return true;
	log_line(LOG_ERR, "%s: %s", r->hub.args->config, err.text);
	return false;
}

/* As many sessions as there are descriptors for. */
static void
relay_limit(struct hub *hub)
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
	log_line(LOG_WARNING,
	    "relay.limits.sessions: %u, but %llu descriptors are enough for %u",
	    want, (unsigned long long)rl.rlim_cur, hub->max_sessions);
}

static bool
relay_open(struct relay_state *r)
{
	struct danevirke_options o = { .size = sizeof o,
		.config = r->hub.args->config,
		.log = relay_on_log };
	const struct danevirke_profile *p;
	struct hub *hub = &r->hub;
	struct danevirke_error err = { 0 };

	if (shim_load(&r->shim, NULL, &err) != 0) {
		log_line(LOG_ERR, "%s", err.text);
		return false;
	}
	hub->dv = r->shim.dv;
	if ((hub->base = event_base_new()) == NULL) {
		log_line(LOG_ERR, "out of memory or descriptors");
		return false;
	}
	o.base = hub->base;
	if ((hub->engine = hub->dv->open(&o, &err)) == NULL) {
		log_line(LOG_ERR, "%s", err.text);
		return false;
	}
	hub->set = hub->dv->settings(hub->engine);
	p = hub->dv->profile(hub->engine, hub->set->relay_profile);
	if (p != NULL && p->mta_sts == 1)
		hub->ca_file = hub->set->mta_sts_ca_file;
	relay_limit(hub);
	r->control = event_new(hub->base, hub->args->control,
	    EV_READ | EV_PERSIST, relay_on_control, r);
	r->usr1 = evsignal_new(hub->base, SIGUSR1, relay_on_usr1, r);
	r->short_timer = evtimer_new(hub->base, relay_on_shortage_over, r);
	r->end = evtimer_new(hub->base, relay_on_drain_max, r);
	r->beat = event_new(hub->base, -1, EV_PERSIST, relay_on_beat, r);
	hub->idle = event_new(hub->base, -1, 0, relay_on_idle, r);
	if (r->control == NULL || r->usr1 == NULL || r->short_timer == NULL ||
	    r->end == NULL || r->beat == NULL || hub->idle == NULL ||
	    event_add(r->usr1, NULL) != 0) {
		log_line(LOG_ERR, "out of memory or descriptors");
		return false;
	}
	return guard_open(hub) == 0 && relay_resolve(r) &&
	    (!hub->args->last_words || last_open() == 0) &&
	    guard_close(hub) == 0 && event_add(r->control, NULL) == 0;
}

static void
relay_close(struct relay_state *r)
{
	struct event *const all[] = { r->control, r->usr1, r->short_timer,
		r->end, r->beat, r->hub.idle };
	size_t i;

	domains_remove(&r->hub);
	for (i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] != NULL)
			event_free(all[i]);
	resolver_free(r->hub.resolver);
	if (r->hub.engine != NULL)
		r->hub.dv->close(r->hub.engine);
	if (r->hub.base != NULL)
		event_base_free(r->hub.base);
	if (r->hub.guard.diag > 0)
		close(r->hub.guard.diag);
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
		log_line(LOG_ERR, "out of memory");
		return status;
	}
	r->hub.args = args;
	if (relay_open(r)) {
		log_line(LOG_INFO, "relay: ready, %s", args->config);
		relay_on_beat(-1, 0, r);
		event_add(r->beat, &beat);
		if (event_base_dispatch(r->hub.base) != -1 && r->ended)
			status = 0;
		relay_on_beat(-1, 0, r);
	}
	relay_close(r);
	return status;
}

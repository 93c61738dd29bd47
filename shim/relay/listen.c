/* SPDX-License-Identifier: ISC */
/*
 * The listening sockets of the aliases.  An address is bound when it is given
 * out, and only then: nothing listens on 0.0.0.0, ever.
 *
 * What smtpd was told once it may connect to much later, with mail in the
 * clear.  So nobody else may ever listen there:
 * - A socket is never closed while its range and port are in use.  An address
 *   that the relay serves no more is held: when smtpd connects all the same, it
 *   is served again.  Any refusal instead would do harm: where smtpd has once
 *   been welcome it comes back every few seconds with the same messages, for
 *   ever, and does not ask for the address again.
 * - One that is held may become another domain's if there is no other left: the
 *   relay takes recipients of its own domain only.
 * - Those of a former range or port are given up only for want of descriptors,
 *   and if nobody has asked for them or connected to them for a day.
 *
 * What Linux lets other users do (each tried as another user, with none, one
 * and both of SO_REUSEADDR and SO_REUSEPORT):
 * - While one socket listens on an alias nobody can bind that port at the same
 *   address, 0.0.0.0, [::] (but IPv6 only) or [::ffff:alias], on device lo or
 *   on all; at another alias, anybody can.
 * - If both have SO_REUSEADDR and one of them does not listen, both are bound.
 *   That is not harmless: a bound socket can connect to smtpd's, and meets it
 *   in the middle if smtpd's own SYN was dropped because the queue was full.
 *   So ours is bound without it.
 * - SO_REUSEPORT is for one user.  It is what lets us bind where sessions of a
 *   relay that has ended are still in TIME_WAIT.
 */
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "process.h"

#define IDLE 600        /* seconds without a lookup: it may make room */
#define GRACE 2         /* more, for another to which smtpd only connects */
#define DAY 86400       /* seconds after which a former range may lose one */
#define PROBES 16       /* addresses tried if one cannot be bound */
#define FD_RESERVE 1024 /* descriptors for DNS and sessions, in the relay */
#define FD_OWN 32       /* other than listening sockets, in any parent */
#define ENTRIES 65536   /* listening sockets at most */
#define QUIET 60        /* seconds between two complaints of a full table */
#define WOKEN 16        /* addresses served again in one turn of the loop */

/* ----------------------------------------------------------------- sockets */

static int
listen_with(int option, uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd, on = 1, saved;

	sin.sin_addr.s_addr = htonl(addr);
	sin.sin_port = htons(port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, option, &on, sizeof on) == 0 &&
	    bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0 &&
	    listen(fd, SOMAXCONN) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
listen_at(uint32_t addr, uint16_t port)
{
	int fd, on = 1;

	/* fails if somebody listens, our own user's other table included */
	if ((fd = listen_with(SO_REUSEADDR, addr, port)) == -1)
		return -1;
	close(fd);
	/* fails if another user has as much as bound the address */
	if ((fd = listen_with(SO_REUSEPORT, addr, port)) == -1)
		return -1;
	/* its sessions have it from here, and a successor passes over them */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	return fd;
}

void
address_text(uint32_t addr, char buf[ADDRESS_LEN])
{
	struct in_addr in = { .s_addr = htonl(addr) };

	inet_ntop(AF_INET, &in, buf, ADDRESS_LEN);
}

/* ------------------------------------------------------------ held, served */

static void
listen_hold(struct relays *r, struct alias *a, uint64_t now)
{
	struct epoll_event e = { .events = EPOLLIN, .data = { .ptr = a } };

	alias_hold(r->aliases, a);
	/* smtpd may have connected until now */
	if (now - a->used > IDLE)
		a->used = now - IDLE;
	if (a->domain[0] == '\0')
		return; /* smtpd does not know of it */
	if (epoll_ctl(r->held, EPOLL_CTL_ADD, a->fd, &e) == -1)
		log_line(LOG_ERR, "%s: epoll: %s", a->domain, strerror(errno));
}

/* Relays may have a copy of the socket: epoll must be told. */
static void
listen_unwatch(struct relays *r, struct alias *a)
{
	struct epoll_event e = { 0 };

	epoll_ctl(r->held, EPOLL_CTL_DEL, a->fd, &e);
}

static void
listen_serve(struct relays *r, struct alias *a)
{
	listen_unwatch(r, a);
	a->told = false;
	if (r->now.pid != 0) {
		r->untold++;
		relays_tell(r);
	}
}

static void
listen_complain(
    struct relays *r, const char *domain, const char *why, uint64_t now)
{
	if (r->complained == 0 || now - r->complained >= QUIET) {
		log_line(LOG_ERR, "%s: no address: %s", domain, why);
		r->complained = now;
	}
}

/* One more can be served, if need be in place of one that is idle for so many
 * seconds. */
static bool
listen_make_room(
    struct relays *r, const char *domain, unsigned idle, uint64_t now)
{
	struct aliases *t = r->aliases;
	struct alias *a, *next;
	char why[160];

	for (a = alias_oldest(t, true);
	     a != NULL && alias_count(t, true) >= r->conf.max; a = next) {
		next = alias_newer(a);
		if (now - a->used < idle)
			continue;
		if (!relays_forget(r, a))
			break;
		listen_hold(r, a, now);
	}
	if (alias_count(t, true) < r->conf.max)
		return true;
	snprintf(why, sizeof why,
	    "all %u are in use, none idle for %d seconds: raise "
	    "relay.limits.domains",
	    r->conf.max, IDLE);
	listen_complain(r, domain, why, now);
	return false;
}

void
addresses_wake(struct relays *r, uint64_t now)
{
	struct epoll_event e[WOKEN];
	struct alias *a;
	char text[ADDRESS_LEN];
	int i, n = epoll_wait(r->held, e, WOKEN, 0);

	for (i = 0; i < n; i++) {
		a = e[i].data.ptr;
		if (!listen_make_room(r, a->domain, IDLE + GRACE, now)) {
			r->wake = now + 1;
			return;
		}
		/* Strangers can connect, too: for lookups it is idle. */
		if (now - a->used > IDLE || !alias_present(r->aliases, a))
			a->used = now - IDLE;
		alias_wake(r->aliases, a);
		address_text(a->addr, text);
		log_line(LOG_DEBUG, "%s is still at %s", a->domain, text);
		listen_serve(r, a);
	}
}

/* --------------------------------------------------------------- addresses */

/* Room in the table, at the cost of a former range if need be. */
static bool
listen_make_entry(struct relays *r, uint64_t now)
{
	struct aliases *t = r->aliases;
	struct alias *a;

	if (!alias_full(t))
		return true;
	for (a = alias_oldest(t, false); a != NULL; a = alias_newer(a))
		if (!alias_present(t, a) && now - a->used >= DAY) {
			listen_unwatch(r, a);
			close(a->fd);
			alias_remove(t, a);
			return true;
		}
	return false;
}

/* Listening and held, at an address that nobody was told; or NULL, and why. */
static struct alias *
listen_fresh(
    struct relays *r, const char *domain, uint64_t now, char *why, size_t len)
{
	struct aliases *t = r->aliases;
	struct alias *a;
	char text[ADDRESS_LEN];
	unsigned n;

	if (!listen_make_entry(r, now)) {
		snprintf(why, len,
		    "all %u descriptors for addresses are in use: those of a "
		    "former range or port are held for a day: raise the limit "
		    "of open files",
		    alias_count(t, true) + alias_count(t, false));
		return NULL;
	}
	if ((a = alias_add(t, domain, now)) == NULL) {
		snprintf(why, len, "all of relay.aliases are in use");
		return NULL;
	}
	for (n = 1; n <= PROBES; n++) {
		a->fd = listen_at(a->addr, a->port);
		if (a->fd != -1) {
			listen_hold(r, a, now);
			return a;
		}
		if (errno != EADDRINUSE || n == PROBES || !alias_move(t, a, n))
			break;
	}
	address_text(a->addr, text);
	snprintf(why, len, "cannot listen on %s port %u: %s", text, a->port,
	    strerror(errno));
	alias_remove(t, a);
	return NULL;
}

/* The one that has been of no use for longest, if that is long enough. */
static struct alias *
listen_inherit(struct relays *r, const char *domain, uint64_t now)
{
	struct aliases *t = r->aliases;
	struct alias *a;

	for (a = alias_oldest(t, false); a != NULL; a = alias_newer(a))
		if (alias_present(t, a) &&
		    (a->domain[0] == '\0' || now - a->used >= IDLE)) {
			alias_rename(t, a, domain);
			return a;
		}
	return NULL;
}

struct alias *
address_of(struct relays *r, const char *domain, uint64_t now)
{
	struct aliases *t = r->aliases;
	struct alias *a = alias_find(t, domain);
	char why[200], text[ADDRESS_LEN];

	if (a != NULL && a->served) {
		alias_use(t, a, now);
		return a;
	}
	if (!listen_make_room(r, domain, IDLE, now))
		return NULL;
	/* as many are held as are served, without need of more */
	if (a == NULL && alias_count(t, false) > r->conf.max)
		a = listen_inherit(r, domain, now);
	if (a == NULL)
		a = listen_fresh(r, domain, now, why, sizeof why);
	if (a == NULL)
		a = listen_inherit(r, domain, now);
	if (a == NULL) {
		listen_complain(r, domain, why, now);
		return NULL;
	}
	alias_use(t, a, now);
	address_text(a->addr, text);
	log_line(LOG_DEBUG, "%s is at %s", domain, text);
	listen_serve(r, a);
	return a;
}

/* ------------------------------------------------------------------- range */

bool
addresses_open(struct relays *r, const struct checked *c)
{
	struct rlimit l = { 0 };
	uint32_t n = ENTRIES;
	const rlim_t own = FD_OWN + r->front->own;
	uint64_t key[2];

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < n + own)
		n = l.rlim_cur > c->max + own ? (uint32_t)(l.rlim_cur - own) :
						c->max + 1;
	return getrandom(key, sizeof key, 0) == (ssize_t)sizeof key &&
	    (r->held = epoll_create1(EPOLL_CLOEXEC)) != -1 &&
	    (r->aliases = alias_new(n, key)) != NULL;
}

static bool
listen_any_present(struct aliases *t)
{
	struct alias *a;
	int served;

	for (served = 0; served < 2; served++)
		for (a = NULL; (a = alias_next(t, served, a)) != NULL;)
			if (alias_present(t, a))
				return true;
	return false;
}

bool
addresses_range(struct relays *r, const struct checked *c, uint64_t now,
    char *why, size_t len)
{
	const struct checked *old = &r->conf;
	char text[160];

	alias_range(r->aliases, c->first, c->last, c->port);
	errno = 0;
	/* One is enough to keep all others from 0.0.0.0 and [::], and present
	 * ones are never closed.  It is no domain's, until it is needed. */
	if (listen_any_present(r->aliases) ||
	    listen_fresh(r, "", now, text, sizeof text) != NULL)
		return true;
	snprintf(why, len, "relay.port: %s%s", text,
	    errno == EADDRINUSE ?
		": another program listens on 0.0.0.0 or [::]" :
		"");
	if (old->first != 0)
		alias_range(r->aliases, old->first, old->last, old->port);
	return false;
}

void
addresses_settle(struct relays *r, uint64_t now)
{
	struct aliases *t = r->aliases;
	struct alias *a, *next;

	for (a = alias_oldest(t, true); a != NULL; a = next) {
		next = alias_newer(a);
		if (!alias_present(t, a))
			listen_hold(r, a, now);
	}
}

/* The relay may open as many files as this process, and needs more. */
uint32_t
address_limit(const struct checked *c)
{
	struct rlimit l;
	rlim_t n;

	if (getrlimit(RLIMIT_NOFILE, &l) == -1 || l.rlim_cur == RLIM_INFINITY)
		return c->max;
	n = l.rlim_cur / 4 + 1;
	if (l.rlim_cur >= FD_RESERVE + n)
		n = l.rlim_cur - FD_RESERVE;
	if (n >= c->max)
		return c->max;
	log_line(LOG_WARNING,
	    "relay.limits.domains: %u: the limit of open files allows %u",
	    c->max, (unsigned)n);
	return (uint32_t)n;
}

/* SPDX-License-Identifier: ISC */
/*
 * The listening sockets of the aliases.  An address is bound when it is given
 * out, and only then: nothing listens on 0.0.0.0, ever.
 */
#include <sys/resource.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "table.h"

#define IDLE 600  /* seconds without a lookup: a domain may lose its address */
#define PROBES 16 /* addresses tried if one cannot be bound */
#define FD_RESERVE 1024 /* descriptors for DNS and sessions, in the relay */
#define QUIET 60        /* seconds between two complaints of a full table */

static int
listen_at(uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd, on = 1, saved;

	sin.sin_addr.s_addr = htonl(addr);
	sin.sin_port = htons(port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0 &&
	    listen(fd, SOMAXCONN) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

void
address_text(uint32_t addr, char buf[ADDRESS_LEN])
{
	struct in_addr in = { .s_addr = htonl(addr) };

	inet_ntop(AF_INET, &in, buf, ADDRESS_LEN);
}

/* Makes room, if that is needed and one has been idle for long. */
static bool
make_room(struct relays *r, const char *domain, uint64_t now)
{
	struct alias *a = alias_oldest(r->aliases);

	if (a != NULL && now - a->used >= IDLE && relays_forget(r, a)) {
		close(a->fd);
		alias_remove(r->aliases, a);
		return true;
	}
	if (r->complained == 0 || now - r->complained >= QUIET) {
		say(LOG_ERR,
		    "%s: no address: all %u are in use, none idle for %d "
		    "seconds: raise relay.limits.domains",
		    domain, r->conf.max, IDLE);
		r->complained = now;
	}
	return false;
}

struct alias *
address_new(struct relays *r, const char *domain, uint64_t now)
{
	struct aliases *t = r->aliases;
	struct alias *a = alias_add(t, domain, now);
	char text[ADDRESS_LEN];
	int i;

	if (a == NULL && make_room(r, domain, now))
		a = alias_add(t, domain, now);
	if (a == NULL)
		return NULL;
	for (i = 0; i < PROBES; i++) {
		a->fd = listen_at(a->addr, r->conf.port);
		if (a->fd != -1 || errno != EADDRINUSE || !alias_move(t, a))
			break;
	}
	address_text(a->addr, text);
	if (a->fd == -1) {
		say(LOG_ERR, "%s: no address: cannot listen on %s port %u: %s",
		    domain, text, r->conf.port, strerror(errno));
		alias_remove(t, a);
		return NULL;
	}
	say(LOG_DEBUG, "%s is at %s", domain, text);
	if (r->now.pid != 0) {
		r->untold++;
		relays_tell(r);
	}
	return a;
}

void
addresses_close(struct aliases *t)
{
	struct alias *a;

	for (a = NULL; (a = alias_next(t, a)) != NULL;)
		close(a->fd);
	alias_free(t);
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
	say(LOG_WARNING,
	    "relay.limits.domains: %u: the limit of open files allows %u",
	    c->max, (unsigned)n);
	return (uint32_t)n;
}

/* SPDX-License-Identifier: ISC */
/*
 * The map: who asks for a domain gets the address of its alias.
 *
 * Every question may cost an alias, of which there are few, so only users of
 * the relay are answered, and root.  A client that is slow, silent or leaves
 * half a request holds one of MAP_CLIENTS places, and that only for MAP_IDLE
 * seconds or until another one needs it.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <netinet/in.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "map.h"

#define BACKLOG 128
#define ACCEPTS 16 /* connections taken in one turn */
#define QUIET 60   /* seconds between two complaints of too many clients */

enum { MAP_UNIX, MAP_TCP };

struct map_client {
	int fd;         /* -1: none */
	bool ended;     /* it sends nothing more */
	uint64_t since; /* of its last whole request */
	size_t n_in, n_out;
	uint8_t in[MAP_REQUEST_MAX], out[MAP_REPLY_MAX];
};

static struct {
	int listener[2]; /* -1: none */
	uint32_t addr;   /* of the second, host order */
	uint16_t port;
	char path[sizeof((struct checked *)0)->map.path];
	struct guard guard;
	uint64_t pause;      /* no descriptors: nobody is accepted till then */
	uint64_t complained; /* 0: never */
	struct map_client client[MAP_CLIENTS];
} map = { .listener = { -1, -1 } };

/* --------------------------------------------------------------- listening */

/* Does something answer there, or is it no socket at all?  A socket that its
 * owner has left is removed. */
static bool
map_make_way(const struct sockaddr_un *sun, char *why, size_t len)
{
	struct stat st;
	int fd, e;

	if (lstat(sun->sun_path, &st) == -1)
		return true; /* bind() says what else is wrong */
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, len, "is there and is no socket");
		return false;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	e = fd == -1 ? errno :
	    connect(fd, (const struct sockaddr *)sun, sizeof *sun) == -1 ?
		       errno :
		       0;
	if (fd != -1)
		close(fd);
	if (e == ECONNREFUSED) {
		unlink(sun->sun_path);
		return true;
	}
	snprintf(why, len, "%s",
	    e == 0 || e == EAGAIN ? "another program listens there" :
				    strerror(e));
	return false;
}

static int
map_listen_unix(const struct checked_map *c, char *why, size_t len)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, status;

	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", c->path);
	if (!map_make_way(&sun, why, len))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mask = umask(0177); /* nobody may connect before all is set */
	status = fd == -1 ? -1 :
			    bind(fd, (const struct sockaddr *)&sun, sizeof sun);
	umask(mask);
	if (status == 0 &&
	    chown(c->path, c->uid != 0 ? c->uid : (uid_t)-1, c->gid) == 0 &&
	    chmod(c->path, (mode_t)c->mode) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	snprintf(why, len, "%s", strerror(errno));
	if (status == 0)
		unlink(c->path);
	if (fd != -1)
		close(fd);
	return -1;
}

static int
map_listen_tcp(const struct checked_map *c, char *why, size_t len)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd, on = 1;

	sin.sin_addr.s_addr = htonl(c->addr);
	sin.sin_port = htons(c->port);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd != -1 &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	    bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	snprintf(why, len, "%s", strerror(errno));
	if (fd != -1)
		close(fd);
	return -1;
}

void
map_users(const struct checked *c)
{
	map.guard.n = c->n_users;
	memcpy(map.guard.uids, c->users, sizeof c->users);
	map.guard.uids[map.guard.n++] = 0; /* could become any of them */
}

bool
map_open(const struct checked *c, char *why, size_t len)
{
	char text[100];
	size_t i;

	for (i = 0; i < MAP_CLIENTS; i++)
		map.client[i].fd = -1;
	map_users(c);
	map.listener[MAP_UNIX] = map_listen_unix(&c->map, text, sizeof text);
	if (map.listener[MAP_UNIX] == -1) {
		snprintf(
		    why, len, "danevirked.socket: %s: %s", c->map.path, text);
		return false;
	}
	memcpy(map.path, c->map.path, sizeof map.path);
	if (c->map.port == 0)
		return true;
	map.addr = c->map.addr;
	map.port = c->map.port;
	map.listener[MAP_TCP] = map_listen_tcp(&c->map, text, sizeof text);
	if (map.listener[MAP_TCP] != -1 && guard_diag(&map.guard) == 0)
		return true;
	snprintf(why, len, "danevirked.listen: %s",
	    map.listener[MAP_TCP] == -1 ? text : strerror(errno));
	map_close();
	return false;
}

/* ----------------------------------------------------------------- clients */

static void
map_drop(struct map_client *c)
{
	close(c->fd);
	c->fd = -1;
}

void
map_leave(void)
{
	size_t i;

	for (i = 0; i < 2; i++)
		if (map.listener[i] != -1)
			close(map.listener[i]);
	if (map.listener[MAP_TCP] != -1)
		close(map.guard.diag);
	if (map.listener[MAP_UNIX] == -1)
		return;
	for (i = 0; i < MAP_CLIENTS; i++)
		if (map.client[i].fd != -1)
			map_drop(&map.client[i]);
}

void
map_close(void)
{
	if (map.listener[MAP_UNIX] != -1)
		unlink(map.path);
	map_leave();
	map.listener[MAP_UNIX] = map.listener[MAP_TCP] = -1;
}

/* One that is free, if need be in place of the idlest. */
static struct map_client *
map_place(uint64_t now)
{
	struct map_client *c, *old = &map.client[0];

	for (c = map.client; c < map.client + MAP_CLIENTS; c++) {
		if (c->fd == -1)
			return c;
		if (c->since < old->since)
			old = c;
	}
	if (map.complained == 0 || now - map.complained >= QUIET) {
		log_line(LOG_WARNING,
		    "map: more than %d clients: the idlest is left",
		    MAP_CLIENTS);
		map.complained = now;
	}
	map_drop(old);
	return old;
}

static bool
map_may_ask(int fd, int which, char *why, size_t len)
{
	if (which == MAP_TCP)
		return guard_client(
		    &map.guard, fd, map.addr, map.port, why, len);
	return guard_local(&map.guard, fd, why, len);
}

static void
map_accept(struct parent *p, int which)
{
	const uint64_t now = p->now;
	struct map_client *c;
	char why[160];
	int fd, n;

	for (n = 0; n < ACCEPTS; n++) {
		fd = accept4(map.listener[which], NULL, NULL,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd == -1) {
			if (errno == EMFILE || errno == ENFILE ||
			    errno == ENOBUFS || errno == ENOMEM)
				map.pause = now + 1;
			return;
		}
		if (!map_may_ask(fd, which, why, sizeof why)) {
			log_line(
			    LOG_WARNING, "map: connection refused: %s", why);
			p->relays.strangers++;
			close(fd);
			continue;
		}
		c = map_place(now);
		c->fd = fd;
		c->ended = false;
		c->since = now;
		c->n_in = c->n_out = 0;
	}
}

/* ---------------------------------------------------------------- requests */

static void
map_answer(struct parent *p, struct map_client *c, const struct map_request *r)
{
	char domain[DOMAIN_LEN], addr[ADDRESS_LEN], value[64];
	const char *key = map_domain(r->key), *why = r->why;
	enum map_word word = MAP_PERM;
	struct alias *a;

	if (why == NULL && key == NULL) {
		word = MAP_NOTFOUND;
		why = "";
	} else if (why == NULL && alias_domain(key, domain, &why)) {
		word = MAP_TEMP;
		why = "no address is free, see the log";
		a = address_of(&p->relays, domain, p->now);
		if (a != NULL) {
			word = MAP_OK;
			address_text(a->addr, addr);
			map_value(r, addr, a->port, value, sizeof value);
			why = value;
		}
	}
	if (word == MAP_PERM)
		log_line(LOG_WARNING, "map: \"%s\": %s", r->key, why);
	c->n_out = map_reply(r, word, why, c->out);
}

/* False: the client is lost. */
static bool
map_write(struct map_client *c)
{
	ssize_t n = send(c->fd, c->out, c->n_out, MSG_NOSIGNAL);

	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	c->n_out -= (size_t)n;
	memmove(c->out, c->out + n, c->n_out);
	return true;
}

/* All that have come whole, as long as the client takes the replies.  False: it
 * is lost. */
static bool
map_requests(struct parent *p, struct map_client *c)
{
	struct map_request r;
	ssize_t n;

	while (c->n_out == 0 && (n = map_parse(c->in, c->n_in, &r)) != 0) {
		if (n == -1) {
			log_line(LOG_WARNING, "map: a request: %s", r.why);
			return false;
		}
		c->n_in -= (size_t)n;
		memmove(c->in, c->in + n, c->n_in);
		c->since = p->now;
		map_answer(p, c, &r);
		if (!map_write(c))
			return false;
	}
	return c->n_out > 0 || !c->ended;
}

static bool
map_read(struct map_client *c)
{
	ssize_t n = recv(c->fd, c->in + c->n_in, sizeof c->in - c->n_in, 0);

	if (n == -1)
		return errno == EAGAIN || errno == EINTR;
	c->ended = n == 0;
	c->n_in += (size_t)n;
	return true;
}

static bool
map_client(struct parent *p, struct map_client *c, short events)
{
	if (p->now - c->since >= MAP_IDLE)
		return false;
	if (events == 0)
		return true;
	if (c->n_out > 0 && !map_write(c))
		return false;
	if (c->n_out == 0 && !c->ended && !map_read(c))
		return false;
	return map_requests(p, c);
}

/* --------------------------------------------------------------- the loop */

uint64_t
map_expect(struct pollfd *fds, uint64_t now)
{
	uint64_t next = UINT64_MAX;
	struct map_client *c;
	size_t i;

	for (i = 0; i < 2; i++)
		fds[i] = (struct pollfd){
			.fd = now < map.pause ? -1 : map.listener[i],
			.events = POLLIN
		};
	if (now < map.pause)
		next = map.pause;
	for (i = 0; i < MAP_CLIENTS; i++) {
		c = &map.client[i];
		fds[2 + i] = (struct pollfd){ .fd = c->fd,
			.events = c->n_out > 0 ? POLLOUT : POLLIN };
		if (c->fd != -1 && c->since + MAP_IDLE < next)
			next = c->since + MAP_IDLE;
	}
	return next;
}

void
map_turn(struct parent *p, const struct pollfd *fds)
{
	struct map_client *c;
	size_t i;

	for (i = 0; i < MAP_CLIENTS; i++) {
		c = &map.client[i];
		if (c->fd != -1 && !map_client(p, c, fds[2 + i].revents))
			map_drop(c);
	}
	for (i = 0; i < 2; i++)
		if (fds[i].revents != 0)
			map_accept(p, (int)i);
}

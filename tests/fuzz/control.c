/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: datagrams of the parent to a relay (relay.c, domain.c), which runs until
 * the last one, RELAY_DRAIN.  An input is a list of them: an octet of flags
 * (bit 0: with a descriptor, bit 1: with two, bit 2: it can be accepted from,
 * bit 3: the relay has its turn behind it), the length in two octets, the
 * octets.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fuzz.h"
#include "relay/relay.h"

#define FIRST 0x7f400001 /* 127.64.0.1 */
#define LAST 0x7f4000ff
#define PORT 10025
#define PLACES 200 /* addresses and ports in an input */
#define FDS 100    /* as many are looked at */

int __wrap_event_base_loopexit(struct event_base *, const struct timeval *);
int __wrap_event_base_dispatch(struct event_base *);
int __wrap_accept4(int, struct sockaddr *, socklen_t *, int);

static unsigned accepts;
static bool over;       /* relay.c has ended the loop */
static int parent = -1; /* its end of the control socket */
static int quiet, loud; /* descriptors to hand over */
static unsigned idle;   /* descriptors before the first message */
static struct {
	uint32_t addr;
	uint16_t port;
} places[PLACES]; /* that were spoken of */
static unsigned n_places;
static const uint8_t *input; /* not yet said */
static size_t left;

/* -------------------------------------------------------------- the parent */

/* False: it takes no more. */
static bool
parent_say(const void *p, size_t len, const int *fds, size_t n)
{
	struct iovec iov = { (void *)(uintptr_t)p, len };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} c = { 0 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n > 0) {
		h.msg_control = &c;
		h.msg_controllen = CMSG_SPACE(n * sizeof *fds);
		c.head.cmsg_level = SOL_SOCKET;
		c.head.cmsg_type = SCM_RIGHTS;
		c.head.cmsg_len = CMSG_LEN(n * sizeof *fds);
		memcpy(CMSG_DATA(&c.head), fds, n * sizeof *fds);
	}
	return sendmsg(parent, &h, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

static unsigned
descriptors(void)
{
	unsigned n = 0;
	int fd;

	for (fd = 0; fd < FDS; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* A relay has one for each address and port, whatever was said of it. */
static void
note(const void *p, size_t len)
{
	struct relay_msg m;
	unsigned i;

	if (len != sizeof m)
		return;
	memcpy(&m, p, sizeof m);
	for (i = 0; i < n_places; i++)
		if (places[i].addr == m.addr &&
		    places[i].port == (uint16_t)m.port)
			return;
	if (i == PLACES)
		return;
	places[i].addr = m.addr;
	places[i].port = (uint16_t)m.port;
	n_places++;
}

/* Some of the input, up to where the relay has a turn; false: all is said. */
static bool
parent_next(void)
{
	static const uint64_t one = 1;
	uint8_t flags = 0;
	int fds[2];
	size_t n;

	if (left <= 3)
		return false;
	while (left > 3 && (flags & 8) == 0) {
		flags = input[0];
		n = (size_t)input[1] << 8 | input[2];
		if (n > left - 3)
			n = left - 3;
		fds[0] = fds[1] = flags & 4 ? loud : quiet;
		if (flags & 4)
			(void)!write(loud, &one, sizeof one);
		/* one of no octets would be the end */
		if (n > 0 &&
		    !parent_say(input + 3, n, fds, flags & 2 ? 2 : flags & 1))
			return false;
		note(input + 3, n);
		input += 3 + n;
		left -= 3 + n;
	}
	return true;
}
/* ---------------------------------------------------- what the relay calls */

void
log_line(int level, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
}

/* Nobody has anything to say to the last. */
int
__wrap_event_base_loopexit(struct event_base *base, const struct timeval *tv)
{
	(void)base;
	(void)tv;
	over = true;
	return 0;
}

/* The loop, and the parent between its turns. */
int
__wrap_event_base_dispatch(struct event_base *base)
{
	static const struct relay_msg end = { .op = RELAY_DRAIN };
	unsigned i;

	idle = descriptors();
	while (!over) {
		if (!parent_next())
			(void)parent_say(&end, sizeof end, NULL, 0);
		for (i = 0; i < 3; i++)
			event_base_loop(base, EVLOOP_NONBLOCK);
		must(descriptors() <= idle + n_places, "two for one address");
	}
	return 0;
}

int
__wrap_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	uint64_t n;

	(void)sa;
	(void)len;
	(void)flags;
	must(fcntl(fd, F_GETFD) == FD_CLOEXEC, "accepts from what is closed");
	(void)!read(fd, &n, sizeof n); /* once */
	accepts++;
	errno = EAGAIN;
	return -1;
}

static struct danevirke *
api_open(const struct danevirke_options *o, struct danevirke_error *err)
{
	(void)o;
	(void)err;
	return (struct danevirke *)&accepts;
}

static void
api_close(struct danevirke *e)
{
	(void)e;
}

static const struct danevirke_profile *
api_profile(const struct danevirke *e, const char *name)
{
	(void)e;
	(void)name;
	return NULL;
}

static const struct danevirke_settings *
api_settings(const struct danevirke *e)
{
	static const struct danevirke_settings set = { .relay_max_sessions = 1,
		.relay_max_per_domain = 1 };

	(void)e;
	return &set;
}

int
shim_load(struct shim *s, const char *path, struct danevirke_error *err)
{
	static const struct danevirke_api api = {
		.open = api_open,
		.close = api_close,
		.settings = api_settings,
		.profile = api_profile,
	};

	(void)path;
	(void)err;
	s->dv = &api;
	return 0;
}

void
shim_unload(struct shim *s)
{
	(void)s;
}

struct resolver *
resolver_new(struct event_base *base, const struct resolver_options *o,
    struct danevirke_error *err)
{
	(void)base;
	(void)o;
	(void)err;
	return (struct resolver *)&accepts;
}

bool
resolver_warm(struct resolver *r, unsigned seconds, struct danevirke_error *err)
{
	(void)r;
	(void)seconds;
	(void)err;
	return true;
}

void
resolver_free(struct resolver *r)
{
	(void)r;
}

int
guard_open(struct hub *hub)
{
	hub->guard.diag = -1;
	return 0;
}

int
last_open(void)
{
	must(false, "a process of table-danevirke's");
	return -1;
}

int
guard_close(const struct hub *hub)
{
	(void)hub;
	return 0;
}

bool
guard_client(const struct guard *g, int fd, uint32_t addr, uint16_t port,
    char *why, size_t len)
{
	(void)g;
	(void)fd;
	(void)addr;
	(void)port;
	(void)why;
	(void)len;
	must(false, "somebody was accepted");
	return false;
}

void
session_new(struct domain *domain, int fd, const struct sockaddr_storage *from)
{
	(void)domain;
	(void)fd;
	(void)from;
	must(false, "a session of nobody");
}

/* --------------------------------------------------------------- one input */

/* The first i and one more; behind them, one with two descriptors. */
size_t
fuzz_seed(unsigned i, uint8_t *buf, size_t len)
{
	static const struct relay_msg all[] = {
		{ RELAY_ADD, FIRST, PORT, "example.org" },
		{ RELAY_ADD, FIRST, PORT, "example.net" },
		{ RELAY_ADD, LAST, PORT, "example.org" },
		{ RELAY_ADD, LAST, PORT + 65536, "example.net" },
		{ RELAY_REMOVE, FIRST, PORT, "" },
		{ RELAY_ADD, 0x0a000001, PORT, "example.com" },
		{ RELAY_DRAIN, 0, 0, "" },
		{ RELAY_ADD, FIRST, PORT, "example.com" },
	};
	const size_t n = sizeof all / sizeof *all, one = 3 + sizeof *all;
	size_t k;

	if (i > n)
		return 0;
	must(len >= n * one, "room for a seed");
	for (k = 0; k == 0 || (i < n && k <= i); k++) {
		buf[k * one] = all[k].op == RELAY_ADD ? 13 : 8;
		buf[k * one + 1] = sizeof *all >> 8;
		buf[k * one + 2] = sizeof *all & 0xff;
		memcpy(buf + k * one + 3, &all[k], sizeof *all);
	}
	if (i == n)
		buf[0] |= 2;
	return k * one;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct relay_args args = {
		.config = "/nowhere", .first = FIRST, .last = LAST
	};
	unsigned before;
	int fd[2], rc;
	struct relay_beat ready, last, none;

	if (parent == -1) {
		quiet = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		loud = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		must(quiet != -1 && loud != -1, "no descriptors");
	}
	before = descriptors();
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK,
		 0, fd) == 0,
	    "no sockets");
	parent = fd[0];
	args.control = fd[1];
	accepts = n_places = 0;
	over = false;
	input = data;
	left = len;
	rc = relay_run(&args);
	must(rc == 0, "not ended well");
	must(recv(parent, &ready, sizeof ready, MSG_DONTWAIT) ==
		(ssize_t)sizeof ready,
	    "not ready");
	must(recv(parent, &last, sizeof last, MSG_DONTWAIT) ==
		(ssize_t)sizeof last,
	    "no last count");
	must(recv(parent, &none, sizeof none, MSG_DONTWAIT) == -1, "one more");
	must(ready.sessions == 0 && last.sessions == 0, "a session is left");
	close(fd[0]);
	close(fd[1]);
	must(descriptors() == before, "descriptors are left");
	fuzz_accepted += accepts > 0;
	return 0;
}

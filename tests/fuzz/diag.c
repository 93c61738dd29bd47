/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: datagrams as the kernel's answer to whose socket it is
 * (guard.c).  The first octet of an input, if even, gives each the number of
 * the request; then come datagrams, each with its length in two octets.  Who
 * connects is the right one if and only if the first answer with that number
 * says so, of this very socket.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "relay/relay.h"

#define ALIAS 0x7f400001 /* 127.64.0.1 */
#define PORT 10025
#define FROM 40000
#define SMTPD 1000 /* uid */
#define ANSWERS 8  /* as many are read at most */

ssize_t __wrap_sendto(
    int, const void *, size_t, int, const struct sockaddr *, socklen_t);
ssize_t __wrap_recv(int, void *, size_t, int);
int __wrap_getsockname(int, struct sockaddr *, socklen_t *);
int __wrap_getpeername(int, struct sockaddr *, socklen_t *);

static const uint8_t *input;
static size_t left;
static bool numbered;
static uint32_t seq;
static unsigned reads;
static int expected; /* 1: yes, 0: no, -1: no answer yet */

void
log_line(int level, const char *fmt, ...)
{
	(void)level;
	(void)fmt;
}

ssize_t
__wrap_sendto(int fd, const void *p, size_t len, int flags,
    const struct sockaddr *to, socklen_t to_len)
{
	struct nlmsghdr head;

	(void)flags;
	(void)to;
	(void)to_len;
	must(fd == 77 && len > sizeof head, "request");
	memcpy(&head, p, sizeof head);
	seq = head.nlmsg_seq;
	return (ssize_t)len;
}

/* By the kernel's headers: what this datagram is worth. */
static int
judge(const uint8_t *p, size_t len)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_msg body;
	} m = { 0 };

	memcpy(&m, p, len < sizeof m ? len : sizeof m);
	if (len < sizeof m.head || m.head.nlmsg_len < sizeof m.head ||
	    m.head.nlmsg_len > len || m.head.nlmsg_seq != seq)
		return -1;
	return m.head.nlmsg_type == SOCK_DIAG_BY_FAMILY &&
	    m.head.nlmsg_len >= sizeof m &&
	    m.body.id.idiag_sport == htons(FROM) &&
	    m.body.id.idiag_dport == htons(PORT) &&
	    m.body.id.idiag_src[0] == htonl(INADDR_LOOPBACK) &&
	    m.body.id.idiag_dst[0] == htonl(ALIAS) && m.body.idiag_uid == SMTPD;
}

ssize_t
__wrap_recv(int fd, void *buf, size_t len, int flags)
{
	struct nlmsghdr head;
	size_t n;

	must(fd == 77 && flags == MSG_DONTWAIT, "recv");
	must(reads++ < ANSWERS, "reads for ever");
	if (left < 2) {
		errno = EAGAIN;
		return -1;
	}
	n = (size_t)input[0] << 8 | input[1];
	input += 2;
	left -= 2;
	if (n > left)
		n = left;
	memcpy(buf, input, n < len ? n : len);
	input += n;
	left -= n;
	if (n > len)
		n = len;
	if (numbered && n >= sizeof head) {
		memcpy(&head, buf, sizeof head);
		head.nlmsg_seq = seq;
		memcpy(buf, &head, sizeof head);
	}
	if (expected == -1)
		expected = judge(buf, n);
	return (ssize_t)n;
}

static int
address(struct sockaddr *to, socklen_t *len, uint32_t ip, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };

	sin.sin_addr.s_addr = htonl(ip);
	sin.sin_port = htons(port);
	memcpy(to, &sin, sizeof sin);
	*len = sizeof sin;
	return 0;
}

int
__wrap_getsockname(int fd, struct sockaddr *to, socklen_t *len)
{
	(void)fd;
	return address(to, len, ALIAS, PORT);
}

int
__wrap_getpeername(int fd, struct sockaddr *to, socklen_t *len)
{
	(void)fd;
	return address(to, len, INADDR_LOOPBACK, FROM);
}

/* What the kernel says: a socket of smtpd's, another's, none; and one behind an
 * answer of another number. */
size_t
fuzz_seed(unsigned i, uint8_t *buf, size_t len)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_msg body;
	} m = { .head = { .nlmsg_len = sizeof m,
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY } };
	struct {
		struct nlmsghdr head;
		struct nlmsgerr body;
	} e = { .head = { .nlmsg_len = sizeof e, .nlmsg_type = NLMSG_ERROR },
		.body = { .error = -ENOENT } };
	size_t n = i == 2 ? sizeof e : sizeof m;

	must(len >= 3 + n, "room for a seed");
	if (i > 2)
		return 0;
	m.body.id.idiag_sport = htons(FROM);
	m.body.id.idiag_dport = htons(PORT);
	m.body.id.idiag_src[0] = htonl(INADDR_LOOPBACK);
	m.body.id.idiag_dst[0] = htonl(ALIAS);
	m.body.idiag_uid = i == 0 ? SMTPD : 0;
	buf[0] = 0;
	buf[1] = 0;
	buf[2] = (uint8_t)n;
	memcpy(buf + 3, i == 2 ? (void *)&e : (void *)&m, n);
	return 3 + n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct guard guard = {
		.diag = 77, .n = 1, .uids = { SMTPD }
	};
	char why[160] = "";
	bool good;

	if (len < 1)
		return 0;
	numbered = (data[0] & 1) == 0;
	input = data + 1;
	left = len - 1;
	reads = 0;
	expected = -1;
	good = guard_client(&guard, 5, ALIAS, PORT, why, sizeof why);
	must(good == (expected == 1), "another judgement");
	must(good || *why != '\0', "refused without why");
	fuzz_accepted += good;
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * Who may connect, and what this process may do.
 *
 * Every user of the machine can connect to loopback, so the kernel is asked
 * whose socket the other end is (sock_diag).  And since this process reads
 * what strangers send, it keeps nothing but its sockets.
 */
#include <sys/socket.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "relay.h"
#include "sandbox.h"

/* ------------------------------------------------------------- who it is */

static bool
guard_user(struct hub *hub)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(hub->set->relay_user);
	if (pw != NULL) {
		hub->uid = pw->pw_uid;
		return true;
	}
	/* smtpd starts us as its own user, whatever that is called here */
	hub->uid = geteuid();
	if (hub->uid != 0) {
		log_line(LOG_NOTICE,
		    "relay.user: no user \"%s\": only uid %u may connect",
		    hub->set->relay_user, (unsigned)hub->uid);
		return true;
	}
	log_line(LOG_ERR, "relay.user: no user \"%s\"%s%s",
	    hub->set->relay_user, errno != 0 ? ": " : "",
	    errno != 0 ? strerror(errno) : "");
	return false;
}

int
guard_open(struct hub *hub)
{
	if (!guard_user(hub))
		return -1;
	hub->diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_SOCK_DIAG);
	if (hub->diag == -1) {
		log_line(LOG_ERR, "sock_diag: %s: cannot tell who connects",
		    strerror(errno));
		return -1;
	}
	return 0;
}

struct guard_query {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

static void
guard_request(struct guard_query *q, uint32_t seq,
    const struct sockaddr_in *from, const struct sockaddr_in *to)
{
	memset(q, 0, sizeof *q);
	q->head.nlmsg_len = sizeof *q;
	q->head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	q->head.nlmsg_flags = NLM_F_REQUEST;
	q->head.nlmsg_seq = seq;
	q->body.sdiag_family = AF_INET;
	q->body.sdiag_protocol = IPPROTO_TCP;
	q->body.idiag_states = ~0U;
	/* the other end's socket, as it sees itself */
	q->body.id.idiag_sport = from->sin_port;
	q->body.id.idiag_dport = to->sin_port;
	q->body.id.idiag_src[0] = from->sin_addr.s_addr;
	q->body.id.idiag_dst[0] = to->sin_addr.s_addr;
	q->body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	q->body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
}

static bool
guard_same_socket(
    const struct inet_diag_sockid *a, const struct inet_diag_sockid *b)
{
	return a->idiag_sport == b->idiag_sport &&
	    a->idiag_dport == b->idiag_dport &&
	    a->idiag_src[0] == b->idiag_src[0] &&
	    a->idiag_dst[0] == b->idiag_dst[0];
}

/* 0 and *uid, or an errno.  The kernel answers within send(). */
static int
guard_owner(int diag, const struct sockaddr_in *from,
    const struct sockaddr_in *to, uid_t *uid)
{
	static uint32_t seq;
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct guard_query q;
	union {
		struct nlmsghdr head;
		char room[4096];
	} r;
	const struct inet_diag_msg *msg = NLMSG_DATA(&r.head);
	const struct nlmsgerr *e = NLMSG_DATA(&r.head);
	ssize_t n;
	int i;

	guard_request(&q, ++seq, from, to);
	if (sendto(diag, &q, sizeof q, 0, (struct sockaddr *)&kernel,
		sizeof kernel) != (ssize_t)sizeof q)
		return errno != 0 ? errno : EIO;
	for (i = 0; i < 8; i++) { /* an older answer may still be there */
		n = recv(diag, &r, sizeof r, MSG_DONTWAIT);
		if (n < 0)
			return errno;
		if ((size_t)n < sizeof r.head ||
		    !NLMSG_OK(&r.head, (size_t)n) || r.head.nlmsg_seq != seq)
			continue;
		if (r.head.nlmsg_type == NLMSG_ERROR &&
		    r.head.nlmsg_len >= NLMSG_LENGTH(sizeof *e))
			return e->error < 0 && e->error > INT_MIN ? -e->error :
								    EPROTO;
		if (r.head.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
		    r.head.nlmsg_len < NLMSG_LENGTH(sizeof *msg) ||
		    !guard_same_socket(&msg->id, &q.body.id))
			return EPROTO;
		*uid = msg->idiag_uid;
		return 0;
	}
	return EPROTO;
}

bool
guard_client(const struct hub *hub, int fd, uint32_t addr, uint16_t port,
    char *why, size_t len)
{
	struct sockaddr_in from, to;
	socklen_t n = sizeof to;
	uid_t uid = (uid_t)-1;
	int e;

	if (getsockname(fd, (struct sockaddr *)&to, &n) == -1 ||
	    n != sizeof to || to.sin_family != AF_INET ||
	    ntohl(to.sin_addr.s_addr) != addr || ntohs(to.sin_port) != port) {
		snprintf(why, len, "not to an alias");
		return false;
	}
	n = sizeof from;
	if (getpeername(fd, (struct sockaddr *)&from, &n) == -1 ||
	    n != sizeof from || from.sin_family != AF_INET) {
		snprintf(why, len, "gone already");
		return false;
	}
	if ((e = guard_owner(hub->diag, &from, &to, &uid)) != 0) {
		snprintf(why, len, "could not find out whose it is: %s",
		    strerror(e));
		return false;
	}
	if (uid != hub->uid) {
		snprintf(why, len, "from uid %u, want %u", (unsigned)uid,
		    (unsigned)hub->uid);
		return false;
	}
	return true;
}

/* ------------------------------------------------------- what it can do */

int
guard_close(const struct hub *hub)
{
	int e;

	tzset(); /* syslog(3) reads the time zone's file but once */
	if (sandbox_user(hub->uid) == -1) {
		log_line(LOG_ERR, "cannot become %s: %s", hub->set->relay_user,
		    strerror(errno));
		return -1;
	}
	e = sandbox_close(); /* mail in flight is in memory: no core */
	if (e == -1) {
		log_line(LOG_ERR, "no_new_privs: %s", strerror(errno));
		return -1;
	}
	if (e != 0)
		log_line(LOG_WARNING,
		    "no Landlock in this kernel (%s): the relay can reach "
		    "the files that user %s can",
		    strerror(e), hub->set->relay_user);
	return 0;
}

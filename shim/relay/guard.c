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

size_t
guard_users(const struct danevirke_settings *t, const char *const *defaults,
    uid_t uids[RELAY_USERS])
{
	const bool set = t->n_relay_users > 0;
	const char *const *names = set ? t->relay_users : defaults;
	const struct passwd *pw;
	size_t i, n = 0;

	for (i = 0; set ? i < t->n_relay_users : names[i] != NULL; i++) {
		if (n == RELAY_USERS)
			break;
		errno = 0;
		if ((pw = getpwnam(names[i])) != NULL)
			uids[n++] = pw->pw_uid;
		else if (set)
			log_line(LOG_NOTICE, "relay.user: no user \"%s\"%s%s",
			    names[i], errno != 0 ? ": " : "",
			    errno != 0 ? strerror(errno) : "");
	}
	return n;
}

int
guard_diag(struct guard *g)
{
	g->diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	    NETLINK_SOCK_DIAG);
	if (g->diag != -1)
		return 0;
	log_line(LOG_ERR, "sock_diag: %s: cannot tell who connects",
	    strerror(errno));
	return -1;
}

int
guard_open(struct hub *hub)
{
	struct guard *g = &hub->guard;

	g->n = guard_users(hub->set, hub->args->users, g->uids);
	if (g->n == 0) {
		/* smtpd starts us as its own user, whatever that is called
		 * here */
		g->uids[0] = geteuid();
		if (g->uids[0] == 0) {
			log_line(LOG_ERR, "relay.user: no such user");
			return -1;
		}
		g->n = 1;
		log_line(LOG_NOTICE,
		    "relay.user: no such user: only uid %u may connect",
		    (unsigned)g->uids[0]);
	}
	return guard_diag(g);
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

/* In words, if it is none of them. */
static bool
guard_one_of(const struct guard *g, uid_t uid, char *why, size_t len)
{
	size_t i;
	int n;

	for (i = 0; i < g->n; i++)
		if (g->uids[i] == uid)
			return true;
	n = snprintf(why, len, "from uid %u, want", (unsigned)uid);
	for (i = 0; i < g->n && (size_t)n < len; i++)
		n += snprintf(why + n, len - (size_t)n, "%s %u",
		    i > 0 ? " or" : "", (unsigned)g->uids[i]);
	return false;
}

bool
guard_local(const struct guard *g, int fd, char *why, size_t len)
{
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t n = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == -1 ||
	    n != sizeof who) {
		snprintf(why, len, "could not find out whose it is");
		return false;
	}
	return guard_one_of(g, who.uid, why, len);
}

bool
guard_client(const struct guard *g, int fd, uint32_t addr, uint16_t port,
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
	if ((e = guard_owner(g->diag, &from, &to, &uid)) != 0) {
		snprintf(why, len, "could not find out whose it is: %s",
		    strerror(e));
		return false;
	}
	return guard_one_of(g, uid, why, len);
}

/* ------------------------------------------------------- what it can do */

int
guard_close(const struct hub *hub)
{
	const uid_t uid = hub->guard.uids[0];
	int e;

	tzset(); /* syslog(3) reads the time zone's file but once */
	if (sandbox_user(uid) == -1) {
		log_line(LOG_ERR, "cannot become uid %u: %s", (unsigned)uid,
		    strerror(errno));
		return -1;
	}
	/* mail in flight is in memory: no core */
	e = sandbox_close(hub->ca_file);
	if (e == -1) {
		log_line(LOG_ERR, "no_new_privs: %s", strerror(errno));
		return -1;
	}
	if (e != 0)
		log_line(LOG_WARNING,
		    "no Landlock in this kernel (%s): the relay can reach "
		    "the files that its user can",
		    strerror(e));
	return 0;
}

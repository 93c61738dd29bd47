/* SPDX-License-Identifier: ISC */
/*
 * danevirked(8), the parent's front end: the map, for any mail server.
 *
 * It opens the map, gives up root if it was started so, and only then has
 * relays.  SIGHUP reads the configuration again, SIGTERM ends it gracefully:
 * the map and the addresses first, the sessions that are under way last.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "danevirke.h"
#include "map.h"
#include "resolver.h"
#include "sandbox.h"

#define STOP_MAX 60 /* seconds for what is under way */

/* Who may use the relay unless relay.user says it: as packages call them. */
static const char *const users[] = { "Debian-exim", "exim", "postfix", NULL };

static struct parent parent;
static struct checked_map opened; /* what the map was opened with */
static volatile sig_atomic_t hup, term;

/* --------------------------------------------------------------- systemd */

/* sd_notify(3), which is one datagram. */
static void
daemon_notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t n = path == NULL ? 0 : strlen(path);
	int fd;

	if (n < 2 || n >= sizeof sun.sun_path)
		return;
	memcpy(sun.sun_path, path, n);
	if (*path == '@') /* abstract */
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
		(struct sockaddr *)&sun,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) == -1)
		log_line(LOG_WARNING, "NOTIFY_SOCKET: %s", strerror(errno));
	if (fd != -1)
		close(fd);
}

/* --------------------------------------------------------- configuration */

static bool
daemon_wrong(
    struct checked *c, const char *what, const char *name, const char *want)
{
	snprintf(c->text, sizeof c->text, "danevirked.%s: no %s \"%s\"%s", what,
	    what, name, want);
	return false;
}

/* In the checking child: names to numbers. */
static bool
daemon_fits(const struct danevirke_settings *t, struct checked *c)
{
	struct checked_map *m = &c->map;
	const struct passwd *pw;
	const struct group *gr;

	snprintf(m->path, sizeof m->path, "%s", t->daemon_socket);
	m->mode = t->daemon_mode;
	m->addr = t->daemon_addr;
	m->port = t->daemon_port;
	m->gid = (gid_t)-1;
	if (t->daemon_group != NULL) {
		if ((gr = getgrnam(t->daemon_group)) == NULL)
			return daemon_wrong(c, "group", t->daemon_group, "");
		m->gid = gr->gr_gid;
	}
	if (geteuid() == 0) {
		pw = getpwnam(t->daemon_user);
		if (pw == NULL || pw->pw_uid == 0)
			return daemon_wrong(c, "user", t->daemon_user,
			    " to become, other than root");
		m->uid = pw->pw_uid;
	}
	c->n_users = (uint32_t)guard_users(t, users, c->users);
	if (c->n_users > 0)
		return true;
	snprintf(c->text, sizeof c->text,
	    "relay.user: no such user: want the one of your mail server");
	return false;
}

static bool
daemon_begin(const struct checked *c, char *why, size_t len)
{
	if (!map_open(c, why, len))
		return false;
	if (sandbox_user(c->map.uid) == -1 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1) {
		snprintf(why, len, "cannot become uid %u: %s",
		    (unsigned)c->map.uid, strerror(errno));
		return false;
	}
	opened = c->map;
	opened.uid = 0; /* nor does a later check see root */
	return true;
}

static void
daemon_updated(const char *why)
{
	const struct checked *c = &parent.relays.conf;

	if (why != NULL)
		return;
	map_users(c);
	if (memcmp(&c->map, &opened, sizeof opened) != 0)
		log_line(LOG_WARNING,
		    "changes of danevirked.* wait for the next start");
}

/* ----------------------------------------------------------------- signals */

static void
daemon_on_signal(int sig)
{
	if (sig == SIGHUP)
		hup = 1;
	else
		term++;
}

/* Never comes back. */
static void __attribute__((noreturn)) daemon_stop(void)
{
	const uint64_t end = parent.now + STOP_MAX;
	const int signals = term;
	struct pollfd fds[PARENT_FDS];

	daemon_notify("STOPPING=1");
	log_line(LOG_NOTICE, "ending");
	map_close();
	parent.checking = false;
	while (!relays_stop(&parent.relays, parent.now)) {
		if (parent.now >= end || term != signals) {
			log_line(LOG_WARNING,
			    "sessions are under way: giving them up");
			break;
		}
		parent_wait(&parent, fds, PARENT_FDS, end);
	}
	parent_quit(&parent, 0);
}

static const struct front front = {
	.fits = daemon_fits,
	.begin = daemon_begin,
	.updated = daemon_updated,
	.users = users,
	.last_words = true,
	.leave = map_leave,
	.own = MAP_FDS + 1,
	.on_signal = daemon_on_signal,
};

/* ------------------------------------------------------------------- start */

static void
daemon_turn(void)
{
	struct pollfd fds[PARENT_FDS + MAP_FDS];
	const bool served = parent.serving;
	uint64_t next = UINT64_MAX;

	if (served)
		next = map_expect(fds + PARENT_FDS, parent.now);
	parent_wait(
	    &parent, fds, served ? PARENT_FDS + MAP_FDS : PARENT_FDS, next);
	if (served)
		map_turn(&parent, fds + PARENT_FDS);
	else if (parent.serving) {
		log_line(LOG_NOTICE, "ready, %s", parent.relays.config);
		daemon_notify("READY=1");
	}
}

static int
daemon_usage(FILE *f)
{
	fprintf(f,
	    "usage: danevirked [-hV] [-c CONFIG]\n"
	    "\t-c\tabsolute path [" SYSCONFDIR "/danevirke.conf]\n"
	    "\t-h\tprint this\n"
	    "\t-V\tprint the version\n"
	    "See danevirked(8).\n");
	return f == stdout ? 0 : 2;
}

int
main(int argc, char **argv)
{
	const char *config = SYSCONFDIR "/danevirke.conf";
	int c;

	resolver_main(argc, argv);
	if (argc == 5 && strcmp(argv[1], "-r") == 0)
		relay_main(argv, &front);
	while ((c = getopt(argc, argv, "c:hV")) != -1)
		switch (c) {
		case 'c':
			config = optarg;
			break;
		case 'h':
			return daemon_usage(stdout);
		case 'V':
			puts("danevirked " PACKAGE_VERSION);
			return 0;
		default:
			return daemon_usage(stderr);
		}
	if (optind != argc)
		return daemon_usage(stderr);
	parent_open(&parent, &front, "danevirked", config);
	for (;;) {
		if (term)
			daemon_stop();
		if (hup && parent.serving && !parent.checking) {
			hup = 0;
			parent_check(&parent);
		}
		daemon_turn();
	}
}

/* SPDX-License-Identifier: ISC */
/* danevirked, asked as a mail server asks it: see danevirked(8). */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "doctor.h"

#define SECONDS 10

/* A connection to the map; -1: errno. */
static int
daemon_connect(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = SECONDS };
	int fd;

	if (strlen(path) >= sizeof sun.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	if (connect(fd, (struct sockaddr *)&sun, sizeof sun) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One request, one line; false: errno. */
static bool
daemon_ask(const char *path, const char *domain, char reply[512])
{
	char line[512];
	size_t len = 0;
	ssize_t n = 0;
	int fd = daemon_connect(path);
	bool good;

	reply[0] = '\0';
	if (fd < 0)
		return false;
	snprintf(line, sizeof line, "danevirke %.255s\n", domain);
	good = send(fd, line, strlen(line), MSG_NOSIGNAL) ==
	    (ssize_t)strlen(line);
	while (good && len < 511 && strchr(reply, '\n') == NULL &&
	    (n = recv(fd, reply + len, 511 - len, 0)) > 0) {
		len += (size_t)n;
		reply[len] = '\0';
	}
	close(fd);
	reply[strcspn(reply, "\n")] = '\0';
	if (good && n == 0)
		errno = ECONNRESET;
	return good && n > 0;
}

static void
daemon_way(struct doctor *d, const char *path, const char *domain)
{
	char reply[512], by[600];

	if (!daemon_ask(path, domain, reply)) {
		doctor_way(d, domain, NULL, "waits", strerror(errno));
		return;
	}
	if (strncmp(reply, "OK ", 3) != 0) {
		doctor_way(d, domain, NULL,
		    strncmp(reply, "PERM", 4) == 0 ? "comes back" : "waits",
		    reply);
		return;
	}
	snprintf(by, sizeof by, "danevirked at %s", reply + 3);
	doctor_mail(d, domain, by, domain,
	    d->c->dv->settings(d->engine)->relay_profile);
}

/* False: nobody answers at its socket. */
static bool
daemon_runs(struct doctor *d, const char *path)
{
	char run[SERVICE_LEN];
	int fd = daemon_connect(path);

	if (fd >= 0) {
		close(fd);
		doctor_say(d, SEV_NOTE, "danevirked answers at %s", path);
		return true;
	}
	doctor_say(d, SEV_PROBLEM, "danevirked does not answer at %s: %s", path,
	    strerror(errno));
	doctor_write(
	    d, "run", "%s", program_service("danevirked", SERVICE_START, run));
	return false;
}

/* The users of mail servers that are here, if it does not know them. */
static void
daemon_users(struct doctor *d, const struct danevirke_settings *s)
{
	static const char *const usual[] = { "Debian-exim", "exim", "postfix" };
	bool any = false;
	size_t i, k;

	/* not set: these three (danevirked(8)) */
	for (i = 0; i < sizeof usual / sizeof *usual; i++) {
		if (getpwnam(usual[i]) == NULL)
			continue;
		if (s->n_relay_users == 0)
			return;
		for (k = 0; k < s->n_relay_users; k++)
			any |= strcmp(s->relay_users[k], usual[i]) == 0;
		if (any)
			return;
		doctor_say(d, SEV_WARNING,
		    "%s is a user here, and not in relay.user: where the mail "
		    "server is %s its mail waits",
		    usual[i], usual[i]);
		doctor_write(
		    d, s->config, "relay: { user = [ \"%s\" ]; };", usual[i]);
	}
}

void
doctor_daemon(struct doctor *d)
{
	const struct danevirke_settings *s;
	size_t i;

	if (!doctor_open(d))
		return;
	s = d->c->dv->settings(d->engine);
	doctor_conf(d, s->daemon_user);
	doctor_store(d, s->daemon_user);
	doctor_range(d);
	daemon_users(d, s);
	if (!daemon_runs(d, s->daemon_socket))
		return;
	doctor_say(d, SEV_NOTE,
	    "whether a mail server sends by it was not looked at: its log "
	    "says so of each delivery");
	for (i = 0; i < d->n_domain && !d->offline; i++)
		daemon_way(d, s->daemon_socket, d->domain[i]);
}

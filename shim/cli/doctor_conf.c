/* SPDX-License-Identifier: ISC */
/* danevirke.conf as a server's user may see it, and what else it is about: DNS,
 * the store, addresses. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libconfig.h>

#include "doctor.h"
#include "probe.h"

/* ---------------------------------------------------------- as that user */

static int
conf_open_as(const struct passwd *pw, const char *path)
{
	int fd;

	/* Exim's processes have the one group only */
	if (setgroups(1, &pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 ||
	    setuid(pw->pw_uid) != 0)
		return errno;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? errno : 0;
}

int
doctor_may_read(const char *user, const char *path)
{
	const struct passwd *pw = getpwnam(user);
	int status;
	pid_t pid;

	if (pw == NULL || (geteuid() != 0 && geteuid() != pw->pw_uid))
		return -1;
	if (geteuid() != 0)
		return access(path, R_OK) == 0 ? 0 : errno;
	/* errno fits: those of open() are small numbers */
	if ((pid = fork()) == 0)
		_exit(conf_open_as(pw, path));
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The first directory on the way that keeps the user out, or the file. */
static void
conf_unreadable(struct doctor *d, const char *user, const char *path)
{
	char at[4096];
	const char *p;
	int e = doctor_may_read(user, path);

	if (e <= 0)
		return;
	for (p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
		snprintf(at, sizeof at, "%.*s", (int)(p - path), path);
		/* "." inside shows whether it may be passed */
		strcat(at, "/.");
		if (doctor_may_read(user, at) == 0)
			continue;
		at[strlen(at) - 2] = '\0';
		doctor_say(d, SEV_PROBLEM,
		    "%s cannot be read by %s: the directory %s keeps it out: "
		    "mail waits",
		    path, user, at);
		doctor_write(d, "run", "chmod a+rx %s", at);
		return;
	}
	doctor_say(d, SEV_PROBLEM, "%s cannot be read by %s: %s: mail waits",
	    path, user, strerror(e));
	if (e == EACCES)
		doctor_write(d, "run", "chmod a+r %s", path);
}

/* -------------------------------------------------------------- the file */

static void
on_log(void *arg, int level, const char *text)
{
	struct doctor *d = arg;

	if (level <= 4) /* LOG_WARNING */
		doctor_say(
		    d, level < 4 ? SEV_PROBLEM : SEV_WARNING, "%s", text);
}

/* The module reads such a rule as if it were not there (P01). */
static void
conf_dates(struct doctor *d, const char *path)
{
	const config_setting_t *rules, *rule;
	const char *until, *domain;
	time_t now = time(NULL);
	config_t cfg;
	char today[32];
	int i;

	time_text(now, today);
	today[strlen("2026-01-31")] = '\0';
	config_init(&cfg);
	if (config_read_file(&cfg, path) == CONFIG_TRUE &&
	    (rules = config_lookup(&cfg, "destinations")) != NULL)
		for (i = 0; i < config_setting_length(rules); i++) {
			rule = config_setting_get_elem(rules, (unsigned)i);
			if (!config_setting_lookup_string(
				rule, "until", &until) ||
			    strcmp(until, today) >= 0)
				continue;
			if (!config_setting_lookup_string(
				rule, "domain", &domain))
				domain = "a destination";
			doctor_say(d, SEV_WARNING,
			    "%s: the exception for %s was over on %s, and has "
			    "no effect",
			    path, domain, until);
			doctor_write(d,
			    "take it out, or write another date there", NULL);
		}
	config_destroy(&cfg);
}

/* What the default level lets through. */
static void
conf_level(struct doctor *d)
{
	const struct danevirke_profile *p = d->c->dv->profile(
	    d->engine, "default");

	if (p == NULL)
		return;
	if (p->level == DANEVIRKE_LEVEL_OFF)
		doctor_say(d, SEV_WARNING,
		    "the level is off: Danevirke takes no mail");
	else if (p->level == DANEVIRKE_LEVEL_AUDIT)
		doctor_say(d, SEV_NOTE,
		    "the level is audit: what would be deferred is logged, and "
		    "sent");
}

static void
conf_probes(struct doctor *d)
{
	struct probe p[PROBE_MAX];
	size_t i, n;
	bool good = true;

	if (d->offline)
		return;
	n = probe_run(d->c->dv->settings(d->engine), p);
	for (i = 0; i < n; i++)
		if (!p[i].good) {
			good = false;
			doctor_say(d, SEV_PROBLEM, "DNS: %s: %s", p[i].name,
			    p[i].text);
		}
	if (good)
		doctor_say(d, SEV_NOTE, "DNS carries DNSSEC");
}

bool
doctor_open(struct doctor *d)
{
	struct danevirke_options o = { .size = sizeof o,
		.config = d->c->config_abs != NULL ? d->c->config_abs :
						     d->config,
		.log = on_log,
		.log_arg = d };
	struct danevirke_error err = { 0, "" };
	size_t before = d->n_item;

	d->engine = d->c->dv->open(&o, &err);
	if (d->engine == NULL) {
		if (d->n_item == before)
			doctor_say(d, SEV_PROBLEM, "%s", err.text);
		doctor_write(d,
		    "mail waits until it is right; an empty file is valid",
		    NULL);
		return false;
	}
	doctor_say(
	    d, SEV_NOTE, "%s is valid", d->c->dv->settings(d->engine)->config);
	return true;
}

void
doctor_conf(struct doctor *d, const char *user)
{
	const struct danevirke_settings *s = d->c->dv->settings(d->engine);

	if (getpwnam(user) == NULL)
		doctor_say(d, SEV_PROBLEM,
		    "%s: there is no user %s: mail waits", s->config, user);
	else {
		conf_unreadable(d, user, s->config);
		conf_unreadable(d, user, s->resolver_anchor);
	}
	conf_dates(d, s->config);
	conf_level(d);
	conf_probes(d);
}

/* Can a socket have the first and the last address of the range? */
void
doctor_range(struct doctor *d)
{
	const struct danevirke_settings *s = d->c->dv->settings(d->engine);
	uint32_t end[2] = { s->relay_first, s->relay_last };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char text[INET_ADDRSTRLEN];
	size_t i;
	int fd, rc;

	for (i = 0; i < 2; i++) {
		sin.sin_port = 0;
		sin.sin_addr.s_addr = htonl(end[i]);
		if ((fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
			return;
		/* the address, and a way to it */
		rc = bind(fd, (struct sockaddr *)&sin, sizeof sin);
		if (rc == 0) {
			sin.sin_port = htons(9);
			rc = connect(fd, (struct sockaddr *)&sin, sizeof sin);
		}
		close(fd);
		if (rc == 0)
			continue;
		inet_ntop(AF_INET, &sin.sin_addr, text, sizeof text);
		doctor_say(d, SEV_PROBLEM,
		    "the loopback interface does not have %s, of relay.aliases",
		    text);
		doctor_write(d, "run, at each start of the machine",
		    "ip link set lo up\nip address add 127.0.0.1/8 dev lo");
		return;
	}
	doctor_say(d, SEV_NOTE, "the loopback interface has relay.aliases");
}

/* What store_open() of the module wants; without it DNS is asked more often. */
void
doctor_store(struct doctor *d, const char *user)
{
	const struct passwd *pw = getpwnam(user);
	char path[512];
	struct statfs fs;
	struct stat st;

	if (pw == NULL)
		return;
	snprintf(path, sizeof path, "%s/%s", RUNDIR, user);
	if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	    st.st_uid == pw->pw_uid && (st.st_mode & 07777) == 0700) {
		if (statfs(path, &fs) == 0 &&
		    ((uint32_t)fs.f_type == TMPFS_MAGIC ||
			(uint32_t)fs.f_type == RAMFS_MAGIC)) {
			doctor_say(
			    d, SEV_NOTE, "answers are shared in %s", path);
			return;
		}
		doctor_say(d, SEV_WARNING,
		    "%s is not on a tmpfs: each message asks DNS anew", path);
		doctor_write(d, "run, at each start of the machine",
		    "mount -t tmpfs -o mode=700,uid=%ld,gid=%ld tmpfs %s",
		    (long)pw->pw_uid, (long)pw->pw_gid, path);
		return;
	}
	doctor_say(d, SEV_WARNING,
	    "%s is not a directory of %s with mode 0700: each message asks DNS "
	    "anew",
	    path, user);
	doctor_write(d, "run",
	    "systemd-tmpfiles --create danevirke.conf\n"
	    "or: install -d -m 755 %s && install -d -o %s -m 700 %s",
	    RUNDIR, user, path);
}

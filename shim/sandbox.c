/* SPDX-License-Identifier: ISC */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "sandbox.h"

#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif

/* As linux/landlock.h of a newer system has them. */
struct ruleset {
	uint64_t fs, net, scope;
};
struct port_rule {
	uint64_t allowed, port;
};
struct path_rule {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));
#define RULESET_VERSION 1U
#define RULE_PATH_BENEATH 1
#define FS_READ_FILE (1ULL << 2)
#define RULE_NET_PORT 2
#define NET_BIND_TCP 1ULL
#define SCOPE_ALL 3ULL /* abstract sockets, signals */

/* Every access to files that version knows. */
static uint64_t
all_files(long version)
{
	int bits = version >= 5 ? 16 :
	    version >= 3        ? 15 :
	    version == 2        ? 14 :
				  13;

	return (1ULL << bits) - 1;
}

/* Files in the directory of this one can be read, if there is one. */
static void
sandbox_allow(int ruleset, const char *readable)
{
	struct path_rule rule = { FS_READ_FILE, -1 };
	char path[PATH_MAX];

	if (realpath(readable, path) == NULL ||
	    (rule.parent = open(
		 dirname(path), O_PATH | O_DIRECTORY | O_CLOEXEC)) == -1)
		return;
	(void)!syscall(
	    __NR_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0U);
	close(rule.parent);
}

/* No file from here on, no TCP port to listen at (port 0 is what connect()
 * with an own address uses), no signal to others. */
static int
sandbox_landlock(const char *readable)
{
	struct ruleset set = { 0 };
	struct port_rule any = { NET_BIND_TCP, 0 };
	size_t len = 8;
	long version;
	int fd, e = 0;

	version = syscall(
	    __NR_landlock_create_ruleset, NULL, (size_t)0, RULESET_VERSION);
	if (version < 1)
		return version == 0 ? ENOSYS : errno;
	set.fs = all_files(version);
	if (version >= 4) {
		set.net = NET_BIND_TCP;
		len = 16;
	}
	if (version >= 6) {
		set.scope = SCOPE_ALL;
		len = 24;
	}
	fd = (int)syscall(__NR_landlock_create_ruleset, &set, len, 0U);
	if (fd == -1)
		return errno;
	if (readable != NULL)
		sandbox_allow(fd, readable);
	if ((version >= 4 &&
		syscall(__NR_landlock_add_rule, fd, RULE_NET_PORT, &any, 0U) !=
		    0) ||
	    syscall(__NR_landlock_restrict_self, fd, 0U) != 0)
		e = errno;
	close(fd);
	return e;
}

int
sandbox_user(uid_t uid)
{
	const struct passwd *pw;

	if (geteuid() != 0 || uid == 0)
		return 0;
	pw = getpwuid(uid);
	if (pw == NULL || setgroups(1, &pw->pw_gid) == -1 ||
	    setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) == -1 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) == -1)
		return -1;
	return 0;
}

int
sandbox_close(const char *readable)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
		return -1;
	if (SANITIZED) /* its leak check forks and reads /proc */
		return 0;
	setrlimit(RLIMIT_NPROC, &none);
	return sandbox_landlock(readable);
}

/* SPDX-License-Identifier: ISC */
/* Who may connect to the relay, and what it can do afterwards: each refusal,
 * by the kernel that runs this. */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/relay.h"

#include <cmocka.h>

#include "title.h"

#define ALIAS 0x7f400001 /* 127.64.0.1 */

static char said[2048];
static const char *name; /* ours */
static const char *const none[] = { NULL };
static const struct relay_args args = { .users = none };
static struct danevirke_settings set;
static struct hub hub;

void
log_line(int level, const char *fmt, ...)
{
	size_t n = strlen(said);
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(said + n, sizeof said - n, fmt, ap);
	va_end(ap);
}

static int
listen_at(uint32_t addr, uint16_t *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd != -1);
	sin.sin_addr.s_addr = htonl(addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

static int
connect_to(uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(addr);
	sin.sin_port = htons(port);
	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof sin), 0);
	return fd;
}

static int
setup(void **state)
{
	const struct passwd *pw = getpwuid(geteuid());

	(void)state;
	assert_non_null(pw);
	name = strdup(pw->pw_name);
	set.relay_users = &name;
	set.n_relay_users = 1;
	hub.set = &set;
	hub.args = &args;
	assert_int_equal(guard_open(&hub), 0);
	assert_int_equal(hub.guard.n, 1);
	assert_int_equal(hub.guard.uids[0], geteuid());
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(hub.guard.diag);
	free((char *)(uintptr_t)name);
	return 0;
}

/* Each connection is judged by its own other end. */
static void
test_peer(void **state)
{
	uint16_t port;
	char why[200] = "";
	int l = listen_at(ALIAS, &port), i, c, a;

	(void)state;
	for (i = 0; i < 20; i++) {
		c = connect_to(ALIAS, port);
		a = accept(l, NULL, NULL);
		assert_true(
		    guard_client(&hub.guard, a, ALIAS, port, why, sizeof why));
		hub.guard.uids[0]++;
		assert_false(
		    guard_client(&hub.guard, a, ALIAS, port, why, sizeof why));
		assert_non_null(strstr(why, "from uid"));
		hub.guard.uids[0]--;
		close(c);
		close(a);
	}
	close(l);
}

/* By an address that is not the alias, or another port. */
static void
test_address(void **state)
{
	uint16_t port;
	char why[200] = "";
	int l = listen_at(ALIAS, &port);
	int c = connect_to(ALIAS, port);
	int a = accept(l, NULL, NULL);

	(void)state;
	assert_true(guard_client(&hub.guard, a, ALIAS, port, why, sizeof why));
	assert_false(
	    guard_client(&hub.guard, a, ALIAS + 1, port, why, sizeof why));
	assert_string_equal(why, "not to an alias");
	port++;
	assert_false(guard_client(&hub.guard, a, ALIAS, port, why, sizeof why));
	close(c);
	close(a);
	close(l);
}

/* A peer that cannot be found is refused. */
static void
test_gone(void **state)
{
	struct linger now = { 1, 0 };
	uint16_t port;
	char why[200] = "";
	int l = listen_at(ALIAS, &port);
	int c = connect_to(ALIAS, port);
	int a = accept(l, NULL, NULL);
	int diag = hub.guard.diag;

	(void)state;
	hub.guard.diag = -1; /* no answer */
	assert_false(guard_client(&hub.guard, a, ALIAS, port, why, sizeof why));
	assert_non_null(strstr(why, "could not find out"));
	hub.guard.diag = diag;
	setsockopt(c, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(c);
	usleep(50000);
	assert_false(guard_client(&hub.guard, a, ALIAS, port, why, sizeof why));
	close(a);
	close(l);
	/* neither is what is no connection at all */
	a = open("/dev/null", O_RDWR);
	assert_false(guard_client(&hub.guard, a, ALIAS, port, why, sizeof why));
	close(a);
}

/* A user that does not exist: our own, if that is not root's. */
static void
test_user(void **state)
{
	static const char *const nobody[] = { "no-such-user" };
	struct hub other = hub;

	(void)state;
	set.relay_users = nobody;
	said[0] = '\0';
	if (geteuid() == 0)
		assert_int_equal(guard_open(&other), -1);
	else {
		assert_int_equal(guard_open(&other), 0);
		assert_int_equal(other.guard.uids[0], geteuid());
		close(other.guard.diag);
	}
	assert_non_null(strstr(said, "relay.user: no user \"no-such-user\""));
	set.relay_users = &name;
}

#ifndef __SANITIZE_ADDRESS__ /* there guard.c leaves /proc to the leak check */
static long
landlock_version(void)
{
#ifdef __NR_landlock_create_ruleset
	return syscall(__NR_landlock_create_ruleset, NULL, 0, 1);
#else
	return 0;
#endif
}

/* In a process of its own: the number of the first thing that is wrong. */
static int
closed(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct rlimit rl;
	uint16_t port;
	int l = listen_at(ALIAS, &port), fd, held;

	held = open("/dev/null", O_RDWR);
	if (guard_close(&hub) != 0)
		return 1;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 2;
	if (getrlimit(RLIMIT_CORE, &rl) != 0 || rl.rlim_max != 0)
		return 3;
	/* what was open stays, and new connections may have an own address */
	if (write(held, "x", 1) != 1)
		return 4;
	fd = socket(AF_INET, SOCK_STREAM, 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&sin, sizeof sin) != 0)
		return 5;
	sin.sin_addr.s_addr = htonl(ALIAS);
	sin.sin_port = htons(port);
	if (connect(fd, (struct sockaddr *)&sin, sizeof sin) != 0)
		return 6;
	close(l);
	if (landlock_version() < 1)
		return strstr(said, "no Landlock") == NULL ? 7 : 0;
	if (said[0] != '\0')
		return 8;
	if (open("/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		return 9;
	if (open("/dev/null", O_WRONLY) != -1 || errno != EACCES)
		return 10;
	if (open("/tmp/danevirke-guard", O_CREAT | O_WRONLY, 0600) != -1)
		return 11;
	execl("/bin/true", "true", (char *)NULL);
	if (errno != EACCES)
		return 12;
	if (landlock_version() >= 4) {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		sin.sin_port = htons(10025);
		if (bind(fd, (struct sockaddr *)&sin, sizeof sin) != -1 ||
		    errno != EACCES)
			return 13;
	}
	if (landlock_version() >= 6 &&
	    (kill(getppid(), 0) != -1 || errno != EPERM))
		return 14;
	return 0;
}

/* In a process of its own, with a file of CAs that is replaced as soon as it
 * says so: it reads the new one, and nothing else. */
static int
closed_but(const char *path, int ask, int go)
{
	char text[8] = "";
	int fd;

	if (guard_close(&hub) != 0)
		return 1;
	if (landlock_version() < 1)
		return 0;
	if (write(ask, "x", 1) != 1 || read(go, text, 1) != 1)
		return 2;
	if ((fd = open(path, O_RDONLY)) == -1 || read(fd, text, 3) != 3 ||
	    strcmp(text, "new") != 0)
		return 3;
	if (open(path, O_WRONLY) != -1 || errno != EACCES)
		return 4;
	if (open("/etc/passwd", O_RDONLY) != -1 || errno != EACCES)
		return 5;
	return 0;
}

static void
put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, 0644), 0);
}

static void
test_ca_file(void **state)
{
	char dir[] = "/tmp/danevirke-guard.XXXXXX", path[64], new[64], c;
	int status, ask[2], go[2];
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	snprintf(path, sizeof path, "%s/cas", dir);
	snprintf(new, sizeof new, "%s/new", dir);
	put(path, "old");
	put(new, "new");
	assert_int_equal(pipe(ask), 0);
	assert_int_equal(pipe(go), 0);
	hub.ca_file = path;
	if ((pid = fork()) == 0) {
		close(ask[0]);
		close(go[1]);
		_exit(closed_but(path, ask[1], go[0]));
	}
	hub.ca_file = NULL;
	close(ask[1]);
	close(go[0]);
	if (read(ask[0], &c, 1) == 1) {
		assert_int_equal(rename(new, path), 0);
		assert_int_equal(write(go[1], "x", 1), 1);
	}
	close(ask[0]);
	close(go[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	unlink(path);
	unlink(new);
	rmdir(dir);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
test_closed(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	said[0] = '\0';
	if ((pid = fork()) == 0)
		_exit(closed());
	assert_true(pid != -1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}
#endif

/* Why this kernel cannot be asked who connects; an emulator, perhaps. */
static const char *
no_diag(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);

	if (fd != -1)
		close(fd);
	else if (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT)
		return strerror(errno);
	return NULL;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_peer, "a client of another user is refused"),
		TEST(test_address,
		    "a connection to no alias or another port is refused"),
		TEST(test_gone, "a client that cannot be found is refused"),
		TEST(test_user, "a user that does not exist is told"),
#ifndef __SANITIZE_ADDRESS__
		TEST(test_closed, "every other descriptor is closed"),
		TEST(test_ca_file,
		    "the file of CAs can be read, also a new one (H04)"),
#endif
	};

	if (no_diag() != NULL) {
		printf("1..0 # SKIP sock_diag: %s\n", no_diag());
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, teardown);
}

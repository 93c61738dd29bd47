/* SPDX-License-Identifier: ISC */
/* Another program, for what it says: no shell, and bounds on time and output. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "program.h"

static time_t
program_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

static void __attribute__((noreturn))
program_child(const char *const argv[], int out)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
		    lang[] = "LC_ALL=C";
	char *const env[] = { path, lang, NULL };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	/* with all that it starts, so that it can be ended as a whole */
	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
	    dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0 &&
	    chdir("/") == 0)
		execve(argv[0], (char *const *)(uintptr_t)argv, env);
	_exit(127);
}

/* 0 at the end of its output, or an errno. */
static int
program_listen(int fd, time_t end, struct program *p)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	size_t len = 0, cap = 0;
	ssize_t n;
	char *more;

	for (;;) {
		if (cap - len < 4096) {
			cap = cap == 0 ? 65536 : cap * 2;
			if (cap > PROGRAM_OCTETS)
				return EFBIG;
			if ((more = realloc(p->text, cap)) == NULL)
				return ENOMEM;
			p->text = more;
		}
		if (program_now() >= end)
			return ETIMEDOUT;
		if (poll(&poll_fd, 1, 1000) <= 0)
			continue;
		n = read(fd, p->text + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		len += (size_t)n;
		p->text[len] = '\0';
		if (n == 0)
			return 0;
	}
}

/* It may have closed its output and gone on. */
static int
program_wait(pid_t pid, time_t end, struct program *p, int wrong)
{
	const struct timespec tick = { .tv_nsec = 20000000 };
	int status = 0;
	pid_t rc;

	while (wrong == 0 && (rc = waitpid(pid, &status, WNOHANG)) != pid) {
		if (rc < 0 && errno != EINTR)
			wrong = errno;
		else if (program_now() >= end)
			wrong = ETIMEDOUT;
		else
			nanosleep(&tick, NULL);
	}
	if (wrong != 0) {
		kill(-pid, SIGKILL);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			continue;
		errno = wrong;
		return -1;
	}
	p->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return 0;
}

int
program_run(const char *const argv[], unsigned seconds, struct program *p)
{
	time_t end = program_now() + (time_t)seconds;
	int fd[2], wrong;
	pid_t pid;

	*p = (struct program){ .status = -1 };
	if (argv[0] == NULL || argv[0][0] != '/') {
		errno = EINVAL;
		return -1;
	}
	if (pipe2(fd, O_CLOEXEC) != 0)
		return -1;
	if ((pid = fork()) == 0)
		program_child(argv, fd[1]);
	wrong = errno;
	close(fd[1]);
	if (pid < 0) {
		close(fd[0]);
		errno = wrong;
		return -1;
	}
	setpgid(pid, pid); /* whichever of the two comes first */
	wrong = program_listen(fd[0], end, p);
	close(fd[0]);
	return program_wait(pid, end, p, wrong);
}

const char *
program_find(const char *const paths[])
{
	for (; *paths != NULL; paths++)
		if (access(*paths, X_OK) == 0)
			return *paths;
	return NULL;
}

const char *
program_service(
    const char *service, enum service_how how, char run[SERVICE_LEN])
{
	const char *verb = how == SERVICE_START ? "start" : "restart";
	char script[SERVICE_LEN];

	snprintf(script, sizeof script, "/etc/init.d/%s", service);
	/* sd_booted(3) */
	if (access("/run/systemd/system", F_OK) == 0)
		snprintf(run, SERVICE_LEN, "systemctl %s %s",
		    how == SERVICE_START ? "enable --now" : verb, service);
	else if (access(script, X_OK) == 0)
		snprintf(run, SERVICE_LEN, "service %s %s", service, verb);
	else
		snprintf(run, SERVICE_LEN, "what %ss %s on this machine", verb,
		    service);
	return run;
}

/* SPDX-License-Identifier: ISC */
/* program.h - another program, for what it says */
#ifndef PROGRAM_H
#define PROGRAM_H

#define PROGRAM_OCTETS (4U << 20)

struct program {
	char *text; /* what it wrote to both outputs; free() */
	int status; /* exit status; -1: it was ended, or a signal */
};
/* argv[0] is an absolute path.  No shell, no environment but PATH, at most so
 * many seconds and PROGRAM_OCTETS.  0, or -1: errno, or ETIMEDOUT, EFBIG. */
int program_run(const char *const argv[], unsigned seconds, struct program *);
/* The first of these that can be run, or NULL. */
const char *program_find(const char *const paths[]);

enum service_how { SERVICE_RESTART, SERVICE_START };
#define SERVICE_LEN 128
/* What starts it on this machine, now and at each start, for people. */
const char *
program_service(const char *service, enum service_how, char run[SERVICE_LEN]);

#endif

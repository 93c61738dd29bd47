/* SPDX-License-Identifier: ISC */
/* sandbox.h - what a process that reads strangers' data gives up */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <sys/types.h>

/* A build with a sanitizer needs what is given up here, and more time. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Root becomes this user, for good.  Others, and uid 0: nothing is done.  0, or
 * -1 with errno. */
int sandbox_user(uid_t uid);
/* No core, no new privileges, no process, no file from here on, no TCP port to
 * listen at.  readable, may be NULL: it and its neighbours can be read all the
 * same, as it will be replaced.  0; an errno if the kernel has no Landlock, and
 * the rest is done; -1 with errno. */
int sandbox_close(const char *readable);

#endif

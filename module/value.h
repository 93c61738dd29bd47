/* SPDX-License-Identifier: ISC */
/* value.c: text from an administrator's file to checked values */
#ifndef VALUE_H
#define VALUE_H

#include "module.h"

struct sockaddr;

/* True: *out is written. */
bool value_utf8(const char *s); /* valid UTF-8, no control characters */
bool value_address(const char *s, struct conf_prefix *out);
/* That of an IPv4 or IPv6 socket; false: of another family. */
bool value_sockaddr(const struct sockaddr *sa, struct conf_prefix *out);
/* "192.0.2.0/24"; an address alone is a prefix of its full length.  False
 * and *clear: bits are set behind the prefix. */
bool value_prefix(const char *s, struct conf_prefix *out, bool *clear);
/* "192.0.2.1" or "192.0.2.1@53" to "192.0.2.1@53" */
bool value_server(const char *s, char *buf, size_t len);
/* "2027-01-31" to the first second after that day, UTC */
bool value_until(const char *s, int64_t *out);
bool value_any(const struct conf_prefix *); /* 0.0.0.0 or :: */
bool value_user(const char *s);             /* a login name, not looked up */
/* NULL, or what is wrong with this GnuTLS priority string (S03, S04), in
 * buf */
const char *value_priority(const char *s, char *buf, size_t len);

/* A whole file, NUL-terminated, for free().  Refused with code and a text in
 * err: not a regular file, longer than max, with NUL octets, or writable by
 * others than root and ourselves.  0 or a code. */
int value_file(const char *path, size_t max, int code, char **text, size_t *len,
    struct danevirke_error *err);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * tlsrpt.h - TLS reports (RFC 8460) as domains get them
 *
 *	tlsrpt.c	cmd_report()	the subcommand
 *	tlsrpt_mail.c	tlsrpt_open()	JSON of a file, of gzip, of a mail
 *	tlsrpt_json.c	tlsrpt_read()	a report of JSON
 *
 * But for the subcommand all is pure.  Whoever knows the address in a domain's
 * TXT record can send reports: whatever one holds costs no more than the bounds
 * below, and is believed by nobody.
 */
#ifndef TLSRPT_H
#define TLSRPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of all JSON in one file.  The largest reports are some megabytes. */
#define TLSRPT_MAX (16u * 1024 * 1024)
/* Reports in one mail. */
#define TLSRPT_FILES 100
/* Values in one, each of which costs far more memory than its octets. */
#define TLSRPT_VALUES 500000
#define TLSRPT_NESTED 50000
/* A count that no sum of so many overflows. */
#define TLSRPT_COUNT 1000000000000

/* Strings are UTF-8, of any length, and NULL if they are not there. */
struct tlsrpt_failure {
	const char *result; /* RFC 8460 4.3, or another word */
	const char *mx, *helo, *ip, *from, *info, *reason;
	long long sessions;
};

struct tlsrpt_policy {
	const char *type, *domain;
	long long good, bad; /* sessions */
	struct tlsrpt_failure *failure;
	size_t n;
};

struct tlsrpt {
	const char *organization, *contact, *id, *start, *end;
	struct tlsrpt_policy *policy;
	size_t n;
	void *json; /* holds the strings */
};

/* 0, or -1: why says what is wrong.  tlsrpt_free() when done. */
int tlsrpt_read(const char *data, size_t, struct tlsrpt *, char *why, size_t);
void tlsrpt_free(struct tlsrpt *);

/* Gives each JSON document of a file, a NUL behind it, to take(): the file
 * itself, what gzip makes of it, or both for the enclosures of a mail.  Returns
 * how many there were, or -1: why says what is wrong, and no more come. */
typedef void tlsrpt_take(void *arg, const char *data, size_t);
int tlsrpt_open(
    const uint8_t *data, size_t, tlsrpt_take *, void *arg, char *why, size_t);

#endif

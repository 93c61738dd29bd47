/* SPDX-License-Identifier: ISC */
/*
 * request.h - what a client of danevirke web asks for, and who it is
 *
 * Pure: octets in, values out.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "module.h"

#define REQUEST_HEAD 8192  /* octets of request line and headers */
#define REQUEST_DOMAIN 512 /* of a domain as it is typed, with its NUL */

enum request_page {
	REQUEST_FORM,
	REQUEST_CHECK, /* domain is set */
	REQUEST_JSON,  /* domain is set */
	REQUEST_STYLE,
	REQUEST_ROBOTS
};

struct request {
	bool head; /* the answer's body is not wanted */
	enum request_page page;
	char domain[REQUEST_DOMAIN];  /* UTF-8, printable; "": none was given */
	char forwarded[REQUEST_HEAD]; /* X-Forwarded-For, all of them */
};

/* The head of a request, as far as the empty line and with it (RFC 9112).  0:
 * all of r is set; else an HTTP status, and r->head at least is. */
int request_read(const char *head, size_t len, struct request *r);

/* IPv4 as an IPv6 socket has it ("::ffff:192.0.2.1"): IPv4; else the same. */
struct conf_prefix request_unmapped(const struct conf_prefix *);

/* Who asks: peer, or, if that is one of the proxies, the last one in forwarded
 * that is none (W04).  IPv6: its /64, as one client has all of it.  family 0:
 * by way of a socket's path, where nothing more is known. */
struct conf_prefix request_client(const struct conf_prefix *peer,
    const char *forwarded, const struct conf_prefix *proxy, size_t n_proxy);

#endif

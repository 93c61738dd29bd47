/* SPDX-License-Identifier: ISC */
/* connect.h - a TCP connection, begun */
#ifndef CONNECT_H
#define CONNECT_H

#include <sys/socket.h>

#include "danevirke.h"

/* family: 4 or 6, as in struct danevirke_addr.  Its length. */
socklen_t connect_address(
    struct sockaddr_storage *, int family, const uint8_t *ip, uint16_t port);
/* A non-blocking socket that connects or has done so; source: text of the own
 * address, used if its family is that of addr, or NULL.  -1: errno. */
int connect_begin(
    const struct danevirke_addr *addr, uint16_t port, const char *source);
/* Text of the own address, into at least INET6_ADDRSTRLEN; "": unknown. */
void connect_own(int fd, char *text, socklen_t len);

#endif

/* SPDX-License-Identifier: ISC */
/* A TCP connection, begun. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connect.h"

socklen_t
connect_address(
    struct sockaddr_storage *ss, int family, const uint8_t *ip, uint16_t port)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *four = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof *ss);
	if (family == 6) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(port);
		memcpy(&six->sin6_addr, ip, 16);
		return sizeof *six;
	}
	four->sin_family = AF_INET;
	four->sin_port = htons(port);
	memcpy(&four->sin_addr, ip, 4);
	return sizeof *four;
}

int
connect_begin(
    const struct danevirke_addr *addr, uint16_t port, const char *source)
{
	struct sockaddr_storage ss;
	int family = addr->family == 6 ? AF_INET6 : AF_INET, fd, e, on = 1;
	uint8_t ip[16];
	socklen_t len;

	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -1;
	/* or EHLO waits 40 ms for an acknowledgement of the handshake's end */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (source != NULL && inet_pton(family, source, ip) == 1) {
		len = connect_address(&ss, addr->family, ip, 0);
		if (bind(fd, (struct sockaddr *)&ss, len) == -1)
			goto err;
	}
	len = connect_address(&ss, addr->family, addr->ip, port);
	if (connect(fd, (struct sockaddr *)&ss, len) == 0 ||
	    errno == EINPROGRESS)
		return fd;
err:
	e = errno;
	close(fd);
	errno = e;
	return -1;
}

void
connect_own(int fd, char *text, socklen_t len)
{
	struct sockaddr_storage ss;
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&ss;
	const struct sockaddr_in *four = (const struct sockaddr_in *)&ss;
	socklen_t n = sizeof ss;

	if (getsockname(fd, (struct sockaddr *)&ss, &n) == -1 ||
	    inet_ntop(ss.ss_family,
		ss.ss_family == AF_INET6 ? (const void *)&six->sin6_addr :
					   (const void *)&four->sin_addr,
		text, len) == NULL)
		*text = '\0';
}

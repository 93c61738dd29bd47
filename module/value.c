/* SPDX-License-Identifier: ISC */
/* Text from an administrator's file to checked values. */
#include <sys/stat.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"
#include "value.h"

bool
value_utf8(const char *s)
{
	size_t n;

	for (; *s != '\0'; s += n)
		if ((n = utf8_printable(s)) == 0)
			return false;
	return true;
}

/* Decimal digits and nothing else, no leading zero */
static bool
value_number(const char *s, unsigned max, unsigned *out)
{
	unsigned v = 0;

	if (*s == '\0' || (*s == '0' && s[1] != '\0'))
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (unsigned)(*s - '0');
		if (v > max)
			return false;
	}
	*out = v;
	return true;
}

bool
value_address(const char *s, struct conf_prefix *out)
{
	struct conf_prefix p = { 0 };

	if (inet_pton(AF_INET, s, p.ip) == 1) {
		p.family = 4;
		p.bits = 32;
	} else if (inet_pton(AF_INET6, s, p.ip) == 1) {
		p.family = 6;
		p.bits = 128;
	} else
		return false;
	*out = p;
	return true;
}

bool
value_sockaddr(const struct sockaddr *sa, struct conf_prefix *out)
{
	const struct sockaddr_in6 *six = (const void *)sa;
	const struct sockaddr_in *four = (const void *)sa;
	struct conf_prefix p = { 0 };

	if (sa->sa_family == AF_INET) {
		p.family = 4;
		p.bits = 32;
		memcpy(p.ip, &four->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		p.family = 6;
		p.bits = 128;
		memcpy(p.ip, &six->sin6_addr, 16);
	} else
		return false;
	*out = p;
	return true;
}

bool
value_any(const struct conf_prefix *p)
{
	static const uint8_t zero[16];

	return memcmp(p->ip, zero, sizeof zero) == 0;
}

bool
value_prefix(const char *s, struct conf_prefix *out, bool *clear)
{
	char buf[INET6_ADDRSTRLEN];
	const char *slash = strchr(s, '/');
	struct conf_prefix p;
	unsigned bits;
	size_t n = slash == NULL ? strlen(s) : (size_t)(slash - s);

	*clear = false;
	if (n >= sizeof buf)
		return false;
	memcpy(buf, s, n);
	buf[n] = '\0';
	if (!value_address(buf, &p))
		return false;
	if (slash != NULL) {
		if (!value_number(slash + 1, p.bits, &bits))
			return false;
		for (unsigned i = bits; i < p.bits; i++)
			if (p.ip[i / 8] & 0x80 >> i % 8) {
				*clear = true;
				return false;
			}
		p.bits = bits;
	}
	*out = p;
	return true;
}

bool
value_server(const char *s, char *buf, size_t len)
{
	char ip[INET6_ADDRSTRLEN];
	const char *at = strchr(s, '@');
	struct conf_prefix p;
	unsigned port = 53;
	size_t n = at == NULL ? strlen(s) : (size_t)(at - s);

	if (n >= sizeof ip)
		return false;
	memcpy(ip, s, n);
	ip[n] = '\0';
	if (!value_address(ip, &p) || value_any(&p) ||
	    inet_ntop(p.family == 4 ? AF_INET : AF_INET6, p.ip, ip,
		sizeof ip) == NULL)
		return false;
	if (at != NULL && (!value_number(at + 1, 65535, &port) || port == 0))
		return false;
	n = (size_t)snprintf(buf, len, "%s@%u", ip, port);
	return n < len;
}

/* P01: the day named is the last one on which the rule holds. */
bool
value_until(const char *s, int64_t *out)
{
	const char shape[] = "dddd-dd-dd";
	int64_t day;

	if (strlen(s) != sizeof shape - 1)
		return false;
	for (size_t i = 0; i < sizeof shape - 1; i++)
		if (shape[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != '-')
			return false;
	if (!text_day(atoi(s), atoi(s + 5), atoi(s + 8), &day) || day < 0)
		return false;
	*out = (day + 1) * 86400;
	return true;
}

/* A login name as useradd(8) takes it; whether it exists is not asked. */
bool
value_user(const char *s)
{
	size_t n = strlen(s);

	return n >= 1 && n <= 32 &&
	    strspn(s,
		"abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == n &&
	    strspn(s, "0123456789") != n && *s != '-' && *s != '.';
}

static bool
value_has(const unsigned *list, int n, unsigned min, unsigned max)
{
	for (int i = 0; i < n; i++)
		if (list[i] >= min && list[i] <= max)
			return true;
	return false;
}

const char *
value_priority(const char *s, char *buf, size_t len)
{
	gnutls_priority_t p;
	const unsigned *l;
	const char *at = s;
	int n, rc;

	if ((rc = gnutls_priority_init(&p, s, &at)) != GNUTLS_E_SUCCESS) {
		if (rc == GNUTLS_E_INVALID_REQUEST)
			snprintf(
			    buf, len, "not understood from \"%.64s\" on", at);
		else
			snprintf(buf, len, "%s", gnutls_strerror(rc));
		return buf;
	}
	*buf = '\0';
	n = gnutls_priority_protocol_list(p, &l);
	if (!value_has(l, n, GNUTLS_TLS1_0, GNUTLS_TLS1_3))
		snprintf(buf, len, "it leaves no version of TLS");
	n = gnutls_priority_cipher_list(p, &l);
	if (n <= 0)
		snprintf(buf, len, "it leaves no cipher");
	else if (value_has(l, n, GNUTLS_CIPHER_NULL, GNUTLS_CIPHER_NULL))
		snprintf(buf, len, "it allows the NULL cipher");
	/* S04: nothing is authenticated by a suite without certificates */
	n = gnutls_priority_kx_list(p, &l);
	if (value_has(l, n, GNUTLS_KX_ANON_DH, GNUTLS_KX_ANON_DH) ||
	    value_has(l, n, GNUTLS_KX_ANON_ECDH, GNUTLS_KX_ANON_ECDH))
		snprintf(buf, len, "it allows anonymous key exchange");
	gnutls_priority_deinit(p);
	return *buf == '\0' ? NULL : buf;
}

/* ------------------------------------------------------------------ files */

/* Whoever can write this file decides who can read the mail. */
static int
file_trusted(const struct stat *st, const char *path, int code,
    struct danevirke_error *err)
{
	uid_t me = geteuid();
	bool own_group = me != 0 && st->st_uid == me && st->st_gid == getegid();

	if (!S_ISREG(st->st_mode))
		return fail(err, code, "%s: %s: want a regular file", path,
		    S_ISDIR(st->st_mode) ? "a directory" : "a special file");
	if (st->st_uid != 0 && st->st_uid != me)
		return fail(err, code,
		    "%s: owned by uid %lu: want a file of root%s", path,
		    (unsigned long)st->st_uid,
		    me == 0 ? "" : " or of the user who reads it");
	if ((st->st_mode & S_IWOTH) != 0 ||
	    ((st->st_mode & S_IWGRP) != 0 && st->st_gid != 0 && !own_group))
		return fail(err, code,
		    "%s: mode %04o: want a file that no other user can write",
		    path, (unsigned)(st->st_mode & 07777));
	return DANEVIRKE_OK;
}

static int
file_text(const char *text, size_t len, const char *path, int code,
    struct danevirke_error *err)
{
	const char *nul = memchr(text, '\0', len);
	unsigned line = 1;

	if (nul == NULL)
		return DANEVIRKE_OK;
	for (const char *p = text; p < nul; p++)
		line += *p == '\n';
	return fail(
	    err, code, "%s:%u: a NUL octet: want a text file", path, line);
}

int
value_file(const char *path, size_t max, int code, char **text, size_t *len,
    struct danevirke_error *err)
{
	struct stat st;
	char *buf = NULL;
	ssize_t n = 0;
	size_t used = 0, room;
	int fd, rc;

	/* Symlinks are normal in /etc; a FIFO must not hold us up. */
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) ==
	    -1)
		return fail(err, code, "%s: %s: want a readable file", path,
		    strerror(errno));
	if (fstat(fd, &st) == -1) {
		rc = fail(err, code, "%s: fstat: %s", path, strerror(errno));
		goto out;
	}
	if ((rc = file_trusted(&st, path, code, err)) != DANEVIRKE_OK)
		goto out;
	room = (size_t)st.st_size;
	if (room > max) {
		rc = fail(err, code, "%s: too long: want at most %zu octets",
		    path, max);
		goto out;
	}
	if ((buf = malloc(room + 2)) == NULL) {
		rc = fail(err, DANEVIRKE_ENOMEM, "%s: out of memory", path);
		goto out;
	}
	while (used <= room) {
		n = read(fd, buf + used, room + 1 - used);
		if (n == 0)
			break;
		if (n > 0)
			used += (size_t)n;
		else if (errno != EINTR) {
			rc = fail(err, code, "%s: %s: want a readable file",
			    path, strerror(errno));
			goto out;
		}
	}
	if (used > room) {
		rc = fail(err, code,
		    "%s: it grew while it was read: want a file that rests",
		    path);
		goto out;
	}
	buf[used] = '\0';
	if ((rc = file_text(buf, used, path, code, err)) != DANEVIRKE_OK)
		goto out;
	*text = buf;
	*len = used;
	buf = NULL;
out:
	free(buf);
	close(fd);
	return rc;
}

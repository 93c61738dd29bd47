/* SPDX-License-Identifier: ISC */
/*
 * What a server's handshake message may ask of us (S09).  GnuTLS decodes every
 * certificate of the list, which takes time by the square of its parts, and
 * reckons with the key of the first.
 */
#include <stdarg.h>
#include <stdio.h>

#include "peerkey.h"
#include "spki.h"

#define GROUP_LEN 1024 /* octets of p: 8192 bits */

struct in {
	const uint8_t *p;
	size_t len;
};

static bool __attribute__((format(printf, 3, 4)))
peer_refuse(char *why, size_t size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return false;
}

/* A vector with a length of n octets in front: RFC 8446 3.4 */
static bool
peer_vector(struct in *in, size_t n, struct in *content)
{
	size_t len = 0, i;

	if (in->len < n)
		return false;
	for (i = 0; i < n; i++)
		len = len << 8 | in->p[i];
	if (len > in->len - n)
		return false;
	content->p = in->p + n;
	content->len = len;
	in->p += n + len;
	in->len -= n + len;
	return true;
}

static bool
peer_key(struct in cert, char *why, size_t size)
{
	struct spki_key key;
	const uint8_t *spki;
	size_t len;
	char what[80];

	if (spki_find(cert.p, cert.len, &spki, &len) != 0)
		return peer_refuse(
		    why, size, "the server's certificate is not DER");
	key = spki_key(spki, len);
	return spki_bounded(&key, what, sizeof what) ||
	    peer_refuse(why, size, "the server's key is %s", what);
}

bool
peer_certificates(
    const uint8_t *p, size_t len, bool tls13, char *why, size_t size)
{
	struct in in = { p, len }, list, cert, more;
	unsigned n;

	/* certificate_request_context: empty, RFC 8446 4.4.2 */
	if ((tls13 && (!peer_vector(&in, 1, &more) || more.len != 0)) ||
	    !peer_vector(&in, 3, &list) || in.len != 0)
		return peer_refuse(why, size, "a Certificate message is none");
	for (n = 0; list.len > 0; n++) {
		if (!peer_vector(&list, 3, &cert) ||
		    (tls13 && !peer_vector(&list, 2, &more)))
			return peer_refuse(
			    why, size, "a Certificate message is none");
		if (n == PEER_CERTS)
			return peer_refuse(why, size,
			    "the server sends more than %d certificates",
			    PEER_CERTS);
		if (n == 0 && !peer_key(cert, why, size))
			return false;
		if (cert.len > PEER_CERT_LEN)
			return peer_refuse(why, size,
			    "the server sends a certificate of %zu octets: "
			    "more than %d",
			    cert.len, PEER_CERT_LEN);
	}
	return true; /* none at all is GnuTLS's to refuse */
}

bool
peer_group(const uint8_t *p, size_t len, char *why, size_t size)
{
	struct in in = { p, len }, part;
	int i;

	for (i = 0; i < 3; i++) { /* p, g, Ys */
		if (!peer_vector(&in, 2, &part))
			return peer_refuse(
			    why, size, "a ServerKeyExchange message is none");
		if (part.len > GROUP_LEN)
			return peer_refuse(why, size,
			    "the server's Diffie-Hellman group has %zu octets: "
			    "more than %d",
			    part.len, GROUP_LEN);
	}
	return true;
}

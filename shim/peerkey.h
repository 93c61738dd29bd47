/* SPDX-License-Identifier: ISC */
/*
 * peerkey.h - what a server's handshake message may ask of us (S09)
 *
 * Each takes the content of a message, without its header, and says whether
 * GnuTLS may have it; if not, why is a text like "the server's key is DSA".
 * What cannot be read is refused.  Pure.
 */
#ifndef PEERKEY_H
#define PEERKEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_MESSAGE 65536  /* octets of one message, at most */
#define PEER_CERTS 100      /* certificates in one */
#define PEER_CERT_LEN 16384 /* octets of one certificate */

/* Certificate: RFC 5246 7.4.2, or as it is since TLS 1.3, RFC 8446 4.4.2 */
bool peer_certificates(
    const uint8_t *, size_t len, bool tls13, char *why, size_t size);
/* ServerKeyExchange with a finite field's group, RFC 5246 7.4.3 */
bool peer_group(const uint8_t *, size_t len, char *why, size_t size);

#endif

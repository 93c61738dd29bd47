/* SPDX-License-Identifier: ISC */
/* handshake.h - a client's TLS session that looks at what the server sends
 * before GnuTLS does (S09) */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include <gnutls/gnutls.h>

#include "peerkey.h"

/* Of one handshake; lives until it is over. */
struct handshake {
	char why[120]; /* what we have refused; "": nothing */
};

/* A session but for its transport: priority NULL is "NORMAL", sni NULL none.
 * NULL: why not is in *why. */
gnutls_session_t handshake_new(const char *priority, const char *sni,
    struct handshake *, const char **why);
/* The handshake went well, and its struct handshake may go. */
void handshake_over(gnutls_session_t);
/* What is kept for all sessions; for leak checkers. */
void handshake_cleanup(void);

#endif

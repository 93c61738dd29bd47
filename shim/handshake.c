/* SPDX-License-Identifier: ISC */
/*
 * A client's TLS session.  GnuTLS takes any key that a server sends and begins
 * to reckon with it, inside of one call: an RSA key of 11,000 octets would stop
 * the whole process for half a minute.  So each message is looked at when it is
 * whole and not yet used.  Nothing is verified here, that is verify()'s.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handshake.h"

/* Kept by all sessions of a process: nothing is trusted by it. */
static gnutls_certificate_credentials_t credentials;

void
handshake_cleanup(void)
{
	if (credentials != NULL)
		gnutls_certificate_free_credentials(credentials);
	credentials = NULL;
}

/* S09.  Only what a certificate or a group of the server's choice could make
 * expensive: all else has the sizes of the algorithms that we have offered,
 * and compressed certificates, raw keys and tickets were not asked for. */
static int
handshake_look(gnutls_session_t tls, unsigned type, unsigned when,
    unsigned incoming, const gnutls_datum_t *message)
{
	struct handshake *h = gnutls_session_get_ptr(tls);
	bool ok = true;

	(void)when;
	if (!incoming || h == NULL)
		return 0;
	if (type == GNUTLS_HANDSHAKE_CERTIFICATE_PKT)
		ok = peer_certificates(message->data, message->size,
		    gnutls_protocol_get_version(tls) >= GNUTLS_TLS1_3, h->why,
		    sizeof h->why);
	else if (type == GNUTLS_HANDSHAKE_SERVER_KEY_EXCHANGE)
		switch (gnutls_kx_get(tls)) {
		case GNUTLS_KX_ECDHE_RSA:
		case GNUTLS_KX_ECDHE_ECDSA:
			break; /* a curve by its number */
		default:
			ok = peer_group(message->data, message->size, h->why,
			    sizeof h->why);
		}
	return ok ? 0 : GNUTLS_E_RECEIVED_ILLEGAL_PARAMETER;
}

/* S09: in the large groups of RFC 7919 GnuTLS looks whether the server's value
 * lies in the right subgroup, for up to 0.4 s.  Nobody needs them (RFC 8446
 * 9.1), and a TLS 1.2 server's own group costs a tenth. */
#define CHEAP ":-GROUP-FFDHE4096:-GROUP-FFDHE6144:-GROUP-FFDHE8192"

static int
handshake_priority(gnutls_session_t tls, const char *priority)
{
	size_t size = strlen(priority) + sizeof CHEAP;
	char *text = malloc(size);
	int rv = GNUTLS_E_MEMORY_ERROR;

	if (text != NULL) {
		snprintf(text, size, "%s" CHEAP, priority);
		rv = gnutls_priority_set_direct(tls, text, NULL);
	}
	free(text);
	return rv;
}

static int
handshake_set(gnutls_session_t tls, const char *priority, const char *sni)
{
	int rv;

	gnutls_handshake_set_max_packet_length(tls, PEER_MESSAGE);
	gnutls_handshake_set_hook_function(
	    tls, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_PRE, handshake_look);
	rv = handshake_priority(tls, priority != NULL ? priority : "NORMAL");
	if (rv == 0)
		rv = gnutls_credentials_set(
		    tls, GNUTLS_CRD_CERTIFICATE, credentials);
	if (rv == 0 && sni != NULL) /* S01 */
		rv = gnutls_server_name_set(
		    tls, GNUTLS_NAME_DNS, sni, strlen(sni));
	return rv;
}

gnutls_session_t
handshake_new(const char *priority, const char *sni, struct handshake *h,
    const char **why)
{
	gnutls_session_t tls = NULL;
	int rv = 0;

	*h->why = '\0';
	if (credentials == NULL)
		rv = gnutls_certificate_allocate_credentials(&credentials);
	if (rv == 0)
		rv = gnutls_init(&tls,
		    GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL |
			GNUTLS_NO_TICKETS); /* S05 */
	if (rv == 0) {
		gnutls_session_set_ptr(tls, h);
		rv = handshake_set(tls, priority, sni);
	}
	if (rv == 0)
		return tls;
	*why = gnutls_strerror(rv);
	if (tls != NULL)
		gnutls_deinit(tls);
	return NULL;
}

void
handshake_over(gnutls_session_t tls)
{
	gnutls_session_set_ptr(tls, NULL);
}

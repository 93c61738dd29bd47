/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: what a server says to starttls.c, over stream.c.  The socket is
 * one end of a pair.  The first octet of an input is the mode (bits 0 and 1)
 * and the judgement (bit 2: there is one, bit 3: it is good); the rest is what
 * the server says, in parts: after
 *
 *	0	it waits until the client has nothing more to do;
 *	1	it does likewise, and a handshake with the client; what follows
 *		is said in that session.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>
#include <gnutls/x509.h>

#include "fuzz.h"
#include "starttls.h"

int __wrap_socket(int, int, int);
int __wrap_connect(int, const struct sockaddr *, socklen_t);

static struct event_base *base;
static gnutls_certificate_credentials_t credentials;
static int ours, theirs; /* a pair of sockets */

static struct server {
	gnutls_session_t tls; /* NULL: in the clear */
	bool broken;
	size_t heard; /* octets in the session */
	char first[5];
} server;

static struct seen {
	unsigned done;
	enum starttls_mode mode;
	bool wanted, good; /* a judgement, and what it would be */
	bool judged;
	bool ready;
} seen;

int
__wrap_socket(int family, int type, int protocol)
{
	(void)family;
	(void)type;
	(void)protocol;
	return theirs;
}

int
__wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	(void)fd;
	(void)sa;
	(void)len;
	return 0;
}

static int
judge(const struct danevirke_host *host, const struct danevirke_chain *chain,
    const struct danevirke_verify_options *o, struct danevirke_verdict *v)
{
	(void)o;
	must(host != NULL && chain->n_certs == 1, "no chain to judge");
	seen.judged = true;
	v->verified = seen.good;
	snprintf(v->text, sizeof v->text, "judged\n");
	return seen.good ? 0 : DANEVIRKE_EVERIFY;
}

static void
must_be_line(const char *p)
{
	for (; *p != '\0'; p++)
		must((unsigned char)*p >= ' ' && *p != 127, "octet in a text");
}

static void
on_done(void *arg, const struct starttls_result *r)
{
	size_t i;

	(void)arg;
	must(seen.done++ == 0, "done twice");
	must_be_line(r->text);
	must((*r->text == '\0') == (r->state == STARTTLS_READY), "text");
	must(r->code == 0 || (r->code >= 200 && r->code <= 599), "code");
	must((r->stream != NULL) == (r->state == STARTTLS_READY), "stream");
	must(r->tls == (*r->tls_version != '\0'), "version");
	must(r->tls || r->chain->n_certs == 0, "certificates of nobody");
	must((r->verdict != NULL) == seen.judged, "verdict");
	for (i = 0; i < r->n_ehlo; i++)
		must(strlen(r->ehlo[i]) <= 2048, "length of a line");
	if (r->n_ehlo > 0)
		(void)starttls_keyword(r->ehlo, r->n_ehlo, "STARTTLS");
	if (r->state == STARTTLS_READY) {
		must(r->tls || seen.mode == STARTTLS_IF_OFFERED ||
			seen.mode == STARTTLS_NEVER,
		    "clear text where TLS is required"); /* T02, T03 */
		must(!r->tls || seen.mode != STARTTLS_NEVER, "TLS");
		must(seen.wanted ? r->tls == (seen.judged && seen.good) :
				   !seen.judged,
		    "ready without a judgement, or in spite of it"); /* S08 */
		must(r->n_ehlo > 0, "ready without EHLO");
		must(r->code == 0 && r->result == DANEVIRKE_RESULT_NONE,
		    "ready and failed");
		seen.ready = true;
	}
	stream_free(r->stream);
}

/* ------------------------------------------------------------ the server */

static void
server_hear(void)
{
	char buf[4096];
	ssize_t n;

	for (;;) {
		if (server.tls != NULL)
			n = gnutls_record_recv(server.tls, buf, sizeof buf);
		else
			n = recv(ours, buf, sizeof buf, MSG_DONTWAIT);
		if (n <= 0)
			return;
		if (server.tls == NULL)
			continue;
		if (server.heard == 0)
			snprintf(server.first, sizeof server.first, "%.*s",
			    (int)n, buf);
		server.heard += (size_t)n;
	}
}

/* Until the client waits for us. */
static void
settle(void)
{
	unsigned i = 0;

	do
		event_base_loop(base, EVLOOP_NONBLOCK);
	while (i++ < 4 ||
	    (event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE) > 0 &&
		i < 1000));
	must(i < 1000, "it does not come to rest");
}

static void
server_say(const uint8_t *p, size_t len)
{
	if (len == 0 || server.broken)
		return;
	if (server.tls != NULL)
		(void)gnutls_record_send(server.tls, p, len);
	else
		(void)send(ours, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
server_shake(void)
{
	int rv = GNUTLS_E_AGAIN, i;

	if (server.tls != NULL || server.broken)
		return;
	must(gnutls_init(&server.tls,
		 GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) == 0 &&
		gnutls_set_default_priority(server.tls) == 0 &&
		gnutls_credentials_set(
		    server.tls, GNUTLS_CRD_CERTIFICATE, credentials) == 0,
	    "no TLS server");
	gnutls_transport_set_int(server.tls, ours);
	for (i = 0; i < 20 && rv < 0; i++) {
		rv = gnutls_handshake(server.tls);
		if (rv < 0 && gnutls_error_is_fatal(rv))
			break;
		settle();
	}
	if (rv == 0)
		return;
	gnutls_deinit(server.tls);
	server.tls = NULL;
	server.broken = true;
}

static void
credentials_make(void)
{
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crt_t crt = NULL;

	must(gnutls_x509_privkey_init(&key) == 0 &&
		gnutls_x509_privkey_generate(
		    key, GNUTLS_PK_EDDSA_ED25519, 0, 0) == 0 &&
		gnutls_x509_crt_init(&crt) == 0 &&
		gnutls_x509_crt_set_version(crt, 3) == 0 &&
		gnutls_x509_crt_set_serial(crt, "\1", 1) == 0 &&
		gnutls_x509_crt_set_activation_time(crt, 0) == 0 &&
		gnutls_x509_crt_set_expiration_time(crt, 2147483647) == 0 &&
		gnutls_x509_crt_set_key(crt, key) == 0 &&
		gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA512, 0) ==
		    0 &&
		gnutls_certificate_allocate_credentials(&credentials) == 0 &&
		gnutls_certificate_set_x509_key(credentials, &crt, 1, key) == 0,
	    "no certificate");
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

/* ------------------------------------------------------------- one input */

static void
session_open(void)
{
	int fd[2];

	if (base == NULL) {
		signal(SIGPIPE, SIG_IGN);
		must((base = event_base_new()) != NULL, "no loop");
		credentials_make();
	}
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		 fd) == 0,
	    "no sockets");
	ours = fd[0];
	theirs = fd[1];
	memset(&seen, 0, sizeof seen);
	memset(&server, 0, sizeof server);
}

static void
session_close(void)
{
	shutdown(ours, SHUT_WR);
	settle();
	server_hear();
	must(seen.done == 1, "not done when the server has closed");
	/* S08: to whom is not who he should be, nothing is said */
	must(!seen.judged || seen.good || server.heard == 0 ||
		(server.heard == 6 && strcmp(server.first, "QUIT") == 0),
	    "something was said to the wrong server");
	if (server.tls != NULL)
		gnutls_deinit(server.tls);
	close(ours);
	settle();
	must(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) == 0,
	    "events are left");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct danevirke_addr addr = { 4, { 127, 0, 0, 1 },
		"127.0.0.1" };
	static const struct danevirke_api dv = { .verify = judge };
	static const struct danevirke_host host = { .size = sizeof host };
	struct starttls_target t = { .addr = &addr, .helo = "me.example" };
	size_t at = 1, n;

	if (len < 1)
		return 0;
	session_open();
	seen.mode = t.mode = data[0] & 3;
	seen.good = (data[0] & 8) != 0;
	seen.wanted = (data[0] & 4) != 0;
	t.host = seen.wanted ? &host : NULL;
	t.sni = "mx.example";
	must(starttls_start(base, &dv, &t, on_done, NULL) != NULL, "start");
	while (at < len) {
		for (n = 0; at + n < len && data[at + n] > 1; n++)
			;
		server_hear(); /* but not the beginning of a handshake */
		server_say(data + at, n);
		at += n;
		settle();
		if (at < len && data[at++] == 1)
			server_shake();
	}
	session_close();
	fuzz_accepted += seen.ready;
	return 0;
}

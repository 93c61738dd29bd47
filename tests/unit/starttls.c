/* SPDX-License-Identifier: ISC */
/*
 * starttls.c, handshake.c and stream.c against a server that follows a script,
 * in a process of its own.  A script is one line for each step:
 *
 *	TEXT	send it, with CRLF ("TEXT&" without waiting: the next step's
 *		text goes out in the same write; "%" likewise, without CRLF)
 *	<WORD	read a line, which must begin with WORD
 *	=TLS	a handshake (server's side); "=TLS P" with this priority
 *	=END	close the connection
 *	=WAIT	do nothing until the client has gone
 *	=DRAIN	the same, whatever it may send
 *	=BIG P	a handshake with an RSA key whose exponent has 2048 bits, and
 *		this priority
 *	=GROUP	one with a Diffie-Hellman group of 8200 bits
 *	=FLOOD	a Certificate message, each octet in a record of its own, until
 *		the client has gone
 *	=KEYS, =EMPTY, =ASK, =TICKETS	behind the handshake new keys, records
 *		without content, wishes for another handshake, tickets; likewise
 *	=DRIP T	send T and CRLF over and over, an octet each 50 ms
 *
 * The process ends by SIGTERM if all went as written and the client left in
 * the end; what the client says that the script does not have is a failure.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>

#include "starttls.h"

#include <cmocka.h>

#include "title.h"

#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define HELLO "250-mx.example says\n"
#define OFFER HELLO "250-SIZE 1000\n250 STARTTLS\n"
#define NO_OFFER HELLO "250 SIZE 1000\n"
#define GREET "220 mx.example ESMTP\n<EHLO me.example\n"
#define TLS "<STARTTLS\n220 go\n=TLS\n"
#define ONLY_GROUP(name) \
	"<STARTTLS\n220 go\n=TLS NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL" \
	":+GROUP-" name "\n"
#define FLOODED(how) GREET OFFER TLS "<EHLO me.example\n" how

/* The front of a TLS record of a handshake, with a ServerHello of 4,000 */
#define LONG_RECORD "\x16\x03\x03\x10\x04\x02\x01\x0f\xa0"

enum judge { NOBODY = 0, GOOD, WRONG };

struct test {
	const char *id; /* what it shows, and of which rules */
	const char *script;
	enum starttls_mode mode;
	enum judge judge;
	enum starttls_state state; /* where it ends */
	const char *text;          /* in result.text, or NULL: "" */
	enum danevirke_result result;
	bool tls;
	const char *priority;
	unsigned command_timeout; /* seconds; 0: 20 */
	unsigned total_timeout;   /* 0: none */
};

#define REQ STARTTLS_REQUIRED
#define MAY STARTTLS_IF_OFFERED
#define NOT DANEVIRKE_STARTTLS_NOT_SUPPORTED
#define BAD DANEVIRKE_VALIDATION_FAILURE

static const struct test tests[] = {
	/* T01, S08: judged before anything is said in the session */
	{ "a certificate that matches: EHLO in TLS, and it is ready (T01)",
	    GREET OFFER TLS "<EHLO me.example\n" NO_OFFER "=WAIT\n", REQ, GOOD,
	    STARTTLS_READY, NULL, 0, true, NULL },
	{ "a certificate that does not match: QUIT, and no more (S08)",
	    GREET OFFER TLS "<QUIT\n=WAIT\n", REQ, WRONG, STARTTLS_VERIFY,
	    "no TLSA record matches", BAD, true, NULL },
	{ "any certificate will do where none is asked for (T03)",
	    GREET OFFER TLS "<EHLO me.example\n" NO_OFFER "=WAIT\n", REQ,
	    NOBODY, STARTTLS_READY, NULL, 0, true, NULL },
	{ "TLS from the first octet, a certificate that matches",
	    "=TLS\n" GREET NO_OFFER "=WAIT\n", STARTTLS_AT_ONCE, GOOD,
	    STARTTLS_READY, NULL, 0, true, NULL },
	{ "TLS from the first octet, one that does not: QUIT",
	    "=TLS\n<QUIT\n=WAIT\n", STARTTLS_AT_ONCE, WRONG, STARTTLS_VERIFY,
	    "no TLSA record matches", BAD, true, NULL },
	/* T02: not offered, refused, not even then */
	{ "STARTTLS is not offered: QUIT, never clear text (T02)",
	    GREET NO_OFFER "<QUIT\n=WAIT\n", REQ, GOOD, STARTTLS_COMMAND,
	    "STARTTLS is not offered", NOT, false, NULL },
	{ "454 to STARTTLS: QUIT, never clear text (T02)",
	    GREET OFFER "<STARTTLS\n454 4.7.0 not now\n<QUIT\n=WAIT\n", REQ,
	    GOOD, STARTTLS_COMMAND, "454 4.7.0 not now", NOT, false, NULL },
	{ "554 to STARTTLS: QUIT, never clear text (T02)",
	    GREET OFFER "<STARTTLS\n554 never\n<QUIT\n=WAIT\n", REQ, GOOD,
	    STARTTLS_COMMAND, "refused: 554 never", NOT, false, NULL },
	{ "closed instead of a handshake: that is said (T02)",
	    GREET OFFER "<STARTTLS\n220 go\n=END\n", REQ, GOOD,
	    STARTTLS_HANDSHAKE, "closed by peer", BAD, false, NULL },
	{ "clear text instead of a handshake: that is said (T02)",
	    GREET OFFER "<STARTTLS\n220 go\nhello\n=DRAIN\n", REQ, GOOD,
	    STARTTLS_HANDSHAKE, "TLS handshake", BAD, false, NULL },
	{ "the keyword is found without case (T02)",
	    GREET HELLO "250 sTarTTls\n" TLS
			"<EHLO me.example\n250 hi\n=WAIT\n",
	    REQ, GOOD, STARTTLS_READY, NULL, 0, true, NULL },
	{ "a longer word is not the keyword (T02)",
	    GREET HELLO "250 STARTTLSX\n<QUIT\n=WAIT\n", REQ, GOOD,
	    STARTTLS_COMMAND, "not offered", NOT, false, NULL },
	{ "no version in common: the handshake fails (S03)",
	    GREET OFFER "<STARTTLS\n220 go\n=TLS\n", REQ, GOOD,
	    STARTTLS_HANDSHAKE, "TLS handshake", BAD, false,
	    "NORMAL:-VERS-ALL:+VERS-TLS1.1" },
	{ "a priority that is none: the handshake fails",
	    GREET OFFER "<STARTTLS\n220 go\n=END\n", REQ, GOOD,
	    STARTTLS_HANDSHAKE, "TLS handshake", BAD, false, "NO SUCH THING" },
	/* S11: whatever it is that is not 220 */
	{ "250 to STARTTLS: QUIT (S11)",
	    GREET OFFER "<STARTTLS\n250 fine\n<QUIT\n=WAIT\n", REQ, GOOD,
	    STARTTLS_COMMAND, "neither 220 nor a refusal: 250 fine", NOT, false,
	    NULL },
	{ "250 to STARTTLS, where clear text is allowed: QUIT (S11)",
	    GREET OFFER "<STARTTLS\n250 fine\n<QUIT\n=WAIT\n", MAY, NOBODY,
	    STARTTLS_COMMAND, "neither 220 nor a refusal: 250 fine", NOT, false,
	    NULL },
	{ "334 to STARTTLS, where clear text is allowed: QUIT (S11)",
	    GREET OFFER "<STARTTLS\n334 \n<QUIT\n=WAIT\n", MAY, NOBODY,
	    STARTTLS_COMMAND, "neither 220 nor a refusal: 334", NOT, false,
	    NULL },
	{ "221 to STARTTLS, where clear text is allowed: it ends (S11)",
	    GREET OFFER "<STARTTLS\n221 bye\n=DRAIN\n", MAY, NOBODY,
	    STARTTLS_COMMAND, "neither 220 nor a refusal: 221 bye", NOT, false,
	    NULL },
	{ "421 to STARTTLS, where clear text is allowed: it ends (S11)",
	    GREET OFFER "<STARTTLS\n421 bye\n=DRAIN\n", MAY, NOBODY,
	    STARTTLS_COMMAND, "STARTTLS refused: 421 bye", NOT, false, NULL },
	/* S09: what is refused before GnuTLS reckons with it */
	{ "a large exponent in TLS 1.2 is refused (S09)",
	    GREET OFFER
	    "<STARTTLS\n220 go\n=BIG NORMAL:-VERS-ALL:+VERS-TLS1.2\n",
	    REQ, NOBODY, STARTTLS_HANDSHAKE,
	    "the server's key is RSA with an exponent of 20", BAD, false,
	    NULL },
	{ "a large exponent in TLS 1.3 is refused (S09)",
	    GREET OFFER
	    "<STARTTLS\n220 go\n=BIG NORMAL:-VERS-ALL:+VERS-TLS1.3\n",
	    REQ, NOBODY, STARTTLS_HANDSHAKE,
	    "the server's key is RSA with an exponent of 20", BAD, false,
	    NULL },
	{ "a large exponent for RSA key exchange is refused (S09)",
	    GREET OFFER
	    "<STARTTLS\n220 go\n=BIG NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA\n",
	    REQ, NOBODY, STARTTLS_HANDSHAKE,
	    "the server's key is RSA with an exponent of 20", BAD, false,
	    NULL },
	{ "a group over 8192 bits is refused (S09)",
	    GREET OFFER "<STARTTLS\n220 go\n=GROUP\n", REQ, NOBODY,
	    STARTTLS_HANDSHAKE, "group has 1025 octets: more than 1024", BAD,
	    false, NULL },
	{ "a group of 3072 bits of RFC 7919 is good (S09)",
	    GREET OFFER ONLY_GROUP("FFDHE3072") "<EHLO me.example\n250 hi\n"
						"=WAIT\n",
	    REQ, NOBODY, STARTTLS_READY, NULL, 0, true, NULL },
	{ "a group of 8192 bits of RFC 7919 is not offered (S09)",
	    GREET OFFER ONLY_GROUP("FFDHE8192"), REQ, NOBODY,
	    STARTTLS_HANDSHAKE, "closed by peer", BAD, false, NULL },
	{ "a group of 8192 bits is refused though it was wanted (S09)",
	    GREET OFFER ONLY_GROUP("FFDHE8192"), REQ, NOBODY,
	    STARTTLS_HANDSHAKE, "TLS handshake: ", BAD, false,
	    "NORMAL:-GROUP-ALL:+GROUP-FFDHE8192" },
	{ "a message of too many records is refused (S09)",
	    GREET OFFER "<STARTTLS\n220 go\n=FLOOD\n", REQ, GOOD,
	    STARTTLS_HANDSHAKE, "the server sends too much in the handshake",
	    BAD, false, NULL },
	{ "new keys without end are refused (S09)", FLOODED("=KEYS\n"), REQ,
	    GOOD, STARTTLS_EHLO_AGAIN, "Too many handshake packets", 0, true,
	    "NORMAL:-VERS-ALL:+VERS-TLS1.3" },
	{ "empty records without end are refused (S09)", FLOODED("=EMPTY\n"),
	    REQ, GOOD, STARTTLS_EHLO_AGAIN, "EHLO after", 0, true,
	    "NORMAL:-VERS-ALL:+VERS-TLS1.2" },
	{ "tickets do not make up for silence", FLOODED("=TICKETS\n"), REQ,
	    GOOD, STARTTLS_EHLO_AGAIN, "timed out", 0, true,
	    "NORMAL:-VERS-ALL:+VERS-TLS1.3", .command_timeout = 1 },
	{ "requests for a handshake do not make up for silence",
	    FLOODED("=ASK\n"), REQ, GOOD, STARTTLS_EHLO_AGAIN, "timed out", 0,
	    true, "NORMAL:-VERS-ALL:+VERS-TLS1.2", .command_timeout = 1 },
	/* T04: opportunistic */
	{ "TLS is used if it is offered (T04)",
	    GREET OFFER TLS "<EHLO me.example\n250 hi\n=WAIT\n", MAY, NOBODY,
	    STARTTLS_READY, NULL, 0, true, NULL },
	{ "clear text is used if TLS is not offered (T04)",
	    GREET NO_OFFER "=WAIT\n", MAY, NOBODY, STARTTLS_READY, NULL, 0,
	    false, NULL },
	{ "clear text is used if STARTTLS is refused (T04)",
	    GREET OFFER "<STARTTLS\n454 no\n=WAIT\n", MAY, NOBODY,
	    STARTTLS_READY, NULL, 0, false, NULL },
	{ "a handshake that fails ends it, this time (T04)",
	    GREET OFFER "<STARTTLS\n220 go\n=END\n", MAY, NOBODY,
	    STARTTLS_HANDSHAKE, "closed by peer", BAD, false, NULL },
	{ "STARTTLS is not said where it is not wanted", GREET OFFER "=WAIT\n",
	    STARTTLS_NEVER, NOBODY, STARTTLS_READY, NULL, 0, false, NULL },
	{ "HELO is said if EHLO is refused",
	    GREET "500 what?\n<HELO me.example\n250 STARTTLS\n=WAIT\n", MAY,
	    NOBODY, STARTTLS_READY, NULL, 0, false, NULL },
	{ "HELO refused: QUIT",
	    GREET "500 what?\n<HELO me.example\n501 go\n<QUIT\n=WAIT\n", MAY,
	    NOBODY, STARTTLS_EHLO, "refused: 501 go", 0, false, NULL },
	/* T10 */
	{ "5xx to EHLO: QUIT, and that is said (T10)",
	    GREET "502 5.5.1 no\n<QUIT\n=WAIT\n", REQ, GOOD, STARTTLS_EHLO,
	    "502 5.5.1 no", NOT, false, NULL },
	{ "421 to EHLO: QUIT, and that is said (T10)",
	    GREET "421 busy\n<QUIT\n=WAIT\n", REQ, GOOD, STARTTLS_EHLO,
	    "421 busy", NOT, false, NULL },
	{ "a banner of 554: QUIT, and that is said (T10)",
	    "554 5.7.1 go away\n<QUIT\n=WAIT\n", REQ, GOOD, STARTTLS_BANNER,
	    "banner refused: 554 5.7.1 go away", 0, false, NULL },
	{ "a banner of 421: QUIT, and that is said (T10)",
	    "421 later\n<QUIT\n=WAIT\n", REQ, GOOD, STARTTLS_BANNER,
	    "421 later", 0, false, NULL },
	/* T09: what came in the clear behind the reply ends it */
	{ "a reply in the clear behind 220 ends it (T09)",
	    GREET OFFER "<STARTTLS\n220 go&\n250 injected\n=WAIT\n", REQ, GOOD,
	    STARTTLS_HANDSHAKE, "more in the clear before TLS", BAD, false,
	    NULL },
	{ "a second reply to EHLO ends it (T09)",
	    GREET HELLO "250 SIZE&\n250 SIZE\n=WAIT\n", STARTTLS_NEVER, NOBODY,
	    STARTTLS_EHLO, "before it is asked", 0, false, NULL },
	/* no SMTP */
	{ "a connection that is closed: that is said", "=END\n", REQ, GOOD,
	    STARTTLS_BANNER, "closed by peer", 0, false, NULL },
	{ "a banner of many lines is read",
	    "220-a\n220-b\n220 c\n<EHLO me.example\n" OFFER TLS
	    "<EHLO me.example\n250 hi\n=WAIT\n",
	    REQ, GOOD, STARTTLS_READY, NULL, 0, true, NULL },
	{ "a banner that is not SMTP: QUIT", "SSH-2.0-x\n<QUIT\n=WAIT\n", REQ,
	    GOOD, STARTTLS_BANNER, "not an SMTP reply: SSH-2.0-x", 0, false,
	    NULL },
	{ "another code within a reply is none: QUIT",
	    "220-a\n250 b\n<QUIT\n=WAIT\n", REQ, GOOD, STARTTLS_BANNER,
	    "not an SMTP reply", 0, false, NULL },
	{ "a code of two digits is no reply: QUIT", "22 a\n<QUIT\n=WAIT\n", REQ,
	    GOOD, STARTTLS_BANNER, "not an SMTP reply", 0, false, NULL },
	{ "an empty line is no reply: QUIT", "\n<QUIT\n=WAIT\n", REQ, GOOD,
	    STARTTLS_BANNER, "not an SMTP reply", 0, false, NULL },
	{ "controls in a reply's text are not shown",
	    "554 a\x1b[1mb\n<QUIT\n=WAIT\n", REQ, GOOD, STARTTLS_BANNER,
	    "a?[1mb", 0, false, NULL },
	{ "silence instead of a banner ends in time", "=WAIT\n", REQ, GOOD,
	    STARTTLS_BANNER, "timed out", 0, false, NULL,
	    .command_timeout = 1 },
	{ "silence after STARTTLS ends in time",
	    GREET OFFER "<STARTTLS\n=WAIT\n", REQ, GOOD, STARTTLS_COMMAND,
	    "timed out", BAD, false, NULL, .command_timeout = 1 },
	{ "silence in the handshake ends in time",
	    GREET OFFER "<STARTTLS\n220 go\n=DRAIN\n", REQ, GOOD,
	    STARTTLS_HANDSHAKE, "timed out", BAD, false, NULL,
	    .command_timeout = 1 },
	/* S09: a limit is for the reply, not for its octets */
	{ "octet by octet, a banner ends in time", "=DRIP 220-x\n", REQ, GOOD,
	    STARTTLS_BANNER, "banner: timed out", 0, false, NULL,
	    .command_timeout = 1 },
	{ "octet by octet, a reply to EHLO ends in time", GREET "=DRIP 250-x\n",
	    REQ, GOOD, STARTTLS_EHLO, "EHLO: timed out", 0, false, NULL,
	    .command_timeout = 1 },
	{ "octet by octet, a reply to STARTTLS ends in time",
	    GREET OFFER "<STARTTLS\n=DRIP 220-x\n", REQ, GOOD, STARTTLS_COMMAND,
	    "STARTTLS: timed out", BAD, false, NULL, .command_timeout = 1 },
	{ "octet by octet, a handshake ends in time",
	    GREET OFFER "<STARTTLS\n220 go\n=DRIP " LONG_RECORD "\n", REQ, GOOD,
	    STARTTLS_HANDSHAKE, "TLS handshake: timed out", BAD, false, NULL,
	    .command_timeout = 1 },
	{ "octet by octet, a reply to the second EHLO ends in time",
	    GREET OFFER TLS "<EHLO me.example\n=DRIP 250-x\n", REQ, GOOD,
	    STARTTLS_EHLO_AGAIN, "EHLO after STARTTLS: timed out", 0, true,
	    NULL, .command_timeout = 1 },
	/* T11: and all has a limit, whatever happens */
	{ "the total time is over at the banner", "=WAIT\n", REQ, GOOD,
	    STARTTLS_BANNER, "banner: timed out (1 s for all)", 0, false, NULL,
	    .total_timeout = 1 },
	{ "the total time is over in the handshake",
	    GREET OFFER "<STARTTLS\n220 go\n=DRAIN\n", REQ, GOOD,
	    STARTTLS_HANDSHAKE, "TLS handshake: timed out (1 s", BAD, false,
	    NULL, .total_timeout = 1 },
	{ "the total time does not count once it is ready",
	    GREET NO_OFFER "=WAIT\n", MAY, NOBODY, STARTTLS_READY, NULL, 0,
	    false, NULL, .total_timeout = 1 },
};

/* ------------------------------------------------------------ the server */

/* rsa: a usual key; slow: the same with its exponents exchanged */
static struct pair {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
} plain, rsa, slow;
static uint8_t spki[256];
static size_t spki_len;

static ssize_t
say(gnutls_session_t tls, int fd, const char *p, size_t len)
{
	return tls != NULL ? gnutls_record_send(tls, p, len) :
			     write(fd, p, len);
}

/* By a signal: an exit would have its leaks counted, and it has our memory. */
static void
leave(int wrong)
{
	raise(wrong ? SIGABRT : SIGTERM);
	_exit(1);
}

/* Up to LF, without CRLF; false at the end. */
static bool
hear(gnutls_session_t tls, int fd, char *line, size_t len)
{
	size_t n = 0;
	ssize_t got;

	for (;;) {
		got = tls != NULL ? gnutls_record_recv(tls, line + n, 1) :
				    read(fd, line + n, 1);
		if (got != 1 || n + 2 >= len)
			return false;
		if (line[n] == '\n')
			break;
		n++;
	}
	line[n > 0 && line[n - 1] == '\r' ? n - 1 : n] = '\0';
	return true;
}

static gnutls_session_t
shake_as(int fd, const struct pair *own, const char *priority)
{
	gnutls_certificate_credentials_t cred;
	gnutls_session_t tls;
	gnutls_datum_t ticket;
	int rv;

	gnutls_certificate_allocate_credentials(&cred);
	gnutls_certificate_set_x509_key(
	    cred, (gnutls_x509_crt_t *)(uintptr_t)&own->crt, 1, own->key);
	gnutls_init(&tls, GNUTLS_SERVER);
	gnutls_session_ticket_key_generate(&ticket);
	gnutls_session_ticket_enable_server(tls, &ticket);
	gnutls_priority_set_direct(tls, priority, NULL);
	gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, cred);
	gnutls_transport_set_int(tls, fd);
	do
		rv = gnutls_handshake(tls);
	while (rv < 0 && !gnutls_error_is_fatal(rv));
	if (rv < 0)
		leave(0); /* the client's turn to say what it thinks */
	return tls;
}

static gnutls_session_t
shake(int fd)
{
	return shake_as(
	    fd, &plain, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2");
}

/* A record of the handshake, in the clear: a message's type and content */
static void
record(int fd, unsigned type, const unsigned char *p, unsigned len)
{
	unsigned char out[3000] = { 0x16, 3, 3, (len + 4) >> 8 & 0xff,
		(len + 4) & 0xff, (unsigned char)type, 0, len >> 8 & 0xff,
		len & 0xff };

	memcpy(out + 9, p, len);
	say(NULL, fd, (char *)out, len + 9);
}

/* ServerHello of TLS 1.2: this cipher suite, safe renegotiation */
static void
hello(int fd, unsigned char c0, unsigned char c1)
{
	unsigned char p[45] = { 3, 3, [35] = c0, [36] = c1, [39] = 5,
		[40] = 0xff, [41] = 1, [43] = 1 };
	char line[2000];

	if (read(fd, line, sizeof line) > 0)
		record(fd, GNUTLS_HANDSHAKE_SERVER_HELLO, p, sizeof p);
}

/* DHE-RSA with a group of 8200 bits */
static int
group(int fd)
{
	unsigned char p[1040] = { 1025 >> 8, 1025 & 0xff }, cert[2000];
	gnutls_datum_t der;

	memset(p + 2, 0xff, 1025);
	p[1028] = p[1031] = 1; /* lengths of g and Ys */
	p[1029] = p[1032] = 2;
	gnutls_x509_crt_export2(rsa.crt, GNUTLS_X509_FMT_DER, &der);
	memset(cert, 0, 6);
	cert[1] = (unsigned char)((der.size + 3) >> 8);
	cert[2] = (unsigned char)(der.size + 3);
	cert[4] = (unsigned char)(der.size >> 8);
	cert[5] = (unsigned char)der.size;
	memcpy(cert + 6, der.data, der.size);
	hello(fd, 0x00, 0x9e);
	record(fd, GNUTLS_HANDSHAKE_CERTIFICATE_PKT, cert, der.size + 6);
	record(fd, GNUTLS_HANDSHAKE_SERVER_KEY_EXCHANGE, p, 1033);
	while (read(fd, p, sizeof p) > 0)
		;
	return 0;
}

/* A Certificate message of 61,440 octets, one to a record */
static int
flood(int fd)
{
	static const char octet[] = "\x16\x03\x03\x00\x01\x00";
	static char many[6 * 1000];
	size_t i;

	for (i = 0; i < sizeof many; i++)
		many[i] = octet[i % 6];
	hello(fd, 0xc0, 0x2f);
	say(NULL, fd, "\x16\x03\x03\x00\x04\x0b\x00\xf0\x00", 9);
	while (say(NULL, fd, many, sizeof many) > 0)
		;
	return 0;
}

static int
pester(gnutls_session_t tls, const char *how)
{
	ssize_t n;

	do {
		if (strcmp(how, "=KEYS") == 0)
			n = gnutls_session_key_update(tls, 0);
		else if (strcmp(how, "=ASK") == 0)
			n = gnutls_rehandshake(tls);
		else if (strcmp(how, "=TICKETS") == 0)
			n = gnutls_session_ticket_send(tls, 1, 0);
		else
			n = gnutls_record_send2(tls, "", 0, 16, 0);
	} while (n >= 0);
	return 0;
}

static int
drip(gnutls_session_t tls, int fd, const char *text)
{
	size_t n = strlen(text) + 2, i;
	char line[200];

	snprintf(line, sizeof line, "%s\r\n", text);
	for (i = 0; say(tls, fd, line + i % n, 1) == 1; i++)
		usleep(50000);
	return 0;
}

/* The exit status. */
static int
serve(int fd, const char *script)
{
	gnutls_session_t tls = NULL;
	char line[2000], out[5000] = "", heard[2000];
	size_t n, len;

	for (; *script != '\0'; script += n + 1) {
		n = strcspn(script, "\n");
		snprintf(line, sizeof line, "%.*s", (int)n, script);
		if (*line == '<') {
			if (!hear(tls, fd, heard, sizeof heard) ||
			    strcmp(heard, line + 1) != 0) {
				fprintf(stderr, "# heard %s, not %s\n", heard,
				    line + 1);
				return 1;
			}
		} else if (strcmp(line, "=TLS") == 0)
			tls = shake(fd);
		else if (strncmp(line, "=TLS ", 5) == 0)
			tls = shake_as(fd, &plain, line + 5);
		else if (strcmp(line, "=END") == 0)
			return 0;
		else if (strcmp(line, "=WAIT") == 0)
			break;
		else if (strcmp(line, "=DRAIN") == 0) {
			while (read(fd, heard, sizeof heard) > 0)
				;
			return 0;
		} else if (strncmp(line, "=DRIP ", 6) == 0)
			return drip(tls, fd, line + 6);
		else if (strncmp(line, "=BIG ", 5) == 0)
			shake_as(fd, &slow, line + 5);
		else if (strcmp(line, "=GROUP") == 0)
			return group(fd);
		else if (strcmp(line, "=FLOOD") == 0)
			return flood(fd);
		else if (*line == '=')
			return pester(tls, line);
		else if (n > 0 && line[n - 1] == '&')
			snprintf(out, sizeof out, "%.*s\r\n", (int)n - 1, line);
		else if (n > 0 && line[n - 1] == '%')
			snprintf(out, sizeof out, "%.*s", (int)n - 1, line);
		else {
			/* what was held back, and this, in one write */
			len = strlen(out);
			len += (size_t)snprintf(
			    out + len, sizeof out - len, "%s\r\n", line);
			say(tls, fd, out, len);
			*out = '\0';
		}
	}
	/* a client that is ready hangs up without a word; no other is */
	if (hear(tls, fd, heard, sizeof heard)) {
		fprintf(stderr, "# heard %s\n", heard);
		return strcmp(heard, "QUIT") != 0;
	}
	return 0;
}

/* ------------------------------------------------------------- the client */

struct seen {
	int done;
	enum starttls_state state;
	char text[700];
	enum danevirke_result result;
	bool tls, judged, stream;
	size_t n_cert, n_ehlo;
	struct event_base *base;
};

static void
on_done(void *arg, const struct starttls_result *r)
{
	struct seen *s = arg;

	s->done++;
	s->state = r->state;
	snprintf(s->text, sizeof s->text, "%s", r->text);
	s->result = r->result;
	s->tls = r->tls;
	s->judged = r->verdict != NULL;
	s->n_cert = r->chain->n_certs;
	s->n_ehlo = r->n_ehlo;
	s->stream = r->stream != NULL;
	stream_free(r->stream);
}

static struct danevirke_host
host_make(enum judge judge, struct danevirke_tlsa *t, uint8_t hash[32])
{
	static const char *const names[] = { "mx.example" };
	struct danevirke_host h = { .size = sizeof h,
		.name = "mx.example",
		.base = "mx.example",
		.names = names,
		.n_names = 1,
		.would = DANEVIRKE_AUTHENTICATE,
		.action = DANEVIRKE_AUTHENTICATE,
		.tlsa_state = DANEVIRKE_SECURE,
		.reason = "test" };

	gnutls_hash_fast(GNUTLS_DIG_SHA256, spki, spki_len, hash);
	if (judge == WRONG)
		hash[0] ^= 1;
	*t = (struct danevirke_tlsa){ 3, 1, 1, 1, 1, hash, 32, NULL };
	h.tlsa = t;
	h.n_tlsa = 1;
	return h;
}

static int
listen_here(uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof in;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

static const struct danevirke_addr here = { 4, { 127, 0, 0, 1 }, "127.0.0.1" };

static void
test_one(void **state)
{
	/* under valgrind a handshake takes its time */
	const unsigned slow_by = getenv("SLOW") != NULL ? 4 : 1;
	const struct test *t = *state;
	const unsigned limit = t->command_timeout ?
	    slow_by * t->command_timeout :
	    20;
	struct seen seen = { 0 };
	struct danevirke_tlsa tlsa;
	uint8_t hash[32];
	struct danevirke_host host = host_make(t->judge, &tlsa, hash);
	struct starttls_target target = { .addr = &here,
		.helo = "me.example",
		.mode = t->mode,
		.sni = "mx.example",
		.priority = t->priority,
		.host = t->judge == NOBODY ? NULL : &host,
		.source = "127.0.0.1",
		.connect_timeout = 5,
		.command_timeout = limit,
		.total_timeout = t->total_timeout };
	struct event_base *base = event_base_new();
	int fd = listen_here(&target.port), conn, status;
	pid_t pid;

	if ((pid = fork()) == 0) {
		alarm(30);
		signal(SIGPIPE, SIG_IGN);
		conn = accept(fd, NULL, NULL);
		leave(serve(conn, t->script));
	}
	close(fd);
	assert_non_null(
	    starttls_start(base, &danevirke_v1, &target, on_done, &seen));
	assert_int_equal(seen.done, 0); /* never inside start */
	event_base_dispatch(base);      /* ends when nothing is left */
	event_base_free(base);
	assert_int_equal(seen.done, 1);
	assert_string_equal(
	    starttls_state_name(seen.state), starttls_state_name(t->state));
	if (t->text == NULL)
		assert_string_equal(seen.text, "");
	else if (strstr(seen.text, t->text) == NULL)
		fail_msg("%s, not %s", seen.text, t->text);
	assert_int_equal(seen.result, t->result);
	assert_int_equal(seen.tls, t->tls);
	assert_int_equal(seen.n_cert, t->tls ? 1 : 0);
	assert_int_equal(seen.judged, t->tls && t->judge != NOBODY);
	assert_int_equal(seen.stream, t->state == STARTTLS_READY);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

/* Refused connections end in done(), too, and from the loop. */
static void
test_connect(void **state)
{
	static const struct danevirke_addr wrong = { 4, { 127, 0, 0, 1 },
		"127.0.0.1" };
	struct event_base *base = event_base_new();
	struct starttls_target target = { .addr = &wrong,
		.helo = "me.example" };
	struct seen seen = { 0 };
	int fd = listen_here(&target.port);

	(void)state;
	close(fd);
	assert_non_null(
	    starttls_start(base, &danevirke_v1, &target, on_done, &seen));
	assert_int_equal(seen.done, 0);
	event_base_dispatch(base);
	assert_int_equal(seen.done, 1);
	assert_int_equal(seen.state, STARTTLS_CONNECT);
	assert_non_null(strstr(seen.text, "onnection refused"));
	/* an own address that is not ours */
	target.source = "192.0.2.1";
	assert_non_null(
	    starttls_start(base, &danevirke_v1, &target, on_done, &seen));
	event_base_dispatch(base);
	assert_int_equal(seen.done, 2);
	assert_int_equal(seen.state, STARTTLS_CONNECT);
	assert_true(*seen.text != '\0');
	/* cancelled: not a word */
	starttls_cancel(
	    starttls_start(base, &danevirke_v1, &target, on_done, &seen));
	starttls_cancel(NULL);
	event_base_dispatch(base);
	assert_int_equal(seen.done, 2);
	event_base_free(base);
}

/* A line without end, and more lines than a reply may have. */
static void
test_bounds(void **state)
{
	static char script[4000];
	struct test t = { "bounds", script, REQ, GOOD, STARTTLS_BANNER,
		"more than 2048 octets", 0, false, NULL };
	void *arg = &t;
	size_t i;

	(void)state;
	memset(script, 'x', 1900);
	memcpy(script, "220 ", 4);
	strcpy(script + 1900, "%\n");
	memset(script + 1902, 'x', 300);
	strcpy(script + 2202, "\n<QUIT\n=WAIT\n");
	test_one(&arg);
	*script = '\0';
	for (i = 0; i < 101; i++)
		strcat(script, "220-x\n");
	strcat(script, "<QUIT\n=WAIT\n");
	t.text = "banner: a reply of more than 100 lines";
	test_one(&arg);
}

#define MUCH (1 << 20)

static unsigned char
octet(size_t i)
{
	return (unsigned char)((uint32_t)i * 2654435761U >> 13);
}

/* Asks for new keys while the client waits in the middle of a record; then
 * counts and compares. */
static int
ask_for_keys(int fd)
{
	gnutls_session_t tls = shake(fd);
	unsigned char buf[16384];
	size_t at = 0, i;
	ssize_t n;

	usleep(200000);
	if (gnutls_session_key_update(tls, GNUTLS_KU_PEER) != 0)
		return 1;
	usleep(200000);
	while (at < MUCH &&
	    ((n = gnutls_record_recv(tls, buf, sizeof buf)) > 0 ||
		n == GNUTLS_E_AGAIN))
		for (i = 0; n > 0 && i < (size_t)n; i++, at++)
			if (buf[i] != octet(at))
				return 1;
	return at != MUCH;
}

static void
send_much(void *arg, const char *why)
{
	static unsigned char buf[MUCH];
	size_t i;

	assert_null(why);
	for (i = 0; i < MUCH; i++)
		buf[i] = octet(i);
	assert_true(stream_write(*(struct stream **)arg, buf, MUCH));
}

static void
send_closed(void *arg, const char *why)
{
	struct stream **s = arg;

	(void)why;
	stream_free(*s);
	*s = NULL;
}

/* Each octet arrives, and once. */
static void
test_new_keys(void **state)
{
	static const struct stream_ops sender_ops = { .secured = send_much,
		.closed = send_closed };
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct event_base *base = event_base_new();
	gnutls_certificate_credentials_t cred;
	struct stream *s;
	gnutls_session_t tls;
	int fd, conn, small = 4096, status;
	const char *why;
	uint16_t port;
	pid_t pid;

	(void)state;
	conn = listen_here(&port);
	setsockopt(conn, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	if ((pid = fork()) == 0) {
		alarm(30);
		leave(ask_for_keys(accept(conn, NULL, NULL)));
	}
	close(conn);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	in.sin_port = htons(port);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(evutil_make_socket_nonblocking(fd), 0);
	gnutls_certificate_allocate_credentials(&cred);
	gnutls_init(&tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
	gnutls_set_default_priority(tls);
	gnutls_credentials_set(tls, GNUTLS_CRD_CERTIFICATE, cred);
	s = stream_new(base, fd, &sender_ops, &s);
	assert_non_null(s);
	assert_true(stream_tls(s, tls, &why));
	event_base_dispatch(base); /* ends when the stream has */
	event_base_free(base);
	gnutls_certificate_free_credentials(cred);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGTERM);
}

static void
test_keyword(void **state)
{
	static const char *const ehlo[] = { "SIZE", "size 1000", "AUTH=PLAIN",
		"8BITMIME", "SIZEX 3" };

	(void)state;
	assert_string_equal(starttls_keyword(ehlo, 5, "SIZE"), "1000");
	assert_string_equal(starttls_keyword(ehlo, 5, "auth"), "PLAIN");
	assert_string_equal(starttls_keyword(ehlo, 5, "8bitmime"), "");
	assert_null(starttls_keyword(ehlo, 5, "8BIT"));
	assert_null(starttls_keyword(ehlo, 1, "SIZE")); /* the greeting */
	assert_null(starttls_keyword(NULL, 0, "SIZE"));
}

static void
certify(struct pair *p, gnutls_x509_privkey_t signer)
{
	unsigned char serial = 1;

	gnutls_x509_crt_init(&p->crt);
	gnutls_x509_crt_set_version(p->crt, 3);
	gnutls_x509_crt_set_serial(p->crt, &serial, 1);
	gnutls_x509_crt_set_key(p->crt, p->key);
	gnutls_x509_crt_set_activation_time(p->crt, 1000000000);
	gnutls_x509_crt_set_expiration_time(p->crt, 1100000000); /* U07 */
	gnutls_x509_crt_sign2(p->crt, p->crt, signer, GNUTLS_DIG_SHA256, 0);
}

/* e and d exchanged: the key of a server that costs its clients most. */
static void
exchange(gnutls_x509_privkey_t from, gnutls_x509_privkey_t *to)
{
	gnutls_datum_t m, e, d, p, q, u;

	gnutls_x509_privkey_init(to);
	if (gnutls_x509_privkey_export_rsa_raw(from, &m, &e, &d, &p, &q, &u) <
		0 ||
	    gnutls_x509_privkey_import_rsa_raw2(
		*to, &m, &d, &e, &p, &q, &u, &e, &e) < 0)
		abort();
	gnutls_free(m.data);
	gnutls_free(e.data);
	gnutls_free(d.data);
	gnutls_free(p.data);
	gnutls_free(q.data);
	gnutls_free(u.data);
}

static void
certificates(void)
{
	gnutls_pubkey_t pub;

	gnutls_x509_privkey_init(&plain.key);
	gnutls_x509_privkey_generate(plain.key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	gnutls_x509_privkey_init(&rsa.key);
	gnutls_x509_privkey_generate(rsa.key, GNUTLS_PK_RSA, 2048, 0);
	exchange(rsa.key, &slow.key);
	certify(&plain, plain.key);
	certify(&rsa, rsa.key);
	certify(&slow, rsa.key); /* the signature is nobody's concern */
	gnutls_pubkey_init(&pub);
	gnutls_pubkey_import_x509(pub, plain.crt, 0);
	spki_len = sizeof spki;
	if (gnutls_pubkey_export(pub, GNUTLS_X509_FMT_DER, spki, &spki_len) !=
	    0)
		abort();
	gnutls_pubkey_deinit(pub);
}

static void
forget(struct pair *p)
{
	gnutls_x509_crt_deinit(p->crt);
	gnutls_x509_privkey_deinit(p->key);
}

int
main(void)
{
	struct CMUnitTest list[sizeof tests / sizeof *tests + 4];
	size_t i, n = sizeof tests / sizeof *tests;
	int rv;

	signal(SIGPIPE, SIG_IGN);
	certificates();
	memset(list, 0, sizeof list);
	for (i = 0; i < n; i++) {
		list[i].name = tests[i].id;
		list[i].test_func = test_one;
		list[i].initial_state = (void *)(uintptr_t)&tests[i];
	}
	list[n++] = TEST(
	    test_connect, "a refused connection ends in done(), from the loop");
	list[n++] = TEST(test_bounds, "a line or reply without end is refused");
	list[n++] = TEST(
	    test_new_keys, "new keys on the way lose and double no octet");
	list[n++] = TEST(test_keyword,
	    "a keyword is found without case, not in the greeting (T02)");
	rv = _cmocka_run_group_tests("starttls", list, n, NULL, NULL);
	forget(&plain);
	forget(&rsa);
	forget(&slow);
	starttls_cleanup();
	return rv;
}

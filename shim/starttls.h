/* SPDX-License-Identifier: ISC */
/*
 * starttls.h - an SMTP client as far as a judged session: connect, banner,
 * EHLO, STARTTLS, handshake, verify(), EHLO (RFC 3207, RFC 7672 2.2)
 *
 * One call, one attempt at one address.  Which host and address comes next,
 * and whether clear text may be tried after a failed handshake, is the
 * caller's to decide, by the answer it holds.
 *
 *	struct starttls_target t = { .size... };  see below
 *	s = starttls_start(base, dv, &t, done, arg);
 *	... done(arg, &result): result.state == STARTTLS_READY: result.stream
 */
#ifndef STARTTLS_H
#define STARTTLS_H

#include "danevirke.h"
#include "stream.h"

struct event_base;
struct sockaddr;
struct starttls;

enum starttls_mode {
	STARTTLS_REQUIRED = 0, /* no TLS, no session (T02) */
	STARTTLS_IF_OFFERED,   /* clear text if STARTTLS is not offered or
				* refused; a failed handshake is a failure */
	STARTTLS_NEVER,        /* clear text */
	STARTTLS_AT_ONCE       /* TLS from the first octet (port 465) */
};

/* How far it came; a failure belongs to the state it happened in. */
enum starttls_state {
	STARTTLS_CONNECT = 0,
	STARTTLS_BANNER,
	STARTTLS_EHLO,
	STARTTLS_COMMAND, /* STARTTLS sent, or wanted and not offered */
	STARTTLS_HANDSHAKE,
	STARTTLS_VERIFY,
	STARTTLS_EHLO_AGAIN,
	STARTTLS_READY
};

/* Everything but addr and helo may be zero.  Copied, but for host, which must
 * live until done() or starttls_cancel(). */
struct starttls_target {
	const struct danevirke_addr *addr;
	uint16_t port;      /* host order; 0 = 25 */
	const char *source; /* text of the own address, or NULL; used
				   * if its family is the target's */
	const char *helo;   /* name for EHLO */
	enum starttls_mode mode;
	const char *sni;      /* NULL: none */
	const char *priority; /* GnuTLS; NULL = "NORMAL" */
	/* Judge the chain by this host (AUTHENTICATE) before anything is said
	 * in the session; NULL: any certificate, or none, will do. */
	const struct danevirke_host *host;
	struct danevirke *engine; /* for verify(); NULL: none */
	unsigned connect_timeout; /* seconds; 0 = 30 */
	unsigned command_timeout; /* seconds for each reply, from its request to
				   * its last line, and for the handshake;
				   * 0 = 300 */
	unsigned total_timeout;   /* seconds for all of it; 0 = no limit but
				   * those */
};

/* Valid during done() only, but for stream. */
struct starttls_result {
	enum starttls_state state;    /* READY: all went well */
	const char *text;             /* what failed, one line; else "" */
	int code;                     /* SMTP reply code that ended it, or 0 */
	enum danevirke_result result; /* RFC 8460 type of the failure (P07) */
	const struct danevirke_verdict *verdict; /* NULL: not judged */
	bool tls;
	const char *tls_version, *tls_cipher; /* "TLS1.3", "" without TLS */
	/* Lines of the last EHLO reply without code: [0] the greeting, then
	 * one extension each, as sent.  With HELO, only [0]. */
	const char *const *ehlo;
	size_t n_ehlo;
	const char *own; /* own address; NULL: not connected */
	/* The chain as received, leaf first, also after a failed VERIFY. */
	const struct danevirke_chain *chain;
	/* READY: the session, handed over with its input empty; set new ops
	 * with stream_set() and keep or free it.  Else NULL. */
	struct stream *stream;
};

typedef void starttls_done(void *arg, const struct starttls_result *);

/* done() runs exactly once, from the loop, never inside starttls_start().
 * NULL: out of memory or descriptors (errno). */
struct starttls *
starttls_start(struct event_base *, const struct danevirke_api *,
    const struct starttls_target *, starttls_done *done, void *arg);
/* No done() any more.  NULL is allowed. */
void starttls_cancel(struct starttls *);

/* "connect", "banner" ... for log lines */
const char *starttls_state_name(enum starttls_state);
/* Is this keyword in the list (without case, RFC 5321 4.1.1.1)?  Its
 * parameters, "" if it has none, or NULL. */
const char *
starttls_keyword(const char *const *ehlo, size_t n, const char *keyword);
/* What is kept for all sessions of a process (credentials); call once at the
 * end, for leak checkers. */
void starttls_cleanup(void);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * danevirke.h - DANE for SMTP (RFC 7672) as one loadable module
 *
 * danevirke.so exports one symbol, the const table danevirke_v1.  Load the
 * module with dlopen(), fetch the table with dlsym() and check it before use,
 * down to the last call of it that you know or use:
 *
 *	const struct danevirke_api *dv = dlsym(handle, DANEVIRKE_SYMBOL);
 *	if (dv == NULL || dv->abi != DANEVIRKE_ABI ||
 *	    !DANEVIRKE_HAS(dv, log_beside))
 *		refuse to go on;
 *
 * examples/plugin.c is all that follows here as a program.
 *
 * Routing.  One question, one answer, from DNS data that the module has
 * validated itself (RFC 7672 2.1; no AD bit is ever trusted):
 *
 *	struct danevirke_options o = { .size = sizeof o };
 *	struct danevirke_error err;
 *	struct danevirke *e = dv->open(&o, &err);
 *	struct danevirke_question q = { .size = sizeof q,
 *	    .name = "example.org" };
 *	const struct danevirke_answer *a = dv->ask(e, &q, &err);
 *	if (a == NULL)
 *		defer, with err.text;
 *	else if (a->outcome == DANEVIRKE_ROUTE)
 *		for (i = 0; i < a->n_hosts; i++)
 *			for (j = 0; j < a->hosts[i]->n_addrs; j++)
 *				try(a->hosts[i], &a->hosts[i]->addrs[j]);
 *	else
 *		as the outcome says, with a->reason;
 *	dv->release(a);
 *	dv->close(e);
 *
 * Trying.  The addresses are used as they are, never looked up again by name.
 * Connect to addr->ip and host->port, say EHLO, and as host->action says:
 *
 *	HOST_DEFER	leave it out.
 *	OPPORTUNISTIC	STARTTLS if it is offered, with the server's usual
 *			settings, whatever the certificate; in the clear
 *			without, or if the handshake fails.
 *	ENCRYPT		STARTTLS or leave this host: not offered, refused (4xx
 *			or 5xx) or failed is never clear text and never a
 *			bounce.  a->tls_priority; any certificate will do.
 *	AUTHENTICATE	the same, and the chain must satisfy verify().
 *
 * SNI is host->base wherever that is not NULL (RFC 7672 8.1), else what the
 * server usually sends.  The TLS library checks no certificate of its own
 * accord: neither CAs nor names nor dates count here but where verify() says.
 * If no address of any host will do, delay.
 *
 * MTA-STS (RFC 8461), where the profile has it: a host that DANE leaves to
 * chance becomes AUTHENTICATE if the domain's policy names it, and HOST_DEFER
 * if it does not.  SNI, verify() and the log are as before: a caller need not
 * know.  verify() then reads the file of CAs that the host names; one that
 * lives long gives its engine in the options, so that this is done once.
 *
 * Verifying.  After the handshake with a host whose action is AUTHENTICATE (or
 * whose would is, for the log of a level that blocks nothing), hand over the
 * chain as received, leaf first; in a resumed session, too:
 *
 *	struct danevirke_chain c = { .certs = certs, .n_certs = n };
 *	struct danevirke_verdict v = { .size = sizeof v };
 *	if (dv->verify(host, &c, NULL, &v) != 0)
 *		this host must not get the message; v.text says why;
 *
 * The log.  One line for each session, with words that every server has in
 * common, so that they can be counted:
 *
 *	dv->log_beside(a, host, tls, v.verified, beside, sizeof beside);
 *	log("%s via %s:%u: %s%s: %s", a->domain, host->name, host->port,
 *	    dv->log_word(a, host, tls, v.verified), beside, host->reason);
 *
 * prints "example.org via mx.example.org:25: dane: 1 usable of 1 TLSA ...".
 * Where a->insecure_mx is set the word is "dane-insecure-mx": the host has
 * proven that it is what its name says, but DNSSEC does not vouch for the MX
 * record that named it (RFC 7672 2.2.1), so it is no DANE for the domain.
 *
 * Reports (RFC 8460), where the profile has them and the module can send them:
 * once for each session, when it is known what became of it,
 *
 *	struct danevirke_session s = { .size = sizeof s, .tls = 1,
 *	    .result = v.result, .from = own, .address = addr->text,
 *	    .helo = name, .text = v.text };
 *	dv->report(a, host, &s);
 *
 * result is that of verify() also where the session is used all the same, as
 * at level audit; NONE where nothing was to be verified.  A session without TLS
 * is a failure, whatever was demanded.  Where the outcome is DEFER there is one
 * report for all hosts: host NULL, result a->result.  What report() returns is
 * of no concern to the mail.
 *
 * Levels off and audit block nothing: every host with an address there is
 * OPPORTUNISTIC, and what a bogus answer said is used as if it were insecure.
 * So DEFER means no more there than that DNS said nothing that mail could be
 * sent to: no address, no answer with any content, or more than the limits of
 * the configuration allow.  A server that has a way of its own to route takes
 * that: at off whatever the outcome is (DANEVIRKE_NO_LOOKUP_IF_OFF spares the
 * lookups), at audit where a->would is DEFER.  One that has none delays, and
 * calls it trouble with DNS (4.4.3), not with security (4.7.5).
 *
 * Loops.  ask() blocks; start() wants a libevent loop that the caller runs.
 * With another loop there are two ways.  Make an event_base for the engine, and
 * while a question is under way call event_base_loop(base, EVLOOP_NONBLOCK)
 * from a timer of the other loop, every 20 ms for example: done() is called
 * from there.  Or ask() in a process of its own and hand the answer over with
 * pack() and unpack(): the better way for a server with many domains, as a
 * stranger's keys can keep a validator busy for long, and a process can be
 * killed (shim/resolver.h is one).  A thread of its own serves as well if it
 * opens, asks and closes all by itself.
 *
 * TLS.  tls_priority is a GnuTLS priority string.  With another library demand
 * what it does by default: TLS 1.2 or later, and no suite that is anonymous or
 * without encryption.  For OpenSSL:
 *
 *	SSL_set_min_proto_version(ssl, TLS1_2_VERSION);
 *	SSL_set_cipher_list(ssl, "DEFAULT:!aNULL:!eNULL");
 *	SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
 *	chain: SSL_get_peer_cert_chain(ssl), each with i2d_X509()
 *
 * and say in the log that a tls_priority other than the default is not obeyed.
 *
 * Rules that hold everywhere
 * - Zero means "defer": memory that was never written can only delay mail.
 *   Compare enums with ==, never with &, and take a value that you do not know
 *   for 0.
 * - Every struct that a caller fills starts with its size as the caller knows
 *   it, at least DANEVIRKE_..._MIN; its memory must be zeroed before it is
 *   filled.  Fields beyond that size count as 0.  Fields that a newer caller
 *   has and the module does not know must be 0: else it is refused (EINVAL), as
 *   are flags that the module does not know, everywhere.
 * - Every struct of the module's starts with its size as the module knows it;
 *   before a field that is newer than 0.1.0 is read, DANEVIRKE_HAS(p, field)
 *   must hold.
 * - These structs grow at their end only, and never into padding.  The others
 *   say that they are frozen: they do not change within ABI 1.  A change that
 *   cannot be made that way makes a new symbol, danevirke_v2.
 * - An engine (struct danevirke) belongs to the thread and the process that
 *   opened it.  In a forked child every call on it fails with
 *   DANEVIRKE_EFORK, except close(), which frees memory and touches nothing
 *   that is shared with the parent; and except that one without a loop of the
 *   caller's that has asked nothing yet serves the child as its own, if that
 *   may read the same files (else ECONF or EANCHOR): so a server reads its
 *   configuration once and asks in forks of itself.
 * - An answer needs no engine, never changes, survives fork, and may be read
 *   by any thread until it is released.
 * - The module starts no thread and no process, installs no signal handler,
 *   writes to no stream, reads no environment variable and never exits.
 * - Strings are NUL-terminated UTF-8; domain names are A-labels, lower case,
 *   without the trailing dot.  "." is the root.
 *
 * Changes
 *	abi 1	first
 */
#ifndef DANEVIRKE_H
#define DANEVIRKE_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DANEVIRKE_ABI 1
#define DANEVIRKE_SYMBOL "danevirke_v1"

/* Is this field within the size that the struct at s, or the table, gives? */
#define DANEVIRKE_HAS(s, field) \
	((size_t)((const char *)(&(s)->field + 1) - (const char *)(s)) <= \
	    (s)->size)

/* Error codes.  Calls that can fail return 0 for success or one of these. */
enum danevirke_code {
	DANEVIRKE_OK = 0,
	DANEVIRKE_EINVAL,  /* an argument is wrong; text says which */
	DANEVIRKE_ECONF,   /* the configuration cannot be used */
	DANEVIRKE_EANCHOR, /* the trust anchor file cannot be used */
	DANEVIRKE_ENOMEM,  /* out of memory or descriptors */
	DANEVIRKE_EFORK,   /* the engine was opened by another process */
	DANEVIRKE_EDNS,    /* the resolver library refused to work */
	DANEVIRKE_EBUSY,   /* called from inside done() where not allowed */
	DANEVIRKE_EFORMAT, /* unpack(): the bytes are not an answer */
	DANEVIRKE_EVERIFY  /* verify(): not authenticated */
};

/* Owned by the caller.  Always written by a failing call, one line, no \n.
 * Frozen. */
struct danevirke_error {
	int code; /* enum danevirke_code */
	char text[2044];
};

/* State of a DNS lookup (RFC 7672 2.1.1).  Indeterminate is ERROR. */
enum danevirke_dnssec {
	DANEVIRKE_ERROR = 0, /* bogus, SERVFAIL, timeout, malformed ... */
	DANEVIRKE_INSECURE,  /* proven or configured to be outside DNSSEC */
	DANEVIRKE_SECURE     /* validated by this module */
};

/* What to do with the message as a whole. */
enum danevirke_outcome {
	DANEVIRKE_DEFER = 0, /* delay (4xx), reason says why; at levels off
			      * and audit see above */
	DANEVIRKE_ROUTE,     /* try the hosts in order; all fail: delay */
	DANEVIRKE_NULL_MX,   /* bounce: 556 5.1.10 (RFC 7505) */
	DANEVIRKE_NO_DOMAIN, /* bounce: 550 5.1.2, no such domain */
	DANEVIRKE_LOOP       /* bounce: 554 5.4.6, we are the best MX */
};

/* What to do with one host (RFC 7672 2.2). */
enum danevirke_action {
	DANEVIRKE_HOST_DEFER = 0, /* must not be used now */
	DANEVIRKE_OPPORTUNISTIC,  /* TLS if offered, clear text allowed */
	DANEVIRKE_ENCRYPT,        /* TLS required, any certificate */
	DANEVIRKE_AUTHENTICATE    /* TLS required, verify() must return 0 */
};

enum danevirke_level {
	DANEVIRKE_LEVEL_DANE = 0,  /* RFC 7672 */
	DANEVIRKE_LEVEL_DANE_ONLY, /* authenticated or delayed */
	DANEVIRKE_LEVEL_AUDIT,     /* decide and log, block nothing */
	DANEVIRKE_LEVEL_OFF        /* the MTA's own ways */
};

enum danevirke_kind {
	DANEVIRKE_DOMAIN = 0, /* a mail domain: MX lookup */
	DANEVIRKE_RELAY       /* a host set by the administrator: no MX */
};

/* RFC 8460 4.3 result types.  NONE: no failure, or not theirs. */
enum danevirke_result {
	DANEVIRKE_RESULT_NONE = 0,
	DANEVIRKE_STARTTLS_NOT_SUPPORTED,
	DANEVIRKE_CERTIFICATE_HOST_MISMATCH,
	DANEVIRKE_CERTIFICATE_EXPIRED,
	DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
	DANEVIRKE_VALIDATION_FAILURE,
	DANEVIRKE_TLSA_INVALID,
	DANEVIRKE_DNSSEC_INVALID,
	DANEVIRKE_DANE_REQUIRED,
	DANEVIRKE_STS_POLICY_FETCH_ERROR
};

/* What is known of a domain's MTA-STS policy (RFC 8461). */
enum danevirke_mta_sts {
	DANEVIRKE_MTA_STS_UNASKED = 0, /* nothing: there was no need */
	DANEVIRKE_MTA_STS_ERROR,       /* no answer that could be used */
	DANEVIRKE_MTA_STS_NONE,        /* there is none in force */
	DANEVIRKE_MTA_STS_POLICY       /* one in force */
};

/* RFC 7218 acronyms. */
enum danevirke_usage {
	DANEVIRKE_PKIX_TA = 0,
	DANEVIRKE_PKIX_EE = 1,
	DANEVIRKE_DANE_TA = 2,
	DANEVIRKE_DANE_EE = 3
};
enum danevirke_selector { DANEVIRKE_CERT = 0, DANEVIRKE_SPKI = 1 };
enum danevirke_matching {
	DANEVIRKE_FULL = 0,
	DANEVIRKE_SHA2_256 = 1,
	DANEVIRKE_SHA2_512 = 2
};

/*
 * One TLSA record, in the order of the DNS answer.  usage, selector and
 * matching hold the octets found, whatever they are.  A record takes part in
 * verification if and only if use is 1; else why is a text, not NULL:
 * malformed, unsupported, or passed over by digest agility (RFC 7671 9).
 * Frozen: these stand in arrays.
 */
struct danevirke_tlsa {
	uint8_t usage, selector, matching;
	uint8_t usable;      /* 1: well formed and supported */
	uint8_t use;         /* 1: usable and chosen by agility */
	const uint8_t *data; /* association data, may be NULL if 0 */
	size_t len;
	const char *why; /* NULL if use */
};

/* One address.  Order: as to be tried.  Frozen: these stand in arrays. */
struct danevirke_addr {
	int family;       /* 4 or 6 */
	uint8_t ip[16];   /* network order; the first 4 for IPv4 */
	const char *text; /* "192.0.2.1", "2001:db8::1" */
};

/*
 * One host, to be tried in the order of the answer.  Obey action; would is
 * what level "dane" would have said, and differs only under other levels.
 */
struct danevirke_host {
	size_t size;         /* sizeof *host, as the module knows it */
	const char *name;    /* MX target or relay host, unexpanded */
	uint16_t preference; /* 0 for a relay host or implicit MX */
	uint16_t port;       /* TCP port, host order */
	enum danevirke_action action, would;
	enum danevirke_dnssec state;  /* of the address lookup; no address: of
				       * the denial, ERROR without a whole one */
	enum danevirke_result result; /* why DEFER, else NONE */
	const char *base;             /* TLSA base domain (MTA-STS: name) =
				       * SNI, or NULL */
	const char *const *names;     /* accepted for usage 2, and MTA-STS */
	size_t n_names;               /* names[0] is base if base is set */
	const struct danevirke_addr *addrs;
	size_t n_addrs; /* 0: unreachable, action is DEFER */
	const struct danevirke_tlsa *tlsa;
	size_t n_tlsa;                    /* all found, usable or not */
	enum danevirke_dnssec tlsa_state; /* SECURE if they count; of the
					   * lookup, if tlsa_asked */
	const char *reason;               /* one line for the log, never NULL */
	uint32_t tlsa_ttl; /* seconds, as in the zone, the longest if aliases
					 * led there; 0: no secure TLSA */
	/* When the first of the signatures on this host's records ends:
	 * seconds since 1970, modulo 2^32 (RFC 4034 3.1.5); 0: none */
	uint32_t signed_until;
	uint8_t tlsa_asked; /* 1: tlsa_state is that of a lookup; 0: TLSA
			     * records were not called for */
	/* For each of tlsa how many octets of usage, selector and matching were
	 * there, 0 to 3; NULL: all three of all */
	const uint8_t *tlsa_octets;
	/* The name that has the addresses, after aliases; = name without;
	 * NULL: no address was found. */
	const char *target;
	/* Of the alias itself, if target is another name; ERROR: unknown, or
	 * there is none (RFC 7672 2.2.2) */
	enum danevirke_dnssec alias_state;
	/* Absolute path, and then verify() wants MTA-STS: a path to one of the
	 * CAs in this file (PEM), and name as DNS-ID (RFC 8461 4.2).  NULL: by
	 * the TLSA records. */
	const char *ca_file;
	uint8_t mta_sts_listed; /* 1: the domain's MTA-STS policy names it */
};
/* What verify() reads of it ends here, but for ca_file. */
#define DANEVIRKE_HOST_MIN offsetof(struct danevirke_host, reason)

struct danevirke_answer {
	size_t size; /* sizeof *answer, as the module knows it */
	enum danevirke_outcome outcome, would; /* as in struct host */
	enum danevirke_level level;
	enum danevirke_dnssec state;  /* of the MX lookup (relay: SECURE) */
	enum danevirke_result result; /* why DEFER, else NONE */
	uint8_t insecure_mx;          /* 1: success is dane-insecure-mx */
	uint8_t implicit_mx;          /* 1: no MX, the domain itself */
	uint32_t ttl;                 /* seconds, of the shortest lived part */
	uint64_t expires;             /* CLOCK_BOOTTIME seconds: made + ttl */
	const char *domain;           /* the next hop asked, as A-labels */
	const char *final;            /* after aliases; = domain without */
	const char *profile;
	const char *exception; /* reason of a destination rule, or NULL */
	const char *reason;    /* one line for the log, never NULL */
	const struct danevirke_host *const *hosts; /* each by its pointer */
	/* ROUTE: at least one whose action is not DEFER; else what was found,
	 * for the log: not to be tried */
	size_t n_hosts;
	/* GnuTLS string for ENCRYPT and AUTHENTICATE hosts; other libraries:
	 * see above */
	const char *tls_priority;
	uint32_t signed_until; /* of the MX lookup; as in struct host */
	/* The patterns of the MTA-STS policy, "mx.example.org" or
	 * "*.example.org" (RFC 8461 4.1), and one line about it, NULL: UNASKED */
	const char *const *mta_sts_mx;
	size_t n_mta_sts_mx;
	const char *mta_sts_reason;
	enum danevirke_mta_sts mta_sts;
	/* Whom report() tells of sessions: the TLSRPT record of the domain (RFC
	 * 8460 3) and the path of the collector's socket.  NULL: nobody */
	const char *tlsrpt_record;
	const char *tlsrpt_socket;
};

/* Flags of a question. */
/* Level off: answer DEFER at once, level OFF, without any lookup. */
#define DANEVIRKE_NO_LOOKUP_IF_OFF 0x01
/* For a test of the receiver, not for mail: level and insecure_mx are dane
 * whatever profile and destinations say, and hosts that are ourselves stay in
 * the list.  If there is a policy server the answer tells the MTA-STS policy,
 * which changes no host's action. */
#define DANEVIRKE_TEST 0x02
/* Nobody is asked: every lookup must be in the store of this process's user,
 * or the question fails at once (EDNS).  No resolver is made for it, so what
 * it costs does not depend on what a stranger's zone holds. */
#define DANEVIRKE_STORED 0x04
/* The answer is left for recall(), if nothing but DNS and the configuration has
 * decided: not with level off, an exception, MTA-STS, TLSRPT, DANEVIRKE_TEST,
 * DANEVIRKE_PUBLIC, a failed lookup or hosts of equal preference. */
#define DANEVIRKE_LEAVE 0x08

struct danevirke_question {
	size_t size; /* sizeof q */
	enum danevirke_kind kind;
	const char *name;    /* U-labels or A-labels; required.  An
					 * address literal ("[192.0.2.1]",
					 * "[IPv6:::1]", or bare for RELAY) is
					 * routed without DANE */
	uint16_t port;       /* 0 = 25 */
	const char *profile; /* NULL = "default" */
	uint32_t flags;
};
#define DANEVIRKE_QUESTION_MIN offsetof(struct danevirke_question, flags)

/* The chain as received, leaf first.  Bytes are read only during the call.
 * Both are frozen. */
struct danevirke_cert {
	const uint8_t *der;
	size_t len;
};
struct danevirke_chain {
	const struct danevirke_cert *certs;
	size_t n_certs;
};

/* verify() with usages 0 and 1, for callers outside SMTP (RFC 7672 3.1.3). */
#define DANEVIRKE_PKIX_USAGES 0x01

struct danevirke;

struct danevirke_verify_options {
	size_t size; /* sizeof o */
	uint32_t flags;
	time_t now;          /* seconds since 1970; 0 = the clock */
	const char *ca_file; /* PEM, for usages 0 and 1 only */
	/* Keeps the CAs of MTA-STS for the next call, until that file changes;
	 * of this process and thread.  NULL: nobody does. */
	struct danevirke *engine;
};
#define DANEVIRKE_VERIFY_OPTIONS_MIN \
	offsetof(struct danevirke_verify_options, now)

/* size is the caller's; of the rest what fits is written, text cut short. */
struct danevirke_verdict {
	size_t size;                  /* sizeof v */
	int verified;                 /* 1 = authenticated, else 0 */
	int index;                    /* of the record in tlsa[], -1 = none */
	int depth;                    /* of the match, leaf = 0, -1 = none */
	int usage;                    /* of the record, -1 = none */
	enum danevirke_result result; /* if not verified */
	char text[512];               /* one line for the log */
};
#define DANEVIRKE_VERDICT_MIN offsetof(struct danevirke_verdict, index)

/* What became of a session, for report().  Text is UTF-8. */
struct danevirke_session {
	size_t size;                  /* sizeof s */
	enum danevirke_result result; /* NONE: nothing failed */
	int tls;                      /* 1: the session has it */
	const char *from;             /* own address; NULL: not connected */
	const char *address;          /* of the host; NULL: not connected */
	const char *helo;             /* its greeting's name; NULL: unknown */
	const char *text;             /* one line, if it failed; or NULL */
};
#define DANEVIRKE_SESSION_MIN sizeof(struct danevirke_session)

/* How the host process is told.  Levels as in syslog(3): 3 error ... 7. */
typedef void danevirke_log(void *arg, int level, const char *text);

struct event_base;
struct danevirke_query;

/* For a process that lives long, with a loop of its own: DNS answers that are
 * used are asked for again as they expire.  Timers stay on the loop until
 * close(). */
#define DANEVIRKE_KEEP_FRESH 0x01
/* For a process that gives up its files after open(): all that questions will
 * read is read at once. */
#define DANEVIRKE_OPEN_ALL 0x02
/* A stranger chooses the names: may_use() says no to every address that nobody
 * has on the Internet (RFC 6890: private, loopback, documentation and so on),
 * and to those of this machine, unless resolver.allow_addresses has it.  No name
 * server at one is asked, unless the configuration names it; and no MTA-STS
 * policy at all. */
#define DANEVIRKE_PUBLIC 0x04

struct danevirke_options {
	size_t size;             /* sizeof o */
	const char *config;      /* absolute path; NULL = the built-in one */
	struct event_base *base; /* libevent loop for start(); NULL = own,
					 * then only ask() may be used */
	danevirke_log *log;      /* NULL = silence */
	void *log_arg;
	uint32_t flags; /* DANEVIRKE_KEEP_FRESH and the others */
};
#define DANEVIRKE_OPTIONS_MIN offsetof(struct danevirke_options, flags)

/* resolver.zones: below name the servers of forward are asked.  Frozen: these
 * stand in an array. */
struct danevirke_zone {
	const char *name;           /* A-labels */
	const char *const *forward; /* "192.0.2.1@53", as below */
	size_t n_forward;           /* 0: as everywhere */
	uint8_t insecure;           /* 1: outside DNSSEC */
};

/* What the shims need to know of the configuration.  Owned by the engine. */
struct danevirke_settings {
	size_t size;
	const char *config;       /* path that was read */
	const char *exim_user;    /* exim.user */
	int log_level;            /* log.level as in syslog(3) */
	const char *log_facility; /* "mail", "daemon", "local0" ... */
	/* relay: see danevirke.conf(5) */
	uint32_t relay_first; /* alias range, IPv4, host order */
	uint32_t relay_last;
	uint16_t relay_port;
	const char *relay_helo;    /* NULL: the name given in EHLO */
	const char *relay_source4; /* NULL: any */
	const char *relay_source6;
	const char *relay_user; /* who may connect */
	const char *relay_profile;
	unsigned relay_connect_timeout; /* seconds, each */
	unsigned relay_command_timeout;
	unsigned relay_data_timeout;
	unsigned relay_ehlo_budget; /* all work for one EHLO */
	unsigned relay_idle_timeout;
	unsigned relay_max_sessions;
	unsigned relay_max_per_domain;
	unsigned relay_max_domains;
	unsigned relay_failure_ttl; /* a failed verdict is kept */
	unsigned resolver_timeout;  /* seconds for one question, 1 to 300 */
	/* resolver: for who tests DNS as the module asks it */
	const char *resolver_anchor;         /* path */
	const char *resolver_hints;          /* path; NULL: built in */
	const char *const *resolver_forward; /* "192.0.2.1@53" */
	size_t n_resolver_forward;           /* 0: recurse from the root */
	const struct danevirke_zone *resolver_zones;
	size_t n_resolver_zones;
	/* relay.user, of which relay_user is the first */
	const char *const *relay_users;
	size_t n_relay_users; /* 0: it is not set, relay_user is a default */
	/* danevirked */
	const char *daemon_socket; /* path, at most 107 octets */
	unsigned daemon_mode;      /* of it */
	const char *daemon_group;  /* of it; NULL: that of the user */
	uint32_t daemon_addr;      /* loopback, IPv4, host order; 0: none */
	uint16_t daemon_port;      /* 0: none */
	const char *daemon_user;   /* whom root becomes */
	/* mta_sts: see danevirke.conf(5) */
	const char *mta_sts_server; /* NULL: there is none */
	const char *mta_sts_ca_file;
	/* file of counters, path, at most 107 octets; NULL: none */
	const char *relay_metrics;
	/* DANEVIRKE_PUBLIC: "10.0.0.0/8" and so on, where no name server is
	 * asked */
	const char *const *resolver_shun;
	size_t n_resolver_shun;
};

/* What a profile says beyond levels.  Owned by the engine. */
struct danevirke_profile {
	size_t size;
	const char *name;
	enum danevirke_level level;
	const char *tls_priority; /* as in struct danevirke_answer */
	uint8_t mta_sts;          /* 1: MTA-STS policies are asked for */
	const char *tlsrpt;       /* who takes reports, a path; NULL: nobody */
};

/* Runs exactly once, from the loop, never inside start().  The answer belongs
 * to the callee, who releases it.  NULL: err says why (then defer).  The query
 * is gone when done() is called; start() and cancel() may be called in it. */
typedef void danevirke_done(void *arg, const struct danevirke_answer *answer,
    const struct danevirke_error *err);

/* One answer of the store: name as A-labels, RR type, SECURE or INSECURE,
 * seconds left, octets kept. */
typedef void danevirke_stored(void *arg, const char *name, int type,
    enum danevirke_dnssec state, uint32_t ttl, size_t len);

struct danevirke_api {
	uint32_t abi;        /* DANEVIRKE_ABI */
	uint32_t size;       /* sizeof this table in the module */
	const char *version; /* of the package: "0.1.0" */

	/* Reads and checks the configuration and the trust anchor; no network.
	 * NULL: err says why (all errors of a file are logged too). */
	struct danevirke *(*open)(
	    const struct danevirke_options *o, struct danevirke_error *err);

	/* Cancels what is under way, without done().  NULL is allowed.  Not
	 * from inside done(). */
	void (*close)(struct danevirke *e);

	/* Blocks until the answer is there, at most resolver.timeout.  DNS
	 * trouble is an answer (DEFER), not an error.  Runs its own loop: with
	 * an engine opened on the caller's loop it fails (EINVAL).
	 * NULL: err says why, then defer. */
	const struct danevirke_answer *(*ask)(struct danevirke *e,
	    const struct danevirke_question *q, struct danevirke_error *err);

	/* Begins a question on the caller's loop.  0, and *query is valid until
	 * done() runs or cancel() returns; else a code and done() never runs. */
	int (*start)(struct danevirke *e, const struct danevirke_question *q,
	    danevirke_done *done, void *arg, struct danevirke_query **query,
	    struct danevirke_error *err);

	/* Ends a question without done().  NULL is allowed. */
	void (*cancel)(struct danevirke_query *query);

	/* Does the chain satisfy this host's records (RFC 7671, 7672 3)?
	 * 0: authenticated, v->verified is 1.  Else a code (EVERIFY: a sound
	 * question, answered no), and v->text and v->result say why, unless v
	 * is NULL or too small, when nothing is written.  Pure: no
	 * engine, network, file (but ca_file) or state; some 20 ms of work at
	 * most, whatever the chain.  o may be NULL.  Reads
	 * of host only base, names, tlsa (whose use must be set), ca_file and
	 * would, which must be AUTHENTICATE: anything else is refused. */
	int (*verify)(const struct danevirke_host *host,
	    const struct danevirke_chain *chain,
	    const struct danevirke_verify_options *o,
	    struct danevirke_verdict *v);

	/* Frees an answer.  NULL is allowed. */
	void (*release)(const struct danevirke_answer *a);

	/* Sets usable, use and why of records whose usage, selector, matching,
	 * data and len are filled (RFC 7671 9).  flags: DANEVIRKE_PKIX_USAGES.
	 * The order of digests is the default, strongest first.  *used, which
	 * may be NULL: the number of records with use = 1.  why points at
	 * constant text.  0; EINVAL: and then no record is in use. */
	int (*classify)(struct danevirke_tlsa *tlsa, size_t n, uint32_t flags,
	    size_t *used, struct danevirke_error *err);

	/* Writes the answer, which is the module's own, as bytes without
	 * pointers, to be handed to another process of the same machine and
	 * build.  Returns the length needed, 0 for what is no answer; buf is
	 * written only if len is at least that. */
	size_t (*pack)(const struct danevirke_answer *a, void *buf, size_t len);

	/* Checks every length and offset of such bytes, which may come from an
	 * untrusted process, and makes an answer of them. */
	const struct danevirke_answer *(*unpack)(
	    const void *buf, size_t len, struct danevirke_error *err);

	/* NULL only for a NULL engine.  Valid until close(). */
	const struct danevirke_settings *(*settings)(const struct danevirke *e);

	/* NULL: no such profile (name NULL = "default"). */
	const struct danevirke_profile *(*profile)(
	    const struct danevirke *e, const char *name);

	/* The RFC 8460 word ("validation-failure"), "" for NONE. */
	const char *(*result_name)(enum danevirke_result r);

	/* A host name as A-labels (IDNA2008), lower case, no final dot, into
	 * buf of at least 256 octets.  0 or DANEVIRKE_EINVAL. */
	int (*to_ascii)(const char *name, char *buf, size_t len,
	    struct danevirke_error *err);

	/* The store of validated answers that the processes of one user share,
	 * in RUNDIR/USER.  Calls each() for all that still hold, in no order.
	 * 0; EINVAL: there is none, or it may not be used; EDNS: not read. */
	int (*store_list)(struct danevirke *e, danevirke_stored *each,
	    void *arg, struct danevirke_error *err);

	/* Makes it forget name and all below it (*n answers; may be NULL), or
	 * all if name is NULL. */
	int (*store_flush)(struct danevirke *e, const char *name, size_t *n,
	    struct danevirke_error *err);

	/* May this address, which a zone has named, be talked to?  0 for
	 * loopback, multicast and the like, and with DANEVIRKE_PUBLIC many
	 * more, unless resolver.allow_addresses has it; else 1.  ip as in struct danevirke_addr. */
	int (*may_use)(
	    const struct danevirke *e, int family, const uint8_t *ip);

	/* The word of the log for a message that goes to host over this
	 * session, whose tls and verified are 0 or 1: "dane",
	 * "dane-insecure-mx", "mta-sts", "encrypt", "opportunistic-tls",
	 * "clear", or "deferred" where the action forbids it.  Constant
	 * text. */
	const char *(*log_word)(const struct danevirke_answer *a,
	    const struct danevirke_host *host, int tls, int verified);

	/* What stands beside it, into buf: " (audit)", " (audit: would be
	 * deferred)" or "", and behind that " (exception: why)" if there is
	 * one; 250 octets hold all.  host may be NULL: the domain as a
	 * whole. */
	void (*log_beside)(const struct danevirke_answer *a,
	    const struct danevirke_host *host, int tls, int verified, char *buf,
	    size_t len);

	/* Tells the collector of a session (RFC 8460), once for each; host NULL:
	 * of the domain, to which there could be none.  Never blocks, and needs
	 * no engine: one datagram is sent or lost.  0: it was sent, or none is
	 * owed. */
	int (*report)(const struct danevirke_answer *a,
	    const struct danevirke_host *host,
	    const struct danevirke_session *s);

	/* The answer that a process of this user has left (DANEVIRKE_LEAVE) for
	 * the same question, while it holds; NULL: none, so ask.  For the user
	 * itself and for root, who opens the store with the user's rights and
	 * reads what unpack() checks, but no packet.  Looks nothing up, and
	 * needs no loop. */
	const struct danevirke_answer *(*recall)(struct danevirke *e,
	    const struct danevirke_question *q, uint32_t uid);
};

extern const struct danevirke_api danevirke_v1;

#ifdef __cplusplus
}
#endif

#endif

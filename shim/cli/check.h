/* SPDX-License-Identifier: ISC */
/*
 * check.h - the receiver's test, in three steps
 *
 *	setup.c		exam_open()	options, loop, engine
 *	exam.c		exam_add()	route, connect, STARTTLS, chain
 *	servers.c	  servers_*()	name servers: see stage.h
 *	finding.c	  lint_*()	one finding
 *	lint.c		  lint_*()	what is found -> findings (L rows)
 *	chain.c		  lint_certs()	the chain itself
 *	session.c	  lint_*()	  of sessions that failed
 *	mtasts.c	  lint_*()	  of MTA-STS
 *	insecure.c	  lint_*()	  of what is not secure, and why
 *	report.c	report_*()	findings -> text, JSON
 *	metrics.c	report_*()	findings -> Nagios, Prometheus
 *	page.c		page_*()	text, JSON -> HTML, by report.html
 *
 * check.c and survey.c feed names in and print what comes out.
 */
#ifndef CHECK_H
#define CHECK_H

#include "cli.h"
#include "starttls.h"

enum severity { SEV_NOTE = 0, SEV_WARNING, SEV_PROBLEM };

struct finding {
	enum severity severity;
	const char *row;    /* of the conformance table, "L01" */
	char *host;         /* NULL: the domain as a whole */
	char *server;       /* a name server, or NULL */
	char *addr;         /* NULL: the host or server as a whole */
	char *text;         /* what was found */
	const char *advice; /* what to do; constant, may be NULL */
};

/* A certificate that was sent. */
struct cert_fact {
	char subject[160], issuer[160]; /* RFC 4514, or cut */
	time_t until;                   /* 0: it cannot be read */
	uint8_t cert[32], key[32];      /* SHA2-256 of it, of its SPKI */
};
#define CERTS_MAX 10
#define KINDS_MAX (2 * 2 * 3) /* of usable records */

/* One address of one host, as the first connection to it went. */
struct address_report {
	const struct danevirke_host *host; /* of the answer */
	const struct danevirke_addr *addr;
	bool tested;   /* an SMTP session was there */
	bool tls;      /* the handshake was done */
	bool ready;    /* SMTP went on inside of TLS */
	bool verified; /* its chain satisfies the records */
	enum { MTA_STS_UNKNOWN = 0, MTA_STS_GOOD, MTA_STS_BAD } mta_sts;
	char version[16], cipher[32];
	int usage;       /* of the record that matched, -1: none */
	uint8_t kind[3]; /* usage, selector, matching type of that record */
	struct {
		int index, depth; /* a record that matches, and what in the
				   * chain it names; one of each kind */
	} match[KINDS_MAX];
	size_t n_match;
	time_t not_after;       /* of the leaf; 0: no certificate */
	uint8_t leaf[32];       /* SHA2-256 of it */
	char text[512];         /* what failed, or what matched */
	struct cert_fact *cert; /* the chain, or the first of it */
	size_t n_cert;
};

/* Is a zone on the way signed so that it counts?  From its parent's servers. */
struct zone_fact {
	char name[256];
	bool asked;            /* a server of the parent has answered */
	size_t ds;             /* DS records */
	bool known;            /* one of them is of what all resolvers know */
	int algorithm, digest; /* of the last one */
	bool keys;             /* it has DNSKEY records */
	unsigned iterations;   /* of NSEC3, the most that was seen */
};

enum check_verdict {
	CHECK_GOOD = 0,
	CHECK_WARNING,
	CHECK_PROBLEM,
	CHECK_UNTESTED
};

struct report {
	const struct danevirke_api *dv;
	char *name;                            /* as given */
	unsigned long n;                       /* the caller's number */
	const struct danevirke_answer *answer; /* NULL: error says why */
	char *error;
	struct address_report *addr;
	size_t n_addr;
	struct finding *finding;
	size_t n_finding;
	struct zone_fact *zone;
	size_t n_zone;
	int servers;        /* addresses of name servers asked; -1: it was
				 * not done */
	int servers_faulty; /* addresses that something was said of */
	time_t when;        /* begin, seconds since 1970 */
	double seconds;     /* that the test took */
	enum check_verdict verdict;
	const char *dane; /* "full", "partial", "none" */
	bool dns_only;    /* nothing was connected to, by wish */
	bool own_dns;     /* DNS fails here for other names too: UNTESTED */
	bool no_memory;   /* nor descriptors: a finding was lost, the verdict
					 * is UNTESTED */
};

void report_free(struct report *);
/* brief: only the verdict and what is worse than a note */
void report_text(struct cli *, const struct report *, bool brief);
/* The object, as a member of an array or as a line. */
void report_json(struct json *, const struct report *);
/* An HTML file: its beginning, the reports, its end.  back: where to go for
 * another test, or NULL.  False: no memory, and nothing was written. */
bool page_begin(const char *back);
void page_report(struct cli *, const struct report *, bool brief);
void page_end(void);
/* Nagios plug-in conventions: one line for all, perfdata; the exit status.
 * signature_days: fewer are a warning. */
int
report_nagios(struct report *const *, size_t n, unsigned long signature_days);
/* The same for a test that could not begin. */
void report_nagios_error(const char *text);
/* Prometheus' text format, all reports at once. */
void report_prometheus(struct report *const *, size_t n);
const char *report_summary(const struct report *);
/* Days from the test to t, rounded down. */
long report_days(const struct report *, time_t t);
/* Days until the first signature of the MX (host NULL) or of the host ends;
 * false: there is none. */
bool report_signature(const struct report *, const struct danevirke_host *,
    time_t *until, long *days);

/* ------------------------------------------------------------------ lint */

struct lint_limits {
	time_t now;
	unsigned long certificate_days, signature_days; /* warn below these */
};

void lint_add(struct report *, enum severity, const char *row, const char *host,
    const char *addr, const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 7, 8)));
/* Frees all findings. */
void lint_forget(struct report *);
/* Of a name server (L14); addr may be NULL. */
void lint_server(struct report *, enum severity, const char *server,
    const char *addr, const char *advice, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
/* What the answer alone shows: D05, L03, L06, L08, L09, L13, signatures. */
void lint_answer(struct report *, const struct lint_limits *);
/* The chain that an address served; what: how it was asked for ("RSA"), or
 * NULL for the first connection, which fills ar.  L01, L04, L07, L12. */
void lint_chain(struct report *, struct address_report *ar,
    const struct danevirke_chain *, const char *what,
    const struct lint_limits *);
/* What was sent, and how a record would name it, into ar->cert. */
void lint_certs(
    struct report *, struct address_report *ar, const struct danevirke_chain *);
/* Why DNSSEC does not protect something; once the zones are known. */
void lint_insecure(struct report *);
#define WEAKNESS_LEN 600
/* What is wrong with this zone, in why, and the advice; NULL: nothing, or it is
 * not known. */
const char *lint_weakness(const struct zone_fact *, char why[WEAKNESS_LEN]);
/* A session that failed, the first one with an address or one of the others:
 * L05, L11, L12, T10, T12.  how: of the others, what was special about it;
 * alone: neither RSA nor ECDSA works. */
void lint_session(
    struct report *, struct address_report *, const struct starttls_result *);
void lint_variant(struct report *, const struct address_report *,
    const struct starttls_result *, const char *how, bool sni, bool alone);
/* L16: what the answer shows, what a session and its chain do. */
void lint_mta_sts(struct report *);
void lint_mta_sts_chain(struct report *, struct address_report *,
    const struct danevirke_chain *, struct danevirke *,
    const struct lint_limits *);
void lint_mta_sts_session(
    struct report *, struct address_report *, const struct starttls_result *);
/* A policy is in force, and nothing is wrong with it. */
bool lint_mta_sts_protects(const struct report *);
/* Does this host have records that a chain can be held against? */
bool lint_has_dane(const struct danevirke_host *);
/* RFC 5321 3.8, 4.2.1: 421 at any time is "not now", and says nothing of what
 * the server does at other times. */
bool lint_not_now(const struct starttls_result *);
/* Sets verdict and dane from all that was found. */
void lint_verdict(struct report *);

/* ------------------------------------------------------------------ exam */

struct exam_options {
	struct cli *cli;
	struct danevirke *engine; /* for its settings */
	struct event_base *base;
	struct resolver *resolver; /* on base: it answers */
	struct event *reader;      /* of standard output, if it is a pipe */
	const char *profile;
	const char *helo;          /* NULL: this machine's name */
	char own[256];             /* this machine's name */
	unsigned long port;        /* 25 */
	unsigned long parallel;    /* domains at once: the feeder's */
	unsigned long connections; /* at most, over all */
	unsigned long timeout;     /* seconds for each step */
	unsigned long limit;       /* seconds for a domain */
	bool dns_only;             /* connect to nothing */
	bool servers;              /* ask every name server (L14) */
	struct lint_limits lint;   /* now: 0 = the clock */
};

/* The options that check and survey share, for struct opt tables. */
enum {
	X_DNS_ONLY = 1,
	X_HELO,
	X_PORT,
	X_TIMEOUT,
	X_LIMIT,
	X_PARALLEL,
	X_CONNECTIONS,
	X_CERT_DAYS,
	X_SIG_DAYS,
	X_PROFILE,
	X_PUBLIC,
	X_OWN
};
#define EXAM_OPTS \
	{ X_DNS_ONLY, "dns-only", OPT_NONE }, { X_HELO, "helo", OPT_ONE }, \
	    { X_PORT, "port", OPT_ONE }, { X_TIMEOUT, "timeout", OPT_ONE }, \
	    { X_LIMIT, "limit", OPT_ONE }, \
	    { X_PARALLEL, "parallel", OPT_ONE }, \
	    { X_CONNECTIONS, "connections", OPT_ONE }, \
	    { X_CERT_DAYS, "certificate-days", OPT_ONE }, \
	    { X_SIG_DAYS, "signature-days", OPT_ONE }, \
	    { X_PROFILE, "profile", OPT_ONE }, \
	{ \
		X_PUBLIC, "public", OPT_NONE \
	}
/* Takes one of them; 0, or -1: reported. */
int exam_option(struct exam_options *, int id, const char *value);
/* Loop and engine, after the options; EXIT_GOOD, or EXIT_UNTESTED: reported.
 * exam_close() in any case. */
int exam_open(struct exam_options *);
/* The loop alone, for who has others do the work. */
int exam_loop(struct exam_options *);
void exam_close(struct exam_options *);
#define EXAM_DEFAULTS \
	.port = 25, .connections = 20, .timeout = 10, .limit = 120, \
	.lint = { .certificate_days = 14, .signature_days = 1 }

struct exam;
/* The report is the callee's, to be given to report_free(). */
typedef void exam_done(void *arg, struct report *);
struct exam *exam_new(const struct exam_options *, exam_done *, void *arg);
/* Begins with a name.  done() runs from the loop, once.  False: no memory. */
bool exam_add(struct exam *, const char *name, unsigned long n);
size_t exam_connections(const struct exam *); /* open now */
void exam_free(struct exam *);                /* cancels all, without done() */

#endif

/* SPDX-License-Identifier: ISC */
/*
 * module.h - what the files of danevirke.so share
 *
 * The pipeline, in call order; each step is one file:
 *
 *	danevirke.c	danevirke_v1.open
 *	conf.c		  conf_load()		file -> struct conf
 *	danevirke.c	danevirke_v1.start
 *	route.c		  route_start()		one question in flight
 *	policy.c	    policy_next()	facts so far -> next lookups
 *	dns.c		    dns_start()		lookup -> struct dns_result
 *	context.c	      context_new()	struct conf -> libunbound
 *	special.c	      special_open()	whom it never asks, if public
 *	root.c		      root_owed()	no INSECURE but from the root
 *	hints.c		      hints_text()	a TLD's servers, from the store
 *	refresh.c	      refresh_answered()	what is used stays warm
 *	store.c		      store_get()	answers of other processes
 *	whole.c		  whole_get()		their decisions, taken whole
 *	sts.c		    sts_start()		the domain's MTA-STS policy
 *	socketmap.c	      socketmap_take()	octets -> struct sts_result
 *	need.c		    policy_needs_sts()	has it anything to decide?
 *	decide.c	    policy_decide()	facts -> struct draft
 *	tlsa.c		      tlsa_classify()	records -> usable, in use
 *	listed.c	      listed_decide()	what MTA-STS makes of a host
 *	answer.c	  answer_make()		draft -> one block of memory
 *	danevirke.c	danevirke_v1.verify
 *	cas.c		  cas_verify()		the clock, files of CAs
 *	verify.c	  verify_chain()	host + chain -> verdict
 *	path.c		    path_search()	leaf -> what a record names
 *	proof.c		      proof_holds()	links, dates, names of a path
 *	sign.c			sign_holds()	one link, and its worth
 *	pool.c			  pool_crt()	the certificates, and the cost
 *	match.c			    match_record()	does a record name it?
 *	spki.c			      cert_parts()	certificate -> raw SPKI
 *	word.c		danevirke_v1.log_word	what every log says of a host
 *	tlsrpt.c	danevirke_v1.report	what became of a session
 *
 * policy, decide, tlsa, socketmap, listed, word, and verify with all below it
 * are pure: no DNS, clock, file or engine.
 * Nothing here is a mutable global; all hangs from the engine or the query.
 */
#ifndef MODULE_H
#define MODULE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "danevirke.h"
#include "spki.h"

#define NAME_LEN 256 /* a domain name as text, with its NUL */
#define MAX_DIGESTS 4

struct ub_ctx;
struct event_base;

/* util.c: fills err (may be NULL) and returns code. */
int fail(struct danevirke_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* util.c: c, or "?" if that is not printable ASCII: text that a stranger has
 * written becomes part of one line. */
char text_char(char c);

/* util.c: memory that is freed all at once.  All return NULL when out of
 * memory; zeroed. */
struct arena {
	struct chunk *head;
};
void *arena_alloc(struct arena *a, size_t len);
void *arena_array(struct arena *a, size_t n, size_t size); /* checks n*size */
char *arena_str(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a);

/* ------------------------------------------------------------------ conf */

/* resolver.zones: below this name ask these servers; insecure: D01 */
struct conf_zone {
	const char *name; /* A-labels, no final dot */
	char **forward;   /* "192.0.2.1@53", "2001:db8::1@53" */
	size_t n_forward;
	bool insecure;
};

struct conf_prefix {
	int family;
	uint8_t ip[16];
	unsigned bits;
};

struct conf_profile {
	struct danevirke_profile pub;      /* name, level, tls_priority */
	enum danevirke_action insecure_mx; /* OPPORTUNISTIC (may), ENCRYPT,
					 * AUTHENTICATE (dane): M04 */
	uint8_t digests[MAX_DIGESTS];      /* matching types, strongest first */
	size_t n_digests;
	bool tlsrpt; /* pub.tlsrpt says to whom */
};

/* mta_sts: who knows policies.  Of an address or a path one is given. */
struct conf_sts {
	char *server;            /* as it is written; NULL: nobody */
	struct conf_prefix addr; /* family 0: server is a path */
	uint16_t port;
	char *map;
	unsigned timeout; /* seconds */
	char *ca_file;    /* path */
};

struct conf_destination {
	char *domain; /* "example.org" or ".example.org" */
	enum danevirke_level level;
	char *reason;
	char *until;  /* "2027-01-31", inclusive, UTC; NULL */
	int64_t ends; /* first second after it; 0 = never */
};

/* M11, all at least 1 */
struct conf_limits {
	unsigned hosts;     /* MX records used */
	unsigned addresses; /* per host */
	unsigned aliases;   /* per chain (D10) */
	unsigned records;   /* TLSA records per RRset (U20: >= 64) */
};

struct conf {
	struct danevirke_settings settings;
	uint8_t sum[32];    /* SHA2-256 of the file */
	char *trust_anchor; /* path */
	char **forward;     /* empty: recurse from the root */
	size_t n_forward;
	struct conf_zone *zones;
	size_t n_zones;
	char *root_hints;          /* path, NULL = built in */
	struct conf_prefix *allow; /* resolver.allow_addresses (M12) */
	size_t n_allow;
	char **self_name;   /* resolver.self, names and addresses; */
	size_t n_self_name; /* A-labels */
	struct conf_prefix *self_addr;
	size_t n_self_addr;
	struct conf_prefix *special; /* DANEVIRKE_PUBLIC: where nobody is
				      * connected to (W01); else NULL */
	size_t n_special;
	bool self_set;          /* set (perhaps empty): replaces the
					 * addresses of local interfaces (M10) */
	unsigned timeout;       /* seconds for one question, 1 - 300 */
	unsigned query_timeout; /* seconds for one lookup */
	struct conf_sts sts;
	const char *tlsrpt; /* the collector's socket; NULL: nobody */
	struct conf_limits limits;
	struct conf_profile *profiles; /* always holds "default" */
	size_t n_profiles;
	struct conf_destination *destinations;
	size_t n_destinations;
	struct arena arena; /* all of the above */
};

/* Reads and checks the file and the trust anchor it names.  Every error goes
 * to log (may be NULL) as one line "file:line: setting: found: wanted"; the
 * first one also to err.  NULL on any error; conf_free() otherwise. */
struct conf *conf_load(const char *path, danevirke_log *log, void *arg,
    struct danevirke_error *err);
/* For a process that has not read its files itself, and has perhaps become
 * another user: may it read them?  0, or ECONF or EANCHOR. */
int conf_readable(const struct conf *, struct danevirke_error *err);
void conf_free(struct conf *);
const struct conf_profile *conf_profile(const struct conf *, const char *name);
/* The longest matching rule, or NULL; expired ones never match, but the first
 * expired one that would have is stored in *expired (P01). */
const struct conf_destination *conf_destination(const struct conf *,
    const char *domain, time_t now, const struct conf_destination **expired);
/* D05: DS and DNSKEY lines for "." of supported algorithm and digest, *n of
 * them; each that does not count is a warning to log (may be NULL). */
int conf_anchor(const char *path, size_t *n, danevirke_log *log, void *arg,
    struct danevirke_error *err);
/* The same of bytes; path is for messages only. */
int anchor_parse(const char *text, size_t len, const char *path, size_t *n,
    danevirke_log *log, void *arg, struct danevirke_error *err);
bool prefix_match(
    const struct conf_prefix *, size_t n, int family, const uint8_t *ip);
/* Addresses of local interfaces; false: they cannot be read. */
bool local_addresses(struct arena *, const struct conf_prefix **, size_t *n);
/* Fills special and settings.resolver_shun; false: as above. */
bool special_open(struct conf *);
/* W01: special, and not in resolver.allow_addresses */
bool special_address(const struct conf *, int family, const uint8_t *ip);

/* ------------------------------------------------------------------- dns */

enum {
	TYPE_A = 1,
	TYPE_NS = 2,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	TYPE_MX = 15,
	TYPE_TXT = 16,
	TYPE_AAAA = 28,
	TYPE_DNAME = 39,
	TYPE_DS = 43,
	TYPE_RRSIG = 46,
	TYPE_DNSKEY = 48,
	TYPE_TLSA = 52
};

struct dns_rr {
	const uint8_t *data; /* RDATA; names in it uncompressed */
	size_t len;
};

/* One lookup, finished.  Plain data, so that tests can write it down.  Zeroed
 * it is an ERROR. */
struct dns_result {
	enum danevirke_dnssec state;
	bool nxdomain;           /* of the last name in the chain */
	bool content;            /* ERROR, but packet was there: bogus; the
					 * rest is what it said (P02) */
	uint32_t ttl;            /* seconds; of the shortest lived RR, of
					 * the SOA for a negative answer */
	uint32_t original_ttl;   /* as the zone has it; SECURE records only */
	uint32_t signed_until;   /* SECURE: end of the signature that ends
					 * first, RFC 4034 3.1.5; else 0 */
	const char *zone;        /* SECURE records: of their signature, RFC
				  * 4034 3.1.7; NULL: unknown */
	const char **name;       /* name[0] asked ... name[n_alias] owner */
	size_t n_alias;          /* 0: no alias */
	const char *dname;       /* owner of the DNAME that made the first
				  * alias (D13), NULL: a CNAME of its own */
	const struct dns_rr *rr; /* of the type asked, at the last name */
	size_t n_rr;             /* 0 with SECURE or INSECURE: no such
					 * record, proven or claimed (D04) */
	const char *why;         /* ERROR: what failed, one line; else "" */
};

struct dns;
struct dns_query;
struct store;
typedef void dns_done(void *arg, const struct dns_result *);

/* The resolver context is made by the first dns_start().  base is the loop to
 * run on, owned by the caller; it must outlive the struct dns. */
/* The store may be NULL; it is the caller's and must outlive the struct dns. */
#define DNS_MANY 0x01       /* many lookups at a time: up to 512 sockets */
#define DNS_KEEP_FRESH 0x02 /* refresh.c's timers stay until dns_free() */
struct dns *dns_new(const struct conf *, struct event_base *base,
    struct store *, unsigned flags, struct danevirke_error *err);
void dns_free(struct dns *); /* cancels all, runs no done() */
/* Makes the resolver context now, and reads all files that it needs. */
int dns_open(struct dns *, struct danevirke_error *err);
/* name: text, absolute; labels may hold escapes (\046).  done() runs exactly
 * once, from the loop, never inside dns_start(); the result and all in it is
 * in the arena, which must live until then.  Limits: aliases and time are
 * enforced here (an ERROR with a why).  NULL: err. */
struct dns_query *dns_start(struct dns *, struct arena *, const char *name,
    int type, dns_done *done, void *arg, struct danevirke_error *err);
/* The same from the store alone: EDNS where it has no answer. */
struct dns_query *dns_stored(struct dns *, struct arena *, const char *name,
    int type, dns_done *done, void *arg, struct danevirke_error *err);
void dns_cancel(struct dns_query *);
/* Servers are being asked; false: it waits for its turn of the loop only. */
bool dns_asked(const struct dns_query *);
/* This lookup may be wanted soon: whoever starts it then finds it under way, or
 * answered.  Nobody waits for it, and its failure is nothing. */
void dns_ahead(struct dns *, const char *name, int type);

/* Pure and public for tests and fuzzing: a packet to a result.  sec as
 * libunbound gives it (0 insecure, 1 bogus, 2 secure), rcode likewise. */
void dns_parse(struct arena *, const char *qname, int type, int rcode,
    const uint8_t *pkt, size_t len, int sec, const char *why,
    unsigned max_alias, struct dns_result *out);
/* Wire name at data[0..len) (uncompressed, whole) to text; false: malformed */
bool dns_name_text(const uint8_t *data, size_t len, char buf[NAME_LEN]);
/* U-labels or A-labels to A-labels, lower case, no final dot (D14, N09) */
int name_to_ascii(
    const char *name, char *buf, size_t len, struct danevirke_error *err);

/* ----------------------------------------------------------------- store */

struct store;
struct store_hit {
	const uint8_t *packet; /* as received */
	size_t len;
	int sec;      /* as for dns_parse(): 0 or 2 */
	uint32_t ttl; /* seconds left, at least 1 */
};
#define STORE_KEY 16
#define STORE_PAGE 4096

/* The store of this process's user in parent/USER, or NULL: there is none, or
 * it may not be used (said in the log, but for "there is none").  Never as
 * root or set-id.  Not to be used in a forked child. */
struct store *
store_open(const struct conf *, const char *parent, danevirke_log *, void *arg);
/* The like, for whole.c, of this user: the process's own, or any but root, for
 * root to read.  Says nothing. */
struct store *store_open_whole(const struct conf *, const char *parent, uid_t);
/* What is got and put from now on is of these octets only, too. */
bool store_only(struct store *, const void *what, size_t len);
void store_close(struct store *);
/* A NULL store has nothing.  hit->packet is in the arena. */
bool store_get(struct store *, struct arena *, const char *name, int type,
    struct store_hit *);
void store_put(struct store *, const char *name, int type, int sec,
    const uint8_t *packet, size_t len, uint32_t ttl);
typedef void
store_each(void *arg, const char *name, int type, const struct store_hit *);
/* Everything that holds, in no order.  0 or -1 with errno. */
int store_walk(struct store *, store_each *, void *arg);
/* Forgets a name and all below it, n answers; NULL: everything, n is 0. */
int store_flush(struct store *, const char *name, size_t *n);
/* Pure and public for tests and fuzzing: the packet in a page, or NULL. */
const uint8_t *store_find(const uint8_t page[STORE_PAGE],
    const uint8_t key[STORE_KEY], uint64_t now, struct store_hit *);
uint64_t store_now(void); /* CLOCK_BOOTTIME seconds */

/* --------------------------------------------------------------- refresh */

struct refresh;
typedef void refresh_ask(void *arg, const char *name, int type);
/* Calls ask() from the loop when a lookup that is used expires; who asks tells
 * refresh_asked() how it went.  NULL: out of memory. */
struct refresh *refresh_new(struct event_base *, refresh_ask *ask, void *arg);
void refresh_free(struct refresh *);
/* A lookup was answered to somebody; ttl seconds are left.  NULL: nothing. */
void
refresh_answered(struct refresh *, const char *name, int type, uint32_t ttl);
/* It was asked anew; ttl 0: it failed. */
void refresh_asked(struct refresh *, const char *name, int type, uint32_t ttl);

/* ------------------------------------------------------------------- sts */

/* What is known of a domain's MTA-STS policy.  Zeroed it is an ERROR. */
struct sts_result {
	enum danevirke_mta_sts state;
	const char **mx; /* patterns, as RFC 8461 4.1 writes them */
	size_t n_mx;
	const char *why; /* ERROR: one line */
};

struct sts_query;
typedef void sts_done(void *arg, const struct sts_result *);
/* Asks the policy server about a domain.  done() runs exactly once, from the
 * loop, never inside sts_start(); the result is in the arena, which must live
 * until then.  NULL: out of memory. */
struct sts_query *sts_start(const struct conf_sts *, struct event_base *,
    struct arena *, const char *domain, sts_done *done, void *arg);
void sts_cancel(struct sts_query *); /* no done() */
/* An ERROR with that reason. */
void sts_fail(struct arena *, const char *why, struct sts_result *);

#define SOCKETMAP_REPLY 4096 /* octets of a reply, without its frame */
/* "LEN:MAP DOMAIN," into buf; its length, 0: does not fit. */
size_t socketmap_ask(const char *map, const char *domain, char *buf, size_t n);
/* Pure and public for tests and fuzzing: what has come so far.  True: out is
 * filled, with an ERROR if it is no reply; false: more is to come. */
bool socketmap_take(
    struct arena *, const char *data, size_t len, struct sts_result *out);
#define SOCKETMAP_MAX (SOCKETMAP_REPLY + 8) /* with its frame */

/* ---------------------------------------------------------------- tlsrpt */

#define TLSRPT_RECORD 2048 /* octets of a TXT record */
/* Can reports be sent at all? */
bool tlsrpt_built(void);
/* The one TLSRPT record of this lookup, or NULL.  Pure. */
const char *tlsrpt_record(struct arena *, const struct dns_result *);
int tlsrpt_report(const struct danevirke_answer *,
    const struct danevirke_host *, const struct danevirke_session *);

/* ---------------------------------------------------------------- policy */

/* Facts gathered about one host.  Pointers are NULL until asked and answered;
 * wanted and unanswered lookups are only known to route.c. */
struct host_facts {
	const char *name; /* as in MX or the question, A-labels */
	uint16_t preference;
	uint32_t tie; /* random, orders equal preferences (M02) */
	bool literal; /* name is an address (T07, T08) */
	const struct dns_result *a, *aaaa;
	const struct dns_result *cname;   /* of name itself, or the DNAME that
					   * made it an alias (D12, B08) */
	const struct dns_result *tlsa[2]; /* first and second candidate (B09) */
};

struct facts {
	enum danevirke_kind kind;
	const char *domain; /* A-labels, or the text of a literal */
	uint16_t port;
	bool literal;
	time_t now;
	enum danevirke_level level;
	const struct conf_profile *profile;
	const struct conf_destination *exception; /* or NULL */
	const struct conf *conf;                  /* limits, self, allow */
	const struct conf_prefix *local; /* addresses of local interfaces */
	size_t n_local;
	const struct dns_result *mx; /* NULL for RELAY */
	struct host_facts *hosts;    /* made by policy_hosts() */
	size_t n_hosts;
	bool test;   /* DANEVIRKE_TEST: neither M10 nor H03 apply */
	bool sts_on; /* H02: a policy may have a say */
	const struct sts_result *sts;    /* NULL: unanswered */
	const struct dns_result *tlsrpt; /* NULL: not there in time (K01) */
	const char *failed;              /* not NULL: defer, with this reason */
};

/* From facts->mx (answered) makes facts->hosts, sorted by preference and tie.
 * tie(arg) gives 32 random bits.  False: out of memory. */
bool policy_hosts(
    struct arena *, struct facts *, uint32_t (*tie)(void *), void *arg);

/* The lookups this host needs next, given its facts so far: at most 2 in
 * want[]; 0: all is gathered.  name lives as long as the facts. */
struct want {
	const char *name;
	int type;
	const struct dns_result **slot;
};
size_t policy_next(struct arena *, const struct facts *, struct host_facts *,
    struct want want[2]);
/* The name whose TLSA records it will probably want behind its addresses, NULL:
 * none, or nobody can tell. */
const char *
policy_guess(struct arena *, const struct facts *, const struct host_facts *);

/* M12: an address that no mail goes to */
bool policy_forbidden(const struct conf *, int family, const uint8_t *ip);

/* decide.c: facts, complete, to an answer whose parts are in the arena; NULL:
 * ENOMEM */
struct danevirke_answer *policy_decide(struct arena *, const struct facts *);
/* need.c, H02: may there be a host for a policy to decide?  Once the hosts are
 * known. */
bool policy_may_need_sts(const struct facts *);
/* Is there one?  Once all facts but the policy are there. */
bool policy_needs_sts(struct arena *, const struct facts *);

/* ------------------------------------------------------------------ tlsa */

/* RDATA to record; data points into rdata (Q06).  Leaves usable, use 0. */
void tlsa_parse(const uint8_t *rdata, size_t len, struct danevirke_tlsa *);
/* U01-U03, A01-A03.  digests: matching types, strongest first. */
size_t tlsa_classify(struct danevirke_tlsa *, size_t n, uint32_t flags,
    const uint8_t *digests, size_t n_digests);
/* "DANE-EE SPKI SHA2-256" (RFC 7218), numbers for what has no name */
void tlsa_text(const struct danevirke_tlsa *, char *buf, size_t len);

/* ---------------------------------------------------------------- verify */

/* What is read for it. */
struct verify_world {
	time_t now;
	uint32_t flags;
	const char *ca_file;        /* for the text; NULL: none is given */
	int ca_code;                /* what came of reading it */
	struct danevirke_chain cas; /* the certificates in it; MTA-STS: those
				     * that the chain names */
};
/* Can this be judged at all?  A code, and v says why not. */
int verify_check(const struct danevirke_host *, const struct danevirke_chain *,
    struct danevirke_verdict *);
/* Usages 0 and 1 take part: the CA file is wanted. */
bool verify_by_pkix(const struct danevirke_host *, uint32_t flags);
/* The arguments are checked.  v is written in all cases. */
int verify_chain(const struct danevirke_host *, const struct danevirke_chain *,
    const struct verify_world *, struct danevirke_verdict *);

/* The host is one of MTA-STS. */
bool verify_by_mta_sts(const struct danevirke_host *);

/* cas.c: a file of CAs as it was when it was read.  Zeroed: nothing is kept. */
struct cas {
	struct arena arena;
	char *path;
	struct cas_stamp {
		uint64_t dev, ino, size;
		struct timespec changed;
	} stamp;
	struct danevirke_cert *certs;
	struct cert_parts *parts; /* of each */
	size_t n;
};
void cas_free(struct cas *);
/* As danevirke_v1.verify, the arguments checked; what is read of MTA-STS stays
 * in kept. */
int cas_verify(const struct danevirke_host *, const struct danevirke_chain *,
    const struct danevirke_verify_options *, struct cas *kept,
    struct danevirke_verdict *);

/* ---------------------------------------------------------------- answer */

/* One block of memory, freed by free().  NULL: out of memory. */
struct danevirke_answer *answer_make(const struct danevirke_answer *draft);
size_t answer_pack(const struct danevirke_answer *, void *buf, size_t len);
const struct danevirke_answer *
answer_unpack(const void *buf, size_t len, struct danevirke_error *err);

/* ----------------------------------------------------------------- whole */

/* Of the facts what the question and the configuration have told.  A failure
 * is nothing. */
void whole_put(const struct facts *, const struct danevirke_answer *);
struct danevirke_answer *whole_get(const struct facts *, uid_t);
void whole_flush(const struct conf *); /* all of this process's user */

/* ------------------------------------------------------------------ word */

/* As danevirke_v1 has them. */
const char *log_word(const struct danevirke_answer *,
    const struct danevirke_host *, int tls, int verified);
void log_beside(const struct danevirke_answer *, const struct danevirke_host *,
    int tls, int verified, char *buf, size_t len);

/* ----------------------------------------------------------------- route */

struct route;
/* As danevirke_v1.start, the arguments checked. */
struct route *
route_start(const struct conf *, struct dns *, struct event_base *,
    const struct danevirke_question *, danevirke_log *, void *log_arg,
    danevirke_done *done, void *arg, struct danevirke_error *err);
void route_cancel(struct route *); /* no done() */
/* As danevirke_v1.recall, the arguments checked. */
struct danevirke_answer *
route_recall(const struct conf *, const struct danevirke_question *, uid_t);

/* util.c: words for enums, the same in every log */
const char *result_name(enum danevirke_result);
const char *mta_sts_name(enum danevirke_mta_sts); /* NULL: unasked */
const char *level_name(enum danevirke_level);
const char *dnssec_name(enum danevirke_dnssec);

#endif

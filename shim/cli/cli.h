/* SPDX-License-Identifier: ISC */
/*
 * cli.h - what the files of danevirke(1) share
 *
 *	main.c		the table of subcommands; finds one and runs it
 *	option.c	  opt_*()		the command line, strictly
 *	complete.c	    complete_print()	and what may stand on it
 *	verify.c ...	  cmd_*()		one file per subcommand
 *	exam.c		  exam_*()		check and survey: see check.h
 *	serve.c		  serve_*()		web: see web.h
 *	doctor.c	  doctor_*()		doctor: see doctor.h
 *	switch.c	  switch_*()		setup: see switch.h
 *	module.c	  cli_*()		the module, asked
 *	tlsrpt.c	  tlsrpt_*()		report: see tlsrpt.h
 *	tally.c		  tally_*()		count: see tally.h
 *	library.c	  library_*()		libunbound, as the module has it
 *	records.c	  records_*()		an answer's TLSA records as JSON
 *	record.c	    record_*()		TLSA text, RFC 7218 names, times
 *	pem.c		    pem_*()		PEM blocks of a file
 *	item.c		    item_*()		certificates, requests, keys
 *	state.c		    state_*()		what rollover remembers
 *	advice.c	    rollover_*()	and says
 *	json.c		    json_*()		the only writer of JSON
 *	out.c		    out_*()		the only writer of text and errors
 *
 * A subcommand returns its exit status; 0, 1 and 2 mean the same everywhere:
 * good, a problem was found, could not be tested (bad input included).
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "danevirke.h"
#include "load.h"
#include "resolver.h"

enum { EXIT_GOOD = 0, EXIT_PROBLEM = 1, EXIT_UNTESTED = 2 };

struct cli;

struct command {
	const char *name;
	const char *summary; /* one line for --help */
	int (*run)(struct cli *);
	const char *usage;   /* --help of the subcommand */
	const char *verdict; /* JSON member that an error sets false,
					 * or NULL */
	bool lines;          /* its output is a file of JSON lines, in
					 * which no error belongs */
};

struct cli {
	const struct command *cmd; /* NULL until one is found */
	int argc;                  /* argv[0] is the subcommand */
	char **argv;
	bool json;
	int unheard;     /* exit status if standard output is not taken;
					 * 0: EXIT_UNTESTED */
	bool failed;     /* cli_error() has spoken */
	char error[512]; /* what cli_error() said first */
	bool opened;     /* cli_open() has worked */
	bool colour;
	const char *module; /* NULL: the installed one */
	uint32_t flags;     /* DANEVIRKE_PUBLIC, or 0 */
	const char *config; /* NULL: the built-in path */
	char *config_abs;   /* config, made absolute */
	char *module_abs;   /* module, made absolute */
	struct shim shim;
	const struct danevirke_api *dv; /* NULL until cli_load() */
	struct event_base *base;        /* NULL until cli_ask() */
	struct resolver *resolver;      /* NULL until cli_ask() */
};

int cmd_check(struct cli *);
int cmd_conf(struct cli *);
int cmd_count(struct cli *);
int cmd_doctor(struct cli *);
int cmd_explain(struct cli *);
int cmd_report(struct cli *);
int cmd_rollover(struct cli *);
int cmd_route(struct cli *);
int cmd_setup(struct cli *);
int cmd_store(struct cli *);
int cmd_survey(struct cli *);
int cmd_tlsa(struct cli *);
int cmd_verify(struct cli *);
int cmd_web(struct cli *);
extern const char usage_store[], usage_check[], usage_survey[], usage_conf[],
    usage_count[], usage_doctor[], usage_setup[], usage_explain[],
    usage_report[], usage_rollover[], usage_route[], usage_tlsa[],
    usage_verify[], usage_web[];

/* module.c: the module, once; 0, or -1 with the error reported */
int cli_load(struct cli *);
/* Makes config_abs of config, if that is given; 0, or -1: reported. */
int cli_config(struct cli *);
/* An engine on the configuration asked for; NULL: reported. */
struct danevirke *cli_open(struct cli *, struct event_base *);
/* Who answers questions by that configuration, in a process that can be killed
 * (D16); NULL: reported. */
struct resolver *
cli_resolver(struct cli *, const struct danevirke *, struct event_base *);
/* One question, answered within limit seconds; NULL: err says why not.  The
 * caller releases the answer. */
const struct danevirke_answer *cli_ask(struct cli *, const struct danevirke *,
    const struct danevirke_question *, unsigned long limit,
    struct danevirke_error *err);

/* The value of --host as A-labels; 0, or EXIT_UNTESTED: reported. */
int cli_host(struct cli *, const char *value, char name[256]);

/* Resolvers keep nothing for longer than about this, whatever the zone says
 * (RFC 8767 4 has a week; Unbound a day). */
#define TTL_WEEK 604800

/* ---------------------------------------------------------------- option */

enum opt_arg { OPT_NONE, OPT_ONE, OPT_MANY, OPT_MAYBE };
struct opt {
	int id;           /* > 0 */
	const char *name; /* without the dashes */
	enum opt_arg arg;
};

/* An option of all, which complete_print() does not name; the first id that no
 * table can have. */
#define OPT_COMPLETE 64

#define OPT_OPERAND 0
#define OPT_END (-1)
#define OPT_BAD (-2)  /* reported: return EXIT_UNTESTED */
#define OPT_HELP (-3) /* printed: return EXIT_GOOD */

struct optparse {
	struct cli *cli;
	const struct opt *opts; /* ended by a NULL name; at most 60 */
	int at;
	bool operands; /* "--" was seen */
	uint64_t seen;
	const char *value; /* of the option or operand; OPT_MAYBE:
					 * NULL if none */
};
/* The next option's id, OPT_OPERAND, or one of the ends above.  --help,
 * --json, --module and --config are seen to here. */
int opt_next(struct optparse *);
/* All of them, then the work.  take() gets each option and operand, value as in
 * struct optparse, and returns 0, or another value: reported.  The exit status:
 * run()'s if all were taken. */
int opt_run(struct cli *, const struct opt *,
    int (*take)(struct cli *, void *job, int id, const char *value),
    int (*run)(struct cli *, void *job), void *job);
/* Decimal, all digits, min to max; 0, or -1 with the error reported. */
int opt_number(struct cli *, const char *name, const char *text,
    unsigned long min, unsigned long max, unsigned long *out);
/* RFC 3339, after 1970; 0, or -1 with the error reported. */
int opt_time(struct cli *, const char *name, const char *text, time_t *out);

/* complete.c: for shells, what the command line takes; both tables end as that
 * of struct optparse. */
void complete_print(
    const struct command *, const struct opt *opts, const struct opt *commons);

/* ------------------------------------------------------------------- out */

/* Standard output.  Whatever is not printable ASCII or UTF-8 is escaped, so
 * that nothing read from DNS or a file can talk to the terminal. */
void out_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* From now on it is text of an HTML page, or, false, not any more. */
void out_page(bool);
enum out_colour { OUT_GOOD, OUT_WARN, OUT_BAD, OUT_BOLD };
/* text in colour, if the terminal has any */
void out_colour(const struct cli *, enum out_colour, const char *text);
/* "danevirke SUBCOMMAND: text" to standard error and, with --json, an object
 * with "error" to standard output, unless the command writes lines.  Returns
 * EXIT_UNTESTED. */
int cli_error(struct cli *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* To standard error only. */
void cli_warn(struct cli *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* What is waited for, if standard error is a terminal; NULL: nothing more.
 * Constant text. */
void out_wait(const char *what);
/* Flushes; EXIT_UNTESTED, or cli->unheard, instead of status if the output was
 * not taken. */
int out_end(struct cli *, int status);
/* False: nobody reads any more, stop. */
bool out_flush(void);
/* Nobody reads standard output any more: out_flush() says so from now on. */
void out_closed(void);

/* ------------------------------------------------------------------ json */

#define JSON_DEPTH 16

struct json {
	bool page; /* it stands in an HTML page */
	int depth;
	bool filled[JSON_DEPTH]; /* a member was written at this depth */
};
/* key is NULL inside an array and at the top */
void json_object(struct json *, const char *key);
void json_array(struct json *, const char *key);
void json_end_object(struct json *); /* the top one: and a newline */
void json_end_array(struct json *);
void json_string(struct json *, const char *key, const char *); /* or null */
void json_hex(struct json *, const char *key, const uint8_t *, size_t);
void json_int(struct json *, const char *key, long long);
void json_index(struct json *, const char *key, long long); /* -1: null */
void json_bool(struct json *, const char *key, bool);
void json_time(struct json *, const char *key, time_t); /* RFC 3339, UTC */

/* ---------------------------------------------------------------- record */

/* "U S M HEX", numbers in decimal, blanks in the hex allowed.  0: r is filled
 * but for usable, use, why; r->data is the caller's to free().  Else -1 and
 * why says what is wrong. */
int
record_parse(const char *text, struct danevirke_tlsa *r, char *why, size_t len);
/* "3", "3 1 1", "DANE-EE SPKI SHA2-256"; 1 1 if only the usage is given */
int record_kind(const char *text, uint8_t kind[3], char *why, size_t len);
/* RFC 7218 names, numbers for what has none */
void record_name(const uint8_t kind[3], char *buf, size_t len);
/* How many octets of usage, selector and matching type it has (Q06). */
unsigned record_octets(const struct danevirke_host *, size_t i);
/* free() when done; NULL: out of memory */
char *record_hex(const uint8_t *, size_t);
/* records.c: of a host the members "tlsa_state" and "tlsa" */
void records_json(struct json *, const struct danevirke_host *);
/* RFC 3339; 0 or -1 */
int time_parse(const char *text, time_t *out);
void time_text(time_t, char buf[32]);

/* -------------------------------------------------------------------- pem */

struct blob {
	uint8_t *data;
	size_t len;
};

/* The whole file ("-": standard input), at most 16 MiB, or -1: reported.
 * Always a NUL behind it.  blob_free() wipes. */
int blob_read(struct cli *, const char *path, struct blob *);
/* The same, but nothing is reported: NULL, or why not. */
const char *blob_load(const char *path, struct blob *);
/* 0, or -1: out of memory. */
int blob_copy(const uint8_t *, size_t, struct blob *to);
void blob_free(struct blob *);

/* One PEM block (RFC 7468), decoded. */
struct pem {
	const char *label; /* in the file's text, not terminated */
	size_t label_len;
	int line;         /* of BEGIN */
	struct blob body; /* empty if it had RFC 1421 headers */
};
/* All blocks.  -1: why says what is wrong and where. */
int pem_read(
    const struct blob *file, struct pem **, size_t *n, char *why, size_t len);
void pem_free(struct pem *, size_t n);
bool pem_is(const struct pem *, const char *label);

/* ------------------------------------------------------------------ item */

enum item_type { ITEM_CERT, ITEM_REQUEST, ITEM_KEY };

/* Something with a public key in it. */
struct item {
	enum item_type type;
	const char *file; /* where it was; the caller's */
	int line;         /* 0: DER */
	int place;        /* among those of its file, from 0 */
	bool ca;          /* a certificate that may sign others */
	struct blob cert; /* ITEM_CERT: DER, as received */
	struct blob spki; /* subjectPublicKeyInfo, DER */
};
struct items {
	struct item *item;
	size_t n;
};

/* Adds what a file holds, PEM or DER.  -1: reported. */
int item_read(struct cli *, const char *path, struct items *);
void item_free(struct items *);
const char *item_word(const struct item *); /* "certificate" ... */
/* The association data of a record of this kind; blob_free() when done.  0, or
 * EXIT_UNTESTED: reported. */
int item_data(
    struct cli *, const struct item *, const uint8_t kind[3], struct blob *);

#endif

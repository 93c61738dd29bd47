/* SPDX-License-Identifier: ISC */
/* danevirke tlsa: what to publish for a certificate or a key. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const char usage_tlsa[] =
    "usage: danevirke tlsa --cert FILE [--cert FILE]... [--host MX] [--port N]\n"
    "           [--usage \"USAGE [SELECTOR MATCHING]\"]... [--next-key FILE]\n"
    "           [--ttl N] [--nsupdate[=add|replace]] [--json]\n"
    "\n"
    "Prints the TLSA records of certificates, certificate requests and keys (PEM\n"
    "or DER) as zone-file lines.  Without --usage: 3 1 1 for what comes first in\n"
    "each file, 2 1 1 for every CA certificate behind it.\n"
    "\n"
    "  --cert FILE         a certificate, chain, request, public or private key\n"
    "  --host MX           name of the mail host, for the owner of the records\n"
    "  --port N            TCP port, 25 if not given\n"
    "  --usage WORDS       as in \"3 1 1\", \"2 0 1\" or \"DANE-EE SPKI SHA2-256\"\n"
    "                      (RFC 7218); \"3\" is \"3 1 1\"\n"
    "  --next-key FILE     the next key, request or certificate: its records too\n"
    "  --ttl N             seconds, 3600 if not given\n"
    "  --nsupdate[=HOW]    input for nsupdate(1): add the records (the default),\n"
    "                      or replace all others of this name by them\n"
    "  --json              one JSON object\n"
    "  --module FILE       danevirke.so to use\n"
    "\n"
    "Exit status: 0 printed, 2 bad input.\n";

enum { O_CERT = 1, O_HOST, O_PORT, O_USAGE, O_NEXT, O_TTL, O_NSUPDATE };
static const struct opt opts[] = { { O_CERT, "cert", OPT_MANY },
	{ O_HOST, "host", OPT_ONE }, { O_PORT, "port", OPT_ONE },
	{ O_USAGE, "usage", OPT_MANY }, { O_NEXT, "next-key", OPT_ONE },
	{ O_TTL, "ttl", OPT_ONE }, { O_NSUPDATE, "nsupdate", OPT_MAYBE },
	{ 0, NULL, OPT_NONE } };

#define KINDS_MAX 36 /* all there are: 4 * 2 * 3, and some twice */
enum update { UPDATE_NOT, UPDATE_ADD, UPDATE_REPLACE };

struct tlsa_record {
	uint8_t kind[3];
	struct blob data;
	const struct item *item;
	bool next; /* of --next-key */
};

struct tlsa_job {
	struct items items, next;
	uint8_t kind[KINDS_MAX][3];
	size_t n_kind;
	const char *host, *next_path;
	const char *cert[64];
	size_t n_cert;
	char owner[300]; /* "" without --host */
	unsigned long port, ttl;
	bool ttl_set;
	enum update update;
	struct tlsa_record *rec;
	size_t n_rec;
};

static int
tlsa_option(struct cli *c, void *arg, int id, const char *value)
{
	struct tlsa_job *job = arg;
	char why[128];

	switch (id) {
	case O_CERT:
		if (job->n_cert == sizeof job->cert / sizeof *job->cert)
			return cli_error(
			    c, "--cert: more than %zu files", job->n_cert);
		job->cert[job->n_cert++] = value;
		return 0;
	case O_HOST:
		job->host = value;
		return 0;
	case O_PORT:
		return opt_number(c, "port", value, 1, 65535, &job->port);
	case O_USAGE:
		if (job->n_kind == KINDS_MAX)
			return cli_error(c, "--usage: more than %d", KINDS_MAX);
		if (record_kind(
			value, job->kind[job->n_kind], why, sizeof why) != 0)
			return cli_error(c, "--usage \"%s\": %s", value, why);
		job->n_kind++;
		return 0;
	case O_NEXT:
		job->next_path = value;
		return 0;
	case O_TTL:
		job->ttl_set = true;
		return opt_number(c, "ttl", value, 0, 2147483647, &job->ttl);
	case O_NSUPDATE:
		if (value == NULL || strcmp(value, "add") == 0)
			job->update = UPDATE_ADD;
		else if (strcmp(value, "replace") == 0)
			job->update = UPDATE_REPLACE;
		else
			return cli_error(c,
			    "--nsupdate=%s: want \"add\" or \"replace\"",
			    value);
		return 0;
	}
	return cli_error(
	    c, "\"%s\": unexpected; files are given with --cert FILE", value);
}

/* What is published must be what a mail server accepts: the module itself is
 * asked, for a certificate that may stand as the leaf. */
static int
tlsa_confirm(struct cli *c, const struct tlsa_record *r)
{
	struct danevirke_tlsa t = { .usage = DANEVIRKE_DANE_EE };
	struct danevirke_host h = { .size = sizeof h, .tlsa = &t, .n_tlsa = 1 };
	struct danevirke_cert cert;
	struct danevirke_chain chain = { &cert, 1 };
	struct danevirke_verdict v = { .size = sizeof v };

	if (r->item->type != ITEM_CERT)
		return 0;
	h.action = h.would = DANEVIRKE_AUTHENTICATE;
	t.selector = r->kind[1];
	t.matching = r->kind[2];
	t.data = r->data.data;
	t.len = r->data.len;
	cert.der = r->item->cert.data;
	cert.len = r->item->cert.len;
	if (c->dv->classify(&t, 1, 0, NULL, NULL) != 0 || t.use != 1)
		return cli_error(c,
		    "%s: the module does not accept the record: %s",
		    r->item->file, t.why);
	if (c->dv->verify(&h, &chain, NULL, &v) != 0 || v.verified != 1)
		return cli_error(c,
		    "%s: the module does not find the "
		    "certificate in its own record: %s",
		    r->item->file, v.text);
	return 0;
}

static int
tlsa_add(struct cli *c, struct tlsa_job *job, const struct item *it,
    const uint8_t kind[3], bool next)
{
	struct tlsa_record *r;
	size_t i;

	if (kind[1] == DANEVIRKE_CERT && it->type != ITEM_CERT)
		return cli_error(c,
		    "%s: a %s: selector Cert(0) is of whole "
		    "certificates: give the certificate, or use selector "
		    "SPKI(1)",
		    it->file, item_word(it));
	r = reallocarray(job->rec, job->n_rec + 1, sizeof *r);
	if (r == NULL)
		return cli_error(c, "out of memory");
	job->rec = r;
	r += job->n_rec;
	memset(r, 0, sizeof *r);
	memcpy(r->kind, kind, 3);
	r->item = it;
	r->next = next;
	if (item_data(c, it, kind, &r->data) != 0 || tlsa_confirm(c, r) != 0) {
		blob_free(&r->data);
		return EXIT_UNTESTED;
	}
	for (i = 0; i < job->n_rec; i++)
		if (memcmp(job->rec[i].kind, kind, 3) == 0 &&
		    job->rec[i].data.len == r->data.len &&
		    memcmp(job->rec[i].data.data, r->data.data, r->data.len) ==
			0) {
			blob_free(&r->data); /* the same record again */
			return 0;
		}
	job->n_rec++;
	return 0;
}

static bool
tlsa_is_issuer(const uint8_t kind[3])
{
	return kind[0] == DANEVIRKE_PKIX_TA || kind[0] == DANEVIRKE_DANE_TA;
}

/* Does a record of this usage stand for this item?  The first of a file is
 * the server's own; usages 2 and 0 are for the CA certificates behind it, for
 * a CA certificate that is alone (U09: never a leaf), and for a bare key. */
static bool
tlsa_applies(
    const struct items *s, const struct item *it, const uint8_t kind[3])
{
	bool alone = it->place == 0 &&
	    (it + 1 == s->item + s->n || it[1].place == 0);

	if (!tlsa_is_issuer(kind))
		return it->place == 0;
	return it->type == ITEM_CERT ? it->ca && (it->place > 0 || alone) :
				       it->place == 0;
}

/* A bare key that comes next is a CA's only if --cert had that CA's own: beside
 * a server's chain it is the server's, which no record of a CA names (U09). */
static bool
tlsa_next_of_ca(
    const struct tlsa_job *job, const struct item *it, const uint8_t kind[3])
{
	size_t i;

	if (it->type == ITEM_CERT || !tlsa_is_issuer(kind))
		return true;
	for (i = 0; i < job->n_rec; i++)
		if (memcmp(job->rec[i].kind, kind, 3) == 0 &&
		    !job->rec[i].next && job->rec[i].item->place == 0)
			return true;
	return false;
}

static int
tlsa_make(struct cli *c, struct tlsa_job *job, const struct items *s, bool next)
{
	static const uint8_t defaults[2][3] = {
		{ DANEVIRKE_DANE_EE, DANEVIRKE_SPKI, DANEVIRKE_SHA2_256 },
		{ DANEVIRKE_DANE_TA, DANEVIRKE_SPKI, DANEVIRKE_SHA2_256 }
	};
	const struct item *it;
	char name[64];
	size_t k, found;

	if (s->n == 0)
		return 0; /* no --next-key */
	for (it = s->item; job->n_kind == 0 && it < s->item + s->n; it++) {
		if (it->place > 0 && (!it->ca || next))
			continue;
		if (tlsa_add(c, job, it, defaults[it->place > 0], next) != 0)
			return EXIT_UNTESTED;
		if (it->place == 0 && it->ca)
			cli_warn(c,
			    "%s: note: a CA certificate, taken for "
			    "the server's own; if it signs the server's, give "
			    "--usage 2",
			    it->file);
	}
	for (k = 0; k < job->n_kind; k++) {
		found = 0;
		for (it = s->item; it < s->item + s->n; it++) {
			if (!tlsa_applies(s, it, job->kind[k]) ||
			    (next && !tlsa_next_of_ca(job, it, job->kind[k])))
				continue;
			found++;
			if (tlsa_add(c, job, it, job->kind[k], next) != 0)
				return EXIT_UNTESTED;
		}
		record_name(job->kind[k], name, sizeof name);
		if (found == 0 && !next)
			return cli_error(c,
			    "%s: no CA certificate for %s: "
			    "give the chain, or the issuer's certificate",
			    job->cert[0], name);
		if (found == 0)
			cli_warn(c,
			    "note: %s: no record for %s: it is of the server, "
			    "not of a CA; that of its CA stays as it is",
			    job->next_path, name);
	}
	return 0;
}

/* The publisher's rules of which this command sees the cause */
static void
tlsa_lint(struct cli *c, const struct tlsa_job *job)
{
	bool pkix = false, full = false;
	size_t i;

	for (i = 0; i < job->n_rec; i++) {
		pkix |= job->rec[i].kind[0] < DANEVIRKE_DANE_TA;
		full |= job->rec[i].kind[2] == DANEVIRKE_FULL;
	}
	if (pkix) /* L09 */
		cli_warn(c,
		    "note: mail servers ignore usages 0 and 1 (RFC 7672 3.1.3)");
	if (full) /* L08 */
		cli_warn(c,
		    "note: full data makes large answers; a digest "
		    "says the same (RFC 7671 10.1.1)");
	if (job->n_rec > 12) /* L08 */
		cli_warn(c,
		    "note: %zu records; more than 12 make large answers",
		    job->n_rec);
	if (job->update == UPDATE_REPLACE && job->next_path == NULL) /* L02 */
		cli_warn(c,
		    "note: replaces all others: the key that is in use "
		    "now must be among these until two TTLs after the change");
}

static int
tlsa_print_record(
    struct cli *c, const struct tlsa_job *job, const struct tlsa_record *r)
{
	char *hex;

	if ((hex = record_hex(r->data.data, r->data.len)) == NULL)
		return cli_error(c, "out of memory");
	if (job->update != UPDATE_NOT)
		out_print("update add %s %lu TLSA %u %u %u %s\n", job->owner,
		    job->ttl, r->kind[0], r->kind[1], r->kind[2], hex);
	else if (job->ttl_set)
		out_print("%s\t%lu\tIN TLSA %u %u %u %s\n", job->owner,
		    job->ttl, r->kind[0], r->kind[1], r->kind[2], hex);
	else
		out_print("%s\tIN TLSA %u %u %u %s\n", job->owner, r->kind[0],
		    r->kind[1], r->kind[2], hex);
	free(hex);
	return 0;
}

static int
tlsa_print_text(struct cli *c, const struct tlsa_job *job)
{
	size_t i;

	if (job->update == UPDATE_REPLACE)
		out_print("update delete %s TLSA\n", job->owner);
	for (i = 0; i < job->n_rec; i++)
		if (tlsa_print_record(c, job, &job->rec[i]) != 0)
			return EXIT_UNTESTED;
	if (job->update != UPDATE_NOT)
		out_print("send\n");
	return EXIT_GOOD;
}

static int
tlsa_print_json(const struct tlsa_job *job)
{
	struct json j = { 0 };
	const struct tlsa_record *r;
	char name[64];

	json_object(&j, NULL);
	json_string(&j, "owner", job->owner[0] == '\0' ? NULL : job->owner);
	json_int(&j, "ttl", (long long)job->ttl);
	json_array(&j, "records");
	for (r = job->rec; r < job->rec + job->n_rec; r++) {
		record_name(r->kind, name, sizeof name);
		json_object(&j, NULL);
		json_int(&j, "usage", r->kind[0]);
		json_int(&j, "selector", r->kind[1]);
		json_int(&j, "matching", r->kind[2]);
		json_hex(&j, "data", r->data.data, r->data.len);
		json_string(&j, "name", name);
		json_string(&j, "of", item_word(r->item));
		json_string(&j, "file", r->item->file);
		json_int(&j, "line", r->item->line);
		json_bool(&j, "next", r->next);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
	return EXIT_GOOD;
}

/* Q01: _port._tcp.base, absolute */
static int
tlsa_owner(struct cli *c, struct tlsa_job *job)
{
	struct in_addr ip;
	char name[256];

	if (job->host == NULL && job->update != UPDATE_NOT)
		return cli_error(c,
		    "--nsupdate: want --host MX too, for the "
		    "name of the records");
	if (job->host == NULL)
		return 0;
	if (cli_host(c, job->host, name) != 0)
		return EXIT_UNTESTED;
	if (inet_pton(AF_INET, name, &ip) == 1) /* T08 */
		return cli_error(c,
		    "--host \"%s\": an address has no TLSA records: want the "
		    "name that the MX record has",
		    job->host);
	snprintf(
	    job->owner, sizeof job->owner, "_%lu._tcp.%s.", job->port, name);
	if (strlen(job->owner) > 254) /* RFC 1035 2.3.4, with the dot */
		return cli_error(c,
		    "--host \"%s\": too long with _%lu._tcp before it",
		    job->host, job->port);
	return 0;
}

static int
tlsa_run(struct cli *c, void *arg)
{
	struct tlsa_job *job = arg;
	size_t i;

	if (job->n_cert == 0)
		return cli_error(c,
		    "no file: want --cert FILE, a certificate, request or key");
	if (cli_load(c) != 0 || tlsa_owner(c, job) != 0)
		return EXIT_UNTESTED;
	for (i = 0; i < job->n_cert; i++)
		if (item_read(c, job->cert[i], &job->items) != 0)
			return EXIT_UNTESTED;
	if (job->next_path != NULL &&
	    item_read(c, job->next_path, &job->next) != 0)
		return EXIT_UNTESTED;
	if (tlsa_make(c, job, &job->items, false) != 0 ||
	    tlsa_make(c, job, &job->next, true) != 0)
		return EXIT_UNTESTED;
	tlsa_lint(c, job);
	return c->json ? tlsa_print_json(job) : tlsa_print_text(c, job);
}

int
cmd_tlsa(struct cli *c)
{
	struct tlsa_job job = { .port = 25, .ttl = 3600 };
	int status;
	size_t i;

	status = opt_run(c, opts, tlsa_option, tlsa_run, &job);
	for (i = 0; i < job.n_rec; i++)
		blob_free(&job.rec[i].data);
	free(job.rec);
	item_free(&job.items);
	item_free(&job.next);
	return status;
}

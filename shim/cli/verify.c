/* SPDX-License-Identifier: ISC */
/* danevirke verify: a chain and records from files, no network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const char usage_verify[] =
    "usage: danevirke verify [--json] [--usages all] [--ca CAFILE] [--name NAME]...\n"
    "           [--at RFC3339] --tlsa \"U S M HEX\" [--tlsa ...] CHAIN.pem\n"
    "\n"
    "Does the certificate chain, leaf first as a server sends it, satisfy one of\n"
    "the TLSA records, as the module decides it for a mail server?\n"
    "\n"
    "  --tlsa \"U S M HEX\"  a TLSA record; blanks in HEX are allowed\n"
    "  --name NAME         an accepted host name, for usages that check names; the\n"
    "                      first one is the base domain\n"
    "  --at RFC3339        verify as of this time, as in 2026-01-31T12:00:00Z\n"
    "  --usages all        usages 0 and 1 too, which SMTP does not use\n"
    "  --ca CAFILE         trusted CA certificates (PEM), for usages 0 and 1\n"
    "  --json              the verdict as one JSON object\n"
    "  --module FILE       danevirke.so to use\n"
    "\n"
    "Exit status: 0 verified, 1 not verified, 2 bad input.\n";

enum { O_TLSA = 1, O_NAME, O_AT, O_USAGES, O_CA };
static const struct opt opts[] = { { O_TLSA, "tlsa", OPT_MANY },
	{ O_NAME, "name", OPT_MANY }, { O_AT, "at", OPT_ONE },
	{ O_USAGES, "usages", OPT_ONE }, { O_CA, "ca", OPT_ONE },
	{ 0, NULL, OPT_NONE } };

struct verify_job {
	struct danevirke_tlsa *tlsa;
	size_t n_tlsa;
	char **names;
	size_t n_names;
	const char *ca, *chain_path;
	time_t at; /* 0: the clock */
	uint32_t flags;
	struct pem *pem;
	size_t n_pem;
	struct danevirke_cert *certs;
	size_t n_certs;
};

static int
verify_add_record(struct cli *c, struct verify_job *job, const char *text)
{
	struct danevirke_tlsa *p;
	char why[256];

	p = reallocarray(job->tlsa, job->n_tlsa + 1, sizeof *p);
	if (p == NULL)
		return cli_error(c, "out of memory");
	job->tlsa = p;
	if (record_parse(text, &p[job->n_tlsa], why, sizeof why) != 0)
		return cli_error(c, "--tlsa \"%.200s\": %s", text, why);
	job->n_tlsa++;
	return 0;
}

static int
verify_add_name(struct cli *c, struct verify_job *job, const char *name)
{
	char **p;

	p = reallocarray(job->names, job->n_names + 1, sizeof *p);
	if (p == NULL)
		return cli_error(c, "out of memory");
	job->names = p;
	if ((p[job->n_names] = strdup(name)) == NULL)
		return cli_error(c, "out of memory");
	job->n_names++;
	return 0;
}

static int
verify_option(struct cli *c, void *arg, int id, const char *value)
{
	struct verify_job *job = arg;

	switch (id) {
	case O_TLSA:
		return verify_add_record(c, job, value);
	case O_NAME:
		return verify_add_name(c, job, value);
	case O_AT:
		return opt_time(c, "at", value, &job->at);
	case O_USAGES:
		if (strcmp(value, "all") != 0)
			return cli_error(c,
			    "--usages \"%s\": want \"all\", or "
			    "leave it out for SMTP's 2 and 3",
			    value);
		job->flags |= DANEVIRKE_PKIX_USAGES;
		return 0;
	case O_CA:
		job->ca = value;
		return 0;
	}
	if (job->chain_path != NULL)
		return cli_error(c,
		    "\"%s\": a second file; want one, with "
		    "the chain, leaf first",
		    value);
	job->chain_path = value;
	return 0;
}

/* The names as A-labels, once, at the door (D14) */
static int
verify_names(struct cli *c, struct verify_job *job)
{
	struct danevirke_error err = { 0, "" };
	char buf[256], *p;
	size_t i;

	for (i = 0; i < job->n_names; i++) {
		if (c->dv->to_ascii(job->names[i], buf, sizeof buf, &err) != 0)
			return cli_error(
			    c, "--name \"%s\": %s", job->names[i], err.text);
		if ((p = strdup(buf)) == NULL)
			return cli_error(c, "out of memory");
		free(job->names[i]);
		job->names[i] = p;
	}
	return 0;
}

/* PEM certificates of a file; other blocks, such as keys, are passed over. */
static int
verify_read(struct cli *c, const char *path, struct pem **pem, size_t *n_pem,
    size_t *n_certs)
{
	struct blob file;
	char why[256] = "";
	size_t i;
	int bad;

	if (blob_read(c, path, &file) != 0)
		return EXIT_UNTESTED;
	bad = pem_read(&file, pem, n_pem, why, sizeof why);
	*n_certs = 0;
	/* the labels point into the file: judge them while it is there */
	for (i = 0; i < *n_pem; i++) {
		if (!pem_is(&(*pem)[i], "CERTIFICATE") &&
		    !pem_is(&(*pem)[i], "X509 CERTIFICATE"))
			blob_free(&(*pem)[i].body);
		else if ((*pem)[i].body.len > 0)
			(*n_certs)++;
		else if (why[0] == '\0') {
			snprintf(why, sizeof why,
			    "line %d: a certificate "
			    "with headers or without content",
			    (*pem)[i].line);
			bad = 1;
		}
		(*pem)[i].label = NULL;
	}
	blob_free(&file);
	if (bad)
		return cli_error(c, "%s: %s", path, why);
	if (*n_certs == 0)
		return cli_error(c,
		    "%s: no certificate found: want PEM, "
		    "-----BEGIN CERTIFICATE-----",
		    path);
	return 0;
}

static int
verify_read_chain(struct cli *c, struct verify_job *job)
{
	size_t i, n;

	if (verify_read(c, job->chain_path, &job->pem, &job->n_pem, &n) != 0)
		return EXIT_UNTESTED;
	if ((job->certs = calloc(n, sizeof *job->certs)) == NULL)
		return cli_error(c, "out of memory");
	for (i = 0; i < job->n_pem; i++) {
		if (job->pem[i].body.len == 0)
			continue;
		job->certs[job->n_certs].der = job->pem[i].body.data;
		job->certs[job->n_certs++].len = job->pem[i].body.len;
	}
	return 0;
}

static int
verify_ca(struct cli *c, const struct verify_job *job)
{
	struct pem *pem = NULL;
	size_t n = 0, n_certs;
	int status;

	if (job->ca == NULL)
		return 0;
	status = verify_read(c, job->ca, &pem, &n, &n_certs);
	pem_free(pem, n);
	return status;
}

static void
verify_json(struct cli *c, const struct verify_job *job,
    const struct danevirke_verdict *v)
{
	struct json j = { 0 };
	char name[64];
	size_t i;

	json_object(&j, NULL);
	json_bool(&j, "verified", v->verified == 1);
	json_index(&j, "usage", v->usage);
	json_index(&j, "depth", v->depth);
	json_string(&j, "reason", v->text);
	json_index(&j, "record", v->index);
	json_string(&j, "result",
	    v->verified == 1 ? "" : c->dv->result_name(v->result));
	json_int(&j, "certificates", (long long)job->n_certs);
	json_array(&j, "names");
	for (i = 0; i < job->n_names; i++)
		json_string(&j, NULL, job->names[i]);
	json_end_array(&j);
	json_array(&j, "records");
	for (i = 0; i < job->n_tlsa; i++) {
		const struct danevirke_tlsa *t = &job->tlsa[i];

		record_name((uint8_t[3]){ t->usage, t->selector, t->matching },
		    name, sizeof name);
		json_object(&j, NULL);
		json_int(&j, "usage", t->usage);
		json_int(&j, "selector", t->selector);
		json_int(&j, "matching", t->matching);
		json_string(&j, "name", name);
		json_hex(&j, "data", t->data, t->len);
		json_bool(&j, "usable", t->usable == 1);
		json_bool(&j, "use", t->use == 1);
		json_string(&j, "why", t->why);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
}

static void
verify_text(struct cli *c, const struct verify_job *job,
    const struct danevirke_verdict *v)
{
	char name[64];
	size_t i;

	out_colour(c, v->verified == 1 ? OUT_GOOD : OUT_BAD,
	    v->verified == 1 ? "verified" : "not verified");
	out_print(": %s\n", v->text);
	for (i = 0; i < job->n_tlsa; i++) {
		const struct danevirke_tlsa *t = &job->tlsa[i];

		record_name((uint8_t[3]){ t->usage, t->selector, t->matching },
		    name, sizeof name);
		out_print("  record %zu: %u %u %u (%s): ", i + 1, t->usage,
		    t->selector, t->matching, name);
		if (v->verified == 1 && v->index == (int)i)
			out_print("matches at depth %d\n", v->depth);
		else
			out_print("%s\n", t->use == 1 ? "usable" : t->why);
	}
}

/* N02: a usage that checks names cannot be satisfied without one. */
static void
verify_note(struct cli *c, const struct verify_job *job)
{
	size_t i;

	if (job->n_names > 0)
		return;
	for (i = 0; i < job->n_tlsa; i++)
		if (job->tlsa[i].use == 1 &&
		    job->tlsa[i].usage != DANEVIRKE_DANE_EE) {
			cli_warn(c,
			    "note: usage %u checks names, and there "
			    "is no --name",
			    job->tlsa[i].usage);
			return;
		}
}

static int
verify_judge(struct cli *c, struct verify_job *job)
{
	struct danevirke_host host = { .size = sizeof host };
	struct danevirke_chain chain = { job->certs, job->n_certs };
	struct danevirke_verify_options o = { .size = sizeof o };
	struct danevirke_verdict v = {
		.size = sizeof v, .index = -1, .depth = -1, .usage = -1
	};
	struct danevirke_error err;
	size_t used;
	int code;

	host.action = host.would = DANEVIRKE_AUTHENTICATE;
	host.base = job->n_names > 0 ? job->names[0] : NULL;
	host.names = (const char *const *)job->names;
	host.n_names = job->n_names;
	host.tlsa = job->tlsa;
	host.n_tlsa = job->n_tlsa;
	o.flags = job->flags;
	o.now = job->at;
	o.ca_file = job->ca;
	if (c->dv->classify(job->tlsa, job->n_tlsa, job->flags, &used, &err) !=
	    0)
		return cli_error(c, "%s", err.text);
	if (used == 0) {
		/* T03: TLS is wanted, nothing can be authenticated */
		v.result = DANEVIRKE_TLSA_INVALID;
		snprintf(v.text, sizeof v.text, "no TLSA record is usable: %s",
		    job->tlsa[0].why);
	} else {
		code = c->dv->verify(&host, &chain, &o, &v);
		if (code != DANEVIRKE_OK && code != DANEVIRKE_EVERIFY)
			return cli_error(c, "%s", v.text);
		/* both must say yes */
		if (code != DANEVIRKE_OK)
			v.verified = 0;
		if (v.verified != 1)
			verify_note(c, job);
	}
	if (c->json)
		verify_json(c, job, &v);
	else
		verify_text(c, job, &v);
	return v.verified == 1 ? EXIT_GOOD : EXIT_PROBLEM;
}

static int
verify_run(struct cli *c, void *arg)
{
	struct verify_job *job = arg;

	if (job->n_tlsa == 0)
		return cli_error(c, "no record: want --tlsa \"U S M HEX\"");
	if (job->chain_path == NULL)
		return cli_error(c,
		    "no file: want CHAIN.pem, the chain with the leaf first");
	if (cli_load(c) != 0 || verify_names(c, job) != 0 ||
	    verify_read_chain(c, job) != 0 || verify_ca(c, job) != 0)
		return EXIT_UNTESTED;
	return verify_judge(c, job);
}

int
cmd_verify(struct cli *c)
{
	struct verify_job job = { 0 };
	int status;
	size_t i;

	status = opt_run(c, opts, verify_option, verify_run, &job);
	for (i = 0; i < job.n_tlsa; i++)
		free((void *)(uintptr_t)job.tlsa[i].data);
	for (i = 0; i < job.n_names; i++)
		free(job.names[i]);
	free(job.tlsa);
	free(job.names);
	free(job.certs);
	pem_free(job.pem, job.n_pem);
	return status;
}

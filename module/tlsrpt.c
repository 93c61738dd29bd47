/* SPDX-License-Identifier: ISC */
/*
 * TLSRPT (RFC 8460): what became of a session, to the collector beside us.
 *
 * tlsrpt_report() is called by the process that knows, once for each session.
 * It needs no engine and no file: a socket of its own, one datagram that is
 * sent at once or not at all, and nobody is waited for (K03).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h"
#include "text.h"

/* ----------------------------------------------------------------- record */

/* The strings of one TXT record as one, if all is printable. */
static const char *
record_text(struct arena *a, const struct dns_rr *rr)
{
	char *text = arena_alloc(a, rr->len + 1);
	size_t at, i, n = 0;

	for (at = 0; text != NULL && at < rr->len; at += 1 + rr->data[at])
		for (i = 0; i < rr->data[at]; i++) {
			if (at + 1 + i >= rr->len)
				return NULL;
			text[n] = (char)rr->data[at + 1 + i];
			if (text[n] < ' ' || text[n++] > '~')
				return NULL;
		}
	return text;
}

/* Its fields, from the first semicolon on; NULL: another's TXT record. */
static const char *
record_fields(const char *text)
{
	static const char version[] = "v=TLSRPTv1";

	if (strncmp(text, version, sizeof version - 1) != 0)
		return NULL;
	text += sizeof version - 1;
	text += strspn(text, " \t");
	return *text == ';' ? text : NULL;
}

static bool
record_valid(const char *fields)
{
	const char *s = fields;

	while (*s == ';') {
		s += 1 + strspn(s + 1, " \t");
		if (strncmp(s, "rua=mailto:", 11) == 0 ||
		    strncmp(s, "rua=https:", 10) == 0)
			return true;
		s += strcspn(s, ";");
	}
	return false;
}

/* RFC 8460 3: others' TXT records do not count, and of two neither does. */
const char *
tlsrpt_record(struct arena *a, const struct dns_result *r)
{
	const char *text, *found = NULL;
	size_t i;

	if (r == NULL || r->state == DANEVIRKE_ERROR)
		return NULL;
	for (i = 0; i < r->n_rr; i++) {
		if (r->rr[i].len > TLSRPT_RECORD)
			continue;
		text = record_text(a, &r->rr[i]);
		if (text == NULL || record_fields(text) == NULL)
			continue;
		if (found != NULL)
			return NULL;
		found = text;
	}
	return found != NULL && record_valid(record_fields(found)) ? found :
								     NULL;
}

#ifndef HAVE_TLSRPT

bool
tlsrpt_built(void)
{
	return false;
}

int
tlsrpt_report(const struct danevirke_answer *a, const struct danevirke_host *h,
    const struct danevirke_session *s)
{
	(void)a;
	(void)h;
	(void)s;
	return DANEVIRKE_OK; /* no answer says that one is owed */
}

#else

#include <tlsrpt.h>

/* ----------------------------------------------------------------- report */

bool
tlsrpt_built(void)
{
	return true;
}

static tlsrpt_failure_t
report_failure(enum danevirke_result r)
{
	static const tlsrpt_failure_t of[] = {
		[DANEVIRKE_STARTTLS_NOT_SUPPORTED] =
		    TLSRPT_STARTTLS_NOT_SUPPORTED,
		[DANEVIRKE_CERTIFICATE_HOST_MISMATCH] =
		    TLSRPT_CERTIFICATE_HOST_MISMATCH,
		[DANEVIRKE_CERTIFICATE_EXPIRED] = TLSRPT_CERTIFICATE_EXPIRED,
		[DANEVIRKE_CERTIFICATE_NOT_TRUSTED] =
		    TLSRPT_CERTIFICATE_NOT_TRUSTED,
		[DANEVIRKE_VALIDATION_FAILURE] = TLSRPT_VALIDATION_FAILURE,
		[DANEVIRKE_TLSA_INVALID] = TLSRPT_TLSA_INVALID,
		[DANEVIRKE_DNSSEC_INVALID] = TLSRPT_DNSSEC_INVALID,
		[DANEVIRKE_DANE_REQUIRED] = TLSRPT_DANE_REQUIRED,
		[DANEVIRKE_STS_POLICY_FETCH_ERROR] =
		    TLSRPT_STS_POLICY_FETCH_ERROR,
	};

	if ((unsigned)r >= sizeof of / sizeof *of || of[r] == 0)
		return TLSRPT_VALIDATION_FAILURE;
	return of[r];
}

/* The policy that was applied to this host (K02), which is one: DANE where it
 * applies or nobody can tell whether it does, and else MTA-STS (H01). */
static tlsrpt_policy_type_t
report_type(const struct danevirke_answer *a, const struct danevirke_host *h)
{
	enum danevirke_result r = h != NULL ? h->result : a->result;

	if (r == DANEVIRKE_STS_POLICY_FETCH_ERROR)
		return TLSRPT_POLICY_STS;
	if (r == DANEVIRKE_DNSSEC_INVALID || r == DANEVIRKE_TLSA_INVALID ||
	    r == DANEVIRKE_DANE_REQUIRED)
		return TLSRPT_POLICY_TLSA;
	if (h != NULL && h->base != NULL && !verify_by_mta_sts(h))
		return TLSRPT_POLICY_TLSA;
	return a->mta_sts == DANEVIRKE_MTA_STS_POLICY ? TLSRPT_POLICY_STS :
							TLSRPT_NO_POLICY_FOUND;
}

/* "3 1 1 HEX", as the zone has it. */
static int
report_tlsa(struct tlsrpt_dr_t *dr, const struct danevirke_tlsa *t)
{
	char *text = malloc(16 + 2 * t->len);
	size_t i;
	int n, rc;

	if (text == NULL)
		return -1;
	n = sprintf(text, "%u %u %u ", t->usage, t->selector, t->matching);
	for (i = 0; i < t->len; i++)
		n += sprintf(text + n, "%02x", t->data[i]);
	rc = tlsrpt_add_policy_string(dr, text);
	free(text);
	return rc;
}

static int
report_policy(struct tlsrpt_dr_t *dr, tlsrpt_policy_type_t type,
    const struct danevirke_answer *a, const struct danevirke_host *h)
{
	const char *domain = a->domain;
	size_t i;
	int rc;

	if (type == TLSRPT_POLICY_TLSA && h != NULL)
		domain = h->base != NULL ? h->base : h->name;
	rc = tlsrpt_init_policy(dr, type, domain);
	for (i = 0; rc == 0 && type == TLSRPT_POLICY_TLSA && h != NULL &&
	     i < h->n_tlsa;
	     i++)
		rc = report_tlsa(dr, &h->tlsa[i]);
	for (i = 0; rc == 0 && type == TLSRPT_POLICY_STS && i < a->n_mta_sts_mx;
	     i++)
		rc = tlsrpt_add_mx_host_pattern(dr, a->mta_sts_mx[i]);
	return rc;
}

/* Words of the peer's are among them: one line of UTF-8, or NULL. */
static const char *
report_line(char *line, size_t len, const char *text)
{
	char *p;
	size_t n;

	snprintf(line, len, "%s", text != NULL ? text : "");
	for (p = line; *p != '\0'; p += n)
		if ((n = utf8_printable(p)) == 0) {
			*p = '?';
			n = 1;
		}
	return *line != '\0' ? line : NULL;
}

static int
report_fail(struct tlsrpt_dr_t *dr, const struct danevirke_host *h,
    const struct danevirke_session *s, enum danevirke_result result,
    const char *why)
{
	char helo[256], text[600];

	return tlsrpt_add_delivery_request_failure(dr, report_failure(result),
	    s->from, h != NULL ? h->name : NULL,
	    report_line(helo, sizeof helo, s->helo), s->address, NULL,
	    report_line(text, sizeof text, why));
}

static int
report_session(struct tlsrpt_dr_t *dr, const struct danevirke_answer *a,
    const struct danevirke_host *h, const struct danevirke_session *s)
{
	enum danevirke_result result = s->result;
	const char *text = s->text;
	int rc = report_policy(dr, report_type(a, h), a, h);

	if (result == DANEVIRKE_RESULT_NONE && h != NULL) {
		if (!s->tls)
			result = DANEVIRKE_STARTTLS_NOT_SUPPORTED;
		else if (h->would == DANEVIRKE_HOST_DEFER) { /* P02 */
			result = h->result;
			text = h->reason;
		}
	}
	if (rc == 0 && result != DANEVIRKE_RESULT_NONE)
		rc = report_fail(dr, h, s, result, text);
	if (rc == 0)
		rc = tlsrpt_finish_policy(dr,
		    result != DANEVIRKE_RESULT_NONE ? TLSRPT_FINAL_FAILURE :
						      TLSRPT_FINAL_SUCCESS);
	return rc;
}

/* Of the hosts none of which may be used, those to which MTA-STS was applied
 * are one policy, and each of the others has its own TLSA records. */
static int
report_hosts(struct tlsrpt_dr_t *dr, const struct danevirke_answer *a,
    tlsrpt_policy_type_t type, size_t *n)
{
	static const struct danevirke_session none;
	const struct danevirke_host *h;
	bool begun = false;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < a->n_hosts; i++) {
		h = a->hosts[i];
		if (h->result == DANEVIRKE_RESULT_NONE ||
		    report_type(a, h) != type)
			continue;
		if (!begun)
			rc = report_policy(dr, type, a, h);
		begun = type == TLSRPT_POLICY_STS;
		if (rc == 0)
			rc = report_fail(dr, h, &none, h->result, h->reason);
		if (rc == 0 && !begun)
			rc = tlsrpt_finish_policy(dr, TLSRPT_FINAL_FAILURE);
		(*n)++;
	}
	if (rc == 0 && begun)
		rc = tlsrpt_finish_policy(dr, TLSRPT_FINAL_FAILURE);
	return rc;
}

static int
report_fill(struct tlsrpt_dr_t *dr, const struct danevirke_answer *a,
    const struct danevirke_host *h, const struct danevirke_session *s)
{
	size_t n = 0;
	int rc = 0;

	if (h == NULL)
		rc = report_hosts(dr, a, TLSRPT_POLICY_TLSA, &n);
	if (h == NULL && rc == 0)
		rc = report_hosts(dr, a, TLSRPT_POLICY_STS, &n);
	return rc == 0 && n == 0 ? report_session(dr, a, h, s) : rc;
}

int
tlsrpt_report(const struct danevirke_answer *a, const struct danevirke_host *h,
    const struct danevirke_session *s)
{
	struct tlsrpt_connection_t *con = NULL;
	struct tlsrpt_dr_t *dr = NULL;
	int rc;

	if (a->tlsrpt_record == NULL || a->tlsrpt_socket == NULL) /* K01 */
		return DANEVIRKE_OK;
	if (h == NULL && s->result == DANEVIRKE_RESULT_NONE)
		return DANEVIRKE_OK; /* not for want of TLS */
	if (tlsrpt_open(&con, a->tlsrpt_socket) != 0)
		return DANEVIRKE_ENOMEM;
	rc = tlsrpt_init_delivery_request(
	    &dr, con, a->domain, a->tlsrpt_record);
	if (rc == 0)
		rc = report_fill(dr, a, h, s) == 0 ?
		    tlsrpt_finish_delivery_request(&dr) :
		    tlsrpt_cancel_delivery_request(&dr);
	tlsrpt_close(&con);
	return rc == 0 ? DANEVIRKE_OK : DANEVIRKE_EDNS;
}

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Does a chain satisfy a host's TLSA records (RFC 7671 5, RFC 7672 3)?
 *
 * DANE-EE is a comparison of octets.  DANE-TA is a search: from the leaf by
 * issuer and key through what the server sent, in any order, to a certificate
 * or key that a record names; each such path is then proven, every link, date
 * and constraint.  A match that no proven path ends in is worth nothing (U08).
 */
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "module.h"

#define MAX_CHAIN 16   /* certificates looked at (U18) */
#define MAX_CERT 65535 /* octets */
#define MAX_STEPS 256  /* of the search */
#define MAX_DEPTH 10   /* certificates in a path */

/* how far the best failed attempt came: what the reader should hear of */
enum progress { NOTHING, NO_MATCH, NO_PATH, NOT_TRUSTED, EXPIRED, WRONG_NAME };

struct cert {
	gnutls_x509_crt_t crt;
	const uint8_t *der; /* NULL: from the CA file */
	size_t len;
	int record; /* anchor by this TLSA record, or -1 */
	bool ca;    /* in the CA file */
};

struct search {
	const struct danevirke_host *host;
	struct danevirke_verdict *v;
	time_t now;
	struct cert *pool; /* [0] is the leaf */
	size_t n;
	bool pkix; /* looking for usages 0 and 1 */
	size_t path[MAX_DEPTH];
	unsigned steps;
	enum progress progress;
};

/* ------------------------------------------------------------- matching */

/* U17: the octets as received. */
static bool
match_octets(const struct danevirke_tlsa *t, const uint8_t *p, size_t len)
{
	uint8_t digest[64];

	switch (t->matching) {
	case DANEVIRKE_FULL:
		return t->len == len && memcmp(t->data, p, len) == 0;
	case DANEVIRKE_SHA2_256:
		return t->len == 32 &&
		    gnutls_hash_fast(GNUTLS_DIG_SHA256, p, len, digest) == 0 &&
		    memcmp(t->data, digest, 32) == 0;
	case DANEVIRKE_SHA2_512:
		return t->len == 64 &&
		    gnutls_hash_fast(GNUTLS_DIG_SHA512, p, len, digest) == 0 &&
		    memcmp(t->data, digest, 64) == 0;
	}
	return false;
}

static bool
match(const struct danevirke_tlsa *t, const uint8_t *der, size_t len)
{
	const uint8_t *spki;
	size_t spki_len;

	if (t->selector == DANEVIRKE_CERT)
		return match_octets(t, der, len);
	return t->selector == DANEVIRKE_SPKI &&
	    spki_find(der, len, &spki, &spki_len) == 0 &&
	    match_octets(t, spki, spki_len);
}

static int
accept_match(struct danevirke_verdict *v, const struct danevirke_host *host,
    int record, int depth)
{
	char type[80];

	tlsa_text(&host->tlsa[record], type, sizeof type);
	v->verified = 1;
	v->index = record;
	v->depth = depth;
	v->usage = host->tlsa[record].usage;
	v->result = DANEVIRKE_RESULT_NONE;
	snprintf(
	    v->text, sizeof v->text, "matched %s at depth %d", type, depth);
	return DANEVIRKE_OK;
}

/* U06, U07, N01: nothing but the key or certificate counts. */
static int
verify_ee(const struct danevirke_host *host, const struct danevirke_cert *leaf,
    struct danevirke_verdict *v)
{
	size_t i;

	for (i = 0; i < host->n_tlsa; i++) {
		const struct danevirke_tlsa *t = &host->tlsa[i];

		if (t->use == 1 && t->usage == DANEVIRKE_DANE_EE &&
		    match(t, leaf->der, leaf->len))
			return accept_match(v, host, (int)i, 0);
	}
	return DANEVIRKE_EVERIFY;
}

/* ---------------------------------------------------------------- names */

/* N07, N09: case does not count, a wildcard is one whole leftmost label. */
static bool
name_matches(const char *pattern, const char *want)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, want) == 0;
	dot = strchr(want, '.');
	return dot != NULL && dot != want && pattern[2] != '\0' &&
	    strcasecmp(pattern + 1, dot) == 0;
}

static bool
name_accepted(const struct danevirke_host *host, const char *name, size_t len)
{
	size_t i;

	if (strnlen(name, len) != len) /* N09: a NUL inside */
		return false;
	for (i = 0; i < host->n_names; i++)
		if (name_matches(name, host->names[i]))
			return true;
	return false;
}

static void
remember(char *seen, size_t size, const char *name, size_t len)
{
	size_t n = strlen(seen), i;

	snprintf(seen + n, size - n, "%s%.*s", n ? " " : "", (int)len, name);
	for (i = n; seen[i] != '\0'; i++)
		if ((unsigned char)seen[i] < ' ' || seen[i] == 0x7f)
			seen[i] = '?';
}

/* N06; seen: what the certificate says, for the log */
static bool
leaf_named(const struct danevirke_host *host, gnutls_x509_crt_t crt, char *seen,
    size_t size)
{
	char name[1024], last[1024] = "";
	size_t len, last_len = 0;
	bool dns_id = false;
	unsigned i;
	int rc;

	*seen = '\0';
	for (i = 0; i < 1024; i++) {
		len = sizeof name - 1;
		rc = gnutls_x509_crt_get_subject_alt_name(
		    crt, i, name, &len, NULL);
		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (rc == GNUTLS_E_SHORT_MEMORY_BUFFER) {
			dns_id = true; /* perhaps: then no CN */
			continue;
		}
		if (rc != GNUTLS_SAN_DNSNAME)
			continue;
		dns_id = true;
		name[len] = '\0';
		if (name_accepted(host, name, len))
			return true;
		remember(seen, size, name, len);
	}
	if (dns_id)
		return false;
	for (i = 0; i < 64; i++) { /* the last is the most specific */
		len = sizeof name - 1;
		if (gnutls_x509_crt_get_dn_by_oid(
			crt, GNUTLS_OID_X520_COMMON_NAME, i, 0, name, &len) < 0)
			break;
		name[len] = '\0';
		memcpy(last, name, len + 1);
		last_len = len;
	}
	if (last_len == 0)
		return false;
	remember(seen, size, last, last_len);
	return name_accepted(host, last, last_len);
}

/* ------------------------------------------------------- proving a path */

/* Keeps the text of the attempt that came furthest. */
static bool __attribute__((format(printf, 4, 5))) give_up(struct search *s,
    enum progress how_far, enum danevirke_result result, const char *fmt, ...)
{
	va_list ap;

	if (how_far <= s->progress)
		return false;
	s->progress = how_far;
	s->v->result = result;
	va_start(ap, fmt);
	vsnprintf(s->v->text, sizeof s->v->text, fmt, ap);
	va_end(ap);
	return false;
}

static const char *
date_text(time_t t, char buf[32])
{
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(buf, 32, "?");
	return buf;
}

static bool
dates_hold(struct search *s, size_t depth) /* U11 */
{
	time_t from, until;
	char when[32];
	size_t i;

	for (i = 0; i <= depth; i++) {
		gnutls_x509_crt_t crt = s->pool[s->path[i]].crt;

		from = gnutls_x509_crt_get_activation_time(crt);
		until = gnutls_x509_crt_get_expiration_time(crt);
		if (from == (time_t)-1 || s->now < from)
			return give_up(s, EXPIRED,
			    DANEVIRKE_CERTIFICATE_EXPIRED,
			    "certificate at "
			    "depth %zu is not valid before %s",
			    i, date_text(from, when));
		if (until == (time_t)-1 || s->now > until)
			return give_up(s, EXPIRED,
			    DANEVIRKE_CERTIFICATE_EXPIRED,
			    "certificate at "
			    "depth %zu expired on %s",
			    i, date_text(until, when));
	}
	return true;
}

/* Names below a certificate with name constraints must fit them. */
static bool
names_allowed(struct search *s, size_t at)
{
	gnutls_x509_name_constraints_t nc;
	bool ok = true;
	size_t j;
	int rc;

	if (gnutls_x509_name_constraints_init(&nc) < 0)
		return false;
	rc = gnutls_x509_crt_get_name_constraints(
	    s->pool[s->path[at]].crt, nc, 0, NULL);
	if (rc >= 0)
		for (j = 0; j < at && ok; j++)
			ok = gnutls_x509_name_constraints_check_crt(nc,
				 GNUTLS_SAN_DNSNAME,
				 s->pool[s->path[j]].crt) != 0;
	else
		ok = rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE;
	gnutls_x509_name_constraints_deinit(nc);
	return ok;
}

static bool
self_issued(gnutls_x509_crt_t crt)
{
	return gnutls_x509_crt_check_issuer(crt, crt) != 0;
}

/* U14: path length, name constraints, purpose of all, the anchor too. */
static bool
constraints_hold(struct search *s, size_t depth)
{
	unsigned ca;
	size_t i, below = 0; /* CA certificates below i */
	int limit;

	for (i = 0; i <= depth; i++) {
		gnutls_x509_crt_t crt = s->pool[s->path[i]].crt;

		if (gnutls_x509_crt_check_key_purpose(
			crt, GNUTLS_KP_TLS_WWW_SERVER, 0) == 0)
			return give_up(s, NOT_TRUSTED,
			    DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
			    "certificate "
			    "at depth %zu is not for TLS servers (extended "
			    "key usage)",
			    i);
		if (i == 0)
			continue;
		if (gnutls_x509_crt_get_basic_constraints(
			crt, NULL, &ca, &limit) >= 0 &&
		    (!ca || (limit >= 0 && below > (size_t)limit)))
			return give_up(s, NOT_TRUSTED,
			    DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
			    "certificate "
			    "at depth %zu may not issue %s",
			    i, ca ? "a path this long" : "certificates");
		if (!names_allowed(s, i))
			return give_up(s, NOT_TRUSTED,
			    DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
			    "name "
			    "constraints of the certificate at depth %zu do "
			    "not allow the names below it",
			    i);
		below += !self_issued(crt);
	}
	return true;
}

/* Signatures and CA flags from the leaf to path[depth], which is trusted. */
static bool
links_hold(struct search *s, size_t depth)
{
	gnutls_x509_crt_t crt[MAX_DEPTH];
	gnutls_x509_trust_list_t list;
	gnutls_datum_t why = { NULL, 0 };
	unsigned status = ~0u;
	size_t i;
	int rc;

	for (i = 0; i <= depth; i++)
		crt[i] = s->pool[s->path[i]].crt;
	if (gnutls_x509_trust_list_init(&list, 0) < 0)
		return false;
	rc = gnutls_x509_trust_list_add_cas(list, &crt[depth], 1, 0);
	if (rc == 1) /* dates are ours to check: now is given */
		rc = gnutls_x509_trust_list_verify_crt2(list, crt,
		    (unsigned)depth, NULL, 0,
		    GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
			GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS |
			GNUTLS_VERIFY_DISABLE_CRL_CHECKS,
		    &status, NULL);
	gnutls_x509_trust_list_deinit(list, 0);
	if (rc >= 0 && status == 0)
		return true;
	if (rc >= 0)
		gnutls_certificate_verification_status_print(
		    status, GNUTLS_CRT_X509, &why, 0);
	give_up(s, NOT_TRUSTED, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
	    "the path to the trust anchor does not hold: %s",
	    rc < 0               ? gnutls_strerror(rc) :
		why.data != NULL ? (char *)why.data :
				   "?");
	gnutls_free(why.data);
	return false;
}

/* All that must hold of a path, whatever it ends in. */
static bool
path_holds(struct search *s, size_t depth)
{
	char seen[256];

	if (depth > 0 && !links_hold(s, depth))
		return false;
	if (!constraints_hold(s, depth) || !dates_hold(s, depth))
		return false;
	if (leaf_named(s->host, s->pool[0].crt, seen, sizeof seen))
		return true; /* N02 - N05 */
	return give_up(s, WRONG_NAME, DANEVIRKE_CERTIFICATE_HOST_MISMATCH,
	    "certificate is for %s, want %s%s", *seen ? seen : "no name",
	    s->host->names[0], s->host->n_names > 1 ? " or the domain" : "");
}

/* ----------------------------------------------------------- the search */

/* U13: is this certificate signed by the bare key of a 2 1 0 record? */
static bool
signed_by(const struct cert *c, const struct danevirke_tlsa *t)
{
	gnutls_datum_t spki = { (unsigned char *)(uintptr_t)t->data,
		(unsigned)t->len },
		       tbs, sig = { NULL, 0 };
	const uint8_t *signed_part;
	gnutls_pubkey_t key;
	size_t len = 0, signed_len;
	int algo, rc = -1;

	if (c->der == NULL ||
	    cert_tbs(c->der, c->len, &signed_part, &signed_len) != 0 ||
	    gnutls_pubkey_init(&key) < 0)
		return false;
	tbs.data = (unsigned char *)(uintptr_t)signed_part;
	tbs.size = (unsigned)signed_len;
	algo = gnutls_x509_crt_get_signature_algorithm(c->crt);
	if (gnutls_pubkey_import(key, &spki, GNUTLS_X509_FMT_DER) >= 0 &&
	    algo > GNUTLS_SIGN_UNKNOWN &&
	    gnutls_x509_crt_get_signature(c->crt, NULL, &len) ==
		GNUTLS_E_SHORT_MEMORY_BUFFER &&
	    len <= MAX_CERT && (sig.data = malloc(len)) != NULL &&
	    gnutls_x509_crt_get_signature(c->crt, (char *)sig.data, &len) >=
		0) {
		sig.size = (unsigned)len;
		rc = gnutls_pubkey_verify_data2(
		    key, (gnutls_sign_algorithm_t)algo, 0, &tbs, &sig);
	}
	free(sig.data);
	gnutls_pubkey_deinit(key);
	return rc >= 0;
}

static bool
in_use(const struct danevirke_tlsa *t, int usage)
{
	return t->use == 1 && t->usage == usage;
}

/* Usages 0 and 1, when a path to the CA file holds. */
static bool
pkix_match(struct search *s, size_t depth)
{
	size_t i, j;

	for (i = 0; i < s->host->n_tlsa; i++) {
		const struct danevirke_tlsa *t = &s->host->tlsa[i];
		size_t from = in_use(t, DANEVIRKE_PKIX_EE) ? 0 : 1;
		size_t to = from == 0 ? 0 : depth;

		if (from == 1 && !in_use(t, DANEVIRKE_PKIX_TA))
			continue;
		for (j = from; j <= to; j++) {
			const struct cert *c = &s->pool[s->path[j]];

			if (match(t, c->der, c->len))
				return accept_match(s->v, s->host, (int)i,
					   (int)j) == DANEVIRKE_OK;
		}
	}
	return give_up(s, NO_MATCH, DANEVIRKE_VALIDATION_FAILURE,
	    "no "
	    "certificate of the path to the CA file matches a record");
}

/* U13 is for a key that no certificate carries: one that does is judged with
 * its dates and constraints, and the leaf never is its own anchor (U09). */
static bool
carried(const struct search *s, const struct danevirke_tlsa *t)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (match(t, s->pool[i].der, s->pool[i].len))
			return true;
	return false;
}

/* Does the path end here? */
static bool
ends(struct search *s, size_t depth)
{
	const struct cert *c = &s->pool[s->path[depth]];
	size_t i;

	if (s->pkix)
		return depth > 0 && c->ca && path_holds(s, depth) &&
		    pkix_match(s, depth);
	if (depth > 0 && c->record >= 0 && path_holds(s, depth)) /* U08, U09 */
		return accept_match(s->v, s->host, c->record, (int)depth) ==
		    DANEVIRKE_OK;
	for (i = 0; i < s->host->n_tlsa; i++) {
		const struct danevirke_tlsa *t = &s->host->tlsa[i];

		if (in_use(t, DANEVIRKE_DANE_TA) &&
		    t->selector == DANEVIRKE_SPKI &&
		    t->matching == DANEVIRKE_FULL && !carried(s, t) &&
		    signed_by(c, t) && path_holds(s, depth))
			return accept_match(s->v, s->host, (int)i,
				   (int)depth + 1) == DANEVIRKE_OK;
	}
	return false;
}

/* U18: by issuer and key, each certificate once in a path, bounded. */
static bool
extend(struct search *s, size_t depth)
{
	size_t i, j;

	if (++s->steps > MAX_STEPS)
		return false;
	if (ends(s, depth))
		return true;
	if (depth + 1 >= MAX_DEPTH)
		return false;
	for (i = 1; i < s->n; i++) {
		for (j = 0; j <= depth; j++)
			if (s->path[j] == i)
				break;
		if (j <= depth ||
		    gnutls_x509_crt_check_issuer(
			s->pool[s->path[depth]].crt, s->pool[i].crt) == 0)
			continue;
		s->path[depth + 1] = i;
		if (extend(s, depth + 1))
			return true;
	}
	return false;
}

/* ----------------------------------------------------------------- pool */

/* Adds a certificate unless it is there; its place, or -1. */
static int
pool_add(struct search *s, const uint8_t *der, size_t len)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)der, (unsigned)len };
	struct cert *c = &s->pool[s->n];
	size_t i;

	if (der == NULL || len > MAX_CERT)
		return -1;
	for (i = 0; i < s->n; i++)
		if (s->pool[i].len == len &&
		    memcmp(s->pool[i].der, der, len) == 0)
			return (int)i;
	if (gnutls_x509_crt_init(&c->crt) < 0)
		return -1;
	if (gnutls_x509_crt_import(c->crt, &d, GNUTLS_X509_FMT_DER) < 0) {
		gnutls_x509_crt_deinit(c->crt);
		c->crt = NULL;
		return -1;
	}
	c->der = der;
	c->len = len;
	c->record = -1;
	c->ca = false;
	return (int)s->n++;
}

/* What a DANE-TA record names, in the chain or in DNS (U08 - U12). */
static void
pool_anchors(struct search *s)
{
	const struct danevirke_host *h = s->host;
	size_t i, k, chain = s->n;
	int at;

	for (i = 0; i < h->n_tlsa; i++) {
		if (!in_use(&h->tlsa[i], DANEVIRKE_DANE_TA))
			continue;
		for (k = 1; k < chain; k++)
			if (s->pool[k].record < 0 &&
			    match(&h->tlsa[i], s->pool[k].der, s->pool[k].len))
				s->pool[k].record = (int)i;
		if (h->tlsa[i].selector == DANEVIRKE_CERT &&
		    h->tlsa[i].matching == DANEVIRKE_FULL && /* U12 */
		    (at = pool_add(s, h->tlsa[i].data, h->tlsa[i].len)) > 0 &&
		    s->pool[at].record < 0)
			s->pool[at].record = (int)i;
	}
}

static void
pool_free(struct search *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		gnutls_x509_crt_deinit(s->pool[i].crt);
	free(s->pool);
}

static int
pool_make(struct search *s, const struct danevirke_chain *chain, size_t extra)
{
	size_t i;

	s->pool = calloc(MAX_CHAIN + extra, sizeof *s->pool);
	if (s->pool == NULL)
		return DANEVIRKE_ENOMEM;
	for (i = 0; i < chain->n_certs && s->n < MAX_CHAIN; i++)
		if (pool_add(s, chain->certs[i].der, chain->certs[i].len) < 0 &&
		    i == 0) {
			give_up(s, NO_MATCH, DANEVIRKE_VALIDATION_FAILURE,
			    "the server's certificate cannot be read");
			return DANEVIRKE_EVERIFY;
		}
	return DANEVIRKE_OK;
}

static bool
any_in_use(const struct danevirke_host *host, int usage)
{
	size_t i;

	for (i = 0; i < host->n_tlsa; i++)
		if (in_use(&host->tlsa[i], usage))
			return true;
	return false;
}

static int
verify_ta(struct search *s, const struct danevirke_chain *chain)
{
	int code;

	if ((code = pool_make(s, chain, s->host->n_tlsa)) == DANEVIRKE_OK) {
		pool_anchors(s);
		if (!extend(s, 0))
			code = DANEVIRKE_EVERIFY;
	}
	pool_free(s);
	return code;
}

/* Usages 0 and 1 (U01): PKIX to a given CA file, and a record besides. */
static int
verify_pkix(
    struct search *s, const struct danevirke_chain *chain, const char *ca_file)
{
	gnutls_datum_t pem = { NULL, 0 }, *der = NULL;
	gnutls_x509_crt_t *ca = NULL;
	unsigned n = 0, i;
	int at, code;

	if (ca_file == NULL || gnutls_load_file(ca_file, &pem) < 0 ||
	    gnutls_x509_crt_list_import2(
		&ca, &n, &pem, GNUTLS_X509_FMT_PEM, 0) < 0 ||
	    (der = calloc(n + 1, sizeof *der)) == NULL) {
		give_up(s, NO_PATH, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		    "ca_file: %s: want certificates in PEM",
		    ca_file != NULL ? ca_file : "none given");
		code = DANEVIRKE_EINVAL;
		goto out;
	}
	s->pkix = true;
	if ((code = pool_make(s, chain, n)) == DANEVIRKE_OK) {
		for (i = 0; i < n; i++)
			if (gnutls_x509_crt_export2(
				ca[i], GNUTLS_X509_FMT_DER, &der[i]) >= 0 &&
			    (at = pool_add(s, der[i].data, der[i].size)) >= 0)
				s->pool[at].ca = true;
		if (!extend(s, 0))
			code = DANEVIRKE_EVERIFY;
	}
	pool_free(s);
out:
	for (i = 0; i < n; i++) {
		if (der != NULL)
			gnutls_free(der[i].data);
		gnutls_x509_crt_deinit(ca[i]);
	}
	gnutls_free(ca);
	free(der);
	gnutls_free(pem.data);
	return code;
}

int
verify_chain(const struct danevirke_host *host,
    const struct danevirke_chain *chain,
    const struct danevirke_verify_options *o, struct danevirke_verdict *v)
{
	struct search s = { .host = host, .v = v };
	uint32_t flags = o == NULL ? 0 : o->flags;
	int code;

	memset(v, 0, sizeof *v);
	v->index = v->depth = v->usage = -1;
	v->result = DANEVIRKE_VALIDATION_FAILURE;
	if (host->would != DANEVIRKE_AUTHENTICATE) {
		snprintf(v->text, sizeof v->text,
		    "this host has no usable "
		    "TLSA records to authenticate by");
		return DANEVIRKE_EINVAL;
	}
	if (chain->certs == NULL || chain->n_certs == 0 ||
	    chain->certs[0].der == NULL || chain->certs[0].len == 0) {
		snprintf(v->text, sizeof v->text, "no certificate");
		return DANEVIRKE_EVERIFY;
	}
	if ((code = verify_ee(host, &chain->certs[0], v)) == DANEVIRKE_OK)
		return code; /* U15 */
	snprintf(v->text, sizeof v->text,
	    "no TLSA record matches the "
	    "certificate%s",
	    chain->n_certs > 1 ? "s sent" : " sent"); /* U16 */
	if (host->names == NULL || host->n_names == 0)
		return DANEVIRKE_EVERIFY; /* N02 */
	s.now = o == NULL || o->now == 0 ? time(NULL) : o->now;
	if (any_in_use(host, DANEVIRKE_DANE_TA) &&
	    (code = verify_ta(&s, chain)) == DANEVIRKE_OK)
		return code;
	if ((flags & DANEVIRKE_PKIX_USAGES) &&
	    (any_in_use(host, DANEVIRKE_PKIX_TA) ||
		any_in_use(host, DANEVIRKE_PKIX_EE))) {
		s.pool = NULL;
		s.n = s.steps = 0;
		if (verify_pkix(&s, chain, o->ca_file) == DANEVIRKE_OK)
			return DANEVIRKE_OK;
	}
	return code;
}

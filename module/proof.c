/* SPDX-License-Identifier: ISC */
/*
 * Does a path hold, every link, constraint, date and the name (RFC 7671 5.2,
 * RFC 5280 6)?  The first thing that does not is told.  Pure.
 */
#include <gnutls/abstract.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "path.h"

/* What libraries do with the following grows with the square of their number,
 * and a path may be proven often: nobody may keep us busy for minutes (M11). */
#define NAMES_WORK (4u << 20)
#define KEY_BITS 8192
#define EXPONENT_LEN 8 /* octets; of RSA keys */
#define DSA_Q_LEN 32   /* likewise */

#define CNS 64           /* looked at, in a subject */
#define SANS 1024        /* looked at, in a certificate */
#define CONSTRAINTS 1024 /* names in one extension */

static gnutls_x509_crt_t
crt_at(struct path *p, size_t depth)
{
	return path_crt(p, p->at[depth]);
}

/* ---------------------------------------------------------------- names */

/* N07, N09: case does not count, a wildcard is one whole leftmost label, and
 * not all of a top-level domain. */
static bool
name_matches(const char *pattern, const char *want)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, want) == 0;
	dot = strchr(want, '.');
	return dot != NULL && dot != want && strchr(pattern + 2, '.') != NULL &&
	    strcasecmp(pattern + 1, dot) == 0;
}

static bool
name_accepted(const struct danevirke_host *host, const char *name, size_t len)
{
	size_t i;

	if (len == 0 || strnlen(name, len) != len) /* N09: a NUL inside */
		return false;
	for (i = 0; i < host->n_names; i++)
		if (name_matches(name, host->names[i]))
			return true;
	return false;
}

/* Adds a name to a list for the log: one line of ASCII whatever is in it. */
static void
remember(char *seen, size_t size, const char *name, size_t len)
{
	size_t n = strlen(seen), i;

	if (n > 0 && n + 1 < size)
		seen[n++] = ' ';
	for (i = 0; i < len && n + 1 < size; i++)
		seen[n++] = name[i] >= ' ' && name[i] < 0x7f ? name[i] : '?';
	seen[n] = '\0';
}

/* The last CN, which is the most specific; length 0: none that can be read */
static size_t
common_name(gnutls_x509_crt_t crt, char *name, size_t size)
{
	size_t len, found = 0;
	unsigned i;
	int rc;

	for (i = 0; i < CNS; i++) {
		len = size;
		rc = gnutls_x509_crt_get_dn_by_oid(
		    crt, GNUTLS_OID_X520_COMMON_NAME, i, 0, name, &len);
		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return found;
		if (rc < 0) /* too long, or a NUL in it */
			return 0;
		found = len;
	}
	return 0;
}

/* N06; seen: what the certificate says, for the log */
static bool
leaf_named(const struct danevirke_host *host, gnutls_x509_crt_t crt, char *seen,
    size_t size)
{
	char name[1024];
	bool dns_id = false;
	size_t len;
	unsigned i;
	int rc = 0;

	*seen = '\0';
	for (i = 0; i < SANS; i++) {
		len = sizeof name;
		rc = gnutls_x509_crt_get_subject_alt_name(
		    crt, i, name, &len, NULL);
		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			break;
		if (rc < 0 || rc == GNUTLS_SAN_DNSNAME)
			dns_id = true; /* perhaps: then no CN */
		if (rc != GNUTLS_SAN_DNSNAME)
			continue;
		if (name_accepted(host, name, len))
			return true;
		remember(seen, size, name, len);
	}
	if (dns_id || rc != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE ||
	    (len = common_name(crt, name, sizeof name)) == 0)
		return false;
	remember(seen, size, name, len);
	return name_accepted(host, name, len);
}

static bool
name_holds(struct path *p) /* N02 - N05 */
{
	const struct danevirke_host *h = p->host;
	char seen[200], want[200] = "";
	size_t i, n;

	if (h->n_names == 0)
		return path_fail(p, WRONG_NAME,
		    DANEVIRKE_CERTIFICATE_HOST_MISMATCH,
		    "there is no name to accept the certificate for");
	if (leaf_named(h, crt_at(p, 0), seen, sizeof seen))
		return true;
	for (i = 0; i < h->n_names; i++) {
		n = strlen(want);
		snprintf(want + n, sizeof want - n, "%s%s", n > 0 ? " or " : "",
		    h->names[i]);
	}
	return path_fail(p, WRONG_NAME, DANEVIRKE_CERTIFICATE_HOST_MISMATCH,
	    "certificate is for %s, want %s", *seen ? seen : "no name", want);
}

/* ---------------------------------------------------------------- dates */

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
dates_hold(struct path *p, size_t depth) /* U11 */
{
	time_t from, until;
	char when[32];
	size_t i;

	for (i = 0; i <= depth; i++) {
		from = gnutls_x509_crt_get_activation_time(crt_at(p, i));
		until = gnutls_x509_crt_get_expiration_time(crt_at(p, i));
		if (from == (time_t)-1 || p->now < from)
			return path_fail(p, EXPIRED,
			    DANEVIRKE_CERTIFICATE_EXPIRED,
			    "certificate at depth %zu is not valid before %s",
			    i, date_text(from, when));
		if (until == (time_t)-1 || p->now > until)
			return path_fail(p, EXPIRED,
			    DANEVIRKE_CERTIFICATE_EXPIRED,
			    "certificate at depth %zu expired on %s", i,
			    date_text(until, when));
	}
	return true;
}

/* ----------------------------------------------------- constraints (U14) */

static bool __attribute__((format(printf, 3, 4)))
broken(struct path *p, size_t depth, const char *fmt, ...)
{
	char what[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	return path_fail(p, NOT_TRUSTED, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
	    "certificate at depth %zu %s", depth, what);
}

/* RFC 5280 4.2: what is critical must be understood. */
static bool
extensions_known(gnutls_x509_crt_t crt)
{
	static const char *const known[] = {
		"2.5.29.14", /* subjectKeyIdentifier */
		"2.5.29.15", /* keyUsage */
		"2.5.29.17", /* subjectAltName */
		"2.5.29.19", /* basicConstraints */
		"2.5.29.30", /* nameConstraints */
		"2.5.29.32", /* certificatePolicies: any will do */
		"2.5.29.35", /* authorityKeyIdentifier */
		"2.5.29.37", /* extKeyUsage */
		"2.5.29.54", /* inhibitAnyPolicy: any will do */
	};
	unsigned i, j, critical, n = sizeof known / sizeof *known;
	char oid[128];
	size_t len;
	int rc;

	for (i = 0; i < PATH_EXTENSIONS; i++) {
		len = sizeof oid;
		rc = gnutls_x509_crt_get_extension_info(
		    crt, i, oid, &len, &critical);
		if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
			return true;
		if (rc < 0)
			return false;
		for (j = 0; critical && j < n; j++)
			if (strcmp(oid, known[j]) == 0)
				break;
		if (critical && j == n)
			return false;
	}
	return false;
}

static size_t
extension_len(gnutls_x509_crt_t crt, const char *oid)
{
	size_t len = 0;

	return gnutls_x509_crt_get_extension_by_oid(crt, oid, 0, NULL, &len,
		   NULL) == GNUTLS_E_SHORT_MEMORY_BUFFER ?
	    len :
	    0;
}

/* Every name below is held against every constraint. */
static bool
few_names(struct path *p, size_t at)
{
	size_t len = extension_len(crt_at(p, at), "2.5.29.30"), names, i;

	for (i = 0; len > 0 && i < at; i++) {
		names = extension_len(crt_at(p, i), "2.5.29.17");
		if (len > NAMES_WORK / (names < 1024 ? 1024 : names))
			return false;
	}
	return true;
}

/* Is one distinguished name inside another?  As RFC 4514 writes them, the
 * narrowest part first; a comma that is part of a value has a backslash. */
static bool
dn_below(const gnutls_datum_t *dn, const gnutls_datum_t *top)
{
	size_t n = dn->size, m = top->size;
	const char *text = (const char *)dn->data;

	if (m == 0)
		return true;
	if (n < m || memcmp(text + n - m, top->data, m) != 0)
		return false;
	return n == m ||
	    (n - m >= 2 && text[n - m - 1] == ',' && text[n - m - 2] != '\\');
}

/* Directory names, which GnuTLS lets pass.  Excluded ones it refuses. */
static bool
dn_permitted(gnutls_x509_name_constraints_t nc, gnutls_x509_crt_t crt)
{
	gnutls_datum_t dn = { NULL, 0 }, top;
	bool any = false, ok = false;
	unsigned i, type;

	for (i = 0; i < CONSTRAINTS && !ok &&
	     gnutls_x509_name_constraints_get_permitted(nc, i, &type, &top) >=
		 0;
	     i++) {
		if (type != GNUTLS_SAN_DN)
			continue;
		any = true;
		if (dn.data == NULL && gnutls_x509_crt_get_dn3(crt, &dn, 0) < 0)
			return false;
		ok = dn_below(&dn, &top);
	}
	gnutls_free(dn.data);
	return ok || !any;
}

static bool
fits(gnutls_x509_name_constraints_t nc, gnutls_x509_crt_t crt, bool leaf)
{
	static const gnutls_x509_subject_alt_name_t kinds[] = {
		GNUTLS_SAN_DNSNAME, GNUTLS_SAN_RFC822NAME, GNUTLS_SAN_IPADDRESS,
		GNUTLS_SAN_URI, GNUTLS_SAN_DN
	};
	char name[1];
	size_t i, len = 0;

	if (!dn_permitted(nc, crt))
		return false;
	/* GnuTLS also looks at the CN; that of an issuer is no host name */
	if (!leaf &&
	    gnutls_x509_crt_get_subject_alt_name(crt, 0, name, &len, NULL) ==
		GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return true;
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!gnutls_x509_name_constraints_check_crt(nc, kinds[i], crt))
			return false;
	return true;
}

/* Names below a certificate with name constraints must fit them. */
static bool
names_fit(struct path *p, size_t at)
{
	gnutls_x509_name_constraints_t nc;
	bool ok = false;
	size_t i;
	int rc;

	if (!few_names(p, at))
		return broken(p, at,
		    "has too many name constraints for the names below it");
	if (gnutls_x509_name_constraints_init(&nc) < 0)
		return false;
	rc = gnutls_x509_crt_get_name_constraints(crt_at(p, at), nc, 0, NULL);
	if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		ok = true;
	else if (rc >= 0)
		for (ok = true, i = 0; i < at && ok; i++)
			ok = fits(nc, crt_at(p, i), i == 0);
	gnutls_x509_name_constraints_deinit(nc);
	return ok;
}

/* RSA exponents and DSA groups as long as somebody likes take seconds for one
 * signature. */
static bool
key_bounded(gnutls_pubkey_t key)
{
	unsigned bits = UINT_MAX, flags = GNUTLS_EXPORT_FLAG_NO_LZ;
	gnutls_datum_t d = { NULL, 0 };
	size_t max = EXPONENT_LEN;
	bool ok;
	int rc;

	rc = gnutls_pubkey_get_pk_algorithm(key, &bits);
	if (rc == GNUTLS_PK_DSA) {
		rc = gnutls_pubkey_export_dsa_raw2(
		    key, NULL, &d, NULL, NULL, flags);
		max = DSA_Q_LEN;
	} else if (rc == GNUTLS_PK_RSA || rc == GNUTLS_PK_RSA_PSS)
		rc = gnutls_pubkey_export_rsa_raw2(key, NULL, &d, flags);
	ok = rc >= 0 && bits <= KEY_BITS && d.size <= max;
	gnutls_free(d.data);
	return ok;
}

static bool
crt_key_bounded(gnutls_x509_crt_t crt)
{
	gnutls_pubkey_t key;
	bool ok;

	switch (gnutls_x509_crt_get_pk_algorithm(crt, NULL)) {
	case GNUTLS_PK_ECDSA:
	case GNUTLS_PK_EDDSA_ED25519:
	case GNUTLS_PK_EDDSA_ED448:
		return true; /* as large as the curve */
	}
	if (gnutls_pubkey_init(&key) < 0)
		return false;
	ok = gnutls_pubkey_import_x509(key, crt, 0) >= 0 && key_bounded(key);
	gnutls_pubkey_deinit(key);
	return ok;
}

/* May this certificate issue what is below it?  Between it and the leaf stand
 * at - 1 others; GnuTLS counts those that issued themselves, and so do we. */
static bool
may_issue(struct path *p, size_t at, bool anchor)
{
	gnutls_x509_crt_t crt = crt_at(p, at);
	unsigned ca = 0, usage;
	int rc, limit = -1;

	rc = gnutls_x509_crt_get_basic_constraints(crt, NULL, &ca, &limit);
	if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE && anchor)
		/* who named it vouches, where it could not say so itself:
		 * RFC 5280 6.1.4 (k) */
		ca = gnutls_x509_crt_get_version(crt) < 3;
	else if (rc < 0)
		ca = 0;
	if (!ca)
		return broken(p, at, "is no CA");
	if (limit >= 0 && at - 1 > (size_t)limit)
		return broken(p, at,
		    "allows no path as long as this (path length %d)", limit);
	rc = gnutls_x509_crt_get_key_usage(crt, &usage, NULL);
	if (rc != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE &&
	    (rc < 0 || !(usage & GNUTLS_KEY_KEY_CERT_SIGN)))
		return broken(p, at, "may not sign certificates (key usage)");
	if (!crt_key_bounded(crt))
		return broken(p, at, "has a key that is too large");
	if (!names_fit(p, at))
		return broken(p, at,
		    "does not allow the names below it (name constraints)");
	return true;
}

static bool
constraints_hold(struct path *p, size_t depth, bool anchored)
{
	size_t i;

	for (i = 0; i <= depth; i++) {
		gnutls_x509_crt_t crt = crt_at(p, i);

		if (!extensions_known(crt))
			return broken(p, i,
			    "has a critical extension that is not understood");
		if (!gnutls_x509_crt_check_key_purpose(
			crt, GNUTLS_KP_TLS_WWW_SERVER, 0))
			return broken(p, i,
			    "is not for TLS servers (extended key usage)");
		if (i > 0 && !may_issue(p, i, anchored && i == depth))
			return false;
	}
	return true;
}

/* ----------------------------------------------------------- signatures */

static const char *
status_text(unsigned status)
{
	static const struct {
		unsigned bit;
		const char *text;
	} t[] = {
		{ GNUTLS_CERT_SIGNATURE_FAILURE, "a signature is wrong" },
		{ GNUTLS_CERT_INSECURE_ALGORITHM,
		    "a signature's digest or key is too weak" },
		{ GNUTLS_CERT_SIGNER_NOT_FOUND, "an issuer is missing" },
		{ GNUTLS_CERT_SIGNER_NOT_CA, "an issuer is no CA" },
		{ GNUTLS_CERT_SIGNER_CONSTRAINTS_FAILURE,
		    "an issuer's constraints are broken" },
	};
	size_t i;

	for (i = 0; i < sizeof t / sizeof *t; i++)
		if (status & t[i].bit)
			return t[i].text;
	return "not trusted";
}

/* Work is bounded, whatever chain and records are sent. */
static bool
may_look(struct path *p, size_t n)
{
	p->signatures += (unsigned)n;
	return p->signatures <= PATH_SIGNATURES ||
	    path_fail(p, NOT_TRUSTED, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		"the search for a path is given up after %d signatures",
		PATH_SIGNATURES);
}

/* U08: signatures from the leaf to at[depth], which is trusted.  GnuTLS looks
 * at CA flags and constraints once more. */
static bool
links_hold(struct path *p, size_t depth)
{
	gnutls_x509_crt_t crt[PATH_DEPTH];
	gnutls_x509_trust_list_t list;
	unsigned status = ~0u;
	size_t i;
	int rc;

	if (!may_look(p, depth))
		return false;
	for (i = 0; i <= depth; i++)
		crt[i] = crt_at(p, i);
	if (gnutls_x509_trust_list_init(&list, 0) < 0)
		return false;
	rc = gnutls_x509_trust_list_add_cas(list, &crt[depth], 1, 0);
	if (rc == 1) /* dates are ours to check: now is given */
		rc = gnutls_x509_trust_list_verify_crt2(list, crt,
		    (unsigned)depth, NULL, 0,
		    GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
			GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS |
			GNUTLS_VERIFY_DISABLE_CRL_CHECKS |
			GNUTLS_VERIFY_DO_NOT_ALLOW_UNSORTED_CHAIN,
		    &status, NULL);
	gnutls_x509_trust_list_deinit(list, 0);
	if (rc >= 0 && status == 0)
		return true;
	return path_fail(p, NOT_TRUSTED, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
	    "the path to the certificate at depth %zu does not hold: %s", depth,
	    rc < 0 ? gnutls_strerror(rc) : status_text(status));
}

static bool
signature_holds(
    gnutls_x509_crt_t crt, const struct path_cert *c, gnutls_pubkey_t key)
{
	int algo = gnutls_x509_crt_get_signature_algorithm(crt);
	gnutls_datum_t tbs, sig = { NULL, 0 };
	const uint8_t *signed_part;
	size_t len = 0, signed_len;
	bool ok = false;

	if (algo <= GNUTLS_SIGN_UNKNOWN ||
	    !gnutls_sign_is_secure2((gnutls_sign_algorithm_t)algo,
		GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS) ||
	    cert_tbs(c->der, c->len, &signed_part, &signed_len) != 0 ||
	    gnutls_x509_crt_get_signature(crt, NULL, &len) !=
		GNUTLS_E_SHORT_MEMORY_BUFFER ||
	    (sig.data = malloc(len)) == NULL)
		return false;
	tbs.data = (unsigned char *)(uintptr_t)signed_part;
	tbs.size = (unsigned)signed_len;
	if (gnutls_x509_crt_get_signature(crt, (char *)sig.data, &len) >= 0) {
		sig.size = (unsigned)len;
		ok = gnutls_pubkey_verify_data2(key,
			 (gnutls_sign_algorithm_t)algo, 0, &tbs, &sig) >= 0;
	}
	free(sig.data);
	return ok;
}

bool
proof_signed(struct path *p, size_t place, const struct danevirke_tlsa *t)
{
	gnutls_datum_t spki = { (unsigned char *)(uintptr_t)t->data,
		(unsigned)t->len };
	gnutls_x509_crt_t crt = path_crt(p, place);
	gnutls_pubkey_t key;
	bool ok;

	if (crt == NULL || !may_look(p, 1) || gnutls_pubkey_init(&key) < 0)
		return false;
	ok = gnutls_pubkey_import(key, &spki, GNUTLS_X509_FMT_DER) >= 0 &&
	    (key_bounded(key) ||
		path_fail(p, NOT_TRUSTED, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		    "the key in DNS is too large")) &&
	    signature_holds(crt, &p->pool[place], key);
	gnutls_pubkey_deinit(key);
	return ok;
}

bool
proof_holds(struct path *p, size_t depth, bool anchored)
{
	return constraints_hold(p, depth, anchored) &&
	    (depth == 0 || links_hold(p, depth)) && dates_hold(p, depth) &&
	    name_holds(p);
}

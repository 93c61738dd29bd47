/* SPDX-License-Identifier: ISC */
/*
 * Does a path hold, every link, constraint, date and the name (RFC 7671 5.2,
 * RFC 5280 6)?  The first thing that does not is told.  Pure.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "path.h"

/* What libraries do with the following grows with the square of their number,
 * and a path may be proven often: nobody may keep us busy for minutes (M11). */
#define NAMES_WORK (4u << 20)
#define CNS 64           /* looked at, in a subject */
#define CONSTRAINTS 1024 /* names in one extension */

/* S09, in pool_work()'s units */
#define PROOF_WORK 10 /* to look at a certificate in a path once more */

/* What is known of a certificate and one above it. */
enum { SIGNED = 1, NOT_SIGNED = 2, FITS = 4, FITS_NOT = 8 };

static gnutls_x509_crt_t
proof_crt(struct path *p, size_t depth)
{
	return pool_crt(&p->pool, p->at[depth]);
}

static const struct cert_parts *
proof_parts(struct path *p, size_t depth)
{
	return &p->pool.cert[p->at[depth]].raw.parts;
}

/* Where that is kept: nowhere, if what is below is not the server's. */
static uint8_t *
proof_pair(struct path *p, size_t below, size_t above, uint8_t *nowhere)
{
	*nowhere = 0;
	return p->at[below] < POOL_CERTS ?
	    &p->pairs[p->at[below] * p->pool.room + p->at[above]] :
	    nowhere;
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
name_remember(char *seen, size_t size, const char *name, size_t len)
{
	size_t n = strlen(seen), i;

	if (n > 0 && n + 1 < size)
		seen[n++] = ' ';
	for (i = 0; i < len && n + 1 < size; i++)
		seen[n++] = text_char(name[i]);
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
leaf_named(struct path *p, char *seen, size_t size)
{
	const struct danevirke_host *host = p->host;
	gnutls_x509_crt_t crt = proof_crt(p, 0);
	char name[1024];
	bool dns_id = false;
	size_t len;
	unsigned i;
	int rc = 0;

	*seen = '\0';
	for (i = 0; i < PATH_NAMES; i++) {
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
		name_remember(seen, size, name, len);
	}
	if (i == PATH_NAMES)
		p->pool.limits |= LIMIT_NAMES;
	if (dns_id || p->mta_sts || /* H04: never the CN */
	    rc != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE ||
	    (len = common_name(crt, name, sizeof name)) == 0)
		return false;
	name_remember(seen, size, name, len);
	return name_accepted(host, name, len);
}

static bool
proof_name(struct path *p) /* N02 - N05, H04 */
{
	const struct danevirke_host *h = p->host;
	char seen[200], want[200] = "";
	size_t i, n;

	if (p->named) /* and what is wrong has been told */
		return p->well_named;
	p->named = true;
	p->well_named = false;
	if (h->n_names == 0)
		return pool_fail(&p->pool, WRONG_NAME,
		    DANEVIRKE_CERTIFICATE_HOST_MISMATCH,
		    "there is no name to accept the certificate for");
	p->well_named = leaf_named(p, seen, sizeof seen);
	if (p->well_named)
		return true;
	for (i = 0; i < h->n_names; i++) {
		n = strlen(want);
		snprintf(want + n, sizeof want - n, "%s%s", n > 0 ? " or " : "",
		    h->names[i]);
	}
	return pool_fail(&p->pool, WRONG_NAME,
	    DANEVIRKE_CERTIFICATE_HOST_MISMATCH,
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
proof_dates(struct path *p, size_t depth) /* U11 */
{
	time_t from, until;
	char when[32];
	size_t i;

	for (i = 0; i <= depth; i++) {
		from = gnutls_x509_crt_get_activation_time(proof_crt(p, i));
		until = gnutls_x509_crt_get_expiration_time(proof_crt(p, i));
		if (from == (time_t)-1 || p->now < from)
			return pool_fail(&p->pool, EXPIRED,
			    DANEVIRKE_CERTIFICATE_EXPIRED,
			    "certificate at depth %zu is not valid before %s",
			    i, date_text(from, when));
		if (until == (time_t)-1 || p->now > until)
			return pool_fail(&p->pool, EXPIRED,
			    DANEVIRKE_CERTIFICATE_EXPIRED,
			    "certificate at depth %zu expired on %s", i,
			    date_text(until, when));
	}
	return true;
}

/* ----------------------------------------------------- constraints (U14) */

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
		"2.5.29.31", /* cRLDistributionPoints: we ask none */
		"2.5.29.32", /* certificatePolicies: any will do */
		"2.5.29.33", /* policyMappings: likewise */
		"2.5.29.35", /* authorityKeyIdentifier */
		"2.5.29.36", /* policyConstraints: likewise */
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

/* Every name below is held against every constraint. */
static bool
few_names(struct path *p, size_t below, size_t above)
{
	size_t len = cert_extension(proof_parts(p, above), 30), names;

	if (len == 0)
		return true;
	names = cert_extension(proof_parts(p, below), 17);
	names = names < 1024 ? 1024 : names;
	return len <= NAMES_WORK / names &&
	    pool_work(&p->pool, len * names / 8192);
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
name_fits_all(
    gnutls_x509_name_constraints_t nc, gnutls_x509_crt_t crt, bool leaf)
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

/* Does one of those below fit its constraints? */
static bool
name_fits(struct path *p, size_t below, size_t above)
{
	gnutls_x509_name_constraints_t nc;
	bool ok = false;
	int rc;

	if (!few_names(p, below, above))
		return pool_broken(&p->pool, above,
		    "has too many name constraints for the names below it");
	if (gnutls_x509_name_constraints_init(&nc) < 0)
		return false;
	rc = gnutls_x509_crt_get_name_constraints(
	    proof_crt(p, above), nc, 0, NULL);
	if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		ok = true;
	else if (rc >= 0)
		ok = name_fits_all(nc, proof_crt(p, below), below == 0);
	gnutls_x509_name_constraints_deinit(nc);
	return ok;
}

/* Names below a certificate with name constraints must fit them. */
static bool
proof_names_fit(struct path *p, size_t at)
{
	uint8_t nowhere, *known;
	bool ok = true;
	size_t i;

	for (i = 0; i < at && ok; i++) {
		known = proof_pair(p, i, at, &nowhere);
		if (!(*known & (FITS | FITS_NOT)))
			*known |= name_fits(p, i, at) ? FITS : FITS_NOT;
		ok = *known & FITS;
	}
	return ok;
}

/* May this certificate issue what is below it?  Between it and the leaf stand
 * at - 1 others; GnuTLS counts those that issued themselves, and so do we. */
static bool
proof_may_issue(struct path *p, size_t at, bool anchor)
{
	gnutls_x509_crt_t crt = proof_crt(p, at);
	unsigned ca = 0, usage;
	int rc, limit = -1;
	char whose[80];

	rc = gnutls_x509_crt_get_basic_constraints(crt, NULL, &ca, &limit);
	if (rc == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE && anchor)
		/* who named it vouches, where it could not say so itself:
		 * RFC 5280 6.1.4 (k) */
		ca = gnutls_x509_crt_get_version(crt) < 3;
	else if (rc < 0)
		ca = 0;
	if (!ca)
		return pool_broken(&p->pool, at, "is no CA");
	if (limit >= 0 && at - 1 > (size_t)limit)
		return pool_broken(&p->pool, at,
		    "allows no path as long as this (path length %d)", limit);
	rc = gnutls_x509_crt_get_key_usage(crt, &usage, NULL);
	if (rc != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE &&
	    (rc < 0 || !(usage & GNUTLS_KEY_KEY_CERT_SIGN)))
		return pool_broken(
		    &p->pool, at, "may not sign certificates (key usage)");
	snprintf(whose, sizeof whose,
	    "certificate at depth %zu has a key that is", at);
	if (!sign_key_proves(&p->pool, proof_parts(p, at)->spki,
		proof_parts(p, at)->spki_len, whose))
		return false;
	if (!proof_names_fit(p, at))
		return pool_broken(&p->pool, at,
		    "does not allow the names below it (name constraints)");
	return true;
}

/* What is wrong with a certificate wherever it stands, or NULL. */
static const char *
proof_flaw(struct path *p, size_t at)
{
	struct pool_cert *c = &p->pool.cert[p->at[at]];

	if (c->judged)
		return c->flaw;
	c->judged = true;
	if (!extensions_known(c->crt))
		c->flaw = "has a critical extension that is not understood";
	else if (!gnutls_x509_crt_check_key_purpose(
		     c->crt, GNUTLS_KP_TLS_WWW_SERVER, 0))
		c->flaw = "is not for TLS servers (extended key usage)";
	return c->flaw;
}

static bool
proof_constraints(struct path *p, size_t depth, bool anchored)
{
	const char *what;
	size_t i;

	for (i = 0; i <= depth; i++) {
		if ((what = proof_flaw(p, i)) != NULL)
			return pool_broken(&p->pool, i, "%s", what);
		if (i > 0 && !proof_may_issue(p, i, anchored && i == depth))
			return false;
	}
	return true;
}

/* ------------------------------------------------------------- all of it */

/* From at[depth], which is trusted, to the leaf. */
static bool
proof_links(struct path *p, size_t depth)
{
	uint8_t nowhere, *known;
	bool ok = true;

	while (ok && depth-- > 0) {
		known = proof_pair(p, depth, depth + 1, &nowhere);
		if (!(*known & (SIGNED | NOT_SIGNED)))
			*known |= sign_holds(&p->pool, p->at[depth], depth,
				      p->at[depth + 1]) ?
			    SIGNED :
			    NOT_SIGNED;
		ok = *known & SIGNED;
	}
	return ok;
}

bool
proof_holds(struct path *p, size_t depth, bool anchored)
{
	return pool_work(&p->pool, PROOF_WORK * (depth + 1)) &&
	    proof_constraints(p, depth, anchored) && proof_links(p, depth) &&
	    proof_dates(p, depth) && proof_name(p);
}

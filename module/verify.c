/* SPDX-License-Identifier: ISC */
/*
 * Does a chain satisfy a host's TLSA records (RFC 7671 5, RFC 7672 3)?
 *
 * DANE-EE is a comparison of octets.  DANE-TA is a search for a path from the
 * leaf to a certificate or key that a record names (path.c), which is then
 * proven (proof.c).  A match that no proven path ends in is worth nothing
 * (U08).  Any one matching record authenticates (U15).  A host of MTA-STS has
 * none: there the path ends in a CA of the system's.
 */
#include <stdio.h>
#include <string.h>

#include "path.h"

/* U06, U07, N01: nothing but the key or certificate counts. */
static bool
verify_ee(const struct danevirke_host *host, const struct danevirke_cert *leaf,
    struct danevirke_verdict *v)
{
	struct match_cert c = { .der = leaf->der, .len = leaf->len };
	size_t i;

	for (i = 0; i < host->n_tlsa; i++)
		if (match_in_use(&host->tlsa[i], DANEVIRKE_DANE_EE) &&
		    match_record(&host->tlsa[i], &c))
			return match_accept(v, host, i, 0);
	return false;
}

/* ----------------------------------------------------------- DANE-TA (2) */

/* Where this record says that a path may end, in the chain or in DNS. */
static void
verify_find_anchors(struct path *p, size_t record)
{
	const struct danevirke_tlsa *t = &p->host->tlsa[record];
	char type[80];
	size_t i;
	int at;

	tlsa_text(t, type, sizeof type);
	for (i = 0; i < p->pool.n_chain; i++) {
		struct pool_cert *c = &p->pool.cert[i];

		if (c->record >= 0 || !match_record(t, &c->raw))
			continue;
		if (i == 0) { /* U09 */
			pool_fail(&p->pool, NO_MATCH,
			    DANEVIRKE_VALIDATION_FAILURE,
			    "%s matches the server's own certificate, which "
			    "cannot be its own trust anchor",
			    type);
			continue;
		}
		c->record = (int)record;
		pool_fail(&p->pool, NO_PATH, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		    "no path leads from the server's certificate to the one "
		    "that %s matches",
		    type);
	}
	if (t->selector == DANEVIRKE_CERT && t->matching == DANEVIRKE_FULL &&
	    (at = pool_add(&p->pool, t->data, t->len)) > 0 && /* U12, U09 */
	    p->pool.cert[at].record < 0)
		p->pool.cert[at].record = (int)record;
}

static int
verify_ta(struct path *p, const struct danevirke_chain *chain)
{
	const struct danevirke_host *h = p->host;
	bool ok;
	size_t i;

	if (!path_init(p, chain, h->n_tlsa))
		return DANEVIRKE_ENOMEM;
	for (i = 0; i < h->n_tlsa; i++)
		if (match_in_use(&h->tlsa[i], DANEVIRKE_DANE_TA))
			verify_find_anchors(p, i);
	ok = path_search(p);
	path_free(p);
	return ok ? DANEVIRKE_OK : DANEVIRKE_EVERIFY;
}

/* ----------------------------------------------- PKIX-TA and -EE (0, 1) */

static int
verify_by_cas(struct path *p, const struct danevirke_chain *chain,
    const struct danevirke_chain *cas)
{
	const struct danevirke_host *h = p->host;
	size_t i;
	bool ok;
	int at;

	if (!path_init(p, chain, cas->n_certs + h->n_tlsa))
		return DANEVIRKE_ENOMEM;
	/* U12: what a record gives in full completes a chain here, too */
	for (i = 0; i < h->n_tlsa; i++)
		if (match_in_use(&h->tlsa[i], DANEVIRKE_PKIX_TA) &&
		    h->tlsa[i].selector == DANEVIRKE_CERT &&
		    h->tlsa[i].matching == DANEVIRKE_FULL)
			pool_add(&p->pool, h->tlsa[i].data, h->tlsa[i].len);
	for (i = 0; i < cas->n_certs; i++)
		if ((at = pool_add(
			 &p->pool, cas->certs[i].der, cas->certs[i].len)) >= 0)
			p->pool.cert[at].ca = true;
	ok = path_search(p) ||
	    pool_fail(&p->pool, NO_PATH, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		"no path leads from the server's certificate to the CA file");
	path_free(p);
	return ok ? DANEVIRKE_OK : DANEVIRKE_EVERIFY;
}

/* U01: PKIX to a given CA file, and a record besides */
static int
verify_pkix(struct path *p, const struct danevirke_chain *chain,
    const struct verify_world *w)
{
	p->pkix = true;
	if (w->ca_file == NULL) /* then nobody is trusted */
		pool_fail(&p->pool, NOT_NAMED,
		    DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		    "usages 0 and 1 need a CA file, and none is given");
	else if (w->ca_code == DANEVIRKE_OK)
		return verify_by_cas(p, chain, &w->cas);
	else if (w->ca_code != DANEVIRKE_ENOMEM)
		pool_fail(&p->pool, NOT_NAMED,
		    DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
		    "ca_file: %s: want certificates in PEM", w->ca_file);
	return w->ca_file == NULL ? DANEVIRKE_EVERIFY : w->ca_code;
}

/* --------------------------------------------------------------- verdict */

static int __attribute__((format(printf, 4, 5)))
verify_refuse(struct danevirke_verdict *v, int code,
    enum danevirke_result result, const char *fmt, ...)
{
	va_list ap;

	v->result = result;
	va_start(ap, fmt);
	vsnprintf(v->text, sizeof v->text, fmt, ap);
	va_end(ap);
	return code;
}

/* How many records of these usages take part */
static size_t
verify_count(const struct danevirke_host *host, int first, int last)
{
	size_t i, n = 0;
	int usage;

	for (i = 0; i < host->n_tlsa; i++)
		for (usage = first; usage <= last; usage++)
			n += match_in_use(&host->tlsa[i], usage);
	return n;
}

bool
verify_by_mta_sts(const struct danevirke_host *host)
{
	return DANEVIRKE_HAS(host, ca_file) && host->ca_file != NULL;
}

bool
verify_by_pkix(const struct danevirke_host *host, uint32_t flags)
{
	return (flags & DANEVIRKE_PKIX_USAGES) &&
	    verify_count(host, DANEVIRKE_PKIX_TA, DANEVIRKE_PKIX_EE) > 0;
}

/* What was not looked at might have helped: M11, U18. */
static void
verify_tell_limits(const struct path *p)
{
	static const struct {
		enum limit limit;
		const char *text;
	} t[] = {
		{ LIMIT_CERTS,
		    "only the first 16 certificates were looked at" },
		{ LIMIT_DEPTH,
		    "no path of more than 10 certificates was looked at" },
		{ LIMIT_NAMES, "more than 1024 names: the rest was not read" },
		{ LIMIT_STEPS, "the search was given up after 64 steps" },
		{ LIMIT_WORK, "the search was given up: it takes too long" },
	};
	char *text = p->pool.v->text;
	size_t n, i, told = 0, size = sizeof p->pool.v->text;

	_Static_assert(POOL_CERTS == 16 && PATH_DEPTH == 10 &&
		PATH_STEPS == 64 && PATH_NAMES == 1024,
	    "the texts say so");
	for (i = 0; i < sizeof t / sizeof *t; i++)
		if (p->pool.limits & t[i].limit) {
			n = strlen(text);
			snprintf(text + n, size - n, "%s%s",
			    told++ == 0 ? " (" : "; ", t[i].text);
		}
	n = strlen(text);
	if (told > 0)
		snprintf(text + n, size - n, ")");
}

/* What a search of the chain finds. */
static int
verify_paths(const struct danevirke_host *host,
    const struct danevirke_chain *chain, const struct verify_world *w,
    struct danevirke_verdict *v)
{
	struct path p = { .host = host, .pool.v = v, .now = w->now };
	int code = DANEVIRKE_EVERIFY;

	if (verify_count(host, DANEVIRKE_DANE_TA, DANEVIRKE_DANE_TA) > 0)
		code = verify_ta(&p, chain);
	if (code == DANEVIRKE_EVERIFY && verify_by_pkix(host, w->flags))
		code = verify_pkix(&p, chain, w);
	if (code == DANEVIRKE_ENOMEM)
		return verify_refuse(v, code, DANEVIRKE_VALIDATION_FAILURE,
		    "verify: out of memory");
	if (code == DANEVIRKE_EVERIFY)
		verify_tell_limits(&p);
	return code;
}

/* RFC 8461 4.2 */
static int
verify_mta_sts(const struct danevirke_host *host,
    const struct danevirke_chain *chain, const struct verify_world *w,
    struct danevirke_verdict *v)
{
	struct path p = {
		.host = host, .pool.v = v, .now = w->now, .mta_sts = true
	};
	int code = w->ca_code;

	if (code == DANEVIRKE_OK)
		code = verify_by_cas(&p, chain, &w->cas);
	if (code == DANEVIRKE_ENOMEM)
		return verify_refuse(v, code, DANEVIRKE_VALIDATION_FAILURE,
		    "verify: out of memory");
	if (w->ca_code != DANEVIRKE_OK)
		return verify_refuse(v, DANEVIRKE_EVERIFY,
		    DANEVIRKE_VALIDATION_FAILURE,
		    "mta_sts.ca_file: %s: want certificates in PEM",
		    host->ca_file);
	if (code == DANEVIRKE_EVERIFY)
		verify_tell_limits(&p);
	return code;
}

int
verify_check(const struct danevirke_host *host,
    const struct danevirke_chain *chain, struct danevirke_verdict *v)
{
	size_t i;

	if (host->size < DANEVIRKE_HOST_MIN)
		return verify_refuse(v, DANEVIRKE_EINVAL,
		    DANEVIRKE_VALIDATION_FAILURE,
		    "verify: size of the host is %zu, want at least %zu",
		    host->size, DANEVIRKE_HOST_MIN);
	if (host->would != DANEVIRKE_AUTHENTICATE)
		return verify_refuse(v, DANEVIRKE_EINVAL,
		    DANEVIRKE_VALIDATION_FAILURE,
		    "this host has no usable TLSA records to authenticate by");
	if ((host->tlsa == NULL && host->n_tlsa > 0) ||
	    (host->names == NULL && host->n_names > 0))
		return verify_refuse(v, DANEVIRKE_EINVAL,
		    DANEVIRKE_VALIDATION_FAILURE,
		    "verify: tlsa or names of the host is NULL");
	if (verify_by_mta_sts(host) && /* P05 */
	    verify_count(host, DANEVIRKE_PKIX_TA, DANEVIRKE_DANE_EE) > 0)
		return verify_refuse(v, DANEVIRKE_EINVAL,
		    DANEVIRKE_VALIDATION_FAILURE,
		    "verify: the host has both a ca_file and TLSA records");
	for (i = 0; i < host->n_names; i++)
		if (host->names[i] == NULL)
			return verify_refuse(v, DANEVIRKE_EINVAL,
			    DANEVIRKE_VALIDATION_FAILURE,
			    "verify: names[%zu] of the host is NULL", i);
	if (chain->certs == NULL || chain->n_certs == 0 ||
	    chain->certs[0].der == NULL || chain->certs[0].len == 0)
		return verify_refuse(v, DANEVIRKE_EVERIFY,
		    DANEVIRKE_VALIDATION_FAILURE,
		    "the server has sent no certificate");
	return DANEVIRKE_OK;
}

int
verify_chain(const struct danevirke_host *host,
    const struct danevirke_chain *chain, const struct verify_world *w,
    struct danevirke_verdict *v)
{
	if (verify_by_mta_sts(host))
		return verify_mta_sts(host, chain, w, v);
	if (!verify_by_pkix(host, w->flags) &&
	    verify_count(host, DANEVIRKE_DANE_TA, DANEVIRKE_DANE_EE) == 0)
		return verify_refuse(v, DANEVIRKE_EVERIFY,
		    DANEVIRKE_TLSA_INVALID, "no TLSA record is usable");
	if (verify_ee(host, &chain->certs[0], v))
		return DANEVIRKE_OK;
	verify_refuse(v, DANEVIRKE_EVERIFY,
	    DANEVIRKE_VALIDATION_FAILURE, /* U16 */
	    "no TLSA record matches the certificate%s",
	    chain->n_certs > 1 ? "s sent" : " sent");
	return verify_paths(host, chain, w, v);
}

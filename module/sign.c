/* SPDX-License-Identifier: ISC */
/*
 * Is a certificate signed by that key, is that worth anything (S10), and what
 * does it take to find out (S09)?  Pure.
 */
#include <gnutls/abstract.h>
#include <stdio.h>
#include <stdlib.h>

#include "pool.h"

/* S09: may it be used, and S10: does what it has signed prove anything?  whose:
 * as "certificate at depth 1 has a key that is". */
bool
sign_key_proves(
    struct pool *p, const uint8_t *spki, size_t len, const char *whose)
{
	struct spki_key k = spki_key(spki, len);
	char why[80];

	if (spki_bounded(&k, why, sizeof why)) {
		if (k.kind != SPKI_RSA || k.bits >= SPKI_ISSUER_RSA)
			return true;
		snprintf(why, sizeof why,
		    "RSA with %zu bits: less than %d prove nothing", k.bits,
		    SPKI_ISSUER_RSA);
	}
	return pool_fail(p, NOT_TRUSTED, DANEVIRKE_CERTIFICATE_NOT_TRUSTED,
	    "%s %s", whose, why);
}

/* What a signature by this key takes to verify, as measured: RSA by modulus and
 * exponent, all others by their curve. */
static size_t
sign_work(const uint8_t *spki, size_t len)
{
	struct spki_key k = spki_key(spki, len);

	if (k.kind == SPKI_RSA)
		return 40 + k.bits / 64 * (k.bits / 64) * k.exponent / 1024;
	return k.bits <= 256 ? 200 : k.bits <= 384 ? 850 : 1500;
}

/* S10: MD5 and SHA-1 prove nothing, whatever the library says of them. */
static bool
sign_digest_proves(struct pool *p, size_t place, size_t depth)
{
	int algo = gnutls_x509_crt_get_signature_algorithm(pool_crt(p, place));
	const char *name = gnutls_sign_get_name((gnutls_sign_algorithm_t)algo);

	switch (gnutls_sign_get_hash_algorithm((gnutls_sign_algorithm_t)algo)) {
	case GNUTLS_DIG_MD2:
	case GNUTLS_DIG_MD5:
	case GNUTLS_DIG_RMD160:
	case GNUTLS_DIG_SHA1:
		break;
	default:
		if (algo > GNUTLS_SIGN_UNKNOWN && name != NULL &&
		    gnutls_sign_is_secure2((gnutls_sign_algorithm_t)algo,
			GNUTLS_SIGN_FLAG_SECURE_FOR_CERTS))
			return true;
	}
	return pool_broken(p, depth,
	    "is signed with %s: that digest proves nothing",
	    name != NULL ? name : "what nobody knows");
}

static bool
sign_fits(struct pool *p, size_t place, gnutls_pubkey_t key)
{
	const struct cert_parts *c = &p->cert[place].raw.parts;
	gnutls_datum_t tbs, sig = { NULL, 0 };
	gnutls_x509_crt_t crt = pool_crt(p, place);
	size_t len = 0;
	bool ok = false;
	int algo;

	if (gnutls_x509_crt_get_signature(crt, NULL, &len) !=
		GNUTLS_E_SHORT_MEMORY_BUFFER ||
	    (sig.data = malloc(len)) == NULL)
		return false;
	tbs.data = (unsigned char *)(uintptr_t)c->tbs;
	tbs.size = (unsigned)c->tbs_len;
	algo = gnutls_x509_crt_get_signature_algorithm(crt);
	if (gnutls_x509_crt_get_signature(crt, (char *)sig.data, &len) >= 0) {
		sig.size = (unsigned)len;
		ok = gnutls_pubkey_verify_data2(key,
			 (gnutls_sign_algorithm_t)algo, 0, &tbs, &sig) >= 0;
	}
	free(sig.data);
	return ok;
}

/* Is that key's signature on it, and worth something? */
static bool
sign_is_right(struct pool *p, size_t place, size_t depth, gnutls_pubkey_t key,
    const uint8_t *spki, size_t len)
{
	return sign_digest_proves(p, place, depth) &&
	    pool_work(p, sign_work(spki, len)) &&
	    (sign_fits(p, place, key) ||
		pool_broken(
		    p, depth, "has an issuer's signature that does not hold"));
}

/* U08 */
bool
sign_holds(struct pool *p, size_t place, size_t depth, size_t above)
{
	const struct cert_parts *by = &p->cert[above].raw.parts;
	gnutls_pubkey_t key;
	bool ok;

	if (gnutls_pubkey_init(&key) < 0)
		return false;
	ok = gnutls_pubkey_import_x509(key, pool_crt(p, above), 0) >= 0 &&
	    sign_is_right(p, place, depth, key, by->spki, by->spki_len);
	gnutls_pubkey_deinit(key);
	return ok;
}

bool
sign_by_key(
    struct pool *p, size_t place, size_t depth, const struct danevirke_tlsa *t)
{
	gnutls_datum_t spki = { (unsigned char *)(uintptr_t)t->data,
		(unsigned)t->len };
	gnutls_pubkey_t key;
	bool ok;

	if (!sign_key_proves(p, t->data, t->len, "the key in DNS is") ||
	    !sign_digest_proves(p, place, depth) ||
	    gnutls_pubkey_init(&key) < 0)
		return false;
	ok = pool_work(p, sign_work(t->data, t->len)) &&
	    gnutls_pubkey_import(key, &spki, GNUTLS_X509_FMT_DER) >= 0 &&
	    sign_fits(p, place, key);
	gnutls_pubkey_deinit(key);
	return ok;
}

/* SPDX-License-Identifier: ISC */
/* RRSIG and DS records against DNSKEY records (RFC 4034, 4035 5); see
 * signature.h. */
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

#include "signature.h"

#define SIG_HEAD 18 /* octets of RRSIG RDATA before the signer's name */
#define KEY_HEAD 4  /* of DNSKEY RDATA before the key */
#define ZONE_KEY 0x0100
#define REVOKED 0x0080
/* RFC 3110 and no more: beyond, one verification costs milliseconds */
#define RSA_MAX 512
#define EXPONENT_MAX 8
#define SIGS_MAX 8 /* of an RRset, and keys with one tag */

unsigned
signature_key_tag(const uint8_t *rdata, size_t len)
{
	unsigned long sum = 0;
	size_t i;

	for (i = 0; i < len; i++)
		sum += i & 1 ? rdata[i] : (unsigned long)rdata[i] << 8;
	sum += sum >> 16 & 0xffff;
	return (unsigned)(sum & 0xffff);
}

/* RFC 8624 3.1; what every build of libunbound validates, and SHA-1 */
static gnutls_sign_algorithm_t
signature_algorithm(unsigned number)
{
	switch (number) {
	case 5:
	case 7:
		return GNUTLS_SIGN_RSA_SHA1;
	case 8:
		return GNUTLS_SIGN_RSA_SHA256;
	case 10:
		return GNUTLS_SIGN_RSA_SHA512;
	case 13:
		return GNUTLS_SIGN_ECDSA_SHA256;
	case 14:
		return GNUTLS_SIGN_ECDSA_SHA384;
	case 15:
		return GNUTLS_SIGN_EDDSA_ED25519;
	}
	return GNUTLS_SIGN_UNKNOWN;
}

/* ------------------------------------------------------------------- keys */

/* RFC 3110 2 */
static bool
rsa_import(gnutls_pubkey_t key, const uint8_t *p, size_t len)
{
	gnutls_datum_t e, m;
	size_t n = 0, head = 1;

	if (len > 3) {
		n = p[0];
		if (n == 0) {
			n = get16(p + 1);
			head = 3;
		}
	}
	if (n == 0 || n > EXPONENT_MAX || len - head <= n ||
	    len - head - n > RSA_MAX)
		return false;
	e = (gnutls_datum_t){ (uint8_t *)(uintptr_t)p + head, (unsigned)n };
	m = (gnutls_datum_t){ e.data + n, (unsigned)(len - head - n) };
	return gnutls_pubkey_import_rsa_raw(key, &m, &e) == 0;
}

/* RFC 6605 4, RFC 8080 3 */
static bool
curve_import(
    gnutls_pubkey_t key, gnutls_ecc_curve_t curve, const uint8_t *p, size_t len)
{
	bool ed = curve == GNUTLS_ECC_CURVE_ED25519;
	size_t half = ed ? 32 : curve == GNUTLS_ECC_CURVE_SECP256R1 ? 32 : 48;
	gnutls_datum_t x = { (uint8_t *)(uintptr_t)p, (unsigned)half }, y;

	if (len != (ed ? half : 2 * half))
		return false;
	y = (gnutls_datum_t){ x.data + half, (unsigned)half };
	return gnutls_pubkey_import_ecc_raw(key, curve, &x, ed ? NULL : &y) ==
	    0;
}

/* NULL: not understood. */
static gnutls_pubkey_t
key_import(const struct rdata *k)
{
	const uint8_t *p = k->data + KEY_HEAD;
	size_t len = k->len - KEY_HEAD;
	gnutls_pubkey_t key;
	bool good;

	if (gnutls_pubkey_init(&key) != 0)
		return NULL;
	switch (signature_algorithm(k->data[3])) {
	case GNUTLS_SIGN_ECDSA_SHA256:
		good = curve_import(key, GNUTLS_ECC_CURVE_SECP256R1, p, len);
		break;
	case GNUTLS_SIGN_ECDSA_SHA384:
		good = curve_import(key, GNUTLS_ECC_CURVE_SECP384R1, p, len);
		break;
	case GNUTLS_SIGN_EDDSA_ED25519:
		good = curve_import(key, GNUTLS_ECC_CURVE_ED25519, p, len);
		break;
	default:
		good = rsa_import(key, p, len);
	}
	if (good)
		return key;
	gnutls_pubkey_deinit(key);
	return NULL;
}

/* ---------------------------------------------------------- what is signed */

/* RFC 4035 5.3.2: the owner, with what a wildcard stood for put back */
static bool
owner_of(const struct wire *owner, unsigned labels, struct wire *out)
{
	unsigned n = wire_labels(owner);
	struct wire rest = *owner;

	if (labels > n)
		return false;
	*out = *owner;
	if (labels == n)
		return true;
	for (; n > labels; n--)
		rest = wire_up(&rest);
	out->data[0] = 1;
	out->data[1] = '*';
	memcpy(out->data + 2, rest.data, rest.len);
	out->len = rest.len + 2; /* a whole label was taken away */
	return true;
}

/* RFC 4034 3.1.8.1, to be free()d; NULL: malformed or no memory. */
static uint8_t *
signed_data(
    const struct rrset *set, const struct rdata *sig, size_t head, size_t *len)
{
	struct wire owner;
	uint8_t *data, *p;
	size_t i;

	if (!owner_of(&set->owner, sig->data[3], &owner))
		return NULL;
	*len = head;
	for (i = 0; i < set->n; i++)
		*len += owner.len + 10 + set->rr[i].len;
	if ((data = malloc(*len)) == NULL)
		return NULL;
	memcpy(data, sig->data, head);
	p = data + head;
	for (i = 0; i < set->n; i++) {
		memcpy(p, owner.data, owner.len);
		p += owner.len;
		memcpy(p, sig->data, 2); /* type covered */
		p[2] = 0;
		p[3] = 1;                        /* class IN */
		memcpy(p + 4, sig->data + 4, 4); /* original TTL */
		p[8] = (uint8_t)(set->rr[i].len >> 8);
		p[9] = (uint8_t)set->rr[i].len;
		memcpy(p + 10, set->rr[i].data, set->rr[i].len);
		p += 10 + set->rr[i].len;
	}
	return data;
}

/* DNSSEC has r and s as they are (RFC 6605 4), the library wants DER. */
static bool
signature_verifies(gnutls_pubkey_t key, gnutls_sign_algorithm_t alg,
    const gnutls_datum_t *data, const uint8_t *sig, size_t len)
{
	gnutls_datum_t raw = { (uint8_t *)(uintptr_t)sig, (unsigned)len };
	gnutls_datum_t r, s, der = { NULL, 0 };
	bool ec = alg == GNUTLS_SIGN_ECDSA_SHA256 ||
	    alg == GNUTLS_SIGN_ECDSA_SHA384;
	bool good;

	if (ec) {
		if (len != (alg == GNUTLS_SIGN_ECDSA_SHA256 ? 64 : 96))
			return false;
		r = (gnutls_datum_t){ raw.data, raw.size / 2 };
		s = (gnutls_datum_t){ raw.data + raw.size / 2, raw.size / 2 };
		if (gnutls_encode_rs_value(&der, &r, &s) != 0)
			return false;
	}
	good = gnutls_pubkey_verify_data2(key, alg,
		   GNUTLS_VERIFY_ALLOW_BROKEN |
		       GNUTLS_VERIFY_ALLOW_SIGN_WITH_SHA1,
		   data, ec ? &der : &raw) >= 0;
	gnutls_free(der.data);
	return good;
}

/* --------------------------------------------------------------- one RRSIG */

/* Where the signer's name ends, 0: malformed or of another zone. */
static size_t
signer_end(const struct rdata *sig, const struct wire *zone)
{
	struct wire w;

	if (sig->len <= SIG_HEAD + zone->len)
		return 0;
	w.len = zone->len;
	memcpy(w.data, sig->data + SIG_HEAD, w.len);
	return wire_equal(&w, zone) ? SIG_HEAD + zone->len : 0;
}

static bool
key_fits(const struct rdata *k, const struct rdata *sig)
{
	return k->len > KEY_HEAD && (get16(k->data) & ZONE_KEY) != 0 &&
	    (get16(k->data) & REVOKED) == 0 && k->data[2] == 3 &&
	    k->data[3] == sig->data[2] &&
	    signature_key_tag(k->data, k->len) == get16(sig->data + 16);
}

static enum signature
by_keys(const struct rrset *set, const struct rdata *sig, size_t head,
    const struct rrset *keys, unsigned *left)
{
	enum signature best = SIGNATURE_KEYLESS;
	gnutls_sign_algorithm_t alg = signature_algorithm(sig->data[2]);
	gnutls_datum_t data;
	gnutls_pubkey_t key;
	size_t i, len, tried = 0;

	if (alg == GNUTLS_SIGN_UNKNOWN)
		return SIGNATURE_UNTOLD;
	if ((data.data = signed_data(set, sig, head, &len)) == NULL)
		return SIGNATURE_BAD;
	data.size = (unsigned)len;
	for (i = 0; i < keys->n && best != SIGNATURE_GOOD; i++) {
		if (!key_fits(&keys->rr[i], sig))
			continue;
		if (*left == 0 || ++tried > SIGS_MAX ||
		    (key = key_import(&keys->rr[i])) == NULL) {
			best = SIGNATURE_UNTOLD;
			continue;
		}
		--*left;
		if (signature_verifies(
			key, alg, &data, sig->data + head, sig->len - head))
			best = SIGNATURE_GOOD;
		else if (best == SIGNATURE_KEYLESS)
			best = SIGNATURE_BAD;
		gnutls_pubkey_deinit(key);
	}
	free(data.data);
	return best;
}

/* RFC 4035 5.3.1 */
static enum signature
signature_one(const struct rrset *set, const struct rdata *sig,
    const struct wire *zone, const struct rrset *keys, uint32_t now,
    unsigned *left)
{
	size_t head = signer_end(sig, zone);

	if (head == 0)
		return SIGNATURE_BAD;
	if ((int32_t)(get32(sig->data + 8) - now) < 0)
		return SIGNATURE_ENDED;
	if ((int32_t)(now - get32(sig->data + 12)) < 0)
		return SIGNATURE_EARLY;
	return by_keys(set, sig, head, keys, left);
}

enum signature
signature_check(const struct rrset *set, const struct wire *zone,
    const struct rrset *keys, time_t now, unsigned *left, uint32_t *until)
{
	enum signature best = SIGNATURE_NONE, s;
	size_t i;

	*until = 0;
	for (i = 0; i < set->n_sig && best != SIGNATURE_GOOD; i++) {
		if (i == SIGS_MAX)
			return best > SIGNATURE_UNTOLD ? SIGNATURE_UNTOLD :
							 best;
		s = signature_one(
		    set, &set->sig[i], zone, keys, (uint32_t)now, left);
		if (i > 0 && s >= best)
			continue;
		best = s;
		if (set->sig[i].len >= SIG_HEAD)
			*until = get32(set->sig[i].data + 8);
	}
	return best;
}

/* ---------------------------------------------------------------------- DS */

static gnutls_digest_algorithm_t
ds_digest(unsigned number)
{
	return number == 1 ? GNUTLS_DIG_SHA1 :
	    number == 2    ? GNUTLS_DIG_SHA256 :
	    number == 4    ? GNUTLS_DIG_SHA384 :
			     GNUTLS_DIG_UNKNOWN;
}

bool
ds_known(const struct rdata *ds)
{
	return ds->len > 4 &&
	    signature_algorithm(ds->data[2]) != GNUTLS_SIGN_UNKNOWN &&
	    ds_digest(ds->data[3]) != GNUTLS_DIG_UNKNOWN;
}

/* RFC 4034 5.1.4 */
static bool
ds_matches(
    const struct wire *zone, const struct rdata *ds, const struct rdata *key)
{
	gnutls_digest_algorithm_t alg;
	gnutls_hash_hd_t h;
	uint8_t digest[64];
	size_t len;

	if (!ds_known(ds) || key->len <= KEY_HEAD ||
	    get16(ds->data) != signature_key_tag(key->data, key->len) ||
	    ds->data[2] != key->data[3])
		return false;
	alg = ds_digest(ds->data[3]);
	len = gnutls_hash_get_len(alg);
	if (ds->len != 4 + len || gnutls_hash_init(&h, alg) != 0)
		return false;
	gnutls_hash(h, zone->data, zone->len);
	gnutls_hash(h, key->data, key->len);
	gnutls_hash_deinit(h, digest);
	return memcmp(digest, ds->data + 4, len) == 0;
}

bool
ds_keys(struct arena *a, const struct wire *zone, const struct rrset *ds,
    const struct rrset *keys, struct rrset *out)
{
	size_t i, j;

	memset(out, 0, sizeof *out);
	out->rr = arena_array(a, keys->n + 1, sizeof *out->rr);
	if (out->rr == NULL)
		return false;
	out->owner = keys->owner;
	out->type = TYPE_DNSKEY;
	for (i = 0; i < keys->n; i++) {
		for (j = 0; j < ds->n; j++)
			if (ds_matches(zone, &ds->rr[j], &keys->rr[i]))
				break;
		if (j < ds->n)
			out->rr[out->n++] = keys->rr[i];
	}
	return true;
}

/* SPDX-License-Identifier: ISC */
/*
 * Certificates for the tests, good and sinful, from one line each.  An issuer
 * is no more than a subject and a key, so that certificates may sign each
 * other in a circle, and one subject and key may have several issuers.
 */
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certs.h"
#include "specs.h"

#define DAY 86400
#define P256 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)
#define P521 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1)
#define N_SPECS (sizeof specs / sizeof *specs)
#define N_FILL 40 /* strangers "fill-0" ..., to make a crowd of */

static const struct spec stranger = {
	.id = "fill", .cn = "Fill", .key = KEY_OTHER, .ca = 1
};
static struct cert made[N_SPECS + N_FILL];
static size_t n_made;
static gnutls_x509_privkey_t keys[N_KEYS];
static gnutls_pubkey_t huge, dsa;

/* --------------------------------------------------------------- values */

/* One name: %XX undone; the length */
static size_t
unescape(const char *in, size_t len, char *out, size_t size)
{
	unsigned octet;
	size_t i, n = 0;

	for (i = 0; i < len && n < size; i++) {
		if (in[i] == '%' && i + 2 < len &&
		    sscanf(in + i + 1, "%2x", &octet) == 1) {
			out[n++] = (char)octet;
			i += 2;
		} else
			out[n++] = in[i];
	}
	return n;
}

/* "ip:" and so on: the kind, and in *text what follows */
static int
name_kind(const char **text, size_t *len)
{
	static const struct {
		const char *prefix;
		int kind;
	} t[] = {
		{ "ip:", GNUTLS_SAN_IPADDRESS },
		{ "mail:", GNUTLS_SAN_RFC822NAME },
		{ "uri:", GNUTLS_SAN_URI },
		{ "dir:", GNUTLS_SAN_DN },
	};
	size_t i, n;

	for (i = 0; i < sizeof t / sizeof *t; i++) {
		n = strlen(t[i].prefix);
		if (*len >= n && memcmp(*text, t[i].prefix, n) == 0) {
			*text += n;
			*len -= n;
			return t[i].kind;
		}
	}
	return GNUTLS_SAN_DNSNAME;
}

/* GeneralNames in DER, written by hand: libraries refuse bad names. */
static int
set_san(gnutls_x509_crt_t crt, const char *names)
{
	static const uint8_t tags[] = { [GNUTLS_SAN_DNSNAME] = 0x82,
		[GNUTLS_SAN_RFC822NAME] = 0x81,
		[GNUTLS_SAN_URI] = 0x86,
		[GNUTLS_SAN_IPADDRESS] = 0x87 };
	uint8_t der[130] = { 0x30 };
	size_t n = 2, len;
	int kind;

	while (names != NULL && *names != '\0') {
		const char *text = names;

		len = strcspn(names, " ");
		names += len + (names[len] == ' ');
		kind = name_kind(&text, &len);
		if (n + 2 + len > sizeof der)
			return -1;
		der[n] = tags[kind];
		if (kind == GNUTLS_SAN_IPADDRESS) {
			char ip[32] = "";

			memcpy(ip, text, len < 31 ? len : 31);
			if (inet_pton(AF_INET, ip, der + n + 2) != 1)
				return -1;
			len = 4;
		} else
			len = unescape(
			    text, len, (char *)der + n + 2, sizeof der - n - 2);
		der[n + 1] = (uint8_t)len;
		n += 2 + len;
	}
	der[1] = (uint8_t)(n - 2); /* below 128: the short form */
	return gnutls_x509_crt_set_extension_by_oid(
	    crt, "2.5.29.17", der, n, 0);
}

/* 1100 times the name "a" */
static int
set_crowd_of_names(gnutls_x509_crt_t crt)
{
	enum { N = 1100 };
	uint8_t der[4 + 3 * N] = { 0x30, 0x82, 3 * N >> 8, 3 * N & 0xff };
	size_t i;

	for (i = 4; i < sizeof der; i += 3)
		memcpy(der + i,
		    "\x82\x01"
		    "a",
		    3);
	return gnutls_x509_crt_set_extension_by_oid(
	    crt, "2.5.29.17", der, sizeof der, 0);
}

/* A point to fetch CRLs from, a mapping, inhibitPolicyMapping */
static int
set_policies(gnutls_x509_crt_t crt)
{
	static const struct {
		const char *oid, *der;
		size_t len;
	} t[] = {
		{ "2.5.29.31", "\x30\x0b\x30\x09\xa0\x07\xa0\x05\x86\x03x:y",
		    13 },
		{ "2.5.29.33",
		    "\x30\x0a\x30\x08\x06\x02\x2a\x03\x06\x02\x2a\x04", 12 },
		{ "2.5.29.36", "\x30\x03\x81\x01\x00", 5 },
	};
	size_t i;
	int rc = 0;

	for (i = 0; i < 3 && rc >= 0; i++)
		rc = gnutls_x509_crt_set_extension_by_oid(
		    crt, t[i].oid, t[i].der, t[i].len, 1);
	return rc;
}

static int
set_eku(gnutls_x509_crt_t crt, const char *words)
{
	static const struct {
		const char *word, *oid;
	} t[] = {
		{ "server", GNUTLS_KP_TLS_WWW_SERVER },
		{ "client", GNUTLS_KP_TLS_WWW_CLIENT },
		{ "any", GNUTLS_KP_ANY },
	};
	uint8_t der[4 + 500 * 5] = { 0x30, 0x82, 500 * 5 >> 8, 500 * 5 & 0xff };
	size_t i;
	int rc = 0;

	if (strcmp(words, "crowd") == 0) {
		for (i = 4; i < sizeof der; i += 5)
			memcpy(der + i, "\x06\x03\x55\x1d\x26", 5);
		return gnutls_x509_crt_set_extension_by_oid(
		    crt, "2.5.29.37", der, sizeof der, 0);
	}
	for (i = 0; i < 3 && rc >= 0; i++)
		if (strstr(words, t[i].word) != NULL)
			rc = gnutls_x509_crt_set_key_purpose_oid(
			    crt, t[i].oid, 0);
	return rc;
}

/* Permitted: names below CN=x, which GnuTLS cannot write */
static const uint8_t permit_dir[] = { 0x30, 0x14, 0xa0, 0x12, 0x30, 0x10, 0xa4,
	0x0e, 0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03,
	0x0c, 0x01, 0x78 };

/* Permitted: example.org, over and over */
static int
set_crowd(gnutls_x509_crt_t crt)
{
	static const uint8_t one[] = "\x30\x0d\x82\x0b"
				     "example.org";
	enum { LEN = 1000 * (sizeof one - 1) };
	uint8_t der[8 + LEN] = { 0x30, 0x82, (LEN + 4) >> 8, (LEN + 4) & 0xff,
		0xa0, 0x82, LEN >> 8, LEN & 0xff };
	size_t i;

	for (i = 0; i < LEN; i += sizeof one - 1)
		memcpy(der + 8 + i, one, sizeof one - 1);
	return gnutls_x509_crt_set_extension_by_oid(
	    crt, "2.5.29.30", der, sizeof der, 1);
}

static int
set_constraints(gnutls_x509_crt_t crt, const struct spec *s)
{
	const char *text = s->permit != NULL ? s->permit : s->exclude;
	gnutls_x509_name_constraints_t nc;
	uint8_t dir[sizeof permit_dir];
	gnutls_datum_t d;
	size_t len;
	int kind, rc;

	if (s->flags & CROWDED)
		return set_crowd(crt);
	if (text == NULL)
		return 0;
	len = strlen(text);
	kind = name_kind(&text, &len);
	d.data = (unsigned char *)(uintptr_t)text;
	d.size = (unsigned)len;
	if (kind == GNUTLS_SAN_DN) {
		memcpy(dir, permit_dir, sizeof dir);
		dir[2] += s->permit == NULL; /* [1] excludes */
		return gnutls_x509_crt_set_extension_by_oid(
		    crt, "2.5.29.30", dir, sizeof dir, 1);
	}
	if ((rc = gnutls_x509_name_constraints_init(&nc)) < 0)
		return rc;
	rc = s->permit != NULL ? gnutls_x509_name_constraints_add_permitted(nc,
				     (gnutls_x509_subject_alt_name_t)kind, &d) :
				 gnutls_x509_name_constraints_add_excluded(nc,
				     (gnutls_x509_subject_alt_name_t)kind, &d);
	if (rc >= 0)
		rc = gnutls_x509_crt_set_name_constraints(crt, nc, 1);
	gnutls_x509_name_constraints_deinit(nc);
	return rc;
}

static int
set_key_ids(gnutls_x509_crt_t crt, gnutls_x509_privkey_t own,
    gnutls_x509_privkey_t issuer)
{
	uint8_t id[20];
	size_t len = sizeof id;
	int rc;

	if ((rc = gnutls_x509_privkey_get_key_id(own, 0, id, &len)) < 0 ||
	    (rc = gnutls_x509_crt_set_subject_key_id(crt, id, len)) < 0)
		return rc;
	len = sizeof id;
	if ((rc = gnutls_x509_privkey_get_key_id(issuer, 0, id, &len)) < 0)
		return rc;
	return gnutls_x509_crt_set_authority_key_id(crt, id, len);
}

/* --------------------------------------------------------- certificates */

static const struct spec *
spec_find(const char *id)
{
	size_t i;

	for (i = 0; i < N_SPECS; i++)
		if (strcmp(specs[i].id, id) == 0)
			return &specs[i];
	return strcmp(id, stranger.id) == 0 ? &stranger : NULL;
}

/* What an issuer is made of: subject and key. */
static int
set_subject(gnutls_x509_crt_t crt, const struct spec *s)
{
	const char *cn[2] = { s->cn, s->cn2 };
	char name[256];
	size_t i, len;
	int rc;

	for (i = 0; i < 2 && cn[i] != NULL; i++) {
		len = unescape(cn[i], strlen(cn[i]), name, sizeof name);
		if ((rc = gnutls_x509_crt_set_dn_by_oid(crt,
			 GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)len)) <
		    0)
			return rc;
	}
	if (s->key >= N_KEYS)
		return gnutls_x509_crt_set_pubkey(
		    crt, s->key == KEY_DSA ? dsa : huge);
	return gnutls_x509_crt_set_key(crt, keys[s->key]);
}

static int
set_extensions(
    gnutls_x509_crt_t crt, const struct spec *s, const struct spec *issuer)
{
	static const uint8_t null[] = { 5, 0 };
	char oid[40];
	int rc = 0, i;

	if (s->version == 1)
		return 0;
	if (s->ca != 0)
		rc = gnutls_x509_crt_set_basic_constraints(
		    crt, s->ca > 0, s->path - 1);
	if (rc >= 0 && s->usage != 0)
		rc = gnutls_x509_crt_set_key_usage(crt, s->usage);
	if (rc >= 0 && s->san != NULL)
		rc = set_san(crt, s->san);
	if (rc >= 0 && (s->flags & POPULOUS))
		rc = set_crowd_of_names(crt);
	if (rc >= 0 && (s->flags & POLICIES))
		rc = set_policies(crt);
	if (rc >= 0 && s->eku != NULL)
		rc = set_eku(crt, s->eku);
	if (rc >= 0)
		rc = set_constraints(crt, s);
	if (rc >= 0 && !(s->flags & NO_KEYID))
		rc = set_key_ids(crt, keys[s->key], keys[issuer->key]);
	if (rc >= 0 && (s->flags & CRITICAL))
		rc = gnutls_x509_crt_set_extension_by_oid(
		    crt, "1.3.6.1.4.1.32473.1", null, sizeof null, 1);
	for (i = 0; i < 100 && rc >= 0 && (s->flags & LADEN); i++) {
		snprintf(oid, sizeof oid, "1.3.6.1.4.1.32473.2.%d", i);
		rc = gnutls_x509_crt_set_extension_by_oid(
		    crt, oid, null, sizeof null, 0);
	}
	return rc;
}

/* What the spec says, signed; der on GnuTLS's heap */
static int
build(const struct spec *s, gnutls_datum_t *der)
{
	const struct spec *is = s->issuer == NULL ? s : spec_find(s->issuer);
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt = NULL, issuer = NULL;
	bool usual = s->from == 0 && s->until == 0;
	uint8_t serial[3] = { 1, (uint8_t)(n_made >> 8), (uint8_t)n_made };
	gnutls_digest_algorithm_t digest = s->flags & WITH_SHA1 ?
	    GNUTLS_DIG_SHA1 :
	    s->flags & WITH_MD5 ? GNUTLS_DIG_MD5 :
				  GNUTLS_DIG_SHA256;
	unsigned flags = s->flags & WITH_PSS ?
	    GNUTLS_PRIVKEY_SIGN_FLAG_RSA_PSS :
	    s->flags & (WITH_SHA1 | WITH_MD5) ? GNUTLS_PRIVKEY_FLAG_CA :
						0;
	int rc;

	if (is == NULL)
		return GNUTLS_E_INVALID_REQUEST;
	key = keys[s->signer == KEY_ISSUER ? is->key : s->signer];
	if ((rc = gnutls_x509_crt_init(&crt)) < 0 ||
	    (rc = gnutls_x509_crt_init(&issuer)) < 0 ||
	    (rc = set_subject(issuer, is)) < 0 ||
	    (rc = set_subject(crt, s)) < 0 ||
	    (rc = gnutls_x509_crt_set_version(
		 crt, s->version == 0 ? 3 : (unsigned)s->version)) < 0 ||
	    (rc = gnutls_x509_crt_set_serial(crt, serial, 3)) < 0 ||
	    (rc = gnutls_x509_crt_set_activation_time(
		 crt, NOW + (usual ? -30 : s->from) * DAY)) < 0 ||
	    (rc = gnutls_x509_crt_set_expiration_time(
		 crt, NOW + (time_t)(usual ? 30 : s->until) * DAY)) < 0 ||
	    (rc = set_extensions(crt, s, is)) < 0 ||
	    (rc = gnutls_x509_crt_sign2(crt, issuer, key, digest, flags)) < 0 ||
	    (rc = gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, der)) < 0)
		goto out;
	if (s->flags & SPOILED)
		der->data[der->size - 1] ^= 1;
out:
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_crt_deinit(issuer);
	return rc;
}

/* An RSA key whose exponent is as long as the modulus, and one for DSA: M11,
 * S09. */
static int
make_public(void)
{
	uint8_t n[256], e[256];
	gnutls_datum_t dn = { n, sizeof n }, de = { e, sizeof e };
	gnutls_datum_t dq = { n, 32 };
	int rc;

	memset(n, 0xff, sizeof n);
	memset(e, 0x55, sizeof e);
	if ((rc = gnutls_pubkey_init(&huge)) >= 0)
		rc = gnutls_pubkey_import_rsa_raw(huge, &dn, &de);
	if (rc >= 0 && (rc = gnutls_pubkey_init(&dsa)) >= 0)
		rc = gnutls_pubkey_import_dsa_raw(dsa, &dn, &dq, &de, &de);
	return rc;
}

/* The public key, as GnuTLS writes it: not by way of the module. */
static int
export_key(enum key which, gnutls_datum_t *der)
{
	gnutls_privkey_t private = NULL;
	gnutls_pubkey_t public = NULL;
	gnutls_x509_privkey_t key;
	int rc;

	if (which >= N_KEYS)
		return gnutls_pubkey_export2(
		    which == KEY_DSA ? dsa : huge, GNUTLS_X509_FMT_DER, der);
	key = keys[which];
	if ((rc = gnutls_privkey_init(&private)) >= 0 &&
	    (rc = gnutls_privkey_import_x509(private, key, 0)) >= 0 &&
	    (rc = gnutls_pubkey_init(&public)) >= 0 &&
	    (rc = gnutls_pubkey_import_privkey(public, private, 0, 0)) >= 0)
		rc = gnutls_pubkey_export2(public, GNUTLS_X509_FMT_DER, der);
	gnutls_pubkey_deinit(public);
	gnutls_privkey_deinit(private);
	return rc;
}

static uint8_t *
copy(const gnutls_datum_t *d, size_t *len)
{
	uint8_t *p = malloc(d->size);

	if (p != NULL)
		memcpy(p, d->data, *len = d->size);
	return p;
}

static int
cert_make(const struct spec *s, const char *id)
{
	gnutls_datum_t der = { NULL, 0 }, spki = { NULL, 0 };
	struct cert *c = &made[n_made];
	int rc;

	if ((rc = build(s, &der)) >= 0 &&
	    (rc = export_key(s->key, &spki)) >= 0) {
		c->der = copy(&der, &c->len);
		c->spki = copy(&spki, &c->spki_len);
		c->id = id;
		n_made++;
	}
	gnutls_free(der.data);
	gnutls_free(spki.data);
	if (rc < 0)
		fprintf(
		    stderr, "certificate %s: %s\n", id, gnutls_strerror(rc));
	return rc < 0 || c->der == NULL || c->spki == NULL ? -1 : 0;
}

int
certs_make(void)
{
	static const unsigned bits[N_KEYS] = {
		[KEY_RSA] = 2048, [KEY_WEAK] = 1024
	};
	size_t i;

	for (i = 1; i < N_KEYS; i++)
		if (gnutls_x509_privkey_init(&keys[i]) < 0 ||
		    gnutls_x509_privkey_generate(keys[i],
			bits[i] > 0 ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA,
			bits[i] > 0       ? bits[i] :
			    i == KEY_P521 ? P521 :
					    P256,
			0) < 0) {
			fprintf(stderr, "key %zu: cannot be made\n", i);
			return -1;
		}
	if (make_public() < 0)
		return -1;
	for (i = 0; i < N_SPECS; i++)
		if (cert_make(&specs[i], specs[i].id) != 0)
			return -1;
	for (i = 0; i < N_FILL; i++) /* they differ in their serial numbers */
		if (cert_make(&stranger, stranger.id) != 0)
			return -1;
	return 0;
}

const struct cert *
cert_find(const char *id)
{
	unsigned n = 0;
	size_t i;

	if (sscanf(id, "fill-%u", &n) == 1) /* the strangers stand last */
		return n < N_FILL ? &made[N_SPECS + n] : NULL;
	for (i = 0; i < N_SPECS; i++)
		if (strcmp(made[i].id, id) == 0)
			return &made[i];
	return NULL;
}

void
certs_free(void)
{
	size_t i;

	for (i = 0; i < n_made; i++) {
		free(made[i].der);
		free(made[i].spki);
	}
	n_made = 0;
	for (i = 1; i < N_KEYS; i++)
		gnutls_x509_privkey_deinit(keys[i]);
	gnutls_pubkey_deinit(huge);
	gnutls_pubkey_deinit(dsa);
}

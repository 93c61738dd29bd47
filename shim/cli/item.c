/* SPDX-License-Identifier: ISC */
/*
 * Certificates, certificate requests and keys, PEM or DER, down to the bytes
 * that a TLSA record is made of.
 */
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "spki.h"

const char *
item_word(const struct item *it)
{
	switch (it->type) {
	case ITEM_CERT:
		return it->ca ? "CA certificate" : "certificate";
	case ITEM_REQUEST:
		return "certificate request";
	case ITEM_KEY:
		break;
	}
	return "key";
}

void
item_free(struct items *s)
{
	size_t i;

	for (i = 0; i < s->n; i++) {
		blob_free(&s->item[i].cert);
		blob_free(&s->item[i].spki);
	}
	free(s->item);
	s->item = NULL;
	s->n = 0;
}

/* The library says whether it is sound, the bytes come from the file (U17). */
static int
item_cert(const struct blob *der, struct item *it)
{
	gnutls_datum_t d = { der->data, (unsigned)der->len };
	gnutls_x509_crt_t crt;
	const uint8_t *spki;
	unsigned critical;
	size_t len;
	int bad;

	it->type = ITEM_CERT;
	if (spki_find(der->data, der->len, &spki, &len) != 0 ||
	    gnutls_x509_crt_init(&crt) != 0)
		return -1;
	bad = gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_DER) != 0;
	if (!bad)
		it->ca = gnutls_x509_crt_get_ca_status(crt, &critical) > 0;
	gnutls_x509_crt_deinit(crt);
	if (bad || blob_copy(der->data, der->len, &it->cert) != 0)
		return -1;
	return blob_copy(spki, len, &it->spki);
}

static int
item_request(const struct blob *der, struct item *it)
{
	gnutls_datum_t d = { der->data, (unsigned)der->len };
	gnutls_x509_crq_t crq;
	const uint8_t *spki;
	size_t len;
	int ret = -1;

	it->type = ITEM_REQUEST;
	if (request_spki(der->data, der->len, &spki, &len) != 0 ||
	    gnutls_x509_crq_init(&crq) != 0)
		return -1;
	if (gnutls_x509_crq_import(crq, &d, GNUTLS_X509_FMT_DER) == 0 &&
	    gnutls_x509_crq_verify(crq, 0) == 0)
		ret = blob_copy(spki, len, &it->spki);
	gnutls_x509_crq_deinit(crq);
	return ret;
}

static int
item_public(const struct blob *der, struct item *it)
{
	gnutls_datum_t d = { der->data, (unsigned)der->len };
	gnutls_pubkey_t pub;
	int bad;

	it->type = ITEM_KEY;
	if (gnutls_pubkey_init(&pub) != 0)
		return -1;
	bad = gnutls_pubkey_import(pub, &d, GNUTLS_X509_FMT_DER) != 0;
	gnutls_pubkey_deinit(pub);
	return bad ? -1 : blob_copy(der->data, der->len, &it->spki);
}

/* A private key holds no subjectPublicKeyInfo: the library makes the one that
 * a certificate for it will have. */
static int
item_private(
    const gnutls_datum_t *d, gnutls_x509_crt_fmt_t fmt, struct item *it)
{
	gnutls_privkey_t key = NULL;
	gnutls_pubkey_t pub = NULL;
	gnutls_datum_t out = { NULL, 0 };
	int ret = -1;

	it->type = ITEM_KEY;
	if (gnutls_privkey_init(&key) != 0 || gnutls_pubkey_init(&pub) != 0 ||
	    gnutls_privkey_import_x509_raw(key, d, fmt, NULL, 0) != 0 ||
	    gnutls_pubkey_import_privkey(pub, key, 0, 0) != 0 ||
	    gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_DER, &out) != 0)
		goto out;
	ret = blob_copy(out.data, out.size, &it->spki);
out:
	gnutls_free(out.data);
	if (pub != NULL)
		gnutls_pubkey_deinit(pub);
	if (key != NULL)
		gnutls_privkey_deinit(key);
	return ret;
}

static struct item *
item_new(struct items *s, const char *path, int line, int place)
{
	struct item *it;

	if ((it = reallocarray(s->item, s->n + 1, sizeof *it)) == NULL)
		return NULL;
	s->item = it;
	it += s->n++;
	memset(it, 0, sizeof *it);
	it->file = path;
	it->line = line;
	it->place = place;
	return it;
}

static int
item_read_der(
    struct cli *c, const char *path, const struct blob *file, struct items *s)
{
	gnutls_datum_t d = { file->data, (unsigned)file->len };
	struct item *it;

	if ((it = item_new(s, path, 0, 0)) == NULL) {
		cli_error(c, "out of memory");
		return -1;
	}
	if (item_cert(file, it) == 0 || item_request(file, it) == 0 ||
	    item_public(file, it) == 0 ||
	    item_private(&d, GNUTLS_X509_FMT_DER, it) == 0)
		return 0;
	cli_error(c, "%s: neither PEM nor a certificate, request or key in DER",
	    path);
	return -1;
}

static bool
item_is_private(const struct pem *p)
{
	return pem_is(p, "PRIVATE KEY") || pem_is(p, "RSA PRIVATE KEY") ||
	    pem_is(p, "EC PRIVATE KEY");
}

/* A private key as PEM again, for its label says what is inside. */
static int
item_private_block(
    const struct pem *p, const struct blob *file, struct item *it)
{
	const char *label = p->label - strlen("-----BEGIN ");
	gnutls_datum_t d;

	d.data = file->data + (label - (const char *)file->data);
	d.size = (unsigned)(file->data + file->len - d.data);
	return item_private(&d, GNUTLS_X509_FMT_PEM, it);
}

/* 1: not something with a public key, such as EC PARAMETERS */
static int
item_block(const struct pem *p, const struct blob *file, struct item *it)
{
	if (pem_is(p, "CERTIFICATE") || pem_is(p, "X509 CERTIFICATE"))
		return item_cert(&p->body, it);
	if (pem_is(p, "CERTIFICATE REQUEST") ||
	    pem_is(p, "NEW CERTIFICATE REQUEST"))
		return item_request(&p->body, it);
	if (pem_is(p, "PUBLIC KEY"))
		return item_public(&p->body, it);
	if (item_is_private(p))
		return p->body.len == 0 ? -1 : item_private_block(p, file, it);
	return pem_is(p, "ENCRYPTED PRIVATE KEY") ? -1 : 1;
}

/* Beside certificates a key of the same file, as some servers want them, says
 * nothing new: certificates only, counted anew. */
static void
item_certs_only(struct items *s, size_t first)
{
	size_t i, n = first;

	for (i = first; i < s->n && s->item[i].type != ITEM_CERT; i++)
		;
	if (i == s->n)
		return;
	for (i = first; i < s->n; i++) {
		if (s->item[i].type != ITEM_CERT) {
			blob_free(&s->item[i].spki);
			continue;
		}
		s->item[n] = s->item[i];
		s->item[n].place = (int)(n - first);
		n++;
	}
	s->n = n;
}

static int
item_read_blocks(struct cli *c, const char *path, const struct blob *file,
    const struct pem *pem, size_t n, struct items *s)
{
	size_t i, first = s->n;
	struct item *it;
	int r;

	for (i = 0; i < n; i++) {
		if ((it = item_new(
			 s, path, pem[i].line, (int)(s->n - first))) == NULL) {
			cli_error(c, "out of memory");
			return -1;
		}
		if ((r = item_block(&pem[i], file, it)) == 0)
			continue;
		if (r < 0) {
			cli_error(c, "%s: line %d: %.*s: cannot be read: %s",
			    path, pem[i].line, (int)(pem[i].label_len & 63),
			    pem[i].label,
			    pem[i].body.len == 0 ||
				    pem_is(&pem[i], "ENCRYPTED PRIVATE KEY") ?
				"an encrypted key: give its public key or its "
				"certificate" :
				"damaged, or of a kind that is not supported");
			return -1;
		}
		s->n--; /* nothing was allocated for it */
	}
	item_certs_only(s, first);
	if (s->n > first)
		return 0;
	cli_error(c, "%s: no certificate, request or key in it", path);
	return -1;
}

int
item_read(struct cli *c, const char *path, struct items *s)
{
	struct blob file;
	struct pem *pem = NULL;
	char why[256];
	size_t n = 0;
	int ret = -1;

	if (blob_read(c, path, &file) != 0)
		return -1;
	if (pem_read(&file, &pem, &n, why, sizeof why) != 0)
		cli_error(c, "%s: %s", path, why);
	else if (n > 0)
		ret = item_read_blocks(c, path, &file, pem, n, s);
	else
		ret = item_read_der(c, path, &file, s);
	pem_free(pem, n);
	blob_free(&file);
	return ret;
}

int
item_data(struct cli *c, const struct item *it, const uint8_t kind[3],
    struct blob *out)
{
	const struct blob *in = kind[1] == DANEVIRKE_CERT ? &it->cert :
							    &it->spki;
	gnutls_digest_algorithm_t alg = kind[2] == DANEVIRKE_SHA2_512 ?
	    GNUTLS_DIG_SHA512 :
	    GNUTLS_DIG_SHA256;

	out->len = kind[2] == DANEVIRKE_FULL ? in->len :
					       gnutls_hash_get_len(alg);
	if ((out->data = malloc(out->len)) == NULL)
		return cli_error(c, "out of memory");
	if (kind[2] == DANEVIRKE_FULL)
		memcpy(out->data, in->data, in->len);
	else if (gnutls_hash_fast(alg, in->data, in->len, out->data) != 0) {
		blob_free(out);
		return cli_error(c, "the digest cannot be made");
	}
	return 0;
}

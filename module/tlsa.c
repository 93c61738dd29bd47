/* SPDX-License-Identifier: ISC */
/*
 * One TLSA record: is it usable, and is it in use (RFC 6698 2.1, 7671 9)?
 * Pure.
 */
#include <gnutls/x509.h>
#include <stdio.h>
#include <string.h>

#include "module.h"

#define SHA256_LEN 32
#define SHA512_LEN 64

void
tlsa_parse(const uint8_t *rdata, size_t len, struct danevirke_tlsa *t)
{
	memset(t, 0, sizeof *t);
	if (len >= 1)
		t->usage = rdata[0];
	if (len >= 2)
		t->selector = rdata[1];
	if (len >= 3)
		t->matching = rdata[2];
	if (len < 4) /* Q06 */
		return;
	t->data = rdata + 3;
	t->len = len - 3;
}

/* U02: full data that does not decode makes the record unusable. */
static const char *
full_why(const struct danevirke_tlsa *t)
{
	gnutls_datum_t d = { (unsigned char *)(uintptr_t)t->data,
		(unsigned)t->len };
	gnutls_x509_crt_t crt;
	const uint8_t *spki;
	size_t len;
	bool ok;

	if (t->len > UINT16_MAX)
		return "full data longer than a record can be";
	if (t->selector == DANEVIRKE_SPKI)
		return spki_check(t->data, t->len) == 0 ?
		    NULL :
		    "full data is not a public key in DER";
	if (spki_find(t->data, t->len, &spki, &len) != 0)
		return "full data is not a certificate in DER";
	if (gnutls_x509_crt_init(&crt) < 0)
		return "out of memory";
	ok = gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_DER) >= 0;
	gnutls_x509_crt_deinit(crt);
	return ok ? NULL : "full data is not a certificate in DER";
}

/* NULL: usable. */
static const char *
unusable_why(const struct danevirke_tlsa *t, uint32_t flags)
{
	if (t->data == NULL || t->len == 0)
		return "RDATA shorter than 4 octets"; /* Q06 */
	if (t->usage > DANEVIRKE_DANE_EE)
		return "unknown certificate usage"; /* U02, U03 */
	if (t->usage < DANEVIRKE_DANE_TA && !(flags & DANEVIRKE_PKIX_USAGES))
		return "usages 0 and 1 do not apply to SMTP"; /* U01 */
	if (t->selector > DANEVIRKE_SPKI)
		return "unknown selector";
	switch (t->matching) {
	case DANEVIRKE_FULL:
		return full_why(t);
	case DANEVIRKE_SHA2_256:
		return t->len == SHA256_LEN ?
		    NULL :
		    "SHA2-256 digest is not 32 octets long";
	case DANEVIRKE_SHA2_512:
		return t->len == SHA512_LEN ?
		    NULL :
		    "SHA2-512 digest is not 64 octets long";
	}
	return "unknown matching type";
}

/* Place in the order of digests, 0 the strongest; n if not in it. */
static size_t
tlsa_rank(uint8_t matching, const uint8_t *digests, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (digests[i] == matching)
			break;
	return i;
}

size_t
tlsa_classify(struct danevirke_tlsa *t, size_t n, uint32_t flags,
    const uint8_t *digests, size_t n_digests)
{
	size_t best[4][2], i, r, used = 0;

	for (i = 0; i < 8; i++)
		best[i / 2][i % 2] = n_digests;
	for (i = 0; i < n; i++) { /* A03: first */
		t[i].why = unusable_why(&t[i], flags);
		t[i].usable = t[i].use = 0;
		if (t[i].why != NULL)
			continue;
		if (t[i].matching == DANEVIRKE_FULL) { /* A02 */
			t[i].usable = 1;
			continue;
		}
		r = tlsa_rank(t[i].matching, digests, n_digests);
		if (r == n_digests) {
			t[i].why = "digest is not in the profile's list";
			continue;
		}
		t[i].usable = 1;
		if (r < best[t[i].usage][t[i].selector])
			best[t[i].usage][t[i].selector] = r;
	}
	for (i = 0; i < n; i++) { /* A01 */
		if (!t[i].usable)
			continue;
		if (t[i].matching != DANEVIRKE_FULL &&
		    tlsa_rank(t[i].matching, digests, n_digests) !=
			best[t[i].usage][t[i].selector]) {
			t[i].why = "a stronger digest is published";
			continue;
		}
		t[i].use = 1;
		used++;
	}
	return used;
}

static void
tlsa_word(
    uint8_t value, const char *const *names, size_t n, char *buf, size_t len)
{
	if (value < n)
		snprintf(buf, len, "%s", names[value]);
	else
		snprintf(buf, len, "%u", value);
}

void
tlsa_text(const struct danevirke_tlsa *t, char *buf, size_t len)
{
	static const char *const usage[] = { "PKIX-TA", "PKIX-EE", "DANE-TA",
		"DANE-EE" };
	static const char *const selector[] = { "Cert", "SPKI" };
	static const char *const matching[] = { "Full", "SHA2-256",
		"SHA2-512" };
	char u[12], s[12], m[12];

	tlsa_word(t->usage, usage, 4, u, sizeof u);
	tlsa_word(t->selector, selector, 2, s, sizeof s);
	tlsa_word(t->matching, matching, 3, m, sizeof m);
	snprintf(buf, len, "%s %s %s", u, s, m);
}

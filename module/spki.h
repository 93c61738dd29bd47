/* SPDX-License-Identifier: ISC */
/*
 * spki.h - what the octets of a certificate say before anybody decodes it:
 * where its parts are, how much there is of them, and what its key may cost.
 * For the module and for shims that make handshakes.
 */
#ifndef SPKI_H
#define SPKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SPKI_RSA_BITS 8192   /* S09: of a modulus, at most */
#define SPKI_EXPONENT 64     /* and of its exponent */
#define SPKI_ISSUER_RSA 2048 /* S10: of an issuer's modulus, at least */

/* The subjectPublicKeyInfo of a DER certificate, header included, as received
 * (U17).  0, or -1 if it is not a certificate in strict DER. */
int spki_find(
    const uint8_t *der, size_t len, const uint8_t **spki, size_t *spki_len);
/* The same of a certificate request (PKCS #10, RFC 2986 4.1). */
int request_spki(
    const uint8_t *der, size_t len, const uint8_t **spki, size_t *spki_len);
/* Is that one SEQUENCE, and nothing behind it? */
bool der_sequence(const uint8_t *der, size_t len);
/* Strict DER: one SubjectPublicKeyInfo and nothing behind it; 0 or -1. */
int spki_check(const uint8_t *der, size_t len);

/* Places in a certificate, headers included; tbs is what its issuer signed. */
struct cert_parts {
	const uint8_t *tbs, *issuer, *subject, *spki;
	size_t tbs_len, issuer_len, subject_len, spki_len;
	const uint8_t *extensions; /* the list; NULL: none */
	size_t extensions_len;
};
/* 0, or -1 as above. */
int cert_parts(const uint8_t *der, size_t len, struct cert_parts *);
/* How many elements are in it, those inside of extensions too; -1: more than
 * 64 extensions, or a list that is none. */
int cert_weight(const struct cert_parts *);

/* Octets of the extension 2.5.29.n, the largest if it is there twice; 0: it is
 * not there. */
size_t cert_extension(const struct cert_parts *, uint8_t n);

enum spki_kind {
	SPKI_UNKNOWN = 0, /* or not to be read */
	SPKI_DSA,
	SPKI_RSA,
	SPKI_CURVE /* ECDSA, EdDSA */
};
struct spki_key {
	enum spki_kind kind;
	size_t bits;     /* of the modulus; on a curve, about that of it */
	size_t exponent; /* bits; of RSA */
};
/* What kind of key that is, and how large.  spki: what spki_check() takes. */
struct spki_key spki_key(const uint8_t *spki, size_t len);
/* S09: may that be used at all?  False, and in why what it is, to go on from
 * "the key is ". */
bool spki_bounded(const struct spki_key *, char *why, size_t size);

#endif

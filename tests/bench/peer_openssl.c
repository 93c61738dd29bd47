/* SPDX-License-Identifier: ISC */
/* The same question to libssl's DANE: peer_openssl "U S M HEX" NAME TIMES
 * CERT.der...  DER in, verdict out, as in verify.c. */
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "bench.h"

static SSL_CTX *ctx;
static struct der der[MAX_CERTS];
static int n_der;
static uint8_t data[4096], kind[3];
static size_t data_len;
static const char *name;

static int
one(void)
{
	SSL *ssl = SSL_new(ctx);
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509_STORE_CTX *store = X509_STORE_CTX_new();
	X509 *leaf = NULL, *c;
	int i, ok;

	SSL_set_connect_state(ssl);
	SSL_dane_enable(ssl, name);
	SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	SSL_dane_tlsa_add(ssl, kind[0], kind[1], kind[2], data, data_len);
	for (i = 0; i < n_der; i++) {
		const uint8_t *p = der[i].data;

		c = d2i_X509(NULL, &p, (long)der[i].len);
		if (i == 0)
			leaf = c;
		sk_X509_push(chain, c);
	}
	X509_STORE_CTX_init(store, SSL_CTX_get_cert_store(ctx), leaf, chain);
	X509_STORE_CTX_set_default(store, "ssl_server");
	X509_VERIFY_PARAM_set1(
	    X509_STORE_CTX_get0_param(store), SSL_get0_param(ssl));
	X509_STORE_CTX_set0_dane(store, SSL_get0_dane(ssl));
	ok = X509_verify_cert(store) == 1;
	X509_STORE_CTX_free(store);
	sk_X509_pop_free(chain, X509_free);
	SSL_free(ssl);
	return !ok;
}

int
main(int argc, char **argv)
{
	if (argc < 5 || argc - 4 > MAX_CERTS ||
	    (n_der = der_read(argv + 4, argc - 4, der)) < 0)
		return 1;
	data_len = tlsa_read(argv[1], kind, data);
	name = argv[2];
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL || SSL_CTX_dane_enable(ctx) <= 0)
		return 1;
	return median(one, 21, atoi(argv[3]));
}

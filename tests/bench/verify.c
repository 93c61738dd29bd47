/* SPDX-License-Identifier: ISC */
/* verify MODULE "U S M HEX" NAME TIMES CERT.der...: time of one verify(). */
#include <dlfcn.h>

#include "bench.h"
#include "danevirke.h"

static const struct danevirke_api *dv;
static struct danevirke_host host;
static struct danevirke_chain chain;

/* Its name is known to count.py. */
static int __attribute__((noinline)) verify_once(void)
{
	struct danevirke_verdict v = { .size = sizeof v };

	return dv->verify(&host, &chain, NULL, &v);
}

int
main(int argc, char **argv)
{
	static struct danevirke_cert certs[MAX_CERTS];
	static struct danevirke_tlsa tlsa;
	static struct der der[MAX_CERTS];
	static uint8_t data[4096], kind[3];
	static const char *names[1];
	void *so;
	int i, n;

	if (argc < 6 || argc - 5 > MAX_CERTS ||
	    (so = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL)) == NULL ||
	    (dv = dlsym(so, DANEVIRKE_SYMBOL)) == NULL ||
	    (n = der_read(argv + 5, argc - 5, der)) < 0)
		return 1;
	for (i = 0; i < n; i++) {
		certs[i].der = der[i].data;
		certs[i].len = der[i].len;
	}
	chain.certs = certs;
	chain.n_certs = (size_t)n;
	tlsa.len = tlsa_read(argv[2], kind, data);
	tlsa.usage = kind[0];
	tlsa.selector = kind[1];
	tlsa.matching = kind[2];
	tlsa.data = data;
	if (dv->classify(&tlsa, 1, 0, NULL, NULL) != 0 || tlsa.use != 1)
		return 1;
	names[0] = argv[3];
	host.size = sizeof host;
	host.name = host.base = argv[3];
	host.names = names;
	host.n_names = 1;
	host.tlsa = &tlsa;
	host.n_tlsa = 1;
	host.tlsa_state = DANEVIRKE_SECURE;
	host.would = host.action = DANEVIRKE_AUTHENTICATE;
	host.reason = "";
	return median(verify_once, 21, atoi(argv[4]));
}

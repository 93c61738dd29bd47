/* SPDX-License-Identifier: ISC */
/*
 * sts MODULE CONFIG CAFILE NAME CERT.der...: microseconds of CPU time for one
 * verify() of a host of MTA-STS
 *
 *	reading CAFILE, as in a fresh process
 *	with what an engine has kept, the mean of a thousand
 *
 * and, for comparison, of GnuTLS reading CAFILE into a trust list and verifying
 * the chain by it; three numbers in a line.
 */
#include <dlfcn.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "bench.h"
#include "danevirke.h"

#define TIMES 1000

/* Of this process: it waits for nobody. */
static double
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int
peer(const char *cas, const struct danevirke_cert *certs, unsigned n)
{
	gnutls_x509_crt_t crt[MAX_CERTS];
	gnutls_x509_trust_list_t list;
	unsigned i, status = 1;

	if (gnutls_x509_trust_list_init(&list, 0) < 0 ||
	    gnutls_x509_trust_list_add_trust_file(
		list, cas, NULL, GNUTLS_X509_FMT_PEM, 0, 0) < 1)
		return 1;
	for (i = 0; i < n; i++) {
		gnutls_datum_t d = { (void *)(uintptr_t)certs[i].der,
			(unsigned)certs[i].len };

		if (gnutls_x509_crt_init(&crt[i]) < 0 ||
		    gnutls_x509_crt_import(crt[i], &d, GNUTLS_X509_FMT_DER) < 0)
			return 1;
	}
	if (gnutls_x509_trust_list_verify_crt(list, crt, n, 0, &status, NULL) <
	    0)
		return 1;
	for (i = 0; i < n; i++)
		gnutls_x509_crt_deinit(crt[i]);
	gnutls_x509_trust_list_deinit(list, 1);
	return status != 0;
}

int
main(int argc, char **argv)
{
	static struct danevirke_cert certs[MAX_CERTS];
	static struct der der[MAX_CERTS];
	static const char *names[1];
	struct danevirke_verify_options vo = { .size = sizeof vo };
	struct danevirke_options o = { .size = sizeof o };
	struct danevirke_verdict v = { .size = sizeof v };
	struct danevirke_host host = { .size = sizeof host };
	struct danevirke_chain chain = { .certs = certs };
	const struct danevirke_api *dv;
	struct danevirke_error err;
	double from, fresh, kept;
	void *so;
	int i, n;

	if (argc < 6 || argc - 5 > MAX_CERTS ||
	    (so = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL)) == NULL ||
	    (dv = dlsym(so, DANEVIRKE_SYMBOL)) == NULL ||
	    (n = der_read(argv + 5, argc - 5, der)) < 0)
		return 1;
	for (i = 0; i < n; i++)
		certs[i] = (struct danevirke_cert){ der[i].data, der[i].len };
	chain.n_certs = (size_t)n;
	names[0] = host.name = host.base = argv[4];
	host.names = names;
	host.n_names = 1;
	host.would = host.action = DANEVIRKE_AUTHENTICATE;
	host.ca_file = argv[3];
	host.reason = "";
	o.config = argv[2];
	if ((vo.engine = dv->open(&o, &err)) == NULL)
		return 1;
	from = cpu_us();
	if (dv->verify(&host, &chain, NULL, &v) != 0) {
		fprintf(stderr, "%s\n", v.text);
		return 1;
	}
	fresh = cpu_us() - from;
	if (dv->verify(&host, &chain, &vo, &v) != 0)
		return 1;
	from = cpu_us();
	for (i = 0; i < TIMES; i++)
		if (dv->verify(&host, &chain, &vo, &v) != 0)
			return 1;
	kept = (cpu_us() - from) / TIMES;
	dv->close(vo.engine);
	from = cpu_us();
	if (peer(argv[3], certs, (unsigned)n) != 0)
		return 1;
	printf("%.1f %.1f %.1f\n", fresh, kept, cpu_us() - from);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* The same question to GnuTLS's DANE library, for comparison and nothing else:
 * peer_gnutls "U S M HEX" NAME TIMES CERT.der... */
#include <gnutls/dane.h>
#include <gnutls/gnutls.h>

#include "bench.h"

static dane_query_t query;
static dane_state_t state;
static gnutls_datum_t certs[MAX_CERTS];
static unsigned n_certs;

static int
one(void)
{
	unsigned verdict = 1;

	return dane_verify_crt_raw(state, certs, n_certs, GNUTLS_CRT_X509,
		   query, 0, 0, &verdict) != 0 ||
	    verdict != 0;
}

int
main(int argc, char **argv)
{
	static struct der der[MAX_CERTS];
	static uint8_t rr[4100];
	char *data[2] = { (char *)rr, NULL };
	int len[2], i, n;

	if (argc < 5 || argc - 4 > MAX_CERTS ||
	    (n = der_read(argv + 4, argc - 4, der)) < 0)
		return 1;
	for (i = 0; i < n; i++) {
		certs[i].data = der[i].data;
		certs[i].size = (unsigned)der[i].len;
	}
	n_certs = (unsigned)n;
	len[0] = 3 + (int)tlsa_read(argv[1], rr, rr + 3);
	len[1] = 0;
	if (dane_state_init(&state, DANE_F_IGNORE_LOCAL_RESOLVER) != 0 ||
	    dane_raw_tlsa(state, &query, data, len, 1, 0) != 0)
		return 1;
	return median(one, 21, atoi(argv[3]));
}

/* SPDX-License-Identifier: ISC */
/*
 * A decision in a fresh process, in microseconds from the first line of main()
 * on, so that starting the process and mapping the libraries do not count:
 *
 *	decide nothing
 *	decide module MODULE CONFIG DOMAIN [TIMES [PROFILE]]	the mean
 *	decide stored ...	the same, from the store alone
 *	decide report ...	and each time a report, to a socket without reader
 *	decide ub HINTS ANCHOR DOMAIN HOST		blocking ub_resolve()
 *	decide stub SERVER DOMAIN HOST			three queries, AD believed
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <resolv.h>
#include <unbound.h>

#include <gnutls/gnutls.h>

#include "bench.h"
#include "danevirke.h"

/* Its name is known to count.py. */
static int __attribute__((noinline)) decide_once(const struct danevirke_api *dv,
    struct danevirke *e, const struct danevirke_question *q, int report)
{
	struct danevirke_session s = { .size = sizeof s, .tls = 1 };
	struct danevirke_error err;
	const struct danevirke_answer *a = dv->ask(e, q, &err);

	if (a == NULL || a->outcome != DANEVIRKE_ROUTE) {
		fprintf(stderr, "%s\n", a ? a->reason : err.text);
		return 1;
	}
	if (report)
		dv->report(a, a->hosts[0], &s);
	dv->release(a);
	return 0;
}

static int
module(char **argv, uint32_t flags, int report)
{
	struct danevirke_options o = { .size = sizeof o };
	struct danevirke_question q = { .size = sizeof q };
	const struct danevirke_api *dv;
	struct danevirke_error err;
	struct danevirke *e;
	int times = argv[3] != NULL ? atoi(argv[3]) : 1;
	void *so = dlopen(argv[0], RTLD_NOW | RTLD_LOCAL);

	if (so == NULL || (dv = dlsym(so, DANEVIRKE_SYMBOL)) == NULL)
		return 1;
	o.config = argv[1];
	q.name = argv[2];
	q.flags = flags;
	q.profile = argv[3] != NULL ? argv[4] : NULL;
	if ((e = dv->open(&o, &err)) == NULL) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	while (times-- > 0)
		if (decide_once(dv, e, &q, report) != 0)
			return 1;
	dv->close(e);
	return 0;
}

static int
blocking(char **argv)
{
	struct ub_ctx *ctx = ub_ctx_create();
	struct ub_result *r;
	char tlsa[300];
	const char *name[] = { argv[2], argv[3], argv[3], tlsa };
	static const int type[] = { 15, 1, 28, 52 };
	int i;

	snprintf(tlsa, sizeof tlsa, "_25._tcp.%s", argv[3]);
	if (ctx == NULL || ub_ctx_set_option(ctx, "root-hints:", argv[0]) ||
	    ub_ctx_set_option(ctx, "do-not-query-localhost:", "no") ||
	    ub_ctx_add_ta_file(ctx, argv[1]))
		return 1;
	for (i = 0; i < 4; i++) {
		if (ub_resolve(ctx, name[i], type[i], 1, &r) != 0 || !r->secure)
			return 1;
		ub_resolve_free(r);
	}
	ub_ctx_delete(ctx);
	return 0;
}

static int
stub(char **argv)
{
	struct __res_state rs;
	uint8_t answer[4096];
	char tlsa[300];
	const char *name[] = { argv[1], argv[2], tlsa };
	static const int type[] = { 15, 1, 52 };
	int i;

	snprintf(tlsa, sizeof tlsa, "_25._tcp.%s", argv[2]);
	memset(&rs, 0, sizeof rs);
	if (res_ninit(&rs) != 0)
		return 1;
	rs.nscount = 1;
	rs.nsaddr_list[0].sin_family = AF_INET;
	rs.nsaddr_list[0].sin_port = htons(53);
	inet_pton(AF_INET, argv[0], &rs.nsaddr_list[0].sin_addr);
	rs.options |= RES_USE_EDNS0 | RES_USE_DNSSEC;
	for (i = 0; i < 3; i++)
		if (res_nquery(
			&rs, name[i], 1, type[i], answer, sizeof answer) < 0)
			return 1;
	res_nclose(&rs);
	return 0;
}

int
main(int argc, char **argv)
{
	double from = now_us();
	int times = 1, rv;

	if (argc < 2)
		return 2;
	if (strcmp(argv[1], "nothing") == 0)
		rv = gnutls_check_version("99") != NULL; /* keeps it linked */
	else if (argc >= 5 &&
	    (strcmp(argv[1], "module") == 0 || strcmp(argv[1], "report") == 0 ||
		strcmp(argv[1], "stored") == 0)) {
		rv = module(argv + 2, *argv[1] == 's' ? DANEVIRKE_STORED : 0,
		    *argv[1] == 'r');
		times = argc > 5 ? atoi(argv[5]) : 1;
	} else if (argc == 6 && strcmp(argv[1], "ub") == 0)
		rv = blocking(argv + 2);
	else if (argc == 5 && strcmp(argv[1], "stub") == 0)
		rv = stub(argv + 2);
	else
		return 2;
	if (rv == 0)
		printf("%.1f\n", (now_us() - from) / times);
	return rv;
}

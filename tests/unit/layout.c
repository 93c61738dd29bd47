/* SPDX-License-Identifier: ISC */
/*
 * A client of danevirke.so, compiled by layout.sh against several copies of
 * the header: layout MODULE DIR.  Asks the module, and reads an answer of many
 * parts that the client of today's header has packed.  Exit 0: all as it
 * should be.
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "danevirke.h"

/* The last call of the table that this client knows. */
#ifdef SHORTER
#define LAST may_use
#else
#define LAST report
#endif
#define HOSTS 3
#define RECORDS 3
#define ADDRS 3

#define MUST(x) \
	do { \
		if (!(x)) { \
			fprintf(stderr, "line %d: %s\n", __LINE__, #x); \
			exit(1); \
		} \
	} while (0)

static const struct danevirke_api *dv;
static char packed[65536], config[4096], kept[4096];

static const char *
text(const char *what, size_t i, size_t j)
{
	static char buf[16][32];
	static unsigned at;

	at = (at + 1) % 16;
	snprintf(buf[at], sizeof buf[at], "%s%zu.%zu", what, i, j);
	return buf[at];
}

#ifdef WRITE
static void
write_answer(void)
{
	static struct danevirke_host host[HOSTS];
	static struct danevirke_addr addr[HOSTS][ADDRS];
	static struct danevirke_tlsa tlsa[HOSTS][RECORDS];
	static const char *name[HOSTS][2];
	const struct danevirke_host *hosts[HOSTS];
	struct danevirke_answer a = { .size = sizeof a,
		.outcome = DANEVIRKE_ROUTE,
		.domain = "example.org",
		.final = "example.org",
		.profile = "default",
		.reason = "packed",
		.hosts = hosts,
		.n_hosts = HOSTS };
	size_t i, j, len;
	FILE *f;

	for (i = 0; i < HOSTS; i++) {
		hosts[i] = &host[i];
		name[i][0] = strdup(text("base", i, 0));
		host[i] = (struct danevirke_host){ .size = sizeof host[i],
			.name = strdup(text("host", i, 0)),
			.port = 25,
			.action = DANEVIRKE_AUTHENTICATE,
			.would = DANEVIRKE_AUTHENTICATE,
			.base = name[i][0],
			.names = name[i],
			.n_names = 1,
			.addrs = addr[i],
			.n_addrs = ADDRS,
			.tlsa = tlsa[i],
			.n_tlsa = RECORDS,
			.reason = "made",
			.target = "target",
			.alias_state = DANEVIRKE_SECURE };
		for (j = 0; j < ADDRS; j++) {
			addr[i][j].family = 4;
			addr[i][j].ip[3] = (uint8_t)j;
			addr[i][j].text = strdup(text("addr", i, j));
		}
		for (j = 0; j < RECORDS; j++)
			tlsa[i][j] = (struct danevirke_tlsa){ 3, 0, 0, 1, 1,
				(const uint8_t *)strdup(text("tlsa", i, j)), 7,
				NULL };
	}
	len = dv->pack(&a, packed, sizeof packed);
	MUST(len > 0 && len <= sizeof packed);
	MUST((f = fopen(kept, "w")) != NULL);
	MUST(fwrite(packed, 1, len, f) == len && fclose(f) == 0);
}
#endif

/* The last record of the host, met by the second certificate of an array, so
 * that both are walked. */
static void
verify(const struct danevirke_host *h, size_t i)
{
	const char *leaf = text("tlsa", i, RECORDS - 1);
	struct danevirke_cert certs[2] = { { .der = (const uint8_t *)leaf,
					       .len = 7 },
		{ .der = (const uint8_t *)"another", .len = 7 } };
	struct danevirke_chain chain = { .certs = certs, .n_certs = 2 };
	struct danevirke_verify_options o = { .size = sizeof o };
	struct {
		struct danevirke_verdict v;
		char after[64];
	} u;
	size_t k;

	memset(&u, 0, sizeof u);
	memset(u.after, 'x', sizeof u.after);
	u.v.size = sizeof u.v;
	MUST(dv->verify(h, &chain, &o, &u.v) == 0);
	MUST(u.v.verified == 1 && u.v.index == RECORDS - 1);
	for (k = 0; k < sizeof u.after; k++)
		MUST(u.after[k] == 'x');
	certs[0] = certs[1];
	MUST(dv->verify(h, &chain, &o, &u.v) == DANEVIRKE_EVERIFY);
	MUST(u.v.verified == 0);
	o.flags = 0x40000000;
	MUST(dv->verify(h, &chain, &o, &u.v) == DANEVIRKE_EINVAL);
	u.v.size = sizeof u.v.size;
	MUST(dv->verify(h, &chain, NULL, &u.v) == DANEVIRKE_EINVAL);
}

/* Bytes to an answer, walked whole. */
static void
walk(void)
{
	const struct danevirke_answer *a;
	const struct danevirke_host *h;
	struct danevirke_error err = { 0 };
	size_t i, j, len;
	FILE *f;

	MUST((f = fopen(kept, "r")) != NULL);
	len = fread(packed, 1, sizeof packed, f);
	fclose(f);
	a = dv->unpack(packed, len, &err);
	MUST(a != NULL && a->n_hosts == HOSTS);
	for (i = 0; i < HOSTS; i++) {
		h = a->hosts[i];
		MUST(strcmp(h->name, text("host", i, 0)) == 0);
		MUST(strcmp(h->names[0], text("base", i, 0)) == 0);
		MUST(h->n_addrs == ADDRS && h->n_tlsa == RECORDS);
		for (j = 0; j < ADDRS; j++) {
			MUST(h->addrs[j].family == 4 && h->addrs[j].ip[3] == j);
			MUST(h->addrs[j].text != NULL &&
			    strcmp(h->addrs[j].text, text("addr", i, j)) == 0);
		}
		for (j = 0; j < RECORDS; j++)
			MUST(h->tlsa[j].use == 1 && h->tlsa[j].len == 7 &&
			    memcmp(h->tlsa[j].data, text("tlsa", i, j), 7) ==
				0);
		MUST(DANEVIRKE_HAS(h, reason));
#ifdef LONGER
		MUST(!DANEVIRKE_HAS(h, newer));
#endif
#ifndef SHORTER
		MUST(strcmp(h->target, "target") == 0);
		MUST(strcmp(dv->log_word(a, h, 1, 1), "dane") == 0);
#endif
		verify(h, i);
	}
	dv->release(a);
}

static void
ask(void)
{
	struct danevirke_error err = { 0 };
	struct danevirke_options o = { .size = sizeof o, .config = config };
	struct danevirke_question q = { .size = sizeof q,
		.name = "[192.0.2.1]" };
	const struct danevirke_answer *a;
	struct danevirke *e = dv->open(&o, &err);

	if (e == NULL)
		fprintf(stderr, "%s\n", err.text);
	MUST(e != NULL);
	MUST(dv->settings(e)->relay_port == 2525);
	MUST(dv->profile(e, NULL)->level == DANEVIRKE_LEVEL_DANE);
	a = dv->ask(e, &q, &err);
	MUST(a != NULL && a->outcome == DANEVIRKE_ROUTE && a->n_hosts == 1);
	MUST(strcmp(a->hosts[0]->addrs[0].text, "192.0.2.1") == 0);
	MUST(a->hosts[0]->action == DANEVIRKE_OPPORTUNISTIC);
	dv->release(a);
	q.name = "example.org"; /* nobody answers */
	a = dv->ask(e, &q, &err);
	MUST(a != NULL && a->outcome == DANEVIRKE_DEFER && a->n_hosts == 0);
	dv->release(a);
#ifdef LONGER
	q.newer[4] = 1; /* a wish that this module does not know */
	MUST(dv->ask(e, &q, &err) == NULL && err.code == DANEVIRKE_EINVAL);
	o.newer[0] = 1;
	MUST(dv->open(&o, &err) == NULL && err.code == DANEVIRKE_EINVAL);
#endif
	dv->close(e);
}

static void
setup(const char *dir)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof sin;
	char anchor[4096];
	FILE *f;
	int silent = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(config, sizeof config, "%s/conf", dir);
	snprintf(kept, sizeof kept, "%s/answer", dir);
	snprintf(anchor, sizeof anchor, "%s/root.key", dir);
	MUST((f = fopen(anchor, "w")) != NULL);
	fprintf(f,
	    ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409"
	    "BBC683457104237C7F8EC8D\n");
	MUST(fclose(f) == 0);
	MUST((f = fopen(config, "w")) != NULL);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	MUST(bind(silent, (struct sockaddr *)&sin, sizeof sin) == 0);
	MUST(getsockname(silent, (struct sockaddr *)&sin, &len) == 0);
	fprintf(f,
	    "resolver: { trust_anchor = \"%s\"; forward = [ \"127.0.0.1@%u\" ];"
	    " timeout = 1; query_timeout = 1; };\nrelay: { port = 2525; };\n",
	    anchor, ntohs(sin.sin_port));
	MUST(fclose(f) == 0);
}

int
main(int argc, char **argv)
{
	void *handle;

	MUST(argc == 3);
	MUST((handle = dlopen(argv[1], RTLD_NOW)) != NULL);
	MUST((dv = dlsym(handle, DANEVIRKE_SYMBOL)) != NULL);
	MUST(dv->abi == DANEVIRKE_ABI && DANEVIRKE_HAS(dv, LAST));
#ifdef LONGER
	MUST(!DANEVIRKE_HAS(dv, newer));
#endif
	setup(argv[2]);
#ifdef WRITE
	write_answer();
#endif
	ask();
	walk();
	return 0;
}

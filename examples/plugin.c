/* SPDX-License-Identifier: ISC */
/*
 * plugin.c - all of danevirke.h that a mail server needs, as a program: asks,
 * connects, says STARTTLS, verifies, and prints what a server would log.
 *
 *	cc -o plugin plugin.c -ldl -lgnutls
 *	./plugin /usr/lib/danevirke/danevirke.so /etc/danevirke.conf example.org
 *
 * Exit status: 0 a host may have the message, 1 none may now, 2 trouble here.
 */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <dlfcn.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "danevirke.h"

#define MAX_CHAIN 16

static const struct danevirke_api *dv;
static gnutls_certificate_credentials_t nobody; /* no CA is trusted */

/* One address, as it is: names are never looked up again. */
static int
dial(const struct danevirke_addr *addr, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	struct timeval limit = { .tv_sec = 30 };
	int six = addr->family == 6, fd, rc;

	sin.sin_port = sin6.sin6_port = htons(port);
	memcpy(&sin.sin_addr, addr->ip, 4);
	memcpy(&sin6.sin6_addr, addr->ip, 16);
	if ((fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0)) == -1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	rc = six ? connect(fd, (struct sockaddr *)&sin6, sizeof sin6) :
		   connect(fd, (struct sockaddr *)&sin, sizeof sin);
	if (rc == 0)
		return fd;
	close(fd);
	return -1;
}

/* The code of a reply, 0 for none.  By single octets: what a stranger sends
 * behind the reply to STARTTLS must not be taken for the inside of TLS. */
static int
command(int fd, const char *text, int *starttls)
{
	char line[1024];
	size_t n, lines;

	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		return 0;
	for (lines = 0; lines < 100; lines++) {
		for (n = 0; n == 0 || line[n - 1] != '\n'; n++)
			if (n == sizeof line - 1 || read(fd, line + n, 1) != 1)
				return 0;
		line[n] = '\0';
		line[strcspn(line, "\r\n")] = '\0';
		if (strlen(line) < 3)
			return 0;
		if (line[3] != '\0' && strcasecmp(line + 4, "STARTTLS") == 0)
			*starttls = 1;
		if (line[3] != '-')
			return atoi(line);
	}
	return 0;
}

/* NULL: the handshake failed. */
static gnutls_session_t
handshake(
    int fd, const struct danevirke_answer *a, const struct danevirke_host *h)
{
	const char *priority = "NORMAL"; /* the server's own for everybody */
	gnutls_session_t s;
	int rc;

	if (h->action != DANEVIRKE_OPPORTUNISTIC && a->tls_priority != NULL)
		priority = a->tls_priority;
	if (gnutls_init(&s, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL) != 0)
		return NULL;
	gnutls_priority_set_direct(s, priority, NULL);
	gnutls_credentials_set(s, GNUTLS_CRD_CERTIFICATE, nobody);
	if (h->base != NULL)
		gnutls_server_name_set(
		    s, GNUTLS_NAME_DNS, h->base, strlen(h->base));
	gnutls_transport_set_int(s, fd);
	gnutls_handshake_set_timeout(s, 30000);
	do
		rc = gnutls_handshake(s);
	while (rc < 0 && !gnutls_error_is_fatal(rc));
	if (rc == 0)
		return s;
	gnutls_deinit(s);
	return NULL;
}

static int
verify(gnutls_session_t s, const struct danevirke_host *h,
    struct danevirke_verdict *v)
{
	struct danevirke_cert certs[MAX_CHAIN];
	struct danevirke_chain chain = { .certs = certs };
	const gnutls_datum_t *peer;
	unsigned n = 0;

	peer = gnutls_certificate_get_peers(s, &n);
	for (; chain.n_certs < n && chain.n_certs < MAX_CHAIN;
	     chain.n_certs++) {
		certs[chain.n_certs].der = peer[chain.n_certs].data;
		certs[chain.n_certs].len = peer[chain.n_certs].size;
	}
	return dv->verify(h, &chain, NULL, v) == 0 && v->verified == 1;
}

/* 1: the message may go over this session, whose verdict is printed. */
static int
attempt(const struct danevirke_answer *a, const struct danevirke_host *h,
    const struct danevirke_addr *addr, int clear)
{
	struct danevirke_verdict v = { .size = sizeof v };
	int starttls = 0, tls, verified = 0, fd = dial(addr, h->port);
	gnutls_session_t s = NULL;
	const char *word = "deferred";
	char beside[300];
	int greeted = fd != -1 && command(fd, "", &starttls) == 220 &&
	    command(fd, "EHLO plugin.invalid\r\n", &starttls) == 250;

	if (greeted && starttls && !clear &&
	    command(fd, "STARTTLS\r\n", &starttls) == 220)
		s = handshake(fd, a, h);
	tls = s != NULL;
	if (greeted && starttls && !clear && !tls &&
	    h->action == DANEVIRKE_OPPORTUNISTIC) {
		close(fd);
		return attempt(a, h, addr, 1); /* in the clear, once */
	}
	if (tls && h->would == DANEVIRKE_AUTHENTICATE)
		verified = verify(s, h, &v);
	else
		snprintf(v.text, sizeof v.text, "%s: %s", addr->text,
		    tls         ? "TLS" :
			greeted ? "no TLS" :
				  "no SMTP");
	if (greeted)
		word = dv->log_word(a, h, tls, verified);
	dv->log_beside(a, h, tls, verified, beside, sizeof beside);
	printf("%s via %s:%u: %s%s: %s, %s\n", a->domain, h->name, h->port,
	    word, beside, v.text, h->reason);
	/* here a server would say MAIL, in TLS if there is TLS */
	if (tls)
		gnutls_deinit(s);
	if (fd != -1)
		close(fd);
	return strcmp(word, "deferred") != 0;
}

static int
deliver(const struct danevirke_answer *a)
{
	size_t i, j;

	if (a->outcome != DANEVIRKE_ROUTE)
		printf("%s: %s: %s\n", a->domain,
		    a->outcome == DANEVIRKE_DEFER ? "deferred" : "bounced",
		    a->reason);
	for (i = 0; a->outcome == DANEVIRKE_ROUTE && i < a->n_hosts; i++)
		for (j = 0; j < a->hosts[i]->n_addrs &&
		     a->hosts[i]->action != DANEVIRKE_HOST_DEFER;
		     j++)
			if (attempt(a, a->hosts[i], &a->hosts[i]->addrs[j], 0))
				return 0;
	return 1;
}

int
main(int argc, char **argv)
{
	struct danevirke_options o = { .size = sizeof o };
	struct danevirke_question q = { .size = sizeof q };
	struct danevirke_error err = { 0 };
	const struct danevirke_answer *a = NULL;
	struct danevirke *e;
	void *handle;
	int status = 2;

	if (argc != 4) {
		fprintf(stderr, "usage: plugin MODULE CONFIG DOMAIN\n");
		return 2;
	}
	alarm(600); /* nobody holds us for longer */
	handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	dv = handle == NULL ? NULL : dlsym(handle, DANEVIRKE_SYMBOL);
	if (dv == NULL || dv->abi != DANEVIRKE_ABI ||
	    !DANEVIRKE_HAS(dv, log_beside)) {
		fprintf(stderr, "%s: no module of this interface\n", argv[1]);
		return 2;
	}
	gnutls_certificate_allocate_credentials(&nobody);
	o.config = argv[2];
	q.name = argv[3];
	if ((e = dv->open(&o, &err)) != NULL)
		a = dv->ask(e, &q, &err);
	if (a == NULL)
		fprintf(stderr, "%s: deferred: %s\n", argv[3], err.text);
	else
		status = deliver(a);
	dv->release(a);
	dv->close(e);
	gnutls_certificate_free_credentials(nobody);
	return status;
}

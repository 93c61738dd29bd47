/* SPDX-License-Identifier: ISC */
/*
 * The session that Exim sets up with one host, as its events tell: how far it
 * came, the chain, and what was judged of it.  A verdict holds for this very
 * session; none outlives it (S07, S08).
 */
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shim.h"
#include "spki.h"
#include "text.h"

#define MAX_CHAIN 100
#define MAX_B64 100000

int danevirke_event(uschar **, int, uschar **);

/* The session that is being set up: what tls:cert saw and what came of it.
 * One process of Exim has one outgoing connection at a time. */
static struct {
	char profile[64], name[256], address[64];
	char port[8];
	uint8_t *der[MAX_CHAIN];
	size_t len[MAX_CHAIN];
	int n;            /* certificates announced, 0: none yet */
	int next;         /* depth that must come next */
	bool judged;      /* verify() said yes to leaf */
	uint8_t leaf[32]; /* SHA-256 of the leaf that was judged */
	char text[600];   /* how it was satisfied */
	bool refused;     /* no session with TLS, and the log says why */
	bool told;        /* and it is reported (K02) */
	bool fell;        /* in the clear, as its handshake failed before */
	char from[64];    /* own address, "": unknown */
	char helo[256];   /* of the first reply to EHLO, "": unknown */
	enum stage {
		UNTOLD = 0, /* an Exim without smtp:ehlo, or not that far */
		ABSENT,     /* EHLO was answered without STARTTLS */
		LOWER, /* it is there, so written that Exim does not see it */
		OFFERED,
		HANDSHAKE
	} stage;
} live;

/* With this address a handshake has failed, and Exim tries it in the clear. */
static char fallen[64];

static void
live_clear(void)
{
	int i;

	for (i = 0; i < MAX_CHAIN; i++)
		free(live.der[i]);
	memset(&live, 0, sizeof live);
}

/* Nothing is judged any more; how far it came is still asked for. */
static void
session_end(bool refused)
{
	int i;

	for (i = 0; i < MAX_CHAIN; i++) {
		free(live.der[i]);
		live.der[i] = NULL;
	}
	live.n = live.next = 0;
	live.judged = false;
	live.name[0] = '\0'; /* so that none is the same session */
	live.refused = refused;
}

void
session_report(const struct hop *h, const struct danevirke_answer *a,
    const struct danevirke_host *host, bool tls, enum danevirke_result result,
    const char *text)
{
	struct danevirke_session s = { .size = sizeof s,
		.result = live.fell ? DANEVIRKE_VALIDATION_FAILURE : result,
		.tls = tls,
		.from = live.from[0] != '\0' ? live.from : NULL,
		.address = live.address,
		.helo = live.helo[0] != '\0' ? live.helo : NULL,
		.text = live.fell ? "TLS handshake: failed" : text };

	if (!live.told)
		answer_report(h, a, host, &s);
	live.told = true;
}

/* The certificate in base64, as Exim gives it; NULL unless it is exactly one
 * DER SEQUENCE.  "No certificate" reaches us as other text, or none. */
static uint8_t *
session_decode(const char *b64, size_t *len)
{
	gnutls_datum_t in = { (unsigned char *)(uintptr_t)b64,
		(unsigned)strnlen(b64, MAX_B64 + 1) },
		       out = { NULL, 0 };
	uint8_t *der = NULL;

	if (in.size == 0 || in.size > MAX_B64 ||
	    gnutls_base64_decode2(&in, &out) < 0)
		return NULL;
	if (out.size > 4 && der_sequence(out.data, out.size) &&
	    (der = malloc(out.size)) != NULL) {
		memcpy(der, out.data, out.size);
		*len = out.size;
	}
	gnutls_free(out.data);
	return der;
}

static bool
same_session(const struct hop *h, int argc, uschar **argv)
{
	return strcmp(live.profile, h->profile) == 0 &&
	    strcmp(live.name, h->name) == 0 &&
	    strcmp(live.address, exim_arg(argc, argv, 2)) == 0 &&
	    strcmp(live.port, exim_arg(argc, argv, 3)) == 0;
}

static bool
session_begin(const struct hop *h, int argc, uschar **argv)
{
	live_clear();
	if (strlen(h->profile) >= sizeof live.profile ||
	    strlen(h->name) >= sizeof live.name ||
	    strlen(exim_arg(argc, argv, 2)) >= sizeof live.address ||
	    strlen(exim_arg(argc, argv, 3)) >= sizeof live.port)
		return false;
	strncpy(live.profile, h->profile, sizeof live.profile - 1);
	strncpy(live.name, h->name, sizeof live.name - 1);
	strncpy(live.address, exim_arg(argc, argv, 2), sizeof live.address - 1);
	strncpy(live.port, exim_arg(argc, argv, 3), sizeof live.port - 1);
	live.fell = strcmp(fallen, live.address) == 0;
	return true;
}

/* ------------------------------------------- for hooks of the transport */

void
session_handshake(void)
{
	live.stage = HANDSHAKE;
}

void
session_in_clear(void)
{
	if (live.stage == HANDSHAKE)
		memcpy(fallen, live.address, sizeof fallen);
}

/* Does Exim speak of a reply to STARTTLS? */
static bool
session_is_reply(const char *detail, const char **reply)
{
	static const char error[] = "SMTP error from remote mail server ",
			  after[] = "after STARTTLS: ";
	const char *p = strstr(detail, after);

	if (p == NULL || strncmp(detail, error, sizeof error - 1) != 0)
		return false;
	*reply = p + sizeof after - 1;
	return true;
}

/* T02, P04, P07: why there is no session with TLS, in the words of the relay;
 * once for a session.  detail: what Exim says of an attempt that broke off. */
void
session_no_tls(const struct hop *h, const struct danevirke_answer *a,
    const struct danevirke_host *host, const char *address, const char *detail)
{
	static const char *const words[] = { "no session with TLS",
		"STARTTLS is not offered",
		"STARTTLS is not offered in capitals, and Exim takes no other",
		"STARTTLS", "TLS handshake" };
	enum danevirke_result result = DANEVIRKE_STARTTLS_NOT_SUPPORTED;
	const char *colon = "", *reply;
	char what[300], text[TEXT_LEN], why[TEXT_LEN];

	if (live.refused)
		return;
	if (live.stage == OFFERED && detail == NULL)
		colon = " refused";
	else if (live.stage == OFFERED && session_is_reply(detail, &reply)) {
		colon = " refused: ";
		detail = reply;
	} else if (live.stage >= OFFERED) {
		colon = ": ";
		result = DANEVIRKE_VALIDATION_FAILURE;
	}
	if (live.stage == HANDSHAKE && detail == NULL)
		detail = "failed";
	snprintf(what, sizeof what, "%s%s%.200s", words[live.stage], colon,
	    detail != NULL ? detail : "");
	snprintf(text, sizeof text, "%s: %.600s (%.60s) [%s]", what,
	    host->reason, address, exim_api(why)->result_name(result));
	text_line(text);
	hop_verdict(h, a, host, false, false, "deferred", text);
	session_report(h, a, host, false, result, what);
	live.refused = true;
}

bool
session_cert(const struct hop *h, int argc, uschar **argv, const char **how)
{
	uint8_t *der, leaf[32];
	size_t len = 0;

	*how = NULL;
	if ((der = session_decode(exim_arg(argc, argv, 5), &len)) == NULL)
		return false;
	if (live.judged && same_session(h, argc, argv) &&
	    gnutls_hash_fast(GNUTLS_DIG_SHA256, der, len, leaf) == 0 &&
	    memcmp(leaf, live.leaf, 32) == 0)
		*how = live.text;
	free(der);
	return true;
}

/* ---------------------------------------------------------------- events */

/* tcp:connect: may this host be used at all? */
static int
on_connect(uschar **yield, int argc, uschar **argv)
{
	const struct danevirke_answer *a = NULL;
	const struct danevirke_host *host;
	char why[TEXT_LEN] = "";
	struct hop h;

	live_clear(); /* a verdict never outlives its session */
	host = hop_asked(&h, &a, argc, argv, true, why);
	if (host != NULL && !session_begin(&h, argc, argv))
		return exim_give(yield, OK, "a name is too long");
	fallen[0] = '\0';
	if (host == NULL) {
		exim_say("%s via [%s]:%s: deferred: %s", hop_text(argc, argv),
		    exim_arg(argc, argv, 2), exim_arg(argc, argv, 3), why);
		return exim_give(yield, OK, "%s", why);
	}
	if (host->action == DANEVIRKE_HOST_DEFER) {
		hop_verdict(
		    &h, a, host, false, false, "deferred", host->reason);
		if (host->result != DANEVIRKE_RESULT_NONE)
			session_report(
			    &h, a, host, false, host->result, host->reason);
		session_end(false);
		return exim_give(yield, OK, "%s", host->reason);
	}
	return OK;
}

static int
session_judge(uschar **yield, const struct hop *h,
    const struct danevirke_answer *a, const struct danevirke_host *host)
{
	struct danevirke_cert certs[MAX_CHAIN];
	struct danevirke_chain chain = { certs, (size_t)live.n };
	struct danevirke_verdict v = { .size = sizeof v };
	char why[TEXT_LEN] = "", text[TEXT_LEN];
	int i, code;

	for (i = 0; i < live.n; i++) {
		certs[i].der = live.der[i];
		certs[i].len = live.len[i];
	}
	if (host->would != DANEVIRKE_AUTHENTICATE)
		return OK;
	code = exim_api(why)->verify(host, &chain, NULL, &v);
	if (code == 0 && v.verified == 1 &&
	    gnutls_hash_fast(
		GNUTLS_DIG_SHA256, live.der[0], live.len[0], live.leaf) == 0) {
		live.judged = true;
		snprintf(live.text, sizeof live.text, "%s", v.text);
		return OK;
	}
	snprintf(text, sizeof text, "%.500s: %.400s (%.60s) [%s]", v.text,
	    host->reason, live.address, exim_api(why)->result_name(v.result));
	hop_verdict(h, a, host, true, false,
	    host->action == DANEVIRKE_AUTHENTICATE ? "deferred" :
						     "opportunistic-tls",
	    text);
	session_report(h, a, host, true, v.result, v.text);
	if (host->action != DANEVIRKE_AUTHENTICATE)
		return OK; /* audit */
	live.refused = true;
	return exim_give(yield, OK, "%s", v.text);
}

/* tls:cert: one call a certificate, depth N-1 down to 0, no gaps. */
static int
on_cert(uschar **yield, int argc, uschar **argv)
{
	const struct danevirke_answer *a = NULL;
	const struct danevirke_host *host;
	const char *depth_text = exim_arg(argc, argv, 5);
	char why[TEXT_LEN] = "", *end;
	struct hop h;
	size_t len;
	long depth;

	host = hop_asked(&h, &a, argc, argv, false, why);
	if (host == NULL)
		return exim_give(yield, OK, "%s", why);
	if (!same_session(&h, argc, argv))
		return exim_give(
		    yield, OK, "certificate of a session that was not begun");
	depth = strtol(depth_text, &end, 10);
	if (*depth_text == '\0' || *end != '\0' || depth < 0 ||
	    depth >= MAX_CHAIN || live.judged ||
	    (live.n != 0 && depth != live.next)) {
		session_end(false); /* no verdict, whatever comes behind it */
		return exim_give(yield, OK,
		    "certificate of depth \"%.10s\" out of order", depth_text);
	}
	if (live.n == 0) {
		live.n = (int)depth + 1;
		live.next = (int)depth;
	}
	free(live.der[depth]);
	live.der[depth] = session_decode(exim_arg(argc, argv, 6), &len);
	live.len[depth] = len = live.der[depth] == NULL ? 0 : len;
	if (len == 0) {
		session_end(false);
		return exim_give(yield, OK,
		    "certificate of depth %ld cannot be read", depth);
	}
	live.next--;
	return depth > 0 ? OK : session_judge(yield, &h, a, host);
}

/* smtp:ehlo: the whole reply.  What comes after the handshake is no news. */
static void
on_ehlo(int argc, uschar **argv)
{
	static const char keyword[] = "STARTTLS";
	const char *line = exim_arg(argc, argv, 5), *word;
	size_t len = sizeof keyword - 1;

	if (live.stage == HANDSHAKE)
		return;
	word = line + strnlen(line, 4);
	/* Exim knows it from here on; before it is that of another session */
	snprintf(live.from, sizeof live.from, "%s", exim_arg(argc, argv, 7));
	snprintf(live.helo, sizeof live.helo, "%.*s",
	    (int)strcspn(word, " \r\n"), word);
	live.stage = ABSENT;
	while ((line = strchr(line, '\n')) != NULL) {
		line++;
		word = line + strnlen(line, 4);
		if (strncasecmp(word, keyword, len) != 0 ||
		    strchr(" \r\n", word[len]) == NULL)
			continue;
		live.stage = strncmp(word, keyword, len) == 0 ? OFFERED : LOWER;
		return;
	}
}

/* msg:host:defer, once the connection is closed: why Exim goes on to the next
 * host, such as "TLS session: (gnutls_handshake): timed out". */
static void
on_defer(int argc, uschar **argv)
{
	static const char tls[] = "TLS session: ";
	const struct danevirke_answer *a = NULL;
	const struct danevirke_host *host;
	const char *text = exim_arg(argc, argv, 5), *end;
	const char *address = exim_arg(argc, argv, 2);
	bool broke_off = strncmp(text, tls, sizeof tls - 1) == 0;
	char why[TEXT_LEN] = "";
	struct hop h;

	host = hop_asked(&h, &a, argc, argv, false, why);
	if (host != NULL && host->action == DANEVIRKE_OPPORTUNISTIC &&
	    strcmp(live.address, address) == 0 &&
	    (live.fell || strcmp(fallen, address) == 0)) {
		live.fell = true;
		session_report(
		    &h, a, host, false, DANEVIRKE_VALIDATION_FAILURE, NULL);
	}
	if (host == NULL || host->action == DANEVIRKE_OPPORTUNISTIC ||
	    (live.stage == HANDSHAKE ? !broke_off : live.stage != OFFERED))
		return;
	if (broke_off)
		text += sizeof tls - 1;
	if (*text == '(' && (end = strstr(text, "): ")) != NULL)
		text = end + 3;
	session_no_tls(&h, a, host, address, text);
}

/* {profile}{domain}{host_address}{host_port}{event_name}{event_data}{cert}
 * {sending_ip_address}: for event_action.  The last one may be missing, and
 * reports have no own address then.  OK always: a FAIL would be taken for consent. */
int
danevirke_event(uschar **yield, int argc, uschar **argv)
{
	const char *name = exim_arg(argc, argv, 4);

	*yield = (uschar *)(uintptr_t) "";
	if (argc < 7)
		exim_give(yield, OK, "danevirke_event: want 7 arguments");
	else if (strcmp(name, "tcp:connect") == 0)
		on_connect(yield, argc, argv);
	else if (strcmp(name, "tls:cert") == 0)
		on_cert(yield, argc, argv);
	else if (strcmp(name, "smtp:ehlo") == 0)
		on_ehlo(argc, argv);
	else if (strcmp(name, "tcp:close") == 0)
		session_end(live.refused);
	else if (strcmp(name, "msg:host:defer") == 0)
		on_defer(argc, argv);
	return OK;
}

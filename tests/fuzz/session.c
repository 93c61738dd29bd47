/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: a session of the relay, from smtpd's connection to the message,
 * against any upstream.  This smtpd says one command, waits for its reply, and
 * after 354 sends a message: as the real one.  The first octets of an input say
 * which attempts to find an upstream succeed (a bit for each), what upstreams
 * offer (five bits), and how many more hosts there are; then come parts, each with a 0 behind it.  One is said by
 * whose turn it is, smtpd or the upstream; but one that begins with
 *
 *	1	is said by the upstream, asked or not;
 *	2	closes the upstream's connection;
 *	3	lets 1000 seconds go by: the answer has expired.
 *
 * Whatever an upstream says, smtpd hears one whole reply to each command, and
 * "yes" only if the upstream has said something to what it was asked; to a
 * message only if it has all of it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "relay/session.h"

#define ROOM 65536
#define ATTEMPTS 40 /* two times all hosts, and more */

/* What one end of a connection has read. */
struct end {
	int fd; /* -1: closed */
	size_t n;
	char got[ROOM];
};

struct dial {
	unsigned rest; /* hosts behind this one */
	uint64_t until;
	dial_done *done;
	void *arg;
	struct event *event;
};

static struct event_base *base;
static struct hub hub;
static struct domain domain;
static struct refusal failure;
static struct end smtpd, upstream;
static uint64_t now;
static unsigned attempts; /* a bit for each */
static unsigned hosts;    /* of the domain, but for the first */
static struct extensions offer;
static bool waiting;  /* smtpd has asked, and has no reply yet */
static bool in_data;  /* smtpd sends a message */
static bool asks;     /* it is for the upstream to say yes */
static bool answered; /* it has said something since */
static char message[ROOM];
static size_t n_message;
static bool complete;   /* message has its end */
static bool early;      /* the upstream has said something before that */
static char line[8192]; /* the command */
static enum verb verb;
static char rcpt[4][sizeof line]; /* smtpd was told 2xx: it is delivered */
static unsigned n_rcpt;
static unsigned taken, left;

/* ------------------------------------------------- what the session calls */

void
log_line(int level, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
}

uint64_t
hub_now(void)
{
	return now;
}

void
domain_leave(struct domain *d)
{
	must(d == &domain && left++ == 0, "left twice");
}

void
domain_failed(struct domain *d, const struct refusal *why)
{
	d->failure = *why;
	d->until = now + 10;
}

void
domain_works(struct domain *d)
{
	d->failure.code = 0;
}

const struct refusal *
domain_failure(const struct domain *d)
{
	return d->failure.code != 0 && now < d->until ? &d->failure : NULL;
}

static void
end_close(struct end *e)
{
	if (e->fd != -1)
		close(e->fd);
	e->fd = -1;
}

static void
end_pair(struct end *e, int *other)
{
	int fd[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
		 fd) == 0,
	    "no sockets");
	end_close(e);
	e->fd = fd[0];
	e->n = 0;
	*other = fd[1];
}

static void
on_dial(int fd, short what, void *arg)
{
	static const struct stream_ops none;
	struct dial *d = arg;
	struct dialed r = { .ext = offer,
		.host = "mx.example",
		.expires = now + 300,
		.refusal = failure };

	(void)what;
	if ((attempts & 1) && now < d->until) {
		end_pair(&upstream, &fd);
		must((r.stream = stream_new(base, fd, &none, NULL)) != NULL,
		    "no stream");
	}
	attempts >>= 1;
	d->done(d->arg, &r);
}

struct dial *
dial_start(struct hub *h, const char *name, const char *helo,
    const char *source4, const char *source6, uint64_t until, dial_done *done,
    void *arg)
{
	struct dial *d = calloc(1, sizeof *d);

	(void)h;
	(void)source4;
	(void)source6;
	must(d != NULL && *name != '\0' && *helo != '\0', "dial");
	d->until = until;
	d->rest = hosts;
	d->done = done;
	d->arg = arg;
	must((d->event = event_new(base, -1, 0, on_dial, d)) != NULL, "event");
	event_active(d->event, 0, 0);
	return d;
}

bool
dial_next(struct dial *d, uint64_t until, const struct refusal *why, bool said)
{
	(void)said;
	must(why->code >= 400 && why->code <= 599, "no refusal");
	if (d->rest == 0 || until <= now)
		return false;
	d->rest--;
	d->until = until;
	event_active(d->event, 0, 0);
	return true;
}

size_t
dial_rest(const struct dial *d)
{
	return d == NULL ? 0 : d->rest;
}

void
dial_failed(const struct dial *d)
{
	(void)d;
}

void
dial_cancel(struct dial *d)
{
	if (d != NULL)
		event_free(d->event);
	free(d);
}

/* --------------------------------------------------------- the two others */

static void
end_read(struct end *e)
{
	ssize_t n;

	while (e->fd != -1 && e->n < ROOM) {
		n = recv(e->fd, e->got + e->n, ROOM - e->n, MSG_DONTWAIT);
		if (n == -1)
			return;
		if (n == 0)
			end_close(e);
		else
			e->n += (size_t)n;
	}
}

static void
settle(void)
{
	unsigned i = 0;

	do {
		event_base_loop(base, EVLOOP_NONBLOCK);
		end_read(&upstream);
	} while (i++ < 4 ||
	    (event_base_get_num_events(base, EVENT_BASE_COUNT_ACTIVE) > 0 &&
		i < 1000));
	must(i < 1000, "it does not come to rest");
	end_read(&smtpd);
}

static void
end_say(struct end *e, const void *p, size_t len)
{
	if (e->fd != -1 && len > 0)
		(void)send(e->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The upstream's connection ends with all of the message. */
static bool
has_message(void)
{
	return complete && upstream.n >= n_message &&
	    memcmp(upstream.got + upstream.n - n_message, message, n_message) ==
	    0;
}

static void
upstream_say(const void *p, size_t len)
{
	if (len > 0 && in_data)
		early = true;
	/* what comes before it has all is no answer to it */
	if (waiting && len > 0 && (!complete || has_message()))
		answered = true;
	end_say(&upstream, p, len);
}

/* One whole reply, and nothing behind it: 0, its first digit. */
static int
reply_read(void)
{
	const char *p = smtpd.got, *end = p + smtpd.n;
	size_t n;

	if (smtpd.n == 0)
		return 0;
	for (;; p += n + 2) {
		for (n = 0; p + n < end && p[n] >= ' ' && p[n] <= '~'; n++)
			;
		must(n >= 4 && end - p >= (ptrdiff_t)n + 2 && p[n] == '\r' &&
			p[n + 1] == '\n',
		    "no line");
		must(p[0] >= '2' && p[0] <= '5' && (p[3] == ' ' || p[3] == '-'),
		    "no reply");
		if (p[3] == ' ')
			break;
	}
	must(p + n + 2 == end, "two replies");
	smtpd.n = 0;
	return p[0];
}

/* Each recipient that was accepted, by who takes the message (T12). */
static void
check_rcpt(void)
{
	while (n_rcpt > 0) {
		n_rcpt--;
		must(memmem(upstream.got, upstream.n, rcpt[n_rcpt],
			 strlen(rcpt[n_rcpt])) != NULL,
		    "a recipient is lost");
	}
}

static void
command_done(int kind)
{
	if (kind != '2')
		return;
	if (verb == VERB_MAIL || verb == VERB_RSET || verb == VERB_EHLO ||
	    verb == VERB_HELO)
		n_rcpt = 0;
	else if (verb == VERB_RCPT && n_rcpt < 4)
		memcpy(rcpt[n_rcpt++], line, sizeof line);
}

/* What smtpd has heard by now. */
static void
smtpd_hear(void)
{
	int kind = reply_read();

	if (kind == 0) {
		must(smtpd.fd == -1 || !waiting || upstream.fd != -1,
		    "smtpd waits for nobody");
		return;
	}
	must(waiting || smtpd.fd == -1, "a reply to nothing");
	if (asks && kind < '4')
		must(answered, "yes, and nobody has said so");
	if (complete) {
		must(kind != '3', "354 to a message");
		if (kind == '2') {
			must(has_message(), "taken, but not all of it");
			must(!early, "taken by what was said before");
			check_rcpt();
			taken++;
		}
		n_rcpt = 0;
	} else
		command_done(kind);
	in_data = kind == '3';
	early = false;
	waiting = complete = false;
}

/* A command: one line. */
static void
smtpd_ask(const uint8_t *p, size_t len)
{
	size_t n;

	for (n = 0;
	     n < len && n < sizeof line - 3 && p[n] != '\r' && p[n] != '\n';
	     n++)
		line[n] = (char)p[n];
	line[n] = '\0';
	verb = verb_parse(line);
	asks = verb == VERB_MAIL || verb == VERB_RCPT || verb == VERB_DATA;
	answered = false;
	waiting = true;
	memcpy(line + n, "\r\n", 3);
	end_say(&smtpd, line, n + 2);
}

/* The next of a message; nothing behind its end. */
static void
smtpd_send(const uint8_t *p, size_t len)
{
	struct dot d = { 0 };
	size_t old = n_message, n;

	if (len > ROOM - n_message)
		len = ROOM - n_message;
	memcpy(message + n_message, p, len);
	n = dot_find(&d, (const uint8_t *)message, n_message + len, &complete);
	n_message = n;
	if (complete) {
		in_data = false;
		waiting = asks = true;
		answered = false;
	}
	end_say(&smtpd, message + old, n_message - old);
}

static void
part(const uint8_t *p, size_t len)
{
	if (len > 0 && *p == 1)
		upstream_say(p + 1, len - 1);
	else if (len > 0 && *p == 2)
		end_close(&upstream);
	else if (len > 0 && *p == 3)
		now += 1000;
	else if (waiting)
		upstream_say(p, len);
	else if (in_data)
		smtpd_send(p, len);
	else {
		n_message = 0;
		smtpd_ask(p, len);
	}
	settle();
	smtpd_hear();
}

/* -------------------------------------------------------------- one input */

static void
begin(uint8_t bits, uint8_t offers)
{
	static struct danevirke_settings set = { .relay_connect_timeout = 300,
		.relay_command_timeout = 300,
		.relay_data_timeout = 300,
		.relay_ehlo_budget = 200,
		.relay_idle_timeout = 300 };
	static const struct sockaddr_storage peer = { .ss_family = AF_INET };
	int fd;

	if (base == NULL) {
		signal(SIGPIPE, SIG_IGN);
		must((base = event_base_new()) != NULL, "no loop");
		refusal_make(&failure, 451, "4.7.5", "no TLSA record matches");
		upstream.fd = smtpd.fd = -1;
		hub.base = base;
		hub.set = &set;
	}
	memset(hub.count, 0, sizeof hub.count);
	memset(&domain, 0, sizeof domain);
	snprintf(domain.name, sizeof domain.name, "example.org");
	domain.hub = &hub;
	now = 1000;
	attempts = bits;
	hosts = offers >> 5;
	offer = (struct extensions){ .eightbit = offers & 1,
		.utf8 = (offers & 2) != 0,
		.dsn = (offers & 4) != 0,
		.codes = (offers & 8) != 0,
		.size = (offers & 16) != 0,
		.limit = offers };
	asks = answered = in_data = complete = false;
	n_message = n_rcpt = 0;
	verb = VERB_OTHER;
	taken = left = 0;
	end_pair(&smtpd, &fd);
	session_new(&domain, fd, &peer);
	waiting = true; /* for the greeting */
	settle();
	smtpd_hear();
	must(!waiting && !in_data, "no greeting");
}

static void
end(void)
{
	unsigned i;

	/* the upstream is gone, and so is each that MAIL gets instead: smtpd
	 * hears of it */
	for (i = 0; i == 0 || (waiting && i < ATTEMPTS); i++) {
		end_close(&upstream);
		settle();
		smtpd_hear();
	}
	must(!waiting || smtpd.fd == -1, "no reply");
	must(taken == hub.count[COUNT_TAKEN], "messages taken");
	end_close(&smtpd);
	settle();
	end_close(&upstream);
	settle();
	must(left == 1, "the session has no end");
	must(event_base_get_num_events(base, EVENT_BASE_COUNT_ADDED) == 0,
	    "events are left");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	size_t at = 2, n;

	if (len < 2 || len > ROOM / 4)
		return 0;
	begin(data[0], data[1]);
	for (; at < len && smtpd.fd != -1; at += n + 1) {
		for (n = 0; at + n < len && data[at + n] != 0; n++)
			;
		part(data + at, n);
	}
	end();
	fuzz_accepted += taken > 0;
	return 0;
}

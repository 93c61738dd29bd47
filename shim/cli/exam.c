/* SPDX-License-Identifier: ISC */
/*
 * The receiver's test: route, then every address of every host, each asked
 * several times, one connection after the other.  Domains run side by side;
 * connections are bounded in all, and no address is talked to twice at once.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "check.h"

/* How one connection is made.  The first one that fails to handshake ends the
 * row; the others ask for what the first did not show (L11, L12). */
enum variant { V_FIRST, V_RSA, V_ECDSA, V_NO_SNI, V_OTHER_SNI, N_VARIANTS };

static const char *const variant_names[] = { NULL, "RSA", "ECDSA",
	"without SNI", "with an SNI it does not know" };

#define SIGN_RSA \
	":-SIGN-ALL:+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384" \
	":+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512"
#define SIGN_ECDSA \
	":-SIGN-ALL:+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SHA384:+SIGN-ECDSA-SHA512" \
	":+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SECP384R1-SHA384" \
	":+SIGN-ECDSA-SECP521R1-SHA512:+SIGN-EDDSA-ED25519"
#define QUIT_TIME 2                      /* seconds */
#define PAUSE_TIME 2                     /* after "not now" */
#define OTHER_SNI "no-such-host.invalid" /* RFC 2606 2 */

struct domain;

/* One address: waiting, or with one connection open. */
struct task {
	TAILQ_ENTRY(task) entry;
	struct domain *domain;
	size_t at; /* in report->addr */
	enum variant variant;
	struct starttls *session; /* NULL: waiting */
	struct event *pause;      /* NULL: was never told "not now" */
	bool tls[N_VARIANTS];
};
TAILQ_HEAD(tasks, task);

struct domain {
	TAILQ_ENTRY(domain) entry;
	struct exam *exam;
	struct report *report;
	struct resolver_query *query;
	struct event *timer;
	struct timespec from;
	size_t left;  /* tasks */
	bool doubted; /* the query is on_probe()'s */
};

struct exam {
	struct exam_options o;
	exam_done *done;
	void *arg;
	TAILQ_HEAD(, domain) domains;
	struct tasks waiting, running, paused;
	size_t n_running;
	struct event *pump;
};

static void
task_free(struct task *t)
{
	if (t->pause != NULL)
		event_free(t->pause);
	free(t);
}

static void
clean(struct domain *d)
{
	struct tasks *list[] = { &d->exam->waiting, &d->exam->running,
		&d->exam->paused };
	struct task *t, *next;
	size_t i;

	for (i = 0; i < 3; i++)
		for (t = TAILQ_FIRST(list[i]); t != NULL; t = next) {
			next = TAILQ_NEXT(t, entry);
			if (t->domain != d)
				continue;
			if (t->session != NULL)
				d->exam->n_running--;
			starttls_cancel(t->session);
			TAILQ_REMOVE(list[i], t, entry);
			task_free(t);
		}
	resolver_cancel(d->query);
	if (d->timer != NULL)
		event_free(d->timer);
	TAILQ_REMOVE(&d->exam->domains, d, entry);
	report_free(d->report);
	free(d);
}

static void
domain_end(struct domain *d)
{
	struct exam *x = d->exam;
	struct report *r = d->report;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	r->seconds = (double)(now.tv_sec - d->from.tv_sec) +
	    (double)(now.tv_nsec - d->from.tv_nsec) / 1e9;
	lint_verdict(r);
	d->report = NULL;
	clean(d);
	event_active(x->pump, 0, 0);
	x->done(x->arg, r);
}

/* Out of time: what was not tested says so. */
static void
on_limit(int fd, short what, void *arg)
{
	struct domain *d = arg;
	struct report *r = d->report;
	size_t i;

	(void)fd;
	(void)what;
	if (d->doubted) {
		r->own_dns = true;
		lint_answer(r, &d->exam->o.lint);
	} else if (r->answer == NULL && r->error == NULL)
		r->error = strdup("no answer within the time for a domain");
	else /* good is what was seen to be good */
		lint_add(r, SEV_WARNING, "L12", NULL, NULL,
		    "--limit SECONDS allows more time",
		    "not everything was tested: the %lu seconds for a domain "
		    "were over",
		    d->exam->o.limit);
	for (i = 0; i < r->n_addr; i++)
		if (!r->addr[i].tested && r->addr[i].text[0] == '\0')
			snprintf(r->addr[i].text, sizeof r->addr[i].text,
			    "not tested: the time for the domain was over");
	domain_end(d);
}

/* ----------------------------------------------------------- connections */

static bool
same_addr(const struct task *a, const struct task *b)
{
	const struct danevirke_addr *x = a->domain->report->addr[a->at].addr,
				    *y = b->domain->report->addr[b->at].addr;

	return x->family == y->family &&
	    memcmp(x->ip, y->ip, x->family == 4 ? 4 : 16) == 0;
}

/* Does this host have records that a chain can be held against? */
static bool
has_dane(const struct danevirke_host *h)
{
	return h->would == DANEVIRKE_AUTHENTICATE ||
	    (h->tlsa_state == DANEVIRKE_SECURE && h->n_tlsa > 0);
}

/* No descriptor was left: that is our own fault, and says nothing of them. */
static bool
out_of_files(const struct starttls_result *s)
{
	return s->state == STARTTLS_CONNECT &&
	    (strstr(s->text, strerror(EMFILE)) != NULL ||
		strstr(s->text, strerror(ENFILE)) != NULL);
}

/* RFC 5321 3.8, 4.2.1: 421 at any time is "not now", and says nothing of what
 * the server does at other times. */
static bool
not_now(const struct starttls_result *s)
{
	return s->state != STARTTLS_READY && s->code == 421;
}

static void
on_pause(int fd, short what, void *arg)
{
	struct task *t = arg;
	struct exam *x = t->domain->exam;

	(void)fd;
	(void)what;
	TAILQ_REMOVE(&x->paused, t, entry);
	TAILQ_INSERT_TAIL(&x->waiting, t, entry);
	event_active(x->pump, 0, 0);
}

/* Once more, in a while; false: it was that already. */
static bool
once_more(struct task *t)
{
	struct timeval tv = { .tv_sec = PAUSE_TIME };
	struct exam *x = t->domain->exam;

	if (t->pause != NULL ||
	    (t->pause = event_new(x->o.base, -1, 0, on_pause, t)) == NULL)
		return false;
	event_add(t->pause, &tv);
	TAILQ_INSERT_TAIL(&x->paused, t, entry);
	event_active(x->pump, 0, 0);
	return true;
}

static void
first_failed(struct report *r, struct address_report *ar,
    const struct starttls_result *s)
{
	enum severity severity = has_dane(ar->host) ? SEV_PROBLEM : SEV_NOTE;

	snprintf(ar->text, sizeof ar->text, "%s", s->text);
	if (not_now(s)) {
		ar->tested = ar->tls = false;
		lint_add(r, SEV_WARNING, "T12", ar->host->name, ar->addr->text,
		    "test it again later",
		    "not now, it said two times, so it is not tested: %s",
		    s->text);
	} else if (
	    s->tls) /* TLS 1.3: also where a client's certificate is wanted */
		lint_add(r, severity, "L05", ar->host->name, ar->addr->text,
		    severity == SEV_PROBLEM ?
			"senders that check DANE delay mail until a session "
			"goes on in TLS; ask no certificate of them" :
			NULL,
		    "the session fails after the handshake: %s", s->text);
	else if (s->state == STARTTLS_CONNECT)
		lint_add(r,
		    strstr(s->text, strerror(ENETUNREACH)) != NULL ?
			SEV_NOTE /* this machine has no such network */
			:
			SEV_WARNING,
		    "L12", ar->host->name, ar->addr->text,
		    "is the port open to the outside, or closed from here?",
		    "cannot be reached: %s", s->text);
	else if (s->state == STARTTLS_BANNER || s->state == STARTTLS_EHLO)
		lint_add(r, SEV_WARNING, "T10", ar->host->name, ar->addr->text,
		    NULL, "gives no SMTP session: %s", s->text);
	else
		lint_add(r, severity, "L05", ar->host->name, ar->addr->text,
		    severity == SEV_PROBLEM ?
			"TLSA records promise TLS: senders that check DANE "
			"delay mail until STARTTLS works" :
			"without STARTTLS all mail comes in the clear",
		    "STARTTLS does not work: %s", s->text);
}

static void
variant_failed(struct report *r, struct task *t, struct address_report *ar,
    const struct starttls_result *s)
{
	if (s->state < STARTTLS_HANDSHAKE) {
		/* it tells nothing about what was to be tried */
		lint_add(r, SEV_NOTE, "L12", ar->host->name, ar->addr->text,
		    "a server that takes few connections from one address "
		    "cannot be tested wholly: try again later",
		    "a further connection failed, a test was left out: %s",
		    s->text);
		return;
	}
	if (t->variant == V_ECDSA && !t->tls[V_RSA])
		lint_add(r, SEV_NOTE, "L12", ar->host->name, ar->addr->text,
		    NULL, "accepts neither RSA nor ECDSA alone: %s", s->text);
	if (t->variant == V_NO_SNI || t->variant == V_OTHER_SNI)
		lint_add(r, SEV_WARNING, "L11", ar->host->name, ar->addr->text,
		    "senders may send another SNI or none: serve the "
		    "ordinary certificate to them",
		    "refuses a handshake %s: %s", variant_names[t->variant],
		    s->text);
}

static void
on_session(void *arg, const struct starttls_result *s)
{
	struct task *t = arg;
	struct domain *d = t->domain;
	struct exam *x = d->exam;
	struct report *r = d->report;
	struct address_report *ar = &r->addr[t->at];

	t->session = NULL;
	x->n_running--;
	TAILQ_REMOVE(&x->running, t, entry);
	if (s->stream != NULL && stream_write(s->stream, "QUIT\r\n", 6))
		stream_finish(s->stream, QUIT_TIME);
	else
		stream_free(s->stream);
	if (t->variant == V_FIRST && not_now(s) && once_more(t))
		return;
	t->tls[t->variant] = s->tls;
	if (t->variant == V_FIRST) {
		ar->tested = s->state >= STARTTLS_COMMAND;
		ar->tls = s->tls;
		ar->ready = s->state == STARTTLS_READY;
		snprintf(ar->version, sizeof ar->version, "%s", s->tls_version);
		snprintf(ar->cipher, sizeof ar->cipher, "%s", s->tls_cipher);
		if (!ar->ready)
			first_failed(r, ar, s);
	} else if (!s->tls)
		variant_failed(r, t, ar, s);
	if (out_of_files(s))
		r->no_memory = true;
	/* the chain served for a strange name proves nothing */
	if (s->tls && t->variant <= V_ECDSA && !not_now(s))
		lint_chain(
		    r, ar, s->chain, variant_names[t->variant], &x->o.lint);
	t->variant++;
	if (ar->tls && has_dane(ar->host) && t->variant < N_VARIANTS) {
		/* behind the others: they have waited */
		TAILQ_INSERT_TAIL(&x->waiting, t, entry);
	} else {
		task_free(t);
		if (--d->left == 0) {
			domain_end(d);
			return;
		}
	}
	event_active(x->pump, 0, 0);
}

static bool
task_start(struct exam *x, struct task *t)
{
	const struct report *r = t->domain->report;
	const struct address_report *ar = &r->addr[t->at];
	const char *base = ar->host->base != NULL ? ar->host->base :
						    ar->host->name;
	const char *own = r->answer->tls_priority;
	char priority[1024];
	struct starttls_target target = { .addr = ar->addr,
		.port = ar->host->port,
		.helo = x->o.helo,
		.mode = STARTTLS_REQUIRED,
		.sni = base, /* L11, S01 */
		.priority = has_dane(ar->host) ? own : NULL,
		.connect_timeout = (unsigned)x->o.timeout,
		.command_timeout = (unsigned)x->o.timeout };

	if (t->variant == V_RSA || t->variant == V_ECDSA) {
		snprintf(priority, sizeof priority, "%s%s",
		    own != NULL ? own : "NORMAL",
		    t->variant == V_RSA ? SIGN_RSA : SIGN_ECDSA);
		target.priority = priority;
	}
	if (t->variant == V_NO_SNI)
		target.sni = NULL;
	if (t->variant == V_OTHER_SNI)
		target.sni = OTHER_SNI;
	t->session = starttls_start(
	    x->o.base, x->o.cli->dv, &target, on_session, t);
	return t->session != NULL;
}

/* Starts what may start.  Bounded by what is waiting: addresses of the domains
 * under way. */
static void
on_pump(int fd, short what, void *arg)
{
	struct exam *x = arg;
	struct task *t, *next, *busy;

	(void)fd;
	(void)what;
	for (t = TAILQ_FIRST(&x->waiting);
	     t != NULL && x->n_running < x->o.connections; t = next) {
		next = TAILQ_NEXT(t, entry);
		TAILQ_FOREACH(busy, &x->running, entry)
		if (same_addr(busy, t))
			break;
		if (busy != NULL)
			continue;
		if (!task_start(x, t))
			break; /* descriptors: when one ends */
		TAILQ_REMOVE(&x->waiting, t, entry);
		TAILQ_INSERT_TAIL(&x->running, t, entry);
		x->n_running++;
	}
}

/* --------------------------------------------------------------- the route */

static bool
addresses(struct domain *d)
{
	struct report *r = d->report;
	const struct danevirke_answer *a = r->answer;
	struct task *t;
	size_t i, j, n = 0;

	for (i = 0; i < a->n_hosts; i++)
		n += a->hosts[i].n_addrs;
	if ((r->addr = calloc(n + 1, sizeof *r->addr)) == NULL)
		return false;
	for (i = 0; i < a->n_hosts; i++)
		for (j = 0; j < a->hosts[i].n_addrs; j++) {
			r->addr[r->n_addr].host = &a->hosts[i];
			r->addr[r->n_addr].addr = &a->hosts[i].addrs[j];
			r->addr[r->n_addr++].usage = -1;
		}
	if (d->exam->o.dns_only)
		return true;
	for (i = 0; i < r->n_addr; i++) {
		if ((t = calloc(1, sizeof *t)) == NULL)
			return false;
		t->domain = d;
		t->at = i;
		d->left++;
		TAILQ_INSERT_TAIL(&d->exam->waiting, t, entry);
	}
	return true;
}

/* A name that every resolver can ask the root for, and nobody has: a failure
 * here too is one of our network, forwarders, anchor or clock. */
static void
on_probe(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct domain *d = arg;

	(void)err;
	d->query = NULL;
	d->doubted = false;
	d->report->own_dns = a == NULL || a->outcome == DANEVIRKE_DEFER;
	d->exam->o.cli->dv->release(a);
	lint_answer(d->report, &d->exam->o.lint);
	domain_end(d);
}

/* Nothing at all is known of the domain: is it its own fault? */
static bool
doubt(struct domain *d)
{
	struct danevirke_question q = { .size = sizeof q,
		.kind = DANEVIRKE_DOMAIN,
		.name = "danevirke-probe",
		.flags = DANEVIRKE_TEST };
	const struct danevirke_answer *a = d->report->answer;
	struct danevirke_error err = { 0, "" };

	d->doubted = a->outcome == DANEVIRKE_DEFER && a->n_hosts == 0 &&
	    resolver_start(
		d->exam->o.resolver, &q, on_probe, d, &d->query, &err) == 0;
	return d->doubted;
}

static void
on_answer(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct domain *d = arg;
	struct report *r = d->report;

	d->query = NULL;
	r->answer = a;
	if (a == NULL)
		r->error = strdup(err->text);
	else if (!addresses(d))
		r->no_memory = true;
	if (a != NULL && doubt(d))
		return;
	if (a != NULL)
		lint_answer(r, &d->exam->o.lint);
	if (d->left == 0)
		domain_end(d);
	else
		event_active(d->exam->pump, 0, 0);
}

static void
on_refused(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	domain_end(arg);
}

bool
exam_add(struct exam *x, const char *name, unsigned long n)
{
	struct danevirke_question q = { .size = sizeof q,
		.kind = DANEVIRKE_DOMAIN,
		.name = name,
		.port = (uint16_t)x->o.port,
		.profile = x->o.profile,
		.flags = DANEVIRKE_TEST };
	struct timeval tv = { .tv_sec = (time_t)x->o.limit };
	struct danevirke_error err = { 0, "" };
	struct domain *d = calloc(1, sizeof *d);
	struct timeval now = { 0 };

	if (d == NULL)
		return false;
	d->exam = x;
	TAILQ_INSERT_TAIL(&x->domains, d, entry);
	d->report = calloc(1, sizeof *d->report);
	d->timer = event_new(x->o.base, -1, 0, on_limit, d);
	if (d->report != NULL) {
		d->report->dv = x->o.cli->dv;
		d->report->dns_only = x->o.dns_only;
	}
	if (d->report == NULL || d->timer == NULL ||
	    (d->report->name = strdup(name)) == NULL)
		goto err;
	d->report->n = n;
	d->report->dane = "none";
	d->report->when = time(NULL);
	clock_gettime(CLOCK_MONOTONIC, &d->from);
	if (resolver_start(x->o.resolver, &q, on_answer, d, &d->query, &err) ==
	    0)
		event_add(d->timer, &tv);
	else { /* the report says so, from the loop */
		d->report->error = strdup(err.text);
		event_assign(d->timer, x->o.base, -1, 0, on_refused, d);
		event_add(d->timer, &now);
	}
	return true;
err:
	clean(d);
	return false;
}

struct exam *
exam_new(const struct exam_options *o, exam_done *done, void *arg)
{
	struct exam *x = calloc(1, sizeof *x);

	if (x == NULL)
		return NULL;
	x->o = *o;
	x->done = done;
	x->arg = arg;
	TAILQ_INIT(&x->domains);
	TAILQ_INIT(&x->waiting);
	TAILQ_INIT(&x->running);
	TAILQ_INIT(&x->paused);
	x->pump = event_new(o->base, -1, 0, on_pump, x);
	if (x->pump == NULL) {
		free(x);
		return NULL;
	}
	return x;
}

size_t
exam_connections(const struct exam *x)
{
	return x->n_running;
}

void
exam_free(struct exam *x)
{
	struct domain *d;

	if (x == NULL)
		return;
	while ((d = TAILQ_FIRST(&x->domains)) != NULL)
		clean(d);
	event_free(x->pump);
	free(x);
}

/* ------------------------------------------------------------ the options */

int
exam_option(struct exam_options *o, int id, const char *value)
{
	static const struct {
		const char *name;
		unsigned long min, max;
	} number[X_OWN] = { [X_PORT] = { "port", 1, 65535 },
		[X_TIMEOUT] = { "timeout", 1, 300 },
		[X_LIMIT] = { "limit", 1, 3600 },
		[X_PARALLEL] = { "parallel", 1, 10000 },
		[X_CONNECTIONS] = { "connections", 1, 10000 },
		[X_CERT_DAYS] = { "certificate-days", 0, 3650 },
		[X_SIG_DAYS] = { "signature-days", 0, 3650 } };
	unsigned long *to[X_OWN] = { [X_PORT] = &o->port,
		[X_TIMEOUT] = &o->timeout,
		[X_LIMIT] = &o->limit,
		[X_PARALLEL] = &o->parallel,
		[X_CONNECTIONS] = &o->connections,
		[X_CERT_DAYS] = &o->lint.certificate_days,
		[X_SIG_DAYS] = &o->lint.signature_days };

	if (id == X_DNS_ONLY)
		o->dns_only = true;
	else if (id == X_HELO)
		o->helo = value;
	else if (id == X_PROFILE)
		o->profile = value;
	else
		return opt_number(o->cli, number[id].name, value,
		    number[id].min, number[id].max, to[id]);
	return 0;
}

/* Nobody reads on: known at once, not when the next line is written. */
static void
on_reader(int fd, short what, void *arg)
{
	struct exam_options *o = arg;
	struct pollfd p = { fd, 0, 0 };

	(void)what;
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLERR)) {
		out_closed();
		event_base_loopbreak(o->base);
	}
}

/* Where descriptors run out, DNS and hosts look broken that are not.  A domain
 * asks several questions at once. */
static int
files_enough(const struct exam_options *o)
{
	rlim_t want = 64 + o->connections + 8 * o->parallel;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0)
		return EXIT_GOOD;
	l.rlim_cur = l.rlim_max;
	if (l.rlim_max >= want) {
		setrlimit(RLIMIT_NOFILE, &l);
		return EXIT_GOOD;
	}
	return cli_error(o->cli,
	    "--parallel %lu and --connections %lu: %lu open files are allowed "
	    "(ulimit -Hn), want %lu: allow more, or take fewer at once",
	    o->parallel, o->connections, (unsigned long)l.rlim_max,
	    (unsigned long)want);
}

int
exam_open(struct exam_options *o)
{
	struct cli *c = o->cli;
	struct stat st;

	if (files_enough(o) != EXIT_GOOD)
		return EXIT_UNTESTED;
	if ((o->base = event_base_new()) == NULL)
		return cli_error(c, "no event loop: out of memory");
	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISFIFO(st.st_mode) &&
	    ((o->reader = event_new(
		  o->base, STDOUT_FILENO, EV_READ, on_reader, o)) == NULL ||
		event_add(o->reader, NULL) != 0))
		return cli_error(c, "no event loop: out of memory");
	if ((o->engine = cli_open(c, NULL)) == NULL ||
	    (o->resolver = cli_resolver(c, o->engine, o->base)) == NULL)
		return EXIT_UNTESTED;
	if (c->dv->profile(o->engine, o->profile) == NULL)
		return cli_error(c, "--profile %s: no such profile in %s",
		    o->profile, c->dv->settings(o->engine)->config);
	if (o->helo == NULL) {
		if (gethostname(o->own, sizeof o->own - 1) != 0 ||
		    o->own[0] == '\0')
			snprintf(o->own, sizeof o->own, "localhost");
		o->helo = o->own;
	}
	if (o->helo[0] == '\0' || strlen(o->helo) > 255 ||
	    o->helo[strcspn(o->helo, " \t\r\n")] != '\0')
		return cli_error(
		    c, "--helo: \"%s\": want a host name", o->helo);
	return EXIT_GOOD;
}

void
exam_close(struct exam_options *o)
{
	resolver_free(o->resolver);
	if (o->engine != NULL)
		o->cli->dv->close(o->engine);
	if (o->reader != NULL)
		event_free(o->reader);
	if (o->base != NULL) {
		/* the last QUITs are on their way, for QUIT_TIME at most;
		 * nothing else is left on this loop */
		event_base_dispatch(o->base);
		event_base_free(o->base);
	}
	starttls_cleanup();
}

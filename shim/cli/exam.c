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
#include "stage.h"

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
	struct servers_job *job; /* name servers; NULL: none, or over */
	size_t left;             /* tasks */
	bool doubted;            /* the query is on_probe()'s */
};

struct exam {
	struct exam_options o;
	struct servers *servers; /* NULL: they are not asked */
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
exam_clean(struct domain *d)
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
	servers_cancel(d->job);
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
	exam_clean(d);
	event_active(x->pump, 0, 0);
	x->done(x->arg, r);
}

/* Unless something is under way. */
static void
domain_over(struct domain *d)
{
	if (d->left == 0 && d->query == NULL && d->job == NULL)
		domain_end(d);
}

static void
on_servers(void *arg)
{
	struct domain *d = arg;

	d->job = NULL;
	domain_over(d);
}

/* L14, while the hosts are talked to. */
static void
ask_servers(struct domain *d)
{
	const struct danevirke_answer *a = d->report->answer;

	if (d->exam->servers == NULL || a->outcome == DANEVIRKE_NO_DOMAIN ||
	    a->domain[0] == '[')
		return;
	d->job = servers_start(d->exam->servers, d->report, on_servers, d);
	if (d->job == NULL)
		d->report->no_memory = true;
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

/* No descriptor was left: that is our own fault, and says nothing of them. */
static bool
out_of_files(const struct starttls_result *s)
{
	return s->state == STARTTLS_CONNECT &&
	    (strstr(s->text, strerror(EMFILE)) != NULL ||
		strstr(s->text, strerror(ENFILE)) != NULL);
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
task_again(struct task *t)
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
	if (t->variant == V_FIRST && lint_not_now(s) && task_again(t))
		return;
	t->tls[t->variant] = s->tls;
	if (t->variant == V_FIRST) {
		ar->tested = s->state >= STARTTLS_COMMAND;
		ar->tls = s->tls;
		ar->ready = s->state == STARTTLS_READY;
		snprintf(ar->version, sizeof ar->version, "%s", s->tls_version);
		snprintf(ar->cipher, sizeof ar->cipher, "%s", s->tls_cipher);
		if (!ar->ready)
			lint_session(r, ar, s);
		lint_mta_sts_session(r, ar, s);
	} else if (!s->tls)
		lint_variant(r, ar, s, variant_names[t->variant],
		    t->variant == V_NO_SNI || t->variant == V_OTHER_SNI,
		    t->variant == V_ECDSA && !t->tls[V_RSA]);
	if (out_of_files(s))
		r->no_memory = true;
	/* the chain served for a strange name proves nothing */
	if (s->tls && t->variant <= V_ECDSA && !lint_not_now(s)) {
		lint_chain(
		    r, ar, s->chain, variant_names[t->variant], &x->o.lint);
		lint_mta_sts_chain(r, ar, s->chain, x->o.engine, &x->o.lint);
	}
	t->variant++;
	if (ar->tls && lint_has_dane(ar->host) && t->variant < N_VARIANTS) {
		/* behind the others: they have waited */
		TAILQ_INSERT_TAIL(&x->waiting, t, entry);
	} else {
		task_free(t);
		if (--d->left == 0 && d->job == NULL) {
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
		.priority = lint_has_dane(ar->host) ? own : NULL,
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

/* W01: a stranger's record must not make us knock there. */
static bool
exam_shunned(const struct domain *d, struct address_report *ar)
{
	const struct exam_options *o = &d->exam->o;

	if (o->cli->dv->may_use(o->engine, ar->addr->family, ar->addr->ip))
		return false;
	snprintf(ar->text, sizeof ar->text,
	    "not connected to: private address, or one of ours");
	lint_add(d->report, SEV_WARNING, "W01", ar->host->name, ar->addr->text,
	    "mail servers elsewhere want an address that can be reached from "
	    "the Internet",
	    "%s", ar->text);
	return true;
}

static bool
exam_addresses(struct domain *d)
{
	struct report *r = d->report;
	const struct danevirke_answer *a = r->answer;
	struct task *t;
	size_t i, j, n = 0;

	for (i = 0; i < a->n_hosts; i++)
		n += a->hosts[i]->n_addrs;
	if ((r->addr = calloc(n + 1, sizeof *r->addr)) == NULL)
		return false;
	for (i = 0; i < a->n_hosts; i++)
		for (j = 0; j < a->hosts[i]->n_addrs; j++) {
			r->addr[r->n_addr].host = a->hosts[i];
			r->addr[r->n_addr].addr = &a->hosts[i]->addrs[j];
			r->addr[r->n_addr++].usage = -1;
		}
	if (d->exam->o.dns_only)
		return true;
	for (i = 0; i < r->n_addr; i++) {
		if (exam_shunned(d, &r->addr[i]))
			continue;
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
	if (!d->report->own_dns)
		ask_servers(d);
	domain_over(d);
}

/* Nothing at all is known of the domain: is it its own fault? */
static bool
exam_doubt(struct domain *d)
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
	else if (!exam_addresses(d))
		r->no_memory = true;
	if (a != NULL && exam_doubt(d))
		return;
	if (a != NULL) {
		lint_answer(r, &d->exam->o.lint);
		ask_servers(d);
	}
	event_active(d->exam->pump, 0, 0);
	domain_over(d);
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
		d->report->servers = d->report->servers_faulty = -1;
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
	exam_clean(d);
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
	if (x->pump == NULL ||
	    (o->servers && (x->servers = servers_new(&x->o)) == NULL)) {
		exam_free(x);
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
		exam_clean(d);
	servers_free(x->servers);
	if (x->pump != NULL)
		event_free(x->pump);
	free(x);
}

/* SPDX-License-Identifier: ISC */
/* Exim, as it sees itself: what it is, what it reads, which way mail takes. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "doctor.h"

#define SECONDS_SHORT 20
#define SECONDS_ROUTE 120 /* DNS is asked */

struct exim {
	struct doctor *d;
	char version[32], file[256], user[64];
	struct debian deb;
	struct drivers routers, transports, auths;
	const struct driver *route; /* our router; NULL: there is none */
	const struct driver *ours;  /* its transport */
	bool able;                  /* this Exim can use exim.so */
	bool relayed;               /* by danevirked */
	bool hop;                   /* to one host, with "host=" */
	char library[512], profile[128];
};

/* exim ARG...; the text is the caller's to free(), NULL: said. */
static char *
exim_ask(struct doctor *d, unsigned seconds, const char *a, const char *b)
{
	const char *const argv[] = { d->program, a, b, NULL };
	struct program p;

	if (program_run(argv, seconds, &p) == 0)
		return p.text;
	doctor_say(d, SEV_WARNING, "%s %s %s: %s", d->program, a,
	    b == NULL ? "" : b, strerror(errno));
	d->untested = true;
	free(p.text);
	return NULL;
}

/* "exim_user = NAME" */
static void
exim_value(struct doctor *d, const char *option, char *buf, size_t len)
{
	char *text = exim_ask(d, SECONDS_SHORT, "-bP", option);
	struct drivers v = { .n = 0 };

	buf[0] = '\0';
	if (text != NULL && drivers_read(text, &v) == 0 && v.n > 0)
		snprintf(buf, len, "%s", driver_get(&v.driver[0], option));
	drivers_free(&v);
	free(text);
}

/* ------------------------------------------------------------- the program */

/* What it can do; false: nothing more can be asked. */
static bool
exim_program(struct exim *x)
{
	struct doctor *d = x->d;
	char *text = exim_ask(d, SECONDS_SHORT, "-bV", NULL);
	bool tls, dlfunc;

	if (text == NULL)
		return false;
	if (!bv_version(text, x->version) || !bv_file(text, x->file)) {
		doctor_say(d, SEV_PROBLEM, "%s -bV: %.300s", d->program, text);
		doctor_write(d, "mend the configuration first", NULL);
		free(text);
		return false;
	}
	tls = bv_supports(text, "GnuTLS");
	dlfunc = bv_supports(text, "Expand_dlfunc");
	doctor_say(d, SEV_NOTE, "%s is Exim %s with %s, %s ${dlfunc}%s",
	    d->program, x->version,
	    tls                              ? "GnuTLS" :
		bv_supports(text, "OpenSSL") ? "OpenSSL" :
					       "no TLS",
	    dlfunc ? "with" : "without",
	    bv_supports(text, "Event") ? "" : ", without events");
	x->able = tls && dlfunc && bv_supports(text, "Event");
	free(text);
	return true;
}

/* Danevirke's own relay takes nothing of Exim's. */
static void
exim_able(struct exim *x)
{
	if (x->able || x->relayed)
		return;
	doctor_say(x->d, SEV_PROBLEM,
	    "this Exim cannot use exim.so, which takes GnuTLS, events and "
	    "${dlfunc}");
	doctor_write(x->d, "run, or use danevirked(8)",
	    "apt install exim4-daemon-heavy");
}

/* ----------------------------------------------------------------- routers */

static bool
exim_list(struct exim *x, const char *what, struct drivers *list)
{
	char *text = exim_ask(x->d, SECONDS_SHORT, "-bP", what);
	bool good = text != NULL && drivers_read(text, list) == 0;

	free(text);
	return good;
}

/* Our router and transport, if there are any. */
static void
exim_find(struct exim *x)
{
	const struct driver *r;
	char hop[1024];
	const char *data;
	size_t i;

	for (i = 0; i < x->routers.n && x->route == NULL; i++) {
		r = &x->routers.driver[i];
		x->relayed = strncmp(driver_get(r, "transport"), "danevirked_",
				 11) == 0;
		if (x->relayed ||
		    driver_has(r, "route_data", "danevirke_route"))
			x->route = r;
	}
	if (x->route == NULL)
		return;
	x->ours = drivers_find(
	    &x->transports, driver_get(x->route, "transport"));
	if (x->relayed)
		return;
	data = driver_get(x->route, "route_data");
	dlfunc_argument(
	    data, "danevirke_route", 0, x->library, sizeof x->library);
	dlfunc_argument(
	    data, "danevirke_route", 1, x->profile, sizeof x->profile);
	x->hop = dlfunc_argument(data, "danevirke_route", 2, hop, sizeof hop) &&
	    strncmp(hop, "host=", 5) == 0;
}

/* "${if exists{FILE}...": the file's place; false: the list is no such thing */
static bool
exim_exists(const char *list, char file[512])
{
	const char *p = strstr(list, "exists{");

	if (p == NULL)
		return false;
	p += strlen("exists{");
	snprintf(file, 512, "%.*s", (int)strcspn(p, "}"), p);
	return true;
}

/* Nobody is in Debian's list of domains that are relayed, or it is none. */
static bool
exim_list_empty(struct exim *x, const char *name)
{
	char option[128], value[64];
	char *text;
	bool empty;

	snprintf(option, sizeof option, "+%s", name);
	text = exim_ask(x->d, SECONDS_SHORT, "-bP", option);
	snprintf(value, sizeof value, "%s =", name);
	empty = text != NULL && strstr(text, value) != NULL &&
	    strspn(strstr(text, value) + strlen(value), " \n") ==
		strlen(strstr(text, value) + strlen(value));
	free(text);
	return empty;
}

/* Does this one send mail to other hosts past Danevirke? */
static bool
exim_sends(const struct exim *x, const struct driver *r)
{
	const char *kind = driver_get(r, "driver");
	const struct driver *t = drivers_find(
	    &x->transports, driver_get(r, "transport"));

	return t != NULL && t != x->ours &&
	    (strcmp(kind, "dnslookup") == 0 ||
		strcmp(kind, "manualroute") == 0) &&
	    strcmp(driver_get(t, "driver"), "smtp") == 0 &&
	    !driver_has(t, "authenticated_sender", "danevirke_gate");
}

/* One that stands before ours. */
static void
exim_before(struct exim *x, const struct driver *r)
{
	const char *domains = driver_get(r, "domains");
	char where[512], file[512];

	if (exim_exists(domains, file)) {
		if (access(file, F_OK) == 0)
			doctor_say(x->d, SEV_NOTE,
			    "mail to the domains of %s goes by router %s, past "
			    "Danevirke",
			    file, r->name);
		return;
	}
	if (strstr(domains, "+relay_to_domains") != NULL &&
	    exim_list_empty(x, "relay_to_domains"))
		return;
	doctor_say(x->d, SEV_PROBLEM,
	    "router %s stands before %s and takes mail first (domains = %s)",
	    r->name, x->route->name, domains);
	snprintf(where, sizeof where,
	    "%s: move this line from where it is to just above \"%s:\"",
	    debian_place(&x->deb, "router"), r->name);
	doctor_write(x->d, where, ".include " EXIMDIR "/%s",
	    x->relayed ? "danevirked-routers" :
		x->hop ? "danevirke-smarthost-routers" :
			 "danevirke-routers");
}

/* Where mail would go without ours: the first that sends to anybody. */
static const struct driver *
exim_theirs(const struct exim *x)
{
	char file[512];
	size_t i;

	for (i = 0; i < x->routers.n; i++) {
		const struct driver *r = &x->routers.driver[i];

		if (exim_sends(x, r) &&
		    !exim_exists(driver_get(r, "domains"), file) &&
		    !driver_has(r, "domains", "+relay_to_domains"))
			return r;
	}
	return NULL;
}

/* The first router that sends to others, of whatever domains. */
static const struct driver *
exim_first(const struct exim *x, const struct driver *theirs)
{
	char file[512];
	size_t i;

	for (i = 0; i < x->routers.n; i++)
		if (exim_sends(x, &x->routers.driver[i]) &&
		    !exim_exists(
			driver_get(&x->routers.driver[i], "domains"), file))
			return &x->routers.driver[i];
	return theirs;
}

/* What Debian's configuration wants besides. */
static void
exim_made(struct exim *x)
{
	char run[SERVICE_LEN];

	if (!x->deb.made)
		return;
	doctor_say(x->d, SEV_NOTE,
	    "danevirke setup exim shows such lines as a diff, and writes them "
	    "with --apply");
	doctor_write(x->d, "after such lines run", "update-exim4.conf && %s",
	    program_service("exim4", SERVICE_RESTART, run));
}

/* Nothing of ours is there: the lines.  One that cannot use exim.so sends by
 * danevirked(8). */
static void
exim_missing(struct exim *x, const struct driver *theirs)
{
	static const struct {
		const char *part, *split, *begin;
	} t[] = {
		{ "routers", "router/190_danevirke", NULL },
		{ "transports", "transport/40_danevirke", "transports" },
		{ "retry", "retry/29_danevirke", "retry" },
	};
	bool hop = strcmp(driver_get(theirs, "driver"), "manualroute") == 0,
	     relayed = !x->able && !hop;
	char where[512];
	size_t i;

	for (i = 0; i < (relayed ? 3 : 2); i++) {
		if (i == 0)
			doctor_say(x->d, SEV_PROBLEM,
			    "no router of Danevirke: mail to other hosts goes "
			    "by %s without it",
			    theirs->name);
		else
			doctor_say(x->d, SEV_PROBLEM, "nor its %s", t[i].part);
		if (x->deb.made && x->deb.split)
			snprintf(where, sizeof where,
			    DEBIAN_ETC "/conf.d/%s, a new file", t[i].split);
		else if (t[i].begin != NULL)
			snprintf(where, sizeof where,
			    "%s, just below \"begin %s\"",
			    debian_place(&x->deb, t[i].part), t[i].begin);
		else
			snprintf(where, sizeof where, "%s, just above \"%s:\"",
			    debian_place(&x->deb, t[i].part),
			    exim_first(x, theirs)->name);
		doctor_write(x->d, where,
		    "%s.include " EXIMDIR "/danevirke%s-%s",
		    i == 0 && hop && !x->deb.made ?
			"DANEVIRKE_RELAY_HOST = mail.provider.example\n"
			"DANEVIRKE_RELAY_PORT = 587\n" :
			"",
		    relayed ? "d" :
			hop ? "-smarthost" :
			      "",
		    t[i].part);
	}
	exim_made(x);
}

static void
exim_order(struct exim *x)
{
	const struct driver *theirs = exim_theirs(x);
	size_t i;

	if (x->route == NULL) {
		if (theirs != NULL)
			exim_missing(x, theirs);
		return;
	}
	doctor_say(x->d, SEV_NOTE, "router %s and transport %s are there",
	    x->route->name, driver_get(x->route, "transport"));
	for (i = 0; &x->routers.driver[i] != x->route; i++)
		if (exim_sends(x, &x->routers.driver[i]))
			exim_before(x, &x->routers.driver[i]);
	if (theirs == NULL)
		doctor_say(x->d, SEV_NOTE,
		    "no router is left for what %s declines: with level off or "
		    "audit, Exim bounces it",
		    x->route->name);
	else if (!x->hop &&
	    strcmp(driver_get(theirs, "driver"), "manualroute") == 0) {
		doctor_say(x->d, SEV_PROBLEM,
		    "%s sends to each domain's own hosts, and router %s is for "
		    "a relay host",
		    x->route->name, theirs->name);
		doctor_write(x->d,
		    "danevirke-exim(7), A relay host, has the files for that",
		    NULL);
	}
}

/* ---------------------------------------------------- routers and transport */

static void
exim_router(struct exim *x)
{
	static const char *const want[][3] = {
		{ "host_find_failed", "defer",
		    "mail without a usable host would be frozen or returned" },
		{ "hosts_randomize", "false",
		    "hosts would be tried in any order" },
	};
	char where[512];
	size_t i;

	for (i = 0; i < sizeof want / sizeof *want; i++) {
		if (strcmp(driver_get(x->route, want[i][0]), want[i][1]) == 0)
			continue;
		doctor_say(x->d, SEV_PROBLEM, "router %s has %s = %s: %s",
		    x->route->name, want[i][0],
		    driver_get(x->route, want[i][0]), want[i][2]);
		snprintf(where, sizeof where, "%s, router \"%s\"",
		    debian_place(&x->deb, "router"), x->route->name);
		doctor_write(x->d, where, "%s = %s", want[i][0], want[i][1]);
	}
}

static void
exim_library(struct exim *x)
{
	int e;

	if (x->library[0] == '\0' || strchr(x->library, '$') != NULL)
		return;
	if (access(x->library, F_OK) != 0) {
		doctor_say(x->d, SEV_PROBLEM, "%s: %s: mail waits", x->library,
		    strerror(errno));
		doctor_write(x->d, debian_place(&x->deb, "main"),
		    "DANEVIRKE_LIB = " MODULEDIR "/exim.so");
	} else if ((e = doctor_may_read(x->user, x->library)) > 0)
		doctor_say(x->d, SEV_PROBLEM, "%s cannot be read by %s: %s",
		    x->library, x->user, strerror(e));
}

static void
exim_transport(struct exim *x)
{
	const struct driver *theirs = exim_theirs(x);

	if (x->ours == NULL || x->relayed)
		return;
	exim_router(x);
	exim_library(x);
	option_transport(x->d, &x->deb, x->ours);
	if (theirs != NULL)
		option_lost(x->d, &x->deb, x->ours,
		    drivers_find(
			&x->transports, driver_get(theirs, "transport")));
	if (x->hop)
		option_authenticators(x->d, &x->deb, &x->auths, x->ours);
	if (x->hop && strcspn(x->deb.smarthost, ";") < strlen(x->deb.smarthost))
		doctor_say(x->d, SEV_NOTE,
		    "of several smarthosts (%s) Danevirke takes the first",
		    x->deb.smarthost);
}

/* Exim's user is the one whose store and permissions count. */
static void
exim_user(struct exim *x)
{
	struct doctor *d = x->d;
	const struct danevirke_settings *s;

	exim_value(d, "exim_user", x->user, sizeof x->user);
	if (!doctor_open(d))
		return;
	s = d->c->dv->settings(d->engine);
	/* danevirked has a user of its own: see doctor danevirked */
	doctor_conf(d,
	    x->relayed             ? s->daemon_user :
		x->user[0] != '\0' ? x->user :
				     s->exim_user);
	if (x->relayed || x->user[0] == '\0')
		return;
	if (strcmp(s->exim_user, x->user) != 0) {
		doctor_say(d, SEV_PROBLEM,
		    "Exim's user is %s, and exim.user is %s: queue runs of "
		    "root would ask as another user",
		    x->user, s->exim_user);
		doctor_write(
		    d, s->config, "exim: { user = \"%s\"; };", x->user);
	}
	doctor_store(d, x->user);
}

/* -------------------------------------------------------------------- ways */

/* What Exim makes of "host=..." in the router's call. */
static void
exim_hop(struct exim *x, char hop[300])
{
	char text[1024], *said;

	if (!dlfunc_argument(driver_get(x->route, "route_data"),
		"danevirke_route", 2, text, sizeof text))
		return;
	if ((said = exim_ask(x->d, SECONDS_SHORT, "-be", text)) != NULL)
		snprintf(hop, 300, "%.*s", (int)strcspn(said, "\n"), said);
	free(said);
}

static void
exim_way(struct exim *x, const char *domain)
{
	char address[300], hop[300], *text;
	struct bt b;

	snprintf(address, sizeof address, "postmaster@%s", domain);
	out_wait(address);
	text = exim_ask(x->d, SECONDS_ROUTE, "-bt", address);
	out_wait(NULL);
	if (text == NULL)
		return;
	bt_read(text, &b);
	free(text);
	if (b.transport[0] == '\0') {
		doctor_way(x->d, domain, NULL, b.waits ? "waits" : "comes back",
		    b.reason);
		return;
	}
	if (x->ours == NULL || strcmp(b.transport, x->ours->name) != 0) {
		doctor_way(x->d, domain, b.transport, "not by Danevirke", NULL);
		return;
	}
	snprintf(hop, sizeof hop, "%s", domain);
	if (x->hop)
		exim_hop(x, hop);
	doctor_mail(x->d, domain, b.transport, hop,
	    x->profile[0] == '\0' || strchr(x->profile, '$') != NULL ?
		NULL :
		x->profile);
}

void
doctor_exim(struct doctor *d)
{
	struct exim x = { .d = d };
	size_t i;

	if (geteuid() != 0)
		doctor_say(d, SEV_WARNING,
		    "not root: what Exim hides from others is not seen");
	if (exim_program(&x)) {
		debian_look(d, &x.deb, x.file);
		if (exim_list(&x, "routers", &x.routers) &&
		    exim_list(&x, "transports", &x.transports) &&
		    exim_list(&x, "authenticators", &x.auths)) {
			exim_find(&x);
			exim_able(&x);
			exim_order(&x);
			exim_transport(&x);
		} else
			d->untested = true;
		exim_user(&x);
		for (i = 0; i < d->n_domain && !d->offline; i++)
			exim_way(&x, d->domain[i]);
	}
	drivers_free(&x.routers);
	drivers_free(&x.transports);
	drivers_free(&x.auths);
}

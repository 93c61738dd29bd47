/* SPDX-License-Identifier: ISC */
/* OpenSMTPD: is smtpd.conf valid, and does its outgoing mail go by Danevirke? */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "doctor.h"
#include "smtpdconf.h"

#define SECONDS 20
#define TABLE OPENSMTPDDIR "/table-danevirke"

struct smtpd {
	struct doctor *d;
	struct smtpdconf conf;
	const char *table, *config;        /* of danevirke: "dane", its file */
	const struct smtpdconf_line *ours; /* action with it */
};

/* ---------------------------------------------------------------- smtpd.conf */

static bool
smtpd_is_table(const struct smtpd *s, const char *word)
{
	size_t n = s->table == NULL ? 0 : strlen(s->table);

	return n > 0 && word != NULL && word[0] == '<' &&
	    strncmp(word + 1, s->table, n) == 0 &&
	    strcmp(word + 1 + n, ">") == 0;
}

/* "table NAME danevirke:FILE", and the first action that has it. */
static void
smtpd_find(struct smtpd *s)
{
	const struct smtpdconf_line *l;

	for (l = s->conf.line; l < s->conf.line + s->conf.n; l++)
		if (s->table == NULL && l->n == 3 &&
		    strcmp(l->word[0], "table") == 0 &&
		    strncmp(l->word[2], "danevirke:", 10) == 0) {
			s->table = l->word[1];
			s->config = l->word[2] + 10;
		}
	for (l = s->conf.line; l < s->conf.line + s->conf.n; l++)
		if (s->ours == NULL && l->n > 3 &&
		    strcmp(l->word[0], "action") == 0 &&
		    strcmp(l->word[2], "relay") == 0 &&
		    smtpd_is_table(s, smtpdconf_after(l, "domain")))
			s->ours = l;
}

static const struct smtpdconf_line *
smtpd_action(const struct smtpd *s, const char *name)
{
	const struct smtpdconf_line *l;

	for (l = s->conf.line; l < s->conf.line + s->conf.n; l++)
		if (name != NULL && l->n > 2 &&
		    strcmp(l->word[0], "action") == 0 &&
		    strcmp(l->word[1], name) == 0)
			return l;
	return NULL;
}

static bool
smtpd_is_relay(const struct smtpd *s, const char *name)
{
	const struct smtpdconf_line *l = smtpd_action(s, name);

	return l != NULL && strcmp(l->word[2], "relay") == 0;
}

static bool
smtpd_is_ours(const struct smtpd *s, const char *name)
{
	return smtpd_is_relay(s, name) &&
	    smtpd_is_table(s, smtpdconf_after(smtpd_action(s, name), "domain"));
}

static void
smtpd_name(char name[256])
{
	if (gethostname(name, 255) != 0 || strchr(name, '.') == NULL)
		snprintf(name, 256, "THIS.HOSTS.NAME");
	name[255] = '\0';
}

static void
smtpd_tables(struct smtpd *s)
{
	struct doctor *d = s->d;
	char name[256];

	smtpd_name(name);
	if (s->table == NULL) {
		doctor_say(
		    d, SEV_PROBLEM, "%s has no table of Danevirke", d->file);
		doctor_write(d, d->file,
		    "table dane danevirke:" SYSCONFDIR "/danevirke.conf\n"
		    "action \"outbound\" relay domain <dane> helo %s\n"
		    "match from local for any action \"outbound\"",
		    name);
		return;
	}
	doctor_say(d, SEV_NOTE, "table <%s> is Danevirke with %s", s->table,
	    s->config);
	if (access(TABLE, X_OK) != 0) {
		doctor_say(d, SEV_PROBLEM, "%s: %s", TABLE, strerror(errno));
		doctor_write(d, "install Danevirke for OpenSMTPD", NULL);
	}
	if (s->ours == NULL) {
		doctor_say(d, SEV_PROBLEM,
		    "no action relays by <%s>: the table is not used",
		    s->table);
		doctor_write(d, d->file,
		    "action \"outbound\" relay domain <%s> helo %s\n"
		    "match from local for any action \"outbound\"",
		    s->table, name);
	}
}

/* ------------------------------------------------------------------- actions */

/* The words that an action with Danevirke must not have. */
static const struct {
	const char *word, *why;
} smtpd_words[] = {
	{ "tls", "the relay on the loopback has no TLS, so no mail is sent" },
	{ "backup", "it is about MX hosts, which the relay finds" },
	{ "host", "a table of domains and a host exclude each other" },
	{ "auth", "the relay takes no password" },
};

/* Names that stand in examples: RFC 2606, and a made-up one. */
static bool
smtpd_example(const char *name)
{
	static const char *const end[] = { ".example", "example.org",
		"example.com", "example.net", ".invalid", ".test" };
	size_t n = strlen(name), len, i;

	for (i = 0; i < sizeof end / sizeof *end; i++) {
		len = strlen(end[i]);
		if (n >= len && strcasecmp(name + n - len, end[i]) == 0)
			return true;
	}
	return strcasecmp(name, "localhost") == 0;
}

/* The action as it should be. */
static void
smtpd_advise(struct smtpd *s, const struct smtpdconf_line *l)
{
	const char *helo = smtpdconf_after(l, "helo"),
		   *src = smtpdconf_after(l, "src");
	char name[256], where[512];

	if (helo == NULL || smtpd_example(helo)) {
		smtpd_name(name);
		helo = name;
	}
	snprintf(where, sizeof where, "%s, line %d, in its place", s->d->file,
	    l->number);
	doctor_write(s->d, where, "action \"%s\" relay domain <%s>%s%s helo %s",
	    l->word[1], s->table, src == NULL ? "" : " src ",
	    src == NULL ? "" : src, helo);
}

static void
smtpd_actions(struct smtpd *s)
{
	const struct smtpdconf_line *l;
	const char *helo;
	size_t i;

	for (l = s->conf.line; l < s->conf.line + s->conf.n; l++) {
		if (strcmp(l->word[0], "action") != 0 || l->n < 3 ||
		    !smtpd_is_ours(s, l->word[1]))
			continue;
		for (i = 0; i < sizeof smtpd_words / sizeof *smtpd_words; i++)
			if (smtpdconf_has(l, smtpd_words[i].word)) {
				doctor_say(s->d, SEV_PROBLEM,
				    "action \"%s\" has \"%s\": %s", l->word[1],
				    smtpd_words[i].word, smtpd_words[i].why);
				smtpd_advise(s, l);
			}
		helo = smtpdconf_after(l, "helo");
		if (helo != NULL && smtpd_example(helo)) {
			doctor_say(s->d, SEV_PROBLEM,
			    "action \"%s\" greets other hosts as %s, the name "
			    "of an example",
			    l->word[1], helo);
			smtpd_advise(s, l);
		}
	}
}

/* ------------------------------------------------------------------- matches */

/* Does it take mail to that domain, as far as its own words say so? */
static bool
smtpd_for_domain(const struct smtpd_match *m, const char *domain)
{
	if (m->for_ == FOR_ANY)
		return !m->not ;
	if (m->for_ != FOR_DOMAIN)
		return m->not ; /* "for ! local" */
	return m->domain[0] == '<' ? m->not :
	    m->not                 ? strcasecmp(m->domain, domain) != 0 :
				     strcasecmp(m->domain, domain) == 0;
}

/* The first match for such mail; NULL: none.  auth: of a user who has logged in
 * from elsewhere, else of this machine. */
static const struct smtpdconf_line *
smtpd_taken(
    const struct smtpd *s, const char *domain, bool auth, struct smtpd_match *m)
{
	const struct smtpdconf_line *l;

	for (l = s->conf.line; l < s->conf.line + s->conf.n; l++) {
		if (!smtpdconf_match(l, m) || !smtpd_for_domain(m, domain) ||
		    m->from == FROM_SOME)
			continue;
		if (auth ? m->from != FROM_LOCAL : !m->auth)
			return l;
	}
	return NULL;
}

/* Whose mail goes past Danevirke? */
static void
smtpd_past(struct smtpd *s, const char *domain, bool auth)
{
	const char *whose = auth ? "users who log in" : "this machine";
	const struct smtpdconf_line *l;
	struct smtpd_match m;
	char where[512];

	l = smtpd_taken(s, domain, auth, &m);
	if (l == NULL || m.action == NULL || !smtpd_is_relay(s, m.action)) {
		if (auth || s->ours == NULL)
			return;
		doctor_say(s->d, SEV_PROBLEM,
		    "no match gives the mail of this machine to %s to action "
		    "\"%s\"",
		    domain, s->ours->word[1]);
		doctor_write(s->d, s->d->file,
		    "match from local for any action \"%s\"", s->ours->word[1]);
		return;
	}
	if (smtpd_is_ours(s, m.action))
		return;
	doctor_say(s->d, SEV_PROBLEM,
	    "line %d gives the mail of %s to %s to action \"%s\", which is "
	    "not Danevirke's",
	    l->number, whose, domain, m.action);
	snprintf(where, sizeof where, "%s, line %d, in its place", s->d->file,
	    l->number);
	doctor_write(s->d, where, "match %s for %s%s%s action \"%s\"",
	    m.auth ? "auth from any" : "from local",
	    m.for_ == FOR_DOMAIN ? "domain \"" : "any",
	    m.for_ == FOR_DOMAIN ? m.domain : "",
	    m.for_ == FOR_DOMAIN ? "\"" : "",
	    s->ours == NULL ? "outbound" : s->ours->word[1]);
}

static void
smtpd_matches(struct smtpd *s)
{
	const struct smtpdconf_line *l;
	struct smtpd_match m;
	char where[512];
	size_t i;

	for (l = s->conf.line; l < s->conf.line + s->conf.n; l++) {
		if (!smtpdconf_match(l, &m) || m.from != FROM_ANY || m.auth ||
		    m.for_ != FOR_ANY || m.not || !smtpd_is_relay(s, m.action))
			continue;
		doctor_say(s->d, SEV_PROBLEM,
		    "line %d lets everybody send through this server: an open "
		    "relay",
		    l->number);
		snprintf(where, sizeof where, "%s, line %d, in its place",
		    s->d->file, l->number);
		doctor_write(s->d, where,
		    "match from local for any action \"%s\"", m.action);
	}
	for (i = 0; i < s->d->n_domain; i++) {
		smtpd_past(s, s->d->domain[i], false);
		smtpd_past(s, s->d->domain[i], true);
	}
}

/* ----------------------------------------------------------- danevirke.conf */

static void
smtpd_user(struct doctor *d)
{
	static const char *const usual[] = { "opensmtpd", "_smtpd", "smtpd" };
	const struct danevirke_settings *set = d->c->dv->settings(d->engine);
	size_t i, k;

	for (i = 0; i < sizeof usual / sizeof *usual; i++)
		if (getpwnam(usual[i]) != NULL)
			break;
	if (i == sizeof usual / sizeof *usual ||
	    strcmp(set->relay_user, usual[i]) == 0)
		return;
	for (k = 0; k < set->n_relay_users; k++)
		if (strcmp(set->relay_users[k], usual[i]) == 0)
			return;
	doctor_say(d, SEV_PROBLEM,
	    "relay.user is %s, and smtpd connects as %s: all mail waits",
	    set->relay_user, usual[i]);
	doctor_write(d, set->config, "relay: { user = \"%s\"; };", usual[i]);
}

/* ------------------------------------------------------------------ running */

/* Built for another prefix: smtpd looks for tables in one place. */
static void
smtpd_invalid(struct doctor *d, const char *text)
{
	doctor_say(
	    d, SEV_PROBLEM, "smtpd -n: %.*s", (int)strcspn(text, "\n"), text);
	if (strstr(text, "backend \"danevirke\" does not exist") != NULL)
		doctor_write(
		    d, "run", "ln -s " TABLE " /usr/libexec/opensmtpd/");
}

/* False: nothing more can be said. */
static bool
smtpd_program(struct doctor *d)
{
	const char *const version[] = { d->program, "-h", NULL },
			  *const check[] = { d->program, "-n", "-f", d->file,
				  NULL };
	unsigned major, minor;
	struct program p;
	const char *at;

	if (program_run(version, SECONDS, &p) == 0 &&
	    (at = strstr(p.text, "OpenSMTPD ")) != NULL &&
	    sscanf(at, "OpenSMTPD %u.%u", &major, &minor) == 2) {
		bool good = major > 6 || (major == 6 && minor >= 8);

		doctor_say(d, good ? SEV_NOTE : SEV_PROBLEM,
		    "%s is OpenSMTPD %u.%u%s", d->program, major, minor,
		    good ? "" : ": want 6.8 or later");
	} else {
		doctor_say(d, SEV_PROBLEM, "%s is not OpenSMTPD's", d->program);
		free(p.text);
		return false;
	}
	free(p.text);
	if (program_run(check, SECONDS, &p) != 0) {
		doctor_say(
		    d, SEV_WARNING, "%s -n: %s", d->program, strerror(errno));
		d->untested = true;
	} else if (p.status != 0)
		smtpd_invalid(d, p.text);
	else
		doctor_say(d, SEV_NOTE, "%s is valid for smtpd -n", d->file);
	free(p.text);
	return true;
}

static void
smtpd_way(struct smtpd *s, const char *domain)
{
	struct smtpd_match m;

	if (smtpd_taken(s, domain, false, &m) == NULL)
		doctor_way(
		    s->d, domain, NULL, "is refused", "no match takes it");
	else if (m.action == NULL)
		doctor_way(s->d, domain, NULL, "is refused", "by a match");
	else if (!smtpd_is_ours(s, m.action))
		doctor_way(s->d, domain, m.action, "not by Danevirke", NULL);
	else
		doctor_mail(s->d, domain, m.action, domain,
		    s->d->engine == NULL ?
			NULL :
			s->d->c->dv->settings(s->d->engine)->relay_profile);
}

void
doctor_smtpd(struct doctor *d)
{
	struct smtpd s = { .d = d };
	size_t i;

	if (!smtpd_program(d))
		return;
	if (smtpdconf_read(d->file, &s.conf) != 0) {
		doctor_say(d, SEV_PROBLEM, "%s: %s", d->file, strerror(errno));
		smtpdconf_free(&s.conf);
		return;
	}
	if (s.conf.missing != NULL)
		doctor_say(d, SEV_WARNING, "%s: %s cannot be read", d->file,
		    s.conf.missing);
	smtpd_find(&s);
	smtpd_tables(&s);
	smtpd_actions(&s);
	smtpd_matches(&s);
	if (s.table != NULL) {
		d->config = s.config;
		if (doctor_open(d)) {
			doctor_conf(
			    d, d->c->dv->settings(d->engine)->relay_user);
			smtpd_user(d);
			doctor_range(d);
		}
	}
	for (i = 0; i < d->n_domain; i++)
		smtpd_way(&s, d->domain[i]);
	smtpdconf_free(&s.conf);
}

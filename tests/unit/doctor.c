/* SPDX-License-Identifier: ISC */
/* What danevirke doctor reads of mail servers: Exim's words, smtpd.conf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <errno.h>

#include <cmocka.h>

#include "cli/drivers.h"
#include "cli/program.h"
#include "cli/smtpdconf.h"
#include "title.h"

/* -------------------------------------------------------------------- Exim */

static const char routers[] =
    "\nfirst router:\n"
    "address_data = \n"
    "no_more\n"
    "expn\n"
    "domains = ! +local_domains : x=y\n"
    "transport = remote_smtp\n"
    "\nsecond_one router:\n"
    "driver=dnslookup\n"
    "route_data = ${dlfunc{/a/b.so}{danevirke_route}{de{f}t} {$domain}{}}\n"
    "no_value\n";

static void
test_drivers(void **state)
{
	const struct driver *r;
	struct drivers d;

	(void)state;
	assert_int_equal(drivers_read(routers, &d), 0);
	assert_int_equal(d.n, 2);
	assert_null(drivers_find(&d, "third"));
	assert_non_null(r = drivers_find(&d, "first"));
	assert_string_equal(driver_get(r, "address_data"), "");
	assert_true(driver_knows(r, "address_data"));
	assert_false(driver_knows(r, "driver"));
	assert_string_equal(driver_get(r, "more"), "false");
	assert_string_equal(driver_get(r, "expn"), "true");
	assert_string_equal(driver_get(r, "domains"), "! +local_domains : x=y");
	assert_non_null(r = drivers_find(&d, "second_one"));
	assert_string_equal(driver_get(r, "driver"), "dnslookup");
	assert_true(driver_has(r, "route_data", "danevirke_route"));
	assert_false(driver_has(r, "nothing", "x"));
	drivers_free(&d);
}

static void
test_main_options(void **state)
{
	struct drivers d;

	(void)state;
	assert_int_equal(drivers_read("exim_user = mail", &d), 0);
	assert_int_equal(d.n, 1);
	assert_string_equal(d.driver[0].name, "");
	assert_string_equal(driver_get(&d.driver[0], "exim_user"), "mail");
	drivers_free(&d);
	assert_int_equal(drivers_read("", &d), 0);
	assert_int_equal(d.n, 0);
	drivers_free(&d);
	assert_int_equal(drivers_read("\n\n=\n", &d), 0);
	assert_string_equal(driver_get(&d.driver[0], ""), "");
	drivers_free(&d);
}

static void
test_dlfunc(void **state)
{
	static const struct {
		const char *text;
		unsigned n;
		const char *value;
	} t[] = {
		{ "${dlfunc{/a.so}{f}{1}{2}}", 0, "/a.so" },
		{ "${dlfunc{/a.so}{f}{1}{2}}", 1, "1" },
		{ "${dlfunc{/a.so}{f}{1}{2}}", 2, "2" },
		{ "${dlfunc{/a.so}{f}{1}{2}}", 3, NULL },
		{ "${dlfunc{/a.so}{f}  {a{b}c}   {2}}", 1, "a{b}c" },
		{ "${dlfunc{/a.so}{f}{a\\}b}{2}}", 1, "a\\}b" },
		{ "${dlfunc{/b.so}{g}{x}}${dlfunc{/a.so}{f}{1}}", 0, "/a.so" },
		{ "${dlfunc{/a.so}{ff}{1}}", 0, NULL },
		{ "${dlfunc{/a.so}{f", 0, NULL },
		{ "${dlfunc{/a.so}{f}{1", 1, NULL },
		{ "${dlfunc{", 0, NULL },
		{ "", 0, NULL },
	};
	char buf[64], tiny[4];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		assert_int_equal(
		    dlfunc_argument(t[i].text, "f", t[i].n, buf, sizeof buf),
		    t[i].value != NULL);
		if (t[i].value != NULL)
			assert_string_equal(buf, t[i].value);
	}
	assert_false(dlfunc_argument(t[0].text, "f", 0, tiny, sizeof tiny));
}

static void
test_bt(void **state)
{
	struct bt b;

	(void)state;
	bt_read("a@b.example\n  router = r1, transport = t1\n"
		"  host 192.0.2.1 [192.0.2.1] port=25\n",
	    &b);
	assert_string_equal(b.router, "r1");
	assert_string_equal(b.transport, "t1");
	bt_read("a@b.example is undeliverable: no such domain\n", &b);
	assert_string_equal(b.transport, "");
	assert_string_equal(b.reason, "no such domain");
	assert_false(b.waits);
	bt_read("a@b.example cannot be resolved at this time: DNS\nx", &b);
	assert_string_equal(b.reason, "DNS");
	assert_true(b.waits);
	bt_read("a@b.example cannot be resolved at this time: failed to expand "
		"\"${dlfunc{/x/exim.so}{danevirke_route}{a}{$domain}}\": "
		"451 4.7.5 b.example: MX: {\"}\": x\n",
	    &b);
	assert_string_equal(b.reason, "451 4.7.5 b.example: MX: {\"}\": x");
	assert_true(b.waits);
	bt_read(
	    "a@b.example is undeliverable: failed to expand \"${x\n}\": y", &b);
	assert_string_equal(b.reason, "failed to expand \"${x");
	bt_read("something else\n", &b);
	assert_string_equal(b.reason, "something else");
	bt_read("", &b);
	assert_string_equal(b.reason, "");
}

static void
test_bv(void **state)
{
	static const char text[] =
	    "Exim version 4.96 #2 built 1\n"
	    "Support for: iconv() Expand_dlfunc OpenSSL\n"
	    "Configuration file search path is /a:/b\n"
	    "Configuration file is /b\n";
	char version[32], file[256];

	(void)state;
	assert_true(bv_version(text, version));
	assert_string_equal(version, "4.96");
	assert_true(bv_file(text, file));
	assert_string_equal(file, "/b");
	assert_true(bv_supports(text, "OpenSSL"));
	assert_true(bv_supports(text, "Expand_dlfunc"));
	assert_false(bv_supports(text, "GnuTLS"));
	assert_false(bv_supports(text, "dlfunc"));
	assert_false(bv_supports(text, "Configuration"));
	assert_false(bv_supports("", "GnuTLS"));
	assert_false(bv_version("", version));
}

/* ----------------------------------------------------------------- program */

static void
test_program(void **state)
{
	const char *const echo[] = { "/bin/echo", "a b", NULL },
			  *const env[] = { "/usr/bin/env", NULL },
			  *const bad[] = { "/bin/false", NULL },
			  *const none[] = { "/nowhere", NULL },
			  *const relative[] = { "echo", NULL };
	struct program p;

	(void)state;
	setenv("DANEVIRKE_TEST", "x", 1);
	assert_int_equal(program_run(echo, 10, &p), 0);
	assert_string_equal(p.text, "a b\n");
	assert_int_equal(p.status, 0);
	free(p.text);
	assert_int_equal(program_run(env, 10, &p), 0);
	assert_null(strstr(p.text, "DANEVIRKE_TEST"));
	assert_non_null(strstr(p.text, "PATH=/usr/sbin:"));
	free(p.text);
	assert_int_equal(program_run(bad, 10, &p), 0);
	assert_int_equal(p.status, 1);
	assert_string_equal(p.text, "");
	free(p.text);
	assert_int_equal(program_run(none, 10, &p), 0);
	assert_int_equal(p.status, 127);
	free(p.text);
	assert_int_equal(program_run(relative, 10, &p), -1);
	assert_int_equal(errno, EINVAL);
}

static void
test_program_bounds(void **state)
{
	const char *const slow[] = { "/bin/sleep", "60", NULL },
			  *const quiet[] = { "/bin/sh", "-c",
				  "exec >&- 2>&-; sleep 60", NULL },
			  *const loud[] = { "/usr/bin/yes", NULL },
			  *const child[] = { "/bin/sh", "-c",
				  "sleep 60 & echo x; wait", NULL };
	const char *const *const t[] = { slow, quiet, child };
	time_t began = time(NULL);
	struct program p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		assert_int_equal(program_run(t[i], 1, &p), -1);
		assert_int_equal(errno, ETIMEDOUT);
		free(p.text);
	}
	assert_int_equal(program_run(loud, 30, &p), -1);
	assert_int_equal(errno, EFBIG);
	free(p.text);
	assert_true(time(NULL) - began < 30);
}

/* -------------------------------------------------------------- smtpd.conf */

static void
read_conf(const char *text, struct smtpdconf *s)
{
	char path[] = "/tmp/danevirke-doctor.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(smtpdconf_read(path, s), 0);
	unlink(path);
}

static void
test_words(void **state)
{
	static const char text[] =
	    "# comment\n"
	    "h = \"mx.a.example\"\n"
	    "table t { \"a\", b\n = c }\n"
	    "\n"
	    "action \"out # side\" relay domain < dane> \\\n"
	    "  helo $h # more\n"
	    "match !from any action $none";
	struct smtpdconf s;

	(void)state;
	read_conf(text, &s);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.line[0].number, 3);
	assert_int_equal(s.line[0].n, 9);
	assert_string_equal(s.line[0].word[3], "a");
	assert_int_equal(s.line[1].number, 6);
	assert_string_equal(s.line[1].word[1], "out # side");
	assert_string_equal(smtpdconf_after(&s.line[1], "domain"), "< dane>");
	assert_string_equal(
	    smtpdconf_after(&s.line[1], "helo"), "mx.a.example");
	assert_null(smtpdconf_after(&s.line[1], "mx.a.example"));
	assert_true(smtpdconf_has(&s.line[1], "relay"));
	assert_false(smtpdconf_has(&s.line[1], "tls"));
	assert_string_equal(s.line[2].word[1], "!");
	assert_string_equal(smtpdconf_after(&s.line[2], "action"), "$none");
	smtpdconf_free(&s);
}

static void
test_bad_words(void **state)
{
	static const char *const t[] = { "", "\"", "<", "{", "}}}",
		"a =", "= b", "include \"/nowhere/x\"", "\\", "table t {\n" };
	struct smtpdconf s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		read_conf(t[i], &s);
		assert_int_equal(
		    s.missing != NULL, strstr(t[i], "include") != NULL);
		smtpdconf_free(&s);
	}
	assert_int_equal(smtpdconf_read("/nowhere/smtpd.conf", &s), -1);
	smtpdconf_free(&s);
}

static void
test_matches(void **state)
{
	static const struct {
		const char *text;
		enum smtpd_from from;
		enum smtpd_for for_;
		bool auth, not ;
		const char *domain, *action;
	} t[] = {
		{ "match for any action \"a\"", FROM_LOCAL, FOR_ANY, false,
		    false, NULL, "a" },
		{ "match from any for domain x.example action a", FROM_ANY,
		    FOR_DOMAIN, false, false, "x.example", "a" },
		{ "match auth from any for any action a", FROM_ANY, FOR_ANY,
		    true, false, NULL, "a" },
		{ "match from auth for any action a", FROM_AUTH, FOR_ANY, true,
		    false, NULL, "a" },
		{ "match from any !auth for any action a", FROM_ANY, FOR_ANY,
		    false, false, NULL, "a" },
		{ "match ! from local for any action a", FROM_SOME, FOR_ANY,
		    false, false, NULL, "a" },
		{ "match from src <s> for any action a", FROM_SOME, FOR_ANY,
		    false, false, NULL, "a" },
		{ "match ! for domain <l> action a", FROM_LOCAL, FOR_DOMAIN,
		    false, true, "<l>", "a" },
		{ "match for ! domain <l> action a", FROM_LOCAL, FOR_DOMAIN,
		    false, true, "<l>", "a" },
		{ "match mail-from x for any action a", FROM_SOME, FOR_ANY,
		    false, false, NULL, "a" },
		{ "match from any for local reject", FROM_ANY, FOR_LOCAL, false,
		    false, NULL, NULL },
		{ "match action a", FROM_LOCAL, FOR_LOCAL, false, false, NULL,
		    "a" },
		{ "match for", FROM_LOCAL, FOR_SOME, false, false, NULL, NULL },
		{ "match from", FROM_SOME, FOR_LOCAL, false, false, NULL,
		    NULL },
	};
	struct smtpd_match m;
	struct smtpdconf s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		read_conf(t[i].text, &s);
		assert_true(smtpdconf_match(&s.line[0], &m));
		assert_int_equal(m.from, t[i].from);
		assert_int_equal(m.for_, t[i].for_);
		assert_int_equal(m.auth, t[i].auth);
		assert_int_equal(m.not, t[i].not );
		assert_int_equal(m.domain != NULL, t[i].domain != NULL);
		if (t[i].domain != NULL)
			assert_string_equal(m.domain, t[i].domain);
		assert_int_equal(m.action != NULL, t[i].action != NULL);
		if (t[i].action != NULL)
			assert_string_equal(m.action, t[i].action);
		smtpdconf_free(&s);
	}
	read_conf("action a relay", &s);
	assert_false(smtpdconf_match(&s.line[0], &m));
	smtpdconf_free(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_drivers, "exim -bP is read driver by driver"),
		TEST(test_main_options, "and its main options"),
		TEST(test_dlfunc, "a hook's arguments are found, or none"),
		TEST(test_bt, "exim -bt: a way, or why there is none"),
		TEST(test_bv, "exim -bV: what an Exim can do"),
		TEST(test_program, "a program runs without environment"),
		TEST(test_program_bounds, "one that hangs or floods is ended"),
		TEST(test_words, "smtpd.conf is read in words"),
		TEST(test_bad_words, "and one that is none hurts nobody"),
		TEST(test_matches, "whose mail a match takes"),
	};

	return cmocka_run_group_tests_name("doctor", tests, NULL, NULL);
}

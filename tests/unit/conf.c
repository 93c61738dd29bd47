/* SPDX-License-Identifier: ISC */
/* conf.c, conf_*.c, setting.c, value.c: danevirke.conf(5); one line of a table
 * for each way to be wrong.  The trust anchor file is in anchor.c. */
#include <sys/stat.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "value.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>
#undef fail

#include "title.h"

#define N(a) (sizeof(a) / sizeof *(a))

#define DS \
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D084" \
	"58E880409BBC683457104237C7F8EC8D\n"

/* A directory with an anchor, "conf", and what load() saw */
struct fixture {
	char dir[64];
	char conf[96];
	char anchor[96];
	char log[16384]; /* lines, without the path of conf */
	size_t lines;
	struct danevirke_error err;
};

static void
put(const char *path, const void *text, size_t len)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	if (f == NULL)
		return -1;
	snprintf(f->dir, sizeof f->dir, "/tmp/danevirke-conf.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->conf, sizeof f->conf, "%s/conf", f->dir);
	snprintf(f->anchor, sizeof f->anchor, "%s/anchor", f->dir);
	put(f->anchor, DS, strlen(DS));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->conf);
	unlink(f->anchor);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void
logged(void *arg, int level, const char *text)
{
	struct fixture *f = arg;
	size_t n = strlen(f->conf), at = strlen(f->log);

	assert_int_equal(level, 3);
	assert_null(strchr(text, '\n'));
	if (strncmp(text, f->conf, n) == 0)
		text += n;
	snprintf(f->log + at, sizeof f->log - at, "%s\n", text);
	f->lines++;
}

/* Every "ANCHOR" in text becomes the path of the good anchor. */
static struct conf *
load(struct fixture *f, const char *text)
{
	char buf[16384];
	const char *p;
	struct conf *c;

	if ((p = strstr(text, "ANCHOR")) != NULL) {
		snprintf(buf, sizeof buf, "%.*s%s%s", (int)(p - text), text,
		    f->anchor, p + 6);
		text = buf;
	}
	put(f->conf, text, strlen(text));
	f->log[0] = '\0';
	f->lines = 0;
	memset(&f->err, 0, sizeof f->err);
	c = conf_load(f->conf, logged, f, &f->err);
	assert_true((c == NULL) == (f->lines > 0));
	return c;
}

static struct conf *
good(struct fixture *f, const char *text)
{
	struct conf *c = load(f, text);

	if (c == NULL)
		print_error("refused:\n%s\n%s", text, f->log);
	assert_non_null(c);
	return c;
}

/* resolver: { trust_anchor } in front, on the first line */
static struct conf *
with_anchor(struct fixture *f, const char *text)
{
	char buf[16384];

	snprintf(
	    buf, sizeof buf, "resolver:{trust_anchor=\"ANCHOR\";};%s", text);
	return load(f, buf);
}

/* ---------------------------------------------------------------- errors */

#define LISTEN(found) \
	":2: danevirked.listen: " found ": want an address inside " \
	"127.0.0.0/8 and a port, as in \"127.0.0.1:10024\"\n"

/* each line: ":line: setting: found: want ..." without the path */
static const struct {
	const char *text, *errors;
} wrong_table[] = {
	/* STYLE 13, and several at once, in the order of the file */
	{ "\n\nresolver: {\n trust_anchor = \"ANCHOR\";\n timeout = \"5s\";\n"
	  "};\nlog: {\n level = \"loud\";\n};\n",
	    ":5: resolver.timeout: \"5s\": want seconds, 1 to 300\n"
	    ":8: log.level: \"loud\": want one of \"error\", \"warning\", "
	    "\"notice\", \"info\", \"debug\"\n" },
	/* unknown, in every group */
	{ "R; };\nresolvr: { };",
	    ":2: resolvr: unknown setting: want one of resolver, exim, mta_sts, "
	    "tlsrpt, profiles, destinations, relay, danevirked, log\n" },
	{ "R;\ntimout = 5; };",
	    ":2: resolver.timout: unknown setting: want one of trust_anchor, "
	    "forward, zones, root_hints, allow_addresses, self, timeout, "
	    "query_timeout, limits\n" },
	{ "R; };\nexim: { group = \"x\"; };",
	    ":2: exim.group: unknown setting: want user\n" },
	{ "R; limits: { mx = 3; }; };",
	    ":1: resolver.limits.mx: unknown setting: want one of hosts, "
	    "addresses, aliases, records\n" },
	{ "R; };\nprofiles: { a: { tls = \"x\"; }; };",
	    ":2: profiles.a.tls: unknown setting: want one of level, "
	    "insecure_mx, tls_priority, digests, mta_sts, tlsrpt\n" },
	{ "R; };\ndestinations = ( { domain = \"a.example\"; level = \"off\";"
	  "\nuntill = \"2027-01-31\"; } );",
	    ":3: destinations[0].untill: unknown setting: want one of domain, "
	    "level, reason, until\n" },
	{ "R; };\nrelay: { timeouts: { quit = 1; }; limits: { x = 1; }; };",
	    ":2: relay.timeouts.quit: unknown setting: want one of connect, "
	    "command, data, ehlo, idle\n"
	    ":2: relay.limits.x: unknown setting: want one of sessions, "
	    "per_domain, domains\n" },
	{ "R; };\nlog: { file = \"/x\"; };",
	    ":2: log.file: unknown setting: want one of level, facility\n" },
	{ "R; };\nmta_sts: { port = 1; };",
	    ":2: mta_sts.port: unknown setting: want one of server, map, "
	    "timeout, ca_file\n" },
	/* whom to ask about MTA-STS */
	{ "R; };\nmta_sts: { server = \"localhost:8461\"; };",
	    ":2: mta_sts.server: \"localhost:8461\": want \"ADDRESS:PORT\", or "
	    "the path of a socket\n" },
	{ "R; };\nmta_sts: { server = \"127.0.0.1\"; };",
	    ":2: mta_sts.server: \"127.0.0.1\": want \"ADDRESS:PORT\", or the "
	    "path of a socket\n" },
	{ "R; };\nmta_sts: { server = \"127.0.0.1:65536\"; };",
	    ":2: mta_sts.server: \"127.0.0.1:65536\": want \"ADDRESS:PORT\", or "
	    "the path of a socket\n" },
	{ "R; };\nmta_sts: { server = \"::1:8461\"; };",
	    ":2: mta_sts.server: \"::1:8461\": want \"ADDRESS:PORT\", or the "
	    "path of a socket\n" },
	{ "R; };\nmta_sts: { server = \"[127.0.0.1:1\"; map = \"a b\"; };",
	    ":2: mta_sts.server: \"[127.0.0.1:1\": want \"ADDRESS:PORT\", or "
	    "the path of a socket\n"
	    ":2: mta_sts.map: \"a b\": want one word, at most 64 letters of "
	    "ASCII\n" },
	{ "R; };\nmta_sts: { timeout = 0; ca_file = \"cas.pem\"; };",
	    ":2: mta_sts.timeout: 0: want seconds, 1 to 300\n"
	    ":2: mta_sts.ca_file: \"cas.pem\": want an absolute path\n" },
	{ "R; };\nprofiles: { a: { mta_sts = 1; }; };",
	    ":2: profiles.a.mta_sts: 1: want true or false\n" },
	{ "R; };\nprofiles: { a: { mta_sts = true; }; };\nmta_sts: { };",
	    ":2: profiles.a.mta_sts: true: want false, or mta_sts.server, whom "
	    "to ask\n" },
	{ "R; };\nprofiles: { a: { mta_sts = true; }; };\nmta_sts: { server = "
	  "\"/run/x\"; ca_file = \"/nonexistent\"; };",
	    ":3: mta_sts.ca_file: /nonexistent: want a readable file with "
	    "certificates in PEM\n" },
	/* wrong types */
	{ "R; };\nexim = 1;\nrelay = \"x\"; log = [ ];",
	    ":2: exim: 1: want a group, { ... }\n"
	    ":3: relay: \"x\": want a group, { ... }\n"
	    ":3: log: an array: want a group, { ... }\n" },
	{ "R; timeout = 1.5; query_timeout = true; limits = 3; };",
	    ":1: resolver.timeout: 1.5: want seconds, 1 to 300\n"
	    ":1: resolver.query_timeout: true: want seconds, 1 to 300\n"
	    ":1: resolver.limits: 3: want a group, { ... }\n" },
	{ "R; forward = \"192.0.2.1\"; self = 5; allow_addresses = { }; };",
	    ":1: resolver.forward: \"192.0.2.1\": want a list of addresses\n"
	    ":1: resolver.self: 5: want a list of names, addresses and "
	    "prefixes\n"
	    ":1: resolver.allow_addresses: a group: want a list of addresses "
	    "and prefixes\n" },
	{ "R; };\nprofiles = ( );\ndestinations = { };",
	    ":2: profiles: a list: want a group, { default: { ... }; }\n"
	    ":3: destinations: a group: want a list of groups, "
	    "{ domain = ...; level = ...; }\n" },
	{ "R; };\nprofiles: { default = \"dane\"; };",
	    ":2: profiles.default: \"dane\": want a group, { ... }\n" },
	{ "R; };\nexim: { user = 104; };",
	    ":2: exim.user: 104: want the name of a user\n" },
	/* out of range */
	{ "R; timeout = 0; query_timeout = 301; };",
	    ":1: resolver.timeout: 0: want seconds, 1 to 300\n"
	    ":1: resolver.query_timeout: 301: want seconds, 1 to 300\n" },
	{ "R; timeout = 5; query_timeout = 6; };",
	    ":1: resolver.query_timeout: 6: want seconds, 1 to "
	    "resolver.timeout, 5\n" },
	{ "R; timeout = -1; limits: { hosts = 0; addresses = 257; aliases = "
	  "33;\nrecords = 63; }; };", /* M11, U20 */
	    ":1: resolver.timeout: -1: want seconds, 1 to 300\n"
	    ":1: resolver.limits.hosts: 0: want MX hosts, 1 to 1000\n"
	    ":1: resolver.limits.addresses: 257: want addresses of a host, "
	    "1 to 256\n"
	    ":1: resolver.limits.aliases: 33: want aliases in a chain, "
	    "1 to 32\n"
	    ":2: resolver.limits.records: 63: want TLSA records of a name, "
	    "64 to 1024\n" },
	{ "R; };\nrelay: { metrics = \"m.prom\"; };",
	    ":2: relay.metrics: \"m.prom\": want an absolute path of at most "
	    "107 octets\n" },
	{ "R; };\nrelay: { metrics = \"/run/danevirked/map\"; };",
	    ":2: relay.metrics: \"/run/danevirked/map\": want a file whose "
	    "name ends in .prom\n" },
	{ "R; };\nrelay: { metrics = \"/run/.prom\"; };",
	    ":2: relay.metrics: \"/run/.prom\": want a file whose name ends in "
	    ".prom\n" },
	{ "R; };\nrelay: { port = 0; failure_ttl = 0;\ntimeouts: { "
	  "connect = 0; command = 3601; data = 0; ehlo = 300; idle = 0; };\n"
	  "limits: { sessions = 0; per_domain = 65536; domains = 0; }; };",
	    ":2: relay.port: 0: want a TCP port, 1 to 65535\n"
	    ":2: relay.failure_ttl: 0: want seconds, 1 to 300\n"
	    ":3: relay.timeouts.connect: 0: want seconds, 1 to 300\n"
	    ":3: relay.timeouts.command: 3601: want seconds, 1 to 3600\n"
	    ":3: relay.timeouts.data: 0: want seconds, 1 to 3600\n"
	    ":3: relay.timeouts.ehlo: 300: want seconds, 1 to 290\n"
	    ":3: relay.timeouts.idle: 0: want seconds, 1 to 3600\n"
	    ":4: relay.limits.sessions: 0: want sessions, 1 to 65535\n"
	    ":4: relay.limits.per_domain: 65536: want sessions of a domain, "
	    "1 to 65535\n"
	    ":4: relay.limits.domains: 0: want domains, 1 to 65536\n" },
	{ "R; };\nrelay: { port = 65536; };",
	    ":2: relay.port: 65536: want a TCP port, 1 to 65535\n" },
	/* the library would wrap these around */
	{ "R; timeout = 4294967297; };\nrelay: { port = 0x100002729; };",
	    ":1: 4294967297: want a smaller number\n"
	    ":2: 0x100002729: want a smaller number\n" },
	{ "R; timeout = 99999999999999999999999999; };",
	    ":1: 99999999999999999999999999: want a smaller number\n" },
	{ "R; timeout = 5000000L; };",
	    ":1: resolver.timeout: 5000000: want seconds, 1 to 300\n" },
	/* addresses; the last string of a list has its own line */
	{ "R; forward = [\n\"192.0.2.256\",\n\"192.0.2.1@0\",\n"
	  "\"192.0.2.1@65536\",\n\"dns.example\",\n\"0.0.0.0\",\n"
	  "\"192.0.2.1:53\"\n] ; };",
	    ":2: resolver.forward[0]: \"192.0.2.256\": want an address or "
	    "address@port\n"
	    ":3: resolver.forward[1]: \"192.0.2.1@0\": want an address or "
	    "address@port\n"
	    ":4: resolver.forward[2]: \"192.0.2.1@65536\": want an address or "
	    "address@port\n"
	    ":5: resolver.forward[3]: \"dns.example\": want an address or "
	    "address@port\n"
	    ":6: resolver.forward[4]: \"0.0.0.0\": want an address or "
	    "address@port\n"
	    ":7: resolver.forward[5]: \"192.0.2.1:53\": want an address or "
	    "address@port\n" },
	{ "R; forward = [ 1 ]; };",
	    ":1: resolver.forward[0]: 1: want an address or address@port\n" },
	{ "R; allow_addresses = [ \"127.0.0.1/8\", \"::1/129\", \"10.0.0.0/\""
	  ", \"10.0.0.0/08\", \"10/8\", \"localhost\" ]; };", /* M12 */
	    ":1: resolver.allow_addresses[0]: \"127.0.0.1/8\": want a prefix "
	    "without bits behind its length\n"
	    ":1: resolver.allow_addresses[1]: \"::1/129\": want an address or "
	    "prefix\n"
	    ":1: resolver.allow_addresses[2]: \"10.0.0.0/\": want an address "
	    "or prefix\n"
	    ":1: resolver.allow_addresses[3]: \"10.0.0.0/08\": want an address "
	    "or prefix\n"
	    ":1: resolver.allow_addresses[4]: \"10/8\": want an address or "
	    "prefix\n"
	    ":1: resolver.allow_addresses[5]: \"localhost\": want an address "
	    "or prefix\n" },
	{ "R; self = [ \"a..b\", \"192.0.2.300\", \"a b\", \"::1::\" ]; };",
	    ":1: resolver.self[0]: \"a..b\": want a host name, address or "
	    "prefix\n" /* M10 */
	    ":1: resolver.self[1]: \"192.0.2.300\": want a host name, address "
	    "or prefix\n"
	    ":1: resolver.self[2]: \"a b\": want a host name, address or "
	    "prefix\n"
	    ":1: resolver.self[3]: \"::1::\": want a host name, address or "
	    "prefix\n" },
	/* zones: D01 comes from here only */
	{ "R; zones = (\n{ forward = [ \"192.0.2.1\" ]; },\n"
	  "{ name = \"a.example\"; },\n{ name = \".\"; insecure = true; },\n"
	  "{ name = \"b.example\"; insecure = 1; },\n\"c.example\" ); };",
	    ":2: resolver.zones[0].name: missing: want the name of a domain\n"
	    ":3: resolver.zones[1]: neither forward nor insecure: want servers "
	    "to ask, insecure = true, or both\n"
	    ":4: resolver.zones[2].name: \".\": want the name of a domain\n"
	    ":5: resolver.zones[3].insecure: 1: want true or false\n"
	    ":6: resolver.zones[4]: \"c.example\": want a group, { ... }\n" },
	{ "R; zones = ( { name = \"a.example\"; insecure = true; },\n"
	  "{ name = \"A.Example.\"; insecure = true; } ); };",
	    ":2: resolver.zones[1].name: a.example: want each zone only once\n" },
	/* paths */
	{ "R; root_hints = \"root.hints\"; };",
	    ":1: resolver.root_hints: \"root.hints\": want an absolute path\n" },
	{ "R; root_hints = \"/nonexistent\"; };",
	    ":1: resolver.root_hints: \"/nonexistent\": want a file with root "
	    "hints: /nonexistent: No such file or directory: want a readable "
	    "file\n" },
	{ "R; root_hints = \"/etc/passwd\"; };",
	    ":1: resolver.root_hints: \"/etc/passwd\": want a file with root "
	    "hints: NS records of \".\" and behind them the addresses\n" },
	/* users */
	{ "R; };\nexim: { user = \"root\"; };",
	    ":2: exim.user: \"root\": want the name of a user other than "
	    "root\n" },
	{ "R; };\nexim: { user = \"\"; };\nrelay: { user = \"-x\"; };",
	    ":2: exim.user: \"\": want the name of a user\n"
	    ":3: relay.user: \"-x\": want the name of a user\n" },
	{ "R; };\nexim: { user = \"a b\"; };\nrelay: { user = \"104\"; };",
	    ":2: exim.user: \"a b\": want the name of a user\n"
	    ":3: relay.user: \"104\": want the name of a user\n" },
	{ "R; };\nrelay: { user = [ \"postfix\",\n\"-x\" ]; };",
	    ":3: relay.user[1]: \"-x\": want the name of a user\n" },
	{ "R; };\nrelay: { user = [ ]; };",
	    ":2: relay.user: empty: want the name of a user\n" },
	{ "R; };\nrelay: { user = 104; };",
	    ":2: relay.user: 104: want a list of users\n" },
	{ "R; };\nrelay: { user = [ \"a\", \"a\", \"a\", \"a\", \"a\", "
	  "\"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\", "
	  "\"a\", \"a\", \"a\" ]; };",
	    ":2: relay.user: 17 elements: want at most 16 users\n" },
	/* danevirked */
	{ "R; };\ndanevirked: { socket = \"map\"; mode = \"1777\";\ngroup = "
	  "\"a b\"; user = \"root\"; };",
	    ":2: danevirked.socket: \"map\": want an absolute path of at most "
	    "107 octets\n"
	    ":2: danevirked.mode: \"1777\": want a mode as in \"0660\"\n"
	    ":3: danevirked.group: \"a b\": want the name of a group\n"
	    ":3: danevirked.user: \"root\": want the name of a user other than "
	    "root\n" },
	{ "R; };\ndanevirked: { mode = 660; };",
	    ":2: danevirked.mode: 660: want a mode as in \"0660\"\n" },
	{ "R; };\ndanevirked: { mode = \"66\"; };",
	    ":2: danevirked.mode: \"66\": want a mode as in \"0660\"\n" },
	{ "R; };\ndanevirked: { listen = \"192.0.2.1:10024\"; };",
	    LISTEN("\"192.0.2.1:10024\"") },
	{ "R; };\ndanevirked: { listen = \"127.0.0.1\"; };",
	    LISTEN("\"127.0.0.1\"") },
	{ "R; };\ndanevirked: { listen = \"127.0.0.1:\"; };",
	    LISTEN("\"127.0.0.1:\"") },
	{ "R; };\ndanevirked: { listen = \"127.0.0.1:65536\"; };",
	    LISTEN("\"127.0.0.1:65536\"") },
	{ "R; };\ndanevirked: { listen = \"127.0.0.1:+1\"; };",
	    LISTEN("\"127.0.0.1:+1\"") },
	{ "R; };\ndanevirked: { listen = \"[::1]:10024\"; };",
	    LISTEN("\"[::1]:10024\"") },
	{ "R; };\ndanevirked: { listen = \"localhost:10024\"; };",
	    LISTEN("\"localhost:10024\"") },
	{ "R; };\ndanevirked: { listen = 10024; };", LISTEN("10024") },
	/* profiles */
	{ "R; };\nprofiles: { default: { level = \"none\"; insecure_mx = "
	  "\"audit\"; }; };", /* M04 */
	    ":2: profiles.default.level: \"none\": want one of \"off\", "
	    "\"audit\", \"dane\", \"dane-only\"\n"
	    ":2: profiles.default.insecure_mx: \"audit\": want one of \"may\", "
	    "\"encrypt\", \"dane\"\n" },
	{ "R; };\nprofiles: { a: { digests = [ \"sha1\" ]; };\nb: { digests "
	  "= [ ]; };\nc: { digests = [ \"sha2-256\", \"sha2-256\" ]; }; };",
	    ":2: profiles.a.digests[0]: \"sha1\": want one of \"sha2-256\", "
	    "\"sha2-512\"\n" /* A01, U03 */
	    ":3: profiles.b.digests: empty: want at least one of "
	    "\"sha2-512\", \"sha2-256\"\n"
	    ":4: profiles.c.digests[1]: \"sha2-256\": want each digest only "
	    "once\n" },
	{ "R; };\nprofiles: { a: { tls_priority = \"NORMAL:+ANON-ECDH\"; }; };",
	    ":2: profiles.a.tls_priority: \"NORMAL:+ANON-ECDH\": want a "
	    "GnuTLS priority string: it allows anonymous key exchange\n" },
	{ "R; };\nprofiles: { a: { tls_priority = \"NORMAL:+ANON-DH\"; }; };",
	    ":2: profiles.a.tls_priority: \"NORMAL:+ANON-DH\": want a "
	    "GnuTLS priority string: it allows anonymous key exchange\n" },
	{ "R; };\nprofiles: { a: { tls_priority = \"NORMAL:+NULL\"; }; };",
	    ":2: profiles.a.tls_priority: \"NORMAL:+NULL\": want a "
	    "GnuTLS priority string: it allows the NULL cipher\n" },
	{ "R; };\nprofiles: { a: { tls_priority = \"NORMAL:-VERS-ALL:"
	  "+VERS-DTLS1.2\"; }; };",
	    ":2: profiles.a.tls_priority: \"NORMAL:-VERS-ALL:+VERS-DTLS1.2\": "
	    "want a GnuTLS priority string: it leaves no version of TLS\n" },
	{ "R; };\nprofiles: { a: { tls_priority = \"NORMAL:+WONDER\"; }; };",
	    ":2: profiles.a.tls_priority: \"NORMAL:+WONDER\": want a "
	    "GnuTLS priority string: not understood from \"+WONDER\" on\n" },
	/* what is seen is what is there */
	{ "R; };\nprofiles: { default: { level = \"audit\n\"; }; };",
	    ":2: profiles.default.level: \"audit\\n\": want one of \"off\", "
	    "\"audit\", \"dane\", \"dane-only\"\n" },
	{ "R; };\nlog: { level = \"\\\\ \\\"\\t\\x01\377\302\205\303\274\"; };",
	    ":2: log.level: \"\\\\ \\\"\\t\\x01\\xff\\xc2\\x85\303\274\": "
	    "want one of \"error\", \"warning\", \"notice\", \"info\", "
	    "\"debug\"\n" },
	/* destinations: P01 */
	{ "R; };\ndestinations = (\n{ level = \"off\"; },\n"
	  "{ domain = \"a.example\"; },\n"
	  "{ domain = \"..a\"; level = \"off\"; },\n"
	  "{ domain = \".\"; level = \"off\"; },\n"
	  "{ domain = \"a.example\"; level = \"Off\"; } );",
	    ":3: destinations[0].domain: missing: want a domain, "
	    "\"example.org\", or all below it, \".example.org\"\n"
	    ":4: destinations[1].level: missing: want one of \"off\", "
	    "\"audit\", \"dane\", \"dane-only\"\n"
	    ":5: destinations[2].domain: \"..a\": want a domain, "
	    "\"example.org\", or all below it, \".example.org\"\n"
	    ":6: destinations[3].domain: \".\": want a domain, "
	    "\"example.org\", or all below it, \".example.org\"\n"
	    ":7: destinations[4].level: \"Off\": want one of \"off\", "
	    "\"audit\", \"dane\", \"dane-only\"\n"
	    ":7: destinations[4].domain: a.example: want each domain only "
	    "once\n" },
	{ "R; };\ndestinations = ( { domain = \"a.example\"; level = \"off\";"
	  " reason = \"\"; until = \"2027-02-29\"; } );",
	    ":2: destinations[0].reason: \"\": want one line of text, at most "
	    "200 octets\n"
	    ":2: destinations[0].until: \"2027-02-29\": want a date, "
	    "\"YYYY-MM-DD\", the last day\n" },
	{ "R; };\ndestinations = ( { domain = \"a.example\"; level = \"off\";"
	  " reason = \"a\\nb\"; until = 2027; } );",
	    ":2: destinations[0].reason: \"a\\nb\": want one line of text, at "
	    "most 200 octets\n"
	    ":2: destinations[0].until: 2027: want a date, \"YYYY-MM-DD\", the "
	    "last day\n" },
	/* relay */
	{ "R; };\nrelay: { aliases = \"128.0.0.0/16\"; };",
	    ":2: relay.aliases: \"128.0.0.0/16\": want an IPv4 prefix inside "
	    "127.0.0.0/8, without 127.0.0.0, 127.0.0.1 and 127.255.255.255\n" },
	{ "R; };\nrelay: { aliases = \"126.0.0.0/7\"; };",
	    ":2: relay.aliases: \"126.0.0.0/7\": want an IPv4 prefix inside "
	    "127.0.0.0/8, without 127.0.0.0, 127.0.0.1 and 127.255.255.255\n" },
	{ "R; };\nrelay: { aliases = \"127.0.0.0/16\"; };",
	    ":2: relay.aliases: \"127.0.0.0/16\": want an IPv4 prefix inside "
	    "127.0.0.0/8, without 127.0.0.0, 127.0.0.1 and 127.255.255.255\n" },
	{ "R; };\nrelay: { aliases = \"127.0.0.1\"; };",
	    ":2: relay.aliases: \"127.0.0.1\": want an IPv4 prefix inside "
	    "127.0.0.0/8, without 127.0.0.0, 127.0.0.1 and 127.255.255.255\n" },
	{ "R; };\nrelay: { aliases = \"127.128.0.0/9\"; };",
	    ":2: relay.aliases: \"127.128.0.0/9\": want an IPv4 prefix inside "
	    "127.0.0.0/8, without 127.0.0.0, 127.0.0.1 and 127.255.255.255\n" },
	{ "R; };\nrelay: { aliases = \"7f00::/8\"; };",
	    ":2: relay.aliases: \"7f00::/8\": want an IPv4 prefix inside "
	    "127.0.0.0/8, without 127.0.0.0, 127.0.0.1 and 127.255.255.255\n" },
	{ "R; };\nrelay: { aliases = \"127.64.1.0/16\"; };",
	    ":2: relay.aliases: \"127.64.1.0/16\": want a prefix without bits "
	    "behind its length\n" },
	{ "R; };\nrelay: { aliases = \"127.64.0.0/24\";\nlimits: { domains = "
	  "257; }; };",
	    ":3: relay.limits.domains: 257: want domains, 1 to the 256 "
	    "addresses of relay.aliases\n" },
	{ "R; };\nrelay: { source = [ \"192.0.2.1\", \"192.0.2.2\" ]; };",
	    ":2: relay.source[1]: \"192.0.2.2\": want one address for IPv4 and "
	    "one for IPv6\n" },
	{ "R; };\nrelay: { source = [ \"::\", \"mx\" ]; helo = \"a b\"; };",
	    ":2: relay.source[0]: \"::\": want an address of this machine\n"
	    ":2: relay.source[1]: \"mx\": want an address of this machine\n"
	    ":2: relay.helo: \"a b\": want a host name\n" },
	{ "R; };\nrelay: { source = [ \"192.0.2.1\", \"::1\", \"::2\" ]; };",
	    ":2: relay.source: 3 elements: want at most 2 addresses, one for "
	    "IPv4, one for IPv6\n" },
	{ "R; };\nrelay: { profile = \"strict\"; };\nprofiles: { a: { }; };",
	    ":2: relay.profile: \"strict\": want the name of a profile of this "
	    "file\n" },
	{ "R; };\nlog: { facility = \"MAIL\"; };",
	    ":2: log.facility: \"MAIL\": want one of \"mail\", \"daemon\", "
	    "\"user\", \"local0\", \"local1\", \"local2\", \"local3\", "
	    "\"local4\", \"local5\", \"local6\", \"local7\"\n" },
	/* not libconfig */
	{ "R; };\n\nlog: {\nlevel = \"info\"\nfacility = ;\n};",
	    ":5: syntax error: want name = value; as danevirke.conf(5) shows\n" },
	{ "R; };\n/* never closed\nlog: { level = \"loud\"; };",
	    ":2: comment without an end: want */\n" },
	{ "R; }; /*/", ":1: comment without an end: want */\n" },
	/* no other file */
	{ "R; };\n\t @include \"/etc/hostname\"\n",
	    ":2: @include: want all settings in this file\n" },
	{ "@include \"/nonexistent\"\n", NULL },
	{ "R; };\nx = 1; @include \"/nonexistent\"\n", NULL },
};

static void
test_wrong(void **state) /* STYLE 13: all errors of a file */
{
	struct fixture *f = *state;
	char buf[4096];

	for (size_t i = 0; i < N(wrong_table); i++) {
		const char *text = wrong_table[i].text;
		struct conf *c;

		if (*text == 'R') {
			snprintf(buf, sizeof buf,
			    "resolver: { trust_anchor = \"ANCHOR\"%s",
			    text + 1);
			text = buf;
		}
		c = load(f, text);
		if (c != NULL)
			print_error("taken: %s\n", text);
		assert_null(c);
		assert_int_equal(f->err.code, DANEVIRKE_ECONF);
		assert_memory_equal(f->err.text, f->conf, strlen(f->conf));
		if (wrong_table[i].errors == NULL)
			continue;
		if (strcmp(f->log, wrong_table[i].errors) != 0)
			print_error("%s\n", text);
		assert_string_equal(f->log, wrong_table[i].errors);
		/* the first one is the caller's */
		assert_memory_equal(f->err.text + strlen(f->conf), f->log,
		    strcspn(f->log, "\n"));
	}
}

/* A name that is given twice: which, its line, and that of the first */
static const struct {
	const char *text, *name;
	unsigned line, first;
} twice_table[] = {
	{ "log: { };\nlog: { };", "log", 2, 1 },
	{ "log : { };\n\nlog /* : */ # =\n = { };", "log", 3, 1 },
	{ "log: {\nlevel = \"info\"; };\nprofiles: { a: {\nlevel = \"off\"; }; "
	  "b: { level = \"log = {\"; level\n= \"dane\"; }; };",
	    "profiles.b.level", 4, 4 },
	{ "profiles: {\ndefault: { digests = [ \"sha2-256\" ]; };\n"
	  "# default: { }\ndefault: { }; };",
	    "profiles.default", 4, 2 },
	{ "destinations = (\n{ domain = \"a.b\"; level = \"off\"; },\n"
	  "{ level = \"off\"; domain = \"c.d\"; level = \"off\"; } );",
	    "destinations[1].level", 3, 3 },
	{ "x = ((1, (2)), { y = true; });\nz = 1, z = 2;", "z", 2, 2 },
	{ "resolver: { zones = ( );\nlimits: { }; zones = ( ); };",
	    "resolver.zones", 2, 1 },
};

static void
test_twice(void **state)
{
	struct fixture *f = *state;
	char want[1024];

	for (size_t i = 0; i < N(twice_table); i++) {
		assert_null(load(f, twice_table[i].text));
		snprintf(want, sizeof want,
		    "%s:%u: %s: duplicate setting name, first at %s:%u: want "
		    "each setting only once",
		    f->conf, twice_table[i].line, twice_table[i].name, f->conf,
		    twice_table[i].first);
		assert_string_equal(f->err.text, want);
	}
}

/* Too many on its line, or too deep: without the name, and no less refused. */
static void
test_twice_bounds(void **state)
{
	struct fixture *f = *state;
	char text[4096];
	size_t n = 0;

	for (int i = 0; i < 65; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "n%d=1;", i);
	snprintf(text + n, sizeof text - n, "a=1;a=1;");
	assert_null(load(f, text));
	assert_string_equal(f->log,
	    ":1: duplicate setting name: want name = value; as "
	    "danevirke.conf(5) shows\n");
	assert_null(load(f, "a=((((((((1))))))));b=1;b=1;"));
	assert_string_equal(f->log,
	    ":1: duplicate setting name: want name = value; as "
	    "danevirke.conf(5) shows\n");
}

/* No log, no err: still refused, and nothing is written to. */
static void
test_silent(void **state)
{
	struct fixture *f = *state;

	put(f->conf, "x = 1;", 6);
	assert_null(conf_load(f->conf, NULL, NULL, NULL));
	assert_null(conf_load(NULL, NULL, NULL, &f->err));
	assert_int_equal(f->err.code, DANEVIRKE_EINVAL);
	conf_free(NULL);
}

/* ------------------------------------------------------------- good files */

static void
check_defaults(const struct conf *c)
{
	const struct danevirke_settings *t = &c->settings;
	const struct conf_profile *p = conf_profile(c, NULL);

	assert_int_equal(c->n_forward + c->n_zones + c->n_allow +
		c->n_self_name + c->n_self_addr + c->n_destinations,
	    0);
	assert_false(c->self_set);
	assert_null(c->root_hints);
	assert_int_equal(c->timeout, 30);
	assert_int_equal(c->query_timeout, 10);
	assert_int_equal(c->limits.hosts, 64); /* M11 */
	assert_int_equal(c->limits.addresses, 32);
	assert_int_equal(c->limits.aliases, 8);
	assert_int_equal(c->limits.records, 128); /* U20 */
	assert_int_equal(c->n_profiles, 1);
	assert_non_null(p);
	assert_ptr_equal(p, conf_profile(c, "default"));
	assert_null(conf_profile(c, "Default"));
	assert_string_equal(p->pub.name, "default");
	assert_int_equal(p->pub.size, sizeof p->pub);
	assert_int_equal(p->pub.level, DANEVIRKE_LEVEL_DANE);
	assert_int_equal(p->insecure_mx, DANEVIRKE_AUTHENTICATE); /* M04 */
	assert_string_equal(p->pub.tls_priority,                  /* S03, S04 */
	    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2");
	assert_int_equal(p->n_digests, 2); /* A01 */
	assert_int_equal(p->digests[0], DANEVIRKE_SHA2_512);
	assert_int_equal(p->digests[1], DANEVIRKE_SHA2_256);
	assert_int_equal(t->size, sizeof *t);
	assert_string_equal(t->exim_user, "Debian-exim");
	assert_int_equal(t->log_level, 6);
	assert_string_equal(t->log_facility, "mail");
	assert_int_equal(t->relay_first, 0x7f400000);
	assert_int_equal(t->relay_last, 0x7f40ffff);
	assert_int_equal(t->relay_port, 10025);
	assert_null(t->relay_helo);
	assert_null(t->relay_source4);
	assert_null(t->relay_source6);
	assert_string_equal(t->relay_user, "opensmtpd");
	assert_int_equal(t->n_relay_users, 0);
	assert_string_equal(t->daemon_socket, "/run/danevirked/map");
	assert_int_equal(t->daemon_mode, 0666);
	assert_null(t->daemon_group);
	assert_int_equal(t->daemon_addr, 0);
	assert_int_equal(t->daemon_port, 0);
	assert_string_equal(t->daemon_user, "danevirke");
	assert_string_equal(t->relay_profile, "default");
	assert_int_equal(t->relay_connect_timeout, 30);
	assert_int_equal(t->relay_command_timeout, 300);
	assert_int_equal(t->relay_data_timeout, 600);
	assert_int_equal(t->relay_ehlo_budget, 120);
	assert_int_equal(t->relay_idle_timeout, 300);
	assert_int_equal(t->relay_max_sessions, 1000);
	assert_int_equal(t->relay_max_per_domain, 100);
	assert_int_equal(t->relay_max_domains, 4096);
	assert_int_equal(t->relay_failure_ttl, 10);
	assert_null(t->relay_metrics);
}

static void
test_defaults(void **state)
{
	static const char *const text[] = {
		"resolver: { trust_anchor = \"ANCHOR\"; }; /* the end */",
		"resolver: { trust_anchor = \"ANCHOR\"; };",
		"resolver: { trust_anchor = \"ANCHOR\"; limits: { }; };"
		"exim: { }; profiles: { }; destinations = ( ); relay: { "
		"timeouts: { }; limits: { }; source = [ ]; }; log: { };",
		"# @include \"x\" 99999999999\n/* @include 99999999999 */ // "
		"@include \"99999999999\"\n"
		"resolver: { trust_anchor = \"ANCHOR\"; };",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < N(text); i++) {
		struct conf *c = good(f, text[i]);

		check_defaults(c);
		assert_string_equal(c->trust_anchor, f->anchor);
		assert_string_equal(c->settings.config, f->conf);
		conf_free(c);
	}
	/* an empty file: the anchor of Debian's dns-root-data */
	if (access("/usr/share/dns/root.key", R_OK) != 0) {
		print_message("dns-root-data is not installed\n");
		return;
	}
	struct conf *c = good(f, "");
	check_defaults(c);
	assert_string_equal(c->trust_anchor, "/usr/share/dns/root.key");
	conf_free(c);
}

/* examples/danevirke.conf loads, and says what the defaults are, with what
 * is commented out and without it. */
static void
test_example(void **state)
{
	struct fixture *f = *state;
	char path[1024], text[16384], *p;
	const char *dir = getenv("srcdir");
	struct conf *c;
	FILE *in;
	size_t n;

	snprintf(path, sizeof path, "%s/examples/danevirke.conf",
	    dir == NULL ? "." : dir);
	if ((in = fopen(path, "r")) == NULL)
		print_error("%s: %s\n", path, strerror(errno));
	assert_non_null(in);
	n = fread(text, 1, sizeof text - 1, in);
	fclose(in);
	text[n] = '\0';
	assert_true(n > 1000 && n < sizeof text - 1);
	p = strstr(text, "/usr/share/dns/root.key");
	assert_non_null(p);
	/* not every machine that builds has dns-root-data */
	memmove(p + 6, p + 23, strlen(p + 23) + 1);
	memcpy(p, "ANCHOR", 6);
	c = good(f, text);
	check_defaults(c);
	conf_free(c);
	/* "#\tname" and "#\t{": settings at the beginning of a line */
	for (p = text; (p = strstr(p, "\n#")) != NULL; p++)
		if (p[2] == '\t' || strncmp(p + 2, "  ", 2) == 0)
			p[1] = ' ';
	if (access("/usr/share/dns/root.hints", R_OK) != 0 &&
	    (p = strstr(text, "root_hints = ")) != NULL)
		p[-1] = '#';
	c = good(f, text);
	assert_int_equal(c->n_zones, 1);
	assert_int_equal(c->n_self_name, 1);
	assert_int_equal(c->n_self_addr, 2);
	assert_int_equal(c->n_destinations, 2);
	assert_int_equal(c->n_profiles, 2);
	assert_string_equal(c->settings.relay_helo, "mx.example.org");
	conf_free(c);
}

static void
test_resolver(void **state) /* D01, D14, M10, M11, M12 */
{
	struct fixture *f = *state;
	struct conf *c = good(f,
	    "resolver: { trust_anchor = \"ANCHOR\";\n"
	    "forward = ( \"192.0.2.1\", \"2001:DB8:0::1@5353\" );\n"
	    "zones = ( { name = \"B\303\274cher.Example.\"; insecure = true; "
	    "}, { name = \"b.example\"; forward = [ \"192.0.2.9@54\" ]; } );\n"
	    "allow_addresses = [ \"127.0.0.0/8\", \"::1\", \"0.0.0.0/0\" ];\n"
	    "self = [ \"MX.example.org\", \"192.0.2.25\", \"192.0.2.0/24\", "
	    "\"2001:db8::/33\" ]; timeout = 1; limits: { hosts = 1; "
	    "addresses = 1; aliases = 1; records = 64; }; };");
	uint8_t ip4[16] = { 127, 9, 9, 9 }, ip6[16] = { [15] = 1 };

	assert_int_equal(c->n_forward, 2);
	assert_string_equal(c->forward[0], "192.0.2.1@53");
	assert_string_equal(c->forward[1], "2001:db8::1@5353");
	assert_int_equal(c->n_zones, 2);
	assert_string_equal(c->zones[0].name, "xn--bcher-kva.example");
	assert_true(c->zones[0].insecure);
	assert_int_equal(c->zones[0].n_forward, 0);
	assert_string_equal(c->zones[1].name, "b.example");
	assert_false(c->zones[1].insecure);
	assert_string_equal(c->zones[1].forward[0], "192.0.2.9@54");
	assert_int_equal(c->n_allow, 3);
	assert_true(prefix_match(c->allow, 1, 4, ip4));
	assert_true(prefix_match(c->allow, 2, 6, ip6));
	assert_false(prefix_match(c->allow, 1, 6, ip6));
	assert_true(c->self_set);
	assert_int_equal(c->n_self_name, 1);
	assert_string_equal(c->self_name[0], "mx.example.org");
	assert_int_equal(c->n_self_addr, 3);
	assert_int_equal(c->self_addr[0].bits, 32);
	assert_int_equal(c->self_addr[1].bits, 24);
	assert_int_equal(c->self_addr[2].family, 6);
	assert_int_equal(c->self_addr[2].bits, 33);
	assert_int_equal(c->timeout, 1);
	/* the default does not outlast the whole */
	assert_int_equal(c->query_timeout, 1);
	assert_int_equal(c->limits.hosts, 1);
	assert_int_equal(c->limits.records, 64);
	conf_free(c);

	/* M10: an empty list is something else than none */
	c = good(f, "resolver: { trust_anchor = \"ANCHOR\"; self = [ ]; };");
	assert_true(c->self_set);
	assert_int_equal(c->n_self_name + c->n_self_addr, 0);
	conf_free(c);
}

static void
test_profiles(void **state)
{
	struct fixture *f = *state;
	struct conf *c = with_anchor(f,
	    "profiles: { strict: { level = "
	    "\"dane-only\"; };\ndefault: { insecure_mx = \"encrypt\"; "
	    "digests = [ \"sha2-256\" ]; };\nold: { level = \"off\"; "
	    "insecure_mx = \"may\"; tls_priority = \"NORMAL\"; digests = "
	    "[ \"sha2-256\", \"sha2-512\" ]; }; watch: { level = \"audit\"; };"
	    "}; relay: { profile = \"strict\"; };");
	const struct conf_profile *p;

	assert_non_null(c);
	assert_int_equal(c->n_profiles, 4);
	p = conf_profile(c, "strict");
	assert_int_equal(p->pub.level, DANEVIRKE_LEVEL_DANE_ONLY);
	/* what it does not say is as in default, wherever that stands */
	assert_int_equal(p->insecure_mx, DANEVIRKE_ENCRYPT);
	assert_int_equal(p->n_digests, 1);
	assert_int_equal(p->digests[0], DANEVIRKE_SHA2_256);
	assert_string_equal(p->pub.name, "strict");
	p = conf_profile(c, "old");
	assert_int_equal(p->pub.level, DANEVIRKE_LEVEL_OFF);
	assert_int_equal(p->insecure_mx, DANEVIRKE_OPPORTUNISTIC);
	assert_string_equal(p->pub.tls_priority, "NORMAL");
	assert_int_equal(p->digests[0], DANEVIRKE_SHA2_256); /* A01 */
	assert_int_equal(p->digests[1], DANEVIRKE_SHA2_512);
	assert_int_equal(
	    conf_profile(c, "watch")->pub.level, DANEVIRKE_LEVEL_AUDIT);
	assert_int_equal(
	    conf_profile(c, NULL)->pub.level, DANEVIRKE_LEVEL_DANE);
	assert_null(conf_profile(c, "none"));
	assert_string_equal(c->settings.relay_profile, "strict");
	conf_free(c);
}

static void
test_mta_sts(void **state)
{
	struct fixture *f = *state;
	char text[1024];
	struct conf *c;

	snprintf(text, sizeof text,
	    "mta_sts: { server = \"[::1]:1\"; map = \"x\"; timeout = 300; "
	    "ca_file = \"%s\"; }; profiles: { default: { mta_sts = true; }; "
	    "a: { level = \"audit\"; }; b: { mta_sts = false; }; };",
	    f->anchor);
	assert_non_null(c = with_anchor(f, text));
	assert_string_equal(c->sts.server, "[::1]:1");
	assert_int_equal(c->sts.addr.family, 6);
	assert_int_equal(c->sts.addr.ip[15], 1);
	assert_int_equal(c->sts.port, 1);
	assert_string_equal(c->sts.map, "x");
	assert_int_equal(c->sts.timeout, 300);
	assert_string_equal(c->settings.mta_sts_server, "[::1]:1");
	assert_string_equal(c->settings.mta_sts_ca_file, f->anchor);
	assert_int_equal(conf_profile(c, NULL)->pub.mta_sts, 1);
	assert_int_equal(conf_profile(c, "a")->pub.mta_sts, 1);
	assert_int_equal(conf_profile(c, "b")->pub.mta_sts, 0);
	conf_free(c);
	c = with_anchor(f, "mta_sts: { server = \"/run/sts.sock\"; };");
	assert_non_null(c);
	assert_int_equal(c->sts.addr.family, 0);
	assert_string_equal(c->sts.map, "postfix");
	assert_int_equal(c->sts.timeout, 10);
	assert_string_equal(
	    c->sts.ca_file, "/etc/ssl/certs/ca-certificates.crt");
	assert_int_equal(conf_profile(c, NULL)->pub.mta_sts, 0);
	conf_free(c);
	c = with_anchor(f, "mta_sts: { server = \"192.0.2.1:65535\"; };");
	assert_non_null(c);
	assert_int_equal(c->sts.addr.family, 4);
	assert_int_equal(c->sts.port, 65535);
	conf_free(c);
}

/* Which of the two holds is this build's. */
static void
test_tlsrpt(void **state)
{
	static const char set[] =
	    "tlsrpt: { socket = \"/run/c.sock\"; }; profiles: { default: { "
	    "tlsrpt = true; }; a: { level = \"audit\"; }; b: { tlsrpt = false; "
	    "}; };";
	struct fixture *f = *state;
	struct conf *c = with_anchor(f, set);

	if (!tlsrpt_built()) {
		assert_null(c);
		assert_non_null(strstr(f->log,
		    ":1: tlsrpt: a group: want none: this danevirke.so is built "
		    "without libtlsrpt\n"));
		assert_non_null(
		    strstr(f->log, "profiles.default.tlsrpt: true"));
		assert_null(with_anchor(f, "tlsrpt: { };"));
		return;
	}
	assert_non_null(c);
	assert_string_equal(conf_profile(c, NULL)->pub.tlsrpt, "/run/c.sock");
	assert_string_equal(conf_profile(c, "a")->pub.tlsrpt, "/run/c.sock");
	assert_null(conf_profile(c, "b")->pub.tlsrpt);
	conf_free(c);
	assert_null(with_anchor(f, "profiles: { a: { tlsrpt = true; }; };"));
	assert_non_null(strstr(f->log,
	    "profiles.a.tlsrpt: true: want false, or tlsrpt.socket, who takes "
	    "reports\n"));
	assert_null(with_anchor(f, "tlsrpt: { socket = \"c.sock\"; };"));
	assert_non_null(strstr(f->log,
	    "tlsrpt.socket: \"c.sock\": want an absolute path of at most 107 "
	    "octets\n"));
}

/* What others are told of the resolver is what the module uses. */
static void
test_resolver_shown(void **state)
{
	struct fixture *f = *state;
	struct conf *c = load(f,
	    "resolver: { trust_anchor = \"ANCHOR\"; forward = [ \"192.0.2.1\" ]; zones = ( "
	    "{ name = \"Example.org\"; forward = [ \"192.0.2.2@5353\" ]; }, "
	    "{ name = \"lab\"; insecure = true; } ); };");
	const struct danevirke_settings *t;

	assert_non_null(c);
	t = &c->settings;
	assert_string_equal(t->resolver_anchor, c->trust_anchor);
	assert_null(t->resolver_hints);
	assert_int_equal(t->n_resolver_forward, 1);
	assert_string_equal(t->resolver_forward[0], "192.0.2.1@53");
	assert_int_equal(t->n_resolver_zones, 2);
	assert_string_equal(t->resolver_zones[0].name, "example.org");
	assert_int_equal(t->resolver_zones[0].n_forward, 1);
	assert_string_equal(t->resolver_zones[0].forward[0], "192.0.2.2@5353");
	assert_int_equal(t->resolver_zones[0].insecure, 0);
	assert_int_equal(t->resolver_zones[1].n_forward, 0);
	assert_int_equal(t->resolver_zones[1].insecure, 1);
	conf_free(c);
}

static void
test_relay(void **state)
{
	struct fixture *f = *state;
	struct conf *c = with_anchor(f,
	    "relay: { aliases = \"127.96.0.0/28\"; "
	    "port = 65535; helo = \"MX.example\"; source = [ \"2001:db8::1\", "
	    "\"192.0.2.1\" ]; user = \"_smtpd\"; timeouts: { connect = 1; "
	    "command = 2; data = 3; ehlo = 4; idle = 5; }; limits: { sessions "
	    "= 6; per_domain = 7; }; failure_ttl = 8; "
	    "metrics = \"/run/m/a.prom\"; };\n"
	    "log: { level = \"debug\"; facility = \"local7\"; };\n"
	    "exim: { user = \"exim.mail-1_\"; };");
	const struct danevirke_settings *t;

	assert_non_null(c);
	t = &c->settings;
	assert_int_equal(t->relay_first, 0x7f600000);
	assert_int_equal(t->relay_last, 0x7f60000f);
	assert_int_equal(t->relay_port, 65535);
	assert_string_equal(t->relay_helo, "mx.example");
	assert_string_equal(t->relay_source4, "192.0.2.1");
	assert_string_equal(t->relay_source6, "2001:db8::1");
	assert_string_equal(t->relay_user, "_smtpd");
	assert_int_equal(t->n_relay_users, 1);
	assert_string_equal(t->relay_users[0], "_smtpd");
	assert_int_equal(t->relay_connect_timeout, 1);
	assert_int_equal(t->relay_command_timeout, 2);
	assert_int_equal(t->relay_data_timeout, 3);
	assert_int_equal(t->relay_ehlo_budget, 4);
	assert_int_equal(t->relay_idle_timeout, 5);
	assert_int_equal(t->relay_max_sessions, 6);
	assert_int_equal(t->relay_max_per_domain, 7);
	assert_int_equal(t->relay_max_domains, 16); /* all there are */
	assert_int_equal(t->relay_failure_ttl, 8);
	assert_string_equal(t->relay_metrics, "/run/m/a.prom");
	assert_int_equal(t->log_level, 7);
	assert_string_equal(t->log_facility, "local7");
	assert_string_equal(t->exim_user, "exim.mail-1_");
	conf_free(c);
}

static void
test_daemon(void **state)
{
	struct fixture *f = *state;
	struct conf *c = with_anchor(f,
	    "relay: { user = [ \"Debian-exim\", \"postfix\", \"root\" ]; };"
	    "danevirked: { socket = \"/srv/map\"; mode = \"0640\"; group = "
	    "\"mail\"; listen = \"127.0.0.9:65535\"; user = \"_relay\"; };");
	const struct danevirke_settings *t;

	assert_non_null(c);
	t = &c->settings;
	assert_string_equal(t->relay_user, "Debian-exim");
	assert_int_equal(t->n_relay_users, 3);
	assert_string_equal(t->relay_users[0], "Debian-exim");
	assert_string_equal(t->relay_users[2], "root");
	assert_string_equal(t->daemon_socket, "/srv/map");
	assert_int_equal(t->daemon_mode, 0640);
	assert_string_equal(t->daemon_group, "mail");
	assert_int_equal(t->daemon_addr, 0x7f000009);
	assert_int_equal(t->daemon_port, 65535);
	assert_string_equal(t->daemon_user, "_relay");
	conf_free(c);
}

/* ----------------------------------------------------------- destinations */

static void
test_destination(void **state) /* P01 */
{
	static const struct {
		const char *domain, *rule, *expired;
	} t[] = {
		{ "example.org", "example.org", NULL },
		{ "sub.example.org", ".example.org", NULL },
		{ "a.b.example.org", ".b.example.org", NULL },
		{ "b.example.org", ".example.org", NULL },
		{ "x.a.b.example.org", ".b.example.org", NULL },
		/* a suffix is of labels, and not of the name itself */
		{ "notexample.org", NULL, NULL },
		{ "example.net", NULL, NULL },
		{ "x.example.net", ".example.net", NULL },
		{ "org", NULL, NULL },
		/* past its last day */
		{ "old.example.net", ".example.net", "old.example.net" },
		{ "old.example", NULL, "old.example" },
		{ "x.old.example", NULL, ".old.example" },
		/* an expired one behind a living one would not have matched */
		{ "live.old.example", "live.old.example", NULL },
		{ "xn--bcher-kva.example", "xn--bcher-kva.example", NULL },
		{ "[192.0.2.1]", NULL, NULL },
		{ "", NULL, NULL },
	};
	struct fixture *f = *state;
	const struct conf_destination *d, *expired;
	struct conf *c = with_anchor(f,
	    "destinations = ("
	    "{ domain = \"example.org\"; level = \"off\"; reason = \"t 12\";"
	    " until = \"2027-01-31\"; },"
	    "{ domain = \".example.org\"; level = \"audit\"; },"
	    "{ domain = \".b.example.org\"; level = \"dane-only\"; },"
	    "{ domain = \".EXAMPLE.net.\"; level = \"dane\"; },"
	    "{ domain = \"old.example.net\"; level = \"off\"; until = "
	    "\"2026-12-31\"; },"
	    "{ domain = \"old.example\"; level = \"off\"; until = "
	    "\"2000-02-29\"; },"
	    "{ domain = \".old.example\"; level = \"off\"; until = "
	    "\"1970-01-01\"; },"
	    "{ domain = \"live.old.example\"; level = \"off\"; },"
	    "{ domain = \"b\303\274cher.example\"; level = \"off\"; } );");
	time_t now = 1798761600; /* 2027-01-01T00:00:00Z */

	assert_non_null(c);
	for (size_t i = 0; i < N(t); i++) {
		expired = (void *)&c;
		d = conf_destination(c, t[i].domain, now, &expired);
		if (d == NULL ?
			t[i].rule != NULL :
			t[i].rule == NULL || strcmp(d->domain, t[i].rule) != 0)
			print_error("%s: %s\n", t[i].domain,
			    d == NULL ? "none" : d->domain);
		if (t[i].rule == NULL)
			assert_null(d);
		else {
			assert_non_null(d);
			assert_string_equal(d->domain, t[i].rule);
		}
		if (t[i].expired == NULL)
			assert_null(expired);
		else {
			assert_non_null(expired);
			assert_string_equal(expired->domain, t[i].expired);
		}
	}
	/* the last day is inclusive, in UTC */
	d = conf_destination(c, "example.org", 1801439999, NULL);
	assert_non_null(d);
	assert_int_equal(d->ends, 1801440000); /* 2027-02-01T00:00:00Z */
	assert_int_equal(d->level, DANEVIRKE_LEVEL_OFF);
	assert_string_equal(d->reason, "t 12");
	assert_string_equal(d->until, "2027-01-31");
	expired = NULL;
	assert_null(conf_destination(c, "example.org", 1801440000, &expired));
	assert_ptr_equal(expired, d);
	d = conf_destination(c, "z.example.org", now, NULL);
	assert_null(d->reason);
	assert_null(d->until);
	assert_int_equal(d->ends, 0);
	assert_int_equal(d->level, DANEVIRKE_LEVEL_AUDIT);
	conf_free(c);

	c = with_anchor(f, "");
	assert_null(conf_destination(c, "example.org", now, &expired));
	assert_null(expired);
	conf_free(c);
}

static void
test_until(void **state) /* P01 */
{
	static const struct {
		const char *text;
		long long ends;
	} t[] = {
		{ "1970-01-01", 86400 },
		{ "2000-02-29", 951868800 },
		{ "2024-02-29", 1709251200 },
		{ "2026-12-31", 1798761600 },
		{ "2027-01-31", 1801440000 },
		{ "9999-12-31", 253402300800 },
		{ "2100-02-29", -1 },
		{ "2027-02-29", -1 },
		{ "2027-04-31", -1 },
		{ "2027-13-01", -1 },
		{ "2027-00-01", -1 },
		{ "2027-01-00", -1 },
		{ "2027-01-32", -1 },
		{ "1969-12-31", -1 },
		{ "0000-00-00", -1 },
		{ "27-01-31", -1 },
		{ "", -1 },
		{ "2027-1-31", -1 },
		{ "2027-01-31 ", -1 },
		{ "2027/01/31", -1 },
		{ "2027-01-3x", -1 },
		{ "+027-01-31", -1 },
		{ "20270131", -1 },
	};
	int64_t ends;

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		bool ok = value_until(t[i].text, &ends);

		if (ok != (t[i].ends != -1))
			print_error("%s\n", t[i].text);
		assert_int_equal(ok, t[i].ends != -1);
		if (ok)
			assert_true(ends == t[i].ends);
	}
}

static void
test_utf8(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} t[] = {
		{ "", true },
		{ "plain ~", true },
		{ "\303\251", true },
		{ "\342\202\254", true },
		{ "\360\237\220\237", true },
		{ "\364\217\277\277", true },
		{ "a\n", false },
		{ "\t", false },
		{ "\177", false },
		/* C1: a line's end, a terminal's escape */
		{ "\302\205", false },
		{ "\302\233", false },
		{ "\302\240", true },
		{ "\200", false },
		{ "\303", false },
		{ "\303(", false },
		{ "\300\257", false },
		{ "\340\200\257", false },
		{ "\355\240\200", false },
		{ "\364\220\200\200", false },
		{ "\342\202", false },
		{ "\360\237\220", false },
		{ "\377", false },
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++)
		assert_int_equal(value_utf8(t[i].text), t[i].ok);
}

/* ------------------------------------------------------------------ files */

static void
refused(struct fixture *f, const char *path, const char *want)
{
	memset(&f->err, 0, sizeof f->err);
	assert_null(conf_load(path, NULL, NULL, &f->err));
	assert_int_equal(f->err.code, DANEVIRKE_ECONF);
	assert_memory_equal(f->err.text, path, strlen(path));
	if (strstr(f->err.text, want) == NULL)
		print_error("%s\nnot: %s\n", f->err.text, want);
	assert_non_null(strstr(f->err.text, want));
}

static void
test_file(void **state)
{
	struct fixture *f = *state;
	char link[128], text[256];
	static char big[1024 * 1024 + 2];
	struct conf *c;

	unlink(f->conf);
	refused(f, f->conf, ": No such file or directory: want a readable");
	refused(f, f->dir, ": a directory: want a regular file");
	refused(f, "/dev/null", ": a special file: want a regular file");
	/* does not wait for a writer */
	assert_int_equal(mkfifo(f->conf, 0600), 0);
	refused(f, f->conf, ": a special file: want a regular file");
	unlink(f->conf);

	snprintf(text, sizeof text, "resolver: { trust_anchor = \"%s\"; };",
	    f->anchor);
	put(f->conf, text, strlen(text));
	snprintf(link, sizeof link, "%s/link", f->dir);
	assert_int_equal(symlink("conf", link), 0);
	c = conf_load(link, NULL, NULL, &f->err);
	unlink(link);
	assert_non_null(c);
	conf_free(c);

	/* others could decide who reads the mail */
	assert_int_equal(chmod(f->conf, 0646), 0);
	refused(f, f->conf, ": mode 0646: want a file that no other user");
	if (geteuid() == 0) {
		assert_int_equal(chmod(f->conf, 0660), 0);
		assert_int_equal(chown(f->conf, 0, 12345), 0);
		refused(f, f->conf, ": mode 0660: want a file that no other");
		assert_int_equal(chown(f->conf, 0, 0), 0);
		c = conf_load(f->conf, NULL, NULL, &f->err);
		assert_non_null(c);
		conf_free(c);
		assert_int_equal(chown(f->conf, 12345, 0), 0);
		assert_int_equal(chmod(f->conf, 0644), 0);
		refused(
		    f, f->conf, ": owned by uid 12345: want a file of root");
		assert_int_equal(chown(f->conf, 0, 0), 0);
		/* the anchor likewise: who writes it makes "secure" */
		assert_int_equal(chmod(f->anchor, 0666), 0);
		assert_null(conf_load(f->conf, NULL, NULL, &f->err));
		assert_int_equal(f->err.code, DANEVIRKE_EANCHOR);
		assert_non_null(strstr(f->err.text, "mode 0666"));
		assert_int_equal(chmod(f->anchor, 0600), 0);
	}

	put(f->conf, "a = 1;\n\0b = 2;", 14);
	refused(f, f->conf, ":2: a NUL octet: want a text file");
	memset(big, '\n', sizeof big);
	put(f->conf, big, sizeof big - 1);
	refused(f, f->conf, ": too long: want at most 1048576 octets");
	refused(f, "/proc/version", ": it grew while it was read: want");
}

/* D05: with the configuration in order the anchor decides, and an error of it
 * is reported beside those of the file. */
static void
test_bad_anchor(void **state)
{
	struct fixture *f = *state;
	char want[256];

	put(f->anchor, "", 0);
	assert_null(with_anchor(f, ""));
	assert_int_equal(f->err.code, DANEVIRKE_EANCHOR);
	snprintf(want, sizeof want,
	    "resolver.trust_anchor: %s:1: no trust anchor: want a DS or "
	    "DNSKEY line",
	    f->anchor);
	assert_memory_equal(f->err.text, want, strlen(want));
	assert_int_equal(f->lines, 1);
	assert_null(with_anchor(f, "log: { level = 1; };"));
	assert_int_equal(f->err.code, DANEVIRKE_ECONF);
	assert_int_equal(f->lines, 2);
	assert_non_null(strstr(f->log, want));
	assert_null(load(f, "resolver: { trust_anchor = \"root.key\"; };"));
	assert_int_equal(f->err.code, DANEVIRKE_ECONF);
	put(f->anchor, DS, strlen(DS));
}

/* Many rules: bounded work, all found */
static void
test_many(void **state)
{
	struct fixture *f = *state;
	const struct conf_destination *d;
	size_t len = 1000000, at = 0, n;
	char *text = malloc(len), name[64];
	struct conf *c;

	assert_non_null(text);
	at = (size_t)snprintf(text, len,
	    "resolver:{trust_anchor=\"%s\";};destinations=(", f->anchor);
	for (n = 0; n < 15000; n++)
		at += (size_t)snprintf(text + at, len - at,
		    "%s{domain=\"d%zu.example\";level=\"off\";}",
		    n > 0 ? "," : "", n * 7919 % 15000);
	at += (size_t)snprintf(text + at, len - at, ");");
	assert_true(at < len);
	put(f->conf, text, at);
	free(text);
	c = conf_load(f->conf, NULL, NULL, &f->err);
	assert_non_null(c);
	assert_int_equal(c->n_destinations, 15000);
	for (n = 0; n < 15001; n++) {
		snprintf(name, sizeof name, "d%zu.example", n);
		d = conf_destination(c, name, 0, NULL);
		assert_int_equal(d != NULL, n < 15000);
	}
	conf_free(c);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_wrong, "each error of a file is told, with its line"),
		TEST(test_twice,
		    "a setting that stands twice is named, with both places"),
		TEST(test_twice_bounds, "the search for both has an end"),
		TEST(test_silent, "an error is one without a log, too"),
		TEST(
		    test_defaults, "a file that says nothing has the defaults"),
		TEST(test_example,
		    "examples/danevirke.conf says what the defaults are"),
		TEST(test_resolver,
		    "resolver: is read as written (D01 D14 M10 M11 M12)"),
		TEST(test_profiles,
		    "a profile is as default where it says nothing (A01)"),
		TEST(test_tlsrpt,
		    "tlsrpt needs a collector, and a module that can report"),
		TEST(test_mta_sts,
		    "mta_sts: is read as written, and off by default (H02)"),
		TEST(test_resolver_shown,
		    "settings() shows the resolver that is used"),
		TEST(test_relay, "relay:, log: and exim: are read as written"),
		TEST(test_daemon,
		    "danevirked: and a list of users are read as written"),
		TEST(test_destination,
		    "the closest rule that has not ended counts (P01)"),
		TEST(test_until,
		    "until is a day that exists, to its end in UTC (P01)"),
		TEST(test_utf8, "only printable UTF-8 is a text"),
		TEST(test_file, "a file that others can write is refused"),
		TEST(test_bad_anchor,
		    "a bad anchor is told beside the file's errors (D05)"),
		TEST(test_many, "15,000 destinations load and are all found"),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

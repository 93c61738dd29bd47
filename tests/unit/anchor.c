/* SPDX-License-Identifier: ISC */
/* anchor.c: the trust anchor file (D05), one line of a table for each way in
 * which the resolver library would have called everything insecure. */
#include <sys/stat.h>

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

#define D64 "E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"
#define D96 D64 "0123456789abcdef0123456789ABCDEF"
#define D40 "B256BD09DC8DD59F0E0F0D8541B8328DD986DF6E"
/* the root's key of 2017 */
#define RSA \
	"AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq" \
	"7HrxRixHlFlExOLAJr5emLvN7SWXgnLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnI" \
	"DdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb" \
	"9tarpVUDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTId" \
	"sIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnXGXws9555KrUB5qih" \
	"ylGa8subX2Nn6UwNR1AkUTV74bU="
#define A32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" /* and "=" */
#define A48 \
	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKiss" \
	"LS4v"

#define WANT \
	": want a DS or DNSKEY line of \".\" with algorithm 8, 10, " \
	"13, 14 or 15 and digest type 2 or 4"

static const struct {
	const char *text;
	size_t n;
} good_table[] = {
	{ ". IN DS 20326 8 2 " D64 "\n", 1 },
	{ ". IN DS 20326 8 2 " D64, 1 }, /* no end of line */
	{ ". IN DS 20326 8 2 " D64 "\r\n", 1 },
	{ "\n; comment \"(\n\n.\tin\tds\t20326 RSASHA256 2 " D64 " ; x\n", 1 },
	{ ". DS 0 10 4 " D96 "\n", 1 },
	{ ". 172800 IN DS 1 13 2 " D64 "\n. IN 2d12h DS 1 14 2 " D64 "\n"
	  ". 1 DS 1 15 2 " D64 "\n. DS 65535 8 2 " D64 "\n",
	    4 },
	{ ". IN DS ( 20326 8 ; (\n2\nE06D44B80B8F1D39A95C0B0D7C65D084\n"
	  "  58E880409BBC683457104237C7F8EC8D )\n",
	    1 },
	{ ". IN DS 20326 8 2 E06D44B80B8F1D39 A95C0B0D7C65D084 "
	  "58E880409BBC6834 57104237C7F8EC8D\n",
	    1 },
	/* the same owner as above */
	{ ". IN DS 20326 8 2 " D64 "\n\t\tIN DS 1 8 2 " D64 "\n", 2 },
	{ ". IN DNSKEY 257 3 8 " RSA "\n", 1 },
	{ ". IN DNSKEY 257 3 RSASHA512 ( " RSA " )\n", 1 },
	{ ". IN DNSKEY 257 3 13 " A48 "MDEyMzQ1Njc4OTo7PD0+Pw==\n", 1 },
	{ ". IN DNSKEY 257 3 14 " A48 " " A48 "\n", 1 },
	{ ". IN DNSKEY 257 3 15 " A32 "=\n", 1 },
	/* what is of no use does not spoil the rest */
	{ ". IN DS 1 8 1 " D40 "\n. IN DS 1 8 2 " D64 "\n", 1 },
	{ ". IN DS 1 250 2 " D64 "\n. IN DNSKEY 385 3 8 " RSA "\n"
	  ". IN DNSKEY 256 3 8 " RSA "\n. IN DNSKEY 257 3 5 AAAA\n"
	  ". IN DS 1 8 77 AB\n. IN DS 1 8 2 " D64 "\n",
	    1 },
};

/* errors are without the path */
static const struct {
	const char *text, *error;
} bad_table[] = {
	/* empty */
	{ "", ":1: no trust anchor" WANT },
	{ "\n\n", ":3: no trust anchor" WANT },
	{ "; . IN DS 20326 8 2 " D64 "\n", ":2: no trust anchor" WANT },
	{ " \t\r\n", ":2: no trust anchor" WANT },
	{ "(\n)", ":2: no trust anchor" WANT },
	/* another zone's */
	{ "org. IN DS 20326 8 2 " D64 "\n",
	    ":1: \"org.\": want an anchor for \".\"" },
	{ ". IN DS 20326 8 2 " D64 "\n\nexample. IN DS 1 8 2 " D64 "\n",
	    ":3: \"example.\": want an anchor for \".\"" },
	{ "@ IN DS 20326 8 2 " D64 "\n",
	    ":1: \"@\": want an anchor for \".\"" },
	{ "$ORIGIN org.\n. IN DS 20326 8 2 " D64 "\n",
	    ":1: \"$ORIGIN\": want DS and DNSKEY lines, no directives" },
	{ "  IN DS 20326 8 2 " D64 "\n",
	    ":1: \"IN\": want a line that begins with \".\"" },
	/* unknown algorithm or digest */
	{ "\n. IN DS 20326 250 2 " D64 "\n",
	    ":2: DS of an unsupported algorithm, 250" WANT },
	{ ". IN DS 20326 RSASHA1 2 " D64 "\n",
	    ":1: DS of an unsupported algorithm, 5 (RSASHA1)" WANT },
	{ ". IN DS 20326 12 2 " D64 "\n",
	    ":1: DS of an unsupported algorithm, 12 (ECC-GOST)" WANT },
	{ ". IN DS 20326 8 1 " D40 "\n",
	    ":1: DS of an unsupported digest type, 1" WANT },
	{ ". IN DS 20326 8 3 " D64 "\n",
	    ":1: DS of an unsupported digest type, 3" WANT },
	{ ". IN DNSKEY 257 3 250 " RSA "\n",
	    ":1: DNSKEY of an unsupported algorithm, 250" WANT },
	/* D05a: not every build of the library validates Ed448 */
	{ ". IN DS 5913 16 2 " D64 "\n",
	    ":1: DS of an unsupported algorithm, 16 (ED448)" WANT },
	{ "\n. IN DNSKEY 257 3 ED448 " A48 "MDEyMzQ1Njc4\n",
	    ":2: DNSKEY of an unsupported algorithm, 16 (ED448)" WANT },
	{ ". IN DS 1 16 2 " D64 "\n. IN DS 1 8 1 " D40 "\n",
	    ":1: DS of an unsupported algorithm, 16 (ED448)" WANT },
	/* keys that cannot be an anchor */
	{ ". IN DNSKEY 385 3 8 " RSA "\n", ":1: DNSKEY is revoked" WANT },
	{ ". IN DNSKEY 256 3 8 " RSA "\n",
	    ":1: DNSKEY is no key signing key (257)" WANT },
	{ ". IN DNSKEY 1 3 8 " RSA "\n",
	    ":1: DNSKEY is no key signing key (257)" WANT },
	/* syntax of DS */
	{ ". IN DS\n", ":1: line ends early: want a key tag, 0 to 65535" },
	{ ". IN DS 65536 8 2 " D64 "\n",
	    ":1: \"65536\": want a key tag, 0 to 65535" },
	{ ". IN DS -1 8 2 " D64 "\n",
	    ":1: \"-1\": want a key tag, 0 to 65535" },
	{ ". IN DS 1 256 2 " D64 "\n",
	    ":1: \"256\": want an algorithm, 0 to 255" },
	{ ". IN DS 1 RSA 2 " D64 "\n",
	    ":1: \"RSA\": want an algorithm, 0 to 255" },
	{ ". IN DS 1 8 SHA256 " D64 "\n",
	    ":1: \"SHA256\": want a digest type, 0 to 255" },
	{ ". IN DS 1 8 2\n", ":1: line ends early: want the digest in hex" },
	{ ". IN DS 1 8 2 " D64 "0\n",
	    ":1: digest of the wrong length: want "
	    "64 hex digits for type 2, 96 for type 4" },
	{ ". IN DS 1 8 4 " D64 "\n",
	    ":1: digest of the wrong length: want "
	    "64 hex digits for type 2, 96 for type 4" },
	{ ". IN DS 1 8 2 " D96 "\n",
	    ":1: digest of the wrong length: want "
	    "64 hex digits for type 2, 96 for type 4" },
	{ ". IN DS 1 8 2 " D64 " x\n", ":1: \"x\": want the digest in hex" },
	/* of DNSKEY */
	{ ". IN DNSKEY 65536 3 8 " RSA "\n",
	    ":1: \"65536\": want flags, 0 to 65535" },
	{ ". IN DNSKEY 257 2 8 " RSA "\n", ":1: \"2\": want the protocol, 3" },
	{ ". IN DNSKEY 257 3 8\n",
	    ":1: line ends early: want the key in base64" },
	{ ". IN DNSKEY 257 3 8 " RSA "=\n",
	    ":1: DNSKEY that does not decode: want the key in base64" },
	{ ". IN DNSKEY 257 3 8 " RSA " AAAA\n",
	    ":1: DNSKEY that does not decode: want the key in base64" },
	{ ". IN DNSKEY 257 3 8 " RSA "A\n",
	    ":1: DNSKEY that does not decode: want the key in base64" },
	{ ". IN DNSKEY 257 3 15 " A32 "\n",
	    ":1: DNSKEY that does not decode: want the key in base64" },
	{ ". IN DNSKEY 257 3 15 AA*=\n",
	    ":1: DNSKEY that does not decode: want the key in base64" },
	/* bits behind the last octet */
	{ ". IN DNSKEY 257 3 15 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n",
	    ":1: DNSKEY that does not decode: want the key in base64" },
	{ ". IN DNSKEY 257 3 8 AwEAAa==\n",
	    ":1: DNSKEY that does not decode: want the key in base64" },
	{ ". IN DNSKEY 257 3 8 AwEAAQ==\n",
	    ":1: DNSKEY of the wrong length: "
	    "want a whole public key of its algorithm" },
	{ ". IN DNSKEY 257 3 8 AAAA\n",
	    ":1: DNSKEY of the wrong length: "
	    "want a whole public key of its algorithm" },
	{ ". IN DNSKEY 257 3 13 " A32 "=\n",
	    ":1: DNSKEY of the wrong "
	    "length: want a whole public key of its algorithm" },
	{ ". IN DNSKEY 257 3 15 " A48 "\n",
	    ":1: DNSKEY of the wrong "
	    "length: want a whole public key of its algorithm" },
	/* of lines */
	{ ".\n", ":1: line ends early: want class IN, type DS or DNSKEY" },
	{ ". IN\n", ":1: line ends early: want class IN, type DS or DNSKEY" },
	{ ". CH DS 1 8 2 " D64 "\n",
	    ":1: \"CH\": want class IN, type DS or DNSKEY" },
	{ ". IN IN DS 1 8 2 " D64 "\n",
	    ":1: \"IN\": want class IN, type DS or DNSKEY" },
	{ ". 1 1 DS 1 8 2 " D64 "\n",
	    ":1: \"1\": want class IN, type DS or DNSKEY" },
	{ ". IN NS a.root-servers.net.\n",
	    ":1: \"NS\": want class IN, type DS or DNSKEY" },
	{ ". IN TYPE43 \\# 4 00000000\n",
	    ":1: an escape: want a zone-file line of plain words" },
	{ "\".\" IN DS 1 8 2 " D64 "\n",
	    ":1: a quoted word: want a zone-file line of plain words" },
	{ ". IN DS ( 1 8 2 " D64 "\n\n", ":3: end of file: want \")\"" },
	{ ". IN DS ( 1 8 ( 2 " D64 " ) )\n",
	    ":1: second \"(\": want a zone-file line" },
	{ ". IN DS 1 8 2 " D64 " )\n",
	    ":1: \")\" without \"(\": want a zone-file line" },
	{ ". IN DS 1 8 2 " D64 "\001\n",
	    ":1: an unprintable octet: want a zone-file line of plain words" },
	{ "\n\n\303\244\n",
	    ":3: an unprintable octet: want a zone-file line of plain words" },
	/* good lines do not make up for a bad one */
	{ ". IN DS 20326 8 2 " D64 "\ntrusted-keys {\n",
	    ":2: \"trusted-keys\": want an anchor for \".\"" },
	{ "<html>\n", ":1: \"<html>\": want an anchor for \".\"" },
};

static void
test_good(void **state) /* D05 */
{
	struct danevirke_error err;
	size_t n;

	(void)state;
	for (size_t i = 0; i < N(good_table); i++) {
		err.text[0] = '\0';
		if (anchor_parse(good_table[i].text, strlen(good_table[i].text),
			"f", &n, NULL, NULL, &err) != 0)
			print_error("%s%s\n", good_table[i].text, err.text);
		assert_string_equal(err.text, "");
		assert_int_equal(n, good_table[i].n);
	}
}

static void
test_bad(void **state) /* D05 */
{
	struct danevirke_error err;
	size_t n;

	(void)state;
	for (size_t i = 0; i < N(bad_table); i++) {
		n = 99;
		if (anchor_parse(bad_table[i].text, strlen(bad_table[i].text),
			"f", &n, NULL, NULL, &err) != DANEVIRKE_EANCHOR)
			print_error("taken: %s\n", bad_table[i].text);
		assert_int_equal(n, 0);
		assert_int_equal(err.code, DANEVIRKE_EANCHOR);
		assert_int_equal(err.text[0], 'f');
		assert_string_equal(err.text + 1, bad_table[i].error);
		assert_int_equal(
		    anchor_parse(bad_table[i].text, strlen(bad_table[i].text),
			"f", NULL, NULL, NULL, NULL),
		    DANEVIRKE_EANCHOR);
	}
}

static void
expect(const char *text, size_t len, const char *error)
{
	struct danevirke_error err;

	assert_int_equal(anchor_parse(text, len, "f", NULL, NULL, NULL, &err),
	    DANEVIRKE_EANCHOR);
	assert_string_equal(err.text, error);
}

struct said {
	int n;
	char text[2][1024];
};

static void
on_log(void *arg, int level, const char *text)
{
	struct said *s = arg;

	assert_int_equal(level, 4); /* LOG_WARNING */
	if (s->n < 2)
		snprintf(s->text[s->n], sizeof s->text[0], "%s", text);
	s->n++;
}

/* D05a: beside a good line it is passed over, with a warning; in a file that
 * is refused anyway the error is enough. */
static void
test_passed_over(void **state)
{
	static const char mixed[] = ". IN DS 1 8 2 " D64 "\n\n"
				    ". IN DS 2 16 2 " D64 "\n"
				    ". IN DS 1 8 1 " D40 "\n";
	static const char none[] = ". IN DS 2 16 2 " D64 "\n";
	struct danevirke_error err;
	struct said said = { 0 };
	size_t n;

	(void)state;
	assert_int_equal(
	    anchor_parse(mixed, strlen(mixed), "f", &n, on_log, &said, &err),
	    DANEVIRKE_OK);
	assert_int_equal(n, 1);
	assert_int_equal(said.n, 2);
	assert_string_equal(said.text[0],
	    "resolver.trust_anchor: f:3: DS of an unsupported algorithm, 16 (ED448): "
	    "passed over" WANT);
	assert_string_equal(said.text[1],
	    "resolver.trust_anchor: f:4: DS of an unsupported digest type, 1: "
	    "passed over" WANT);
	said.n = 0;
	assert_int_equal(
	    anchor_parse(none, strlen(none), "f", &n, on_log, &said, &err),
	    DANEVIRKE_EANCHOR);
	assert_int_equal(said.n, 0);
	assert_string_equal(
	    err.text, "f:1: DS of an unsupported algorithm, 16 (ED448)" WANT);
}

static void
test_bounds(void **state)
{
	static char big[65538];
	size_t n;

	(void)state;
	expect(". IN DS\0", 8, "f:1: a NUL octet: want a text file");
	expect("\n\n;\0\n", 5, "f:3: a NUL octet: want a text file");
	memset(big, '\n', sizeof big);
	expect(big, 65537, "f: too long: want at most 65536 octets");
	expect(big, 65536, "f:65537: no trust anchor" WANT);
	memset(big + 1, ';', 4097);
	expect(big, 65536, "f:2: line too long: want at most 4096 octets");
	big[4097] = '\n';
	expect(big, 65536, "f:61441: no trust anchor" WANT);
	/* a record over many lines is bounded too */
	n = (size_t)snprintf(big, sizeof big, ". IN DS 1 8 2 (\n");
	for (int i = 0; i < 300; i++)
		n += (size_t)snprintf(big + n, sizeof big - n, "AB\n");
	expect(big, n, "f:252: too many words: want at most 256 in one record");
	/* every prefix of a good file: an answer, and no read behind it */
	for (n = 0; n < strlen(good_table[6].text); n++) {
		char *copy = malloc(n + 1);
		size_t found;

		assert_non_null(copy);
		memcpy(copy, good_table[6].text, n);
		if ((copy = realloc(copy, n > 0 ? n : 1)) == NULL)
			abort();
		if (anchor_parse(copy, n, "f", &found, NULL, NULL, NULL) == 0)
			assert_int_equal(found, 1);
		else
			assert_int_equal(found, 0);
		free(copy);
	}
}

static void
test_file(void **state) /* D05 */
{
	static const char *const debian[] = { "/usr/share/dns/root.key",
		"/usr/share/dns/root.ds" };
	struct danevirke_error err;
	char path[64] = "/tmp/danevirke-anchor.XXXXXX";
	size_t n;
	int fd;

	(void)state;
	assert_int_equal(
	    conf_anchor(NULL, &n, NULL, NULL, &err), DANEVIRKE_EINVAL);
	assert_int_equal(conf_anchor("/nonexistent/key", &n, NULL, NULL, &err),
	    DANEVIRKE_EANCHOR);
	assert_string_equal(err.text,
	    "/nonexistent/key: No such file or directory: want a readable file");
	assert_int_equal(
	    conf_anchor("/", &n, NULL, NULL, &err), DANEVIRKE_EANCHOR);
	assert_string_equal(err.text, "/: a directory: want a regular file");
	fd = mkstemp(path);
	assert_int_not_equal(fd, -1);
	assert_int_equal(
	    conf_anchor(path, &n, NULL, NULL, &err), DANEVIRKE_EANCHOR);
	assert_memory_equal(err.text, path, strlen(path));
	assert_non_null(strstr(err.text, ":1: no trust anchor"));
	assert_int_equal(
	    dprintf(fd, "%s", good_table[0].text), strlen(good_table[0].text));
	assert_int_equal(conf_anchor(path, &n, NULL, NULL, &err), DANEVIRKE_OK);
	assert_int_equal(n, 1);
	if (geteuid() != 0) {
		assert_int_equal(fchmod(fd, 0), 0);
		assert_int_equal(
		    conf_anchor(path, &n, NULL, NULL, &err), DANEVIRKE_EANCHOR);
		assert_non_null(strstr(err.text, "Permission denied"));
	}
	close(fd);
	unlink(path);
	for (size_t i = 0; i < N(debian); i++) {
		if (access(debian[i], R_OK) != 0) {
			print_message("%s: no such file\n", debian[i]);
			continue;
		}
		assert_int_equal(
		    conf_anchor(debian[i], &n, NULL, NULL, &err), DANEVIRKE_OK);
		assert_true(n >= 1);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_good,
		    "DS and DNSKEY records of the root are anchors (D05)"),
		TEST(test_bad,
		    "an anchor file with no root record is refused (D05)"),
		TEST(test_passed_over,
		    "a record of no use beside a good one is passed over (D05a)"),
		TEST(test_bounds,
		    "a file, a line or a record that is too long is refused"),
		TEST(test_file,
		    "an anchor file that cannot be read is named (D05)"),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/*
 * The trust anchor file: DS and DNSKEY lines for "." as in a zone file
 * (RFC 1035 5.1, RFC 4034 2.2 and 5.3).
 *
 * The resolver library reads the same file later, but an empty file, another
 * zone's anchor or an unknown algorithm makes it call everything insecure.
 * So nothing is passed on to it that was not understood here (D05): one
 * malformed line refuses the file, and what is well formed but of no use
 * (an algorithm of tomorrow, a revoked key) does not count, with a warning.
 * What some builds of that library cannot validate, Ed448 for one, is of no
 * use in any: alone it would make all of DNS insecure (D05a).
 */
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "value.h"

#define MAX_FILE 65536
#define MAX_LINE 4096
#define MAX_TOKENS 256 /* hex digits may come in pairs */
#define MAX_KEY 1024   /* octets of a public key */

#define WANT \
	"want a DS or DNSKEY line of \".\" with algorithm 8, 10, 13, " \
	"14 or 15 and digest type 2 or 4"

struct token {
	const char *s;
	size_t len;
};

/* One line, or several held together by parentheses */
struct anchor_record {
	unsigned line;
	bool blank; /* starts with blanks: same owner */
	size_t n;
	struct token token[MAX_TOKENS];
};

struct scan {
	const char *p, *end;
	const char *path;
	unsigned line;
	bool paren;
	bool owner;        /* a record was read: blank is "." */
	size_t n;          /* anchors that count */
	unsigned why_line; /* the first one that does not; 0: all do */
	char why[64];
	danevirke_log *log; /* or NULL */
	void *log_arg;
	struct danevirke_error *err;
};

static int
anchor_bad(struct scan *s, unsigned line, const char *found, const char *want)
{
	fail(s->err, DANEVIRKE_EANCHOR, "%s:%u: %s: want %s", s->path, line,
	    found, want);
	return -1;
}

static int
anchor_bad_token(
    struct scan *s, const struct anchor_record *r, size_t i, const char *want)
{
	char found[72];

	if (i >= r->n)
		return anchor_bad(s, r->line, "line ends early", want);
	snprintf(found, sizeof found, "\"%.*s\"%s",
	    r->token[i].len > 60 ? 60 : (int)r->token[i].len, r->token[i].s,
	    r->token[i].len > 60 ? "..." : "");
	return anchor_bad(s, r->line, found, want);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool
is_plain(char c)
{
	return c > ' ' && c < 0x7f && strchr("()\";\\", c) == NULL;
}

static int
record_paren(struct scan *s)
{
	bool open = *s->p == '(';

	if (s->paren == open)
		return anchor_bad(s, s->line,
		    open ? "second \"(\"" : "\")\" without \"(\"",
		    "a zone-file line");
	s->paren = open;
	s->p++;
	return 0;
}

static int
record_word(struct scan *s, struct anchor_record *r)
{
	struct token *t = &r->token[r->n];

	if (!is_plain(*s->p))
		return anchor_bad(s, s->line,
		    *s->p == '"'      ? "a quoted word" :
			*s->p == '\\' ? "an escape" :
					"an unprintable octet",
		    "a zone-file line of plain words");
	if (r->n == MAX_TOKENS)
		return anchor_bad(
		    s, s->line, "too many words", "at most 256 in one record");
	if (r->n++ == 0)
		r->line = s->line;
	for (t->s = s->p; s->p < s->end && is_plain(*s->p); s->p++)
		;
	t->len = (size_t)(s->p - t->s);
	return 0;
}

/* 1: a record, 0: the end, -1: err.  Every call moves on or ends. */
static int
record_next(struct scan *s, struct anchor_record *r)
{
	bool start = true;

	r->n = 0;
	r->blank = false;
	while (s->p < s->end) {
		if (*s->p == '\n') {
			s->p++;
			s->line++;
			if (s->paren)
				continue;
			if (r->n > 0)
				return 1;
			start = true;
			r->blank = false;
			continue;
		}
		if (is_blank(*s->p)) {
			r->blank |= start && !s->paren;
			s->p++;
		} else if (*s->p == ';') {
			while (s->p < s->end && *s->p != '\n')
				s->p++;
		} else if ((*s->p == '(' || *s->p == ')' ?
				   record_paren(s) :
				   record_word(s, r)) != 0)
			return -1;
		start = false;
	}
	if (s->paren)
		return anchor_bad(s, s->line, "end of file", "\")\"");
	return r->n > 0;
}

static bool
token_is(const struct token *t, const char *word)
{
	return strlen(word) == t->len && strncasecmp(t->s, word, t->len) == 0;
}

static bool
token_number(const struct token *t, unsigned max, unsigned *out)
{
	unsigned v = 0;

	for (size_t i = 0; i < t->len; i++) {
		if (t->s[i] < '0' || t->s[i] > '9')
			return false;
		v = v * 10 + (unsigned)(t->s[i] - '0');
		if (v > max)
			return false;
	}
	*out = v;
	return t->len > 0;
}

/* RFC 1035: seconds; many writers allow 1d12h too */
static bool
token_ttl(const struct token *t)
{
	if (t->s[0] < '0' || t->s[0] > '9' || t->len > 20)
		return false;
	for (size_t i = 1; i < t->len; i++)
		if (memchr("0123456789smhdwSMHDW", t->s[i], 20) == NULL)
			return false;
	return true;
}

/* The mnemonics of the IANA registry (RFC 4034 A.1) */
static const struct {
	const char *name;
	unsigned number;
} algorithms[] = {
	{ "RSAMD5", 1 },
	{ "DH", 2 },
	{ "DSA", 3 },
	{ "RSASHA1", 5 },
	{ "DSA-NSEC3-SHA1", 6 },
	{ "RSASHA1-NSEC3-SHA1", 7 },
	{ "RSASHA256", 8 },
	{ "RSASHA512", 10 },
	{ "ECC-GOST", 12 },
	{ "ECDSAP256SHA256", 13 },
	{ "ECDSAP384SHA384", 14 },
	{ "ED25519", 15 },
	{ "ED448", 16 },
};
#define N_ALGORITHMS (sizeof algorithms / sizeof *algorithms)

static bool
token_algorithm(const struct token *t, unsigned *out)
{
	for (size_t i = 0; i < N_ALGORITHMS; i++)
		if (token_is(t, algorithms[i].name)) {
			*out = algorithms[i].number;
			return true;
		}
	return token_number(t, 255, out);
}

/* D05a: what every build of the library validates */
static bool
algorithm_supported(unsigned n)
{
	return n == 8 || n == 10 || (n >= 13 && n <= 15);
}

/* Well formed, but of no use: said, and the first remembered for the case that
 * all are. */
static int __attribute__((format(printf, 3, 4))) anchor_useless(
    struct scan *s, const struct anchor_record *r, const char *fmt, ...)
{
	char why[sizeof s->why], text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	if (s->why_line == 0) {
		s->why_line = r->line;
		memcpy(s->why, why, sizeof why);
	}
	if (s->log != NULL) {
		snprintf(text, sizeof text,
		    "resolver.trust_anchor: %.700s:%u: %s: passed over: " WANT,
		    s->path, r->line, why);
		s->log(s->log_arg, 4, text);
	}
	return 0;
}

static int
anchor_useless_algorithm(
    struct scan *s, const struct anchor_record *r, const char *type, unsigned n)
{
	const char *name = NULL;

	for (size_t i = 0; i < N_ALGORITHMS; i++)
		if (algorithms[i].number == n)
			name = algorithms[i].name;
	return anchor_useless(s, r, "%s of an unsupported algorithm, %u%s%s%s",
	    type, n, name == NULL ? "" : " (", name == NULL ? "" : name,
	    name == NULL ? "" : ")");
}

/* ------------------------------------------------------------------- DS */

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
	    (c >= 'A' && c <= 'F');
}

static int
ds_line(struct scan *s, const struct anchor_record *r, size_t i)
{
	static const size_t octets[] = { 0, 20, 32, 32, 48 };
	unsigned tag, algorithm, type;
	size_t digits = 0;

	if (i >= r->n || !token_number(&r->token[i], 65535, &tag))
		return anchor_bad_token(s, r, i, "a key tag, 0 to 65535");
	if (++i >= r->n || !token_algorithm(&r->token[i], &algorithm))
		return anchor_bad_token(s, r, i, "an algorithm, 0 to 255");
	if (++i >= r->n || !token_number(&r->token[i], 255, &type))
		return anchor_bad_token(s, r, i, "a digest type, 0 to 255");
	if (++i >= r->n)
		return anchor_bad_token(s, r, i, "the digest in hex");
	for (; i < r->n; i++)
		for (size_t k = 0; k < r->token[i].len; k++, digits++)
			if (!is_hex(r->token[i].s[k]))
				return anchor_bad_token(
				    s, r, i, "the digest in hex");
	if (digits % 2 != 0 ||
	    (type < sizeof octets / sizeof *octets && octets[type] != 0 &&
		digits != 2 * octets[type]))
		return anchor_bad(s, r->line, "digest of the wrong length",
		    "64 hex digits for type 2, 96 for type 4");
	if (!algorithm_supported(algorithm))
		return anchor_useless_algorithm(s, r, "DS", algorithm);
	if (type != 2 && type != 4) /* SHA-1 alone is not enough */
		return anchor_useless(
		    s, r, "DS of an unsupported digest type, %u", type);
	s->n++;
	return 0;
}

/* --------------------------------------------------------------- DNSKEY */

/* RFC 4648 4.  The number of octets, or -1. */
static long
key_decode(const struct token *t, size_t n, uint8_t key[MAX_KEY])
{
	unsigned char text[(MAX_KEY + 2) / 3 * 4];
	gnutls_datum_t in = { text, 0 }, out;
	long len = -1;

	for (; n > 0; t++, n--) {
		if (t->len > sizeof text - in.size)
			return -1;
		memcpy(text + in.size, t->s, t->len);
		in.size += (unsigned)t->len;
	}
	if (gnutls_base64_decode2(&in, &out) < 0)
		return -1;
	if (out.size > 0 && out.size <= MAX_KEY) {
		memcpy(key, out.data, out.size);
		len = (long)out.size;
	}
	gnutls_free(out.data);
	return len;
}

/* RFC 3110 2: exponent length, exponent, modulus; 1024 to 4096 bits */
static bool
rsa_plausible(const uint8_t *key, size_t len)
{
	size_t at = 1, exponent;

	if (len < 3)
		return false;
	if ((exponent = key[0]) == 0) {
		exponent = (size_t)key[1] << 8 | key[2];
		at = 3;
	}
	if (exponent == 0 || len - at <= exponent)
		return false;
	if (key[at] == 0 || (key[at + exponent - 1] & 1) == 0)
		return false;
	at += exponent;
	return len - at >= 128 && len - at <= 512 && key[at] != 0;
}

static bool
key_plausible(unsigned algorithm, const uint8_t *key, size_t len)
{
	switch (algorithm) {
	case 8:
	case 10:
		return rsa_plausible(key, len);
	case 13: /* RFC 6605 4 */
		return len == 64;
	case 14:
		return len == 96;
	case 15: /* RFC 8080 3 */
		return len == 32;
	}
	return true;
}

static int
dnskey_line(struct scan *s, const struct anchor_record *r, size_t i)
{
	uint8_t key[MAX_KEY];
	unsigned flags, protocol, algorithm;
	long len;

	if (i >= r->n || !token_number(&r->token[i], 65535, &flags))
		return anchor_bad_token(s, r, i, "flags, 0 to 65535");
	if (++i >= r->n || !token_number(&r->token[i], 255, &protocol) ||
	    protocol != 3) /* RFC 4034 2.1.2 */
		return anchor_bad_token(s, r, i, "the protocol, 3");
	if (++i >= r->n || !token_algorithm(&r->token[i], &algorithm))
		return anchor_bad_token(s, r, i, "an algorithm, 0 to 255");
	if (++i >= r->n)
		return anchor_bad_token(s, r, i, "the key in base64");
	if (!algorithm_supported(algorithm))
		return anchor_useless_algorithm(s, r, "DNSKEY", algorithm);
	if ((len = key_decode(&r->token[i], r->n - i, key)) < 0)
		return anchor_bad(s, r->line, "DNSKEY that does not decode",
		    "the key in base64");
	if (!key_plausible(algorithm, key, (size_t)len))
		return anchor_bad(s, r->line, "DNSKEY of the wrong length",
		    "a whole public key of its algorithm");
	if ((flags & 0x0080) != 0) /* RFC 5011 2.1 */
		return anchor_useless(s, r, "DNSKEY is revoked");
	if (flags != 257) /* RFC 4034 2.1.1 */
		return anchor_useless(
		    s, r, "DNSKEY is no key signing key (257)");
	s->n++;
	return 0;
}

/* ---------------------------------------------------------------- lines */

static int
anchor_line(struct scan *s, const struct anchor_record *r)
{
	bool ttl = false, class = false;
	size_t i = 0;

	if (r->token[0].s[0] == '$')
		return anchor_bad_token(
		    s, r, 0, "DS and DNSKEY lines, no directives");
	if (!r->blank) {
		if (!token_is(&r->token[0], "."))
			return anchor_bad_token(s, r, 0, "an anchor for \".\"");
		i = 1;
	} else if (!s->owner)
		return anchor_bad_token(
		    s, r, 0, "a line that begins with \".\"");
	s->owner = true;
	for (; i < r->n; i++)
		if (!class && token_is(&r->token[i], "IN"))
			class = true;
		else if (!ttl && token_ttl(&r->token[i]))
			ttl = true;
		else
			break;
	if (i < r->n && token_is(&r->token[i], "DS"))
		return ds_line(s, r, i + 1);
	if (i < r->n && token_is(&r->token[i], "DNSKEY"))
		return dnskey_line(s, r, i + 1);
	return anchor_bad_token(s, r, i, "class IN, type DS or DNSKEY");
}

static int
anchor_check_lines(struct scan *s)
{
	const char *p, *eol;
	unsigned line = 1;

	for (p = s->p; p < s->end; p = eol < s->end ? eol + 1 : eol, line++) {
		if ((eol = memchr(p, '\n', (size_t)(s->end - p))) == NULL)
			eol = s->end;
		if (memchr(p, '\0', (size_t)(eol - p)) != NULL)
			return anchor_bad(
			    s, line, "a NUL octet", "a text file");
		if (eol - p > MAX_LINE)
			return anchor_bad(
			    s, line, "line too long", "at most 4096 octets");
	}
	return 0;
}

static int
anchor_scan(struct scan *s, const char *text, size_t len)
{
	struct anchor_record r;
	int rc;

	s->p = text;
	s->end = text + len;
	s->line = 1;
	s->n = 0;
	if (anchor_check_lines(s) == -1)
		return DANEVIRKE_EANCHOR;
	while ((rc = record_next(s, &r)) == 1)
		if (anchor_line(s, &r) == -1)
			return DANEVIRKE_EANCHOR;
	if (rc == -1)
		return DANEVIRKE_EANCHOR;
	if (s->n == 0)
		return fail(s->err, DANEVIRKE_EANCHOR, "%s:%u: %s: " WANT,
		    s->path, s->why_line != 0 ? s->why_line : s->line,
		    s->why_line != 0 ? s->why : "no trust anchor");
	return DANEVIRKE_OK;
}

int
anchor_parse(const char *text, size_t len, const char *path, size_t *n,
    danevirke_log *log, void *arg, struct danevirke_error *err)
{
	struct scan s = { .path = path, .err = err };
	int rc;

	if (n != NULL)
		*n = 0;
	if (len > MAX_FILE)
		return fail(err, DANEVIRKE_EANCHOR,
		    "%s: too long: want at most %d octets", path, MAX_FILE);
	if ((rc = anchor_scan(&s, text, len)) != DANEVIRKE_OK)
		return rc;
	/* warnings only about a file that is used; else the error is enough */
	if (s.why_line != 0 && log != NULL) {
		s.log = log;
		s.log_arg = arg;
		anchor_scan(&s, text, len);
	}
	if (n != NULL)
		*n = s.n;
	return DANEVIRKE_OK;
}

int
conf_anchor(const char *path, size_t *n, danevirke_log *log, void *arg,
    struct danevirke_error *err)
{
	char *text;
	size_t len;
	int rc;

	if (n != NULL)
		*n = 0;
	if (path == NULL)
		return fail(err, DANEVIRKE_EINVAL, "trust anchor: NULL");
	if ((rc = value_file(path, MAX_FILE, DANEVIRKE_EANCHOR, &text, &len,
		 err)) != DANEVIRKE_OK)
		return rc;
	rc = anchor_parse(text, len, path, n, log, arg, err);
	free(text);
	return rc;
}

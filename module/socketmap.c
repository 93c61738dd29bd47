/* SPDX-License-Identifier: ISC */
/*
 * Postfix's socketmap, as policy servers for MTA-STS speak it: a question and
 * a reply are a netstring each.
 *
 *	13:postfix a.org,
 *	OK secure match=mx.a.org:.b.org servername=hostname
 *	NOTFOUND |  TEMP why  |  TIMEOUT why  |  PERM why
 *
 * Behind "secure" stand attributes, NAME=VALUE or { NAME = VALUE }, of which
 * match counts here: names of hosts, or ".b.org" for all below it.  Any other
 * reply is an ERROR.  Pure.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "module.h"

#define MAX_PATTERNS 256
#define WHY 200 /* octets of a server's words */

size_t
socketmap_ask(const char *map, const char *domain, char *buf, size_t n)
{
	int len = snprintf(buf, n, "%zu:%s %s,",
	    strlen(map) + 1 + strlen(domain), map, domain);

	return len < 0 || (size_t)len >= n ? 0 : (size_t)len;
}

void
sts_fail(struct arena *a, const char *why, struct sts_result *out)
{
	char *copy = arena_str(a, why), *p;

	for (p = copy; p != NULL && *p != '\0'; p++)
		*p = text_char(*p);
	memset(out, 0, sizeof *out);
	out->state = DANEVIRKE_MTA_STS_ERROR;
	out->why = copy != NULL ? copy : "out of memory";
}

/* ------------------------------------------------------------- attributes */

/* The next word, or group that begins with a brace, of a text that ends with
 * NUL. */
static char *
socketmap_word(char **text, size_t *len)
{
	char *p = *text + strspn(*text, " \t\r\n"), *end = p;
	bool group = *p == '{';
	unsigned depth = 0;

	for (; *end != '\0' && (depth > 0 || strchr(" \t\r\n", *end) == NULL);
	     end++) {
		depth += group && *end == '{';
		depth -= *end == '}' && depth > 0;
	}
	*text = end;
	*len = (size_t)(end - p);
	return p;
}

/* "mx.b.org", or ".b.org", which is "*.b.org" to us, though to Postfix it is
 * of any depth (RFC 8461 4.1, H03).  What names no host lists none. */
static const char *
socketmap_pattern(struct arena *a, const char *p, size_t len)
{
	char *s;

	if (len > 0 && *p == '*') {
		p++;
		len--;
	}
	if (len > 0 && p[len - 1] == '.')
		len--;
	s = arena_printf(
	    a, "%s%.*s", len > 0 && *p == '.' ? "*" : "", (int)len, p);
	for (p = s; p != NULL && *p != '\0'; p++)
		s[p - s] = text_char(*p);
	return s;
}

/* The values of one "match=".  False: more than there may be. */
static bool
socketmap_match(
    struct arena *a, const char *p, size_t len, struct sts_result *out)
{
	const char *end = p + len, *next;

	for (; p < end; p = next + 1) {
		if ((next = memchr(p, ':', (size_t)(end - p))) == NULL)
			next = end;
		if (next == p)
			continue;
		if (out->n_mx == MAX_PATTERNS ||
		    (out->mx[out->n_mx] = socketmap_pattern(
			 a, p, (size_t)(next - p))) == NULL)
			return false;
		out->n_mx++;
	}
	return true;
}

static void
socketmap_policy(struct arena *a, char *text, struct sts_result *out)
{
	static const char match[] = "match=";
	size_t len, n = sizeof match - 1;
	char *word = socketmap_word(&text, &len), why[WHY + 80];

	if (len != 6 || strncmp(word, "secure", len) != 0) {
		snprintf(why, sizeof why,
		    "it says \"%.*s\", want what MTA-STS says, \"secure\"",
		    len < WHY ? (int)len : WHY, word);
		sts_fail(a, why, out);
		return;
	}
	if ((out->mx = arena_array(a, MAX_PATTERNS, sizeof *out->mx)) == NULL) {
		sts_fail(a, "out of memory", out);
		return;
	}
	while (*(word = socketmap_word(&text, &len)) != '\0')
		if (len >= n && strncmp(word, match, n) == 0 &&
		    !socketmap_match(a, word + n, len - n, out)) {
			sts_fail(a, "too many names in one policy", out);
			return;
		}
	if (out->n_mx == 0)
		sts_fail(a, "a policy without a name", out);
	else
		out->state = DANEVIRKE_MTA_STS_POLICY;
}

/* ---------------------------------------------------------------- replies */

static void
socketmap_reply(struct arena *a, char *text, struct sts_result *out)
{
	static const char *const failures[] = { "TEMP", "TIMEOUT", "PERM" };
	size_t len, i;
	char *word = socketmap_word(&text, &len), why[WHY + 80];

	if (len == 2 && strncmp(word, "OK", len) == 0) {
		socketmap_policy(a, text, out);
		return;
	}
	if (len == 8 && strncmp(word, "NOTFOUND", len) == 0) { /* H05 */
		out->state = DANEVIRKE_MTA_STS_NONE;
		return;
	}
	for (i = 0; i < sizeof failures / sizeof *failures; i++)
		if (len == strlen(failures[i]) &&
		    strncmp(word, failures[i], len) == 0) {
			snprintf(why, sizeof why, "it says %s%.*s", failures[i],
			    WHY, text);
			sts_fail(a, why, out);
			return;
		}
	sts_fail(a, "what it says is no reply of a socketmap", out);
}

bool
socketmap_take(
    struct arena *a, const char *data, size_t len, struct sts_result *out)
{
	size_t i, n = 0;
	char *text;

	memset(out, 0, sizeof *out);
	for (i = 0; i < len && i < 4 && data[i] >= '0' && data[i] <= '9'; i++)
		n = n * 10 + (size_t)(data[i] - '0');
	if (i == len)
		return false;
	if (i == 0 || data[i] != ':' || n > SOCKETMAP_REPLY ||
	    (*data == '0' && i > 1)) {
		sts_fail(a, "what it says is no netstring, or too long", out);
		return true;
	}
	i++;
	if (len - i < n + 1)
		return false;
	if (data[i + n] != ',' || len - i > n + 1 ||
	    memchr(data + i, '\0', n) != NULL) {
		sts_fail(a, "what it says is no single netstring", out);
		return true;
	}
	if ((text = arena_alloc(a, n + 1)) == NULL) {
		sts_fail(a, "out of memory", out);
		return true;
	}
	memcpy(text, data + i, n);
	socketmap_reply(a, text, out);
	return true;
}

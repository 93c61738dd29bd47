/* SPDX-License-Identifier: ISC */
/*
 * The table protocol of OpenSMTPD from 7.6 on: lines of words between '|', of
 * which the last may hold anything.  Pure.
 *
 *	config|KEY|VALUE ... config|ready
 *	table|0.1|TIME|TABLE|update|ID
 *	table|0.1|TIME|TABLE|fetch|SERVICE|ID
 *	table|0.1|TIME|TABLE|lookup|SERVICE|ID|KEY	(check likewise)
 *
 * A line that cannot be understood is answered as long as it has an ID.
 */
#include <stdio.h>
#include <string.h>

#include "table.h"

/* One word: its length without the '|' behind it, where p goes on. */
static size_t
line_word(const char **p, const char *end, const char **start)
{
	const char *bar = memchr(*p, '|', (size_t)(end - *p));
	size_t n = (size_t)((bar != NULL ? bar : end) - *p);

	*start = *p;
	*p += n + (bar != NULL);
	return n;
}

static bool
line_is(const char *s, size_t n, const char *want)
{
	return strlen(want) == n && memcmp(s, want, n) == 0;
}

/* "0.1", "0.2" ...: what they add comes after the words we read. */
static bool
line_version_known(const char *s, size_t n)
{
	size_t i;

	if (n < 3 || n > 6 || s[0] != '0' || s[1] != '.')
		return false;
	for (i = 2; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return true;
}

static bool
line_config(const char *p, const char *end, struct request *r)
{
	const char *s;
	size_t n = line_word(&p, end, &s);

	if (line_is(s, n, "ready") && p == end)
		r->op = REQUEST_OPEN;
	else if (line_is(s, n, "protocol") &&
	    !line_version_known(p, (size_t)(end - p))) {
		r->why = "line: config|protocol: want version 0.1";
		return false;
	}
	return true;
}

static bool
line_take_id(const char **p, const char *end, struct request *r)
{
	const char *s;
	size_t i, n = line_word(p, end, &s);

	if (n == 0 || n >= sizeof r->id)
		return false;
	for (i = 0; i < n; i++)
		if (s[i] <= ' ' || s[i] > '~')
			return false;
	memcpy(r->id, s, n);
	r->id[n] = '\0';
	return true;
}

static void
line_bad(struct request *r, const char *why)
{
	r->op = *r->id != '\0' ? REQUEST_BAD : REQUEST_NONE;
	r->why = why;
}

static enum request_op
line_operation(const char *s, size_t n, char *buf, size_t len)
{
	static const struct {
		const char *word;
		enum request_op op;
	} ops[] = { { "update", REQUEST_UPDATE }, { "lookup", REQUEST_LOOKUP },
		{ "check", REQUEST_CHECK }, { "fetch", REQUEST_FETCH } };
	size_t i;

	for (i = 0; i < sizeof ops / sizeof *ops; i++)
		if (line_is(s, n, ops[i].word)) {
			snprintf(buf, len, "%s", ops[i].word);
			return ops[i].op;
		}
	return REQUEST_NONE;
}

/* What follows "table|". */
static void
line_table(const char *p, const char *end, struct request *r)
{
	const char *s, *version, *service = NULL;
	size_t n, n_version, n_service = 0, key;

	n_version = line_word(&p, end, &version);
	line_word(&p, end, &s); /* time */
	line_word(&p, end, &s); /* table: there is only one */
	n = line_word(&p, end, &s);
	r->op = line_operation(s, n, r->word, sizeof r->word);
	if (r->op == REQUEST_NONE) {
		line_bad(r, "line: unknown operation");
		return;
	}
	if (r->op != REQUEST_UPDATE)
		n_service = line_word(&p, end, &service);
	if (!line_take_id(&p, end, r)) {
		line_bad(r, "line: a request without an identifier");
		return;
	}
	if (!line_version_known(version, n_version)) {
		line_bad(r, "line: want version 0.1 of the protocol");
		return;
	}
	r->relayhost = service != NULL &&
	    line_is(service, n_service, "relayhost");
	if (r->op != REQUEST_LOOKUP && r->op != REQUEST_CHECK)
		return;
	key = (size_t)(end - p);
	if (p[-1] != '|') {
		line_bad(r, "line: a request without a key");
		return;
	}
	if (key >= sizeof r->key) {
		line_bad(r, "line: a key is longer than 1023 octets");
		return;
	}
	memcpy(r->key, p, key);
}

ssize_t
line_parse(const uint8_t *buf, size_t len, struct request *r)
{
	const char *p = (const char *)buf, *end, *s;
	size_t n;

	memset(r, 0, sizeof *r);
	end = memchr(p, '\n', len < REQUEST_MAX ? len : REQUEST_MAX);
	if (end == NULL) {
		if (len < REQUEST_MAX)
			return 0;
		r->why = "line: longer than 16384 octets";
		return -1;
	}
	n = (size_t)(end - p) + 1;
	if (memchr(p, '\0', n) != NULL) {
		r->why = "line: holds a NUL";
		return -1;
	}
	len = line_word(&p, end, &s);
	if (line_is(s, len, "table"))
		line_table(p, end, r);
	else if (!line_is(s, len, "config"))
		r->why = "line: want config or table";
	else if (!line_config(p, end, r))
		return -1;
	return (ssize_t)n;
}

/* One line, whatever text holds. */
static size_t
line_finish(uint8_t *buf, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (buf[i] < ' ' || buf[i] == 0x7f)
			buf[i] = '?';
	buf[n] = '\n';
	return (size_t)n + 1;
}

#define TEXT_MAX (REPLY_MAX - 128) /* the rest is for word and id */

size_t
line_reply(const struct request *r, enum table_reply reply, const char *text,
    uint8_t buf[REPLY_MAX])
{
	static const char registered[] = "register|relayhost\nregister|ready\n";
	char *to = (char *)buf;
	const char *how;

	if (r->op == REQUEST_OPEN) {
		memcpy(buf, registered, sizeof registered - 1);
		return sizeof registered - 1;
	}
	if (reply == REPLY_ERROR) /* smtpd wants a text */
		return line_finish(buf,
		    snprintf(to, REPLY_MAX, "%s-result|%s|error|%.*s", r->word,
			r->id, TEXT_MAX, *text != '\0' ? text : "failed"));
	how = r->op == REQUEST_UPDATE ? "ok" :
	    reply == REPLY_YES        ? "found" :
					"not-found";
	if (reply == REPLY_YES &&
	    (r->op == REQUEST_LOOKUP || r->op == REQUEST_FETCH))
		return line_finish(buf,
		    snprintf(to, REPLY_MAX, "%s-result|%s|%s|%.*s", r->word,
			r->id, how, TEXT_MAX, text));
	return line_finish(buf,
	    snprintf(to, REPLY_MAX, "%s-result|%s|%s", r->word, r->id, how));
}

int
protocol_guess(const uint8_t *buf, size_t len)
{
	static const char config[] = "config|";
	const uint32_t open = 2; /* the type of an imsg OPEN */
	const size_t n_config = sizeof config - 1;

	if (memcmp(buf, config, len < n_config ? len : n_config) == 0)
		return len >= n_config ? 'l' : 0;
	if (memcmp(buf, &open, len < sizeof open ? len : sizeof open) == 0)
		return len >= sizeof open ? 'i' : 0;
	return -1;
}

/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: what the relay reads from both sides, as lines and as a
 * message.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "relay/smtp.h"

#define MAX_LINES 200

/* What goes to smtpd: printable lines, each whole, one code. */
static void
check_lines(const char *p, size_t len)
{
	size_t n;

	must(strlen(p) == len, "length");
	for (; *p != '\0'; p += n + 2) {
		for (n = 0; p[n] >= ' ' && p[n] <= '~'; n++)
			;
		must(n >= 4 && n <= 510, "length of a line");
		must(p[n] == '\r' && p[n + 1] == '\n', "octet in a line");
		must(p[3] == (p[n + 2] == '\0' ? ' ' : '-'), "last line");
	}
}

static void
check_reply(char **line, size_t n)
{
	struct reply *r = malloc(sizeof *r); /* so that ASan sees its end */
	char text[100], first[4];
	size_t i;
	bool good = false;
	int last;

	must(r != NULL, "out of memory");
	reply_reset(r);
	for (i = 0; i < n; i++) {
		last = reply_add(r, line[i]);
		if (last == 0)
			continue;
		if (last == 1) {
			must(r->code >= 200 && r->code <= 599, "code");
			must(r->len > 0, "an empty reply");
			check_lines(r->text, r->len);
			snprintf(first, sizeof first, "%d", r->code);
			must(memcmp(r->text, first, 3) == 0, "other code");
			reply_text(r, text, sizeof text);
			good = true;
		} else
			must(r->len == 0 && r->code == 0, "not reset");
		reply_reset(r);
	}
	free(r);
	fuzz_accepted += good;
}

static void
check_extensions(char **line, size_t n)
{
	struct extensions x, again;
	char buf[300];
	size_t len;

	extensions_parse(&x, (const char *const *)line, n);
	must(extensions_lost(&x, &x) == NULL, "loses what it has");
	len = extensions_reply(&x, "mx.example", buf, sizeof buf);
	must(len > 0, "no EHLO reply");
	check_lines(buf, len);
	must(strstr(buf, "STARTTLS") == NULL &&
		strstr(buf, "PIPELINING") == NULL &&
		strstr(buf, "AUTH") == NULL,
	    "shows what it must not");
	extensions_parse(&again, NULL, 0);
	must(extensions_lost(&again, &x) == NULL, "lost from nothing");
}

static void
check_command(const char *line)
{
	char buf[64];
	const char *p;

	switch (verb_parse(line)) {
	case VERB_OTHER:
		return;
	case VERB_EHLO:
	case VERB_HELO:
		if (!ehlo_name(line, buf, sizeof buf))
			return;
		must(*buf != '\0', "an empty name");
		for (p = buf; *p != '\0'; p++)
			must(*p > ' ' && *p <= '~', "octet in a name");
		must(strstr(line, buf) != NULL, "another name");
		return;
	case VERB_RCPT:
		if (!rcpt_domain(line, buf, sizeof buf))
			return;
		must(*buf != '\0' && strchr(buf, '>') == NULL, "domain");
		must(strstr(line, buf) != NULL, "another domain");
		return;
	default:
		for (p = line; *p != '\0'; p++)
			must(*p != '\r' && *p != '\n', "two commands");
	}
}

/* By the definition: where the message ends, or 0. */
static size_t
end_of(const uint8_t *p, size_t len)
{
	size_t i;

	if (len >= 3 && memcmp(p, ".\r\n", 3) == 0)
		return 3;
	for (i = 0; i + 5 <= len; i++)
		if (memcmp(p + i, "\r\n.\r\n", 5) == 0)
			return i + 5;
	return 0;
}

/* In pieces whose sizes the input gives. */
static void
check_message(const uint8_t *p, size_t len)
{
	struct dot d = { 0 };
	size_t at = 0, n, k;
	uint8_t *copy;
	bool end = false;

	while (at < len && !end) {
		n = 1 + p[at] % 29;
		if (n > len - at)
			n = len - at;
		must((copy = malloc(n)) != NULL, "out of memory");
		memcpy(copy, p + at, n);
		k = dot_find(&d, copy, n, &end);
		must(end ? k <= n : k == n, "octets left");
		at += k;
		free(copy);
	}
	must(end_of(p, len) == (end ? at : 0), "the end is elsewhere");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *copy = malloc(len + 1), *line[MAX_LINES], *p, *next;
	size_t n = 0;

	if (copy == NULL)
		return 0;
	check_message(data, len);
	memcpy(copy, data, len);
	copy[len] = '\0';
	for (p = copy; n < MAX_LINES && p < copy + len; p = next) {
		next = memchr(p, '\n', (size_t)(copy + len - p));
		if (next == NULL)
			next = copy + len;
		else
			*next++ = '\0';
		line[n++] = p;
	}
	check_reply(line, n);
	check_extensions(line, n);
	while (n > 0)
		check_command(line[--n]);
	text_clean(copy);
	free(copy);
	return 0;
}

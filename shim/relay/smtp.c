/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "reply.h"
#include "smtp.h"

void
text_clean(char *s)
{
	for (; *s != '\0'; s++)
		if (*s == '\t')
			*s = ' ';
		else if (*s < ' ' || *s > '~')
			*s = '?';
}

void
refusal_make(
    struct refusal *r, int code, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	memset(r, 0, sizeof *r);
	r->code = code;
	snprintf(r->enhanced, sizeof r->enhanced, "%s", enhanced);
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof r->text, fmt, ap);
	va_end(ap);
	text_clean(r->text);
}

/* ---------------------------------------------------------------- replies */

void
reply_reset(struct reply *r)
{
	r->code = 0;
	r->lines = 0;
	r->len = 0;
	r->text[0] = '\0';
}

int
reply_add(struct reply *r, const char *line)
{
	char text[REPLY_LINE + 1];
	const char *said;
	size_t room;
	int code, last = reply_line(line, &code, &said);
	bool more = last == 0;

	if (last == -1 || (r->lines > 0 && code != r->code) ||
	    r->lines == REPLY_LINES) {
		last = r->lines == REPLY_LINES ? -2 : -1;
		reply_reset(r);
		return last;
	}
	snprintf(text, sizeof text, "%s", said);
	text_clean(text);
	/* The last line always has its place. */
	room = sizeof r->text - r->len - (more ? REPLY_LINE + 16 : 0);
	if (sizeof r->text - r->len > REPLY_LINE + 16 || !more)
		if (strlen(text) + 7 <= room)
			r->len += (size_t)snprintf(r->text + r->len, room,
			    "%03d%c%s\r\n", code, more ? '-' : ' ', text);
	r->code = code;
	r->lines++;
	return last;
}

void
reply_text(const struct reply *r, char *buf, size_t len)
{
	const char *p = r->text, *next;
	int n;

	while ((next = strstr(p, "\r\n")) != NULL && next[2] != '\0')
		p = next + 2;
	n = next == NULL ? 0 : (int)(next - p);
	snprintf(buf, len, "%.*s", n > 4 ? n - 4 : 0, n > 4 ? p + 4 : "");
}

void
refusal_quote(struct refusal *r, const struct reply *reply)
{
	memset(r, 0, sizeof *r);
	r->code = reply->code;
	reply_text(reply, r->text, sizeof r->text);
}

/* ------------------------------------------------------------- extensions */

/* Only these: another extension may bring commands, or change what replies
 * mean.  PIPELINING and CHUNKING are not for a relay that hands on one command
 * and one reply at a time; STARTTLS and AUTH end here. */
void
extensions_parse(struct extensions *x, const char *const *ehlo, size_t n)
{
	const char *p;
	char *end;
	size_t i;

	memset(x, 0, sizeof *x);
	for (i = 1; i < n; i++) {
		x->eightbit |= reply_keyword(ehlo[i], "8BITMIME") != NULL;
		x->utf8 |= reply_keyword(ehlo[i], "SMTPUTF8") != NULL;
		x->dsn |= reply_keyword(ehlo[i], "DSN") != NULL;
		x->codes |= reply_keyword(ehlo[i], "ENHANCEDSTATUSCODES") !=
		    NULL;
		if ((p = reply_keyword(ehlo[i], "SIZE")) == NULL)
			continue;
		x->size = true;
		if (*p >= '0' && *p <= '9' && strlen(p) < 19) {
			x->limit = strtoull(p, &end, 10);
			if (*end != '\0')
				x->limit = 0;
		}
	}
}

/* smtpd looks for capitals. */
size_t
extensions_reply(
    const struct extensions *x, const char *name, char *buf, size_t len)
{
	char size[32] = "SIZE";
	const char *line[6];
	size_t n = 0, i, used = 0;

	if (x->limit > 0)
		snprintf(size, sizeof size, "SIZE %llu",
		    (unsigned long long)x->limit);
	line[n++] = name;
	if (x->size)
		line[n++] = size;
	if (x->eightbit)
		line[n++] = "8BITMIME";
	if (x->utf8)
		line[n++] = "SMTPUTF8";
	if (x->dsn)
		line[n++] = "DSN";
	if (x->codes)
		line[n++] = "ENHANCEDSTATUSCODES";
	for (i = 0; i < n && used < len; i++)
		used += (size_t)snprintf(buf + used, len - used, "250%c%s\r\n",
		    i + 1 < n ? '-' : ' ', line[i]);
	return used < len ? used : 0;
}

const char *
extensions_lost(const struct extensions *shown, const struct extensions *now)
{
	if (shown->eightbit && !now->eightbit)
		return "8BITMIME";
	if (shown->utf8 && !now->utf8)
		return "SMTPUTF8";
	if (shown->dsn && !now->dsn)
		return "DSN";
	/* smtpd tells no size at MAIL: it relies on what it saw. */
	if (shown->size && now->limit > 0 &&
	    (shown->limit == 0 || now->limit < shown->limit))
		return "SIZE";
	return NULL;
}

/* --------------------------------------------------------------- commands */

enum verb
verb_parse(const char *line)
{
	static const char *const words[] = { "", "EHLO", "HELO", "MAIL", "RCPT",
		"DATA", "RSET", "NOOP", "QUIT" };
	const char *p;
	size_t i;

	for (p = line; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			return VERB_OTHER;
	for (i = 1; i < sizeof words / sizeof *words; i++)
		if (strncasecmp(line, words[i], 4) == 0 &&
		    (line[4] == '\0' || line[4] == ' '))
			return (enum verb)i;
	return VERB_OTHER;
}

bool
ehlo_name(const char *line, char *buf, size_t len)
{
	size_t n;

	line += 4;
	line += strspn(line, " ");
	n = strcspn(line, " ");
	if (n == 0 || n >= len || line[n + strspn(line + n, " ")] != '\0')
		return false;
	memcpy(buf, line, n);
	buf[n] = '\0';
	for (n = 0; buf[n] != '\0'; n++)
		if (buf[n] <= ' ' || buf[n] > '~')
			return false;
	return true;
}

/* The path of RFC 5321 4.1.2; the local part may be quoted. */
bool
rcpt_domain(const char *line, char *buf, size_t len)
{
	const char *p = line + 4, *at = NULL;
	bool quoted = false;
	size_t n;

	p += strspn(p, " ");
	if (strncasecmp(p, "TO:", 3) != 0)
		return false;
	p += 3;
	p += strspn(p, " ");
	if (*p++ != '<')
		return false;
	for (; *p != '\0' && (quoted || *p != '>'); p++) {
		if (quoted && *p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (*p == '@' && !quoted)
			at = p + 1;
	}
	if (*p != '>' || at == NULL)
		return false;
	n = (size_t)(p - at);
	if (n == 0 || n >= len)
		return false;
	memcpy(buf, at, n);
	buf[n] = '\0';
	return strpbrk(buf, "\"\\<> ") == NULL;
}

/* ------------------------------------------------------------- the message */

enum { AT_LINE = 0, IN_LINE, AFTER_CR, AFTER_DOT, AFTER_DOT_CR };

size_t
dot_find(struct dot *d, const uint8_t *p, size_t len, bool *end)
{
	const uint8_t *cr;
	size_t i = 0;

	*end = false;
	while (i < len) {
		if (d->state == IN_LINE) { /* most of the message */
			cr = memchr(p + i, '\r', len - i);
			if (cr == NULL)
				return len;
			i = (size_t)(cr - p);
		}
		switch (p[i++]) {
		case '\r':
			d->state = d->state == AFTER_DOT ? AFTER_DOT_CR :
							   AFTER_CR;
			break;
		case '\n':
			if (d->state == AFTER_DOT_CR) {
				d->state = AT_LINE;
				*end = true;
				return i;
			}
			d->state = d->state == AFTER_CR ? AT_LINE : IN_LINE;
			break;
		case '.':
			d->state = d->state == AT_LINE ? AFTER_DOT : IN_LINE;
			break;
		default:
			d->state = IN_LINE;
		}
	}
	return len;
}

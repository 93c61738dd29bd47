/* SPDX-License-Identifier: ISC */
/* What the map is asked, and its answers, as octets (map.h).  Pure. */
#include <stdio.h>
#include <string.h>

#include "map.h"

#define LENGTH_MAX 999 /* of what a netstring holds: 3 digits */

enum { FORM_EXIM, FORM_DANEVIRKE, FORM_POSTFIX, FORM_SENDMAIL };

static const char *const forms[] = { [FORM_EXIM] = "exim",
	[FORM_DANEVIRKE] = "danevirke",
	[FORM_POSTFIX] = "postfix",
	[FORM_SENDMAIL] = "sendmail" };

/* FORM SP KEY, or if that is allowed KEY alone */
static void
request_words(const char *p, size_t n, bool alone, struct map_request *r)
{
	const char *space = memchr(p, ' ', n);
	size_t i, len = space == NULL ? 0 : (size_t)(space - p);

	r->why = "want danevirke, exim, postfix or sendmail, a space and a "
		 "domain";
	if (space == NULL && !alone)
		return;
	if (space != NULL) {
		for (i = 0; i < sizeof forms / sizeof *forms; i++)
			if (strlen(forms[i]) == len &&
			    memcmp(forms[i], p, len) == 0)
				break;
		if (i == sizeof forms / sizeof *forms)
			return;
		r->form = (unsigned)i;
		p += len + 1;
		n -= len + 1;
	}
	r->why = "not a domain name: holds a NUL";
	if (memchr(p, '\0', n) != NULL)
		return;
	r->why = NULL;
	memcpy(r->key, p, n); /* n < sizeof r->key */
}

/* LENGTH ':' octets ',' */
static ssize_t
request_netstring(
    const char *p, size_t len, size_t digits, struct map_request *r)
{
	size_t n = 0, i, all;

	r->netstring = true;
	r->why = "a netstring's length: want 1 to 999";
	if (digits > 3 || *p == '0')
		return -1;
	for (i = 0; i < digits; i++)
		n = n * 10 + (size_t)(p[i] - '0');
	all = digits + 1 + n + 1;
	if (len >= all && p[all - 1] != ',') {
		r->why = "a netstring does not end with a comma";
		return -1;
	}
	r->why = NULL;
	if (len < all)
		return 0;
	request_words(p + digits + 1, n, false, r);
	return (ssize_t)all;
}

ssize_t
map_parse(const uint8_t *buf, size_t len, struct map_request *r)
{
	const char *p = (const char *)buf, *end;
	size_t digits = 0;

	memset(r, 0, sizeof *r);
	if (len > MAP_REQUEST_MAX)
		len = MAP_REQUEST_MAX;
	while (digits < len && p[digits] >= '0' && p[digits] <= '9')
		digits++;
	if (digits > 0 && digits < len && p[digits] == ':')
		return request_netstring(p, len, digits, r);
	if ((end = memchr(p, '\n', len)) != NULL) {
		request_words(p, (size_t)(end - p), true, r);
		return end - p + 1;
	}
	if (len < MAP_REQUEST_MAX)
		return 0;
	r->why = "longer than 1024 octets";
	return -1;
}

const char *
map_domain(const char *key)
{
	const char *at = strrchr(key, '@'); /* a local part may be quoted */

	return strcmp(key, "*") == 0 ? NULL : at != NULL ? at + 1 : key;
}

void
map_value(const struct map_request *r, const char *addr, uint16_t port,
    char *buf, size_t len)
{
	switch (r->form) {
	case FORM_EXIM: /* a list of hosts, where ':' is doubled */
		snprintf(buf, len, "%s::%u", addr, port);
		break;
	case FORM_POSTFIX: /* transport(5): another next hop, no transport */
		snprintf(buf, len, ":[%s]:%u", addr, port);
		break;
	case FORM_SENDMAIL: /* its mailer has the port */
		snprintf(buf, len, "[%s]", addr);
		break;
	default:
		snprintf(buf, len, "[%s]:%u", addr, port);
	}
}

size_t
map_reply(const struct map_request *r, enum map_word word, const char *text,
    uint8_t buf[MAP_REPLY_MAX])
{
	static const char *const words[] = { [MAP_TEMP] = "TEMP",
		[MAP_OK] = "OK",
		[MAP_NOTFOUND] = "NOTFOUND",
		[MAP_PERM] = "PERM" };
	char line[MAP_REPLY_MAX - 8], *p = (char *)buf;
	int n = snprintf(line, sizeof line, "%s %.400s", words[word], text);

	if (r->netstring)
		return (size_t)snprintf(p, MAP_REPLY_MAX, "%d:%s,", n, line);
	return (size_t)snprintf(p, MAP_REPLY_MAX, "%s\n", line);
}

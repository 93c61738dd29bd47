/* SPDX-License-Identifier: ISC */
/* A request's head (RFC 9112), strictly; see request.h. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "request.h"
#include "text.h"
#include "value.h"

enum { BAD = 400, NO_PAGE = 404, NO_METHOD = 405, NO_VERSION = 505 };

static bool
request_token(char c)
{
	return c > ' ' && c < 0x7f && strchr("\"(),/:;<=>?@[\\]{}", c) == NULL;
}

/* ------------------------------------------------------------------ target */

/* A field of a form, decoded; without blanks around it.  False: it is no text,
 * or too long. */
static bool
request_decode(const char *s, size_t len, char out[REQUEST_DOMAIN])
{
	size_t i, n = 0, one;
	int c;

	for (i = 0; i < len; i++) {
		c = (unsigned char)s[i];
		if (c == '+')
			c = ' ';
		else if (c == '%') {
			if (len - i < 3 || text_hex(s[i + 1]) < 0 ||
			    text_hex(s[i + 2]) < 0)
				return false;
			c = text_hex(s[i + 1]) * 16 + text_hex(s[i + 2]);
			i += 2;
		}
		if (n == REQUEST_DOMAIN - 1 || c == '\0')
			return false;
		if (n > 0 || c != ' ')
			out[n++] = (char)c;
	}
	while (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	for (i = 0; i < n; i += one)
		if ((one = utf8_printable(out + i)) == 0)
			return false;
	return true;
}

/* "domain=NAME" and nothing else: no port, no address, no option (W07). */
static int
request_query(const char *s, size_t len, struct request *r)
{
	static const char field[] = "domain=";

	if (len < sizeof field - 1 || memcmp(s, field, sizeof field - 1) != 0 ||
	    memchr(s, '&', len) != NULL)
		return BAD;
	s += sizeof field - 1;
	if (request_decode(s, len - (sizeof field - 1), r->domain))
		return 0;
	r->domain[0] = '\0'; /* half of it, or what is no text */
	return BAD;
}

static int
request_target(const char *s, size_t len, struct request *r)
{
	static const struct {
		const char *path;
		enum request_page page;
	} pages[] = { { "/", REQUEST_FORM }, { "/check", REQUEST_CHECK },
		{ "/check.json", REQUEST_JSON },
		{ "/style.css", REQUEST_STYLE },
		{ "/robots.txt", REQUEST_ROBOTS } };
	const char *query = memchr(s, '?', len);
	size_t i, path = query == NULL ? len : (size_t)(query - s);

	for (i = 0; i < sizeof pages / sizeof *pages; i++)
		if (strlen(pages[i].path) == path &&
		    memcmp(pages[i].path, s, path) == 0)
			break;
	if (i == sizeof pages / sizeof *pages)
		return NO_PAGE;
	r->page = pages[i].page;
	if (r->page != REQUEST_CHECK && r->page != REQUEST_JSON)
		return 0;
	return query == NULL ? BAD :
			       request_query(query + 1, len - path - 1, r);
}

/* method SP request-target SP HTTP-version.  A proxy's form of the target has
 * the site before the path (RFC 9112 3.2.2). */
static int
request_line(const char *s, size_t len, struct request *r)
{
	static const char scheme[] = "http://";
	const char *end = s + len, *target = memchr(s, ' ', len), *version;
	size_t i, method;

	if (target == NULL)
		return BAD;
	method = (size_t)(target++ - s);
	version = memchr(target, ' ', (size_t)(end - target));
	if (method == 0 || version == NULL)
		return BAD;
	r->head = method == 4 && memcmp(s, "HEAD", 4) == 0;
	for (i = 0; i < method; i++)
		if (!request_token(s[i]))
			return BAD;
	for (i = method + 1; s + i < version; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f)
			return BAD;
	if (end - version != 9 || memcmp(version, " HTTP/", 6) != 0)
		return BAD;
	if (memcmp(version + 6, "1.1", 3) != 0 &&
	    memcmp(version + 6, "1.0", 3) != 0)
		return NO_VERSION;
	if (!r->head && (method != 3 || memcmp(s, "GET", 3) != 0))
		return NO_METHOD;
	len = (size_t)(version - target);
	if (len > sizeof scheme && strncasecmp(target, scheme, 7) == 0) {
		target = memchr(target + 7, '/', len - 7);
		if (target == NULL)
			return BAD;
	}
	return request_target(target, (size_t)(version - target), r);
}

/* ----------------------------------------------------------------- headers */

static bool
request_is(const char *name, size_t len, const char *wanted)
{
	return strlen(wanted) == len && strncasecmp(name, wanted, len) == 0;
}

/* There is nothing that a body could be for, and where one ends two can
 * disagree about. */
static int
request_header(const char *s, size_t len, struct request *r)
{
	const char *colon = memchr(s, ':', len), *end = s + len;
	size_t name, i, n = strlen(r->forwarded);

	if (colon == NULL || colon == s)
		return BAD;
	name = (size_t)(colon - s);
	for (i = 0; i < name; i++)
		if (!request_token(s[i]))
			return BAD;
	for (colon++; colon < end && (*colon == ' ' || *colon == '\t');)
		colon++;
	while (end > colon && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	for (i = 0; colon + i < end; i++)
		if ((unsigned char)colon[i] < ' ' && colon[i] != '\t')
			return BAD;
	if (request_is(s, name, "Transfer-Encoding"))
		return BAD;
	if (request_is(s, name, "Content-Length"))
		return end - colon == 1 && *colon == '0' ? 0 : BAD;
	/* as long as the head at most */
	if (request_is(s, name, "X-Forwarded-For"))
		snprintf(r->forwarded + n, sizeof r->forwarded - n, "%s%.*s",
		    n > 0 ? "," : "", (int)(end - colon), colon);
	return 0;
}

int
request_read(const char *head, size_t len, struct request *r)
{
	const char *line = head, *end = head + len, *cr;
	int status = BAD, rc;

	r->head = false;
	r->page = REQUEST_FORM;
	r->domain[0] = r->forwarded[0] = '\0';
	if (len > REQUEST_HEAD || memchr(head, '\0', len) != NULL)
		return BAD;
	for (; line < end; line = cr + 2) {
		cr = memchr(line, '\r', (size_t)(end - line));
		if (cr == NULL || end - cr < 2 || cr[1] != '\n' ||
		    memchr(line, '\n', (size_t)(cr - line)) != NULL)
			return BAD;
		if (line == cr)
			return cr + 2 == end ? status : BAD;
		if (line == head)
			status = request_line(line, (size_t)(cr - line), r);
		else if ((rc = request_header(line, (size_t)(cr - line), r)) !=
		    0)
			return rc;
	}
	return BAD;
}

/* ------------------------------------------------------------------ client */

struct conf_prefix
request_unmapped(const struct conf_prefix *p)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct conf_prefix four = { .family = 4, .bits = 32 };

	if (p->family != 6 || memcmp(p->ip, mapped, sizeof mapped) != 0)
		return *p;
	memcpy(four.ip, p->ip + sizeof mapped, 4);
	return four;
}

/* "192.0.2.1", "192.0.2.1:99", "2001:db8::1", "[2001:db8::1]:99".  False: *p
 * is as it was. */
static bool
client_address(const char *s, size_t len, struct conf_prefix *p)
{
	char text[INET6_ADDRSTRLEN + 8], *ip = text, *end;

	if (len == 0 || len >= sizeof text)
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	if (text[0] == '[') {
		if ((end = strchr(text, ']')) == NULL ||
		    (end[1] != '\0' && end[1] != ':'))
			return false;
		*end = '\0';
		ip++;
	} else if ((end = strchr(text, ':')) != NULL &&
	    strchr(end + 1, ':') == NULL)
		*end = '\0';
	if (!value_address(ip, p))
		return false;
	*p = request_unmapped(p);
	return true;
}

struct conf_prefix
request_client(const struct conf_prefix *peer, const char *forwarded,
    const struct conf_prefix *proxy, size_t n_proxy)
{
	const char *end = forwarded + strlen(forwarded), *begin;
	struct conf_prefix client = *peer;

	/* from the last hop on, each said by the one behind it */
	while (end > forwarded &&
	    (client.family == 0 ||
		prefix_match(proxy, n_proxy, client.family, client.ip))) {
		for (begin = end; begin > forwarded && begin[-1] != ',';)
			begin--;
		while (begin < end && (*begin == ' ' || *begin == '\t'))
			begin++;
		while (end > begin && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (!client_address(begin, (size_t)(end - begin), &client))
			break;
		while (begin > forwarded && begin[-1] != ',')
			begin--;
		end = begin > forwarded ? begin - 1 : forwarded;
	}
	if (client.family == 6) {
		memset(client.ip + 8, 0, 8);
		client.bits = 64;
	}
	return client;
}

/* SPDX-License-Identifier: ISC */
/* What danevirke web says: a form, a result, or why there is none. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>

#include "web.h"

#define LOOK_AGAIN 2 /* seconds, of a page whose check is not done */

struct site {
	struct web *web;
	struct queue *queue;
};

static const char site_style[] =
    ":root { color-scheme: light dark; }\n"
    "* { box-sizing: border-box; }\n"
    "body { margin: 0 auto; padding: 2rem 1rem; max-width: 40rem;\n"
    "	font: 1rem/1.5 system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif;\n"
    "	background: #f6f5f1; color: #1c2127; overflow-wrap: anywhere; }\n"
    "h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }\n"
    "form { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; }\n"
    "label { flex-basis: 100%; font-weight: 600; }\n"
    "input, button { font: inherit; padding: .5rem .7rem;\n"
    "	border: 1px solid #56616b; border-radius: .4rem; }\n"
    "input { flex: 1 1 15rem; min-width: 0; }\n"
    "button { background: #1b4f86; color: #fff; border-color: #1b4f86; }\n"
    "a { color: #1b4f86; }\n"
    ":focus-visible { outline: 3px solid #c60; outline-offset: 2px; }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "	body { background: #12161a; color: #e9e7e2; }\n"
    "	a { color: #8fc1f5; }\n"
    "}\n";

static const char site_robots[] = "User-agent: *\n"
				  "Disallow: /check\n";

/* ---------------------------------------------------------------- a reply */

#define POLICY "base-uri 'none'; frame-ancestors 'none'; "
/* a result has its own besides, which allows what is in it */
static const char policy_result[] = POLICY "form-action 'none'";
static const char policy_page[] = POLICY
    "form-action 'self'; default-src 'none'; style-src 'self'";

struct said {
	int status;
	const char *type;
	const char *policy;
	unsigned wait;    /* 0, or the seconds of Retry-After */
	unsigned refresh; /* 0, or those of Refresh */
	unsigned keep;    /* 0, or the seconds that it may be kept */
};

static const char *
site_phrase(int status)
{
	static const struct {
		int status;
		const char *phrase;
	} known[] = { { 200, "OK" }, { 202, "Accepted" },
		{ 400, "Bad Request" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" } };
	size_t i;

	for (i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].status == status)
			return known[i].phrase;
	return "Internal Server Error";
}

static void
site_head(struct evbuffer *out, const struct said *s, size_t len)
{
	char date[64];
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	evbuffer_add_printf(out,
	    "HTTP/1.1 %d %s\r\n"
	    "Date: %s\r\n"
	    "Connection: close\r\n"
	    "Content-Type: %s\r\n"
	    "Content-Length: %zu\r\n"
	    "Content-Security-Policy: %s\r\n"
	    "Cross-Origin-Resource-Policy: same-origin\r\n"
	    "Referrer-Policy: no-referrer\r\n"
	    "X-Content-Type-Options: nosniff\r\n"
	    "X-Frame-Options: DENY\r\n"
	    "X-Robots-Tag: noindex\r\n",
	    s->status, site_phrase(s->status), date, s->type, len,
	    s->policy != NULL ? s->policy : policy_page);
	if (s->keep > 0)
		evbuffer_add_printf(
		    out, "Cache-Control: max-age=%u\r\n", s->keep);
	else
		evbuffer_add_printf(out, "Cache-Control: no-store\r\n");
	if (s->wait > 0)
		evbuffer_add_printf(out, "Retry-After: %u\r\n", s->wait);
	if (s->refresh > 0)
		evbuffer_add_printf(out, "Refresh: %u\r\n", s->refresh);
	if (s->status == 405)
		evbuffer_add_printf(out, "Allow: GET, HEAD\r\n");
	evbuffer_add(out, "\r\n", 2);
}

static void
site_send(struct evbuffer *out, const struct request *r, const struct said *s,
    const char *body, size_t len)
{
	site_head(out, s, len);
	if (!r->head)
		evbuffer_add(out, body, len);
}

/* ------------------------------------------------------------------- pages */

static void
add_text(struct evbuffer *b, const char *s)
{
	for (; *s != '\0'; s++)
		if (strchr("&<>\"'", *s) != NULL)
			evbuffer_add_printf(b, "&#%d;", *s);
		else
			evbuffer_add(b, s, 1);
}

static void
page_top(struct evbuffer *b, const char *title)
{
	evbuffer_add_printf(b,
	    "<!doctype html>\n<html lang=\"en\">\n<head>\n"
	    "<meta charset=\"utf-8\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width, "
	    "initial-scale=1\">\n"
	    "<title>%s</title>\n"
	    "<link rel=\"stylesheet\" href=\"style.css\">\n"
	    "</head>\n<body>\n<main>\n<h1>%s</h1>\n",
	    title, title);
}

static void
page_bottom(struct evbuffer *b)
{
	evbuffer_add_printf(b, "</main>\n</body>\n</html>\n");
}

static void
page_send(struct evbuffer *out, const struct request *r, struct said *s,
    struct evbuffer *b)
{
	s->type = "text/html; charset=utf-8";
	site_head(out, s, evbuffer_get_length(b));
	if (!r->head)
		evbuffer_add_buffer(out, b);
	evbuffer_free(b);
}

static void
site_form(const struct site *t, const struct request *r, struct evbuffer *out)
{
	struct said s = { .status = 200 };
	struct evbuffer *b = evbuffer_new();

	if (b == NULL)
		return;
	page_top(b, "Does DANE protect mail to this domain?");
	evbuffer_add_printf(b,
	    "<form action=\"check\">\n"
	    "<label for=\"domain\">Mail domain, as in example.org</label>\n"
	    "<input id=\"domain\" name=\"domain\" required maxlength=\"253\" "
	    "autocapitalize=\"none\" autocomplete=\"off\" "
	    "spellcheck=\"false\">\n"
	    "<button>Test it</button>\n"
	    "</form>\n"
	    "<p>Its DNSSEC is validated, every name server asked, and every "
	    "mail host connected to as a sender does (RFC 7672).  No mail is "
	    "sent.  This takes up to %lu seconds.  The result is kept for %lu "
	    "seconds, and who asked is kept nowhere.</p>\n"
	    "<p>The same as JSON: <code>check.json?domain=example.org</code>"
	    "</p>\n",
	    t->web->limit, t->web->keep);
	page_bottom(b);
	page_send(out, r, &s, b);
}

static void
json_send(struct evbuffer *out, const struct request *r, struct said *s,
    const char *key, const char *text, size_t place)
{
	struct evbuffer *b = evbuffer_new();

	if (b == NULL)
		return;
	s->type = "application/json";
	evbuffer_add_printf(b, "{\"%s\":\"", key);
	for (; *text != '\0'; text++) /* it is printable */
		evbuffer_add_printf(
		    b, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	evbuffer_add_printf(b, "\"");
	if (place > 0)
		evbuffer_add_printf(b, ",\"place\":%zu", place);
	evbuffer_add_printf(b, "}\n");
	site_head(out, s, evbuffer_get_length(b));
	if (!r->head)
		evbuffer_add_buffer(out, b);
	evbuffer_free(b);
}

/* Both forms of a reply that is no result. */
static void
site_say(const struct request *r, struct said *s, const char *title,
    const char *text, struct evbuffer *out)
{
	struct evbuffer *b;

	if (r->page == REQUEST_JSON) {
		json_send(out, r, s, "error", text, 0);
		return;
	}
	if ((b = evbuffer_new()) == NULL)
		return;
	page_top(b, title);
	evbuffer_add_printf(b, "<p>");
	add_text(b, text);
	evbuffer_add_printf(b, "</p>\n");
	if (s->refresh > 0)
		evbuffer_add_printf(b,
		    "<p>This page looks again by itself, every %u seconds.</p>\n",
		    s->refresh);
	evbuffer_add_printf(
	    b, "<p><a href=\"./\">Test another domain</a></p>\n");
	page_bottom(b);
	page_send(out, r, s, b);
}

/* ----------------------------------------------------------------- checks */

/* No address, and nothing but a name: A-labels in lower case.  False: why. */
static bool
site_domain(const struct site *t, const struct request *r, char name[256],
    struct danevirke_error *err)
{
	uint8_t ip[16];

	if (r->domain[0] == '\0') {
		snprintf(err->text, sizeof err->text,
		    "no domain: want a mail domain, as in example.org");
		return false;
	}
	if (r->domain[0] == '[' || inet_pton(AF_INET, r->domain, ip) == 1 ||
	    inet_pton(AF_INET6, r->domain, ip) == 1) {
		snprintf(err->text, sizeof err->text,
		    "\"%s\" is an address: want a mail domain, as in "
		    "example.org",
		    r->domain);
		return false;
	}
	return t->web->cli->dv->to_ascii(r->domain, name, 256, err) == 0;
}

static void
site_result(
    const struct request *r, const struct queue_view *v, struct evbuffer *out)
{
	bool json = r->page == REQUEST_JSON;
	struct said s = { .status = 200,
		.type = json ? "application/json" : "text/html; charset=utf-8",
		.policy = policy_result };
	struct evbuffer *b = json ? v->json : v->html;

	site_head(out, &s, evbuffer_get_length(b));
	if (!r->head) /* many who are slow do not make many copies */
		evbuffer_add_buffer_reference(out, b);
}

/* Its check is not done. */
static void
site_wait(const struct request *r, const struct queue_view *v, const char *name,
    struct evbuffer *out)
{
	struct said s = { .status = 202 };
	bool waits = v->state == QUEUE_WAITS;
	char text[320];

	if (r->page == REQUEST_JSON) {
		s.wait = LOOK_AGAIN;
		json_send(out, r, &s, "state", waits ? "waiting" : "running",
		    waits ? v->place : 0);
		return;
	}
	s.refresh = LOOK_AGAIN;
	if (waits)
		snprintf(text, sizeof text, "%s: place %zu in the queue", name,
		    v->place);
	else
		snprintf(text, sizeof text, "%s: the check is under way", name);
	site_say(r, &s, waits ? "It waits for its turn" : "It is being tested",
	    text, out);
}

/* There will be none, or not now (W03). */
static void
site_refuse(const struct site *t, const struct request *r,
    const struct queue_view *v, const char *name, struct evbuffer *out)
{
	struct said s = { .status = 503, .wait = v->wait };
	char text[512];

	if (v->state == QUEUE_FAILED) {
		s.status = 504;
		s.wait = (unsigned)t->web->keep;
		snprintf(text, sizeof text, "%s: %s", name, v->why);
		site_say(r, &s, "It could not be tested", text, out);
		return;
	}
	if (v->state == QUEUE_CLIENT) {
		s.status = 429;
		snprintf(text, sizeof text,
		    "%lu checks in a minute from your network are enough: "
		    "again in %u seconds",
		    t->web->client, v->wait);
	} else
		snprintf(text, sizeof text, "%s: again in %u seconds",
		    v->state == QUEUE_FULL ?
			"too many domains wait for their test" :
			"this site has tested enough for now",
		    v->wait);
	site_say(r, &s, "Not now", text, out);
}

static void
site_check(struct site *t, const struct request *r,
    const struct conf_prefix *client, struct evbuffer *out)
{
	struct said s = { .status = 400 };
	struct danevirke_error err = { 0, "" };
	struct queue_view v;
	char name[256];

	if (!site_domain(t, r, name, &err)) {
		site_say(r, &s, "This is no mail domain", err.text, out);
		return;
	}
	queue_ask(t->queue, name, client, &v);
	if (v.state == QUEUE_DONE)
		site_result(r, &v, out);
	else if (v.state == QUEUE_WAITS || v.state == QUEUE_RUNS)
		site_wait(r, &v, name, out);
	else
		site_refuse(t, r, &v, name, out);
}

static void
site_error(int status, const struct request *r, struct evbuffer *out)
{
	static const struct {
		int status;
		const char *text;
	} why[] = { { 404,
			"there is no such page: want /, /check?domain=NAME "
			"or /check.json?domain=NAME" },
		{ 405, "want GET or HEAD" },
		{ 431, "the request is too long: want at most 8192 octets" },
		{ 505, "want HTTP/1.1 or HTTP/1.0" } };
	struct said s = { .status = status };
	size_t i;

	for (i = 0; i < sizeof why / sizeof *why; i++)
		if (why[i].status == status)
			break;
	site_say(r, &s, "This cannot be answered",
	    i < sizeof why / sizeof *why ?
		why[i].text :
		"this is no request for a domain: want ?domain=NAME and "
		"nothing else",
	    out);
}

void
site_answer(void *site, int status, const struct request *r,
    const struct conf_prefix *client, struct evbuffer *out)
{
	static const struct said style = { .status = 200,
		.type = "text/css; charset=utf-8",
		.keep = 3600 },
				 robots = { .status = 200,
					 .type = "text/plain",
					 .keep = 3600 };

	if (status != 0) {
		site_error(status, r, out);
		return;
	}
	switch (r->page) {
	case REQUEST_FORM:
		site_form(site, r, out);
		break;
	case REQUEST_CHECK:
	case REQUEST_JSON:
		site_check(site, r, client, out);
		break;
	case REQUEST_STYLE:
		site_send(out, r, &style, site_style, sizeof site_style - 1);
		break;
	case REQUEST_ROBOTS:
		site_send(out, r, &robots, site_robots, sizeof site_robots - 1);
		break;
	}
}

/* ------------------------------------------------------------- start, end */

struct site *
site_new(struct web *w)
{
	struct site *t = calloc(1, sizeof *t);

	if (t == NULL)
		return NULL;
	t->web = w;
	if ((t->queue = queue_new(w)) == NULL) {
		free(t);
		return NULL;
	}
	return t;
}

void
site_free(struct site *t)
{
	if (t == NULL)
		return;
	queue_free(t->queue);
	free(t);
}

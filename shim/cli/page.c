/* SPDX-License-Identifier: ISC */
/*
 * Reports as one HTML file: report.html, which the build has put in here, and
 * in it for each report its text and its JSON.  What that looks like is the
 * affair of report.html.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include "check.h"

static const char page_view[] =
#include "shim/cli/report.inc"
    ;

#define MARK "@reports@\n"

/* What of the view comes before a mark that was asked for, and what behind. */
static const char *
page_until(const char *from, const char *mark)
{
	const char *at = strstr(from, mark);

	if (at == NULL)
		abort(); /* report.html lacks it */
	fwrite(from, 1, (size_t)(at - from), stdout);
	return at + strlen(mark);
}

/* CSP 3 2.3.1: the source that allows what is between these two, and nothing
 * else.  free() when done; NULL: out of memory. */
static char *
page_hash(const char *begin, const char *end)
{
	const char *from = strstr(page_view, begin), *to;
	uint8_t hash[32];
	gnutls_datum_t d = { hash, sizeof hash }, b64 = { NULL, 0 };
	char *s = NULL;

	if (from == NULL || (to = strstr(from, end)) == NULL)
		abort();
	from += strlen(begin);
	if (gnutls_hash_fast(
		GNUTLS_DIG_SHA256, from, (size_t)(to - from), hash) != 0 ||
	    gnutls_base64_encode2(&d, &b64) != 0)
		return NULL;
	if (asprintf(&s, "'sha256-%.*s'", (int)b64.size, b64.data) < 0)
		s = NULL;
	gnutls_free(b64.data);
	return s;
}

bool
page_begin(const char *back)
{
	char *script = page_hash("<script>", "</script>"),
	     *style = page_hash("<style>", "</style>");
	bool good = script != NULL && style != NULL;
	const char *at = page_view;

	if (good) {
		at = page_until(at, "@policy@");
		printf("default-src 'none'; base-uri 'none'; form-action "
		       "'none'; script-src %s; style-src %s",
		    script, style);
		at = page_until(at, "@back@");
		if (back != NULL)
			printf("<nav><a href=\"%s\">Test another "
			       "domain</a></nav>",
			    back);
		page_until(at, MARK);
	}
	free(script);
	free(style);
	return good;
}

void
page_report(struct cli *c, const struct report *r, bool brief)
{
	struct json j = { .page = true };

	fputs("<pre>", stdout);
	out_page(true);
	report_text(c, r, brief);
	out_page(false);
	fputs("</pre><script type=\"application/json\">", stdout);
	report_json(&j, r);
	fputs("</script>\n", stdout);
}

void
page_end(void)
{
	const char *at = strstr(page_view, MARK) + strlen(MARK);

	at = page_until(at, "@version@");
	fputs(PACKAGE_VERSION, stdout);
	fputs(at, stdout);
}

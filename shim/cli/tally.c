/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "tally.h"

const char *const tally_servers[] = { "exim", "opensmtpd", "danevirked" };
const char *const tally_verdicts[] = { "dane", "dane-insecure-mx", "mta-sts",
	"encrypt", "opportunistic-tls", "clear", "deferred", "bounced" };
enum { TLS = 4, BOUNCED = 7 };
const char *const tally_reasons[] = { "starttls-not-supported",
	"certificate-host-mismatch", "certificate-expired",
	"certificate-not-trusted", "validation-failure", "tlsa-invalid",
	"dnssec-invalid", "dane-required", "sts-policy-fetch-error", "dns",
	"no-address", "mta-sts", "dane-only", "connect", "session", "other" };
enum { DNS = 9, NO_ADDRESS, MTA_STS, DANE_ONLY, CONNECT, SESSION, OTHER };

/* What is left of a line. */
struct rest {
	const char *p, *end;
};

static size_t
rest_len(const struct rest *r)
{
	return (size_t)(r->end - r->p);
}

/* Passes text over, if it stands there. */
static bool
rest_text(struct rest *r, const char *text)
{
	size_t n = strlen(text);

	if (rest_len(r) < n || memcmp(r->p, text, n) != 0)
		return false;
	r->p += n;
	return true;
}

/* 0: a digit, A: a letter or digit, a: a letter, b: a blank or digit; all else
 * is itself. */
static bool
rest_form(struct rest *r, const char *form)
{
	size_t i, n = strlen(form);

	if (rest_len(r) < n)
		return false;
	for (i = 0; i < n; i++) {
		char c = r->p[i], low = (char)(c | 0x20);
		bool digit = c >= '0' && c <= '9';
		bool letter = low >= 'a' && low <= 'z';

		if (form[i] == '0'     ? !digit :
			form[i] == 'A' ? !digit && !letter :
			form[i] == 'a' ? !letter :
			form[i] == 'b' ? !digit && c != ' ' :
					 c != form[i])
			return false;
	}
	r->p += n;
	return true;
}

/* Passes over octets of a set; how many. */
static size_t
rest_run(struct rest *r, const char *set)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p != '\0' && strchr(set, *r->p) != NULL)
		r->p++;
	return (size_t)(r->p - from);
}

#define DIGITS "0123456789"

/* A word of printable octets or UTF-8, and the blank behind it. */
static bool
rest_word(struct rest *r, struct rest *word)
{
	word->p = r->p;
	while (r->p < r->end && (unsigned char)*r->p > ' ' && *r->p != 0x7f)
		r->p++;
	word->end = r->p;
	return word->p < word->end && rest_text(r, " ");
}

/* ------------------------------------------------------- who writes that */

/* "[7]", if it is there. */
static bool
line_pid(struct rest *r)
{
	return !rest_text(r, "[") ||
	    (rest_run(r, DIGITS) > 0 && rest_text(r, "]"));
}

/* Exim's own line: a date (log_selector may add parts of seconds, the zone, and
 * the process), and the message's id, which is longer from 4.97 on. */
static bool
line_exim(struct rest *r, bool dated)
{
	if (rest_form(r, "0000-00-00 00:00:00")) {
		if (rest_text(r, "."))
			rest_run(r, DIGITS);
		if (!rest_text(r, " "))
			return false;
		(void)(rest_form(r, "+0000 ") || rest_form(r, "-0000 "));
	} else if (dated)
		return false;
	if (!line_pid(r))
		return false;
	rest_text(r, " ");
	(void)(rest_form(r, "AAAAAA-AAAAAA-AA ") ||
	    rest_form(r, "AAAAAA-AAAAAAAAAAA-AAAA "));
	return rest_text(r, "danevirke: ");
}

/* "Nov 28 23:50:04", or as in RFC 3339. */
static bool
line_date(struct rest *r)
{
	if (!rest_form(r, "aaa b0 00:00:00") &&
	    !rest_form(r, "0000-00-00T00:00:00"))
		return false;
	rest_run(r, DIGITS "+-.:Z");
	return true;
}

/* Exim divides what is long for syslog: of several parts the first. */
static void
line_part(struct rest *r)
{
	struct rest was = *r;

	if (!rest_text(r, "[1") ||
	    (!rest_text(r, "/") && !rest_text(r, "\\")) ||
	    rest_run(r, DIGITS) == 0 || !rest_text(r, "] "))
		*r = was;
}

/* syslog's: date, host, program, and our text. */
static bool
line_syslog(struct rest *r, unsigned *server)
{
	static const struct {
		const char *ident;
		unsigned server;
	} own[] = { { "table-danevirke", TALLY_OPENSMTPD },
		{ "danevirked", TALLY_DANEVIRKED } };
	struct rest host;
	size_t i;

	if (!line_date(r) || !rest_text(r, " ") || !rest_word(r, &host))
		return false;
	for (i = 0; i < sizeof own / sizeof *own; i++)
		if (rest_text(r, own[i].ident)) {
			*server = own[i].server;
			return line_pid(r) && rest_text(r, ": ");
		}
	*server = TALLY_EXIM;
	if (!rest_text(r, "exim"))
		return false;
	rest_run(r, DIGITS "abcdefghijklmnopqrstuvwxyz.-");
	if (!line_pid(r) || !rest_text(r, ": "))
		return false;
	line_part(r);
	return line_exim(r, false);
}

static bool
line_ours(struct rest *r, unsigned *server)
{
	struct rest was = *r;

	*server = TALLY_EXIM;
	if (line_exim(r, true))
		return true;
	*r = was;
	return line_syslog(r, server);
}

/* ------------------------------------------------------------ what it says */

/* "HOST:PORT:" */
static bool
word_host(struct rest w)
{
	size_t digits = 0;

	if (w.end[-1] != ':')
		return false;
	for (w.end--; w.end > w.p && w.end[-1] >= '0' && w.end[-1] <= '9';)
		w.end--, digits++;
	return digits >= 1 && digits <= 5 && w.end > w.p + 1 &&
	    w.end[-1] == ':';
}

/* "DOMAIN via HOST:PORT: " or "DOMAIN: ". */
static bool
line_names(struct rest *r, bool *host)
{
	struct rest w;

	if (!rest_word(r, &w) || *w.p == '"')
		return false;
	*host = rest_text(r, "via ");
	if (*host)
		return rest_word(r, &w) && word_host(w);
	return w.end[-1] == ':' && w.end > w.p + 1;
}

/* The whole word, what is beside it and ": ". */
static bool
line_verdict(struct rest *r, struct tally_line *l)
{
	struct rest w = *r;
	const char *end;
	unsigned i;

	rest_run(&w, "abcdefghijklmnopqrstuvwxyz-");
	for (i = 0; i < TALLY_VERDICTS; i++)
		if (strlen(tally_verdicts[i]) == (size_t)(w.p - r->p) &&
		    memcmp(tally_verdicts[i], r->p, (size_t)(w.p - r->p)) == 0)
			break;
	if (i == TALLY_VERDICTS)
		return false;
	l->verdict = i;
	*r = w;
	l->would = rest_text(r, " (audit: would be deferred)");
	l->audit = l->would || rest_text(r, " (audit)");
	l->exception = rest_text(r, " (exception: ");
	if (l->exception) { /* the administrator's text */
		end = memmem(r->p, rest_len(r), "): ", 3);
		if (end == NULL)
			return false;
		r->p = end + 1;
	}
	return rest_text(r, ": ");
}

/* The word in brackets in which most reasons end; -1: there is none. */
static int
reason_result(const struct rest *r)
{
	size_t n = rest_len(r), len;
	int i;

	for (i = 0; i < DNS; i++) {
		len = strlen(tally_reasons[i]);
		if (n > len + 2 && r->end[-1] == ']' &&
		    memcmp(r->end - 1 - len, tally_reasons[i], len) == 0 &&
		    r->end[-2 - (ptrdiff_t)len] == '[')
			return i;
	}
	return -1;
}

static int
reason_own(struct rest r)
{
	static const struct {
		const char *begins;
		int reason;
	} all[] = { { "MX lookup failed: ", DNS },
		{ "address lookup failed: ", DNS },
		{ "TLSA lookup failed: ", DNS }, { "DNS: ", DNS },
		{ "no address", NO_ADDRESS }, { "MTA-STS policy ", MTA_STS },
		{ "not in the MTA-STS policy ", MTA_STS },
		{ "level dane-only: ", DANE_ONLY }, { "connect: ", CONNECT },
		{ "banner", SESSION }, { "EHLO", SESSION },
		{ "STARTTLS", SESSION }, { "TLS handshake", SESSION },
		{ "connection closed ", SESSION }, { "timed out", SESSION },
		{ "the session was lost", SESSION } };
	struct rest at = r, w;
	size_t i;

	/* "HOST: ", of a domain's only host */
	if (rest_word(&at, &w) && w.end[-1] == ':' &&
	    memchr(w.p, '.', rest_len(&w)) != NULL)
		r = at;
	for (i = 0; i < sizeof all / sizeof *all; i++)
		if (rest_text(&r, all[i].begins))
			return all[i].reason;
	return OTHER;
}

bool
tally_line(const char *text, size_t n, struct tally_line *l)
{
	struct rest r = { text, text + n };
	int result;
	bool host;

	memset(l, 0, sizeof *l);
	if (!line_ours(&r, &l->server) || !line_names(&r, &host) ||
	    !line_verdict(&r, l))
		return false;
	/* what a line of a domain can say, and one of a host */
	if (host ? l->verdict == BOUNCED :
		   l->verdict < TALLY_DEFERRED &&
		    (l->verdict != TLS || l->server != TALLY_EXIM))
		return false;
	result = reason_result(&r);
	/* With level audit Exim's hook says what it thinks of a certificate,
	 * and then, in a line of its own, what was done. */
	if (host && l->audit && result != -1 && l->verdict != TALLY_DEFERRED &&
	    l->server == TALLY_EXIM)
		return false;
	l->reason = l->verdict != TALLY_DEFERRED ? -1 :
	    result != -1                         ? result :
						   reason_own(r);
	return true;
}

/* ------------------------------------------------------------------ lines */

void
tally_end(struct tally *t)
{
	struct tally_server *s;
	struct tally_line l;

	t->lines += t->n > 0 || t->skip;
	if (!t->skip && tally_line(t->line, t->n, &l)) {
		s = &t->server[l.server];
		s->decisions++;
		s->verdict[l.verdict]++;
		if (l.reason != -1)
			s->reason[l.reason]++;
		s->audit += l.audit;
		s->would += l.would;
		s->exception += l.exception;
	}
	t->skip = false;
	t->n = 0;
}

void
tally_feed(struct tally *t, const char *p, size_t n)
{
	const char *nl;
	size_t len;

	for (; n > 0; p += len, n -= len) {
		nl = memchr(p, '\n', n);
		len = nl == NULL ? n : (size_t)(nl - p);
		t->skip |= len > sizeof t->line - t->n;
		if (!t->skip) {
			memcpy(t->line + t->n, p, len);
			t->n += len;
		}
		if (nl == NULL)
			continue;
		/* an empty line is one, too */
		t->lines += t->n == 0 && !t->skip;
		tally_end(t);
		len++;
	}
}

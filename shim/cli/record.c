/* SPDX-License-Identifier: ISC */
/* TLSA records and times as text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli.h"
#include "text.h"

#define DATA_MAX 65532 /* what RDATA has room for behind U, S, M */

static const struct {
	const char *name;
	int field;
	uint8_t value;
} words[] = {
	/* RFC 7218 2 */
	{ "PKIX-TA", 0, 0 },
	{ "PKIX-EE", 0, 1 },
	{ "DANE-TA", 0, 2 },
	{ "DANE-EE", 0, 3 },
	{ "PrivCert", 0, 255 },
	{ "Cert", 1, 0 },
	{ "SPKI", 1, 1 },
	{ "PrivSel", 1, 255 },
	{ "Full", 2, 0 },
	{ "SHA2-256", 2, 1 },
	{ "SHA2-512", 2, 2 },
	{ "PrivMatch", 2, 255 },
};
#define N_WORDS (sizeof words / sizeof *words)
static const char *const fields[] = { "usage", "selector", "matching type" };

static bool
record_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* 0 to 255 in decimal at *s, and *s behind it */
static int
record_octet(const char **s)
{
	const char *p = *s;
	int v = 0;

	while (*p >= '0' && *p <= '9' && p - *s < 4)
		v = v * 10 + (*p++ - '0');
	if (p == *s || p - *s > 3 || v > 255)
		return -1;
	*s = p;
	return v;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int
hex_parse(const char *s, struct danevirke_tlsa *r, char *why, size_t len)
{
	size_t n = 0, size = strlen(s) / 2 + 1;
	uint8_t *data;
	int d;

	if ((data = malloc(size)) == NULL) {
		snprintf(why, len, "out of memory");
		return -1;
	}
	for (; *s != '\0'; s++) {
		if (record_blank(*s))
			continue;
		if ((d = hex_digit(*s)) < 0) {
			snprintf(why, len,
			    "'%c' in the association data: "
			    "want hexadecimal digits",
			    *s);
			goto bad;
		}
		if (n % 2 == 0)
			data[n / 2] = (uint8_t)(d << 4);
		else
			data[n / 2] |= (uint8_t)d;
		n++;
	}
	if (n == 0 || n % 2 != 0 || n / 2 > DATA_MAX) {
		snprintf(why, len,
		    "%zu hexadecimal digits of association data: want %s", n,
		    n == 0         ? "some" :
			n % 2 != 0 ? "an even number" :
				     "131064 at most");
		goto bad;
	}
	r->data = data;
	r->len = n / 2;
	return 0;
bad:
	free(data);
	return -1;
}

int
record_parse(const char *text, struct danevirke_tlsa *r, char *why, size_t len)
{
	uint8_t kind[3];
	const char *s = text;
	int i, v;

	memset(r, 0, sizeof *r);
	for (i = 0; i < 3; i++) {
		while (record_blank(*s))
			s++;
		if ((v = record_octet(&s)) < 0 ||
		    !(record_blank(*s) || *s == '\0')) {
			snprintf(why, len,
			    "%s: want a number, 0 to 255, as in \"3 1 1 HEX\"",
			    fields[i]);
			return -1;
		}
		kind[i] = (uint8_t)v;
	}
	r->usage = kind[0];
	r->selector = kind[1];
	r->matching = kind[2];
	return hex_parse(s, r, why, len);
}

/* A number or an RFC 7218 name for this field */
static int
word_value(const char *w, int field)
{
	const char *s = w;
	size_t i;
	int v;

	if ((v = record_octet(&s)) >= 0 && *s == '\0')
		return v;
	for (i = 0; i < N_WORDS; i++)
		if (words[i].field == field &&
		    strcasecmp(words[i].name, w) == 0)
			return words[i].value;
	return -1;
}

int
record_kind(const char *text, uint8_t kind[3], char *why, size_t len)
{
	char buf[64], *save, *w;
	int n = 0, v;

	kind[0] = 0;
	kind[1] = DANEVIRKE_SPKI;
	kind[2] = DANEVIRKE_SHA2_256;
	if (strlen(text) >= sizeof buf) {
		snprintf(
		    why, len, "too long: want \"USAGE [SELECTOR MATCHING]\"");
		return -1;
	}
	strncpy(buf, text, sizeof buf);
	for (w = strtok_r(buf, " \t", &save); w != NULL;
	     w = strtok_r(NULL, " \t", &save), n++) {
		if (n == 3 || (v = word_value(w, n)) < 0) {
			snprintf(why, len, "\"%s\": %s%s", w,
			    n == 3 ? "a fourth word" : "no such ",
			    n == 3 ? "" : fields[n]);
			return -1;
		}
		kind[n] = (uint8_t)v;
	}
	if (n != 1 && n != 3) {
		snprintf(why, len,
		    "%d words: want 1 or 3: \"USAGE [SELECTOR MATCHING]\"", n);
		return -1;
	}
	if (kind[0] > 3 || kind[1] > 1 || kind[2] > 2) {
		snprintf(why, len,
		    "want usage 0 to 3, selector 0 or 1, matching type 0 to 2");
		return -1;
	}
	return 0;
}

void
record_name(const uint8_t kind[3], char *buf, size_t len)
{
	size_t i, used = 0;
	int f, n;

	for (f = 0; f < 3; f++) {
		for (i = 0; i < N_WORDS; i++)
			if (words[i].field == f && words[i].value == kind[f])
				break;
		if (i < N_WORDS)
			n = snprintf(buf + used, len - used, "%s%s",
			    f == 0 ? "" : " ", words[i].name);
		else
			n = snprintf(buf + used, len - used, "%s%u",
			    f == 0 ? "" : " ", kind[f]);
		if (n < 0 || (size_t)n >= len - used)
			return;
		used += (size_t)n;
	}
}

unsigned
record_octets(const struct danevirke_host *h, size_t i)
{
	if (h->size < offsetof(struct danevirke_host, tlsa_octets) +
		    sizeof h->tlsa_octets ||
	    h->tlsa_octets == NULL)
		return 3;
	return h->tlsa_octets[i];
}

char *
record_hex(const uint8_t *data, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	char *s;
	size_t i;

	if ((s = malloc(n * 2 + 1)) == NULL)
		return NULL;
	for (i = 0; i < n; i++) {
		s[i * 2] = digits[data[i] >> 4];
		s[i * 2 + 1] = digits[data[i] & 15];
	}
	s[n * 2] = '\0';
	return s;
}

/* Does s begin so?  A 0 stands for any digit. */
static bool
time_form(const char *s, const char *form)
{
	for (; *form != '\0'; s++, form++)
		if (*form == '0' ? *s < '0' || *s > '9' : *s != *form)
			return false;
	return true;
}

/* "Z", "+01:00" to seconds east; -1: not one */
static int
time_zone(const char *s, long *east)
{
	int h, m;

	*east = 0;
	if (strcasecmp(s, "Z") == 0)
		return 0;
	if ((!time_form(s, "+00:00") && !time_form(s, "-00:00")) ||
	    s[6] != '\0' || sscanf(s + 1, "%2d:%2d", &h, &m) != 2 || h > 23 ||
	    m > 59)
		return -1;
	*east = (*s == '-' ? -1 : 1) * (h * 3600L + m * 60L);
	return 0;
}

/* RFC 3339 5.6.  A fraction is allowed and dropped, a leap second too. */
int
time_parse(const char *s, time_t *out)
{
	int year, month, mday, h, m, sec;
	int64_t t;
	long east;

	if ((!time_form(s, "0000-00-00T00:00:00") &&
		!time_form(s, "0000-00-00t00:00:00")) ||
	    sscanf(s, "%4d-%2d-%2d%*c%2d:%2d:%2d", &year, &month, &mday, &h, &m,
		&sec) != 6)
		return -1;
	s += strlen("0000-00-00T00:00:00");
	if (time_form(s, ".0"))
		s += 1 + strspn(s + 1, "0123456789");
	if (h > 23 || m > 59 || sec > 60 || time_zone(s, &east) != 0 ||
	    !text_day(year, month, mday, &t))
		return -1;
	t = t * 86400 + h * 3600L + m * 60L + sec - east;
	*out = (time_t)t;
	return *out == t ? 0 : -1; /* 32 bits end in 2038 */
}

void
time_text(time_t t, char buf[32])
{
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(buf, 32, "unknown");
}

/* SPDX-License-Identifier: ISC */
/* Error texts, memory that is freed all at once, and words for enums. */
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h"
#include "text.h"

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(max_align_t) unsigned char mem[];
};

#define CHUNK_SIZE 4000

char
text_char(char c)
{
	return c >= ' ' && c < 0x7f ? c : '?';
}

int
fail(struct danevirke_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return code;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	text_line(err->text); /* parts of it came from DNS or a file */
	return code;
}

void *
arena_alloc(struct arena *a, size_t len)
{
	struct chunk *c = a->head;
	size_t size;
	void *p;

	if (len > SIZE_MAX / 2)
		return NULL;
	len = (len + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	if (c == NULL || c->size - c->used < len) {
		size = len > CHUNK_SIZE ? len : CHUNK_SIZE;
		if ((c = calloc(1, sizeof *c + size)) == NULL)
			return NULL;
		c->size = size;
		c->next = a->head;
		a->head = c;
	}
	p = c->mem + c->used;
	c->used += len;
	return p;
}

void *
arena_array(struct arena *a, size_t n, size_t size)
{
	if (size != 0 && n > SIZE_MAX / size)
		return NULL;
	return arena_alloc(a, n * size);
}

char *
arena_str(struct arena *a, const char *s)
{
	size_t len = strlen(s) + 1;
	char *p;

	if ((p = arena_alloc(a, len)) != NULL)
		memcpy(p, s, len);
	return p;
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0 || (p = arena_alloc(a, (size_t)len + 1)) == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)len + 1, fmt, ap);
	va_end(ap);
	return p;
}

void
arena_free(struct arena *a)
{
	struct chunk *c;

	while ((c = a->head) != NULL) {
		a->head = c->next;
		free(c);
	}
}

/* What is plain ASCII is asked for as it stands, also where IDNA would not
 * register it; and most names need no table of Unicode.  For free(). */
static int
name_encode(const char *name, char **out, struct danevirke_error *err)
{
	int rc;

	*out = NULL;
	if (strspn(name,
		"abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == strlen(name)) {
		if ((*out = strdup(name)) == NULL)
			return fail(err, DANEVIRKE_ENOMEM, "out of memory");
	} else if ((rc = idn2_to_ascii_8z(name, out,
			IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT)) != IDN2_OK)
		return fail(err, DANEVIRKE_EINVAL,
		    "name \"%.255s\": want a domain name: %s", name,
		    idn2_strerror(rc));
	return DANEVIRKE_OK;
}

/* To lower case and without the final dot.  False: not a domain name. */
static bool
name_tidy(char *name)
{
	size_t n = strlen(name), label = 0;
	char *p;

	if (n > 0 && name[n - 1] == '.')
		name[--n] = '\0';
	if (n > 253)
		return false;
	for (p = name;; p++) {
		if (*p == '.' || *p == '\0') {
			if (label == 0 || label > 63)
				return false;
			if (*p == '\0')
				return true;
			label = 0;
			continue;
		}
		if (*p >= 'A' && *p <= 'Z')
			*p += 'a' - 'A';
		else if ((unsigned char)*p <= ' ' || *p == 0x7f ||
		    strchr("\\\"/:;<>[]@(),", *p) != NULL)
			return false;
		label++;
	}
}

/* D14, N09: once, at the door.  The root and empty names are refused. */
int
name_to_ascii(
    const char *name, char *buf, size_t len, struct danevirke_error *err)
{
	char *out;
	bool ok;
	int code;

	if (name == NULL || buf == NULL)
		return fail(err, DANEVIRKE_EINVAL, "name: NULL");
	if (*name == '\0' || strlen(name) > 4 * NAME_LEN ||
	    strcmp(name, ".") == 0)
		return fail(err, DANEVIRKE_EINVAL,
		    "name \"%.64s\": want a domain name", name);
	if ((code = name_encode(name, &out, err)) != DANEVIRKE_OK)
		return code;
	ok = name_tidy(out) && strlen(out) < len;
	if (ok)
		memcpy(buf, out, strlen(out) + 1);
	free(out);
	return ok ? DANEVIRKE_OK :
		    fail(err, DANEVIRKE_EINVAL,
			"name \"%.255s\": want a domain name: labels of 1 to "
			"63 octets, 253 in all",
			name);
}

bool
prefix_match(
    const struct conf_prefix *p, size_t n, int family, const uint8_t *ip)
{
	for (; n > 0; p++, n--) {
		unsigned full = p->bits / 8, rest = p->bits % 8;

		if (p->family != family || memcmp(p->ip, ip, full) != 0)
			continue;
		if (rest == 0 || ((p->ip[full] ^ ip[full]) >> (8 - rest)) == 0)
			return true;
	}
	return false;
}

const char *
result_name(enum danevirke_result r)
{
	switch (r) {
	case DANEVIRKE_RESULT_NONE:
		return "";
	case DANEVIRKE_STARTTLS_NOT_SUPPORTED:
		return "starttls-not-supported";
	case DANEVIRKE_CERTIFICATE_HOST_MISMATCH:
		return "certificate-host-mismatch";
	case DANEVIRKE_CERTIFICATE_EXPIRED:
		return "certificate-expired";
	case DANEVIRKE_CERTIFICATE_NOT_TRUSTED:
		return "certificate-not-trusted";
	case DANEVIRKE_VALIDATION_FAILURE:
		return "validation-failure";
	case DANEVIRKE_TLSA_INVALID:
		return "tlsa-invalid";
	case DANEVIRKE_DNSSEC_INVALID:
		return "dnssec-invalid";
	case DANEVIRKE_DANE_REQUIRED:
		return "dane-required";
	case DANEVIRKE_STS_POLICY_FETCH_ERROR:
		return "sts-policy-fetch-error";
	}
	return "";
}

const char *
mta_sts_name(enum danevirke_mta_sts s)
{
	switch (s) {
	case DANEVIRKE_MTA_STS_UNASKED:
		break;
	case DANEVIRKE_MTA_STS_ERROR:
		return "error";
	case DANEVIRKE_MTA_STS_NONE:
		return "none";
	case DANEVIRKE_MTA_STS_POLICY:
		return "policy";
	}
	return NULL;
}

const char *
level_name(enum danevirke_level l)
{
	switch (l) {
	case DANEVIRKE_LEVEL_DANE:
		return "dane";
	case DANEVIRKE_LEVEL_DANE_ONLY:
		return "dane-only";
	case DANEVIRKE_LEVEL_AUDIT:
		return "audit";
	case DANEVIRKE_LEVEL_OFF:
		return "off";
	}
	return "unknown";
}

const char *
dnssec_name(enum danevirke_dnssec s)
{
	switch (s) {
	case DANEVIRKE_ERROR:
		return "error";
	case DANEVIRKE_INSECURE:
		return "insecure";
	case DANEVIRKE_SECURE:
		return "secure";
	}
	return "error";
}

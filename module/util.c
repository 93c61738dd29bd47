/* SPDX-License-Identifier: ISC */
/* Error texts, memory that is freed all at once, and words for enums. */
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "module.h"

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(max_align_t) unsigned char mem[];
};

#define CHUNK_SIZE 4000

int
fail(struct danevirke_error *err, int code, const char *fmt, ...)
{
	va_list ap;
	char *p;

	if (err == NULL)
		return code;
	err->code = code;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	/* parts of it came from DNS or a file: one line, printable */
	for (p = err->text; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
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

/* D14, N09: once, at the door.  The root and empty names are refused. */
int
name_to_ascii(
    const char *name, char *buf, size_t len, struct danevirke_error *err)
{
	char *out = NULL;
	size_t n;
	int rc;

	if (name == NULL || buf == NULL)
		return fail(err, DANEVIRKE_EINVAL, "name: NULL");
	n = strlen(name);
	if (n == 0 || n > 4 * NAME_LEN || strcmp(name, ".") == 0)
		return fail(err, DANEVIRKE_EINVAL,
		    "name \"%.64s\": want a domain name", name);
	/* What is plain ASCII is asked for as it stands, also where IDNA would
	 * not register it; and most names need no table of Unicode. */
	if (strspn(name,
		"abcdefghijklmnopqrstuvwxyz"
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") == n) {
		if ((out = strdup(name)) == NULL)
			return fail(err, DANEVIRKE_ENOMEM, "out of memory");
	} else if ((rc = idn2_to_ascii_8z(name, &out,
			IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT)) != IDN2_OK)
		return fail(err, DANEVIRKE_EINVAL,
		    "name \"%.255s\": want a domain name: %s", name,
		    idn2_strerror(rc));
	n = strlen(out);
	if (n > 0 && out[n - 1] == '.')
		out[--n] = '\0';
	for (size_t i = 0, label = 0; i <= n; i++) {
		if (i == n || out[i] == '.') {
			if (label == 0 || label > 63 || n > 253)
				goto bad;
			label = 0;
			continue;
		}
		if (out[i] >= 'A' && out[i] <= 'Z')
			out[i] += 'a' - 'A';
		else if ((unsigned char)out[i] <= ' ' || out[i] == 0x7f ||
		    strchr("\\\"/:;<>[]@(),", out[i]) != NULL)
			goto bad;
		label++;
	}
	if (n >= len)
		goto bad;
	memcpy(buf, out, n + 1);
	free(out);
	return DANEVIRKE_OK;
bad:
	free(out);
	return fail(err, DANEVIRKE_EINVAL,
	    "name \"%.255s\": want a domain "
	    "name: labels of 1 to 63 octets, 253 in all",
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
	}
	return "";
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

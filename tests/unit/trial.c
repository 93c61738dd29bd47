/* SPDX-License-Identifier: ISC */
/* A vector to what verify() is called with.  What is wrong in one fails the
 * test. */
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>
#undef fail

#include "certs.h"
#include "trial.h"

uint8_t *
trial_copy(const uint8_t *p, size_t len, size_t more)
{
	uint8_t *c = calloc(len + more + (len + more == 0), 1);

	assert_non_null(c);
	if (p != NULL)
		memcpy(c, p, len);
	return c;
}

static const struct cert *
find(const char *id)
{
	const struct cert *c = cert_find(id);

	if (c == NULL)
		print_error("no such certificate: %s\n", id);
	assert_non_null(c);
	return c;
}

static void
add_cert(struct trial *c, const char *word)
{
	static const uint8_t garbage[] = "\x30\x03\x02\x01\x00 and more";
	struct danevirke_cert *d = &c->certs[c->chain.n_certs++];
	const struct cert *cert;

	assert_true(c->chain.n_certs >= 1 && c->chain.n_certs <= MAX_CERTS);
	if (strcmp(word, "null") == 0) {
		d->len = 100;
		return;
	}
	if (strcmp(word, "empty") == 0) {
		d->der = trial_copy(NULL, 0, 0);
		return;
	}
	if (strcmp(word, "huge") == 0) {
		d->len = 70000;
		d->der = trial_copy(NULL, 0, d->len);
		return;
	}
	if (strcmp(word, "garbage") == 0) {
		d->len = sizeof garbage;
		d->der = trial_copy(garbage, d->len, 0);
		return;
	}
	cert = find(word + (strchr("+-", *word) != NULL));
	d->len = cert->len + (*word == '+') - (*word == '-');
	d->der = trial_copy(cert->der, d->len - (*word == '+'), *word == '+');
}

static void
add_chain(struct trial *c, const char *text)
{
	char words[512], fill[32], *word, *save = NULL, *star;
	unsigned n, i, stranger = 0;

	snprintf(words, sizeof words, "%s", text);
	for (word = strtok_r(words, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save)) {
		n = 1;
		if ((star = strchr(word, '*')) != NULL) {
			*star = '\0';
			n = (unsigned)atoi(star + 1);
		}
		for (i = 0; i < n; i++) {
			snprintf(fill, sizeof fill, "fill-%u", stranger);
			if (strcmp(word, "fill") == 0)
				stranger++;
			add_cert(c, strcmp(word, "fill") == 0 ? fill : word);
		}
	}
}

/* RFC 6698 2.1.4 */
static void
add_record(struct trial *c, const char *text)
{
	struct danevirke_tlsa *t = &c->tlsa[c->host.n_tlsa++];
	unsigned usage, selector, matching;
	char source[32];
	const struct cert *cert;
	const uint8_t *p;
	uint8_t *data;
	size_t len;

	assert_true(c->host.n_tlsa >= 1 && c->host.n_tlsa <= MAX_RECORDS);
	assert_int_equal(
	    sscanf(text, "%u %u %u %31s", &usage, &selector, &matching, source),
	    4);
	t->usage = (uint8_t)usage;
	t->selector = (uint8_t)selector;
	t->matching = (uint8_t)matching;
	if (strcmp(source, "none") == 0)
		return;
	cert = find(source + (strchr("~+-", *source) != NULL));
	p = selector == 1 ? cert->spki : cert->der;
	len = selector == 1 ? cert->spki_len : cert->len;
	data = trial_copy(p, len, 64);
	if (matching == 1 || matching == 2) {
		assert_int_equal(
		    gnutls_hash_fast(
			matching == 1 ? GNUTLS_DIG_SHA256 : GNUTLS_DIG_SHA512,
			p, len, data),
		    0);
		len = matching == 1 ? 32 : 64;
	}
	if (*source == '~')
		data[len / 2] ^= 0x10;
	t->len = len + (*source == '+') - (*source == '-');
	t->data = realloc(data, t->len);
}

static void
write_ca_file(struct trial *c, const char *ids)
{
	char words[128], *word, *save = NULL;
	const struct cert *cert;
	gnutls_datum_t d, pem;
	int fd;

	assert_true((fd = memfd_create("ca", MFD_CLOEXEC)) >= 0);
	snprintf(c->ca_file, sizeof c->ca_file, "/proc/self/fd/%d", fd);
	c->ca_fd = fd;
	snprintf(words, sizeof words, "%s", ids);
	for (word = strtok_r(words, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save)) {
		cert = find(word);
		d.data = cert->der;
		d.size = (unsigned)cert->len;
		assert_int_equal(
		    gnutls_pem_base64_encode2("CERTIFICATE", &d, &pem), 0);
		assert_int_equal(write(fd, pem.data, pem.size), pem.size);
		gnutls_free(pem.data);
	}
	c->o.ca_file = c->ca_file;
}

void
trial_make(struct trial *c, const struct vector *v)
{
	const char *text = v->tlsa;
	char *name, *save = NULL;

	memset(c, 0, sizeof *c);
	c->host.size = sizeof c->host;
	c->host.would = c->host.action = DANEVIRKE_AUTHENTICATE;
	c->chain.certs = c->certs;
	c->o.size = sizeof c->o;
	c->o.now = NOW;
	c->o.flags = v->flags;
	add_chain(c, v->chain);
	while (text != NULL) {
		char record[64];

		snprintf(record, sizeof record, "%.*s", (int)strcspn(text, ";"),
		    text);
		add_record(c, record);
		if ((text = strchr(text, ';')) != NULL)
			text++;
	}
	c->host.tlsa = c->tlsa;
	assert_int_equal(danevirke_v1.classify(
			     c->tlsa, c->host.n_tlsa, v->flags, NULL, NULL),
	    0);
	snprintf(
	    c->text, sizeof c->text, "%s", v->names == NULL ? MX : v->names);
	for (name = strtok_r(c->text, " ", &save); name != NULL;
	     name = strtok_r(NULL, " ", &save))
		c->names[c->host.n_names++] = name;
	c->host.names = c->names;
	c->host.base = c->names[0];
	if (v->ca != NULL)
		write_ca_file(c, v->ca);
}

void
trial_free(struct trial *c)
{
	size_t i;

	for (i = 0; i < c->chain.n_certs; i++)
		free((void *)(uintptr_t)c->certs[i].der);
	for (i = 0; i < c->host.n_tlsa; i++)
		free((void *)(uintptr_t)c->tlsa[i].data);
	if (c->ca_file[0] != '\0')
		close(c->ca_fd);
}

/* SPDX-License-Identifier: ISC */
/* Octets through all of spki.c: see look.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>

#include "der.h"
#include "look.h"

struct found
look(const void *data, size_t len)
{
	static const uint8_t none;
	const uint8_t *der = der_guard(data, len);
	const uint8_t *spki = &none, *tbs;
	size_t spki_len = 77, tbs_len;
	struct cert_parts parts;
	struct found f = { 0 };
	int rc;

	rc = spki_find(der, len, &spki, &spki_len);
	assert_true((unsigned)(rc + 1) <= 1);
	f.cert = rc == 0;
	rc = cert_parts(der, len, &parts);
	tbs = parts.tbs;
	tbs_len = parts.tbs_len;
	assert_true((unsigned)(rc + 1) <= 1);
	f.tbs = rc == 0;
	rc = spki_check(der, len);
	assert_true((unsigned)(rc + 1) <= 1);
	f.key = rc == 0;
	assert_int_equal(f.tbs, f.cert);
	if (f.tbs) {
		assert_true(tbs > der && tbs_len < len);
		assert_true((size_t)(tbs - der) <= len - tbs_len);
		f.tbs_at = (size_t)(tbs - der);
		f.tbs_len = tbs_len;
	}
	if (f.cert) {
		assert_true(spki > tbs && spki_len < tbs_len);
		assert_true((size_t)(spki - tbs) <= tbs_len - spki_len);
		assert_int_equal(spki_check(spki, spki_len), 0);
		f.spki_at = (size_t)(spki - der);
		f.spki_len = spki_len;
	} else /* nothing to take by mistake */
		assert_true(spki == &none && spki_len == 77);
	assert_false(f.cert && f.key); /* never both */
	return f;
}

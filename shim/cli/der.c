/* SPDX-License-Identifier: ISC */
/*
 * Where the public key lies in a certificate (RFC 5280 4.1) or a request
 * (RFC 2986 4.1).  Only definite lengths in their shortest form, as DER has
 * them; nothing may stand behind the outermost sequence.
 */
#include "cli.h"

#define SEQUENCE 0x30
#define INTEGER 0x02
#define CONTEXT_0 0xa0

/* One element at the front of *in, which is moved behind it; its inside to
 * body, all of it to whole (either may be NULL).  -1: no such element. */
static int
der_take(struct blob *in, int tag, struct blob *body, struct blob *whole)
{
	size_t head = 2, len, n;

	if (in->len < 2 || in->data[0] != tag)
		return -1;
	len = in->data[1];
	if (len >= 0x80) {
		n = len & 0x7f;
		if (n == 0 || n > 3 || in->len < 2 + n || in->data[2] == 0)
			return -1;
		for (len = 0; head < 2 + n; head++)
			len = len << 8 | in->data[head];
		if (len < 0x80)
			return -1;
	}
	if (len > in->len - head)
		return -1;
	if (body != NULL)
		*body = (struct blob){ in->data + head, len };
	if (whole != NULL)
		*whole = (struct blob){ in->data, head + len };
	in->data += head + len;
	in->len -= head + len;
	return 0;
}

/* The first SEQUENCE inside the outermost one */
static int
der_inner(const struct blob *der, struct blob *inner)
{
	struct blob in = *der, body;

	if (der_take(&in, SEQUENCE, &body, NULL) != 0 || in.len != 0)
		return -1;
	return der_take(&body, SEQUENCE, inner, NULL);
}

int
der_cert_spki(const struct blob *der, struct blob *view)
{
	struct blob tbs;
	int i;

	if (der_inner(der, &tbs) != 0)
		return -1;
	der_take(&tbs, CONTEXT_0, NULL, NULL); /* version, not in v1 */
	if (der_take(&tbs, INTEGER, NULL, NULL) != 0)
		return -1;
	/* signature, issuer, validity, subject */
	for (i = 0; i < 4; i++)
		if (der_take(&tbs, SEQUENCE, NULL, NULL) != 0)
			return -1;
	return der_take(&tbs, SEQUENCE, NULL, view);
}

int
der_request_spki(const struct blob *der, struct blob *view)
{
	struct blob info;

	if (der_inner(der, &info) != 0 ||
	    der_take(&info, INTEGER, NULL, NULL) != 0 ||
	    der_take(&info, SEQUENCE, NULL, NULL) != 0) /* subject */
		return -1;
	return der_take(&info, SEQUENCE, NULL, view);
}

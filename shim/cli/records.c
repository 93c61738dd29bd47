/* SPDX-License-Identifier: ISC */
/* The TLSA records of an answer as JSON. */
#include "cli.h"
#include "module.h"

/* NULL: there was no lookup that could have a state. */
static const char *
records_state(const struct danevirke_host *h)
{
	if (h->size > offsetof(struct danevirke_host, tlsa_asked) &&
	    h->tlsa_asked == 0)
		return NULL;
	return dnssec_name(h->tlsa_state);
}

static void
records_octet(struct json *j, const char *name, uint8_t value, bool there)
{
	if (there)
		json_int(j, name, value);
	else
		json_string(j, name, NULL);
}

static void
records_one(struct json *j, const struct danevirke_host *h, size_t i)
{
	const struct danevirke_tlsa *t = &h->tlsa[i];
	unsigned n = record_octets(h, i);
	char name[64];

	record_name((uint8_t[3]){ t->usage, t->selector, t->matching }, name,
	    sizeof name);
	json_object(j, NULL);
	records_octet(j, "usage", t->usage, n > 0);
	records_octet(j, "selector", t->selector, n > 1);
	records_octet(j, "matching", t->matching, n > 2);
	json_string(j, "name", n > 2 ? name : NULL);
	json_hex(j, "data", t->data, t->len);
	json_bool(j, "usable", t->usable == 1);
	json_bool(j, "use", t->use == 1);
	json_string(j, "why", t->why);
	json_end_object(j);
}

void
records_json(struct json *j, const struct danevirke_host *h)
{
	size_t i;

	json_string(j, "tlsa_state", records_state(h));
	json_array(j, "tlsa");
	for (i = 0; i < h->n_tlsa; i++)
		records_one(j, h, i);
	json_end_array(j);
}

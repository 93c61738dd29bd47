/* SPDX-License-Identifier: ISC */
/*
 * An answer as one block of memory: every pointer in it points into it, so
 * free() ends it, fork() keeps it, and taking the block's address away from
 * each pointer makes bytes that another process can check and use.
 */
#include <stdlib.h>
#include <string.h>

#include "module.h"

#define MAGIC 0x31767644u /* "Dvv1" */
#define MAX_PACKED (64u << 20)

struct packed {
	uint32_t magic;
	uint32_t abi;
	uint64_t len; /* of the block behind this header; nothing is padded */
	uint32_t answer_size, host_size, tlsa_size, addr_size;
};

/*
 * A pointer that an answer or a part of it has: where it stands, and to what.
 * The tables below are all that is known here of what points where; a block
 * holds the parts in their order, each behind what has its pointer.
 */
struct field {
	enum { MAY = 1, MUST } need; /* be there, if n is not 0; 0: no field */
	size_t at;
	size_t n;    /* where its number of objects stands; 0: it is one */
	size_t size; /* of an object; 0: a string */
	const struct field *fields;  /* of an object; NULL: none */
	bool (*holds)(const void *); /* its values, for every reader of it */
};

static bool
addr_holds(const void *object)
{
	const struct danevirke_addr *a = object;

	return a->family == 4 || a->family == 6;
}

static bool
tlsa_holds(const void *object)
{
	const struct danevirke_tlsa *t = object;

	return t->use <= 1 && t->usable <= 1 && (t->use || t->why != NULL);
}

/* What the enums may be; and who must authenticate has what it takes. */
static bool
host_holds(const void *object)
{
	const struct danevirke_host *h = object;

	return h->size == sizeof *h &&
	    (unsigned)h->action <= DANEVIRKE_AUTHENTICATE &&
	    (unsigned)h->would <= DANEVIRKE_AUTHENTICATE &&
	    (unsigned)h->state <= DANEVIRKE_SECURE &&
	    (unsigned)h->tlsa_state <= DANEVIRKE_SECURE && h->tlsa_asked <= 1 &&
	    (unsigned)h->alias_state <= DANEVIRKE_SECURE &&
	    (unsigned)h->result <= DANEVIRKE_STS_POLICY_FETCH_ERROR &&
	    h->mta_sts_listed <= 1 &&
	    (h->would != DANEVIRKE_AUTHENTICATE ||
		(h->base != NULL && h->n_names > 0 &&
		    (h->n_tlsa > 0 || h->ca_file != NULL)));
}

static bool
answer_holds(const void *object)
{
	const struct danevirke_answer *a = object;

	return a->size == sizeof *a && (unsigned)a->outcome <= DANEVIRKE_LOOP &&
	    (unsigned)a->would <= DANEVIRKE_LOOP &&
	    (unsigned)a->level <= DANEVIRKE_LEVEL_OFF &&
	    (unsigned)a->state <= DANEVIRKE_SECURE &&
	    (unsigned)a->result <= DANEVIRKE_STS_POLICY_FETCH_ERROR &&
	    (unsigned)a->mta_sts <= DANEVIRKE_MTA_STS_POLICY &&
	    a->insecure_mx <= 1 && a->implicit_mx <= 1;
}

#define AT(type, field) offsetof(struct danevirke_##type, field)
#define TEXT(must, type, field) \
	{ \
		.need = must, .at = AT(type, field) \
	}
#define MANY(must, type, field, number, octets, ...) \
	{ \
		.need = must, .at = AT(type, field), .n = AT(type, number), \
		.size = octets, ##__VA_ARGS__ \
	}

static const struct field name_fields[] = { { .need = MUST }, { 0 } };
static const struct field addr_fields[] = { TEXT(MUST, addr, text), { 0 } };
static const struct field tlsa_fields[] = {
	MANY(MUST, tlsa, data, len, 1),
	TEXT(MAY, tlsa, why),
	{ 0 },
};
static const struct field host_fields[] = {
	TEXT(MUST, host, name),
	TEXT(MAY, host, base),
	TEXT(MUST, host, reason),
	TEXT(MAY, host, target),
	TEXT(MAY, host, ca_file),
	MANY(MUST, host, names, n_names, sizeof(char *), .fields = name_fields),
	MANY(MUST, host, addrs, n_addrs, sizeof(struct danevirke_addr),
	    .fields = addr_fields, .holds = addr_holds),
	MANY(MUST, host, tlsa, n_tlsa, sizeof(struct danevirke_tlsa),
	    .fields = tlsa_fields, .holds = tlsa_holds),
	MANY(MAY, host, tlsa_octets, n_tlsa, 1),
	{ 0 },
};
static const struct field pointer_fields[] = {
	{ .need = MUST,
	    .size = sizeof(struct danevirke_host),
	    .fields = host_fields,
	    .holds = host_holds },
	{ 0 },
};
static const struct field answer_fields[] = {
	TEXT(MUST, answer, domain),
	TEXT(MUST, answer, final),
	TEXT(MUST, answer, profile),
	TEXT(MAY, answer, exception),
	TEXT(MUST, answer, reason),
	TEXT(MAY, answer, tls_priority),
	TEXT(MAY, answer, mta_sts_reason),
	TEXT(MAY, answer, tlsrpt_record),
	TEXT(MAY, answer, tlsrpt_socket),
	MANY(MUST, answer, mta_sts_mx, n_mta_sts_mx, sizeof(char *),
	    .fields = name_fields),
	MANY(MUST, answer, hosts, n_hosts, sizeof(void *),
	    .fields = pointer_fields),
	{ 0 },
};
static const struct field whole = { .size = sizeof(struct danevirke_answer),
	.fields = answer_fields,
	.holds = answer_holds };

/* Of how many objects object has the pointer. */
static size_t
field_n(const struct field *f, const void *object)
{
	size_t n = 1;

	if (f->n != 0)
		memcpy(&n, (const char *)object + f->n, sizeof n);
	return n;
}

/* Copying.  With mem NULL it only counts.  A pointer is written as base and
 * the part's offset: base 0 makes bytes for another process. */
struct block {
	char *mem;
	uintptr_t base;
	size_t used;
};

static uintptr_t
block_put(struct block *b, const struct field *f, const char *src, size_t n)
{
	const struct field *g;
	size_t at, len, i;
	const char *p;
	uintptr_t v;

	if (src == NULL)
		return 0;
	len = f->size == 0 ? strlen(src) + 1 : n * f->size;
	at = (b->used + 15) & ~(size_t)15;
	b->used = at + len;
	if (b->mem != NULL)
		memcpy(b->mem + at, src, len);
	for (i = 0; f->fields != NULL && i < n; i++, src += f->size)
		for (g = f->fields; g->need != 0; g++) {
			memcpy(&p, src + g->at, sizeof p);
			v = block_put(b, g, p, field_n(g, src));
			if (b->mem != NULL)
				memcpy(b->mem + at + i * f->size + g->at, &v,
				    sizeof v);
		}
	return b->base + at;
}

static size_t
block_len(const struct danevirke_answer *a)
{
	struct block b = { NULL, 0, 0 };

	block_put(&b, &whole, (const char *)a, 1);
	return b.used;
}

/* Aligned for every part.  In place: with pointers, else with offsets. */
static void *
block_make(const struct danevirke_answer *a, size_t len, bool in_place)
{
	struct block b = { calloc(1, len), 0, 0 };

	if (b.mem == NULL)
		return NULL;
	b.base = in_place ? (uintptr_t)b.mem : 0;
	block_put(&b, &whole, (const char *)a, 1);
	return b.mem;
}

struct danevirke_answer *
answer_make(const struct danevirke_answer *draft)
{
	return block_make(draft, block_len(draft), true);
}

/*
 * Reading.  Offsets become pointers, each checked to be where block_put() would
 * have put that part, so that no two parts can overlap.  Offset 0 is NULL: the
 * answer itself is there.
 */
struct walk {
	char *mem;
	size_t len, used;
};

static bool walk_field(struct walk *, const struct field *, char *pp, size_t n);

static bool
walk_objects(struct walk *w, const struct field *f, char *object, size_t n)
{
	const struct field *g;

	for (; f->fields != NULL && n > 0; n--, object += f->size) {
		for (g = f->fields; g->need != 0; g++)
			if (!walk_field(
				w, g, object + g->at, field_n(g, object)))
				return false;
		if (f->holds != NULL && !f->holds(object))
			return false;
	}
	return true;
}

/* The offset at pp. */
static bool
walk_field(struct walk *w, const struct field *f, char *pp, size_t n)
{
	uintptr_t v;
	size_t len;
	char *p;

	memcpy(&v, pp, sizeof v);
	if (v == 0)
		return f->need == MAY || n == 0;
	w->used = (w->used + 15) & ~(size_t)15;
	if (v != w->used || v > w->len ||
	    (f->size > 0 && n > (w->len - v) / f->size))
		return false;
	p = w->mem + v;
	/* the octet behind the block is NUL */
	len = f->size == 0 ? strlen(p) + 1 : n * f->size;
	if (len > w->len - v)
		return false;
	w->used += len;
	memcpy(pp, &p, sizeof p);
	return walk_objects(w, f, p, n);
}

static struct packed
packed_head(size_t len)
{
	return (struct packed){ MAGIC, DANEVIRKE_ABI, len,
		sizeof(struct danevirke_answer), sizeof(struct danevirke_host),
		sizeof(struct danevirke_tlsa), sizeof(struct danevirke_addr) };
}

size_t
answer_pack(const struct danevirke_answer *a, void *buf, size_t len)
{
	size_t need = block_len(a);
	struct packed h = packed_head(need);
	void *block;

	if (buf == NULL || len < sizeof h + need)
		return sizeof h + need;
	if ((block = block_make(a, need, false)) == NULL)
		return SIZE_MAX;
	memcpy(buf, &h, sizeof h);
	memcpy((char *)buf + sizeof h, block, need);
	free(block);
	return sizeof h + need;
}

const struct danevirke_answer *
answer_unpack(const void *buf, size_t len, struct danevirke_error *err)
{
	struct walk w = { .used = sizeof(struct danevirke_answer) };
	struct packed h;

	if (buf == NULL || len < sizeof h) {
		fail(err, DANEVIRKE_EFORMAT,
		    "packed answer: %zu octets, want at least %zu",
		    buf == NULL ? 0 : len, sizeof h);
		return NULL;
	}
	w.len = len - sizeof h;
	h = packed_head(w.len);
	if (memcmp(buf, &h, sizeof h) != 0 || w.len > MAX_PACKED ||
	    w.len < sizeof(struct danevirke_answer)) {
		fail(err, DANEVIRKE_EFORMAT,
		    "packed answer: the header does not fit this build or the "
		    "%zu octets",
		    len);
		return NULL;
	}
	/* one more octet, so that what ends the block is a NUL */
	if ((w.mem = calloc(1, w.len + 1)) == NULL) {
		fail(err, DANEVIRKE_ENOMEM, "out of memory");
		return NULL;
	}
	memcpy(w.mem, (const char *)buf + sizeof h, w.len);
	if (!walk_objects(&w, &whole, w.mem, 1)) {
		free(w.mem);
		fail(err, DANEVIRKE_EFORMAT,
		    "packed answer: an offset, length or value is out of "
		    "range");
		return NULL;
	}
	return (struct danevirke_answer *)w.mem;
}

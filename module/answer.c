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
	uint64_t len; /* of the block behind this header */
	uint32_t answer_size, host_size, tlsa_size, addr_size;
};

/* Copying.  With mem NULL it only counts. */
struct block {
	char *mem;
	size_t used;
};

static void *
answer_put(struct block *b, const void *src, size_t len)
{
	void *dst = NULL;

	if (src == NULL)
		return NULL;
	b->used = (b->used + 15) & ~(size_t)15;
	if (b->mem != NULL) {
		dst = b->mem + b->used;
		memcpy(dst, src, len);
	}
	b->used += len;
	return dst;
}

static const char *
put_str(struct block *b, const char *s)
{
	return s == NULL ? NULL : answer_put(b, s, strlen(s) + 1);
}

static const struct danevirke_host *
put_host(struct block *b, const struct danevirke_host *src)
{
	struct danevirke_host *copy, none, *dst;
	struct danevirke_addr *addr;
	struct danevirke_tlsa *tlsa;
	const char **names;
	const void *p;
	size_t i;

	copy = answer_put(b, src, sizeof *src);
	dst = copy == NULL ? &none : copy; /* counting */
	dst->name = put_str(b, src->name);
	dst->base = put_str(b, src->base);
	dst->reason = put_str(b, src->reason);
	dst->target = put_str(b, src->target);
	names = answer_put(b, src->names, src->n_names * sizeof *names);
	dst->names = names;
	for (i = 0; i < src->n_names; i++) {
		p = put_str(b, src->names[i]);
		if (names != NULL)
			names[i] = p;
	}
	addr = answer_put(b, src->addrs, src->n_addrs * sizeof *addr);
	dst->addrs = addr;
	for (i = 0; i < src->n_addrs; i++) {
		p = put_str(b, src->addrs[i].text);
		if (addr != NULL)
			addr[i].text = p;
	}
	tlsa = answer_put(b, src->tlsa, src->n_tlsa * sizeof *tlsa);
	dst->tlsa = tlsa;
	for (i = 0; i < src->n_tlsa; i++) {
		p = answer_put(b, src->tlsa[i].data, src->tlsa[i].len);
		if (tlsa != NULL)
			tlsa[i].data = p;
		p = put_str(b, src->tlsa[i].why);
		if (tlsa != NULL)
			tlsa[i].why = p;
	}
	dst->tlsa_octets = answer_put(b, src->tlsa_octets, src->n_tlsa);
	return copy;
}

static size_t
put_answer(struct block *b, const struct danevirke_answer *src)
{
	struct danevirke_answer *dst, none;
	const struct danevirke_host **hosts, *host;
	size_t i;

	if ((dst = answer_put(b, src, sizeof *src)) == NULL)
		dst = &none;
	dst->domain = put_str(b, src->domain);
	dst->final = put_str(b, src->final);
	dst->profile = put_str(b, src->profile);
	dst->exception = put_str(b, src->exception);
	dst->reason = put_str(b, src->reason);
	dst->tls_priority = put_str(b, src->tls_priority);
	hosts = answer_put(b, src->n_hosts > 0 ? src->hosts : NULL,
	    src->n_hosts * sizeof *hosts);
	dst->hosts = hosts;
	for (i = 0; i < src->n_hosts; i++) {
		host = put_host(b, src->hosts[i]);
		if (hosts != NULL)
			hosts[i] = host;
	}
	return b->used;
}

struct danevirke_answer *
answer_make(const struct danevirke_answer *draft)
{
	struct block b = { NULL, 0 };
	size_t len = put_answer(&b, draft);

	if ((b.mem = calloc(1, len)) == NULL)
		return NULL;
	b.used = 0;
	put_answer(&b, draft);
	return (struct danevirke_answer *)b.mem;
}

/*
 * Walking.  One walk serves both ways: out, pointers become offsets; in,
 * offsets become pointers, each checked to be where put_answer() would have
 * put that part, so that no two parts can overlap.  Offset 0 is NULL: the
 * answer itself is there.
 */
struct walk {
	char *mem;
	size_t len, used;
	bool in;
	bool bad;
};

/* The pointer at pp; its object is size octets, SIZE_MAX for a string. */
static void *
walk_ptr(struct walk *w, void *pp, size_t size)
{
	uintptr_t v;
	char *p;

	memcpy(&v, pp, sizeof v);
	if (v == 0 || w->bad)
		return NULL;
	if (!w->in) {
		p = (char *)v;
		v = (uintptr_t)(p - w->mem);
		memcpy(pp, &v, sizeof v);
		return p;
	}
	w->used = (w->used + 15) & ~(size_t)15;
	if (v != w->used || v > w->len) {
		w->bad = true;
		return NULL;
	}
	p = w->mem + v;
	if (size == SIZE_MAX) /* the octet behind the block is NUL */
		size = strlen(p) + 1;
	if (size > w->len - v) {
		w->bad = true;
		return NULL;
	}
	w->used += size;
	memcpy(pp, &p, sizeof p);
	return p;
}

static void
walk_str(struct walk *w, void *pp, bool required)
{
	if (walk_ptr(w, pp, SIZE_MAX) == NULL && required)
		w->bad = true;
}

/* n elements; NULL is no array, whatever n says. */
static void *
walk_array(struct walk *w, void *pp, size_t n, size_t size)
{
	void *p;

	if (n > MAX_PACKED / size) {
		w->bad = true;
		return NULL;
	}
	if ((p = walk_ptr(w, pp, n * size)) == NULL && n > 0)
		w->bad = true;
	return p;
}

/* The host at pp, a pointer or an offset. */
static void
walk_host(struct walk *w, void *pp)
{
	struct danevirke_host *h = walk_ptr(w, pp, sizeof *h);
	struct danevirke_addr *addr;
	struct danevirke_tlsa *tlsa;
	const char **names;
	size_t i;

	if (h == NULL) {
		w->bad = true;
		return;
	}
	walk_str(w, &h->name, true);
	walk_str(w, &h->base, false);
	walk_str(w, &h->reason, true);
	walk_str(w, &h->target, false);
	names = walk_array(w, &h->names, h->n_names, sizeof *names);
	for (i = 0; names != NULL && i < h->n_names && !w->bad; i++)
		walk_str(w, &names[i], true);
	addr = walk_array(w, &h->addrs, h->n_addrs, sizeof *addr);
	for (i = 0; addr != NULL && i < h->n_addrs && !w->bad; i++) {
		walk_str(w, &addr[i].text, true);
		if (addr[i].family != 4 && addr[i].family != 6)
			w->bad = true;
	}
	tlsa = walk_array(w, &h->tlsa, h->n_tlsa, sizeof *tlsa);
	for (i = 0; tlsa != NULL && i < h->n_tlsa && !w->bad; i++) {
		walk_array(w, &tlsa[i].data, tlsa[i].len, 1);
		walk_str(w, &tlsa[i].why, !tlsa[i].use);
		if (tlsa[i].use > 1 || tlsa[i].usable > 1)
			w->bad = true;
	}
	if (h->tlsa_octets != NULL && !w->bad)
		walk_array(w, &h->tlsa_octets, h->n_tlsa, 1);
	/* what the enums may be; and who must authenticate has records */
	if (h->size != sizeof *h ||
	    (unsigned)h->action > DANEVIRKE_AUTHENTICATE ||
	    (unsigned)h->would > DANEVIRKE_AUTHENTICATE ||
	    (unsigned)h->state > DANEVIRKE_SECURE ||
	    (unsigned)h->tlsa_state > DANEVIRKE_SECURE || h->tlsa_asked > 1 ||
	    (unsigned)h->alias_state > DANEVIRKE_SECURE ||
	    (unsigned)h->result > DANEVIRKE_DANE_REQUIRED ||
	    (h->would == DANEVIRKE_AUTHENTICATE &&
		(h->base == NULL || h->n_names == 0 || h->n_tlsa == 0)))
		w->bad = true;
}

static void
walk_answer(struct walk *w, struct danevirke_answer *a)
{
	const struct danevirke_host **hosts;
	size_t i;

	walk_str(w, &a->domain, true);
	walk_str(w, &a->final, true);
	walk_str(w, &a->profile, true);
	walk_str(w, &a->exception, false);
	walk_str(w, &a->reason, true);
	walk_str(w, &a->tls_priority, false);
	hosts = walk_array(w, &a->hosts, a->n_hosts, sizeof *hosts);
	for (i = 0; hosts != NULL && i < a->n_hosts && !w->bad; i++)
		walk_host(w, &hosts[i]);
	if (a->size != sizeof *a || (unsigned)a->outcome > DANEVIRKE_LOOP ||
	    (unsigned)a->would > DANEVIRKE_LOOP ||
	    (unsigned)a->level > DANEVIRKE_LEVEL_OFF ||
	    (unsigned)a->state > DANEVIRKE_SECURE ||
	    (unsigned)a->result > DANEVIRKE_DANE_REQUIRED ||
	    a->insecure_mx > 1 || a->implicit_mx > 1)
		w->bad = true;
}

size_t
answer_pack(const struct danevirke_answer *a, void *buf, size_t len)
{
	struct block b = { NULL, 0 };
	size_t need = put_answer(&b, a);
	struct packed h = { MAGIC, DANEVIRKE_ABI, need,
		sizeof(struct danevirke_answer), sizeof(struct danevirke_host),
		sizeof(struct danevirke_tlsa), sizeof(struct danevirke_addr) };
	struct walk w = { NULL, need, 0, false, false };

	if (buf == NULL || len < sizeof h + need)
		return sizeof h + need;
	/* aligned scratch: the caller's buffer may start anywhere */
	if ((w.mem = (char *)answer_make(a)) == NULL)
		return SIZE_MAX;
	walk_answer(&w, (struct danevirke_answer *)w.mem);
	memcpy(buf, &h, sizeof h);
	memcpy((char *)buf + sizeof h, w.mem, need);
	free(w.mem);
	return sizeof h + need;
}

const struct danevirke_answer *
answer_unpack(const void *buf, size_t len, struct danevirke_error *err)
{
	struct walk w = { NULL, 0, sizeof(struct danevirke_answer), true,
		false };
	struct packed h;

	if (buf == NULL || len < sizeof h) {
		fail(err, DANEVIRKE_EFORMAT,
		    "packed answer: %zu octets, want "
		    "at least %zu",
		    buf == NULL ? 0 : len, sizeof h);
		return NULL;
	}
	memcpy(&h, buf, sizeof h);
	if (h.magic != MAGIC || h.abi != DANEVIRKE_ABI ||
	    h.answer_size != sizeof(struct danevirke_answer) ||
	    h.host_size != sizeof(struct danevirke_host) ||
	    h.tlsa_size != sizeof(struct danevirke_tlsa) ||
	    h.addr_size != sizeof(struct danevirke_addr) ||
	    h.len != len - sizeof h || h.len > MAX_PACKED ||
	    h.len < sizeof(struct danevirke_answer)) {
		fail(err, DANEVIRKE_EFORMAT,
		    "packed answer: the header does "
		    "not fit this build or the %zu octets",
		    len);
		return NULL;
	}
	/* one more octet, so that what ends the block is a NUL */
	if ((w.mem = calloc(1, h.len + 1)) == NULL) {
		fail(err, DANEVIRKE_ENOMEM, "out of memory");
		return NULL;
	}
	w.len = h.len;
	memcpy(w.mem, (const char *)buf + sizeof h, h.len);
	walk_answer(&w, (struct danevirke_answer *)w.mem);
	if (w.bad) {
		free(w.mem);
		fail(err, DANEVIRKE_EFORMAT,
		    "packed answer: an offset, "
		    "length or value is out of range");
		return NULL;
	}
	return (struct danevirke_answer *)w.mem;
}

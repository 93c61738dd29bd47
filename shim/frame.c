/* SPDX-License-Identifier: ISC */
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>

#include "frame.h"

struct head {
	uint32_t len, kind;
	uint64_t id;
};

bool
frame_add(struct evbuffer *out, const struct frame *f)
{
	struct head h = { (uint32_t)f->len, (uint32_t)f->kind, f->id };

	return f->len <= FRAME_BODY &&
	    evbuffer_expand(out, sizeof h + f->len) == 0 &&
	    evbuffer_add(out, &h, sizeof h) == 0 &&
	    (f->len == 0 || evbuffer_add(out, f->body, f->len) == 0);
}

int
frame_take(struct evbuffer *in, struct frame *f)
{
	struct head h;
	const uint8_t *p;

	if (evbuffer_copyout(in, &h, sizeof h) != (ssize_t)sizeof h)
		return 0;
	if (h.len > FRAME_BODY || h.kind == 0 || h.kind >= FRAME_KINDS)
		return -1;
	if (evbuffer_get_length(in) - sizeof h < h.len)
		return 0;
	p = evbuffer_pullup(in, (ssize_t)(sizeof h + h.len));
	if (p == NULL)
		return -1;
	f->kind = (enum frame_kind)h.kind;
	f->id = h.id;
	f->body = p + sizeof h;
	f->len = h.len;
	return 1;
}

void
frame_drop(struct evbuffer *in, const struct frame *f)
{
	evbuffer_drain(in, sizeof(struct head) + f->len);
}

/* ------------------------------------------------------------- questions */

struct asked {
	uint32_t kind, flags;
	uint16_t port, name, profile, unused; /* lengths with their NULs; a
					       * profile of 0: NULL */
};

size_t
question_pack(const struct danevirke_question *q, uint8_t buf[QUESTION_MAX])
{
	size_t name = strlen(q->name) + 1;
	size_t profile = q->profile == NULL ? 0 : strlen(q->profile) + 1;
	struct asked a = { .kind = (uint32_t)q->kind,
		.flags = q->flags,
		.port = q->port,
		.name = (uint16_t)name,
		.profile = (uint16_t)profile };

	if (name > QUESTION_NAME || profile > QUESTION_NAME)
		return 0;
	memcpy(buf, &a, sizeof a);
	memcpy(buf + sizeof a, q->name, name);
	if (profile > 0)
		memcpy(buf + sizeof a + name, q->profile, profile);
	return sizeof a + name + profile;
}

/* A string that fills its len octets. */
static bool
string_take(const uint8_t *p, size_t len, char out[QUESTION_NAME])
{
	if (len == 0 || len > QUESTION_NAME ||
	    memchr(p, '\0', len) != p + len - 1)
		return false;
	memcpy(out, p, len);
	return true;
}

bool
question_unpack(const uint8_t *p, size_t len, struct question *out)
{
	struct asked a;

	memset(out, 0, sizeof *out);
	if (len < sizeof a)
		return false;
	memcpy(&a, p, sizeof a);
	p += sizeof a;
	if (len != sizeof a + a.name + a.profile ||
	    !string_take(p, a.name, out->name) ||
	    (a.profile > 0 &&
		!string_take(p + a.name, a.profile, out->profile)))
		return false;
	out->q.size = sizeof out->q;
	out->q.kind = (enum danevirke_kind)a.kind;
	out->q.flags = a.flags;
	out->q.port = a.port;
	out->q.name = out->name;
	out->q.profile = a.profile > 0 ? out->profile : NULL;
	return true;
}

/* ----------------------------------------------------------------- notes */

size_t
note_pack(int number, const char *text, uint8_t buf[NOTE_MAX])
{
	int32_t n = number;
	char *to = (char *)buf + sizeof n;

	memcpy(buf, &n, sizeof n);
	snprintf(to, NOTE_MAX - sizeof n, "%s", text);
	return sizeof n + strlen(to);
}

bool
note_unpack(const uint8_t *p, size_t len, struct danevirke_error *err)
{
	int32_t n;

	if (len < sizeof n || len >= NOTE_MAX ||
	    memchr(p + sizeof n, '\0', len - sizeof n) != NULL)
		return false;
	memcpy(&n, p, sizeof n);
	err->code = n;
	memcpy(err->text, p + sizeof n, len - sizeof n);
	err->text[len - sizeof n] = '\0';
	return true;
}

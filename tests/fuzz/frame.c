/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: what a resolver process and the program that asks it read from
 * each other.
 */
#include <event2/buffer.h>
#include <string.h>

#include "frame.h"
#include "fuzz.h"

/* What is a question is the same one when it is written again. */
static bool
check_question(const struct frame *f)
{
	struct question q, again;
	uint8_t buf[QUESTION_MAX];
	size_t len;

	if (!question_unpack(f->body, f->len, &q))
		return false;
	must(strlen(q.name) < sizeof q.name, "name");
	len = question_pack(&q.q, buf);
	must(len > 0 && question_unpack(buf, len, &again), "question");
	must(strcmp(q.name, again.name) == 0 &&
		strcmp(q.profile, again.profile) == 0 &&
		q.q.kind == again.q.kind && q.q.port == again.q.port &&
		q.q.flags == again.q.flags,
	    "another question");
	return true;
}

static bool
check_note(const struct frame *f)
{
	struct danevirke_error err, again;
	uint8_t buf[NOTE_MAX];
	size_t len;

	if (!note_unpack(f->body, f->len, &err))
		return false;
	len = note_pack(err.code, err.text, buf);
	must(note_unpack(buf, len, &again), "note");
	must(err.code == again.code && strcmp(err.text, again.text) == 0,
	    "another note");
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct evbuffer *in = evbuffer_new();
	bool good = false;
	struct frame f;

	must(in != NULL && evbuffer_add(in, data, len) == 0, "memory");
	while (frame_take(in, &f) == 1) {
		must(f.len <= FRAME_BODY && f.len < len, "length");
		good = check_question(&f) || good;
		good = check_note(&f) || good;
		frame_drop(in, &f);
	}
	evbuffer_free(in);
	fuzz_accepted += good;
	return 0;
}

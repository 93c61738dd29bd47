/* SPDX-License-Identifier: ISC */
/*
 * frame.h - what the two sides of a resolver process say to each other
 * (resolver.h), on a stream socket between two processes of one build.
 *
 * Neither side believes the other: a length is checked before it is used, and
 * what is no frame ends the process that sent it.
 */
#ifndef FRAME_H
#define FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "danevirke.h"

struct evbuffer;

enum frame_kind {
	/* to the resolver process */
	FRAME_ASK = 1, /* a question, packed */
	FRAME_CANCEL,  /* nobody waits for id any more */
	/* from it */
	FRAME_READY,  /* it is open: once; uint32_t milliseconds of a turn */
	FRAME_ALIVE,  /* now and then, while it works */
	FRAME_ANSWER, /* danevirke_v1.pack() */
	FRAME_FAILED, /* a note: enum danevirke_code and why */
	FRAME_LOG,    /* a note: level and text */
	FRAME_KINDS
};

#define FRAME_BODY (4u << 20) /* octets of a body at most */

struct frame {
	enum frame_kind kind;
	uint64_t id; /* of the question; 0: of none */
	const uint8_t *body;
	size_t len;
};

/* False: out of memory, and nothing was added. */
bool frame_add(struct evbuffer *, const struct frame *);
/* 1: the first frame, whole, whose body is in the buffer until frame_drop();
 * 0: more octets are needed; -1: this is no frame. */
int frame_take(struct evbuffer *, struct frame *);
void frame_drop(struct evbuffer *, const struct frame *);

#define QUESTION_NAME 1025 /* with its NUL */
#define QUESTION_MAX (2 * QUESTION_NAME + 16)

/* Octets written, 0: name or profile is too long. */
size_t
question_pack(const struct danevirke_question *, uint8_t buf[QUESTION_MAX]);

struct question {
	struct danevirke_question q; /* points to what follows */
	char name[QUESTION_NAME], profile[QUESTION_NAME];
};
/* False: these octets are no question. */
bool question_unpack(const uint8_t *, size_t len, struct question *);

#define NOTE_MAX (sizeof(int32_t) + sizeof((struct danevirke_error *)0)->text)

/* Octets written; the text is cut to fit. */
size_t note_pack(int number, const char *text, uint8_t buf[NOTE_MAX]);
/* err->code gets the number, whatever it means.  False: no note. */
bool note_unpack(const uint8_t *, size_t len, struct danevirke_error *);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * ask.h - some questions to one name server, all at once
 *
 * Over UDP, three times at most, and what does not fit there over TCP.  The
 * socket is connected and of a port of its own, and a reply is one only with
 * the number and the name of a question that is still open.
 */
#ifndef ASK_H
#define ASK_H

#include "danevirke.h"
#include "message.h"

struct event_base;

enum ask_state { ASK_OPEN, ASK_REPLY, ASK_SILENCE, ASK_ERROR, ASK_GARBAGE };

struct ask {
	struct wire name;
	int type;
	enum ask_state state;
	int error;          /* errno of ASK_ERROR */
	struct reply reply; /* ASK_REPLY: in the arena */
	uint16_t id;
};

struct talk;
/* All n are answered or given up.  The talk is gone. */
typedef void talk_done(void *arg);
/* A round of UDP brought nothing at all; true: give up now. */
typedef bool talk_silence(void *arg);

struct talk_options {
	struct event_base *base;
	struct arena *arena;
	size_t *octets; /* of replies that may still come, counted down; a
				 * reply that is beyond is GARBAGE */
	const struct danevirke_addr *addr;
	uint16_t port; /* 0: 53 */
	talk_silence *silence;
	talk_done *done;
	void *arg;
};

/* done() runs from the loop, once.  asks is the caller's, and must live until
 * then.  NULL: out of memory or descriptors, errno. */
struct talk *
talk_start(const struct talk_options *, struct ask *asks, size_t n);
void talk_cancel(struct talk *); /* no done(); NULL is allowed */

#endif

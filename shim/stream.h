/* SPDX-License-Identifier: ISC */
/*
 * stream.h - a byte stream on a non-blocking socket, with or without TLS
 *
 *	s = stream_new(base, fd, &ops, arg);
 *	stream_write(s, "QUIT\r\n", 6);
 *	... ops.readable: take bytes from stream_input(s) ...
 *
 * Nothing here blocks and no callback runs inside a call of this file, so
 * stream_free() is allowed everywhere, in every callback too.  One loop, one
 * thread.  Memory is bounded on the reading side: reading stops while
 * STREAM_INPUT bytes wait in stream_input().  On the writing side the caller
 * looks at stream_pending() and stops feeding; drained() says when to go on.
 * The process ignores SIGPIPE.
 */
#ifndef STREAM_H
#define STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include <gnutls/gnutls.h>

struct event_base;
struct evbuffer;
struct stream;

#define STREAM_INPUT 32768  /* octets read ahead at most */
#define STREAM_OUTPUT 65536 /* where a caller should stop feeding */

struct stream_ops {
	/* Bytes were added to stream_input(), which may hold older ones. */
	void (*readable)(void *arg);
	/* stream_pending() fell to STREAM_OUTPUT / 4 or below after having
	 * been above it.  May be NULL. */
	void (*drained)(void *arg);
	/* The handshake begun by stream_tls() is over: why NULL, or what
	 * failed; the stream is then of no more use.  NULL if never used. */
	void (*secured)(void *arg, const char *why);
	/* End of file or error (why, STREAM_CLOSED for the peer's end).  Once;
	 * what was read before is in the input. */
	void (*closed)(void *arg, const char *why);
};

#define STREAM_CLOSED "connection closed by peer"
#define STREAM_TIMED_OUT "timed out" /* what owners say: time is theirs */

/* Owns fd, connected and non-blocking, from here on.  Reading is on.  NULL: out
 * of memory, and fd is closed. */
struct stream *
stream_new(struct event_base *, int fd, const struct stream_ops *, void *arg);
/* New owner: its callbacks take over. */
void stream_set(struct stream *, const struct stream_ops *, void *arg);
/* Closes at once; what was not sent is lost.  NULL is allowed. */
void stream_free(struct stream *);
/* Sends what is pending, for at most seconds, then closes and frees; no
 * callback runs any more.  NULL is allowed. */
void stream_finish(struct stream *, unsigned seconds);

/* To be drained by the reader.  Belongs to the stream. */
struct evbuffer *stream_input(struct stream *);
/* The reader has drained the input: read on if that had stopped. */
void stream_consumed(struct stream *);
/* Queue bytes.  False: out of memory, nothing was queued. */
bool stream_write(struct stream *, const void *, size_t);
/* Moves all of buf (or the first len octets of it) to the output. */
bool stream_write_buffer(struct stream *, struct evbuffer *buf, size_t len);
size_t stream_pending(struct stream *);

/* Begins a handshake; the session is set up but for its transport, and belongs
 * to the stream from here on.  The input must be empty and nothing pending
 * (T09): else false and why in text (the caller then gives the stream up). */
bool stream_tls(struct stream *, gnutls_session_t, const char **why);
/* NULL without TLS. */
gnutls_session_t stream_session(struct stream *);

/* One line without its end (CRLF or LF), NUL-terminated, to be freed with
 * free(); NULL: no whole line there yet.  *too_long set: more than max octets
 * came without a line end (a protocol error).  A NUL in a line becomes '?'. */
char *stream_line(struct stream *, size_t max, size_t *len, bool *too_long);

#endif

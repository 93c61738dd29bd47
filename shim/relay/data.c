/* SPDX-License-Identifier: ISC */
/*
 * The message: octets as they come, from smtpd's input to the upstream's
 * output, never kept.  Backpressure: what the upstream does not take stays in
 * smtpd's input, which stops being read when it is full.
 *
 * The upstream sees the final dot only if smtpd has sent it, so a message that
 * breaks off on either side is no message.
 */
#include <event2/buffer.h>

#include "session.h"

void
data_refuse(struct session *s, const struct refusal *r)
{
	talk_leave(s, false);
	s->lost = false; /* this refusal says it all */
	s->hub->count[r->code / 100 == 5 ? COUNT_REFUSED : COUNT_LATER]++;
	talk_enter(s, SESSION_COMMAND);
	talk_refuse(s, r);
}

void
data_begin(struct session *s)
{
	s->dot = (struct dot){ 0 };
	s->octets = 0;
	talk_enter(s, SESSION_DATA);
}

void
data_pump(struct session *s)
{
	struct evbuffer *in = stream_input(s->client);
	struct evbuffer_iovec v;
	struct refusal r;
	struct dot before;
	bool end = false;
	size_t n;

	while (!end && stream_pending(s->upstream) <= STREAM_OUTPUT &&
	    evbuffer_peek(in, -1, NULL, &v, 1) > 0 && v.iov_len > 0) {
		before = s->dot;
		n = dot_find(&s->dot, v.iov_base, v.iov_len, &end);
		if (!stream_write_buffer(s->upstream, in, n)) {
			s->dot = before; /* it is still there, to be dropped */
			refusal_make(&r, 451, "4.3.0", "out of memory");
			data_fail(s, &r);
			return;
		}
		s->octets += n;
		s->progress = hub_now();
	}
	stream_consumed(s->client);
	if (!end)
		return;
	if (s->reply.lines == 0 &&
	    evbuffer_get_length(stream_input(s->upstream)) == 0) {
		talk_enter(s, SESSION_DOT);
		return;
	}
	/* Half a reply to what was not yet sent. */
	refusal_make(&r, 451, "4.5.0",
	    "%s: a reply before the message was complete", s->host);
	data_refuse(s, &r);
}

void
data_fail(struct session *s, const struct refusal *r)
{
	talk_leave(s, false); /* without the dot */
	s->lost = false;      /* smtpd hears of it at the end of the message */
	s->refusal = *r;
	talk_enter(s, SESSION_DISCARD);
}

void
data_discard(struct session *s)
{
	struct evbuffer *in = stream_input(s->client);
	struct evbuffer_iovec v;
	bool end = false;
	size_t n;

	while (
	    !end && evbuffer_peek(in, -1, NULL, &v, 1) > 0 && v.iov_len > 0) {
		n = dot_find(&s->dot, v.iov_base, v.iov_len, &end);
		evbuffer_drain(in, n);
		s->progress = hub_now();
	}
	stream_consumed(s->client);
	if (end)
		data_refuse(s, &s->refusal);
}

/* A refusal is the upstream's to give at any time, and counts; a 2xx before
 * the dot cannot be about a message it has not seen. */
void
data_early_reply(struct session *s)
{
	struct refusal r;
	char text[200];

	reply_text(&s->reply, text, sizeof text);
	if (s->reply.code >= 400)
		refusal_quote(&r, &s->reply);
	else
		refusal_make(&r, 451, "4.5.0",
		    "%s: \"%d %s\" before the message was complete", s->host,
		    s->reply.code, text);
	reply_reset(&s->reply);
	data_fail(s, &r);
}

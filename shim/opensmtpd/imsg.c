/* SPDX-License-Identifier: ISC */
/*
 * The table protocol of OpenSMTPD up to 7.5: imsg, in the order of octets of
 * the machine.  Pure; every length is checked before it is used.
 *
 *	u32 type, u16 length with this header, u16 flags, u32 peer, u32 pid
 *
 * smtpd sends one request and waits for its reply, which has no other mark
 * than its place.  So every request but CLOSE is answered, whatever it holds.
 */
#include <stdio.h>
#include <string.h>

#include "table.h"

#define HEADER 16
#define VERSION 2
#define RELAYHOST 0x200

enum {
	TYPE_OK,
	TYPE_FAIL,
	TYPE_OPEN,
	TYPE_CLOSE,
	TYPE_UPDATE,
	TYPE_CHECK,
	TYPE_LOOKUP,
	TYPE_FETCH
};

static uint32_t
imsg_get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static uint16_t
imsg_get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof v);
	return v;
}

static void
imsg_bad(struct request *r, const char *why)
{
	r->op = REQUEST_BAD;
	r->why = why;
}

/* u32 version, name of the table; its length is that of smtpd's LINE_MAX. */
static bool
imsg_open(const uint8_t *p, size_t len, struct request *r)
{
	if (len < sizeof(uint32_t) || imsg_get32(p) != VERSION) {
		r->why = "imsg: OPEN: want version 2 of the table protocol";
		return false;
	}
	if (memchr(p + 4, '\0', len - 4) == NULL) {
		r->why = "imsg: OPEN: the name of the table does not end";
		return false;
	}
	r->op = REQUEST_OPEN;
	return true;
}

/* u32 service, size_t number of parameters, NUL-terminated key or nothing. */
static void
imsg_query(const uint8_t *p, size_t len, bool keyed, struct request *r)
{
	const size_t fixed = sizeof(uint32_t) + sizeof(size_t);
	size_t params, key;

	if (len < fixed) {
		imsg_bad(r, "imsg: a request is too short");
		return;
	}
	r->relayhost = imsg_get32(p) == RELAYHOST;
	memcpy(&params, p + sizeof(uint32_t), sizeof params);
	if (params != 0) {
		imsg_bad(r, "imsg: a request has parameters: want none");
		return;
	}
	p += fixed;
	key = len - fixed;
	if (!keyed) {
		if (key != 0)
			imsg_bad(r, "imsg: FETCH: something follows");
		return;
	}
	if (key == 0 || memchr(p, '\0', key) != p + key - 1) {
		imsg_bad(r, "imsg: a key does not end where its message does");
		return;
	}
	if (key > sizeof r->key) {
		imsg_bad(r, "imsg: a key is longer than 1023 octets");
		return;
	}
	memcpy(r->key, p, key);
}

ssize_t
imsg_parse(const uint8_t *buf, size_t len, struct request *r)
{
	const uint8_t *p = buf + HEADER;
	size_t n;

	memset(r, 0, sizeof *r);
	if (len < HEADER)
		return 0;
	n = imsg_get16(buf + 4);
	if (n < HEADER || n > REQUEST_MAX) {
		r->why = "imsg: length out of range, want 16 to 16384";
		return -1;
	}
	if (len < n)
		return 0;
	switch (imsg_get32(buf)) {
	case TYPE_OPEN:
		if (!imsg_open(p, n - HEADER, r))
			return -1;
		break;
	case TYPE_CLOSE:
		r->op = REQUEST_CLOSE;
		break;
	case TYPE_UPDATE:
		r->op = REQUEST_UPDATE;
		break;
	case TYPE_CHECK:
		r->op = REQUEST_CHECK;
		imsg_query(p, n - HEADER, true, r);
		break;
	case TYPE_LOOKUP:
		r->op = REQUEST_LOOKUP;
		imsg_query(p, n - HEADER, true, r);
		break;
	case TYPE_FETCH:
		r->op = REQUEST_FETCH;
		imsg_query(p, n - HEADER, false, r);
		break;
	default:
		imsg_bad(r, "imsg: unknown type");
	}
	return (ssize_t)n;
}

/* The reply to OPEN is empty; to the others an int, and after a LOOKUP or FETCH
 * that found something the value with its NUL. */
size_t
imsg_reply(const struct request *r, enum table_reply reply, const char *text,
    uint8_t buf[REPLY_MAX])
{
	const uint32_t type = TYPE_OK;
	const int32_t value = reply;
	size_t n = HEADER, len;
	uint16_t n16;

	memset(buf, 0, HEADER);
	memcpy(buf, &type, sizeof type);
	if (r->op != REQUEST_OPEN) {
		memcpy(buf + n, &value, sizeof value);
		n += sizeof value;
	}
	if (reply == REPLY_YES &&
	    (r->op == REQUEST_LOOKUP || r->op == REQUEST_FETCH)) {
		len = strnlen(text, REPLY_MAX - n - 1);
		memcpy(buf + n, text, len);
		buf[n + len] = '\0';
		n += len + 1;
	}
	n16 = (uint16_t)n;
	memcpy(buf + 4, &n16, sizeof n16);
	return n;
}

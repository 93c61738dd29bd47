/* SPDX-License-Identifier: ISC */
/* reply.h - one line of what an SMTP server says, for all who listen; pure */
#ifndef REPLY_H
#define REPLY_H

#define REPLY_LINES 100 /* of one reply, at most */

/* RFC 5321 4.2: 1: the last line of a reply, 0: more come, -1: that is no
 * reply.  line is without its end; text: what follows the code. */
int reply_line(const char *line, int *code, const char **text);
/* RFC 5321 4.1.1.1, without case: what follows this keyword in a line of an
 * EHLO reply, "" if nothing does; NULL: another one. */
const char *reply_keyword(const char *line, const char *keyword);

#endif

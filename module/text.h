/* SPDX-License-Identifier: ISC */
/*
 * text.h - text that a stranger or an administrator wrote: for the module, the
 * shims and the tool
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In place: one line.  Controls become "?", the rest stays, UTF-8 too. */
void text_line(char *);
/* Octets of the UTF-8 character at s, 0 if there is none (RFC 3629 4). */
size_t utf8_len(const char *s);
/* The same, 0 for a control too: some terminals obey those of C1. */
size_t utf8_printable(const char *s);
/* What a hexadecimal digit says, -1: it is none. */
int text_hex(char);
/* Days from 1970-01-01 to a date, where time_t may be too small; false: there
 * is no such date. */
bool text_day(int year, int month, int day, int64_t *out);

#endif

/* SPDX-License-Identifier: ISC */
/* Text that a stranger wrote; see text.h.  Pure. */
#include "text.h"

void
text_line(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

size_t
utf8_len(const char *text)
{
	static const struct {
		unsigned char min, max, low, high, len;
	} t[] = {
		{ 0x01, 0x7f, 0, 0, 1 },
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};
	const unsigned char *s = (const unsigned char *)text;

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		if (*s < t[i].min || *s > t[i].max)
			continue;
		if (t[i].len > 1 && (s[1] < t[i].low || s[1] > t[i].high))
			return 0;
		for (size_t k = 2; k < t[i].len; k++)
			if ((s[k] & 0xc0) != 0x80)
				return 0;
		return t[i].len;
	}
	return 0;
}

size_t
utf8_printable(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	if (*s < ' ' || *s == 0x7f || (*s == 0xc2 && s[1] < 0xa0))
		return 0;
	return utf8_len(text);
}

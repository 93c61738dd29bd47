/* SPDX-License-Identifier: ISC */
/* Text that somebody else wrote; see text.h.  Pure. */
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

int
text_hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	    c >= 'a' && c <= 'f'    ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F'    ? c - 'A' + 10 :
				      -1;
}

bool
text_day(int year, int month, int day, int64_t *out)
{
	static const int length[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
		30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	int past = year - 1;

	if (year < 1 || month < 1 || month > 12 || day < 1 ||
	    day > length[month - 1] + (leap && month == 2))
		return false;
	/* 0001-01-01 is 719162 days before 1970-01-01 */
	*out = past * 365 + past / 4 - past / 100 + past / 400 - 719162 + day -
	    1 + (leap && month > 2);
	for (int m = 1; m < month; m++)
		*out += length[m - 1];
	return true;
}

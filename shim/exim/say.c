/* SPDX-License-Identifier: ISC */
/* What Exim gives a hook, and what it is given: arguments, texts. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shim.h"

/* Text that Exim takes for untainted: malloc'd.  What is OK it copies at once,
 * so that the next call may free it; to that of a failure it keeps pointing. */
int
exim_hand(uschar **yield, int code, char *text)
{
	static char *last;

	if (code == OK) {
		free(last);
		last = text;
	}
	*yield = (uschar *)text;
	return code;
}

int
exim_give(uschar **yield, int code, const char *fmt, ...)
{
	static char none[] = "danevirke: out of memory";
	va_list ap;
	char *s;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n != -1)
		return exim_hand(yield, code, s);
	*yield = (uschar *)none;
	return code == OK ? FAIL : code;
}

const char *
exim_arg(int argc, uschar **argv, int i)
{
	return i < argc && argv[i] != NULL ? (const char *)argv[i] : "";
}

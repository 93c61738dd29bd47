/* SPDX-License-Identifier: ISC */
/* What Exim gives a hook, and what it is given: arguments, log, texts. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "shim.h"

#define LOG_MAIN 1

/* Exim's; absent in a test, and in an Exim that does not export it. */
extern void log_write(unsigned, int, const char *, ...) __attribute__((weak));

void
exim_say(const char *fmt, ...)
{
	char line[TEXT_LEN + 600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (log_write != NULL)
		log_write(0, LOG_MAIN, "danevirke: %s", line);
}

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

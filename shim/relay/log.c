/* SPDX-License-Identifier: ISC */
/* Lines for syslog, of parent, relay and the checking child. */
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>

#include "process.h"

void
log_line(int level, const char *fmt, ...)
{
	char line[2048], *p;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	for (p = line; *p != '\0'; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	syslog(level, "%s", line);
}

void
log_open(const char *ident, const struct checked *c)
{
	openlog(ident, LOG_PID | LOG_NDELAY, c->facility);
	setlogmask(LOG_UPTO(c->level));
}

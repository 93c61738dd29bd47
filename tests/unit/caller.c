/* SPDX-License-Identifier: ISC */
/*
 * A program that exports what an Exim exports, and calls exim.so; see callers.sh,
 * which says by macros which Exim that is:
 *
 *	FORM	499 or 4100: how its log_write() is called, 0: it must not be;
 *		undefined: it has none
 *	SELECTOR, DEBUG, CHANNEL	it exports that symbol
 *
 * It prints each line of the log, "mainlog" or "syslog" before it, and with an
 * argument what each function gave.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>

void __syslog_chk(int, int, const char *, ...);

static void
line(const char *where, const char *fmt, va_list ap)
{
	printf("%s ", where);
	vprintf(fmt, ap);
	putchar('\n');
}

static void
to_syslog(int priority, const char *fmt, va_list ap)
{
	line((priority & LOG_FACMASK) == LOG_MAIL ? "syslog" : "elsewhere", fmt,
	    ap);
}

void
syslog(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	to_syslog(priority, fmt, ap);
	va_end(ap);
}

/* What it is called with _FORTIFY_SOURCE */
void
__syslog_chk(int priority, int flag, const char *fmt, ...)
{
	va_list ap;

	(void)flag;
	va_start(ap, fmt);
	to_syslog(priority, fmt, ap);
	va_end(ap);
}

#ifdef FORM
#if FORM == 499
void log_write(unsigned, int, const char *, ...);
void
log_write(unsigned selector, int flags, const char *fmt, ...)
{
	if (selector != 0)
		abort();
#else
void log_write(int, const char *, ...);
void
log_write(int flags, const char *fmt, ...)
{
#endif
	va_list ap;

	if (flags != 1 || FORM == 0)
		abort();
	va_start(ap, fmt);
	line("mainlog", fmt, ap);
	va_end(ap);
}
#endif

#ifdef SELECTOR
extern unsigned debug_selector[4];
unsigned debug_selector[4];
#endif
#ifdef DEBUG
int is_debug(const char *);
int
is_debug(const char *channel)
{
	(void)channel;
	abort();
}
#endif
#ifdef CHANNEL
void debug_modify_channel(const char *);
void
debug_modify_channel(const char *channel)
{
	(void)channel;
	abort();
}
#endif

static void
call(void *shim, const char *name, int argc, char **argv, int show)
{
	int (*f)(unsigned char **, int, unsigned char **), code;
	unsigned char *yield = NULL;

	*(void **)&f = dlsym(shim, name);
	if (f == NULL)
		abort();
	code = f(&yield, argc, (unsigned char **)argv);
	if (show)
		printf("%s %s %d: %s\n", name, argv[4], code, yield);
	if (code == 2) /* a failure's text is Exim's */
		free(yield);
}

int
main(int argc, char **argv)
{
	static const char *const names[] = { "danevirke_route",
		"danevirke_unroutable", "danevirke_require_tls",
		"danevirke_sni", "danevirke_priority", "danevirke_gate",
		"danevirke_auth", "danevirke_event", "danevirke_event" };
	static char profile[] = "default", domain[] = "example.org",
		    address[] = "192.0.2.1", port[] = "25",
		    connect[] = "tcp:connect", cert[] = "tls:cert",
		    zero[] = "0", none[] = "";
	char *args[] = { profile, domain, address, port, connect, zero, none };
	void *shim = dlopen(argc > 1 ? argv[1] : "", RTLD_LAZY);
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (shim == NULL) {
		puts(dlerror());
		return 1;
	}
	if (argc == 2) { /* too few arguments, twice: two lines */
		call(shim, names[0], 1, args, 0);
		call(shim, names[0], 1, args, 0);
		return 0;
	}
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		call(shim, names[i], 7, args, 1);
		if (i == 7)
			args[4] = cert;
	}
	return 0;
}

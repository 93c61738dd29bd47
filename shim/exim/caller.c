/* SPDX-License-Identifier: ISC */
/*
 * Which Exim has loaded this library: what its log takes, and whose TLS it
 * speaks.  Of Exim's symbols log_write() alone is called, and only in a form
 * that is known to be that of this version; what is not known is not called,
 * and not trusted.
 */
#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "shim.h"

#define LOG_MAIN 1 /* Exim's */

/* Exim's log_write() has had two forms, and other symbols tell which this is. */
#define EXIMS(symbol) __asm__(symbol) __attribute__((weak))
extern void log_write_499(unsigned, int, const char *, ...) EXIMS("log_write");
extern void log_write_4100(int, const char *, ...) EXIMS("log_write");
extern char debug_selector EXIMS("debug_selector");
extern void is_debug(void) EXIMS("is_debug");
extern void debug_modify_channel(void) EXIMS("debug_modify_channel");

static void
caller_log(const char *line)
{
	static bool said;
	/* some builds of 4.100 export debug_selector still */
	bool from_4100 = is_debug != NULL && debug_modify_channel != NULL;
	bool to_499 = is_debug == NULL && debug_modify_channel == NULL &&
	    &debug_selector != NULL;

	if (log_write_499 != NULL && to_499)
		log_write_499(0, LOG_MAIN, "danevirke: %s", line);
	else if (log_write_4100 != NULL && from_4100)
		log_write_4100(LOG_MAIN, "danevirke: %s", line);
	else {
		if (!said)
			syslog(LOG_MAIL | LOG_WARNING,
			    "danevirke: this version of Exim is not known: "
			    "what belongs into its log is written here");
		said = true;
		syslog(LOG_MAIL | LOG_INFO, "danevirke: %s", line);
	}
}

void
exim_say(const char *fmt, ...)
{
	char line[TEXT_LEN + 600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	caller_log(line);
}

/* Is this library among those that the program itself was linked with?  What
 * others have brought into the process says nothing of Exim. */
static bool
caller_needs(const char *library)
{
	const struct link_map *program = NULL;
	void *self = dlopen(NULL, RTLD_LAZY);
	const ElfW(Dyn) * d;
	ElfW(Addr) names = 0;
	bool found = false;

	if (self == NULL || dlinfo(self, RTLD_DI_LINKMAP, &program) != 0 ||
	    program == NULL || program->l_ld == NULL)
		return false;
	for (d = program->l_ld; d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_STRTAB)
			names = d->d_un.d_ptr;
	if (names < program->l_addr) /* some loaders leave an offset there */
		names += program->l_addr;
	for (d = program->l_ld; names != 0 && d->d_tag != DT_NULL; d++)
		if (d->d_tag == DT_NEEDED &&
		    strncmp((const char *)names + d->d_un.d_val, library,
			strlen(library)) == 0)
			found = true;
	dlclose(self);
	return found;
}

/* With OpenSSL tls_require_ciphers is no priority string, which Exim takes for
 * a broken TLS and sends in the clear; and tls:cert shows another chain than
 * the server's, or none. */
bool
caller_fits(char *why)
{
	static int fits = -1;

	if (fits == -1)
		fits = caller_needs("libgnutls.so");
	if (!fits)
		snprintf(why, TEXT_LEN,
		    "this Exim is not built with GnuTLS: use danevirked(8)");
	return fits;
}

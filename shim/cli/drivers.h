/* SPDX-License-Identifier: ISC */
/* drivers.h - what exim -bP and exim -bt print */
#ifndef DRIVERS_H
#define DRIVERS_H

#include <stdbool.h>
#include <stddef.h>

struct driver_option {
	const char *name, *value; /* "true", "false" of a switch */
};
struct driver {
	const char *name; /* of a router ...; "" of the main options */
	struct driver_option *option;
	size_t n;
};
struct drivers {
	char *text; /* what all the others point into */
	struct driver *driver;
	size_t n;
};

/* exim -bP routers, transports, authenticators, or -bP.  0, or -1: out of
 * memory.  drivers_free() in any case. */
int drivers_read(const char *text, struct drivers *);
void drivers_free(struct drivers *);
const struct driver *drivers_find(const struct drivers *, const char *name);
/* "" if it is empty or this Exim does not know it. */
const char *driver_get(const struct driver *, const char *option);
bool driver_knows(const struct driver *, const char *option);
/* Does the option's text hold this? */
bool driver_has(const struct driver *, const char *option, const char *part);

/* Argument n of ${dlfunc{FILE}{function}{1}{2}...}, 0 is FILE, into buf; false:
 * the text has no such call or argument. */
bool dlfunc_argument(
    const char *text, const char *function, unsigned n, char *buf, size_t len);

struct bt {
	char router[64], transport[64]; /* "" if it goes nowhere */
	char reason[256];               /* then why */
	bool waits;                     /* and it is tried again */
};
/* exim -bt of one address */
void bt_read(const char *text, struct bt *);
/* "Exim version 4.96 #2": "4.96"; false: none */
bool bv_version(const char *text, char version[32]);
/* Is word one of those behind "Support for:"? */
bool bv_supports(const char *text, const char *word);
/* "Configuration file is ..." */
bool bv_file(const char *text, char file[256]);

#endif

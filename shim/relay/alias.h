/* SPDX-License-Identifier: ISC */
/* alias.h - a mail domain and its loopback address, pure */
#ifndef ALIAS_H
#define ALIAS_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOMAIN_LEN 256 /* with its NUL */

/* The one spelling of a mail domain: lower case, no final dot; a literal is
 * "[192.0.2.1]" or "[ipv6:2001:db8::1]".  False, and why (constant text), if
 * it is no name that mail could go to. */
bool alias_domain(const char *key, char out[DOMAIN_LEN], const char **why);

struct alias {
	char domain[DOMAIN_LEN];
	uint32_t addr; /* host order */
	uint16_t port;
	bool served;   /* the relay listens, or is to; else it is only held */
	int fd;        /* the owner's to open and close; -1 in a new one */
	bool told;     /* the owner's: the relay knows of it */
	uint64_t used; /* seconds, of the last alias_use(), or as the owner
			* says */

	TAILQ_ENTRY(alias) order; /* of the held, or of the served */
	LIST_ENTRY(alias) same_domain, same_addr; /* hash chains */
};

struct aliases;

/* At most max of them, 1 to 65536.  All memory is taken here; NULL: there is
 * none.  key: random, and nobody else's. */
struct aliases *alias_new(uint32_t max, const uint64_t key[2]);
void alias_free(struct aliases *); /* closes nothing; NULL is allowed */
/* The present range and port: to be set before anything else.  Entries of
 * another stay where they are. */
void
alias_range(struct aliases *, uint32_t first, uint32_t last, uint16_t port);
bool alias_present(const struct aliases *, const struct alias *);
/* A present one; NULL: none.  domain as alias_domain() wrote it. */
struct alias *alias_find(struct aliases *, const char *domain);
bool alias_full(const struct aliases *);
/* A new one, held.  Its address depends on domain and key alone unless another
 * has that one: then the next free.  NULL: the table or the range is full. */
struct alias *alias_add(struct aliases *, const char *domain, uint64_t now);
/* This one cannot be bound: to the n-th other place.  False: none is free. */
bool alias_move(struct aliases *, struct alias *, unsigned n);
void alias_use(struct aliases *, struct alias *, uint64_t now); /* is served */
void alias_hold(struct aliases *, struct alias *);
/* Is served, though nobody has asked for it: as the oldest. */
void alias_wake(struct aliases *, struct alias *);
/* Its address is another domain's from now on. */
void alias_rename(struct aliases *, struct alias *, const char *domain);
void alias_remove(struct aliases *, struct alias *);
uint32_t alias_count(const struct aliases *, bool served);
/* In order of use, as they came to be served or held.  NULL: no more. */
struct alias *alias_oldest(struct aliases *, bool served);
struct alias *alias_newer(const struct alias *);
/* Each in turn, newest first: NULL, the newest, ... NULL */
struct alias *alias_next(struct aliases *, bool served, const struct alias *);

#endif

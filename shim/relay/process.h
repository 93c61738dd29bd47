/* SPDX-License-Identifier: ISC */
/*
 * process.h - what a parent and its relay child share
 *
 * The parent is a mail server's front end.  It answers from memory and holds
 * nothing but the table of aliases and their listening sockets.
 *
 *	parent.c	the configuration, and the poll loop
 *	check.c		the short-lived child that reads a configuration
 *	metrics.c	the file of metrics
 *	listen.c	the listening sockets
 *	child.c		starts, tells and buries relay children
 *	guard.c		whose connection it is
 *	alias.c		domain -> loopback address, pure (alias.h)
 *	log.c		lines for syslog
 *
 * DNS, TLS and SMTP happen in the relay child (relay.h): forked, and where the
 * system can, executed anew, so that a crash tells nothing about the next
 * child's memory.  The parent never loads danevirke.so.
 *
 * What the child finds when relay_run() is called
 * - Open: args->control, fd 2, and 0 and 1 on /dev/null.  The listening sockets
 *   come over control.  Syslog is open: ident of the program, LOG_PID, the
 *   configured facility and level.
 * - Signals: HUP, INT, PIPE, TERM and USR1 ignored, the rest default, nothing
 *   blocked.  On Linux the process is named danevirke-relay.
 * - The soft limit of descriptors is raised to the hard one.
 *
 * What the child must do
 * - Write a struct relay_beat to control when it could accept connections
 *   (after an update, this is when its predecessor is told to end), from then
 *   on each RELAY_BEAT seconds, and before it exits: a child that is silent for
 *   RELAY_SILENCE seconds hangs, and is replaced as one that died.
 * - Read control before it accepts anything: an address may have changed hands
 *   and the parent has told so before it told smtpd.
 * - End of file on control: the parent is gone, _exit() at once.
 * - RELAY_DRAIN: close the listening sockets, finish the sessions, exit 0
 *   within RELAY_DRAIN_MAX seconds.  Another child has taken over.
 * - Refuse (451) a recipient whose domain, by alias_domain(), is not the
 *   session's: smtpd may hold an address longer than its domain does, and may
 *   send two domains that had one address over one session.  A session keeps
 *   the domain that its address had when it was accepted.
 * It may exit or crash at any time: the parent starts another and hands over
 * all aliases again; connections wait in the listening sockets meanwhile.
 * The parent reads nothing from control but these, which are numbers for the
 * file of metrics and for nothing else.
 */
#ifndef PROCESS_H
#define PROCESS_H

#include <sys/types.h>

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "alias.h"

/* ---------------------------------------------------- parent to child */

struct relay_args {
	int control;              /* SOCK_SEQPACKET, non-blocking, cloexec */
	const char *ident;        /* of the program, for syslog */
	const char *config;       /* absolute path of the configuration */
	const char *const *users; /* who may connect, if relay.user does not
				   * say it; the last is NULL */
	bool last_words;          /* its clients are told if it dies */
	/* As the parent uses them, should the file have changed since; an alias
	 * may be of a former range or port. */
	uint32_t first, last; /* alias range, IPv4, host order */
	uint16_t port;        /* of all aliases */
	uint32_t max;         /* aliases at most */
};

enum relay_op {
	RELAY_ADD = 1, /* with one descriptor: a listening TCP socket,
			* non-blocking, cloexec, bound to addr:port; the
			* address is not known to the child yet */
	RELAY_REMOVE,  /* addr is only held: close its listening socket; its
			* sessions go on.  domain is empty */
	RELAY_DRAIN    /* end gracefully; addr and port 0, domain empty */
};

#define RELAY_DRAIN_MAX 3600 /* seconds; then the parent kills */
#define RELAY_BEAT 2
#define RELAY_SILENCE 10

/* One datagram of control is exactly one of these. */
struct relay_msg {
	uint32_t op;   /* enum relay_op */
	uint32_t addr; /* host order */
	uint32_t port;
	char domain[DOMAIN_LEN]; /* as alias_domain() writes it */
};

/* ---------------------------------------------------- child to parent */

enum count {
	COUNT_SESSIONS,
	COUNT_STRANGERS, /* connections refused */
	COUNT_PAUSED,    /* times a limit was met */
	/* upstream sessions that were judged good, and of them by verdict */
	COUNT_UPSTREAM,
	COUNT_DANE,
	COUNT_DANE_INSECURE_MX,
	COUNT_MTA_STS,
	COUNT_ENCRYPT,
	COUNT_TLS,
	COUNT_CLEAR,
	COUNT_DEFERRED, /* hosts, attempts and domains that could not be used */
	COUNT_BOUNCED,
	COUNT_TAKEN, /* messages, by the upstream's reply after the dot */
	COUNT_LATER,
	COUNT_REFUSED,
	COUNT_BROKEN, /* upstream sessions lost in a transaction */
	COUNT_OCTETS, /* of messages that were taken, as they were sent */
	COUNT_FAILED, /* upstream sessions, by enum starttls_state */
	COUNT_MAX = COUNT_FAILED + 7
};

struct relay_beat {
	uint64_t count[COUNT_MAX];
	uint64_t sessions; /* now */
};

/* ------------------------------------------------------- configuration */

#define RELAY_USERS 16 /* in relay.user at most */

/* What the parent needs to know of a configuration.  Comes from the checking
 * child as it is. */
struct checked {
	int ok;               /* 1, or 0 and text */
	uint32_t first, last; /* alias range, host order */
	uint32_t max;         /* aliases */
	uint16_t port;
	int facility, level; /* of syslog(3) */
	/* danevirked's */
	uint32_t n_users; /* who may ask */
	uid_t users[RELAY_USERS];
	struct checked_map {
		char path[108];
		uint32_t mode;
		gid_t gid;     /* -1: as it is made */
		uid_t uid;     /* whom root becomes; 0: it is not root */
		uint32_t addr; /* host order */
		uint16_t port; /* 0: none */
	} map;
	char metrics[108]; /* relay.metrics, "": none */
	char text[1936];   /* one line; the whole fits into PIPE_BUF */
};

/* ---------------------------------------------------------------- guard */

struct danevirke_settings;
struct front;

/* Who may connect. */
struct guard {
	int diag; /* sock_diag */
	size_t n;
	uid_t uids[RELAY_USERS + 1];
};

/* The users of relay.user that this system knows, or if it is not set those of
 * defaults.  How many. */
size_t guard_users(const struct danevirke_settings *,
    const char *const *defaults, uid_t uids[RELAY_USERS]);
/* Opens diag.  0, or -1 and the log says why. */
int guard_diag(struct guard *);
/* Did one of them connect to addr:port?  Everything else, not known included,
 * no: why (one line). */
bool guard_client(const struct guard *, int fd, uint32_t addr, uint16_t port,
    char *why, size_t len);
/* The same of a Unix socket. */
bool guard_local(const struct guard *, int fd, char *why, size_t len);

/* ------------------------------------------------------------ children */

/* All that concerns relay children.  The caller fills the first part. */
struct relays {
	const char *ident;  /* of this program, for syslog */
	const char *config; /* absolute path */
	const struct front *front;
	struct checked conf;
	struct aliases *aliases; /* all of them listening; told is ours */
	int held;                /* epoll: those that no relay listens at */
	uint64_t wake;           /* not before: there was no room */
	int other;               /* one more descriptor that children must not
				  * have; -1: none */
	uint64_t complained;     /* of a full table; 0: never */
	int exe;                 /* this program, to be executed; -1: none */

	time_t started;        /* when the parent was; the clock's */
	uint64_t deaths;       /* of now */
	uint64_t strangers;    /* whom the front end has refused */
	struct relay_beat all; /* what those that have ended had counted */
	uint64_t metrics;      /* not before: written a moment ago */
	bool unwritten;        /* and the log says why */

	struct relay {
		pid_t pid; /* 0: none */
		int control;
		uint64_t time;  /* started; of an old one: to be killed */
		uint64_t heard; /* when it last showed that it lives */
		struct relay_beat beat; /* what it said then */
	} now, next, old[4]; /* next: not yet ready to take over; old: told to
			      * end gracefully */
	size_t untold;       /* aliases that now has not been told of */
	uint64_t listened;   /* when the last tick was */
	uint64_t start;      /* when to start the next, if now has ended */
	unsigned backoff;    /* seconds from an end to a start */
};

/* Time is in seconds of CLOCK_MONOTONIC. */

/* In a fresh child: signals, standard descriptors; closes the parent's. */
void child_enter(struct relays *);
/* HUP, INT, PIPE, TERM and USR1 are nothing to this process. */
void child_ignore(void);
/* Starts what is due, kills what is overdue or silent. */
void relays_tick(struct relays *, uint64_t now);
/* When to tick again. */
uint64_t relays_next(const struct relays *);
/* A child has ended.  False: none of ours. */
bool relays_ended(struct relays *, pid_t, int status, uint64_t now);
/* Tells the relay of new aliases, as many as it takes now. */
void relays_tell(struct relays *);
/* This alias is given up.  False: the relay cannot be told now. */
bool relays_forget(struct relays *, const struct alias *);
/* An update, step by step: next is started with this configuration ... */
bool relays_prepare(struct relays *, const struct checked *, uint64_t now);
/* ... 1: it is ready; 0: not yet; -1: it has failed ... */
int relays_ready(const struct relays *);
/* ... now is told to end gracefully, and next becomes now; relays_renew() then
 * tells it of all aliases.  False: now cannot be told; next is still there
 * ... */
bool relays_swap(struct relays *, uint64_t now);
void relays_renew(struct relays *);
/* ... or next is killed. */
void relays_abandon(struct relays *);
void relays_kill(struct relays *);
/* All are told to end gracefully, and none is started.  True: they have. */
bool relays_stop(struct relays *, uint64_t now);
/* What they all have counted, also those that have ended. */
void relays_count(const struct relays *, struct relay_beat *);
/* The program as a relay, as relays_tick() executes it; never returns. */
void relay_main(char **argv, const struct front *) __attribute__((noreturn));

/* ----------------------------------------------------------- addresses */

#define ADDRESS_LEN 16

void address_text(uint32_t addr, char buf[ADDRESS_LEN]);
/* The table, empty.  False: there is no memory or the like, see errno. */
bool addresses_open(struct relays *, const struct checked *);
/* Range and port of a configuration are the present ones, and it is sure that
 * nobody else can listen on all addresses of that port.  False, and why, if
 * somebody does already: nothing has changed. */
bool addresses_range(struct relays *, const struct checked *, uint64_t now,
    char *why, size_t len);
/* Those of another range or port are only held: the relay that served them has
 * been told to end. */
void addresses_settle(struct relays *, uint64_t now);
/* smtpd has connected to some that are held: they are served again. */
void addresses_wake(struct relays *, uint64_t now);
/* The alias of a domain, served; the relay is told of a new one.  NULL: the log
 * says why. */
struct alias *address_of(struct relays *, const char *domain, uint64_t now);
/* As many aliases as configured, or as descriptors allow that the relay needs
 * for sessions, too; then with a warning. */
uint32_t address_limit(const struct checked *);

/* It will be written there, "": nowhere, and is removed where it was. */
void metrics_move(struct relays *, const char *to);
/* Writes relay.metrics, if that is due. */
void metrics_tick(struct relays *, uint64_t now);

/* A line for syslog; what others sent is made printable. */
void
log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_open(const char *ident, const struct checked *);

/* --------------------------------------------------------------- parent */

#define CHECK_TIMEOUT 10 /* seconds */
#define PARENT_FDS 3     /* descriptors that it waits for itself */

/* May a front end work by this configuration?  False, and why in c->text.  In a
 * process of its own. */
typedef bool check_fits(const struct danevirke_settings *, struct checked *c);

/* Reads config, logs its errors, and writes a struct checked to fd.  For a
 * process of its own. */
void check_run(const char *config, check_fits *, int fd);
/* Is it a struct that check_run() could have written? */
bool check_sane(const struct checked *);

/* What the parent needs of its front end. */
struct front {
	check_fits *fits;
	/* The first configuration is good, and nothing listens yet.  False, and
	 * why: it cannot work.  NULL: it need not know. */
	bool (*begin)(const struct checked *, char *why, size_t len);
	const char *const *users; /* as in struct relay_args */
	bool last_words;          /* as there, too */
	void (*leave)(void);      /* closes its descriptors in a child; NULL: it
				   * has none */
	unsigned own;             /* as many it may have */
	void (*on_signal)(int);   /* HUP, INT and TERM; NULL: ignored */
	/* An update is over; why: it was not taken over.  NULL: it was. */
	void (*updated)(const char *why);
};

struct parent {
	const struct front *front;
	struct relays relays;
	sigset_t mask; /* while it waits */
	bool serving;  /* the first configuration is read */
	uint64_t now;  /* seconds of CLOCK_MONOTONIC, of this turn */

	bool checking;       /* first other is read, then next gets ready */
	pid_t checker;       /* 0: has ended */
	uint64_t check_ends; /* at the latest */
	struct checked next; /* what the next relay is started with */
};

/* Sets the process up and begins to read its first configuration.  If that
 * cannot be used, parent_refuse(). */
void parent_open(struct parent *, const struct front *, const char *ident,
    const char *config);
/* Begins an update; not while checking. */
void parent_check(struct parent *);
/* One turn of the loop.  Waits for the n descriptors of fds, of which the first
 * PARENT_FDS are the parent's to write, or until a time; UINT64_MAX: no such
 * time. */
void parent_wait(struct parent *, struct pollfd *fds, size_t n, uint64_t until);
/* With all its children. */
void parent_quit(struct parent *, int status) __attribute__((noreturn));
/* The log and standard error say why. */
void parent_refuse(struct parent *, const char *fmt, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

#endif

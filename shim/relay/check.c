/* SPDX-License-Identifier: ISC */
/*
 * Is this configuration good, and what does it say that the parent must know?
 * Asked in a process of its own, for it loads the module, and the parent must
 * not.  The relay will read the file again, for itself.
 */
#include <sys/socket.h>

#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "danevirke.h"
#include "load.h"
#include "process.h"

static void
check_on_log(void *arg, int level, const char *text)
{
	(void)arg;
	if (level <= LOG_WARNING)
		log_line(level, "%s", text);
}

static int
check_facility(const char *word)
{
	static const struct {
		const char *word;
		int facility;
	} all[] = { { "mail", LOG_MAIL }, { "daemon", LOG_DAEMON },
		{ "user", LOG_USER }, { "local0", LOG_LOCAL0 },
		{ "local1", LOG_LOCAL1 }, { "local2", LOG_LOCAL2 },
		{ "local3", LOG_LOCAL3 }, { "local4", LOG_LOCAL4 },
		{ "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 },
		{ "local7", LOG_LOCAL7 } };
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(all[i].word, word) == 0)
			return all[i].facility;
	return LOG_MAIL;
}

/* Some systems have no address but 127.0.0.1 on the loopback interface. */
static bool
check_listen(uint32_t addr, uint16_t port, struct checked *c)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char text[INET_ADDRSTRLEN];
	int fd, on = 1;
	bool good;

	sin.sin_addr.s_addr = htonl(addr);
	sin.sin_port = htons(port);
	if ((fd = socket(AF_INET, SOCK_STREAM, 0)) == -1) {
		snprintf(
		    c->text, sizeof c->text, "socket: %s", strerror(errno));
		return false;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	/* in use: by this program's older self, or the next address is free */
	good = bind(fd, (struct sockaddr *)&sin, sizeof sin) == 0 ||
	    errno == EADDRINUSE;
	if (!good)
		snprintf(c->text, sizeof c->text,
		    "relay.aliases: cannot listen on %s port %u: %s",
		    inet_ntop(AF_INET, &sin.sin_addr, text, sizeof text), port,
		    strerror(errno));
	close(fd);
	return good;
}

static void
check_config(const char *config, check_fits *fits, struct checked *c)
{
	struct danevirke_options o = {
		.size = sizeof o, .config = config, .log = check_on_log
	};
	struct danevirke_error err = { 0, "" };
	const struct danevirke_settings *t;
	struct danevirke *e;
	struct shim shim;

	if (shim_load(&shim, NULL, &err) != 0 ||
	    (e = shim.dv->open(&o, &err)) == NULL) {
		snprintf(c->text, sizeof c->text, "%s", err.text);
		return;
	}
	t = shim.dv->settings(e);
	c->first = t->relay_first;
	c->last = t->relay_last;
	c->port = t->relay_port;
	c->max = t->relay_max_domains;
	c->facility = check_facility(t->log_facility);
	c->level = t->log_level;
	if (t->relay_metrics != NULL)
		snprintf(c->metrics, sizeof c->metrics, "%s", t->relay_metrics);
	c->ok = fits(t, c) && check_listen(c->first, c->port, c);
	shim.dv->close(e);
	shim_unload(&shim);
}

/* less than PIPE_BUF: all or nothing */
_Static_assert(sizeof(struct checked) <= PIPE_BUF, "too large for one write");

void
check_run(const char *config, check_fits *fits, int fd)
{
	struct checked c = { 0 };

	check_config(config, fits, &c);
	if (write(fd, &c, sizeof c) != (ssize_t)sizeof c)
		log_line(LOG_ERR, "could not pass on the result of a check: %s",
		    strerror(errno));
}

bool
check_sane(const struct checked *c)
{
	return c->ok == 1 && c->first >> 24 == 127 && c->last >> 24 == 127 &&
	    c->first > 0x7f000001 && c->first <= c->last &&
	    c->last < 0x7fffffff && c->port != 0 && c->max > 0 &&
	    c->max <= 65536 && c->n_users <= RELAY_USERS &&
	    memchr(c->map.path, '\0', sizeof c->map.path) != NULL &&
	    memchr(c->metrics, '\0', sizeof c->metrics) != NULL &&
	    (c->metrics[0] == '\0' || c->metrics[0] == '/') &&
	    c->map.mode <= 0777 && c->max <= c->last - c->first + 1 &&
	    c->level >= LOG_ERR && c->level <= LOG_DEBUG;
}

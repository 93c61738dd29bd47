/* SPDX-License-Identifier: ISC */
/* danevirke web: one's own testing site; see web.h. */
#include <sys/resource.h>
#include <sys/un.h>

#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/util.h>

#include "value.h"
#include "web.h"

const char usage_web[] =
    "usage: danevirke web [OPTION]...\n"
    "\n"
    "A web site that tests mail domains for whoever asks: a form, the page that\n"
    "check makes, and its JSON.  Nothing is connected to that is private,\n"
    "nothing is stored.\n"
    "\n"
    "  --listen ADDRESS:PORT   or the path of a socket; 127.0.0.1:8025 if not given\n"
    "  --proxy ADDRESS[/BITS]  whose X-Forwarded-For is believed; several times\n"
    "  --client N              checks that one client may begin in a minute, 10\n"
    "  --all N                 that all together may begin in a minute, 60\n"
    "  --checks N              checks at once, 4 if not given\n"
    "  --queue N               domains that wait, 50 if not given\n"
    "  --connections N         of clients, at once, 256 if not given\n"
    "  --limit SECONDS         for a check, 60 if not given, and at most\n"
    "  --keep SECONDS          a result is kept, 60 if not given\n"
    "  --helo NAME             name for EHLO (this machine's, if not given)\n"
    "  --config FILE           danevirke.conf to use\n"
    "  --module FILE           danevirke.so to use\n"
    "\n"
    "Exit status: 0 it was ended by a signal, 2 it could not begin.\n";

enum {
	W_LISTEN = 1,
	W_PROXY,
	W_CLIENT,
	W_ALL,
	W_CHECKS,
	W_QUEUE,
	W_CONNECTIONS,
	W_LIMIT,
	W_KEEP,
	W_HELO
};
static const struct opt opts[] = { { W_LISTEN, "listen", OPT_ONE },
	{ W_PROXY, "proxy", OPT_MANY }, { W_CLIENT, "client", OPT_ONE },
	{ W_ALL, "all", OPT_ONE }, { W_CHECKS, "checks", OPT_ONE },
	{ W_QUEUE, "queue", OPT_ONE },
	{ W_CONNECTIONS, "connections", OPT_ONE },
	{ W_LIMIT, "limit", OPT_ONE }, { W_KEEP, "keep", OPT_ONE },
	{ W_HELO, "helo", OPT_ONE }, { 0, NULL, OPT_NONE } };

#define WEB_FILES 32 /* descriptors for all else */

/* ---------------------------------------------------------------- options */

static int
web_listen(struct web *w, const char *value)
{
	struct sockaddr_un *sun = (void *)&w->addr;
	const struct sockaddr_in6 *six = (const void *)&w->addr;
	const struct sockaddr_in *four = (const void *)&w->addr;
	int len = sizeof w->addr;

	w->listen = value;
	memset(&w->addr, 0, sizeof w->addr);
	if (value[0] == '/' && strlen(value) < sizeof sun->sun_path) {
		sun->sun_family = AF_UNIX;
		strncpy(sun->sun_path, value, sizeof sun->sun_path - 1);
		w->addr_len = sizeof *sun;
		return 0;
	}
	if (value[0] != '/' &&
	    evutil_parse_sockaddr_port(
		value, (struct sockaddr *)&w->addr, &len) == 0 &&
	    (w->addr.ss_family == AF_INET ? four->sin_port : six->sin6_port) !=
		0) {
		w->addr_len = (socklen_t)len;
		return 0;
	}
	return cli_error(w->cli,
	    "--listen \"%s\": want an address and a port, as in 127.0.0.1:8025 "
	    "or [::1]:8025, or a path of at most %zu octets",
	    value, sizeof sun->sun_path - 1);
}

static int
web_proxy(struct web *w, const char *value)
{
	struct conf_prefix *more;
	bool clear;

	more = reallocarray(w->proxy, w->n_proxy + 1, sizeof *more);
	if (more == NULL)
		return cli_error(w->cli, "out of memory");
	w->proxy = more;
	if (!value_prefix(value, &more[w->n_proxy], &clear))
		return cli_error(w->cli,
		    "--proxy \"%s\": want an address, or a prefix without bits "
		    "behind its length",
		    value);
	w->n_proxy++;
	return 0;
}

static int
web_option(struct cli *c, void *arg, int id, const char *value)
{
	struct web *w = arg;
	const struct {
		const char *name;
		unsigned long min, max, *to;
	} number[] = { [W_CLIENT] = { "client", 1, 10000, &w->client },
		[W_ALL] = { "all", 1, 10000, &w->all },
		[W_CHECKS] = { "checks", 1, 64, &w->checks },
		[W_QUEUE] = { "queue", 1, 1000, &w->queue },
		[W_CONNECTIONS] = { "connections", 8, 10000, &w->connections },
		[W_LIMIT] = { "limit", 1, 60, &w->limit },
		[W_KEEP] = { "keep", 1, 3600, &w->keep } };

	switch (id) {
	case OPT_OPERAND:
		return cli_error(
		    c, "%s: domains are asked for in the browser", value);
	case W_LISTEN:
		return web_listen(w, value);
	case W_PROXY:
		return web_proxy(w, value);
	case W_HELO:
		w->helo = value;
		return 0;
	default:
		return opt_number(c, number[id].name, value, number[id].min,
		    number[id].max, number[id].to);
	}
}

/* -------------------------------------------------------------------- run */

static void
on_signal(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	event_base_loopbreak(arg);
}

static int
web_loop(struct web *w)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	struct event *sig[3] = { NULL, NULL, NULL };
	struct site *site = site_new(w);
	struct serve *serve = NULL;
	bool good = site != NULL;
	size_t i;

	for (i = 0; i < 3; i++) {
		sig[i] = evsignal_new(w->base, signals[i], on_signal, w->base);
		good &= sig[i] != NULL && event_add(sig[i], NULL) == 0;
	}
	if (!good)
		cli_error(w->cli, "out of memory");
	else if ((serve = serve_new(w, site_answer, site)) != NULL) {
		cli_warn(w->cli, "listening at %s", w->listen);
		event_base_dispatch(w->base);
		serve_free(serve);
	}
	site_free(site);
	for (i = 0; i < 3; i++)
		if (sig[i] != NULL)
			event_free(sig[i]);
	return serve != NULL ? EXIT_GOOD : EXIT_UNTESTED;
}

static int
web_files(const struct web *w)
{
	rlim_t want = WEB_FILES + w->connections + w->checks;
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0)
		return EXIT_GOOD;
	if (l.rlim_max < want)
		return cli_error(w->cli,
		    "--connections %lu: %lu open files are allowed (ulimit "
		    "-Hn), want %lu: allow more, or take fewer at once",
		    w->connections, (unsigned long)l.rlim_max,
		    (unsigned long)want);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	return EXIT_GOOD;
}

static int
web_run(struct cli *c, void *arg)
{
	struct web *w = arg;
	int status;

	if (geteuid() == 0)
		return cli_error(c,
		    "not as root: it reads what strangers write; run it as a "
		    "user of its own, as danevirke-web.service does "
		    "(/usr/share/doc/danevirke/examples/web)");
	c->flags |= DANEVIRKE_PUBLIC;
	if (web_files(w) != EXIT_GOOD || checker_try(w) != EXIT_GOOD)
		return EXIT_UNTESTED;
	if ((w->base = event_base_new()) == NULL)
		return cli_error(c, "no event loop: out of memory");
	status = web_loop(w);
	event_base_free(w->base);
	return status;
}

int
cmd_web(struct cli *c)
{
	struct web w = { .cli = c,
		.connections = 256,
		.checks = 4,
		.queue = 50,
		.client = 10,
		.all = 60,
		.limit = 60,
		.keep = 60 };
	int status;

	web_listen(&w, "127.0.0.1:8025");
	status = opt_run(c, opts, web_option, web_run, &w);
	free(w.proxy);
	return status;
}

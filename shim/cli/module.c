/* SPDX-License-Identifier: ISC */
/* The module, an engine of it, and one question asked of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include "cli.h"

int
cli_load(struct cli *c)
{
	struct danevirke_error err = { 0, "" };

	if (c->dv != NULL)
		return 0;
	/* dlopen() would search for a name without a slash */
	if (c->module != NULL &&
	    (c->module_abs = realpath(c->module, NULL)) == NULL) {
		cli_error(c, "--module %s: %s", c->module, strerror(errno));
		return -1;
	}
	if (shim_load(&c->shim, c->module_abs, &err) != 0) {
		cli_error(c, "%s; --module FILE names another danevirke.so",
		    err.text);
		return -1;
	}
	c->dv = c->shim.dv;
	return 0;
}

static void
module_log(void *arg, int level, const char *text)
{
	struct cli *c = arg;

	/* an error while opening comes back from open() */
	if (level <= 4 && (level == 4 || c->opened)) /* LOG_WARNING */
		cli_warn(c, "%s", text);
}

int
cli_config(struct cli *c)
{
	/* the module wants an absolute path, a person may be in a hurry */
	if (c->config == NULL || c->config_abs != NULL ||
	    (c->config_abs = realpath(c->config, NULL)) != NULL)
		return 0;
	cli_error(c, "%s: %s", c->config, strerror(errno));
	return -1;
}

struct danevirke *
cli_open(struct cli *c, struct event_base *base)
{
	struct danevirke_options o = { .size = sizeof o, .flags = c->flags };
	struct danevirke_error err = { 0, "" };
	struct danevirke *e;

	if (cli_load(c) != 0 || cli_config(c) != 0)
		return NULL;
	o.config = c->config_abs;
	o.base = base;
	o.log = module_log;
	o.log_arg = c;
	if ((e = c->dv->open(&o, &err)) == NULL)
		cli_error(c, "%s; danevirke conf lists every error", err.text);
	c->opened = e != NULL;
	return e;
}

struct resolver *
cli_resolver(struct cli *c, const struct danevirke *e, struct event_base *base)
{
	struct resolver_options o = { .dv = c->dv,
		.config = c->dv->settings(e)->config,
		.flags = c->flags,
		.log = module_log,
		.arg = c };
	struct danevirke_error err = { 0, "" };
	struct resolver *r = resolver_new(base, &o, &err);

	if (r == NULL)
		cli_error(c, "%s", err.text);
	return r;
}

struct asking {
	bool done, late;
	const struct danevirke_answer *answer;
	struct danevirke_error *err;
};

static void
on_done(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct asking *ask = arg;

	ask->done = true;
	ask->answer = a;
	if (a == NULL)
		*ask->err = *err;
}

static void
on_limit(int fd, short what, void *arg)
{
	struct asking *ask = arg;

	(void)fd;
	(void)what;
	ask->late = true;
}

const struct danevirke_answer *
cli_ask(struct cli *c, const struct danevirke *e,
    const struct danevirke_question *q, unsigned long limit,
    struct danevirke_error *err)
{
	struct timeval tv = { .tv_sec = (time_t)limit };
	struct asking ask = { .err = err };
	struct resolver_query *query;
	struct event *timer = NULL;

	snprintf(err->text, sizeof err->text, "out of memory");
	err->code = DANEVIRKE_ENOMEM;
	if ((c->base == NULL && (c->base = event_base_new()) == NULL) ||
	    (c->resolver == NULL &&
		(c->resolver = cli_resolver(c, e, c->base)) == NULL) ||
	    (timer = evtimer_new(c->base, on_limit, &ask)) == NULL ||
	    event_add(timer, &tv) != 0 ||
	    resolver_start(c->resolver, q, on_done, &ask, &query, err) != 0) {
		if (timer != NULL)
			event_free(timer);
		return NULL;
	}
	while (!ask.done && !ask.late &&
	    event_base_loop(c->base, EVLOOP_ONCE) == 0)
		continue;
	if (!ask.done) {
		resolver_cancel(query);
		snprintf(err->text, sizeof err->text, "no answer within %lu s",
		    limit);
	}
	event_free(timer);
	return ask.answer;
}

int
cli_host(struct cli *c, const char *value, char name[256])
{
	struct danevirke_error err = { 0, "" };
	const char *rest;

	/* the owner of the records, taken for the host */
	if (value[0] == '_') {
		rest = strchr(value, '.');
		if (rest != NULL && strncasecmp(rest, "._tcp.", 6) == 0)
			return cli_error(c,
			    "--host \"%s\": want the mail host alone: %s "
			    "(--port N is for the port)",
			    value, rest + 6);
		return cli_error(c,
		    "--host \"%s\": want a host name, which begins with no _",
		    value);
	}
	if (c->dv->to_ascii(value, name, 256, &err) != 0)
		return cli_error(c, "--host \"%s\": %s", value, err.text);
	return 0;
}

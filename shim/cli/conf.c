/* SPDX-License-Identifier: ISC */
/* danevirke conf: is a configuration good, and does DNS work with it? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "probe.h"

const char usage_conf[] =
    "usage: danevirke conf [--probe] [--json] [FILE]\n"
    "\n"
    "Checks danevirke.conf, or FILE, and the trust anchor it names, and lists\n"
    "every error.\n"
    "\n"
    "  --probe             also ask DNS: the root keys over UDP and over TCP, a\n"
    "                      signed denial, the clock, the keys of the anchor file\n"
    "  --json              one JSON object\n"
    "  --config FILE       the same as FILE\n"
    "  --module FILE       danevirke.so to use\n"
    "\n"
    "Exit status: 0 good, 1 errors in the file or a probe that failed, 2 could not\n"
    "be tested.\n";

enum { O_PROBE = 1 };
static const struct opt opts[] = { { O_PROBE, "probe", OPT_NONE },
	{ 0, NULL, OPT_NONE } };

struct conf_lines {
	char **text;
	size_t n, n_errors;
	bool failed;
};

static void
on_log(void *arg, int level, const char *text)
{
	struct conf_lines *l = arg;
	char **p;

	if (level > 4) /* LOG_WARNING */
		return;
	if (level < 4)
		l->n_errors++;
	if ((p = reallocarray(l->text, l->n + 1, sizeof *p)) != NULL)
		l->text = p;
	if (p == NULL || (p[l->n] = strdup(text)) == NULL)
		l->failed = true;
	else
		l->n++;
}

static void
conf_print_lines(struct cli *c, struct json *j, const struct conf_lines *l)
{
	size_t i;

	if (c->json) {
		json_array(j, "messages");
		for (i = 0; i < l->n; i++)
			json_string(j, NULL, l->text[i]);
		json_end_array(j);
		return;
	}
	for (i = 0; i < l->n; i++)
		out_print("%s\n", l->text[i]);
}

static bool
conf_probes(
    struct cli *c, struct json *j, const struct danevirke_settings *settings)
{
	struct probe p[PROBE_MAX];
	bool good = true;
	size_t i, n;

	n = probe_run(settings, p);
	if (c->json)
		json_array(j, "probes");
	for (i = 0; i < n; i++) {
		good &= p[i].good;
		if (c->json) {
			json_object(j, NULL);
			json_string(j, "name", p[i].name);
			json_bool(j, "good", p[i].good);
			json_string(j, "text", p[i].text);
			json_end_object(j);
			continue;
		}
		out_print("%s: ", p[i].name);
		out_colour(c, p[i].good ? OUT_GOOD : OUT_BAD,
		    p[i].good ? "good" : "failed");
		out_print(
		    "%s%s\n", p[i].text[0] == '\0' ? "" : ": ", p[i].text);
	}
	if (c->json)
		json_end_array(j);
	return good;
}

static int
conf_check(struct cli *c, bool probe, struct conf_lines *l)
{
	struct danevirke_options o = { .size = sizeof o,
		.config = c->config_abs,
		.log = on_log,
		.log_arg = l };
	struct danevirke_error err = { 0, "" };
	struct danevirke *e;
	struct json j = { 0 };
	const char *path;
	bool good;

	e = c->dv->open(&o, &err);
	if (e == NULL && err.code != DANEVIRKE_ECONF &&
	    err.code != DANEVIRKE_EANCHOR)
		return cli_error(c, "%s", err.text);
	if (e == NULL && l->n_errors == 0)
		on_log(l, 3, err.text);
	if (l->failed) {
		c->dv->close(e);
		return cli_error(c, "out of memory");
	}
	path = e == NULL ? c->config_abs : c->dv->settings(e)->config;
	good = e != NULL;
	if (c->json) {
		json_object(&j, NULL);
		json_bool(&j, "valid", e != NULL);
		json_string(&j, "file", path);
	}
	conf_print_lines(c, &j, l);
	if (!c->json && e != NULL)
		out_print("%s: no errors\n", path);
	if (probe && e != NULL)
		good &= conf_probes(c, &j, c->dv->settings(e));
	if (c->json)
		json_end_object(&j);
	c->dv->close(e);
	return good ? EXIT_GOOD : EXIT_PROBLEM;
}

struct conf_job {
	const char *file;
	bool probe;
};

static int
conf_run(struct cli *c, void *arg)
{
	const struct conf_job *job = arg;
	struct conf_lines l = { 0 };
	size_t i;
	int status;

	if (job->file != NULL && c->config != NULL)
		return cli_error(c, "%s and --config %s: want one file",
		    job->file, c->config);
	if (job->file != NULL)
		c->config = job->file;
	if (cli_load(c) != 0 || cli_config(c) != 0)
		return EXIT_UNTESTED;
	status = conf_check(c, job->probe, &l);
	for (i = 0; i < l.n; i++)
		free(l.text[i]);
	free(l.text);
	return status;
}

static int
conf_option(struct cli *c, void *arg, int id, const char *value)
{
	struct conf_job *job = arg;

	if (id == O_PROBE)
		job->probe = true;
	else if (job->file != NULL)
		return cli_error(c, "%s: a second file; want one", value);
	else
		job->file = value;
	return 0;
}

int
cmd_conf(struct cli *c)
{
	struct conf_job job = { .file = NULL };

	return opt_run(c, opts, conf_option, conf_run, &job);
}

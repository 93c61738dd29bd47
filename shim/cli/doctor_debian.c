/* SPDX-License-Identifier: ISC */
/* Debian's Exim does not read what people write: update-exim4.conf makes it. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "doctor.h"

#define DEBCONF DEBIAN_ETC "/update-exim4.conf.conf"
#define TEMPLATE DEBIAN_ETC "/exim4.conf.template"
#define PASSWORDS DEBIAN_ETC "/passwd.client"

/* dc_NAME='value', as a shell reads it that sees nothing special there. */
static void
debian_setting(FILE *f, const char *name, char *value, size_t len)
{
	char line[4096], *p, quote;
	size_t n = strlen(name);

	value[0] = '\0';
	rewind(f);
	while (fgets(line, sizeof line, f) != NULL) {
		if (strncmp(line, name, n) != 0 || line[n] != '=')
			continue;
		p = line + n + 1;
		quote = *p == '\'' || *p == '"' ? *p++ : '\0';
		p[strcspn(p,
		    quote == '\''    ? "'\n" :
			quote == '"' ? "\"\n" :
				       " \t\n")] = '\0';
		snprintf(value, len, "%s", p);
	}
}

/* The newest of the files that match, if it is newer than *newest. */
static void
debian_newest(const char *pattern, struct timespec *newest, char path[512])
{
	struct stat st;
	glob_t g;
	size_t i;

	if (glob(pattern, 0, NULL, &g) != 0)
		return;
	for (i = 0; i < g.gl_pathc; i++) {
		if (stat(g.gl_pathv[i], &st) != 0 ||
		    st.st_mtim.tv_sec < newest->tv_sec ||
		    (st.st_mtim.tv_sec == newest->tv_sec &&
			st.st_mtim.tv_nsec <= newest->tv_nsec))
			continue;
		*newest = st.st_mtim;
		snprintf(path, 512, "%s", g.gl_pathv[i]);
	}
	globfree(&g);
}

/* Has update-exim4.conf run since? */
static void
debian_fresh(struct doctor *d, const struct debian *deb, const char *file)
{
	struct timespec newest;
	char path[512] = "", run[SERVICE_LEN];
	struct stat st;

	if (stat(file, &st) != 0)
		return;
	newest = st.st_mtim;
	debian_newest(DEBCONF, &newest, path);
	debian_newest(
	    deb->split ? DEBIAN_ETC "/conf.d/*/*" : TEMPLATE, &newest, path);
	if (path[0] == '\0')
		return;
	doctor_say(d, SEV_PROBLEM,
	    "%s was changed after update-exim4.conf has run: Exim goes by "
	    "what it was before",
	    path);
	doctor_write(d, "run", "update-exim4.conf && %s",
	    program_service("exim4", SERVICE_RESTART, run));
}

/* Files of ours that nobody reads. */
static void
debian_unread(struct doctor *d, const struct debian *deb)
{
	glob_t g;

	if (deb->made && deb->split)
		return;
	if (glob(DEBIAN_ETC "/conf.d/*/*danevirke*", 0, NULL, &g) != 0)
		return;
	if (!deb->made) {
		doctor_say(d, SEV_PROBLEM,
		    "%s is not read: Exim has a configuration of its own",
		    g.gl_pathv[0]);
		doctor_write(d,
		    "take " DEBIAN_ETC "/exim4.conf away, or .include there "
		    "what danevirke-exim(7) says",
		    NULL);
	} else {
		doctor_say(d, SEV_PROBLEM,
		    "%s is not read: Debian's configuration is unsplit",
		    g.gl_pathv[0]);
		doctor_write(d, DEBCONF ", then run update-exim4.conf",
		    "dc_use_split_config='true'");
	}
	globfree(&g);
}

void
debian_look(struct doctor *d, struct debian *deb, const char *file)
{
	char split[16];
	FILE *f;

	*deb = (struct debian){ .made = strcmp(file, DEBIAN_MADE) == 0 };
	if ((f = fopen(DEBCONF, "re")) == NULL) {
		deb->made = false;
		doctor_say(d, SEV_NOTE, "the configuration is %s", file);
		return;
	}
	debian_setting(
	    f, "dc_eximconfig_configtype", deb->type, sizeof deb->type);
	debian_setting(
	    f, "dc_smarthost", deb->smarthost, sizeof deb->smarthost);
	debian_setting(f, "dc_use_split_config", split, sizeof split);
	fclose(f);
	deb->split = strcmp(split, "true") == 0;
	if (!deb->made) {
		doctor_say(d, SEV_NOTE,
		    "the configuration is %s, and Debian's is not used", file);
		deb->type[0] = '\0';
	} else
		doctor_say(d, SEV_NOTE, "Debian's configuration: %s, %s",
		    deb->type, deb->split ? "split" : "unsplit");
	debian_unread(d, deb);
	if (!deb->made)
		return;
	debian_fresh(d, deb, file);
	if (strcmp(deb->type, "local") == 0 || strcmp(deb->type, "none") == 0) {
		doctor_say(d, SEV_PROBLEM,
		    "this Exim sends no mail to other hosts: it is of the kind "
		    "\"%s\"",
		    deb->type);
		doctor_write(d, "run", "dpkg-reconfigure exim4-config");
	}
}

const char *
debian_place(const struct debian *deb, const char *section)
{
	if (!deb->made)
		return "Exim's configuration";
	if (!deb->split)
		return TEMPLATE;
	if (strcmp(section, "main") == 0)
		return DEBIAN_ETC "/conf.d/main/02_danevirke";
	if (strcmp(section, "router") == 0)
		return DEBIAN_ETC "/conf.d/router/190_danevirke";
	if (strcmp(section, "transport") == 0)
		return DEBIAN_ETC "/conf.d/transport/40_danevirke";
	return DEBIAN_ETC "/conf.d/auth/30_exim4-config_examples";
}

/* "target:user:password"; a target may be a name, an address, a pattern. */
bool
debian_passwords(bool *by_name, char name[256])
{
	char line[1024];
	bool found = false;
	FILE *f = fopen(PASSWORDS, "re");

	*by_name = false;
	name[0] = '\0';
	while (f != NULL && fgets(line, sizeof line, f) != NULL) {
		size_t n = strcspn(line, ":\n");

		if (line[0] == '#' || line[n] != ':' || n == 0)
			continue;
		found = true;
		/* "*" is found by an address as well */
		if (!*by_name && strcspn(line, "*") > n &&
		    strspn(line, "0123456789.") < n) {
			*by_name = true;
			snprintf(name, 256, "%.*s", (int)n, line);
		}
	}
	explicit_bzero(line, sizeof line);
	if (f != NULL)
		fclose(f);
	return found;
}

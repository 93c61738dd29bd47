/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: bytes as danevirke.conf(5), through the whole loader.  The file
 * is one in memory; so is the trust anchor, which an input names as ANCHOR: the
 * default one may not be on this machine.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "value.h"
#include "fuzz.h"

#define ANCHOR_FD 100
#define ANCHOR "/proc/self/fd/100"
#define DS \
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D084" \
	"58E880409BBC683457104237C7F8EC8D\n"

const char *__lsan_default_suppressions(void);

/* What libconfig keeps of a file that it refuses is not ours to free. */
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig";
}

static int
file_make(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	must(fd != -1 && fchmod(fd, 0600) == 0, "no file in memory");
	return fd;
}

static void
file_put(int fd, const void *data, size_t len)
{
	must(ftruncate(fd, 0) == 0 && pwrite(fd, data, len, 0) == (ssize_t)len,
	    "cannot write to memory");
}

static void
on_log(void *arg, int level, const char *text)
{
	must(level == 3, "level");
	must(*text != '\0' && strpbrk(text, "\r\n") == NULL, "not one line");
	++*(size_t *)arg;
}

/* What the rest of the module and the shims rely on. */
static void
check_numbers(const struct conf *c)
{
	const struct danevirke_settings *t = &c->settings;

	must(c->timeout >= 1 && c->timeout <= 300, "timeout");
	must(c->query_timeout >= 1 && c->query_timeout <= c->timeout,
	    "query_timeout");
	must(c->limits.hosts >= 1 && c->limits.hosts <= 1000, "hosts");
	must(c->limits.addresses >= 1 && c->limits.addresses <= 256,
	    "addresses");
	must(c->limits.aliases >= 1 && c->limits.aliases <= 32, "aliases");
	must(c->limits.records >= 64 && c->limits.records <= 1024, "records");
	must(t->relay_first > 0x7f000001 && t->relay_last < 0x7fffffff &&
		t->relay_first <= t->relay_last,
	    "alias range"); /* M12 */
	must(t->relay_port >= 1, "port");
	must(t->relay_max_domains >= 1 &&
		t->relay_max_domains <= t->relay_last - t->relay_first + 1,
	    "domains");
	must(t->relay_max_sessions >= 1 && t->relay_max_per_domain >= 1,
	    "sessions");
	must(t->relay_ehlo_budget >= 1 && t->relay_ehlo_budget <= 290, "ehlo");
	must(t->log_level >= 3 && t->log_level <= 7, "log level");
}

static void
check_profiles(const struct conf *c)
{
	const struct conf_profile *p;
	char why[200];
	size_t i;

	must(conf_profile(c, "default") != NULL, "no default profile");
	must(conf_profile(c, c->settings.relay_profile) != NULL,
	    "no profile for the relay");
	for (i = 0; i < c->n_profiles; i++) {
		p = &c->profiles[i];
		must(conf_profile(c, p->pub.name) == p, "profile");
		must((unsigned)p->pub.level <= DANEVIRKE_LEVEL_OFF, "level");
		must(p->insecure_mx != DANEVIRKE_HOST_DEFER, "insecure_mx");
		must(p->n_digests <= MAX_DIGESTS, "digests");
		must(value_priority(p->pub.tls_priority, why, sizeof why) ==
			NULL,
		    "priority"); /* S03, S04 */
	}
}

static void
check_rules(const struct conf *c)
{
	const struct conf_destination *d, *found, *expired;
	char name[NAME_LEN + 2];
	size_t i;

	for (i = 0; i < c->n_destinations; i++) {
		d = &c->destinations[i];
		must((unsigned)d->level <= DANEVIRKE_LEVEL_OFF, "level");
		must(strlen(d->domain) <= NAME_LEN, "length of a domain");
		/* the domain itself, or one below the suffix */
		snprintf(name, sizeof name, "%s%s",
		    d->domain[0] == '.' ? "a" : "", d->domain);
		found = conf_destination(c, name, 0, &expired);
		must(found != NULL, "a rule that is not found");
		must(d->domain[0] == '.' || found == d, "another rule");
		must(expired == NULL, "expired in 1970"); /* P01 */
		if (d->ends != 0)
			must(conf_destination(c, name, d->ends, NULL) != d,
			    "in force when over");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static int file = -1;
	static char path[40];
	struct danevirke_error err = { 0 };
	size_t lines = 0, i;
	struct conf *c;
	int fd;

	if (file == -1) {
		fd = file_make("anchor");
		file_put(fd, DS, strlen(DS));
		must(dup2(fd, ANCHOR_FD) == ANCHOR_FD, ANCHOR);
		close(fd);
		file = file_make("conf");
		snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	}
	file_put(file, data, len);
	if ((c = conf_load(path, on_log, &lines, &err)) == NULL) {
		must(lines > 0 && *err.text != '\0', "refused without why");
		must(err.code == DANEVIRKE_ECONF ||
			err.code == DANEVIRKE_EANCHOR,
		    err.text);
		return 0;
	}
	must(lines == 0 && *err.text == '\0', "taken with an error");
	must(memchr(data, '\0', len) == NULL, "a NUL octet");
	check_numbers(c);
	check_profiles(c);
	check_rules(c);
	for (i = 0; i < c->n_zones; i++)
		must(c->zones[i].insecure || c->zones[i].n_forward > 0,
		    "a zone that nobody serves");
	conf_free(c);
	fuzz_accepted++;
	return 0;
}

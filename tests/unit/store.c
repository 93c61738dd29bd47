/* SPDX-License-Identifier: ISC */
/*
 * store.c: what goes in comes out, for its time; and nothing else ever does,
 * whatever becomes of the file, of other processes, or of the directory.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "module.h" /* before cmocka.h, which defines fail() */

#include <cmocka.h>

#include "title.h"

static char parent[64], own[128], file[160], hints[160];
static struct conf conf;
static char anchor[] = "/usr/share/dns/root.key";
static char said[512];
static int n_said;

/* Under valgrind everything takes a hundred times as long. */
static unsigned names = 200000, kills = 1000;

static void
on_log(void *arg, int level, const char *text)
{
	(void)arg;
	(void)level;
	n_said++;
	snprintf(said, sizeof said, "%s", text);
}

static struct store *
open_it(void)
{
	n_said = 0;
	*said = '\0';
	return store_open(&conf, parent, on_log, NULL);
}

/* The packet of a name: any bytes, made from it. */
static size_t
packet_of(unsigned n, uint8_t *buf, char name[64])
{
	size_t len = 40 + n * 7919 % 900, i;

	snprintf(name, 64, "host%u.example", n);
	for (i = 0; i < len; i++)
		buf[i] = (uint8_t)(n * 31 + i * 17 + (n >> 8));
	return len;
}

static void
put(struct store *s, unsigned n, uint32_t ttl)
{
	uint8_t buf[1024];
	char name[64];
	size_t len = packet_of(n, buf, name);

	store_put(s, name, TYPE_MX, n % 2 ? 2 : 0, buf, len, ttl);
}

/* 1: there and right, 0: a miss, -1: wrong. */
static int
get(struct store *s, unsigned n)
{
	struct arena a = { NULL };
	struct store_hit hit;
	uint8_t buf[1024];
	char name[64];
	size_t len = packet_of(n, buf, name);
	int rv = 0;

	if (store_get(s, &a, name, TYPE_MX, &hit))
		rv = hit.len == len && memcmp(hit.packet, buf, len) == 0 &&
			hit.sec == (n % 2 ? 2 : 0) && hit.ttl > 0 ?
		    1 :
		    -1;
	arena_free(&a);
	return rv;
}

static void
test_round(void **state) /* D15 */
{
	struct arena a = { NULL };
	struct store *s = open_it(), *other;
	struct store_hit hit;

	(void)state;
	assert_non_null(s);
	assert_int_equal(get(s, 1), 0);
	put(s, 1, 60);
	put(s, 2, 60);
	assert_int_equal(get(s, 1), 1);
	assert_int_equal(get(s, 2), 1);
	/* another process of the user, names without case, other types */
	other = open_it();
	assert_int_equal(get(other, 1), 1);
	assert_true(store_get(other, &a, "HOST1.Example.", TYPE_MX, &hit));
	assert_true(hit.ttl >= 1 && hit.ttl <= 60);
	assert_false(store_get(other, &a, "host1.example", TYPE_A, &hit));
	assert_false(store_get(other, &a, "host1.example.org", TYPE_MX, &hit));
	assert_false(store_get(other, &a, "..", TYPE_MX, &hit));
	/* a newer one takes its place */
	store_put(s, "host1.example", TYPE_MX, 2, (const uint8_t *)"new", 3, 9);
	assert_true(store_get(other, &a, "host1.example", TYPE_MX, &hit));
	assert_int_equal(hit.len, 3);
	assert_true(hit.ttl >= 1 && hit.ttl <= 9);
	arena_free(&a);
	store_close(other);
	store_close(s);
	assert_int_equal(n_said, 0);
}

static void
test_not_kept(void **state) /* D03, D15: bogus, failed, endless, too long */
{
	struct store *s = open_it();
	uint8_t big[8192] = { 0 };
	struct arena a = { NULL };
	struct store_hit hit;

	(void)state;
	put(s, 3, 0);
	assert_int_equal(get(s, 3), 0);
	store_put(s, "b.example", TYPE_A, 1, big, 100, 60);
	assert_false(store_get(s, &a, "b.example", TYPE_A, &hit));
	store_put(s, "b.example", TYPE_A, 2, big, 0, 60);
	assert_false(store_get(s, &a, "b.example", TYPE_A, &hit));
	store_put(s, "b.example", TYPE_A, 2, big, sizeof big, 60);
	assert_false(store_get(s, &a, "b.example", TYPE_A, &hit));
	store_put(NULL, "b.example", TYPE_A, 2, big, 10, 60);
	assert_false(store_get(NULL, &a, "b.example", TYPE_A, &hit));
	arena_free(&a);
	store_close(s);
}

/* The page that holds the only entry of the file. */
static off_t
find_page(int fd, uint8_t page[STORE_PAGE])
{
	off_t at = lseek(fd, 0, SEEK_DATA);

	assert_true(at >= 0);
	at -= at % STORE_PAGE;
	assert_int_equal(pread(fd, page, STORE_PAGE, at), STORE_PAGE);
	return at;
}

static void
test_time(void **state) /* D15: never past its end, nor before its begin */
{
	struct store *s = open_it();
	uint8_t page[STORE_PAGE], key[STORE_KEY];
	struct store_hit hit;
	uint64_t now = store_now();
	int fd;

	(void)state;
	put(s, 4, 100);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	find_page(fd, page);
	close(fd);
	/* sum, magic, len and type, two times: then the key */
	memcpy(key, page + 16 + 8 + 16, sizeof key);
	assert_non_null(store_find(page, key, now + 1, &hit));
	assert_true(hit.ttl >= 98 && hit.ttl <= 100);
	assert_non_null(store_find(page, key, now + 99, &hit));
	assert_null(store_find(page, key, now + 102, &hit));
	assert_null(store_find(page, key, UINT64_MAX, &hit));
	assert_null(store_find(page, key, now - 5, &hit));
	key[0] ^= 1;
	assert_null(store_find(page, key, now + 1, &hit));
	store_close(s);
}

static void
test_corrupt(void **state) /* each octet wrong, by itself */
{
	struct store *s = open_it();
	uint8_t page[STORE_PAGE], bad[STORE_PAGE];
	size_t i, right = 0, step = kills > 100 ? 1 : 37;
	off_t at;
	int fd;

	(void)state;
	put(s, 5, 1000);
	fd = open(file, O_RDWR | O_CLOEXEC);
	at = find_page(fd, page);
	for (i = 0; i < sizeof page; i += step) {
		memcpy(bad, page, sizeof bad);
		bad[i] ^= (uint8_t)(1 + i % 255);
		assert_int_equal(pwrite(fd, bad, sizeof bad, at), sizeof bad);
		assert_int_not_equal(get(s, 5), -1);
		right += get(s, 5) == 1;
	}
	assert_int_not_equal(right, 0);          /* behind the entry */
	assert_true(right < sizeof page / step); /* in it */
	/* cut off, grown, full of something else: a miss, and healed */
	assert_int_equal(ftruncate(fd, at + 50), 0);
	assert_int_equal(get(s, 5), 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(get(s, 5), 0);
	memset(bad, 0xff, sizeof bad);
	assert_int_equal(pwrite(fd, bad, sizeof bad, at), sizeof bad);
	assert_int_equal(get(s, 5), 0);
	put(s, 5, 1000);
	assert_int_equal(get(s, 5), 1);
	close(fd);
	store_close(s);
	assert_int_equal(n_said, 0);
}

static void
test_bounded(void **state)
{
	struct store *s = open_it();
	unsigned i, there = 0;
	struct stat st;

	(void)state;
	for (i = 0; i < names; i++)
		put(s, i, 60 + i % 1000);
	for (i = 0; i < names; i++) {
		int rv = get(s, i);

		assert_int_not_equal(rv, -1);
		there += rv == 1;
	}
	assert_true(there >= names / 4 && there <= names);
	assert_true(there < names || names < 50000);
	assert_int_equal(stat(file, &st), 0);
	assert_true(st.st_size <= 64 << 20);
	assert_int_equal(get(s, names - 1), 1); /* the last is always kept */
	store_close(s);
}

static void
hints_write(const char *text)
{
	FILE *f = fopen(hints, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void
test_conf(void **state) /* D05: another anchor, another server: not ours */
{
	struct store *s = open_it();
	char *forward[] = { (char *)"192.0.2.1@53" };
	struct conf_zone zone = { .name = (char *)"example", .insecure = true };

	(void)state;
	put(s, 7, 60);
	store_close(s);
	conf.forward = forward;
	conf.n_forward = 1;
	s = open_it();
	assert_int_equal(get(s, 7), 0);
	store_close(s);
	conf.n_forward = 0;
	conf.zones = &zone;
	conf.n_zones = 1;
	s = open_it();
	assert_int_equal(get(s, 7), 0);
	store_close(s);
	conf.n_zones = 0;
	conf.limits.aliases++;
	s = open_it();
	assert_int_equal(get(s, 7), 0);
	store_close(s);
	conf.limits.aliases--;
	/* the same path, other servers in it */
	conf.root_hints = hints;
	hints_write("a. 60 A 192.0.2.1\n");
	s = open_it();
	assert_int_equal(get(s, 7), 0);
	put(s, 7, 60);
	store_close(s);
	hints_write("a. 60 A 192.0.2.2\n");
	s = open_it();
	assert_int_equal(get(s, 7), 0);
	store_close(s);
	hints_write("a. 60 A 192.0.2.1\n");
	s = open_it();
	assert_int_equal(get(s, 7), 1);
	store_close(s);
	unlink(hints);
	assert_null(open_it());
	conf.root_hints = NULL;
	conf.trust_anchor = file; /* some other bytes */
	s = open_it();
	assert_int_equal(get(s, 7), 0);
	store_close(s);
	conf.trust_anchor = (char *)"/nonexistent";
	assert_null(open_it());
	conf.trust_anchor = anchor;
	s = open_it();
	assert_int_equal(get(s, 7), 1);
	store_close(s);
}

static void
refused(const char *word)
{
	assert_null(open_it());
	assert_int_equal(n_said, 1);
	assert_non_null(strstr(said, word));
}

static void
test_directory(void **state)
{
	char away[160];

	(void)state;
	unlink(file);
	assert_int_equal(chmod(own, 0750), 0);
	refused("mode 0750");
	assert_int_equal(chmod(own, 0700), 0);
	/* the file */
	assert_int_equal(symlink("/etc/passwd", file), 0);
	refused("answers.1");
	unlink(file);
	assert_int_equal(mkfifo(file, 0600), 0);
	refused("answers.1");
	unlink(file);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(chmod(file, 0640), 0);
	refused("0600");
	assert_int_equal(chmod(file, 0600), 0);
	snprintf(away, sizeof away, "%s/link", own);
	assert_int_equal(link(file, away), 0);
	refused("one link");
	unlink(away);
	unlink(file);
	/* no directory: no store, and no word about it */
	snprintf(away, sizeof away, "%s.away", own);
	assert_int_equal(rename(own, away), 0);
	assert_null(open_it());
	assert_int_equal(n_said, 0);
	assert_int_equal(symlink(away, own), 0);
	refused("it is not used");
	unlink(own);
	assert_int_equal(rename(away, own), 0);
	store_close(open_it());
	assert_int_equal(n_said, 0);
}

static void
count(void *arg, const char *name, int type, const struct store_hit *hit)
{
	(void)hit;
	assert_string_equal(name, "a.example.org");
	assert_int_equal(type, TYPE_A);
	++*(size_t *)arg;
}

/* Whole answers: of the user alone, and of what they were put under. */
static void
test_whole(void **state)
{
	struct store *s;
	char path[160];

	(void)state;
	assert_null(store_open_whole(&conf, parent, 0));
	assert_null(store_open_whole(&conf, parent, geteuid() + 1));
	s = store_open_whole(&conf, parent, geteuid());
	assert_non_null(s);
	assert_true(store_only(s, "a", 1));
	put(s, 1, 60);
	assert_int_equal(get(s, 1), 1);
	store_close(s);
	assert_int_equal(access(file, F_OK), -1); /* packets are elsewhere */
	s = store_open_whole(&conf, parent, geteuid());
	assert_int_equal(get(s, 1), 0);
	assert_true(store_only(s, "b", 1));
	assert_int_equal(get(s, 1), 0);
	store_close(s);
	s = store_open_whole(&conf, parent, geteuid());
	assert_true(store_only(s, "a", 1));
	assert_int_equal(get(s, 1), 1);
	store_close(s);
	snprintf(path, sizeof path, "%s/whole.1", own);
	assert_int_equal(unlink(path), 0);
}

static void
test_list(void **state)
{
	/* a whole message: header, question a.example.org A */
	static const uint8_t packet[] = "\0\0\x81\x80\0\1\0\0\0\0\0\0"
					"\1a\7example\3org\0\0\1\0\1";
	struct store *s = open_it();
	size_t n = 0;

	(void)state;
	assert_int_equal(store_flush(s, NULL, &n), 0);
	assert_int_equal(store_walk(s, count, &n), 0);
	assert_int_equal(n, 0);
	store_put(s, "a.example.org", TYPE_A, 2, packet, sizeof packet - 1, 9);
	assert_int_equal(store_walk(s, count, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_flush(s, "b.example.org", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(store_flush(s, "Example.Org", &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_walk(s, count, &n), 0);
	assert_int_equal(n, 1); /* no more were counted */
	assert_int_equal(store_flush(s, "..", &n), -1);
	assert_int_equal(errno, EINVAL);
	store_close(s);
}

static void
churn(unsigned seed, bool write_too)
{
	struct store *s = open_it();
	unsigned n;

	if (s == NULL)
		_exit(2);
	for (;;) {
		seed = seed * 1103515245u + 12345u;
		n = seed >> 16;
		if (write_too)
			put(s, n % 4000, 60);
		if (get(s, n / 3 % 4000) == -1)
			_exit(1);
	}
}

#define WRITERS 4

static void
test_kill(void **state) /* readers never see what a dead writer half did */
{
	struct timespec wait = { 0, 0 };
	pid_t pid[WRITERS + 1];
	unsigned i, seed = 7;
	int status;

	(void)state;
	for (i = 0; i <= WRITERS; i++)
		if ((pid[i] = fork()) == 0)
			churn(i + 1, i < WRITERS);
	for (i = 0; i < kills; i++) {
		seed = seed * 1103515245u + 12345u;
		wait.tv_nsec = seed % 2000000;
		nanosleep(&wait, NULL);
		kill(pid[i % WRITERS], SIGKILL);
		assert_int_equal(
		    waitpid(pid[i % WRITERS], &status, 0), pid[i % WRITERS]);
		assert_true(WIFSIGNALED(status)); /* not by its own exit */
		if ((pid[i % WRITERS] = fork()) == 0)
			churn(seed, true);
	}
	for (i = 0; i <= WRITERS; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], &status, 0);
		assert_true(WIFSIGNALED(status));
	}
}

/* D16: a lookup from the store alone, or an error; no resolver, so no anchor
 * and no root that could be asked. */
static void
found(void *arg, const struct dns_result *r)
{
	*(int *)arg = r->state == DANEVIRKE_INSECURE && r->n_rr == 1 ? 1 : -1;
}

static void
test_lookup(void **state)
{
	static const uint8_t packet[] = "\0\0\201\200\0\1\0\1\0\0\0\0"
					"\1a\7example\0\0\1\0\1"
					"\300\014\0\1\0\1\0\0\0\074\0\4"
					"\300\0\2\1";
	struct event_base *base = event_base_new();
	struct store *s = open_it();
	struct danevirke_error err = { 0, "" };
	struct arena a = { NULL };
	struct dns *dns;
	int got = 0;

	(void)state;
	conf.query_timeout = 10;
	assert_non_null(dns = dns_new(&conf, base, s, 0, &err));
	assert_null(
	    dns_stored(dns, &a, "a.example", TYPE_A, found, &got, &err));
	assert_int_equal(err.code, DANEVIRKE_EDNS);
	assert_non_null(strstr(err.text, "a.example: not in the store"));
	store_put(s, "a.example", TYPE_A, 0, packet, sizeof packet - 1, 60);
	assert_non_null(
	    dns_stored(dns, &a, "A.example", TYPE_A, found, &got, &err));
	assert_int_equal(got, 0); /* from the loop */
	event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(got, 1);
	assert_null(
	    dns_stored(dns, &a, "a.example", TYPE_MX, found, &got, &err));
	assert_null(dns_stored(dns, &a, "a..b", TYPE_A, found, &got, &err));
	assert_int_equal(err.code, DANEVIRKE_EINVAL);
	dns_free(dns);
	store_close(s);
	arena_free(&a);
	event_base_free(base);
}

static int
setup(void **state)
{
	(void)state;
	unlink(file);
	return 0;
}

/* Root has no store; so the rest runs as nobody. */
int
main(void)
{
#define T(f, title) TEST_WITH(f, title, setup, NULL)
	const struct CMUnitTest tests[] = {
		T(test_round,
		    "what goes in comes out, for other processes, too (D15)"),
		T(test_not_kept,
		    "what is bogus, failed or too long is not kept (D03 D15)"),
		T(test_time,
		    "nothing is given past its end or before its begin (D15)"),
		T(test_corrupt, "a wrong octet is never given out"),
		T(test_bounded,
		    "200,000 names fit into 64 MiB, the last is kept"),
		T(test_conf,
		    "another anchor or server has another store (D05)"),
		T(test_directory,
		    "a directory or file that is not ours is refused"),
		T(test_whole, "whole answers are their user's, and kept apart"),
		T(test_list, "entries are listed, and flushed by domain"),
		T(test_lookup, "from the store: an answer or an error (D16)"),
		T(test_kill, "a writer's death is never seen by readers"),
	};
	struct passwd *pw;
	struct statfs fs;
	int rv;

	if (getenv("SLOW") != NULL) {
		names = 2000;
		kills = 20;
	}
	conf.trust_anchor = anchor;
	conf.limits.aliases = 8;
	snprintf(parent, sizeof parent, "/dev/shm/danevirke.XXXXXX");
	if (statfs("/dev/shm", &fs) != 0 ||
	    (uint32_t)fs.f_type != TMPFS_MAGIC || mkdtemp(parent) == NULL ||
	    chmod(parent, 0777) != 0) {
		printf("1..0 # SKIP no tmpfs at /dev/shm\n");
		return 0;
	}
	if (geteuid() == 0) {
		if (open_it() != NULL) {
			printf("1..1\nnot ok 1 - root has a store\n");
			return 1;
		}
		if (chown(parent, 65534, 65534) != 0 || setgid(65534) != 0 ||
		    setuid(65534) != 0)
			return 1;
	}
	if ((pw = getpwuid(geteuid())) == NULL) {
		printf("1..0 # SKIP this user has no name\n");
		return 0;
	}
	snprintf(own, sizeof own, "%s/%s", parent, pw->pw_name);
	snprintf(file, sizeof file, "%s/answers.1", own);
	snprintf(hints, sizeof hints, "%s/hints", parent);
	if (mkdir(own, 0700) != 0)
		return 1;
	rv = cmocka_run_group_tests_name("store", tests, NULL, NULL);
	unlink(file);
	rmdir(own);
	rmdir(parent);
	return rv;
}

/* SPDX-License-Identifier: ISC */
/*
 * store.c - validated DNS answers shared by short-lived processes of one user
 *
 * A file of pages on tmpfs.  The hash of a question names its page; a page
 * holds a few answers, each with its own checksum.  A lookup reads one page, a
 * new answer writes one page, with pread(2) and pwrite(2): no map, no lock and
 * no repair.  Whatever a killed, slow or concurrent writer leaves behind, or
 * whatever else has become of the file, fails its checksum and is a miss; then
 * DNS is asked.  A page that is full loses what ends first.
 *
 * What is kept is the packet as it was received and the resolver's word on it:
 * packet.c reads it anew each time, as bytes from a stranger.  Never bogus,
 * never failed, never past its TTL (D15).  Who can write the file can forge
 * "secure": so it must be its reader's own in every respect, and root has none.
 * Of whole answers (whole.c) there is a file of the same kind beside it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "module.h"
#include "packet.h"

#define PAGE STORE_PAGE
#define PAGES 16384 /* 64 MiB at most, and only what is used */
#define MAGIC 0x73764431u
#define SUM_LEN STORE_KEY
#define FILE_NAME "answers.1" /* another layout: another number */
#define WHOLE_NAME "whole.1"

/* In the machine's own byte order: the file never leaves it. */
struct entry {
	uint8_t sum[SUM_LEN]; /* of all that follows, packet included */
	uint32_t magic;
	uint16_t len; /* of the packet behind it */
	uint16_t type;
	uint64_t made, expires; /* CLOCK_BOOTTIME seconds */
	uint8_t key[SUM_LEN];   /* of the question */
	uint8_t sec;            /* libunbound's: 0 insecure, 2 secure */
	uint8_t zero[7];
};

struct store {
	int fd;
	danevirke_log *log;
	void *log_arg;
	bool said; /* a failure is said once */
	/* Of everything that decides what an answer is: no answer survives a
	 * change of anchor, servers or limits. */
	uint8_t conf[32];
};

static void __attribute__((format(printf, 2, 3)))
store_say(struct store *s, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (s->said || s->log == NULL)
		return;
	s->said = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	s->log(s->log_arg, 4, text);
}

uint64_t
store_now(void)
{
	struct timespec ts;

	/* it also runs while the machine sleeps */
	if (clock_gettime(CLOCK_BOOTTIME, &ts) != 0)
		return UINT64_MAX; /* everything has expired */
	return (uint64_t)ts.tv_sec;
}

/* ------------------------------------------------------------- the pages */

/* Octets of an entry, rounded so that the next one is aligned. */
static size_t
entry_len(size_t packet)
{
	return (sizeof(struct entry) + packet + 7) & ~(size_t)7;
}

static bool
entry_sum(const uint8_t *at, size_t packet, uint8_t sum[SUM_LEN])
{
	uint8_t digest[32];

	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, at + SUM_LEN,
		sizeof(struct entry) - SUM_LEN + packet, digest) != 0)
		return false;
	memcpy(sum, digest, SUM_LEN);
	return true;
}

/* The entry at off of a page, if a whole and sound one is there. */
static bool
entry_at(const uint8_t page[PAGE], size_t off, struct entry *e)
{
	uint8_t sum[SUM_LEN];

	if (PAGE - off < sizeof *e)
		return false;
	memcpy(e, page + off, sizeof *e);
	if (e->magic != MAGIC || PAGE - off < entry_len(e->len) ||
	    (e->sec != 0 && e->sec != 2))
		return false;
#ifdef FUZZING /* it cannot guess a digest */
	return true;
#endif
	return entry_sum(page + off, e->len, sum) &&
	    memcmp(sum, e->sum, SUM_LEN) == 0;
}

const uint8_t *
store_find(const uint8_t page[PAGE], const uint8_t key[SUM_LEN], uint64_t now,
    struct store_hit *hit)
{
	struct entry e;
	size_t off;

	for (off = 0; entry_at(page, off, &e); off += entry_len(e.len)) {
		if (memcmp(e.key, key, SUM_LEN) != 0)
			continue;
		/* made later than now: another boot's */
		if (e.made > now || e.expires <= now || e.len == 0)
			return NULL;
		hit->len = e.len;
		hit->sec = e.sec;
		hit->ttl = e.expires - now > UINT32_MAX ?
		    UINT32_MAX :
		    (uint32_t)(e.expires - now);
		return page + off + sizeof e;
	}
	return NULL;
}

/* Copies what still holds and is not this key, leaving room for len octets:
 * what ends first goes first.  Where the room is. */
static size_t
store_keep(const uint8_t old[PAGE], uint8_t page[PAGE],
    const uint8_t key[SUM_LEN], uint64_t now, size_t len)
{
	struct {
		size_t off, len;
		uint64_t expires;
	} have[PAGE / sizeof(struct entry)], *first;
	size_t n = 0, used = 0, off, i;
	struct entry e;

	for (off = 0; entry_at(old, off, &e); off += entry_len(e.len)) {
		if (e.made > now || e.expires <= now ||
		    memcmp(e.key, key, SUM_LEN) == 0)
			continue;
		have[n].off = off;
		have[n].len = entry_len(e.len);
		have[n].expires = e.expires;
		used += have[n++].len;
	}
	while (n > 0 && used + len > PAGE) {
		for (i = 1, first = have; i < n; i++)
			if (have[i].expires < first->expires)
				first = &have[i];
		used -= first->len;
		*first = have[--n];
	}
	memset(page, 0, PAGE);
	for (i = 0, off = 0; i < n; off += have[i++].len)
		memcpy(page + off, old + have[i].off, have[i].len);
	return off;
}

/* --------------------------------------------------------------- the file */

static bool
key_make(const struct store *s, const char *name, int type,
    uint8_t key[SUM_LEN], off_t *at)
{
	struct {
		uint8_t conf[32];
		uint16_t type;
		struct wire name;
	} q;
	uint8_t digest[32];
	uint32_t page;
	size_t i;

	memset(&q, 0, sizeof q);
	memcpy(q.conf, s->conf, sizeof q.conf);
	q.type = (uint16_t)type;
	if (!wire_parse(name, &q.name))
		return false;
	for (i = 0; i < q.name.len; i++) /* length octets are below 'A' */
		if (q.name.data[i] >= 'A' && q.name.data[i] <= 'Z')
			q.name.data[i] |= 0x20;
	if (gnutls_hash_fast(GNUTLS_DIG_SHA256, &q, sizeof q, digest) != 0)
		return false;
	memcpy(key, digest, SUM_LEN);
	memcpy(&page, digest + SUM_LEN, sizeof page);
	*at = (off_t)(page % PAGES) * PAGE;
	return true;
}

/* A page; zeros where the file has none.  False: it cannot be read. */
static bool
page_read(struct store *s, off_t at, uint8_t page[PAGE])
{
	ssize_t n = pread(s->fd, page, PAGE, at);

	if (n < 0) {
		store_say(s, "store: %m: DNS is asked instead");
		return false;
	}
	memset(page + n, 0, PAGE - (size_t)n);
	return true;
}

bool
store_get(struct store *s, struct arena *a, const char *name, int type,
    struct store_hit *hit)
{
	uint8_t page[PAGE], key[SUM_LEN], *copy;
	const uint8_t *packet;
	off_t at;

	if (s == NULL || !key_make(s, name, type, key, &at) ||
	    !page_read(s, at, page) ||
	    (packet = store_find(page, key, store_now(), hit)) == NULL ||
	    (copy = arena_alloc(a, hit->len)) == NULL)
		return false;
	memcpy(copy, packet, hit->len);
	hit->packet = copy;
	return true;
}

void
store_put(struct store *s, const char *name, int type, int sec,
    const uint8_t *packet, size_t len, uint32_t ttl)
{
	uint8_t old[PAGE], page[PAGE];
	struct entry e = { .magic = MAGIC,
		.type = (uint16_t)type,
		.sec = (uint8_t)sec,
		.made = store_now() };
	size_t to;
	off_t at;

	if (s == NULL || ttl == 0 || (sec != 0 && sec != 2) || len == 0 ||
	    len > PAGE - sizeof e || e.made == UINT64_MAX ||
	    !key_make(s, name, type, e.key, &at) || !page_read(s, at, old))
		return;
	e.len = (uint16_t)len;
	e.expires = e.made + ttl;
	to = store_keep(old, page, e.key, e.made, entry_len(len));
	memcpy(page + to, &e, sizeof e);
	memcpy(page + to + sizeof e, packet, len);
	if (!entry_sum(page + to, len, e.sum))
		return;
	memcpy(page + to, e.sum, SUM_LEN);
	errno = ENOSPC; /* a part only: it is full */
	if (pwrite(s->fd, page, PAGE, at) != PAGE)
		store_say(s, "store: %m: the answer is not kept");
}

/* -------------------------------------------------------- opening it */

/* What is in the file, for its name stays when that changes. */
static bool
file_hash(gnutls_hash_hd_t h, const char *path)
{
	uint8_t buf[8192];
	ssize_t n;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	while ((n = read(fd, buf, sizeof buf)) > 0)
		gnutls_hash(h, buf, (size_t)n);
	close(fd);
	return n == 0;
}

static bool
conf_hash(const struct conf *c, uint8_t out[32])
{
	gnutls_hash_hd_t h;
	uint32_t aliases = c->limits.aliases;
	size_t i, j;
	bool ok;

	if (gnutls_hash_init(&h, GNUTLS_DIG_SHA256) != 0)
		return false;
	ok = file_hash(h, c->trust_anchor);
	for (i = 0; i < c->n_forward; i++)
		gnutls_hash(h, c->forward[i], strlen(c->forward[i]) + 1);
	for (i = 0; i < c->n_zones; i++) {
		gnutls_hash(h, c->zones[i].insecure ? "\1" : "\2", 1);
		gnutls_hash(h, c->zones[i].name, strlen(c->zones[i].name) + 1);
		for (j = 0; j < c->zones[i].n_forward; j++)
			gnutls_hash(h, c->zones[i].forward[j],
			    strlen(c->zones[i].forward[j]) + 1);
	}
	if (c->root_hints != NULL) {
		gnutls_hash(h, "\3", 1);
		ok = file_hash(h, c->root_hints) && ok;
	}
	gnutls_hash(h, &aliases, sizeof aliases);
	gnutls_hash_deinit(h, out);
	return ok;
}

/* The directory of this user, which nobody else can write, on tmpfs. */
static int
dir_open(struct store *s, const char *parent, uid_t uid)
{
	char path[256], buf[4096];
	struct passwd pw, *p = NULL;
	struct statfs fs;
	struct stat st;
	int fd;

	if (getpwuid_r(uid, &pw, buf, sizeof buf, &p) != 0 || p == NULL ||
	    strchr(p->pw_name, '/') != NULL ||
	    (size_t)snprintf(path, sizeof path, "%s/%s", parent, p->pw_name) >=
		sizeof path)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		if (errno != ENOENT)
			store_say(s, "store: %s: %m: it is not used", path);
		return -1;
	}
	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
		store_say(s, "store: %s: %m: it is not used", path);
	else if (st.st_uid != uid || (st.st_mode & 07777) != 0700)
		store_say(s,
		    "store: %s: owner %ld, mode %04o: want %ld, 0700: it is "
		    "not used",
		    path, (long)st.st_uid, st.st_mode & 07777, (long)uid);
	else if ((uint32_t)fs.f_type != TMPFS_MAGIC &&
	    (uint32_t)fs.f_type != RAMFS_MAGIC)
		store_say(s, "store: %s: want a tmpfs: it is not used", path);
	else
		return fd;
	close(fd);
	return -1;
}

/* mode: O_RDONLY, or O_RDWR and O_CREAT */
static int
file_open(struct store *s, int dir, const char *name, int mode, uid_t uid)
{
	struct stat st;
	int fd;

	fd = openat(
	    dir, name, mode | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (fd == -1)
		store_say(s, "store: %s: %m: it is not used", name);
	else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    st.st_uid != uid || (st.st_mode & 077) != 0 || st.st_nlink != 1) {
		store_say(s,
		    "store: %s: want a file of uid %ld, mode 0600, one link: "
		    "it is not used",
		    name, (long)uid);
		close(fd);
		fd = -1;
	}
	return fd;
}

static struct store *
store_new(const struct conf *conf, const char *parent, const char *name,
    int mode, uid_t uid, danevirke_log *log, void *arg)
{
	struct store *s = calloc(1, sizeof *s);
	int dir;

	if (s == NULL)
		return NULL;
	s->fd = -1;
	s->log = log;
	s->log_arg = arg;
	if ((dir = dir_open(s, parent, uid)) != -1) {
		s->fd = file_open(s, dir, name, mode, uid);
		close(dir);
	}
	if (s->fd == -1 || !conf_hash(conf, s->conf)) {
		store_close(s);
		return NULL;
	}
	return s;
}

struct store *
store_open(
    const struct conf *conf, const char *parent, danevirke_log *log, void *arg)
{
	/* set-id: whose memory this is is not clear enough */
	if (geteuid() == 0 || getuid() != geteuid())
		return NULL;
	return store_new(
	    conf, parent, FILE_NAME, O_RDWR | O_CREAT, geteuid(), log, arg);
}

struct store *
store_open_whole(const struct conf *conf, const char *parent, uid_t uid)
{
	bool own = uid == geteuid() && uid == getuid();
	struct store *s = NULL;

	if (uid == 0 || !(own || geteuid() == 0))
		return NULL;
	/* root opens nothing here that the user could not */
	setfsuid(uid);
	if ((uid_t)setfsuid((uid_t)-1) == uid)
		s = store_new(conf, parent, WHOLE_NAME,
		    own ? O_RDWR | O_CREAT : O_RDONLY, uid, NULL, NULL);
	setfsuid(geteuid());
	return s;
}

bool
store_only(struct store *s, const void *what, size_t len)
{
	gnutls_hash_hd_t h;

	if (gnutls_hash_init(&h, GNUTLS_DIG_SHA256) != 0)
		return false;
	gnutls_hash(h, s->conf, sizeof s->conf);
	gnutls_hash(h, what, len);
	gnutls_hash_deinit(h, s->conf);
	return true;
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (s->fd != -1)
		close(s->fd);
	free(s);
}

/* --------------------------------------------------------- for people */

/* The next page at or behind *at that was ever written: 1; 0: none; -1. */
static int
page_next(struct store *s, off_t *at, uint8_t page[PAGE])
{
	/* holes cost nothing */
	if ((*at = lseek(s->fd, *at, SEEK_DATA)) == -1)
		return errno == ENXIO ? 0 : -1;
	*at -= *at % PAGE;
	return page_read(s, *at, page) ? 1 : -1;
}

/* The name that a packet's question is about. */
static bool
store_question(const uint8_t *packet, size_t len, struct wire *w)
{
	return wire_read(packet, len, 12, w) != 0;
}

int
store_walk(struct store *s, store_each *each, void *arg)
{
	uint64_t now = store_now();
	uint8_t page[PAGE];
	char name[NAME_LEN];
	struct store_hit hit;
	struct wire w;
	struct entry e;
	size_t off;
	off_t at = 0;
	int more;

	for (; (more = page_next(s, &at, page)) == 1; at += PAGE)
		for (off = 0; entry_at(page, off, &e);
		     off += entry_len(e.len)) {
			if (e.made > now || e.expires <= now)
				continue;
			hit.packet = page + off + sizeof e;
			hit.len = e.len;
			hit.sec = e.sec;
			hit.ttl = (uint32_t)(e.expires - now);
			if (store_question(hit.packet, hit.len, &w) &&
			    dns_name_text(w.data, w.len, name))
				each(arg, name, e.type, &hit);
		}
	return more;
}

int
store_flush(struct store *s, const char *name, size_t *n)
{
	uint8_t old[PAGE], page[PAGE];
	struct wire below, w;
	struct entry e;
	size_t off, to;
	off_t at = 0;
	int more;

	*n = 0;
	if (name == NULL)
		return ftruncate(s->fd, 0);
	if (!wire_parse(name, &below)) {
		errno = EINVAL;
		return -1;
	}
	for (; (more = page_next(s, &at, old)) == 1; at += PAGE) {
		memset(page, 0, sizeof page);
		for (off = to = 0; entry_at(old, off, &e);
		     off += entry_len(e.len)) {
			if (store_question(old + off + sizeof e, e.len, &w) &&
			    wire_below(&w, &below)) {
				(*n)++;
				continue;
			}
			memcpy(page + to, old + off, entry_len(e.len));
			to += entry_len(e.len);
		}
		if (to != off && pwrite(s->fd, page, PAGE, at) != PAGE)
			return -1;
	}
	return more;
}

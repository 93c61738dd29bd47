/* SPDX-License-Identifier: ISC */
/*
 * Questions in processes that can be killed (D16): with a module of our own,
 * whose names say what it does, and processes that are real.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "frame.h"
#include "resolver.h"

#include <cmocka.h>

#include "title.h"

/* ------------------------------------------------------- what is looked up */

/* Each answers from the loop, some milliseconds later, but:
 *	evil...		computes for ever
 *	drop...		ends the process
 *	mute...		stops the process
 *	wait...		never answers
 *	fail...		fails
 *	text...		has the answer's text in its name */
struct fake {
	struct event *timer;
	danevirke_done *done;
	void *arg;
	char name[64];
};

static struct event_base *fake_base;

static struct danevirke *
fake_open(const struct danevirke_options *o, struct danevirke_error *err)
{
	static int engine;
	char text[64] = "";
	FILE *f = fopen(o->config, "r");

	fake_base = o->base;
	if (f == NULL || fgets(text, sizeof text, f) == NULL ||
	    strcmp(text, "good\n") != 0) {
		err->code = DANEVIRKE_ECONF;
		snprintf(err->text, sizeof err->text, "config: \"%s\"", text);
		return NULL;
	}
	fclose(f);
	if (o->flags != DANEVIRKE_OPEN_ALL)
		o->log(o->log_arg, 6, "kept fresh");
	return (struct danevirke *)(void *)&engine;
}

static void
fake_timer(int fd, short what, void *arg)
{
	struct danevirke_error err = { DANEVIRKE_EDNS, "as asked for" };
	struct fake *f = arg;
	struct danevirke_answer *a = NULL;

	(void)fd;
	(void)what;
	while (strncasecmp(f->name, "evil", 4) == 0)
		continue;
	if (strncmp(f->name, "drop", 4) == 0)
		_exit(7);
	if (strncmp(f->name, "mute", 4) == 0)
		raise(SIGSTOP);
	if (strncmp(f->name, "fail", 4) != 0 &&
	    (a = calloc(1, sizeof *a)) != NULL)
		a->ttl = (uint32_t)strlen(f->name);
	event_free(f->timer);
	f->done(f->arg, a, a == NULL ? &err : NULL);
	free(f);
}

static int
fake_start(struct danevirke *e, const struct danevirke_question *q,
    danevirke_done *done, void *arg, struct danevirke_query **query,
    struct danevirke_error *err)
{
	struct timeval tv = { 0, 20000 };
	struct fake *f = calloc(1, sizeof *f);

	(void)e;
	if (q->name[0] == '.' || f == NULL) {
		free(f);
		snprintf(err->text, sizeof err->text, "no name");
		return err->code = DANEVIRKE_EINVAL;
	}
	snprintf(f->name, sizeof f->name, "%s", q->name);
	f->done = done;
	f->arg = arg;
	f->timer = evtimer_new(fake_base, fake_timer, f);
	if (strncmp(q->name, "wait", 4) == 0)
		tv.tv_sec = 100;
	event_add(f->timer, &tv);
	*query = (struct danevirke_query *)(void *)f;
	return 0;
}

static void
fake_cancel(struct danevirke_query *q)
{
	struct fake *f = (struct fake *)(void *)q;

	event_free(f->timer);
	free(f);
}

static void
fake_release(const struct danevirke_answer *a)
{
	free((void *)(uintptr_t)a);
}

static size_t
fake_pack(const struct danevirke_answer *a, void *buf, size_t len)
{
	if (len >= sizeof a->ttl)
		memcpy(buf, &a->ttl, sizeof a->ttl);
	return sizeof a->ttl;
}

static const struct danevirke_answer *
fake_unpack(const void *buf, size_t len, struct danevirke_error *err)
{
	struct danevirke_answer *a = calloc(1, sizeof *a);

	(void)err;
	assert_int_equal(len, sizeof a->ttl);
	memcpy(&a->ttl, buf, sizeof a->ttl);
	return a;
}

static const struct danevirke_api fake = { .open = fake_open,
	.start = fake_start,
	.cancel = fake_cancel,
	.release = fake_release,
	.pack = fake_pack,
	.unpack = fake_unpack };

/* ------------------------------------------------------------------ asking */

struct asked {
	struct resolver_query *query;
	char name[64];
	int answered, failed; /* times */
	uint32_t ttl;
	struct danevirke_error err;
	struct asked *cancel; /* when it ends */
};

struct world {
	struct event_base *base;
	struct resolver *r;
	char path[64];
	char log[4096];
	int lost;
};

static void
on_log(void *arg, int level, const char *text)
{
	struct world *w = arg;
	size_t n = strlen(w->log);

	snprintf(w->log + n, sizeof w->log - n, "%d %s\n", level, text);
}

static void
on_lost(void *arg)
{
	((struct world *)arg)->lost++;
}

static void
write_config(struct world *w, const char *text)
{
	FILE *f = fopen(w->path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int
set_up(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	struct resolver_options o = {
		.dv = &fake, .log = on_log, .lost = on_lost, .arg = w
	};
	struct danevirke_error err;

	snprintf(
	    w->path, sizeof w->path, "/tmp/dv-resolver-%ld", (long)getpid());
	write_config(w, "good\n");
	o.config = w->path;
	w->base = event_base_new();
	w->r = resolver_new(w->base, &o, &err);
	assert_non_null(w->r);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	resolver_free(w->r);
	event_base_free(w->base);
	unlink(w->path);
	free(w);
	return 0;
}

static void
on_done(void *arg, const struct danevirke_answer *a,
    const struct danevirke_error *err)
{
	struct asked *q = arg;

	q->query = NULL;
	if (a != NULL) {
		q->answered++;
		q->ttl = a->ttl;
		fake_release(a);
	} else {
		q->failed++;
		q->err = *err;
	}
	if (q->cancel != NULL) {
		resolver_cancel(q->cancel->query);
		q->cancel->query = NULL;
	}
}

static void
ask(struct world *w, struct asked *q, const char *name)
{
	struct danevirke_question question = { .size = sizeof question,
		.name = name };
	struct danevirke_error err;

	memset(q, 0, sizeof *q);
	snprintf(q->name, sizeof q->name, "%s", name);
	assert_int_equal(
	    resolver_start(w->r, &question, on_done, q, &q->query, &err), 0);
	assert_int_equal(q->answered + q->failed, 0); /* never inside */
}

/* At most so long: a bound, nothing is timed. */
static void
run(struct world *w, const struct asked *q, size_t n, int most)
{
	struct timeval tick = { 0, 50000 };
	time_t end = time(NULL) + most;
	size_t i;

	do {
		event_base_loopexit(w->base, &tick);
		event_base_dispatch(w->base);
		for (i = 0; i < n && q[i].query == NULL; i++)
			;
	} while (i < n && time(NULL) < end);
}

static void
is_good(const struct asked *q)
{
	assert_int_equal(q->answered, 1);
	assert_int_equal(q->failed, 0);
	assert_int_equal(q->ttl, strlen(q->name));
}

static void
is_bad(const struct asked *q, const char *why)
{
	assert_int_equal(q->answered, 0);
	assert_int_equal(q->failed, 1);
	assert_int_not_equal(q->err.code, 0);
	assert_non_null(strstr(q->err.text, why));
}

/* ------------------------------------------------------------------- tests */

static void
test_answers(void **state)
{
	struct world *w = *state;
	struct asked q[3];

	ask(w, &q[0], "a.example");
	ask(w, &q[1], "fail.example");
	ask(w, &q[2], ".");
	run(w, q, 3, 30);
	is_good(&q[0]);
	is_bad(&q[1], "as asked for");
	is_bad(&q[2], "no name");
	assert_int_equal(q[2].err.code, DANEVIRKE_EINVAL);
}

/* D16: the others are answered; the one that computes has failed, and that is
 * remembered: the next time it disturbs nobody at all. */
static void
test_evil(void **state)
{
	struct world *w = *state;
	struct asked q[20], again[2];
	char name[20];
	int i;

	for (i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "n%d.example", i);
		ask(w, &q[i], i == 11 ? "evil.example" : name);
	}
	run(w, q, 20, 60);
	for (i = 0; i < 20; i++)
		if (i != 11)
			is_good(&q[i]);
	is_bad(&q[11], "computed for too long");
	assert_non_null(strstr(w->log, "its questions are asked again"));
	w->log[0] = '\0';
	ask(w, &again[0], "EVIL.example");
	ask(w, &again[1], "good.example");
	run(w, again, 2, 60);
	is_bad(&again[0], "computed for too long");
	is_good(&again[1]);
	assert_null(strstr(w->log, "asked again"));
}

/* D16: nor do several, whatever becomes of each. */
static void
test_several_evil(void **state)
{
	struct world *w = *state;
	struct asked q[40];
	char name[20];
	int i;

	for (i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "%s%d.example",
		    i % 9 == 0      ? "evil" :
			i % 10 == 0 ? "drop" :
				      "n",
		    i);
		ask(w, &q[i], name);
	}
	run(w, q, 40, 120);
	for (i = 0; i < 40; i++)
		if (i % 9 == 0)
			is_bad(&q[i], "its DNS data cannot be looked up");
		else if (i % 10 == 0)
			is_bad(&q[i], "ended with status 7");
		else
			is_good(&q[i]);
}

/* What nobody waits for any more computes on: the one who asks next is not
 * taken for it. */
static void
test_cancelled(void **state)
{
	struct world *w = *state;
	struct asked q[2];
	struct timeval tick = { 0, 100000 };

	ask(w, &q[0], "evil.example");
	event_base_loopexit(w->base, &tick);
	event_base_dispatch(w->base);
	resolver_cancel(q[0].query);
	ask(w, &q[1], "good.example");
	run(w, &q[1], 1, 60);
	is_good(&q[1]);
	assert_int_equal(q[0].answered + q[0].failed, 0);
}

/* done() may cancel: what is cancelled is never heard of. */
static void
test_cancel_in_done(void **state)
{
	struct world *w = *state;
	struct asked q[2];

	ask(w, &q[0], "a.example");
	ask(w, &q[1], "wait.example");
	q[0].cancel = &q[1];
	run(w, q, 2, 30);
	is_good(&q[0]);
	assert_int_equal(q[1].answered + q[1].failed, 0);
}

/* A process that does nothing at all: who asked in vain is asked again. */
static void
test_stopped(void **state)
{
	struct world *w = *state;
	struct asked q[2];

	ask(w, &q[0], "good.example");
	ask(w, &q[1], "mute.example");
	run(w, q, 2, 60);
	is_good(&q[0]);
	is_bad(&q[1], "signal 9");
	assert_non_null(strstr(w->log, "it says nothing any more"));
}

/* What is written into the file later does not meet the next process; a file
 * that is wrong from the beginning is said to be. */
static void
test_config(void **state)
{
	struct world *w = *state;
	struct resolver_options o = { .dv = &fake };
	struct danevirke_error err = { 0, "" };
	struct resolver *r;
	struct asked q[2];

	write_config(w, "bad\n");
	ask(w, &q[0], "drop.example");
	run(w, q, 1, 60);
	is_bad(&q[0], "ended with status 7");
	ask(w, &q[1], "good.example");
	run(w, &q[1], 1, 60);
	is_good(&q[1]);

	o.config = w->path;
	r = resolver_new(w->base, &o, &err);
	assert_non_null(r);
	assert_false(resolver_warm(r, 30, &err));
	assert_non_null(strstr(err.text, "config: \"bad"));
	resolver_free(r);
	o.config = "/nowhere/danevirke.conf";
	assert_null(resolver_new(w->base, &o, &err));
	assert_non_null(strstr(err.text, "/nowhere/danevirke.conf"));
}

static void
test_warm(void **state)
{
	struct world *w = *state;
	struct danevirke_error err = { 0, "" };
	struct asked q;

	assert_true(resolver_warm(w->r, 30, &err));
	ask(w, &q, "good.example");
	run(w, &q, 1, 30);
	is_good(&q);
}

/* Its parent gone, nothing is answered, and all are told. */
static void
test_lost(void **state)
{
	struct world *w = *state;
	struct danevirke_question question = { .size = sizeof question,
		.name = "late.example" };
	struct danevirke_error err;
	struct asked q, late;
	char path[64], line[64];
	long master = 0;
	FILE *f;

	ask(w, &q, "wait.example");
	snprintf(
	    path, sizeof path, "/proc/self/task/%ld/children", (long)getpid());
	f = fopen(path, "r");
	assert_non_null(f);
	while (fscanf(f, "%63s", line) == 1)
		master = atol(line);
	fclose(f);
	assert_true(master > 0);
	kill((pid_t)master, SIGKILL);
	run(w, &q, 1, 30);
	is_bad(&q, "its processes have ended");
	assert_int_equal(w->lost, 1);
	assert_int_equal(
	    resolver_start(w->r, &question, on_done, &late, &late.query, &err),
	    DANEVIRKE_EDNS);
}

/* Names that are too long for any question. */
static void
test_long_name(void **state)
{
	struct world *w = *state;
	struct danevirke_question q = { .size = sizeof q };
	struct resolver_query *query;
	struct danevirke_error err;
	char name[QUESTION_NAME + 1];

	memset(name, 'a', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	q.name = name;
	assert_int_equal(resolver_start(w->r, &q, on_done, NULL, &query, &err),
	    DANEVIRKE_EINVAL);
}

/* ------------------------------------------------------------------ frames */

static void
test_frames(void **state)
{
	static const uint8_t body[] = "body";
	struct frame f = { FRAME_ANSWER, 7, body, sizeof body }, g;
	struct evbuffer *b = evbuffer_new();
	uint32_t head[4] = { 0, FRAME_KINDS, 0, 0 };

	(void)state;
	assert_int_equal(frame_take(b, &g), 0);
	assert_true(frame_add(b, &f));
	assert_int_equal(frame_take(b, &g), 1);
	assert_int_equal(g.kind, FRAME_ANSWER);
	assert_int_equal(g.id, 7);
	assert_int_equal(g.len, sizeof body);
	assert_memory_equal(g.body, body, sizeof body);
	frame_drop(b, &g);
	assert_int_equal(evbuffer_get_length(b), 0);
	/* no such kind; too long; not yet whole */
	evbuffer_add(b, head, sizeof head);
	assert_int_equal(frame_take(b, &g), -1);
	evbuffer_drain(b, sizeof head);
	head[1] = FRAME_LOG;
	head[0] = FRAME_BODY + 1;
	evbuffer_add(b, head, sizeof head);
	assert_int_equal(frame_take(b, &g), -1);
	evbuffer_drain(b, sizeof head);
	head[0] = 1;
	evbuffer_add(b, head, sizeof head);
	assert_int_equal(frame_take(b, &g), 0);
	evbuffer_free(b);
}

static void
test_question(void **state)
{
	struct danevirke_question q = { .size = sizeof q,
		.kind = DANEVIRKE_RELAY,
		.name = "mx.example",
		.port = 465,
		.flags = 5,
		.profile = "p" };
	uint8_t buf[QUESTION_MAX];
	struct question out;
	size_t len = question_pack(&q, buf), i;

	(void)state;
	assert_true(question_unpack(buf, len, &out));
	assert_int_equal(out.q.kind, DANEVIRKE_RELAY);
	assert_int_equal(out.q.port, 465);
	assert_int_equal(out.q.flags, 5);
	assert_string_equal(out.q.name, "mx.example");
	assert_string_equal(out.q.profile, "p");
	for (i = 0; i < len; i++)
		assert_false(question_unpack(buf, i, &out));
	buf[len - 1] = 'x'; /* no end */
	assert_false(question_unpack(buf, len, &out));
	q.profile = NULL;
	len = question_pack(&q, buf);
	assert_true(question_unpack(buf, len, &out));
	assert_null(out.q.profile);
}

static void
test_note(void **state)
{
	struct danevirke_error err;
	uint8_t buf[NOTE_MAX + 1];
	char text[3000];
	size_t len;

	(void)state;
	len = note_pack(-3, "why", buf);
	assert_true(note_unpack(buf, len, &err));
	assert_int_equal(err.code, -3);
	assert_string_equal(err.text, "why");
	assert_false(note_unpack(buf, 3, &err));
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	len = note_pack(1, text, buf); /* cut */
	assert_true(note_unpack(buf, len, &err));
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	assert_false(note_unpack(buf, sizeof buf, &err));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH(test_answers,
		    "what is answered and what is refused comes back", set_up,
		    tear_down),
		TEST_WITH(test_evil,
		    "who computes for ever delays nobody, and is known (D16)",
		    set_up, tear_down),
		TEST_WITH(test_several_evil,
		    "several that compute for ever delay nobody (D16)", set_up,
		    tear_down),
		TEST_WITH(test_cancelled,
		    "a question after a cancelled one is answered (D16)",
		    set_up, tear_down),
		TEST_WITH(test_cancel_in_done,
		    "done() may cancel another question", set_up, tear_down),
		TEST_WITH(test_stopped,
		    "a process that is stopped is replaced (D16)", set_up,
		    tear_down),
		TEST_WITH(test_config, "a file changed later changes nothing",
		    set_up, tear_down),
		TEST_WITH(
		    test_warm, "a warm resolver answers", set_up, tear_down),
		TEST_WITH(test_lost, "when the processes are gone all are told",
		    set_up, tear_down),
		TEST_WITH(test_long_name,
		    "a name too long for any question is refused", set_up,
		    tear_down),
		TEST(test_frames,
		    "a frame of no kind or over its size is refused"),
		TEST(test_question,
		    "a question comes out as it went in, or not at all"),
		TEST(test_note, "an error comes out as it went in, or cut"),
	};

	return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}

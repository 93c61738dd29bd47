/* SPDX-License-Identifier: ISC */
/*
 * What a process of Exim pays before its first answer:
 *
 *	start FIRST MODULE CONFIG DOMAIN TIMES LIBRARY...
 *
 * The libraries that Exim itself has are mapped; then TIMES forks, as Exim
 * forks for a message, each load FIRST (exim.so, or an empty library) and the
 * module, read the configuration, and have an answer from the store, first by
 * a child, then by themselves, and as it was left.  For each step a line:
 * microseconds, page faults, KiB of memory that is the process's own; medians.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <dlfcn.h>
#include <unistd.h>

#include "bench.h"
#include "danevirke.h"

enum { STEPS = 6, KINDS = 3 };

/* One process: the steps, of each kind of figure */
struct run {
	double step[STEPS][KINDS];
};

struct lap {
	double from, faults, kib;
};

static double
faults_now(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)r.ru_minflt;
}

static double
kib_now(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	char line[200];
	double kib = 0;

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof line, f) != NULL)
		if (sscanf(line, "Private_Dirty: %lf", &kib) == 1)
			break;
	fclose(f);
	return kib;
}

static void
lap_begin(struct lap *l)
{
	l->kib = kib_now();
	l->faults = faults_now();
	l->from = now_us();
}

static void
lap_end(struct lap *l, double *out)
{
	out[0] = now_us() - l->from;
	out[1] = faults_now() - l->faults;
	out[2] = kib_now() - l->kib;
	lap_begin(l);
}

static int
ask(const struct danevirke_api *dv, struct danevirke *e, const char *domain)
{
	struct danevirke_question q = { .size = sizeof q,
		.name = domain,
		.flags = DANEVIRKE_STORED | DANEVIRKE_LEAVE };
	const struct danevirke_answer *a;
	struct danevirke_error err;

	if ((a = dv->ask(e, &q, &err)) == NULL)
		fprintf(stderr, "%s\n", err.text);
	return a != NULL && a->outcome == DANEVIRKE_ROUTE ? 0 : 1;
}

static int
recall(const struct danevirke_api *dv, struct danevirke *e, const char *domain)
{
	struct danevirke_question q = { .size = sizeof q, .name = domain };

	return dv->recall(e, &q, geteuid()) != NULL ? 0 : 1;
}

static int
one(char **argv, struct run *r)
{
	struct danevirke_options o = { .size = sizeof o, .config = argv[3] };
	const struct danevirke_api *dv;
	struct danevirke_error err;
	struct danevirke *e;
	struct lap lap;
	int status = 1;
	pid_t pid;
	void *so;

	lap_begin(&lap);
	if (dlopen(argv[1], RTLD_LAZY) == NULL)
		return 1;
	lap_end(&lap, r->step[0]);
	if ((so = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL)) == NULL ||
	    (dv = dlsym(so, DANEVIRKE_SYMBOL)) == NULL)
		return 1;
	lap_end(&lap, r->step[1]);
	if ((e = dv->open(&o, &err)) == NULL)
		return 1;
	lap_end(&lap, r->step[2]);
	if ((pid = fork()) == 0)
		_exit(ask(dv, e, argv[4]));
	if (pid == -1 || waitpid(pid, &status, 0) != pid || status != 0)
		return 1;
	lap_end(&lap, r->step[3]);
	if (ask(dv, e, argv[4]) != 0)
		return 1;
	lap_end(&lap, r->step[4]);
	if (recall(dv, e, argv[4]) != 0)
		return 1;
	lap_end(&lap, r->step[5]);
	return 0;
}

static double
middle(const struct run *r, int n, int step, int kind, double *sorted)
{
	int i;

	for (i = 0; i < n; i++)
		sorted[i] = r[i].step[step][kind];
	qsort(sorted, (size_t)n, sizeof *sorted, double_cmp);
	return sorted[n / 2];
}

int
main(int argc, char **argv)
{
	int i, n = argc > 6 ? atoi(argv[5]) : 0, status;
	double *sorted = calloc((size_t)n + 1, sizeof *sorted);
	struct run *r;

	if (n < 1 || sorted == NULL)
		return 2;
	r = mmap(NULL, (size_t)n * sizeof *r, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r == MAP_FAILED)
		return 1;
	for (i = 6; i < argc; i++)
		if (dlopen(argv[i], RTLD_NOW | RTLD_GLOBAL) == NULL)
			fprintf(stderr, "%s\n", dlerror());
	for (i = 0; i < n; i++) {
		if (fork() == 0)
			_exit(one(argv, &r[i]));
		if (wait(&status) == -1 || status != 0)
			return 1;
	}
	for (i = 0; i < STEPS; i++)
		printf("%.1f %.0f %.0f\n", middle(r, n, i, 0, sorted),
		    middle(r, n, i, 1, sorted), middle(r, n, i, 2, sorted));
	return 0;
}

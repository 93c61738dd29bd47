/* SPDX-License-Identifier: ISC */
/*
 * survey.h - a list of any length
 *
 *	survey.c	options; and one process: names in, lines out
 *	  jobs.c	  jobs_run()	  several of them, and who has which name
 *	  names.c	  names_*()	  the list, read as there is room
 *	  resume.c	  resume_*()	  which of its lines are done
 *	  progress.c	  progress_*()	  how far it is, for a person
 */
#ifndef SURVEY_H
#define SURVEY_H

#include "check.h"

#define LINE_BUFFER (1 << 20) /* a line goes out in one write() */

/* ---------------------------------------------------------------- resume */

struct resume; /* one bit for each line of the list */

/* The lines of RESULTS.  A last line that was cut off is removed if RESULTS is
 * standard output too.  NULL: reported. */
struct resume *resume_read(struct cli *, const char *path);
bool resume_done(const struct resume *, unsigned long n); /* NULL: false */
void resume_free(struct resume *);
/* Of a line that survey has written, without its end: the number of its name,
 * and its verdict; 0: it is none. */
unsigned long resume_number(const char *line, size_t len, enum check_verdict *);

/* ----------------------------------------------------------------- names */

struct names;

struct names_options {
	struct cli *cli;
	struct event_base *base;
	const struct resume *done;
	bool numbered; /* as jobs.c hands them out: "NUMBER NAME" */
	bool (*room)(void *arg);
	void (*take)(void *arg, const char *name, unsigned long n);
	void *arg;
};

/* Standard input.  NULL: no memory. */
struct names *names_new(const struct names_options *);
void names_free(struct names *);
/* Takes names while there is room, and reads on: to be called when there is
 * room again. */
void names_more(struct names *);
bool names_over(const struct names *);           /* all were taken */
unsigned long names_lines(const struct names *); /* read so far */
bool names_failed(const struct names *);         /* reported */

/* -------------------------------------------------------------- progress */

struct progress {
	bool on, terminal;
	unsigned long total; /* lines, 0: unknown */
	unsigned long at;    /* so many of them are over */
	unsigned long tested, problems, untested;
	double began, shown; /* seconds */
};

/* Shows nothing unless wanted, or standard error is a terminal and standard
 * output is none. */
void progress_begin(struct progress *, bool wanted);
/* A name is done, and at lines of the list are over. */
void progress_count(struct progress *, enum check_verdict, unsigned long at);
void progress_end(struct progress *);

/* ------------------------------------------------------------------ jobs */

struct jobs_options {
	struct cli *cli;
	const struct exam_options *o; /* base, and what a report needs */
	size_t n;                     /* processes, 2 or more */
	size_t share;                 /* names under way in each, at most */
	const struct resume *done;
	struct progress *progress;
	/* What a process does, with names as "NUMBER NAME" on standard input;
	 * it writes an empty line once it can begin.  Its exit status. */
	int (*work)(void *arg);
	void *arg;
};

struct jobs;
/* Begins, on o->base.  NULL: no memory, or no process. */
struct jobs *jobs_new(const struct jobs_options *);
bool jobs_over(const struct jobs *);
size_t jobs_busy(const struct jobs *);           /* names under way */
unsigned long jobs_written(const struct jobs *); /* lines */
bool jobs_failed(const struct jobs *);           /* reported */
/* Ends its processes.  NULL is allowed. */
void jobs_free(struct jobs *);

#endif

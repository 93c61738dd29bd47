/* SPDX-License-Identifier: ISC */
/*
 * switch.h - a mail server that sends by Danevirke from now on
 *
 *	switch.c	cmd_setup()	options; shows, does, takes back
 *	switch_exim.c	switch_exim()	Debian's Exim, split and unsplit
 *	switch_smtpd.c	switch_smtpd()	smtpd.conf
 *	change.c	change_*()	files, changed and changed back
 *
 * What is not recognised is refused: danevirke doctor has the lines to write by
 * hand.
 */
#ifndef SWITCH_H
#define SWITCH_H

#include "change.h"

struct switching {
	struct cli *c;
	const char *program, *file; /* of the server; its smtpd.conf */
	struct changes changes;
};

/* The changes; 0, or EXIT_UNTESTED: reported. */
int switch_exim(struct switching *);
int switch_smtpd(struct switching *);
/* Does the server take what is there now?  0, or EXIT_UNTESTED: reported. */
int switch_exim_try(struct switching *);
int switch_smtpd_try(struct switching *);

#endif

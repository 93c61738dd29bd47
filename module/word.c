/* SPDX-License-Identifier: ISC */
/* The words that every log has in common.  Pure. */
#include <stdio.h>

#include "module.h"

const char *
log_word(const struct danevirke_answer *a, const struct danevirke_host *h,
    int tls, int verified)
{
	if (a == NULL || h == NULL || h->action == DANEVIRKE_HOST_DEFER ||
	    (h->action == DANEVIRKE_AUTHENTICATE && !verified) ||
	    (h->action == DANEVIRKE_ENCRYPT && !tls))
		return "deferred";
	if (tls && verified && h->would == DANEVIRKE_AUTHENTICATE)
		return verify_by_mta_sts(h) ? "mta-sts" : /* H06 */
		    a->insecure_mx          ? "dane-insecure-mx" : /* M06 */
					      "dane";
	if (!tls)
		return "clear";
	return h->would == DANEVIRKE_ENCRYPT ? "encrypt" : "opportunistic-tls";
}

/* What level dane would have done with this session (P02). */
static int
would_defer(const struct danevirke_answer *a, const struct danevirke_host *h,
    int tls, int verified)
{
	if (a->would == DANEVIRKE_DEFER)
		return 1;
	return h != NULL &&
	    (h->would == DANEVIRKE_HOST_DEFER ||
		(h->would == DANEVIRKE_AUTHENTICATE && !verified) ||
		(h->would == DANEVIRKE_ENCRYPT && !tls));
}

void
log_beside(const struct danevirke_answer *a, const struct danevirke_host *h,
    int tls, int verified, char *buf, size_t len)
{
	const char *audit = "";

	if (a->level == DANEVIRKE_LEVEL_AUDIT)
		audit = would_defer(a, h, tls, verified) ?
		    " (audit: would be deferred)" :
		    " (audit)";
	if (a->exception != NULL) /* P01 */
		snprintf(buf, len, "%s (exception: %s)", audit, a->exception);
	else
		snprintf(buf, len, "%s", audit);
}

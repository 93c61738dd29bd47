/* SPDX-License-Identifier: ISC */
/* Has an MTA-STS policy anything to decide (H02)?  Pure. */
#include "policy.h"

bool
policy_may_need_sts(const struct facts *f)
{
	return f->sts_on && f->n_hosts > 0;
}

/* Without it, is there a host left to chance? */
bool
policy_needs_sts(struct arena *a, const struct facts *f)
{
	const struct danevirke_answer *out;
	struct facts dane = *f;
	size_t i;

	if (!policy_may_need_sts(f) || f->test)
		return policy_may_need_sts(f);
	dane.sts_on = false;
	if ((out = policy_decide(a, &dane)) == NULL)
		return true;
	for (i = 0; i < out->n_hosts; i++)
		if (out->hosts[i]->would == DANEVIRKE_OPPORTUNISTIC)
			return true;
	return false;
}

/* SPDX-License-Identifier: ISC */
/* Fuzz target: bytes from another process, made an answer and read whole. */
#include <stdlib.h>
#include <string.h>

#include "module.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct danevirke_error err;
	const struct danevirke_answer *a;
	size_t sum = 0;
	size_t i, j, k, need;
	char *again;

	if ((a = answer_unpack(data, len, &err)) == NULL)
		return 0;
	for (i = 0; i < a->n_hosts; i++) {
		const struct danevirke_host *h = &a->hosts[i];

		sum += strlen(h->name) + strlen(h->reason);
		for (j = 0; j < h->n_names; j++)
			sum += strlen(h->names[j]);
		for (j = 0; j < h->n_addrs; j++)
			sum += strlen(h->addrs[j].text);
		for (j = 0; j < h->n_tlsa; j++)
			for (k = 0; k < h->tlsa[j].len; k++)
				sum += h->tlsa[j].data[k];
	}
	if (sum == SIZE_MAX) /* all of it has been read */
		abort();
	/* what was taken can be given again */
	need = answer_pack(a, NULL, 0);
	if ((again = malloc(need)) == NULL ||
	    answer_pack(a, again, need) != need)
		abort();
	free(again);
	free((void *)(uintptr_t)a);
	return 0;
}

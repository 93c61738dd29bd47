/* SPDX-License-Identifier: ISC */
/* Addresses of this machine's interfaces, as they are now. */
#include <ifaddrs.h>

#include "module.h"
#include "value.h"

bool
local_addresses(struct arena *a, const struct conf_prefix **out, size_t *n)
{
	struct ifaddrs *all, *i;
	struct conf_prefix *p;
	size_t most = 0;

	*n = 0;
	if (getifaddrs(&all) == -1)
		return false;
	for (i = all; i != NULL; i = i->ifa_next)
		most++;
	if ((p = arena_array(a, most + 1, sizeof *p)) != NULL)
		for (i = all; i != NULL; i = i->ifa_next)
			if (i->ifa_addr != NULL &&
			    value_sockaddr(i->ifa_addr, &p[*n]))
				++*n;
	freeifaddrs(all);
	*out = p;
	return p != NULL;
}

/* SPDX-License-Identifier: ISC */
/* Addresses of this machine's interfaces, as they are now. */
#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

#include "module.h"

static bool
local_take(const struct sockaddr *sa, struct conf_prefix *p)
{
	if (sa == NULL)
		return false;
	if (sa->sa_family == AF_INET) {
		p->family = 4;
		p->bits = 32;
		memcpy(p->ip,
		    &((const struct sockaddr_in *)(const void *)sa)->sin_addr,
		    4);
	} else if (sa->sa_family == AF_INET6) {
		p->family = 6;
		p->bits = 128;
		memcpy(p->ip,
		    &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
		    16);
	} else
		return false;
	return true;
}

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
			if (local_take(i->ifa_addr, &p[*n]))
				++*n;
	freeifaddrs(all);
	*out = p;
	return p != NULL;
}

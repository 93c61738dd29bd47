#!/bin/sh
# SPDX-License-Identifier: ISC
# The relay's calls go down the list in the head of shim/relay/relay.h: a file
# calls nothing that one above it defines.
srcdir=${srcdir:-.}
n=0
above=

for f in $(sed -n 's/^ \*	\([a-z]*\)\.c	.*/\1/p' \
    "$srcdir/shim/relay/relay.h"); do
	n=$((n + 1))
	object=shim/relay/.libs/$f.o
	up=$(${NM:-nm} -u "$object" | awk '{ print $NF }' |
	    grep -x -F -e "$above")
	if [ -s "$object" ] && [ -z "$up" ]; then
		echo "ok $n - $f.c calls nobody above it"
	else
		echo "not ok $n - $f.c calls nobody above it"
		printf '# %s\n' $up
	fi
	above="$above
$(${NM:-nm} -g --defined-only "$object" | awk '{ print $NF }')"
done
echo "1..$n"
[ $n -ge 10 ]

#!/bin/sh
# SPDX-License-Identifier: ISC
# Calls go one way.  No files of the module and the shims call each other in a
# circle; and those of the relay call down the list in the head of
# shim/relay/relay.h, its parent's that of process.h: a file calls nothing that
# one above it defines.
srcdir=${srcdir:-.}
NM=${NM:-nm}
n=0

# "a.o b.o": a uses what b defines; a name of its own folder before others'
calls() {
	find module shim -name '*.o' -exec $NM -Ag {} + |
	    sed 's|:| |; s|/\.libs||' | awk '
	function folder(file) { sub("/[^/]*$", "", file); return file }
	$(NF - 1) ~ /^[Uwv]$/ { use[$1, $NF] = folder($1); next }
	{ here[folder($1), $NF] = there[$NF] = $1 }
	END {
		for (u in use) {
			split(u, w, SUBSEP)
			if ((use[u], w[2]) in here)
				print w[1], here[use[u], w[2]]
			else if (w[2] in there)
				print w[1], there[w[2]]
		}
	}'
}

result() {
	n=$((n + 1))
	[ "$1" -eq 0 ] || printf 'not '
	echo "ok $n - $2"
	[ "$1" -eq 0 ] || printf '# %s\n' $3
}

all=$(calls | sort -u)
! printf '%s\n' "$all" 'module/util.o module/danevirke.o' | tsort >/dev/null 2>&1
result $? "a circle would be seen"
circles=$(printf '%s\n' "$all" | tsort 2>&1 >/dev/null)
[ -z "$circles" ] && [ "$(printf '%s\n' "$all" | wc -l)" -gt 200 ]
result $? "no files call each other in a circle" \
    "$(printf '%s' "$circles" | sed -n 's/^tsort: \(.*\.o\)$/\1/p')"

for list in relay process; do
above=
for f in $(sed -n 's/^ \*	\([a-z]*\)\.c	.*/\1/p' \
    "$srcdir/shim/relay/$list.h"); do
	object=shim/relay/.libs/$f.o
	up=$($NM -u "$object" | awk '{ print $NF }' | grep -x -F -e "$above")
	[ -s "$object" ] && [ -z "$up" ]
	result $? "$f.c calls nobody above it" "$up"
	above="$above
$($NM -g --defined-only "$object" | awk '{ print $NF }')"
done
done
echo "1..$n"
[ $n -ge 18 ]

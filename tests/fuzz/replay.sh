#!/bin/sh
# SPDX-License-Identifier: ISC
# Runs each fuzz target over its corpus and what it seeds itself; one test for
# each input, and one that an input was accepted: a corpus may be of another
# layout by now and end at the first check.  From `make check`, in the build
# directory, with the targets in $FUZZ.
srcdir=${srcdir:-.}
seeds=$(mktemp -d) || exit 99
trap 'rm -rf "$seeds"' EXIT
n=0

# status, name, what to show if it failed
tap() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		printf '%s\n' "$3" | sed 's/^/# /'
	fi
}

for target in $FUZZ; do
	name=${target##*/}
	accepted=0
	mkdir "$seeds/$name"
	out=$("./$target" --seed "$seeds/$name" 2>&1) ||
		tap 1 "$name --seed" "$out"
	for input in "$srcdir/tests/fuzz/corpus/$name"/* "$seeds/$name"/*; do
		[ -f "$input" ] || continue
		out=$(timeout 60 "./$target" "$input" 2>&1)
		tap $? "$name ${input##*/}" "$out"
		some=$(printf '%s\n' "$out" | sed -n 's/^accepted: //p')
		accepted=$((accepted + ${some:-0}))
	done
	test $accepted -gt 0
	tap $? "$name: accepted" "none of its corpus was accepted"
done
echo "1..$n"

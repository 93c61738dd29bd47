#!/bin/sh
# SPDX-License-Identifier: ISC
# Runs each fuzz target over its corpus; one test for each input.  From `make
# check`, in the build directory, with the targets in $FUZZ.
srcdir=${srcdir:-.}
n=0
for target in $FUZZ; do
	found=no
	for input in "$srcdir/tests/fuzz/corpus/${target##*/}"/*; do
		[ -f "$input" ] || continue
		found=yes
		n=$((n + 1))
		name="${target##*/} ${input##*/}"
		if out=$(timeout 60 "./$target" "$input" 2>&1); then
			echo "ok $n - $name"
		else
			echo "not ok $n - $name"
			printf '%s\n' "$out" | sed 's/^/# /'
		fi
	done
	if [ $found = no ]; then
		n=$((n + 1))
		echo "not ok $n - ${target##*/}: no corpus"
	fi
done
echo "1..$n"

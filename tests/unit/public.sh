#!/bin/sh
# SPDX-License-Identifier: ISC
# include/danevirke.h alone, as strict C11 and as C++11, without a warning; and
# the module exports what the header says and no more.
srcdir=${srcdir:-.}
n=0
flags='-Wall -Wextra -Wshadow -pedantic-errors -Werror -fsyntax-only'

result() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
	fi
}

# what the language is called, its compiler
compile() {
	out=$(printf '#include "danevirke.h"\n#include "danevirke.h"\n%s\n' \
	    'const struct danevirke_api *api(void);' |
	    $3 -x "$1" -std="$2" $flags -I"$srcdir/include" - 2>&1)
	result $? "header: $2 with $3"
	[ -z "$out" ] || printf '%s\n' "$out" | sed 's/^/# /'
}

compile c c11 "${CC:-cc}"
command -v clang >/dev/null && compile c c11 clang
cxx=no
for c in g++ clang++; do
	command -v $c >/dev/null || continue
	cxx=yes
	compile c++ c++11 $c
done
if [ $cxx = no ]; then
	n=$((n + 1))
	echo "ok $n - header: c++11 # SKIP no C++ compiler (Debian: g++)"
fi

symbols=$(${NM:-nm} -D --defined-only "$DANEVIRKE_MODULE" |
    awk '{ print $NF }' | sed 's/@.*//' | grep -v -e '^__asan' -e '^__odr_asan')
[ "$symbols" = danevirke_v1 ]
result $? "module exports danevirke_v1 alone"
[ "$symbols" = danevirke_v1 ] || printf '# exported: %s\n' $symbols

readelf -d "$DANEVIRKE_MODULE" | grep -q 'FLAGS_1.*NODELETE'
result $? "module is linked -z nodelete"
readelf -d "$DANEVIRKE_MODULE" | grep -q 'NEEDED.*dane'
[ $? -ne 0 ]
result $? "module does not load another DANE library"
echo "1..$n"

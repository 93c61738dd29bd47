#!/bin/sh
# SPDX-License-Identifier: ISC
# Clients compiled against a shorter and a longer danevirke.h work with the
# module as it is.  The copies are made from the header itself: structs that may
# grow lose fields or get more.  Against a copy where a frozen struct has grown
# the same client must fail, or the test would not see a thing.
srcdir=${srcdir:-.}
CC=${CC:-cc}
n=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/danevirke-layout.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT

result() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$dir/out"
	fi
}

# how, the header: "struct field" cuts there; "struct" grows at its end
edit() {
	awk -v how="$1" '
	BEGIN {
		k = split(how, item, ",")
		for (i = 1; i <= k; i++) {
			m = split(item[i], w, " ")
			cut[w[1]] = m > 1 ? w[2] : ""
		}
	}
	/^struct danevirke_[a-z_]+ \{$/ && ($2 in cut) {
		name = $2; made[name] = 0; skip = 0
	}
	name != "" && cut[name] != "" &&
	    $0 ~ "^\t[^/*].*[ *(]" cut[name] "[);,[]" { skip = 1; made[name] = 1 }
	name != "" && /^\};/ {
		if (cut[name] == "") {
			print "\tuint64_t newer[5];"
			made[name] = 1
		}
		name = ""; skip = 0
	}
	!skip
	END { for (name in cut) if (!made[name]) { print name | "cat >&2"; exit 1 } }
	' "$2"
}

# name, how: a header of that name
copy() {
	mkdir "$dir/$1" &&
	    edit "$2" "$srcdir/include/danevirke.h" \
		>"$dir/$1/danevirke.h" 2>"$dir/out"
	result $? "$1 header: made"
}

client() {
	$CC -std=gnu11 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$dir/$1" $3 -o "$dir/$1/client" \
	    "$srcdir/tests/unit/layout.c" $SAN_CFLAGS -ldl >"$dir/out" 2>&1
	result $? "$1 header: a client compiles"
	timeout 20 "$dir/$1/client" "$DANEVIRKE_MODULE" "$dir" >"$dir/out" 2>&1
	status=$?
	if [ "$2" = works ]; then
		result $status "$1 header: the client works"
	else
		[ $status -ne 0 ]
		result $? "$1 header: the client fails"
	fi
}

P=danevirke_
all="${P}host ${P}answer ${P}question ${P}verify_options ${P}verdict"
all="$all ${P}options ${P}settings ${P}profile"
mkdir "$dir/same" && cp "$srcdir/include/danevirke.h" "$dir/same"
# the writer's answer is what the others read
client same works -DWRITE
copy shorter "${P}host target,${P}answer signed_until,${P}question flags,\
${P}verify_options now,${P}verdict result,${P}options flags,\
${P}settings resolver_hints,${P}profile tls_priority,${P}api log_word"
client shorter works -DSHORTER
copy longer "$(echo $all | tr ' ' ,),${P}api"
client longer works -DLONGER
for frozen in addr tlsa; do
	copy $frozen $P$frozen
	client $frozen fails
done
echo "1..$n"

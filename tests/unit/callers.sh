#!/bin/sh
# SPDX-License-Identifier: ISC
# exim.so, called by programs that export what one Exim or another does: the main
# log where it is known how, else syslog; and no DANE without GnuTLS.
srcdir=${srcdir:-.}
CC=${CC:-cc}
n=0
dir=$(mktemp -d "${TMPDIR:-/tmp}/danevirke-callers.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
line='danevirke: : deferred: want at least profile and domain'
once='danevirke: this version of Exim is not known: what belongs into its log is written here'

# name, flags of the compiler, argument: $dir/out has what it printed
program() {
	$CC -std=gnu11 -Wall -Wextra -Werror -rdynamic $2 -o "$dir/exim" \
	    "$srcdir/tests/unit/caller.c" $SAN_CFLAGS -ldl -Wl,--no-as-needed \
	    $tls >"$dir/out" 2>&1 &&
	    timeout 20 "$dir/exim" .libs/exim.so $3 >"$dir/out" 2>&1
}

result() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		sed 's/^/# /' "$dir/out"
	fi
}

# name, flags: both lines are there and nothing else
logs() {
	case $1 in
	mainlog) printf 'mainlog %s\n' "$line" "$line" ;;
	syslog) printf 'syslog %s\n' "$once" "$line" "$line" ;;
	esac >"$dir/want"
	program "$2" "$3" && diff "$dir/want" "$dir/out" >"$dir/diff" 2>&1
	result $? "$2: $1"
}

tls=${GNUTLS_LIBS:--lgnutls}
logs mainlog "4.96 to 4.99" "-DFORM=499 -DSELECTOR"
logs mainlog "4.100" "-DFORM=4100 -DDEBUG -DCHANNEL"
logs mainlog "4.100 that exports all it has" \
    "-DFORM=4100 -DDEBUG -DCHANNEL -DSELECTOR"
logs syslog "unknown, without a mark" "-DFORM=0"
logs syslog "unknown, half of the marks of 4.100" "-DFORM=0 -DDEBUG"
logs syslog "unknown, the other half" "-DFORM=0 -DCHANNEL -DSELECTOR"
logs syslog "unknown, marks of both" "-DFORM=0 -DDEBUG -DSELECTOR"
logs syslog "no log_write, as 4.99" "-DSELECTOR"
logs syslog "no log_write, as 4.100" "-DDEBUG -DCHANNEL"
logs syslog "exports nothing" ""

# an Exim that was not itself linked with it speaks by something else
tls=
program "without GnuTLS" "-DFORM=499 -DSELECTOR" all
result $? "without GnuTLS: it runs"
why='this Exim is not built with GnuTLS: use danevirked(8)'
cat >"$dir/want" <<EOF
mainlog danevirke: example.org: deferred: $why
danevirke_route tcp:connect 2: 451 4.4.3 $why
mainlog danevirke: example.org: deferred: $why
danevirke_unroutable tcp:connect 2: $why
danevirke_require_tls tcp:connect 0: *
danevirke_sni tcp:connect 2: $why
danevirke_priority tcp:connect 2: $why
mainlog danevirke: example.org via [192.0.2.1]:25: deferred: $why
danevirke_gate tcp:connect 2: $why
mainlog danevirke: example.org via [192.0.2.1]:25: deferred: $why
danevirke_auth tcp:connect 2: $why
mainlog danevirke: example.org via [192.0.2.1]:25: deferred: $why
danevirke_event tcp:connect 0: $why
danevirke_event tls:cert 0: $why
EOF
diff "$dir/want" "$dir/out" >"$dir/diff" 2>&1
result $? "without GnuTLS every function refuses (P03)"
echo "1..$n"

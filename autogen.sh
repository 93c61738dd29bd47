#!/bin/sh
# SPDX-License-Identifier: ISC
# Makes configure and what it needs.
cd "$(dirname "$0")" || exit 1
command -v autoreconf >/dev/null && command -v libtoolize >/dev/null || {
	echo "autogen.sh: needs autoconf, automake, libtool and pkgconf" >&2
	exit 1
}
exec autoreconf --install --force

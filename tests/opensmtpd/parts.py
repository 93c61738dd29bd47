# SPDX-License-Identifier: ISC
"""Runs a suite of several parts, each of which counts, one after the other."""

import argparse
import os
import re
import subprocess
import sys
import time

TIMEOUT = 400                   # seconds for one part


def part(here, name, build):
    """(passed, failed) as its last line says; no such line is a failure."""
    began = time.monotonic()
    command = ["timeout", "-k", "10", str(TIMEOUT), sys.executable, "-B",
               "%s/%s.py" % (here, name), "--build", build]
    p = subprocess.Popen(command, stdin=subprocess.DEVNULL, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         errors="replace")
    last = ""
    for line in p.stdout:
        # only the sum of all parts may look like one
        if re.fullmatch(r"\d+ passed, \d+ failed\n", line):
            last = line
            continue
        sys.stdout.write(line)
    status = p.wait()
    m = re.fullmatch(r"(\d+) passed, (\d+) failed\n", last)
    passed, failed = map(int, m.groups()) if m else (0, 0)
    if not m or passed + failed == 0 or (status != 0) != (failed != 0):
        print("FAIL - %s: exit status %d, %r" % (name, status, last))
        failed += 1
    print("# %s: %d passed, %d failed, %.0f s" % (
        name, passed, failed, time.monotonic() - began), flush=True)
    return passed, failed


def main(path, doc, names):
    """path: of the suite itself."""
    here = os.path.dirname(os.path.realpath(path))
    p = argparse.ArgumentParser(description=doc)
    p.add_argument("--build", required=True)
    p.add_argument("-o", dest="only", choices=names)
    a = p.parse_args()
    if os.geteuid() != 0:
        sys.exit("%s: want root (namespaces, port 25)" % path)
    sums = [part(here, name, os.path.abspath(a.build)) for name in names
            if a.only in (None, name)]
    passed, failed = (sum(x) for x in zip(*sums))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0

# SPDX-License-Identifier: ISC
"""Runs tests of the relay in the lab's world: play.TESTS, for relay.py and
../danevirked/relay.py."""

import argparse
import fnmatch
import os
import re
import sys
import time
import traceback

HERE = os.path.dirname(os.path.realpath(__file__))
LAB = os.path.join(os.path.dirname(HERE), "lab")
sys.path.insert(0, LAB)

import play                                             # noqa: E402
from play import LOG, TESTS                             # noqa: E402

INSIDE = "DV_RELAY_INSIDE"


def run(patterns):
    passed = failed = 0
    for f in TESTS:
        if patterns and not any(fnmatch.fnmatch(f.__name__, p)
                                for p in patterns):
            continue
        mark, began = LOG.mark(), time.monotonic()
        try:
            f()
            passed += 1
            print("ok - %s: %s (%.1f s)" % (
                f.__name__, " ".join(f.__doc__.split()),
                time.monotonic() - began), flush=True)
        except Exception:
            failed += 1
            print("not ok - %s: %s" % (f.__name__,
                                       " ".join(f.__doc__.split())))
            for x in traceback.format_exc().splitlines():
                print("#   " + x)
            for x in LOG.since(mark)[-25:]:
                print("#   log: " + x)
            sys.stdout.flush()
    return passed, failed


def main(path, doc, start=play.start, stop=play.stop):
    """path: of the test itself."""
    p = argparse.ArgumentParser(description=doc.split("\n")[0])
    p.add_argument("--build", metavar="DIR", required=True)
    p.add_argument("--valgrind", action="store_true")
    p.add_argument("patterns", nargs="*", metavar="PATTERN")
    a = p.parse_args()
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        lab = os.path.join(LAB, "run")
        os.execv(lab, [lab, "--build", os.path.abspath(a.build), "--scenarios",
                       os.path.join(HERE, "relay.conf"), "--world", "--",
                       sys.executable, "-B", os.path.realpath(path)]
                 + sys.argv[1:])
    import world
    if a.valgrind:
        play.WRAP = ("/usr/bin/valgrind", "-q", "--trace-children=yes",
                     "--leak-check=full", "--error-exitcode=9")
    start(world.attach())
    passed, failed = run(a.patterns)
    # valgrind does not know Landlock, and says so
    said = re.sub(r"(?m)^--\d+-- .*\n", "", stop())
    if said:
        failed += 1
        print("not ok - nothing on stderr:\n#   " +
              said.replace("\n", "\n#   "))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0

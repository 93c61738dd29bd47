#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""The relay of table-danevirke in the lab's world: this test plays smtpd, on
fd 0 and on the aliases, and where it has to, the upstream.

    tests/opensmtpd/relay.py --build DIR [--valgrind] [PATTERN...]

Needs root, for tests/lab/run.  The last line is "N passed, M failed".
"""

import argparse
import fnmatch
import os
import re
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
LAB = os.path.join(os.path.dirname(HERE), "lab")
sys.path.insert(0, HERE)
sys.path.insert(0, LAB)

import cases_judged                                     # noqa: E402, F401
import cases_next                                       # noqa: E402, F401
import cases_process                                    # noqa: E402, F401
import cases_smtp                                       # noqa: E402, F401
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


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", metavar="DIR", required=True)
    p.add_argument("--valgrind", action="store_true")
    p.add_argument("patterns", nargs="*", metavar="PATTERN")
    a = p.parse_args()
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        lab = os.path.join(LAB, "run")
        os.execv(lab, [lab, "--build", os.path.abspath(a.build), "--scenarios",
                       os.path.join(HERE, "relay.conf"), "--world", "--",
                       sys.executable, "-B", os.path.realpath(__file__)]
                 + sys.argv[1:])
    import world
    if a.valgrind:
        play.WRAP = ("/usr/bin/valgrind", "-q", "--trace-children=yes",
                     "--leak-check=full", "--error-exitcode=9")
    play.start(world.attach())
    passed, failed = run(a.patterns)
    # valgrind does not know Landlock, and says so
    said = re.sub(r"(?m)^--\d+-- .*\n", "", play.stop())
    if said:
        failed += 1
        print("not ok - nothing on stderr:\n#   " +
              said.replace("\n", "\n#   "))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

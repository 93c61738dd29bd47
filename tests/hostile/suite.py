# SPDX-License-Identifier: ISC
"""The suite in the lab's world: `suite.py DIR [PATTERN...]`, started by run,
which has made what is in DIR."""

import os
import sys
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lab")]

import beside                                           # noqa: E402
import hung                                             # noqa: E402
import world                                            # noqa: E402


def main():
    suite = beside.Suite(world.attach(), sys.argv[1])
    try:
        hung.prepare(suite)
        suite.run(sys.argv[2:], hung.TESTS)
    except Exception:
        traceback.print_exc(file=sys.stdout)
        suite.failed += 1
    try:
        suite.stop()
    except RuntimeError as e:
        print("not ok - stop: %s" % e)
        suite.failed += 1
    print("%d passed, %d failed" % (suite.passed, suite.failed))
    return 1 if suite.failed or not suite.passed else 0


if __name__ == "__main__":
    sys.exit(main())

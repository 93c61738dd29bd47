#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""The relay of table-danevirke in the lab's world: this test plays smtpd, on
fd 0 and on the aliases, and where it has to, the upstream.

    tests/opensmtpd/relay.py --build DIR [--valgrind] [PATTERN...]

Needs root, for tests/lab/run.  The last line is "N passed, M failed".
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import stage                                            # noqa: E402
import cases_judged                                     # noqa: E402, F401
import cases_next                                       # noqa: E402, F401
import cases_process                                    # noqa: E402, F401
import cases_smtp                                       # noqa: E402, F401

sys.exit(stage.main(__file__, __doc__))

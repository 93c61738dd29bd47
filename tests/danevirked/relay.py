#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""Mail by way of danevirked in the lab's world: this test plays the mail
server, and where it has to, the upstream.  The relay itself is tested by
../opensmtpd/relay.py.

    tests/danevirked/relay.py --build DIR [--valgrind] [PATTERN...]

Needs root, for tests/lab/run.  The last line is "N passed, M failed".
"""

import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "opensmtpd"))

import stage                                            # noqa: E402
import cases_mail                                       # noqa: E402

sys.exit(stage.main(__file__, __doc__, cases_mail.start, cases_mail.stop))

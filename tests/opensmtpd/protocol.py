#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""table-danevirke as smtpd sees it: this test plays smtpd's side of fd 0, in
both table protocols.  No mail is sent and no DNS is asked.

    tests/opensmtpd/protocol.py --build DIR [--program FILE] [PATTERN...]

Needs root, for namespaces of its own.  DIR, configured with
--prefix=/mnt/danevirke, is installed on a tmpfs over /mnt; FILE is another
table-danevirke to be tested in its place.  The last line is
"N passed, M failed".
"""

import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import alone                                            # noqa: E402
import cases_address                                    # noqa: E402, F401
import cases_conf                                       # noqa: E402, F401
import cases_table                                      # noqa: E402, F401
import cases_wrong                                      # noqa: E402, F401
from fd0 import PROGRAM                                 # noqa: E402

sys.exit(alone.main(__file__, __doc__, PROGRAM))

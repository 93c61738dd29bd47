#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""danevirked alone: its map, who may ask it, its signals and its configuration.
No mail is sent and no DNS is asked.

    tests/danevirked/map.py --build DIR [--program FILE] [PATTERN...]

Needs root, for namespaces of its own.  DIR, configured with
--prefix=/mnt/danevirke, is installed on a tmpfs over /mnt; FILE is another
danevirked to be tested in its place.  The last line is "N passed, M failed".
"""

import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "opensmtpd"))

import alone                                            # noqa: E402
import cases_map                                        # noqa: E402, F401
import cases_daemon                                     # noqa: E402, F401
from daemon import PROGRAM                              # noqa: E402

sys.exit(alone.main(__file__, __doc__, PROGRAM))

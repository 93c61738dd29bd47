# SPDX-License-Identifier: ISC
"""Instructions of one relayed message: a session of smtpd with the relay, one of
the relay with the next host, its TLS handshake and verification included.

    tests/bench/relayed.py DOMAIN-OF-A-SCENARIO

In a mount namespace of its own.  Prints two numbers, in all and of our code: the
mean of a session, after a first one.
"""

import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.dirname(HERE) + "/opensmtpd",
                os.path.dirname(HERE) + "/lab"]

import count                                            # noqa: E402
import play                                             # noqa: E402
import world                                            # noqa: E402

OUT = "/mnt/t/counts"
OURS = ("table-danevirke", "danevirke.so")
SESSIONS = 8


def counted(ident, n):
    """Of a relay that has relayed n messages, each in a session."""
    shutil.rmtree(OUT, True)
    os.mkdir(OUT)
    os.chmod(OUT, 0o1777)
    table = play.Table()
    for _ in range(n):
        with play.client(ident, table=table) as c:
            c.ehlo()
            c.message()
            c.quit()
    relay = table.relay()
    table.update()          # the old one ends when it has nothing to do
    play.until(lambda: relay not in play.processes(), 20)
    table.stop()
    cost = count.objects("%s/%d" % (OUT, relay))
    return [sum(cost.values()),
            sum(x for name, x in cost.items()
                if name and os.path.basename(name) in OURS)]


def main(ident):
    play.WRAP = ("/usr/bin/valgrind", "-q", "--tool=callgrind",
                 "--trace-children=yes", "--callgrind-out-file=%s/%%p" % OUT)
    play.open_stage(world.attach())
    first, more = counted(ident, 1), counted(ident, 1 + SESSIONS)
    print(*((y - x) // SESSIONS for x, y in zip(first, more)))


if __name__ == "__main__":
    main(sys.argv[1])

#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""The demonstrations with danevirked and the Exim of Debian's
exim4-daemon-light, which has no ${dlfunc; examples/demo/run starts this in the
lab.

That Exim is bound over the installed one, in this namespace.  The plain one and
the one with danevirked differ in their routers and transport only, which are
those of examples/exim/relay.
"""

import importlib.util
import os
import re
import sys

import demo

HERE = os.path.dirname(os.path.abspath(__file__))
# before this directory, which has modules of the same names
sys.path.insert(0, HERE + "/../../tests/lab")
import danevirked                                       # noqa: E402
import opensmtpd                                        # noqa: E402
import relay                                            # noqa: E402
import world                                            # noqa: E402

spec = importlib.util.spec_from_file_location("demo_exim", HERE + "/exim.py")
exim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(exim)

INCLUDED = demo.PREFIX + "/share/danevirke/exim/danevirked-"
DANEVIRKED = exim.BASE + """
domainlist local_domains =
begin routers
.include INCLUDED-routers
begin transports
.include INCLUDED-transports
begin retry
.include INCLUDED-retry
* * F,4d,15m
""".replace("INCLUDED-", INCLUDED)


class Exim(exim.Exim):
    def __init__(self, name, text, log, daemon=None):
        super().__init__(name, text)
        self.syslog, self.daemon = log, daemon

    def start(self):
        if self.daemon:
            self.daemon.start()

    def stop(self):
        if self.daemon:
            self.daemon.stop()

    def send(self, domain):
        mark = self.syslog.mark()
        lines = super().send(domain)
        seek = re.compile(r"danevirked\[\d+\]: (%s[: ].*)" % re.escape(
            domain))
        return lines + ["danevirked: " + m.group(1) for m in map(
            seek.match, self.syslog.since(mark))
            if m and not m.group(1).startswith(domain + " is at ")]

    def lines(self, logged):
        """What danevirked decided, and what Exim made of it."""
        return self.decisions(logged) + super().lines(logged)

    def decisions(self, logged):
        return [x for x in logged if x.startswith("danevirked: ")]


def main():
    w = world.attach()
    danevirked.enter()
    os.makedirs(demo.DIR, mode=0o755)
    opensmtpd.over("/etc/resolv.conf", "nameserver %s\noptions timeout:2 "
                   "attempts:1\n" % demo.NS)
    opensmtpd.mount("-t", "tmpfs", "demo", "/etc/exim4")
    relay.bind_light()
    log = opensmtpd.Log(demo.DIR + "/maillog")
    daemon = danevirked.Danevirked(log, w.config)
    return demo.main(Exim("plain", exim.PLAIN, log),
                     Exim("danevirked", DANEVIRKED, log, daemon))


if __name__ == "__main__":
    sys.exit(main())

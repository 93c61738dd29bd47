#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""The demonstrations with OpenSMTPD; examples/demo/run starts this in the
lab.

Both servers are Debian's smtpd, one after the other because it has one place
for its spool.  The one with Danevirke has examples/opensmtpd/smtpd.conf; the
plain one has the same without the table, and `relay` in place of
`relay domain <dane>`.
"""

import os
import re
import subprocess
import sys

import demo

# before this directory, whose module of the same name is this program
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../tests/lab"))
import opensmtpd                                        # noqa: E402
import world                                            # noqa: E402

EXAMPLE = demo.EXAMPLES + "/opensmtpd/smtpd.conf"
ADDRESS = "198.18.0.1/32"       # below those of the lab's hosts
PATIENCE = 60                   # seconds for one attempt


def edit(text, *pairs):
    """Each of the pairs must be there."""
    for old, new in pairs:
        if old not in text:
            raise RuntimeError("%s: want a line with %r" % (EXAMPLE, old))
        text = text.replace(old, new)
    return text


def configurations(conf):
    """(plain, with Danevirke)"""
    aliases = demo.DIR + "/aliases"
    with open(aliases, "w") as f:
        f.write("root: nobody\n")
    with open(EXAMPLE) as f:
        text = f.read()
    ours = edit(text, ("file:/etc/aliases", "file:" + aliases),
                ("listen on localhost\n",
                 "listen on 127.0.0.1 port %d\n" % opensmtpd.PORT),
                ("mx.example", "mail.lab.alpha"))
    plain = edit(ours, ("table dane danevirke:%s\n" % conf, ""),
                 ("relay domain <dane> helo", "relay helo"))
    return plain, ours


class Smtpd(demo.Server):
    product, short = "OpenSMTPD", "smtpd"

    def __init__(self, driver, text):
        self.driver, self.text = driver, text
        self.log = driver.log

    def start(self):
        self.driver.start(self.text)

    def stop(self):
        self.driver.stop()

    def send(self, domain):
        mark = self.log.mark()
        self.driver.submit(demo.message(domain).replace("\n", "\r\n"),
                           ["bob@" + domain], "alice@lab.alpha")
        if self.log.wait(r" mta delivery .* to=<bob@%s> "
                         % re.escape(domain), PATIENCE, mark) is None:
            raise RuntimeError("smtpd did not try bob@%s in %d s:\n%s" % (
                domain, PATIENCE, "\n".join(self.log.since(mark))))
        seek = re.compile(r"(^|[ @<])%s[ >:]" % re.escape(domain)).search
        return [x for x in self.log.since(mark) if seek(x)]

    def queued(self, domain):
        return "bob@" + domain in [r[0] for r in self.driver.queue()]

    def lines(self, logged):
        """What the relay decided, and what smtpd made of it."""
        shown = []
        for line in logged:
            m = re.match(r"(\S+)\[\d+\]: (.*)", line)
            if m and m.group(1) == "table-danevirke":
                shown.append("table-danevirke: " + m.group(2))
            elif m and " mta delivery " in line:
                # less session, envelope and sender
                shown.append("smtpd: mta delivery ... "
                             + m.group(2)[m.group(2).index("to=<"):])
        return shown

    def decisions(self, logged):
        return [x for x in self.lines(logged)
                if x.startswith("table-danevirke: ")]


def main():
    os.makedirs(demo.DIR, mode=0o755)
    # smtpd looks up IPv4 addresses only where it sees an interface with one
    # beyond 127.0.0.0/8
    subprocess.run(["ip", "address", "add", ADDRESS, "dev", "lo"], check=True)
    w = world.attach()
    driver = opensmtpd.Driver(w, ())
    driver.prepare(demo.NS)
    plain, ours = configurations(w.config)
    return demo.main(Smtpd(driver, plain), Smtpd(driver, ours))


if __name__ == "__main__":
    sys.exit(main())

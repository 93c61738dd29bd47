#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""The demonstrations with Exim; examples/demo/run starts this in the lab."""

import os
import pwd
import subprocess
import sys

import demo

EXIM = "/usr/sbin/exim4"
INCLUDED = demo.PREFIX + "/share/danevirke/exim"

BASE = """
exim_user = Debian-exim
exim_group = Debian-exim
primary_hostname = mail.lab.alpha
spool_directory = %(dir)s/spool
log_file_path = %(dir)s/log/%%slog
"""
PLAIN = BASE + """
begin routers
remote:
  driver = dnslookup
  transport = smtp
begin transports
smtp:
  driver = smtp
begin retry
* * F,4d,15m
"""
DANEVIRKE = BASE + """
domainlist local_domains =
begin routers
.include %(exim)s/danevirke-routers
begin transports
.include %(exim)s/danevirke-transports
begin retry
* * F,4d,15m
"""


class Exim(demo.Server):
    """An Exim with a configuration, spool and log of its own.  Debian's takes
    its configuration from one place only; run() covers that up."""

    product = short = "Exim"

    def __init__(self, name, text):
        self.dir = os.path.join(demo.DIR, name)
        self.text = text % {"dir": self.dir, "exim": INCLUDED}
        user = pwd.getpwnam("Debian-exim")
        os.makedirs(self.dir)
        for sub in ("/spool", "/log"):
            os.makedirs(self.dir + sub)
            os.chown(self.dir + sub, user.pw_uid, user.pw_gid)

    def run(self, *args, text=None):
        with open("/etc/exim4/exim4.conf", "w") as f:
            f.write(self.text)
        return subprocess.run([EXIM, *args], input=text, text=True, timeout=90,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout

    def log(self, name):
        try:
            with open("%s/log/%s" % (self.dir, name)) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def send(self, domain):
        before = {n: len(self.log(n)) for n in ("mainlog", "paniclog")}
        said = self.run("-odi", "-f", "alice@lab.alpha", "bob@" + domain,
                        text=demo.message(domain))
        lines = said.splitlines()
        for name, n in before.items():
            lines += self.log(name)[n:]
        return lines

    def queued(self, domain):
        return ("bob@" + domain) in self.run("-bp")

    def lines(self, logged):
        """What the log says of the delivery."""
        shown = []
        for line in logged:
            words = line.split(" ", 3)      # date, time, message, the rest
            if len(words) == 4 and words[0].startswith("20"):
                line = words[3]
            if line.startswith(("danevirke: ", "=>", "==", "**")):
                shown.append(line)
        return shown

    def decisions(self, logged):
        return [x for x in self.lines(logged) if x.startswith("danevirke: ")]


def main():
    os.makedirs(demo.DIR, mode=0o755)
    with open(demo.DIR + "/resolv.conf", "w") as f:
        f.write("nameserver %s\noptions timeout:2 attempts:1\n" % demo.NS)
    # a mount of this namespace; it ends with it
    subprocess.run(["mount", "--bind", demo.DIR + "/resolv.conf",
                    "/etc/resolv.conf"], check=True)
    # nor is the machine's own Exim seen or touched
    subprocess.run(["mount", "-t", "tmpfs", "demo", "/etc/exim4"], check=True)
    return demo.main(Exim("plain", PLAIN), Exim("danevirke", DANEVIRKE))


if __name__ == "__main__":
    sys.exit(main())

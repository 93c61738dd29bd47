# SPDX-License-Identifier: ISC
"""Debian's light Exim as the lab's mail server, by way of danevirked: what the
administrator writes is in examples/exim/relay.

One Exim for all scenarios, and one danevirked for each profile.  tests/install
unpacks this build of Exim; it is bound over the installed one, unless that is
covered already.  Behind the routers under test stands one that sends everything
to the scenario's first host, as in exim.py.
"""

import os
import subprocess

import danevirked
import exim
import mta
import opensmtpd
import scenario

LIGHT = "/var/cache/danevirke-exim/usr/sbin/exim4"

MACROS = """
LAB_PROFILE = ${lookup{$domain}lsearch{%(dir)s/profile}{$value}{default}}
DANEVIRKED_SOCKET = /run/danevirked/LAB_PROFILE
DANEVIRKED_DOMAINS = *
"""

ROUTERS = """
.include %(examples)s/danevirked-routers
plain:
  driver = manualroute
  transport = plain
  route_data = ${lookup{$domain}lsearch{%(dir)s/plain}{<;$value}fail}
"""

TRANSPORTS = """
.include %(examples)s/danevirked-transports
plain:
  driver = smtp
"""

RETRY = """
.include %(examples)s/danevirked-retry
* * F,1h,15m
"""


def bind_light():
    with open("/proc/self/mountinfo") as f:
        if exim.EXIM in [row.split()[4] for row in f]:
            return
    if not os.access(LIGHT, os.X_OK):
        raise RuntimeError("no exim4 in %s: run tests/install" % LIGHT)
    opensmtpd.mount("--bind", LIGHT, exim.EXIM)


class Driver(exim.Driver):
    name = "relay"
    like = "opensmtpd"          # it is the same relay that decides
    jobs = 100                  # messages under way at a time
    command = 4                 # seconds, relay.timeouts.command
    patience = opensmtpd.TIMEOUT

    def __init__(self, world, profiles=opensmtpd.PROFILES):
        super().__init__(world)
        self.profiles = opensmtpd.used(world, profiles)
        self.daemons = []

    def config(self):
        given = {"user": exim.USER, "dir": self.dir, "examples": exim.EXAMPLES}
        return "\n".join([exim.MAIN % given, MACROS % given,
                          "begin routers", ROUTERS % given,
                          "begin transports", TRANSPORTS % given,
                          "begin retry", RETRY % given]) + "\n"

    def setup(self):
        danevirked.enter()
        self.syslog = opensmtpd.Log(self.dir + "/maillog")
        for p in self.profiles:
            path = "%s/%s.conf" % (self.dir, p)
            with open(path, "w") as f:
                f.write(opensmtpd.relay_conf(self, p) + 'danevirked: { '
                        'socket = "/run/danevirked/%s"; };\n' % p)
            self.daemons.append(danevirked.Danevirked(self.syslog, path))
            self.daemons[-1].start()
        bind_light()
        super().setup()

    def teardown(self):
        for d in self.daemons:  # all of them at once
            d.process.terminate()
        for d in self.daemons:
            d.stop()
        said = "".join(d.stderr() for d in self.daemons)
        super().teardown()
        if said:
            raise RuntimeError("danevirked: " + said[-4000:])

    def forget(self):
        """New relays; those that cannot start leave Exim waiting for a
        greeting, and what it has is as good as deferred."""
        opensmtpd.Driver.kill_relays()
        self.patience = 5

    def send(self, s):
        outcome = super().send(s)
        if outcome.result == "none" and self.patience < opensmtpd.TIMEOUT:
            queue = subprocess.run([exim.EXIM, "-bp"], capture_output=True,
                                   text=True, timeout=60).stdout
            if mta.recipient(s).lower() in queue.lower().split():
                outcome.result = "deferred"
        outcome.lines += opensmtpd.lines_about(s, self.syslog.since())
        outcome.verdicts = scenario.verdicts(outcome.lines)
        return outcome

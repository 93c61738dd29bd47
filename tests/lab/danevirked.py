# SPDX-License-Identifier: ISC
"""danevirked, in the lab: for the driver relay.py and for tests/servers."""

import contextlib
import os
import signal
import subprocess

import opensmtpd
from world import PREFIX

PROGRAM = PREFIX + "/sbin/danevirked"
USERS = ("danevirke",)
START = 20                      # seconds to come up


def enter(users=()):
    """Once: a syslog and users of its own, and a place for its sockets."""
    opensmtpd.check_namespace()
    os.makedirs(opensmtpd.OWN, mode=0o755)
    opensmtpd.add_users(USERS + tuple(users))
    opensmtpd.own_dev()
    os.makedirs("/run/danevirked", mode=0o755)


class Danevirked:
    """One of it, with a configuration of its own."""

    def __init__(self, log, conf, socket="/run/danevirked/map"):
        self.log, self.conf, self.socket = log, conf, socket
        self.process = self.err = None

    def start(self):
        mark = self.log.mark()
        self.err = open(self.conf + ".err", "a")
        self.process = subprocess.Popen(
            [PROGRAM, "-c", self.conf], cwd="/", stdin=subprocess.DEVNULL,
            stdout=self.err, stderr=self.err)
        pid = self.process.pid
        if not self.log.wait(r"\[%d\]: ready, " % pid, START, mark):
            raise RuntimeError("danevirked does not start: %s" % "\n".join(
                self.log.since(mark)[-20:]))

    def children(self, name="danevirke-relay"):
        """Process ids of its relays."""
        found = set()
        for pid in opensmtpd.Driver.processes(name):
            with contextlib.suppress(OSError):
                with open("/proc/%d/stat" % pid) as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
                if parent == self.process.pid:
                    found.add(pid)
        return found

    def stop(self, number=signal.SIGTERM):
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.err.close()

    def stderr(self):
        with open(self.conf + ".err", errors="replace") as f:
            return f.read()

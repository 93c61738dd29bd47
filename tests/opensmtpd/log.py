# SPDX-License-Identifier: ISC
"""What syslog(3) sends: /dev/log, in a /dev of our own."""

import contextlib
import os
import re
import select
import socket
import threading


class Log:
    def __init__(self, skip=None):
        """since() leaves out the lines that contain skip."""
        self.lines, self.lock = [], threading.Condition()
        self.skip = skip

    def start(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("/dev/log")
        os.chmod("/dev/log", 0o666)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while select.select([self.socket], [], []):
            with self.lock:
                self.read()

    def read(self):
        """All that has been said; the lock is held."""
        with contextlib.suppress(BlockingIOError):
            while True:
                line = self.socket.recv(65536, socket.MSG_DONTWAIT)
                self.lines.append(line.decode("utf-8",
                                              "replace").rstrip("\0\n"))
                self.lock.notify_all()

    def mark(self):
        with self.lock:
            self.read()
            return len(self.lines)

    def since(self, mark):
        with self.lock:
            self.read()         # the thread may not have come to it yet
            return [x for x in self.lines[mark:]
                    if self.skip is None or self.skip not in x]

    def wait(self, mark, pattern, seconds=5):
        """The match in the first line since the mark that has one."""
        def found():
            for line in self.lines[mark:]:
                m = re.search(pattern, line)
                if m:
                    return m
            return None
        with self.lock:
            if not self.lock.wait_for(found, seconds):
                raise AssertionError("no %r in the log:\n%s" % (
                    pattern, "\n".join(self.lines[mark:])))
            return found()

# SPDX-License-Identifier: ISC
"""A name server that counts, for survey.py."""

import math
import os
import socket
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "lab"))
import dnswire  # noqa: E402
from tool import write  # noqa: E402


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


class Asked:
    """A name server for *.count. that has nothing, and knows which names it was
    asked for in each run."""

    def __init__(self):
        self.runs = [set()]
        self.most = math.inf    # names of a run, before it falls silent
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("198.18.255.200", 53))
        self.socket.settimeout(0.1)
        self.over = False
        self.thread = threading.Thread(target=self.run)
        self.conf = write("count.conf", """resolver: {
    trust_anchor = "%s"; root_hints = "%s"; allow_addresses = [ "127.53.0.0/16" ];
    zones = ( { name = "count"; insecure = true; forward = [ "%s" ]; } );
};""" % (os.environ["DV_LAB_ANCHOR"], os.environ["DV_LAB_HINTS"],
             self.socket.getsockname()[0]))

    def run(self):
        while not self.over:
            try:
                data, client = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            if not data:
                self.runs.append(set())
                continue
            m = dnswire.Message(data)
            if m.qtype == dnswire.TYPES["MX"]:
                self.runs[-1].add(dnswire.name_text(m.qname).rstrip("."))
            if len(self.runs[-1]) > self.most:
                continue
            time.sleep(0.003)
            m.flags = 0x8583        # an answer: no such name
            m.sections = [[], [], []]
            self.socket.sendto(m.wire(), client)

    def begin(self):
        """What it is asked from here on is of a new run: an empty datagram comes
        behind all that was asked before."""
        n = len(self.runs)
        self.socket.sendto(b"", self.socket.getsockname())
        wait_for(lambda: len(self.runs) > n)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.socket.close()

# SPDX-License-Identifier: ISC
"""What tests/lab/run wants of a mail server's driver.

A driver is a module tests/lab/NAME.py (exim.py, opensmtpd.py, relay.py) with a
class Driver derived from this one.  All methods run inside the world's namespace,
as root, with danevirke installed below /mnt/danevirke; everything a driver
makes lies below self.dir.

    setup()         makes configuration and spool, starts daemons
    send(scenario)  -> scenario.Outcome; one message, its first attempt.
                    Called by many threads at once.  Bounded in time.
    teardown()      stops what setup() started
    evidence(s)     lines to show when a scenario fails
    forget()        processes that live on are replaced

A message's Message-ID is <SCENARIO@lab>, its sender sender@lab.alpha and its
recipient user@DOMAIN: message() makes it.
"""

import os


class Driver:
    name = "?"
    like = "?"                  # whose lines of scenarios.conf are for it
    jobs = 16                   # messages at a time

    def __init__(self, world):
        self.world = world
        self.dir = world.path(self.name)
        os.makedirs(self.dir, mode=0o755, exist_ok=True)

    def setup(self):
        raise NotImplementedError

    def send(self, scenario):
        raise NotImplementedError

    def teardown(self):
        pass

    def evidence(self, scenario):
        return []

    def forget(self):
        """What has read the anchor file is started anew."""

    def fill_store(self):
        raise RuntimeError("--store: %s has no store to fill" % self.name)


SENDER = "sender@lab.alpha"


def recipient(s):
    return "user@" + s.domain()


def message(s, ident=None):
    return ("From: <%s>\nTo: <%s>\nSubject: %s\nMessage-ID: <%s@lab>\n"
            "Date: Thu, 01 Jan 2015 00:00:00 +0000\n\nHello, this is %s.\n"
            % (SENDER, recipient(s), s.id, ident or s.id, s.id))

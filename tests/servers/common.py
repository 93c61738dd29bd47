# SPDX-License-Identifier: ISC
"""What the tests of mail servers that send by way of danevirked share.

A test is a function of the house, named by case() or add() as in
../exim/suite.py: the world, a danevirked in it, its log, and a map of our own
that says what a test wants it to say.
"""

import argparse
import contextlib
import itertools
import os
import re
import signal
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
TESTS = os.path.dirname(HERE)
EXAMPLES = os.path.join(os.path.dirname(TESTS), "examples")
sys.path[:0] = [TESTS + "/lab", TESTS + "/exim"]

import danevirked                                       # noqa: E402
import opensmtpd                                        # noqa: E402
import suite                                            # noqa: E402
import world                                            # noqa: E402
from suite import want                                  # noqa: E402

INSIDE = "DV_SERVERS_INSIDE"
MAP = "/run/danevirked/map"
NUMBERS = itertools.count(1)
KINDS = ("good", "second", "wrong", "stripped", "bogus", "plain", "clear",
         "nullmx", "nosuch", "loop", "down", "reject", "later", "literal")
CONF = """relay: {
	user = [ %s ];
	aliases = "127.%d.0.0/16";
	timeouts: { connect = 3; command = 6; data = 10; ehlo = 20; };
	failure_ttl = 1;
};
danevirked: { socket = "%s"; };
log: { level = "debug"; };
"""


class FakeMap:
    """Answers every question at this path with the same octets, or not at all
    (None).  What it was asked is in .asked."""

    def __init__(self, path, answer, mode=0o666):
        self.path, self.answer = path, answer
        self.asked, self.clients = [], []
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)     # that of one that has ended
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(path)
        os.chmod(path, mode)
        self.socket.listen(50)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                c = self.socket.accept()[0]
            except OSError:
                return
            self.clients.append(c)
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        """A line is one question; netstrings come one after the other."""
        more = True
        with contextlib.suppress(OSError):
            while more:
                asked = c.recv(4096)
                if not asked:
                    break
                self.asked.append(asked.decode(errors="replace"))
                if self.answer is None:
                    time.sleep(60)
                c.sendall(self.answer)
                more = self.answer and asked[:1].isdigit()
            c.shutdown(socket.SHUT_RDWR)

    def close(self):
        for s in [self.socket] + self.clients:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
        os.unlink(self.path)


class House:
    def __init__(self, users, others):
        """users: of the relay; others, that the mail server needs."""
        self.world = world.attach()
        danevirked.enter(users + others)
        opensmtpd.over("/etc/resolv.conf",
                       "nameserver %s\n" % opensmtpd.ROOT)
        self.dir = self.world.path("servers")
        os.makedirs(self.dir)
        os.chmod(self.dir, 0o755)
        self.log = opensmtpd.Log(self.dir + "/maillog")
        self.users = ", ".join('"%s"' % u for u in users)
        self.daemon = self.another(64, MAP)

    def another(self, n, path):
        """A danevirked at this socket, with addresses from 127.N.0.0/16."""
        conf = "%s/danevirke-%d.conf" % (self.dir, n)
        with open(conf, "w") as f:
            f.write(self.world.config_text(more=CONF % (
                self.users, n, path)))
        daemon = danevirked.Danevirked(self.log, conf, path)
        daemon.start()
        return daemon

    @contextlib.contextmanager
    def refusing(self, user):
        """A danevirked that serves another user than this one."""
        conf = self.daemon.conf
        with open(conf) as f:
            text = f.read()
        self.restart(conf, text.replace('"%s"' % user, '"nobody"'))
        try:
            yield
        finally:
            self.restart(conf, text)

    def restart(self, conf, text):
        self.daemon.stop(signal.SIGKILL)
        with open(conf, "w") as f:
            f.write(text)
        self.daemon.start()

    def domain(self, name):
        return self.world.scenarios[name].domain()

    def user(self, name):
        """A new one each time: a server may remember the last answer."""
        return "user%d@%s" % (next(NUMBERS), self.domain(name))

    def one(self, server, name):
        """One message by way of a server; it has submit() and outcome()."""
        to = self.user(name)
        result, text = server.outcome(server.submit(to), to)
        self.judge(name, result, text, self.arrived(name), self.leaks())

    def many(self, server):
        """One message to domains of many kinds, each of which has its own."""
        before = len(self.arrived("good2"))
        to = [self.user(n) for n in ("good", "good2", "wrong", "nullmx")]
        ident = server.submit(*to)
        got = [server.outcome(ident, x)[0] for x in to]
        want(got == ["delivered", "delivered", "deferred", "bounced"], got)
        rows = self.arrived("good2")[before:]
        want([r["rcpts"] for r in rows] == [[to[1]]], rows)

    def arrived(self, name):
        """The messages that SMTP servers of the domain took."""
        return [r for r in self.world.records(name) if r["what"] == "message"]

    def aliased(self, name, mark=0):
        """Whether danevirked gave the domain an address."""
        return any(" is at 127." in x for x in opensmtpd.lines_about(
            self.world.scenarios[name], self.log.since(mark)))

    def leaks(self):
        """Envelopes that a host saw which must not."""
        wrong = []
        for s in self.world.scenarios.values():
            wrong += [r for r in self.world.records(s.id)
                      if (r["from"] or r["rcpts"])
                      and (r["host"] in s.hostile
                           or s.tlsa and not r["tls"])]
        return wrong

    def judge(self, name, result, text, rows, leaks):
        """What became of a message, beside the scenario.  text: all that the
        server said; rows: of the hosts that took it; leaks: of those that saw
        what they must not."""
        s = self.world.scenarios[name]
        kind, at, host = s.expected("").partition("@")
        want(result == ("delivered" if at else kind), text)
        want([r["host"] for r in rows] == ([host] if at else []),
             "arrived: %s\n%s" % (rows, text))
        if at:
            verdict = re.compile(r"%s via \S+: %s: " % (
                re.escape(s.domain().strip("[]")), kind)).search
            want(any(map(verdict, self.log.since())), "no verdict\n" + text)
            want(bool(rows[0]["tls"]) == (kind != "clear"), rows)
            # P07: the server's own line has our verdict
            want(suite.found(r"\b%s: \S+: taken" % kind, text), text)
        for pattern in s.patterns(s.log, ""):
            want(suite.found(pattern, text), "no /%s/:\n%s" % (pattern, text))
        want(not leaks, "LEAKED %s" % leaks)


def netstring(text):
    return b"%d:%s," % (len(text), text.encode())


def until(true, seconds=20):
    """Waits until true() is; False: it never was."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def main(path, start, users, others=(), jobs=1):
    """path: of the part; start(house) comes before its tests."""
    p = argparse.ArgumentParser()
    p.add_argument("--build", metavar="DIR", required=True)
    p.add_argument("patterns", nargs="*", metavar="PATTERN")
    a = p.parse_args()
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        lab = TESTS + "/lab/run"
        os.execv(lab, [lab, "--build", os.path.abspath(a.build), "--scenarios",
                       HERE + "/scenarios.conf", "--world", "--",
                       sys.executable, "-B", os.path.realpath(path)]
                 + sys.argv[1:])
    suite.pick(a.patterns)
    house = House(users, others)
    try:
        stop = start(house)
        passed, failed = suite.run_all(house, jobs)
        stop()
    finally:
        house.daemon.stop()
    said = house.daemon.stderr()
    if said:
        failed += 1
        print("not ok - nothing on stderr:\n" + said)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0

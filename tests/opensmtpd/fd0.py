# SPDX-License-Identifier: ISC
"""smtpd's side of fd 0 of table-danevirke, in both table protocols: for
protocol.py, in the namespaces that it makes."""

import contextlib
import os
import re
import select
import signal
import socket
import struct
import subprocess
import time

from log import Log

PREFIX = "/mnt/danevirke"
PROGRAM = PREFIX + "/libexec/opensmtpd/table-danevirke"
DIR = "/mnt/t"
CONF = DIR + "/danevirke.conf"
STDERR = DIR + "/stderr"
UID = 65534                             # "nobody" stands for smtpd's user
URL = re.compile(r"smtp\+notls://(127\.64\.\d+\.\d+):(\d+)")


# ------------------------------------------------------------- the protocols

class Gone(Exception):
    """The program has closed fd 0."""


class Table:
    """The program, and smtpd's end of its fd 0."""

    def __init__(self, conf="", open_it=True, argv=None, wrap=(), env=None,
                 **more):
        if conf is not None:
            write(conf)
        self.mark = LOG.mark()
        self.fd, theirs = socket.socketpair()
        self.fd.settimeout(15)
        args = [self.NAME, CONF] if argv is None else argv
        cmd = list(wrap) + (["/usr/bin/env", "-i"] if wrap else [])
        cmd += ["%s=%s" % x for x in dict(SAN, **env or {}).items() if wrap]
        with contextlib.ExitStack() as stack:
            err = open(STDERR, "ab")
            stack.callback(err.close)
            stack.callback(theirs.close)
            self.process = subprocess.Popen(
                (cmd + [PROGRAM] + args[1:]) if wrap else args,
                executable=None if wrap else PROGRAM, stdin=theirs,
                stdout=theirs if self.TWO else subprocess.DEVNULL, stderr=err,
                user=None if wrap else UID, group=None if wrap else UID,
                extra_groups=[], restore_signals=False,
                env=dict(SAN, **env or {}),
                preexec_fn=ignore_signals, cwd="/", **more)
        self.buffer = b""
        self.number = 0
        TABLES.append(self)
        if open_it:
            self.open()

    def send(self, data):
        self.fd.sendall(data)

    def fill(self):
        data = self.fd.recv(65536)
        if not data:
            raise Gone()
        self.buffer += data

    def address(self, domain):
        """(address, port) for a domain."""
        answer = self.lookup(domain)
        m = URL.fullmatch(answer or "")
        assert m, "%s: %r" % (domain, answer)
        return m.group(1), int(m.group(2))

    def gone(self, seconds=1.0):
        """The exit status, for it has to end now."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("still there after %g s" % seconds)

    def quiet(self, seconds=0.3):
        """It says nothing."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        assert not ready and not self.buffer, self.fd.recv(4096)

    def relays(self):
        """Its relay processes, oldest first."""
        found = []
        for pid in processes():
            if parent_of(pid) == self.process.pid and comm(pid) != "":
                found.append(pid)
        return sorted(found)

    def relay(self, other_than=(), seconds=5):
        """The relay, once it is named, and none of those."""
        for _ in until(seconds):
            now = [p for p in self.relays() if p not in other_than
                   and comm(p) == "danevirke-relay"]
            if len(now) == 1:
                return now[0]
        raise AssertionError("relays: %r" % (self.relays(),))

    def relay_soon(self, other_than):
        """The relay that is being started, as early as can be seen."""
        for _ in until(5, 0.0005):
            for p in self.relays():
                if p not in other_than and comm(p) == "danevirke-relay":
                    return p
        raise AssertionError("no other relay: %r" % (self.relays(),))

    def stop(self):
        """Ends it; the addresses are free then, unless a relay hangs."""
        relays = self.relays()
        self.fd.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for _ in until(2):
            if not any(map(alive, relays)):
                break


class Lines(Table):
    """OpenSMTPD 7.6 and later."""
    NAME, TWO = "dane", True

    def line(self):
        while b"\n" not in self.buffer:
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def open(self):
        self.send(b"config|smtpd-version|7.8.0\nconfig|protocol|0.1\n"
                  b"config|tablename|dane\nconfig|ready\n")
        same(self.line(), "register|relayhost")
        same(self.line(), "register|ready")

    def request(self, op, *words):
        self.number += 1
        ident = "%08x" % (0xabcd0000 + self.number)
        if op == "update":
            words = [ident]
        else:
            words = [words[0], ident] + list(words[1:])
        self.send(("table|0.1|1713795082.354255|dane|%s|%s\n" % (
            op, "|".join(words))).encode())
        return ident

    def reply(self, op, ident):
        line = self.line()
        head = "%s-result|%s|" % (op, ident)
        assert line.startswith(head), (line, head)
        return line[len(head):]

    def value(self, op, ident):
        """The value; None: not found; False: error."""
        text = self.reply(op, ident)
        if text.startswith("error|"):
            assert len(text) > 6, text
            self.why = text[6:]
            return False
        if text == "not-found":
            return None
        if op == "check":
            same(text, "found")
            return True
        assert text.startswith("found|"), text
        return text[6:]

    def ask_lookup(self, domain, service="relayhost"):
        return self.request("lookup", service, domain)

    def get_lookup(self, ident):
        return self.value("lookup", ident)

    def lookup(self, domain, service="relayhost"):
        return self.get_lookup(self.ask_lookup(domain, service))

    def check(self, domain, service="relayhost"):
        return self.value("check", self.request("check", service, domain))

    def fetch(self, service="relayhost"):
        return self.value("fetch", self.request("fetch", service))

    def update(self):
        text = self.reply("update", self.request("update"))
        assert text == "ok" or text.startswith("error|"), text
        self.why = text[6:]
        return text == "ok"


class Imsg(Table):
    """OpenSMTPD up to 7.5."""
    NAME, TWO = "dane", False
    OK, FAIL, OPEN, CLOSE, UPDATE, CHECK, LOOKUP, FETCH = range(8)
    RELAYHOST = 0x200
    LINE_MAX = 2048

    def message(self, kind, payload=b""):
        return struct.pack("=IHHII", kind, 16 + len(payload), 0, 0,
                           0) + payload

    def reply(self):
        while len(self.buffer) < 16 or \
                len(self.buffer) < struct.unpack_from("=H", self.buffer, 4)[0]:
            self.fill()
        kind, n, flags, peer, _ = struct.unpack_from("=IHHII", self.buffer)
        payload, self.buffer = self.buffer[16:n], self.buffer[n:]
        same((kind, flags, peer), (self.OK, 0, 0))
        return payload

    def open_payload(self, version=2):
        return struct.pack("=I", version) + b"dane".ljust(self.LINE_MAX, b"\0")

    def open(self):
        self.send(self.message(self.OPEN, self.open_payload()))
        same(self.reply(), b"")

    def value(self, keyed):
        payload = self.reply()
        r, = struct.unpack_from("=i", payload)
        rest = payload[4:]
        if r == 1 and keyed:
            assert rest.endswith(b"\0") and rest.count(b"\0") == 1, rest
            return rest[:-1].decode()
        same(rest, b"")
        return {1: True, 0: None, -1: False}[r]

    def query(self, kind, service, key=None):
        params = struct.pack("=i", service) + struct.pack("@N", 0)
        if key is not None:
            params += key.encode() + b"\0"
        self.send(self.message(kind, params))

    def ask_lookup(self, domain, service=RELAYHOST):
        self.query(self.LOOKUP, service, domain)

    def get_lookup(self, _=None):
        return self.value(True)

    def lookup(self, domain, service=RELAYHOST):
        self.ask_lookup(domain, service)
        return self.get_lookup()

    def check(self, domain, service=RELAYHOST):
        self.query(self.CHECK, service, domain)
        return self.value(False)

    def fetch(self, service=RELAYHOST):
        self.query(self.FETCH, service)
        return self.value(True)

    def update(self):
        self.send(self.message(self.UPDATE))
        r = self.value(False)
        assert r is not None
        return r


# ----------------------------------------------------------------- small help

LOG = Log()
SAN = {k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}
TABLES = []


def same(found, wanted, what=""):
    assert found == wanted, "%s found %r, want %r" % (what, found, wanted)


def write(conf):
    with open(CONF + ".new", "w") as f:
        f.write('relay: { user = "nobody"; %s };\n' % conf
                if "relay" not in conf else conf)
    os.chmod(CONF + ".new", 0o644)
    os.rename(CONF + ".new", CONF)


def ignore_signals():
    for s in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGTERM):
        signal.signal(s, signal.SIG_IGN)


def until(seconds, step=0.02):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(step)


def wait_for(what, true, seconds=5):
    for _ in until(seconds):
        if true():
            return
    raise AssertionError("not within %g s: %s" % (seconds, what))


def processes():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def stat_of(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            text = f.read()
    except OSError:
        return "", "Z", 0
    name, rest = text[text.index("(") + 1:].rsplit(")", 1)
    rest = rest.split()
    return name, rest[0], int(rest[1])


def comm(pid):
    name, state, _ = stat_of(pid)
    return "" if state == "Z" else name


def parent_of(pid):
    return stat_of(pid)[2]


def alive(pid):
    return comm(pid) != ""


def connect(where, seconds=5):
    """A connection as smtpd's user makes it."""
    s = socket.socket()
    try:
        os.seteuid(UID)
        s.close()
        s = socket.socket()
    finally:
        os.seteuid(0)
    s.settimeout(seconds)
    try:
        s.connect(where)
    except OSError:
        s.close()
        raise
    return s


def greeting(where, seconds=5):
    with connect(where, seconds) as s:
        data = b""
        while not data.endswith(b"\n"):
            more = s.recv(512)
            assert more, "closed after %r" % data
            data += more
    assert data.startswith(b"220 "), data
    return data.decode()


def descriptors(pid):
    d = {}
    for n in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(OSError):
            d[int(n)] = os.readlink("/proc/%d/fd/%s" % (pid, n))
    return d


def settled(t, seconds=20):
    """One relay only: those that were told to end have ended."""
    wait_for("one relay", lambda: len(t.relays()) == 1, seconds)
    return t.relay()


TESTS = []


def test(f):
    TESTS.append((f.__name__, f, ()))
    return f


def both(f):
    for p in (Lines, Imsg):
        TESTS.append(("%s [%s]" % (f.__name__, p.__name__), f, (p,)))
    return f

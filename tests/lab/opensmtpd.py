# SPDX-License-Identifier: ISC
"""Debian's OpenSMTPD 6.8 as the lab's mail server.

One smtpd for all scenarios, with one table-danevirke for each profile: what
the administrator writes is in examples/opensmtpd/smtpd.conf, and a second
table only serves to have a second configuration.  Every message is one SMTP
session with the listener on loopback; what became of it is read from syslog.

smtpd is not installed (its package excludes Exim's): tests/install unpacks
it, and enter() makes, in the lab's mount namespace, what it looks for.

    DV_LAB_TABLE    a command to run table-danevirke with, as
                    "valgrind -q --vgdb=no --trace-children=yes"
"""

import contextlib
import grp
import os
import pwd
import re
import select
import shutil
import signal
import smtplib
import socket
import subprocess
import threading
import time

import mta
import scenario
from world import PREFIX, ROOT

UNPACKED = "/var/cache/danevirke-smtpd"
SMTPD = UNPACKED + "/usr/sbin/smtpd"
USERS = ("opensmtpd", "opensmtpq")
LIBEXEC = "/usr/libexec/opensmtpd"      # Debian's PATH_LIBEXEC
TABLE = PREFIX + "/libexec/opensmtpd/table-danevirke"
SPOOL = "/var/spool/smtpd"
PORT = 2525
TIMEOUT = 150                   # seconds for one message
START = 60                      # seconds for smtpd to come up
PROFILES = ("default", "strict", "mxmay", "mxencrypt", "audit", "off",
            "patient", "sts", "stsaudit", "stsonly", "stsmay")

# Limits: every scenario at once, each domain by its own address.
CONF = """
%(tables)s
table bounces { "@" = nobody }
listen on 127.0.0.1 port %(port)d hostname lab.alpha
mta limit session-keepalive 1 max-conn-per-source 1000
mta limit max-conn-per-relay 1000
smtp max-message-size 50M
action "bounces" maildir "%(dir)s/bounces" virtual <bounces>
%(actions)s
match from any for domain "lab.alpha" action "bounces"
%(matches)s
"""

RELAY = """relay: {
	aliases = "127.%d.0.0/16";
	profile = "%s";
	%s
	limits: { sessions = 1000; per_domain = 1000; };
	%s
};
log: { level = "debug"; };
"""
# "patient" has the defaults.
TIMEOUTS = """timeouts: { connect = 3; command = %d; data = 10; ehlo = 40;
		idle = 20; };"""


def used(world, profiles):
    """Those with MTA-STS are only there where a scenario has them."""
    wanted = {s.profile for s in world.scenarios.values()}
    return [p for p in profiles if not p.startswith("sts") or p in wanted]


def relay_conf(driver, profile, more=""):
    """danevirke.conf for the relay that serves one of the driver's profiles."""
    n = 64 + driver.profiles.index(profile)
    return driver.world.config_text(more=RELAY % (
        n, profile, "" if profile == "patient"
        else TIMEOUTS % driver.command, more))


# ------------------------------------------------------------ the namespace

# No folder of the machine is ever mounted at a second place: something that
# cleans up there would clean up the machine.  What stands in the way is covered
# by an empty tmpfs of this mount namespace, and files of our own are bound over
# single files.
OWN = "/mnt/opensmtpd"          # beside the world's directory, not in it
SMTPCTL = OWN + "/smtpctl"
COVERED = ("/usr/libexec", "/var/spool", "/var/lib")


def mount(*args):
    subprocess.run(["mount", *args], check=True)


def check_namespace():
    """Nothing is covered but in a namespace that tests/lab/run has made."""
    with open("/proc/self/mountinfo") as f:
        rows = [row.split() for row in f]
    if (not any(r[4] == "/mnt" and r[-2] == "lab" for r in rows)
            or any(x.startswith("shared:") for r in rows for x in r)
            or os.path.exists(OWN)):
        raise RuntimeError("not in a new mount namespace of tests/lab/run")


def own_dev():
    """/dev with a /dev/log that is ours."""
    os.makedirs(OWN + "/dev")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        with open("%s/dev/%s" % (OWN, name), "w"):
            pass
        mount("--bind", "/dev/" + name, "%s/dev/%s" % (OWN, name))
    os.symlink("/proc/self/fd", OWN + "/dev/fd")
    mount("--rbind", OWN + "/dev", "/dev")


def over(path, text):
    """A file with another text, in this namespace."""
    own = "%s/%s" % (OWN, os.path.basename(path))
    with open(own, "w") as f:
        f.write(text)
    os.chmod(own, 0o644)
    mount("--bind", own, os.path.realpath(path))


def add_users(users):
    names = {p.pw_name for p in pwd.getpwall()}
    taken = {p.pw_uid for p in pwd.getpwall()}
    taken |= {g.gr_gid for g in grp.getgrall()}
    free = [n for n in range(990, 100, -1) if n not in taken]
    rows = [(name, free.pop(0)) for name in users if name not in names]
    with open("/etc/passwd") as f:
        text = f.read()
    over("/etc/passwd", text + "".join(
        "%s:x:%d:%d::/nonexistent:/usr/sbin/nologin\n" % (name, n, n)
        for name, n in rows))
    with open("/etc/group") as f:
        text = f.read()
    over("/etc/group", text + "".join("%s:x:%d:\n" % row for row in rows))


def enter(nameserver=ROOT):
    """What smtpd looks for.  nameserver: whom it asks, for the names of the
    relay's addresses; the lab's root knows at once that there are none."""
    if not os.access(SMTPD, os.X_OK):
        raise RuntimeError("no smtpd in %s: run tests/install" % UNPACKED)
    check_namespace()
    os.makedirs(OWN, mode=0o755)
    add_users(USERS)
    over("/etc/resolv.conf", "nameserver %s\n" % nameserver)
    own_dev()
    if "valgrind" in os.environ.get("DV_LAB_TABLE", ""):
        shutil.copytree("/usr/libexec/valgrind", OWN + "/valgrind")
    for path in COVERED:
        mount("-t", "tmpfs", "-o", "mode=755", "lab", path)
    shutil.copytree(UNPACKED + LIBEXEC, LIBEXEC)
    shutil.copy(UNPACKED + "/usr/sbin/smtpctl", SMTPCTL)
    shutil.chown(SMTPCTL, "root", "opensmtpq")
    os.chmod(SMTPCTL, 0o2755)
    os.makedirs("/var/lib/opensmtpd/empty")
    os.makedirs(SPOOL)
    os.chmod(SPOOL, 0o711)
    os.makedirs(SPOOL + "/offline")
    shutil.chown(SPOOL + "/offline", "root", "opensmtpq")
    os.chmod(SPOOL + "/offline", 0o770)


# ------------------------------------------------------------------ the log

class Log:
    """All that is said to syslog."""

    def __init__(self, path):
        self.lines, self.lock = [], threading.Condition()
        self.file = open(path, "a", buffering=1)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
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
                raw = self.socket.recv(65536, socket.MSG_DONTWAIT)
                # <22>Nov 23 02:00:00 smtpd[7]: text
                line = re.sub(r"^<\d+>\w+ +\d+ \S+ ", "", raw.decode(
                    "utf-8", "replace").rstrip("\0\n"))
                self.lines.append(line)
                self.lock.notify_all()
                self.file.write(line + "\n")

    def mark(self):
        with self.lock:
            self.read()
            return len(self.lines)

    def since(self, mark=0):
        with self.lock:
            self.read()         # the thread may not have come to it yet
            return self.lines[mark:]

    def wait(self, pattern, seconds=10, mark=0):
        """The first line that matches, or None."""
        end = time.monotonic() + seconds
        seek = re.compile(pattern).search
        at = mark
        while True:
            with self.lock:
                new = self.lines[at:]
                at += len(new)
                hit = next(filter(seek, new), None)
                left = end - time.monotonic()
                if hit is not None or left <= 0:
                    return hit
                if not new:
                    self.lock.wait(min(left, 1))


def lines_about(s, lines):
    """Those of the log about the scenario's domain."""
    # a literal's brackets are smtpd's, not the route's
    domain = re.escape(s.domain().lower().strip("[]").replace("ipv6:", ""))
    seek = re.compile(r"(?i)(^|[ @<[])(ipv6:)?%s([] :>]|$)" % domain).search
    return [x for x in lines if seek(x) and " session 0x" not in x]


# ---------------------------------------------------------------- the driver

class Driver(mta.Driver):
    name = like = "opensmtpd"
    jobs = 300                  # messages under way at a time
    command = 4                 # seconds, relay.timeouts.command

    def __init__(self, world, profiles=PROFILES):
        super().__init__(world)
        self.profiles = used(world, profiles)
        if "DV_LAB_TABLE" in os.environ:    # it is slow, timeouts are short
            self.jobs = 8
        self.log = self.smtpd = None
        self.first = threading.Lock()
        self.results = {}       # recipient -> its first delivery line
        self.patience = TIMEOUT

    # -------------------------------------------------------- configuration

    danevirke_conf = relay_conf

    def relay_action(self, profile):
        return "relay domain <dv_%s> helo lab.alpha" % profile

    def tables(self):
        rows = []
        for p in self.profiles:
            path = "%s/%s.conf" % (self.dir, p)
            with open(path, "w") as f:
                f.write(self.danevirke_conf(p))
            rows.append("table dv_%s danevirke:%s" % (p, path))
            names = sorted({s.domain().lower()
                            for s in self.world.scenarios.values()
                            if s.profile == p})
            if p == "default":
                continue
            rows.append("table of_%s { %s }" % (p, ", ".join(
                '"%s"' % n for n in names) or '"none.invalid"'))
        return rows

    def config(self):
        others = [p for p in self.profiles if p != "default"]
        return CONF % {
            "tables": "\n".join(self.tables()), "port": PORT,
            "dir": self.dir,
            "actions": "\n".join('action "%s" %s' % (p, self.relay_action(p))
                                 for p in self.profiles),
            "matches": "\n".join(
                ['match from local for domain <of_%s> action "%s"' % (p, p)
                 for p in others]
                + ['match from local for any action "default"'])}

    def place_table(self):
        """table-danevirke, where smtpd looks for it."""
        wrap = os.environ.get("DV_LAB_TABLE", "")
        path = LIBEXEC + "/table-danevirke"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with open(path, "w") as f:
            f.write("#!/bin/sh\nexport VALGRIND_LIB=%s/valgrind\n"
                    "exec %s %s \"$@\"\n" % (OWN, wrap, TABLE))
        os.chmod(path, 0o755)
        if not wrap:            # with its own name as argv[0]
            os.unlink(path)
            os.symlink(TABLE, path)

    # -------------------------------------------------------- start and stop

    def setup(self):
        self.prepare()
        self.start()

    def prepare(self, nameserver=ROOT):
        enter(nameserver)
        self.log = Log(self.dir + "/maillog")
        os.makedirs(self.dir + "/bounces")
        shutil.chown(self.dir + "/bounces", "nobody", "nogroup")
        self.place_table()
        threading.Thread(target=self.collect, daemon=True).start()

    def write_config(self, text=None):
        path = self.dir + "/smtpd.conf"
        with open(path, "w") as f:
            f.write(text or self.config())
        os.chmod(path, 0o600)
        return path

    def start(self, text=None):
        path = self.write_config(text)
        mark = self.log.mark()
        self.err = open(self.dir + "/stderr", "a+")
        self.smtpd = subprocess.Popen(
            [SMTPD, "-F", "-f", path], cwd="/",
            stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err)
        end = time.monotonic() + START
        while time.monotonic() < end:
            if self.smtpd.poll() is not None:
                break
            with contextlib.suppress(OSError):
                smtplib.SMTP("127.0.0.1", PORT, timeout=5).quit()
                return
            time.sleep(0.1)
        raise RuntimeError("smtpd does not start: %s" % "\n".join(
            self.log.since(mark)[-20:] + [self.stderr()[-2000:]]))

    def stderr(self):
        with open(self.dir + "/stderr", errors="replace") as f:
            return f.read()

    def stop(self, number=signal.SIGTERM):
        if self.smtpd is None:
            return
        self.smtpd.send_signal(number)
        try:
            self.smtpd.wait(10)
        except subprocess.TimeoutExpired:
            self.smtpd.kill()
            self.smtpd.wait()
        self.smtpd = None

    def teardown(self):
        """A sanitizer's or valgrind's word is a failure of all."""
        try:
            if self.watched():
                self.renew()
        finally:
            self.stop()
        found = re.search(r".*(Sanitizer|runtime error:|==\d+== ).*",
                          self.stderr())
        if found:
            raise RuntimeError("table-danevirke: " + self.stderr()[-4000:])

    def watched(self):
        with open(TABLE, "rb") as f:
            return "DV_LAB_TABLE" in os.environ or b"__asan_" in f.read()

    def renew(self, seconds=60):
        """New relays: the old ones end as they should, with a leak check."""
        old = self.processes("danevirke-relay")
        for p in self.profiles:
            r = self.control("update", "table", "dv_" + p)
            if r.returncode:
                raise RuntimeError("smtpctl update: " + r.stdout + r.stderr)
        end = time.monotonic() + seconds
        while old & self.processes("danevirke-relay"):
            if time.monotonic() > end:
                raise RuntimeError("a relay does not end")
            time.sleep(0.1)

    def forget(self):
        """New relays; if they cannot start, smtpd waits for their greeting,
        and what it has is as good as deferred."""
        self.kill_relays()
        self.patience = 5

    @classmethod
    def kill_relays(cls):
        """All that are there now; one may end by itself meanwhile."""
        for pid in cls.processes("danevirke-relay"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @staticmethod
    def processes(*names):
        """Process ids of what is called so."""
        found = set()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open("/proc/%s/stat" % pid) as f:
                    text = f.read()
                name = text[text.index("(") + 1:text.rindex(")")]
                if name in names and text[text.rindex(")") + 2] != "Z":
                    found.add(int(pid))
        return found

    # -------------------------------------------------------------- sending

    def submit(self, text, recipients, sender=mta.SENDER, port=PORT):
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as c:
            c.ehlo("localhost")
            refused = c.sendmail(sender, recipients, text)
            assert not refused, refused

    def collect(self):
        """The first thing that happened to each recipient."""
        seek = re.compile(r" mta delivery .* to=<([^>]*)> ").search
        at = 0
        while True:
            self.log.wait(" mta delivery ", 60, at)
            for line in self.log.since(at):
                at += 1
                m = seek(line)
                if m:
                    self.results.setdefault(m.group(1).lower(),
                                            (line, at))

    def send(self, s):
        rcpt = mta.recipient(s).lower()
        text = mta.message(s).replace("\n", "\r\n").encode()
        with self.first:        # one after the other is fast enough
            self.submit(text, [mta.recipient(s)])
        end = time.monotonic() + self.patience
        while rcpt not in self.results and time.monotonic() < end:
            time.sleep(0.05)
        line, at = self.results.get(rcpt, ("", None))
        word = re.search(r' result="(\w+)"', line)
        result = {"Ok": "delivered", "TempFail": "deferred",
                  "PermFail": "bounced"}.get(word and word.group(1), "none")
        if result == "none" and self.patience < TIMEOUT and any(
                r.lower() == rcpt for r, _ in self.queue()):
            result = "deferred"
        lines = lines_about(s, self.log.since()[:at])
        return scenario.Outcome(result, scenario.verdicts(lines), lines)

    def evidence(self, s):
        return self.stderr().splitlines()[-5:]

    # ------------------------------------------------------------ the queue

    def control(self, *args):
        return subprocess.run([SMTPCTL, *args],
                              capture_output=True, text=True, timeout=60)

    def queue(self):
        """(recipient, status) of what is still to be sent."""
        rows = []
        for line in self.control("show", "queue").stdout.splitlines():
            f = line.split("|")
            if len(f) >= 9 and f[2] == "mta":
                rows.append((f[6], f[-1]))
        return rows


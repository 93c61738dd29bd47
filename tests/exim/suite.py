# SPDX-License-Identifier: ISC
"""What the tests of the Exim shim share.

A test is a function of the world (tests/lab/world.py), named by case():

    @case("no password for a smarthost with another certificate (S08)")
    def test(w):
        box = Box(w).start()
        sent = box.send("smart-wrong")
        want(sent.result("smart-wrong") == "deferred", sent)
        want(not box.sessions("smart-wrong", password=True), sent)

or add(NAME, FUNCTION, ARG...) for a row of a table.  A test fails by an
exception: want(CONDITION, SENT OR TEXT).  Tests run several at a time, so each
has a Box of its own: an Exim with its own configuration, spool and log, its
own copies of danevirke's directories, in a mount namespace of its own.  All
boxes send to the same SMTP servers; EHLO's name tells who it was.

The domains are the scenarios of tests/exim/scenarios.conf (its head says how
they are written): add what a test needs there.
"""

import fcntl
import glob
import itertools
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))) + "/lab")

import exim                                             # noqa: E402
import mta                                              # noqa: E402
import scenario                                         # noqa: E402
from world import PREFIX                                # noqa: E402

MODULES = PREFIX + "/lib/danevirke"
ETC = PREFIX + "/etc"
HOOKS = ("route", "unroutable", "event", "require_tls", "sni", "priority",
         "gate", "auth")
CASES = []


def add(name, function, *args):
    CASES.append((name, function, args))


def case(name):
    return lambda function: add(name, function) or function


def want(condition, evidence=""):
    """evidence: a text or a Sent, shown if the condition is not true"""
    if not condition:
        raise AssertionError(str(evidence))


def found(pattern, text):
    return re.search(pattern, text, re.M) is not None


class Records:
    """What the SMTP servers write down, by EHLO name; each line read once."""
    lock, at, rows = threading.Lock(), 0, {}

    @classmethod
    def of(cls, world, helo):
        with cls.lock, open(world.smtp_log, "rb") as f:
            f.seek(cls.at)
            for line in f:
                if not line.endswith(b"\n"):
                    break
                cls.at += len(line)
                row = json.loads(line)
                cls.rows.setdefault(row["helo"], []).append(row)
            return list(cls.rows.get(helo, ()))


class Sent:
    """One message and what became of it."""

    def __init__(self, box, domains, status, said):
        self.box, self.domains = box, domains
        self.status, self.said = status, said
        self.log = box.logged()
        self.queue = box.queue()

    def result(self, name):
        """delivered, bounced, deferred (and the log says so), queued (no
        line in the log, but it is in the queue) or lost"""
        to = self.domains[name].lower()
        end = "lost"
        for row in self.log.splitlines():
            m = re.search(r" (=>|->|==|\*\*) \S*@(\S+)", row)
            if m and m.group(2).strip("<>").lower() == to:
                end = {"==": "deferred", "**": "bounced"}.get(
                    m.group(1), "delivered")
        waits = any(to in r.lower() for r in self.queue)
        if end in ("lost", "deferred"):
            return "lost" if not waits else {"lost": "queued"}.get(end, end)
        return end

    def kept(self, *names):
        """Still in the queue: nothing sent, nothing bounced, nothing lost."""
        return all(self.result(n) in ("deferred", "queued") for n in names)

    def __str__(self):
        rows = ["exit %s: %s" % (self.status, self.said.strip())]
        rows += ["%s: %s" % (n, self.result(n)) for n in self.domains]
        rows += ["log: " + x for x in self.log.splitlines()]
        rows += ["queue: " + x for x in self.queue]
        rows += ["smtp: %(what)s %(host)s of %(scenario)s tls=%(tls)s "
                 "sni=%(sni)s from=%(from)s auth=%(auth)s stage=%(stage)s" % r
                 for r in self.box.sessions() if r["what"] != "connect"]
        return "\n".join(rows)


class Box(exim.Driver):
    """An Exim of its own.  Change what is to be changed, then start():

    text        exim4.conf, the examples' files put in place of .include
    etc         this box's copy of the directory of danevirke.conf
    modules     this box's copy of the directory of danevirke.so, exim.so
    hook(NAME)  path of exim.so for this function, after own_hooks()
    mounts      [(FROM, OVER)]: more of this kind
    """

    numbers = itertools.count(1)
    lock = threading.Lock()

    def __init__(self, world):
        with Box.lock:
            self.name = "box%d" % next(Box.numbers)
        super().__init__(world)
        self.helo = self.name + ".lab.alpha"
        self.etc, self.modules = self.dir + "/etc", self.dir + "/modules"
        self.conf = self.etc + "/danevirke.conf"
        shutil.copytree(ETC, self.etc)
        shutil.copytree(MODULES, self.modules, copy_function=os.link)
        self.mounts = [(self.etc, ETC), (self.modules, MODULES),
                       (self.dir + "/exim4", os.path.dirname(exim.CONFIG))]
        os.makedirs(self.dir + "/exim4")
        user = pwd.getpwnam(exim.USER)
        for d in ("spool", "log"):
            os.makedirs(self.dir + "/" + d)
            os.chown(self.dir + "/" + d, user.pw_uid, user.pw_gid)
        self.tables()
        self.text = self.include(self.config()).replace(
            "primary_hostname = lab.alpha",
            "primary_hostname = " + self.helo)

    # -------------------------------------------------------- configuration

    @staticmethod
    def include(text):
        def put(match):
            with open(match.group(1)) as f:
                return Box.include(f.read())
        return re.sub(r"^\.include (\S+)$", put, text, flags=re.M)

    def edit(self, pattern, new, count=None):
        """Replaces a regular expression; one that is not there is a bug of
        the test."""
        self.text, n = re.subn(pattern, new, self.text, flags=re.M)
        if n == 0 or (count and n != count):
            raise ValueError("%r: %d times in exim4.conf" % (pattern, n))
        return self

    def main(self, line):
        """One more main option."""
        if line not in self.text:
            self.text = line + "\n" + self.text
        return self

    def hook(self, name):
        return "%s/hooks/%s.so" % (self.dir, name)

    def own_hooks(self):
        """Every function by a path of its own, all one file: Exim loads it
        once, until a test puts something else in the place of one."""
        os.makedirs(self.dir + "/hooks")
        for name in HOOKS:
            os.link(self.modules + "/exim.so", self.hook(name))
        return self.edit(r"\{(?:DANEVIRKE_LIB|%s/exim\.so)\}"
                         r"\{danevirke_(\w+)\}" % MODULES,
                         r"{%s/hooks/\1.so}{danevirke_\1}" % self.dir)

    def start(self):
        with open(self.dir + "/exim4/exim4.conf", "w") as f:
            f.write(self.text)
        said = self.run("-bV")
        if said.returncode:
            raise ValueError(said.stdout.partition("\nExim version")[0])
        return self

    # -------------------------------------------------------------- sending

    def command(self, *args):
        """The words that run a command with this box's files in place."""
        binds = "".join("mount --bind %s %s\n" % pair for pair in self.mounts)
        return ["unshare", "-m", "sh", "-ec", binds + 'exec "$@"', "sh",
                *args]

    def run(self, *args, input="", timeout=exim.TIMEOUT):
        """Exim, called by root; stdout and stderr in stdout."""
        return subprocess.run(
            self.command(exim.EXIM, *args), input=input, text=True,
            errors="replace", stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=timeout, cwd="/")

    def send(self, *names, options=("-odf",), timeout=exim.TIMEOUT):
        """One message to user@ these scenarios' domains; one attempt."""
        todo = [self.world.scenarios[n] for n in names]
        r = self.run(*options, "-oi", "-f", mta.SENDER,
                      *map(mta.recipient, todo), timeout=timeout,
                      input=mta.message(todo[0], self.name))
        self.settle()
        return Sent(self, {s.id: s.domain() for s in todo}, r.returncode,
                    r.stdout)

    def settle(self, seconds=10):
        """Exim may return before its last line is written: wait until no
        process holds a message's lock."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.1)
            if not any(map(locked, glob.glob(self.dir
                                             + "/spool/input/*-D"))):
                return

    # ------------------------------------------------------------ observing

    def read(self, name):
        try:
            with open("%s/log/%slog" % (self.dir, name),
                      errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def logged(self):
        """Main and panic log."""
        return self.read("main") + self.read("panic")

    def queue(self):
        """The recipients that still wait, as exim -bpu prints them."""
        said = self.run("-bpu").stdout
        return [x.strip() for x in said.splitlines()
                if x.startswith("     ") and not x.strip().startswith("D ")]

    def sessions(self, name=None, clear=False, envelope=False,
                 password=False):
        """What the SMTP servers wrote down of this box, of one scenario or
        all: sessions without TLS, with a MAIL command, with AUTH."""
        rows = [r for r in Records.of(self.world, self.helo)
                if name in (None, r["scenario"])]
        if clear:
            rows = [r for r in rows if not r["tls"]]
        if envelope:
            rows = [r for r in rows if r["from"] or r["rcpts"] or
                    r["stage"] in ("mail", "data", "message")]
        if password:
            rows = [r for r in rows if r["auth"]]
        return rows

    def leaks(self, *names):
        """What a DANE domain must never see: an envelope or a password in
        the clear, or at a host that scenarios.conf calls hostile."""
        wrong = []
        for name in names or self.world.scenarios:
            s = self.world.scenarios[name]
            if not s.tlsa:
                continue
            rows = self.sessions(name, envelope=True) + \
                self.sessions(name, password=True)
            wrong += [r for r in rows
                      if not r["tls"] or r["host"] in s.hostile]
        return wrong


def locked(path):
    try:
        with open(path, "r+b") as f:
            fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except FileNotFoundError:
        return False
    except OSError:
        return True


# ------------------------------------------------------------------ running

def one(world, name, function, args):
    began = time.monotonic()
    try:
        function(world, *args)
        wrong = None
    except AssertionError as e:
        wrong = str(e) or traceback.format_exc()
    except Exception:
        wrong = traceback.format_exc()
    return name, wrong, time.monotonic() - began


def pick(patterns):
    """Keeps the tests whose name holds one of these."""
    if patterns:
        CASES[:] = [c for c in CASES if any(p in c[0] for p in patterns)]


def run_all(world, jobs=6):
    """Runs what add() and case() have collected; (passed, failed)."""
    failed = 0
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        for n, (name, wrong, seconds) in enumerate(
                pool.map(lambda c: one(world, *c), CASES), 1):
            failed += wrong is not None
            print("%s %d - %s (%.1f s)" % ("not ok" if wrong else "ok", n,
                                           name, seconds), flush=True)
            for row in (wrong or "").splitlines():
                print("#   " + row)
    return len(CASES) - failed, failed

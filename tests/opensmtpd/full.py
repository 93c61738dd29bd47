#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""Debian's OpenSMTPD with table-danevirke: much mail, and much trouble.

    tests/opensmtpd/full.py --build DIR [PATTERN...]

Needs root, for tests/lab/run.  The last line is "N passed, M failed".
"""

import argparse
import collections
import contextlib
import fnmatch
import hashlib
import os
import re
import selectors
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
LAB = os.path.join(os.path.dirname(HERE), "lab")
EXAMPLE = os.path.join(HERE, "../../examples/opensmtpd/smtpd.conf")
sys.path.insert(0, HERE)
sys.path.insert(0, LAB)

import mta                                              # noqa: E402
import opensmtpd                                        # noqa: E402
import play                                             # noqa: E402
import scenario                                         # noqa: E402
import world                                            # noqa: E402
from other import Other                                 # noqa: E402
from play import Die, Upstream, same, until             # noqa: E402

INSIDE = "DV_FULL_INSIDE"
BULK = ["bulk%02d" % n for n in range(50)]
STATES = ("connect", "ehlo", "starttls", "handshake", "ehlo2", "mail", "rcpt",
          "data", "body", "dot")
DIES = ["dies-" + s for s in STATES]
RELAY_PORT = 10025
FOREIGN = "198.18.250.1"        # an address that is not smtpd's own network
MORE = "failure_ttl = 1;"
W = D = None
TESTS = []


def test(f):
    TESTS.append(f)
    return f


class Driver(opensmtpd.Driver):
    """One table, as examples/opensmtpd/smtpd.conf has it."""

    command = 30                # 500 handshakes at once take their time

    def __init__(self, w):
        super().__init__(w, ("default",))

    def danevirke_conf(self, profile, more=MORE):
        return super().danevirke_conf(profile, more)

    def start(self, text=None):
        self.began = self.log.mark()
        super().start(text)


# ------------------------------------------------------------------ messages

def domain(ident):
    return W.scenarios[ident].domain()


def rcpt(ident, who="user"):
    return "%s@%s" % (who, domain(ident))


def message(ident, text):
    """(octets, checksum of the text)"""
    head = ("From: <%s>\r\nSubject: %s\r\nMessage-ID: <%s@lab>\r\n"
            "Date: Thu, 01 Jan 2015 00:00:00 +0000\r\n\r\n" % (
                mta.SENDER, ident, ident)).encode()
    return head + text, hashlib.sha256(text).hexdigest()


def submit(rows):
    """rows: (octets, recipients); ten sessions at a time."""
    def some(part):
        with smtplib.SMTP("127.0.0.1", opensmtpd.PORT, timeout=60) as c:
            c.ehlo("localhost")
            for octets, to in part:
                same(c.sendmail(mta.SENDER, to, octets), {})

    parts = [rows[n::10] for n in range(10)]
    errors = []

    def run(part):
        try:
            some(part)
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=run, args=(p,)) for p in parts if p]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same(errors, [])


def send(ident, text=b"hello\r\n", who=("user",), mid=None):
    octets, digest = message(mid or ident, text)
    submit([(octets, [rcpt(ident, x) for x in who])])
    return digest


def arrived(idents, mids=None):
    """Message-IDs that the hosts of these scenarios took: how often."""
    return collections.Counter(
        r["id"].strip("<>").partition("@")[0] for r in W.records()
        if r["what"] == "message" and r["scenario"] in idents
        and (mids is None or r["id"].strip("<>").partition("@")[0] in mids))


def results(mark, ident, seconds=20):
    """The next delivery line about this domain."""
    line = D.log.wait(r" mta delivery .* to=<[^>]*@%s> " % re.escape(
        domain(ident)), seconds, mark)
    assert line, "no delivery to %s within %d s" % (domain(ident), seconds)
    return re.search(r' result="(\w+)" stat="(.*)"', line).groups()


def waiting(ident):
    """Recipients at this domain that smtpd still has."""
    return [r for r, _ in D.queue() if r.endswith("@" + domain(ident))]


def schedule():
    D.control("schedule", "all")


def address(ident):
    """The relay's address of a domain that mail was sent to: another after
    each start, and in each range."""
    known = r"^table-danevirke\S+ %s is at " % re.escape(domain(ident))
    D.log.wait(known, 10, D.began)
    rows = [x for x in D.log.since(D.began) if re.search(known, x)]
    return rows[-1].split()[-1], RELAY_PORT


def smtpd_ids():
    return D.processes("smtpd")


def tables():
    return D.processes("table-danevirke")


def relays():
    return D.processes("danevirke-relay")


# --------------------------------------------------------------------- tests

@test
def thousand():
    """1,000 messages to 50 domains arrive exactly once each, unchanged"""
    sums, rows = {}, []
    for n in range(1000):
        ident = BULK[n % len(BULK)]
        mid = "%s-%04d" % (ident, n)
        text = b"".join(b"%s..%d %s\r\n" % (b"." * (i % 3), i, b"x" * (n % 70))
                        for i in range(n % 40 + 1))
        octets, sums[mid] = message(mid, text)
        rows.append((octets, [rcpt(ident, "u%d" % n)]))
    submit(rows)
    until(lambda: sum(arrived(BULK).values()) >= 1000, 60)
    until(lambda: not D.queue(), 20)
    same(arrived(BULK), collections.Counter(list(sums)))
    for r in W.records():
        if r["what"] == "message" and r["scenario"] in BULK:
            mid = r["id"].strip("<>").partition("@")[0]
            same(r["text"], sums[mid], mid)
            same(r["rcpts"], ["u%d@%s" % (int(mid[-4:]), domain(mid[:6]))])
            assert r["scenario"] == mid[:6] and r["tls"], r


@test
def refused_mail():
    """what DANE forbids stays, with the reason in the queue (T02 U16)"""
    for ident in ("wrong", "nostarttls"):
        mark = D.log.mark()
        send(ident)
        word, stat = results(mark, ident)
        same(word, "TempFail")
        assert stat.startswith("451 4.7.5 mx1." + domain(ident)), stat
        same(waiting(ident), [rcpt(ident)])
        why = [s for r, s in D.queue() if r == rcpt(ident)][0]
        assert "4.7.5" in why, why
        same(arrived([ident]), {})


@test
def bounces():
    """5xx of the upstream, and null MX, come back to the sender (Z02)"""
    for ident, stat, text in (
            ("rejected", "550 5.1.1 no such user", "no such user"),
            ("nullmx", "556 5.1.10 %s: " % domain("nullmx"), "556 5.1.10")):
        mark = D.log.mark()
        send(ident)
        word, said = results(mark, ident)
        same(word, "PermFail")
        assert said.startswith(stat), said
        same(waiting(ident), [])
        until(lambda: any(rcpt(ident) in x and text in x     # noqa: B023
                          for x in mailbox()))
        same(arrived([ident]), {})


def mailbox():
    """What smtpd returned to the sender."""
    for where, _, names in os.walk(D.dir + "/bounces"):
        for name in names:
            with open(os.path.join(where, name), errors="replace") as f:
                yield f.read()


@test
def ourselves():
    """an MX in the relay's range, or at loopback, is not followed (M12)"""
    traps = []
    for where in ("127.0.0.1", "127.64.0.5"):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((where, 25))
        s.listen()
        s.setblocking(False)
        traps.append(s)
    for ident in ("range", "loopback"):
        mark = D.log.mark()
        send(ident)
        word, stat = results(mark, ident)
        assert word in ("TempFail", "PermFail"), word
        assert stat[:3] in ("451", "554"), stat
    for s in traps:
        with contextlib.suppress(BlockingIOError):
            raise AssertionError("connected to: %r" % (s.accept(),))
        s.close()


@test
def thirty():
    """a message of 30 MiB arrives"""
    text = b"".join(b"%09d %s\r\n" % (n, b"x" * 60)
                    for n in range(30 * 1024 * 1024 // 72))
    with Upstream("big", ehlo=("SIZE 50000000", "8BITMIME")) as u:
        digest = send("big", text)
        until(lambda: u.messages, 40)
        until(lambda: not waiting("big"))
        same(len(u.messages), 1)
        head, _, body = u.messages[0].partition(b"\r\n\r\n")
        assert b"Message-ID: <big@lab>" in head
        same(hashlib.sha256(body).hexdigest(), digest)
    assert memory() < 100 << 20, "%d octets in the relay" % memory()


def memory():
    """Resident octets of the relay."""
    total = 0
    for pid in relays():
        with open("/proc/%d/status" % pid) as f:
            total += int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) * 1024
    return 0 if D.watched() else total


@test
def upstream_dies():
    """killed in every state: queue and recipients add up, nothing is lost"""
    who = ("a", "b")
    with contextlib.ExitStack() as stack:
        up = {s: stack.enter_context(Upstream("dies-" + s, on={s: Die}))
              for s in STATES}
        mark = D.log.mark()
        for s in STATES:
            send("dies-" + s, b"to %s\r\n" % s.encode(), who)
        for s in STATES:
            word, stat = results(mark, "dies-" + s, 30)
            same((s, word), (s, "TempFail"))
            until(lambda: sorted(waiting("dies-" + s)) ==    # noqa: B023
                  sorted(rcpt("dies-" + s, x) for x in who), 10)
            same((s, up[s].messages), (s, []))
            assert up[s].connections >= 1
        for u in up.values():
            u.on.clear()
        # what failed a moment ago is remembered for failure_ttl
        time.sleep(2.1)
        schedule()
        for s, u in up.items():
            until(lambda: u.messages, 20)                    # noqa: B023
            until(lambda: not waiting("dies-" + s), 10)      # noqa: B023
        time.sleep(0.5)
        for s, u in up.items():
            same((s, len(u.messages)), (s, 1))
            assert u.messages[0].endswith(b"to %s\r\n" % s.encode())
            # all recipients of the message that was taken
            taken = [x.lower() for x in u.said if x.startswith("RCPT")][-2:]
            same(sorted(re.search("<(.*)>", x)[1] for x in taken),
                 sorted(rcpt("dies-" + s, x) for x in who))


@test
def stalled():
    """a domain that hangs for minutes does not delay another"""
    stop = threading.Event()
    with Upstream("stalled", on={"connect": lambda *_: stop.wait(60) and None
                                 }) as u:
        submit([(message("s%d" % n, b"x\r\n")[0], [rcpt("stalled", "u%d" % n)])
                for n in range(40)])
        until(lambda: u.connections, 10)
        began = time.monotonic()
        mark = D.log.mark()
        send("good", mid="beside")
        # P07: our verdict stands in smtpd's own line
        same(results(mark, "good", 10),
             ("Ok", "250 2.0.0 dane: mx1.good.alpha: taken"))
        assert time.monotonic() - began < 4, time.monotonic() - began
        same(len(waiting("stalled")), 40)
        stop.set()


@test
def moved():
    """with another range smtpd goes on at the old address, nobody else is
    there"""
    path, stop = D.dir + "/default.conf", threading.Event()
    with open(path) as f:
        good = f.read()
    mids = ["moved%d" % n for n in range(40)]
    with Upstream("stalled", on={
            "connect": lambda *_: stop.wait(60) and None,
            "mail": "451 4.3.0 later"}) as u, Other() as other:
        submit([(message(m, b"x\r\n")[0], [rcpt("stalled", m)])
                for m in mids])
        until(lambda: u.peers, 10)
        where, old = address("stalled"), relays()
        with open(path, "w") as f:
            f.write(good.replace("127.64.0.0/16", "127.80.0.0/16"))
        same(D.control("update", "table", "dv_default").returncode, 0)
        same(other.ways(*where), [])
        # refused ten times, smtpd quits, and comes back to where it was
        mark = D.log.mark()
        stop.set()
        assert D.log.wait("mta host-rejects-all-mails", 15, mark)
        u.on.clear()
        assert D.log.wait("mta connecting address=smtp.notls://%s:" %
                          re.escape(where[0]), 15, mark)
        same(other.ways(*where), [])
        until(lambda: not relays() & old, 20)
        same(other.ways(*where), [])
        end = time.monotonic() + 30
        while waiting("stalled") and time.monotonic() < end:
            schedule()                  # those that were refused
            time.sleep(1)
        got = [re.search(rb"Message-ID: <(\w+)@", m)[1].decode()
               for m in u.messages]
        same(sorted(m for m in got if m in mids), sorted(mids))
    with open(path, "w") as f:
        f.write(good)
    D.renew()


@test
def other_user_first():
    """with another user at 0.0.0.0 smtpd does not start, and says why"""
    D.stop()
    mark = D.log.mark()
    with Other() as other:
        same(other.bind("0.0.0.0", RELAY_PORT, ("SO_REUSEADDR",)), "")
        try:
            D.start()
            raise AssertionError("smtpd has started")
        except RuntimeError:
            D.stop()
    assert D.log.wait(r"not started: relay\.port: cannot listen on .* port "
                      r"10025: Address already in use: another program "
                      r"listens", 5, mark)
    D.start()


@test
def backup():
    """`backup` on the action: smtpd refuses to start, as the manual says"""
    for extra in ("", " backup", " backup mx mx1.lab.alpha"):
        path = D.write_config(re.sub(r"( relay domain <\w+>)", r"\1" + extra,
                                     D.config()))
        p = subprocess.run([opensmtpd.SMTPD, "-n", "-f", path], text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        same(("mutually exclusive" in p.stdout, p.returncode != 0),
             (extra != "", extra != ""), p.stdout)
    D.write_config()


@test
def strangers():
    """only smtpd's user may use the relay"""
    send("good", mid="first")
    where = address("good")
    for uid in (0, 65534, 12345):
        with connect(where, uid) as s:
            with contextlib.suppress(ConnectionResetError):
                said = s.recv(1000)
                assert not said or said.startswith(b"421 "), said
                same(s.recv(1000), b"")
    with connect(where, smtpd_uid()) as s:
        said = s.recv(1000)
        assert said.startswith(b"220 "), said


def smtpd_uid():
    return opensmtpd.pwd.getpwnam("opensmtpd").pw_uid


def connect(where, uid):
    with play.ROOT:
        os.seteuid(uid)
        try:
            s = socket.socket()
        finally:
            os.seteuid(0)
    s.settimeout(20)
    s.connect(where)
    return s


@test
def parallel():
    """500 sessions at a time, all in DATA at once, all arrive"""
    names = BULK[:10]
    for ident in names:
        send(ident, mid=ident + "-warm")
    warm = [ident + "-warm" for ident in names]
    until(lambda: len(arrived(names, warm)) == len(warm), 20)
    where = {i: address(i) for i in names}
    idents = [i for i in names for _ in range(50)]
    clients = [connect(where[i], smtpd_uid()) for i in idents]
    same(len(clients), 500)

    def everyone(make, code):
        """Each says its line; each is answered."""
        poll = selectors.DefaultSelector()
        for n, s in enumerate(clients):
            if make:
                s.sendall(make(n))
            poll.register(s, selectors.EVENT_READ, [n, b""])
        end = time.monotonic() + 60
        while poll.get_map():
            assert time.monotonic() < end, len(poll.get_map())
            for key, _ in poll.select(1):
                got = key.fileobj.recv(4096)
                assert got, "closed"
                key.data[1] += got
                last = key.data[1].splitlines()[-1]
                if key.data[1].endswith(b"\r\n") and last[3:4] != b"-":
                    assert last.startswith(code), last
                    poll.unregister(key.fileobj)

    everyone(None, b"220")
    everyone(lambda n: b"EHLO lab.alpha\r\n", b"250")
    everyone(lambda n: b"MAIL FROM:<p@lab.alpha>\r\n", b"250")
    everyone(lambda n: b"RCPT TO:<%s>\r\n" % rcpt(idents[n]).encode(), b"250")
    everyone(lambda n: b"DATA\r\n", b"354")
    rss = memory()
    everyone(lambda n: b"Message-ID: <p%d@lab>\r\n\r\nhi\r\n.\r\n" % n,
             b"250")
    for s in clients:
        s.close()
    mids = ["p%d" % n for n in range(500)]
    same(arrived(names, mids), collections.Counter(mids))
    print("# 500 sessions in DATA: %.1f MiB resident, %.0f KiB each" % (
        rss / 1048576, rss / 1024 / 500))


@test
def update():
    """an update starts a new relay, and a wrong file changes nothing"""
    path = D.dir + "/default.conf"
    with open(path) as f:
        good = f.read()
    old = relays()
    with open(path, "w") as f:
        f.write(good + "nonsense = 1;\n")
    mark = D.log.mark()
    same(D.control("update", "table", "dv_default").returncode, 1)
    assert D.log.wait("the old configuration stays: .*nonsense", 10, mark)
    same(relays(), old)
    send("good", mid="after-wrong")
    until(lambda: arrived(["good"], ["after-wrong"]), 10)
    with open(path, "w") as f:
        f.write(good)
    D.renew()
    assert relays() and not relays() & old, (relays(), old)
    send("good", mid="after-update")
    until(lambda: arrived(["good"], ["after-update"]), 10)


@test
def relay_killed():
    """SIGKILL in the middle of deliveries: smtpd lives, the mail arrives"""
    before, parent = smtpd_ids(), tables()
    mids, kills, mark = [], 0, D.log.mark()
    for burst in range(3):
        # fresh domains: smtpd waits with those whose sessions broke off
        more = ["%s-k%02d" % (BULK[burst * 16 + n % 16], n)
                for n in range(100)]
        rows = [(message(m, b"kill\r\n" * 200)[0], [rcpt(m[:6], m)])
                for m in more]
        mids += more
        seen = sum(arrived(BULK, mids).values())
        t = threading.Thread(target=submit, args=(rows,))
        t.start()
        until(lambda: sum(arrived(BULK, mids).values())
              >= seen + 20, 30)                              # noqa: B023
        for pid in until(relays):
            os.kill(pid, signal.SIGKILL)
            kills += 1
        until(relays, 10)
        t.join()
    end = time.monotonic() + 60
    while waiting_any(mids) and time.monotonic() < end:
        schedule()
        time.sleep(1)
    same(waiting_any(mids), 0)
    got = arrived(BULK, mids)
    same(sorted(got), sorted(mids))
    # twice only if killed between the final dot and its reply: then smtpd saw
    # the session break off (RFC 5321 6.1)
    broken = collections.Counter(
        m[1] for m in map(re.compile(
            r' to=<([^@]*)@.* result="TempFail" stat="(Connection closed|IO '
            r'Error|Network error)').search, D.log.since(mark)) if m)
    print("# relay killed %d times: %d attempts broken off, %d messages "
          "twice" % (kills, sum(broken.values()),
                     sum(got.values()) - len(mids)))
    assert broken, "nothing was under way"
    for mid, n in got.items():
        assert n - 1 <= broken[mid], (mid, n, broken[mid])
    same((smtpd_ids(), tables()), (before, parent))


def waiting_any(mids):
    hosts = {domain(m[:6]) for m in mids}
    return sum(r.partition("@")[2] in hosts for r, _ in D.queue())


@test
def stopped():
    """smtpd stopped leaves no process and no socket"""
    assert smtpd_ids() and tables() and relays()
    where = address("good")
    socket.create_connection(where, 5).close()
    D.stop()
    until(lambda: not (smtpd_ids() | tables() | relays()), 10)
    try:
        socket.create_connection(where, 5).close()
        raise AssertionError("somebody listens")
    except ConnectionRefusedError:
        pass
    with open("/proc/net/tcp") as f:
        same([x for x in f if x.split()[1].endswith(":%04X" % RELAY_PORT)
              and x.split()[3] == "0A"], [])
    D.start()


@test
def killed():
    """smtpd killed with SIGKILL leaves nothing either"""
    for pid in smtpd_ids():
        os.kill(pid, signal.SIGKILL)
    D.stop()
    until(lambda: not (tables() | relays()), 10)
    D.start()


@test
def example():
    """examples/opensmtpd/smtpd.conf refuses strangers, and delivers"""
    with open(EXAMPLE) as f:
        text = f.read()
    for old, new in (
            ("/etc/danevirke.conf", D.dir + "/default.conf"),
            ("file:/etc/aliases", "file:%s/aliases" % D.dir),
            ("listen on localhost\n",
             "listen on 127.0.0.1 port %d\nlisten on %s port %d\n" % (
                 opensmtpd.PORT, FOREIGN, opensmtpd.PORT))):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    with open(D.dir + "/aliases", "w") as f:
        f.write("postmaster: root\n")
    D.stop()
    D.start(text)
    with contextlib.closing(smtplib.SMTP()) as c:
        c.source_address = ("198.18.250.2", 0)
        c.connect(FOREIGN, opensmtpd.PORT)
        c.ehlo("stranger")
        c.mail("x@stranger.example")
        same(c.rcpt(rcpt("good"))[0], 550)
        same(c.rcpt("user@elsewhere.example")[0], 550)
    send("good", mid="example")
    until(lambda: arrived(["good"], ["example"]), 10)
    D.stop()
    D.start()


@test
def never():
    """no host that DANE forbids got an envelope, no host a password"""
    send("password", mid="password")
    until(lambda: arrived(["password"], ["password"]), 10)
    mails = 0
    for r in W.records():
        same(r["auth"], [], r["host"])
        assert r["scenario"] not in ("wrong", "nostarttls") or (
            r["what"] in ("connect", "close") and r["from"] is None), r
        if r["what"] in ("mail", "message"):
            mails += 1
            assert r["tls"], "in the clear: %r" % r
    assert mails > 2000, mails


@test
def control():
    """with plain `relay` in place of the table, the same checks fail"""
    D.stop()
    # smtpd looks for IPv4 addresses only if it has one itself
    subprocess.run(["ip", "addr", "add", "198.19.255.1/32", "dev", "lo"],
                   check=True)
    with open("/etc/resolv.conf", "w") as f:
        f.write("nameserver %s\n" % world.LEAF)
    text = re.sub(r"relay domain <\w+>", "relay", D.config())
    text = re.sub(r"^table dv_.*$", "", text, flags=re.M)
    assert "danevirke" not in text
    D.start(text)
    for ident in ("wrong", "nostarttls"):
        s = W.scenarios[ident]
        mark = D.log.mark()
        send(ident, mid="control")
        same(results(mark, ident)[0], "Ok")
        wrong = scenario.judge(
            s, "opensmtpd", scenario.Outcome("delivered"),
            W.records(ident), set())
        text = "; ".join(wrong)
        assert "a message arrived at mx1" in text, text
        assert "MTA says delivered, want deferred" in text, text
        assert "hostile mx1 got an envelope" in text, text
    for check in (never, refused_mail):
        try:
            check()
        except AssertionError:
            continue
        raise AssertionError("%s did not fail" % check.__name__)


# ---------------------------------------------------------------------- main

def inside(patterns):
    global W, D
    W = play.WORLD = world.attach()
    D = Driver(W)
    subprocess.run(["ip", "addr", "add", "fd00:18::99/128", "dev", "lo"],
                   check=False)
    passed = failed = 0
    D.setup()
    for f in TESTS:
        if patterns and not any(fnmatch.fnmatch(f.__name__, p)
                                for p in patterns):
            continue
        mark, began = D.log.mark(), time.monotonic()
        says = " ".join(f.__doc__.split())
        try:
            if D.smtpd is None or D.smtpd.poll() is not None:
                D.stop()
                D.start()
            f()
            passed += 1
            print("ok - %s: %s (%.1f s)" % (f.__name__, says,
                                            time.monotonic() - began))
        except Exception:
            failed += 1
            print("FAIL - %s: %s" % (f.__name__, says))
            rows = [x for x in D.log.since(mark) if " session 0x" not in x]
            for line in traceback.format_exc().splitlines()[-14:] + rows[-25:]:
                print("    " + line[:300])
        sys.stdout.flush()
    try:
        D.stop()                # as the last test left it
        D.start()
        D.teardown()
    except RuntimeError as e:
        failed += 1
        print("FAIL - teardown: %s" % e)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


def table():
    """full.conf and the many domains of one kind."""
    with open(HERE + "/full.conf") as f:
        text = f.read()
    for ident in BULK:
        text += ("\nscenario %s T01\n\tsays one of many that get mail\n"
                 "\thost mx1\n\tmx 10 mx1\n"
                 "\ttlsa mx1 3 1 1 good\n\texpect dane@mx1\n" % ident)
    for ident in DIES:
        text += ("\nscenario %s T01\n\tsays one of many whose host is down\n"
                 "\thost mx1 down\n\tmx 10 mx1\n"
                 "\ttlsa mx1 3 1 1 good\n\texpect dane@mx1\n" % ident)
    return text


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", metavar="DIR", required=True)
    p.add_argument("patterns", nargs="*", metavar="PATTERN")
    a = p.parse_args()
    if INSIDE in os.environ:
        return inside(a.patterns)
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        f.write(table())
        f.flush()
        return subprocess.run(
            [LAB + "/run", "--build", a.build, "--scenarios", f.name,
             "--world", "--", sys.executable, "-B", os.path.realpath(__file__),
             "--build", a.build, *a.patterns],
            env=dict(os.environ, **{INSIDE: "1"})).returncode


if __name__ == "__main__":
    sys.exit(main())

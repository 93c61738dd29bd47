#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""Exim as exim4-daemon-light builds it, with examples/exim/relay and
danevirked.  Each test has an Exim with a configuration, spool and log of its
own, several at a time.

    tests/servers/light.py --build DIR [PATTERN...]
"""

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import common
from common import MAP, FakeMap, until
import exim
import mta
import relay
import suite
from suite import add, case, want

ROUTERS = """
.include %(examples)s/danevirked-routers

# what must never get a message: it would arrive
next:
  driver = manualroute
  transport = next
  route_data = ${lookup{$domain}lsearch{%(dir)s/plain}{<;$value}fail}
"""
TRANSPORTS = """
.include %(examples)s/danevirked-transports
next:
  driver = smtp
"""
RETRY = """
.include %(examples)s/danevirked-retry
* * F,2h,15m
"""

class Box(suite.Box):
    """An Exim of its own."""

    def __init__(self, house, socket=MAP):
        self.socket = socket
        super().__init__(house.world)

    def config(self):
        given = {"user": exim.USER, "dir": self.dir,
                 "examples": exim.EXAMPLES}
        return "\n".join([
            exim.MAIN % given, "domainlist local_domains = lab.alpha",
            "DANEVIRKED_SOCKET = " + self.socket,
            "begin routers", ROUTERS % given,
            "begin transports", TRANSPORTS % given,
            "begin retry", RETRY % given]) + "\n"

    def took(self, name):
        """The messages of this box that the domain's hosts took."""
        return [r for r in self.sessions(name) if r["what"] == "message"]

    def seen(self, *names):
        """What SMTP servers saw of this box, beyond a connection."""
        return [r for n in names for r in self.sessions(n, envelope=True)]


# ------------------------------------------------------ what becomes of a mail

def kind(house, name):
    """What Exim says became of a message to one of the domains."""
    box = Box(house).start()
    sent = box.send(name)
    house.judge(name, sent.result(name), str(sent), box.took(name),
                box.leaks())


for name in ("good", "second", "wrong", "stripped", "bogus", "plain", "clear",
             "nullmx", "nosuch", "loop", "down", "reject", "later",
             "literal"):
    add("one message: " + name, kind, name)


@case("one message to domains of many kinds (S06)")
def many(house):
    box = Box(house).start()
    sent = box.send("good", "good2", "wrong", "nullmx", "clear")
    same = {n: sent.result(n) for n in sent.domains}
    want(same == {"good": "delivered", "good2": "delivered",
                  "wrong": "deferred", "nullmx": "bounced",
                  "clear": "delivered"}, sent)
    # each by itself: one domain in a transaction
    for n in ("good", "good2", "clear"):
        rows = box.took(n)
        want([r["rcpts"] for r in rows] == [["user@%s.alpha" % n]], rows)
    want(not box.leaks(), sent)


# -------------------------------------------------------------- fails closed

def waits(house, text, prepare, *names):
    """A message to each of these waits, and text is in the log."""
    path = "/run/danevirked/" + re.sub(r"\W", "-", text)[:20] + str(
        id(prepare))
    box = Box(house, path).edit(r"^DANEVIRKED_WAIT = 10s", "DANEVIRKED_WAIT = "
                                "1s").main("deliver_drop_privilege = true")
    box.start()
    end = prepare(path)
    try:
        names = names or ("good", "plain", "clear", "stripped")
        sent = box.send(*names)
        want(sent.kept(*names), sent)
        want(not box.seen(*names), sent)
        want(suite.found(text, sent.log), "no /%s/\n%s" % (text, sent))
        want(" R=next " not in sent.log, sent)
    finally:
        end()


def nothing(path):
    return lambda: None


def answers(octets, mode=0o666):
    return lambda path: FakeMap(path, octets, mode).close


def stale(path):
    """A socket that nobody listens at."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(path)
    os.chmod(path, 0o666)
    s.close()
    return lambda: os.unlink(path)


def no_socket(path):
    with open(path, "w") as f:
        f.write("OK 127.64.0.1::10025\n")
    return lambda: os.unlink(path)


def full(path):
    """Nobody accepts, and the queue is full: connecting takes for ever."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.bind(path)
    os.chmod(path, 0o666)
    s.listen(0)
    c = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    c.connect(path)
    return lambda: (c.close(), s.close(), os.unlink(path))


FAILED = "danevirked_ask router: "
ODD = r"defer( \(-1\))?.*: danevirked: "
for what, how, text in (
        ("not there", nothing, FAILED + "failed to connect .*No such file"),
        ("nobody listens", stale, FAILED + "failed to connect .*refused"),
        ("no socket", no_socket, FAILED + "failed to connect .*denied"),
        ("no permission", answers(b"OK 127.64.0.1::10025\n", 0),
         FAILED + "failed to connect .*Permission denied"),
        ("its queue is full", full, FAILED + "(failed to connect|.*timed)"),
        ("silent", answers(None), FAILED + "socket read timed out"),
        ("closes", answers(b""), ODD + "$"),
        ("an empty line", answers(b"\n"), ODD),
        ("TEMP", answers(b"TEMP no address is free\n"),
         ODD + "TEMP no address is free"),
        ("PERM", answers(b"PERM not a domain\n"), ODD + "PERM not a domain"),
        ("NOTFOUND", answers(b"NOTFOUND \n"), ODD + "NOTFOUND"),
        ("OK and nothing", answers(b"OK \n"), ODD + "OK"),
        ("cut off", answers(b"OK 127.64.0.1::1002"), ODD + "OK 127"),
        ("two lines", answers(b"OK 127.64.0.1::10025\nOK"), ODD + "OK 127"),
        ("a host's name", answers(b"OK mx1.stripped.alpha::25\n"),
         ODD + "OK mx1"),
        ("another address", answers(b"OK 198.18.1.1::25\n"), ODD + "OK 198"),
        ("no port", answers(b"OK 127.64.0.1\n"), ODD + "OK 127"),
        ("garbage", answers(b"\0\xff:fail: :blackhole:\n" * 9), ODD)):
    add("the map: %s (P03)" % what, waits, text, how)
add("the map: an address where nobody listens (P03)", waits,
    r"defer \((111\): )?Connection refused", answers(b"OK 127.64.0.1::10025\n"))


@case("the relay refuses another user: the message waits (P03)")
def other_user(house):
    # the transport's user, in the place of Exim's own
    box = Box(house).edit(r"^  interface = 127.0.0.1",
                          "  interface = 127.0.0.1\n  user = nobody").start()
    sent = box.send("good")
    want(sent.kept("good") and " 421 4.7.1 " in sent.log, sent)
    want(not box.seen("good"), sent)


@case("an address that is another domain's by now: the message waits (S06)")
def reused(house):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as c:
        c.connect(MAP)
        c.sendall(b"good2.alpha\n")
        answer = c.recv(100)
    path = "/run/danevirked/reused"
    fake = FakeMap(path, answer)
    box = Box(house, path).start()
    sent = box.send("good", "wrong")
    fake.close()
    want(sent.kept("good", "wrong"), sent)
    want(suite.found("after RCPT TO:<user@good.alpha>: 451 ", sent.log), sent)
    want(not any(r["rcpts"] for r in box.sessions()), sent)


@case("control: a message that the next router gets would be seen")
def control(house):
    box = Box(house).edit(r"^  domains = DANEVIRKED_DOMAINS",
                          "  domains = none.example", 2).start()
    sent = box.send("stripped")
    want(sent.result("stripped") == "delivered", sent)
    want(box.leaks("stripped") and " R=next " in sent.log, sent)


# ------------------------------------------------------- the rest of Exim's

@case("exim -bt, -bv, -bvs: a sender takes no address unless asked for")
def verify(house):
    box = Box(house).start()
    mark = house.log.mark()
    said = box.run("-bt", "user@good.alpha").stdout
    want(re.search(r"router = danevirked_route, transport = danevirked_smtp\n"
                   r"\s+host 127\.64\.\S+ +\[127\.64\.\S+\]\s+port=10025",
                   said), said)
    said = box.run("-bv", "user@good2.alpha").stdout
    want("verified" in said, said)
    said = box.run("-bvs", "user@stranger.alpha").stdout
    want("verified" in said and not house.aliased("stranger", mark), said)
    box.edit(r"^DANEVIRKED_VERIFY_SENDER = false",
             "DANEVIRKED_VERIFY_SENDER = true").start()
    said = box.run("-bvs", "user@stranger.alpha").stdout
    want("verified" in said and house.aliased("stranger", mark), said)


@case("callouts go by way of the relay, and are judged (S08)")
def callout(house):
    box = Box(house).main("acl_smtp_rcpt = rcpt").edit(
        "^begin routers", "begin acl\nrcpt:\n  require verify = recipient/"
        "callout=30s\n  accept\nbegin routers").start()
    names = ("good", "reject", "wrong", "stripped", "nullmx")
    said = box.run("-bs", input="EHLO me\nMAIL FROM:<me@lab.alpha>\n%sQUIT\n"
                   % "".join("RCPT TO:<user@%s.alpha>\n" % n
                             for n in names)).stdout
    replies = re.findall(r"^(\d\d\d) ", said, re.M)
    # banner, EHLO, MAIL, the recipients
    want(replies[2:8] == ["250", "250", "550", "451", "451", "550"], said)
    want(not box.leaks(), said)
    want(not any(map(box.took, names)), said)


@case("queue runs: what waited for danevirked goes when it is there")
def queue(house):
    path = "/run/danevirked/late"
    box = Box(house, path).start()
    sent = box.send("good", "wrong")
    want(sent.kept("good", "wrong"), sent)
    os.symlink(MAP, path)
    box.run("-q")
    want(box.queue() and not box.seen("good"), "not before its time")
    box.run("-qff")
    box.settle()
    again = suite.Sent(box, sent.domains, 0, "")
    want(again.result("good") == "delivered"
         and again.result("wrong") == "deferred", again)
    rows = box.took("good")
    want(len(rows) == 1 and rows[0]["tls"] and not box.leaks(), again)


def retry(house, address):
    path = "/run/danevirked/" + address
    fake = FakeMap(path, b"OK %s::10025\n" % address.encode())
    box = Box(house, path).start()
    sent = box.send("good")
    fake.close()
    want(sent.kept("good"), sent)
    said = subprocess.run(
        ["exim_dumpdb", box.dir + "/spool", "retry"], text=True,
        stdout=subprocess.PIPE, timeout=60).stdout
    m = re.search(r"(?m)^ *T:\S*%s\S*:10025\S* .*\n\S+ \S+ +\S+ (\S+) +\S+ (\S+)"
                  % re.escape(address), said)
    want(m, said + str(sent))
    first, second = (sum(int(x) * 60 ** n for n, x in enumerate(
        reversed(t.split(":")))) for t in m.groups())
    want((second - first) % 86400 == 60, said)


CLOSES = "127.99.0.2"
add("an address that refuses is tried again after a minute", retry,
    "127.99.0.1")
add("an address that closes is tried again after a minute", retry, CLOSES)


def closes():
    s = socket.create_server((CLOSES, 10025))
    while True:
        s.accept()[0].close()


# ------------------------------------------------------------------- killed

BODY = "\n" + "killed in the midst of this\n" * 20000
BATCH, PARALLEL = 20, 6


def fire(house, number, victim):
    """Kills the relay, or all of danevirked, while messages are under way."""
    path = "/run/danevirked/fire%d" % number
    daemon = house.another(number, path)
    box = Box(house, path).start()
    over, kills, ids = threading.Event(), [], []

    def kill():
        while not over.wait(random.uniform(0.05, 0.2)):
            for pid in ({daemon.process.pid} if victim == "danevirked"
                        else daemon.children()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills.append(pid)
            if victim == "danevirked":
                daemon.process.wait()
                daemon.start()

    def inject(ident):
        name = "wrong" if ident.endswith("0") else "good"
        s = house.world.scenarios[name]
        r = box.run("-odf", "-oi", "-f", mta.SENDER, mta.recipient(s),
                    input=mta.message(s, ident) + BODY)
        want(r.returncode == 0, r.stdout)

    killer = threading.Thread(target=kill)
    killer.start()
    with ThreadPoolExecutor(PARALLEL) as pool:
        # the fourth relay comes after some seconds
        while len(ids) < 20 * BATCH and len(kills) < 4:
            more = ["%s-%d" % (victim, len(ids) + n) for n in range(BATCH)]
            ids += more
            list(pool.map(inject, more))
    over.set()
    killer.join()
    want(len(kills) > 3, "only %d were killed" % len(kills))
    want(re.search(r" == user@good\.alpha .*T=danevirked_smtp", box.logged()),
         "no message was under way")
    good = [i for i in ids if not i.endswith("0")]

    def gone():
        box.run("-qff", timeout=120)
        box.settle()
        return not any("@good." in x for x in box.queue())
    want(until(gone, 90), box.logged()[-4000:])
    daemon.stop()
    rows = box.took("good")
    came = Counter(r["id"].strip("<>").partition("@")[0] for r in rows)
    want(set(came) == set(good), "lost: %s" % sorted(set(good) - set(came)))
    # twice only if killed between the other host's answer and ours
    want(sum(came.values()) - len(good) <= PARALLEL * len(kills), came)
    want(all(r["tls"] and r["size"] > len(BODY) for r in rows), rows)
    want(not box.leaks() and not box.seen("wrong"), box.leaks())
    want(len([x for x in box.queue() if "@wrong." in x]) ==
         len(ids) - len(good), box.queue())


add("the relay killed again and again: nothing is lost, or leaks (P03)", fire,
    70, "danevirke-relay")
add("danevirked killed again and again: nothing is lost, or leaks (P03)", fire,
    71, "danevirked")


def start(house):
    threading.Thread(target=closes, daemon=True).start()
    relay.bind_light()
    said = Box(house).start().run("-bV").stdout
    want("Expand_dlfunc" not in said, said)
    return lambda: None


if __name__ == "__main__":
    sys.exit(common.main(__file__, start, (exim.USER,), jobs=6))

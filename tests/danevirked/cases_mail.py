# SPDX-License-Identifier: ISC
"""danevirked, with mail under way."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import daemon
import metrics
import play
from daemon import Daemon, once
from play import (LOG, Upstream, client, domain, has, processes, records, same,
                  test, until)

MAP = "/mnt/t/d/map"            # /run is not the lab's
MORE = 'danevirked: { socket = "%s"; };\n' % MAP


def conf(**more):
    values = {"sessions": 100, "per_domain": 20, "idle": 20, "more": ""}
    return play.WORLD.config_text(more=play.RELAY % {**values, **more} + MORE)


def start(world):
    play.open_stage(world)
    daemon.LOG = LOG


def stop():
    with open("/mnt/t/stderr", errors="replace") as f:
        return f.read()


def run(env=None, **more):
    while daemon.TABLES:                # what a failed test has left
        daemon.TABLES.pop().stop()
    # valgrind knows no process that shares its descriptors only
    return Daemon(conf(**more), where=MAP, env=env, wrap=[
        x for x in play.WRAP if x != "--trace-children=yes"])


def keepers():
    return [p for p, (_, name) in processes().items()
            if name == "danevirke-last"]


def hears_last(c, *lines):
    """421 to each of these, and then the end."""
    said = c.sock.makefile("rb")
    for line in lines:
        c.sock.sendall(line + b"\r\n")
        has(said.readline().decode(), r"^421 4\.3\.2 [ -~]+\r\n$")
    rest = said.read().splitlines(True)
    assert all(x.startswith(b"421 4.3.2 ") for x in rest), rest
    same(len(rest) + len(lines), 110)


@contextlib.contextmanager
def clients_of_one_that_ends(d, u):
    """Of each kind one.  Whatever becomes of the daemon inside: they hear
    421, no message arrives, and no process is left."""
    with client("tls", table=d) as idle, client("tls", table=d) as rcpt, \
            client("tls", table=d) as pipelined, \
            client("tls", table=d) as data:
        for c in (idle, rcpt, pipelined, data):
            c.ehlo()
        for c in (rcpt, pipelined):
            c.cmd("MAIL FROM:<me@lab.alpha>", 250)
            c.cmd("RCPT TO:<user@%s>" % c.domain, 250)
        data.begin()
        data.sock.sendall(b"half\r\n")
        time.sleep(0.2)
        same(u.errors, [])
        yield
        until(lambda: len(u.errors) == 4)
        mail = [b"MAIL FROM:<me@lab.alpha>", b"RCPT TO:<user@tls.alpha>"]
        hears_last(idle, *mail, b"DATA", b"RSET", b"QUIT")
        hears_last(rcpt, b"DATA", b"QUIT")
        pipelined.sock.sendall(b"\r\n".join(mail[1:] * 100 + [b"DATA", b""]))
        hears_last(pipelined)
        # much more than there is room for
        for _ in range(100):
            data.sock.sendall((b"x" * 70 + b"\r\n") * 1000)
        hears_last(data, b".")
        same(len(keepers()) > 0, True)
    until(lambda: len(keepers()) == len(d.relays()))
    same(u.messages, [])


@test
def kinds():
    """what each kind of domain gets, by the address that the map gives"""
    d = run()
    for ident, answer in (("good", "250"), ("plain", "250"),
                          ("wrong", r"451 4\.7\.5 .*TLSA"),
                          ("nullmx", "556 5.1.10 ")):
        with client(ident, table=d) as c:
            c.ehlo()
            has(c.cmd("MAIL FROM:<me@lab.alpha>"), "^" + answer)
            if answer == "250":
                c.cmd("RCPT TO:<user@%s>" % c.domain, 250)
                # S06: a recipient of another domain is not this address's
                c.cmd("RCPT TO:<user@%s>" % domain("wrong"), 451)
                c.cmd("DATA", 354)
                c.finish(b"x\r\n", 250)
    same(len(records("good")), 1)
    same(d.end(), 0)


@test
def killed():
    """the relay killed in mid-message: its clients hear 421 to all they say,
    no message arrives, and the next relay serves"""
    d = run()
    with Upstream("tls") as u:
        with clients_of_one_that_ends(d, u):
            old = d.relay()
            os.kill(old, signal.SIGKILL)
            d.relay(other_than=[old])
            with client("tls", table=d) as c:
                c.ehlo()
        with client("tls", table=d) as c:
            c.ehlo()
            c.message(b"whole\r\n")
        same(u.messages, [b"whole\r\n"])
    same(d.end(), 0)
    until(lambda: not keepers())


@test
def hangup():
    """a new configuration: old sessions go on, and the map answers"""
    d = run()
    with Upstream("tls") as u, client("tls", table=d) as c:
        c.ehlo()
        c.message(b"1\r\n")
        old = d.relay()
        d.update(conf(idle=19))
        with client("tls", table=d) as other:
            other.ehlo()
            other.message(b"2\r\n")
            other.quit()
        c.message(b"3\r\n")
        assert old in d.relays()
        c.quit()
        until(lambda: old not in d.relays(), 10)
        same(u.messages, [b"1\r\n", b"2\r\n", b"3\r\n"])
    same(d.end(), 0)


@test
def ends():
    """SIGTERM in mid-message: the message gets through, the map is gone
    at once, who connects later gets nothing, and all ends"""
    d = run()
    with Upstream("tls") as u, client("tls", table=d) as c:
        c.ehlo()
        c.begin()
        c.sock.sendall(b"half\r\n")
        addr = d.address(c.domain)
        d.signal(signal.SIGTERM)
        until(lambda: not os.path.exists(MAP))
        time.sleep(0.5)
        same(d.process.poll(), None)
        c.finish(b"and the rest\r\n", 250)
        c.quit()
        same(d.gone(15), 0)
        same(u.messages, [b"half\r\nand the rest\r\n"])
    until(lambda: not keepers())
    try:
        with daemon.Client(addr) as late:
            raise AssertionError(late.sock.recv(100))
    except ConnectionRefusedError:
        pass


@test
def gives_up():
    """SIGTERM, and a second one: messages that are under way are not
    accepted, and nothing is left"""
    d = run()
    with Upstream("tls") as u:
        with clients_of_one_that_ends(d, u):
            pids = d.relays()
            d.signal(signal.SIGTERM)
            until(lambda: not os.path.exists(MAP))
            d.signal(signal.SIGTERM)
            same(d.gone(3), 0)
            until(lambda: not set(pids) & set(processes()))


@test
def parent_killed():
    """the daemon killed in mid-message: its relay goes, its clients hear 421,
    and the next daemon serves"""
    d = run()
    with Upstream("tls") as u:
        with clients_of_one_that_ends(d, u):
            d.process.kill()
            d.process.wait()
        d.stop()
        d = run()
        with client("tls", table=d) as c:
            c.ehlo()
            c.message(b"whole\r\n")
        same(u.messages, [b"whole\r\n"])
    has(once(b"danevirke example.org\n", where=MAP).decode(),
        r"^OK \[127\.64\.\d+\.\d+\]:10025\n")
    same(d.end(), 0)


@test
def stays():
    """the relay killed: a client that does not go is waited for six minutes"""
    d = run(env=play.clock())

    def alone():
        return [p for p, (parent, name) in processes().items()
                if name == "danevirke-last" and parent not in d.relays()]

    def listens():
        for pid in alone():                     # once the relay is reaped
            with open("/proc/%d/wchan" % pid) as f:
                return "epoll" in f.read()
        return False

    with client("tls", table=d) as c:
        c.ehlo()
        os.kill(d.relay(), signal.SIGKILL)
        hears_last(c)
        until(listens)
        play.jump(300)
        c.sock.sendall(b"NOOP\r\n")            # and it looks at its clock
        time.sleep(0.5)
        same(len(alone()), 1)
        play.jump(60)
        c.sock.sendall(b"NOOP\r\n")
        until(lambda: not alone())
    same(d.end(), 0)


def counted(mark):
    """What danevirke count makes of the log since then."""
    log = "".join(re.sub(r"^<\d+>(\w+ +\d+ \S+) ", r"\1 mx ", x) + "\n"
                  for x in LOG.since(mark))
    p = subprocess.run(["/mnt/danevirke/bin/danevirke", "count", "--json"],
                       input=log, capture_output=True, text=True, timeout=60)
    same((p.returncode, p.stderr), (0, ""))
    return json.loads(p.stdout)["servers"]["danevirked"]


@test
def counts():
    """relay.metrics has what was done, as the log does, over a relay that dies
    and a new configuration"""
    path = metrics.place("d.prom")
    began, mark = int(time.time()), LOG.mark()
    d = run(more='metrics = "%s";' % path)
    want = {"sessions": 0, "sessions_total": 6, "deaths_total": 0,
            "messages_total,taken": 3, "octets_total": 3 * 6,
            "verdicts_total,dane": 2, "verdicts_total,opportunistic-tls": 1,
            "verdicts_total,deferred": 2, "verdicts_total,bounced": 1,
            "failures_total,certificate": 1, "failures_total,starttls": 1,
            "strangers_total,relay": 1, "strangers_total,map": 1}
    for ident in ("good", "good", "plain", "wrong", "nostarttls", "nullmx"):
        with client(ident, table=d) as c:
            c.ehlo()
            if ident in ("good", "plain"):
                c.begin()
                c.finish(b"x\r\n", 250)
            else:
                c.cmd("MAIL FROM:<me@lab.alpha>")
            if ident == "plain":
                metrics.wait(path, {"sessions": 1})
    for where in (d.address(domain("good")), MAP):
        with daemon.Client(where, uid=5) as c:
            c.rest()
    n = metrics.wait(path, want)
    assert began <= n["start_timestamp_seconds"] <= time.time()
    assert began <= n["written_timestamp_seconds"] <= time.time() + 1
    same(sum(v for k, v in n.items() if k.startswith("failures")), 2)
    named, known = metrics.examples(), {k.split(",")[0] for k in n}
    assert len(named) > 5 and named <= known, named - known
    log = counted(mark)
    for word, times in log["verdicts"].items():
        same(times, n["verdicts_total," + word], word)
    # what a relay has counted stays when it dies, and when it is replaced
    old = d.relay()
    os.kill(old, signal.SIGKILL)
    d.relay(other_than=[old])
    want["deaths_total"] = 1
    metrics.wait(path, want)
    with client("good", table=d) as c:
        c.ehlo()
        c.message(b"x\r\n")
        other = path.replace("d.prom", "e.prom")
        d.update(conf(more='metrics = "%s";' % other))
        want.update({"verdicts_total,dane": 3, "sessions_total": 7,
                     "sessions": 1, "messages_total,taken": 4,
                     "octets_total": 4 * 6})
        metrics.wait(other, want)
    metrics.wait(other, {**want, "sessions": 0})
    same(os.listdir(os.path.dirname(path)), ["e.prom"])
    same(d.end(), 0)

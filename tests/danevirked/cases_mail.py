# SPDX-License-Identifier: ISC
"""danevirked, with mail under way."""

import os
import signal
import time

import daemon
import play
from daemon import Daemon, once
from play import (LOG, Upstream, client, domain, has, kill_under_fire,
                  processes, records, same, test, until)

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


def run(**more):
    while daemon.TABLES:                # what a failed test has left
        daemon.TABLES.pop().stop()
    return Daemon(conf(**more), where=MAP, wrap=play.WRAP)


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
    """the relay killed in mid-message: a close, and no message"""
    d = run()
    kill_under_fire(d, d.relay())
    same(d.end(), 0)


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
    try:
        with daemon.Client(addr) as late:
            raise AssertionError(late.sock.recv(100))
    except ConnectionRefusedError:
        pass


@test
def gives_up():
    """SIGTERM, and a second one: a message that is under way is not
    accepted, and nothing is left"""
    d = run()
    with Upstream("tls") as u, client("tls", table=d) as c:
        c.ehlo()
        c.begin()
        c.sock.sendall(b"half\r\n")
        time.sleep(0.2)
        pids = d.relays()
        d.signal(signal.SIGTERM)
        time.sleep(0.3)
        d.signal(signal.SIGTERM)
        same(d.gone(3), 0)
        same(c.sock.recv(100), b"")
        until(lambda: not set(pids) & set(processes()))
        same(u.messages, [])


@test
def parent_killed():
    """the daemon killed in mid-message: its relay goes, and the next
    daemon serves"""
    def again(d):
        d.stop()
        return run()
    d = run()
    d = kill_under_fire(d, d.process.pid, again)
    has(once(b"danevirke example.org\n", where=MAP).decode(),
        r"^OK \[127\.64\.\d+\.\d+\]:10025\n")
    same(d.end(), 0)

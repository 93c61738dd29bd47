# SPDX-License-Identifier: ISC
"""The relay: its limits, times, children and rights."""

import contextlib
import os
import re
import select
import signal
import subprocess
import time

import metrics
import play
from play import (LOG, UID, Table, Upstream, client, has, kill_under_fire,
                  processes, records, same, status, test, until)


@test
def timeouts():
    """an upstream that is silent is a temporary failure, in time"""
    silent = lambda _u, _c: time.sleep(8)   # noqa: E731
    for state, limit in (("connect", 4), ("mail", 4), ("rcpt", 4),
                         ("data", 4), ("dot", 5)):
        with Upstream("raw", on={state: silent}) as u, client("raw") as c:
            began = time.monotonic()
            c.ehlo()
            r = c.cmd("MAIL FROM:<>")
            if state not in ("connect", "mail"):
                r = c.cmd("RCPT TO:<user@%s>" % c.domain)
                if state != "rcpt":
                    r = c.cmd("DATA")
                if state == "dot":
                    r = c.finish(b"x\r\n")
            took = time.monotonic() - began
            has(r, r"^451 4\.4\.2 .*timed out")
            assert limit - 1.5 <= took <= limit + 2, (state, took)
            same(u.messages, [])
            c.cmd("RSET", 250)
        if state == "connect":
            time.sleep(3.1)
    # the budget of one EHLO, whatever the host does
    with client("stalls") as c:
        began = time.monotonic()
        same(c.ehlo(), [])
        assert 7 < time.monotonic() - began < 10
        c.cmd("MAIL FROM:<>", 451)
        same(len(records("stalls", "connect")), 3)      # T11: each its share


@test
def strangers():
    """only smtpd's user is served: others are refused, nothing is asked"""
    mark = LOG.mark()
    for uid in (0, 1):
        c = client("tls", uid=uid, greet=False)
        has(c.reply(), "^421 4.7.1 ")
        same(c.sock.recv(10), b"")
        LOG.wait(mark, "connection refused: from uid %d, want %d" % (uid, UID))
        mark = LOG.mark()
        c.close()


@test
def source():
    """`src` of smtpd is the address that the upstream sees"""
    with Upstream("raw") as u:
        with client("raw", source="198.18.0.77") as c:
            c.ehlo()
        with client("raw") as c:
            c.ehlo()
        same(u.peers[0][0], "198.18.0.77")
        assert u.peers[1][0] != "198.18.0.77", u.peers


@test
def configured():
    """relay.source and relay.helo are what the upstream sees"""
    table = Table(more='source = [ "198.18.0.99", "fd00:18::99" ]; '
                  'helo = "mx.lab.alpha";')
    try:
        with Upstream("raw") as u:
            with client("raw", table=table) as c:
                c.ehlo()
            with client("raw", table=table, source="198.18.0.77") as c:
                c.ehlo()
            same([p[0] for p in u.peers], ["198.18.0.99", "198.18.0.77"])
            same({x for x in u.said if x.startswith("EHLO")},
                 {"EHLO mx.lab.alpha"})
        with client("six", table=table) as c:
            c.ehlo()
            c.message()
    finally:
        table.stop()


@test
def silent_smtpd():
    """smtpd that says nothing holds nothing, idle or in mid-message"""
    table = Table(idle=2)
    try:
        with Upstream("raw") as u:
            began = time.monotonic()
            with client("raw", table=table) as c:
                c.ehlo()
                same(c.sock.recv(10), b"")
                assert 1 < time.monotonic() - began < 4
            until(lambda: u.said[-1] == "QUIT")
            with client("raw", table=table) as c:
                c.ehlo()
                c.begin()
                c.sock.sendall(b"half\r\n")
                same(c.sock.recv(10), b"")
                assert 3 < time.monotonic() - began < 9
            same(u.messages, [])
    finally:
        table.stop()


@test
def limits():
    """a limit makes smtpd wait, and only that domain"""
    table = Table(sessions=4, per_domain=2)
    try:
        with client("good", table=table) as a, client("good", table=table) \
                as b, client("plain", table=table) as x:
            c = client("good", table=table, greet=False)
            c.quiet(0.5)
            y = client("plain", table=table)
            z = client("encrypt", table=table, greet=False)
            z.quiet(0.5)
            a.quit()
            # one place: one of the two that wait gets it
            ready, _, _ = select.select([c.sock, z.sock], [], [], 3)
            same(len(ready), 1)
            b.close()
            has(c.reply(), "^220")
            has(z.reply(), "^220")
            for s in (c, z, y, x):
                s.ehlo()
                s.quit()
    finally:
        table.stop()


@test
def graceful():
    """with a new configuration old sessions go on, new ones go to a new
    relay"""
    table = Table()
    try:
        with Upstream("tls") as u, client("tls", table=table) as c:
            c.ehlo()
            c.message(b"1\r\n")
            old = table.relay()
            table.update()
            until(lambda: len(table.relays()) == 2)
            with client("tls", table=table) as d:
                d.ehlo()
                d.message(b"2\r\n")
                d.quit()
            c.message(b"3\r\n")
            assert old in table.relays()
            c.quit()
            until(lambda: table.relays() and old not in table.relays(), 10)
            same(u.messages, [b"1\r\n", b"2\r\n", b"3\r\n"])
    finally:
        table.stop()


@test
def killed():
    """a child killed in mid-message: smtpd sees a close, the upstream no
    message, and another child serves at once"""
    table = Table()
    try:
        kill_under_fire(table, table.relay())
    finally:
        table.stop()


@test
def parent_gone():
    """at the end of the control socket the child is gone at once"""
    table = Table()
    with Upstream("tls"), client("tls", table=table) as c:
        c.ehlo()
        pid = table.relay()
        os.kill(table.process.pid, signal.SIGKILL)
        table.stop()
        same(c.sock.recv(100), b"")
        until(lambda: pid not in processes(), 2)


@test
def metrics_file():
    """relay.metrics has the messages of this relay"""
    path = metrics.place("o.prom")
    table = Table(more='metrics = "%s";' % path)
    try:
        for ident in ("good", "plainclear"):
            with client(ident, table=table) as c:
                c.ehlo()
                c.message(b"x\r\n")
        metrics.wait(path, {
            "sessions": 0, "sessions_total": 2, "verdicts_total,dane": 1,
            "verdicts_total,clear": 1, "messages_total,taken": 2,
            "octets_total": 12})
    finally:
        table.stop()


@test
def counters():
    """SIGUSR1 logs one line of figures"""
    table = Table()
    try:
        for ident in ("good", "plain", "wrong", "nullmx"):
            with client(ident, table=table) as c:
                c.ehlo()
                if ident in ("good", "plain"):
                    c.message()
        mark = LOG.mark()
        os.kill(table.relay(), signal.SIGUSR1)
        line = LOG.wait(mark, "counters:").string
        has(line, "4 in all 0 refused 0 limits; upstream 2: dane 1 dane-"
            "insecure-mx 0 mta-sts 0 encrypt 0 opportunistic-tls 1 clear 0; deferred 1 "
            "bounced 1; messages 2 taken 0 later 0 refused 0 broken")
    finally:
        table.stop()


@test
def hardened():
    """the child can do nothing but talk"""
    pid = play.TABLE.relay()
    same(status(pid, "NoNewPrivs"), 1)
    same(status(pid, "CapEff"), 0)
    with open("/proc/%d/limits" % pid) as f:
        text = f.read()
    has(text, r"Max core file size\s+0\s+0")
    if not play.SANITIZED:
        has(text, r"Max processes\s+0\s+0")
    if play.WRAP:
        return                          # valgrind has files of its own
    # no file but sockets, the loop's own, and /dev/null
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):
            to = os.readlink("/proc/%d/fd/%s" % (pid, fd))
            assert re.match(r"socket:|anon_inode:|pipe:|/dev/null|"
                            r"/mnt/t/stderr", to), to


@test
def short_of_descriptors():
    """without a descriptor what comes waits, and is not lost"""
    table = Table()
    try:
        with client("tls", table=table) as c:
            c.addr                      # it has read all it was told by now
        pid = table.relay()

        def allow(n):
            subprocess.run(["prlimit", "--pid=%d" % pid, "--nofile=%d:" % n],
                           user=UID, group=UID, extra_groups=[], check=True)

        used = {int(fd) for fd in os.listdir("/proc/%d/fd" % pid)}
        mark = LOG.mark()
        allow(min(set(range(len(used) + 1)) - used))
        table.address(play.domain("raw"))
        LOG.wait(mark, "no new sessions or domains for 1 s: Too many open")
        time.sleep(0.3)
        same(len([x for x in LOG.since(mark) if "open files" in x]), 1)
        allow(1000)
        with Upstream("raw") as u, client("raw", table=table) as c:
            c.ehlo()
            c.message()
            same(len(u.messages), 1)
        same(table.relay(), pid)
    finally:
        table.stop()


@test
def many():
    """300 sessions at once all deliver"""
    table = Table(sessions=400, per_domain=400)
    try:
        with Upstream("tls") as u:
            with client("tls", table=table) as c:
                c.ehlo()
            before = status(table.relay(), "VmRSS")
            all_of = []
            for _ in range(300):
                c = client("tls", table=table)
                c.sock.sendall(b"EHLO lab.alpha\r\n")
                all_of.append(c)
            for c in all_of:
                has(c.reply(), "^250")
            rss = status(table.relay(), "VmRSS")
            for c in all_of:
                try:
                    c.message()
                except AssertionError as e:
                    raise AssertionError("%s; upstream: %s" % (
                        e, set(u.errors))) from e
                c.quit()
            same(len(u.messages), 300)
            print("#   %.1f KiB a session, %d KiB in all" % (
                (rss - before) / 300, rss))
            if not play.SANITIZED:
                assert (rss - before) / 300 < 64
    finally:
        table.stop()

# SPDX-License-Identifier: ISC
"""table-danevirke: what smtpd would never send."""

import contextlib
import os
import random
import socket
import struct

from fd0 import (both, Imsg, Lines, LOG, same, test)


# -------------------------------------------------------------------- garbage

def dies(P, data, pattern, opened=False):
    t = P("", open_it=opened)
    mark = t.mark
    t.send(data)
    same(t.gone(3), 1, data[:40])
    LOG.wait(mark, r"table-danevirke\[\d+\]: fd 0: " + pattern)
    same(t.relays(), [])


@test
def garbage_before_the_handshake():
    """garbage before the handshake ends it, and it says why"""
    for data in (b"hello\n", b"\0" * 64, b"GET / HTTP/1.0\r\n\r\n",
                 b"config\n", b"config-ready\n", b"\2\0\0\1" + b"\0" * 60,
                 os.urandom(4000).replace(b"c", b"x").replace(b"\2", b"x")):
        dies(Lines, data, "neither of smtpd's table protocols")


@test
def another_version():
    """another version of either protocol ends it, and it says why"""
    dies(Imsg, Imsg.message(None, Imsg.OPEN, struct.pack("=I", 3) + b"dane\0"),
         r"imsg: OPEN: want version 2")
    dies(Lines, b"config|protocol|1.0\nconfig|ready\n",
         r"line: config\|protocol: want version 0\.1")


@test
def broken_frames():
    """a broken frame ends it, and it says why"""
    for n in (0, 15, 16385, 65535):
        dies(Imsg, struct.pack("=IHHII", 6, n, 0, 0, 0) + b"x" * 30000,
             r"imsg: length out of range", True)
    dies(Lines, b"table|0.1|1|dane|lookup|relayhost|1|" + b"a" * 20000 + b"\n",
         r"line: longer than 16384", True)
    dies(Lines, b"table|0.1|1|dane|lookup|relayhost|1|a\0b\n",
         r"line: holds a NUL", True)


@test
def broken_messages():
    """whole messages of wrong content are answered by an error"""
    t = Imsg()
    zero = struct.pack("@N", 0)
    for kind, payload in (
            (t.LOOKUP, b""), (t.LOOKUP, b"\0\2\0\0"), (t.CHECK, b"\0" * 11),
            (t.LOOKUP, struct.pack("=i", 0x200) + struct.pack("@N", 1) +
             b"a\0b\0example.org\0"),
            (t.LOOKUP, struct.pack("=i", 0x200) + zero),
            (t.LOOKUP, struct.pack("=i", 0x200) + zero + b"example.org"),
            (t.LOOKUP, struct.pack("=i", 0x200) + zero + b"a.org\0b.org\0"),
            (t.LOOKUP, struct.pack("=i", 0x200) + zero + b"a" * 1024 + b"\0"),
            (t.FETCH, struct.pack("=i", 0x200) + zero + b"x\0"),
            (8, b""), (0, b""), (1, b"x"), (0xffffffff, b"x" * 16000)):
        mark = LOG.mark()
        t.send(t.message(kind, payload))
        same(t.reply(), struct.pack("=i", -1))
        LOG.wait(mark, r"table-danevirke\[\d+\]: imsg: ")
    t.address("example.org")


@test
def broken_lines():
    """broken lines are logged, and answered where there is an id"""
    t = Lines()
    for line in ("hello", "", "|", "table", "table|", "table|0.1|1|dane",
                 "table|0.1|1|dane|frobnicate|x", "table|0.1|1|dane|lookup",
                 "table|0.1|1|dane|lookup|relayhost",
                 "table|0.1|1|dane|lookup|relayhost|",
                 "table|0.1|1|dane|lookup|relayhost||a.org",
                 "table|0.1|1|dane|update|",
                 "table|0.1|1|dane|update|" + "a" * 64):
        mark = LOG.mark()
        t.send(line.encode() + b"\n")
        LOG.wait(mark, r"table-danevirke\[\d+\]: line: ")
        t.quiet(0.02)
    for line in ("table|0.1|1|dane|lookup|relayhost|7",
                 "table|9.1|1|dane|lookup|relayhost|7|a.org",
                 "table|0.x|1|dane|lookup|relayhost|7|a.org",
                 "table|0.1|1|dane|lookup|relayhost|7|" + "a" * 1024):
        t.send(line.encode() + b"\n")
        assert t.line().startswith("lookup-result|7|error|"), line
    t.send(b"table|0.2|1|dane|lookup|relayhost|7|example.org\n")
    assert t.line().startswith("lookup-result|7|found|smtp+notls://127.64.")
    t.send(b"config|protocol|0.2\nconfig|new|a|b|c\n")
    t.quiet(0.1)
    t.address("example.org")


@test
def log_lines_hold_one_line():
    """a name with controls stays one line of the log"""
    t = Imsg()
    mark = LOG.mark()
    assert t.lookup("a\nJan 1 00:00:00 host root: forged\x1b[31m%n%s") is False
    LOG.wait(mark, r'"a\?Jan 1 00:00:00 host root: forged\?\[31m%n%s": not a')
    assert not any("\n" in x or "\x1b" in x for x in LOG.since(mark))


@both
def random_octets(P):
    """random octets: it lives and answers, or has gone and said why"""
    r = random.Random(7)
    for i in range(30):
        t = P()
        mark = LOG.mark()
        good = []
        t.send, keep = good.append, t.send
        with contextlib.suppress(socket.timeout):
            t.fd.settimeout(0.001)
            t.lookup("example.org")
        t.fd.settimeout(15)
        t.send = keep
        data = bytearray(b"".join(good) * 20)
        for _ in range(r.randrange(1, 40)):
            data[r.randrange(len(data))] = r.randrange(256)
        t.send(bytes(data))
        t.fd.shutdown(socket.SHUT_WR)
        status = t.gone(3)
        assert status in (0, 1), status
        if status == 1:
            LOG.wait(mark, r"fd 0: ")
        t.stop()

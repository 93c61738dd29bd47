# SPDX-License-Identifier: ISC
"""danevirked: its map as octets, and clients that are no good."""

import os
import random
import re
import select
import socket
import stat
import time

from daemon import DIR, MAP, TCP, Client, Daemon, netstring, once
from fd0 import LOG, greeting, same, test, wait_for

CONF = ('relay: { user = [ "nobody", "no-such-user" ]; };\n'
        'danevirked: { %s };\n')
LISTEN = CONF % 'listen = "127.0.0.1:10024";'
ROOM = 128                      # clients at a time


@test
def both_protocols():
    """Each form, over the socket and over TCP, by netstring and by line; an
    address of its own for each domain, and the relay at it."""
    Daemon(LISTEN)
    for where in (MAP, TCP):
        with Client(where) as c:
            m = re.fullmatch(r"OK (127\.64\.\d+\.\d+)::10025",
                             c.ask("example.org"))
            assert m
            a = m.group(1)
            for form, value in (("exim", a + "::10025"),
                                ("danevirke", "[%s]:10025" % a),
                                ("postfix", ":[%s]:10025" % a),
                                ("sendmail", "[%s]" % a)):
                same(c.ask(form + " Example.ORG."), "OK " + value)
                c.send(netstring(form + " example.org"))
                want = netstring("OK " + value)
                while len(c.buffer) < len(want):
                    c.buffer += c.sock.recv(100)
                same(c.buffer, want)
                c.buffer = b""
            assert c.ask("example.net") != c.ask("example.org")
        same(once(b"example.org\n", where=where),
             b"OK %s::10025\n" % a.encode())
        same(once(netstring("postfix example.org"), where=where),
             netstring("OK :[%s]:10025" % a))
    greeting((a, 10025))


@test
def keys():
    """A whole address is asked for its domain, the "*" of Postfix for nothing;
    what is no domain never works, and is logged."""
    Daemon(CONF % "")
    with Client() as c:
        a = c.ask("postfix example.org")
        for key in ("user@example.org", "@example.org", "a@b@Example.org",
                    '"a@b.example"@example.org', "a b@example.org"):
            same(c.ask("postfix " + key), a)
        same(c.ask("postfix *"), "NOTFOUND ")
        for key in ("", ".", "a..b", ".example.org", "user@", "@", "**",
                    "example.org@b c", "a b", "a" * 64 + ".example", "[1.2.3]",
                    "example.org\r", "mars example.org", "%s%n", "a\tb",
                    ".".join(["a" * 50] * 5), "exim exim example.org"):
            mark = LOG.mark()
            assert c.ask(key).startswith("PERM "), key
            LOG.wait(mark, r"danevirked\[\d+\]: map: ")
        for key in ("[192.0.2.1]", "[IPv6:2001:DB8::1]", "localhost", "a_b.c",
                    "123", "1.2.3.4", ".".join(["a" * 49] * 5)):
            assert c.ask(key).startswith("OK "), key


@test
def one_octet_at_a_time():
    """A request is whole when its last octet is there, and not before."""
    Daemon(CONF % "")
    for data in (b"postfix example.org\n", netstring("postfix example.org")):
        with Client() as c:
            for octet in data[:-1]:
                c.send(bytes([octet]))
            ready, _, _ = select.select([c.sock], [], [], 0.2)
            assert not ready, c.sock.recv(100)
            c.send(data[-1:])
            assert b"OK :[127.64." in c.sock.recv(100)


@test
def cut():
    """What has no end is no request: nothing is answered."""
    Daemon(CONF % "")
    for data in (b"example.org", netstring("postfix example.org")[:-1], b"12",
                 b"5:exim", b""):
        same(once(data), b"")
    # but those before it are
    assert once(b"a.example\nb.exam").count(b"OK ") == 1


@test
def pipelined():
    """Many requests at once; a client that takes no replies waits by itself."""
    Daemon(CONF % "")
    n = 20000
    with Client() as slow, Client() as c:
        slow.sock.settimeout(0.5)
        sent = 0
        try:
            for _ in range(n):
                slow.send(b"a.example\n" * 100)
                sent += 100
        except TimeoutError:
            pass
        assert sent < n * 100
        began = time.monotonic()
        assert c.ask("b.example").startswith("OK ")
        assert time.monotonic() - began < 1
        slow.sock.settimeout(10)
        for _ in range(1000):
            same(slow.line()[:7], "OK 127.")
    assert once(b"a.example\n" * 500).count(b"OK 127.") == 500


def replies(data):
    """They are whole, and nothing else."""
    while data:
        m = re.match(rb"(\d+):", data)
        at = m.end() if m else 0
        end = at + int(m.group(1)) if m else data.index(b"\n")
        assert re.match(rb"OK 127\.|NOTFOUND |PERM ", data[at:end]), data
        same(data[end:end + 1], b"," if m else b"\n")
        data = data[end + 1:]


@test
def garbage():
    """Octets of no sense: closed, and others are served."""
    d = Daemon(LISTEN)
    rnd = random.Random(11)
    for data in (b"0:,", b"1000:", b"007:a", b"9" * 2000, b"a" * 1024,
                 b"a" * 5000, b"4:exim!", b"\0" * 1024, b"\xff" * 3000):
        mark = LOG.mark()
        same(once(data), b"", data[:20])
        LOG.wait(mark, "map: a request: ")
    for i in range(300):
        data = bytes(rnd.choices(b"0123456789:,\n\0 ab.@*[]\xc3\xa9",
                                 k=rnd.randrange(1, 200)))
        replies(once(data, where=TCP if i % 2 else MAP))
    assert once(b"example.org\n").startswith(b"OK ")
    same(d.process.poll(), None)


@test
def strangers():
    """Users of the relay and root are answered, and nobody else is: by socket
    and by TCP; so nobody else has cost an address."""
    Daemon(CONF % 'listen = "127.0.0.1:10024"; ')
    for where in (MAP, TCP):
        for uid in (1, 65533):
            mark = LOG.mark()
            with Client(where, uid=uid) as c:
                same(c.rest(), b"")
            LOG.wait(mark, "map: connection refused: from uid %d, want 65534 "
                     "or 0" % uid)
        assert once(b"example.org\n", where=where, uid=0).startswith(b"OK ")


@test
def crowd():
    """Silent clients and half requests take no place that another needs."""
    d = Daemon(CONF % "")
    held = [Client() for _ in range(ROOM)]
    for c in held[::2]:
        c.send(b"half")
    time.sleep(1.1)
    c = Client()
    assert c.ask("example.org").startswith("OK ")
    LOG.wait(d.mark, "map: more than %d clients: the idlest is left" % ROOM)
    same(held[0].rest(), b"")
    # the rest of them are there still
    held[-2].send(b".example\n")
    assert held[-2].line().startswith("OK ")
    for c in held:
        c.close()
    # and a flood of those that go at once
    for _ in range(2000):
        Client().close()
    assert once(b"example.org\n").startswith(b"OK ")


@test
def idle():
    """Half a minute without a whole request, however many octets come."""
    Daemon(CONF % "")
    with Client() as silent, Client() as drip, Client() as good:
        began = time.monotonic()
        while time.monotonic() - began < 28:
            drip.send(b"a")
            time.sleep(2)
            if time.monotonic() - began > 15:
                good.ask("example.org")
        for c in (silent, drip):
            c.sock.settimeout(8)
            same(c.rest(), b"")
        assert 28 <= time.monotonic() - began < 36
        assert good.ask("example.org").startswith("OK ")


@test
def full():
    """No address is left: a temporary failure, which the log explains."""
    Daemon('relay: { user = "nobody"; limits: { domains = 2; }; };')
    mark = LOG.mark()
    with Client() as c:
        for key in ("a.example", "b.example"):
            assert c.ask(key).startswith("OK ")
        same(c.ask("c.example"), "TEMP no address is free, see the log")
        LOG.wait(mark, "c.example: no address: all 2 are in use")
        assert c.ask("a.example").startswith("OK ")


@test
def permissions():
    """Mode and group of the socket, and no moment before they are set."""
    d = Daemon(CONF % 'mode = "0640"; group = "games"; user = "nobody";',
               uid=0)
    s = os.stat(MAP)
    same((stat.S_IMODE(s.st_mode), s.st_gid), (0o640, 60))
    assert once(b"a.example\n").startswith(b"OK ")
    try:
        once(b"a.example\n", uid=1)
        raise AssertionError("connected all the same")
    except PermissionError:
        pass
    d.stop()
    d = Daemon(CONF % "")
    s = os.stat(MAP)
    same((stat.S_IMODE(s.st_mode), s.st_uid), (0o666, 65534))
    for conf, why in (('group = "no-such-group";',
                       'danevirked.group: no group "no-such-group"'),
                      ('socket = "/nonexistent/map";', "danevirked.socket: "
                       "/nonexistent/map: No such file or directory")):
        refused(CONF % conf, why)


def refused(conf, why, **more):
    d = Daemon(conf, ready=False, path="/mnt/t/refused.conf", **more)
    same(d.gone(10), 1)
    LOG.wait(d.mark, "not started: .*" + re.escape(why))
    d.stop()


@test
def stale_socket():
    """A dead daemon's socket is replaced; a living one's, and what is no
    socket, is not."""
    d = Daemon(CONF % "")
    refused(CONF % "", "danevirked.socket: %s: another program listens there"
            % MAP)
    assert once(b"example.org\n").startswith(b"OK ")
    d.stop()
    assert os.path.exists(MAP)
    d = Daemon(CONF % "")
    assert once(b"example.org\n").startswith(b"OK ")
    same(d.end(), 0)
    assert not os.path.exists(MAP)
    with open(MAP, "w"):
        pass
    refused(CONF % "", "danevirked.socket: %s: is there and is no socket"
            % MAP)
    assert os.path.exists(MAP)
    os.unlink(MAP)
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(TCP)
    s.listen()
    refused(LISTEN, "danevirked.listen: Address already in use")
    assert not os.path.exists(MAP)
    s.close()
    wait_for("an empty directory", lambda: os.listdir(DIR) == [])

# SPDX-License-Identifier: ISC
"""table-danevirke: an address that smtpd was told is never anybody else's."""

import os
import re
import signal
import socket

from cases_conf import refuses
from cases_table import later, later_by, later_table
from fd0 import (both, connect, greeting, Lines, LOG, same, test, UID, wait_for,
                 write)
from other import OPTIONS, Other

FRESH = 10040                   # a port without TIME_WAIT of other tests
LIMITED = ["prlimit", "--nofile=100:100", "setpriv", "--reuid", str(UID),
           "--regid", str(UID), "--clear-groups"]


def safe(other, *wheres):
    for where in wheres:
        same(other.ways(*where), [])
        same(other.ways(*where, listen=False), [])


# ------------------------------------------------------- what smtpd was told

@test
def other_user_after_a_new_range():
    """after a new range nobody else gets a former address"""
    # smtpd can be there, and does not even notice.
    t = Lines()
    where = t.address("example.org")
    greeting(where)
    with Other() as other, connect(where) as session:
        assert session.recv(100).startswith(b"220 ")
        safe(other, where)
        write('aliases = "127.64.7.0/24";')
        assert t.update() is True
        fresh = t.address("example.org")
        assert fresh[0].startswith("127.64.7."), fresh
        for _ in range(20):
            safe(other, where, fresh)
            greeting(where)
        session.sendall(b"NOOP\r\n")    # what goes on goes on
        assert session.recv(100).startswith(b"250 ")


@both
def other_user_after_a_new_port(P):
    """after a new port nobody else gets a former one"""
    t = P()
    wheres = [t.address("d%d.example" % i) for i in range(20)]
    write("port = 10026;")
    assert t.update() is True
    with Other() as other:
        safe(other, *wheres[:3])
        for where in wheres:
            greeting(where)
        safe(other, *wheres[:3])
        os.kill(t.relay(other_than=t.relays()[:-1]), signal.SIGKILL)
        for where in wheres:
            greeting(where)


@test
def other_user_after_an_eviction():
    """an address that was taken from a domain stays smtpd's"""
    t = later_table('limits: { domains = 3; };')
    a, b, c = [t.address("%s.example" % x) for x in "abc"]
    with Other() as other:
        later(601)
        d = t.address("d.example")      # in place of a
        assert d not in (a, b, c)
        safe(other, a)
        for where in (a, d, c, b, a):   # there is always one that is idle
            greeting(where)
            later_by(3)
        later(1300)
        same(t.address("a.example"), a)  # and its address is still its own
        safe(other, a, b, c, d)
        os.kill(t.relay(), signal.SIGKILL)
        for where in (a, b, c, d):
            greeting(where)
            later_by(3)


@test
def waiting_at_an_old_address():
    """a connection that had to wait is taken by the next relay"""
    t = Lines("limits: { per_domain = 1; };")
    where = t.address("example.org")
    with connect(where) as first, connect(where) as second:
        assert first.recv(100).startswith(b"220 ")
        second.settimeout(0.3)
        try:
            raise AssertionError(second.recv(100))
        except TimeoutError:
            pass
        write("port = 10026;")
        assert t.update() is True
        second.settimeout(5)
        assert second.recv(100).startswith(b"220 ")
        first.sendall(b"NOOP\r\n")
        assert first.recv(100).startswith(b"250 ")


@test
def woken_when_there_is_room():
    """smtpd waits at an address that is only held until there is room"""
    t = later_table('limits: { domains = 1; };')
    a = t.address("a.example")
    later(601)
    b = t.address("b.example")
    greeting(b)
    with connect(a) as s:
        s.settimeout(0.5)
        try:
            raise AssertionError(s.recv(100))
        except TimeoutError:
            pass
        LOG.wait(t.mark, r"a\.example: no address: all 1 are in use")
        greeting(b)                     # and nothing else is slower for it
        later(1300)
        s.settimeout(5)
        assert s.recv(100).startswith(b"220 ")
    same(t.address("b.example"), b)


@test
def strangers_wake_nobody_for_long():
    """who only connects does not keep a domain from its address"""
    t = later_table('limits: { domains = 2; };')
    a, b = t.address("a.example"), t.address("b.example")
    later(601)
    t.address("a.example")
    c = t.address("c.example")          # in place of b
    later(1300)
    for _ in range(3):
        with socket.create_connection(b, 5) as s:
            assert s.recv(100).startswith(b"421 "), "root is a stranger"
    later(1303)
    for name, where in (("a", a), ("c", c)):
        same(t.address(name + ".example"), where)
    greeting(a)
    assert t.lookup("d.example") is False
    LOG.wait(t.mark, r"d\.example: no address: all 2 are in use")


@test
def other_user_while_there_is_no_relay():
    """while there is no relay nobody else gets an address"""
    t = Lines()
    where = t.address("example.org")
    greeting(where)
    with Other() as other:
        for _ in range(3):              # the next is not started at once
            os.kill(t.relay(), signal.SIGKILL)
            LOG.wait(t.mark, "ended by signal 9")
        wait_for("no relay", lambda: not t.relays())
        safe(other, where)
    greeting(where, 10)


@test
def the_limit_alone_drops_nothing():
    """a lower limit takes no address from a domain"""
    t = Lines('limits: { domains = 100; };')
    have = {"d%d.example" % i: t.address("d%d.example" % i)
            for i in range(50)}
    with Other() as other:
        for n in (200, 20):
            write('limits: { domains = %d; };' % n)
            assert t.update() is True
            for where in have.values():     # nobody has asked again
                greeting(where)
            safe(other, have["d7.example"])
            for name, where in have.items():
                same(t.address(name), where)
    assert t.lookup("more.example") is False
    LOG.wait(t.mark, r"more\.example: no address: all 20 are in use")


@test
def a_range_that_comes_back():
    """a range that comes back has its domains at their addresses"""
    t = Lines()
    names = ["d%d.example" % i for i in range(30)]
    have = [t.address(n) for n in names]
    write('aliases = "127.64.8.0/24"; port = 10026;')
    assert t.update() is True
    other = [t.address(n) for n in names]
    assert not set(have) & set(other)
    write("")
    assert t.update() is True
    same([t.address(n) for n in reversed(names)], have[::-1])
    for where in have:
        greeting(where)
    for where in other:
        greeting(where)


@test
def all_addresses_are_held():
    """where all are held an idle one becomes another domain's, never free in
    between"""
    # The last resort.
    conf = 'aliases = "127.64.9.0/30"; limits: { domains = 4; };'
    t = later_table(conf)
    have = [t.address("d%d.example" % i) for i in range(4)]
    same(len(set(have)), 4)
    assert t.lookup("d4.example") is False
    with Other() as other:
        later(601)
        same(t.address("d4.example"), have[0])
        greeting(have[0])
        safe(other, *have)
        assert t.address("d0.example") in have
        for where in have[:2]:
            greeting(where)


@test
def descriptors_run_out():
    """former ports take descriptors: a new domain waits, for a day at most"""
    t = later_table(wrap=LIMITED)
    first = [t.address("d%d.example" % i) for i in range(26)]
    write("port = 10026;")
    assert t.update() is True
    second = [t.address("d%d.example" % i) for i in range(26)]
    write("port = 10027;")
    assert t.update() is True
    mark = LOG.mark()
    third = []
    for i in range(26):
        where = t.lookup("d%d.example" % i)
        if where is not False:
            third.append(where)
    same(len(third), 15)                # 100 - 32 - 27 - 26
    LOG.wait(mark, r"d15\.example: no address: all 68 descriptors for "
             r"addresses are in use: those of a former range or port are held "
             r"for a day: raise the limit of open files")
    same(len([x for x in LOG.since(mark) if "no address" in x]), 1)
    with Other() as other:
        safe(other, first[0], second[-1])
        for where in first[:2] + second[:2]:
            greeting(where)
        later(86000)
        assert t.lookup("d25.example") is False
        later(86500)
        for i in range(26):
            t.address("d%d.example" % i)
        # One of the 11 was there for no domain.  A relay may have been killed
        # for the time that was skipped, and another may begin.
        wait_for("their addresses are free", lambda: [
            w for w in first + second if not other.bind(
                *w, options=("SO_REUSEADDR",), keep=False)] == first[2:12])


# -------------------------------------------------------- who was there first

@test
def other_user_first():
    """another user at the port: smtpd does not start, and says why"""
    why = (r"relay\.port: cannot listen on 127\.64\.\d+\.\d+ port 10040: "
           r"Address already in use: another program listens on 0\.0\.0\.0 or "
           r"\[::\]")
    conf = "port = %d;" % FRESH
    for address in ("0.0.0.0", "::"):
        for options in OPTIONS:
            for listen in (True, False):
                with Other() as other:
                    same(other.bind(address, FRESH, options, listen), "")
                    refuses(Lines, why, conf)
    with Other() as other:
        same(other.bind("::", FRESH, only6=True), "")
        t = Lines(conf)
        greeting(t.address("example.org"))


@test
def other_user_second():
    """from the start nobody else can have all addresses"""
    t = Lines("port = %d;" % (FRESH + 1))
    with Other() as other:
        for address in ("0.0.0.0", "::"):
            for options in OPTIONS:
                for listen in (True, False):
                    for device in (None, "lo"):
                        same(other.bind(address, FRESH + 1, options, listen,
                                        device), "EADDRINUSE")
    greeting(t.address("example.org"))


@both
def other_user_first_at_a_new_port(P):
    """another user at the new port: the update fails, the old stays"""
    t = P()
    where = t.address("example.org")
    with Other() as other:
        same(other.bind("0.0.0.0", FRESH + 2), "")
        write("port = %d;" % (FRESH + 2))
        mark = LOG.mark()
        assert t.update() is False
        LOG.wait(mark, r"the old configuration stays: relay\.port: cannot "
                 r"listen on 127\.64\.\d+\.\d+ port 10042: Address already in "
                 r"use: another program listens on 0\.0\.0\.0")
        greeting(where)
        same(t.address("example.org"), where)
        greeting(t.address("example.com"))
    assert t.update() is True
    greeting(t.address("example.org"))


@test
def other_user_at_some_aliases():
    """addresses that another user has are passed over"""
    # Bound is enough: such a socket could meet smtpd's in the middle.
    port = FRESH + 3
    for options in OPTIONS:
        for listen in (True, False):
            with Other() as other:
                for i in range(5):
                    same(other.bind("127.64.9.%d" % i, port, options, listen),
                         "")
                t = Lines('aliases = "127.64.9.0/29"; port = %d; '
                          'limits: { domains = 8; };' % port)
                have = [t.address("d%d.example" % i) for i in range(3)]
                same(sorted(have), [("127.64.9.%d" % i, port)
                                    for i in (5, 6, 7)])
                assert t.lookup("d3.example") is False
                LOG.wait(t.mark, r"d3\.example: no address: cannot listen on "
                         r"127\.64\.9\.[0-4] port %d: Address already" % port)
                t.stop()


@test
def other_user_knows_no_address():
    """each start has addresses of its own"""
    names = ["d%d.example" % i for i in range(50)]
    t = Lines()
    first = [t.address(n) for n in names]
    t.stop()
    t = Lines()
    second = [t.address(n) for n in names]
    assert sum(a == b for a, b in zip(first, second)) < 3


@test
def sessions_that_linger():
    """TIME_WAIT of the last process does not keep the next from a small
    range"""
    conf = 'aliases = "127.64.9.0/30"; limits: { domains = 4; };'
    for _ in range(3):
        t = Lines(conf)
        for i in range(4):
            with connect(t.address("d%d.example" % i)) as s:
                assert s.recv(100).startswith(b"220 ")
                s.sendall(b"QUIT\r\n")
                while s.recv(100):
                    pass
        with open("/proc/net/tcp") as f:
            assert re.search(r": 0[0-3]09407F:2729 \S+ 06 ", f.read())
        t.stop()


@test
def two_tables_of_one_range():
    """two tables of one range never share an address"""
    # They are of one user.
    conf = 'aliases = "127.64.9.0/29"; limits: { domains = 8; };'
    a, b = Lines(conf), Lines(conf)
    seen = set()
    for i in range(3):
        for t in (a, b):
            where = t.address("d%d.example" % i)
            assert where not in seen, where
            seen.add(where)
            greeting(where)

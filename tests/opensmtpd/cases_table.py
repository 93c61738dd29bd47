# SPDX-License-Identifier: ISC
"""table-danevirke: lookups, addresses, and the relays that it starts."""

import os
import random
import re
import signal
import socket
import subprocess
import threading
import time

from fd0 import (alive, both, comm, CONF, descriptors, DIR, greeting,
                 Lines, LOG, processes, same, SAN, test, UID, wait_for, write)


# -------------------------------------------------------------------- lookups

@both
def lookup(P):
    """each domain has an address of its own, and keeps it"""
    t = P()
    seen = {}
    for i in range(300):
        d = "d%d.example" % i
        where = t.address(d)
        same(where[1], 10025)
        assert where not in seen, (d, seen[where])
        seen[where] = d
    for where, d in seen.items():
        same(t.address(d), where)
    for where in list(seen)[::37]:
        greeting(where)


@both
def names(P):
    """a name has one address in any spelling, and what is none has none"""
    t = P()
    a = t.address("example.org")
    for n in ("EXAMPLE.org", "example.org.", "Example.Org."):
        same(t.address(n), a, n)
    lit = t.address("[192.0.2.1]")
    six = t.address("[ipv6:2001:db8::1]")
    assert len({a, lit, six}) == 3
    same(t.address("[IPv6:2001:DB8:0:0::1]"), six)
    same(t.address("[2001:db8::1]"), six)
    same(t.address("[ipv6:192.0.2.1]"), lit)
    for n in ("a_b.example", "localhost", "xn--bcher-kva.example",
              "[127.0.0.1]", "[ipv6:::1]", "1.2.3.4", "a" * 63 + ".example",
              ".".join(["a" * 49] * 5)):
        t.address(n)
    for n in ("", ".", "..", ".example", "a..b", "a b.example", "a/b",
              "a" * 64 + ".example", ".".join(["a" * 50] * 5), "[192.0.2.1",
              "[192.0.2]", "[]", "[", "[example.org]",
              "[ipv6:fe80::1%lo]", "a@b", "*", "a|b", "a" * 1023,
              "%s.example", "a\tb", "a\x7f.example"):
        mark = LOG.mark()
        assert t.lookup(n) is False, n
        LOG.wait(mark, r"table-danevirke\[\d+\]: .*(not a domain name|"
                 r"not an address literal)")
    t.address("example.org")


@both
def check(P):
    """check says yes to a name, and error to what is none"""
    t = P()
    assert t.check("example.org") is True
    assert t.check("example..org") is None
    t.address("example.org")


@both
def other_uses_of_the_table(P):
    """other uses of the table are an error that says why"""
    # relay host <dane>, match for domain <dane> ...
    t = P()
    for ask in (lambda: t.fetch(),
                lambda: t.lookup("example.org", "domain" if P is Lines else 4),
                lambda: t.check("example.org", "domain" if P is Lines else 4),
                lambda: t.lookup("a", "" if P is Lines else 0)):
        mark = LOG.mark()
        assert ask() is False
        LOG.wait(mark, "want .relay domain <TABLE>. and nothing else")
    t.address("example.org")


@both
def many_at_once(P):
    """4,000 lookups with nobody reading: none is lost, all in order"""
    t = P()
    t.fd.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    ids, n = [], 4000

    def ask():
        for i in range(n):
            ids.append(t.ask_lookup("d%d.example" % (i % 100)))
    w = threading.Thread(target=ask, daemon=True)
    w.start()
    w.join(1)
    got = []
    for i in range(n):
        wait_for("a request", lambda: len(ids) > i)
        got.append(t.get_lookup(ids[i]))
    same(len(set(got)), 100)
    same(got, got[:100] * (n // 100))
    w.join(5)


@both
def full_table(P):
    """a full table refuses more domains, until the limit is raised"""
    t = P('limits: { domains = 3; };')
    have = [t.address("d%d.example" % i) for i in range(3)]
    mark = LOG.mark()
    for i in range(5):
        assert t.lookup("more%d.example" % i) is False
    LOG.wait(mark, r"more0\.example: no address: all 3 are in use, none idle "
             r"for 600 seconds: raise relay\.limits\.domains")
    same(len([x for x in LOG.since(mark) if "no address" in x]), 1)
    same([t.address("d%d.example" % i) for i in range(3)], have)
    write("limits: { domains = 10; };")
    assert t.update() is True
    for i in range(5):
        t.address("more%d.example" % i)


@test
def address_in_use():
    """an address that is somebody else's is passed over"""
    conf = 'aliases = "127.64.9.0/29"; limits: { domains = 8; };'
    t = Lines(conf)
    theirs = t.address("d0.example")
    t.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(theirs)
        other.listen()
        t = Lines(conf)
        have = [t.address("d%d.example" % i) for i in range(7)]
        same(len(set(have)), 7)
        assert theirs not in have
        for where in have:
            greeting(where)
        mark = LOG.mark()
        assert t.lookup("d7.example") is False
        LOG.wait(mark, r"d7\.example: no address: cannot listen on %s port "
                 r"10025: Address already in use" % re.escape(theirs[0]))
    t.address("d7.example")


CLOCK = r"""
#include <time.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *t) {
	FILE *f;
	long more = 0;
	int r = (int)syscall(SYS_clock_gettime, id, t);
	if (id == CLOCK_MONOTONIC && (f = fopen("/mnt/t/clock", "r"))) {
		if (fscanf(f, "%ld", &more) == 1) t->tv_sec += more;
		fclose(f);
	}
	return r;
}
"""


def later(seconds):
    with open(DIR + "/clock.new", "w") as f:
        f.write("%d\n" % seconds)
    os.chmod(DIR + "/clock.new", 0o644)
    os.rename(DIR + "/clock.new", DIR + "/clock")


def later_by(seconds):
    with open(DIR + "/clock") as f:
        later(int(f.read()) + seconds)


def later_table(conf="", **more):
    """A table whose clock obeys later()."""
    with open(DIR + "/clock.c", "w") as f:
        f.write(CLOCK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", DIR + "/clock.so",
                    DIR + "/clock.c"], check=True)
    later(0)
    return Lines(conf, env={"LD_PRELOAD": DIR + "/clock.so"}, **more)


@test
def idle_addresses_are_given_again():
    """the address idle for the longest is given to a new domain"""
    t = later_table('limits: { domains = 3; };')
    a, b, c = [t.address("%s.example" % x) for x in "abc"]
    for where in (a, b, c):
        greeting(where)
    later(590)
    same(t.address("a.example"), a)
    assert t.lookup("d.example") is False
    later(601)
    d = t.address("d.example")          # b was idle for the longest
    greeting(d)
    assert d not in (a, b, c), d
    same(t.address("c.example"), c)
    same(t.address("a.example"), a)
    assert t.lookup("e.example") is False
    greeting(c)
    greeting(a)
    # told of it or not: the next relay knows the same
    os.kill(t.relay(), signal.SIGKILL)
    for where in (a, c, d):
        greeting(where)


@test
def an_old_relay_that_hangs_is_killed():
    """an old relay that hangs is killed in an hour"""
    t = later_table()
    where = t.address("example.org")
    old = t.relay()
    os.kill(old, signal.SIGSTOP)
    assert t.update() is True
    t.relay(other_than=[old])
    greeting(where)
    later(3601)
    t.address("example.org")
    wait_for("the old relay to be killed", lambda: not alive(old))
    LOG.wait(t.mark, r"old relay: process %d has not ended in 3600" % old)


@test
def a_relay_that_hangs_is_replaced():
    """a relay that hangs is replaced, and no update waits for it (D16)"""
    t = later_table()
    where = t.address("example.org")
    old = t.relay()
    os.kill(old, signal.SIGSTOP)
    for i in range(2000):               # more than its socket takes
        t.address("d%d.example" % i)
    assert t.update() is False          # it may be about to start
    assert "try again" in t.why, t.why
    later(11)
    wait_for("the old relay to be killed", lambda: not alive(old))
    LOG.wait(t.mark, r"relay: process %d has been silent for 10 seconds: "
             r"killed" % old)
    greeting(where)
    greeting(t.address("d1999.example"))


# ------------------------------------------------------------------ the relay

@both
def killed_relay(P):
    """a relay that is killed is replaced, and connections wait for it"""
    t = P()
    where = t.address("example.org")
    greeting(where)
    old = t.relay()
    mark = LOG.mark()
    os.kill(old, signal.SIGKILL)
    same(t.address("example.org"), where)
    fresh = t.address("example.com")
    greeting(where)                     # and the connection waited for it
    greeting(fresh)
    assert t.relay() != old
    LOG.wait(mark, r"relay: process %d ended by signal 9: starting another in "
             r"0 s" % old)


@test
def relay_killed_again_and_again():
    """a relay killed again and again comes back more slowly"""
    t = Lines()
    where = t.address("example.org")
    for wait in (0, 1, 2):
        mark = LOG.mark()
        os.kill(t.relay(), signal.SIGKILL)
        LOG.wait(mark, r"starting another in %d s" % wait)
        same(t.address("example.org"), where)
        if wait > 0:
            time.sleep(wait * 0.5)
            same(t.relays(), [])
        t.relay()
    greeting(where)


@test
def relay_that_hangs():
    """a relay that hung for a while has all addresses afterwards"""
    t = Lines()
    where = t.address("example.org")
    pid = t.relay()
    greeting(where)
    os.kill(pid, signal.SIGSTOP)
    for i in range(2000):               # more than its socket takes
        t.address("d%d.example" % i)
    os.kill(pid, signal.SIGCONT)
    greeting(where)
    for i in range(0, 2000, 97):
        greeting(t.address("d%d.example" % i))
    same(t.relay(), pid)


@test
def all_addresses_are_handed_over():
    """4,096 addresses are handed over to the next relay"""
    t = Lines()
    have = [t.address("d%d.example" % i) for i in range(4096)]
    greeting(have[-1])
    os.kill(t.relay(), signal.SIGKILL)
    for where in random.sample(have, 40) + [have[0], have[-1]]:
        greeting(where)
    assert t.update() is True
    for where in random.sample(have, 40):
        greeting(where)


@test
def what_the_relay_has():
    """the relay has neither smtpd's socket nor its parent's memory"""
    t = Lines()
    greeting(t.address("example.org"))
    pid = t.relay()
    mine, theirs = descriptors(t.process.pid), descriptors(pid)
    same((theirs[0], theirs[1]), ("/dev/null", "/dev/null"))
    assert mine[0].startswith("socket:") and mine[0] not in theirs.values(), (
        mine, theirs)
    with open("/proc/%d/cmdline" % pid, "rb") as f:
        args = f.read().split(b"\0")
    same(args[1:4], [b"-r", b"table-danevirke", CONF.encode()])
    with open("/proc/%d/maps" % t.process.pid) as f:
        assert "danevirke.so" not in f.read()

    def maps(p):
        with open("/proc/%d/maps" % p) as f:
            return re.search(r"^([0-9a-f]+)-.*table-danevirke", f.read(),
                             re.M).group(1)
    assert maps(pid) != maps(t.process.pid)


@test
def without_proc():
    """without /proc the relay is a fork, and works"""
    # Where it cannot be executed anew, the fork goes on.
    t = Lines(wrap=["unshare", "-m", "sh", "-c",
                    "mount -t tmpfs no /proc && exec setpriv --reuid %d "
                    "--regid %d --clear-groups \"$@\"" % (UID, UID), "sh"])
    where = t.address("example.org")
    greeting(where)
    mark = LOG.mark()

    def relays():
        return [p for p in processes() if comm(p) == "danevirke-relay"]

    # one of the test before may still be on its way out
    wait_for("one relay", lambda: len(relays()) == 1)
    pid, = relays()
    with open("/proc/%d/cmdline" % pid, "rb") as f:
        assert b"-r" not in f.read().split(b"\0")
    os.kill(pid, signal.SIGKILL)
    LOG.wait(mark, r"process %d ended by signal 9" % pid)
    greeting(where)
    assert t.update() is True
    greeting(where)
    t.fd.close()
    assert t.gone() == 0 or SAN         # whose leak check needs /proc
    wait_for("the relay to go", lambda: not relays())


@test
def few_descriptors():
    """with 100 descriptors 26 domains have addresses"""
    t = Lines(wrap=["prlimit", "--nofile=100:100", "setpriv", "--reuid",
                    str(UID), "--regid", str(UID), "--clear-groups"])
    LOG.wait(t.mark, r"relay\.limits\.domains: 4096: the limit of open files "
             r"allows 26")
    for i in range(26):
        t.address("d%d.example" % i)
    assert t.lookup("d26.example") is False
    LOG.wait(t.mark, r"no address: all 26 are in use")


@test
def some_descriptors():
    """with 4,096 descriptors addresses and sessions have their share"""
    # As many as a system without systemd gives.
    t = Lines(wrap=["prlimit", "--nofile=4096:4096", "setpriv", "--reuid",
                    str(UID), "--regid", str(UID), "--clear-groups"])
    LOG.wait(t.mark, r"relay\.limits\.domains: 4096: the limit of open files "
             r"allows 3072")
    LOG.wait(t.mark, r"relay\.limits\.sessions: 1000, but 4096 descriptors are "
             r"enough for 129")
    greeting(t.address("example.org"))

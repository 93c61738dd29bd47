# SPDX-License-Identifier: ISC
"""danevirked: its users, signals and configuration."""

import os
import re
import shutil
import signal
import subprocess
import time

from cases_map import CONF, refused
import metrics
from daemon import DIR, MAP, PROGRAM, Client, Daemon, once
from fd0 import (LOG, PREFIX, UID, alive, descriptors, greeting, same, test,
                 wait_for)


def ids(pid):
    with open("/proc/%d/status" % pid) as f:
        text = f.read()
    return [re.search(r"^%s:[ \t]*(.*)" % k, text, re.M).group(1).split()
            for k in ("Uid", "Gid", "Groups", "CapPrm", "CapBnd")] + \
        [re.search(r"^NoNewPrivs:\s+(\d)", text, re.M).group(1)]


@test
def options():
    """-h, -V, and what is no option."""
    p = subprocess.run([PROGRAM, "-V"], capture_output=True, text=True)
    assert re.fullmatch(r"danevirked \d+\.\d+.*\n", p.stdout), p.stdout
    p = subprocess.run([PROGRAM, "-h"], capture_output=True, text=True)
    assert "[-c CONFIG]" in p.stdout and p.returncode == 0
    for bad in (["-x"], ["more"], ["-c"], ["-r", "a", "b", "c"]):
        p = subprocess.run([PROGRAM] + bad, capture_output=True, text=True)
        same((p.returncode, p.stdout), (2, ""), bad)
        assert p.stderr
    p = subprocess.run([PROGRAM, "-c", "relative.conf"], capture_output=True,
                       text=True)
    same(p.returncode, 1)
    assert 'want the absolute path of a configuration' in p.stderr


@test
def gives_up_root():
    """Started by root: none of its processes is root's once it is ready."""
    d = Daemon(CONF % 'user = "nobody";', uid=0)
    for pid in (d.process.pid, d.relay()):
        uid, gid, groups, caps, _, no_new = ids(pid)
        same((set(uid), set(gid), set(groups)), ({"65534"},) * 3)
        same(int(caps[0], 16), 0)
        same(no_new, "1")
    greeting(d.address("example.org"))
    mark = LOG.mark()
    d.update()
    same([x for x in LOG.since(mark) if "wait for the next start" in x], [])
    refused(CONF % 'user = "no-such-user";', 'danevirked.user: no user '
            '"no-such-user" to become, other than root', uid=0)


@test
def users():
    """relay.user: no user that is there, and it does not start; without it
    those that packages make."""
    refused('relay: { user = "no-such-user"; };',
            "relay.user: no such user: want the one of your mail server")
    refused("relay: { user = 7; };", "refused.conf:1: relay.user: 7: want a "
            "list of users")
    refused("danevirked: { sockt = 1; };", "danevirked.sockt: unknown setting")
    d = Daemon('relay: { user = [ "games", "nobody" ]; };')
    a = d.address("example.org")
    greeting(a)                         # nobody's
    mark = LOG.mark()
    os.seteuid(5)
    try:
        os.system("true")
    finally:
        os.seteuid(0)
    for uid, reply in ((5, b"220 "), (1, b"421 4.7.1 "), (0, b"421 4.7.1 ")):
        with Client(a, uid=uid) as c:
            same(c.sock.recv(100)[:len(reply)], reply)
    LOG.wait(mark, "from uid 0, want 5 or 65534")


@test
def hangup():
    """SIGHUP: a good configuration is taken over, with its users; a bad one is
    not; clients do not notice."""
    d = Daemon(CONF % "")
    with Client() as c:
        a = c.ask("example.org")
        old = d.relay()
        d.update('relay: { user = [ "nobody", "daemon" ]; };')
        same(c.ask("example.org"), a)
        new = d.relay(other_than=(old,))
        assert once(b"example.org\n", uid=1).startswith(b"OK ")
        line = d.update("relay: { prt = 1; };", taken=False)
        assert "relay.prt: unknown setting" in line, line
        line = d.update('relay: { user = "nobody"; }; danevirked: { group = '
                        '"no-such-group"; };', taken=False)
        assert 'no group "no-such-group"' in line, line
        same(d.relay(other_than=(old,)), new)
        assert once(b"example.org\n", uid=1).startswith(b"OK ")
        mark = LOG.mark()
        d.update('relay: { user = "nobody"; }; danevirked: { socket = '
                 '"/run/danevirked/other"; };')
        LOG.wait(mark, r"changes of danevirked\.\* wait for the next start")
        same(c.ask("example.org"), a)
        with Client(uid=1) as stranger:
            same(stranger.rest(), b"")
    # many at once are one or two
    for _ in range(20):
        d.signal(signal.SIGHUP)
    LOG.wait(mark, "taken over")
    greeting(d.address("example.org"))


@test
def new_range():
    """Another range: new addresses; what was told once is served still."""
    d = Daemon(CONF % "")
    old = d.address("example.org")
    d.update('relay: { user = "nobody"; aliases = "127.77.0.0/16"; };')
    new = d.address("example.org")
    assert new[0].startswith("127.77."), new
    greeting(new)
    greeting(old)


@test
def killed():
    """The relay dies: another one serves the same addresses."""
    d = Daemon(CONF % "")
    a = d.address("example.org")
    old = d.relay()
    os.kill(old, signal.SIGKILL)
    assert once(b"b.example\n").startswith(b"OK ")
    d.relay(other_than=(old,))
    greeting(a)
    same(d.address("example.org"), a)


@test
def ends():
    """SIGTERM: the socket is removed, nothing is left, status 0; so does a
    second one that does not wait; and SIGKILL leaves no relay."""
    for signals in (1, 2):
        d = Daemon(CONF % "")
        a = d.address("example.org")
        pids = d.relays()
        c = None
        if signals == 2:
            c = Client(a)               # a session that does not end
            assert c.sock.recv(100).startswith(b"220 ")
        d.signal(signal.SIGTERM)
        same(d.notify.recv(100), b"STOPPING=1")
        wait_for("no socket", lambda: not os.path.exists(MAP))
        if c is not None:
            time.sleep(1)
            same(d.process.poll(), None)
            d.signal(signal.SIGTERM)
            same(d.gone(2), 0)
        else:
            same(d.gone(3), 0)          # no QUIT is under way
        wait_for("no relay", lambda: not any(map(alive, pids)), 3)
        d.stop()
    d = Daemon(CONF % "")
    pids = d.relays()
    d.process.kill()
    wait_for("no relay", lambda: not any(map(alive, pids)), 2)
    # before it serves
    d = Daemon(CONF % "", ready=False)
    d.signal(signal.SIGTERM)
    assert d.gone(10) in (0, -signal.SIGTERM)


@test
def what_children_have():
    """No child has the map, or a client of it."""
    d = Daemon(CONF % 'listen = "127.0.0.1:10024";')
    with Client() as c:
        c.ask("example.org")
        greeting(d.address("example.org"))
        mine = {v for v in descriptors(d.process.pid).values()
                if v.startswith("socket:")}
        theirs = set(descriptors(d.relay()).values())
        # of the parent's the relay has the alias, and syslog is its own
        same(len(mine & theirs), 1)
        with open("/proc/%d/maps" % d.process.pid) as f:
            assert "danevirke.so" not in f.read()


@test
def privileged_port():
    """A port below 1024, with the one capability that the manual names."""
    os.makedirs(DIR, exist_ok=True)
    os.chown(DIR, UID, UID)
    one = "net_bind_service"
    d = Daemon('relay: { user = "nobody"; port = 525; };', uid=0, wrap=(
        "setpriv", "--reuid=%d" % UID, "--regid=%d" % UID, "--clear-groups",
        "--inh-caps=-all,+" + one, "--bounding-set=-all,+" + one,
        "--ambient-caps=-all,+" + one))
    old = d.address("example.org")
    same(old[1], 525)
    greeting(old)
    d.update('relay: { user = "nobody"; port = 526; };')
    greeting(d.address("example.org"))
    greeting(old)
    d.stop()
    refused('relay: { user = "nobody"; port = 525; };', "relay.aliases: "
            "cannot listen on 127.64.0.0 port 525: Permission denied")


@test
def unit():
    """What systemd thinks of the unit: less than 2.0 of 10 is exposed."""
    if shutil.which("systemd-analyze") is None:
        print("#   no systemd-analyze here")
        return
    p = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true",
         "--threshold=20", PREFIX + "/lib/systemd/system/danevirked.service"],
        capture_output=True, text=True)
    same(p.returncode, 0, p.stdout[-300:] + p.stderr)
    assert re.search(r"exposure level for danevirked.service: [01]\.\d OK",
                     p.stdout), p.stdout[-300:]


@test
def no_notify():
    """Without systemd, with a bad socket of it, and with an abstract one."""
    for path in ("", "/nonexistent", "x" * 300, "@"):
        d = Daemon(CONF % "", ready=False, env={"NOTIFY_SOCKET": path})
        LOG.wait(d.mark, r"danevirked\[\d+\]: ready, ", 10)
        assert once(b"example.org\n").startswith(b"OK ")
        d.stop()
    assert UID == 65534


@test
def metrics_place():
    """relay.metrics: a name that is no .prom is an error; where others may
    write, or we may not, nothing is written, and the log says so once; a link
    is replaced and not followed"""
    conf = 'relay: { user = "nobody"; metrics = "%s"; };'
    for bad in ("m.prom", "/run/m.txt", "/run/.prom", "/run/" + "m" * 110 +
                ".prom", "/"):
        refused(conf % bad, "relay.metrics: ")
    for uid, mode, why in ((UID, 0o775, "others may write into its directory"),
                           (UID, 0o777, "others may write into its directory"),
                           (UID, 0o1777, "others may write into its "
                            "directory"),
                           (5, 0o755, "others may write into its directory"),
                           (0, 0o755, "Permission denied")):
        path = metrics.place("m.prom", uid, mode)
        d = Daemon(conf % path)
        LOG.wait(d.mark, "relay.metrics: %s: %s" % (path, why))
        same(os.listdir(os.path.dirname(path)), [])
        d.stop()
    path = metrics.place("m.prom")
    with open(metrics.WHERE + "/kept", "w") as f:
        f.write("kept")
    os.chown(f.name, UID, UID)
    os.symlink("kept", path)
    os.symlink("kept", metrics.WHERE + "/.m.prom.new")
    old = os.umask(0o077)
    try:
        d = Daemon(conf % path)
    finally:
        os.umask(old)
    wait_for("a file", lambda: not os.path.islink(path), 10)
    metrics.wait(path, {"sessions": 0})
    same(sorted(os.listdir(metrics.WHERE)), ["kept", "m.prom"])
    with open(f.name) as f:
        same(f.read(), "kept")
    same(os.stat(path).st_mode, 0o100644)
    # once more, when it can no more be written
    os.chmod(metrics.WHERE, 0o777)
    mark = LOG.mark()
    LOG.wait(mark, "relay.metrics: ", 15)
    time.sleep(6)
    same(sum("relay.metrics: " in x for x in LOG.since(mark)), 1)
    os.chmod(metrics.WHERE, 0o755)
    first = metrics.read(path)["written_timestamp_seconds"]
    wait_for("written again", lambda: metrics.read(path)[
        "written_timestamp_seconds"] > first, 15)
    same(d.end(), 0)

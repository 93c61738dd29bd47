# SPDX-License-Identifier: ISC
"""table-danevirke: how it starts, ends and reads its configuration."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time

from fd0 import (alive, both, CONF, connect, descriptors, Gone, greeting,
                 Imsg, Lines, LOG, PREFIX, PROGRAM, same, settled, STDERR,
                 test, UID, wait_for, write)


# ------------------------------------------------------------ start and end

@both
def handshake(P):
    """the handshake is answered, and then nothing is said"""
    t = P()
    t.quiet()
    same(t.process.poll(), None)


@both
def one_octet_at_a_time(P):
    """octet by octet the handshake is answered at its end"""
    t = P(open_it=False)
    sent = []
    t.send = sent.append
    with contextlib.suppress(socket.timeout):
        t.fd.settimeout(0.01)
        t.open()
    t.fd.settimeout(15)
    del t.send
    for octet in b"".join(sent)[:-1]:
        t.send(bytes([octet]))
    t.quiet(0.2)
    t.send(b"".join(sent)[-1:])
    if P is Lines:
        same(t.line(), "register|relayhost")
        same(t.line(), "register|ready")
    else:
        same(t.reply(), b"")
    t.address("example.org")


@both
def end_of_file(P):
    """at the end of fd 0 nothing is left within a second"""
    t = P()
    t.address("example.org")
    pids = t.relays()
    assert t.relay() in pids
    t.fd.close()
    same(t.gone(), 0)
    wait_for("the relay to go", lambda: not any(map(alive, pids)), 1)


@both
def end_of_file_with_a_session(P):
    """at the end of fd 0 a session goes, too"""
    t = P()
    with connect(t.address("example.org")):
        pid = t.relay()
        t.fd.close()
        same(t.gone(), 0)
        wait_for("the relay to go", lambda: not alive(pid), 1)


@test
def end_of_file_with_relays_that_hang():
    """at the end of fd 0 relays that hang are killed"""
    t = Lines()
    pids = []
    for _ in range(3):
        pids.append(t.relay(other_than=pids))
        os.kill(pids[-1], signal.SIGSTOP)
        assert t.update() is True
    pids.append(t.relay(other_than=pids))
    os.kill(pids[-1], signal.SIGSTOP)
    t.fd.close()
    same(t.gone(), 0)
    wait_for("the relays to go", lambda: not any(map(alive, pids)), 1)


@test
def end_of_file_before_the_handshake():
    """an end before the handshake is a quiet end"""
    for data in (b"", b"conf", b"\2\0", b"config|ready"):
        t = Lines(open_it=False)
        t.send(data)
        t.fd.close()
        same(t.gone(2), 0)


@test
def close_message():
    """the message CLOSE ends it"""
    t = Imsg()
    t.send(t.message(t.CLOSE))
    same(t.gone(), 0)


@test
def killed_parent():
    """a relay does not outlive its parent"""
    # What smtpd cannot prevent.
    t = Lines()
    pid = t.relay()
    t.process.kill()
    t.process.wait()
    wait_for("the relay to go", lambda: not alive(pid), 1)


@test
def signals_mean_nothing():
    """signals to the parent mean nothing"""
    t = Lines()
    pid = t.relay()
    for s in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE,
              signal.SIGUSR1):
        os.kill(t.process.pid, s)
    time.sleep(0.2)
    t.address("example.org")
    same(t.relay(), pid)


@test
def by_hand():
    """started by hand it says so, and waits for nothing"""
    for args, status, out, err in (
            ([], 2, "", r"smtpd starts this program"),
            (["-V"], 0, r"table-danevirke \d+\.\d+\.\d+\n$", ""),
            (["-h"], 0, r"relay domain <dane>", ""),
            (["-r", "dane", CONF, "x"], 2, "", r"for the parent"),
            (["-r", "dane", CONF, "3:1:2:3:4:5:6"], 2, "", r"for the parent"),
            (["a", "b"], 2, "", r"smtpd starts this program")):
        p = subprocess.run([PROGRAM] + args, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True, timeout=5)
        same(p.returncode, status, args)
        assert re.search(out, p.stdout) and re.search(err, p.stderr), (
            args, p.stdout, p.stderr)
        assert bool(out) == bool(p.stdout) and bool(err) == bool(p.stderr)


# -------------------------------------------------------- the configuration

def refuses(P, pattern, conf=None, **more):
    t = P(conf, open_it=False, **more)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        with contextlib.suppress(Gone):
            t.open()
            raise AssertionError("answered")
    same(t.gone(3), 1)
    LOG.wait(t.mark, pattern)
    LOG.wait(t.mark, "table-danevirke.*: not started: ")
    with open(STDERR) as f:
        assert re.search(pattern, f.read())


@both
def wrong_configuration_at_start(P):
    """a wrong configuration: it does not start, and says where"""
    refuses(P, r"%s:3: .*relay\.port: 99999: want" % re.escape(CONF),
            "# 1\n# 2\nrelay: { port = 99999; };\n")
    refuses(P, r"%s:1: " % re.escape(CONF), 'relay = "')
    refuses(P, r"/no/such/file", argv=["dane", "/no/such/file"])
    refuses(P, r"want the absolute path", argv=["dane", "danevirke.conf"])


@test
def every_error_is_logged():
    """each error of a configuration is logged"""
    t = Lines('relay: { port = 0; };\nlog: { level = "loud"; };\n',
              open_it=False)
    same(t.gone(3), 1)
    LOG.wait(t.mark, r":1: .*relay\.port")
    LOG.wait(t.mark, r":2: .*log\.level")


@test
def missing_module():
    """without the module it does not start"""
    module = PREFIX + "/lib/danevirke/danevirke.so"
    os.rename(module, module + ".away")
    try:
        refuses(Lines, r"danevirke\.so", "")
    finally:
        os.rename(module + ".away", module)


@test
def address_cannot_be_bound():
    """where 127.64.0.0 cannot be bound it does not start"""
    # As on systems whose loopback interface has 127.0.0.1 only.
    subprocess.run(["ip", "addr", "del", "127.0.0.1/8", "dev", "lo"],
                   check=True)
    try:
        subprocess.run(["ip", "addr", "add", "127.0.0.1/32", "dev", "lo"],
                       check=True)
        refuses(Lines, r"relay\.aliases: cannot listen on 127\.64\.0\.0 port "
                r"10025: Cannot assign requested address", "")
    finally:
        subprocess.run(["ip", "addr", "add", "127.0.0.1/8", "dev", "lo"],
                       check=True)


@test
def wrong_user():
    """relay.user root is refused; one that does not exist is its own"""
    why = r'relay\.user: "root": smtpd runs as uid %d, which could not' % UID
    conf = 'relay: { user = "root"; };'
    refuses(Lines, why, conf)
    t = Lines()
    where = t.address("example.org")
    greeting(where)
    write(conf)
    assert t.update() is False
    assert re.match(why, t.why), t.why
    greeting(where)
    t.stop()
    t = Lines('relay: { user = "no-such-user"; };')
    greeting(t.address("example.org"))  # its own user


@both
def update(P):
    """an update takes the file over, and sessions go to a new relay"""
    # smtpctl update table dane
    t = P()
    where = t.address("example.org")
    greeting(where)
    old = t.relay()
    mark = LOG.mark()
    assert t.update() is True
    LOG.wait(mark, r"danevirke\.conf: taken over")
    same(t.address("example.org"), where)
    greeting(where)
    t.relay(other_than=[old])
    wait_for("the old relay to go", lambda: not alive(old), 20)
    greeting(where)


@both
def update_with_a_wrong_file(P):
    """an update with a wrong file changes nothing, and says where"""
    t = P()
    where = t.address("example.org")
    greeting(where)
    pid = t.relay()
    for wrong in ("relay: { port = 0; };\n", "}", "relay: { aliases = 5; };"):
        mark = LOG.mark()
        write(wrong)
        assert t.update() is False
        LOG.wait(mark, r"danevirke\.conf:1: ")
        LOG.wait(mark, r"the old configuration stays: .*danevirke\.conf:1: ")
        if P is Lines:
            assert "danevirke.conf:1: " in t.why, t.why
        same(t.address("example.org"), where)
        greeting(where)
        same(t.relay(), pid)
    write("")
    assert t.update() is True
    t.relay(other_than=[pid])
    greeting(where)


@both
def update_with_another_port(P):
    """after a new port the former addresses are served as well"""
    t = P()
    where = t.address("example.org")
    other = t.address("example.com")
    greeting(where)
    write("port = 10026;")
    assert t.update() is True
    same(t.address("example.org"), (where[0], 10026))
    greeting((where[0], 10026))
    greeting(where)                     # for smtpd may still come here
    greeting(other)


@both
def file_that_is_good_for_a_moment(P):
    """when the update is answered the new relay has read the file"""
    t = P()
    where = t.address("example.org")
    old = t.relay()
    assert t.update() is True
    write("}")
    mark = LOG.mark()
    new = t.relay(other_than=[old])
    greeting(where)
    same(t.relay(other_than=[old]), new)
    assert not [x for x in LOG.since(mark) if "danevirke.conf:1" in x]


@test
def new_relay_that_fails():
    """a new relay that dies: the update fails, the old one goes on"""
    t = Lines()
    where = t.address("example.org")
    old, failed = t.relay(), 0
    for i in range(30):
        ident = t.request("update")
        new = t.relay_soon([old])
        os.kill(new, signal.SIGKILL)
        if t.reply("update", ident) == "ok":
            old = t.relay(other_than=t.relays()[:-1])   # it was too late
            continue
        failed += 1
        wait_for("the new relay to go", lambda: not alive(new))
        same(t.relays()[-1], old)
        LOG.wait(t.mark, r"stays: the new relay has ended, see the log")
        greeting(where)
        if failed == 3:
            break
    assert failed > 0
    assert t.update() is True
    greeting(where)


@test
def update_with_another_range():
    """after a new range domains have addresses there"""
    t = Lines()
    t.address("example.org")
    write('aliases = "127.64.7.0/24";')
    assert t.update() is True
    a = t.address("example.org")
    assert a[0].startswith("127.64.7."), a
    greeting(a)


@test
def update_while_sessions_go_on():
    """old relays finish their sessions, but for the oldest of many"""
    t = Lines()
    where = t.address("example.org")
    held = []
    for i in range(7):
        s = connect(where)
        assert s.recv(100).startswith(b"220 ")
        held.append(s)
        pid = t.relay(other_than=t.relays()[:-1])
        assert t.update() is True
        t.relay(other_than=t.relays()[:-1])
        assert pid != t.relays()[-1]
        # one that was killed may be there for a moment
        wait_for("five relays at most", lambda: len(t.relays()) <= 5, 5)
    greeting(where)
    for s in held:
        s.close()
    settled(t, 30)


@test
def nothing_leaks():
    """updates leave no descriptor behind"""
    t = Lines()
    where = t.address("example.org")
    greeting(where)
    before = descriptors(t.process.pid)
    for i in range(4):
        old = t.relay(other_than=t.relays()[:-1])
        assert t.update() is True
        os.kill(t.relay(other_than=[old] + t.relays()[:-1]), signal.SIGKILL)
        wait_for("another relay", lambda: greeting(where))
        t.update()
    write("}")
    for i in range(20):
        assert t.update() is False
    write("")
    settled(t, 30)
    greeting(where)
    same(len(descriptors(t.process.pid)), len(before))


@test
def end_of_file_during_an_update():
    """an end in mid-update leaves nothing behind"""
    t = Lines()
    pid = t.relay()
    t.request("update")
    t.fd.close()
    same(t.gone(), 0)
    wait_for("the relay to go", lambda: not alive(pid), 1)

# SPDX-License-Identifier: ISC
"""What the tests of the relay have in common: the log, table-danevirke with
the line protocol on its fd 0, smtpd's side of a session, and an upstream that
makes trouble.  relay.py starts it in the lab's world.
"""

import contextlib
import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

import smtpd
from log import Log

UID = 65534                             # "nobody" stands for smtpd's user
PROGRAM = "/mnt/danevirke/libexec/opensmtpd/table-danevirke"
CONF = "/mnt/t/relay.conf"
CLOCK = "/mnt/t/clock"

RELAY = """relay: {
	user = "nobody";
	timeouts: { connect = 3; command = 4; data = 5; ehlo = 8;
		idle = %(idle)d; };
	limits: { sessions = %(sessions)d; per_domain = %(per_domain)d; };
	failure_ttl = 2;
	%(more)s
};
log: { level = "debug"; };
"""

# Jumps forward in CLOCK_BOOTTIME, by the seconds that a file holds (D15).
CLOCK_C = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static const volatile long *jump;
__attribute__((constructor)) static void start(void)
{
	int fd = open("/mnt/t/clock", O_RDONLY | O_CLOEXEC);
	void *p = fd == -1 ? MAP_FAILED :
	    mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		jump = p;
	if (fd != -1)
		close(fd);
}
int clock_gettime(clockid_t id, struct timespec *ts)
{
	long r = syscall(SYS_clock_gettime, id, ts);
	if (r == 0 && id == CLOCK_BOOTTIME && jump != NULL)
		ts->tv_sec += *jump;
	return (int)r;
}
"""


WORLD = TABLE = JUMPY = None            # start() makes them
SANITIZED = False                       # sizes say nothing then
LOG = Log(skip="session 0x")
ROOT = threading.Lock()                 # seteuid() is for all threads
WRAP = ()                               # a command to run the program with


def same(found, wanted, what=""):
    assert found == wanted, "%s%r, want %r" % (what and what + ": ", found,
                                               wanted)


TESTS = []


def test(f):
    TESTS.append(f)
    return f


def has(text, pattern):
    assert re.search(pattern, text), "%r not in %r" % (pattern, text)


def until(what, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        r = what()
        if r:
            return r
        time.sleep(0.02)
    raise AssertionError("not within %g s" % seconds)


# --------------------------------------------------------------- the program

def processes():
    """All that live: process id -> (parent, name)."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open("/proc/%s/stat" % pid) as f:
                text = f.read()
            fields = text[text.rindex(")") + 2:].split()
            if fields[0] != "Z":
                found[int(pid)] = (int(fields[1]), text[text.index("(") + 1:
                                                        text.rindex(")")])
    return found


class Table:
    """table-danevirke, with the line protocol on fd 0."""

    def __init__(self, sessions=100, per_domain=20, idle=20, more="",
                 env=None):
        with open(CONF, "w") as f:
            f.write(WORLD.config_text(more=RELAY % locals()))
        self.fd, theirs = socket.socketpair()
        self.fd.settimeout(20)
        with theirs, open("/mnt/t/stderr", "ab") as err:
            self.process = subprocess.Popen(
                list(WRAP) + [PROGRAM, CONF] if WRAP else ["dane", CONF],
                executable=None if WRAP else PROGRAM, stdin=theirs,
                stdout=theirs, stderr=err, user=UID, group=UID,
                extra_groups=[], cwd="/", env=dict(env or {}))
        self.buffer = b""
        self.number = 0
        self.fd.sendall(b"config|smtpd-version|7.8.0\nconfig|protocol|0.1\n"
                        b"config|tablename|dane\nconfig|ready\n")
        same([self.line(), self.line()],
             ["register|relayhost", "register|ready"])

    def line(self):
        while b"\n" not in self.buffer:
            data = self.fd.recv(65536)
            assert data, "table-danevirke is gone"
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def request(self, text):
        self.number += 1
        ident = "%08x" % self.number
        self.fd.sendall(("table|0.1|1.0|dane|" + text % ident + "\n").encode())
        return self.line()

    def address(self, domain):
        r = self.request("lookup|relayhost|%s|" + domain)
        m = re.search(r"found\|smtp\+notls://(127\.64\.\d+\.\d+):(\d+)$", r)
        assert m, r
        return m.group(1), int(m.group(2))

    def update(self):
        has(self.request("update|%s"), r"\|ok$")

    def relays(self):
        """Process ids of the relay children, oldest first."""
        return sorted(p for p, (parent, name) in processes().items()
                      if parent == self.process.pid and
                      name == "danevirke-relay")

    def relay(self):
        return until(self.relays)[-1]

    def stop(self):
        self.fd.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


# --------------------------------------------------------------------- smtpd

class Closed(Exception):
    pass


class Client:
    """smtpd's side of a session with the relay."""

    def __init__(self, domain, table=None, uid=UID, source=None, greet=True):
        table = table or TABLE
        self.domain = domain
        self.addr = table.address(domain)
        with ROOT:
            os.seteuid(uid)
            try:
                self.sock = socket.socket()
            finally:
                os.seteuid(0)
        self.sock.settimeout(15)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect(self.addr)
        self.buffer = b""
        if greet:
            has(self.reply(), r"^220 ")

    def reply(self):
        """One reply, which must come alone: smtpd takes no second."""
        lines = []
        while True:
            while b"\r\n" not in self.buffer:
                data = self.sock.recv(65536)
                if not data:
                    raise Closed()
                self.buffer += data
            raw, self.buffer = self.buffer.split(b"\r\n", 1)
            assert len(raw) <= 510 and all(32 <= c < 127 for c in raw), raw
            lines.append(raw.decode())
            if lines[-1][3:4] != "-":
                break
        assert not self.buffer, "more than one reply: %r" % (
            lines + [self.buffer])
        same({x[:3] for x in lines}, {lines[-1][:3]})
        return "\n".join(lines)

    def cmd(self, line, code=None):
        if isinstance(line, str):
            line = line.encode()
        self.sock.sendall(line + b"\r\n")
        r = self.reply()
        if code is not None:
            has(r, "^%s" % code)
        return r

    def ehlo(self):
        """The extensions shown."""
        r = self.cmd("EHLO lab.alpha", 250)
        return [x[4:] for x in r.split("\n")[1:]]

    def begin(self, rcpt="user"):
        self.cmd("MAIL FROM:<me@lab.alpha>", 250)
        self.cmd("RCPT TO:<%s@%s>" % (rcpt, self.domain), 250)
        self.cmd("DATA", 354)

    def finish(self, body, code=None):
        self.sock.sendall(body + b".\r\n")
        r = self.reply()
        if code is not None:
            has(r, "^%s" % code)
        return r

    def message(self, body=b"Subject: x\r\n\r\nhello\r\n", code=250):
        self.begin()
        return self.finish(body, code)

    def quiet(self, seconds=0.3):
        ready, _, _ = select.select([self.sock], [], [], seconds)
        assert not ready, "the relay said: %r" % self.sock.recv(4096)

    def close(self):
        self.sock.close()

    def quit(self):
        self.cmd("QUIT", 221)
        same(self.sock.recv(10), b"")
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def domain(ident):
    return WORLD.scenarios[ident].domain()


def client(ident, **more):
    return Client(domain(ident), **more)


def kill_under_fire(table, pid):
    """That process ends in mid-message: a close, and no message; then the
    table serves."""
    with Upstream("tls") as u:
        with client("tls", table=table) as c:
            c.ehlo()
            c.begin()
            c.sock.sendall(b"half\r\n")
            time.sleep(0.2)
            os.kill(pid, signal.SIGKILL)
            same(c.sock.recv(100), b"")
        with client("tls", table=table) as c:
            c.ehlo()
            c.message(b"whole\r\n")
        same(u.messages, [b"whole\r\n"])


def records(ident, what="message"):
    return [r for r in WORLD.records(ident) if what in (None, r["what"])]


# ------------------------------------------------------------------ upstream

class Die(Exception):
    """The upstream ends its connection, in mid-air."""


class Upstream:
    """An SMTP server on a scenario's host: real TLS with the host's own
    certificate, and trouble as the test wants it.

    on: dict, verb or state -> Die, a reply's text, or a function of (server,
    connection) that returns None or a reply.  States: connect, ehlo2,
    handshake, body, dot; all else are verbs."""

    def __init__(self, ident, on=None, tls=None, ehlo=("SIZE 50000000",
                                                       "8BITMIME"), slow=0,
                 host="mx1"):
        host = WORLD.scenarios[ident].hosts[host]
        self.on, self.ehlo, self.slow = dict(on or {}), list(ehlo), slow
        self.tls = bool(WORLD.scenarios[ident].tlsa) if tls is None else tls
        self.cert = host.cert
        self.connections, self.messages, self.said = 0, [], []
        self.peers, self.live, self.errors = [], [], []
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host.addresses[0], 25))
        self.listener.listen(64)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                sock, peer = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.peers.append(peer)
            threading.Thread(target=self.serve, args=(sock,),
                             daemon=True).start()

    def serve(self, sock):
        c = Connection(self, sock)
        self.live.append(c)
        try:
            c.run()
        except (Die, OSError, EOFError, ValueError) as e:
            self.errors.append(repr(e))
        finally:
            c.end()

    def drop(self):
        """Closes every connection that is open."""
        for c in self.live:
            c.cut()

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.drop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Connection:
    def __init__(self, server, sock):
        self.server, self.sock, self.buffer = server, sock, b""
        self.tls = False
        self.sock.settimeout(30)
        self.rcpts = []

    def cut(self):
        """For other threads: this one may be about to read, and the number
        of a closed descriptor would be another socket's by then."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def end(self):
        self.cut()
        with contextlib.suppress(OSError):
            self.sock.close()

    def send(self, text):
        self.sock.sendall(text if isinstance(text, bytes)
                          else (text + "\r\n").encode("latin-1"))

    def line(self):
        while b"\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.buffer += data
        raw, self.buffer = self.buffer.split(b"\n", 1)
        return raw.rstrip(b"\r").decode("latin-1")

    def hook(self, state):
        """The reply that the test wants here, or None."""
        do = self.server.on.get(state)
        if callable(do) and do is not Die:
            do = do(self.server, self)
        if do is Die:
            raise Die
        return do

    def run(self):
        self.hook("connect")
        self.send("220 upstream ESMTP")
        while True:
            line = self.line()
            self.server.said.append(line)
            verb = line.split(" ")[0].upper()
            reply = self.hook("ehlo2" if verb == "EHLO" and self.tls
                              else verb.lower())
            if reply is not None:
                self.send(reply)
                if verb == "DATA" and str(reply).startswith("354"):
                    self.body()
                continue
            if verb == "EHLO":
                words = ["upstream"] + self.server.ehlo
                if self.server.tls and not self.tls:
                    words.append("STARTTLS")
                self.send("\r\n".join("250-" + w for w in words[:-1])
                          + "\r\n250 " + words[-1])
            elif verb == "STARTTLS":
                self.send("220 go")
                self.hook("handshake")
                self.start_tls()
            elif verb == "DATA":
                self.send("354 go ahead")
                self.body()
            elif verb == "QUIT":
                self.send("221 bye")
                return
            else:
                if verb == "RCPT":
                    self.rcpts.append(line)
                self.send("250 2.0.0 ok " + verb)

    def start_tls(self):
        with ROOT:
            context = smtpd.Contexts.make(self.server.cert, None)
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.tls, self.buffer = True, b""

    def body(self):
        """Octets as they come, up to CRLF.CRLF."""
        self.hook("body")
        data = bytearray(b"\r\n" + self.buffer)
        self.buffer = b""
        while True:
            at = data.find(b"\r\n.\r\n", max(0, len(data) - 70000))
            if at >= 0:
                break
            got = self.sock.recv(65536)
            if not got:
                raise EOFError
            data += got
            time.sleep(self.server.slow)
        assert at + 5 == len(data), "more after the dot"
        reply = self.hook("dot")
        if reply is None or reply.startswith("2"):
            self.server.messages.append(bytes(data[2:at + 2]))
        self.send(reply or "250 2.0.0 taken")


# -------------------------------------------------------------------- stage

def status(pid, key):
    with open("/proc/%d/status" % pid) as f:
        return int(re.search(r"^%s:\s+(\w+)" % key, f.read(), re.M)[1], 16
                   if key.startswith("Cap") else 10)


def jump(seconds):
    """Time goes by for the programs with the environment of clock()."""
    with open(CLOCK, "r+b") as f:
        now, = struct.unpack("l", f.read(8))
        f.seek(0)
        f.write(struct.pack("l", now + seconds))


def clock():
    """The environment of a program whose clock can be moved."""
    with open(CLOCK, "wb") as f:
        f.write(struct.pack("l", 0))
    with open("/mnt/t/clock.c", "w") as f:
        f.write(CLOCK_C)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", "/mnt/t/clock.so",
                    "/mnt/t/clock.c"], check=True)
    return {"LD_PRELOAD": "/mnt/t/clock.so",
            "ASAN_OPTIONS": "verify_asan_link_order=0"}


def prepare():
    os.makedirs("/mnt/t")
    os.makedirs("/mnt/dev")
    for name in ("null", "zero", "full", "random", "urandom"):
        with open("/mnt/dev/" + name, "w"):
            pass
        subprocess.run(["mount", "--bind", "/dev/" + name,
                        "/mnt/dev/" + name], check=True)
    subprocess.run(["mount", "--rbind", "/mnt/dev", "/dev"], check=True)
    subprocess.run(["ip", "addr", "add", "fd00:18::99/128", "dev", "lo"],
                   check=True)


def open_stage(world):
    global WORLD, SANITIZED
    WORLD = world
    prepare()
    LOG.start()
    with open(PROGRAM, "rb") as f:
        SANITIZED = bool(WRAP) or b"__asan_init" in f.read()


def start(world):
    """The program, twice: one whose clock can be moved."""
    global TABLE, JUMPY
    open_stage(world)
    TABLE, JUMPY = Table(), Table(env=clock())


def stop():
    """Ends the relays gracefully, so that a leak check can run; what the
    programs said on stderr."""
    for t in (TABLE, JUMPY):
        old = t.relay()
        t.update()
        until(lambda: old not in processes(), 15)   # noqa: B023
        t.stop()
    with open("/mnt/t/stderr", errors="replace") as f:
        return f.read()

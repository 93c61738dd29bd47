# SPDX-License-Identifier: ISC
"""danevirked, and a client of its map."""

import contextlib
import os
import re
import signal
import socket
import subprocess

from fd0 import (LOG, PREFIX, SAN, STDERR, TABLES, UID, alive, comm, parent_of,
                 processes, same, until)

PROGRAM = PREFIX + "/sbin/danevirked"
DIR = "/run/danevirked"
MAP = DIR + "/map"
NOTIFY = "/mnt/t/notify"
TCP = ("127.0.0.1", 10024)


@contextlib.contextmanager
def user(uid):
    """Sockets that are made inside are that user's."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class Client:
    """One connection to the map."""

    def __init__(self, where=MAP, uid=UID):
        with user(uid):
            self.sock = socket.socket(socket.AF_UNIX if isinstance(where, str)
                                      else socket.AF_INET)
            self.sock.settimeout(10)
            self.sock.connect(where)
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data)

    def line(self):
        while b"\n" not in self.buffer:
            data = self.sock.recv(4096)
            assert data, "closed after %r" % self.buffer
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.decode()

    def ask(self, text):
        self.send(text.encode() + b"\n")
        return self.line()

    def rest(self):
        """All until it closes."""
        data = self.buffer
        with contextlib.suppress(ConnectionResetError):
            while True:
                more = self.sock.recv(4096)
                if not more:
                    break
                data += more
        self.buffer = b""
        return data

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def once(data, **more):
    """As ${readsocket does it: all of the answer to one request."""
    with Client(**more) as c:
        c.send(data)
        c.sock.shutdown(socket.SHUT_WR)
        return c.rest()


def netstring(text):
    return b"%d:%s," % (len(text), text.encode())


class Daemon:
    """The program, as systemd starts it (uid), or root."""

    def __init__(self, conf, uid=UID, ready=True, env=None, path=None,
                 wrap=(), where=MAP):
        self.conf, self.where = path or "/mnt/t/daemon.conf", where
        self.write(conf)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        if uid:
            os.chown(os.path.dirname(where), uid, uid)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(NOTIFY)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(NOTIFY)
        os.chmod(NOTIFY, 0o666)
        self.notify.settimeout(10)
        self.mark = LOG.mark()
        with open(STDERR, "ab") as err:
            self.process = subprocess.Popen(
                list(wrap) + [PROGRAM, "-c", self.conf],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=err, user=uid, group=uid, extra_groups=[], cwd="/",
                env={**SAN, "NOTIFY_SOCKET": NOTIFY, **(env or {})})
        TABLES.append(self)
        if ready:
            same(self.notify.recv(100), b"READY=1")

    def write(self, conf):
        with open(self.conf + ".new", "w") as f:
            f.write(conf)
        os.chmod(self.conf + ".new", 0o644)
        os.rename(self.conf + ".new", self.conf)

    def signal(self, number):
        self.process.send_signal(number)

    def update(self, conf=None, taken=True):
        """SIGHUP; the log's line about it."""
        if conf is not None:
            self.write(conf)
        mark = LOG.mark()
        self.signal(signal.SIGHUP)
        return LOG.wait(mark, "taken over$" if taken else
                        "not taken over, the old configuration stays: .*",
                        15).string

    def address(self, domain):
        """(address, port) for a domain."""
        answer = once(domain.encode() + b"\n", where=self.where).decode()
        m = re.fullmatch(r"OK (127\.\d+\.\d+\.\d+)::(\d+)\n", answer)
        assert m, "%s: %r" % (domain, answer)
        return m.group(1), int(m.group(2))

    def relays(self):
        return sorted(p for p in processes()
                      if parent_of(p) == self.process.pid and comm(p) != "")

    def relay(self, other_than=(), seconds=5):
        for _ in until(seconds):
            now = [p for p in self.relays() if p not in other_than
                   and comm(p) == "danevirke-relay"]
            if len(now) == 1:
                return now[0]
        raise AssertionError("relays: %r" % self.relays())

    def end(self, seconds=15):
        """Its exit status, after SIGTERM."""
        self.signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def gone(self, seconds=5):
        return self.process.wait(seconds)

    def stop(self):
        relays = self.relays()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.notify.close()
        for _ in until(2):
            if not any(map(alive, relays)):
                break

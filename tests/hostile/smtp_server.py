# SPDX-License-Identifier: ISC
"""The hostile SMTP servers, one process: `smtp_server.py CONFIG`.

CONFIG is JSON: {"ready": PATH, "events": PATH, "hosts": [{"ident": IDENT,
"address": ADDRESS, "do": NAME, "args": [...], "cert": PATH, "chain": [HEX,
...], "key": PATH}, ...]}.  NAME is a function below with ATTACK before it.
What a domain did stands in "events": "begun IDENT", and "mail IDENT" if
an envelope came.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import threading
import time

import pki
import tls
from tls import ALERT, CCS, DATA, HANDSHAKE, message, record

PATIENCE = 60           # seconds for one connection
PERIOD = 1              # seconds between two octets of who is slow
ATTACKS = {}


def attack(f):
    ATTACKS[f.__name__] = f
    return f


class Host:
    def __init__(self, row, events):
        self.ident, self.address = row["ident"], row["address"]
        self.do, self.args = ATTACKS[row["do"]], row["args"]
        self.events = events
        self.chain = [bytes.fromhex(x) for x in row["chain"]]
        with open(row["key"], "rb") as f:
            pem = f.read()
        self.scheme = tls.ECDSA_P256
        if row["do"] == "group":
            self.key, self.scheme = pki.RsaPem(pem), tls.RSA_PKCS1
        elif row["do"] == "rsa":
            self.key = pki.Garbage(*self.args[1:])
            self.chain = [pki.own(self.key)]
            self.scheme = (tls.RSA_PKCS1 if self.args[0] == 12
                           else tls.RSA_PSS)
        elif row["do"] == "dsa":
            self.key = pki.GarbageDsa(self.args[1])
            self.chain = [pki.own(self.key)]
            self.scheme = tls.DSA
        else:
            self.key = pki.Ec(pem)

    def event(self, what):
        self.events.write("%s %s\n" % (what, self.ident))


class Talk:
    """A session, until the attack begins."""

    def __init__(self, host, sock):
        self.host, self.sock, self.tls = host, sock, None
        self.wire = tls.Wire(sock)
        self.end = time.monotonic() + PATIENCE

    def say(self, text):
        if self.tls:
            self.tls.send(DATA, text)
        else:
            self.sock.sendall(text)

    def line(self):
        if self.tls:
            return self.tls.line()
        out = b""
        while not out.endswith(b"\n"):
            out += self.wire.exactly(1)
        return out.decode("latin-1").strip()

    def begun(self):
        self.host.event("begun")

    def hear(self, *verbs):
        """The next line, which begins with one of these verbs."""
        line = self.line().upper()
        if line.startswith("MAIL"):
            self.host.event("mail")
        if not line.startswith(verbs):
            raise EOFError
        return line

    def banner(self):
        self.say(b"220 hostile ESMTP\r\n")
        self.hear("EHLO")

    def starttls(self):
        self.banner()
        self.say(b"250-hostile\r\n250 STARTTLS\r\n")
        self.hear("STARTTLS")
        self.say(b"220 go\r\n")

    def half(self, version, **more):
        """Before the handshake."""
        h = self.host
        self.starttls()
        make = tls.Tls13 if version == 13 else tls.Tls12
        return make(self.sock, h.chain, h.key, h.scheme, **more)

    def secure(self, version=13):
        """An honest handshake."""
        t = self.half(version)
        t.handshake()
        self.tls = t
        return t

    def until(self, verb):
        """An honest session up to this command of the client."""
        self.secure()
        self.hear("EHLO")
        for reply, next_verb in ((b"250 hostile\r\n", "MAIL"),
                                 (b"250 ok\r\n", "RCPT"),
                                 (b"250 ok\r\n", "DATA")):
            if verb == "EHLO":
                return
            self.say(reply)
            self.hear(next_verb)
            if verb == next_verb:
                return
        self.say(b"354 go\r\n")
        while self.line() != ".":
            pass

    def drip(self, text):
        self.begun()
        for i in range(len(text)):
            self.say(text[i:i + 1])
            time.sleep(PERIOD)

    def flood(self, make):
        """make() -> octets for the socket, again and again."""
        self.begun()
        while time.monotonic() < self.end:
            self.sock.sendall(make())

    def wait(self):
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass


# ----------------------------------------------------- handshakes that cost

@attack
def rsa(talk, version, *_octets):
    """A key of that many octets, and a signature of it."""
    suite = {"suite": 0xc02f} if version == 12 else {}
    flight = talk.half(version, **suite).flight()
    talk.begun()
    talk.sock.sendall(flight)
    talk.wait()


@attack
def dsa(talk, version, octets):
    rsa(talk, version, octets)


@attack
def group(talk, octets):
    """Diffie and Hellman's group, of that many octets; no prime."""
    p = b"\xff" + os.urandom(octets - 2) + b"\xff"
    flight = talk.half(12, suite=0x009e, group=p).flight()
    talk.begun()
    talk.sock.sendall(flight)
    talk.sock.recv(4096)                # it has counted: the next host


@attack
def chain(talk):
    """Certificates to be judged, behind an honest handshake."""
    talk.secure()
    talk.begun()
    talk.wait()


# -------------------------------------------------------------------- floods

@attack
def plain_flood(talk, kind):
    """In the clear, in the midst of a handshake."""
    body = {"alert": record(ALERT, b"\1\x70"), "empty": record(HANDSHAKE, b""),
            "ccs": record(CCS, b"\1")}[kind] * 10000
    t = talk.half(13)
    flight = t.flight()
    if kind == "ccs":                   # after the ServerHello
        n = 5 + int.from_bytes(flight[3:5], "big")
        talk.sock.sendall(flight[:n])
    talk.flood(lambda: body)


@attack
def sealed_flood(talk, version, kind, body):
    """Records under the session's keys."""
    t = talk.secure(version)
    body = bytes.fromhex(body)
    if len(body) > 2:                   # many messages in each
        body *= 16000 // len(body)
        talk.flood(lambda: t.sender.seal(kind, body) if version == 13
                   else t.seal(kind, body))
    seal = t.sender.seal if version == 13 else t.seal
    talk.flood(lambda: b"".join(seal(kind, body) for _ in range(500)))


@attack
def key_updates(talk, want):
    """Each under keys of its own (RFC 8446 7.2); want: an answer."""
    t = talk.secure()
    secret = t.ours

    def updates():
        nonlocal secret
        out = b""
        for _ in range(200):
            out += t.sender.seal(HANDSHAKE, message(24, bytes((want,))))
            secret = tls.expand(secret, b"traffic upd", b"", 32)
            t.sender = tls.Sender(secret)
        return out

    talk.flood(updates)


# --------------------------------------------------------- slow, and endless

@attack
def slow(talk, where):
    """An octet a second, from there on."""
    if where == "banner":
        talk.drip(b"220 hostile but slow\r\n")
    elif where == "ehlo":
        talk.banner()
        talk.drip(b"250-hostile\r\n250 STARTTLS\r\n")
    elif where == "starttls":
        talk.banner()
        talk.say(b"250-hostile\r\n250 STARTTLS\r\n")
        talk.hear("STARTTLS")
        talk.drip(b"220 go, but slowly\r\n")
    elif where == "handshake":
        talk.drip(talk.half(13).flight())
    else:
        talk.until(where)
        talk.drip(b"250 2.0.0 yes, in a while\r\n")


@attack
def endless(talk, where, text):
    """That line, for ever."""
    lines = text.encode() * 1000
    if where == "EHLO-IN-CLEAR":
        talk.banner()
    elif where != "BANNER":
        talk.until(where)
    talk.flood(lambda: lines if talk.tls is None
               else talk.tls.sender.seal(DATA, lines[:16000]))


@attack
def long_line(talk, where):
    """One of a megabyte."""
    if where != "BANNER":
        talk.until(where)
    talk.begun()
    talk.say(b"220 " if where == "BANNER" else b"250 ")
    for _ in range(64):
        talk.say(b"x" * 16000)
    talk.say(b"\r\n")
    talk.wait()


# ---------------------------------------------------------------------- main

def serve(host, sock):
    sock.settimeout(PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock, contextlib.suppress(OSError, EOFError):
        host.do(Talk(host, sock), *host.args)


def main(path):
    with open(path) as f:
        conf = json.load(f)
    events = open(conf["events"], "a", buffering=1)
    poll = selectors.DefaultSelector()
    for row in conf["hosts"]:
        host = Host(row, events)
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host.address, 25))
        s.listen(16)
        poll.register(s, selectors.EVENT_READ, host)
    with open(conf["ready"], "w"):
        pass
    while True:
        for key, _ in poll.select():
            sock, _peer = key.fileobj.accept()
            threading.Thread(target=serve, args=(key.data, sock),
                             daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1])

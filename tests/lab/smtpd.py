# SPDX-License-Identifier: ISC
"""The SMTP servers of the lab: many listeners, one process.

Run as `smtpd.py CONFIG`.  CONFIG is JSON:

    {"log": PATH, "ready": PATH, "hosts": [
        {"scenario": ID, "name": NAME, "listen": [[ADDRESS, PORT], ...],
         "cert": PATH, "sni": {NAME: PATH}, "faults": {...}}, ...]}

A certificate's key is PATH.key.  Faults, all optional:
    nostarttls      STARTTLS is not offered
    starttls        "454", "554", "250" or "421": that reply to STARTTLS
    banner          "421" or "554": that banner
    ehlo            "421" or "550": that reply to EHLO and HELO
    handshake       STARTTLS is accepted, then the handshake fails
    stall           banner, ehlo, starttls, handshake, mail: silence there
    inject          text in the clear follows the STARTTLS reply (T09)
    tls             "1.1", "1.2", "1.3": the only version spoken; "anon":
                    anonymous suites only
    lower           EHLO keywords in lower case
    reject          RCPT is refused with 550
    mail            "450" or "550": that reply to MAIL; "421": and good-bye
    odd             blackhole: drops every SYN; drip: one octet a second, for
                    ever; rcpt: closes instead of answering RCPT
    auth            AUTH PLAIN LOGIN is offered (and what comes is recorded)
    smtps           TLS from the first byte on
    resume          TLS sessions can be resumed
    keep            a message is written down as it came

The log has one JSON object per line: "what" is "connect", "auth", "mail" (a
MAIL command, not yet answered), "message", "kept" or "close"; the last tells
how far the session came.
"""

import base64
import hashlib
import itertools
import json
import os
import select
import selectors
import socket
import ssl
import sys
import threading
import time

TIMEOUT = 40
IPV6_FREEBIND = 78              # not in the socket module


class Log:
    def __init__(self, path):
        self.file = open(path, "a", buffering=1)
        self.lock = threading.Lock()

    def write(self, what, session, **more):
        row = {"what": what, "scenario": session.host["scenario"],
               "host": session.host["name"], "address": session.address,
               "port": session.port, "tls": session.tls, "sni": session.sni,
               "from": session.sender, "rcpts": session.rcpts,
               "auth": session.auth, "stage": session.stage,
               "helo": session.helo, "resumed": session.resumed}
        row.update(more)
        with self.lock:
            self.file.write(json.dumps(row) + "\n")


class Contexts:
    """TLS contexts, made when first needed."""

    def __init__(self):
        self.lock = threading.Lock()
        self.made = {}

    def get(self, path, version):
        with self.lock:
            at = (path, version)
            if at not in self.made:
                self.made[at] = self.make(path, version)
            return self.made[at]

    @staticmethod
    def make(path, version):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(path, path + ".key")
        only = {"1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2,
                "1.3": ssl.TLSVersion.TLSv1_3}.get(version)
        if version == "1.1":
            ctx.set_ciphers("DEFAULT:@SECLEVEL=0")
        elif version == "anon":
            ctx.maximum_version = ssl.TLSVersion.TLSv1_2
            ctx.set_ciphers("aNULL:@SECLEVEL=0")
        if only:
            ctx.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            ctx.maximum_version = only
            if version != "1.1":
                ctx.minimum_version = only
        return ctx


CONTEXTS = Contexts()


def text_of(message):
    """Without the header, to which servers on the way add."""
    return message.partition(b"\r\n\r\n")[2]


class Session:
    def __init__(self, host, sock, address, port, log):
        self.host, self.sock = host, sock
        self.address, self.port, self.log = address, port, log
        self.faults = host.get("faults", {})
        self.tls = self.sni = self.sender = None
        self.rcpts, self.auth = [], []
        self.stage = "connect"
        self.buffer = b""
        self.helo = ""
        self.resumed = False

    # ------------------------------------------------------------ plumbing

    def say(self, *lines):
        self.sock.sendall("".join(x + "\r\n" for x in lines).encode())

    def line(self):
        while b"\n" not in self.buffer:
            data = self.sock.recv(65536)
            if not data or len(self.buffer) > 100000:
                raise EOFError
            self.buffer += data
        raw, self.buffer = self.buffer.split(b"\n", 1)
        return raw.rstrip(b"\r").decode("utf-8", "replace")

    def stall(self, where):
        """Waits, silent, until the client gives up."""
        if self.faults.get("stall") != where:
            return
        self.stage = "stall " + where
        self.sock.settimeout(None)
        while self.sock.recv(65536):
            pass
        raise EOFError

    def drip(self):
        """A banner without an end."""
        self.stage = "drip"
        for octet in itertools.cycle(b"220-octet by octet\r\n"):
            self.sock.sendall(bytes([octet]))
            time.sleep(1)

    def start_tls(self):
        self.stage = "handshake"
        if self.faults.get("handshake"):
            # fatal alert 40, handshake_failure
            self.sock.recv(4096)
            self.sock.sendall(bytes.fromhex("15030300020228"))
            raise EOFError
        self.stall("handshake")
        version = self.faults.get("tls")

        def choose(tls, name, _ctx):
            self.sni = name
            other = self.host.get("sni", {}).get(name)
            if other:
                tls.context = CONTEXTS.get(other, version)

        # a context of its own: the callback belongs to this session
        make = CONTEXTS.get if self.faults.get("resume") else Contexts.make
        own = make(self.host["cert"], version)
        own.sni_callback = choose
        self.sock = own.wrap_socket(self.sock, server_side=True)
        self.resumed = self.sock.session_reused
        self.tls = self.sock.version()
        self.buffer = b""
        self.stage = "tls"

    # ------------------------------------------------------------ dialogue

    def run(self):
        self.log.write("connect", self)
        if self.faults.get("smtps"):
            self.start_tls()
        banner = self.faults.get("banner")
        self.stall("banner")
        if self.faults.get("odd") == "drip":
            self.drip()
        if banner:
            self.say(banner + " not today")
            self.stage = "banner refused"
            return
        self.say("220 %s ESMTP" % self.host["name"])
        for _ in range(1000):
            words = self.line().split(None, 1)
            verb = words[0].upper() if words else ""
            rest = words[1] if len(words) > 1 else ""
            do = getattr(self, "do_" + verb.lower(), None)
            if do is None:
                self.say("500 unknown command")
            elif do(rest) is False:
                return

    def do_ehlo(self, rest):
        self.stage = "ehlo"
        self.stall("ehlo")
        self.helo = rest
        if self.faults.get("ehlo"):
            self.say(self.faults["ehlo"] + " not today")
            return
        words = ["8BITMIME", "PIPELINING", "SIZE 20000000"]
        if not self.tls and not self.faults.get("nostarttls"):
            words.append("STARTTLS")
        if self.faults.get("auth"):
            words.append("AUTH PLAIN LOGIN")
        if self.faults.get("lower"):
            words = [w.lower() for w in words]
        words.insert(0, self.host["name"])
        self.say(*["250-" + w for w in words[:-1]], "250 " + words[-1])

    def do_helo(self, rest):
        self.stage = "ehlo"
        self.helo = rest
        if self.faults.get("ehlo"):
            self.say(self.faults["ehlo"] + " not today")
        else:
            self.say("250 " + self.host["name"])

    def do_starttls(self, _rest):
        self.stage = "starttls"
        self.stall("starttls")
        refusal = self.faults.get("starttls")
        if refusal:
            self.say(refusal + " no TLS today")
            return
        if self.faults.get("nostarttls"):
            self.say("502 no such command")
            return
        if self.faults.get("inject"):
            self.say("220 go", "250-injected", "250 AUTH PLAIN")
        else:
            self.say("220 go")
        self.start_tls()

    def do_auth(self, rest):
        kind, _, first = rest.partition(" ")
        if kind.upper() == "PLAIN":
            if not first:
                self.say("334 ")
                first = self.line()
            self.auth.append(base64.b64decode(first).decode("latin-1"))
        else:
            self.say("334 VXNlcm5hbWU6")
            user = self.line()
            self.say("334 UGFzc3dvcmQ6")
            self.auth.append(user + " " + self.line())
        self.log.write("auth", self)
        self.say("235 welcome")

    def do_mail(self, rest):
        self.stage = "mail"
        self.log.write("mail", self)
        self.stall("mail")
        if self.faults.get("mail"):
            self.say(self.faults["mail"] + " not today")
            return self.faults["mail"] != "421"     # RFC 5321 3.8
        self.sender = rest.split(":", 1)[-1].split()[0].strip("<>")
        self.rcpts = []
        self.say("250 ok")

    def do_rcpt(self, rest):
        if self.faults.get("odd") == "rcpt":
            return False
        if self.faults.get("reject"):
            self.say("550 5.1.1 no such user")
            return
        self.rcpts.append(rest.split(":", 1)[-1].split()[0].strip("<>"))
        self.say("250 ok")

    def do_data(self, _rest):
        if not self.rcpts:
            self.say("554 no recipients")
            return
        self.stage = "data"
        self.say("354 go")
        lines = []
        while True:
            text = self.line()
            if text == ".":
                break
            lines.append(text[1:] if text.startswith(".") else text)
        body = ("\r\n".join(lines) + "\r\n").encode()
        msgid = next((x.split(":", 1)[1].strip() for x in lines
                      if x.lower().startswith("message-id:")), "")
        self.stage = "message"
        self.log.write("message", self, size=len(body), id=msgid,
                       sha256=hashlib.sha256(body).hexdigest(),
                       text=hashlib.sha256(text_of(body)).hexdigest())
        if self.faults.get("keep"):
            self.log.write("kept", self, content=body.decode("latin-1"))
        self.say("250 2.0.0 taken")
        self.sender, self.rcpts = None, []

    def do_rset(self, _rest):
        self.sender, self.rcpts = None, []
        self.say("250 ok")

    def do_noop(self, _rest):
        self.say("250 ok")

    def do_quit(self, _rest):
        self.say("221 bye")
        if self.tls:
            self.sock.settimeout(3)
            self.sock.unwrap()          # close_notify
        return False


def serve(host, sock, address, port, log):
    session = Session(host, sock, address, port, log)
    sock.settimeout(TIMEOUT)
    try:
        session.run()
    except (OSError, EOFError, ValueError):
        pass
    finally:
        log.write("close", session)
        try:
            session.sock.close()
        except OSError:
            pass


def listen(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        # routed to lo, but no interface has it: Exim would call it itself
        s.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    s.bind((address, port))
    s.listen(64)
    s.setblocking(False)
    return s


def blackhole(address, port):
    """A full backlog: the kernel drops each SYN that comes.  To be kept."""
    hole = listen(address, port)
    hole.listen(0)
    kept = [hole]
    for _ in range(8):
        s = socket.socket(hole.family)
        s.setblocking(False)
        s.connect_ex((address, port))
        kept.append(s)
        if not select.select([], [s], [], 0.2)[1]:
            return kept
    raise RuntimeError("%s port %d answers still" % (address, port))


def main(path):
    with open(path) as f:
        conf = json.load(f)
    log = Log(conf["log"])
    threading.stack_size(512 * 1024)
    poll = selectors.DefaultSelector()
    holes = []
    for host in conf["hosts"]:
        for address, port in host["listen"]:
            if host.get("faults", {}).get("odd") == "blackhole":
                holes += blackhole(address, port)
                continue
            poll.register(listen(address, port), selectors.EVENT_READ,
                          (host, address, port))
    with open(conf["ready"], "w") as f:
        f.write("%d\n" % os.getpid())
    while True:
        for key, _ in poll.select():
            host, address, port = key.data
            try:
                sock, _peer = key.fileobj.accept()
            except OSError:
                continue
            sock.setblocking(True)
            # replies to pipelined commands go out one by one
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve, daemon=True,
                             args=(host, sock, address, port, log)).start()


if __name__ == "__main__":
    main(sys.argv[1])

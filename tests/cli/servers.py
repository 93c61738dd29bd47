# SPDX-License-Identifier: ISC
"""SMTP servers that tests/lab/smtpd.py has no faults for: two certificates,
a choice by SNI, one address of two, few connections.

    with servers.Servers() as up:
        up.listen([address], cert, rsa=other, known={name}, ...)
"""

import os
import socket
import ssl
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "lab"))
import smtpd  # noqa: E402


class Quiet:
    def write(self, what, session, **more):
        pass


class Session(smtpd.Session):
    def do_starttls(self, rest):
        if self.host.get("notnow", 0) > self.host["n"]:
            self.say("421 too many connections, later")
        else:
            super().do_starttls(rest)

    def do_ehlo(self, rest):
        if self.tls and self.host.get("notnowtls", 0) > self.host["n"]:
            self.say("421 too many sessions, later")
        else:
            super().do_ehlo(rest)

    def start_tls(self):
        self.stage = "handshake"
        h = self.host
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for cert in filter(None, (h["cert"], h.get("rsa"))):
            ctx.load_cert_chain(cert, cert + ".key")
        if h.get("client"):
            ctx.verify_mode = ssl.CERT_REQUIRED
            ctx.load_verify_locations(h["cert"])

        def choose(tls, name, _ctx):
            self.sni = name
            other = h.get("sni", {}).get(name)
            if other:
                tls.context = smtpd.CONTEXTS.get(other, None)
            if name is None and h.get("need_sni"):
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            if name is not None and name not in h.get("known", {name}):
                return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
            return None

        ctx.sni_callback = choose
        self.sock = ctx.wrap_socket(self.sock, server_side=True)
        self.tls = self.sock.version()
        self.buffer = b""
        self.stage = "tls"


class Servers:
    def __init__(self):
        self.sockets = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.shutdown(socket.SHUT_RDWR)        # wakes accept()
            s.close()

    def listen(self, addresses, cert, **how):
        """how: rsa (a second certificate), sni {name: cert}, known (a set of
        names, others are refused), need_sni, most (connections, then it
        closes), client (wants a certificate of the client), notnow (so many
        connections get 421 to STARTTLS), notnowtls (421 behind it)."""
        host = dict(how, cert=cert, scenario="", name="mx")
        for a in addresses:
            s = smtpd.listen(a, 25)
            s.setblocking(True)
            self.sockets.append(s)
            threading.Thread(target=self.loop, args=(s, host, a),
                             daemon=True).start()

    @staticmethod
    def loop(listener, host, address):
        for n in range(10000):
            try:
                sock, _peer = listener.accept()
            except OSError:
                return
            if n >= host.get("most", 10000):
                sock.close()
                continue
            threading.Thread(target=Servers.serve, daemon=True,
                             args=(sock, dict(host, n=n), address)).start()

    @staticmethod
    def serve(sock, host, address):
        sock.settimeout(20)
        s = Session(host, sock, address, 25, Quiet())
        try:
            s.run()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            s.sock.close()

# SPDX-License-Identifier: ISC
"""The relay: what it says as an SMTP server and as a client."""

import contextlib
import hashlib
import re
import threading
import time

import play
from play import (Closed, Die, Upstream, client, domain, has, same, status,
                  test, until)


@test
def transparent():
    """dots, long lines and 8-bit octets arrive as they were sent"""
    # However they are cut into pieces.
    body = (b"Subject: x\r\n\r\n..\r\n...\r\n.. \r\n..x\r\n\r..\rx\r\n"
            b"\n..\n\r\r\n" + bytes(range(128, 256)) + b"\0\r\n" +
            b"y" * 70000 + b"\r\n..\r\n\r\n\r\n")
    with Upstream("tls") as u, client("tls") as c:
        c.ehlo()
        c.begin()
        for i in range(0, 60):
            c.sock.sendall(body[i:i + 1])
            time.sleep(0.002)
        c.sock.sendall(body[60:-8])
        for x in (body[-8:-3], body[-3:] + b".", b"\r"):
            c.sock.sendall(x)
            time.sleep(0.05)
        c.quiet(0.1)
        c.sock.sendall(b"\n")
        same(c.reply(), "250 2.0.0 dane: mx1.tls.alpha: taken")
        same(u.messages, [body])
        c.cmd("MAIL FROM:<a@b> BODY=8BITMIME SIZE=4711", 250)
        same(u.said[-1], "MAIL FROM:<a@b> BODY=8BITMIME SIZE=4711")
        c.cmd("NOOP", 250)
        c.cmd("RSET", 250)
        same(u.said[-2:], ["NOOP", "RSET"])
        c.quit()
        until(lambda: u.said[-1] == "QUIT")
        same(u.connections, 1)


@test
def empty_message():
    """the final dot may be the first line"""
    with Upstream("tls") as u, client("tls") as c:
        c.ehlo()
        c.message(b"")
        same(u.messages, [b""])


@test
def verdict_reply():
    """the client's log has our verdict, whatever the server says (P07)"""
    for ident, reply, said in (
            ("tls", "250 dane: ok", "250 dane: %s: dane: ok"),
            ("tls", "250", "250 dane: %s: "),
            ("tls", "250 2.6.0", "250 2.6.0 dane: %s: "),
            ("tls", "250-2.0.0 a\r\n250 2.0.0 b", "250 2.0.0 dane: %s: b"),
            ("tls", "250 2.0.0 " + 470 * "x", "250 2.0.0 dane: %s: xxx"),
            ("raw", "250 2.0.0 dane: ok", "250 2.0.0 clear: %s: dane: ok")):
        with Upstream(ident, on={"dot": reply}) as u, \
                client(ident) as c:
            c.ehlo()
            heard = c.message()
            has(heard, "^" + re.escape(said % ("mx1." + domain(ident))))
            assert len(heard) <= 480 and "\n" not in heard, heard


@test
def extensions():
    """only what is relayed right is shown"""
    offer = ("size 1234567", "8bitmime", "SMTPUTF8", "Dsn", "PIPELINING",
             "CHUNKING", "AUTH PLAIN LOGIN", "AUTH=LOGIN", "BINARYMIME",
             "ENHANCEDSTATUSCODES", "VRFY", "X-FOO", "REQUIRETLS")
    with Upstream("tls", ehlo=offer), client("tls") as c:
        same(c.ehlo(), ["SIZE 1234567", "8BITMIME", "SMTPUTF8", "DSN",
                        "ENHANCEDSTATUSCODES"])
        for line in ("BDAT 5 LAST", "AUTH PLAIN", "STARTTLS", "VRFY x"):
            c.cmd(line, 502)
        c.cmd("NOOP \x01", 502)
        # a local domain's LMTP that came here by mistake must not bounce
        c.cmd("LHLO lab.alpha", 451)
    with Upstream("tls"), client("tls") as c:
        same(c.cmd("HELO lab.alpha", 250).count("\n"), 0)
        c.message()


@test
def replies():
    """replies of many lines and controls become what smtpd can read"""
    many = "\r\n".join(["550-5.1.1 line %d " % i + "x" * 300
                        for i in range(40)] + ["550 5.1.1 the end"])
    on = {"rcpt": lambda u, c: {
        1: "550-5.1.1 one\r\n550-5.1.1 tw\xf6\x07\x1b[1m\r\n550 5.1.1 three",
        2: many, 3: "250"}[sum(x.startswith("RCPT") for x in u.said)]}
    with Upstream("tls", on=on), client("tls") as c:
        c.ehlo()
        c.cmd("MAIL FROM:<>", 250)
        rcpt = "RCPT TO:<user@%s>" % c.domain
        same(c.cmd(rcpt), "550-5.1.1 one\n550-5.1.1 tw???[1m\n550 5.1.1 three")
        r = c.cmd(rcpt).split("\n")
        assert len("\r\n".join(r)) < 2048 and r[0].startswith("550-5.1.1 line")
        same(r[-1], "550 5.1.1 the end")
        c.cmd(rcpt, "250 ")
        c.finish_data = c.cmd("DATA", 354)
        c.finish(b"x\r\n", 250)


@test
def nonsense():
    """replies that are none, or out of place, are 451, never 2xx"""
    for on, verb in (({"mail": "hello there"}, "MAIL"),
                     ({"mail": "354 go"}, "MAIL"),
                     ({"rcpt": "99 what"}, "RCPT"),
                     ({"rcpt": "250-a\r\n251 b"}, "RCPT"),
                     ({"data": "250 ok"}, "DATA"),
                     ({"data": "x" * 9000}, "DATA")):
        with Upstream("tls", on=on), client("tls") as c:
            c.ehlo()
            r = c.cmd("MAIL FROM:<>")
            if verb != "MAIL":
                has(r, "^250")
                r = c.cmd("RCPT TO:<u@%s>" % c.domain)
            if verb == "DATA":
                has(r, "^250")
                r = c.cmd("DATA")
            has(r, "^451 4")
            c.cmd("RSET", 250)
    with Upstream("tls", on={"dot": "354 more"}), client("tls") as c:
        c.ehlo()
        has(c.message(code=None), "^451 4")
        c.cmd("RSET", 250)
    # a reply to what was not yet asked
    with Upstream("tls", on={"mail": "250 ok\r\n250 and rcpt"}) as u, \
            client("tls") as c:
        c.ehlo()
        c.cmd("MAIL FROM:<>", 250)
        c.cmd("RCPT TO:<u@%s>" % c.domain, 451)
        c.cmd("RSET", 250)
        del u.on["mail"]
        c.message()


@test
def early_replies():
    """during DATA a refusal counts, a 2xx does not"""
    body = b"z" * 78 + b"\r\n"
    for early, want in ((b"552 5.3.4 too big\r\n", "552 5.3.4 too big"),
                        (b"421 4.3.2 closing\r\n", "421 4.3.2 closing"),
                        (b"250 2.0.0 taken\r\n", "451 4.5.0 ")):
        def reply(u, c):
            c.send(early)
            time.sleep(0.1)
        with Upstream("tls", on={"body": reply}) as u, client("tls") as c:
            c.ehlo()
            c.begin()
            c.sock.sendall(body * 10)
            time.sleep(0.3)
            c.quiet(0.1)
            c.sock.sendall(body * 5000)
            has(c.finish(b""), "^" + re.escape(want))
            same(u.messages, [])
            # the next one is not affected
            del u.on["body"]
            c.cmd("RSET", 250)
            c.message()
            same((len(u.messages), u.connections), (1, 2))
    # with the go-ahead: smtpd has seen it already
    with Upstream("tls", on={"data": "354 go\r\n250 taken"}) as u, \
            client("tls") as c:
        c.ehlo()
        c.begin()
        has(c.finish(body), "^451")
        same(u.messages, [])
        c.cmd("RSET", 250)


def on_the_way():
    """Octets that wait in the kernel between the relay and its upstreams."""
    total = 0
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            word = line.split()
            if "0019" in (word[1][-4:], word[2][-4:]):
                total += sum(int(x, 16) for x in word[4].split(":"))
    return total


@test
def early_taken():
    """a 2xx while the end of the message is still here is 451"""
    full = threading.Event()

    def reply(u, c):
        full.wait(20)
        c.send(b"250 2.0.0 taken\r\n")
        time.sleep(0.5)

    with Upstream("tls", on={"body": reply}) as u, client("tls") as c:
        c.ehlo()
        c.begin()
        now, before = on_the_way(), -1
        while before < now < 1 << 25:
            c.sock.sendall((b"z" * 78 + b"\r\n") * 600)
            time.sleep(0.1)     # for the acknowledgement of what arrived
            now, before = on_the_way(), now
        c.sock.sendall(b".\r\n")
        time.sleep(0.1)
        full.set()
        has(c.reply(), "^451")
        c.quiet(0.1)
        same(u.messages, [])
        del u.on["body"]
        c.cmd("RSET", 250)
        c.message()


DEATHS = ("connect", "ehlo", "starttls", "handshake", "ehlo2", "mail", "rcpt",
          "data", "body", "dot")


@test
def deaths():
    """an upstream that dies in any state is a temporary failure"""
    # The session with smtpd lives, and the next message arrives once.
    for ident in ("tls", "raw"):
        for state in DEATHS:
            if ident == "raw" and state in ("starttls", "handshake", "ehlo2"):
                continue
            with Upstream(ident, on={state: Die}) as u, client(ident) as c:
                c.ehlo()
                r = c.cmd("MAIL FROM:<me@lab.alpha>")
                if state in DEATHS[:5]:
                    has(r, r"^451 4\.(4\.[12]|7\.5) ")
                elif state == "mail":
                    has(r, r"^451 4\.4\.2 ")
                else:
                    has(r, "^250")
                    r = c.cmd("RCPT TO:<user@%s>" % c.domain)
                    if state != "rcpt":
                        has(r, "^250")
                        r = c.cmd("DATA")
                    if state in ("body", "dot"):
                        has(r, "^354")
                        r = c.finish(b"0123456789\r\n" * 20000)
                    has(r, r"^451 4\.4\.2 ")
                c.cmd("RSET", 250)
                del u.on[state]
                if state in DEATHS[:5]:
                    time.sleep(3.1)     # failure_ttl
                c.message()
                same(u.messages, [b"Subject: x\r\n\r\nhello\r\n"])
                c.quit()


@test
def lost_in_transaction():
    """an upstream that goes between RCPT and DATA: 451 until the next MAIL"""
    with Upstream("tls") as u, client("tls") as c:
        c.ehlo()
        c.cmd("MAIL FROM:<>", 250)
        c.cmd("RCPT TO:<a@%s>" % c.domain, 250)
        u.drop()
        time.sleep(0.2)
        c.quiet()
        c.cmd("RCPT TO:<b@%s>" % c.domain, "451 4.4.2")
        c.cmd("DATA", "451 4.4.2")
        c.cmd("RSET", 250)
        c.message()
        same((len(u.messages), u.connections), (1, 2))


@test
def reuse():
    """several messages go in a session; an upstream lost while idle is
    unseen"""
    # 421 to MAIL likewise.
    with Upstream("tls") as u, client("tls") as c:
        c.ehlo()
        for i in range(5):
            c.message(b"%d\r\n" % i)
        same((len(u.messages), u.connections), (5, 1))
        u.drop()
        c.quiet()
        c.message(b"5\r\n")
        same((len(u.messages), u.connections), (6, 2))
        # says good-bye, as RFC 5321 3.8 has it
        u.live[-1].send("421 4.4.2 idle for too long")
        c.quiet()
        c.message(b"6\r\n")
        same((len(u.messages), u.connections), (7, 3))
        u.on["mail"] = lambda u, _c: \
            "421 4.4.2 enough" if u.connections == 3 else None
        c.message(b"7\r\n")
        same((len(u.messages), u.connections), (8, 4))
        # a new one that refuses MAIL with 421 is not tried for ever
        u.on["mail"] = "421 4.4.2 enough"
        c.cmd("MAIL FROM:<>", "421 4.4.2 enough")
        same(u.connections, 5)
        del u.on["mail"]
        c.message(b"8\r\n")
        same([int(m) for m in u.messages], list(range(9)))
        c.quit()


@test
def shrunk():
    """an upstream that offers less than was shown is 451 at MAIL"""
    for less, word in ((("8BITMIME", "SIZE 999"), "SIZE"),
                       (("SIZE 50000000",), "8BITMIME")):
        with Upstream("tls") as u, client("tls") as c:
            same(c.ehlo(), ["SIZE 50000000", "8BITMIME"])
            c.message()
            u.ehlo = list(less)
            u.drop()
            has(c.cmd("MAIL FROM:<>"), "^451 4.3.3 .*" + word)
            c.cmd("RSET", 250)
            has(c.cmd("MAIL FROM:<>"), "^451 4.3.3 .*" + word)
            c.cmd("RSET", 250)
            same(set(c.ehlo()), set(less))
            c.message()
    # more than was shown is all right
    with Upstream("tls", ehlo=("8BITMIME",)) as u, client("tls") as c:
        same(c.ehlo(), ["8BITMIME"])
        u.ehlo = ["SIZE 1000", "8BITMIME", "DSN"]
        u.drop()
        c.message()


@test
def other_domain():
    """a session is for one domain (S06)"""
    with Upstream("tls") as u, client("tls") as c:
        c.ehlo()
        c.cmd("MAIL FROM:<>", 250)
        for rcpt in ("u@good.alpha", "u", "u@%s.example" % c.domain,
                     '"a@%s"@good.alpha' % c.domain,
                     "@%s:u@good.alpha" % c.domain, ""):
            has(c.cmd("RCPT TO:<%s>" % rcpt), "^451 4.4.4")
        same([x for x in u.said if x.startswith("RCPT")], [])
        c.cmd("RCPT TO:<u@%s>" % c.domain.upper(), 250)
        c.cmd('RCPT TO:<"a b>@good.alpha"@%s.> NOTIFY=NEVER' % c.domain, 250)


@test
def big():
    """30 MiB go through little memory"""
    size = 30 << 20
    body = bytearray()
    line = b"%077d\r\n"
    for i in range(size // 79):
        body += line % i
    with Upstream("tls") as u, client("tls") as c:
        c.ehlo()
        before = status(play.TABLE.relay(), "VmRSS")
        c.begin()
        began = time.monotonic()
        c.sock.sendall(bytes(body))
        has(c.finish(b""), "^250")
        took = time.monotonic() - began
        after = status(play.TABLE.relay(), "VmRSS")
        same(hashlib.sha256(u.messages[0]).digest(),
             hashlib.sha256(body).digest())
        print("#   30 MiB in %.1f s, memory %d -> %d KiB" % (
            took, before, after))
        assert play.SANITIZED or after - before < 4096


@test
def backpressure():
    """an upstream that reads nothing makes smtpd wait"""
    stop = threading.Event()

    def wait(_u, _c):
        stop.wait(3)
    with Upstream("raw", on={"body": wait}) as u, client("raw") as c:
        c.ehlo()
        c.begin()
        sent = 0
        c.sock.setblocking(False)
        end = time.monotonic() + 1
        piece = b"q" * 998 + b"\r\n"
        # whole lines, whatever the socket takes
        pending = b""
        while time.monotonic() < end and sent < 64 << 20:
            pending = pending or piece * 60
            try:
                n = c.sock.send(pending)
                sent, pending = sent + n, pending[n:]
            except BlockingIOError:
                time.sleep(0.01)
        rss = status(play.TABLE.relay(), "VmRSS")
        print("#   %d KiB taken from smtpd, memory %d KiB" % (
            sent >> 10, rss))
        assert sent < 20 << 20, sent
        stop.set()
        c.sock.setblocking(True)
        c.sock.settimeout(15)
        c.sock.sendall(pending)
        has(c.finish(b""), "^250")
        same(len(u.messages[0]), sent + len(pending))


@test
def broken_off():
    """smtpd goes in mid-message: the upstream sees no message"""
    for ident in ("tls", "raw"):
        with Upstream(ident) as u, client(ident) as c:
            c.ehlo()
            c.begin()
            c.sock.sendall(b"half a message\r\n.")
            time.sleep(0.2)
            c.close()
            time.sleep(0.2)
            same(u.messages, [])


@test
def commands():
    """what smtpd would not say is answered, and nothing is handed on"""
    with Upstream("tls") as u, client("tls") as c:
        c.cmd("MAIL FROM:<>", 503)
        c.cmd("RSET", 250)
        c.cmd("NOOP", 250)
        c.cmd("EHLO", 501)
        c.cmd("EHLO a b", 501)
        c.cmd("EHLO \xe9", 501)
        c.cmd("", 502)
        c.cmd("MAIL\x00 FROM:<>", "50[23]")
        same(u.connections, 0)
        c.ehlo()
        c.cmd("MAIL FROM:<a\rRCPT TO:<b>", 502)
        c.cmd("MAIL FROM:<>", 250)
        c.cmd("MAIL FROM:<>", 503)
        c.sock.sendall(b"NOOP " + b"x" * 5000)
        has(c.reply(), "^500 ")
        with contextlib.suppress(ConnectionResetError):
            same(c.sock.recv(10), b"")
    with client("tls") as c:
        with contextlib.suppress(Closed, OSError):
            for _ in range(100):
                c.cmd("HELP", 502)
            raise AssertionError("no end")

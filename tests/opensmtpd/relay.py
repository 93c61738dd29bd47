#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""The relay of table-danevirke in the lab's world: this test plays smtpd, on
fd 0 and on the aliases, and where it has to, the upstream.

    tests/opensmtpd/relay.py --build DIR [--valgrind] [PATTERN...]

Needs root, for tests/lab/run.  The last line is "N passed, M failed".
"""

import argparse
import contextlib
import fnmatch
import hashlib
import os
import re
import select
import signal
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
LAB = os.path.join(os.path.dirname(HERE), "lab")
sys.path.insert(0, HERE)
sys.path.insert(0, LAB)

import play                                             # noqa: E402
from play import (UID, Closed, Die, Table, Upstream, client, domain, has,
                  jump, processes, records, same, status,
                  until)                                # noqa: E402

INSIDE = "DV_RELAY_INSIDE"
LOG = WORLD = TABLE = None


# --------------------------------------------------------------------- tests

TESTS = []


def test(f):
    TESTS.append(f)
    return f


@test
def good():
    """T01 S01 S08: DANE holds, and the message arrives, over TLS"""
    mark = LOG.mark()
    with client("good") as c:
        same(c.ehlo(), ["SIZE 20000000", "8BITMIME"])
        c.message(b"Message-ID: <1@x>\r\n\r\n..dots\r\nhi\r\n")
        c.quit()
    r, = until(lambda: records("good"))
    same((r["sni"], r["from"], r["rcpts"], r["helo"]),
         ("mx1.good.alpha", "me@lab.alpha", ["user@good.alpha"], "lab.alpha"))
    assert r["tls"], r
    same(r["sha256"], hashlib.sha256(
        b"Message-ID: <1@x>\r\n\r\n.dots\r\nhi\r\n").hexdigest())
    line = LOG.wait(mark, r"good\.alpha via ")
    has(line, r"good\.alpha via mx1\.good\.alpha:25: dane: .*TLS1\.3.*"
        r"TLSA 3 1 1, no\. 1\)")
    same(len([x for x in LOG.since(mark) if " via " in x]), 1)


@test
def good_kinds():
    """U08 M06 T03 T04: each kind of host, and its verdict in the log"""
    for ident, verdict, tls in (
            ("six", "dane", True), ("anchor", "dane", True),
            ("lower", "dane", True),
            ("insecuremx", "dane-insecure-mx", True),
            ("encrypt", "encrypt", True),
            ("plain", "opportunistic-tls", True),
            ("plainclear", "clear", False), ("plain454", "clear", False),
            ("plainhandshake", "clear", False)):
        mark = LOG.mark()
        with client(ident) as c:
            c.ehlo()
            c.message()
            c.quit()
        r, = until(lambda: records(ident))
        same(bool(r["tls"]), tls, ident)
        line = LOG.wait(mark, re.escape(domain(ident)) + " via ")
        has(line, r" via mx1\.\S+:25: %s: " % verdict)


REFUSED = ("wrong", "nostarttls", "starttls454", "starttls554", "handshake",
           "inject", "banner554", "ehlo550", "encryptclear")


@test
def refused():
    """T02 T03 T09 T10 U16: a host that needs TLS and fails gets nothing"""
    for ident in REFUSED:
        mark = LOG.mark()
        with client(ident) as c:
            same(c.ehlo(), [], ident)
            before = len(records(ident, "connect"))
            for _ in range(3):
                r = c.cmd("MAIL FROM:<me@lab.alpha>", "451 4.7.5 ")
                assert "\n" not in r
                has(r, r"451 4\.7\.5 mx1\.%s:25: " % re.escape(domain(ident)))
                c.cmd("RCPT TO:<user@%s>" % c.domain, 503)
                c.cmd("DATA", 503)
                c.cmd("RSET", 250)
            # remembered: no new connection within failure_ttl
            same(len(records(ident, "connect")), before, ident)
            c.quit()
        for row in records(ident, None):
            assert row["from"] is None and row["what"] != "message", row
        line = LOG.wait(mark, "deferred")
        has(line, r"%s via mx1\.\S+:25: deferred: .*" %
            re.escape(domain(ident)))
        if ident != "inject":
            has(line, {"wrong": r"\[validation-failure\]",
                       "handshake": r"\[validation-failure\]"}.get(
                           ident, r"\[starttls-not-supported\]|554|550"))
        # in the words of the log
        has(line, re.escape(r.split(":25: ")[1][:300]))


@test
def remembered():
    """a failed verdict is kept failure_ttl seconds, for other sessions, too"""
    time.sleep(2.2)
    with client("wrong") as c, client("wrong") as d:
        c.ehlo()
        before = len(records("wrong", "connect"))
        d.ehlo()
        d.cmd("MAIL FROM:<>", 451)
        same(len(records("wrong", "connect")), before)
        time.sleep(3.1)
        d.cmd("MAIL FROM:<>", 451)
        until(lambda: len(records("wrong", "connect")) == before + 1)


@test
def outcomes():
    """Z02 D04 M10 M12 D06 D08: what DNS says, as a reply to MAIL"""
    for ident, code, verdict in (
            ("nullmx", "556 5.1.10", "bounced"),
            ("nodomain", "550 5.1.2", "bounced"),
            ("ourselves", "554 5.4.6", "bounced"),
            ("range", r"(451|554) [45]\.\d\.\d", "(deferred|bounced)"),
            ("nomxanswer", "451 4.(4.3|7.5)", "deferred"),
            ("bogus", "451 4.7.5", "deferred")):
        mark = LOG.mark()
        with client(ident) as c:
            same(c.ehlo(), [], ident)
            r = c.cmd("MAIL FROM:<me@lab.alpha>", code + " ")
            assert "\n" not in r
            c.cmd("RSET", 250)
            c.quit()
        LOG.wait(mark, r"%s(: | via \S+: )%s: " % (
            re.escape(domain(ident)), verdict))


@test
def next_host():
    """M02 D07 P04: the second host, if the first is broken"""
    for ident in ("two", "twodown"):
        mark = LOG.mark()
        with client(ident) as c:
            c.ehlo()
            c.message()
            c.quit()
        r, = until(lambda: records(ident))
        same(r["host"], "mx2")
        LOG.wait(mark, r"via mx1\.\S+:25: deferred: ")
        LOG.wait(mark, r"via mx2\.\S+:25: dane: ")
    with client("twobroken") as c:
        c.ehlo()
        # the first failure of DANE counts, not that of the connection
        has(c.cmd("MAIL FROM:<>"), r"451 4\.7\.5 mx1\.")


@test
def refuses_us():
    """T10: a 5xx banner of a host without DANE is no bounce"""
    with client("plainrefuses") as c:
        c.ehlo()
        has(c.cmd("MAIL FROM:<>"), r"451 4\.4\.2 .*554")


@test
def audit():
    """P02: judged and logged, and delivered"""
    for ident, word in (("audited", "opportunistic-tls"),
                        ("auditedclear", "clear")):
        mark = LOG.mark()
        with client(ident) as c:
            c.ehlo()
            c.message()
        until(lambda: records(ident))
        LOG.wait(mark, r"%s via \S+: %s \(audit: would be deferred\): " % (
            re.escape(domain(ident)), word))


@test
def transparent():
    """dots, long lines and 8-bit octets arrive as they were sent, however
    they are cut into pieces"""
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
        has(c.reply(), "^250 2.0.0 taken")
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
    with Upstream("tls"), client("tls") as c:
        same(c.cmd("HELO lab.alpha", 250).count("\n"), 0)
        c.message()


@test
def replies():
    """many lines, controls and 8-bit octets: what smtpd can read, at once"""
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
    """replies that are none, or out of place: 451, never 2xx"""
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
    """during DATA: a refusal counts, a 2xx does not"""
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


DEATHS = ("connect", "ehlo", "starttls", "handshake", "ehlo2", "mail", "rcpt",
          "data", "body", "dot")


@test
def deaths():
    """the upstream dies in each state: a temporary failure, the session with
    smtpd lives, and the next message arrives once"""
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
    """the upstream goes between RCPT and DATA: 451 until the next MAIL"""
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
    """several messages in a session; an upstream that drops while idle is
    made anew, unseen; 421 to MAIL likewise"""
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
def judged_anew():
    """P03 S05: the upstream that comes back has another certificate"""
    with Upstream("tls") as u, client("tls") as c:
        c.ehlo()
        c.message()
        u.drop()
        u.cert = WORLD.scenarios["tls2"].hosts["mx1"].cert
        c.cmd("MAIL FROM:<>", "451 4.7.5")
        same(len([x for x in u.said if x.startswith("MAIL")]), 1)
        u.cert = WORLD.scenarios["tls"].hosts["mx1"].cert
        time.sleep(3.1)
        c.message()
        same(len(u.messages), 2)


@test
def expired():
    """D15: past the answer's TTL the next MAIL is asked and judged anew"""
    with Upstream("tls") as u, client("tls", table=play.JUMPY) as c:
        c.ehlo()
        c.message()
        c.message()
        same(u.connections, 1)
        jump(400)                       # the zone's TTL is 300
        c.message()
        same((len(u.messages), u.connections), (3, 2))
        # in a transaction nothing changes
        c.begin()
        jump(400)
        c.finish(b"x\r\n", 250)
        same((len(u.messages), u.connections), (4, 2))


@test
def refreshed():
    """D15: what is used is asked again as it expires, what is not is let go"""
    def asked():
        with open(WORLD.query_log) as f:
            return sum(x.split()[:2] == [name, "MX"] for x in f)

    name = WORLD.scenarios["fresh"].domain() + "."
    for _ in range(2):
        with client("fresh") as c:
            c.ehlo()
            c.message()
            c.quit()
    same(asked(), 1)
    until(lambda: asked() == 2, 10)     # nobody is there: by itself
    time.sleep(8)                       # not used since
    same(asked(), 2)


@test
def shrunk():
    """an upstream that offers less than was shown: 451 at MAIL"""
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
    """S06: a session is for one domain"""
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
    """30 MiB, through little memory"""
    size = 30 << 20
    body = bytearray()
    line = b"%077d\r\n"
    for i in range(size // 79):
        body += line % i
    with Upstream("tls") as u, client("tls") as c:
        c.ehlo()
        before = status(TABLE.relay(), "VmRSS")
        c.begin()
        began = time.monotonic()
        c.sock.sendall(bytes(body))
        has(c.finish(b""), "^250")
        took = time.monotonic() - began
        after = status(TABLE.relay(), "VmRSS")
        same(hashlib.sha256(u.messages[0]).digest(),
             hashlib.sha256(body).digest())
        print("#   30 MiB in %.1f s, memory %d -> %d KiB" % (
            took, before, after))
        assert SANITIZED or after - before < 4096


@test
def backpressure():
    """an upstream that reads nothing: smtpd has to wait"""
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
        rss = status(TABLE.relay(), "VmRSS")
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
def timeouts():
    """an upstream that is silent: a temporary failure, in time"""
    silent = lambda _u, _c: time.sleep(8)   # noqa: E731
    for state, limit in (("connect", 4), ("mail", 4), ("rcpt", 4),
                         ("data", 4), ("dot", 5)):
        with Upstream("raw", on={state: silent}) as u, client("raw") as c:
            began = time.monotonic()
            c.ehlo()
            r = c.cmd("MAIL FROM:<>")
            if state not in ("connect", "mail"):
                r = c.cmd("RCPT TO:<user@%s>" % c.domain)
                if state != "rcpt":
                    r = c.cmd("DATA")
                if state == "dot":
                    r = c.finish(b"x\r\n")
            took = time.monotonic() - began
            has(r, r"^451 4\.4\.2 .*timed out")
            assert limit - 1.5 <= took <= limit + 2, (state, took)
            same(u.messages, [])
            c.cmd("RSET", 250)
        if state == "connect":
            time.sleep(3.1)
    # the budget of one EHLO, whatever the host does
    with client("stalls") as c:
        began = time.monotonic()
        same(c.ehlo(), [])
        assert 7 < time.monotonic() - began < 10
        c.cmd("MAIL FROM:<>", 451)
        same(len(records("stalls", "connect")), 2)


@test
def strangers():
    """only smtpd's user: others are refused, and nothing is asked"""
    mark = LOG.mark()
    for uid in (0, 1):
        c = client("tls", uid=uid, greet=False)
        has(c.reply(), "^554 5.7.1 ")
        same(c.sock.recv(10), b"")
        LOG.wait(mark, "connection refused: from uid %d, want %d" % (uid, UID))
        mark = LOG.mark()
        c.close()


@test
def source():
    """`src` of smtpd is the address that the upstream sees"""
    with Upstream("raw") as u:
        with client("raw", source="198.18.0.77") as c:
            c.ehlo()
        with client("raw") as c:
            c.ehlo()
        same(u.peers[0][0], "198.18.0.77")
        assert u.peers[1][0] != "198.18.0.77", u.peers


@test
def configured():
    """relay.source and relay.helo"""
    table = Table(more='source = [ "198.18.0.99", "fd00:18::99" ]; '
                  'helo = "mx.lab.alpha";')
    try:
        with Upstream("raw") as u:
            with client("raw", table=table) as c:
                c.ehlo()
            with client("raw", table=table, source="198.18.0.77") as c:
                c.ehlo()
            same([p[0] for p in u.peers], ["198.18.0.99", "198.18.0.77"])
            same({x for x in u.said if x.startswith("EHLO")},
                 {"EHLO mx.lab.alpha"})
        with client("six", table=table) as c:
            c.ehlo()
            c.message()
    finally:
        table.stop()


@test
def literals():
    """T07: an address literal is delivered to as it stands, without DANE"""
    for ident, form in (("good", "[%s]"), ("six", "[IPv6:%s]")):
        mark = LOG.mark()
        name = form % WORLD.scenarios[ident].hosts["mx1"].addresses[0]
        before = len(records(ident))
        with play.Client(name) as c:
            c.ehlo()
            c.message()
            c.quit()
        until(lambda: len(records(ident)) == before + 1)
        LOG.wait(mark, ":25: opportunistic-tls: ")


@test
def silent_smtpd():
    """smtpd that says nothing holds nothing: idle, in mid-message"""
    table = Table(idle=2)
    try:
        with Upstream("raw") as u:
            began = time.monotonic()
            with client("raw", table=table) as c:
                c.ehlo()
                same(c.sock.recv(10), b"")
                assert 1 < time.monotonic() - began < 4
            until(lambda: u.said[-1] == "QUIT")
            with client("raw", table=table) as c:
                c.ehlo()
                c.begin()
                c.sock.sendall(b"half\r\n")
                same(c.sock.recv(10), b"")
                assert 3 < time.monotonic() - began < 9
            same(u.messages, [])
    finally:
        table.stop()


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


@test
def limits():
    """a limit makes smtpd wait, and only that domain"""
    table = Table(sessions=4, per_domain=2)
    try:
        with client("good", table=table) as a, client("good", table=table) \
                as b, client("plain", table=table) as x:
            c = client("good", table=table, greet=False)
            c.quiet(0.5)
            y = client("plain", table=table)
            z = client("encrypt", table=table, greet=False)
            z.quiet(0.5)
            a.quit()
            # one place: one of the two that wait gets it
            ready, _, _ = select.select([c.sock, z.sock], [], [], 3)
            same(len(ready), 1)
            b.close()
            has(c.reply(), "^220")
            has(z.reply(), "^220")
            for s in (c, z, y, x):
                s.ehlo()
                s.quit()
    finally:
        table.stop()


@test
def graceful():
    """a new configuration: old sessions go on, new ones go to a new relay"""
    table = Table()
    try:
        with Upstream("tls") as u, client("tls", table=table) as c:
            c.ehlo()
            c.message(b"1\r\n")
            old = table.relay()
            table.update()
            until(lambda: len(table.relays()) == 2)
            with client("tls", table=table) as d:
                d.ehlo()
                d.message(b"2\r\n")
                d.quit()
            c.message(b"3\r\n")
            assert old in table.relays()
            c.quit()
            until(lambda: table.relays() and old not in table.relays(), 10)
            same(u.messages, [b"1\r\n", b"2\r\n", b"3\r\n"])
    finally:
        table.stop()


@test
def killed():
    """the child killed in mid-message: smtpd sees a close, the upstream no
    message, and another child serves at once"""
    table = Table()
    try:
        with Upstream("tls") as u:
            with client("tls", table=table) as c:
                c.ehlo()
                c.begin()
                c.sock.sendall(b"half\r\n")
                time.sleep(0.2)
                os.kill(table.relay(), signal.SIGKILL)
                same(c.sock.recv(100), b"")
            with client("tls", table=table) as c:
                c.ehlo()
                c.message(b"whole\r\n")
            same(u.messages, [b"whole\r\n"])
    finally:
        table.stop()


@test
def parent_gone():
    """end of file on the control socket: the child is gone at once, also in
    the middle of a session"""
    table = Table()
    with Upstream("tls"), client("tls", table=table) as c:
        c.ehlo()
        pid = table.relay()
        os.kill(table.process.pid, signal.SIGKILL)
        table.stop()
        same(c.sock.recv(100), b"")
        until(lambda: pid not in processes(), 2)


@test
def counters():
    """SIGUSR1: one line of figures"""
    table = Table()
    try:
        for ident in ("good", "plain", "wrong", "nullmx"):
            with client(ident, table=table) as c:
                c.ehlo()
                if ident in ("good", "plain"):
                    c.message()
        mark = LOG.mark()
        os.kill(table.relay(), signal.SIGUSR1)
        line = LOG.wait(mark, "counters:")
        has(line, "4 in all 0 refused 0 limits; upstream 2: dane 1 dane-"
            "insecure-mx 0 encrypt 0 opportunistic-tls 1 clear 0; deferred 1 "
            "bounced 1; messages 2 taken 0 later 0 refused 0 broken")
    finally:
        table.stop()


@test
def hardened():
    """the child can do nothing but talk"""
    pid = TABLE.relay()
    same(status(pid, "NoNewPrivs"), 1)
    same(status(pid, "CapEff"), 0)
    with open("/proc/%d/limits" % pid) as f:
        text = f.read()
    has(text, r"Max core file size\s+0\s+0")
    if not SANITIZED:
        has(text, r"Max processes\s+0\s+0")
    if play.WRAP:
        return                          # valgrind has files of its own
    # no file but sockets, the loop's own, and /dev/null
    for fd in os.listdir("/proc/%d/fd" % pid):
        with contextlib.suppress(FileNotFoundError):
            to = os.readlink("/proc/%d/fd/%s" % (pid, fd))
            assert re.match(r"socket:|anon_inode:|pipe:|/dev/null|"
                            r"/mnt/t/stderr", to), to


@test
def many():
    """300 sessions at once"""
    table = Table(sessions=400, per_domain=400)
    try:
        with Upstream("tls") as u:
            with client("tls", table=table) as c:
                c.ehlo()
            before = status(table.relay(), "VmRSS")
            all_of = []
            for _ in range(300):
                c = client("tls", table=table)
                c.sock.sendall(b"EHLO lab.alpha\r\n")
                all_of.append(c)
            for c in all_of:
                has(c.reply(), "^250")
            rss = status(table.relay(), "VmRSS")
            for c in all_of:
                try:
                    c.message()
                except AssertionError as e:
                    raise AssertionError("%s; upstream: %s" % (
                        e, set(u.errors))) from e
                c.quit()
            same(len(u.messages), 300)
            print("#   %.1f KiB a session, %d KiB in all" % (
                (rss - before) / 300, rss))
            if not SANITIZED:
                assert (rss - before) / 300 < 64
    finally:
        table.stop()


# ---------------------------------------------------------------------- main

def run(patterns):
    passed = failed = 0
    for f in TESTS:
        if patterns and not any(fnmatch.fnmatch(f.__name__, p)
                                for p in patterns):
            continue
        mark, began = LOG.mark(), time.monotonic()
        try:
            f()
            passed += 1
            print("ok - %s: %s (%.1f s)" % (
                f.__name__, " ".join(f.__doc__.split()),
                time.monotonic() - began), flush=True)
        except Exception:
            failed += 1
            print("not ok - %s: %s" % (f.__name__,
                                       " ".join(f.__doc__.split())))
            for x in traceback.format_exc().splitlines():
                print("#   " + x)
            for x in LOG.since(mark)[-25:]:
                print("#   log: " + x)
            sys.stdout.flush()
    return passed, failed


def main():
    global LOG, WORLD, TABLE, SANITIZED
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--build", metavar="DIR", required=True)
    p.add_argument("--valgrind", action="store_true")
    p.add_argument("patterns", nargs="*", metavar="PATTERN")
    a = p.parse_args()
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        lab = os.path.join(LAB, "run")
        os.execv(lab, [lab, "--build", os.path.abspath(a.build), "--scenarios",
                       os.path.join(HERE, "relay.conf"), "--world", "--",
                       sys.executable, "-B", os.path.realpath(__file__)]
                 + sys.argv[1:])
    import world
    if a.valgrind:
        play.WRAP = ("/usr/bin/valgrind", "-q", "--trace-children=yes",
                     "--leak-check=full", "--error-exitcode=9")
    play.start(world.attach())
    LOG, WORLD, TABLE = play.LOG, play.WORLD, play.TABLE
    with open(play.PROGRAM, "rb") as f:
        SANITIZED = a.valgrind or b"__asan_init" in f.read()
    passed, failed = run(a.patterns)
    # valgrind does not know Landlock, and says so
    said = re.sub(r"(?m)^--\d+-- .*\n", "", play.stop())
    if said:
        failed += 1
        print("not ok - nothing on stderr:\n#   " +
              said.replace("\n", "\n#   "))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())

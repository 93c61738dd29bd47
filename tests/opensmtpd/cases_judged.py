# SPDX-License-Identifier: ISC
"""The relay: what DNS and the certificate decide, before and after."""

import hashlib
import os
import re
import shutil
import signal
import time

import play
from play import (LOG, Upstream, client, domain, has, jump, records, same,
                  test, until)


@test
def good():
    """DANE holds, and the message arrives, over TLS (T01 S01 S08)"""
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
    line = LOG.wait(mark, r"good\.alpha via ").string
    has(line, r"good\.alpha via mx1\.good\.alpha:25: dane: .*TLS1\.3.*"
        r"TLSA 3 1 1, no\. 1\)")
    same(len([x for x in LOG.since(mark) if " via " in x]), 1)


@test
def good_kinds():
    """each kind of host gets mail, with its verdict in the log (M06 T03 T04
    U08)"""
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
        line = LOG.wait(mark, re.escape(domain(ident)) + " via ").string
        has(line, r" via mx1\.\S+:25: %s: " % verdict)


REFUSED = ("wrong", "nostarttls", "starttls454", "starttls554", "handshake",
           "inject", "banner554", "ehlo550", "encryptclear")


@test
def refused():
    """a host that needs TLS and fails gets nothing (T02 T03 T09 T10 U16)"""
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
        line = LOG.wait(mark, "deferred").string
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
    """what DNS says is the reply to MAIL (D04 D06 D08 M10 M12 Z02)"""
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
    """the second host is used if the first is broken (D07 M02 P04)"""
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
    """a 5xx banner of a host without DANE is no bounce (T10)"""
    with client("plainrefuses") as c:
        c.ehlo()
        has(c.cmd("MAIL FROM:<>"), r"451 4\.4\.2 .*554")


AUDITED = r" \(audit: would be deferred\) \(exception: looking first\)"


@test
def audit():
    """audit judges, logs and delivers, and the log says why it is audit (P01
    P02)"""
    for ident, word in (("audited", "opportunistic-tls"),
                        ("auditedclear", "clear")):
        mark = LOG.mark()
        with client(ident) as c:
            c.ehlo()
            c.message()
        until(lambda: records(ident))
        LOG.wait(mark, r"%s via \S+: %s%s: " % (
            re.escape(domain(ident)), word, AUDITED))


@test
def nothing_blocked():
    """off and audit use what a bogus answer said; where nothing was said the
    delay is DNS's, not DANE's, whose word stays 4.7.5 (P02)"""
    for ident, beside in (("auditedbogus", AUDITED),
                          ("offbogus", r" \(exception: not here\)")):
        mark = LOG.mark()
        with client(ident) as c:
            c.ehlo()
            c.message()
        until(lambda: records(ident))
        LOG.wait(mark, r"%s via \S+: opportunistic-tls%s: " % (
            re.escape(domain(ident)), beside))
        lines = [x for x in LOG.since(mark) if "opportunistic-tls" in x]
        same(len(lines), 1)  # which says what was wrong
        if "audit" in beside:
            has(lines[0], "lookup failed: ")
    for ident, beside in (
            ("auditedempty", AUDITED),
            ("auditedhost", AUDITED),
            ("offempty", r" \(exception: not here\)")):
        mark = LOG.mark()
        with client(ident) as c:
            c.ehlo()
            c.cmd("MAIL FROM:<>", r"451 4.4.3 ")
        LOG.wait(mark, r"%s(: | via \S+: )deferred%s: " % (
            re.escape(domain(ident)), beside))
    with client("nomxanswer") as c:
        c.ehlo()
        c.cmd("MAIL FROM:<>", "451 4.7.5 ")


@test
def judged_anew():
    """an upstream that comes back with another certificate is refused (P03
    S05)"""
    with Upstream("tls") as u, client("tls") as c:
        c.ehlo()
        c.message()
        u.drop()
        u.cert = play.WORLD.scenarios["tls2"].hosts["mx1"].cert
        c.cmd("MAIL FROM:<>", "451 4.7.5")
        same(len([x for x in u.said if x.startswith("MAIL")]), 1)
        u.cert = play.WORLD.scenarios["tls"].hosts["mx1"].cert
        time.sleep(3.1)
        c.message()
        same(len(u.messages), 2)


@test
def expired():
    """past the answer's TTL the next MAIL is asked and judged anew (D15)"""
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
    """what is used is asked again as it expires, what is not is let go
    (D15)"""
    def asked():
        with open(play.WORLD.query_log) as f:
            return sum(x.split()[:2] == [name, "MX"] for x in f)

    name = play.WORLD.scenarios["fresh"].domain() + "."
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
def literals():
    """an address literal is delivered to as it stands, without DANE (T07)"""
    for ident, form in (("good", "[%s]"), ("six", "[IPv6:%s]")):
        mark = LOG.mark()
        name = form % play.WORLD.scenarios[ident].hosts["mx1"].addresses[0]
        before = len(records(ident))
        with play.Client(name) as c:
            c.ehlo()
            c.message()
            c.quit()
        until(lambda: len(records(ident)) == before + 1)
        LOG.wait(mark, ":25: opportunistic-tls: ")


# ------------------------------------------------------------------- MTA-STS

def policy_sent(table):
    """To which host, or the refusal."""
    before = len(records("policy"))
    with client("policy", table=table) as c:
        c.ehlo()
        said = c.cmd("MAIL FROM:<me@lab.alpha>", None)
        if not said.startswith("250"):
            return said
        c.cmd("RSET", 250)
        c.message()
        c.quit()
    return until(lambda: records("policy")[before:])[0]["host"]


@test
def policy():
    """a policy that has changed counts for the next message, as do CAs
    (H03 H04)"""
    cas, kept = play.WORLD.cas, play.WORLD.cas + ".kept"
    table = play.Table(more='profile = "sts";')
    try:
        same(policy_sent(table), "mx1")
        play.WORLD.change_policy(play.WORLD.scenarios["policy"], "mx: mx1.",
                                 "mx: mx2.")
        same(policy_sent(table), "mx2")
        os.rename(cas, kept)
        shutil.copy(play.WORLD.scenarios["good"].hosts["mx1"].cert, cas)
        mark = LOG.mark()
        has(policy_sent(table), r"^451 4\.7\.5 ")
        has(LOG.wait(mark, r"via mx2\.\S+ deferred").string,
            r"no path leads.*\[certificate-not-trusted\]")
        os.rename(kept, cas)
        time.sleep(2.5)                 # failure_ttl
        same(policy_sent(table), "mx2")
        mark = LOG.mark()
        os.kill(table.relay(), signal.SIGUSR1)
        has(LOG.wait(mark, "counters").string, " mta-sts 3 encrypt 0 ")
    finally:
        table.stop()

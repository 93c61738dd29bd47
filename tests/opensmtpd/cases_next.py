# SPDX-License-Identifier: ISC
"""The relay: the next host is reached (T11, T12)."""

import contextlib
import threading
import time

import play
from play import Die, Upstream, client, has, same, test, until

BODY = b"Subject: x\r\n\r\nhello\r\n"


def forget():
    """What failed before: another relay does not know of it."""
    play.TABLE.update()


def pair(ident, first=None, second=None, **more):
    """mx1 and mx2, as a context."""
    stack = contextlib.ExitStack()
    u = stack.enter_context(Upstream(ident, on=first))
    v = stack.enter_context(Upstream(ident, on=second, host="mx2", **more))
    return stack, u, v


def said(u, verb):
    return [x for x in u.said if x.startswith(verb)]


@test
def mail_next():
    """4xx to MAIL, 421, a lost connection or nonsense lead to the next host,
    judged by its own records (S07 T12)"""
    for ident in ("pair", "pairraw"):
        for on in ("450-4.2.0 one\r\n450 4.2.0 later", "421 4.3.2 closing",
                   Die, "hello there", "354 go", "452 4.3.1 full"):
            stack, u, v = pair(ident, {"mail": on})
            with stack, client(ident) as c:
                c.ehlo()
                mark = play.LOG.mark()
                c.message()
                play.LOG.wait(mark, r"via mx1\S+: deferred: " + (
                    on.split("\n")[-1] if str(on)[0] == "4" else "mx1"))
                mail = ["MAIL FROM:<me@lab.alpha>"]
                same((said(u, "MAIL"), said(v, "MAIL")), (mail, mail), on)
                same((u.messages, v.messages), ([], [BODY]), on)
                same((u.connections, v.connections), (1, 1), on)
                same(v.live[0].tls, ident == "pair")
                # the session goes on with that host
                c.message()
                same((len(v.messages), v.connections), (2, 1))
                c.quit()
            forget()


@test
def mail_once():
    """after one 421 to MAIL the next host has the message (T12)"""
    for ident in ("pair", "pairraw"):
        stack, u, v = pair(ident, {"mail": lambda u, _c: "421 4.3.2 closing"
                                   if len(said(u, "MAIL")) == 1 else None})
        with stack, client(ident) as c:
            c.ehlo()
            c.message()
            same((u.messages, v.messages), ([], [BODY]))
        forget()


@test
def mail_hangs():
    """a host that is silent at MAIL or RCPT is left in time (T11)"""
    def drip(_u, c):
        for i in range(9):
            c.send(b"250-%d\r\n" % i)
            time.sleep(1)
    for verb, on in (("mail", lambda _u, _c: time.sleep(9)),
                     ("rcpt", lambda _u, _c: time.sleep(9)),
                     ("mail", drip)):
        stack, u, v = pair("pair", {verb: on})
        with stack, client("pair") as c:
            c.ehlo()
            began = time.monotonic()
            c.message()
            took = time.monotonic() - began
            same((u.messages, v.messages), ([], [BODY]))
            assert 3 < took < 7, took
        forget()


@test
def mail_refused():
    """5xx to MAIL is the message's answer, from whichever host (T12)"""
    stack, u, v = pair("pair", {"mail": "550 5.7.1 never"})
    with stack, client("pair") as c:
        c.ehlo()
        same(c.cmd("MAIL FROM:<>"), "550 5.7.1 never")
        same((u.connections, v.connections), (1, 0))
        u.on["mail"] = "450 4.7.1 later"
        v.on["mail"] = "550-5.7.1 never\r\n550 5.7.1 ever"
        same(c.cmd("MAIL FROM:<>"), "550-5.7.1 never\n550 5.7.1 ever")
        same((u.connections, v.connections), (1, 1))


@test
def mail_nowhere():
    """where no host takes MAIL the last one's own words are told (T12)"""
    # In full; what a host said to the message goes before what the others are.
    stack, u, v = pair("pair", {"mail": "450 4.7.1 first"},
                       {"mail": "450-4.7.1 second\r\n450 4.7.1 end"})
    with stack, client("pair") as c:
        c.ehlo()
        same(c.cmd("MAIL FROM:<>"), "450-4.7.1 second\n450 4.7.1 end")
        c.quit()
    # the second is not there, or is not the one it should be
    good = play.WORLD.scenarios["pair"].hosts["mx1"].cert
    for down in (True, False):
        stack, u, v = pair("pair", {"mail": "450-4.7.1 one\r\n450 4.7.1 two"})
        with stack, client("pair") as c:
            if down:
                v.stop()
            v.cert = good
            c.ehlo()
            same(c.cmd("MAIL FROM:<>"), "450 4.7.1 two")
            same(said(v, "MAIL"), [])
            # another message may be taken: nothing is remembered
            del u.on["mail"]
            c.message()
            same(u.messages, [BODY])
        forget()
    # lost, and then no DANE: that is what must be mended
    stack, u, v = pair("pair", {"mail": Die})
    with stack, client("pair") as c:
        v.cert = good
        c.ehlo()
        has(c.cmd("MAIL FROM:<>"), r"^451 4\.7\.5 mx2\.")
        same(said(v, "MAIL"), [])
    forget()


@test
def rcpt_next():
    """before a recipient is accepted 421 or a lost connection leads to the
    next host (T12)"""
    def drop(_u, c):
        c.send("250 2.1.0 ok")
        raise Die
    for on in ({"rcpt": Die}, {"rcpt": "421 4.3.2 closing"}, {"mail": drop},
               {"rcpt": "what?"}):
        stack, u, v = pair("pair", on)
        with stack, client("pair") as c:
            c.ehlo()
            c.cmd("MAIL FROM:<me@lab.alpha> SIZE=123", 250)
            time.sleep(0.1)
            rcpt = "RCPT TO:<user@%s> NOTIFY=NEVER" % c.domain
            same(c.cmd(rcpt), "250 2.0.0 ok RCPT")
            same(v.said[-2:], ["MAIL FROM:<me@lab.alpha> SIZE=123", rcpt])
            c.cmd("RCPT TO:<other@%s>" % c.domain, 250)
            c.cmd("DATA", 354)
            c.finish(b"x\r\n", 250)
            same((u.messages, v.messages), ([], [b"x\r\n"]))
            same((u.connections, v.connections), (1, 1))
        forget()


@test
def rcpt_answers():
    """an answer about a recipient is the recipient's, and stays (T12)"""
    # greylisting
    stack, u, v = pair("pair", {"rcpt": "450 4.2.0 greylisted"})
    with stack, client("pair") as c:
        c.ehlo()
        c.cmd("MAIL FROM:<>", 250)
        same(c.cmd("RCPT TO:<a@%s>" % c.domain), "450 4.2.0 greylisted")
        same(c.cmd("RCPT TO:<b@%s>" % c.domain), "450 4.2.0 greylisted")
        c.cmd("RSET", 250)
        same((u.connections, v.connections), (1, 0))
        del u.on["rcpt"]
        c.message()
        same(u.messages, [BODY])
    # who was refused is not said again
    stack, u, v = pair("pair", {"rcpt": lambda u, _c: (
        "550 5.1.1 no", "450 4.2.0 grey", Die)[len(said(u, "RCPT")) - 1]})
    with stack, client("pair") as c:
        c.ehlo()
        c.cmd("MAIL FROM:<>", 250)
        c.cmd("RCPT TO:<a@%s>" % c.domain, "550 5.1.1 no")
        c.cmd("RCPT TO:<b@%s>" % c.domain, "450 4.2.0 grey")
        c.cmd("RCPT TO:<c@%s>" % c.domain, 250)
        same(said(v, "RCPT"), ["RCPT TO:<c@%s>" % c.domain])
        c.cmd("DATA", 354)
        c.finish(b"x\r\n", 250)
        same(v.messages, [b"x\r\n"])
    forget()
    # after one was accepted, the message is this host's
    for on in ("421 4.3.2 closing", Die):
        stack, u, v = pair("pair", {
            "rcpt": lambda u, _c: on if len(said(u, "RCPT")) == 2  # noqa: B023
            else None})
        with stack, client("pair") as c:
            c.ehlo()
            c.cmd("MAIL FROM:<>", 250)
            c.cmd("RCPT TO:<a@%s>" % c.domain, 250)
            c.cmd("RCPT TO:<b@%s>" % c.domain,
                  "421 4.3.2 closing" if on is not Die else r"451 4\.4\.2 mx1")
            c.cmd("RCPT TO:<c@%s>" % c.domain, r"451 4\.4\.2 mx1")
            c.cmd("DATA", r"451 4\.4\.2 mx1")
            c.cmd("RSET", 250)
            same(v.connections, 0)
            c.message()
            same((u.messages, v.messages), ([BODY], []))


@test
def rcpt_nowhere():
    """where the next host refuses MAIL each recipient hears it (T12)"""
    # smtpd was told 250 for it; so up to the next message.
    for on, want in (("550 5.7.1 never", "550 5.7.1 never"),
                     ("450 4.7.1 later", "450 4.7.1 later"),
                     (Die, r"451 4\.4\.2 mx2")):
        stack, u, v = pair("pair", {"rcpt": "421 4.3.2 closing"}, {"mail": on})
        with stack, client("pair") as c:
            c.ehlo()
            c.cmd("MAIL FROM:<>", 250)
            c.cmd("RCPT TO:<a@%s>" % c.domain, want)
            c.cmd("RCPT TO:<b@%s>" % c.domain, want)
            c.cmd("DATA", want)
            same((u.connections, v.connections), (1, 1))
            c.cmd("RSET", 250)
            u.on.clear()
            v.on.clear()
            c.message()
            same(len(u.messages) + len(v.messages), 1)
        forget()
    # the only host that is there: its own 421
    with Upstream("pair", on={"rcpt": "421 4.3.2 closing"}) as u, \
            client("pair") as c:
        c.ehlo()
        c.cmd("MAIL FROM:<>", 250)
        has(c.cmd("RCPT TO:<a@%s>" % c.domain), "^4[25]1 ")
        has(c.cmd("DATA"), "^4[25]1 ")
        c.cmd("RSET", 250)
    forget()


@test
def between():
    """NOOP and RSET between MAIL and RCPT are no message (T12)"""
    for verb in ("NOOP", "RSET"):
        stack, u, v = pair("pair", {verb.lower(): Die})
        with stack, client("pair") as c:
            c.ehlo()
            c.cmd("MAIL FROM:<>", 250)
            same(c.cmd(verb), "250 2.0.0 ok")
            if verb == "NOOP":
                c.cmd("RCPT TO:<a@%s>" % c.domain, 250)
                same(len(said(v, "RCPT")), 1)
            else:
                c.cmd("RCPT TO:<a@%s>" % c.domain, 503)
                same(v.connections, 0)
            c.cmd("RSET", 250)
            c.message()
        forget()


@test
def less():
    """a next host that keeps less than EHLO promised is passed over, or 451"""
    stack, u, v = pair("pair", {"mail": "450 4.2.0 later"}, ehlo=("SIZE 999",))
    with stack, client("pair") as c:
        c.ehlo()
        has(c.cmd("MAIL FROM:<>"), r"^451 4\.3\.3 mx2.* less ")
        same(said(v, "MAIL"), [])
    stack, u, v = pair("three", {"rcpt": Die}, ehlo=("SIZE 999",))
    with stack, Upstream("three", host="mx3") as w, client("three") as c:
        c.ehlo()
        c.message()
        same((u.messages, v.messages, w.messages), ([], [], [BODY]))
        same(said(v, "MAIL"), [])
    forget()


@test
def reused():
    """an upstream that has had enough of a session is asked for another, then
    the next host (M02 T12)"""
    for on in ("421 4.4.2 enough", Die):
        stack, u, v = pair("pair", {
            "mail": lambda u, _c: on                        # noqa: B023
            if u.connections == 1 and u.messages else None})
        with stack, client("pair") as c:
            c.ehlo()
            c.message()
            c.message()
            same((len(u.messages), len(v.messages)), (2, 0))
            same((u.connections, v.connections), (2, 0))
            # but once only, or the next host is not reached
            u.on["mail"] = on
            c.message()
            same((len(u.messages), len(v.messages)), (2, 1))
            same((u.connections, v.connections), (3, 1))
        forget()


@test
def late():
    """a host that failed is tried last until failure_ttl is over, and never
    left out (T11)"""
    stack, u, v = pair("pair", {"ehlo": Die})
    with stack:
        for _ in range(2):              # each a session of its own
            with client("pair") as c:
                c.ehlo()
                c.message()
                c.quit()
        same((u.connections, v.connections), (1, 2))
        # it is there again, and the other is not
        u.on.clear()
        v.stop()
        with client("pair") as c:
            c.ehlo()
            c.message()
        same((u.connections, len(u.messages)), (2, 1))
    forget()
    stack, u, v = pair("pair", {"mail": "421 4.3.2 closing"})
    with stack:
        for _ in range(2):
            with client("pair") as c:
                c.ehlo()
                c.message()
                c.quit()
        same((u.connections, v.connections), (1, 2))
        u.on.clear()
        time.sleep(2.2)                 # relay.failure_ttl is 2
        with client("pair") as c:
            c.ehlo()
            c.message()
        same((len(u.messages), v.connections), (1, 2))


@test
def together():
    """two sessions wait for a host at once, and the third does not (T11)"""
    stack, u, v = pair("pair", {"connect": lambda _u, _c: time.sleep(7)})

    def one(c):
        with c:
            c.ehlo()
            c.message()
    with stack:
        began = time.monotonic()
        both = [threading.Thread(target=one, args=(client("pair"),))
                for _ in range(2)]
        for t in both:
            t.start()
        for t in both:
            t.join()
        took = time.monotonic() - began
        assert 3 < took < 6, took
        same((u.connections, len(v.messages)), (2, 2))
        one(client("pair"))
        assert time.monotonic() - began < took + 1
        until(lambda: len(v.messages) == 3)
        same(u.connections, 2)
    forget()


@test
def patience():
    """smtpd's 300 s hold for a command, whatever is done for it"""
    # The time to find an upstream and the time for its reply are one.
    with Upstream("tls") as u, client("tls", table=play.JUMPY) as c:
        c.ehlo()
        u.drop()
        u.on["connect"] = lambda _u, _c: play.jump(288)
        u.on["mail"] = lambda _u, _c: time.sleep(5)
        began = time.monotonic()
        has(c.cmd("MAIL FROM:<>"), r"^451 4\.4\.2 .*timed out")
        took = time.monotonic() - began
        assert took < 3, took

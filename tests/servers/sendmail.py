#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""Debian's Sendmail with examples/sendmail and danevirked.

    tests/servers/sendmail.py --build DIR [PATTERN...]
"""

import contextlib
import os
import re
import signal
import smtplib
import subprocess
import sys

import common
from common import EXAMPLES, KINDS, MAP, FakeMap, netstring, until
import mta
import opensmtpd
import suite
from suite import add, case, want

UNPACKED = "/var/cache/danevirke-sendmail"
SENDMAIL = UNPACKED + "/usr/libexec/sendmail/sendmail"
CF = UNPACKED + "/usr/share/sendmail/cf"
PORT = 2526
# the administrator's own, beside the example
MC = """define(`_CF_DIR_', `%(cf)s/')dnl
include(`%(cf)s/m4/cf.m4')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `lab.alpha')dnl
define(`QUEUE_DIR', `%(dir)s/queue')dnl
define(`confPID_FILE', `%(dir)s/pid')dnl
define(`STATUS_FILE', `')dnl
define(`HELP_FILE', `')dnl
define(`ALIAS_FILE', `%(dir)s/aliases')dnl
define(`confHOSTS_FILE', `/etc/hosts')dnl
define(`confTRUSTED_USER', `smmta')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`nocanonify')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`relay_entire_domain')dnl
FEATURE(`mailertable', `text -k0 -v1 %(dir)s/mailertable')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Port=%(port)d, Addr=127.0.0.1')dnl
%(more)s
LOCAL_DOMAIN(`lab.alpha')dnl
RELAY_DOMAIN(`127.0.0.1')dnl
MAILER(`local')dnl
MAILER(`smtp')dnl
%(example)s
"""
EXAMPLE = "include(`%s/sendmail/danevirke.m4')dnl" % EXAMPLES
S = None


class Sendmail:
    def __init__(self, house):
        self.log, self.dir = house.log, house.dir + "/sendmail"
        self.daemon = None
        os.makedirs(self.dir + "/queue", mode=0o700)
        for name in ("aliases", "mailertable"):
            with open("%s/%s" % (self.dir, name), "w"):
                pass
        # it would wait a minute for its own name
        opensmtpd.over("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 %s.alpha "
                       "%s\n" % (("h-" + os.uname().nodename,) * 2))

    def start(self, more="", example=EXAMPLE):
        self.stop()
        with open(self.dir + "/sendmail.mc", "w") as f:
            f.write(MC % {"cf": CF, "dir": self.dir, "port": PORT,
                          "more": more, "example": example})
        with open(self.dir + "/sendmail.cf", "w") as f:
            subprocess.run(["m4", self.dir + "/sendmail.mc"], stdout=f,
                           check=True)
        self.daemon = subprocess.Popen(self.words("-bD"),
                                       stdin=subprocess.DEVNULL)

        def up():
            want(self.daemon.poll() is None, self.log.since()[-9:])
            with contextlib.suppress(OSError):
                smtplib.SMTP("127.0.0.1", PORT, timeout=9).quit()
                return True
        want(until(up), "Sendmail does not start: %s" % self.log.since()[-9:])
        return self

    def stop(self):
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait()
            self.daemon = None

    def words(self, *args):
        return [SENDMAIL, "-C%s/sendmail.cf" % self.dir, *args]

    def command(self, *args, text=""):
        return subprocess.run(self.words(*args), input=text, text=True,
                              timeout=60, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout

    def submit(self, *recipients, sender=mta.SENDER):
        """Its queue id; what RCPT refused is in the exception."""
        with smtplib.SMTP("127.0.0.1", PORT, timeout=30) as c:
            c.ehlo("me")
            c.mail(sender)
            for r in recipients:
                code, said = c.rcpt(r)
                if code != 250:
                    raise smtplib.SMTPResponseException(code, said.decode())
            said = c.data("Subject: x\r\n\r\nhello\r\n")[1].decode()
        return re.search(r"(\w+) Message accepted", said).group(1)

    def outcome(self, ident, recipient, seconds=30):
        """(delivered, deferred, bounced or none; all that was logged)"""
        seek = r" %s: to=<?%s>?,.* stat=(\w+)" % (ident,
                                                  re.escape(recipient))
        line = self.log.wait(seek, seconds) or ""
        text = "\n".join(x for x in self.log.since() if ident in x)
        m = re.search(seek, line)
        return {"Sent": "delivered", "Deferred": "deferred", None: "none"}.get(
            m and m.group(1), "bounced"), text


def kind(house, name):
    house.one(S, name)


for name in KINDS:
    add("one message: " + name, kind, name)


@case("one message to domains of many kinds (S06)")
def many(house):
    house.many(S)


@case("its own domains stay its own, senders take no address, and the "
      "mailertable goes first")
def own(house):
    mark = house.log.mark()
    with open(S.dir + "/mailertable", "w") as f:
        f.write("good2.alpha smtp:[127.0.0.9]\n")
    S.start()
    for to, mailer in (("nobody@lab.alpha", "local, user nobody"),
                       ("nobody@localhost", "local, user nobody"),
                       (house.user("good2"), r"smtp, host \[127.0.0.9\]"),
                       (house.user("good"), r"danevirke, host \[127.64")):
        said = S.command("-bv", to)
        want(re.search("deliverable: mailer " + mailer, said), said)
    to = house.user("good")
    ident = S.submit(to, sender="me@" + house.domain("stranger"))
    want(S.outcome(ident, to)[0] == "delivered", S.outcome(ident, to))
    for n in ("stranger", "good2"):
        want(not house.aliased(n, mark), house.log.since(mark))
    with open(S.dir + "/mailertable", "w"):
        pass
    S.start()


@case("a message that is returned goes the same way")
def bounce(house):
    before = len(house.arrived("good2"))
    S.submit(house.user("nullmx"), sender=house.user("good2"))
    want(until(lambda: len(house.arrived("good2")) == before + 1))
    row = house.arrived("good2")[-1]
    want(row["tls"] and not row["from"], row)


# -------------------------------------------------------------- fails closed

NONE = "danevirked has no address for this domain"
WAITS = NONE + r"|sendmail map: lookup \(.*\): deferred"


def waits(house, octets):
    """With this map no message is taken, and those that were wait."""
    names = ("good", "clear", "stripped", "literal")
    before = {n: len(house.arrived(n)) for n in names}
    S.start("define(`confDELIVERY_MODE', `queueonly')dnl")
    to = {n: house.user(n) for n in names}
    idents = {n: S.submit(to[n]) for n in names}
    house.daemon.stop(signal.SIGKILL)
    fake = octets is not None and FakeMap(MAP, octets)
    try:
        for n in names:
            try:
                S.submit(house.user(n))
                want(False, "RCPT was accepted")
            except smtplib.SMTPResponseException as e:
                want(e.smtp_code == 451 and NONE in e.smtp_error, e)
        said = S.command("-q", "-v")
        left = S.command("-bp")
        for n in names:
            want(re.search(r"%s .*\n +\((%s)" % (idents[n], WAITS), left),
                 said + left)
            want(len(house.arrived(n)) == before[n], said)
    finally:
        if fake:
            fake.close()
        house.daemon.start()
    want(not house.leaks(), house.leaks())
    S.command("-q")
    for n in ("good", "clear", "literal"):
        want(until(lambda: len(house.arrived(n)) == before[n] + 1),
             "\n".join([n] + house.log.since()[-40:]))
    S.start()


for what, octets in (
        ("not there", None), ("TEMP", netstring("TEMP so it is")),
        ("PERM", netstring("PERM no")), ("NOTFOUND", netstring("NOTFOUND ")),
        ("closes", b""), ("a host's name",
                          netstring("OK mx1.stripped.alpha")),
        ("another address", netstring("OK [198.18.1.1]"))):
    add("the map: %s (P03)" % what, waits, octets)


@case("SMART_HOST does not win (P03)")
def smart(house):
    clear = house.world.scenarios["clear"].hosts["mx1"].addresses[0]
    before = len(house.arrived("clear"))
    S.start("define(`SMART_HOST', `smtp:[%s]')dnl" % clear)
    for n, result in (("good", "delivered"), ("wrong", "deferred"),
                      ("literal", "delivered")):
        to = house.user(n)
        got, text = S.outcome(S.submit(to), to)
        want(got == result and "[%s]" % clear not in text, text)
    want(len(house.arrived("clear")) == before, house.arrived("clear"))
    S.start()


@case("the relay refuses another user: the message waits (P03)")
def other_user(house):
    with house.refusing("root"):
        to = house.user("good")
        got, said = S.outcome(S.submit(to), to)
        want(got == "deferred", said)


@case("control: without the example mail leaks, and this would be seen")
def control(house):
    address = house.world.scenarios["stripped"].hosts["mx1"].addresses[0]
    S.start("define(`SMART_HOST', `smtp:[%s]')dnl" % address, example="dnl")
    to = house.user("stripped")
    got, text = S.outcome(S.submit(to), to)
    want(got == "delivered" and house.leaks(), text)


def start(house):
    global S
    S = Sendmail(house).start()
    return S.stop


if __name__ == "__main__":
    sys.exit(common.main(__file__, start, ("root",), ("smmta", "smmsp")))

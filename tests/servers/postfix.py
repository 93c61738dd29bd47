#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""Debian's Postfix with examples/postfix and danevirked.  Services that Debian
has in a chroot are in one.

    tests/servers/postfix.py --build DIR [PATTERN...]
"""

import contextlib
import os
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys

import common
from common import EXAMPLES, KINDS, MAP, FakeMap, netstring, until
import mta
import opensmtpd
import suite
from suite import add, case, want

UNPACKED = "/var/cache/danevirke-postfix"
DAEMONS = UNPACKED + "/usr/lib/postfix/sbin"
PORT = 2526
QUEUES = ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold",
          "incoming", "private", "saved", "trace")
# the administrator's own, beside the example
MAIN = """
compatibility_level = 3.6
queue_directory = %(dir)s/spool
data_directory = %(dir)s/data
daemon_directory = %(daemons)s
command_directory = %(unpacked)s/usr/sbin
shlib_directory = no
mail_owner = postfix
setgid_group = postdrop
myhostname = lab.alpha
mydestination = $myhostname, localhost
virtual_mailbox_domains = virtual.alpha
virtual_transport = discard
local_transport = discard
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
alias_maps =
alias_database =
local_recipient_maps =
smtp_tls_security_level = may
notify_classes =
%(example)s
%(more)s
"""
with open(EXAMPLES + "/postfix/own-domains") as own_domains:
    OWN = own_domains.read()


class Postfix:
    def __init__(self, house):
        self.house, self.log = house, house.log
        self.dir = house.dir + "/postfix"
        self.master, self.own = None, OWN
        self.libraries()
        self.directories()

    def libraries(self):
        """Postfix's are not where it looks: the linker's cache knows them."""
        own = opensmtpd.OWN
        with open(own + "/ld.so.conf", "w") as f:
            f.write("include /etc/ld.so.conf\n%s/usr/lib/postfix\n" % UNPACKED)
        subprocess.run(["ldconfig", "-X", "-C", own + "/ld.so.cache", "-f",
                        own + "/ld.so.conf"], check=True)
        opensmtpd.mount("--bind", own + "/ld.so.cache", "/etc/ld.so.cache")

    def directories(self):
        spool = self.dir + "/spool"
        for d in ("etc", "data", "spool", "spool/pid"):
            os.makedirs("%s/%s" % (self.dir, d))
        shutil.chown(self.dir + "/data", "postfix")
        for d, mode, group in ([(d, 0o700, "postfix") for d in QUEUES] +
                               [("maildrop", 0o1730, "postdrop"),
                                ("public", 0o710, "postdrop")]):
            os.makedirs("%s/%s" % (spool, d))
            shutil.chown("%s/%s" % (spool, d), "postfix", group)
            os.chmod("%s/%s" % (spool, d), mode)

    def config(self, more):
        with open(EXAMPLES + "/postfix/main.cf") as f:
            example = f.read()
        with open(self.dir + "/etc/own-domains", "w") as f:
            f.write(self.own)
        with open(self.dir + "/etc/main.cf", "w") as f:
            f.write(MAIN % {"dir": self.dir, "daemons": DAEMONS,
                            "unpacked": UNPACKED, "example": example,
                            "more": more})
        with open(UNPACKED + "/usr/share/postfix/master.cf.dist") as f:
            text, n = re.subn(
                r"(?m)^smtp +inet (.*)$", r"127.0.0.1:%d inet \1\n"
                "  -o rewrite_service_name=rewrite_smtpd" % PORT, f.read())
        text, m = re.subn(r"(?m)^((smtp|rewrite) +unix +\S +\S +)\S ", r"\1y ",
                          text)
        want(n == 1 and m == 2, "master.cf: %d, %d" % (n, m))
        with open(EXAMPLES + "/postfix/master.cf") as f:
            text += f.read()
        with open(self.dir + "/etc/master.cf", "w") as f:
            f.write(text)

    def start(self, more=""):
        self.stop()
        self.config(more)
        self.master = subprocess.Popen(
            [DAEMONS + "/master", "-c", self.dir + "/etc", "-d"],
            stdin=subprocess.DEVNULL)

        def up():
            want(self.master.poll() is None, self.log.since()[-9:])
            with contextlib.suppress(OSError):
                smtplib.SMTP("127.0.0.1", PORT, timeout=9).quit()
                return True
        want(until(up), "Postfix does not start: %s" % self.log.since()[-9:])
        return self

    def stop(self):
        if self.master:
            self.master.terminate()
            self.master.wait()
            self.master = None

            def gone():         # its children, too
                try:
                    socket.create_connection(("127.0.0.1", PORT), 5).close()
                except ConnectionRefusedError:
                    return True
                except ConnectionResetError:    # it ended just now
                    return False
            want(until(gone), "Postfix does not end")

    def command(self, name, *args):
        return subprocess.run(
            ["%s/usr/sbin/%s" % (UNPACKED, name), "-c", self.dir + "/etc",
             *args], text=True, timeout=60, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT).stdout

    def submit(self, *recipients, sender=mta.SENDER, text="hello"):
        """Its queue id."""
        with smtplib.SMTP("127.0.0.1", PORT, timeout=30) as c:
            c.ehlo("me")
            c.mail(sender)
            for r in recipients:
                code, said = c.rcpt(r)
                want(code == 250, "RCPT %s: %d %s" % (r, code, said))
            said = c.data("Subject: x\r\n\r\n%s\r\n" % text)[1].decode()
        return re.search(r"queued as (\w+)", said).group(1)

    def outcome(self, ident, recipient, seconds=30):
        """(delivered, deferred, bounced or none; all that was logged)"""
        seek = r" %s: to=<%s>,.* status=(\w+)" % (ident,
                                                  re.escape(recipient))
        line = self.log.wait(seek, seconds) or ""
        text = "\n".join(x for x in self.log.since() if ident in x)
        m = re.search(seek, line)
        word = m.group(1) if m else "none"
        return {"sent": "delivered"}.get(word, word), text


def kind(house, name):
    house.one(P, name)


for name in KINDS:
    add("one message: " + name, kind, name)


@case("one message to domains of many kinds (S06)")
def many(house):
    house.many(P)


@case("many messages at once: sessions used again, none mixed up")
def cached(house):
    before = {n: len(house.arrived(n)) for n in ("good", "good2")}
    sent = {n: [house.user(n) for _ in range(15)] for n in before}
    idents = [(P.submit(x), x) for pair in zip(*sent.values()) for x in pair]
    for ident, to in idents:
        want(P.outcome(ident, to)[0] == "delivered", ident)
    for n in before:
        rows = house.arrived(n)[before[n]:]
        want(sorted(r["rcpts"][0] for r in rows) == sorted(sent[n])
             and all(r["tls"] for r in rows), rows)


@case("its own domains stay its own; senders take no address")
def own(house):
    mark = house.log.mark()
    to = "user@mail.example.org"
    got, text = P.outcome(P.submit(to), to)
    want("example.org at 127." not in text and ":10025" not in text, text)
    P.command("postsuper", "-d", "ALL")
    for to in ("user@lab.alpha", "user@localhost", "user@virtual.alpha"):
        ident = P.submit(to, sender="me@" + house.domain("stranger"))
        got, text = P.outcome(ident, to)
        want(got == "delivered" and "postfix/discard" in text, text)
    want(not house.aliased("stranger", mark), house.log.since(mark))


@case("a domain with a line of its own goes elsewhere; LMTP needs one")
def first(house):
    lmtp = "virtual_transport = lmtp:unix:private/nobody\n"
    P.start(lmtp)
    to = "user@virtual.alpha"
    got, text = P.outcome(P.submit(to), to)
    want(got == "deferred" and ":10025" in text, text)
    P.own += ("/@good2\\.alpha$/ discard:\n/@clear\\.alpha$/ retry:mine\n"
              "/@virtual\\.alpha$/ :\n")
    P.start(lmtp)
    for name, service in (("good2", "discard"), ("clear", "error"),
                          ("good", "danevirke/smtp")):
        to = house.user(name)
        got, text = P.outcome(P.submit(to), to)
        want("postfix/" + service in text, text)
    to = "other@virtual.alpha"
    got, text = P.outcome(P.submit(to), to)
    want(got == "deferred" and "private/nobody" in text, text)
    P.command("postsuper", "-d", "ALL")
    P.own = OWN
    P.start()


# -------------------------------------------------------------- fails closed

def waits(house, text, octets):
    """With this map a message waits, and is sent once danevirked is back."""
    house.daemon.stop(signal.SIGKILL)
    fake = octets is not None and FakeMap(MAP, octets)
    names = ("good", "clear", "stripped")
    before = {n: len(house.arrived(n)) for n in names}
    mark = house.log.mark()
    try:
        # smtpd does not need danevirked
        sent = [(n, house.user(n)) for n in names]
        idents = [P.submit(to) for n, to in sent]
        for ident, (n, to) in zip(idents, sent):
            got, said = P.outcome(ident, to)
            want(got == "deferred", said)
            said = "\n".join(house.log.since(mark))
            want(suite.found(text, said), "no /%s/\n%s" % (text, said))
            want(len(house.arrived(n)) == before[n], said)
    finally:
        if fake:
            fake.close()
        house.daemon.start()
    want(not house.leaks(), house.leaks())

    def sent():
        # again: qmgr(8) may still have the answer to its last question
        P.command("postqueue", "-f")
        return until(lambda: all(len(house.arrived(n)) > before[n]
                                 for n in ("good", "clear")), 2)
    want(until(sent), "\n".join(house.log.since(mark)))
    P.command("postsuper", "-d", "ALL")


for what, octets, text in (
        ("not there", None, "status=deferred .address resolver failure"),
        ("TEMP", netstring("TEMP so it is"), "temporary error: so it is"),
        ("PERM", netstring("PERM no"), "permanent error: no"),
        ("closes", b"", "address resolver failure"),
        ("garbage", b"OK :[127.0.0.1]:25\n" * 5, "address resolver failure"),
        # these make Postfix go on as without the map; then there is only
        # the transport, from which nothing but this machine is in reach
        ("NOTFOUND", netstring("NOTFOUND "), "status=deferred"),
        ("OK and nothing", netstring("OK "), "status=deferred")):
    add("the map: %s (P03)" % what, waits, text, octets)


@case("relayhost, fallback and defaults do not win (P03)")
def relayhost(house):
    clear = house.world.scenarios["clear"].hosts["mx1"].addresses[0]
    more = ("relayhost = [%s]:25\nsmtp_fallback_relay = [%s]:25\n"
            "sender_dependent_relayhost_maps = static:[%s]:25\n"
            "smtp_tls_security_level = encrypt\n"
            "smtp_tls_policy_maps = static:encrypt\n" % ((clear,) * 3))
    before = len(house.arrived("clear"))
    P.start(more)
    for n, result in (("good", "delivered"), ("wrong", "deferred"),
                      ("down", "deferred")):
        to = house.user(n)
        got, text = P.outcome(P.submit(to), to)
        want(got == result and clear not in text, text)
    want(len(house.arrived("clear")) == before, house.arrived("clear"))
    want(not house.leaks(), house.leaks())
    P.command("postsuper", "-d", "ALL")
    P.start()


@case("the relay refuses another user: the message waits (P03)")
def other_user(house):
    try:
        with house.refusing("postfix"):
            P.start()
            to = house.user("good")
            got, said = P.outcome(P.submit(to), to)
            want(got == "deferred", said)
    finally:
        P.command("postsuper", "-d", "ALL")
        P.start()


@case("control: without the map mail leaks, and this would be seen")
def control(house):
    before = len(house.arrived("stripped"))
    s = house.world.scenarios["stripped"].hosts["mx1"].addresses[0]
    P.start("transport_maps =\ndefault_transport = smtp:[%s]:25" % s)
    to = house.user("stripped")
    got, text = P.outcome(P.submit(to), to)
    want(got == "delivered" and len(house.arrived("stripped")) == before + 1,
         text)
    want(house.leaks(), text)


P = None


def start(house):
    global P
    P = Postfix(house).start()
    return P.stop


if __name__ == "__main__":
    sys.exit(common.main(__file__, start, ("postfix",), ("postdrop",)))

# SPDX-License-Identifier: ISC
"""danevirke rollover, in the world of rollover.conf; tests/cli/run starts it."""

import datetime
import hashlib
import json
import os
import random
import re
import socket
import stat
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lab"))
import certs  # noqa: E402
import tool  # noqa: E402
from tool import has, path, run, same, write  # noqa: E402

CONF = os.environ["DV_LAB_CONF"]
LAB = os.environ["DV_LAB_DIR"]
with open(os.environ["DV_LAB_MAP"]) as f:
    MAP = json.load(f)
HOUR_AGO = (datetime.datetime.utcnow() - datetime.timedelta(
    hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
INSTALL, PUBLISH, UNTESTED, WAIT = range(4)
WORDS = {INSTALL: "install", PUBLISH: "publish", WAIT: "wait"}

MEMBERS = {"install": bool, "decision": str, "reason": str, "host": str,
           "port": int, "base": (str, type(None)), "ttl": int, "wait": int,
           "at": str, "records": list, "ignored": list, "publish": list,
           "impossible": list}
RECORD = {"usage": int, "selector": int, "matching": int, "name": str,
          "data": str, "matches": bool, "gone": bool, "since": str,
          "ready": str}


def host(ident, name="mx1"):
    return MAP[ident]["hosts"][name]["fqdn"].rstrip(".")


def cert(ident, name="mx1"):
    """The certificate that the lab's server has, with what it sends."""
    return MAP[ident]["hosts"][name]["cert"]


def shape(found, wanted):
    same(set(found), set(wanted))
    for k, w in wanted.items():
        assert isinstance(found[k], w), (k, found[k])


def ask(at_host, new, *args):
    return run("rollover", "--config", CONF, "--cert", new, "--host", at_host,
               *args)


def judged(want, at_host, new, *args):
    """The JSON, its shape checked and its exit status compared."""
    r = ask(at_host, new, "--json", *args)
    same(r.code, want, r.out + r.err)
    j = r.json
    shape(j, MEMBERS)
    same((j["install"], j["decision"]), (want == INSTALL, WORDS[want]))
    for row in j["records"]:
        shape(row, RECORD)
    assert (j["wait"] > 0) == (want != INSTALL) or want == PUBLISH
    # text and JSON agree, but for the second that may have passed
    t = ask(at_host, new, *args)
    same(t.code, want)
    if j["reason"] not in t.out:
        j = ask(at_host, new, "--json", *args).json
    has(t.out, j["reason"])
    for line in j["publish"]:
        has(t.out.splitlines(), line)
    return j


def told(want, ident, new=None, *args):
    return judged(want, host(ident), new or cert(ident), "--published-since",
                  HOUR_AGO, *args)


def untested(ident, part, *args):
    """D03: what is not proven is never "install"."""
    for more in ((), ("--published-since", HOUR_AGO)):
        r = ask(host(ident), cert(ident), "--json", *more, *args)
        same((r.code, r.json["install"]), (UNTESTED, False), r.out)
        has(r.json["error"], "do not install")
        has(r.json["error"], part)
        t = ask(host(ident), cert(ident), *more, *args)
        same((t.code, t.out), (UNTESTED, ""))


def bad(part, *args, code=UNTESTED):
    r = run("rollover", *args)
    same((r.code, r.out), (code, ""), args)
    has(r.err, part)
    r = run("rollover", "--json", *args)
    same((r.code, r.json["install"]), (code, False), args)
    has(r.json["error"], part)


def later(seconds):
    t = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
    return t.strftime("%Y-%m-%dT%H:%M:%SZ")


def new_cert(name, at_host, issuer=None, send=()):
    """A file with a new certificate and what is sent behind it."""
    c = certs.issue(at_host, issuer, [at_host])
    write(name, b"".join(x.pem for x in (c, *send)))
    return c, path(name)


def line(at_host, c, kind=(3, 1, 1), ttl=300, port=25):
    return "_%d._tcp.%s.\t%d\tIN TLSA %d %d %d %s" % (
        port, at_host, ttl, *kind, c.association(*kind[1:]).hex())


# --------------------------------------------------------------- what stands

def test_install():
    """told that it is published for two TTLs: install (L02)"""
    j = told(INSTALL, "one")
    same((j["ttl"], j["wait"], j["base"]), (300, 0, host("one")))
    same([r["matches"] for r in j["records"]], [True])


def test_two_ttls():
    """at two TTLs it is install, a second earlier wait (L02)"""
    at = "2026-01-31T12:10:00Z"
    for since, want, wait in (("2026-01-31T12:00:00Z", INSTALL, 0),
                              ("2026-01-31T12:00:01Z", WAIT, 1),
                              ("2026-01-31T12:10:00Z", WAIT, 600),
                              ("2026-01-31T13:00:01+01:00", WAIT, 1)):
        r = ask(host("one"), cert("one"), "--json", "--published-since",
                since, "--at", at)
        same((r.code, r.json["wait"]), (want, wait), since)


def test_unknown_age():
    """nothing told and nothing remembered: wait, and how to say it (L02)"""
    j = judged(WAIT, host("one"), cert("one"))
    assert 598 <= j["wait"] <= 600, j["wait"]
    r = ask(host("one"), cert("one"))
    has(r.err, "--state FILE")


def test_text():
    """the text for a person is as it was"""
    d = certs_data("one")
    at = ["--at", "2026-01-31T12:09:00Z"]
    r = ask(host("one"), cert("one"), "--published-since",
            "2026-01-31T12:00:00Z", *at)
    same((r.code, r.err), (WAIT, ""))
    same(r.out, "wait: %s:25: mail servers may hold records that do not match "
         "for another 60 s, until 2026-01-31T12:10:00Z\n"
         "  TLSA 3 1 1 %s (DANE-EE SPKI SHA2-256): matches, visible since "
         "2026-01-31T12:00:00Z, to all from 2026-01-31T12:10:00Z\n"
         % (host("one"), d))
    c, file = new_cert("new.pem", host("one"))
    r = ask(host("one"), file, "--published-since", "2026-01-31T12:00:00Z",
            *at)
    same((r.code, r.err), (PUBLISH, ""))
    same(r.out, "publish first: %s:25: mail servers would not accept this "
         "certificate: the records below come first, and then two TTLs\n"
         "  TLSA 3 1 1 %s (DANE-EE SPKI SHA2-256): does not match\n%s\n"
         % (host("one"), d, line(host("one"), c)))


def certs_data(ident):
    """The 3 1 1 data of the host's certificate, by another program."""
    pem = subprocess.run(["openssl", "x509", "-in", cert(ident), "-noout",
                          "-pubkey"], stdout=subprocess.PIPE, check=True)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "DER"],
                         input=pem.stdout, stdout=subprocess.PIPE, check=True)
    return hashlib.sha256(der.stdout).hexdigest()


def test_publish():
    """another certificate: publish first, and which record (L01 L02)"""
    c, file = new_cert("new.pem", host("one"))
    j = told(PUBLISH, "one", file)
    same(j["publish"], [line(host("one"), c)])
    same((j["impossible"], j["wait"]), ([], 600))
    j = told(PUBLISH, "one", file, "--port", "465")
    same(j["publish"], [line(host("one"), c, port=465)])


def test_pair():
    """old and new both published: install, either of them (L02)"""
    j = told(INSTALL, "pair")
    same(sorted(r["matches"] for r in j["records"]), [False, True])


def test_digests():
    """a second digest that lacks the new key: publish that record (A01 L03)"""
    j = told(PUBLISH, "digests")
    r = run("tlsa", "--cert", cert("digests"), "--host", host("digests"),
            "--ttl", "300", "--usage", "3 1 2")
    same(j["publish"], [r.out.rstrip("\n")])


def test_anchor():
    """usage 2 with the chain: install; without: no record would do (L04
    U08)"""
    told(INSTALL, "anchor")
    with open(cert("anchor")) as f:
        leaf = f.read().split("-----END CERTIFICATE-----")[0]
    write("leaf.pem", leaf + "-----END CERTIFICATE-----\n")
    j = told(PUBLISH, "anchor", path("leaf.pem"))
    same(j["publish"], [])
    has(j["impossible"][0]["why"], "no CA certificate")


def test_anchor_new():
    """usage 2, another CA: publish the record of the CA, not of the leaf"""
    ca = certs.Authority("new ca")
    c, file = new_cert("new.pem", host("anchor"), ca.intermediate(),
                       (ca.intermediate(), ca.root))
    j = told(PUBLISH, "anchor", file)
    same(j["publish"], [line(host("anchor"), ca.root, (2, 1, 1))])
    c, file = new_cert("new.pem", host("anchor"), ca.intermediate(),
                       (ca.intermediate(),))
    j = told(PUBLISH, "anchor", file)
    same(j["publish"], [line(host("anchor"), ca.intermediate(), (2, 1, 1))])


def test_anchor_name():
    """usage 2, a certificate of another name: no record would do (N02)"""
    ca = certs.Authority("new ca")
    c, file = new_cert("new.pem", "other.example", ca.root, (ca.root,))
    j = told(PUBLISH, "anchor", file)
    same(j["publish"], [])
    same(len(j["impossible"]), 1)
    r = ask(host("anchor"), file)
    has(r.out, "no record would do")


def test_anchor_expired():
    """usage 2, judged when the chain has ended: publish, not install (U11)"""
    r = ask(host("anchor"), cert("anchor"), "--json", "--published-since",
            HOUR_AGO, "--at", later(400 * 86400))
    same((r.code, r.json["decision"]), (PUBLISH, "publish"))
    # U07: usage 3 has no dates
    r = ask(host("one"), cert("one"), "--json", "--published-since",
            HOUR_AGO, "--at", later(400 * 86400))
    same(r.code, INSTALL)


def test_mixed():
    """every group must match, one of two is not enough (L01)"""
    told(INSTALL, "mixed")
    ca = certs.Authority("new ca")
    c, file = new_cert("new.pem", host("mixed"), ca.root, (ca.root,))
    j = told(PUBLISH, "mixed", file)
    same(sorted(j["publish"]), sorted([
        line(host("mixed"), ca.root, (2, 0, 1)), line(host("mixed"), c)]))


def test_full():
    """full data of the certificate: install (U17)"""
    told(INSTALL, "full")
    c, file = new_cert("new.pem", host("full"))
    same(told(PUBLISH, "full", file)["publish"],
         [line(host("full"), c, (3, 0, 0))])


def test_unusable():
    """usages 0 and 1 and malformed records do not count (U01 A03)"""
    j = told(INSTALL, "pkix")
    same((len(j["records"]), len(j["ignored"])), (0, 2))
    has(j["reason"], "nothing to match")
    j = told(INSTALL, "malformed")
    same((len(j["records"]), len(j["ignored"])), (1, 1))
    c, file = new_cert("new.pem", host("malformed"))
    same(told(PUBLISH, "malformed", file)["publish"],
         [line(host("malformed"), c)])


def test_none():
    """signed, and proven to have no TLSA: install (T04)"""
    j = told(INSTALL, "none")
    same((j["records"], j["base"]), ([], None))
    has(j["reason"], "no TLSA records")
    told(INSTALL, "one", None, "--port", "26")


def test_alias():
    """records at the expanded name are found, and published there (B09)"""
    real = host("alias", "real@b")
    args = ("mx1.alias.alpha", "--published-since", HOUR_AGO)
    j = judged(INSTALL, args[0], cert("alias", "real@b"), *args[1:])
    same(j["base"], real)
    c, file = new_cert("new.pem", real)
    j = judged(PUBLISH, args[0], file, *args[1:])
    same(j["publish"], [line(real, c)])


def test_port():
    """--port asks for the port's records (Q01)"""
    j = told(INSTALL, "one", None, "--port", "465")
    same((j["port"], len(j["records"])), (465, 1))


def test_bogus():
    """bogus, failing, stripped, forged or expired: never install (D03 D08)"""
    untested("badsig", "TLSA lookup failed")
    untested("servfail", "TLSA lookup failed")
    untested("removed", "TLSA lookup failed")
    untested("forged", "TLSA lookup failed")
    untested("expired", "expired")
    untested("address", "address lookup failed")


def test_insecure():
    """not signed, or said not to be: nothing is proven (D01 Q05)"""
    untested("unsigned", "not proven")
    untested("configured", "not proven")


def test_nobody():
    """a host that is not there: never install (B04)"""
    r = ask("nobody.one.alpha", cert("one"), "--json", "--published-since",
            HOUR_AGO)
    same((r.code, r.json["install"]), (UNTESTED, False))
    # T07: an address has no records
    r = ask("198.18.1.1", cert("one"), "--json", "--published-since", HOUR_AGO)
    same((r.code, r.json["install"]), (UNTESTED, False))


def test_no_network():
    """no server answers, in bounded time: never install (D03)"""
    with open(CONF) as f:
        text = f.read()
    conf = write("nobody.conf", re.sub(
        r"root_hints = [^;]*;", 'forward = [ "198.18.255.253" ];', text))
    r = run("rollover", "--json", "--config", conf, "--cert", cert("one"),
            "--host", host("one"), "--published-since", HOUR_AGO)
    same((r.code, r.json["install"]), (UNTESTED, False))


def test_level_off():
    """a profile that does not look proves nothing (P02)"""
    with open(CONF) as f:
        text = f.read()
    conf = write("off.conf", text.replace('default: { level = "dane"; }',
                                          'default: { level = "off"; }'))
    r = run("rollover", "--json", "--config", conf, "--cert", cert("one"),
            "--host", host("one"), "--published-since", HOUR_AGO)
    same((r.code, r.json["install"]), (UNTESTED, False), r.out)


def test_forms():
    """DER, and a file with the key in it, are read as well"""
    with open(cert("one"), "rb") as f:
        pem = f.read()
    with open(cert("one") + ".key", "rb") as f:
        told(INSTALL, "one", write("both.pem", f.read() + pem))
    der = subprocess.run(["openssl", "x509", "-outform", "DER"], input=pem,
                         stdout=subprocess.PIPE, check=True).stdout
    told(INSTALL, "one", write("cert.der", der))


# ---------------------------------------------------------- the command line

def test_command_line():
    """bad command lines are exit 2, and install is false"""
    good = ["--config", CONF, "--cert", cert("one"), "--host", host("one")]
    bad("no file", "--host", "mx.example")
    bad("no host", "--cert", cert("one"))
    bad("No such file", "--cert", path("absent"), "--host", "mx.example")
    bad("want the certificate", "--cert", cert("one") + ".key", "--host",
        host("one"))
    bad("cannot be read", "--cert", write("cut.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "--host", host("one"))
    bad("no such option", *good, "--force")
    bad("given twice", *good, "--host", "mx2.example")
    bad("absolute path", *good, "--state", "here.state")
    bad("one of them", *good, "--state", path("s"), "--published-since",
        HOUR_AGO)
    bad("RFC 3339", *good, "--published-since", "yesterday")
    bad("RFC 3339", *good, "--at", "2026-02-30T00:00:00Z")
    bad("is to come", *good, "--published-since", later(3600))
    bad("1 to 65535", *good, "--port", "0")
    bad("unexpected", *good, "more")
    bad("--host", "--cert", cert("one"), "--host", "a..b")


def test_help():
    """--help names the exit statuses"""
    r = run("rollover", "--help")
    same((r.code, r.err), (0, ""))
    for word in ("0 install", "1 publish", "2 could not", "3 wait"):
        has(r.out, word)


# ----------------------------------------------------------- the state file

def test_state():
    """remembered: wait, and install when two TTLs have gone by (L02)"""
    s = path("one.state")
    args = (host("one"), cert("one"), "--state", s)
    r = ask(*args, "--json")
    same(r.code, WAIT)
    same(stat.S_IMODE(os.stat(s).st_mode), 0o600)
    with open(s) as f:
        text = f.read()
    same(text.splitlines()[0], "danevirke-rollover 1")
    same(text.splitlines()[1], "host %s 25" % host("one"))
    same(ask(*args, "--at", later(590)).code, WAIT)
    same(ask(*args, "--at", later(610)).code, INSTALL)
    with open(s) as f:          # --at looks and does not touch
        same(f.read(), text)
    same([x for x in os.listdir(tool.DIR) if x.startswith("one.state")],
         ["one.state"])
    # first seen is kept
    time.sleep(1.1)
    same(ask(*args).code, WAIT)
    with open(s) as f:
        again = f.read()
    same([x for x in again.splitlines() if x.startswith("seen")],
         [x for x in text.splitlines() if x.startswith("seen")])
    assert again != text


def test_state_not_written():
    """an error leaves the state as it was"""
    s = path("bogus.state")
    same(ask(host("badsig"), cert("badsig"), "--state", s).code, UNTESTED)
    assert not os.path.exists(s)


def state_text(at="2026-01-31T12:00:00Z", ready="2026-01-31T12:10:00Z"):
    return ("danevirke-rollover 1\nhost %s 25\nasked %s 300\n"
            "seen %s %s 3 1 1 %s\n" % (host("one"), at, at, ready,
                                       certs_data("one")))


def state_file(text, mode=0o600):
    write("edit.state", text)
    os.chmod(path("edit.state"), mode)
    return path("edit.state")


def with_state(file):
    return ask(host("one"), cert("one"), "--json", "--state", file, "--at",
               "2026-01-31T12:30:00Z")


def test_state_damaged():
    """a state file that is not one: where and what, never install"""
    good = state_text()
    r = with_state(state_file(good))
    same(r.code, INSTALL, r.out)
    sha = certs_data("one")
    for text, part in (
            ("", "line 1"), ("hello\n", "line 1: want"),
            (good.replace("rollover 1", "rollover 2"), "line 1: want"),
            (good.replace("mx1", "mx2"), "line 2: of host"),
            (good.replace(" 25\n", " 465\n"), "line 2: of host"),
            (good.replace(" 25\n", " 25 x\n"), "line 2"),
            (good.replace(" 300\n", " -300\n"), "line 3: \"-300\""),
            (good.replace(" 300\n", " 4294967296\n"), "line 3"),
            (good.replace("asked 2026-01-31", "asked 2026-02-31"), "line 3"),
            (good.replace("asked 2026-01-31T12:00:00Z",
                          "asked 2026-01-31T13:00:00+01:00"), "line 3"),
            (good.replace("asked", "told"), "line 3: want"),
            (good.replace("asked 2026", "asked 2027"), "is the clock right"),
            (good[:-1], "line 4: cut short"),
            (good.replace("seen", "felt"), "line 4: \"felt\""),
            (good.replace("3 1 1", "3 1 256"), "line 4"),
            (good.replace(sha, sha[1:]), "line 4"),
            (good.replace(sha, "zz" + sha[2:]), "line 4"),
            (good.replace("12:10", "11:10"), "line 4: times out of order"),
            (good.replace("seen 2026-01", "seen 2026-03"),
             "line 4: times out of order"),
            (good + good.splitlines()[3] + "\n", "line 5: a record for"),
            (good + "cached 2026-01-31T12:00:00Z\n" * 2, "line 6: a second"),
            (good + "\0", "not a text file"),
            (good + "\n", "line 5")):
        r = with_state(state_file(text))
        same((r.code, r.json["install"]), (UNTESTED, False), text)
        has(r.json["error"], part)
        with open(path("edit.state")) as f:
            same(f.read(), text)


def test_state_mutated():
    """a state with wrong octets is refused, or read as it stands"""
    rng = random.Random(7)
    good = state_text().encode() + (
        b"cached 2026-01-31T12:20:00Z\ngone 2026-01-31T11:00:00Z "
        b"2026-01-31T12:40:00Z 3 0 2 " + b"ab" * 64 + b"\n")
    refused = 0
    for _ in range(150):
        text = bytearray(good)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            how = rng.randrange(3)
            if how == 0:
                text[at] = rng.choice(b"\0\n 0129-TZseen\xff")
            elif how == 1:
                del text[at:at + rng.randint(1, 40)]
            else:
                text[at:at] = text[rng.randrange(len(text)):][:30]
        r = with_state(state_file(bytes(text)))
        assert r.code in (0, 2, 3), (r.code, bytes(text))
        refused += r.code == UNTESTED
    assert refused > 100, refused


def test_state_file():
    """a state that others can write, or that is no file, is refused"""
    for mode in (0o620, 0o602):
        r = with_state(state_file(state_text(), mode))
        same(r.code, UNTESTED)
        has(r.json["error"], "others can write it")
    file = state_file(state_text())
    os.symlink(file, path("link.state"))
    has(with_state(path("link.state")).json["error"], "symbolic link")
    has(with_state(tool.DIR).json["error"], "regular file")
    os.mkfifo(path("fifo.state"), 0o600)
    has(with_state(path("fifo.state")).json["error"], "regular file")
    r = ask(host("one"), cert("one"), "--state", path("no/dir.state"))
    same(r.code, UNTESTED)
    has(r.err, "no file can be made")


def test_state_full_disk():
    """a disk that is full: an error, and the old state is kept"""
    d = path("full")
    os.mkdir(d)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "lab", d],
                   check=True)
    try:
        s = d + "/state"
        same(ask(host("one"), cert("one"), "--state", s).code, WAIT)
        with open(s) as f:
            text = f.read()
        try:
            with open(d + "/fill", "wb") as f:
                f.write(b"x" * 16384)
                f.flush()
        except OSError:
            pass                # it may be full already
        r = ask(host("one"), cert("one"), "--state", s)
        same(r.code, UNTESTED)
        has(r.err, "state")
        with open(s) as f:
            same(f.read(), text)
        same(sorted(os.listdir(d)), ["fill", "state"])
    finally:
        subprocess.run(["umount", d], check=False)


# ------------------------------------------------------- a zone that changes

class Zone:
    """The zone "moving", signed with the key that the lab made for it, and
    served where the lab has delegated it to."""

    def __init__(self):
        self.name = MAP["moving"]["zones"]["main"]
        self.key = "%s/zones/%szone.k" % (LAB, self.name)
        self.address = MAP["moving"]["hosts"]["mx1"]["addresses"][0]
        self.nsd = None
        self.serial = 1

    def stop(self):
        if self.nsd:
            self.nsd.terminate()
            self.nsd.wait(5)
            self.nsd = None

    def publish(self, *records, ttl=300):
        """These lines of zone file, or (kind, certificate) of mx1."""
        self.stop()
        self.serial += 1
        rows = ["%s 300 IN SOA ns.%s root.%s %d 3600 600 86400 60" % (
            (self.name,) * 3 + (self.serial,)),
            "%s 300 IN NS dead.alpha." % self.name,
            "mx1.%s 300 IN A %s" % (self.name, self.address)]
        rows += [r if isinstance(r, str)
                 else line("mx1." + self.name.rstrip("."), r, ttl=ttl)
                 for r in records]
        write("zone", "\n".join(rows) + "\n")
        subprocess.run(["ldns-signzone", "-o", self.name, "-f",
                        path("zone.signed"), path("zone"), self.key],
                       check=True)
        write("nsd.conf", 'server:\n ip-address: 127.53.4.1\n'
              ' server-count: 1\n username: ""\n database: ""\n'
              ' zonesdir: ""\n zonelistfile: "%s"\n xfrdfile: "%s"\n'
              ' xfrdir: "%s"\n pidfile: ""\n'
              'remote-control:\n control-enable: no\n'
              'zone:\n name: "%s"\n zonefile: "%s"\n' % (
                  path("list"), path("xfrd"), tool.DIR, self.name,
                  path("zone.signed")))
        self.nsd = subprocess.Popen(
            ["nsd", "-d", "-c", path("nsd.conf")], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection(("127.53.4.1", 53), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("nsd is not up")


ZONE = Zone()


def test_whole_rollover():
    """publish what was printed, wait, install, remove the old: it works
    (L02)"""
    mx, state = host("moving"), path("moving.state")
    old, old_file = new_cert("old.pem", mx)
    new, new_file = new_cert("new.pem", mx)

    def step(want, file, at=0):
        more = ("--at", later(at)) if at else ()
        r = ask(mx, file, "--json", "--state", state, *more)
        same(r.code, want, r.out + r.err)
        return r.json

    ZONE.publish(old)
    step(WAIT, old_file)
    step(INSTALL, old_file, 610)
    j = step(PUBLISH, new_file)
    # waiting does not help
    step(PUBLISH, new_file, 86400)
    ZONE.publish(old, *j["publish"])
    step(WAIT, new_file)
    step(WAIT, new_file, 590)
    step(INSTALL, new_file, 610)
    step(INSTALL, old_file, 610)
    # removed at once: caches may have sets without it, so it starts anew
    ZONE.publish(old)
    step(PUBLISH, new_file, 610)
    step(PUBLISH, new_file)
    ZONE.publish(old, new)
    step(WAIT, new_file, 5)
    # the old one goes
    ZONE.publish(new)
    j = step(WAIT, new_file)
    same({r["data"]: r["gone"] for r in j["records"]}, {
        x.association(1, 1).hex(): x is old for x in (old, new)})
    step(INSTALL, new_file, 610)


def test_lowered_ttl():
    """a TTL that was lowered just before still stands in caches (L02)"""
    mx, state = host("moving"), path("lowered.state")
    old, old_file = new_cert("old.pem", mx)
    new, new_file = new_cert("new.pem", mx)
    ZONE.publish(old, ttl=7200)
    same(ask(mx, new_file, "--state", state).code, PUBLISH)
    ZONE.publish(old, new, ttl=60)
    r = ask(mx, new_file, "--json", "--state", state)
    same((r.code, r.json["ttl"]), (WAIT, 60))
    assert 14390 <= r.json["wait"] <= 14400, r.json["wait"]
    # a program that did not see the long one cannot know
    r = ask(mx, new_file, "--json")
    assert 115 <= r.json["wait"] <= 120, r.json["wait"]


def test_long_ttl():
    """a TTL of more than a day counts as the zone has it"""
    mx = host("moving")
    c, file = new_cert("new.pem", mx)
    ZONE.publish(c, ttl=172800)
    j = judged(WAIT, mx, file)
    assert 345590 <= j["wait"] <= 345600, j["wait"]


def test_endless_ttl():
    """no resolver keeps a record for more than about a week (L02)"""
    mx, state = host("moving"), path("endless.state")
    c, file = new_cert("new.pem", mx)
    ZONE.publish(c, ttl=2147483647)
    week2 = 2 * 7 * 86400
    j = judged(WAIT, mx, file)
    same(j["ttl"], 2147483647)
    assert week2 - 10 <= j["wait"] <= week2, j["wait"]
    same(ask(mx, file, "--state", state).code, WAIT)
    same(ask(mx, file, "--state", state, "--at", later(week2 + 5)).code,
         INSTALL)
    # remembered by a version that took the TTL at its word
    with open(state) as f:
        text = f.read()
    head, n = re.subn(r"(?m)^(asked \S+) \d+$", r"\1 2147483647", text)
    same(n, 1)
    head, n = re.subn(r"(?m)^(seen \S+) \S+", r"\1 2162-12-01T00:00:00Z",
                      head)
    same(n, 1)
    with open(state, "w") as f:
        f.write(head)
    same(ask(mx, file, "--state", state, "--at", later(week2 + 5)).code,
         INSTALL)


def test_tlsa_alias():
    """an alias of the TLSA name counts with its TTL (L02 Q02)"""
    mx = host("moving")
    c, file = new_cert("new.pem", mx)
    ZONE.publish("_25._tcp.%s. 7200 IN CNAME keys.%s" % (mx, ZONE.name),
                 line(mx, c, ttl=60).replace("_25._tcp.mx1", "keys"))
    j = judged(WAIT, mx, file)
    same((j["ttl"], j["base"]), (7200, mx))
    assert 14390 <= j["wait"] <= 14400, j["wait"]


def test_ttl_zero():
    """a TTL of zero is as good as unknown: a day"""
    mx = host("moving")
    c, file = new_cert("new.pem", mx)
    ZONE.publish(c, ttl=0)
    same(judged(WAIT, mx, file)["ttl"], 86400)


def test_group_removed():
    """a group that has just gone counts while caches hold it (L01 A01)"""
    mx, state = host("moving"), path("group.state")
    old, old_file = new_cert("old.pem", mx)
    new, new_file = new_cert("new.pem", mx)
    ZONE.publish(old, new, line(mx, old, (3, 1, 2)))
    same(ask(mx, new_file, "--state", state).code, PUBLISH)
    ZONE.publish(old, new)
    r = ask(mx, new_file, "--json", "--state", state)
    same(r.code, WAIT)
    assert 595 <= r.json["wait"] <= 600
    same(ask(mx, new_file, "--state", state, "--at", later(605)).code,
         INSTALL)
    # all of them gone
    ZONE.publish()
    r = ask(mx, new_file, "--json", "--state", state)
    same((r.code, r.json["base"]), (WAIT, None))
    same(ask(mx, new_file, "--state", state, "--at", later(605)).code,
         INSTALL)


def test_real_time():
    """with a short TTL, without --at: wait, then install (L02)"""
    mx, state = host("moving"), path("real.state")
    new, new_file = new_cert("new.pem", mx)
    ZONE.publish(new, ttl=1)
    r = ask(mx, new_file, "--json", "--state", state)
    same((r.code, r.json["wait"]), (WAIT, 2))
    time.sleep(2.2)
    same(ask(mx, new_file, "--state", state).code, INSTALL)


def test_server_gone():
    """name servers that do not answer any more: never install (D03)"""
    mx, state = host("moving"), path("real.state")
    ZONE.stop()
    same(ask(mx, path("new.pem"), "--state", state).code, UNTESTED)


if __name__ == "__main__":
    sys.exit(tool.main(ZONE.stop))

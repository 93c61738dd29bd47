# SPDX-License-Identifier: ISC
"""examples/receiving in the lab's Internet; started by tests/receiving/run.

In the order of the file: the zone that before.py has signed is served, mail
arrives authenticated, the certificate is changed wrongly and rightly."""

import argparse
import email
import os
import pwd
import re
import shutil
import signal
import smtplib
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
for d in (HERE, HERE + "/../cli", HERE + "/../lab"):
    sys.path.insert(0, os.path.realpath(d))
import exim  # noqa: E402
import mta  # noqa: E402
import opensmtpd  # noqa: E402
import tool  # noqa: E402
import world  # noqa: E402
from site_files import (ADDRESS, DOMAIN, FIRST, HOST, NS, OUTSIDE,  # noqa: E402
                        Site, example)
from tool import has, same  # noqa: E402

SITE = SENDER = NSD = None
RUNNING = []
CONF = os.environ["DV_LAB_CONF"]
INSTALL, PUBLISH, UNTESTED, WAIT = range(4)
TTL = 2                         # seconds, of the TLSA records

RECEIVER = """
primary_hostname = %(host)s
exim_user = Debian-exim
exim_group = Debian-exim
spool_directory = %(dir)s/exim/spool
log_file_path = %(dir)s/exim/log/%%slog
pid_file_path = %(dir)s/exim/pid
local_interfaces = %(address)s
daemon_smtp_ports = 25
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
acl_smtp_rcpt = rcpt
%(tls)s
begin acl
rcpt:
  accept domains = %(domain)s
  deny
begin routers
all:
  driver = accept
  transport = inbox
begin transports
inbox:
  driver = appendfile
  file = %(dir)s/exim/inbox
  user = Debian-exim
"""


def until(what, seconds=10):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("not after %d s: %s" % (seconds, what.__doc__))


def listens(address, port):
    def up():
        try:
            socket.create_connection((address, port), 1).close()
            return True
        except OSError:
            return False
    return up


# ------------------------------------------------------------- the servers

def machine():
    """One with two addresses, beside this one; how to run a command there."""
    p = subprocess.Popen(["unshare", "-n", "cat"], stdin=subprocess.PIPE)
    RUNNING.append(p)

    def apart():
        """it has a network of its own"""
        return os.readlink("/proc/%d/ns/net" % p.pid) != os.readlink(
            "/proc/self/ns/net")
    until(apart)
    there = ["nsenter", "-n", "-t", str(p.pid)]
    for where, cmd in (([], "link add ns type veth peer name ns netns %d"
                        % p.pid),
                       (there, "link set lo up"),
                       (there, "addr add %s/24 dev ns" % FIRST),
                       (there, "addr add %s/24 dev ns" % NS),
                       (there, "link set ns up"),
                       ([], "addr add %s/24 dev ns" % OUTSIDE),
                       ([], "link set ns up"),
                       # all of 198.18.0.0/15 is local in the lab
                       ([], "route add 198.18.53.0/24 dev ns table local")):
        subprocess.run(where + ["ip"] + cmd.split(), check=True)
    return there


def start_nsd(there, edit=lambda text: text):
    d = SITE.path("nsd")
    os.makedirs(d, exist_ok=True)
    zone = example("nsd.conf.part").replace(
        "/etc/nsd/example.org.zone.signed", SITE.signed).replace(
        "example.org", DOMAIN).replace("/run/nsd/nsd.ctl", d + "/ctl").replace(
        "192.0.2.53", NS)
    has(zone, SITE.signed)
    has(zone, d + "/ctl")
    has(zone, NS)
    SITE.write("nsd.conf", 'server:\n server-count: 1\n'
               ' username: ""\n database: ""\n zonesdir: ""\n'
               ' zonelistfile: "%s/list"\n xfrdfile: "%s/xfrd"\n'
               ' xfrdir: "%s"\n pidfile: ""\n%s'
               % (d, d, d, edit(zone)))
    p = subprocess.Popen(there + ["nsd", "-d", "-c", SITE.path("nsd.conf")],
                         stdin=subprocess.DEVNULL)
    RUNNING.append(p)
    until(listens(NS, 53))
    return p


def stop_nsd():
    NSD.terminate()
    NSD.wait(10)
    RUNNING.remove(NSD)


def start_receiver():
    """Debian's Exim reads one configuration, below /etc/exim4: this one gets
    a mount namespace in which that is ours."""
    user = pwd.getpwnam("Debian-exim")
    for sub in ("", "/spool", "/log", "/etc"):
        os.makedirs(SITE.path("exim") + sub)
        os.chown(SITE.path("exim") + sub, user.pw_uid, user.pw_gid)
    tls = example("exim.conf.part").replace("/etc/danevirke/mx.pem", SITE.pem)
    same(tls.count(SITE.pem), 2)
    os.chown(SITE.path("exim/etc"), 0, 0)
    SITE.write("exim/etc/exim4.conf", RECEIVER % {
        "host": HOST, "dir": SITE.dir, "address": ADDRESS, "tls": tls,
        "domain": DOMAIN})
    p = subprocess.Popen(
        ["unshare", "-m", "sh", "-euc", 'mount --bind "$1" /etc/exim4; '
         'exec /usr/sbin/exim4 -bdf', "sh", SITE.path("exim/etc")],
        stdin=subprocess.DEVNULL)
    RUNNING.append(p)
    until(listens(ADDRESS, 25))


def served_key():
    """What the mail server shows now, as 3 1 1 data."""
    r = subprocess.run(
        "openssl s_client -starttls smtp -connect %s:25 </dev/null 2>/dev/null"
        " | openssl x509 -pubkey -noout | openssl pkey -pubin -outform DER"
        " | openssl sha256 -r" % ADDRESS, shell=True, text=True, timeout=30,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return r.stdout.split()[0] if r.stdout else None


def key_of(pem):
    return SITE.tlsa(pem)[0].split()[-1]


def serves(pem):
    def same_key():
        """the mail server shows the certificate of its file"""
        return served_key() == key_of(pem)
    return same_key


def reload_receiver():
    with open(SITE.path("exim/pid")) as f:
        os.kill(int(f.read()), signal.SIGHUP)
    until(serves(SITE.pem))


# ---------------------------------------------------------------- the mail

SENT = 0


def send():
    """(what the sending Exim says, what arrived)"""
    global SENT
    SENT += 1
    ident = "receiving-%d" % SENT
    # each message is a first attempt: no hints of hosts that failed before
    shutil.rmtree(SENDER.dir + "/spool/db", ignore_errors=True)
    SENDER.inject("From: <%s>\nTo: <user@%s>\nSubject: hello\n"
                  "Message-ID: <%s@lab>\n\nHello.\n"
                  % (mta.SENDER, DOMAIN, ident), ["user@" + DOMAIN])
    for _ in range(50):
        outcome = SENDER.outcome(ident)
        if outcome.result != "none":
            break
        time.sleep(0.1)
    found = ""
    for _ in range(50 if outcome.result == "delivered" else 5):
        try:
            text = SITE.read(SITE.path("exim/inbox"))
        except FileNotFoundError:
            text = ""
        found = next((m for m in text.split("\nFrom ") if ident in m), "")
        if found:
            break
        time.sleep(0.1)
    return outcome, found


def arrives():
    outcome, found = send()
    same(outcome.result, "delivered", outcome.lines)
    same([v for v in outcome.verdicts if v[2] != "deferred"],
         [(HOST, "25", "dane")], outcome.lines)
    assert re.search(r"with esmtps\s+\(TLS1\.[23]\)", found), found


def waits(why):
    outcome, found = send()
    same((outcome.result, found), ("deferred", ""), outcome.lines)
    has("\n".join(outcome.lines), why)


# --------------------------------------------------------------- the script

def danevirke(*args):
    return subprocess.run([SITE.path("danevirke"), *args], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60)


def publish(*lines):
    SITE.zone_text(*lines)
    r = SITE.run("sign-zone")
    same(r.code, 0, r.err)

    def served():
        """the name server answers with the new records"""
        said = subprocess.run(["drill", "@" + NS, "_25._tcp." + HOST, "TLSA"],
                              text=True, stdout=subprocess.PIPE).stdout
        found = re.findall(r"\sTLSA\s+3 1 1 ([0-9a-f]{64})", said)
        return sorted(found) == sorted(x.split()[-1] for x in lines)
    until(served)


def install(want, *args):
    before = SITE.read(SITE.pem)
    r = SITE.run("install-certificate", *args)
    same(r.code, want, r.out + r.err)
    if want != INSTALL:
        same(SITE.read(SITE.pem), before)
    for name in os.listdir(SITE.path("etc")):
        assert re.fullmatch(r"(mx\.pem(\.next|\.next\.old|\.previous)?|"
                            r"zone|keys|receiving\.conf)", name), name
    return r


def test_two_addresses():
    """NSD without ip-address: answers from the wrong one: check says where to
    look, drill says nothing (D06)"""
    global NSD
    there = machine()
    NSD = start_nsd(there, lambda text: re.sub(r"\tip-address: .*\n", "", text))
    has(subprocess.run(["drill", "@" + NS, DOMAIN, "MX"], text=True,
                       stdout=subprocess.PIPE).stdout, "rcode: NOERROR")
    r = danevirke("check", "--dns-only", DOMAIN)
    assert r.returncode != 0, r.stdout
    has(r.stdout, "MX lookup failed: no answer")
    has(r.stdout, "from the address that was asked (NSD with several: "
        "ip-address)")
    stop_nsd()
    NSD = start_nsd(there)
    r = danevirke("check", "--dns-only", DOMAIN)
    same(r.returncode, 0, r.stdout + r.stderr)


def test_delegation():
    """the zone that sign-zone made is secure from the root down"""
    r = danevirke("route", DOMAIN)
    same(r.returncode, 0, r.stdout + r.stderr)
    has(r.stdout, "MX secure")
    has(r.stdout, HOST + ":25: dane:")


def test_arrives():
    """a message arrives, authenticated by the record of the README"""
    until(serves(SITE.pem))
    arrives()


def test_replaced_by_hand():
    """a certificate replaced without its record delays mail (L02)"""
    shutil.copy2(SITE.pem, SITE.path("kept"))
    os.rename(SITE.pem, SITE.path("kept2"))
    same(SITE.run("make-certificate").code, 0)
    reload_receiver()
    waits("via %s:25: deferred:" % HOST)
    # the monitor's part of it: certificate and TLSA differ
    r = danevirke("rollover", "--cert", SITE.pem, "--host", HOST)
    same(r.returncode, PUBLISH)
    os.rename(SITE.path("kept2"), SITE.pem)
    same(SITE.read(SITE.pem), SITE.read(SITE.path("kept")))
    reload_receiver()
    arrives()


def test_rollover():
    """publish first, wait, install: mail arrives all the time (L02)"""
    old = SITE.read(SITE.pem)
    lines = SITE.tlsa(ttl=TTL)
    r = SITE.run("make-certificate", "--next")
    same(r.code, 0, r.err)
    r = install(PUBLISH)
    record = [x for x in r.out.splitlines() if "\tIN TLSA " in x]
    same(len(record), 1, r.out)
    arrives()
    publish(*lines, *record)
    install(WAIT)
    arrives()
    time.sleep(2 * TTL + 0.2)
    r = install(INSTALL)
    has(r.out, "installed")
    until(serves(SITE.pem))
    assert SITE.read(SITE.pem) != old
    same(SITE.read(SITE.pem + ".previous"), old)
    assert not os.path.exists(SITE.pem + ".next")
    arrives()
    publish(*record)
    arrives()
    # nothing waits: nothing to do
    same(install(INSTALL).out, "")


def lineage(pem, name="live"):
    """What an ACME client leaves, from a file with key and chain."""
    d = SITE.path(name)
    os.makedirs(d, exist_ok=True)
    key, mark, chain = SITE.read(pem).partition("-----BEGIN CERTIFICATE-----")
    SITE.write(name + "/privkey.pem", key, 0o600)
    SITE.write(name + "/fullchain.pem", mark + chain)
    return d


def renewed(out, reuse=None):
    """A certificate for HOST from another program, perhaps with the key of a
    file."""
    key = SITE.path("acme.key")
    if reuse:
        SITE.write("acme.key", SITE.read(reuse).partition(
            "-----BEGIN CERTIFICATE-----")[0], 0o600)
    else:
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-out", key], check=True,
                       stderr=subprocess.DEVNULL)
    cert = subprocess.run(
        ["openssl", "req", "-x509", "-key", key, "-subj", "/CN=" + HOST,
         "-days", "90"], check=True, text=True,
        stdout=subprocess.PIPE).stdout
    SITE.write(out, SITE.read(key) + cert, 0o600)
    return SITE.path(out)


def test_certbot_same_key():
    """certbot, renewed with the same key, installs at once"""
    d = lineage(renewed("acme.pem", SITE.pem))
    r = SITE.run("certbot-deploy-hook", env={
        "RENEWED_LINEAGE": d, "RENEWED_DOMAINS": "%s www.x" % HOST})
    same(r.code, 0, r.out + r.err)
    has(SITE.read(SITE.pem), SITE.read(d + "/fullchain.pem"))
    until(serves(SITE.pem))
    arrives()


def test_certbot_new_key():
    """certbot with a new key waits, prints the record, and installs in due
    time"""
    old, lines = SITE.read(SITE.pem), SITE.tlsa(ttl=TTL)
    d = lineage(renewed("acme.pem"))
    env = {"RENEWED_LINEAGE": d, "RENEWED_DOMAINS": HOST}
    r = SITE.run("certbot-deploy-hook", env=env)
    same((r.code, SITE.read(SITE.pem)), (PUBLISH, old))
    line, = [x for x in r.out.splitlines() if "\tIN TLSA " in x]
    has(SITE.read(SITE.pem + ".next"), SITE.read(d + "/fullchain.pem"))
    arrives()
    publish(*lines, line)
    r = SITE.run("certbot-deploy-hook", env=env)
    same((r.code, SITE.read(SITE.pem)), (0, old), r.err)
    has(r.out, "wait")
    time.sleep(2 * TTL + 0.2)
    install(INSTALL)
    has(SITE.read(SITE.pem), SITE.read(d + "/fullchain.pem"))
    until(serves(SITE.pem))
    arrives()


def test_certbot_other():
    """certbot's other certificates are left alone"""
    # Without certbot it is an error.
    old = SITE.read(SITE.pem)
    d = lineage(renewed("other.pem"), "other")
    for names in ("www.example.org", "mx.other.example", HOST + ".example"):
        r = SITE.run("certbot-deploy-hook", env={
            "RENEWED_LINEAGE": d, "RENEWED_DOMAINS": names})
        same((r.code, r.out), (0, ""))
    assert SITE.run("certbot-deploy-hook").code != 0
    same(SITE.read(SITE.pem), old)
    assert not os.path.exists(SITE.pem + ".next")


def test_acme_sh():
    """acme.sh's hook does the same with a new key and the old one"""
    from site_files import EXAMPLE
    old, lines = SITE.read(SITE.pem), SITE.tlsa(ttl=TTL)

    def hook(d):
        return SITE.run("", shell=". '%s/acme.sh-hook'; danevirke_deploy %s "
                        "%s/privkey.pem cert ca %s/fullchain.pem" % (
                            EXAMPLE, HOST, d, d))
    d = lineage(renewed("acme.pem"))
    r = hook(d)
    same((r.code, SITE.read(SITE.pem)), (PUBLISH, old))
    line, = [x for x in r.out.splitlines() if "\tIN TLSA " in x]
    publish(*lines, line)
    same(hook(d).code, 0)
    same(SITE.read(SITE.pem), old)
    time.sleep(2 * TTL + 0.2)
    r = hook(d)
    same(r.code, 0, r.err)
    has(SITE.read(SITE.pem), SITE.read(d + "/fullchain.pem"))
    publish(line)
    until(serves(SITE.pem))
    arrives()


def test_wrong_key():
    """a key that is not the certificate's, and files that are none, are exit
    2"""
    old = SITE.read(SITE.pem)
    a = lineage(renewed("a.pem"), "a")
    b = lineage(renewed("b.pem"), "b")
    r = install(UNTESTED, a + "/fullchain.pem", b + "/privkey.pem")
    has(r.err, "not the key of")
    install(UNTESTED, a + "/privkey.pem", SITE.path("absent"))
    install(UNTESTED, SITE.path("absent"), a + "/privkey.pem")
    install(UNTESTED, SITE.conf, a + "/privkey.pem")
    install(UNTESTED, a + "/fullchain.pem")
    assert not os.path.exists(SITE.pem + ".next")
    same(SITE.read(SITE.pem), old)


def test_reload_fails():
    """a mail server that does not reload is an error, and tried again"""
    d = lineage(renewed("acme.pem", SITE.pem))
    reload = SITE.settings["RELOAD"]
    SITE.configure(**dict(SITE.settings, RELOAD="exit 7"))
    r = SITE.run("install-certificate", d + "/fullchain.pem",
                 d + "/privkey.pem")
    same(r.code, UNTESTED)
    has(r.err, "failed")
    assert os.path.exists(SITE.pem + ".next")
    SITE.configure(**dict(SITE.settings, RELOAD=reload))
    install(INSTALL)
    assert not os.path.exists(SITE.pem + ".next")
    until(serves(SITE.pem))
    arrives()


def test_replaced_while_waiting():
    """a second new certificate before the first is installed: both are kept"""
    first, second = renewed("one.pem"), renewed("two.pem")
    install(PUBLISH, *[lineage(first) + x for x in (
        "/fullchain.pem", "/privkey.pem")])
    kept = SITE.read(SITE.pem + ".next")
    install(PUBLISH, *[lineage(second) + x for x in (
        "/fullchain.pem", "/privkey.pem")])
    same(SITE.read(SITE.pem + ".next.old"), kept)
    assert SITE.read(SITE.pem + ".next") != kept
    for x in (".next", ".next.old"):
        os.unlink(SITE.pem + x)


# -------------------------------------------------------------- the monitor

def monitor(want, *problems):
    """danevirke-check: its status, and the mail if there should be one."""
    for x in (SITE.mail, SITE.mail + ".args"):
        if os.path.exists(x):
            os.unlink(x)
    r = SITE.run("danevirke-check")
    same(r.code, want, r.out + r.err)
    same(os.path.exists(SITE.mail), want != 0)
    if want == 0:
        return r
    same(SITE.read(SITE.mail + ".args"), "-oi -t\n")
    m = email.message_from_string(SITE.read(SITE.mail))
    same(m["To"], "postmaster@elsewhere.example")
    for p in problems:
        has(m["Subject"], p)
    has(m["Subject"], HOST)
    has(m.get_payload(), r.out)
    return r


def test_monitor_good():
    """danevirke-check: all is well, exit 0 and no mail"""
    monitor(0)


def test_monitor_differs():
    """danevirke-check: where certificate and TLSA differ a mail says so"""
    good = SITE.read(SITE.pem)
    shutil.copy(SITE.pem, SITE.path("kept"))
    with open(SITE.pem, "w") as f:
        f.write(SITE.read(renewed("acme.pem")))
    reload_receiver()
    r = monitor(1, "the check found a problem", "certificate and TLSA differ")
    has(r.out, "IN TLSA 3 1 1")
    with open(SITE.pem, "w") as f:
        f.write(good)
    reload_receiver()
    monitor(0)


def test_monitor_next():
    """danevirke-check: a next certificate that is not published is a mail,
    then it is installed"""
    lines = SITE.tlsa(ttl=TTL)
    same(SITE.run("make-certificate", "--next").code, 0)
    r = monitor(1, "the next certificate is not published")
    line, = {x for x in r.out.splitlines() if "\tIN TLSA " in x}
    publish(*lines, line)
    old = SITE.read(SITE.pem)
    monitor(0)
    same(SITE.read(SITE.pem), old)
    time.sleep(2 * TTL + 0.2)
    monitor(0)
    assert SITE.read(SITE.pem) != old
    assert not os.path.exists(SITE.pem + ".next")
    until(serves(SITE.pem))
    arrives()
    publish(line)
    monitor(0)


def test_monitor_signatures():
    """signatures that end in five days are a mail, signed again none (L12)"""
    line = SITE.tlsa(ttl=TTL)
    for days, want in (("5", 1), ("30", 0)):
        SITE.configure(**dict(SITE.settings, SIGNED_DAYS=days))
        publish(*line)
        r = monitor(want, "the check has warnings")
        same("signature ends on" in r.out, want == 1)
    SITE.configure(**SITE.settings)


def test_monitor_sendmail():
    """danevirke-check: a mail that cannot be sent is exit 2, and said"""
    SITE.configure(**dict(SITE.settings, SENDMAIL="/bin/false",
                          DOMAIN="nobody." + DOMAIN))
    r = SITE.run("danevirke-check")
    SITE.configure(**SITE.settings)
    same(r.code, 2)
    has(r.err, "could not be sent")


def smtpd_version():
    r = subprocess.run([opensmtpd.SMTPD, "-h"], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    m = re.search(r"OpenSMTPD (\d+)\.(\d+)", r.stdout)
    return tuple(map(int, m.groups())) if m else (0, 0)


def smtpd_conf():
    """smtpd.conf of the example, for this host's names and address."""
    inbox = SITE.path("smtpd")
    os.mkdir(inbox)
    shutil.chown(inbox, "nobody", "nogroup")
    SITE.write("aliases", "user: nobody\n")
    text = example("smtpd.conf")
    for old, new in (("/etc/danevirke/mx.pem", SITE.pem),
                     ("example.org", DOMAIN), ("0.0.0.0", ADDRESS),
                     ("on :: port 25", "on ::1 port 25"),
                     ("file:/etc/aliases", "file:" + SITE.path("aliases")),
                     ("maildir alias", 'maildir "%s" alias' % inbox)):
        has(text, old)
        text = text.replace(old, new)
    SITE.write("smtpd.conf", text, 0o600)
    return inbox


def test_opensmtpd():
    """OpenSMTPD 7.3 or later, with smtpd.conf, takes authenticated mail"""
    version = smtpd_version()
    if version < (7, 3):
        print("    left out: OpenSMTPD %d.%d cannot serve TLS" % version)
        return
    inbox = smtpd_conf()
    with open(SITE.path("exim/pid")) as f:
        os.kill(int(f.read()), signal.SIGTERM)
    opensmtpd.enter()
    p = subprocess.Popen([opensmtpd.SMTPD, "-F", "-f", SITE.path("smtpd.conf")],
                         cwd="/", stdin=subprocess.DEVNULL)
    try:
        until(serves(SITE.pem))
        outcome, _ = send()
        same(outcome.result, "delivered", outcome.lines)
        same([v for v in outcome.verdicts if v[2] != "deferred"],
             [(HOST, "25", "dane")], outcome.lines)

        def arrived():
            """smtpd has put the message into the maildir"""
            return os.listdir(inbox + "/new")
        until(arrived)
        # the news of trouble, which go to another domain
        with smtplib.SMTP(ADDRESS, timeout=10) as s:
            s.ehlo()
            s.mail("root@" + HOST)
            same(s.rcpt("me@example.net")[0], 250)
        r = danevirke("check", DOMAIN)
        same(r.returncode, 0, r.stdout + r.stderr)
    finally:
        p.terminate()
        p.wait(10)


def test_name_server_down():
    """with the name server down nothing is installed, and there is a mail
    (D03)"""
    stop_nsd()
    d = lineage(renewed("acme.pem", SITE.pem))
    install(UNTESTED, d + "/fullchain.pem", d + "/privkey.pem")
    assert os.path.exists(SITE.pem + ".next")
    monitor(2, "could not be")
    waits("%s: deferred: MX lookup failed" % DOMAIN)


# ---------------------------------------------------------------------- run

def main():
    global SITE, SENDER
    a = argparse.ArgumentParser()
    a.add_argument("--build", required=True)
    a.add_argument("--site", required=True)
    args = a.parse_args()
    tool.find(args.build)
    SITE = Site(args.site)
    SITE.settings = {
        "RELOAD": 'kill -HUP "$(cat %s)"' % SITE.path("exim/pid"),
        "ZONE_RELOAD": "nsd-control -c %s reload %s" % (
            SITE.path("nsd.conf"), DOMAIN)}
    SITE.configure(**SITE.settings)
    SENDER = exim.Driver(world.attach())
    try:
        SENDER.setup()
        start_receiver()
        tool.run_all(sys.modules["__main__"])
    finally:
        SENDER.teardown()
        for p in RUNNING:
            p.terminate()
            p.wait(10)
    print("%d passed, %d failed" % tool.counts())
    return 1 if tool.counts()[1] else 0


sys.exit(main())

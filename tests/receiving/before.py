# SPDX-License-Identifier: ISC
"""What needs no network: the files of the example, and its first steps, which
leave the key and the DS record that the lab's parent zone will have."""

import glob
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time

from site_files import (DOMAIN, EXAMPLE, HOST, NS, SCRIPTS,  # noqa: E402
                        example)
from tool import has, same

SITE = None
SMTPD = ""


def test_shellcheck():
    """the scripts are POSIX sh, and shellcheck has nothing to say"""
    for s in SCRIPTS:
        path = os.path.join(EXAMPLE, s)
        for shell in ("dash", "bash"):
            if shutil.which(shell):
                subprocess.run([shell, "-n", path], check=True)
    if shutil.which("shellcheck"):
        r = subprocess.run(
            ["shellcheck", "-s", "sh"] + [os.path.join(EXAMPLE, s)
                                          for s in SCRIPTS],
            text=True, stdout=subprocess.PIPE)
        same((r.returncode, r.stdout), (0, ""))


def test_readme():
    """the README names every file of the example"""
    text = example("README")
    for name in os.listdir(EXAMPLE):
        if name != "README":
            has(text, name)


def test_units():
    """the systemd units are well formed"""
    text = example("danevirke-check.service")
    has(text, "\nExecStart=/usr/local/sbin/danevirke-check\n")
    has(text, "\nType=oneshot\n")
    has(example("danevirke-check.timer"), "\nOnCalendar=daily\n")
    for name in ("danevirke-check.service", "danevirke-check.timer"):
        section = None
        for line in example(name).splitlines():
            if not line or line.startswith("#"):
                continue
            if re.fullmatch(r"\[[A-Z][a-z]+\]", line):
                section = line
                continue
            assert section and re.fullmatch(r"[A-Z][A-Za-z]+=.+", line), line


def test_make_certificate():
    """make-certificate writes key and certificate in one file"""
    r = SITE.run("make-certificate")
    same((r.code, r.err), (0, ""), r.out)
    st = os.stat(SITE.pem)
    same(stat.S_IMODE(st.st_mode), 0o640)
    text = SITE.read(SITE.pem)
    same(re.findall(r"-----BEGIN ([A-Z ]+)-----", text),
         ["EC PRIVATE KEY", "CERTIFICATE"])
    said = subprocess.run(["openssl", "x509", "-in", SITE.pem, "-noout",
                           "-text"], text=True, stdout=subprocess.PIPE,
                          check=True).stdout
    has(said, "DNS:" + HOST)
    has(said, "prime256v1")
    has(r.out, "_25._tcp.%s." % HOST)
    same(r.out.splitlines()[-1].split()[-4:-1], ["3", "1", "1"])
    same(sorted(os.listdir(SITE.path("etc"))), ["mx.pem", "receiving.conf"])


def test_make_certificate_twice():
    """make-certificate never replaces what is there"""
    text = SITE.read(SITE.pem)
    r = SITE.run("make-certificate")
    same((r.code, SITE.read(SITE.pem)), (2, text))
    has(r.err, "--next")
    r = SITE.run("make-certificate", "--nxt")
    same((r.code, SITE.read(SITE.pem)), (2, text))


def test_make_certificate_fails():
    """make-certificate without certtool fails, and nothing is left"""
    before = sorted(os.listdir(SITE.path("etc")))
    os.makedirs(SITE.path("bin"), exist_ok=True)
    SITE.write("bin/certtool", "#!/bin/sh\necho broken >&2\nexit 1\n", 0o755)
    r = SITE.run("make-certificate", "--next", env={
        "PATH": SITE.path("bin") + ":" + os.environ["PATH"]})
    same(r.code, 2)
    has(r.err, "broken")
    same(sorted(os.listdir(SITE.path("etc"))), before)


def command(word):
    """The lines of the README's code that have this word."""
    lines, take = [], False
    for line in example("README").splitlines():
        if line.startswith("       ") and (take or word in line):
            take = line.endswith("\\")
            lines.append(line)
    assert lines, word
    return "\n".join(lines)


def parent_record():
    return SITE.run("", shell=command("ldns-key2ds").replace(
        "/etc/nsd/keys", SITE.path("etc/keys"))).out.strip()


def test_sign_zone():
    """sign-zone makes a key, a valid zone, and the parent's DS record"""
    SITE.zone_text(*SITE.tlsa(ttl=2), ttl=3600)
    r = SITE.run("sign-zone")
    same((r.code, r.out, r.err), (0, "", ""))
    ds = parent_record()
    assert re.fullmatch(r"%s\.\s+(\d+\s+)?IN\s+DS\s+\d+ 13 2 [0-9a-f]{64}" %
                        re.escape(DOMAIN), ds), ds
    key, = glob.glob(SITE.path("etc/keys/*.private"))
    same(stat.S_IMODE(os.stat(key).st_mode), 0o600)
    subprocess.run(["ldns-verify-zone", SITE.signed], check=True,
                   stdout=subprocess.DEVNULL)
    # signed again: the same key, a serial that is not lower
    def serial():
        return int(re.search(r"\sSOA\s+\S+ \S+ (\d+) ",
                             SITE.read(SITE.signed)).group(1))
    first = serial()
    again = SITE.run("sign-zone")
    same((again.code, parent_record()), (0, ds))
    assert serial() >= first > 1500000000
    words = ds.split()
    SITE.write("scenarios.conf", "# made by tests/receiving/run\n"
               "scenario parent L02\n\tsays the zone above the receiver's\n"
               "\thost mx1\n"
               "\trr recv NS ns1.%s.\n\trr ns1.recv A %s\n"
               "\trr recv DS %s\n\texpect opportunistic-tls@mx1\n" %
               (DOMAIN, NS, " ".join(words[words.index("DS") + 1:])))


def test_sign_zone_daily():
    """cron has nothing to mail while all is well, and the reasons otherwise"""
    os.makedirs(SITE.path("cron.daily"))
    subprocess.run(command("/etc/cron.daily/").replace(
        "/usr/local/sbin", EXAMPLE).replace("/etc/cron.daily",
                                            SITE.path("cron.daily")),
                   shell=True, check=True)
    shell = "run-parts " + SITE.path("cron.daily")
    path = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    SITE.configure(ZONE_RELOAD="echo ok; echo ok >&2")
    r = SITE.run("", shell=shell, env=path)
    same((r.code, r.out, r.err), (0, "", ""))
    SITE.configure(ZONE_RELOAD="echo it said so; exit 3")
    r = SITE.run("", shell=shell, env=path)
    assert r.code in (1, 2), r.code     # run-parts' own, or the script's
    has(r.err, "it said so")
    has(r.err, "failed")
    SITE.configure()


def test_asks_for_reports():
    """the zone asks for reports about TLS, as RFC 8460 3 has it"""
    said, = re.findall(r"^_smtp\._tls\.%s\.\s.*\sIN\s+TXT\s+(.*)$" %
                       re.escape(DOMAIN), SITE.read(SITE.signed), re.M)
    assert re.fullmatch(r'"v=TLSRPTv1; rua=mailto:[a-z-]+@example\.net"',
                        said), said
    has(example("README"), said)


def test_sign_zone_fails():
    """sign-zone leaves the served zone when the new one is broken"""
    good, zone = SITE.read(SITE.signed), SITE.read(SITE.zone)
    for text in (zone + "mx IN A nonsense\n", "", "; nothing\n"):
        SITE.write("etc/zone", text)
        r = SITE.run("sign-zone")
        same((r.code, SITE.read(SITE.signed)), (2, good), text)
        has(r.err, "as it was")
    os.unlink(SITE.zone)
    same(SITE.run("sign-zone").code, 2)
    SITE.write("etc/zone", zone)
    # no key was added, nothing lies around
    same(len(os.listdir(SITE.path("etc/keys"))), 2)
    same(os.listdir(SITE.path("lib")), ["zone.signed"])
    SITE.configure(ZONE_RELOAD="exit 3")
    r = SITE.run("sign-zone")
    same(r.code, 2)
    has(r.err, "failed")
    SITE.configure()


def test_first_certificate():
    """install-certificate installs the first one without asking"""
    there = SITE.pem
    SITE.configure(PEM=SITE.path("etc/first.pem"))
    key, mark, chain = SITE.read(there).partition("-----BEGIN CERTIFICATE--")
    SITE.write("first.key", key, 0o600)
    SITE.write("first.chain", mark + chain)
    r = SITE.run("install-certificate", SITE.path("first.chain"),
                 SITE.path("first.key"))
    same((r.code, r.err), (0, ""))
    same(SITE.read(SITE.path("etc/first.pem")), SITE.read(there))
    same(stat.S_IMODE(os.stat(SITE.path("etc/first.pem")).st_mode), 0o640)
    same([x for x in os.listdir(SITE.path("etc")) if "first" in x],
         ["first.pem"])
    os.unlink(SITE.path("etc/first.pem"))
    SITE.configure()


def test_smtpd():
    """OpenSMTPD takes its configuration, if it is at hand"""
    text = example("smtpd.conf")
    assert text.count("/etc/danevirke/mx.pem") == 2
    if not SMTPD:
        print("    left out: no smtpd, and its package cannot be had")
        return
    for old, new in (("/etc/danevirke/mx.pem", SITE.pem),
                     ("example.org", DOMAIN)):
        text = text.replace(old, new)
    file = SITE.write("smtpd.conf", text)
    r = subprocess.run([SMTPD, "-n", "-f", file], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    same(r.returncode, 0, r.stdout)
    has(r.stdout, "configuration OK")
    # and it does look at the file
    SITE.write("smtpd.conf", text.replace(SITE.pem, SITE.path("absent")))
    r = subprocess.run([SMTPD, "-n", "-f", file], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    assert r.returncode != 0


def test_packages():
    """the README names the package of each program that it uses"""
    named = command("apt-get install").split()
    for program in ("certtool", "drill", "exim4", "ldns-key2ds", "nsd-control",
                    "ldns-signzone", "nsd-checkzone", "openssl"):
        path = os.path.realpath(shutil.which(program))
        owner = subprocess.run(["dpkg", "-S", path], text=True, check=True,
                               stdout=subprocess.PIPE).stdout.split(":")[0]
        has(named, owner)
    has(named, "cron")
    for text in ("exim4-config", "127.0.0.1 ; ::1", "bind9-dnsutils"):
        has(example("README"), text)


class Debian:
    """Exim as Debian configures it, with files of its own."""

    def __init__(self, kind, listen, aliases):
        self.dir = tempfile.mkdtemp(dir=SITE.dir)
        os.chmod(self.dir, 0o755)
        shutil.copytree("/etc/exim4", self.dir + "/etc")
        for d in ("var", "spool", "log", "mail"):
            os.mkdir(self.dir + "/" + d)
            shutil.chown(self.dir + "/" + d, "Debian-exim", "mail")
            os.chmod(self.dir + "/" + d, 0o2775)
        SITE.write(self.dir + "/aliases", aliases)
        SITE.write(self.dir + "/mailname", DOMAIN + "\n")
        SITE.write(self.dir + "/etc/update-exim4.conf.conf", """
dc_eximconfig_configtype='%s'
dc_other_hostnames='%s'
dc_local_interfaces='%s'
dc_use_split_config='false'
CFILEMODE='644'
dc_localdelivery='mail_spool'
""" % (kind, DOMAIN, listen))
        self.run("update-exim4.conf")

    def run(self, script):
        binds = "".join("mount --bind %s/%s %s\n" % (self.dir, d, at) for d, at
                        in (("etc", "/etc/exim4"), ("var", "/var/lib/exim4"),
                            ("spool", "/var/spool/exim4"), ("mail", "/var/mail"),
                            ("log", "/var/log/exim4"),
                            ("aliases", "/etc/aliases"),
                            ("mailname", "/etc/mailname")))
        r = SITE.run("", shell="exec unshare -m sh -euc '%s%s'" % (
            binds, script.replace("'", "'\\''")))
        same((r.code, r.err), (0, ""), r.out)
        return r.out

    def mail(self):
        return {name: SITE.read(self.dir + "/mail/" + name)
                for name in os.listdir(self.dir + "/mail")}


def test_listens():
    """Debian's Exim listens on the loopback alone until the README's step"""
    for kind, listen, said in (
            ("local", "127.0.0.1 ; ::1", "<; 127.0.0.1 ; ::1"),
            ("internet", "", "<; ::0 ; 0.0.0.0")):
        box = Debian(kind, listen, "")
        same(box.run("exim4 -bP local_interfaces").strip(),
             "local_interfaces = " + said)
        shutil.rmtree(box.dir)


def test_mail_to_root():
    """mail to root reaches nobody without an alias, and with it who is named"""
    same(example("README").count("       root: "), 1)
    trial = ". %s; %s" % (SITE.conf, command("sendmail root"))
    SITE.configure(MAILTO="root")
    for aliases, reader in (("", "mail"), ("root: daemon\n", "daemon")):
        box = Debian("internet", "", aliases)
        box.run(trial)
        for _ in range(100):
            if reader in box.mail():
                break
            time.sleep(0.1)
        same(list(box.mail()), [reader])
        has(box.mail()[reader], "Subject: trial\n")
        has(box.mail()[reader], HOST)
        shutil.rmtree(box.dir)
    SITE.configure()


def test_missing_conf():
    """without receiving.conf nothing is done"""
    for s in SCRIPTS:
        if s == "acme.sh-hook":
            continue
        r = SITE.run(s, env={"RECEIVING_CONF": SITE.path("absent"),
                             "RENEWED_LINEAGE": "/nowhere"})
        assert r.code not in (0, 1, 3), (s, r.code)

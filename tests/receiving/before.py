# SPDX-License-Identifier: ISC
"""What needs no network: the files of the example, and its first steps, which
leave the key and the DS record that the lab's parent zone will have."""

import glob
import os
import re
import shutil
import stat
import subprocess

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


def test_sign_zone():
    """sign-zone makes a key, a valid zone, and the parent's DS record"""
    SITE.zone_text(*SITE.tlsa(ttl=2), ttl=3600)
    r = SITE.run("sign-zone")
    same(r.code, 0, r.err)
    ds = r.out.strip()
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
    same((again.code, again.out.strip()), (0, ds))
    assert serial() >= first > 1500000000
    words = ds.split()
    SITE.write("scenarios.conf", "# made by tests/receiving/run\n"
               "scenario parent L02\n\tsays the zone above the receiver's\n"
               "\thost mx1\n"
               "\trr recv NS ns1.%s.\n\trr ns1.recv A %s\n"
               "\trr recv DS %s\n\texpect opportunistic-tls@mx1\n" %
               (DOMAIN, NS, " ".join(words[words.index("DS") + 1:])))


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


def test_missing_conf():
    """without receiving.conf nothing is done"""
    for s in SCRIPTS:
        if s == "acme.sh-hook":
            continue
        r = SITE.run(s, env={"RECEIVING_CONF": SITE.path("absent"),
                             "RENEWED_LINEAGE": "/nowhere"})
        assert r.code not in (0, 1, 3), (s, r.code)

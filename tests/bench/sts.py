# SPDX-License-Identifier: ISC
"""What MTA-STS costs: the decision with it off, on and without a policy, on and
with one; and the certificate of such a host."""

import os
import re
import statistics
import subprocess
import time

import certs

CAS = "/etc/ssl/certs/ca-certificates.crt"
PORT = 8463


def daemon(b):
    """mta-sts-daemon as it comes: what it has fetched holds for a minute."""
    lab = b.world.dir
    with open(lab + "/mta-sts-daemon.yml") as f:
        text = f.read()
    conf = b.where + "/daemon.yml"
    with open(conf, "w") as f:
        f.write(re.sub(r"port: .*", "port: %d" % PORT, text).replace(
            "cache_grace: 0", "cache_grace: 60"))
    p = subprocess.Popen(
        ["unshare", "-m", "sh", "-c",
         "mount --bind %s/resolv.conf %s && SSL_CERT_FILE=%s/cas.pem exec "
         "mta-sts-daemon -c %s" % (lab, os.path.realpath("/etc/resolv.conf"),
                                   lab, conf)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    conf = b.where + "/sts.conf"
    with open(b.conf) as f, open(conf, "w") as g:
        g.write(f.read().replace(":8461", ":%d" % PORT))
    os.chmod(conf, 0o644)
    return p, conf


def decisions(b, conf, user):
    """Rows: what, a fresh process, one that lives long; microseconds."""
    prog = b.program("decide")
    b.store(user)
    ways = [("off, TLSA", "bench0", "default"),
            ("on, TLSA", "bench0", "sts"),
            ("off, no TLSA", "benchnone", "default"),
            ("on, no TLSA, no policy", "benchnone", "sts"),
            ("on, no TLSA, a policy", "benchpolicy", "sts")]
    rows = []
    for what, ident, profile in ways:
        domain = b.world.scenarios[ident].domain()
        args = [prog, "module", b.module, conf, domain]
        b.run(*args, "1", profile, user=user)   # fills store and cache
        # as Exim's shim: the store alone, unless a policy is needed
        first = [prog, "stored" if "policy" not in what else "module"]
        fresh = statistics.median(
            b.run(*first, *args[2:], "1", profile, user=user)
            for _ in range(b.rounds(101, 5)))
        many = b.run(*args, str(b.rounds(2000, 20)), profile, user=user)
        rows.append((what, fresh, many))
    return rows


def certificates(b):
    """Microseconds: CAs read, CAs kept, GnuTLS's trust list."""
    name = "mx.example.org"
    root = certs.issue("bench root", ca=True)
    middle = certs.issue("bench int", root, ca=True, path=0)
    leaf = certs.issue(name, middle, names=[name])
    files = []
    for i, c in enumerate((leaf, middle)):
        files.append("%s/sts%d.der" % (b.where, i))
        with open(files[-1], "wb") as f:
            f.write(c.der)
    cas = b.where + "/cas.pem"
    with open(CAS, "rb") as f, open(cas, "wb") as g:
        system = f.read()
        g.write(system + root.pem)
    runs = []
    for _ in range(b.rounds(21, 3)):
        r = subprocess.run([b.program("sts"), b.module, b.conf, cas, name,
                            *files], capture_output=True, text=True)
        if r.returncode:
            raise RuntimeError("sts: " + r.stderr)
        runs.append([float(x) for x in r.stdout.split()])
    return system.count(b"BEGIN CERT") + 1, [
        statistics.median(x) for x in zip(*runs)]


def part(b, table, us, user):
    p, conf = daemon(b)
    try:
        rows = decisions(b, conf, user)
    finally:
        p.terminate()
        p.wait(10)
    table(["decision, MTA-STS", "fresh process, DNS from the store",
           "long-lived process"],
          [[w, us(fresh), us(many)] for w, fresh, many in rows])
    n, (fresh, kept, peer) = certificates(b)
    print()
    table(["verify() by MTA-STS, EC, %d CAs" % n, "CPU time"],
          [["CAs read (a fresh process)", us(fresh)],
           ["CAs kept (a relay)", us(kept)],
           ["a trust list of GnuTLS, read and used", us(peer)]])

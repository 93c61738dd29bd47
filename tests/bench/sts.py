# SPDX-License-Identifier: ISC
"""What MTA-STS costs: the decision with it off, on and without a policy, on and
with one; and the certificate of such a host.  Likewise reports about TLS: the
decision with them off, on and without a record, on and with one; and each with
its datagram."""

import os
import re
import socket
import statistics
import subprocess
import time

import certs
import world

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


def reports(b, user):
    """Rows as those of decisions(); None: this build cannot report."""
    if not world.can_report():
        return None
    conf, path = b.where + "/report.conf", b.where + "/collector"
    with open(b.conf) as f, open(conf, "w") as g:
        g.write(f.read().replace("\tsts: {", "\ttold: { tlsrpt = true; };\n"
                                 "\tsts: {", 1)
                + 'tlsrpt: { socket = "%s"; };\n' % path)
    os.chmod(conf, 0o644)
    collector = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    collector.bind(path)
    os.chmod(path, 0o666)
    rows = []
    for what, ident, profile, way in (
            ("off", "bench0", "default", "module"),
            ("on, no record", "bench0", "told", "module"),
            ("on, a record", "benchreport", "told", "module"),
            ("on, a record, and the report", "benchreport", "told",
             "report")):
        args = [b.program("decide"), way, b.module, conf,
                b.world.scenarios[ident].domain()]
        b.run(*args, "1", profile, user=user)
        fresh = statistics.median(b.run(*args, "1", profile, user=user)
                                  for _ in range(b.rounds(101, 5)))
        rows.append((what, fresh, b.run(*args, str(b.rounds(2000, 20)),
                                        profile, user=user)))
    collector.close()
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
    print()
    rows = reports(b, user)
    if rows is None:
        print("Reports about TLS: left out, this build has no libtlsrpt.")
    else:
        table(["decision, reports about TLS", "fresh process, DNS from the "
               "store", "long-lived process"],
              [[w, us(fresh), us(many)] for w, fresh, many in rows])
    n, (fresh, kept, peer) = certificates(b)
    print()
    table(["verify() by MTA-STS, EC, %d CAs" % n, "CPU time"],
          [["CAs read (a fresh process)", us(fresh)],
           ["CAs kept (a relay)", us(kept)],
           ["a trust list of GnuTLS, read and used", us(peer)]])

# SPDX-License-Identifier: ISC
"""A collector of reports about TLS, and what must be true of each (K02).

What a datagram holds is what tlsrpt-reporter reads: JSON with the version of
the format, "dpv" (not before libtlsrpt 0.5.0), the domain, "d", its record, "pr",
and the policies.  Of a
policy "policy-type" is a number, "t" counts its "failure-details" and "f" is 1
if the session failed; of a failure "c" is a number for RFC 8460's result type
(4.3), and the others are what 4.4 calls failure-reason-code (f),
receiving-mx-helo (h), receiving-mx-hostname (n), receiving-ip (r) and
sending-mta-ip (s).
"""

import ipaddress
import json
import os
import re
import socket
import threading
import time

RECORD = "v=TLSRPTv1; rua=mailto:tls@lab.alpha"
TYPES = {1: "tlsa", 2: "sts", 9: "no-policy-found"}
WORDS = {201: "starttls-not-supported", 202: "certificate-host-mismatch",
         203: "certificate-not-trusted", 204: "certificate-expired",
         205: "validation-failure", 301: "sts-policy-fetch-error",
         302: "sts-policy-invalid", 303: "sts-webpki-invalid",
         304: "tlsa-invalid", 305: "dnssec-invalid", 306: "dane-required"}
NO_SESSION = {"sts-policy-fetch-error", "sts-policy-invalid", "tlsa-invalid",
              "dnssec-invalid", "dane-required"}


def limit(value=None):
    """Datagrams that new sockets of this namespace hold, "512"."""
    path = "/proc/sys/net/unix/max_dgram_qlen"
    if value is None:
        with open(path) as f:
            return f.read()
    with open(path, "w") as f:
        return f.write(value)


class Collector:
    def __init__(self, path):
        # of this socket only: who writes to a log is to wait for its reader
        usual = limit()
        limit("4096")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        limit(usual)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.got = []                   # datagrams
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            self.got.append(self.socket.recv(1 << 20))

    def of(self, domain, n):
        """Those about a domain; if it is not n policies yet, a bit later."""
        for _ in range(20):
            rows = [json.loads(d) for d in list(self.got)]
            rows = [r for r in rows if r.get("d") == domain]
            if sum(len(r.get("policies", [])) for r in rows) >= n:
                break
            time.sleep(0.05)
        return rows


def host_of(s, name):
    return next((h for h in s.hosts.values()
                 if h.fqdn.rstrip(".") == name), None)


def bad_failure(s, f, word):
    """What is wrong with one failure."""
    wrong = []
    host = host_of(s, f.get("n", ""))
    if set(f) - set("cfhnrs") or (
            not f.get("f") and word != "starttls-not-supported"):
        wrong.append("fields %s" % sorted(f))
    if "n" in f and host is None:
        wrong.append("no host %r" % f["n"])
    if "r" not in f:
        if word not in NO_SESSION and not (
                word == "validation-failure" and "s" not in f):
            wrong.append("%s without an address" % word)
        if "s" in f or "h" in f:
            wrong.append("own address or helo of no session")
        return wrong
    if host is None or f["r"] not in host.addresses:
        wrong.append("address %s is not that of %s" % (f["r"], f.get("n")))
    if "s" not in f:
        wrong.append("no address of our own")
    elif (ipaddress.ip_address(f["s"]).version
            != ipaddress.ip_address(f["r"]).version):
        wrong.append("from %s to %s" % (f["s"], f["r"]))
    if host is not None and f.get("h", host.name) != host.name:
        wrong.append("helo %s" % f["h"])
    if "h" not in f and not host.flags & {"smtps"} and "ehlo" not in host.keys:
        wrong.append("no helo")
    return wrong


def bad_policy(s, p, kind):
    """What is wrong with a policy, but for its failures."""
    wrong = []
    known = {"policy-type", "policy-domain", "policy-string", "mx-host",
             "failure-details", "t", "f"}
    if set(p) - known:
        wrong.append("fields %s" % sorted(p))
    zone = {" ".join(r[2].lower().split()) for z in s.zones.values()
            for r in z.records if r[1] == "TLSA"}
    domain = p["policy-domain"]
    if kind != "tlsa" and domain != s.domain():
        wrong.append("policy-domain %s, want that of the mail" % domain)
    if kind == "tlsa" and host_of(s, domain) is None and domain not in (
            s.domain(), *(n.rstrip(".") for n in s.bases)):
        wrong.append("policy-domain %s is no host" % domain)
    strings = p.get("policy-string", [])
    if strings and (kind != "tlsa" or set(strings) - zone):
        wrong.append("records %s" % strings)
    patterns = re.findall("^mx: (.*?)\r?$", s.policy_text(), re.M) if (
        s.policy) else []
    if sorted(p.get("mx-host", [])) != (
            sorted(patterns) if kind == "sts" and "mx-host" in p else []):
        wrong.append("patterns %s, want %s" % (p.get("mx-host"), patterns))
    return wrong


def read(s, row):
    """The lines of scenarios.conf that a datagram is, and what is wrong."""
    lines, wrong = [], []
    if set(row) - {"dpv"} != {"d", "pr", "policies"} or (
            row.get("dpv", "1") != "1"):
        wrong.append("fields %s" % sorted(row))
    if row.get("pr") != RECORD:
        wrong.append("record %r" % row.get("pr"))
    for p in row.get("policies", []):
        kind = TYPES.get(p.get("policy-type"), "?")
        wrong += bad_policy(s, p, kind)
        failures = p.get("failure-details", [])
        if p["t"] != len(failures) or p["f"] != (1 if failures else 0):
            wrong.append("counts %s %s" % (p["t"], p["f"]))
        said = []
        for f in failures:
            word = WORDS.get(f.get("c"), "?")
            wrong += bad_failure(s, f, word)
            host = host_of(s, f.get("n", ""))
            said.append("%s@%s" % (word, host.name if host else "-"))
        lines.append(" ".join([kind] + (said or ["ok"])))
    return lines, wrong


def judge(s, mta, collector):
    """What is wrong with what was reported of a scenario."""
    want = s.reports(mta)
    if want is None:
        return []
    got, wrong = [], []
    for row in collector.of(s.domain(), len(want)):
        lines, bad = read(s, row)
        got += lines
        wrong += bad
    if sorted(got) != sorted(want):
        wrong.append("reported %s, want %s" % (sorted(got), sorted(want)))
    return ["report: " + w for w in wrong]

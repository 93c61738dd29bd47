# SPDX-License-Identifier: ISC
"""What a hostile domain can do: one Kind each, and the world they live in.

A kind is a domain of its own.  Those that attack by SMTP are scenarios of the
lab whose host is played by smtp_server.py, those that attack by DNS are
delegations below dns.alpha., played by dns_server.py, or zones of the lab.
"""

import hashlib

import dns_server
import pki

SIZES = (2048, 4096, 11000, 20000)      # octets
GOOD = ["good%d" % n for n in range(10)]
SINK = "198.18.1.1"                     # the first host of the world


class Kind:
    def __init__(self, ident, what, tlsa="3 1 1 good", smtp=None, dns=None,
                 lines=(), rcpt="", ends=("deferred",), envelope=False,
                 group="", hosts=1, messages=1, spread=False):
        self.ident, self.what = ident, what
        self.tlsa = tlsa                # of its host
        self.smtp = smtp                # (function, argument...)
        self.dns = dns                  # (class, argument...)
        self.lines = lines              # more lines of the scenario
        self.rcpt = rcpt                # a label of the mail domain
        self.ends = ends                # what may become of its mail
        self.envelope = envelope        # the host may see one
        self.group = group              # those that are tried together
        self.hosts, self.messages = hosts, messages
        self.spread = spread            # each to a domain below it
        self.chain, self.key = [], None

    def rule(self):
        return "S09" if self.smtp else "D16"

    def domain(self):
        if self.dns:
            return "%s.dns.alpha" % self.ident
        return "%s%s.alpha" % (self.rcpt and self.rcpt + ".", self.ident)

    def scenario(self):
        rows = ["scenario %s %s" % (self.ident, self.rule()),
                "says " + self.what, "expect deferred"]
        if self.smtp:
            rows.append("host mx1 down" + (
                " cert=self+rsa" if self.smtp[0] == "group" else ""))
            names = ["mx%d" % n for n in range(1, self.hosts + 1)]
            rows += ["rr %s A mx1" % x for x in names[1:]]
            rows += ["mx 10 " + x for x in names]
            rows += ["tlsa %s %s" % (x, t) for x in names
                     for t in self.tlsa.split(", ")]
        return rows + list(self.lines)


BAD = "3 1 1 bad"
MUCH = {"hosts": 8, "messages": 3}
MORE = {"hosts": 8, "messages": 10}


def costly():
    """Handshakes that make the client count; at several hosts, of which each
    is tried, and for several messages at a time."""
    for version in (12, 13):
        # the first is the most that is allowed
        for n, e in [(1024, 8), (256, 255)] + [(n, n) for n in SIZES]:
            yield Kind("rsa%d-%d" % (version, n), "TLS 1.%d, RSA, modulus of "
                       "%d octets, exponent of %d" % (version - 10, n, e),
                       BAD, ("rsa", version, n, e), **MUCH)
        yield Kind("dsa%d" % version, "TLS 1.%d, a DSA certificate with p of "
                   "8,192 octets" % (version - 10), BAD,
                   ("dsa", version, 8192), **MUCH)
    for n in (2047, 16384):             # the first is GnuTLS's own limit
        yield Kind("dh-%d" % n, "TLS 1.2, a DH group of %d octets" % n, BAD,
                   ("group", n), **MUCH)
    for name, key, what in (
            ("dsa", pki.Dsa(1024), "DSA of 8,192 bits"),
            ("rsa", pki.Rsa(64), "RSA of 8,192 bits, exponent of 64"),
            ("long", pki.Rsa(8190), "RSA of 8,192 bits, exponent as long")):
        leaf = pki.Ec()
        chain, last = pki.crowd(key, leaf.spki)
        k = Kind("chain-" + name, "16 certificates, %s" % what, ", ".join(
                     "2 0 1 hex:" + hashlib.sha256(c).hexdigest()
                     for c in last), ("chain",), **MORE)
        k.chain, k.key = chain, leaf.pem()
        yield k


def floods():
    ticket = bytes.fromhex(
        "04000012" "00000e10" "00000001" "0101" "0004" "01020304" "0000")
    for kind, what in (("alert", "warning alerts"),
                       ("empty", "empty records"),
                       ("ccs", "ChangeCipherSpec")):
        yield Kind("plain-" + kind, "%s without end in the handshake" % what,
                   smtp=("plain_flood", kind))
    for version, ident, what, kind, body in (
            (12, "alert12", "warning alerts", 21, "0164"),
            (12, "empty12", "empty records", 23, ""),
            (13, "empty13", "empty records", 23, ""),
            (12, "hello-request", "requests for a new handshake", 22,
             "00000000"),
            (13, "tickets", "session tickets", 22, ticket.hex())):
        yield Kind("sealed-" + ident, "TLS 1.%d, %s without end" % (
            version - 10, what), smtp=("sealed_flood", version, kind, body))
    for want in (0, 1):
        yield Kind("key-update%d" % want, "TLS 1.3, new keys without end%s" % (
            ", and ours asked for" if want else ""),
            smtp=("key_updates", want))


def talkers():
    for where in ("banner", "ehlo", "starttls", "handshake"):
        yield Kind("slow-" + where, "an octet a second from the %s on" % where,
                   smtp=("slow", where))
    for where, what in (("EHLO", "second EHLO"), ("MAIL", "reply to MAIL"),
                        ("RCPT", "reply to RCPT"),
                        ("DOT", "reply to the dot")):
        yield Kind("slow-%s2" % where.lower(), "an octet a second from the %s "
                   "on" % what, smtp=("slow", where),
                   envelope=where != "EHLO")
    for ident, where, text in (("banner", "BANNER", "220-hostile\r\n"),
                               ("ehlo", "EHLO-IN-CLEAR", "250-X\r\n"),
                               ("ehlo2", "EHLO", "250-X\r\n"),
                               ("mail", "MAIL", "250-ok\r\n"),
                               ("dot", "DOT", "250-ok\r\n")):
        yield Kind("endless-" + ident, "lines without end at %s" % where,
                   smtp=("endless", where, text),
                   envelope=where in ("MAIL", "DOT"))
    for where in ("BANNER", "MAIL", "DOT"):
        yield Kind("long-" + where.lower(), "a line of a megabyte at %s"
                   % where, smtp=("long_line", where),
                   envelope=where != "BANNER")


def zones():
    for n in SIZES:
        yield Kind("key%d" % n, "a DNSKEY with modulus and exponent of %d "
                   "octets" % n, dns=("BigKey", n), group="keys")
    for n in (5, 20):
        yield Kind("names%d" % n, "such a DNSKEY, and mail to %d names below "
                   "it" % n, dns=("BigKey", 4096), group="names%d" % n,
                   messages=n, spread=True)
    yield Kind("same-tag", "100 DNSKEYs with one tag and 100 signatures",
               dns=("SameTag", 100), group="keys")
    yield Kind("rounds", "NSEC3 with 2,500 iterations and a long salt",
               dns=("ManyRounds", 2500), group="keys",
               ends=("deferred", "delivered"))
    for n in (1200, 4000):              # the first can be validated
        yield Kind("tlsa%d" % n, "%d TLSA records" % n, dns=("ManyTlsa", n))
    yield Kind("late", "each answer after 9 s", dns=("Late", 9))
    yield Kind("silent", "servers that never answer", dns=("Silent",))
    yield Kind("stream", "TCP wanted, and no answer there, 20 names",
               dns=("Stream",), messages=20, spread=True)
    yield Kind("cnames", "a chain of 60 CNAMEs", rcpt="c0", lines=[
        "rr c%d CNAME c%d" % (n, n + 1) for n in range(60)])
    yield Kind("loop", "CNAMEs in a circle", rcpt="c0", lines=[
        "rr c%d CNAME c%d" % (n, (n + 1) % 5) for n in range(5)])
    yield Kind("mx1000", "1,000 MX records", lines=["mx 10 m{1-1000}"])


def make():
    """All kinds, in the order they are tried; each group together."""
    kinds = []
    for group, part in (("handshakes", costly()), ("floods", floods()),
                        ("talkers", talkers()), ("zones", zones())):
        for k in part:
            k.group = k.group or group
            kinds.append(k)
    return kinds


def ten():
    """The ten others: nothing of theirs is remembered for long, and one
    answers over TCP only."""
    for ident in GOOD:
        yield ["scenario %s T01" % ident, "says one of the ten others",
               "zone main ttl=1", "host mx1", "mx 10 mx1",
               "tlsa mx1 3 1 1 good", "expect dane@mx1"]
    yield ["fault @ MX truncate"]


def world(kinds):
    """The table for the lab, and what dns_server.py is told."""
    rows = ["scenario sink T01", "says where mail to hostile zones goes",
            "host mx1", "mx 10 mx1", "expect tls@mx1"]
    for part in ten():
        rows += part
    zone_rows, below = [], ["scenario dns D16", "says the hostile zones",
                            "expect deferred"]
    for k in kinds:
        if not k.dns:
            rows += k.scenario()
            continue
        n = len(zone_rows) + 1
        row = {"ident": k.ident, "zone": k.domain() + ".",
               "server": "127.53.5.%d" % n, "host": SINK, "kind": k.dns[0],
               "args": list(k.dns[1:]), "key": dns_server.EcKey().text()}
        key = (dns_server.GarbageKey(k.dns[1], k.ident)
               if k.dns[0] == "BigKey" else dns_server.EcKey(row["key"]))
        below += ["rr %s NS ns%d" % (k.ident, n),
                  "rr ns%d A %s" % (n, row["server"]),
                  "rr %s DS %s" % (k.ident, dns_server.ds_text(
                      row["zone"], key.dnskey))]
        zone_rows.append(row)
    return "\n".join(rows + below) + "\n", zone_rows

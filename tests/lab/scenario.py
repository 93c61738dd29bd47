# SPDX-License-Identifier: ISC
"""Reads scenarios.conf and judges what a mail server did with them.

The notation is explained at the head of scenarios.conf.
"""

import re
import shlex

import certs
import dnswire
import faults
import reports

ZONE_FLAGS = {"unsigned", "island", "nsec3", "optout", "expired", "future",
              "wrongds", "dsalg", "front", "dead", "halfdead", "lame",
              "upward", "drop", "internal", "confinsecure", "bigkey",
              "iterated"}
ZONE_KEYS = {"tld", "below", "label", "ttl", "also", "alsozone", "alsoparent"}
HOST_FLAGS = {"nostarttls", "handshake", "inject", "lower", "reject", "auth",
              "smtps", "hidden", "down", "self", "keep", "resume"}
HOST_KEYS = {"cert", "starttls", "banner", "ehlo", "stall", "tls", "mail",
             "odd", "ports", "at", "names", "cn", "sni"}
FAULT_KEYS = {"starttls", "banner", "ehlo", "stall", "tls", "mail", "odd"}
VERDICTS = {"dane", "dane-insecure-mx", "mta-sts", "encrypt",
            "opportunistic-tls", "clear", "any"}
MODES = {"enforce", "testing", "none"}
POLICY_WEB = {"404", "html", "untrusted"}
POLICY_SERVER = {"temp", "perm", "timeout", "slow", "silent", "close",
                 "garbage", "half", "huge", "other", "pieces"}
POLICY_HOST = {"A": "198.18.0.80", "AAAA": "fd00:18::80"}
NAMED = {"MX": 1, "CNAME": 0, "DNAME": 0, "NS": 0, "TXT": None}
ID = re.compile(r"\b[A-Z]\d\d[a-z]?\b")          # a rule of tests/RULES
TLDS = ("alpha", "beta", "gamma", "delta")


class Bad(Exception):
    """An error in the table; the text says where."""


class Zone:
    def __init__(self, name, flags=(), **keys):
        self.name, self.flags, self.keys = name, set(flags), keys
        self.fqdn = None
        self.records = []               # (owner fqdn, type, rdata text)

    def signed(self):
        return not self.flags & {"unsigned"}

    def delegated(self):
        """A DS stands at the parent."""
        return self.signed() and "island" not in self.flags


class Host:
    def __init__(self, name, families, flags, keys):
        self.name, self.families = name, families
        self.flags, self.keys = flags, keys
        self.addresses = []
        self.fqdn = None
        self.chain = None
        self.cert = None                # path

    def ports(self):
        return [int(p) for p in self.keys.get("ports", "25").split(",")]


class Scenario:
    def __init__(self, ident, rules, where):
        self.id, self.rules, self.where = ident, rules, where
        self.title = ""                 # what it shows, in a few words
        self.zones = {"main": Zone("main")}
        self.hosts = {}
        self.records = []               # (owner, type, words)
        self.tlsa = []                  # (owner, u, s, m, what, keys)
        self.faults = []                # (owner, type, action, words)
        self.profile = "default"
        self.rcpt = "@"
        self.relay = None               # (host, port, flags)
        self.exception = None           # (level, reason, until)
        self.expect = {}                # MTA or "" -> text
        self.log, self.nolog = [], []   # (MTA or "", regex)
        self.report = []                # (MTA or "", text)
        self.bases = []                 # names with TLSA records, but hosts
        self.asked, self.notasked = [], []
        self.hostile, self.untouched = [], []
        self.sni = {}
        self.skip = {}                  # MTA -> why
        self.policy = None              # (mode, patterns)
        self.policy_web = self.policy_server = None

    # --------------------------------------------------------------- names

    def name(self, text):
        """mx1, mx1@zone, @, @zone or an absolute name -> absolute name."""
        if text.endswith("."):
            return text
        left, at, zone = text.partition("@")
        zone = self.zones.get(zone if at and zone else "main")
        if zone is None:
            raise Bad("%s: no zone for %r" % (self.where, text))
        return (left + "." if left else "") + zone.fqdn

    def domain(self):
        """What stands right of the @; [HOST] is that host's literal."""
        if self.rcpt.startswith("["):
            a = self.hosts[self.rcpt.strip("[]")].addresses[0]
            return "[%s%s]" % ("IPv6:" if ":" in a else "", a)
        return self.name(self.rcpt).rstrip(".")

    def name_it(self, title):
        if self.title or ID.search(title):
            raise Bad("%s: %s: want one `says`, without rules" % (
                self.where, self.id))
        self.title = title

    def __str__(self):
        rules = " ".join(self.rules)
        return "%s: %s%s" % (self.id, self.title, rules and " (%s)" % rules)

    def policy_text(self):
        mode, patterns = self.policy
        return "version: STSv1\r\nmode: %s\r\nmax_age: 86400\r\n%s" % (
            mode, "".join("mx: %s\r\n" % p for p in (
                ("*." if p.startswith("*.") else "")
                + self.name(p[2:] if p.startswith("*.") else p).rstrip(".")
                for p in patterns)))

    def expected(self, mta):
        return self.expect.get(mta, self.expect.get(""))

    def reports(self, mta):
        """What is reported, None: nobody looks."""
        rows = [t for m, t in self.report if m == mta] or [
            t for m, t in self.report if m == ""]
        return [t for t in rows if t != "nothing"] if rows else None

    def patterns(self, rows, mta):
        return [p for m, p in rows if m in ("", mta)]


# ------------------------------------------------------------------- parser

def options(words, flags, keys, where):
    """Splits ["a", "k=v"] into a set and a dict, refusing unknown words."""
    have, values = set(), {}
    for w in words:
        k, eq, v = w.partition("=")
        if eq and k in keys:
            values[k] = v
        elif not eq and w in flags:
            have.add(w)
        else:
            raise Bad("%s: unknown option %r: want %s" % (
                where, w, " ".join(sorted(flags) + [k + "=" for k
                                                    in sorted(keys)])))
    return have, values


def parse_line(s, verb, w, where):
    """One line of a scenario; w are its words after the verb."""
    verb, _, mta = verb.partition(":")
    if verb == "says":
        s.name_it(w[0])
    elif verb == "zone":
        flags, keys = options(w[1:], ZONE_FLAGS, ZONE_KEYS, where)
        s.zones[w[0]] = Zone(w[0], flags, **keys)
    elif verb == "host":
        families = "4"
        if len(w) > 1 and w[1] in ("4", "6", "46", "0"):
            families = w.pop(1)
        flags, keys = options(w[1:], HOST_FLAGS, HOST_KEYS, where)
        s.hosts[w[0]] = Host(w[0], families, flags, keys)
    elif verb == "mx":
        s.records.append(("@", "MX", [str(int(w[0])), w[1]]))
    elif verb == "rr":
        s.records.append((w[0], w[1], w[2:]))
    elif verb == "tlsa":
        _, keys = options(w[5:], (), {"of", "port", "times"}, where)
        s.tlsa.append((w[0], int(w[1]), int(w[2]), int(w[3]), w[4], keys))
    elif verb == "fault":
        if w[2] not in faults.ACTIONS:
            raise Bad("%s: unknown fault %r: want %s" % (
                where, w[2], " ".join(sorted(faults.ACTIONS))))
        s.faults.append((w[0], w[1], w[2], w[3:]))
    elif verb == "profile":
        s.profile = w[0]
    elif verb == "rcpt":
        s.rcpt = w[0]
    elif verb == "relay":
        s.relay = (w[0], int(w[1]), set(w[2:]))
    elif verb == "exception":
        s.exception = (w[0], w[1], w[2] if len(w) > 2 else None)
    elif verb == "expect":
        text = " ".join(w)
        if text.startswith("tls@"):
            text = "opportunistic-" + text
        kind, at, _ = text.partition("@")
        if not (at and kind in VERDICTS) and kind.split()[0] not in (
                "deferred", "bounced"):
            raise Bad("%s: expect %r: want VERDICT@HOST, deferred or "
                      "bounced [CODE]" % (where, text))
        s.expect[mta] = text
    elif verb in ("log", "nolog"):
        getattr(s, verb).append((mta, " ".join(w)))
    elif verb == "report":
        s.report.append((mta, " ".join(w)))
    elif verb in ("asked", "notasked"):
        getattr(s, verb).append((w[0], w[1]))
    elif verb in ("hostile", "untouched"):
        getattr(s, verb).extend(w)
    elif verb == "sni":
        s.sni[w[0]] = w[1]
    elif verb == "skip":
        s.skip[mta] = " ".join(w)
    elif verb == "policy":
        if w[0] not in MODES:
            raise Bad("%s: policy %r: want %s" % (
                where, w[0], " ".join(sorted(MODES))))
        s.policy = (w[0], w[1:])
    elif verb in ("policyweb", "policyserver"):
        known = POLICY_WEB if verb == "policyweb" else POLICY_SERVER
        if w[0] not in known:
            raise Bad("%s: %s %r: want %s" % (
                where, verb, w[0], " ".join(sorted(known))))
        if verb == "policyweb":
            s.policy_web = w[0]
        else:
            s.policy_server = w[0]
    else:
        raise Bad("%s: unknown line %r" % (where, verb))


def check(s):
    if not s.title:
        raise Bad("%s: scenario %s says nothing" % (s.where, s.id))
    if not s.expect:
        raise Bad("%s: scenario %s expects nothing" % (s.where, s.id))
    for text in s.expect.values():
        for name in text.partition("@")[2].split("|"):
            if name and name not in s.hosts:
                raise Bad("%s: %s: no host %r" % (s.where, s.id, name))
    for name in s.hostile + s.untouched + list(s.sni):
        if name not in s.hosts:
            raise Bad("%s: %s: no host %r" % (s.where, s.id, name))
    # what must be watched or bent goes through the front
    for owner, *_ in s.faults + s.asked + s.notasked:
        zone = owner.partition("@")[2] or "main"
        if zone not in s.zones:
            raise Bad("%s: %s: no zone for %r" % (s.where, s.id, owner))
        if not s.zones[zone].flags & {"dead", "lame", "upward", "drop"}:
            s.zones[zone].flags.add("front")
    for zone in s.zones.values():
        tld = zone.keys.get("tld", "alpha" if zone.name == "main" else "beta")
        label = zone.keys.get("label", s.id if zone.name == "main"
                              else "%s-%s" % (s.id, zone.name))
        zone.keys["tld"] = tld
        if tld not in TLDS:
            raise Bad("%s: no TLD %r" % (s.where, tld))
        below = zone.keys.get("below")
        if below:
            zone.fqdn = "%s.%s" % (zone.keys.get("label", zone.name),
                                   s.zones[below].fqdn)
        else:
            zone.fqdn = "%s.%s." % (label, tld)


def spread(text):
    """["h1", "h2"] of "h{1-2}": the line once for each number."""
    m = re.search(r"\{(\d+)-(\d+)\}", text)
    if m is None:
        return [text]
    return [text[:m.start()] + str(n) + text[m.end():]
            for n in range(int(m.group(1)), int(m.group(2)) + 1)]


def load(path):
    """All scenarios of a file, in its order; Bad if it is not right."""
    found, current = {}, None
    with open(path) as f:
        for number, text in enumerate(f, 1):
            where = "%s:%d" % (path, number)
            text = text.strip()
            if not text or text.startswith("#"):
                continue
            verb, _, rest = text.partition(" ")
            rows = spread(rest) if verb in ("mx", "rr") else [rest]
            if verb.partition(":")[0] in ("says", "log", "nolog"):
                words = [rest.strip()]
            else:
                try:
                    words = shlex.split(rest)
                except ValueError as e:
                    raise Bad("%s: %s" % (where, e))
            if verb == "scenario":
                if words[0] in found:
                    raise Bad("%s: %s is there twice" % (where, words[0]))
                current = Scenario(words[0], words[1:], where)
                found[current.id] = current
                continue
            if current is None:
                raise Bad(where + ": want `scenario ID RULE...` first")
            try:
                for row in rows:
                    parse_line(current, verb, words if row == rest
                               else shlex.split(row), where)
            except (IndexError, ValueError) as e:
                raise Bad("%s: cannot read %r: %s" % (where, text, e))
    for s in found.values():
        check(s)
    return found


# ------------------------------------------------------------------ records

BAD = "ba" * 64


def tlsa_data(s, owner, usage, selector, matching, what, keys):
    """Association data in hexadecimal."""
    if what == "bad":
        return BAD[:{1: 64, 2: 128}.get(matching, 128)]
    if what.startswith("hex:"):
        return what[4:]
    host = s.hosts.get(keys.get("of", owner))
    if host is None:
        raise Bad("%s: %s: TLSA %s: say of=HOST" % (s.where, s.id, owner))
    chain = host.chain
    if what == "good":
        what = "leaf" if usage in (1, 3) or not chain.issuers else "root"
    return chain.part(what).association(selector, matching).hex()


def zone_of(s, fqdn):
    """The zone of the scenario that a name belongs to, the deepest."""
    best = None
    for z in s.zones.values():
        if fqdn == z.fqdn or fqdn.endswith("." + z.fqdn):
            if best is None or len(z.fqdn) > len(best.fqdn):
                best = z
    if best is None:
        raise Bad("%s: %s lies in no zone of %s" % (s.where, fqdn, s.id))
    return best


def render(s):
    """Fills zone.records; hosts must have addresses and certificates."""
    def add(owner, *row):
        zone_of(s, owner).records.append((owner, *row))

    for h in s.hosts.values():
        if "hidden" in h.flags:
            continue
        for a in h.addresses:
            add(h.fqdn, "AAAA" if ":" in a else "A", a)
    for owner, kind, words in s.records:
        words = list(words)
        at = NAMED.get(kind)
        if at is not None and words[at].startswith("%"):
            words[at] = s.hosts[words[at][1:]].addresses[0] + "."   # T08
        elif at is not None:
            words[at] = s.name(words[at])
        if kind in ("A", "AAAA") and words[0] in s.hosts:
            for a in s.hosts[words[0]].addresses:
                if (":" in a) == (kind == "AAAA"):
                    add(s.name(owner), kind, a)
            continue
        add(s.name(owner), kind, " ".join(words))
    if s.policy:
        add("_mta-sts.%s." % s.domain(), "TXT", '"v=STSv1; id=1;"',
            0)      # the daemon's resolver may keep it, too
        for kind, address in POLICY_HOST.items():
            add("mta-sts.%s." % s.domain(), kind, address)
    if s.report and not any(o == "_smtp._tls" for o, *_ in s.records):
        add("_smtp._tls.%s." % s.domain(), "TXT", '"%s"' % reports.RECORD)
    for owner, u, sel, m, what, keys in s.tlsa:
        s.bases.append(s.name(owner.lstrip("=")))
        if owner.startswith("="):
            where = s.name(owner[1:])
        else:
            where = "_%s._tcp.%s" % (keys.get("port", "25"), s.name(owner))
        data = tlsa_data(s, owner, u, sel, m, what, keys)
        for i in range(int(keys.get("times", "1"))):
            hexed = data if i == 0 else "%0*x" % (len(data), i)
            add(where, "TLSA", "%d %d %d %s" % (u, sel, m, hexed))


def front_faults(s):
    """The scenario's part of the front's configuration."""
    rows = []
    for owner, kind, action, words in s.faults:
        deep = owner.startswith("*")
        if deep:
            owner = owner[1:].lstrip(".")
        row = {"name": ("*." if deep else "") + s.name(owner or "@"),
               "type": kind, "action": action}
        if action == "forge":
            words = list(words)
            at = NAMED.get(kind)
            if at is not None:
                words[at] = s.name(words[at])
            if kind in ("A", "AAAA") and words[0] in s.hosts:
                words[0] = next(a for a in s.hosts[words[0]].addresses
                                if (":" in a) == (kind == "AAAA"))
            if kind == "TLSA" and words[3:] and words[3] in s.hosts:
                words[3] = s.hosts[words[3]].chain.leaf.association(
                    int(words[1]), int(words[2])).hex()
            row["rdata"] = [dnswire.rdata(kind, " ".join(words)).hex()]
        rows.append(row)
    return rows


def certify(s, directory, public):
    """Makes the certificates of all hosts and writes them; public: the CA
    that everybody knows."""
    authority = None
    for h in s.hosts.values():
        spec = h.keys.get("cert", "self")
        if authority is None and not spec.startswith(("self", "pub")):
            authority = certs.Authority(s.id)
        names = [s.name(n).rstrip(".") for n in
                 h.keys.get("names", h.name).split(",")]
        cn = h.keys.get("cn")
        h.chain = certs.chain(
            spec, names, public if spec.startswith("pub") else authority,
            cn and s.name(cn).rstrip("."))
        h.cert = "%s/%s-%s.pem" % (directory, s.id, h.name.replace("@", "-"))
        h.chain.write(h.cert)


# -------------------------------------------------------------------- judge

class Outcome:
    """What an MTA did with one message, from its own log."""

    def __init__(self, result, verdicts=(), lines=()):
        self.result = result            # delivered, deferred, bounced, none
        self.verdicts = list(verdicts)  # (host name, port, verdict word)
        self.lines = list(lines)


VIA = re.compile(r"\S+ via (\S+):(\d+): (dane-insecure-mx|dane|mta-sts|"
                 r"encrypt|opportunistic-tls|clear|deferred|bounced)\b")


def verdicts(lines):
    """The verdict lines among these, as Outcome wants them."""
    return [m.groups() for m in map(VIA.search, lines) if m]


def judge_host(s, kind, names, outcome, messages):
    wrong = []
    if len(messages) != 1:
        return ["%d messages arrived, want 1" % len(messages)]
    m = messages[0]
    if m["host"] not in names:
        return ["arrived at %s, want %s" % (m["host"], "|".join(names))]
    host = s.hosts[m["host"]]
    if kind != "any":
        said = [v for _h, _p, v in outcome.verdicts
                if v not in ("deferred", "bounced")]
        if said[-1:] != [kind]:
            wrong.append("verdict %s in the log, want %s" % (
                said[-1] if said else "none", kind))
        if kind == "clear" and m["tls"]:
            wrong.append("TLS was used, want clear text")
        if kind != "clear" and not m["tls"]:
            wrong.append("CLEAR TEXT, want TLS")
    if m["host"] in s.sni:
        want = s.name(s.sni[m["host"]]).rstrip(".")
    elif kind in ("dane", "dane-insecure-mx", "mta-sts"):
        want = host.fqdn.rstrip(".")
    else:
        want = None
    if want and m["sni"] != want:
        wrong.append("SNI %s, want %s (S01)" % (m["sni"], want))
    return wrong


def judge(s, mta, outcome, rows, queries):
    """What is wrong, as a list of texts; rows are the SMTP servers' records
    of this scenario, queries the set of (name, type) that the front saw."""
    want = s.expected(mta)
    messages = [r for r in rows if r["what"] == "message"]
    kind, at, names = want.partition("@")
    if at:
        wrong = judge_host(s, kind, names.split("|"), outcome, messages)
        if outcome.result != "delivered":
            wrong.append("MTA says %s, want delivered" % outcome.result)
    else:
        kind, _, code = want.partition(" ")
        wrong = ["a message arrived at %s%s" % (
            r["host"], "" if r["tls"] else " IN THE CLEAR") for r in messages]
        if outcome.result != kind:
            wrong.append("MTA says %s, want %s" % (outcome.result, kind))
        if code and not any(code in x for x in outcome.lines):
            wrong.append("no %r in the log" % code)
    for r in rows:
        if r["host"] in s.hostile and (r["from"] or r["auth"] or
                                       r["what"] == "message"):
            wrong.append("hostile %s got an envelope or a password"
                         % r["host"])
        if r["host"] in s.untouched:
            wrong.append("%s was connected to" % r["host"])
        if r["auth"] and not r["tls"]:
            wrong.append("a password in the clear at " + r["host"])
    text = "\n".join(outcome.lines)
    for p in s.patterns(s.log, mta):
        if not re.search(p, text):
            wrong.append("no /%s/ in the log" % p)
    for p in s.patterns(s.nolog, mta):
        if re.search(p, text):
            wrong.append("/%s/ in the log" % p)
    for owner, t in s.asked:
        if (s.name(owner), t) not in queries:
            wrong.append("%s %s was not asked" % (s.name(owner), t))
    for owner, t in s.notasked:
        if (s.name(owner), t) in queries:
            wrong.append("%s %s was asked" % (s.name(owner), t))
    return sorted(set(wrong), key=wrong.index)

# SPDX-License-Identifier: ISC
"""danevirke check, in the world of check.conf; tests/cli/run starts it."""

import json
import os
import pty
import re
import select
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import tool  # noqa: E402
from servers import Servers  # noqa: E402
from tool import has, run, same  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
CONF = os.environ["DV_LAB_CONF"]
with open(os.environ["DV_LAB_MAP"]) as f:
    MAP = json.load(f)
GOOD, PROBLEM, UNTESTED = range(3)
# OK, warning, critical and unknown of a Nagios plug-in
NAGIOS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")


def domain(ident):
    return MAP[ident]["domain"]


def host(ident, name="mx1"):
    return MAP[ident]["hosts"][name]["fqdn"].rstrip(".")


def addresses(ident, name="mx1"):
    return MAP[ident]["hosts"][name]["addresses"]


def cert(ident, name="mx1"):
    return MAP[ident]["hosts"][name]["cert"]


def check(*args, **how):
    return run("check", "--config", CONF, "--helo", "check.example",
               "--timeout", "3", *args, **how)


# ------------------------------------------------------------- the JSON shape

NULL = type(None)
DAYS = (int, NULL)
STATES = {"secure", "insecure", "error"}
REPORT = {"domain": str, "verdict": {"good", "warning", "problem", "untested"},
          "dane": {"full", "partial", "none"}, "summary": str, "time": str,
          "mta_sts": {"error", "none", "policy", None},
           "tlsrpt": (str, NULL), "milliseconds": int, "error": (str, NULL),
           "mx_secure": bool, "implicit_mx": bool, "signature_days": DAYS,
           "signature_until": (str, NULL), "zones": (list, NULL), "hosts": list,
          "name_servers": DAYS, "name_servers_faulty": DAYS,
          "findings": list}
HOST = {"name": str, "preference": int, "dane": bool, "base": (str, NULL),
        "records": int, "tlsa_ttl": int, "signature_days": DAYS,
        "signature_until": (str, NULL), "target": (str, NULL),
        "addresses_state": STATES, "tlsa_state": STATES | {None}, "tlsa": list,
        "reason": str, "addresses": list}
ZONE = {"name": str, "signed": {True, False, None}, "why": (str, NULL)}
TLSA = {"usage": DAYS, "selector": DAYS, "matching": DAYS,
        "name": (str, NULL), "data": str, "usable": bool, "use": bool,
        "why": (str, NULL)}
CERT = {"subject": str, "issuer": str, "until": (str, NULL), "sha256": str,
        "spki_sha256": str}
ADDRESS = {"address": str, "tested": bool, "tls": bool,
           "version": (str, NULL), "cipher": (str, NULL), "verified": bool,
           "mta_sts": {True, False, None},
           "record": (str, NULL), "certificate_until": (str, NULL),
           "certificate_days": DAYS, "matches": list, "chain": list,
           "reason": str}
FINDING = {"severity": {"note", "warning", "problem"}, "row": str,
           "host": (str, NULL), "server": (str, NULL), "address": (str, NULL), "text": str,
           "advice": (str, NULL)}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


def members(found, wanted):
    same(set(found), set(wanted))
    for k, w in wanted.items():
        if isinstance(w, set):
            assert found[k] in w, (k, found[k])
        else:
            # a bool is an int to Python and not to JSON
            assert isinstance(found[k], w) and (
                w is bool or not isinstance(found[k], bool)), (k, found[k])


def shape(r, survey=False):
    members(r, dict(REPORT, n=int) if survey else REPORT)
    assert TIME.match(r["time"]) and r["milliseconds"] >= 0 and r["summary"]
    assert (r["error"] is None) or (r["hosts"] == [] and
                                    r["verdict"] == "untested"), r
    for z in r["zones"] or ():
        members(z, ZONE)
    for h in r["hosts"]:
        members(h, HOST)
        same(h["records"], len(h["tlsa"]))
        same(h["signature_until"] is None, h["signature_days"] is None)
        for t in h["tlsa"]:
            members(t, TLSA)
        for a in h["addresses"]:
            members(a, ADDRESS)
            for x in a["chain"]:
                members(x, CERT)
            same(bool(a["matches"]), a["record"] is not None)
            same(a["tls"], a["version"] is not None)
            same(a["tls"], a["cipher"] is not None)
            same(a["certificate_until"] is None, a["certificate_days"] is None)
            assert a["certificate_until"] is None or TIME.match(
                a["certificate_until"])
            assert not a["verified"] or (a["tls"] and a["record"])
    for x in r["findings"]:
        members(x, FINDING)
        assert re.match(r"[A-Z][0-9]{2}$", x["row"]) and x["text"]
        assert "\n" not in x["text"] + (x["advice"] or "")
    worst = max([("note", "warning", "problem").index(x["severity"])
                 for x in r["findings"]] or [0])
    if r["verdict"] != "untested":
        same(r["verdict"], ("good", "warning", "problem")[worst])


STATUS = {"good": GOOD, "warning": GOOD, "problem": PROBLEM,
          "untested": UNTESTED}


def one(ident, *args):
    """The report on a scenario's domain; its shape and the exit status."""
    r = check("--json", *args, domain(ident))
    same(set(r.json), {"checks"})
    c, = r.json["checks"]
    shape(c)
    same(r.code, STATUS[c["verdict"]], ident)
    same(r.err, "")
    return c


def ordered(rows):
    return sorted(rows, key=repr)


def found(c, severity="warning"):
    """(row, host's first label or None, address or None) of that weight."""
    return ordered((x["row"], x["host"] and x["host"].split(".")[0],
                    x["address"]) for x in c["findings"]
                   if x["severity"] == severity)


def judged(ident, verdict, dane, problems=(), warnings=(), notes=None):
    """Exactly these findings."""
    c = one(ident)
    same((c["verdict"], c["dane"]), (verdict, dane), ident)
    same(found(c, "problem"), ordered(problems), ident)
    same(found(c, "warning"), ordered(warnings), ident)
    if notes is not None:
        same(found(c, "note"), ordered(notes), ident)
    return c


def all_addresses(c):
    return [a for h in c["hosts"] for a in h["addresses"]]


def text_of(c, row):
    x, = [x for x in c["findings"] if x["row"] == row]
    return x["text"]


# ------------------------------------------------------- what each row shows

def test_good():
    """a good domain has no finding at all (L01 L06 L13)"""
    c = judged("good", "good", "full", notes=[])
    a, = all_addresses(c)
    assert a["verified"] and a["record"] == "DANE-EE SPKI SHA2-256"
    assert 50 < a["certificate_days"] < 61 and c["signature_days"] in (29, 30)
    same((c["mx_secure"], c["implicit_mx"]), (True, False))


def test_two():
    """two hosts, two usages, IPv4 and IPv6 are all seen (L01 L12)"""
    c = judged("two", "good", "full", notes=[])
    same(len(all_addresses(c)), 3)
    assert all(a["verified"] for a in all_addresses(c))
    assert any(":" in a["address"] for a in all_addresses(c))
    # which record matches what of the chain, and that it does
    mx1, mx2 = c["hosts"]
    for h, wanted in ((mx1, [(2, 1), (3, 0)]), (mx2, [(3, 0)])):
        same(h["target"], h["name"])
        for a in h["addresses"]:
            pairs = [(h["tlsa"][m["tlsa"]], m["depth"]) for m in a["matches"]]
            same(sorted((t["usage"], d) for t, d in pairs), wanted)
            for t, depth in pairs:
                same(t["data"], a["chain"][depth]["spki_sha256"])
    same([x["subject"] for x in mx1["addresses"][0]["chain"]],
         ["CN=" + mx1["name"], "CN=two root"])
    same(c["zones"], [{"name": domain("two"), "signed": True, "why": None}])


def test_rollover():
    """the record of the next key is no fault (L02)"""
    judged("rollover", "good", "full", notes=[])


def test_group():
    """a group that does not match is a problem though another does (L01)"""
    c = judged("group", "problem", "full",
               [("L01", "mx1", addresses("group")[0])])
    has(text_of(c, "L01"), "3 0 1")
    a, = all_addresses(c)
    same(a["verified"], True)
    has(c["summary"], "DANE works, but")


def test_wrong():
    """where no group matches a problem is found (L01)"""
    c = judged("wrong", "problem", "full",
               [("L01", "mx1", addresses("wrong")[0])])
    same(all_addresses(c)[0]["verified"], False)
    has(c["summary"], "cannot deliver")


def test_address():
    """one of two addresses with another certificate is found (L01)"""
    old = addresses("address", "old")[0]
    c = judged("address", "problem", "full", [("L01", "mx1", old)])
    same({a["address"]: a["verified"] for a in all_addresses(c)},
         {addresses("address")[0]: True, old: False})
    has(c["summary"], "some addresses")


def test_both():
    """ECDSA matches and RSA does not: found; both match: good (L01 L12)"""
    with Servers() as up:
        up.listen(addresses("both"), cert("both"), rsa=cert("both", "rsa"))
        up.listen(addresses("bothgood"), cert("bothgood"),
                  rsa=cert("bothgood", "rsa"))
        c = judged("both", "problem", "full",
                   [("L01", "mx1", addresses("both")[0])])
        has(text_of(c, "L01"), "RSA certificate")
        same(all_addresses(c)[0]["verified"], True)
        judged("bothgood", "good", "full", notes=[])


def test_digests():
    """a key without its second digest is found (L03)"""
    c = judged("digests", "warning", "full", [], [("L03", "mx1", None)])
    has(text_of(c, "L03"), "3 1 1 has 2 records, 3 1 2 has 1")


def test_anchor():
    """a digest of a CA certificate that is not sent is found (L04)"""
    judged("anchor", "problem", "full",
           [("L04", "mx1", addresses("anchor")[0])])


def test_starttls():
    """TLSA, and STARTTLS that is not there or fails, is found (L05)"""
    for ident in ("nostarttls", "handshake"):
        c = judged(ident, "problem", "full",
                   [("L05", "mx1", addresses(ident)[0])])
        a, = all_addresses(c)
        same((a["tested"], a["tls"]), (True, False))
    # without TLSA there is no promise that is broken
    judged("nonetls", "problem", "none", [("L13", None, None)], [],
           [("L05", "mx1", addresses("nonetls")[0])])


def test_afterwards():
    """a server that wants a certificate behind its handshake takes no mail,
    whatever the chain is (L05)"""
    # TLS 1.3 says so behind the handshake.
    with Servers() as up:
        up.listen(addresses("afterwards"), cert("afterwards"), client=True)
        c = judged("afterwards", "problem", "full",
                   [("L05", "mx1", addresses("afterwards")[0])])
        same(all_addresses(c)[0]["tls"], True)
        has(text_of(c, "L05"), "after the handshake")
        has(c["summary"], "cannot deliver")


def test_sha512():
    """no SHA2-256 is a warning, no 3 1 1 a note (L06)"""
    judged("sha512", "warning", "full", [], [("L06", "mx1", None)])
    judged("usage2", "good", "full", notes=[("L06", "mx1", None)])


def test_intermediate():
    """one certificate of an intermediate CA is a warning (L07)"""
    judged("intermediate", "warning", "full", [], [("L07", "mx1", None)])


def test_big():
    """full data and too many records for UDP are a warning (L08)"""
    judged("full", "warning", "full", [], [("L08", "mx1", None)])
    c = judged("many", "warning", "full", [], [("L08", "mx1", None)] * 2)
    has(json.dumps(c), "30 TLSA records")
    has(json.dumps(c), "fit in UDP")


def test_pkix():
    """usages 0 and 1 are ignored; alone they leave nothing (L09 T03)"""
    judged("pkix", "warning", "full", [], [("L09", "mx1", None)])
    c = judged("pkixonly", "problem", "none", [("T03", "mx1", None)],
               [("L09", "mx1", None)])
    same(all_addresses(c)[0]["verified"], False)


def test_unusable():
    """a malformed record beside a good one is a warning (U02)"""
    judged("unusable", "problem", "full", [("U02", "mx1", None)])


def test_sni():
    """a server that refuses an unknown SNI, or wants one, is found (L11)"""
    with Servers() as up:
        up.listen(addresses("sni"), cert("sni"), known={host("sni")})
        up.listen(addresses("nosni"), cert("nosni"), need_sni=True)
        for ident, text in (("sni", "SNI it does not know"),
                            ("nosni", "without SNI")):
            c = judged(ident, "warning", "full", [],
                       [("L11", "mx1", addresses(ident)[0])], [])
            has(text_of(c, "L11"), text)
            same(all_addresses(c)[0]["verified"], True)


def test_base():
    """the certificate for SNI = base counts, not the ordinary one (L11 S01)"""
    with Servers() as up:
        up.listen(addresses("base"), cert("base"),
                  sni={host("base"): cert("base", "real")})
        judged("base", "good", "full", notes=[])
    with Servers() as up:
        up.listen(addresses("base"), cert("base"))
        judged("base", "problem", "full",
               [("L01", "mx1", addresses("base")[0])])


def test_few():
    """of a server that takes one connection the rest is not guessed (L12)"""
    with Servers() as up:
        up.listen(addresses("few"), cert("few"), most=1)
        c = judged("few", "good", "full")
        assert found(c, "note"), c
        same({r for r, _h, _a in found(c, "note")}, {"L12"})


def test_v6dead():
    """an IPv6 address that is dead is found (L12)"""
    v4, v6 = sorted(addresses("v6dead"), key=lambda a: ":" in a)
    with Servers() as up:
        up.listen([v4], cert("v6dead"))
        c = judged("v6dead", "warning", "full", [], [("L12", "mx1", v6)])
        has(c["summary"], "could be tested")
        same({a["address"]: a["tested"] for a in all_addresses(c)},
             {v4: True, v6: False})


def test_no_network():
    """without IPv6 here there is a note, and no host goes unseen (L12)"""
    subprocess.run(["ip", "-6", "route", "del", "local", "fd00:18::/64",
                    "dev", "lo"], check=True)
    try:
        c = one("two")
        same(c["verdict"], "good")
        same([r for r, _h, a in found(c, "note") if ":" in a], ["L12"])
        has(c["summary"], "could be tested")
        c = one("v6only")
        same((c["verdict"], c["dane"]), ("warning", "full"))
        same(found(c), [("L12", "mx2", None)])
    finally:
        subprocess.run(["ip", "-6", "route", "add", "local", "fd00:18::/64",
                        "dev", "lo"], check=True)
    judged("v6only", "good", "full", notes=[])


def test_signature():
    """a signature about to end is found (L12)"""
    c = one("good", "--signature-days", "400")
    same(c["verdict"], "warning")
    same(found(c), ordered([("L12", None, None), ("L12", "mx1", None)]))
    same(found(one("good", "--signature-days", "28")), [])


def test_certificate():
    """the certificate's end matters to usage 2 only (U06 U11)"""
    c = one("usage2", "--certificate-days", "400")
    same(found(c), [("U11", "mx1", addresses("usage2")[0])])
    same(found(one("good", "--certificate-days", "400")), [])
    judged("ended", "problem", "full",
           [("U11", "mx1", addresses("ended")[0])])
    judged("ended3", "good", "full",
           notes=[("U06", "mx1", addresses("ended3")[0])])


def test_name():
    """usage 2 with a certificate for another name is found (N02)"""
    c = judged("noname", "problem", "full",
               [("N02", "mx1", addresses("noname")[0])])
    has(text_of(c, "N02"), "other.example")
    # N03 accepts the domain's name, but only on the secure way through it
    c = judged("domainname", "warning", "full", [],
               [("N02", "mx1", addresses("domainname")[0])])
    same(all_addresses(c)[0]["verified"], True)


def test_dns():
    """TLSA that cannot be had, or an absence unproven, is found (D08 L12)"""
    for ident in ("tlsafail", "denial"):
        c = judged(ident, "problem", "none", [("D08", "mx1", None)],
                   [("L14", None, "127.53.3.1")])
        has(c["summary"], "DNS is broken")


def test_mx_bogus():
    """a bogus MX and signatures that have ended are found (D03 D06)"""
    for ident, server in (("mxbogus", "127.53.3.1"),
                          ("expired", "127.53.2.1"), ("slow", "127.53.3.1")):
        c = judged(ident, "problem", "none", [("D06", None, None)],
                   [("L14", None, server)])
        same(c["hosts"], [])
        has(c["summary"], "delay all mail")


def elsewhere(**settings):
    """The lab's configuration with other settings of its resolver."""
    with open(CONF) as f:
        text = f.read()
    for k, v in settings.items():
        text, n = re.subn(r"root_hints = [^;]*;" if k == "forward" else
                          k + r" = [^;]*;", "%s = %s;" % (k, v), text, 1)
        same(n, 1, k)
    return tool.write("elsewhere.conf", text)


def test_own_dns():
    """an anchor or network of ours that is wrong is no fault of the domain:
    exit 2 (D05 D06)"""
    # The anchor is not the root's, then no server answers: nothing is known of
    # the domain.
    tool.write("wrong.ds", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D084"
               "58E880409BBC683457104237C7F8EC8D\n")
    for conf, args in ((elsewhere(trust_anchor='"%s"' % tool.path("wrong.ds")),
                        ()),
                       (elsewhere(forward='[ "198.18.255.253" ]'), ()),
                       (elsewhere(forward='[ "198.18.255.253" ]'),
                        ("--limit", "4"))):
        r = run("check", "--json", "--config", conf, *args, domain("good"))
        c, = r.json["checks"]
        shape(c)
        same((r.code, c["verdict"], c["hosts"]), (UNTESTED, "untested", []))
        same((found(c), found(c, "problem")), ([("D05", None, None)], []))
        has(c["summary"], "from here")
        r = run("check", "--nagios", "--config", conf, *args, domain("good"))
        same(r.code, 3)


def test_gap():
    """a host without TLSA, one in an unsigned zone, all without: found
    (L13)"""
    c = judged("gap", "warning", "partial", [], [("L13", "mx2", None)])
    has(c["summary"], "some hosts only")
    judged("mixed", "warning", "partial", [],
           [("L13", "mx2", None), ("Q05", "mx2", None)])
    judged("none", "problem", "none", [("L13", None, None)])


def test_null_mx():
    """a null MX is good: there is nothing to protect (Z01)"""
    c = judged("nullmx", "good", "none", notes=[("Z01", None, None)])
    same((c["hosts"], c["summary"]), ([], "takes no mail"))


def test_no_domain():
    """a domain that does not exist is told (D04)"""
    r = check("--json", "nowhere." + domain("good"))
    c, = r.json["checks"]
    shape(c)
    same((r.code, c["verdict"]), (PROBLEM, "problem"))
    same(found(c, "problem"), [("D04", None, None)])


def test_insecure():
    """in an unsigned zone TLSA records do not count (Q05 M06)"""
    judged("insecure", "problem", "none",
           [("M06", None, None), ("L13", None, None)], [("Q05", "mx1", None)])
    name = domain("insecure")
    same(one("insecure")["zones"], [{
        "name": name, "signed": False,
        "why": "the zone %s is not signed" % name}])
    c = judged("mxinsecure", "problem", "none", [("M06", None, None)])
    a, = all_addresses(c)
    same((c["mx_secure"], a["verified"]), (False, True))


def test_tlsa_insecure():
    """TLSA records in an unsigned zone of their own are found (Q05)"""
    judged("tlsainsecure", "problem", "none",
           [("L13", None, None), ("Q05", "mx1", None)])


def test_ourselves():
    """a host that is ourselves is tested all the same (M10)"""
    judged("ourselves", "problem", "full",
           [("L01", "mx1", addresses("ourselves")[0])])


def test_down():
    """where nobody can be reached it is exit 2, not good and not a problem
    (T10)"""
    c = judged("down", "untested", "full", [],
               [("L12", "mx1", a) for a in addresses("down")])
    same([a["tested"] for a in all_addresses(c)], [False, False])
    judged("stall", "untested", "full", [],
           [("T10", "mx1", addresses("stall")[0])])


def test_not_now():
    """421 to STARTTLS or behind it is tried again once, and is no fault of
    what the server does at other times (T12)"""
    for fault in ("notnow", "notnowtls"):
        for times, want in ((1, "good"), (2, "untested")):
            with Servers() as up:
                up.listen(addresses("notnow"), cert("notnow"),
                          **{fault: times})
                c = judged("notnow", want, "full", [],
                           [("T12", "mx1", addresses("notnow")[0])]
                           if times == 2 else [], [])
            same(all_addresses(c)[0]["tested"], times == 1)
            assert "broken" not in c["summary"]
            if times == 2:
                has(text_of(c, "T12"), "421 too many")


def test_ttl():
    """TTLs that are too long or 0 are found (L02)"""
    c = judged("longttl", "warning", "full", [], [("L02", "mx1", None)])
    same(c["hosts"][0]["tlsa_ttl"], 2147483647)
    c = judged("zerottl", "warning", "full", [], [("L02", "mx1", None)])
    has(text_of(c, "L02"), "TTL of 0")
    has(check(domain("zerottl")).out, "TTL 0,")


def test_banner():
    """one host that refuses is a warning, and the summary says so (T10)"""
    c = judged("banner", "warning", "full", [],
               [("T10", "mx2", addresses("banner", "mx2")[0])])
    has(c["summary"], "could be tested")


def test_limit():
    """--limit: what was not tested is not called good"""
    began = time.monotonic()
    c = one("stall2", "--limit", "1")
    assert time.monotonic() - began < 5
    same(c["verdict"], "warning")
    assert ("L12", None, None) in found(c), c["findings"]
    c = one("slow", "--limit", "1")
    same((c["verdict"], c["hosts"]), ("untested", []))
    has(c["error"], "no answer within the time")


def test_dns_only():
    """--dns-only connects to nothing, and says so"""
    def count():
        with open(os.environ["DV_LAB_SMTP_LOG"]) as f:
            return sum(1 for _ in f)
    before = count()
    c = one("good", "--dns-only")
    same((c["verdict"], c["dane"]), ("good", "full"))
    has(c["summary"], "none was connected to")
    c = one("wrong", "--dns-only")
    same(c["verdict"], "good")
    same([a["tested"] for a in all_addresses(c)], [False])
    same(found(one("pkixonly", "--dns-only"), "problem"),
         [("T03", "mx1", None)])
    has(check("--dns-only", domain("good")).out, "not connected to")
    same(count(), before)


# ------------------------------------------------------------------- the text

PATTERNS = ((r"\bfd00:18::[0-9a-f]+", "ADDRESS6"),
            (r"\b198\.18\.\d+\.\d+", "ADDRESS4"),
            (r"\b127\.53\.\d+\.\d+", "SERVER"),
            (r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?", "DATE"),
            (r"end in \d+ days", "end in N days"),
            # as the libunbound of Debian 12 says it
            ("signature crypto failed", "ECDSA signature verification failed"))
GOLDEN = ("good", "two", "group", "address", "digests", "anchor", "nostarttls",
          "intermediate", "many", "pkixonly", "unusable", "mxbogus", "gap",
          "none", "nullmx", "insecure", "mxinsecure", "ourselves", "down",
          "banner", "ended", "tlsafail")


def plain(text):
    for pattern, word in PATTERNS:
        text = re.sub(pattern, word, text)
    return text


def test_golden():
    """the text for a person, of 22 domains, is as it was"""
    wrong = []
    for ident in GOLDEN:
        at = os.path.join(HERE, "golden", "check-%s.txt" % ident)
        text = plain(check(domain(ident)).out)
        if os.environ.get("DV_GOLDEN") == "write":
            with open(at, "w") as f:
                f.write(text)
        with open(at) as f:
            want = f.read()
        if text != want:
            wrong.append("%s:\nfound %s\nwant %s" % (ident, text, want))
    assert not wrong, "\n".join(wrong)


def test_text_json():
    """the text holds what the JSON holds"""
    for ident in ("group", "gap", "mxbogus"):
        c = one(ident)
        text = check(domain(ident)).out
        has(text.splitlines()[0], "%s: %s: %s" % (
            c["domain"], c["verdict"], c["summary"]))
        for x in c["findings"]:
            has(text, x["text"])
            has(text, x["advice"])


# ------------------------------------------------------------------ Prometheus

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(r"(%s)\{((?:[a-z]+=\"(?:[^\"\\\n]|\\[\\\"n])*\",?)*)\} "
                    r"(-?[0-9.]+(?:e[+-]?\d+)?)$" % NAME)
LABEL = re.compile(r"([a-z]+)=\"((?:[^\"\\\n]|\\[\\\"n])*)\"")


def metrics(text):
    """{(name, labels): value}, after the rules of the text format."""
    assert text.endswith("\n") and "\r" not in text
    helped, typed, seen, rows, current = set(), set(), set(), {}, None
    for line in text[:-1].split("\n"):
        if line.startswith("#"):
            m = re.match(r"# (HELP|TYPE) (%s) (.+)$" % NAME, line)
            assert m, line
            kind, name, rest = m.groups()
            place = helped if kind == "HELP" else typed
            assert name not in place and name not in seen, line
            place.add(name)
            assert kind == "HELP" or rest in ("gauge", "counter"), line
            current = name
            continue
        m = SAMPLE.match(line)
        assert m, line
        name, labels, value = m.groups()
        same(name, current, "a family is one block")
        assert name in helped and name in typed, line
        seen.add(name)
        pairs = LABEL.findall(labels)
        same(",".join('%s="%s"' % p for p in pairs), labels)
        same(len(dict(pairs)), len(pairs))
        at = (name, tuple(sorted(pairs)))
        assert at not in rows, "twice: " + line
        rows[at] = float(value)
    return rows


def test_parser():
    """the parser of this test refuses what a collector would"""
    good = ("# HELP danevirke_x X.\n# TYPE danevirke_x gauge\n"
            'danevirke_x{a="1"} 1\n')
    metrics(good)
    for bad in (good + 'danevirke_x{a="1"} 2\n', good + good, good[:-1],
                good.replace('"1"', '"1""'), good.replace("} 1", "} one"),
                good.replace("danevirke_x{", "danevirke_y{")):
        try:
            metrics(bad)
        except AssertionError:
            continue
        raise AssertionError("taken: " + bad)


def test_prometheus():
    """--prometheus has every value, and no series twice"""
    names = ["good", "wrong", "gap", "down", "nullmx", "mxbogus", "twice"]
    r = check("--prometheus", *map(domain, names), domain("good").upper(),
              "a..b", 'x"\\y')
    same((r.code, r.err), (PROBLEM, ""))
    rows = metrics(r.out)

    def value(metric, ident, **labels):
        labels["domain"] = domain(ident) if ident in MAP else ident
        return rows["danevirke_" + metric, tuple(sorted(labels.items()))]
    for ident, good, tested in (("good", 1, 1), ("wrong", 0, 1),
                                ("gap", 1, 1), ("down", 0, 0),
                                ("nullmx", 1, 1), ("mxbogus", 0, 1),
                                ("twice", 1, 1), ("a..b", 0, 0)):
        same((value("check_good", ident), value("check_tested", ident)),
             (good, tested), ident)
    same(value("check_problems", "wrong"), 1)
    same(value("check_warnings", "gap"), 1)
    assert abs(value("check_timestamp_seconds", "good") - time.time()) < 60
    assert 0 < value("check_duration_seconds", "good") < 20
    h, a = host("good"), addresses("good")[0]
    same(value("tlsa_records", "good", host=h), 1)
    same(value("tlsa_ttl_seconds", "good", host=h), 300)
    for name, more in ("", {"host": h}), ("mx_", {}):
        left = value(name + "signature_left_seconds", "good", **more)
        assert 29 * 86400 < left < 31 * 86400, left
    same(value("address_authenticated", "good", host=h, address=a), 1)
    same(value("address_tls", "good", host=h, address=a), 1)
    left = value("certificate_left_seconds", "good", host=h, address=a)
    assert 50 * 86400 < left < 61 * 86400, left
    same(value("address_authenticated", "wrong", host=host("wrong"),
               address=addresses("wrong")[0]), 0)
    has(r.out, 'domain="x\\"\\\\y"')
    # not UTF-8, and not the same
    p = subprocess.run(
        [tool.TOOL, "check", "--prometheus", "--module", tool.MODULE,
         "--config", CONF, b"a\x80", b"a\x81"], capture_output=True,
        timeout=30)
    rows = metrics(p.stdout.decode("ascii"))
    same(len([at for at in rows if at[0] == "danevirke_check_good"]), 2)


def test_promtool():
    """promtool takes it too, where there is one"""
    r = check("--prometheus", domain("good"), domain("gap"))
    try:
        p = subprocess.run(["promtool", "check", "metrics"], input=r.out,
                           capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        metrics(r.out)
        return
    same((p.returncode, p.stderr), (0, ""))


# ---------------------------------------------------------------------- Nagios

PERF = re.compile(r"[a-z_]+=-?\d+(;(\d+:?)?)?(;\d*)?$")


def nagios(status, *args):
    r = check("--nagios", *args)
    same(r.code, status, r.out)
    same(r.out.count("\n"), 1)
    assert len(r.out) < 4096
    text, bar, perf = r.out[:-1].partition(" | ")
    assert text.startswith("DANE %s - " % NAGIOS[status]), text
    assert "|" not in text and "|" not in perf
    words = perf.split()
    assert all(PERF.match(w) for w in words), perf
    return text, {w.split("=")[0]: int(w.split("=")[1].split(";")[0])
                  for w in words}


def test_nagios():
    """--nagios has one line, word, perfdata and status 0 to 3"""
    text, perf = nagios(0, domain("good"))
    has(text, "DANE protects mail to every host")
    same((perf["problems"], perf["warnings"], perf["untested"]), (0, 0, 0))
    assert 50 < perf["certificate_days"] < 61
    assert perf["signature_days"] in (29, 30)
    # the range that the option sets, as other plug-ins give it
    r = check("--nagios", "--signature-days", "40", domain("good"))
    same(r.code, 1, r.out)
    has(r.out, "days=%d;40:\n" % perf["signature_days"])
    text, perf = nagios(1, domain("gap"))
    has(text, "mx2")
    same(perf["warnings"], 1)
    text, perf = nagios(2, domain("wrong"))
    has(text, "3 1 1")
    same(perf["problems"], 1)
    text, perf = nagios(3, domain("down"))
    same(perf["untested"], 1)
    # a problem weighs more than what could not be tested
    text, perf = nagios(2, *map(domain, ("good", "down", "wrong", "gap")))
    has(text, "3 of 4 domains")
    same((perf["problems"], perf["warnings"], perf["untested"]), (1, 1, 1))
    nagios(3, *map(domain, ("gap", "down")))


def test_nagios_mistakes():
    """--nagios: a mistake is unknown, on standard output too"""
    for args in (["--bogus"], ["--parallel", "0"], [], ["--json", "a.example"],
                 ["--config", "/nowhere/danevirke.conf", "a.example"],
                 ["--profile", "none-such", "a.example"]):
        for line in ([*args, "--nagios"], ["--nagios", *args]):
            if args[:1] == ["--config"]:
                r = run("check", *line)
            else:
                r = run("check", *line, *([] if "--profile" in args else []))
            same(r.code, 3, str(line))
            if "--json" not in line:
                assert re.match(r"DANE UNKNOWN - [^|\n]+\n$", r.out), r.out
            assert r.err.startswith("danevirke check: "), r.err


def test_nagios_full():
    """--nagios: output that is not taken is unknown, not critical"""
    with open("/dev/full", "w") as full:
        for args in ([domain("good")], []):
            p = subprocess.run(
                [tool.TOOL, "check", "--nagios", "--module", tool.MODULE,
                 "--config", CONF, *args], stdout=full, timeout=30,
                stderr=subprocess.PIPE, text=True)
            same(p.returncode, 3)
            has(p.stderr, "No space left")


# --------------------------------------------------------------- command lines

def test_command_lines():
    """bad command lines say what was found and what is wanted"""
    for args, text in ((["--parallel", "x", "a"], "want a number"),
                       (["--port", "0", "a"], "1 to 65535"),
                       (["--limit", "3601", "a"], "1 to 3600"),
                       (["--connections", "", "a"], "want a number"),
                       (["--helo", "", "a"], "want a host name"),
                       (["--helo", "a b", "a"], "want a host name"),
                       (["--helo", "a\rMAIL", "a"], "want a host name"),
                       (["--profile", "x", "a"], "no such profile"),
                       (["--prometheus", "--json", "a"], "want one of them"),
                       (["--timeout", "1", "--timeout", "2", "a"], "twice"),
                       (["--nonsense", "a"], "no such option"),
                       ([], "want a mail domain")):
        r = run("check", "--config", CONF, *args)
        same(r.code, 2, str(args))
        has(r.err, text)
        same(r.err.count("\n"), 1)
    r = run("check", "--json")
    same(r.code, 2)
    has(r.json["error"], "want a mail domain")


def test_help():
    """--help of check, survey and store keeps to 80 columns"""
    for command in ("check", "survey", "store"):
        r = run(command, "--help", module=False)
        same((r.code, r.err), (0, ""))
        for line in r.out.splitlines():
            assert len(line) <= 80 and "\t" not in line, line


def test_helo():
    """--helo is what the server hears"""
    with open(os.environ["DV_LAB_SMTP_LOG"]) as f:
        f.seek(0, 2)
        r = check("--json", domain("good"))
        same(r.code, 0)
        mine, end = [], time.monotonic() + 20
        # the servers write down their end a moment after the client's
        while len([x for x in mine if x["what"] == "close"]) < 5 and \
                time.monotonic() < end:
            time.sleep(0.3)
            mine += [x for x in map(json.loads, f) if x["scenario"] == "good"]
    assert {x["helo"] for x in mine if x["what"] == "close"} == {
        "check.example"}, mine
    # nothing is sent, and every session is ended properly
    assert not [x for x in mine if x["what"] in ("mail", "message")]
    assert len([x for x in mine if x["what"] == "close"]) == 5, mine


# ---------------------------------------------------------------- many domains

MANY = ("good", "two", "group", "wrong", "gap", "none", "nullmx", "pkix",
        "digests", "usage2")


def test_parallel():
    """--parallel 1 and 50 say the same, in the order of the names"""
    names = [domain(i) for i in MANY] * 5
    seen = []
    for n in ("1", "50"):
        r = check("--json", "--parallel", n, *names)
        same(r.code, PROBLEM)
        checks = r.json["checks"]
        for c in checks:
            shape(c)
        same([c["domain"] for c in checks], names)
        seen.append([(c["verdict"], c["dane"], c["findings"])
                     for c in checks])
    same(sorted(map(repr, seen[0])), sorted(map(repr, seen[1])))


def test_bad_name():
    """a name that is none does not take the others with it"""
    r = check("--json", "a..b", domain("good"), "x y", "a" * 300)
    same(r.code, UNTESTED)
    for c in r.json["checks"]:
        shape(c)
    same([c["verdict"] for c in r.json["checks"]],
         ["untested", "good", "untested", "untested"])
    assert r.json["checks"][0]["error"]


def test_stall():
    """a domain that stalls does not hold up the others"""
    args = [tool.TOOL, "check", "--module", tool.MODULE, "--config", CONF,
            "--timeout", "6", domain("good"), domain("two"), domain("stall")]
    began = time.monotonic()
    p = subprocess.Popen(args, stdout=subprocess.PIPE)
    first = p.stdout.readline()
    took = time.monotonic() - began
    rest = p.stdout.read()
    p.wait(timeout=30)
    has(first.decode(), "good.alpha: good")
    has(rest.decode(), "stall.alpha: untested")
    assert took < 3 < time.monotonic() - began, took
    same(p.returncode, UNTESTED)


def test_closed_pipe():
    """| head -1: it ends at once and quietly, exit 2"""
    began = time.monotonic()
    p = subprocess.Popen(
        [tool.TOOL, "check", "--module", tool.MODULE, "--config", CONF,
         domain("good"), domain("stall"), domain("slow")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.readline()
    time.sleep(0.5)             # the rest of it; the others write much later
    p.stdout.close()
    err = p.stderr.read()
    same((p.wait(timeout=30), err), (2, b""))
    assert time.monotonic() - began < 5


def terminal(args, env):
    """(standard output and standard error, both a terminal's), status."""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            os.execve(tool.TOOL, [tool.TOOL] + args, env)
        finally:
            os._exit(99)
    out = b""
    while select.select([fd], [], [], 40)[0]:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        out += data
    os.close(fd)
    return out, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_terminal():
    """progress and colours are for a terminal only"""
    args = ["check", "--module", tool.MODULE, "--config", CONF,
            domain("good"), domain("wrong")]
    out, code = terminal(args, {"TERM": "xterm"})
    same(code, PROBLEM)
    assert b"of 2 domains" in out and b"\033[32mgood" in out, out
    assert b"\033[31mproblem" in out, out
    out, code = terminal(args, {"TERM": "xterm", "NO_COLOR": "1"})
    assert b"\033[3" not in out and b"of 2 domains" in out, out
    out, code = terminal(args + ["--nagios"], {"TERM": "xterm"})
    assert b"\033" not in out and out.count(b"\n") == 1, out
    r = check(domain("good"), domain("wrong"))
    same(r.err, "")
    assert "\033" not in r.out and "domains" not in r.out


def test_valgrind():
    """ten domains are checked without error and leak"""
    with open(tool.MODULE, "rb") as f:
        if b"__asan_" in f.read():
            return
    names = [domain(i) for i in ("good", "two", "group", "anchor", "nullmx",
                                 "mxbogus", "insecure", "nostarttls", "down",
                                 "slow")]
    real = os.path.join(os.path.dirname(tool.TOOL), ".libs", "danevirke")
    p = subprocess.run(
        ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
         "--errors-for-leak-kinds=definite,indirect",
         real if os.path.exists(real) else tool.TOOL, "check", "--module",
         tool.MODULE, "--config", CONF, "--timeout", "8", "--json", "a..b",
         *names], capture_output=True, text=True, timeout=200)
    # what it says of itself: system calls that it does not know
    found = [x for x in p.stderr.splitlines() if not x.startswith("--")]
    same((p.returncode, found), (PROBLEM, []))
    same(len(json.loads(p.stdout)["checks"]), 11)


if __name__ == "__main__":
    sys.exit(tool.main())

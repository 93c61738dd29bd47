# SPDX-License-Identifier: ISC
"""danevirke(1) inside the lab's world; started by tests/cli/run."""

import json
import os
import pty
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import tool  # noqa: E402
from tool import has, run, same, write  # noqa: E402

CONF = os.environ["DV_LAB_CONF"]
with open(os.environ["DV_LAB_MAP"]) as f:
    MAP = json.load(f)


def domain(ident):
    return MAP[ident]["domain"]


def route(*args, conf=CONF):
    return run("route", "--json", "--config", conf, *args)


def one(ident, *args):
    """The answer for a scenario's domain, its shape checked."""
    r = route(*args, domain(ident))
    a, = r.json["routes"]
    shape(a)
    same(r.code, 0 if a["outcome"] == "route" else 1, ident)
    return a


STATES = {"secure", "insecure", "error"}
ACTIONS = {"defer", "opportunistic", "encrypt", "authenticate"}
RECORD = "v=TLSRPTv1; rua=mailto:tls@lab.alpha"
OUTCOMES = {"defer", "route", "null-mx", "no-domain", "loop"}
ANSWER = {"domain": str, "final": str, "outcome": OUTCOMES, "would": OUTCOMES,
          "mx_state": STATES, "implicit_mx": bool, "insecure_mx": bool,
          "level": {"dane", "dane-only", "audit", "off"}, "profile": str,
          "exception": (str, type(None)), "ttl": int, "result": str,
          "mta_sts": {"error", "none", "policy", None}, "mta_sts_mx": list,
          "tlsrpt": (str, type(None)), "reason": str, "hosts": list}
HOST = {"name": str, "preference": int, "port": int, "action": ACTIONS,
        "would": ACTIONS, "verdict": str, "addresses_state": STATES,
        "addresses": list, "base": (str, type(None)), "names": list,
        "tlsa_state": STATES | {None}, "tlsa": list, "result": str,
        "mta_sts_listed": bool, "ca_file": (str, type(None)), "reason": str}
TLSA = {"usage": int, "selector": int, "matching": int, "name": str,
        "data": str, "usable": bool, "use": bool, "why": (str, type(None))}


def members(found, wanted):
    same(set(found), set(wanted))
    for k, w in wanted.items():
        if isinstance(w, set):
            assert found[k] in w, (k, found[k])
        else:
            assert isinstance(found[k], w), (k, found[k])


def shape(a):
    members(a, ANSWER)
    assert a["reason"] and "\n" not in a["reason"]
    for h in a["hosts"]:
        members(h, HOST)
        assert h["reason"]
        for t in h["tlsa"]:
            members(t, TLSA)
            same(t["use"], t["why"] is None)


# What each domain must look like: (MX, what is said of each host in order).
ROUTES = {
    "good-3-1-1": ("secure", ["authenticate"]),
    "good-2-1-1": ("secure", ["authenticate"]),
    "good-2-0-0": ("secure", ["authenticate"]),
    "good-2-1-0": ("secure", ["authenticate"]),
    "good-rollover": ("secure", ["authenticate"]),
    "good-nsec3": ("secure", ["authenticate"]),
    "good-optout": ("secure", ["authenticate"]),
    "good-dual-stack": ("secure", ["authenticate"]),
    "good-ipv6-only": ("secure", ["authenticate"]),
    "good-other-zone": ("secure", ["authenticate"]),
    "good-deep-zone": ("secure", ["authenticate"]),
    "good-big-tcp": ("secure", ["authenticate"]),
    "good-idn": ("secure", ["authenticate"]),
    "good-upper-case": ("secure", ["authenticate"]),
    "plain-tls": ("insecure", ["opportunistic"]),
    "plain-signed-notlsa": ("secure", ["opportunistic"]),
    "plain-delta": ("insecure", ["opportunistic"]),
    "d01-island": ("insecure", ["opportunistic"]),
    "d01-unknown-algorithm": ("insecure", ["opportunistic"]),
    "t03-unusable-only": ("secure", ["encrypt"]),
    "d07-first-unreachable": ("secure", ["defer", "authenticate"]),
    "d08-second-host": ("secure", ["defer", "authenticate"]),
    "m09-mixed": ("secure", None),
    "m04-insecure-dane": ("insecure", ["authenticate"]),
    "u01-pkix-only": ("secure", ["encrypt"]),
}
DEFERRED = ("d02-wrong-ds", "d03-mx-badsig", "d03-mx-stripsig",
            "d03-mx-servfail", "d03-mx-garbage", "d03-mx-timeout",
            "d03-expired", "d03-future", "d03-dead", "d03-dnskey-badsig",
            "d05-ad-forged", "d08-tlsa-servfail", "d08-denial-stripped",
            "d08-tlsa-removed", "d10-loop")


def test_routes():
    """good domains are routed, with the policy of each host (M01 T01 T03
    T04)"""
    for ident, (mx, actions) in ROUTES.items():
        a = one(ident)
        same((a["outcome"], a["mx_state"]), ("route", mx), ident)
        if actions is not None:
            same([h["action"] for h in a["hosts"]], actions, ident)
        for h in a["hosts"]:
            if h["action"] == "authenticate":
                assert any(t["use"] for t in h["tlsa"]) and h["base"]
                same(h["tlsa_state"], "secure", ident)


def test_deferred():
    """broken domains are delayed, with the reason, exit 1 (D03 D06 D08)"""
    for ident in DEFERRED:
        a = one(ident)
        same(a["outcome"], "defer", ident)
        assert all(h["action"] == "defer" for h in a["hosts"]), ident


def test_null_mx():
    """null MX and no such domain are told apart, exit 1 (D04 Z01)"""
    same(one("z01-null-mx")["outcome"], "null-mx")
    same(one("d04-nxdomain")["outcome"], "no-domain")


def test_insecure_mx():
    """the verdict of an insecure MX has its own word (M06)"""
    h, = one("m04-insecure-dane")["hosts"]
    same(h["verdict"], "dane-insecure-mx")
    h, = one("good-3-1-1")["hosts"]
    same(h["verdict"], "dane")


def test_tlsrpt():
    """the TLSRPT record is told, where reports are on (K01)"""
    with open(CONF) as f:
        on = "tlsrpt = true" in f.read()
    same(one("good-3-1-1")["tlsrpt"], RECORD if on else None)
    same(one("k01-two")["tlsrpt"], None)
    r = run("route", "--config", CONF, domain("good-3-1-1"))
    same(("  TLSRPT %s\n" % RECORD) in r.out, on)
    r = run("check", "--config", CONF, domain("good-3-1-1"))
    same(("  TLSRPT %s\n" % RECORD) in r.out, on)


def test_profiles():
    """--profile is obeyed (T06 M04)"""
    a = one("plain-tls", "--profile", "strict")
    h, = a["hosts"]
    same((a["outcome"], a["would"], h["action"], h["would"], h["result"]),
         ("defer", "route", "defer", "opportunistic", "dane-required"))
    h, = one("m04-insecure-dane", "--profile", "mxmay")["hosts"]
    same(h["action"], "opportunistic")
    a = one("d03-mx-badsig", "--profile", "audit")
    same((a["level"], a["would"]), ("audit", "defer"))


def test_why():
    """why a record is not used is said (U02 A01)"""
    h, = one("u01-pkix-only")["hosts"]
    assert h["tlsa"] and all(t["why"] for t in h["tlsa"])


def test_states():
    """a state is that of a lookup, null if there was none (B04 B05 D08)"""
    for ident, addresses, tlsa in (
            ("good-3-1-1", "secure", "secure"),
            ("plain-signed-notlsa", "secure", "secure"),
            ("plain-tls", "insecure", None),
            ("d08-tlsa-servfail", "secure", "error"),
            ("b04-no-address", "secure", None)):
        h = one(ident)["hosts"][0]
        same((h["addresses_state"], h["tlsa_state"]), (addresses, tlsa),
             ident)


def test_not_waited_for():
    """an insecure host's silence for TLSA takes no time (B05 B05a)"""
    def took(ident):
        began = time.monotonic()
        h, = one(ident)["hosts"]
        same((h["action"], h["tlsa_state"]), ("opportunistic", None))
        return time.monotonic() - began
    silent, known = (min(took("b05a-insecure-" + how) for _ in range(7))
                     for how in ("silent", "records"))
    assert silent < 3 * known, "%.3f s, %.3f s" % (silent, known)


def test_short():
    """octets that are not in a record are not shown (Q06)"""
    r = route(domain("q06-two-octets"))
    h, = r.json["routes"][0]["hosts"]
    t, = [t for t in h["tlsa"] if not t["usable"]]
    same((t["usage"], t["selector"], t["matching"], t["name"], t["data"]),
         (3, 1, None, None, ""))
    r = run("route", "--config", CONF, domain("q06-two-octets"))
    has(r.out, "    TLSA 3 1 (2 octets): ignored: insecure\n")


def test_relay():
    """--host asks for no MX, --port for the port's records (B01 Q01)"""
    host = one("good-3-1-1")["hosts"][0]["name"]
    r = route("--host", host)
    a, = r.json["routes"]
    shape(a)
    h, = a["hosts"]
    same((r.code, h["name"], h["action"], h["port"]),
         (0, host, "authenticate", 25))
    a, = route("--host", host, "--port", "465").json["routes"]
    h, = a["hosts"]
    same((h["action"], h["port"], h["tlsa"]), ("opportunistic", 465, []))


def test_many():
    """several names make one object, in order, the worst exit status"""
    names = [domain(i) for i in ("good-3-1-1", "plain-tls", "z01-null-mx")]
    r = route(*names)
    same(r.code, 1)
    same([a["domain"] for a in r.json["routes"]],
         [n.lower() for n in names])
    # a name that is none does not take the others with it
    r = route("a..b", names[0])
    same(r.code, 2)
    same([a["outcome"] for a in r.json["routes"]], ["defer", "route"])
    assert r.json["routes"][0]["error"]


def test_text():
    """the text for a person is as it was"""
    d = domain("good-3-1-1")
    a = one("good-3-1-1")
    h, = a["hosts"]
    t, = h["tlsa"]
    r = run("route", "--config", CONF, d)
    same(r.code, 0)
    # the TTL counts down
    lines = [x if "TTL" not in x else x.split("TTL")[0] + "TTL"
             for x in r.out.splitlines() if not x.startswith("  TLSRPT ")]
    same(lines, [
        "%s: route: %s" % (d, a["reason"]), "  MX secure, TTL",
        "  10 %s:25: dane: TLS required, the certificate must match TLSA" %
        h["name"],
        "    " + h["reason"], "    addresses (secure): " + h["addresses"][0],
        "    base domain: %s; names accepted for usage 2: %s" % (
            h["base"], " ".join(h["names"])),
        "    TLSA 3 1 1 %s (DANE-EE SPKI SHA2-256): usable" % t["data"]])


def test_insecure_shown():
    """an insecure domain's text says so (Q05)"""
    r = run("route", "--config", CONF, domain("plain-tls"))
    has(r.out, "MX insecure")
    has(r.out, "TLS if it is offered")


def test_closed_pipe():
    """nobody reads: it ends, quietly"""
    r, w = os.pipe()
    os.close(r)
    p = subprocess.run([tool.TOOL, "route", "--module", tool.MODULE,
                        "--config", CONF, domain("good-3-1-1")] +
                       [domain("d03-mx-timeout")] * 5, stdout=w,
                       stderr=subprocess.PIPE, timeout=30)
    os.close(w)
    same((p.returncode, p.stderr), (2, b""))


def test_interrupted():
    """interrupted it ends at once"""
    p = subprocess.Popen([tool.TOOL, "route", "--module", tool.MODULE,
                          "--config", CONF, domain("d03-mx-timeout")],
                         stdout=subprocess.DEVNULL)
    time.sleep(0.5)
    p.terminate()
    same(p.wait(timeout=5), -15)


def probes(conf):
    r = run("conf", "--probe", "--json", conf, timeout=120)
    same(r.json["valid"], True)
    p = {x["name"]: x for x in r.json["probes"]}
    same(set(p), {"root keys over UDP", "root keys over TCP",
                  "signed denial", "clock", "trust anchor"})
    same(r.code, 0 if all(x["good"] for x in p.values()) else 1)
    return p


def variant(name, **settings):
    """The lab's resolver settings with some replaced."""
    base = {"trust_anchor": '"%s"' % os.environ["DV_LAB_ANCHOR"],
            "root_hints": '"%s"' % os.environ["DV_LAB_HINTS"]}
    base.update(settings)
    return write(name, "resolver: { %s };\n" % " ".join(
        "%s = %s;" % (k, v) for k, v in base.items() if v))


def test_probe():
    """conf --probe says that all is well in the lab"""
    for name, p in probes(CONF).items():
        assert p["good"], (name, p["text"])


def test_probe_progress():
    """on a terminal it shows what it waits for, and wipes it out"""
    ours, theirs = pty.openpty()
    try:
        p = subprocess.run(
            [tool.TOOL, "conf", "--module", tool.MODULE, "--probe", CONF],
            stderr=theirs, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            text=True, timeout=60, env={})
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    for what in ("root keys over UDP", "root keys over TCP", "signed denial"):
        has(shown, "\r\033[K%s ..." % what)
    assert shown.endswith("\r\033[K"), shown
    assert "..." not in p.stdout, p.stdout


def test_probe_anchor():
    """an anchor that is not the root's is found out (D05)"""
    write("wrong.ds", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E"
          "880409BBC683457104237C7F8EC8D\n")
    p = probes(variant("wrong.conf",
                       trust_anchor='"%s"' % tool.path("wrong.ds")))
    for name in ("root keys over UDP", "root keys over TCP", "signed denial"):
        assert not p[name]["good"], name
        assert p[name]["text"]


def test_anchor_beside():
    """a DS that does not count beside the root's own harms nothing (D05a)"""
    with open(os.environ["DV_LAB_ANCHOR"]) as f:
        write("two.ds", ". IN DS 5913 16 2 %s\n%s" % ("fa" * 32, f.read()))
    conf = variant("two.conf", trust_anchor='"%s"' % tool.path("two.ds"))
    for name, p in probes(conf).items():
        assert p["good"], (name, p["text"])
    for ident, state in (("good-3-1-1", "secure"),
                         ("m04-insecure-dane", "insecure")):
        r = run("route", "--json", "--config", conf, domain(ident))
        same(r.json["routes"][0]["mx_state"], state)


def test_closed():
    """without a root there is no insecure but that of resolver.zones, and that
    needs none (D01 D05a)"""
    name = domain("d01-internal")
    conf = variant("closed.conf", root_hints=None, timeout=4, query_timeout=2,
                   forward='[ "198.18.255.253" ]',
                   zones='( { name = "%s"; insecure = true; forward = '
                   '[ "%s" ]; } )' % (name, os.environ["DV_LAB_SERVER"]))
    r = run("route", "--json", "--config", conf, name)
    a = r.json["routes"][0]
    same((r.code, a["outcome"], a["mx_state"]), (0, "route", "insecure"))


def test_probe_nobody():
    """a forwarder that is not there fails every probe, in bounded time"""
    began = time.monotonic()
    p = probes(variant("nobody.conf", root_hints=None,
                       forward='[ "198.18.255.253" ]'))
    assert not any(x["good"] for x in p.values()), p
    assert time.monotonic() - began < 110


def test_probe_zones():
    """conf --probe asks as the module does, resolver.zones included"""
    # The name that it asks for lies below one whose servers are not there.
    p = probes(variant("zones.conf", zones='( { name = "danevirke-probe"; '
                       'forward = [ "198.18.255.253" ]; } )'))
    same({n for n, x in p.items() if not x["good"]}, {"signed denial"})


# examples/plugin.c, as its installed copy says: the header, and no more of ours.
PLUGIN = {
    # domain: exit status, what the only or last line says
    "good-3-1-1": (0, r"via mx1\.\S+:25: dane: matched DANE-EE SPKI SHA2-256 "
                   r"at depth 0, 1 usable of 1 TLSA"),
    "good-2-1-1": (0, r":25: dane: matched DANE-TA"),
    "good-dual-stack": (0, r":25: dane: "),
    "good-ipv6-only": (0, r":25: dane: "),
    "m04-insecure-dane": (0, r":25: dane-insecure-mx: matched "),
    "t03-unusable-only": (0, r":25: encrypt: "),
    "plain-tls": (0, r":25: opportunistic-tls: "),
    "plain-clear": (0, r":25: clear: "),
    "plain-starttls-454": (0, r":25: clear: "),
    "t02-next-wrong-certificate": (0, r" via mx2\.\S+:25: dane: "),
    "p01-audit": (0, r":25: opportunistic-tls \(audit: would be deferred\) "
                 r"\(exception: rollover, ticket 13\): "),
    "p04-names-the-cause": (1, r":25: deferred: no TLSA record matches"),
    "t02-no-starttls": (1, r":25: deferred: \S+: no TLS, "),
    "d03-mx-servfail": (1, r"^\S+: deferred: MX lookup failed"),
    "z01-null-mx": (1, r"^\S+: bounced: "),
}


def compile_plugin():
    prefix = "/mnt/danevirke"
    source = prefix + "/share/doc/danevirke/examples/plugin.c"
    program = tool.path("plugin")
    subprocess.run([os.environ.get("CC", "cc"), "-Wall", "-Wextra", "-Werror",
                    "-I" + prefix + "/include", "-o", program, source, "-ldl",
                    "-lgnutls"], check=True)
    return program


def test_plugin():
    """the example does what every server must, with nothing but the header
    (M06 P04 T01 T02 T03 T04)"""
    program = compile_plugin()
    for ident, (status, want) in PLUGIN.items():
        p = subprocess.run([program, tool.MODULE, CONF, domain(ident)],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=60)
        last = p.stdout.splitlines()[-1] if p.stdout else ""
        assert re.search(want, last), (ident, p.stdout)
        same(p.returncode, status, p.stdout)


def test_plugin_refuses():
    """no module, no configuration: trouble here, not an answer (D05)"""
    program = compile_plugin()
    for module, conf in (("/nonexistent.so", CONF),
                         (tool.MODULE, "/nonexistent.conf")):
        p = subprocess.run([program, module, conf, domain("plain-tls")],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=60)
        same(p.returncode, 2, p.stdout)
        has(p.stdout, "/nonexistent")


if __name__ == "__main__":
    sys.exit(tool.main())

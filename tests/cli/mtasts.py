# SPDX-License-Identifier: ISC
"""danevirke route and check with a policy server, in the world of mtasts.conf;
tests/cli/run starts it."""

import json
import os
import re
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../lab"))
import tool  # noqa: E402
import world  # noqa: E402
import check as shapes  # noqa: E402
from tool import has, run, same, write  # noqa: E402

LAB = os.environ["DV_LAB_DIR"]
CONF = os.environ["DV_LAB_CONF"]
with open(os.environ["DV_LAB_MAP"]) as f:
    MAP = json.load(f)
with open(CONF) as f:
    TEXT = f.read()
SERVER = "127.0.0.1:8461"


def domain(ident):
    return MAP[ident]["domain"]


def route(ident, profile="sts", conf=CONF):
    r = run("route", "--json", "--config", conf, "--profile", profile,
            domain(ident))
    a, = r.json["routes"]
    return a


def hosts(a):
    return [(h["name"].split(".")[0], h["action"], h["verdict"],
             h["mta_sts_listed"]) for h in a["hosts"]]


def check(ident, *args):
    return run("check", "--config", CONF, "--helo", "check.example",
               "--timeout", "3", *args, domain(ident))


def checked(ident):
    c, = check(ident, "--json").json["checks"]
    shapes.shape(c)
    return c, [(x["severity"], x["host"] and x["host"].split(".")[0],
                x["address"], x["text"]) for x in c["findings"]
               if x["row"] == "L16"]


def other(name, old, new):
    """A configuration with something else in it."""
    assert old in TEXT
    path = write(name, TEXT.replace(old, new))
    os.chmod(path, 0o644)
    return path


# -------------------------------------------------------------------- route

def test_route():
    """route tells the policy, and what it makes of each host (H03 H06)"""
    a = route("policy")
    same((a["outcome"], a["mta_sts"], a["mta_sts_mx"]),
         ("route", "policy", ["*." + domain("policy")]))
    same(hosts(a), [("mx1", "authenticate", "mta-sts", True)])
    h, = a["hosts"]
    same((h["base"], h["names"], h["ca_file"]),
         (h["name"], [h["name"]], LAB + "/cas.pem"))
    r = run("route", "--config", CONF, "--profile", "sts", domain("policy"))
    has(r.out, ":25: mta-sts: TLS required, the certificate must satisfy "
        "MTA-STS\n")
    has(r.out, "  MTA-STS policy for *.%s\n" % domain("policy"))
    has(r.out, "    certificate: %s, from a CA of %s/cas.pem\n" % (
        h["name"], LAB))


def test_route_dane():
    """where DANE has decided all, the policy is not told (H01 H02)"""
    a = route("private")
    same((a["mta_sts"], a["mta_sts_mx"]), (None, []))
    same(hosts(a), [("mx1", "authenticate", "dane", False)])


def test_route_off():
    """without mta_sts in the profile all is as ever (H02)"""
    a = route("policy", "default")
    same(a["mta_sts"], None)
    same(hosts(a), [("mx1", "opportunistic", "opportunistic-tls", False)])


def test_away():
    """a policy server that is away delays mail, and is named (H05 P05)"""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        dead = "127.0.0.1:%d" % s.getsockname()[1]
    for name, server, why in (
            ("dead.conf", dead, "Connection refused"),
            ("gone.conf", tool.path("gone.sock"), "No such file")):
        a = route("policy", conf=other(name, SERVER, server))
        same((a["outcome"], a["mta_sts"], a["result"]),
             ("defer", "error", "sts-policy-fetch-error"))
        has(a["reason"], "policy server %s: %s" % (server, why))
        same(route("both", conf=tool.path(name))["outcome"], "route")


def test_socket():
    """a policy server may be asked by the path of its socket (H05)"""
    with open(LAB + "/mta-sts-daemon.yml") as f:
        text = f.read()
    sock = tool.path("policies.sock")
    text = re.sub(r"host: .*\nport: .*\n", "path: %s\nmode: 0666\n" % sock,
                  text)
    daemon = subprocess.Popen(
        ["unshare", "-m", "sh", "-c",
         "mount --bind %s/resolv.conf %s && SSL_CERT_FILE=%s/cas.pem exec "
         "mta-sts-daemon -c %s" % (LAB, os.path.realpath("/etc/resolv.conf"),
                                   LAB, write("daemon.yml", text))],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if os.path.exists(sock):
                break
            time.sleep(0.1)
        a = route("policy", conf=other("socket.conf", SERVER, sock))
        same((a["outcome"], a["mta_sts"]), ("route", "policy"))
    finally:
        daemon.terminate()
        daemon.wait(10)


def test_change():
    """a policy that has changed counts from then on (H03)"""
    same(hosts(route("change")),
         [("mx1", "authenticate", "mta-sts", True),
          ("mx2", "defer", "deferred", False)])
    w = world.attach()
    w.change_policy(w.scenarios["change"], "mx: mx1.", "mx: mx2.")
    same(hosts(route("change")),
         [("mx1", "defer", "deferred", False),
          ("mx2", "authenticate", "mta-sts", True)])


# -------------------------------------------------------------------- check

def test_good():
    """a policy that names all, with certificates that satisfy it (L16)"""
    c, found = checked("both")
    same((c["verdict"], c["dane"], c["mta_sts"], found),
         ("good", "full", "policy", []))
    same([a["mta_sts"] for h in c["hosts"] for a in h["addresses"]], [True])
    r = check("both")
    has(r.out, "authenticated by 3 1 1, mta-sts, TLS")
    has(r.out, "  MTA-STS policy for mx1.%s\n" % domain("both"))
    r = check("both", "--prometheus")
    has(r.out, "danevirke_address_mta_sts{")


def test_only():
    """without DANE it is said that MTA-STS protects (L16)"""
    c, found = checked("policy")
    same((c["verdict"], c["dane"], found), ("problem", "none", []))
    has(c["summary"], "DANE does not protect mail to this domain, MTA-STS "
        "does")


def test_not_named():
    """a host that the policy does not name is a problem (L16)"""
    c, found = checked("unlisted")
    same(c["verdict"], "problem")
    same([x[:3] for x in found], [("problem", "mx2", None)])
    has(found[0][3], "not in the MTA-STS policy for mx1.")


def test_certificate():
    """a certificate that does not satisfy the policy is a problem, also
    where DANE does (L16)"""
    c, found = checked("private")
    same((c["verdict"], c["dane"]), ("problem", "full"))
    (severity, host, address, text), = found
    same((severity, host), ("problem", "mx1"))
    has(text, "does not satisfy the MTA-STS policy: no path leads")
    same([a["mta_sts"] for h in c["hosts"] for a in h["addresses"]], [False])
    has(check("private").out, ", not mta-sts, TLS")


def test_no_tls():
    """a policy and no STARTTLS is a problem (L16)"""
    c, found = checked("starttls")
    same([x[:2] for x in found], [("problem", "mx1")])
    has(found[0][3], "STARTTLS is not offered")


def test_none():
    """a domain without a policy is none the worse (L16)"""
    c, found = checked("none")
    same((c["verdict"], c["mta_sts"], found), ("good", "none", []))


def test_unknown():
    """a policy server that cannot tell is a warning (L16)"""
    c, found = checked("temp")
    same((c["verdict"], c["mta_sts"]), ("warning", "error"))
    same([x[:3] for x in found], [("warning", None, None)])
    has(found[0][3], "it says TEMP")


def test_survey():
    """survey tells the same of many (L16)"""
    names = [domain(i) for i in ("both", "private", "none")]
    r = run("survey", "--config", CONF, "--helo", "check.example",
            "--timeout", "3", stdin="".join(n + "\n" for n in names))
    rows = {x["domain"]: x for x in map(json.loads, r.out.splitlines())}
    same([(rows[n]["mta_sts"], rows[n]["verdict"]) for n in names],
         [("policy", "good"), ("policy", "problem"), ("none", "good")])


if __name__ == "__main__":
    sys.exit(tool.main())

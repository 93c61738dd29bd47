# SPDX-License-Identifier: ISC
"""danevirke verify, and what holds for every subcommand."""

import os
import re
import subprocess

import pki
import tool
from pki import AT, CHAIN, INTER, LEAF, OTHER, ROOT
from tool import has, run, same, write

MX = ["--name", "mx.example.org", "--at", AT]


def verify(*args, chain=CHAIN):
    return run("verify", "--json", *args, write("chain.pem", chain))


def good(r, usage, depth):
    same((r.code, r.json["verified"], r.json["usage"], r.json["depth"]),
         (0, True, usage, depth), r.out)
    assert r.json["reason"]


def refused(r, part=None):
    same((r.code, r.json["verified"], r.json["usage"], r.json["depth"]),
         (1, False, None, None), r.out)
    assert r.json["reason"]
    if part:
        has(r.json["reason"], part)


def bad(r, part):
    """Exit 2; the reason on standard error and, as JSON, on output."""
    same((r.code, r.json["verified"]), (2, False), r.out)
    has(r.json["error"], part)
    same(r.json["reason"], r.json["error"])
    has(r.err, part)


def test_ee():
    """3 1 1 needs no name, no date, no issuer (U06 N01 U07)"""
    good(verify("--tlsa", LEAF.record(3)), 3, 0)
    good(verify("--tlsa", LEAF.record(3), "--at", "2035-01-01T00:00:00Z",
                chain=LEAF.pem), 3, 0)


def test_ee_all_kinds():
    """usage 3 works with every selector and matching type (U03)"""
    for s in (0, 1):
        for m in (0, 1, 2):
            good(verify("--tlsa", LEAF.record(3, s, m)), 3, 0)


def test_ee_refused():
    """another certificate's record is refused (U16)"""
    refused(verify("--tlsa", OTHER.record(3)))
    refused(verify("--tlsa", INTER.record(3)))


def test_ta_depth():
    """usage 2 at the intermediate is depth 1, at the root 2 (U08)"""
    for s in (0, 1):
        for m in (0, 1, 2):
            good(verify(*MX, "--tlsa", INTER.record(2, s, m)), 2, 1)
            good(verify(*MX, "--tlsa", ROOT.record(2, s, m)), 2, 2)


def test_ta_from_dns():
    """an anchor that is only in DNS counts as its place (U12 U13)"""
    chain = LEAF.pem + INTER.pem
    good(verify(*MX, "--tlsa", ROOT.record(2, 0, 0), chain=chain), 2, 2)
    good(verify(*MX, "--tlsa", ROOT.record(2, 1, 0), chain=chain), 2, 2)
    good(verify(*MX, "--tlsa", INTER.record(2, 1, 0), chain=LEAF.pem), 2, 1)


def test_ta_refused():
    """an unrelated certificate in the chain proves nothing (U08)"""
    refused(verify(*MX, "--tlsa", OTHER.record(2), chain=CHAIN + OTHER.pem))


def test_ta_leaf():
    """usage 2 never matches the leaf (U09)"""
    refused(verify(*MX, "--tlsa", LEAF.record(2)))


def test_ta_dates():
    """dates count for usage 2, as --at says (U11)"""
    for at in ("2022-01-01T00:00:01Z", "2020-12-31T23:59:59Z",
               "2021-12-31T23:59:59-00:01"):
        r = verify("--name", "mx.example.org", "--at", at, "--tlsa",
                   ROOT.record(2))
        refused(r)
    for at in ("2021-12-31T23:59:59Z", "2022-01-01T00:59:59+01:00",
               "2021-06-01t12:00:00.5z", "2021-12-31T23:59:59.999Z"):
        good(verify("--name", "mx.example.org", "--at", at, "--tlsa",
                    ROOT.record(2)), 2, 2)


def test_ta_names():
    """each --name is accepted, and without one usage 2 is refused (N02 N03)"""
    r = verify("--at", AT, "--tlsa", ROOT.record(2))
    refused(r)
    has(r.err, "--name")
    refused(verify("--at", AT, "--name", "mx2.example.org", "--tlsa",
                   ROOT.record(2)))
    good(verify("--at", AT, "--name", "mx2.example.org", "--name",
                "MX.Example.ORG.", "--tlsa", ROOT.record(2)), 2, 2)


def test_idn():
    """a name is turned into A-labels once (D14)"""
    r = verify("--name", "m\u00fcller.example.org", "--tlsa", LEAF.record(3))
    same(r.json["names"], ["xn--mller-kva.example.org"])


def test_any_record():
    """any one record will do, and the verdict says which (U15)"""
    r = verify(*MX, "--tlsa", OTHER.record(3), "--tlsa", ROOT.record(2))
    good(r, 2, 2)
    same(r.json["record"], 1)


def test_unusable():
    """well formed but unusable is not an error (U02 U03 Q06)"""
    for rec in ("3 1 1 aabb", "4 1 1 " + "00" * 32, "3 2 1 " + "00" * 32,
                "3 1 255 " + "00" * 32, "255 255 255 00", "3 0 0 3000",
                "3 1 2 " + "00" * 32):
        r = verify("--tlsa", rec)
        refused(r, "usable")
        same(r.json["result"], "tlsa-invalid")
        same(r.json["records"][0]["usable"], False)
        assert r.json["records"][0]["why"]
        good(verify("--tlsa", rec, "--tlsa", LEAF.record(3)), 3, 0)


def test_agility():
    """a good 512 hides a 256, a malformed one does not (A01 A03)"""
    refused(verify("--tlsa", LEAF.record(3, 1, 1), "--tlsa",
                   OTHER.record(3, 1, 2)))
    good(verify("--tlsa", LEAF.record(3, 1, 1), "--tlsa", "3 1 2 aabb"), 3, 0)


def test_pkix():
    """usages 0 and 1 count only with --usages all, and with a CA (U01)"""
    ca = write("ca.pem", ROOT.pem)
    for rec, usage, depth in ((LEAF.record(1), 1, 0), (INTER.record(0), 0, 1),
                              (ROOT.record(0), 0, 2)):
        refused(verify(*MX, "--ca", ca, "--tlsa", rec), "usable")
        good(verify(*MX, "--usages", "all", "--ca", ca, "--tlsa", rec),
             usage, depth)
        refused(verify(*MX, "--usages", "all", "--tlsa", rec))
        refused(verify(*MX, "--usages", "all", "--ca",
                       write("other.pem", OTHER.pem), "--tlsa", rec))
    good(verify(*MX, "--usages", "all", "--tlsa", LEAF.record(3)), 3, 0)


def test_hex_blanks():
    """blanks and capitals in the hex do not matter"""
    h = LEAF.data(1, 1).upper()
    text = "  3\t1  1 " + " ".join(h[i:i + 7] for i in range(0, len(h), 7))
    good(verify("--tlsa", text + " \t"), 3, 0)


def test_bad_records():
    """TLSA text that is not well formed is exit 2, also as JSON"""
    h = LEAF.data(1, 1)
    for text, part in (
            ("", "usage"), ("3", "selector"), ("3 1", "matching type"),
            ("3 1 1", "0 hexadecimal"), ("3 1 1 ", "0 hexadecimal"),
            ("3 1 1 " + h[1:], "even"), ("3 1 1 " + h + "g", "'g'"),
            ("3 1 1 0x" + h, "'x'"), ("256 1 1 " + h, "usage"),
            ("-1 1 1 " + h, "usage"), ("+3 1 1 " + h, "usage"),
            ("3 1000 1 " + h, "selector"), ("3.0 1 1 " + h, "usage"),
            ("3 1 1" + h, "matching type"), ("DANE-EE 1 1 " + h, "usage"),
            ("3 1 1 \\# 4 03010100", "'\\'"), ("3,1,1 " + h, "usage"),
            ("3 1 1 " + h + "\n", "'"), ("3 1 1 (" + h + ")", "'('"),
            ("99999999999999999999 1 1 " + h, "usage")):
        bad(verify("--tlsa", text), part)
        # a good one beside it does not help
        bad(verify("--tlsa", LEAF.record(3), "--tlsa", text), part)


def test_bad_times():
    """--at takes RFC 3339 and nothing else"""
    for at in ("", "2021", "2021-06-01", "2021-06-01 12:00:00Z",
               "2021-06-01T12:00:00", "2021-06-01T12:00Z",
               "2021-02-29T12:00:00Z", "2021-13-01T12:00:00Z",
               "2021-06-01T24:00:00Z", "2021-06-01T12:60:00Z",
               "2021-06-01T12:00:61Z", "2021-06-01T12:00:00.Z",
               "2021-06-01T12:00:00+1:00", "2021-06-01T12:00:00+24:00",
               "2021-06-01T12:00:00Zx", "1622548800", "now",
               "1970-01-01T00:00:00Z", "1960-01-01T00:00:00Z"):
        bad(verify("--at", at, "--tlsa", LEAF.record(3)), "--at")
    good(verify("--at", "2020-02-29T12:00:00Z", "--tlsa", LEAF.record(3)),
         3, 0)


def test_bad_names():
    """--name refuses what is not a host name"""
    for name in ("", "a..b", "x" * 64 + ".org", "mx.example.org\n",
                 ".".join(["abcdefg"] * 40)):
        bad(verify("--name", name, "--tlsa", LEAF.record(3)), "--name")


def test_bad_chains():
    """files that hold no chain are exit 2, with the line that is wrong"""
    body = LEAF.pem.decode()
    lines = body.splitlines(True)
    for data, part in (
            (b"", "no certificate"), (b"\0" * 100, "no certificate"),
            (b"hello\n", "no certificate"), (LEAF.der, "no certificate"),
            (LEAF.private(), "no certificate"),
            (LEAF.csr(), "no certificate"),
            ("".join(lines[:-1]), "no END"),
            ("".join(lines[1:]), "without a BEGIN"),
            (body.replace("END CERTIFICATE", "END X"), "ends with END X"),
            (body + "".join(lines[:3]), "no END"),
            ("".join(lines[:2]) + "!\n" + "".join(lines[2:]), "line 1"),
            ("".join(lines[:2]) + "A\n" + "".join(lines[2:]), "line 1"),
            (lines[0] + lines[-1], "not base64"),
            (lines[0] + "X: y\n\n" + "".join(lines[1:]), "headers"),
            (lines[0] + body, "no END")):
        bad(verify("--tlsa", LEAF.record(3), chain=data), part)


def test_chain_with_text():
    """text around the blocks of a chain does not matter"""
    text = b"subject=x\r\n" + LEAF.private() + b"\n# c\n" + CHAIN
    good(verify(*MX, "--tlsa", ROOT.record(2), chain=text), 2, 2)
    good(verify(*MX, "--tlsa", ROOT.record(2),
                chain=CHAIN.replace(b"\n", b"\r\n")), 2, 2)
    good(verify(*MX, "--tlsa", ROOT.record(2), chain=CHAIN.rstrip()), 2, 2)


def test_chain_not_a_certificate():
    """a certificate block whose content is not one is never verified"""
    junk = b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n"
    r = verify(*MX, "--tlsa", ROOT.record(2), "--tlsa", LEAF.record(3),
               chain=junk + CHAIN)
    same((r.code, r.json["verified"]), (1, False))


def test_chain_files():
    """a chain may be on standard input; files that are none are refused"""
    rec = LEAF.record(3)
    bad(run("verify", "--json", "--tlsa", rec, "/nonexistent/x"), "No such")
    bad(run("verify", "--json", "--tlsa", rec, tool.DIR), "directory")
    bad(run("verify", "--json", "--tlsa", rec), "no file")
    bad(run("verify", "--json", "--tlsa", rec, write("a", CHAIN), "b"),
        "second")
    good(run("verify", "--json", "--tlsa", rec, "-", stdin=CHAIN.decode()),
         3, 0)
    bad(run("verify", "--json", "--tlsa", rec, "/dev/zero"), "16 MiB")


def test_ca_files():
    """--ca refuses what cannot be used, even where it is not needed"""
    for name, part in (("/nonexistent", "No such"),
                       (write("empty", b""), "no certificate")):
        bad(verify("--ca", name, "--tlsa", LEAF.record(3)), part)


def test_options():
    """bad command lines are exit 2, as JSON wherever --json stands"""
    chain = write("chain.pem", CHAIN)
    rec = LEAF.record(3)
    for args, part in (
            (["--nonsense"], "--nonsense"), (["-x"], "-x"),
            (["--usages", "smtp"], "all"),
            (["--at", AT, "--at", AT], "twice"), (["--js"], "--js"),
            (["--usages=all", "--usages=all"], "twice"),
            (["--json=1"], "no value"), ([], "no record")):
        bad(run("verify", *args, "--json"), part)
    bad(run("verify", "--json", chain), "no record")
    bad(run("verify", "--json", "--tlsa"), "want a value")
    good(run("verify", "--tlsa=" + rec, "--json", "--", chain), 3, 0)
    # operands and options in any order, as scripts write them
    good(run("verify", chain, "--json", "--tlsa", rec), 3, 0)


def test_dispatch():
    """a subcommand that is missing or unknown is exit 2"""
    for args in ([], ["nonsense"], ["--nonsense"], [""]):
        r = run(*args, module=False)
        same((r.code, r.out), (2, ""))
        has(r.err, "--help")
    for args in (["--help"], ["-h"], ["help"]):
        r = run(*args, module=False)
        same(r.code, 0)
        has(r.out, "verify")
    # and which three come first
    for word in ("route DOMAIN", "check DOMAIN", "doctor "):
        has(run(module=False).err, "  danevirke " + word)
    has(run(module=False).err, "tlsa, verify")
    r = run("--version", module=False)
    same(r.code, 0)
    assert r.out.startswith("danevirke ")


def test_help():
    """--help of each subcommand names its exit codes, in 80 columns"""
    r = run("--help", module=False)
    names = [line.split()[0] for line in r.out.splitlines()
             if line.startswith("  ")]
    assert {"verify", "tlsa", "conf", "route"} <= set(names), names
    for name in names:
        r = run(name, "--help", module=False)
        same(r.code, 0, name)
        has(r.out, "usage: danevirke " + name)
        has(r.out, "Exit status: 0")
        assert max(len(x) for x in r.out.splitlines()) <= 80, name


def test_module():
    """a module that is missing or is not one is exit 2"""
    chain = write("chain.pem", CHAIN)
    for m in ("/nonexistent.so", chain):
        r = run("verify", "--json", "--module", m, "--tlsa", LEAF.record(3),
                chain, module=False)
        bad(r, os.path.basename(m))


def test_text():
    """the text for a person is as it was"""
    r = run("verify", "--tlsa", OTHER.record(3), "--tlsa", LEAF.record(3),
            write("chain.pem", CHAIN))
    same(r.code, 0)
    same(r.out, "verified: matched DANE-EE SPKI SHA2-256 at depth 0\n"
         "  record 1: 3 1 1 (DANE-EE SPKI SHA2-256): usable\n"
         "  record 2: 3 1 1 (DANE-EE SPKI SHA2-256): matches at depth 0\n")
    r = run("verify", "--tlsa", OTHER.record(3), write("chain.pem", CHAIN))
    same(r.code, 1)
    assert r.out.startswith("not verified: "), r.out
    same(r.err, "")


def test_closed_pipe():
    """nobody reads: a quiet end; a full disk: a message; both exit 2"""
    cmd = [tool.TOOL, "verify", "--module", tool.MODULE, "--json", "--tlsa",
           LEAF.record(3), write("chain.pem", CHAIN)]
    r, w = os.pipe()
    os.close(r)
    p = subprocess.run(cmd, stdout=w, stderr=subprocess.PIPE, timeout=30)
    os.close(w)
    same((p.returncode, p.stderr), (2, b""))
    with open("/dev/full", "w") as full:
        p = subprocess.run(cmd, stdout=full, stderr=subprocess.PIPE,
                           timeout=30)
    same(p.returncode, 2)
    has(p.stderr.decode(), "No space")


def terminal(env):
    """The output of verify on a terminal."""
    import pty
    cmd = [tool.TOOL, "verify", "--module", tool.MODULE, "--tlsa",
           LEAF.record(3), write("chain.pem", CHAIN)]
    master, slave = pty.openpty()
    p = subprocess.Popen(cmd, stdout=slave, stderr=subprocess.DEVNULL,
                         stdin=subprocess.DEVNULL, env=env)
    os.close(slave)
    p.wait(timeout=30)
    out = os.read(master, 65536)
    os.close(master)
    return out


def test_colour():
    """colour is for a terminal only, not with NO_COLOR or a dumb one"""
    has(repr(terminal({"TERM": "xterm"})), "x1b[32m")
    for env in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}, {}):
        assert b"\x1b" not in terminal(env)
    r = run("verify", "--tlsa", LEAF.record(3), write("chain.pem", CHAIN),
            env={"TERM": "xterm"})
    assert "\x1b" not in r.out


def test_no_escapes():
    """a file name cannot talk to the terminal, nor break JSON"""
    r = run("verify", "--json", "--tlsa", LEAF.record(3),
            "/\x1b]0;x\x07\udcff\"\\")
    same(r.code, 2)
    assert "\x1b" not in r.err and "\x07" not in r.err
    has(r.json["error"], "\x1b")    # escaped in the text of the JSON
    assert "\x1b" not in r.out


def test_many_records():
    """of 300 records the last matches (U20)"""
    args = []
    for i in range(299):
        args += ["--tlsa", "3 1 1 %064x" % i]
    r = verify(*args, "--tlsa", LEAF.record(3))
    good(r, 3, 0)
    same(r.json["record"], 299)


def test_conf():
    """conf: an empty file is good, every error is named"""
    # an anchor of our own: none may be installed
    write("anchor", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E8"
          "80409BBC683457104237C7F8EC8D\n")
    anchor = 'resolver: { trust_anchor = "%s"; };\n' % tool.path("anchor")
    r = run("conf", write("good.conf", anchor))
    same((r.code, r.out), (0, "%s: no errors\n" % tool.path("good.conf")))
    r = run("conf", "--json", "--config", tool.path("good.conf"))
    same((r.code, r.json["valid"], r.json["messages"]), (0, True, []))
    r = run("conf", "--json", write("bad.conf", anchor.replace(
        "; };", '; timeout = "5s"; colour = 1; };')))
    same((r.code, r.json["valid"]), (1, False))
    text = "\n".join(r.json["messages"])
    has(text, "bad.conf:1: resolver.timeout")
    has(text, "resolver.colour")
    r = run("conf", "--json", write("syntax.conf", "resolver: {"))
    same((r.code, r.json["valid"]), (1, False))
    r = run("conf", "--json", write("empty-anchor.conf", anchor.replace(
        "/anchor", "/empty")))
    write("empty", b"")
    same(r.code, 1)


SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def snippets():
    """Settings in README, as blocks of lines."""
    with open(SOURCE + "/README", encoding="utf-8") as f:
        blocks = re.findall(r"(?:^    .*\n)+", f.read(), re.M)
    return [x for x in blocks if re.match(r"    \w+(:| =) ?[({]", x)]


def test_conf_installed():
    """the installed danevirke.conf is good, and takes what README has"""
    with open(SOURCE + "/module/danevirke.conf", encoding="utf-8") as f:
        text = f.read()
    parts = snippets()
    used, n = re.subn(r"^#(?=[a-z\t)])", "", text, flags=re.M)
    assert n >= 6 and len(parts) >= 3, (n, parts)
    ours = 'trust_anchor = "%s"; ' % tool.path("anchor")
    for conf in (text, used, *(text + x for x in parts), text + "".join(parts)):
        conf, n = re.subn(r"^( *resolver: \{) ", r"\1 " + ours, conf,
                          flags=re.M)
        if n == 0:
            conf += "resolver: { %s};\n" % ours
        r = run("conf", write("installed.conf", conf))
        same(r.code, 0, conf + r.err)


def test_conf_algorithm():
    """an algorithm that not every build validates is an error alone and a
    warning beside a good one (D05a)"""
    conf = write("ed448.conf", 'resolver: { trust_anchor = "%s"; };\n' %
                 tool.path("ed448"))
    ed448 = ". IN DS 5913 16 2 %s\n" % ("fa" * 32)
    what = "%s:%%d: DS of an unsupported algorithm, 16 (ED448)" % (
        tool.path("ed448"))
    want = (': %swant a DS or DNSKEY line of "." with algorithm 8, 10, 13, 14 '
            'or 15 and digest type 2 or 4')
    for text, line, valid, how in (
            (ed448, 1, False, ""),
            (". IN DS 1 8 2 %s\n\n%s" % ("ab" * 32, ed448), 3, True,
             "passed over: ")):
        write("ed448", text)
        for probe in ([], ["--probe"])[:1 if valid else 2]:
            r = run("conf", "--json", *probe, conf)
            same((r.code, r.json["valid"]), (0 if valid else 1, valid))
            same(r.json["messages"], ["resolver.trust_anchor: " +
                                      what % line + want % how])
        has(run("conf", conf).out, "algorithm, 16 (ED448)")
    write("ed448", ed448)
    r = run("route", "--config", conf, "example.org")
    same(r.code, 2)
    has(r.err, what % 1)


def test_conf_bad():
    """conf: a missing file, two files, a bad option are exit 2"""
    for args, part in ((["/nonexistent"], "No such"), (["a", "b"], "second"),
                       (["a", "--config", "b"], "one file"),
                       (["--prob"], "--prob")):
        r = run("conf", "--json", *args)
        same((r.code, r.json["valid"]), (2, False))
        has(r.json["error"], part)


def test_route_bad():
    """route: bad command lines ask nobody and exit 2"""
    conf = write("r.conf", 'resolver: { trust_anchor = "%s"; };\n' %
                 tool.path("anchor"))
    for args, part in (([], "no name"), (["--port", "0", "x"], "1 to 65535"),
                       (["--host", "a", "b"], '"b": mail domains beside'),
                       (["c", "--host", "a"], '"c": mail domains beside'),
                       (["--port", "65536", "x"], "--port"),
                       (["--port", "25x", "x"], "--port"),
                       (["--profile", "none", "x"], "no such profile"),
                       (["--config", "/nonexistent", "x"], "No such")):
        r = run("route", "--json", *(["--config", conf]
                if "--config" not in args else []), *args)
        same(r.code, 2)
        has(r.json["error"], part)


def test_route_literal():
    """an address literal is routed without DANE, offline (T07)"""
    conf = tool.path("r.conf")
    r = run("route", "--json", "--config", conf, "[192.0.2.1]")
    same(r.code, 0, r.out + r.err)
    h = r.json["routes"][0]["hosts"][0]
    same((h["action"], h["addresses"]), ("opportunistic", ["192.0.2.1"]))


def rules():
    """tests/RULES as it stands there: id to section and text."""
    here = os.path.dirname(os.path.abspath(__file__))
    found, now, section = {}, None, None
    with open(os.path.join(here, "..", "RULES")) as f:
        for line in f.read().splitlines():
            if line.startswith("= "):
                section = line[2:]
            elif line[:1].isalpha():
                now, text = line.split("\t")
                found[now] = (section, text)
            elif line.startswith("\t") and line[1] != "!":
                found[now] = (section, found[now][1] + " " + line[1:])
    return found


def test_explain():
    """explain prints every rule, whole; the two forms say the same"""
    wanted = rules()
    assert len(wanted) > 100
    r = run("explain", "--json", module=False)
    same(r.code, 0)
    same({x["id"]: (x["section"], x["text"]) for x in r.json["rules"]}, wanted)
    r = run("explain", module=False)
    same(r.code, 0)
    same([w for line in r.out.splitlines() if line.startswith(" ")
          for w in line.split()], list(wanted))
    for id in wanted:
        r = run("explain", id, module=False)
        same((r.code, r.err), (0, ""))
        same(r.out.splitlines()[0], "%s: %s" % (id, wanted[id][0]))
        same(" ".join(x.strip() for x in r.out.splitlines()[1:]),
             wanted[id][1])
        assert max(len(x) for x in r.out.splitlines()) <= 80, id


def test_explain_some():
    """explain prints several ids, in their order, in any case"""
    r = run("explain", "u08", "D05A", "M04", module=False)
    same([x.split(":")[0] for x in r.out.splitlines() if x[0] != " "],
         ["U08", "D05a", "M04"])
    r = run("explain", "--json", "--", "Z01", "Z01", module=False)
    same([x["id"] for x in r.json["rules"]], ["Z01", "Z01"])


def test_explain_bad():
    """explain: no such rule is exit 2, and nothing else is printed"""
    for id in ("M%d" % 99, "", "M0", "M044", "M", "M04\tx", "D05 ", "=", "M04 U08"):
        r = run("explain", "U08", id, module=False)
        same((r.code, r.out), (2, ""))
        has(r.err, "want an id such as M04")
        r = run("explain", "U08", id, "--json", module=False)
        same((r.code, list(r.json)), (2, ["error", "reason"]))
    r = run("explain", "--all", module=False)
    same((r.code, r.out), (2, ""))


assert pki and run

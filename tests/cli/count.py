# SPDX-License-Identifier: ISC
"""danevirke count, without a mail server: logs of tests/fuzz/corpus/count, made
in the lab, and what tests/unit/tally.c has no place for."""

import gzip
import os
import re
import shutil
import subprocess

import tool
from tool import has, path, run, same, write

CORPUS = os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "fuzz", "corpus", "count")
LINE = ("2026-11-28 23:50:04 1xXSBA-0000GW-1q danevirke: a.example via "
        "mx.a.example:25: %s: matched\n")


def count(*args, **more):
    return run("count", *args, module=False, **more)


def server(result, name="exim"):
    """What is not zero of the verdicts."""
    return {k: v for k, v in result.json["servers"][name]["verdicts"].items()
            if v}


def test_lab():
    """a log is counted by verdict, reason and server, however it comes"""
    logs = [os.path.join(CORPUS, n) for n in ("exim", "syslog", "opensmtpd")]
    r = count("--json", *logs)
    same((r.code, r.err), (0, ""))
    servers = r.json["servers"]
    same(list(servers), ["exim", "opensmtpd", "danevirked"])
    for s in servers.values():
        assert s["decisions"] > 3, r.out
        same(sum(s["verdicts"].values()), s["decisions"])
        same(sum(s["deferred"].values()), s["verdicts"]["deferred"])
    same(r.json["lines"], sum(open(x).read().count("\n") for x in logs))
    # two of the lines with level audit are about a certificate only
    with open(logs[0], encoding="utf-8") as f:
        text = f.read()
    same(servers["exim"]["decisions"],
         text.count(" danevirke: ") - len(re.findall(
             r"\(audit: would be deferred\).*\[validation-failure\]", text)))
    whole = "".join(open(x).read() for x in logs)
    for args in (("-",), ()):
        same(count("--json", *args, stdin=whole).json, r.json)
    with open(path("log.gz"), "wb") as f:      # as logs are joined
        for x in logs:
            with open(x, "rb") as g:
                f.write(gzip.compress(g.read()))
    same(count("--json", path("log.gz")).json, r.json)
    text = count(*logs).out
    has(text, "exim: %d decisions\n" % servers["exim"]["decisions"])
    has(text, "%d lines read\n" % r.json["lines"])
    has(count(stdin="x\n").out, "no decision of Danevirke's: 1 lines read")


def test_metrics():
    """metrics have every label, also of what has not happened"""
    r = count("--metrics", stdin=LINE % "dane" * 3)
    same((r.code, r.err), (0, ""))
    n = {x.rsplit(" ", 1)[0]: int(x.rsplit(" ", 1)[1])
         for x in r.out.splitlines() if not x.startswith("#")}
    same(n['danevirke_log_decisions_total{server="exim",verdict="dane"}'], 3)
    same(n['danevirke_log_decisions_total{server="exim",verdict="clear"}'], 0)
    same(n['danevirke_log_deferred_total{server="danevirked",reason="dns"}'],
         0)
    same(sum(v for k, v in n.items() if "decisions" in k), 3)
    same(n["danevirke_log_lines_total"], 3)
    assert n["danevirke_log_counted_timestamp_seconds"] > 0
    if shutil.which("promtool"):
        p = subprocess.run(["promtool", "check", "metrics"], input=r.out,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=30)
        same((p.returncode, p.stdout), (0, ""))
    families = {k.split("{")[0] for k in n}
    same(families, set(re.findall("^# HELP (\\w+) ", r.out, re.M)))
    same(families, set(re.findall("^# TYPE (\\w+) ", r.out, re.M)))


def test_forged():
    """what strangers say in a log is no decision"""
    evil = "danevirke: a.example via mx.a.example:25: dane: x"
    lines = ['2026-11-28 23:50:04 1xXSBA-0000GW-1q <= a@b T="%s"\n',
             "2026-11-28 23:50:04 H=(%s) [192.0.2.1] rejected EHLO\n",
             "2026-11-28 23:50:04 1xXSBA-0000GW-1q ** a@b: 550 %s\n",
             "Nov 28 23:50:04 mx smtpd[7]: %s\n", "%s\n",
             "x" * 9000 + "%s\n", "\0%s\n", "\r%s\n"]
    for x in lines:
        r = count("--json", stdin=x % evil)
        same(sum(s["decisions"] for s in r.json["servers"].values()), 0, x)
    # and one line is one
    r = count("--json", stdin=LINE.replace("matched", evil * 20) % "deferred")
    same(server(r), {"deferred": 1})


def test_bad():
    """a log that cannot be read whole gives no numbers"""
    whole = gzip.compress((LINE % "dane").encode() * 1000)
    for name, data in (("cut.gz", whole[:-9]), ("bad.gz",
                       whole[:30] + b"\0\0\0\0" + whole[34:])):
        for how in ("--json", "--metrics"):
            r = count(how, write(name, data))
            same(r.code, 2, r.out)
            has(r.err, name + ": gzip that is damaged or cut short")
            assert "dane" not in r.out.replace(tool.DIR, ""), r.out
    good = write("good", LINE % "dane")
    for bad, why in (("none", "No such file or directory"),
                     (".", "Is a directory")):
        r = count(good, path(bad))
        same((r.code, r.out), (2, ""))
        has(r.err, why)
    r = count("--metrics", "--json", good)
    same(r.code, 2)
    has(r.err, "--metrics and --json: want one of them")
    # empty logs are good ones: they were rotated just now
    for empty in (b"", gzip.compress(b"")):
        r = count("--json", write("empty", empty))
        same((r.code, r.json["lines"]), (0, 0))


def test_large():
    """a log of any size takes the same memory"""
    sizes = []
    for n in (1, 200):
        p = subprocess.Popen([tool.TOOL, "count", "--json"], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(n):
            p.stdin.write("x" * 1000000 + "\n" + LINE % "clear")
        p.stdin.close()
        out = p.stdout.read()
        sizes.append(os.wait4(p.pid, 0)[2].ru_maxrss)
        has(out, '"clear":%d' % n)
    assert sizes[1] < sizes[0] + 4096, sizes

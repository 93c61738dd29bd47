# SPDX-License-Identifier: ISC
"""examples/monitoring, without a network: no domain here is a name."""

import glob
import json
import os
import re
import shutil
import subprocess

import tool
from tool import has, path, run, same, write

HERE = os.path.dirname(os.path.abspath(__file__))
EXAMPLE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "examples",
                       "monitoring")


def text(name):
    with open(os.path.join(EXAMPLE, name), encoding="ascii") as f:
        return f.read()


def queries():
    """Of the dashboard, and a panel's or variable's name for each."""
    board = json.loads(text("dashboard.json"))
    same(len({p["id"] for p in board["panels"]}), len(board["panels"]))
    for p in board["panels"]:
        for t in p["targets"]:
            yield p["title"], t["expr"].replace("$domain", ".*")
    for v in board["templating"]["list"]:
        if v["type"] == "query":
            m = re.fullmatch(r"label_values\((\w+), (\w+)\)",
                             v["query"]["query"])
            yield v["name"], "%s{%s!=\"\"}" % m.groups()


def promtool(*args):
    p = subprocess.run(["promtool", *args], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, timeout=30)
    same(p.returncode, 0, p.stdout)


def test_metrics():
    """alerts and dashboard name metrics that there are"""
    r = run("check", "--config", write("empty.conf", ""), "--prometheus",
            "a..b")
    known = set(re.findall(r"^# TYPE (\w+)", r.out, re.M))
    assert "danevirke_check_good" in known, r.out
    r = run("count", "--metrics", module=False)
    known |= set(re.findall(r"^# TYPE (\w+)", r.out, re.M))
    # what is in the relay's file, tests/danevirked compares
    with open(os.path.join(os.path.dirname(os.path.dirname(HERE)), "shim",
                           "relay", "metrics.c"), encoding="ascii") as f:
        known |= {"danevirke_relay_" + x for x in re.findall(
            r'text_(?:one|many)\(\s*t,\s*"(\w+)"', f.read())}
    assert {"danevirke_log_lines_total", "danevirke_relay_sessions",
            "danevirke_relay_verdicts_total"} < known, known
    expressions = [*queries(), *re.findall(
        r"alert: (\w+)\n +expr: (.*(?:\n {10}.*)*)", text("alerts.yml"))]
    assert len(expressions) > 28
    zabbix = re.findall(r"- '?(danevirke_\w+.*?)'?$",
                        text("zabbix-template.yaml"), re.M)
    assert len(zabbix) > 15
    expressions += [("Zabbix", x) for x in zabbix]
    for where, expr in expressions:
        named = set(re.findall(r"danevirke_\w+", expr))
        assert named, where
        assert named and named <= known, (where, named - known)
    # and each alert has a test
    alerts = set(re.findall(r"alert: (\w+)", text("alerts.yml")))
    same(alerts, set(re.findall(r"alertname: (\w+)",
                                text("alerts_test.yml"))))


def test_promtool():
    """promtool takes rules and queries, and alarms are raised in time"""
    if not shutil.which("promtool"):
        print("    left out: no promtool")
        return
    promtool("check", "rules", os.path.join(EXAMPLE, "alerts.yml"))
    promtool("test", "rules", os.path.join(EXAMPLE, "alerts_test.yml"))
    rules = [{"record": "q%d" % i, "expr": expr}
             for i, (_, expr) in enumerate(queries())]
    promtool("check", "rules", write("queries.yml", json.dumps(
        {"groups": [{"name": "dashboard", "rules": rules}]})))


def test_plugin():
    """Nagios' and Icinga's commands give the tool options that it has"""
    known = {line.split("\t")[0] for line in
             run("check", "--complete", module=False).out.splitlines()}
    line = re.search(r"command_line +\S+/danevirke (check .*)",
                     text("nagios.cfg"))[1]
    icinga = re.findall(r'"(--[a-z-]+)"', text("icinga2.conf"))
    named = set(re.findall(r"--[a-z-]+", line)) | set(icinga)
    assert "--nagios" in named and named <= known, named - known
    args = line.replace("'", "").replace("$ARG2$", "14")
    r = run(*args.replace("$ARG1$", "a..b").replace(
        "check", "check --config " + write("empty.conf", "")).split())
    same((r.code, r.err), (3, ""))
    has(r.out, "DANE UNKNOWN - ")


def test_zabbix():
    """the agent gives a file of metrics, which the template asks it for"""
    key, command = re.search(r"^UserParameter=([\w.]+)\[\*\],(.*)$",
                             text("zabbix-agent.conf"), re.M).groups()
    asked = set(re.findall(r"key: '(\S+)\[\{\$DANEVIRKE", text(
        "zabbix-template.yaml")))
    same(asked, {key})
    agent = shutil.which("zabbix_agentd")
    if not agent:
        print("    left out: no zabbix_agentd")
        return
    os.mkdir(path("zabbix"))
    write("zabbix/a.prom", "danevirke_check_good 1\n")
    conf = write("zabbix.conf", "Server=127.0.0.1\nUserParameter=%s[*],%s\n" % (
        key, command.replace("/var/lib/prometheus/node-exporter",
                             path("zabbix"))))
    p = subprocess.run([agent, "-c", conf, "-t", key + "[a]"], text=True,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       timeout=30)
    has(p.stdout, "[t|danevirke_check_good 1]")


def monitor(module, *args):
    """danevirke-monitor with the tool of the build; its status, stderr."""
    write("bin/danevirke", '#!/bin/sh\nsub=$1\nshift\nexec %s "$sub" '
          '--module %s --config %s "$@"\n' % (tool.TOOL, module,
                                              write("empty.conf", "")))
    os.chmod(path("bin/danevirke"), 0o755)
    p = subprocess.run(
        [os.path.join(EXAMPLE, "danevirke-monitor"), *args],
        env={"PATH": path("bin") + ":" + os.environ["PATH"],
             "LISTS": path("lists"), "METRICS": path("out"),
             "PAGES": path("out")},
        cwd=path("lists"), stderr=subprocess.PIPE, text=True, timeout=60)
    return p.returncode, p.stderr


def test_monitor():
    """a list becomes metrics and a page; a test that fails leaves both"""
    for d in ("bin", "lists", "out"):
        os.mkdir(path(d))
    write("lists/x.domains", "# ours\n\na..b  a customer\n  *..\n--helo..\n"
          "$(id)..\nc..d")
    code, err = monitor(tool.MODULE, "x")
    same(code, 0, err)
    same(sorted(os.listdir(path("out"))), ["danevirke-x.prom", "x.html"])
    with open(path("out/danevirke-x.prom"), encoding="ascii") as f:
        metrics = f.read()
    same(re.findall(r'^danevirke_check_good{domain="(.*)"} 0$', metrics, re.M),
         ["a..b", "*..", "--helo..", "$(id)..", "c..d"])
    with open(path("out/x.html"), encoding="utf-8") as f:
        has(f.read(), "a..b")
    before = {f: os.stat(f).st_mtime_ns for f in glob.glob(path("out/*"))}
    for module, name in (("/nonexistent.so", "x"), (tool.MODULE, "no")):
        code, err = monitor(module, name)
        same(code, 2, err)
        has(err, "nothing to write")
        same({f: os.stat(f).st_mtime_ns for f in glob.glob(path("out/*"))},
             before, name)


def test_count():
    """a log becomes metrics, and one that cannot be read leaves the old ones"""
    for d in ("bin", "lists", "out"):
        os.makedirs(path(d), exist_ok=True)
    log = write("lists/mainlog", "2026-11-28 23:50:04 danevirke: a.b: "
                "deferred: no address\n")
    file = path("out/danevirke-log.prom")
    code, err = monitor(tool.MODULE, "--log", log)
    same((code, err), (0, ""))
    with open(file, encoding="ascii") as f:
        has(f.read(), 'server="exim",verdict="deferred"} 1\n')
    before = os.stat(file).st_mtime_ns
    code, err = monitor(tool.MODULE, "--log", path("lists/none"))
    same(code, 2, err)
    has(err, "nothing to write")
    same(os.stat(file).st_mtime_ns, before)
    same([x for x in os.listdir(path("out")) if x.endswith(".tmp")], [])


def test_unit():
    """systemd takes the units, and shellcheck the script"""
    for program, args in (
            ("shellcheck", [os.path.join(EXAMPLE, "danevirke-monitor")]),
            ("systemd-analyze", ["verify", "--man=no", path("units") +
                                 "/danevirke-monitor@x.timer"]),
            ("systemd-analyze", ["verify", "--man=no", path("units") +
                                 "/danevirke-count.timer"])):
        if not shutil.which(program):
            print("    left out: no %s" % program)
            continue
        os.makedirs(path("units"), exist_ok=True)
        for unit in glob.glob(EXAMPLE + "/*.service") + glob.glob(
                EXAMPLE + "/*.timer"):
            with open(unit, encoding="ascii") as f:
                write("units/" + os.path.basename(unit), f.read().replace(
                    "/usr/local/sbin/danevirke-monitor", "/bin/true"))
        p = subprocess.run([program, *args], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=30)
        same((p.returncode, p.stdout), (0, ""))

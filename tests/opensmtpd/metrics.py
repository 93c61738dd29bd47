# SPDX-License-Identifier: ISC
"""The file of metrics that a relay's parent writes."""

import os
import re
import shutil
import subprocess
import time

UID = 65534                             # as in play.py
WHERE = "/mnt/t/metrics"
EXAMPLES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))), "examples", "monitoring")


def place(name, uid=UID, mode=0o755):
    """A new directory that this user may write, and a path in it."""
    shutil.rmtree(WHERE, True)
    os.mkdir(WHERE)
    os.chown(WHERE, uid, uid)
    os.chmod(WHERE, mode)
    return WHERE + "/" + name


def read(path):
    """Of a file in the text format, which must be whole: "name" or "name,last
    label" to number."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if shutil.which("promtool"):
        p = subprocess.run(["promtool", "check", "metrics"], input=text,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, timeout=30)
        assert (p.returncode, p.stdout) == (0, ""), p.stdout
    found, typed = {}, None
    assert text.endswith("\n"), text
    for line in text.splitlines():
        if line.startswith("#"):
            typed = line.split()[2] if line.startswith("# TYPE") else typed
            continue
        m = re.fullmatch(r'danevirke_relay_(\w+)\{program="[a-z-]+",config="'
                         r'([^"\n]+)"(?:,\w+="([a-z-]+)")?\} (\d+)', line)
        assert m and typed == "danevirke_relay_" + m[1], line
        key = m[1] + ("," + m[3] if m[3] else "")
        assert key not in found, line
        found[key] = int(m[4])
    return found


def examples():
    """Names that alert rules and dashboard have of the relay, as read() has
    them."""
    found = set()
    for name in ("alerts.yml", "dashboard.json"):
        with open(os.path.join(EXAMPLES, name), encoding="ascii") as f:
            found |= set(re.findall(r"danevirke_relay_(\w+)", f.read()))
    return found


def wait(path, want, seconds=20):
    """All numbers, once these are among them."""
    end = time.monotonic() + seconds
    found = None
    while time.monotonic() < end:
        if os.path.exists(path):
            found = read(path)
            if want.items() <= found.items():
                return found
        time.sleep(0.2)
    raise AssertionError("in %s %r, want %r" % (path, found and {
        k: found.get(k) for k in want}, want))

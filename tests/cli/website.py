# SPDX-License-Identifier: ISC
"""danevirke web as web.py talks to it: from what is installed, as a user of its
own, on a socket of ours, octet by octet.

    with Site("--client", "3") as s:
        s.get("/"), s.check("example.org"), s.result("example.org").json
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

sys.dont_write_bytecode = True
import tool  # noqa: E402
from check import CONF  # noqa: E402
from tool import has, path, same, write  # noqa: E402

PROGRAM = os.environ.get("WEB", "/mnt/danevirke/bin/danevirke")
HOST, PORT, NOBODY = "127.0.0.1", 8025, 65534
SECURITY = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Robots-Tag": "noindex", "Connection": "close"}


def config():
    """The lab's, where the lab's own addresses are as if they were public."""
    with open(CONF) as f:
        text = f.read()
    own = 'allow_addresses = [ "127.53.0.0/16" ];'
    has(text, own)
    os.chmod(tool.DIR, 0o755)
    return write("web.conf", text.replace(
        own, 'allow_addresses = [ "127.53.0.0/16", "198.18.0.0/15", '
        '"fd00:18::/64" ];'))


class Site:
    def __init__(self, *options, listen=None, port=PORT, **how):
        self.at = listen or "%s:%d" % (HOST, port)
        self.port = port
        self.cmd = [PROGRAM, "web", "--config", config(), "--listen", self.at,
                    "--helo", "web.example", *options]
        self.how = dict(dict(user=NOBODY, group=NOBODY, extra_groups=[]), **how)

    def __enter__(self):
        self.log = open(path("web.log"), "w+")
        self.p = subprocess.Popen(self.cmd, stderr=self.log, cwd="/",
                                  stdin=subprocess.DEVNULL, **self.how)
        for _ in range(200):
            if "listening" in self.said() or self.p.poll() is not None:
                return self
            time.sleep(0.05)
        raise AssertionError("it does not begin: " + self.said())

    def said(self):
        self.log.flush()
        with open(self.log.name) as f:
            return f.read()

    def end(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        code = self.p.wait(timeout=20)
        return code

    def __exit__(self, *_):
        if self.p.poll() is None:
            same(self.end(), 0, self.said())
        assert "Sanitizer" not in self.said(), self.said()
        self.log.close()

    # ------------------------------------------------------------ requests

    def connect(self, timeout=30):
        if self.at.startswith("/"):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(timeout)
            s.connect(self.at)
            return s
        host, _, port = self.at.rpartition(":")
        return socket.create_connection((host, int(port)), timeout)

    def raw(self, octets, timeout=30):
        """All that comes back for these octets."""
        with self.connect(timeout) as s:
            s.sendall(octets)
            return everything(s)

    def get(self, target, method="GET", **headers):
        lines = ["%s %s HTTP/1.1" % (method, target), "Host: web.example"]
        lines += ["%s: %s" % (k.replace("_", "-"), v)
                  for k, v in headers.items()]
        return answer(self.raw("\r\n".join(lines + ["", ""]).encode()))

    def check(self, name, page="check", **headers):
        return self.get("/%s?%s" % (page, urllib.parse.urlencode(
            {"domain": name})), **headers)

    def result(self, name, page="check", seconds=60, **headers):
        """As a browser does: again, until it is there."""
        end = time.time() + seconds
        while True:
            r = self.check(name, page, **headers)
            if r.status != 202:
                return r
            assert time.time() < end, r.body
            time.sleep(0.2)

    # ------------------------------------------------------------ processes

    def children(self, all_below=True):
        """Of it, and of those: pid, name."""
        found, more = {}, [self.p.pid]
        while more:
            parent = more.pop()
            for pid in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open("/proc/%s/stat" % pid) as f:
                        name, _, rest = f.read().partition("(")[2].rpartition(
                            ")")
                except OSError:
                    continue
                if int(rest.split()[1]) == parent and pid not in found:
                    found[pid] = name
                    more += [int(pid)] if all_below else []
        return found

    def checks(self):
        return [int(p) for p in self.children(False)]

    def files(self):
        return len(os.listdir("/proc/%d/fd" % self.p.pid))

    def sanitized(self):
        with open("/proc/%d/maps" % self.p.pid) as f:
            return "libasan" in f.read()

    def resident(self):
        with open("/proc/%d/status" % self.p.pid) as f:
            return int(re.search(r"VmRSS:\s*(\d+)", f.read()).group(1))


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        same(self.headers["Content-Type"], "application/json")
        return json.loads(self.body)


def everything(s):
    data = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                return data
            data += more
    except (ConnectionResetError, BrokenPipeError):
        return data


def answer(octets):
    head, _, body = octets.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert re.match(r"HTTP/1\.1 \d{3} [A-Z]", first), octets[:200]
    headers = dict(x.split(": ", 1) for x in lines)
    assert len(headers) == len(lines), lines
    for k, v in SECURITY.items():
        if k != "Cache-Control":
            same(headers[k], v)
    has(headers["Content-Security-Policy"], "frame-ancestors 'none'")
    if body:
        same(int(headers["Content-Length"]), len(body))
    return Answer(int(first.split()[1]), headers, body.decode())

#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""send.py WAY [start]: mail through what the packages have installed; tests/packaging/
run starts this in the lab's world.

WAY is exim, relay, down, opensmtpd or tool: Debian's server with its own
configuration in /etc, started as Debian does, for "relay" with danevirked
beside it, for "down" with none where it is needed; or danevirke(1).  One message goes to a domain
with DANE and must arrive, over TLS and with the verdict "dane"; one goes to a
domain whose certificate is another and must wait.  start: the server starts
and stops.
"""

import json
import os
import socket
import subprocess
import sys
import time

LAB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lab")
sys.path.insert(0, LAB)
import opensmtpd                                        # noqa: E402

NS = "127.53.3.1"               # the lab's name server
PATIENCE = 60                   # seconds


def run(*command, text=None):
    """What it said; raises if it failed."""
    r = subprocess.run(command, input=text, text=True, timeout=90,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if r.returncode:
        raise RuntimeError("%s: %d\n%s" % (" ".join(command), r.returncode,
                                           r.stdout))
    return r.stdout


def arrived(scenario):
    with open(os.environ["DV_LAB_SMTP_LOG"]) as f:
        rows = [json.loads(x) for x in f if x.endswith("\n")]
    return [r for r in rows if r["scenario"] == scenario
            and r["what"] == "message"]


def want(right, what):
    if not right:
        raise RuntimeError(what)


def here():
    """The places that only exist when a machine has booted."""
    with open("/mnt/resolv.conf", "w") as f:
        f.write("nameserver %s\noptions timeout:2 attempts:1\n" % NS)
    run("mount", "--bind", "/mnt/resolv.conf", "/etc/resolv.conf")
    run("systemd-tmpfiles", "--create", "--prefix=/run")


def listening():
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", 25), 5).close()
            return
        except OSError:
            want(time.monotonic() < end, "nobody listens on port 25")
            time.sleep(0.2)


# ------------------------------------------------------------- the servers

class Log:
    """A file that a server writes."""

    def __init__(self, path):
        self.path = path

    def wait(self, *words):
        """The first line that has all of them."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            for line in self.lines():
                if all(w in line for w in words):
                    return line
            time.sleep(0.2)
        raise RuntimeError("no line with %s in\n%s" % (
            words, "\n".join(self.lines()[-30:])))

    def lines(self):
        try:
            with open(self.path, errors="replace") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []


class Exim:
    def start(self):
        self.log = Log("/var/log/exim4/mainlog")
        print(run("/etc/init.d/exim4", "start"))
        listening()

    def stop(self):
        run("/etc/init.d/exim4", "stop")

    def waits(self, rcpt):
        return rcpt in run("exim4", "-bp")


class Relayed(Exim):
    """danevirked beside it, started as its unit does."""

    def start(self):
        opensmtpd.own_dev()
        opensmtpd.Log("/mnt/maillog")
        self.daemon = subprocess.Popen(["setpriv", "--reuid=danevirke",
                                        "--regid=danevirke", "--clear-groups",
                                        "/usr/sbin/danevirked"])
        end = time.monotonic() + PATIENCE
        while not os.path.exists("/run/danevirked/map"):
            want(time.monotonic() < end and self.daemon.poll() is None,
                 "danevirked does not start")
            time.sleep(0.1)
        super().start()
        self.log = Log("/mnt/maillog")

    def stop(self):
        super().stop()
        self.daemon.terminate()
        self.daemon.wait(70)


class Down(Exim):
    pass


class OpenSMTPD:
    def start(self):
        opensmtpd.own_dev()
        opensmtpd.Log("/mnt/maillog")
        self.log = Log("/mnt/maillog")
        run("smtpd", "-n")
        self.smtpd = subprocess.Popen(["smtpd", "-F"])
        self.log.wait("info: OpenSMTPD ", " starting")
        listening()

    def stop(self):
        self.smtpd.terminate()
        self.smtpd.wait(10)

    def waits(self, rcpt):
        return rcpt in run("smtpctl", "show", "queue")


def mail(server, world):
    """A message to each of two domains."""
    good, bad = world["dane"]["domain"], world["mismatch"]["domain"]
    for domain in (good, bad):
        run("/usr/sbin/sendmail", "-f", "alice@lab.alpha", "bob@" + domain,
            text="Subject: hello\n\nHello Bob.\n")
    if isinstance(server, Down):
        print(server.log.wait("bob@" + good, " defer ", "danevirked"))
        want(not arrived("dane"), "LEAKED")
        want(server.waits("bob@" + good), "not in the queue")
        return
    print(server.log.wait(" %s via " % good, ": dane: "))
    print(server.log.wait(" %s" % bad, ": deferred: "))
    end = time.monotonic() + PATIENCE
    while not arrived("dane") and time.monotonic() < end:
        time.sleep(0.2)
    rows = arrived("dane")
    want(len(rows) == 1 and rows[0]["tls"], "arrived: %s" % rows)
    want(not arrived("mismatch"), "LEAKED")
    want(server.waits("bob@" + bad), "not in the queue")


def tool(world):
    good, bad = world["dane"]["domain"], world["mismatch"]["domain"]
    said = run("danevirke", "route", good)
    want(": dane: TLS required" in said, said)
    r = subprocess.run(["danevirke", "check", bad], stdout=subprocess.PIPE,
                       text=True, timeout=90)
    want(r.returncode and "problem L01" in r.stdout, r.stdout)


def main(way, what="send"):
    with open(os.environ["DV_LAB_MAP"]) as f:
        world = json.load(f)
    here()
    try:
        if way == "tool":
            tool(world)
        else:
            server = {"exim": Exim, "relay": Relayed, "down": Down,
                      "opensmtpd": OpenSMTPD}[way]()
            server.start()
            try:
                if what == "send":
                    mail(server, world)
            finally:
                server.stop()
    except (RuntimeError, subprocess.TimeoutExpired) as e:
        print("FAILED: %s" % e)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

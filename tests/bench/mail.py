# SPDX-License-Identifier: ISC
"""The same mail to the same servers: OpenSMTPD through the relay, the same
smtpd by itself, and Postfix with its own DANE."""

import contextlib
import os
import re
import shutil
import sys
import threading
import types

import opensmtpd
import smtpd

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
                + "/servers")
import postfix  # noqa: E402

LIMIT = 45                      # seconds for each server
TICK = os.sysconf("SC_CLK_TCK")
RELAY = ("table-danevirke", "danevirke-relay", "danevirke-dns",
         "danevirke-dnsm")
DANE = """
transport_maps =
default_transport = smtp
relay_transport = smtp
smtp_dns_support_level = dnssec
smtp_tls_security_level = dane
smtp_tls_loglevel = 1
"""


class Postfix(postfix.Postfix):
    """Without danevirked; its smtp(8) sees the resolv.conf of all."""

    port = postfix.PORT

    def __init__(self, d):
        opensmtpd.add_users(("postfix", "postdrop"))
        super().__init__(types.SimpleNamespace(log=d.log, dir=d.dir))

    def config(self, more):
        super().config(DANE + more)
        path = self.dir + "/etc/master.cf"
        with open(path) as f:
            text = re.sub(r"(?m)^(smtp +unix +\S +\S +)y ", r"\1n ", f.read())
        with open(path, "w") as f:
            f.write(text)

    def stop(self):
        if not self.master:     # nor was any mail sent
            return
        super().stop()
        said = self.log.since()
        verified = sum(": Verified TLS connection" in x for x in said)
        if not verified or any(": Untrusted TLS" in x for x in said):
            raise RuntimeError("Postfix does no DANE: %s" % said[-9:])

    def root(self):
        return self.master.pid


class Smtpd:
    port = opensmtpd.PORT

    def __init__(self, d, text):
        self.d, self.text = d, text

    def start(self):
        self.d.start(self.text)

    def stop(self):
        """What has not gone by then is nobody's."""
        self.d.stop()
        shutil.rmtree(opensmtpd.SPOOL + "/queue", ignore_errors=True)

    def root(self):
        return self.d.smtpd.pid


# ------------------------------------------------------------------ processes

def processes():
    """{pid: (name, parent, seconds of CPU with those of ended children)}"""
    rows = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open("/proc/%s/stat" % pid) as f:
                head, _, rest = f.read().rpartition(")")
            rest = rest.split()
            rows[int(pid)] = (head.partition("(")[2], int(rest[1]),
                              sum(map(int, rest[11:15])) / TICK)
    return rows


def below(root):
    """What runs below this process, and itself, as processes()."""
    rows = processes()
    found = {root}
    while True:
        more = {p for p, x in rows.items() if x[1] in found} - found
        if not more:
            return {p: rows[p] for p in found if p in rows}
        found |= more


def sums(rows, value):
    """(of all, of the relay)"""
    got = [(x[0] in RELAY, value(pid, x)) for pid, x in rows.items()]
    return sum(v for _, v in got), sum(v for ours, v in got if ours)


def cpu(_pid, row):
    return row[2]


def memory(pid, _row):
    """MiB, what it shares with others in proportion."""
    with contextlib.suppress(OSError):
        with open("/proc/%d/smaps_rollup" % pid) as f:
            found = re.search(r"\nPss: +(\d+) kB", f.read())
        return int(found.group(1)) / 1024 if found else 0
    return 0


class Peak(threading.Thread):
    """The most memory of a server while it works: .most as sums()."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.most, self.ended = root, (0, 0), threading.Event()

    def run(self):
        last = False
        while not last:
            last = self.ended.wait(1)
            now = sums(below(self.root), memory)
            self.most = tuple(map(max, self.most, now))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


# ----------------------------------------------------------------------- part

def measure(b, server, mark, n):
    """[messages that arrived, a second, ms of CPU for one: server, relay,
    resolver, MiB: all, relay], with nothing known of any domain."""
    b.fresh()
    server.start()
    try:
        root = server.root()
        before = sums(below(root), cpu)
        with Peak(root) as peak:
            arrived, took, _ = smtpd.arrival(b, mark, n, b.everyone,
                                             server.port, LIMIT)
        used = [after - x for after, x in zip(sums(below(root), cpu), before)]
    finally:
        server.stop()
    asked = b.resolver and processes()[b.resolver.pid][2]
    if not arrived:
        raise RuntimeError("no message arrived: %s" %
                           b.smtpd.log.since()[-9:])
    return [arrived, arrived / took,
            *(1000 * x / arrived for x in (*used, asked or 0)), *peak.most]


def part(b, table):
    d = smtpd.driver(b)
    if d is None:
        return
    resolver = b.unbound()
    with open("/etc/resolv.conf", "w") as f:
        f.write("nameserver %s\noptions edns0 trust-ad\n" % (
            resolver or smtpd.world.LEAF))
    d.level = "info"
    servers = {"OpenSMTPD through the relay": Smtpd(d, d.config()),
               "OpenSMTPD alone": Smtpd(d, d.direct())}
    if resolver and os.path.exists(postfix.DAEMONS):
        servers["Postfix, dane"] = Postfix(d)
    else:
        print("unbound is not there, or postfix is not unpacked "
              "(tests/install does it): Postfix is left out.\n")
    n = b.rounds(10000, 100)
    rows = []
    for i, (label, server) in enumerate(servers.items()):
        arrived, speed, *used = measure(b, server, "n%d" % i, n)
        rows.append([label, arrived, "%.0f" % speed,
                     *("%.2f ms" % x for x in used[:3]),
                     *("%.0f MiB" % x for x in used[3:])])
    table(["%d messages to %d domains" % (n, len(b.everyone)),
           "arrived in %d s" % LIMIT, "messages a second", "CPU a message",
           "of it the relay", "resolver beside it", "memory, PSS",
           "of it the relay"], rows)

# SPDX-License-Identifier: ISC
"""OpenSMTPD through the relay against the same smtpd by itself."""

import json
import os
import re
import selectors
import smtplib
import socket
import statistics
import subprocess
import threading
import time

import mta
import opensmtpd
import world

SESSIONS = 10                   # that submit, at a time
MAILS = 100                     # in a session; smtpd takes no more


class Driver(opensmtpd.Driver):
    command = 30
    level = "debug"             # of the relay's log

    def __init__(self, w):
        super().__init__(w, ("default",))

    def danevirke_conf(self, profile):
        return super().danevirke_conf(profile).replace('"debug"',
                                                       '"%s"' % self.level)

    def direct(self):
        """The configuration without Danevirke."""
        text = re.sub(r"relay domain <\w+>", "relay", self.config())
        return re.sub(r"^table dv_.*$", "", text, flags=re.M)


class Records:
    """What the SMTP servers write down from now on."""

    def __init__(self, w):
        self.file = open(w.smtp_log)
        self.file.seek(0, os.SEEK_END)
        self.rest, self.seen = "", []

    def count(self, what):
        self.rest += self.file.read()
        *lines, self.rest = self.rest.split("\n")
        self.seen += [json.loads(x)["what"] for x in lines]
        return self.seen.count(what)


def submit(rows, port, end):
    """Until this time; the rest of rows is left out then."""
    errors = []

    def run(part):
        try:
            for i in range(0, len(part), MAILS):
                session(part[i:i + MAILS])
        except Exception as e:
            errors.append(e)

    def session(part):
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as c:
            c.ehlo("localhost")
            for to, mid in part:
                if time.monotonic() > end:
                    return
                c.sendmail(mta.SENDER, [to],
                           "Message-ID: <%s@lab>\r\n\r\nhello\r\n" % mid)

    threads = [threading.Thread(target=run, args=(rows[n::SESSIONS],))
               for n in range(SESSIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def arrival(b, mark, n, domains, port, limit):
    """(messages that arrived, seconds from the first submission to the last
    arrival, connections to the servers) within a limit in seconds."""
    records = Records(b.world)
    rows = [("u@" + domains[i % len(domains)], "%s-%d" % (mark, i))
            for i in range(n)]
    began = time.monotonic()
    submit(rows, port, began + limit)
    while records.count("message") < n and time.monotonic() < began + limit:
        time.sleep(0.02)
    took = time.monotonic() - began
    return records.count("message"), took, records.count("connect")


def rate(b, mark, n):
    """Messages a second, and connections to the servers."""
    arrived, took, made = arrival(b, mark, n, b.domains, opensmtpd.PORT, 120)
    if arrived < n:
        raise RuntimeError("%d of %d arrived" % (arrived, n))
    return n / took, made


def rss(d):
    total = 0
    for pid in d.processes("danevirke-relay", "danevirke-dns",
                           "danevirke-dnsm"):
        with open("/proc/%d/status" % pid) as f:
            total += int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1))
    return total / 1024


def sessions(d, places, n, uid):
    """Relay memory in MiB with n sessions: after EHLO, and in DATA."""
    clients = []
    os.seteuid(uid)             # only smtpd's user may connect
    try:
        for i in range(n):
            s = socket.create_connection(places[i % len(places)][0], 20)
            clients.append((s, places[i % len(places)][1]))
    finally:
        os.seteuid(0)

    def everyone(line, code):
        poll = selectors.DefaultSelector()
        for s, to in clients:
            if line:
                s.sendall((line % to if "%s" in line else line).encode())
            poll.register(s, selectors.EVENT_READ, [b""])
        end = time.monotonic() + 120
        while poll.get_map():
            if time.monotonic() > end:
                raise RuntimeError("%d sessions wait" % len(poll.get_map()))
            for key, _ in poll.select(1):
                got = key.fileobj.recv(4096)
                key.data[0] += got
                last = key.data[0].splitlines()[-1] if got else b"closed"
                if not got or (key.data[0].endswith(b"\r\n")
                               and last[3:4] != b"-"):
                    if not last.startswith(code):
                        raise RuntimeError(last.decode())
                    poll.unregister(key.fileobj)

    everyone("", b"220")
    everyone("EHLO lab.alpha\r\n", b"250")
    idle = rss(d)
    everyone("MAIL FROM:<p@lab.alpha>\r\n", b"250")
    everyone("RCPT TO:<%s>\r\n", b"250")
    everyone("DATA\r\n", b"354")
    active = rss(d)
    everyone("\r\nhi\r\n.\r\n", b"250")
    for s, _ in clients:
        s.close()
    return idle, active


def address(d, domain, mark):
    """Each start has its own addresses."""
    line = d.log.wait(r"^table-danevirke\S+ %s is at " % re.escape(domain), 10,
                      mark)
    return line.split()[-1], 10025


def driver(b):
    """smtpd's, which covers folders that other parts need; None: reported."""
    if not os.path.exists(opensmtpd.SMTPD):
        print("smtpd is not unpacked (tests/install does it): left out.\n")
    elif b.smtpd is None:
        b.smtpd = Driver(b.world)
        b.smtpd.prepare()
        # smtpd looks for IPv4 addresses only if it has one itself
        subprocess.run(["ip", "addr", "add", "198.19.255.1/32", "dev", "lo"],
                       check=False)
    return b.smtpd


def part(b, table):
    d = driver(b)
    if d is None:
        return
    with open("/etc/resolv.conf", "w") as f:
        f.write("nameserver %s\n" % world.LEAF)
    n = b.rounds(1000, 40)
    got = {"through the relay": [], "directly": []}
    try:
        for r in range(b.rounds(4, 1)):
            for how in sorted(got, reverse=bool(r % 2)):
                d.start(d.config() if "relay" in how else d.direct())
                rate(b, "w%d%s" % (r, how[0]), len(b.domains))  # warm
                got[how].append(rate(b, "m%d%s" % (r, how[0]), n))
                d.stop()
        median = {how: [statistics.median(v) for v in zip(*x)]
                  for how, x in got.items()}
        base = median["directly"][0]
        table(["OpenSMTPD, 50 domains", "messages a second", "of direct",
               "connections"],
              [[how, "%.0f" % speed, "%.2f" % (speed / base), "%.0f" % made]
               for how, (speed, made) in median.items()])
        print()
        mark = d.log.mark()
        d.start(d.config())
        rate(b, "a", len(b.domains))
        places = [(address(d, x, mark), "u@" + x) for x in b.domains[:10]]
        uid = opensmtpd.pwd.getpwnam("opensmtpd").pw_uid
        rows = []
        for n in (10, 100) + (() if b.short else (1000,)):
            idle, active = sessions(d, places, n, uid)
            rows.append([n, "%.1f MiB" % idle, "%.1f MiB" % active])
        table(["sessions", "relay memory, idle", "in DATA"], rows)
    finally:
        d.stop()

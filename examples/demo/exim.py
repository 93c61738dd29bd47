#!/usr/bin/python3 -B
# SPDX-License-Identifier: ISC
"""The demonstrations; examples/demo/run starts this inside the lab.

Each message is sent twice: through an Exim as it comes, whose resolver does
not validate, and through an Exim with Danevirke.  What happened is read from
the records of the SMTP servers that got the message or did not.
"""

import json
import os
import pwd
import subprocess
import sys
import textwrap

DIR = "/mnt/demo"
NS = "127.53.3.1"               # the lab's name server, attacks included
EXIM = "/usr/sbin/exim4"
PREFIX = os.environ["DV_LAB_PREFIX"]
EXAMPLES = PREFIX + "/share/doc/danevirke/examples/exim"
LIB = PREFIX + "/lib/danevirke/exim.so"

BASE = """
exim_user = Debian-exim
exim_group = Debian-exim
primary_hostname = mail.lab.alpha
spool_directory = %(dir)s/spool
log_file_path = %(dir)s/log/%%slog
"""
PLAIN = BASE + """
begin routers
remote:
  driver = dnslookup
  transport = smtp
begin transports
smtp:
  driver = smtp
begin retry
* * F,4d,15m
"""
DANEVIRKE = BASE + """
domainlist local_domains =
DANEVIRKE_LIB = %(lib)s
begin routers
.include %(examples)s/danevirke-routers
begin transports
.include %(examples)s/danevirke-transports
begin retry
* * F,4d,15m
"""

# scenario, what it is, records to show, what to note
DEMOS = [
    ("1", "A domain without security, TLS offered", "nosec-tls",
     "No signatures, no TLSA: mail goes as it always did."),
    ("1", "The same, without TLS", "nosec-clear",
     "Not even TLS there.  Still no reason to delay mail."),
    ("2", "A DANE domain", "dane",
     "The TLSA record matches the certificate: authenticated, encrypted."),
    ("3", "A TLSA record that does not match", "mismatch",
     "Wrong certificate or wrong record, or somebody in between: it waits."),
    ("4", "Two MX hosts, the first with a wrong record", "two-hosts",
     "The first is passed over, the second is authenticated."),
    ("5a", "Attack on (2): forged MX data", "attack-mx",
     "The forged record has no valid signature."),
    ("5b", "Attack on (2): STARTTLS stripped", "attack-starttls",
     "A TLSA record is a promise of TLS; whoever hides TLS is not trusted."),
    ("5c", "Attack on (2): TLSA records removed", "attack-tlsa",
     "The attacker answers \"no TLSA\" and shows a certificate of his own."
     "  Nobody signed that denial."),
]


class Exim:
    """An Exim with a configuration, spool and log of its own.  Debian's takes
    its configuration from one place only; run() covers that up."""

    def __init__(self, name, text):
        self.dir = os.path.join(DIR, name)
        self.text = text % {"dir": self.dir, "examples": EXAMPLES, "lib": LIB}
        user = pwd.getpwnam("Debian-exim")
        os.makedirs(self.dir)
        for sub in ("/spool", "/log"):
            os.makedirs(self.dir + sub)
            os.chown(self.dir + sub, user.pw_uid, user.pw_gid)

    def run(self, *args, text=None):
        with open("/etc/exim4/exim4.conf", "w") as f:
            f.write(self.text)
        return subprocess.run([EXIM, *args], input=text, text=True, timeout=90,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT).stdout

    def log(self, name):
        try:
            with open("%s/log/%s" % (self.dir, name)) as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def send(self, domain):
        """The log lines that one message made; what is shown of them."""
        before = {n: len(self.log(n)) for n in ("mainlog", "paniclog")}
        said = self.run("-odi", "-f", "alice@lab.alpha", "bob@" + domain,
                        text="From: <alice@lab.alpha>\nTo: <bob@%s>\n"
                        "Subject: hello\n\nHello Bob.\n" % domain)
        lines = said.splitlines()
        for name, n in before.items():
            lines += self.log(name)[n:]
        return lines

    def queued(self, domain):
        return ("bob@" + domain) in self.run("-bp")


def arrivals(scenario, skip):
    with open(os.environ["DV_LAB_SMTP_LOG"]) as f:
        rows = [json.loads(x) for x in f if x.endswith("\n")]
    rows = [r for r in rows if r["scenario"] == scenario
            and r["what"] == "message"]
    return rows[skip:], len(rows)


def short(lines):
    """What the log says of the delivery, wrapped."""
    for line in lines:
        words = line.split(" ", 3)      # date, time, message, the rest
        if len(words) == 4 and words[0].startswith("20"):
            line = words[3]
        if not line.startswith(("danevirke: ", "=>", "==", "**")):
            continue
        yield textwrap.fill(line, 76, initial_indent="    ",
                            subsequent_indent="        ")


def dig(name, kind):
    out = subprocess.run(["drill", "@" + NS, name, kind], text=True,
                         timeout=20, stdout=subprocess.PIPE).stdout
    rows = out.partition(";; ANSWER SECTION:\n")[2].partition("\n\n")[0]
    rows = [r for r in rows.splitlines()
            if r and not r.startswith(";") and r.split()[3] == kind]
    for row in rows or ["; %s %s: no record" % (name, kind)]:
        row = " ".join(row.split())
        print("    " + (row if len(row) < 76 else row[:73] + "..."))


def records(entry, scenario):
    domain = entry["domain"]
    dig(domain, "MX")
    for host in entry["hosts"].values():
        name = host["fqdn"].rstrip(".")
        if name.startswith("real."):    # only where the key comes from
            continue
        dig(name, "A")
        if scenario != "attack-mx" or not name.startswith("evil."):
            dig("_25._tcp." + name, "TLSA")


def happened(rows, queued, tls):
    if not rows:
        return "stays queued" if queued else "LOST"
    r = rows[0]
    # there the attacker sits at the host's own address
    attacker = r["host"] == "evil" or r["scenario"] == "attack-tlsa"
    return "arrived at %s, %s" % ("the attacker" if attacker else r["host"],
                                  tls if r["tls"] else "in the clear")


def verdict(lines):
    """The verdict word of the last line that has one."""
    for line in reversed(lines):
        for word in ("dane-insecure-mx", "dane", "encrypt", "clear",
                     "opportunistic-tls", "deferred", "bounced"):
            if ": %s:" % word in line or ": %s " % word in line:
                return word
        if line.startswith("== ") or " == bob@" in line:
            return "deferred"
    return "?"


def demo(number, title, scenario, note, world, plain, ours):
    entry = world[scenario]
    domain = entry["domain"]
    print("\n(%s) %s: bob@%s\n" % (number, title, domain))
    records(entry, scenario)
    _, n = arrivals(scenario, 0)
    plain.send(domain)
    rows, n = arrivals(scenario, n)
    without = happened(rows, plain.queued(domain), "TLS with anybody")
    lines = ours.send(domain)
    rows, n = arrivals(scenario, n)
    having = happened(rows, ours.queued(domain), "TLS")
    print("\n  Exim with Danevirke, its log:\n")
    shown = list(short(lines))
    print("\n".join(shown or lines))
    word = verdict(lines)
    print("\n" + textwrap.fill(note, 76, initial_indent="  ",
                               subsequent_indent="  "))
    want, _, at = entry["expect"][""].partition("@")
    right = (word == want and (rows[0]["host"] == at if rows else False)
             if at else having == "stays queued" and word == want)
    return ("%s %s" % (number, title), without,
            "%s: %s" % (word, having), right)


def table(rows):
    head = ("what was sent", "what a plain Exim did", "with Danevirke")
    wide = [28, 24, 26]
    print("\n" + "=" * 80)
    for row in (head, tuple("-" * (w - 1) for w in wide), *[r[:3] for r in rows]):
        cells = [textwrap.wrap(c, w) or [""] for c, w in zip(row, wide)]
        for i in range(max(map(len, cells))):
            print(" ".join((c[i] if i < len(c) else "").ljust(w)
                           for c, w in zip(cells, wide)).rstrip())
    print("=" * 80)


def main():
    with open(os.environ["DV_LAB_MAP"]) as f:
        world = json.load(f)
    os.makedirs(DIR, mode=0o755)
    with open(DIR + "/resolv.conf", "w") as f:
        f.write("nameserver %s\noptions timeout:2 attempts:1\n" % NS)
    # a mount of this namespace; it ends with it
    subprocess.run(["mount", "--bind", DIR + "/resolv.conf",
                    "/etc/resolv.conf"], check=True)
    # nor is the machine's own Exim seen or touched
    subprocess.run(["mount", "-t", "tmpfs", "demo", "/etc/exim4"], check=True)
    plain, ours = Exim("plain", PLAIN), Exim("danevirke", DANEVIRKE)
    print("Each message goes through an Exim as it comes, and through an Exim "
          "with\nDanevirke.  The records are what a resolver gets that does "
          "not validate.")
    rows = [demo(*d, world, plain, ours) for d in DEMOS]
    table(rows)
    wrong = [r[0] for r in rows if not r[3]]
    for title in wrong:
        print("NOT AS IT SHOULD BE: " + title)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

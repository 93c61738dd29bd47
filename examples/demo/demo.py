# SPDX-License-Identifier: ISC
"""What the demonstrations with Exim and with OpenSMTPD share.

Each message is sent twice: through a server as it comes, whose resolver does
not validate, and through one with Danevirke.  What happened is read from the
records of the SMTP servers that got the message or did not.
"""

import json
import os
import subprocess
import textwrap

DIR = "/mnt/demo"
NS = "127.53.3.1"               # the lab's name server, attacks included
PREFIX = os.environ["DV_LAB_PREFIX"]
EXAMPLES = PREFIX + "/share/doc/danevirke/examples"
WORDS = ("dane-insecure-mx", "dane", "encrypt", "clear", "opportunistic-tls",
         "deferred", "bounced")
TLS, CLEAR = True, False

# number, what it is, scenario, what a plain server does, what to note
DEMOS = [
    ("1", "A domain without security, TLS offered", "nosec-tls", ("mx1", TLS),
     "No signatures, no TLSA: mail goes as it always did."),
    ("1", "The same, without TLS", "nosec-clear", ("mx1", CLEAR),
     "Not even TLS there.  Still no reason to delay mail."),
    ("2", "A DANE domain", "dane", ("mx1", TLS),
     "The TLSA record matches the certificate: authenticated, encrypted."),
    ("3", "A TLSA record that does not match", "mismatch", ("mx1", TLS),
     "Wrong certificate or wrong record, or somebody in between: it waits."),
    ("4", "Two MX hosts, the first with a wrong record", "two-hosts",
     ("mx1", TLS),
     "The first is passed over, the second is authenticated."),
    ("5a", "Attack on (2): forged MX data", "attack-mx", ("evil", TLS),
     "The forged record has no valid signature."),
    ("5b", "Attack on (2): STARTTLS stripped", "attack-starttls",
     ("mx1", CLEAR),
     "A TLSA record is a promise of TLS; whoever hides TLS is not trusted."),
    ("5c", "Attack on (2): TLSA records removed", "attack-tlsa", ("mx1", TLS),
     "The attacker answers \"no TLSA\" and shows a certificate of his own."
     "  Nobody signed that denial."),
]


class Server:
    """A mail server, plain or with Danevirke."""

    product = "?"               # as in "an Exim with Danevirke"
    short = "?"                 # the same, in the table's head

    def start(self):
        pass

    def stop(self):
        pass

    def send(self, domain):
        """One message to bob@domain, and its first attempt.  All log lines
        of it; raises if there was no attempt within reasonable time."""
        raise NotImplementedError

    def queued(self, domain):
        """Whether that message is still to be sent."""
        raise NotImplementedError

    def lines(self, logged):
        """What is shown of send()'s lines."""
        raise NotImplementedError

    def decisions(self, logged):
        """Those of send()'s lines that are Danevirke's."""
        raise NotImplementedError


def message(domain):
    return ("From: <alice@lab.alpha>\nTo: <bob@%s>\nSubject: hello\n\n"
            "Hello Bob.\n" % domain)


# --------------------------------------------------------------- the records

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


# ---------------------------------------------------------- one after another

def arrivals(scenario):
    with open(os.environ["DV_LAB_SMTP_LOG"]) as f:
        rows = [json.loads(x) for x in f if x.endswith("\n")]
    return [r for r in rows if r["scenario"] == scenario
            and r["what"] == "message"]


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
        for word in WORDS:
            if ": %s:" % word in line or ": %s " % word in line:
                return word
    return "?"


def without(scenario, want, world, server):
    """(what a plain server does, whether that was to be expected)"""
    domain = world[scenario]["domain"]
    before = len(arrivals(scenario))
    logged = server.send(domain)
    rows, queued = arrivals(scenario)[before:], server.queued(domain)
    right = ([(r["host"], bool(r["tls"])) for r in rows] == [want]
             and not queued)
    if not right:
        print("\n%s as it comes, its log:\n\n%s" % (
            server.product, "\n".join(logged)))
    return happened(rows, queued, "TLS with anybody"), right


def having(entry, scenario, server):
    """(what a server with Danevirke does, as expected or not)"""
    domain = entry["domain"]
    before = len(arrivals(scenario))
    logged = server.send(domain)
    rows, queued = arrivals(scenario)[before:], server.queued(domain)
    print("\n  %s with Danevirke, its log:\n" % server.product)
    for line in server.lines(logged) or logged:
        print(textwrap.fill(line, 76, initial_indent="    ",
                            subsequent_indent="        "))
    word = verdict(server.decisions(logged))
    want, _, at = entry["expect"][""].partition("@")
    right = word == want and (
        [r["host"] for r in rows] == [at] and not queued if at
        else not rows and queued)
    return "%s: %s" % (word, happened(rows, queued, "TLS")), right


def table(rows, name):
    head = ("what was sent", "what a plain %s did" % name, "with Danevirke")
    wide = [26, 24, 24]
    print("\n" + "=" * 80)
    for row in (head, *rows):
        if row is not head:
            print("-+-".join("-" * w for w in wide))
        cells = [textwrap.wrap(c, w) or [""] for c, w in zip(row, wide)]
        for i in range(max(map(len, cells))):
            print(" | ".join((c[i] if i < len(c) else "").ljust(w)
                             for c, w in zip(cells, wide)).rstrip())
    print("=" * 80)


def show(plain, ours, world):
    """(rows of the table, titles of what went wrong)"""
    rows, wrong = [], []
    plain.start()
    try:
        first = [without(d[2], d[3], world, plain) for d in DEMOS]
    finally:
        plain.stop()
    ours.start()
    try:
        for (number, title, scenario, _, note), past in zip(DEMOS, first):
            entry = world[scenario]
            print("\n(%s) %s: bob@%s\n" % (number, title, entry["domain"]))
            records(entry, scenario)
            now = having(entry, scenario, ours)
            print("\n" + textwrap.fill(note, 76, initial_indent="  ",
                                       subsequent_indent="  "), flush=True)
            title = "%s %s" % (number, title)
            rows.append((title, past[0], now[0]))
            if not (past[1] and now[1]):
                wrong.append(title)
    finally:
        ours.stop()
    return rows, wrong


def main(plain, ours):
    """The exit status."""
    with open(os.environ["DV_LAB_MAP"]) as f:
        world = json.load(f)
    print(textwrap.fill(
        "Each message goes through an %s as it comes, and through an %s with "
        "Danevirke.  The records are what a resolver gets that does not "
        "validate." % (plain.product, ours.product), 72), flush=True)
    try:
        rows, wrong = show(plain, ours, world)
    except RuntimeError as e:
        print("FAILED: %s" % e)
        return 2
    table(rows, plain.short)
    for title in wrong:
        print("NOT AS IT SHOULD BE: " + title)
    return 1 if wrong else 0

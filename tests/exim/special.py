# SPDX-License-Identifier: ISC
"""Exim in unusual ways of running: queue runs, several domains in a message,
connections and sessions used again, verification, root.

Each test sends through a box of its own and looks at what the SMTP servers
wrote down, at the queue and at the log.
"""

import mta
from suite import Box, Sent, case, found, want


def post(box, to, *options, text=None, ident=None):
    """One message to these addresses, one attempt; the result's names are
    their domains."""
    options = options or ("-odf",)
    text = text or (
        "From: <%s>\nTo: undisclosed\nSubject: test\nMessage-ID: <%s@lab>\n"
        "Date: Thu, 01 Jan 2015 00:00:00 +0000\n\nHello.\n" % (
            mta.SENDER, ident or box.name))
    r = box.run(*options, "-oi", "-f", mta.SENDER, *to, input=text)
    return look(box, [a.rpartition("@")[2] for a in to], r)


def look(box, domains, run):
    """What became of the messages to these domains, after a run of Exim."""
    box.settle()
    return Sent(box, {d: d for d in domains}, run.returncode, run.stdout)


def user(w, name, label=None):
    """user@ this scenario's domain, or a domain below it."""
    return "user@" + (label + "." if label else "") + w.scenarios[name].domain()


def messages(box, name):
    return [r for r in box.sessions(name) if r["what"] == "message"]


# ------------------------------------------------------------ the queue run

def queued(w, run, options):
    box = Box(w).start()
    domain = w.scenarios["good"].domain()
    for n in range(3):
        want(post(box, [user(w, "good")], options,
                  ident="%s-%d" % (box.name, n)).kept(domain))
    sent = look(box, [domain], box.run(run))
    got = messages(box, "good")
    want(sorted(r["id"] for r in got) ==
         ["<%s-%d@lab>" % (box.name, n) for n in range(3)], sent)
    want(all(r["tls"] for r in got) and not sent.queue, sent)
    want(sent.log.count("good.alpha via mx1.good.alpha:25: dane: ") == 3, sent)
    # one message in a connection
    want(len([r for r in box.sessions("good") if r["what"] == "close"]) == 3,
         sent)


@case("S08 three messages wait, one queue run")
def three(w):
    queued(w, "-q", "-odq")


@case("S08 three messages wait, routed first: -qq")
def three_routed(w):
    queued(w, "-qq", "-odqs")

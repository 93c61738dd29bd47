# SPDX-License-Identifier: ISC
"""Ten domains beside a hostile one.

First the ten are sent to alone, twice: that is how long it usually takes.
Then a group of hostile domains gets one message each, and the ten are sent to
again and again until all of those have an end.  No one of the ten may take
DELAY longer than usual, the relay must stay the same process and below MEMORY,
and the hostile domain's own mail is where it belongs.  If that does not hold
of a group, each of its domains is tried alone, and answers for itself: what
counts is one hostile domain at a time.
"""

import contextlib
import fnmatch
import json
import os
import re
import shutil
import smtplib
import ssl
import subprocess
import sys
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lab")]

import mta                                              # noqa: E402
import opensmtpd                                        # noqa: E402

GOOD = ["good%d" % n for n in range(10)]
DELAY = 2                       # seconds beyond the usual
MEMORY = 128 << 20
BEGIN = 4                       # seconds for an attack to begin
END = 20                        # and for its message to have a result
PAUSE = 0.5                     # seconds from one batch to the next

RELAY = """relay: {
	timeouts: { connect = 3; command = 4; data = 4; ehlo = 15; idle = 20; };
	failure_ttl = 1;
};
log: { level = "debug"; };
"""


class Wrong(Exception):
    pass


class Driver(opensmtpd.Driver):
    """One table, as examples/opensmtpd/smtpd.conf has it."""

    def __init__(self, w):
        super().__init__(w, ("default",))

    def danevirke_conf(self, profile, more=""):
        return self.world.config_text(more=RELAY)

    def config(self):
        """smtpd waits on its own account, too: not here, where time counts."""
        return ("mta limit conn-delay-host 0 conn-delay-source 0 "
                "conn-delay-connector 0\nmta limit conn-delay-relay 0 "
                "conn-delay-domain 0 reconn-delay-route 0\n"
                + super().config())

    def afresh(self):
        """After trouble: nothing of it is left, in no queue either."""
        self.stop()
        for kind in ("queue", "corrupt", "incoming", "temporary"):
            for name in os.listdir(opensmtpd.SPOOL):
                if name == kind:
                    path = os.path.join(opensmtpd.SPOOL, name)
                    for x in os.listdir(path):
                        shutil.rmtree(os.path.join(path, x),
                                      ignore_errors=True)
        self.start()


class Kind:
    def __init__(self, ident, rule, what, domain, smtp, ends, envelope, group,
                 messages, spread):
        self.ident, self.domain = ident, domain
        self.title = "%s (%s)" % (what, rule)
        self.smtp, self.ends, self.envelope = smtp, ends, envelope
        self.group, self.messages, self.spread = group, messages, spread

    def recipients(self, who):
        return ["%s-%d@%s%s" % (who, n, "s%d." % n if self.spread else "",
                                self.domain) for n in range(self.messages)]


# ----------------------------------------------------------------- processes

def family():
    """All below table-danevirke: process id -> (parent, name)."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open("/proc/%s/stat" % pid) as f:
                text = f.read()
            left, right = text.index("("), text.rindex(")")
            found[int(pid)] = (int(text[right + 2:].split()[1]),
                               text[left + 1:right])
    top = {p for p, (_, name) in found.items() if name == "table-danevirke"}
    below, new = {}, True
    while new:
        new = {p: x for p, x in found.items()
               if p not in below and (x[0] in top or x[0] in below)}
        below.update(new)
    return below


class Memory(threading.Thread):
    """The most that the relay's processes had, all together."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak = self.all = 0
        self.start()

    def run(self):
        while True:
            total = 0
            for pid in family():
                with contextlib.suppress(OSError, TypeError):
                    with open("/proc/%d/status" % pid) as f:
                        total += int(re.search(
                            r"VmHWM:\s+(\d+)", f.read())[1]) << 10
            self.peak = max(self.peak, total)
            self.all = max(self.all, total)
            time.sleep(0.15)


# ---------------------------------------------------------------------- mail

class Post:
    """Messages, and what became of each, and when."""

    def __init__(self, driver):
        self.driver, self.number = driver, 0
        self.sent = {}                  # recipient -> when
        self.at = 0                     # of the log
        self.results = {}               # recipient -> (when, word, stat)

    def submit(self, recipients):
        with smtplib.SMTP("127.0.0.1", opensmtpd.PORT, timeout=20) as c:
            c.ehlo("localhost")
            for to in recipients:
                self.sent[to] = time.monotonic()
                c.sendmail(mta.SENDER, [to], (
                    "From: <%s>\r\nMessage-ID: <%s>\r\n\r\nhello\r\n" % (
                        mta.SENDER, to)).encode())

    def name(self):
        self.number += 1
        return "n%d" % self.number

    def look(self):
        """What the log has got to say."""
        lines = self.driver.log.since(self.at)
        self.at += len(lines)
        for line in lines:
            m = re.search(r' mta delivery .* to=<([^>]*)> .* result="(\w+)" '
                          r'stat="(.*)"', line)
            if m:
                self.results.setdefault(m[1], (time.monotonic(), m[2], m[3]))

    def wait(self, recipients, seconds):
        """True: each of them has a result."""
        end = time.monotonic() + seconds
        while True:
            self.look()
            if all(r in self.results for r in recipients):
                return True
            if time.monotonic() > end:
                return False
            time.sleep(0.01)

    def took(self, to):
        return self.results[to][0] - self.sent[to]


class Suite:
    def __init__(self, w, directory):
        self.w, self.dir = w, directory
        with open(directory + "/material.json") as f:
            self.material = json.load(f)
        self.kinds = [Kind(*row) for row in self.material["kinds"]]
        self.driver = Driver(w)
        self.post = Post(self.driver)
        self.usual = {}                 # ident -> seconds
        self.passed = self.failed = 0
        self.servers = []
        self.events = directory + "/events"
        self.delivered = []             # recipients, to be found once

    # -------------------------------------------------------------- servers

    def spawn(self, name, conf):
        conf.update(ready="%s/%s.ready" % (self.dir, name),
                    events=self.events)
        path = "%s/%s.json" % (self.dir, name)
        with open(path, "w") as f:
            json.dump(conf, f)
        self.servers.append(subprocess.Popen(
            [sys.executable, "-B", "%s/%s.py" % (HERE, name), path]))
        return conf["ready"]

    def hosts(self):
        for k in self.kinds:
            if not k.smtp:
                continue
            host = self.w.scenarios[k.ident].hosts["mx1"]
            chain = self.material["chains"].get(k.ident)
            key = "%s/%s.key" % (self.dir, k.ident) if chain \
                else host.cert + ".key"
            if chain is None:
                with open(host.cert) as f:
                    chain = [ssl.PEM_cert_to_DER_cert(f.read()).hex()]
            yield {"ident": k.ident, "address": host.addresses[0],
                   "do": k.smtp[0], "args": k.smtp[1:], "chain": chain,
                   "key": key}

    def start(self):
        open(self.events, "w").close()
        ready = [self.spawn("smtp_server", {"hosts": list(self.hosts())}),
                 self.spawn("dns_server", {"zones": self.material["zones"]})]
        self.driver.setup()
        end = time.monotonic() + 20
        while not all(map(os.path.exists, ready)):
            if time.monotonic() > end:
                raise RuntimeError("the hostile servers do not start")
            time.sleep(0.05)

    def begun(self, mark):
        """Lines of the hostile servers from there on."""
        with open(self.events) as f:
            f.seek(mark)
            return f.read().splitlines()

    # -------------------------------------------------------------- the ten

    def batch(self, limit):
        """One message to each of the ten: ident -> seconds; Wrong if one is
        not delivered in time.  limit: ident -> seconds."""
        who = self.post.name()
        to = {i: "%s@%s.alpha" % (who, i) for i in GOOD}
        self.post.submit(list(to.values()))
        self.post.wait(to.values(), max(limit.values()))
        wrong = []
        for i, r in to.items():
            if r not in self.post.results:
                wrong.append("%s: nothing within %.1f s" % (i, limit[i]))
            elif self.post.results[r][1] != "Ok":
                wrong.append("%s: %s" % (i, self.post.results[r][2]))
            elif self.post.took(r) > limit[i]:
                wrong.append("%s: %.1f s" % (i, self.post.took(r)))
            else:
                self.delivered.append(r)
        if wrong:
            raise Wrong("of the ten others %d are not delivered within %g s "
                        "of their usual time: %s" % (
                            len(wrong), DELAY, "; ".join(wrong[:2])))
        return {i: self.post.took(r) for i, r in to.items()}

    def learn(self):
        """How long it usually takes: the longest but one, for a busy machine
        may always stumble."""
        loose = dict.fromkeys(GOOD, 20)
        self.batch(loose)               # with nothing known at all
        seen = []
        for pause in (0.1, 0.3, 0.5, 0.7, 0.9):
            time.sleep(pause)           # smtpd counts in whole seconds
            seen.append(self.batch(loose))
        self.usual = {i: sorted(x[i] for x in seen)[-2] for i in GOOD}

    # ----------------------------------------------------------- one attack

    def limit(self):
        return {i: t + DELAY for i, t in self.usual.items()}

    def attack(self, kinds):
        """The longest that one of the ten took, in seconds; Wrong."""
        with open(self.events) as f:
            mark = f.seek(0, 2)
        before = family()
        self.memory.peak = 0
        who = self.post.name()
        to = {r: k for k in kinds for r in k.recipients(who)}
        self.post.submit(to)
        self.wait_begun(kinds, mark)
        end = time.monotonic() + END
        worst, last = 0, False
        while True:
            worst = max(worst, *self.batch(self.limit()).values())
            if last:
                break
            last = self.post.wait(to, PAUSE)
            if not last and time.monotonic() > end:
                raise Wrong("no result within %d s: %s" % (END, ", ".join(
                    r for r in to if r not in self.post.results)))
        self.judge(kinds, to, self.begun(mark), before)
        return worst

    def wait_begun(self, kinds, mark):
        """Until each attack is under way, or is over."""
        end = time.monotonic() + BEGIN
        while time.monotonic() < end:
            self.post.look()
            said = set(self.begun(mark))
            if all(self.silent(k) or "begun " + k.ident in said
                   for k in kinds):
                return
            time.sleep(0.02)

    @staticmethod
    def silent(k):
        """Its servers are the lab's, and tell nothing."""
        return k.ident in ("cnames", "loop", "mx1000")

    def judge(self, kinds, to, said, before):
        """The hostile domains' own mail, and the relay afterwards."""
        waiting = {r for r, _ in self.driver.queue()}
        arrived = self.arrived()
        for k in kinds:
            if not self.silent(k) and "begun " + k.ident not in said:
                raise Wrong("%s has not attacked" % k.ident)
            if "mail " + k.ident in said and not k.envelope:
                raise Wrong("%s got an envelope" % k.ident)
        for r, k in to.items():
            self.judge_one(k, r, r in waiting, arrived.count(r))
        relays = {p for p, x in before.items() if x[1] == "danevirke-relay"}
        if relays - set(family()):
            raise Wrong("the relay is another one")
        if self.memory.peak > MEMORY and not self.driver.watched():
            raise Wrong("the relay had %d MiB" % (self.memory.peak >> 20))

    def judge_one(self, k, r, waits, times):
        """One message: refused for a reason and still there, or delivered."""
        _, word, stat = self.post.results[r]
        end = {"Ok": "delivered", "TempFail": "deferred"}.get(word, word)
        if end not in k.ends:
            raise Wrong("%s: %s: %s" % (r, end, stat))
        if end == "deferred" and not re.match(
                r"451 4\.\d\.\d \S+[: ].{10}", stat):
            raise Wrong("%s: no reason: %s" % (r, stat))
        if (waits, times) != ((True, 0) if end == "deferred" else (False, 1)):
            raise Wrong("%s: %s, but in the queue: %s, and arrived %d times"
                        % (r, end, waits, times))
        self.reasons[k.ident] = stat

    def arrived(self):
        return [r["id"].strip("<>") for r in self.w.records()
                if r["what"] == "message"]

    # -------------------------------------------------------------- verdict

    def say(self, ok, name, text, more=()):
        self.passed += ok
        self.failed += not ok
        print("%s - %s: %s" % ("ok" if ok else "not ok", name, text))
        for line in more:
            print("#   " + line[:300])
        sys.stdout.flush()

    def one(self, k):
        """Alone, and afterwards everything is as before."""
        mark = self.driver.log.mark()
        try:
            took = self.attack([k])
            self.good(k, took)
            return
        except Wrong as e:
            rows = [str(e)]
        except Exception:
            rows = traceback.format_exc().splitlines()
        rows += [x for x in self.driver.log.since(mark)
                 if k.domain in x and " session 0x" not in x][-6:]
        self.say(False, k.ident, k.title, rows)
        self.driver.afresh()
        self.batch(dict.fromkeys(GOOD, 20))

    def good(self, k, took):
        self.say(True, k.ident, "%s (usually %.2f s, now %.2f s; %s)" % (
            k.title, max(self.usual.values()), took,
            self.reasons[k.ident][:150]))

    def together(self, kinds):
        if len(kinds) == 1:
            self.one(kinds[0])
            return
        try:
            began = time.monotonic()
            took = self.attack(kinds)
            print("# %d of %s at the same time: %.1f s, %d MiB" % (
                len(kinds), kinds[0].group, time.monotonic() - began,
                self.memory.peak >> 20))
            for k in kinds:
                self.good(k, took)
            return
        except Wrong as e:
            print("# %s, all at the same time: %s: now each alone" % (
                kinds[0].group, e), flush=True)
        self.driver.afresh()
        self.batch(dict.fromkeys(GOOD, 20))
        for k in kinds:
            self.one(k)

    def run(self, patterns, special):
        self.reasons = {}
        self.memory = Memory()
        self.start()
        began = time.monotonic()
        self.learn()
        print("# usually %.2f to %.2f s (%.1f s)" % (
            min(self.usual.values()), max(self.usual.values()),
            time.monotonic() - began), flush=True)
        groups = {}
        for k in self.kinds:
            if not patterns or any(fnmatch.fnmatch(k.ident, p)
                                   for p in patterns):
                groups.setdefault(k.group, []).append(k)
        for kinds in groups.values():
            self.together(kinds)
        for f in special:
            if not patterns or any(fnmatch.fnmatch(f.__name__, p)
                                   for p in patterns):
                self.special(f)
        self.count()

    def special(self, f):
        mark = self.driver.log.mark()
        try:
            text = f(self)
            self.say(True, f.__name__, "%s (%s)" % (
                " ".join(f.__doc__.split()), text))
        except Exception as e:
            rows = [str(e)] if isinstance(e, Wrong) else \
                traceback.format_exc().splitlines()
            self.say(False, f.__name__, " ".join(f.__doc__.split()), rows + [
                x for x in self.driver.log.since(mark)
                if x.startswith("table-danevirke")
                and " session 0x" not in x][-8:])
            self.driver.afresh()
            self.batch(dict.fromkeys(GOOD, 20))

    def count(self):
        """Nothing was lost, nothing came twice."""
        arrived = self.arrived()
        wrong = [r for r in self.delivered if arrived.count(r) != 1]
        self.say(not wrong and len(self.delivered) > 0, "once",
                 "%d messages of the ten arrived once each, the relay had at "
                 "most %d MiB" % (len(self.delivered), self.memory.all >> 20),
                 wrong[:5])

    def stop(self):
        for p in self.servers:
            p.kill()
            p.wait()
        self.driver.teardown()

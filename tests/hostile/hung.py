# SPDX-License-Identifier: ISC
"""A process that does nothing any more: whoever waits for it does so for a
while only (D16)."""

import contextlib
import os
import signal
import subprocess
import time

import beside
from beside import GOOD, Wrong

TESTS = []
REPLACED = 20           # seconds for a relay
ANSWERED = 20           # and for a process that asks DNS

# In table-danevirke and all its children SIGUSR2 begins a computation without
# end.
BUSY_C = """#include <signal.h>
static void busy(int sig)
{
	for (;;)
		__asm__ volatile("");
}
__attribute__((constructor)) static void start(void)
{
	signal(SIGUSR2, busy);
}
"""


def prepare(s):
    """Before smtpd is there: it covers what gcc of Debian 13 is made of."""
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o",
                    s.driver.dir + "/busy.so", "-"],
                   input=BUSY_C, text=True, check=True)


def test(f):
    TESTS.append(f)
    return f


def until(what, seconds, text):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise Wrong("%s: not within %d s" % (text, seconds))


def relays():
    return {p for p, x in beside.family().items() if x[1] == "danevirke-relay"}


def idle():
    """The relay, when no session is left."""
    time.sleep(1.5)
    return until(relays, 5, "no relay")


def hang(s, old, number):
    """The relay gets this signal, and is replaced; seconds until then."""
    began = time.monotonic()
    to = ["%s@%s.alpha" % (s.post.name(), i) for i in GOOD]
    for pid in old:
        os.kill(pid, number)
    s.post.submit(to)
    until(lambda: relays() - old, REPLACED, "another relay")
    took = time.monotonic() - began
    if old & relays():
        raise Wrong("the old relay lives")
    s.post.wait(to, 20)
    for r in to:
        word = s.post.results.get(r, (0, "none", ""))[1]
        if word not in ("Ok", "TempFail"):
            raise Wrong("%s: %s" % (r, word))

    def rest():
        waiting = {r for r, _ in s.driver.queue()} & set(to)
        if waiting:
            s.driver.control("schedule", "all")
        return not waiting

    until(rest, 40, "the rest of the mail")
    s.delivered += to
    s.batch(dict.fromkeys(GOOD, 20))
    return took


@test
def relay_stopped(s):
    """a relay that stands still is replaced, and mail goes on (D16)"""
    # As if it had died: what smtpd had begun is a temporary failure.
    s.driver.afresh()
    s.batch(dict.fromkeys(GOOD, 20))
    old = idle()
    kind = next(k for k in s.kinds if k.ident == "slow-mail2")
    begun = "%s@%s" % (s.post.name(), kind.domain)
    mark = os.path.getsize(s.events)
    s.post.submit([begun])
    until(lambda: "begun slow-mail2" in s.begun(mark), 5, "no session")
    try:
        took = hang(s, old, signal.SIGSTOP)
    finally:
        for pid in old & relays():
            os.kill(pid, signal.SIGCONT)
    s.post.wait([begun], 5)
    word = s.post.results.get(begun, (0, "none"))[1]
    if word != "TempFail" or begun not in {r for r, _ in s.driver.queue()}:
        raise Wrong("%s: %s" % (begun, word))
    return "after %.1f s" % took


@test
def resolver_stopped(s):
    """a process that asks DNS and stands still is replaced (D16)"""
    old = idle()                # and what was known is over
    below = {p: x for p, x in beside.family().items() if p not in old}
    parents = {x[0] for x in below.values()}
    leaves = set(below) - parents
    if not leaves:
        raise Wrong("the relay asks DNS itself: nobody could end it")
    for pid in leaves:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        until(lambda: answered(s), ANSWERED, "no answer")
        took = time.monotonic() - began
    finally:
        for pid in leaves & set(beside.family()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    if old != relays():
        raise Wrong("the relay is another one")
    s.batch(s.limit())
    return "after %.1f s" % took


def answered(s):
    """True: a message that needs an answer got through."""
    to = "%s@%s.alpha" % (s.post.name(), GOOD[0])
    s.post.submit([to])
    s.post.wait([to], ANSWERED)
    if s.post.results.get(to, (0, ""))[1] != "Ok":
        return False
    s.delivered.append(to)
    return True


@test
def relay_busy(s):
    """a relay that computes without end is replaced, too (D16)"""
    busy = s.driver.dir + "/busy.so"
    wrap = os.environ.get("DV_LAB_TABLE")
    os.environ["DV_LAB_TABLE"] = ("env LD_PRELOAD=%s ASAN_OPTIONS="
                                  "verify_asan_link_order=0 %s" % (
                                      busy, wrap or ""))
    try:
        s.driver.place_table()
    finally:
        del os.environ["DV_LAB_TABLE"]
        if wrap:
            os.environ["DV_LAB_TABLE"] = wrap
    s.driver.afresh()
    s.batch(dict.fromkeys(GOOD, 20))
    old = idle()
    took = hang(s, old, signal.SIGUSR2)
    if took < 1:
        raise Wrong("it was not busy, it died")
    return "after %.1f s" % took

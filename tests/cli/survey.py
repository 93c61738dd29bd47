# SPDX-License-Identifier: ISC
"""danevirke survey, in the world of check.conf; tests/cli/run starts it."""

import contextlib
import fcntl
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import tool  # noqa: E402
from asked import Asked, wait_for  # noqa: E402
from check import CONF, domain, shape  # noqa: E402
from tool import has, path, run, same, write  # noqa: E402

NAMES = ("good", "two", "rollover", "group", "wrong", "address", "digests",
         "anchor", "sha512", "usage2", "intermediate", "many", "pkix",
         "unusable", "gap", "none", "nullmx", "insecure", "mxinsecure",
         "ended")
# most of them with one connection or none: the lab's servers are slow
CHEAP = ("good", "none", "nullmx", "insecure", "nonetls", "nostarttls",
         "group", "none", "nullmx", "insecure")


def survey(data, *args, **how):
    return run("survey", "--config", CONF, "--helo", "survey.example",
               "--timeout", "3", *args, stdin=data, **how)


def start(*args, conf=CONF, timeout="3", **how):
    return subprocess.Popen(
        [tool.TOOL, "survey", "--module", tool.MODULE, "--config", conf,
         "--timeout", timeout, *args], **how)


def lines(n, names=NAMES):
    return [domain(names[i % len(names)]) for i in range(n)]


def reports(text):
    """Every line whole, an object, of the right shape."""
    assert text == "" or text.endswith("\n")
    rows = [json.loads(x) for x in text.splitlines()]
    for r in rows:
        shape(r, survey=True)
    return rows


def exact(rows, names):
    """Each line once, and its report is of its name."""
    same(sorted(r["n"] for r in rows), list(range(1, len(names) + 1)))
    for r in rows:
        same(r["domain"], names[r["n"] - 1])


def peak(pid):
    """VmHWM in kB of the process and of those that share its work, or 0 if it
    is gone."""
    try:
        with open("/proc/%d/status" % pid) as f:
            m = re.search(r"VmHWM:\s+(\d+)", f.read())
        return int(m.group(1)) + sum(map(peak, children(pid))) if m else 0
    except OSError:
        return 0


def measured(n, *args):
    """(reports on n lines, peak memory in kB)"""
    names = lines(n, CHEAP)
    source = write("names", "".join(x + "\n" for x in names))
    with open(source) as stdin, open(path("results"), "w") as out:
        p = start(*args, stdin=stdin, stdout=out)
        most = 0
        while p.poll() is None:
            most = max(most, peak(p.pid))
            time.sleep(0.02)
    same(p.returncode, 0)
    with open(path("results")) as f:
        rows = reports(f.read())
    exact(rows, names)
    return rows, most


def test_memory():
    """2,000 lines come once each, in the memory of 200"""
    memory("--parallel", "50")


def test_memory_jobs():
    """the same with several processes"""
    memory("--parallel", "50", "--jobs", "2")


def memory(*args):
    sanitized = b"__asan_" in open(tool.MODULE, "rb").read()
    few, small = measured(200, *args)
    rows, large = measured(2000, *args)
    verdicts = {}
    for r in rows:
        verdicts.setdefault(r["domain"], set()).add(
            (r["verdict"], r["dane"], len(r["findings"])))
    # and what is said of a domain does not depend on the place in the list
    assert all(len(v) == 1 for v in verdicts.values()), verdicts
    print("    peak memory: %d kB with 200 lines, %d kB with 2,000" % (
        small, large))
    assert sanitized or large < small * 1.25 + 2000, (small, large)


def test_same_as_check():
    """a line is what check --json says, with its number"""
    c, = run("check", "--config", CONF, "--json",
             domain("group")).json["checks"]
    r, = reports(survey(domain("group") + "\n").out)
    same(r.pop("n"), 1)
    for x in (c, r):
        x.pop("time"), x.pop("milliseconds")
    # L14: no name server is asked for a survey
    same([[x.pop("name_servers"), x.pop("name_servers_faulty"),
           x.pop("zones") is None]
          for x in (c, r)], [[2, 0, False], [None, None, True]])
    same(r, c)


def test_lines():
    """empty lines, comments and CRLF do not shift the numbers"""
    r = survey("\n# names\n%s\r\n  \t\n %s  of ours\n\r\n%s" % (
        domain("good"), domain("gap"), domain("nullmx")))
    same((r.code, r.err), (0, ""))
    rows = reports(r.out)
    same(sorted((x["n"], x["domain"]) for x in rows),
         [(3, domain("good")), (5, domain("gap")), (7, domain("nullmx"))])


def test_bad_lines():
    """bad lines have each its line, none is cut to fit"""
    good = domain("good").encode()
    data = b"\n".join([
        good, b"a" * 5000, good + b"\0.example", b"\xff\xfe." + good, b"a..b",
        b"-", b"x" * 300 + b" " + good, good + b" " + b"y" * 70000, good])
    p = subprocess.run(
        [tool.TOOL, "survey", "--module", tool.MODULE, "--config", CONF],
        input=data, capture_output=True, timeout=60)
    same(p.returncode, 0)
    rows = {x["n"]: x for x in reports(p.stdout.decode())}
    same(sorted(rows), list(range(1, 10)))
    for n in (1, 8, 9):
        same(rows[n]["verdict"], "good", str(n))
    for n in (2, 3, 4, 5, 6, 7):
        same(rows[n]["verdict"] in ("untested", "problem"), True, rows[n])
        same(rows[n]["hosts"], [])


def test_empty():
    """no lines make no output, exit 0"""
    for data in ("", "\n", "# nothing\n"):
        r = survey(data)
        same((r.code, r.out, r.err), (0, "", ""))


def lines_of(results):
    """The names that have a line, of those that are whole."""
    with open(results) as f:
        text = f.read()
    return {r["domain"] for r in reports(text[:text.rfind("\n") + 1])}


def stopped(number, *args):
    """A survey that is stopped in the middle by this signal; what is left is
    done by --resume, once each, and what has a line is not asked again."""
    names = ["n%d.count" % i for i in range(400)]
    source = write("names", "".join(x + "\n" for x in names))
    results = path("results")
    open(results, "w").close()
    cuts, code = 0, None
    with Asked() as asked:
        while code != 0:
            assert len(asked.runs) < 20, "it does not come to an end"
            done = lines_of(results)
            asked.begin()
            want = random.randint(20, 90) if cuts < 4 else 1000
            # so it is never over before it is stopped
            asked.most = want + 6
            with open(source) as stdin, open(results, "a") as out:
                p = start("--parallel", "6", "--resume", results, *args,
                          conf=asked.conf, stdin=stdin, stdout=out,
                          stderr=subprocess.PIPE)
                while p.poll() is None and \
                        len(lines_of(results)) - len(done) < want:
                    time.sleep(0.02)
                if p.poll() is None:
                    p.send_signal(number)
                    cuts += 1
                code = p.wait(timeout=60)
                err = p.stderr.read().decode()
            same(asked.runs[-1] & done, set())
            if code != 0:
                after_cut(number, code, err, results)
    same(cuts, 4)
    with open(results) as f:
        exact(reports(f.read()), names)
    again = sum(map(len, asked.runs)) - len(names)
    same(set.union(*asked.runs), set(names))
    print("    %d names, %d kills, %d asked again" % (len(names), cuts, again))
    assert again <= 6 * cuts, again


def after_cut(number, code, err, results):
    """What the survey has said and left."""
    with open(results) as f:
        text = f.read()
    # only if it was killed in write(2)
    assert text[-1:] in ("\n", "") or number == signal.SIGKILL, text
    if number == signal.SIGKILL:
        same(code, -number)
        with open(results, "a") as f:   # as if that had been in a write(2)
            f.write('{"domain":"n1.count","n":')
    else:
        same(code, 2)
        has(err, "go on with --resume")


def test_resume_sigterm():
    """SIGTERM in the middle: with --resume the union is exact, and no line is
    asked for twice"""
    stopped(signal.SIGTERM)


def test_resume_sigint():
    """SIGINT in the middle: with --resume the union is exact, and no line is
    asked for twice"""
    stopped(signal.SIGINT)


def test_resume_sigkill():
    """SIGKILL in the middle, also of a line: with --resume the union is exact,
    and no line is asked for twice"""
    stopped(signal.SIGKILL)


def test_resume_jobs_sigterm():
    """the same with several processes and SIGTERM"""
    stopped(signal.SIGTERM, "--jobs", "3")


def test_resume_jobs_sigkill():
    """the same with several processes and SIGKILL"""
    stopped(signal.SIGKILL, "--jobs", "3")


def children(pid):
    """The processes that share the work of this one."""
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return [int(x) for x in f.read().split()]


def gone(pids):
    for pid in pids:
        with contextlib.suppress(OSError):
            with open("/proc/%d/stat" % pid) as f:
                if f.read().rsplit(")")[-1].split()[0] not in "ZX":
                    return False
    return True


def test_jobs():
    """several processes say of each line what one says"""
    names = lines(100)
    rows = [reports(survey("".join(x + "\n" for x in names), *args).out)
            for args in ((), ("--jobs", "3"))]
    said = []
    for r in rows:
        exact(r, names)
        said.append({x["n"]: (x["verdict"], x["dane"], len(x["findings"]),
                              x["summary"]) for x in r})
    same(said[1], said[0])


def test_jobs_killed():
    """a process that is killed is replaced, and what it had is tested"""
    names = lines(300)
    source = write("names", "".join(x + "\n" for x in names))
    with open(source) as stdin:
        p = start("--jobs", "3", "--parallel", "12", stdin=stdin,
                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        text, first = "", []
        for i in range(len(names)):
            text += p.stdout.readline()
            if i == 20:     # a later one may have a name for the second time
                first = children(p.pid)
            if i in (20, 60, 100):
                os.kill(first.pop(), signal.SIGKILL)
        text += p.stdout.read()
    err = p.stderr.read()
    same((p.wait(timeout=60), err), (0, ""))
    rows = reports(text)
    exact(rows, names)
    same([r["error"] for r in rows if r["error"] and "process" in r["error"]],
         [])


def test_jobs_killer():
    """a name that kills its process has a line that says so, and takes no
    other with it"""
    names = [domain("stall")] + lines(20)
    source = write("names", "".join(x + "\n" for x in names))
    with open(source) as stdin:
        p = start("--jobs", "2", timeout="60", stdin=stdin,
                  stdout=subprocess.PIPE)
        text = b"".join(p.stdout.readline() for _ in names[1:])
        for _ in range(2):
            wait_for(lambda: len(children(p.pid)) == 2)
            time.sleep(0.5)         # it has been given out
            old = children(p.pid)
            for pid in old:
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: gone(old))
        text += p.stdout.read()
    same(p.wait(timeout=30), 0)
    rows = reports(text.decode())
    exact(rows, names)
    last = rows[-1]
    same((last["n"], last["verdict"], last["error"]), (
        1, "untested", "the process that tested it ended with signal 9, "
        "twice"))


def test_jobs_left():
    """killed, it leaves no process"""
    p = start("--jobs", "3", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    p.stdin.write((domain("good") + "\n").encode() * 50)
    p.stdin.flush()
    p.stdout.readline()
    # the first result may be there before the others have begun
    wait_for(lambda: len(children(p.pid)) == 3 and
             all(map(children, children(p.pid))))
    some = children(p.pid)
    more = [c for pid in some for c in children(pid)]
    same((len(some), len(more) >= 3), (3, True))
    p.kill()
    p.wait(timeout=10)
    wait_for(lambda: gone(some + more))


def test_progress():
    """progress is for a terminal, or where it is wanted"""
    names = lines(12, ("good", "wrong", "nullmx"))
    data = "".join(x + "\n" for x in names)
    source = write("names", "# list\n" + data)
    want = r"13 of 13 lines, \d+ a second, 4 problems, 0 untested"
    same(survey(data).err, "")
    same(re.fullmatch(want.replace(" of 13", "").replace("13", "12") + "\n",
                      survey(data, "--progress").err) is None, False)
    for args in (["--jobs", "2"], []):
        ours, theirs = pty.openpty()
        with open(source) as stdin, open(path("results"), "w") as out:
            p = start(*args, stdin=stdin, stdout=out, stderr=theirs)
            same(p.wait(timeout=60), 0)
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        assert re.search("\r\033\\[K" + want + "\r\n$", shown), shown
        with open(path("results")) as f:
            same(len(reports(f.read())), 12)


def test_nohup():
    """a signal that was ignored when it began stays so"""
    names = lines(60)
    source = write("names", "".join(x + "\n" for x in names))
    with open(source) as stdin:
        p = subprocess.Popen(
            ["sh", "-c", "trap '' HUP INT; exec \"$@\"", "sh", tool.TOOL,
             "survey", "--module", tool.MODULE, "--config", CONF, "--timeout",
             "3", "--parallel", "2"], stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        first = p.stdout.readline()
        p.send_signal(signal.SIGHUP)
        p.send_signal(signal.SIGINT)
        # not communicate(): readline() may have read more than a line
        out, err = p.stdout.read(), p.stderr.read()
    same((p.wait(timeout=60), err), (0, ""))
    exact(reports(first + out), names)


def test_resume_bad():
    """--resume of something else, or of a cut line, is refused"""
    good = survey(domain("good") + "\n").out
    for text, wanted in (("hello\n", ":1: want a line that survey"),
                         (good + "{}\n", ":2: want a line"),
                         (good.replace('"n":1,', '"n":0,'), ":1: want"),
                         (good.replace('"n":1,', ""), ":1: want"),
                         (good + good[:40], ":2: the last line is cut off")):
        r = survey(domain("good") + "\n", "--resume", write("bad", text))
        same((r.code, r.out), (2, ""), text[-60:])
        has(r.err, wanted)
    r = survey("", "--resume", path("not-there"))
    same(r.code, 2)
    has(r.err, "No such file")
    # all is done already
    r = survey(domain("good") + "\n", "--resume", write("bad", good))
    same((r.code, r.out, r.err), (0, "", ""))


def test_slow_input():
    """names that come one by one have their results at once"""
    p = start(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for i in range(3):
        began = time.monotonic()
        p.stdin.write(domain("good").encode() + b"\n")
        p.stdin.flush()
        r, = reports(p.stdout.readline().decode())
        same(r["n"], i + 1)
        assert time.monotonic() - began < 2
        time.sleep(0.5)
    # half a line is no name yet
    p.stdin.write(b"good.al")
    p.stdin.flush()
    time.sleep(0.3)
    p.stdin.write(b"pha\n")
    p.stdin.close()
    r, = reports(p.stdout.read().decode())
    same((r["n"], r["domain"], p.wait(timeout=10)), (4, domain("good"), 0))


def test_closed_output():
    """nobody reads on: it ends by itself, exit 2"""
    names = "".join(x + "\n" for x in lines(500))
    p = start("--parallel", "5", stdin=subprocess.PIPE,
              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def feed():
        try:
            p.stdin.write(names.encode())
            p.stdin.close()
        except OSError:
            pass
    t = threading.Thread(target=feed)
    t.start()
    reports(p.stdout.readline().decode())
    p.stdout.close()
    began = time.monotonic()
    err = p.stderr.read().decode()
    same(p.wait(timeout=20), 2)
    assert time.monotonic() - began < 5
    t.join()
    has(err, "stopped")


def test_full_disk():
    """output that cannot be written is said, exit 2"""
    with open("/dev/full", "w") as full:
        p = start(stdin=subprocess.PIPE, stdout=full, stderr=subprocess.PIPE)
        _, err = p.communicate(domain("good").encode() + b"\n", timeout=30)
    same(p.returncode, 2)
    has(err.decode(), "stopped: 0 lines written")
    has(err.decode(), "No space left")


def test_slow_reader():
    """a reader that takes its time loses nothing"""
    names = lines(120)
    source = write("names", "".join(x + "\n" for x in names))
    with open(source) as stdin:
        p = start("--parallel", "30", stdin=stdin, stdout=subprocess.PIPE)
        fcntl.fcntl(p.stdout, fcntl.F_SETPIPE_SZ, 4096)
        text = b""
        while True:
            data = os.read(p.stdout.fileno(), 3000)
            if not data:
                break
            text += data
            time.sleep(0.005)
    same(p.wait(timeout=20), 0)
    exact(reports(text.decode()), names)


def test_stall():
    """domains that stall do not hold up the others"""
    names = [domain("stall"), domain("slow")] + lines(60)
    r = survey("".join(x + "\n" for x in names), "--parallel", "10")
    same(r.code, 0)
    rows = reports(r.out)
    exact(rows, names)
    last = [x["n"] for x in rows[-2:]]
    same(sorted(last), [1, 2], "the slow ones end last")


def test_dns_only():
    """--dns-only connects to nothing"""
    r = survey(domain("wrong") + "\n" + domain("good") + "\n", "--dns-only")
    for x in reports(r.out):
        same([a["tested"] for h in x["hosts"] for a in h["addresses"]],
             [False])


def limited(files, *args):
    names = lines(len(NAMES))
    r = subprocess.run(
        ["prlimit", "--nofile=" + files, tool.TOOL, "survey", "--module",
         tool.MODULE, "--config", CONF, "--timeout", "3", *args],
        input="".join(x + "\n" for x in names), capture_output=True,
        text=True, timeout=60)
    return r, {x["domain"]: (x["verdict"], x["dane"], len(x["findings"]))
               for x in reports(r.stdout)}


def test_open_files():
    """with few open files the servers are not blamed for it"""
    r, want = limited("1024:1024")
    same((r.returncode, r.stderr, len(want)), (0, "", len(NAMES)))
    r, found = limited("24:1024")
    same((r.returncode, r.stderr, found), (0, "", want))
    r, _ = limited("512:512")
    same((r.returncode, r.stdout), (2, ""))
    has(r.stderr, "512 open files are allowed")
    r, found = limited("160:160", "--parallel", "5", "--connections", "20")
    same((r.returncode, r.stderr, found), (0, "", want))


def test_mistakes():
    """bad command lines are exit 2, and nothing is written"""
    for args, text in ((["example.org"], "read from standard input"),
                       (["--parallel", "0"], "want a number"),
                       (["--nagios"], "no such option"),
                       (["--jobs", "0"], "want a number, 1 to 256"),
                       (["--jobs", "2", "--html"], "want one of them"),
                       (["--profile", "none-such"], "no such profile"),
                       (["--jobs", "3", "--profile", "none-such"],
                        "no such profile")):
        r = survey(domain("good") + "\n", *args)
        same((r.code, r.out), (2, ""))
        has(r.err, text)
        same(r.err.count("no such profile"), "profile" in text)
    r = run("survey", "--config", "/nowhere", stdin=domain("good") + "\n")
    same((r.code, r.out), (2, ""))
    # what goes to RESULTS is lines, or --resume would refuse it
    for args in (["--config", "/nowhere"], ["--bogus"], ["--parallel", "0"],
                 ["--resume", path("not-there")]):
        r = run("survey", "--json", *args, stdin=domain("good") + "\n")
        same((r.code, r.out), (2, ""), args)
        assert r.err.startswith("danevirke survey: "), r.err


if __name__ == "__main__":
    sys.exit(tool.main())

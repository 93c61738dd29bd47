# SPDX-License-Identifier: ISC
"""Instructions, as callgrind counts them: they do not depend on the load of a
machine, so a number that grows is ours.  tests/bench/counts has them, for each
platform on which they were counted: compiler, libraries and what they choose by
the processor change them.

    tests/bench/run --build DIR --only count [--renew] [--counts FILE]
"""

import os
import platform
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
COUNTS = HERE + "/counts"
GROWTH = 1.10
LIBRARIES = ("gnutls", "hogweed", "nettle", "gmp", "unbound", "crypto")


class Grown(RuntimeError):
    """More than GROWTH over what the file has."""


def here(build):
    """The platform, in a word."""
    said = subprocess.run(["ldd", build + "/.libs/danevirke.so"], text=True,
                          stdout=subprocess.PIPE, check=True).stdout
    names = [platform.machine(), "libc-" + platform.libc_ver()[1]]
    for lib in LIBRARIES:
        m = re.search(r"=> (\S+/lib%s\.so\S*)" % lib, said)
        if m:
            names.append(os.path.basename(os.path.realpath(m[1])))
    with open(build + "/Makefile") as f:
        made = dict(re.findall(r"^(CC|CFLAGS) = (.*)$", f.read(), re.M))
    cc = made["CC"].split()[-1]
    version = subprocess.run([cc, "-dumpversion"], text=True, check=True,
                             stdout=subprocess.PIPE).stdout.strip()
    names.append("%s-%s" % (cc, version))
    names += re.findall(r"-(O\w*|fsanitize)", made["CFLAGS"])
    with open("/proc/cpuinfo") as f:
        flags = re.search(r"^flags\s*:(.*)$", f.read(), re.M)
    names += [x for x in ("avx2", "adx", "sha_ni")
              if flags and x in flags[1].split()]
    valgrind = subprocess.run(["valgrind", "--version"], text=True,
                              stdout=subprocess.PIPE).stdout
    return ",".join([*names, valgrind.strip()])


def objects(path):
    """{object: instructions} of a file of callgrind, inclusive of nothing."""
    names, cost, at, call = {}, {}, None, False
    with open(path) as f:
        for line in f:
            m = re.match(r"ob=\((\d+)\)(?: (.*))?$", line)
            if m:
                if m[2]:
                    names[m[1]] = m[2]
                at = names[m[1]]
            elif re.match(r"cob=\(\d+\) ", line):
                m = re.match(r"cob=\((\d+)\) (.*)$", line)
                names[m[1]] = m[2]
            elif line.startswith("calls="):
                call = True     # the next one is what was called
            elif line[0] in "+-*0123456789":
                if not call:
                    cost[at] = cost.get(at, 0) + int(line.split()[1])
                call = False
    return cost


def count(b, function, *args, user="nobody"):
    """(all, ours): instructions inside of this function of a program."""
    where = b.where + "/count"
    shutil.rmtree(where, True)
    os.mkdir(where)
    os.chmod(where, 0o777)
    out = where + "/out"
    r = subprocess.run(
        ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups",
         "valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=" + out,
         "--toggle-collect=" + function, *args], cwd=where, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    if r.returncode:
        raise RuntimeError("%s: %s" % (" ".join(args[:3]), r.stdout[-300:]))
    cost = objects(out)
    ours = sum(n for name, n in cost.items()
               if name and os.path.basename(name) == "danevirke.so")
    if not ours:
        raise RuntimeError("nothing was counted of danevirke.so: %s" % cost)
    return sum(cost.values()), ours


def known(path):
    """{platform: {what: (all, ours)}}"""
    rows = {}
    with open(path) as f:
        for line in f:
            if line.strip() and line[0] != "#":
                where, what, total, ours = line.rstrip("\n").split("\t")
                rows.setdefault(where, {})[what] = (int(total), int(ours))
    return rows


def renew(path, where, found):
    with open(path) as f:
        kept = [x for x in f if x.split("\t")[0] != where]
    kept += ["%s\t%s\t%d\t%d\n" % (where, what, *n)
             for what, n in found.items()]
    with open(path, "w") as f:
        f.writelines(kept)


def judge(found, want):
    """What has grown, or is not in the file."""
    said = []
    for what, numbers in found.items():
        if what not in want:
            said.append("%s is not in the file" % what)
            continue
        for label, n, old in zip(("in all", "ours"), numbers, want[what]):
            if n > old * GROWTH:
                said.append("%s, %s: %d instructions, %.0f %% more than %d" % (
                    what, label, n, 100 * (n / old - 1), old))
    return said


def compare(path, where, found):
    """Raises where something has grown; false: not counted on this platform."""
    want = known(path).get(where)
    said = judge(found, want) if want else []
    if said:
        raise Grown("; ".join(said))
    return want is not None


def sees_growth(path, where, found):
    """Would it be seen that one number has grown by 12 %, and of 8 % nothing
    said?  path: a file of its own."""
    for what, numbers in found.items():
        for i in (0, 1):
            for growth, wrong in ((1.12, True), (1.08, False)):
                old = list(numbers)
                old[i] = int(old[i] / growth)
                open(path, "w").close()
                renew(path, where, {**found, what: old})
                try:
                    compare(path, where, found)
                    seen = False
                except Grown:
                    seen = True
                if seen != wrong:
                    raise RuntimeError("%s: growth by %.2f is %sseen" % (
                        what, growth, "" if seen else "not "))


def part(b, kinds, table):
    """kinds: {what: function that counts}"""
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed")
        return
    where = here(b.build)
    found = {what: f() for what, f in kinds.items()}
    want = known(b.counts).get(where, {})
    table(["instructions", "in all", "ours", "in the file"],
          [[what, *n, "%d, %d" % want[what] if what in want else "-"]
           for what, n in found.items()])
    print("\nPlatform: %s" % where)
    sees_growth(b.where + "/grown", where, found)
    if b.renew:
        renew(b.counts, where, found)
    elif not compare(b.counts, where, found):
        print("skipped: counted on other platforms only: %s; "
              "make bench-count RENEW=1 adds this one" % "; ".join(
                  known(b.counts)))

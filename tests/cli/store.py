# SPDX-License-Identifier: ISC
"""danevirke store and the store itself as separate processes use it, in the
world of check.conf; tests/cli/run starts it.  /run is the lab's own tmpfs."""

import json
import os
import pwd
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import tool  # noqa: E402
from check import CONF, domain, host  # noqa: E402
from tool import has, same  # noqa: E402

TOOL = os.environ["DV_LAB_PREFIX"] + "/bin/danevirke"
RUN = "/run/danevirke"
USER, OTHER = "mail", "news"            # every Debian has both
MAIL = pwd.getpwnam(USER)
DIR = RUN + "/" + USER
FILE = DIR + "/answers.1"
SETPRIV = ["setpriv", "--reuid", USER, "--regid", str(MAIL.pw_gid),
           "--clear-groups"]


def conf(name="store.conf", more=""):
    """The lab's configuration for this user."""
    with open(CONF) as f:
        text = f.read()
    at = os.path.join(os.environ["DV_LAB_DIR"], name)
    with open(at, "w") as f:
        f.write(text.replace("resolver: {", "resolver: {" + more, 1) +
                'exim: { user = "%s"; };\n' % USER)
    os.chmod(at, 0o644)
    return at


def tool_run(*args, user=USER, config=None, before=()):
    """The installed danevirke as that user; None: root."""
    cmd = list(before) + (SETPRIV if user == USER else
                          ["setpriv", "--reuid", user, "--clear-groups"]
                          if user else []) + [TOOL, args[0], "--config",
                                              config or conf(), *args[1:]]
    return tool.Result(subprocess.run(
        cmd, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=60, cwd="/", env={"PATH": os.environ["PATH"]}))


def fresh(mode=0o700, user=USER):
    """A new, empty store of the user's."""
    clean()
    os.makedirs(DIR)
    os.chmod(RUN, 0o755)
    os.chown(DIR, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    os.chmod(DIR, mode)


def clean():
    with open("/proc/self/mountinfo") as f:
        mounts = [x.split()[4] for x in f]
    for m in mounts:
        if m.startswith(RUN + "/"):
            subprocess.run(["umount", m], check=True)
    if os.path.lexists(DIR) and os.path.islink(DIR):
        os.unlink(DIR)
    shutil.rmtree(RUN, ignore_errors=True)


class Asked:
    """How many queries the lab's name server sees meanwhile."""

    def __enter__(self):
        self.log = open(os.environ["DV_LAB_QUERY_LOG"])
        self.log.seek(0, 2)
        return self

    def __exit__(self, *_):
        time.sleep(0.1)
        self.rows = self.log.readlines()
        self.log.close()

    def about(self, name):
        return [x for x in self.rows if x.lower().split()[0].rstrip(".")
                .endswith(name.rstrip("."))]


def route(ident="good", **how):
    """(whether DNS was asked, what was said to standard error); the route
    must be the right one in any case."""
    with Asked() as asked:
        r = tool_run("route", "--json", domain(ident), **how)
    same(r.code, 0, r.out + r.err)
    a, = r.json["routes"]
    h, = a["hosts"]
    same((a["mx_state"], h["name"], h["verdict"]),
         ("secure", host(ident), "dane"))
    return bool(asked.about(domain(ident))), r.err


LINE = re.compile(r"(\S+) (\d+) (A|AAAA|CNAME|MX|TLSA) (secure|insecure)$")


def listed(*args, **how):
    """[(name, type, state)]: the text; the JSON says the same."""
    r = tool_run("store", "list", *args, **how)
    same((r.code, r.err), (0, ""))
    rows = r.out.splitlines()
    m = re.match(r"(\d+) answers, (\d+) octets$", rows[-1])
    assert m, rows[-1]
    found = [LINE.match(x).groups() for x in rows[:-1]]
    same(len(found), int(m.group(1)))
    j = tool_run("store", "--json", "list", *args, **how).json
    same(set(j), {"answers", "octets"})
    same(j["octets"], sum(a["octets"] for a in j["answers"]))
    same(j["octets"], int(m.group(2)))
    for a in j["answers"]:
        same({k: type(v) for k, v in a.items()},
             {"name": str, "type": str, "state": str, "ttl": int,
              "octets": int})
        assert 0 < a["ttl"] <= 300 and a["octets"] > 12, a
    same([(a["name"], a["type"], a["state"]) for a in j["answers"]],
         [(n, t, s) for n, _ttl, t, s in found])
    return [(n, t, s) for n, _ttl, t, s in found]


def test_none():
    """without a directory there is no store, silently"""
    clean()
    same(route(), (True, ""))
    for verb in (["list"], ["flush", "--all"]):
        r = tool_run("store", *verb)
        same((r.code, r.out), (2, ""))
        has(r.err, "no store for uid %d in %s" % (MAIL.pw_uid, RUN))


def test_shared():
    """a second process needs no query (D15)"""
    fresh()
    same(listed(), [])
    same(route(), (True, ""))
    same(route(), (False, ""))
    same(os.stat(FILE).st_mode & 0o7777, 0o600)
    rows = listed()
    for want in ((domain("good"), "MX", "secure"),
                 (host("good"), "A", "secure"),
                 ("_25._tcp." + host("good"), "TLSA", "secure")):
        assert want in rows, (want, rows)
    same(rows, sorted(rows, key=lambda r: r[0]))


def test_root():
    """root becomes exim.user, and --user names another"""
    fresh()
    route()
    rows = listed()
    same(listed(user=None), rows)
    same(listed("--user", USER, user=None), rows)
    r = tool_run("store", "list", "--user", OTHER, user=None)
    same(r.code, 2)
    has(r.err, "no store for uid %d" % pwd.getpwnam(OTHER).pw_uid)
    for user, who, text in (("root", None, "root has no store"),
                            ("no-such-user", None, "no such user"),
                            (OTHER, USER, "only root"),
                            ("root", USER, "root has no store")):
        r = tool_run("store", "list", "--user", user, user=who)
        same((r.code, r.out), (2, ""))
        has(r.err, text)


def test_root_has_none():
    """root's own directory is not used, by any subcommand"""
    clean()
    os.makedirs(RUN + "/root", mode=0o700)
    same(route(user=None), (True, ""))
    same(route(user=None), (True, ""))
    same(os.listdir(RUN + "/root"), [])


def test_one_domain():
    """list and flush of one domain touch it and what is below"""
    fresh()
    route("good")
    route("s1")
    rows = listed(domain("good"))
    assert rows and all(n.endswith(domain("good")) for n, _t, _s in rows)
    assert len(listed()) > len(rows)
    same(listed("od.alpha"), [])        # no label of its own
    same(listed(host("good").upper()), [r for r in rows if host("good")
                                        in r[0]])
    r = tool_run("store", "--json", "flush", domain("good"))
    same(r.code, 0)
    same(r.json, {"all": False, "domain": domain("good"),
                  "flushed": len(rows)})
    same(listed(domain("good")), [])
    same(route("s1")[0], False)
    same(route("good")[0], True)
    r = tool_run("store", "flush", domain("good"))
    same((r.code, r.out), (0, "%d answers about %s are forgotten\n" % (
        len(rows), domain("good"))))


def test_flush_all():
    """flush --all leaves nothing"""
    fresh()
    route("good")
    route("s1")
    r = tool_run("store", "flush", "--all", "--json")
    same(r.json, {"all": True, "domain": None, "flushed": None})
    same(listed(), [])
    same((route("good")[0], route("s1")[0]), (True, True))


def test_mistakes():
    """bad command lines are exit 2, with one line"""
    fresh()
    for args, text in (([], "want list or flush"),
                       (["empty"], "empty: want list or flush"),
                       (["flush"], "want a domain or --all"),
                       (["flush", "a.example", "--all"], "want a domain"),
                       (["list", "--all"], "--all goes with flush"),
                       (["list", "a", "b"], "one domain is enough"),
                       (["list", "a..b"], "a..b"),
                       (["flush", "a..b"], "a..b"),
                       (["list", "--users", "x"], "no such option")):
        r = tool_run("store", *args)
        same((r.code, r.out), (2, ""), str(args))
        has(r.err, text)
        same(r.err.count("\n"), 1)


def refused(text):
    """One line with this, and DNS is asked each time."""
    for _ in range(2):
        asked, err = route()
        same(asked, True)
        has(err, text)
        same(err.count("\n"), 1)
    r = tool_run("store", "list")
    same((r.code, r.out), (2, ""))
    has(r.err, text)


def test_mode():
    """a directory that others can enter is not used"""
    for mode in (0o755, 0o770, 0o1700, 0o500):
        fresh(mode)
        refused("mode %04o: want %d, 0700" % (mode, MAIL.pw_uid))


def test_owner():
    """another user's directory is not used"""
    fresh(0o755, OTHER)
    refused("owner %d" % pwd.getpwnam(OTHER).pw_uid)


def test_link():
    """a symbolic link is not followed"""
    fresh()
    os.rename(DIR, RUN + "/real")
    os.symlink(RUN + "/real", DIR)
    try:
        asked, err = route()
        same((asked, err.count("\n")), (True, 1))
        has(err, "it is not used")
    finally:
        clean()


def test_disk():
    """a directory that is not on a tmpfs is not used"""
    fresh()
    disk = tempfile.mkdtemp(dir=os.path.dirname(TOOL))
    parts = ["%s/%s" % (disk, n) for n in ("lower", "upper", "work")]
    for part in parts:
        os.mkdir(part)
        os.chmod(part, 0o700)
        os.chown(part, MAIL.pw_uid, MAIL.pw_gid)
    subprocess.run(["mount", "-t", "overlay", "-o",
                    "lowerdir=%s,upperdir=%s,workdir=%s" % tuple(parts),
                    "overlay", DIR], check=True)
    try:
        refused("want a tmpfs")
        same(os.listdir(DIR), [])
    finally:
        subprocess.run(["umount", DIR], check=True)
        shutil.rmtree(disk)


def test_full():
    """on a tmpfs that is full the answers are right, one line says so"""
    fresh()
    subprocess.run(["mount", "-t", "tmpfs", "-o",
                    "size=64k,mode=700,uid=%d,gid=%d" % (
                        MAIL.pw_uid, MAIL.pw_gid), "full", DIR], check=True)
    try:
        ballast = os.open(DIR + "/ballast", os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(ballast, b"x" * 4096)
        except OSError:
            os.close(ballast)
        for _ in range(2):
            asked, err = route()
            same((asked, err.count("\n")), (True, 1))
            has(err, "the answer is not kept")
        os.unlink(DIR + "/ballast")
        same(route(), (True, ""))
        same(route(), (False, ""))
    finally:
        clean()


def test_corrupt():
    """with a damaged file DNS is asked, and the answer is right (D15)"""
    fresh()
    route()
    with open(FILE, "rb") as f:
        whole = f.read()
    at = [i for i in range(len(whole)) if whole[i]]
    rnd = random.Random(1)

    def put(data):
        with open(FILE, "r+b") as f:
            f.truncate(0)
            f.write(data)
    same(route(), (False, ""))
    for _ in range(20):                 # one bit of what is not zero
        data = bytearray(whole)
        data[rnd.choice(at)] ^= 1 << rnd.randrange(8)
        put(data)
        same(route()[1], "")
        listed()
    data = bytearray(whole)
    for i in at[::16]:
        data[i] ^= 0x40
    put(data)
    same(listed(), [])
    same(route(), (True, ""))
    for data in (whole[:at[0] + 50], rnd.randbytes(200000), b"x"):
        put(data)
        same(listed(), [])
        same(route(), (True, ""))
        same(route(), (False, ""))


def test_file():
    """a file that is not the user's alone is not used"""
    def fifo():
        os.mkfifo(FILE, 0o600)
        os.chown(FILE, MAIL.pw_uid, MAIL.pw_gid)

    def plain(uid, mode, links=1):
        with open(FILE, "w"):
            pass
        os.chown(FILE, uid, MAIL.pw_gid)
        os.chmod(FILE, mode)
        if links > 1:
            os.link(FILE, FILE + "x")
    for make in (fifo, lambda: plain(MAIL.pw_uid, 0o644),
                 lambda: plain(MAIL.pw_uid, 0o600, 2),
                 lambda: plain(pwd.getpwnam(OTHER).pw_uid, 0o666),
                 lambda: os.mkdir(FILE),
                 lambda: os.symlink("/etc/hostname", FILE)):
        fresh()
        make()
        refused("it is not used")


def later(seconds):
    """unshare(1) for a process that sees this much more of CLOCK_BOOTTIME."""
    return ["unshare", "--time", "--boottime", str(seconds), "--fork"]


def test_ttl():
    """nothing is used past its TTL, nor after another boot (D15)"""
    fresh()
    route()
    same(route()[0], False)
    # what is proven not to be there has 60 seconds in this zone (RFC 2308 5)
    same(route(before=later(50))[0], False)
    same(route(before=later(70))[0], True)
    fresh()
    route()
    rows = listed()
    assert (domain("good"), "MX", "secure") in listed(before=later(280))
    same(listed(before=later(301)), [])
    same(listed(before=later(-3)), [])  # made in the future
    same(listed(), rows)
    same(route(before=later(301))[0], True)
    fresh()
    route()
    same(route(before=later(-3))[0], True)


def test_bogus():
    """what is bogus or failed is not kept (D03 D06)"""
    fresh()
    for ident in ("mxbogus", "slow"):
        for _ in range(2):
            with Asked() as asked:
                r = tool_run("route", "--json", domain(ident))
            same(r.json["routes"][0]["outcome"], "defer")
            assert asked.about(domain(ident))
        assert not [r for r in listed(domain(ident)) if r[1] == "MX"]


def test_other_conf():
    """another configuration of the resolver does not share the answers"""
    fresh()
    route()
    same(route()[0], False)
    other = conf("other.conf", " limits: { aliases = 7; };")
    same(route(config=other)[0], True)
    same(route(config=other)[0], False)
    same(route()[0], False)


def test_parallel():
    """many processes at once have the right answers"""
    fresh()
    config = conf()
    names = [domain(i) for i in ("good", "s1", "rollover", "usage2")]
    running = [subprocess.Popen(
        SETPRIV + [TOOL, "route", "--json", "--config", config, *names],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/")
        for _ in range(12)]
    for p in running:
        out, err = p.communicate(timeout=60)
        same((p.returncode, err), (0, ""))
        same([r["hosts"][0]["verdict"] for r in json.loads(out)["routes"]],
             ["dane"] * len(names))
    same(route()[0], False)


if __name__ == "__main__":
    sys.exit(tool.main(clean))

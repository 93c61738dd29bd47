# SPDX-License-Identifier: ISC
"""danevirke web, in the world of check.conf; tests/cli/run starts it.  It runs
as a user of its own, from what is installed; website.py talks to it."""

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import tool  # noqa: E402
from asked import wait_for  # noqa: E402
from check import CONF, MAP, domain, shape  # noqa: E402
from pages import B, MODULES, SHOTS, blocks, browser, timeless  # noqa: E402
from tool import has, path, run, same, write  # noqa: E402
from website import (  # noqa: E402
    HOST, NOBODY, PORT, PROGRAM, Site, answer, config, everything)

OURS = "11.0.0.25"          # an address of this machine
FIFTY = [k for k in MAP if not k.startswith("w")][:50]


class Nobody:
    """Whoever is asked or connected to here has been found by a stranger."""

    PLACES = [(socket.AF_INET, a) for a in ("127.0.0.1", "10.0.0.1", OURS)] + [
        (socket.AF_INET6, "fd00::10")]

    def __init__(self):
        self.came, self.socks, self.over = [], [], False
        for family, a in self.PLACES:
            for kind, port in ((socket.SOCK_STREAM, 25),
                               (socket.SOCK_STREAM, 53),
                               (socket.SOCK_DGRAM, 53)):
                s = socket.socket(family, kind)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.setsockopt(socket.SOL_IP, 15, 1)          # IP_FREEBIND
                s.bind((a, port))
                s.settimeout(0.2)
                if kind == socket.SOCK_STREAM:
                    s.listen()
                self.socks.append(s)
                threading.Thread(target=self.wait, args=(s, (a, port)),
                                 daemon=True).start()

    def wait(self, s, at):
        while not self.over:
            try:
                if s.type == socket.SOCK_STREAM:
                    s.accept()[0].close()
                else:
                    s.recv(4096)
                self.came.append(at)
            except socket.timeout:
                continue
            except OSError:
                return

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        time.sleep(0.3)
        for s in self.socks:
            s.close()


def prepare():
    for cmd in ("route add local 10.0.0.0/8 dev lo",
                "-6 route add local fd00::/64 dev lo",
                "addr add %s/32 dev lo" % OURS):
        subprocess.run(["ip"] + cmd.split(), check=True)


# ------------------------------------------------------------------ the site

def test_form():
    """the form and what belongs to it, with what browsers should obey"""
    with Site() as s:
        r = s.get("/")
        same((r.status, r.headers["Content-Type"], r.headers["Cache-Control"]),
             (200, "text/html; charset=utf-8", "no-store"))
        has(r.body, '<form action="check">')
        has(r.body, 'name="domain"')
        has(r.headers["Content-Security-Policy"], "default-src 'none'")
        assert "<script" not in r.body and "http" not in r.body
        h = s.get("/", method="HEAD")
        same((h.status, h.body, h.headers["Content-Length"]),
             (200, "", str(len(r.body))))
        same(s.get("/style.css").headers["Content-Type"],
             "text/css; charset=utf-8")
        has(s.get("/robots.txt").body, "Disallow: /check")
        same(s.get("http://web.example/").status, 200)
        same(s.checks(), [])


def test_result():
    """a result is what check says, as a page and as JSON, with a way back"""
    with Site("--client", "100") as s:
        for ident in ("two", "wrong", "nullmx"):
            r = s.result(domain(ident))
            same((r.status, r.headers["Cache-Control"]), (200, "no-store"))
            has(r.body, '<a href="./">')
            found, = blocks(r.body)
            j = s.check(domain(ident), "check.json")
            c, = j.json["checks"]
            shape(c)
            same(found[1], c)
            own, = blocks(run("check", "--config", CONF, "--helo",
                              "web.example", "--html", domain(ident)).out)
            same(timeless(found[0]), timeless(own[0]), ident)
            same(timeless(c), timeless(own[1]), ident)
            h = s.get("/check?domain=" + domain(ident), method="HEAD")
            same((h.status, h.body), (200, ""))
        # any spelling of it is the same check
        r = s.check(" %s. " % domain("two").upper())
        same(r.status, 200)
        same(s.said().count(": done after"), 3)


def test_names():
    """a name goes in as check takes it, and out as text only (W07)"""
    with Site("--client", "100") as s:
        for bad, status in (("", 400), ("a..b", 400), ("a" * 64 + ".b", 400),
                            ("<script>alert(1)</script>", 400),
                            ("x" * 600, 400), ("a\x00b", 400),
                            ("a\r\nSet-Cookie: x", 400), ("\x1b[31m", 400)):
            r = s.check(bad)
            same(r.status, status, bad)
            assert "<script" not in r.body and "Set-Cookie" not in r.headers
            j = s.check(bad, "check.json")
            same((j.status, set(j.json)), (400, {"error"}))
        same(s.checks(), [])
        r = s.result("bücher.alpha", "check.json")
        same(r.json["checks"][0]["domain"], "xn--bcher-kva.alpha")


def test_nothing_to_choose():
    """an address, a port, any option but a domain is refused (W07)"""
    with Site("--client", "100") as s:
        for name in ("127.0.0.1", "[127.0.0.1]", "[IPv6:::1]", "::1",
                     "fd00::10", "10.0.0.1"):
            r = s.check(name)
            same(r.status, 400, name)
        name = domain("good")
        for query in ("domain=%s&port=2525", "port=25&domain=%s",
                      "domain=%s&domain=%s" % (name, "%s"), "Domain=%s",
                      "domain=%s%%3a25", "domain=%s%%20--port=26", "", "%s",
                      "domain=%s%%zz", "domain=%s%%2"):
            if "%s" in query:
                query %= name
            for page in ("check", "check.json"):
                same(s.get("/%s?%s" % (page, query)).status, 400, query)
        same(s.get("/check").status, 400)
        same((s.checks(), s.said().count("after")), ([], 0))


def test_root():
    """root is told who should run it, and exit status 2"""
    r = run("web", "--config", CONF)
    same(r.code, 2)
    has(r.err, "not as root")


def test_options():
    """a wrong option is refused: what was found, what is wanted"""
    for args, text in (
            (["--listen", "8025"], "want an address and a port"),
            (["--listen", "127.0.0.1"], "want an address and a port"),
            (["--listen", "/" + "x" * 108], "want an address and a port"),
            (["--proxy", "10.0.0.1/8"], "without bits behind its length"),
            (["--proxy", "nginx"], "want an address"),
            (["--limit", "61"], "want a number, 1 to 60"),
            (["--keep", "0"], "want a number, 1 to 3600"),
            (["example.org"], "asked for in the browser")):
        r = run("web", "--config", CONF, *args)
        same(r.code, 2, args)
        has(r.err, text)
    for args, text in ((["--helo", "a b"], "want a host name"),
                       (["--connections", "10000"], "open files")):
        p = subprocess.run(
            [PROGRAM, "web", "--config", config(), *args], user=NOBODY,
            group=NOBODY, extra_groups=[], stderr=subprocess.PIPE, text=True,
            timeout=20, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_NOFILE, (1024, 1024)))
        same(p.returncode, 2)
        has(p.stderr, text)
    r = run("web", "--help")
    has(r.out, "60 if not given, and at most")


# -------------------------------------------------- where nobody is led to

def test_private():
    """an MX with a private address, or of this machine, is not connected to,
    and no name server there is asked (W01)"""
    with Nobody() as n, Site("--client", "100") as s:
        for ident, said in (("wloopback", None), ("wprivate", "10.0.0.1"),
                            ("wprivate", "fd00::10"), ("wmapped", None),
                            ("wourselves", OURS), ("wbeside", "10.0.0.1")):
            r = s.result(domain(ident))
            same(r.status, 200, ident)
            c, = s.check(domain(ident), "check.json").json["checks"]
            shape(c)
            if said is not None:
                has(r.body, "not connected to: private address")
                f, = [x for x in c["findings"] if x["address"] == said]
                same((f["row"], f["severity"]), ("W01", "warning"))
            if ident != "wbeside":
                assert not any(a["tested"] for h in c["hosts"]
                               for a in h["addresses"]), ident
                assert c["verdict"] in ("problem", "untested")
            else:
                same([a["tested"] for a in c["hosts"][0]["addresses"]
                      if a["address"] != said], [True])
        c, = s.result(domain("wserver"), "check.json").json["checks"]
        same(c["dane"], "full")
        assert any(x["server"] == "private.alpha" for x in c["findings"])
        time.sleep(0.5)
        same(n.came, [])
        # it would have been seen
        run("check", "--limit", "5", "--config", CONF, domain("wprivate"))
        wait_for(lambda: {("10.0.0.1", 25), ("fd00::10", 25)} <= set(n.came))
        run("check", "--limit", "5", "--config", CONF, domain("wserver"))
        wait_for(lambda: ("10.0.0.1", 53) in n.came)


def test_public_alone():
    """check --public says and does the same (W01)"""
    conf = config()
    with Nobody() as n:
        r = run("check", "--public", "--config", conf, domain("wprivate"))
        same(r.code, 1)
        has(r.out, "not connected to: private address")
        same(n.came, [])
        # without leave for the lab its own servers are private, too
        r = run("check", "--public", "--config", CONF, domain("good"))
        has(r.out, "not connected to: private address")


# ------------------------------------------------------------------- limits

def test_refused():
    """other methods, and what is no HTTP, are refused (W06)"""
    with Site() as s:
        for m in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "get"):
            r = s.get("/", method=m)
            same((r.status, r.headers["Allow"]), (405, "GET, HEAD"))
        for octets, status in (
                (b"\r\n\r\n", 400), (b"GET /\r\n\r\n", 400),
                (b"GET  / HTTP/1.1\r\n\r\n", 400),
                (b"GET / HTTP/1.1 \r\n\r\n", 400),
                (b"GET / HTTP/2.0\r\n\r\n", 505),
                (b"GET / HTTP/1.1\r\n folded: x\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n", 400),
                (b"GET / HTTP/1.1\nA: b\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 400),
                (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
                (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404),
                (b"GET /check.html HTTP/1.1\r\n\r\n", 404),
                (b"GET * HTTP/1.1\r\n\r\n", 404),
                (b"CONNECT a:25 HTTP/1.1\r\n\r\n", 405),
                (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
                (b"GET / HTTP/1.1\r\nA: " + b"x" * 9000 + b"\r\n\r\n", 431),
                (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 2000 + b"\r\n", 431),
                (b"x" * 100000, 431), (bytes(range(256)) * 40, 431),
                (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400)):
            same(answer(s.raw(octets)).status, status, octets[:60])
        same(s.get("/").status, 200)


def test_slow():
    """who is slow, or silent, is cut off, and delays nobody (W06)"""
    with Site("--proxy", HOST, "--connections", "210") as s:
        began = time.time()
        silent = [s.connect() for _ in range(100)]
        dripping = [s.connect() for _ in range(99)]
        unread = s.connect()
        unread.sendall(b"GET / HTTP/1.1\r\n\r\n")
        time.sleep(0.5)
        files, resident = s.files(), s.resident()
        for i in range(5):
            for x in dripping:
                x.sendall(b"GET / HTTP/1.1\r\nX: "[i:i + 1])
            t = time.time()
            same(s.get("/").status, 200)
            assert time.time() - t < 1, time.time() - t
            time.sleep(1)
        assert s.resident() - resident < 4096, (resident, s.resident())
        # a full house: the next one waits for a place
        more = [s.connect() for _ in range(15)]
        same(answer(s.raw(b"GET / HTTP/1.1\r\n\r\n")).status, 200)
        assert time.time() - began < 14, time.time() - began
        for x in silent + dripping:
            try:
                x.settimeout(12)
                same(x.recv(1), b"")
            except ConnectionResetError:
                pass
        assert time.time() - began < 20
        for x in silent + dripping + more + [unread]:
            x.close()
        wait_for(lambda: s.files() < files - 190, 2)


def test_half_closed():
    """who closes his side behind the request is answered (W06)"""
    with Site() as s:
        for octets, status in ((b"GET / HTTP/1.1\r\n\r\n", 200),
                               (b"x" * 9000, 431)):
            with s.connect() as c:
                c.sendall(octets)
                c.shutdown(socket.SHUT_WR)
                same(answer(everything(c)).status, status)
        with s.connect() as c:      # and one that is half is not
            c.sendall(b"GET / HTTP/1.1\r\n")
            c.shutdown(socket.SHUT_WR)
            same(everything(c), b"")


def test_one_client():
    """one client has an eighth of the connections, and a proxy all (W03)"""
    with Site("--connections", "64") as s:
        held = [s.connect() for _ in range(8)]
        time.sleep(0.2)
        same(s.raw(b"GET / HTTP/1.1\r\n\r\n"), b"")
        held.pop().close()
        time.sleep(0.2)
        same(s.get("/").status, 200)
        for x in held:
            x.close()


def test_limits():
    """a client, and all of them, begin so many checks a minute (W03)"""
    with Site("--client", "3", "--all", "5", "--proxy", HOST) as s:
        who = {"X_Forwarded_For": "192.0.2.1"}
        for i in range(3):
            same(s.check("a%d.alpha" % i, **who).status, 202)
        for page in ("check", "check.json"):
            r = s.check("b.alpha", page, **who)
            same(r.status, 429)
            assert 1 <= int(r.headers["Retry-After"]) <= 60
        has(r.json["error"], "again in")
        # what is there already costs nothing
        assert s.check("a0.alpha", **who).status in (200, 202)
        for i in range(2):
            same(s.check("c%d.alpha" % i, X_Forwarded_For="192.0.2.9").status,
                 202)
        r = s.check("d.alpha", X_Forwarded_For="192.0.2.10")
        same(r.status, 503)
        assert 1 <= int(r.headers["Retry-After"]) <= 60
        # one line, and not who it was
        same(s.said().count("refused"), 1)
        assert "192.0.2" not in s.said()


def test_forwarded():
    """X-Forwarded-For counts from a proxy only, and its last stranger (W04)"""
    with Site("--client", "1", "--all", "1000") as s:
        same(s.check("a.alpha", X_Forwarded_For="192.0.2.1").status, 202)
        same(s.check("b.alpha", X_Forwarded_For="192.0.2.2").status, 429)
    with Site("--client", "1", "--all", "1000", "--proxy", HOST,
              "--proxy", "192.0.2.128/25") as s:
        for i, (forged, status) in enumerate((
                ("192.0.2.1", 202), ("192.0.2.1", 429),
                ("198.51.100.7, 192.0.2.1", 429), ("junk, 192.0.2.1", 429),
                ("192.0.2.1, 192.0.2.129", 429), ("192.0.2.1:4711", 429),
                ("192.0.2.2", 202), ("::ffff:192.0.2.2", 429),
                ("2001:db8::1", 202), ("2001:db8::ffff:2", 429),
                ("[2001:db8::3]:99", 429), ("2001:db8:0:1::1", 202),
                ("junk", 202), ("", 429), ("192.0.2.3, nonsense", 429),
                ("192.0.2.4" + ", 192.0.2.129" * 300, 202))):
            r = s.check("n%d.alpha" % i, X_Forwarded_For=forged)
            same(r.status, status, forged[:60])


def test_queue():
    """who waits is told the place, and too many are refused (W02 W03)"""
    slow = [domain(x) for x in ("slow", "stall", "stall2")]
    with Site("--checks", "1", "--queue", "2", "--client", "100",
              "--limit", "4") as s:
        r = s.check(slow[0])
        same((r.status, r.headers["Refresh"]), (202, "2"))
        has(r.body, "under way")
        for place, name in enumerate(slow[1:], 1):
            r = s.check(name)
            same((r.status, r.headers["Refresh"]), (202, "2"))
            has(r.body, "place %d in the queue" % place)
            same(s.check(name, "check.json").json,
                 {"state": "waiting", "place": place})
        same(s.check(slow[0], "check.json").json, {"state": "running"})
        r = s.check(domain("good"))
        same((r.status, r.headers["Retry-After"]), (503, "10"))
        same(len(s.checks()), 1)
        assert s.result(slow[0]).status in (200, 504)
        for _ in range(50):     # its process ends behind its result
            if s.check(slow[2], "check.json").json.get("place") != 2:
                break
            time.sleep(0.1)
        has(s.check(slow[2]).body, "place 1 in the queue")
        same(s.check(domain("good")).status, 202)


def test_together():
    """twenty who ask at once share one check, whose result is kept (W02)"""
    with Site("--keep", "2") as s:
        got = []
        t = [threading.Thread(target=lambda: got.append(
            s.result(domain("rollover"), "check.json").body))
            for _ in range(20)]
        for x in t:
            x.start()
        for x in t:
            x.join()
        same((len(got), len(set(got))), (20, 1))
        same(s.said().count(domain("rollover")), 1)
        time.sleep(2.5)
        r = s.check(domain("rollover"), "check.json")
        same(r.status, 202)
        assert s.result(domain("rollover"), "check.json").body != got[0]
        same(s.said().count(domain("rollover")), 2)


def test_killed():
    """a check that hangs is killed at its limit, with all below it (W05)"""
    with Site("--limit", "3", "--checks", "1", "--client", "100") as s:
        same(s.check(domain("slow")).status, 202)
        pid, = s.checks()
        os.kill(pid, signal.SIGSTOP)
        began = time.time()
        r = s.result(domain("slow"))
        assert 1.5 < time.time() - began < 5, time.time() - began
        same(r.status, 504)
        has(r.body, "the time for a check was over")
        wait_for(lambda: not s.children(), 2)
        # its neighbours have lost nothing
        same(s.result(domain("good")).status, 200)
        # and what ends by itself in time has a result
        c, = s.result(domain("wrong"), "check.json").json["checks"]
        same(c["verdict"], "problem")


def runs(pid):
    try:
        with open("/proc/%s/stat" % pid) as f:
            return ") Z " not in f.read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_end():
    """SIGTERM ends it at once, and everything below it"""
    where = path("run")
    os.mkdir(where)
    os.chown(where, NOBODY, NOBODY)
    sock = where + "/web.sock"
    with Site(listen=sock) as s:
        for x in ("slow", "stall", "down"):
            same(s.check(domain(x)).status, 202)
        half = s.connect()
        half.sendall(b"GET / HT")
        time.sleep(0.5)
        below = s.children()
        assert len(below) >= 6, below
        began = time.time()
        same(s.end(), 0)
        assert time.time() - began < 3
        wait_for(lambda: not any(map(runs, below)), 2)
        same(os.listdir(where), [])
        half.close()


def test_socket():
    """it listens at a path, where who connects is a proxy (W04)"""
    sock = path("run") + "/web.sock"
    for _ in range(2):    # one that nobody listens at is in nobody's way
        with Site("--client", "1", listen=sock) as s:
            same(s.get("/").status, 200)
            for i, status in ((1, 202), (1, 429), (2, 202)):
                same(s.check("n%d-%d.alpha" % (i, status),
                             X_Forwarded_For="192.0.2.%d" % i).status, status)
            s.end(signal.SIGKILL)


LUA = """
local n, names = 0, {%s}
request = function()
  n = n + 1
  return wrk.format("GET", "/check?domain=" .. names[n %% #names + 1], {
    ["X-Forwarded-For"] = "192.0.2." .. n %% 200, ["Connection"] = "close"})
end
local bad = {}
response = function(status)
  if status ~= 200 and status ~= 202 then
    io.stderr:write("status " .. status .. "\\n")
  end
end
"""


def test_many():
    """10,000 requests of 200 connections for 50 domains: all are answered, and
    nothing is left behind (W02 W03 W05)"""
    names = [domain(x) for x in FIFTY]
    same(len(set(names)), 50)
    script = write("many.lua", LUA % ", ".join('"%s"' % x for x in names))
    with Site("--proxy", HOST, "--all", "1000", "--checks", "16",
              "--client", "100") as s:
        same(s.get("/").status, 200)
        files, done = s.files(), 0
        end = time.time() + 60
        while done < 10000:
            p = subprocess.run(
                ["wrk", "-c", "200", "-t", "2", "-d", "2s", "--timeout", "10s",
                 "-s", script, "http://%s:%d" % (HOST, PORT)],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                timeout=60)
            same((p.returncode, p.stderr[:200]), (0, ""))
            assert "Socket errors" not in p.stdout, p.stdout
            done += int(re.search(r"(\d+) requests in", p.stdout).group(1))
            assert time.time() < end, done
        for x in names:
            r = s.result(x, "check.json", X_Forwarded_For="192.0.2.1")
            same(r.status, 200, x)
            c, = r.json["checks"]
            same(c["domain"], x.lower())
        for _ in range(40):
            if not s.children():
                break
            time.sleep(0.2)
        same(s.children(), {})
        # each once, and perhaps once more if a minute has passed
        assert 50 <= s.said().count(" after ") <= 100, s.said()
        assert s.files() <= files, (files, s.files())
        kib = s.resident()
        print("    %d requests, %d KiB resident" % (done, kib))
        if not s.sanitized():   # its allocator keeps what is freed
            assert kib < 65536, kib


if shutil.which("wrk") is None:
    print("skipped: 10,000 requests: wrk is not there")
    del test_many


# ------------------------------------------------------------------ a browser

def shot(name):
    if SHOTS:
        B.shot(to="%s/web-%s.png" % (SHOTS, name))


@browser
def test_seen():
    """in a browser: a domain is typed, its picture comes by itself"""
    with Site("--client", "100", "--checks", "1") as s:
        same(s.check(domain("slow")).status, 202)
        before, = s.checks()
        os.kill(before, signal.SIGSTOP)     # a browser may need some time
        B.open(url="http://%s/" % s.at)
        same(B.axe(), [])
        shot("form")
        B.type_into(what="#domain", text=domain("wrong"))
        B.press(key="Enter")
        B.comes(text="place 1 in the queue")
        same(B.axe(), [])
        shot("queue")
        os.kill(before, signal.SIGCONT)
        B.comes(text="DANE is broken")
        same(B.eval(code="document.querySelectorAll('.picture svg').length"),
             1)
        same(B.axe(), [])
        shot("result")
        B.click(what="nav a")
        B.comes(text="Test it")
        same(B.said(), [])
        # and without scripts
        B.open(url="http://%s/check?domain=%s" % (s.at, domain("wrong")),
               js=False)
        has(B.text(), "DANE is broken")


if __name__ == "__main__":
    if MODULES is None:
        print("skipped: what a browser shows: node, npm and chromium, and "
              "what npm fetches, are not all there")
        del test_seen
    sys.exit(tool.main(clean=B.end, prepare=prepare))

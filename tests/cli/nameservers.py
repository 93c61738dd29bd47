# SPDX-License-Identifier: ISC
"""danevirke check asks every name server (L14) and tells insecure from
unsigned (L15), in the world of nameservers.conf; tests/cli/run starts it."""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lab"))
import dnswire  # noqa: E402
import tool  # noqa: E402
import world  # noqa: E402
from check import (MAP, check, domain, found, one, shape)  # noqa: E402
from tool import has, run, same, write  # noqa: E402

SECOND = world.SERVERS["second"]
DAY = 86400
NS = {kind: ("%s.alpha" % kind, address)
      for kind, address in world.SERVERS.items()}
NS["parent"] = ("a.nic.alpha", world.TLD["alpha"])


def servers(c, row="L14"):
    """{(name, address): [text]} of the name servers that are warned of."""
    out = {}
    for x in c["findings"]:
        if x["row"] == row:
            assert x["severity"] == "warning" and x["host"] is None, x
            out.setdefault((x["server"], x["address"]), []).append(x["text"])
    return out


def faulty(ident, kind, *parts, verdict=("warning",)):
    """One server is named, with each part in a text of its own."""
    c = one(ident)
    assert c["verdict"] in verdict, c
    same(c["name_servers_faulty"], 1, ident)
    rows = servers(c)
    same(set(rows), {NS[kind]}, c["findings"])
    texts = rows[NS[kind]]
    same(len(texts), len(parts), texts)
    for part in parts:
        assert any(part in t for t in texts), (part, texts)
    has(check(domain(ident)).out, "warning L14 name server %s [%s]: %s" % (
        *NS[kind], texts[0]))
    return c


# ------------------------------------------------------------- all is well

def test_well():
    """where all is well, nothing is said, and it is soon known (L14)"""
    # the zone's servers, and those that delegate it
    for ident, servers_asked in (("well", 3), ("wellnsec3", 4),
                                 ("wellbig", 3), ("wellserial", 3)):
        began = time.monotonic()
        c = one(ident, "--dns-only")
        assert time.monotonic() - began < 3, ident
        same(found(c), [("L08", "mx2", None)] * 2 if ident == "wellbig" else
             [], ident)
        same([x for x in c["findings"] if x["row"] in ("L14", "L15")], [])
        same((c["name_servers"], c["name_servers_faulty"]),
             (servers_asked, 0), ident)
    same(servers(one("wellplain")), {})
    # a survey does not ask them
    r = run("survey", "--dns-only", "--config", os.environ["DV_LAB_CONF"],
            stdin=domain("refused") + "\n")
    shape(r.json, survey=True)
    same((r.json["verdict"], r.json["name_servers"]), ("good", None))


# ------------------------------------------------------------- each by itself

def test_lame():
    """a server that refuses or refers upwards is lame (L14)"""
    faulty("refused", "lame", "REFUSED to every question")
    faulty("upwards", "upward", "does not serve upwards.alpha (lame)")


def test_silent():
    """a server that answers nothing, or is not there, is named (L14)"""
    c = faulty("silent", "drop", "does not answer for silent.alpha")
    advice, = {f["advice"] for f in c["findings"] if f["row"] == "L14"}
    for part in ("UDP and TCP", "ip-address", "firewall"):
        has(advice, part)
    faulty("nobody", "dead", "does not answer for nobody.alpha: Connection "
           "refused")


def test_all_lame():
    """where no server serves the zone the parent tells whom to ask (D06
    L14)"""
    c = one("alllame")
    same(c["verdict"], "problem")
    has(servers(c)[NS["lame"]][0], "REFUSED to every question")


def test_questions():
    """NOTIMP, silence and garbage to one kind of question are found (L14)"""
    owner = "TLSA _25._tcp.mx1.%s"
    faulty("notimp", "front", "answers NOTIMP to " + owner %
           domain("notimp"))
    faulty("drops", "front", "answers others, but no question for " + owner %
           domain("drops"))
    faulty("garbage", "front", "no DNS reply to A mx1." + domain("garbage"))


def test_signatures():
    """signatures that are bad, missing or unproven are found (L12 L14)"""
    faulty("badsig", "front", "bad signatures: TLSA _25._tcp.mx1")
    faulty("badkeys", "front", "bad signatures: DNSKEY badkeys.alpha")
    faulty("stripsig", "front", "no signature with MX stripsig.alpha")
    faulty("stripdenial", "front", "no signature with AAAA mx1")


# ----------------------------------------------------------------- the data

def test_other_data():
    """other MX records and other addresses are found (L14)"""
    for ident, what in (("othermx", "other MX records of othermx.alpha"),
                        ("otheraddress", "other A records of mx1.")):
        c = one(ident)
        rows = servers(c)
        # of two that differ, neither is the right one: both are named
        (at, (text,)), = rows.items()
        has(text, what)
        other = NS["ns"] if at == NS["front"] else NS["front"]
        has(text, "%s [%s]" % other)


class Second:
    """A name server with copies of zones, each changed and signed anew."""

    def __init__(self):
        self.nsd = None
        self.zones = []

    def add(self, ident, change=lambda text: text, first=-DAY, last=30 * DAY,
            key=None):
        """Serves the zone of a scenario."""
        name = domain(ident) + "."
        lab = os.path.join(os.environ["DV_LAB_DIR"], "zones", name + "zone")
        with open(lab) as f:
            rows = [x for x in f if not re.search(
                r"\t(RRSIG|NSEC|NSEC3|NSEC3PARAM|DNSKEY)\t", x)]
        file = write(name + "zone", change("".join(rows)))
        now = int(time.time())
        subprocess.run(
            ["ldns-signzone", "-i", str(now + first), "-e", str(now + last),
             "-o", name, "-f", file + ".signed", file, key or lab + ".k"],
            check=True, stdout=subprocess.DEVNULL)
        self.zones.append((name, file + ".signed"))

    def start(self):
        own = tool.path("second")
        os.makedirs(own)
        write("second.conf", 'server:\n ip-address: %s@53\n server-count: 1\n'
              ' username: ""\n database: ""\n zonesdir: ""\n'
              ' zonelistfile: "%s/list"\n xfrdfile: "%s/xfrd"\n'
              ' xfrdir: "%s"\n pidfile: ""\n minimal-responses: no\n'
              'remote-control:\n control-enable: no\n' % (
                  SECOND, own, own, own) + "".join(
                  'zone:\n name: "%s"\n zonefile: "%s"\n' % z
                  for z in self.zones))
        self.nsd = subprocess.Popen(
            ["nsd", "-d", "-c", tool.path("second.conf")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                socket.create_connection((SECOND, 53), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("nsd is not up")

    def stop(self):
        if self.nsd:
            self.nsd.terminate()
            self.nsd.wait(5)


SECOND_SERVER = Second()


def serial(n):
    return lambda text: re.sub(r"(SOA\t\S+ \S+) 1 ", r"\1 %d " % n, text)


def without(pattern):
    def change(text):
        rows = text.splitlines(True)
        kept = [x for x in rows if not re.search(pattern, x)]
        assert len(kept) == len(rows) - 1, (pattern, text)
        return serial(4294967290)("".join(kept))    # just before 1
    return change


def prepare():
    s = SECOND_SERVER
    s.add("wellserial", serial(2))
    s.add("othertlsa", without(r"\tTLSA\t3 1 1 baba"))
    s.add("notlsa", without(r"\tTLSA\t"))
    s.add("ended", first=-40 * DAY, last=-10 * DAY)
    s.add("early", first=10 * DAY, last=40 * DAY)
    other = world.Key(domain("otherkeys") + ".", tool.path("other"))
    s.add("otherkeys", key=other.path)
    s.start()


def test_old_zone():
    """an older copy of the zone, signed well, is found (L14)"""
    for ident, what in (("othertlsa", "has other TLSA records of"),
                        ("notlsa", "lacks the TLSA records of")):
        # whichever of them the resolver has asked
        c = faulty(ident, "second", what, verdict=("warning", "problem"))
        text, = servers(c)[NS["second"]]
        has(text, "ns.alpha [%s]" % world.LEAF)
        has(text, "(serial 4294967290 here, 1 there)")


def test_old_signatures():
    """signatures that have ended, or begin in the future, are found (L12
    L14)"""
    faulty("ended", "second", "old signatures, which ended on 20")
    faulty("early", "second", "signatures that begin in the future")


def test_other_keys():
    """DNSKEY records that the parent knows nothing of are found (L14)"""
    c = one("otherkeys")
    texts = servers(c)
    same(set(texts), {NS["second"]})
    text = "\n".join(texts[NS["second"]])
    has(text, "other DNSKEY records for otherkeys.alpha: no DS record")
    has(text, "signatures by keys that are not in the zone")


# ----------------------------------------------------------- the delegation

def test_delegation():
    """name servers in the zone only, or in its parent only, are found (L14)"""
    for ident, text in (("untold", "in the zone itself, but not in the "
                         "delegation (a.nic.alpha ["),
                        ("unowned", "in the delegation (a.nic.alpha [")):
        c = one(ident)
        same(c["verdict"], "warning")
        rows = servers(c)
        same(set(rows), {("front.alpha", None)})
        has(rows["front.alpha", None][0], text)
        # and it is asked all the same
        same(c["name_servers"], 3)


def test_never_asked():
    """an NS record does not make this machine ask itself (L14 M12)"""
    for ident, kind, text in (("loopback", "loop", "address that nobody else"),
                              ("noaddress", "nowhere", "without an address")):
        c = one(ident)
        rows = servers(c)
        same(set(rows), {(kind + ".alpha", None)})
        has(rows[kind + ".alpha", None][0], text)
        same(c["name_servers"], 2)


# ------------------------------------------------------------ with forwarders

class Forwarder:
    """Answers as a resolver would; but that the name servers are where nobody
    is: what a network looks like that lets forwarders out only."""

    ADDRESS, NOBODY = "198.18.250.53", "198.18.250.54"

    def __enter__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind((self.ADDRESS, 53))
        self.silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.silent.bind((self.NOBODY, 53))
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.sock.sendto(b"end", (self.ADDRESS, 53))
        self.thread.join(5)
        self.sock.close()
        # what came to the name servers, all of it at once
        self.silent.setblocking(False)
        self.asked = 0
        try:
            while True:
                self.silent.recv(4096)
                self.asked += 1
        except BlockingIOError:
            pass
        self.silent.close()

    def loop(self):
        while True:
            raw, peer = self.sock.recvfrom(4096)
            if raw == b"end":
                return
            self.sock.sendto(self.reply(raw), peer)

    def reply(self, raw):
        query = dnswire.Message(raw)
        name = dnswire.name_text(query.qname)
        labels = name.rstrip(".").split(".") if name != "." else []
        kind = dnswire.NUMBERS.get(query.qtype)
        depth = len(labels) - (kind == "DS")
        server = (world.ROOT if depth < 1 or labels[-1] not in world.TLD else
                  world.TLD[labels[-1]] if depth == 1 or
                  labels[-2] in world.SERVERS or labels[-2] == "nic" else
                  world.LEAF)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(5)
            s.sendto(raw, (server, 53))
            m = dnswire.Message(s.recv(65535))
        for rr in m.answer:
            if kind == "A" and rr.kind == 1 and rr.data[0] == 127:
                rr.data = socket.inet_aton(self.NOBODY)
        m.flags |= 0x0080
        return m.wire()


def test_forwarders():
    """where only forwarders can be reached that is said once, no fault
    (L14)"""
    with open(os.environ["DV_LAB_CONF"]) as f:
        text, n = re.subn(r"root_hints = [^;]*;", 'forward = [ "%s" ];' %
                          Forwarder.ADDRESS, f.read(), 1)
    same(n, 1)
    with Forwarder() as f:
        began = time.monotonic()
        r = run("check", "--json", "--config", write("forward.conf", text),
                domain("well"))
        took = time.monotonic() - began
    c, = r.json["checks"]
    shape(c)
    same((r.code, c["verdict"]), (0, "good"), c["findings"])
    x, = c["findings"]
    same((x["severity"], x["row"], x["server"]), ("note", "L14", None))
    has(x["text"], "could not be asked")
    assert took < 4, took
    assert f.asked > 0


# ----------------------------------------------------- insecure, not unsigned

def texts(c, row):
    return [x for x in c["findings"] if x["row"] == row]


def test_algorithm():
    """a zone signed with what resolvers do not know is found (L15)"""
    c = one("dsalg")
    for row in ("M06", "Q05"):
        x, = texts(c, row)
        has(x["text"], "signed, but in a way that resolvers treat as unsigned")
        has(x["text"], "algorithm 200")
        assert "sign the zone and" not in x["advice"], x


def test_island():
    """a signed zone of which the parent does not know is found (L15)"""
    x, = texts(one("island"), "M06")
    has(x["text"], "signed, but the zone above has no DS record")
    has(x["advice"], "have the zone's DS record published")
    # and the plain case
    x, = texts(one("alias10"), "M06")
    has(x["text"], "alias10.alpha is not signed")


def test_iterations():
    """NSEC3 with 2500 iterations, RFC 9276 3.2, is found (L15)"""
    for ident in ("iterated", "iteratedgood", "iteratednomx"):
        c = one(ident)
        x = texts(c, "L15")[0]
        has(x["text"], "NSEC3 with 2500 iterations")
        has(x["advice"], "0 iterations")
        same("sign this zone" in json.dumps(c), False)
    same(one("iteratedgood")["verdict"], "warning")
    x, = texts(one("iteratednomx"), "M06")
    has(x["text"], "signed, but in a way that resolvers treat as unsigned")


def test_alias():
    """an MX host that is an alias is said to be one (L15 B08 B09 B10)"""
    target = MAP["alias8"]["hosts"]["mx1@u"]["fqdn"].rstrip(".")
    for ident, part in (("alias8", "look for TLSA records at the alias only"),
                        ("alias8dane", "at the alias only"),
                        ("alias9", "at its target first"),
                        ("alias10", "do not ask for TLSA")):
        c = one(ident)
        x, = [x for x in texts(c, "L15") if x["host"]]
        has(x["text"], part)
        has(x["text"], "RFC 2181 10.3")
        has(x["text"], "is an alias of ")
        assert "even ask" not in json.dumps(c), c["findings"]
        if ident == "alias8":
            has(x["text"], target)


# ---------------------------------------------------------------- other forms

def test_forms():
    """--nagios names the server, --prometheus counts (L14)"""
    r = check("--nagios", domain("refused"))
    same(r.code, 1)
    has(r.out, ": lame.alpha [%s] " % world.SERVERS["lame"])
    r = check("--prometheus", domain("refused"), domain("well"))
    rows = dict(re.findall(r'^danevirke_(name_servers\w*\{domain="\w+)\.alpha"'
                           r'\} (\d+)$', r.out, re.M))
    same(rows, {'name_servers{domain="refused': "3",
                'name_servers_faulty{domain="refused': "1",
                'name_servers{domain="well': "3",
                'name_servers_faulty{domain="well': "0"})


def test_big_key():
    """keys that take seconds hold nobody up, and what cannot be told is not
    called bad (D16 L14)"""
    began = time.monotonic()
    p = subprocess.Popen(
        [tool.TOOL, "check", "--json", "--dns-only", "--limit", "10",
         "--module", tool.MODULE, "--config", os.environ["DV_LAB_CONF"],
         domain("bigkey"), domain("well")], stdout=subprocess.PIPE)
    out = json.loads(p.communicate(timeout=60)[0])
    assert time.monotonic() - began < 15
    big, well = out["checks"]
    assert big["verdict"] in ("problem", "untested"), big
    same(servers(big), {})
    same((well["verdict"], well["name_servers_faulty"]), ("good", 0))
    assert well["milliseconds"] < 5000, well["milliseconds"]


def test_limit():
    """--limit ends the questions to name servers, too (L14)"""
    # the resolver picks a name server by chance; if that is the silent one it
    # may have nothing yet when the time is over, and nothing is asked
    for _ in range(20):
        began = time.monotonic()
        c = one("silent", "--limit", "1", "--dns-only")
        assert time.monotonic() - began < 5
        if c["verdict"] != "untested":
            break
    same(c["verdict"], "warning")
    has(json.dumps(c), "not everything was tested")


def test_valgrind():
    """name servers are asked without error and leak"""
    with open(tool.MODULE, "rb") as f:
        if b"__asan_" in f.read():
            return
    real = os.path.join(os.path.dirname(tool.TOOL), ".libs", "danevirke")
    names = [domain(i) for i in ("well", "wellbig", "badsig", "drops",
                                 "loopback", "nobody", "alllame",
                                 "otherkeys")]
    for limit in ("30", "2"):
        p = subprocess.run(
            ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
             "--errors-for-leak-kinds=definite,indirect",
             real if os.path.exists(real) else tool.TOOL, "check",
             "--module", tool.MODULE, "--config", os.environ["DV_LAB_CONF"],
             "--dns-only", "--limit", limit, "--json", *names],
            capture_output=True, text=True, timeout=200)
        # what it says of itself: system calls that it does not know
        same([x for x in p.stderr.splitlines() if not x.startswith("--")], [])
        assert p.returncode in (1, 2), p.returncode


if __name__ == "__main__":
    sys.exit(tool.main(SECOND_SERVER.stop, prepare))

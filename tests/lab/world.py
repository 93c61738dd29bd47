# SPDX-License-Identifier: ISC
"""The lab's Internet: zones signed with ldns-signzone, served by NSD.

    world = World(scenarios, "/mnt/lab")
    world.start()           # inside the namespace that tests/lab/run makes
    ...
    world.stop()

A program that `tests/lab/run --world -- PROGRAM` starts finds the paths in
DV_LAB_* (environment() below, lab.json); one in Python does it so:

    sys.path.insert(0, ".../tests/lab")
    import exim, world
    w = world.attach()
    d = exim.Driver(w)
    d.setup()
    outcome = d.send(w.scenarios["good-3-1-1"])
    rows = w.records("good-3-1-1")
    d.teardown()

Servers, each a process of its own, so that referrals are real:

    127.53.0.1   root
    127.53.1.N   TLDs: alpha (NSEC), beta (NSEC3), gamma (NSEC3 opt-out) and
                 delta (not signed)
    127.53.2.1   every scenario's zones
    127.53.2.2   free for a test's own server (second)
    127.53.3.1   the front: as 127.53.2.1, with faults and a log (faults.py)
    127.53.3.2   lame: REFUSED to everything
    127.53.3.3   lame: refers to the root
    127.53.3.4   bound, never answers
    127.53.4.1   nobody listens

SMTP servers live on 198.18.0.0/15 and fd00:18::/64, which are routed to lo.

Where a scenario has a policy, or uses a profile with MTA-STS, there are also
    198.18.0.80, fd00:18::80   the web server of all policies (policies.py)
    127.0.0.1 8461    a front (policies.py) before
    127.0.0.1 8462    mta-sts-daemon, of postfix-mta-sts-resolver, which asks
                      127.53.3.1 and trusts the CA of cas.pem
and where a scenario has reports, and the build libtlsrpt,
    collector         a socket in our directory (reports.py)
"""

import base64
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

import certs
import dnswire
import reports
import scenario

HERE = os.path.dirname(os.path.abspath(__file__))
# Where danevirke is installed, and the danevirke.conf that was built in.
PREFIX = os.environ.get("DV_LAB_PREFIX", "/mnt/danevirke")
CONFIG = ("" if PREFIX == "/usr" else PREFIX) + "/etc/danevirke.conf"
ROOT = "127.53.0.1"
TLD = {"alpha": "127.53.1.1", "beta": "127.53.1.2", "gamma": "127.53.1.3",
       "delta": "127.53.1.4"}
LEAF, FRONT = "127.53.2.1", "127.53.3.1"
SERVERS = {"ns": LEAF, "front": FRONT, "lame": "127.53.3.2",
           "upward": "127.53.3.3", "drop": "127.53.3.4", "dead": "127.53.4.1",
           "second": "127.53.2.2", "loop": "127.0.0.1",
           "private": "10.0.0.1"}
DAY = 86400
ALGORITHM = 13
POLICY_FRONT, POLICY_DAEMON = ("127.0.0.1", 8461), ("127.0.0.1", 8462)


def ds(zone, rdata, algorithm, more=b""):
    digest = hashlib.sha256(dnswire.name_wire(zone) + rdata + more)
    return "%d %d 2 %s" % (dnswire.key_tag(rdata), algorithm,
                           digest.hexdigest())


class Key:
    """An ECDSA P-256 key in the files that ldns-signzone reads."""

    def __init__(self, zone, path):
        private = ec.generate_private_key(ec.SECP256R1())
        point = private.public_key().public_bytes(
            serialization.Encoding.X962,
            serialization.PublicFormat.UncompressedPoint)[1:]
        self.zone, self.path = zone, path
        self.rdata = struct.pack("!HBB", 257, 3, ALGORITHM) + point
        secret = private.private_numbers().private_value.to_bytes(32, "big")
        with open(path + ".key", "w") as f:
            f.write("%s IN DNSKEY 257 3 %d %s\n" % (
                zone, ALGORITHM, base64.b64encode(point).decode()))
        with open(path + ".private", "w") as f:
            f.write("Private-key-format: v1.2\n"
                    "Algorithm: 13 (ECDSAP256SHA256)\nPrivateKey: %s\n"
                    % base64.b64encode(secret).decode())

    def ds(self, algorithm=ALGORITHM, wrong=False):
        return ds(self.zone, self.rdata, algorithm, b"x" if wrong else b"")


class File:
    """One zone file: written, signed, served."""

    def __init__(self, world, zone, flags=(), ttl="300"):
        self.zone, self.flags, self.ttl = zone, set(flags), ttl
        self.path = os.path.join(world.dir, "zones",
                                 zone.replace("/", "_") + "zone")
        self.key = None
        if "unsigned" not in self.flags:
            self.key = Key(zone, self.path + ".k")
        self.lines = []
        self.late = []                  # appended after signing
        self.withheld = {}              # owner -> what only the front has

    def add(self, owner, kind, text, ttl=None):
        self.lines.append("%s %s IN %s %s" % (
            owner, self.ttl if ttl is None else ttl, kind, text))

    def delegate(self, child, servers):
        """NS and DS for a child File; servers are absolute names."""
        rows = ["%s 300 IN NS %s" % (child.zone, s) for s in servers]
        if "bigkey" in child.flags:
            self.lines += rows
            self.add(child.zone, "DS", ds(child.zone, dnswire.big_key(), 8))
        elif child.key and "island" not in child.flags:
            self.lines += rows
            self.add(child.zone, "DS", child.key.ds(
                200 if "dsalg" in child.flags else ALGORITHM,
                "wrongds" in child.flags))
        elif "optout" in self.flags:
            # below the opt-out span: no NSEC3 of its own (RFC 5155 6)
            self.late += rows
        else:
            self.lines += rows

    def write(self, servers):
        head = ["%s 300 IN SOA ns.%s root.%s 1 3600 600 86400 60" % (
            self.zone, "alpha.", "alpha.")]
        head += ["%s 300 IN NS %s" % (self.zone, s) for s in servers]
        with open(self.path, "w") as f:
            f.write("\n".join(head + self.lines) + "\n")
        if self.key:
            self.sign()
        elif self.late:
            with open(self.path, "a") as f:
                f.write("\n".join(self.late) + "\n")

    def sign(self):
        now = int(time.time())
        first, last = now - DAY, now + 30 * DAY
        if "expired" in self.flags:
            first, last = now - 40 * DAY, now - 10 * DAY
        elif "future" in self.flags:
            first, last = now + 10 * DAY, now + 40 * DAY
        cmd = ["ldns-signzone", "-i", str(first), "-e", str(last),
               "-o", self.zone, "-f", self.path + ".signed"]
        if self.flags & {"nsec3", "optout", "iterated"}:
            cmd += ["-n", "-a", "1", "-t",
                    "2500" if "iterated" in self.flags else "0"]
            cmd += ["-p"] if "optout" in self.flags else []
        r = subprocess.run(cmd + [self.path, self.path + ".k"],
                           capture_output=True, text=True)
        if r.returncode:
            raise RuntimeError("ldns-signzone %s: %s" % (self.path, r.stderr))
        with open(self.path + ".signed") as f:
            text = f.read()
        os.unlink(self.path + ".signed")
        text = self.withhold(text)
        with open(self.path, "w") as f:
            f.write(text + "".join(x + "\n" for x in self.late))

    def withhold(self, text):
        """Q06: NSD takes no TLSA record without association data, so such a
        set is left out of the zone; the front has it and its signature."""
        short = set(re.findall(r"(?m)^(\S+)\t.*\tTLSA\t\d+ \d+ \d+ *$", text))
        kept = []
        for row in text.splitlines(True):
            owner, *more = row.rstrip().split("\t")
            sig = more[2:] and more[2] == "RRSIG"
            kind = more[3].split()[0] if sig else more[2] if more[2:] else ""
            if owner not in short or kind != "TLSA":
                kept.append(row)
                continue
            self.withheld.setdefault(owner, {}).setdefault(
                "sigs" if sig else "rdata", []).append(
                    dnswire.rdata(more[2], more[3]).hex())
        return "".join(kept)

    def front_faults(self):
        return [dict(name=owner, type="TLSA", action="forge", **sets)
                for owner, sets in self.withheld.items()]


class World:
    def __init__(self, scenarios, directory="/mnt/lab", source=""):
        self.scenarios = scenarios      # dict: id -> Scenario
        self.dir = directory
        self.source = source            # the table's path
        self.running = []               # (name, Popen, log path)
        self.files = {}                 # zone -> File
        self.smtp_log = self.path("smtp.jsonl")
        self.query_log = self.path("queries.log")
        self.anchor = self.path("root.ds")
        self.hints = self.path("root.hints")
        self.cas = self.path("cas.pem")
        self.config = CONFIG
        self.reports = None             # who collects them

    def path(self, name):
        return os.path.join(self.dir, name)

    # --------------------------------------------------------------- making

    def allocate(self):
        n = 256
        for s in self.scenarios.values():
            for h in s.hosts.values():
                h.fqdn = s.name(h.name)
                n += 1
                shared = s.hosts.get(h.keys.get("at"))
                if shared:
                    h.addresses = shared.addresses
                    continue
                if "4" in h.families:
                    h.addresses.append("198.18.%d.%d" % (n >> 8, n & 255))
                if "6" in h.families:
                    h.addresses.append("fd00:18::%x" % n)

    def servers(self, zone, where):
        """Names of the servers that a scenario's zone is delegated to; where:
        "zone" or "parent", if they differ."""
        tld = zone.keys["tld"] + "."
        more = [zone.keys[k] for k in ("also", "also" + where)
                if k in zone.keys]
        if any(k.startswith("also") for k in zone.keys):
            return [kind + "." + tld for kind in ["ns"] + more]
        for kind in ("front", "dead", "lame", "upward", "drop"):
            if kind in zone.flags:
                return [kind + "." + tld]
        if "halfdead" in zone.flags:
            return ["dead." + tld, "ns." + tld]
        return ["ns." + tld]

    def make_zones(self):
        os.makedirs(self.path("zones"))
        tlds = {"alpha": (), "beta": ("nsec3",), "gamma": ("optout",),
                "delta": ("unsigned",)}
        root = File(self, ".")
        jobs = [(root, ["a.root."])]
        root.add("a.root.", "A", ROOT)
        for name, flags in tlds.items():
            f = self.files[name + "."] = File(self, name + ".", flags)
            own = "a.nic.%s." % name
            root.delegate(f, [own])
            root.add(own, "A", TLD[name])
            f.add(own, "A", TLD[name])
            for server, address in SERVERS.items():
                f.add("%s.%s." % (server, name), "A", address)
            jobs.append((f, [own]))
        for s in self.scenarios.values():
            scenario.render(s)
            made = {}
            for z in s.zones.values():
                made[z.name] = File(self, z.fqdn, z.flags,
                                    z.keys.get("ttl", "300"))
                for row in z.records:
                    made[z.name].add(*row)
                self.files[z.fqdn] = made[z.name]
                jobs.append((made[z.name], self.servers(z, "zone")))
            for z in s.zones.values():
                if "internal" in z.flags:
                    continue
                parent = (made[z.keys["below"]] if "below" in z.keys
                          else self.files[z.keys["tld"] + "."])
                parent.delegate(made[z.name], self.servers(z, "parent"))
        self.files["."] = root
        with ThreadPoolExecutor(max_workers=(os.cpu_count() or 2) + 1) as p:
            list(p.map(lambda job: job[0].write(job[1]), jobs))

    def write_anchor(self, algorithm=ALGORITHM):
        with open(self.anchor, "w") as f:
            f.write(". 172800 IN DS %s\n" % self.files["."].key.ds(algorithm))

    def make_config(self):
        self.write_anchor()
        with open(self.hints, "w") as f:
            f.write(". 3600000 NS a.root.\na.root. 3600000 A %s\n" % ROOT)
        os.makedirs(os.path.dirname(self.config), exist_ok=True)
        with open(self.config, "w") as f:
            f.write(self.config_text())
        os.chmod(self.config, 0o644)

    def config_text(self, resolver="", more=""):
        """danevirke.conf for this world; tests add settings of their own."""
        rows, zones, own = [], [], []
        for s in self.scenarios.values():
            own += ['"%s"' % h.fqdn.rstrip(".") for h in s.hosts.values()
                    if "self" in h.flags]
            zones += ['{ name = "%s";%s insecure = true; }' % (
                z.fqdn.rstrip("."), ' forward = [ "%s" ];' % LEAF
                if "internal" in z.flags else "")
                for z in s.zones.values()
                if z.flags & {"internal", "confinsecure"}]
            if s.exception:
                level, reason, until = s.exception
                rows.append('{ domain = "%s"; level = "%s"; reason = "%s";%s }'
                            % (s.domain(), level, reason,
                               ' until = "%s";' % until if until else ""))
        report = ""
        if self.reports:
            report = " tlsrpt = true;"
            more = 'tlsrpt: { socket = "%s"; };\n%s' % (
                self.path("collector"), more)
        return """resolver: {
	trust_anchor = "%s";
	root_hints = "%s";
	allow_addresses = [ "127.53.0.0/16" ];
	self = [ %s ];
	zones = ( %s );
	timeout = 8;
	query_timeout = 3;
	%s
};
profiles: {
	default: { level = "dane";%s };
	strict: { level = "dane-only"; };
	mxmay: { insecure_mx = "may"; };
	mxencrypt: { insecure_mx = "encrypt"; };
	patient: { };
	audit: { level = "audit"; };
	off: { level = "off"; };%s
destinations = ( %s );
%s
""" % (self.anchor, self.hints, ", ".join(own), ",\n\t".join(zones), resolver,
        report, self.policy_text(), ",\n\t".join(rows), more)

    def policy_text(self):
        if not self.policies():
            return "\n};"
        return """
	sts: { mta_sts = true; };
	stsaudit: { level = "audit"; mta_sts = true; };
	stsonly: { level = "dane-only"; mta_sts = true; };
	stsmay: { insecure_mx = "may"; mta_sts = true; };
};
mta_sts: { server = "%s:%d"; timeout = 5; ca_file = "%s"; };""" % (
            *POLICY_FRONT, self.cas)

    def make_map(self):
        """lab.json: what other tests need to know of the world."""
        rows = {}
        for s in self.scenarios.values():
            rows[s.id] = {
                "domain": s.domain(), "profile": s.profile, "rules": s.rules,
                "expect": s.expect,
                "zones": {z.name: z.fqdn for z in s.zones.values()},
                "hosts": {h.name: {"fqdn": h.fqdn, "addresses": h.addresses,
                                   "ports": h.ports(), "cert": h.cert}
                          for h in s.hosts.values()}}
        with open(self.path("lab.json"), "w") as f:
            json.dump(rows, f, indent=1)

    # -------------------------------------------------------------- running

    def spawn(self, name, cmd):
        log = self.path(name + ".out")
        with open(log, "w") as out:
            p = subprocess.Popen(cmd, stdout=out, stderr=out,
                                 stdin=subprocess.DEVNULL)
        self.running.append((name, p, log))

    def nsd(self, name, address, zones):
        conf = self.path("nsd-%s.conf" % name)
        own = self.path("nsd-" + name)
        os.makedirs(own)
        with open(conf, "w") as f:
            f.write('server:\n ip-address: %s@53\n server-count: 1\n'
                    ' username: ""\n database: ""\n zonesdir: ""\n'
                    ' zonelistfile: "%s/list"\n xfrdfile: "%s/xfrd"\n'
                    ' xfrdir: "%s"\n pidfile: ""\n hide-version: yes\n'
                    ' tcp-count: 200\n rrl-ratelimit: 0\n'
                    ' minimal-responses: no\n'
                    'remote-control:\n control-enable: no\n'
                    % (address, own, own, own))
            for z in zones:
                f.write('zone:\n name: "%s"\n zonefile: "%s"\n' % (
                    z.zone, z.path))
        self.spawn("nsd-" + name, ["nsd", "-d", "-c", conf])

    def start_dns(self):
        self.nsd("root", ROOT, [self.files["."]])
        for name, address in TLD.items():
            self.nsd(name, address, [self.files[name + "."]])
        tops = {"."} | {t + "." for t in TLD}
        self.nsd("leaf", LEAF, [f for z, f in self.files.items()
                                if z not in tops])
        conf = {"listen": [[FRONT, "front"], [SERVERS["lame"], "refuse"],
                           [SERVERS["upward"], "upward"]],
                "upstream": LEAF, "log": self.query_log,
                "ready": self.path("front.ready"),
                "faults": [row for s in self.scenarios.values()
                           for row in scenario.front_faults(s)]
                + [row for f in self.files.values()
                   for row in f.front_faults()]}
        with open(self.path("front.json"), "w") as f:
            json.dump(conf, f, indent=1)
        self.spawn("front", [sys.executable, HERE + "/faults.py",
                             self.path("front.json")])

    def start_smtp(self):
        rows = []
        for s in self.scenarios.values():
            for h in s.hosts.values():
                if "at" in h.keys or "down" in h.flags:
                    continue
                faults = {f: True for f in h.flags & {
                    "nostarttls", "handshake", "inject", "lower", "reject",
                    "auth", "smtps", "keep", "resume"}}
                faults.update((k, v) for k, v in h.keys.items()
                              if k in scenario.FAULT_KEYS)
                # sni=NAME:HOST,...: for NAME present HOST's certificate
                sni = {}
                for pair in filter(None, h.keys.get("sni", "").split(",")):
                    name, _, other = pair.partition(":")
                    sni[s.name(name).rstrip(".")] = s.hosts[other].cert
                rows.append({"scenario": s.id, "name": h.name, "sni": sni,
                             "listen": [[a, p] for a in h.addresses
                                        for p in h.ports()],
                             "cert": h.cert, "faults": faults})
        with open(self.path("smtpd.json"), "w") as f:
            json.dump({"log": self.smtp_log, "hosts": rows,
                       "ready": self.path("smtpd.ready")}, f, indent=1)
        self.spawn("smtpd", [sys.executable, HERE + "/smtpd.py",
                             self.path("smtpd.json")])

    def make_public(self):
        """The CA of cas.pem, between others that it is not."""
        public = certs.Authority("public")
        others = [certs.issue("other %d" % i, ca=True) for i in range(2)]
        with open(self.cas, "wb") as f:
            for c in (others[0], public.root, others[1]):
                f.write(c.pem)
        os.chmod(self.cas, 0o644)
        return public

    def policies(self):
        return [s for s in self.scenarios.values()
                if s.policy or s.policy_server
                or s.profile.startswith("sts")]

    def start_policies(self, public):
        rows = {s.domain(): {"text": s.policy and s.policy_text(),
                             "web": s.policy_web, "server": s.policy_server}
                for s in self.policies()}
        if not rows:
            return
        names = ["mta-sts." + s.domain() for s in self.policies()
                 if s.policy_web != "untrusted"]
        cert = self.path("certs/policies.pem")
        certs.chain("pub", names, public, "mta-sts").write(cert)
        with open(self.path("policies.json"), "w") as f:
            json.dump({"https": list(scenario.POLICY_HOST.values()),
                       "cert": cert, "front": POLICY_FRONT,
                       "daemon": POLICY_DAEMON,
                       "log": self.query_log, "policies": rows,
                       "ready": self.path("policies.ready")}, f, indent=1)
        with open(self.path("mta-sts-daemon.yml"), "w") as f:
            f.write("host: %s\nport: %d\ncache_grace: 0\n"
                    "cache:\n  type: internal\ndefault_zone:\n"
                    "  strict_testing: false\n  timeout: 20\n" % POLICY_DAEMON)
        with open(self.path("resolv.conf"), "w") as f:
            f.write("nameserver %s\n" % FRONT)
        self.spawn("policies", [sys.executable, HERE + "/policies.py",
                                self.path("policies.json")])
        self.spawn("mta-sts", [
            "unshare", "-m", "sh", "-c",
            "mount --bind %s %s && SSL_CERT_FILE=%s exec mta-sts-daemon "
            "-c %s" % (self.path("resolv.conf"),
                       os.path.realpath("/etc/resolv.conf"), self.cas,
                       self.path("mta-sts-daemon.yml"))])

    def fetch_policies(self):
        """Once before time limits run: the daemon keeps them, and asks DNS
        each time whether they have changed."""
        domains = [s.domain() for s in self.policies() if s.policy]
        if not domains:
            return
        with socket.create_connection(POLICY_DAEMON, 60) as c:
            replies = c.makefile("rb")
            for at in range(0, len(domains), 8):
                part = domains[at:at + 8]
                for d in part:
                    c.sendall(b"%d:lab %s," % (len(d) + 4, d.encode()))
                for d in part:
                    size = b""
                    for _ in range(6):
                        size += replies.read(1)
                        if size.endswith(b":"):
                            break
                    replies.read(int(size[:-1]) + 1)

    def wait(self, what, seconds=20):
        """Until what() is true; a server that died is an error."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for name, p, log in self.running:
                if p.poll() is not None:
                    with open(log) as f:
                        raise RuntimeError("%s ended: %s" % (name, f.read()))
            if what():
                return
            time.sleep(0.05)
        raise RuntimeError("the world is not up after %d s" % seconds)

    def up(self):
        if not (os.path.exists(self.path("front.ready"))
                and os.path.exists(self.path("smtpd.ready"))):
            return False
        want = [(a, 53) for a in [ROOT, LEAF, *TLD.values()]]
        if self.policies():
            want += [POLICY_FRONT, POLICY_DAEMON]
        for address in want:
            try:
                socket.create_connection(address, 1).close()
            except OSError:
                return False
        return True

    def start(self):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (min(limit, 65536), limit))
        for cmd in ("link set lo up",
                    "route add local 198.18.0.0/15 dev lo",
                    "-6 route add local fd00:18::/64 dev lo"):
            subprocess.run(["ip"] + cmd.split(), check=True)
        os.makedirs(self.dir, mode=0o755, exist_ok=True)
        os.makedirs(self.path("certs"))
        self.allocate()
        public = self.make_public()
        for s in self.scenarios.values():
            scenario.certify(s, self.path("certs"), public)
        self.make_zones()
        if any(s.report for s in self.scenarios.values()) and can_report():
            self.reports = reports.Collector(self.path("collector"))
        self.make_config()
        self.make_map()
        for name in (self.smtp_log, self.query_log):
            open(name, "w").close()
        # bound and silent
        self.silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.silent.bind((SERVERS["drop"], 53))
        self.start_dns()
        self.start_smtp()
        self.start_policies(public)
        self.wait(self.up)
        self.fetch_policies()

    def stop(self):
        for _name, p, _log in self.running:
            p.terminate()
        for _name, p, _log in self.running:
            try:
                p.wait(3)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.running = []
        self.remove()

    def remove(self):
        """Never through a mount: below it may lie the machine's own files.
        The tmpfs around us goes with the namespace anyway."""
        with open("/proc/self/mountinfo") as f:
            mounts = [x.split()[4] for x in f]
        if not any(m.startswith(self.dir + "/") for m in mounts):
            shutil.rmtree(self.dir, ignore_errors=True)

    def change_policy(self, s, old, new):
        """In the policy of a domain that is not signed, and its id."""
        path = self.path("policies.json")
        with open(path) as f:
            conf = json.load(f)
        row = conf["policies"][s.domain()]
        row["text"] = row["text"].replace(old, new)
        with open(path + ".new", "w") as f:
            json.dump(conf, f)
        os.rename(path + ".new", path)
        path = self.path("zones/%s.zone" % s.domain())
        with open(path) as f:
            text = f.read().replace("id=1", "id=2").replace(" 1 3600", " 2 3600")
        with open(path, "w") as f:
            f.write(text)
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if is_leaf(pid):
                os.kill(int(pid), signal.SIGHUP)
        end = time.monotonic() + 20
        while "id=2" not in self.policy_id(s):
            if time.monotonic() > end:
                raise RuntimeError("the zone is not read anew")
            time.sleep(0.05)

    def policy_id(self, s):
        """What DNS says of it."""
        query = (b"\0\1\0\0\0\1\0\0\0\0\0\0" + dnswire.name_wire(
            "_mta-sts.%s." % s.domain()) + b"\0\x10\0\1")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as c:
            c.settimeout(2)
            c.sendto(query, (LEAF, 53))
            try:
                return c.recv(4096).decode("latin-1")
            except OSError:
                return ""

    # ------------------------------------------------------------ observing

    def records(self, ident=None):
        """What the SMTP servers wrote down, of one scenario or all."""
        with open(self.smtp_log) as f:
            rows = [json.loads(x) for x in f if x.endswith("\n")]
        return [r for r in rows if ident in (None, r["scenario"])]

    def queries(self):
        """(name, type) that the front was asked."""
        with open(self.query_log) as f:
            return {tuple(x.split()[:2]) for x in f if x.endswith("\n")}

    def environment(self):
        """For commands that run inside the world."""
        return {"DV_LAB_DIR": self.dir, "DV_LAB_MAP": self.path("lab.json"),
                "DV_LAB_CONF": self.config, "DV_LAB_ANCHOR": self.anchor,
                "DV_LAB_HINTS": self.hints, "DV_LAB_SMTP_LOG": self.smtp_log,
                "DV_LAB_QUERY_LOG": self.query_log,
                "DV_LAB_CERTS": self.path("certs"),
                "DV_LAB_SCENARIOS": self.source,
                "DV_LAB_SERVER": LEAF,
                "DV_LAB_PREFIX": PREFIX}


def can_report():
    """Is this build with libtlsrpt?"""
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
        f.write('tlsrpt: { socket = "/run/x"; };\n')
        f.flush()
        r = subprocess.run([PREFIX + "/bin/danevirke", "conf", "--config", f.name],
                           capture_output=True, text=True)
    return "without libtlsrpt" not in r.stdout + r.stderr


def is_leaf(pid):
    """The name server of the scenarios' zones, or a part of it."""
    try:
        with open("/proc/%s/cmdline" % pid) as f:
            return "nsd-leaf.conf" in f.read()
    except OSError:
        return False


def attach():
    """The running world, for a program started by `run --world`: its driver
    can send, its records can be read; start() and stop() are not its."""
    world = World(scenario.load(os.environ["DV_LAB_SCENARIOS"]),
                  os.environ["DV_LAB_DIR"])
    with open(os.environ["DV_LAB_MAP"]) as f:
        rows = json.load(f)
    world.scenarios = {i: s for i, s in world.scenarios.items() if i in rows}
    for s in world.scenarios.values():
        for h in s.hosts.values():
            row = rows[s.id]["hosts"][h.name]
            h.fqdn, h.cert = row["fqdn"], row["cert"]
            h.addresses = row["addresses"]
    return world

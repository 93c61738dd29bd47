# SPDX-License-Identifier: ISC
"""An Internet of its own with many signed domains, each a zone: root, TLD and
domains on an NSD each, at 127.55.0.0/16.

    with many.internet(folder, 28000) as conf:
        danevirke survey --config conf <folder/names
"""

import contextlib
import ctypes
import hashlib
import os
import resource
import statistics
import struct
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

import delay
import dnswire
from dnswire import name_wire
from dnswire import TYPES as T

ROOT, TLD, LEAF = "127.55.0.1", "127.55.1.1", "127.55.2.1"
TTL, ALGORITHM, HASH = 3600, 13, ec.ECDSA(hashes.SHA256())
CHUNK = 500                     # zones that a process signs at a time


class Signer:
    """One key for all zones: a validator does not see that, and making keys
    takes longer than signing."""

    def __init__(self, secret):
        self.key = ec.derive_private_key(secret, ec.SECP256R1())
        point = self.key.public_key().public_bytes(
            serialization.Encoding.X962,
            serialization.PublicFormat.UncompressedPoint)[1:]
        self.dnskey = struct.pack("!HBB", 257, 3, ALGORITHM) + point
        self.tag = dnswire.key_tag(self.dnskey)
        now = int(time.time())
        self.first, self.last = now - 86400, now + 30 * 86400

    def ds(self, zone):
        digest = hashlib.sha256(name_wire(zone) + self.dnskey).digest()
        return struct.pack("!HBB", self.tag, ALGORITHM, 2) + digest

    def signature(self, zone, owner, kind, rdata):
        """RRSIG RDATA of a set (RFC 4034 3.1)."""
        wire = name_wire(owner)
        head = struct.pack("!HBBIIIH", kind, ALGORITHM, len(labels(owner)),
                           TTL, self.last, self.first, self.tag)
        head += name_wire(zone)
        rows = b"".join(wire + struct.pack("!HHIH", kind, 1, TTL, len(x)) + x
                        for x in sorted(rdata))
        r, s = utils.decode_dss_signature(self.key.sign(head + rows, HASH))
        return head + r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def zone(self, name, sets, cuts=()):
        """The text of a signed zone: sets is {owner: {type: [RDATA]}}; what is
        at cuts is delegated, so of it only DS and NSEC are signed."""
        sets[name].update({
            T["DNSKEY"]: [self.dnskey],
            T["SOA"]: [name_wire("ns.many.") + name_wire("root.many.")
                       + struct.pack("!5I", 1, 3600, 600, 86400, 60)]})
        owners = sorted((o for o in sets if o not in cuts or
                         T["NS"] in sets[o]),
                        key=lambda o: labels(o)[::-1])
        out = []
        for i, owner in enumerate(owners):
            at = sets[owner]
            at[T["NSEC"]] = [name_wire(owners[(i + 1) % len(owners)])
                             + bitmap([*at, T["NSEC"], T["RRSIG"]])]
            for kind, rdata in at.items():
                out += [(owner, kind, x) for x in rdata]
                if owner not in cuts or kind in (T["DS"], T["NSEC"]):
                    out.append((owner, T["RRSIG"],
                                self.signature(name, owner, kind, rdata)))
        return "".join("%s %d IN TYPE%d \\# %d %s\n" % (
            owner, TTL, kind, len(x), x.hex()) for owner, kind, x in out)


def labels(name):
    return [x for x in name.split(".") if x]


def bitmap(kinds):
    """RFC 4034 4.1.2, types below 256."""
    bits = bytearray(max(kinds) // 8 + 1)
    for k in kinds:
        bits[k // 8] |= 0x80 >> k % 8
    return bytes([0, len(bits)]) + bits


def domain(i):
    return "d%06d.many." % i


def write(secret, folder, first, last):
    """The zones of these domains: MX, one address, 3 1 1."""
    signer = Signer(secret)
    for i in range(first, last):
        name = domain(i)
        data = hashlib.sha256(name.encode()).digest()
        text = signer.zone(name, {
            name: {T["NS"]: [name_wire("ns.many.")],
                   T["MX"]: [b"\0\x0a" + name_wire("mx." + name)]},
            "mx." + name: {T["A"]: [bytes((198, 18, i >> 8 & 255, i & 255))]},
            "_25._tcp.mx." + name: {T["TLSA"]: [b"\3\1\1" + data]}})
        with open("%s/%s" % (folder, name), "w") as f:
            f.write(text)


def top(signer, folder, names):
    """TLD and root."""
    sets = {"many.": {T["NS"]: [name_wire("ns.many.")]}}
    for name in names:
        sets[name] = {T["NS"]: [name_wire("ns.many.")],
                      T["DS"]: [signer.ds(name)]}
    sets["ns.many."] = {T["A"]: [dnswire.rdata("A", LEAF)]}
    with open(folder + "/many.", "w") as f:
        f.write(signer.zone("many.", sets, set(names)))
    root = {".": {T["NS"]: [name_wire("a.root.")]},
            "a.root.": {T["A"]: [dnswire.rdata("A", ROOT)]},
            "many.": {T["NS"]: [name_wire("ns.tld.many.")],
                      T["DS"]: [signer.ds("many.")]}}
    text = signer.zone(".", root, {"many."})
    with open(folder + "/root", "w") as f:
        f.write(text + "ns.tld.many. 3600 IN A %s\n" % TLD)


def nsd(folder, name, address, zones):
    conf = "%s/nsd-%s.conf" % (folder, name)
    with open(conf, "w") as f:
        f.write('server:\n ip-address: %s@53\n server-count: 1\n'
                ' username: ""\n database: ""\n zonesdir: ""\n'
                ' zonelistfile: "%s/%s.list"\n xfrdfile: ""\n'
                ' xfrdir: "%s"\n pidfile: ""\n tcp-count: 200\n'
                ' rrl-ratelimit: 0\nremote-control:\n control-enable: no\n'
                % (address, folder, name, folder))
        for zone, path in zones:
            f.write('zone:\n name: "%s"\n zonefile: "%s/%s"\n' % (
                zone, folder, path))
    return delay.started(["nsd", "-d", "-c", conf], [address])


@contextlib.contextmanager
def internet(folder, n):
    """Made, signed and served; what it gives is a danevirke.conf."""
    os.makedirs(folder)
    secret = int.from_bytes(os.urandom(31), "big")
    names = [domain(i) for i in range(n)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(write, secret, folder, i, min(i + CHUNK, n))
                for i in range(0, n, CHUNK)]
        signer = Signer(secret)
        top(signer, folder, names)
        for j in jobs:
            j.result()
    ds = signer.ds(".")
    texts = {"anchor": ". IN DS %d %d 2 %s\n" % (signer.tag, ALGORITHM,
                                               ds[4:].hex()),
             "hints": ". 3600000 NS a.root.\na.root. 3600000 A %s\n" % ROOT,
             "names": "".join(x[:-1] + "\n" for x in names),
             "conf": 'resolver: {\n\ttrust_anchor = "%s/anchor";\n'
             '\troot_hints = "%s/hints";\n'
             '\tallow_addresses = [ "127.55.0.0/16" ];\n'
             '};\nprofiles: { default: { }; };\n' % (folder, folder)}
    for name, text in texts.items():
        with open("%s/%s" % (folder, name), "w") as f:
            f.write(text)
    running = []
    try:
        running.append(nsd(folder, "root", ROOT, [(".", "root")]))
        running.append(nsd(folder, "tld", TLD, [("many.", "many.")]))
        running.append(nsd(folder, "leaf", LEAF, [(x, x) for x in names]))
        yield folder + "/conf"
    finally:
        for p in running:
            p.terminate()
        for p in running:
            p.wait()


PR_SET_CHILD_SUBREAPER = 36


def all_cpu(work):
    """Seconds of the clock, and of CPU of all processes that work() starts and
    theirs: those that outlive their parents, as resolvers do, end here."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    work()
    took = time.monotonic() - began
    for _ in range(30):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def part(b, tool, table):
    n = b.rounds(28000, 300)
    got = {}

    def once(conf, jobs):
        with open(b.where + "/many/names") as names:
            r = subprocess.run(
                [tool, "survey", "--dns-only", "--config", conf, "--jobs",
                 str(jobs)], stdin=names, text=True, timeout=300,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if r.returncode or r.stdout.count('"dane":"full"') != n:
            raise RuntimeError(r.stdout[-300:])
    with internet(b.where + "/many", n) as conf:
        for r in range(b.rounds(2, 1)):
            for jobs in (1, 2)[::-1 if r % 2 else 1]:
                got.setdefault(jobs, []).append(
                    all_cpu(lambda j=jobs: once(conf, j)))
    rows, first = [], None
    for jobs in sorted(got):
        took, cpu = (statistics.median(x) for x in zip(*got[jobs]))
        first = first or took
        rows.append([jobs, "%.1f s" % took, "%.0f" % (n / took),
                     "%.2f x" % (first / took), "%.2f ms" % (1000 * cpu / n)])
    table(["jobs", "%d domains" % n, "domains a second", "of one",
           "CPU a domain"], rows)


if __name__ == "__main__":
    with internet(sys.argv[1], int(sys.argv[2])) as made:
        subprocess.run([*sys.argv[3:], "--config", made], check=True)

# SPDX-License-Identifier: ISC
"""The hostile zones and their servers, one process: `dns_server.py CONFIG`.

CONFIG is JSON: {"ready": PATH, "events": PATH, "zones": [{"ident": IDENT,
"zone": NAME, "server": ADDRESS, "host": ADDRESS, "kind": NAME, "args": [...],
"key": PEM}, ...]}.  NAME is a class below.  Each zone is a delegation of one
that the lab serves, with a DS for its key, and is asked at an address of its
own.  "begun IDENT" in "events" says that it was asked.
"""

import contextlib
import hashlib
import json
import os
import random
import socket
import struct
import sys
import threading
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "lab"))

from dnswire import Message, RR, name_text, name_wire, rdata  # noqa: E402

A, NS, SOA, MX, RRSIG, NSEC, DNSKEY, NSEC3, TLSA = (
    1, 2, 6, 15, 46, 47, 48, 50, 52)
OPT = b"\0" + struct.pack("!HHIH", 41, 1232, 0x8000, 0)
TTL = 300
DAY = 86400


def tag(data):
    """RFC 4034 appendix B."""
    total = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(data))
    return (total + (total >> 16 & 0xFFFF)) & 0xFFFF


def ds_text(zone, dnskey):
    return "%d %d 2 %s" % (tag(dnskey), dnskey[3], hashlib.sha256(
        name_wire(zone) + dnskey).hexdigest())


def rsa_dnskey(n, e, flags=257):
    length = bytes((len(e),)) if len(e) < 256 else b"\0" + struct.pack(
        "!H", len(e))
    return struct.pack("!HBB", flags, 3, 8) + length + e + n


class EcKey:
    """An honest key."""

    def __init__(self, pem=None):
        self.key = (serialization.load_pem_private_key(pem.encode(), None)
                    if pem else ec.generate_private_key(ec.SECP256R1()))
        self.dnskey = struct.pack("!HBB", 257, 3, 13) + \
            self.key.public_key().public_bytes(
                serialization.Encoding.X962,
                serialization.PublicFormat.UncompressedPoint)[1:]

    def sign(self, data):
        r, s = utils.decode_dss_signature(
            self.key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def text(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()).decode()


class GarbageKey:
    """RSA with a modulus and an exponent of that many octets; nobody can
    sign with it.  The seed makes it anew in another process."""

    def __init__(self, octets, seed):
        self.octets, self.random = octets, random.Random(seed)
        n = b"\xff" + self.random.randbytes(octets - 2) + b"\1"
        e = b"\x7f" + b"\xff" * (octets - 2) + b"\1"
        self.dnskey = rsa_dnskey(n, e)

    def sign(self, _data):
        return b"\1" + self.random.randbytes(self.octets - 1)


class Zone:
    """An honest zone: one host, at the mail exchanger."""

    delay = 0
    kinds = (A,)                        # of what the host has
    exchanger = "10 mx1"

    def __init__(self, row, events):
        self.ident, self.zone = row["ident"], row["zone"]
        self.server, self.events = row["server"], events
        self.args, self.host = row["args"], row["host"]
        self.key = self.make_key(row)
        self.rows = {}
        self.fill()

    def make_key(self, row):
        return EcKey(row["key"])

    def absolute(self, label):
        return (label + "." if label else "") + self.zone

    def rrsig(self, owner, kind, datas, key=None):
        key = key or self.key
        wire = name_wire(owner)
        now = int(time.time())
        head = struct.pack("!HBBIIIH", kind, key.dnskey[3],
                           len([x for x in owner.split(".") if x]), TTL,
                           now + 5 * DAY, now - DAY, tag(key.dnskey)
                           ) + name_wire(self.zone)
        return head + key.sign(head + b"".join(
            wire + struct.pack("!HHIH", kind, 1, TTL, len(d)) + d
            for d in sorted(datas)))

    def signed(self, owner, kind, datas):
        return [RR(name_wire(owner), kind, 1, TTL, d) for d in datas] + [
            RR(name_wire(owner), RRSIG, 1, TTL,
               self.rrsig(owner, kind, datas))]

    def add(self, label, kind, *datas):
        owner = self.absolute(label)
        self.rows[owner, kind] = self.signed(owner, kind, datas)

    def fill(self):
        soa = (name_wire(self.absolute("ns")) + name_wire("root.alpha.")
               + struct.pack("!5I", 1, 3600, 600, DAY, 60))
        self.add("", SOA, soa)
        self.add("", DNSKEY, self.key.dnskey)
        pref, host = self.exchanger.split()
        self.add("", MX, rdata("MX", "%s %s" % (pref, self.absolute(host))))
        self.add("mx1", A, rdata("A", self.host))

    def denial(self, name):
        """NSEC of this one name (RFC 4470), which has no TLSA record."""
        kinds = [k for n, k in self.rows if n == name] + [RRSIG, NSEC]
        bitmap = bytearray(max(kinds) // 8 + 1)
        for k in kinds:
            bitmap[k // 8] |= 0x80 >> k % 8
        return self.signed(name, NSEC, [b"\1\0" + name_wire(name) + bytes(
            (0, len(bitmap))) + bytes(bitmap)])

    def answer(self, name, kind):
        """(RCODE, answer, authority)"""
        found = self.rows.get((name, kind))
        if found:
            return 0, found, []
        return 0, [], self.rows[self.zone, SOA] + self.denial(name)

    def reply(self, raw, tcp):
        query = Message(raw)
        name = name_text(query.qname)
        if query.qtype != A or name != self.absolute("ns"):
            self.events.write("begun %s\n" % self.ident)
        if self.delay:
            time.sleep(self.delay)
        code, answer, authority = self.answer(name, query.qtype)
        body = query.qname + struct.pack("!HH", query.qtype, 1)
        rows = b"".join(packed(rr, query.qname) for rr in answer + authority)
        head = struct.pack("!HHHHHH", query.id, 0x8400 | query.flags & 0x100
                           | code, 1, len(answer), len(authority), 1)
        out = head + body + rows + OPT
        if len(out) > (65535 if tcp else 1232):
            head = struct.pack("!HHHHHH", query.id, 0x8600, 1, 0, 0, 1)
            return head + body + OPT
        return out


def packed(rr, qname):
    """A record whose owner is written short where it can be."""
    owner = b"\xc0\x0c" if rr.name == qname else rr.name
    return owner + rr.wire()[len(rr.name):]


class Late(Zone):
    """Each answer takes its time."""

    def __init__(self, row, events):
        self.delay = row["args"][0]
        super().__init__(row, events)


class Silent(Zone):
    """No answer at all."""

    def reply(self, raw, tcp):
        self.events.write("begun %s\n" % self.ident)


class Stream(Zone):
    """Answers are to be had over TCP only, and there nobody speaks."""

    def reply(self, raw, tcp):
        self.events.write("begun %s\n" % self.ident)
        if tcp:
            return None
        query = Message(raw)
        return (struct.pack("!HHHHHH", query.id, 0x8600, 1, 0, 0, 1)
                + query.qname + struct.pack("!HH", query.qtype, 1) + OPT)


class BigKey(Zone):
    """Signed with a key that only costs."""

    def make_key(self, row):
        return GarbageKey(row["args"][0], row["ident"])


class SameTag(Zone):
    """As many keys with one key tag as signatures, none of which fits: the
    work is their product (CVE-2023-50387)."""

    def keys(self):
        """RSA of 2,048 bits, with exponents as long as they may be."""
        want, made = 4711, []
        while len(made) < self.args[0]:
            head = rsa_dnskey(b"\xff" + os.urandom(252) + b"\0\0\1",
                              b"\x7f" + b"\xff" * 253 + b"\1", 256)
            # the tag is a sum of 16-bit words: one makes up the difference
            at = len(head) - 4 - len(head) % 2
            for _ in range(3):
                word = struct.unpack_from("!H", head, at)[0]
                word = (word + want - tag(head)) % 0xFFFF
                head = head[:at] + struct.pack("!H", word) + head[at + 2:]
            if tag(head) == want:
                made.append(head)
        return made

    def fill(self):
        super().fill()
        keys = self.keys()
        self.add("", DNSKEY, self.key.dnskey, *keys)
        _, true = self.rows[self.zone, MX]
        false = true.data[:2] + b"\x08" + true.data[3:16] + struct.pack(
            "!H", tag(keys[0])) + name_wire(self.zone)
        self.rows[self.zone, MX] = [self.rows[self.zone, MX][0]] + [
            RR(true.name, RRSIG, 1, TTL, false + b"\1" + os.urandom(255))
            for _ in keys]


class ManyRounds(Zone):
    """NSEC3 with as many iterations, and the longest salt (RFC 9276)."""

    salt = bytes(255)

    def hash(self, name, shift=0):
        h = name_wire(name)
        for _ in range(self.args[0] + 1):
            h = hashlib.sha1(h + self.salt).digest()
        return ((int.from_bytes(h, "big") + shift) % 2 ** 160).to_bytes(
            20, "big")

    def nsec3(self, first, after, kinds):
        alphabet = "0123456789abcdefghijklmnopqrstuv"
        n = int.from_bytes(first, "big")
        label = "".join(alphabet[n >> 5 * (31 - i) & 31] for i in range(32))
        bitmap = bytearray(7)
        for k in kinds:
            bitmap[k // 8] |= 0x80 >> k % 8
        return self.signed(self.absolute(label), NSEC3, [
            struct.pack("!BBHB", 1, 0, self.args[0], len(self.salt))
            + self.salt + b"\x14" + after + b"\0\x07" + bytes(bitmap)])

    def match(self, name):
        return self.nsec3(self.hash(name), self.hash(name, 1), [
            k for n, k in self.rows if n == name] + [RRSIG])

    def cover(self, name):
        return self.nsec3(self.hash(name, -1), self.hash(name, 1), [])

    def answer(self, name, kind):
        found = self.rows.get((name, kind))
        if found:
            return 0, found, []
        soa = self.rows[self.zone, SOA]
        if any(n == name for n, _ in self.rows):
            return 0, [], soa + self.match(name)
        host = self.absolute("mx1")
        near = host if name.endswith("." + host) else self.zone
        label = name[:-len(near) - 1].split(".")[-1]
        return 3, [], (soa + self.match(near) + self.cover("*." + near)
                       + self.cover(label + "." + near))


class ManyTlsa(Zone):
    """More TLSA records than a person could want, small but well signed."""

    def fill(self):
        super().fill()
        self.add("_25._tcp.mx1", TLSA, *(
            struct.pack("!I", 0x03010000 + n) for n in range(self.args[0])))


# ---------------------------------------------------------------------- main

def datagrams(zone, sock):
    def one(raw, peer):
        out = zone.reply(raw, False)
        if out:
            sock.sendto(out, peer)

    while True:
        threading.Thread(target=one, args=sock.recvfrom(4096),
                         daemon=True).start()


def stream(zone, sock):
    f = sock.makefile("rb")
    with sock, contextlib.suppress(OSError):
        sock.settimeout(20)
        while True:
            head = f.read(2)
            if len(head) < 2:
                return
            out = zone.reply(f.read(struct.unpack("!H", head)[0]), True)
            if out is None:
                time.sleep(20)
                return
            sock.sendall(struct.pack("!H", len(out)) + out)


def streams(zone, sock):
    while True:
        threading.Thread(target=stream, args=(zone, sock.accept()[0]),
                         daemon=True).start()


def main(path):
    with open(path) as f:
        conf = json.load(f)
    events = open(conf["events"], "a", buffering=1)
    for row in conf["zones"]:
        zone = globals()[row["kind"]](row, events)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((zone.server, 53))
        tcp = socket.socket()
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tcp.bind((zone.server, 53))
        tcp.listen(64)
        for f, sock in ((datagrams, udp), (streams, tcp)):
            threading.Thread(target=f, args=(zone, sock),
                             daemon=True).start()
    with open(conf["ready"], "w"):
        pass
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1])

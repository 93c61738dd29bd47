# SPDX-License-Identifier: ISC
"""DNS messages as bytes: just enough to read, change and write them."""

import base64
import calendar
import ipaddress
import struct
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16,
         "AAAA": 28, "DNAME": 39, "DS": 43, "RRSIG": 46, "NSEC": 47,
         "DNSKEY": 48, "NSEC3": 50, "TLSA": 52}
NUMBERS = {v: k for k, v in TYPES.items()}
RCODES = {"formerr": 1, "servfail": 2, "nxdomain": 3, "notimp": 4,
          "refused": 5}
OPT = 41


def name_wire(text):
    """An absolute name as uncompressed wire data, lower case."""
    out = b""
    for label in text.rstrip(".").split("."):
        if label:
            raw = label.lower().encode("ascii")
            out += bytes([len(raw)]) + raw
    return out + b"\0"


def name_text(wire):
    labels = []
    at = 0
    while wire[at]:
        labels.append(wire[at + 1:at + 1 + wire[at]].decode("latin-1").lower())
        at += 1 + wire[at]
    return ".".join(labels) + "."


def read_name(msg, at):
    """(uncompressed name, offset after it); ValueError if malformed."""
    out = b""
    end = None
    for _ in range(128):
        n = msg[at]
        if n >= 0xC0:
            if end is None:
                end = at + 2
            at = ((n & 0x3F) << 8) | msg[at + 1]
        elif n == 0:
            return out + b"\0", (end if end is not None else at + 1)
        else:
            out += msg[at:at + 1 + n]
            at += 1 + n
    raise ValueError("name loops")


def rdata(kind, text):
    """RDATA of a few types from text; names are absolute."""
    f = text.split()
    if kind == "A" or kind == "AAAA":
        return ipaddress.ip_address(f[0]).packed
    if kind in ("CNAME", "DNAME", "NS"):
        return name_wire(f[0])
    if kind == "MX":
        return struct.pack("!H", int(f[0])) + name_wire(f[1])
    if kind == "TLSA":
        return bytes(map(int, f[:3])) + bytes.fromhex("".join(f[3:]))
    if kind == "RRSIG":
        first, last = (calendar.timegm(time.strptime(f[i], "%Y%m%d%H%M%S"))
                       for i in (5, 4))
        return (struct.pack("!HBBIIIH", TYPES[f[0]], int(f[1]), int(f[2]),
                            int(f[3]), last, first, int(f[6]))
                + name_wire(f[7]) + base64.b64decode("".join(f[8:])))
    raise ValueError("cannot write RDATA of " + kind)


def key_tag(rdata):
    """Of a DNSKEY: RFC 4034 appendix B."""
    total = sum(b << 8 if i % 2 == 0 else b for i, b in enumerate(rdata))
    return (total + (total >> 16 & 0xFFFF)) & 0xFFFF


def big_key(octets=10000):
    """DNSKEY RDATA: RSA with a modulus and an exponent of so many octets.  A
    signature by it, which nobody can make, takes a validator half a minute."""
    return (struct.pack("!HBB", 257, 3, 8) + b"\0" + struct.pack("!H", octets)
            + b"\x7f" + b"\xff" * (octets - 1) + b"\xfd" * octets)


class RR:
    def __init__(self, name, kind, cls, ttl, data):
        self.name, self.kind, self.cls = name, kind, cls
        self.ttl, self.data = ttl, data

    def covers(self):
        """Type covered, of an RRSIG."""
        return struct.unpack("!H", self.data[:2])[0]

    def wire(self):
        return (self.name + struct.pack("!HHIH", self.kind, self.cls, self.ttl,
                                        len(self.data)) + self.data)


class Message:
    """A parsed message; sections hold RRs with uncompressed names."""

    def __init__(self, raw):
        (self.id, self.flags, qd, an, ns, ar) = struct.unpack("!6H", raw[:12])
        if qd != 1:
            raise ValueError("want one question")
        self.qname, at = read_name(raw, 12)
        self.qtype, self.qclass = struct.unpack("!HH", raw[at:at + 4])
        at += 4
        self.sections = []
        for count in (an, ns, ar):
            rrs = []
            for _ in range(count):
                rr, at = self.read_rr(raw, at)
                rrs.append(rr)
            self.sections.append(rrs)

    @staticmethod
    def read_rr(raw, at):
        name, at = read_name(raw, at)
        kind, cls, ttl, n = struct.unpack("!HHIH", raw[at:at + 10])
        at += 10
        data = raw[at:at + n]
        if kind in (TYPES["NS"], TYPES["CNAME"], TYPES["DNAME"]):
            data = read_name(raw, at)[0]
        elif kind == TYPES["MX"]:
            data = raw[at:at + 2] + read_name(raw, at + 2)[0]
        elif kind == TYPES["SOA"]:
            first, mid = read_name(raw, at)
            second, mid = read_name(raw, mid)
            data = first + second + raw[mid:at + n]
        return RR(name, kind, cls, ttl, data), at + n

    @property
    def answer(self):
        return self.sections[0]

    @property
    def authority(self):
        return self.sections[1]

    def rcode(self):
        return self.flags & 15

    def set_rcode(self, rcode):
        self.flags = (self.flags & ~15) | rcode

    def udp_size(self):
        for rr in self.sections[2]:
            if rr.kind == OPT:
                return max(512, rr.cls)
        return 512

    def keep(self, want):
        """Drops the records for which want(section index, rr) is false."""
        self.sections = [[rr for rr in s if rr.kind == OPT or want(i, rr)]
                         for i, s in enumerate(self.sections)]

    def wire(self, limit=65535):
        body = self.qname + struct.pack("!HH", self.qtype, self.qclass)
        body += b"".join(rr.wire() for s in self.sections for rr in s)
        head = struct.pack("!6H", self.id, self.flags, 1,
                           *map(len, self.sections))
        if len(head) + len(body) <= limit:
            return head + body
        opt = [rr for rr in self.sections[2] if rr.kind == OPT]
        return (struct.pack("!6H", self.id, self.flags | 0x0200, 1, 0, 0,
                            len(opt)) + self.qname
                + struct.pack("!HH", self.qtype, self.qclass)
                + b"".join(rr.wire() for rr in opt))

# SPDX-License-Identifier: ISC
"""The server's side of TLS 1.2 and 1.3, by hand: what it says need make no
sense, and after an honest handshake it may say anything.

AES-128-GCM with SHA-256, X25519 or P-256, and no check of what the client
says.
"""

import hashlib
import hmac
import os
import struct

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CCS, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
X25519, P256 = 0x001d, 0x0017
ECDSA_P256, RSA_PSS, RSA_PKCS1, DSA = 0x0403, 0x0804, 0x0401, 0x0402
EMPTY = hashlib.sha256(b"").digest()


def u16(n):
    return struct.pack("!H", n)


def vec(size, body):
    """A vector with a length of size octets before it."""
    return len(body).to_bytes(size, "big") + body


def record(kind, body, version=b"\3\3"):
    """As many records as it takes."""
    return b"".join(bytes((kind,)) + version + vec(2, body[i:i + 16000])
                    for i in range(0, len(body) or 1, 16000))


def message(kind, body):
    return bytes((kind,)) + vec(3, body)


class Hello:
    """What counts of a ClientHello."""

    def __init__(self, raw):
        self.raw = raw                  # with the message's head
        self.random = raw[6:38]
        at = 38
        self.session = raw[at + 1:at + 1 + raw[at]]
        at += 1 + raw[at]
        at += 2 + struct.unpack_from("!H", raw, at)[0]
        at += 1 + raw[at] + 2
        self.shares = {}
        while at < len(raw):
            kind, n = struct.unpack_from("!HH", raw, at)
            body = raw[at + 4:at + 4 + n]
            at += 4 + n
            if kind == 51:
                self.take_shares(body)

    def take_shares(self, body):
        at = 2
        while at < len(body):
            group, n = struct.unpack_from("!HH", body, at)
            self.shares[group] = body[at + 4:at + 4 + n]
            at += 4 + n


class Share:
    """Our half of a key exchange."""

    def __init__(self, group):
        self.group = group
        if group == X25519:
            self.key = x25519.X25519PrivateKey.generate()
            self.public = self.key.public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
            self.public = self.key.public_key().public_bytes(
                serialization.Encoding.X962,
                serialization.PublicFormat.UncompressedPoint)

    def secret(self, theirs):
        if self.group == X25519:
            return self.key.exchange(
                x25519.X25519PublicKey.from_public_bytes(theirs))
        return self.key.exchange(
            ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), theirs))


class Wire:
    """Records, in both directions."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""

    def exactly(self, n):
        while len(self.buffer) < n:
            got = self.sock.recv(65536)
            if not got:
                raise EOFError
            self.buffer += got
        out, self.buffer = self.buffer[:n], self.buffer[n:]
        return out

    def read(self):
        """(content type, head, body)"""
        head = self.exactly(5)
        return head[0], head, self.exactly(struct.unpack("!H", head[3:])[0])

    def hello(self):
        raw = b""
        while len(raw) < 4 or len(raw) < 4 + int.from_bytes(raw[1:4], "big"):
            kind, _, body = self.read()
            if kind != HANDSHAKE:
                raise EOFError
            raw += body
        return Hello(raw)


# ------------------------------------------------------------------- TLS 1.3

def expand(secret, label, context, n):
    info = u16(n) + vec(1, b"tls13 " + label) + vec(1, context)
    return hmac.digest(secret, info + b"\1", "sha256")[:n]


class Sender:
    """Encrypted records, one way (1.3); None: nothing is known."""

    def __init__(self, secret):
        self.aead = AESGCM(expand(secret, b"key", b"", 16))
        self.iv = int.from_bytes(expand(secret, b"iv", b"", 12), "big")
        self.n = 0

    def nonce(self):
        self.n += 1
        return (self.iv ^ (self.n - 1)).to_bytes(12, "big")

    def seal(self, kind, body):
        """One record."""
        head = b"\x17\3\3" + u16(len(body) + 17)
        return head + self.aead.encrypt(self.nonce(), body + bytes((kind,)),
                                        head)

    def open(self, head, body):
        """(content type, octets)"""
        text = self.aead.decrypt(self.nonce(), body, head).rstrip(b"\0")
        return text[-1], text[:-1]


def certificate13(chain):
    rows = b"".join(vec(3, c) + b"\0\0" for c in chain)
    return message(11, b"\0" + vec(3, rows))


def hello13(hello, share):
    extensions = (b"\0\x2b" + vec(2, b"\3\4") + b"\0\x33"
                  + vec(2, u16(share.group) + vec(2, share.public)))
    return message(2, b"\3\3" + os.urandom(32) + vec(1, hello.session)
                   + b"\x13\1\0" + vec(2, extensions))


class Tls13:
    """flight(): what the server says, encrypted; finish(): the rest of an
    honest handshake, after which send() and recv() are for the owner."""

    def __init__(self, sock, chain, key, scheme):
        self.wire = Wire(sock)
        self.sock, self.chain = sock, chain
        self.key, self.scheme = key, scheme
        self.text = b""

    def derive(self, secret, label):
        return expand(secret, label, self.hash(), 32)

    def hash(self):
        return hashlib.sha256(self.said).digest()

    def flight(self):
        hello = self.wire.hello()
        group = X25519 if X25519 in hello.shares else P256
        share = Share(group)
        first = hello13(hello, share)
        self.said = hello.raw + first
        early = hmac.digest(bytes(32), bytes(32), "sha256")
        handshake = hmac.digest(expand(early, b"derived", EMPTY, 32),
                                share.secret(hello.shares[group]), "sha256")
        self.theirs = self.derive(handshake, b"c hs traffic")
        ours = self.derive(handshake, b"s hs traffic")
        self.master = hmac.digest(expand(handshake, b"derived", EMPTY, 32),
                                  bytes(32), "sha256")
        rest = message(8, b"\0\0") + certificate13(self.chain)
        self.said += rest
        signed = self.key.sign(b" " * 64 + b"TLS 1.3, server Certificate"
                               b"Verify\0" + self.hash())
        proof = message(15, u16(self.scheme) + vec(2, signed))
        self.said += proof
        done = message(20, hmac.digest(expand(ours, b"finished", b"", 32),
                                       self.hash(), "sha256"))
        self.said += done
        rest += proof + done
        sender = Sender(ours)
        return record(HANDSHAKE, first) + b"".join(
            sender.seal(HANDSHAKE, rest[i:i + 16000])
            for i in range(0, len(rest), 16000))

    def handshake(self):
        self.sock.sendall(self.flight())
        self.ours = self.derive(self.master, b"s ap traffic")
        self.sender = Sender(self.ours)
        after = Sender(self.derive(self.master, b"c ap traffic"))
        receiver = Sender(self.theirs)
        while True:                     # to the client's Finished
            kind, head, body = self.wire.read()
            if kind == DATA and receiver.open(head, body)[0] == HANDSHAKE:
                break
            if kind == ALERT:
                raise EOFError
        self.receiver = after

    def send(self, kind, body):
        self.sock.sendall(self.sender.seal(kind, body))

    def line(self):
        while b"\n" not in self.text:
            kind, text = self.receiver.open(*self.wire.read()[1:])
            if kind == ALERT:
                raise EOFError
            self.text += text if kind == DATA else b""
        line, _, self.text = self.text.partition(b"\n")
        return line.decode("latin-1").strip()


# ------------------------------------------------------------------- TLS 1.2

def prf(secret, label, seed, n):
    seed = label + seed
    out, a = b"", seed
    while len(out) < n:
        a = hmac.digest(secret, a, "sha256")
        out += hmac.digest(secret, a + seed, "sha256")
    return out[:n]


def certificate12(chain):
    return message(11, vec(3, b"".join(vec(3, c) for c in chain)))


class Tls12:
    """As Tls13.  suite: 0xc02b ECDSA, 0xc02f RSA, 0x009e DHE with RSA."""

    def __init__(self, sock, chain, key, scheme, suite=0xc02b, group=None):
        self.wire = Wire(sock)
        self.sock, self.chain = sock, chain
        self.key, self.scheme, self.suite = key, scheme, suite
        self.group = group              # octets of p, of DHE
        self.text = b""

    def flight(self):
        hello = self.wire.hello()
        self.client, self.server = hello.random, os.urandom(32)
        extensions = bytes.fromhex("ff01000100000b00020100")
        said = message(2, b"\3\3" + self.server + b"\0" + u16(self.suite)
                       + b"\0" + vec(2, extensions))
        said += certificate12(self.chain)
        if self.group:
            half = os.urandom(len(self.group) - 1)
            share = vec(2, self.group) + vec(2, half) + vec(2, half[1:])
        else:
            self.share = Share(X25519)
            share = b"\3" + u16(X25519) + vec(1, self.share.public)
        signed = self.key.sign(self.client + self.server + share)
        said += message(12, share + u16(self.scheme) + vec(2, signed))
        said += message(14, b"")
        self.said = hello.raw + said
        return record(HANDSHAKE, said)

    def keys(self, theirs):
        master = prf(self.share.secret(theirs), b"master secret",
                     self.client + self.server, 48)
        block = prf(master, b"key expansion", self.server + self.client, 40)
        self.receiver = AESGCM(block[:16]), block[32:36]
        self.sender = AESGCM(block[16:32]), block[36:40]
        self.n_in = self.n_out = 0
        return master

    def handshake(self):
        self.sock.sendall(self.flight())
        master = None
        while True:
            kind, head, body = self.wire.read()
            if kind == ALERT:
                raise EOFError
            if kind == CCS:
                break
            master = self.keys(body[5:])        # ClientKeyExchange
            self.said += body
        self.said += self.open(*self.wire.read()[1:])
        done = message(20, prf(master, b"server finished", hashlib.sha256(
            self.said).digest(), 12))
        self.sock.sendall(record(CCS, b"\1"))
        self.send(HANDSHAKE, done)

    def open(self, head, body):
        aead, salt = self.receiver
        more = struct.pack("!Q", self.n_in) + head[:3] + u16(len(body) - 24)
        self.n_in += 1
        return aead.decrypt(salt + body[:8], body[8:], more)

    def seal(self, kind, body):
        aead, salt = self.sender
        count = struct.pack("!Q", self.n_out)
        self.n_out += 1
        more = count + bytes((kind,)) + b"\3\3" + u16(len(body))
        sealed = count + aead.encrypt(salt + count, body, more)
        return bytes((kind,)) + b"\3\3" + vec(2, sealed)

    def send(self, kind, body):
        self.sock.sendall(self.seal(kind, body))

    def line(self):
        while b"\n" not in self.text:
            kind, head, body = self.wire.read()
            text = self.open(head, body)
            if kind == ALERT:
                raise EOFError
            self.text += text if kind == DATA else b""
        line, _, self.text = self.text.partition(b"\n")
        return line.decode("latin-1").strip()

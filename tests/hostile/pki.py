# SPDX-License-Identifier: ISC
"""Certificates that no tool would make, in DER written by hand.

Keys of any size, real where a signature must verify: an RSA modulus of many
small primes and a DSA modulus that is a power of one are quickly made, and
cost whoever verifies as much as honest ones.
"""

import functools
import hashlib
import os
import random

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

RSA_KEY = "2a864886f70d010101"
RSA_SHA256 = "2a864886f70d01010b"
DSA_KEY = "2a8648ce380401"
DSA_SHA256 = "608648016503040302"
ECDSA_SHA256 = "2a8648ce3d040302"
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


# ----------------------------------------------------------------------- DER

def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    if n < 128:
        return bytes((tag, n)) + body
    size = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes((tag, 128 | len(size))) + size + body


def seq(*parts):
    return tlv(0x30, *parts)


def number(v):
    return tlv(2, v.to_bytes(v.bit_length() // 8 + 1, "big"))


def oid(hexed):
    return tlv(6, bytes.fromhex(hexed))


def bits(octets):
    return tlv(3, b"\0", octets)


def name(text):
    return seq(tlv(0x31, seq(oid("550403"), tlv(0x0c, text.encode()))))


def extension(hexed, critical, value):
    return seq(oid(hexed), tlv(1, b"\xff") if critical else b"",
               tlv(4, value))


AUTHORITY = (extension("551d13", True, seq(tlv(1, b"\xff")))
             + extension("551d0f", True, tlv(3, b"\x02\x04")))


def alt_name(host):
    return extension("551d11", False, seq(tlv(0x82, host.encode())))


# ---------------------------------------------------------------------- keys

class Garbage:
    """An RSA key, modulus and exponent of that many octets, which nobody has
    the other half of."""

    def __init__(self, octets, exponent):
        self.octets = octets
        self.spki = rsa_spki(*(int.from_bytes(
            first + os.urandom(n - 2) + b"\1", "big") for first, n in (
                (b"\xff", octets), (b"\x7f", exponent))))

    def sign(self, _data):
        return b"\x01" + os.urandom(self.octets - 1)

    def algorithm(self):
        return seq(oid(RSA_SHA256), b"\x05\x00")


class GarbageDsa:
    """DSA with p, g and y of that many octets."""

    def __init__(self, octets):
        p, q, g, y = (int.from_bytes(b"\x7f" + os.urandom(n - 2) + b"\1",
                                     "big") for n in (octets, 32, octets - 1,
                                                      octets - 1))
        self.spki = seq(seq(oid(DSA_KEY), seq(number(p), number(q),
                                              number(g))), bits(number(y)))

    def sign(self, _data):
        half = [number(int.from_bytes(os.urandom(31), "big"))] * 2
        return seq(*half)

    def algorithm(self):
        return seq(oid(DSA_SHA256))


def rsa_spki(n, e):
    return seq(seq(oid(RSA_KEY), b"\x05\x00"),
               bits(seq(number(n), number(e))))


class Rsa:
    """An RSA key of 8,192 bits, and an exponent of that many."""

    def __init__(self, bits, pairs=8):
        self.primes = []
        for _ in range(pairs):
            k = rsa.generate_private_key(65537, 1024).private_numbers()
            self.primes += [k.p, k.q]
        self.n = functools.reduce(lambda a, b: a * b, self.primes)
        while True:
            self.e = random.getrandbits(bits - 1) | 1 << (bits - 2) | 1
            try:
                self.d = [pow(self.e, -1, p - 1) for p in self.primes]
                break
            except ValueError:          # not prime to one of them
                continue
        self.spki = rsa_spki(self.n, self.e)

    def sign(self, data):
        size = (self.n.bit_length() + 7) // 8
        tail = SHA256_INFO + hashlib.sha256(data).digest()
        m = int.from_bytes(b"\0\1" + b"\xff" * (size - len(tail) - 3) + b"\0"
                           + tail, "big")
        s = 0
        for p, d in zip(self.primes, self.d):   # the Chinese remainders
            rest = self.n // p
            s += pow(m, d, p) * rest * pow(rest, -1, p)
        return (s % self.n).to_bytes(size, "big")

    def algorithm(self):
        return seq(oid(RSA_SHA256), b"\x05\x00")


def is_prime(n):
    return all(pow(a, n - 1, n) == 1 for a in (2, 3, 5, 7))


def prime(size):
    while True:
        n = random.getrandbits(size) | 1 << (size - 1) | 1
        if is_prime(n):
            return n


class Dsa:
    """A DSA key whose p is a power of a prime of 512 bits."""

    def __init__(self, octets):
        self.q = prime(256)
        while True:
            small = random.getrandbits(255) | 1 << 254
            root = 2 * small * self.q + 1
            if root.bit_length() == 512 and is_prime(root):
                break
        power = octets // 64
        self.p = root ** power
        order = (root - 1) * root ** (power - 1)
        self.g = pow(3, order // self.q, self.p)
        self.x = random.randrange(2, self.q)
        self.y = pow(self.g, self.x, self.p)
        k = random.randrange(2, self.q)         # one will do for all
        self.r = pow(self.g, k, self.p) % self.q
        self.k_inverse = pow(k, -1, self.q)
        self.spki = seq(seq(oid(DSA_KEY), seq(
            number(self.p), number(self.q), number(self.g))),
            bits(number(self.y)))

    def sign(self, data):
        h = int.from_bytes(hashlib.sha256(data).digest(), "big")
        s = self.k_inverse * (h + self.x * self.r) % self.q
        return seq(number(self.r), number(s))

    def algorithm(self):
        return seq(oid(DSA_SHA256))


class RsaPem:
    """An honest RSA key."""

    def __init__(self, pem):
        self.key = serialization.load_pem_private_key(pem, None)

    def sign(self, data):
        return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())


class Ec:
    """An honest P-256 key."""

    def __init__(self, pem=None):
        self.key = (serialization.load_pem_private_key(pem, None) if pem
                    else ec.generate_private_key(ec.SECP256R1()))
        self.spki = self.key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, data):
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))

    def algorithm(self):
        return seq(oid(ECDSA_SHA256))

    def pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())


# -------------------------------------------------------------- certificates

def certificate(subject, spki, issuer, signer, extensions=b"", serial=1):
    tbs = seq(tlv(0xa0, number(2)), number(serial), signer.algorithm(),
              name(issuer),
              seq(tlv(0x17, b"200101000000Z"), tlv(0x17, b"491231000000Z")),
              name(subject), spki,
              tlv(0xa3, seq(extensions)) if extensions else b"")
    return seq(tbs, signer.algorithm(), bits(signer.sign(tbs)))


def own(key, host="mx1"):
    """Self-signed."""
    return certificate(host, key.spki, host, key)


def crowd(key, leaf_spki, counts=(2, 3, 4, 6)):
    """(all certificates, those of the last depth): every one of a depth has
    issued every one of the depth before, so that there are as many ways up
    as the product says; and the leaf at their beginning is another host's."""
    chain = [certificate("leaf", leaf_spki, "i1", key,
                         alt_name("other.example"))]
    last, serial = [], 10
    for depth, count in enumerate(counts, 1):
        last = []
        for _ in range(count):
            serial += 1
            last.append(certificate("i%d" % depth, key.spki,
                                    "i%d" % (depth + 1), key, AUTHORITY,
                                    serial))
        chain += last
    return chain, last

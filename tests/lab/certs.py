# SPDX-License-Identifier: ISC
"""Keys and certificates of the lab, all made up at start.

A certificate is written in scenarios.txt as BASE[+MOD...]:

    self    self-signed, nothing else is sent
    ca      leaf issued by the scenario's own CA; sent: leaf, CA
    int     leaf issued by an intermediate; sent: leaf, intermediate, CA
    pub     leaf issued by an intermediate of the CA that everybody in the lab
            knows (world.py), for MTA-STS; sent: leaf, intermediate

    +expired +future      dates of the leaf
    +intexpired           dates of the intermediate
    +leafonly             only the leaf is sent
    +noroot               the CA certificate is not sent
    +shuffled             order: leaf, CA, intermediate (U18)
    +extra                an unrelated certificate is sent as well (U18)
    +stray                the CA is sent, but another one issued the leaf (U08)
    +notca                the issuing certificate says CA:FALSE (U14)
    +client               extended key usage: client only (U14)
    +cnonly               the name stands in the CN, there is no SAN (N06)
    +rsa                  an RSA key
    +slow                 the same, and its exponent has 2048 bits (S09)
"""

import datetime
import hashlib
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
BASES = ("self", "ca", "int", "pub")
MODS = {"expired", "future", "intexpired", "leafonly", "noroot", "shuffled",
        "extra", "stray", "notca", "client", "cnonly", "rsa", "slow"}


class Cert:
    """One certificate with its key."""

    def __init__(self, cert, key):
        self.cert = cert
        self.key = key
        self.der = cert.public_bytes(serialization.Encoding.DER)
        self.pem = cert.public_bytes(serialization.Encoding.PEM)
        self.spki = key.public_key().public_bytes(
            serialization.Encoding.DER,
            serialization.PublicFormat.SubjectPublicKeyInfo)

    def key_pem(self):
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption())

    def association(self, selector, matching):
        """Certificate association data (RFC 6698 2.1.4)."""
        data = self.der if selector == 0 else self.spki
        if matching == 1:
            return hashlib.sha256(data).digest()
        if matching == 2:
            return hashlib.sha512(data).digest()
        return data


def slow_key():
    """An RSA key with its exponents exchanged: what clients reckon with is as
    long as the modulus."""
    n = rsa.generate_private_key(public_exponent=65537,
                                 key_size=2048).private_numbers()
    e = n.public_numbers.e
    return rsa.RSAPrivateNumbers(
        p=n.p, q=n.q, d=e, dmp1=e, dmq1=e, iqmp=n.iqmp,
        public_numbers=rsa.RSAPublicNumbers(n.d, n.public_numbers.n)
    ).private_key()


CA_USAGE = x509.KeyUsage(
    key_cert_sign=True, crl_sign=True, digital_signature=False,
    content_commitment=False, key_encipherment=False, data_encipherment=False,
    key_agreement=False, encipher_only=False, decipher_only=False)


def issue(cn, issuer=None, names=None, ca=False, path=None, dates=None,
          client=False, kind="ec", key=None):
    """A certificate; issuer None makes it self-signed."""
    if key is None and kind == "slow":
        key = slow_key()
    elif key is None:
        key = (rsa.generate_private_key(public_exponent=65537, key_size=2048)
               if kind == "rsa" else ec.generate_private_key(ec.SECP256R1()))
    now = datetime.datetime.utcnow().replace(microsecond=0)
    first, last = dates or (now - 2 * DAY, now + 60 * DAY)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn[:64])])
    b = (x509.CertificateBuilder()
         .subject_name(subject)
         .issuer_name(issuer.cert.subject if issuer else subject)
         .public_key(key.public_key())
         .serial_number(x509.random_serial_number())
         .not_valid_before(first).not_valid_after(last)
         .add_extension(x509.SubjectKeyIdentifier.from_public_key(
             key.public_key()), critical=False))
    if ca:
        b = b.add_extension(x509.BasicConstraints(ca=True, path_length=path),
                            critical=True).add_extension(
            CA_USAGE, critical=True)            # who is strict wants it
    elif issuer:
        b = b.add_extension(x509.BasicConstraints(ca=False, path_length=None),
                            critical=True)
    if issuer:
        b = b.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                issuer.key.public_key()), critical=False)
    if names:
        b = b.add_extension(x509.SubjectAlternativeName(
            [x509.DNSName(n) for n in names]), critical=False)
    if client:
        b = b.add_extension(x509.ExtendedKeyUsage(
            [ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    signer = issuer.key if issuer else key
    return Cert(b.sign(signer, hashes.SHA256()), key)


class Authority:
    """The private CA of one scenario."""

    def __init__(self, label):
        self.label = label[:40]
        self.root = issue(self.label + " root", ca=True)
        self.made = {}

    def intermediate(self, expired=False, notca=False):
        at = ("int", expired, notca)
        if at not in self.made:
            now = datetime.datetime.utcnow()
            self.made[at] = issue(
                self.label + " int", self.root, ca=not notca,
                path=None if notca else 0,
                dates=(now - 20 * DAY, now - 3 * DAY) if expired else None)
        return self.made[at]

    def other(self):
        """A CA with the same name and another key."""
        if "other" not in self.made:
            self.made["other"] = issue(self.label + " root", ca=True)
        return self.made["other"]


class Chain:
    """What a server presents, and what TLSA records can be made from."""

    def __init__(self, leaf, issuers, sent):
        self.leaf = leaf
        self.issuers = issuers          # nearest first
        self.sent = sent

    def part(self, which):
        if which == "leaf":
            return self.leaf
        if which == "root" and self.issuers:
            return self.issuers[-1]
        if which == "int" and len(self.issuers) > 1:
            return self.issuers[0]
        raise ValueError("this chain has no " + which)

    def write(self, path):
        with open(path, "wb") as f:
            for c in self.sent:
                f.write(c.pem)
        with open(path + ".key", "wb") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(self.leaf.key_pem())


def chain(spec, names, authority, cn=None):
    """The chain that spec (see above) describes, for these DNS names; cn
    replaces the first of them in the subject."""
    base, *mods = spec.split("+")
    unknown = set(mods) - MODS
    if base not in BASES or unknown:
        raise ValueError("certificate %r: want %s with %s" % (
            spec, "|".join(BASES), " ".join("+" + m for m in sorted(MODS))))
    now = datetime.datetime.utcnow()
    dates = None
    if "expired" in mods:
        dates = (now - 20 * DAY, now - 3 * DAY)
    elif "future" in mods:
        dates = (now + 3 * DAY, now + 20 * DAY)
    how = dict(names=None if "cnonly" in mods else names, dates=dates,
               client="client" in mods, kind="slow" if "slow" in mods else
               "rsa" if "rsa" in mods else "ec")
    if base == "self":
        leaf = issue(cn or names[0], **how)
        return Chain(leaf, [], [leaf])
    issuers = [authority.root]
    if base in ("int", "pub"):
        issuers.insert(0, authority.intermediate("intexpired" in mods,
                                                 "notca" in mods))
    if "stray" in mods:
        leaf = issue(cn or names[0], authority.other(), **how)
    else:
        leaf = issue(cn or names[0], issuers[0], **how)
    sent = [leaf] + issuers
    if "shuffled" in mods:
        sent = [leaf] + issuers[::-1]
    if "noroot" in mods or base == "pub":
        sent.remove(authority.root)
    if "leafonly" in mods:
        sent = [leaf]
    if "extra" in mods:
        sent.insert(1, issue("unrelated", ca=True))
    return Chain(leaf, issuers, sent)

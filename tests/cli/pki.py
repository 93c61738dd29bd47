# SPDX-License-Identifier: ISC
"""Certificates whose dates are written down, so that no test depends on the
day it runs: they hold in the year 2021, and --at says when."""

import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

AT = "2021-06-01T12:00:00Z"
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER


def day(text):
    return datetime.datetime.strptime(text, "%Y-%m-%d")


class Cert:
    def __init__(self, cert, key):
        self.cert, self.key = cert, key
        self.pem, self.der = cert.public_bytes(PEM), cert.public_bytes(DER)

    @property
    def spki(self):
        return self.key.public_key().public_bytes(
            DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    def public_pem(self):
        return self.key.public_key().public_bytes(
            PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def private(self, encoding=PEM,
                form=serialization.PrivateFormat.PKCS8, password=None):
        how = (serialization.BestAvailableEncryption(password) if password
               else serialization.NoEncryption())
        return self.key.private_bytes(encoding, form, how)

    def csr(self, encoding=PEM):
        return (x509.CertificateSigningRequestBuilder()
                .subject_name(self.cert.subject)
                .sign(self.key, hashes.SHA256()).public_bytes(encoding))

    def data(self, selector, matching):
        b = self.der if selector == 0 else self.spki
        return {0: b, 1: hashlib.sha256(b).digest(),
                2: hashlib.sha512(b).digest()}[matching].hex()

    def record(self, usage, selector=1, matching=1):
        return "%d %d %d %s" % (usage, selector, matching,
                                self.data(selector, matching))


def issue(cn, issuer=None, names=None, ca=False, last="2022-01-01",
          kind="ec"):
    key = (rsa.generate_private_key(public_exponent=65537, key_size=2048)
           if kind == "rsa" else ec.generate_private_key(ec.SECP256R1()))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)])
    b = (x509.CertificateBuilder().subject_name(subject)
         .issuer_name(issuer.cert.subject if issuer else subject)
         .public_key(key.public_key())
         .serial_number(x509.random_serial_number())
         .not_valid_before(day("2021-01-01")).not_valid_after(day(last))
         .add_extension(x509.BasicConstraints(ca=ca, path_length=None),
                        critical=True))
    if names:
        b = b.add_extension(x509.SubjectAlternativeName(
            [x509.DNSName(n) for n in names]), critical=False)
    return Cert(b.sign(issuer.key if issuer else key, hashes.SHA256()), key)


ROOT = issue("the root", ca=True)
INTER = issue("the intermediate", ROOT, ca=True)
LEAF = issue("mx.example.org", INTER, ["mx.example.org"])
OTHER = issue("the other root", ca=True)
RSA = issue("rsa.example.org", names=["rsa.example.org"], kind="rsa")
CHAIN = LEAF.pem + INTER.pem + ROOT.pem

# SPDX-License-Identifier: ISC
"""danevirke tlsa."""

from cryptography.hazmat.primitives import serialization

from pki import CHAIN, DER, INTER, LEAF, OTHER, PEM, ROOT, RSA
from tool import has, path, run, same, write

HOST = ["--host", "mx.example.org"]
OWNER = "_25._tcp.mx.example.org."


def tlsa(*args):
    return run("tlsa", *args)


def records(r):
    """As "U S M HEX", from the JSON."""
    same(r.code, 0, r.err)
    return ["%(usage)d %(selector)d %(matching)d %(data)s" % x
            for x in r.json["records"]]


def bad(part, *args):
    r = tlsa(*args)
    same((r.code, r.out), (2, ""), args)
    has(r.err, part)
    r = tlsa("--json", *args)
    same(r.code, 2)
    has(r.json["error"], part)


def test_default():
    """for a certificate 3 1 1 is printed, as one zone-file line (L06)"""
    r = tlsa("--cert", write("leaf.pem", LEAF.pem), *HOST)
    same((r.code, r.err), (0, ""))
    same(r.out, "%s\tIN TLSA %s\n" % (OWNER, LEAF.record(3)))
    r = tlsa("--cert", path("leaf.pem"), "--port", "465", "--ttl", "60",
             "--host", "M\u00fcller.example.")
    same(r.out, "_465._tcp.xn--mller-kva.example.\t60\tIN TLSA %s\n" %
         LEAF.record(3))


def test_no_host():
    """without --host the line belongs to the owner before it"""
    r = tlsa("--cert", write("leaf.pem", LEAF.pem))
    same(r.out, "\tIN TLSA %s\n" % LEAF.record(3))


def test_chain():
    """the leaf gets 3 1 1, each CA certificate behind it 2 1 1"""
    r = tlsa("--json", "--cert", write("chain.pem", CHAIN))
    same(records(r), [LEAF.record(3), INTER.record(2), ROOT.record(2)])
    same([x["of"] for x in r.json["records"]],
         ["certificate", "CA certificate", "CA certificate"])


def test_bom():
    """a UTF-8 byte order mark before PEM is passed over"""
    mark = b"\xef\xbb\xbf"
    plain = records(tlsa("--json", "--cert", write("chain.pem", CHAIN)))
    for text in (mark + CHAIN, CHAIN.replace(
            b"-----END CERTIFICATE-----\n",
            b"-----END CERTIFICATE-----\n" + mark, 1)):
        r = tlsa("--json", "--cert", write("bom.pem", text))
        same((r.code, r.err), (0, ""))
        same(records(r), plain)
        r = run("verify", "--tlsa", LEAF.record(3), path("bom.pem"))
        same(r.code, 0)


def test_forms():
    """certificates, keys and requests of one key give one record"""
    trad = serialization.PrivateFormat.TraditionalOpenSSL
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    for cert in (LEAF, RSA):
        for i, data in enumerate((
                cert.pem, cert.der, cert.private(), cert.private(DER),
                cert.private(PEM, trad), cert.private(DER, trad),
                cert.public_pem(), cert.key.public_key().public_bytes(
                    DER, spki), cert.csr(), cert.csr(DER),
                cert.private() + cert.pem)):
            r = tlsa("--json", "--cert", write("form%d" % i, data))
            same(records(r), [cert.record(3)], "form %d" % i)


def test_usages():
    """every kind is printed on request, by numbers or RFC 7218 names"""
    write("leaf.pem", LEAF.pem)
    write("chain.pem", CHAIN)
    for u in (1, 3):
        for s in (0, 1):
            for m in (0, 1, 2):
                r = tlsa("--json", "--cert", path("leaf.pem"), "--usage",
                         "%d %d %d" % (u, s, m))
                same(records(r), [LEAF.record(u, s, m)])
    for text, kind in (("DANE-EE SPKI SHA2-256", (3, 1, 1)),
                       ("dane-ee cert sha2-512", (3, 0, 2)),
                       ("PKIX-EE  Cert Full", (1, 0, 0)), ("3", (3, 1, 1))):
        r = tlsa("--json", "--cert", path("leaf.pem"), "--usage", text)
        same(records(r), [LEAF.record(*kind)], text)
    for text, kind in (("2", (2, 1, 1)), ("DANE-TA Cert Full", (2, 0, 0)),
                       ("0 0 1", (0, 0, 1))):
        r = tlsa("--json", "--cert", path("chain.pem"), "--usage", text)
        same(records(r), [INTER.record(*kind), ROOT.record(*kind)], text)
    r = tlsa("--json", "--cert", path("chain.pem"), "--usage", "3",
             "--usage", "3 1 2", "--usage", "3")
    same(records(r), [LEAF.record(3), LEAF.record(3, 1, 2)])


def test_ca_alone():
    """a CA certificate alone can be asked for as an anchor (U09)"""
    r = tlsa("--cert", write("root.pem", ROOT.pem), "--usage", "2")
    same(r.out, "\tIN TLSA %s\n" % ROOT.record(2))
    r = tlsa("--cert", path("root.pem"))
    same(r.out, "\tIN TLSA %s\n" % ROOT.record(3))
    has(r.err, "--usage 2")


def test_ta_refused():
    """usage 2 without a CA certificate is exit 2"""
    bad("no CA certificate", "--cert", write("leaf.pem", LEAF.pem),
        "--usage", "2 0 1")


def test_next_key():
    """the pair for a rollover is printed (L02)"""
    r = tlsa("--json", "--cert", write("leaf.pem", LEAF.pem), "--next-key",
             write("next.pem", OTHER.private()))
    same(records(r), [LEAF.record(3), OTHER.record(3)])
    same([x["next"] for x in r.json["records"]], [False, True])
    r = tlsa("--json", "--cert", path("leaf.pem"), "--next-key",
             path("leaf.pem"))
    same(records(r), [LEAF.record(3)])
    # U09: the server's next key is no CA's, though usage 2 is asked for
    for kinds, want in ((("2",), [(2, False)]),
                        (("3", "2"), [(3, False), (2, False), (3, True)])):
        r = tlsa("--json", "--cert", write("chain.pem", CHAIN), "--next-key",
                 path("next.pem"), *[x for k in kinds for x in ("--usage", k)])
        got = [(x["usage"], x["next"]) for x in r.json["records"]]
        same(sorted(set(got)), sorted(want))
        has(r.err, "no record for DANE-TA SPKI SHA2-256")
    # but a CA's is, beside that CA's own
    r = tlsa("--json", "--cert", write("root.pem", ROOT.pem), "--next-key",
             path("next.pem"), "--usage", "2")
    same([(x["usage"], x["next"]) for x in r.json["records"]],
         [(2, False), (2, True)])
    bad("selector Cert(0)", "--cert", path("leaf.pem"), "--next-key",
        path("next.pem"), "--usage", "3 0 1")


def test_nsupdate():
    """nsupdate(1) input adds, or replaces by, exactly these records"""
    write("leaf.pem", LEAF.pem)
    add = "update add %s 3600 TLSA %s\nsend\n" % (OWNER, LEAF.record(3))
    for how in ("--nsupdate", "--nsupdate=add"):
        r = tlsa("--cert", path("leaf.pem"), *HOST, how)
        same((r.code, r.out, r.err), (0, add, ""))
    r = tlsa("--cert", path("leaf.pem"), *HOST, "--nsupdate=replace")
    same(r.out, "update delete %s TLSA\n" % OWNER + add)
    has(r.err, "two TTLs")
    bad("--host", "--cert", path("leaf.pem"), "--nsupdate")
    bad("replace", "--cert", path("leaf.pem"), *HOST, "--nsupdate=remove")


def test_lint():
    """full data and usages 0 and 1 are warned about (L08 L09)"""
    r = tlsa("--cert", write("leaf.pem", LEAF.pem), "--usage", "1 0 0")
    same(r.code, 0)
    has(r.err, "ignore usages 0 and 1")
    has(r.err, "full data")


def test_round_trip():
    """what tlsa prints, verify accepts"""
    r = tlsa("--cert", write("chain.pem", CHAIN))
    for line in r.out.splitlines():
        v = run("verify", "--json", "--at", "2021-06-01T00:00:00Z", "--name",
                "mx.example.org", "--tlsa", line.split("TLSA ")[1],
                path("chain.pem"))
        same(v.code, 0, line)


def test_bad_files():
    """what is damaged, encrypted or not there is exit 2"""
    pem = LEAF.pem.decode()
    for name, data, part in (
            ("empty", b"", "neither PEM"), ("text", b"hello\n", "neither PEM"),
            ("cut", pem[:300], "no END"),
            ("short", LEAF.der[:-1], "neither PEM"),
            ("long", LEAF.der + b"\0", "neither PEM"),
            ("locked", LEAF.private(password=b"x"), "encrypted"),
            ("old", LEAF.private(
                PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                b"x"), "encrypted"),
            ("junk", "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n"
             "-----END CERTIFICATE-----\n", "damaged"),
            ("second", CHAIN + b"-----BEGIN CERTIFICATE-----\nMAMCAQE=\n"
             b"-----END CERTIFICATE-----\n", "damaged"),
            ("crl", "-----BEGIN X509 CRL-----\nMAMCAQE=\n"
             "-----END X509 CRL-----\n", "no certificate")):
        bad(part, "--cert", write(name, data))
    bad("No such", "--cert", "/nonexistent")


def test_bad_request():
    """a request whose signature does not hold is refused"""
    der = bytearray(LEAF.csr(DER))
    der[-1] ^= 1
    bad("neither PEM", "--cert", write("csr", bytes(der)))


def test_bad_options():
    """bad command lines are exit 2"""
    leaf = write("leaf.pem", LEAF.pem)
    for part, args in (
            ("--cert", []), ("unexpected", ["--cert", leaf, "x"]),
            ("--port", ["--cert", leaf, "--port", "0"]),
            ("--ttl", ["--cert", leaf, "--ttl", "2147483648"]),
            ("--ttl", ["--cert", leaf, "--ttl", "-1"]),
            ("usage", ["--cert", leaf, "--usage", "4 1 1"]),
            ("usage", ["--cert", leaf, "--usage", "3 1"]),
            ("usage", ["--cert", leaf, "--usage", "3 1 1 1"]),
            ("selector", ["--cert", leaf, "--usage", "3 2 1"]),
            ("usage", ["--cert", leaf, "--usage", "SPKI"]),
            ("usage", ["--cert", leaf, "--usage", ""]),
            ("--host", ["--cert", leaf, "--host", "a..b"]),
            ("an address", ["--cert", leaf, "--host", "192.0.2.1"]),
            ("want the mail host alone: mx.example.com",
             ["--cert", leaf, "--host", "_25._tcp.mx.example.com"]),
            ("begins with no _", ["--cert", leaf, "--host", "_dmarc.a.b"]),
            ("twice", ["--cert", leaf, "--next-key", leaf, "--next-key",
                       leaf])):
        bad(part, *args)


def test_key_is_not_shown():
    """a private key leaves no trace in the output"""
    r = tlsa("--cert", write("key.pem", LEAF.private()))
    d = LEAF.key.private_numbers().private_value
    assert "%x" % d not in r.out + r.err

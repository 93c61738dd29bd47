# SPDX-License-Identifier: ISC
"""As much of RFC 6376 as it takes to see that a signature arrived whole:
rsa-sha256, relaxed/relaxed."""

import base64
import hashlib
import os
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa


def key(path, user):
    """Writes a new private key that only this user (pwd) can read; returns
    the public key."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
        f.write(private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption()))
    os.chown(path, user.pw_uid, user.pw_gid)
    return private.public_key()


def header(field):
    """One header field, relaxed (3.4.2)."""
    name, _, value = field.partition(":")
    value = re.sub(r"[ \t]+", " ", value.replace("\r\n", "")).strip(" ")
    return name.rstrip().lower() + ":" + value


def text(body):
    """The body, relaxed (3.4.4)."""
    rows = [re.sub(r"[ \t]+", " ", x).rstrip(" ") for x in body.split("\r\n")]
    while rows and not rows[-1]:
        rows.pop()
    return "".join(x + "\r\n" for x in rows)


def good(message, domain, selector, public):
    """Has this message one signature, by this domain's key, and is it good?"""
    head, _, body = message.partition("\r\n\r\n")
    fields = re.split(r"\r\n(?![ \t])", head)
    found = [f for f in fields if f.lower().startswith("dkim-signature:")]
    if len(found) != 1:
        return False
    tags = {k.strip(): re.sub(r"\s", "", v) for k, _, v in (
        t.partition("=") for t in found[0].partition(":")[2].split(";")
        if t.strip())}
    if (tags.get("d"), tags.get("s"), tags.get("a"), tags.get("c")) != (
            domain, selector, "rsa-sha256", "relaxed/relaxed"):
        return False
    digest = hashlib.sha256(text(body).encode("latin-1")).digest()
    if base64.b64decode(tags["bh"]) != digest:
        return False
    signed, left = [], [f for f in fields if f != found[0]]
    for name in tags["h"].lower().split(":"):
        for f in reversed(left):
            if f.partition(":")[0].strip().lower() == name:
                signed.append(header(f) + "\r\n")
                left.remove(f)
                break
    bare = re.sub(r"([;\s]b=)[^;]*", r"\1", found[0])
    try:
        public.verify(base64.b64decode(tags["b"]),
                      ("".join(signed) + header(bare)).encode("latin-1"),
                      padding.PKCS1v15(), hashes.SHA256())
        return True
    except InvalidSignature:
        return False

"""The primitives that vendors' signatures are built from: digests, HMACs, percent-encoding. Nothing else.

What a string to sign looks like is each adapter's own affair, so that no two readings of a document share a mistake.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from urllib.parse import quote


def sha256_hex(data: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def md5_hex(data: bytes) -> str:
    """MD5 in lower-case hex; for vendors that have nothing better."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def sha1_hex(data: bytes) -> str:
    """SHA-1 in lower-case hex; for vendors that have nothing better."""
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104)."""
    return hmac.new(key, data, hashlib.sha256).digest()


def hmac_sha1(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA1 (RFC 2104)."""
    return hmac.new(key, data, hashlib.sha1).digest()


def base64_text(data: bytes) -> str:
    """Base64 with padding, as text (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def percent(text: str) -> str:
    """Percent-encode UTF-8 by RFC 3986: only letters, digits and -._~ stay as they are.

    >>> percent("测 a*~/")
    '%E6%B5%8B%20a%2A~%2F'
    """
    return quote(text, safe="~")


def matches(expected: str, given: str) -> bool:
    """Whether two digests are equal, in a time that tells nothing about where they differ."""
    return hmac.compare_digest(expected.encode(), given.encode())

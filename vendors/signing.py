"""The primitives that vendors' signatures are built from: digests, HMACs, percent-encoding, one cipher. Nothing else.

What a string to sign looks like is each adapter's own affair, so that no two readings of a document share a mistake.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final
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


def hmac_hex(key: bytes, data: bytes, digest: str) -> str:
    """HMAC by the digest's name (md5, sha1, sha256, sha512) in lower-case hex (RFC 2104)."""
    return hmac.new(key, data, digest).hexdigest()


def base64_text(data: bytes) -> str:
    """Base64 with padding, as text (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def base64_url(data: bytes) -> str:
    """Base64 with "-" and "_", padding kept, as text (RFC 4648, section 5)."""
    return base64.urlsafe_b64encode(data).decode("ascii")


def percent(text: str) -> str:
    """Percent-encode UTF-8 by RFC 3986: only letters, digits and -._~ stay as they are.

    >>> percent("测 a*~/")
    '%E6%B5%8B%20a%2A~%2F'
    """
    return quote(text, safe="~")


def matches(expected: str, given: str) -> bool:
    """Whether two digests are equal, in a time that tells nothing about where they differ."""
    return hmac.compare_digest(expected.encode(), given.encode())


# --- AES-128 in ECB mode with PKCS #7 padding (FIPS 197), for the vendors that encrypt whole bodies with it -----------


def _doubled(byte: int) -> int:
    """Multiplied by x in GF(2^8)."""
    return (byte << 1) ^ (0x11B if byte & 0x80 else 0)


def _times(left: int, right: int) -> int:
    """Multiplied in GF(2^8)."""
    product = 0
    while right:
        product ^= left if right & 1 else 0
        left, right = _doubled(left), right >> 1
    return product


def _substitutions() -> bytes:
    """The S-box: each byte's inverse, turned and mixed (FIPS 197, 5.1.1)."""
    box = bytearray(256)
    for byte in range(256):
        inverse = next((other for other in range(256) if _times(byte, other) == 1), 0)
        mixed = 0x63
        for turn in range(5):
            mixed ^= ((inverse << turn) | (inverse >> (8 - turn))) & 0xFF
        box[byte] = mixed
    return bytes(box)


_BOX: Final = _substitutions()
_BACK: Final = bytes(_BOX.index(byte) for byte in range(256))
_BY: Final = {factor: bytes(_times(byte, factor) for byte in range(256)) for factor in (1, 2, 3, 9, 11, 13, 14)}
_ROWS: Final = tuple((column * 4 + row * 5) % 16 for column in range(4) for row in range(4))
_ROWS_BACK: Final = tuple(_ROWS.index(place) for place in range(16))


def _round_keys(key: bytes) -> list[bytes]:
    if len(key) != 16:
        raise ValueError(f"an AES-128 key has 16 bytes, this one has {len(key)}")
    words, constant = [key[at : at + 4] for at in range(0, 16, 4)], 1
    for at in range(4, 44):
        word = words[-1]
        if at % 4 == 0:
            word = bytes(_BOX[byte] for byte in word[1:] + word[:1])
            word, constant = bytes((word[0] ^ constant, *word[1:])), _doubled(constant)
        words.append(bytes(a ^ b for a, b in zip(words[at - 4], word, strict=True)))
    return [b"".join(words[at : at + 4]) for at in range(0, 44, 4)]


def _mixed(block: bytes, factors: tuple[int, int, int, int]) -> bytes:
    """Every column multiplied by the circulant matrix of these factors."""
    tables = [_BY[factor] for factor in factors]
    return bytes(
        tables[0][block[at + row]]
        ^ tables[1][block[at + (row + 1) % 4]]
        ^ tables[2][block[at + (row + 2) % 4]]
        ^ tables[3][block[at + (row + 3) % 4]]
        for at in range(0, 16, 4)
        for row in range(4)
    )


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


def _encrypted(block: bytes, keys: list[bytes]) -> bytes:
    state = _xor(block, keys[0])
    for number, key in enumerate(keys[1:], 1):
        state = bytes(_BOX[state[place]] for place in _ROWS)
        state = _xor(_mixed(state, (2, 3, 1, 1)) if number < 10 else state, key)
    return state


def _decrypted(block: bytes, keys: list[bytes]) -> bytes:
    state = block
    for number, key in reversed(list(enumerate(keys[1:], 1))):
        state = _xor(state, key)
        state = _mixed(state, (14, 11, 13, 9)) if number < 10 else state
        state = bytes(_BACK[state[place]] for place in _ROWS_BACK)
    return _xor(state, keys[0])


def aes_ecb(key: bytes, data: bytes) -> bytes:
    """AES-128-ECB with PKCS #7 padding. Not for secrets of ours: equal blocks stay equal. Some vendors ask for it.

    Raises:
        ValueError: the key has not 16 bytes.
    """
    keys, missing = _round_keys(key), 16 - len(data) % 16
    padded = data + bytes([missing]) * missing
    return b"".join(_encrypted(padded[at : at + 16], keys) for at in range(0, len(padded), 16))


def aes_ecb_opened(key: bytes, data: bytes) -> bytes:
    """What `aes_ecb` closed.

    Raises:
        ValueError: the key has not 16 bytes, or the data is not what this key closed.
    """
    keys = _round_keys(key)
    if not data or len(data) % 16:
        raise ValueError("not a whole number of blocks")
    plain = b"".join(_decrypted(data[at : at + 16], keys) for at in range(0, len(data), 16))
    if not 1 <= plain[-1] <= 16 or plain[-plain[-1] :] != plain[-1:] * plain[-1]:
        raise ValueError("the padding is none: another key, or not encrypted")
    return plain[: -plain[-1]]

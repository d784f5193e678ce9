"""What fits in one SMS: alphabets, segments, the signature in front, and the token that tells messages apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil
from random import Random
from typing import Final

_GSM7: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM7_EXTENSION: Final = frozenset("^{}\\[~]|€\f")  # two septets each

_VARIABLE: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")

# Without 0/O, 1/I/L and vowels: nothing to misread and no words by accident.
TOKEN_ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXYZ"
TOKEN_LENGTH: Final = 6  # some vendors allow six characters in a variable (facts/vendors/tencent.md 4)


def is_gsm7(text: str) -> bool:
    """Whether a text needs no more than the GSM 03.38 default alphabet and its extension."""
    return all(character in _GSM7 or character in _GSM7_EXTENSION for character in text)


def units(text: str) -> int:
    """Length as the air interface counts it: septets for GSM 7-bit, UTF-16 units otherwise."""
    if is_gsm7(text):
        return sum(2 if character in _GSM7_EXTENSION else 1 for character in text)
    return len(text.encode("utf-16-be")) // 2


def segments(text: str) -> int:
    """How many segments a text needs by the GSM rules: 70/67 UCS-2 units, 160/153 septets.

    >>> segments("您" * 70), segments("您" * 71), segments("a" * 160), segments("a" * 161)
    (1, 2, 1, 2)
    """
    length, (single, joined) = units(text), (160, 153) if is_gsm7(text) else (70, 67)
    return 1 if length <= single else ceil(length / joined)


def billed_segments(text: str) -> int:
    """How many segments the mainland's platforms bill: 70 or 67 characters each, whatever the alphabet.

    Signature included (facts/vendors/alibaba.md 4, tencent.md 4).
    """
    length = len(text.encode("utf-16-be")) // 2
    return 1 if length <= 70 else ceil(length / 67)


def signed(text: str, signature: str) -> str:
    """The whole text as a phone shows it: 【signature】 in front."""
    return f"【{signature}】{text}"


def split_signature(text: str) -> tuple[str | None, str]:
    """Take 【signature】 off the front, or off the end where a vendor puts it there; None if there is none."""
    if found := re.match(r"\s*【([^】]+)】", text):
        return found[1], text[found.end() :]
    if found := re.search(r"【([^】]+)】\s*$", text):
        return found[1], text[: found.start()]
    return None, text


def variables(template: str) -> tuple[str, ...]:
    """Names of a template's {variables}, in order, each once."""
    return tuple(dict.fromkeys(_VARIABLE.findall(template)))


def fill(template: str, parameters: Mapping[str, str]) -> str:
    """Put parameters into a template; a missing one raises KeyError. Substitution only, no expressions."""
    return _VARIABLE.sub(lambda found: parameters[found[1]], template)


def new_token(chance: Random, *, digits: bool) -> str:
    """A token of six characters: digits for verification codes, letters and digits otherwise."""
    alphabet = "0123456789" if digits else TOKEN_ALPHABET
    return "".join(chance.choice(alphabet) for _ in range(TOKEN_LENGTH))


def whole(text: str) -> str:
    """A text that UTF-8 can hold: half a character, where somebody cut one in the middle, becomes U+FFFD.

    >>> whole("好" + chr(0xD83D))
    '好�'
    """
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def normalised(text: str) -> str:
    """A text as compared between sent and seen: without white space at the ends, and CR LF as LF."""
    return text.replace("\r\n", "\n").strip()

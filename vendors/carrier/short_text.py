"""What stands in the content of a short message: alphabets, parts with their headers, and joining what came in parts.

Nothing here raises for what a phone or gateway sends: bytes that are no text become U+FFFD, a broken header is text.
Sources: facts/protocols/smpp.md 6 (GSM 03.38, 3GPP TS 23.040 9.2.3.24) and cmpp.md 7.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

GSM7_TABLE: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet, position = code; 0x1B leads to the extension."""

_EXTENSION: Final = dict(zip("\f^{}\\[~]|€", (0x0A, 0x14, 0x28, 0x29, 0x2F, 0x3C, 0x3D, 0x3E, 0x40, 0x65), strict=True))
_TO_SEPTETS: Final = {
    **{character: bytes([code]) for code, character in enumerate(GSM7_TABLE) if code != 0x1B},
    **{character: bytes([0x1B, code]) for character, code in _EXTENSION.items()},
}
_FROM_EXTENSION: Final = {code: character for character, code in _EXTENSION.items()}


class Alphabet(StrEnum):
    """How characters become octets."""

    ASCII = "ascii"  # one octet a character; Msg_Fmt 0 of the Chinese protocols
    GSM7 = "gsm7"  # one septet an octet, as SMPP carries the default alphabet
    GSM7_PACKED = "gsm7_packed"
    LATIN1 = "latin1"
    UCS2 = "ucs2"  # big-endian; pairs for characters beyond 16 bits
    GB = "gb"  # written as GBK, read as GB18030
    BINARY = "binary"


class Unencodable(ValueError):
    """A text that an alphabet cannot hold."""


_CODECS: Final = {
    Alphabet.ASCII: ("ascii", "ascii"),
    Alphabet.LATIN1: ("latin-1", "latin-1"),
    Alphabet.UCS2: ("utf-16-be", "utf-16-be"),
    Alphabet.GB: ("gbk", "gb18030"),  # four-byte characters seldom survive the gateways: not written
    Alphabet.BINARY: ("latin-1", "latin-1"),
}


def encode_text(text: str, alphabet: Alphabet) -> bytes:
    """A text's octets. Raises Unencodable."""
    try:
        if alphabet in (Alphabet.GSM7, Alphabet.GSM7_PACKED):
            septets = b"".join([_TO_SEPTETS[character] for character in text])
            return septets if alphabet is Alphabet.GSM7 else pack_septets(septets)
        return text.encode(_CODECS[alphabet][0])
    except KeyError as error:
        raise Unencodable(f"{error.args[0]!r} is not in {alphabet}") from error
    except UnicodeEncodeError as error:
        raise Unencodable(f"{text[error.start : error.end]!r} is not in {alphabet}") from error


def decode_text(body: bytes, alphabet: Alphabet, *, septets: int | None = None, fill: int = 0) -> str:
    """The text of some octets; what is none becomes U+FFFD. `septets`, `fill`: see `unpack_septets`."""
    if alphabet is Alphabet.GSM7_PACKED:
        return _gsm7(unpack_septets(body, septets, fill=fill))
    if alphabet is Alphabet.GSM7:
        return _gsm7(body)
    return body.decode(_CODECS[alphabet][1], "replace")


def _gsm7(septets: bytes) -> str:
    found, waiting = [], False
    for code in septets:
        if waiting:
            waiting = False
            # Beyond the extension: the default character; ESC ESC: a blank (GSM 03.38).
            default = " " if code == 0x1B else GSM7_TABLE[code] if code < 128 else "\ufffd"
            found.append(_FROM_EXTENSION.get(code, default))
        elif code == 0x1B:
            waiting = True
        else:
            found.append(GSM7_TABLE[code] if code < 128 else "\ufffd")
    return "".join(found) + (" " if waiting else "")


def pack_septets(septets: bytes, *, fill: int = 0) -> bytes:
    """Septets into octets, least significant bit first, after `fill` zero bits.

    >>> pack_septets(b"hellohello").hex(), pack_septets(b"a", fill=1).hex()
    ('e8329bfd4697d9ec37', 'c2')
    """
    bits = 0
    for position, septet in enumerate(septets):
        bits |= (septet & 0x7F) << (7 * position + fill)
    return bits.to_bytes((7 * len(septets) + fill + 7) // 8, "little")


def unpack_septets(octets: bytes, count: int | None = None, *, fill: int = 0) -> bytes:
    """Septets from octets. Without a count, a zero septet at the end that could be mere padding is left out."""
    bits, most = int.from_bytes(octets, "little") >> fill, max(0, (8 * len(octets) - fill) // 7)
    septets = bytes(bits >> (7 * position) & 0x7F for position in range(min(most, most if count is None else count)))
    is_spare = count is None and most > 0 and 8 * len(octets) - fill == 7 * most and septets[-1] == 0
    return septets[:-1] if is_spare else septets


def alphabet_of_msg_fmt(msg_fmt: int) -> Alphabet:
    """The alphabet that CMPP's, SGIP's or SMGP's format byte means; those beyond the standard by GSM 03.38."""
    match msg_fmt:
        case 0:
            return Alphabet.ASCII
        case 8 | 9:  # 9 has been seen
            return Alphabet.UCS2
        case 15:
            return Alphabet.GB
        case 3 | 4:
            return Alphabet.BINARY
        case _:
            return _by_dcs(msg_fmt, Alphabet.ASCII)


def alphabet_of_data_coding(data_coding: int, default: Alphabet = Alphabet.GSM7) -> Alphabet:
    """The alphabet that SMPP's data_coding means; 0 is whatever the server says."""
    match data_coding:
        case 0:
            return default
        case 1:
            return Alphabet.ASCII
        case 3:
            return Alphabet.LATIN1
        case 8:
            return Alphabet.UCS2
        case 2 | 4 | 5 | 6 | 7 | 9 | 10 | 13 | 14:
            return Alphabet.BINARY
        case _:
            return _by_dcs(data_coding, default)


def _by_dcs(dcs: int, default: Alphabet) -> Alphabet:
    if dcs < 0x40:
        return (default, Alphabet.BINARY, Alphabet.UCS2, Alphabet.BINARY)[dcs >> 2 & 3]
    if dcs >= 0xF0:
        return Alphabet.BINARY if dcs & 4 else default
    return Alphabet.UCS2 if dcs & 0xF0 == 0xE0 else default


# --- parts -----------------------------------------------------------------------------------------------------------


class Piece(NamedTuple):
    """Which part of which long message: its reference, how many there are, and this one's number from 1."""

    reference: int
    total: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One short message of a text. `body` begins with the header if there is a `piece`."""

    body: bytes
    alphabet: Alphabet
    piece: Piece | None = None

    @property
    def has_header(self) -> bool:
        return self.piece is not None

    @property
    def total(self) -> int:
        return self.piece.total if self.piece else 1

    @property
    def number(self) -> int:
        return self.piece.number if self.piece else 1


def header(piece: Piece, *, wide: bool = False) -> bytes:
    """The user data header of a part: six bytes, or seven with a 16-bit reference.

    >>> header(Piece(0x2A, 2, 1)).hex(), header(Piece(0x1234, 2, 1), wide=True).hex()
    ('0500032a0201', '06080412340201')
    """
    if wide:
        return bytes((6, 8, 4, piece.reference >> 8, piece.reference & 0xFF, piece.total, piece.number))
    return bytes((5, 0, 3, piece.reference, piece.total, piece.number))


_SINGLE: Final = {Alphabet.ASCII: 159, Alphabet.GSM7: 160, Alphabet.GSM7_PACKED: 160}  # CMPP says "below 160" of ASCII
_SINGLE_OCTETS: Final = 140


def capacity(alphabet: Alphabet, *, wide: bool | None = None) -> int:
    """Octets, or septets of GSM 7-bit, that one message holds; beside a header if `wide` is told."""
    if wide is None:
        return _SINGLE.get(alphabet, _SINGLE_OCTETS)
    room = 133 if wide else 134
    if alphabet in (Alphabet.GSM7, Alphabet.GSM7_PACKED):
        return room * 8 // 7
    return room - room % 2 if alphabet is Alphabet.UCS2 else room


def split_text(text: str, alphabet: Alphabet, *, reference: int, wide: bool = False) -> tuple[Part, ...]:
    """The short messages of a text: one without a header, or several that cut no character in two.

    Raises:
        Unencodable: the alphabet cannot hold the text.
        ValueError: more than 255 parts, or a reference beyond 8 (16) bits.
    """
    plain = Alphabet.GSM7 if alphabet is Alphabet.GSM7_PACKED else alphabet
    whole = encode_text(text, plain)
    if len(whole) <= capacity(alphabet):
        return (Part(body=encode_text(text, alphabet), alphabet=alphabet),)
    bodies = list(_filled([encode_text(character, plain) for character in text], capacity(alphabet, wide=wide)))
    if len(bodies) > 255 or not 0 <= reference < (65536 if wide else 256):
        raise ValueError(f"{len(bodies)} parts under reference {reference} cannot be told in a header")
    parts = []
    for number, body in enumerate(bodies, 1):
        piece = Piece(reference, len(bodies), number)
        front = header(piece, wide=wide)
        packed = pack_septets(body, fill=fill_bits(len(front))) if alphabet is Alphabet.GSM7_PACKED else body
        parts.append(Part(body=front + packed, alphabet=alphabet, piece=piece))
    return tuple(parts)


def _filled(characters: Iterable[bytes], room: int) -> Iterator[bytes]:
    body = b""
    for each in characters:
        if len(body) + len(each) > room:
            yield body
            body = b""
        body += each
    yield body


def fill_bits(header_size: int) -> int:
    """Zero bits between a header and packed septets, so that these begin on a septet's boundary."""
    return -8 * header_size % 7


def split_header(body: bytes) -> tuple[Piece | None, bytes]:
    """Take the user data header off a body that claims to have one. A header that cannot be, stays where it is."""
    if not body or body[0] + 1 > len(body) or body[0] < 2:
        return None, body
    end, at, piece = body[0] + 1, 1, None
    while at + 2 <= end:
        element, size = body[at], body[at + 1]
        data = body[at + 2 : at + 2 + size]
        if at + 2 + size > end:
            break
        if element == 0x00 and size == 3:
            piece = _sensible(Piece(data[0], data[1], data[2])) or piece
        elif element == 0x08 and size == 4:
            piece = _sensible(Piece(data[0] << 8 | data[1], data[2], data[3])) or piece
        at += 2 + size
    return piece, body[end:]


def _sensible(piece: Piece) -> Piece | None:
    return piece if 0 < piece.number <= piece.total else None


# --- joining ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundPart:
    """A reply from a phone, or one part of it 上行. `number` and `to` as the gateway wrote them."""

    number: str = field(repr=False)
    to: str
    text: str
    piece: Piece | None = None
    body: bytes = b""  # without its header
    alphabet: Alphabet = Alphabet.UCS2


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Generic[T]):
    """A whole text, or what came of it in time, with the tokens of its parts."""

    text: str
    number: str = field(repr=False)
    to: str
    tokens: tuple[T, ...]
    missing: int = 0  # parts that never came


@dataclass(slots=True)
class _Heap(Generic[T]):
    since: float
    parts: dict[int, InboundPart]
    tokens: list[T]


class Joiner(Generic[T]):
    """Puts the parts of replies together, for one account over all its connections.

    A token travels with each part (what acknowledges it, say) and comes back with the whole, so that nothing need be
    acknowledged before it is kept. At most `most` unfinished texts are held; the oldest goes first.
    """

    def __init__(self, *, patience: float = 300.0, most: int = 1000) -> None:
        self._patience, self._most = patience, most
        self._heaps: dict[Hashable, _Heap[T]] = {}

    def __len__(self) -> int:
        return len(self._heaps)

    def add(self, part: InboundPart, token: T, now: float) -> list[Joined[T]]:
        """What is whole now, and what had to make room unfinished. `now` in seconds."""
        if part.piece is None or part.piece.total == 1:
            return [Joined(text=part.text, number=part.number, to=part.to, tokens=(token,))]
        key = (part.number, part.to, part.piece.reference, part.piece.total)
        heap = self._heaps.setdefault(key, _Heap(now, {}, []))
        heap.parts[part.piece.number] = part
        heap.tokens.append(token)
        done = []
        if len(heap.parts) == part.piece.total or len(heap.tokens) > 4 * part.piece.total:
            done.append(self._close(key))
        while len(self._heaps) > self._most:
            done.append(self._close(next(iter(self._heaps))))
        return done

    def next_timer(self) -> float | None:
        """When the oldest unfinished text is given up."""
        oldest = next(iter(self._heaps.values()), None)
        return oldest.since + self._patience if oldest else None

    def tick(self, now: float) -> list[Joined[T]]:
        """Unfinished texts whose time is over."""
        over = [key for key, heap in self._heaps.items() if now >= heap.since + self._patience]
        return [self._close(key) for key in over]

    def _close(self, key: Hashable) -> Joined[T]:
        heap = self._heaps.pop(key)
        some = next(iter(heap.parts.values()))
        total = some.piece.total if some.piece else 1
        ordered = [heap.parts[number] for number in sorted(heap.parts)]
        if len({part.alphabet for part in ordered}) == 1 and some.alphabet in (Alphabet.UCS2, Alphabet.GB):
            # Senders do cut characters in two: decode the whole, not the parts.
            text = decode_text(b"".join(part.body for part in ordered), some.alphabet)
        else:
            text = "".join(part.text for part in ordered)
        return Joined(
            text=text, number=some.number, to=some.to, tokens=tuple(heap.tokens), missing=total - len(ordered)
        )

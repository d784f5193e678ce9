"""Length-prefixed packets from tables: a PDU is a table of fields, from which both directions follow.

Shared by CMPP, SMPP, SGIP and SMGP. Reading is tolerant unless asked to be strict; whatever cannot be read or written
raises `Malformed`, which names the place and the value, and nothing else is ever raised.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat, takewhile
from operator import itemgetter
from struct import Struct
from struct import error as StructError
from typing import Any, Final, NamedTuple, Protocol

RESPONSE: Final = 0x80000000
"""All four protocols: a response is its request's command with the top bit set."""

SequenceId = int | tuple[int, int, int]
"""A sequence number: one number, or SGIP's three words."""

Values = Mapping[str, Any]
_INTEGERS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}


class Malformed(Exception):
    """Bytes or values that are no packet: where, what stands there, what is wrong with it."""

    def __init__(self, place: str, value: object, problem: str) -> None:
        self.place, self.value, self.problem = place, value, problem
        shown = value.hex() if isinstance(value, bytes | bytearray) else repr(value)
        super().__init__(f"{place}: {problem} (got {shown[:80]})")


class UnknownCommand(Malformed):
    """A whole packet whose command no table knows."""


# --- fields: what a table is written with ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """An unsigned big-endian integer of 1, 2, 4 or 8 bytes."""

    name: str
    size: int = 1
    default: int = 0


@dataclass(frozen=True, slots=True)
class Octets:
    """Exactly `size` raw bytes; NULs count."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Padded:
    """Up to `size` bytes, padded right with NUL; read up to the first NUL."""

    name: str
    size: int
    default: bytes = b""


@dataclass(frozen=True, slots=True)
class Terminated:
    """Bytes up to a NUL; `most` counts the NUL. `full`: empty or exactly `most` (SMPP's times)."""

    name: str
    most: int
    full: bool = False
    default: bytes = b""


@dataclass(frozen=True, slots=True)
class Listed:
    """One byte of count, then so many padded strings of `size`: receivers."""

    name: str
    size: int
    most: int = 100


@dataclass(frozen=True, slots=True)
class Counted:
    """A length of `width` bytes, then so many raw bytes: the content."""

    name: str
    width: int = 1
    most: int = 255


@dataclass(frozen=True, slots=True)
class Repeated:
    """One byte of count, then so many groups of fixed fields, each read as a dict."""

    name: str
    fields: tuple[Number | Octets | Padded, ...]


@dataclass(frozen=True, slots=True)
class Tlvs:
    """Optional parameters up to the end: (tag, value) pairs in the order of the wire."""

    name: str = "tlvs"


Fixed = Number | Octets | Padded
Field = Fixed | Terminated | Listed | Counted | Repeated | Tlvs


# --- steps: what a table is compiled to ------------------------------------------------------------------------------


_COUNT, _LENGTH = "#count", "#length"  # derived from other fields


class _Reads(Protocol):
    """Some neighbouring fields, read in one go."""

    @property
    def names(self) -> tuple[str, ...]:
        """The fields in the order in which `read` gives them."""

    def read(self, frame: bytes, at: int, strict: bool) -> tuple[tuple[Any, ...], int]:
        """The values, and where the next step begins."""


class _Step(_Reads, Protocol):
    """Some neighbouring fields, written and read in one go."""

    def write(self, values: dict[str, Any]) -> bytes:
        """`values` are the writer's own: a step may add to them."""


def _picker(keys: Sequence[Any]) -> Any:
    """An itemgetter that always gives a tuple."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return (lambda source: (source[keys[0]],)) if keys else (lambda source: ())


def _lengths(patterns: Sequence[bytes]) -> Any:
    """What tells whether strings, joined by NULs, all have their lengths and no NUL inside."""
    return re.compile(rb"\x00".join(patterns), re.DOTALL).fullmatch


_RSTRIP, _NULS = bytes.rstrip, repeat(b"\0")


class _FixedStep:
    """Neighbouring fields of fixed size: one struct for all of them. Padded ones are read first, `last` ones last."""

    def __init__(self, pdu: str, fields: Sequence[Fixed], *, last: Collection[str] = ()) -> None:
        self.pdu, self.fields = pdu, fields
        names = tuple(each.name for each in fields)
        self.layout = "".join(_INTEGERS[each.size] if isinstance(each, Number) else f"{each.size}s" for each in fields)
        struct = Struct(f">{self.layout}")
        self.size, self.pack, self.unpack = struct.size, struct.pack, struct.unpack_from
        self.pick = _picker(names)
        padded = {index: each for index, each in enumerate(fields) if isinstance(each, Padded)}
        others = sorted((index for index in range(len(fields)) if index not in padded), key=lambda i: names[i] in last)
        self.padded = tuple(each.name for each in padded.values())
        self.names = (*self.padded, *(names[index] for index in others))
        self.read_padded = _picker(list(padded))
        self.read_others = _picker(others)
        # struct would cut what is too long without a word
        self.fits = _lengths([rb"[^\x00]{0,%d}" % each.size for each in padded.values()][:-1])
        self.octets = tuple(each for each in fields if isinstance(each, Octets))
        # All but the last padded one (the receiver) mostly stay as they were in the packet before: looked at once.
        self.last = self.padded[-1] if self.padded else ""
        self.most_last = max(padded.items())[1].size if padded else 0
        steady = [*(each.name for each in self.octets), *self.padded[:-1]]
        self.pick_steady = _picker(steady)
        self.known: tuple[bytes, ...] | None = None if steady else ()

    def write(self, values: Values) -> bytes:
        try:
            self.look(values)
            return self.pack(*self.pick(values))
        except (StructError, TypeError) as error:
            raise self.unwritable(values) from error

    def look(self, values: Values) -> None:
        """Whether all texts have their lengths; struct looks after the numbers. Raises Malformed and TypeError."""
        texts = self.pick_steady(values)
        if texts != self.known:
            self._look_closely(texts, values)
        if self.last:
            last = values[self.last]
            if len(last) > self.most_last or b"\0" in last:
                raise self.unwritable(values)

    def _look_closely(self, steady: tuple[bytes, ...], values: Values) -> None:
        texts = steady[len(self.octets) :]
        if self.fits(b"\0".join(texts)) is None:
            raise self.unwritable(values)
        if any(len(text) != each.size for text, each in zip(steady, self.octets, strict=False)):
            raise self.unwritable(values)
        if set(map(type, steady)) == {bytes}:  # a bytearray could change behind our back
            self.known = steady

    def unwritable(self, values: Values) -> Malformed:
        for each in self.fields:
            value, place = values[each.name], f"{self.pdu}.{each.name}"
            if isinstance(each, Number):
                if not isinstance(value, int) or not 0 <= value < 256**each.size:
                    return Malformed(place, value, f"must be a number of {each.size} bytes")
            elif not isinstance(value, bytes):
                return Malformed(place, value, "must be bytes")
            elif isinstance(each, Octets) and len(value) != each.size:
                return Malformed(place, value, f"must be {each.size} bytes")
            elif isinstance(each, Padded) and (len(value) > each.size or b"\0" in value):
                return Malformed(place, value, f"must be at most {each.size} bytes without NUL")
        return Malformed(self.pdu, dict(values), "cannot be written")

    def read(self, frame: bytes, at: int, strict: bool) -> tuple[tuple[Any, ...], int]:
        try:
            row = self.unpack(frame, at)
        except StructError as error:
            raise self._missing(frame, at) from error
        if not self.padded:
            return row, at + self.size
        texts = list(map(_RSTRIP, self.read_padded(row), _NULS))
        if b"\0" in b"".join(texts):
            if strict:
                name, text = next(pair for pair in zip(self.padded, texts, strict=True) if b"\0" in pair[1])
                raise Malformed(f"{self.pdu}.{name}", text, "something stands behind its first NUL")
            texts = [each.partition(b"\0")[0] for each in texts]
        return (*texts, *self.read_others(row)), at + self.size

    def _missing(self, frame: bytes, at: int) -> Malformed:
        for each in self.fields:
            if at + each.size > len(frame):
                return Malformed(f"{self.pdu}.{each.name}", frame[at:], f"ends before its {each.size} bytes")
            at += each.size
        raise AssertionError("nothing is missing")


class _TextStep:
    """Neighbouring NUL-terminated strings and single bytes, with the counted content and the optional parameters behind
    them, if there are any: one format to write them, one pattern to read them."""

    def __init__(
        self, pdu: str, fields: Sequence[Terminated | Number], content: Counted | None, tlvs: Tlvs | None
    ) -> None:
        self.pdu, self.fields = pdu, fields
        self.texts = [each for each in fields if isinstance(each, Terminated)]
        self.pick_texts = _picker([each.name for each in self.texts])
        self.fits = _lengths([_pattern(each) for each in self.texts])
        self.content = _CountStep(pdu, content) if content else None
        self.tlvs = _TlvStep(pdu, tlvs) if tlvs else None
        numbers = [each.name for each in fields if isinstance(each, Number)]
        behind = [each.name for each in (content, tlvs) if each is not None]
        self.names = (*(each.name for each in self.texts), *numbers, *behind)
        self.pick = _picker([*(each.name for each in fields), *((_LENGTH, content.name) if content else ())])
        self.template = b"".join(b"%b\0" if isinstance(each, Terminated) else b"%c" for each in fields)
        if content:
            self.template += b"%c%b"
        self._compile()

    def _compile(self) -> None:
        pattern, run = b"", 0
        texts: list[int] = []
        numbers: list[int] = []
        for each in [*self.fields, None]:
            if isinstance(each, Number):
                run += 1
                continue
            if run:
                pattern += b"(.{%d})" % run
                numbers.append(len(texts) + len(numbers))
                run = 0
            if each is not None:
                pattern += rb"([^\x00]*)\x00"
                texts.append(len(texts) + len(numbers))
        self.match = re.compile(pattern, re.DOTALL).match
        self.text_groups, self.number_groups = _picker(texts), _picker(numbers)

    def write(self, values: dict[str, Any]) -> bytes:
        content = self.content
        if content is not None:
            body = values[content.name]
            if type(body) is not bytes or len(body) > content.most:
                content.checked(values)
            values[_LENGTH] = len(body)
        try:
            if self.fits(b"\0".join(self.pick_texts(values))) is None:
                raise self._unwritable(values)
            written: bytes = self.template % self.pick(values)
        except (TypeError, OverflowError) as error:
            raise self._unwritable(values) from error
        return written + self.tlvs.write(values) if self.tlvs and values[self.tlvs.name] else written

    def _unwritable(self, values: Values) -> Malformed:
        for each in self.fields:
            value, place = values[each.name], f"{self.pdu}.{each.name}"
            if isinstance(each, Number):
                if not isinstance(value, int) or not 0 <= value < 256:
                    return Malformed(place, value, "must be a number of 1 byte")
            elif not isinstance(value, bytes):
                return Malformed(place, value, "must be bytes")
            elif len(value) >= each.most or b"\0" in value:
                return Malformed(place, value, f"must be at most {each.most - 1} bytes without NUL")
            elif each.full and value and len(value) != each.most - 1:
                return Malformed(place, value, f"must be empty or {each.most - 1} bytes")
        return Malformed(self.pdu, dict(values), "cannot be written")

    def read(self, frame: bytes, at: int, strict: bool) -> tuple[tuple[Any, ...], int]:
        found = self.match(frame, at)
        if found is None:
            raise self._missing(frame, at)
        groups = found.groups()
        texts = self.text_groups(groups)
        if strict and self.fits(b"\0".join(texts)) is None:
            raise self._too_long(texts)
        at = found.end()
        numbers = b"".join(self.number_groups(groups))
        content, tlvs = self.content, self.tlvs
        if content is None:
            if tlvs is None:
                return (*texts, *numbers), at
            rest, at = tlvs.read(frame, at, strict)
            return (*texts, *numbers, *rest), at
        begin = at + 1
        end = begin + frame[at] if at < len(frame) else begin
        if end > len(frame) or (strict and end - begin > content.most):
            content.read(frame, at, strict)  # says what is wrong
        body = frame[begin:end]
        if tlvs is None:
            return (*texts, *numbers, body), end
        if end == len(frame):
            return (*texts, *numbers, body, ()), end
        rest, at = tlvs.read(frame, end, strict)
        return (*texts, *numbers, body, *rest), at

    def read_raw(self, frame: bytes, at: int) -> tuple[tuple[Any, ...], int] | None:
        """Texts and runs of numbers as they stand; None where `read` has to look closer."""
        found = self.match(frame, at)
        if found is None or self.content is None:
            return None
        begin, size = found.end() + 1, len(frame)
        if begin > size:
            return None
        end = begin + frame[begin - 1]
        if end > size:
            return None
        if self.tlvs is None:
            return (*found.groups(), frame[begin:end]), end
        if end == size:
            return (*found.groups(), frame[begin:end], ()), end
        rest, over = self.tlvs.read(frame, end, False)
        return (*found.groups(), frame[begin:end], *rest), over

    def _too_long(self, texts: Sequence[bytes]) -> Malformed:
        for each, text in zip(self.texts, texts, strict=True):
            if len(text) >= each.most or (each.full and len(text) not in (0, each.most - 1)):
                return Malformed(f"{self.pdu}.{each.name}", text, f"does not have the length {each.most}")
        raise AssertionError("nothing is too long")

    def _missing(self, frame: bytes, at: int) -> Malformed:
        for each in self.fields:
            end = frame.find(b"\0", at) if isinstance(each, Terminated) else (at if at < len(frame) else -1)
            if end < 0:
                return Malformed(f"{self.pdu}.{each.name}", frame[at:], "ends before it does")
            at = end + 1
        raise AssertionError("nothing is missing")


def _pattern(each: Terminated) -> bytes:
    most = each.most - 1
    return rb"(?:[^\x00]{%d})?" % most if each.full else rb"[^\x00]{0,%d}" % most


class _ListStep:
    def __init__(self, pdu: str, spec: Listed) -> None:
        self.place, self.name, self.size, self.most = f"{pdu}.{spec.name}", spec.name, spec.size, spec.most
        self.names = (spec.name,)

    def write(self, values: Values) -> bytes:
        items = values[self.name]
        if not isinstance(items, tuple | list) or len(items) > self.most:
            raise Malformed(self.place, items, f"must be at most {self.most} strings")
        for each in items:
            if not isinstance(each, bytes) or len(each) > self.size or b"\0" in each:
                raise Malformed(self.place, each, f"must be at most {self.size} bytes without NUL")
        return b"%c%b" % (len(items), b"".join([each.ljust(self.size, b"\0") for each in items]))

    def read(self, frame: bytes, at: int, strict: bool) -> tuple[tuple[Any, ...], int]:
        if at >= len(frame):
            raise Malformed(self.place, b"", "ends before its count")
        count, begin, size = frame[at], at + 1, self.size
        end = begin + count * size
        if end > len(frame):
            raise Malformed(self.place, count, f"ends before so many strings of {size} bytes")
        items = [frame[here : here + size].rstrip(b"\0") for here in range(begin, end, size)]
        if strict and (count > self.most or b"\0" in b"".join(items)):
            raise Malformed(self.place, frame[at:end], "too many, or something stands behind a NUL")
        return (tuple([each.partition(b"\0")[0] for each in items]),), end


class _CountStep:
    def __init__(self, pdu: str, spec: Counted) -> None:
        self.place, self.name, self.width, self.most = f"{pdu}.{spec.name}", spec.name, spec.width, spec.most
        self.names = (spec.name,)

    def checked(self, values: Values) -> bytes:
        body = values[self.name]
        if not isinstance(body, bytes) or len(body) > self.most:
            raise Malformed(self.place, body, f"must be at most {self.most} bytes")
        return body

    def write(self, values: Values) -> bytes:
        body = self.checked(values)
        return len(body).to_bytes(self.width, "big") + body

    def read(self, frame: bytes, at: int, strict: bool) -> tuple[tuple[Any, ...], int]:
        begin = at + self.width
        if begin > len(frame):
            raise Malformed(self.place, frame[at:], "ends before its length")
        length = frame[at] if self.width == 1 else int.from_bytes(frame[at:begin], "big")
        end = begin + length
        if end > len(frame) or (strict and length > self.most):
            raise self.too_much(length, len(frame) - begin)
        return (frame[begin:end],), end

    def too_much(self, length: int, left: int) -> Malformed:
        return Malformed(self.place, length, f"must be at most {self.most}, and {left} bytes follow")


class _ContentStep:
    """Fixed fields, a counted content, fixed fields: one struct for all of them, for each length of the content.

    With a list of receivers among the fields this is the way for exactly one of them, which is the rule.
    """

    def __init__(self, pdu: str, fields: Sequence[Fixed | Listed], content: Counted, behind: Sequence[Fixed]) -> None:
        front: list[Fixed] = []
        self.listed, self.count_at = "", 0
        for each in fields:
            if isinstance(each, Listed):
                self.listed, self.count_at = each.name, sum(one.size for one in front)
                front += [Number(_COUNT, default=1), Padded(each.name, each.size)]
            else:
                front.append(each)
        derived = (_COUNT, _LENGTH)
        front.append(Number(_LENGTH, content.width))
        self.front, self.behind = _FixedStep(pdu, front, last=derived), _FixedStep(pdu, behind)
        # What is written is looked at as one step; the receiver stands last, so that the others may stay.
        texts = [*behind, *front]
        self.texts = _FixedStep(pdu, texts)
        self.content, self.width = _CountStep(pdu, content), content.width
        self.length_at, self.begin = self.front.size - content.width, self.front.size
        self.layouts = f">{self.front.layout}", self.behind.layout
        self.structs: dict[int, Struct] = {}  # by the content's length
        self.pick = _picker([*(each.name for each in front), content.name, *(each.name for each in behind)])
        self.place = self.front.names.index(self.listed) if self.listed else 0
        self.names = (
            *(name for name in self.front.names if name not in derived),
            content.name,
            *self.behind.names,
        )

    def is_at(self, frame: bytes, at: int) -> bool:
        return not self.listed or (len(frame) > at + self.count_at and frame[at + self.count_at] == 1)

    def _struct(self, length: int) -> Struct:
        front, behind = self.layouts
        struct = Struct(f"{front}{length}s{behind}")
        if length <= self.content.most:  # a peer that lies about lengths fills no memory
            self.structs[length] = struct
        return struct

    def write(self, values: dict[str, Any]) -> bytes | None:
        """None, and the values as they were: this is not the way for so many receivers. Raises Malformed."""
        content, listed, texts = self.content, self.listed, self.texts
        if listed:
            receivers = values[listed]
            if not isinstance(receivers, (tuple, list)) or len(receivers) != 1:
                return None
            values[_COUNT], values[listed] = 1, receivers[0]
        body = values[content.name]
        if type(body) is not bytes or len(body) > content.most:
            content.checked(values)
        length = values[_LENGTH] = len(body)
        try:
            if (
                texts.pick_steady(values) != texts.known
                or len(last := values[texts.last]) > texts.most_last
                or 0 in last
            ):
                texts.look(values)
            struct = self.structs.get(length) or self._struct(length)
            return struct.pack(*self.pick(values))
        except (StructError, TypeError) as error:
            raise texts.unwritable(values) from error

    def read_raw(self, frame: bytes, at: int) -> tuple[tuple[Any, ...], int] | None:
        """The fields as they stand, padding and all, and where they end; None where `read` has to look closer."""
        begin, size = at + self.begin, len(frame)
        if begin > size or (self.listed and frame[at + self.count_at] != 1):
            return None
        length = frame[begin - 1] if self.width == 1 else int.from_bytes(frame[at + self.length_at : begin], "big")
        if length > size:
            return None
        struct = self.structs.get(length) or self._struct(length)
        over = at + struct.size
        return (struct.unpack_from(frame, at), over) if over <= size else None

    def read(self, frame: bytes, at: int, strict: bool) -> tuple[tuple[Any, ...], int]:
        row, begin = self.front.read(frame, at, strict)
        end = begin + row[-1]  # the length stands last among the numbers
        if end > len(frame) or (strict and row[-1] > self.content.most):
            raise self.content.too_much(row[-1], len(frame) - begin)
        body, place = frame[begin:end], self.place
        rest, at = self.behind.read(frame, end, strict)
        if self.listed:
            return (*row[:place], (row[place],), *row[place + 1 : -2], body, *rest), at
        return (*row[:-1], body, *rest), at


class _RepeatStep:
    def __init__(self, pdu: str, spec: Repeated) -> None:
        self.place, self.name = f"{pdu}.{spec.name}", spec.name
        self.names = (spec.name,)
        self.group = _FixedStep(f"{pdu}.{spec.name}", spec.fields)
        self.defaults = {each.name: _default(each) for each in spec.fields}

    def write(self, values: Values) -> bytes:
        items = values[self.name]
        if not isinstance(items, tuple | list) or len(items) > 255:
            raise Malformed(self.place, items, "must be at most 255 groups")
        for each in items:
            if not isinstance(each, Mapping) or each.keys() - self.defaults.keys():
                raise Malformed(self.place, each, f"must have only {', '.join(self.defaults)}")
        return b"%c%b" % (len(items), b"".join([self.group.write({**self.defaults, **each}) for each in items]))

    def read(self, frame: bytes, at: int, strict: bool) -> tuple[tuple[Any, ...], int]:
        if at >= len(frame):
            raise Malformed(self.place, b"", "ends before its count")
        count, at = frame[at], at + 1
        items = []
        for _ in range(count):
            row, at = self.group.read(frame, at, strict)
            items.append(dict(zip(self.group.names, row, strict=True)))
        return (tuple(items),), at


class _TlvStep:
    head: Final = Struct(">HH")

    def __init__(self, pdu: str, spec: Tlvs) -> None:
        self.place, self.name = f"{pdu}.{spec.name}", spec.name
        self.names = (spec.name,)

    def write(self, values: Values) -> bytes:
        pairs = values[self.name]
        if not pairs:
            return b""
        try:
            return b"".join([self.head.pack(tag, len(value)) + value for tag, value in pairs])
        except (StructError, TypeError, ValueError) as error:
            raise Malformed(self.place, pairs, "must be pairs of a 2-byte tag and up to 65535 bytes") from error

    def read(self, frame: bytes, at: int, strict: bool) -> tuple[tuple[Any, ...], int]:
        size = len(frame)
        if at == size:
            return ((),), at
        pairs = []
        while at < size:
            if at + 4 > size or at + 4 + (length := int.from_bytes(frame[at + 2 : at + 4], "big")) > size:
                if strict:
                    raise Malformed(self.place, frame[at:], "a parameter is cut off")
                at = size  # what stands before the cut is kept
                break
            pairs.append((frame[at] << 8 | frame[at + 1], frame[at + 4 : at + 4 + length]))
            at += 4 + length
        return (tuple(pairs),), at


def _default(each: Field) -> Any:
    match each:
        case Number() | Padded() | Terminated():
            return each.default
        case Octets():
            return bytes(each.size)
        case Counted():
            return b""
        case _:
            return ()


def _steps(pdu: str, fields: Sequence[Field]) -> Iterator[_Step]:
    """The steps of a table whose fields are taken one kind after another."""
    rest = list(fields)
    while rest:
        run = list(takewhile(lambda each: isinstance(each, Terminated) or _is_byte(each), rest))
        if any(isinstance(each, Terminated) for each in run):
            rest = rest[len(run) :]
            content = rest[0] if rest and isinstance(rest[0], Counted) and rest[0].width == 1 else None
            rest = rest[1:] if content else rest
            tlvs = rest[0] if rest and isinstance(rest[0], Tlvs) else None
            rest = rest[1:] if tlvs else rest
            yield _TextStep(pdu, [each for each in run if isinstance(each, Terminated | Number)], content, tlvs)
            continue
        fixed = [each for each in takewhile(lambda each: isinstance(each, Fixed), rest) if isinstance(each, Fixed)]
        if fixed:
            rest = rest[len(fixed) :]
            yield _FixedStep(pdu, fixed)
            continue
        match rest.pop(0):
            case Listed() as each:
                yield _ListStep(pdu, each)
            case Counted() as each:
                yield _CountStep(pdu, each)
            case Repeated() as each:
                yield _RepeatStep(pdu, each)
            case Tlvs() as each:
                yield _TlvStep(pdu, each)
            case each:
                raise AssertionError(each)


def _is_byte(each: Field) -> bool:
    return isinstance(each, Number) and each.size == 1


def _content_step(pdu: str, fields: Sequence[Field]) -> _ContentStep | None:
    """The straight way through a table with one content between fixed fields, if it is of that form."""
    places = [index for index, each in enumerate(fields) if isinstance(each, Counted)]
    if len(places) != 1:
        return None
    content = fields[places[0]]
    before, behind = fields[: places[0]], [each for each in fields[places[0] + 1 :] if not isinstance(each, Tlvs)]
    front = [each for each in before if isinstance(each, Fixed | Listed)]
    tail = [each for each in behind if isinstance(each, Fixed)]
    has_text = any(isinstance(each, Padded | Listed) for each in fields)
    is_plain = len(front) == len(before) and len(tail) == len(behind) and tail and has_text
    return _ContentStep(pdu, front, content, tail) if is_plain and isinstance(content, Counted) else None


# --- PDUs and packets ------------------------------------------------------------------------------------------------


class _Raw(tuple[Any, ...]):
    """Fields as they stand on the wire: a padded one loses its padding when it is asked for. Like a named tuple."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _places: Mapping[str, tuple[int, bool]] = {}  # field → where it stands, and whether in a run of single bytes
    _size = 0

    def __new__(cls, **values: Any) -> _Raw:
        row: list[Any] = [None] * cls._size
        for name, (place, is_in_run) in cls._places.items():
            value = values.pop(name)
            row[place] = (row[place] or b"") + bytes((value,)) if is_in_run else value
        if values:
            raise TypeError(f"no such fields: {', '.join(values)}")
        return tuple.__new__(cls, row)

    def _asdict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._fields}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self._asdict() == other._asdict()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(tuple(self._asdict().values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"


def _raw_record(name: str, fields: Sequence[Field]) -> Any:
    """The record of a table with one content, in the order in which `_ContentStep.read_raw` gives it."""
    order: list[str] = []
    members: dict[str, Any] = {}
    for each in fields:
        if isinstance(each, Counted):
            order.append(_LENGTH)
        elif isinstance(each, Listed):
            order.append(_COUNT)
        members[each.name] = _member(each, len(order))
        order.append(each.name)
    places = {one: (place, False) for place, one in enumerate(order) if one in members}
    return _record_of(name, fields, places, len(order), members)


def _run_record(name: str, fields: Sequence[Field]) -> Any:
    """The record of a table of texts and single bytes, in the order in which `_TextStep.read_raw` gives it."""
    places: dict[str, tuple[int, bool]] = {}
    members: dict[str, Any] = {}
    place, run = 0, 0
    for each in fields:
        if isinstance(each, Number):
            places[each.name], members[each.name] = (place, True), _in_run(place, run)
            run += 1
            continue
        place, run = place + (run > 0), 0
        places[each.name], members[each.name] = (place, False), property(itemgetter(place))
        place += 1
    return _record_of(name, fields, places, place + (run > 0), members)


def _record_of(
    name: str, fields: Sequence[Field], places: Mapping[str, tuple[int, bool]], size: int, members: Mapping[str, Any]
) -> Any:
    names = tuple(each.name for each in fields)
    own = {"__slots__": (), "_fields": names, "_places": places, "_size": size, **members}
    return type(f"{name}_values", (_Raw,), own)


def _in_run(place: int, offset: int) -> property:
    return property(lambda row: row[place][offset])


def _member(each: Field, place: int) -> property:
    pick = itemgetter(place)
    match each:
        case Padded():
            return property(lambda row: row[place].partition(b"\0")[0])
        case Listed():
            return property(lambda row: one if type(one := row[place]) is tuple else (one.partition(b"\0")[0],))
        case _:
            return property(pick)


_NEW: Final[Callable[..., Any]] = tuple.__new__  # a named tuple's own way checks a length that a table has told


@dataclass(frozen=True, slots=True, eq=False)
class Pdu:
    """One command's table. Two PDUs are equal only if they are the same one.

    `bare`: read without a body as well, and written without one when its status is an error and no values are given.
    `also`: other forms of the same command that peers send, told apart by their whole length in bytes.
    """

    name: str
    command: int
    fields: tuple[Field, ...] = ()
    bare: bool = False
    also: tuple[tuple[int, Pdu], ...] = ()
    defaults: Mapping[str, Any] = field(init=False, repr=False)
    steps: tuple[_Step, ...] = field(init=False, repr=False)
    content: _ContentStep | None = field(init=False, repr=False)
    straight: tuple[_Reads, ...] = field(init=False, repr=False)  # with `content`, the way for one receiver
    behind: tuple[_TlvStep, ...] = field(init=False, repr=False)  # what stands behind `content` on that way
    raw: _ContentStep | _TextStep | None = field(init=False, repr=False)  # what reads without a closer look
    unfilled: bytes = field(init=False, repr=False)  # the body with every field at its default
    record: Any = field(init=False, repr=False)  # the class that `read` gives: fields by name

    def __post_init__(self) -> None:
        steps = tuple(_steps(self.name, self.fields))
        content = _content_step(self.name, self.fields)
        behind = tuple(step for step in steps if isinstance(step, _TlvStep))
        straight: tuple[_Reads, ...] = () if content is None else (content, *behind)
        names = [name for step in straight or steps for name in step.names]
        object.__setattr__(self, "defaults", {each.name: _default(each) for each in self.fields})
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "content", content)
        object.__setattr__(self, "straight", straight)
        object.__setattr__(self, "behind", behind if content is not None else ())
        text = steps[0] if len(steps) == 1 and isinstance(steps[0], _TextStep) and steps[0].content else None
        if content is not None:
            record = _raw_record(self.name, self.fields)
        else:
            record = _run_record(self.name, self.fields) if text else namedtuple(f"{self.name}_values", names)
        object.__setattr__(self, "record", record)
        object.__setattr__(self, "raw", content or text)
        object.__setattr__(self, "unfilled", self.write({}))

    @property
    def is_response(self) -> bool:
        return self.command >= RESPONSE

    def write(self, values: Values) -> bytes:
        """The body. Fields that are not given have their defaults. Raises Malformed."""
        defaults = self.defaults
        merged = {**defaults, **values}
        if len(merged) != len(defaults):
            raise Malformed(self.name, sorted(merged.keys() - self.defaults.keys()), "has no such fields")
        content = self.content
        if content is not None and (written := content.write(merged)) is not None:
            for step in self.behind:
                written += step.write(merged)
            return written
        steps = self.steps
        if len(steps) == 1:
            return steps[0].write(merged)
        return b"".join([step.write(merged) for step in steps])

    def read(self, frame: bytes, at: int, *, strict: bool = False) -> Any:
        """The fields of a body that begins at `at`, as `record`. Raises Malformed."""
        if not strict and self.raw is not None and (found := self.raw.read_raw(frame, at)) is not None:
            whole, at = found
            for tlvs in self.behind:
                part, at = tlvs.read(frame, at, strict)
                whole += part
            return _NEW(self.record, whole)
        is_straight = self.content is not None and self.content.is_at(frame, at)
        steps: tuple[_Reads, ...] = self.straight if is_straight else self.steps
        row: tuple[Any, ...] = ()
        if steps:
            row, at = steps[0].read(frame, at, strict)
            if len(steps) > 1:
                for step in steps[1:]:
                    part, at = step.read(frame, at, strict)
                    row += part
        if strict and at != len(frame):
            raise Malformed(self.name, frame[at:], "bytes are left over")
        if self.raw is not None:
            told = dict(zip([name for step in steps for name in step.names], row, strict=True))
            return self.record(**told)
        return _NEW(self.record, row)

    def blank(self) -> Any:
        """The fields with their defaults, as `record`: of a packet that came without a body."""
        return self.record(**self.defaults)


class Packet(NamedTuple):
    """A packet as read: its fields by name in `values`. `status` is SMPP's; the others have theirs among them."""

    pdu: Pdu
    sequence: SequenceId
    values: Any  # the PDU's record
    status: int = 0

    def tlv(self, tag: int) -> bytes | None:
        """The first optional parameter with this tag."""
        for each, value in getattr(self.values, "tlvs", ()):
            if each == tag:
                return bytes(value)
        return None


class Header(NamedTuple):
    command: int
    sequence: SequenceId
    status: int = 0


class Codec:
    """One protocol's packets. `words` is how many 4-byte words the header has: 3, 4 with a status, 5 with SGIP's
    three-word sequence. `most`: the longest packet in bytes."""

    def __init__(self, name: str, pdus: Iterable[Pdu], *, words: int = 3, most: int = 4096) -> None:
        self.name, self.most, self.words = name, most, words
        self.pdus = {pdu.command: pdu for pdu in pdus}
        self.header_size = 4 * words
        head = Struct(f">{words}I")
        self._pack, self._unpack = head.pack, head.unpack_from

    def response_to(self, pdu: Pdu) -> Pdu:
        """The response of a request. Raises KeyError if it has none."""
        return self.pdus[pdu.command | RESPONSE]

    def encode(self, pdu: Pdu, sequence: SequenceId, values: Values | None = None, *, status: int = 0) -> bytes:
        """The bytes of a packet. Raises Malformed."""
        body = pdu.write(values) if values else b"" if pdu.bare and status else pdu.unfilled
        size = self.header_size + len(body)
        if size > self.most:
            raise Malformed(pdu.name, size, f"must be at most {self.most} bytes")
        try:
            if self.words == 3:
                return self._pack(size, pdu.command, sequence) + body
            if self.words == 4:
                return self._pack(size, pdu.command, status, sequence) + body
            return self._pack(size, pdu.command, *sequence) + body  # type: ignore[misc]
        except (StructError, TypeError) as error:
            raise Malformed(f"{pdu.name}.sequence", sequence, f"does not fit a header of {self.words} words") from error

    def header(self, frame: bytes) -> Header:
        """Command, sequence and status of a whole packet. Raises Malformed."""
        if len(frame) < self.header_size or int.from_bytes(frame[:4], "big") != len(frame):
            raise self._misfit(frame)
        head = self._unpack(frame)
        if self.words == 3:
            return Header(head[1], head[2])
        if self.words == 4:
            return Header(head[1], head[3], head[2])
        return Header(head[1], (head[2], head[3], head[4]))

    def _misfit(self, frame: bytes) -> Malformed:
        return Malformed(f"{self.name} header", frame[: self.header_size], f"does not fit {len(frame)} bytes")

    def decode(self, frame: bytes, *, strict: bool = False) -> Packet:
        """Read one whole packet. Raises UnknownCommand or another Malformed, and nothing else."""
        size, status = len(frame), 0
        sequence: SequenceId
        if size < self.header_size:
            raise self._misfit(frame)
        if self.words == 3:
            length, command, sequence = self._unpack(frame)
        elif self.words == 4:
            length, command, status, sequence = self._unpack(frame)
        else:
            length, command, *words = self._unpack(frame)
            sequence = tuple(words)
        if length != size:
            raise self._misfit(frame)
        pdu = self.pdus.get(command)
        if pdu is None:
            raise UnknownCommand(f"{self.name} command", command, "is in no table")
        if size == self.header_size and pdu.fields and pdu.bare and (status or not strict):
            return Packet(pdu, sequence, pdu.blank(), status)
        if pdu.also and not strict:
            for length, other in pdu.also:
                if size == length:
                    pdu = other
                    break
        packet: Packet = _NEW(Packet, (pdu, sequence, pdu.read(frame, self.header_size, strict=strict), status))
        return packet


class Framer:
    """Cuts a stream into packets by their first four bytes, however it was split or glued.

    Once a length makes no sense, `broken` says so and nothing more is read: there is no way to find the next packet.
    It never holds more than one unfinished packet.
    """

    __slots__ = ("_least", "_most", "_rest", "_wanted", "broken")

    def __init__(self, codec: Codec) -> None:
        self._least, self._most = codec.header_size, codec.most
        self._rest = bytearray()
        self._wanted = 4
        self.broken: Malformed | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are whole now."""
        if self.broken is not None:
            return []
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._wanted:
                return []
            data = bytes(rest)
            rest.clear()
        frames: list[bytes] = []
        at, end = 0, len(data)
        self._wanted = 4
        while end - at >= 4:
            length = int.from_bytes(data[at : at + 4], "big")
            if not self._least <= length <= self._most:
                allowed = f"{self._least} to {self._most}"
                self.broken = Malformed("packet length", length, f"must be {allowed}")
                return frames
            if end - at < length:
                self._wanted = length
                break
            frames.append(data[at : at + length])
            at += length
        rest += data[at:]
        return frames

"""The language of one field: a Jinja expression over plain values, without calls, loops, or anything of Python's.

A description is read by people who did not write it, and may come from a vendor. So an expression can reach keys and
places in lists and nothing else, a name that is not there is an error where it stands, and there is no way out.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus

from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, UndefinedError, nodes
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from harness.domain import BEIJING
from harness.errors import VendorTrouble
from harness.text import fill, signed, split_signature, variables
from vendors import reading, signing

Scope = dict[str, Any]
LONGEST: Final = 2000  # characters of one expression
_MOST: Final = 1 << 20  # characters of one value

_ALLOWED: Final = (
    nodes.Name, nodes.Const, nodes.Add, nodes.Sub, nodes.Concat, nodes.And, nodes.Or, nodes.Not, nodes.Neg,
    nodes.Compare, nodes.Operand, nodes.CondExpr, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Keyword,
)  # fmt: skip


class Unsaid(Exception):
    """An expression has no value here. Says where and why, and quotes no value: a secret may be among them."""


class Absent(Unsaid):
    """It has none because something it names is not there."""


class Digest(bytes):
    """Raw bytes of a digest or a charset. To be written as |hex or |base64, never as they are."""

    __slots__ = ()

    def __str__(self) -> str:
        raise TypeError("raw bytes in a text: write |hex or |base64 behind them")


# --- what stands behind a | ------------------------------------------------------------------------------------------


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return text(value).encode("utf-8", "replace")


def text(value: object, default: str | None = None) -> str:
    """A text, number or flag as text; what is not there, or null, as the default ("" if none is given for null)."""
    if isinstance(value, str):
        return reading.text({"it": value}, "it")
    if isinstance(value, Undefined) or value is None:
        if default is None and isinstance(value, Undefined):
            value._fail_with_undefined_error()
        return default or ""
    if isinstance(value, Digest):
        return str(value)
    return reading.text({"it": value}, "it")


def joined(values: Sequence[object], separator: str = "") -> str:
    """Texts and numbers one behind the other; nothing that is not there, and no raw bytes."""
    for value in values:
        if value is None or isinstance(value, bytes | Mapping | list):
            raise TypeError("only texts and numbers can be joined")
    return separator.join(value if isinstance(value, str) else text(value) for value in values)


def sorted_pairs(
    fields: Mapping[str, Any],
    separator: str = "&",
    between: str = "=",
    without: Sequence[str] = (),
    prefix: str = "",
    values_only: bool = False,
    encode: str = "",
) -> str:
    """`a=1&b=2` in the order of the names. `encode`: "" as they are, percent (RFC 3986), form (a plus for a space)."""
    ways: Mapping[str, Callable[[str], str]] = {"": str, "percent": signing.percent, "form": quote_plus}
    how = ways[encode]
    return separator.join(
        prefix + ("" if values_only else how(name) + between) + how(text(fields[name]))
        for name in sorted(fields)
        if name not in without
    )


def flat(fields: Mapping[str, Any], first: int = 0) -> dict[str, Any]:
    """Lists as Name.0, Name.1, …"""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, list):
            found |= {f"{name}.{number}": one for number, one in enumerate(value, first)}
        else:
            found[name] = value
    return found


def compact(value: Any, ascii: bool = False, spaced: bool = False) -> str:
    """JSON; without spaces and with characters as they are, unless told otherwise."""
    return json.dumps(value, ensure_ascii=ascii, separators=(", ", ": ") if spaced else (",", ":"))


def _hmac(data: object, key: object, digest: str = "sha256") -> Digest:
    if digest not in ("md5", "sha1", "sha256", "sha512"):
        raise ValueError("no such digest")
    return Digest(hmac.new(_bytes(key), _bytes(data), digest).digest())


def _digest(name: str) -> Callable[[object], Digest]:
    return lambda data: Digest(hashlib.new(name, _bytes(data), usedforsecurity=False).digest())


def _hex(data: object) -> str:
    if not isinstance(data, bytes):
        raise TypeError("|hex stands behind a digest")
    return data.hex()


def _encoded(value: object, charset: str) -> Digest:
    return Digest(text(value).encode(charset))


def _percent(value: object, charset: str = "utf-8") -> str:
    return quote(text(value), safe="~", encoding=charset)


def _form(value: object, charset: str = "utf-8") -> str:
    return quote_plus(text(value), encoding=charset)


def _instant(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=BEIJING)
    raise TypeError("not a time")


def _written(zone: Any) -> Callable[[object, str], str]:
    return lambda value, pattern: f"{_instant(value).astimezone(zone):{pattern}}"


def _ends(value: object) -> datetime:
    """The last second of a Beijing day."""
    return _instant(value) + timedelta(seconds=86_399)


def _read(reader: Callable[..., datetime | None]) -> Callable[..., datetime | None]:
    return lambda value, *how: None if isinstance(value, Undefined) else reader({"it": value}, "it", *how)


def _stamped(body: Mapping[str, Any], key: str, pattern: str, zone: str = "beijing") -> datetime | None:
    return reading.stamped(body, key, pattern, UTC if zone == "utc" else BEIJING)


def _marked(template: object, before: str, after: str) -> str:
    """A template's {name} as the vendor writes its variables."""
    plain = text(template)
    return fill(plain, {name: f"{before}{name}{after}" for name in variables(plain)})


def _bare(value: object) -> str:
    """A signature without its brackets; a text without its signature stays one: see |unsigned."""
    plain = text(value)
    return split_signature(plain)[0] or plain


def _signature_last(value: object) -> str:
    """A text with the signature in front of it behind it; one without stays as it is."""
    plain = text(value)
    name, content = split_signature(plain)
    return plain if name is None else content + signed("", name)


def _among(value: object, table: Mapping[str, Any], other: object = None) -> Any:
    """What a table says of a value; `other` where it says nothing, an error where that is not given either."""
    found = table.get(text(value), other)
    if found is None:
        raise ValueError("not in the table")
    return found


def _identifier(value: object) -> str:
    """An id, with every digit. Raises Unintelligible for what is none, and for what is not there."""
    return reading.identifier({"it": None if isinstance(value, Undefined) else value}, "it")


def _lines(value: object, between: str, within: str, names: Sequence[str]) -> list[Any]:
    """Items of a text, `between` one another, each of so many fields; one of another length stays a text, unread."""
    found: list[Any] = []
    for line in text(value).split(between):
        if line.strip():
            parts = line.strip().split(within, len(names) - 1)
            found.append(dict(zip(names, parts, strict=True)) if len(parts) == len(names) else line)
    return found


def _default(value: object, other: object = "") -> object:
    return other if isinstance(value, Undefined) or value is None else value


def _each(values: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    return [one[key] for one in values]


def _distinct(values: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def _all_of(values: Sequence[object], how: str, charset: str = "utf-8") -> list[str]:
    ways: Mapping[str, Callable[[object, str], str]] = {"form": _form, "percent": _percent}
    return [ways[how](value, charset) for value in values]


def _uuid(nonce: object) -> str:
    plain = text(nonce)
    return f"{plain[:8]}-{plain[8:12]}-{plain[12:16]}-{plain[16:20]}-{plain[20:32]}"


def _match(value: object, pattern: str) -> str:
    """The first group of a pattern that fits the whole text."""
    plain = text(value)
    if len(plain) > 4096 or not (found := re.fullmatch(pattern, plain)):
        raise ValueError("does not fit its pattern")
    return found[1] or ""


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    # texts
    "text": text,
    "upper": lambda value: text(value).upper(),
    "lower": lambda value: text(value).lower(),
    "trim": lambda value: text(value).strip(),
    "starts": lambda value, beginning: text(value).startswith(beginning),
    "replace": lambda value, old, new: text(value).replace(old, new),
    "match": _match,
    "among": _among,
    "identifier": _identifier,
    "default": _default,
    "bracketed": lambda value: signed("", text(value)),
    "bare": _bare,
    "unsigned": lambda value: split_signature(text(value))[1],
    "signed": lambda value, signature: signed(text(value), text(signature)),
    "signature_last": _signature_last,
    "marked": _marked,
    "national": lambda value: reading.national(text(value)),
    "unescaped": lambda value: reading.unescaped(text(value)),
    "masked": lambda value: reading.masked(text(value)),
    "uuid": _uuid,
    # lists and mappings
    "joined": joined,
    "words": lambda values: " ".join(words for value in values if (words := text(value))),
    "first": lambda values: values[0],
    "length": len,
    "each": _each,
    "all": _all_of,
    "distinct": _distinct,
    "lines": _lines,
    "values": lambda fields: list(fields.values()),
    "has": lambda fields, *names: isinstance(fields, Mapping) and any(name in fields for name in names),
    "sorted_pairs": sorted_pairs,
    "flat": flat,
    "json": compact,
    # digests and spellings
    **{name: _digest(name) for name in ("md5", "sha1", "sha256", "sha512")},
    "hmac": _hmac,
    "hex": _hex,
    "base64": lambda data: signing.base64_text(_bytes(data)),
    "base64url": lambda data: signing.base64_url(_bytes(data)),
    "unbase64": lambda data: Digest(base64.b64decode(_bytes(data), validate=True)),
    "encoded": _encoded,
    "percent": _percent,
    "form": _form,
    # times out
    "unix": lambda value: str(int(_instant(value).timestamp())),
    "unix_ms": lambda value: str(int(_instant(value).timestamp() * 1000)),
    "beijing": _written(BEIJING),
    "utc": _written(UTC),
    "begins": _instant,
    "ends": _ends,
    # times in
    "from_beijing": _read(reading.beijing),
    "from_utc": _read(reading.utc),
    "from_unix": _read(reading.unix),
    "from_unix_ms": _read(reading.milliseconds),
    "from_mail": _read(reading.mail_date),
    "from_digits": _read(_stamped),
}
_TESTS: Final = {
    "defined": lambda value: not isinstance(value, Undefined),
    "none": lambda value: value is None,
    "text": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, Mapping),
    "in": lambda value, many: value in many,
}


# --- the closed room -------------------------------------------------------------------------------------------------


class _Room(ImmutableSandboxedEnvironment):
    """Keys of mappings and places of lists. No attribute of any object can be named, so none has to be guarded."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Mapping) and isinstance(argument, str):
            return obj[argument] if argument in obj else self.undefined(name=argument)
        if isinstance(obj, list | tuple) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(name=str(argument))


def _room() -> _Room:
    room = _Room(undefined=StrictUndefined, autoescape=False)
    room.globals.clear()
    room.filters.clear()
    room.filters.update(FILTERS)
    room.tests.clear()
    room.tests.update(_TESTS)
    return room


class _Joins(NodeTransformer):
    """`a ~ b` as a join that refuses what is no text: Jinja would write "None" for what is not there."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        listed = nodes.List(node.nodes, lineno=node.lineno)
        return nodes.Filter(listed, "joined", [], [], None, None, lineno=node.lineno)


class Expression:
    """One expression, compiled once. Raises ValueError saying what was expected where it stands."""

    __slots__ = ("_run", "_start", "names", "place", "source")

    def __init__(self, source: str, place: str, known: frozenset[str]) -> None:
        self.source, self.place = source, place
        self.names, self._start, self._run = _compiled(source)
        for name in sorted(self.names - known):
            near = difflib.get_close_matches(name, known, 1)
            there = f"did you mean {near[0]}?" if near else f"here are {', '.join(sorted(known))}."
            quoted = f" A text stands in quotes inside: \"'{name}'\"." if source == name else ""
            raise ValueError(f"there is no {name!r} here: {there}{quoted}")

    def __repr__(self) -> str:
        return f"Expression({self.source!r})"

    def __call__(self, scope: Scope) -> Any:
        """Its value. Raises Absent, Unsaid, or what a reader of replies raises."""
        try:
            context = self._start(scope, shared=True)
            for _ in self._run(context):
                pass
            value = context.vars["result"]
            if isinstance(value, Undefined):
                value._fail_with_undefined_error()
        except VendorTrouble:
            raise
        except UndefinedError as error:
            raise Absent(f"{self.place}: {_quoted(error)}") from None
        except Exception as error:  # over a stranger's values it may fail in any way; the kind is told, no value
            raise Unsaid(f"{self.place}: {type(error).__name__}") from None
        if isinstance(value, str) and len(value) > _MOST:
            raise Unsaid(f"{self.place}: longer than {_MOST} characters")
        return value

    def or_none(self, scope: Scope) -> Any:
        """Its value; None where something it names is not there."""
        try:
            return self(scope)
        except Absent:
            return None


@lru_cache(maxsize=4096)  # a description says the same of every reply
def _compiled(source: str) -> tuple[frozenset[str], Callable[..., Context], Callable[[Context], Iterator[str]]]:
    """The names in an expression, and how it is run. Raises ValueError."""
    tree = _parsed(source)
    names = {node.name for node in tree.find_all(nodes.Name)} | ({tree.name} if isinstance(tree, nodes.Name) else set())
    whole: nodes.Node = _Joins().visit(tree)
    whole.set_environment(ROOM)
    result = nodes.Assign(nodes.Name("result", "store", lineno=1), whole, lineno=1)
    template = ROOM.from_string(nodes.Template([result], lineno=1))
    return frozenset(names), template.new_context, template.root_render_func


def _quoted(error: Exception) -> str:
    """Which name is not there: of a key, never of a value."""
    found = re.search(r"'([A-Za-z_][A-Za-z0-9_-]{0,40})'", str(error))
    return f"there is no {found[1]}" if found else "something is not there"


def _parsed(source: str) -> nodes.Expr:
    if len(source) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    try:
        parser = Parser(ROOM, source, state="variable")
        tree: nodes.Expr = parser.parse_expression()
        if not parser.stream.eos:
            raise ValueError(f"does not end where it should: {source!r}")
    except TemplateSyntaxError as error:
        raise ValueError(f"is no expression: {error.message}") from error
    except RecursionError as error:
        raise ValueError("is nested too deep") from error
    for node in [tree, *tree.find_all(nodes.Node)]:
        if not isinstance(node, _ALLOWED):
            what = "a call" if isinstance(node, nodes.Call) else f"{type(node).__name__.lower()}"
            raise ValueError(f"holds {what}, which no description may; the verbs stand behind a |")
        for kind, held, there in (("|", nodes.Filter, FILTERS), ("is ", nodes.Test, {**_TESTS})):
            if isinstance(node, held) and node.name not in there:
                near = difflib.get_close_matches(node.name, there, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(there)}."
                raise ValueError(f"there is no {kind}{node.name}: {hint}")
    return tree


ROOM: Final = _room()

"""Reads a described reply or item: values that must be there, values that may be, and their words as ours.

Whatever a stranger wrote, the end is a plain value or Unintelligible.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import httpx

from harness.domain import DeliveryState
from harness.errors import Unintelligible
from harness.flow import read_json
from vendors import reading
from vendors.carrier_codes import failed_state
from vendors.declarative.expressions import Absent, Expression, Scope, Unsaid
from vendors.declarative.shapes import Choice, Hears

_ELEMENT: Final = re.compile(r"<([A-Za-z_][\w.-]{0,60})(?:\s[^<>]{0,200})?>([^<>]*)</\1\s*>")
_MOST_XML: Final = 1 << 18  # characters
_MOST_LINE: Final = 1 << 16


def read(hears: Hears, reply: httpx.Response) -> Any:
    """The reply's body as described. Raises Unintelligible for another."""
    if hears.kind == "json":
        return read_json(reply)
    written = reply.content.decode(hears.charset, "replace").strip()
    if hears.kind == "xml":
        body = _elements(written)
    else:
        found = hears.pattern.fullmatch(written) if hears.pattern and len(written) <= _MOST_LINE else None
        body = {} if found is None else {key: one for key, one in found.groupdict().items() if one is not None}
    if not body:
        raise Unintelligible(f"HTTP {reply.status_code}, not as described", body=reply.content)
    return body


def told(expression: Expression, scope: Scope, reply: httpx.Response | None) -> Any:
    """A value that a reply must have; `reply` where it is at hand. Raises Unintelligible."""
    try:
        return expression(scope)
    except Unsaid as error:
        status, body = (f"HTTP {reply.status_code}, ", reply.content) if reply is not None else ("", b"")
        raise Unintelligible(f"{status}{error}", body=body) from None


def maybe(expression: Expression | Choice, scope: Scope) -> Any:
    """A value that may be missing. Raises Unintelligible for one that is there and cannot be read."""
    try:
        return (expression if isinstance(expression, Expression) else expression.of).or_none(scope)
    except Unsaid as error:
        raise Unintelligible(str(error)) from None


def of_item(described: Mapping[str, Expression | Choice], key: str, scope: Scope) -> Any:
    expression = described.get(key)
    return None if expression is None else maybe(expression, scope)


def plain(value: Any) -> str:
    return reading.text({"it": value}, "it")


def words(detail: Expression, scope: Scope) -> str:
    """What the vendor says beside a no. Raises Unintelligible where no words stand."""
    return plain(maybe(detail, scope))


def stamp(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None


def listed(of: Expression, scope: Scope, reply: httpx.Response) -> list[Any]:
    try:
        found = of(scope)
    except Absent:
        found = []
    except Unsaid as error:
        raise Unintelligible(f"HTTP {reply.status_code}, {error}", body=reply.content) from None
    if found is None:
        return []
    if not isinstance(found, list):
        raise Unintelligible(f"HTTP {reply.status_code}, expected a list", body=reply.content)
    return found


def chosen(choice: Choice, scope: Scope, *, lenient: bool = False) -> Any:
    word = plain(maybe(choice.of, scope))
    if word not in choice.table and "*" not in choice.table:
        if lenient:
            return None
        raise Unintelligible("a word that the description does not know")
    return choice.table[word if word in choice.table else "*"]


def state_of(choice: Choice, scope: Scope, code: str) -> DeliveryState:
    state = chosen(choice, scope)
    return failed_state(code) if state is None else state


def _elements(written: str) -> dict[str, str]:
    """The elements of an XML text that hold no others, by name; the first of a name counts. No entities but HTML's."""
    found: dict[str, str] = {}
    for name, content in _ELEMENT.findall(written[:_MOST_XML]):
        found.setdefault(name, html.unescape(content).strip())
    return found

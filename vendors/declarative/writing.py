"""Writes a described request: fields one by one, each encoded once, and the bytes that are both signed and sent.

A value that is missing is told before anything leaves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from harness.errors import VendorTrouble
from vendors import reading, signing
from vendors.declarative.expressions import Expression, Scope, Unsaid, compact, text
from vendors.declarative.shapes import Each, Fields, Sends


def needed(expression: Expression, scope: Scope) -> Any:
    """A value of a request. Raises VendorTrouble, with nothing written, where there is none."""
    try:
        return expression(scope)
    except Unsaid as error:
        raise reading.not_sent(str(error)) from None


def _value(field: Fields, scope: Scope) -> Any:
    if isinstance(field, Expression):
        return needed(field, scope)
    if isinstance(field, Each):
        over = needed(field.over, scope)
        if not isinstance(over, list):
            raise reading.not_sent(f"{field.over.place}: is no list")
        return [_value(field.item, {**scope, "item": one}) for one in over]
    if isinstance(field, Mapping):
        return mapping(field, scope)
    return [_value(one, scope) for one in field]


def mapping(fields: Mapping[str, Fields], scope: Scope) -> dict[str, Any]:
    """Values by name; a null is left out."""
    return {name: value for name, field in fields.items() if (value := _value(field, scope)) is not None}


def form(fields: Mapping[str, Any], sends: Sends) -> str:
    """A query or form: names and values encoded once, in the request's charset."""
    how = quote_plus if sends.spaces == "plus" else _strict
    try:
        return "&".join(
            f"{how(name, encoding=sends.charset)}={how(_written(name, value), encoding=sends.charset)}"
            for name, value in fields.items()
        )
    except UnicodeEncodeError as error:
        raise reading.not_sent(f"a character that {sends.charset} does not have") from error


def _strict(words: str, encoding: str) -> str:
    return quote(words, safe="~", encoding=encoding)


def _written(name: str, value: Any) -> str:
    if isinstance(value, bytes | list | Mapping):
        raise reading.not_sent(f"{name} is a {type(value).__name__} where a form takes text: write |json or |joined")
    try:
        return text(value)
    except (TypeError, VendorTrouble) as error:
        raise reading.not_sent(f"{name} is no text") from error


def body_of(fields: Mapping[str, Any], sends: Sends) -> bytes:
    match sends.kind:
        case "none":
            return b""
        case "form":
            return form(fields, sends).encode("ascii")
        case _:
            written = compact(_as_json(fields, sends.numbers), spaced=sends.spaced_json).encode("utf-8", "replace")
            return signing.base64_text(written).encode() if sends.kind == "base64_json" else written


def _as_json(value: Any, numbers: frozenset[str], name: str = "") -> Any:
    """Texts as they are; whole numbers only where the description lists the field."""
    if isinstance(value, Mapping):
        return {key: _as_json(one, numbers, key) for key, one in value.items()}
    if isinstance(value, list):
        return [_as_json(one, numbers, name) for one in value]
    if isinstance(value, bytes):
        raise reading.not_sent(f"{name} is raw bytes: write |hex or |base64")
    if name in numbers:
        if not re.fullmatch(r"-?[0-9]{1,40}", str(value)):
            raise reading.not_sent(f"{name} is no whole number")
        return int(value)
    return value if isinstance(value, bool) or value is None else text(value)

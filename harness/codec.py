"""The border guard: JSON ⇄ dataclasses, and JSON Schema. The only room that knows pydantic."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from harness.facts import FactBody
from harness.text import whole

T = TypeVar("T")

_bodies: TypeAdapter[FactBody] = TypeAdapter(Annotated[FactBody, Field(discriminator="kind")])


def encode_body(body: FactBody) -> bytes:
    """A fact's body as the JSON bytes that are stored and digested; always the same bytes for the same body.

    Half a character in a vendor's words becomes U+FFFD: no such text may stop the ledger.
    """
    try:
        return _bodies.dump_json(body)
    except PydanticSerializationError:
        return to_json(_whole(_bodies.dump_python(body, mode="json")))


def _whole(plain: Any) -> Any:
    match plain:
        case str():
            return whole(plain)
        case list():
            return [_whole(one) for one in plain]
        case dict():
            return {whole(key): _whole(value) for key, value in plain.items()}
    return plain


def decode_body(raw: bytes) -> FactBody:
    """Read a stored body. Raises ValueError for what no fact can be."""
    return _bodies.validate_json(raw)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def to_plain(value: object) -> Any:
    """A dataclass as plain JSON values."""
    kind: Any = type(value)
    return _adapter(kind).dump_python(value, mode="json")


def from_plain(kind: Callable[..., T], value: object) -> T:
    """Plain JSON values as a dataclass. Raises ValueError naming each path and what is wrong there."""
    try:
        result: T = _adapter(kind).validate_python(value)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)]
        raise ValueError("; ".join(lines)) from error
    return result


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys and no spaces: for digests of plain values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def plain_json(value: object) -> str:
    """Plain values as compact JSON, keys in the order given. The quickest way to write a recording.

    Raises ValueError for half a character, which no JSON can hold.
    """
    try:
        return to_json(value).decode()
    except PydanticSerializationError as error:
        raise ValueError(str(error)) from error


def schema_of(kind: Any) -> dict[str, Any]:
    """JSON Schema (2020-12) of a dataclass as it is written."""
    return _adapter(kind).json_schema(mode="serialization")

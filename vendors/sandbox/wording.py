"""What several counterparts need to read a wire and to word an answer: raw requests, stamps, numbers, tallies.

Nothing here knows a vendor's signature: each counterpart builds its own string-to-sign. No function raises on
what a customer sent, unless its docstring says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx

from harness.domain import BEIJING

_MAINLAND: Final = re.compile(r"(?:\+86|0086|86)?(1[3-9][0-9]{9})")
_VARIABLE: Final = re.compile(r"\{([A-Za-z0-9_]+)\}")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_LINK: Final = re.compile(r"https?://|www\.", re.IGNORECASE)
_SWEEP_EVERY: Final = 4096  # additions to a tally between two clean-ups


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A request as it came over the wire: nothing decoded yet but header names in lower case."""

    method: str
    path: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_form(self) -> bool:
        return self.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded")


def hear(request: httpx.Request) -> Heard:
    """Take a request apart from its raw bytes."""
    path, _, query = request.url.raw_path.partition(b"?")
    headers = {name.decode("latin-1").lower(): value.decode("latin-1").strip() for name, value in request.headers.raw}
    try:
        body = request.content
    except httpx.RequestNotRead:  # a body that nobody read is no body for the vendor
        body = b""
    return Heard(method=request.method, path=path.decode("latin-1"), query=query, headers=headers, body=body)


def pairs(encoded: bytes) -> list[tuple[str, str]]:
    """Form or query text as pairs in their order, blank values kept, broken UTF-8 replaced."""
    return parse_qsl(encoded.decode("utf-8", "replace"), keep_blank_values=True, errors="replace")


def read_json(text: str | bytes) -> Any:
    """Parse JSON as strictly as a vendor does; ValueError for anything else, lone surrogates and NaN included."""
    try:
        plain = text.decode() if isinstance(text, bytes) else text
        value = json.loads(plain, parse_constant=_no_constant)
        if "\\u" in plain:
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as deep:
        raise ValueError("nested too deeply") from deep
    return value


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def answer_json(
    status: int, value: Any, *, content_type: str, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """A JSON answer with exactly this content type."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return httpx.Response(status, content=body, headers={"Content-Type": content_type, **(headers or {})})


def mainland(number: str) -> str | None:
    """A mainland mobile number as E.164, from +86, 0086, 86 or bare eleven digits; None for anything else."""
    found = _MAINLAND.fullmatch(number)
    return f"+86{found[1]}" if found else None


def national(number: str) -> str:
    """A number as vendors push it: without +86."""
    return number.removeprefix("+86")


def whole(text: str | None, low: int, high: int) -> int | None:
    """A whole number in ASCII digits between two limits; None for anything else."""
    if text is None or not _WHOLE.fullmatch(text):
        return None
    value = int(text)
    return value if low <= value <= high else None


def stamp(at: datetime) -> str:
    """Beijing time as vendors write it, `yyyy-MM-dd HH:mm:ss`, without a zone."""
    return at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def from_stamp(text: str | None) -> datetime | None:
    """Read `yyyy-MM-dd HH:mm:ss` in Beijing time; None for anything else."""
    if text is None or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}", text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=BEIJING).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def from_day(text: str | None, *, dashes: bool = False) -> date | None:
    """Read a day, `yyyyMMdd` or `yyyy-MM-dd`; None for anything else. Year 1 and 9999 are no vendor's days."""
    if text is None or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}" if dashes else r"[0-9]{8}", text):
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year < 9000 else None


def names_in(template: str) -> tuple[str, ...]:
    """Names of a template's {variables} in their order, each once; digits and capitals too."""
    return tuple(dict.fromkeys(_VARIABLE.findall(template)))


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its {variables} put in; KeyError for a missing one."""
    return _VARIABLE.sub(lambda found: values[found[1]], template)


def literal_parts(template: str) -> list[str]:
    """A template split at its {variables}: literal, name, literal, name, …, literal."""
    return _VARIABLE.split(template)


def has_link(text: str) -> bool:
    return _LINK.search(text) is not None


def credential(credentials: Mapping[str, str], *names: str) -> str:
    """The first of these credentials that the account has; KeyError naming them if it has none."""
    for name in names:
        if name in credentials:
            return credentials[name]
    raise KeyError(f"the sandbox account needs the credential {' or '.join(names)}")


def cap(options: Mapping[str, str], name: str, default: int | None) -> int | None:
    """A frequency limit after the account's options; None: no limit. `caps: lifted` lifts all of them."""
    if options.get("caps") == "lifted":
        return None
    text = options.get(name)
    if text is None:
        return default
    return None if text == "lifted" else int(text)


def counted(memory: MutableMapping[str, Any], name: str) -> int:
    """The next number of a counter: 1, 2, 3, …"""
    memory[name] = number = int(memory.get(name, 0)) + 1
    return number


def digest_id(label: str, number: int) -> str:
    """A request id in the shape of a UUID that follows from the account and a counter."""
    text = sha256(f"{label}\0{number}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"


def is_over_rate(memory: MutableMapping[str, Any], name: str, at: float, per_second: int | None) -> bool:
    """Count one call in the running second; whether it is one too many."""
    second, calls = memory.get(name, (0, 0))
    calls = calls + 1 if second == int(at) else 1
    memory[name] = (int(at), calls)
    return per_second is not None and calls > per_second


class Tally:
    """How often something happened lately, by key. Kept in the counterpart's memory; times are Unix seconds."""

    def __init__(self, memory: MutableMapping[str, Any], name: str, *, keep: float) -> None:
        self._book: dict[tuple[str, ...], list[float]] = memory.setdefault(name, {})
        self._keep = keep
        self._additions = 0

    def add(self, key: tuple[str, ...], at: float) -> None:
        self._book.setdefault(key, []).append(at)
        self._additions += 1
        if self._additions % _SWEEP_EVERY == 0:
            self._forget(at - self._keep)

    def since(self, key: tuple[str, ...], begin: float) -> int:
        """How often since `begin`, that instant included."""
        return sum(1 for at in self._book.get(key, ()) if at >= begin)

    def after(self, key: tuple[str, ...], begin: float) -> int:
        """How often after `begin`, that instant excluded: for rolling windows, open at their far end."""
        return sum(1 for at in self._book.get(key, ()) if at > begin)

    def _forget(self, before: float) -> None:
        for key in list(self._book):
            kept = [at for at in self._book[key] if at >= before]
            if kept:
                self._book[key] = kept
            else:
                del self._book[key]

"""Known answers from `fixtures/<id>/*.yaml`, and how to play them: shared by the vendor tests.

A vendor is any module `vendors/<id>.py` with a class `Vendor`, or a description `vendors/described/<id>.yaml`;
nothing lists them.
"""

from __future__ import annotations

import base64
import importlib
import json
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml

import vendors
from harness import domain, registry
from harness.capabilities import HARMLESS, SPACED, Account, PushRequest, Tools
from harness.domain import Carrier, Message, Purpose, Recipient, ReviewDraft, Secret, Subject
from harness.flow import Talk, play

FIXTURES = Path(__file__).parent / "fixtures"
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
NONCE = "0123456789abcdef0123456789abcdef"


def _is_http(module: types.ModuleType) -> bool:
    """Whether there is a vendor in it that speaks HTTP: one that holds a session has a suite of its own."""
    return hasattr(module, "Vendor") and not hasattr(module.Vendor, "links")


MODULES = {
    path.stem: module
    for path in sorted(Path(vendors.__path__[0]).glob("*.py"))
    if _is_http(module := importlib.import_module(f"vendors.{path.stem}"))
}
CODED = sorted(MODULES)
MODULES |= {name: registry.described(name) for name in registry.described_names() if name not in MODULES}
DESCRIBED = sorted(MODULES.keys() - set(CODED))
IDS = sorted(MODULES)


@cache
def load(vendor: str, name: str) -> Any:
    """A fixture file's content; an empty list if the vendor has none by that name."""
    path = FIXTURES / vendor / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else []


def make(vendor: str, case: Mapping[str, Any] | None = None) -> Any:
    """The vendor on its fixture account; a case may have its own `now`, `nonce`, `options`, `endpoint`, `endpoints`,
    `push_url` and `secret`."""
    case, account = case or {}, load(vendor, "account")
    module = MODULES[vendor]
    secret = {credential.name for credential in module.Vendor.manifest.credentials if credential.secret}
    now = datetime.fromisoformat(case["now"]) if "now" in case else NOON
    return module.Vendor(
        Account(
            label=account["label"],
            credentials={
                name: Secret(case.get("secret", value)) if name in secret else value
                for name, value in account["credentials"].items()
            },
            endpoint=case.get("endpoint", account.get("endpoint")),
            endpoints=case.get("endpoints", account.get("endpoints", {})),
            signature=account["signature"],
            options={**account.get("options", {}), **case.get("options", {})},
            push_url=case.get("push_url", account.get("push_url")),
        ),
        Tools(now=lambda: now, nonce=lambda: case.get("nonce", NONCE)),
    )


def message(given: Mapping[str, Any] | None = None) -> Message:
    """A message from the fields of a fixture, the rest filled in."""
    given = dict(given or {})
    to = Recipient(id="r1", number=given.pop("number", "+8613800001234"), carrier=Carrier.CHINA_MOBILE)
    usual: dict[str, Any] = {
        "purpose": Purpose.VERIFICATION,
        "signature": "某某科技",
        "template": "100",
        "parameters": {"code": "1234"},
        "text": "【某某科技】您的验证码是1234",
        "token": "1234",
        "reference": "ref-1",
        "segments": 1,
    }
    return Message(to=to, **{**usual, **given})


def draft(given: Mapping[str, Any]) -> ReviewDraft:
    """A review draft from the fields of a fixture."""
    return ReviewDraft(**{**given, "subject": Subject(given["subject"]), "purpose": Purpose(given["purpose"])})


# One call a method, for the tests that try them all.
CALLS: dict[str, dict[str, Any]] = {
    "submit": {"message": message()},
    "submit_bulk": {"messages": [message(), message({"number": "+8613900001234", "text": "【某某科技】另一条"})]},
    "pull_reports": {},
    "pull_inbound": {},
    "submit_signature": {
        "draft": draft({"subject": "signature", "name": "n", "text": "某某科技", "purpose": "verification"})
    },
    "query_signature": {"ticket": "100"},
    "submit_template": {
        "draft": draft({"subject": "template", "name": "n", "text": "码{code}", "purpose": "verification"})
    },
    "query_template": {"ticket": "100"},
    "find_records": {"number": "+8613800001234", "day": date(2026, 3, 1)},
    "statistics": {"first": date(2026, 3, 1), "last": date(2026, 3, 2)},
    "balance": {},
    "prices": {},
    "check_content": {"text": "一段文字"},
    "is_blocked": {"number": "+8613800001234"},
    "block": {"number": "+8613800001234"},
    "unblock": {"number": "+8613800001234"},
}


def talks(vendor: str) -> list[dict[str, Any]]:
    """Every known conversation of a vendor."""
    return [*load(vendor, "submit"), *load(vendor, "questions")]


def pushes(vendor: str) -> list[dict[str, Any]]:
    """Every known push of a vendor."""
    return [case for kind in ("reports", "inbound", "reviews") for case in load(vendor, f"push_{kind}")]


def start(vendor: str, case: Mapping[str, Any]) -> Talk[Any]:
    """Begin the conversation that a fixture describes."""
    arguments: dict[str, Any] = dict(case.get("args", {}))
    for name in ("day", "first", "last"):
        if name in arguments:
            arguments[name] = date.fromisoformat(arguments[name])
    if "message" in case:
        arguments["message"] = message(case["message"])
    if "messages" in case:
        arguments["messages"] = [message(given) for given in case["messages"]]
    if "draft" in case:
        arguments["draft"] = draft(case["draft"])
    return play(getattr(make(vendor, case), case["call"])(**arguments))


def answer(talk: Talk[Any], reply: Mapping[str, Any]) -> Talk[Any]:
    """Hand in the reply of a fixture, with `status` and `headers` where they matter."""
    return talk.answer(reply.get("status", 200), content=content_of(reply), headers=reply.get("headers"))


def content_of(reply: Mapping[str, Any]) -> bytes:
    """The bytes of a fixture's reply: `json`, `text` (in `charset`, UTF-8 if not told), or `base64` of any bytes."""
    if "base64" in reply:
        return base64.b64decode(reply["base64"])
    if "text" in reply:
        written: str = reply["text"]
        return written.encode(reply.get("charset", "utf-8"))
    return json.dumps(reply.get("json")).encode()


def written(request: Any) -> dict[str, Any]:
    """A request as a fixture spells it."""
    return {
        "method": request.method,
        "url": str(request.url),
        "headers": dict(request.headers),
        "body": _readable(request.content),
    }


def _readable(content: bytes) -> str:
    """A body as text; one that is no text as Base64 behind "base64:"."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"base64:{base64.b64encode(content).decode()}"


def compare(request: Any, expected: Mapping[str, Any]) -> None:
    """Assert that a request is what a fixture says: all `headers`, or `some_headers`, and the rest to the byte.

    `harmless: true` and `spaced: balance` are what the flow must say of it (harness.capabilities).
    """
    actual = written(request)
    for part in ("method", "url", "body", "headers"):
        if part in expected:
            assert actual[part] == expected[part], part
    if "harmless" in expected:
        assert bool(request.extensions.get(HARMLESS)) is expected["harmless"]
    if "spaced" in expected:
        assert request.extensions.get(SPACED, (None,))[0] == expected["spaced"]
    some = expected.get("some_headers", {})
    assert {name: actual["headers"].get(name) for name in some} == some


def push_request(case: Mapping[str, Any]) -> PushRequest:
    """The push of a fixture: `path`, and `body`, `form` or `base64`; `method`, `query` (text or fields), `headers`
    (names in any case) and `now` where they matter."""
    query = case.get("query", "")
    if "base64" in case:
        body = base64.b64decode(case["base64"])
    else:
        body = (urlencode(case["form"]) if "form" in case else case.get("body", "")).encode()
    return raw_push(
        body,
        case["path"],
        method=case.get("method", "POST"),
        query=urlencode(query) if isinstance(query, Mapping) else query,
        headers={name.lower(): value for name, value in case.get("headers", {}).items()},
        now=datetime.fromisoformat(case["now"]) if "now" in case else NOON,
    )


def raw_push(
    body: bytes,
    path: str = "/push/x/reports",
    *,
    method: str = "POST",
    query: str = "",
    headers: Mapping[str, str] | None = None,
    now: datetime = NOON,
) -> PushRequest:
    """Any bytes posted to us."""
    return PushRequest(method=method, path=path, query=query, headers=headers or {}, body=body, received_at=now)


def expected(value: Any) -> Any:
    """What a fixture expects: {Noun: fields} becomes that noun of harness.domain, lists become tuples of them."""
    if isinstance(value, list):
        return tuple(expected(item) for item in value)
    if isinstance(value, dict):
        ((noun, given),) = value.items()
        return build(getattr(domain, noun), given)
    return value


def build(noun: Any, given: Mapping[str, Any]) -> Any:
    """A noun from plain fields; what a fixture leaves out is the noun's default, or None where it has none."""
    hints = typing.get_type_hints(noun)
    required = {"reason": None, "carrier": None} if noun is not domain.ReviewDecision else {}
    usual = {item.name: required[item.name] for item in fields(noun) if item.name in required}
    return noun(**{**usual, **{name: _typed(hints[name], value) for name, value in given.items()}})


def _typed(hint: Any, value: Any) -> Any:
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) or typing.get_origin(hint) else (hint,)
    for choice in choices:
        if value is None:
            return None
        if choice is datetime:
            return datetime.fromisoformat(value)
        if choice is Decimal:
            return Decimal(value)
        if isinstance(choice, type) and issubclass(choice, Enum):
            return choice(value)
        if is_dataclass(choice):
            return build(choice, value)
    return tuple(value) if isinstance(value, list) else value


def strings(value: Any) -> Iterator[str]:
    """Every text in a noun, at any depth."""
    if isinstance(value, str):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            yield from strings(getattr(value, item.name))
    elif isinstance(value, Mapping):
        yield from strings(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from strings(item)

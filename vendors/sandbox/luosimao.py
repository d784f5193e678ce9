"""Luosimao's side of the wire: `send`, `send_batch` and `status` under /v1/ (facts/vendors/luosimao.md).

A text is free and bears a filed 【signature】, at its end in the documents' samples and in front as well. Nothing is
known of reports and replies, so none are pushed. Options: `caps: lifted`, `code_gap` (seconds between two codes to one
number), `batch` (most numbers in one batch; the documents give no figure).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import httpx

from harness.domain import Purpose, Reason
from harness.text import split_signature
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    from_stamp,
    hear,
    literal_parts,
    mainland,
    pairs,
)

_JSON: Final = "application/json; charset=utf-8"
_LONGEST: Final = 300
MESSAGES: Final[Mapping[int, str]] = {
    -10: "AUTH_FAILED",
    -11: "API_DISABLED",
    -12: "BALANCE_FROZEN",
    -20: "INSUFFICIENT_BALANCE",
    -30: "EMPTY_MESSAGE",
    -31: "SENSITIVE_WORD",
    -32: "SIGNATURE_MISSING",
    -33: "MESSAGE_TOO_LONG",
    -34: "SIGNATURE_UNAVAILABLE",
    -40: "BAD_MOBILE",
    -41: "MOBILE_BLACKLISTED",
    -42: "TOO_FREQUENT",
    -50: "IP_NOT_ALLOWED",
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.BLACKLISTED: -41,
    Reason.OPTED_OUT: -41,
    Reason.SENSITIVE_CONTENT: -31,
    Reason.FREQUENCY_CAP: -42,
    Reason.SIGNATURE_NOT_APPROVED: -34,
    Reason.SIGNATURE_NOT_REGISTERED: -34,
    Reason.INVALID_NUMBER: -40,
    Reason.BALANCE: -20,
    Reason.AUTH: -11,
}


class _Refusal(Exception):
    """One of the vendor's codes, with the word it names for -31."""

    def __init__(self, code: int, hit: str = "") -> None:
        super().__init__(code)
        self.code, self.hit = code, hit


class Counterpart:
    """Luosimao for one account."""

    push_batch = 100
    push_retry: tuple[timedelta, ...] = ()

    def __init__(self, door: Door) -> None:
        self._door = door
        self._key = credential(door.credentials, "apikey")
        self._codes = Tally(door.memory, "codes", keep=3600.0)

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        try:
            self._admit(heard)
            params = dict(pairs(heard.body)) if heard.is_form else {}
            match heard.method, heard.path:
                case "POST", "/v1/send.json":
                    return self._said(self._send(params))
                case "POST", "/v1/send_batch.json":
                    return self._said(self._send_batch(params))
                case "GET", "/v1/status.json":
                    return self._said({"deposit": str(int(self._door.balance() * 20))})
                case _:
                    return httpx.Response(404, content=b"Not Found")
        except _Refusal as refusal:
            body = {"error": refusal.code, "msg": MESSAGES[refusal.code]}
            return answer_json(200, body | ({"hit": refusal.hit} if refusal.hit else {}), content_type=_JSON)

    def _said(self, more: Mapping[str, Any]) -> httpx.Response:
        return answer_json(200, {"error": 0, "msg": "ok", **more}, content_type=_JSON)

    def _admit(self, heard: Heard) -> None:
        right = "Basic " + base64.b64encode(b"api:key-" + self._key.encode()).decode()
        given = heard.headers.get("authorization", "")
        if not hmac.compare_digest(right.encode(), given.encode("utf-8", "replace")):
            raise _Refusal(-10)

    def _send(self, params: Mapping[str, str]) -> dict[str, Any]:
        self._submit(params.get("mobile", ""), params.get("message", ""))
        return {}

    def _send_batch(self, params: Mapping[str, str]) -> dict[str, Any]:
        numbers = [number for number in params.get("mobile_list", "").split(",") if number]
        if not numbers or len(numbers) > (cap(self._door.options, "batch", 10_000) or 10**9):
            raise _Refusal(-40)
        if params.get("time") and from_stamp(params["time"]) is None:
            raise _Refusal(-30)
        for number in numbers:
            self._submit(number, params.get("message", ""))
        return {"batch_id": f"{counted(self._door.memory, 'batches'):032x}".upper()}

    def _submit(self, written: str, text: str) -> None:
        if not text.strip():
            raise _Refusal(-30)
        if len(text) > _LONGEST:
            raise _Refusal(-33)
        name, content = split_signature(text)
        if name is None:
            raise _Refusal(-32)
        if not self._door.signatures.get(name):
            raise _Refusal(-34)
        number = mainland(written)
        if number is None:
            raise _Refusal(-40)
        purpose, at = self._purpose(content), self._door.now().timestamp()
        gap = cap(self._door.options, "code_gap", 60)
        is_code = purpose is Purpose.VERIFICATION
        if is_code and gap is not None and self._codes.after((number,), at - gap):
            raise _Refusal(-42)
        outcome = self._door.submit(
            Submission(
                number=number,
                text=f"【{name}】{content}",  # a phone shows it where the carrier puts it: in front
                purpose=purpose,
                key=f"L{counted(self._door.memory, 'messages'):010d}",
            )
        )
        if isinstance(outcome, Turned):
            raise _Refusal(REFUSALS.get(outcome.reason, -11), outcome.words[0] if outcome.words else "")
        if is_code:
            self._codes.add((number,), at)

    def _purpose(self, content: str) -> Purpose:
        """By the approved template it begins like: the vendor tells codes from the rest by their look."""
        for template in self._door.templates.values():
            if (start := literal_parts(template.text)[0]) and content.startswith(start):
                return template.purpose
        return Purpose.NOTIFICATION

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        return None

    def push_reply(self, reply: Reply) -> PushOut | None:
        return None

    def push_decision(self, review: Review) -> PushOut | None:
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        return 200 <= status < 300

"""9tian's side of the wire: /houtai/sms.php and sms_ye.php, GBK in, one line of text out (facts/vendors/9tian.md).

Texts are free but for their 【signature】. Options: `caps: lifted`, `codes_per_minute`, `codes_per_hour`,
`stamp_seconds`, `channels` (what channelid may be, by commas; any number if it is not told).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import md5
from typing import Final
from urllib.parse import parse_qsl

import httpx

from harness.domain import Purpose, Reason
from harness.text import split_signature
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Tally,
    cap,
    counted,
    credential,
    hear,
    literal_parts,
    mainland,
    whole,
)

REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.SENSITIVE_CONTENT: -5,
    Reason.BLACKLISTED: -4,
    Reason.OPTED_OUT: -4,
    Reason.INVALID_NUMBER: -4,
    Reason.FREQUENCY_CAP: -14,
    Reason.SIGNATURE_NOT_APPROVED: -9,
    Reason.SIGNATURE_NOT_REGISTERED: -9,
    Reason.BALANCE: -6,
    Reason.HOURS: -11,
    Reason.AUTH: -2,
    Reason.ROUTING: -10,
}

Params = Mapping[str, str]


class _Refusal(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """9tian for one account."""

    push_batch = 100
    push_retry: tuple[timedelta, ...] = ()
    filing: Final[Mapping[str, str]] = {"channel": "7"}

    def __init__(self, door: Door) -> None:
        self._door = door
        self._user, self._password = (credential(door.credentials, name) for name in ("cpid", "password"))
        self._codes = Tally(door.memory, "codes", keep=3600.0)

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        encoded = heard.query if heard.method == "GET" else heard.body
        try:
            params = dict(parse_qsl(encoded.decode("ascii"), keep_blank_values=True, encoding="gbk", errors="strict"))
        except ValueError:
            return _line("error:-13")
        try:
            match heard.path:
                case "/houtai/sms.php":
                    self._admit(params, "cpid")
                    return _line(f"success:{self._send(params)}")
                case "/houtai/sms_ye.php":
                    self._admit(params, "userid")
                    return _line(f"success:{self._door.balance():.2f}")
                case _:
                    return httpx.Response(404, content=b"Not Found")
        except _Refusal as refusal:
            return _line(f"error:{refusal.code}")

    def _admit(self, params: Params, user: str) -> None:
        if not params.get(user) or not params.get("password"):
            raise _Refusal(-1)
        at = whole(params.get("timestamp"), 0, 10**12)
        if at is None or abs(at - self._door.now().timestamp()) > (cap(self._door.options, "stamp_seconds", 300) or 0):
            raise _Refusal(-12)
        right = md5(f"{self._password}_{at}_topsky".encode(), usedforsecurity=False).hexdigest()
        is_right = hmac.compare_digest(right.encode(), params["password"].encode("utf-8", "replace"))
        if params[user] != self._user or not is_right:
            raise _Refusal(-2)

    def _send(self, params: Params) -> str:
        channels, channel = self._door.options.get("channels"), params.get("channelid", "")
        if not channel.isdigit() or (channels is not None and channel not in channels.split(",")):
            raise _Refusal(-3)
        numbers = [mainland(written) for written in params.get("tele", "").split(",")]
        if not 0 < len(numbers) <= 500 or None in numbers:
            raise _Refusal(-4)
        text = params.get("msg", "")
        if not text.strip():
            raise _Refusal(-5)
        name, content = split_signature(text)
        if name is None:
            raise _Refusal(-8)
        if not self._door.signatures.get(name):
            raise _Refusal(-9)
        purpose, sent = self._purpose(content), str(20_000_000 + counted(self._door.memory, "messages"))
        for number in numbers:
            if number is not None:
                self._submit(number, f"【{name}】{content}", purpose, sent if len(numbers) == 1 else f"{sent}:{number}")
        return sent

    def _submit(self, number: str, text: str, purpose: Purpose, key: str) -> None:
        at, options, is_code = self._door.now().timestamp(), self._door.options, purpose is Purpose.VERIFICATION
        for name, default, span in (("codes_per_minute", 1, 60.0), ("codes_per_hour", 3, 3600.0)):
            limit = cap(options, name, default)
            if is_code and limit is not None and self._codes.after((number,), at - span) >= limit:
                raise _Refusal(-14)
        outcome = self._door.submit(Submission(number=number, text=text, purpose=purpose, key=key))
        if isinstance(outcome, Turned):
            raise _Refusal(REFUSALS.get(outcome.reason, -10))
        if is_code:
            self._codes.add((number,), at)

    def _purpose(self, content: str) -> Purpose:
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


def _line(text: str) -> httpx.Response:
    return httpx.Response(200, content=text.encode(), headers={"Content-Type": "text/html; charset=gbk"})

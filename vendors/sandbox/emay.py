"""Emay's side of the wire: both interfaces as the vendor's demonstration shows them (facts/vendors/emay.md).

Credentials: `app_id`, `secret_key` (16 characters). The list of codes has none for lists, words, caps or signatures:
they are told in reports, which wait in a queue, and nothing is pushed. Options: `per_second`, `per_day` (to one number;
no figures are documented), `caps: lifted`, `stamps: digits` (in answers, without strokes), `empty: nothing` (an empty
queue gives no list).
"""

from __future__ import annotations

import gzip
import hmac
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import md5
from typing import Any, Final
from urllib.parse import unquote_plus

import httpx

from harness.domain import BEIJING, Purpose, Reason
from harness.text import signed, split_signature
from vendors import signing
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    hear,
    is_over_rate,
    mainland,
    national,
    pairs,
    read_json,
    stamp,
    whole,
)

_JSON: Final = "application/json;charset=UTF-8"
_OCTETS: Final = "application/octet-stream"
_DAY: Final = 86_400.0
_PRICE: Final = Decimal("0.045")
_MOST: Final = 500
_LONGEST: Final = 1000
_LONGEST_ID: Final = 64
_SKEW: Final = timedelta(minutes=10)
_LARGEST: Final = 1 << 22
_FIRST_ID: Final = 20_240_101_000_000
_LATE_SECONDS: Final = 2.0

CODES: Final = frozenset(
    [
        "ERROR_APPID",
        "ERROR_SIGN",
        "ERROR_TIMESTAMP",
        "ERROR_ENCRYPTION",
        "ERROR_REQUEST_NO_VALID",
        "ERROR_OVER_SPEED",
        "ERROR_BALANCE",
        "ERROR_MOBILE_EMPTY",
        "ERROR_MOBILE_ERROR",
        "ERROR_MOBILE_NUMBER",
        "ERROR_CONTENT_EMPTY",
        "ERROR_LONG_CONTENT",
        "ERROR_PARAMS",
        "ERROR_CUSTOM_SMSID",
        "ERROR_EXTENDED_CODE",
    ]
)
REFUSALS: Final[Mapping[Reason, str]] = {
    Reason.BALANCE: "ERROR_BALANCE",
    Reason.THROTTLED: "ERROR_OVER_SPEED",
    Reason.INVALID_NUMBER: "ERROR_MOBILE_ERROR",
    Reason.AUTH: "ERROR_APPID",
}
STATES: Final[Mapping[Reason, str]] = {
    Reason.BLACKLISTED: "MBBLACK",
    Reason.OPTED_OUT: "TUIDING",
    Reason.SENSITIVE_CONTENT: "KEYWORD",
    Reason.FREQUENCY_CAP: "LIMIT",
    Reason.SIGNATURE_NOT_APPROVED: "SIGFAIL",
}
"""What has no code at once is taken, and told in a report; what has no state there is REJECTD."""
_DESCRIBED: Final = {"DELIVRD": "成功", "MBBLACK": "黑名单", "TUIDING": "退订", "KEYWORD": "敏感词", "LIMIT": "超频"}

Params = Mapping[str, Any]


class _Refusal(Exception):
    """A request refused with one of the vendor's codes."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """Emay for one account."""

    push_batch = 1
    push_retry: tuple[timedelta, ...] = ()

    def __init__(self, door: Door) -> None:
        self._door = door
        self._app = credential(door.credentials, "app_id")
        self._key = credential(door.credentials, "secret_key")
        self._sent = Tally(door.memory, "sent", keep=_DAY)
        self._late: list[tuple[float, dict[str, str]]] = door.memory.setdefault("late", [])

    # -- the doors in -----------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        room, _, call = heard.path.strip("/").partition("/")
        if room == "inter" and heard.method == "POST" and call in CLOSED:
            return self._closed(heard, CLOSED[call])
        if room == "simpleinter" and heard.method in ("GET", "POST") and call in SIMPLE:
            return self._simple(heard, SIMPLE[call])
        return httpx.Response(404, content=b"")

    def _closed(self, heard: Heard, act: Callable[[Counterpart, Params], Any]) -> httpx.Response:
        """The secure interface: the code in a header, the answer closed like the request, and nothing else."""
        is_packed = heard.headers.get("gzip") == "on"
        headers = {"Content-Type": _OCTETS}
        try:
            if heard.headers.get("appid") != self._app:
                raise _Refusal("ERROR_APPID")
            params = self._opened(heard.body, is_packed)
            self._check_time(params)
            self._check_rate()
            told = json.dumps(act(self, params), ensure_ascii=False).encode("utf-8", "replace")
        except _Refusal as refusal:
            return httpx.Response(200, content=b"", headers={**headers, "result": refusal.code})
        plain = gzip.compress(told, mtime=0) if is_packed else told
        content = signing.aes_ecb(self._key.encode(), plain)
        return httpx.Response(200, content=content, headers={**headers, "result": "SUCCESS"})

    def _opened(self, body: bytes, is_packed: bool) -> Params:
        try:
            plain = signing.aes_ecb_opened(self._key.encode(), body)
            if is_packed:
                plain = zlib.decompressobj(wbits=31).decompress(plain, _LARGEST)
        except (ValueError, zlib.error):
            raise _Refusal("ERROR_ENCRYPTION") from None
        try:
            params = read_json(plain)
        except ValueError:
            params = None
        if not isinstance(params, dict):
            raise _Refusal("ERROR_PARAMS")
        return params

    def _check_time(self, params: Params) -> None:
        """A request holds from its time on for as many seconds as it says."""
        at, valid = (whole(str(params.get(name, "")), 1, 10**14) for name in ("requestTime", "requestValidPeriod"))
        if at is None or valid is None:
            raise _Refusal("ERROR_PARAMS")
        now = self._door.now().timestamp() * 1000
        if at + valid * 1000 < now or at > now + _SKEW.total_seconds() * 1000:
            raise _Refusal("ERROR_REQUEST_NO_VALID")

    def _simple(self, heard: Heard, act: Callable[[Counterpart, Params], Any]) -> httpx.Response:
        """The simple interface: query or form, and the code in the JSON."""
        params = dict(pairs(heard.query if heard.method == "GET" else heard.body))
        try:
            self._check_sign(params)
            self._check_rate()
            return answer_json(200, {"code": "SUCCESS", "data": act(self, params)}, content_type=_JSON)
        except _Refusal as refusal:
            return answer_json(200, {"code": refusal.code}, content_type=_JSON)

    def _check_sign(self, params: Params) -> None:
        if params.get("appId") != self._app:
            raise _Refusal("ERROR_APPID")
        when = params.get("timestamp", "")
        try:
            if not re.fullmatch(r"[0-9]{14}", when):
                raise ValueError(when)
            at = datetime.strptime(when, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING).astimezone(UTC)
        except (ValueError, OverflowError):
            raise _Refusal("ERROR_TIMESTAMP") from None
        if abs(self._door.now() - at) > _SKEW:
            raise _Refusal("ERROR_TIMESTAMP")
        right = md5(f"{self._app}{self._key}{when}".encode(), usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(right.encode(), params.get("sign", "").encode("utf-8", "replace")):
            raise _Refusal("ERROR_SIGN")

    def _check_rate(self) -> None:
        limit = cap(self._door.options, "per_second", None)
        if is_over_rate(self._door.memory, "rate", self._door.now().timestamp(), limit):
            raise _Refusal("ERROR_OVER_SPEED")

    # -- sending ----------------------------------------------------------------------------------------------

    def _send_single(self, params: Params) -> dict[str, str]:
        return self._send_all([params])[0]

    def _send_same(self, params: Params) -> list[dict[str, str]]:
        """sendBatchOnlySMS: one text to a list of numbers."""
        numbers = params.get("mobiles")
        if not isinstance(numbers, list):
            raise _Refusal("ERROR_PARAMS")
        return self._send_all([{**params, "mobile": number} for number in numbers])

    def _send_list(self, params: Params) -> list[dict[str, str]]:
        """sendBatchSMS, sendPersonalitySMS, sendPersonalityAllSMS: what a row lacks stands above."""
        rows = params.get("smses")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _Refusal("ERROR_PARAMS")
        above = {name: params[name] for name in ("content", "extendedCode") if name in params}
        return self._send_all([{**above, **row} for row in rows])

    def _send_form(self, params: Params) -> list[dict[str, str]]:
        """sendSMS of the simple interface; the text is encoded within its field."""
        text = unquote_plus(params.get("content", ""), errors="replace")
        numbers = [number for number in params.get("mobiles", "").split(",") if number]
        return self._send_all([{**params, "mobile": number, "content": text} for number in numbers])

    def _send_fields(self, params: Params) -> list[dict[str, str]]:
        """sendPersonalitySMS of the simple interface: a field for each number."""
        rows = [(name, text) for name, text in params.items() if re.fullmatch(r"\+?[0-9]+", name)]
        return self._send_all(
            [{"mobile": name, "content": unquote_plus(text, errors="replace")} for name, text in rows]
        )

    def _send_all(self, rows: Sequence[Params]) -> list[dict[str, str]]:
        """All or none: one that is malformed spoils the request."""
        if not rows:
            raise _Refusal("ERROR_MOBILE_EMPTY")
        if len(rows) > _MOST:
            raise _Refusal("ERROR_MOBILE_NUMBER")
        return [self._send_one(*row) for row in [_checked(row) for row in rows]]

    def _send_one(self, number: str, text: str, reference: str, extension: str) -> dict[str, str]:
        own = str(_FIRST_ID + counted(self._door.memory, "messages"))
        reason = self._send_to(number, text, reference, extension, own)
        if reason is not None and reason in REFUSALS:
            raise _Refusal(REFUSALS[reason])
        if reason is not None:
            at = self._door.now()
            row = self._row(own, number, reference, extension, STATES.get(reason, "REJECTD"), at, at)
            self._late.append((at.timestamp() + _LATE_SECONDS, row))
        return {"mobile": national(number), "smsId": own, "customSmsId": reference}

    def _send_to(self, number: str, text: str, reference: str, extension: str, own: str) -> Reason | None:
        """Why it is not sent, if it is not."""
        name, _ = split_signature(text)
        if name is None:  # bound on the channel
            name = next((name for name, approved in self._door.signatures.items() if approved), "")
            text = signed(text, name)
        if not self._door.signatures.get(name):
            return Reason.SIGNATURE_NOT_APPROVED
        at, limit = self._door.now().timestamp(), cap(self._door.options, "per_day", None)
        if limit is not None and self._sent.after((number,), at - _DAY) >= limit:
            return Reason.FREQUENCY_CAP
        outcome = self._door.submit(
            Submission(
                number=number,
                text=text,
                purpose=_purpose(text),
                reference=reference or None,
                extension=extension,
                key=own,
            )
        )
        if isinstance(outcome, Turned):
            return outcome.reason
        self._sent.add((number,), at)
        return None

    # -- queues and balance -----------------------------------------------------------------------------------

    def _reports(self, params: Params) -> list[dict[str, str]] | None:
        limit, now = _limit(params), self._door.now().timestamp()
        due = [row for at, row in self._late if at <= now][:limit]
        self._late[:] = [(at, row) for at, row in self._late if row not in due]
        claims = self._door.take_reports(limit - len(due)) if limit > len(due) else ()
        return self._listed(due + [self._claimed(claim) for claim in claims])

    def _replies(self, params: Params) -> list[dict[str, str]] | None:
        rows = [
            {
                "mobile": national(reply.number),
                "extendedCode": reply.extension,
                "content": reply.text,
                "moTime": self._stamp(reply.sent_at),
            }
            for reply in self._door.take_replies(_limit(params))
        ]
        return self._listed(rows)

    def _balance(self, params: Params) -> dict[str, int]:
        """In messages, at the price of a usual segment."""
        return {"balance": max(0, int(self._door.balance() / _PRICE))}

    def _listed(self, rows: list[dict[str, str]]) -> list[dict[str, str]] | None:
        return None if not rows and self._door.options.get("empty") == "nothing" else rows

    def _claimed(self, claim: Claim) -> dict[str, str]:
        return self._row(
            claim.key,
            claim.number,
            claim.reference or "",
            "",
            claim.code or "UNDELIV",
            claim.submitted_at,
            claim.claimed_at,
        )

    def _row(
        self, own: str, number: str, reference: str, extension: str, state: str, sent: datetime, at: datetime
    ) -> dict[str, str]:
        return {
            "extendedCode": extension,
            "mobile": national(number),
            "customSmsId": reference,
            "smsId": own,
            "state": state,
            "desc": _DESCRIBED.get(state, "失败"),
            "submitTime": self._stamp(sent),
            "receiveTime": self._stamp(at),
        }

    def _stamp(self, at: datetime) -> str:
        if self._door.options.get("stamps") == "digits":
            return f"{at.astimezone(BEIJING):%Y%m%d%H%M%S}"
        return stamp(at)

    # -- pushes: no shape of theirs was found -----------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        return None

    def push_reply(self, reply: Reply) -> PushOut | None:
        return None

    def push_decision(self, review: Review) -> PushOut | None:
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        return status == 200


_QUESTIONS: Final[Mapping[str, Callable[[Counterpart, Params], Any]]] = {
    "getReport": Counterpart._reports,
    "getMo": Counterpart._replies,
    "getBalance": Counterpart._balance,
}
CLOSED: Final[Mapping[str, Callable[[Counterpart, Params], Any]]] = {
    "sendSingleSMS": Counterpart._send_single,
    "sendBatchOnlySMS": Counterpart._send_same,
    "sendBatchSMS": Counterpart._send_list,
    "sendPersonalitySMS": Counterpart._send_list,
    "sendPersonalityAllSMS": Counterpart._send_list,
    **_QUESTIONS,
}
SIMPLE: Final[Mapping[str, Callable[[Counterpart, Params], Any]]] = {
    "sendSMS": Counterpart._send_form,
    "sendPersonalitySMS": Counterpart._send_fields,
    **_QUESTIONS,
}
"""Not here: times to send, templates, voice, reports asked for again."""


def _checked(row: Params) -> tuple[str, str, str, str]:
    """Number, text, the customer's id and extension of one message."""
    mobile, text, own, extension = (
        row.get(name) or "" for name in ("mobile", "content", "customSmsId", "extendedCode")
    )
    if not all(isinstance(value, str) for value in (mobile, text, own, extension)):
        raise _Refusal("ERROR_PARAMS")
    if not mobile:
        raise _Refusal("ERROR_MOBILE_EMPTY")
    number = mainland(mobile)
    if number is None:
        raise _Refusal("ERROR_MOBILE_ERROR")
    if not text:
        raise _Refusal("ERROR_CONTENT_EMPTY")
    if len(text) > _LONGEST:
        raise _Refusal("ERROR_LONG_CONTENT")
    if len(own) > _LONGEST_ID:
        raise _Refusal("ERROR_CUSTOM_SMSID")
    if not re.fullmatch(r"[0-9]{0,12}", extension):
        raise _Refusal("ERROR_EXTENDED_CODE")
    return number, text, own, extension


def _limit(params: Params) -> int:
    """`number`: how many rows at most."""
    given = params.get("number")
    if given in (None, ""):
        return _MOST
    limit = whole(str(given), 1, 10**9)
    if limit is None:
        raise _Refusal("ERROR_PARAMS")
    if limit > _MOST:
        raise _Refusal("ERROR_MOBILE_NUMBER")
    return limit


def _purpose(text: str) -> Purpose:
    if "验证码" in text:
        return Purpose.VERIFICATION
    return Purpose.MARKETING if "拒收" in text or "退订" in text else Purpose.NOTIFICATION

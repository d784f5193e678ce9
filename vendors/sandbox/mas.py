"""Mobile Cloud MAS's side of the wire: its submit interfaces and pushes by the card (facts/vendors/mas.md).

Answers are HTTP 200 with a rspcod; lists, words, caps and money are told in reports. Credentials: `ec_name`, `ap_id`,
`secret_key`, `sign` (the code of the account's first signature). Options: `per_day` (to one number; none is
documented), `caps: lifted`, `group: mgsGroup` (the id's other spelling), `pushes: base64` or `form`, `numbers: list`
(as the vendor's Java client has them).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import md5, sha256
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    filled,
    hear,
    mainland,
    names_in,
    national,
    read_json,
)

_JSON: Final = "application/json;charset=UTF-8"
_DAY: Final = 86_400.0
_MOST_NUMBERS: Final = 5000
_LATE: Final = timedelta(seconds=2)

CODES: Final = frozenset(
    ["IllegalMac", "IllegalSignId", "InvalidMessage", "InvalidUsrOrPwd", "NoSignId", "TooManyMobiles", "InvalidMobile"]
)
STATES: Final[Mapping[Reason, str]] = {
    Reason.BLACKLISTED: "MBBLACK",
    Reason.OPTED_OUT: "TUIDING",
    Reason.SENSITIVE_CONTENT: "KEYWORD",
    Reason.FREQUENCY_CAP: "LIMIT",
}
"""What is not sent is told in a report, REJECTD where there is no better word."""

Fields = Mapping[str, str]


class _Refusal(Exception):
    """A request refused with one of the vendor's words."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """Mobile Cloud MAS for one interface account."""

    push_batch = 1
    push_retry: tuple[timedelta, ...] = ()  # no rule was found
    template = "5{:05d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        names = ("ec_name", "ap_id", "secret_key", "sign")
        self._group, self._account, self._secret, self._sign = (credential(door.credentials, name) for name in names)
        self._sent = Tally(door.memory, "sent", keep=_DAY)

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        if heard.method != "POST" or heard.path not in SIGNED:
            return httpx.Response(404, content=b"")
        name = self._door.options.get("group", "msgGroup")
        try:
            fields = _opened(heard.body)
            self._admit(fields, SIGNED[heard.path])
            own = self._send(fields, is_template=heard.path == "/sms/tmpsubmit")
        except _Refusal as refusal:
            return answer_json(200, {name: "", "rspcod": refusal.code, "success": False}, content_type=_JSON)
        return answer_json(200, {name: own, "rspcod": "success", "success": True}, content_type=_JSON)

    def _admit(self, fields: Fields, signed: Sequence[str]) -> None:
        """Group and account, the secret if it is shown, then the mac."""
        if (fields.get("ecName"), fields.get("apId")) != (self._group, self._account):
            raise _Refusal("InvalidUsrOrPwd")
        if fields.get("secretKey", "") not in ("", self._secret):
            raise _Refusal("InvalidUsrOrPwd")
        words = self._group + self._account + self._secret + "".join(fields.get(name, "") for name in signed)
        right = md5(words.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(right.encode(), fields.get("mac", "").encode("utf-8", "replace")):
            raise _Refusal("IllegalMac")

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, fields: Fields, *, is_template: bool) -> str:
        """One id for all numbers; what becomes of each is told in its report."""
        numbers = _numbers(fields.get("mobiles", ""))
        name = self._signature(fields.get("sign", ""))
        purpose, text = self._template(fields) if is_template else self._text(fields)
        serial = fields.get("addSerial", "")
        if not re.fullmatch(r"[0-9]{0,12}", serial):
            raise _Refusal("InvalidMessage")
        own = sha256(f"{self._door.label} group {counted(self._door.memory, 'messages')}".encode()).hexdigest()[:32]
        whole = text if text.startswith(f"【{name}】") else f"【{name}】{text}"
        for number in numbers:
            reason = self._send_one(number, whole, purpose, serial, own, fields.get("templateId"))
            if reason is not None:
                now, code = self._door.now(), STATES.get(reason, "REJECTD")
                self._door.push_later(self._push(self._row(own, number, code, code, now, now)), "reports", _LATE)
        return own

    def _send_one(
        self, number: str, text: str, purpose: Purpose, serial: str, own: str, template: str | None
    ) -> Reason | None:
        """Why it is not sent, if it is not."""
        at, limit = self._door.now().timestamp(), cap(self._door.options, "per_day", None)
        if limit is not None and self._sent.after((number,), at - _DAY) >= limit:
            return Reason.FREQUENCY_CAP
        outcome = self._door.submit(
            Submission(number=number, text=text, purpose=purpose, template=template, extension=serial, key=own)
        )
        if isinstance(outcome, Turned):
            return outcome.reason
        self._sent.add((number,), at)
        return None

    def _signature(self, code: str) -> str:
        """The code stands for the account's first signature, and for none if that is not approved."""
        if code != self._sign:
            raise _Refusal("IllegalSignId")
        name, approved = next(iter(self._door.signatures.items()), ("", False))
        if not approved:
            raise _Refusal("NoSignId")
        return name

    def _text(self, fields: Fields) -> tuple[Purpose, str]:
        text = fields.get("content", "")
        if not text:
            raise _Refusal("InvalidMessage")
        if "验证码" in text:
            return Purpose.VERIFICATION, text
        return Purpose.MARKETING if "拒收" in text or "退订" in text else Purpose.NOTIFICATION, text

    def _template(self, fields: Fields) -> tuple[Purpose, str]:
        """Parameters by their place: an array written as text, [""] for none."""
        filed = self._door.templates.get(fields.get("templateId", ""))
        try:
            values = read_json(fields.get("params", ""))
        except ValueError:
            values = None
        if filed is None or not filed.approved or not isinstance(values, list):
            raise _Refusal("InvalidMessage")
        names = names_in(filed.text)
        if len(values) < len(names) or not all(isinstance(value, str) for value in values):
            raise _Refusal("InvalidMessage")
        return filed.purpose, filled(filed.text, dict(zip(names, values, strict=False)))

    # -- pushes -----------------------------------------------------------------------------------------------

    def _row(
        self, own: str, number: str, status: str, code: str, sent: datetime, at: datetime
    ) -> dict[str, str | list[str]]:
        mobile = national(number)
        is_list = self._door.options.get("numbers") == "list"
        row: dict[str, str | list[str]] = {"mobiles": [mobile]} if is_list else {"mobile": mobile}
        stamps = {"submitDate": _stamp(sent), "receiveDate": _stamp(at)}
        return {"msgGroup": own, **row, "reportStatus": status, "errorCode": code, **stamps}

    def _push(self, row: Mapping[str, Any], keys: frozenset[str] = frozenset()) -> PushOut:
        """JSON; some gateways post it in Base64, or a form."""
        kind = self._door.options.get("pushes")
        if kind == "form":
            flat = {name: ",".join(value) if isinstance(value, list) else value for name, value in row.items()}
            form = urlencode(flat, errors="replace").encode("ascii")
            return PushOut(body=form, content_type="application/x-www-form-urlencoded", keys=keys)
        body = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        return PushOut(body=base64.b64encode(body) if kind == "base64" else body, content_type=_JSON, keys=keys)

    def push_reports(self, claims: Sequence[Claim]) -> Sequence[PushOut]:
        return [
            self._push(
                self._row(claim.key, claim.number, *_told(claim), claim.submitted_at, claim.claimed_at),
                frozenset([claim.key]),
            )
            for claim in claims
        ]

    def push_reply(self, reply: Reply) -> PushOut:
        row = {"mobile": national(reply.number), "smsContent": reply.text, "addSerial": reply.extension}
        return self._push({**row, "sendTime": _stamp(reply.sent_at)})

    def push_decision(self, review: Review) -> PushOut | None:
        """Never: reviews are in the console."""
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200; what it has to hold is not documented."""
        return status == 200


SIGNED: Final[Mapping[str, tuple[str, ...]]] = {
    "/sms/norsubmit": ("mobiles", "content", "sign", "addSerial"),
    "/sms/tmpsubmit": ("templateId", "mobiles", "params", "sign", "addSerial"),
}
"""What the mac is over, behind group, account and secret. Not here: /sms/submit."""


def _opened(body: bytes) -> Fields:
    """Texts by name, from JSON in Base64."""
    try:
        told = read_json(base64.b64decode(body, validate=True))
    except (binascii.Error, ValueError):
        told = None
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise _Refusal("InvalidMessage")
    return told


def _numbers(given: str) -> list[str]:
    written = given.split(",")
    if len(written) > _MOST_NUMBERS:
        raise _Refusal("TooManyMobiles")
    numbers = [number for one in written if (number := mainland(one)) is not None]
    if len(numbers) < len(written):
        raise _Refusal("InvalidMobile")
    return numbers


def _told(claim: Claim) -> tuple[str, str]:
    """reportStatus and errorCode; a failure's code stands in both."""
    if claim.state is DeliveryState.DELIVERED:
        return "CM:0000", "DELIVRD"
    code = claim.code or "UNDELIV"
    return code, code


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(BEIJING):%Y%m%d%H%M%S}"

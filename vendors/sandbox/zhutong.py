"""Zhutong's side of the wire: /v2/sendSms, sendSmsPa, sendSmsTp, balance, and reviews (facts/vendors/zhutong.md).

No code is known for lists, words and frequency, so such a message is taken, and its report would tell; how that looks
is not known either. A stamp may be five minutes off (no figure is documented). Options: `stamp_seconds`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from hashlib import md5
from typing import Any, Final

import httpx

from harness.domain import Purpose, Reason, ReviewVerdict, Subject
from harness.text import split_signature
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    answer_json,
    cap,
    counted,
    credential,
    filled,
    hear,
    literal_parts,
    mainland,
    names_in,
    read_json,
    whole,
)

_JSON: Final = "application/json;charset=UTF-8"
_FIRST_TEMPLATE: Final = 80_000
MESSAGES: Final[Mapping[int, str]] = {
    4000: "余额不足",
    4001: "用户名错误",
    4002: "密码不能为空",
    4003: "短信内容不能为空",
    4004: "手机号码错误",
    4007: "账号已停用",
    4008: "tKey错误",
    4009: "密码错误",
    4011: "请求错误",
    4013: "定时时间错误",
    4014: "模板错误",
    4015: "扩展号错误",
    4023: "签名错误",
    4025: "模板变量为空",
    4026: "手机号码超过2000个",
    4027: "模板变量超过200组",
    4029: "请使用POST请求",
    4030: "Content-Type错误",
    4031: "模板名称不能为空",
    4032: "模板类型错误",
    4034: "模板内容不能为空",
    4035: "模板名称已存在",
    4037: "模板名称超过20个字符",
    9998: "JSON解析错误",
    9999: "非法请求",
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.BALANCE: 4000,
    Reason.AUTH: 4007,
    Reason.SIGNATURE_NOT_APPROVED: 4023,
    Reason.SIGNATURE_NOT_REGISTERED: 4023,
    Reason.TEMPLATE_NOT_APPROVED: 4014,
    Reason.INVALID_NUMBER: 4004,
}
_TYPES: Final = {"1": Purpose.VERIFICATION, "2": Purpose.NOTIFICATION, "3": Purpose.MARKETING}

Params = Mapping[str, Any]


class _Refusal(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """Zhutong for one account."""

    push_batch = 100
    push_retry: tuple[timedelta, ...] = ()

    def __init__(self, door: Door) -> None:
        self._door = door
        self._user, self._password = (credential(door.credentials, name) for name in ("username", "password"))

    def answer(self, request: httpx.Request) -> httpx.Response:
        try:
            act, params = self._admit(hear(request))
            return answer_json(200, {"code": 200, "msg": "success", **act(self, params)}, content_type=_JSON)
        except _Refusal as refusal:
            return answer_json(200, {"code": refusal.code, "msg": MESSAGES[refusal.code]}, content_type=_JSON)

    def _admit(self, heard: Heard) -> tuple[Callable[[Counterpart, Params], dict[str, Any]], Params]:
        if heard.method != "POST":
            raise _Refusal(4029)
        if not heard.headers.get("content-type", "").startswith("application/json"):
            raise _Refusal(4030)
        try:
            params = read_json(heard.body)
        except ValueError:
            raise _Refusal(9998) from None
        if not isinstance(params, dict):
            raise _Refusal(9998)
        if params.get("username") != self._user:
            raise _Refusal(4001)
        if not params.get("password"):
            raise _Refusal(4002)
        stamp = whole(str(params.get("tKey")), 0, 10**12)
        if stamp is None or abs(stamp - self._door.now().timestamp()) > (
            cap(self._door.options, "stamp_seconds", 300) or 0
        ):
            raise _Refusal(4008)
        inner = md5(self._password.encode(), usedforsecurity=False).hexdigest()
        right = md5(f"{inner}{stamp}".encode(), usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(right.encode(), str(params["password"]).encode("utf-8", "replace")):
            raise _Refusal(4009)
        if (act := ACTIONS.get(heard.path)) is None:
            raise _Refusal(9999)
        return act, params

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> dict[str, Any]:
        numbers = [number for number in str(params.get("mobile") or "").split(",") if number]
        return self._take([(number, params.get("content")) for number in numbers])

    def _send_each(self, params: Params) -> dict[str, Any]:
        return self._take([(row.get("mobile"), row.get("content")) for row in _records(params)])

    def _send_by_template(self, params: Params) -> dict[str, Any]:
        template = self._door.templates.get(str(params.get("tpId")))
        if template is None or not template.approved:
            raise _Refusal(4014)
        rows = _records(params)
        if len(rows) > 200:
            raise _Refusal(4027)
        texts = []
        for row in rows:
            values = row.get("tpContent") or {}
            if not isinstance(values, dict) or any(not values.get(name) for name in names_in(template.text)):
                raise _Refusal(4025)
            words = filled(template.text, {name: str(value) for name, value in values.items()})
            texts.append((row.get("mobile"), f"{params.get('signature') or ''}{words}"))
        return self._take(texts)

    def _take(self, rows: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
        if not rows:
            raise _Refusal(4004)
        if len(rows) > 2000:
            raise _Refusal(4026)
        checked = [self._checked(*row) for row in rows]
        msg_id = str(160_000_000_000_000_000 + counted(self._door.memory, "messages"))
        for number, text, purpose in checked:
            key = msg_id if len(checked) == 1 else f"{msg_id}:{number.removeprefix('+86')}"
            outcome = self._door.submit(Submission(number=number, text=text, purpose=purpose, key=key))
            if isinstance(outcome, Turned) and len(checked) == 1 and outcome.reason in REFUSALS:
                raise _Refusal(REFUSALS[outcome.reason])
        return {"msgId": msg_id, "tpId": None}

    def _checked(self, mobile: Any, text: Any) -> tuple[str, str, Purpose]:
        if not isinstance(text, str) or not text.strip():
            raise _Refusal(4003)
        number = mainland(str(mobile))
        if number is None:
            raise _Refusal(4004)
        name, content = split_signature(text)
        if name is None or len(text) >= 1000 or not self._approved(name):
            raise _Refusal(4023)
        for template in self._door.templates.values():
            if (start := literal_parts(template.text)[0]) and content.startswith(start):
                return number, text, template.purpose
        return number, text, Purpose.NOTIFICATION

    def _approved(self, name: str) -> bool:
        reviews = [one for one in self._door.reviews(Subject.SIGNATURE) if one.name == name]
        return bool(self._door.signatures.get(name) or (reviews and reviews[-1].verdict is ReviewVerdict.APPROVED))

    # -- reviews, balance -------------------------------------------------------------------------------------

    def _add_signature(self, params: Params) -> dict[str, Any]:
        names = params.get("sign")
        if not isinstance(names, list) or not names:
            raise _Refusal(4023)
        for written in names:
            name = split_signature(str(written))[0]
            if name is None:
                raise _Refusal(4023)
            self._door.submit_review(
                subject=Subject.SIGNATURE, name=name, text=name, purpose=Purpose.NOTIFICATION, extra={}
            )
        return {}

    def _signature(self, params: Params) -> dict[str, Any]:
        name = split_signature(str(params.get("sign")))[0]
        found = [one for one in self._door.reviews(Subject.SIGNATURE) if one.name == name]
        if found:
            return _result(found[-1])
        if name is None or name not in self._door.signatures:
            raise _Refusal(4023)
        return {"auditResult": 2 if self._door.signatures[name] else 3}

    def _add_template(self, params: Params) -> dict[str, Any]:
        name, text, kind = (str(params.get(key) or "") for key in ("temName", "temContent", "temType"))
        for code, wrong in (
            (4031, not name),
            (4037, len(name) > 20),
            (4032, kind not in _TYPES),
            (4034, not text),
            (4035, any(one.name == name for one in self._door.reviews(Subject.TEMPLATE))),
        ):
            if wrong:
                raise _Refusal(code)
        review = self._door.submit_review(
            subject=Subject.TEMPLATE, name=name, text=text, purpose=_TYPES[kind], extra={}
        )
        return {"temId": _FIRST_TEMPLATE + review.number}

    def _template(self, params: Params) -> dict[str, Any]:
        number = whole(str(params.get("temId")), _FIRST_TEMPLATE, 10**9)
        review = None if number is None else self._door.review(Subject.TEMPLATE, number - _FIRST_TEMPLATE)
        if review is None:
            raise _Refusal(4014)
        return {"temId": number, **_result(review)}

    def _balance(self, params: Params) -> dict[str, Any]:
        return {"sumSms": int(self._door.balance() * 20)}

    # -- pushes: not known ------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        return None

    def push_reply(self, reply: Reply) -> PushOut | None:
        return None

    def push_decision(self, review: Review) -> PushOut | None:
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        return 200 <= status < 300


ACTIONS: Final[Mapping[str, Callable[[Counterpart, Params], dict[str, Any]]]] = {
    "/v2/sendSms": Counterpart._send,
    "/v2/sendSmsPa": Counterpart._send_each,
    "/v2/sendSmsTp": Counterpart._send_by_template,
    "/v2/balance": Counterpart._balance,
    "/sms/v1/sign": Counterpart._add_signature,
    "/sms/v1/sign/query": Counterpart._signature,
    "/sms/v2/template": Counterpart._add_template,
    "/sms/v2/template/query": Counterpart._template,
}


def _records(params: Params) -> list[dict[str, Any]]:
    rows = params.get("records")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _Refusal(9998)
    return rows


def _result(review: Review) -> dict[str, Any]:
    match review.verdict:
        case None:
            return {"auditResult": 1}
        case ReviewVerdict.APPROVED:
            return {"auditResult": 2}
        case ReviewVerdict.REJECTED:
            return {"auditResult": 3, "msg": review.reason}

"""Chuanglan's side of the wire, first generation: JSON v1.2.0 by its document (facts/vendors/chuanglan.md).

A text is free, but begins with a filed 【signature】. No report is made unless `report` says so; a number on a list is
taken, and reported as MBBLACK. Credentials: `account`, `password`, `push_receiver`, `push_password`. Options:
`per_minute`, `per_day` (no figures are documented, so by default there is no limit), `caps: lifted`, `qps`,
`templates: white` (only texts that fit a template), `push` (get, json), `codes: number`, `unit_price` (CNY).
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

from harness.domain import BEIJING, Carrier, Purpose, Reason
from harness.text import split_signature
from vendors.sandbox.door import Claim, Door, FiledTemplate, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    hear,
    is_over_rate,
    literal_parts,
    mainland,
    national,
    read_json,
    whole,
)

_JSON: Final = "application/json;charset=utf-8"
_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
_LONGEST: Final = 536
_MOST_NUMBERS: Final = 1000
_MOST_VARIABLES: Final = 20
_MOST_PULLED: Final = 100
_VARIABLE: Final = "{$var}"
_PART: Final = 67
_LATE: Final = timedelta(seconds=2)
_JSON_RETRY: Final = (timedelta(minutes=1),) * 2  # three pushes in all, a minute apart
_EXTEND: Final = re.compile(r"[0-9]{0,3}")
_SEND_TIME: Final = re.compile(r"[0-9]{12}")

CODES: Final[Mapping[int, str]] = {
    101: "无此用户",
    102: "密码错",
    103: "提交过快",
    104: "系统忙",
    105: "敏感短信",
    106: "消息长度错",
    107: "包含错误的手机号码",
    108: "手机号码个数错",
    109: "无发送额度",
    110: "不在发送时间内",
    113: "扩展码格式错",
    114: "可用参数组个数错误",
    116: "签名不合法或未带签名",
    118: "用户没有相应的发送权限",
    119: "用户已过期",
    120: "违反防盗用策略",
    123: "发送类型错误",
    124: "白模板匹配错误",
    125: "匹配驳回模板",
    127: "定时发送时间格式错误",
    128: "内容编码失败",
    129: "JSON格式错误",
    130: "请求参数错误",
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.SENSITIVE_CONTENT: 105,
    Reason.INVALID_NUMBER: 107,
    Reason.BALANCE: 109,
    Reason.HOURS: 110,
    Reason.THROTTLED: 103,
    Reason.FREQUENCY_CAP: 120,
    Reason.QUOTA: 109,
    Reason.AUTH: 118,
    Reason.SIGNATURE_NOT_APPROVED: 116,
    Reason.SIGNATURE_NOT_REGISTERED: 116,
    Reason.TEMPLATE_NOT_APPROVED: 124,
    Reason.BAD_REQUEST: 130,
}
"""What has no code of its own is 104; a list has none at submitting, and shows in the report."""
_LISTED: Final = (Reason.BLACKLISTED, Reason.OPTED_OUT)
_DESCRIPTIONS: Final = {"DELIVRD": "短信发送成功", "MBBLACK": "黑名单号码", "REJECT": "审核驳回"}
_OPERATORS: Final[Mapping[Carrier, tuple[str, str]]] = {
    Carrier.CHINA_MOBILE: ("中国移动", "0"),
    Carrier.CHINA_UNICOM: ("中国联通", "1"),
    Carrier.CHINA_TELECOM: ("中国电信", "3"),
}
_TELECOM: Final = re.compile(r"1(?:33|49|53|7[347]|8[019]|9[0139])")
_UNICOM: Final = re.compile(r"1(?:3[0-2]|4[56]|5[56]|66|7[1567]|8[56]|96)")

Params = Mapping[str, Any]


class _Refusal(Exception):
    """A request refused with one of the vendor's codes."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """Chuanglan for one API account."""

    push_batch = 1  # one report a push
    push_retry: tuple[timedelta, ...] = ()  # of the pushes by GET no rule is known

    def __init__(self, door: Door) -> None:
        self._door = door
        self._account = credential(door.credentials, "account")
        self._password = credential(door.credentials, "password")
        self._proof = {
            "receiver": door.credentials.get("push_receiver", ""),
            "pswd": door.credentials.get("push_password", ""),
        }
        self._sent = Tally(door.memory, "sent", keep=_DAY)
        self._silent: set[tuple[str, str]] = door.memory.setdefault("without report", set())

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        is_pull = heard.path.startswith("/msg/pull/")
        try:
            params = _params(heard)
            self._admit(params)
            act = ACTIONS.get(heard.path) if heard.method == "POST" else None
            if act is None:
                raise _Refusal(118)
            return answer_json(200, act(self, params), content_type=_JSON)
        except _Refusal as refusal:
            if is_pull:  # the queues have words in place of a code
                return answer_json(200, {"ret": 1, "error": CODES[refusal.code]}, content_type=_JSON)
            code = self._code(refusal.code)
            body = {"time": self._now("%Y%m%d%H%M%S"), "msgId": "", "errorMsg": CODES[refusal.code], "code": code}
            return answer_json(200, body, content_type=_JSON)

    def _code(self, code: int) -> int | str:
        return code if self._door.options.get("codes") == "number" else str(code)

    def _now(self, pattern: str) -> str:
        return self._door.now().astimezone(BEIJING).strftime(pattern)

    def _admit(self, params: Params) -> None:
        if params.get("account") != self._account:
            raise _Refusal(101)
        given = params.get("password")
        if not isinstance(given, str) or not hmac.compare_digest(
            given.encode("utf-8", "replace"), self._password.encode()
        ):
            raise _Refusal(102)
        qps = self._door.options.get("qps")
        at = self._door.now().timestamp()
        if is_over_rate(self._door.memory, "calls", at, None if qps is None else int(qps)):
            raise _Refusal(103)

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> dict[str, Any]:
        text = _text(params, "msg")
        numbers = self._numbers(_text(params, "phone").split(","))
        self._check_more(params)
        return self._send_all([(number, text) for number in numbers], params)

    def _send_variable(self, params: Params) -> dict[str, Any]:
        """One text with {$var}, and for each number its values; how many failed is told, not which."""
        text = _text(params, "msg")
        groups = [group.split(",") for group in _text(params, "params").split(";") if group]
        marks = text.count(_VARIABLE)
        if not 1 <= len(groups) <= _MOST_NUMBERS or marks > _MOST_VARIABLES:
            raise _Refusal(114)
        self._check_more(params)
        sendings = []
        failed = 0
        for number, *values in groups:
            if mainland(number) is None or len(values) != marks:
                failed += 1
                continue
            sendings.append((mainland(number) or "", _filled(text, values)))
        if not sendings:
            raise _Refusal(107)
        answer = self._send_all(sendings, params)
        return {**answer, "failNum": str(failed), "successNum": str(len(sendings))}

    def _numbers(self, written: Sequence[str]) -> list[str]:
        found = [number for one in written if (number := mainland(one))]
        if len(written) > _MOST_NUMBERS:
            raise _Refusal(108)
        if len(found) != len(written):
            raise _Refusal(107)
        return found

    def _check_more(self, params: Params) -> None:
        if not _EXTEND.fullmatch(_text(params, "extend")):
            raise _Refusal(113)
        if (at := _text(params, "sendtime")) and not _SEND_TIME.fullmatch(at):
            raise _Refusal(127)
        if _text(params, "report") not in ("", "true", "false"):
            raise _Refusal(130)

    def _send_all(self, sendings: Sequence[tuple[str, str]], params: Params) -> dict[str, Any]:
        """One id for all; what the first is refused for, the request is refused for."""
        key = f"{self._now('%y%m%d%H%M%S')}{counted(self._door.memory, 'messages') % 100_000:05d}"
        purposes = [self._checked(text) for _, text in sendings]
        for (number, text), (template, purpose) in zip(sendings, purposes, strict=True):
            self._check_caps(number)
            outcome = self._door.submit(
                Submission(
                    number=number,
                    text=text,
                    purpose=purpose,
                    template=template,
                    reference=_text(params, "uid") or None,
                    extension=_text(params, "extend"),
                    key=key,
                )
            )
            if _text(params, "report") != "true":
                self._silent.add((key, number))
            if isinstance(outcome, Turned):
                if outcome.reason not in _LISTED:
                    raise _Refusal(REFUSALS.get(outcome.reason, 104))
                self._report_late(key, number, _text(params, "uid"))
            self._sent.add((number,), self._door.now().timestamp())
        return {"time": self._now("%Y%m%d%H%M%S"), "msgId": key, "errorMsg": "", "code": self._code(0)}

    def _checked(self, text: str) -> tuple[str | None, Purpose]:
        """The template that a text fits, if any, and what it is for."""
        if not 1 <= len(text) <= _LONGEST:
            raise _Refusal(106)
        name, rest = split_signature(text)
        if not text.startswith("【") or not self._door.signatures.get(name or ""):
            raise _Refusal(116)
        fitting = [filed for filed in self._door.templates.values() if _pattern(filed).fullmatch(rest)]
        if any(not filed.approved for filed in fitting):
            raise _Refusal(125)
        if not fitting and self._door.options.get("templates") == "white":
            raise _Refusal(124)
        if fitting:
            best = max(fitting, key=lambda filed: sum(map(len, literal_parts(filed.text)[::2])))
            return best.id, best.purpose
        return None, Purpose.MARKETING if "拒收" in rest or "退订" in rest else Purpose.NOTIFICATION

    def _check_caps(self, number: str) -> None:
        at = self._door.now().timestamp()
        for name, window in (("per_minute", _MINUTE), ("per_day", _DAY)):
            limit = cap(self._door.options, name, None)
            if limit is not None and self._sent.after((number,), at - window) >= limit:
                raise _Refusal(120)

    def _report_late(self, key: str, number: str, uid: str) -> None:
        if (key, number) in self._silent:
            return
        at = self._door.now()
        self._door.push_later(self._pushed(key, number, "MBBLACK", uid, 1, at, at + _LATE), "reports", _LATE)

    # -- queues and balance -----------------------------------------------------------------------------------

    def _pull_reports(self, params: Params) -> dict[str, Any]:
        claims = self._door.take_reports(_count(params))
        rows = [
            {
                "uid": claim.reference or "",
                "reportTime": _stamp(claim.claimed_at, "%y%m%d%H%M"),
                "notifyTime": self._now("%y%m%d%H%M%S"),
                "status": _status(claim),
                "msgId": claim.key,
                "statusDesc": _DESCRIPTIONS.get(_status(claim), ""),
                "mobile": national(claim.number),
            }
            for claim in claims
            if (claim.key, claim.number) not in self._silent
        ]
        return {"ret": 0, "result": rows}

    def _pull_replies(self, params: Params) -> dict[str, Any]:
        rows = [
            {
                "spCode": reply.to,
                "moTime": _stamp(reply.sent_at, "%y%m%d%H%M"),
                "messageContent": reply.text,
                "destCode": reply.to,
                "mobile": national(reply.number),
            }
            for reply in self._door.take_replies(_count(params))
        ]
        return {"ret": 0, "result": rows}

    def _balance(self, params: Params) -> dict[str, Any]:
        """Messages, as a text; the code is a number here."""
        left = max(0, int(self._door.balance() / Decimal(self._door.options.get("unit_price", "0.05"))))
        return {"balance": str(left), "time": self._now("%Y%m%d%H%M%S"), "errorMsg": "", "code": 0}

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        """None for a message whose sender asked for no report."""
        for claim in claims:
            if (claim.key, claim.number) not in self._silent:
                return self._pushed(
                    claim.key,
                    claim.number,
                    _status(claim),
                    claim.reference or "",
                    claim.segments,
                    claim.submitted_at,
                    claim.claimed_at,
                )
        return None

    def _pushed(
        self, key: str, number: str, status: str, uid: str, segments: int, sent_at: datetime, at: datetime
    ) -> PushOut:
        if self._door.options.get("push") == "json":
            name, mnc = _OPERATORS[_carrier(number)]
            body = {
                "batchSeq": f"I{key}",
                "unitPrice": "0.05670",
                "countryNumber": "0086",
                "mnc": mnc,
                **self._proof,
                "mnoName": name,
                "notifyTime": _milliseconds(self._door.now()),
                "fee": str(Decimal("0.0567") * segments),
                "mobile": f"86{national(number)}",
                "msgid": key,
                "mcc": "460",
                "requestTime": _milliseconds(sent_at),
                "uid": uid,
                "regionCode": "CN",
                "accessNumber": "",
                "currency": "CNY",
                "status": status,
                "reportTime": _milliseconds(at),
                "smsNum": str(segments),
            }
            raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
            return PushOut(body=raw, content_type="application/json", retry=_JSON_RETRY)
        query = {
            **self._proof,
            "msgid": key,
            "reportTime": _stamp(at, "%y%m%d%H%M"),
            "mobile": national(number),
            "notifyTime": self._now("%y%m%d%H%M%S"),
            **({"uid": uid} if uid else {}),
            "length": str(segments),
            "status": status,
            "statusDesc": _DESCRIPTIONS.get(status, ""),
        }
        return _get(query)

    def push_reply(self, reply: Reply) -> Sequence[PushOut]:
        """One GET a part of the reply."""
        parts = [reply.text[at : at + _PART] for at in range(0, len(reply.text), _PART)] or [""]
        long = len(parts) > 1
        return [
            _get(
                {
                    **self._proof,
                    "moTime": _stamp(reply.sent_at, "%y%m%d%H%M"),
                    "mobile": national(reply.number),
                    "msg": part,
                    "destcode": reply.to,
                    "spCode": reply.to,
                    "notifyTime": self._now("%y%m%d%H%M%S"),
                    "isems": str(int(long)),
                    "emshead": f"{reply.id},{len(parts)},{number}" if long else "",
                }
            )
            for number, part in enumerate(parts, 1)
        ]

    def push_decision(self, review: Review) -> PushOut | None:
        """Never: there is one, but how it is signed is not known."""
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200: no other rule could be found."""
        return status == 200


ACTIONS: Final[Mapping[str, Callable[[Counterpart, Params], dict[str, Any]]]] = {
    "/msg/send/json": Counterpart._send,
    "/msg/v1/send/json": Counterpart._send,
    "/msg/variable/json": Counterpart._send_variable,
    "/msg/balance/json": Counterpart._balance,
    "/msg/pull/report": Counterpart._pull_reports,
    "/msg/pull/mo": Counterpart._pull_replies,
}


def _params(heard: Heard) -> Params:
    if not heard.headers.get("content-type", "").lower().startswith("application/json"):
        raise _Refusal(129)
    try:
        body = read_json(heard.body)
    except ValueError:
        raise _Refusal(129) from None
    if not isinstance(body, dict):
        raise _Refusal(129)
    return body


def _text(params: Params, key: str) -> str:
    """A field that has to be text; empty if it is missing."""
    value = params.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Refusal(130)
    return value


def _filled(text: str, values: Sequence[str]) -> str:
    """A text with its {$var} put in, in their order."""
    first, *rest = text.split(_VARIABLE)
    return first + "".join(value + part for value, part in zip(values, rest, strict=True))


def _count(params: Params) -> int:
    count = whole(str(params.get("count", "20")), 1, _MOST_PULLED)
    if count is None:
        raise _Refusal(130)
    return count


def _pattern(filed: FiledTemplate) -> re.Pattern[str]:
    parts = literal_parts(filed.text)
    return re.compile("".join(re.escape(part) if at % 2 == 0 else "(.*?)" for at, part in enumerate(parts)), re.DOTALL)


def _status(claim: Claim) -> str:
    """The carrier's code, but for the vendor's own list."""
    return "MBBLACK" if claim.reason in _LISTED else claim.code or "UNKNOWN"


def _stamp(at: datetime, pattern: str) -> str:
    return at.astimezone(BEIJING).strftime(pattern)


def _milliseconds(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def _carrier(number: str) -> Carrier:
    """Whom a prefix was allotted to."""
    if _TELECOM.match(national(number)):
        return Carrier.CHINA_TELECOM
    return Carrier.CHINA_UNICOM if _UNICOM.match(national(number)) else Carrier.CHINA_MOBILE


def _get(query: Mapping[str, str]) -> PushOut:
    return PushOut(body=b"", content_type="", method="GET", query=urlencode(query, quote_via=quote, errors="replace"))

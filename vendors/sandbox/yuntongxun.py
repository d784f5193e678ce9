"""Yuntongxun's side of the wire: TemplateSMS and its pushes by the card (facts/vendors/yuntongxun.md).

Every answer is HTTP 200 with a statusCode. Lists, words and caps are told at once, each class by a code of its own.
Credentials: `account_sid`, `auth_token`, `app_id`. Options: `per_minute` (codes), `per_day` (of one template to one
number), `same_content` (in a day); none has a figure in the documents. `caps: lifted`, `stale: accepted`,
`duplicates: accepted` (one reqId more than once a day), `spelling: capital` (TemplateSMS in the answer, as in the XML).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import md5, sha256
from typing import Any, Final

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason
from vendors.sandbox.door import Claim, Door, FiledTemplate, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
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
    pairs,
    read_json,
)

_JSON: Final = "application/json;charset=utf-8"
_PATH: Final = re.compile(r"/2013-12-26/Accounts/([^/]*)/SMS/TemplateSMS")
_FRESH: Final = timedelta(hours=24)
_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
_MOST_NUMBERS: Final = 200
_LATE: Final = timedelta(seconds=2)

WORDS: Final[Mapping[str, str]] = {
    "111100": "请求URL账号格式不正确",
    "111101": "请求包头Authorization参数为空",
    "111102": "请求包头Authorization参数Base64解码失败",
    "111103": "请求包头Authorization参数解码后格式有误",
    "111106": "请求包头Authorization参数解码后时间戳过期",
    "111107": "请求包头Authorization参数中账户ID跟请求地址中的账户ID不一致",
    "111108": "请求地址Sig参数为空",
    "111109": "请求地址Sig校验失败",
    "111113": "请求包头Authorization参数中时间戳格式有误",
    "111141": "主账户不存在",
    "111142": "主账户余额不足",
    "111169": "应用ID为空",
    "111181": "应用不存在",
    "160019": "签名无效",
    "160022": "对同一个手机一天发送的短信超过限制次数",
    "160030": "请求包体为空",
    "160031": "参数解析失败",
    "160032": "短信模板无效",
    "160033": "短信存在黑词",
    "160034": "号码黑名单",
    "160038": "短信验证码发送过频繁",
    "160039": "发送数量超出同模板同号天发送次数上限",
    "160040": "验证码超出同模板同号码天发送上限",
    "160041": "通知超出同模板同号码天发送上限",
    "160042": "号码格式有误",
    "160044": "发送号码为空",
    "160045": "群发号码重复",
    "160048": "号码数超200限制",
    "160050": "短信发送失败",
    "160051": "营销退订号码",
    "160052": "模板变量格式有误",
    "160054": "请求重复",
    "160055": "请求reqId超长",
    "160056": "同号码请求内容重复",
    "160057": "短信模板ID要求为数字",
    "160065": "子扩展不符合要求",
    "160068": "平台全部退订号码黑名单",
    "160071": "营销短信不在允许发送时间段",
}
REFUSALS: Final[Mapping[Reason, str]] = {
    Reason.BLACKLISTED: "160034",
    Reason.SENSITIVE_CONTENT: "160033",
    Reason.FREQUENCY_CAP: "160022",
    Reason.BALANCE: "111142",
    Reason.HOURS: "160071",
    Reason.INVALID_NUMBER: "160042",
    Reason.SIGNATURE_NOT_APPROVED: "160019",
}
"""An opt-out has two codes, by the purpose; what has none is 160050."""
_PER_DAY: Final = {Purpose.VERIFICATION: "160040", Purpose.NOTIFICATION: "160041", Purpose.MARKETING: "160039"}

Params = Mapping[str, Any]


class _Refusal(Exception):
    """A request refused with one of the vendor's codes."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """Yuntongxun for one application."""

    push_batch = 1
    push_retry: tuple[timedelta, ...] = ()  # no rule was found
    template = "6{:05d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._sid = credential(door.credentials, "account_sid")
        self._token = credential(door.credentials, "auth_token")
        self._app = credential(door.credentials, "app_id")
        self._sent = Tally(door.memory, "sent", keep=_DAY)
        self._requests: dict[str, float] = door.memory.setdefault("reqIds", {})

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        try:
            self._admit(heard)
            own = self._send(self._params(heard))
        except _Refusal as refusal:
            told = {"statusCode": refusal.code, "statusMsg": WORDS[refusal.code]}
            return answer_json(200, told, content_type=_JSON)
        name = "TemplateSMS" if self._door.options.get("spelling") == "capital" else "templateSMS"
        sent = {"dateCreated": _stamp(self._door.now()), "smsMessageSid": own}
        return answer_json(200, {"statusCode": "000000", name: sent}, content_type=_JSON)

    def _admit(self, heard: Heard) -> None:
        """Account, header and sig, each by its own code."""
        found = _PATH.fullmatch(heard.path)
        if found is None or heard.method != "POST":
            raise _Refusal("111100")
        if found[1] != self._sid:
            raise _Refusal("111141")
        when = self._header(heard.headers.get("authorization", ""))
        given = dict(pairs(heard.query)).get("sig", "")
        if not given:
            raise _Refusal("111108")
        right = md5(f"{self._sid}{self._token}{when}".encode(), usedforsecurity=False).hexdigest().upper()
        if not hmac.compare_digest(right.encode(), given.encode("utf-8", "replace")):
            raise _Refusal("111109")

    def _header(self, given: str) -> str:
        """The time in the Authorization header."""
        if not given:
            raise _Refusal("111101")
        try:
            plain = base64.b64decode(given.encode("latin-1", "replace"), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise _Refusal("111102") from None
        account, colon, when = plain.partition(":")
        if not colon:
            raise _Refusal("111103")
        if account != self._sid:
            raise _Refusal("111107")
        try:
            if not re.fullmatch(r"[0-9]{14}", when):
                raise ValueError(when)
            at = datetime.strptime(when, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING).astimezone(UTC)
        except (ValueError, OverflowError):
            raise _Refusal("111113") from None
        if abs(self._door.now() - at) > _FRESH and self._door.options.get("stale") != "accepted":
            raise _Refusal("111106")
        return when

    def _params(self, heard: Heard) -> Params:
        if not heard.body:
            raise _Refusal("160030")
        try:
            params = read_json(heard.body)
        except ValueError:
            params = None
        if not isinstance(params, dict):
            raise _Refusal("160031")
        return params

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> str:
        """One id for all numbers. What becomes of one of several is told in its report."""
        self._check_application(params)
        numbers = _numbers(params.get("to"))
        template = self._template(params.get("templateId"))
        text = f"【{self._signature()}】{_rendered(template, params.get('datas'))}"
        reference = self._reference(params.get("reqId"))
        if params.get("subAppend") and not re.fullmatch(r"[0-9]{1,4}", str(params["subAppend"])):
            raise _Refusal("160065")
        own = sha256(f"{self._door.label} sid {counted(self._door.memory, 'messages')}".encode()).hexdigest()[:32]
        extension = str(params.get("subAppend") or "")
        for number in numbers:
            code = self._send_one(number, text, template, own, reference, extension)
            if code is not None and len(numbers) == 1:
                raise _Refusal(code)
            if code is not None:
                self._fail_later(own, number, code, reference)
        if reference is not None:
            self._requests[reference] = self._door.now().timestamp()
        return own

    def _check_application(self, params: Params) -> None:
        if not params.get("appId"):
            raise _Refusal("111169")
        if params["appId"] != self._app:
            raise _Refusal("111181")

    def _send_one(
        self, number: str, text: str, template: FiledTemplate, own: str, reference: str | None, extension: str
    ) -> str | None:
        """The code of a refusal, if there is one. A reqId is looked at last: which comes first is not documented."""
        at = self._door.now().timestamp()
        if (capped := self._capped(number, text, template, at)) is not None:
            return capped
        is_again = reference is not None and at - self._requests.get(reference, -_DAY) < _DAY
        if is_again and self._door.options.get("duplicates") != "accepted":
            return "160054"
        outcome = self._door.submit(
            Submission(
                number=number,
                text=text,
                purpose=template.purpose,
                template=template.id,
                reference=reference,
                extension=extension,
                key=own,
            )
        )
        if isinstance(outcome, Turned):
            if outcome.reason is Reason.OPTED_OUT:
                return "160051" if template.purpose is Purpose.MARKETING else "160068"
            return REFUSALS.get(outcome.reason, "160050")
        for key in ((number, template.id), (number, _short(text))):
            self._sent.add(key, at)
        if template.purpose is Purpose.VERIFICATION:
            self._sent.add((number, "codes"), at)
        return None

    def _capped(self, number: str, text: str, template: FiledTemplate, at: float) -> str | None:
        is_code = template.purpose is Purpose.VERIFICATION
        for option, key, window, code in (
            ("per_minute", (number, "codes"), _MINUTE, "160038"),
            ("per_day", (number, template.id), _DAY, _PER_DAY[template.purpose]),
            ("same_content", (number, _short(text)), _DAY, "160056"),
        ):
            limit = cap(self._door.options, option, None)
            if (
                limit is not None
                and (is_code or option != "per_minute")
                and self._sent.after(key, at - window) >= limit
            ):
                return code
        return None

    def _template(self, own: Any) -> FiledTemplate:
        if not isinstance(own, str | int) or isinstance(own, bool) or not re.fullmatch(r"[0-9]{1,18}", str(own)):
            raise _Refusal("160057")
        filed = self._door.templates.get(str(own))
        if filed is None or not filed.approved:
            raise _Refusal("160032")
        return filed

    def _signature(self) -> str:
        """The one that the template was filed with: the account's first that stands."""
        name = next((name for name, approved in self._door.signatures.items() if approved), None)
        if name is None:
            raise _Refusal("160019")
        return name

    def _reference(self, given: Any) -> str | None:
        if given is None or given == "":
            return None
        if not isinstance(given, str):
            raise _Refusal("160031")
        if len(given) > 32:
            raise _Refusal("160055")
        return given

    def _fail_later(self, own: str, number: str, code: str, reference: str | None) -> None:
        now = self._door.now()
        item = _report(own, number, "1", code, now, now, 1, reference)
        self._door.push_later(_push(item), "reports", _LATE)

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> Sequence[PushOut]:
        return [
            _push(
                _report(
                    claim.key,
                    claim.number,
                    "0" if claim.state is DeliveryState.DELIVERED else "1",
                    claim.code or "UNDELIV",
                    claim.submitted_at,
                    claim.claimed_at,
                    claim.segments,
                    claim.reference,
                ),
                frozenset([claim.key]),
            )
            for claim in claims
        ]

    def push_reply(self, reply: Reply) -> PushOut:
        item = {
            "action": "SMSArrived",
            "smsType": "0",
            "apiVersion": "2013-12-26",
            "content": reply.text,
            "fromNum": national(reply.number),
            "appendCode": reply.extension,
            "dateSent": _stamp(reply.sent_at),
            "recvTime": _stamp(reply.sent_at),
        }
        return _push(item)

    def push_decision(self, review: Review) -> PushOut | None:
        """Never: reviews are in the console."""
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200; whether the statusCode in the answer is looked at is not documented."""
        return status == 200


def _numbers(given: Any) -> list[str]:
    if not isinstance(given, str) or not given:
        raise _Refusal("160044")
    written = given.split(",")
    if len(written) > _MOST_NUMBERS:
        raise _Refusal("160048")
    if len(set(written)) < len(written):
        raise _Refusal("160045")
    numbers = [mainland(one) for one in written]
    if None in numbers:
        raise _Refusal("160042")
    return [one for one in numbers if one is not None]


def _rendered(template: FiledTemplate, values: Any) -> str:
    """Variables by their place: {1}, {2}, … in the vendor's own templates."""
    values = [] if values is None else values
    names = names_in(template.text)
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values) or len(values) < len(names):
        raise _Refusal("160052")
    return filled(template.text, dict(zip(names, values, strict=False)))


def _report(
    own: str, number: str, status: str, code: str, sent: datetime, at: datetime, parts: int, reference: str | None
) -> dict[str, str]:
    item = {
        "action": "SMSArrived",
        "smsType": "1",
        "apiVersion": "2013-12-26",
        "content": own,
        "fromNum": national(number),
        "dateSent": _stamp(sent),
        "deliverCode": code,
        "recvTime": _stamp(at),
        "status": status,
        "smsCount": str(parts),
    }
    return {**item, "reqId": reference} if reference else item


def _push(item: Mapping[str, str], keys: frozenset[str] = frozenset()) -> PushOut:
    body = json.dumps({"Request": item}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return PushOut(body=body, content_type=_JSON, keys=keys)


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(BEIJING):%Y%m%d%H%M%S}"


def _short(text: str) -> str:
    """What stands for a text in the tally."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]

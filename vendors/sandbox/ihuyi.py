"""ihuyi's side of the wire: /webservice/sms.php with Submit and GetNum (facts/vendors/ihuyi.md).

A text must match an approved template, with or without the signature in front. JSON with `format=json`, else XML.
Options: `caps: lifted`, `per_second_gap`, `per_number_per_day`, `codes_per_day` (the documents give the first only),
`stamp_seconds`.
"""

from __future__ import annotations

import hmac
import html
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import md5
from typing import Any, Final

import httpx

from harness.domain import Purpose, Reason
from harness.text import split_signature
from vendors.sandbox.door import Claim, Door, FiledTemplate, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    hear,
    literal_parts,
    mainland,
    pairs,
    whole,
)

_DAY: Final = 86_400.0
MESSAGES: Final[Mapping[int, str]] = {
    0: "提交失败",
    2: "提交成功",
    401: "帐号不能为空",
    402: "密码不能为空",
    403: "手机号码不能为空",
    404: "短信内容不能为空",
    405: "API ID 或 API KEY 不正确",
    406: "手机格式不正确",
    407: "短信内容含有敏感字符",
    4030: "手机号码已被列入黑名单",
    40501: "动态密码已过期",
    40502: "动态密码校验失败",
    4050: "账号被冻结",
    4051: "剩余条数不足",
    4070: "签名格式不正确",
    4072: "短信内容与审核通过的模板内容不匹配",
    4073: "短信内容超出长度限制",
    4075: "签名未审核",
    4080: "同一手机号码同一秒钟之内发送频率不能超过1条",
    4082: "超出同模板同手机号每天发送次数上限",
    4085: "同一手机号验证码短信发送超出次数上限",
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.BLACKLISTED: 4030,
    Reason.OPTED_OUT: 4030,
    Reason.SENSITIVE_CONTENT: 407,
    Reason.FREQUENCY_CAP: 4082,
    Reason.SIGNATURE_NOT_APPROVED: 4075,
    Reason.SIGNATURE_NOT_REGISTERED: 4075,
    Reason.TEMPLATE_NOT_APPROVED: 4072,
    Reason.INVALID_NUMBER: 406,
    Reason.BALANCE: 4051,
    Reason.AUTH: 4050,
}

Params = Mapping[str, str]


class _Refusal(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """ihuyi for one account."""

    push_batch = 100
    push_retry: tuple[timedelta, ...] = ()

    def __init__(self, door: Door) -> None:
        self._door = door
        self._account, self._key = (credential(door.credentials, name) for name in ("account", "apikey"))
        self._sent = Tally(door.memory, "sent", keep=_DAY)

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        params = dict(pairs(heard.query)) | (dict(pairs(heard.body)) if heard.is_form else {})
        if heard.path != "/webservice/sms.php":
            return httpx.Response(404, content=b"Not Found")
        name = params.get("method")
        try:
            if name == "Submit":
                return _written("SubmitResult", {"code": 2, "msg": MESSAGES[2], "smsid": self._submit(params)}, params)
            if name == "GetNum":
                self._admit(params, "", "")
                left = str(int(self._door.balance() * 20))
                return _written("GetNumResult", {"code": 2, "msg": MESSAGES[2], "num": left}, params)
            raise _Refusal(0)
        except _Refusal as refusal:
            more = {"smsid": "0"} if name == "Submit" else {"num": "0"}
            body = {"code": refusal.code, "msg": MESSAGES[refusal.code], **more}
            return _written("SubmitResult" if name == "Submit" else "GetNumResult", body, params)

    def _admit(self, params: Params, mobile: str, content: str) -> None:
        account, given, stamp = (params.get(key, "") for key in ("account", "password", "time"))
        if not account:
            raise _Refusal(401)
        if not given:
            raise _Refusal(402)
        if account != self._account:
            raise _Refusal(405)
        if not stamp:  # the older way: the key itself
            if not hmac.compare_digest(given.encode("utf-8", "replace"), self._key.encode()):
                raise _Refusal(405)
            return
        at = whole(stamp, 0, 10**12)
        if at is None or abs(at - self._door.now().timestamp()) > (cap(self._door.options, "stamp_seconds", 300) or 0):
            raise _Refusal(40501)
        words = "".join((account, self._key, mobile, content, stamp)).encode("utf-8", "replace")
        right = md5(words, usedforsecurity=False).hexdigest()
        if not hmac.compare_digest(right.encode(), given.encode("utf-8", "replace")):
            raise _Refusal(40502)

    def _submit(self, params: Params) -> str:
        mobile, content = params.get("mobile", ""), params.get("content", "")
        self._admit(params, mobile, content)
        if not mobile:
            raise _Refusal(403)
        if not content:
            raise _Refusal(404)
        if len(content) > 500:
            raise _Refusal(4073)
        number = mainland(mobile)
        if number is None:
            raise _Refusal(406)
        name, plain = split_signature(content)
        if name is None:
            name = next((name for name, approved in self._door.signatures.items() if approved), "")
        if not self._door.signatures.get(name):
            raise _Refusal(4075)
        template = self._matching(plain)
        self._check_caps(number, template.purpose)
        sms_id = str(16_133_000_000_000_000_000 + counted(self._door.memory, "messages"))
        outcome = self._door.submit(
            Submission(
                number=number,
                text=f"【{name}】{plain}",
                purpose=template.purpose,
                template=template.id,
                key=sms_id,
            )
        )
        if isinstance(outcome, Turned):
            raise _Refusal(REFUSALS.get(outcome.reason, 0))
        self._sent.add((number, template.purpose.value), self._door.now().timestamp())
        return sms_id

    def _matching(self, plain: str) -> FiledTemplate:
        for template in self._door.templates.values():
            literal = literal_parts(template.text)
            pattern = "".join(re.escape(part) if at % 2 == 0 else "[\\s\\S]+?" for at, part in enumerate(literal))
            if template.approved and re.fullmatch(pattern, plain):
                return template
        raise _Refusal(4072)

    def _check_caps(self, number: str, purpose: Purpose) -> None:
        at, options = self._door.now().timestamp(), self._door.options
        kinds = [(number, one.value) for one in Purpose]
        gap, day = cap(options, "per_second_gap", 1), cap(options, "per_number_per_day", 10)
        codes = cap(options, "codes_per_day", 5)
        if gap is not None and any(self._sent.after(kind, at - gap) > 0 for kind in kinds):
            raise _Refusal(4080)
        of_codes = self._sent.after((number, Purpose.VERIFICATION.value), at - _DAY)
        if purpose is Purpose.VERIFICATION and codes is not None and of_codes >= codes:
            raise _Refusal(4085)
        if day is not None and sum(self._sent.after(kind, at - _DAY) for kind in kinds) >= day:
            raise _Refusal(4082)

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        return None

    def push_reply(self, reply: Reply) -> PushOut | None:
        return None

    def push_decision(self, review: Review) -> PushOut | None:
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        return 200 <= status < 300


def _written(root: str, body: Mapping[str, Any], params: Params) -> httpx.Response:
    """JSON where it is asked for, else XML with everything in one root."""
    if params.get("format") == "json":
        return answer_json(200, body, content_type="application/json; charset=utf-8")
    inner = "".join(f"<{name}>{html.escape(str(value))}</{name}>\n" for name, value in body.items())
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<{root} xmlns="http://106.ihuyi.com/">\n{inner}</{root}>'
    return httpx.Response(200, content=text.encode(), headers={"Content-Type": "text/xml; charset=utf-8"})

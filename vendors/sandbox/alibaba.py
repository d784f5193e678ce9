"""Alibaba Cloud's side of the wire: Dysmsapi 2017-05-25 as its documents describe it (facts/vendors/alibaba.md).

Checks V3 (ACS3-HMAC-SHA256) and V1 (HMAC-SHA1) signatures by itself and keeps the vendor's frequency limits. Options
of the account: `replay: accepted`, `stale: accepted`, `caps: lifted`, `per_minute`, `per_hour`, `per_day`,
`platform_per_day`, `per_template_per_day` (a number or `lifted`), `qps`, `parameter_length`, `blacklist_code`,
`registration: done`, `sms_up: old`.
"""

from __future__ import annotations

import hmac
import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import sha1, sha256
from typing import Any, Final
from urllib.parse import quote

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from vendors.sandbox.door import (
    Claim,
    Door,
    FiledTemplate,
    Kept,
    PushOut,
    Reply,
    Review,
    Submission,
    Taken,
    Turned,
    beijing_day,
)
from vendors.sandbox.wording import (
    Heard,
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    digest_id,
    filled,
    from_day,
    has_link,
    hear,
    is_over_rate,
    mainland,
    names_in,
    national,
    pairs,
    read_json,
    stamp,
    whole,
)

_VERSION: Final = "2017-05-25"
_FRESH: Final = timedelta(minutes=15)  # how far a signing time may be off; not in the card, common knowledge
_DAY: Final = 86_400.0
_FIRST_TEMPLATE: Final = 480_000_000  # review number 7 becomes SMS_480000007
_FIRST_ORDER: Final = 20_000_000_000

_AUTHORIZATION: Final = re.compile(r"ACS3-HMAC-SHA256 +Credential=([^, ]+), *SignedHeaders=([^, ]+), *Signature=(\w+)")
_SIGNED_BY_DUTY: Final = ("host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-signature-nonce")

REFUSALS: Final[Mapping[Reason, str]] = {
    Reason.BLACKLISTED: "isv.BLACK_KEY_CONTROL_LIMIT",
    Reason.OPTED_OUT: "isv.CUSTOMER_REFUSED",
    Reason.SENSITIVE_CONTENT: "isv.SMS_CONTENT_ILLEGAL",
    Reason.FREQUENCY_CAP: "isv.BUSINESS_LIMIT_CONTROL",
    Reason.SIGNATURE_NOT_APPROVED: "isv.SMS_SIGNATURE_ILLEGAL",
    Reason.SIGNATURE_NOT_REGISTERED: "isv.SIGN_STATE_ILLEGAL",
    Reason.TEMPLATE_NOT_APPROVED: "isv.SMS_TEMPLATE_ILLEGAL",
    Reason.INVALID_NUMBER: "isv.MOBILE_NUMBER_ILLEGAL",
    Reason.BALANCE: "isv.AMOUNT_NOT_ENOUGH",
    Reason.QUOTA: "isv.DAY_LIMIT_CONTROL",
    Reason.HOURS: "isv.BUSINESS_LIMIT_CONTROL",  # the documents name no code of its own
    Reason.AUTH: "isp.RAM_PERMISSION_DENY",
    Reason.ROUTING: "isv.DOMESTIC_NUMBER_NOT_SUPPORTED",
    Reason.BAD_REQUEST: "isv.INVALID_PARAMETERS",
    Reason.VENDOR_FAULT: "isp.SYSTEM_ERROR",
}
MESSAGES: Final[Mapping[str, str]] = {
    "isv.BLACK_KEY_CONTROL_LIMIT": "黑名单管控",
    "isv.CUSTOMER_REFUSED": "用户已退订推广短信",
    "isv.SMS_CONTENT_ILLEGAL": "短信内容包含禁止发送内容",
    "isv.BUSINESS_LIMIT_CONTROL": "业务限流",
    "isv.SMS_SIGNATURE_ILLEGAL": "该账号下找不到对应签名",
    "isv.SIGN_STATE_ILLEGAL": "签名状态不合法",
    "isv.SMS_TEMPLATE_ILLEGAL": "该账号下找不到对应模板",
    "isv.MOBILE_NUMBER_ILLEGAL": "手机号码格式错误",
    "isv.MOBILE_COUNT_OVER_LIMIT": "手机号码数量超过限制",
    "isv.AMOUNT_NOT_ENOUGH": "账户余额不足",
    "isv.DAY_LIMIT_CONTROL": "触发日发送限额",
    "isp.RAM_PERMISSION_DENY": "RAM权限不足",
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": "国际/港澳台消息模板不支持发送境内号码",
    "isv.INVALID_PARAMETERS": "参数异常",
    "isv.INVALID_JSON_PARAM": "参数格式错误，请修改为字符串值",
    "isv.TEMPLATE_MISSING_PARAMETERS": "模板变量中存在未赋值变量",
    "isv.TEMPLATE_PARAMS_ILLEGAL": "传入的变量内容和实际申请模板时变量所选择的属性类型不匹配",
    "isv.PARAM_LENGTH_LIMIT": "参数超过长度限制",
    "isv.PARAM_NOT_SUPPORT_URL": "变量不支持传入URL",
    "isv.EXTEND_CODE_ERROR": "扩展码使用错误",
    "isp.SYSTEM_ERROR": "系统出现错误，请重新调用",
}
_PURPOSES: Final = {0: Purpose.VERIFICATION, 1: Purpose.NOTIFICATION, 2: Purpose.MARKETING}
_TYPES: Final = {purpose: number for number, purpose in _PURPOSES.items()}
_LIST_TYPES: Final = {Purpose.NOTIFICATION: 0, Purpose.MARKETING: 1, Purpose.VERIFICATION: 2}  # the list differs!
_TYPE_WORDS: Final = {
    Purpose.VERIFICATION: "验证码",
    Purpose.NOTIFICATION: "短信通知",
    Purpose.MARKETING: "推广短信",
}
_SEND_STATUS: Final = {DeliveryState.UNKNOWN: 1, DeliveryState.DELIVERED: 3}  # anything else: 2, failed
# Working days until a carrier has filed a signature: the documents say five to ten.
_CARRIERS: Final = (("mobile", 5), ("unicom", 7), ("telecom", 10))


class _GatewayRefusal(Exception):
    """The API gateway refuses before the SMS service sees the call: HTTP 4xx or 5xx."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, headers


class _ServiceRefusal(Exception):
    """The SMS service refuses: HTTP 200 with a code."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(code)
        self.code, self.message = code, message or MESSAGES[code]


Params = Mapping[str, str]


class Counterpart:
    """Alibaba Cloud SMS for one account."""

    push_batch = 100
    push_retry = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=10))

    filing: Final[Mapping[str, str]] = {"qualification_id": "1001"}
    template: Final = "SMS_9{:08d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._key = credential(door.credentials, "access_key", "access_key_id")
        self._secret = credential(door.credentials, "access_secret", "access_key_secret").encode()
        self._sent = Tally(door.memory, "sent", keep=_DAY)

    # -- the gateway ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        request_id = digest_id(self._door.label, counted(self._door.memory, "requests")).upper()
        try:
            action, params = self._admit(heard)
            body = ACTIONS[action](self, params)
        except _GatewayRefusal as refusal:
            error = {
                "RequestId": request_id,
                "HostId": heard.headers.get("host", "dysmsapi.aliyuncs.com"),
                "Code": refusal.code,
                "Message": refusal.message,
                "Recommend": f"https://api.aliyun.com/troubleshoot?q={refusal.code}&product=Dysmsapi",
            }
            return answer_json(
                refusal.status, error, content_type="application/json;charset=utf-8", headers=refusal.headers
            )
        except _ServiceRefusal as refusal:
            body = {"Code": refusal.code, "Message": refusal.message}
        body = {"Code": "OK", "Message": "OK", **body, "RequestId": request_id}
        return answer_json(200, body, content_type="application/json;charset=utf-8")

    def _admit(self, heard: Heard) -> tuple[str, Params]:
        """Check everything the gateway checks; the action and its parameters, from query and form alike."""
        if heard.path not in ("", "/"):
            raise _GatewayRefusal(404, "InvalidAction.NotFound", "Specified api is not found, please check your url.")
        if heard.method not in ("GET", "POST"):
            raise _GatewayRefusal(405, "UnsupportedHTTPMethod", "The http method is not supported by this api.")
        query = pairs(heard.query)
        form = pairs(heard.body) if heard.is_form else []
        params = dict(query + form)
        if "authorization" in heard.headers:
            action = self._admit_v3(heard, query)
        else:
            action = self._admit_v1(heard.method, params)
        if action not in ACTIONS:
            raise _GatewayRefusal(
                404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."
            )
        now = self._door.now().timestamp()
        if is_over_rate(self._door.memory, f"calls {action}", now, int(self._door.options.get("qps", "5000"))):
            raise _throttled()
        return action, params

    def _admit_v3(self, heard: Heard, query: list[tuple[str, str]]) -> str:
        headers = heard.headers
        found = _AUTHORIZATION.fullmatch(headers["authorization"])
        if found is None:
            raise _incomplete()
        for header, name in (
            ("x-acs-action", "Action"),
            ("x-acs-version", "Version"),
            ("x-acs-date", "Timestamp"),
            ("x-acs-signature-nonce", "SignatureNonce"),
        ):
            if not headers.get(header):
                raise _missing(name)
        key, listed, signature = found.groups()
        signed = listed.split(";")
        duty = {*_SIGNED_BY_DUTY, *(name for name in headers if name.startswith("x-acs-"))}
        if not duty <= set(signed) or any(name not in headers for name in signed):
            raise _incomplete()
        payload = sha256(heard.body).hexdigest()
        canonical = "\n".join(
            (
                heard.method,
                "/",
                "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in sorted(query)),
                "".join(f"{name}:{headers[name]}\n" for name in sorted(signed)),
                listed,
                payload,
            )
        )
        to_sign = "ACS3-HMAC-SHA256\n" + sha256(canonical.encode("utf-8", "replace")).hexdigest()
        right = hmac.new(self._secret, to_sign.encode(), sha256).hexdigest()
        matches = hmac.compare_digest(right.encode(), signature.encode())
        matches = matches and headers.get("x-acs-content-sha256", payload) == payload
        self._admit_signer(
            key=key,
            version=headers["x-acs-version"],
            signed_at=headers["x-acs-date"],
            nonce=headers["x-acs-signature-nonce"],
            matches=matches,
            to_sign=to_sign,
        )
        return headers["x-acs-action"]

    def _admit_v1(self, method: str, params: Params) -> str:
        for name in ("Action", "Version", "AccessKeyId", "Timestamp", "SignatureNonce", "Signature"):
            if not params.get(name):
                raise _missing(name)
        if params.get("SignatureMethod") != "HMAC-SHA1" or params.get("SignatureVersion") != "1.0":
            raise _incomplete()
        joined = "&".join(
            f"{quote(name, safe='')}={quote(value, safe='')}"
            for name, value in sorted(params.items())
            if name != "Signature"
        )
        to_sign = f"{method}&%2F&{quote(joined, safe='')}"
        right = b64encode(hmac.new(self._secret + b"&", to_sign.encode(), sha1).digest())
        self._admit_signer(
            key=params["AccessKeyId"],
            version=params["Version"],
            signed_at=params["Timestamp"],
            nonce=params["SignatureNonce"],
            matches=hmac.compare_digest(right, params["Signature"].encode("utf-8", "replace")),
            to_sign=to_sign,
        )
        return params["Action"]

    def _admit_signer(self, *, key: str, version: str, signed_at: str, nonce: str, matches: bool, to_sign: str) -> None:
        """What both signature versions have in common: key, time, signature, nonce."""
        if version != _VERSION:
            raise _GatewayRefusal(400, "InvalidVersion", "Specified parameter Version is not valid.")
        if key != self._key:
            raise _GatewayRefusal(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        try:
            at = datetime.strptime(signed_at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            raise _GatewayRefusal(
                400, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted."
            ) from None
        now, options = self._door.now(), self._door.options
        if abs(now - at) > _FRESH and options.get("stale") != "accepted":
            raise _GatewayRefusal(400, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
        if not matches:
            raise _GatewayRefusal(
                400,
                "SignatureDoesNotMatch",
                f"Specified signature is not matched with our calculation. server string to sign is:{to_sign}",
            )
        if self._is_used(nonce, now) and options.get("replay") != "accepted":
            raise _GatewayRefusal(400, "SignatureNonceUsed", "Specified signature nonce was used already.")

    def _is_used(self, nonce: str, now: datetime) -> bool:
        """Whether a nonce came before; remembered for two to four times as long as a request stays fresh."""
        span = int(now.timestamp() // (2 * _FRESH.total_seconds()))
        kept_span, fresh, old = self._door.memory.get("nonces", (span, set(), set()))
        if span > kept_span:
            fresh, old = set(), (fresh if span == kept_span + 1 else set())
        used = nonce in fresh or nonce in old
        fresh.add(nonce)
        self._door.memory["nonces"] = (max(span, kept_span), fresh, old)
        return used

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> dict[str, Any]:
        listed, signature, code = _needed(params, "PhoneNumbers", "SignName", "TemplateCode")
        written = list(dict.fromkeys(listed.split(",")))
        if len(written) > 1000:
            raise _ServiceRefusal("isv.MOBILE_COUNT_OVER_LIMIT")
        values = _template_values(params.get("TemplateParam") or "{}")
        return self._hand_over(
            [(number, signature, values) for number in written], code, params, [params.get("SmsUpExtendCode", "")]
        )

    def _send_batch(self, params: Params) -> dict[str, Any]:
        lists = [_json_list(text) for text in _needed(params, "PhoneNumberJson", "SignNameJson")]
        (code,) = _needed(params, "TemplateCode")
        numbers, signatures = lists
        values = _json_list(params["TemplateParamJson"]) if params.get("TemplateParamJson") else [{}] * len(numbers)
        extensions = _json_list(params["SmsUpExtendCodeJson"]) if params.get("SmsUpExtendCodeJson") else [""]
        if len(numbers) > 100:
            raise _ServiceRefusal("isv.MOBILE_COUNT_OVER_LIMIT")
        if not numbers or not len(numbers) == len(signatures) == len(values):
            raise _ServiceRefusal("isv.INVALID_PARAMETERS", "手机号、签名、模板变量的个数不一致")
        if len(extensions) not in (1, len(numbers)):
            raise _ServiceRefusal("isv.INVALID_PARAMETERS", "扩展码个数与手机号个数不一致")
        if not all(isinstance(text, str) for text in (*numbers, *signatures, *extensions)):
            raise _ServiceRefusal("isv.INVALID_JSON_PARAM")
        rows = [
            (number, signature, _string_values(own))
            for number, signature, own in zip(numbers, signatures, values, strict=True)
        ]
        return self._hand_over(rows, code, params, extensions)

    def _hand_over(
        self, rows: Sequence[tuple[str, str, Params]], code: str, params: Params, extensions: Sequence[str]
    ) -> dict[str, Any]:
        """Check every row, then submit them all under one BizId."""
        if any(text and not (text.isascii() and text.isdigit()) for text in extensions):
            raise _ServiceRefusal("isv.EXTEND_CODE_ERROR")
        reference = params.get("OutId")
        if reference is not None and len(reference) >= 256:
            raise _ServiceRefusal("isv.PARAM_LENGTH_LIMIT")
        template = self._template(code)
        if template is None or not template.approved:
            raise _ServiceRefusal("isv.SMS_TEMPLATE_ILLEGAL", "模板不合法(不存在或被拉黑)")
        now = self._door.now()
        at = now.timestamp()
        key = f"{int(at * 1000):013d}{counted(self._door.memory, 'requests taken') % 100_000:05d}^0"
        submissions = []
        for position, (written, signature, values) in enumerate(rows):
            self._check_signature(signature)
            number = mainland(written)
            if number is None:
                raise _ServiceRefusal("isv.MOBILE_NUMBER_ILLEGAL", f"{written}invalid mobile number")
            text = f"【{signature}】{self._render(template, values)}"
            self._check_caps(number, signature, template, at)
            submission = Submission(
                number=number,
                text=text,
                purpose=template.purpose,
                template=template.id,
                reference=reference,
                extension=extensions[position if len(extensions) > 1 else 0],
                key=key,
            )
            submissions.append((submission, signature))
        self._submit_all(submissions, at)
        return {"BizId": key}

    def _submit_all(self, submissions: Sequence[tuple[Submission, str]], at: float) -> None:
        """Raise if nobody was taken; numbers refused beside others are reported later, as platform failures."""
        refused: list[tuple[Submission, Turned]] = []
        for submission, signature in submissions:
            outcome = self._door.submit(submission)
            if isinstance(outcome, Taken):
                self._count(submission, signature, at)
            else:
                refused.append((submission, outcome))
        if len(refused) == len(submissions):
            raise self._refusal(refused[0][1])
        late = self._door.memory.setdefault("late", [])
        for submission, turned in refused:
            code = self._code(turned.reason)
            late.append(
                {
                    "phone_number": national(submission.number),
                    "send_time": stamp(self._door.now()),
                    "report_time": stamp(self._door.now()),
                    "success": False,
                    "err_code": code,
                    "err_msg": MESSAGES[code],
                    "sms_size": "1",
                    "biz_id": submission.key,
                    "out_id": submission.reference or "",
                }
            )

    def _code(self, reason: Reason) -> str:
        # The vendor's own texts contradict each other on which code a blacklisted number gets.
        chosen = self._door.options.get("blacklist_code", "")
        if reason is Reason.BLACKLISTED and chosen in MESSAGES:
            return chosen
        return REFUSALS.get(reason, "isp.SYSTEM_ERROR")

    def _refusal(self, turned: Turned) -> Exception:
        if turned.reason is Reason.THROTTLED:
            return _throttled()
        message = "推广短信不在允许发送时段" if turned.reason is Reason.HOURS else None
        return _ServiceRefusal(self._code(turned.reason), message)

    def _check_signature(self, name: str) -> None:
        approved = self._door.signatures.get(name)
        if approved is None:
            review = self._signature_review(name)
            approved = None if review is None else review.verdict is ReviewVerdict.APPROVED
        if approved is None:
            raise _ServiceRefusal("isv.SMS_SIGNATURE_ILLEGAL")
        if not approved:
            raise _ServiceRefusal("isv.SIGN_STATE_ILLEGAL")

    def _render(self, template: FiledTemplate, values: Params) -> str:
        names = names_in(template.text)
        if lacking := [name for name in names if not values.get(name)]:
            raise _ServiceRefusal("isv.TEMPLATE_MISSING_PARAMETERS", f"模板变量中存在未赋值变量：{','.join(lacking)}")
        longest = int(self._door.options.get("parameter_length", "35"))
        for name in names:
            if len(values[name]) > longest:
                raise _ServiceRefusal("isv.PARAM_LENGTH_LIMIT")
            if has_link(values[name]):
                raise _ServiceRefusal("isv.PARAM_NOT_SUPPORT_URL")
        return filled(template.text, values)

    def _check_caps(self, number: str, signature: str, template: FiledTemplate, at: float) -> None:
        """短信发送流控: minute and hour are natural windows, a day is the last 24 hours."""
        sent, options = self._sent, self._door.options
        if template.purpose is not Purpose.VERIFICATION:
            limit = cap(options, "per_template_per_day", 50)
            if limit is not None and sent.after((signature, template.id, number), at - _DAY) >= limit:
                raise _ServiceRefusal("isv.BUSINESS_LIMIT_CONTROL", f"触发天级流控Permits:{limit}")
            return
        own, anyone = ("code", signature, number), ("code", number)
        # Beijing is whole hours off UTC, so its minutes and hours begin where those of UTC begin.
        for name, default, count, word in (
            ("per_minute", 1, sent.since(own, at // 60 * 60), "触发分钟级流控"),
            ("per_hour", 5, sent.since(own, at // 3600 * 3600), "触发小时级流控"),
            ("per_day", 10, sent.after(own, at - _DAY), "触发天级流控"),
            ("platform_per_day", 40, sent.after(anyone, at - _DAY), "触发号码天级流控"),
        ):
            limit = cap(options, name, default)
            if limit is not None and count >= limit:
                raise _ServiceRefusal("isv.BUSINESS_LIMIT_CONTROL", f"{word}Permits:{limit}")

    def _count(self, submission: Submission, signature: str, at: float) -> None:
        if submission.purpose is Purpose.VERIFICATION:
            self._sent.add(("code", signature, submission.number), at)
            self._sent.add(("code", submission.number), at)
        else:
            self._sent.add((signature, submission.template or "", submission.number), at)

    # -- records and statistics -------------------------------------------------------------------------------

    def _details(self, params: Params) -> dict[str, Any]:
        written, day_text, *paging = _needed(params, "PhoneNumber", "SendDate", "PageSize", "CurrentPage")
        number, day = mainland(written), from_day(day_text)
        size, page = whole(paging[0], 1, 50), whole(paging[1], 1, 10**9)
        today = self._door.now().astimezone(BEIJING).date()
        if number is None:
            raise _ServiceRefusal("isv.MOBILE_NUMBER_ILLEGAL")
        if day is None or size is None or page is None or not timedelta(0) <= today - day <= timedelta(days=30):
            raise _ServiceRefusal("isv.INVALID_PARAMETERS", "SendDate须在最近30天内，PageSize须为1-50")
        biz_id = params.get("BizId")
        kept = [one for one in self._door.records(number, *beijing_day(day)) if biz_id in (None, "", one.key)]
        rows = [_detail(one) for one in kept[(page - 1) * size : page * size]]
        return {"TotalCount": len(kept), "SmsSendDetailDTOs": {"SmsSendDetailDTO": rows}}

    def _statistics(self, params: Params) -> dict[str, Any]:
        begin_text, end_text, globe, *paging = _needed(
            params, "StartDate", "EndDate", "IsGlobe", "PageIndex", "PageSize"
        )
        begin, end = from_day(begin_text), from_day(end_text)
        page, size = whole(paging[0], 1, 10**9), whole(paging[1], 1, 50)
        if begin is None or end is None or page is None or size is None or globe not in ("1", "2"):
            raise _ServiceRefusal("isv.INVALID_PARAMETERS")
        if end < begin or (end - begin).days > 366:
            raise _ServiceRefusal("isv.INVALID_PARAMETERS", "时间范围不合法")
        if params.get("TemplateType") not in (None, "", "0", "1", "2", "3", "7"):
            raise _ServiceRefusal("isv.INVALID_PARAMETERS")
        rows = self._daily_rows(begin, end) if globe == "1" else []
        return {"Data": {"TotalSize": len(rows), "TargetList": rows[(page - 1) * size : page * size]}}

    def _daily_rows(self, begin: date, end: date) -> list[dict[str, Any]]:
        days = [begin + timedelta(days=offset) for offset in range((end - begin).days + 1)]
        books = [(day, self._door.counts(*beijing_day(day))) for day in days]
        return [
            {
                "SendDate": day.strftime("%Y%m%d"),
                "TotalCount": book.segments,  # billed units, not messages
                "RespondedSuccessCount": book.delivered,
                "RespondedFailCount": book.undelivered,
                "NoRespondedCount": book.unreported,
            }
            for day, book in books
            if book.submitted
        ]

    # -- templates and signatures -----------------------------------------------------------------------------

    def _template(self, code: str) -> FiledTemplate | None:
        if code in self._door.memory.get("deleted", ()):
            return None
        if (filed := self._door.templates.get(code)) is not None:
            return filed
        review = self._template_review(code)
        if review is None:
            return None
        approved = review.verdict is ReviewVerdict.APPROVED
        return FiledTemplate(id=code, text=review.text, purpose=review.purpose, approved=approved)

    def _template_review(self, code: str) -> Review | None:
        number = whole(code.removeprefix("SMS_"), _FIRST_TEMPLATE + 1, 10**17)
        if number is None or code in self._door.memory.get("deleted", ()):
            return None
        return self._door.review(Subject.TEMPLATE, number - _FIRST_TEMPLATE)

    def _signature_review(self, name: str) -> Review | None:
        """The newest review of a signature."""
        return next((one for one in reversed(self._door.reviews(Subject.SIGNATURE)) if one.name == name), None)

    def _create_template(self, params: Params) -> dict[str, Any]:
        name, content, kind_text = _needed(params, "TemplateName", "TemplateContent", "TemplateType")
        kind = whole(kind_text, 0, 3)
        if kind not in _PURPOSES:
            raise _ServiceRefusal("isv.INVALID_PARAMETERS", "TemplateType不合法")
        if len(name) > 30 or len(content) > 500:
            raise _ServiceRefusal("isv.PARAM_LENGTH_LIMIT")
        (signature,) = _needed(params, "RelatedSignName")
        self._check_signature(signature)
        text = re.sub(r"\$\{([A-Za-z0-9_]+)\}", r"{\1}", content)
        if "${" in content and not params.get("TemplateRule"):
            raise _ServiceRefusal("isv.INVALID_PARAMETERS", "模板含变量时TemplateRule必填")
        if params.get("TemplateRule"):
            _string_values(_json(params["TemplateRule"]))
        review = self._door.submit_review(
            subject=Subject.TEMPLATE,
            name=name,
            text=text,
            purpose=_PURPOSES[kind],
            extra={"content": content, "signature": signature, "remark": params.get("Remark", "")},
        )
        return {"TemplateCode": _template_code(review), "TemplateName": name, "OrderId": _order(review)}

    def _get_template(self, params: Params) -> dict[str, Any]:
        (code,) = _needed(params, "TemplateCode")
        template, review = self._template(code), self._template_review(code)
        if template is None:
            raise _ServiceRefusal("isv.SMS_TEMPLATE_ILLEGAL")
        body: dict[str, Any] = {
            "TemplateCode": code,
            "TemplateType": str(_TYPES[template.purpose]),
            "TemplateContent": template.text.replace("{", "${"),
            "TemplateStatus": "1" if template.approved else "2",
            "TemplateName": code,
        }
        if review is not None:
            body |= {
                "TemplateName": review.name,
                "TemplateContent": _content(review),
                "RelatedSignName": review.extra.get("signature", ""),
                "Remark": review.extra.get("remark", ""),
                "TemplateStatus": str(_status(review)),
                "CreateDate": stamp(review.created_at),
                "OrderId": _order(review),
                "AuditInfo": _audit(review),
            }
        return body

    def _list_templates(self, params: Params) -> dict[str, Any]:
        page = whole(params.get("PageIndex") or "1", 1, 10**9)
        size = whole(params.get("PageSize") or "10", 1, 50)
        if page is None or size is None:
            raise _ServiceRefusal("isv.INVALID_PARAMETERS")
        deleted = self._door.memory.get("deleted", ())
        rows = [_filed_row(filed) for filed in self._door.templates.values() if filed.id not in deleted]
        rows += [
            _review_row(review)
            for review in self._door.reviews(Subject.TEMPLATE)
            if _template_code(review) not in deleted
        ]
        return {
            "SmsTemplateList": rows[(page - 1) * size : page * size],
            "CurrentPage": page,
            "PageSize": size,
            "TotalCount": len(rows),
        }

    def _delete_template(self, params: Params) -> dict[str, Any]:
        (code,) = _needed(params, "TemplateCode")
        if self._template(code) is None:
            raise _ServiceRefusal("isv.SMS_TEMPLATE_ILLEGAL")
        self._door.memory.setdefault("deleted", set()).add(code)
        return {"TemplateCode": code}

    def _create_signature(self, params: Params) -> dict[str, Any]:
        name, source, qualification = _needed(params, "SignName", "SignSource", "QualificationId")
        if source not in ("0", "2", "5") or params.get("SignType") not in (None, "", "0", "1"):
            raise _ServiceRefusal("isv.INVALID_PARAMETERS")
        if not 2 <= len(name) <= 12 or len(params.get("Remark", "")) > 200:
            raise _ServiceRefusal("isv.PARAM_LENGTH_LIMIT")
        review = self._door.submit_review(
            subject=Subject.SIGNATURE,
            name=name,
            text=name,
            purpose=Purpose.VERIFICATION if params.get("SignType") == "0" else Purpose.NOTIFICATION,
            extra={"qualification": qualification, "remark": params.get("Remark", "")},
        )
        return {"SignName": name, "OrderId": _order(review)}

    def _get_signature(self, params: Params) -> dict[str, Any]:
        (name,) = _needed(params, "SignName")
        review, filed = self._signature_review(name), self._door.signatures.get(name)
        if review is None and filed is None:
            raise _ServiceRefusal("isv.SMS_SIGNATURE_ILLEGAL")
        status = (1 if filed else 2) if review is None else _status(review)
        body: dict[str, Any] = {
            "SignName": name,
            "SignStatus": status,
            "SignIspRegisterDetailList": self._registrations(status, review),
        }
        if review is not None:
            body |= {
                "CreateDate": stamp(review.created_at),
                "OrderId": _order(review),
                "AuditInfo": _audit(review),
                "Remark": review.extra.get("remark", ""),
            }
        return body

    def _registrations(self, status: int, review: Review | None) -> list[dict[str, Any]]:
        """Real-name filing 报备 with each carrier: begins when the signature is approved."""
        rows: list[dict[str, Any]] = []
        for carrier, days in _CARRIERS:
            row: dict[str, Any] = {"OperatorCode": carrier, "RegisterStatus": -2, "RegisterStatusReasons": []}
            if status == 1 and (review is None or review.decided_at is None):
                row["RegisterStatus"] = 3
            elif status == 1 and review is not None and review.decided_at is not None:
                wait = timedelta(0 if self._door.options.get("registration") == "done" else days)
                done_at = review.decided_at + wait
                row["RegisterStatus"] = 3 if done_at <= self._door.now() else -1
                if done_at <= self._door.now():
                    row["OperatorCompleteTime"] = stamp(done_at)
            rows.append(row)
        return rows

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        """SmsReport; failures of the platform that wait go out with it."""
        items = [
            {
                "phone_number": national(claim.number),
                "send_time": stamp(claim.submitted_at),
                "report_time": stamp(claim.claimed_at),
                "success": claim.state is DeliveryState.DELIVERED,
                "err_code": _report_code(claim.state, claim.code),
                "err_msg": "用户接收成功" if claim.state is DeliveryState.DELIVERED else "用户接收失败",
                "sms_size": str(claim.segments),
                "biz_id": claim.key,
                "out_id": claim.reference or "",
            }
            for claim in claims
        ]
        items += self._door.memory.pop("late", [])
        return _push(items) if items else None

    def push_reply(self, reply: Reply) -> PushOut | None:
        """SmsUp."""
        item: dict[str, Any] = {
            "phone_number": national(reply.number),
            "content": reply.text,
            "send_time": stamp(reply.sent_at),
            "dest_code": reply.extension or reply.to,
            "sequence_id": str(reply.id),
        }
        if self._door.options.get("sms_up") == "old":  # an older page: a number, and the signature beside it
            item |= {"sequence_id": reply.id, "sign_name": reply.signature}
        return _push([item])

    def push_decision(self, review: Review) -> PushOut | None:
        """TemplateSmsReport or SignSmsReport: always exactly one item."""
        status = {0: "approving", 1: "approved", 2: "rejected"}[_status(review)]
        shared = {
            "reason": review.reason,
            "remark": review.extra.get("remark", ""),
            "create_date": stamp(review.created_at),
        }
        if review.subject is Subject.TEMPLATE:
            return _push(
                [
                    {
                        "template_type": _TYPE_WORDS[review.purpose],
                        "template_name": review.name,
                        "orderId": _order(review),
                        "template_content": _content(review),
                        "template_status": status,
                        "template_code": _template_code(review),
                        **shared,
                    }
                ]
            )
        # The fields of SignSmsReport are expected by analogy; the page itself was not at hand.
        return _push(
            [
                {
                    "sign_name": review.name,
                    "sign_status": status,
                    "sign_scene": _TYPE_WORDS[review.purpose],
                    "order_id": _order(review),
                    **shared,
                }
            ]
        )

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200 and a `code` that is a number; which number does not matter."""
        if status != 200:
            return False
        try:
            value = read_json(body)
        except ValueError:
            return False
        code = value.get("code") if isinstance(value, dict) else None
        return isinstance(code, int | float) and not isinstance(code, bool)


ACTIONS: Final[Mapping[str, Callable[[Counterpart, Params], dict[str, Any]]]] = {
    "SendSms": Counterpart._send,
    "SendBatchSms": Counterpart._send_batch,
    "QuerySendDetails": Counterpart._details,
    "QuerySendStatistics": Counterpart._statistics,
    "CreateSmsTemplate": Counterpart._create_template,
    "GetSmsTemplate": Counterpart._get_template,
    "QuerySmsTemplateList": Counterpart._list_templates,
    "DeleteSmsTemplate": Counterpart._delete_template,
    "CreateSmsSign": Counterpart._create_signature,
    "GetSmsSign": Counterpart._get_signature,
}


def _missing(name: str) -> _GatewayRefusal:
    return _GatewayRefusal(400, f"Missing{name}", f"{name} is mandatory for this action.")


def _incomplete() -> _GatewayRefusal:
    return _GatewayRefusal(400, "IncompleteSignature", "The request signature does not conform to Aliyun standards.")


def _throttled() -> _GatewayRefusal:
    # The SDK reads the header as milliseconds.
    return _GatewayRefusal(
        429, "Throttling.User", "Request was denied due to user flow control.", {"x-acs-retry-after": "1000"}
    )


def _needed(params: Params, *names: str) -> tuple[str, ...]:
    for name in names:
        if not params.get(name):
            raise _missing(name)
    return tuple(params[name] for name in names)


def _json(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        raise _ServiceRefusal("isv.INVALID_JSON_PARAM") from None


def _json_list(text: str) -> list[Any]:
    value = _json(text)
    if not isinstance(value, list):
        raise _ServiceRefusal("isv.INVALID_JSON_PARAM")
    return value


def _template_values(text: str) -> Params:
    return _string_values(_json(text))


def _string_values(value: Any) -> Params:
    if not isinstance(value, dict) or not all(isinstance(own, str) for own in value.values()):
        raise _ServiceRefusal("isv.INVALID_JSON_PARAM")
    return value


def _report_code(state: DeliveryState, code: str) -> str:
    return "DELIVERED" if state is DeliveryState.DELIVERED else code


def _detail(kept: Kept) -> dict[str, Any]:
    row: dict[str, Any] = {
        "SendDate": stamp(kept.submitted_at),
        "SendStatus": _SEND_STATUS.get(kept.state, 2),
        "TemplateCode": kept.template or "",
        "Content": kept.text,
        "PhoneNum": national(kept.number),
        "OutId": kept.reference or "",
    }
    if kept.state is not DeliveryState.UNKNOWN:
        row["ErrCode"] = _report_code(kept.state, kept.code)
        if kept.claimed_at is not None:
            row["ReceiveDate"] = stamp(kept.claimed_at)
    return row


def _template_code(review: Review) -> str:
    return f"SMS_{_FIRST_TEMPLATE + review.number}"


def _content(review: Review) -> str:
    return str(review.extra.get("content", review.text.replace("{", "${")))


def _order(review: Review) -> str:
    return str(_FIRST_ORDER + review.number)


def _status(review: Review) -> int:
    match review.verdict:
        case None:
            return 0
        case ReviewVerdict.APPROVED:
            return 1
        case ReviewVerdict.REJECTED:
            return 2


def _audit(review: Review) -> dict[str, str]:
    if review.verdict is None or review.decided_at is None:
        return {}
    return {"AuditDate": stamp(review.decided_at), "RejectInfo": review.reason}


def _filed_row(filed: FiledTemplate) -> dict[str, Any]:
    return {
        "TemplateCode": filed.id,
        "TemplateName": filed.id,
        "TemplateContent": filed.text.replace("{", "${"),
        "TemplateType": _LIST_TYPES[filed.purpose],
        "OuterTemplateType": _TYPES[filed.purpose],
        "AuditStatus": "AUDIT_STATE_PASS" if filed.approved else "AUDIT_STATE_NOT_PASS",
    }


def _review_row(review: Review) -> dict[str, Any]:
    row: dict[str, Any] = {
        "TemplateCode": _template_code(review),
        "TemplateName": review.name,
        "TemplateContent": _content(review),
        "TemplateType": _LIST_TYPES[review.purpose],
        "OuterTemplateType": _TYPES[review.purpose],
        "AuditStatus": ("AUDIT_STATE_INIT", "AUDIT_STATE_PASS", "AUDIT_STATE_NOT_PASS")[_status(review)],
        "CreateDate": stamp(review.created_at),
        "OrderId": _order(review),
        "SignatureName": review.extra.get("signature", ""),
    }
    if review.verdict is ReviewVerdict.REJECTED and review.decided_at is not None:
        row["Reason"] = {
            "RejectDate": stamp(review.decided_at),
            "RejectInfo": review.reason,
            "RejectSubInfo": review.reason,
        }
    return row


def _push(items: list[dict[str, Any]]) -> PushOut:
    return PushOut(body=json.dumps(items, ensure_ascii=False).encode(), content_type="application/json; charset=utf-8")

"""Tencent Cloud's side of the wire: sms 2021-01-11 as its documents describe it (facts/vendors/tencent.md).

Checks TC3-HMAC-SHA256 by itself; every answer is HTTP 200 with exactly `application/json`, errors included. Options of
the account: `stale: accepted`, `caps: lifted`, `same_content` (per 30 s), `per_number_per_hour`, `per_number_per_day`,
`marketing_per_number_per_day` (a number or `lifted`), `hours: lifted`, `qps`, `parameter_length`,
`template_variables: refused`, `price` (CNY a segment, for package counts). Requests by GET are not answered.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from vendors.sandbox.door import (
    Claim,
    Counts,
    Door,
    FiledTemplate,
    PushOut,
    Reply,
    Review,
    Submission,
    Turned,
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
    has_link,
    hear,
    is_over_rate,
    mainland,
    names_in,
    national,
    read_json,
    stamp,
    whole,
)

_VERSION: Final = "2021-01-11"
_SKEW_SECONDS: Final = 300
_HALF_MINUTE: Final = 30.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_WEEK: Final = timedelta(days=7)
_FIRST_TEMPLATE: Final = 1_110_000  # review number 7 becomes template 1110007
_FIRST_SIGNATURE: Final = 510_000
_PACKAGE_SIZE_STEP: Final = 1000  # packages are sold in thousands

_AUTHORIZATION: Final = re.compile(
    r"TC3-HMAC-SHA256 +Credential=([^/, ]+)/([0-9]{4}-[0-9]{2}-[0-9]{2})/([a-z0-9]+)/tc3_request, *"
    r"SignedHeaders=([^, ]+), *Signature=([0-9a-f]{64})"
)
_FOREIGN: Final = re.compile(r"\+[1-9][0-9]{5,14}")
_HOUR_STAMP: Final = re.compile(r"[0-9]{10}")

REFUSALS: Final[Mapping[Reason, str]] = {
    Reason.BLACKLISTED: "FailedOperation.PhoneNumberInBlacklist",
    Reason.OPTED_OUT: "FailedOperation.PhoneNumberInBlacklist",  # 免打扰名单 gives the same code
    Reason.SENSITIVE_CONTENT: "FailedOperation.ContainSensitiveWord",
    Reason.FREQUENCY_CAP: "LimitExceeded.DeliveryFrequencyLimit",
    Reason.SIGNATURE_NOT_APPROVED: "FailedOperation.SignatureIncorrectOrUnapproved",
    Reason.SIGNATURE_NOT_REGISTERED: "FailedOperation.SignatureIncorrectOrUnapproved",
    Reason.TEMPLATE_NOT_APPROVED: "FailedOperation.TemplateIncorrectOrUnapproved",
    Reason.INVALID_NUMBER: "InvalidParameterValue.IncorrectPhoneNumber",
    Reason.BALANCE: "FailedOperation.InsufficientBalanceInSmsPackage",
    Reason.QUOTA: "LimitExceeded.AppDailyLimit",
    Reason.HOURS: "FailedOperation.MarketingSendTimeConstraint",
    Reason.AUTH: "UnauthorizedOperation.RequestPermissionDeny",
    Reason.ROUTING: "UnsupportedOperation.UnsupportedRegion",
    Reason.BAD_REQUEST: "InvalidParameter.InvalidParameters",
    Reason.THROTTLED: "RequestLimitExceeded",
    Reason.VENDOR_FAULT: "InternalError.OtherError",
    Reason.CARRIER_FAULT: "InternalError.SendAndRecvFail",
}
MESSAGES: Final[Mapping[str, str]] = {
    "FailedOperation.PhoneNumberInBlacklist": "phone is in blacklist",
    "FailedOperation.ContainSensitiveWord": "the message contains sensitive words",
    "FailedOperation.SignatureIncorrectOrUnapproved": "signature is incorrect or unapproved",
    "FailedOperation.MissingSignature": "signature is missing",
    "FailedOperation.TemplateIncorrectOrUnapproved": "template is incorrect or unapproved",
    "FailedOperation.TemplateIdNotExist": "template id does not exist",
    "FailedOperation.TemplateParamSetNotMatchApprovedTemplate": "template parameters do not match the template",
    "FailedOperation.InsufficientBalanceInSmsPackage": "insufficient balance in the sms package",
    "FailedOperation.MarketingSendTimeConstraint": "marketing messages are sent from 8:00 to 22:00 only",
    "InvalidParameterValue.IncorrectPhoneNumber": "incorrect phone number",
    "InvalidParameterValue.TemplateParameterFormatError": "verification code parameters are digits, six at most",
    "InvalidParameterValue.TemplateParameterLengthLimit": "a template parameter is too long",
    "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": "urls are prohibited in template parameters",
    "LimitExceeded.PhoneNumberThirtySecondLimit": "too many messages to this number within 30 seconds",
    "LimitExceeded.PhoneNumberOneHourLimit": "too many messages to this number within an hour",
    "LimitExceeded.PhoneNumberDailyLimit": "too many messages to this number today",
    "LimitExceeded.DeliveryFrequencyLimit": "delivery frequency limit exceeded",
    "LimitExceeded.AppDailyLimit": "daily limit of the application exceeded",
    "UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone": "mainland templates do not go to global numbers",
}
_PURPOSES: Final = {1: Purpose.MARKETING, 2: Purpose.NOTIFICATION, 3: Purpose.VERIFICATION}
_UNREACHABLE: Final = (Reason.UNREACHABLE, Reason.OUT_OF_SERVICE)
_LISTED: Final = (Reason.BLACKLISTED, Reason.OPTED_OUT)


class _Refusal(Exception):
    """The call as a whole is refused: `Response.Error`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code)
        self.code, self.message = code, message


class _NumberRefused(Exception):
    """One number is refused inside an answer that is otherwise fine."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Action:
    """What a call takes: parameter → type, those it must have, and who answers."""

    takes: Mapping[str, str]
    needs: tuple[str, ...]
    answer: Callable[[Counterpart, Params], dict[str, Any]]


class Counterpart:
    """Tencent Cloud SMS for one account."""

    push_batch = 100
    push_retry: tuple[timedelta, ...] = ()  # no rule for trying again was found, so nothing is promised

    filing: Final[Mapping[str, str]] = {"qualification_id": "1001", "proof_image": "iVBORw0KGgo="}

    def __init__(self, door: Door) -> None:
        self._door = door
        self._id = credential(door.credentials, "secret_id")
        self._key = credential(door.credentials, "secret_key").encode()
        self._app = next(
            (door.credentials[name] for name in ("sdk_app_id", "sms_sdk_app_id", "app_id") if name in door.credentials),
            None,
        )
        self._sent = Tally(door.memory, "sent", keep=_DAY)
        self._signing: tuple[str, bytes] = ("", b"")

    # -- the gateway ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        request_id = digest_id(self._door.label, counted(self._door.memory, "requests"))
        body: dict[str, Any]
        try:
            action = self._admit(heard)
            body = action.answer(self, self._parameters(heard, action))
        except _Refusal as refusal:
            body = {"Error": {"Code": refusal.code, "Message": refusal.message}}
        # The SDK looks for `Error` only under exactly this content type, and takes any status but 200 for a
        # network error.
        return answer_json(200, {"Response": {**body, "RequestId": request_id}}, content_type="application/json")

    def _admit(self, heard: Heard) -> _Action:
        if heard.method != "POST":
            raise _Refusal("UnsupportedProtocol", "HTTP(S)请求协议错误，此处只支持POST请求。")
        if heard.path not in ("", "/"):
            raise _Refusal("InvalidRequest", "请求路径错误。")
        self._check_signature(heard)
        name, version = heard.headers.get("x-tc-action"), heard.headers.get("x-tc-version")
        if not name:
            raise _Refusal("MissingParameter", "请求头部缺少参数 X-TC-Action。")
        if version != _VERSION:
            raise _Refusal("NoSuchVersion", "接口版本不存在。")
        action = ACTIONS.get(name)
        if action is None:
            raise _Refusal("InvalidAction", f"您正在请求的接口 {name} 不存在。")
        if name == "SendSms" and not heard.headers.get("x-tc-region"):
            raise _Refusal("MissingParameter", "请求头部缺少参数 X-TC-Region。")
        at = self._door.now().timestamp()
        if is_over_rate(self._door.memory, f"calls {name}", at, int(self._door.options.get("qps", "3000"))):
            raise _Refusal("RequestLimitExceeded", "请求的次数超过了频率限制。")
        return action

    def _check_signature(self, heard: Heard) -> None:
        headers = heard.headers
        found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if found is None:
            raise _Refusal("AuthFailure.InvalidAuthorization", "请求头部的 Authorization 不符合腾讯云标准。")
        secret_id, day, service, listed, signature = found.groups()
        signed_at = whole(headers.get("x-tc-timestamp"), 1, 10**11)
        if signed_at is None:
            raise _Refusal("MissingParameter", "请求头部缺少参数 X-TC-Timestamp。")
        if secret_id != self._id:
            raise _Refusal("AuthFailure.SecretIdNotFound", "密钥不存在，请检查 SecretId。")
        skew = abs(self._door.now().timestamp() - signed_at)
        if skew > _SKEW_SECONDS and self._door.options.get("stale") != "accepted":
            raise _Refusal("AuthFailure.SignatureExpire", "签名过期，Timestamp 与服务器时间相差不得超过五分钟。")
        signed = listed.split(";")
        if not {"content-type", "host"} <= set(signed) or any(name not in headers for name in signed):
            raise _wrong_signature()
        if service != "sms" or day != datetime.fromtimestamp(signed_at, UTC).strftime("%Y-%m-%d"):
            raise _wrong_signature()
        payload = heard.body
        if headers.get("x-tc-content-sha256") == "UNSIGNED-PAYLOAD":
            payload = b"UNSIGNED-PAYLOAD"
        canonical = "\n".join(
            (
                "POST",
                "/",
                "",
                "".join(f"{name}:{_as_signed(name, headers[name])}\n" for name in signed),
                listed,
                sha256(payload).hexdigest(),
            )
        )
        scope = f"{day}/sms/tc3_request"
        digest = sha256(canonical.encode("latin-1", "replace")).hexdigest()
        to_sign = f"TC3-HMAC-SHA256\n{signed_at}\n{scope}\n{digest}"
        right = hmac.new(self._signing_key(day), to_sign.encode(), sha256).hexdigest()
        if not hmac.compare_digest(right, signature):
            raise _wrong_signature()

    def _signing_key(self, day: str) -> bytes:
        """The key derived for one day; kept until the day changes."""
        if self._signing[0] != day:
            key = b"TC3" + self._key
            for part in (day, "sms", "tc3_request"):
                key = hmac.new(key, part.encode(), sha256).digest()
            self._signing = (day, key)
        return self._signing[1]

    def _parameters(self, heard: Heard, action: _Action) -> Params:
        """The JSON body, checked against what the action takes; null counts as not given."""
        if not heard.headers["content-type"].lower().startswith("application/json"):
            raise _Refusal("InvalidRequest", "请求体的 Content-Type 须为 application/json。")
        try:
            body = read_json(heard.body)
        except ValueError:
            raise _Refusal("InvalidParameter", "请求体不是合法的JSON。") from None
        if not isinstance(body, dict):
            raise _Refusal("InvalidParameter", "请求体须为JSON对象。")
        params = {name: value for name, value in body.items() if value is not None}
        for name, value in params.items():
            kind = action.takes.get(name)
            if kind is None:
                raise _Refusal("UnknownParameter", f"参数 {name} 无法识别。")
            if not _TYPES[kind](value):
                raise _Refusal("InvalidParameter", f"参数 {name} 的类型错误，应为 {kind}。")
        for name in action.needs:
            if name not in params or params[name] == "":
                raise _Refusal("MissingParameter", f"缺少参数 {name}。")
        if "SmsSdkAppId" in params and self._app is not None and params["SmsSdkAppId"] != self._app:
            raise _Refusal("UnauthorizedOperation.SmsSdkAppIdVerifyFail", "SmsSdkAppId 校验失败。")
        return params

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> dict[str, Any]:
        numbers = params["PhoneNumberSet"]
        if not numbers:
            raise _Refusal("MissingParameter.EmptyPhoneNumberSet", "传入的号码列表为空。")
        if len(numbers) > 200:
            raise _Refusal("LimitExceeded.PhoneNumberCountLimit", "单次提交的手机号个数超过200。")
        if len(params.get("SessionContext", "").encode()) >= 512:
            raise _Refusal("InvalidParameter.InvalidParameters", "SessionContext 须小于512字节。")
        if len({mainland(number) is None for number in numbers if mainland(number) or _FOREIGN.fullmatch(number)}) > 1:
            raise _Refusal(
                "UnsupportedOperation.ContainDomesticAndInternationalPhoneNumber",
                "群发请求里既有国内手机号也有国际手机号。",
            )
        return {"SendStatusSet": [self._send_one(number, params) for number in numbers]}

    def _send_one(self, written: str, params: Params) -> dict[str, Any]:
        number = mainland(written)
        row = {
            "SerialNo": "",
            "PhoneNumber": number or written,
            "Fee": 0,
            "SessionContext": params.get("SessionContext", ""),
            "IsoCode": "" if number is None else "CN",
        }
        at = self._door.now().timestamp()
        try:
            if number is None:
                foreign = _FOREIGN.fullmatch(written) and not written.startswith("+86")
                raise _NumberRefused(
                    "UnsupportedOperation.ChineseMainlandTemplateToGlobalPhone"
                    if foreign
                    else "InvalidParameterValue.IncorrectPhoneNumber"
                )
            template = self._approved_template(params["TemplateId"])
            self._check_name(params.get("SignName", ""))
            text = f"【{params['SignName']}】{self._render(template, params.get('TemplateParamSet', []))}"
            self._check_caps(number, text, template.purpose)
            # "5000:" and 28 digits, as in the documents' example.
            serial = f"5000:1045710669{int(at * 1000):013d}{counted(self._door.memory, 'serials') % 100_000:05d}"
            outcome = self._door.submit(
                Submission(
                    number=number,
                    text=text,
                    purpose=template.purpose,
                    template=template.id,
                    reference=params.get("SessionContext"),
                    extension=params.get("ExtendCode", ""),
                    key=serial,
                )
            )
            if isinstance(outcome, Turned):
                raise _NumberRefused(REFUSALS.get(outcome.reason, "FailedOperation.OtherError"))
        except _NumberRefused as refused:
            return row | {"Code": refused.code, "Message": MESSAGES.get(refused.code, "send failed")}
        self._count(number, text, template.purpose, at)
        return row | {"SerialNo": serial, "Fee": outcome.segments, "Code": "Ok", "Message": "send success"}

    def _approved_template(self, template_id: str) -> FiledTemplate:
        template = self._template(template_id)
        if template is None or not template.approved:
            raise _NumberRefused("FailedOperation.TemplateIncorrectOrUnapproved")
        return template

    def _check_name(self, name: str) -> None:
        if not name:
            raise _NumberRefused("FailedOperation.MissingSignature")
        approved = self._door.signatures.get(name)
        if approved is None:
            reviews = [one for one in self._door.reviews(Subject.SIGNATURE) if one.name == name]
            approved = bool(reviews) and reviews[-1].verdict is ReviewVerdict.APPROVED
        if not approved:
            raise _NumberRefused("FailedOperation.SignatureIncorrectOrUnapproved")

    def _render(self, template: FiledTemplate, values: Sequence[str]) -> str:
        """Values by position: the n-th goes to the n-th variable of the template."""
        names = names_in(template.text)
        if len(values) != len(names):
            raise _NumberRefused("FailedOperation.TemplateParamSetNotMatchApprovedTemplate")
        longest = self._door.options.get("parameter_length", "6")  # new accounts begin with six characters
        for value in values:
            if has_link(value):
                raise _NumberRefused("InvalidParameterValue.ProhibitedUseUrlInTemplateParameter")
            if template.purpose is Purpose.VERIFICATION and not re.fullmatch(r"[0-9]{0,6}", value):
                raise _NumberRefused("InvalidParameterValue.TemplateParameterFormatError")
            if longest != "lifted" and len(value) > int(longest):
                raise _NumberRefused("InvalidParameterValue.TemplateParameterLengthLimit")
        return filled(template.text, dict(zip(names, values, strict=True)))

    def _check_caps(self, number: str, text: str, purpose: Purpose) -> None:
        sent, options, now = self._sent, self._door.options, self._door.now()
        at, local = now.timestamp(), now.astimezone(BEIJING)
        is_marketing = purpose is Purpose.MARKETING
        if is_marketing and options.get("hours") != "lifted" and not 8 <= local.hour < 22:
            raise _NumberRefused("FailedOperation.MarketingSendTimeConstraint")
        midnight = local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        for name, default, count, code in (
            (
                "same_content",
                1,
                sent.after((number, _short(text)), at - _HALF_MINUTE),
                "LimitExceeded.PhoneNumberThirtySecondLimit",
            ),
            ("per_number_per_hour", None, sent.after((number,), at - _HOUR), "LimitExceeded.PhoneNumberOneHourLimit"),
            ("per_number_per_day", 10, sent.since((number,), midnight), "LimitExceeded.PhoneNumberDailyLimit"),
            (
                "marketing_per_number_per_day",
                3,
                sent.since((number, "marketing"), midnight) if is_marketing else 0,
                "LimitExceeded.DeliveryFrequencyLimit",
            ),
        ):
            limit = cap(options, name, default)
            if limit is not None and count >= limit:
                raise _NumberRefused(code)

    def _count(self, number: str, text: str, purpose: Purpose, at: float) -> None:
        self._sent.add((number,), at)
        self._sent.add((number, _short(text)), at)
        if purpose is Purpose.MARKETING:
            self._sent.add((number, "marketing"), at)

    # -- pulling ----------------------------------------------------------------------------------------------

    def _pull_reports(self, params: Params) -> dict[str, Any]:
        claims = self._door.take_reports(_limit(params, 100))
        return {"PullSmsSendStatusSet": [_claim_row(claim) for claim in claims]}

    def _pull_reports_of(self, params: Params) -> dict[str, Any]:
        number, begin, end = self._span(params)
        rows = [
            {
                "UserReceiveTime": int(kept.claimed_at.timestamp()),
                **_number_fields(kept.number),
                "SerialNo": kept.key,
                "ReportStatus": _report_status(kept.state),
                "Description": kept.code,
                "SessionContext": kept.reference or "",
            }
            for kept in self._door.records(number, begin, end)
            if kept.state is not DeliveryState.UNKNOWN and kept.claimed_at is not None
        ]
        return {"PullSmsSendStatusSet": _page(rows, params)}

    def _pull_replies(self, params: Params) -> dict[str, Any]:
        replies = self._door.take_replies(_limit(params, 100))
        return {"PullSmsReplyStatusSet": [_reply_row(reply) for reply in replies]}

    def _pull_replies_of(self, params: Params) -> dict[str, Any]:
        number, begin, end = self._span(params)
        rows = [_reply_row(reply) for reply in self._door.replies(number, begin, end)]
        return {"PullSmsReplyStatusSet": _page(rows, params)}

    def _span(self, params: Params) -> tuple[str, datetime, datetime]:
        """Number, begin and end (seconds included on both sides) of a query; seven days back at most."""
        number, now = mainland(params["PhoneNumber"]), self._door.now()
        if number is None:
            raise _Refusal("InvalidParameterValue.IncorrectPhoneNumber", "手机号格式错误。")
        begin, end = params["BeginTime"], params["EndTime"]
        if not (now - _WEEK).timestamp() <= begin <= now.timestamp() + _DAY:
            raise _Refusal("InvalidParameterValue.BeginTimeVerifyFail", "BeginTime 须在最近7天内。")
        if not begin <= end <= now.timestamp() + 366 * _DAY:
            raise _Refusal("InvalidParameterValue.EndTimeVerifyFail", "EndTime 须不早于 BeginTime。")
        _limit(params, 100)
        return number, datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end + 1, UTC)

    # -- statistics -------------------------------------------------------------------------------------------

    def _counts(self, params: Params, longest: timedelta) -> Counts:
        begin, end = _from_hour(params["BeginTime"]), _from_hour(params["EndTime"])
        if begin is None:
            raise _Refusal("InvalidParameterValue.BeginTimeVerifyFail", "BeginTime 的格式须为 yyyymmddhh。")
        if end is None or not begin <= end <= begin + longest:
            raise _Refusal("InvalidParameterValue.EndTimeVerifyFail", "EndTime 的格式或跨度错误。")
        if params["Limit"] != 0 or params["Offset"] != 0:
            raise _Refusal("InvalidParameterValue.LimitVerifyFail", "Limit 与 Offset 目前固定为0。")
        # Equal hours are allowed by the documents: read as that one hour.
        return self._door.counts(begin, max(end, begin + timedelta(hours=1)))

    def _send_statistics(self, params: Params) -> dict[str, Any]:
        counts = self._counts(params, timedelta(days=366))
        row = {"FeeCount": counts.segments, "RequestCount": counts.submitted, "RequestSuccessCount": counts.submitted}
        return {"SendStatusStatistics": row}

    def _callback_statistics(self, params: Params) -> dict[str, Any]:
        counts = self._counts(params, timedelta(days=32))

        def of(*reasons: Reason) -> int:
            return sum(counts.by_reason.get(reason, 0) for reason in reasons)

        return {
            "CallbackStatusStatistics": {
                "CallbackCount": counts.delivered + counts.undelivered,
                "RequestSuccessCount": counts.submitted,
                "CallbackFailCount": counts.undelivered,
                "CallbackSuccessCount": counts.delivered,
                "InternalErrorCount": of(Reason.CARRIER_FAULT, Reason.VENDOR_FAULT),
                "InvalidNumberCount": of(Reason.INVALID_NUMBER),
                "ShutdownErrorCount": of(*_UNREACHABLE),
                "BlackListCount": of(*_LISTED),
                "FrequencyLimitCount": of(Reason.FREQUENCY_CAP),
            }
        }

    def _packages(self, params: Params) -> dict[str, Any]:
        """One bought package, as large as the account was when first asked."""
        if not 1 <= params["Limit"] <= 500 or params["Offset"] < 0:
            raise _Refusal("InvalidParameterValue.LimitVerifyFail", "Limit 须为1-500。")
        for name in ("BeginTime", "EndTime"):
            if name in params and _from_hour(params[name]) is None:
                raise _Refusal("InvalidParameter", f"{name} 的格式须为 yyyymmddhh。")
        left = max(0, int(self._door.balance() / Decimal(self._door.options.get("price", "0.05"))))
        now = int(self._door.now().timestamp())
        rounded = -(-left // _PACKAGE_SIZE_STEP) * _PACKAGE_SIZE_STEP
        amount, bought_at = self._door.memory.setdefault("package", (rounded, now))
        row = {
            "PackageCreateTime": bought_at,
            "PackageEffectiveTime": bought_at,
            "PackageExpiredTime": bought_at + 2 * 365 * int(_DAY),
            "PackageAmount": amount,
            "PackageType": 1,
            "PackageId": 1001,
            "CurrentUsage": max(0, amount - left),
        }
        return {"SmsPackagesStatisticsSet": [row][params["Offset"] :]}

    # -- templates, signatures, numbers -----------------------------------------------------------------------

    def _template(self, template_id: str) -> FiledTemplate | None:
        if template_id in self._door.memory.get("deleted", ()):
            return None
        if (filed := self._door.templates.get(template_id)) is not None:
            return filed
        number = whole(template_id, _FIRST_TEMPLATE + 1, 10**17)
        review = None if number is None else self._door.review(Subject.TEMPLATE, number - _FIRST_TEMPLATE)
        if review is None:
            return None
        approved = review.verdict is ReviewVerdict.APPROVED
        return FiledTemplate(id=template_id, text=review.text, purpose=review.purpose, approved=approved)

    def _add_template(self, params: Params) -> dict[str, Any]:
        content, kind = params["TemplateContent"], params["SmsType"]
        if kind not in _PURPOSES:
            raise _Refusal("InvalidParameterValue.InvalidSmsType", "SmsType 须为1、2或3。")
        _check_domestic(params)
        if len(content) > 500:
            raise _Refusal("InvalidParameterValue.ContentLengthLimit", "模板内容超过500字。")
        numbers = [int(text) for text in re.findall(r"\{([0-9]{1,4})\}", content)]
        if list(dict.fromkeys(numbers)) != list(range(1, len(set(numbers)) + 1)) or re.search(
            r"\{(?![0-9]{1,4}\})", content
        ):
            raise _Refusal("InvalidParameterValue.InvalidTemplateFormat", "模板变量须为 {1}、{2} 依次递增。")
        if numbers and kind != 3 and self._door.options.get("template_variables") == "refused":
            raise _Refusal("InvalidParameterValue.UnsupportedTemplateVariable", "国内通知与营销模板不支持变量。")
        if kind == 1 and not content.endswith("拒收请回复R"):
            raise _Refusal(
                "InvalidParameterValue.MarketingTemplateWithoutUnsubscribe", "营销模板须以“拒收请回复R”结尾。"
            )
        review = self._door.submit_review(
            subject=Subject.TEMPLATE,
            name=params["TemplateName"],
            text=re.sub(r"\{([0-9]{1,4})\}", r"{v\1}", content),
            purpose=_PURPOSES[kind],
            extra={"content": content, "remark": params.get("Remark", "")},
        )
        return {"AddTemplateStatus": {"TemplateId": str(_FIRST_TEMPLATE + review.number)}}

    def _describe_templates(self, params: Params) -> dict[str, Any]:
        deleted = self._door.memory.get("deleted", ())
        rows = [_filed_row(filed) for filed in self._door.templates.values() if filed.id.isdecimal()]
        rows += [_template_row(review) for review in self._door.reviews(Subject.TEMPLATE)]
        rows = [row for row in rows if str(row["TemplateId"]) not in deleted]
        return {"DescribeTemplateStatusSet": _chosen(rows, params, "TemplateIdSet", "TemplateId")}

    def _delete_template(self, params: Params) -> dict[str, Any]:
        template_id = str(params["TemplateId"])
        if self._template(template_id) is None:
            raise _Refusal("FailedOperation.TemplateIdNotExist", "模板 ID 不存在。")
        self._door.memory.setdefault("deleted", set()).add(template_id)
        deleted_at = int(self._door.now().timestamp())
        return {"DeleteTemplateStatus": {"DeleteStatus": "return successfully!", "DeleteTime": deleted_at}}

    def _add_signature(self, params: Params) -> dict[str, Any]:
        _check_domestic(params)
        if params["DocumentType"] not in (0, 1, 2, 3, 4, 7) or params["SignType"] not in (0, 1, 4, 5):
            raise _Refusal("InvalidParameterValue.InvalidDocumentType", "签名类型与证明类型不匹配。")
        if params["SignPurpose"] not in (0, 1):
            raise _Refusal("InvalidParameterValue.InvalidSignPurpose", "SignPurpose 须为0或1。")
        if not 2 <= len(params["SignName"]) <= 12:
            raise _Refusal("InvalidParameterValue.SignNameLengthTooLong", "签名长度须为2-12字。")
        review = self._door.submit_review(
            subject=Subject.SIGNATURE,
            name=params["SignName"],
            text=params["SignName"],
            purpose=Purpose.NOTIFICATION,
            extra={"qualification": params["QualificationId"], "remark": params.get("Remark", "")},
        )
        return {"AddSignStatus": {"SignId": _FIRST_SIGNATURE + review.number}}

    def _describe_signatures(self, params: Params) -> dict[str, Any]:
        rows = [
            {
                "SignId": _FIRST_SIGNATURE + review.number,
                "International": 0,
                "StatusCode": _status(review),
                "ReviewReply": review.reason,
                "SignName": review.name,
                "CreateTime": int(review.created_at.timestamp()),
                "QualificationId": review.extra.get("qualification", 0),
                "QualificationName": review.name,
                "QualificationStatusCode": 1,
            }
            for review in self._door.reviews(Subject.SIGNATURE)
        ]
        return {"DescribeSignListStatusSet": _chosen(rows, params, "SignIdSet", "SignId")}

    def _describe_numbers(self, params: Params) -> dict[str, Any]:
        numbers = params["PhoneNumberSet"]
        if not numbers:
            raise _Refusal("MissingParameter.EmptyPhoneNumberSet", "传入的号码列表为空。")
        if len(numbers) > 200:
            raise _Refusal("LimitExceeded.PhoneNumberCountLimit", "单次提交的手机号个数超过200。")
        return {"PhoneNumberInfoSet": [_number_row(number) for number in numbers]}

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        """短信下发状态通知: an array, every field a string."""
        items = [
            {
                "user_receive_time": stamp(claim.claimed_at),
                "nationcode": "86",
                "mobile": national(claim.number),
                "report_status": _report_status(claim.state),
                "errmsg": claim.code,
                "description": _description(claim.state),
                "sid": claim.key,
            }
            for claim in claims
        ]
        return _push(items) if items else None

    def push_reply(self, reply: Reply) -> PushOut | None:
        """短信回复: one object; `time` is a number."""
        return _push(
            {
                "extend": reply.extension,
                "mobile": national(reply.number),
                "nationcode": "86",
                "sign": reply.signature,
                "text": reply.text,
                "time": int(reply.sent_at.timestamp()),
            }
        )

    def push_decision(self, review: Review) -> PushOut | None:
        """Never: no push of review results was found; customers ask."""
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200 and `{"result":0,…}`."""
        if status != 200:
            return False
        try:
            value = read_json(body)
        except ValueError:
            return False
        result = value.get("result") if isinstance(value, dict) else None
        return isinstance(result, int) and not isinstance(result, bool) and result == 0


_TYPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "String": lambda value: isinstance(value, str),
    "Integer": lambda value: isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63,
    "Array of String": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "Array of Integer": lambda value: (
        isinstance(value, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in value)
    ),
}
_BY_NUMBER: Final = {
    "BeginTime": "Integer",
    "EndTime": "Integer",
    "Offset": "Integer",
    "Limit": "Integer",
    "PhoneNumber": "String",
    "SmsSdkAppId": "String",
}
_BY_HOURS: Final = {
    "BeginTime": "String",
    "EndTime": "String",
    "SmsSdkAppId": "String",
    "Limit": "Integer",
    "Offset": "Integer",
}
_QUEUE: Final = {"Limit": "Integer", "SmsSdkAppId": "String"}

ACTIONS: Final[Mapping[str, _Action]] = {
    "SendSms": _Action(
        takes={
            "PhoneNumberSet": "Array of String",
            "SmsSdkAppId": "String",
            "TemplateId": "String",
            "SignName": "String",
            "TemplateParamSet": "Array of String",
            "ExtendCode": "String",
            "SessionContext": "String",
            "SenderId": "String",
        },
        needs=("PhoneNumberSet", "SmsSdkAppId", "TemplateId"),
        answer=Counterpart._send,
    ),
    "PullSmsSendStatus": _Action(takes=_QUEUE, needs=tuple(_QUEUE), answer=Counterpart._pull_reports),
    "PullSmsSendStatusByPhoneNumber": _Action(
        takes=_BY_NUMBER, needs=tuple(_BY_NUMBER), answer=Counterpart._pull_reports_of
    ),
    "PullSmsReplyStatus": _Action(takes=_QUEUE, needs=tuple(_QUEUE), answer=Counterpart._pull_replies),
    "PullSmsReplyStatusByPhoneNumber": _Action(
        takes=_BY_NUMBER, needs=tuple(_BY_NUMBER), answer=Counterpart._pull_replies_of
    ),
    "SendStatusStatistics": _Action(takes=_BY_HOURS, needs=tuple(_BY_HOURS), answer=Counterpart._send_statistics),
    "CallbackStatusStatistics": _Action(
        takes=_BY_HOURS, needs=tuple(_BY_HOURS), answer=Counterpart._callback_statistics
    ),
    "SmsPackagesStatistics": _Action(
        takes=_BY_HOURS, needs=("SmsSdkAppId", "Limit", "Offset"), answer=Counterpart._packages
    ),
    "AddSmsTemplate": _Action(
        takes={
            "TemplateName": "String",
            "TemplateContent": "String",
            "SmsType": "Integer",
            "International": "Integer",
            "Remark": "String",
        },
        needs=("TemplateName", "TemplateContent", "SmsType", "International", "Remark"),
        answer=Counterpart._add_template,
    ),
    "DescribeSmsTemplateList": _Action(
        takes={
            "International": "Integer",
            "TemplateIdSet": "Array of Integer",
            "Limit": "Integer",
            "Offset": "Integer",
        },
        needs=("International",),
        answer=Counterpart._describe_templates,
    ),
    "DeleteSmsTemplate": _Action(
        takes={"TemplateId": "Integer"}, needs=("TemplateId",), answer=Counterpart._delete_template
    ),
    "AddSmsSign": _Action(
        takes={
            "SignName": "String",
            "SignType": "Integer",
            "DocumentType": "Integer",
            "International": "Integer",
            "SignPurpose": "Integer",
            "ProofImage": "String",
            "CommissionImage": "String",
            "Remark": "String",
            "QualificationId": "Integer",
        },
        needs=("SignName", "SignType", "DocumentType", "International", "SignPurpose", "QualificationId"),
        answer=Counterpart._add_signature,
    ),
    "DescribeSmsSignList": _Action(
        takes={"International": "Integer", "SignIdSet": "Array of Integer", "Limit": "Integer", "Offset": "Integer"},
        needs=("International",),
        answer=Counterpart._describe_signatures,
    ),
    "DescribePhoneNumberInfo": _Action(
        takes={"PhoneNumberSet": "Array of String"}, needs=("PhoneNumberSet",), answer=Counterpart._describe_numbers
    ),
}


def _wrong_signature() -> _Refusal:
    return _Refusal("AuthFailure.SignatureFailure", "签名错误，请检查签名计算过程。")


def _as_signed(name: str, value: str) -> str:
    # Content type and host count byte for byte; other headers are signed in lower case.
    return value if name in ("content-type", "host") else value.lower()


def _short(text: str) -> str:
    """What stands for a content in the tally."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _limit(params: Params, most: int) -> int:
    limit = params["Limit"]
    if not 1 <= limit <= most:
        raise _Refusal("InvalidParameterValue.LimitVerifyFail", f"Limit 须为1-{most}。")
    if params.get("Offset", 0) < 0:
        raise _Refusal("InvalidParameterValue.OffsetVerifyFail", "Offset 须不小于0。")
    return int(limit)


def _page(rows: list[dict[str, Any]], params: Params) -> list[dict[str, Any]]:
    return rows[params["Offset"] : params["Offset"] + params["Limit"]]


def _chosen(rows: list[dict[str, Any]], params: Params, ids: str, key: str) -> list[dict[str, Any]]:
    """Rows by their ids, or one page of all; domestic ones only."""
    if params["International"] not in (0, 1):
        raise _Refusal("InvalidParameterValue.InvalidInternational", "International 须为0或1。")
    wanted = params.get(ids, [])
    if len(wanted) > 100:
        raise _Refusal("InvalidParameter", f"{ids} 的长度须不超过100。")
    if params["International"] == 1:
        return []
    if wanted:
        return [row for row in rows if row[key] in wanted]
    limit, offset = params.get("Limit", 0), params.get("Offset", 0)
    if not 0 <= limit <= 100:
        raise _Refusal("InvalidParameterValue.LimitVerifyFail", "Limit 须不超过100。")
    if offset < 0:
        raise _Refusal("InvalidParameterValue.OffsetVerifyFail", "Offset 须不小于0。")
    return rows[offset : offset + limit]


def _check_domestic(params: Params) -> None:
    if params["International"] not in (0, 1):
        raise _Refusal("InvalidParameterValue.InvalidInternational", "International 须为0或1。")
    if params["International"] == 1:
        raise _Refusal("UnsupportedOperation", "此处仅支持国内短信。")


def _from_hour(text: str) -> datetime | None:
    """Read `yyyymmddhh` in Beijing time."""
    if not _HOUR_STAMP.fullmatch(text) or not "1970" <= text[:4] < "9000":
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H").replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError:
        return None


def _status(review: Review) -> int:
    match review.verdict:
        case None:
            return 1
        case ReviewVerdict.APPROVED:
            return 0
        case ReviewVerdict.REJECTED:
            return -1


def _filed_row(filed: FiledTemplate) -> dict[str, Any]:
    content = filed.text
    for position, name in enumerate(names_in(filed.text), start=1):
        content = content.replace("{" + name + "}", "{" + str(position) + "}")
    return {
        "TemplateId": int(filed.id),
        "International": 0,
        "StatusCode": 0 if filed.approved else -1,
        "ReviewReply": "",
        "TemplateName": filed.id,
        "TemplateContent": content,
        "CreateTime": 0,
    }


def _template_row(review: Review) -> dict[str, Any]:
    return {
        "TemplateId": _FIRST_TEMPLATE + review.number,
        "International": 0,
        "StatusCode": _status(review),
        "ReviewReply": review.reason,
        "TemplateName": review.name,
        "TemplateContent": review.extra.get("content", review.text),
        "CreateTime": int(review.created_at.timestamp()),
    }


def _number_fields(number: str) -> dict[str, str]:
    return {"CountryCode": "86", "SubscriberNumber": national(number), "PhoneNumber": number}


def _number_row(written: str) -> dict[str, str]:
    number = mainland(written)
    if number is None:
        code = "InvalidParameterValue.IncorrectPhoneNumber"
        return {
            "Code": code,
            "Message": MESSAGES[code],
            "NationCode": "",
            "SubscriberNumber": "",
            "PhoneNumber": written,
            "IsoCode": "DEF",
            "IsoName": "",
        }
    return {
        "Code": "Ok",
        "Message": "get phone number info success",
        "NationCode": "86",
        "SubscriberNumber": national(number),
        "PhoneNumber": number,
        "IsoCode": "CN",
        "IsoName": "China",
    }


def _report_status(state: DeliveryState) -> str:
    return "SUCCESS" if state is DeliveryState.DELIVERED else "FAIL"


def _description(state: DeliveryState) -> str:
    return "用户短信送达成功" if state is DeliveryState.DELIVERED else "用户短信送达失败"


def _claim_row(claim: Claim) -> dict[str, Any]:
    return {
        "UserReceiveTime": int(claim.claimed_at.timestamp()),
        **_number_fields(claim.number),
        "SerialNo": claim.key,
        "ReportStatus": _report_status(claim.state),
        "Description": claim.code,
        "SessionContext": claim.reference or "",
    }


def _reply_row(reply: Reply) -> dict[str, Any]:
    return {
        "ExtendCode": reply.extension,
        **_number_fields(reply.number),
        "SignName": reply.signature,
        "ReplyContent": reply.text,
        "ReplyTime": int(reply.sent_at.timestamp()),
    }


def _push(value: Any) -> PushOut:
    return PushOut(body=json.dumps(value, ensure_ascii=False).encode(), content_type="application/json")

"""Tencent Cloud SMS 腾讯云短信: sms 2021-01-11 (API 3.0), signed TC3-HMAC-SHA256.

Sends by template with parameters by position. One SerialNo a number. HTTP is 200 for yes and no alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import httpx

from harness.capabilities import (
    Account,
    Acknowledgement,
    Capability,
    Credential,
    Document,
    Manifest,
    Mapped,
    NotOffered,
    Pace,
    Push,
    PushRefused,
    PushRequest,
    Standing,
    Tools,
)
from harness.domain import (
    BEIJING,
    Accepted,
    Balance,
    DeliveryState,
    InboundMessage,
    Message,
    Outcome,
    Purpose,
    Reason,
    Record,
    Refused,
    ReviewDecision,
    ReviewDraft,
    ReviewVerdict,
    StatisticsRow,
    StatusReport,
    Subject,
    Ticket,
)
from harness.errors import Unintelligible, VendorTrouble
from harness.flow import Flow, read_object
from harness.text import fill, variables
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

REASONS: Final[Mapping[str, Mapped]] = {
    "FailedOperation.PhoneNumberInBlacklist": Mapped(
        Reason.BLACKLISTED, note="免打扰名单: opted out, or a carrier's list"
    ),
    "FailedOperation.ContainSensitiveWord": Mapped(Reason.SENSITIVE_CONTENT),
    "InvalidParameter.DirtyWordFound": Mapped(Reason.SENSITIVE_CONTENT),
    "InvalidParameterValue.TemplateWithDirtyWords": Mapped(
        Reason.SENSITIVE_CONTENT, note="when a template is handed in"
    ),
    "LimitExceeded.PhoneNumberThirtySecondLimit": Mapped(Reason.FREQUENCY_CAP),
    "LimitExceeded.PhoneNumberOneHourLimit": Mapped(Reason.FREQUENCY_CAP),
    "LimitExceeded.PhoneNumberDailyLimit": Mapped(Reason.FREQUENCY_CAP),
    "LimitExceeded.PhoneNumberSameContentDailyLimit": Mapped(Reason.FREQUENCY_CAP),
    "LimitExceeded.DeliveryFrequencyLimit": Mapped(Reason.FREQUENCY_CAP),
    "LimitExceeded.AppDailyLimit": Mapped(Reason.QUOTA, note="our own limit, set in the console"),
    "LimitExceeded.DailyLimit": Mapped(Reason.QUOTA, note="of the account, abroad"),
    "LimitExceeded.AppMainlandChinaDailyLimit": Mapped(Reason.QUOTA, note="our own limit, set in the console"),
    "LimitExceeded.PhoneNumberCountLimit": Mapped(Reason.BAD_REQUEST, note="more than 200 numbers"),
    "FailedOperation.InsufficientBalanceInSmsPackage": Mapped(Reason.BALANCE),
    "UnauthorizedOperation.ServiceSuspendDueToArrears": Mapped(Reason.BALANCE),
    "FailedOperation.SignatureIncorrectOrUnapproved": Mapped(Reason.SIGNATURE_NOT_APPROVED),
    "FailedOperation.MissingSignature": Mapped(Reason.SIGNATURE_NOT_APPROVED),
    "FailedOperation.TemplateIncorrectOrUnapproved": Mapped(Reason.TEMPLATE_NOT_APPROVED),
    "FailedOperation.TemplateUnapprovedOrNotExist": Mapped(Reason.TEMPLATE_NOT_APPROVED),
    "FailedOperation.TemplateIdNotExist": Mapped(Reason.TEMPLATE_NOT_APPROVED),
    "FailedOperation.TemplateParamSetNotMatchApprovedTemplate": Mapped(
        Reason.BAD_REQUEST, note="parameters miscounted"
    ),
    "InvalidParameterValue.TemplateParameterFormatError": Mapped(Reason.BAD_REQUEST, note="codes take 0-6 digits"),
    "InvalidParameterValue.TemplateParameterLengthLimit": Mapped(Reason.BAD_REQUEST, note="6 characters by default"),
    "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter": Mapped(Reason.BAD_REQUEST),
    "InvalidParameterValue.ContentLengthLimit": Mapped(Reason.BAD_REQUEST),
    "InvalidParameterValue.UnsupportedTemplateVariable": Mapped(Reason.BAD_REQUEST, note="no variables by interface"),
    "InvalidParameterValue.MarketingTemplateWithoutUnsubscribe": Mapped(
        Reason.BAD_REQUEST, note="拒收请回复R is missing"
    ),
    "InvalidParameterValue.IncorrectPhoneNumber": Mapped(Reason.INVALID_NUMBER),
    "FailedOperation.PhoneNumberParseFail": Mapped(Reason.INVALID_NUMBER),
    "MissingParameter.EmptyPhoneNumberSet": Mapped(Reason.BAD_REQUEST),
    "UnsupportedOperation": Mapped(Reason.ROUTING, note="mixes of home and abroad"),
    "AuthFailure": Mapped(Reason.AUTH, note="SignatureFailure, SignatureExpire, SecretIdNotFound, TokenFailure, …"),
    "UnauthorizedOperation.SmsSdkAppIdVerifyFail": Mapped(Reason.AUTH),
    "UnauthorizedOperation.RequestIpNotInWhitelist": Mapped(Reason.AUTH),
    "UnauthorizedOperation.RequestPermissionDeny": Mapped(Reason.AUTH),
    "UnauthorizedOperation.SdkAppIdIsDisabled": Mapped(Reason.AUTH),
    "InvalidParameterValue.SdkAppIdNotExist": Mapped(Reason.AUTH),
    "FailedOperation.MarketingSendTimeConstraint": Mapped(Reason.HOURS, note="marketing from 8 to 22 only"),
    "InternalError.RequestTimeException": Mapped(Reason.AUTH, note="our clock is wrong by over 10 minutes"),
    "InternalError.Timeout": Mapped(Reason.VENDOR_FAULT),
    "InternalError.SendAndRecvFail": Mapped(Reason.VENDOR_FAULT),
    "InternalError.OtherError": Mapped(Reason.VENDOR_FAULT),
    "InternalError.UnknownError": Mapped(Reason.VENDOR_FAULT),
    "RequestLimitExceeded": Mapped(Reason.THROTTLED, note="the interface's requests per second"),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "002": Mapped(Reason.UNREACHABLE, note="off or out of reach"),
    "-106": Mapped(Reason.SENSITIVE_CONTENT, note="a carrier's keyword"),
    # Read by Tencent in its own way; others differ (vendors/carrier_codes.py).
    "MK:0000": Mapped(Reason.INVALID_NUMBER),
    "MK:0012": Mapped(Reason.INVALID_NUMBER),
    "MK:0013": Mapped(Reason.INVALID_NUMBER),
    "MN:0001": Mapped(Reason.OUT_OF_SERVICE, "inferred", "empty, stopped or off"),
    "MA:0001": Mapped(Reason.CARRIER_FAULT, note="inside the carrier"),
    "BEYONDN": Mapped(Reason.CARRIER_FAULT, note="inside the carrier"),
}

VERSION: Final = "2021-01-11"
_SERVICE: Final = "sms"
_CONTENT_TYPE: Final = "application/json"
_PULL: Final = 100
_PACKAGES: Final = 500
_SMS_TYPES: Final = {Purpose.MARKETING: 1, Purpose.NOTIFICATION: 2, Purpose.VERIFICATION: 3}
_VERDICTS: Final = {
    "0": ReviewVerdict.APPROVED,
    "2": ReviewVerdict.APPROVED,  # approved, and in force a little later
    "1": None,
    "-1": ReviewVerdict.REJECTED,
}
_CODE: Final = re.compile(r"[A-Za-z0-9:_-]{1,24}")
_TAKEN: Final = Acknowledgement(body=b'{"result":0,"errmsg":"OK"}')
_NOT_TAKEN: Final = Acknowledgement(status=400, body=b'{"result":1,"errmsg":"unreadable"}')


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def canonical_request(host: str, path: str, body: bytes) -> str:
    """The six parts of TC3 for a POST; exactly content-type and host are signed."""
    headers = f"content-type:{_CONTENT_TYPE}\nhost:{host}\n"
    return "\n".join(("POST", path, "", headers, "content-type;host", signing.sha256_hex(body)))


def scope(moment: datetime) -> str:
    """What a signature is good for: one UTC day and this service."""
    return f"{moment:%Y-%m-%d}/{_SERVICE}/tc3_request"


def string_to_sign(moment: datetime, request: str) -> str:
    """Algorithm, Unix seconds, scope, and the canonical request's digest."""
    digest = signing.sha256_hex(request.encode())
    return f"TC3-HMAC-SHA256\n{int(moment.timestamp())}\n{scope(moment)}\n{digest}"


def signing_key(secret: str, moment: datetime) -> bytes:
    """A key derived in three steps from the secret, the UTC day, and the service."""
    key = signing.hmac_sha256(f"TC3{secret}".encode(), f"{moment:%Y-%m-%d}".encode())
    return signing.hmac_sha256(signing.hmac_sha256(key, _SERVICE.encode()), b"tc3_request")


def authorization(secret_id: str, secret: str, moment: datetime, request: str) -> str:
    """The Authorization header."""
    signature = signing.hmac_sha256(signing_key(secret, moment), string_to_sign(moment, request).encode()).hex()
    credential = f"{secret_id}/{scope(moment)}"
    return f"TC3-HMAC-SHA256 Credential={credential}, SignedHeaders=content-type;host, Signature={signature}"


class Vendor:
    """One application (SmsSdkAppId) at Tencent Cloud SMS."""

    manifest = Manifest(
        id="tencent",
        name={"zh-CN": "腾讯云短信", "en": "Tencent Cloud SMS"},
        credentials=(Credential("secret_id"), Credential("secret_key", secret=True), Credential("sdk_app_id")),
        documents=(
            Document(
                "SMS API 2021-01-11: SendSms, pulls, statistics, templates, signatures, error codes", date(2026, 3, 2)
            ),
            Document("短信下发状态通知 5807, 短信回复 5809, 错误码 38780, 59177", date(2026, 3, 2)),
        ),
        absent={
            Capability.SUBMITS_IN_BULK: NotOffered(
                "one request takes 200 numbers but one set of parameters for them all, and our texts all differ"
            ),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no interface; the list 免打扰名单 is kept by the vendor"),
            Capability.EDITS_BLACKLIST: NotOffered("no interface; the list 免打扰名单 is kept by the vendor"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://sms.tencentcloudapi.com",
        # 3000 a second; by default one number gets one text per 30 seconds and two messages a day, until raised in
        # the console (faq 13303, November 2025).
        pace=Pace(per_second=3000, burst=100, same_number_seconds=30, per_number_per_day=2),
        by_template=True,
        options={
            "region": "ap-guangzhou",
            "sign_type": "0",  # 0 company, 4 trademark, 5 government
            "document_type": "1",  # 1 business licence
            "sign_purpose": "0",  # 0 our own, 1 for another
            "qualification_id": "",  # needed to file a signature
            "proof_image": "",  # Base64; needed to file a signature
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = httpx.URL(reading.base(account, self.manifest) + "/")

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        if message.template is None:
            raise reading.not_sent("Tencent Cloud sends by template, and this message names none")
        fields: dict[str, object] = {
            "PhoneNumberSet": [message.to.number],
            "SmsSdkAppId": self._app,
            "TemplateId": message.template,
            "SignName": message.signature,
            "TemplateParamSet": list(message.parameters.values()),
        }
        if message.reference:
            fields["SessionContext"] = message.reference
        reply = yield self._request("SendSms", fields)
        response = _response(reply)
        if error := _error(response):
            return reading.refused(*error, REASONS)
        entry = _only(reading.rows(response, "SendStatusSet"), reply)
        if (code := reading.identifier(entry, "Code")) == "Ok":
            return Accepted(
                vendor_message_id=reading.identifier(entry, "SerialNo"), segments=reading.count(entry, "Fee")
            )
        return reading.refused(code, reading.text(entry, "Message"), REASONS)

    # --- pulls ---

    def pull_reports(self) -> Flow[Sequence[StatusReport]]:
        return self._drain("PullSmsSendStatus", "PullSmsSendStatusSet", _pulled_report)

    def pull_inbound(self) -> Flow[Sequence[InboundMessage]]:
        return self._drain("PullSmsReplyStatus", "PullSmsReplyStatusSet", _pulled_reply)

    def _drain(self, action: str, key: str, read: Any) -> Flow[Sequence[Any]]:
        fields = {"Limit": _PULL, "SmsSdkAppId": self._app}
        return reading.drain(
            lambda: self._request(action, fields),
            lambda reply: reading.rows(_asked(reply), key),
            read,
            page_size=_PULL,
        )

    # --- reviews ---

    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        fields: dict[str, object] = {
            "SignName": draft.text,
            "SignType": self._whole("sign_type"),
            "DocumentType": self._whole("document_type"),
            "International": 0,
            "SignPurpose": self._whole("sign_purpose"),
            "ProofImage": self._options["proof_image"],
            "QualificationId": self._whole("qualification_id"),
            "Remark": draft.remark,
        }
        if not fields["ProofImage"]:
            raise reading.not_sent("filing a signature needs the option proof_image")
        reply = yield self._request("AddSmsSign", fields)
        response = _response(reply)
        if error := _error(response):
            return reading.refused(*error, REASONS)
        id_ = reading.identifier(reading.child(response, "AddSignStatus"), "SignId")
        return Ticket(subject=Subject.SIGNATURE, id=id_, name=draft.name)

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        response = yield from self._ask("DescribeSmsSignList", {"International": 0, "SignIdSet": [_number(ticket)]})
        return _decision(Subject.SIGNATURE, ticket, reading.rows(response, "DescribeSignListStatusSet"), "SignId")

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        positions = {name: f"{{{place}}}" for place, name in enumerate(variables(draft.text), start=1)}
        fields = {
            "TemplateName": draft.name,
            "TemplateContent": fill(draft.text, positions),
            "SmsType": _SMS_TYPES[draft.purpose],
            "International": 0,
            "Remark": draft.remark,
        }
        reply = yield self._request("AddSmsTemplate", fields)
        response = _response(reply)
        if error := _error(response):
            return reading.refused(*error, REASONS)
        id_ = reading.identifier(reading.child(response, "AddTemplateStatus"), "TemplateId")
        return Ticket(subject=Subject.TEMPLATE, id=id_, name=draft.name)

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        fields = {"International": 0, "TemplateIdSet": [_number(ticket)]}
        response = yield from self._ask("DescribeSmsTemplateList", fields)
        return _decision(Subject.TEMPLATE, ticket, reading.rows(response, "DescribeTemplateStatusSet"), "TemplateId")

    # --- records, counts, balance ---

    def find_records(self, number: str, day: date) -> Flow[Sequence[Record]]:
        """Only messages with a status report, of the last seven days; the vendor takes no offset: 100 rows at most."""
        begin = int(reading.midnight(day).timestamp())
        fields = {
            "BeginTime": begin,
            "EndTime": begin + 86_399,
            "Offset": 0,
            "Limit": _PULL,
            "PhoneNumber": number,
            "SmsSdkAppId": self._app,
        }
        reply = yield self._request("PullSmsSendStatusByPhoneNumber", fields)
        items = reading.rows(_asked(reply), "PullSmsSendStatusSet")
        return tuple(reading.all_readable(items, _record, reply))

    def statistics(self, first: date, last: date) -> Flow[Sequence[StatisticsRow]]:
        """Two questions a day: what was sent, and what was reported."""
        found = []
        for day in reading.days(first, last):
            hours = {"BeginTime": f"{day:%Y%m%d}00", "EndTime": f"{day:%Y%m%d}23"}
            span = {**hours, "SmsSdkAppId": self._app, "Limit": 0, "Offset": 0}
            sent = reading.child((yield from self._ask("SendStatusStatistics", span)), "SendStatusStatistics")
            told = yield from self._ask("CallbackStatusStatistics", span)
            found.append(_statistics_row(day, sent, reading.child(told, "CallbackStatusStatistics")))
        return tuple(found)

    def balance(self) -> Flow[Balance]:
        """What is left in packages that are in force; packages older than three years are not asked for."""
        now = self._tools.now()
        span = {
            # EndTime must lie before now, and both are whole hours.
            "BeginTime": f"{(now - timedelta(days=3 * 365)).astimezone(BEIJING):%Y%m%d%H}",
            "EndTime": f"{(now - timedelta(hours=1)).astimezone(BEIJING):%Y%m%d%H}",
            "SmsSdkAppId": self._app,
            "Limit": _PACKAGES,
        }
        left = yield from reading.paged(
            lambda page: self._request("SmsPackagesStatistics", {**span, "Offset": (page - 1) * _PACKAGES}),
            lambda reply: (reading.rows(_asked(reply), "SmsPackagesStatisticsSet"), None),
            lambda item: _left(item, now),
            page_size=_PACKAGES,
        )
        return Balance(messages=sum(left))

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        try:
            body = reading.parse(request.body)
            items = body if isinstance(body, list) else [body]
            return reading.sort_push(items, _reader, _TAKEN)
        except ValueError as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    # --- the wire ---

    @property
    def _app(self) -> str:
        return self._account.secret("sdk_app_id")

    def _whole(self, option: str) -> int:
        written = self._options[option]
        if not re.fullmatch(r"[0-9]{1,18}", written):
            raise reading.not_sent(f"filing a signature needs the option {option}, a whole number")
        return int(written)

    def _ask(self, action: str, fields: Mapping[str, object]) -> Flow[dict[str, Any]]:
        return _asked((yield self._request(action, fields)))

    def _request(self, action: str, fields: Mapping[str, object]) -> httpx.Request:
        moment, host = self._tools.now().astimezone(UTC), self._url.netloc.decode("ascii")
        body = json.dumps(fields).encode("ascii")
        request = canonical_request(host, self._url.path, body)
        key_id, secret = self._account.secret("secret_id"), self._account.secret("secret_key")
        headers = {
            "host": host,
            "content-type": _CONTENT_TYPE,
            "x-tc-action": action,
            "x-tc-version": VERSION,
            "x-tc-timestamp": str(int(moment.timestamp())),
            "x-tc-region": self._options["region"],
            "authorization": authorization(key_id, secret, moment, request),
        }
        return httpx.Request("POST", self._url, headers=headers, content=body)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _response(reply: httpx.Response) -> dict[str, Any]:
    response = reading.child(read_object(reply), "Response")
    if reply.is_error and response.get("Error") is None:
        raise Unintelligible(f"HTTP {reply.status_code} without an error in the body", body=reply.content)
    return response


def _error(response: Mapping[str, Any]) -> tuple[str, str] | None:
    """The code and the words of a no, if it is one."""
    if response.get("Error") is None:
        return None
    error = reading.child(response, "Error")
    return reading.identifier(error, "Code"), reading.text(error, "Message")


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The response to a question. Raises VendorTrouble for a no."""
    response = _response(reply)
    if error := _error(response):
        raise reading.denied(*error, REASONS)
    return response


def _only(items: Sequence[object], reply: httpx.Response) -> dict[str, Any]:
    match items:
        case [dict() as entry]:
            return entry
        case _:
            raise Unintelligible("expected the status of one number", body=reply.content)


def _number(ticket: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", ticket):
        raise reading.not_sent("a ticket of Tencent Cloud is a whole number")
    return int(ticket)


def _decision(subject: Subject, ticket: str, items: Sequence[object], key: str) -> ReviewDecision | None:
    """No stamp of the decision is told."""
    for item in items:
        if not isinstance(item, dict) or reading.identifier(item, key) != ticket:
            continue
        status = reading.text(item, "StatusCode")
        if status not in _VERDICTS:
            raise Unintelligible("StatusCode is none that is documented")
        if (verdict := _VERDICTS[status]) is None:
            return None
        reason = reading.text(item, "ReviewReply")
        return ReviewDecision(ticket=ticket, subject=subject, verdict=verdict, reason=reason)
    raise VendorTrouble("the vendor does not know this ticket")


def _state(status: str, code: str) -> DeliveryState:
    match status:
        case "SUCCESS":
            return DeliveryState.DELIVERED
        case "FAIL":
            return failed_state(code)
        case _:
            raise Unintelligible("the report is neither SUCCESS nor FAIL")


def _reason(state: DeliveryState, code: str) -> Reason | None:
    return None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS)


def _pulled_code(item: Mapping[str, Any]) -> str:
    """The carrier's code: Description holds it, or a sentence, where only ReportStatus is left as a code."""
    description = reading.text(item, "Description")
    return description if _CODE.fullmatch(description) else reading.text(item, "ReportStatus")


def _pulled_report(item: Mapping[str, Any]) -> StatusReport:
    code = _pulled_code(item)
    state = _state(reading.text(item, "ReportStatus"), code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "SerialNo"),
        state=state,
        reason=_reason(state, code),
        code=code,
        claimed_at=reading.unix(item, "UserReceiveTime"),
        number=reading.identifier(item, "PhoneNumber"),
        reference=reading.text(item, "SessionContext") or None,
        detail=reading.masked(reading.text(item, "Description")),
    )


def _record(item: Mapping[str, Any]) -> Record:
    report = _pulled_report(item)
    return Record(
        number=reading.identifier(item, "PhoneNumber"),
        sent_at=None,
        vendor_message_id=report.vendor_message_id,
        reference=report.reference,
        state=report.state,
        code=report.code,
        reported_at=report.claimed_at,
    )


def _pulled_reply(item: Mapping[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "PhoneNumber"),
        to=reading.text(item, "ExtendCode"),
        text=reading.text(item, "ReplyContent"),
        sent_at=reading.unix(item, "ReplyTime"),
    )


def _statistics_row(day: date, sent: Mapping[str, Any], told: Mapping[str, Any]) -> StatisticsRow:
    taken, reported = reading.count(told, "RequestSuccessCount"), reading.count(told, "CallbackCount")
    since = reading.midnight(day)
    return StatisticsRow(
        since=since,
        until=since + timedelta(days=1),
        carrier=None,
        submitted=reading.count(sent, "RequestCount"),
        billed_segments=reading.count(sent, "FeeCount"),
        delivered=reading.count(told, "CallbackSuccessCount"),
        undelivered=reading.count(told, "CallbackFailCount"),
        unreported=None if taken is None or reported is None or reported > taken else taken - reported,
    )


def _left(item: Mapping[str, Any], now: datetime) -> int:
    size, used = reading.count(item, "PackageAmount"), reading.count(item, "CurrentUsage")
    if size is None or used is None:
        raise Unintelligible("a package without its size or use")
    begins, ends = reading.unix(item, "PackageEffectiveTime"), reading.unix(item, "PackageExpiredTime")
    in_force = (begins is None or begins <= now) and (ends is None or now < ends)
    return max(0, size - used) if in_force else 0


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    if item.keys() & {"sid", "report_status"}:
        return _report
    return _inbound if "text" in item and item.keys() & {"mobile", "time"} else None


def _full_number(item: Mapping[str, Any]) -> str:
    country, mobile = reading.text(item, "nationcode"), reading.identifier(item, "mobile")
    return f"+{country}{mobile}" if country and not mobile.startswith("+") else mobile


def _report(item: dict[str, Any]) -> StatusReport:
    code = reading.text(item, "errmsg")
    state = _state(reading.text(item, "report_status"), code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "sid"),
        state=state,
        reason=_reason(state, code),
        code=code,
        claimed_at=reading.beijing(item, "user_receive_time"),
        number=_full_number(item),
        detail=reading.masked(reading.text(item, "description")),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=_full_number(item),
        to=reading.text(item, "extend"),
        text=reading.text(item, "text"),
        sent_at=reading.unix(item, "time"),
    )

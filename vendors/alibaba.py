"""Alibaba Cloud SMS 阿里云短信: Dysmsapi 2017-05-25, signed ACS3-HMAC-SHA256, or RPC HMAC-SHA1 with `signing: v1`.

Sends by template. One BizId names a whole request, so reports of a bulk are told apart by id and number together.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, timedelta
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
    NotYetWritten,
    Pace,
    Push,
    PushRefused,
    PushRequest,
    Standing,
    Tools,
)
from harness.domain import (
    Accepted,
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
    "isv.BUSINESS_LIMIT_CONTROL": Mapped(Reason.FREQUENCY_CAP, note="触发分钟级流控Permits:1, 小时级:5, 天级:10"),
    "isv.DAY_LIMIT_CONTROL": Mapped(Reason.QUOTA, note="our own daily limit, set in the console"),
    "isv.MONTH_LIMIT_CONTROL": Mapped(Reason.QUOTA, note="our own monthly limit, set in the console"),
    "isv.AMOUNT_NOT_ENOUGH": Mapped(Reason.BALANCE, "copied"),
    "isv.OUT_OF_SERVICE": Mapped(Reason.BALANCE, note="stopped for arrears"),
    "isv.SMS_SIGNATURE_ILLEGAL": Mapped(Reason.SIGNATURE_NOT_APPROVED, "copied"),
    "isv.SMS_SIGN_ILLEGAL": Mapped(Reason.SIGNATURE_NOT_APPROVED),
    "isv.SIGN_STATE_ILLEGAL": Mapped(Reason.SIGNATURE_NOT_APPROVED),
    "isv.SMS_SIGNATURE_SCENE_ILLEGAL": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="signature not for this purpose"),
    "isv.SMS_TEMPLATE_ILLEGAL": Mapped(Reason.TEMPLATE_NOT_APPROVED, "copied"),
    "isv.INVALID_PARAMETERS": Mapped(Reason.BAD_REQUEST, "copied"),
    "isv.TEMPLATE_MISSING_PARAMETERS": Mapped(Reason.BAD_REQUEST, "copied"),
    "isv.TEMPLATE_PARAMS_ILLEGAL": Mapped(Reason.BAD_REQUEST, "copied"),
    "isv.PARAM_LENGTH_LIMIT": Mapped(Reason.BAD_REQUEST, "copied"),
    "isv.INVALID_JSON_PARAM": Mapped(Reason.BAD_REQUEST, "copied"),
    "isv.PARAM_NOT_SUPPORT_URL": Mapped(Reason.BAD_REQUEST, "copied"),
    "isv.EXTEND_CODE_ERROR": Mapped(Reason.BAD_REQUEST),
    "isv.MOBILE_NUMBER_ILLEGAL": Mapped(Reason.INVALID_NUMBER, "copied"),
    "isv.MOBILE_COUNT_OVER_LIMIT": Mapped(Reason.BAD_REQUEST, "copied"),
    "isv.DOMESTIC_NUMBER_NOT_SUPPORTED": Mapped(Reason.ROUTING),
    "isv.SMS_CONTENT_ILLEGAL": Mapped(Reason.SENSITIVE_CONTENT),
    # One page says a black keyword in a variable, copies of another say 黑名单管控: not decided here.
    "isv.BLACK_KEY_CONTROL_LIMIT": Mapped(
        Reason.UNMAPPED, "copied", "a black word or a blacklisted number: sources differ"
    ),
    "isv.CUSTOMER_REFUSED": Mapped(Reason.OPTED_OUT, "copied", "one source"),
    "isv.DENY_IP_RANGE": Mapped(Reason.AUTH),
    "isp.RAM_PERMISSION_DENY": Mapped(Reason.AUTH),
    "isv.PRODUCT_UN_SUBSCRIPT": Mapped(Reason.AUTH),
    "isv.PRODUCT_UNSUBSCRIBE": Mapped(Reason.AUTH),
    "isv.ACCOUNT_NOT_EXISTS": Mapped(Reason.AUTH),
    "isv.ACCOUNT_ABNORMAL": Mapped(Reason.AUTH),
    "isp.SYSTEM_ERROR": Mapped(Reason.VENDOR_FAULT, "copied"),
    "ServiceUnavailable": Mapped(Reason.VENDOR_FAULT),
    # The gateway in front of every product; a name without its last part stands for the family.
    "InvalidAccessKeyId": Mapped(Reason.AUTH, "inferred", "InvalidAccessKeyId.NotFound"),
    "SignatureDoesNotMatch": Mapped(Reason.AUTH, "inferred"),
    "SignatureNonceUsed": Mapped(Reason.BAD_REQUEST, "inferred", "a request sent twice"),
    "InvalidTimeStamp": Mapped(Reason.AUTH, "inferred", "InvalidTimeStamp.Expired: our clock is wrong"),
    "Forbidden": Mapped(Reason.AUTH, "inferred", "Forbidden.RAM"),
    "Throttling": Mapped(Reason.THROTTLED, "inferred", "Throttling.User, Throttling.Api"),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {}
"""Failures on the platform's side reuse REASONS; the rest are carriers' codes (vendors/carrier_codes.py)."""

BULK_LIMIT: Final = 100
VERSION: Final = "2017-05-25"
_PAGE: Final = 50
_TEMPLATE_TYPES: Final = {Purpose.VERIFICATION: "0", Purpose.NOTIFICATION: "1", Purpose.MARKETING: "2"}
_SEND_STATUS: Final = {"1": DeliveryState.UNKNOWN, "2": DeliveryState.UNDELIVERED, "3": DeliveryState.DELIVERED}
_VERDICTS: Final = {
    "1": ReviewVerdict.APPROVED,
    "approved": ReviewVerdict.APPROVED,
    "2": ReviewVerdict.REJECTED,
    "rejected": ReviewVerdict.REJECTED,
    "0": None,
    "approving": None,
}
_TAKEN: Final = Acknowledgement(body='{"code":0,"msg":"接收成功"}'.encode())
_NOT_TAKEN: Final = Acknowledgement(status=400, body='{"code":1,"msg":"无法解析"}'.encode())


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def canonical_query(query: Mapping[str, str]) -> str:
    """Parameters sorted by name, values percent-encoded; also what stands in the URL."""
    return "&".join(f"{name}={signing.percent(query[name])}" for name in sorted(query))


def canonical_headers(headers: Mapping[str, str]) -> str:
    """One "name:value" line a header, sorted, each line ended."""
    return "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))


def signed_names(headers: Mapping[str, str]) -> str:
    """The signed headers' names, sorted."""
    return ";".join(sorted(headers))


def canonical_request(method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> str:
    """The six parts of ACS3: method, path, query, headers, their names, and the body's digest from the headers."""
    digest = headers["x-acs-content-sha256"]
    return "\n".join((method, path, canonical_query(query), canonical_headers(headers), signed_names(headers), digest))


def authorization(key: str, secret: str, request: str, names: str) -> str:
    """The Authorization header; the secret itself is the HMAC key, nothing is derived from it."""
    to_sign = f"ACS3-HMAC-SHA256\n{signing.sha256_hex(request.encode())}"
    signature = signing.hmac_sha256(secret.encode(), to_sign.encode()).hex()
    return f"ACS3-HMAC-SHA256 Credential={key},SignedHeaders={names},Signature={signature}"


def rpc_signature(method: str, parameters: Mapping[str, str], secret: str) -> str:
    """The older RPC signature, version 1.0: Base64 of HMAC-SHA1 keyed by the secret and "&"."""
    pairs = "&".join(f"{signing.percent(name)}={signing.percent(parameters[name])}" for name in sorted(parameters))
    to_sign = f"{method}&{signing.percent('/')}&{signing.percent(pairs)}"
    return signing.base64_text(signing.hmac_sha1(f"{secret}&".encode(), to_sign.encode()))


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Vendor:
    """One account at Alibaba Cloud SMS."""

    manifest = Manifest(
        id="alibaba",
        name={"zh-CN": "阿里云短信", "en": "Alibaba Cloud SMS"},
        credentials=(Credential("access_key"), Credential("access_secret", secret=True)),
        documents=(
            Document(
                "Dysmsapi 2017-05-25: SendSms, SendBatchSms, QuerySendDetails, templates and signatures",
                date(2026, 3, 2),
            ),
            Document("SmsReport, SmsUp, TemplateSmsReport pushes", date(2026, 3, 2)),
            Document("API错误码; 回执错误码 101347; 短信发送规则", date(2026, 3, 2)),
        ),
        absent={
            Capability.PULLS_REPORTS: NotYetWritten(
                "a queue of another product (MNS) whose wire format we have not seen"
            ),
            Capability.PULLS_INBOUND: NotYetWritten(
                "a queue of another product (MNS) whose wire format we have not seen"
            ),
            Capability.TELLS_BALANCE: NotYetWritten(
                "told by the billing product (BssOpenApi), not by the SMS interface"
            ),
            Capability.TELLS_PRICES: NotOffered("the SMS interface tells no price"),
            Capability.CHECKS_CONTENT: NotOffered("the SMS interface checks no text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("the SMS interface has no blacklist"),
            Capability.EDITS_BLACKLIST: NotOffered("the SMS interface has no blacklist"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://dysmsapi.aliyuncs.com",
        # The documents grant 5000 a second; a verification code goes to one number once a minute, ten times a day.
        pace=Pace(per_second=5000, burst=100, same_number_seconds=60, per_number_per_day=10),
        by_template=True,
        options={
            "signing": "v3",  # or v1
            "qualification_id": "",  # needed to file a signature
            "sign_source": "0",  # 0 company, 5 trademark, 2 app
            "sign_type": "1",  # 0 verification codes only, 1 general
            "variable_rule": "characterWithNumber",  # what a template says its variables hold
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = httpx.URL(reading.base(account, self.manifest) + "/")

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        if message.template is None:
            raise reading.not_sent("Alibaba Cloud sends by template, and this message names none")
        query = {
            "PhoneNumbers": reading.national(message.to.number),
            "SignName": message.signature,
            "TemplateCode": message.template,
        }
        if message.parameters:
            query["TemplateParam"] = _compact(dict(message.parameters))
        if message.reference:
            query["OutId"] = message.reference
        reply = yield self._request("SendSms", query)
        body, code = _answer(reply)
        if code == "OK":
            return Accepted(vendor_message_id=_told(body, "BizId", reply))
        return _refused(body, code, reply)

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        template = messages[0].template
        if template is None or any(message.template != template for message in messages):
            raise reading.not_sent("one bulk request of Alibaba Cloud is for one template")
        # No OutId: one would stand for all, and every report would carry the same reference.
        form = {
            "PhoneNumberJson": _compact([reading.national(message.to.number) for message in messages]),
            "SignNameJson": _compact([message.signature for message in messages]),
            "TemplateParamJson": _compact([dict(message.parameters) for message in messages]),
        }
        reply = yield self._request("SendBatchSms", {"TemplateCode": template}, form)
        body, code = _answer(reply)
        if code == "OK":
            return (Accepted(vendor_message_id=_told(body, "BizId", reply)),) * len(messages)
        return (_refused(body, code, reply),) * len(messages)

    # --- reviews ---

    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        if not self._options["qualification_id"]:
            raise reading.not_sent("filing a signature needs the option qualification_id")
        query = {
            "SignName": draft.text,
            "SignSource": self._options["sign_source"],
            "SignType": self._options["sign_type"],
            "ThirdParty": "false",
            "QualificationId": self._options["qualification_id"],
        }
        if draft.remark:
            query["Remark"] = draft.remark
        reply = yield self._request("CreateSmsSign", query)
        body, code = _answer(reply)
        if code == "OK":  # asked about by its name later; the OrderId is for their staff
            return Ticket(subject=Subject.SIGNATURE, id=_told(body, "SignName", reply), name=draft.name)
        return _refused(body, code, reply)

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        reply = yield self._request("GetSmsSign", {"SignName": ticket})
        return _decision(Subject.SIGNATURE, ticket, "SignStatus", _asked(reply))

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        names = variables(draft.text)
        query = {
            "TemplateName": draft.name,
            "TemplateContent": fill(draft.text, {name: f"${{{name}}}" for name in names}),
            "TemplateType": _TEMPLATE_TYPES[draft.purpose],
        }
        if names:
            query["TemplateRule"] = _compact(dict.fromkeys(names, self._options["variable_rule"]))
        if signature := draft.signature or self._account.signature:
            query["RelatedSignName"] = signature
        if draft.remark:
            query["Remark"] = draft.remark
        reply = yield self._request("CreateSmsTemplate", query)
        body, code = _answer(reply)
        if code == "OK":
            return Ticket(subject=Subject.TEMPLATE, id=_told(body, "TemplateCode", reply), name=draft.name)
        return _refused(body, code, reply)

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        reply = yield self._request("GetSmsTemplate", {"TemplateCode": ticket})
        return _decision(Subject.TEMPLATE, ticket, "TemplateStatus", _asked(reply))

    # --- records and counts ---

    def find_records(self, number: str, day: date) -> Flow[Sequence[Record]]:
        query = {"PhoneNumber": reading.national(number), "SendDate": f"{day:%Y%m%d}", "PageSize": str(_PAGE)}
        return reading.paged(
            lambda page: self._request("QuerySendDetails", {**query, "CurrentPage": str(page)}),
            _records_page,
            _record,
            page_size=_PAGE,
        )

    def statistics(self, first: date, last: date) -> Flow[Sequence[StatisticsRow]]:
        query = {"StartDate": f"{first:%Y%m%d}", "EndDate": f"{last:%Y%m%d}", "IsGlobe": "1", "PageSize": str(_PAGE)}
        return reading.paged(
            lambda page: self._request("QuerySendStatistics", {**query, "PageIndex": str(page)}),
            _statistics_page,
            _statistics_row,
            page_size=_PAGE,
        )

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        kind = reading.push_kind(request.path)
        try:
            items = reading.parse(request.body)
            if not isinstance(items, list):
                raise ValueError("not a JSON array")
            return reading.sort_push(items, lambda item: _reader(item, kind), _TAKEN)
        except ValueError as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    # --- the wire ---

    def _request(self, action: str, query: Mapping[str, str], form: Mapping[str, str] | None = None) -> httpx.Request:
        """Parameters go into the URL of a POST, but the arrays of a bulk into a form."""
        stamp, nonce = f"{self._tools.now().astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", self._tools.nonce()
        key, secret = self._account.secret("access_key"), self._account.secret("access_secret")
        body = "&".join(f"{name}={signing.percent(value)}" for name, value in (form or {}).items()).encode()
        content = {"content-type": "application/x-www-form-urlencoded"} if form else {}
        if self._options["signing"] == "v1":
            public = {
                "AccessKeyId": key,
                "Action": action,
                "Format": "json",
                "SignatureMethod": "HMAC-SHA1",
                "SignatureNonce": nonce,
                "SignatureVersion": "1.0",
                "Timestamp": stamp,
                "Version": VERSION,
            }
            query = {**public, **query}
            query["Signature"] = rpc_signature("POST", {**query, **(form or {})}, secret)
            headers = content
        else:
            signed = {
                "host": self._url.netloc.decode("ascii"),
                "x-acs-action": action,
                "x-acs-content-sha256": signing.sha256_hex(body),
                "x-acs-date": stamp,
                "x-acs-signature-nonce": nonce,
                "x-acs-version": VERSION,
                **content,
            }
            request = canonical_request("POST", self._url.path, query, signed)
            headers = {**signed, "authorization": authorization(key, secret, request, signed_names(signed))}
        url = self._url.copy_with(query=canonical_query(query).encode("ascii"))
        return httpx.Request("POST", url, headers={**headers, "accept": "application/json"}, content=body)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _answer(reply: httpx.Response) -> tuple[dict[str, Any], str]:
    body = read_object(reply)
    code = reading.text(body, "Code")
    if not code or (code == "OK" and reply.is_error):
        raise Unintelligible(f"HTTP {reply.status_code} and Code {code!r}", body=reply.content)
    return body, code


def _refused(body: Mapping[str, Any], code: str, reply: httpx.Response) -> Refused:
    return reading.refused(code, reading.text(body, "Message"), REASONS, retry_after=_retry_after(reply))


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The body of an answer to a question. Raises VendorTrouble for a no."""
    body, code = _answer(reply)
    if code != "OK":
        raise reading.denied(code, reading.text(body, "Message"), REASONS, retry_after=_retry_after(reply))
    return body


def _told(body: Mapping[str, Any], key: str, reply: httpx.Response) -> str:
    try:
        return reading.identifier(body, key)
    except Unintelligible as error:
        raise Unintelligible(f"Code is OK, but {error.detail}", body=reply.content) from error


def _retry_after(reply: httpx.Response) -> float | None:
    """Seconds; their SDK sleeps this header's number in milliseconds."""
    told = reading.count({"told": reply.headers.get("x-acs-retry-after")}, "told")
    return told / 1000 if told else None


def _decision(subject: Subject, ticket: str, status_key: str, body: Mapping[str, Any]) -> ReviewDecision | None:
    status = reading.text(body, status_key)
    if status not in _VERDICTS:  # "10": taken back before it was decided
        raise VendorTrouble(f"{status_key} is {status!r}: neither open nor decided", code=status)
    if (verdict := _VERDICTS[status]) is None:
        return None
    details = body.get("AuditInfo")
    details = details if isinstance(details, dict) else {}
    return ReviewDecision(
        ticket=ticket,
        subject=subject,
        verdict=verdict,
        reason=reading.text(details, "RejectInfo"),
        claimed_at=reading.beijing(details, "AuditDate"),
    )


def _records_page(reply: httpx.Response) -> tuple[list[Any], int | None]:
    body = _asked(reply)
    if (total := reading.count(body, "TotalCount")) == 0:
        return [], 0
    return reading.rows(reading.child(body, "SmsSendDetailDTOs"), "SmsSendDetailDTO"), total


def _record(item: Mapping[str, Any]) -> Record:
    return Record(
        number=reading.identifier(item, "PhoneNum"),
        sent_at=reading.beijing(item, "SendDate"),
        reference=reading.text(item, "OutId") or None,
        state=_SEND_STATUS.get(reading.text(item, "SendStatus"), DeliveryState.UNKNOWN),
        code=reading.text(item, "ErrCode"),
        text=reading.text(item, "Content") or None,
        reported_at=reading.beijing(item, "ReceiveDate"),
    )


def _statistics_page(reply: httpx.Response) -> tuple[list[Any], int | None]:
    data = reading.child(_asked(reply), "Data")
    return reading.rows(data, "TargetList"), reading.count(data, "TotalSize")


def _statistics_row(item: Mapping[str, Any]) -> StatisticsRow:
    since = reading.midnight(reading.calendar_day(item, "SendDate"))
    return StatisticsRow(
        since=since,
        until=since + timedelta(days=1),
        carrier=None,
        billed_segments=reading.count(item, "TotalCount"),  # "billed", says the document, so not messages
        delivered=reading.count(item, "RespondedSuccessCount"),
        undelivered=reading.count(item, "RespondedFailCount"),
        unreported=reading.count(item, "NoRespondedCount"),
    )


def _reader(item: Mapping[str, Any], kind: str | None) -> reading.Reader | None:
    """Which push an item belongs to: its fields tell; the path only helps where the document does not list them."""
    if item.keys() & {"biz_id", "err_code"}:
        return _report
    if item.keys() & {"template_code", "template_status"}:
        return _template_decision
    if "sign_status" in item or (kind == "reviews" and "sign_name" in item):
        return _sign_decision
    return _inbound if item.keys() & {"content", "dest_code"} else None


def _report(item: dict[str, Any]) -> StatusReport:
    code = reading.text(item, "err_code")
    success = {"true": True, "false": False}.get(reading.text(item, "success").lower())
    if success is None:
        raise Unintelligible("success is neither true nor false")
    state = DeliveryState.DELIVERED if success else failed_state(code)
    if not success and code.startswith(("isv.", "isp.")):
        state = DeliveryState.REJECTED  # by the platform itself, before any carrier
    return StatusReport(
        vendor_message_id=reading.identifier(item, "biz_id"),
        state=state,
        reason=None if success else report_reason(code, REPORT_REASONS, REASONS),
        code=code,
        claimed_at=reading.beijing(item, "report_time"),
        number=reading.identifier(item, "phone_number"),
        reference=reading.text(item, "out_id") or None,
        billed_segments=reading.count(item, "sms_size"),
        detail=reading.masked(reading.text(item, "err_msg")),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "phone_number"),
        to=reading.text(item, "dest_code"),
        text=reading.text(item, "content"),
        sent_at=reading.beijing(item, "send_time"),
        vendor_message_id=reading.text(item, "sequence_id"),
    )


def _template_decision(item: dict[str, Any]) -> ReviewDecision | None:
    return _pushed_decision(item, Subject.TEMPLATE, "template_status", "template_code", "template_name")


def _sign_decision(item: dict[str, Any]) -> ReviewDecision | None:
    # The document of this push was not at hand: its fields are taken to be like the template's.
    return _pushed_decision(item, Subject.SIGNATURE, "sign_status", "sign_name", "sign_name")


def _pushed_decision(
    item: dict[str, Any], subject: Subject, status: str, ticket: str, name: str
) -> ReviewDecision | None:
    told = reading.text(item, status).lower()
    if told not in _VERDICTS:
        raise Unintelligible(f"{status} is not a status we know")
    if (verdict := _VERDICTS[told]) is None:
        return None
    return ReviewDecision(
        ticket=reading.identifier(item, ticket),
        subject=subject,
        verdict=verdict,
        reason=reading.text(item, "reason"),
        name=reading.text(item, name),
    )

"""Baidu AI Cloud 百度智能云 SMS v3: JSON in and out, each call signed by bce-auth-v1 over its line and headers.

Sends by template and by the id of a signature, one message id a number. Pushes are signed over their body; the only
cloud with an interface to its blacklist. The body of a request is signed by its length alone.
"""

from __future__ import annotations

import json
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
    Accepted,
    Balance,
    DeliveryState,
    InboundMessage,
    Message,
    Outcome,
    Purpose,
    Reason,
    Refused,
    ReviewDecision,
    ReviewDraft,
    ReviewVerdict,
    StatisticsRow,
    StatusReport,
    Subject,
    Ticket,
)
from harness.errors import Unintelligible
from harness.flow import Flow, read_object
from harness.text import fill, variables
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

_COMMON: Final = "BCE公共错误码 (cloud.baidu.com/doc/Reference, 错误码)"


def _common(reason: Reason, note: str = "") -> Mapped:
    return Mapped(reason, note=note, source=_COMMON)


REASONS: Final[Mapping[str, Mapped]] = {
    "6002": Mapped(Reason.AUTH, note="key, signature, rights or our address"),
    "6005": Mapped(Reason.AUTH, note="the account is disabled"),
    "6006": Mapped(Reason.SIGNATURE_NOT_APPROVED),
    "6012": Mapped(Reason.BALANCE, note="stopped: in arrears"),
    "6013": Mapped(Reason.AUTH, note="the service is not ordered"),
    "4501": Mapped(Reason.BAD_REQUEST),
    "4502": Mapped(Reason.BAD_REQUEST),
    "4503": Mapped(Reason.INVALID_NUMBER, note="its format"),
    "4504": Mapped(Reason.BAD_REQUEST),
    "4505": Mapped(Reason.BAD_REQUEST),
    "4506": Mapped(Reason.BAD_REQUEST),
    "4507": Mapped(Reason.INVALID_NUMBER),
    "4508": Mapped(Reason.BAD_REQUEST, note="over 600 characters"),
    "4511": Mapped(Reason.BAD_REQUEST, note="over 200 numbers"),
    "4512": Mapped(Reason.BAD_REQUEST, note="extension codes are not open to us"),
    "4518": Mapped(Reason.BAD_REQUEST, note="the URL"),
    "4601": Mapped(Reason.BAD_REQUEST, note="names of parameters"),
    "4602": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="not found"),
    "4603": Mapped(Reason.BAD_REQUEST),
    "4605": Mapped(Reason.BAD_REQUEST, note="parameters do not fit the template"),
    "4606": Mapped(Reason.BAD_REQUEST, note="a parameter is too long"),
    "4607": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="in review, or withdrawn"),
    "4608": Mapped(Reason.BAD_REQUEST, note="brackets in a parameter"),
    "4609": Mapped(Reason.ROUTING, note="signature and template are for other countries"),
    "4610": Mapped(Reason.BAD_REQUEST, note="an empty parameter"),
    "4641": Mapped(Reason.BLACKLISTED, note="the vendor's list"),
    "4642": Mapped(Reason.BLACKLISTED, note="the signature's list"),
    "4643": Mapped(Reason.BLACKLISTED, note="the account's own list"),
    "4651": Mapped(Reason.BLACKLISTED, note="complained to the ministry"),
    "4652": Mapped(Reason.BLACKLISTED, note="complained to the carrier"),
    "4653": Mapped(Reason.BLACKLISTED, note="complained to a supplier"),
    "AccessDenied": _common(Reason.AUTH),
    "InvalidAccessKeyId": _common(Reason.AUTH),
    "InvalidHTTPAuthHeader": _common(Reason.AUTH),
    "SignatureDoesNotMatch": Mapped(Reason.AUTH, "inferred", source=_COMMON),
    "RequestExpired": _common(Reason.AUTH, "our clock is wrong"),
    "OptInRequired": _common(Reason.AUTH, "the service is not ordered"),
    "InappropriateJSON": _common(Reason.BAD_REQUEST),
    "InvalidHTTPRequest": _common(Reason.BAD_REQUEST),
    "MalformedJSON": _common(Reason.BAD_REQUEST),
    "InvalidURI": _common(Reason.BAD_REQUEST),
    "InvalidVersion": _common(Reason.BAD_REQUEST),
    "InternalError": _common(Reason.VENDOR_FAULT),
}
"""The codes of a frequency cap and of a word at once stand further down a page that we do not have: unmapped."""

_TO_CARRIER: Final = "of the platform's own submission to a carrier"

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "B:00001": Mapped(Reason.BAD_REQUEST),
    "B:00002": Mapped(Reason.AUTH),
    "B:00003": Mapped(Reason.BAD_REQUEST, note="a link"),
    "B:00004": Mapped(Reason.BAD_REQUEST),
    "B:00005": Mapped(Reason.BAD_REQUEST),
    "B:00006": Mapped(Reason.AUTH, note="the service is not ordered"),
    "B:00007": Mapped(Reason.TEMPLATE_NOT_APPROVED),
    "B:00008": Mapped(Reason.SIGNATURE_NOT_APPROVED),
    "B:00009": Mapped(Reason.SIGNATURE_NOT_APPROVED),
    "B:00010": Mapped(Reason.INVALID_NUMBER),
    "B:00011": Mapped(Reason.SENSITIVE_CONTENT),
    "B:00012": Mapped(Reason.BLACKLISTED),
    "B:00013": Mapped(Reason.SENSITIVE_CONTENT, note="in a variable"),
    "B:00014": Mapped(Reason.BAD_REQUEST),
    "B:00015": Mapped(Reason.BAD_REQUEST),
    "B:00016": Mapped(Reason.AUTH, note="the service is not ordered"),
    "B:00017": Mapped(Reason.VENDOR_FAULT),
    "B:00018": Mapped(Reason.BALANCE, "inferred", "the service is stopped"),
    "B:00019": Mapped(Reason.FREQUENCY_CAP, "inferred", "业务限流"),
    "B:00020": Mapped(Reason.VENDOR_FAULT, "inferred", _TO_CARRIER),
    "B:00021": Mapped(Reason.VENDOR_FAULT, "inferred", _TO_CARRIER),
    "B:00022": Mapped(Reason.VENDOR_FAULT, "inferred", _TO_CARRIER),
    "B:00023": Mapped(Reason.VENDOR_FAULT, "inferred", _TO_CARRIER),
    "B:00024": Mapped(Reason.VENDOR_FAULT, "inferred", _TO_CARRIER),
    "B:00025": Mapped(Reason.VENDOR_FAULT, "inferred", _TO_CARRIER),
    "B:00026": Mapped(Reason.VENDOR_FAULT, "inferred", _TO_CARRIER),
    "B:00027": Mapped(Reason.FREQUENCY_CAP, "inferred", "we are advised to send less often"),
    "B:00028": Mapped(Reason.CARRIER_FAULT, "inferred", "no answer in time"),
    "B:00029": Mapped(Reason.SENSITIVE_CONTENT),
    "B:00030": Mapped(Reason.SENSITIVE_CONTENT, "inferred", "a link that is not allowed"),
    "B:00033": Mapped(Reason.BLACKLISTED, note="the vendor's list"),
    "B:00034": Mapped(Reason.BLACKLISTED, note="the signature's list"),
    "B:00035": Mapped(Reason.BLACKLISTED, note="the account's own list"),
    "B:00036": Mapped(Reason.BLACKLISTED, note="complained to the ministry"),
    "S:00171": Mapped(Reason.OPTED_OUT, note="a supplier's group of those who opted out"),
    "S:00172": Mapped(Reason.BLACKLISTED, note="the gateway's list"),
    "S:00173": Mapped(Reason.ROUTING),
    "S:00174": Mapped(Reason.SENSITIVE_CONTENT),
    "S:00175": Mapped(Reason.TEMPLATE_NOT_APPROVED, "inferred", "content that is not filed"),
    "S:00176": Mapped(Reason.ROUTING),
}

_EXPIRES: Final = 1800  # seconds
_CONTENT_TYPE: Final = "application/json;charset=utf-8"
_PAGE: Final = 100
_TYPES: Final = {
    Purpose.VERIFICATION: "CommonVcode",
    Purpose.NOTIFICATION: "CommonNotice",
    Purpose.MARKETING: "CommonSale",
}
_VERDICTS: Final = {
    "SUBMITTED": None,
    "READY": ReviewVerdict.APPROVED,
    "REJECTED": ReviewVerdict.REJECTED,
    "ABORTED": ReviewVerdict.REJECTED,  # cancelled
    "DEPRECATED": ReviewVerdict.REJECTED,  # it stood once, and may not be used
}
_FEWEST: Final = ("host", "x-bce-date")  # what has to be signed
_TOTAL: Final = "合计"
_TAKEN: Final = Acknowledgement()
_NOT_TAKEN: Final = Acknowledgement(status=403)


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def prefix(access_key: str, moment: datetime) -> str:
    """Version, key, time in UTC, and how long the signature is good for."""
    return f"bce-auth-v1/{access_key}/{moment:%Y-%m-%dT%H:%M:%SZ}/{_EXPIRES}"


def canonical_query(query: Mapping[str, str]) -> str:
    """Names and values percent-encoded, each pair as one text sorted, joined."""
    return "&".join(sorted(f"{signing.percent(name)}={signing.percent(value)}" for name, value in query.items()))


def canonical_headers(headers: Mapping[str, str]) -> str:
    """One line a signed header, its value percent-encoded too; sorted, and no line end behind the last."""
    return "\n".join(sorted(f"{signing.percent(name)}:{signing.percent(headers[name].strip())}" for name in headers))


def canonical_request(method: str, path: str, query: str, headers: Mapping[str, str]) -> str:
    """The four parts: the body is not among them."""
    return f"{method}\n{path}\n{query}\n{canonical_headers(headers)}"


def signing_key(secret: str, words: str) -> str:
    """The key for one request, as hex text: HMAC over the prefix."""
    return signing.hmac_sha256(secret.encode(), words.encode()).hex()


def authorization(access_key: str, secret: str, moment: datetime, headers: Mapping[str, str], request: str) -> str:
    """The Authorization header. `headers`: the signed ones."""
    begin = prefix(access_key, moment)
    signature = signing.hmac_sha256(signing_key(secret, begin).encode(), request.encode()).hex()
    return f"{begin}/{';'.join(sorted(headers))}/{signature}"


def push_signature(token: str, timestamp: str, body: bytes) -> str:
    """What proves a push: MD5 over token, stamp and body as they came."""
    return signing.md5_hex(token.encode() + timestamp.encode() + body)


class Vendor:
    """One account at Baidu AI Cloud SMS, with one signature."""

    manifest = Manifest(
        id="baidu",
        name={"zh-CN": "百度智能云短信", "en": "Baidu AI Cloud SMS"},
        credentials=(
            Credential("access_key"),
            Credential("secret_key", secret=True),
            Credential("signature_id"),  # of the account's signature
            Credential("user_id", optional=True),  # for what is left in packages
            # Without it no push is proven. The vendor's own default for it is the account's id.
            Credential("push_token", secret=True, optional=True),
        ),
        documents=(
            Document("SMS v3: API详情, 短信发送接口响应码, 状态回调, 上行回调, 查询模板", date(2026, 3, 2)),
            Document("短信发送状态回执码 Dkho9df2a; 业务统计 Alo6n5pu4", date(2026, 3, 2)),
            Document("bce-python-sdk 0.9.79, bce-sdk-go 6916310: signature, blacklist, packages", date(2026, 3, 2)),
        ),
        absent={
            Capability.SUBMITS_IN_BULK: NotOffered(
                "one request takes 200 numbers but one set of parameters for them all, and our texts all differ"
            ),
            Capability.PULLS_REPORTS: NotOffered("no queue: reports are pushed only"),
            Capability.PULLS_INBOUND: NotOffered("no queue: replies are pushed only"),
            Capability.FINDS_RECORDS: NotOffered("records can be looked at in the console only"),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://smsv3.bj.baidubce.com",
        # No rate is documented. One signature to one number: 3 a minute, 10 an hour, 50 a day.
        pace=Pace(per_second=10, burst=10, same_number_seconds=60, per_number_per_day=50),
        by_template=True,
        push_is_signed=True,
        options={
            "signed_headers": "all",  # as the official client; host, which signs that and the time only
            "client_token": "none",  # or nonce: an idempotency key with each message, as the Go client sends it
            "status_approved": "approved",  # what APPROVED means; ended, by the page's words (审核终止)
            "content_type": "Enterprise",  # what a filed signature stands for
            "signature_file": "",  # Base64 of its certificate
            "signature_file_format": "png",
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = httpx.URL(reading.base(account, self.manifest))

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        if message.template is None:
            raise reading.not_sent("Baidu sends by template, and this message names none")
        if self._account.signature not in ("", message.signature):
            raise reading.not_sent("Baidu sends by the id of a signature, and the account names that of another")
        fields = {
            "signatureId": self._account.secret("signature_id"),
            "template": message.template,
            "mobile": reading.national(message.to.number),
            "contentVar": dict(message.parameters),
            # Null where there is none, as the official client sends them.
            "custom": message.reference or None,
            "userExtId": None,
            "merchantUrlId": None,
        }
        query = {} if self._options["client_token"] == "none" else {"clientToken": self._tools.nonce()}
        reply = yield self._request("POST", "/api/v3/sendSms", query, fields)
        body = read_object(reply)
        if error := _error(body, reply):
            return reading.refused(*error, REASONS)
        match reading.rows(body, "data"):
            case [dict() as row]:
                pass
            case _:
                raise Unintelligible("expected what became of one number", body=reply.content)
        if (code := reading.identifier(row, "code")) != "1000":
            return reading.refused(code, reading.text(row, "message"), REASONS)
        return Accepted(vendor_message_id=reading.identifier(row, "messageId"))

    # --- reviews ---

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        fields = {
            "name": draft.name,
            "content": fill(draft.text, {name: f"${{{name}}}" for name in variables(draft.text)}),
            "smsType": _TYPES[draft.purpose],
            "countryType": "DOMESTIC",
            "description": draft.remark,
        }
        return (yield from self._apply(Subject.TEMPLATE, "template", "templateId", fields, draft))

    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        fields = {"content": draft.text, "contentType": self._options["content_type"], "countryType": "DOMESTIC"}
        if draft.remark:
            fields["description"] = draft.remark
        if file := self._options["signature_file"]:
            fields |= {"signatureFileBase64": file, "signatureFileFormat": self._options["signature_file_format"]}
        return (yield from self._apply(Subject.SIGNATURE, "signatureApply", "signatureId", fields, draft))

    def _apply(
        self, subject: Subject, function: str, key: str, fields: Mapping[str, object], draft: ReviewDraft
    ) -> Flow[Ticket | Refused]:
        reply = yield self._request("POST", f"/sms/v3/{function}", {"clientToken": self._tools.nonce()}, fields)
        body = read_object(reply)
        if error := _error(body, reply):
            return reading.refused(*error, REASONS)
        return Ticket(subject=subject, id=reading.identifier(body, key), name=draft.name)

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        body = _asked((yield self._request("GET", f"/sms/v3/template/{signing.percent(ticket)}")))
        return self._decision(Subject.TEMPLATE, ticket, body)

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        body = _asked((yield self._request("GET", f"/sms/v3/signatureApply/{signing.percent(ticket)}")))
        return self._decision(Subject.SIGNATURE, ticket, body)

    def _decision(self, subject: Subject, ticket: str, body: Mapping[str, Any]) -> ReviewDecision | None:
        """No stamp of the decision is told."""
        ended = self._options["status_approved"] == "ended"
        verdicts = {**_VERDICTS, "APPROVED": ReviewVerdict.REJECTED if ended else ReviewVerdict.APPROVED}
        status = reading.text(body, "status")
        if status not in verdicts:
            raise Unintelligible("status is none that is documented")
        if (verdict := verdicts[status]) is None:
            return None
        return ReviewDecision(ticket=ticket, subject=subject, verdict=verdict, reason=reading.text(body, "review"))

    # --- counts, balance ---

    def statistics(self, first: date, last: date) -> Flow[Sequence[StatisticsRow]]:
        """A row a day of the last 365, not split by carrier. What the counts of long messages count is unclear."""
        query = {
            "startTime": f"{first} 00:00:00",
            "endTime": f"{last} 23:59:59",
            "smsType": "all",
            "dimension": "day",
            "countryType": "domestic",
        }
        reply = yield self._request("GET", "/sms/v3/summary", query)
        body = _asked(reply)
        # The page calls the list data, the clients statisticsResults.
        items = reading.rows(body, "data" if body.get("statisticsResults") is None else "statisticsResults")
        days = [one for one in items if not (isinstance(one, dict) and one.get("datetime") == _TOTAL)]
        return tuple(reading.all_readable(days, _day_row, reply))

    def balance(self) -> Flow[Balance]:
        """What is left in packages for the mainland that are in force."""
        if "user_id" not in self._account.credentials:
            raise reading.not_sent("Baidu tells what is left by the credential user_id, and the account has none")
        path = f"/sms/v3/prepay/{signing.percent(self._account.secret('user_id'))}"
        query = {"countryType": "DOMESTIC", "packageStatus": "RUNNING", "pageSize": str(_PAGE)}
        left = yield from reading.paged(
            lambda page: self._request("GET", path, {**query, "pageNo": str(page)}),
            _packages,
            _left,
            page_size=_PAGE,
        )
        return Balance(messages=sum(left))

    # --- the blacklist ---

    def is_blocked(self, number: str) -> Flow[bool]:
        """Whether the account's own list has it, for every signature or for ours. The vendor's lists are not shown."""
        ours = self._account.secret("signature_id")
        query = {"phone": reading.national(number), "countryType": "DOMESTIC", "pageSize": str(_PAGE), "pageNo": "1"}
        reply = yield self._request("GET", "/sms/v3/blacklist", query)
        kinds = reading.all_readable(reading.rows(_asked(reply), "blacklists"), _listed, reply)
        return any(kind == "MerchantBlack" or signature == ours for kind, signature in kinds)

    def block(self, number: str) -> Flow[None]:
        fields = {"type": "MerchantBlack", "phone": reading.national(number), "countryType": "DOMESTIC"}
        _done((yield self._request("POST", "/sms/v3/blacklist", {}, fields)))

    def unblock(self, number: str) -> Flow[None]:
        _done((yield self._request("DELETE", "/sms/v3/blacklist/delete", {"phones": reading.national(number)})))

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """One report or reply a push; the stamp of the signature is in milliseconds."""
        try:
            proven = self._prove(request)
            return reading.sort_push([reading.parse(request.body)], _reader, _TAKEN, authenticated=proven)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    def _prove(self, request: PushRequest) -> bool:
        """Whether a push proves itself; False if the account has no token. Raises ValueError: forged or stale."""
        if "push_token" not in self._account.credentials:
            return False
        stamp = request.headers.get("timestamp", "")
        ours = push_signature(self._account.secret("push_token"), stamp, request.body)
        if not signing.matches(ours, request.headers.get("signature", "").lower()):
            raise ValueError("signature does not match")
        reading.check_fresh(reading.milliseconds({"timestamp": stamp}, "timestamp"), request.received_at)
        return True

    # --- the wire ---

    def _request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, fields: Mapping[str, object] | None = None
    ) -> httpx.Request:
        """`path` is percent-encoded already."""
        moment, host = self._tools.now().astimezone(UTC), self._url.netloc.decode("ascii")
        body = json.dumps(fields).encode("ascii") if fields is not None else b""
        whole = f"{self._url.raw_path.decode('ascii').rstrip('/')}{path}"
        written = canonical_query(query or {})
        headers = {"host": host, "x-bce-date": f"{moment:%Y-%m-%dT%H:%M:%SZ}"}
        if body:
            headers |= {"content-type": _CONTENT_TYPE, "content-length": str(len(body))}
        signed = {
            name: headers[name] for name in headers if self._options["signed_headers"] == "all" or name[0] in "hx"
        }
        request = canonical_request(method, whole, written, signed)
        key_id, secret = self._account.secret("access_key"), self._account.secret("secret_key")
        headers["authorization"] = authorization(key_id, secret, moment, signed, request)
        url = f"{self._url.scheme}://{host}{whole}{'?' if written else ''}{written}"
        return httpx.Request(method, url, headers=headers, content=body or None)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _error(body: Mapping[str, Any], reply: httpx.Response) -> tuple[str, str] | None:
    """The code and the words of a no, if it is one. Many a yes has no code at all."""
    if body.get("code") is not None and (code := reading.identifier(body, "code")) != "1000":
        return code, reading.text(body, "message")
    if reply.is_error:
        raise Unintelligible(f"HTTP {reply.status_code} without an error in the body", body=reply.content)
    return None


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The answer to a question. Raises VendorTrouble for a no."""
    body = read_object(reply)
    if error := _error(body, reply):
        raise reading.denied(*error, REASONS)
    return body


def _done(reply: httpx.Response) -> None:
    """The answer to an order, which may be empty. Raises VendorTrouble for a no."""
    if reply.content.strip() or reply.is_error:
        _asked(reply)


def _day_row(item: Mapping[str, Any]) -> StatisticsRow:
    try:
        since = reading.midnight(date.fromisoformat(reading.text(item, "datetime")))
    except (ValueError, OverflowError) as error:
        raise Unintelligible("datetime is no day") from error
    return StatisticsRow(
        since=since,
        until=since + timedelta(days=1),
        carrier=None,
        submitted=reading.count(item, "submitCount"),
        delivered=reading.count(item, "deliverSuccessCount"),
        undelivered=reading.count(item, "deliverFailureCount"),
        unreported=reading.count(item, "unknownCount"),
    )


def _packages(reply: httpx.Response) -> tuple[list[Any], int | None]:
    body = _asked(reply)
    return reading.rows(body, "prepaidPackages"), reading.count(body, "totalCount")


def _left(item: Mapping[str, Any]) -> int:
    if (left := reading.count(item, "remainingCapacity")) is None:
        raise Unintelligible("a package that does not tell what is left")
    return left


def _listed(item: Mapping[str, Any]) -> tuple[str, str]:
    return reading.identifier(item, "type"), reading.text(item, "signatureIdStr")


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    if "messageId" in item:
        return _report
    return _inbound if item.keys() >= {"mobile", "content"} else None


def _report(item: dict[str, Any]) -> StatusReport:
    told, code = reading.text(item, "code"), reading.text(item, "carrierCode")
    if told not in ("0", "2"):
        raise Unintelligible("code is neither 0 nor 2")
    state = DeliveryState.DELIVERED if told == "0" else failed_state(code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "messageId"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS),
        code=code,
        claimed_at=reading.utc(item, "deliverTime"),
        submitted_at=reading.utc(item, "requestTime"),
        number=reading.identifier(item, "mobile"),
        reference=reading.text(item, "custom") or None,
        billed_segments=reading.count(item, "segmentCount"),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to=reading.text(item, "userExtId"),
        text=reading.text(item, "content"),
        sent_at=reading.utc(item, "receiveTime"),
    )

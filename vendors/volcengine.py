"""Volcengine 火山引擎 SMS (volcSMS): JSON in and out, each call signed by HMAC-SHA256 in Volcengine's fourth version.

Sends by template. One message id a number; reports, replies and template decisions are pushed unsigned, and what one
number was sent can be looked up by day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
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
    StatusReport,
    Subject,
    Ticket,
)
from harness.errors import Unintelligible, VendorTrouble
from harness.flow import Flow, read_object
from harness.text import fill, variables
from vendors import reading, signing
from vendors.carrier_codes import report_reason

_GATEWAY: Final = "common error codes of the platform, as its sister brand BytePlus publishes them"


def _gateway(reason: Reason, note: str = "") -> Mapped:
    return Mapped(reason, "inferred", note, _GATEWAY)


REASONS: Final[Mapping[str, Mapped]] = {
    "RE:0000": Mapped(Reason.AUTH),
    "RE:0001": Mapped(Reason.AUTH, note="the service is not enabled"),
    "RE:0002": Mapped(Reason.AUTH, note="the product is closed"),
    "RE:0003": Mapped(Reason.AUTH, note="no such message group (SmsAccount)"),
    "RE:0004": Mapped(Reason.SIGNATURE_NOT_APPROVED),
    "RE:0005": Mapped(Reason.TEMPLATE_NOT_APPROVED),
    "RE:0006": Mapped(Reason.INVALID_NUMBER, note="its format"),
    "RE:0007": Mapped(Reason.AUTH, note="our address is not on the list"),
    "RE:0009": Mapped(Reason.BAD_REQUEST),
    "RE:0010": Mapped(Reason.BALANCE, note="in arrears"),
    "RE:0011": Mapped(Reason.ROUTING, note="region not supported"),
    "RE:0012": Mapped(Reason.BAD_REQUEST, note="this kind of message is not allowed for the group"),
    "RE:0013": Mapped(Reason.QUOTA),
    "RE:0500": Mapped(Reason.VENDOR_FAULT, note="unknown; may be tried again"),
    "MissingParameter": _gateway(Reason.BAD_REQUEST),
    "MissingAuthenticationToken": _gateway(Reason.AUTH),
    "MissingRequestInfo": Mapped(Reason.AUTH, "copied", "key, service or region is missing"),
    "MissingSignature": _gateway(Reason.AUTH),
    "InvalidTimestamp": _gateway(Reason.AUTH, "our clock is wrong"),
    "ServiceNotFound": _gateway(Reason.BAD_REQUEST),
    "InvalidActionOrVersion": _gateway(Reason.BAD_REQUEST),
    "InvalidAccessKey": _gateway(Reason.AUTH),
    "SignatureDoesNotMatch": _gateway(Reason.AUTH),
    "LackPolicy": _gateway(Reason.AUTH, "a sub-account without the right"),
    "AccessDenied": _gateway(Reason.AUTH, "a sub-account without the right"),
    "FlowLimitExceeded": Mapped(
        Reason.THROTTLED, "inferred", source="public clients of the same gateway (CodeN 100018)"
    ),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "NE:0100": Mapped(Reason.INVALID_NUMBER),
    "NE:0103": Mapped(Reason.UNREACHABLE, note="the phone: memory, settings, SIM"),
    "NE:0104": Mapped(Reason.UNREACHABLE, "inferred", "a phone without SMS"),
    "NE:0105": Mapped(Reason.UNREACHABLE, "inferred", "no such number, off, suspended, in arrears: which, is not said"),
    "NE:0106": Mapped(Reason.ROUTING, note="ported number"),
    "CR:0200": Mapped(Reason.SENSITIVE_CONTENT, note="or a signature that the carrier has not filed yet"),
    "CR:0201": Mapped(Reason.BLACKLISTED, note="a carrier's list, or opted out of this signature"),
    "CR:0202": Mapped(Reason.FREQUENCY_CAP),
    "CR:0203": Mapped(Reason.HOURS, note="8:00 to 21:30"),
    "CR:0204": Mapped(Reason.BALANCE),
    "CR:0205": Mapped(Reason.SENSITIVE_CONTENT, "inferred", "stopped in review: the content is to be bettered"),
    "CR:0206": Mapped(Reason.QUOTA, "inferred", "we submit too fast, told late"),
    "CR:0207": Mapped(Reason.UNMAPPED, note="pressure-test mode: nothing is sent"),
    "CR:0208": Mapped(Reason.QUOTA, "inferred", "a limit on traffic"),
    "CR:0209": Mapped(Reason.ROUTING),
    "CR:0210": Mapped(Reason.ROUTING),
    "CR:0212": Mapped(Reason.SIGNATURE_NOT_REGISTERED),
    "CR:0213": Mapped(Reason.FREQUENCY_CAP, note="the same content to the same number"),
    "CR:0215": Mapped(Reason.SIGNATURE_NOT_REGISTERED, note="filing under a real name"),
    "CR:0216": Mapped(Reason.BAD_REQUEST, note="marketing has to end with 拒收请回复R"),
    "CR:0217": Mapped(Reason.SENSITIVE_CONTENT, "inferred", "a link or a contact that is not filed with the carrier"),
    "CE:0300": Mapped(Reason.BAD_REQUEST, note="parameters of the template"),
    "CE:0301": Mapped(Reason.BAD_REQUEST, note="too long, or empty"),
    "CE:0302": Mapped(Reason.CARRIER_FAULT, "inferred", "a part of a long message is missing"),
    "CE:0304": Mapped(Reason.BAD_REQUEST, note="this kind of message is not allowed for the group"),
    "CE:0305": Mapped(Reason.ROUTING, note="this carrier is not served"),
    "SY:0500": Mapped(Reason.VENDOR_FAULT),
    "SY:0501": Mapped(Reason.VENDOR_FAULT, note="the gateway"),
    "UN:0900": Mapped(Reason.UNMAPPED, note="unknown; may be tried again"),
}

BULK_LIMIT: Final = 200
_SERVICE: Final = "volcSMS"
_VERSIONS: Final = {"SendSms": "2020-01-01", "SendBatchSms": "2021-01-01"}
_VERSION: Final = "2021-01-11"  # of every other call
_CONTENT_TYPE: Final = "application/json"
_PAGE: Final = 15  # as in the documents' sample; the most is not told
_CHANNELS: Final = {Purpose.VERIFICATION: "CN_OTP", Purpose.NOTIFICATION: "CN_NTC", Purpose.MARKETING: "CN_MKT"}
_VERDICTS: Final = {
    "1": None,
    "2": ReviewVerdict.REJECTED,
    "3": ReviewVerdict.APPROVED,
    "4": ReviewVerdict.REJECTED,  # closed: it stood once, and may not be used
    "5": ReviewVerdict.APPROVED,  # exempt from review
}
_RECORDED: Final = {
    "2": DeliveryState.UNDELIVERED,
    "3": DeliveryState.DELIVERED,
    "4": DeliveryState.DELIVERED,  # its code was used
    "5": DeliveryState.DELIVERED,  # its link was clicked
}
_TAKEN: Final = Acknowledgement()
_NOT_TAKEN: Final = Acknowledgement(status=400)


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def canonical_query(query: Mapping[str, str]) -> str:
    """Names and values percent-encoded by RFC 3986, sorted, joined; Action and Version are among them."""
    return "&".join(f"{signing.percent(name)}={signing.percent(query[name])}" for name in sorted(query))


def signed_host(host: str) -> str:
    """The host as it is signed: without its port if that is 80 or 443, with any other."""
    return host.removesuffix(":443").removesuffix(":80")


def canonical_headers(headers: Mapping[str, str]) -> str:
    """One line a signed header, sorted, each with its line end."""
    return "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))


def canonical_request(method: str, query: str, headers: Mapping[str, str], body: bytes) -> str:
    """The six parts; the path is always the root."""
    names = ";".join(sorted(headers))
    return "\n".join((method, "/", query, canonical_headers(headers), names, signing.sha256_hex(body)))


def scope(moment: datetime, region: str) -> str:
    """What a signature is good for: one UTC day, a region, this service."""
    return f"{moment:%Y%m%d}/{region}/{_SERVICE}/request"


def string_to_sign(moment: datetime, region: str, request: str) -> str:
    """Algorithm, stamp, scope, and the canonical request's digest."""
    digest = signing.sha256_hex(request.encode())
    return f"HMAC-SHA256\n{moment:%Y%m%dT%H%M%SZ}\n{scope(moment, region)}\n{digest}"


def signing_key(secret: str, moment: datetime, region: str) -> bytes:
    """A key derived in four steps from the secret as it is written, without any prefix."""
    key = secret.encode()
    for part in scope(moment, region).split("/"):
        key = signing.hmac_sha256(key, part.encode())
    return key


def authorization(
    access_key: str, secret: str, moment: datetime, region: str, headers: Mapping[str, str], request: str
) -> str:
    """The Authorization header. `headers`: the signed ones."""
    key, words = signing_key(secret, moment, region), string_to_sign(moment, region, request)
    return (
        f"HMAC-SHA256 Credential={access_key}/{scope(moment, region)}, SignedHeaders={';'.join(sorted(headers))}, "
        f"Signature={signing.hmac_sha256(key, words.encode()).hex()}"
    )


class Vendor:
    """One message group (消息组, SmsAccount) at Volcengine SMS."""

    manifest = Manifest(
        id="volcengine",
        name={"zh-CN": "火山引擎短信", "en": "Volcengine SMS"},
        credentials=(Credential("access_key"), Credential("secret_key", secret=True), Credential("sms_account")),
        documents=(
            Document("短信服务 6361: SendSms 67380, 错误码 173288, 回执 171584, 上行 171585", date(2026, 3, 2)),
            Document("发送状态错误码 69438, 173291; 模板审核回调 171588, 1866414", date(2026, 3, 2)),
            Document(
                "volcengine 1.0.229, volc-sdk-golang 26924eb: signature, templates, signatures, send details",
                date(2026, 3, 2),
            ),
        ),
        absent={
            Capability.PULLS_REPORTS: NotOffered("only the partner product has a queue; records can be asked for"),
            Capability.PULLS_INBOUND: NotOffered("only the partner product has a queue; replies are pushed"),
            Capability.TELLS_STATISTICS: NotYetWritten(
                "the interface of 2026 tells totals, in a unit of time not documented; the daily one is withdrawn"
            ),
            Capability.TELLS_BALANCE: NotOffered("no interface of the SMS service tells a balance"),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no interface: the list shows in status reports only"),
            Capability.EDITS_BLACKLIST: NotOffered("no interface: the list shows in status reports only"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://sms.volcengineapi.com",
        # No rate is documented, and the usual cap on one number is set in the console (频控管理).
        pace=Pace(per_second=10, burst=10, same_number_seconds=60, per_number_per_day=10),
        by_template=True,
        options={
            "region": "cn-north-1",
            "template_keys": "lower",  # as the Go client writes them; capital, as the Python client's example does
            "sign_source": "公司全称/简称",  # what a filed signature stands for
            "sign_purpose": "1",  # 1 our own, 2 for another
            "qualification_id": "",  # signatureIdentificationID, where the account has one
            "proof_image": "",  # Base64 of a licence; needed to file a signature
            "proof_type": "0",  # 0 three in one, 1 licence, …
            "proof_suffix": "png",
            "domain": "",
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = httpx.URL(reading.base(account, self.manifest) + "/")

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        fields: dict[str, object] = {
            "SmsAccount": self._group,
            "Sign": message.signature,
            "TemplateID": _template(message),
            "TemplateParam": json.dumps(dict(message.parameters)),
            "PhoneNumbers": reading.national(message.to.number),
        }
        if message.reference:
            fields["Tag"] = message.reference
        reply = yield self._post("SendSms", fields)
        if error := _error(reply):
            return reading.refused(*error, REASONS)
        match _message_ids(reply):
            case [one]:
                return Accepted(vendor_message_id=reading.identifier({"MessageID": one}, "MessageID"))
            case ids:
                raise Unintelligible(f"{len(ids)} ids for one message", body=reply.content)

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """One template and signature, parameters of each message's own. No Tag: it would be one for all."""
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        first = messages[0]
        if any((one.template, one.signature) != (first.template, first.signature) for one in messages):
            raise reading.not_sent("one bulk request of Volcengine is for one template and one signature")
        fields: dict[str, object] = {
            "SmsAccount": self._group,
            "Sign": first.signature,
            "TemplateID": _template(first),
            "Messages": [
                {
                    "TemplateParam": json.dumps(dict(one.parameters)),
                    "PhoneNumber": reading.national(one.to.number),
                }
                for one in messages
            ],
        }
        reply = yield self._post("SendBatchSms", fields)
        if error := _error(reply):
            return (reading.refused(*error, REASONS),) * len(messages)
        return reading.in_order(messages, _message_ids(reply))

    # --- reviews ---

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        fields: dict[str, object] = {
            "subAccount": self._group,
            "area": "cn",
            "channelType": _CHANNELS[draft.purpose],
            "name": draft.name,
            "content": fill(draft.text, {name: f"${{{name}}}" for name in variables(draft.text)}),
            "desc": draft.remark,
        }
        if self._options["template_keys"] == "capital":
            fields = {name[0].upper() + name[1:]: value for name, value in fields.items()}
        reply = yield self._post("ApplySmsTemplate", fields)
        if error := _error(reply):
            return reading.refused(*error, REASONS)
        return Ticket(subject=Subject.TEMPLATE, id=reading.identifier(_result(reply), "templateId"), name=draft.name)

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        query = {
            "subAccount": self._group,
            "area": "cn",
            "templateId": ticket,
            "pageIndex": "1",
            "pageSize": str(_PAGE),
        }
        reply = yield self._get("GetSmsTemplateAndOrderList", query)
        return _decision(Subject.TEMPLATE, ticket, reading.rows(_asked(reply), "list"), "templateId")

    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        """The signature's text is its ticket: the list is asked by it."""
        if not self._options["proof_image"]:
            raise reading.not_sent("filing a signature needs the option proof_image")
        file = {
            "fileType": self._whole("proof_type"),
            "fileContent": self._options["proof_image"],
            "fileSuffix": self._options["proof_suffix"],
        }
        fields: dict[str, object] = {
            "subAccount": self._group,
            "content": draft.text,
            "source": self._options["sign_source"],
            "domain": self._options["domain"],
            "desc": draft.remark,
            "uploadFileList": [file],
            "purpose": self._whole("sign_purpose"),
        }
        if self._options["qualification_id"]:
            fields["signatureIdentificationID"] = self._whole("qualification_id")
        reply = yield self._post("ApplySmsSignature", fields)
        if error := _error(reply):
            return reading.refused(*error, REASONS)
        _result(reply)
        return Ticket(subject=Subject.SIGNATURE, id=draft.text, name=draft.name)

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        query = {"subAccount": self._group, "signature": ticket, "pageIndex": "1", "pageSize": str(_PAGE)}
        reply = yield self._get("GetSignatureAndOrderList", query)
        return _decision(Subject.SIGNATURE, ticket, reading.rows(_asked(reply), "list"), "content")

    # --- records ---

    def find_records(self, number: str, day: date) -> Flow[Sequence[Record]]:
        """Numbers come back masked, as the vendor masks them."""
        fields = {
            "subAccount": self._group,
            "phoneNumber": reading.national(number),
            "messageId": "",
            "sendDate": f"{day:%Y%m%d}",
        }
        return reading.paged(
            lambda page: self._post("GetSmsSendDetails", {**fields, "pageIndex": page, "pageSize": _PAGE}),
            _details,
            _record,
            page_size=_PAGE,
        )

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """Lists of reports or replies; decisions as an object or a list, of second-level templates as a list inside."""
        try:
            body = reading.parse(request.body)
            items = [one for item in (body if isinstance(body, list) else [body]) for one in _unfolded(item)]
            return reading.sort_push(items, self._reader, _TAKEN)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    def _reader(self, item: Mapping[str, Any]) -> reading.Reader | None:
        if "status_code" in item:
            return _report
        if "audit_result" in item:
            return self._pushed_decision
        return _inbound if item.keys() >= {"mobile", "content"} else None

    def _pushed_decision(self, item: dict[str, Any]) -> ReviewDecision | None:
        """A second-level template is the template with one signature: of another's signature it tells us nothing."""
        if "second_template_id" in item and self._account.signature not in ("", reading.text(item, "signature")):
            return None
        approved = reading.text(item, "audit_result").lower()
        if approved not in ("true", "false"):
            raise Unintelligible("audit_result is neither true nor false")
        return ReviewDecision(
            ticket=reading.identifier(item, "template_id"),
            subject=Subject.TEMPLATE,
            verdict=ReviewVerdict.APPROVED if approved == "true" else ReviewVerdict.REJECTED,
            reason=reading.text(item, "audit_opinion"),
            claimed_at=reading.beijing(item, "audit_time"),
        )

    # --- the wire ---

    @property
    def _group(self) -> str:
        return self._account.secret("sms_account")

    def _whole(self, option: str) -> int:
        written = self._options[option]
        if not (written.isascii() and written.isdigit() and len(written) < 19):
            raise reading.not_sent(f"the option {option} has to be a whole number")
        return int(written)

    def _post(self, action: str, fields: Mapping[str, object]) -> httpx.Request:
        return self._request("POST", action, {}, json.dumps(fields).encode("ascii"))

    def _get(self, action: str, query: Mapping[str, str]) -> httpx.Request:
        return self._request("GET", action, query, b"")

    def _request(self, method: str, action: str, query: Mapping[str, str], body: bytes) -> httpx.Request:
        moment, region = self._tools.now().astimezone(UTC), self._options["region"]
        host = self._url.netloc.decode("ascii")
        written = canonical_query({"Action": action, "Version": _VERSIONS.get(action, _VERSION), **query})
        headers = {
            "x-content-sha256": signing.sha256_hex(body),
            "x-date": f"{moment:%Y%m%dT%H%M%SZ}",
            **({"content-type": _CONTENT_TYPE} if body else {}),
        }
        signed = {**headers, "host": signed_host(host)}
        request = canonical_request(method, written, signed, body)
        key_id, secret = self._account.secret("access_key"), self._account.secret("secret_key")
        headers["authorization"] = authorization(key_id, secret, moment, region, signed, request)
        url = self._url.copy_with(query=written.encode("ascii"))
        return httpx.Request(method, url, headers={"host": host, **headers}, content=body or None)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _template(message: Message) -> str:
    if message.template is None:
        raise reading.not_sent("Volcengine sends by template, and this message names none")
    return message.template


def _error(reply: httpx.Response) -> tuple[str, str] | None:
    """The code and the words of a no, if it is one."""
    head = reading.child(read_object(reply), "ResponseMetadata")
    if head.get("Error") is None:
        if reply.is_error:
            raise Unintelligible(f"HTTP {reply.status_code} without an error in the body", body=reply.content)
        return None
    error = reading.child(head, "Error")
    return reading.identifier(error, "Code"), reading.text(error, "Message")


def _result(reply: httpx.Response) -> dict[str, Any]:
    return reading.child(read_object(reply), "Result")


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The result of a question. Raises VendorTrouble for a no."""
    if error := _error(reply):
        raise reading.denied(*error, REASONS)
    return _result(reply)


def _message_ids(reply: httpx.Response) -> list[Any]:
    """One id a number, in the order in which they were given."""
    return reading.rows(_result(reply), "MessageID")


def _decision(subject: Subject, ticket: str, items: Sequence[object], key: str) -> ReviewDecision | None:
    for item in items:
        if not isinstance(item, dict) or reading.text(item, key) != ticket:
            continue
        status = reading.text(item, "status")
        if status not in _VERDICTS:
            raise Unintelligible("status is none that is documented")
        if (verdict := _VERDICTS[status]) is None:
            return None
        return ReviewDecision(
            ticket=ticket,
            subject=subject,
            verdict=verdict,
            reason=reading.text(item, "reason"),
            claimed_at=reading.milliseconds(item, "auditedAt"),
        )
    raise VendorTrouble("the vendor does not know this ticket")


def _details(reply: httpx.Response) -> tuple[list[Any], int | None]:
    body = _asked(reply)
    return reading.rows(body, "sendDetailsResults"), reading.count(body, "total")


def _record(item: Mapping[str, Any]) -> Record:
    return Record(
        number=reading.identifier(item, "phoneNumber"),
        sent_at=reading.milliseconds(item, "sendTime"),
        vendor_message_id=reading.identifier(item, "messageId"),
        state=_RECORDED.get(reading.text(item, "status"), DeliveryState.UNKNOWN),
        code=reading.text(item, "errorCode"),
        text=reading.text(item, "content") or None,
        reported_at=reading.milliseconds(item, "receiptTime"),
    )


def _unfolded(item: object) -> list[object]:
    """The decisions of one push about second-level templates, each with the push's stamp; anything else as it is."""
    if not isinstance(item, dict) or "second_template_audit_result" not in item:
        return [item]
    stamp = {"audit_time": item.get("audit_time")}
    inner = reading.rows(item, "second_template_audit_result")
    return [{**stamp, **one} if isinstance(one, dict) else one for one in inner]


def _report(item: dict[str, Any]) -> StatusReport:
    code = reading.identifier(item, "status_code")
    delivered = code == "0"
    return StatusReport(
        vendor_message_id=reading.identifier(item, "message_id"),
        state=DeliveryState.DELIVERED if delivered else DeliveryState.UNDELIVERED,
        reason=None if delivered else report_reason(code, REPORT_REASONS),
        code=code,
        claimed_at=reading.milliseconds(item, "recv_time"),
        submitted_at=reading.milliseconds(item, "send_time"),
        number=reading.identifier(item, "mobile"),
        reference=reading.text(item, "ext") or None,
        billed_segments=reading.count(item, "msg_count"),
        detail=reading.masked(reading.text(item, "description")),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to=reading.text(item, "service_id") or reading.text(item, "ext"),
        text=reading.text(item, "content"),
        sent_at=reading.milliseconds(item, "recv_time"),
    )

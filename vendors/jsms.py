"""JSMS 极光短信: JSON over HTTP, known by Basic (appKey and masterSecret); pushes are forms with a SHA1 in them.

Sends by template, a bulk with parameters for each number. A push's signature covers its nonce and time and not what it
says, so the nonce counts once. Reports and replies are pushed, or wait in queues: an application has one or the other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
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
    spaced,
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
    StatusReport,
    Subject,
    Ticket,
)
from harness.errors import Unintelligible, VendorTrouble
from harness.flow import Flow, read_json, read_object
from harness.text import fill, variables
from vendors import reading, signing
from vendors.carrier_codes import report_reason

REASONS: Final[Mapping[str, Mapped]] = {
    "50001": Mapped(Reason.AUTH, note="no Authorization header"),
    "50002": Mapped(Reason.AUTH, note="key or secret is wrong"),
    "50003": Mapped(Reason.BAD_REQUEST, note="no body"),
    "50004": Mapped(Reason.INVALID_NUMBER, note="no number"),
    "50005": Mapped(Reason.BAD_REQUEST, note="no template"),
    "50006": Mapped(Reason.INVALID_NUMBER),
    "50007": Mapped(Reason.BAD_REQUEST, note="the body cannot be read"),
    "50008": Mapped(Reason.AUTH, note="SMS is not switched on for the application"),
    "50009": Mapped(Reason.FREQUENCY_CAP, note="发送超频"),
    "50010": Mapped(Reason.BAD_REQUEST, note="the code that was checked is wrong"),
    "50011": Mapped(Reason.BAD_REQUEST, note="the code that was checked has expired"),
    "50012": Mapped(Reason.BAD_REQUEST, note="the code was checked before"),
    "50013": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="no such template"),
    "50014": Mapped(Reason.BALANCE),
    "50015": Mapped(Reason.BAD_REQUEST, note="no code to check"),
    "50016": Mapped(Reason.BAD_REQUEST, note="no such interface"),
    "50017": Mapped(Reason.BAD_REQUEST, note="another media type is wanted"),
    "50018": Mapped(Reason.BAD_REQUEST, note="another method is wanted"),
    "50019": Mapped(Reason.VENDOR_FAULT),
    "50020": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="in review"),
    "50021": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="rejected"),
    "50022": Mapped(Reason.BAD_REQUEST, note="a parameter of the template is missing"),
    "50023": Mapped(Reason.BAD_REQUEST, note="no parameters"),
    "50024": Mapped(Reason.OPTED_OUT),
    "50025": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="a template of another kind than the interface takes"),
    "50026": Mapped(Reason.BAD_REQUEST, note="no such message"),
    "50027": Mapped(Reason.BAD_REQUEST, note="the time to send is missing or past"),
    "50028": Mapped(Reason.BAD_REQUEST, note="no such schedule"),
    "50029": Mapped(Reason.BAD_REQUEST, note="the schedule is sent or deleted"),
    "50030": Mapped(Reason.BAD_REQUEST, note="no recipients"),
    "50031": Mapped(Reason.BAD_REQUEST, note="more than 1000 recipients"),
    "50034": Mapped(Reason.FREQUENCY_CAP, "inferred", "重复发送: the same once more"),
    "50035": Mapped(Reason.AUTH, note="our address is not allowed"),
    "50036": Mapped(Reason.AUTH, note="the application is on their blacklist"),
    "50037": Mapped(Reason.SENSITIVE_CONTENT),
    "50038": Mapped(Reason.BAD_REQUEST, note="voice: length of the code"),
    "50039": Mapped(Reason.BAD_REQUEST, note="voice: the code is not of digits"),
    "50040": Mapped(Reason.BAD_REQUEST, note="voice: no such language"),
    "50041": Mapped(Reason.BAD_REQUEST, note="ttl is out of range"),
    "50042": Mapped(Reason.BAD_REQUEST, note="the template is empty"),
    "50043": Mapped(Reason.BAD_REQUEST, note="the template has more than 350 characters"),
    "50044": Mapped(Reason.BAD_REQUEST, note="a parameter of the template is malformed"),
    "50045": Mapped(Reason.BAD_REQUEST, note="the remark is too long"),
    "50046": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="the application has no signature"),
    "50047": Mapped(Reason.BAD_REQUEST, note="only a rejected template can be changed"),
    "50052": Mapped(Reason.BAD_REQUEST, note="the template holds 【】 or the like"),
    "50053": Mapped(Reason.BAD_REQUEST, note="a link in a template has to be told in the remark"),
    "50101": Mapped(Reason.BAD_REQUEST, note="the picture is none"),
    "50102": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="no such signature"),
    "50103": Mapped(Reason.QUOTA, note="another signature is in review"),
    "50104": Mapped(Reason.BAD_REQUEST, note="what cannot be a signature"),
    "50105": Mapped(Reason.BAD_REQUEST, note="the default signature cannot be deleted"),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "4002": Mapped(Reason.BLACKLISTED, note="the carrier's"),
    "4003": Mapped(Reason.UNREACHABLE, note="off, or suspended: not told apart"),
    "4004": Mapped(Reason.INVALID_NUMBER),
    "4005": Mapped(Reason.BALANCE),
    "4006": Mapped(Reason.FREQUENCY_CAP, note="more often than the carrier allows"),
    "4007": Mapped(Reason.UNREACHABLE, note="voice: not answered"),
    "4008": Mapped(Reason.UNREACHABLE, note="voice: busy"),
    "4009": Mapped(Reason.UNREACHABLE, note="voice: no connection"),
    "4010": Mapped(Reason.SENSITIVE_CONTENT, note="stopped by the carrier"),
    "4100": Mapped(Reason.UNMAPPED, note="其他错误: all else"),
}

BULK_LIMIT: Final = 1000
_PAGE: Final = 500  # rows of a queue in one answer; the most
_DELIVERED: Final = "4001"
_SUCCESS: Final = "50000"
_KINDS: Final = {Purpose.VERIFICATION: 1, Purpose.NOTIFICATION: 2, Purpose.MARKETING: 3}
_VERDICTS: Final = {"0": None, "1": ReviewVerdict.APPROVED, "2": ReviewVerdict.REJECTED}
_ECHO: Final = re.compile(r"[0-9A-Za-z]{1,64}")  # 8 by the document; what is echoed must not be a page
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_TAKEN: Final = Acknowledgement(content_type="text/plain")
_NOT_TAKEN: Final = Acknowledgement(status=403, content_type="text/plain")


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def basic(key: str, secret: str) -> str:
    """The Authorization header (RFC 7617)."""
    return f"Basic {signing.base64_text(f'{key}:{secret}'.encode())}"


def signed_words(key: str, secret: str, nonce: str, when: str) -> str:
    """What a push's signature is made over: the application, and the nonce and time (milliseconds) as they came."""
    return f"appKey={key}&appMasterSecret={secret}&nonce={nonce}&timestamp={when}"


def push_signature(key: str, secret: str, nonce: str, when: str) -> str:
    """A push's `signature`: SHA1 in lower-case hex."""
    return signing.sha1_hex(signed_words(key, secret, nonce, when).encode())


class Vendor:
    """One application (appKey) at JSMS."""

    manifest = Manifest(
        id="jsms",
        name={"zh-CN": "极光短信", "en": "JSMS (Jiguang)"},
        credentials=(Credential("app_key"), Credential("master_secret", secret=True)),
        documents=(
            Document("服务端 REST API 概述: 返回码 (2021-12-15)", date(2026, 3, 2)),
            Document("短信发送, 短信模板, 短信签名, 短信余量, 短信回执 API (2021-12-15)", date(2026, 3, 2)),
            Document("回调接口 (2021-12-15; with reviews, 2019)", date(2026, 3, 2)),
            Document("the vendor's own clients for Java (2020-09) and Python 0.0.4", date(2026, 3, 2)),
        ),
        absent={
            Capability.FINDS_RECORDS: NotOffered("no interface finds a message by its number"),
            Capability.TELLS_STATISTICS: NotOffered("statistics are in the console"),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price: what is left is told in messages"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no interface: a listed number is known by its refusal or report"),
            Capability.EDITS_BLACKLIST: NotOffered("no interface edits a list"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://api.sms.jpush.cn",
        # No rate of sending is documented; a queue is asked once in five seconds.
        pace=Pace(per_second=10, burst=10, apart={"reports": 5, "replies": 5}),
        by_template=True,
        push_is_signed=True,
        options={
            "signature_id": "",  # sign_id of each message; empty: the application's default signature
            "balance": "dev",  # whose messages are counted: the developer account's, or app: the application's alone
            "ttl": "300",  # seconds that a code of a template handed in is told to be good for
            "signature_type": "1",  # 1 company, 2 website, 3 app, 4 account or mini program, 5 shop, 6 trade mark, 7
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = reading.base(account, self.manifest)

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        """By the interface for templates: that for codes makes a code of its own."""
        fields = {"mobile": reading.national(message.to.number), **self._template(message)}
        fields["temp_para"] = dict(message.parameters)
        reply = yield self._post("/v1/messages", fields)
        body = _object(reply)
        if refusal := _refusal(body, reply):
            return refusal
        return Accepted(vendor_message_id=reading.identifier(body, "msg_id"))

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """Up to 1000 numbers, each with parameters of its own; the template is one for all."""
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        if len({message.template for message in messages}) > 1:
            raise reading.not_sent("one request of JSMS has one template for all its messages")
        recipients = [
            {"mobile": reading.national(message.to.number), "temp_para": dict(message.parameters)}
            for message in messages
        ]
        reply = yield self._post("/v1/messages/batch", {**self._template(messages[0]), "recipients": recipients})
        body = _object(reply)
        if refusal := _refusal(body, reply):
            return (refusal,) * len(messages)
        # The document lists all in recipients; the vendor's Java client reads failures from a list of their own.
        items = reading.rows(body, "recipients") + reading.rows(body, "failure_recipients")
        return reading.by_number(messages, items, "mobile", _outcome)

    def _template(self, message: Message) -> dict[str, Any]:
        if message.template is None or not _WHOLE.fullmatch(message.template):
            raise reading.not_sent("JSMS sends by template, whose id is a whole number")
        fields: dict[str, Any] = {"temp_id": int(message.template)}
        if self._options["signature_id"]:
            fields["sign_id"] = int(self._options["signature_id"])
        return fields

    # --- pulls: only while the application has no push URL ---

    def pull_reports(self) -> Flow[Sequence[StatusReport]]:
        return reading.drain(lambda: self._queue("/v1/report", "reports"), _rows, _report, page_size=_PAGE)

    def pull_inbound(self) -> Flow[Sequence[InboundMessage]]:
        return reading.drain(lambda: self._queue("/v1/reply", "replies"), _rows, _inbound, page_size=_PAGE)

    def _queue(self, path: str, kind: str) -> httpx.Request:
        return spaced(self._get(path), self.manifest.pace, kind)

    # --- reviews ---

    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        """Without pictures of papers: the interface takes them, and an evaluation has none."""
        fields = {"sign": draft.text, "type": self._options["signature_type"]}
        if draft.remark:
            fields["remark"] = draft.remark
        kind, content = reading.multipart(fields, {}, self._tools.nonce())
        reply = yield self._request("POST", "/v1/sign", content, kind)
        return _ticket(reply, Subject.SIGNATURE, "sign_id", draft.name)

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        reply = yield self._get(f"/v1/sign/{signing.percent(ticket)}")
        return _decision(_asked(reply), Subject.SIGNATURE, ticket)

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        """The text without its signature. A template for codes has one variable, and it is called code."""
        fields: dict[str, Any] = {
            "template": fill(draft.text, {name: f"{{{{{name}}}}}" for name in variables(draft.text)}),
            "type": _KINDS[draft.purpose],
        }
        if draft.purpose is Purpose.VERIFICATION:
            fields["ttl"] = int(self._options["ttl"])
        if draft.remark:
            fields["remark"] = draft.remark
        reply = yield self._post("/v1/templates", fields)
        return _ticket(reply, Subject.TEMPLATE, "temp_id", draft.name)

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        reply = yield self._get(f"/v1/templates/{signing.percent(ticket)}")
        return _decision(_asked(reply), Subject.TEMPLATE, ticket)

    # --- balance ---

    def balance(self) -> Flow[Balance]:
        whose = self._options["balance"]
        reply = yield self._get(f"/v1/accounts/{whose}")
        if (left := reading.count(_asked(reply), f"{whose}_balance")) is None:
            raise Unintelligible(f"{whose}_balance is missing or not a count", body=reply.content)
        return Balance(messages=left)

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """A form with one object of JSON in `data`; by GET a check of the URL, whose word is echoed."""
        try:
            if request.method == "GET":
                return _echoed(request)
            fields = reading.form(request.body)
            self._prove(fields, request)
            if (reader := _READERS.get(fields.get("type", ""))) is None:
                raise ValueError("type is none that is documented")
            told = reading.parse(fields.get("data", ""))
            items = told if isinstance(told, list) else [told]
            return reading.sort_push(items, lambda item: reader, _TAKEN, authenticated=True, once=fields["nonce"])
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    def _prove(self, fields: Mapping[str, str], request: PushRequest) -> None:
        """Raises ValueError for a push that is forged or stale."""
        key, secret = self._account.secret("app_key"), self._account.secret("master_secret")
        ours = push_signature(key, secret, fields.get("nonce", ""), fields.get("timestamp", ""))
        if not fields.get("nonce") or not signing.matches(ours, fields.get("signature", "").lower()):
            raise ValueError("the signature does not match")
        reading.check_fresh(reading.milliseconds(fields, "timestamp"), request.received_at)

    # --- the wire ---

    def _post(self, path: str, fields: Mapping[str, Any]) -> httpx.Request:
        content = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        return self._request("POST", path, content, "application/json")

    def _get(self, path: str) -> httpx.Request:
        return self._request("GET", path, b"", "application/json")

    def _request(self, method: str, path: str, content: bytes, kind: str) -> httpx.Request:
        key, secret = self._account.secret("app_key"), self._account.secret("master_secret")
        headers = {"authorization": basic(key, secret), "content-type": kind}
        return httpx.Request(method, f"{self._url}{path}", headers=headers, content=content)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _object(reply: httpx.Response) -> dict[str, Any]:
    """The reply's object; a server that fails tells nothing of what became of a message, whatever its code."""
    body = read_object(reply)
    if reply.is_server_error:
        raise Unintelligible(f"HTTP {reply.status_code}", body=reply.content)
    return body


def _refusal(body: Mapping[str, Any], reply: httpx.Response) -> Refused | None:
    """A no to a request: an `error` with code and message, mostly under HTTP 4xx."""
    if not reply.is_error and body.get("error") is None:
        return None
    error = reading.child(body, "error")
    if (code := reading.identifier(error, "code")) == _SUCCESS:
        raise Unintelligible("an error that says success", body=reply.content)
    return reading.refused(code, reading.text(error, "message"), REASONS)


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The answer to a question. Raises VendorTrouble for a no."""
    body = _object(reply)
    if no := _refusal(body, reply):
        raise VendorTrouble(f"{no.code}: {no.detail}", code=no.code)
    return body


def _rows(reply: httpx.Response) -> list[Any]:
    """A list, which these answers are from the top, unless the vendor says no. Raises VendorTrouble for that."""
    body = read_json(reply)
    if isinstance(body, list) and not reply.is_error:
        return body
    _asked(reply)
    raise Unintelligible("neither a list nor a readable no", body=reply.content)


def _outcome(item: dict[str, Any]) -> Outcome:
    """One number's outcome. A refused one may have an id too, of which no report comes."""
    if (code := reading.text(item, "error_code", _SUCCESS)) not in ("", _SUCCESS):
        return reading.no(code, reading.text(item, "error_message"), REASONS)
    return Accepted(vendor_message_id=reading.identifier(item, "msg_id"))


def _ticket(reply: httpx.Response, subject: Subject, key: str, name: str) -> Ticket | Refused:
    body = _object(reply)
    if refusal := _refusal(body, reply):
        return refusal
    return Ticket(subject=subject, id=reading.identifier(body, key), name=name)


def _decision(item: Mapping[str, Any], subject: Subject, ticket: str) -> ReviewDecision | None:
    """A decision as it is asked for or pushed; why a draft was rejected is told by push only."""
    status = reading.text(item, "status")
    if status not in _VERDICTS:
        raise Unintelligible("status is none that is documented")
    if (verdict := _VERDICTS[status]) is None:
        return None
    return ReviewDecision(ticket=ticket, subject=subject, verdict=verdict, reason=reading.text(item, "refuseReason"))


def _echoed(request: PushRequest) -> Push:
    """The check of a push URL: its word comes back as it is. Raises ValueError if there is none."""
    word = reading.form(request.query).get("echostr", "")
    if not _ECHO.fullmatch(word):
        raise ValueError("no echostr in it")
    return Push(acknowledgement=Acknowledgement(body=word.encode("ascii"), content_type="text/plain"))


def _report(item: dict[str, Any]) -> StatusReport:
    code = reading.identifier(item, "status")
    is_delivered = code == _DELIVERED
    return StatusReport(
        vendor_message_id=reading.identifier(item, "msgId"),
        state=DeliveryState.DELIVERED if is_delivered else DeliveryState.UNDELIVERED,
        reason=None if is_delivered else report_reason(code, REPORT_REASONS),
        code=code,
        claimed_at=reading.milliseconds(item, "receiveTime") or reading.beijing(item, "receiveTime"),
        number=reading.text(item, "phone") or None,
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    """A reply; which message or sender code it answers is not told."""
    return InboundMessage(
        number=reading.identifier(item, "phone"),
        to="",
        text=reading.text(item, "content"),
        sent_at=reading.milliseconds(item, "replyTime") or reading.beijing(item, "replyTime"),
    )


def _template_decision(item: dict[str, Any]) -> ReviewDecision | None:
    return _decision(item, Subject.TEMPLATE, reading.identifier(item, "tempId"))


def _signature_decision(item: dict[str, Any]) -> ReviewDecision | None:
    return _decision(item, Subject.SIGNATURE, reading.identifier(item, "signId"))


_READERS: Final[Mapping[str, reading.Reader]] = {
    "SMS_REPORT": _report,
    "SMS_REPLY": _inbound,
    "SMS_TEMPLATE": _template_decision,
    "SMS_SIGN": _signature_decision,
}

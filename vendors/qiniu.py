"""Qiniu 七牛云: JSON over HTTP, every request signed by an HMAC over method, target, host, headers and body.

Sends by template, one message a request; records are asked, not emptied. Pushes are lists of items and sign nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import urlencode

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
from harness.errors import Throttled, Unauthorised, Unintelligible, VendorTrouble
from harness.flow import Flow, read_object
from harness.text import fill, variables
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

_OTHERS: Final = "the word of this vendor's other products; the SMS documents have none"

REASONS: Final[Mapping[str, Mapped]] = {
    "ServerInternalError": Mapped(Reason.VENDOR_FAULT),
    "InvalidQueryValue": Mapped(Reason.BAD_REQUEST),
    "MalformedJSON": Mapped(Reason.BAD_REQUEST),
    "NotFoundError": Mapped(Reason.BAD_REQUEST),
    "FreezedUserError": Mapped(Reason.AUTH, note="the account is frozen"),
    "InactivatedUseError": Mapped(Reason.AUTH, note="the product is not switched on for the account"),
    "AccountNeedCertified": Mapped(Reason.AUTH, note="the account is not certified"),
    "AccountBalanceNotEnough": Mapped(Reason.BALANCE),
    "BadToken": Mapped(Reason.AUTH, "inferred", "the signature is wrong", _OTHERS),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "1": Mapped(Reason.INVALID_NUMBER),
    "5": Mapped(Reason.OUT_OF_SERVICE),
    "8": Mapped(Reason.FREQUENCY_CAP, note="the same text to the same number"),
    "9": Mapped(Reason.FREQUENCY_CAP, note="the same text to the same number"),
    "22": Mapped(Reason.FREQUENCY_CAP, note="the same text to the same number"),
    "10": Mapped(Reason.BLACKLISTED),
    "12": Mapped(Reason.INVALID_NUMBER, "inferred", "no such number, or suspended"),
    "17": Mapped(Reason.FREQUENCY_CAP, note="in 24 hours"),
    "43": Mapped(Reason.FREQUENCY_CAP, note="in 24 hours"),
    "20": Mapped(Reason.ROUTING, note="the country is not served"),
    "28": Mapped(Reason.CARRIER_FAULT),
    "11": Mapped(Reason.UNMAPPED, note="failed; ask by ticket"),
    "13": Mapped(Reason.INVALID_NUMBER, "inferred", "something about the number"),
    "45": Mapped(Reason.BLACKLISTED, note="the gateway's"),
    "48": Mapped(Reason.BAD_REQUEST, note="a parameter is too long"),
    "61": Mapped(Reason.VENDOR_FAULT, "inferred", "flow control: its doing, not the person's"),
    "86": Mapped(Reason.BLACKLISTED, note="the carrier's"),
    "601": Mapped(Reason.BLACKLISTED),
    "640": Mapped(Reason.INVALID_NUMBER, "inferred", "mostly no such number, or suspended"),
    "908": Mapped(Reason.FREQUENCY_CAP, note="one marketing message a number in 24 hours"),
    "998": Mapped(Reason.UNMAPPED, note="ask by ticket"),
    "1028": Mapped(Reason.TEMPLATE_NOT_APPROVED, "inferred", "the template's type, or no product for it"),
    "1052": Mapped(Reason.INVALID_NUMBER, note="a virtual or malformed number"),
    "9403": Mapped(Reason.BLACKLISTED),
    "9419": Mapped(Reason.FREQUENCY_CAP),
    "9441": Mapped(Reason.FREQUENCY_CAP),
    "300040": Mapped(Reason.FREQUENCY_CAP, note="a number's peak of a day"),
    "XA:0001": Mapped(Reason.UNMAPPED, note="turned away; why is not said"),
    "XA:0101": Mapped(Reason.FREQUENCY_CAP, note="the same number again"),
}

_KINDS: Final = {
    Purpose.VERIFICATION: "verification",
    Purpose.NOTIFICATION: "notification",
    Purpose.MARKETING: "marketing",
}
_VERDICTS: Final = {"reviewing": None, "passed": ReviewVerdict.APPROVED, "rejected": ReviewVerdict.REJECTED}
_RECORDED: Final = {
    "success": DeliveryState.DELIVERED,
    "sending": DeliveryState.UNKNOWN,
    "waiting": DeliveryState.UNKNOWN,
}
_RECORDS: Final = 200  # rows of a page of records; the most
_REVIEWS: Final = 20  # rows of a page of reviews; what is given by default
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_STREAM: Final = "application/octet-stream"
_TAKEN: Final = Acknowledgement(body=b"{}")
_NOT_TAKEN: Final = Acknowledgement(status=400, body=b"{}")


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def own_headers(headers: Mapping[str, str]) -> str:
    """The vendor's own headers, sorted, each on a line of its own, its name spelt with capitals (X-Qiniu-Date)."""
    ours = sorted(name for name in headers if name.startswith("x-qiniu-"))
    return "".join(f"\n{name.title()}: {headers[name]}" for name in ours)


def signed_body(kind: str, body: bytes) -> bytes:
    """The body as far as it is signed: wholly, but for a stream."""
    return b"" if kind in ("", _STREAM) else body


def string_to_sign(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Method and target, host, content type, own headers, a blank line, body. `headers`: names in lower case."""
    kind = headers.get("content-type", "")
    head = f"{method} {target}\nHost: {headers['host']}" + (f"\nContent-Type: {kind}" if kind else "")
    return f"{head}{own_headers(headers)}\n\n".encode() + signed_body(kind, body)


def signature(secret: str, words: bytes, alphabet: str = "url") -> str:
    """HMAC-SHA1 in Base64; `plain` has the other alphabet, which one client of others uses."""
    mac = signing.hmac_sha1(secret.encode(), words)
    return signing.base64_text(mac) if alphabet == "plain" else signing.base64_url(mac)


class Vendor:
    """One account (AccessKey) at Qiniu."""

    manifest = Manifest(
        id="qiniu",
        name={"zh-CN": "七牛云短信", "en": "Qiniu SMS"},
        credentials=(Credential("access_key"), Credential("secret_key", secret=True)),
        documents=(
            Document("发送短信 (2023-06-26); 查询发送记录 (2020-08-25)", date(2026, 3, 2)),
            Document("消息推送 (2023-05-24); 配置管理; 错误定义 (2025-04-08)", date(2026, 3, 2)),
            Document("QiniuMacAuth of the vendor's own client, 7.18.0", date(2026, 3, 2)),
        ),
        absent={
            Capability.SUBMITS_IN_BULK: NotOffered(
                "a bulk has one set of variables for all its numbers, and one job_id in place of their ids"
            ),
            Capability.PULLS_REPORTS: NotOffered("no queue: reports are pushed, and stand in the records"),
            Capability.PULLS_INBOUND: NotOffered("replies are pushed only"),
            Capability.TELLS_STATISTICS: NotOffered("no interface tells counts; the console shows them"),
            Capability.TELLS_BALANCE: NotYetWritten("no interface of the SMS product tells it; billing may"),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no interface shows a blacklist"),
            Capability.EDITS_BLACKLIST: NotOffered("no interface edits a blacklist"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://sms.qiniuapi.com",
        # No rate is documented. Caps on one number are, without figures, but for one marketing message in 24 hours.
        pace=Pace(per_second=10, burst=10),
        by_template=True,
        options={
            "date_header": "1",  # 0: X-Qiniu-Date is left out, as some clients do
            "base64": "url",  # or plain
            "signature_id": "",  # looked up by the signature's text, if it is not told
            "signature_in_message": "0",  # 1: the template is bound to no signature, so each message names one
            "signature_source": "enterprises_and_institutions",
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = httpx.URL(reading.base(account, self.manifest))

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        """By the interface for one message, whose answer has an id of its own. Variables may hold no Chinese."""
        if message.template is None:
            raise reading.not_sent("Qiniu sends by template, and this message names none")
        fields: dict[str, object] = {
            "template_id": message.template,
            "mobile": reading.national(message.to.number),
            "parameters": dict(message.parameters),
        }
        if self._options["signature_in_message"] == "1":
            fields["signature_id"] = yield from self._signature_id(message.signature or self._account.signature)
        if message.reference:
            fields["seq"] = message.reference
        reply = yield self._post("/v1/message/single", fields)
        body = _object(reply)
        if refusal := _refusal(body, reply):
            return refusal
        return Accepted(vendor_message_id=reading.identifier(body, "message_id"))

    # --- reviews ---

    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        """Without pictures of papers: the interface takes them, and an evaluation has none."""
        fields = {"signature": draft.text, "source": self._options["signature_source"]}
        reply = yield self._post("/v1/signature", fields)
        return _ticket(reply, Subject.SIGNATURE, "signature_id", draft.name)

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        return (yield from self._decision(Subject.SIGNATURE, "signature", ticket))

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        bound = yield from self._signature_id(draft.signature or self._account.signature)
        fields = {
            "name": draft.name,
            "template": fill(draft.text, {name: f"${{{name}}}" for name in variables(draft.text)}),
            "type": _KINDS[draft.purpose],
            "description": draft.remark or draft.name,
            "signature_id": bound,
        }
        reply = yield self._post("/v1/template", fields)
        return _ticket(reply, Subject.TEMPLATE, "template_id", draft.name)

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        return (yield from self._decision(Subject.TEMPLATE, "template", ticket))

    def _decision(self, subject: Subject, kind: str, ticket: str) -> Flow[ReviewDecision | None]:
        for item in (yield from self._reviews(kind)):
            if reading.identifier(item, "id") == ticket:
                return _decided(item, subject, ticket)
        raise VendorTrouble(f"the vendor does not know this {kind}")

    def _signature_id(self, name: str) -> Flow[str]:
        """The vendor's id of a filed signature: the account's option, or looked up by the signature's text."""
        if self._options["signature_id"]:
            return self._options["signature_id"]
        for item in (yield from self._reviews("signature")):
            if reading.text(item, "signature") == name:
                return reading.identifier(item, "id")
        raise reading.not_sent("the signature is none of the account's: name its id in the option signature_id")

    def _reviews(self, kind: str) -> Flow[Sequence[dict[str, Any]]]:
        """All signatures or templates of the account."""
        return (
            yield from reading.paged(
                lambda number: self._get(f"/v1/{kind}", {"page": str(number), "page_size": str(_REVIEWS)}),
                lambda reply: _page(reply, "total"),
                _identified,
                page_size=_REVIEWS,
            )
        )

    # --- records ---

    def find_records(self, number: str, day: date) -> Flow[Sequence[Record]]:
        begin = reading.midnight(day)
        span = {
            "mobile": reading.national(number),
            "start": str(int(begin.timestamp())),
            "end": str(int((begin + timedelta(seconds=86_399)).timestamp())),
        }
        return (
            yield from reading.paged(
                lambda at: self._get("/v1/messages", {**span, "page": str(at), "page_size": str(_RECORDS)}),
                lambda reply: _page(reply, None),
                _record,
                page_size=_RECORDS,
            )
        )

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """Reports or replies, several in one. Nothing in it proves where it comes from."""
        try:
            told = reading.parse(request.body)
            items = told.get("items") if isinstance(told, dict) else None
            if not isinstance(items, list):
                raise ValueError("no items in it")
            return reading.sort_push(items, _reader, _TAKEN)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    # --- the wire ---

    def _post(self, path: str, fields: Mapping[str, object]) -> httpx.Request:
        content = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        return self._signed("POST", path, _JSON, content)

    def _get(self, path: str, query: Mapping[str, str]) -> httpx.Request:
        """A question; its content type is signed although it has no body."""
        return self._signed("GET", f"{path}?{urlencode(query)}", _FORM, b"")

    def _signed(self, method: str, target: str, kind: str, content: bytes) -> httpx.Request:
        url = f"{str(self._url).rstrip('/')}{target}"
        headers = {"host": self._url.netloc.decode("ascii"), "content-type": kind}
        if self._options["date_header"] == "1":
            headers["x-qiniu-date"] = f"{self._tools.now():%Y%m%dT%H%M%SZ}"
        words = string_to_sign(method, target, headers, content)
        key, secret = self._account.secret("access_key"), self._account.secret("secret_key")
        headers["authorization"] = f"Qiniu {key}:{signature(secret, words, self._options['base64'])}"
        return httpx.Request(method, url, headers=headers, content=content)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _object(reply: httpx.Response) -> dict[str, Any]:
    """The reply's object, if it may be believed: a server that fails tells nothing of what became of a message.

    Raises:
        Throttled: by its status; no word for it is documented.
        Unauthorised: by its status, whatever the word.
    """
    if reply.status_code == 429:
        raise Throttled("HTTP 429", code="429")
    body = read_object(reply)
    if reply.is_server_error:
        raise Unintelligible(f"HTTP {reply.status_code}", body=reply.content)
    if reply.status_code == 401:
        raise Unauthorised(reading.masked(reading.text(body, "message")), code=reading.text(body, "error") or "401")
    return body


def _refusal(body: Mapping[str, Any], reply: httpx.Response) -> Refused | None:
    """A no to a request: an error's word, with an HTTP status that says so too, or without."""
    if not reply.is_error and not body.get("error"):
        return None
    return reading.refused(reading.identifier(body, "error"), reading.text(body, "message"), REASONS)


def _page(reply: httpx.Response, total: str | None) -> tuple[list[Any], int | None]:
    body = _object(reply)
    if no := _refusal(body, reply):
        raise VendorTrouble(f"{no.code}: {no.detail}", code=no.code)
    return reading.rows(body, "items"), reading.count(body, total) if total else None


def _ticket(reply: httpx.Response, subject: Subject, key: str, name: str) -> Ticket | Refused:
    body = _object(reply)
    if refusal := _refusal(body, reply):
        return refusal
    return Ticket(subject=subject, id=reading.identifier(body, key), name=name)


def _identified(item: dict[str, Any]) -> dict[str, Any]:
    reading.identifier(item, "id")
    reading.text(item, "signature")
    return item


def _decided(item: Mapping[str, Any], subject: Subject, ticket: str) -> ReviewDecision | None:
    status = reading.text(item, "audit_status")
    if status not in _VERDICTS:
        raise Unintelligible("audit_status is none that is documented")
    if (verdict := _VERDICTS[status]) is None:
        return None
    return ReviewDecision(
        ticket=ticket,
        subject=subject,
        verdict=verdict,
        reason=reading.text(item, "reject_reason"),
        claimed_at=reading.unix(item, "updated_at"),
    )


def _record(item: dict[str, Any]) -> Record:
    status, code = reading.text(item, "status"), reading.text(item, "error")
    # The vendor's page says created_at and delivrd_at, its Go client createat and delivrat.
    sent = reading.unix(item, "created_at") or reading.unix(item, "createat")
    return Record(
        number=reading.identifier(item, "mobile"),
        sent_at=sent,
        vendor_message_id=reading.identifier(item, "message_id"),
        state=failed_state(code) if status == "failed" else _RECORDED.get(status, DeliveryState.UNKNOWN),
        code=code or status,
        text=reading.text(item, "content") or None,
        reported_at=reading.unix(item, "delivrd_at") or reading.unix(item, "delivrat"),
    )


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    if "message_id" in item and "status" in item:
        return _report
    return _reply if "content" in item and "mobile" in item else None


def _report(item: dict[str, Any]) -> StatusReport:
    status, error = reading.text(item, "status"), reading.text(item, "error").strip()
    if status not in ("DELIVRD", "FAILED"):
        raise Unintelligible("status is none that is documented")
    code = status if status == "DELIVRD" else error or status
    state = DeliveryState.DELIVERED if status == "DELIVRD" else failed_state(code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "message_id"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS),
        code=code,
        claimed_at=reading.unix(item, "delivrd_at"),
        number=reading.text(item, "mobile") or None,
        reference=reading.text(item, "seq") or None,
    )


def _reply(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to=reading.text(item, "dest_code"),
        text=reading.text(item, "content"),
        sent_at=reading.unix(item, "time"),
    )

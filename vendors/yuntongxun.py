"""Yuntongxun 容联云通讯: JSON over HTTP, known by an MD5 in the URL and account and time in Base64 in a header.

Sends by template, whose variables go by their place. Reports and replies are pushed, one a request, and sign nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
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
from harness.domain import BEIJING, Accepted, DeliveryState, InboundMessage, Message, Outcome, Reason, StatusReport
from harness.errors import Unintelligible
from harness.flow import Flow, read_object
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

_LIST: Final = "the vendor's list as several public clients in PHP and Python carry it (2014 to 2021), which agree"


def _lines(reason: Reason, *codes: str, note: str = "", sure: str = "copied") -> dict[str, Mapped]:
    return {code: Mapped(reason, sure, note, _LIST) for code in codes}


def _span(first: int, last: int) -> tuple[str, ...]:
    return tuple(str(code) for code in range(first, last + 1))


REASONS: Final[Mapping[str, Mapped]] = {
    **_lines(Reason.VENDOR_FAULT, *_span(111000, 111099), note="内部错误"),
    # our request: how it is signed, account, application
    **_lines(
        Reason.AUTH, *_span(111100, 111110), note="URL, Authorization or sig; 111106 an old stamp, 111109 the sig"
    ),
    **_lines(Reason.THROTTLED, "111111", note="more at once than the account may"),
    **_lines(Reason.AUTH, "111113", note="the stamp is malformed"),
    **_lines(Reason.AUTH, *_span(111128, 111141), note="the account; 111141 it does not exist"),
    **_lines(Reason.BALANCE, "111142"),
    **_lines(Reason.AUTH, "111143", note="the token"),
    **_lines(Reason.AUTH, *_span(111169, 111182), note="the application; 111179 in review, 111181 it does not exist"),
    # of before 2015, for templates and whole texts
    **_lines(Reason.INVALID_NUMBER, "112300", "112306", note="no number"),
    **_lines(Reason.BAD_REQUEST, "112301", "112304", "112308", "112309", note="text or data"),
    **_lines(Reason.VENDOR_FAULT, "112302", note="bulk sending is suspended"),
    **_lines(Reason.AUTH, "112303", "112312", note="not switched on for the application"),
    **_lines(Reason.AUTH, "112305", "112310", note="the application is not live"),
    **_lines(Reason.TEMPLATE_NOT_APPROVED, "112307", "112311", "112313", "112315", "112318", "112323"),
    **_lines(Reason.QUOTA, "112314", note="the day's limit of sending"),
    **_lines(Reason.INVALID_NUMBER, "112316", "112319"),
    **_lines(Reason.BLACKLISTED, "112317"),
    **_lines(Reason.BAD_REQUEST, "112320", "112321", note="no push URL for replies and reports"),
    **_lines(Reason.BAD_REQUEST, "112324", "112325", "112327", "112328", "112329", "112330", note="a question's field"),
    **_lines(Reason.VENDOR_FAULT, "112326", note="sending failed"),
    **_lines(Reason.BAD_REQUEST, *_span(112341, 112348), note="a template that is handed in"),
    **_lines(Reason.AUTH, "112349", "112350", "112353", note="what the account may"),
    **_lines(Reason.BAD_REQUEST, "112351", "112352", "112356", note="no state, or not yet"),
    **_lines(Reason.THROTTLED, "112354", note="too many questions at once"),
    **_lines(Reason.BAD_REQUEST, "113302", note="the test template, and a number that is not registered for tests"),
    # the message
    **_lines(Reason.VENDOR_FAULT, *_span(160000, 160010), note="系统错误; from 160001 the channel is busy"),
    **_lines(Reason.SENSITIVE_CONTENT, "160011", "160018", "160033", "160049"),
    **_lines(Reason.VENDOR_FAULT, "160012", note="the channel's own sign-in"),
    **_lines(Reason.INVALID_NUMBER, "160013", "160042", "160044", note="malformed, not served, or none"),
    **_lines(Reason.BALANCE, "160014", note="the channel's"),
    **_lines(Reason.FREQUENCY_CAP, "160015", "160021", "160022", "160056", note="the number, or the same text"),
    **_lines(Reason.THROTTLED, "160016", note="the channel limits the pace", sure="inferred"),
    **_lines(Reason.BAD_REQUEST, "160017", "160045", "160048", note="too many numbers, or one twice"),
    **_lines(Reason.SIGNATURE_NOT_APPROVED, "160019"),
    **_lines(Reason.BAD_REQUEST, "160020", "160037", note="too long"),
    **_lines(Reason.BAD_REQUEST, "160030", "160031", "160035", "160047", note="the body"),
    **_lines(Reason.TEMPLATE_NOT_APPROVED, "160032", "160036", "160043", "160057", note="no such template for this"),
    **_lines(Reason.BLACKLISTED, "160034"),
    **_lines(Reason.FREQUENCY_CAP, "160038", note="codes too fast"),
    **_lines(Reason.FREQUENCY_CAP, "160039", "160040", "160041", note="of one template to one number in a day"),
    **_lines(Reason.SENSITIVE_CONTENT, "160046", note="an advertisement that did not pass review"),
    **_lines(Reason.VENDOR_FAULT, "160050", "160063", "160064", note="sending failed"),
    **_lines(Reason.OPTED_OUT, "160051", note="of advertisements"),
    **_lines(Reason.BAD_REQUEST, "160052", "160069", note="a variable is malformed"),
    **_lines(Reason.AUTH, "160053", note="our address"),
    **_lines(Reason.BAD_REQUEST, "160054", note="the same reqId once more"),
    **_lines(Reason.BAD_REQUEST, "160055", "160065", "160066", "160067", note="reqId, extension or time to send"),
    **_lines(Reason.ROUTING, *_span(160058, 160062), "160070", note="abroad"),
    **_lines(Reason.OPTED_OUT, "160068", note="of everything on the platform"),
    **_lines(Reason.HOURS, "160071"),
    **_lines(Reason.BLACKLISTED, "160072", note="关键号码"),
    **_lines(Reason.BLACKLISTED, "160073", note="complained to the carrier"),
    **_lines(Reason.BLACKLISTED, "160074", note="高危投诉"),
    **_lines(Reason.VENDOR_FAULT, "172001", note="their client says it of the network", sure="documented"),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {}
"""No code of the platform's own was found in a report; carriers' are in vendors/carrier_codes.py."""

_OK: Final = "000000"
_STAMP: Final = "%Y%m%d%H%M%S"
_REPORT, _REPLY = "1", "0"  # smsType
_LONGEST_REFERENCE: Final = 32
_TAKEN: Final = Acknowledgement(body=b'{"statusCode":"000000"}')
_NOT_TAKEN: Final = Acknowledgement(status=400, body=b'{"statusCode":"160031"}')


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def stamp(moment: datetime) -> str:
    """The time as it is signed: Beijing's, `yyyyMMddHHmmss`."""
    return f"{moment.astimezone(BEIJING):{_STAMP}}"


def sig(account: str, token: str, when: str) -> str:
    """The URL's `sig`: MD5 over account, token and time, in capitals."""
    return signing.md5_hex(f"{account}{token}{when}".encode()).upper()


def authorization(account: str, when: str) -> str:
    """The Authorization header: account and time in Base64, without a word before it."""
    return signing.base64_text(f"{account}:{when}".encode())


class Vendor:
    """One application of an account at Yuntongxun."""

    manifest = Manifest(
        id="yuntongxun",
        name={"zh-CN": "容联云通讯", "en": "Yuntongxun (Cloopen)"},
        credentials=(Credential("account_sid"), Credential("auth_token", secret=True), Credential("app_id")),
        documents=(
            Document("the vendor's own clients for Java (2021-04) and Python 1.0.0", date(2026, 3, 2)),
            Document("状态报告推送 as a public receiver quotes it (2018-11)", date(2026, 3, 2)),
            Document("状态码, as public clients carry it (up to 160074)", date(2026, 3, 2)),
        ),
        absent={
            Capability.SUBMITS_IN_BULK: NotOffered(
                "a bulk has one set of variables for all its 200 numbers, and one id for them all"
            ),
            Capability.PULLS_REPORTS: NotYetWritten("codes tell of such an interface; no page that shows it was found"),
            Capability.PULLS_INBOUND: NotYetWritten("nothing was found but pushes"),
            Capability.REVIEWS_SIGNATURES: NotOffered("a signature is filed with its template, in the console"),
            Capability.REVIEWS_TEMPLATES: NotYetWritten(
                "QuerySMSTemplate shows templates; how one is handed in is on no page that was found"
            ),
            Capability.FINDS_RECORDS: NotYetWritten("codes tell of a question by day and number; no page was found"),
            Capability.TELLS_STATISTICS: NotOffered("statistics are in the console"),
            Capability.TELLS_BALANCE: NotYetWritten("AccountInfo tells it; no page that shows its answer was found"),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no interface: a listed number is known when it is refused"),
            Capability.EDITS_BLACKLIST: NotOffered("no interface edits a list"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://app.cloopen.com:8883",
        # No rate is documented. Caps on one number are, by template and day, without figures.
        pace=Pace(per_second=10, burst=10),
        by_template=True,
        options={
            "sub_append": "",  # four digits behind the sender's code, if the account has them
            "req_id": "1",  # 0: our reference is not sent as reqId, which is taken once a day
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = reading.base(account, self.manifest)

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        if message.template is None or not re.fullmatch(r"[0-9]{1,18}", message.template):
            raise reading.not_sent("Yuntongxun sends by template, whose id is a whole number")
        fields: dict[str, Any] = {
            "to": reading.national(message.to.number),
            "appId": self._account.secret("app_id"),
            "templateId": message.template,
            "datas": list(message.parameters.values()),
        }
        if self._options["sub_append"]:
            fields["subAppend"] = self._options["sub_append"]
        if self._options["req_id"] == "1" and 0 < len(message.reference) <= _LONGEST_REFERENCE:
            fields["reqId"] = message.reference
        reply = yield self._request("SMS/TemplateSMS", fields)
        body = read_object(reply)
        if (code := reading.identifier(body, "statusCode")) != _OK:
            return reading.refused(code, reading.text(body, "statusMsg"), REASONS)
        if reply.is_error:
            raise Unintelligible(f"HTTP {reply.status_code} and {_OK}", body=reply.content)
        # Their clients spell it with a small letter, their XML with a capital.
        told = reading.child(body, "TemplateSMS" if "TemplateSMS" in body else "templateSMS")
        return Accepted(vendor_message_id=reading.identifier(told, "smsMessageSid"))

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """A report or a reply in `Request`. Nothing in it proves where it comes from."""
        try:
            told = reading.parse(request.body)
            if not isinstance(told, dict) or "Request" not in told:
                raise ValueError("no Request in it")
            item = told["Request"]
            return reading.sort_push(item if isinstance(item, list) else [item], _reader, _TAKEN)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    # --- the wire ---

    def _request(self, function: str, fields: Mapping[str, Any]) -> httpx.Request:
        account, when = self._account.secret("account_sid"), stamp(self._tools.now())
        proof = sig(account, self._account.secret("auth_token"), when)
        headers = {
            "accept": "application/json",
            "content-type": "application/json;charset=utf-8",
            "authorization": authorization(account, when),
        }
        content = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
        url = f"{self._url}/2013-12-26/Accounts/{signing.percent(account)}/{function}?sig={proof}"
        return httpx.Request("POST", url, headers=headers, content=content)


# --- reading pushes --------------------------------------------------------------------------------------------------


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    """By smsType, which is text by the sample; what has a deliverCode is a report, whatever it says."""
    kind = reading.text(item, "smsType")
    if kind == _REPORT or "deliverCode" in item:
        return _report
    return _inbound if kind == _REPLY else None


def _report(item: dict[str, Any]) -> StatusReport:
    """`status` 0 is delivered; `content` is the message's id, `fromNum` the number that it went to."""
    status, carriers = reading.text(item, "status"), reading.text(item, "deliverCode").strip()
    code = carriers or reading.identifier(item, "status")
    is_delivered = status == "0" if status else carriers == "DELIVRD"
    state = DeliveryState.DELIVERED if is_delivered else failed_state(code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "content"),
        state=state,
        reason=None if is_delivered else report_reason(code, REPORT_REASONS, REASONS),
        code=code,
        claimed_at=reading.stamped(item, "recvTime", _STAMP),
        submitted_at=reading.stamped(item, "dateSent", _STAMP),
        number=reading.text(item, "fromNum") or None,
        reference=reading.text(item, "reqId") or None,
        billed_segments=reading.count(item, "smsCount"),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "fromNum"),
        to=reading.text(item, "appendCode"),
        text=reading.text(item, "content"),
        sent_at=reading.stamped(item, "recvTime", _STAMP) or reading.stamped(item, "dateSent", _STAMP),
    )

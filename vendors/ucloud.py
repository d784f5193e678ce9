"""UCloud USMS: one address for all actions, flat forms in and JSON out, signed by a SHA1 over the sorted parameters.

Sends by template and signature. A request has one SessionNo for all its numbers, so a message is known by that and its
number together. Pushes are lists and sign nothing.
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

_GATEWAY: Final = (
    "the gateway of all this vendor's products, as its users quote it; the SMS documents do not explain it"
)

REASONS: Final[Mapping[str, Mapped]] = {
    "18000": Mapped(Reason.BAD_REQUEST, note="JSON"),
    "18001": Mapped(Reason.BAD_REQUEST, note="a parameter is missing"),
    "18002": Mapped(Reason.BAD_REQUEST, note="a parameter is malformed"),
    "18003": Mapped(Reason.BAD_REQUEST, note="a parameter is wrong"),
    "18004": Mapped(Reason.VENDOR_FAULT),
    "18007": Mapped(Reason.VENDOR_FAULT),
    "18013": Mapped(Reason.BALANCE, note="messages left in the account or project"),
    "18014": Mapped(Reason.INVALID_NUMBER),
    "18016": Mapped(Reason.SIGNATURE_NOT_APPROVED),
    "18017": Mapped(Reason.TEMPLATE_NOT_APPROVED),
    "18018": Mapped(Reason.BAD_REQUEST, note="the variables do not fit the template"),
    "18019": Mapped(Reason.BAD_REQUEST, note="over 1000 numbers"),
    "18023": Mapped(Reason.SENSITIVE_CONTENT),
    "18033": Mapped(Reason.BAD_REQUEST, note="a variable holds what it may not"),
    "18046": Mapped(Reason.UNMAPPED, note="some of a batch failed: words say why, and no code"),
    "18048": Mapped(Reason.BAD_REQUEST, note="too many numbers"),
    "18049": Mapped(Reason.BAD_REQUEST, note="too large a file"),
    "150": Mapped(Reason.VENDOR_FAULT, "inferred", "the service is not to be had", _GATEWAY),
    "151": Mapped(Reason.VENDOR_FAULT, "inferred", "the gateway's cache", _GATEWAY),
    "160": Mapped(Reason.BAD_REQUEST, "inferred", "no such action", _GATEWAY),
    "161": Mapped(Reason.BAD_REQUEST, "inferred", "no action named", _GATEWAY),
    "170": Mapped(Reason.AUTH, "inferred", "no signature", _GATEWAY),
    "171": Mapped(Reason.AUTH, "inferred", "the signature is wrong", _GATEWAY),
    "172": Mapped(Reason.AUTH, "inferred", "nobody has this public key", _GATEWAY),
    "220": Mapped(Reason.BAD_REQUEST, "inferred", "a parameter is missing", _GATEWAY),
    "230": Mapped(Reason.BAD_REQUEST, "inferred", "a parameter is wrong", _GATEWAY),
    "292": Mapped(Reason.AUTH, "inferred", "no such project", _GATEWAY),
    "299": Mapped(Reason.AUTH, "inferred", "the key may not do this", _GATEWAY),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "MSBLACK": Mapped(Reason.BLACKLISTED, note="the carrier's"),
}

BULK_LIMIT: Final = 1000  # numbers
_REFERENCE: Final = 32  # characters of UserId
_ROWS: Final = 100
_PURPOSES: Final = {Purpose.VERIFICATION: "1", Purpose.NOTIFICATION: "2", Purpose.MARKETING: "3"}
_OPT_OUT: Final = "拒收请回复R"
_STATUS: Final = {
    "0": None,
    "1": None,
    "2": ReviewVerdict.APPROVED,
    "3": ReviewVerdict.REJECTED,
    "4": ReviewVerdict.REJECTED,  # switched off
}
_RESULTS: Final = {
    "发送成功": DeliveryState.DELIVERED,
    "Success": DeliveryState.DELIVERED,
    "发送失败": DeliveryState.UNDELIVERED,
    "Fail": DeliveryState.UNDELIVERED,
    "状态未知": DeliveryState.UNKNOWN,
    "Unknow": DeliveryState.UNKNOWN,  # their spelling
    "Unknown": DeliveryState.UNKNOWN,
}
_TAKEN: Final = Acknowledgement(body=b'{"code":0,"message":"ok"}')
_NOT_TAKEN: Final = Acknowledgement(status=400, body=b'{"code":1,"message":"refused"}')


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def flattened(fields: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """Lists become numbered fields: "PhoneNumbers.0", "PhoneNumbers.1"."""
    flat: dict[str, str] = {}
    for name, value in fields.items():
        if isinstance(value, str):
            flat[name] = value
        else:
            flat |= {f"{name}.{place}": one for place, one in enumerate(value)}
    return flat


def string_to_sign(fields: Mapping[str, str]) -> str:
    """Every name and its value, sorted by name, with nothing between them."""
    return "".join(f"{name}{fields[name]}" for name in sorted(fields))


def signature(fields: Mapping[str, str], private_key: str) -> str:
    """SHA1 in lower-case hex over the string to sign and the private key behind it."""
    return signing.sha1_hex(f"{string_to_sign(fields)}{private_key}".encode())


def packed(content: object) -> str:
    """JSON in Base64: how a batch is written into one field."""
    return signing.base64_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())


class Vendor:
    """One account (public key) at UCloud, and the project that its messages are billed to."""

    manifest = Manifest(
        id="ucloud",
        name={"zh-CN": "UCloud 短信", "en": "UCloud USMS"},
        credentials=(
            Credential("public_key"),
            Credential("private_key", secret=True),
            Credential("project_id", optional=True),  # sub-accounts must name one
        ),
        documents=(
            Document("USMS actions, as in the vendor's own client 0.11.150", date(2026, 3, 2)),
            Document("USMS: 状态报告推送, 上行消息推送, API 错误码", date(2026, 3, 2)),
        ),
        absent={
            Capability.PULLS_REPORTS: NotOffered("no queue: reports are pushed, or asked for by SessionNo"),
            Capability.PULLS_INBOUND: NotOffered("replies are pushed only"),
            Capability.FINDS_RECORDS: NotOffered("records are asked by SessionNo only, not by number and day"),
            Capability.TELLS_BALANCE: NotYetWritten("no action of the SMS product tells it; billing may"),
            Capability.TELLS_PRICES: NotOffered("no action tells a price"),
            Capability.CHECKS_CONTENT: NotOffered("no action checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no action shows a blacklist"),
            Capability.EDITS_BLACKLIST: NotOffered("no action edits a blacklist"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://api.ucloud.cn",
        # Neither a rate nor a cap on one number is documented.
        pace=Pace(per_second=10, burst=10),
        by_template=True,
        options={
            "region": "",
            "signature_type": "0",  # 0 a company's name … 5 a public body's
            "signature_purpose": "0",  # 0 our own, 1 somebody else's
            "certificate_type": "0",  # as signature_type
            "qualification_id": "",
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = f"{reading.base(account, self.manifest)}/"

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        if message.template is None:
            raise reading.not_sent("UCloud sends by template, and this message names none")
        fields: dict[str, str | Sequence[str]] = {
            "PhoneNumbers": [reading.national(message.to.number)],
            "SigContent": message.signature or self._account.signature,
            "TemplateId": message.template,
            "TemplateParams": list(message.parameters.values()),
        }
        if 0 < len(message.reference) <= _REFERENCE:
            fields["UserId"] = message.reference
        body = _object((yield self._request("SendUSMSMessage", fields)))
        if (code := _code(body)) != "0":
            return reading.refused(code, reading.text(body, "Message"), REASONS)
        return Accepted(vendor_message_id=reading.identifier(body, "SessionNo"))

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """One group for each template and signature; what failed is listed by number, the rest shares one SessionNo."""
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        groups: dict[tuple[str, str], list[dict[str, object]]] = {}
        for message in messages:
            if message.template is None:
                raise reading.not_sent("UCloud sends by template, and a message names none")
            target: dict[str, object] = {
                "TemplateParams": list(message.parameters.values()),
                "Phone": reading.national(message.to.number),
            }
            if 0 < len(message.reference) <= _REFERENCE:
                target["UserId"] = message.reference
            sign = message.signature or self._account.signature
            groups.setdefault((message.template, sign), []).append(target)
        content = [
            {"TemplateId": template, "SigContent": sign, "Target": targets}
            for (template, sign), targets in groups.items()
        ]
        reply = yield self._request("SendBatchUSMSMessage", {"TaskContent": packed(content)})
        body = _object(reply)
        if (code := _code(body)) not in ("0", "18046"):
            return (reading.refused(code, reading.text(body, "Message"), REASONS),) * len(messages)
        failed = _failed(body)
        if not failed and code != "0":
            raise Unintelligible("some of the batch failed, and it is not said which", body=reply.content)
        return tuple(_outcome(message, failed, body) for message in messages)

    # --- reviews ---

    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        """Without files: the action takes them, or the id of a qualification that was filed before."""
        fields = {
            "SigContent": draft.text,
            "SigType": self._options["signature_type"],
            "SigPurpose": self._options["signature_purpose"],
            "CertificateType": self._options["certificate_type"],
            "Description": draft.remark or draft.name,
        }
        if self._options["qualification_id"]:
            fields["QualificationId"] = self._options["qualification_id"]
        body = _object((yield self._request("CreateUSMSSignature", fields)))
        return _ticket(body, Subject.SIGNATURE, "SigId", draft.name)

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        body = _asked((yield self._request("QueryUSMSSignature", {"SigId": ticket})))
        return _decision(body, Subject.SIGNATURE, ticket)

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        """Variables are known by their places: {1}, {2}."""
        places = {name: f"{{{place}}}" for place, name in enumerate(variables(draft.text), start=1)}
        fields = {
            "Purpose": _PURPOSES[draft.purpose],
            "Template": fill(draft.text, places),
            "TemplateName": draft.name,
        }
        if draft.remark:
            fields["Remark"] = draft.remark
        if draft.purpose is Purpose.MARKETING:
            fields["UnsubscribeInfo"] = _OPT_OUT
        body = _object((yield self._request("CreateUSMSTemplate", fields)))
        return _ticket(body, Subject.TEMPLATE, "TemplateId", draft.name)

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        body = _asked((yield self._request("QueryUSMSTemplate", {"TemplateId": ticket})))
        return _decision(body, Subject.TEMPLATE, ticket)

    # --- counts ---

    def statistics(self, first: date, last: date) -> Flow[Sequence[StatisticsRow]]:
        """A row a day, not split by carrier. Messages that were refused at once are not among them."""
        fields = {
            "Domestic": "1",
            "StartDate": str(first),
            "EndDate": str(last),
            "NumPerPage": str(_ROWS),
            "OrderBy": "SendDate",
            "OrderType": "asc",
        }
        return (
            yield from reading.paged(
                lambda number: self._request("GetUSMSSendStatistics", {**fields, "Page": str(number - 1)}),
                _page,
                _day_row,
                page_size=_ROWS,
            )
        )

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """Reports (MsgType 2) or replies (0), several in one. Nothing in it proves where it comes from."""
        try:
            told = reading.parse(request.body)
            items = told.get("Data") if isinstance(told, dict) else None
            if not isinstance(items, list):
                raise ValueError("no Data in it")
            return reading.sort_push(items, _reader, _TAKEN)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    # --- the wire ---

    def _request(self, action: str, fields: Mapping[str, str | Sequence[str]]) -> httpx.Request:
        whole: dict[str, str | Sequence[str]] = {"Action": action, "PublicKey": self._account.secret("public_key")}
        if "project_id" in self._account.credentials and (project := self._account.secret("project_id")):
            whole["ProjectId"] = project
        if self._options["region"]:
            whole["Region"] = self._options["region"]
        flat = flattened({**whole, **fields})
        flat["Signature"] = signature(flat, self._account.secret("private_key"))
        headers = {"content-type": "application/x-www-form-urlencoded"}
        return httpx.Request("POST", self._url, headers=headers, content=urlencode(flat).encode("ascii"))


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _code(body: Mapping[str, Any]) -> str:
    return reading.identifier(body, "RetCode")


def _object(reply: httpx.Response) -> dict[str, Any]:
    """An answer with a RetCode; with a failing server's status it says nothing."""
    body = read_object(reply)
    if reply.is_server_error or (reply.is_error and _code(body) == "0"):
        raise Unintelligible(f"HTTP {reply.status_code}", body=reply.content)
    return body


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The answer to a question. Raises VendorTrouble for a no."""
    body = _object(reply)
    if (code := _code(body)) != "0":
        raise reading.denied(code, reading.text(body, "Message"), REASONS)
    return body


def _page(reply: httpx.Response) -> tuple[list[Any], int | None]:
    body = _asked(reply)
    return reading.rows(body, "Data"), reading.count(body, "Total")


def _failed(body: Mapping[str, Any]) -> dict[str, str]:
    """Why each number of a batch failed, in the vendor's words: the number's own, or those of its whole group."""
    found: dict[str, str] = {}
    for group in reading.rows(body, "FailContent"):
        if not isinstance(group, dict):
            raise Unintelligible("FailContent holds what is no group")
        for target in reading.rows(group, "Target"):
            if not isinstance(target, dict):
                raise Unintelligible("Target holds what is no number")
            words = reading.text(target, "FailureDetails") or reading.text(group, "FailureDetails")
            found[reading.identifier(target, "Phone").removeprefix("(86)")] = words
    return found


def _outcome(message: Message, failed: Mapping[str, str], body: Mapping[str, Any]) -> Outcome:
    number = reading.national(message.to.number)
    if number in failed:
        return reading.no("18046", failed[number], REASONS)
    return Accepted(vendor_message_id=reading.identifier(body, "SessionNo"))


def _ticket(body: Mapping[str, Any], subject: Subject, key: str, name: str) -> Ticket | Refused:
    if (code := _code(body)) != "0":
        return reading.refused(code, reading.text(body, "Message"), REASONS)
    return Ticket(subject=subject, id=reading.identifier(body, key), name=name)


def _decision(body: Mapping[str, Any], subject: Subject, ticket: str) -> ReviewDecision | None:
    """No stamp of the decision is told."""
    item = reading.child(body, "Data")
    status = reading.text(item, "Status")
    if status not in _STATUS:
        raise Unintelligible("Status is none that is documented")
    if (verdict := _STATUS[status]) is None:
        return None
    return ReviewDecision(ticket=ticket, subject=subject, verdict=verdict, reason=reading.text(item, "ErrDesc"))


def _day_row(item: dict[str, Any]) -> StatisticsRow:
    day = reading.calendar_day({"day": reading.text(item, "SendDate")[:10].replace("-", "")}, "day")
    since = reading.midnight(day)
    return StatisticsRow(
        since=since,
        until=since + timedelta(days=1),
        carrier=None,
        submitted=reading.count(item, "Count"),
        billed_segments=reading.count(item, "CostCount"),
        delivered=reading.count(item, "SuccessCount"),
        undelivered=reading.count(item, "FailedCount"),
        unreported=reading.count(item, "UnknownCount"),
    )


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    if "SessionNo" in item and "ReceiptResult" in item:
        return _report
    return _reply if "ReplyContent" in item and "Phone" in item else None


def _report(item: dict[str, Any]) -> StatusReport:
    result, code = reading.text(item, "ReceiptResult"), reading.text(item, "ReceiptCode").strip()
    if result not in _RESULTS:
        raise Unintelligible("ReceiptResult is none that is documented")
    state = _RESULTS[result]
    if state is DeliveryState.UNDELIVERED:
        state = failed_state(code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "SessionNo"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS),
        code=code or result,
        claimed_at=reading.unix(item, "ReceiptTime"),
        number=reading.text(item, "Phone") or None,
        reference=reading.text(item, "UserId") or None,
        billed_segments=reading.count(item, "CostCount"),
        detail=reading.masked(reading.text(item, "ReceiptDesc")),
    )


def _reply(item: dict[str, Any]) -> InboundMessage:
    """The sender code is not told, only what was added to it."""
    return InboundMessage(
        number=reading.identifier(item, "Phone"),
        to=reading.text(item, "ExtendCode"),
        text=reading.text(item, "ReplyContent"),
        sent_at=reading.unix(item, "ReplyTime"),
    )

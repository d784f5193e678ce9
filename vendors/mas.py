"""Mobile Cloud MAS 移动云MAS, China Mobile's own platform: JSON in Base64 over HTTP, with an MD5 over its fields.

Whole texts, or a template's parameters. Lists, words and money are told in reports, and pushes sign nothing.
"""

from __future__ import annotations

import json
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
from harness.domain import Accepted, DeliveryState, InboundMessage, Message, Outcome, Reason, StatusReport
from harness.errors import Unintelligible
from harness.flow import Flow, read_object
from harness.text import split_signature
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

_LIST: Final = "the vendor's list as several public clients in Java and C# carry it, which agree"


def _line(reason: Reason, note: str = "") -> Mapped:
    return Mapped(reason, "copied", note, _LIST)


REASONS: Final[Mapping[str, Mapped]] = {
    "IllegalMac": _line(Reason.AUTH, "the MD5"),
    "InvalidUsrOrPwd": _line(Reason.AUTH),
    "NOT_WHITE_IP": _line(Reason.AUTH, "our address is not allowed"),
    "InvalidMessage": _line(Reason.BAD_REQUEST, "the body cannot be read"),
    "IllegalSignId": _line(Reason.SIGNATURE_NOT_APPROVED, "no such code of a signature"),
    "NoSignId": _line(Reason.SIGNATURE_NOT_APPROVED, "no signature found for the code"),
    "TooManyMobiles": _line(Reason.BAD_REQUEST, "more than 5000 numbers"),
    "InvalidMobile": _line(Reason.INVALID_NUMBER),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {}
"""No code of the platform's own ("CM:3000") is explained anywhere; carriers' are in vendors/carrier_codes.py."""

_OK: Final = "success"
_DELIVERED: Final = ("DELIVRD", "CM:0000")  # errorCode, reportStatus
_EMPTY: Final = ("", _OK, *_DELIVERED)  # what of either says no reason
_STAMP: Final = "%Y%m%d%H%M%S"
_TAKEN: Final = Acknowledgement(body=b'{"success":true}')
_NOT_TAKEN: Final = Acknowledgement(status=400, body=b'{"success":false}')


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def mac(ec_name: str, ap_id: str, secret: str, *fields: str) -> str:
    """MD5 in lower-case hex over group, account, secret and the fields in their order, with nothing between them.

    The fields: mobiles, content, sign, addSerial; with a template templateId, mobiles, params, sign, addSerial.
    """
    return signing.md5_hex("".join((ec_name, ap_id, secret, *fields)).encode())


def closed(body: Mapping[str, str]) -> bytes:
    """The body as it is sent: JSON in Base64, and no JSON around it."""
    plain = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return signing.base64_text(plain).encode("ascii")


class Vendor:
    """One interface account (apId) of a group at Mobile Cloud MAS."""

    manifest = Manifest(
        id="mas",
        name={"zh-CN": "移动云MAS", "en": "China Mobile Cloud MAS"},
        credentials=(
            Credential("ec_name"),  # the group's name, in Chinese
            Credential("ap_id"),
            Credential("secret_key", secret=True),
            Credential("sign"),  # the signature's code, from the console
        ),
        documents=(
            Document(
                "norsubmit and tmpsubmit as public clients in PHP, Java, Python and Node send them", date(2026, 3, 2)
            ),
            Document("响应状态 rspcod, as public clients carry it", date(2026, 3, 2)),
            Document("状态报告 and 上行 as a public receiver and the vendor's Java client read them", date(2026, 3, 2)),
        ),
        absent={
            Capability.SUBMITS_IN_BULK: NotOffered(
                "a bulk has one text for all its 5000 numbers, and one id for them all"
            ),
            Capability.PULLS_REPORTS: NotYetWritten("the vendor's Java client pulls; its wire was not found"),
            Capability.PULLS_INBOUND: NotYetWritten("the vendor's Java client pulls; its wire was not found"),
            Capability.REVIEWS_SIGNATURES: NotOffered("signatures are filed in the console"),
            Capability.REVIEWS_TEMPLATES: NotOffered("templates are handed in in the console"),
            Capability.FINDS_RECORDS: NotOffered("records are in the console"),
            Capability.TELLS_STATISTICS: NotOffered("statistics are in the console"),
            Capability.TELLS_BALANCE: NotOffered("what is left is in the console"),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no interface: a listed number is known by its report"),
            Capability.EDITS_BLACKLIST: NotOffered("a group's lists are kept in the console"),
        },
        standing=Standing.SANDBOXED,
        endpoint="http://112.35.1.155:1992",  # provinces have hosts of their own, some of them with TLS
        # No rate and no cap on one number is documented.
        pace=Pace(per_second=10, burst=10),
        by_template=False,
        options={
            "interface": "normal",  # whole texts; template: a template's id and parameters
            "signature_in_text": "0",  # 1: 【】 stays in the text; else the platform puts it there, by its code
            "add_serial": "",  # digits behind the sender's code
            "secret_in_body": "omitted",  # or empty, or value: clients of others differ, and all are taken
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = reading.base(account, self.manifest)

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        mobile, sign = reading.national(message.to.number), self._account.secret("sign")
        serial = self._options["add_serial"]
        if self._options["interface"] == "template":
            if message.template is None:
                raise reading.not_sent("this account of Mobile Cloud MAS sends by template, and the message names none")
            params = json.dumps(list(message.parameters.values()) or [""], ensure_ascii=False, separators=(",", ":"))
            fields = {"templateId": message.template, "mobiles": mobile, "params": params}
            reply = yield self._request("tmpsubmit", {**fields, "sign": sign, "addSerial": serial})
        else:
            in_text = self._options["signature_in_text"] == "1"
            content = message.text if in_text else split_signature(message.text)[1]
            fields = {"mobiles": mobile, "content": content, "sign": sign, "addSerial": serial}
            reply = yield self._request("norsubmit", fields)
        return _outcome(read_object(reply), reply)

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """An object, or a list of them: JSON, JSON in Base64, or a form. Nothing in it proves where it comes from."""
        try:
            told = reading.pushed(request)
            items = [one for item in (told if isinstance(told, list) else [told]) for one in _apart(item)]
            return reading.sort_push(items, _reader, _TAKEN)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    # --- the wire ---

    def _request(self, function: str, fields: Mapping[str, str]) -> httpx.Request:
        """`fields`: in the order in which they are signed."""
        ec_name, ap_id, secret = (self._account.secret(name) for name in ("ec_name", "ap_id", "secret_key"))
        shown = {"empty": {"secretKey": ""}, "value": {"secretKey": secret}}.get(self._options["secret_in_body"], {})
        proof = mac(ec_name, ap_id, secret, *fields.values())
        body = closed({"ecName": ec_name, "apId": ap_id, **shown, **fields, "mac": proof})
        headers = {"content-type": "application/json"}
        return httpx.Request("POST", f"{self._url}/sms/{function}", headers=headers, content=body)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _outcome(body: Mapping[str, Any], reply: httpx.Response) -> Outcome:
    """`msgGroup` is one for all numbers of a request; one model of others spells it mgsGroup."""
    if (code := reading.identifier(body, "rspcod")) != _OK:
        return reading.refused(code, "", REASONS)
    if reply.is_error or reading.text(body, "success", "true") != "true":
        raise Unintelligible("a yes that is none", body=reply.content)
    return Accepted(vendor_message_id=reading.identifier(body, "msgGroup" if body.get("msgGroup") else "mgsGroup"))


def _apart(item: Any) -> list[Any]:
    """A report of several numbers as one for each: `mobiles` is a list, or has commas."""
    if not isinstance(item, dict) or "mobiles" not in item:
        return [item]
    told = item["mobiles"]
    numbers = told if isinstance(told, list) else reading.text(item, "mobiles").split(",")
    return [{**item, "mobile": number} for number in numbers]


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    if "smsContent" in item:
        return _inbound
    return _report if "reportStatus" in item or "errorCode" in item else None


def _report(item: dict[str, Any]) -> StatusReport | None:
    """Delivered is what both fields say is delivered. None: what only says that the message was handed over."""
    error, status = reading.text(item, "errorCode").strip(), reading.text(item, "reportStatus").strip()
    is_delivered = (error, status) == _DELIVERED
    if status in ("", "CM:0000") and error in ("", _OK):
        return None
    reasons = [code for code in (error, status) if code not in _EMPTY]
    code = error if is_delivered else (*reasons, status, error)[0]
    state = DeliveryState.DELIVERED if is_delivered else failed_state(code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "msgGroup"),
        state=state,
        reason=None if is_delivered else _reason(reasons),
        code=code,
        claimed_at=_when(item, "receiveDate"),
        submitted_at=_when(item, "submitDate"),
        number=reading.text(item, "mobile") or None,
    )


def _reason(codes: list[str]) -> Reason:
    """Of the first code that a table knows: which of the two fields holds the carrier's is not documented."""
    known = (reason for code in codes if (reason := report_reason(code, REPORT_REASONS)) is not Reason.UNMAPPED)
    return next(known, Reason.UNMAPPED)


def _when(item: Mapping[str, Any], key: str) -> datetime | None:
    return reading.stamped(item, key, _STAMP) or reading.beijing(item, key)


def _inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to=reading.text(item, "addSerial"),
        text=reading.text(item, "smsContent"),
        sent_at=_when(item, "sendTime"),
    )

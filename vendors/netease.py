"""NetEase Yunxin 网易云信 SMS: forms in and JSON out, known by a checksum of secret, nonce and time in the headers.

Sends by template, codes and other texts by functions of their own. Reports and replies are copied (抄送) to us and
signed over their body; everything else is done in the console.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
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
    Pace,
    Push,
    PushRefused,
    PushRequest,
    Standing,
    Tools,
)
from harness.domain import Accepted, DeliveryState, InboundMessage, Message, Outcome, Purpose, Reason, StatusReport
from harness.errors import Unauthorised, Unintelligible
from harness.flow import Flow, read_object
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

REASONS: Final[Mapping[str, Mapped]] = {
    "315": Mapped(Reason.AUTH, "inferred", "our address is not on the list"),
    "400": Mapped(Reason.BAD_REQUEST),
    "403": Mapped(Reason.AUTH, note="no right to this, or stopped for arrears"),
    "404": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="not there, or of another kind than the function"),
    "412": Mapped(Reason.OPTED_OUT, note="its owner answered TD to a marketing message"),
    "413": Mapped(Reason.BAD_REQUEST, note="the code that was checked is wrong"),
    "414": Mapped(Reason.BAD_REQUEST, note="a parameter, the number among them; with other words our headers"),
    "416": Mapped(Reason.FREQUENCY_CAP, note="25 a day by default; or a country that is not served"),
    "426": Mapped(Reason.AUTH, note="an address abroad"),
    "500": Mapped(Reason.VENDOR_FAULT),
    "601": Mapped(Reason.SENSITIVE_CONTENT),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "UNDELIV": Mapped(
        Reason.UNREACHABLE, "inferred", "no such number, off or suspended: the words say which, if any do"
    ),
}

_BAD_HEADER: Final = "http header"  # "bad http header": key, nonce, time or checksum
_REPORTS, _REPLIES = "11", "12"  # eventType: text by the document, a number in live traffic
_TAKEN: Final = Acknowledgement(body=b'{"code":200}')
_NOT_TAKEN: Final = Acknowledgement(status=403, body=b'{"code":403}')


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def current(moment: datetime) -> str:
    """CurTime: whole seconds since 1970."""
    return str(int(moment.timestamp()))


def checksum(secret: str, word: str, when: str) -> str:
    """SHA1 over secret, word and time, in lower-case hex. The word is the nonce of ours, or the MD5 of their body."""
    return signing.sha1_hex(f"{secret}{word}{when}".encode())


def body_digest(body: bytes) -> str:
    """What the MD5 header of a push has to be."""
    return signing.md5_hex(body)


class Vendor:
    """One application (AppKey) at NetEase Yunxin."""

    manifest = Manifest(
        id="netease",
        name={"zh-CN": "网易云信短信", "en": "NetEase Yunxin SMS"},
        credentials=(Credential("app_key"), Credential("app_secret", secret=True)),
        documents=(
            Document("短信 API (2025-11): sendcode, sendtemplate, querystatus, codes", date(2026, 3, 2)),
            Document("短信接入示例: what a wrong checksum is answered with", date(2026, 3, 2)),
        ),
        absent={
            Capability.SUBMITS_IN_BULK: NotOffered(
                "one request takes 100 numbers but one set of parameters for them all, and our texts all differ"
            ),
            Capability.PULLS_REPORTS: NotOffered("querystatus tells what was handed on, and nothing of the phone"),
            Capability.PULLS_INBOUND: NotOffered("replies are copied to us only"),
            Capability.REVIEWS_SIGNATURES: NotOffered("signatures are filed in the console"),
            Capability.REVIEWS_TEMPLATES: NotOffered("templates are handed in in the console"),
            Capability.FINDS_RECORDS: NotOffered("a message can be asked for by its id only, and not by its number"),
            Capability.TELLS_STATISTICS: NotOffered("statistics are in the console"),
            Capability.TELLS_BALANCE: NotOffered("what is left is in the console"),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no interface: a number is known to be listed when it is refused"),
            Capability.EDITS_BLACKLIST: NotOffered("no interface: a number leaves the list by a ticket to support"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://sms.yunxinapi.com",
        # No rate is documented; one number takes 25 messages a day by default.
        pace=Pace(per_second=10, burst=10, same_number_seconds=60, per_number_per_day=25),
        by_template=True,
        push_is_signed=True,
        options={"parameters": "map"},  # list for applications of before 2025-11-05: in their order, and without names
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = reading.base(account, self.manifest)

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        """A template goes by the function of its kind: with the other one it is not there (404)."""
        if message.template is None:
            raise reading.not_sent("NetEase sends by template, and this message names none")
        number = reading.national(message.to.number)
        if message.purpose == Purpose.VERIFICATION:
            function, fields, key = "sendcode", {"mobile": number}, "msg"  # obj is the code itself
        else:
            function, fields, key = "sendtemplate", {"mobiles": _json([number])}, "obj"
        fields |= {"templateid": message.template, **self._parameters(message)}
        reply = yield self._request(function, fields)
        body = read_object(reply)
        if (code := reading.identifier(body, "code")) != "200":
            words = " ".join(words for name in ("msg", "desc") if (words := reading.text(body, name)))
            if code == "414" and _BAD_HEADER in words:
                raise Unauthorised(f"{code}: {reading.masked(words)}", code=code)
            return reading.refused(code, words, REASONS)
        if reply.is_error:
            raise Unintelligible(f"HTTP {reply.status_code} and code 200", body=reply.content)
        return Accepted(vendor_message_id=reading.identifier(body, key))

    def _parameters(self, message: Message) -> dict[str, str]:
        if self._options["parameters"] != "list":
            return {"paramMap": _json(dict(message.parameters))}
        values = list(message.parameters.values())
        if message.purpose != Purpose.VERIFICATION:
            return {"params": _json(values), "needUp": "true"}
        if len(values) != 1:
            raise reading.not_sent("an older application of NetEase sends a code and nothing else with it")
        return {"authCode": values[0], "needUp": "true"}

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """A list of one kind of event. Events of other products, which come to the same URL, tell us nothing."""
        try:
            self._prove(request)
            body = reading.parse(request.body)
            kind = reading.text(body, "eventType") if isinstance(body, dict) else ""
            if not kind:
                raise ValueError("no eventType in it")
            readers: dict[str, reading.Reader] = {_REPORTS: _report, _REPLIES: _inbound}
            reader = readers.get(kind)
            items = reading.rows(body, "objects") if reader else []
            return reading.sort_push(items, lambda item: reader, _TAKEN, authenticated=True)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    def _prove(self, request: PushRequest) -> None:
        """Raises ValueError for a push that is forged or stale."""
        told = {name: request.headers.get(name, "") for name in ("md5", "checksum", "curtime")}
        if not signing.matches(body_digest(request.body), told["md5"].lower()):
            raise ValueError("the body is not what its MD5 says")
        ours = checksum(self._account.secret("app_secret"), told["md5"], told["curtime"])
        if not signing.matches(ours, told["checksum"].lower()):
            raise ValueError("the checksum does not match")
        long = len(told["curtime"]) > 11  # seconds by the document of requests; of copies it may be milliseconds
        reading.check_fresh((reading.milliseconds if long else reading.unix)(told, "curtime"), request.received_at)

    # --- the wire ---

    def _request(self, function: str, fields: Mapping[str, str]) -> httpx.Request:
        nonce, when = self._tools.nonce(), current(self._tools.now().astimezone(UTC))
        headers = {
            "content-type": "application/x-www-form-urlencoded;charset=utf-8",
            "appkey": self._account.secret("app_key"),
            "nonce": nonce,
            "curtime": when,
            "checksum": checksum(self._account.secret("app_secret"), nonce, when),
        }
        content = urlencode(fields).encode("ascii")
        return httpx.Request("POST", f"{self._url}/sms/{function}.action", headers=headers, content=content)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _report(item: dict[str, Any]) -> StatusReport:
    """`spliced` counts the parts of the message."""
    code = reading.identifier(item, "result")
    state = DeliveryState.DELIVERED if code == "DELIVRD" else failed_state(code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "sendid"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS),
        code=code,
        claimed_at=reading.beijing(item, "reportTime"),
        submitted_at=reading.beijing(item, "sendTime"),
        number=reading.identifier(item, "mobile"),
        billed_segments=reading.count(item, "spliced"),
        detail=reading.masked(reading.text(item, "reason")),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to="",
        text=reading.text(item, "content"),
        sent_at=reading.beijing(item, "receiveTime"),
    )

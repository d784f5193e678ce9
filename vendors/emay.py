"""Emay 亿美软通: two interfaces of one account, whose host is its own. Whole texts; reports and replies wait in queues.

`secure`: the body is JSON, perhaps gzipped, under AES-128-ECB, and the code stands in a header of the answer. `simple`:
a form with an MD5 over account, key and time, and JSON back. Lists, words and caps are told in reports.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import httpx

from harness.capabilities import (
    Account,
    Capability,
    Credential,
    Document,
    Manifest,
    Mapped,
    NotOffered,
    NotYetWritten,
    Pace,
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
    Reason,
    StatusReport,
)
from harness.errors import Unintelligible
from harness.flow import Flow, read_object
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

_LIST: Final = "the vendor's list as two public clients in Java carry it (one of 2019), which agree"


def _line(reason: Reason, note: str = "", sure: str = "copied") -> Mapped:
    return Mapped(reason, sure, note, _LIST)


REASONS: Final[Mapping[str, Mapped]] = {
    "ERROR_APPID": _line(Reason.AUTH),
    "ERROR_SIGN": _line(Reason.AUTH, "simple interface: the MD5"),
    "ERROR_TIMESTAMP": _line(Reason.AUTH, "simple interface: the time"),
    "ERROR_ENCRYPTION": _line(Reason.AUTH, "secure interface: not closed with our key"),
    "ERROR_REQUEST_NO_VALID": _line(Reason.AUTH, "secure interface: the time is too old"),
    "ERROR_CLIENT_IP": _line(Reason.AUTH, "our address is not allowed"),
    "ERROR_OVER_SPEED": _line(Reason.THROTTLED),
    "ERROR_BALANCE": _line(Reason.BALANCE),
    "ERROR_MOBILE_EMPTY": _line(Reason.INVALID_NUMBER, "no number"),
    "ERROR_MOBILE_ERROR": _line(Reason.INVALID_NUMBER),
    "ERROR_MOBILE_NUMBER": _line(Reason.BAD_REQUEST, "too many numbers, or more reports than 500 asked for"),
    "ERROR_CONTENT_EMPTY": _line(Reason.BAD_REQUEST),
    "ERROR_LONG_CONTENT": _line(Reason.BAD_REQUEST),
    "ERROR_PARAMS": _line(Reason.BAD_REQUEST),
    "ERROR_SMS_TIME": _line(Reason.BAD_REQUEST, "the time to send is too near or too far"),
    "ERROR_CUSTOM_SMSID": _line(Reason.BAD_REQUEST, "our id is too long"),
    "ERROR_EXTENDED_CODE": _line(Reason.BAD_REQUEST),
    "ERROR_NO_VOICE_SERVICE": _line(Reason.AUTH, "voice is not switched on"),
    "ERROR_VOICE_CONTENT": _line(Reason.BAD_REQUEST, "voice: what cannot be a code"),
    "ERROR_NO_RETRIEVE_SERVICE": _line(Reason.AUTH, "reports cannot be asked for again"),
    "ERROR_REPORT_TIME": _line(Reason.BAD_REQUEST),
    "ERROR_TOO_MUCH_SMSIDS": _line(Reason.BAD_REQUEST),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {}
"""Reports hold carriers' codes, in vendors/carrier_codes.py; no code of the platform's own was found."""

BULK_LIMIT: Final = 500
_PAGE: Final = 500  # rows of a queue in one answer; the most
_OK: Final = "SUCCESS"
_STAMP: Final = "%Y%m%d%H%M%S"
_VALID_SECONDS: Final = 30  # how long a request holds; what the vendor's samples say
_KEY_LENGTH: Final = 16
_GZIP: Final = b"\x1f\x8b"
_LARGEST: Final = 1 << 24  # bytes of an answer unpacked


# --- signing and closing: every step by its name, so that a test can break each ---------------------------------------


def stamp(moment: datetime) -> str:
    """Simple interface: the time as it is signed, Beijing's, `yyyyMMddHHmmss`."""
    return f"{moment.astimezone(BEIJING):{_STAMP}}"


def sign(account: str, key: str, when: str) -> str:
    """Simple interface: MD5 over account, key and time, in lower-case hex."""
    return signing.md5_hex(f"{account}{key}{when}".encode())


def milliseconds(moment: datetime) -> int:
    """Secure interface: `requestTime`."""
    return int(moment.astimezone(UTC).timestamp() * 1000)


def packed(data: bytes, is_packed: bool) -> bytes:
    """Secure interface: gzipped before it is closed, if the header says so. The same bytes every time."""
    return gzip.compress(data, mtime=0) if is_packed else data


def closed(key: str, data: bytes) -> bytes:
    """Secure interface: the body, AES-128-ECB with PKCS #5 padding. Raises ValueError for a key of another length."""
    return signing.aes_ecb(key.encode(), data)


def opened(key: str, data: bytes) -> bytes:
    """Secure interface: what an answer holds, unpacked if it is packed. Raises ValueError for what is not its kind."""
    plain = signing.aes_ecb_opened(key.encode(), data)
    if not plain.startswith(_GZIP):
        return plain
    unpacking = zlib.decompressobj(wbits=31)
    try:
        whole = unpacking.decompress(plain, _LARGEST)
    except zlib.error as error:
        raise ValueError("not gzipped as it says") from error
    if not unpacking.eof:
        raise ValueError(f"cut, or longer than {_LARGEST} bytes")
    return whole


class Vendor:
    """One account (appId) at Emay."""

    manifest = Manifest(
        id="emay",
        name={"zh-CN": "亿美软通", "en": "Emay"},
        credentials=(Credential("app_id"), Credential("secret_key", secret=True)),
        documents=(
            Document(
                "the vendor's demonstration for Java: secure and simple interface, as published", date(2026, 3, 2)
            ),
            Document("状态码 of these interfaces, as public clients carry it (2019)", date(2026, 3, 2)),
        ),
        absent={
            Capability.READS_PUSHES: NotYetWritten(
                "no page was found that shows a push; reports and replies are pulled"
            ),
            Capability.REVIEWS_SIGNATURES: NotOffered("signatures are filed by the vendor's staff"),
            Capability.REVIEWS_TEMPLATES: NotYetWritten(
                "an interface sends by template; none that hands one in was found"
            ),
            Capability.FINDS_RECORDS: NotYetWritten("reports of a span can be asked for again; no page that shows it"),
            Capability.TELLS_STATISTICS: NotOffered("statistics are in the console"),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price: what is left is told in messages"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no interface: a listed number is known by its report"),
            Capability.EDITS_BLACKLIST: NotOffered("no interface edits a list"),
        },
        standing=Standing.SANDBOXED,
        endpoint=None,  # every account is given a host: bjmtn.b2m.cn, shmtn.b2m.cn and others
        # A rate is kept (ERROR_OVER_SPEED), and no figure documented; of caps on one number nothing is said.
        pace=Pace(per_second=10, burst=10),
        by_template=False,
        options={
            "interface": "secure",  # or simple
            "gzip": "0",  # 1: secure bodies are packed before they are closed
            "extended_code": "",  # digits behind the sender's code
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._is_simple = self._options["interface"] == "simple"

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        number, own = reading.national(message.to.number), {"customSmsId": message.reference}
        extension = {"extendedCode": self._options["extended_code"]} if self._options["extended_code"] else {}
        if self._is_simple:  # the text is encoded by itself, and the form encodes all once more
            reply = yield self._form(
                "sendSMS", {"mobiles": number, "content": quote_plus(message.text), **own, **extension}
            )
        else:
            reply = yield self._closed("sendSingleSMS", {"mobile": number, "content": message.text, **own, **extension})
        code, told = self._told(reply)
        if code != _OK:
            return reading.refused(code, "", REASONS)
        items = told if isinstance(told, list) else [told]  # one by the secure interface, a list of one by the other
        if len(items) != 1 or not isinstance(items[0], dict):
            raise Unintelligible("not one message in the answer", body=reply.content)
        return _accepted(items[0])

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """A text for each of up to 500 numbers. The simple interface has a field for each, so that none comes twice."""
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        numbers = [reading.national(message.to.number) for message in messages]
        if self._is_simple:
            if len(set(numbers)) < len(numbers):
                raise reading.not_sent("one request of this interface has one text for a number")
            texts = [quote_plus(message.text) for message in messages]
            reply = yield self._form("sendPersonalitySMS", dict(zip(numbers, texts, strict=True)))
        else:
            reply = yield self._closed(*self._personal(messages, numbers))
        code, told = self._told(reply)
        if code != _OK:
            return (reading.refused(code, "", REASONS),) * len(messages)
        if not isinstance(told, list):
            raise Unintelligible("no list in the answer", body=reply.content)
        return reading.by_number(messages, told, "mobile", _accepted)

    def _personal(self, messages: Sequence[Message], numbers: Sequence[str]) -> tuple[str, dict[str, Any]]:
        """The call and its fields: extensions go by a call of their own."""
        rows = [
            {"customSmsId": message.reference, "mobile": number, "content": message.text}
            for message, number in zip(messages, numbers, strict=True)
        ]
        if not self._options["extended_code"]:
            return "sendPersonalitySMS", {"smses": rows}
        extended = [{**row, "extendedCode": self._options["extended_code"]} for row in rows]
        return "sendPersonalityAllSMS", {"smses": extended}

    # --- pulls and balance ---

    def pull_reports(self) -> Flow[Sequence[StatusReport]]:
        return reading.drain(lambda: self._question("getReport"), self._rows, _report, page_size=_PAGE)

    def pull_inbound(self) -> Flow[Sequence[InboundMessage]]:
        return reading.drain(lambda: self._question("getMo"), self._rows, _inbound, page_size=_PAGE)

    def balance(self) -> Flow[Balance]:
        """Messages that are left."""
        reply = yield self._form("getBalance", {}) if self._is_simple else self._closed("getBalance", {})
        told = self._asked(reply)
        if not isinstance(told, dict) or (left := reading.count(told, "balance")) is None:
            raise Unintelligible("balance is missing or not a count")
        return Balance(messages=left)

    def _question(self, call: str) -> httpx.Request:
        return self._form(call, {"number": str(_PAGE)}) if self._is_simple else self._closed(call, {"number": _PAGE})

    def _rows(self, reply: httpx.Response) -> list[Any]:
        """A list; an empty queue may be told as nothing at all."""
        told = self._asked(reply)
        if told is None:
            return []
        if not isinstance(told, list):
            raise Unintelligible("no list in the answer")
        return told

    def _asked(self, reply: httpx.Response) -> Any:
        """The answer to a question. Raises VendorTrouble for a no."""
        code, told = self._told(reply)
        if code != _OK:
            raise reading.denied(code, "", REASONS)
        return told

    # --- the wire ---

    def _form(self, call: str, fields: Mapping[str, str]) -> httpx.Request:
        account, when = self._account.secret("app_id"), stamp(self._tools.now())
        proof = sign(account, self._account.secret("secret_key"), when)
        headers = {"content-type": "application/x-www-form-urlencoded;charset=utf-8"}
        content = urlencode({"appId": account, "timestamp": when, "sign": proof, **fields}).encode("ascii")
        url = f"{reading.base(self._account, self.manifest)}/simpleinter/{call}"
        return httpx.Request("POST", url, headers=headers, content=content)

    def _closed(self, call: str, fields: Mapping[str, Any]) -> httpx.Request:
        """Raises VendorTrouble, with nothing written, for a key that cannot close anything."""
        url = f"{reading.base(self._account, self.manifest)}/inter/{call}"
        key, is_packed = self._account.secret("secret_key"), self._options["gzip"] == "1"
        if len(key.encode()) != _KEY_LENGTH:
            raise reading.not_sent(f"a secret key of Emay has {_KEY_LENGTH} characters")
        whole = {**fields, "requestTime": milliseconds(self._tools.now()), "requestValidPeriod": _VALID_SECONDS}
        plain = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "appid": self._account.secret("app_id"),
            "encode": "UTF-8",
            "content-type": "application/octet-stream",
        }
        if is_packed:
            headers["gzip"] = "on"
        return httpx.Request("POST", url, headers=headers, content=closed(key, packed(plain, is_packed)))

    def _told(self, reply: httpx.Response) -> tuple[str, Any]:
        """The code of an answer, and what it holds if that says yes."""
        if self._is_simple:
            body = read_object(reply)
            code, told = reading.identifier(body, "code"), body.get("data")
        else:
            code = reading.identifier(reply.headers, "result")
            told = self._open(reply) if code == _OK else None
        if code == _OK and reply.is_error:
            raise Unintelligible(f"HTTP {reply.status_code} and {_OK}", body=reply.content)
        return code, told

    def _open(self, reply: httpx.Response) -> Any:
        if not reply.content:
            return None
        try:
            return reading.parse(opened(self._account.secret("secret_key"), reply.content))
        except ValueError as error:
            raise Unintelligible(f"the answer cannot be opened: {error}", body=reply.content) from error


# --- reading answers -------------------------------------------------------------------------------------------------


def _accepted(item: dict[str, Any]) -> Accepted:
    return Accepted(vendor_message_id=reading.identifier(item, "smsId"))


def _when(item: Mapping[str, Any], key: str) -> datetime | None:
    """A stamp: with strokes in the demonstration, of digits elsewhere."""
    return reading.beijing(item, key) or reading.stamped(item, key, _STAMP)


def _report(item: dict[str, Any]) -> StatusReport:
    code = reading.identifier(item, "state")
    state = DeliveryState.DELIVERED if code == "DELIVRD" else failed_state(code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "smsId"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS),
        code=code,
        claimed_at=_when(item, "receiveTime"),
        submitted_at=_when(item, "submitTime"),
        number=reading.text(item, "mobile") or None,
        reference=reading.text(item, "customSmsId") or None,
        detail=reading.masked(reading.text(item, "desc")),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to=reading.text(item, "extendedCode"),
        text=reading.text(item, "content"),
        sent_at=_when(item, "moTime"),
    )

"""Montnets 梦网: cloud API V5.7.2, JSON or forms, known by a digest of the password and Beijing's clock.

Sends whole texts, url-encoded within their field. Ids are signed 64-bit numbers, counted on within a bulk and by part;
refusals for blacklist, words, frequency and signature come in the status report only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
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

# The document's table has the codes without a sign, its examples with a minus: told apart by neither, so without.
REASONS: Final[Mapping[str, Mapped]] = {
    "100001": Mapped(Reason.AUTH, note="account, password, clock, fixed string or digest"),
    "100002": Mapped(Reason.AUTH, note="refused several times"),
    "100003": Mapped(Reason.BALANCE),
    "100004": Mapped(Reason.BAD_REQUEST, note="custid or exdata"),
    "100011": Mapped(Reason.BAD_REQUEST, note="the text is too long"),
    "100012": Mapped(Reason.INVALID_NUMBER),
    "100014": Mapped(Reason.BAD_REQUEST, note="too many numbers"),
    "100029": Mapped(Reason.ROUTING, "inferred", "端口绑定失败: binding the sender failed"),
    "100056": Mapped(Reason.THROTTLED, note="too many connections; 100 by default"),
    "100057": Mapped(Reason.AUTH, note="our address is not allowed"),
    "100058": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="there is no such template"),
    "100059": Mapped(Reason.BAD_REQUEST, note="parameters miscounted"),
    "100060": Mapped(Reason.BAD_REQUEST, note="as many texts as numbers are wanted"),
    "100070": Mapped(Reason.AUTH, note="this interface is not open to us"),
    "100091": Mapped(Reason.BAD_REQUEST, note="XML"),
    "100092": Mapped(Reason.BAD_REQUEST, note="unreadable"),
    "100093": Mapped(Reason.BAD_REQUEST, note="JSON"),
    "100094": Mapped(Reason.BAD_REQUEST, note="an XML element is missing"),
    "100095": Mapped(Reason.BAD_REQUEST, note="JSON"),
    "100096": Mapped(Reason.BAD_REQUEST, note="a JSON array"),
    "100098": Mapped(Reason.BAD_REQUEST, note="JSON"),
    "100100": Mapped(Reason.BAD_REQUEST, note="Content-Type"),
    "100106": Mapped(Reason.BAD_REQUEST, note="there is no text"),
    "100252": Mapped(Reason.BAD_REQUEST, note="svrtype"),
    "100253": Mapped(Reason.BAD_REQUEST, note="only a rejected template may be changed"),
    "100254": Mapped(Reason.BAD_REQUEST, note="the template is another's"),
    "100255": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="forbidden, in review, rejected or lapsed"),
    "100256": Mapped(Reason.QUOTA, note="templates of the company"),
    "100257": Mapped(Reason.BAD_REQUEST, note="more than 1000 templates at once"),
    "100259": Mapped(Reason.BAD_REQUEST, note="the template's validity"),
    "100260": Mapped(Reason.BAD_REQUEST, note="the template is too long"),
    "100261": Mapped(Reason.BAD_REQUEST, note="the template's name"),
    "100262": Mapped(Reason.BAD_REQUEST, note="the template's type"),
    "100264": Mapped(Reason.BAD_REQUEST, note="what to do with the template"),
    "100265": Mapped(Reason.BAD_REQUEST, note="the template's parameters"),
    "100266": Mapped(Reason.QUOTA, note="templates switched more than 100 times a day"),
    "100267": Mapped(Reason.BAD_REQUEST, note="the text cannot be deciphered"),
    "100502": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="the template is forbidden"),
    "100999": Mapped(Reason.VENDOR_FAULT, note="their database"),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {}
"""The document explains no code of a report; carriers' are in vendors/carrier_codes.py."""

BULK_LIMIT: Final = 500
PART_STEP: Final = 17_179_869_184  # from the id of one part of a long message to the next
_REPORTS: Final = 500
_INBOUND: Final = 200
_FIXED: Final = "00000000"
_REFERENCE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID: Final = re.compile(r"-?[0-9]{1,20}")
_AUTH: Final = frozenset({"md5", "sha256", "plain", "apikey"})
_FORGED: Final = 100001
_UNREADABLE: Final = 100092


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def stamp(moment: Any) -> str:
    """Month, day, hour, minute and second in Beijing: ten digits."""
    return f"{moment.astimezone(BEIJING):%m%d%H%M%S}"


def made_at(when: str, near: datetime) -> datetime | None:
    """When a stamp was made; it has no year, so the one nearest to `near` is taken. None if it is no stamp.

    >>> from datetime import UTC
    >>> made_at("1231235959", datetime(2026, 1, 1, tzinfo=UTC))
    datetime.datetime(2025, 12, 31, 15, 59, 59, tzinfo=datetime.timezone.utc)
    """
    years = (near.year - 1, near.year, near.year + 1)
    told = [reading.stamped({"at": f"{year}{when}"}, "at", "%Y%m%d%H%M%S") for year in years]
    return min((one for one in told if one), key=lambda one: abs(one - near), default=None)


def password(userid: str, secret: str, when: str, digest: str = "md5") -> str:
    """What stands in `pwd`: a digest of account in capitals, eight noughts, password and stamp; or the password."""
    if digest == "plain":
        return secret
    words = f"{userid.upper()}{_FIXED}{secret}{when}".encode()
    return signing.sha256_hex(words) if digest == "sha256" else signing.md5_hex(words)


def escaped(text: str) -> str:
    """A text as it stands within its field: percent-encoded UTF-8. A form encodes it once more."""
    return signing.percent(text)


def moved(msgid: str, by: int) -> str:
    """An id so far from another, in signed 64-bit arithmetic; ids beyond that, as in the document, are just counted on.

    >>> moved("9223372036854775807", 1), moved("-9223372036854775808", -1), moved("9223372036854775808", 1)
    ('-9223372036854775808', '9223372036854775807', '9223372036854775809')
    """
    before = int(msgid)
    after = before + by
    return str((after + 2**63) % 2**64 - 2**63 if -(2**63) <= before < 2**63 else after)


class Vendor:
    """One account (userid) at Montnets."""

    manifest = Manifest(
        id="montnets",
        name={"zh-CN": "梦网", "en": "Montnets"},
        credentials=(
            Credential("userid"),
            Credential("pwd", secret=True),
            Credential("apikey", secret=True, optional=True),  # for `auth: apikey` only
        ),
        documents=(
            Document(
                "梦网平台 API 接口说明 V5.7.2: send, get_rpt, get_mo, get_balance, pushes, codes", date(2026, 3, 2)
            ),
        ),
        absent={
            Capability.REVIEWS_SIGNATURES: NotOffered("the interface document has none: an account comes with its own"),
            Capability.REVIEWS_TEMPLATES: NotYetWritten(
                "codes of such an interface are documented, but not the interface itself"
            ),
            Capability.FINDS_RECORDS: NotOffered("the interface document has no query of single messages"),
            Capability.TELLS_STATISTICS: NotOffered("the interface document has no statistics"),
            Capability.TELLS_PRICES: NotOffered("the interface document has no prices"),
            Capability.CHECKS_CONTENT: NotOffered("the interface document has no check of a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("the interface document has no blacklist"),
            Capability.EDITS_BLACKLIST: NotOffered("the interface document has no blacklist"),
        },
        standing=Standing.SANDBOXED,
        endpoint=None,  # every account is given an address of its own
        # Neither a rate nor a cap is documented, but 100 connections at once.
        pace=Pace(per_second=50, burst=50),
        by_template=False,
        push_is_signed=True,
        options={
            "auth": "md5",  # sha256, plain and apikey are given on request
            "body": "json",  # or form, which encodes texts twice
            "paths": "send_single",  # or single_send, as on the document's last page
            "svrtype": "",
            "exno": "",  # extension, up to six digits
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        fields = {"mobile": _mobile(message), **self._text_fields(message)}
        body = _answer((yield self._request(self._function("single"), fields)))
        if (code := _code(body)) != "0":
            return reading.refused(code, _words(body), REASONS)
        return Accepted(vendor_message_id=_msgid(body))

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """The vendor names the first message's id; the others are counted on from there."""
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        abroad = any(not message.to.number.startswith("+86") for message in messages)
        items = [{"mobile": _mobile(message, abroad=abroad), **self._text_fields(message)} for message in messages]
        body = _answer((yield self._request(self._function("multi"), {"multimt": items})))
        if (code := _code(body)) != "0":
            return (reading.refused(code, _words(body), REASONS),) * len(messages)
        first = _msgid(body)
        return tuple(Accepted(vendor_message_id=moved(first, place)) for place in range(len(messages)))

    def _text_fields(self, message: Message) -> dict[str, str]:
        fields = {"content": escaped(message.text)}
        fields |= {name: self._options[name] for name in ("svrtype", "exno") if self._options[name]}
        if _REFERENCE.fullmatch(message.reference):
            fields["custid"] = message.reference
        return fields

    # --- pulls, balance ---

    def pull_reports(self) -> Flow[Sequence[StatusReport]]:
        return reading.drain(
            lambda: self._request("get_rpt", {"retsize": _REPORTS}),
            lambda reply: _rows(_asked(reply), "rpts"),
            _report,
            page_size=_REPORTS,
        )

    def pull_inbound(self) -> Flow[Sequence[InboundMessage]]:
        return reading.drain(
            lambda: self._request("get_mo", {"retsize": _INBOUND}),
            lambda reply: _rows(_asked(reply), "mos"),
            _inbound,
            page_size=_INBOUND,
        )

    def balance(self) -> Flow[Balance]:
        reply = yield self._request("get_balance", {})
        if (left := reading.count(_asked(reply), "balance")) is None:
            raise Unintelligible("balance is missing or not a count", body=reply.content)
        return Balance(messages=left)

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """Reports and replies; each push proves itself by the digest that we prove ourselves with."""
        envelope: _Envelope | None = None
        try:
            envelope = _opened(request.body)
            if not self._is_proven(envelope):
                raise PushRefused("userid and pwd are not ours", envelope.acknowledgement(_FORGED))
            if self._options["auth"] != "plain":  # the digest holds the stamp
                reading.check_fresh(made_at(envelope.timestamp, request.received_at), request.received_at)
            if (reader := _READERS.get(envelope.command)) is None:
                raise ValueError("cmd is neither RPT_REQ nor MO_REQ")
            return reading.sort_push(
                envelope.items,
                lambda item: reader if item.keys() & {"msgid", "mobile"} else None,
                envelope.acknowledgement(0),
                authenticated=True,
            )
        except (ValueError, Unintelligible) as error:
            answer = (envelope or _Envelope(command="", seqid="", items=[])).acknowledgement(_UNREADABLE)
            raise PushRefused(str(error), answer) from error

    def _is_proven(self, envelope: _Envelope) -> bool:
        digest = self._options["auth"] if self._options["auth"] != "apikey" else "md5"
        ours = password(self._userid, self._account.secret("pwd"), envelope.timestamp, digest)
        same_user = envelope.userid.upper() == self._userid.upper()
        return signing.matches(ours, envelope.pwd) and same_user

    # --- the wire ---

    @property
    def _userid(self) -> str:
        return self._account.secret("userid")

    def _function(self, kind: str) -> str:
        return f"{kind}_send" if self._options["paths"] == "single_send" else f"send_{kind}"

    def _identity(self) -> dict[str, str]:
        auth = self._options["auth"]
        if auth not in _AUTH:
            raise reading.not_sent(f"option auth is none of {', '.join(sorted(_AUTH))}")
        if auth == "apikey":
            if "apikey" not in self._account.credentials:
                raise reading.not_sent("auth: apikey needs the credential apikey")
            return {"apikey": self._account.secret("apikey")}
        when = stamp(self._tools.now())
        identity = {"userid": self._userid.upper()}
        identity["pwd"] = password(self._userid, self._account.secret("pwd"), when, auth)
        return identity if auth == "plain" else {**identity, "timestamp": when}

    def _request(self, function: str, fields: Mapping[str, object]) -> httpx.Request:
        """JSON, or a form in which an array is JSON text."""
        whole = {**self._identity(), **fields}
        if self._options["body"] == "form":
            flat = {name: value if isinstance(value, str) else _compact(value) for name, value in whole.items()}
            kind, body = "application/x-www-form-urlencoded", urlencode(flat).encode("ascii")
        else:
            kind, body = "application/json", _compact(whole).encode()
        url = f"{reading.base(self._account, self.manifest)}/sms/v2/std/{function}"
        return httpx.Request("POST", url, headers={"content-type": kind}, content=body)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _mobile(message: Message, *, abroad: bool = False) -> str:
    """Bare at home; 00 and country code abroad, and for all numbers of a request that has one from abroad."""
    number = message.to.number
    return number.removeprefix("+86") if number.startswith("+86") and not abroad else f"00{number.removeprefix('+')}"


def _answer(reply: httpx.Response) -> dict[str, Any]:
    body = read_object(reply)
    if reply.is_error and _code(body) == "0":
        raise Unintelligible(f"HTTP {reply.status_code} and result 0", body=reply.content)
    return body


def _code(body: Mapping[str, Any]) -> str:
    return reading.identifier(body, "result").removeprefix("-")


def _words(body: Mapping[str, Any]) -> str:
    return reading.unescaped(reading.text(body, "desc"))


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The answer to a question. Raises VendorTrouble for a no."""
    body = _answer(reply)
    if (code := _code(body)) != "0":
        raise reading.denied(code, _words(body), REASONS)
    return body


def _rows(body: Mapping[str, Any], key: str) -> list[Any]:
    """A list; where there is nothing, the vendor may write empty text."""
    return [] if body.get(key) == "" else reading.rows(body, key)


def _msgid(body: Mapping[str, Any]) -> str:
    found = reading.identifier(body, "msgid")
    if not _ID.fullmatch(found) or int(found) == 0:
        raise Unintelligible("msgid is not an id")
    return found


def _report(item: dict[str, Any]) -> StatusReport:
    """One part's report, under the id of the whole message."""
    code, part = reading.text(item, "errcode"), reading.count(item, "pknum") or 1
    if (status := reading.text(item, "status")) == "":
        raise Unintelligible("status is missing")
    state = DeliveryState.DELIVERED if status == "0" else failed_state(code)
    return StatusReport(
        vendor_message_id=moved(_msgid(item), -(part - 1) * PART_STEP),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS),
        code=code,
        claimed_at=reading.beijing(item, "rtime"),
        number=reading.identifier(item, "mobile"),
        reference=reading.text(item, "custid") or None,
        billed_segments=reading.count(item, "pktotal"),
        segment=part,
        detail=reading.masked(reading.unescaped(reading.text(item, "errdesc"))),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    """One part of a reply: a long one comes in parts of 70 characters, which nobody puts together here."""
    id_, part = _msgid(item), reading.count(item, "pknum") or 1
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to=reading.text(item, "spno"),
        text=reading.unescaped(reading.text(item, "content")),
        sent_at=reading.beijing(item, "rtime"),
        vendor_message_id=id_ if (reading.count(item, "pktotal") or 1) == 1 else f"{id_}/{part}",
    )


_READERS: Final[Mapping[str, reading.Reader]] = {"RPT_REQ": _report, "MO_REQ": _inbound}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Envelope:
    """What is around the items of a push."""

    command: str
    seqid: str
    items: list[Any]
    userid: str = ""
    pwd: str = ""
    timestamp: str = ""

    def acknowledgement(self, result: int) -> Acknowledgement:
        """The answer under the push's own number; anything but 0 is a no."""
        number = int(self.seqid) if re.fullmatch(r"-?[0-9]{1,19}", self.seqid) else 0
        command = "MO_RESP" if self.command == "MO_REQ" else "RPT_RESP"
        body = _compact({"cmd": command, "seqid": number, "result": result}).encode()
        return Acknowledgement(status=200 if result == 0 else 400, body=body)


def _opened(body: bytes) -> _Envelope:
    """A push, posted as JSON or as a form. Raises ValueError or Unintelligible for anything else."""
    fields = reading.parse(body) if body.lstrip()[:1] == b"{" else _form(body)
    if not isinstance(fields, dict):
        raise ValueError("neither a JSON object nor a form")
    items: Any = next((fields[name] for name in ("rpts", "mos") if fields.get(name)), [])
    if isinstance(items, str):
        items = reading.parse(items)
    if not isinstance(items, list):
        raise ValueError("rpts and mos are no lists")
    return _Envelope(
        command=reading.text(fields, "cmd"),
        seqid=reading.text(fields, "seqid"),
        items=items,
        userid=reading.text(fields, "userid"),
        pwd=reading.text(fields, "pwd"),
        timestamp=reading.text(fields, "timestamp"),
    )


def _form(body: bytes) -> dict[str, Any]:
    """A form's fields, the arrays among them as JSON text.

    The document shows arrays that the form does not encode, while texts within them are encoded: taken as they stand.
    Decoded as a form, such a text would be decoded once too often, and a quote in it would end the JSON string.
    """
    fields: dict[str, Any] = dict(reading.form(body))
    for name in ("rpts", "mos"):
        if raw := re.search(rf"(?:^|&){name}=(\s*\[[^&]*)", body.decode()):
            fields[name] = raw[1]
    return fields

"""SUBMAIL 赛邮: API v4, forms in and JSON out, signed by MD5 or SHA1 over the sorted parameters between id and key.

Sends whole texts, which the vendor matches against approved templates. One send_id a number; events are pushed one by
one (SUBHOOK) and prove that their sender knows the hook's key, but not that their content is as it was.
"""

from __future__ import annotations

import email.parser
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
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
    harmless,
    spaced,
)
from harness.domain import (
    Accepted,
    Balance,
    Carrier,
    DeliveryState,
    InboundMessage,
    Message,
    Outcome,
    Reason,
    Record,
    Refused,
    ReviewDecision,
    ReviewDraft,
    ReviewVerdict,
    StatisticsRow,
    StatusReport,
    Subject,
    Ticket,
)
from harness.errors import Throttled, Unintelligible, VendorTrouble
from harness.flow import Flow, read_json, read_object
from harness.text import fill, signed, variables
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

REASONS: Final[Mapping[str, Mapped]] = {
    "101": Mapped(Reason.AUTH, note="no such appid"),
    "102": Mapped(Reason.AUTH, note="the application is switched off"),
    "103": Mapped(Reason.AUTH, note="the developer is not verified"),
    "104": Mapped(Reason.AUTH, note="the developer's papers changed"),
    "105": Mapped(Reason.AUTH, note="the account has lapsed"),
    "106": Mapped(Reason.AUTH, note="the account is shut"),
    "107": Mapped(Reason.AUTH, note="sign_type"),
    "108": Mapped(Reason.AUTH, note="the digital signature is wrong"),
    "109": Mapped(Reason.AUTH, note="the appkey is wrong"),
    "110": Mapped(Reason.AUTH, note="sign_type"),
    "111": Mapped(Reason.AUTH, note="no digital signature"),
    "112": Mapped(Reason.BAD_REQUEST, note="opting in and out is switched off for this application"),
    "113": Mapped(Reason.AUTH, note="our address is not allowed"),
    "114": Mapped(Reason.BLACKLISTED, note="the account's own blacklist"),
    "115": Mapped(Reason.FREQUENCY_CAP),
    "116": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="another application's"),
    "117": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="its signature is not the fixed one"),
    "118": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="no longer good"),
    "119": Mapped(Reason.AUTH, note="this interface is not open to us"),
    "120": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="no longer good"),
    "151": Mapped(Reason.AUTH, note="timestamp"),
    "152": Mapped(Reason.AUTH, note="over 6 seconds off their clock: ours is wrong, or `clock: vendor` is needed"),
    "251": Mapped(Reason.INVALID_NUMBER),
    "252": Mapped(Reason.INVALID_NUMBER),
    "253": Mapped(Reason.OPTED_OUT),
    "305": Mapped(Reason.BAD_REQUEST, note="no project"),
    "306": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="no such project"),
    "307": Mapped(Reason.BAD_REQUEST, note="JSON of the variables"),
    "310": Mapped(Reason.BAD_REQUEST, note="tag over 32 characters"),
    "401": Mapped(Reason.BAD_REQUEST, note="no signature in the text"),
    "402": Mapped(Reason.BAD_REQUEST, note="signature over 40 characters"),
    "403": Mapped(Reason.BAD_REQUEST, note="no text"),
    "404": Mapped(Reason.BAD_REQUEST, note="over 1000 characters"),
    "405": Mapped(Reason.SENSITIVE_CONTENT, note="the words say which word"),
    "406": Mapped(Reason.BAD_REQUEST, note="no project"),
    "407": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="no such project"),
    "408": Mapped(Reason.FREQUENCY_CAP, note="the same text to the same number"),
    "409": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="the text is in review: by hand, and for minutes"),
    "410": Mapped(Reason.BAD_REQUEST, note="multi"),
    "411": Mapped(Reason.BAD_REQUEST, note="signature of a template"),
    "412": Mapped(Reason.BAD_REQUEST, note="signature over 10 characters"),
    "413": Mapped(Reason.BAD_REQUEST, note="signature takes 2 to 10 characters"),
    "414": Mapped(Reason.BAD_REQUEST, note="no text"),
    "415": Mapped(Reason.BAD_REQUEST, note="over 1000 characters"),
    "416": Mapped(Reason.BAD_REQUEST, note="title over 64 characters"),
    "417": Mapped(Reason.BAD_REQUEST, note="no template named"),
    "418": Mapped(Reason.BAD_REQUEST, note="no such template"),
    "419": Mapped(Reason.BAD_REQUEST, note="no text"),
    "420": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="no template matches: rejected in review"),
    "422": Mapped(Reason.BAD_REQUEST, note="template over 255 characters"),
    "501": Mapped(Reason.BAD_REQUEST, note="no such address book"),
    "901": Mapped(Reason.QUOTA, note="our own daily limit, set in the console"),
    "903": Mapped(Reason.BALANCE, note="messages"),
    "904": Mapped(Reason.BALANCE, note="money"),
    "905": Mapped(Reason.BALANCE, note="transactional messages"),
}

_UNCLEAR: Final = "no such number, off, suspended or out of reach: which, is not said"

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "UNDELIV": Mapped(Reason.UNREACHABLE, "inferred", "mostly off or suspended"),
    "2:": Mapped(Reason.UNREACHABLE, "inferred", _UNCLEAR),
    "EXPIRED": Mapped(Reason.UNREACHABLE),
    "MK:": Mapped(Reason.UNREACHABLE, "inferred", _UNCLEAR),
    "MN:": Mapped(Reason.UNREACHABLE, "inferred", _UNCLEAR),
    "MI:": Mapped(Reason.UNREACHABLE, "inferred", _UNCLEAR),
    "LT:": Mapped(Reason.UNREACHABLE, "inferred", _UNCLEAR),
    "REJECTD": Mapped(Reason.UNMAPPED, note="a word, or with China Telecom a number: not decided here"),
    "REJECT": Mapped(Reason.UNMAPPED, note="as REJECTD"),
    "BEYONDM": Mapped(Reason.FREQUENCY_CAP),
    "BEYONDH": Mapped(Reason.FREQUENCY_CAP),
    "BEYONDD": Mapped(Reason.FREQUENCY_CAP),
    "PUBLOKD": Mapped(Reason.BLACKLISTED, note="the gateway's list"),
    "BLOCKED": Mapped(Reason.BLACKLISTED, note="the gateway's list"),
    "BLACK": Mapped(Reason.BLACKLISTED, note="the gateway's list"),
    "PHONEERR": Mapped(Reason.INVALID_NUMBER),
    "GUNDELIV": Mapped(Reason.INVALID_NUMBER),
    "SIGNBLOCKED": Mapped(Reason.SIGNATURE_NOT_REGISTERED, note="mostly blocked after complaints"),
    "SIGFAIL": Mapped(Reason.SIGNATURE_NOT_REGISTERED, note="mostly blocked after complaints"),
    "QM_FAIL": Mapped(Reason.SIGNATURE_NOT_REGISTERED, note="mostly blocked after complaints"),
    "NOROUTE": Mapped(Reason.ROUTING),
    "NONCHN": Mapped(Reason.ROUTING, note="no route for such a number"),
    "KEYWORD": Mapped(Reason.SENSITIVE_CONTENT),
    "KEYWORDS": Mapped(Reason.SENSITIVE_CONTENT),
    "ID:0076": Mapped(Reason.SENSITIVE_CONTENT, note="the carrier's"),
    "MA:": Mapped(Reason.SENSITIVE_CONTENT),
    "UNSUBSCRIBE": Mapped(Reason.OPTED_OUT),
}

BULK_LIMIT: Final = 50  # suggested for multisend and multixsend; batchsend takes 10000
ADDRESS_BOOK: Final = "https://api.mysubmail.com"  # the opt-out list is kept by the older interface
_TAG: Final = 32
_ROWS: Final = 500
_CACHED: Final = 60.0  # seconds in which sms/log gives its last answer again, whatever is asked
_SIGN_TYPES: Final = frozenset({"md5", "sha1", "normal"})
_LONG: Final = {  # what sign_version 2 leaves out of the signature
    "sms/send": {"content"},
    "sms/batchsend": {"content"},
    "sms/multixsend": {"multi", "content"},
}
_VERDICTS: Final = {"0": None, "1": None, "2": ReviewVerdict.APPROVED, "3": ReviewVerdict.REJECTED}
_RECORDED: Final = {"delivered": DeliveryState.DELIVERED, "pending": DeliveryState.UNKNOWN}
_CARRIERS: Final = {
    "china_mobile": Carrier.CHINA_MOBILE,
    "china_unicom": Carrier.CHINA_UNICOM,
    "china_telecom": Carrier.CHINA_TELECOM,
}
_TAKEN: Final = Acknowledgement(body=b"success", content_type="text/plain")
_NOT_TAKEN: Final = Acknowledgement(status=400, body=b"error", content_type="text/plain")


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def string_to_sign(fields: Mapping[str, str], unsigned: set[str] | frozenset[str] = frozenset()) -> str:
    """Every parameter but signature, tag and `unsigned`, sorted by name, its value as it is: "a=1&b=2"."""
    left_out = {"signature", "tag", *unsigned}
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name not in left_out)


def signature(appid: str, appkey: str, words: str, sign_type: str) -> str:
    """MD5 or SHA1, lower-case hex, over the words between id and key on both sides."""
    whole = f"{appid}{appkey}{words}{appid}{appkey}".encode()
    return signing.sha1_hex(whole) if sign_type == "sha1" else signing.md5_hex(whole)


def hook_signature(token: str, key: str) -> str:
    """What proves a pushed event: MD5 over its token and the hook's key, and nothing else."""
    return signing.md5_hex(f"{token}{key}".encode())


class Vendor:
    """One application (appid) at SUBMAIL."""

    manifest = Manifest(
        id="submail",
        name={"zh-CN": "赛邮", "en": "SUBMAIL"},
        credentials=(
            Credential("appid"),
            Credential("appkey", secret=True),
            Credential("subhook_key", secret=True, optional=True),  # without it no push is proven
        ),
        documents=(
            Document("API v4: send, multisend, batchsend, log, reports, mo, template, balance", date(2026, 3, 2)),
            Document("API 授权与验证机制; SUBHOOK 状态回调; API 错误代码与描述; 回执代码表", date(2026, 3, 2)),
            Document("AddressBook/SMS/unsubscribe - 短信退订 (API v3)", date(2026, 3, 2)),
        ),
        absent={
            Capability.PULLS_REPORTS: NotOffered("no queue: reports are pushed, and stand in the records (sms/log)"),
            Capability.REVIEWS_SIGNATURES: NotYetWritten(
                "sms/appextend files them with papers whose fields we know only in part"
            ),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price; messages are bought in packages"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("the opt-out list can be changed, but not asked"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://api-v4.mysubmail.com",
        endpoints={"address_book": ADDRESS_BOOK},  # the older interface
        # Neither a rate nor a cap is documented, but an answer about the past is repeated for a minute.
        pace=Pace(
            per_second=10,
            burst=10,
            same_number_seconds=60,
            per_number_per_day=10,
            apart={"sms/log": _CACHED + 1, "sms/mo": _CACHED + 1},
        ),
        by_template=False,
        push_is_signed=True,
        options={
            "sign_type": "md5",  # or sha1; normal sends the appkey itself
            "sign_version": "1",  # 2 leaves long parameters out of the signature
            "clock": "own",  # or vendor, which asks for the time first; requests may be 6 seconds off at most
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = reading.base(account, self.manifest)
        self._book_url = reading.base(account, self.manifest, "address_book")

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        fields = {"to": reading.national(message.to.number), "content": message.text}
        if 0 < len(message.reference) <= _TAG:
            fields["tag"] = message.reference
        body = _object((yield from self._ask("sms/send", fields)))
        if _is_no(body):
            return reading.refused(_code(body), reading.text(body, "msg"), REASONS)
        return _outcome(body)

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """One text for all goes by batchsend, texts of one template by multixsend. No tag: it would be one for all."""
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        numbers = [reading.national(message.to.number) for message in messages]
        template = messages[0].template
        if all(message.text == messages[0].text for message in messages):
            function, fields = "sms/batchsend", {"to": ",".join(numbers), "content": messages[0].text}
        elif template and all(message.template == template for message in messages):
            multi = [
                {"to": number, "vars": dict(message.parameters)}
                for number, message in zip(numbers, messages, strict=True)
            ]
            function, fields = "sms/multixsend", {"project": template, "multi": _compact(multi)}
        else:
            raise reading.not_sent("one bulk request of SUBMAIL is for one text, or for one template")
        reply = yield from self._ask(function, fields)
        items = read_json(reply)
        if isinstance(items, dict):
            if _is_no(items := _object(reply)):
                return (reading.refused(_code(items), reading.text(items, "msg"), REASONS),) * len(messages)
            items = reading.rows(items, "responses")
        if reply.is_error or not isinstance(items, list):
            raise Unintelligible(f"HTTP {reply.status_code}, and no outcomes in it", body=reply.content)
        return _outcomes(messages, items)

    # --- replies, reviews ---

    def pull_inbound(self) -> Flow[Sequence[InboundMessage]]:
        """The replies of the last day: no queue, so they come again, and at most one question a minute is answered."""
        now = self._tools.now()
        span = {"start_date": _seconds(now - timedelta(days=1)), "end_date": _seconds(now)}
        reply = yield from self._ask("sms/mo", {**span, "rows": str(_ROWS)})
        found, unread = reading.readable(reading.rows(_asked(reply), "mo"), _pulled_inbound)
        if unread and not found:
            raise Unintelligible(f"none of {unread} replies can be read", body=reply.content)
        return tuple(found)

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        fields = {
            "sms_title": draft.name,
            "sms_signature": signed("", draft.signature or self._account.signature),
            "sms_content": fill(draft.text, {name: f"@var({name})" for name in variables(draft.text)}),
        }
        body = _object((yield from self._ask("sms/template", fields)))
        if _is_no(body):
            return reading.refused(_code(body), reading.text(body, "msg"), REASONS)
        return Ticket(subject=Subject.TEMPLATE, id=reading.identifier(body, "template_id"), name=draft.name)

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        body = _asked((yield from self._ask("sms/template", {"template_id": ticket}, method="GET")))
        for item in reading.rows(body, "templates"):
            if isinstance(item, dict) and reading.identifier(item, "template_id") == ticket:
                return _decision(item, ticket)
        raise VendorTrouble("the vendor does not know this template")

    # --- records, counts, balance ---

    def find_records(self, number: str, day: date) -> Flow[Sequence[Record]]:
        """One question, 500 rows: a second one within a minute would get the first one's answer."""
        ours = reading.national(number)
        begin = reading.midnight(day)
        span = {"start_date": _seconds(begin), "end_date": _seconds(begin + timedelta(seconds=86_399))}
        reply = yield from self._ask("sms/log", {**span, "to": ours, "rows": str(_ROWS)})
        body = _asked(reply)
        if reading.count(body, "start_date") not in (None, int(span["start_date"])):
            raise Throttled("the answer to an earlier question, kept for a minute", retry_after=_CACHED)
        records = reading.all_readable(reading.rows(body, "data"), _record, reply)
        if any(record.number.isdigit() and not record.number.endswith(ours) for record in records):
            raise Throttled("the answer to an earlier question, kept for a minute", retry_after=_CACHED)
        return tuple(records)

    def statistics(self, first: date, last: date) -> Flow[Sequence[StatisticsRow]]:
        """A row a day, not split, and a row a carrier for the whole span, with messages only."""
        begin, end = reading.midnight(first), reading.midnight(last) + timedelta(days=1)
        fields = {"start_date": _seconds(begin), "end_date": _seconds(end - timedelta(seconds=1))}
        reply = yield from self._ask("sms/reports", fields)
        body = _asked(reply)
        days = reading.all_readable(reading.rows(body, "timeline"), _day_row, reply)
        overview = reading.child(body, "overview")
        counts = reading.child(overview, "operators") if overview.get("operators") else {}
        carriers = [
            StatisticsRow(since=begin, until=end, carrier=carrier, submitted=reading.count(counts, name))
            for name, carrier in _CARRIERS.items()
            if name in counts
        ]
        return (*days, *carriers)

    def balance(self) -> Flow[Balance]:
        reply = yield from self._ask("balance/sms", {})
        body = _asked(reply)
        parts = [reading.count(body, name) for name in ("balance", "transactional_balance")]
        told = [part for part in parts if part is not None]
        if not told:
            raise Unintelligible("balance is missing or not a count", body=reply.content)
        return Balance(messages=sum(told))

    # --- the opt-out list ---

    def block(self, number: str) -> Flow[None]:
        _asked((yield from self._ask("addressbook/sms/unsubscribe", {"address": reading.national(number)})))

    def unblock(self, number: str) -> Flow[None]:
        _asked((yield from self._ask("addressbook/sms/subscribe", {"address": reading.national(number)})))

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """One event a push, posted as JSON, form or multipart, or in the query of a GET."""
        try:
            items = _events(request)
            proven = "subhook_key" in self._account.credentials
            for item in items:
                if proven and isinstance(item, dict) and _reader(item) and not self._is_proven(item):
                    raise ValueError("signature does not match")
            # The signature covers the token and nothing else, so the token may not come again with another event.
            tokens = [reading.text(item, "token") for item in items if proven and isinstance(item, dict)]
            return reading.sort_push(items, _reader, _TAKEN, authenticated=proven, once=tokens[0] if tokens else None)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    def _is_proven(self, item: Mapping[str, Any]) -> bool:
        ours = hook_signature(reading.text(item, "token"), self._account.secret("subhook_key"))
        return signing.matches(ours, reading.text(item, "signature"))

    # --- the wire ---

    def _ask(self, function: str, fields: Mapping[str, str], method: str = "POST") -> Flow[httpx.Response]:
        """The reply to one signed request; the vendor's clock is asked before, if the account wants it."""
        base = self._book_url if function.startswith("addressbook/") else self._url
        sign_type = self._options["sign_type"]
        if sign_type not in _SIGN_TYPES:
            raise reading.not_sent(f"option sign_type is none of {', '.join(sorted(_SIGN_TYPES))}")
        appid, appkey = self._account.secret("appid"), self._account.secret("appkey")
        whole = {"appid": appid, **fields}
        if sign_type == "normal":
            whole["signature"] = appkey
        else:
            now = _seconds(self._tools.now())
            whole["timestamp"] = (yield from self._vendor_clock(base)) if self._options["clock"] == "vendor" else now
            whole["sign_type"] = sign_type
            unsigned: set[str] = set()
            if self._options["sign_version"] == "2":
                whole["sign_version"] = "2"
                unsigned = _LONG.get(function, set())
            whole["signature"] = signature(appid, appkey, string_to_sign(whole, unsigned), sign_type)
        written = urlencode(whole)
        if method == "GET":
            request = httpx.Request("GET", f"{base}/{function}?{written}")
        else:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            content = written.encode("ascii")
            request = httpx.Request(method, f"{base}/{function}", headers=headers, content=content)
        return (yield spaced(request, self.manifest.pace, function))

    def _vendor_clock(self, base: str) -> Flow[str]:
        """Seconds since 1970 by the vendor's clock."""
        reply = yield harmless(httpx.Request("GET", f"{base}/service/timestamp"))
        return reading.identifier(read_object(reply), "timestamp")


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _seconds(moment: datetime) -> str:
    return str(int(moment.timestamp()))


def _is_no(body: Mapping[str, Any]) -> bool:
    return reading.text(body, "status") == "error"


def _code(body: Mapping[str, Any]) -> str:
    """Written as text or as a number."""
    return reading.identifier(body, "code")


def _object(reply: httpx.Response) -> dict[str, Any]:
    """An answer that says success or error."""
    body = read_object(reply)
    status = reading.text(body, "status")
    if status not in ("success", "error") or (status == "success" and reply.is_error):
        raise Unintelligible(f"HTTP {reply.status_code} and status {status!r}", body=reply.content)
    return body


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The answer to a question. Raises VendorTrouble for a no."""
    body = _object(reply)
    if _is_no(body):
        raise reading.denied(_code(body), reading.text(body, "msg"), REASONS)
    return body


def _outcome(item: Mapping[str, Any]) -> Outcome:
    """`fee` counts billed segments."""
    match reading.text(item, "status"):
        case "success":
            return Accepted(vendor_message_id=reading.identifier(item, "send_id"), segments=reading.count(item, "fee"))
        case "error":
            return reading.no(_code(item), reading.text(item, "msg"), REASONS)
        case _:
            raise Unintelligible("status is neither success nor error")


def _outcomes(messages: Sequence[Message], items: Sequence[object]) -> tuple[Outcome, ...]:
    """By number where each item names it; the samples also have items that do not, and those are in our order."""
    if all(isinstance(item, dict) and item.get("to") for item in items):
        return reading.by_number(messages, items, "to", _outcome)
    found, unread = reading.readable(items, _outcome)
    if unread or len(found) != len(messages):
        raise Unintelligible(f"{len(found)} outcomes without numbers for {len(messages)} messages")
    return tuple(found)


def _decision(item: Mapping[str, Any], ticket: str) -> ReviewDecision | None:
    """No stamp of the decision is told."""
    status = reading.text(item, "template_status")
    if status not in _VERDICTS:
        raise Unintelligible("template_status is none that is documented")
    if (verdict := _VERDICTS[status]) is None:
        return None
    reason = reading.text(item, "template_reject_reson")  # their spelling
    return ReviewDecision(ticket=ticket, subject=Subject.TEMPLATE, verdict=verdict, reason=reason)


def _record(item: Mapping[str, Any]) -> Record:
    code, status = reading.text(item, "report_state"), reading.text(item, "status")
    return Record(
        number=reading.identifier(item, "to"),
        sent_at=reading.unix(item, "send_at"),
        vendor_message_id=reading.identifier(item, "sendID"),
        state=failed_state(code) if status == "dropped" else _RECORDED.get(status, DeliveryState.UNKNOWN),
        code=code,
        text=reading.text(item, "sms_signature") + reading.text(item, "sms_content") or None,
        reported_at=reading.unix(item, "report_at"),
    )


def _day_row(item: Mapping[str, Any]) -> StatisticsRow:
    try:
        since = reading.midnight(date.fromisoformat(reading.text(item, "date")))
    except (ValueError, OverflowError) as error:
        raise Unintelligible("date is no day") from error
    told = reading.child(item, "report")
    return StatisticsRow(
        since=since,
        until=since + timedelta(days=1),
        carrier=None,
        submitted=reading.count(told, "request"),
        billed_segments=reading.count(told, "fee"),
        delivered=reading.count(told, "deliveryed"),  # their spelling
        undelivered=reading.count(told, "dropped"),
    )


def _pulled_inbound(item: Mapping[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "from"),
        to="",
        text=reading.text(item, "content"),
        sent_at=reading.unix(item, "reply_at"),
    )


def _events(request: PushRequest) -> list[Any]:
    """What was pushed, however the console was told to write it. Raises ValueError for anything else."""
    body, kind = request.body, request.headers.get("content-type", "")
    if not body:
        return [reading.form(request.query)]
    if len(body) > reading.PUSH_LIMIT:
        raise ValueError(f"longer than {reading.PUSH_LIMIT} bytes")
    if body.lstrip()[:1] == b"{":
        return [reading.parse(body)]
    if kind.startswith("multipart/form-data"):
        return [_multipart(kind, body)]
    return [reading.form(body)]


def _multipart(kind: str, body: bytes) -> dict[str, str]:
    """The fields of a multipart form (RFC 7578). Raises ValueError for anything else."""
    whole = email.parser.BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    fields: dict[str, str] = {}
    for part in whole.walk():
        name, content = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(content, bytes):
            fields[name] = content.decode()
    return fields


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    event = item.get("events")
    return _READERS.get(event) if isinstance(event, str) else None


def _report(item: dict[str, Any]) -> StatusReport:
    event = reading.text(item, "events")
    code = reading.text(item, "report").strip() or event
    if event == "dropped":
        state = failed_state(code)
    else:
        state = DeliveryState.DELIVERED if event == "delivered" else DeliveryState.UNKNOWN
    return StatusReport(
        vendor_message_id=reading.identifier(item, "send_id"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS),
        code=code,
        claimed_at=reading.unix(item, "timestamp"),
        number=reading.identifier(item, "address"),
        reference=reading.text(item, "tag") or None,
        detail=" ".join(words for name in ("operator", "location") if (words := reading.text(item, name))),
    )


def _pushed_inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "address"),
        to="",
        text=reading.text(item, "content"),
        sent_at=reading.unix(item, "timestamp"),
    )


def _pushed_decision(item: dict[str, Any]) -> ReviewDecision:
    accepted = item["events"] == "template_accept"
    return ReviewDecision(
        ticket=reading.identifier(item, "template_id"),
        subject=Subject.TEMPLATE,
        verdict=ReviewVerdict.APPROVED if accepted else ReviewVerdict.REJECTED,
        reason=reading.text(item, "reason"),
        claimed_at=reading.unix(item, "timestamp"),
    )


def _nothing(item: dict[str, Any]) -> None:
    """On its way: no news of its end."""


_READERS: Final[Mapping[str, Callable[[dict[str, Any]], reading.Pushed | None]]] = {
    "request": _nothing,
    "sending": _nothing,
    "delivered": _report,
    "dropped": _report,
    "unknown": _report,
    "unkown": _report,  # as their overview spells it
    "mo": _pushed_inbound,
    "template_accept": _pushed_decision,
    "template_reject": _pushed_decision,
}

"""Twilio Programmable Messaging: forms in and JSON out under HTTP Basic, one number a request, whole texts.

Every change of a message's state is posted as a form to the URL named with it, signed over that URL and all fields.
An international vendor: it reviews no Chinese signature or template, and keeps its list of those who replied STOP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

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
    Money,
    Outcome,
    Reason,
    Record,
    StatisticsRow,
    StatusReport,
)
from harness.errors import Throttled, Unintelligible
from harness.flow import Flow, read_object
from vendors import reading, signing

_DICTIONARY: Final = "the vendor's Error and Warning Dictionary; the names, not the causes, were at hand"


def _lines(reason: Reason, sure: str, lines: Mapping[str, str]) -> dict[str, Mapped]:
    return {code: Mapped(reason, sure, note, _DICTIONARY) for code, note in lines.items()}


REASONS: Final[Mapping[str, Mapped]] = {
    **_lines(Reason.AUTH, "documented", {"20003": "not authenticated", "10001": "the account is not active"}),
    **_lines(
        Reason.AUTH,
        "inferred",
        {"20005": "the account is not active", "20008": "test credentials", "20403": "forbidden"},
    ),
    **_lines(Reason.THROTTLED, "documented", {"20429": "too many requests"}),
    **_lines(Reason.THROTTLED, "inferred", {"14107": "the sender's rate is exceeded"}),
    **_lines(
        Reason.BAD_REQUEST,
        "documented",
        {"20404": "no such resource", "21606": "From is not ours, or cannot send SMS"},
    ),
    **_lines(
        Reason.BAD_REQUEST,
        "inferred",
        {
            "20001": "a parameter is unknown",
            "21212": "From is no number",
            "21602": "no text",
            "21603": "no From",
            "21604": "no To",
            "21609": "StatusCallback is no URL",
            "21617": "over 1600 characters",
            "21619": "no text, media or content",
        },
    ),
    **_lines(Reason.INVALID_NUMBER, "documented", {"21211": "To is no number", "21614": "To is no mobile number"}),
    **_lines(
        Reason.ROUTING,
        "documented",
        {"21408": "the region is not switched on for us", "21612": "no way from this From to this To"},
    ),
    **_lines(Reason.ROUTING, "inferred", {"21608": "a trial account writes to verified numbers only"}),
    **_lines(Reason.OPTED_OUT, "documented", {"21610": "To replied STOP to this From"}),
    **_lines(Reason.THROTTLED, "inferred", {"21611": "this From has too many messages waiting"}),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    **_lines(Reason.VENDOR_FAULT, "inferred", {"30001": "the queue is full"}),
    **_lines(Reason.BALANCE, "inferred", {"30002": "the account is suspended: money, or a violation"}),
    **_lines(Reason.UNREACHABLE, "documented", {"30003": "off or out of reach"}),
    **_lines(Reason.BLACKLISTED, "inferred", {"30004": "blocked, by the carrier or by the person"}),
    **_lines(Reason.INVALID_NUMBER, "documented", {"30005": "unknown, inactive, or no longer in service"}),
    **_lines(Reason.INVALID_NUMBER, "inferred", {"30006": "a landline, or a carrier out of reach"}),
    **_lines(Reason.SENSITIVE_CONTENT, "documented", {"30007": "filtered by the vendor or the carrier"}),
    **_lines(Reason.UNMAPPED, "documented", {"30008": "unknown error: it says no more"}),
    **_lines(Reason.OPTED_OUT, "documented", {"21610": "replied STOP"}),
}

LONGEST: Final = 1600  # characters of a text
_PAGE: Final = 1000
_FORM: Final = "application/x-www-form-urlencoded"
_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}")
_DONE_WITHIN: Final = timedelta(hours=3)  # less than half of the eight hours between the zones it may be written in
_STATES: Final = {
    "delivered": DeliveryState.DELIVERED,
    "read": DeliveryState.DELIVERED,
    "undelivered": DeliveryState.UNDELIVERED,
    "failed": DeliveryState.REJECTED,
    "canceled": DeliveryState.REJECTED,
}
_ON_ITS_WAY: Final = frozenset({"accepted", "scheduled", "queued", "sending", "sent", "partially_delivered"})
_HASHES: Final = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_TAKEN: Final = Acknowledgement(body=b"<Response/>", content_type="text/xml")
_NOT_TAKEN: Final = Acknowledgement(status=403, body=b"<Response/>", content_type="text/xml")


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def basic(user: str, password: str) -> str:
    """The Authorization header (RFC 7617)."""
    return f"Basic {signing.base64_text(f'{user}:{password}'.encode())}"


def signed_words(url: str, fields: Sequence[tuple[str, str]]) -> str:
    """The URL as it was called, and behind it every field's name and value, sorted, each pair once."""
    return url + "".join(f"{name}{value}" for name, value in sorted(set(fields)))


def push_signature(secret: str, words: str, digest: str = "sha1") -> str:
    """X-Twilio-Signature: Base64 of an HMAC under the auth token, or with SHA-256 under a shared key."""
    return signing.base64_text(bytes.fromhex(signing.hmac_hex(secret.encode(), words.encode(), digest)))


def algorithm(settings: str) -> str:
    """The algorithm that X-Twilio-Webhooks-Signature-Settings names ("key=…,algorithm=…"); HMAC_SHA1 if it does not."""
    for part in settings.split(","):
        name, _, value = part.partition("=")
        if name.strip() == "algorithm" and value.strip():
            return value.strip().upper()
    return "HMAC_SHA1"


def with_and_without_port(url: str) -> tuple[str, ...]:
    """The URL as it is, without its port, and with the scheme's own: the vendor signs one or the other."""
    scheme, _, behind = url.partition("://")
    authority = re.split(r"[/?#]", behind, maxsplit=1)[0]
    host, rest = re.sub(r":[0-9]+$", "", authority), behind[len(authority) :]
    ordinary = 443 if scheme == "https" else 80
    return (url, f"{scheme}://{host}{rest}", f"{scheme}://{host}:{ordinary}{rest}")


class Vendor:
    """One account at Twilio, and the number or messaging service it sends from."""

    manifest = Manifest(
        id="twilio",
        name={"zh-CN": "Twilio", "en": "Twilio"},
        credentials=(
            Credential("account_sid"),
            Credential("auth_token", secret=True),  # also signs pushes
            Credential("sender"),  # a number, a sender's name, or a messaging service (MG…)
            Credential("key_sid", optional=True),  # for `auth: key`
            Credential("key_secret", secret=True, optional=True),
            Credential("webhook_secret", secret=True, optional=True),  # signs pushes where HMAC_SHA256 is switched on
        ),
        documents=(
            Document("Messages resource; Usage Records; Balance (API 2010-04-01)", date(2026, 3, 2)),
            Document("Track the Message Status of Outbound Messages; RawDlrDoneDate (changelog)", date(2026, 3, 2)),
            Document("Webhooks security: X-Twilio-Signature; Error and Warning Dictionary", date(2026, 3, 2)),
        ),
        absent={
            Capability.SUBMITS_IN_BULK: NotOffered("one recipient a request"),
            Capability.PULLS_REPORTS: NotOffered("no queue: states are pushed, and stand in the list of messages"),
            Capability.REVIEWS_SIGNATURES: NotOffered("no review of signatures for mainland China"),
            Capability.REVIEWS_TEMPLATES: NotOffered("no review of templates for mainland China"),
            Capability.TELLS_PRICES: NotYetWritten("told by another host (pricing), by carrier and kind of number"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("the STOP list is the platform's; its interface is in beta"),
            Capability.EDITS_BLACKLIST: NotOffered("the STOP list is the platform's; only the person leaves it"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://api.twilio.com",
        # The rate depends on the kind of sender; what is faster is queued. No cap on one number is documented.
        pace=Pace(per_second=10, burst=10),
        by_template=False,
        push_is_signed=True,
        options={
            "auth": "token",  # or key: an API key in place of the account's own token
            "done_zone": "nearest",  # or utc, beijing: RawDlrDoneDate has no zone, and it varies between carriers
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._base = reading.base(account, self.manifest)
        self._sid, self._sender = account.secret("account_sid"), account.secret("sender")
        self._home = f"/2010-04-01/Accounts/{signing.percent(self._sid)}"

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        """No reference of ours goes along: the interface takes none."""
        if len(message.text) > LONGEST:
            raise reading.not_sent(f"a text holds at most {LONGEST} characters")
        sender = "MessagingServiceSid" if _SERVICE.fullmatch(self._sender) else "From"
        fields = {"To": message.to.number, sender: self._sender, "Body": message.text}
        if self._account.push_url:
            fields["StatusCallback"] = reading.door(self._account.push_url, "reports")
        content = urlencode(fields).encode("ascii")
        headers = {"authorization": self._authorization(), "content-type": _FORM, "accept": "application/json"}
        url = f"{self._base}{self._home}/Messages.json"
        reply = yield httpx.Request("POST", url, headers=headers, content=content)
        body = _object(reply)
        if reply.is_error:
            return reading.refused(reading.identifier(body, "code"), reading.text(body, "message"), REASONS)
        if reading.text(body, "status") == "failed" and body.get("error_code") is not None:
            code = reading.identifier(body, "error_code")
            return reading.no(code, reading.text(body, "error_message"), {**REASONS, **REPORT_REASONS})
        return Accepted(
            vendor_message_id=reading.identifier(body, "sid"),
            segments=reading.count(body, "num_segments") or None,  # 0 until a messaging service has chosen a sender
            fee=_fee(body),
        )

    # --- replies, records, counts, balance ---

    def pull_inbound(self) -> Flow[Sequence[InboundMessage]]:
        """The replies of the last two days by UTC: no queue, so they come again."""
        since = self._tools.now().astimezone(UTC).date() - timedelta(days=1)
        fields = {"DateSent>": str(since), "PageSize": str(_PAGE)}
        if not _SERVICE.fullmatch(self._sender):
            fields = {"To": self._sender, **fields}
        found = yield from self._list(fields)
        return tuple(
            InboundMessage(
                number=reading.identifier(item, "from"),
                to=reading.text(item, "to"),
                text=reading.text(item, "body"),
                sent_at=reading.mail_date(item, "date_sent"),
                vendor_message_id=reading.identifier(item, "sid"),
            )
            for item in found
            if reading.text(item, "direction") == "inbound"
        )

    def find_records(self, number: str, day: date) -> Flow[Sequence[Record]]:
        """Asked by days of UTC, of which a day in Beijing touches two; what is outside of it is left out."""
        begin = reading.midnight(day)
        end = begin + timedelta(days=1)
        fields = {
            "To": number,
            "DateSent<": str((end - timedelta(seconds=1)).date()),
            "DateSent>": str(begin.date()),
            "PageSize": str(_PAGE),
        }
        found = yield from self._list(fields)
        records = [_record(item) for item in found if reading.text(item, "direction") != "inbound"]
        return tuple(record for record in records if record.sent_at and begin <= record.sent_at < end)

    def statistics(self, first: date, last: date) -> Flow[Sequence[StatisticsRow]]:
        """A row a day, and the days are those of UTC. Nothing is said of what became of the messages."""
        query = urlencode(
            {
                "Category": "sms-outbound",
                "StartDate": str(first),
                "EndDate": str(last),
                "PageSize": str(_PAGE),
            }
        )
        start = self._get(f"{self._home}/Usage/Records/Daily.json?{query}")
        return (yield from reading.followed(start, lambda reply: self._page(reply, "usage_records"), _usage))

    def balance(self) -> Flow[Balance]:
        reply = yield self._get(f"{self._home}/Balance.json")
        body = _asked(reply)
        left, currency = reading.amount(body, "balance"), reading.text(body, "currency").upper()
        if left is None or not re.fullmatch("[A-Z]{3}", currency):
            raise Unintelligible("balance or currency is missing", body=reply.content)
        return Balance(money=Money(amount=left, currency=currency))

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """One state or one reply a push, as a form, or in the query of a GET."""
        try:
            pairs = _pairs(request)
            proven = self._is_proven(request, pairs)
            return reading.sort_push([dict(pairs)], self._reader(request.received_at), _TAKEN, authenticated=proven)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    def _is_proven(self, request: PushRequest, pairs: Sequence[tuple[str, str]]) -> bool:
        """Whether the signature is right; False only where our own URL is not known, so that nothing can be said.

        Raises:
            ValueError: there is none, or it is wrong.
        """
        if self._account.push_url is None and "host" not in request.headers:
            return False
        name = algorithm(request.headers.get("x-twilio-webhooks-signature-settings", ""))
        key = "auth_token" if name == "HMAC_SHA1" else "webhook_secret"
        if name not in _HASHES or key not in self._account.credentials:
            raise ValueError("signed by an algorithm for which we hold no key")
        secret, digest = self._account.secret(key), _HASHES[name]
        given = request.headers.get("x-twilio-signature", "")
        signed = () if request.method == "GET" else pairs
        called = reading.called_url(self._account.push_url, request)
        for url in with_and_without_port(called):
            if signing.matches(push_signature(secret, signed_words(url, signed), digest), given):
                return True
        raise ValueError("X-Twilio-Signature does not match")

    def _reader(self, received_at: datetime) -> Any:
        def report(item: dict[str, Any]) -> StatusReport | None:
            return _report(item, done_at(item, self._options["done_zone"], received_at))

        def reader(item: Mapping[str, Any]) -> reading.Reader | None:
            if "MessageStatus" in item:
                return report
            return _reply if "MessageSid" in item and "Body" in item else None

        return reader

    # --- the wire ---

    def _authorization(self) -> str:
        if self._options["auth"] == "key":
            if not self._account.credentials.keys() >= {"key_sid", "key_secret"}:
                raise reading.not_sent("option auth: key needs the credentials key_sid and key_secret")
            return basic(self._account.secret("key_sid"), self._account.secret("key_secret"))
        return basic(self._sid, self._account.secret("auth_token"))

    def _get(self, path: str) -> httpx.Request:
        headers = {"authorization": self._authorization(), "accept": "application/json"}
        return httpx.Request("GET", f"{self._base}{path}", headers=headers)

    def _list(self, fields: Mapping[str, str]) -> Flow[Sequence[dict[str, Any]]]:
        """All messages that fit, page by page; "<" and ">" are parts of the fields' names."""
        first = self._get(f"{self._home}/Messages.json?{urlencode(fields)}")
        return (yield from reading.followed(first, lambda reply: self._page(reply, "messages"), _message))

    def _page(self, reply: httpx.Response, key: str) -> tuple[list[Any], httpx.Request | None]:
        """The next page is named by a path with its query, never by a host."""
        body = _asked(reply)
        path = reading.text(body, "next_page_uri")
        if not path:
            return reading.rows(body, key), None
        if not path.startswith(f"{self._home}/"):
            raise Unintelligible("next_page_uri leads out of the account", body=reply.content)
        try:
            return reading.rows(body, key), self._get(path)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise Unintelligible("next_page_uri is no path", body=reply.content) from error


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _object(reply: httpx.Response) -> dict[str, Any]:
    """The reply's object; one of a server that fails tells nothing, and one that is too fast may have no object."""
    if reply.status_code == 429:
        wait = reading.count({"after": reply.headers.get("retry-after")}, "after")
        raise Throttled("HTTP 429: too many requests", code="20429", retry_after=wait)
    body = read_object(reply)
    if reply.is_server_error:
        raise Unintelligible(f"HTTP {reply.status_code}", body=reply.content)
    return body


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The answer to a question. Raises VendorTrouble for a no."""
    body = _object(reply)
    if reply.is_error:
        raise reading.denied(reading.identifier(body, "code"), reading.text(body, "message"), REASONS)
    return body


def _fee(item: Mapping[str, Any]) -> Money | None:
    """What a message costs: told as a negative sum, and not before it is billed."""
    price, currency = reading.amount(item, "price"), reading.text(item, "price_unit").upper()
    return Money(amount=abs(price), currency=currency) if price and re.fullmatch("[A-Z]{3}", currency) else None


def _message(item: dict[str, Any]) -> dict[str, Any]:
    """A row that names its message."""
    for name in ("sid", "from" if reading.text(item, "direction") == "inbound" else "to"):
        reading.identifier(item, name)
    for name in ("body", "to", "status", "price_unit"):
        reading.text(item, name)
    return item


def _record(item: Mapping[str, Any]) -> Record:
    status, code = reading.text(item, "status"), _code(item, "error_code")
    return Record(
        number=reading.identifier(item, "to"),
        sent_at=reading.mail_date(item, "date_sent") or reading.mail_date(item, "date_created"),
        vendor_message_id=reading.identifier(item, "sid"),
        state=_STATES.get(status, DeliveryState.UNKNOWN),
        code=code or status,
        text=reading.text(item, "body") or None,
        reported_at=reading.mail_date(item, "date_updated") if status in _STATES else None,
        fee=_fee(item),
    )


def _usage(item: dict[str, Any]) -> StatisticsRow:
    """Messages and segments, each where its unit says so."""
    try:
        since = datetime.fromisoformat(reading.text(item, "start_date")).replace(tzinfo=UTC)
        until = datetime.fromisoformat(reading.text(item, "end_date")).replace(tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError) as error:
        raise Unintelligible("start_date or end_date is no day") from error
    told: dict[str, int] = {}
    for name in ("count", "usage"):
        number = reading.amount(item, name)
        if number is not None and number == number.to_integral_value() and number >= 0:
            told.setdefault(reading.text(item, f"{name}_unit"), int(number))
    return StatisticsRow(
        since=since,
        until=until,
        carrier=None,
        submitted=told.get("messages"),
        billed_segments=told.get("segments"),
    )


def _code(item: Mapping[str, Any], key: str) -> str:
    """An error's number as text; none and nought are empty."""
    code = reading.text(item, key).strip()
    return "" if code == "0" else code


def done_at(item: Mapping[str, Any], zone: str, received_at: datetime) -> datetime | None:
    """When the carrier was done, to the minute. Its zone is not told: UTC or Beijing, whichever lies nearer to now."""
    if zone != "nearest":
        return reading.stamped(item, "RawDlrDoneDate", "%y%m%d%H%M", BEIJING if zone == "beijing" else UTC)
    read = [reading.stamped(item, "RawDlrDoneDate", "%y%m%d%H%M", one) for one in (UTC, BEIJING)]
    near = [moment for moment in read if moment and abs(received_at - moment) <= _DONE_WITHIN]
    return min(near, key=lambda moment: abs(received_at - moment)) if near else None


def _report(item: dict[str, Any], claimed_at: datetime | None) -> StatusReport | None:
    status, code = reading.text(item, "MessageStatus"), _code(item, "ErrorCode")
    if status in _ON_ITS_WAY:
        return None
    if status not in _STATES:
        raise Unintelligible("MessageStatus is none that is documented")
    state = _STATES[status]
    reason = Reason((REPORT_REASONS.get(code) or reading.mapped(code, REASONS)).reason)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "MessageSid"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else reason,
        code=code or status,
        claimed_at=claimed_at,
        number=reading.text(item, "To") or None,
    )


def _reply(item: dict[str, Any]) -> InboundMessage:
    """No stamp is told. OptOutType (STOP, START, HELP) says what the platform made of it."""
    return InboundMessage(
        number=reading.identifier(item, "From"),
        to=reading.text(item, "To"),
        text=reading.text(item, "Body"),
        vendor_message_id=reading.identifier(item, "MessageSid"),
    )


def _pairs(request: PushRequest) -> list[tuple[str, str]]:
    """Every field of a push, those that come twice as well. Raises ValueError for what is no form."""
    raw = request.query.encode() if request.method == "GET" else request.body
    if len(raw) > reading.PUSH_LIMIT:
        raise ValueError(f"longer than {reading.PUSH_LIMIT} bytes")
    return parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=256)

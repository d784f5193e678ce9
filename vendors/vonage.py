"""Vonage (formerly Nexmo) SMS API: forms in and JSON out, under HTTP Basic or signed, one number a request.

Whole texts, from an international vendor that reviews nothing Chinese. HTTP says 200 to everything; a status in the
answer says yes or no, one for each part of a long text. Pushes can be signed over all their fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from decimal import Decimal
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
    spaced,
)
from harness.domain import (
    Accepted,
    Balance,
    DeliveryState,
    InboundMessage,
    InDoubt,
    Message,
    Money,
    Outcome,
    Reason,
    StatusReport,
)
from harness.errors import Throttled, Unauthorised, Unintelligible, VendorTrouble
from harness.flow import Flow, read_object
from vendors import reading, signing
from vendors.carrier_codes import report_reason

REASONS: Final[Mapping[str, Mapped]] = {
    "1": Mapped(Reason.THROTTLED),
    "2": Mapped(Reason.BAD_REQUEST, note="a parameter is missing"),
    "3": Mapped(Reason.BAD_REQUEST, note="a parameter is wrong"),
    "4": Mapped(Reason.AUTH),
    "5": Mapped(Reason.VENDOR_FAULT),
    "6": Mapped(Reason.BAD_REQUEST, note="the message cannot be made out"),
    "7": Mapped(Reason.BLACKLISTED, note="the number is barred"),
    "8": Mapped(Reason.AUTH, note="our account is barred"),
    "9": Mapped(Reason.BALANCE),
    "10": Mapped(Reason.THROTTLED, note="too many connections"),
    "11": Mapped(Reason.AUTH, note="HTTP is not open to us"),
    "12": Mapped(Reason.BAD_REQUEST, note="too long"),
    "14": Mapped(Reason.AUTH, note="the signature is wrong"),
    "15": Mapped(Reason.BAD_REQUEST, note="the sender is wrong"),
    "22": Mapped(Reason.ROUTING, note="no such network"),
    "23": Mapped(Reason.BAD_REQUEST, note="callback"),
    "29": Mapped(Reason.ROUTING, "inferred", "a trial account writes to numbers on its own list only"),
    "32": Mapped(Reason.AUTH, note="both signature and secret"),
    "33": Mapped(Reason.INVALID_NUMBER, note="the number is no longer in service"),
}

_LIST: Final = "the vendor's list of err-code as it is widely quoted; the field is documented, the list was not at hand"


def _lines(reason: Reason, lines: Mapping[str, str]) -> dict[str, Mapped]:
    return {code: Mapped(reason, "inferred", note, _LIST) for code, note in lines.items()}


REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    **_lines(Reason.UNMAPPED, {"1": "unknown", "13": "the person's age", "99": "general error"}),
    **_lines(Reason.UNREACHABLE, {"2": "absent for a while", "7": "the phone is busy", "12": "out of reach"}),
    **_lines(Reason.INVALID_NUMBER, {"3": "absent for good", "9": "illegal number"}),
    **_lines(Reason.BLACKLISTED, {"4": "barred by the person", "14": "blocked by the carrier"}),
    **_lines(Reason.ROUTING, {"5": "a ported number", "11": "no way there"}),
    **_lines(Reason.SENSITIVE_CONTENT, {"6": "rejected as spam"}),
    **_lines(Reason.CARRIER_FAULT, {"8": "network error"}),
    **_lines(Reason.BAD_REQUEST, {"10": "illegal message"}),
    **_lines(Reason.OUT_OF_SERVICE, {"15": "the person's prepaid credit is used up"}),
}

_REFERENCE: Final = 100  # characters of client-ref
_CALLBACK: Final = 100  # characters of callback
_METHODS: Final = frozenset({"md5hash", "md5", "sha1", "sha256", "sha512"})
_AUTHS: Final = frozenset({"basic", "body", "signature"})
_CURRENCY: Final = "EUR"  # of balances and prices of messages
_STATES: Final = {
    "delivered": DeliveryState.DELIVERED,
    "failed": DeliveryState.UNDELIVERED,
    "expired": DeliveryState.EXPIRED,
    "rejected": DeliveryState.REJECTED,
    "unknown": DeliveryState.UNKNOWN,
}
_ON_ITS_WAY: Final = frozenset({"accepted", "buffered"})
_TAKEN: Final = Acknowledgement(body=b"{}")
_NOT_TAKEN: Final = Acknowledgement(status=401, body=b"{}")


# --- signing: every step by its name, so that a test can break each ---------------------------------------------------


def basic(key: str, secret: str) -> str:
    """The Authorization header (RFC 7617)."""
    return f"Basic {signing.base64_text(f'{key}:{secret}'.encode())}"


def cleaned(value: str) -> str:
    """A value as it is signed: what would part the fields becomes an underscore."""
    return value.replace("&", "_").replace("=", "_")


def string_to_sign(fields: Mapping[str, str]) -> str:
    """Every field but sig, sorted by name, each behind an ampersand: "&a=1&b=2"."""
    return "".join(f"&{name}={cleaned(fields[name])}" for name in sorted(fields) if name != "sig")


def signature(fields: Mapping[str, str], secret: str, method: str) -> str:
    """An MD5 over the words and the secret behind them (`md5hash`), or an HMAC under the secret; lower-case hex."""
    words = string_to_sign(fields)
    if method == "md5hash":
        return signing.md5_hex(f"{words}{secret}".encode())
    return signing.hmac_hex(secret.encode(), words.encode(), method)


class Vendor:
    """One account (api_key) at Vonage, and the number or name it sends from."""

    manifest = Manifest(
        id="vonage",
        name={"zh-CN": "Vonage", "en": "Vonage"},
        credentials=(
            Credential("api_key"),
            Credential("api_secret", secret=True),
            Credential("sender"),  # a number without "+", or a name
            Credential("signature_secret", secret=True, optional=True),  # without it no push is proven
        ),
        documents=(
            Document("SMS API (OpenAPI definition): send, delivery receipt, inbound", date(2026, 3, 2)),
            Document("Account API: balance; Pricing API", date(2026, 3, 2)),
            Document("Signing messages, as in the vendor's clients vonage-http-client 1.5.2, nexmo", date(2026, 3, 2)),
        ),
        absent={
            Capability.SUBMITS_IN_BULK: NotOffered("one recipient a request"),
            Capability.PULLS_REPORTS: NotYetWritten("the Reports API runs jobs whose format we do not know exactly"),
            Capability.PULLS_INBOUND: NotYetWritten("the Reports API runs jobs whose format we do not know exactly"),
            Capability.FINDS_RECORDS: NotYetWritten("the Reports API runs jobs whose format we do not know exactly"),
            Capability.TELLS_STATISTICS: NotYetWritten("the Reports API runs jobs whose format we do not know exactly"),
            Capability.REVIEWS_SIGNATURES: NotOffered("no review of signatures for mainland China"),
            Capability.REVIEWS_TEMPLATES: NotOffered("no review of templates for mainland China"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotOffered("no interface shows a blacklist"),
            Capability.EDITS_BLACKLIST: NotOffered("no interface edits a blacklist"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://rest.nexmo.com",
        # 30 requests a second are usual; prices are told once a second. No cap on one number is documented.
        pace=Pace(per_second=30, burst=10, apart={"pricing": 1.0}),
        by_template=False,
        push_is_signed=True,  # if the account has signing switched on
        options={
            "auth": "basic",  # or body (the secret itself as a field), or signature
            "sig_method": "md5hash",  # or md5, sha1, sha256, sha512 for HMACs: as the account is set, for both ways
            "push_signed": "1",  # 0: the account signs no pushes, although it has a signature secret
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = reading.base(account, self.manifest)

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        """`type` says in which letters: anything beyond ASCII goes as Unicode."""
        fields = {
            "to": message.to.number.removeprefix("+"),
            "from": self._account.secret("sender"),
            "text": message.text,
            "type": "text" if message.text.isascii() else "unicode",
            "status-report-req": "true",
        }
        if 0 < len(message.reference) <= _REFERENCE:
            fields["client-ref"] = message.reference
        callback = reading.door(self._account.push_url, "reports") if self._account.push_url else ""
        if 0 < len(callback) <= _CALLBACK:  # a longer one has to be set in the console
            fields["callback"] = callback
        body = _object((yield self._post("/sms/json", fields)))
        parts = reading.rows(body, "messages")
        if not parts or not all(isinstance(part, dict) for part in parts):
            raise Unintelligible("messages is empty, or holds what is no message")
        return _outcome(parts)

    # --- balance, prices ---

    def balance(self) -> Flow[Balance]:
        body = _asked((yield self._get("/account/get-balance")))
        left = reading.amount(body, "value")
        if left is None:
            raise Unintelligible("value is missing or no sum")
        return Balance(money=Money(amount=left, currency=_CURRENCY))

    def prices(self) -> Flow[Money]:
        """What one part costs; the list has a price for each network beside it."""
        request = self._get("/account/get-pricing/outbound/sms?country=CN")
        body = _asked((yield spaced(request, self.manifest.pace, "pricing")))
        price = reading.amount(body, "defaultPrice")
        currency = reading.text(body, "currency").upper()
        if price is None or len(currency) != 3 or not currency.isalpha():
            raise Unintelligible("defaultPrice or currency is missing")
        return Money(amount=price, currency=currency)

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """One report or one reply a push: in the query of a GET, as a form, or as JSON, as the account is set."""
        try:
            item = reading.pushed(request)
            if not isinstance(item, dict):
                raise ValueError("no fields in it")
            proven = self._is_proven(item, request)
            return reading.sort_push([item], _reader, _TAKEN, authenticated=proven)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    def _is_proven(self, item: Mapping[str, Any], request: PushRequest) -> bool:
        """Whether the signature is right; False for an account whose pushes are not signed.

        Raises:
            ValueError: there is none, it is wrong, or stale.
        """
        if self._options["push_signed"] != "1" or "signature_secret" not in self._account.credentials:
            return False
        fields = {name: reading.text(item, name) for name in item}
        ours = signature(fields, self._account.secret("signature_secret"), self._method())
        if not signing.matches(ours, fields.get("sig", "").lower()):
            raise ValueError("sig does not match")
        reading.check_fresh(reading.unix(item, "timestamp"), request.received_at)
        return True

    # --- the wire ---

    def _method(self) -> str:
        method = self._options["sig_method"]
        if method not in _METHODS:
            raise reading.not_sent(f"option sig_method is none of {', '.join(sorted(_METHODS))}")
        return method

    def _post(self, path: str, fields: Mapping[str, str]) -> httpx.Request:
        key, auth = self._account.secret("api_key"), self._options["auth"]
        if auth not in _AUTHS or (auth == "signature" and "signature_secret" not in self._account.credentials):
            raise reading.not_sent("option auth is basic, body, or signature with the credential signature_secret")
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        whole = dict(fields)
        if auth == "basic":
            headers["authorization"] = basic(key, self._account.secret("api_secret"))
        elif auth == "body":
            whole |= {"api_key": key, "api_secret": self._account.secret("api_secret")}
        else:
            whole |= {"api_key": key, "timestamp": str(int(self._tools.now().timestamp()))}
            whole["sig"] = signature(whole, self._account.secret("signature_secret"), self._method())
        content = urlencode(whole).encode("ascii")
        return httpx.Request("POST", f"{self._url}{path}", headers=headers, content=content)

    def _get(self, target: str) -> httpx.Request:
        secret = basic(self._account.secret("api_key"), self._account.secret("api_secret"))
        headers = {"authorization": secret, "accept": "application/json"}
        return httpx.Request("GET", f"{self._url}{target}", headers=headers)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _object(reply: httpx.Response) -> dict[str, Any]:
    """The reply's object. HTTP says 200 to everything about a message; about us or our pace it may say so itself."""
    if reply.status_code in (420, 429):
        raise Throttled(f"HTTP {reply.status_code}", code=str(reply.status_code))
    if reply.status_code == 401:
        raise Unauthorised("HTTP 401", code="401")
    body = read_object(reply)
    if reply.is_server_error:
        raise Unintelligible(f"HTTP {reply.status_code}", body=reply.content)
    return body


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The answer to a question. Raises VendorTrouble for a no."""
    body = _object(reply)
    if reply.is_error:
        code = reading.text(body, "error-code") or str(reply.status_code)
        raise VendorTrouble(f"{code}: {reading.masked(reading.text(body, 'error-code-label'))}", code=code)
    return body


def _outcome(parts: Sequence[Mapping[str, Any]]) -> Outcome:
    """What the parts of one text say together: the first no, if none was taken; doubt, if some were."""
    codes = [reading.identifier(part, "status") for part in parts]
    if all(code == "0" for code in codes):
        prices = [reading.amount(part, "message-price") for part in parts]
        known = [price for price in prices if price is not None]
        ids = tuple(reading.identifier(part, "message-id") for part in parts)
        return Accepted(
            vendor_message_id=ids[0],
            segments=len(parts),
            part_ids=ids if len(ids) > 1 else (),
            fee=Money(amount=sum(known, Decimal(0)), currency=_CURRENCY) if len(known) == len(parts) else None,
        )
    if "0" in codes:
        found = tuple(reading.text(part, "message-id") for part in parts)
        return InDoubt(why="some parts of the text were taken and others refused", part_ids=found)
    return reading.refused(codes[0], reading.text(parts[0], "error-text"), REASONS)


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    if "messageId" not in item or "msisdn" not in item:
        return None
    return _report if "status" in item else _reply if "text" in item or "type" in item else None


def _report(item: dict[str, Any]) -> StatusReport | None:
    """`msisdn` is the recipient, `to` our sender. The network (MCC and MNC) is kept as it is written."""
    status, code = reading.text(item, "status"), reading.text(item, "err-code").strip()
    if status in _ON_ITS_WAY:
        return None
    if status not in _STATES:
        raise Unintelligible("status is none that is documented")
    state = _STATES[status]
    return StatusReport(
        vendor_message_id=reading.identifier(item, "messageId"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code or status, REPORT_REASONS),
        code=status if code in ("", "0") else code,
        claimed_at=reading.stamped(item, "message-timestamp", "%Y-%m-%d %H:%M:%S", UTC),
        number=reading.text(item, "msisdn") or None,
        reference=reading.text(item, "client-ref") or None,
        detail=reading.text(item, "network-code"),
    )


def _reply(item: dict[str, Any]) -> InboundMessage:
    """A long reply comes in parts, each in a push of its own."""
    return InboundMessage(
        number=reading.identifier(item, "msisdn"),
        to=reading.text(item, "to"),
        text=reading.text(item, "text"),
        sent_at=reading.stamped(item, "message-timestamp", "%Y-%m-%d %H:%M:%S", UTC),
        vendor_message_id=reading.identifier(item, "messageId"),
    )

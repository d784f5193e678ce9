"""Vonage's side of the wire: the SMS API as its definition describes it (facts/vendors/vonage.md).

Free texts to one number a request; HTTP 200 to everything, and a status for each part of a text. Credentials:
`api_key`, `api_secret`, `sender`, `signature_secret` where messages and pushes are signed. Options: `sig_method`
(md5hash, md5, sha1, sha256, sha512), `sig_case: upper` (of pushes), `push` (json, form, get), `parts: first` (a report
for the first part only), `qps`, `eur` (yuan a euro), `auth: signature` (nothing else is taken).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx

from harness.domain import DeliveryState, Purpose, Reason
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    answer_json,
    counted,
    credential,
    hear,
    is_over_rate,
    mainland,
    pairs,
    whole,
)

_JSON: Final = "application/json"
_LONGEST_TEXT: Final = 3200
_LONGEST_CALLBACK: Final = 100
_LONGEST_REFERENCE: Final = 100
_TYPES: Final = frozenset({"text", "unicode", "binary"})
_RETRIES: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720))  # within 24 hours
_NETWORKS: Final[Mapping[str, str]] = {
    "46001": "130 131 132 145 146 155 156 166 167 171 175 176 185 186 196",
    "46003": "133 149 153 173 174 177 180 181 189 190 191 193 199",
    "46015": "192",
}
_MOBILE: Final = "46000"

ERRORS: Final[Mapping[str, str]] = {
    "1": "Throughput Rate Exceeded - please wait and retry",
    "2": "Missing {name}",
    "3": "Invalid {name}",
    "4": "Bad Credentials",
    "5": "Internal Error",
    "6": "Unroutable message - rejected",
    "7": "Number barred",
    "9": "Partner quota violation",
    "12": "Message too long",
    "14": "Invalid Signature",
    "15": "Invalid sender address",
    "23": "Invalid callback",
}
REFUSALS: Final[Mapping[Reason, str]] = {
    Reason.BLACKLISTED: "7",
    Reason.OPTED_OUT: "7",
    Reason.BALANCE: "9",
    Reason.THROTTLED: "1",
    Reason.VENDOR_FAULT: "5",
}
FAILURES: Final[Mapping[Reason, str]] = {
    Reason.UNREACHABLE: "12",
    Reason.BLACKLISTED: "14",
    Reason.OPTED_OUT: "4",
    Reason.INVALID_NUMBER: "9",
    Reason.SENSITIVE_CONTENT: "6",
    Reason.ROUTING: "11",
    Reason.CARRIER_FAULT: "8",
}
_GENERAL: Final = "99"
_STATES: Final = {
    DeliveryState.DELIVERED: "delivered",
    DeliveryState.EXPIRED: "expired",
    DeliveryState.REJECTED: "rejected",
    DeliveryState.UNKNOWN: "unknown",
}

Params = Mapping[str, str]


class _Refusal(Exception):
    """A message refused with one of the vendor's statuses."""

    def __init__(self, status: str, name: str = "") -> None:
        super().__init__(status)
        self.status, self.words = status, ERRORS[status].replace("{name}", name)


class Counterpart:
    """Vonage for one account."""

    push_batch = 1
    push_retry = _RETRIES

    def __init__(self, door: Door) -> None:
        self._door = door
        self._key = credential(door.credentials, "api_key")
        self._secret = credential(door.credentials, "api_secret")
        self._sender = credential(door.credentials, "sender")
        self._signing = door.credentials.get("signature_secret", "")

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        if heard.path == "/sms/json" and heard.method in ("POST", "GET"):
            params = dict(pairs(heard.query)) | (dict(pairs(heard.body)) if heard.is_form else {})
            return answer_json(200, self._sms(heard, params), content_type=_JSON)
        if heard.method != "GET" or heard.path not in ("/account/get-balance", "/account/get-pricing/outbound/sms"):
            return httpx.Response(404, text="Not Found")
        params = dict(pairs(heard.query))
        if not self._knows(heard, params):
            body = {"error-code": "401", "error-code-label": "authentication failed"}
            return answer_json(401, body, content_type=_JSON)
        if heard.path == "/account/get-balance":
            left = self._door.balance() / self._euro()
            return answer_json(200, {"value": round(float(left), 2), "autoReload": False}, content_type=_JSON)
        return self._pricing(params)

    def _sms(self, heard: Heard, params: Params) -> dict[str, Any]:
        try:
            self._admit(heard, params)
            messages = self._send(params)
        except _Refusal as refusal:
            messages = [{"status": refusal.status, "error-text": refusal.words}]
        return {"message-count": str(len(messages)), "messages": messages}

    def _knows(self, heard: Heard, params: Params) -> bool:
        """Whether key and secret are there, in the header or among the fields."""
        kind, _, given = heard.headers.get("authorization", "").partition(" ")
        key, secret = params.get("api_key", ""), params.get("api_secret", "")
        if kind.lower() == "basic":
            try:
                key, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
            except ValueError:
                return False
        return key == self._key and hmac.compare_digest(secret.encode("utf-8", "replace"), self._secret.encode())

    def _admit(self, heard: Heard, params: Params) -> None:
        if "sig" in params:
            self._check_signature(params)
        elif self._door.options.get("auth") == "signature":
            raise _Refusal("14")
        elif not self._knows(heard, params):
            raise _Refusal("4")
        limit = whole(self._door.options.get("qps"), 1, 10**6)
        if is_over_rate(self._door.memory, "calls", self._door.now().timestamp(), limit):
            raise _Refusal("1")

    def _check_signature(self, params: Params) -> None:
        if params.get("api_key") != self._key:
            raise _Refusal("4")
        at = whole(params.get("timestamp"), 1, 10**11)
        if at is None or abs(self._door.now().timestamp() - at) > 300:
            raise _Refusal("14")
        ours = self._signed({name: value for name, value in params.items() if name != "sig"})
        given = params["sig"].lower().encode("utf-8", "replace")
        if not self._signing or not hmac.compare_digest(ours.encode(), given):
            raise _Refusal("14")

    def _signed(self, fields: Params) -> str:
        """The signature over these fields, by the account's method."""
        words = ""
        for name, value in sorted(fields.items()):
            words += f"&{name}=" + re.sub("[&=]", "_", value)
        method, raw = self._door.options.get("sig_method", "md5hash"), words.encode("utf-8", "replace")
        if method == "md5hash":
            return hashlib.md5(raw + self._signing.encode(), usedforsecurity=False).hexdigest()
        return hmac.new(self._signing.encode(), raw, method).hexdigest()

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> list[dict[str, Any]]:
        number, text = self._checked(params)
        reference = params.get("client-ref")
        key = self._message_id()
        outcome = self._door.submit(
            Submission(number=number, text=text, purpose=_purpose(text), reference=reference, key=key)
        )
        if isinstance(outcome, Turned):
            raise _Refusal(REFUSALS.get(outcome.reason, "6"))
        ids = [key, *(self._message_id() for _ in range(outcome.segments - 1))]
        self._door.memory.setdefault("parts", {})[key] = ids
        if params.get("callback"):
            self._door.memory.setdefault("callbacks", {})[key] = params["callback"]
            self._door.memory["callback"] = params["callback"]
        price = outcome.fee / outcome.segments / self._euro()
        left = self._door.balance() / self._euro()
        return [
            {
                "to": number.removeprefix("+"),
                "message-id": own,
                "status": "0",
                "remaining-balance": f"{left:.8f}",
                "message-price": f"{price:.8f}",
                "network": _network(number),
                **({"client-ref": reference} if reference else {}),
            }
            for own in ids
        ]

    def _checked(self, params: Params) -> tuple[str, str]:
        """Number and text of a message, each past the vendor's own checks."""
        for name in ("from", "to", "text"):
            if not params.get(name):
                raise _Refusal("2", name)
        to, text, callback = params["to"], params["text"], params.get("callback", "")
        number = mainland(to.removeprefix("+").removeprefix("00"))
        if number is None or not re.fullmatch(r"86[0-9]{11}", to.removeprefix("+").removeprefix("00")):
            raise _Refusal("3", "to")
        if params["from"] != self._sender:
            raise _Refusal("15")
        if params.get("type", "text") not in _TYPES:
            raise _Refusal("3", "type")
        if len(text) > _LONGEST_TEXT:
            raise _Refusal("12")
        if len(params.get("client-ref", "")) > _LONGEST_REFERENCE:
            raise _Refusal("3", "client-ref")
        if callback and (len(callback) > _LONGEST_CALLBACK or urlsplit(callback).scheme not in ("http", "https")):
            raise _Refusal("23")
        # What is beyond the plain letters and not said to be so arrives as question marks.
        is_plain = params.get("type", "text") == "text"
        return number, text.encode("latin-1", "replace").decode("latin-1") if is_plain else text

    def _message_id(self) -> str:
        number = counted(self._door.memory, "messages")
        return hashlib.sha256(f"{self._door.label} {number}".encode()).hexdigest()[:16].upper()

    def _pricing(self, params: Params) -> httpx.Response:
        if params.get("country") != "CN":
            return answer_json(404, {"error-code": "404", "error-code-label": "no pricing"}, content_type=_JSON)
        price = Decimal(self._door.options.get("unit_price", "0.045")) / self._euro()
        networks = [
            {"type": "mobile", "price": f"{price:.8f}", "currency": "EUR", "mcc": code[:3], "mnc": code[3:],
             "networkCode": code}
            for code in (_MOBILE, *_NETWORKS)
        ]  # fmt: skip
        body = {
            "dialingPrefix": "86",
            "defaultPrice": f"{price:.8f}",
            "currency": "EUR",
            "countryDisplayName": "China",
            "countryCode": "CN",
            "countryName": "China",
            "networks": networks,
        }
        return answer_json(200, body, content_type=_JSON)

    def _euro(self) -> Decimal:
        return Decimal(self._door.options.get("eur", "7.8"))

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> list[PushOut]:
        """A push for each part of a text, each with the part's own id."""
        pushes = []
        for claim in claims:
            ids: Sequence[str] = self._door.memory.get("parts", {}).get(claim.key, (claim.key,))
            for own in ids[:1] if self._door.options.get("parts") == "first" else ids:
                pushes.append(self._push(self._report(claim, own), self._url(claim.key)))
        return pushes

    def _report(self, claim: Claim, own: str) -> dict[str, str]:
        is_delivered = claim.state is DeliveryState.DELIVERED
        code = "0" if is_delivered else FAILURES.get(claim.reason or Reason.UNMAPPED, _GENERAL)
        if claim.state is DeliveryState.UNKNOWN:
            code = "1"
        price = Decimal(self._door.options.get("unit_price", "0.045")) / self._euro()
        return {
            "msisdn": claim.number.removeprefix("+"),
            "to": self._sender,
            "network-code": _network(claim.number),
            "messageId": own,
            "price": f"{price:.8f}",
            "status": _STATES.get(claim.state, "failed"),
            "scts": claim.claimed_at.astimezone(UTC).strftime("%y%m%d%H%M"),
            "err-code": code,
            "api-key": self._key,
            **({"client-ref": claim.reference} if claim.reference else {}),
            "message-timestamp": _stamp(claim.claimed_at),
        }

    def push_reply(self, reply: Reply) -> PushOut:
        words = reply.text.split()
        fields = {
            "msisdn": reply.number.removeprefix("+"),
            "to": self._sender,
            "messageId": self._message_id(),
            "text": reply.text,
            "type": "text" if reply.text.isascii() else "unicode",
            "keyword": words[0].upper() if words else "",
            "api-key": self._key,
            "message-timestamp": _stamp(reply.sent_at),
        }
        # The console's URL for replies: beside the one that requests name for reports.
        beside: str | None = self._door.memory.get("callback")
        return self._push(fields, f"{beside.rpartition('/')[0]}/inbound" if beside else None)

    def _url(self, key: str) -> str | None:
        found: str | None = self._door.memory.get("callbacks", {}).get(key)
        return found

    def _push(self, fields: dict[str, str], url: str | None) -> PushOut:
        if self._signing:
            number = counted(self._door.memory, "nonces")
            at = str(int(self._door.now().timestamp()))
            nonce = hashlib.sha256(f"{self._door.label} nonce {number}".encode()).hexdigest()[:36]
            fields |= {"timestamp": at, "nonce": nonce}
            made = self._signed(fields)
            fields["sig"] = made.upper() if self._door.options.get("sig_case") == "upper" else made
        match self._door.options.get("push", "json"):
            case "get":
                query = urlencode(fields, errors="replace")
                return PushOut(body=b"", content_type="text/plain", method="GET", query=query, url=url)
            case "form":
                body = urlencode(fields, errors="replace").encode()
                return PushOut(body=body, content_type="application/x-www-form-urlencoded", url=url)
            case _:
                body = json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace")
                return PushOut(body=body, content_type=_JSON, url=url)

    def push_decision(self, review: Review) -> None:
        """Nothing is reviewed."""

    def acknowledged(self, status: int, body: bytes) -> bool:
        return 200 <= status < 300


def _network(number: str) -> str:
    """MCC and MNC of a number, by its prefix: the door tells no better."""
    prefix = number.removeprefix("+86")[:3]
    return next((code for code, prefixes in _NETWORKS.items() if prefix in prefixes.split()), _MOBILE)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _purpose(text: str) -> Purpose:
    """What a text is for, as far as one can tell from it: the vendor does not ask."""
    if "验证码" in text or "校验码" in text:
        return Purpose.VERIFICATION
    return Purpose.MARKETING if "拒收" in text or "退订" in text else Purpose.NOTIFICATION

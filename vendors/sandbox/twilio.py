"""Twilio's side of the wire: API 2010-04-01 as its documents describe it (facts/vendors/twilio.md).

Free texts to one number a request; errors are HTTP 4xx with `code`, `message`, `more_info`, `status`. Credentials:
`account_sid`, `auth_token`, `sender`, and `key_sid`, `key_secret`, `webhook_secret` where there are some. Options:
`signing: HMAC_SHA256`, `port: shown` (in signed URLs), `done_zone: beijing`, `page_size`, `qps`, `usd` (yuan a dollar).
A push is signed over the URL it goes to, so one whose URL no request has named goes out unsigned.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason
from vendors.sandbox.door import Claim, Door, Kept, PushOut, Reply, Review, Submission, Turned
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
_LONGEST_TEXT: Final = 1600
_PAGE: Final = 50
_LARGEST_PAGE: Final = 1000
_SOON: Final = timedelta(seconds=1)
_ALWAYS: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))

ERRORS: Final[Mapping[int, tuple[int, str]]] = {
    20003: (401, "Authenticate"),
    20005: (403, "Account not active"),
    20404: (404, "The requested resource was not found"),
    20429: (429, "Too Many Requests"),
    21211: (400, "The 'To' number is not a valid phone number."),
    21408: (400, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number."),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The 'From' phone number is not a valid, SMS-capable inbound phone number for your account."),
    21609: (400, "The 'StatusCallback' URL is not a valid URL."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21612: (400, "The 'To' phone number is not currently reachable using the 'From' phone number."),
    21617: (400, "The concatenated message body exceeds the 1600 character limit."),
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.BALANCE: 20005,
    Reason.THROTTLED: 20429,
    Reason.OPTED_OUT: 21610,
    Reason.INVALID_NUMBER: 21211,
}
FAILURES: Final[Mapping[Reason, int]] = {
    Reason.UNREACHABLE: 30003,
    Reason.BLACKLISTED: 30004,
    Reason.OPTED_OUT: 21610,
    Reason.INVALID_NUMBER: 30005,
    Reason.ROUTING: 30006,
    Reason.SENSITIVE_CONTENT: 30007,
    Reason.SIGNATURE_NOT_REGISTERED: 30007,
}
_UNKNOWN_ERROR: Final = 30008

Params = Mapping[str, str]


class _Refusal(Exception):
    """A request refused with one of the vendor's codes."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """Twilio for one account."""

    push_batch = 1
    push_retry: tuple[timedelta, ...] = ()  # a status callback that fails is not tried again

    def __init__(self, door: Door) -> None:
        self._door = door
        self._sid = credential(door.credentials, "account_sid")
        self._token = credential(door.credentials, "auth_token")
        self._sender = credential(door.credentials, "sender")

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        try:
            self._admit(heard)
            return self._route(heard)
        except _Refusal as refusal:
            status, words = ERRORS[refusal.code]
            url = f"https://www.twilio.com/docs/errors/{refusal.code}"
            body = {"code": refusal.code, "message": words, "more_info": url, "status": status}
            return answer_json(status, body, content_type=_JSON)

    def _admit(self, heard: Heard) -> None:
        kind, _, given = heard.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            raise _Refusal(20003) from None
        known = {self._sid: self._token}
        if "key_sid" in self._door.credentials:
            known[self._door.credentials["key_sid"]] = self._door.credentials.get("key_secret", "")
        right = hmac.compare_digest(known.get(user, "").encode(), password.encode("utf-8", "replace"))
        if kind.lower() != "basic" or not known.get(user) or not right:
            raise _Refusal(20003)
        limit = whole(self._door.options.get("qps"), 1, 10**6)
        if is_over_rate(self._door.memory, "calls", self._door.now().timestamp(), limit):
            raise _Refusal(20429)

    def _route(self, heard: Heard) -> httpx.Response:
        home = f"/2010-04-01/Accounts/{self._sid}/"
        path = unquote(heard.path)
        if not path.startswith(home):
            raise _Refusal(20404)
        rest = path.removeprefix(home)
        if one := re.fullmatch(r"Messages/([A-Z]{2}[0-9a-f]{32})\.json", rest):
            if heard.method != "GET":
                raise _Refusal(20404)
            return answer_json(200, self._message(one[1]), content_type=_JSON)
        act = ACTIONS.get((heard.method, rest))
        if act is None:
            raise _Refusal(20404)
        if heard.method == "GET":
            return answer_json(200, act(self, dict(pairs(heard.query))), content_type=_JSON)
        return answer_json(201, act(self, dict(pairs(heard.body)) if heard.is_form else {}), content_type=_JSON)

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> dict[str, Any]:
        number, text, callback = self._checked(params)
        if number in self._door.opted_out():
            raise _Refusal(21610)
        key = self._new_sid()
        outcome = self._door.submit(Submission(number=number, text=text, purpose=_purpose(text), key=key))
        if isinstance(outcome, Turned):
            raise _Refusal(REFUSALS.get(outcome.reason, 21612))
        if callback:
            self._door.memory.setdefault("callbacks", {})[key] = callback
            self._door.memory["callback"] = callback
        self._door.push_later(self._state_push(key, number, "sent", None, None), "reports", _SOON)
        now = format_datetime(self._door.now())
        return {
            **self._frame(key, number, text, "outbound-api"),
            "status": "queued",
            "num_segments": str(outcome.segments),
            "price": None,
            "error_code": None,
            "error_message": None,
            "date_created": now,
            "date_updated": now,
            "date_sent": None,
        }

    def _checked(self, params: Params) -> tuple[str, str, str]:
        """Number, text and callback of a message, each past the vendor's own checks."""
        to, text, callback = params.get("To", ""), params.get("Body", ""), params.get("StatusCallback", "")
        sender = params.get("From") or params.get("MessagingServiceSid", "")
        for missing, code in ((to, 21604), (sender, 21603), (text, 21602)):
            if not missing:
                raise _Refusal(code)
        if sender != self._sender:
            raise _Refusal(21606)
        if len(text) > _LONGEST_TEXT:
            raise _Refusal(21617)
        if callback and urlsplit(callback).scheme not in ("http", "https"):
            raise _Refusal(21609)
        if not re.fullmatch(r"\+[1-9][0-9]{6,14}", to):
            raise _Refusal(21211)
        if not to.startswith("+86"):
            raise _Refusal(21408)
        if (number := mainland(to)) is None:
            raise _Refusal(21211)
        return number, text, callback

    def _new_sid(self) -> str:
        number = counted(self._door.memory, "sids")
        return f"SM{hashlib.sha256(f'{self._door.label} {number}'.encode()).hexdigest()[:32]}"

    def _frame(self, key: str, number: str, text: str, direction: str) -> dict[str, Any]:
        """What every message shows alike, the other end being a person's number."""
        is_service = self._sender.startswith("MG")
        ours, theirs = (None if is_service else self._sender), number
        return {
            "sid": key,
            "account_sid": self._sid,
            "api_version": "2010-04-01",
            "body": text,
            "direction": direction,
            "from": theirs if direction == "inbound" else ours,
            "to": self._sender if direction == "inbound" else theirs,
            "messaging_service_sid": self._sender if is_service else None,
            "num_media": "0",
            "price_unit": "USD",
            "uri": f"/2010-04-01/Accounts/{self._sid}/Messages/{key}.json",
            "subresource_uris": {"media": f"/2010-04-01/Accounts/{self._sid}/Messages/{key}/Media.json"},
        }

    # -- records, replies, counts, balance --------------------------------------------------------------------

    def _message(self, key: str) -> dict[str, Any]:
        for row in self._all():
            if row["sid"] == key:
                return row
        raise _Refusal(20404)

    def _all(self) -> list[dict[str, Any]]:
        """Every message both ways, the latest first."""
        rows = [(kept.submitted_at, self._row(kept)) for kept in self._door.records(None, *_ALWAYS)]
        rows += [(reply.sent_at, self._reply_row(reply)) for reply in self._replies()]
        return [row for _, row in sorted(rows, key=lambda one: one[0], reverse=True)]

    def _replies(self) -> list[Reply]:
        """Every reply so far: those of an account that is set to pull wait in its queue."""
        kept: list[Reply] = self._door.memory.setdefault("replies", [])
        kept.extend(self._door.take_replies(10_000))
        return kept

    def _row(self, kept: Kept) -> dict[str, Any]:
        status, code = _told(kept.state, _reason_of(kept.code))
        price = -kept.fee / self._dollar()
        return {
            **self._frame(kept.key, kept.number, kept.text, "outbound-api"),
            "status": status,
            "num_segments": str(kept.segments),
            "price": f"{price:.5f}" if kept.state is not DeliveryState.UNKNOWN else None,
            "error_code": code,
            "error_message": None,
            "date_created": format_datetime(kept.submitted_at),
            "date_sent": format_datetime(kept.submitted_at),
            "date_updated": format_datetime(kept.claimed_at or kept.submitted_at),
        }

    def _reply_row(self, reply: Reply) -> dict[str, Any]:
        at = format_datetime(reply.sent_at)
        return {
            **self._frame(self._reply_sid(reply), reply.number, reply.text, "inbound"),
            "status": "received",
            "num_segments": "1",
            "price": None,
            "error_code": None,
            "error_message": None,
            **dict.fromkeys(("date_created", "date_sent", "date_updated"), at),
        }

    def _list(self, params: Params) -> dict[str, Any]:
        rows = [row for row in self._all() if _fits(row, params)]
        return self._paged("Messages.json", "messages", rows, params)

    def _paged(self, path: str, key: str, rows: Sequence[dict[str, Any]], params: Params) -> dict[str, Any]:
        most = whole(self._door.options.get("page_size"), 1, _LARGEST_PAGE) or _LARGEST_PAGE
        size = min(most, whole(params.get("PageSize") or str(_PAGE), 1, 10**6) or _PAGE)
        number = whole(params.get("Page") or "0", 0, 10**6) or 0
        page, more = rows[number * size : (number + 1) * size], len(rows) > (number + 1) * size
        home = f"/2010-04-01/Accounts/{self._sid}/{path}?"

        def uri(at: int, **token: str) -> str:
            return home + urlencode({**params, "PageSize": str(size), "Page": str(at), **token}, quote_via=quote)

        return {
            "first_page_uri": uri(0),
            "uri": uri(number),
            "previous_page_uri": uri(number - 1) if number else None,
            "next_page_uri": uri(number + 1, PageToken=f"PA{page[-1].get('sid', number)}") if more else None,
            "page": number,
            "page_size": size,
            "start": number * size,
            "end": number * size + len(page) - 1 if page else 0,
            key: page,
        }

    def _usage(self, params: Params) -> dict[str, Any]:
        """Days of UTC, the latest first; categories other than sms-outbound hold nothing here."""
        first, last = _day(params.get("StartDate")), _day(params.get("EndDate"))
        today = self._door.now().astimezone(UTC).date()
        first, last = first or today, min(last or today, today)
        rows = []
        for passed in range((last - first).days, -1, -1):
            day = first + timedelta(days=passed)
            if params.get("Category", "sms-outbound") == "sms-outbound":
                rows.append(self._usage_row(day))
        return self._paged("Usage/Records/Daily.json", "usage_records", rows, params)

    def _usage_row(self, day: date) -> dict[str, Any]:
        begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
        counts = self._door.counts(begin, begin + timedelta(days=1))
        price = counts.fee / self._dollar()
        return {
            "account_sid": self._sid,
            "api_version": "2010-04-01",
            "category": "sms-outbound",
            "description": "Outbound SMS",
            "count": str(counts.submitted),
            "count_unit": "messages",
            "usage": str(counts.segments),
            "usage_unit": "segments",
            "price": f"{price:.5f}",
            "price_unit": "usd",
            "start_date": str(day),
            "end_date": str(day),
            "as_of": self._door.now().strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        }

    def _balance(self, params: Params) -> dict[str, Any]:
        left = self._door.balance() / self._dollar()
        return {"account_sid": self._sid, "balance": f"{left:.3f}", "currency": "USD"}

    def _dollar(self) -> Decimal:
        return Decimal(self._door.options.get("usd", "7.2"))

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        if not claims:
            return None
        claim = claims[0]
        status, code = _told(claim.state, claim.reason)
        return self._state_push(claim.key, claim.number, status, code, claim.claimed_at)

    def _state_push(self, key: str, number: str, status: str, code: int | None, done_at: datetime | None) -> PushOut:
        fields = {"ErrorCode": str(code)} if code is not None else {}
        if status in ("delivered", "undelivered") and done_at is not None:
            zone = BEIJING if self._door.options.get("done_zone") == "beijing" else UTC
            fields["RawDlrDoneDate"] = done_at.astimezone(zone).strftime("%y%m%d%H%M")
        fields |= {
            "SmsSid": key,
            "SmsStatus": status,
            "MessageStatus": status,
            "To": number,
            "MessageSid": key,
            "AccountSid": self._sid,
            "From": self._sender,
            "ApiVersion": "2010-04-01",
        }
        if self._sender.startswith("MG"):
            fields["MessagingServiceSid"] = self._sender
        return self._push(fields, self._door.memory.get("callbacks", {}).get(key))

    def push_reply(self, reply: Reply) -> PushOut | None:
        self._door.memory.setdefault("replies", []).append(reply)
        key = self._reply_sid(reply)
        fields = {
            "ToCountry": "",
            "SmsMessageSid": key,
            "NumMedia": "0",
            "SmsSid": key,
            "SmsStatus": "received",
            "Body": reply.text,
            "FromCountry": "CN",
            "To": self._sender,
            "NumSegments": "1",
            "MessageSid": key,
            "AccountSid": self._sid,
            "From": reply.number,
            "ApiVersion": "2010-04-01",
        }
        if (word := reply.text.strip().upper()) in ("STOP", "START", "HELP"):
            fields["OptOutType"] = word
        # The console's URL for replies: beside the one that requests name for states.
        beside: str | None = self._door.memory.get("callback")
        return self._push(fields, f"{beside.rpartition('/')[0]}/inbound" if beside else None)

    def _reply_sid(self, reply: Reply) -> str:
        return f"SM{hashlib.sha256(f'{self._door.label} reply {reply.id}'.encode()).hexdigest()[:32]}"

    def _push(self, fields: Params, url: str | None) -> PushOut:
        headers: dict[str, str] = {}
        if url is not None:
            name = self._door.options.get("signing", "HMAC_SHA1")
            secret = self._door.credentials.get("webhook_secret", "") if name == "HMAC_SHA256" else self._token
            shown = _with_port(url) if self._door.options.get("port") == "shown" else url
            words = shown + "".join(one + fields[one] for one in sorted(fields))
            digest = hashlib.sha256 if name == "HMAC_SHA256" else hashlib.sha1
            mac = hmac.new(secret.encode(), words.encode("utf-8", "replace"), digest).digest()
            headers["x-twilio-signature"] = base64.b64encode(mac).decode()
            if name == "HMAC_SHA256":
                headers["x-twilio-webhooks-signature-settings"] = f"key=sandbox,algorithm={name}"
        body = urlencode(fields, errors="replace").encode()
        return PushOut(body=body, content_type="application/x-www-form-urlencoded", headers=headers, url=url)

    def push_decision(self, review: Review) -> None:
        """Nothing is reviewed."""

    def acknowledged(self, status: int, body: bytes) -> bool:
        return 200 <= status < 300


ACTIONS: Final[Mapping[tuple[str, str], Callable[[Counterpart, Params], dict[str, Any]]]] = {
    ("POST", "Messages.json"): Counterpart._send,
    ("GET", "Messages.json"): Counterpart._list,
    ("GET", "Usage/Records/Daily.json"): Counterpart._usage,
    ("GET", "Balance.json"): Counterpart._balance,
}


def _told(state: DeliveryState, reason: Reason | None) -> tuple[str, int | None]:
    """Status and error code for a claim."""
    match state:
        case DeliveryState.DELIVERED:
            return "delivered", None
        case DeliveryState.UNKNOWN:
            return "sent", None
        case DeliveryState.REJECTED:
            return "failed", FAILURES.get(reason or Reason.UNMAPPED, _UNKNOWN_ERROR)
        case _:
            return "undelivered", FAILURES.get(reason or Reason.UNMAPPED, _UNKNOWN_ERROR)


def _reason_of(code: str) -> Reason | None:
    """Why a kept record failed, from the carrier's code in it, as far as the sandbox's carriers have codes."""
    known = {"MK:0001": Reason.INVALID_NUMBER, "MI:0024": Reason.UNREACHABLE, "MB:1077": Reason.BLACKLISTED}
    return known.get(code)


def _purpose(text: str) -> Purpose:
    """What a text is for, as far as one can tell from it: the vendor does not ask."""
    if "验证码" in text or "校验码" in text:
        return Purpose.VERIFICATION
    return Purpose.MARKETING if "拒收" in text or "退订" in text else Purpose.NOTIFICATION


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return None


def _fits(row: Mapping[str, Any], params: Params) -> bool:
    """Whether a message is one that was asked for; the dates are days of UTC."""
    sent = datetime.strptime(row["date_sent"], "%a, %d %b %Y %H:%M:%S %z").date()
    on, since, until = (_day(params.get(name)) for name in ("DateSent", "DateSent>", "DateSent<"))
    return (
        params.get("To") in (None, "", row["to"])
        and params.get("From") in (None, "", row["from"])
        and (on is None or sent == on)
        and (since is None or sent >= since)
        and (until is None or sent <= until)
    )


def _with_port(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts._replace(netloc=f"{parts.hostname}:{port}").geturl()

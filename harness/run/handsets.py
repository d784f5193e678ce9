"""What the test phones' forwarding apps say to us, and how they are asked. Pure: bytes in, sightings out.

Formats, traps and clocks: facts/handsets.md. Unsigned, wrongly signed and stale posts are refused. A post proves what
a phone saw only as far as its app can prove it: SmsForwarder's signature covers neither body nor sender.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote

import httpx

from harness.capabilities import Acknowledgement, PushRefused, PushRequest
from harness.config import Forwarder
from harness.domain import BEIJING, Sighting
from harness.errors import Unauthorised, VendorTrouble
from harness.facts import HeartbeatReceived
from harness.flow import Flow, read_json, read_object
from harness.text import whole

SMSFORWARDER_WINDOW: Final = timedelta(seconds=600)  # the app's own tolerance
SMSGATE_WINDOW: Final = timedelta(seconds=300)  # advised by its documentation
LARGEST_POST: Final = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a post says: messages seen, signs of life, and what makes this post one of its kind."""

    sightings: tuple[Sighting, ...] = ()
    heartbeat: HeartbeatReceived | None = None
    replay_key: str = ""  # a signature that may be used once; the same one under another body is a forgery


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A message in a phone's own inbox. `at`: what the phone says of when, by its own clock or the service centre's."""

    sender: str
    text: str
    at: datetime
    is_scts: bool


def read_post(forwarder: Forwarder, recipient: str, request: PushRequest) -> Seen:
    """Read what a forwarder posted. Raises PushRefused for what must change nothing."""
    if len(request.body) > LARGEST_POST:
        raise _refused("too large", status=413)
    match forwarder.app:
        case "smsforwarder":
            return _read_smsforwarder(forwarder, recipient, request)
        case "smsgate":
            return _read_smsgate(forwarder, recipient, request)
        case _:
            return _read_json_post(forwarder, recipient, request)


def _refused(why: str, status: int = 403) -> PushRefused:
    return PushRefused(why, Acknowledgement(status=status, body=b'{"error":"refused"}'))


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _refused("unreadable", status=400) from error
    if not isinstance(value, dict):
        raise _refused("unreadable", status=400)
    return value


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if isinstance(value, bool | list | dict):
        raise _refused("unreadable", status=400)
    return "" if value is None else whole(str(value))


def _digest(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


# --- SmsForwarder ---------------------------------------------------------------------------------------------------


def smsforwarder_sign(stamp: str, secret: str) -> str:
    """base64(HMAC-SHA256(secret, stamp + "\\n" + secret)), before the app percent-encodes it (handsets 4.1)."""
    digest = hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), "sha256")
    return base64.b64encode(digest).decode()


def _read_smsforwarder(forwarder: Forwarder, recipient: str, request: PushRequest) -> Seen:
    fields = _form_or_json(request)
    stamp = _text(fields, "forwarded_at_ms") or _text(fields, "timestamp")
    sign = _text(fields, "sign")
    _check_smsforwarder(forwarder, stamp, sign, request.received_at)
    sender, text = _text(fields, "from"), _text(fields, "text") or _text(fields, "content")
    if not sender or not text:
        raise _refused("unreadable", status=400)
    handset_at = _phone_time(_text(fields, "received_at"))
    sighting = Sighting(
        forwarder=forwarder.id,
        recipient=recipient,
        sender=sender,
        text=text,
        # The app gives a message no id: sender, text and the second it came in are what tells repeats of one apart.
        event_id=_digest(sender, text, _text(fields, "received_at") or stamp),
        handset_at=handset_at,
        forwarded_at=_milliseconds(stamp),
        received_at=request.received_at,
    )
    return Seen(sightings=(sighting,), replay_key=f"{stamp}:{sign}")


def _form_or_json(request: PushRequest) -> Mapping[str, Any]:
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        try:
            return dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        except (UnicodeDecodeError, ValueError) as error:
            raise _refused("unreadable", status=400) from error
    return _object(request.body)


def _check_smsforwarder(forwarder: Forwarder, stamp: str, sign: str, received_at: datetime) -> None:
    assert forwarder.secret is not None
    expected = smsforwarder_sign(stamp, forwarder.secret.reveal())
    # After transport decoding the value is usually still percent-encoded once; some paths decode it. Accept both.
    matches = [hmac.compare_digest(expected.encode(), one.encode()) for one in (sign, unquote(sign))]
    if not sign or not any(matches):
        raise _refused("unsigned" if not sign else "wrongly signed")
    at = _milliseconds(stamp)
    if at is None or abs(received_at - at) > SMSFORWARDER_WINDOW:
        raise _refused("stale")


def _milliseconds(text: str) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    except (ValueError, OverflowError):
        return None


def _phone_time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=BEIJING).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# --- android-sms-gateway --------------------------------------------------------------------------------------------


def _read_smsgate(forwarder: Forwarder, recipient: str, request: PushRequest) -> Seen:
    assert forwarder.secret is not None
    stamp, sign = request.headers.get("x-timestamp", ""), request.headers.get("x-signature", "")
    expected = hmac.digest(forwarder.secret.reveal().encode(), request.body + stamp.encode(), "sha256").hex()
    if not sign or not hmac.compare_digest(expected.encode(), sign.encode()):
        raise _refused("unsigned" if not sign else "wrongly signed")
    phone_at = _milliseconds(f"{stamp}000") if stamp.isdigit() else None
    if phone_at is None or abs(request.received_at - phone_at) > SMSGATE_WINDOW:
        raise _refused("stale")
    envelope = _object(request.body)
    heartbeat = HeartbeatReceived(
        forwarder=forwarder.id, asked_at=None, phone_at=phone_at, received_at=request.received_at
    )
    if envelope.get("event") != "sms:received":
        return Seen(heartbeat=heartbeat)
    payload = envelope.get("payload")
    if not isinstance(payload, dict):
        raise _refused("unreadable", status=400)
    sender, text = _text(payload, "sender") or _text(payload, "phoneNumber"), _text(payload, "message")
    if not sender or not text:
        raise _refused("unreadable", status=400)
    sighting = Sighting(
        forwarder=forwarder.id,
        recipient=recipient,
        sender=sender,
        text=text,
        # Two webhooks with one messageId and different ids are one SMS, whatever the documents say (handsets 4.2).
        event_id=_digest(_text(envelope, "deviceId"), _text(payload, "messageId") or _text(envelope, "id")),
        # `receivedAt` is the service centre's stamp; as an arrival time it would hide the very delay to be measured.
        scts=_iso(_text(payload, "receivedAt")),
        forwarded_at=phone_at,
        received_at=request.received_at,
    )
    return Seen(sightings=(sighting,))


def _iso(text: str) -> datetime | None:
    try:
        value = datetime.fromisoformat(text)
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=BEIJING).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# --- any JSON webhook, described in the evaluation ------------------------------------------------------------------


def _read_json_post(forwarder: Forwarder, recipient: str, request: PushRequest) -> Seen:
    assert forwarder.secret is not None
    given = request.headers.get(forwarder.header, "")
    if not hmac.compare_digest(given.encode(), forwarder.secret.reveal().encode()):
        raise _refused("unsigned" if not given else "wrongly signed")
    body = _object(request.body)

    def at(name: str) -> str:
        value: Any = body if name in forwarder.fields else None
        for step in forwarder.fields.get(name, "").split("."):
            value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, dict | list | bool):
            raise _refused("unreadable", status=400)
        return "" if value is None else whole(str(value))

    sender, text = at("sender"), at("text")
    if not sender or not text:
        if "heartbeat" in forwarder.fields and at("heartbeat"):
            when = _described_time(at("heartbeat"), forwarder.time_format)
            beat = HeartbeatReceived(
                forwarder=forwarder.id, asked_at=None, phone_at=when, received_at=request.received_at
            )
            return Seen(heartbeat=beat)
        raise _refused("unreadable", status=400)
    sighting = Sighting(
        forwarder=forwarder.id,
        recipient=recipient,
        sender=sender,
        text=text,
        event_id=_digest(at("event_id") or f"{sender}{text}{at('handset_at')}"),
        scts=_described_time(at("scts"), forwarder.time_format),
        handset_at=_described_time(at("handset_at"), forwarder.time_format),
        forwarded_at=_described_time(at("forwarded_at"), forwarder.time_format),
        received_at=request.received_at,
    )
    return Seen(sightings=(sighting,))


def _described_time(text: str, pattern: str) -> datetime | None:
    if not text:
        return None
    match pattern:
        case "iso":
            return _iso(text)
        case "milliseconds":
            return _milliseconds(text)
        case "seconds":
            return _milliseconds(f"{text}000") if text.isdigit() else None
    try:
        return datetime.strptime(text, pattern).replace(tzinfo=BEIJING).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


# --- asking a phone -------------------------------------------------------------------------------------------------


def can_be_asked(forwarder: Forwarder | None) -> bool:
    """Whether a phone's own inbox can be searched: a missing sighting stays unknown until it was."""
    return forwarder is not None and forwarder.api is not None and forwarder.app in ("smsforwarder", "smsgate")


def search_inbox(forwarder: Forwarder, keyword: str, now: datetime, since: datetime) -> Flow[Sequence[Found]]:
    """Messages in the phone's inbox that hold a keyword (a token; "" for all), newest first."""
    if forwarder.app == "smsforwarder":
        data = {"type": 1, "page_num": 1, "page_size": 50, "keyword": keyword}
        reply = yield _smsforwarder_request(forwarder, "/sms/query", data, now)
        rows = _smsforwarder_data(reply)
        return [found for row in rows if (found := _smsforwarder_found(row)) is not None]
    query = f"?from={quote(since.isoformat())}&limit=500"
    reply = yield httpx.Request("GET", f"{forwarder.api}/inbox{query}", headers=_basic(forwarder))
    if reply.status_code == 401:
        raise Unauthorised("the phone refused username or password")
    rows = read_json(reply)
    return [
        Found(sender=str(row.get("sender", "")), text=str(row["contentPreview"]), at=at, is_scts=True)
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict)
        and keyword in str(row.get("contentPreview", ""))
        and (at := _iso(str(row.get("createdAt", "")))) is not None
    ]


def send_reply(forwarder: Forwarder, to: str, text: str, now: datetime) -> Flow[None]:
    """Have the phone send an SMS: the reply of its owner. The owner's consent covers it; it costs the phone's plan."""
    if forwarder.app == "smsforwarder":
        data = {"sim_slot": 1, "phone_numbers": to, "msg_content": text}
        reply = yield _smsforwarder_request(forwarder, "/sms/send", data, now)
        _smsforwarder_data(reply)
        return
    body = json.dumps({"textMessage": {"text": text}, "phoneNumbers": [to]}, ensure_ascii=False).encode()
    headers = {**_basic(forwarder), "content-type": "application/json"}
    reply = yield httpx.Request("POST", f"{forwarder.api}/message", content=body, headers=headers)
    if reply.status_code == 401:
        raise Unauthorised("the phone refused username or password")
    if reply.status_code not in (200, 201, 202):
        raise VendorTrouble(f"the phone answered HTTP {reply.status_code}")


def ask_clock(forwarder: Forwarder, now: datetime) -> Flow[datetime | None]:
    """The phone's clock, and a sign of life. None: alive, and tells no time."""
    if forwarder.app == "smsforwarder":
        reply = yield _smsforwarder_request(forwarder, "/battery/query", {}, now)
        body = read_object(reply)
        return _milliseconds(str(body.get("timestamp", "")))
    yield httpx.Request("GET", f"{forwarder.api}/health")
    return None


def _smsforwarder_request(forwarder: Forwarder, path: str, data: Mapping[str, Any], now: datetime) -> httpx.Request:
    assert forwarder.secret is not None
    stamp = str((now - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
    sign = quote(smsforwarder_sign(stamp, forwarder.secret.reveal()), safe="")
    body = json.dumps({"data": data, "timestamp": int(stamp), "sign": sign}, ensure_ascii=False).encode()
    headers = {"content-type": "application/json; charset=utf-8"}
    return httpx.Request("POST", f"{forwarder.api}{path}", content=body, headers=headers)


def _smsforwarder_data(reply: httpx.Response) -> Any:
    body = read_object(reply)
    if body.get("code") != 200:
        raise VendorTrouble(f"the phone answered: {body.get('msg')}", code=str(body.get("code", "")))
    return body.get("data")


def _smsforwarder_found(row: Any) -> Found | None:
    if not isinstance(row, dict) or (at := _milliseconds(str(row.get("date", "")))) is None:
        return None
    return Found(sender=str(row.get("number", "")), text=str(row.get("content", "")), at=at, is_scts=False)


def _basic(forwarder: Forwarder) -> dict[str, str]:
    password = forwarder.password.reveal() if forwarder.password else ""
    token = base64.b64encode(f"{forwarder.username}:{password}".encode()).decode()
    return {"authorization": f"Basic {token}"}

"""The sandbox's test phones: what their forwarding apps post, and what their pull APIs answer.

A phone's clock is wrong by an offset and a drift, its app may miss a message the phone has, and a phone may be down.
Formats: the fact card on handsets, and the sources of the two apps named beside each function.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus

import httpx

from harness.domain import BEIJING, Carrier
from vendors.sandbox.truth import App, DownKind

SMSFORWARDER_TOLERANCE: Final = timedelta(seconds=600)  # HttpServerUtils.kt: timeTolerance

RETRY: Final[Mapping[App, tuple[timedelta, ...]]] = {
    # Its settings hold a count and a growing delay; these are ours.
    App.SMSFORWARDER: tuple(timedelta(seconds=10 * n) for n in range(1, 6)),
    # docs-web features/webhooks.md: from 10 s, doubling, 14 times.
    App.SMSGATE: tuple(timedelta(seconds=10 * 2**n) for n in range(14)),
    App.JSON: tuple(timedelta(seconds=30 * 2**n) for n in range(6)),
}
"""After each failed post, an app waits this long and posts again; then it gives up."""


JSON_HEADER: Final = "x-phone-secret"
JSON_FIELDS: Final[Mapping[str, str]] = {
    "sender": "from",
    "text": "text",
    "event_id": "id",
    "scts": "scts",
    "handset_at": "received_at",
    "forwarded_at": "forwarded_at",
    "heartbeat": "at",  # stands in a sign of life only
}
"""What an evaluation must be told of our plain JSON webhook: its field → ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An SMS that lies in a phone's inbox. Times are true times."""

    id: int
    sender: str
    text: str
    at: datetime
    scts: datetime  # the service centre's stamp
    is_control: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of true time in which a phone is down."""

    begin: datetime
    end: datetime
    kind: DownKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a phone answered to a request, and what it did because of it."""

    response: httpx.Response
    sent: tuple[tuple[str, str], ...] = ()  # SMS it sent: to, text
    exported: tuple[datetime, datetime] | None = None  # true times between which received SMS are posted again


@dataclass(slots=True, kw_only=True)
class Phone:
    """One test phone with one SIM and one forwarding app."""

    id: str
    number: str = field(repr=False)  # E.164
    carrier: Carrier
    app: App
    secret: str = field(repr=False)
    password: str = field(repr=False)
    epoch: datetime
    offset_seconds: float = 0.0
    drift_ppm: float = 0.0
    down: tuple[Stretch, ...] = ()
    inbox: list[Received] = field(default_factory=list, repr=False)
    outbox: list[tuple[datetime, str, str]] = field(default_factory=list, repr=False)  # true time, to, text
    _seen: set[str] = field(default_factory=set, repr=False)

    @property
    def host(self) -> str:
        return f"{self.id}.sandbox"

    def clock(self, at: datetime) -> datetime:
        """What the phone's clock shows at a true time."""
        aged = (at - self.epoch).total_seconds()
        return at + timedelta(seconds=self.offset_seconds + aged * self.drift_ppm * 1e-6)

    def down_at(self, at: datetime) -> Stretch | None:
        for stretch in self.down:
            if stretch.begin <= at < stretch.end:
                return stretch
        return None

    def receive(self, sms: Received) -> bool:
        """Put an SMS into the inbox. Returns whether the app notices it as a new one.

        smsgate drops what has the text, sender and service-centre second of one it has seen (handsets 4.2).
        """
        self.inbox.append(sms)
        if self.app is not App.SMSGATE:
            return True
        mark = _message_id(sms)
        if mark in self._seen:
            return False
        self._seen.add(mark)
        return True

    def post(self, sms: Received, at: datetime, event: int = 0) -> bytes:
        """The body the app posts for an SMS at a true time; a second event of one SMS has another number."""
        match self.app:
            case App.SMSFORWARDER:
                return self._smsforwarder_body(sms.sender, sms.text, self.clock(sms.at), self.clock(at))
            case App.SMSGATE:
                return self._smsgate_body("sms:received", f"{sms.id}-{event}", _smsgate_payload(sms))
            case App.JSON:
                return _dumps(
                    {
                        "event": "sms",
                        "id": _nano(self.id, sms.id, event),
                        "phone": self.id,
                        "from": sms.sender,
                        "text": sms.text,
                        "scts": _offset_time(sms.scts),
                        "received_at": self.clock(sms.at).isoformat(timespec="milliseconds"),
                        "forwarded_at": self.clock(at).isoformat(timespec="milliseconds"),
                    }
                )

    def heartbeat(self, at: datetime) -> bytes:
        """The body of a sign of life.

        smsgate has `system:ping`. SmsForwarder has no such event and is better asked for its battery; a scheduled task
        may post through the same template, with the task's name as sender (inferred; the fact card tells no more).
        """
        match self.app:
            case App.SMSFORWARDER:
                shown = self.clock(at)
                return self._smsforwarder_body("heartbeat", f"heartbeat {self.id}", shown, shown)
            case App.SMSGATE:
                return self._smsgate_body("system:ping", f"ping-{int(at.timestamp())}", {"health": _health()})
            case App.JSON:
                return _dumps({"event": "ping", "phone": self.id, "at": self.clock(at).isoformat()})

    def headers(self, body: bytes, at: datetime) -> dict[str, str]:
        """The headers of one attempt to post a body. smsgate signs at every attempt anew."""
        match self.app:
            case App.SMSFORWARDER:
                return {"content-type": "application/json; charset=utf-8"}
            case App.SMSGATE:
                stamp = str(int(self.clock(at).timestamp()))
                return {
                    "content-type": "application/json",
                    "x-timestamp": stamp,
                    "x-signature": _hex_hmac(self.secret, body + stamp.encode()),
                }
            case App.JSON:
                return {"content-type": "application/json", JSON_HEADER: self.secret}

    def answer(self, request: httpx.Request, at: datetime) -> Answered:
        """Answer the app's own pull API (its body is read). Garbage gets the app's own error."""
        match self.app:
            case App.SMSFORWARDER:
                return self._smsforwarder_answer(request, at)
            case App.SMSGATE:
                return self._smsgate_answer(request, at)
            case App.JSON:
                return Answered(response=httpx.Response(404, json={"error": "this phone has no API"}))

    # SmsForwarder -----------------------------------------------------------------------------------------------

    def _smsforwarder_body(self, sender: str, text: str, received: datetime, forwarded: datetime) -> bytes:
        """The suggested JSON template of the fact card, 4.1: received_at in whole seconds of the phone's local time."""
        stamp = str(_milliseconds(forwarded))
        return _dumps(
            {
                "from": sender,
                "text": text,
                "sim": f"SIM1_{self.carrier}",
                "device": self.id,
                "received_at": received.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S"),
                "forwarded_at_ms": stamp,
                "sign": smsforwarder_sign(stamp, self.secret),
                "app": "3.3.3",
            }
        )

    def _smsforwarder_answer(self, request: httpx.Request, at: datetime) -> Answered:
        """SmsController.kt, BatteryController.kt, ConfigController.kt; checks and wrapper: HttpServerUtils.kt."""
        if request.method != "POST":
            return Answered(response=self._smsforwarder_error("Method not allowed", at, status=405))
        try:
            body = json.loads(request.content)
            data, stamp, sign = body["data"], int(body["timestamp"]), str(body["sign"])
        except (ValueError, KeyError, TypeError):
            return Answered(response=self._smsforwarder_error("sign and timestamp are required", at))
        if abs(_milliseconds(self.clock(at)) - stamp) > SMSFORWARDER_TOLERANCE.total_seconds() * 1000:
            return Answered(response=self._smsforwarder_error("timestamp verify failed", at))
        if not hmac.compare_digest(smsforwarder_sign(str(stamp), self.secret).encode(), sign.encode()):
            return Answered(response=self._smsforwarder_error("sign verify failed", at))
        try:
            match request.url.path.removeprefix(f"/{self.id}"):
                case "/sms/query":
                    return Answered(response=self._smsforwarder_wrap(self._smsforwarder_found(data), at))
                case "/sms/send":
                    return self._smsforwarder_send(data, at)
                case "/battery/query":
                    battery = {"level": "86%", "scale": "100%", "voltage": "4.2V", "temperature": "29.0℃"}
                    state = {"status": "charging", "health": "good", "plugged": "AC"}
                    return Answered(response=self._smsforwarder_wrap(battery | state, at))
                case "/config/query":
                    flags = ("clone", "sms_send", "sms_query", "call_query", "contact_query", "battery_query")
                    enabled = ("sms_send", "sms_query", "battery_query")
                    config = {f"enable_api_{flag}": flag in enabled for flag in flags}
                    return Answered(response=self._smsforwarder_wrap(config, at))
        except (KeyError, TypeError, ValueError, AttributeError):
            return Answered(response=self._smsforwarder_error("request cannot be read", at))
        return Answered(response=self._smsforwarder_error("Not found", at, status=404))

    def _smsforwarder_send(self, data: Mapping[str, Any], at: datetime) -> Answered:
        """SmsSendData.kt: sim_slot, phone_numbers (several with a semicolon between), msg_content."""
        if int(data["sim_slot"]) not in (1, 2):
            return Answered(response=self._smsforwarder_error("no such SIM", at))
        numbers = [number for number in re.split(r"[;,；，\s]+", str(data["phone_numbers"])) if number]
        text = str(data["msg_content"])
        if not numbers or not text:
            return Answered(response=self._smsforwarder_error("number or text is missing", at))
        return Answered(
            response=self._smsforwarder_wrap("success", at), sent=tuple((number, text) for number in numbers)
        )

    def _smsforwarder_found(self, data: Mapping[str, Any]) -> list[dict[str, object]]:
        """SmsQueryData.kt: type 1 received, 2 sent; newest first; `date` is the phone's clock in milliseconds."""
        kind, keyword = int(data.get("type", 1)), str(data.get("keyword", ""))
        page, size = max(1, int(data.get("page_num", 1))), max(1, min(1000, int(data.get("page_size", 10))))
        rows = [(sms.at, sms.sender, sms.text) for sms in self.inbox] if kind == 1 else self.outbox
        found = [row for row in reversed(rows) if keyword in row[2]]
        return [
            {
                "name": "",
                "number": number,
                "content": text,
                "date": _milliseconds(self.clock(at)),
                "type": kind,
                "sim_id": 0,
                "sub_id": 1,
            }
            for at, number, text in found[(page - 1) * size : page * size]
        ]

    def _smsforwarder_wrap(self, data: object, at: datetime) -> httpx.Response:
        stamp = _milliseconds(self.clock(at))
        sign = smsforwarder_sign(str(stamp), self.secret)
        body = {"timestamp": stamp, "code": 200, "msg": "success", "data": data, "sign": sign}
        return httpx.Response(200, content=_dumps(body), headers={"content-type": "application/json; charset=utf-8"})

    def _smsforwarder_error(self, message: str, at: datetime, status: int = 500) -> httpx.Response:
        body = {"timestamp": _milliseconds(self.clock(at)), "code": 500, "msg": message}
        return httpx.Response(status, content=_dumps(body), headers={"content-type": "application/json; charset=utf-8"})

    # android-sms-gateway ----------------------------------------------------------------------------------------

    def _smsgate_body(self, event: str, about: str, payload: Mapping[str, object]) -> bytes:
        return _dumps(
            {
                "deviceId": self.id,
                "event": event,
                "id": _nano(self.id, about),
                "payload": payload,
                "webhookId": _nano(self.id, "hook", event),
            }
        )

    def _smsgate_answer(self, request: httpx.Request, at: datetime) -> Answered:
        """Local server: WebService.kt, MessagesRoutes.kt, InboxRoutes.kt; docs-web features/reading-messages.md."""
        path = request.url.path.removeprefix(f"/{self.id}")
        if (request.method, path) == ("GET", "/health"):
            return Answered(response=_json(200, _health()))
        expected = b"Basic " + base64.b64encode(f"sms:{self.password}".encode())
        if not hmac.compare_digest(request.headers.get("authorization", "").encode(), expected):
            return Answered(response=httpx.Response(401, headers={"www-authenticate": 'Basic realm="SMS Gateway"'}))
        try:
            match request.method, path:
                case "GET", "/":
                    return Answered(response=_json(200, {"status": "ok", "model": self.id}))
                case "POST", "/message" | "/messages":
                    return self._smsgate_send(json.loads(request.content), at)
                case "GET", "/inbox":
                    return Answered(response=self._smsgate_inbox(request.url.params, at))
                case "POST", "/inbox/refresh":
                    body = json.loads(request.content)
                    asked = body.get("triggerWebhooks") is True or body.get("webhookDelivery") == "Individual"
                    return Answered(response=httpx.Response(202), exported=_period(body) if asked else None)
                case "POST", "/message/inbox/export" | "/messages/inbox/export":
                    return Answered(response=httpx.Response(202), exported=_period(json.loads(request.content)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return Answered(response=_json(400, {"message": f"Invalid request: {type(error).__name__}"}))
        return Answered(response=httpx.Response(404))

    def _smsgate_send(self, body: Mapping[str, Any], at: datetime) -> Answered:
        """One of `textMessage.text` and the older `message`; answered 202 before anything is sent."""
        numbers = [str(number) for number in body["phoneNumbers"]]
        texts = [text for text in (body.get("message"), (body.get("textMessage") or {}).get("text")) if text]
        if not numbers:
            return Answered(response=_json(400, {"message": "phoneNumbers is empty"}))
        if len(texts) != 1:
            return Answered(response=_json(400, {"message": "Must specify exactly one of: textMessage, message"}))
        answer = {
            "id": str(body.get("id") or _nano(self.id, "sent", len(self.outbox))),
            "state": "Pending",
            "recipients": [{"phoneNumber": number, "state": "Pending", "error": None} for number in numbers],
            "isEncrypted": False,
            "states": {"Pending": _offset_time(self.clock(at))},
        }
        return Answered(response=_json(202, answer), sent=tuple((number, str(texts[0])) for number in numbers))

    def _smsgate_inbox(self, query: httpx.QueryParams, at: datetime) -> httpx.Response:
        """Newest first. `contentPreview` is taken to be the whole text: the sources read do not say how long it is."""
        limit, offset = int(query.get("limit", "50")), int(query.get("offset", "0"))
        if not 1 <= limit <= 500 or offset < 0:
            return _json(400, {"message": "limit must be between 1 and 500"})
        since = _time(query["from"]) if "from" in query else self.epoch - timedelta(days=3650)
        until = _time(query["to"]) if "to" in query else at + timedelta(days=1)
        found = [sms for sms in reversed(self.inbox) if since <= sms.scts <= until]
        rows = [
            {
                "id": _message_id(sms),
                "type": "SMS",
                "sender": sms.sender,
                "recipient": self.number,
                "simNumber": 1,
                "contentPreview": sms.text,
                "createdAt": _offset_time(sms.scts),
            }
            for sms in found[offset : offset + limit]
        ]
        answer = _json(200, rows)
        answer.headers["X-Total-Count"] = str(len(found))
        return answer


def smsforwarder_sign(stamp: str, secret: str) -> str:
    """HttpServerUtils.calcSign: URL-encoded base64 of HMAC-SHA256(secret, stamp + "\\n" + secret).

    It proves knowledge of the secret at a time, and covers neither body nor sender (handsets 4.1).
    """
    digest = hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), "sha256")
    return quote_plus(base64.b64encode(digest).decode())


def _smsgate_payload(sms: Received) -> dict[str, object]:
    """`receivedAt` is the service centre's stamp of the first part, not the arrival (handsets 4.2, clock trap)."""
    return {
        "messageId": _message_id(sms),
        "message": sms.text,
        "sender": sms.sender,
        "recipient": None,
        "simNumber": 1,
        "receivedAt": _offset_time(sms.scts),
        "phoneNumber": sms.sender,
    }


def _message_id(sms: Received) -> str:
    about = f"{sms.text}\x1f{sms.sender}\x1f{int(sms.scts.timestamp())}"
    return hashlib.sha256(about.encode()).hexdigest()[:16]


def _health() -> dict[str, object]:
    """docs-web features/health.md."""
    level = {"description": "Battery level in percent", "observedUnit": "percent", "observedValue": 86}
    checks = {"battery:level": {**level, "status": "pass"}}
    return {"checks": checks, "releaseId": 1, "status": "pass", "version": "1.40.0"}


def _period(body: Mapping[str, Any]) -> tuple[datetime, datetime]:
    since, until = _time(str(body["since"])), _time(str(body["until"]))
    if since > until:
        raise ValueError("start date cannot be after end date")
    return since, until


def _time(text: str) -> datetime:
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=BEIJING)


def _offset_time(when: datetime) -> str:
    """ "2026-03-02T09:00:11.000+08:00": whole seconds with zero milliseconds."""
    return when.astimezone(BEIJING).strftime("%Y-%m-%dT%H:%M:%S.000+08:00")


def _milliseconds(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def _hex_hmac(secret: str, message: bytes) -> str:
    return hmac.digest(secret.encode(), message, "sha256").hex()


def _nano(*about: object) -> str:
    """An id of 21 characters in the manner of nanoid, the same for the same thing."""
    digest = hashlib.sha256("\x1f".join(map(str, about)).encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()[:21]


def _json(status: int, body: object) -> httpx.Response:
    return httpx.Response(status, content=_dumps(body), headers={"content-type": "application/json"})


def _dumps(body: object) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()

"""Uni SMS's side of the wire: sms.message.send at / (facts/vendors/unisms.md).

Codes beyond "0" are in no source, so they are HTTP statuses here. The vendor's own clients sign in hex with seconds or
in Base64 with milliseconds; both are taken. Options: `mode: simple` (an id is enough), `stamp_seconds`.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote_plus

import httpx

from harness.domain import Purpose
from harness.text import split_signature
from vendors.sandbox.door import Claim, Door, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    answer_json,
    cap,
    counted,
    credential,
    digest_id,
    filled,
    hear,
    mainland,
    names_in,
    pairs,
    read_json,
    whole,
)

_JSON: Final = "application/json; charset=utf-8"


class _Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class Counterpart:
    """Uni SMS for one account."""

    push_batch = 100
    push_retry: tuple[timedelta, ...] = ()
    template = "pub_{:06d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._id = credential(door.credentials, "access_key_id")
        self._secret = door.credentials.get("access_key_secret", "")

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        headers = {"x-uni-request-id": digest_id(self._door.label, counted(self._door.memory, "requests"))}
        try:
            self._admit(heard)
            data = self._send(_params(heard))
            body = {"code": "0", "message": "Success", "data": data}
            return answer_json(200, body, content_type=_JSON, headers=headers)
        except _Refusal as refusal:
            body = {"code": str(refusal.status), "message": refusal.message}
            return answer_json(refusal.status, body, content_type=_JSON, headers=headers)

    def _admit(self, heard: Heard) -> None:
        query = dict(pairs(heard.query))
        given = query.pop("signature", "")
        if heard.method != "POST" or heard.path != "/" or query.get("action") != "sms.message.send":
            raise _Refusal(404, "no such action")
        if query.get("accessKeyId") != self._id:
            raise _Refusal(401, "invalid accessKeyId")
        if self._door.options.get("mode") == "simple":
            return
        at = whole(query.get("timestamp"), 0, 10**15)
        seconds = None if at is None else at / 1000 if at > 10**11 else at
        allowed = cap(self._door.options, "stamp_seconds", 300) or 0
        if seconds is None or abs(seconds - self._door.now().timestamp()) > allowed or not query.get("nonce"):
            raise _Refusal(401, "invalid timestamp")
        words = "&".join(f"{quote_plus(name)}={quote_plus(query[name])}" for name in sorted(query))
        mac = hmac.new(self._secret.encode(), words.encode(), sha256).digest()
        right = (mac.hex(), base64.b64encode(mac).decode())
        if query.get("algorithm") != "hmac-sha256" or given not in right:
            raise _Refusal(401, "invalid signature")

    def _send(self, params: Mapping[str, Any]) -> dict[str, Any]:
        to = params.get("to")
        numbers = to if isinstance(to, list) else [to]
        if not 0 < len(numbers) <= 1000:
            raise _Refusal(400, "invalid to")
        text, purpose, template = self._text(params)
        sent = []
        for written in numbers:
            number = mainland(str(written))
            if number is None:
                raise _Refusal(400, "invalid phone number")
            key = f"{counted(self._door.memory, 'messages'):016x}"
            outcome = self._door.submit(
                Submission(number=number, text=text, purpose=purpose, template=template, key=key)
            )
            if isinstance(outcome, Turned):
                raise _Refusal(400, outcome.reason)
            sent.append({"id": key, "to": number, "status": "sent"})
        return {"currency": "CNY", "recipients": len(sent), "messages": sent}

    def _text(self, params: Mapping[str, Any]) -> tuple[str, Purpose, str | None]:
        """By template, by a text without its signature, or by a whole text."""
        name = str(params.get("signature") or "")
        if params.get("templateId"):
            template = self._door.templates.get(str(params["templateId"]))
            values = params.get("templateData") or {}
            if template is None or not template.approved:
                raise _Refusal(400, "invalid template")
            if not isinstance(values, dict) or any(one not in values for one in names_in(template.text)):
                raise _Refusal(400, "invalid template data")
            text = filled(template.text, {one: str(values[one]) for one in names_in(template.text)})
            purpose, id = template.purpose, template.id
        else:
            text, purpose, id = str(params.get("content") or ""), Purpose.NOTIFICATION, None
            if not text:
                written, text = split_signature(str(params.get("text") or ""))
                name = written or ""
        if not text or not self._door.signatures.get(name):
            raise _Refusal(400, "invalid signature or text")
        return f"【{name}】{text}", purpose, id

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        return None

    def push_reply(self, reply: Reply) -> PushOut | None:
        return None

    def push_decision(self, review: Review) -> PushOut | None:
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        return 200 <= status < 300


def _params(heard: Heard) -> Mapping[str, Any]:
    try:
        params = read_json(heard.body)
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise _Refusal(400, "invalid JSON")
    return params

"""CTYun's side of the wire: SendSms at /sms/api/v1 under the EOP signature (facts/vendors/ctyun.md).

The codes of refusals are in no source, so they are plain words here, and a wrong signature is HTTP 401. eop-date is
Beijing time although it ends in Z, as all known clients write it; `clock: utc` takes it by its letter. Options:
`clock`, `stamp_seconds`.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import httpx

from harness.domain import BEIJING
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
    read_json,
)

_JSON: Final = "application/json;charset=UTF-8"
_AUTHORISATION: Final = re.compile(r"(\S+) Headers=ctyun-eop-request-id;eop-date Signature=(\S+)")


class _Refusal(Exception):
    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class Counterpart:
    """CTYun for one account."""

    push_batch = 100
    push_retry: tuple[timedelta, ...] = ()
    template = "SMS9{:07d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._key = credential(door.credentials, "access_key")
        self._secret = credential(door.credentials, "secret_key")

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        asked = digest_id(self._door.label, counted(self._door.memory, "requests"))
        try:
            self._admit(heard)
            self._send(_params(heard))
            return answer_json(200, {"code": "OK", "message": "success", "requestId": asked}, content_type=_JSON)
        except _Refusal as refusal:
            body = {"code": refusal.code, "message": refusal.code, "requestId": asked}
            return answer_json(refusal.status, body, content_type=_JSON)

    def _admit(self, heard: Heard) -> None:
        if heard.method != "POST" or heard.path != "/sms/api/v1":
            raise _Refusal(404, "NOT_FOUND")
        found = _AUTHORISATION.fullmatch(heard.headers.get("eop-authorization", ""))
        date, asked = heard.headers.get("eop-date", ""), heard.headers.get("ctyun-eop-request-id", "")
        if found is None or not asked or found[1] != self._key:
            raise _Refusal(401, "UNAUTHORIZED")
        try:
            zone = UTC if self._door.options.get("clock") == "utc" else BEIJING
            at = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=zone)
        except ValueError:
            raise _Refusal(401, "UNAUTHORIZED") from None
        if abs((at - self._door.now()).total_seconds()) > (cap(self._door.options, "stamp_seconds", 300) or 0):
            raise _Refusal(401, "UNAUTHORIZED")
        key = self._secret.encode()
        for part in (date, self._key, date[:8]):
            key = hmac.new(key, part.encode(), sha256).digest()
        query = "&".join(sorted(heard.query.decode("latin-1").split("&")))
        head = f"ctyun-eop-request-id:{asked}\neop-date:{date}\n\n{query}\n{sha256(heard.body).hexdigest()}"
        right = base64.b64encode(hmac.new(key, head.encode(), sha256).digest())
        if not hmac.compare_digest(right, found[2].encode("utf-8", "replace")):
            raise _Refusal(401, "UNAUTHORIZED")

    def _send(self, params: Mapping[str, Any]) -> None:
        if params.get("action") != "SendSms":
            raise _Refusal(400, "INVALID_ACTION")
        template = self._door.templates.get(str(params.get("templateCode")))
        if template is None or not template.approved:
            raise _Refusal(400, "INVALID_TEMPLATE")
        name = str(params.get("signName"))
        if not self._door.signatures.get(name):
            raise _Refusal(400, "INVALID_SIGNATURE")
        try:
            values = read_json(str(params.get("templateParam") or "{}"))
            text = filled(template.text, {one: str(values[one]) for one in names_in(template.text)})
        except (ValueError, KeyError, TypeError):
            raise _Refusal(400, "INVALID_PARAMETER") from None
        for written in str(params.get("phoneNumber")).split(","):
            number = mainland(written)
            if number is None:
                raise _Refusal(400, "INVALID_NUMBER")
            outcome = self._door.submit(
                Submission(
                    number=number,
                    text=f"【{name}】{text}",
                    purpose=template.purpose,
                    template=template.id,
                    key=f"C{counted(self._door.memory, 'messages'):010d}",
                )
            )
            if isinstance(outcome, Turned):
                raise _Refusal(400, outcome.reason.upper())

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
        raise _Refusal(400, "INVALID_JSON")
    return params

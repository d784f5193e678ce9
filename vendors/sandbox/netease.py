"""NetEase Yunxin's side of the wire: the SMS functions as their document describes them (facts/vendors/netease.md).

A template goes by the function of its kind, with the other one it is not there (404). Words and opt-outs are told at
once, everything else in the report. Credentials: `app_key`, `app_secret`. Options: `stale: accepted`, `per_day` (25),
`per_minute` (none documented), `caps: lifted`, `event_type: number` (as in live traffic), `curtime: milliseconds`.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from hashlib import md5, sha1, sha256
from typing import Any, Final

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason
from vendors.sandbox.door import Claim, Door, FiledTemplate, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    filled,
    hear,
    mainland,
    names_in,
    national,
    pairs,
    read_json,
    stamp,
    whole,
)

_JSON: Final = "application/json;charset=utf-8"
_SKEW_SECONDS: Final = 300
_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
_MOST_NUMBERS: Final = 100
_FIRST_ID: Final = 1490
_LISTED: Final = (Reason.BLACKLISTED,)
_LATE: Final = timedelta(seconds=2)
_FOREIGN: Final = re.compile(r"\+[1-9][0-9]{0,3}-[0-9]{4,12}")

CODES: Final[Mapping[int, str]] = {
    400: "malformed request",
    403: "forbidden",
    404: "template not found",
    412: "user replied TD",
    413: "verify err",
    414: "param error",
    416: "frequency limit",
    500: "server error",
    601: "antispam",
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.SENSITIVE_CONTENT: 601,
    Reason.OPTED_OUT: 412,
    Reason.FREQUENCY_CAP: 416,
    Reason.THROTTLED: 416,
    Reason.BALANCE: 403,
    Reason.AUTH: 403,
    Reason.INVALID_NUMBER: 414,
    Reason.BAD_REQUEST: 414,
    Reason.TEMPLATE_NOT_APPROVED: 404,
}
"""What has no code of its own is 500; a list but that of opt-outs has none at submitting."""
_REASONS: Final[Mapping[DeliveryState, str]] = {
    DeliveryState.UNDELIVERED: "号码异常",
    DeliveryState.EXPIRED: "消息接收超时",
    DeliveryState.REJECTED: "短信被拒绝",
}

Params = Mapping[str, str]


class _Refusal(Exception):
    """A request refused with one of the vendor's codes."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """NetEase Yunxin for one application."""

    push_batch = 100
    push_retry: tuple[timedelta, ...] = ()  # no rule was found
    template = "39{:05d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._app = credential(door.credentials, "app_key")
        self._secret = credential(door.credentials, "app_secret")
        self._sent = Tally(door.memory, "sent", keep=_DAY)
        self._states: dict[str, list[dict[str, Any]]] = door.memory.setdefault("states", {})
        self._given: dict[str, str] = door.memory.setdefault("codes", {})
        self._mute: set[str] = door.memory.setdefault("without replies", set())

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        if not self._is_known(heard):
            return answer_json(200, {"desc": "bad http header", "code": 414}, content_type=_JSON)
        act = ACTIONS.get(heard.path) if heard.method == "POST" else None
        try:
            if act is None:
                raise _Refusal(404)
            if not heard.is_form:
                raise _Refusal(400)
            return answer_json(200, {"code": 200, **act(self, dict(pairs(heard.body)))}, content_type=_JSON)
        except _Refusal as refusal:
            return answer_json(200, {"code": refusal.code, "msg": CODES[refusal.code]}, content_type=_JSON)

    def _is_known(self, heard: Heard) -> bool:
        """Whether key, nonce, time and checksum are right; what of them is wrong is not said."""
        key, nonce, when, told = (heard.headers.get(name, "") for name in ("appkey", "nonce", "curtime", "checksum"))
        at = whole(when, 1, 10**11)
        if key != self._app or not 1 <= len(nonce) <= 128 or at is None:
            return False
        if abs(self._door.now().timestamp() - at) > _SKEW_SECONDS and self._door.options.get("stale") != "accepted":
            return False
        right = sha1(f"{self._secret}{nonce}{when}".encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
        return hmac.compare_digest(right.encode(), told.encode("utf-8", "replace"))

    # -- sending ----------------------------------------------------------------------------------------------

    def _send_code(self, params: Params) -> dict[str, Any]:
        """`msg` is the id, `obj` the code: ours, or one that the vendor makes."""
        template = self._template(params, is_code=True)
        values = _object(params, "paramMap")
        if "authCode" in params:  # of before 2025-11-05
            values = dict.fromkeys(names_in(template.text), params["authCode"])
        length = whole(params.get("codeLen") or "4", 4, 10)
        if length is None:
            raise _Refusal(414)
        names = names_in(template.text)
        if not values and len(names) == 1:
            values = {names[0]: self._new_code(length)}
        number = self._number(params.get("mobile", ""))
        text = self._text(template, values)
        own = self._send_to(number, text, template, self._id(), wants_replies=_wants_replies(params, "authCode"))
        self._given[number] = code = next(iter(values.values()), "")
        return {"msg": own, "obj": code}

    def _send_template(self, params: Params) -> dict[str, Any]:
        """`obj` is the id, one for all numbers."""
        template = self._template(params, is_code=False)
        try:
            written = read_json(params.get("mobiles", ""))
        except ValueError:
            raise _Refusal(414) from None
        if not isinstance(written, list) or not 1 <= len(written) <= _MOST_NUMBERS:
            raise _Refusal(414)
        numbers = [self._number(one if isinstance(one, str) else "") for one in written]
        values = _object(params, "paramMap")
        if "params" in params:  # of before 2025-11-05
            values = _listed(params, names_in(template.text))
        text, own = self._text(template, values), self._id()
        for number in numbers:
            self._send_to(number, text, template, own, wants_replies=_wants_replies(params, "params"))
        return {"msg": "sendid", "obj": int(own)}

    def _template(self, params: Params, *, is_code: bool) -> FiledTemplate:
        own = params.get("templateid", "")
        if whole(own, 1, 10**18) is None:
            raise _Refusal(414)
        filed = self._door.templates.get(own)
        if filed is None or not filed.approved or (filed.purpose is Purpose.VERIFICATION) is not is_code:
            raise _Refusal(404)
        return filed

    def _number(self, written: str) -> str:
        number = mainland(written)
        if number is None:
            raise _Refusal(416 if _FOREIGN.fullmatch(written) else 414)
        return number

    def _text(self, template: FiledTemplate, values: Mapping[str, str]) -> str:
        """The text with the signature that the template was filed with."""
        name = next((name for name, approved in self._door.signatures.items() if approved), None)
        if name is None:
            raise _Refusal(403)
        if any(one not in values for one in names_in(template.text)):
            raise _Refusal(414)
        return f"【{name}】{filled(template.text, values)}"

    def _id(self) -> str:
        return str(_FIRST_ID + counted(self._door.memory, "messages"))

    def _new_code(self, length: int) -> str:
        """Digits that follow from the account and a counter."""
        seed = f"{self._door.label} code {counted(self._door.memory, 'codes made')}"
        return str(int(sha256(seed.encode()).hexdigest(), 16))[:length]

    def _send_to(self, number: str, text: str, template: FiledTemplate, own: str, *, wants_replies: bool) -> str:
        at = self._door.now().timestamp()
        for name, default, window in (("per_minute", None, _MINUTE), ("per_day", 25, _DAY)):
            limit = cap(self._door.options, name, default)
            if limit is not None and self._sent.after((number,), at - window) >= limit:
                raise _Refusal(416)
        outcome = self._door.submit(
            Submission(number=number, text=text, purpose=template.purpose, template=template.id, key=own)
        )
        if isinstance(outcome, Turned) and outcome.reason not in _LISTED:
            self._note(own, number, 3 if outcome.reason is Reason.SENSITIVE_CONTENT else 2)
            raise _Refusal(REFUSALS.get(outcome.reason, 500))
        self._note(own, number, 1)
        self._sent.add((number,), at)
        (self._mute.discard if wants_replies else self._mute.add)(number)
        if isinstance(outcome, Turned):
            row = self._row(own, number, "MBBLACK", template.id, 1, stamp(self._door.now()), DeliveryState.UNDELIVERED)
            self._door.push_later(self._push("11", [row]), "reports", _LATE)
        return own

    def _note(self, own: str, number: str, status: int) -> None:
        at = int(self._door.now().timestamp() * 1000)
        self._states.setdefault(own, []).append({"status": status, "mobile": national(number), "updatetime": at})

    # -- questions --------------------------------------------------------------------------------------------

    def _verify_code(self, params: Params) -> dict[str, Any]:
        number = self._number(params.get("mobile", ""))
        if not params.get("code") or self._given.get(number) != params["code"]:
            raise _Refusal(413)
        return {"msg": "", "obj": None}

    def _status(self, params: Params) -> dict[str, Any]:
        """What was handed on, by the id of the send; asking does not change it."""
        own = params.get("sendid", "")
        if own not in self._states:
            raise _Refusal(414)
        return {"obj": self._states[own]}

    # -- pushes -----------------------------------------------------------------------------------------------

    def _push(self, kind: str, rows: Sequence[Mapping[str, Any]]) -> PushOut:
        """抄送: the MD5 of the body, and a checksum of secret, MD5 and time."""
        event = int(kind) if self._door.options.get("event_type") == "number" else kind
        body = json.dumps({"eventType": event, "objects": list(rows)}, ensure_ascii=False).encode("utf-8", "replace")
        now = self._door.now().timestamp()
        when = str(int(now * 1000) if self._door.options.get("curtime") == "milliseconds" else int(now))
        digest = md5(body, usedforsecurity=False).hexdigest()
        proof = sha1(f"{self._secret}{digest}{when}".encode(), usedforsecurity=False).hexdigest()
        headers = {"AppKey": self._app, "CurTime": when, "MD5": digest, "CheckSum": proof}
        return PushOut(body=body, content_type="application/json", headers=headers)

    def _row(
        self, own: str, number: str, code: str, template: str | None, parts: int, sent: str, state: DeliveryState
    ) -> dict[str, Any]:
        return {
            "mobile": national(number),
            "sendid": own,
            "result": code,
            "sendTime": sent,
            "reportTime": stamp(self._door.now()),
            "spliced": str(parts),
            "templateId": int(template or "0"),
            "reason": _REASONS.get(state, ""),
        }

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        rows = [
            {
                **self._row(
                    claim.key,
                    claim.number,
                    claim.code or "UNDELIV",
                    claim.template,
                    claim.segments,
                    stamp(claim.submitted_at),
                    claim.state,
                ),
                "reportTime": stamp(claim.claimed_at),
            }
            for claim in claims
        ]
        return self._push("11", rows) if rows else None

    def push_reply(self, reply: Reply) -> PushOut | None:
        """None where an application of before 2025-11-05 did not ask for replies (needUp)."""
        if reply.number in self._mute:
            return None
        at = reply.sent_at.astimezone(BEIJING)
        row = {"mobile": national(reply.number), "content": reply.text, "receiveTime": f"{at:%Y-%m-%d %H:%M:%S}"}
        return self._push("12", [row])

    def push_decision(self, review: Review) -> PushOut | None:
        """Never: reviews are in the console."""
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200."""
        return status == 200


ACTIONS: Final[Mapping[str, Callable[[Counterpart, Params], dict[str, Any]]]] = {
    "/sms/sendcode.action": Counterpart._send_code,
    "/sms/sendtemplate.action": Counterpart._send_template,
    "/sms/verifycode.action": Counterpart._verify_code,
    "/sms/querystatus.action": Counterpart._status,
}


def _object(params: Params, key: str) -> dict[str, str]:
    """A field that holds an object of texts in JSON; empty if it is missing."""
    if not params.get(key):
        return {}
    try:
        value = read_json(params[key])
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise _Refusal(414)
    return value


def _listed(params: Params, names: Sequence[str]) -> dict[str, str]:
    """`params`: values in the order of the template's variables."""
    try:
        values = read_json(params["params"])
    except ValueError:
        values = None
    if not isinstance(values, list) or len(values) != len(names) or not all(isinstance(one, str) for one in values):
        raise _Refusal(414)
    return dict(zip(names, values, strict=True))


def _wants_replies(params: Params, legacy: str) -> bool:
    return legacy not in params or params.get("needUp") == "true"

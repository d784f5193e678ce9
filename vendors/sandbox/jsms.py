"""JSMS's side of the wire: its interfaces as the vendor's pages describe them (facts/vendors/jsms.md).

Errors are HTTP 4xx with an `error` of code and message. Lists and carriers' refusals come in reports, which hold one
object each. The push URL is checked with an echostr when the application first calls. Credentials: `app_key`,
`master_secret`. Options: `per_minute`, `per_day` (no figures are documented), `caps: lifted`, `codes: own` (a template
for codes goes by /v1/codes only), `failures: apart` (a bulk's refused numbers in a list of their own, as the Java
client reads them), `signatures: many` (several in review at once), `url_check: none`.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from email.parser import BytesParser
from email.policy import HTTP
from hashlib import sha1, sha256
from typing import Any, Final
from urllib.parse import urlencode

import httpx

from harness.domain import DeliveryState, Purpose, Reason, ReviewVerdict, Subject
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
    read_json,
)

_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_PRICE: Final = Decimal("0.045")
_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
_QUEUE_SECONDS: Final = 5.0
_MOST_ROWS: Final = 500
_MOST_RECIPIENTS: Final = 1000
_FIRST_MESSAGE: Final = 288_193_860_302
_FIRST_TEMPLATE: Final = 57_496
_FIRST_SIGNATURE: Final = 37_582
_LATE: Final = timedelta(seconds=2)
_URL_CHECK: Final = timedelta(seconds=1)

ERRORS: Final[Mapping[int, tuple[int, str]]] = {
    50001: (400, "missing auth"),
    50002: (401, "auth failed"),
    50003: (400, "missing body"),
    50004: (400, "missing mobile"),
    50005: (400, "missing temp_id"),
    50006: (403, "invalid mobile"),
    50007: (403, "invalid body"),
    50008: (403, "no sms code auth"),
    50009: (403, "out of freq"),
    50010: (403, "invalid code"),
    50012: (403, "verified code"),
    50013: (403, "invalid temp_id"),
    50014: (403, "no money"),
    50015: (400, "missing code"),
    50016: (404, "api not found"),
    50017: (415, "media not supported"),
    50018: (405, "request method not support"),
    50019: (500, "server error"),
    50020: (403, "template auditing"),
    50021: (403, "template not pass"),
    50022: (403, "parameters not all replaced"),
    50024: (403, "unsubscribed mobile"),
    50025: (403, "wrong template type"),
    50026: (403, "wrong msg_id"),
    50030: (403, "recipients is empty"),
    50031: (403, "too much recipients"),
    50037: (403, "has black word"),
    50041: (403, "invalid ttl value"),
    50042: (403, "template is empty"),
    50043: (403, "template too long"),
    50044: (403, "template parameter invalid"),
    50045: (403, "remark too long"),
    50046: (403, "signature not set"),
    50052: (403, "template contains special symbol"),
    50102: (403, "invalid sign id"),
    50103: (403, "other signatures in the audit"),
    50104: (403, "invalid signature"),
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.OPTED_OUT: 50024,
    Reason.SENSITIVE_CONTENT: 50037,
    Reason.FREQUENCY_CAP: 50009,
    Reason.BALANCE: 50014,
    Reason.AUTH: 50008,
    Reason.INVALID_NUMBER: 50006,
    Reason.VENDOR_FAULT: 50019,
}
"""What has no code of its own at once is taken, and told in a report."""
STATUSES: Final[Mapping[Reason, int]] = {
    Reason.BLACKLISTED: 4002,
    Reason.OPTED_OUT: 4002,
    Reason.UNREACHABLE: 4003,
    Reason.OUT_OF_SERVICE: 4003,
    Reason.INVALID_NUMBER: 4004,
    Reason.BALANCE: 4005,
    Reason.FREQUENCY_CAP: 4006,
    Reason.SENSITIVE_CONTENT: 4010,
}
_DELIVERED: Final = 4001
_ELSE: Final = 4100

_KINDS: Final = {1: Purpose.VERIFICATION, 2: Purpose.NOTIFICATION, 3: Purpose.MARKETING}
_OPEN, _PASSED, _REJECTED = 0, 1, 2

Params = Mapping[str, Any]


class _Refusal(Exception):
    """A request refused with one of the vendor's codes."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """JSMS for one application."""

    push_batch = 1
    push_retry = (timedelta(minutes=3), timedelta(hours=1), timedelta(hours=12))
    template = "9{:05d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._key = credential(door.credentials, "app_key")
        self._secret = credential(door.credentials, "master_secret")
        self._sent = Tally(door.memory, "sent", keep=_DAY)
        self._codes: dict[str, str] = door.memory.setdefault("codes", {})

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        try:
            self._admit(heard)
            return answer_json(200, self._act(heard), content_type=_JSON)
        except _Refusal as refusal:
            status, words = ERRORS[refusal.code]
            return answer_json(status, {"error": {"code": refusal.code, "message": words}}, content_type=_JSON)

    def _admit(self, heard: Heard) -> None:
        given = heard.headers.get("authorization", "")
        if not given:
            raise _Refusal(50001)
        right = "Basic " + base64.b64encode(f"{self._key}:{self._secret}".encode()).decode()
        if not hmac.compare_digest(right.encode(), given.encode("utf-8", "replace")):
            raise _Refusal(50002)
        if self._door.options.get("url_check") != "none" and not self._door.memory.get("url checked"):
            self._door.memory["url checked"] = True
            word = sha256(self._door.label.encode()).hexdigest()[:8]
            check = PushOut(body=b"", content_type=_FORM, method="GET", query=f"echostr={word}", retry=())
            self._door.push_later(check, "reports", _URL_CHECK)

    def _act(self, heard: Heard) -> Any:
        allowed = [(method, act) for method, path, act in ACTIONS if re.fullmatch(path, heard.path)]
        if not allowed:
            raise _Refusal(50016)
        act = dict(allowed).get(heard.method)
        if act is None:
            raise _Refusal(50018)
        own = heard.path.split("/")[3] if heard.path.count("/") > 2 else ""
        return act(self, own, self._params(heard))

    def _params(self, heard: Heard) -> Params:
        """The body of a POST: JSON, also where no type is told, and a multipart form for signatures."""
        if heard.method == "GET":
            return {}
        kind = heard.headers.get("content-type", _JSON)
        if (heard.path == "/v1/sign") is not kind.startswith("multipart/form-data") or (
            heard.path != "/v1/sign" and not kind.startswith(_JSON)
        ):
            raise _Refusal(50017)
        if not heard.body:
            raise _Refusal(50003)
        if heard.path == "/v1/sign":
            return _multipart(kind, heard.body)
        try:
            params = read_json(heard.body)
        except ValueError:
            raise _Refusal(50007) from None
        if not isinstance(params, dict):
            raise _Refusal(50007)
        return params

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, own: str, params: Params) -> dict[str, Any]:
        template = self._template(params)
        if template.purpose is Purpose.VERIFICATION and self._door.options.get("codes") == "own":
            raise _Refusal(50025)
        name = self._signature(params)
        return {"msg_id": self._send_one(params, template, name, params.get("temp_para"))}

    def _send_code(self, own: str, params: Params) -> dict[str, Any]:
        """A code of six digits that the vendor makes and checks."""
        template = self._template(params)
        if template.purpose is not Purpose.VERIFICATION:
            raise _Refusal(50025)
        seed = f"{self._door.label} code {counted(self._door.memory, 'codes made')}"
        code = f"{int(sha256(seed.encode()).hexdigest(), 16) % 10**6:06d}"
        msg_id = self._send_one(params, template, self._signature(params), {"code": code})
        self._codes[msg_id] = code
        return {"msg_id": msg_id}

    def _check_code(self, own: str, params: Params) -> dict[str, Any]:
        if not params.get("code"):
            raise _Refusal(50015)
        if own not in self._codes:
            raise _Refusal(50026)
        if self._codes[own] == "":
            raise _Refusal(50012)
        if self._codes[own] != str(params["code"]):
            raise _Refusal(50010)
        self._codes[own] = ""
        return {"is_valid": True}

    def _send_batch(self, own: str, params: Params) -> dict[str, Any]:
        template, name = self._template(params), self._signature(params)
        recipients = params.get("recipients")
        if not isinstance(recipients, list) or not recipients:
            raise _Refusal(50030)
        if len(recipients) > _MOST_RECIPIENTS:
            raise _Refusal(50031)
        good: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        for one in recipients:
            fields = one if isinstance(one, dict) else {}
            mobile = str(fields.get("mobile", ""))
            try:
                msg_id = self._send_one(fields, template, name, fields.get("temp_para"))
                good.append({"msg_id": msg_id, "mobile": mobile})
            except _Refusal as refusal:
                failure = {"error_code": str(refusal.code), "error_message": ERRORS[refusal.code][1], "mobile": mobile}
                bad.append({**failure, "temp_para": fields.get("temp_para")})
        whole: dict[str, Any] = {"success_count": len(good), "failure_count": len(bad)}
        if self._door.options.get("failures") == "apart":
            return {**whole, "recipients": good, "failure_recipients": bad}
        return {**whole, "recipients": good + [{**one, "msg_id": self._id()} for one in bad]}

    def _send_one(self, fields: Params, template: FiledTemplate, name: str, values: Any) -> str:
        if not fields.get("mobile"):
            raise _Refusal(50004)
        number = mainland(str(fields["mobile"]))
        if number is None:
            raise _Refusal(50006)
        text = f"【{name}】{_rendered(template, values)}"
        at = self._door.now().timestamp()
        for option, window in (("per_minute", _MINUTE), ("per_day", _DAY)):
            limit = cap(self._door.options, option, None)
            if limit is not None and self._sent.after((number,), at - window) >= limit:
                raise _Refusal(50009)
        own = self._id()
        outcome = self._door.submit(
            Submission(number=number, text=text, purpose=template.purpose, template=template.id, key=own)
        )
        if isinstance(outcome, Turned):
            if outcome.reason in REFUSALS:
                raise _Refusal(REFUSALS[outcome.reason])
            status = STATUSES.get(outcome.reason, _ELSE)
            self._door.push_later(self._push("SMS_REPORT", self._row(own, number, status, at)), "reports", _LATE)
        self._sent.add((number,), at)
        return own

    def _id(self) -> str:
        return str(_FIRST_MESSAGE + counted(self._door.memory, "messages"))

    def _template(self, params: Params) -> FiledTemplate:
        """By its number: one that the application has from the start, or one handed in and passed."""
        own = params.get("temp_id")
        if own is None:
            raise _Refusal(50005)
        if isinstance(own, bool) or not isinstance(own, int):
            raise _Refusal(50013)
        if (filed := self._door.templates.get(str(own))) is not None:
            if not filed.approved:
                raise _Refusal(50021)
            return filed
        review = self._door.review(Subject.TEMPLATE, own - _FIRST_TEMPLATE)
        if review is None:
            raise _Refusal(50013)
        if review.verdict is not ReviewVerdict.APPROVED:
            raise _Refusal(50020 if review.verdict is None else 50021)
        return FiledTemplate(id=str(own), text=review.text, purpose=review.purpose)

    def _signature(self, params: Params) -> str:
        """By `sign_id`, or the application's default: the first that stands."""
        standing = {own: row["sign"] for own, row in self._signatures().items() if row["status"] == _PASSED}
        if params.get("sign_id") is None:
            if not standing:
                raise _Refusal(50046)
            return str(next(iter(standing.values())))
        if params["sign_id"] not in standing:
            raise _Refusal(50102)
        return str(standing[params["sign_id"]])

    # -- reviews ----------------------------------------------------------------------------------------------

    def _signatures(self) -> dict[int, dict[str, Any]]:
        rows = {
            place: {"sign_id": place, "sign": name, "status": _PASSED if approved else _REJECTED}
            for place, (name, approved) in enumerate(self._door.signatures.items(), 1)
        }
        for review in self._door.reviews(Subject.SIGNATURE):
            own = _FIRST_SIGNATURE + review.number
            rows[own] = {"sign_id": own, "sign": review.text, "status": _status(review)}
        return rows

    def _add_signature(self, own: str, params: Params) -> dict[str, Any]:
        name = params.get("sign", "")
        if not re.fullmatch(r"[^【】\s]{2,16}", name):
            raise _Refusal(50104)
        if params.get("type", "1") not in "1234567":
            raise _Refusal(50007)
        if len(params.get("remark", "")) > 500:
            raise _Refusal(50045)
        waiting = any(row["status"] == _OPEN for row in self._signatures().values())
        if waiting and self._door.options.get("signatures") != "many":
            raise _Refusal(50103)
        review = self._door.submit_review(
            subject=Subject.SIGNATURE, name=name, text=name, purpose=Purpose.NOTIFICATION, extra={}
        )
        return {"sign_id": _FIRST_SIGNATURE + review.number}

    def _show_signature(self, own: str, params: Params) -> dict[str, Any]:
        row = self._signatures().get(int(own))
        if row is None:
            raise _Refusal(50102)
        in_use = int(row["status"] == _PASSED)
        return {**row, "is_default": in_use, "use_status": in_use}

    def _add_template(self, own: str, params: Params) -> dict[str, Any]:
        text, kind, remark = params.get("template"), params.get("type"), params.get("remark") or ""
        if not isinstance(text, str) or not text:
            raise _Refusal(50042)
        if isinstance(kind, bool) or not isinstance(kind, int) or kind not in _KINDS:
            raise _Refusal(50025)
        self._check_draft(text, kind, params.get("ttl"), remark)
        review = self._door.submit_review(
            subject=Subject.TEMPLATE,
            name=text[:20],
            text=text.replace("{{", "{").replace("}}", "}"),
            purpose=_KINDS[kind],
            extra={"template": text, "type": kind, "ttl": params.get("ttl"), "remark": remark},
        )
        return {"temp_id": _FIRST_TEMPLATE + review.number}

    def _check_draft(self, text: str, kind: int, ttl: Any, remark: Any) -> None:
        names = re.findall(r"\{\{(.*?)\}\}", text)
        if len(text) > 350:
            raise _Refusal(50043)
        if "【" in text or "】" in text:
            raise _Refusal(50052)
        if not all(re.fullmatch(r"[A-Za-z0-9]+", name) for name in names) or (kind == 1 and names != ["code"]):
            raise _Refusal(50044)
        if kind == 1 and (isinstance(ttl, bool) or not isinstance(ttl, int) or not 0 < ttl <= 86_400):
            raise _Refusal(50041)
        if not isinstance(remark, str) or len(remark) > 500:
            raise _Refusal(50045)
        if self._door.blocked_words(text):
            raise _Refusal(50037)

    def _show_template(self, own: str, params: Params) -> dict[str, Any]:
        review = self._door.review(Subject.TEMPLATE, int(own) - _FIRST_TEMPLATE)
        if review is None:
            raise _Refusal(50013)
        return {"temp_id": int(own), **review.extra, "status": _status(review)}

    # -- balance, and queues ----------------------------------------------------------------------------------

    def _balance(self, own: str, params: Params) -> dict[str, Any]:
        """In messages, at the price of a usual segment."""
        return {f"{own}_balance": max(0, int(self._door.balance() / _PRICE))}

    def _reports(self, own: str, params: Params) -> list[dict[str, Any]]:
        self._pace("reports asked")
        return [self._claimed(claim) for claim in self._door.take_reports(_MOST_ROWS)]

    def _replies(self, own: str, params: Params) -> list[dict[str, Any]]:
        self._pace("replies asked")
        return [_reply(reply) for reply in self._door.take_replies(_MOST_ROWS)]

    def _pace(self, name: str) -> None:
        """Once in five seconds; with which code more is refused is not documented."""
        at = self._door.now().timestamp()
        if at - self._door.memory.get(name, -_DAY) < _QUEUE_SECONDS:
            raise _Refusal(50009)
        self._door.memory[name] = at

    # -- pushes -----------------------------------------------------------------------------------------------

    def _push(self, kind: str, told: Mapping[str, Any], keys: frozenset[str] = frozenset()) -> PushOut:
        """A form; the signature is over the nonce and the time, which are a long and milliseconds."""
        seed = f"{self._door.label} push {counted(self._door.memory, 'pushes')}"
        nonce = int.from_bytes(sha256(seed.encode()).digest()[:8], "big", signed=True)
        when = int(self._door.now().timestamp() * 1000)
        words = f"appKey={self._key}&appMasterSecret={self._secret}&nonce={nonce}&timestamp={when}"
        data = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        fields = {
            "nonce": nonce,
            "timestamp": when,
            "signature": sha1(words.encode(), usedforsecurity=False).hexdigest(),
            "type": kind,
            "data": data,
        }
        return PushOut(body=urlencode(fields).encode("ascii"), content_type=_FORM, keys=keys)

    def _row(self, own: str, number: str, status: int, at: float) -> dict[str, Any]:
        return {"msgId": own, "phone": national(number), "receiveTime": int(at * 1000), "status": status}

    def _claimed(self, claim: Claim) -> dict[str, Any]:
        status = _DELIVERED
        if claim.state is not DeliveryState.DELIVERED:
            status = STATUSES.get(claim.reason, _ELSE) if claim.reason else _ELSE
        return self._row(claim.key, claim.number, status, claim.claimed_at.timestamp())

    def push_reports(self, claims: Sequence[Claim]) -> Sequence[PushOut]:
        return [self._push("SMS_REPORT", self._claimed(claim), frozenset([claim.key])) for claim in claims]

    def push_reply(self, reply: Reply) -> PushOut:
        return self._push("SMS_REPLY", _reply(reply))

    def push_decision(self, review: Review) -> PushOut | None:
        if (status := _status(review)) == _OPEN:
            return None
        told = {"status": status, "refuseReason": review.reason if status == _REJECTED else None}
        if review.subject is Subject.TEMPLATE:
            return self._push("SMS_TEMPLATE", {"tempId": _FIRST_TEMPLATE + review.number, **told})
        return self._push("SMS_SIGN", {"signId": _FIRST_SIGNATURE + review.number, **told})

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200; what an echo has to hold is not looked at here."""
        return status == 200


_ID: Final = r"[0-9]{1,18}"
ACTIONS: Final[Sequence[tuple[str, str, Callable[[Counterpart, str, Params], Any]]]] = (
    ("POST", r"/v1/messages", Counterpart._send),
    ("POST", r"/v1/messages/batch", Counterpart._send_batch),
    ("POST", r"/v1/codes", Counterpart._send_code),
    ("POST", rf"/v1/codes/{_ID}/valid", Counterpart._check_code),
    ("POST", r"/v1/templates", Counterpart._add_template),
    ("GET", rf"/v1/templates/{_ID}", Counterpart._show_template),
    ("POST", r"/v1/sign", Counterpart._add_signature),
    ("GET", rf"/v1/sign/{_ID}", Counterpart._show_signature),
    ("GET", r"/v1/accounts/(?:dev|app)", Counterpart._balance),
    ("GET", r"/v1/report", Counterpart._reports),
    ("GET", r"/v1/reply", Counterpart._replies),
)
"""Not here: voice, schedules, changing and deleting."""


def _rendered(template: FiledTemplate, values: Any) -> str:
    values = {} if values is None else values
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise _Refusal(50044)
    if any(name not in values for name in names_in(template.text)):
        raise _Refusal(50022)
    return filled(template.text, values)


def _status(review: Review) -> int:
    return {None: _OPEN, ReviewVerdict.APPROVED: _PASSED}.get(review.verdict, _REJECTED)


def _reply(reply: Reply) -> dict[str, Any]:
    at = int(reply.sent_at.timestamp() * 1000)
    return {"phone": national(reply.number), "replyTime": at, "content": reply.text}


def _multipart(kind: str, body: bytes) -> dict[str, str]:
    """The texts of a multipart form; what is no form has none."""
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1", "replace")
    whole = BytesParser(policy=HTTP).parsebytes(head + body)
    fields = {}
    for part in whole.iter_parts() if whole.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        raw = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(raw, bytes) and part.get_filename() is None:
            fields[name] = raw.decode("utf-8", "replace")
    return fields

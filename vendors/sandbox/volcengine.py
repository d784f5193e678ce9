"""Volcengine's side of the wire: volcSMS as its documents describe it (facts/vendors/volcengine.md).

Checks the fourth version of the signature by itself. What becomes of a number is told late: a cap, a list, a time of
day, a word are CR:… codes in the status report, and only what concerns the whole request is refused at once.
Credentials: `access_key`, `secret_key`, `sms_account`. Options: `stale: accepted`, `per_minute`, `per_hour`, `per_day`
(no figures are documented, so by default there is no limit), `caps: lifted`, `hours: lifted`, `qps`, `refusal_status`
(HTTP status of RE:… codes, 200), `audit_push` (object, list, second), `page_limit` (100).
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from vendors.sandbox.door import (
    Claim,
    Door,
    FiledTemplate,
    Kept,
    PushOut,
    Reply,
    Review,
    Submission,
    Turned,
    beijing_day,
)
from vendors.sandbox.wording import (
    Heard,
    Tally,
    answer_json,
    cap,
    counted,
    credential,
    digest_id,
    filled,
    from_day,
    hear,
    is_over_rate,
    mainland,
    names_in,
    national,
    pairs,
    read_json,
    stamp,
    whole,
)

_JSON: Final = "application/json; charset=utf-8"
_SKEW_SECONDS: Final = 900
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_MOST_NUMBERS: Final = 200
_LATE: Final = timedelta(seconds=2)
_OPENS, _CLOSES = (8, 0), (21, 30)  # marketing: CR:0203
_AUTHORIZATION: Final = re.compile(
    r"HMAC-SHA256 Credential=([^/, ]+)/([0-9]{8})/([^/, ]+)/([^/, ]+)/request, "
    r"SignedHeaders=([^, ]+), Signature=([0-9a-f]{64})"
)
_FOREIGN: Final = re.compile(r"\+[1-9][0-9]{5,14}")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z0-9_]+)\}")

GATEWAY: Final[Mapping[str, tuple[int, int, str]]] = {
    "MissingParameter": (400, 100002, "The request is missing {} parameter."),
    "MissingAuthenticationToken": (401, 100003, "Request is missing Authentication Token."),
    "MissingRequestInfo": (400, 100004, "The request is missing {} information."),
    "InvalidTimestamp": (400, 100006, "The signature of the request is expired."),
    "ServiceNotFound": (404, 100007, "This service[{}] not found."),
    "InvalidActionOrVersion": (404, 100008, "Could not find operation {} for this version."),
    "InvalidAccessKey": (401, 100009, "The accesskey [{}] included in the request is invalid."),
    "SignatureDoesNotMatch": (401, 100010, "The request signature we calculated does not match."),
    "FlowLimitExceeded": (429, 100018, "Request was rejected because the request speed of this openAPI is limited."),
}
CODES: Final[Mapping[str, str]] = {
    "RE:0000": "auth failed",
    "RE:0001": "service not enabled",
    "RE:0003": "SmsAccount not found",
    "RE:0004": "signature error",
    "RE:0005": "template error",
    "RE:0006": "phone number format error",
    "RE:0009": "bad parameters",
    "RE:0010": "account in arrears",
    "RE:0011": "region not supported",
    "RE:0012": "message type not allowed",
    "RE:0013": "quota exceeded",
    "RE:0500": "unknown error",
}
REFUSALS: Final[Mapping[Reason, str]] = {
    Reason.BALANCE: "RE:0010",
    Reason.QUOTA: "RE:0013",
    Reason.AUTH: "RE:0000",
    Reason.SIGNATURE_NOT_APPROVED: "RE:0004",
    Reason.TEMPLATE_NOT_APPROVED: "RE:0005",
    Reason.ROUTING: "RE:0011",
    Reason.BAD_REQUEST: "RE:0009",
    Reason.VENDOR_FAULT: "RE:0500",
}
"""What the world turns down at once and Volcengine says at once. Everything else it tells in a report."""
REPORT_CODES: Final[Mapping[Reason, str]] = {
    Reason.INVALID_NUMBER: "NE:0100",
    Reason.UNREACHABLE: "NE:0105",
    Reason.OUT_OF_SERVICE: "NE:0105",
    Reason.SENSITIVE_CONTENT: "CR:0200",
    Reason.BLACKLISTED: "CR:0201",
    Reason.OPTED_OUT: "CR:0201",  # the same code for both, by the document
    Reason.FREQUENCY_CAP: "CR:0202",
    Reason.HOURS: "CR:0203",
    Reason.SIGNATURE_NOT_REGISTERED: "CR:0215",
    Reason.CARRIER_FAULT: "SY:0501",
    Reason.VENDOR_FAULT: "SY:0500",
}
DESCRIPTIONS: Final[Mapping[str, str]] = {
    "0": "DELIVRD",
    "NE:0100": "非法手机号",
    "NE:0105": "号码异常",
    "CR:0200": "内容拦截",
    "CR:0201": "黑名单拦截",
    "CR:0202": "频次管控",
    "CR:0203": "时间段管控",
    "CR:0215": "签名实名制报备问题",
    "CE:0300": "模板参数格式问题",
    "SY:0500": "系统异常",
    "SY:0501": "网关问题",
    "UN:0900": "未知错误",
}
_CHANNELS: Final = {Purpose.VERIFICATION: "CN_OTP", Purpose.NOTIFICATION: "CN_NTC", Purpose.MARKETING: "CN_MKT"}
_PURPOSES: Final = {name: purpose for purpose, name in _CHANNELS.items()}

Params = Mapping[str, Any]


class _Refusal(Exception):
    """The call as a whole is refused: `ResponseMetadata.Error`."""

    def __init__(self, code: str, about: str = "") -> None:
        super().__init__(code)
        self.code, self.about = code, about


@dataclass(frozen=True, slots=True, kw_only=True)
class _Action:
    """A call: its version, its method, and who answers."""

    version: str
    method: str
    answer: Callable[[Counterpart, Params], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Late:
    """A message that was given an id and is refused in its report."""

    key: str
    number: str  # as the customer wrote it
    code: str
    text: str
    template: FiledTemplate
    name: str
    tag: str
    at: datetime


class Counterpart:
    """Volcengine SMS for one message group."""

    push_batch = 100
    # 171585: tried ten times, 0 s, 5 s, 10 s, 30 s, 2 min, 5 min, 20 min, 1 h, 6 h, 24 h after one another.
    push_retry: tuple[timedelta, ...] = tuple(
        timedelta(seconds=seconds) for seconds in (5, 10, 30, 120, 300, 1200, 3600, 21_600, 86_400)
    )
    filing: Final[Mapping[str, str]] = {"proof_image": "iVBORw0KGgo="}
    template = "ST_1{:07d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._id = credential(door.credentials, "access_key")
        self._key = credential(door.credentials, "secret_key").encode()
        self._group = credential(door.credentials, "sms_account")
        self._sent = Tally(door.memory, "sent", keep=_DAY)
        self._late: list[_Late] = door.memory.setdefault("late", [])

    # -- the gateway ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        query = dict(pairs(heard.query))
        name, version = query.get("Action", ""), query.get("Version", "")
        head: dict[str, Any] = {
            "RequestId": self._request_id(),
            "Action": name,
            "Version": version,
            "Service": "volcSMS",
            "Region": "cn-north-1",
        }
        try:
            self._admit(heard, query)
            action = ACTIONS.get(name)
            if action is None or (version, heard.method) != (action.version, action.method):
                raise _Refusal("InvalidActionOrVersion", name)
            params = query if action.method == "GET" else _body(heard)
            return answer_json(
                200, {"ResponseMetadata": head, "Result": action.answer(self, params)}, content_type=_JSON
            )
        except _Refusal as refusal:
            if refusal.code in GATEWAY:
                status, number, words = GATEWAY[refusal.code]
                error = {"CodeN": number, "Code": refusal.code, "Message": words.format(refusal.about)}
            else:
                status = whole(self._door.options.get("refusal_status"), 200, 599) or 200
                error = {"Code": refusal.code, "Message": CODES[refusal.code]}
            return answer_json(
                status, {"ResponseMetadata": {**head, "Error": error}, "Result": None}, content_type=_JSON
            )

    def _request_id(self) -> str:
        """A stamp and hex digits, as in the samples."""
        digits = digest_id(self._door.label, counted(self._door.memory, "requests")).replace("-", "")
        return f"{self._door.now().astimezone(BEIJING):%Y%m%d%H%M%S}{digits[:20].upper()}"

    def _admit(self, heard: Heard, query: Mapping[str, str]) -> None:
        if heard.path not in ("", "/") or not query.get("Action") or not query.get("Version"):
            raise _Refusal("MissingParameter", "Action or Version")
        if "authorization" not in heard.headers:
            raise _Refusal("MissingAuthenticationToken")
        found = _AUTHORIZATION.fullmatch(heard.headers["authorization"])
        written = heard.headers.get("x-date", "")
        if found is None or not re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", written):
            raise _Refusal("MissingRequestInfo", "Credential or X-Date")
        access_key, day, region, service, listed, signature = found.groups()
        if access_key != self._id:
            raise _Refusal("InvalidAccessKey", access_key)
        if service != "volcSMS":
            raise _Refusal("ServiceNotFound", service)
        if not self._is_fresh(written):
            raise _Refusal("InvalidTimestamp")
        signed = listed.split(";")
        if not {"host", "x-date"} <= set(signed) or any(name not in heard.headers for name in signed):
            raise _Refusal("SignatureDoesNotMatch")
        right = self._signature(heard, signed, (day, region, service, "request"), written)
        if day != written[:8] or not hmac.compare_digest(right, signature):
            raise _Refusal("SignatureDoesNotMatch")
        qps = self._door.options.get("qps")
        at = self._door.now().timestamp()
        if is_over_rate(self._door.memory, "calls", at, None if qps is None else int(qps)):
            raise _Refusal("FlowLimitExceeded")

    def _is_fresh(self, written: str) -> bool:
        try:
            at = datetime.strptime(written, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        except ValueError:
            return False
        skew = abs((self._door.now() - at).total_seconds())
        return skew <= _SKEW_SECONDS or self._door.options.get("stale") == "accepted"

    def _signature(self, heard: Heard, signed: Sequence[str], scope: tuple[str, ...], written: str) -> str:
        """What the signature should be, built from the raw request."""
        query = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in pairs(heard.query))
        lines = []
        for name in sorted(signed):
            value = heard.headers[name]
            if name == "host" and value.rpartition(":")[2] in ("80", "443"):
                value = value.rpartition(":")[0]
            lines.append(f"{name}:{value}\n")
        canonical = "\n".join(
            (
                heard.method,
                "/",
                "&".join(f"{name}={value}" for name, value in query),
                "".join(lines),
                ";".join(sorted(signed)),
                sha256(heard.body).hexdigest(),
            )
        )
        hashed = sha256(canonical.encode("latin-1", "replace")).hexdigest()
        to_sign = "\n".join(("HMAC-SHA256", written, "/".join(scope), hashed))
        key = self._key
        for part in scope:
            key = hmac.new(key, part.encode(), sha256).digest()
        return hmac.new(key, to_sign.encode(), sha256).hexdigest()

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> dict[str, Any]:
        numbers = [one for one in _text(params, "PhoneNumbers").split(",") if one]
        template, name = self._checked(params)
        values = _values(params.get("TemplateParam"))
        self._check_numbers(numbers)
        tag = _text(params, "Tag")
        return {"MessageID": [self._send_one(number, template, name, values, tag) for number in numbers]}

    def _send_batch(self, params: Params) -> dict[str, Any]:
        messages = params.get("Messages")
        if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
            raise _Refusal("RE:0009")
        template, name = self._checked(params)
        numbers = [_text(one, "PhoneNumber") for one in messages]
        values = [_values(one.get("TemplateParam")) for one in messages]
        self._check_numbers(numbers)
        tag = _text(params, "Tag")
        ids = [self._send_one(number, template, name, one, tag) for number, one in zip(numbers, values, strict=True)]
        return {"MessageID": ids}

    def _check_numbers(self, numbers: Sequence[str]) -> None:
        """One number alone is looked at before it is taken; of several, some errors come in their reports."""
        if not 1 <= len(numbers) <= _MOST_NUMBERS:
            raise _Refusal("RE:0009")
        if len(numbers) == 1 and mainland(numbers[0]) is None:
            foreign = _FOREIGN.fullmatch(numbers[0]) and not numbers[0].startswith("+86")
            raise _Refusal("RE:0011" if foreign else "RE:0006")

    def _checked(self, params: Params) -> tuple[FiledTemplate, str]:
        """The template and the signature of a send, both approved."""
        if _text(params, "SmsAccount") != self._group:
            raise _Refusal("RE:0003")
        name = _text(params, "Sign")
        if not self._door.signatures.get(name):
            raise _Refusal("RE:0004")
        template = self._template(_text(params, "TemplateID"))
        if template is None or not template.approved:
            raise _Refusal("RE:0005")
        return template, name

    def _send_one(self, written: str, template: FiledTemplate, name: str, values: Mapping[str, str], tag: str) -> str:
        key = digest_id(f"{self._door.label} message", counted(self._door.memory, "messages"))
        number, at = mainland(written), self._door.now()

        def late(code: str, text: str = "") -> str:
            self._refuse_late(
                _Late(key=key, number=written, code=code, text=text, template=template, name=name, tag=tag, at=at)
            )
            return key

        if number is None:
            return late("NE:0100")
        if any(variable not in values for variable in names_in(template.text)):
            return late("CE:0300")
        text = f"【{name}】{filled(template.text, values)}"
        if code := self._stopped(number, template.purpose):
            return late(code, text)
        outcome = self._door.submit(
            Submission(
                number=number, text=text, purpose=template.purpose, template=template.id, reference=tag or None, key=key
            )
        )
        if isinstance(outcome, Turned):
            if outcome.reason is Reason.THROTTLED:
                raise _Refusal("FlowLimitExceeded")
            if code := REFUSALS.get(outcome.reason, ""):
                raise _Refusal(code)
            return late(REPORT_CODES.get(outcome.reason, "UN:0900"), text)
        self._sent.add((number,), at.timestamp())
        return key

    def _stopped(self, number: str, purpose: Purpose) -> str | None:
        """The code of a cap or of the hours, if one of them stops a message."""
        local, at = self._door.now().astimezone(BEIJING), self._door.now().timestamp()
        is_open = _OPENS <= (local.hour, local.minute) < _CLOSES
        if purpose is Purpose.MARKETING and not is_open and self._door.options.get("hours") != "lifted":
            return "CR:0203"
        for name, window in (("per_minute", _MINUTE), ("per_hour", _HOUR), ("per_day", _DAY)):
            limit = cap(self._door.options, name, None)
            if limit is not None and self._sent.after((number,), at - window) >= limit:
                return "CR:0202"
        return None

    def _refuse_late(self, late: _Late) -> None:
        self._late.append(late)
        row = {
            **self._head(late.name, late.number),
            "channel_type": _CHANNELS[late.template.purpose],
            "send_time": _milliseconds(late.at),
            "recv_time": _milliseconds(late.at + _LATE),
            "template_id": late.template.id,
            "ext": late.tag,
            "message_id": late.key,
            "status_code": late.code,
            "description": DESCRIPTIONS[late.code],
            "msg_count": 1,
            "mccmnc": "",
            "iso_code": "CN",
        }
        self._door.push_later(_push([row]), "reports", _LATE)

    # -- templates and signatures -----------------------------------------------------------------------------

    def _template(self, own: str) -> FiledTemplate | None:
        if (filed := self._door.templates.get(own)) is not None:
            return filed
        for review in self._door.reviews(Subject.TEMPLATE):
            if _template_id(review) == own:
                approved = review.verdict is ReviewVerdict.APPROVED
                return FiledTemplate(id=own, text=review.text, purpose=review.purpose, approved=approved)
        return None

    def _apply_template(self, params: Params) -> dict[str, Any]:
        """Names in small letters or capitals: the vendor's own clients differ."""
        given = {name.lower(): value for name, value in params.items()}
        self._check_group(given, "subaccount")
        channel, content, name = _text(given, "channeltype"), _text(given, "content"), _text(given, "name")
        if channel not in _PURPOSES:
            raise _Refusal("RE:0012")
        if _text(given, "area") not in ("cn", "all") or not content or not name:
            raise _Refusal("RE:0009")
        review = self._door.submit_review(
            subject=Subject.TEMPLATE,
            name=name,
            text=_VARIABLE.sub(r"{\1}", content),
            purpose=_PURPOSES[channel],
            extra={"content": content},
        )
        return _template_row(review)

    def _list_templates(self, params: Params) -> dict[str, Any]:
        self._check_group(params, "subAccount")
        rows = [_template_row(review) for review in self._door.reviews(Subject.TEMPLATE)]
        rows += [_filed_row(filed) for filed in self._door.templates.values()]
        for name, key in (("templateId", "templateId"), ("name", "name"), ("channelType", "channelType")):
            if params.get(name):
                rows = [row for row in rows if row[key] == params[name]]
        return self._page(rows, params, "list")

    def _apply_signature(self, params: Params) -> dict[str, Any]:
        self._check_group(params, "subAccount")
        name, files = _text(params, "content"), params.get("uploadFileList")
        if not 2 <= len(name) <= 18 or not _text(params, "source") or params.get("purpose") not in (1, 2):
            raise _Refusal("RE:0009")
        if not isinstance(files, list) or not all(isinstance(one, dict) and one.get("fileContent") for one in files):
            raise _Refusal("RE:0009")
        review = self._door.submit_review(
            subject=Subject.SIGNATURE, name=name, text=name, purpose=Purpose.NOTIFICATION, extra={}
        )
        return _signature_row(review)

    def _list_signatures(self, params: Params) -> dict[str, Any]:
        self._check_group(params, "subAccount")
        rows = [_signature_row(review) for review in reversed(self._door.reviews(Subject.SIGNATURE))]
        known = {row["content"] for row in rows}
        rows += [
            {"id": "", "applyId": "", "content": name, "status": 3 if approved else 2, "reason": "", "isOrder": False}
            for name, approved in self._door.signatures.items()
            if name not in known
        ]
        if params.get("signature"):
            rows = [row for row in rows if row["content"] == params["signature"]]
        return self._page(rows, params, "list")

    def _check_group(self, params: Params, key: str) -> None:
        if _text(params, key) != self._group:
            raise _Refusal("RE:0003")

    def _page(self, rows: Sequence[Any], params: Params, key: str) -> dict[str, Any]:
        most = int(self._door.options.get("page_limit", "100"))
        index, size = whole(str(params.get("pageIndex")), 1, 10**6), whole(str(params.get("pageSize")), 1, most)
        if index is None or size is None:
            raise _Refusal("RE:0009")
        return {key: rows[(index - 1) * size : index * size], "total": len(rows)}

    # -- records ----------------------------------------------------------------------------------------------

    def _details(self, params: Params) -> dict[str, Any]:
        self._check_group(params, "subAccount")
        number, day = mainland(_text(params, "phoneNumber")), from_day(_text(params, "sendDate"))
        if number is None or day is None:
            raise _Refusal("RE:0006" if number is None else "RE:0009")
        begin, end = beijing_day(day)
        found = [(kept.submitted_at, self._kept_row(kept)) for kept in self._door.records(number, begin, end)]
        found += [
            (late.at, _late_row(late))
            for late in self._late
            if mainland(late.number) == number and begin <= late.at < end
        ]
        rows = [row for _, row in sorted(found, key=lambda one: one[0])]
        if params.get("messageId"):
            rows = [row for row in rows if row["messageId"] == params["messageId"]]
        head = {"account": "2100000000", "subAccount": self._group}
        return {**head, **self._page(rows, params, "sendDetailsResults")}

    def _kept_row(self, kept: Kept) -> dict[str, Any]:
        template = self._template(kept.template or "")
        states = {DeliveryState.DELIVERED: 3, DeliveryState.UNKNOWN: 1}
        code = {DeliveryState.DELIVERED: "0", DeliveryState.UNKNOWN: ""}.get(kept.state, "UN:0900")
        return {
            "status": states.get(kept.state, 2),
            "errorCode": code,
            "errorMessage": DESCRIPTIONS.get(code, ""),
            "phoneNumber": _masked(national(kept.number)),
            "signature": kept.text[1:].partition("】")[0],
            "templateID": kept.template,
            "content": kept.text,
            "channelType": _CHANNELS[template.purpose] if template else "",
            "messageId": kept.key,
            "msgCount": kept.segments,
            "sendTime": _milliseconds(kept.submitted_at),
            "receiptTime": 0 if kept.claimed_at is None else _milliseconds(kept.claimed_at),
        }

    # -- pushes -----------------------------------------------------------------------------------------------

    def _head(self, name: str, number: str) -> dict[str, Any]:
        return {"account": "2100000000", "sub_account": self._group, "signature": name, "mobile": number}

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        """回执: a list; every failure in the vendor's own code, not the carrier's."""
        rows = []
        for claim in claims:
            template = self._template(claim.template or "")
            code = "0"
            if claim.state is not DeliveryState.DELIVERED:
                code = REPORT_CODES.get(claim.reason, "UN:0900") if claim.reason else "UN:0900"
            rows.append(
                {
                    **self._head(claim.text[1:].partition("】")[0], national(claim.number)),
                    "channel_type": _CHANNELS[template.purpose] if template else "CN_OTP",
                    "send_time": _milliseconds(claim.submitted_at),
                    "recv_time": _milliseconds(claim.claimed_at),
                    "template_id": claim.template,
                    "ext": claim.reference or "",
                    "message_id": claim.key,
                    "status_code": code,
                    "description": DESCRIPTIONS[code],
                    "msg_count": claim.segments,
                    "mccmnc": "",
                    "iso_code": "CN",
                }
            )
        return _push(rows) if rows else None

    def push_reply(self, reply: Reply) -> PushOut | None:
        row = {
            **self._head(reply.signature, national(reply.number)),
            "content": reply.text,
            "channel_type": "CN_OTP",
            "service_id": reply.to,
            "recv_time": _milliseconds(reply.sent_at),
            "ext": reply.extension,
        }
        return _push([row])

    def push_decision(self, review: Review) -> PushOut | None:
        """Of a template. One of signatures exists, but its body is not known."""
        if review.subject is not Subject.TEMPLATE or review.verdict is None:
            return None
        approved, at = review.verdict is ReviewVerdict.APPROVED, stamp(review.decided_at or self._door.now())
        head = {"account": "2100000000", "sub_account": self._group, "template_id": _template_id(review)}
        opinion = {} if approved else {"audit_opinion": review.reason}
        if self._door.options.get("audit_push") == "second":
            name = next(iter(self._door.signatures), "")
            inner = {
                **head,
                "second_template_id": f"S1T_{review.number:08d}",
                "audit_result": approved,
                "signature": name,
                "content": review.extra.get("content", review.text),
                "channel_type": _CHANNELS[review.purpose],
                **opinion,
            }
            return _push({"audit_time": at, "second_template_audit_result": [inner]})
        body = {
            "apply_id": _apply_id(review),
            **head,
            "template_name": review.name,
            "template_content": review.extra.get("content", review.text),
            "audit_result": approved,
            "audit_time": at,
            **opinion,
        }
        return _push([body] if self._door.options.get("audit_push") == "list" else body)

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200, whatever the body says."""
        return status == 200


ACTIONS: Final[Mapping[str, _Action]] = {
    "SendSms": _Action(version="2020-01-01", method="POST", answer=Counterpart._send),
    "SendBatchSms": _Action(version="2021-01-01", method="POST", answer=Counterpart._send_batch),
    "GetSmsSendDetails": _Action(version="2021-01-11", method="POST", answer=Counterpart._details),
    "ApplySmsTemplate": _Action(version="2021-01-11", method="POST", answer=Counterpart._apply_template),
    "GetSmsTemplateAndOrderList": _Action(version="2021-01-11", method="GET", answer=Counterpart._list_templates),
    "ApplySmsSignature": _Action(version="2021-01-11", method="POST", answer=Counterpart._apply_signature),
    "GetSignatureAndOrderList": _Action(version="2021-01-11", method="GET", answer=Counterpart._list_signatures),
}


def _body(heard: Heard) -> Params:
    try:
        body = read_json(heard.body)
    except ValueError:
        raise _Refusal("RE:0009") from None
    if not isinstance(body, dict):
        raise _Refusal("RE:0009")
    return body


def _text(params: Params, key: str) -> str:
    """A field that has to be text; empty if it is missing."""
    value = params.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Refusal("RE:0009")
    return value


def _values(written: object) -> dict[str, str]:
    """TemplateParam: JSON in a text, an object of texts."""
    if written in (None, ""):
        return {}
    try:
        values = read_json(written) if isinstance(written, str) else None
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(one, str) for one in values.values()):
        raise _Refusal("RE:0009")
    return values


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _masked(number: str) -> str:
    return f"{number[:3]}{'*' * max(0, len(number) - 3)}"


def _template_id(review: Review) -> str:
    return f"ST_9{review.number:07d}"


def _apply_id(review: Review) -> int:
    return 104_000 + review.number


def _status(review: Review) -> int:
    return {None: 1, ReviewVerdict.REJECTED: 2, ReviewVerdict.APPROVED: 3}[review.verdict]


def _template_row(review: Review) -> dict[str, Any]:
    return {
        "id": str(review.number),
        "applyId": str(_apply_id(review)),
        "templateId": _template_id(review),
        "channelType": _CHANNELS[review.purpose],
        "channelTypeName": "",
        "name": review.name,
        "content": review.extra.get("content", review.text),
        "status": _status(review),
        "isOrder": review.verdict is None,
        "reason": review.reason,
        "createdTime": _milliseconds(review.created_at),
    }


def _filed_row(filed: FiledTemplate) -> dict[str, Any]:
    return {
        "id": filed.id,
        "templateId": filed.id,
        "channelType": _CHANNELS[filed.purpose],
        "name": filed.id,
        "content": re.sub(r"\{(\w+)\}", r"${\1}", filed.text),
        "status": 3 if filed.approved else 2,
        "isOrder": False,
        "reason": "",
    }


def _signature_row(review: Review) -> dict[str, Any]:
    decided = {} if review.decided_at is None else {"auditedAt": _milliseconds(review.decided_at)}
    return {
        "id": str(review.number),
        "applyId": str(_apply_id(review)),
        "content": review.text,
        "createdTime": _milliseconds(review.created_at),
        "status": _status(review),
        "reason": review.reason,
        "isOrder": review.verdict is None,
        **decided,
    }


def _late_row(late: _Late) -> dict[str, Any]:
    return {
        "status": 2,
        "errorCode": late.code,
        "errorMessage": DESCRIPTIONS[late.code],
        "phoneNumber": _masked(national(late.number)),
        "signature": late.name,
        "templateID": late.template.id,
        "content": late.text,
        "channelType": _CHANNELS[late.template.purpose],
        "messageId": late.key,
        "msgCount": 1,
        "sendTime": _milliseconds(late.at),
        "receiptTime": _milliseconds(late.at + _LATE),
    }


def _push(value: Any) -> PushOut:
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return PushOut(body=body, content_type="application/json;charset=utf-8")

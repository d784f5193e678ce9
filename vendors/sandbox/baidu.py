"""Baidu AI Cloud's side of the wire: SMS v3 as its documents describe it (facts/vendors/baidu.md).

Checks bce-auth-v1 by itself, whichever headers the customer signed. Lists are told at once, caps and words in the
status report, for their codes at once are not known. Credentials: `access_key`, `secret_key`, `signature_id` (of the
first signature), `user_id`, `push_token` (if none, the user id, as the vendor has it). Options: `stale: accepted`,
`per_minute` (3), `per_hour` (10), `per_day` (50), `caps: lifted`, `cap_code` (a code at once instead of a late one),
`auth_status` (403), `approved_as: APPROVED`, `unit_price` (CNY), `summary_key: data`.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import md5, sha256
from typing import Any, Final
from urllib.parse import quote, unquote

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from vendors.sandbox.door import (
    Claim,
    Counts,
    Door,
    FiledTemplate,
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
    from_stamp,
    hear,
    mainland,
    names_in,
    national,
    pairs,
    read_json,
    stamp,
    whole,
)

_JSON: Final = "application/json; charset=UTF-8"
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_MOST_NUMBERS: Final = 200
_LONGEST: Final = 600
_LATE: Final = timedelta(seconds=2)
_AUTHORIZATION: Final = re.compile(
    r"(bce-auth-v1/([^/]+)/([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)/([0-9]{1,6}))"
    r"/([A-Za-z0-9;-]*)/([0-9a-f]{64})"
)
_USUAL: Final = ("host", "content-md5", "content-length", "content-type")
_FOREIGN: Final = re.compile(r"\+[1-9][0-9]{5,14}")
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z0-9_]+)\}")
_BRACKETS: Final = re.compile(r"[\[\]【】()（）\t]")

CODES: Final[Mapping[str, str]] = {
    "6002": "用户认证失败",
    "6006": "账号签名不可用",
    "6012": "账号已停服",
    "6013": "账号未创建SMS订单",
    "4501": "请求参数不正确",
    "4502": "请求参数不能为空",
    "4503": "手机号码格式不正确",
    "4508": "短信内容过长",
    "4511": "批量发送短信错误",
    "4602": "未找到对应模板",
    "4605": "模板参数不匹配",
    "4607": "模板不可用",
    "4608": "模板参数不合法",
    "4609": "签名和模板适用的国家或地区不一致",
    "4641": "命中全局黑名单",
    "4642": "命中签名黑名单",
    "4643": "命中账号黑名单",
}
COMMON: Final[Mapping[str, tuple[int, str]]] = {
    "AccessDenied": (403, "Access denied."),
    "InvalidAccessKeyId": (403, "The Access Key ID you provided does not exist in our records."),
    "InvalidHTTPAuthHeader": (400, "The HTTP authorization header is invalid."),
    "SignatureDoesNotMatch": (400, "The request signature we calculated does not match the signature you provided."),
    "RequestExpired": (400, "Request has expired."),
    "InappropriateJSON": (400, "The JSON you provided was well-formed and valid, but not appropriate."),
    "MalformedJSON": (400, "The JSON you provided was not well-formed."),
    "InvalidURI": (400, "Could not parse the specified URI."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
}
REFUSALS: Final[Mapping[Reason, str]] = {
    Reason.BLACKLISTED: "4641",
    Reason.BALANCE: "6012",
    Reason.AUTH: "6002",
    Reason.SIGNATURE_NOT_APPROVED: "6006",
    Reason.TEMPLATE_NOT_APPROVED: "4607",
    Reason.INVALID_NUMBER: "4503",
    Reason.BAD_REQUEST: "4501",
}
"""What the world turns down and Baidu says at once; the rest it tells in a report."""
REPORT_CODES: Final[Mapping[Reason, str]] = {
    Reason.SENSITIVE_CONTENT: "B:00011",
    Reason.BLACKLISTED: "B:00033",
    Reason.OPTED_OUT: "S:00171",
    Reason.FREQUENCY_CAP: "B:00019",
    Reason.THROTTLED: "B:00019",
    Reason.VENDOR_FAULT: "B:00017",
}
"""Its own codes in reports; for what a carrier says, the carrier's code stands there."""
_TYPES: Final = {
    Purpose.VERIFICATION: "CommonVcode",
    Purpose.NOTIFICATION: "CommonNotice",
    Purpose.MARKETING: "CommonSale",
}
_PURPOSES: Final = {name: purpose for purpose, name in _TYPES.items()}
_CONTENT_TYPES: Final = frozenset({"Enterprise", "MobileApp", "Web", "WeChatPublic", "Brand", "Else"})
_COUNTRIES: Final = frozenset({"DOMESTIC", "INTERNATIONAL", "GLOBAL"})

Params = Mapping[str, Any]


class _Refusal(Exception):
    """The call as a whole is refused."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """Baidu AI Cloud SMS for one account."""

    push_batch = 1  # one object a push
    # 状态回调: three tries at once, then one an hour; ten more at most.
    push_retry: tuple[timedelta, ...] = (*(timedelta(0),) * 2, *(timedelta(hours=1),) * 8)
    template = "sms-tmpl-{:08d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._id = credential(door.credentials, "access_key")
        self._key = credential(door.credentials, "secret_key").encode()
        self._user = door.credentials.get("user_id", "")
        self._token = door.credentials.get("push_token", self._user)
        self._sent = Tally(door.memory, "sent", keep=_DAY)
        self._once: dict[str, dict[str, Any]] = door.memory.setdefault("client tokens", {})
        self._black: dict[str, dict[str, Any]] = door.memory.setdefault("blacklist", {})

    # -- the gateway ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        request_id = digest_id(self._door.label, counted(self._door.memory, "requests"))
        is_send = (heard.method, heard.path) == ("POST", "/api/v3/sendSms")
        try:
            if code := self._unproven(heard):
                raise _Refusal("6002" if is_send else code)
            query = dict(pairs(heard.query))
            if is_send:
                body = self._send(_body(heard, "4501"), query.get("clientToken", ""), request_id)
                return answer_json(200, body, content_type=_JSON)
            told = self._manage(heard, query)
            return httpx.Response(200) if told is None else answer_json(200, told, content_type=_JSON)
        except _Refusal as refusal:
            status, words = COMMON.get(refusal.code, (200, CODES.get(refusal.code, "失败")))
            if refusal.code == "6002":
                status = whole(self._door.options.get("auth_status"), 200, 599) or 403
            refused = {"requestId": request_id, "code": refusal.code, "message": words}
            return answer_json(status, refused, content_type=_JSON)

    def _unproven(self, heard: Heard) -> str | None:
        """The code of what is wrong with a request's proof; None for a good one."""
        found = _AUTHORIZATION.fullmatch(heard.headers.get("authorization", ""))
        if found is None:
            return "InvalidHTTPAuthHeader" if "authorization" in heard.headers else "AccessDenied"
        begin, access_key, written, seconds, listed, signature = found.groups()
        if access_key != self._id:
            return "InvalidAccessKeyId"
        try:
            at = datetime.strptime(written, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError:
            return "InvalidHTTPAuthHeader"
        age = (self._door.now() - at).total_seconds()
        if not -_EARLY <= age <= int(seconds) and self._door.options.get("stale") != "accepted":
            return "RequestExpired"
        names = [name for name in listed.lower().split(";") if name] or [
            name for name in heard.headers if name in _USUAL or name.startswith("x-bce-")
        ]
        if "host" not in names or any(name not in heard.headers for name in names):
            return "SignatureDoesNotMatch"
        right = self._signature(heard, begin, names)
        return None if hmac.compare_digest(right, signature) else "SignatureDoesNotMatch"

    def _signature(self, heard: Heard, begin: str, names: Sequence[str]) -> str:
        """What the signature should be, built from the raw request."""
        query = sorted(
            f"{_escaped(name)}={_escaped(value)}"
            for name, value in pairs(heard.query)
            if name.lower() != "authorization"
        )
        lines = sorted(
            f"{_escaped(name)}:{_escaped(heard.headers[name].strip())}" for name in names if heard.headers[name].strip()
        )
        path = quote(unquote(heard.path), safe="/-_.~")
        canonical = "\n".join((heard.method, path, "&".join(query), "\n".join(lines)))
        key = hmac.new(self._key, begin.encode(), sha256).hexdigest()
        return hmac.new(key.encode(), canonical.encode("utf-8", "replace"), sha256).hexdigest()

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params, token: str, request_id: str) -> dict[str, Any]:
        """The same clientToken gets the same answer, and nothing is sent twice."""
        if token in self._once:
            return self._once[token]
        numbers = [one for one in _text(params, "mobile").split(",") if one]
        if not numbers or not _text(params, "template") or not _text(params, "signatureId"):
            raise _Refusal("4502")
        if len(numbers) > _MOST_NUMBERS:
            raise _Refusal("4511")
        name, template = self._signature_name(_text(params, "signatureId")), self._template(_text(params, "template"))
        text = f"【{name}】{self._rendered(template, params.get('contentVar'))}"
        if len(text) > _LONGEST:
            raise _Refusal("4508")
        custom = _text(params, "custom")
        rows = [self._send_one(number, text, template, custom, _text(params, "userExtId")) for number in numbers]
        if len(rows) == 1 and rows[0]["code"] != "1000":
            raise _Refusal(rows[0]["code"])
        answer = {"requestId": request_id, "code": "1000", "message": "成功", "data": rows}
        if token:
            self._once[token] = answer
        return answer

    def _signature_name(self, own: str) -> str:
        """The name of a signature by its id. Raises if it is none, or not approved."""
        if own == self._door.credentials.get("signature_id"):
            name = next(iter(self._door.signatures), "")
        else:
            reviews = self._door.reviews(Subject.SIGNATURE)
            name = next((review.text for review in reviews if _signature_id(review) == own), "")
        if not self._door.signatures.get(name):
            raise _Refusal("6006")
        return name

    def _template(self, own: str) -> FiledTemplate:
        found = self._door.templates.get(own)
        for review in self._door.reviews(Subject.TEMPLATE):
            if found is None and _template_id(review) == own:
                approved = review.verdict is ReviewVerdict.APPROVED
                found = FiledTemplate(id=own, text=review.text, purpose=review.purpose, approved=approved)
        if found is None:
            raise _Refusal("4602")
        if not found.approved:
            raise _Refusal("4607")
        return found

    def _rendered(self, template: FiledTemplate, values: object) -> str:
        given = {} if values is None else values
        if not isinstance(given, dict) or not all(isinstance(one, str) for one in given.values()):
            raise _Refusal("4501")
        if any(name not in given for name in names_in(template.text)):
            raise _Refusal("4605")
        if any(_BRACKETS.search(one) for one in given.values()):
            raise _Refusal("4608")
        return filled(template.text, given)

    def _send_one(
        self, written: str, text: str, template: FiledTemplate, custom: str, extension: str
    ) -> dict[str, Any]:
        number = mainland(written)
        if number is None:
            return _row(written, "4609" if _FOREIGN.fullmatch(written) else "4503")
        if code := self._listed(number, text):
            return _row(written, code)
        serial = counted(self._door.memory, "messages")
        key = f"{digest_id(f'{self._door.label} message', serial)}_{national(number)}"
        if self._is_capped(number, text):
            if code := self._door.options.get("cap_code", ""):
                return _row(written, code)
            self._refuse_late(key, number, REPORT_CODES[Reason.FREQUENCY_CAP], custom)
            return _row(written, "1000", key)
        outcome = self._door.submit(
            Submission(
                number=number,
                text=text,
                purpose=template.purpose,
                template=template.id,
                reference=custom or None,
                extension=extension,
                key=key,
            )
        )
        if isinstance(outcome, Turned):
            if code := REFUSALS.get(outcome.reason, ""):
                return _row(written, code)
            self._refuse_late(key, number, REPORT_CODES.get(outcome.reason, "B:00017"), custom)
        else:
            self._sent.add((number, _short(text)), self._door.now().timestamp())
        return _row(written, "1000", key)

    def _listed(self, number: str, text: str) -> str | None:
        """The code of the account's own list, if the number is on it."""
        for row in self._black.values():
            if row["phone"] == national(number):
                if row["type"] == "MerchantBlack":
                    return "4643"
                if self._name_of(row["signatureIdStr"]) == text[1:].partition("】")[0]:
                    return "4642"
        return None

    def _name_of(self, own: str) -> str:
        try:
            return self._signature_name(own)
        except _Refusal:
            return ""

    def _is_capped(self, number: str, text: str) -> bool:
        """One signature to one number: three a minute, ten an hour, fifty a calendar day."""
        now = self._door.now()
        at, key = now.timestamp(), (number, _short(text))
        midnight = now.astimezone(BEIJING).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        for name, default, count in (
            ("per_minute", 3, self._sent.after(key, at - _MINUTE)),
            ("per_hour", 10, self._sent.after(key, at - _HOUR)),
            ("per_day", 50, self._sent.since(key, midnight)),
        ):
            limit = cap(self._door.options, name, default)
            if limit is not None and count >= limit:
                return True
        return False

    def _refuse_late(self, key: str, number: str, code: str, custom: str) -> None:
        now = self._door.now()
        body = _report(key, number, "2", code, custom, 1, now, now + _LATE)
        self._door.push_later(self._push(body), "reports", _LATE)

    # -- reviews, counts, packages, lists ---------------------------------------------------------------------

    def _manage(self, heard: Heard, query: Mapping[str, str]) -> dict[str, Any] | None:
        function, _, own = heard.path.removeprefix("/sms/v3/").partition("/")
        act = ACTIONS.get((heard.method, function))
        if act is None or not heard.path.startswith("/sms/v3/"):
            raise _Refusal("InvalidURI")
        params = _body(heard, "MalformedJSON") if heard.method == "POST" else query
        return act(self, unquote(own), params)

    def _create_template(self, own: str, params: Params) -> dict[str, Any]:
        kind, content, name = (_text(params, key) for key in ("smsType", "content", "name"))
        if kind not in _PURPOSES or not content or not name or _text(params, "countryType") not in _COUNTRIES:
            raise _Refusal("InappropriateJSON")
        review = self._door.submit_review(
            subject=Subject.TEMPLATE,
            name=name,
            text=_VARIABLE.sub(r"{\1}", content),
            purpose=_PURPOSES[kind],
            extra={"content": content, "description": _text(params, "description")},
        )
        return {"templateId": _template_id(review), "status": "SUBMITTED"}

    def _get_template(self, own: str, params: Params) -> dict[str, Any]:
        for review in self._door.reviews(Subject.TEMPLATE):
            if _template_id(review) == own:
                return {
                    "templateId": own,
                    "userId": self._user,
                    "name": review.name,
                    "content": review.extra["content"],
                    "countryType": "DOMESTIC",
                    "smsType": _TYPES[review.purpose],
                    "status": self._status(review),
                    "description": review.extra["description"],
                    "review": review.reason,
                }
        raise _Refusal("4602")

    def _create_signature(self, own: str, params: Params) -> dict[str, Any]:
        name = _text(params, "content")
        if not name or _text(params, "contentType") not in _CONTENT_TYPES:
            raise _Refusal("InappropriateJSON")
        if _text(params, "countryType") not in _COUNTRIES:
            raise _Refusal("InappropriateJSON")
        extra = {"contentType": params["contentType"]}
        review = self._door.submit_review(
            subject=Subject.SIGNATURE, name=name, text=name, purpose=Purpose.NOTIFICATION, extra=extra
        )
        return {"signatureId": _signature_id(review), "status": "SUBMITTED"}

    def _get_signature(self, own: str, params: Params) -> dict[str, Any]:
        for review in self._door.reviews(Subject.SIGNATURE):
            if _signature_id(review) == own:
                return {
                    "signatureId": own,
                    "userId": self._user,
                    "content": review.text,
                    "contentType": review.extra["contentType"],
                    "countryType": "DOMESTIC",
                    "review": review.reason,
                    "status": self._status(review),
                }
        raise _Refusal("6006")

    def _status(self, review: Review) -> str:
        match review.verdict:
            case None:
                return "SUBMITTED"
            case ReviewVerdict.APPROVED:
                return self._door.options.get("approved_as", "READY")
            case ReviewVerdict.REJECTED:
                return "REJECTED"

    def _summary(self, own: str, params: Params) -> dict[str, Any]:
        begin, end = from_stamp(params.get("startTime")), from_stamp(params.get("endTime"))
        if begin is None or end is None or not begin <= end <= begin + timedelta(days=366):
            raise _Refusal("4501")
        if params.get("dimension") != "day" or not params.get("smsType"):
            raise _Refusal("4501")
        first, last = begin.astimezone(BEIJING).date(), end.astimezone(BEIJING).date()
        rows = [_count_row("合计", self._door.counts(begin, end + timedelta(seconds=1)))]
        for offset in range((last - first).days + 1):
            day = first + timedelta(days=offset)
            rows.append(_count_row(day.isoformat(), self._door.counts(*beijing_day(day))))
        return {self._door.options.get("summary_key", "statisticsResults"): rows}

    def _packages(self, own: str, params: Params) -> dict[str, Any]:
        """One package in force, as large as what is left."""
        if not self._user or own != self._user:
            raise _Refusal("AccessDenied")
        left = max(0, int(self._door.balance() / Decimal(self._door.options.get("unit_price", "0.05"))))
        package = {
            "packageId": "sms-package-1",
            "name": "国内短信量包",
            "countryType": "DOMESTIC",
            "capacity": str(left),
            "remainingCapacity": str(left),
            "packageStatus": "RUNNING",
            "purchaseDate": "2022-01-07T08:42:52.000+00:00",
            "expiryDate": "2042-01-07T08:42:52.000+00:00",
        }
        wanted = params.get("packageStatus") in (None, "RUNNING") and params.get("countryType") in (None, "DOMESTIC")
        return _page([package] if wanted else [], params, "prepaidPackages")

    def _block(self, own: str, params: Params) -> None:
        kind, phones = _text(params, "type"), [one for one in _text(params, "phone").split(",") if one]
        if kind not in ("MerchantBlack", "SignatureBlack") or not 1 <= len(phones) <= _MOST_NUMBERS:
            raise _Refusal("4501")
        if kind == "SignatureBlack" and not (_text(params, "signatureIdStr") and _text(params, "smsType")):
            raise _Refusal("4502")
        if any(mainland(phone) is None for phone in phones):
            raise _Refusal("4503")
        for phone in phones:
            row = {
                "phone": national(mainland(phone) or ""),
                "type": kind,
                "smsType": _text(params, "smsType"),
                "signatureIdStr": _text(params, "signatureIdStr"),
                "countryType": "DOMESTIC",
                "updateDate": stamp(self._door.now()),
            }
            self._black["/".join((row["phone"], kind, row["signatureIdStr"]))] = row

    def _blacklist(self, own: str, params: Params) -> dict[str, Any]:
        rows = list(self._black.values())
        if phones := params.get("phone"):
            wanted = {national(mainland(phone) or phone) for phone in phones.split(",")}
            rows = [row for row in rows if row["phone"] in wanted]
        if own_signature := params.get("signatureIdStr"):
            rows = [row for row in rows if row["signatureIdStr"] == own_signature]
        return _page(rows, params, "blacklists")

    def _unblock(self, own: str, params: Params) -> None:
        phones = [national(mainland(phone) or phone) for phone in params.get("phones", "").split(",") if phone]
        if own != "delete" or not phones:
            raise _Refusal("4502")
        for key in [key for key, row in self._black.items() if row["phone"] in phones]:
            del self._black[key]

    # -- pushes -----------------------------------------------------------------------------------------------

    def _push(self, body: Mapping[str, Any]) -> PushOut:
        """Signed over token, stamp and body; an empty token takes no part."""
        raw = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        at = str(int(self._door.now().timestamp() * 1000))
        headers = {
            "requestId": digest_id(f"{self._door.label} push", counted(self._door.memory, "pushes")),
            "timestamp": at,
            "signature": md5(self._token.encode() + at.encode() + raw, usedforsecurity=False).hexdigest(),
        }
        return PushOut(body=raw, content_type="application/json;charset=utf-8", headers=headers)

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        if not claims:
            return None
        claim = claims[0]
        delivered = claim.state is DeliveryState.DELIVERED
        code = REPORT_CODES.get(claim.reason, claim.code) if claim.reason else claim.code
        body = _report(
            claim.key,
            claim.number,
            "0" if delivered else "2",
            code,
            claim.reference or "",
            claim.segments,
            claim.submitted_at,
            claim.claimed_at,
        )
        return self._push(body)

    def push_reply(self, reply: Reply) -> PushOut | None:
        body = {
            "mobile": national(reply.number),
            "content": reply.text,
            "sign": reply.signature,
            "receiveTime": _utc(reply.sent_at),
            "userExtId": reply.extension,
        }
        return self._push(body)

    def push_decision(self, review: Review) -> PushOut | None:
        """Never: no push of review results was found; customers ask."""
        return None

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200, whatever the body says."""
        return status == 200


_EARLY: Final = 1800.0  # seconds a customer's clock may be ahead
ACTIONS: Final[Mapping[tuple[str, str], Callable[[Counterpart, str, Params], dict[str, Any] | None]]] = {
    ("POST", "template"): Counterpart._create_template,
    ("GET", "template"): Counterpart._get_template,
    ("POST", "signatureApply"): Counterpart._create_signature,
    ("GET", "signatureApply"): Counterpart._get_signature,
    ("GET", "summary"): Counterpart._summary,
    ("GET", "prepay"): Counterpart._packages,
    ("POST", "blacklist"): Counterpart._block,
    ("GET", "blacklist"): Counterpart._blacklist,
    ("DELETE", "blacklist"): Counterpart._unblock,
}


def _escaped(text: str) -> str:
    return quote(text, safe="-_.~")


def _body(heard: Heard, code: str) -> Params:
    try:
        body = read_json(heard.body)
    except ValueError:
        raise _Refusal(code) from None
    if not isinstance(body, dict):
        raise _Refusal(code)
    return body


def _text(params: Params, key: str) -> str:
    """A field that has to be text; empty if it is missing or null."""
    value = params.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _Refusal("4501")
    return value


def _short(text: str) -> str:
    """The signature a text goes out with: what caps count by."""
    return text[1:].partition("】")[0]


def _row(written: str, code: str, key: str = "") -> dict[str, Any]:
    message = "成功" if code == "1000" else CODES.get(code, "失败")
    return {"code": code, "message": message, "mobile": written, "messageId": key}


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _report(
    key: str, number: str, told: str, code: str, custom: str, segments: int, sent_at: datetime, at: datetime
) -> dict[str, Any]:
    return {
        "code": told,
        "requestId": key.partition("_")[0],
        "messageId": key,
        "mobile": national(number),
        "carrierCode": code,
        "custom": custom,
        "attemptCount": 1,
        "segmentCount": segments,
        "deliverTime": _utc(at),
        "requestTime": _utc(sent_at),
    }


def _template_id(review: Review) -> str:
    return f"sms-tmpl-R{review.number:07d}"


def _signature_id(review: Review) -> str:
    return f"sms-sign-R{review.number:07d}"


def _page(rows: Sequence[Any], params: Params, key: str) -> dict[str, Any]:
    number, size = whole(params.get("pageNo", "1"), 1, 10**6), whole(params.get("pageSize", "10"), 1, 99_999)
    if number is None or size is None:
        raise _Refusal("4501")
    page = list(rows[(number - 1) * size : number * size])
    return {"totalCount": len(rows), "pageNo": number, "pageSize": size, key: page}


def _count_row(name: str, counts: Counts) -> dict[str, str]:
    """All texts. What the counts of long messages count is not clear, so they are those of messages here."""

    def of(*reasons: Reason) -> str:
        return str(sum(counts.by_reason.get(reason, 0) for reason in reasons))

    def share(part: int) -> str:
        return f"{part / counts.submitted:.2f}" if counts.submitted else "0"

    return {
        "datetime": name,
        "countryAlpha2Code": "",
        "submitCount": str(counts.submitted),
        "submitLongCount": str(counts.submitted),
        "responseSuccessCount": str(counts.submitted),
        "responseSuccessProportion": "1.0",
        "deliverSuccessCount": str(counts.delivered),
        "deliverSuccessLongCount": str(counts.delivered),
        "deliverSuccessProportion": share(counts.delivered),
        "deliverFailureCount": str(counts.undelivered),
        "deliverFailureProportion": share(counts.undelivered),
        "receiptProportion": share(counts.delivered + counts.undelivered),
        "unknownCount": str(counts.unreported),
        "unknownProportion": share(counts.unreported),
        "notExistCount": of(Reason.INVALID_NUMBER),
        "blacklistCount": of(Reason.BLACKLISTED, Reason.OPTED_OUT),
        "overclockingCount": of(Reason.FREQUENCY_CAP),
        "illegalWordCount": of(Reason.SENSITIVE_CONTENT),
        "anomalyCount": of(Reason.UNREACHABLE, Reason.OUT_OF_SERVICE),
        "otherErrorCount": of(Reason.CARRIER_FAULT, Reason.VENDOR_FAULT),
    }

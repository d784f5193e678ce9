"""SUBMAIL's side of the wire: API v4 as its documents describe it (facts/vendors/submail.md).

A text is free, but must begin with a 【signature】; one that matches no template becomes a template under review.
Credentials: `appid`, `appkey`, `subhook_key` (signs pushes). Options: `stale: accepted` (timestamps), `per_minute`,
`per_hour`, `per_day`, `same_content_per_day` (no figures are documented, so by default there is no limit) and
`caps: lifted`, `qps`, `error_status` (HTTP status of errors, 200), `codes: number`, `multi_to: absent`, `subhook`
(form, json, multipart), `spelling: unkown`, `blacklist_book` (an address book that blocks), `unit_price` (CNY).
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import md5, sha1, sha256
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx

from harness.domain import BEIJING, Carrier, DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from harness.text import split_signature
from vendors.sandbox.door import (
    Claim,
    Counts,
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
    filled,
    hear,
    is_over_rate,
    literal_parts,
    mainland,
    names_in,
    national,
    pairs,
    read_json,
    whole,
)

_JSON: Final = "application/json; charset=utf-8"
_FRESH_SECONDS: Final = 6
_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_LONGEST_TEXT: Final = 1000
_LONGEST_TEMPLATE: Final = 500
_LONGEST_VALUE: Final = 100
_LONGEST_TAG: Final = 32
_MOST_NUMBERS: Final = 10_000
_MOST_MULTI: Final = 200  # fifty are advised; the most any source speaks of
_MOST_DAYS: Final = 400
_FILED_AT: Final = 1_640_995_200  # 2022-01-01: what an account has from the start was filed before any world begins
_MOST_AMBIGUOUS: Final = 6  # variables of a template up to which every way to match it is tried
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_UNKNOWN_PLACE: Final = "UNKOWN"  # their own spelling, of places nobody knows: the sandbox knows none
_VARIABLE: Final = re.compile(r"@var\(([A-Za-z0-9_]+)\)")
_CODE_LIKE: Final = re.compile(r"[0-9A-Z]{4,}")

CODES: Final[Mapping[int, str]] = {
    101: "Incorrect APP ID",
    107: "Invalid sign_type. The sign_type must be set as MD5 or SHA1 or normal",
    108: "Invalid signature",
    109: "Invalid appkey",
    111: "Empty signature",
    114: "This phone number has been blocked by account blocklist",
    115: "This phone number request frequency limit",
    116: "The SMS signature has been using other appid",
    117: "The SMS templates error",
    118: "The SMS templates error",
    119: "Permission Denied",
    151: "timestamp error",
    152: "Invalid timestamp",
    251: "Incorrect recipient message address",
    253: "This contact has unsubscribed your messaging system.",
    305: "Project ID cannot be empty",
    306: "Invalid Project ID",
    307: "Incorrect json format, please check vars and link parameters",
    310: "The tag is limited to 32 characters",
    401: "Message signature cannot be empty",
    402: "Please limit message signature to 40 characters",
    403: "Message content cannot be empty",
    404: "Please limit message content and signature to 1000 characters",
    405: "The following '{words}' word or phrase can not appear in a text message",
    408: "You cannot send same messages to this contact or the contact in the address book",
    409: "This SMS project is being reviewed, please try again later.",
    410: "empty multi value",
    411: "empty sms signature",
    413: "Please limit sms signature to 2-10 characters",
    414: "empty sms content",
    415: "Please limit sms content to 500 characters",
    416: "Please limit sms title to 64 characters",
    417: "Empty template Id",
    418: "Target template does not exist",
    420: "There is no template match",
    901: "Your quota has been filled for the day",
    903: "Your message account credit is not enough to support your sending request",
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.BLACKLISTED: 114,
    Reason.OPTED_OUT: 253,
    Reason.SENSITIVE_CONTENT: 405,
    Reason.FREQUENCY_CAP: 115,
    Reason.SIGNATURE_NOT_APPROVED: 117,
    Reason.SIGNATURE_NOT_REGISTERED: 116,
    Reason.TEMPLATE_NOT_APPROVED: 420,
    Reason.INVALID_NUMBER: 251,
    Reason.BALANCE: 903,
    Reason.QUOTA: 901,
    Reason.AUTH: 119,
}
"""What stands nowhere (throttling, hours, faults) has no code of its own in the card and gets 119."""
_NO_CODE: Final = 119
_LONG_PARAMS: Final[Mapping[str, frozenset[str]]] = {
    "/sms/send": frozenset(("content",)),
    "/sms/batchsend": frozenset(("content",)),
    "/sms/xsend": frozenset(("vars",)),
    "/sms/batchxsend": frozenset(("vars",)),
    "/sms/multisend": frozenset(("multi", "content")),
    "/sms/multixsend": frozenset(("multi", "content")),
}
"""What sign_version=2 leaves out of the signed string."""
_OPERATORS: Final[Mapping[str, str]] = {
    "中国移动": "134 135 136 137 138 139 147 148 150 151 152 157 158 159 172 178 182 183 184 187 188 195 197 198",
    "中国联通": "130 131 132 145 146 155 156 166 167 171 175 176 185 186 196",
    "中国电信": "133 149 153 173 174 177 180 181 189 190 191 193 199",
    "中国广电": "192",
}
_COUNTED_CARRIERS: Final = (Carrier.CHINA_MOBILE, Carrier.CHINA_UNICOM, Carrier.CHINA_TELECOM)
_DROPPED_WORDS: Final[Mapping[Reason, str]] = {
    Reason.INVALID_NUMBER: "空号/停机/关机",
    Reason.UNREACHABLE: "消息接收超时",
    Reason.BLACKLISTED: "号码异常",
    Reason.OPTED_OUT: "号码异常",
}
_DROPPED_OTHERWISE: Final = "无法投递消息"
_STATUS_WORDS: Final = {"1": "正在审核", "2": "通过审核", "3": "未通过审核"}

Params = Mapping[str, str]


class _Refusal(Exception):
    """A request, or one number of it, refused with one of the vendor's codes."""

    def __init__(self, code: int, message: str | None = None, **more: object) -> None:
        super().__init__(code)
        self.code, self.message, self.more = code, message or CODES[code], more


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A template and the signature it goes out with."""

    template: FiledTemplate
    signature: str


class Counterpart:
    """SUBMAIL for one app."""

    push_batch = 1  # one event a push
    push_retry: tuple[timedelta, ...] = ()  # no rule found

    def __init__(self, door: Door) -> None:
        self._door = door
        self._app = credential(door.credentials, "appid", "app_id")
        self._key = credential(door.credentials, "appkey", "app_key")
        self._hook_key = door.credentials.get("subhook_key", "")
        self._sent = Tally(door.memory, "sent", keep=_DAY)

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        path = heard.path.removesuffix(".json")  # .xml and .yaml exist; their shapes are not in the card
        try:
            if (heard.method, path) == ("GET", "/service/timestamp"):
                return answer_json(200, {"timestamp": int(self._door.now().timestamp())}, content_type=_JSON)
            params = _params(heard)
            self._admit(path, params)
            act = ACTIONS.get((heard.method, path))
            if act is None or self._is_too_fast():
                raise _Refusal(_NO_CODE)
            return answer_json(200, act(self, params), content_type=_JSON)
        except _Refusal as refusal:
            status = whole(self._door.options.get("error_status"), 200, 599) or 200
            return answer_json(status, self._error(refusal), content_type=_JSON)

    def _is_too_fast(self) -> bool:
        qps = self._door.options.get("qps")
        at = self._door.now().timestamp()
        return is_over_rate(self._door.memory, "calls", at, None if qps is None else int(qps))

    def _error(self, refusal: _Refusal, *, listed: bool = False) -> dict[str, Any]:
        # The code is a string beside a single answer and a number in lists, if the samples are to be believed.
        is_number = listed or self._door.options.get("codes") == "number"
        code: int | str = refusal.code if is_number else str(refusal.code)
        return {"status": "error", "code": code, "msg": refusal.message, **refusal.more}

    def _admit(self, path: str, params: Params) -> None:
        if params.get("appid") != self._app:
            raise _Refusal(101)
        signature = params.get("signature", "")
        if not signature:
            raise _Refusal(111)
        kind = params.get("sign_type", "normal").lower() or "normal"
        if kind == "normal":
            if not hmac.compare_digest(signature.encode("utf-8", "replace"), self._key.encode()):
                raise _Refusal(109)
            return
        if kind not in ("md5", "sha1"):
            raise _Refusal(107)
        at = whole(params.get("timestamp"), 1, 10**11)
        if at is None:
            raise _Refusal(151)
        if abs(self._door.now().timestamp() - at) > _FRESH_SECONDS and self._door.options.get("stale") != "accepted":
            raise _Refusal(152)
        unsigned = {"signature", "tag"}
        if params.get("sign_version") == "2":
            unsigned |= _LONG_PARAMS.get(path, frozenset())
        joined = "&".join(f"{name}={params[name]}" for name in sorted(params) if name not in unsigned)
        to_sign = f"{self._app}{self._key}{joined}{self._app}{self._key}".encode("utf-8", "replace")
        hashed = md5(to_sign, usedforsecurity=False) if kind == "md5" else sha1(to_sign, usedforsecurity=False)
        if not hmac.compare_digest(hashed.hexdigest().encode(), signature.encode("utf-8", "replace")):
            raise _Refusal(108)

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> dict[str, Any]:
        text, template = self._matched(params.get("content", ""))
        return self._send_one(params.get("to", ""), text, template, _tag(params))

    def _send_by_template(self, params: Params) -> dict[str, Any]:
        found = self._project(params)
        text = _rendered(found, _values(params.get("vars")))
        return self._send_one(params.get("to", ""), text, found.template, _tag(params))

    def _send_batch(self, params: Params) -> dict[str, Any]:
        text, template = self._matched(params.get("content", ""))
        return self._send_all(params, text, template)

    def _send_batch_by_template(self, params: Params) -> dict[str, Any]:
        found = self._project(params)
        return self._send_all(params, _rendered(found, _values(params.get("vars"))), found.template)

    def _send_all(self, params: Params, text: str, template: FiledTemplate) -> dict[str, Any]:
        numbers, tag = params.get("to", "").split(","), _tag(params)
        if len(numbers) > _MOST_NUMBERS:
            raise _Refusal(251)
        rows = []
        for number in numbers:
            try:
                row = self._send_one(number, text, template, tag)
                rows.append({"status": "success", "to": number, "send_id": row["send_id"], "fee": row["fee"]})
            except _Refusal as refusal:
                rows.append({**self._error(refusal, listed=True), "to": number})
        batch = self._id("batch")
        ids = frozenset(row["send_id"] for row in rows if "send_id" in row)
        self._door.memory.setdefault("batches", {})[batch] = ids
        fee = sum(row.get("fee", 0) for row in rows)
        return {"status": "success", "batchlist": batch, "total_fee": fee, "responses": rows}

    def _send_multi(self, params: Params) -> list[dict[str, Any]]:
        content = params.get("content", "")
        _check_content(content)

        def prepared(values: Params) -> tuple[str, FiledTemplate]:
            return self._matched(_substituted(content, values))

        return self._send_each(params, prepared)

    def _send_multi_by_template(self, params: Params) -> list[dict[str, Any]]:
        found = self._project(params)

        def prepared(values: Params) -> tuple[str, FiledTemplate]:
            return _rendered(found, values), found.template

        return self._send_each(params, prepared)

    def _send_each(
        self, params: Params, prepared: Callable[[Params], tuple[str, FiledTemplate]]
    ) -> list[dict[str, Any]]:
        """A bare list, in the order of the numbers; one refused does not spoil the others."""
        rows: list[dict[str, Any]] = []
        tag = _tag(params)
        for number, values in _multi(params.get("multi", "")):
            try:
                row = self._send_one(number, *prepared(values), tag)
                # The samples disagree on whether a number is named.
                if self._door.options.get("multi_to") != "absent":
                    row = {"status": "success", "to": number, "send_id": row["send_id"], "fee": row["fee"]}
                rows.append(row)
            except _Refusal as refusal:
                rows.append(self._error(refusal, listed=True))
        return rows

    def _send_one(self, to: str, text: str, template: FiledTemplate, tag: str | None) -> dict[str, Any]:
        number = mainland(to)
        if number is None:
            raise _Refusal(251)
        books: Mapping[str, set[str]] = self._door.memory.get("books", {})
        if number in books.get("unsubscribe", ()):
            raise _Refusal(253)
        if number in books.get(self._door.options.get("blacklist_book", ""), ()):
            raise _Refusal(114)
        self._check_caps(number, text)
        key = self._id("send")
        outcome = self._door.submit(
            Submission(number=number, text=text, purpose=template.purpose, template=template.id, reference=tag, key=key)
        )
        if isinstance(outcome, Turned):
            code = REFUSALS.get(outcome.reason, _NO_CODE)
            raise _Refusal(code, CODES[code].replace("{words}", ",".join(outcome.words)))
        at = self._door.now().timestamp()
        self._sent.add((number,), at)
        self._sent.add((number, _short(text)), at)
        if outcome.fee:
            self._door.memory["price"] = outcome.fee / outcome.segments
        return {"status": "success", "send_id": key, "fee": outcome.segments}

    def _check_caps(self, number: str, text: str) -> None:
        at, content = self._door.now().timestamp(), (number, _short(text))
        for name, count, code in (
            ("same_content_per_day", self._sent.after(content, at - _DAY), 408),
            ("per_minute", self._sent.after((number,), at - _MINUTE), 115),
            ("per_hour", self._sent.after((number,), at - _HOUR), 115),
            ("per_day", self._sent.after((number,), at - _DAY), 115),
        ):
            limit = cap(self._door.options, name, None)
            if limit is not None and count >= limit:
                raise _Refusal(code)

    def _id(self, kind: str) -> str:
        return _digest(self._door.label, kind, counted(self._door.memory, f"{kind} ids"))

    # -- texts and their templates ----------------------------------------------------------------------------

    def _matched(self, content: str) -> tuple[str, FiledTemplate]:
        """Match a free text with the templates; what matches none goes to review and comes back as 409."""
        name, rest = _check_content(content)
        worst = None
        for found, code in self._known():
            if found.signature == name and _pattern(found.template.text).fullmatch(rest):
                if code is None:
                    return content, found.template
                worst = worst or code
        if worst is None:
            self._file_for_review(content, name, rest)
        raise _Refusal(worst or 409)

    def _known(self) -> list[tuple[_Found, int | None]]:
        """Every template, with the code a text that follows it gets; None: it may go. The most literal one first."""
        gone = self._door.memory.get("deleted", ())
        known: list[tuple[_Found, int | None]] = []
        for filed in self._door.templates.values():
            if filed.id not in gone:
                for name, approved in self._door.signatures.items():
                    known.append((_Found(template=filed, signature=name), None if filed.approved and approved else 420))
        for own, review in self._reviews().items():
            if own not in gone:
                known.append((_reviewed(own, review), _code(review)))
        return sorted(known, key=lambda one: -sum(map(len, literal_parts(one[0].template.text)[::2])))

    def _file_for_review(self, content: str, name: str, rest: str) -> None:
        """The vendor makes a template of a text; what looks like a code may change from message to message."""
        marks = iter(range(1, len(rest) + 1))
        text = _CODE_LIKE.sub(lambda _: f"{{var{next(marks)}}}", _VARIABLE.sub(r"{\1}", rest), count=4)
        shown = re.sub(r"\{(\w+)\}", r"@var(\1)", text)
        self._submit_template("", name, shown, text)

    def _submit_template(self, title: str, name: str, content: str, text: str) -> Review:
        return self._door.submit_review(
            subject=Subject.TEMPLATE,
            name=title or content[:30],
            text=text,
            purpose=_purpose(content),
            extra={"title": title, "signature": name, "content": content},
        )

    def _reviews(self) -> dict[str, Review]:
        """The latest review of each template, by its id."""
        updates: Mapping[str, int] = self._door.memory.get("updates", {})
        hidden = set(self._door.memory.get("hidden", ()))
        found = {}
        for review in self._door.reviews(Subject.TEMPLATE):
            if review.number not in hidden:
                own = _template_id(review.number)
                newer = self._door.review(Subject.TEMPLATE, updates[own]) if own in updates else None
                found[own] = newer or review
        return found

    def _project(self, params: Params) -> _Found:
        own = params.get("project", "")
        if not own:
            raise _Refusal(305)
        if own in self._door.memory.get("deleted", ()):
            raise _Refusal(306)
        if (filed := self._door.templates.get(own)) is not None:
            name = next((name for name, approved in self._door.signatures.items() if approved), None)
            if not filed.approved or name is None:
                raise _Refusal(420 if not filed.approved else 117)
            return _Found(template=filed, signature=name)
        if (review := self._reviews().get(own)) is None:
            raise _Refusal(306)
        if (code := _code(review)) is not None:
            raise _Refusal(code)
        return _reviewed(own, review)

    # -- template and signature review ------------------------------------------------------------------------

    def _get_templates(self, params: Params) -> dict[str, Any]:
        rows = self._template_rows()
        if wanted := params.get("template_id"):
            if wanted not in rows:
                raise _Refusal(418)
            page, first = [rows[wanted]], 0
        else:
            number = whole(params.get("offset") or "0", 0, 10**6)
            if number is None:
                raise _Refusal(418)
            first = 50 * number
            page = list(rows.values())[::-1][first : first + 50]  # the latest first
        end = first + len(page)
        return {"status": "success", "start_row": first + 1, "end_row": end, "templates": page}

    def _template_rows(self) -> dict[str, dict[str, Any]]:
        gone = self._door.memory.get("deleted", ())
        name = next(iter(self._door.signatures), "")
        rows = {
            filed.id: {
                "template_id": filed.id,
                "sms_title": "",
                "sms_signature": f"【{name}】",
                "sms_content": re.sub(r"\{(\w+)\}", r"@var(\1)", filed.text),
                "add_date": _FILED_AT,
                "edit_date": _FILED_AT,
                "template_status": "2" if filed.approved else "3",
                "template_status_description": _STATUS_WORDS["2" if filed.approved else "3"],
            }
            for filed in self._door.templates.values()
        }
        rows |= {own: _template_row(own, review) for own, review in self._reviews().items()}
        return {own: row for own, row in rows.items() if own not in gone}

    def _add_template(self, params: Params) -> dict[str, Any]:
        title, name, content = _draft(params)
        review = self._submit_template(title, name, content, _VARIABLE.sub(r"{\1}", content))
        return {"status": "success", "template_id": _template_id(review.number)}

    def _update_template(self, params: Params) -> dict[str, Any]:
        own = self._own_template(params)
        title, name, content = _draft(params)
        newer = self._submit_template(title, name, content, _VARIABLE.sub(r"{\1}", content))
        self._door.memory.setdefault("updates", {})[own] = newer.number
        self._door.memory.setdefault("hidden", set()).add(newer.number)  # it has no id of its own
        return {"status": "success"}

    def _delete_template(self, params: Params) -> dict[str, Any]:
        self._door.memory.setdefault("deleted", set()).add(self._own_template(params))
        return {"status": "success"}

    def _own_template(self, params: Params) -> str:
        own = params.get("template_id", "")
        if not own:
            raise _Refusal(417)
        if own not in self._reviews() or own in self._door.memory.get("deleted", ()):
            raise _Refusal(418)
        return own

    def _get_signatures(self, params: Params) -> dict[str, Any]:
        if params.get("target_appid", self._app) != self._app:
            raise _Refusal(101)
        newest = {review.name: review for review in self._door.reviews(Subject.SIGNATURE)}
        rows = [
            self._signature_row(name, "1" if approved else "2")
            for name, approved in self._door.signatures.items()
            if name not in newest
        ]
        states = {None: "0", ReviewVerdict.APPROVED: "1"}
        rows += [self._signature_row(name, states.get(one.verdict, "2")) for name, one in newest.items()]
        return {"status": "success", "smsSignature": rows}

    def _signature_row(self, name: str, status: str) -> dict[str, Any]:
        return {"appid": self._app, "smsSignature": f"【{name}】", "extend": "", "status": status}

    def _add_signature(self, params: Params) -> dict[str, Any]:
        # The company's papers go along; their fields are not known, so none is asked for.
        name = _bracketed(params.get("sms_signature", ""))
        self._door.submit_review(
            subject=Subject.SIGNATURE, name=name, text=name, purpose=Purpose.NOTIFICATION, extra={}
        )
        return {"status": "success"}

    # -- records, replies, statistics, lists, balance ---------------------------------------------------------

    def _log(self, params: Params) -> Any:
        return self._at_most_once_a_minute("log", lambda: self._read_log(params))

    def _replies(self, params: Params) -> Any:
        return self._at_most_once_a_minute("mo", lambda: self._read_replies(params))

    def _at_most_once_a_minute(self, name: str, read: Callable[[], Any]) -> Any:
        """Asked again within a minute, the vendor answers what it answered before, whatever is asked."""
        at = self._door.now().timestamp()
        asked_at, kept = self._door.memory.get(f"last {name}", (None, None))
        if asked_at is not None and at - asked_at < _MINUTE:
            return kept
        answer = read()
        self._door.memory[f"last {name}"] = (at, answer)
        return answer

    def _read_log(self, params: Params) -> dict[str, Any]:
        begin, end = self._span(params, timedelta(days=1), timedelta(0))
        number = None
        if params.get("to"):
            number = mainland(params["to"])
            if number is None:
                raise _Refusal(251)
        rows = [_log_row(kept, self._app) for kept in self._door.records(number, begin, end)]
        if params.get("send_id"):
            rows = [row for row in rows if row["sendID"] == params["send_id"]]
        if params.get("sendlist"):
            ids = self._door.memory.get("batches", {}).get(params["sendlist"], frozenset())
            rows = [row for row in rows if row["sendID"] in ids]
        if params.get("status"):
            rows = [row for row in rows if row["status"] == params["status"]]
        if params.get("app", self._app) != self._app:
            rows = []
        dates = {"start_date": int(begin.timestamp()), "end_date": int(end.timestamp())}
        return {"status": "success", **dates, **_rows(rows, params, "data")}

    def _read_replies(self, params: Params) -> dict[str, Any]:
        begin, end = self._span(params, timedelta(days=1), timedelta(0))
        if params.get("from"):
            number = mainland(params["from"])
            if number is None:
                raise _Refusal(251)
            numbers = {number: None}
        else:
            # Everybody who was sent something lately may have replied.
            numbers = dict.fromkeys(kept.number for kept in self._door.records(None, begin - timedelta(days=30), end))
        found = [reply for one in numbers for reply in self._door.replies(one, begin, end)]
        found.sort(key=lambda reply: (reply.sent_at, reply.id))
        rows = [
            {
                "appid": self._app,
                "from": national(reply.number),
                "content": reply.text,
                "reply_at": int(reply.sent_at.timestamp()),
            }
            for reply in found
        ]
        return {"status": "success", **_rows(rows, params, "mo")}

    def _statistics(self, params: Params) -> dict[str, Any]:
        begin, end = self._span(params, timedelta(days=7), timedelta(days=1))
        if end - begin > timedelta(days=_MOST_DAYS):
            raise _Refusal(151)
        counts = self._door.counts(begin, end)
        reasons: dict[str, int] = {}
        for reason, number in counts.by_reason.items():
            word = _DROPPED_WORDS.get(reason, _DROPPED_OTHERWISE)
            reasons[word] = reasons.get(word, 0) + number
        overview = {
            **_totals(counts),
            "operators": {str(carrier): counts.by_carrier.get(carrier, 0) for carrier in _COUNTED_CARRIERS},
            "location": {
                "province": {_UNKNOWN_PLACE: counts.submitted},
                "cities": {_UNKNOWN_PLACE: counts.submitted},
            },
            "dropped_reason_analysis": reasons,
        }
        first, last = begin.astimezone(BEIJING).date(), end.astimezone(BEIJING).date()
        timeline = []
        for offset in range((last - first).days + 1):
            day = first + timedelta(days=offset)
            since, until = beijing_day(day)
            report = _totals(self._door.counts(max(since, begin), max(begin, min(until, end))))
            timeline.append({"date": day.isoformat(), "report": report})
        dates = {"start_date": first.isoformat(), "end_date": last.isoformat()}
        return {"status": "success", **dates, "overview": overview, "timeline": timeline}

    def _span(self, params: Params, back: timedelta, until: timedelta) -> tuple[datetime, datetime]:
        """Begin and end of a query in whole seconds; unset, so long before now."""
        now = self._door.now()
        begin = whole(params.get("start_date") or str(int((now - back).timestamp())), 0, 10**11)
        end = whole(params.get("end_date") or str(int((now - until).timestamp()) + 1), 0, 10**11)
        if begin is None or end is None or begin > end:
            raise _Refusal(151)
        return datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end, UTC)

    def _unsubscribe(self, params: Params) -> dict[str, Any]:
        """Without a target onto the unsubscribe list, else off the target's list."""
        target = params.get("target") or "unsubscribe"
        return self._list(params, target, is_on=target == "unsubscribe")

    def _subscribe(self, params: Params) -> dict[str, Any]:
        """Without a target off the unsubscribe list, else onto the target's list."""
        target = params.get("target") or "unsubscribe"
        return self._list(params, target, is_on=target != "unsubscribe")

    def _list(self, params: Params, target: str, *, is_on: bool) -> dict[str, Any]:
        number = mainland(params.get("address", ""))
        if number is None:
            raise _Refusal(251)
        book: set[str] = self._door.memory.setdefault("books", {}).setdefault(target, set())
        (book.add if is_on else book.discard)(number)
        return {"status": "success"}

    def _balance(self, params: Params) -> dict[str, Any]:
        """Messages left; what one costs is learnt from the last one sent."""
        price = self._door.memory.get("price") or Decimal(self._door.options.get("unit_price", "0.05"))
        left = str(max(0, int(self._door.balance() / price)))
        return {"status": "success", "balance": left, "transactional_balance": left}

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        """One event of the first claim. `request` and `sending`, which come before it, are not pushed here."""
        if not claims:
            return None
        claim = claims[0]
        fields: dict[str, Any] = {"address": national(claim.number), "send_id": claim.key}
        match claim.state:
            case DeliveryState.DELIVERED:
                event = "delivered"
                fields |= {"operator": _operator(claim.number), "location": _UNKNOWN_PLACE}
            case DeliveryState.UNKNOWN:
                event = "unkown" if self._door.options.get("spelling") == "unkown" else "unknown"
            case _:
                event = "dropped"
                fields["report"] = claim.code
        if claim.reference is not None:
            fields["tag"] = claim.reference
        return self._event(event, fields, claim.claimed_at)

    def push_reply(self, reply: Reply) -> PushOut | None:
        return self._event("mo", {"address": national(reply.number), "content": reply.text}, reply.sent_at)

    def push_decision(self, review: Review) -> PushOut | None:
        """Of a template; none is known for signatures."""
        if review.subject is not Subject.TEMPLATE or review.verdict is None:
            return None
        updates: Mapping[str, int] = self._door.memory.get("updates", {})
        own = next((one for one, number in updates.items() if number == review.number), _template_id(review.number))
        if review.verdict is ReviewVerdict.APPROVED:
            return self._event("template_accept", {"template_id": own}, self._door.now())
        return self._event("template_reject", {"template_id": own, "reason": review.reason}, self._door.now())

    def _event(self, event: str, fields: Mapping[str, Any], at: datetime) -> PushOut:
        token = self._id("token")
        whole_event = {
            "events": event,
            **fields,
            "app": int(self._app) if self._app.isdecimal() else self._app,
            "timestamp": int(at.timestamp()),
            "token": token,
            "signature": hook_signature(token, self._hook_key),
        }
        match self._door.options.get("subhook", "form"):
            case "json":
                return PushOut(
                    body=json.dumps(whole_event, ensure_ascii=False).encode(), content_type="application/json"
                )
            case "multipart":
                parts = "".join(
                    f'--{token}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                    for name, value in whole_event.items()
                )
                body = f"{parts}--{token}--\r\n".encode("utf-8", "replace")
                return PushOut(body=body, content_type=f"multipart/form-data; boundary={token}")
            case _:
                body = urlencode(whole_event, quote_via=quote, errors="replace").encode()
                return PushOut(body=body, content_type="application/x-www-form-urlencoded")

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200: no other rule could be found."""
        return status == 200


ACTIONS: Final[Mapping[tuple[str, str], Callable[[Counterpart, Params], Any]]] = {
    ("POST", "/sms/send"): Counterpart._send,
    ("GET", "/sms/send"): Counterpart._send,
    ("POST", "/sms/xsend"): Counterpart._send_by_template,
    ("GET", "/sms/xsend"): Counterpart._send_by_template,
    ("POST", "/sms/multisend"): Counterpart._send_multi,
    ("POST", "/sms/multixsend"): Counterpart._send_multi_by_template,
    ("POST", "/sms/batchsend"): Counterpart._send_batch,
    ("POST", "/sms/batchxsend"): Counterpart._send_batch_by_template,
    ("GET", "/sms/template"): Counterpart._get_templates,
    ("POST", "/sms/template"): Counterpart._add_template,
    ("PUT", "/sms/template"): Counterpart._update_template,
    ("DELETE", "/sms/template"): Counterpart._delete_template,
    ("GET", "/sms/appextend"): Counterpart._get_signatures,
    ("POST", "/sms/appextend"): Counterpart._add_signature,
    ("POST", "/sms/log"): Counterpart._log,
    ("POST", "/sms/mo"): Counterpart._replies,
    ("POST", "/sms/reports"): Counterpart._statistics,
    ("POST", "/addressbook/sms/unsubscribe"): Counterpart._unsubscribe,
    ("POST", "/addressbook/sms/subscribe"): Counterpart._subscribe,
    ("POST", "/balance/sms"): Counterpart._balance,
}
"""Not here, for want of a shape: /sms/unionsend."""


def hook_signature(token: str, key: str) -> str:
    """The signature of a SUBHOOK event."""
    return md5(f"{token}{key}".encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _params(heard: Heard) -> dict[str, str]:
    """Query and body together, as text: form, JSON object or multipart."""
    params = dict(pairs(heard.query))
    kind = heard.headers.get("content-type", "").lower()
    if heard.is_form:
        params |= dict(pairs(heard.body))
    elif kind.startswith("application/json") and heard.body:
        try:
            body = read_json(heard.body)
        except ValueError:
            raise _Refusal(307, json_decoding_error=4) from None
        if not isinstance(body, dict) or any(isinstance(value, dict | list) for value in body.values()):
            raise _Refusal(307, json_decoding_error=2)
        params |= {name: str(value) for name, value in body.items() if value is not None}
    elif kind.startswith("multipart/form-data"):
        params |= _multipart(heard.headers["content-type"], heard.body)
    return params


def _multipart(content_type: str, body: bytes) -> dict[str, str]:
    found = re.search(r'boundary="?([^";]+)', content_type)
    fields: dict[str, str] = {}
    if found is None:
        return fields
    for part in body.split(b"--" + found[1].encode("utf-8", "replace")):
        head, _, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        if name is not None:
            fields[name[1].decode("utf-8", "replace")] = content.removesuffix(b"\r\n").decode("utf-8", "replace")
    return fields


def _tag(params: Params) -> str | None:
    tag = params.get("tag")
    if tag is not None and len(tag) > _LONGEST_TAG:
        raise _Refusal(310)
    return tag


def _check_content(content: str) -> tuple[str, str]:
    """The signature in front of a text, and the rest of it."""
    if not content:
        raise _Refusal(403)
    if len(content) > _LONGEST_TEXT:
        raise _Refusal(404)
    name, rest = split_signature(content) if content.startswith("【") else (None, "")
    if not name:
        raise _Refusal(401)
    if len(name) > 40:
        raise _Refusal(402)
    if not rest.strip():
        raise _Refusal(403)
    return name, rest


def _draft(params: Params) -> tuple[str, str, str]:
    """Title, signature and text of a template to be reviewed."""
    name, content, title = _bracketed(params.get("sms_signature", "")), params.get("sms_content", ""), ""
    if not content.strip():
        raise _Refusal(414)
    if len(content) > _LONGEST_TEMPLATE:
        raise _Refusal(415)
    title = params.get("sms_title", "")
    if len(title) > 64:
        raise _Refusal(416)
    return title, name, content


def _bracketed(written: str) -> str:
    if not (written.startswith("【") and written.endswith("】")):
        raise _Refusal(411)
    name = written[1:-1]
    if not 2 <= len(name) <= 10 or "【" in name or "】" in name:
        raise _Refusal(413)
    return name


def _multi(text: str) -> list[tuple[str, dict[str, str]]]:
    """Numbers with their values."""
    if not text:
        raise _Refusal(410)
    try:
        rows = read_json(text)
    except ValueError:
        raise _Refusal(307, json_decoding_error=4) from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _Refusal(307, json_decoding_error=2)
    if not 0 < len(rows) <= _MOST_MULTI:
        raise _Refusal(410)
    return [(str(row.get("to", "")), _texts(row.get("vars", {}))) for row in rows]


def _values(text: str | None) -> dict[str, str]:
    if not text:
        return {}
    try:
        return _texts(read_json(text))
    except ValueError:
        raise _Refusal(307, json_decoding_error=4) from None


def _texts(values: Any) -> dict[str, str]:
    """Values of variables; PHP turns an empty object into an empty list."""
    if values == []:
        return {}
    if not isinstance(values, dict) or any(isinstance(value, dict | list) for value in values.values()):
        raise _Refusal(307, json_decoding_error=2)
    return {name: str(value) for name, value in values.items()}


def _substituted(content: str, values: Params) -> str:
    """A text with its @var(name) put in; one that is missing has no code of its own."""
    try:
        return _VARIABLE.sub(lambda found: values[found[1]], content)
    except KeyError:
        raise _Refusal(307) from None


def _rendered(found: _Found, values: Params) -> str:
    if any(name not in values for name in names_in(found.template.text)):
        raise _Refusal(307)
    text = f"【{found.signature}】{filled(found.template.text, values)}"
    if len(text) > _LONGEST_TEXT:
        raise _Refusal(404)
    return text


def _reviewed(own: str, review: Review) -> _Found:
    template = FiledTemplate(id=own, text=review.text, purpose=review.purpose)
    return _Found(template=template, signature=str(review.extra["signature"]))


def _code(review: Review) -> int | None:
    """What a message by this template is refused with."""
    match review.verdict:
        case None:
            return 409
        case ReviewVerdict.APPROVED:
            return None
        case ReviewVerdict.REJECTED:
            return 420


def _purpose(content: str) -> Purpose:
    """What a text is for, as far as a vendor can tell from it."""
    if "验证码" in content or "校验码" in content:
        return Purpose.VERIFICATION
    return Purpose.MARKETING if "拒收" in content or "退订" in content else Purpose.NOTIFICATION


@lru_cache(maxsize=4096)
def _pattern(template: str) -> re.Pattern[str]:
    """A template as a regular expression: each variable stands for up to a hundred characters, and for some."""
    parts = literal_parts(template)
    some = f"[\\s\\S]{{1,{_LONGEST_VALUE}}}?"
    if len(parts) > 2 * _MOST_AMBIGUOUS:
        # With many variables each one ends where the text behind it first stands, or a match might take for ever.
        inner = "".join(f"(?>{some}{re.escape(part)})" for part in parts[2:-1:2])
        return re.compile(f"{re.escape(parts[0])}{inner}{some}{re.escape(parts[-1])}")
    return re.compile("".join(re.escape(part) if position % 2 == 0 else some for position, part in enumerate(parts)))


def _template_id(number: int) -> str:
    """Six letters and digits, another one for each review."""
    left, letters = (number * 9_176_263 + 12_345_678_901) % 62**6, []
    for _ in range(6):
        left, digit = divmod(left, 62)
        letters.append(_ALPHABET[digit])
    return "".join(letters)


def _template_row(own: str, review: Review) -> dict[str, Any]:
    status = {None: "1", ReviewVerdict.APPROVED: "2"}.get(review.verdict, "3")
    row = {
        "template_id": own,
        "sms_title": review.extra["title"],
        "sms_signature": f"【{review.extra['signature']}】",
        "sms_content": review.extra["content"],
        "add_date": int(review.created_at.timestamp()),
        "edit_date": int(review.created_at.timestamp()),
        "template_status": status,
        "template_status_description": _STATUS_WORDS[status],
    }
    return row | ({"template_reject_reson": review.reason} if status == "3" else {})


def _rows(rows: Sequence[dict[str, Any]], params: Params, name: str) -> dict[str, Any]:
    size, offset = whole(params.get("rows") or "50", 1, 10**6), whole(params.get("offset") or "0", 0, 10**9)
    if size is None or offset is None:
        raise _Refusal(_NO_CODE)
    page = rows[offset : offset + size]
    return {"total": len(rows), "offset": offset, "results": len(page), name: page}


def _log_row(kept: Kept, app: str) -> dict[str, Any]:
    name, rest = split_signature(kept.text)
    at = int(kept.submitted_at.timestamp())
    status = {DeliveryState.DELIVERED: "delivered", DeliveryState.UNKNOWN: "pending"}.get(kept.state, "dropped")
    row: dict[str, Any] = {
        "sendID": kept.key,
        "to": national(kept.number),
        "appid": app,
        "template_id": kept.template,
        "sms_signature": f"【{name or ''}】",
        "sms_content": rest,
        "fee": kept.segments if kept.fee else 0,
        "status": status,
        "report_state": kept.code or "pending",
        "location": _UNKNOWN_PLACE,
        "mobile_type": _operator(kept.number),
        "ip_address": "127.0.0.1",
        "send_at": at,
        "sent_at": at,
    }
    if status == "dropped":
        row["dropped_reason"] = _DROPPED_OTHERWISE
    if kept.claimed_at is not None:
        row["report_at"] = int(kept.claimed_at.timestamp())
    return row


def _totals(counts: Counts) -> dict[str, int]:
    return {
        "request": counts.submitted,
        "deliveryed": counts.delivered,
        "dropped": counts.undelivered,
        "fee": counts.segments,
    }


def _operator(number: str) -> str:
    """The carrier by prefix: the door tells no better."""
    prefix = national(number)[:3]
    return next((name for name, prefixes in _OPERATORS.items() if prefix in prefixes.split()), "未知")


def _digest(*parts: object) -> str:
    return sha256("\0".join(map(str, parts)).encode("utf-8", "replace")).hexdigest()[:32]


def _short(text: str) -> str:
    """What stands for a content in the tally."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]

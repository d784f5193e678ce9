"""Yunpian's side of the wire: API v2 as its documents describe it (facts/vendors/yunpian.md).

A text is free, but must begin with a filed 【signature】 and match an approved template. Errors are HTTP 400 with
`http_status_code`, `code`, `msg`, `detail`. Options of the account: `caps: lifted`, `same_content` (per 30 s),
`same_content_5min`, `per_number_per_hour`, `per_number_per_day` (a number or `lifted`; the documents give no figure
for the last two), `qps`, `push_encoding: double`, `tpl_callback: json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import md5, sha256
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote_plus

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from harness.text import split_signature
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
    filled,
    from_day,
    from_stamp,
    hear,
    is_over_rate,
    literal_parts,
    mainland,
    names_in,
    national,
    pairs,
    stamp,
    whole,
)

_FIRST_SID: Final = 15_065_268_000  # past 2^31, as real ones are
_FIRST_TEMPLATE: Final = 5_200_000  # review number 7 becomes template 5200007
_HALF_MINUTE: Final = 30.0
_FIVE_MINUTES: Final = 300.0
_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
_LONGEST_TEXT: Final = 1000
_LONGEST_VALUE: Final = 100  # characters a variable of a template may stand for
_ANSWER_TYPE: Final = "application/json;charset=utf-8"
_MARKED: Final = re.compile(r"#([A-Za-z0-9_]+)#")

CODES: Final[Mapping[int, str]] = {
    1: "请求参数缺失",
    2: "请求参数格式错误",
    3: "账户余额不足",
    4: "关键词屏蔽",
    5: "未自动匹配到合适的模板",
    6: "添加模板失败",
    7: "模板不可用",
    8: "同一手机号30秒内重复提交相同的内容",
    9: "同一手机号5分钟内重复提交相同的内容超过3次",
    10: "手机号黑名单过滤",
    11: "接口不支持GET方式调用",
    13: "营销短信暂停发送",
    15: "签名不匹配",
    16: "签名格式不正确",
    17: "24小时内同一手机号发送次数超过限制",
    18: "签名校验失败",
    20: "不支持的国家地区",
    22: "1小时内同一手机号发送次数超过限制",
    -1: "非法的apikey",
    -2: "API没有权限",
    -4: "访问次数超限",
    -5: "访问频率超限",
    -50: "未知异常",
    -53: "提交短信失败",
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.BLACKLISTED: 10,
    Reason.OPTED_OUT: 10,
    Reason.SENSITIVE_CONTENT: 4,
    Reason.FREQUENCY_CAP: 17,
    Reason.SIGNATURE_NOT_APPROVED: 18,
    Reason.SIGNATURE_NOT_REGISTERED: 18,
    Reason.TEMPLATE_NOT_APPROVED: 7,
    Reason.INVALID_NUMBER: 2,
    Reason.BALANCE: 3,
    Reason.THROTTLED: -5,
    Reason.QUOTA: -4,
    Reason.HOURS: 13,
    Reason.AUTH: -2,
    Reason.BAD_REQUEST: 2,
    Reason.ROUTING: 20,
    Reason.CARRIER_FAULT: -53,
}
_DEFAULT_TEMPLATES: Final = (
    (1, "【#company#】您的验证码是#code#"),
    (2, "【#company#】您的验证码是#code#。如非本人操作，请忽略本短信"),
)

Params = Mapping[str, str]
_Row = TypeVar("_Row")


class _Refusal(Exception):
    """HTTP 400 with one of the vendor's codes; for batches, the code of one number."""

    def __init__(self, code: int, detail: str | None = None) -> None:
        super().__init__(code)
        self.code, self.detail = code, detail or CODES[code]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """A text that stands: its template found, its signature filed."""

    text: str
    template: FiledTemplate


class Counterpart:
    """Yunpian for one account."""

    push_batch = 100
    push_retry = (timedelta(minutes=5),) * 3

    filing: Final[Mapping[str, str]] = {"website": "https://example.com"}

    def __init__(self, door: Door) -> None:
        self._door = door
        self._key = credential(door.credentials, "apikey", "api_key")
        self._sent = Tally(door.memory, "sent", keep=_DAY)

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        try:
            act, params = self._admit(hear(request))
            return answer_json(200, act(self, params), content_type=_ANSWER_TYPE)
        except _Refusal as refusal:
            error = {
                "http_status_code": 400,
                "code": refusal.code,
                "msg": CODES[refusal.code],
                "detail": refusal.detail,
            }
            return answer_json(400, error, content_type=_ANSWER_TYPE)

    def _admit(self, heard: Heard) -> tuple[Callable[[Counterpart, Params], Any], Params]:
        if heard.method != "POST":
            raise _Refusal(11)
        params = dict(pairs(heard.body)) if heard.is_form else {}
        (key,) = _needed(params, "apikey")
        if key != self._key:
            raise _Refusal(-1, "请检查apikey是否正确，或者账户已经失效")
        act = ACTIONS.get(heard.path)
        if act is None:
            raise _Refusal(-2, f"接口 {heard.path} 不存在或没有权限")
        at = self._door.now().timestamp()
        qps = self._door.options.get("qps")
        if is_over_rate(self._door.memory, "calls", at, None if qps is None else int(qps)):
            raise _Refusal(-5)
        return act, params

    # -- sending ----------------------------------------------------------------------------------------------

    def _single(self, params: Params) -> dict[str, Any]:
        mobile, text = _needed(params, "mobile", "text")
        return self._send_one(mobile, self._matched(text), params)

    def _batch(self, params: Params) -> dict[str, Any]:
        mobile, text = _needed(params, "mobile", "text")
        matched = self._matched(text)
        return self._send_each([(number, matched) for number in _mobiles(mobile)], params)

    def _multi(self, params: Params) -> dict[str, Any]:
        mobile, joined = _needed(params, "mobile", "text")
        # The form is decoded already; each text is still encoded once, so that commas can part them.
        numbers, texts = _mobiles(mobile), [unquote_plus(text) for text in joined.split(",")]
        if len(numbers) != len(texts):
            raise _Refusal(2, "手机号个数与短信内容条数不相等")
        return self._send_each(list(zip(numbers, texts, strict=True)), params)

    def _single_by_template(self, params: Params) -> dict[str, Any]:
        (mobile,) = _needed(params, "mobile")
        return self._send_one(mobile, self._by_template(params), params)

    def _batch_by_template(self, params: Params) -> dict[str, Any]:
        (mobile,) = _needed(params, "mobile")
        matched = self._by_template(params)
        return self._send_each([(number, matched) for number in _mobiles(mobile)], params)

    def _send_each(self, rows: Sequence[tuple[str, _Text | str]], params: Params) -> dict[str, Any]:
        """Every number has its own result; one refused does not spoil the others."""
        data: list[dict[str, Any]] = []
        for mobile, text in rows:
            try:
                matched = self._matched(text) if isinstance(text, str) else text
                data.append(self._send_one(mobile, matched, params))
            except _Refusal as refusal:
                data.append(
                    {
                        "code": refusal.code,
                        "msg": f"{CODES[refusal.code]}: {refusal.detail}",
                        "count": 0,
                        "fee": 0.0,
                        "unit": "RMB",
                        "mobile": mobile,
                        "sid": None,
                    }
                )
        fee = sum((Decimal(str(row["fee"])) for row in data), Decimal(0))
        count = sum(row["count"] for row in data)
        return {"total_count": count, "total_fee": f"{fee:.4f}", "unit": "RMB", "data": data}

    def _send_one(self, mobile: str, matched: _Text, params: Params) -> dict[str, Any]:
        number = mainland(mobile)
        if number is None:
            if re.fullmatch(r"\+[1-9][0-9]{5,14}", mobile) and not mobile.startswith("+86"):
                raise _Refusal(20)
            raise _Refusal(2, "参数 mobile 格式不正确，mobile必须是有效的手机号")
        if len(params.get("uid", "")) > 256:
            raise _Refusal(2, "参数 uid 长度超过256")
        for flag in ("register", "mobile_stat"):
            if params.get(flag, "false").lower() not in ("true", "false"):
                raise _Refusal(2, f"参数 {flag} 须为布尔值")
        extension = params.get("extend", "")
        if extension and not (extension.isascii() and extension.isdigit()):
            raise _Refusal(2, "参数 extend 须为数字")
        self._check_caps(number, matched.text)
        sid = _FIRST_SID + counted(self._door.memory, "sids")
        outcome = self._door.submit(
            Submission(
                number=number,
                text=matched.text,
                purpose=matched.template.purpose,
                template=matched.template.id,
                reference=params.get("uid"),
                extension=extension,
                key=str(sid),
            )
        )
        if isinstance(outcome, Turned):
            raise _refused(outcome)
        self._count(number, matched.text)
        return {
            "code": 0,
            "msg": "发送成功",
            "count": outcome.segments,
            "fee": float(outcome.fee),
            "unit": "RMB",
            "mobile": national(number),
            "sid": sid,
        }

    def _matched(self, text: str) -> _Text:
        """Find the template a text follows: an approved one, the most literal one first."""
        if len(text) > _LONGEST_TEXT:
            raise _Refusal(2, "参数 text 过长")
        if not text.startswith("【"):
            raise _Refusal(16, "短信内容须以【签名】开头")
        name, rest = split_signature(text)
        if name is None:
            raise _Refusal(16, "短信内容须以【签名】开头")
        self._check_signature(name)
        found = None
        for template in self._all_templates():
            if _pattern(template.text).fullmatch(rest):
                if template.approved:
                    return _Text(text=text, template=template)
                found = template
        if found is not None:
            raise _Refusal(7)
        raise _Refusal(5, "未自动匹配到合适的模板，请先添加模板")

    def _by_template(self, params: Params) -> _Text:
        tpl_id, joined = _needed(params, "tpl_id", "tpl_value")
        template = self._template(tpl_id)
        if template is None:
            raise _Refusal(5, "模板不存在")
        if not template.approved:
            raise _Refusal(7)
        values = {name.strip("#"): value for name, value in pairs(joined.encode("utf-8", "replace"))}
        if lacking := [name for name in names_in(template.text) if not values.get(name)]:
            raise _Refusal(2, f"参数 tpl_value 缺少变量 {'、'.join(lacking)}")
        # Templates of the account stand without a signature: its first approved one goes in front.
        own = self._door.memory.get("template signatures", {}).get(tpl_id)
        name = own or next((name for name, approved in self._door.signatures.items() if approved), None)
        if name is None:
            raise _Refusal(18)
        self._check_signature(name)
        return _Text(text=f"【{name}】{filled(template.text, values)}", template=template)

    def _check_signature(self, name: str) -> None:
        approved = self._door.signatures.get(name)
        if approved is None:
            reviews = [one for one in self._door.reviews(Subject.SIGNATURE) if one.name == name]
            if not reviews:
                raise _Refusal(15, f"签名 {name} 未在账户下报备")
            approved = reviews[-1].verdict is ReviewVerdict.APPROVED
        if not approved:
            raise _Refusal(18, f"签名 {name} 未通过审核")

    def _check_caps(self, number: str, text: str) -> None:
        at, content = self._door.now().timestamp(), (number, _short(text))
        for name, default, count, code in (
            ("same_content", 1, self._sent.after(content, at - _HALF_MINUTE), 8),
            ("same_content_5min", 3, self._sent.after(content, at - _FIVE_MINUTES), 9),
            ("per_number_per_hour", 5, self._sent.after((number,), at - _HOUR), 22),
            ("per_number_per_day", 10, self._sent.after((number,), at - _DAY), 17),
        ):
            limit = cap(self._door.options, name, default)
            if limit is not None and count >= limit:
                raise _Refusal(code)

    def _count(self, number: str, text: str) -> None:
        at = self._door.now().timestamp()
        self._sent.add((number,), at)
        self._sent.add((number, _short(text)), at)

    # -- pulling ----------------------------------------------------------------------------------------------

    def _pull_reports(self, params: Params) -> list[dict[str, Any]]:
        return [_report(claim) for claim in self._door.take_reports(_page_size(params))]

    def _pull_replies(self, params: Params) -> list[dict[str, Any]]:
        return [{**_reply(reply), "_sign": None} for reply in self._door.take_replies(_page_size(params))]

    def _replies(self, params: Params) -> list[dict[str, Any]]:
        _needed(params, "start_time", "end_time", "page_num", "page_size")
        begin, end, number = _span(params)
        # Without a number, everybody who was sent something lately may have replied.
        numbers = (
            dict.fromkeys(kept.number for kept in self._door.records(None, begin - timedelta(days=30), end))
            if number is None
            else (number,)
        )
        found = [reply for one in numbers for reply in self._door.replies(one, begin, end)]
        found.sort(key=lambda reply: (reply.sent_at, reply.id))
        return [{**_reply(reply), "_sign": None} for reply in _page(found, params)]

    # -- records, statistics, account -------------------------------------------------------------------------

    def _records(self, params: Params) -> list[dict[str, Any]]:
        begin, end, number = _span(params)
        if params.get("type", "") not in ("", "all", "global"):
            raise _Refusal(2, "参数 type 不正确")
        kept = [] if params.get("type") == "global" else self._door.records(number, begin, end)
        return [_record(one) for one in _page(kept, params)]

    def _total(self, params: Params) -> dict[str, Any]:
        begin, end, number = _span(params)
        return {"total": len(self._door.records(number, begin, end))}

    def _day_fee(self, params: Params) -> dict[str, Any]:
        (text,) = _needed(params, "date")
        day = from_day(text, dashes=True)
        if day is None:
            raise _Refusal(2, "参数 date 格式须为 yyyy-MM-dd")
        if day >= self._door.now().astimezone(BEIJING).date():
            raise _Refusal(2, "当天的数据尚不可查询")
        counts = self._door.counts(*beijing_day(day))
        return {
            "totalCount": counts.submitted,
            "totalFee": f"{counts.fee:.3f}",
            "totalSuccessCount": counts.delivered,
            "totalFailedCount": counts.undelivered,
            "totalUnknownCount": counts.unreported,
        }

    def _blocked_words(self, params: Params) -> list[str]:
        (text,) = _needed(params, "text")
        return list(self._door.blocked_words(text))

    def _user(self, params: Params) -> dict[str, Any]:
        return {
            "nick": self._door.label,
            "gmt_created": "2020-01-01 00:00:00",
            "mobile": "13800000000",
            "email": "sandbox@example.invalid",
            "ip_whitelist": None,
            "api_version": "v2",
            "balance": float(self._door.balance()),
            "alarm_balance": 0,
            "emergency_contact": "",
            "emergency_mobile": "",
        }

    # -- templates --------------------------------------------------------------------------------------------

    def _all_templates(self) -> list[FiledTemplate]:
        """Filed ones, then reviewed ones, each kind with the most literal first."""
        gone = self._door.memory.get("deleted", ())
        reviews = self._door.reviews(Subject.TEMPLATE)
        every = [*self._door.templates.values(), *(self._reviewed(review) for review in reviews)]
        every = [template for template in every if template.id not in gone]
        return sorted(every, key=lambda template: -_literal_length(template.text))

    def _reviewed(self, review: Review) -> FiledTemplate:
        current = self._current(review)
        approved = current.verdict is ReviewVerdict.APPROVED
        return FiledTemplate(id=_template_id(review), text=current.text, purpose=current.purpose, approved=approved)

    def _current(self, review: Review) -> Review:
        """The review that counts for a template: of its last update, if it was updated."""
        newest = self._door.memory.get("updates", {}).get(_template_id(review))
        return review if newest is None else self._door.review(Subject.TEMPLATE, newest) or review

    def _review_of(self, tpl_id: str) -> Review | None:
        number = whole(tpl_id, _FIRST_TEMPLATE + 1, 10**17)
        if number is None or tpl_id in self._door.memory.get("deleted", ()):
            return None
        return self._door.review(Subject.TEMPLATE, number - _FIRST_TEMPLATE)

    def _template(self, tpl_id: str) -> FiledTemplate | None:
        if tpl_id in self._door.memory.get("deleted", ()):
            return None
        if (filed := self._door.templates.get(tpl_id)) is not None:
            return filed
        review = self._review_of(tpl_id)
        return None if review is None else self._reviewed(review)

    def _add_template(self, params: Params) -> dict[str, Any]:
        (content,) = _needed(params, "tpl_content")
        kind = params.get("tpl_type", "0")
        if kind not in ("0", "1") or params.get("notify_type", "0") not in ("0", "1", "2", "3"):
            raise _Refusal(2)
        if kind == "1":
            _needed(params, "website", "apply_description")
        review = self._submit_template(content, Purpose.VERIFICATION if kind == "1" else Purpose.NOTIFICATION)
        return _template_row(_template_id(review), content, review)

    def _submit_template(self, content: str, purpose: Purpose) -> Review:
        name, rest = split_signature(content)
        if not content.startswith("【") or name is None or not rest.strip() or len(content) > _LONGEST_TEXT:
            raise _Refusal(6, "模板内容须以【签名】开头")
        self._check_signature(name)
        review = self._door.submit_review(
            subject=Subject.TEMPLATE,
            name=content[:30],
            text=_MARKED.sub(r"{\1}", rest),
            purpose=purpose,
            extra={"content": content},
        )
        self._door.memory.setdefault("template signatures", {})[_template_id(review)] = name
        return review

    def _get_template(self, params: Params) -> Any:
        gone = self._door.memory.get("deleted", ())
        rows = {filed.id: self._filed_row(filed) for filed in self._door.templates.values() if filed.id.isdecimal()}
        updates = set(self._door.memory.get("updates", {}).values())
        for review in self._door.reviews(Subject.TEMPLATE):
            if review.number not in updates:
                current = self._current(review)
                rows[_template_id(review)] = _template_row(_template_id(review), _content(current), current)
        rows = {tpl_id: row for tpl_id, row in rows.items() if tpl_id not in gone}
        if not params.get("tpl_id"):
            return list(rows.values())
        if params["tpl_id"] not in rows:
            raise _Refusal(5, "模板不存在")
        return rows[params["tpl_id"]]

    def _filed_row(self, filed: FiledTemplate) -> dict[str, Any]:
        name = next(iter(self._door.signatures), "")
        return {
            "tpl_id": int(filed.id),
            "tpl_content": f"【{name}】{re.sub(r'[{}]', '#', filed.text)}",
            "check_status": "SUCCESS" if filed.approved else "FAIL",
            "reason": None,
        }

    def _update_template(self, params: Params) -> dict[str, Any]:
        tpl_id, content = _needed(params, "tpl_id", "tpl_content")
        review = self._review_of(tpl_id)
        if review is None:
            raise _Refusal(5, "模板不存在")
        newer = self._submit_template(content, review.purpose)
        self._door.memory.setdefault("updates", {})[tpl_id] = newer.number
        self._door.memory.setdefault("deleted", set()).add(_template_id(newer))  # it has no id of its own
        self._door.memory["template signatures"][tpl_id] = split_signature(content)[0]
        return _template_row(tpl_id, content, newer)

    def _delete_template(self, params: Params) -> dict[str, Any]:
        (tpl_id,) = _needed(params, "tpl_id")
        row: dict[str, Any] = self._get_template({"tpl_id": tpl_id})
        self._door.memory.setdefault("deleted", set()).add(tpl_id)
        return row

    def _default_templates(self, params: Params) -> Any:
        rows = [
            {"tpl_id": number, "tpl_content": content, "check_status": "SUCCESS", "reason": None}
            for number, content in _DEFAULT_TEMPLATES
        ]
        if not params.get("tpl_id"):
            return rows
        row = next((row for row in rows if str(row["tpl_id"]) == params["tpl_id"]), None)
        if row is None:
            raise _Refusal(5, "模板不存在")
        return row

    # -- signatures -------------------------------------------------------------------------------------------

    def _add_signature(self, params: Params) -> dict[str, Any]:
        written, _website = _needed(params, "sign", "website")
        return self._submit_signature(written, params)

    def _submit_signature(self, written: str, params: Params) -> dict[str, Any]:
        name = written.removeprefix("【").removesuffix("】")
        if not 2 <= len(name) <= 20 or "【" in name or "】" in name:
            raise _Refusal(16)
        review = self._door.submit_review(
            subject=Subject.SIGNATURE,
            name=name,
            text=name,
            purpose=Purpose.NOTIFICATION,
            extra={"industry": params.get("industry_type", "")},
        )
        return {"code": 0, "msg": "OK", "sign": {"apply_state": _check_status(review), **_signature_row(review)}}

    def _get_signature(self, params: Params) -> dict[str, Any]:
        wanted = params.get("sign", "")
        newest = {review.name: review for review in self._door.reviews(Subject.SIGNATURE)}
        rows = [_filed_signature_row(name, ok) for name, ok in self._door.signatures.items() if name not in newest]
        rows += [_signature_row(review) for review in newest.values()]
        # Fuzzy, unless it is bracketed.
        rows = [row for row in rows if (row["sign"] == wanted if wanted.startswith("【") else wanted in row["sign"])]
        return {"code": 0, "total": len(rows), "sign": _page(rows, params)}

    def _update_signature(self, params: Params) -> dict[str, Any]:
        old, new = _needed(params, "old_sign", "sign")
        name = old.removeprefix("【").removesuffix("】")
        reviews = [one for one in self._door.reviews(Subject.SIGNATURE) if one.name == name]
        if self._door.signatures.get(name) or (reviews and reviews[-1].verdict is ReviewVerdict.APPROVED):
            raise _Refusal(18, "已报备的签名不可修改")
        if not reviews:
            raise _Refusal(15, "签名不存在")
        return self._submit_signature(new, params)

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        """One form field `sms_status` with a JSON array."""
        return self._push("sms_status", [_report(claim) for claim in claims]) if claims else None

    def push_reply(self, reply: Reply) -> PushOut | None:
        """One form field `sms_reply` with a JSON object, signed."""
        fields = _reply(reply)
        push = self._push("sms_reply", {**fields, "_sign": reply_signature(fields, self._key)})
        return replace(push, retry=(timedelta(minutes=1),) * 5)

    def push_decision(self, review: Review) -> PushOut | None:
        """The callback of a template; none is known for signatures. Its encoding is nowhere said: form by default."""
        if review.subject is not Subject.TEMPLATE:
            return None
        updates = self._door.memory.get("updates", {})
        tpl_id = next((own for own, number in updates.items() if number == review.number), _template_id(review))
        row = _template_row(tpl_id, _content(review), review)
        if self._door.options.get("tpl_callback") == "json":
            body = json.dumps(row, ensure_ascii=False).encode()
            return PushOut(body=body, content_type="application/json;charset=utf-8")
        fields = "&".join(f"{name}={quote(str(value or ''), safe='')}" for name, value in row.items())
        return PushOut(body=fields.encode(), content_type="application/x-www-form-urlencoded;charset=utf-8")

    def _push(self, field: str, value: Any) -> PushOut:
        text = json.dumps(value, ensure_ascii=False)
        if self._door.options.get("push_encoding") == "double":
            text = quote(text, safe="")
        body = f"{field}={quote(text, safe='')}".encode()
        return PushOut(body=body, content_type="application/x-www-form-urlencoded;charset=utf-8")

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200 and a body that is exactly `SUCCESS` or `0`."""
        return status == 200 and body in (b"SUCCESS", b"0")


ACTIONS: Final[Mapping[str, Callable[[Counterpart, Params], Any]]] = {
    "/v2/sms/single_send.json": Counterpart._single,
    "/v2/sms/batch_send.json": Counterpart._batch,
    "/v2/sms/multi_send.json": Counterpart._multi,
    "/v2/sms/tpl_single_send.json": Counterpart._single_by_template,
    "/v2/sms/tpl_batch_send.json": Counterpart._batch_by_template,
    "/v2/sms/pull_status.json": Counterpart._pull_reports,
    "/v2/sms/pull_reply.json": Counterpart._pull_replies,
    "/v2/sms/get_reply.json": Counterpart._replies,
    "/v2/sms/get_record.json": Counterpart._records,
    "/v2/sms/count.json": Counterpart._total,
    "/v2/sms/get_total_fee.json": Counterpart._day_fee,
    "/v2/sms/get_black_word.json": Counterpart._blocked_words,
    "/v2/tpl/add.json": Counterpart._add_template,
    "/v2/tpl/get.json": Counterpart._get_template,
    "/v2/tpl/update.json": Counterpart._update_template,
    "/v2/tpl/del.json": Counterpart._delete_template,
    "/v2/tpl/get_default.json": Counterpart._default_templates,
    "/v2/sign/add.json": Counterpart._add_signature,
    "/v2/sign/get.json": Counterpart._get_signature,
    "/v2/sign/update.json": Counterpart._update_signature,
    "/v2/user/get.json": Counterpart._user,
}


def reply_signature(fields: Mapping[str, Any], key: str) -> str:
    """The `_sign` of a pushed reply: values in the order of their keys, then the apikey, joined by commas, md5."""
    joined = ",".join([*(str(fields[name]) for name in sorted(fields)), key])
    return md5(joined.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _needed(params: Params, *names: str) -> tuple[str, ...]:
    for name in names:
        if not params.get(name):
            raise _Refusal(1, f"参数 {name} 必须传入")
    return tuple(params[name] for name in names)


def _mobiles(text: str) -> list[str]:
    numbers = text.split(",")
    if len(numbers) > 1000:
        raise _Refusal(2, "一次提交的手机号不能超过1000个")
    return numbers


def _refused(turned: Turned) -> _Refusal:
    code = REFUSALS.get(turned.reason, -50)
    if turned.reason is Reason.SENSITIVE_CONTENT:
        return _Refusal(code, f"关键词 {'，'.join(turned.words)} 为屏蔽词，不允许发送")
    return _Refusal(code)


@lru_cache(maxsize=4096)
def _pattern(template: str) -> re.Pattern[str]:
    """A template as a regular expression: each variable stands for up to a hundred characters, and for some."""
    parts = literal_parts(template)
    some = f"[\\s\\S]{{1,{_LONGEST_VALUE}}}?"
    return re.compile("".join(re.escape(part) if position % 2 == 0 else some for position, part in enumerate(parts)))


@lru_cache(maxsize=4096)
def _literal_length(template: str) -> int:
    return sum(len(part) for part in literal_parts(template)[::2])


def _short(text: str) -> str:
    """What stands for a content in the tally."""
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _page_size(params: Params) -> int:
    size = whole(params.get("page_size") or "20", 1, 100)
    if size is None:
        raise _Refusal(2, "参数 page_size 须为1-100")
    return size


def _page(rows: Sequence[_Row], params: Params) -> Sequence[_Row]:
    size, number = _page_size(params), whole(params.get("page_num") or "1", 1, 10**9)
    if number is None:
        raise _Refusal(2, "参数 page_num 不正确")
    return rows[(number - 1) * size : number * size]


def _span(params: Params) -> tuple[datetime, datetime, str | None]:
    begin_text, end_text = _needed(params, "start_time", "end_time")
    begin, end = from_stamp(begin_text), from_stamp(end_text)
    earliest, latest = datetime(1971, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
    if begin is None or end is None or not earliest <= begin <= end <= latest:
        raise _Refusal(2, "参数 start_time、end_time 不正确")
    number = None
    if params.get("mobile"):
        number = mainland(params["mobile"])
        if number is None:
            raise _Refusal(2, "参数 mobile 格式不正确")
    return begin, end, number


def _report(claim: Claim) -> dict[str, Any]:
    is_delivered = claim.state is DeliveryState.DELIVERED
    return {
        "sid": int(claim.key),
        "uid": claim.reference,
        "user_receive_time": stamp(claim.claimed_at),
        "error_msg": "" if is_delivered else claim.code,
        "mobile": national(claim.number),
        "report_status": "SUCCESS" if is_delivered else "FAIL",
    }


def _reply(reply: Reply) -> dict[str, Any]:
    """A reply without its signature."""
    base = reply.to.removesuffix(reply.extension) if reply.extension else reply.to
    return {
        "base_extend": base,
        "extend": reply.extension,
        "id": sha256(str(reply.id).encode()).hexdigest()[:32],
        "mobile": national(reply.number),
        "reply_time": stamp(reply.sent_at),
        "text": reply.text,
    }


def _record(kept: Kept) -> dict[str, Any]:
    states = {DeliveryState.DELIVERED: "SUCCESS", DeliveryState.UNKNOWN: "UNKNOWN"}
    return {
        "sid": kept.key,
        "mobile": national(kept.number),
        "send_time": stamp(kept.submitted_at),
        "text": kept.text,
        "send_status": "SUCCESS",
        "report_status": states.get(kept.state, "FAIL"),
        "fee": float(kept.fee),
        "user_receive_time": None if kept.claimed_at is None else stamp(kept.claimed_at),
        "error_msg": "" if kept.state in states else kept.code,
        "uid": kept.reference,
    }


def _template_id(review: Review) -> str:
    return str(_FIRST_TEMPLATE + review.number)


def _content(review: Review) -> str:
    return str(review.extra.get("content", review.text))


def _check_status(review: Review) -> str:
    match review.verdict:
        case None:
            return "CHECKING"
        case ReviewVerdict.APPROVED:
            return "SUCCESS"
        case ReviewVerdict.REJECTED:
            return "FAIL"


def _template_row(tpl_id: str, content: str, review: Review) -> dict[str, Any]:
    return {
        "tpl_id": int(tpl_id),
        "tpl_content": content,
        "check_status": _check_status(review),
        "reason": review.reason or None,
    }


def _signature_row(review: Review) -> dict[str, Any]:
    row = _filed_signature_row(review.name, review.verdict is ReviewVerdict.APPROVED)
    remark = review.reason or None
    return row | {
        "check_status": _check_status(review),
        "remark": remark,
        "industry_type": review.extra.get("industry"),
    }


def _filed_signature_row(name: str, approved: bool) -> dict[str, Any]:
    return {
        "chan": "NORMAL" if approved else "NONE",
        "check_status": "SUCCESS" if approved else "FAIL",
        "enabled": approved,
        "extend": "",
        "industry_type": None,
        "only_global": False,
        "remark": None,
        "sign": f"【{name}】",
        "vip": False,
    }

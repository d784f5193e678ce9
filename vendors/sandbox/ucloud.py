"""UCloud's side of the wire: USMS as its actions and pages describe it (facts/vendors/ucloud.md).

Every action comes as GET or POST to one address and is answered with RetCode; 0 is yes. Sends by template and filed
signature; a request has one SessionNo for all its numbers. No cap and no rate is documented: options `qps` and
`per_number_per_day` (told in reports), `words: english` for the states of reports.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import httpx

from harness.domain import DeliveryState, Purpose, Reason, ReviewVerdict, Subject
from vendors.sandbox.door import (
    Claim,
    Counts,
    Door,
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
    whole,
)

_JSON: Final = "application/json"
_MOST_NUMBERS: Final = 1000
_MOST_SESSIONS: Final = 100
_LONGEST_TEMPLATE: Final = 500
_LONGEST_NAME: Final = 32
_LONGEST_REFERENCE: Final = 32
_DAY: Final = 86_400.0
_SOON: Final = timedelta(seconds=2)
_OPT_OUT: Final = "拒收请回复R"
_ALWAYS: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC))
_PURPOSES: Final = {"1": Purpose.VERIFICATION, "2": Purpose.NOTIFICATION, "3": Purpose.MARKETING}

MESSAGES: Final[Mapping[int, str]] = {
    150: "Service unavailable",
    160: "Action not found",
    170: "Missing signature",
    171: "Signature VerifyAC Error",
    172: "User not exist",
    18000: "请求JSON解析错误",
    18001: "请求参数有缺失",
    18002: "请求参数格式有误",
    18003: "请求参数无效",
    18004: "API或服务异常",
    18013: "当前账号/项目中的短信剩余量不足",
    18014: "提交的部分手机号码无效",
    18016: "当前账号/项目未申请短信签名或未通过审核",
    18017: "当前短信模板不存在或未通过审核",
    18018: "短信模板参数与短信模板不匹配",
    18019: "单次提交的手机号码超过1000个",
    18023: "短信内容中含有运营商拦截的关键词",
    18046: "批量提交任务部分短信提交失败",
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.BALANCE: 18013,
    Reason.SENSITIVE_CONTENT: 18023,
    Reason.INVALID_NUMBER: 18014,
    Reason.THROTTLED: 150,
    Reason.VENDOR_FAULT: 18004,
}
REPORTED: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.BLACKLISTED: ("MSBLACK", "手机在运营商防骚扰黑名单"),
    Reason.OPTED_OUT: ("TDBLACK", "手机号码已退订"),
    Reason.FREQUENCY_CAP: ("LIMIT", "号码达到下发限制"),
}
_REPORTED_OTHERWISE: Final = ("REJECTD", "消息被拒绝")
_RESULTS: Final = {DeliveryState.DELIVERED: ("发送成功", "Success"), DeliveryState.UNKNOWN: ("状态未知", "Unknow")}
_FAILED: Final = ("发送失败", "Fail")

Params = Mapping[str, str]


class _Refusal(Exception):
    """A request refused with one of the vendor's codes."""

    def __init__(self, code: int, **more: object) -> None:
        super().__init__(code)
        self.code, self.more = code, more


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """One number of a request, with what its template needs."""

    phone: str
    values: tuple[str, ...]
    extension: str = ""
    reference: str | None = None


class Counterpart:
    """UCloud for one account."""

    push_batch = 100
    push_retry = (timedelta(seconds=1),) * 3

    template = "UTA19{:012d}"

    def __init__(self, door: Door) -> None:
        self._door = door
        self._key = credential(door.credentials, "public_key")
        self._secret = credential(door.credentials, "private_key")
        self._sent = Tally(door.memory, "sent", keep=_DAY)

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        params: dict[str, str] = {}
        try:
            params = _params(hear(request))
            self._admit(params)
            act = ACTIONS.get(params.get("Action", ""))
            if act is None:
                raise _Refusal(160)
            body = {"RetCode": 0, "Message": "", **act(self, params)}
        except _Refusal as refusal:
            body = {"RetCode": refusal.code, "Message": MESSAGES[refusal.code], **refusal.more}
        body["Action"] = f"{params.get('Action', '')}Response"
        return answer_json(200, body, content_type=_JSON)

    def _admit(self, params: Params) -> None:
        given = params.get("Signature")
        if not given:
            raise _Refusal(170)
        if params.get("PublicKey") != self._key:
            raise _Refusal(172)
        joined = "".join(name + params[name] for name in sorted(params) if name != "Signature")
        hashed = hashlib.sha1(f"{joined}{self._secret}".encode("utf-8", "replace"), usedforsecurity=False)
        if not hmac.compare_digest(hashed.hexdigest().encode(), given.encode("utf-8", "replace")):
            raise _Refusal(171)
        limit = whole(self._door.options.get("qps"), 1, 10**6)
        if is_over_rate(self._door.memory, "calls", self._door.now().timestamp(), limit):
            raise _Refusal(150)

    # -- sending ----------------------------------------------------------------------------------------------

    def _send(self, params: Params) -> dict[str, Any]:
        phones, reference = _listed(params, "PhoneNumbers"), params.get("UserId")
        if not phones or not params.get("TemplateId"):
            raise _Refusal(18001)
        if len(phones) > _MOST_NUMBERS:
            raise _Refusal(18019)
        if reference is not None and len(reference) > _LONGEST_REFERENCE:
            raise _Refusal(18002)
        if any(_number(phone) is None for phone in phones):
            raise _Refusal(18014)
        values = tuple(_listed(params, "TemplateParams"))
        session = self._session()
        for phone in phones:
            target = _Target(phone=phone, values=values, extension=params.get("ExtendCode", ""), reference=reference)
            self._send_one(session, params["TemplateId"], params.get("SigContent", ""), target)
        return {"Message": "提交发送成功", "SessionNo": session, **({"UserId": reference} if reference else {})}

    def _send_batch(self, params: Params) -> dict[str, Any]:
        """Groups by template and signature; what failed is told by number, and the rest goes."""
        groups = _groups(params.get("TaskContent", ""))
        if sum(len(targets) for _, _, targets in groups) > _MOST_NUMBERS:
            raise _Refusal(18019)
        session, failed, taken = self._session(), [], 0
        for template, signature, targets in groups:
            rows = []
            for target in targets:
                try:
                    self._send_one(session, template, signature, target)
                    taken += 1
                except _Refusal as refusal:
                    rows.append(
                        {
                            "Phone": target.phone,
                            "TemplateParams": list(target.values),
                            "ExtendCode": target.extension,
                            "UserId": target.reference or "",
                            "FailureDetails": MESSAGES[refusal.code],
                        }
                    )
            if rows:
                failed.append({"TemplateId": template, "SigContent": signature, "FailureDetails": "", "Target": rows})
        more = {"SessionNo": session, "ReqUuid": session, "SuccessCount": taken, "FailContent": failed}
        if failed:
            raise _Refusal(18046, **more)
        return {"Message": "提交发送成功", **more}

    def _send_one(self, session: str, template: str, signature: str, target: _Target) -> None:
        number = _number(target.phone)
        if number is None:
            raise _Refusal(18014)
        text, purpose = self._rendered(template, signature, target.values)
        at = self._door.now().timestamp()
        limit = cap(self._door.options, "per_number_per_day", None)
        if limit is not None and self._sent.after((number,), at - _DAY) >= limit:
            self._fail_later(session, number, Reason.FREQUENCY_CAP, target.reference)
            return
        outcome = self._door.submit(
            Submission(
                number=number,
                text=text,
                purpose=purpose,
                template=template,
                reference=target.reference,
                extension=target.extension,
                key=session,
            )
        )
        if isinstance(outcome, Turned):
            if outcome.reason in REFUSALS:
                raise _Refusal(REFUSALS[outcome.reason])
            self._fail_later(session, number, outcome.reason, target.reference)
            return
        self._sent.add((number,), at)
        self._door.memory.setdefault("references", {})[number] = target.reference

    def _fail_later(self, session: str, number: str, reason: Reason, reference: str | None) -> None:
        """Taken, never sent, and told so in a report."""
        code, words = REPORTED.get(reason, _REPORTED_OTHERWISE)
        at = self._door.now()
        row = self._receipt(number, DeliveryState.UNDELIVERED, code, at, 1, reference) | {"ReceiptDesc": words}
        self._door.push_later(_push(2, [{"SessionNo": session, **row}]), "reports", _SOON)

    def _session(self) -> str:
        return digest_id(self._door.label, counted(self._door.memory, "sessions"))

    def _rendered(self, template: str, signature: str, values: Sequence[str]) -> tuple[str, Purpose]:
        if not self._signatures().get(signature):
            raise _Refusal(18016)
        text, purpose = self._approved(template)
        names = names_in(text)
        if len(values) != len(names):
            raise _Refusal(18018)
        return f"【{signature}】{filled(text, dict(zip(names, values, strict=True)))}", purpose

    def _signatures(self) -> dict[str, bool]:
        """Signatures that stand, and those that are reviewed."""
        found = dict(self._door.signatures)
        for review in self._door.reviews(Subject.SIGNATURE):
            found[review.text] = review.verdict is ReviewVerdict.APPROVED
        return found

    def _approved(self, template: str) -> tuple[str, Purpose]:
        if (filed := self._door.templates.get(template)) is not None and filed.approved:
            return filed.text, filed.purpose
        review = self._reviewed(Subject.TEMPLATE, template)
        if review is None or review.verdict is not ReviewVerdict.APPROVED:
            raise _Refusal(18017)
        return review.text, review.purpose

    # -- receipts and counts ----------------------------------------------------------------------------------

    def _receipts(self, params: Params) -> dict[str, Any]:
        wanted = _listed(params, "SessionNoSet")
        if not wanted:
            raise _Refusal(18001)
        if len(wanted) > _MOST_SESSIONS:
            raise _Refusal(18003)
        found: dict[str, list[Kept]] = {session: [] for session in wanted}
        for kept in self._door.records(None, *_ALWAYS):
            if kept.key in found:
                found[kept.key].append(kept)
        data = [
            {
                "SessionNo": session,
                "ReceiptSet": [
                    self._receipt(kept.number, kept.state, kept.code, kept.claimed_at, kept.segments, kept.reference)
                    for kept in rows
                ],
            }
            for session, rows in found.items()
        ]
        return {"Data": data}

    def _receipt(
        self,
        number: str,
        state: DeliveryState,
        code: str,
        at: datetime | None,
        segments: int,
        reference: str | None,
    ) -> dict[str, Any]:
        words = _RESULTS.get(state, _FAILED)
        return {
            "Phone": national(number),
            "CostCount": segments,
            "ReceiptTime": int(at.timestamp()) if at else 0,
            "ReceiptResult": words[1] if self._door.options.get("words") == "english" else words[0],
            "ReceiptCode": "Delivrd" if state is DeliveryState.DELIVERED else code,
            "ReceiptDesc": {"发送成功": "用户接收成功", "状态未知": ""}.get(words[0], "发送失败"),
            "UserId": reference or "",
        }

    def _statistics(self, params: Params) -> dict[str, Any]:
        for name in ("Domestic", "StartDate", "EndDate", "Page", "NumPerPage", "OrderBy", "OrderType"):
            if not params.get(name):
                raise _Refusal(18001)
        first, last = (from_day(params[name], dashes=True) for name in ("StartDate", "EndDate"))
        page, size = whole(params["Page"], 0, 10**6), whole(params["NumPerPage"], 1, 10**6)
        if first is None or last is None or page is None or size is None or (last - first).days > 400:
            raise _Refusal(18002)
        days = [first + timedelta(days=passed) for passed in range((last - first).days + 1)]
        if params["OrderType"] == "desc":
            days.reverse()
        rows = [row for day in days if (row := self._day(day))["Count"]] if params["Domestic"] == "1" else []
        return {"Data": rows[page * size : (page + 1) * size], "Total": len(rows), "StatisticsData": _totals(rows)}

    def _day(self, day: date) -> dict[str, Any]:
        counts = self._door.counts(*beijing_day(day))
        known = counts.delivered + counts.undelivered
        return {
            "BrevityCode": "CN",
            "SendDate": str(day),
            "Count": counts.submitted,
            "SuccessCount": counts.delivered,
            "FailedCount": counts.undelivered,
            "UnknownCount": counts.unreported,
            "SubmitFailedCount": 0,
            **_parts(counts),
            "SuccessRate": round(counts.delivered / known, 4) if known else 0.0,
            "UserId": "",
        }

    # -- reviews ----------------------------------------------------------------------------------------------

    def _add_template(self, params: Params) -> dict[str, Any]:
        for name in ("Purpose", "Template", "TemplateName"):
            if not params.get(name):
                raise _Refusal(18001)
        purpose, text = _PURPOSES.get(params["Purpose"]), params["Template"]
        if purpose is None or len(text) > _LONGEST_TEMPLATE or len(params["TemplateName"]) > _LONGEST_NAME:
            raise _Refusal(18002)
        if purpose is Purpose.MARKETING:
            if params.get("UnsubscribeInfo") != _OPT_OUT:
                raise _Refusal(18001)
            text = text if _OPT_OUT in text else f"{text}，{_OPT_OUT}"
        review = self._door.submit_review(
            subject=Subject.TEMPLATE,
            name=params["TemplateName"],
            text=text,
            purpose=purpose,
            extra={"remark": params.get("Remark", "")},
        )
        return {"TemplateId": self.template.format(10**9 + review.number)}

    def _query_template(self, params: Params) -> dict[str, Any]:
        own = params.get("TemplateId", "")
        if (filed := self._door.templates.get(own)) is not None:
            return {
                "Data": {"TemplateId": own, "Template": filed.text, "Status": 2 if filed.approved else 3, "ErrDesc": ""}
            }
        if (review := self._reviewed(Subject.TEMPLATE, own)) is None:
            raise _Refusal(18017)
        words = {purpose: code for code, purpose in _PURPOSES.items()}
        data = {
            "TemplateId": own,
            "TemplateName": review.name,
            "Template": review.text,
            "Purpose": int(words[review.purpose]),
            "Remark": review.extra["remark"],
            "UnsubscribeInfo": _OPT_OUT if review.purpose is Purpose.MARKETING else "",
            "CreateTime": int(review.created_at.timestamp()),
            **_state(review),
        }
        return {"Data": data}

    def _add_signature(self, params: Params) -> dict[str, Any]:
        for name in ("SigContent", "SigType", "SigPurpose", "CertificateType", "Description"):
            if not params.get(name):
                raise _Refusal(18001)
        if whole(params["SigType"], 0, 5) is None or whole(params["CertificateType"], 0, 5) is None:
            raise _Refusal(18003)
        if params["SigPurpose"] not in ("0", "1"):
            raise _Refusal(18003)
        name = params["SigContent"]
        review = self._door.submit_review(
            subject=Subject.SIGNATURE, name=name, text=name, purpose=Purpose.NOTIFICATION, extra={}
        )
        return {"SigId": _signature_id(review.number), "SigContent": name}

    def _query_signature(self, params: Params) -> dict[str, Any]:
        """By id, or by the signature itself."""
        review = self._reviewed(Subject.SIGNATURE, params.get("SigId", ""))
        if review is not None:
            return {"Data": {"SigId": params["SigId"], "SigContent": review.text, **_state(review)}}
        name = params.get("SigContent", "")
        if name not in self._door.signatures:
            raise _Refusal(18016)
        status = 2 if self._door.signatures[name] else 3
        return {"Data": {"SigId": "", "SigContent": name, "Status": status, "ErrDesc": ""}}

    def _reviewed(self, subject: Subject, own: str) -> Review | None:
        for review in self._door.reviews(subject):
            spelt = _signature_id(review.number)
            if own == (spelt if subject is Subject.SIGNATURE else self.template.format(10**9 + review.number)):
                return review
        return None

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        return _push(
            2,
            [
                {
                    "SessionNo": claim.key,
                    **self._receipt(
                        claim.number, claim.state, claim.code, claim.claimed_at, claim.segments, claim.reference
                    ),
                }
                for claim in claims
            ],
        )

    def push_reply(self, reply: Reply) -> PushOut | None:
        item: dict[str, Any] = {
            "UserId": self._door.memory.get("references", {}).get(reply.number) or "",
            "Phone": national(reply.number),
            "ReplyContent": reply.text,
            "ReplyTime": int(reply.sent_at.timestamp()),
        }
        if reply.extension:
            item["ExtendCode"] = reply.extension
        return _push(0, [item])

    def push_decision(self, review: Review) -> None:
        """No decision is pushed."""

    def acknowledged(self, status: int, body: bytes) -> bool:
        """A code of nought in JSON."""
        try:
            told = read_json(body)
        except ValueError:
            return False
        return status == 200 and isinstance(told, dict) and told.get("code") == 0


ACTIONS: Final[Mapping[str, Callable[[Counterpart, Params], dict[str, Any]]]] = {
    "SendUSMSMessage": Counterpart._send,
    "SendBatchUSMSMessage": Counterpart._send_batch,
    "GetUSMSSendReceipt": Counterpart._receipts,
    "GetUSMSSendStatistics": Counterpart._statistics,
    "CreateUSMSTemplate": Counterpart._add_template,
    "QueryUSMSTemplate": Counterpart._query_template,
    "CreateUSMSSignature": Counterpart._add_signature,
    "QueryUSMSSignature": Counterpart._query_signature,
}
"""Not here: changing and deleting, qualifications and files, counts by template, AddBackfill."""


def _params(heard: Heard) -> dict[str, str]:
    """Query and form together, as text."""
    params = dict(pairs(heard.query))
    return params | (dict(pairs(heard.body)) if heard.is_form else {})


def _listed(params: Params, name: str) -> list[str]:
    """`Name.0`, `Name.1`, … as a list, up to the first that is missing."""
    found: list[str] = []
    while (value := params.get(f"{name}.{len(found)}")) is not None:
        found.append(value)
    return found


def _number(phone: str) -> str | None:
    """A number as the vendor writes it: bare, or with its country in brackets."""
    return mainland(phone.removeprefix("(86)"))


def _groups(content: str) -> list[tuple[str, str, list[_Target]]]:
    """What a batch holds. Anything that is not Base64 of such JSON is refused."""
    if not content:
        raise _Refusal(18001)
    try:
        told = read_json(base64.b64decode(content, validate=True))
        return [
            (str(group["TemplateId"]), str(group.get("SigContent", "")), [_target(one) for one in group["Target"]])
            for group in told
        ]
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        raise _Refusal(18000) from None


def _target(item: Mapping[str, Any]) -> _Target:
    return _Target(
        phone=str(item["Phone"]),
        values=tuple(str(value) for value in item.get("TemplateParams", ())),
        extension=str(item.get("ExtendCode", "")),
        reference=item.get("UserId") or None,
    )


def _signature_id(number: int) -> str:
    return f"SIG19{number:012d}"


def _state(review: Review) -> dict[str, Any]:
    status = {None: 1, ReviewVerdict.APPROVED: 2}.get(review.verdict, 3)
    return {"Status": status, "ErrDesc": review.reason if status == 3 else ""}


def _parts(counts: Counts) -> dict[str, int]:
    """Segments; how they fall apart is told in proportion."""
    total = counts.submitted or 1
    shares = {"SuccessCostCount": counts.delivered, "FailedCostCount": counts.undelivered}
    parts = {name: counts.segments * share // total for name, share in shares.items()}
    rest = counts.segments - sum(parts.values()) if counts.unreported else 0
    return {"CostCount": counts.segments, **parts, "UnknownCostCount": rest, "SubmitFailedCostCount": 0}


def _totals(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    names = {"SendCount": "Count", "SendCostCount": "CostCount", "SuccessCount": "SuccessCount"}
    names |= {"FailCount": "FailedCount", "UnknownCount": "UnknownCount", "SubmitFailCount": "SubmitFailedCount"}
    names |= {"SuccessCostCount": "SuccessCostCount", "FailCostCount": "FailedCostCount"}
    names |= {"UnknownCostCount": "UnknownCostCount", "SubmitFailCostCount": "SubmitFailedCostCount"}
    return {name: sum(row[source] for row in rows) for name, source in names.items()}


def _push(kind: int, items: Sequence[Mapping[str, Any]]) -> PushOut:
    body = json.dumps({"MsgType": kind, "Data": items}, ensure_ascii=False, separators=(",", ":"))
    return PushOut(body=body.encode("utf-8", "replace"), content_type=_JSON)

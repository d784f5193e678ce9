"""Montnets' side of the wire: the cloud API V5.7.2, `/sms/v2/std` (facts/vendors/montnets.md).

Blacklist, words, frequency and bad numbers have no code at submitting: such a message is taken and reported as failed.
Credentials: `userid` and `pwd` (plain), or `apikey`, or both; `spno` (the sender in reports). Options: `auth` (md5,
sha256, sm3, plain: what `pwd` is in a request), `qps`, `codes: positive`, `msgid: positive`, `push_format: json`,
`unit_price` (CNY). The documents name no frequency limits, so none is kept here.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, unquote_plus, urlencode

import httpx

from harness.domain import BEIJING, DeliveryState, Purpose, Reason
from harness.text import split_signature
from vendors.sandbox.door import Claim, Door, FiledTemplate, PushOut, Reply, Review, Submission, Turned
from vendors.sandbox.wording import (
    Heard,
    answer_json,
    counted,
    credential,
    filled,
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

_ROOT: Final = "/sms/v2/std/"
_JSON: Final = "application/json;charset=utf-8"
_FORM: Final = "application/x-www-form-urlencoded;charset=utf-8"
_PART_STRIDE: Final = 17_179_869_184  # 2^34: from one part's msgid to the next
_BITS: Final = 1 << 64
_LONGEST_TEXT: Final = 1000
_ROOM_FOR_SIGNATURE: Final = 10
_MOST_REPORTS: Final = 500
_MOST_REPLIES: Final = 200
_MOST_PUSHED_REPLIES: Final = 100

# The table is positive, the samples are negative: which, is an option. Where several codes share a description in the
# card (100091 to 100100), one of them stands for all.
CODES: Final[Mapping[int, str]] = {
    100001: "鉴权不通过,请检查账号,密码,时间戳,固定串,以及MD5算法是否按照文档要求进行设置",
    100003: "用户欠费",
    100004: "custid或exdata字段填写不合法",
    100011: "短信内容超长",
    100012: "手机号码不合法",
    100014: "手机号码个数超过最大支持数量",
    100056: "用户账号登录的连接数超限",
    100058: "模板ID不存在",
    100059: "模板参数个数不符",
    100060: "手机号码与短信内容个数不一致",
    100070: "用户没有使用该接口的权限",
    100091: "请求解析失败",
    100100: "不支持的Content-Type",
    100106: "短信内容为空",
    100252: "业务类型不合法",
    100502: "模板未启用",
    100999: "平台数据库内部错误",
}
REFUSALS: Final[Mapping[Reason, int]] = {
    Reason.BALANCE: 100003,
    Reason.THROTTLED: 100056,
    Reason.AUTH: 100070,
    Reason.BAD_REQUEST: 100091,
    Reason.VENDOR_FAULT: 100999,
}
"""Refusals at submitting; whatever stands nowhere is reported later."""
LATE_CODES: Final[Mapping[Reason, str]] = {
    Reason.INVALID_NUMBER: "UNDELIV",
    Reason.ROUTING: "UNDELIV",
}
"""Codes in reports of what the vendor itself stops: none but DELIVRD is documented, so REJECTD for the others."""

_OLDER_NAMES: Final[Mapping[str, str]] = {
    "single_send": "send_single",
    "batch_send": "send_batch",
    "multi_send": "send_multi",
}
_UNSIGNED_START: Final = 9_223_372_036_854_775_808  # 2^63, as in the documents' sample: -2^63 to whoever reads 64 bits

Params = Mapping[str, Any]


class _Refusal(Exception):
    """A request refused with one of the vendor's codes."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Counterpart:
    """Montnets for one account."""

    # At most 500 rows a push; a text of a thousand characters makes fifteen.
    push_batch = 33
    push_retry: tuple[timedelta, ...] = ()  # no rule found

    def __init__(self, door: Door) -> None:
        self._door = door
        self._apikey = door.credentials.get("apikey")
        if self._apikey is None or "userid" in door.credentials:
            self._user = credential(door.credentials, "userid").upper()
            self._password = credential(door.credentials, "pwd", "password")
        else:
            self._user, self._password = "", ""
        self._mode = door.options.get("auth", "md5")
        self._sender = door.credentials.get("spno", "10690000")
        password_digest(self._mode, "", "", "")  # a mode this machine cannot compute shows here

    # -- the door in ------------------------------------------------------------------------------------------

    def answer(self, request: httpx.Request) -> httpx.Response:
        heard = hear(request)
        try:
            name = heard.path.removeprefix(_ROOT)
            act = ACTIONS.get(_OLDER_NAMES.get(name, name)) if heard.path.startswith(_ROOT) else None
            params = _params(heard)
            self._admit(params)
            if act is None:
                raise _Refusal(100070)
            return answer_json(200, act(self, params), content_type=_JSON)
        except _Refusal as refusal:
            code = refusal.code if self._door.options.get("codes") == "positive" else -refusal.code
            error = {"result": code, "desc": _described(CODES[refusal.code]), "msgid": 0, "custid": ""}
            return answer_json(200, error, content_type=_JSON)

    def _admit(self, params: Params) -> None:
        """Check who asks. How many failures make the account locked (100002) is not documented: none does."""
        given = _text(params, "apikey")
        if self._apikey is not None and given:
            is_right = hmac.compare_digest(given.encode("utf-8", "replace"), self._apikey.encode())
        else:
            is_right = self._is_user(params)
        if not is_right:
            raise _Refusal(100001)
        qps = self._door.options.get("qps")
        at = self._door.now().timestamp()
        if is_over_rate(self._door.memory, "calls", at, None if qps is None else int(qps)):
            raise _Refusal(100056)

    def _is_user(self, params: Params) -> bool:
        user, password, at = (_text(params, name) for name in ("userid", "pwd", "timestamp"))
        # How old a timestamp may be is not documented; it has to be one.
        if not self._user or user.upper() != self._user or (self._mode != "plain" and not _is_stamp(at)):
            return False
        right = password_digest(self._mode, self._user, self._password, at)
        return hmac.compare_digest(right.encode("utf-8", "replace"), password.encode("utf-8", "replace"))

    # -- sending ----------------------------------------------------------------------------------------------

    def _single(self, params: Params) -> dict[str, Any]:
        (number,) = _mobiles(_text(params, "mobile"), 1)
        text = self._whole(_decoded(_text(params, "content")))
        return self._send([(number, text, params, None)], _options(params))

    def _batch(self, params: Params) -> dict[str, Any]:
        numbers = _mobiles(_text(params, "mobile"), 1000)
        text = self._whole(_decoded(_text(params, "content")))
        return self._send([(number, text, params, None) for number in numbers], _options(params))

    def _multi(self, params: Params) -> dict[str, Any]:
        rows = params.get("multimt")
        if isinstance(rows, str):
            try:
                rows = read_json(rows)
            except ValueError:
                raise _Refusal(100091) from None
        if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
            raise _Refusal(100091)
        if len(rows) > 500:
            raise _Refusal(100014)
        sent = []
        for row in rows:
            _options(row)
            (number,) = _mobiles(_text(row, "mobile"), 1)
            sent.append((number, self._whole(_decoded(_text(row, "content"))), row, None))
        return self._send(sent, _options(params))

    def _mixed(self, params: Params) -> dict[str, Any]:
        numbers = _mobiles(_text(params, "mobile"), 500)
        # Each text is encoded by itself, so that commas can part them.
        texts = [self._whole(_decoded(text)) for text in _text(params, "content").split(",")]
        if len(numbers) != len(texts):
            raise _Refusal(100060)
        rows = [(number, text, params, None) for number, text in zip(numbers, texts, strict=True)]
        return self._send(rows, _options(params))

    def _by_template(self, params: Params) -> dict[str, Any]:
        template = self._door.templates.get(_text(params, "tmplid"))
        if template is None:
            raise _Refusal(100058)
        if not template.approved:
            raise _Refusal(100502)
        numbers = _mobiles(_text(params, "mobile"), 1000)
        values = dict(pairs(unquote_plus(_text(params, "content"), errors="replace").encode("utf-8", "replace")))
        names = names_in(template.text)
        wanted = [f"P{position}" for position in range(1, len(names) + 1)]
        if set(values) != set(wanted):
            raise _Refusal(100059)
        text = filled(template.text, {name: values[own] for name, own in zip(names, wanted, strict=True)})
        text = self._whole(text)
        return self._send([(number, text, params, template) for number in numbers], _options(params))

    def _whole(self, text: str) -> str:
        """A text as a phone shows it: the account's own signature goes in front if none stands there."""
        if not text.strip():
            raise _Refusal(100106)
        is_signed = text.startswith("【") and split_signature(text)[0] is not None
        if len(text) > _LONGEST_TEXT - (0 if is_signed else _ROOM_FOR_SIGNATURE):
            raise _Refusal(100011)
        if is_signed:
            return text
        name = next((name for name, approved in self._door.signatures.items() if approved), None)
        return text if name is None else f"【{name}】{text}"

    def _send(self, rows: Sequence[tuple[str, str, Params, FiledTemplate | None]], options: Params) -> dict[str, Any]:
        """Submit all under one msgid: the number at position i has msgid + i - 1."""
        first = self._new_msgid(len(rows))
        for position, (written, text, own, template) in enumerate(rows):
            self._submit(_signed(first + position), written, text, own, template, is_first=position == 0)
        return {"result": 0, "desc": _described("成功"), "msgid": _signed(first), "custid": options["custid"]}

    def _new_msgid(self, numbers: int) -> int:
        """The first of some consecutive ids: one request's positive, the next one's negative."""
        taken = int(self._door.memory.get("msgids", 0))
        self._door.memory["msgids"] = taken + numbers
        is_negative = counted(self._door.memory, "requests") % 2 == 0
        if self._door.options.get("msgid") == "positive" or not is_negative:
            return _UNSIGNED_START // 2 + taken
        return _UNSIGNED_START + taken

    def _submit(
        self,
        msgid: int,
        written: str,
        text: str,
        own: Params,
        template: FiledTemplate | None,
        *,
        is_first: bool,
    ) -> None:
        """Submit one number. Only the first one's refusal can be the request's; what is not taken is reported."""
        number = mainland(written)
        echoed = {name: _text(own, name) for name in ("exdata", "exno") if _text(own, name)}
        if echoed:
            self._door.memory.setdefault("echoed", {})[str(msgid)] = echoed
        name = split_signature(text)[0]
        if number is None:
            # 00 and a country: nothing says what an account without it gets.
            self._refuse(msgid, written, own, Reason.ROUTING if written.startswith("00") else Reason.INVALID_NUMBER)
            return
        if name is None or not self._door.signatures.get(name):
            self._refuse(msgid, written, own, Reason.SIGNATURE_NOT_APPROVED)
            return
        outcome = self._door.submit(
            Submission(
                number=number,
                text=text,
                purpose=_purpose(text) if template is None else template.purpose,
                template=None if template is None else template.id,
                reference=_text(own, "custid") or None,
                extension=_text(own, "exno"),
                key=str(msgid),
            )
        )
        if isinstance(outcome, Turned):
            if is_first and outcome.reason in REFUSALS:
                raise _Refusal(REFUSALS[outcome.reason])
            self._refuse(msgid, written, own, outcome.reason)
        elif outcome.fee:
            self._door.memory["price"] = outcome.fee / outcome.segments

    def _refuse(self, msgid: int, written: str, own: Params, reason: Reason) -> None:
        """Report a message as failed. The report leaves with the next pull or push."""
        row = self._row(
            msgid=msgid,
            part=(1, 1),
            mobile=written,
            custid=_text(own, "custid"),
            times=(self._door.now(), self._door.now()),
            code=LATE_CODES.get(reason, "REJECTD"),
            is_delivered=False,
            description=str(reason),
        )
        self._door.memory.setdefault("late", []).append(row)

    # -- reports, replies, balance ----------------------------------------------------------------------------

    def _reports(self, params: Params) -> dict[str, Any]:
        size = _size(params, _MOST_REPORTS)
        waiting: list[dict[str, Any]] = self._door.memory.setdefault("late", [])
        if len(waiting) < size:
            for claim in self._door.take_reports(size - len(waiting)):
                waiting.extend(self._rows(claim))
        # A long message has a row for each part: what is too much for this answer waits for the next.
        rows = waiting[:size]
        del waiting[:size]
        return {"result": 0, "desc": _described("成功"), "rpts": rows}

    def _replies(self, params: Params) -> dict[str, Any]:
        size = _size(params, _MOST_REPLIES)
        waiting: list[dict[str, Any]] = self._door.memory.setdefault("replies", [])
        if len(waiting) < size:
            for reply in self._door.take_replies(size - len(waiting)):
                waiting.extend(self._reply_rows(reply))
        rows = waiting[:size]
        del waiting[:size]
        return {"result": 0, "desc": _described("成功"), "mos": rows}

    def _balance(self, params: Params) -> dict[str, Any]:
        """Messages left; what one costs is learnt from the last one sent."""
        price = self._door.memory.get("price") or Decimal(self._door.options.get("unit_price", "0.05"))
        left = max(0, int(self._door.balance() / price))
        return {"result": 0, "desc": _described("成功"), "balance": left}

    def _rows(self, claim: Claim) -> list[dict[str, Any]]:
        """One row for each part of a message."""
        is_delivered = claim.state is DeliveryState.DELIVERED
        return [
            self._row(
                msgid=int(claim.key),
                part=(part, claim.segments),
                mobile=national(claim.number),
                custid=claim.reference or "",
                times=(claim.submitted_at, claim.claimed_at),
                code=claim.code,
                is_delivered=is_delivered,
                description="success" if is_delivered else str(claim.reason or claim.state),
            )
            for part in range(1, claim.segments + 1)
        ]

    def _row(
        self,
        *,
        msgid: int,
        part: tuple[int, int],
        mobile: str,
        custid: str,
        times: tuple[datetime, datetime],
        code: str,
        is_delivered: bool,
        description: str,
    ) -> dict[str, Any]:
        echoed: Mapping[str, str] = self._door.memory.get("echoed", {}).get(str(msgid), {})
        extension = echoed.get("exno", "")
        return {
            "msgid": _signed(msgid + (part[0] - 1) * _PART_STRIDE),
            "custid": custid,
            "pknum": part[0],
            "pktotal": part[1],
            "mobile": mobile,
            "countrycode": 86,
            "spno": self._sender + extension,
            "exno": extension,
            "stime": stamp(times[0]),
            "rtime": stamp(times[1]),
            "status": 0 if is_delivered else 2,  # any other number than 0 is a failure
            "errcode": code,
            "errdesc": quote(description, safe=""),
            "exdata": echoed.get("exdata", ""),
            "smstype": "0",
            "rpttype": "1",
        }

    def _reply_rows(self, reply: Reply) -> list[dict[str, Any]]:
        """A reply, part by part: up to seventy characters, or sixty-seven in each of several."""
        size = 70 if len(reply.text) <= 70 else 67
        texts = [reply.text[begin : begin + size] for begin in range(0, len(reply.text), size)] or [""]
        return [
            {
                "msgid": reply.id,
                "mobile": national(reply.number),
                "countrycode": 86,
                "pknum": part,
                "pktotal": len(texts),
                "spno": self._sender + reply.extension,
                "exno": reply.extension,
                "rtime": stamp(reply.sent_at),
                "content": quote(text, safe="", errors="replace"),
            }
            for part, text in enumerate(texts, 1)
        ]

    # -- pushes -----------------------------------------------------------------------------------------------

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | None:
        if not claims:
            return None
        late: list[dict[str, Any]] = self._door.memory.setdefault("late", [])
        rows = [row for claim in claims for row in self._rows(claim)]
        room = max(0, _MOST_REPORTS - len(rows))
        rows += late[:room]
        del late[:room]
        return self._push("RPT_REQ", "rpts", rows)

    def push_reply(self, reply: Reply) -> PushOut | None:
        return self._push("MO_REQ", "mos", self._reply_rows(reply)[:_MOST_PUSHED_REPLIES])

    def push_decision(self, review: Review) -> PushOut | None:
        """Never: no review of texts is documented."""
        return None

    def _push(self, command: str, name: str, rows: Sequence[Mapping[str, Any]]) -> PushOut:
        """A push, authenticated as requests are. An account with an apikey only gets none: no form of it is known."""
        fields: dict[str, Any] = {}
        if self._user:
            at = self._door.now().astimezone(BEIJING).strftime("%m%d%H%M%S")
            fields = {"userid": self._user, "pwd": password_digest(self._mode, self._user, self._password, at)}
            if self._mode != "plain":
                fields["timestamp"] = at
        fields |= {"cmd": command, "seqid": 1000 + counted(self._door.memory, "pushes")}
        if self._door.options.get("push_format") == "json":
            body = json.dumps({**fields, name: rows}, ensure_ascii=False).encode("utf-8", "replace")
            return PushOut(body=body, content_type=_JSON)
        fields[name] = json.dumps(rows, ensure_ascii=False)
        return PushOut(body=urlencode(fields, quote_via=quote, errors="replace").encode(), content_type=_FORM)

    def acknowledged(self, status: int, body: bytes) -> bool:
        """HTTP 200 and JSON with the answering command, result 0 and the seqid of a push that went out."""
        try:
            answer = read_json(body)
        except ValueError:
            return False
        if status != 200 or not isinstance(answer, dict) or answer.get("cmd") not in ("RPT_RESP", "MO_RESP"):
            return False
        seqid = whole(str(answer.get("seqid", "")), 1001, 1000 + self._door.memory.get("pushes", 0))
        return seqid is not None and str(answer.get("result")) == "0"


ACTIONS: Final[Mapping[str, Callable[[Counterpart, Params], dict[str, Any]]]] = {
    "send_single": Counterpart._single,
    "send_batch": Counterpart._batch,
    "send_multi": Counterpart._multi,
    "send_mixed": Counterpart._mixed,
    "send_template": Counterpart._by_template,
    "get_rpt": Counterpart._reports,
    "get_mo": Counterpart._replies,
    "get_balance": Counterpart._balance,
}
"""Templates, signatures, lists, statistics and records have no documented interface for texts."""


def password_digest(mode: str, user: str, password: str, at: str) -> str:
    """What `pwd` must be. ValueError if this machine has no such digest."""
    if mode == "plain":
        return password
    if mode not in ("md5", "sha256", "sm3"):
        raise ValueError(f"option auth: got {mode!r}; write md5, sha256, sm3 or plain")
    return hashlib.new(mode, f"{user}00000000{password}{at}".encode("utf-8", "replace")).hexdigest()


def _params(heard: Heard) -> dict[str, Any]:
    kind = heard.headers.get("content-type", "").lower()
    if heard.method == "GET":
        return dict(pairs(heard.query))
    if heard.method != "POST":
        raise _Refusal(100070)
    if heard.is_form:
        return dict(pairs(heard.body))
    if not kind.startswith("application/json"):
        raise _Refusal(100100)  # XML is taken by the vendor, but its shape is not in the card
    try:
        body = read_json(heard.body)
    except ValueError:
        raise _Refusal(100091) from None
    if not isinstance(body, dict):
        raise _Refusal(100091)
    return body


def _text(params: Params, name: str) -> str:
    """A field as text; numbers are taken for it, everything else is no field."""
    value = params.get(name, "")
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)


def _options(params: Params) -> dict[str, str]:
    """The fields that may go along with a message, checked."""
    svrtype, exno, custid, exdata = (_text(params, name) for name in ("svrtype", "exno", "custid", "exdata"))
    if len(svrtype) > 32:
        raise _Refusal(100252)
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", custid) or len(exdata) > 64:
        raise _Refusal(100004)
    if not re.fullmatch(r"[0-9]{0,6}", exno):
        raise _Refusal(100004)  # the card names no code for it
    return {"custid": custid}


def _mobiles(text: str, most: int) -> list[str]:
    """The numbers of a list: whether they exist is told later, that they are digits is asked at once."""
    numbers = text.split(",")
    if len(numbers) > most:
        raise _Refusal(100014)
    if not all(re.fullmatch(r"[0-9]{1,21}", number) for number in numbers):
        raise _Refusal(100012)
    return numbers


def _decoded(content: str) -> str:
    """A text out of its encoding: it is encoded once more than the request around it."""
    if not content:
        raise _Refusal(100106)
    try:
        return unquote_plus(content, errors="strict")
    except UnicodeDecodeError:
        raise _Refusal(100091) from None


def _size(params: Params, most: int) -> int:
    size = whole(_text(params, "retsize") or str(most), 1, 10**9)
    if size is None:
        raise _Refusal(100091)
    return min(size, most)


def _is_stamp(text: str) -> bool:
    """MMDDHHMMSS; the year is made up, a leap one."""
    if not re.fullmatch(r"[0-9]{10}", text):
        return False
    try:
        datetime.strptime(f"2024{text}+0800", "%Y%m%d%H%M%S%z")
    except ValueError:
        return False
    return True


def _purpose(text: str) -> Purpose:
    """What a text is for, as far as a vendor can tell from it."""
    if "验证码" in text or "校验码" in text:
        return Purpose.VERIFICATION
    return Purpose.MARKETING if "拒收" in text or "退订" in text else Purpose.NOTIFICATION


def _signed(number: int) -> int:
    """A number as 64 bits with a sign hold it."""
    number %= _BITS
    return number - _BITS if number >= _BITS // 2 else number


def _described(words: str) -> str:
    """Words as `desc` has them: url-encoded, with small letters."""
    return re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), quote(words, safe=""))

"""Yunpian 云片: API v2, forms in and JSON out, known by an apikey alone; only pushed replies are signed (MD5).

Sends whole texts, which the vendor matches against approved templates. One sid a number, beyond 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus, unquote_plus, urlencode

import httpx

from harness.capabilities import (
    Account,
    Acknowledgement,
    Capability,
    Credential,
    Document,
    Manifest,
    Mapped,
    NotOffered,
    Pace,
    Push,
    PushRefused,
    PushRequest,
    Standing,
    Tools,
)
from harness.domain import (
    Accepted,
    Balance,
    ContentVerdict,
    DeliveryState,
    InboundMessage,
    Message,
    Money,
    Outcome,
    Purpose,
    Reason,
    Record,
    Refused,
    ReviewDecision,
    ReviewDraft,
    ReviewVerdict,
    StatisticsRow,
    StatusReport,
    Subject,
    Ticket,
)
from harness.errors import Unintelligible, VendorTrouble
from harness.flow import Flow, read_json
from harness.text import fill, signed, split_signature, variables
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

REASONS: Final[Mapping[str, Mapped]] = {
    "1": Mapped(Reason.BAD_REQUEST, note="a parameter is missing"),
    "2": Mapped(Reason.BAD_REQUEST, note="a parameter is malformed, which may be the number"),
    "3": Mapped(Reason.BALANCE),
    "4": Mapped(Reason.SENSITIVE_CONTENT, note="关键词屏蔽"),
    "5": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="no template matches"),
    "6": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="adding the template failed"),
    "7": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="the template is not to be used"),
    "8": Mapped(Reason.FREQUENCY_CAP, note="the same text to the same number within 30 seconds"),
    "9": Mapped(Reason.FREQUENCY_CAP, note="the same text to the same number over 3 times in 5 minutes"),
    "10": Mapped(Reason.BLACKLISTED),
    "11": Mapped(Reason.BAD_REQUEST, note="GET where POST is wanted"),
    "12": Mapped(Reason.BAD_REQUEST, note="POST where GET is wanted"),
    "13": Mapped(Reason.ROUTING, note="marketing is suspended"),
    "15": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="the signature does not match"),
    "16": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="the signature is malformed"),
    "17": Mapped(Reason.FREQUENCY_CAP, note="the number's cap of the day"),
    "18": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="checking the signature failed"),
    "20": Mapped(Reason.ROUTING, note="the country is not served"),
    "22": Mapped(Reason.FREQUENCY_CAP, note="the number's cap of the hour"),
    "23": Mapped(Reason.ROUTING, note="the country is not among the template's"),
    "-1": Mapped(Reason.AUTH, note="the apikey is wrong"),
    "-2": Mapped(Reason.AUTH, note="this interface is not open to us"),
    "-3": Mapped(Reason.AUTH, note="our address is not allowed"),
    "-4": Mapped(Reason.THROTTLED, note="too many calls"),
    "-5": Mapped(Reason.THROTTLED, note="calls too fast"),
    "-50": Mapped(Reason.VENDOR_FAULT),
    "-51": Mapped(Reason.VENDOR_FAULT, note="their database"),
    "-53": Mapped(Reason.VENDOR_FAULT, note="handing on failed"),
    "-57": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="an account of fixed signature has none"),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {}
"""No code of the platform's own ("YP:54") is explained in the documents; carriers' are in vendors/carrier_codes.py."""

BULK_LIMIT: Final = 1000
_PAGE: Final = 100
_REPORTED: Final = {"SUCCESS": True, "FAIL": False}
_VERDICTS: Final = {
    "SUCCESS": ReviewVerdict.APPROVED,
    "FAIL": ReviewVerdict.REJECTED,
    "CHECKING": None,
    "APLLYING_VIP": None,  # their spelling
}
_CURRENCIES: Final = {"": "CNY", "RMB": "CNY", "CNY": "CNY", "USD": "USD"}
_TAKEN: Final = Acknowledgement(body=b"SUCCESS", content_type="text/plain")
_NOT_TAKEN: Final = Acknowledgement(status=400, body=b"FAIL", content_type="text/plain")


def reply_signature(fields: Mapping[str, Any], apikey: str) -> str:
    """A pushed reply's `_sign`: MD5 over all other values in the order of their names, then the apikey, by commas."""
    values = [reading.text(fields, name) for name in sorted(fields) if name != "_sign"]
    return signing.md5_hex(",".join([*values, apikey]).encode())


class Vendor:
    """One account (apikey) at Yunpian."""

    manifest = Manifest(
        id="yunpian",
        name={"zh-CN": "云片", "en": "Yunpian"},
        credentials=(Credential("apikey", secret=True),),
        documents=(
            Document(
                "API v2: single_send, batch_send, multi_send, records, daily cost, templates, signatures",
                date(2026, 3, 2),
            ),
            Document("推送状态报告, 推送回复短信, 获取状态报告, 获取回复短信", date(2026, 3, 2)),
        ),
        absent={
            Capability.TELLS_PRICES: NotOffered("a price is told only as the fee of a message that was sent"),
            Capability.CHECKS_BLACKLIST: NotOffered("the blacklist is kept in the console"),
            Capability.EDITS_BLACKLIST: NotOffered("the blacklist is kept in the console"),
        },
        standing=Standing.SANDBOXED,
        endpoint="https://sms.yunpian.com",
        # No rate is documented; one text goes to one number once in 30 seconds, and caps a day are per account.
        pace=Pace(per_second=10, burst=10, same_number_seconds=30, per_number_per_day=10),
        by_template=False,
        sends_secret=True,
        push_is_signed=False,  # replies are, reports are not
        options={
            "website": "",  # where the product can be seen; asked for by reviewers
            "industry_type": "",
        },
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}
        self._url = reading.base(account, self.manifest)

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        fields = {"mobile": reading.national(message.to.number), "text": message.text, **self._callback("reports")}
        if message.reference:
            fields["uid"] = message.reference
        reply = yield self._request("sms/single_send", fields)
        body = _object(reply)
        outcome = _outcome(body)
        if isinstance(outcome, Refused):
            return reading.refused(outcome.code, _words(body), REASONS)
        return outcome

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """One text for all goes by batch_send, several by multi_send. No uid: it would be the same for all."""
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        texts = [message.text for message in messages]
        fields = {"mobile": ",".join(reading.national(message.to.number) for message in messages)}
        if len(set(texts)) == 1:
            function, fields["text"] = "sms/batch_send", texts[0]
        else:  # each text is encoded by itself, since commas part them, and the form encodes all once more
            function, fields["text"] = "sms/multi_send", ",".join(quote_plus(text) for text in texts)
        reply = yield self._request(function, {**fields, **self._callback("reports")})
        body = _object(reply)
        if (code := reading.text(body, "code", "0")) != "0":
            return (reading.refused(code, _words(body), REASONS),) * len(messages)
        return reading.by_number(messages, reading.rows(body, "data"), "mobile", _outcome)

    # --- pulls ---

    def pull_reports(self) -> Flow[Sequence[StatusReport]]:
        return reading.drain(lambda: self._pull("sms/pull_status"), _list, _report, page_size=_PAGE)

    def pull_inbound(self) -> Flow[Sequence[InboundMessage]]:
        return reading.drain(lambda: self._pull("sms/pull_reply"), _list, _inbound, page_size=_PAGE)

    def _pull(self, function: str) -> httpx.Request:
        return self._request(function, {"page_size": str(_PAGE)})

    # --- reviews ---

    def submit_signature(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        fields = {"sign": draft.text, "notify": "false", "apply_vip": "false", "is_only_global": "false"}
        fields |= {name: self._options[name] for name in ("website", "industry_type") if self._options[name]}
        if draft.remark:
            fields["sign_use"] = draft.remark
        reply = yield self._request("sign/add", fields)
        body = _object(reply)
        if (code := reading.identifier(body, "code")) != "0":
            return reading.refused(code, _words(body), REASONS)
        reading.child(body, "sign")
        return Ticket(subject=Subject.SIGNATURE, id=draft.text, name=draft.name)

    def query_signature(self, ticket: str) -> Flow[ReviewDecision | None]:
        # Without brackets the vendor searches, with them it looks up.
        fields = {"sign": f"【{ticket}】", "page_num": "1", "page_size": str(_PAGE)}
        reply = yield self._request("sign/get", fields)
        for item in reading.rows(_asked(reply), "sign"):
            if isinstance(item, dict) and _bare(reading.text(item, "sign")) == ticket:
                return _decision(item, Subject.SIGNATURE, ticket, "remark")
        raise VendorTrouble("the vendor does not know this signature")

    def submit_template(self, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        content = fill(draft.text, {name: f"#{name}#" for name in variables(draft.text)})
        fields = {
            "tpl_content": signed(content, draft.signature or self._account.signature),
            "notify_type": "3",  # no SMS about the result
            "tpl_type": "1" if draft.purpose is Purpose.VERIFICATION else "0",
        }
        if self._options["website"]:
            fields["website"] = self._options["website"]
        if draft.remark:
            fields["apply_description"] = draft.remark
        if self._account.push_url:
            fields["callback"] = reading.door(self._account.push_url, "reviews")
        reply = yield self._request("tpl/add", fields)
        body = _object(reply)
        if (code := reading.text(body, "code", "0")) != "0":
            return reading.refused(code, _words(body), REASONS)
        return Ticket(subject=Subject.TEMPLATE, id=reading.identifier(body, "tpl_id"), name=draft.name)

    def query_template(self, ticket: str) -> Flow[ReviewDecision | None]:
        reply = yield self._request("tpl/get", {"tpl_id": ticket})
        body = read_json(reply)
        items = body if isinstance(body, list) else [_asked(reply)]
        for item in items:
            if isinstance(item, dict) and reading.identifier(item, "tpl_id") == ticket:
                return _decision(item, Subject.TEMPLATE, ticket, "reason")
        raise VendorTrouble("the vendor does not know this template")

    # --- records, counts, balance, words ---

    def find_records(self, number: str, day: date) -> Flow[Sequence[Record]]:
        span = {"start_time": f"{day:%Y-%m-%d} 00:00:00", "end_time": f"{day:%Y-%m-%d} 23:59:59"}
        fields = {**span, "mobile": reading.national(number), "page_size": str(_PAGE)}
        return reading.paged(
            lambda page: self._request("sms/get_record", {**fields, "page_num": str(page)}),
            lambda reply: (_list(reply), None),
            _record,
            page_size=_PAGE,
        )

    def statistics(self, first: date, last: date) -> Flow[Sequence[StatisticsRow]]:
        """One question a day; the vendor does not tell the day that is not over."""
        found = []
        for day in reading.days(first, last):
            reply = yield self._request("sms/get_total_fee", {"date": f"{day:%Y-%m-%d}"})
            found.append(_statistics_row(day, _asked(reply)))
        return tuple(found)

    def balance(self) -> Flow[Balance]:
        reply = yield self._request("user/get", {})
        if (left := reading.amount(_asked(reply), "balance")) is None:
            raise Unintelligible("balance is missing or not a sum", body=reply.content)
        return Balance(money=Money(amount=left))

    def check_content(self, text: str) -> Flow[ContentVerdict]:
        reply = yield self._request("sms/get_black_word", {"text": text})
        words = [reading.identifier({"word": word}, "word") for word in _list(reply)]
        return ContentVerdict(blocked=bool(words), words=tuple(words))

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        try:
            items, replies = _pushed_items(request.body)
            for reply in replies:
                if not signing.matches(reply_signature(reply, self._apikey), reading.text(reply, "_sign")):
                    raise ValueError("_sign does not match")
            proven = bool(replies) and len(replies) == len(items)
            return reading.sort_push(items, _reader, _TAKEN, authenticated=proven)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    # --- the wire ---

    @property
    def _apikey(self) -> str:
        return self._account.secret("apikey")

    def _callback(self, kind: str) -> dict[str, str]:
        return {"callback_url": reading.door(self._account.push_url, kind)} if self._account.push_url else {}

    def _request(self, function: str, fields: Mapping[str, str]) -> httpx.Request:
        headers = {
            "content-type": "application/x-www-form-urlencoded;charset=utf-8",
            "accept": "application/json;charset=utf-8",
        }
        body = urlencode({"apikey": self._apikey, **fields}).encode("ascii")
        return httpx.Request("POST", f"{self._url}/v2/{function}.json", headers=headers, content=body)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _object(reply: httpx.Response) -> dict[str, Any]:
    """An answer; one that reports an error by its HTTP status must say in a code what is wrong."""
    body = read_json(reply)
    if not isinstance(body, dict) or (reply.is_error and reading.text(body, "code", "0") == "0"):
        raise Unintelligible(f"HTTP {reply.status_code}: neither a result nor a readable no", body=reply.content)
    return body


def _words(body: Mapping[str, Any]) -> str:
    return " ".join(words for key in ("msg", "detail") if (words := reading.text(body, key)))


def _asked(reply: httpx.Response) -> dict[str, Any]:
    """The answer to a question. Raises VendorTrouble for a no."""
    body = _object(reply)
    if (code := reading.text(body, "code", "0")) != "0":
        raise reading.denied(code, _words(body), REASONS)
    return body


def _list(reply: httpx.Response) -> list[Any]:
    """A list, which these answers are from the top, unless the vendor says no. Raises VendorTrouble for that."""
    body = read_json(reply)
    if isinstance(body, list) and not reply.is_error:
        return body
    _asked(reply)
    raise Unintelligible(f"HTTP {reply.status_code}: expected a JSON array", body=reply.content)


def _outcome(item: Mapping[str, Any]) -> Accepted | Refused:
    if (code := reading.identifier(item, "code")) != "0":
        return reading.no(code, _words(item), REASONS)
    fee, currency = reading.amount(item, "fee"), _CURRENCIES.get(reading.text(item, "unit"))
    return Accepted(
        vendor_message_id=reading.identifier(item, "sid"),
        segments=reading.count(item, "count"),
        fee=None if fee is None or currency is None else Money(amount=fee, currency=currency),
    )


def _bare(signature: str) -> str:
    return split_signature(signature)[0] or signature


def _decision(item: Mapping[str, Any], subject: Subject, ticket: str, reason: str) -> ReviewDecision | None:
    """No stamp of the decision is told."""
    status = reading.text(item, "check_status")
    if status not in _VERDICTS:
        raise Unintelligible("check_status is none that is documented")
    if (verdict := _VERDICTS[status]) is None:
        return None
    return ReviewDecision(ticket=ticket, subject=subject, verdict=verdict, reason=reading.text(item, reason))


def _statistics_row(day: date, body: Mapping[str, Any]) -> StatisticsRow:
    since = reading.midnight(day)
    return StatisticsRow(
        since=since,
        until=since + timedelta(days=1),
        carrier=None,
        submitted=reading.count(body, "totalCount"),
        delivered=reading.count(body, "totalSuccessCount"),
        undelivered=reading.count(body, "totalFailedCount"),
        unreported=reading.count(body, "totalUnknownCount"),
    )


def _record(item: Mapping[str, Any]) -> Record:
    code, status = reading.text(item, "error_msg"), reading.text(item, "report_status")
    fee = reading.amount(item, "fee")
    return Record(
        number=reading.identifier(item, "mobile"),
        sent_at=reading.beijing(item, "send_time"),
        vendor_message_id=reading.identifier(item, "sid"),
        reference=reading.text(item, "uid") or None,
        state=_state(status, code) if status in _REPORTED else DeliveryState.UNKNOWN,
        code=code,
        text=reading.text(item, "text") or None,
        reported_at=reading.beijing(item, "user_receive_time"),
        fee=None if fee is None else Money(amount=fee),
    )


def _state(status: str, code: str) -> DeliveryState:
    if status not in _REPORTED:
        raise Unintelligible("the report is neither SUCCESS nor FAIL")
    if _REPORTED[status]:
        return DeliveryState.DELIVERED
    # "YP:…" is the platform's own no, before any carrier.
    return DeliveryState.REJECTED if code.startswith("YP:") else failed_state(code)


def _report(item: Mapping[str, Any]) -> StatusReport:
    code = reading.text(item, "error_msg")
    state = _state(reading.text(item, "report_status"), code)
    return StatusReport(
        vendor_message_id=reading.identifier(item, "sid"),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS),
        code=code,
        claimed_at=reading.beijing(item, "user_receive_time"),
        number=reading.identifier(item, "mobile"),
        reference=reading.text(item, "uid") or None,
        detail=reading.masked(reading.text(item, "error_detail")),
    )


def _inbound(item: Mapping[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to=reading.text(item, "base_extend") + reading.text(item, "extend"),
        text=reading.text(item, "text"),
        sent_at=reading.beijing(item, "reply_time"),
        vendor_message_id=reading.text(item, "id"),
    )


def _template_decision(item: dict[str, Any]) -> ReviewDecision | None:
    return _decision(item, Subject.TEMPLATE, reading.identifier(item, "tpl_id"), "reason")


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    if item.keys() & {"sid", "report_status"}:
        return _report
    if item.keys() & {"tpl_id", "check_status"}:
        return _template_decision
    return _inbound if item.keys() & {"reply_time", "base_extend", "_sign"} else None


def _pushed_items(body: bytes) -> tuple[list[object], list[dict[str, Any]]]:
    """The items of a push, and those among them that are replies and must prove themselves.

    Reports and replies come as JSON in a form field; how a template's result comes is not documented, so a plain
    form and plain JSON are both taken. Raises ValueError for anything else.
    """
    if len(body) > reading.PUSH_LIMIT:
        raise ValueError(f"longer than {reading.PUSH_LIMIT} bytes")
    if body.lstrip()[:1] in (b"{", b"["):
        return _sorted_items([reading.parse(body)])
    form = dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict", max_num_fields=64))
    packed = [_unpacked(form[name]) for name in ("sms_status", "sms_reply") if name in form]
    return _sorted_items(packed or [form])


def _sorted_items(packed: Iterable[Any]) -> tuple[list[object], list[dict[str, Any]]]:
    items = [item for value in packed for item in (value if isinstance(value, list) else [value])]
    replies = [item for item in items if isinstance(item, dict) and _reader(item) is _inbound]
    return items, replies


def _unpacked(value: str) -> Any:
    """JSON from a form field; some senders encode it once more than the form does."""
    try:
        return reading.parse(value)
    except ValueError:
        if "%" not in value:
            raise
        return reading.parse(unquote_plus(value, errors="strict"))

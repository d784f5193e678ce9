"""Chuanglan 创蓝253, first generation: JSON of texts in and out, account and password in every request.

Sends whole texts, at a host of the account's own; one id a request, however many numbers. No report comes unless it is
asked for. Reports and replies are pushed by GET, or in JSON, with a fixed password, and can be pulled from a queue.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

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
    NotYetWritten,
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
    DeliveryState,
    InboundMessage,
    InDoubt,
    Message,
    Outcome,
    Reason,
    ReviewDecision,
    ReviewVerdict,
    StatusReport,
    Subject,
)
from harness.errors import Unintelligible
from harness.flow import Flow, read_object
from harness.text import signed, split_signature
from vendors import reading, signing
from vendors.carrier_codes import failed_state, report_reason

_LATER: Final = "a third party's table for the newer interface (chuanglan-mcp 1.1.0)"


def _later(reason: Reason, note: str = "") -> Mapped:
    return Mapped(reason, "copied", note, _LATER)


REASONS: Final[Mapping[str, Mapped]] = {
    "101": Mapped(Reason.AUTH, note="no such account"),
    "102": Mapped(Reason.AUTH, note="the password is wrong"),
    "103": Mapped(Reason.THROTTLED),
    "104": Mapped(Reason.VENDOR_FAULT, note="busy; may be tried again"),
    "105": Mapped(Reason.SENSITIVE_CONTENT),
    "106": Mapped(Reason.BAD_REQUEST, note="length of the text: at most 536"),
    "107": Mapped(Reason.INVALID_NUMBER),
    "108": Mapped(Reason.BAD_REQUEST, note="how many numbers"),
    "109": Mapped(Reason.BALANCE),
    "110": Mapped(Reason.HOURS),
    "113": Mapped(Reason.BAD_REQUEST, note="extend"),
    "114": Mapped(Reason.BAD_REQUEST, note="groups of parameters"),
    "116": Mapped(Reason.SIGNATURE_NOT_APPROVED, note="missing, or not filed"),
    "117": Mapped(Reason.AUTH, note="our address is not registered"),
    "118": Mapped(Reason.AUTH, note="no right to this"),
    "119": Mapped(Reason.AUTH, note="the account has lapsed"),
    "120": Mapped(Reason.FREQUENCY_CAP, note="against abuse, a day"),
    "123": Mapped(Reason.BAD_REQUEST, note="kind of sending"),
    "124": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="fits no template that is allowed"),
    "125": Mapped(Reason.TEMPLATE_NOT_APPROVED, note="fits a template that was rejected"),
    "127": Mapped(Reason.BAD_REQUEST),
    "128": Mapped(Reason.BAD_REQUEST),
    "129": Mapped(Reason.BAD_REQUEST),
    "130": Mapped(Reason.BAD_REQUEST),
    "134": _later(Reason.FREQUENCY_CAP),
    "135": _later(Reason.FREQUENCY_CAP),
    "136": _later(Reason.BAD_REQUEST, "codes go one by one"),
    "145": _later(Reason.AUTH, "the digital signature"),
    "152": _later(Reason.TEMPLATE_NOT_APPROVED),
    "158": _later(Reason.BAD_REQUEST, "marketing does not say how to opt out"),
    "159": _later(Reason.FREQUENCY_CAP),
}

REPORT_REASONS: Final[Mapping[str, Mapped]] = {
    "MBBLACK": Mapped(Reason.BLACKLISTED),
    "REJECT": Mapped(Reason.TEMPLATE_NOT_APPROVED, "inferred", "turned down in review, by the vendor"),
    "REJECTD": Mapped(Reason.UNMAPPED, note="by the carrier's message centre: why, is not said"),
    "UNKNOWN": Mapped(Reason.UNMAPPED, note="the carrier does not know"),
}

BULK_LIMIT: Final = 1000
_PULL: Final = 100
_MOST_VARIABLES: Final = 20
_VARIABLE: Final = "{$var}"
_WITH_REPORT: Final = {"report": "true"}  # false if it is left out: no report is ever made
_VERDICTS: Final = {"03": ReviewVerdict.APPROVED, "04": ReviewVerdict.REJECTED}
_OPEN: Final = frozenset({"01", "02"})
_TAKEN: Final = Acknowledgement(content_type="text/plain")  # what it wants to hear is not documented: HTTP 200
_NOT_TAKEN: Final = Acknowledgement(status=403, content_type="text/plain")


# --- what proves who asks, by name, so that a test can break it -------------------------------------------------------


def signed_in(account: str, password: str, fields: Mapping[str, str]) -> dict[str, str]:
    """The fields of a request behind account and password, which is all that proves it."""
    return {"account": account, "password": password, **fields}


def is_theirs(item: Mapping[str, Any], receiver: str, password: str) -> bool:
    """Whether a push bears the two words set in the vendor's console."""
    told = (reading.text(item, "receiver"), reading.text(item, "pswd"))
    return signing.matches(receiver, told[0]) and signing.matches(password, told[1])


def common_text(messages: Sequence[Message]) -> tuple[str, list[list[str]]] | None:
    """One text with {$var} in it, and each message's values for them; None if there is no such text.

    By their parameters, if that makes one text of all; else everything behind the signature is one variable.
    """
    for way in (_by_parameters, _behind_signature):
        found = [way(message) for message in messages]
        texts = {one[0] for one in found if one is not None}
        if None not in found and len(texts) == 1:
            return texts.pop(), [one[1] for one in found if one is not None]
    return None


def _by_parameters(message: Message) -> tuple[str, list[str]] | None:
    text, rest, values = "", message.text, list(message.parameters.values())
    for value in values:
        before, here, rest = rest.partition(value) if _fits(value) else ("", "", "")
        if not here:
            return None
        text += before + _VARIABLE
    return (text + rest, values) if len(values) <= _MOST_VARIABLES else None


def _behind_signature(message: Message) -> tuple[str, list[str]] | None:
    name, rest = split_signature(message.text)
    return (signed(_VARIABLE, name), [rest]) if name is not None and _fits(rest) else None


def _fits(value: str) -> bool:
    """Whether a value can stand between the marks that part values and numbers."""
    return bool(value) and not any(mark in value for mark in ",;")


class Vendor:
    """One API account at Chuanglan, of the first generation."""

    manifest = Manifest(
        id="chuanglan",
        name={"zh-CN": "创蓝253", "en": "Chuanglan"},
        credentials=(
            Credential("account"),
            Credential("password", secret=True),
            # The two words in every push, as set in the console. Without them no push is proven.
            Credential("push_receiver", optional=True),
            Credential("push_password", secret=True, optional=True),
        ),
        documents=(
            Document("253云通讯PaaS短信云接口说明（JSON版）v1.2.0 (2018-04-24)", date(2026, 3, 2)),
            Document(
                "审核状态推送 (2023-07, 2026-04); Status report push of the international platform", date(2026, 3, 2)
            ),
        ),
        absent={
            Capability.REVIEWS_SIGNATURES: NotYetWritten(
                "signatureAdd needs an account of its own (深度接口), and we know only a part of its fields"
            ),
            Capability.REVIEWS_TEMPLATES: NotYetWritten("of the second generation, whose paths we do not know"),
            Capability.FINDS_RECORDS: NotYetWritten("no document about looking up records was found"),
            Capability.TELLS_STATISTICS: NotYetWritten("no document about statistics was found"),
            Capability.TELLS_PRICES: NotOffered("no interface tells a price; messages are bought in packages"),
            Capability.CHECKS_CONTENT: NotOffered("no interface checks a text without sending it"),
            Capability.CHECKS_BLACKLIST: NotYetWritten("of the second generation, whose paths we do not know"),
            Capability.EDITS_BLACKLIST: NotYetWritten("no document about changing the list was found"),
        },
        standing=Standing.SANDBOXED,
        endpoint=None,  # smssh1, smsbj1, …: told with the account
        # Neither a rate nor a cap on one number is documented, beyond that there is one a day (120).
        pace=Pace(per_second=10, burst=10, same_number_seconds=60, per_number_per_day=10),
        by_template=False,
        sends_secret=True,
        options={"send_path": "/msg/v1/send/json"},  # or /msg/send/json, as the older document has it
    )

    def __init__(self, account: Account, tools: Tools) -> None:
        self._account, self._tools = account, tools
        self._options = {**self.manifest.options, **account.options}

    # --- sending ---

    def submit(self, message: Message) -> Flow[Outcome]:
        fields = {"msg": message.text, "phone": reading.national(message.to.number), **_WITH_REPORT}
        if message.reference:
            fields["uid"] = message.reference
        body = _object((yield self._request(self._options["send_path"], fields)))
        if (code := reading.identifier(body, "code")) != "0":
            return reading.refused(code, reading.text(body, "errorMsg"), REASONS)
        return Accepted(vendor_message_id=reading.identifier(body, "msgId"))

    def submit_bulk(self, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
        """One text for all, or one with parameters. One id for all of them, and no uid: it would be one for all too."""
        if not messages:
            return ()
        reading.check_bulk(messages, BULK_LIMIT)
        numbers = [reading.national(message.to.number) for message in messages]
        if all(message.text == messages[0].text for message in messages):
            path, fields = self._options["send_path"], {"msg": messages[0].text, "phone": ",".join(numbers)}
        elif common := common_text(messages):
            groups = [",".join((number, *one)) for number, one in zip(numbers, common[1], strict=True)]
            path, fields = "/msg/variable/json", {"msg": common[0], "params": ";".join(groups)}
        else:
            raise reading.not_sent("one bulk request of Chuanglan is for one text, which parameters may fill")
        body = _object((yield self._request(path, {**fields, **_WITH_REPORT})))
        if (code := reading.identifier(body, "code")) != "0":
            return (reading.refused(code, reading.text(body, "errorMsg"), REASONS),) * len(messages)
        theirs, failed = reading.identifier(body, "msgId"), reading.count(body, "failNum") or 0
        if failed:
            return (InDoubt(why=f"{failed} of {len(messages)} failed, and the reply does not say which"),) * len(
                messages
            )
        return (Accepted(vendor_message_id=theirs),) * len(messages)

    # --- pulls, balance ---

    def pull_reports(self) -> Flow[Sequence[StatusReport]]:
        return reading.drain(lambda: self._pull("report"), _pulled, _pulled_report, page_size=_PULL)

    def pull_inbound(self) -> Flow[Sequence[InboundMessage]]:
        return reading.drain(lambda: self._pull("mo"), _pulled, _pulled_inbound, page_size=_PULL)

    def _pull(self, kind: str) -> httpx.Request:
        return self._request(f"/msg/pull/{kind}", {"count": str(_PULL)})

    def balance(self) -> Flow[Balance]:
        reply = yield self._request("/msg/balance/json", {})
        body = _object(reply)
        if (code := reading.identifier(body, "code")) != "0":
            raise reading.denied(code, reading.text(body, "errorMsg"), REASONS)
        if (left := reading.count(body, "balance")) is None:
            raise Unintelligible("balance is missing or not a count", body=reply.content)
        return Balance(messages=left)

    # --- pushes ---

    def read_push(self, request: PushRequest) -> Push:
        """A GET of the first kind, JSON of the newer, one report or reply each; or a decision of a review, unproven.

        Decisions are signed in a way that is not documented, so they count only by the secret path.
        """
        try:
            item = reading.pushed(request)
            proven = isinstance(item, dict) and self._prove(item)
            return reading.sort_push([item], _reader, _TAKEN, authenticated=proven)
        except (ValueError, Unintelligible) as error:
            raise PushRefused(str(error), _NOT_TAKEN) from error

    def _prove(self, item: Mapping[str, Any]) -> bool:
        """Whether a push bears our words; False where it should not. Raises ValueError for wrong ones."""
        if "push_password" not in self._account.credentials or _reader(item) is _decision:
            return False
        receiver = self._account.credentials.get("push_receiver", "")
        words = receiver if isinstance(receiver, str) else receiver.reveal()
        if not is_theirs(item, words, self._account.secret("push_password")):
            raise ValueError("receiver and pswd are not ours")
        return True

    # --- the wire ---

    def _request(self, path: str, fields: Mapping[str, str]) -> httpx.Request:
        whole = signed_in(self._account.secret("account"), self._account.secret("password"), fields)
        content = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
        url = f"{reading.base(self._account, self.manifest)}{path}"
        headers = {"content-type": "application/json;charset=utf-8"}
        return httpx.Request("POST", url, headers=headers, content=content)


# --- reading replies and pushes --------------------------------------------------------------------------------------


def _object(reply: httpx.Response) -> dict[str, Any]:
    """An answer with a code; a yes must not come with an error of HTTP."""
    body = read_object(reply)
    if reply.is_error and reading.text(body, "code", "0") == "0":
        raise Unintelligible(f"HTTP {reply.status_code} without an error in the body", body=reply.content)
    return body


def _pulled(reply: httpx.Response) -> list[Any]:
    """What a queue gave. Raises VendorTrouble for a no, which has words and no code but its own 1."""
    body = _object(reply)
    if (ret := reading.identifier(body, "ret")) != "0":
        raise reading.denied(ret, reading.text(body, "error"), {})
    return reading.rows(body, "result")


def _claim(item: Mapping[str, Any], theirs: str, **more: Any) -> StatusReport:
    code = reading.identifier(item, "status")
    state = {"DELIVRD": DeliveryState.DELIVERED, "UNKNOWN": DeliveryState.UNKNOWN}.get(code, failed_state(code))
    return StatusReport(
        vendor_message_id=reading.identifier(item, theirs),
        state=state,
        reason=None if state is DeliveryState.DELIVERED else report_reason(code, REPORT_REASONS),
        code=code,
        number=reading.identifier(item, "mobile"),
        reference=reading.text(item, "uid") or None,
        **more,
    )


def _pulled_report(item: dict[str, Any]) -> StatusReport:
    """`reportTime` is the carrier's, in whole minutes; `notifyTime` is theirs."""
    at = reading.stamped(item, "reportTime", "%y%m%d%H%M")
    return _claim(item, "msgId", claimed_at=at, detail=reading.masked(reading.text(item, "statusDesc")))


def _pulled_inbound(item: dict[str, Any]) -> InboundMessage:
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to=reading.text(item, "destCode") or reading.text(item, "spCode"),
        text=reading.text(item, "messageContent"),
        sent_at=reading.stamped(item, "moTime", "%y%m%d%H%M"),
    )


def _reader(item: Mapping[str, Any]) -> reading.Reader | None:
    if item.keys() >= {"msgid", "status"}:
        return _newer_report if "smsNum" in item or "batchSeq" in item else _report
    if item.keys() & {"audit_notify_type", "audit_state"}:
        return _decision
    return _inbound if item.keys() >= {"mobile", "msg"} else None


def _report(item: dict[str, Any]) -> StatusReport:
    """By GET; `length` counts billed segments."""
    return _claim(
        item,
        "msgid",
        claimed_at=reading.stamped(item, "reportTime", "%y%m%d%H%M"),
        billed_segments=reading.count(item, "length"),
        detail=reading.masked(reading.text(item, "statusDesc")),
    )


def _newer_report(item: dict[str, Any]) -> StatusReport:
    """In JSON; stamps in milliseconds, and the carrier's name."""
    return _claim(
        item,
        "msgid",
        claimed_at=reading.milliseconds(item, "reportTime"),
        submitted_at=reading.milliseconds(item, "requestTime"),
        billed_segments=reading.count(item, "smsNum"),
        detail=reading.text(item, "mnoName"),
    )


def _inbound(item: dict[str, Any]) -> InboundMessage:
    """A part of a long reply comes by itself, and its head tells parts apart: id, how many, which."""
    return InboundMessage(
        number=reading.identifier(item, "mobile"),
        to=reading.text(item, "destcode") or reading.text(item, "spCode"),
        text=reading.text(item, "msg"),
        sent_at=reading.stamped(item, "moTime", "%y%m%d%H%M"),
        vendor_message_id=reading.text(item, "emshead") if reading.text(item, "isems") == "1" else "",
    )


def _decision(item: dict[str, Any]) -> ReviewDecision | None:
    """Of 2023 by audit_id and status, of 2026 by template_id and audit_state; None while it is open."""
    status = reading.text(item, "status") or reading.text(item, "audit_state")
    if status in _OPEN:
        return None
    if status not in _VERDICTS:
        raise Unintelligible("the state of the review is none that is documented")
    is_signature = reading.text(item, "audit_notify_type") == "SIGN"
    return ReviewDecision(
        ticket=reading.identifier(item, "audit_id" if "audit_id" in item else "template_id"),
        subject=Subject.SIGNATURE if is_signature else Subject.TEMPLATE,
        verdict=_VERDICTS[status],
        reason=reading.text(item, "status_desc") or reading.text(item, "audit_desc"),
        claimed_at=reading.beijing(item, "audit_time"),
        name=reading.text(item, "content"),
    )

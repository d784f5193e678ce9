"""Plays a description: builds its requests, reads its replies and pushes, and makes the class that stands for it.

The class has the methods that are described and no others, so that its capabilities are what the description gives.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any, Final, NoReturn
from urllib.parse import quote, unquote_plus

import httpx

from harness.capabilities import (
    Account,
    Acknowledgement,
    Mapped,
    Push,
    PushRefused,
    PushRequest,
    Tools,
    harmless,
    spaced,
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
    Reason,
    Record,
    Refused,
    ReviewDecision,
    ReviewDraft,
    StatisticsRow,
    StatusReport,
    Subject,
    Ticket,
)
from harness.errors import Throttled, Unauthorised, Unintelligible, VendorTrouble
from harness.flow import Flow
from harness.text import split_signature
from vendors import reading, signing
from vendors.carrier_codes import report_reason
from vendors.declarative import hearing, writing
from vendors.declarative.description import describe
from vendors.declarative.expressions import Expression, Scope, Unsaid, text
from vendors.declarative.shapes import (
    Before,
    Choice,
    Description,
    Hears,
    Operation,
    Proof,
    Reader,
    Rows,
    Sends,
)

_CURRENCIES: Final = {"": "CNY", "RMB": "CNY"}
_TYPES: Final = {
    "form": "application/x-www-form-urlencoded",
    "json": "application/json",
    "base64_json": "application/json",
}


def module(text: str, name: str) -> ModuleType:
    """A description as a module like any other vendor's: `Vendor`, `REASONS`, `REPORT_REASONS`, `AGAIN`.

    `name`: the file, for messages. Raises ConfigError with every complaint found.
    """
    found = describe(text, name)
    made = ModuleType(f"vendors.described.{found.manifest.id}", f"{found.manifest.name['en']}, described in {name}.")
    vars(made).update(
        Vendor=_vendor_class(found, made.__name__),
        REASONS=found.reasons,
        REPORT_REASONS=found.report_reasons,
        AGAIN=found.again,
    )
    return made


def _vendor_class(found: Description, home: str) -> type:
    """A class with the methods that are described, and no others."""

    def __init__(self: Any, account: Account, tools: Tools) -> None:
        self._told = _Told(found, account, tools)

    methods = {name: _METHODS[name] for name in found.operations}
    if found.pushes is not None:
        methods["read_push"] = _METHODS["read_push"]
    doc = f"One account at {found.manifest.name.get('en', found.manifest.id)}, as described."
    return type(
        "Vendor",
        (),
        {"__module__": home, "__doc__": doc, "__init__": __init__, "manifest": found.manifest, **methods},
    )


# --- the methods: called exactly as harness.capabilities says --------------------------------------------------------


def _submit(self: Any, message: Message) -> Flow[Outcome]:
    told: _Told = self._told
    told.check_templates([message])
    scope, reply = yield from told.asked("submit", message=_message(message))
    return told.outcome(scope, reply)


def _submit_bulk(self: Any, messages: Sequence[Message]) -> Flow[Sequence[Outcome]]:
    told: _Told = self._told
    if not messages:
        return ()
    reading.check_bulk(messages, told.operation("submit_bulk").limit)
    told.check_templates(messages)
    scope, reply = yield from told.asked("submit_bulk", messages=[_message(one) for one in messages])
    return told.outcomes(messages, scope, reply)


def _pull_reports(self: Any) -> Flow[Sequence[StatusReport]]:
    told: _Told = self._told
    return told.drained("pull_reports", told.report)


def _pull_inbound(self: Any) -> Flow[Sequence[InboundMessage]]:
    told: _Told = self._told
    return told.drained("pull_inbound", told.inbound)


def _submit_signature(self: Any, draft: ReviewDraft) -> Flow[Ticket | Refused]:
    return self._told.filed("submit_signature", Subject.SIGNATURE, draft)  # type: ignore[no-any-return]


def _query_signature(self: Any, ticket: str) -> Flow[ReviewDecision | None]:
    return self._told.decided("query_signature", Subject.SIGNATURE, ticket)  # type: ignore[no-any-return]


def _submit_template(self: Any, draft: ReviewDraft) -> Flow[Ticket | Refused]:
    return self._told.filed("submit_template", Subject.TEMPLATE, draft)  # type: ignore[no-any-return]


def _query_template(self: Any, ticket: str) -> Flow[ReviewDecision | None]:
    return self._told.decided("query_template", Subject.TEMPLATE, ticket)  # type: ignore[no-any-return]


def _find_records(self: Any, number: str, day: date) -> Flow[Sequence[Record]]:
    return self._told.records(number, day)  # type: ignore[no-any-return]


def _statistics(self: Any, first: date, last: date) -> Flow[Sequence[StatisticsRow]]:
    found = []
    for day in reading.days(first, last):
        scope, reply = yield from self._told.question("statistics", day=day)
        found.append(self._told.day_row(day, scope, reply))
    return tuple(found)


def _balance(self: Any) -> Flow[Balance]:
    told: _Told = self._told
    scope, reply = yield from told.question("balance")
    money, left = told.money("balance", "money", scope), told.count("balance", "messages", scope)
    if money is None and left is None:
        raise Unintelligible("the balance is missing or no number", body=reply.content)
    return Balance(money=money, messages=left)


def _prices(self: Any) -> Flow[Money]:
    told: _Told = self._told
    scope, reply = yield from told.question("prices")
    if (price := told.money("prices", "price", scope)) is None:
        raise Unintelligible("the price is missing or no number", body=reply.content)
    return price


def _check_content(self: Any, text: str) -> Flow[ContentVerdict]:
    told: _Told = self._told
    scope, reply = yield from told.question("check_content", text=text)
    words = told.optional("check_content", "words", scope) or []
    if not isinstance(words, list):
        raise Unintelligible("the words are no list", body=reply.content)
    found = tuple(reading.identifier({"word": word}, "word") for word in words)
    return ContentVerdict(blocked=bool(told.needed("check_content", "blocked", scope)), words=found)


def _is_blocked(self: Any, number: str) -> Flow[bool]:
    scope, _ = yield from self._told.question("is_blocked", **_number(number))
    return bool(self._told.needed("is_blocked", "blocked", scope))


def _block(self: Any, number: str) -> Flow[None]:
    yield from self._told.question("block", **_number(number))


def _unblock(self: Any, number: str) -> Flow[None]:
    yield from self._told.question("unblock", **_number(number))


def _read_push(self: Any, request: PushRequest) -> Push:
    return self._told.pushed(request)  # type: ignore[no-any-return]


def _renamed(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    function.__name__ = function.__qualname__ = name
    return function


_METHODS: Final[Mapping[str, Callable[..., Any]]] = {
    function.__name__.lstrip("_"): _renamed(function, function.__name__.lstrip("_"))
    for function in (
        _submit, _submit_bulk, _pull_reports, _pull_inbound, _submit_signature, _query_signature, _submit_template,
        _query_template, _find_records, _statistics, _balance, _prices, _check_content, _is_blocked, _block, _unblock,
        _read_push,
    )
}  # fmt: skip


# --- what expressions see --------------------------------------------------------------------------------------------


def _message(one: Message) -> dict[str, Any]:
    return {
        "number": one.to.number,
        "national": reading.national(one.to.number),
        "text": one.text,
        "content": split_signature(one.text)[1],
        "signature": one.signature,
        "template": one.template,
        "parameters": dict(one.parameters),
        "values": list(one.parameters.values()),
        "reference": one.reference,
        "purpose": str(one.purpose),
    }


def _draft(one: ReviewDraft) -> dict[str, Any]:
    return {
        "name": one.name,
        "text": one.text,
        "purpose": str(one.purpose),
        "variables": dict(one.variables),
        "remark": one.remark,
        "signature": one.signature,
    }


def _number(number: str) -> dict[str, str]:
    return {"number": number, "national": reading.national(number)}


# --- a described vendor at work --------------------------------------------------------------------------------------


class _Told:
    """One account of a described vendor."""

    def __init__(self, found: Description, account: Account, tools: Tools) -> None:
        self._found, self._account, self._tools = found, account, tools
        self._options = {**found.manifest.options, **account.options}
        self._doors = (
            {kind: reading.door(account.push_url, kind) for kind in reading.PUSH_KINDS} if account.push_url else None
        )

    def operation(self, name: str) -> Operation:
        return self._found.operations[name]

    def check_templates(self, messages: Sequence[Message]) -> None:
        """Raises VendorTrouble, with nothing written, for a message without the template that this vendor wants."""
        if self._found.manifest.by_template and any(one.template is None for one in messages):
            raise reading.not_sent(f"{self._found.manifest.id} sends by template, and this message names none")

    def _scope(self) -> Scope:
        """What every expression may name. Made for each conversation: plain secrets are kept nowhere."""
        account = self._account
        return {
            "account": {
                one.name: account.secret(one.name) if one.name in account.credentials else None
                for one in self._found.manifest.credentials
            },
            "option": self._options,
            "signature": account.signature,
            "push": self._doors,
            "now": self._tools.now(),
        }

    # -- out --

    def begun(self, name: str, given: Mapping[str, Any]) -> Flow[Scope]:
        """The scope of a conversation, its requests beforehand answered."""
        scope = {**self._scope(), **given}
        for before in self.operation(name).before:
            scope[before.name] = None
            if before.when is not None and not writing.needed(before.when, scope):
                continue
            if before.rows is not None:
                scope[before.name] = yield from self._looked_up(before, before.rows, scope)
                continue
            request, _ = self._request(before.sends, scope)
            reply = yield harmless(request)
            heard = {**scope, **self._heard(before.hears, reply)}
            self._check(before.hears, heard, reply)
            scope[before.name] = hearing.told(before.take, heard, reply)
        return scope

    def _looked_up(self, before: Before, rows: Rows, scope: Scope) -> Flow[Any]:
        """What is taken of the row that matches. Raises VendorTrouble, with nothing sent, if none does."""
        found = yield from self._matching(before.sends, before.hears, rows, scope, mark=harmless)
        if not found:
            raise reading.not_sent(f"{before.name}: the vendor has none that fits")
        return hearing.told(before.take, {**scope, "item": found[0]}, None)

    def _matching(
        self,
        sends: Sends,
        hears: Hears,
        rows: Rows,
        scope: Scope,
        mark: Callable[[httpx.Request], httpx.Request] = lambda request: request,
    ) -> Flow[list[Any]]:
        """The rows of all pages that match, each page read whole. Raises Unintelligible for a row that cannot be."""

        def page(reply: httpx.Response) -> tuple[list[Any], int | None]:
            return self._rows(hears, rows, scope, reply)

        def read(item: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
            return rows.match is None or bool(hearing.told(rows.match, {**scope, "item": item}, None)), item

        read_rows = yield from reading.paged(
            lambda at: mark(self._request(sends, {**scope, "page": str(at)})[0]), page, read, page_size=rows.page_size
        )
        return [item for matches, item in read_rows if matches]

    def _rows(self, hears: Hears, rows: Rows, scope: Scope, reply: httpx.Response) -> tuple[list[Any], int | None]:
        """The rows of a reply that is a yes, and how many there are in all if it says so."""
        heard = {**scope, **self._heard(hears, reply)}
        self._check(hears, heard, reply)
        total = None if rows.total is None else reading.count({"it": hearing.maybe(rows.total, heard)}, "it")
        return hearing.listed(rows.of, heard, reply), total

    def built(self, name: str, scope: Scope) -> tuple[httpx.Request, Scope]:
        """The request that is meant, and the scope with what was worked out for it.

        Raises VendorTrouble, with nothing written, if a value for it is missing.
        """
        for sends in self.operation(name).sends:
            if sends.when is None or writing.needed(sends.when, scope):
                return self._request(sends, scope)
        raise reading.not_sent(f"{name}: none of its requests is meant here")

    def _request(self, sends: Sends, given: Scope) -> tuple[httpx.Request, Scope]:
        manifest = self._found.manifest
        base = reading.base(self._account, manifest, sends.host)
        scope = dict(given)
        if sends.draws:
            scope["nonce"] = self._tools.nonce()
        for name, expression in sends.let.items():
            scope[name] = writing.needed(expression, scope)
        scope["query"] = query = writing.mapping(sends.query, scope)
        scope["fields"] = fields = writing.mapping(sends.fields, scope)
        for where, adding in sends.add.items():
            scope[where].update(writing.mapping(adding, scope))
        path = "".join(
            one if isinstance(one, str) else quote(text(writing.needed(one, scope)), safe="") for one in sends.path
        )
        target = path + (f"?{writing.form(query, sends)}" if query else "")
        body = writing.body_of(fields, sends)
        url = httpx.URL(base + target)
        headers = {}
        if sends.headers or sends.kind != "none":
            kind = _TYPES.get(sends.kind, "")
            scope |= {
                "body": body,
                "body_text": body.decode("utf-8", "replace"),
                "method": sends.method,
                "path": url.raw_path.partition(b"?")[0].decode("ascii"),
                "target": url.raw_path.decode("ascii"),
                "host": url.netloc.decode("ascii"),
                "content_type": kind,
            }
            if kind:
                headers["content-type"] = kind
            said = {name.lower(): writing.needed(one, scope) for name, one in sends.headers.items()}
            headers |= {name: text(value) for name, value in said.items() if value is not None}
        request = httpx.Request(sends.method, url, headers=headers, content=body or None)
        return (spaced(request, manifest.pace, sends.apart) if sends.apart else request), scope

    # -- in --

    def asked(self, name: str, **given: Any) -> Flow[tuple[Scope, httpx.Response]]:
        """A request and its reply, not yet known to be a yes: the scope in which the reply is read."""
        begun = yield from self.begun(name, given)
        request, scope = self.built(name, begun)
        reply = yield request
        return {**scope, **self._heard(self.operation(name).hears, reply)}, reply

    def question(self, name: str, **given: Any) -> Flow[tuple[Scope, httpx.Response]]:
        """The same, where a no is no answer. Raises VendorTrouble for it."""
        scope, reply = yield from self.asked(name, **given)
        self._check(self.operation(name).hears, scope, reply)
        return scope, reply

    def _heard(self, hears: Hears, reply: httpx.Response) -> Scope:
        """What a reply says. Raises Throttled for a 429 that says nothing, Unintelligible for any other such reply."""
        try:
            body = hearing.read(hears, reply)
        except Unintelligible:
            if reply.status_code == 429:
                raise Throttled("HTTP 429", code="429") from None
            raise
        return {"reply": body, "status": reply.status_code, "headers": dict(reply.headers.items())}

    def _is_yes(self, hears: Hears, scope: Scope, reply: httpx.Response) -> bool:
        for about_us, trouble in ((hears.unauthorised, Unauthorised), (hears.throttled, Throttled)):
            if about_us is not None and about_us.or_none(scope):
                code = "" if hears.code is None else hearing.plain(hearing.maybe(hears.code, scope))
                words = "" if hears.detail is None else hearing.words(hears.detail, scope)
                raise trouble(f"{code}: {reading.masked(words)}", code=code)
        yes = bool(hearing.told(hears.ok, scope, reply))
        if yes and reply.is_error:
            raise Unintelligible(f"HTTP {reply.status_code} and a yes", body=reply.content)
        return yes

    def _check(self, hears: Hears, scope: Scope, reply: httpx.Response) -> None:
        if not self._is_yes(hears, scope, reply):
            answer = self._no(hears.code, hears.detail, scope, reply)
            raise VendorTrouble(f"{answer.code}: {answer.detail}", code=answer.code)

    def _no(
        self,
        code: Expression | None,
        detail: Expression | None,
        scope: Scope,
        reply: httpx.Response,
        *,
        whole: bool = True,
    ) -> Refused:
        """A no as data. Raises Throttled or Unauthorised if a whole request's is about ourselves."""
        if code is None:
            raise Unintelligible(f"HTTP {reply.status_code}, and no yes", body=reply.content)
        said = reading.identifier({"code": hearing.told(code, scope, reply)}, "code")
        words = "" if detail is None else hearing.words(detail, scope)
        table, line = self._found.reasons, self._line(said, reply.status_code)
        if not whole:
            return reading.no(said, words, {said: line})
        again = self._found.again.get(said)
        if again is not None and again.when == "fresh":
            raise Throttled(f"{said}: {reading.masked(words)}", code=said, retry_after=again.after or 0.0)
        known = table if said in table else {said: line}
        return reading.refused(said, words, known, retry_after=again.after if again else None)

    def _line(self, code: str, status: int) -> Mapped:
        """The table's line of a code; for one that it does not know, that of the HTTP status if there is one."""
        line = reading.mapped(code, self._found.reasons)
        return self._found.reasons.get(f"HTTP {status}", line) if line.reason is Reason.UNMAPPED else line

    # -- values of a result --

    def optional(self, name: str, key: str, scope: Scope) -> Any:
        expression = self.operation(name).result.get(key)
        return None if expression is None else hearing.maybe(expression, scope)

    def needed(self, name: str, key: str, scope: Scope) -> Any:
        expression = self.operation(name).result[key]
        try:
            return expression(scope) if isinstance(expression, Expression) else None
        except Unsaid as error:
            raise Unintelligible(str(error)) from None

    def count(self, name: str, key: str, scope: Scope) -> int | None:
        return reading.count({"it": self.optional(name, key, scope)}, "it")

    def money(self, name: str, key: str, scope: Scope) -> Money | None:
        amount = reading.amount({"it": self.optional(name, key, scope)}, "it")
        unit = hearing.plain(self.optional(name, "currency", scope))
        currency = _CURRENCIES.get(unit, unit)
        is_known = re.fullmatch(r"[A-Z]{3}", currency)
        return None if amount is None or not is_known else Money(amount=Decimal(amount), currency=currency)

    # -- outcomes --

    def outcome(self, scope: Scope, reply: httpx.Response) -> Outcome:
        hears = self.operation("submit").hears
        if not self._is_yes(hears, scope, reply):
            return self._no(hears.code, hears.detail, scope, reply)
        return self._accepted("submit", scope)

    def _accepted(self, name: str, scope: Scope) -> Accepted:
        return Accepted(
            vendor_message_id=reading.identifier({"id": self.needed(name, "id", scope)}, "id"),
            segments=self.count(name, "segments", scope),
            fee=self.money(name, "fee", scope),
        )

    def outcomes(self, messages: Sequence[Message], scope: Scope, reply: httpx.Response) -> Sequence[Outcome]:
        """By the numbers that rows name, in their order if they name none, or all by one answer."""
        operation = self.operation("submit_bulk")
        if not self._is_yes(operation.hears, scope, reply):
            return (self._no(operation.hears.code, operation.hears.detail, scope, reply),) * len(messages)
        if (rows := operation.rows) is None:
            return tuple(self._accepted("submit_bulk", {**scope, "message": one}) for one in scope["messages"])

        def read(item: dict[str, Any]) -> Outcome:
            return self._row_outcome(rows, {**scope, "item": item}, reply)

        items = hearing.listed(rows.of, scope, reply)
        if rows.number is not None:
            numbered = rows.number
            keyed = [
                {**item, "\0number": hearing.maybe(numbered, {**scope, "item": item})}
                for item in items
                if isinstance(item, dict)
            ]
            return reading.by_number(messages, keyed, "\0number", read)
        if len(items) != len(messages):
            raise Unintelligible(f"{len(items)} rows for {len(messages)} messages", body=reply.content)
        return tuple(reading.all_readable(items, read, reply))

    def _row_outcome(self, rows: Rows, scope: Scope, reply: httpx.Response) -> Outcome:
        if rows.ok is not None and not hearing.told(rows.ok, scope, reply):
            return self._no(rows.code, rows.detail, scope, reply, whole=False)
        return self._accepted("submit_bulk", scope)

    # -- lists --

    def drained(self, name: str, read: Callable[[dict[str, Any]], Any]) -> Flow[Sequence[Any]]:
        operation = self.operation(name)
        rows = operation.rows
        assert rows is not None  # the description is checked for it
        scope = yield from self.begun(name, {})

        def page(reply: httpx.Response) -> list[Any]:
            return self._rows(operation.hears, rows, scope, reply)[0]

        found = yield from reading.drain(lambda: self.built(name, scope)[0], page, read, page_size=rows.page_size)
        return found

    def records(self, number: str, day: date) -> Flow[Sequence[Record]]:
        operation = self.operation("find_records")
        rows = operation.rows
        assert rows is not None  # the description is checked for it
        scope = yield from self.begun("find_records", {**_number(number), "day": day})

        def page(reply: httpx.Response) -> tuple[list[Any], int | None]:
            return self._rows(operation.hears, rows, {**scope, "page": "1"}, reply)

        found = yield from reading.paged(
            lambda at: self.built("find_records", {**scope, "page": str(at)})[0],
            page,
            lambda item: self._record({**scope, "item": item}),
            page_size=rows.page_size,
        )
        return found

    def _record(self, scope: Scope) -> Record:
        name = "find_records"
        code, state = hearing.plain(self.optional(name, "code", scope)), self.operation(name).result.get("state")
        return Record(
            number=reading.identifier({"it": self.needed(name, "number", scope)}, "it"),
            sent_at=hearing.stamp(self.optional(name, "sent_at", scope)),
            vendor_message_id=self._record_id(scope),
            reference=hearing.plain(self.optional(name, "reference", scope)) or None,
            state=hearing.state_of(state, scope, code) if isinstance(state, Choice) else DeliveryState.UNKNOWN,
            code=code,
            text=hearing.plain(self.optional(name, "text", scope)) or None,
            reported_at=hearing.stamp(self.optional(name, "reported_at", scope)),
            fee=self.money(name, "fee", scope),
        )

    def _record_id(self, scope: Scope) -> str | None:
        """Where an id is described, a record has one; or the description itself says none."""
        if "id" not in self.operation("find_records").result:
            return None
        value = self.needed("find_records", "id", scope)
        return None if value is None else reading.identifier({"id": value}, "id")

    def day_row(self, day: date, scope: Scope, reply: httpx.Response) -> StatisticsRow:
        since = reading.midnight(day)
        return StatisticsRow(
            since=since,
            until=since + timedelta(days=1),
            carrier=None,
            submitted=self.count("statistics", "submitted", scope),
            billed_segments=self.count("statistics", "billed", scope),
            delivered=self.count("statistics", "delivered", scope),
            undelivered=self.count("statistics", "undelivered", scope),
            unreported=self.count("statistics", "unreported", scope),
        )

    # -- reviews --

    def filed(self, name: str, subject: Subject, draft: ReviewDraft) -> Flow[Ticket | Refused]:
        scope, reply = yield from self.asked(name, draft=_draft(draft))
        hears = self.operation(name).hears
        if not self._is_yes(hears, scope, reply):
            return self._no(hears.code, hears.detail, scope, reply)
        ticket = reading.identifier({"ticket": self.needed(name, "ticket", scope)}, "ticket")
        return Ticket(subject=subject, id=ticket, name=draft.name)

    def decided(self, name: str, subject: Subject, ticket: str) -> Flow[ReviewDecision | None]:
        operation = self.operation(name)
        rows = operation.rows
        if rows is not None and operation.sends[0].pages:
            scope = yield from self.begun(name, {"ticket": ticket})
            for item in (yield from self._matching(operation.sends[0], operation.hears, rows, scope)):
                return self._decision(item, subject, ticket)
            raise VendorTrouble(f"the vendor does not know this {subject}")
        scope, reply = yield from self.question(name, ticket=ticket)
        if rows is None:
            return self._decision(scope["reply"], subject, ticket)
        for item in hearing.listed(rows.of, scope, reply):
            if isinstance(item, dict) and (
                rows.match is None or hearing.told(rows.match, {**scope, "item": item}, reply)
            ):
                return self._decision(item, subject, ticket)
        raise VendorTrouble(f"the vendor does not know this {subject}")

    def _decision(self, item: Any, subject: Subject, ticket: str = "") -> ReviewDecision | None:
        described, scope = self._found.items["decision"], self._item_scope(item)
        if not ticket:
            ticket = reading.identifier({"ticket": hearing.of_item(described, "ticket", scope)}, "ticket")
        verdict = described["verdict"]
        assert isinstance(verdict, Choice)
        if (decided := hearing.chosen(verdict, scope)) is None:
            return None
        return ReviewDecision(
            ticket=ticket,
            subject=subject,
            verdict=decided,
            reason=hearing.plain(hearing.of_item(described, "reason", scope)),
            claimed_at=hearing.stamp(hearing.of_item(described, "at", scope)),
            name=hearing.plain(hearing.of_item(described, "name", scope)),
        )

    # -- items --

    def _item_scope(self, item: Any) -> Scope:
        return {"item": item, "option": self._options}

    def report(self, item: dict[str, Any]) -> StatusReport:
        described, scope = self._found.items["report"], self._item_scope(item)
        code, stated = hearing.plain(hearing.of_item(described, "code", scope)), described["state"]
        assert isinstance(stated, Choice)
        state = hearing.state_of(stated, scope, code)
        carrier = described.get("carrier")
        whose = hearing.chosen(carrier, scope, lenient=True) if isinstance(carrier, Choice) else None
        return StatusReport(
            vendor_message_id=reading.identifier({"id": hearing.of_item(described, "id", scope)}, "id"),
            state=state,
            reason=None
            if state is DeliveryState.DELIVERED
            else report_reason(code, self._found.report_reasons, carrier=whose),
            code=code,
            claimed_at=hearing.stamp(hearing.of_item(described, "at", scope)),
            submitted_at=hearing.stamp(hearing.of_item(described, "submitted_at", scope)),
            number=hearing.plain(hearing.of_item(described, "number", scope)) or None,
            reference=hearing.plain(hearing.of_item(described, "reference", scope)) or None,
            billed_segments=reading.count({"it": hearing.of_item(described, "billed", scope)}, "it"),
            segment=reading.count({"it": hearing.of_item(described, "segment", scope)}, "it") or 1,
            detail=reading.masked(hearing.plain(hearing.of_item(described, "detail", scope))),
        )

    def inbound(self, item: dict[str, Any]) -> InboundMessage:
        described, scope = self._found.items["inbound"], self._item_scope(item)
        return InboundMessage(
            number=reading.identifier({"number": hearing.of_item(described, "number", scope)}, "number"),
            to=hearing.plain(hearing.of_item(described, "to", scope)),
            text=hearing.plain(hearing.of_item(described, "text", scope)),
            sent_at=hearing.stamp(hearing.of_item(described, "at", scope)),
            vendor_message_id=hearing.plain(hearing.of_item(described, "id", scope)),
        )

    # -- pushes --

    def pushed(self, request: PushRequest) -> Push:
        pushes = self._found.pushes
        assert pushes is not None  # the method is there only where pushes are described
        try:
            return self._read(request)
        except (ValueError, Unintelligible, Unsaid) as error:
            raise PushRefused(str(error), pushes.refused) from error

    def _read(self, request: PushRequest) -> Push:
        pushes = self._found.pushes
        assert pushes is not None
        if len(request.body) > reading.PUSH_LIMIT:
            raise ValueError(f"longer than {reading.PUSH_LIMIT} bytes")
        scope: Scope = {**self._scope(), **_push_scope(request, self._account)}
        if pushes.challenge is not None and pushes.challenge[0].or_none(scope):
            return Push(acknowledgement=_said(pushes.taken, pushes.challenge[1], scope))
        whole = reading.pushed(request, pushes.charset)
        scope["whole"] = whole
        if isinstance(whole, dict) and (packed := [one for one in pushes.json_in if one in whole]):
            unpacked = [_unpacked(whole[name], twice=pushes.twice) for name in packed]
            items = [item for value in unpacked for item in (value if isinstance(value, list) else [value])]
            scope["whole"] = unpacked[0]
        elif pushes.items is not None:
            items = pushes.items(scope)
        else:
            items = whole if isinstance(whole, list) else [whole]
        if not isinstance(items, list):
            raise ValueError("the items are no list")
        proven = [_proves(proof, scope, request) for proof in pushes.proof]
        of_items = [self._item_proof(item, scope, request) for item in items]
        once = next((hearing.plain(proof.once(scope)) for proof in pushes.proof if proof.once is not None), None)
        return reading.sort_push(
            items,
            lambda item: self._reader(item, scope),
            _said(pushes.taken, None, scope),
            authenticated=any(proven) or bool(of_items and all(of_items)),
            once=once,
        )

    def _reader_of(self, item: Any, scope: Scope) -> Reader | None:
        pushes = self._found.pushes
        assert pushes is not None
        for reader in pushes.readers:
            if reader.when is None or _holds(reader.when, {**scope, "item": item}):
                return reader
        return None

    def _item_proof(self, item: Any, scope: Scope, request: PushRequest) -> bool:
        """Whether an item proves itself. Raises ValueError if it should and does not."""
        reader = self._reader_of(item, scope) if isinstance(item, dict) else None
        if reader is None or reader.proof is None:
            return False
        return _proves(reader.proof, {**scope, "item": item}, request)

    def _reader(self, item: dict[str, Any], scope: Scope) -> reading.Reader | None:
        reader = self._reader_of(item, scope)
        if reader is None:
            return None
        match reader.kind:
            case "report":
                return self.report
            case "inbound":
                return self.inbound
            case "decision":
                return lambda one: self._decision(one, Subject(reader.subject))
            case _:
                return lambda one: None


# --- pushes ----------------------------------------------------------------------------------------------------------


def _push_scope(request: PushRequest, account: Account) -> Scope:
    return {
        "body": request.body,
        "query": {name: value for name, value in _query(request)},
        "headers": dict(request.headers),
        "path": request.path,
        "method": request.method,
        "url": reading.called_url(account.push_url, request),
        "whole": None,
    }


def _query(request: PushRequest) -> Iterator[tuple[str, str]]:
    try:
        yield from reading.form(request.query).items()
    except ValueError:
        return


def _unpacked(value: Any, *, twice: bool) -> Any:
    """JSON from a form field; some senders encode it once more than the form does."""
    if not isinstance(value, str):
        raise ValueError("no text where packed JSON belongs")
    try:
        return reading.parse(value)
    except ValueError:
        if not twice or "%" not in value:
            raise
        return reading.parse(unquote_plus(value, errors="strict"))


def _proves(proof: Proof, scope: Scope, request: PushRequest) -> bool:
    """Whether a signature is right; True only where the proof applies. Raises ValueError for a wrong or stale one."""
    if proof.when is not None and not _holds(proof.when, scope):
        return False
    expected, given = text(proof.expect(scope)), text(proof.given.or_none(scope))
    if proof.any_case:
        expected, given = expected.lower(), given.lower()
    if not given or not signing.matches(expected, given):
        _forged()
    if proof.fresh is not None:
        reading.check_fresh(hearing.stamp(proof.fresh.or_none(scope)), request.received_at)
    return True


def _forged() -> NoReturn:
    raise ValueError("signature does not match")


def _holds(condition: Expression, scope: Scope) -> bool:
    """Whether a condition holds of a stranger's item; one that cannot be worked out does not."""
    try:
        return bool(condition(scope))
    except (Unsaid, Unintelligible):
        return False


def _said(taken: tuple[int, str, Expression | str], instead: Expression | None, scope: Scope) -> Acknowledgement:
    status, kind, says = taken
    words = instead if instead is not None else says
    body = words if isinstance(words, str) else _echo(words(scope))
    return Acknowledgement(status=status, body=body.encode("utf-8", "replace"), content_type=kind)


def _echo(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

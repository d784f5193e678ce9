"""Between the sandbox's world and a vendor's counterpart: what each may ask of the other.

The world knows the truth (who is reachable, what is claimed, when). A counterpart knows one vendor's wire: it checks
signatures and parameters by the vendor's card, keeps the vendor's own frequency rules, and puts the world's answers
into the vendor's words. Neither imports an adapter.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

import httpx

from harness.domain import BEIJING, Carrier, DeliveryState, Purpose, Reason, ReviewVerdict, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One message to one number, as the counterpart understood it. Already past the vendor's own formal checks."""

    number: str  # E.164
    text: str  # whole text with 【signature】, as a phone would show it
    purpose: Purpose
    template: str | None = None
    reference: str | None = None  # the customer's id, where the vendor takes one
    extension: str = ""
    key: str = ""  # the vendor's message id, minted by the counterpart; unique in the account together with `number`


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The world's vendor took it."""

    segments: int
    fee: Decimal  # CNY


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """The world's vendor refuses at once. `words`: the sensitive words found, if that is the reason."""

    reason: Reason
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A status report that is due: what this vendor claims, true or made up."""

    key: str  # Submission.key
    number: str  # E.164
    state: DeliveryState
    reason: Reason | None
    code: str  # the carrier's code: "DELIVRD", "UNDELIV", "MK:0001", …; a counterpart may turn it into its own
    submitted_at: datetime
    claimed_at: datetime  # the stamp in the report
    segments: int
    reference: str | None
    text: str
    template: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A phone's reply on its way to the customer."""

    id: int
    number: str
    to: str  # the sender code the phone replied to
    extension: str
    text: str
    sent_at: datetime
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A signature or template under review. `verdict` is None while it is open, by the world's clock now."""

    number: int  # unique in the account; counterparts make their ids from it
    subject: Subject
    name: str
    text: str
    purpose: Purpose
    created_at: datetime
    verdict: ReviewVerdict | None
    reason: str
    decided_at: datetime | None
    extra: Mapping[str, Any] = field(default_factory=dict)  # what the counterpart wants echoed


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A record the vendor still keeps of one message."""

    key: str
    number: str
    text: str
    template: str | None
    reference: str | None
    submitted_at: datetime
    state: DeliveryState  # as claimed so far; UNKNOWN: no status report yet
    code: str
    claimed_at: datetime | None
    segments: int
    fee: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The vendor's own books for one Beijing day, or a span of hours."""

    since: datetime
    until: datetime
    submitted: int
    segments: int
    delivered: int
    undelivered: int
    unreported: int
    fee: Decimal
    by_reason: Mapping[Reason, int] = field(default_factory=dict)  # undelivered ones by claimed reason
    by_carrier: Mapping[Carrier, int] = field(default_factory=dict)  # submitted ones


@dataclass(frozen=True, slots=True, kw_only=True)
class FiledTemplate:
    """A template that stands approved (or not) in the account."""

    id: str
    text: str  # with {name} variables, without signature
    purpose: Purpose
    approved: bool = True


class Door(Protocol):
    """One account's door into the world. `now` is the vendor's clock (true time), aware UTC."""

    label: str
    credentials: Mapping[str, str]
    signatures: Mapping[str, bool]  # filed signatures → approved
    templates: Mapping[str, FiledTemplate]
    options: Mapping[str, str]  # the account's options, for quirks and contradictions in a vendor's facts
    memory: MutableMapping[str, Any]  # the counterpart's own state; lives as long as the world

    def now(self) -> datetime: ...

    def submit(self, submission: Submission) -> Taken | Turned: ...

    def take_reports(self, limit: int) -> Sequence[Claim]:
        """Reports waiting in the account's queue, when it is set to pull. Each is given once."""

    def take_replies(self, limit: int) -> Sequence[Reply]:
        """Replies waiting in the account's queue, when it is set to pull. Each is given once."""

    def replies(self, number: str, since: datetime, until: datetime) -> Sequence[Reply]:
        """Replies on record (not destructive)."""

    def submit_review(
        self, *, subject: Subject, name: str, text: str, purpose: Purpose, extra: Mapping[str, Any]
    ) -> Review: ...

    def review(self, subject: Subject, number: int) -> Review | None: ...

    def reviews(self, subject: Subject) -> Sequence[Review]: ...

    def records(self, number: str | None, since: datetime, until: datetime) -> Sequence[Kept]:
        """Records submitted in [since, until) that the vendor still keeps, oldest first."""

    def counts(self, since: datetime, until: datetime) -> Counts: ...

    def balance(self) -> Decimal:
        """CNY left in the account."""

    def blocked_words(self, text: str) -> tuple[str, ...]: ...

    def opted_out(self) -> Mapping[str, datetime]:
        """Numbers on the account's opt-out list, with the instant since which each is there."""

    def opt_out(self, number: str) -> None:
        """Put a number onto the opt-out list at once, as the vendor's console or interface does."""

    def opt_in(self, number: str) -> None:
        """Take a number off the opt-out list, as the vendor's console or interface does."""

    def push_later(self, push: PushOut, kind: str, after: timedelta) -> None:
        """Start a push that the world does not know of: kind is reports, inbound or reviews.

        For whatever a vendor sends of its own accord: a state before the last one, a refusal told late, the check of a
        push URL. Nothing happens in an account that is set to pull.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PushOut:
    """A push as it leaves the vendor; the world knows the address."""

    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    query: str = ""  # raw, without "?": behind the account's push URL
    url: str | None = None  # where the customer's own request said; None: the account's push URL
    retry: tuple[timedelta, ...] | None = None  # its own rule, e.g. for replies; None: Counterpart.push_retry
    load: Any = None  # what a gateway hands over by its link, instead of a post
    keys: frozenset[str] = frozenset()  # of the claims in it, where there are several pushes; empty: of all


class Counterpart(Protocol):
    """The vendor's side of one wire: `Counterpart(door)` in `vendors/sandbox/<adapter id>.py`.

    Pure but for `door`: no I/O, no sleeping, no chance of its own. The same requests get the same answers.

    Two more attributes may be there: `filing`, the adapter's options without which nothing can be filed (made up), and
    `template`, how a filed template's id is spelt ("SMS_9{:08d}"); see `filing_of` and `template_id`.
    """

    push_batch: int  # most status reports in one push
    push_retry: tuple[timedelta, ...]  # after each failed try, wait this long; then give up

    def __init__(self, door: Door) -> None: ...

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a customer's request (its body is read). Never raises: garbage gets the vendor's own error."""

    def push_reports(self, claims: Sequence[Claim]) -> PushOut | Sequence[PushOut] | None:
        """The push for these reports, or several: a claim in many, or many in one. None if they are never pushed."""

    def push_reply(self, reply: Reply) -> PushOut | Sequence[PushOut] | None:
        """The push for a reply, or one for each of its parts; None if replies are never pushed."""

    def push_decision(self, review: Review) -> PushOut | Sequence[PushOut] | None: ...

    def acknowledged(self, status: int, body: bytes) -> bool:
        """Whether the customer's answer to a push counts as received, by the vendor's rule."""


def pushes_of(pushed: PushOut | Sequence[PushOut] | None) -> Sequence[PushOut] | None:
    """One push or several as several; None stays None."""
    return (pushed,) if isinstance(pushed, PushOut) else pushed


def filing_of(counterpart: object) -> Mapping[str, str]:
    """The options an account needs before this vendor files anything; made up."""
    filing: Mapping[str, str] = getattr(counterpart, "filing", {})
    return filing


def template_id(counterpart: object, number: int) -> str:
    """The id of the account's template of that number, as this vendor spells ids."""
    pattern: str = getattr(counterpart, "template", "9{:06d}")
    return pattern.format(number)


def beijing_day(day: date) -> tuple[datetime, datetime]:
    """Begin and end of a Beijing day in UTC."""

    begin = datetime(day.year, day.month, day.day, tzinfo=BEIJING)
    return begin, begin + timedelta(days=1)

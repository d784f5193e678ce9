"""What a scenario is shown of its case, and what it may answer: boards, steps, and the scenario's own protocol.

A board is a pure fold of the case's facts, so a scenario has no memory that a crash could lose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar, Protocol

from harness.capabilities import Capability
from harness.content import SampleText
from harness.domain import (
    Accepted,
    Case,
    DeliveryState,
    Draft,
    Hours,
    InDoubt,
    Outcome,
    Purpose,
    Recipient,
    ReviewDecision,
    ReviewDraft,
    Ticket,
)
from harness.facts import (
    Answer,
    Braked,
    CallFailed,
    CaseClosed,
    CasePlanned,
    Decided,
    Fact,
    InboundReceived,
    Question,
    QuestionAnswered,
    QuestionAsked,
    ReportReceived,
    ReviewDecisionReceived,
    SendIntended,
    SendSettled,
    SightingReceived,
    SubmitAnswered,
    TicketGiven,
)
from harness.matching import Matcher

# --- steps ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send the draft of this leg now."""

    leg: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    question: Question


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until then, or until a fact for this case arrives."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Close:
    because: str


Step = Send | Ask | Wait | Close


# --- boards ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One leg of a case as far as it has come."""

    intended_at: datetime
    outcome: Outcome | None = None  # None: on its way, or nothing was taken (see `failed`)
    written_at: datetime | None = None
    answered_at: datetime | None = None
    failed: str | None = None  # trouble kind, when nothing was taken and nothing will be
    reports: tuple[ReportReceived, ...] = ()
    sightings: tuple[SightingReceived, ...] = ()

    @property
    def is_answered(self) -> bool:
        return self.outcome is not None or self.failed is not None

    @property
    def is_taken(self) -> bool:
        """Accepted, or in doubt with later evidence that it left."""
        if isinstance(self.outcome, InDoubt):
            return bool(self.reports or self.sightings)
        return isinstance(self.outcome, Accepted)

    @property
    def has_arrived(self) -> bool:
        return bool(self.sightings)

    @property
    def parts(self) -> int:
        """How many reports a "delivered" takes: one, or one for each part that has an id of its own."""
        match self.outcome:
            case Accepted(part_ids=ids) | InDoubt(part_ids=ids):
                return max(1, len(ids))
            case _:
                return 1

    @property
    def final_report(self) -> ReportReceived | None:
        """The first final claim; of a message in parts, the first failure or the last of the parts' claims.

        Later ones that contradict it are kept in `reports`.
        """
        final = [report for report in self.reports if report.state.is_final]
        if self.parts == 1:
            return final[0] if final else None
        told: set[int] = set()
        for report in final:
            told.add(report.segment)
            if report.state is not DeliveryState.DELIVERED or len(told) == self.parts:
                return report
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    question: Question
    asked_at: datetime
    answer: Answer | None = None
    answered_at: datetime | None = None
    failed: str | None = None  # trouble kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All that is known of one case."""

    case: Case
    legs: Mapping[int, Sent] = field(default_factory=dict)
    asked: tuple[Asked, ...] = ()
    inbound: tuple[tuple[datetime, InboundReceived], ...] = ()
    decision: ReviewDecision | None = None
    ticket: Ticket | None = None
    braked: str | None = None  # the last brake that held a step back
    closed: str | None = None

    @property
    def due(self) -> datetime:
        return self.case.due

    def sent(self, leg: int = 0) -> Sent | None:
        return self.legs.get(leg)

    def last_asked(self, kind: str) -> Asked | None:
        """The latest question of a kind, answered or not."""
        return next((one for one in reversed(self.asked) if one.question.kind == kind), None)

    def count_asked(self, kind: str) -> int:
        return sum(one.question.kind == kind for one in self.asked)


def fold(board: Board | None, fact: Fact, matcher: Matcher) -> Board | None:
    """The board after one more fact that was routed to this case. Facts may come again or out of order: no harm."""
    if board is None:
        return Board(case=fact.body.case) if isinstance(fact.body, CasePlanned) else None
    body = fact.body
    match body:
        case SendIntended(leg=leg, planned_at=_):
            return _with_leg(board, leg, Sent(intended_at=fact.at)) if leg not in board.legs else board
        case SubmitAnswered(leg=leg, outcome=outcome, call=call):
            sent = board.legs.get(leg) or Sent(intended_at=fact.at)
            written = call.written_at if call else None
            return _with_leg(board, leg, replace(sent, outcome=outcome, written_at=written, answered_at=fact.at))
        case SendSettled(leg=leg, vendor_message_id=theirs, part_ids=ids):
            sent = board.legs.get(leg) or Sent(intended_at=fact.at)
            return _with_leg(board, leg, replace(sent, outcome=Accepted(vendor_message_id=theirs or "", part_ids=ids)))
        case CallFailed(what="submit", leg=int(leg), trouble=trouble):
            sent = board.legs.get(leg) or Sent(intended_at=fact.at)
            return _with_leg(board, leg, replace(sent, failed=trouble, answered_at=fact.at))
        case CallFailed(trouble=trouble):
            return _answered(board, body.what, None, fact.at, trouble)
        case QuestionAsked(question=question):
            return replace(board, asked=(*board.asked, Asked(question=question, asked_at=fact.at)))
        case QuestionAnswered(question=question, answer=answer):
            board = _answered(board, question.kind, answer, fact.at, None)
            match answer:
                case TicketGiven(ticket=ticket):
                    return replace(board, ticket=ticket)
                case Decided(decision=decision):
                    return replace(board, decision=board.decision or decision)
            return board
        case ReviewDecisionReceived(decision=decision):
            return replace(board, decision=board.decision or decision)
        case ReportReceived() | SightingReceived():
            return _with_news(board, body, matcher)
        case InboundReceived():
            return replace(board, inbound=(*board.inbound, (fact.at, body)))
        case Braked(brake=brake):
            return replace(board, braked=brake)
        case CaseClosed(because=because):
            return replace(board, closed=because)
    return board


def _with_leg(board: Board, leg: int, sent: Sent) -> Board:
    return replace(board, legs={**board.legs, leg: sent})


def _with_news(board: Board, body: ReportReceived | SightingReceived, matcher: Matcher) -> Board:
    part: int | None = None
    if isinstance(body, ReportReceived):
        found, part = matcher.place_of(body) or (None, None)
    else:
        found = matcher.leg_of(body)
    if found is None or found.case_id != board.case.id or (sent := board.legs.get(found.leg)) is None:
        return board
    if isinstance(body, ReportReceived):
        claim = body if part is None else replace(body, segment=part)
        return _with_leg(board, found.leg, replace(sent, reports=(*sent.reports, claim)))
    return _with_leg(board, found.leg, replace(sent, sightings=(*sent.sightings, body)))


def _answered(board: Board, kind: str, answer: Answer | None, at: datetime, failed: str | None) -> Board:
    asked = list(board.asked)
    for index, one in enumerate(asked):
        if one.question.kind == kind and one.answered_at is None:
            asked[index] = replace(one, answer=answer, answered_at=at, failed=failed)
            break
    return replace(board, asked=tuple(asked))


# --- scenarios ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """A vendor as a scenario may know it: by its label and what it can do."""

    label: str
    capabilities: frozenset[Capability]
    by_template: bool
    contents: frozenset[str]  # ids of the test texts it can send (a template is on file, or none is needed)


class Brief(Protocol):
    """What a scenario is given to make its cases from."""

    contestants: Sequence[Contestant]  # only vendors that can do what the scenario needs
    settings: Mapping[str, str]  # the scenario's own settings, as written in the evaluation
    begins: datetime  # UTC

    @property
    def recipients(self) -> Sequence[Recipient]: ...

    @property
    def span(self) -> timedelta:
        """How long the whole evaluation lasts."""

    @property
    def hours(self) -> Hours: ...

    @property
    def purposes(self) -> Sequence[Purpose]: ...

    @property
    def horizon(self) -> timedelta:
        """How long a message is waited for."""

    @property
    def report_horizon(self) -> timedelta:
        """How long a status report is waited for."""

    @property
    def gap(self) -> timedelta:
        """Least time between two messages to one phone, over all vendors."""

    @property
    def per_day(self) -> int:
        """The most one phone gets a day, over all vendors, where it has no cap of its own."""

    def number(self, name: str, default: int) -> int:
        """A whole number among the settings. Raises ConfigError."""

    def duration(self, name: str, default: timedelta) -> timedelta:
        """A duration among the settings, e.g. "3 days", "90 s". Raises ConfigError."""

    def texts(self, purpose: Purpose) -> Sequence[str]:
        """Ids of the compliant test texts for a purpose, long ones left out."""

    def sample(self, content: str) -> SampleText:
        """A test text by its id."""

    def samples(self, kind: str) -> Sequence[SampleText]:
        """Test texts of a kind: compliant, faulty, harmless."""

    def draft(self, vendor: str, content: str, recipient: Recipient) -> Draft:
        """A message of a test text, with a fresh token and reference."""

    def case(
        self,
        scenario: str,
        vendor: str,
        due: datetime,
        *,
        recipient: Recipient | None = None,
        drafts: Sequence[Draft] = (),
        visit: str = "",
        task: Mapping[str, str] | None = None,
        review: ReviewDraft | None = None,
    ) -> Case:
        """A case with its slices filled in; the plan numbers it."""

    def within_hours(self, moment: datetime) -> datetime:
        """The moment itself, or the next one at which sending is allowed."""


class Scenario(Protocol):
    """One kind of question put to vendors. Both methods are pure."""

    id: ClassVar[str]
    needs: ClassVar[frozenset[Capability]]

    def cases(self, brief: Brief, chance: Random) -> Iterable[Case]: ...

    def next_step(self, board: Board, now: datetime) -> Step: ...

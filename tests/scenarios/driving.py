"""Drives a scenario through one case in a world of chance: answers, reports, sightings, silence and crashes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from harness.domain import (
    Accepted,
    Case,
    ContentVerdict,
    DeliveryState,
    InDoubt,
    Reason,
    Refused,
    ReportSource,
    ReviewDecision,
    ReviewVerdict,
    Subject,
    Ticket,
)
from harness.facts import (
    CallFailed,
    CasePlanned,
    ContentChecked,
    Decided,
    Fact,
    InboundReceived,
    InboxSearched,
    Probed,
    QuestionAnswered,
    QuestionAsked,
    RecordTold,
    Replied,
    ReportReceived,
    ReviewDecisionReceived,
    SaidNo,
    SendIntended,
    SightingReceived,
    StatisticsTold,
    SubmitAnswered,
    TicketGiven,
    Undecided,
)
from harness.matching import Matcher
from harness.run.board import Ask, Board, Close, Send, Step, Wait, fold

ONCE = ("submit_review", "reply")
REFUSED = Refused(reason=Reason.BLACKLISTED, code="B1")


@dataclass
class World:
    """What chance does. Each is a share; what is left over is silence."""

    accepts: float = 0.6
    refuses: float = 0.1
    doubts: float = 0.1
    fails: float = 0.1
    arrives: float = 0.7
    reports: float = 0.7
    answers: float = 0.7
    longest: timedelta = timedelta(hours=3)


SILENT = World(accepts=0, refuses=0, doubts=0, fails=0, arrives=0, reports=0, answers=0)
KIND = World(accepts=1, arrives=1, reports=1, answers=1, longest=timedelta(minutes=2))


@dataclass
class Drive:
    scenario: Any
    case: Case
    chance: Random
    world: World = field(default_factory=World)
    now: datetime = None  # type: ignore[assignment]
    board: Board = None  # type: ignore[assignment]
    matcher: Matcher = field(default_factory=Matcher)
    events: list[tuple[datetime, Any]] = field(default_factory=list)
    steps: list[tuple[datetime, Step]] = field(default_factory=list)
    seq: int = 0

    def __post_init__(self) -> None:
        self.now = self.case.due - timedelta(hours=1)
        self.tell(CasePlanned(case=self.case))

    def tell(self, body: Any) -> None:
        self.seq += 1
        fact = Fact(seq=self.seq, at=self.now, case_id=self.case.id, body=body)
        self.matcher.learn(fact)
        board = fold(self.board, fact, self.matcher)
        assert board is not None
        self.board = board

    def later(self, body: Callable[[], Any]) -> None:
        self.events.append((self.now + self.chance.random() * self.world.longest, body))
        self.events.sort(key=lambda event: event[0])

    def run(self, most: int = 600) -> str:
        """Until the case closes. Checks each step on the way; returns why it closed."""
        for _ in range(most):
            step = self.scenario.next_step(self.board, self.now)
            assert step == self.scenario.next_step(self.board, self.now), "not pure"
            self.steps.append((self.now, step))
            check_step(self.board, self.now, step)
            match step:
                case Close(because=because):
                    return because
                case Wait(until=until):
                    self.wait(until)
                case Send(leg=leg):
                    self.send(leg)
                case Ask(question=question):
                    self.ask(question)
        raise AssertionError(f"not closed after {most} steps: {self.steps[-3:]}")

    def wait(self, until: datetime) -> None:
        if self.events and self.events[0][0] <= until:
            at, body = self.events.pop(0)
            self.now = max(self.now, at)
            self.tell(body())
        else:
            self.now = until

    def send(self, leg: int) -> None:
        world, draft, vendor = self.world, self.case.drafts[leg], self.case.vendor
        self.tell(SendIntended(leg=leg, planned_at=self.now, ceiling=None))
        outcome = self.chance.choices(
            [Accepted(vendor_message_id=f"m{leg}"), REFUSED, InDoubt(why="timeout"), "failed", None],
            [world.accepts, world.refuses, world.doubts, world.fails, 1e-9 if world.accepts == 1 else 0.1],
        )[0]
        if outcome == "failed":
            self.tell(CallFailed(what="submit", leg=leg, trouble="unreachable", detail="", written=False))
        elif outcome is not None:
            self.tell(SubmitAnswered(leg=leg, outcome=outcome, call=None))  # type: ignore[arg-type]
        if self.chance.random() < world.arrives:
            self.later(lambda: self.sighting(draft.text))
        if self.chance.random() < world.reports:
            state = self.chance.choice(list(DeliveryState)) if world is not KIND else DeliveryState.DELIVERED
            self.later(
                lambda: ReportReceived(
                    vendor=vendor, vendor_message_id=f"m{leg}", recipient=self.case.recipient,
                    reference=draft.reference, state=state, reason=None, code="", claimed_at=None,
                    billed_segments=None, segment=1, source=ReportSource.PUSHED,
                )
            )  # fmt: skip

    def sighting(self, text: str) -> SightingReceived:
        return SightingReceived(
            forwarder="f", recipient=self.case.recipient or "", sender="1069", text=text, event_id="e", scts=None,
            handset_at=None, forwarded_at=None, received_at=self.now, reconciled=False,
        )  # fmt: skip

    def ask(self, question: Any) -> None:
        self.tell(QuestionAsked(question=question))
        if self.chance.random() >= self.world.answers:
            if self.chance.random() < 0.5 and self.world is not SILENT:
                self.tell(CallFailed(what=question.kind, trouble="no_answer", detail="", written=True))
            return
        self.now += timedelta(seconds=1)
        self.tell(QuestionAnswered(question=question, answer=self.answer(question.kind)))
        if question.kind == "reply" and self.chance.random() < 0.5:
            self.later(
                lambda: InboundReceived(
                    vendor=self.case.vendor, recipient=self.case.recipient, to="1069", text="R", sent_at=None,
                    source=ReportSource.PUSHED,
                )
            )  # fmt: skip
        if question.kind == "submit_review" and self.board.ticket and self.chance.random() < 0.5:
            self.later(lambda: ReviewDecisionReceived(vendor=self.case.vendor, decision=DECISION))

    def answer(self, kind: str) -> Any:
        kindly = self.world is KIND
        match kind:
            case "submit_review":
                given = TicketGiven(ticket=Ticket(subject=Subject.TEMPLATE, id="t1"))
                return given if kindly or self.chance.random() < 0.8 else SaidNo(refused=REFUSED)
            case "query_review":
                return Decided(decision=DECISION) if self.chance.random() < 0.02 else Undecided()
            case "check_content":
                return ContentChecked(verdict=ContentVerdict(blocked=True))
            case "find_record":
                return RecordTold(found=True, records=1)
            case "ask_statistics":
                return StatisticsTold(rows=())
            case "probe":
                return Probed(what="tls", taken=None)
            case "reply":
                return Replied(by_hand=not kindly and self.chance.random() < 0.3)
            case "search_inbox":
                return InboxSearched(found=self.chance.random() < 0.2)
        raise AssertionError(kind)


DECISION = ReviewDecision(ticket="t1", subject=Subject.TEMPLATE, verdict=ReviewVerdict.REJECTED)


def check_step(board: Board, now: datetime, step: Step) -> None:
    """What every scenario keeps, whatever the board."""
    match step:
        case Wait(until=until):
            assert until > now
        case Send(leg=leg):
            assert leg not in board.legs, "sent twice"
            assert 0 <= leg < len(board.case.drafts)
            assert now >= board.due
        case Ask(question=question):
            assert now >= board.due or board.legs or board.asked
            if question.kind in ONCE:
                assert board.count_asked(question.kind) == 0, "asked twice"
            if question.kind == "search_inbox":
                assert question not in [one.question for one in board.asked], "searched twice"
        case Close(because=because):
            assert because

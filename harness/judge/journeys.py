"""Facts → journeys: one row for each message, review, probe and reply, in tables that measures are taken from.

One pass in ledger order. Claimed and seen stay in separate columns; what is not known is missing, never zero. The
rules of design 2.20 are applied here, once: what is void, what is unknown, what counts as arrived.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.domain import (
    Accepted,
    Case,
    DeliveryState,
    Draft,
    InDoubt,
    Reason,
    RecipientKind,
    Refused,
    ReviewDecision,
)
from harness.facts import (
    CallFailed,
    CaseClosed,
    CasePlanned,
    CaseSkipped,
    ContentChecked,
    Decided,
    Fact,
    FindRecord,
    HeartbeatReceived,
    InboundReceived,
    InboxSearched,
    Probed,
    PushRefused,
    QuestionAnswered,
    QuestionAsked,
    RecordTold,
    Replied,
    Reply,
    ReportReceived,
    ReviewDecisionReceived,
    RunBegan,
    RunEnded,
    SaidNo,
    SearchInbox,
    SendIntended,
    SendSettled,
    SightingReceived,
    StatisticsTold,
    SubmitAnswered,
    SubmitReview,
    TicketGiven,
    Undecided,
)
from harness.judge.stats import ClockOffset, causal_bounds, offset_from_exchanges
from harness.matching import Leg, Matcher
from harness.text import billed_segments, normalised, split_signature

Frame = pd.DataFrame
Floats = NDArray[np.float64]

DRIFT_PPM: Final = 20.0  # what a phone's clock may drift (statistics.md 2.4)
HOUR: Final = 3600.0
GREATEST_BOUND: Final = 5.0  # seconds; a clock known worse than that says less than our own
HORIZON: Final = 3600.0  # seconds, where the run's settings say nothing
SILENCE: Final = 240.0  # a phone without a sign of life for so long is down (design 2.20)

# Nothing was taken, and who is to answer for it.
_TROUBLE: Final = {
    "throttled": Reason.THROTTLED,
    "unauthorised": Reason.AUTH,
    "unreachable": Reason.VENDOR_FAULT,
    "unintelligible": Reason.VENDOR_FAULT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run says of itself, and what was counted on the way. Times in seconds since the epoch, UTC."""

    began: RunBegan
    began_at: float
    ended_at: float  # the last fact's
    because: str | None  # None: no RunEnded
    facts: int
    planned: Mapping[str, frozenset[str]]  # vendor → scenarios it had cases of
    skipped: tuple[CaseSkipped, ...]

    def seconds(self, key: str, default: float) -> float:
        """A setting in seconds."""
        value = self.began.settings.get(key)
        return default if value is None else float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that happened, as tables. Times are seconds since the epoch; missing means "did not happen" or "not known".

    messages, a row for each planned (case, leg):
      case_id, leg, vendor, scenario, recipient, kind (of recipient), phone (recipients numbered: what clusters),
      purpose, content, fault ("" compliant), family, expect, visit, carrier, ported, province, hour_band,
      campaign_window, tag.<name>, segments (by the GSM rules), due_segments (as platforms bill the text)
      planned_at, intended_at, written_at, answered_at, lag, wait (acceptance time, s), tries
      outcome (accepted | refused | in_doubt | not_sent), settled_by (record | report | sighting), reason, code,
      vendor_message_id, fee (CNY), fee_segments
      report_state, report_reason, report_code, claimed_at, reported_at, report_source, report_not_before,
      contradicting, billed_segments
      seen_at (ours), handset_at, forwarded_at, scts, sighting (intact | altered), sender, reconciled, copies, searched
      closed_at, because, followed_for (s), alive (False: the phone was silent around it)
      sent_at (written, else intended), arrived_at (our clock), clock (handset | received | interval), clock_bound (s),
      clock_grain (s, by which a stamp in whole seconds may be off either way, apart from the bound)
      watch: arrived | missing | void (phone down) | unknown (nobody could tell) | "" (not to a handset, or not taken)
      tells: a missing message would show too, by the phone's signs of life or because its inbox can be asked
    reviews: case_id, vendor, subject, fault, family, submitted_at, refused_at, decided_at, not_before (the last look
      that found it open, where the decision was asked for and not pushed), looked_at,
      verdict, reason, claimed_at, closed_at
    probes: case_id, vendor, what, taken, detail, at
    records: case_id, vendor, age_days, at, found, records, fields, state
    statistics: case_id, vendor, at, since, until, carrier, submitted, billed_segments, delivered, undelivered,
      unreported
    replies: case_id, vendor, recipient, leg, at, by_hand, inbound_at, inbound_text
    content_checks: case_id, vendor, fault, family, blocked, at
    silences: forwarder, began, ended (± inf at the ends)
    orphans: kind (report | sighting | inbound | decision), vendor, at, key
    failures: case_id, vendor, what, trouble, at
    refused_pushes: door, why, at
    """

    run: Run
    messages: Frame
    reviews: Frame
    probes: Frame
    records: Frame
    statistics: Frame
    replies: Frame
    content_checks: Frame
    silences: Frame
    orphans: Frame
    failures: Frame
    refused_pushes: Frame

    @property
    def vendors(self) -> tuple[str, ...]:
        return tuple(self.run.began.vendors)


def read(facts: Iterable[Fact]) -> Evidence:
    """Fold a run's facts, in ledger order, into tables. Raises ValueError when no RunBegan is among them.

    Repeated facts change nothing, and reports or sightings may come in any order.
    """
    fold = _Fold()
    with _uncollected():
        for fact in facts:
            fold.take(fact)
        return fold.evidence()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cycle collector: it would walk millions of living, acyclic objects again and again for nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# --- one pass --------------------------------------------------------------------------------------------------------

_ReportKey = tuple[datetime, str, str]


@dataclass(slots=True)
class _Row:
    """One message while the ledger is read."""

    case_id: str
    leg: int
    text: str
    content: str
    purpose: str
    segments: int
    intended_at: float | None = None
    planned_at: float | None = None
    written_at: float | None = None
    answered_at: float | None = None
    lag: float | None = None
    wait: float | None = None
    tries: int | None = None
    outcome: str | None = None
    settled_by: str | None = None
    reason: str | None = None
    code: str | None = None
    vendor_message_id: str | None = None
    fee: float | None = None
    fee_segments: int | None = None
    parts: int = 1  # how many reports a "delivered" takes
    reports: dict[int, tuple[_ReportKey, ReportReceived, frozenset[str]]] | None = None
    sightings: dict[str, SightingReceived] | None = None
    searched: bool | None = None


@dataclass(slots=True)
class _Review:
    """One review while the ledger is read."""

    case_id: str
    submitted_at: float | None = None
    refused_at: float | None = None
    decided_at: float | None = None
    not_before: float | None = None
    looked_at: float | None = None
    claimed_at: float | None = None
    verdict: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class _Fold:
    matcher: Matcher = field(default_factory=Matcher)
    began: RunBegan | None = None
    began_at: float = 0.0
    last: datetime | None = None
    because: str | None = None
    facts: int = 0
    rows: list[_Row] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)  # case → its first row; legs follow
    reviews: dict[str, _Review] = field(default_factory=dict)
    closed: dict[str, tuple[float, str]] = field(default_factory=dict)
    planned: set[tuple[str, str]] = field(default_factory=set)
    skipped: list[CaseSkipped] = field(default_factory=list)
    beats: dict[str, list[tuple[float, float | None, float | None]]] = field(default_factory=dict)
    probes: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    statistics: list[dict[str, Any]] = field(default_factory=list)
    replies: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    orphans: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    def take(self, fact: Fact) -> None:
        """Take in one fact."""
        self.facts += 1
        if self.last is None or fact.at > self.last:
            self.last = fact.at
        if taker := _TAKERS.get(type(fact.body)):
            taker(self, fact, fact.body)

    def _row(self, case_id: str | None, leg: int | None) -> _Row | None:
        if case_id is None or leg is None or (first := self.first.get(case_id)) is None:
            return None
        index = first + leg
        row = self.rows[index] if index < len(self.rows) else None
        return row if row is not None and row.case_id == case_id else None

    # The run and its plan.

    def _began(self, fact: Fact, body: RunBegan) -> None:
        self.began, self.began_at = body, fact.at.timestamp()

    def _ended(self, fact: Fact, body: RunEnded) -> None:
        self.because = body.because

    def _skip(self, fact: Fact, body: CaseSkipped) -> None:
        self.skipped.append(body)

    def _planned(self, fact: Fact, body: CasePlanned) -> None:
        case = body.case
        if case.id in self.first or case.id in self.reviews:
            return
        self.matcher.learn(fact)
        self.planned.add((case.vendor, case.scenario))
        if case.review is not None:
            self.reviews[case.id] = _Review(case.id)
        if case.drafts:
            self.first[case.id] = len(self.rows)
            self.rows += [_row_of(case.id, number, draft) for number, draft in enumerate(case.drafts)]

    def _closed(self, fact: Fact, body: CaseClosed) -> None:
        if fact.case_id is not None:
            self.closed.setdefault(fact.case_id, (fact.at.timestamp(), body.because))

    # The way out.

    def _intended(self, fact: Fact, body: SendIntended) -> None:
        self.matcher.learn(fact)
        if (row := self._row(fact.case_id, body.leg)) is not None and row.intended_at is None:
            row.intended_at, row.planned_at = fact.at.timestamp(), body.planned_at.timestamp()

    def _answered(self, fact: Fact, body: SubmitAnswered) -> None:
        row = self._row(fact.case_id, body.leg)
        if row is None or row.outcome is not None:
            return
        row.answered_at = fact.at.timestamp()
        self._stopwatch(row, body.call)
        match body.outcome:
            case Accepted(vendor_message_id=theirs, segments=segments, fee=fee, part_ids=part_ids):
                row.parts = max(1, len(part_ids))
                row.outcome, row.vendor_message_id, row.fee_segments = "accepted", theirs, segments
                row.fee = float(fee.amount) if fee is not None and fee.currency == "CNY" else None
            case Refused(reason=reason, code=code):
                row.outcome, row.reason, row.code = "refused", reason.value, code
            case InDoubt(why=why, part_ids=part_ids):
                row.outcome, row.code, row.parts = "in_doubt", why, max(1, len(part_ids))
        self._learn_reports(fact)

    @staticmethod
    def _stopwatch(row: _Row, call: Any) -> None:
        if call is not None:
            row.written_at = call.written_at.timestamp() if call.written_at is not None else None
            row.lag, row.wait, row.tries = call.lag, call.wait, call.tries

    def _settled(self, fact: Fact, body: SendSettled) -> None:
        if (row := self._row(fact.case_id, body.leg)) is not None and row.settled_by is None:
            row.outcome, row.settled_by = "accepted", body.by
            row.vendor_message_id = body.vendor_message_id or row.vendor_message_id
            row.parts = max(row.parts, len(body.part_ids))
        self._learn_reports(fact)

    def _failed(self, fact: Fact, body: CallFailed) -> None:
        self.matcher.learn(fact)
        case = self.matcher.cases.get(fact.case_id or "")
        self.failures.append(
            {
                "case_id": fact.case_id,
                "vendor": case.vendor if case else None,
                "what": body.what,
                "trouble": body.trouble,
                "at": fact.at.timestamp(),
            }
        )
        row = self._row(fact.case_id, body.leg) if body.what == "submit" else None
        if row is not None and row.outcome is None:
            self._stopwatch(row, body.call)
            row.answered_at, row.code = fact.at.timestamp(), body.code or body.trouble
            row.outcome, row.reason = "refused", _TROUBLE.get(body.trouble, Reason.VENDOR_FAULT).value

    # What reached us.

    def _learn_reports(self, fact: Fact) -> None:
        """Learn the vendor's id of a message, and read the reports that were waiting for it."""
        for case_id, parked in self.matcher.route(fact):
            if parked is not fact and isinstance(parked.body, ReportReceived):
                self._report(parked, parked.body, case_id)

    def _reported(self, fact: Fact, body: ReportReceived) -> None:
        for case_id, _ in self.matcher.route(fact):
            self._report(fact, body, case_id)

    def _report(self, fact: Fact, body: ReportReceived, case_id: str) -> None:
        leg, part = self.matcher.place_of(body) or (None, None)
        row = self._row(case_id, leg.leg if leg else None)
        if row is None or not body.state.is_final:
            return
        segment = body.segment if part is None else part
        key = (fact.at, body.state.value, body.code)
        reports = row.reports = row.reports if row.reports is not None else {}
        known = reports.get(segment)
        if known is None:
            reports[segment] = (key, body, frozenset((body.state.value,)))
        else:
            states = known[2] | {body.state.value}
            reports[segment] = (key, body, states) if key < known[0] else (known[0], known[1], states)

    def _saw(self, fact: Fact, body: SightingReceived) -> None:
        leg = self.matcher.leg_of(body)
        row = self._row(leg.case_id, leg.leg) if leg else None
        if row is None:
            self._orphan("sighting", None, fact, body.recipient)
            return
        seen = row.sightings = row.sightings if row.sightings is not None else {}
        known = seen.get(body.event_id)
        if known is None or body.received_at < known.received_at:
            seen[body.event_id] = body

    def _orphan(self, kind: str, vendor: str | None, fact: Fact, key: str) -> None:
        self.orphans.append({"kind": kind, "vendor": vendor, "at": fact.at.timestamp(), "key": key})

    def _inbound(self, fact: Fact, body: InboundReceived) -> None:
        case_id, at = self.matcher.case_of(body), fact.at.timestamp()
        # A reply that the phone sent and no message from the vendor answers yet; the earliest such.
        for reply in self.replies:
            if reply["case_id"] == case_id and reply["inbound_at"] is None:
                reply["inbound_at"], reply["inbound_text"] = at, body.text
                return
        if case_id is None:
            self._orphan("inbound", body.vendor, fact, body.to)

    def _beat(self, fact: Fact, body: HeartbeatReceived) -> None:
        self.beats.setdefault(body.forwarder, []).append(
            (
                body.received_at.timestamp(),
                body.asked_at.timestamp() if body.asked_at else None,
                body.phone_at.timestamp() if body.phone_at else None,
            )
        )

    def _push_refused(self, fact: Fact, body: PushRefused) -> None:
        self.refused.append({"door": body.door, "why": body.why, "at": fact.at.timestamp()})

    # Questions.

    def _asked(self, fact: Fact, body: QuestionAsked) -> None:
        review = self.reviews.get(fact.case_id or "")
        if review is not None and isinstance(body.question, SubmitReview) and review.submitted_at is None:
            review.submitted_at = fact.at.timestamp()

    def _told(self, fact: Fact, body: QuestionAnswered) -> None:
        case = self.matcher.cases.get(fact.case_id or "")
        if case is None:
            return
        self.matcher.learn(fact)
        at = fact.at.timestamp()
        about: dict[str, Any] = {"case_id": case.id, "vendor": case.vendor, "at": at}
        match body.answer:
            case TicketGiven() | Undecided() | SaidNo() | Decided():
                self._review_news(case.id, body, at)
            case ContentChecked(verdict=verdict):
                self.checks.append(about | _fault(case) | {"blocked": verdict.blocked})
            case RecordTold() as told if isinstance(body.question, FindRecord):
                self.records.append(about | _record(told, case))
            case StatisticsTold(rows=rows):
                self.statistics += [about | _statistics(row) for row in rows] or [about | {"since": None}]
            case Probed(what=what, taken=taken, detail=detail):
                self.probes.append(about | {"what": what, "taken": taken, "detail": dict(detail)})
            case Replied(by_hand=by_hand) if isinstance(body.question, Reply):
                self.replies.append(
                    about | {"recipient": case.recipient, "leg": body.question.leg, "by_hand": by_hand}
                    | {"inbound_at": None, "inbound_text": None}
                )  # fmt: skip
            case InboxSearched(found=found) if isinstance(body.question, SearchInbox):
                if (row := self._row(case.id, body.question.leg)) is not None:
                    row.searched = bool(row.searched) or found
            case _:
                pass

    def _review_news(self, case_id: str, body: QuestionAnswered, at: float) -> None:
        review = self.reviews.get(case_id)
        if review is None:
            return
        review.looked_at = max(at, review.looked_at or at)
        match body.answer:
            case TicketGiven():
                call = body.call
                review.submitted_at = call.written_at.timestamp() if call and call.written_at else at
            case SaidNo(refused=refused) if isinstance(body.question, SubmitReview):
                # A refusal at the door is a decision too: at once, and with its reason.
                review.refused_at, review.reason = at, refused.detail or refused.code
            case Undecided() if review.decided_at is None:
                review.not_before = at
            case Decided(decision=decision):
                self._decide(review, decision, at)

    def _decided(self, fact: Fact, body: ReviewDecisionReceived) -> None:
        case_id = self.matcher.case_of(body)
        if case_id is None or (review := self.reviews.get(case_id)) is None:
            self._orphan("decision", body.vendor, fact, body.decision.ticket or body.decision.name)
            return
        self._decide(review, body.decision, fact.at.timestamp())
        if review.decided_at == fact.at.timestamp():
            review.not_before = None  # pushed when it was made, so nothing is left open before it

    @staticmethod
    def _decide(review: _Review, decision: ReviewDecision, at: float) -> None:
        if review.decided_at is not None and review.decided_at <= at:
            return
        review.decided_at, review.verdict, review.reason = at, decision.verdict.value, decision.reason
        review.claimed_at = decision.claimed_at.timestamp() if decision.claimed_at else None

    # The end.

    def evidence(self) -> Evidence:
        """The tables."""
        if self.began is None:
            raise ValueError("these facts hold no RunBegan: they are not a run's")
        for fact in self.matcher.orphans:
            assert isinstance(fact.body, ReportReceived)
            self._orphan("report", fact.body.vendor, fact, fact.body.vendor_message_id)
        run = Run(
            began=self.began,
            began_at=self.began_at,
            ended_at=self.last.timestamp() if self.last else self.began_at,
            because=self.because,
            facts=self.facts,
            planned={
                vendor: frozenset(scenario for one, scenario in self.planned if one == vendor)
                for vendor in self.began.vendors
            },
            skipped=tuple(self.skipped),
        )  # fmt: skip
        silences = _silences(self.beats, run.seconds("silence_seconds", SILENCE))
        return Evidence(
            run=run,
            messages=_Messages(self, run, silences).frame(),
            reviews=self._review_frame(),
            probes=_frame(self.probes, "case_id vendor what taken detail at"),
            records=_frame(self.records, "case_id vendor age_days at found records fields state"),
            statistics=_frame(
                self.statistics,
                "case_id vendor at since until carrier submitted billed_segments delivered undelivered unreported",
            ),
            replies=_frame(self.replies, "case_id vendor recipient leg at by_hand inbound_at inbound_text"),
            content_checks=_frame(self.checks, "case_id vendor fault family blocked at"),
            silences=silences,
            orphans=_frame(self.orphans, "kind vendor at key"),
            failures=_frame(self.failures, "case_id vendor what trouble at"),
            refused_pushes=_frame(self.refused, "door why at"),
        )

    def _review_frame(self) -> Frame:
        rows = []
        for review in self.reviews.values():
            case = self.matcher.cases[review.case_id]
            assert case.review is not None
            closed = self.closed.get(case.id)
            rows.append(
                {name.name: getattr(review, name.name) for name in fields(review)}
                | {"vendor": case.vendor, "subject": case.review.subject.value}
                | _fault(case)
                | {"closed_at": closed[0] if closed else None}
            )
        return _frame(
            rows,
            "case_id vendor subject fault family submitted_at refused_at decided_at not_before looked_at verdict "
            "reason claimed_at closed_at",
        )


def _row_of(case_id: str, number: int, draft: Draft) -> _Row:
    return _Row(
        case_id=case_id, leg=number, text=draft.text, content=draft.content, purpose=draft.purpose.value,
        segments=draft.segments,
    )  # fmt: skip


def _fault(case: Case) -> dict[str, str]:
    return {"fault": case.task.get("fault", ""), "family": case.task.get("family", "")}


def _record(told: RecordTold, case: Case) -> dict[str, Any]:
    return {
        "age_days": _number(case.task.get("age_days")),
        "found": told.found,
        "records": told.records,
        "fields": told.fields,
        "state": told.state.value if told.state else None,
    }


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _statistics(row: Any) -> dict[str, Any]:
    return {
        "since": row.since.timestamp(),
        "until": row.until.timestamp(),
        "carrier": row.carrier.value if row.carrier else None,
        "submitted": row.submitted,
        "billed_segments": row.billed_segments,
        "delivered": row.delivered,
        "undelivered": row.undelivered,
        "unreported": row.unreported,
    }


_TAKERS: Final[Mapping[type, Callable[[_Fold, Fact, Any], None]]] = {
    RunBegan: _Fold._began,
    RunEnded: _Fold._ended,
    CaseSkipped: _Fold._skip,
    CasePlanned: _Fold._planned,
    CaseClosed: _Fold._closed,
    SendIntended: _Fold._intended,
    SubmitAnswered: _Fold._answered,
    SendSettled: _Fold._settled,
    CallFailed: _Fold._failed,
    ReportReceived: _Fold._reported,
    SightingReceived: _Fold._saw,
    InboundReceived: _Fold._inbound,
    ReviewDecisionReceived: _Fold._decided,
    HeartbeatReceived: _Fold._beat,
    PushRefused: _Fold._push_refused,
    QuestionAsked: _Fold._asked,
    QuestionAnswered: _Fold._told,
}


# --- rows into columns -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Messages:
    """Makes the table of messages from the rows read."""

    fold: _Fold
    run: Run
    silences: Frame

    def frame(self) -> Frame:
        rows = self.fold.rows
        frame = _table(self._plain(rows) | self._of_cases(rows) | self._claims(rows) | self._sightings(rows))
        for name in ("vendor", "scenario", "carrier", "purpose", "kind", "outcome"):
            frame[name] = frame[name].astype("category")
        closed = [self.fold.closed.get(row.case_id, (None, None)) for row in rows]
        frame["closed_at"] = _floats(at for at, _ in closed)
        frame["because"] = pd.Series(_objects(because for _, because in closed), dtype=object)
        self._settle_doubt(frame)
        frame["phone"] = pd.factorize(frame["recipient"])[0]
        frame["sent_at"] = frame["written_at"].fillna(frame["intended_at"])
        frame["followed_for"] = self.run.ended_at - frame["sent_at"]
        frame["alive"] = pd.Series(self._alive(frame), dtype=object)
        self._times(frame)
        frame["watch"] = pd.Series(self._watch(frame), dtype=object)
        asked = frame["searched"].notna().groupby(frame["phone"]).transform("any")
        frame["tells"] = ((frame["alive"] == True) | asked).to_numpy()  # noqa: E712
        return frame.copy()  # in few blocks of memory: slicing it is half as dear

    @staticmethod
    def _plain(rows: list[_Row]) -> dict[str, Any]:
        floats = ("planned_at", "intended_at", "written_at", "answered_at", "lag", "wait", "tries", "fee")
        texts = ("case_id", "content", "purpose", "settled_by", "reason", "code", "vendor_message_id", "searched")
        columns: dict[str, Any] = {name: _floats(getattr(row, name) for row in rows) for name in floats}
        columns |= {name: _objects(getattr(row, name) for row in rows) for name in texts}
        columns["fee_segments"] = _floats(row.fee_segments for row in rows)
        columns["leg"] = np.array([row.leg for row in rows], dtype=np.int64)
        columns["segments"] = np.array([row.segments for row in rows], dtype=np.int64)
        columns["due_segments"] = np.array([billed_segments(row.text) for row in rows], dtype=np.int64)
        # Intended and never answered: the process died in between, so it may have left.
        columns["outcome"] = _objects(
            row.outcome or ("in_doubt" if row.intended_at is not None else "not_sent") for row in rows
        )
        return columns

    def _of_cases(self, rows: list[_Row]) -> dict[str, Any]:
        cases = [self.fold.matcher.cases[row.case_id] for row in rows]
        panel = self.run.began.panel
        persons = [panel.get(case.recipient or "") for case in cases]
        tags = sorted({key for case in cases for key in case.slices if key.startswith("tag.")})
        columns: dict[str, Any] = {
            "vendor": _objects(case.vendor for case in cases),
            "scenario": _objects(case.scenario for case in cases),
            "recipient": _objects(case.recipient for case in cases),
            "visit": _objects(case.visit for case in cases),
            "kind": _objects(person.kind.value if person else None for person in persons),
            "ported": _objects(person.ported if person else None for person in persons),
            "province": _objects((person.province or None) if person else None for person in persons),
            "forwarder": _objects(person.forwarder if person else None for person in persons),
            "carrier": _objects(
                case.slices.get("carrier") or (person.carrier.value if person else None)
                for case, person in zip(cases, persons, strict=True)
            ),
        }
        columns |= {key: _objects(case.slices.get(key) for case in cases) for key in tags}
        columns |= {key: _objects(case.slices.get(key) for case in cases) for key in ("hour_band", "campaign_window")}
        columns |= {key: _objects(case.task.get(key, "") for case in cases) for key in ("fault", "family", "expect")}
        return columns

    @staticmethod
    def _claims(rows: list[_Row]) -> dict[str, Any]:
        told = [_claim(row.reports, row.parts) for row in rows]
        return {
            "report_state": _objects(one[1].state.value if one else None for one in told),
            "report_reason": _objects(one[1].reason.value if one and one[1].reason else None for one in told),
            "report_code": _objects(one[1].code if one else None for one in told),
            "claimed_at": _floats(_seconds(one[1].claimed_at) if one else None for one in told),
            "reported_at": _floats(one[0].timestamp() if one else None for one in told),
            "report_source": _objects(one[1].source.value if one else None for one in told),
            "report_not_before": _floats(_seconds(one[1].not_before) if one else None for one in told),
            "contradicting": np.array([one[2] if one else 0 for one in told], dtype=np.int64),
            "billed_segments": _floats(one[1].billed_segments if one else None for one in told),
        }

    @staticmethod
    def _sightings(rows: list[_Row]) -> dict[str, Any]:
        seen = [_first_seen(row.sightings) for row in rows]
        return {
            "seen_at": _floats(_seconds(one.received_at) if one else None for one in seen),
            "handset_at": _floats(_seconds(one.handset_at) if one else None for one in seen),
            "forwarded_at": _floats(_seconds(one.forwarded_at) if one else None for one in seen),
            "scts": _floats(_seconds(one.scts) if one else None for one in seen),
            "sender": _objects(one.sender if one else None for one in seen),
            "reconciled": np.array([one is not None and one.reconciled for one in seen], dtype=bool),
            "copies": np.array([_copies(row.sightings) for row in rows], dtype=np.int64),
            "sighting": _objects(
                None if one is None else "intact" if _intact(row.text, one.text) else "altered"
                for row, one in zip(rows, seen, strict=True)
            ),
        }

    @staticmethod
    def _settle_doubt(frame: Frame) -> None:
        """A claim or a sighting proves that a send in doubt, or one whose answer could not be read, was taken."""
        doubt = (frame["outcome"] == "in_doubt").to_numpy() | (frame["code"] == "unintelligible").to_numpy()
        for by, column in (("sighting", "seen_at"), ("report", "reported_at")):
            proven = doubt & frame[column].notna().to_numpy()
            frame.loc[proven, "settled_by"] = by
            if proven.any():
                frame["outcome"] = frame["outcome"].cat.add_categories(
                    [name for name in ("accepted",) if name not in frame["outcome"].cat.categories]
                )
                frame.loc[proven, "outcome"] = "accepted"

    def _alive(self, frame: Frame) -> NDArray[np.object_]:
        """Whether the phone gave signs of life around each send; None where its app gives none at all."""
        alive = np.full(len(frame), None, dtype=object)
        span = min(self.run.seconds("horizon_seconds", HORIZON), AROUND)
        sent = frame["sent_at"].to_numpy()
        by_phone = frame.groupby("forwarder", sort=False, observed=True).indices
        for forwarder, quiet in self.silences.groupby("forwarder", sort=False):
            rows = by_phone.get(forwarder)
            if rows is None:
                continue
            rows = rows[~np.isnan(sent[rows])]
            began, ended = quiet["began"].to_numpy(), quiet["ended"].to_numpy()
            following = np.searchsorted(ended, sent[rows], side="right")
            started = np.append(began, np.inf)[following]
            alive[rows] = started >= np.minimum(sent[rows] + span, self.run.ended_at)
        return alive

    def _times(self, frame: Frame) -> None:
        """When each message reached its phone on our clock, and how far from it the truth may be."""
        grain = _grain(frame)
        offset, bound = self._offsets(frame)
        ours = frame["handset_at"].to_numpy() + grain - offset
        sent, seen = frame["sent_at"].to_numpy(), frame["seen_at"].to_numpy()
        # Cause comes before effect: never before it was sent, never after we heard of it.
        corrected = np.clip(ours, sent, np.where(np.isnan(seen), np.inf, seen))
        clock = np.full(len(frame), None, dtype=object)
        was_seen = ~np.isnan(seen)
        reconciled = frame["reconciled"].to_numpy()
        clock[was_seen & ~reconciled] = "received"
        clock[(was_seen & reconciled) | (~was_seen & (frame["searched"] == True).to_numpy())] = "interval"  # noqa: E712
        clock[was_seen & ~np.isnan(ours)] = "handset"
        frame["clock"] = pd.Series(clock, dtype=object)
        frame["clock_grain"] = np.where(clock == "handset", grain, 0.0)
        frame["arrived_at"] = np.where(clock == "handset", corrected, np.where(clock == "received", seen, np.nan))
        frame["clock_bound"] = np.where(clock == "handset", bound, np.where(clock == "received", 0.0, np.nan))

    def _offsets(self, frame: Frame) -> tuple[Floats, Floats]:
        """Each message's phone clock against ours, in seconds, with its bound; missing where it is not known."""
        offset, bound = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
        handset_at = frame["handset_at"].to_numpy()
        for forwarder, rows in frame.groupby("forwarder", sort=False, observed=True).indices.items():
            rows = rows[~np.isnan(handset_at[rows])]
            if not rows.size:
                continue
            exchanges = np.array(
                sorted(
                    (a, p, r) for r, a, p in self.fold.beats.get(str(forwarder), ()) if a is not None and p is not None
                )
            )
            for part, known in _clock_by_hour(frame, rows, exchanges) if exchanges.size else _clock_at_all(frame, rows):
                offset[part], bound[part] = known.offset, known.bound
        return offset, bound

    def _watch(self, frame: Frame) -> NDArray[np.object_]:
        """Arrived, missing, void or unknown, for what was accepted and went to a handset (design 2.20)."""
        horizon = self.run.seconds("horizon_seconds", HORIZON)
        watched = ((frame["kind"] == RecipientKind.HANDSET.value) & (frame["outcome"] == "accepted")).to_numpy()
        alive, searched = frame["alive"].to_numpy(), frame["searched"].to_numpy()
        # An app that forwards hours later is no late message: the phone's inbox had it when it was asked.
        late = frame["arrived_at"].to_numpy() - frame["sent_at"].to_numpy() > horizon
        late &= ~(searched == True).astype(bool)  # noqa: E712
        seen = frame["sighting"].to_numpy()
        found = (seen == "intact") | ((searched == True) & (seen == None))  # noqa: E711, E712
        is_over = (frame["followed_for"].to_numpy() >= horizon) | frame["because"].isin(
            ("settled", "horizon")
        ).to_numpy()
        told = (searched == False) | (alive == True) | (seen == "altered") | late  # noqa: E712
        watch = np.full(len(frame), "", dtype=object)
        watch[watched] = "unknown"
        watch[watched & told & is_over] = "missing"
        watch[watched & found & ~late] = "arrived"
        watch[watched & (alive == False)] = "void"  # noqa: E712
        return watch


AROUND: Final = 900.0  # seconds after sending in which a phone must have been alive for its silence to mean anything


def _claim(
    reports: dict[int, tuple[_ReportKey, ReportReceived, frozenset[str]]] | None,
    parts: int,
) -> tuple[datetime, ReportReceived, int] | None:
    """The message's claim: undelivered as soon as one segment is, delivered with the last one of all its parts."""
    if not reports:
        return None
    contradicting = sum(len(states) - 1 for _, _, states in reports.values())
    failed = [one for one in reports.values() if one[1].state is not DeliveryState.DELIVERED]
    if not failed and len(reports) < parts:
        return None
    key, body, _ = min(failed, key=_by_key) if failed else max(reports.values(), key=_by_key)
    return key[0], body, contradicting


def _by_key(one: tuple[_ReportKey, ReportReceived, frozenset[str]]) -> _ReportKey:
    return one[0]


def _first_seen(sightings: dict[str, SightingReceived] | None) -> SightingReceived | None:
    """The first sighting; what the phone pushed goes before what had to be asked for."""
    if not sightings:
        return None
    return min(sightings.values(), key=lambda one: (one.reconciled, one.received_at, one.event_id))


def _copies(sightings: dict[str, SightingReceived] | None) -> int:
    """How many copies the phone got: what it pushed and what its inbox holds are the same messages told twice."""
    if not sightings:
        return 0
    found = sum(one.reconciled for one in sightings.values())
    return max(found, len(sightings) - found)


def _intact(sent: str, seen: str) -> bool:
    """Whether the text is the one sent. The signature may stand at either end: vendors differ, and both are right."""
    one, other = normalised(sent), normalised(seen)
    return one == other or split_signature(one) == split_signature(other)


def _silences(beats: Mapping[str, list[tuple[float, float | None, float | None]]], longest: float) -> Frame:
    """Stretches longer than `longest` seconds without a heartbeat, by phone, in order, open ones at both ends."""
    rows: list[tuple[str, float, float]] = []
    for forwarder, heard in sorted(beats.items()):
        at = np.unique([one[0] for one in heard])
        gaps = np.flatnonzero(np.diff(at) > longest)
        rows.append((forwarder, -np.inf, float(at[0]) - longest))
        rows += [(forwarder, float(at[gap]), float(at[gap + 1])) for gap in gaps]
        rows.append((forwarder, float(at[-1]) + longest, np.inf))
    return pd.DataFrame(rows, columns=["forwarder", "began", "ended"])


def _grain(frame: Frame) -> Floats:
    """Half a second for phones that stamp in whole seconds, cut off (facts/handsets.md 4.1); else nothing."""
    stamps = frame["handset_at"]
    is_whole = (stamps % 1 == 0).where(stamps.notna())
    share = is_whole.astype(float).groupby(frame["phone"]).transform("mean")
    return np.where(share.to_numpy() > 0.95, 0.5, 0.0)


def _exchanges(beats: Iterable[tuple[float, float | None, float | None]]) -> Floats:
    """Clock exchanges in order: asked (ours), the phone's, heard (ours)."""
    return np.array(sorted((a, p, r) for r, a, p in beats if a is not None and p is not None), dtype=np.float64)


def _clock_by_hour(frame: Frame, rows: NDArray[Any], exchanges: Floats) -> Iterator[tuple[NDArray[Any], ClockOffset]]:
    """A phone's clock from exchanges, hour by hour, since it drifts."""
    asked, phone, heard = exchanges[:, 0], exchanges[:, 1], exchanges[:, 2]
    hours = np.floor(frame["seen_at"].to_numpy()[rows] / HOUR).astype(np.int64)
    for hour in np.unique(hours):
        middle = (hour + 0.5) * HOUR
        near = slice(*np.searchsorted(asked, (middle - 6 * HOUR, middle + 6 * HOUR)))
        if near.start == near.stop:
            near = slice(max(0, near.start - 20), near.stop + 20)
        known = offset_from_exchanges(
            asked[near], phone[near], phone[near], heard[near], at=middle, drift_ppm=DRIFT_PPM
        )
        if isinstance(known, ClockOffset) and known.bound <= GREATEST_BOUND:
            yield rows[hours == hour], ClockOffset(offset=known.offset, bound=known.bound + DRIFT_PPM * 1e-6 * HOUR / 2)


def _clock_at_all(frame: Frame, rows: NDArray[Any]) -> Iterator[tuple[NDArray[Any], ClockOffset]]:
    """A phone's clock from cause and effect, where it exchanges no times."""
    pushed = rows[~frame["reconciled"].to_numpy()[rows]]
    sent, handset, seen = (frame[name].to_numpy()[pushed] for name in ("sent_at", "handset_at", "seen_at"))
    known = causal_bounds(sent, handset, seen)
    if isinstance(known, ClockOffset) and known.bound <= GREATEST_BOUND:
        yield rows, known


# --- small parts -----------------------------------------------------------------------------------------------------


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _floats(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _objects(values: Iterable[Any]) -> NDArray[np.object_]:
    listed = list(values)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array


def _table(columns: Mapping[str, NDArray[Any]]) -> Frame:
    """Columns as a table; texts stay plain objects, None stays None, whatever pandas would rather have."""
    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()})


def _frame(rows: list[dict[str, Any]], columns: str) -> Frame:
    """A table with these columns whatever the rows hold; numbers as floats, the rest untouched."""
    names = columns.split()
    frame = _table({name: _objects(row.get(name) for row in rows) for name in names})
    numeric = {"at", "age_days", "records", "leg"} | {name for name in names if name.endswith(("_at", "_before"))}
    numeric |= {"since", "until", "submitted", "billed_segments", "delivered", "undelivered", "unreported"}
    for name in numeric & set(names):
        frame[name] = _floats(row.get(name) for row in rows)
    return frame


def moment(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601, UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


__all__ = ["AROUND", "Evidence", "Frame", "Leg", "Run", "moment", "read"]

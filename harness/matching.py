"""Which message a status report, a sighting or a reply belongs to. One set of rules for the engine and for the judge.

Reports are keyed by (vendor, the vendor's id), never by the id alone; sightings by (recipient, token in the text). An
id in another spelling, or one whose answer was lost, counts only where the recipient fits and one message alone does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from harness.domain import Accepted, Case, InDoubt
from harness.facts import (
    CallFailed,
    CasePlanned,
    Fact,
    InboundReceived,
    QuestionAnswered,
    QuestionAsked,
    Reply,
    ReportReceived,
    ReviewDecisionReceived,
    SendIntended,
    SendSettled,
    SightingReceived,
    SubmitAnswered,
    TicketGiven,
)
from harness.text import TOKEN_ALPHABET, TOKEN_LENGTH

_RUNS: Final = re.compile(r"[0-9A-Z]+")
_LETTERS: Final = frozenset(TOKEN_ALPHABET)


class Leg(NamedTuple):
    """One message of one case."""

    case_id: str
    leg: int


class Place(NamedTuple):
    """A message, and which of its parts, where parts have ids of their own."""

    leg: Leg
    part: int | None = None  # from 1


@dataclass(slots=True)
class _Gap:
    """A message whose id, or some of whose ids, nobody told us. `holes`: parts without one; None: not even how many."""

    intended_at: datetime
    is_over: bool = False  # no answer will come any more
    holes: tuple[int, ...] | None = None


NEAR: Final = (timedelta(minutes=-2), timedelta(minutes=3))
"""How far a vendor's stamp of the submit, cut to minutes and by its own clock, may lie from our intent."""


def plain(theirs: str) -> str:
    """An id without what gateways change of it: letter case, and zeros in front."""
    return theirs.lower().lstrip("0") or "0"


def tokens_in(text: str) -> Iterator[str]:
    """What may be a token in a text: six digits, or six of the token alphabet, standing alone."""
    runs = (run for run in _RUNS.findall(text) if len(run) == TOKEN_LENGTH)
    return (run for run in runs if run.isdecimal() or _LETTERS.issuperset(run))


class Matcher:
    """Learns from facts in ledger order and answers which message a claim or sighting belongs to."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self._by_token: dict[tuple[str, str], Leg] = {}
        self._by_reference: dict[str, Leg] = {}
        self._by_vendor_id: dict[tuple[str, str], list[Place]] = {}
        self._by_plain_id: dict[tuple[str, str], list[Place]] = {}
        self._gaps: dict[tuple[str, str], dict[Leg, _Gap]] = {}  # (vendor, recipient) → messages without their ids
        self._by_ticket: dict[tuple[str, str, str], str] = {}
        self._replying: dict[tuple[str, str], str] = {}  # (vendor, recipient) → case that had the phone reply last
        self._parked: dict[tuple[str, str], list[Fact]] = {}  # reports that came before the submit's answer
        self._spelt: dict[tuple[str, str], set[str]] = {}  # another spelling → ids under which reports are parked

    def learn(self, fact: Fact) -> None:
        """Take in a fact that names messages: a planned case, a submit's answer, a ticket, a reply asked for."""
        body = fact.body
        match body:
            case CasePlanned(case=case):
                self.cases[case.id] = case
                for number, draft in enumerate(case.drafts):
                    leg = Leg(case.id, number)
                    self._by_reference[draft.reference] = leg
                    if case.recipient is not None:
                        self._by_token[case.recipient, draft.token] = leg
            case SendIntended(leg=number):
                self._intended(fact, number)
            case SubmitAnswered(leg=number, outcome=outcome):
                self._answered(fact, number, outcome)
            case CallFailed(what="submit", leg=int(number)):
                self._close_gap(fact, number)
            case SendSettled(leg=number, vendor_message_id=str(theirs)):
                self._know(fact, number, body.part_ids or (theirs,))
                self._close_gap(fact, number)
            case QuestionAnswered(answer=TicketGiven(ticket=ticket)) if fact.case_id:
                vendor = self.cases[fact.case_id].vendor
                self._by_ticket[vendor, ticket.subject, ticket.id] = fact.case_id
                if ticket.name:
                    self._by_ticket[vendor, ticket.subject, ticket.name] = fact.case_id
            case QuestionAsked(question=Reply()) | QuestionAnswered(question=Reply()) if fact.case_id:
                case = self.cases[fact.case_id]
                if case.recipient is not None:
                    self._replying[case.vendor, case.recipient] = fact.case_id
            case _:
                pass

    def _know(self, fact: Fact, number: int, ids: Iterable[str]) -> None:
        """Learn the ids of a message: one, or one for each part."""
        case = self.cases.get(fact.case_id or "")
        known = tuple(ids)
        for place, theirs in enumerate(known, 1):
            if case is not None and theirs:
                self._place(case.vendor, theirs, Place(Leg(case.id, number), place if len(known) > 1 else None))

    def _place(self, vendor: str, theirs: str, place: Place) -> None:
        for index, key in ((self._by_vendor_id, theirs), (self._by_plain_id, plain(theirs))):
            places = index.setdefault((vendor, key), [])
            if place not in places:  # answered and settled: one message, no collision
                places.append(place)

    def _intended(self, fact: Fact, number: int) -> None:
        case = self.cases.get(fact.case_id or "")
        if case is not None and case.recipient is not None:
            gaps = self._gaps.setdefault((case.vendor, case.recipient), {})
            gaps.setdefault(Leg(case.id, number), _Gap(fact.at))

    def _answered(self, fact: Fact, number: int, outcome: object) -> None:
        match outcome:
            case Accepted(vendor_message_id=theirs, part_ids=part_ids):
                self._know(fact, number, part_ids or (theirs,))
            case InDoubt(part_ids=part_ids):
                self._know(fact, number, part_ids)
                case = self.cases.get(fact.case_id or "")
                gaps = self._gaps.get((case.vendor, case.recipient or ""), {}) if case else {}
                holes = tuple(place for place, theirs in enumerate(part_ids, 1) if not theirs)
                if (gap := gaps.get(Leg(fact.case_id or "", number))) is not None and (holes or not part_ids):
                    gap.is_over, gap.holes = True, holes if part_ids else None
                    return
        self._close_gap(fact, number)

    def _close_gap(self, fact: Fact, number: int) -> None:
        if (case := self.cases.get(fact.case_id or "")) is not None and case.recipient is not None:
            self._gaps.get((case.vendor, case.recipient), {}).pop(Leg(case.id, number), None)

    def place_of(self, body: ReportReceived) -> Place | None:
        """The message that a claim belongs to, and its part; None for an orphan (as far as is known now)."""
        vendor = body.vendor
        places = self._by_vendor_id.get((vendor, body.vendor_message_id), ())
        fitting = [place for place in places if self._fits(place.leg, body)]
        if len(fitting) == 1:
            return fitting[0]
        if body.reference and (found := self._by_reference.get(body.reference)):
            return Place(found) if self.cases[found.case_id].vendor == vendor else None
        if places or body.recipient is None:
            # Two messages with one vendor id is a collision: kept as an orphan and shown, never guessed.
            return None
        return self._place_by_spelling(body) or self._place_in_gap(body)

    def _place_by_spelling(self, body: ReportReceived) -> Place | None:
        if not body.also:
            return None
        forms = dict.fromkeys(plain(form) for form in (body.vendor_message_id, *body.also))
        found = {place for form in forms for place in self._by_plain_id.get((body.vendor, form), ())}
        fitting = [place for place in found if self._fits(place.leg, body)]
        return fitting[0] if len(fitting) == 1 else None

    def _place_in_gap(self, body: ReportReceived) -> Place | None:
        """Of a message whose answer was lost, its report has recipient and time of the submit, and no id we know."""
        if body.submitted_at is None or body.recipient is None:
            return None
        gaps = self._gaps.get((body.vendor, body.recipient), {})
        near = [
            (leg, gap)
            for leg, gap in gaps.items()
            if NEAR[0] <= body.submitted_at - gap.intended_at <= NEAR[1] and gap.holes != ()
        ]
        if len(near) != 1 or not near[0][1].is_over:
            return None
        leg, gap = near[0]
        return Place(leg, gap.holes[0] if gap.holes else None)

    def _adopt(self, body: ReportReceived, place: Place) -> None:
        """From now on this id is that message's: a second strange id is another's."""
        if (body.vendor, body.vendor_message_id) in self._by_vendor_id or body.recipient is None:
            return
        gap = self._gaps.get((body.vendor, body.recipient), {}).get(place.leg)
        if gap is not None and gap.is_over:
            gap.holes = gap.holes[1:] if gap.holes else ()
        self._place(body.vendor, body.vendor_message_id, place)

    def leg_of(self, body: ReportReceived | SightingReceived) -> Leg | None:
        """The message a claim or sighting belongs to; None for an orphan (as far as is known now)."""
        match body:
            case ReportReceived():
                return place.leg if (place := self.place_of(body)) else None
            case SightingReceived(recipient=recipient, text=text):
                for token in tokens_in(text):
                    if found := self._by_token.get((recipient, token)):
                        return found
                return None

    def _fits(self, leg: Leg, body: ReportReceived) -> bool:
        return body.recipient is None or self.cases[leg.case_id].recipient == body.recipient

    def case_of(self, body: InboundReceived | ReviewDecisionReceived) -> str | None:
        """The case a reply or a review decision belongs to."""
        match body:
            case InboundReceived(vendor=vendor, recipient=recipient):
                return self._replying.get((vendor, recipient)) if recipient else None
            case ReviewDecisionReceived(vendor=vendor, decision=decision):
                for key in (decision.ticket, decision.name):
                    if key and (found := self._by_ticket.get((vendor, decision.subject, key))):
                        return found
                return None

    def route(self, fact: Fact) -> list[tuple[str, Fact]]:
        """Learn from a fact, and say which cases it is news for: its own, or those it was matched to.

        A report that comes before the submit's answer is parked and comes out with that answer.
        """
        self.learn(fact)
        match fact.body:
            case ReportReceived() as report:
                if place := self.place_of(report):
                    self._adopt(report, place)
                    return [(place.leg.case_id, fact)]
                self._park(fact, report)
                return []
            case SightingReceived() as sighting:
                return [(leg.case_id, fact)] if (leg := self.leg_of(sighting)) else []
            case InboundReceived() | ReviewDecisionReceived() as body:
                return [(case_id, fact)] if (case_id := self.case_of(body)) else []
            case _ if fact.case_id is None:
                return []
        return [(fact.case_id, fact), *self._unpark(fact)]

    def _park(self, fact: Fact, report: ReportReceived) -> None:
        self._parked.setdefault((report.vendor, report.vendor_message_id), []).append(fact)
        if report.also:
            for form in {plain(form) for form in (report.vendor_message_id, *report.also)}:
                self._spelt.setdefault((report.vendor, form), set()).add(report.vendor_message_id)

    def _unpark(self, fact: Fact) -> list[tuple[str, Fact]]:
        case = self.cases.get(fact.case_id or "")
        if case is None or not self._parked:
            return []
        freed: list[tuple[str, Fact]] = []
        for key in self._now_known(fact, case):
            kept: list[Fact] = []
            for parked in self._parked.pop((case.vendor, key), ()):
                assert isinstance(parked.body, ReportReceived)
                if place := self.place_of(parked.body):
                    self._adopt(parked.body, place)
                    freed.append((place.leg.case_id, parked))
                else:
                    kept.append(parked)
            if kept:
                self._parked[case.vendor, key] = kept
        return freed

    def _now_known(self, fact: Fact, case: Case) -> list[str]:
        """Ids under which reports may be parked that a fact lets us place."""
        match fact.body:
            case SubmitAnswered(outcome=Accepted(vendor_message_id=theirs, part_ids=part_ids)):
                ids = part_ids or (theirs,)
            case SendSettled(vendor_message_id=str(theirs), part_ids=part_ids):
                ids = part_ids or (theirs,)
            case SubmitAnswered(outcome=InDoubt()):
                return [
                    theirs
                    for (vendor, theirs), facts in self._parked.items()
                    if vendor == case.vendor and any(_is_of(one, case) for one in facts)
                ]
            case _:
                return []
        spelt = (other for theirs in ids for other in sorted(self._spelt.get((case.vendor, plain(theirs)), ())))
        return list(dict.fromkeys((*ids, *spelt)))

    @property
    def orphans(self) -> list[Fact]:
        """Reports that belong to no message known so far."""
        return [fact for facts in self._parked.values() for fact in facts]


def _is_of(fact: Fact, case: Case) -> bool:
    return isinstance(fact.body, ReportReceived) and fact.body.recipient == case.recipient

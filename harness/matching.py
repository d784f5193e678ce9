"""Which message a status report, a sighting or a reply belongs to. One set of rules for the engine and for the judge.

Reports are keyed by (vendor, the vendor's id), never by the id alone; sightings by (recipient, token in the text).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from harness.domain import Accepted, Case
from harness.facts import (
    CasePlanned,
    Fact,
    InboundReceived,
    QuestionAnswered,
    QuestionAsked,
    Reply,
    ReportReceived,
    ReviewDecisionReceived,
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
        self._by_vendor_id: dict[tuple[str, str], list[Leg]] = {}
        self._by_ticket: dict[tuple[str, str, str], str] = {}
        self._replying: dict[tuple[str, str], str] = {}  # (vendor, recipient) → case that had the phone reply last
        self._parked: dict[tuple[str, str], list[Fact]] = {}  # reports that came before the submit's answer

    def learn(self, fact: Fact) -> None:
        """Take in a fact that names messages: a planned case, a submit's answer, a ticket, a reply asked for."""
        match fact.body:
            case CasePlanned(case=case):
                self.cases[case.id] = case
                for number, draft in enumerate(case.drafts):
                    leg = Leg(case.id, number)
                    self._by_reference[draft.reference] = leg
                    if case.recipient is not None:
                        self._by_token[case.recipient, draft.token] = leg
            case SubmitAnswered(leg=number, outcome=Accepted(vendor_message_id=theirs)):
                self._know(fact, number, theirs)
            case SendSettled(leg=number, vendor_message_id=str(theirs)):
                self._know(fact, number, theirs)
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

    def _know(self, fact: Fact, number: int, theirs: str) -> None:
        if fact.case_id in self.cases:
            vendor = self.cases[fact.case_id].vendor
            legs = self._by_vendor_id.setdefault((vendor, theirs), [])
            if (leg := Leg(fact.case_id, number)) not in legs:  # answered and settled: one message, no collision
                legs.append(leg)

    def leg_of(self, body: ReportReceived | SightingReceived) -> Leg | None:
        """The message a claim or sighting belongs to; None for an orphan (as far as is known now)."""
        match body:
            case ReportReceived(vendor=vendor):
                legs = self._by_vendor_id.get((vendor, body.vendor_message_id), ())
                fitting = [leg for leg in legs if self._fits(leg, body)]
                if len(fitting) == 1:
                    return fitting[0]
                if body.reference and (found := self._by_reference.get(body.reference)):
                    return found if self.cases[found.case_id].vendor == vendor else None
                # Two messages with one vendor id is a collision: kept as an orphan and shown, never guessed.
                return None
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
                if leg := self.leg_of(report):
                    return [(leg.case_id, fact)]
                self._parked.setdefault((report.vendor, report.vendor_message_id), []).append(fact)
                return []
            case SightingReceived() as sighting:
                return [(leg.case_id, fact)] if (leg := self.leg_of(sighting)) else []
            case InboundReceived() | ReviewDecisionReceived() as body:
                return [(case_id, fact)] if (case_id := self.case_of(body)) else []
            case _ if fact.case_id is None:
                return []
        return [(fact.case_id, fact), *self._unpark(fact)]

    def _unpark(self, fact: Fact) -> list[tuple[str, Fact]]:
        match fact.body:
            case SubmitAnswered(outcome=Accepted(vendor_message_id=theirs)):
                pass
            case SendSettled(vendor_message_id=str(theirs)):
                pass
            case _:
                return []
        if fact.case_id not in self.cases:
            return []
        vendor = self.cases[fact.case_id].vendor
        freed: list[tuple[str, Fact]] = []
        kept: list[Fact] = []
        for parked in self._parked.pop((vendor, theirs), ()):
            assert isinstance(parked.body, ReportReceived)
            if leg := self.leg_of(parked.body):
                freed.append((leg.case_id, parked))
            else:
                kept.append(parked)
        if kept:
            self._parked[vendor, theirs] = kept
        return freed

    @property
    def orphans(self) -> list[Fact]:
        """Reports that belong to no message known so far."""
        return [fact for facts in self._parked.values() for fact in facts]

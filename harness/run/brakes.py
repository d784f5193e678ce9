"""The brakes: what holds a send back or stops it, whatever a scenario wants. They hold always.

Consent, hours, per-recipient caps, spend limit, message limit. A brake delays a step or closes the case with a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from harness.config import Evaluation
from harness.domain import BEIJING, Case, Draft, Money, Purpose, Recipient
from harness.facts import CallFailed, Fact, SendIntended, SubmitAnswered
from harness.matching import Matcher
from harness.run.plan import next_allowed

MONTH: Final = timedelta(days=30)
LATE: Final = timedelta(minutes=30)
"""A slot missed by more than this (after a pause) is skipped: catching up in a burst would distort what is measured."""


@dataclass(frozen=True, slots=True)
class Go:
    """Nothing holds the send back. `ceiling`: the most it may cost."""

    ceiling: Money | None


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now, but then."""

    brake: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Stop:
    """Not at all."""

    brake: str


@dataclass(slots=True)
class _History:
    """What one phone was sent, as planned instants; every intent counts, for each may have left."""

    times: list[datetime] = field(default_factory=list)
    by_day: Counter[date] = field(default_factory=Counter)  # Beijing days
    marketing: list[datetime] = field(default_factory=list)


class Brakes:
    """Counts every intent in the ledger, so that a resumed run is held as the first one was."""

    def __init__(self, evaluation: Evaluation, recipients: Mapping[str, Recipient]) -> None:
        self._evaluation, self._recipients = evaluation, recipients
        self._history: dict[str, _History] = {}
        self._unauthorised: set[str] = set()
        self._reserved: set[tuple[str, int]] = set()  # counted already, their intent not yet in the ledger
        self.spent = Decimal(0)  # the most that may have been spent so far
        self.messages = 0

    def reserve(self, case: Case, intent: SendIntended) -> None:
        """Count an intent that is on its way into the ledger, so that the next send of this instant sees it."""
        self._reserved.add((case.id, intent.leg))
        self._count(case, intent)

    def learn(self, fact: Fact, matcher: Matcher) -> None:
        """Take in a fact that says something may have left, or that a vendor no longer knows us."""
        case = matcher.cases.get(fact.case_id or "")
        if case is None:
            return
        match fact.body:
            case SendIntended(leg=leg) as intent:
                if (case.id, leg) in self._reserved:
                    self._reserved.discard((case.id, leg))
                else:
                    self._count(case, intent)
            case CallFailed(trouble="unauthorised", what=what) if what not in ("reply", "search_inbox"):
                self._unauthorised.add(case.vendor)
            case SubmitAnswered():
                self._unauthorised.discard(case.vendor)
            case _:
                pass

    def _count(self, case: Case, intent: SendIntended) -> None:
        self.messages += 1
        self.spent += intent.ceiling.amount if intent.ceiling else Decimal(0)
        if case.recipient is not None:
            history = self._history.setdefault(case.recipient, _History())
            history.times.append(intent.planned_at)
            history.by_day[intent.planned_at.astimezone(BEIJING).date()] += 1
            if case.drafts[intent.leg].purpose is Purpose.MARKETING:
                history.marketing.append(intent.planned_at)

    def is_unauthorised(self, vendor: str) -> bool:
        return vendor in self._unauthorised

    def check(self, case: Case, draft: Draft, due: datetime, now: datetime) -> Go | Hold | Stop:
        """Whether a draft may be sent now. `due`: when it was first meant to be."""
        person = self._recipients.get(case.recipient or "")
        if person is None or person.consent is None:
            return Stop("consent")
        if self.is_unauthorised(case.vendor):
            return Stop("unauthorised")
        if now - due > LATE:
            return Stop("late")
        if (allowed := next_allowed(now, self._evaluation.hours)) > now:
            return Stop("hours") if allowed - due > LATE else Hold("hours", allowed)
        if held := self._caps(person, draft, now):
            return held
        ceiling = self._ceiling(case.vendor, draft)
        if self.messages >= self._evaluation.message_limit:
            return Stop("message_limit")
        if self.spent + (ceiling.amount if ceiling else Decimal(0)) > self._evaluation.spend_limit.amount:
            return Stop("spend_limit")
        return Go(ceiling)

    def _caps(self, person: Recipient, draft: Draft, now: datetime) -> Hold | Stop | None:
        history = self._history.get(person.id)
        if history is None:
            return None
        caps, today = self._evaluation.caps, now.astimezone(BEIJING).date()
        if history.by_day[today] >= (person.cap_per_day or caps.per_day):
            return Stop("recipient_cap")
        if draft.purpose is Purpose.MARKETING and not person.tester:
            this_month = sum(now - at < MONTH for at in history.marketing)
            if this_month >= caps.marketing_per_month:
                return Stop("marketing_cap")
        last = history.times[-1] if history.times else None
        if last is not None and now - last < caps.gap:
            return Hold("gap", last + caps.gap)
        return None

    def _ceiling(self, vendor: str, draft: Draft) -> Money | None:
        price = self._evaluation.vendors[vendor].price
        return Money(amount=price.amount * draft.segments, currency=price.currency) if price else None

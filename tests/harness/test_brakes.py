"""The brakes hold always."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from harness.config import Caps, Evaluation
from harness.domain import BEIJING, Hours, Money, Purpose
from harness.facts import CallFailed, CasePlanned, SendIntended, SubmitAnswered
from harness.matching import Matcher
from harness.run.brakes import LATE, Brakes, Go, Hold, Stop
from tests.harness import given
from tests.harness.given import NOW, accepted, case, draft, fact, later, recipient


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return given.evaluation(tmp_path_factory.mktemp("evaluation"))


class Scene:
    """Brakes of an evaluation, and what they have learned."""

    def __init__(self, whole: Evaluation, *, people: dict[str, Any] | None = None, **changes: Any) -> None:
        self.people = {"p1": recipient(), "p2": recipient("p2"), **(people or {})}
        self.brakes = Brakes(replace(whole, **changes), self.people)
        self.matcher = Matcher()
        self.count = 0

    def case(
        self, recipient: str = "p1", purpose: Purpose = Purpose.NOTIFICATION, vendor: str = "ali", segments: int = 1
    ):
        self.count += 1
        one = case(f"c{self.count}", vendor, recipient=recipient, drafts=(draft(purpose=purpose, segments=segments),))
        self.matcher.route(fact(CasePlanned(case=one), one.id))
        return one

    def intend(self, at: datetime, one=None, price: str = "0.05", **more: Any) -> None:
        one = one or self.case(**more)
        body = SendIntended(leg=0, planned_at=at, ceiling=Money(amount=Decimal(price)))
        self.brakes.learn(fact(body, one.id, at=at), self.matcher)

    def check(self, now: datetime = NOW, due: datetime | None = None, **more: Any) -> Go | Hold | Stop:
        one = self.case(**more)
        return self.brakes.check(one, one.drafts[0], due or now, now)


def test_with_nothing_against_it_a_send_may_go_and_its_price_is_known(whole):
    assert Scene(whole).check() == Go(Money(amount=Decimal("0.05")))
    assert Scene(whole).check(segments=3) == Go(Money(amount=Decimal("0.15")))


def test_nobody_gets_anything_without_consent(whole):
    scene = Scene(whole, people={"p3": recipient("p3", consent=None)})
    assert scene.check(recipient="p3") == Stop("consent")
    assert scene.check(recipient="forgotten") == Stop("consent")


@pytest.mark.parametrize("clock", [time(8, 59, 59), time(0, 0), time(20, 30), time(23, 59)])
def test_outside_the_hours_a_send_waits_or_is_skipped(whole, clock):
    now = datetime.combine(date(2026, 3, 2), clock, BEIJING)
    opening = now.replace(hour=9, minute=0, second=0)
    opening += timedelta(days=1) if clock >= time(20, 30) else timedelta()
    expected = Hold("hours", opening) if opening - now <= LATE else Stop("hours")
    assert Scene(whole).check(now) == expected


@pytest.mark.parametrize("clock", [time(9, 0), time(20, 29, 59)])
def test_within_the_hours_a_send_may_go(whole, clock):
    assert isinstance(Scene(whole).check(datetime.combine(date(2026, 3, 2), clock, BEIJING)), Go)


def test_hours_are_beijings_wherever_the_machine_stands(whole):
    scene = Scene(whole, hours=Hours(begin=time(10), end=time(10, 1)))
    assert isinstance(scene.check(NOW), Go)
    assert isinstance(scene.check(NOW.astimezone(BEIJING)), Go)


def test_late_slots_are_skipped_and_not_bunched(whole):
    scene = Scene(whole)
    assert isinstance(scene.check(later(minutes=30), due=NOW), Go)
    assert scene.check(later(minutes=30, seconds=1), due=NOW) == Stop("late")


def test_a_phone_has_its_gap_over_all_vendors(whole):
    scene = Scene(whole)
    scene.intend(NOW, vendor="yun")
    assert scene.check(later(seconds=59)) == Hold("gap", later(seconds=60))
    assert isinstance(scene.check(later(seconds=60)), Go)
    assert isinstance(scene.check(later(seconds=1), recipient="p2"), Go)


def test_a_day_has_its_cap_and_the_next_day_its_own(whole):
    scene = Scene(whole, caps=Caps(per_day=3))
    for number in range(3):
        scene.intend(later(hours=number))
    assert scene.check(later(hours=4)) == Stop("recipient_cap")
    assert isinstance(scene.check(later(hours=24)), Go)


def test_a_day_ends_at_midnight_in_beijing(whole):
    scene = Scene(whole, caps=Caps(per_day=1), hours=Hours(begin=time(0), end=time(23, 59)))
    scene.intend(datetime(2026, 3, 2, 23, 50, tzinfo=BEIJING))
    assert scene.check(datetime(2026, 3, 2, 23, 58, tzinfo=BEIJING)) == Stop("recipient_cap")
    assert isinstance(scene.check(datetime(2026, 3, 3, 0, 1, tzinfo=BEIJING)), Go)


def test_a_persons_own_cap_comes_first(whole):
    scene = Scene(whole, people={"p1": recipient(cap_per_day=1)})
    scene.intend(NOW)
    assert scene.check(later(hours=1)) == Stop("recipient_cap")


def test_marketing_comes_twice_a_month_and_not_a_third_time(whole):
    scene = Scene(whole)
    scene.intend(NOW, purpose=Purpose.MARKETING)
    assert isinstance(scene.check(later(days=1), purpose=Purpose.MARKETING), Go)
    scene.intend(later(days=1), purpose=Purpose.MARKETING, vendor="yun")
    assert scene.check(later(days=29), purpose=Purpose.MARKETING) == Stop("marketing_cap")
    assert isinstance(scene.check(later(days=29)), Go), "other purposes are not held"
    assert isinstance(scene.check(later(days=30), purpose=Purpose.MARKETING), Go)


def test_a_tester_agreed_to_more(whole):
    scene = Scene(whole, people={"p1": recipient(tester=True)})
    for day in range(5):
        scene.intend(later(days=day), purpose=Purpose.MARKETING)
    assert isinstance(scene.check(later(days=6), purpose=Purpose.MARKETING), Go)


def test_the_spend_limit_counts_what_a_send_may_cost_before_it_goes(whole):
    scene = Scene(whole, spend_limit=Money(amount=Decimal("0.10")))
    scene.intend(NOW, recipient="p2")
    assert isinstance(scene.check(), Go), "exactly the limit may be spent"
    assert scene.check(segments=2) == Stop("spend_limit")
    scene.intend(NOW, recipient="p2")
    assert scene.check() == Stop("spend_limit")


def test_the_message_limit_is_a_limit(whole):
    scene = Scene(whole, message_limit=2)
    scene.intend(NOW, recipient="p2")
    assert isinstance(scene.check(), Go)
    scene.intend(NOW, recipient="p2")
    assert scene.check() == Stop("message_limit")


def test_two_sends_of_one_instant_count_both(whole):
    """An intent that is on its way to the disk counts already, and is not counted twice when it is there."""
    scene = Scene(whole, message_limit=1)
    one = scene.case()
    intent = SendIntended(leg=0, planned_at=NOW, ceiling=Money(amount=Decimal("0.05")))
    scene.brakes.reserve(one, intent)
    assert scene.check(recipient="p2") == Stop("message_limit")
    scene.brakes.learn(fact(intent, one.id), scene.matcher)
    assert (scene.brakes.messages, scene.brakes.spent) == (1, Decimal("0.05"))


def test_two_sends_of_one_instant_to_one_phone_keep_the_gap(whole):
    scene = Scene(whole)
    one = scene.case()
    scene.brakes.reserve(one, SendIntended(leg=0, planned_at=NOW, ceiling=None))
    assert scene.check(NOW) == Hold("gap", later(seconds=60))


def test_credentials_that_were_refused_stop_the_vendor_until_it_knows_us_again(whole):
    scene = Scene(whole)
    one = scene.case()
    no = CallFailed(what="submit", trouble="unauthorised", detail="", written=True, leg=0)
    scene.brakes.learn(fact(no, one.id), scene.matcher)
    assert scene.brakes.is_unauthorised("ali")
    assert scene.check() == Stop("unauthorised")
    assert isinstance(scene.check(vendor="yun"), Go)
    scene.brakes.learn(fact(SubmitAnswered(leg=0, outcome=accepted(), call=None), one.id), scene.matcher)
    assert isinstance(scene.check(), Go)


def test_a_phone_that_refuses_a_password_is_no_vendors_fault(whole):
    scene = Scene(whole)
    one = scene.case()
    no = CallFailed(what="search_inbox", trouble="unauthorised", detail="", written=True)
    scene.brakes.learn(fact(no, one.id), scene.matcher)
    assert not scene.brakes.is_unauthorised("ali")


def test_a_resumed_run_is_held_as_the_first_one_was(whole):
    """What counts is what the ledger says, not who wrote it."""
    first, second = Scene(whole, message_limit=3), Scene(whole, message_limit=3)
    for minutes in (0, 5, 10):
        first.intend(later(minutes=minutes))
        second.intend(later(minutes=minutes))
    assert first.check(later(hours=1)) == second.check(later(hours=1)) == Stop("message_limit")

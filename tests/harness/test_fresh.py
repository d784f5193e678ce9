"""Does a vendor treat the numbers it knows better than fresh ones?"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache

import pytest

from harness.domain import Estimate
from harness.facts import Fact, RunBegan
from harness.judge import journeys, scoring
from harness.judge.criteria import Told, measures, take, views
from harness.judge.stats import NotEnough
from tests.factory import Manner, Scene

OLD, FRESH = date(2025, 6, 1), date(2026, 2, 25)  # the scene begins on 2026-03-02


@cache
def facts(*, known: float, fresh: float, fresh_phones: int = 10, since: bool = True) -> tuple[Fact, ...]:
    """20 phones, the last of them fresh; each has its own rate of arrival."""
    scene = Scene(("ali",), phones=20, days=5)
    scene.beat(5 * 86_400 + 8000, every=230)
    is_fresh = {phone: number >= 20 - fresh_phones for number, phone in enumerate(scene.phones)}
    for number in range(600):
        phone = scene.phones[number % 20]
        at = 5 * 86_400 * number / 600
        case = scene.plan("ali", phone, at, visit=f"v{number}")
        scene.one(case, at, Manner(arrives=fresh if is_fresh[phone] else known))
    made = scene.end()
    if since:
        began = made[0].body
        assert isinstance(began, RunBegan)
        panel = {
            id: replace(person, since=FRESH if is_fresh.get(id, False) else OLD) for id, person in began.panel.items()
        }
        made[0] = replace(made[0], body=replace(began, panel=panel))
    return tuple(made)


def told(made: tuple[Fact, ...], id: str) -> Told:
    _, view = next(iter(views(journeys.read(made), "ali")))
    return take(measures()[id], view)


def favoured() -> tuple[Fact, ...]:
    return facts(known=0.99, fresh=0.80)


def test_a_vendor_that_favours_known_numbers_is_found_and_warned_of() -> None:
    answer = told(favoured(), "arrival.fresh_difference").answer
    assert isinstance(answer, Estimate)
    assert answer.value is not None and 0.14 <= answer.value <= 0.24
    assert answer.low is not None and answer.low > 0
    judged = scoring.judge(journeys.read(favoured()), run_id="r", ledger_digest="d")
    warning = next(one for one in judged.warnings if one.id == "warning.fresh_worse")
    assert warning.values["vendor"] == "ali"


def test_a_vendor_that_treats_all_alike_is_not_charged() -> None:
    answer = told(facts(known=0.97, fresh=0.97), "arrival.fresh_difference").answer
    assert isinstance(answer, Estimate)
    assert answer.low is not None and answer.high is not None and answer.low < 0 < answer.high


def test_the_gap_it_would_have_found_stands_beside_it() -> None:
    many, few = (
        told(facts(known=0.97, fresh=0.97, fresh_phones=n), "arrival.fresh_detectable").answer for n in (10, 5)
    )
    assert isinstance(many, Estimate) and isinstance(few, Estimate)
    assert many.value is not None and few.value is not None
    assert 0.02 < many.value < few.value < 0.5


@pytest.mark.parametrize("id", ["arrival.fresh_difference", "arrival.fresh_detectable"])
def test_too_few_fresh_numbers_say_nothing(id: str) -> None:
    answer = told(facts(known=0.97, fresh=0.97, fresh_phones=3), id).answer
    assert isinstance(answer, NotEnough) and answer.reason == "few_known_or_fresh"
    assert answer.values == {"handsets": 3, "needed": 5}


def test_without_days_of_joining_nobody_is_fresh() -> None:
    answer = told(facts(known=0.97, fresh=0.97, since=False), "arrival.fresh_difference").answer
    assert isinstance(answer, NotEnough) and answer.reason == "no_joining_days"


def test_the_misses_on_fresh_numbers_are_the_evidence() -> None:
    found = told(favoured(), "arrival.fresh_difference")
    assert 30 <= len(found.cases) <= 90  # a fifth of 300
